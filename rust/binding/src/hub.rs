//! The websocket hub as a Python object.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use viabtc_engine::Decimal;
use viabtc_gateway::hub::{
    Calls, CallsOptions, Closing, ConnectionId, Items, Notice, Publication, Step, StreamLimits,
};
use viabtc_gateway::{Address, HubOptions};

use crate::answers::Answers;
use crate::backends::{Backends, Links};
use crate::engine::{Engine, duration};
use crate::errors::{ConfigError, StartError};
use crate::market::MarketBoard;
use crate::ports::addresses;
use crate::push::Push;
use crate::wake::Wake;

/// Websocket connections that speak the original's protocol.
#[pyclass(frozen, module = "viabtc._core")]
pub(crate) struct Hub {
    hub: Arc<viabtc_gateway::Hub>,
    links: Links,
    /// Rung when there are notices.
    wake: Wake,
    push: Mutex<Option<Push>>,
    host: Option<Arc<viabtc_host::Host>>,
}

/// Named options with defaults.
struct Named<'a, 'py> {
    options: &'a Bound<'py, PyDict>,
    known: RefCell<HashSet<&'static str>>,
}

impl<'py> Named<'_, 'py> {
    fn get<T>(&self, name: &'static str, default: T) -> PyResult<T>
    where
        T: for<'a> FromPyObject<'a, 'py>,
    {
        self.known.borrow_mut().insert(name);
        match self.options.get_item(name)? {
            Some(value) => value.extract().map_err(Into::into),
            None => Ok(default),
        }
    }

    fn seconds(&self, name: &'static str, default: Duration) -> PyResult<Duration> {
        duration(name, self.get(name, default.as_secs_f64())?)
    }

    /// Refuses what nothing read.
    fn close(&self) -> PyResult<()> {
        for name in self.options.keys() {
            let name: String = name.extract()?;
            if !self.known.borrow().contains(name.as_str()) {
                return Err(PyValueError::new_err(format!("the hub has no option \"{name}\"")));
            }
        }
        Ok(())
    }
}

#[pymethods]
impl Hub {
    #[new]
    #[pyo3(signature = (
        bind, *, engine = None, market = None, readhistory = None, remotes = None, timeout_s = 1.0,
        options = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn new(
        py: Python<'_>,
        bind: Vec<String>,
        engine: Option<&Bound<'_, Engine>>,
        market: Option<&Bound<'_, MarketBoard>>,
        readhistory: Option<&Bound<'_, Answers>>,
        remotes: Option<&Bound<'_, PyDict>>,
        timeout_s: f64,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Hub> {
        let addresses = addresses(&bind)?;
        let timeout = duration("timeout_s", timeout_s)?;
        let (options, calls) = read_options(options.unwrap_or(&PyDict::new(py)))?;
        let host = engine.map(|engine| Arc::clone(&engine.get().host));
        let backends = Backends::new(engine, market, readhistory).connect(remotes, timeout)?;
        let wake = Wake::new().map_err(|error| {
            let remedy = "raise the limit of open files of this user";
            StartError::new_err((format!("cannot make an eventfd: {error}"), remedy))
        })?;
        let bell = wake.clone();
        let hub = py.detach(|| {
            let dialect = || Box::new(Calls::new(calls.clone())) as _;
            viabtc_gateway::Hub::start(&backends.list, dialect, &addresses, options, move || {
                bell.ring()
            })
            .map_err(|error| StartError::new_err((error.to_string(), error.remedy())))
        })?;
        Ok(Hub { hub: Arc::new(hub), links: backends.links, wake, push: Mutex::new(None), host })
    }

    #[getter]
    fn addresses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        crate::strings(py, self.hub.addresses().iter().map(Address::to_string))
    }

