//! The loop on one thread: ask what is due, wait for the sockets, take answers.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::codec::{Protocol, Verdict, verdict};
use crate::connection::{Connection, Sent};
use crate::workload::{Funding, Requests, Workload};

/// Requests in flight per connection of an open loop without `--window`.
const OPEN_WINDOW: usize = 65_536;

/// Requests in flight per connection of a closed loop without `--window`.
const CLOSED_WINDOW: usize = 32;

/// How long answers may come after the end.
const DRAIN: Duration = Duration::from_secs(5);

/// How long the server may take for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// Slack of the timer that wakes the open loop, in nanoseconds: the default of 50 microseconds would be
/// charged to the server.
const TIMER_SLACK_NS: u64 = 1_000;

/// Largest latency that is told apart: an hour in nanoseconds.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// How long and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Requests a second of an open loop; `None` for a closed one.
    pub(crate) rate: Option<f64>,
    pub(crate) window: Option<usize>,
    pub(crate) warmup: Duration,
    pub(crate) seconds: Duration,
}

impl Plan {
    /// Requests in flight per connection.
    pub(crate) fn window(&self) -> usize {
        let default = if self.rate.is_some() { OPEN_WINDOW } else { CLOSED_WINDOW };
        self.window.unwrap_or(default)
    }
}

/// What a run found. All counts but `answered` and `unanswered` are of requests whose intended time stands
/// in the measured part.
pub(crate) struct Outcome {
    /// From the intended send time to the answer, nanoseconds.
    pub(crate) latency: Histogram<u64>,
    pub(crate) accepted: u64,
    /// By code.
    pub(crate) refused: BTreeMap<i32, u64>,
    /// Answers that came during the measured part.
    pub(crate) answered: u64,
    /// Requests of the whole run without an answer at its end.
    pub(crate) unanswered: u64,
    /// Share of the sampled orders that met another.
    pub(crate) taking: Option<f64>,
    /// Latest that a request was handed to its socket behind its intended time: when this is long, the
    /// generator or its windows were the limit.
    pub(crate) lag_max: Duration,
}

/// Open connections to one server.
pub(crate) struct Driver {
    sockets: Vec<TcpStream>,
    connections: Vec<Connection>,
    /// Which of them can be read.
    is_readable: Vec<bool>,
    buffer: Vec<u8>,
    params: Vec<u8>,
}

impl Driver {
    pub(crate) fn connect(
        address: SocketAddr,
        protocol: Protocol,
        count: usize,
    ) -> io::Result<Driver> {
        let mut sockets = Vec::with_capacity(count);
        for _ in 0..count {
            let socket = TcpStream::connect_timeout(&address, CONNECT)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            sockets.push(socket);
        }
        rustix::thread::set_current_timer_slack(NonZeroU64::new(TIMER_SLACK_NS))?;
        Ok(Driver {
            connections: (0..count).map(|_| Connection::new(protocol)).collect(),
            sockets,
            is_readable: vec![false; count],
            buffer: vec![0; READ_BYTES],
            params: Vec::new(),
        })
    }

    /// Asks everything of `funding` as fast as it goes; the code of a refusal, if there was one.
    pub(crate) fn fund(
        &mut self,
        funding: &mut Funding<'_>,
        window: usize,
    ) -> io::Result<Option<i32>> {
        let mut is_done = false;
        while !is_done || self.unanswered() > 0 {
            for place in 0..self.connections.len() {
                while !is_done && self.connections[place].unanswered() < window {
                    is_done = !self.ask(place, funding, 0);
                }
            }
            self.write()?;
            self.wait(None)?;
            self.read(&mut |sent, verdict, body| funding.answered(sent.asked, verdict, body))?;
        }
        Ok(funding.refusal)
    }

