//! The ports as Python objects.

use std::io;
use std::sync::{Arc, Mutex};

use pyo3::exceptions::{PyConnectionError, PyTimeoutError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use viabtc_gateway::{Address, Backend, Client, DoorOptions, RpcOptions};

use crate::answers::{Answers, AnswersBackend};
use crate::backends::{Backends, Links, route};
use crate::engine::{Engine, EngineBackend, duration};
use crate::errors::{ConfigError, StartError};
use crate::market::MarketBoard;

/// The backend that a Python object is.
fn backend(object: &Bound<'_, PyAny>) -> PyResult<Arc<dyn Backend>> {
    if let Ok(engine) = object.cast::<Engine>() {
        return Ok(Arc::new(EngineBackend(Arc::clone(&engine.get().host))));
    }
    if let Ok(market) = object.cast::<MarketBoard>() {
        return Ok(Arc::new(market.get().backend.clone()));
    }
    if let Ok(answers) = object.cast::<Answers>() {
        return Ok(Arc::new(AnswersBackend(Arc::clone(&answers.get().shared))));
    }
    Err(PyTypeError::new_err("a port answers from an Engine, a MarketBoard or Answers"))
}

/// The binary RPC port over an engine, market data, or what Python answers.
#[pyclass(frozen, module = "viabtc._core")]
pub(crate) struct RpcServer {
    server: viabtc_gateway::RpcServer,
}

#[pymethods]
impl RpcServer {
    #[new]
    #[pyo3(signature = (
        engine, bind, *, max_pkg_size = 10_240, buf_limit = 100, heartbeat_check = false, threads = 1
    ))]
    fn new(
        py: Python<'_>,
        engine: &Bound<'_, PyAny>,
        bind: Vec<String>,
        max_pkg_size: usize,
        buf_limit: usize,
        heartbeat_check: bool,
        threads: usize,
    ) -> PyResult<RpcServer> {
        let backend = backend(engine)?;
        let addresses = addresses(&bind)?;
        let options = RpcOptions {
            max_pkg_size,
            buf_limit,
            heartbeat_check,
            threads,
            ..RpcOptions::default()
        };
        let server = py.detach(|| {
            viabtc_gateway::RpcServer::start(backend, &addresses, &options)
                .map_err(|error| StartError::new_err((error.to_string(), error.remedy())))
        })?;
        Ok(RpcServer { server })
    }

    #[getter]
    fn addresses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        crate::strings(py, self.server.addresses().iter().map(Address::to_string))
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        crate::figures(py, self.server.metrics().snapshot())
    }

    /// Whether every thread goes round within `within_s` seconds.
    fn beats(&self, py: Python<'_>, within_s: f64) -> PyResult<bool> {
        let within = duration("within_s", within_s)?;
        Ok(py.detach(|| self.server.beats(within)))
    }

    #[pyo3(signature = (deadline_s = 5.0))]
    fn stop(&self, py: Python<'_>, deadline_s: f64) -> PyResult<()> {
        let deadline = duration("deadline_s", deadline_s)?;
        py.detach(|| self.server.stop(deadline));
        Ok(())
    }
}

/// JSON-RPC over HTTP, over parts of this process or over remote services.
#[pyclass(frozen, module = "viabtc._core")]
pub(crate) struct FrontDoor {
    door: viabtc_gateway::FrontDoor,
    links: Links,
}

#[pymethods]
impl FrontDoor {
    #[new]
    #[pyo3(signature = (
        bind, *, engine = None, market = None, readhistory = None, remotes = None,
        max_pkg_size = 102_400, buf_limit = 0,
        keep_alive_s = 3600.0, timeout_s = 1.0, threads = 1, shared = false
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn new(
        py: Python<'_>,
        bind: Vec<String>,
        engine: Option<&Bound<'_, Engine>>,
        market: Option<&Bound<'_, MarketBoard>>,
        readhistory: Option<&Bound<'_, Answers>>,
        remotes: Option<&Bound<'_, PyDict>>,
        max_pkg_size: usize,
        buf_limit: usize,
        keep_alive_s: f64,
        timeout_s: f64,
        threads: usize,
        shared: bool,
    ) -> PyResult<FrontDoor> {
        let addresses = addresses(&bind)?;
        let timeout = duration("timeout_s", timeout_s)?;
        let defaults = DoorOptions::default();
        let options = DoorOptions {
            max_pkg_size,
            keep_alive: duration("keep_alive_s", keep_alive_s)?,
            pending_bytes_max: match buf_limit {
                0 => defaults.pending_bytes_max,
                limit => limit.saturating_mul(max_pkg_size),
            },
            threads,
            is_shared: shared,
            ..defaults
        };
        let backends = Backends::new(engine, market, readhistory).connect(remotes, timeout)?;
        let door = py.detach(|| {
            viabtc_gateway::FrontDoor::start(&backends.list, route, &addresses, &options)
                .map_err(|error| StartError::new_err((error.to_string(), error.remedy())))
        })?;
        Ok(FrontDoor { door, links: backends.links })
    }

