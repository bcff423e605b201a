//! JSON-RPC over HTTP: `POST` with `{"method", "params", "id"}`, answered in the order of the requests.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use viabtc_wire::envelope::read_envelope;
use viabtc_wire::frame::Head;
use viabtc_wire::json::Rules;
use viabtc_wire::methods::ErrorCode;
use viabtc_wire::reply::write_common_error;

use crate::address::Address;
use crate::backend::{Backend, Origin, Outbox, Refusal, Session, Status, Ticket};
use crate::http::{HttpError, Parsed, Parser, Request};
use crate::metrics::{Metrics, count};
use crate::reactor::{Close, Limits, Protocol};
use crate::server::{BindError, Server};
use crate::telling::{tell, tell_answer};

/// Requests of one connection that may be unanswered; above it the port stops reading.
const UNANSWERED_MAX: usize = 1_024;

/// Room for due answers that an idle connection keeps.
const KEPT_PLACES: usize = 8;

/// Number of a method, and which backend answers it.
pub type Route = (u32, usize);

/// How the door behaves.
#[derive(Clone, Debug)]
pub struct DoorOptions {
    /// Largest body of a request.
    pub max_pkg_size: usize,
    /// Idle connections are closed after this; zero for never.
    pub keep_alive: Duration,
    /// A request that has begun must be whole within this.
    pub request_timeout: Duration,
    /// Bytes that may wait to be written on a connection.
    pub pending_bytes_max: usize,
    /// Bytes that the buffers of all connections of a thread may take.
    pub held_bytes_max: usize,
    /// Open connections.
    pub connections_max: usize,
    /// Threads that serve.
    pub threads: usize,
    /// Whether other processes may listen on the same port.
    pub is_shared: bool,
}

impl Default for DoorOptions {
    fn default() -> DoorOptions {
        DoorOptions {
            max_pkg_size: 102_400,
            keep_alive: Duration::from_secs(3_600),
            request_timeout: Duration::from_secs(30),
            pending_bytes_max: 64 << 20,
            held_bytes_max: 256 << 20,
            connections_max: 65_536,
            threads: 1,
            is_shared: false,
        }
    }
}

/// The open door.
pub struct FrontDoor {
    server: Server,
}

impl FrontDoor {
    /// Opens `addresses`. `route` names the command and the place in `backends` of each method; a place
    /// without a backend answers as one that cannot be reached.
    ///
    /// # Errors
    /// When an address cannot be opened.
    pub fn start(
        backends: &[Option<Arc<dyn Backend>>],
        route: fn(&str) -> Option<Route>,
        addresses: &[Address],
        options: &DoorOptions,
    ) -> Result<FrontDoor, BindError> {
        let limits = Limits {
            connections_max: options.connections_max,
            pending_bytes_max: options.pending_bytes_max,
            held_bytes_max: options.held_bytes_max,
            datagram_bytes_max: 0,
        };
        let make = |outbox: Outbox, metrics: &Arc<Metrics>| DoorProtocol {
            sessions: backends
                .iter()
                .map(|backend| backend.as_ref().map(|backend| backend.session(outbox.clone())))
                .collect(),
            route,
            max_pkg_size: options.max_pkg_size,
            keep_alive: options.keep_alive,
            request_timeout: options.request_timeout,
            metrics: Arc::clone(metrics),
            date: httpdate::fmt_http_date(SystemTime::now()).into_bytes(),
            dated: Instant::now(),
            body: Vec::new(),
        };
        let server = Server::start(
            "front-door",
            addresses,
            options.threads,
            options.is_shared,
            limits,
            make,
        )?;
        Ok(FrontDoor { server })
    }

    /// As opened: port 0 is resolved.
    pub fn addresses(&self) -> &[Address] {
        self.server.addresses()
    }

    /// Figures.
    pub fn metrics(&self) -> &Metrics {
        self.server.metrics()
    }

    /// Whether every thread of the door goes round within `within`, when asked: what a watchdog wants to know.
    pub fn beats(&self, within: Duration) -> bool {
        self.server.beats(within)
    }

    /// Takes no more requests, answers those taken within `deadline`, then closes everything.
    pub fn stop(&self, deadline: Duration) {
        self.server.stop(deadline);
    }
}

struct DoorProtocol {
    sessions: Vec<Option<Box<dyn Session>>>,
    route: fn(&str) -> Option<Route>,
    max_pkg_size: usize,
    keep_alive: Duration,
    request_timeout: Duration,
    metrics: Arc<Metrics>,
    /// Text of the header, good for a second.
    date: Vec<u8>,
    dated: Instant,
    /// Of an answer made here.
    body: Vec<u8>,
}

