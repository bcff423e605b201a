//! The websocket hub: many connections, few topics, everything due for a connection in one write.
//!
//! Each thread owns its connections and topics; others reach it through its inbox. What a client may ask
//! is a [`Dialect`]; what needs the owner of the hub (authentication, feeds) goes to it as [`Notice`]s.

mod calls;
mod connection;
mod deflate;
mod desk;
mod frames;
#[cfg(test)]
mod fuzz;
mod handshake;
mod mailbox;
mod metrics;
mod notices;
mod numbered;
mod queue;
mod serve;
mod state;
mod stream;
mod subscribing;
mod topics;
mod writing;

use std::io;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, available_parallelism};
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::backend::Backend;
use crate::pulse::{Turning, all_turn};
use crate::server::{BindError, listen, listen_on_path};

pub use calls::{Calls, CallsOptions};
pub use desk::Desk;
pub use frames::Closing;
pub use metrics::HubMetrics;
pub use notices::{Answer, Notice, Request};
pub use numbered::Step;
pub use stream::{CHANNELS, Channel, STREAM_PATH};
pub use topics::{Family, Items, Publication};

use mailbox::{Command, Mailbox};
use notices::Notices;
use serve::{Listening, Thread};

/// Most addresses of a hub.
const ADDRESSES_MAX: usize = 32;

/// Most threads of a hub: a connection's name holds eight bits for its thread.
const THREADS_MAX: usize = 256;

/// Most threads that write, unless it is told: the engine and others want processors, too.
const WRITERS_MAX: usize = 4;

/// What clients may say: one per thread.
pub trait Dialect: Send + 'static {
    /// A whole message came; answers and subscriptions go through `desk`.
    fn message(&mut self, desk: &mut Desk<'_>, payload: &[u8], is_text: bool);
}

/// How a hub behaves.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// The sub-protocol, for clients that ask for one.
    pub protocol: String,
    /// What `Origin` must end with; empty for no check.
    pub origin_suffix: String,
    /// What `Origin` must equal one of; empty for no check.
    pub origins: Vec<String>,
    /// Whether `X-Forwarded-For` and the like name the client: only behind a proxy that sets them.
    pub trusts_forwarded: bool,
    /// Largest frame of a client, head included.
    pub frame_bytes_max: usize,
    /// Largest message of a client, all fragments together.
    pub message_bytes_max: usize,
    /// Bytes that may wait for one reader.
    pub queue_bytes_max: usize,
    /// Bytes that the system may hold for one reader; 0 leaves it to the system.
    pub send_buffer_bytes: usize,
    /// A connection that was silent for this long is closed; zero for never.
    pub keep_alive: Duration,
    /// Silence after which a ping is sent; twice as much closes. Zero for never.
    pub ping_interval: Duration,
    /// A reader that takes nothing for this long while bytes wait is closed.
    pub stall_timeout: Duration,
    /// The handshake must be whole within this.
    pub opening_timeout: Duration,
    /// A message must be whole within this, from its first byte on.
    pub message_timeout: Duration,
    /// Open connections of a thread.
    pub connections_max: usize,
    /// Open connections of one client address to a thread; 0 for no bound. Those of this machine are not
    /// counted: they are a proxy's, which stands for many clients.
    pub connections_per_address_max: u32,
    /// A connection that is nobody's for this long is closed; zero for never.
    pub auth_timeout: Duration,
    /// Subscriptions of a connection.
    pub subscriptions_max: usize,
    /// Frames that a connection may send in a second; 0 for no bound.
    pub frames_per_second_max: u32,
    /// Whether messages are compressed for clients that offer it (permessage-deflate).
    pub is_deflating: bool,
    /// Bounds of connections that speak the stream, in the place of those above.
    pub stream: StreamLimits,
    /// Threads that serve.
    pub threads: usize,
    /// Threads that write when much is due at once, those that serve among them.
    pub writers: usize,
    /// Whether other processes may listen on the same port.
    pub is_shared: bool,
}

impl Default for HubOptions {
    fn default() -> HubOptions {
        HubOptions {
            protocol: "chat".into(),
            origin_suffix: String::new(),
            origins: Vec::new(),
            trusts_forwarded: false,
            frame_bytes_max: 102_400,
            message_bytes_max: 1 << 20,
            queue_bytes_max: 256 * 1024,
            send_buffer_bytes: 256 * 1024,
            keep_alive: Duration::from_secs(3_600),
            ping_interval: Duration::ZERO,
            stall_timeout: Duration::from_secs(3),
            opening_timeout: Duration::from_secs(5),
            message_timeout: Duration::from_secs(60),
            connections_max: 65_536,
            connections_per_address_max: 0,
            auth_timeout: Duration::ZERO,
            subscriptions_max: 1_024,
            frames_per_second_max: 0,
            is_deflating: false,
            stream: StreamLimits::default(),
            threads: 1,
            writers: available_parallelism().map_or(1, NonZero::get).min(WRITERS_MAX),
            is_shared: false,
        }
    }
}

