//! Market data as a Python object: kept up from a topic's messages or from the engine's feed, answered by
//! the ports without Python.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Release;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::SystemTime;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use viabtc_engine::Decimal;
use viabtc_gateway::{BoardBackend, Refusal};
use viabtc_host::follow::Follower;
use viabtc_journal::Directory;
use viabtc_market::{Board, Changes, Options, Resolution, Zone};
use viabtc_wire::market::{read_candle, read_deal_message, read_recent_deal};
use viabtc_wire::messages::{Arrival, TopicPosition};

use crate::engine::Engine;
use crate::errors::{ConfigError, StartError};

mod changes;
mod follow;

use changes::Rendered;
use follow::DealFeed;

/// Candles, last prices and recent deals of all markets.
#[pyclass(frozen, module = "viabtc._core")]
pub(crate) struct MarketBoard {
    pub(crate) backend: BoardBackend,
    board: Arc<RwLock<Board>>,
    /// Locked after the board.
    place: Arc<Mutex<Place>>,
    is_stopping: Arc<AtomicBool>,
    follower: Mutex<Option<JoinHandle<()>>>,
}

/// What the board holds, and what of it is being stored.
#[derive(Default)]
struct Place {
    /// Of the topic.
    topic: TopicPosition,
    /// Of the feed: the last command that is counted in.
    sequence: u64,
    /// Deals up to this id came from elsewhere before their messages did.
    completed: u64,
    /// Given by `take_changes`, until they are stored or put back.
    taken: Vec<Changes>,
    /// Why the feed is not followed any more.
    failure: Option<String>,
    deals: u64,
}