    #[getter]
    fn addresses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        crate::strings(py, self.door.addresses().iter().map(Address::to_string))
    }

    /// Whether each remote service is connected.
    fn links<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.links.states(py)
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        crate::figures(py, self.door.metrics().snapshot())
    }

    /// Whether every thread goes round within `within_s` seconds.
    fn beats(&self, py: Python<'_>, within_s: f64) -> PyResult<bool> {
        let within = duration("within_s", within_s)?;
        Ok(py.detach(|| self.door.beats(within) && self.links.beats(within)))
    }

    #[pyo3(signature = (deadline_s = 5.0))]
    fn stop(&self, py: Python<'_>, deadline_s: f64) -> PyResult<()> {
        let deadline = duration("deadline_s", deadline_s)?;
        py.detach(|| {
            self.door.stop(deadline);
            self.links.stop();
        });
        Ok(())
    }
}

/// A blocking RPC client.
#[pyclass(frozen, module = "viabtc._core")]
pub(crate) struct RpcClient {
    client: Mutex<Option<Client>>,
}

#[pymethods]
impl RpcClient {
    #[new]
    #[pyo3(signature = (address, *, timeout_s = 5.0))]
    fn new(py: Python<'_>, address: &str, timeout_s: f64) -> PyResult<RpcClient> {
        let parsed = one_address(address)?;
        let timeout = duration("timeout_s", timeout_s)?;
        let client = py
            .detach(|| Client::connect(&parsed, timeout))
            .map_err(|error| failed(&format!("cannot connect to {address}"), &error))?;
        Ok(RpcClient { client: Mutex::new(Some(client)) })
    }

    fn call<'py>(
        &self,
        py: Python<'py>,
        command: u32,
        params: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let body = py.detach(|| self.with(|client| client.call(command, params)))?;
        Ok(PyBytes::new(py, &body))
    }

    fn call_many<'py>(
        &self,
        py: Python<'py>,
        calls: Vec<(u32, Vec<u8>)>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let bodies = py.detach(|| {
            let calls: Vec<(u32, &[u8])> =
                calls.iter().map(|(command, params)| (*command, &params[..])).collect();
            self.with(|client| client.call_many(&calls))
        })?;
        Ok(bodies.iter().map(|body| PyBytes::new(py, body)).collect())
    }

    fn close(&self) {
        *self.client.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
    }
}

impl RpcClient {
    fn with<R>(&self, act: impl FnOnce(&mut Client) -> io::Result<R>) -> PyResult<R> {
        let mut client = self.client.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(open) = client.as_mut() else {
            return Err(PyConnectionError::new_err("the client is closed"));
        };
        act(open).map_err(|error| {
            // Answers may still be under way: nothing can be matched on this connection any more.
            *client = None;
            failed("the call failed", &error)
        })
    }
}

fn failed(what: &str, error: &io::Error) -> PyErr {
    let text = format!("{what}: {error}");
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => PyTimeoutError::new_err(text),
        _ => PyConnectionError::new_err(text),
    }
}

pub(crate) fn addresses(texts: &[String]) -> PyResult<Vec<Address>> {
    texts.iter().map(|text| one_address(text)).collect()
}

fn one_address(text: &str) -> PyResult<Address> {
    text.parse().map_err(|error: viabtc_gateway::AddressError| {
        ConfigError::new_err((
            "bind",
            format!("\"{}\" is not an address", error.text),
            error.problem,
        ))
    })
}
