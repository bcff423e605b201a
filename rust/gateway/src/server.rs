//! Opens addresses and runs reactors on threads of their own.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::address::Address;
use crate::backend::Outbox;
use crate::metrics::Metrics;
use crate::pulse::{Turning, all_turn};
use crate::reactor::{Control, DatagramSocket, Limits, Listener, Protocol, Reactor};

/// Most addresses of one server.
const ADDRESSES_MAX: usize = 32;

/// Connections that may wait to be accepted; the system lowers it to its own limit.
const BACKLOG: i32 = 65_535;

/// An address that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// As configured.
    pub address: String,
    /// The system's reason.
    pub source: io::Error,
}

impl BindError {
    /// What the operator can do.
    pub fn remedy(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => {
                "stop the process that listens there, or choose another port"
            }
            io::ErrorKind::PermissionDenied => "choose a port above 1023, or a path you may write",
            io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
            _ => "choose another address",
        }
    }
}

/// A running server.
pub(crate) struct Server {
    addresses: Vec<Address>,
    metrics: Arc<Metrics>,
    controls: Vec<Control>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    paths: Vec<PathBuf>,
}

impl Server {
    /// Opens `addresses` and serves them from `threads` threads; with `is_shared` other processes may
    /// listen on the same TCP ports, and the system spreads connections.
    pub(crate) fn start<P: Protocol>(
        name: &str,
        addresses: &[Address],
        threads: usize,
        is_shared: bool,
        limits: Limits,
        make: impl Fn(Outbox, &Arc<Metrics>) -> P,
    ) -> Result<Server, BindError> {
        let metrics = Arc::new(Metrics::default());
        let mut bound = Vec::new();
        let mut paths = Vec::new();
        let mut listeners: Vec<Vec<Listener>> = (0..threads.max(1)).map(|_| Vec::new()).collect();
        if addresses.len() > ADDRESSES_MAX {
            return Err(BindError {
                address: format!("{} addresses", addresses.len()),
                source: io::Error::other("at most 32 addresses"),
            });
        }
        for address in addresses {
            let failed = |source| BindError { address: address.to_string(), source };
            match address {
                Address::Tcp(wanted) => {
                    if !is_shared {
                        // Sharing among our threads must not hide a stranger on the port.
                        listen(*wanted, false).map_err(failed)?;
                    }
                    let mut actual = *wanted;
                    for listeners in &mut listeners {
                        let socket = listen(actual, is_shared || threads > 1).map_err(failed)?;
                        let local = socket.local_addr().map_err(failed)?;
                        actual = local.as_socket().unwrap_or(actual);
                        listeners.push(Listener::Connections {
                            socket,
                            is_packet: false,
                            is_internet: true,
                        });
                    }
                    bound.push(Address::Tcp(actual));
                }
                Address::Udp(wanted) => {
                    let socket = UdpSocket::bind(wanted).map_err(failed)?;
                    socket.set_nonblocking(true).map_err(failed)?;
                    bound.push(Address::Udp(socket.local_addr().map_err(failed)?));
                    listeners[0].push(Listener::Datagrams(DatagramSocket::Internet(socket)));
                }
                Address::Stream(path) | Address::Packet(path) => {
                    let is_packet = matches!(address, Address::Packet(_));
                    let kind = if is_packet { Type::SEQPACKET } else { Type::STREAM };
                    let socket = listen_on_path(path, kind).map_err(failed)?;
                    paths.push(path.clone());
                    bound.push(address.clone());
                    let listener = Listener::Connections { socket, is_packet, is_internet: false };
                    listeners[0].push(listener);
                }
                Address::Datagram(path) => {
                    remove_old(path).map_err(failed)?;
                    let socket = UnixDatagram::bind(path).map_err(failed)?;
                    socket.set_nonblocking(true).map_err(failed)?;
                    open_to_all(path).map_err(failed)?;
                    paths.push(path.clone());
                    bound.push(address.clone());
                    listeners[0].push(Listener::Datagrams(DatagramSocket::Unix(socket)));
                }
            }
        }
        let mut controls = Vec::new();
        let mut handles = Vec::new();
        for (index, listeners) in listeners.into_iter().enumerate() {
            let failed =
                |source| BindError { address: format!("thread {index} of {name}"), source };
            let metrics = Arc::clone(&metrics);
            let (reactor, control) =
                Reactor::new(listeners, limits, Arc::clone(&metrics), |outbox| {
                    make(outbox, &metrics)
                })
                .map_err(failed)?;
            controls.push(control);
            let thread =
                std::thread::Builder::new().name(format!("{name}-{index}")).spawn(move || {
                    if let Err(error) = reactor.run() {
                        eprintln!("a port's event loop ended: {error}");
                    }
                });
            handles.push(thread.map_err(failed)?);
        }
        Ok(Server { addresses: bound, metrics, controls, threads: Mutex::new(handles), paths })
    }

    pub(crate) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Whether every thread takes a turn within `within`.
    pub(crate) fn beats(&self, within: Duration) -> bool {
        let threads: Vec<&dyn Turning> =
            self.controls.iter().map(|control| control.outbox() as &dyn Turning).collect();
        all_turn(&threads, within)
    }

    /// Takes no more requests, answers those taken within `deadline`, then closes everything.
    pub(crate) fn stop(&self, deadline: Duration) {
        let deadline = Instant::now() + deadline;
        for control in &self.controls {
            control.stop(deadline);
        }
        let threads = std::mem::take(&mut *self.threads.lock().expect("nobody panics here"));
        for thread in threads {
            // A panic there has been reported by the thread.
            let _ = thread.join();
        }
        for path in &self.paths {
            // Somebody else may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

pub(crate) fn listen(address: SocketAddr, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

pub(crate) fn listen_on_path(path: &Path, kind: Type) -> io::Result<Socket> {
    remove_old(path)?;
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    open_to_all(path)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn remove_old(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Source: the original's mode of socket files.
fn open_to_all(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
}
