//! The event feed as Python's projections read it: bounded batches, rendered without the interpreter's lock.

use std::sync::{Arc, Mutex};

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use viabtc_engine::decimal::write_stripped;
use viabtc_host::Gate;
use viabtc_host::follow::{Effects, FollowError, Follower};
use viabtc_journal::{Directory, JournalError};
use viabtc_wire::changes::is_own;
use viabtc_wire::messages::{Topic, place, write_message};
use viabtc_wire::operlog::write_operation;
use viabtc_wire::rows::{Family, Field, Row, history_rows};
use viabtc_wire::sql::{Inserts, write_row};

use crate::engine::Engine;
use crate::errors::StartError;
use crate::wake::Wake;

/// Rows of the operation log are handed over in pieces whose commands lie in the same quarter of an hour:
/// every offset from UTC is a multiple of that, so a piece belongs to one local date.
const PIECE_US: i64 = 15 * 60 * 1_000_000;

/// Size from which a piece is ended and a new one begun.
const PIECE_BYTES: usize = 256 << 10;

/// What is rendered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Projection {
    /// Statements for the history database.
    History,
    /// Values for the operation log's tables.
    Operlog,
    /// Rows for the embedded store.
    Store,
    /// Messages of the topics.
    Topics,
}

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

/// What one batch holds, before it is Python's.
enum Content {
    Statements(Vec<Vec<u8>>),
    Operlog(Log),
    Rows([Vec<Vec<Value>>; STORE_TABLES.len()]),
    Messages([Vec<Message>; Topic::ALL.len()]),
}

/// Values for the operation log: pieces with the time of their first command, and what goes to the table
/// of our own kinds.
#[derive(Default)]
struct Log {
    pieces: Vec<(i64, Vec<u8>)>,
    own: Vec<u8>,
}

/// A message of a topic: its number there, the command and the event that made it, the payload.
struct Message {
    number: u64,
    sequence: u64,
    part: usize,
    payload: Vec<u8>,
}

/// A value of a row of the embedded store.
pub(crate) enum Value {
    Auto,
    Integer(u64),
    Time(i64),
    Text(String),
}

/// Tables of the embedded store. The others of the history database are views of these: its two tables of
/// orders hold the same rows, and so do its two of deals.
const STORE_TABLES: [(&str, Option<Family>); 4] = [
    ("order_history", Some(Family::OrderHistory)),
    ("user_deal_history", Some(Family::UserDealHistory)),
    ("balance_history", Some(Family::BalanceHistory)),
    ("operlog", None),
];

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
        let projection = match projection {
            "history" => Projection::History,
            "operlog" => Projection::Operlog,
            "store" => Projection::Store,
            "topics" => Projection::Topics,
            other => return Err(PyValueError::new_err(format!("no projection: {other}"))),
        };
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

/// Collects what a projection writes.
enum Sink {
    History(Inserts),
    Operlog(Log, Vec<u8>),
    Store([Vec<Vec<Value>>; STORE_TABLES.len()], Vec<u8>),
    Topics([Vec<Message>; Topic::ALL.len()]),
}

impl Sink {
    fn new(projection: Projection) -> Sink {
        match projection {
            Projection::History => Sink::History(Inserts::default()),
            Projection::Operlog => Sink::Operlog(Log::default(), Vec::new()),
            Projection::Store => Sink::Store(Default::default(), Vec::new()),
            Projection::Topics => Sink::Topics(Default::default()),
        }
    }

    /// Renders one event; the rows it made.
    fn event(&mut self, effects: &Effects, index: usize) -> usize {
        let events = &effects.events[index..=index];
        let mut rows = 0;
        match self {
            Sink::History(inserts) => {
                history_rows(events, &effects.config, &mut |row| {
                    inserts.push(row);
                    rows += 1;
                });
            }
            Sink::Operlog(..) => {}
            Sink::Topics(messages) => {
                let event = &effects.events[index];
                let (topic, number) = place(event);
                let mut payload = Vec::new();
                write_message(event, &effects.config, &mut payload);
                let sequence = effects.sequence;
                messages[topic as usize].push(Message { number, sequence, part: index, payload });
                rows = 1;
            }
            Sink::Store(tables, _) => {
                history_rows(events, &effects.config, &mut |row| {
                    rows += usize::from(store_row(&row, tables));
                });
            }
        }
        rows
    }

