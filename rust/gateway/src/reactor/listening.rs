//! What a reactor listens on: connections that it accepts, datagrams that it reads.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::{Protocol, Reactor};
use crate::backend::{Origin, Peer};
use crate::metrics::count;

/// Datagrams read from one socket in a turn.
const DATAGRAM_TURN: usize = 64;

/// Connections accepted from one socket in a turn: some five calls of the system each.
pub(super) const ACCEPT_TURN: usize = 16;

/// Pause after a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a reactor listens on.
pub(crate) enum Listener {
    Connections { socket: Socket, is_packet: bool, is_internet: bool },
    Datagrams(DatagramSocket),
}

pub(crate) enum DatagramSocket {
    Internet(UdpSocket),
    Unix(UnixDatagram),
}

impl Listener {
    pub(super) fn fd(&self) -> RawFd {
        match self {
            Listener::Connections { socket, .. } => socket.as_raw_fd(),
            Listener::Datagrams(DatagramSocket::Internet(socket)) => socket.as_raw_fd(),
            Listener::Datagrams(DatagramSocket::Unix(socket)) => socket.as_raw_fd(),
        }
    }
}

impl<P: Protocol> Reactor<P> {
    /// Marks a listener to have its share in this turn, once.
    pub(super) fn note_listener(&mut self, index: usize) {
        if !self.busy.contains(&index) {
            self.busy.push(index);
        }
    }

    pub(super) fn listen(&mut self, index: usize) {
        match self.listeners.get(index) {
            Some(Listener::Connections { .. }) => self.accept(index),
            Some(Listener::Datagrams(_)) => self.receive_datagrams(index),
            None => {}
        }
    }

    fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPT_TURN {
            let Some(Listener::Connections { socket, is_packet, is_internet }) =
                self.listeners.get(index)
            else {
                return;
            };
            let (is_packet, is_internet) = (*is_packet, *is_internet);
            let accepted = socket.accept().and_then(|(socket, _)| {
                socket.set_nonblocking(true)?;
                if is_internet {
                    socket.set_tcp_nodelay(true)?;
                }
                Ok(socket)
            });
            match accepted {
                Ok(socket) if self.open_count + self.ended.len() < self.limits.connections_max => {
                    self.open(socket, is_packet);
                }
                Ok(_) => count(&self.metrics.refused),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    _ => {
                        count(&self.metrics.refused);
                        self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
                        return;
                    }
                },
            }
        }
        self.note_listener(index);
    }

    fn receive_datagrams(&mut self, index: usize) {
        for _ in 0..DATAGRAM_TURN {
            let Some(Listener::Datagrams(socket)) = self.listeners.get(index) else { return };
            let received = match socket {
                DatagramSocket::Internet(socket) => socket
                    .recv_from(&mut self.buffer)
                    .map(|(size, peer)| (size, Some(Peer::Internet(peer)))),
                DatagramSocket::Unix(socket) => {
                    socket.recv_from(&mut self.buffer).map(|(size, peer)| {
                        (size, peer.as_pathname().map(|path| Peer::Path(path.to_owned())))
                    })
                }
            };
            let (size, peer) = match received {
                Ok((size, Some(peer))) => (size, peer),
                // A sender without a name cannot be answered.
                Ok((_, None)) => {
                    count(&self.metrics.dropped_datagrams);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => continue,
            };
            if size > self.limits.datagram_bytes_max {
                count(&self.metrics.dropped_datagrams);
                continue;
            }
            let origin = Origin::Datagram { socket: index as u32, peer: Box::new(peer.clone()) };
            let mut out = Vec::new();
            self.protocol.receive_datagram(origin, &self.buffer[..size], &mut out);
            if !out.is_empty() {
                self.send_datagram(index, &peer, &out);
            }
        }
        self.note_listener(index);
    }

    pub(super) fn send_datagram(&mut self, index: usize, peer: &Peer, bytes: &[u8]) {
        let Some(Listener::Datagrams(socket)) = self.listeners.get(index) else { return };
        let sent = match (socket, peer) {
            (DatagramSocket::Internet(socket), Peer::Internet(peer)) => {
                socket.send_to(bytes, peer).map(drop)
            }
            (DatagramSocket::Unix(socket), Peer::Path(path)) => {
                socket.send_to(bytes, path).map(drop)
            }
            _ => return,
        };
        if sent.is_err() {
            count(&self.metrics.dropped_datagrams);
        }
    }
}