    /// Asks as planned.
    pub(crate) fn run(&mut self, workload: &mut Workload, plan: &Plan) -> io::Result<Outcome> {
        let mut outcome = Outcome {
            latency: Histogram::new_with_max(LATENCY_NS_MAX, 3).map_err(io::Error::other)?,
            accepted: 0,
            refused: BTreeMap::new(),
            answered: 0,
            unanswered: 0,
            taking: None,
            lag_max: Duration::ZERO,
        };
        let measured = nanoseconds(plan.warmup)..nanoseconds(plan.warmup + plan.seconds);
        let started = Instant::now();
        let mut issued = 0;
        let mut next_place = 0;
        loop {
            let now = nanoseconds(started.elapsed());
            if now < measured.end {
                match plan.rate {
                    Some(rate) => {
                        let lag =
                            self.issue(workload, plan, rate, now, &mut issued, &mut next_place);
                        if now >= measured.start {
                            outcome.lag_max = outcome.lag_max.max(Duration::from_nanos(lag));
                        }
                    }
                    None => self.refill(workload, plan.window(), now),
                }
            } else if self.unanswered() == 0 || now > measured.end + nanoseconds(DRAIN) {
                break;
            }
            self.write()?;
            let now = nanoseconds(started.elapsed());
            let until = match plan.rate {
                _ if now >= measured.end => measured.end + nanoseconds(DRAIN),
                Some(rate) => intended(issued, rate).min(measured.end),
                None => measured.end,
            };
            self.wait(Some(Duration::from_nanos(until.saturating_sub(now))))?;
            let now = nanoseconds(started.elapsed());
            self.read(&mut |sent, verdict, body| {
                if measured.contains(&now) {
                    outcome.answered += 1;
                }
                if measured.contains(&sent.intended_ns) {
                    outcome.latency.saturating_record(now - sent.intended_ns);
                    match verdict {
                        Verdict::Accepted => outcome.accepted += 1,
                        Verdict::Refused(code) => *outcome.refused.entry(code).or_default() += 1,
                    }
                }
                workload.answered(sent.asked, verdict, body);
            })?;
        }
        outcome.unanswered = self.unanswered() as u64;
        if workload.searched > 0 {
            outcome.taking = Some(workload.dealt as f64 / workload.searched as f64);
        }
        Ok(outcome)
    }

    /// Open loop: asks every request whose time has come, as far as windows allow; how late the oldest of
    /// them is.
    fn issue(
        &mut self,
        workload: &mut Workload,
        plan: &Plan,
        rate: f64,
        now: u64,
        issued: &mut u64,
        next_place: &mut usize,
    ) -> u64 {
        let lag = now.saturating_sub(intended(*issued, rate));
        let count = self.connections.len();
        loop {
            let intended_ns = intended(*issued, rate);
            if intended_ns > now {
                return lag;
            }
            let mut places = (0..count).map(|step| (*next_place + step) % count);
            let open = places.find(|place| self.connections[*place].unanswered() < plan.window());
            let Some(place) = open else { return lag };
            *next_place = (place + 1) % count;
            self.ask(place, workload, intended_ns);
            *issued += 1;
        }
    }

    /// Closed loop: fills every window.
    fn refill(&mut self, workload: &mut Workload, window: usize, now: u64) {
        for place in 0..self.connections.len() {
            while self.connections[place].unanswered() < window {
                self.ask(place, workload, now);
            }
        }
    }

    /// Whether there was a request to ask.
    fn ask(&mut self, place: usize, requests: &mut impl Requests, intended_ns: u64) -> bool {
        self.params.clear();
        let Some((method, asked)) = requests.next(&mut self.params) else { return false };
        self.connections[place].ask(method, &self.params, Sent { intended_ns, asked });
        true
    }

    fn write(&mut self) -> io::Result<()> {
        for (connection, socket) in self.connections.iter_mut().zip(&self.sockets) {
            if connection.has_output() {
                connection.write(socket)?;
            }
        }
        Ok(())
    }

    /// Sleeps until a socket is ready or the time is over.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let places = self.sockets.iter().zip(&self.connections);
        let mut fds: Vec<PollFd<'_>> = places
            .map(|(socket, connection)| {
                let output =
                    if connection.has_output() { PollFlags::OUT } else { PollFlags::empty() };
                PollFd::new(socket, PollFlags::IN | output)
            })
            .collect();
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for (is_readable, fd) in self.is_readable.iter_mut().zip(&fds) {
            *is_readable = !fd.revents().is_empty();
        }
        Ok(())
    }

    fn read(&mut self, take: &mut impl FnMut(Sent, Verdict, &[u8])) -> io::Result<()> {
        let places = self.connections.iter_mut().zip(&self.sockets);
        for ((connection, socket), is_readable) in places.zip(&self.is_readable) {
            if !is_readable {
                continue;
            }
            connection.read(socket, &mut self.buffer, &mut |sent, body| {
                let Some(verdict) = verdict(body) else {
                    let text = format!("no envelope: {}", String::from_utf8_lossy(body));
                    return Err(io::Error::new(ErrorKind::InvalidData, text));
                };
                take(sent, verdict, body);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn unanswered(&self) -> usize {
        self.connections.iter().map(Connection::unanswered).sum()
    }
}

/// When the `index`-th request is to be sent.
fn intended(index: u64, rate: f64) -> u64 {
    (index as f64 * 1e9 / rate) as u64
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