    /// Renders what a command makes beside its events, after the last of them; the rows it made.
    fn command(&mut self, effects: &Effects) -> usize {
        if is_own(effects.command) {
            return match self {
                Sink::Operlog(log, _) => log.add_own(effects),
                // No other store has a place for it.
                _ => 0,
            };
        }
        match self {
            Sink::History(_) | Sink::Topics(_) => return 0,
            Sink::Operlog(Log { pieces, .. }, text) => {
                write_detail(effects, text);
                let quarter = effects.time.div_euclid(PIECE_US);
                let is_continued = pieces.last().is_some_and(|(time, piece)| {
                    time.div_euclid(PIECE_US) == quarter && piece.len() < PIECE_BYTES
                });
                if is_continued {
                    let (_, piece) = pieces.last_mut().expect("there is a last piece");
                    piece.extend_from_slice(b", ");
                } else {
                    pieces.push((effects.time, Vec::new()));
                }
                let (_, piece) = pieces.last_mut().expect("there is a last piece");
                let detail = str::from_utf8(text).expect("JSON is written as UTF-8");
                let fields = [
                    Field::Integer(effects.operlog_id),
                    Field::Time(effects.time),
                    Field::Text(detail),
                ];
                write_row(&fields, piece);
            }
            Sink::Store(tables, text) => {
                write_detail(effects, text);
                let detail = str::from_utf8(text).expect("JSON is written as UTF-8").to_owned();
                let log = tables.last_mut().expect("the operation log is the last table");
                log.push(vec![
                    Value::Integer(effects.operlog_id),
                    Value::Time(effects.time),
                    Value::Text(detail),
                ]);
            }
        }
        1
    }

    fn finish(self) -> Content {
        match self {
            Sink::History(inserts) => Content::Statements(inserts.finish()),
            Sink::Operlog(log, _) => Content::Operlog(log),
            Sink::Store(tables, _) => Content::Rows(tables),
            Sink::Topics(messages) => Content::Messages(messages),
        }
    }
}

impl Log {
    /// A command of our own kinds: when it took effect, behind which entry, and what it was.
    fn add_own(&mut self, effects: &Effects) -> usize {
        if !self.own.is_empty() {
            self.own.extend_from_slice(b", ");
        }
        let params = str::from_utf8(&effects.params).expect("parameters are JSON");
        let (time, command) = (effects.time, effects.command);
        let body = format!(r#"{{"time_us": {time}, "command": {command}, "params": {params}}}"#);
        let fields = [
            Field::Integer(effects.sequence),
            Field::Integer(effects.operlog_id),
            Field::Text(&body),
        ];
        write_row(&fields, &mut self.own);
        1
    }
}

fn write_detail(effects: &Effects, out: &mut Vec<u8>) {
    out.clear();
    write_operation(effects.command, &effects.params, &effects.config, out)
        .expect("parameters of an applied command are JSON");
}

/// Whether the row belongs to a table of the store, and was added.
fn store_row(row: &Row<'_>, tables: &mut [Vec<Vec<Value>>; STORE_TABLES.len()]) -> bool {
    let Some(place) = STORE_TABLES.iter().position(|(_, family)| *family == Some(row.family))
    else {
        return false;
    };
    tables[place].push(row.fields.iter().map(Value::of).collect());
    true
}

impl Content {
    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self {
            Content::Statements(statements) => {
                let statements = statements.iter().map(|statement| PyBytes::new(py, statement));
                PyList::new(py, statements.collect::<Vec<_>>())?.into_any().unbind()
            }
            Content::Operlog(Log { pieces, own }) => {
                let pieces = pieces.iter().map(|(time, piece)| (*time, PyBytes::new(py, piece)));
                let pieces = PyList::new(py, pieces.collect::<Vec<_>>())?;
                (pieces, PyBytes::new(py, &own)).into_py_any(py)?
            }
            Content::Messages(topics) => {
                let dict = PyDict::new(py);
                for (topic, messages) in Topic::ALL.iter().zip(topics) {
                    let rows = messages.iter().map(|message| {
                        let payload = PyBytes::new(py, &message.payload);
                        (message.number, message.sequence, message.part, payload)
                    });
                    dict.set_item(topic.name(), PyList::new(py, rows.collect::<Vec<_>>())?)?;
                }
                dict.into_any().unbind()
            }
            Content::Rows(tables) => {
                let dict = PyDict::new(py);
                for ((name, _), rows) in STORE_TABLES.iter().zip(tables) {
                    let list = PyList::empty(py);
                    for row in rows {
                        let values = row.into_iter().map(|value| value.into_python(py));
                        list.append(PyTuple::new(py, values.collect::<PyResult<Vec<_>>>()?)?)?;
                    }
                    dict.set_item(*name, list)?;
                }
                dict.into_any().unbind()
            }
        })
    }
}

impl Value {
    pub(crate) fn of(field: &Field<'_>) -> Value {
        match field {
            Field::Auto => Value::Auto,
            Field::Integer(number) => Value::Integer(*number),
            Field::Time(microseconds) => Value::Time(*microseconds),
            Field::Decimal(value) => {
                let mut text = Vec::new();
                write_stripped(value.coefficient, value.scale, &mut text);
                Value::Text(String::from_utf8(text).expect("numbers are written in ASCII"))
            }
            Field::Text(text) => Value::Text((*text).to_owned()),
        }
    }

    pub(crate) fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Value::Auto => Ok(py.None()),
            Value::Integer(number) => number.into_py_any(py),
            // The nearest double, as MySQL reads six decimals.
            Value::Time(microseconds) => (microseconds as f64 / 1e6).into_py_any(py),
            Value::Text(text) => text.into_py_any(py),
        }
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
