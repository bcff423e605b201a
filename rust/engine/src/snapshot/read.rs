//! A state from bytes, under the configuration of today.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::input::Input;
use super::{RestoreError, VERSION, VERSION_CHANGED, VERSION_NAMED};
use crate::book::Handle;
use crate::config::Config;
use crate::exchange::{Counters, Exchange};
use crate::ids::{AssetId, MarketId, OrderId, Time};
use crate::ledger::Hint;
use crate::order::Side;
use crate::warm::GROUP as WARM_GROUP;

impl Exchange {
    /// Reads a state under `config`; `source` fills a buffer from its start and returns how much it
    /// filled, 0 at the end.
    ///
    /// # Errors
    /// When the bytes are no state, and when `config` lacks an asset or market in use or changes its
    /// decimals.
    pub fn restore(
        config: Config,
        source: &mut dyn FnMut(&mut [u8]) -> usize,
    ) -> Result<Exchange, RestoreError> {
        let exchange = Exchange::restore_unaudited(config, source)?;
        exchange.audit().map_err(|violation| RestoreError::Config(format!("{violation}")))?;
        Ok(exchange)
    }

    /// As [`Exchange::restore`], for whoever goes on from there and calls [`Exchange::audit`] in the end,
    /// before anybody is answered.
    ///
    /// # Errors
    /// As [`Exchange::restore`], but for what only the audit finds.
    pub fn restore_unaudited(
        config: Config,
        source: &mut dyn FnMut(&mut [u8]) -> usize,
    ) -> Result<Exchange, RestoreError> {
        let mut input = Input::new(source);
        let version = input.u8()?;
        if !(VERSION..=VERSION_NAMED).contains(&version) {
            return Err(RestoreError::Version(version));
        }
        let mut exchange = Exchange::new(config);
        exchange.counters = Counters {
            sequence: input.u64()?,
            time: Time(input.u64()?.cast_signed()),
            last_order: input.u64()?,
            last_deal: input.u64()?,
            operlog_id: input.u64()?,
            balance_events: input.u64()?,
            order_events: input.u64()?,
        };
        let is_changed = version != VERSION;
        if is_changed {
            exchange.changed_at = input.u64()?;
            let first = u64::from(version == VERSION_CHANGED);
            if !(first..=exchange.counters.sequence).contains(&exchange.changed_at) {
                return Err(RestoreError::Malformed("a change after the last command"));
            }
        }
        let assets = exchange.read_assets(&mut input)?;
        let markets = exchange.read_markets(&mut input, &assets, is_changed)?;
        exchange.changes_digest = exchange.changes_number();
        exchange.read_balances(&mut input, &assets)?;
        let mut orders = Vec::new();
        for market in &markets {
            for side in [Side::Ask, Side::Bid] {
                exchange.read_orders(&mut input, market, side, &mut orders)?;
            }
        }
        exchange.link_orders(orders);
        exchange.read_updates(&mut input)?;
        if version == VERSION_NAMED {
            exchange.read_names(&mut input)?;
        }
        if !input.is_at_end() {
            return Err(RestoreError::Malformed("bytes follow the state"));
        }
        Ok(exchange)
    }

    /// The same state under another configuration.
    ///
    /// # Errors
    /// When `config` lacks an asset or market in use or changes its decimals.
    pub fn reconfigure(self, config: Config) -> Result<Exchange, RestoreError> {
        let mut bytes = Vec::new();
        self.write_snapshot(&mut |piece| bytes.extend_from_slice(piece));
        Exchange::restore_bytes(config, &bytes)
    }

    /// As [`Exchange::restore`], from what is in memory as a whole.
    pub(crate) fn restore_bytes(config: Config, bytes: &[u8]) -> Result<Exchange, RestoreError> {
        let mut rest = bytes;
        Exchange::restore(config, &mut |buffer| {
            let count = buffer.len().min(rest.len());
            let (now, later) = rest.split_at(count);
            buffer[..count].copy_from_slice(now);
            rest = later;
            count
        })
    }

