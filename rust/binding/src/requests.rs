//! What ports tell of single requests, on its way to Python's log.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use log::kv::{self, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use viabtc_gateway::telling::TARGET;

use crate::wake::Wake;

/// Lines that may wait; those above it are counted only.
const LINES_MAX: usize = 10_000;

/// Warnings in a second; those above it are counted only, for all say the same while a service is away.
const WARNINGS_MAX: u32 = 100;

/// The process has one log.
static LINES: OnceLock<Lines> = OnceLock::new();

struct Lines {
    wake: Wake,
    state: Mutex<State>,
}

struct State {
    waiting: VecDeque<Line>,
    lost: u64,
    /// Begin of the second in which warnings are counted.
    since: Instant,
    warnings: u32,
}

struct Line {
    is_warning: bool,
    fields: Vec<(String, Field)>,
}

#[derive(IntoPyObject)]
enum Field {
    Number(i64),
    Text(String),
}

impl Lines {
    fn new() -> io::Result<Lines> {
        let state = State { waiting: VecDeque::new(), lost: 0, since: Instant::now(), warnings: 0 };
        Ok(Lines { wake: Wake::new()?, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn has_room(&mut self, is_warning: bool) -> bool {
        if is_warning {
            let now = Instant::now();
            if now - self.since >= Duration::from_secs(1) {
                (self.since, self.warnings) = (now, 0);
            }
            self.warnings = self.warnings.saturating_add(1);
        }
        self.waiting.len() < LINES_MAX && (!is_warning || self.warnings <= WARNINGS_MAX)
    }
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let is_warning = record.level() <= Level::Warn;
        let mut fields = Fields(Vec::new());
        // Ours fails never.
        let _ = record.key_values().visit(&mut fields);
        let mut state = self.lock();
        if state.has_room(is_warning) {
            state.waiting.push_back(Line { is_warning, fields: fields.0 });
            drop(state);
            self.wake.ring();
        } else {
            state.lost += 1;
        }
    }

    fn flush(&self) {}
}

struct Fields(Vec<(String, Field)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let field = match value.to_i64() {
            Some(number) => Field::Number(number),
            None => Field::Text(value.to_string()),
        };
        self.0.push((key.to_string(), field));
        Ok(())
    }
}

/// What the ports of this process tell of single requests.
#[pyclass(frozen, module = "viabtc._core")]
pub(crate) struct RequestLines {
    lines: &'static Lines,
}

#[pymethods]
impl RequestLines {
    #[new]
    fn new() -> PyResult<RequestLines> {
        let made = Lines::new()?;
        let lines = LINES.get_or_init(|| made);
        // It fails when it was set before, to the same.
        let _ = log::set_logger(lines);
        Ok(RequestLines { lines })
    }

    /// Readable after `batch` found nothing, once there is a line.
    fn fileno(&self) -> i32 {
        self.lines.wake.fd()
    }

    fn clear(&self) {
        self.lines.wake.clear();
    }

    /// What is told from now on: every request, those that failed, or nothing.
    fn tell(&self, requests: bool, failures: bool) {
        log::set_max_level(match (requests, failures) {
            (true, _) => LevelFilter::Debug,
            (false, true) => LevelFilter::Warn,
            (false, false) => LevelFilter::Off,
        });
    }

    /// Lines, oldest first: whether it is a warning, and its fields.
    fn batch<'py>(
        &self,
        py: Python<'py>,
        count_max: usize,
    ) -> PyResult<Vec<(bool, Bound<'py, PyDict>)>> {
        self.lines.wake.arm();
        let mut state = self.lines.lock();
        let count = state.waiting.len().min(count_max);
        let taken: Vec<Line> = state.waiting.drain(..count).collect();
        drop(state);
        let lines = taken.into_iter().map(|line| {
            let fields = PyDict::new(py);
            for (name, value) in line.fields {
                fields.set_item(name, value)?;
            }
            Ok((line.is_warning, fields))
        });
        lines.collect()
    }

    /// Lines that were counted only.
    fn lost(&self) -> u64 {
        self.lines.lock().lost
    }
}