    /// Whether each remote service is connected.
    fn links<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.links.states(py)
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        crate::figures(py, self.hub.metrics().snapshot())
    }

    /// Becomes readable when there are notices.
    fn fileno(&self) -> i32 {
        self.wake.fd()
    }

    #[pyo3(signature = (max = 1_000))]
    fn take<'py>(&self, py: Python<'py>, max: usize) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        self.wake.clear();
        self.wake.arm();
        let notices = self.hub.take_notices(max).into_iter();
        notices.map(|notice| tuple(py, notice)).collect()
    }

    /// Tells subscribers the newest states: topic, update, snapshot (the update itself when None). With
    /// `whole` each update is all of its state.
    #[pyo3(signature = (states, *, whole = false))]
    fn publish(
        &self,
        py: Python<'_>,
        states: Vec<(String, Vec<u8>, Option<Vec<u8>>)>,
        whole: bool,
    ) {
        let make = if whole { Publication::whole } else { Publication::state };
        let publications = states.into_iter().map(|(topic, update, snapshot)| {
            let snapshot = snapshot.as_deref().unwrap_or(&update);
            (topic.into(), make(&update, snapshot))
        });
        let publications = publications.collect();
        py.detach(|| self.hub.publish(publications));
    }

    /// Tells subscribers a message; nothing is kept.
    fn tell(&self, py: Python<'_>, messages: Vec<(String, Vec<u8>)>) {
        let publications = messages
            .into_iter()
            .map(|(topic, message)| (topic.into(), Publication::message(&message)))
            .collect();
        py.detach(|| self.hub.publish(publications));
    }

    /// Tells subscribers members of a list.
    fn extend(
        &self,
        py: Python<'_>,
        topic: String,
        head: Vec<u8>,
        tail: Vec<u8>,
        members: Vec<(u64, Vec<u8>)>,
        whole: bool,
    ) -> PyResult<()> {
        if !members.is_sorted_by(|(one, _), (other, _)| one < other) {
            return Err(PyValueError::new_err("the numbers of the members ascend"));
        }
        let members = members.into_iter().map(|(number, text)| (number, text.into())).collect();
        let items = Items { head: head.into(), tail: tail.into(), members, is_whole: whole };
        let publication = (topic.into(), Publication::Items(Arc::new(items)));
        py.detach(|| self.hub.publish(vec![publication]));
        Ok(())
    }

    /// Tells subscribers of a channel its next step.
    #[pyo3(signature = (topic, channel, update, snapshot, *, conflated))]
    fn step(
        &self,
        py: Python<'_>,
        topic: String,
        channel: String,
        update: Option<Vec<u8>>,
        snapshot: Vec<u8>,
        conflated: bool,
    ) {
        let step = Step {
            channel: channel.into(),
            update: update.map(Vec::into_boxed_slice),
            snapshot: snapshot.into(),
            is_conflated: conflated,
        };
        let publication = (topic.into(), Publication::Step(Arc::new(step)));
        py.detach(|| self.hub.publish(vec![publication]));
    }

    fn watched(&self, topics: Vec<String>) -> Vec<bool> {
        self.hub.watched(topics.iter().map(String::as_str))
    }

    /// Makes a connection a user's; `grant` numbers what made it that, 0 for what is never withdrawn.
    #[pyo3(signature = (connection, user, answer, *, grant = 0))]
    fn authenticate(&self, connection: u64, user: u32, answer: &[u8], grant: u32) {
        self.hub.authenticate(ConnectionId(connection), user, grant, answer);
    }

    /// The grants that open connections stand on.
    fn grants(&self) -> Vec<u32> {
        self.hub.grants()
    }

    /// Closes every connection that stands on a grant.
    fn withdraw(&self, grant: u32) {
        self.hub.withdraw(grant);
    }

    fn answer(&self, connection: u64, answer: &[u8]) {
        self.hub.answer(ConnectionId(connection), answer);
    }

    fn close(&self, connection: u64, code: u16) {
        let closing = Closing { code, reason: "closed by the service" };
        self.hub.close(ConnectionId(connection), closing);
    }

    /// Closes every connection that hears orders or assets.
    fn close_private(&self, code: u16) {
        self.hub.close_private(Closing { code, reason: "something was lost: connect again" });
    }

    fn ask(&self, tag: u32, method: &str, params: Vec<u8>) -> PyResult<()> {
        let Some((command, place)) = crate::backends::route(method) else {
            return Err(PyValueError::new_err(format!("\"{method}\" is no method")));
        };
        self.hub.ask(tag, place, command, params);
        Ok(())
    }

    /// Pushes orders, assets and deals of the engine whose files stand in `directory`. Deals are noted once
    /// `market` has them.
    fn follow(&self, directory: PathBuf, market: &Bound<'_, MarketBoard>) -> PyResult<()> {
        let Some(host) = &self.host else {
            return Err(PyValueError::new_err("the hub has no engine of this process"));
        };
        let board = market.get().reached();
        let started = Push::start(Arc::clone(host), Arc::clone(&self.hub), &directory, board);
        let push = started.map_err(|error| {
            let problem = format!("cannot follow the feed in {}: {error}", directory.display());
            StartError::new_err((problem, "check the directory, and the limit of threads"))
        })?;
        *self.push() = Some(push);
        Ok(())
    }

    /// Which words of the feed are noted from now on.
    fn heed(&self, words: Vec<String>) {
        if let Some(push) = &*self.push() {
            push.heed(words);
        }
    }

    /// Why the feed is not followed any more.
    #[getter]
    fn failure(&self) -> Option<String> {
        self.push().as_ref().and_then(Push::failure)
    }

    /// Whether every thread goes round within `within_s` seconds.
    fn beats(&self, py: Python<'_>, within_s: f64) -> PyResult<bool> {
        let within = duration("within_s", within_s)?;
        Ok(py.detach(|| self.hub.beats(within) && self.links.beats(within)))
    }

    #[pyo3(signature = (deadline_s = 5.0))]
    fn stop(&self, py: Python<'_>, deadline_s: f64) -> PyResult<()> {
        let deadline = duration("deadline_s", deadline_s)?;
        py.detach(|| {
            self.hub.stop(deadline);
            if let Some(push) = self.push().take() {
                push.stop();
            }
            self.links.stop();
        });
        Ok(())
    }
}

