//! The newest snapshot as a slice: rows for the original's tables, and the state in our own form.

use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use viabtc_engine::{MarketId, Side};
use viabtc_host::config_file::read_config;
use viabtc_host::recovery::{State, write_state};
use viabtc_host::snapshots::read_snapshot;
use viabtc_host::takeover::redo;
use viabtc_wire::request::Names;
use viabtc_wire::rows::Field;
use viabtc_wire::slices::{
    BALANCE_COLUMNS, BalanceKind, ORDER_COLUMNS, balance_fields, order_fields,
};
use viabtc_wire::sql::write_row;

use crate::errors;
use crate::takeover::{self, BalanceRow, OrderRow};
use crate::values::{Value, rows_into_python};

/// How rows are rendered.
#[derive(Clone, Copy)]
enum Rendering {
    /// As statements.
    Mysql,
    /// As values, for the embedded store.
    Sqlite,
}

impl Rendering {
    fn named(name: &str) -> PyResult<Rendering> {
        match name {
            "mysql" => Ok(Rendering::Mysql),
            "sqlite" => Ok(Rendering::Sqlite),
            other => Err(PyValueError::new_err(format!("no rendering: {other}"))),
        }
    }
}

/// A state to be written to slice tables, or compared with them.
#[pyclass(module = "viabtc._core")]
pub(crate) struct Slice {
    state: State,
    rendering: Rendering,
}

#[pymethods]
impl Slice {
    /// Of the newest snapshot; None without one.
    #[staticmethod]
    fn of_newest_snapshot(
        py: Python<'_>,
        directory: PathBuf,
        rendering: &str,
    ) -> PyResult<Option<Slice>> {
        let rendering = Rendering::named(rendering)?;
        let state = py.detach(|| read_snapshot(&directory));
        let state = state.map_err(|error| errors::start(&error))?;
        Ok(state.map(|state| Slice { state, rendering }))
    }