    fn read_assets(&mut self, input: &mut Input<'_>) -> Result<Vec<SavedAsset>, RestoreError> {
        let mut assets = Vec::new();
        for _ in 0..input.u64()? {
            let name = input.text()?;
            let save_scale = input.u8()?;
            let (supply, fees_collected) = (input.units()?, input.units()?);
            let assets_now = &self.config().assets;
            let now = assets_now.iter().position(|asset| asset.name == name);
            let Some(now) = now else {
                if supply != 0 || fees_collected != 0 {
                    return Err(RestoreError::Config(format!(
                        "asset {name} is missing in the configuration and has balances"
                    )));
                }
                assets.push(SavedAsset { name, now: None });
                continue;
            };
            if assets_now[now].save_scale != save_scale {
                return Err(RestoreError::Config(format!(
                    "prec_save of asset {name} is {} in the configuration and {save_scale} in the data",
                    assets_now[now].save_scale
                )));
            }
            let now = AssetId(now as u16);
            self.ledger.restore_totals(now, supply, fees_collected);
            assets.push(SavedAsset { name, now: Some(now) });
        }
        Ok(assets)
    }

    fn read_markets(
        &mut self,
        input: &mut Input<'_>,
        assets: &[SavedAsset],
        is_changed: bool,
    ) -> Result<Vec<SavedMarket>, RestoreError> {
        let mut markets = Vec::new();
        for _ in 0..input.u64()? {
            let name = input.text()?;
            let mut leg = || {
                let index = usize::try_from(input.u64()?).unwrap_or(usize::MAX);
                assets.get(index).ok_or(RestoreError::Malformed("asset of a market"))
            };
            let (base, quote) = (leg()?, leg()?);
            let scales = [input.u8()?, input.u8()?, input.u8()?];
            let halted = if is_changed { input.u8()? } else { 0 };
            if halted > 1 {
                return Err(RestoreError::Malformed("a market is neither halted nor not"));
            }
            let now = self.config().markets.iter().position(|market| market.name == name);
            if let Some(now) = now {
                self.markets[now].is_halted = halted == 1;
            }
            let problem = match now.map(|now| &self.config().markets[now]) {
                None => Some(format!("market {name} is missing in the configuration")),
                Some(market)
                    if [market.base_scale, market.quote_scale, market.fee_scale] != scales =>
                {
                    Some(format!(
                        "the decimals of market {name} (stock, money, fee) are {scales:?} in the data \
                         and differ in the configuration"
                    ))
                }
                Some(market)
                    if (Some(market.base), Some(market.quote)) != (base.now, quote.now) =>
                {
                    Some(format!(
                        "market {name} trades {} for {} in the data, other assets in the configuration",
                        base.name, quote.name
                    ))
                }
                Some(_) => None,
            };
            markets.push(SavedMarket { now: now.map(|now| MarketId(now as u16)), problem });
        }
        Ok(markets)
    }

    fn read_balances(
        &mut self,
        input: &mut Input<'_>,
        assets: &[SavedAsset],
    ) -> Result<(), RestoreError> {
        let mut previous = None;
        let mut group = Vec::with_capacity(WARM_GROUP);
        for count in groups(input.u64()?) {
            group.clear();
            for _ in 0..count {
                let (user, index, balance) = input.balance()?;
                if previous >= Some((user, index)) {
                    return Err(RestoreError::Malformed("balances are not in order"));
                }
                previous = Some((user, index));
                let asset = usize::try_from(index).ok().and_then(|index| assets.get(index));
                let asset = asset.ok_or(RestoreError::Malformed("asset of a balance"))?;
                let Some(asset_id) = asset.now else {
                    return Err(RestoreError::Config(format!(
                        "asset {} is missing in the configuration and has balances",
                        asset.name
                    )));
                };
                group.push((user, asset_id, balance));
            }
            for &(user, asset, _) in &group {
                self.ledger.prefetch_index(user, asset);
            }
            for &(user, asset, balance) in &group {
                self.ledger.restore(user, asset, balance);
                let totals = self.ledger.totals(asset);
                if totals.available + totals.frozen > totals.supply {
                    return Err(RestoreError::Malformed("more balances than supply"));
                }
            }
        }
        Ok(())
    }

    fn read_orders(
        &mut self,
        input: &mut Input<'_>,
        market: &SavedMarket,
        side: Side,
        orders: &mut Vec<(OrderId, MarketId, Handle)>,
    ) -> Result<(), RestoreError> {
        let mut group = Vec::with_capacity(WARM_GROUP);
        for count in groups(input.u64()?) {
            let now = match (&market.problem, market.now) {
                (None, Some(now)) => now,
                (problem, _) => {
                    let problem = problem.as_deref().unwrap_or("a market is missing");
                    return Err(RestoreError::Config(format!("{problem}, and it has open orders")));
                }
            };
            group.clear();
            for _ in 0..count {
                group.push(input.order(now, side)?);
            }
            let market = &self.markets[usize::from(now.0)];
            for order in &group {
                market.book.prefetch_id(order.id.0);
                market.book.prefetch_arrival(order.id.0);
            }
            for order in &group {
                let market = &self.markets[usize::from(now.0)];
                if market.book.find(order.id.0).is_some() || !market.can_rest(order) {
                    return Err(RestoreError::Malformed("an order that cannot rest"));
                }
                orders.push((order.id, now, self.insert(order)));
            }
        }
        Ok(())
    }

