//! The state of an original's databases as the beginning of a journal.

use std::path::PathBuf;
use std::time::SystemTime;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use viabtc_engine::decimal::{parse_fixed, write_plain};
use viabtc_engine::{
    AssetId, Balance, Config, Decimal, Exchange, Found, MarketId, Order, OrderId, OrderKind, Side,
    Source, Time, UserId,
};
use viabtc_host::config_file::read_config;
use viabtc_host::takeover::{Operation, begin_journal, redo};
use viabtc_wire::request::Names;

use crate::errors::{self, StartError};

/// Decimals of the slice's column `deal_fee`.
const FEE_SCALE: u8 = 12;

/// A row of a slice's balances: user, asset, kind (1 available, 2 frozen), balance.
pub(crate) type BalanceRow = (u32, String, u8, String);

/// A row of a slice's orders: id, side, times of creation and change in microseconds, user, market, then
/// the texts of price, amount, taker and maker fee, left, deal_stock, deal_money and deal_fee.
pub(crate) type OrderRow = (u64, u8, i64, i64, u32, String, [String; 8]);

/// Puts a slice together, redoes the log behind it, and makes the journal of `directory` begin so.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "keywords in Python")]
#[pyo3(signature = (
    config, directory, *, time_us, last_order, last_deal, operlog_id, balances, orders, operations,
    sequence = 0, epoch_min = 0
))]
pub(crate) fn take_over<'py>(
    py: Python<'py>,
    config: &str,
    directory: PathBuf,
    time_us: i64,
    last_order: u64,
    last_deal: u64,
    operlog_id: u64,
    balances: Vec<BalanceRow>,
    orders: Vec<OrderRow>,
    operations: Vec<(u64, i64, u32, Vec<u8>)>,
    sequence: u64,
    epoch_min: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let config = read_config(config).map_err(errors::config)?.config;
    let counters = [last_order, last_deal, operlog_id];
    let found = found(&config, time_us, counters, balances, &orders)?;
    let operations = self::operations(operations);
    let exchange = py.detach(|| {
        let names = Names::new(&config);
        let mut exchange = put_together(config, &found)?;
        redo(&mut exchange, &names, &operations)
            .map_err(|error| unusable("the log does not continue the slice", &error))?;
        exchange.begin_behind(sequence);
        exchange.audit().map_err(|violation| unusable("the state is not sound", &violation))?;
        begin_journal(&directory, &exchange, now(), epoch_min)
            .map_err(|error| errors::start(&error))?;
        Ok::<Exchange, PyErr>(exchange)
    })?;
    report(py, &exchange)
}

/// What slice tables hold. Counters: the last order, the last deal, the last entry of the log.
pub(crate) fn found(
    config: &Config,
    time_us: i64,
    [last_order, last_deal, operlog_id]: [u64; 3],
    balances: Vec<BalanceRow>,
    orders: &[OrderRow],
) -> PyResult<Found> {
    Ok(Found {
        time: Time(time_us),
        last_order,
        last_deal,
        operlog_id,
        balances: read_balances(config, balances)?,
        orders: orders.iter().map(|row| read_order(config, row)).collect::<PyResult<_>>()?,
    })
}

/// The state that slice tables hold.
pub(crate) fn put_together(config: Config, found: &Found) -> PyResult<Exchange> {
    Exchange::take_over(config, found)
        .map_err(|error| unusable("the slice does not fit together", &error))
}

/// Entries of an operation log: number, time, command, parameters.
pub(crate) fn operations(rows: Vec<(u64, i64, u32, Vec<u8>)>) -> Vec<Operation> {
    let rows = rows.into_iter();
    rows.map(|(id, time, command, params)| Operation { id, time, command, params }).collect()
}