    /// Of tables that somebody else wrote.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    #[pyo3(signature = (
        config, rendering, *, time_us, last_order, last_deal, operlog_id, balances, orders
    ))]
    fn of_tables(
        py: Python<'_>,
        config: &str,
        rendering: &str,
        time_us: i64,
        last_order: u64,
        last_deal: u64,
        operlog_id: u64,
        balances: Vec<BalanceRow>,
        orders: Vec<OrderRow>,
    ) -> PyResult<Slice> {
        let rendering = Rendering::named(rendering)?;
        let config = read_config(config).map_err(errors::config)?.config;
        let counters = [last_order, last_deal, operlog_id];
        let found = takeover::found(&config, time_us, counters, balances, &orders)?;
        let exchange = py.detach(|| takeover::put_together(config, &found))?;
        let file = exchange.config().clone();
        Ok(Slice { state: State { exchange, file }, rendering })
    }

    /// Applies entries of a log behind the state's last: number, time, command, parameters.
    fn redo(&mut self, py: Python<'_>, operations: Vec<(u64, i64, u32, Vec<u8>)>) -> PyResult<()> {
        let operations = takeover::operations(operations);
        let names = Names::new(self.state.exchange.config());
        let exchange = &mut self.state.exchange;
        py.detach(|| redo(exchange, &names, &operations))
            .map_err(|error| takeover::unusable("the log does not continue the state", &error))
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.state.exchange.sequence()
    }

    #[getter]
    fn operlog_id(&self) -> u64 {
        self.state.exchange.operlog_id()
    }

    #[getter]
    fn order_id(&self) -> u64 {
        self.state.exchange.last_order_id()
    }

    #[getter]
    fn deal_id(&self) -> u64 {
        self.state.exchange.last_deal_id()
    }

    #[getter]
    fn digest(&self) -> String {
        format!("{:016x}", self.state.exchange.digest())
    }

    /// Gives pages of at most `rows_max` orders to `write`: each market's asks, then its bids, best first.
    fn orders(
        &self,
        py: Python<'_>,
        table: &str,
        rows_max: usize,
        write: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let mut page = Page::new(self.rendering, table, &ORDER_COLUMNS, rows_max, write);
        for (index, market) in self.state.exchange.config().markets.iter().enumerate() {
            for side in [Side::Ask, Side::Bid] {
                for order in self.state.exchange.book(MarketId(index as u16), side) {
                    page.add(py, &order_fields(&order, market))?;
                }
            }
        }
        page.flush(py)
    }

    /// Gives pages of at most `rows_max` balances to `write`, by user, then asset.
    fn balances(
        &self,
        py: Python<'_>,
        table: &str,
        rows_max: usize,
        write: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let mut page = Page::new(self.rendering, table, &BALANCE_COLUMNS, rows_max, write);
        let assets = &self.state.exchange.config().assets;
        for (user, asset, balance) in self.state.exchange.balances() {
            let kinds = [
                (BalanceKind::Available, balance.available),
                (BalanceKind::Frozen, balance.frozen),
            ];
            for (kind, units) in kinds {
                if let Some(units) = units {
                    let asset = &assets[usize::from(asset.0)];
                    page.add(py, &balance_fields(user.0, asset, kind, units))?;
                }
            }
        }
        page.flush(py)
    }

    /// Gives the state, as a snapshot holds it, to `write` in pieces of `piece_bytes`.
    fn state(&self, py: Python<'_>, piece_bytes: usize, write: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut piece = Vec::with_capacity(piece_bytes);
        let mut outcome = Ok(());
        let mut give = |bytes: &[u8]| {
            if outcome.is_ok() {
                outcome = write.call1((PyBytes::new(py, bytes),)).map(drop);
            }
        };
        write_state(&self.state.exchange, &self.state.file, &mut |mut bytes: &[u8]| {
            while !bytes.is_empty() {
                let room = piece_bytes.max(1) - piece.len();
                let (now, later) = bytes.split_at(room.min(bytes.len()));
                piece.extend_from_slice(now);
                bytes = later;
                if piece.len() == piece_bytes.max(1) {
                    give(&piece);
                    piece.clear();
                }
            }
        });
        if !piece.is_empty() {
            give(&piece);
        }
        outcome
    }
}

/// Rows of a table that are written together.
struct Page<'a, 'py> {
    rendering: Rendering,
    head: String,
    statement: Vec<u8>,
    rows: Vec<Vec<Value>>,
    count: usize,
    rows_max: usize,
    write: &'a Bound<'py, PyAny>,
}

impl<'a, 'py> Page<'a, 'py> {
    fn new(
        rendering: Rendering,
        table: &str,
        columns: &[&str],
        rows_max: usize,
        write: &'a Bound<'py, PyAny>,
    ) -> Page<'a, 'py> {
        let head = format!("INSERT INTO `{table}` (`{}`) VALUES ", columns.join("`, `"));
        let (statement, rows) = (Vec::new(), Vec::new());
        Page { rendering, head, statement, rows, count: 0, rows_max, write }
    }

    fn add(&mut self, py: Python<'_>, fields: &[Field<'_>]) -> PyResult<()> {
        match self.rendering {
            Rendering::Mysql => {
                let start = if self.statement.is_empty() { self.head.as_str() } else { ", " };
                self.statement.extend_from_slice(start.as_bytes());
                write_row(fields, &mut self.statement);
            }
            Rendering::Sqlite => self.rows.push(fields.iter().map(Value::of).collect()),
        }
        self.count += 1;
        if self.count < self.rows_max { Ok(()) } else { self.flush(py) }
    }

    fn flush(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.count == 0 {
            return Ok(());
        }
        self.count = 0;
        match self.rendering {
            Rendering::Mysql => {
                let statement = std::mem::take(&mut self.statement);
                self.write.call1((PyBytes::new(py, &statement),)).map(drop)
            }
            Rendering::Sqlite => {
                let rows = rows_into_python(self.rows.drain(..), py)?;
                self.write.call1((rows,)).map(drop)
            }
        }
    }
}