    fn read_updates(&mut self, input: &mut Input<'_>) -> Result<(), RestoreError> {
        let mut newest = i64::MIN;
        let mut group = Vec::with_capacity(WARM_GROUP);
        for count in groups(input.u64()?) {
            group.clear();
            for _ in 0..count {
                group.push(input.key()?);
            }
            for (_, key) in &group {
                self.updates.prefetch(*key);
            }
            for &(time, key) in &group {
                if time.0 < newest {
                    return Err(RestoreError::Malformed(
                        "updates are not in the order of their times",
                    ));
                }
                newest = time.0;
                if self.updates.is_seen(key, time) {
                    return Err(RestoreError::Malformed("an update is remembered twice"));
                }
                self.updates.remember(key, time, ());
            }
        }
        Ok(())
    }

    fn read_names(&mut self, input: &mut Input<'_>) -> Result<(), RestoreError> {
        let mut newest = i64::MIN;
        for _ in 0..input.u64()? {
            let (time, key) = input.key()?;
            let placed = input.placed()?;
            if time.0 < newest || placed.order.0 > self.counters.last_order {
                return Err(RestoreError::Malformed("names are not in the order of their times"));
            }
            newest = time.0;
            if self.names.is_seen(key, time) {
                return Err(RestoreError::Malformed("a name is remembered twice"));
            }
            self.names.remember(key, time, placed);
        }
        if self.names() == 0 {
            return Err(RestoreError::Malformed("a version for names, and none"));
        }
        Ok(())
    }

    /// Lists every order among its owner's, oldest first.
    fn link_orders(&mut self, mut orders: Vec<(OrderId, MarketId, Handle)>) {
        orders.sort_unstable_by_key(|(order, ..)| *order);
        for group in orders.chunks(WARM_GROUP) {
            self.warm_unlisted(group);
            for &(_, market, handle) in group {
                let book = &mut self.markets[usize::from(market.0)].book;
                let place = self.open.link(book, market, handle);
                let owner = self.open.at(place);
                if owner.count == 1 {
                    let user = owner.user;
                    let config = &self.markets[usize::from(market.0)].config;
                    let hint = |asset| self.ledger.find(user, asset).unwrap_or(Hint::NONE);
                    let hints = [hint(config.base), hint(config.quote)];
                    self.open.set_hints(place, hints);
                }
            }
        }
    }

    /// Asks for what listing these orders needs: the orders, their owners' records, and their newest orders.
    fn warm_unlisted(&self, group: &[(OrderId, MarketId, Handle)]) {
        let market = |market: MarketId| &self.markets[usize::from(market.0)];
        let user = |id: MarketId, handle| market(id).book.get(handle).payload.user;
        for &(_, id, handle) in group {
            market(id).book.prefetch_order(handle);
        }
        for &(_, id, handle) in group {
            self.open.prefetch_index(user(id, handle), id);
        }
        for &(_, id, handle) in group {
            let user = user(id, handle);
            if self.open.prefetch_guess(user, id).is_none() {
                let config = &market(id).config;
                self.ledger.prefetch_index(user, config.base);
                self.ledger.prefetch_index(user, config.quote);
            }
        }
        for &(_, id, handle) in group {
            if let Some((_, owner)) = self.open.find(user(id, handle), id) {
                market(id).book.prefetch_order(owner.newest);
            }
        }
    }
}

/// The parts of `count` that are read ahead together.
fn groups(count: u64) -> impl Iterator<Item = usize> {
    let whole = count / WARM_GROUP as u64;
    let rest = (count % WARM_GROUP as u64) as usize;
    (0..whole).map(|_| WARM_GROUP).chain((rest > 0).then_some(rest))
}

struct SavedAsset {
    name: String,
    /// Its place in today's configuration.
    now: Option<AssetId>,
}

struct SavedMarket {
    now: Option<MarketId>,
    /// Why orders of it could not be kept.
    problem: Option<String>,
}
