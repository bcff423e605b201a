//! The engine as a Python object, and as the ports' backend.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use viabtc_engine::decimal::write_plain;
use viabtc_engine::{AssetId, UserId};
use viabtc_gateway::{Backend, Bundle, Outbox, Refusal, Session, Status, Ticket};
use viabtc_host::config_file::read_config;
use viabtc_host::metrics::SYNC_BOUNDS_US;
use viabtc_host::{Batch, Durability, Host, Options, Refused, Replies, ReplyTo};

use crate::errors;

/// Checks assets and markets of a configuration.
#[pyfunction]
pub(crate) fn validate_config(config: &str) -> PyResult<()> {
    read_config(config).map(drop).map_err(errors::config)
}

/// The exchange with its journal, on a thread of its own.
#[pyclass(frozen, module = "viabtc._core")]
pub(crate) struct Engine {
    pub(crate) host: Arc<Host>,
}

#[pymethods]
impl Engine {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    #[pyo3(signature = (
        config, directory, *, durability = "local", segment_bytes = 67_108_864, epoch_min = 0,
        is_continued = false, build = ""
    ))]
    fn new(
        py: Python<'_>,
        config: &str,
        directory: PathBuf,
        durability: &str,
        segment_bytes: u64,
        epoch_min: u64,
        is_continued: bool,
        build: &str,
    ) -> PyResult<Engine> {
        let config = read_config(config).map_err(errors::config)?;
        let durability = match durability {
            "local" => Durability::Local,
            "operlog" => Durability::Operlog,
            "async" => Durability::Async,
            other => {
                let problem = format!("\"{other}\" is no durability");
                return Err(errors::ConfigError::new_err((
                    "durability",
                    problem,
                    "local, operlog or async",
                )));
            }
        };
        let build = build.to_owned();
        let options = Options {
            durability,
            segment_bytes,
            epoch_min,
            is_continued,
            build,
            ..Options::new(config)
        };
        let host = py.detach(|| Host::start(&directory, options));
        let host = host.map_err(|error| errors::start(&error))?;
        Ok(Engine { host: Arc::new(host) })
    }

    #[getter]
    fn recovery<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let recovery = self.host.recovery();
        let dict = PyDict::new(py);
        dict.set_item("snapshot_sequence", recovery.snapshot_sequence)?;
        dict.set_item("replayed", recovery.replayed)?;
        dict.set_item("sequence", recovery.sequence)?;
        dict.set_item("epoch", recovery.epoch)?;
        dict.set_item("torn_bytes", recovery.torn.as_ref().map_or(0, |torn| torn.bytes))?;
        dict.set_item("was_clean", recovery.was_clean)?;
        dict.set_item("seconds", recovery.seconds)?;
        dict.set_item("notes", recovery.notes.clone())?;
        Ok(dict)
    }

    #[pyo3(signature = (command, params, id = 0))]
    fn call<'py>(
        &self,
        py: Python<'py>,
        command: u32,
        params: &[u8],
        id: i64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        match py.detach(|| self.host.call(command, params, id)) {
            Ok(replies) => Ok(PyBytes::new(py, replies.body(0))),
            Err(Refused::Malformed) => Err(PyValueError::new_err("params are not a JSON array")),
            Err(Refused::NotFound) => {
                Err(PyValueError::new_err(format!("the engine has no command {command}")))
            }
        }
    }

    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let looked = py.detach(|| {
            self.host.inspect(|exchange| {
                [
                    exchange.sequence(),
                    exchange.last_order_id(),
                    exchange.last_deal_id(),
                    exchange.operlog_id(),
                    exchange.digest(),
                    exchange.time().0.cast_unsigned(),
                    exchange.changed_at(),
                ]
            })
        });
        let [sequence, order_id, deal_id, operlog_id, digest, time, changed_at] =
            looked.map_err(errors::unavailable)?;
        let dict = PyDict::new(py);
        dict.set_item("sequence", sequence)?;
        dict.set_item("epoch", self.host.recovery().epoch)?;
        dict.set_item("order_id", order_id)?;
        dict.set_item("deal_id", deal_id)?;
        dict.set_item("operlog_id", operlog_id)?;
        dict.set_item("digest", format!("{digest:016x}"))?;
        dict.set_item("time_us", time)?;
        dict.set_item("changed_at", changed_at)?;
        dict.set_item("durable_sequence", self.host.metrics().durable_sequence.load(Relaxed))?;
        dict.set_item("queue", self.host.metrics().queued.load(Relaxed))?;
        Ok(dict)
    }

    #[pyo3(signature = (asset = None, user = None))]
    fn balances(
        &self,
        py: Python<'_>,
        asset: Option<String>,
        user: Option<u32>,
    ) -> PyResult<Vec<(u32, String, &'static str, String)>> {
        let rows = py.detach(|| {
            self.host.inspect(move |exchange| {
                let config = exchange.config();
                let position = |name| config.assets.iter().position(|other| other.name == name);
                let wanted = match asset {
                    Some(name) => match position(name) {
                        Some(id) => Some(AssetId(id as u16)),
                        None => return Vec::new(),
                    },
                    None => None,
                };
                let all = match (user, wanted) {
                    (Some(user), Some(asset)) => {
                        let user = UserId(user);
                        vec![(user, asset, exchange.balance(user, asset))]
                    }
                    _ => exchange.balances(),
                };
                let mut rows = Vec::new();
                for (owner, asset, balance) in all {
                    let is_other = user.is_some_and(|user| user != owner.0)
                        || wanted.is_some_and(|wanted| wanted != asset);
                    if is_other {
                        continue;
                    }
                    let config = &config.assets[usize::from(asset.0)];
                    for (kind, value) in
                        [("available", balance.available), ("freeze", balance.frozen)]
                    {
                        if let Some(value) = value {
                            let text = raw(value, config.save_scale);
                            rows.push((owner.0, config.name.clone(), kind, text));
                        }
                    }
                }
                rows
            })
        });
        rows.map_err(errors::unavailable)
    }

    fn summaries<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let rows = py.detach(|| {
            self.host.inspect(|exchange| {
                let assets = exchange.config().assets.iter().enumerate();
                let rows = assets.map(|(id, asset)| {
                    let totals = exchange.asset_totals(AssetId(id as u16));
                    (asset.name.clone(), asset.save_scale, totals)
                });
                rows.collect::<Vec<_>>()
            })
        });
        let rows = rows.map_err(errors::unavailable)?;
        let dicts = rows.into_iter().map(|(name, scale, totals)| {
            let dict = PyDict::new(py);
            dict.set_item("name", name)?;
            dict.set_item("total", raw(totals.available + totals.frozen, scale))?;
            dict.set_item("available", raw(totals.available, scale))?;
            dict.set_item("available_count", totals.available_count)?;
            dict.set_item("frozen", raw(totals.frozen, scale))?;
            dict.set_item("frozen_count", totals.frozen_count)?;
            dict.set_item("fees_collected", raw(totals.fees_collected, scale))?;
            dict.set_item("supply", raw(totals.supply, scale))?;
            Ok(dict)
        });
        dicts.collect()
    }

    fn audit<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let looked = py.detach(|| {
            self.host.inspect(|exchange| {
                let violation = exchange.audit().err().map(|violation| violation.to_string());
                (violation, exchange.sequence(), exchange.digest())
            })
        });
        let (violation, sequence, digest) = looked.map_err(errors::unavailable)?;
        let dict = PyDict::new(py);
        dict.set_item("ok", violation.is_none())?;
        dict.set_item("violation", violation)?;
        dict.set_item("sequence", sequence)?;
        dict.set_item("digest", format!("{digest:016x}"))?;
        Ok(dict)
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let metrics = self.host.metrics();
        let dict = crate::figures(
            py,
            [
                ("commands_applied_total", metrics.applied.load(Relaxed)),
                ("commands_rejected_total", metrics.rejected.load(Relaxed)),
                ("commands_unavailable_total", metrics.unavailable.load(Relaxed)),
                ("commands_poisoned_total", metrics.poisoned.load(Relaxed)),
                ("queries_total", metrics.queries.load(Relaxed)),
                ("queue_requests", metrics.queued.load(Relaxed)),
                ("turns_total", metrics.turns.load(Relaxed)),
                ("durable_sequence", metrics.durable_sequence.load(Relaxed)),
                ("writable", metrics.writable.load(Relaxed)),
                ("conserved", metrics.conserved.load(Relaxed)),
                ("held_requests", self.host.gate().map_or(0, |gate| gate.held_requests() as u64)),
                ("feed_failing", metrics.feed_failing.load(Relaxed)),
                ("commit_us_total", metrics.sync_us.load(Relaxed)),
            ],
        )?;
        let mut sum = 0;
        let bounds = SYNC_BOUNDS_US.iter().map(u64::to_string).chain(["inf".to_owned()]);
        for (bound, bucket) in bounds.zip(&metrics.syncs) {
            sum += bucket.load(Relaxed);
            dict.set_item(format!("commit_us_bucket_{bound}"), sum)?;
        }
        Ok(dict)
    }

    /// The other store was heard of, and has every command up to `sequence`.
    fn acknowledge(&self, py: Python<'_>, sequence: u64) {
        if let Some(gate) = self.host.gate() {
            py.detach(|| gate.acknowledge(sequence));
        }
    }

    /// Refuses writes from now on, where they wait for another store; those that wait are still answered.
    fn shut(&self, py: Python<'_>) {
        if let Some(gate) = self.host.gate() {
            py.detach(|| gate.shut());
        }
    }

    fn redo(&self, py: Python<'_>, operations: Vec<(u64, i64, u32, Vec<u8>)>) -> PyResult<u64> {
        let operations = crate::takeover::operations(operations);
        let redone = py.detach(|| self.host.redo(operations)).map_err(errors::unavailable)?;
        redone.map_err(|error| {
            errors::StartError::new_err((
                error.to_string(),
                "keep a copy of the database, and start with the configuration that the engine ran with",
            ))
        })
    }

    fn rotate(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.host.rotate()).map_err(errors::unavailable)
    }

    #[getter]
    fn halt<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(halt) = self.host.halt() else { return Ok(None) };
        let dict = PyDict::new(py);
        dict.set_item("asset", &halt.asset)?;
        dict.set_item("detail", &halt.detail)?;
        dict.set_item("command", halt.command)?;
        dict.set_item("sequence", halt.sequence)?;
        dict.set_item("time_us", halt.time)?;
        dict.set_item("file", halt.file.as_ref().ok())?;
        Ok(Some(dict))
    }

    fn is_alive(&self) -> bool {
        self.host.is_alive()
    }

    #[pyo3(signature = (deadline_s = 5.0))]
    fn stop(&self, py: Python<'_>, deadline_s: f64) -> PyResult<bool> {
        let deadline = duration("deadline_s", deadline_s)?;
        Ok(py.detach(|| self.host.stop(deadline)))
    }
}

