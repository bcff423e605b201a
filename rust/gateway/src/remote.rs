//! A service behind a binary RPC link, as a [`Backend`].
//!
//! One link, many requests in flight, matched by sequence. A link that breaks is opened again; what was in
//! flight then ends as timed out at once, since nobody knows whether it was done.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, SockAddr, Socket, Type};
use viabtc_wire::frame::{
    FrameError, HEAD_BYTES, HEARTBEAT, Head, REQUEST, heartbeat_items, read_frame, read_head,
    write_frame,
};
use viabtc_wire::json::write_array;
use viabtc_wire::methods::ErrorCode;
use viabtc_wire::reply::write_common_error;

use crate::address::Address;
use crate::backend::{Backend, Bundle, Outbox, Refusal, Session, Status, Ticket};
use crate::pulse::{Turning, all_turn};

/// Requests that may be in flight; above it the service counts as unavailable.
const FLIGHTS_MAX: usize = 65_536;

/// Pause between heartbeats. Source: nw_rpc, and the longest sleep of the link's thread.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Precision of time-outs.
const TICK: Duration = Duration::from_millis(20);

/// Linux's number for a connection that is being made.
const IN_PROGRESS: i32 = 115;

const LINK: Token = Token(0);
const WAKER: Token = Token(1);
const READ_BYTES: usize = 256 * 1024;

/// How the link behaves; the names are the original's keys.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// Tried in turn; `tcp@` or `stream@`.
    pub addresses: Vec<Address>,
    /// Largest answer; a larger one is read over, and its request refused.
    pub max_pkg_size: usize,
    /// Largest request that the service reads, head included.
    pub request_bytes_max: usize,
    /// Wait for a connection, and before the next attempt.
    pub reconnect_timeout: Duration,
    /// The link is dead when no heartbeat was answered for this.
    pub heartbeat_timeout: Duration,
    /// Wait for an answer.
    pub timeout: Duration,
}

/// The link.
pub struct Remote {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    options: RemoteOptions,
    state: Mutex<State>,
    waker: Waker,
    is_connected: AtomicBool,
    is_stopping: AtomicBool,
    /// Turns of the link's thread.
    turns: AtomicU64,
}

#[derive(Default)]
struct State {
    outgoing: Vec<u8>,
    flights: HashMap<u32, (Outbox, Ticket)>,
    /// In order of their ends; some have been answered.
    ends: VecDeque<(Instant, u32)>,
    last_sequence: u32,
}

impl Remote {
    /// Starts to connect.
    ///
    /// # Errors
    /// When the link's thread cannot start.
    pub fn start(options: RemoteOptions) -> io::Result<Arc<Remote>> {
        assert!(!options.addresses.is_empty(), "the caller checked the addresses");
        let poll = Poll::new()?;
        let shared = Arc::new(Shared {
            options,
            state: Mutex::new(State { last_sequence: drawn(), ..State::default() }),
            waker: Waker::new(poll.registry(), WAKER)?,
            is_connected: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            turns: AtomicU64::new(0),
        });
        let link = Link {
            shared: Arc::clone(&shared),
            poll,
            address: 0,
            phase: Phase::Waiting(Instant::now()),
            out: Vec::new(),
            written: 0,
            input: Vec::new(),
            skipping: 0,
        };
        let thread = std::thread::Builder::new().name("rpc-link".into()).spawn(move || {
            if let Err(error) = link.run() {
                eprintln!("an RPC link's event loop ended: {error}");
            }
        })?;
        Ok(Arc::new(Remote { shared, thread: Mutex::new(Some(thread)) }))
    }

    /// Whether requests can be sent now.
    pub fn is_connected(&self) -> bool {
        self.shared.is_connected.load(Acquire)
    }

    /// Whether the link's thread goes round within `within`.
    pub fn beats(&self, within: Duration) -> bool {
        all_turn(&[&*self.shared], within)
    }

