//! One thread of the hub: its connections, its topics, its turn.
//!
//! A turn: take events, read and hand messages to the dialect, send questions on, take answers and
//! commands in, write each connection that has something once. An idle connection holds no buffers.

use std::collections::HashMap;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime};
use std::{io, mem};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::Socket;
use viabtc_wire::frame::Head;
use viabtc_wire::methods::ErrorCode;
use viabtc_wire::reply::write_common_error;

use super::frames::{Assembler, Closing, Frame, FrameLimits, Incoming, Opcode, close, frame, text};
use super::handshake::{self, Terms};
use super::metrics::HubMetrics;
use super::notices::{Answer, Notices, Request};
use super::queue::{Queue, Slot};
use super::topics::{Due, Family, Publication, Subscriber, Topics};
use super::{ConnectionId, Dialect, HubOptions};
use crate::backend::{Backend, Bundle, Origin, Outbox, Refusal, Session, Status, Ticket};
use crate::metrics::count;

const WAKER: Token = Token(0);
const LISTENERS: usize = 1;
/// Tokens from here on are connections.
const CONNECTIONS: usize = 64;

/// Places are named with 24 bits.
const PLACES_MAX: usize = 1 << 24;

/// The place of questions that the owner asks.
const OWNER: u32 = u32::MAX;

/// Size of the shared read buffer.
const READ_BYTES: usize = 64 * 1024;

/// Bytes read from one connection in a turn, so that others get theirs.
const READ_TURN_BYTES: usize = 256 * 1024;

/// Frames that are written at once.
const WRITE_FRAMES: usize = 64;

/// Requests of one connection that may be unanswered; above it the thread stops reading from it.
const UNANSWERED_MAX: u32 = 256;

/// Bytes of publications that may wait for a thread before publishers wait.
const MAILBOX_BYTES_MAX: usize = 16 << 20;

/// Pause between looks at all connections, and the longest sleep.
const TICK: Duration = Duration::from_millis(250);

/// Pause after a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a closing connection may take to read what is left, and to close.
const LINGER_MS: u64 = 1_000;

/// A listening socket.
pub(crate) struct Listening {
    pub(crate) socket: Socket,
    pub(crate) is_internet: bool,
}

/// What other threads tell a thread of the hub.
pub(crate) enum Command {
    Publish(Arc<Vec<(Arc<str>, Publication)>>),
    Authenticate { connection: ConnectionId, user: u32, answer: Frame },
    Answer { connection: ConnectionId, answer: Frame },
    Close { connection: ConnectionId, closing: Closing },
    ClosePrivate(Closing),
    Ask { tag: u32, place: usize, command: u32, params: Vec<u8> },
}

/// The way into a thread of the hub.
pub(crate) struct Mailbox {
    state: Mutex<Letters>,
    taken: Condvar,
    /// Its waker is the thread's.
    outbox: Outbox,
}

#[derive(Default)]
struct Letters {
    commands: Vec<Command>,
    /// Of publications.
    bytes: usize,
    deadline: Option<Instant>,
}

impl Mailbox {
    pub(crate) fn send(&self, command: Command) {
        let mut letters = self.lock();
        letters.commands.push(command);
        if letters.commands.len() == 1 {
            self.wake();
        }
    }

    /// As `send`, after waiting for room.
    pub(crate) fn send_bounded(&self, command: Command, bytes: usize) {
        let letters = self.lock();
        let mut letters = self
            .taken
            .wait_while(letters, |letters| {
                letters.bytes > MAILBOX_BYTES_MAX && letters.deadline.is_none()
            })
            .expect("nobody panics while holding the mailbox");
        letters.bytes += bytes;
        letters.commands.push(command);
        if letters.commands.len() == 1 {
            self.wake();
        }
    }

    pub(crate) fn stop(&self, deadline: Instant) {
        self.lock().deadline = Some(deadline);
        self.taken.notify_all();
        self.wake();
    }

    fn take(&self) -> (Vec<Command>, Option<Instant>) {
        let mut letters = self.lock();
        if letters.bytes > 0 {
            letters.bytes = 0;
            self.taken.notify_all();
        }
        (mem::take(&mut letters.commands), letters.deadline)
    }

