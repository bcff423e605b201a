//! A service behind a binary RPC link, as a [`Backend`].
//!
//! One link, many requests in flight, matched by sequence. A link that breaks is opened again; what was in
//! flight then ends as timed out at once, since nobody knows whether it was done.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Poll, Waker};
use viabtc_wire::frame::{HEAD_BYTES, Head, REQUEST, write_frame};
use viabtc_wire::json::write_array;

use crate::address::Address;
use crate::backend::{Backend, Bundle, Outbox, Refusal, Session, Status, Ticket};
use crate::pulse::{Turning, all_turn};

mod link;

use link::{Link, WAKER};

/// Requests that may be in flight; above it the service counts as unavailable.
const FLIGHTS_MAX: usize = 65_536;

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

/// A link to a service; its thread keeps it open.
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
        let link = Link::new(Arc::clone(&shared), poll);
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
