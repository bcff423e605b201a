//! The binary RPC port.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use viabtc_wire::frame::{
    Frame, HEAD_BYTES, HEARTBEAT, Head, REPLY, read_frame, read_heartbeat, write_frame,
};
use viabtc_wire::methods::ErrorCode;
use viabtc_wire::reply::write_common_error;

use crate::address::Address;
use crate::backend::{Backend, Origin, Outbox, Refusal, Session, Status, Ticket};
use crate::metrics::{Metrics, count};
use crate::reactor::{Close, Limits, Protocol};
use crate::server::{BindError, Server};
use crate::telling::{tell, tell_answer};

/// Requests of one connection that may be unanswered; above it the port stops reading.
const UNANSWERED_MAX: usize = 4_096;

/// Bytes that may wait for a connection when `buf_limit` does not say.
const PENDING_BYTES_DEFAULT: usize = 64 << 20;

/// Largest frame that a datagram can carry.
const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Bounds that a heartbeat's timeout is clamped to. Source: nw_rpc.
const HEARTBEAT_MIN: Duration = Duration::from_secs(2);
const HEARTBEAT_MAX: Duration = Duration::from_secs(600);
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(3);

/// How the port behaves; the names are the original's keys.
#[derive(Clone, Debug)]
pub struct RpcOptions {
    /// Largest frame that a peer may send, head included.
    pub max_pkg_size: usize,
    /// Buffers of that size that may wait to be written per connection; 0 for 64 MiB.
    pub buf_limit: usize,
    /// Whether connections without heartbeats are closed.
    pub heartbeat_check: bool,
    /// Bytes that the buffers of all connections of a thread may take.
    pub held_bytes_max: usize,
    /// A frame that has begun and of which nothing more comes for this long ends its connection.
    pub frame_timeout: Duration,
    /// Open connections.
    pub connections_max: usize,
    /// Threads that serve.
    pub threads: usize,
}

impl Default for RpcOptions {
    fn default() -> RpcOptions {
        RpcOptions {
            max_pkg_size: 10_240,
            buf_limit: 0,
            heartbeat_check: false,
            held_bytes_max: 256 << 20,
            frame_timeout: Duration::from_secs(30),
            connections_max: 65_536,
            threads: 1,
        }
    }
}

/// The open port.
pub struct RpcServer {
    server: Server,
}

impl RpcServer {
    /// Opens `addresses` and answers through `backend`.
    ///
    /// # Errors
    /// When an address cannot be opened.
    pub fn start(
        backend: Arc<dyn Backend>,
        addresses: &[Address],
        options: &RpcOptions,
    ) -> Result<RpcServer, BindError> {
        let limits = Limits {
            connections_max: options.connections_max,
            pending_bytes_max: match options.buf_limit {
                0 => PENDING_BYTES_DEFAULT,
                limit => limit.saturating_mul(options.max_pkg_size),
            },
            held_bytes_max: options.held_bytes_max,
            datagram_bytes_max: options.max_pkg_size.min(DATAGRAM_BYTES_MAX),
        };
        let make = |outbox: Outbox, metrics: &Arc<Metrics>| RpcProtocol {
            session: backend.session(outbox),
            max_pkg_size: options.max_pkg_size,
            heartbeat_check: options.heartbeat_check,
            frame_timeout: options.frame_timeout,
            metrics: Arc::clone(metrics),
            body: Vec::new(),
        };
        let server = Server::start("rpc", addresses, options.threads, false, limits, make)?;
        Ok(RpcServer { server })
    }

    /// As opened: port 0 is resolved.
    pub fn addresses(&self) -> &[Address] {
        self.server.addresses()
    }

    /// Figures.
    pub fn metrics(&self) -> &Metrics {
        self.server.metrics()
    }

    /// Whether every thread of the port goes round within `within`, when asked: what a watchdog wants to know.
    pub fn beats(&self, within: Duration) -> bool {
        self.server.beats(within)
    }

    /// Takes no more requests, answers those taken within `deadline`, then closes everything.
    pub fn stop(&self, deadline: Duration) {
        self.server.stop(deadline);
    }
}

struct RpcProtocol {
    session: Box<dyn Session>,
    max_pkg_size: usize,
    heartbeat_check: bool,
    frame_timeout: Duration,
    metrics: Arc<Metrics>,
    /// Of an answer made here.
    body: Vec<u8>,
}

struct RpcState {
    unanswered: usize,
    last_heartbeat: Instant,
    timeout: Duration,
    /// What came last cannot be served: the connection ends when all before it is answered.
    is_over: bool,
}