    fn wake(&self) {
        self.outbox.wake();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Letters> {
        self.state.lock().expect("nobody panics while holding the mailbox")
    }
}

pub(crate) struct Thread {
    poll: Poll,
    listeners: Vec<Listening>,
    mailbox: Arc<Mailbox>,
    dialect: Box<dyn Dialect>,
    core: Core,
    buffer: Vec<u8>,
    accept_again: Option<Instant>,
    dated: Instant,
}

/// Everything but the poll and the dialect, so that the dialect can use it.
struct Core {
    index: u8,
    options: Arc<HubOptions>,
    terms: Terms,
    date: String,
    places: Vec<Place>,
    free: Vec<u32>,
    open_count: usize,
    /// Open connections by client, while that is bounded.
    addresses: HashMap<IpAddr, u32>,
    topics: Topics,
    backends: Vec<Option<Arc<dyn Backend>>>,
    sessions: Vec<Option<Box<dyn Session>>>,
    outbox: Outbox,
    notices: Arc<Notices>,
    metrics: Arc<HubMetrics>,
    /// Places to read in this turn.
    active: Vec<u32>,
    /// Places to write in this turn.
    dirty: Vec<u32>,
    started: Instant,
    /// Milliseconds since the start, as of this turn.
    now_ms: u64,
    is_stopping: bool,
}

struct Place {
    generation: u32,
    connection: Option<Connection>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The handshake is not whole.
    Opening,
    Open,
    /// A close frame, or a refusal, is the last that is written; what comes is discarded.
    Closing,
}

struct Connection {
    socket: Socket,
    phase: Phase,
    is_readable: bool,
    is_writable: bool,
    /// The peer sends no more.
    is_ended: bool,
    is_active: bool,
    is_dirty: bool,
    /// Our direction is shut down.
    is_shut: bool,
    /// Counted in `addresses`.
    is_counted: bool,
    /// A ping waits for any sign of life.
    is_pinged: bool,
    /// Begin of a frame, or of the handshake, whose rest has not come.
    input: Vec<u8>,
    assembler: Assembler,
    queue: Queue,
    subscriptions: Vec<Subscription>,
    user: Option<u32>,
    address: Option<IpAddr>,
    unanswered: u32,
    /// Frames of the second that began at `second_ms`.
    frames: u32,
    second_ms: u64,
    /// When the phase began or bytes came last.
    seen_ms: u64,
    /// When bytes went out last, or began to wait.
    moved_ms: u64,
}

struct Subscription {
    topic: u32,
    /// Where the connection stands among the topic's subscribers.
    position: u32,
}

impl Thread {
    pub(crate) fn new(
        index: u8,
        listeners: Vec<Listening>,
        backends: &[Option<Arc<dyn Backend>>],
        dialect: Box<dyn Dialect>,
        options: Arc<HubOptions>,
        notices: Arc<Notices>,
        metrics: Arc<HubMetrics>,
    ) -> io::Result<(Thread, Arc<Mailbox>)> {
        let poll = Poll::new()?;
        let outbox = Outbox::new(Waker::new(poll.registry(), WAKER)?);
        let mailbox = Arc::new(Mailbox {
            state: Mutex::default(),
            taken: Condvar::new(),
            outbox: outbox.clone(),
        });
        for (place, listener) in listeners.iter().enumerate() {
            let fd = listener.socket.as_raw_fd();
            let token = Token(LISTENERS + place);
            poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        }
        let sessions =
            backends.iter().map(|backend| Some(backend.as_ref()?.session(outbox.clone())));
        let core = Core {
            index,
            terms: Terms {
                protocol: options.protocol.clone(),
                origin_suffix: options.origin_suffix.clone(),
                origins: options.origins.clone(),
            },
            options,
            date: httpdate::fmt_http_date(SystemTime::now()),
            places: Vec::new(),
            free: Vec::new(),
            open_count: 0,
            addresses: HashMap::new(),
            topics: Topics::default(),
            backends: backends.to_vec(),
            sessions: sessions.collect(),
            outbox,
            notices,
            metrics,
            active: Vec::new(),
            dirty: Vec::new(),
            started: Instant::now(),
            now_ms: 0,
            is_stopping: false,
        };
        let thread = Thread {
            poll,
            listeners,
            mailbox: Arc::clone(&mailbox),
            dialect,
            core,
            buffer: vec![0; READ_BYTES],
            accept_again: None,
            dated: Instant::now(),
        };
        Ok((thread, mailbox))
    }