/// Puts an exact state into an empty directory, as the beginning of a journal; its sequence and digest.
#[pyfunction]
pub(crate) fn install_state(
    py: Python<'_>,
    directory: PathBuf,
    state: &[u8],
) -> PyResult<(u64, String)> {
    let installed = py.detach(|| viabtc_host::takeover::install_state(&directory, state));
    let (sequence, digest) = installed.map_err(|error| errors::start(&error))?;
    Ok((sequence, format!("{digest:016x}")))
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

fn report<'py>(py: Python<'py>, exchange: &Exchange) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("operlog_id", exchange.operlog_id())?;
    dict.set_item("order_id", exchange.last_order_id())?;
    dict.set_item("deal_id", exchange.last_deal_id())?;
    dict.set_item("digest", format!("{:016x}", exchange.digest()))?;
    let sums = PyDict::new(py);
    for (index, asset) in exchange.config().assets.iter().enumerate() {
        let totals = exchange.asset_totals(AssetId(index as u16));
        let mut text = Vec::new();
        write_plain(totals.available + totals.frozen, asset.save_scale, &mut text);
        sums.set_item(&asset.name, String::from_utf8_lossy(&text))?;
    }
    dict.set_item("sums", sums)?;
    let orders = PyDict::new(py);
    for (index, market) in exchange.config().markets.iter().enumerate() {
        let summary = exchange.market_summary(MarketId(index as u16));
        orders.set_item(&market.name, summary.ask_count + summary.bid_count)?;
    }
    dict.set_item("orders", orders)?;
    Ok(dict)
}

fn read_balances(
    config: &Config,
    rows: Vec<BalanceRow>,
) -> PyResult<Vec<(UserId, AssetId, Balance)>> {
    let mut balances = std::collections::BTreeMap::new();
    for (user, name, kind, text) in rows {
        let place = config.assets.iter().position(|asset| asset.name == name);
        let place =
            place.ok_or_else(|| wrong(&format!("a balance of {name}, which the file has not")))?;
        let units = number(&text, config.assets[place].save_scale)?;
        let none = Balance { available: None, frozen: None };
        let balance = balances.entry((user, place as u16)).or_insert(none);
        match kind {
            1 => balance.available = Some(units),
            2 => balance.frozen = Some(units),
            _ => return Err(wrong(&format!("a balance of kind {kind}"))),
        }
    }
    let entries = balances.into_iter();
    Ok(entries.map(|((user, asset), balance)| (UserId(user), AssetId(asset), balance)).collect())
}

fn read_order(config: &Config, row: &OrderRow) -> PyResult<Order> {
    let (id, side, created, updated, user, name, texts) = row;
    let place = config.markets.iter().position(|market| market.name == *name);
    let place =
        place.ok_or_else(|| wrong(&format!("an order in {name}, which the file has not")))?;
    let market = &config.markets[place];
    let [price, amount, taker_fee, maker_fee, left, deal_stock, deal_money, deal_fee] = texts;
    let (base, quote) = (market.base_scale, market.quote_scale);
    let rate = |text: &str| {
        u64::try_from(number(text, market.fee_scale)?).map_err(|_| wrong("a negative fee"))
    };
    Ok(Order {
        id: OrderId(*id),
        user: UserId(*user),
        market: MarketId(place as u16),
        kind: OrderKind::Limit,
        side: match side {
            1 => Side::Ask,
            2 => Side::Bid,
            _ => return Err(wrong(&format!("an order of side {side}"))),
        },
        source: Source::ABSENT,
        created_at: Time(*created),
        updated_at: Time(*updated),
        price: number(price, quote)?,
        amount: number(amount, base)?,
        remaining: number(left, base)?,
        taker_fee_rate: rate(taker_fee)?,
        maker_fee_rate: rate(maker_fee)?,
        filled_base: number(deal_stock, base)?,
        filled_quote: number(deal_money, base + quote)?,
        fee_paid: Decimal { coefficient: number(deal_fee, FEE_SCALE)?, scale: FEE_SCALE },
    })
}

fn number(text: &str, scale: u8) -> PyResult<i128> {
    // The original takes a precision of 0 for no bound, and cuts what has more decimals than another one.
    let is_whole = |exact: Decimal| exact.units_floor(0) == exact.units_ceil(0);
    if scale == 0 && !Decimal::parse(text).is_ok_and(is_whole) {
        return Err(wrong(&format!("\"{text}\" where no decimals are kept")));
    }
    parse_fixed(text, scale).map_err(|_| wrong(&format!("\"{text}\" where a number belongs")))
}

fn wrong(what: &str) -> PyErr {
    PyValueError::new_err(format!("the slice holds {what}"))
}

pub(crate) fn unusable(what: &str, error: &dyn std::fmt::Display) -> PyErr {
    StartError::new_err((
        format!("{what}: {error}"),
        "check that the file is the one that the original ran with, and that it had stopped",
    ))
}
