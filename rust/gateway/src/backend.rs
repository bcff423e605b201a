//! What answers requests, and the way of the answers back to the connection that asked.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use mio::Waker;
use viabtc_wire::frame::Head;

use crate::pulse::Turning;

/// Answers requests: an engine in this process, or a remote service.
pub trait Backend: Send + Sync + 'static {
    /// A session for one thread of a port; its answers go to `outbox`.
    fn session(&self, outbox: Outbox) -> Box<dyn Session>;

    /// Whether requests can reach it now.
    fn is_connected(&self) -> bool {
        true
    }
}

/// One port thread's way to a backend.
pub trait Session: Send {
    /// Takes a request: `params` is the text of a JSON array, `id` is echoed in the answer's envelope. The
    /// answer comes through the outbox, once.
    ///
    /// # Errors
    /// When it will not be answered; the ticket comes back.
    fn submit(
        &mut self,
        command: u32,
        id: i64,
        params: &[u8],
        ticket: Ticket,
    ) -> Result<(), (Refusal, Ticket)>;

    /// Called at the end of each turn of the port: what was submitted must get on its way.
    fn flush(&mut self);
}

/// Why a request is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The parameters are no JSON array.
    Malformed,
    /// The backend has no such command.
    NotFound,
    /// The backend cannot be reached.
    Unavailable,
    /// Larger than the backend reads.
    TooLarge,
}

/// Names the request that an answer belongs to.
#[derive(Debug)]
pub struct Ticket {
    pub(crate) origin: Origin,
    /// Of the RPC request; for HTTP `sequence` is the place in the connection's order.
    pub(crate) head: Head,
    /// Of the RPC request; echoed.
    pub(crate) extension: Vec<u8>,
    /// When the request had been read.
    pub(crate) began: Instant,
    /// Sequence of the frame in which it went to a remote backend; 0 before.
    pub(crate) call: u32,
    /// What the client calls it, if it does.
    pub(crate) given: Option<Box<str>>,
}

impl Ticket {
    /// For a request that has just been read.
    pub(crate) fn new(origin: Origin, head: Head, extension: Vec<u8>) -> Ticket {
        Ticket { origin, head, extension, began: Instant::now(), call: 0, given: None }
    }
}

/// Where an answer goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// A connection; a later one in the same place has another generation.
    Connection { place: u32, generation: u32 },
    /// A datagram's sender.
    Datagram { socket: u32, peer: Box<Peer> },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    Internet(SocketAddr),
    Path(PathBuf),
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// The body is the backend's.
    Answered,
    /// No answer came in time, or the link broke: it may or may not have been done.
    TimedOut,
}

/// Answers that share a buffer.
pub struct Bundle {
    /// Bodies.
    pub buffer: Arc<Vec<u8>>,
    /// Which request, how it ended, and where its body stands.
    pub answers: Vec<(Ticket, Status, Range<usize>)>,
}

/// The way back to one thread of a port; clones are the same way.
#[derive(Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
}

struct Shared {
    bundles: Mutex<Vec<Bundle>>,
    waker: Waker,
    /// How often the thread came by.
    turns: AtomicU64,
}

impl Outbox {
    pub(crate) fn new(waker: Waker) -> Outbox {
        let bundles = Mutex::new(Vec::new());
        Outbox { shared: Arc::new(Shared { bundles, waker, turns: AtomicU64::new(0) }) }
    }

    /// Sends answers; from any thread.
    pub fn send(&self, bundle: Bundle) {
        let is_first = {
            let mut bundles = self.shared.bundles.lock().expect("nobody panics while sending");
            bundles.push(bundle);
            bundles.len() == 1
        };
        if is_first {
            self.wake();
        }
    }

    /// Whether both lead to the same thread.
    pub(crate) fn is_same(&self, other: &Outbox) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn wake(&self) {
        // It fails only when the thread's poll is gone, and then nobody waits for answers.
        let _ = self.shared.waker.wake();
    }

    /// Whether answers wait.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.shared.bundles.lock().expect("nobody panics while sending").is_empty()
    }

    /// What waits; the thread takes it once a turn.
    pub(crate) fn take(&self) -> Vec<Bundle> {
        self.shared.turns.fetch_add(1, Release);
        std::mem::take(&mut *self.shared.bundles.lock().expect("nobody panics while sending"))
    }
}

impl Turning for Outbox {
    fn turns(&self) -> u64 {
        self.shared.turns.load(Acquire)
    }

    fn nudge(&self) {
        self.wake();
    }
}
