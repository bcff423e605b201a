//! The thread that keeps a link open: connects, beats, sends what is due, and tells answers.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, SockAddr, Socket, Type};
use viabtc_wire::frame::{
    FrameError, HEARTBEAT, Head, heartbeat_items, read_frame, read_head, write_frame,
};
use viabtc_wire::methods::ErrorCode;
use viabtc_wire::reply::write_common_error;

use super::{Answer, Shared, send};
use crate::address::Address;
use crate::backend::{Outbox, Status, Ticket};

/// Pause between heartbeats. Source: nw_rpc.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Longest sleep of the thread, which is the precision of time-outs.
const TICK: Duration = Duration::from_millis(20);

/// Linux's number for a connection that is being made.
const IN_PROGRESS: i32 = 115;

const LINK: Token = Token(0);

/// Token of the waker that the other threads use.
pub(super) const WAKER: Token = Token(1);

/// Size of the read buffer.
const READ_BYTES: usize = 256 * 1024;

enum Phase {
    /// For the next attempt.
    Waiting(Instant),
    /// Since then.
    Connecting(Socket, Instant),
    Connected {
        socket: Socket,
        last_answer: Instant,
        last_heartbeat: Instant,
    },
}

/// The thread's side of a link.
pub(super) struct Link {
    shared: Arc<Shared>,
    poll: Poll,
    /// Place of the address that is tried.
    address: usize,
    phase: Phase,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    /// Bytes that are still to come of an answer that is too large.
    skipping: usize,
}

/// Answers of one look at the link, and their bodies.
#[derive(Default)]
struct Found {
    bodies: Vec<u8>,
    answers: Vec<(Outbox, Answer)>,
}

impl Found {
    fn add(&mut self, outbox: Outbox, ticket: Ticket, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bodies.len();
        write(&mut self.bodies);
        self.answers.push((outbox, (ticket, Status::Answered, start..self.bodies.len())));
    }
}

impl Link {
    pub(super) fn new(shared: Arc<Shared>, poll: Poll) -> Link {
        Link {
            shared,
            poll,
            address: 0,
            phase: Phase::Waiting(Instant::now()),
            out: Vec::new(),
            written: 0,
            input: Vec::new(),
            skipping: 0,
        }
    }

