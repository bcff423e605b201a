//! Requests on their way to the engine, and its answers on their way back.
//!
//! A port decodes on its own thread, collects what one turn of its loop brought into a [`Batch`], and
//! hands it over as a whole. The i-th reply answers the i-th request.

use std::ops::Range;
use std::sync::Arc;

use viabtc_engine::Command;
use viabtc_engine::decimal::power_of_ten;
use viabtc_wire::json::write_indented;
use viabtc_wire::methods::{Effect, ErrorCode, by_command};
use viabtc_wire::reply::write_common_error;
use viabtc_wire::request::{DecodeError, Names, Query, Request, decode};

use crate::codec::command_number;

/// Bytes of parameters that weigh as much as a request: texts of 10 KiB each must not fill the memory
/// that is meant for orders.
const WEIGHT_BYTES: usize = 1_024;

/// Requests of one port, in order.
#[derive(Debug)]
pub struct Batch {
    /// What names and numbers of the requests were read with.
    names: Arc<Names>,
    pub(crate) items: Vec<Item>,
    /// Parameters' texts of the writes.
    pub(crate) params: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Item {
    /// For the reply's envelope.
    pub(crate) id: i64,
    pub(crate) work: Work,
}

#[derive(Debug)]
pub(crate) enum Work {
    Write {
        command: Command,
        params: Range<usize>,
    },
    Query(Query),
    /// Parameters that cannot be used, of a method that writes or reads.
    Invalid(Effect),
}

/// A body that gets no reply from the engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Not a JSON array.
    Malformed,
    /// Not a command of the engine.
    NotFound,
}

impl Batch {
    /// Of requests whose names and numbers are read with `names`.
    pub fn new(names: Arc<Names>) -> Batch {
        Batch { names, items: Vec::new(), params: Vec::new() }
    }

    /// What was collected, leaving nothing.
    #[must_use]
    pub fn take(&mut self) -> Batch {
        std::mem::replace(self, Batch::new(Arc::clone(&self.names)))
    }

    /// Decodes and adds one request.
    ///
    /// # Errors
    /// When the body cannot be answered by the engine; the batch is as before.
    pub fn push(&mut self, command: u32, params: &[u8], id: i64) -> Result<(), Refused> {
        let work = match decode(command, params, &self.names) {
            Ok(Request::Query(query)) => Work::Query(query),
            Ok(Request::Write(write)) => {
                let start = self.params.len();
                self.params.extend_from_slice(params);
                Work::Write { command: write, params: start..self.params.len() }
            }
            Err(DecodeError::InvalidArgument) => {
                Work::Invalid(by_command(command).map_or(Effect::Read, |method| method.effect))
            }
            Err(DecodeError::Malformed) => return Err(Refused::Malformed),
            Err(DecodeError::MethodNotFound) => return Err(Refused::NotFound),
        };
        self.items.push(Item { id, work });
        Ok(())
    }

    /// Whether names and numbers mean the same under `names`.
    pub fn is_read_with(&self, names: &Arc<Names>) -> bool {
        Arc::ptr_eq(&self.names, names)
    }

    /// The work of the `index`-th request, read anew: assets and markets changed since it was read, and a
    /// number may stand for another amount.
    pub(crate) fn work_under(&self, index: usize, names: &Names) -> Work {
        let read_again = |write: &Command, range: &Range<usize>| match decode(
            command_number(write),
            &self.params[range.clone()],
            names,
        ) {
            Ok(Request::Write(command)) => Work::Write { command, params: range.clone() },
            _ => Work::Invalid(Effect::Write),
        };
        match &self.items[index].work {
            Work::Write { command, params } => read_again(command, params),
            Work::Query(Query::Depth { market, limit, interval }) => {
                // Assets and markets keep their places, so that only this query holds a number that counts
                // decimals.
                let place = usize::from(market.0);
                let scale = |names: &Names| names.config().markets[place].quote_scale;
                let more = scale(names).saturating_sub(scale(&self.names));
                let interval = interval.saturating_mul(power_of_ten(u32::from(more)));
                Work::Query(Query::Depth { market: *market, limit: *limit, interval })
            }
            Work::Query(query) => Work::Query(query.clone()),
            Work::Invalid(effect) => Work::Invalid(*effect),
        }
    }

