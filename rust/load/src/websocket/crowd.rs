//! All connections on one thread: opened as fast as the server takes them, then read.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::process::setpriority_process;
use socket2::{Domain, Protocol, Socket, Type};

use super::listener::{Listener, Phase, Script};

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// Sockets looked at in a turn.
const EVENTS_MAX: usize = 4_096;

/// How long no connection may open before the rest is given up.
const OPENING: Duration = Duration::from_secs(10);

/// How long deals of the measured part may come after it.
const DRAIN: Duration = Duration::from_secs(1);

/// Pushes whose times are kept: more than are on their way at once.
const PUSHES_MAX: usize = 1_024;

/// Of nice values, that of who waits for all others.
const LOWEST_PRIORITY: i32 = 19;

/// Sockets that stand for all while nothing comes, and the pause between looks at them.
const SCOUTS: usize = 16;
const LOOK: Duration = Duration::from_millis(2);

/// Largest latency that is told apart: an hour in nanoseconds.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// Begin of what a server pushes of deals.
const DEALS: &[u8] = b"{\"method\": \"deals.update\"";

/// What stands before the time of a deal.
const TIME: &[u8] = b"\"time\": ";

pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    /// That may be opening at once.
    pub(crate) opening: usize,
    /// Local addresses, in turn; the system's choice when there are none.
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) warmup: Duration,
    pub(crate) seconds: Duration,
    /// Reading keeps out of the server's way.
    pub(crate) is_aside: bool,
    /// The process whose memory is looked at.
    pub(crate) server: Option<u32>,
}

/// What a run found.
pub(crate) struct Found {
    pub(crate) opened: usize,
    pub(crate) opened_in: Duration,
    /// Why connections did not open, and how many.
    pub(crate) failed: BTreeMap<String, u64>,
    /// By close code.
    pub(crate) closed: BTreeMap<u16, u64>,
    /// Requests that were answered with an error.
    pub(crate) refused: u64,
    /// Messages and their bytes that came in the measured part.
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// From the deal's own time to its arrival at the connection's socket, nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// The same until the one thread that reads all connections had it.
    pub(crate) reading: Histogram<u64>,
    /// Fewest and most deals of the measured part that reached a connection.
    pub(crate) deals: (u64, u64),
    /// Resident bytes of the server before the first connection and with all of them.
    pub(crate) memory: Option<(u64, u64)>,
}

struct Crowd<'a> {
    plan: &'a Plan,
    script: &'a Script,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    /// Pushes of deals, and the times in each: most that come are the same for all connections.
    pushes: HashMap<Vec<u8>, Vec<u64>>,
    listeners: Vec<Option<Listener>>,
    /// Connections that are opening.
    opening: usize,
    /// Sockets are looked at in turn, and not waited for.
    is_aside: bool,
    /// Messages that came, whenever.
    heard: u64,
    /// Times of deals that count, in nanoseconds since the epoch.
    measured: std::ops::Range<u64>,
    began: Instant,
    /// When it began.
    epoch_ns: u64,
    found: Found,
}

/// Opens and listens as planned.
pub(crate) fn run(plan: &Plan, script: &Script) -> io::Result<Found> {
    let before = plan.server.map(resident_bytes).transpose()?;
    let mut crowd = Crowd::new(plan, script)?;
    crowd.open()?;
    if plan.is_aside {
        crowd.step_aside()?;
    }
    let start_ns = crowd.now_ns() + nanoseconds(plan.warmup);
    crowd.measured = start_ns..start_ns + nanoseconds(plan.seconds);
    let end_ns = crowd.measured.end + nanoseconds(DRAIN);
    let mut after = None;
    // Nothing comes any more once every connection is closed.
    while let now_ns = crowd.now_ns()
        && now_ns < end_ns
        && crowd.listeners.iter().any(Option::is_some)
    {
        if now_ns >= start_ns && after.is_none() {
            after = plan.server.map(resident_bytes).transpose()?;
        }
        if plan.is_aside {
            crowd.look_around();
        } else {
            crowd.turn(Duration::from_nanos(end_ns - now_ns).min(Duration::from_millis(50)))?;
        }
    }
    crowd.found.memory = before.zip(after);
    Ok(crowd.end())
}