struct DoorState {
    parser: Parser,
    /// Answers that are due, in order; `None` is not there yet.
    due: VecDeque<Option<Vec<u8>>>,
    /// Number of the first of them.
    first: u32,
    /// When the request that is not whole began.
    began: Option<Instant>,
    has_continued: bool,
    /// No further requests are taken.
    is_closing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum HttpStatus {
    Ok,
    BadRequest,
    NotFound,
    InternalServerError,
    GatewayTimeout,
}

impl HttpStatus {
    const fn line(self) -> &'static [u8] {
        match self {
            HttpStatus::Ok => b"HTTP/1.1 200 OK\r\nDate: ",
            HttpStatus::BadRequest => b"HTTP/1.1 400 Bad Request\r\nDate: ",
            HttpStatus::NotFound => b"HTTP/1.1 404 Not Found\r\nDate: ",
            HttpStatus::InternalServerError => b"HTTP/1.1 500 Internal Server Error\r\nDate: ",
            HttpStatus::GatewayTimeout => b"HTTP/1.1 504 Gateway Timeout\r\nDate: ",
        }
    }
}

impl DoorProtocol {
    fn write_response(&self, status: HttpStatus, body: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(status.line());
        out.extend_from_slice(&self.date);
        out.extend_from_slice(b"\r\nContent-Length: ");
        viabtc_wire::json::write_integer(body.len() as i64, out);
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(body);
    }

    /// Appends an answer that was made here, in its turn.
    fn answer(
        &mut self,
        state: &mut DoorState,
        status: HttpStatus,
        code: ErrorCode,
        id: Option<i64>,
        out: &mut Vec<u8>,
    ) {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        write_common_error(code, id, &mut body);
        self.answer_with(state, status, &body, out);
        self.body = body;
    }

    fn answer_with(
        &mut self,
        state: &mut DoorState,
        status: HttpStatus,
        body: &[u8],
        out: &mut Vec<u8>,
    ) {
        if state.due.is_empty() {
            self.write_response(status, body, out);
            state.first = state.first.wrapping_add(1);
        } else {
            let mut response = Vec::new();
            self.write_response(status, body, &mut response);
            state.due.push_back(Some(response));
        }
    }

    fn refuse(&mut self, state: &mut DoorState, id: Option<i64>, out: &mut Vec<u8>) {
        count(&self.metrics.malformed);
        state.is_closing = true;
        self.answer(state, HttpStatus::BadRequest, ErrorCode::InvalidArgument, id, out);
    }

    /// As a refusal, without the body that no answer to `HEAD` has.
    fn refuse_head(&mut self, state: &mut DoorState, out: &mut Vec<u8>) {
        count(&self.metrics.malformed);
        state.is_closing = true;
        self.answer_with(state, HttpStatus::BadRequest, b"", out);
    }

    /// Submits or answers one request's body.
    fn serve(
        &mut self,
        origin: &Origin,
        state: &mut DoorState,
        request: Request<'_>,
        out: &mut Vec<u8>,
    ) {
        let envelope = match read_envelope(&request.body, Rules::ORIGINAL) {
            Ok(envelope) => envelope,
            Err(none) => return self.refuse(state, none.id, out),
        };
        let id = Some(envelope.id);
        let Some((command, place)) = (self.route)(&envelope.method) else {
            count(&self.metrics.not_found);
            return self.answer(state, HttpStatus::NotFound, ErrorCode::MethodNotFound, id, out);
        };
        self.metrics.requests.fetch_add(1, Relaxed);
        let sequence = state.first.wrapping_add(state.due.len() as u32);
        let head =
            Head { command, sequence, request_id: envelope.id.cast_unsigned(), ..Head::default() };
        let mut ticket = Ticket::new(origin.clone(), head, Vec::new());
        ticket.given = request.given;
        let submitted = match self.sessions.get_mut(place).and_then(Option::as_mut) {
            Some(session) => {
                session.submit(command, envelope.id, envelope.params.as_bytes(), ticket)
            }
            None => Err((Refusal::Unavailable, ticket)),
        };
        match submitted {
            Ok(()) => state.due.push_back(None),
            Err((Refusal::Malformed, _)) => self.refuse(state, id, out),
            Err((Refusal::NotFound, _)) => {
                count(&self.metrics.not_found);
                self.answer(state, HttpStatus::NotFound, ErrorCode::MethodNotFound, id, out);
            }
            Err((Refusal::TooLarge, _)) => {
                self.answer(state, HttpStatus::Ok, ErrorCode::InvalidArgument, id, out);
            }
            Err((Refusal::Unavailable, ticket)) => {
                count(&self.metrics.unavailable);
                tell("door", &ticket, 0, ErrorCode::ServiceUnavailable as i32);
                let status = HttpStatus::InternalServerError;
                self.answer(state, status, ErrorCode::ServiceUnavailable, id, out);
            }
        }
    }
}

