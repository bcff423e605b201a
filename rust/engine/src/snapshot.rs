//! The whole state as bytes, and back. Equal states give equal bytes; names rather than positions tie
//! balances and orders to a configuration, so that a state can be moved to another one.
//!
//! Integers are little endian. Order: version; counters; assets (name, save scale, supply, fees
//! collected); markets (name, base, quote, three scales); balances by user and asset; orders by market,
//! side and priority; remembered updates, oldest first. Every list has its length in front. Version 2 has
//! the sequence of the last command of our own kinds behind the counters, and whether it is halted behind
//! each market; a state without such a command is written in version 1, which older builds read too.
//! Version 3 has besides the names of orders that take effect once at its end, oldest first; a state that
//! remembers none is written in version 1 or 2.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::book::Handle;
use crate::config::{AssetConfig, Config, MarketConfig};
use crate::decimal::{DIGITS_MAX, Decimal, power_of_ten};
use crate::exchange::{Counters, Exchange};
use crate::ids::{AssetId, MarketId, OrderId, Time, UserId};
use crate::ledger::{Balance, Hint};
use crate::once::Placed;
use crate::order::{Order, OrderKind, SOURCE_BYTES_MAX, Side, Source};
use crate::resting::order_of;
use crate::updates::UpdateKey;
use crate::warm::GROUP as WARM_GROUP;

/// Of a state that no command of our own kinds changed.
pub(crate) const VERSION: u8 = 1;

/// Of a state that one did.
const VERSION_CHANGED: u8 = 2;

/// Of a state that remembers names of orders.
const VERSION_NAMED: u8 = 3;

/// Bytes collected before they go to the sink.
const FLUSH_BYTES: usize = 64 * 1024;

/// Longest name that is read; longer ones are no names of ours.
const NAME_BYTES_MAX: usize = 255;

/// Says that an optional number is absent.
const ABSENT: u8 = 0;
const PRESENT: u8 = 1;

/// Length of an absent source.
const SOURCE_ABSENT: u8 = u8::MAX;

/// Bytes that lead to no state under this configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RestoreError {
    /// Not the bytes of a state.
    #[error("the snapshot is malformed: {0}")]
    Malformed(&'static str),
    /// Of a version that this build does not read.
    #[error("the snapshot has version {0}; this build reads versions 1 to 3")]
    Version(u8),
    /// The configuration lacks or changes something that the state uses.
    #[error("{0}")]
    Config(String),
}

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
        let mut input = Input { source, bytes: vec![0; FLUSH_BYTES], position: 0, end: 0 };
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
        let mut rest = &bytes[..];
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

struct Input<'a> {
    source: &'a mut dyn FnMut(&mut [u8]) -> usize,
    /// Read ahead: what lies from `position` to `end` comes next.
    bytes: Vec<u8>,
    position: usize,
    end: usize,
}