impl<'a> Crowd<'a> {
    fn new(plan: &'a Plan, script: &'a Script) -> io::Result<Crowd<'a>> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Crowd {
            plan,
            script,
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            buffer: vec![0; READ_BYTES],
            pushes: HashMap::new(),
            listeners: Vec::with_capacity(plan.connections),
            opening: 0,
            is_aside: false,
            heard: 0,
            measured: u64::MAX..u64::MAX,
            began: Instant::now(),
            epoch_ns: nanoseconds(since),
            found: Found {
                opened: 0,
                opened_in: Duration::ZERO,
                failed: BTreeMap::new(),
                closed: BTreeMap::new(),
                refused: 0,
                messages: 0,
                bytes: 0,
                latency: Histogram::new_with_max(LATENCY_NS_MAX, 3).map_err(io::Error::other)?,
                reading: Histogram::new_with_max(LATENCY_NS_MAX, 3).map_err(io::Error::other)?,
                deals: (0, 0),
                memory: None,
            },
        })
    }

    /// Nanoseconds since the epoch, by a clock that does not jump.
    fn now_ns(&self) -> u64 {
        self.epoch_ns + nanoseconds(self.began.elapsed())
    }

    fn open(&mut self) -> io::Result<()> {
        let mut last = Instant::now();
        let mut opened = 0;
        while self.listeners.len() < self.plan.connections || self.opening > 0 {
            while self.opening < self.plan.opening && self.listeners.len() < self.plan.connections {
                self.begin();
            }
            self.turn(Duration::from_millis(50))?;
            if self.found.opened > opened {
                (opened, last) = (self.found.opened, Instant::now());
                self.found.opened_in = self.began.elapsed();
            } else if last.elapsed() > OPENING {
                let missing = self.plan.connections - opened;
                self.found.failed.insert("no answer".into(), missing as u64);
                break;
            }
        }
        Ok(())
    }

    fn begin(&mut self) {
        match self.connect() {
            Ok(listener) => {
                self.listeners.push(Some(listener));
                self.opening += 1;
            }
            Err(error) => {
                self.listeners.push(None);
                self.fail(&error);
            }
        }
    }

    fn connect(&self) -> io::Result<Listener> {
        let place = self.listeners.len();
        let address = self.plan.address;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        // Reset at the end: ports of connections that are closed in turn stay taken for a minute.
        socket.set_linger(Some(Duration::ZERO))?;
        if let Some(count) = self.plan.sources.len().checked_sub(1) {
            let source = self.plan.sources[place % (count + 1)];
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => return Err(error),
            _ => {}
        }
        let mut socket = TcpStream::from_std(socket.into());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(place), interest)?;
        Ok(Listener::new(socket))
    }

    /// From now on this thread reads when nobody else wants its processor, no write of the server has to wake it, and
    /// acknowledgements wait for it.
    fn step_aside(&mut self) -> io::Result<()> {
        self.is_aside = true;
        setpriority_process(None, LOWEST_PRIORITY)?;
        for listener in self.listeners.iter_mut().flatten() {
            self.poll.registry().deregister(&mut listener.socket)?;
            listener.acknowledge()?;
        }
        Ok(())
    }

    /// Reads what came to a few sockets that stand for all; when it was something, then from all, until
    /// a whole round finds nothing.
    fn look_around(&mut self) {
        let step = self.listeners.len().div_ceil(SCOUTS).max(1);
        let before = self.heard;
        for place in (0..self.listeners.len()).step_by(step) {
            self.serve(place, false);
        }
        if self.heard == before {
            std::thread::sleep(LOOK);
            return;
        }
        let mut seen = before;
        while std::mem::replace(&mut seen, self.heard) != self.heard {
            for place in 0..self.listeners.len() {
                self.serve(place, false);
            }
        }
    }

    /// Waits for sockets and serves them.
    fn turn(&mut self, timeout: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            self.serve(event.token().0, event.is_writable());
        }
        self.events = events;
        Ok(())
    }

    fn serve(&mut self, place: usize, is_writable: bool) {
        let Some(mut listener) = self.listeners[place].take() else { return };
        let before = listener.phase;
        let done = self.advance(&mut listener, is_writable);
        let was_open = before == Phase::Open;
        match (done, listener.phase) {
            (Ok(()), Phase::Closed(code)) => {
                if !was_open {
                    self.opening -= 1;
                }
                *self.found.closed.entry(code).or_default() += 1;
                return;
            }
            (Ok(()), Phase::Open) if !was_open => {
                self.opening -= 1;
                self.found.opened += 1;
            }
            (Ok(()), _) => {}
            (Err(error), _) => {
                if !was_open {
                    self.opening -= 1;
                }
                return self.fail(&error);
            }
        }
        self.listeners[place] = Some(listener);
    }

    fn advance(&mut self, listener: &mut Listener, is_writable: bool) -> io::Result<()> {
        if is_writable {
            listener.writable(self.script)?;
        }
        if listener.phase == Phase::Connecting {
            return Ok(());
        }
        let now_ns = self.now_ns();
        let Crowd { script, buffer, measured, found, pushes, heard, is_aside, .. } = self;
        let mut push = |listener: &mut Listener, payload: &[u8], came_ns: Option<u64>| {
            *heard += 1;
            if measured.contains(&now_ns) {
                found.messages += 1;
                found.bytes += payload.len() as u64;
            }
            if measured.start != u64::MAX && payload.starts_with(DEALS) {
                if !pushes.contains_key(payload) {
                    if pushes.len() == PUSHES_MAX {
                        pushes.clear();
                    }
                    pushes.insert(payload.to_vec(), deal_times(payload).collect());
                }
                for time_ns in pushes[payload].iter().filter(|time| measured.contains(time)) {
                    listener.deals += 1;
                    let came_ns = came_ns.unwrap_or(now_ns);
                    found.latency.saturating_record(came_ns.saturating_sub(*time_ns));
                    found.reading.saturating_record(now_ns.saturating_sub(*time_ns));
                }
            }
        };
        if *is_aside {
            listener.readable_by_frame(script, buffer, &mut push)
        } else {
            listener.readable(script, buffer, &mut push)
        }
    }

    fn fail(&mut self, error: &io::Error) {
        *self.found.failed.entry(error.to_string()).or_default() += 1;
    }

    fn end(mut self) -> Found {
        let listeners = || self.listeners.iter().flatten();
        let deals = listeners().map(|listener| listener.deals);
        self.found.deals = (deals.clone().min().unwrap_or(0), deals.max().unwrap_or(0));
        self.found.refused = listeners().map(|listener| u64::from(listener.refused)).sum();
        self.found
    }
}