    /// Command and parameters' text of the `index`-th request, when it is a write.
    pub(crate) fn write_at(&self, index: usize) -> Option<(u32, &[u8])> {
        match &self.items.get(index)?.work {
            Work::Write { command, params } => {
                Some((command_number(command), &self.params[params.clone()]))
            }
            Work::Query(_) | Work::Invalid(_) => None,
        }
    }

    /// Whether any request is a write.
    pub(crate) fn has_writes(&self) -> bool {
        self.items.iter().any(|item| matches!(item.work, Work::Write { .. }))
    }

    /// Requests in it.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// What it counts in the queue: its requests, and each KiB of their texts as one more.
    pub(crate) fn weight(&self) -> usize {
        self.items.len() + self.params.len() / WEIGHT_BYTES
    }

    /// The same error for every request: what a full queue or a stopped engine answers.
    pub fn refuse(&self, code: ErrorCode, layout: Layout) -> Replies {
        let mut bodies = Bodies::new(layout);
        for item in &self.items {
            bodies.write(|out| write_common_error(code, Some(item.id), out));
        }
        bodies.finish().replies(0, self.items.len())
    }
}

/// How reply bodies are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// One line.
    Compact,
    /// Four spaces a level, as the original's `debug: true`.
    Indented,
}

/// Bodies that answer one batch, in its order; they share one buffer.
#[derive(Clone, Debug)]
pub struct Replies {
    buffer: Arc<Vec<u8>>,
    ranges: Vec<Range<usize>>,
}

impl Replies {
    /// Replies in it.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The shared buffer.
    pub fn buffer(&self) -> &Arc<Vec<u8>> {
        &self.buffer
    }

    /// Where each body stands in the buffer.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.ranges.iter().cloned()
    }

    /// The body of the `index`-th request.
    pub fn body(&self, index: usize) -> &[u8] {
        &self.buffer[self.ranges[index].clone()]
    }
}

/// Where the replies of a batch go; called once, from the engine's thread.
pub trait ReplyTo: Send {
    /// Takes the replies; must not block.
    fn reply(self: Box<Self>, replies: Replies);
}

/// Collects the bodies of one turn of the engine.
pub(crate) struct Bodies {
    layout: Layout,
    compact: Vec<u8>,
    buffer: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

/// The finished bodies of a turn.
pub(crate) struct Turn {
    buffer: Arc<Vec<u8>>,
    ranges: Vec<Range<usize>>,
}

impl Bodies {
    pub(crate) fn new(layout: Layout) -> Bodies {
        Bodies { layout, compact: Vec::new(), buffer: Vec::new(), ranges: Vec::new() }
    }

    pub(crate) fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        match self.layout {
            Layout::Compact => write(&mut self.buffer),
            Layout::Indented => {
                self.compact.clear();
                write(&mut self.compact);
                write_indented(&self.compact, &mut self.buffer);
            }
        }
        self.ranges.push(start..self.buffer.len());
    }

    /// Takes what was written and starts anew, with room for as much again.
    pub(crate) fn finish(&mut self) -> Turn {
        let room = Vec::with_capacity(self.buffer.len());
        let buffer = Arc::new(std::mem::replace(&mut self.buffer, room));
        Turn { buffer, ranges: std::mem::take(&mut self.ranges) }
    }
}

impl Turn {
    /// The `count` replies from the `first` on.
    pub(crate) fn replies(&self, first: usize, count: usize) -> Replies {
        Replies {
            buffer: Arc::clone(&self.buffer),
            ranges: self.ranges[first..first + count].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_weigh_more_than_short_ones() {
        let config = crate::config_file::read_config(
            r#"{"assets": [{"name": "A", "prec_save": 8, "prec_show": 8}], "markets": []}"#,
        )
        .unwrap();
        let names = Arc::new(Names::new(&config.config));
        let deposit = |detail: &str| {
            let params = format!(r#"[1, "A", "deposit", 1, "1", {{"note": "{detail}"}}]"#);
            let mut batch = Batch::new(Arc::clone(&names));
            batch.push(102, params.as_bytes(), 1).unwrap();
            batch.weight()
        };
        assert_eq!(deposit("short"), 1);
        assert_eq!(deposit(&"x".repeat(10_000)), 10);
    }
}