impl Input<'_> {
    #[cold]
    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), RestoreError> {
        loop {
            let count = buffer.len().min(self.end - self.position);
            let (now, later) = buffer.split_at_mut(count);
            now.copy_from_slice(&self.bytes[self.position..self.position + count]);
            self.position += count;
            if later.is_empty() {
                return Ok(());
            }
            buffer = later;
            if self.is_at_end() {
                return Err(RestoreError::Malformed("it ends inside the state"));
            }
        }
    }

    /// Whether nothing follows; reads ahead when nothing is left of what was read before.
    #[cold]
    fn is_at_end(&mut self) -> bool {
        if self.position == self.end {
            self.position = 0;
            self.end = (self.source)(&mut self.bytes);
        }
        self.end == 0
    }

    #[inline]
    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], RestoreError> {
        if let Some(bytes) = self.bytes[self.position..self.end].first_chunk() {
            self.position += LENGTH;
            return Ok(*bytes);
        }
        let mut bytes = [0; LENGTH];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8, RestoreError> {
        self.array().map(u8::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, RestoreError> {
        self.array().map(u64::from_le_bytes)
    }

    fn i128(&mut self) -> Result<i128, RestoreError> {
        self.array().map(i128::from_le_bytes)
    }

    /// Units of an asset: never negative, and bounded as the supply is.
    fn units(&mut self) -> Result<i128, RestoreError> {
        let units = self.i128()?;
        let is_bounded = (0..power_of_ten(DIGITS_MAX)).contains(&units);
        if is_bounded { Ok(units) } else { Err(RestoreError::Malformed("units out of range")) }
    }

    fn user(&mut self) -> Result<UserId, RestoreError> {
        let user = u32::try_from(self.u64()?);
        user.map(UserId).map_err(|_| RestoreError::Malformed("a user beyond 32 bits"))
    }

    fn text(&mut self) -> Result<String, RestoreError> {
        let length = self.u8()?;
        let mut bytes = [0; NAME_BYTES_MAX];
        self.text_in(&mut bytes[..usize::from(length)]).map(String::from)
    }

    /// A text that fills `bytes`.
    fn text_in<'bytes>(&mut self, bytes: &'bytes mut [u8]) -> Result<&'bytes str, RestoreError> {
        self.fill(bytes)?;
        core::str::from_utf8(bytes).map_err(|_| RestoreError::Malformed("a text is not UTF-8"))
    }

    fn source(&mut self) -> Result<Source, RestoreError> {
        let length = self.u8()?;
        if length == SOURCE_ABSENT {
            return Ok(Source::ABSENT);
        }
        let mut bytes = [0; SOURCE_BYTES_MAX];
        let bytes = bytes.get_mut(..usize::from(length));
        let text = self.text_in(bytes.ok_or(RestoreError::Malformed("a source is too long"))?)?;
        Ok(Source::new(text).expect("its length was checked"))
    }

    fn key(&mut self) -> Result<(Time, UpdateKey), RestoreError> {
        Ok((Time(self.u64()?.cast_signed()), UpdateKey(self.i128()?.cast_unsigned())))
    }

    fn placed(&mut self) -> Result<Placed, RestoreError> {
        let placed = Placed {
            body: self.u64()?,
            order: OrderId(self.u64()?),
            taker_fee_rate: self.u64()?,
            maker_fee_rate: self.u64()?,
            filled_base: [self.u64()?, self.u64()?],
            filled_quote: [self.u64()?, self.u64()?],
            fee_paid: [self.u64()?, self.u64()?],
            scales: [self.u8()?, self.u8()?, self.u8()?, self.u8()?],
        };
        if placed.can_be() {
            Ok(placed)
        } else {
            Err(RestoreError::Malformed("an order that was not placed"))
        }
    }

    /// User, place of the asset in the list of the state, and what is held.
    fn balance(&mut self) -> Result<(UserId, u64, Balance), RestoreError> {
        let (user, asset) = (self.user()?, self.u64()?);
        let mut value = || match self.u8()? {
            ABSENT => Ok(None),
            PRESENT => self.units().map(Some),
            _ => Err(RestoreError::Malformed("a balance is neither absent nor present")),
        };
        let balance = Balance { available: value()?, frozen: value()? };
        if balance == Balance::default() {
            return Err(RestoreError::Malformed("a balance that does not exist"));
        }
        Ok((user, asset, balance))
    }

    fn order(&mut self, market: MarketId, side: Side) -> Result<Order, RestoreError> {
        let id = OrderId(self.u64()?);
        let user = self.user()?;
        let source = self.source()?;
        Ok(Order {
            id,
            user,
            market,
            kind: OrderKind::Limit,
            side,
            source,
            created_at: Time(self.u64()?.cast_signed()),
            updated_at: Time(self.u64()?.cast_signed()),
            price: self.i128()?,
            amount: self.i128()?,
            remaining: self.i128()?,
            filled_base: self.i128()?,
            filled_quote: self.i128()?,
            fee_paid: Decimal { coefficient: self.i128()?, scale: self.u8()? },
            taker_fee_rate: self.u64()?,
            maker_fee_rate: self.u64()?,
        })
    }
}
