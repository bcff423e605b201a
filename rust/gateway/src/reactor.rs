//! One thread, many sockets: reads, hands whole messages to a [`Protocol`], writes what is due.
//!
//! A turn: take events, read and submit, flush the protocol, deliver answers, write each connection once.
//! An idle connection holds no buffers: bytes are read into a buffer that all share, and only an unfinished
//! message is kept.
//!
//! Who asks little is not held up by who asks much: a connection with news gets a small share at once, what it
//! sends beyond that waits in a line of its own, and of that line a turn takes a bounded part. Likewise only
//! so many connections are accepted and closed in a turn.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::Socket;

use crate::backend::{Bundle, Origin, Outbox, Status};
use crate::connection::Connection;
use crate::metrics::{Metrics, count};

mod listening;
mod protocol;

pub(crate) use listening::{DatagramSocket, Listener};
pub(crate) use protocol::{Close, Protocol};

/// Bounds of a reactor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Open connections; further ones are closed at once.
    pub(crate) connections_max: usize,
    /// Bytes that may wait to be written on a connection.
    pub(crate) pending_bytes_max: usize,
    /// Bytes that the buffers of all connections may take; above it those that hold most are closed.
    pub(crate) held_bytes_max: usize,
    /// Largest datagram that is read whole.
    pub(crate) datagram_bytes_max: usize,
}

/// Stops a reactor from another thread.
#[derive(Clone)]
pub(crate) struct Control {
    deadline: Arc<Mutex<Option<Instant>>>,
    outbox: Outbox,
}

impl Control {
    /// Accepts and reads no more; ends when everything taken is answered and written, or at `deadline`.
    pub(crate) fn stop(&self, deadline: Instant) {
        *self.deadline.lock().expect("nobody panics here") = Some(deadline);
        self.outbox.wake();
    }

    /// The way to the reactor's thread.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }
}

const WAKER: Token = Token(0);
const LISTENERS: usize = 1;
/// Tokens from here on are connections.
const CONNECTIONS: usize = 64;

/// Size of the shared read buffer.
const READ_BYTES: usize = 256 * 1024;

/// Bytes that a connection may send before it waits for others: dozens of requests.
const FIRST_SHARE_BYTES: usize = 4 * 1024;

/// Bytes read in a turn from a connection that has had its first share: about a hundred requests.
const SHARE_BYTES: usize = 16 * 1024;

/// Bytes after which no more of those that had their first share are read in a turn.
const TURN_BYTES: usize = 64 * 1024;

/// Sockets closed in a turn: the system does much for each, with the peer's part on the same processor where
/// that is this machine.
const CLOSE_TURN: usize = 32;

/// Pause between looks at all connections, and the longest sleep.
const TICK: Duration = Duration::from_millis(500);

/// How long a finished connection may take to read its last answer.
const LINGER: Duration = Duration::from_secs(2);

pub(crate) struct Reactor<P: Protocol> {
    poll: Poll,
    protocol: P,
    outbox: Outbox,
    deadline: Arc<Mutex<Option<Instant>>>,
    limits: Limits,
    metrics: Arc<Metrics>,
    listeners: Vec<Listener>,
    places: Vec<Place<P::State>>,
    free: Vec<u32>,
    open_count: usize,
    /// Bytes that the buffers of all connections take.
    held_bytes: usize,
    /// Listeners that may have more than a turn's share.
    busy: Vec<usize>,
    /// Places with news, to read in this turn.
    active: Vec<u32>,
    /// Places that had a share and have more, which others come before.
    waiting: VecDeque<u32>,
    /// Sockets of connections that are over; nothing is read from them any more.
    ended: VecDeque<Socket>,
    /// Places to write in this turn.
    dirty: Vec<u32>,
    accept_again: Option<Instant>,
    buffer: Vec<u8>,
    is_stopping: bool,
}

struct Place<S> {
    generation: u32,
    connection: Option<Connection<S>>,
}

impl<P: Protocol> Reactor<P> {
    /// `make` gets the outbox for the protocol's sessions.
    pub(crate) fn new(
        listeners: Vec<Listener>,
        limits: Limits,
        metrics: Arc<Metrics>,
        make: impl FnOnce(Outbox) -> P,
    ) -> io::Result<(Reactor<P>, Control)> {
        let poll = Poll::new()?;
        let outbox = Outbox::new(Waker::new(poll.registry(), WAKER)?);
        for (index, listener) in listeners.iter().enumerate() {
            let fd = listener.fd();
            let token = Token(LISTENERS + index);
            poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        }
        assert!(LISTENERS + listeners.len() <= CONNECTIONS, "addresses are bounded by the caller");
        let deadline = Arc::new(Mutex::new(None));
        let control = Control { deadline: Arc::clone(&deadline), outbox: outbox.clone() };
        let reactor = Reactor {
            poll,
            protocol: make(outbox.clone()),
            outbox,
            deadline,
            limits,
            metrics,
            listeners,
            places: Vec::new(),
            free: Vec::new(),
            open_count: 0,
            held_bytes: 0,
            busy: Vec::new(),
            active: Vec::new(),
            waiting: VecDeque::new(),
            ended: VecDeque::new(),
            dirty: Vec::new(),
            accept_again: None,
            buffer: vec![0; READ_BYTES.max(limits.datagram_bytes_max + 1)],
            is_stopping: false,
        };
        Ok((reactor, control))
    }

