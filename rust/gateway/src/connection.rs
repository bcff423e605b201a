//! One connection of a reactor: its socket, the begin of a message, and what is due to the peer.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use socket2::Socket;

use crate::backend::Origin;
use crate::metrics::{Metrics, count};
use crate::reactor::{Close, Protocol};

/// Answers that may wait for a connection's peer to read them; above it nothing more is read from it.
const HOLD_BYTES: usize = 256 * 1024;

/// Buffers above this are given back when they are empty.
const KEPT_BYTES: usize = 16 * 1024;

pub(crate) struct Connection<S> {
    pub(crate) socket: Socket,
    pub(crate) is_packet: bool,
    pub(crate) state: S,
    /// Begin of a message whose rest has not come.
    pub(crate) input: Vec<u8>,
    pub(crate) out: Vec<u8>,
    pub(crate) written: usize,
    /// Ends of packets in `out`; only for packet sockets.
    pub(crate) packets: VecDeque<usize>,
    pub(crate) is_readable: bool,
    pub(crate) is_writable: bool,
    /// Reading stopped because too much is unanswered or unread.
    pub(crate) is_held: bool,
    /// The peer sends no more.
    pub(crate) is_ended: bool,
    pub(crate) is_active: bool,
    pub(crate) is_dirty: bool,
    /// When the last bytes came.
    pub(crate) since: Instant,
    /// Since when only the peer's close is awaited.
    pub(crate) lingers: Option<Instant>,
    /// Bytes of its buffers, as they were last counted.
    pub(crate) held_bytes: usize,
}

impl<S> Connection<S> {
    pub(crate) fn new(socket: Socket, is_packet: bool, state: S, now: Instant) -> Connection<S> {
        Connection {
            socket,
            is_packet,
            state,
            input: Vec::new(),
            out: Vec::new(),
            written: 0,
            packets: VecDeque::new(),
            is_readable: false,
            is_writable: true,
            is_held: false,
            is_ended: false,
            is_active: false,
            is_dirty: false,
            since: now,
            lingers: None,
            held_bytes: 0,
        }
    }

    /// Bytes that wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.out.len() - self.written
    }

    /// Bytes that its buffers take.
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.input.capacity() + self.out.capacity()
    }

    /// Whether more may be read from it.
    pub(crate) fn may_read<P: Protocol<State = S>>(&self, protocol: &P) -> bool {
        protocol.may_read(&self.state) && self.waiting() <= HOLD_BYTES
    }

    /// Marks it to be read, once.
    pub(crate) fn activate(&mut self, place: u32, active: &mut Vec<u32>) {
        if !std::mem::replace(&mut self.is_active, true) {
            active.push(place);
        }
    }

    /// Marks it to be read after others, once.
    pub(crate) fn wait(&mut self, place: u32, waiting: &mut VecDeque<u32>) {
        if !std::mem::replace(&mut self.is_active, true) {
            waiting.push_back(place);
        }
    }

    /// Marks it to be written, once.
    pub(crate) fn soil(&mut self, place: u32, dirty: &mut Vec<u32>) {
        if !std::mem::replace(&mut self.is_dirty, true) {
            dirty.push(place);
        }
    }

    /// Ends the packet that was just put into `out`.
    pub(crate) fn end_packet(&mut self) {
        if self.is_packet && !self.out.is_empty() && self.packets.back() != Some(&self.out.len()) {
            self.packets.push_back(self.out.len());
        }
    }

    /// Reads what is there, up to `share` bytes, and gives it to the protocol; how many bytes that was, with what
    /// flow control had left behind.
    pub(crate) fn read<P: Protocol<State = S>>(
        &mut self,
        protocol: &mut P,
        origin: &Origin,
        buffer: &mut [u8],
        share: usize,
        is_stopping: bool,
        metrics: &Metrics,
    ) -> Result<usize, Close> {
        let mut left = 0;
        if !self.input.is_empty() && self.lingers.is_none() && !is_stopping {
            left = self.input.len();
            self.take(protocol, origin, &[])?;
            left -= self.input.len();
        }
        let mut total = 0;
        while self.is_readable && total < share {
            let is_discarding = self.lingers.is_some() || protocol.is_over(&self.state);
            if is_stopping || (!is_discarding && !self.may_read(protocol)) {
                return Ok(left + total);
            }
            let room = if self.is_packet { buffer.len() } else { buffer.len().min(share - total) };
            match (&self.socket).read(&mut buffer[..room]) {
                Ok(0) => {
                    self.is_ended = true;
                    self.is_readable = false;
                }
                Ok(size) => {
                    total += size;
                    metrics.bytes_in.fetch_add(size as u64, Relaxed);
                    if size < room && !self.is_ended && !self.is_packet {
                        // Less than asked for: the socket is empty, and its next byte is a new event.
                        self.is_readable = false;
                    }
                    if is_discarding {
                        continue;
                    }
                    self.since = Instant::now();
                    if self.is_packet {
                        // One packet is one message; an incomplete one is an error.
                        if self.receive(protocol, origin, &buffer[..size])? < size {
                            count(&metrics.malformed);
                            return Err(Close);
                        }
                    } else {
                        self.take(protocol, origin, &buffer[..size])?;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Close),
            }
        }
        Ok(left + total)
    }

    /// Gives what was kept and `bytes` to the protocol and keeps what it leaves.
    fn take<P: Protocol<State = S>>(
        &mut self,
        protocol: &mut P,
        origin: &Origin,
        bytes: &[u8],
    ) -> Result<(), Close> {
        if self.input.is_empty() {
            let consumed = self.receive(protocol, origin, bytes)?;
            self.input.extend_from_slice(&bytes[consumed..]);
        } else {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(bytes);
            let consumed = self.receive(protocol, origin, &input)?;
            if consumed < input.len() {
                input.drain(..consumed);
                self.input = input;
            }
        }
        Ok(())
    }

    fn receive<P: Protocol<State = S>>(
        &mut self,
        protocol: &mut P,
        origin: &Origin,
        input: &[u8],
    ) -> Result<usize, Close> {
        let consumed = protocol.receive(origin, &mut self.state, input, &mut self.out)?;
        self.end_packet();
        Ok(consumed)
    }

    /// Writes until everything is out or the socket is full.
    pub(crate) fn write(&mut self, metrics: &Metrics) -> io::Result<()> {
        while self.is_writable && self.written < self.out.len() {
            let end = match self.packets.front() {
                Some(end) if self.is_packet => *end,
                _ => self.out.len(),
            };
            match (&self.socket).write(&self.out[self.written..end]) {
                Ok(size) => {
                    self.written += size;
                    metrics.bytes_out.fetch_add(size as u64, Relaxed);
                    if self.is_packet {
                        self.packets.pop_front();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.written == self.out.len() {
            self.written = 0;
            if self.out.capacity() > KEPT_BYTES {
                self.out = Vec::new();
            } else {
                self.out.clear();
            }
        }
        Ok(())
    }
}