    /// Keeps the link open until it is stopped.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(16);
        let mut buffer = vec![0; READ_BYTES];
        while !self.shared.is_stopping.load(Acquire) {
            match self.poll.poll(&mut events, Some(TICK)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => other?,
            }
            let is_readable = events
                .iter()
                .any(|event| event.token() == LINK && (event.is_readable() || event.is_error()));
            let now = Instant::now();
            match self.turn(now, is_readable, &mut buffer) {
                Ok(()) => {}
                Err(_) => self.fail(now),
            }
            self.shared.end_flights(Some(now));
            self.shared.turns.fetch_add(1, Release);
        }
        self.shared.is_connected.store(false, Release);
        self.shared.end_flights(None);
        Ok(())
    }

    fn turn(&mut self, now: Instant, is_readable: bool, buffer: &mut [u8]) -> io::Result<()> {
        let options = &self.shared.options;
        match &mut self.phase {
            Phase::Waiting(until) if now >= *until => self.connect(now),
            Phase::Waiting(_) => Ok(()),
            Phase::Connecting(socket, since) => {
                if let Some(error) = socket.take_error()? {
                    return Err(error);
                }
                if socket.peer_addr().is_err() {
                    let is_over = now - *since > options.reconnect_timeout;
                    return if is_over { Err(ErrorKind::TimedOut.into()) } else { Ok(()) };
                }
                let Phase::Connecting(socket, _) =
                    std::mem::replace(&mut self.phase, Phase::Waiting(now))
                else {
                    return Ok(());
                };
                let last_heartbeat = now - HEARTBEAT_INTERVAL;
                self.phase = Phase::Connected { socket, last_answer: now, last_heartbeat };
                // A request that slipped in between two links must not be sent late.
                self.shared.end_flights(None);
                self.shared.is_connected.store(true, Release);
                self.write(now)
            }
            Phase::Connected { .. } => {
                // A short read leaves nothing behind, so an event precedes whatever is to be read.
                if is_readable {
                    self.read(now, buffer)?;
                }
                self.write(now)
            }
        }
    }

    fn connect(&mut self, now: Instant) -> io::Result<()> {
        let (domain, address) = match &self.shared.options.addresses[self.address] {
            Address::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
            Address::Stream(path) => (Domain::UNIX, SockAddr::unix(path)?),
            _ => return Err(io::Error::other("a link is a stream")),
        };
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        if domain != Domain::UNIX {
            socket.set_tcp_nodelay(true)?;
        }
        match socket.connect(&address) {
            Err(error)
                if error.kind() != ErrorKind::WouldBlock
                    && error.raw_os_error() != Some(IN_PROGRESS) =>
            {
                return Err(error);
            }
            _ => {}
        }
        let fd = socket.as_raw_fd();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut SourceFd(&fd), LINK, interest)?;
        self.phase = Phase::Connecting(socket, now);
        Ok(())
    }

    /// Gives the link up: the next address at once, after the last of them a pause.
    fn fail(&mut self, now: Instant) {
        self.shared.is_connected.store(false, Release);
        self.address = (self.address + 1) % self.shared.options.addresses.len();
        let pause =
            if self.address == 0 { self.shared.options.reconnect_timeout } else { Duration::ZERO };
        self.phase = Phase::Waiting(now + pause);
        self.out.clear();
        self.written = 0;
        self.input.clear();
        self.skipping = 0;
        self.shared.end_flights(None);
    }

    fn read(&mut self, now: Instant, buffer: &mut [u8]) -> io::Result<()> {
        let mut found = Found::default();
        let mut outcome = Ok(());
        while let Phase::Connected { socket, last_answer, .. } = &mut self.phase {
            match (&*socket).read(buffer) {
                Ok(0) => {
                    outcome = Err(ErrorKind::UnexpectedEof.into());
                    break;
                }
                Ok(size) => {
                    let skipped = size.min(self.skipping);
                    if skipped > 0 {
                        // The heartbeats stand behind it.
                        *last_answer = now;
                        self.skipping -= skipped;
                    }
                    self.input.extend_from_slice(&buffer[skipped..size]);
                    if self.input.len() >= READ_BYTES {
                        outcome = self.take(now, &mut found);
                        if outcome.is_err() {
                            break;
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        let taken = self.take(now, &mut found);
        send(found.bodies, found.answers);
        outcome.and(taken)
    }

    /// Takes whole frames from the start of the input.
    fn take(&mut self, now: Instant, found: &mut Found) -> io::Result<()> {
        let Phase::Connected { last_answer, .. } = &mut self.phase else { return Ok(()) };
        let mut state = self.shared.lock();
        let mut consumed = 0;
        let outcome = loop {
            let rest = &self.input[consumed..];
            match read_frame(rest, self.shared.options.max_pkg_size) {
                Ok(None) => break Ok(()),
                Ok(Some((frame, size))) => {
                    consumed += size;
                    if frame.head.command == HEARTBEAT {
                        *last_answer = now;
                    } else if let Some((outbox, ticket)) =
                        state.flights.remove(&frame.head.sequence)
                    {
                        found.add(outbox, ticket, |bodies| bodies.extend_from_slice(frame.body));
                    }
                }
                // It costs its own request only: the link is that of everybody.
                Err(FrameError::TooLarge(size)) => {
                    let flight =
                        read_head(rest).and_then(|head| state.flights.remove(&head.sequence));
                    if let Some((outbox, ticket)) = flight {
                        let id = Some(ticket.head.request_id.cast_signed());
                        found.add(outbox, ticket, |bodies| {
                            write_common_error(ErrorCode::InvalidArgument, id, bodies);
                        });
                    }
                    let size = usize::try_from(size).unwrap_or(usize::MAX);
                    let here = size.min(rest.len());
                    consumed += here;
                    self.skipping = size - here;
                }
                Err(_) => break Err(ErrorKind::InvalidData.into()),
            }
        };
        drop(state);
        self.input.drain(..consumed);
        outcome
    }

    fn write(&mut self, now: Instant) -> io::Result<()> {
        let Phase::Connected { socket, last_answer, last_heartbeat } = &mut self.phase else {
            return Ok(());
        };
        let timeout = self.shared.options.heartbeat_timeout;
        if now - *last_answer > timeout {
            return Err(ErrorKind::TimedOut.into());
        }
        {
            let mut state = self.shared.lock();
            if self.written == self.out.len() {
                self.out.clear();
                self.written = 0;
                std::mem::swap(&mut self.out, &mut state.outgoing);
            } else {
                self.out.append(&mut state.outgoing);
            }
        }
        if now - *last_heartbeat >= HEARTBEAT_INTERVAL {
            *last_heartbeat = now;
            let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
            write_frame(&Head::default(), b"", &heartbeat_items(timeout_ms), &mut self.out);
        }
        while self.written < self.out.len() {
            match (&*socket).write(&self.out[self.written..]) {
                Ok(size) => self.written += size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
