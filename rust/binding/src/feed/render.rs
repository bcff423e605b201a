//! What a batch of the feed becomes for each projection: statements, values, rows or messages.

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use viabtc_host::follow::Effects;
use viabtc_wire::changes::is_own;
use viabtc_wire::messages::{Topic, place, write_message};
use viabtc_wire::operlog::write_operation;
use viabtc_wire::rows::{Family, Field, Row, history_rows};
use viabtc_wire::sql::{Inserts, write_row};

use crate::values::{Value, rows_into_python};

/// Rows of the operation log are handed over in pieces whose commands lie in the same quarter of an hour:
/// every offset from UTC is a multiple of that, so a piece belongs to one local date.
const PIECE_US: i64 = 15 * 60 * 1_000_000;

/// Size from which a piece is ended and a new one begun.
const PIECE_BYTES: usize = 256 << 10;

/// What is rendered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Projection {
    /// Statements for the history database.
    History,
    /// Values for the operation log's tables.
    Operlog,
    /// Rows for the embedded store.
    Store,
    /// Messages of the topics.
    Topics,
}

impl Projection {
    pub(super) fn named(name: &str) -> PyResult<Projection> {
        match name {
            "history" => Ok(Projection::History),
            "operlog" => Ok(Projection::Operlog),
            "store" => Ok(Projection::Store),
            "topics" => Ok(Projection::Topics),
            other => Err(PyValueError::new_err(format!("no projection: {other}"))),
        }
    }
}

/// What one batch holds, before it is Python's.
pub(super) enum Content {
    Statements(Vec<Vec<u8>>),
    Operlog(Log),
    Rows([Vec<Vec<Value>>; STORE_TABLES.len()]),
    Messages([Vec<Message>; Topic::ALL.len()]),
}

/// Values for the operation log: pieces with the time of their first command, and what goes to the table
/// of our own kinds.
#[derive(Default)]
pub(super) struct Log {
    pieces: Vec<(i64, Vec<u8>)>,
    own: Vec<u8>,
}

/// A message of a topic: its number there, the command and the event that made it, the payload.
pub(super) struct Message {
    number: u64,
    sequence: u64,
    part: usize,
    payload: Vec<u8>,
}

/// Tables of the embedded store. The others of the history database are views of these: its two tables of
/// orders hold the same rows, and so do its two of deals.
const STORE_TABLES: [(&str, Option<Family>); 4] = [
    ("order_history", Some(Family::OrderHistory)),
    ("user_deal_history", Some(Family::UserDealHistory)),
    ("balance_history", Some(Family::BalanceHistory)),
    ("operlog", None),
];

/// Collects what a projection writes.
pub(super) enum Sink {
    History(Inserts),
    Operlog(Log, Vec<u8>),
    Store([Vec<Vec<Value>>; STORE_TABLES.len()], Vec<u8>),
    Topics([Vec<Message>; Topic::ALL.len()]),
}

impl Sink {
    pub(super) fn new(projection: Projection) -> Sink {
        match projection {
            Projection::History => Sink::History(Inserts::default()),
            Projection::Operlog => Sink::Operlog(Log::default(), Vec::new()),
            Projection::Store => Sink::Store(Default::default(), Vec::new()),
            Projection::Topics => Sink::Topics(Default::default()),
        }
    }

    /// Renders one event; the rows it made.
    pub(super) fn event(&mut self, effects: &Effects, index: usize) -> usize {
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
    pub(super) fn command(&mut self, effects: &Effects) -> usize {
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

    pub(super) fn finish(self) -> Content {
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
    pub(super) fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
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
                    dict.set_item(*name, rows_into_python(rows, py)?)?;
                }
                dict.into_any().unbind()
            }
        })
    }
}
