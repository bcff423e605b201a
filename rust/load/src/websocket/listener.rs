//! One connection that opens, asks for something and listens.

use std::io::{self, ErrorKind, IoSliceMut, Write};
use std::os::fd::AsRawFd;

use mio::net::TcpStream;
use nix::cmsg_space;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use socket2::SockRef;

use super::frames::{CLOSE, PING, PONG, TEXT, missing, read_frame, write_frame};

/// Largest answer to a handshake.
const HANDSHAKE_BYTES_MAX: usize = 16 * 1024;

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Shaking,
    /// This many answers have not come.
    Asking(u32),
    Open,
    /// With the server's code; 1006 when it gave none.
    Closed(u16),
}

pub(crate) struct Listener {
    pub(crate) phase: Phase,
    pub(crate) socket: TcpStream,
    /// Deals of the measured part that reached it.
    pub(crate) deals: u64,
    /// Answers that were errors.
    pub(crate) refused: u32,
    /// The begin of a frame whose rest has not come.
    input: Vec<u8>,
}

/// What all connections send.
pub(crate) struct Script {
    pub(crate) handshake: Vec<u8>,
    /// The requests as frames, one behind the other.
    pub(crate) requests: Vec<u8>,
    pub(crate) requests_count: u32,
}

impl Listener {
    pub(crate) fn new(socket: TcpStream) -> Listener {
        Listener { phase: Phase::Connecting, socket, deals: 0, refused: 0, input: Vec::new() }
    }

    /// The socket can be written: when it is new, the handshake goes out.
    pub(crate) fn writable(&mut self, script: &Script) -> io::Result<()> {
        if self.phase == Phase::Connecting {
            if let Some(error) = self.socket.take_error()? {
                return Err(error);
            }
            self.socket.set_nodelay(true)?;
            setsockopt(&self.socket, ReceiveTimestampns, &true)?;
            self.phase = Phase::Shaking;
            return self.send(&script.handshake);
        }
        Ok(())
    }

    /// Reads what is there; `push` gets each message that is no answer, and when the last of the bytes
    /// that were read with it came to the socket, in nanoseconds since the epoch.
    pub(crate) fn readable(
        &mut self,
        script: &Script,
        buffer: &mut [u8],
        push: &mut impl FnMut(&mut Listener, &[u8], Option<u64>),
    ) -> io::Result<()> {
        loop {
            match self.receive(buffer) {
                Ok((0, _)) => {
                    self.end(1006);
                    return Ok(());
                }
                Ok((size, came_ns)) => {
                    if self.input.is_empty() {
                        let taken = self.take(script, &buffer[..size], came_ns, push)?;
                        self.input.extend_from_slice(&buffer[taken..size]);
                    } else {
                        let mut input = std::mem::take(&mut self.input);
                        input.extend_from_slice(&buffer[..size]);
                        let taken = self.take(script, &input, came_ns, push)?;
                        input.drain(..taken);
                        self.input = if input.is_empty() { Vec::new() } else { input };
                    }
                    // Less than asked for: the socket is empty, and its next byte is a new event.
                    if size < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// As `readable`, but a frame at a time, so that each has the time at which its own last byte came. Then what came is
    /// acknowledged, and what comes later not before the next call: on the loopback address the server would send, and
    /// take, an acknowledgement within its write.
    pub(crate) fn readable_by_frame(
        &mut self,
        script: &Script,
        buffer: &mut [u8],
        push: &mut impl FnMut(&mut Listener, &[u8], Option<u64>),
    ) -> io::Result<()> {
        let mut input = std::mem::take(&mut self.input);
        let mut has_read = false;
        loop {
            let wanted = missing(&input).min(buffer.len());
            match self.receive(&mut buffer[..wanted]) {
                Ok((0, _)) => {
                    self.end(1006);
                    return Ok(());
                }
                Ok((size, came_ns)) => {
                    has_read = true;
                    input.extend_from_slice(&buffer[..size]);
                    let taken = self.take(script, &input, came_ns, push)?;
                    input.drain(..taken);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.input = if input.is_empty() { Vec::new() } else { input };
        if has_read {
            self.acknowledge()?;
        }
        Ok(())
    }

    /// Acknowledges what came, and delays the acknowledgement of what comes.
    pub(crate) fn acknowledge(&self) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        socket.set_tcp_quickack(true)?;
        socket.set_tcp_quickack(false)
    }

    /// Bytes that are there, how many, and when the last of them came to the socket.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<u64>)> {
        let mut control = cmsg_space!(TimeSpec);
        let mut parts = [IoSliceMut::new(buffer)];
        let descriptor = self.socket.as_raw_fd();
        let got = recvmsg::<()>(descriptor, &mut parts, Some(&mut control), MsgFlags::empty())?;
        let came_ns = got.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(time) => {
                Some(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
            }
            _ => None,
        });
        Ok((got.bytes, came_ns))
    }

    /// Takes what is whole from the start of `input`; how many bytes.
    fn take(
        &mut self,
        script: &Script,
        input: &[u8],
        came_ns: Option<u64>,
        push: &mut impl FnMut(&mut Listener, &[u8], Option<u64>),
    ) -> io::Result<usize> {
        let mut taken = 0;
        if self.phase == Phase::Shaking {
            let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else {
                let is_long = input.len() > HANDSHAKE_BYTES_MAX;
                return if is_long { Err(broken("no answer to a handshake")) } else { Ok(0) };
            };
            if !input.starts_with(b"HTTP/1.1 101 ") {
                let line = input.split(|byte| *byte == b'\r').next().unwrap_or_default();
                return Err(broken(&String::from_utf8_lossy(line)));
            }
            taken = end + 4;
            if script.requests_count == 0 {
                self.phase = Phase::Open;
            } else {
                self.phase = Phase::Asking(script.requests_count);
                self.send(&script.requests)?;
            }
        }
        while !matches!(self.phase, Phase::Closed(_)) {
            let rest = &input[taken..];
            let Some(frame) = read_frame(rest).map_err(|problem| broken(&problem))? else { break };
            taken += frame.payload.end;
            let payload = &rest[frame.payload];
            match frame.opcode {
                TEXT if frame.is_final => self.message(payload, came_ns, push),
                PING => {
                    let mut pong = Vec::new();
                    write_frame(PONG, payload, &mut pong);
                    self.send(&pong)?;
                }
                CLOSE => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    self.end(code.unwrap_or(1005));
                }
                _ => {}
            }
        }
        Ok(taken)
    }

    fn message(
        &mut self,
        payload: &[u8],
        came_ns: Option<u64>,
        push: &mut impl FnMut(&mut Listener, &[u8], Option<u64>),
    ) {
        // Answers begin with their error, notifications with their method.
        match self.phase {
            Phase::Asking(unanswered) if !payload.starts_with(b"{\"method\"") => {
                if !payload.starts_with(b"{\"error\": null") {
                    self.refused += 1;
                }
                self.phase = match unanswered - 1 {
                    0 => Phase::Open,
                    unanswered => Phase::Asking(unanswered),
                };
            }
            _ => push(self, payload, came_ns),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        // What a listener says is short, and its socket has nothing to do but to take it.
        self.socket.write_all(bytes)
    }

    /// Notes why nothing comes any more.
    pub(crate) fn end(&mut self, code: u16) {
        if !matches!(self.phase, Phase::Closed(_)) {
            self.phase = Phase::Closed(code);
        }
    }
}

fn broken(problem: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, problem.to_owned())
}