/// Bounds of one connection to [`STREAM_PATH`].
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// Largest message of a client, in however many frames.
    pub message_bytes_max: usize,
    /// Frames in a second; 0 for no bound.
    pub frames_per_second_max: u32,
    /// Open connections of one client address to a thread, as above.
    pub connections_per_address_max: u32,
    /// Subscriptions.
    pub subscriptions_max: usize,
    /// Silence after which a ping is sent; twice as much closes. Zero for never.
    pub ping_interval: Duration,
}

impl Default for StreamLimits {
    fn default() -> StreamLimits {
        StreamLimits {
            message_bytes_max: 64 * 1024,
            frames_per_second_max: 10,
            connections_per_address_max: 256,
            subscriptions_max: 200,
            ping_interval: Duration::from_secs(20),
        }
    }
}

/// Names a connection; a later one in its place has another name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnectionId(pub u64);

/// A running hub.
pub struct Hub {
    addresses: Vec<Address>,
    paths: Vec<PathBuf>,
    mailboxes: Vec<Arc<Mailbox>>,
    notices: Arc<Notices>,
    metrics: Arc<HubMetrics>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Hub {
    /// Opens `addresses` (TCP and UNIX streams). `backends` answer what the dialect asks of them, by
    /// place; `on_notice` is called from any thread when there are notices to take, once until they are
    /// taken.
    ///
    /// # Errors
    /// When an address cannot be opened.
    pub fn start(
        backends: &[Option<Arc<dyn Backend>>],
        mut dialect: impl FnMut() -> Box<dyn Dialect>,
        addresses: &[Address],
        mut options: HubOptions,
        on_notice: impl Fn() + Send + Sync + 'static,
    ) -> Result<Hub, BindError> {
        let threads = options.threads.clamp(1, THREADS_MAX);
        let (listeners, bound, paths) = open(addresses, threads, &options)?;
        let notices = Arc::new(Notices::new(on_notice));
        let metrics = Arc::new(HubMetrics::default());
        options.writers = options.writers.div_ceil(threads);
        let options = Arc::new(options);
        let mut mailboxes = Vec::new();
        let mut handles = Vec::new();
        for (index, listeners) in listeners.into_iter().enumerate() {
            let failed =
                |source| BindError { address: format!("thread {index} of the hub"), source };
            let (thread, mailbox) = Thread::new(
                index as u8,
                listeners,
                backends,
                dialect(),
                Arc::clone(&options),
                Arc::clone(&notices),
                Arc::clone(&metrics),
            )
            .map_err(failed)?;
            mailboxes.push(mailbox);
            let serve = move || {
                if let Err(error) = thread.run() {
                    eprintln!("the hub's event loop ended: {error}");
                }
            };
            let name = format!("hub-{index}");
            handles.push(std::thread::Builder::new().name(name).spawn(serve).map_err(failed)?);
        }
        let threads = Mutex::new(handles);
        Ok(Hub { addresses: bound, paths, mailboxes, notices, metrics, threads })
    }

    /// As opened: port 0 is resolved.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Figures.
    pub fn metrics(&self) -> &HubMetrics {
        &self.metrics
    }

    /// Those of `names` that have subscribers; the answer may be old when it is read.
    pub fn watched<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<bool> {
        self.notices.watched(names)
    }

    /// Tells the subscribers of each topic, in this order. Waits while the threads have more than they can
    /// carry; nothing is lost.
    pub fn publish(&self, publications: Vec<(Arc<str>, Publication)>) {
        let bytes = publications.iter().map(|(_, publication)| publication.bytes()).sum();
        let publications = Arc::new(publications);
        for mailbox in &self.mailboxes {
            mailbox.send_bounded(Command::Publish(Arc::clone(&publications)), bytes);
        }
    }

    /// Makes a connection `user`'s and answers its request; nothing happens when it is gone. A connection
    /// that was another user's loses its private subscriptions. `grant` numbers what made it the user's, for
    /// [`Hub::grants`] and [`Hub::withdraw`]; 0 for what is never withdrawn.
    pub fn authenticate(&self, connection: ConnectionId, user: u32, grant: u32, answer: &[u8]) {
        if let Some(mailbox) = self.mailboxes.get(connection.thread()) {
            self.notices.hold(grant);
            let answer = frames::text(answer);
            mailbox.send(Command::Authenticate { connection, user, grant, answer });
        }
    }

    /// The grants that open connections stand on, each once.
    pub fn grants(&self) -> Vec<u32> {
        self.notices.grants()
    }

    /// Closes every connection that stands on a grant.
    pub fn withdraw(&self, grant: u32) {
        for mailbox in &self.mailboxes {
            mailbox.send(Command::Withdraw(grant));
        }
    }

    /// Answers a request; nothing happens when the connection is gone.
    pub fn answer(&self, connection: ConnectionId, answer: &[u8]) {
        self.send(connection, Command::Answer { connection, answer: frames::text(answer) });
    }

    /// Closes a connection.
    pub fn close(&self, connection: ConnectionId, closing: Closing) {
        self.send(connection, Command::Close { connection, closing });
    }

    /// Closes every connection that hears something private.
    pub fn close_private(&self, closing: Closing) {
        for mailbox in &self.mailboxes {
            mailbox.send(Command::ClosePrivate(closing));
        }
    }

    /// Asks a backend; the answer comes as [`Notice::Answer`] with this tag.
    pub fn ask(&self, tag: u32, place: usize, command: u32, params: Vec<u8>) {
        self.mailboxes[0].send(Command::Ask { tag, place, command, params });
    }

    /// Leaves a word for whoever takes the notices; the same word waits once.
    pub fn note(&self, word: &Arc<str>) {
        self.notices.note(word);
    }

    /// Takes up to about `max` notices, oldest first of each kind.
    pub fn take_notices(&self, max: usize) -> Vec<Notice> {
        self.notices.take(max)
    }

    /// Whether every thread goes round within `within`, when asked: what a watchdog wants to know.
    pub fn beats(&self, within: Duration) -> bool {
        let threads: Vec<&dyn Turning> =
            self.mailboxes.iter().map(|mailbox| mailbox.outbox() as &dyn Turning).collect();
        all_turn(&threads, within)
    }

    /// Closes every connection with 1001 and ends within `deadline`.
    pub fn stop(&self, deadline: Duration) {
        let deadline = Instant::now() + deadline;
        for mailbox in &self.mailboxes {
            mailbox.stop(deadline);
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

    fn send(&self, connection: ConnectionId, command: Command) {
        if let Some(mailbox) = self.mailboxes.get(connection.thread()) {
            mailbox.send(command);
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl ConnectionId {
    /// Bits 56 to 63 are the thread, 32 to 55 the place, 0 to 31 the generation of the place.
    fn new(thread: u8, place: u32, generation: u32) -> ConnectionId {
        ConnectionId(u64::from(thread) << 56 | u64::from(place) << 32 | u64::from(generation))
    }

    fn thread(self) -> usize {
        (self.0 >> 56) as usize
    }

    fn place(self) -> (u32, u32) {
        ((self.0 >> 32) as u32 & 0x00ff_ffff, self.0 as u32)
    }
}

type Opened = (Vec<Vec<Listening>>, Vec<Address>, Vec<PathBuf>);

/// Listeners of each thread, the addresses as opened, paths to remove at the end.
fn open(addresses: &[Address], threads: usize, options: &HubOptions) -> Result<Opened, BindError> {
    let mut bound = Vec::new();
    let mut paths = Vec::new();
    let mut listeners: Vec<Vec<Listening>> = (0..threads).map(|_| Vec::new()).collect();
    if addresses.len() > ADDRESSES_MAX {
        let source = io::Error::other("at most 32 addresses");
        return Err(BindError { address: format!("{} addresses", addresses.len()), source });
    }
    for address in addresses {
        let failed = |source| BindError { address: address.to_string(), source };
        match address {
            Address::Tcp(wanted) => {
                if !options.is_shared {
                    // Sharing among our threads must not hide a stranger on the port.
                    listen(*wanted, false).map_err(failed)?;
                }
                let mut actual = *wanted;
                for listeners in &mut listeners {
                    let is_shared = options.is_shared || threads > 1;
                    let socket = listen(actual, is_shared).map_err(failed)?;
                    if options.send_buffer_bytes > 0 {
                        // Accepted sockets inherit it.
                        socket.set_send_buffer_size(options.send_buffer_bytes).map_err(failed)?;
                    }
                    let local = socket.local_addr().map_err(failed)?;
                    actual = local.as_socket().unwrap_or(actual);
                    listeners.push(Listening { socket, is_internet: true });
                }
                bound.push(Address::Tcp(actual));
            }
            Address::Stream(path) => {
                let socket = listen_on_path(path, socket2::Type::STREAM).map_err(failed)?;
                paths.push(path.clone());
                bound.push(address.clone());
                listeners[0].push(Listening { socket, is_internet: false });
            }
            _ => return Err(failed(io::Error::other("a websocket port is tcp@ or stream@"))),
        }
    }
    Ok((listeners, bound, paths))
}