    /// Serves until it is stopped.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(4096);
        let mut next_tick = Instant::now() + TICK;
        while self.turn(&mut events, &mut next_tick)? {}
        Ok(())
    }

    /// Waits for something to do, at most until `next_tick`, and does it; false when it was stopped.
    fn turn(&mut self, events: &mut Events, next_tick: &mut Instant) -> io::Result<bool> {
        let timeout = if self.has_work() {
            Duration::ZERO
        } else {
            next_tick.saturating_duration_since(Instant::now())
        };
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => other?,
        }
        for event in &*events {
            match event.token() {
                WAKER => {}
                Token(index) if index < CONNECTIONS => self.note_listener(index - LISTENERS),
                Token(index) => self.note(index - CONNECTIONS, event),
            }
        }
        self.read_all();
        // Those that are known come before those that knock.
        for index in std::mem::take(&mut self.busy) {
            self.listen(index);
        }
        self.protocol.flush();
        for bundle in self.outbox.take() {
            self.deliver(bundle);
        }
        for place in std::mem::take(&mut self.dirty) {
            self.write(place);
        }
        if self.held_bytes > self.limits.held_bytes_max {
            self.shed();
        }
        self.ended.drain(..self.ended.len().min(CLOSE_TURN));
        let now = Instant::now();
        if now >= *next_tick {
            *next_tick = now + TICK;
            self.tick(now);
        }
        let deadline = *self.deadline.lock().expect("nobody panics here");
        if let Some(deadline) = deadline {
            self.stop();
            if now >= deadline || self.is_drained() {
                return Ok(false);
            }
            *next_tick = (*next_tick).min(deadline);
        }
        Ok(true)
    }

    /// Whether the next turn has something to do whatever events come.
    fn has_work(&self) -> bool {
        !(self.active.is_empty()
            && self.waiting.is_empty()
            && self.busy.is_empty()
            && self.ended.is_empty())
    }

    /// Reads first shares, then of those that wait as many as a turn takes, at least one.
    fn read_all(&mut self) {
        let mut total = 0;
        for place in std::mem::take(&mut self.active) {
            total += self.read(place, FIRST_SHARE_BYTES);
        }
        for index in 0..self.waiting.len() {
            if index > 0 && total >= TURN_BYTES {
                return;
            }
            let Some(place) = self.waiting.pop_front() else { return };
            total += self.read(place, SHARE_BYTES);
        }
    }

    fn stop(&mut self) {
        if !std::mem::replace(&mut self.is_stopping, true) {
            self.listeners.clear();
        }
    }

    fn is_drained(&self) -> bool {
        self.places.iter().filter_map(|place| place.connection.as_ref()).all(|connection| {
            self.protocol.unanswered(&connection.state) == 0 && connection.out.is_empty()
        })
    }

    fn open(&mut self, socket: Socket, is_packet: bool) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, connection: None });
            u32::try_from(self.places.len() - 1).expect("connections are bounded")
        });
        let fd = socket.as_raw_fd();
        let token = Token(CONNECTIONS + place as usize);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut SourceFd(&fd), token, interest).is_err() {
            count(&self.metrics.refused);
            self.free.push(place);
            return;
        }
        let now = Instant::now();
        let connection = Connection::new(socket, is_packet, self.protocol.open(now), now);
        self.places[place as usize].connection = Some(connection);
        self.open_count += 1;
        count(&self.metrics.accepted);
        self.metrics.connections.fetch_add(1, Relaxed);
    }

    fn close(&mut self, place: u32) {
        let slot = &mut self.places[place as usize];
        if let Some(connection) = slot.connection.take() {
            self.held_bytes -= connection.held_bytes;
            // No event of it may be taken for one of the next connection in its place.
            let _ = self.poll.registry().deregister(&mut SourceFd(&connection.socket.as_raw_fd()));
            self.ended.push_back(connection.socket);
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(place);
            self.open_count -= 1;
            self.metrics.connections.fetch_sub(1, Relaxed);
        }
    }

    fn note(&mut self, place: usize, event: &mio::event::Event) {
        let Some(connection) = self.places.get_mut(place).and_then(|slot| slot.connection.as_mut())
        else {
            return;
        };
        let place = place as u32;
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            connection.is_readable = true;
            connection.is_ended |= event.is_read_closed() || event.is_error();
            connection.activate(place, &mut self.active);
        }
        if event.is_writable() {
            connection.is_writable = true;
            if !connection.out.is_empty() {
                connection.soil(place, &mut self.dirty);
            }
        }
    }

    /// Reads at most `share` bytes; how many it read.
    fn read(&mut self, place: u32, share: usize) -> usize {
        let slot = &mut self.places[place as usize];
        let generation = slot.generation;
        let Some(connection) = slot.connection.as_mut() else { return 0 };
        connection.is_active = false;
        let origin = Origin::Connection { place, generation };
        let outcome = connection.read(
            &mut self.protocol,
            &origin,
            &mut self.buffer,
            share,
            self.is_stopping,
            &self.metrics,
        );
        let Ok(read) = outcome else {
            self.close(place);
            return share;
        };
        connection.is_held = !connection.may_read(&self.protocol);
        if connection.is_readable && !connection.is_held && !self.is_stopping {
            connection.wait(place, &mut self.waiting);
        }
        connection.soil(place, &mut self.dirty);
        read
    }

    fn deliver(&mut self, bundle: Bundle) {
        for (ticket, status, range) in bundle.answers {
            let body = &bundle.buffer[range];
            if status == Status::TimedOut {
                count(&self.metrics.timed_out);
            }
            count(&self.metrics.answers);
            match &ticket.origin {
                Origin::Connection { place, generation } => {
                    let place = *place;
                    let slot = &mut self.places[place as usize];
                    if slot.generation != *generation {
                        continue;
                    }
                    let Some(connection) = slot.connection.as_mut() else { continue };
                    let Connection { state, out, .. } = connection;
                    self.protocol.deliver(state, ticket, status, body, out);
                    connection.end_packet();
                    connection.soil(place, &mut self.dirty);
                }
                Origin::Datagram { socket, peer } => {
                    let (socket, peer) = (*socket, (**peer).clone());
                    let mut out = Vec::new();
                    self.protocol.deliver_datagram(ticket, status, body, &mut out);
                    if !out.is_empty() {
                        self.send_datagram(socket as usize, &peer, &out);
                    }
                }
            }
        }
    }

    fn write(&mut self, place: u32) {
        let Some(connection) = self.places[place as usize].connection.as_mut() else { return };
        connection.is_dirty = false;
        if connection.write(&self.metrics).is_err() {
            return self.close(place);
        }
        let held_bytes = connection.buffer_bytes();
        self.held_bytes = self.held_bytes - connection.held_bytes + held_bytes;
        connection.held_bytes = held_bytes;
        if connection.waiting() > self.limits.pending_bytes_max {
            count(&self.metrics.overflowed);
            return self.close(place);
        }
        let state = &connection.state;
        if connection.out.is_empty() && self.protocol.unanswered(state) == 0 {
            if connection.lingers.is_some() {
                if connection.is_ended && !connection.is_readable {
                    self.close(place);
                }
                return;
            }
            if connection.is_ended && !connection.is_readable {
                return self.close(place);
            }
            if self.protocol.is_over(state) {
                // A close with unread input would reset the connection and may take the answer with it.
                let _ = connection.socket.shutdown(Shutdown::Write);
                connection.lingers = Some(Instant::now());
                connection.input = Vec::new();
                if connection.is_readable {
                    connection.activate(place, &mut self.active);
                }
                return;
            }
        }
        if connection.is_held && connection.may_read(&self.protocol) && !self.is_stopping {
            connection.is_held = false;
            connection.wait(place, &mut self.waiting);
        }
    }

    /// Closes the connections that hold most until a quarter of the bound is free again.
    fn shed(&mut self) {
        let mut holders: Vec<(usize, u32)> = Vec::new();
        for (place, slot) in self.places.iter().enumerate() {
            if let Some(connection) = &slot.connection
                && connection.held_bytes > 0
            {
                holders.push((connection.held_bytes, place as u32));
            }
        }
        holders.sort_unstable_by(|a, b| b.cmp(a));
        for (_, place) in holders {
            if self.held_bytes <= self.limits.held_bytes_max / 4 * 3 {
                return;
            }
            count(&self.metrics.overflowed);
            self.close(place);
        }
    }

    fn tick(&mut self, now: Instant) {
        if self.accept_again.is_some_and(|again| now >= again) {
            self.accept_again = None;
            for index in 0..self.listeners.len() {
                self.note_listener(index);
            }
        }
        for place in 0..self.places.len() {
            let Some(connection) = &self.places[place].connection else { continue };
            let is_over = match connection.lingers {
                Some(since) => now - since > LINGER,
                None => {
                    let Connection { input, state, since, is_held, .. } = connection;
                    let is_partial = !input.is_empty() && !is_held;
                    let is_expired = self.protocol.is_expired(state, now, *since, is_partial);
                    if is_expired {
                        count(&self.metrics.expired);
                    }
                    is_expired
                }
            };
            if is_over {
                self.close(place as u32);
            }
        }
    }
}

#[cfg(test)]
mod tests;