#[pymethods]
impl MarketBoard {
    #[new]
    #[pyo3(signature = (
        markets, *, zone = (0, Vec::new()), sec_max = 604_800, min_max = 525_600, hour_max = 87_600,
        first_candle_zero = false, debug = false
    ))]
    fn new(
        markets: Vec<String>,
        zone: (i64, Vec<(i64, i64)>),
        sec_max: i64,
        min_max: i64,
        hour_max: i64,
        first_candle_zero: bool,
        debug: bool,
    ) -> PyResult<MarketBoard> {
        let zone = Zone::new(zone.0, &zone.1).ok_or_else(|| {
            let right = "ascending times, offsets of at most 26 hours";
            ConfigError::new_err(("zone", "is no table of offsets", right))
        })?;
        let mut board = Board::new(Options { sec_max, min_max, hour_max, first_candle_zero }, zone);
        for market in &markets {
            board.list(market);
        }
        let board = Arc::new(RwLock::new(board));
        Ok(MarketBoard {
            backend: BoardBackend::new(Arc::clone(&board), seconds_now, debug),
            board,
            place: Arc::default(),
            is_stopping: Arc::default(),
            follower: Mutex::new(None),
        })
    }

    #[pyo3(signature = (command, params, id = 0))]
    fn call<'py>(
        &self,
        py: Python<'py>,
        command: u32,
        params: &[u8],
        id: i64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut body = Vec::new();
        match py.detach(|| self.backend.answer(command, params, id, &mut body)) {
            Ok(()) => Ok(PyBytes::new(py, &body)),
            Err(Refusal::Malformed) => Err(PyValueError::new_err("params are not a JSON array")),
            Err(_) => Err(PyValueError::new_err(format!("the board has no command {command}"))),
        }
    }

    /// Makes markets known before their first deal.
    fn list_markets(&self, py: Python<'_>, names: Vec<String>) {
        py.detach(|| {
            let mut board = self.board_mut();
            for name in &names {
                board.list(name);
            }
        });
    }

    /// Puts back what a store has of a market.
    fn restore(
        &self,
        py: Python<'_>,
        market: &str,
        candles: HashMap<String, Vec<(i64, Vec<u8>)>>,
        deals: Vec<Vec<u8>>,
        last: Option<String>,
    ) -> PyResult<u64> {
        py.detach(|| {
            let mut board = self.board_mut();
            let place = board.place_or_new(market);
            let mut skipped = 0;
            for (name, rows) in &candles {
                let resolution = resolution(name)?;
                for (time, text) in rows {
                    match read_candle(text) {
                        Some(candle) => board.restore_candle(place, resolution, *time, candle),
                        None => skipped += 1,
                    }
                }
            }
            for text in &deals {
                match read_recent_deal(text) {
                    Some(deal) => board.restore_deal(place, deal),
                    None => skipped += 1,
                }
            }
            if let Some(last) = last {
                match Decimal::parse(&last) {
                    Ok(price) if price.coefficient >= 0 => board.restore_last(place, price),
                    _ => skipped += 1,
                }
            }
            Ok(skipped)
        })
    }

    /// Puts candles of elsewhere in, which count as changed; the place of the first that is none.
    fn import_candles(
        &self,
        py: Python<'_>,
        market: &str,
        length: &str,
        rows: Vec<(i64, Vec<u8>)>,
    ) -> PyResult<Option<usize>> {
        let resolution = resolution(length)?;
        Ok(py.detach(|| {
            let mut board = self.board_mut();
            let place = board.place_or_new(market);
            for (index, (time, text)) in rows.iter().enumerate() {
                match read_candle(text) {
                    Some(candle)
                        if candle.is_consistent()
                            && board.bucket_start(resolution, *time) == *time
                            && board.candle(place, resolution, *time).is_none() =>
                    {
                        board.restore_candle(place, resolution, *time, candle);
                    }
                    _ => return Some(index),
                }
            }
            None
        }))
    }

    /// Makes the longer candles that a market lacks, and its last price, of those that it has.
    fn derive_longer(&self, py: Python<'_>, market: &str) {
        py.detach(|| {
            let mut board = self.board_mut();
            let place = board.place_or_new(market);
            board.derive_longer(place);
            let newest = board.candles(place, Resolution::Day).iter().next_back();
            if let Some(close) = newest.map(|(_, candle)| candle.close()) {
                board.restore_last(place, close);
            }
        });
    }

    /// Says where the restored state stands.
    #[pyo3(signature = (*, offset = None, number = None, sequence = 0))]
    fn set_position(&self, offset: Option<i64>, number: Option<u64>, sequence: u64) {
        let mut place = self.place();
        place.topic = TopicPosition { offset, number };
        place.sequence = sequence;
    }

    #[getter]
    fn position<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let place = self.place();
        position(py, &place)
    }

    /// The largest id of a deal; 0 before the first.
    #[getter]
    fn last_deal(&self) -> u64 {
        let board = self.board();
        board.last_deal()
    }

    /// Counts messages of the topic `deals` in; with `until_gap` those before one that others should
    /// have preceded.
    #[pyo3(signature = (messages, *, until_gap = false))]
    fn apply_messages<'py>(
        &self,
        py: Python<'py>,
        messages: Vec<(i64, Option<Vec<u8>>, Option<u64>)>,
        until_gap: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (mut counted, mut repeated, mut missing, mut taken) = (0u64, 0u64, 0u64, 0u64);
        let mut refused = Vec::new();
        py.detach(|| {
            let mut board = self.board_mut();
            let mut place = self.place();
            for (offset, value, number) in &messages {
                let mut topic = place.topic;
                let arrival = topic.arrive(*offset, *number);
                match arrival {
                    Arrival::AfterGap(_) if until_gap => break,
                    Arrival::AfterGap(count) => missing += count,
                    Arrival::Repeated => repeated += 1,
                    Arrival::New => {}
                }
                place.topic = topic;
                taken += 1;
                if arrival == Arrival::Repeated {
                    continue;
                }
                match read_deal_message(value.as_deref().unwrap_or_default()) {
                    Ok((market, deal)) => {
                        let market = board.place_or_new(&market);
                        if deal.id > place.completed && board.apply(market, &deal) {
                            counted += 1;
                        } else {
                            repeated += 1;
                        }
                    }
                    Err(error) => refused.push((*offset, error.to_string())),
                }
            }
            place.deals += counted;
        });
        let dict = PyDict::new(py);
        dict.set_item("taken", taken)?;
        dict.set_item("counted", counted)?;
        dict.set_item("repeated", repeated)?;
        dict.set_item("missing", missing)?;
        dict.set_item("refused", refused)?;
        Ok(dict)
    }

    /// Counts deals in that are read elsewhere than in the topic, ids ascending; when their messages
    /// come after all, these are repeats. Texts are those of messages.
    fn complete(&self, py: Python<'_>, deals: Vec<Vec<u8>>) -> PyResult<u64> {
        py.detach(|| {
            let mut board = self.board_mut();
            let mut place = self.place();
            let mut counted = 0;
            for text in &deals {
                let (market, deal) = read_deal_message(text).map_err(|error| {
                    let text = String::from_utf8_lossy(text);
                    PyValueError::new_err(format!("the deal {text}: {error}"))
                })?;
                let market = board.place_or_new(&market);
                counted += u64::from(board.apply(market, &deal));
                place.completed = place.completed.max(deal.id);
            }
            place.deals += counted;
            Ok(counted)
        })
    }

    /// Follows an engine's feed behind the position, on a thread of its own.
    fn follow(&self, engine: &Bound<'_, Engine>, directory: PathBuf) -> PyResult<()> {
        let failed = |error: std::io::Error| {
            let problem = format!("cannot follow the feed in {}: {error}", directory.display());
            StartError::new_err((problem, "check the directory, and the limit of threads"))
        };
        let storage = Directory::open(&directory).map_err(failed)?;
        let sequence = self.place().sequence;
        let follower = Follower::open(&storage, sequence);
        let mut feed = DealFeed {
            follower,
            signal: Arc::clone(engine.get().host.feed_signal()),
            board: Arc::clone(&self.board),
            place: Arc::clone(&self.place),
            is_stopping: Arc::clone(&self.is_stopping),
            sequence,
            known: None,
        };
        let thread = std::thread::Builder::new()
            .name("market-feed".into())
            .spawn(move || feed.run())
            .map_err(failed)?;
        *self.follower.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(thread);
        Ok(())
    }

    #[getter]
    fn failure(&self) -> Option<String> {
        self.place().failure.clone()
    }

    /// What changed since the last call, as stores hold it, and the position that it belongs to.
    fn take_changes<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyList>)> {
        let (changed, at) = py.detach(|| {
            let mut board = self.board_mut();
            let mut place = self.place();
            let unstored = std::mem::take(&mut place.taken);
            board.put_back(&unstored);
            place.taken = board.take_changes();
            let changed: Vec<_> =
                place.taken.iter().map(|changes| Rendered::new(&board, changes)).collect();
            (changed, (place.topic, place.sequence))
        });
        let list = PyList::empty(py);
        for market in changed {
            list.append(market.into_python(py)?)?;
        }
        let dict = PyDict::new(py);
        dict.set_item("offset", at.0.offset)?;
        dict.set_item("number", at.0.number)?;
        dict.set_item("sequence", at.1)?;
        Ok((dict, list))
    }

    /// The store took what `take_changes` gave.
    fn stored(&self) {
        self.place().taken.clear();
    }

    /// The store lost everything.
    fn put_back_all(&self) {
        let mut board = self.board_mut();
        self.place().taken.clear();
        board.put_back_all();
    }

    /// Drops candles that are older than they are kept.
    fn clean(&self, py: Python<'_>) {
        py.detach(|| {
            let mut board = self.board_mut();
            board.clean(seconds_now());
        });
    }

    /// First second whose candles are kept, by length.
    fn kept_from<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let board = self.board();
        let dict = PyDict::new(py);
        for resolution in Resolution::ALL {
            if let Some(time) = board.options().kept_from(resolution, seconds_now()) {
                dict.set_item(resolution.name(), time)?;
            }
        }
        Ok(dict)
    }

    #[getter]
    fn markets(&self) -> Vec<String> {
        let board = self.board();
        board.names().map(str::to_owned).collect()
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let place = self.place();
        let dict = position(py, &place)?;
        for key in ["offset", "number"] {
            if dict.get_item(key)?.is_some_and(|value| value.is_none()) {
                dict.del_item(key)?;
            }
        }
        dict.set_item("deals_total", place.deals)?;
        Ok(dict)
    }

    fn stop(&self, py: Python<'_>) {
        self.is_stopping.store(true, Release);
        let thread = self.follower.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(thread) = thread {
            // A panic there ends the process before this.
            py.detach(|| drop(thread.join()));
        }
    }
}

impl MarketBoard {
    /// How far the feed is counted in.
    pub(crate) fn reached(&self) -> impl Fn() -> u64 + Send + 'static {
        let place = Arc::clone(&self.place);
        move || place.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).sequence
    }

    fn board(&self) -> RwLockReadGuard<'_, Board> {
        self.board.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn board_mut(&self) -> RwLockWriteGuard<'_, Board> {
        self.board.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn resolution(name: &str) -> PyResult<Resolution> {
    let known = Resolution::ALL.into_iter().find(|known| known.name() == name);
    known.ok_or_else(|| PyValueError::new_err(format!("\"{name}\" is no length of candles")))
}

fn position<'py>(py: Python<'py>, place: &Place) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("offset", place.topic.offset)?;
    dict.set_item("number", place.topic.number)?;
    dict.set_item("sequence", place.sequence)?;
    Ok(dict)
}

fn seconds_now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