impl RpcProtocol {
    /// Answers a heartbeat or submits a request; true when it was submitted.
    fn serve(
        &mut self,
        origin: &Origin,
        frame: &Frame<'_>,
        state: Option<&mut RpcState>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Close> {
        let reply = Head { kind: REPLY, ..frame.head };
        if frame.head.command == HEARTBEAT {
            let Ok(timeout) = read_heartbeat(frame.body) else {
                count(&self.metrics.malformed);
                return Err(Close);
            };
            if let Some(state) = state {
                state.last_heartbeat = Instant::now();
                if let Some(timeout) = timeout {
                    let timeout = Duration::from_millis(u64::from(timeout));
                    state.timeout = timeout.clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
                }
            }
            write_frame(&reply, frame.extension, b"", out);
            return Ok(false);
        }
        let id = frame.head.request_id.cast_signed();
        let ticket = Ticket::new(origin.clone(), frame.head, frame.extension.to_vec());
        self.metrics.requests.fetch_add(1, Relaxed);
        let submitted = self.session.submit(frame.head.command, id, frame.body, ticket);
        let Err((refusal, ticket)) = submitted else { return Ok(true) };
        let code = match refusal {
            Refusal::Malformed => {
                count(&self.metrics.malformed);
                return Err(Close);
            }
            Refusal::NotFound => {
                count(&self.metrics.not_found);
                ErrorCode::MethodNotFound
            }
            Refusal::TooLarge => ErrorCode::InvalidArgument,
            Refusal::Unavailable => {
                count(&self.metrics.unavailable);
                ErrorCode::ServiceUnavailable
            }
        };
        tell("rpc", &ticket, ticket.head.sequence, code as i32);
        self.body.clear();
        write_common_error(code, Some(id), &mut self.body);
        write_frame(&reply, frame.extension, &self.body, out);
        Ok(false)
    }

    fn write_answer(&mut self, ticket: &Ticket, status: Status, body: &[u8], out: &mut Vec<u8>) {
        self.metrics.latency.record(ticket.began.elapsed());
        tell_answer("rpc", ticket, ticket.head.sequence, status, body);
        let head = Head { kind: REPLY, ..ticket.head };
        match status {
            Status::Answered => write_frame(&head, &ticket.extension, body, out),
            Status::TimedOut => {
                self.body.clear();
                let id = head.request_id.cast_signed();
                write_common_error(ErrorCode::ServiceTimeout, Some(id), &mut self.body);
                write_frame(&head, &ticket.extension, &self.body, out);
            }
        }
    }
}

impl Protocol for RpcProtocol {
    type State = RpcState;

    fn open(&self, now: Instant) -> RpcState {
        RpcState { unanswered: 0, last_heartbeat: now, timeout: HEARTBEAT_DEFAULT, is_over: false }
    }

    fn receive(
        &mut self,
        origin: &Origin,
        state: &mut RpcState,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, Close> {
        let mut consumed = 0;
        while self.may_read(state) {
            let served = match read_frame(&input[consumed..], self.max_pkg_size) {
                Ok(None) => break,
                Ok(Some((frame, size))) => {
                    consumed += size;
                    self.serve(origin, &frame, Some(state), out)
                }
                Err(_) => {
                    count(&self.metrics.malformed);
                    Err(Close)
                }
            };
            match served {
                Ok(is_submitted) => state.unanswered += usize::from(is_submitted),
                // What came before it is answered as if it had come alone: it may have placed an order.
                Err(Close) if state.unanswered > 0 || !out.is_empty() => {
                    state.is_over = true;
                    return Ok(input.len());
                }
                Err(Close) => return Err(Close),
            }
        }
        Ok(consumed)
    }

    fn deliver(
        &mut self,
        state: &mut RpcState,
        ticket: Ticket,
        status: Status,
        body: &[u8],
        out: &mut Vec<u8>,
    ) {
        state.unanswered -= 1;
        self.write_answer(&ticket, status, body, out);
    }

    fn receive_datagram(&mut self, origin: Origin, packet: &[u8], out: &mut Vec<u8>) {
        // One datagram is one frame: what is shorter or longer than it says is dropped.
        let is_served = match read_frame(packet, self.max_pkg_size) {
            Ok(Some((frame, size))) if size == packet.len() => {
                self.serve(&origin, &frame, None, out).is_ok()
            }
            _ => false,
        };
        if !is_served {
            count(&self.metrics.dropped_datagrams);
        }
    }

    fn deliver_datagram(&mut self, ticket: Ticket, status: Status, body: &[u8], out: &mut Vec<u8>) {
        if HEAD_BYTES + ticket.extension.len() + body.len() <= DATAGRAM_BYTES_MAX {
            self.write_answer(&ticket, status, body, out);
        } else {
            count(&self.metrics.dropped_datagrams);
        }
    }

    fn unanswered(&self, state: &RpcState) -> usize {
        state.unanswered
    }

    fn is_over(&self, state: &RpcState) -> bool {
        state.is_over
    }

    fn may_read(&self, state: &RpcState) -> bool {
        !state.is_over && state.unanswered < UNANSWERED_MAX
    }

    fn is_expired(&self, state: &RpcState, now: Instant, since: Instant, is_partial: bool) -> bool {
        let is_stuck = is_partial && now.duration_since(since) > self.frame_timeout;
        let is_silent =
            self.heartbeat_check && now.duration_since(state.last_heartbeat) > state.timeout;
        is_stuck || is_silent
    }

    fn flush(&mut self) {
        self.session.flush();
    }
}