/// `EINPROGRESS`: the connection will be there when the socket can be written.
const IN_PROGRESS: i32 = 115;

/// When the deals of a push happened, nanoseconds since the epoch.
fn deal_times(payload: &[u8]) -> impl Iterator<Item = u64> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let start = rest.windows(TIME.len()).position(|bytes| bytes == TIME)? + TIME.len();
        rest = &rest[start..];
        let size = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'.'))?;
        let text = std::str::from_utf8(&rest[..size]).ok()?;
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let fraction = format!("{fraction:0<9}");
        let seconds: u64 = seconds.parse().ok()?;
        Some(seconds * 1_000_000_000 + fraction.get(..9)?.parse::<u64>().ok()?)
    })
}

/// What a process has in memory. Source: proc(5).
fn resident_bytes(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    let missing = || io::Error::new(ErrorKind::InvalidData, "its status says no VmRSS");
    kilobytes.map(|kilobytes: u64| kilobytes * 1_024).ok_or_else(missing)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_all_deals_of_a_push_are_found() {
        let push = br#"{"method": "deals.update", "params": ["X", [{"id": 2, "time": 1700000000.5,
            "price": "1"}, {"id": 1, "time": 1700000000.123456, "price": "1"}]], "id": null}"#;
        let times: Vec<u64> = deal_times(push).collect();
        assert_eq!(times, [1_700_000_000_500_000_000, 1_700_000_000_123_456_000]);
        assert_eq!(deal_times(br#"{"time": "#).count(), 0);
    }

    #[test]
    fn a_process_has_something_in_memory() {
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
    }
}