impl Hub {
    fn push(&self) -> std::sync::MutexGuard<'_, Option<Push>> {
        self.push.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn tuple<'py>(py: Python<'py>, notice: Notice) -> PyResult<Bound<'py, PyTuple>> {
    match notice {
        Notice::Watched(topic) => ("watched", &*topic).into_pyobject(py),
        Notice::Unwatched(topic) => ("unwatched", &*topic).into_pyobject(py),
        Notice::Noted(word) => ("noted", &*word).into_pyobject(py),
        Notice::Answer(answer) => {
            let body = answer.body.map(|body| PyBytes::new(py, &body));
            ("answer", answer.tag, body).into_pyobject(py)
        }
        Notice::Request(request) => {
            let address = request.address.map(|address| address.to_string());
            let params = PyBytes::new(py, request.params.as_bytes());
            let id = request.id;
            ("request", request.connection.0, address, id, request.method, params).into_pyobject(py)
        }
    }
}

fn read_options(options: &Bound<'_, PyDict>) -> PyResult<(HubOptions, CallsOptions)> {
    let defaults = HubOptions::default();
    let named = Named { options, known: RefCell::default() };
    let hub = HubOptions {
        protocol: named.get("protocol", defaults.protocol)?,
        origin_suffix: named.get("origin_suffix", defaults.origin_suffix)?,
        origins: named.get("origins", defaults.origins)?,
        trusts_forwarded: named.get("trusts_forwarded", defaults.trusts_forwarded)?,
        frame_bytes_max: named.get("frame_bytes_max", defaults.frame_bytes_max)?,
        message_bytes_max: named.get("message_bytes_max", defaults.message_bytes_max)?,
        queue_bytes_max: named.get("queue_bytes_max", defaults.queue_bytes_max)?,
        send_buffer_bytes: named.get("send_buffer_bytes", defaults.send_buffer_bytes)?,
        keep_alive: named.seconds("keep_alive_s", defaults.keep_alive)?,
        ping_interval: named.seconds("ping_interval_s", defaults.ping_interval)?,
        stall_timeout: named.seconds("stall_timeout_s", defaults.stall_timeout)?,
        opening_timeout: named.seconds("opening_timeout_s", defaults.opening_timeout)?,
        message_timeout: named.seconds("message_timeout_s", defaults.message_timeout)?,
        connections_max: named.get("connections_max", defaults.connections_max)?,
        connections_per_address_max: named
            .get("connections_per_address_max", defaults.connections_per_address_max)?,
        auth_timeout: named.seconds("auth_timeout_s", defaults.auth_timeout)?,
        subscriptions_max: named.get("subscriptions_max", defaults.subscriptions_max)?,
        frames_per_second_max: named
            .get("frames_per_second_max", defaults.frames_per_second_max)?,
        is_deflating: named.get("deflate", defaults.is_deflating)?,
        stream: StreamLimits {
            message_bytes_max: named
                .get("stream_message_bytes_max", defaults.stream.message_bytes_max)?,
            frames_per_second_max: named
                .get("stream_frames_per_second_max", defaults.stream.frames_per_second_max)?,
            connections_per_address_max: named.get(
                "stream_connections_per_address_max",
                defaults.stream.connections_per_address_max,
            )?,
            subscriptions_max: named
                .get("stream_subscriptions_max", defaults.stream.subscriptions_max)?,
            ping_interval: named
                .seconds("stream_ping_interval_s", defaults.stream.ping_interval)?,
        },
        threads: named.get("threads", defaults.threads)?,
        writers: named.get("writers", defaults.writers)?,
        is_shared: named.get("shared", defaults.is_shared)?,
    };
    let intervals: Vec<String> = named.get("depth_intervals", Vec::new())?;
    let intervals = intervals.iter().map(|text| {
        let number = Decimal::parse(text).ok().filter(|number| number.coefficient >= 0);
        number.ok_or_else(|| {
            let problem = format!("holds \"{text}\", which is no interval");
            ConfigError::new_err(("depth_merge", problem, "numbers as text, such as \"0.01\""))
        })
    });
    let calls = CallsOptions {
        depth_limits: named.get("depth_limits", Vec::new())?,
        depth_intervals: intervals.collect::<PyResult<_>>()?,
    };
    named.close()?;
    Ok((hub, calls))
}
