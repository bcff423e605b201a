//! A state as bytes.

use alloc::vec::Vec;

use super::{ABSENT, FLUSH_BYTES, PRESENT, SOURCE_ABSENT, VERSION, VERSION_CHANGED, VERSION_NAMED};
use crate::config::{AssetConfig, MarketConfig};
use crate::exchange::Exchange;
use crate::ids::{AssetId, Time, UserId};
use crate::ledger::Balance;
use crate::once::Placed;
use crate::order::{Order, Side};
use crate::resting::order_of;
use crate::updates::UpdateKey;

impl Exchange {
    /// Writes the state in pieces of bounded size.
    pub fn write_snapshot(&self, sink: &mut dyn FnMut(&[u8])) {
        let mut out = Out { bytes: Vec::with_capacity(FLUSH_BYTES), sink };
        let is_named = self.names() > 0;
        let is_changed = self.changed_at() > 0 || is_named;
        out.u8(match (is_named, is_changed) {
            (true, _) => VERSION_NAMED,
            (false, true) => VERSION_CHANGED,
            (false, false) => VERSION,
        });
        for counter in self.counters.words() {
            out.u64(counter);
        }
        if is_changed {
            out.u64(self.changed_at());
        }
        let config = self.config();
        out.u64(config.assets.len() as u64);
        for (index, asset) in config.assets.iter().enumerate() {
            let totals = self.asset_totals(AssetId(index as u16));
            out.asset(asset, totals.supply, totals.fees_collected);
        }
        out.u64(config.markets.len() as u64);
        for market in &self.markets {
            out.market(&market.config);
            if is_changed {
                out.u8(u8::from(market.is_halted));
            }
        }
        let balances = self.balances();
        out.u64(balances.len() as u64);
        for (user, asset, balance) in balances {
            out.balance(user, asset, balance);
        }
        for market in &self.markets {
            for side in [Side::Ask, Side::Bid] {
                out.u64(market.book.totals(side).0);
                for resting in market.book.orders(side) {
                    out.order(&order_of(market.id, &resting));
                }
            }
        }
        out.u64(self.updates.len() as u64);
        for (time, key, ()) in self.updates.iter() {
            out.key(time, key);
        }
        if is_named {
            out.u64(self.names() as u64);
            for (time, key, placed) in self.names.iter() {
                out.key(time, key);
                out.placed(&placed);
            }
        }
        out.flush();
    }
}

/// Writes a state piece by piece.
pub(crate) struct Out<'a> {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sink: &'a mut dyn FnMut(&[u8]),
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > FLUSH_BYTES {
            self.flush();
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn flush(&mut self) {
        (self.sink)(&self.bytes);
        self.bytes.clear();
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    fn i128(&mut self, value: i128) {
        self.put(&value.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.u8(u8::try_from(text.len()).expect("names are short"));
        self.put(text.as_bytes());
    }

    pub(crate) fn asset(&mut self, asset: &AssetConfig, supply: i128, fees_collected: i128) {
        self.text(&asset.name);
        self.u8(asset.save_scale);
        self.i128(supply);
        self.i128(fees_collected);
    }

    pub(crate) fn market(&mut self, market: &MarketConfig) {
        self.text(&market.name);
        self.u64(u64::from(market.base.0));
        self.u64(u64::from(market.quote.0));
        self.u8(market.base_scale);
        self.u8(market.quote_scale);
        self.u8(market.fee_scale);
    }

    pub(crate) fn balance(&mut self, user: UserId, asset: AssetId, balance: Balance) {
        self.u64(u64::from(user.0));
        self.u64(u64::from(asset.0));
        for value in [balance.available, balance.frozen] {
            match value {
                None => self.u8(ABSENT),
                Some(value) => {
                    self.u8(PRESENT);
                    self.i128(value);
                }
            }
        }
    }

    fn key(&mut self, time: Time, key: UpdateKey) {
        self.u64(time.0.cast_unsigned());
        self.i128(key.0.cast_signed());
    }

    fn placed(&mut self, placed: &Placed) {
        self.u64(placed.body);
        self.u64(placed.order.0);
        self.u64(placed.taker_fee_rate);
        self.u64(placed.maker_fee_rate);
        for half in [placed.filled_base, placed.filled_quote, placed.fee_paid].as_flattened() {
            self.u64(*half);
        }
        for scale in placed.scales {
            self.u8(scale);
        }
    }

    pub(crate) fn order(&mut self, order: &Order) {
        self.u64(order.id.0);
        self.u64(u64::from(order.user.0));
        match order.source.as_str() {
            None => self.u8(SOURCE_ABSENT),
            Some(source) => self.text(source),
        }
        self.u64(order.created_at.0.cast_unsigned());
        self.u64(order.updated_at.0.cast_unsigned());
        for value in [
            order.price,
            order.amount,
            order.remaining,
            order.filled_base,
            order.filled_quote,
            order.fee_paid.coefficient,
        ] {
            self.i128(value);
        }
        self.u8(order.fee_paid.scale);
        self.u64(order.taker_fee_rate);
        self.u64(order.maker_fee_rate);
    }
}
