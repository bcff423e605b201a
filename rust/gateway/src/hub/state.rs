//! A thread's state: its connections by place, what is due in this turn, and what closes them.
//!
//! Apart from the thread's poll and dialect, so that a dialect can use it through a [`super::Desk`].

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use viabtc_wire::frame::Head;
use viabtc_wire::methods::ErrorCode;
use viabtc_wire::reply::write_common_error;

use super::connection::{Connection, Phase, UNANSWERED_MAX};
use super::deflate::{Deflater, Inflater};
use super::frames::{Assembler, Closing, Frame, Opcode, close, frame, text};
use super::handshake::{self, Terms};
use super::mailbox::Command;
use super::metrics::HubMetrics;
use super::notices::{Answer, Notices};
use super::queue::Slot;
use super::topics::Topics;
use super::{ConnectionId, HubOptions};
use crate::backend::{Backend, Bundle, Origin, Outbox, Refusal, Session, Status, Ticket};
use crate::metrics::count;
use crate::telling::tell_answer;

/// The place of questions that the owner asks.
const OWNER: u32 = u32::MAX;

/// How long a closing connection may take to read what is left, and to close.
const LINGER_MS: u64 = 1_000;

/// Everything but the poll and the dialect, so that the dialect can use it.
pub(super) struct Core {
    pub(super) index: u8,
    pub(super) options: Arc<HubOptions>,
    pub(super) terms: Terms,
    pub(super) date: String,
    pub(super) places: Vec<Place>,
    pub(super) free: Vec<u32>,
    pub(super) open_count: usize,
    /// Open connections by client, while that is bounded; those to the stream apart.
    pub(super) addresses: HashMap<(Ipv6Addr, bool), u32>,
    pub(super) topics: Topics,
    /// Numbered topics without subscribers: since when, and which; oldest first.
    pub(super) lingering: VecDeque<(u64, u32)>,
    pub(super) deflater: Deflater,
    pub(super) inflater: Inflater,
    pub(super) backends: Vec<Option<Arc<dyn Backend>>>,
    pub(super) sessions: Vec<Option<Box<dyn Session>>>,
    pub(super) outbox: Outbox,
    pub(super) notices: Arc<Notices>,
    pub(super) metrics: Arc<HubMetrics>,
    /// Places to read in this turn.
    pub(super) active: Vec<u32>,
    /// Places to write in this turn, before the line.
    pub(super) first: Vec<u32>,
    /// The line of places to write: in this turn or, when there is news meanwhile, in those after it.
    pub(super) due: VecDeque<u32>,
    pub(super) started: Instant,
    /// Milliseconds since the start, as of this turn.
    pub(super) now_ms: u64,
    pub(super) is_stopping: bool,
}

pub(super) struct Place {
    pub(super) generation: u32,
    pub(super) connection: Option<Connection>,
}

impl Core {
    pub(super) fn connection(&mut self, place: u32) -> Option<&mut Connection> {
        self.places.get_mut(place as usize)?.connection.as_mut()
    }

    /// The connection of that name, unless it is gone or closing.
    pub(super) fn named(&mut self, id: ConnectionId) -> Option<(u32, &mut Connection)> {
        let (place, generation) = id.place();
        let slot = self.places.get_mut(place as usize)?;
        let connection = slot.connection.as_mut()?;
        let is_open = slot.generation == generation && connection.phase == Phase::Open;
        is_open.then_some((place, connection))
    }

