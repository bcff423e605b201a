//! The event feed as Python's projections read it: bounded batches, rendered without the interpreter's lock.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use viabtc_host::Gate;
use viabtc_host::follow::{Effects, FollowError, Follower};
use viabtc_journal::{Directory, JournalError};

use crate::engine::Engine;
use crate::errors::StartError;
use crate::wake::Wake;

mod render;

use render::{Content, Projection, Sink};

/// Follows the feed for one projection.
#[pyclass(frozen, module = "viabtc._core")]
pub(crate) struct Feed {
    projection: Projection,
    wake: Wake,
    storage: Directory,
    /// What may leave at most, where another store must have it first.
    gate: Option<Arc<Gate>>,
    state: Mutex<State>,
}

struct State {
    follower: Follower<Directory>,
    /// The command that is rendered, and how many of its events are.
    current: Option<(Effects, usize)>,
    /// Of the first command: events that are already written.
    skipped: usize,
    sequence: u64,
    /// Position of the last batch that was handed over.
    given: (u64, usize),
}

#[pymethods]
impl Feed {
    #[new]
    #[pyo3(signature = (engine, projection, sequence = 0, part = 0))]
    fn new(
        engine: &Bound<'_, Engine>,
        projection: &str,
        sequence: u64,
        part: usize,
    ) -> PyResult<Feed> {
        let projection = Projection::named(projection)?;
        let host = &engine.get().host;
        let wake = Wake::new()?;
        let ringer = wake.clone();
        host.feed_signal().on_flush(Box::new(move || ringer.ring()));
        // The operation log is what the others wait for.
        let gate = host.gate().filter(|_| projection != Projection::Operlog).cloned();
        if let Some(gate) = &gate {
            let ringer = wake.clone();
            gate.on_acknowledge(Box::new(move || ringer.ring()));
        }
        let storage = host.storage().clone();
        let state = Mutex::new(State::new(storage.clone(), sequence, part));
        Ok(Feed { projection, wake, storage, gate, state })
    }

    /// Readable after `batch` found nothing, once there is something.
    fn fileno(&self) -> i32 {
        self.wake.fd()
    }

    fn clear(&self) {
        self.wake.clear();
    }

    /// Goes to another position: what a store says that it holds.
    fn rewind(&self, sequence: u64, part: usize) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *state = State::new(self.storage.clone(), sequence, part);
    }

    /// Of at most about `rows_max` rows and commands; None when there is nothing new.
    fn batch(&self, py: Python<'_>, rows_max: usize) -> PyResult<Option<FeedBatch>> {
        let rendered = py.detach(|| {
            self.wake.arm();
            let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let last = self.gate.as_ref().map_or(u64::MAX, |gate| gate.acknowledged());
            let mut rendered = state.render(self.projection, rows_max, last);
            if self.projection == Projection::Topics
                && let Err(FollowError::Journal(JournalError::FeedGap { first, .. })) = rendered
            {
                // Whoever reads a topic sees by the numbers that messages are missing.
                *state = State::new(self.storage.clone(), first - 1, 0);
                rendered = state.render(self.projection, rows_max, last);
            }
            if rendered.is_err() {
                // What was read and not handed over would be missing.
                *state = State::new(self.storage.clone(), state.given.0, state.given.1);
            }
            rendered
        });
        match rendered.map_err(|error| failed(&error))? {
            None => Ok(None),
            Some((position, content)) => {
                Ok(Some(FeedBatch { position, content: content.into_python(py)? }))
            }
        }
    }
}

/// Where a batch ends, and what it counts.
#[derive(Clone, Copy, Default)]
struct Position {
    sequence: u64,
    part: usize,
    time: i64,
    commands: usize,
    rows: usize,
}

/// What to write in one transaction, and the position to write with it.
#[pyclass(frozen, module = "viabtc._core")]
pub(crate) struct FeedBatch {
    position: Position,
    content: Py<PyAny>,
}

#[pymethods]
impl FeedBatch {
    /// Every command up to this one is whole.
    #[getter]
    fn sequence(&self) -> u64 {
        self.position.sequence
    }

    /// Events of the command after it that are written too.
    #[getter]
    fn part(&self) -> usize {
        self.position.part
    }

    /// When the last command was applied.
    #[getter]
    fn time_us(&self) -> i64 {
        self.position.time
    }

    #[getter]
    fn commands(&self) -> usize {
        self.position.commands
    }

    #[getter]
    fn rows(&self) -> usize {
        self.position.rows
    }

    #[getter]
    fn content(&self, py: Python<'_>) -> Py<PyAny> {
        self.content.clone_ref(py)
    }
}

impl State {
    fn new(storage: Directory, sequence: u64, part: usize) -> State {
        let follower = Follower::open(&storage, sequence);
        State { follower, current: None, skipped: part, sequence, given: (sequence, part) }
    }

    /// Renders commands up to `last`.
    fn render(
        &mut self,
        projection: Projection,
        rows_max: usize,
        last: u64,
    ) -> Result<Option<(Position, Content)>, FollowError> {
        let mut sink = Sink::new(projection);
        let mut position = Position::default();
        let mut is_anything = false;
        while position.rows + position.commands < rows_max.max(1) {
            if self.current.is_none() {
                let Some(effects) = self.follower.next_effects()? else { break };
                self.current = Some((effects, std::mem::take(&mut self.skipped)));
            }
            let Some((effects, done)) = &mut self.current else { break };
            if effects.sequence > last {
                break;
            }
            is_anything = true;
            position.time = effects.time;
            while *done < effects.events.len()
                && position.rows + position.commands < rows_max.max(1)
            {
                position.rows += sink.event(effects, *done);
                *done += 1;
            }
            if *done < effects.events.len() {
                break;
            }
            position.rows += sink.command(effects);
            position.commands += 1;
            self.sequence = effects.sequence;
            self.current = None;
        }
        position.sequence = self.sequence;
        position.part = self.current.as_ref().map_or(self.skipped, |(_, done)| *done);
        self.given = (position.sequence, position.part);
        Ok(is_anything.then(|| (position, sink.finish())))
    }
}

fn failed(error: &FollowError) -> PyErr {
    match error {
        FollowError::Journal(JournalError::Io { .. }) => PyOSError::new_err(error.to_string()),
        _ => StartError::new_err((
            error.to_string(),
            "keep a copy of the data directory, and start the version of viabtc that wrote it",
        )),
    }
}