    /// Closes the link; what is in flight ends as timed out.
    pub fn stop(&self) {
        self.shared.is_stopping.store(true, Release);
        // It fails only when the thread has ended.
        let _ = self.shared.waker.wake();
        if let Some(thread) = self.thread.lock().expect("nobody panics here").take() {
            // A panic there has been reported by the thread.
            let _ = thread.join();
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Backend for Remote {
    fn session(&self, outbox: Outbox) -> Box<dyn Session> {
        Box::new(RemoteSession { shared: Arc::clone(&self.shared), outbox, is_dirty: false })
    }

    fn is_connected(&self) -> bool {
        Remote::is_connected(self)
    }
}

struct RemoteSession {
    shared: Arc<Shared>,
    outbox: Outbox,
    is_dirty: bool,
}

impl Session for RemoteSession {
    fn submit(
        &mut self,
        command: u32,
        id: i64,
        params: &[u8],
        mut ticket: Ticket,
    ) -> Result<(), (Refusal, Ticket)> {
        let options = &self.shared.options;
        if !self.shared.is_connected.load(Acquire) {
            return Err((Refusal::Unavailable, ticket));
        }
        let bytes_max = options.request_bytes_max.saturating_sub(HEAD_BYTES);
        let mut one_line = Vec::new();
        let mut params = params;
        if params.len() > bytes_max {
            // The original sends every text on one line: one may be too long for its blanks only.
            if write_array(params, &mut one_line).is_err() {
                return Err((Refusal::Malformed, ticket));
            }
            params = &one_line;
        }
        if params.len() > bytes_max {
            return Err((Refusal::TooLarge, ticket));
        }
        let mut state = self.shared.lock();
        if state.flights.len() >= FLIGHTS_MAX {
            return Err((Refusal::Unavailable, ticket));
        }
        let sequence = state.next_sequence();
        ticket.call = sequence;
        let head =
            Head { command, kind: REQUEST, result: 0, sequence, request_id: id.cast_unsigned() };
        write_frame(&head, b"", params, &mut state.outgoing);
        state.flights.insert(sequence, (self.outbox.clone(), ticket));
        state.ends.push_back((Instant::now() + options.timeout, sequence));
        self.is_dirty = true;
        Ok(())
    }

    fn flush(&mut self) {
        if std::mem::take(&mut self.is_dirty) {
            // It fails only when the link's thread has ended.
            let _ = self.shared.waker.wake();
        }
    }
}

impl Turning for Shared {
    fn turns(&self) -> u64 {
        self.turns.load(Acquire)
    }

    fn nudge(&self) {
        // It fails only when the link's thread has ended.
        let _ = self.waker.wake();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the link")
    }

    /// Ends everything in flight, or what is due at `now`, as timed out.
    fn end_flights(&self, now: Option<Instant>) {
        let mut ended = Vec::new();
        let mut state = self.lock();
        while let Some(&(end, sequence)) = state.ends.front()
            && now.is_none_or(|now| end <= now)
        {
            state.ends.pop_front();
            if let Some((outbox, ticket)) = state.flights.remove(&sequence) {
                ended.push((outbox, (ticket, Status::TimedOut, 0..0)));
            }
        }
        if now.is_none() {
            state.outgoing.clear();
        }
        drop(state);
        send(Vec::new(), ended);
    }
}

impl State {
    /// Skips 0 and numbers in flight.
    fn next_sequence(&mut self) -> u32 {
        loop {
            self.last_sequence = self.last_sequence.wrapping_add(1);
            if self.last_sequence != 0 && !self.flights.contains_key(&self.last_sequence) {
                return self.last_sequence;
            }
        }
    }
}

/// Where sequences begin: anywhere, so that one names a request among those of all links.
fn drawn() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

type Answer = (Ticket, Status, std::ops::Range<usize>);

/// Sends answers, one bundle per thread that waits.
fn send(buffer: Vec<u8>, answers: Vec<(Outbox, Answer)>) {
    let buffer = Arc::new(buffer);
    let mut bundles: Vec<(Outbox, Vec<Answer>)> = Vec::new();
    for (outbox, answer) in answers {
        match bundles.iter_mut().find(|(other, _)| other.is_same(&outbox)) {
            Some((_, answers)) => answers.push(answer),
            None => bundles.push((outbox, vec![answer])),
        }
    }
    for (outbox, answers) in bundles {
        outbox.send(Bundle { buffer: Arc::clone(&buffer), answers });
    }
}

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

struct Link {
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
    fn run(mut self) -> io::Result<()> {
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