    pub(super) fn note(&mut self, place: usize, event: &mio::event::Event) {
        let place = place as u32;
        let Some(connection) = self.connection(place) else { return };
        if event.is_writable() {
            connection.is_writable = true;
            if !connection.queue.is_empty() {
                self.make_due(place);
            }
        }
        let Some(connection) = self.connection(place) else { return };
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            connection.is_readable = true;
            connection.is_ended |= event.is_read_closed() || event.is_error();
            self.activate(place);
        }
    }

    pub(super) fn activate(&mut self, place: u32) {
        if let Some(connection) = self.connection(place)
            && !mem::replace(&mut connection.is_active, true)
        {
            self.active.push(place);
        }
    }

    pub(super) fn make_due(&mut self, place: u32) {
        if let Some(connection) = self.connection(place)
            && !mem::replace(&mut connection.is_due, true)
        {
            self.due.push_back(place);
        }
    }

    /// As `make_due`, but before all that stand in the line.
    fn make_first(&mut self, place: u32) {
        if let Some(connection) = self.connection(place)
            && !mem::replace(&mut connection.is_first, true)
        {
            self.first.push(place);
        }
    }

    /// Reads the handshake; how many bytes it took, 0 while its rest has not come.
    pub(super) fn shake(&mut self, place: u32, input: &[u8]) -> usize {
        match handshake::open(input, &self.terms, &self.date) {
            Ok(None) => 0,
            Ok(Some(opening)) => {
                let is_trusting = self.options.trusts_forwarded;
                let now_ms = self.now_ms;
                let Some(connection) = self.connection(place) else { return input.len() };
                if is_trusting && opening.forwarded.is_some() {
                    connection.address = opening.forwarded;
                }
                connection.is_stream = opening.is_stream;
                if !self.admit(place) {
                    let refusal = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\
                        Connection: close\r\n\r\n";
                    self.refuse(place, refusal);
                    return input.len();
                }
                if let Some(connection) = self.connection(place) {
                    connection.phase = Phase::Open;
                    connection.window = opening.window;
                    connection.seen_ms = now_ms;
                }
                self.send(place, opening.response.into());
                opening.size
            }
            Err(response) => {
                self.refuse(place, &response);
                input.len()
            }
        }
    }

    /// Takes a compressed message apart.
    pub(super) fn inflate(
        &mut self,
        payload: &[u8],
        is_text: bool,
        most: usize,
    ) -> Result<Vec<u8>, Closing> {
        let payload = self.inflater.inflate(payload, most)?;
        if is_text && std::str::from_utf8(&payload).is_err() {
            return Err(Closing::NOT_TEXT);
        }
        Ok(payload)
    }

    pub(super) fn refuse(&mut self, place: u32, response: &[u8]) {
        count(&self.metrics.refused);
        self.begin_close(place, response.into());
    }

    /// Counts the connection's client, unless it has too many.
    pub(super) fn admit(&mut self, place: u32) -> bool {
        let options = Arc::clone(&self.options);
        let Some(connection) = self.connection(place) else { return true };
        let most = if connection.is_stream {
            options.stream.connections_per_address_max
        } else {
            options.connections_per_address_max
        };
        let Some(client) = connection.client().filter(|_| most > 0) else { return true };
        let open = self.addresses.entry(client).or_insert(0);
        if *open >= most {
            return false;
        }
        *open += 1;
        if let Some(connection) = self.connection(place) {
            connection.is_counted = true;
        }
        true
    }

    /// Counts a frame; whether it is one too many of this second.
    pub(super) fn is_too_much(&mut self, place: u32) -> bool {
        let (all, stream) =
            (self.options.frames_per_second_max, self.options.stream.frames_per_second_max);
        let now_ms = self.now_ms;
        let Some(connection) = self.connection(place) else { return false };
        let most = if connection.is_stream { stream } else { all };
        if now_ms - connection.second_ms >= 1_000 {
            (connection.second_ms, connection.frames) = (now_ms, 0);
        }
        connection.frames += 1;
        most > 0 && connection.frames > most
    }

    /// Queues a frame that is never dropped.
    pub(super) fn send(&mut self, place: u32, frame: Frame) -> Option<Slot> {
        let Core { places, options, metrics, now_ms, deflater, .. } = self;
        let connection = places.get_mut(place as usize)?.connection.as_mut()?;
        let slot = connection.push(&frame, deflater, *now_ms);
        let is_over = connection.is_over(options, metrics, *now_ms);
        self.make_first(place);
        if is_over {
            count(&self.metrics.overflowed);
            self.close_hard(place, Closing::OVERFLOW);
        }
        Some(slot)
    }

    pub(super) fn deliver(&mut self, bundle: Bundle) {
        for (ticket, status, range) in bundle.answers {
            let body = &bundle.buffer[range];
            let Origin::Connection { place, generation } = ticket.origin else { continue };
            if place == OWNER {
                let body = (status == Status::Answered).then(|| body.to_vec());
                self.notices.answer(Answer { tag: ticket.head.sequence, body });
                continue;
            }
            let id = ConnectionId::new(self.index, place, generation);
            self.metrics.latency.record(ticket.began.elapsed());
            tell_answer("hub", &ticket, ticket.call, status, body);
            let Some((place, connection)) = self.named(id) else { continue };
            connection.unanswered -= 1;
            if connection.unanswered == UNANSWERED_MAX - 1 {
                self.activate(place);
            }
            let answer = match status {
                Status::Answered => text(body),
                Status::TimedOut => {
                    let mut body = Vec::new();
                    let id = ticket.head.request_id.cast_signed();
                    write_common_error(ErrorCode::ServiceTimeout, Some(id), &mut body);
                    text(&body)
                }
            };
            self.send(place, answer);
        }
    }

    pub(super) fn obey(&mut self, command: Command) {
        match command {
            Command::Publish(publications) => {
                for (name, publication) in publications.iter() {
                    self.publish(name, publication);
                }
            }
            Command::Authenticate { connection: id, user, grant, answer } => {
                let Some((place, connection)) = self.named(id) else {
                    return self.notices.release(grant);
                };
                connection.unanswered -= 1;
                let before = mem::replace(&mut connection.grant, grant);
                self.notices.release(before);
                let Some(connection) = self.connection(place) else { return };
                if connection.user.replace(user).is_some_and(|before| before != user) {
                    self.leave(place, |topic| topic.family.is_private);
                }
                self.send(place, answer);
                self.activate(place);
            }
            Command::Answer { connection: id, answer } => {
                let Some((place, connection)) = self.named(id) else { return };
                connection.unanswered -= 1;
                self.send(place, answer);
                self.activate(place);
            }
            Command::Close { connection: id, closing } => {
                if let Some((place, _)) = self.named(id) {
                    self.close(place, closing);
                }
            }
            Command::ClosePrivate(closing) => {
                for place in 0..self.places.len() as u32 {
                    if self.hears_private(place) {
                        self.close(place, closing);
                    }
                }
            }
            Command::Withdraw(grant) => {
                for place in 0..self.places.len() as u32 {
                    let connection = self.connection(place);
                    if connection.is_some_and(|connection| connection.grant == grant) {
                        self.close(place, Closing::WITHDRAWN);
                    }
                }
            }
            Command::Ask { tag, place, command, params } => {
                let origin = Origin::Connection { place: OWNER, generation: 0 };
                let head = Head { command, sequence: tag, ..Head::default() };
                let ticket = Ticket::new(origin, head, Vec::new());
                let submitted = match self.sessions.get_mut(place).and_then(Option::as_mut) {
                    Some(session) => session.submit(command, i64::from(tag), &params, ticket),
                    None => Err((Refusal::Unavailable, ticket)),
                };
                match submitted {
                    Ok(()) => {
                        if let Some(Some(session)) = self.sessions.get_mut(place) {
                            session.flush();
                        }
                    }
                    Err(_) => self.notices.answer(Answer { tag, body: None }),
                }
            }
        }
    }

    /// Ends a connection once everything before is written.
    pub(super) fn close(&mut self, place: u32, closing: Closing) {
        self.begin_close(place, close(Some(closing.code), closing.reason));
    }

    /// Ends a connection that does not read: what waits is given up.
    pub(super) fn close_hard(&mut self, place: u32, closing: Closing) {
        if let Some(connection) = self.connection(place) {
            connection.queue.clear_unwritten();
        }
        self.close(place, closing);
    }

    /// `last` is the last that is written.
    pub(super) fn begin_close(&mut self, place: u32, last: Frame) {
        let now_ms = self.now_ms;
        let Some(connection) = self.connection(place) else { return };
        if connection.phase == Phase::Closing {
            return;
        }
        connection.phase = Phase::Closing;
        connection.seen_ms = now_ms;
        connection.input = Vec::new();
        connection.assembler = Assembler::default();
        // A close frame, which is never compressed, or no frame at all.
        connection.queue_as_is(last, now_ms);
        self.leave(place, |_| true);
        self.make_due(place);
    }

    pub(super) fn close_all(&mut self) {
        for place in 0..self.places.len() as u32 {
            match self.connection(place).map(|connection| connection.phase) {
                Some(Phase::Opening) => self.drop_connection(place),
                Some(Phase::Open) => self.close(place, Closing::GOING_AWAY),
                Some(Phase::Closing) | None => {}
            }
            self.write(place);
        }
    }

    pub(super) fn drop_connection(&mut self, place: u32) {
        self.leave(place, |_| true);
        let slot = &mut self.places[place as usize];
        let Some(connection) = slot.connection.take() else { return };
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(place);
        self.open_count -= 1;
        self.metrics.connections.fetch_sub(1, Relaxed);
        self.notices.release(connection.grant);
        if let (true, Some(client)) = (connection.is_counted, connection.client())
            && let Some(open) = self.addresses.get_mut(&client)
        {
            *open -= 1;
            if *open == 0 {
                self.addresses.remove(&client);
            }
        }
    }

    /// Deadlines of one connection.
    pub(super) fn look_after(&mut self, place: u32) {
        let now_ms = self.now_ms;
        let options = Arc::clone(&self.options);
        let Some(connection) = self.connection(place) else { return };
        let silent = Duration::from_millis(now_ms - connection.seen_ms);
        let stalled = Duration::from_millis(now_ms - connection.moved_ms);
        let is_waiting = !connection.queue.is_empty();
        // Else it has not come to its turn, which is no delay of the reader's.
        let is_full = !connection.is_writable;
        match connection.phase {
            Phase::Opening if silent > options.opening_timeout => {
                count(&self.metrics.expired);
                self.drop_connection(place);
            }
            Phase::Closing if now_ms - connection.seen_ms > LINGER_MS => {
                self.drop_connection(place);
            }
            Phase::Open if is_waiting && is_full && stalled > options.stall_timeout => {
                count(&self.metrics.overflowed);
                self.close_hard(place, Closing::STALLED);
                self.write(place);
            }
            Phase::Open => {
                let keep_alive = options.keep_alive;
                let interval = if connection.is_stream {
                    options.stream.ping_interval
                } else {
                    options.ping_interval
                };
                let is_deaf = !interval.is_zero() && silent > 2 * interval;
                let is_nobody = connection.user.is_none()
                    && !options.auth_timeout.is_zero()
                    && connection.came.elapsed(now_ms) > options.auth_timeout;
                let is_slow = connection
                    .begun
                    .is_some_and(|begun| begun.elapsed(now_ms) > options.message_timeout);
                if is_nobody || is_slow {
                    count(&self.metrics.expired);
                    self.close(place, if is_slow { Closing::SLOW } else { Closing::NOBODY });
                    self.write(place);
                } else if is_deaf || (!keep_alive.is_zero() && silent > keep_alive) {
                    count(&self.metrics.expired);
                    self.close(place, Closing::IDLE);
                    self.write(place);
                } else if !interval.is_zero() && silent > interval && !connection.is_pinged {
                    connection.is_pinged = true;
                    self.send(place, frame(Opcode::Ping, &[]));
                    self.write(place);
                }
            }
            Phase::Opening | Phase::Closing => {}
        }
    }
}