    /// Serves until it is stopped.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(4096);
        let mut next_tick = Instant::now() + TICK;
        loop {
            let timeout = if self.core.active.is_empty() {
                next_tick.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => other?,
            }
            let now = Instant::now();
            self.core.now_ms = (now - self.core.started).as_millis() as u64;
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(index) if index < CONNECTIONS => self.accept(index - LISTENERS),
                    Token(index) => self.core.note(index - CONNECTIONS, event),
                }
            }
            for place in mem::take(&mut self.core.active) {
                self.read(place);
            }
            for session in self.core.sessions.iter_mut().flatten() {
                session.flush();
            }
            for bundle in self.core.outbox.take() {
                self.core.deliver(bundle);
            }
            let (commands, deadline) = self.mailbox.take();
            for command in commands {
                self.core.obey(command);
            }
            for place in mem::take(&mut self.core.dirty) {
                self.core.write(place);
            }
            if now >= next_tick {
                next_tick = now + TICK;
                self.tick(now);
            }
            if let Some(deadline) = deadline {
                if !mem::replace(&mut self.core.is_stopping, true) {
                    self.listeners.clear();
                    self.core.close_all();
                }
                if now >= deadline || self.core.open_count == 0 {
                    return Ok(());
                }
                next_tick = next_tick.min(deadline);
            }
        }
    }

    fn accept(&mut self, index: usize) {
        while let Some(Listening { socket, is_internet }) = self.listeners.get(index) {
            let is_internet = *is_internet;
            let accepted = socket.accept().and_then(|(socket, peer)| {
                socket.set_nonblocking(true)?;
                if is_internet {
                    socket.set_tcp_nodelay(true)?;
                }
                Ok((socket, peer.as_socket().map(|peer| peer.ip())))
            });
            match accepted {
                Ok((socket, address)) => self.open(socket, address),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    _ => {
                        count(&self.core.metrics.refused);
                        self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
                        return;
                    }
                },
            }
        }
    }

    fn open(&mut self, socket: Socket, address: Option<IpAddr>) {
        let core = &mut self.core;
        if core.open_count >= core.options.connections_max.min(PLACES_MAX) {
            count(&core.metrics.refused);
            return;
        }
        let place = core.free.pop().unwrap_or_else(|| {
            core.places.push(Place { generation: 0, connection: None });
            u32::try_from(core.places.len() - 1).expect("places are bounded")
        });
        let fd = socket.as_raw_fd();
        let token = Token(CONNECTIONS + place as usize);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut SourceFd(&fd), token, interest).is_err() {
            count(&core.metrics.refused);
            core.free.push(place);
            return;
        }
        core.places[place as usize].connection = Some(Connection {
            socket,
            phase: Phase::Opening,
            is_readable: false,
            is_writable: true,
            is_ended: false,
            is_active: false,
            is_dirty: false,
            is_shut: false,
            is_counted: false,
            is_pinged: false,
            input: Vec::new(),
            assembler: Assembler::default(),
            queue: Queue::default(),
            subscriptions: Vec::new(),
            user: None,
            address,
            unanswered: 0,
            frames: 0,
            second_ms: core.now_ms,
            seen_ms: core.now_ms,
            moved_ms: core.now_ms,
        });
        core.open_count += 1;
        count(&core.metrics.accepted);
        core.metrics.connections.fetch_add(1, Relaxed);
    }

    /// Reads what is there, up to a turn's share.
    fn read(&mut self, place: u32) {
        let Some(connection) = self.core.connection(place) else { return };
        connection.is_active = false;
        let mut input = mem::take(&mut connection.input);
        if !input.is_empty() && connection.phase == Phase::Open {
            // What was left when too much was unanswered.
            self.take_input(place, &mut input);
        } else {
            connection.input = input;
        }
        let mut total = 0;
        while let Some(connection) = self.core.connection(place)
            && connection.is_readable
            && connection.may_read()
        {
            if total >= READ_TURN_BYTES {
                return self.core.activate(place);
            }
            match (&connection.socket).read(&mut self.buffer) {
                Ok(0) => {
                    connection.is_ended = true;
                    connection.is_readable = false;
                }
                Ok(size) => {
                    total += size;
                    // Less than asked for: the socket is empty, and its next byte is a new event.
                    connection.is_readable = size == self.buffer.len() || connection.is_ended;
                    let input = mem::take(&mut connection.input);
                    self.core.metrics.bytes_in.fetch_add(size as u64, Relaxed);
                    self.receive(place, input, size);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    connection.is_readable = false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.core.drop_connection(place),
            }
        }
        if let Some(connection) = self.core.connection(place)
            && connection.is_ended
            && !connection.is_readable
            && (connection.phase != Phase::Closing || connection.is_shut)
        {
            self.core.drop_connection(place);
        }
    }

    /// Takes `size` bytes of the buffer, behind what was left.
    fn receive(&mut self, place: u32, mut input: Vec<u8>, size: usize) {
        if input.is_empty() {
            let mut buffer = mem::take(&mut self.buffer);
            let consumed = self.process(place, &mut buffer[..size]);
            if consumed < size
                && let Some(connection) = self.core.connection(place)
            {
                connection.input = buffer[consumed..size].to_vec();
            }
            self.buffer = buffer;
        } else {
            input.extend_from_slice(&self.buffer[..size]);
            self.take_input(place, &mut input);
        }
    }

    /// Processes `input`, and keeps what is left of it.
    fn take_input(&mut self, place: u32, input: &mut Vec<u8>) {
        let consumed = self.process(place, input);
        if let Some(connection) = self.core.connection(place) {
            input.drain(..consumed);
            connection.input = mem::take(input);
        }
    }

    /// Takes handshake and whole frames from the start of `input`; how many bytes.
    fn process(&mut self, place: u32, input: &mut [u8]) -> usize {
        let core = &mut self.core;
        let limits = FrameLimits {
            frame_bytes_max: core.options.frame_bytes_max,
            message_bytes_max: core.options.message_bytes_max,
        };
        let mut consumed = 0;
        while consumed < input.len() {
            let now_ms = core.now_ms;
            let Some(connection) = core.connection(place) else { return input.len() };
            match connection.phase {
                Phase::Closing => return input.len(),
                Phase::Opening => match core.shake(place, &input[consumed..]) {
                    0 => return consumed,
                    size => consumed += size,
                },
                Phase::Open => {
                    if !connection.may_read() {
                        return consumed;
                    }
                    (connection.seen_ms, connection.is_pinged) = (now_ms, false);
                    let incoming = match connection.assembler.next(&mut input[consumed..], limits) {
                        Ok(None) => return consumed,
                        Ok(Some((incoming, size))) => {
                            consumed += size;
                            incoming
                        }
                        Err(closing) => {
                            count(&core.metrics.malformed);
                            core.close(place, closing);
                            return input.len();
                        }
                    };
                    if core.is_too_much(place) {
                        count(&core.metrics.malformed);
                        core.close(place, Closing::TOO_MUCH);
                        return input.len();
                    }
                    match incoming {
                        Incoming::Message { payload, is_text } => {
                            count(&core.metrics.requests);
                            let mut desk = Desk { core, place };
                            self.dialect.message(&mut desk, &payload, is_text);
                        }
                        Incoming::Ping(payload) => {
                            let pong = frame(Opcode::Pong, &[payload]);
                            core.send(place, pong);
                        }
                        Incoming::Close(code) => {
                            core.begin_close(place, close(code, ""));
                            return input.len();
                        }
                        Incoming::Fragment | Incoming::Pong => {}
                    }
                }
            }
        }
        consumed
    }

    fn tick(&mut self, now: Instant) {
        if now - self.dated >= Duration::from_secs(1) {
            self.dated = now;
            self.core.date = httpdate::fmt_http_date(SystemTime::now());
        }
        if self.accept_again.is_some_and(|again| now >= again) {
            self.accept_again = None;
            for index in 0..self.listeners.len() {
                self.accept(index);
            }
        }
        for place in 0..self.core.places.len() {
            self.core.look_after(place as u32);
        }
    }
}

