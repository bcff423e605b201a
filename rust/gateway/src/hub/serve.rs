//! One thread of the hub: its turn.
//!
//! A turn: take events, read and hand messages to the dialect, send questions on, take answers and
//! commands in, write each connection that has something once. An idle connection holds no buffers.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};
use std::{io, mem};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::Socket;

use super::connection::{Connection, Phase};
use super::deflate::{Deflater, Inflater};
use super::desk::Desk;
use super::frames::{Closing, FrameLimits, HEAD_BYTES_MAX, Incoming, Opcode, close, frame};
use super::handshake::Terms;
use super::mailbox::Mailbox;
use super::metrics::HubMetrics;
use super::notices::Notices;
use super::state::{Core, Place};
use super::topics::Topics;
use super::{Dialect, HubOptions};
use crate::backend::{Backend, Outbox};
use crate::metrics::count;

const WAKER: Token = Token(0);
const LISTENERS: usize = 1;
/// Tokens from here on are connections.
const CONNECTIONS: usize = 64;

/// Places are named with 24 bits.
const PLACES_MAX: usize = 1 << 24;

/// Size of the shared read buffer.
const READ_BYTES: usize = 64 * 1024;

/// Bytes read from one connection in a turn, so that others get theirs.
const READ_TURN_BYTES: usize = 256 * 1024;

/// Pause between looks at all connections, and the longest sleep.
const TICK: Duration = Duration::from_millis(250);

/// Pause after a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening socket.
pub(crate) struct Listening {
    pub(crate) socket: Socket,
    pub(crate) is_internet: bool,
}

pub(crate) struct Thread {
    poll: Poll,
    listeners: Vec<Listening>,
    mailbox: Arc<Mailbox>,
    dialect: Box<dyn Dialect>,
    pub(super) core: Core,
    buffer: Vec<u8>,
    accept_again: Option<Instant>,
    dated: Instant,
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
        let mailbox = Arc::new(Mailbox::new(outbox.clone()));
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
                is_deflating: options.is_deflating,
            },
            options,
            date: httpdate::fmt_http_date(SystemTime::now()),
            places: Vec::new(),
            free: Vec::new(),
            open_count: 0,
            addresses: HashMap::new(),
            topics: Topics::default(),
            lingering: VecDeque::new(),
            deflater: Deflater::default(),
            inflater: Inflater::default(),
            backends: backends.to_vec(),
            sessions: sessions.collect(),
            outbox,
            notices,
            metrics,
            active: Vec::new(),
            first: Vec::new(),
            due: VecDeque::new(),
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
            let timeout = if self.core.active.is_empty() && self.core.due.is_empty() {
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
            self.core.write_due(now.elapsed(), || self.mailbox.has_news());
            self.core.deflater.clear();
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
        let connection = Connection::new(socket, address, core.now_ms);
        core.places[place as usize].connection = Some(connection);
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
        let consumed = self.process_frames(place, input);
        let now_ms = self.core.now_ms;
        if let Some(connection) = self.core.connection(place) {
            connection.note_rest(consumed < input.len(), now_ms);
        }
        consumed
    }

    fn process_frames(&mut self, place: u32, input: &mut [u8]) -> usize {
        let core = &mut self.core;
        let limits = FrameLimits {
            frame_bytes_max: core.options.frame_bytes_max,
            message_bytes_max: core.options.message_bytes_max,
            is_deflating: false,
        };
        let most = core.options.stream.message_bytes_max;
        let stream_limits = FrameLimits {
            frame_bytes_max: most.saturating_add(HEAD_BYTES_MAX),
            message_bytes_max: most,
            is_deflating: false,
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
                    let mut limits = if connection.is_stream { stream_limits } else { limits };
                    limits.is_deflating = connection.window.is_some();
                    (connection.seen_ms, connection.is_pinged) = (now_ms, false);
                    let incoming = match connection.assembler.next(&mut input[consumed..], limits) {
                        Ok(None) => return consumed,
                        Ok(Some((incoming, size))) => {
                            consumed += size;
                            connection.note_frame();
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
                        Incoming::Message { payload, is_text, is_compressed } => {
                            count(&core.metrics.requests);
                            let payload = if is_compressed {
                                let most = limits.message_bytes_max;
                                match core.inflate(&payload, is_text, most) {
                                    Ok(payload) => Cow::Owned(payload),
                                    Err(closing) => {
                                        count(&core.metrics.malformed);
                                        core.close(place, closing);
                                        return input.len();
                                    }
                                }
                            } else {
                                payload
                            };
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
        self.core.forget_topics();
    }
}
