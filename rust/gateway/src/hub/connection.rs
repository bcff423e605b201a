//! One connection: its socket, what it has sent and what waits for it.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{IpAddr, Ipv6Addr};

use socket2::Socket;

use super::HubOptions;
use super::deflate::{Deflater, Window};
use super::frames::{Assembler, Frame};
use super::metrics::{HubMetrics, Written};
use super::queue::{Queue, Slot};

/// Frames that are written at once.
const WRITE_FRAMES: usize = 64;

/// Requests of one connection that may be unanswered; above it the thread stops reading from it.
pub(super) const UNANSWERED_MAX: u32 = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The handshake is not whole.
    Opening,
    Open,
    /// A close frame, or a refusal, is the last that is written; what comes is discarded.
    Closing,
}

pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) phase: Phase,
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
    /// The peer sends no more.
    pub(super) is_ended: bool,
    pub(super) is_active: bool,
    pub(super) is_dirty: bool,
    /// It speaks the stream, not the original's protocol.
    pub(super) is_stream: bool,
    /// Messages may be compressed, both ways, ours within this window.
    pub(super) window: Option<Window>,
    /// It cannot be written any more.
    pub(super) is_broken: bool,
    /// Our direction is shut down.
    pub(super) is_shut: bool,
    /// Counted in `addresses`.
    pub(super) is_counted: bool,
    /// A ping waits for any sign of life.
    pub(super) is_pinged: bool,
    /// Begin of a frame, or of the handshake, whose rest has not come.
    pub(super) input: Vec<u8>,
    pub(super) assembler: Assembler,
    pub(super) queue: Queue,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) user: Option<u32>,
    /// What made it the user's; 0 for what is never withdrawn.
    pub(super) grant: u32,
    pub(super) address: Option<IpAddr>,
    pub(super) unanswered: u32,
    /// When the connection came.
    pub(super) came_ms: u64,
    /// Frames of the second that began at `second_ms`.
    pub(super) frames: u32,
    pub(super) second_ms: u64,
    /// When the phase began or bytes came last.
    pub(super) seen_ms: u64,
    /// When bytes went out last, or began to wait.
    pub(super) moved_ms: u64,
}

pub(super) struct Subscription {
    pub(super) topic: u32,
    /// Where the connection stands among the topic's subscribers.
    pub(super) position: u32,
}

impl Connection {
    pub(super) fn new(socket: Socket, address: Option<IpAddr>, now_ms: u64) -> Connection {
        Connection {
            socket,
            phase: Phase::Opening,
            is_readable: false,
            is_writable: true,
            is_ended: false,
            is_active: false,
            is_dirty: false,
            is_stream: false,
            window: None,
            is_broken: false,
            is_shut: false,
            is_counted: false,
            is_pinged: false,
            input: Vec::new(),
            assembler: Assembler::default(),
            queue: Queue::default(),
            subscriptions: Vec::new(),
            user: None,
            grant: 0,
            address,
            unanswered: 0,
            came_ms: now_ms,
            frames: 0,
            second_ms: now_ms,
            seen_ms: now_ms,
            moved_ms: now_ms,
        }
    }

    /// Whom the connection counts for: of IPv6 the network, since a client has all addresses of one, and
    /// nobody on this machine.
    pub(super) fn client(&self) -> Option<(Ipv6Addr, bool)> {
        let address = match self.address?.to_canonical() {
            address if address.is_loopback() => return None,
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64),
        };
        Some((address, self.is_stream))
    }

    pub(super) fn may_read(&self) -> bool {
        self.unanswered < UNANSWERED_MAX || self.phase == Phase::Closing
    }

    /// Queues a frame, compressed where that was agreed on.
    pub(super) fn push(&mut self, frame: &Frame, deflater: &mut Deflater, now_ms: u64) -> Slot {
        let frame = match self.window {
            Some(window) => deflater.deflate(frame, window),
            None => Frame::clone(frame),
        };
        self.queue_as_is(frame, now_ms)
    }

    /// Puts a frame in the place of one that waits; false when that is out.
    pub(super) fn replace(&mut self, slot: Slot, frame: &Frame, deflater: &mut Deflater) -> bool {
        match self.window {
            Some(window) => self.queue.replace(slot, &deflater.deflate(frame, window)),
            None => self.queue.replace(slot, frame),
        }
    }

    pub(super) fn queue_as_is(&mut self, frame: Frame, now_ms: u64) -> Slot {
        if self.queue.is_empty() {
            self.moved_ms = now_ms;
        }
        self.queue.push(frame)
    }

    /// Whether more waits than may wait, also after writing what can be written.
    pub(super) fn is_over(
        &mut self,
        options: &HubOptions,
        metrics: &HubMetrics,
        now_ms: u64,
    ) -> bool {
        let most = options.queue_bytes_max;
        if self.phase == Phase::Closing || self.queue.bytes() <= most {
            return false;
        }
        // An error here is found again when the connection's turn to be written comes.
        let mut written = Written::default();
        let _ = self.write(&mut written, now_ms);
        metrics.add(&written);
        self.queue.bytes() > most
    }

    /// Writes until everything is out or the socket is full.
    pub(super) fn write(&mut self, written: &mut Written, now_ms: u64) -> io::Result<()> {
        while self.is_writable && !self.queue.is_empty() {
            let (wanted, done) = if let Some(only) = self.queue.only() {
                (only.len(), (&self.socket).write(only))
            } else {
                let mut slices = [IoSlice::new(&[]); WRITE_FRAMES];
                let filled = self.queue.fill(&mut slices);
                let wanted = slices[..filled].iter().map(|slice| slice.len()).sum();
                (wanted, (&self.socket).write_vectored(&slices[..filled]))
            };
            match done {
                Ok(size) => {
                    // Less than asked for: the socket is full, and its next room is a new event.
                    self.is_writable = size == wanted;
                    self.moved_ms = now_ms;
                    written.writes += 1;
                    written.frames += self.queue.advance(size) as u64;
                    written.bytes += size as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