impl Protocol for DoorProtocol {
    type State = DoorState;

    fn open(&self, _: Instant) -> DoorState {
        DoorState {
            parser: Parser::default(),
            due: VecDeque::new(),
            first: 0,
            began: None,
            has_continued: false,
            is_closing: false,
        }
    }

    fn receive(
        &mut self,
        origin: &Origin,
        state: &mut DoorState,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, Close> {
        let mut consumed = 0;
        while consumed < input.len() && self.may_read(state) {
            match state.parser.parse(&input[consumed..], self.max_pkg_size) {
                Ok(Parsed::Partial { is_awaiting }) => {
                    state.began.get_or_insert_with(Instant::now);
                    if is_awaiting && !state.has_continued && state.due.is_empty() {
                        state.has_continued = true;
                        out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                    }
                    return Ok(consumed);
                }
                Ok(Parsed::Whole(request, size)) => {
                    consumed += size;
                    state.began = None;
                    state.has_continued = false;
                    let keeps_alive = request.keeps_alive;
                    if request.is_post && !request.body.is_empty() {
                        self.serve(origin, state, request, out);
                    } else if request.is_head {
                        self.refuse_head(state, out);
                    } else {
                        self.refuse(state, None, out);
                    }
                    state.is_closing |= !keeps_alive;
                }
                Err(HttpError::Unservable) => {
                    self.refuse(state, None, out);
                }
                Err(HttpError::Malformed) => {
                    count(&self.metrics.malformed);
                    return Err(Close);
                }
            }
        }
        // What follows the last request of a connection is not looked at.
        Ok(if state.is_closing { input.len() } else { consumed })
    }

    fn deliver(
        &mut self,
        state: &mut DoorState,
        ticket: Ticket,
        status: Status,
        body: &[u8],
        out: &mut Vec<u8>,
    ) {
        self.metrics.latency.record(ticket.began.elapsed());
        tell_answer("door", &ticket, ticket.call, status, body);
        let place = ticket.head.sequence.wrapping_sub(state.first) as usize;
        let mut timeout = Vec::new();
        let (status, body) = match status {
            Status::Answered => (HttpStatus::Ok, body),
            Status::TimedOut => {
                let id = ticket.head.request_id.cast_signed();
                write_common_error(ErrorCode::ServiceTimeout, Some(id), &mut timeout);
                (HttpStatus::GatewayTimeout, &timeout[..])
            }
        };
        if place > 0 {
            let mut response = Vec::new();
            self.write_response(status, body, &mut response);
            state.due[place] = Some(response);
            return;
        }
        self.write_response(status, body, out);
        state.due.pop_front();
        state.first = state.first.wrapping_add(1);
        while let Some(Some(_)) = state.due.front()
            && let Some(Some(response)) = state.due.pop_front()
        {
            out.extend_from_slice(&response);
            state.first = state.first.wrapping_add(1);
        }
        if state.due.is_empty() && state.due.capacity() > KEPT_PLACES {
            state.due = VecDeque::new();
        }
    }

    fn receive_datagram(&mut self, _: Origin, _: &[u8], _: &mut Vec<u8>) {}

    fn deliver_datagram(&mut self, _: Ticket, _: Status, _: &[u8], _: &mut Vec<u8>) {}

    fn unanswered(&self, state: &DoorState) -> usize {
        state.due.len()
    }

    fn is_over(&self, state: &DoorState) -> bool {
        state.is_closing
    }

    fn may_read(&self, state: &DoorState) -> bool {
        !state.is_closing && state.due.len() < UNANSWERED_MAX
    }

    fn is_expired(&self, state: &DoorState, now: Instant, since: Instant, _: bool) -> bool {
        let is_slow = state.began.is_some_and(|began| now - began > self.request_timeout);
        let is_idle = !self.keep_alive.is_zero()
            && state.due.is_empty()
            && now.duration_since(since) > self.keep_alive;
        is_slow || is_idle
    }

    fn flush(&mut self) {
        if self.dated.elapsed() >= Duration::from_secs(1) {
            self.date = httpdate::fmt_http_date(SystemTime::now()).into_bytes();
            self.dated = Instant::now();
        }
        for session in self.sessions.iter_mut().flatten() {
            session.flush();
        }
    }
}