/// A length of time given as a number.
pub(crate) fn duration(name: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err(format!("{name} is not a length of time: {seconds}")))
}

fn raw(units: i128, scale: u8) -> String {
    let mut text = Vec::new();
    write_plain(units, scale, &mut text);
    String::from_utf8(text).unwrap_or_else(|_| unreachable!("numbers are written in ASCII"))
}

/// The engine of this process as a port's backend.
pub(crate) struct EngineBackend(pub(crate) Arc<Host>);

impl Backend for EngineBackend {
    fn session(&self, outbox: Outbox) -> Box<dyn Session> {
        let host = Arc::clone(&self.0);
        let generation = host.names().generation();
        let batch = Batch::new(host.names().get());
        Box::new(EngineSession { host, outbox, generation, batch, tickets: Vec::new() })
    }
}

struct EngineSession {
    host: Arc<Host>,
    outbox: Outbox,
    /// Of the names that the batch is read with.
    generation: u64,
    batch: Batch,
    /// Of the batch's requests.
    tickets: Vec<Ticket>,
}

impl Session for EngineSession {
    fn submit(
        &mut self,
        command: u32,
        id: i64,
        params: &[u8],
        ticket: Ticket,
    ) -> Result<(), (Refusal, Ticket)> {
        // Whoever was told of a change may ask for what it changed.
        let generation = self.host.names().generation();
        if generation != self.generation {
            self.flush();
            self.generation = generation;
            self.batch = Batch::new(self.host.names().get());
        }
        match self.batch.push(command, params, id) {
            Ok(()) => {
                self.tickets.push(ticket);
                Ok(())
            }
            Err(Refused::Malformed) => Err((Refusal::Malformed, ticket)),
            Err(Refused::NotFound) => Err((Refusal::NotFound, ticket)),
        }
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            let batch = self.batch.take();
            let tickets = std::mem::take(&mut self.tickets);
            let outbox = self.outbox.clone();
            self.host.submit(batch, Box::new(Way { tickets, outbox }));
        }
    }
}

/// The way back of one batch.
struct Way {
    tickets: Vec<Ticket>,
    outbox: Outbox,
}

impl ReplyTo for Way {
    fn reply(self: Box<Self>, replies: Replies) {
        let answers = self.tickets.into_iter().zip(replies.ranges());
        let answers = answers.map(|(ticket, range)| (ticket, Status::Answered, range)).collect();
        self.outbox.send(Bundle { buffer: Arc::clone(replies.buffer()), answers });
    }
}