impl Connection {
    fn may_read(&self) -> bool {
        self.unanswered < UNANSWERED_MAX || self.phase == Phase::Closing
    }
}

impl Core {
    fn connection(&mut self, place: u32) -> Option<&mut Connection> {
        self.places.get_mut(place as usize)?.connection.as_mut()
    }

    /// The connection of that name, unless it is gone or closing.
    fn named(&mut self, id: ConnectionId) -> Option<(u32, &mut Connection)> {
        let (place, generation) = id.place();
        let slot = self.places.get_mut(place as usize)?;
        let connection = slot.connection.as_mut()?;
        let is_open = slot.generation == generation && connection.phase == Phase::Open;
        is_open.then_some((place, connection))
    }

    fn note(&mut self, place: usize, event: &mio::event::Event) {
        let place = place as u32;
        let Some(connection) = self.connection(place) else { return };
        if event.is_writable() {
            connection.is_writable = true;
            if !connection.queue.is_empty() {
                self.soil(place);
            }
        }
        let Some(connection) = self.connection(place) else { return };
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            connection.is_readable = true;
            connection.is_ended |= event.is_read_closed() || event.is_error();
            self.activate(place);
        }
    }

    fn activate(&mut self, place: u32) {
        if let Some(connection) = self.connection(place)
            && !mem::replace(&mut connection.is_active, true)
        {
            self.active.push(place);
        }
    }

    fn soil(&mut self, place: u32) {
        if let Some(connection) = self.connection(place)
            && !mem::replace(&mut connection.is_dirty, true)
        {
            self.dirty.push(place);
        }
    }

    /// Reads the handshake; how many bytes it took, 0 while its rest has not come.
    fn shake(&mut self, place: u32, input: &[u8]) -> usize {
        match handshake::open(input, &self.terms, &self.date) {
            Ok(None) => 0,
            Ok(Some(opening)) => {
                let is_trusting = self.options.trusts_forwarded;
                let now_ms = self.now_ms;
                let Some(connection) = self.connection(place) else { return input.len() };
                if is_trusting && opening.forwarded.is_some() {
                    connection.address = opening.forwarded;
                }
                if !self.admit(place) {
                    let refusal = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\
                        Connection: close\r\n\r\n";
                    self.refuse(place, refusal);
                    return input.len();
                }
                if let Some(connection) = self.connection(place) {
                    connection.phase = Phase::Open;
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

    fn refuse(&mut self, place: u32, response: &[u8]) {
        count(&self.metrics.refused);
        self.begin_close(place, response.into());
    }

    /// Counts the connection's client, unless it has too many.
    fn admit(&mut self, place: u32) -> bool {
        let most = self.options.connections_per_address_max;
        let Some(address) = self.connection(place).and_then(|connection| connection.address) else {
            return true;
        };
        if most == 0 {
            return true;
        }
        let open = self.addresses.entry(address).or_insert(0);
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
    fn is_too_much(&mut self, place: u32) -> bool {
        let (most, now_ms) = (self.options.frames_per_second_max, self.now_ms);
        let Some(connection) = self.connection(place) else { return false };
        if now_ms - connection.second_ms >= 1_000 {
            (connection.second_ms, connection.frames) = (now_ms, 0);
        }
        connection.frames += 1;
        most > 0 && connection.frames > most
    }

    /// Queues a frame that is never dropped.
    fn send(&mut self, place: u32, frame: Frame) -> Option<Slot> {
        let Core { places, options, metrics, now_ms, .. } = self;
        let connection = places.get_mut(place as usize)?.connection.as_mut()?;
        let slot = connection.push(frame, *now_ms);
        let is_over = connection.is_over(options, metrics, *now_ms);
        self.soil(place);
        if is_over {
            count(&self.metrics.overflowed);
            self.close_hard(place, Closing::OVERFLOW);
        }
        Some(slot)
    }

    fn deliver(&mut self, bundle: Bundle) {
        for (ticket, status, range) in bundle.answers {
            let body = &bundle.buffer[range];
            let Origin::Connection { place, generation } = ticket.origin else { continue };
            if place == OWNER {
                let body = (status == Status::Answered).then(|| body.to_vec());
                self.notices.answer(Answer { tag: ticket.head.sequence, body });
                continue;
            }
            let id = ConnectionId::new(self.index, place, generation);
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

    fn obey(&mut self, command: Command) {
        match command {
            Command::Publish(publications) => {
                for (name, publication) in publications.iter() {
                    self.publish(name, publication);
                }
            }
            Command::Authenticate { connection: id, user, answer } => {
                let Some((place, connection)) = self.named(id) else { return };
                connection.unanswered -= 1;
                if connection.user.replace(user).is_some_and(|before| before != user) {
                    self.leave(place, |family| family.is_private);
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
            Command::Ask { tag, place, command, params } => {
                let origin = Origin::Connection { place: OWNER, generation: 0 };
                let head = Head { command, sequence: tag, ..Head::default() };
                let ticket = Ticket { origin, head, extension: Vec::new() };
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

    fn hears_private(&mut self, place: u32) -> bool {
        let Core { topics, places, .. } = self;
        let Some(connection) = &places[place as usize].connection else { return false };
        connection.subscriptions.iter().any(|mine| topics.get(mine.topic).family.is_private)
    }

    fn publish(&mut self, name: &str, publication: &Publication) {
        count(&self.metrics.publications);
        let Some(id) = self.topics.find(name) else { return };
        let topic = self.topics.get(id);
        let due = topic.apply(publication);
        let has_newcomer = topic.subscribers.iter().any(|subscriber| subscriber.slot.is_none());
        let newcomers = if has_newcomer { topic.snapshot() } else { None };
        let Core { topics, places, dirty, options, metrics, now_ms, .. } = self;
        let mut pushes = 0;
        let mut overflowed = Vec::new();
        for subscriber in &mut topics.get(id).subscribers {
            let place = subscriber.place;
            let slot = places.get_mut(place as usize);
            let Some(connection) = slot.and_then(|slot| slot.connection.as_mut()) else { continue };
            match (&due, subscriber.slot) {
                (Due::Message(frame), _) => {
                    subscriber.slot = Some(connection.push(Frame::clone(frame), *now_ms));
                    pushes += 1;
                }
                (_, None) => {
                    let Some(frame) = &newcomers else { continue };
                    subscriber.slot = Some(connection.push(Frame::clone(frame), *now_ms));
                    pushes += 1;
                }
                (Due::State { update, snapshot }, Some(slot)) => {
                    if connection.queue.replace(slot, snapshot) {
                        count(&metrics.conflated);
                    } else {
                        subscriber.slot = Some(connection.push(Frame::clone(update), *now_ms));
                        pushes += 1;
                    }
                }
                (Due::Items(updates), Some(_)) => {
                    for update in updates {
                        subscriber.slot = Some(connection.push(Frame::clone(update), *now_ms));
                        pushes += 1;
                    }
                }
            }
            if !mem::replace(&mut connection.is_dirty, true) {
                dirty.push(place);
            }
            if connection.is_over(options, metrics, *now_ms) {
                overflowed.push(place);
            }
        }
        metrics.pushes.fetch_add(pushes, Relaxed);
        for place in overflowed {
            count(&self.metrics.overflowed);
            self.close_hard(place, Closing::OVERFLOW);
        }
    }

    /// Ends a connection once everything before is written.
    fn close(&mut self, place: u32, closing: Closing) {
        self.begin_close(place, close(Some(closing.code), closing.reason));
    }

    /// Ends a connection that does not read: what waits is given up.
    fn close_hard(&mut self, place: u32, closing: Closing) {
        if let Some(connection) = self.connection(place) {
            connection.queue.clear_unwritten();
        }
        self.close(place, closing);
    }

    /// `last` is the last that is written.
    fn begin_close(&mut self, place: u32, last: Frame) {
        let now_ms = self.now_ms;
        let Some(connection) = self.connection(place) else { return };
        if connection.phase == Phase::Closing {
            return;
        }
        connection.phase = Phase::Closing;
        connection.seen_ms = now_ms;
        connection.input = Vec::new();
        connection.assembler = Assembler::default();
        connection.push(last, now_ms);
        self.leave(place, |_| true);
        self.soil(place);
    }

    fn close_all(&mut self) {
        for place in 0..self.places.len() as u32 {
            match self.connection(place).map(|connection| connection.phase) {
                Some(Phase::Opening) => self.drop_connection(place),
                Some(Phase::Open) => self.close(place, Closing::GOING_AWAY),
                Some(Phase::Closing) | None => {}
            }
            self.write(place);
        }
    }

    fn drop_connection(&mut self, place: u32) {
        self.leave(place, |_| true);
        let slot = &mut self.places[place as usize];
        let Some(connection) = slot.connection.take() else { return };
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(place);
        self.open_count -= 1;
        self.metrics.connections.fetch_sub(1, Relaxed);
        if let (true, Some(address)) = (connection.is_counted, connection.address)
            && let Some(open) = self.addresses.get_mut(&address)
        {
            *open -= 1;
            if *open == 0 {
                self.addresses.remove(&address);
            }
        }
    }

    fn write(&mut self, place: u32) {
        let Core { places, metrics, now_ms, .. } = self;
        let slot = places.get_mut(place as usize);
        let Some(connection) = slot.and_then(|slot| slot.connection.as_mut()) else { return };
        connection.is_dirty = false;
        if connection.write(metrics, *now_ms).is_err() {
            return self.drop_connection(place);
        }
        if connection.phase == Phase::Closing && connection.queue.is_empty() && !connection.is_shut
        {
            // A close with unread input would reset the connection and may take the last bytes with it.
            let _ = connection.socket.shutdown(Shutdown::Write);
            connection.is_shut = true;
            self.activate(place);
        }
    }

    /// Deadlines of one connection.
    fn look_after(&mut self, place: u32) {
        let now_ms = self.now_ms;
        let options = Arc::clone(&self.options);
        let Some(connection) = self.connection(place) else { return };
        let silent = Duration::from_millis(now_ms - connection.seen_ms);
        let stalled = Duration::from_millis(now_ms - connection.moved_ms);
        let is_waiting = !connection.queue.is_empty();
        match connection.phase {
            Phase::Opening if silent > options.opening_timeout => {
                count(&self.metrics.expired);
                self.drop_connection(place);
            }
            Phase::Closing if now_ms - connection.seen_ms > LINGER_MS => {
                self.drop_connection(place);
            }
            Phase::Open if is_waiting && stalled > options.stall_timeout => {
                count(&self.metrics.overflowed);
                self.close_hard(place, Closing::STALLED);
                self.write(place);
            }
            Phase::Open => {
                let (interval, keep_alive) = (options.ping_interval, options.keep_alive);
                let is_deaf = !interval.is_zero() && silent > 2 * interval;
                if is_deaf || (!keep_alive.is_zero() && silent > keep_alive) {
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

    fn subscribe(&mut self, place: u32, name: &str, family: Family) -> bool {
        let most = self.options.subscriptions_max;
        let Core { topics, places, notices, metrics, .. } = self;
        let Some(connection) = places[place as usize].connection.as_mut() else { return false };
        let known = topics.find(name);
        let is_known =
            |subscription: &Subscription| known.is_some_and(|id| subscription.topic == id);
        if connection.subscriptions.iter().any(is_known) {
            return true;
        }
        if connection.subscriptions.len() >= most {
            return false;
        }
        let (id, is_new) = topics.open(name, family);
        let topic = topics.get(id);
        let position = topic.subscribers.len() as u32;
        connection.subscriptions.push(Subscription { topic: id, position });
        let position = connection.subscriptions.len() as u32 - 1;
        topic.subscribers.push(Subscriber { place, position, slot: None });
        metrics.subscriptions.fetch_add(1, Relaxed);
        if is_new {
            metrics.topics.fetch_add(1, Relaxed);
            notices.watch(&topic.name, family.is_reported, true);
        }
        true
    }

    /// Sends what newcomers get of those of the connection's topics that told it nothing yet.
    fn welcome(&mut self, place: u32, family: Family) {
        let Some(connection) = self.connection(place) else { return };
        let mine: Vec<(u32, u32)> =
            connection.subscriptions.iter().map(|mine| (mine.topic, mine.position)).collect();
        for (id, position) in mine {
            let topic = self.topics.get(id);
            if topic.family != family || topic.subscribers[position as usize].slot.is_some() {
                continue;
            }
            let Some(snapshot) = topic.snapshot() else { continue };
            count(&self.metrics.pushes);
            let slot = self.send(place, snapshot);
            if self.connection(place).is_none_or(|open| open.phase == Phase::Closing) {
                return;
            }
            self.topics.get(id).subscribers[position as usize].slot = slot;
        }
    }

    /// Ends the connection's subscriptions to topics of some families.
    fn leave(&mut self, place: u32, is_left: impl Fn(Family) -> bool) {
        let Core { topics, places, notices, metrics, .. } = self;
        let mut at = 0;
        while let Some(connection) = places[place as usize].connection.as_mut()
            && let Some(subscription) = connection.subscriptions.get(at)
        {
            let (id, position) = (subscription.topic, subscription.position as usize);
            let topic = topics.get(id);
            if !is_left(topic.family) {
                at += 1;
                continue;
            }
            connection.subscriptions.swap_remove(at);
            if let Some(moved) = connection.subscriptions.get(at) {
                topics.get(moved.topic).subscribers[moved.position as usize].position = at as u32;
            }
            let topic = topics.get(id);
            topic.subscribers.swap_remove(position);
            metrics.subscriptions.fetch_sub(1, Relaxed);
            if let Some(moved) = topic.subscribers.get(position) {
                let (other, theirs) = (moved.place as usize, moved.position as usize);
                if let Some(connection) = places[other].connection.as_mut() {
                    connection.subscriptions[theirs].position = position as u32;
                }
            } else if topic.subscribers.is_empty()
                && let Some(topic) = topics.close(id)
            {
                metrics.topics.fetch_sub(1, Relaxed);
                notices.watch(&topic.name, topic.family.is_reported, false);
            }
        }
        if let Some(connection) = places[place as usize].connection.as_mut()
            && connection.subscriptions.is_empty()
        {
            connection.subscriptions = Vec::new();
        }
    }
}

impl Connection {
    fn push(&mut self, frame: Frame, now_ms: u64) -> Slot {
        if self.queue.is_empty() {
            self.moved_ms = now_ms;
        }
        self.queue.push(frame)
    }

    /// Whether more waits than may wait, also after writing what can be written.
    fn is_over(&mut self, options: &HubOptions, metrics: &HubMetrics, now_ms: u64) -> bool {
        let most = options.queue_bytes_max;
        if self.phase == Phase::Closing || self.queue.bytes() <= most {
            return false;
        }
        // An error here is found again when the connection's turn to be written comes.
        let _ = self.write(metrics, now_ms);
        self.queue.bytes() > most
    }

    /// Writes until everything is out or the socket is full.
    fn write(&mut self, metrics: &HubMetrics, now_ms: u64) -> io::Result<()> {
        while self.is_writable && !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); WRITE_FRAMES];
            let filled = self.queue.fill(&mut slices);
            let wanted: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
            match (&self.socket).write_vectored(&slices[..filled]) {
                Ok(size) => {
                    // Less than asked for: the socket is full, and its next room is a new event.
                    self.is_writable = size == wanted;
                    self.moved_ms = now_ms;
                    let frames = self.queue.advance(size);
                    count(&metrics.writes);
                    metrics.frames_out.fetch_add(frames as u64, Relaxed);
                    metrics.bytes_out.fetch_add(size as u64, Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What a dialect can do for the connection whose message it has.
pub struct Desk<'a> {
    core: &'a mut Core,
    place: u32,
}

impl Desk<'_> {
    /// Sends a text.
    pub fn send(&mut self, payload: &[u8]) {
        self.core.send(self.place, text(payload));
    }

    /// Sends bytes.
    pub fn send_binary(&mut self, payload: &[u8]) {
        self.core.send(self.place, frame(Opcode::Binary, &[payload]));
    }

    /// Ends the connection once everything before is written.
    pub fn close(&mut self, closing: Closing) {
        count(&self.core.metrics.malformed);
        self.core.close(self.place, closing);
    }

    /// Whose the connection is.
    pub fn user(&mut self) -> Option<u32> {
        self.core.connection(self.place)?.user
    }

    /// Subscribes to a topic; false when the connection has as many as it may. What newcomers get comes
    /// with [`Desk::welcome`].
    pub fn subscribe(&mut self, name: &str, family: Family) -> bool {
        self.core.subscribe(self.place, name, family)
    }

    /// Sends what the topics of a family keep for newcomers.
    pub fn welcome(&mut self, family: Family) {
        self.core.welcome(self.place, family);
    }

    /// Ends all subscriptions of a family.
    pub fn leave(&mut self, family: Family) {
        self.core.leave(self.place, |other| other == family);
    }

    /// Whether the backend at `place` can be reached.
    pub fn is_connected(&self, place: usize) -> bool {
        let backend = self.core.backends.get(place).and_then(Option::as_ref);
        backend.is_some_and(|backend| backend.is_connected())
    }

    /// Sends a request to a backend, whose answer goes to the client as it is.
    ///
    /// # Errors
    /// When it will not be answered.
    pub fn relay(
        &mut self,
        place: usize,
        command: u32,
        id: i64,
        params: &[u8],
    ) -> Result<(), Refusal> {
        let generation = self.core.places[self.place as usize].generation;
        let origin = Origin::Connection { place: self.place, generation };
        let head = Head { command, request_id: id.cast_unsigned(), ..Head::default() };
        let ticket = Ticket { origin, head, extension: Vec::new() };
        match self.core.sessions.get_mut(place).and_then(Option::as_mut) {
            Some(session) => {
                session.submit(command, id, params, ticket).map_err(|(refusal, _)| refusal)?;
            }
            None => return Err(Refusal::Unavailable),
        }
        if let Some(connection) = self.core.connection(self.place) {
            connection.unanswered += 1;
        }
        Ok(())
    }

    /// Leaves a request to the owner of the hub; false when too many wait.
    pub fn request(&mut self, id: i64, method: &'static str, params: &str) -> bool {
        let (index, place) = (self.core.index, self.place);
        let generation = self.core.places[place as usize].generation;
        let Some(connection) = self.core.connection(place) else { return false };
        let request = Request {
            connection: ConnectionId::new(index, place, generation),
            address: connection.address,
            id,
            method,
            params: params.to_owned(),
        };
        let is_taken = self.core.notices.request(request);
        if let (true, Some(connection)) = (is_taken, self.core.connection(place)) {
            connection.unanswered += 1;
        }
        is_taken
    }
}
