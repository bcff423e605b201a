//! What of the board changed, as a store holds it.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use viabtc_market::{Board, Changes, Resolution};
use viabtc_wire::market::{write_candle, write_last_price, write_recent_deal};

/// A market's changes as texts.
pub(super) struct Rendered {
    name: String,
    last: String,
    candles: [Vec<(i64, String)>; 4],
    /// Oldest first.
    deals: Vec<String>,
}

impl Rendered {
    pub(super) fn new(board: &Board, changes: &Changes) -> Rendered {
        let place = changes.market;
        let name = board.names().nth(place).unwrap_or_default().to_owned();
        let candles = Resolution::ALL.map(|resolution| {
            // A candle that was dropped since it changed is too old for every store.
            let times = changes.candles[resolution as usize].iter();
            let rows = times.filter_map(|time| {
                let candle = board.candle(place, resolution, *time)?;
                Some((*time, text(|out| write_candle(candle, out))))
            });
            rows.collect()
        });
        let deals = board.newest_deals(place, changes.deals);
        let deals = deals.map(|deal| text(|out| write_recent_deal(deal, out))).collect();
        Rendered { name, last: text(|out| write_last_price(board, place, out)), candles, deals }
    }

    pub(super) fn into_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let candles = PyDict::new(py);
        for (resolution, rows) in Resolution::ALL.iter().zip(self.candles) {
            candles.set_item(resolution.name(), rows)?;
        }
        let dict = PyDict::new(py);
        dict.set_item("market", self.name)?;
        dict.set_item("last", self.last)?;
        dict.set_item("candles", candles)?;
        dict.set_item("deals", self.deals)?;
        Ok(dict)
    }
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap_or_else(|_| unreachable!("JSON is written as UTF-8"))
}
