//! One connection: its socket, what it has sent and what waits for it.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZero;
use std::time::Duration;

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
    /// It stands in the line of those that are to be written.
    pub(super) is_due: bool,
    /// It stands among those before the line.
    pub(super) is_first: bool,
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
    pub(super) came: Second,
    /// When a message began that is not whole.
    pub(super) begun: Option<Second>,
    /// Frames of the second that began at `second_ms`.
    pub(super) frames: u32,
    pub(super) second_ms: u64,
    /// When the phase began or bytes came last.
    pub(super) seen_ms: u64,
    /// When bytes went out last, or began to wait.
    pub(super) moved_ms: u64,
}

/// A second of the hub's life, in half of a time's bytes: there are very many connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Second(NonZero<u32>);

impl Second {
    fn of(now_ms: u64) -> Second {
        // A hub lives for less than 136 years.
        Second(NonZero::<u32>::MIN.saturating_add((now_ms / 1_000) as u32))
    }

    /// How long it is over, to the second.
    pub(super) fn elapsed(self, now_ms: u64) -> Duration {
        Duration::from_secs(u64::from(Second::of(now_ms).0.get() - self.0.get()))
    }
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
            is_due: false,
            is_first: false,
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
            came: Second::of(now_ms),
            begun: None,
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

    /// Notes that a frame came to its end.
    pub(super) fn note_frame(&mut self) {
        if !self.assembler.is_open() {
            self.begun = None;
        }
    }

    /// Notes what was left of the input: the beginning of a message, or nothing.
    pub(super) fn note_rest(&mut self, has_rest: bool, now_ms: u64) {
        // What waits because too much is unanswered is not the client's delay.
        let is_partial = self.assembler.is_open() || (has_rest && self.may_read());
        if !is_partial {
            self.begun = None;
        } else if self.begun.is_none() {
            self.begun = Some(Second::of(now_ms));
        }
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

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;
    use crate::hub::frames::FrameLimits;

    /// Since when a connection has begun a message, after bytes that came in some second.
    fn begun(connection: &mut Connection, bytes: &[u8], now: u64) -> Option<u64> {
        let limits =
            FrameLimits { frame_bytes_max: 100, message_bytes_max: 100, is_deflating: false };
        let mut input = [&connection.input, bytes].concat();
        let mut taken = 0;
        while let Some((_, size)) =
            connection.assembler.next(&mut input[taken..], limits).expect("nothing is wrong")
        {
            taken += size;
            connection.note_frame();
        }
        connection.input = input[taken..].to_vec();
        connection.note_rest(taken < input.len(), 1_000 * now);
        connection.begun.map(|begun| now - begun.elapsed(1_000 * now).as_secs())
    }

    #[test]
    fn a_message_begins_with_its_first_byte_and_control_frames_do_not_end_it() {
        let (socket, _peer) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        let mut connection = Connection::new(socket, None, 0);
        // A mask of zeros: the payload as it is.
        let (whole, ping) = (b"\x81\x81\0\0\0\0a", b"\x89\x80\0\0\0\0");
        let (first, last) = (b"\x01\x81\0\0\0\0a", b"\x80\x81\0\0\0\0b");
        assert_eq!(begun(&mut connection, whole, 1), None);
        assert_eq!(begun(&mut connection, &whole[..3], 2), Some(2));
        assert_eq!(begun(&mut connection, &whole[3..5], 3), Some(2));
        // Its end, and the beginning of the next one.
        assert_eq!(begun(&mut connection, &[&whole[5..], &whole[..3]].concat(), 4), Some(4));
        assert_eq!(begun(&mut connection, &[&whole[3..], first].concat(), 5), Some(5));
        assert_eq!(begun(&mut connection, ping, 6), Some(5));
        assert_eq!(begun(&mut connection, &ping[..2], 7), Some(5));
        assert_eq!(begun(&mut connection, &[&ping[2..], last].concat(), 8), None);
        // What waits because too much is unanswered is not late.
        connection.unanswered = UNANSWERED_MAX;
        assert_eq!(begun(&mut connection, &whole[..3], 9), None);
    }
}
