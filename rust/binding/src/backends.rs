//! Who answers a door's methods: parts of this process, or services that are called over RPC.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use viabtc_gateway::front_door::Route;
use viabtc_gateway::{Address, Backend, Remote, RemoteOptions};
use viabtc_wire::methods::{Owner, by_name};

use crate::answers::{Answers, AnswersBackend};
use crate::engine::{Engine, EngineBackend, duration};
use crate::errors::{ConfigError, StartError};
use crate::market::MarketBoard;
use crate::ports::addresses;

/// Places of the backends.
pub(crate) const OWNERS: [Owner; 3] = [Owner::Matchengine, Owner::Marketprice, Owner::Readhistory];

/// Command and backend of a method.
pub(crate) fn route(method: &str) -> Option<Route> {
    let method = by_name(method)?;
    let place = OWNERS.iter().position(|owner| *owner == method.owner)?;
    Some((method.command, place))
}

/// Backends by place, and the links of those that are remote.
#[derive(Default)]
pub(crate) struct Backends {
    pub(crate) list: [Option<Arc<dyn Backend>>; 3],
    pub(crate) links: Links,
}

impl Backends {
    /// Backends in this process; what is None answers nothing.
    pub(crate) fn new(
        engine: Option<&Bound<'_, Engine>>,
        market: Option<&Bound<'_, MarketBoard>>,
        readhistory: Option<&Bound<'_, Answers>>,
    ) -> Backends {
        let mut backends = Backends::default();
        if let Some(engine) = engine {
            backends.list[0] = Some(Arc::new(EngineBackend(Arc::clone(&engine.get().host))));
        }
        if let Some(market) = market {
            backends.list[1] = Some(Arc::new(market.get().backend.clone()));
        }
        if let Some(answers) = readhistory {
            let shared = Arc::clone(&answers.get().shared);
            backends.list[2] = Some(Arc::new(AnswersBackend(shared)));
        }
        backends
    }

    /// Starts links to the services in `remotes`, by name.
    ///
    /// # Errors
    /// `ConfigError` for addresses that cannot be called, `StartError` when a thread cannot start.
    pub(crate) fn connect(
        mut self,
        remotes: Option<&Bound<'_, PyDict>>,
        timeout: Duration,
    ) -> PyResult<Backends> {
        let Some(remotes) = remotes else { return Ok(self) };
        for (place, owner) in OWNERS.iter().enumerate() {
            let Some(section) = remotes.get_item(owner.name())? else { continue };
            let remote = Remote::start(remote_options(&section, timeout)?).map_err(|error| {
                StartError::new_err((
                    format!("cannot start the link to {}: {error}", owner.name()),
                    "raise the limits of threads and open files of this user",
                ))
            })?;
            self.links.0.push((owner.name(), Arc::clone(&remote)));
            self.list[place] = Some(remote);
        }
        Ok(self)
    }
}

/// Links to remote services.
#[derive(Default)]
pub(crate) struct Links(Vec<(&'static str, Arc<Remote>)>);

impl Links {
    /// By name, whether it is connected.
    pub(crate) fn states<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, remote) in &self.0 {
            dict.set_item(name, remote.is_connected())?;
        }
        Ok(dict)
    }

    /// Whether the thread of each goes round within `within`.
    pub(crate) fn beats(&self, within: Duration) -> bool {
        self.0.iter().all(|(_, remote)| remote.beats(within))
    }

    /// Ends them; calls in flight are answered with an error.
    pub(crate) fn stop(&self) {
        for (_, remote) in &self.0 {
            remote.stop();
        }
    }
}

fn remote_options(section: &Bound<'_, PyAny>, timeout: Duration) -> PyResult<RemoteOptions> {
    let item = |name: &str| section.get_item(name);
    let texts: Vec<String> = item("addresses")?.extract()?;
    let addresses = addresses(&texts)?;
    let is_stream = |address: &Address| matches!(address, Address::Tcp(_) | Address::Stream(_));
    if addresses.is_empty() || !addresses.iter().all(is_stream) {
        return Err(ConfigError::new_err((
            "addr",
            "is no list of stream addresses",
            "one or more of tcp@HOST:PORT and stream@/PATH",
        )));
    }
    Ok(RemoteOptions {
        addresses,
        max_pkg_size: item("max_pkg_size")?.extract()?,
        request_bytes_max: item("request_bytes_max")?.extract()?,
        reconnect_timeout: duration("reconnect_timeout", item("reconnect_timeout_s")?.extract()?)?,
        heartbeat_timeout: duration("heartbeat_timeout", item("heartbeat_timeout_s")?.extract()?)?,
        timeout,
    })
}
