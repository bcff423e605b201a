//! The rules of the exchange a second time, as plainly as they can be written: one list per side, one map
//! of balances, decimals of any size, nothing kept that can be counted. Slow, and for that reason easy to
//! believe. Written from the description of the original (matchengine 1.4, 4 and 5) with the bounds of
//! our own (design section 7, item 2); what happens is told in the engine's events, so that the two can
//! be compared as they are.

mod number;
mod once;

use std::collections::BTreeMap;

use viabtc_engine::event::OrderChange;
use viabtc_engine::{
    AssetId, AssetSettings, AssetTotals, Balance, BalanceUpdated, CancelOrder, Change, Command,
    Config, Deal, DealId, DealSide, Decimal, Depth, Event, MarketId, MarketSettings, MarketSummary,
    Order, OrderEvent, OrderId, OrderKind, PlaceLimit, PlaceMarket, Rejection, Side, Source, Time,
    UpdateBalance, UserId,
};

use number::Number;

/// Price times amount of an order, and the supply of an asset, stay below it.
const CEILING: i128 = 100_000_000_000_000;

/// Bytes of a reason that tell two updates apart.
const REASON_BYTES: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Available,
    Frozen,
}

#[derive(Clone)]
struct NaiveOrder {
    id: u64,
    user: UserId,
    market: MarketId,
    kind: OrderKind,
    side: Side,
    source: Source,
    created: Time,
    updated: Time,
    price: Number,
    amount: Number,
    taker_fee: Number,
    maker_fee: Number,
    left: Number,
    frozen: Number,
    deal_stock: Number,
    deal_money: Number,
    deal_fee: Number,
}

#[derive(Default)]
struct Market {
    /// Lowest price first, then lowest id.
    asks: Vec<NaiveOrder>,
    /// Highest price first, then lowest id.
    bids: Vec<NaiveOrder>,
    is_halted: bool,
}

/// Microseconds for which an order's name is remembered.
const NAME_WINDOW: i64 = 86_400_000_000;

/// An order that was placed under a name: when, what was asked for, and how it stood in the end.
struct Named {
    time: Time,
    asked: Asked,
    order: Order,
    /// Decimals of amounts, prices and rates at that time.
    scales: [u8; 3],
}

/// What makes two orders the same.
type Asked = (MarketId, OrderKind, Side, Number, Number);

/// User, asset, compared bytes of the reason, number.
type UpdateKey = (u32, u16, Vec<u8>, u64);

pub struct Naive {
    config: Config,
    balances: BTreeMap<(UserId, AssetId, Kind), Number>,
    supply: Vec<Number>,
    fees: Vec<Number>,
    markets: Vec<Market>,
    updates: BTreeMap<UpdateKey, Time>,
    names: BTreeMap<(UserId, String), Named>,
    order_count: u64,
    deal_count: u64,
    /// Events so far: the topics' numbers have no gaps.
    balance_events: u64,
    order_events: u64,
}

impl Naive {
    pub fn new(config: Config) -> Naive {
        Naive {
            supply: config.assets.iter().map(|_| Number::zero()).collect(),
            fees: config.assets.iter().map(|_| Number::zero()).collect(),
            markets: config.markets.iter().map(|_| Market::default()).collect(),
            config,
            balances: BTreeMap::new(),
            updates: BTreeMap::new(),
            names: BTreeMap::new(),
            order_count: 0,
            deal_count: 0,
            balance_events: 0,
            order_events: 0,
        }
    }

    pub fn apply(&mut self, now: Time, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::UpdateBalance(update) => self.update_balance(now, update),
            Command::PlaceLimit(place) => self.put_limit(now, place),
            Command::PlaceMarket(place) => self.put_market(now, place),
            Command::CancelOrder(cancel) => self.cancel(cancel),
            Command::Change(change) => self.change(change).map(|()| Vec::new()),
            Command::PlaceOnce(place) => self.put_once(now, place),
        }
    }

    // Commands, section 4.

    fn update_balance(
        &mut self,
        now: Time,
        update: &UpdateBalance,
    ) -> Result<Vec<Event>, Rejection> {
        let UpdateBalance { user, asset, reason_id, .. } = *update;
        let config = self.config.assets.get(usize::from(asset.0));
        let change = match config {
            Some(asset) => Number::new(update.change, asset.show_scale),
            None => return Err(Rejection::InvalidArgument),
        };
        let reason = update.reason.as_bytes();
        let compared = reason[..reason.len().min(REASON_BYTES)].to_vec();
        let key = (user.0, asset.0, compared, reason_id);
        let window = self.config.update_window;
        if self.updates.get(&key).is_some_and(|seen| now.0 - seen.0 <= window) {
            return Err(Rejection::RepeatUpdate);
        }
        let supply = &mut self.supply[usize::from(asset.0)];
        if change.is_negative() {
            let withdrawn = change.negated();
            if !self.sub(user, asset, Kind::Available, &withdrawn) {
                return Err(Rejection::BalanceNotEnough);
            }
        } else {
            if supply.plus(&change) >= Number::new(CEILING, 0) {
                return Err(Rejection::InvalidArgument);
            }
            self.add(user, asset, Kind::Available, &change);
        }
        let supply = &mut self.supply[usize::from(asset.0)];
        *supply = supply.plus(&change);
        self.updates.insert(key, now);
        self.balance_events += 1;
        let scale = self.save_scale(asset);
        Ok(vec![Event::BalanceUpdated(Box::new(BalanceUpdated {
            number: self.balance_events,
            time: now,
            user,
            asset,
            reason: update.reason.clone(),
            reason_id,
            change: update.change,
            total: self.total(user, asset),
            available: self.get(user, asset, Kind::Available).units(scale),
            detail: update.detail.clone(),
        }))])
    }

    fn put_limit(&mut self, now: Time, place: &PlaceLimit) -> Result<Vec<Event>, Rejection> {
        let market = self
            .config
            .markets
            .get(usize::from(place.market.0))
            .ok_or(Rejection::InvalidArgument)?;
        if self.markets[usize::from(place.market.0)].is_halted {
            return Err(Rejection::MarketHalted);
        }
        let amount = Number::new(place.amount, market.base_scale);
        let price = Number::new(place.price, market.quote_scale);
        let min_amount = Number::new(market.min_amount.coefficient, market.min_amount.scale);
        if price.times(&amount) >= Number::new(CEILING, 0) {
            return Err(Rejection::InvalidArgument);
        }
        let (asset, needed) = match place.side {
            Side::Ask => (market.base, amount.clone()),
            Side::Bid => (market.quote, amount.times(&price)),
        };
        if self.get(place.user, asset, Kind::Available) < needed {
            return Err(Rejection::BalanceNotEnough);
        }
        if amount < min_amount {
            return Err(Rejection::AmountTooSmall);
        }
        let rate = |units: u64| Number::new(i128::from(units), market.fee_scale);
        let mut taker = NaiveOrder {
            id: 0,
            user: place.user,
            market: place.market,
            kind: OrderKind::Limit,
            side: place.side,
            source: place.source,
            created: now,
            updated: now,
            taker_fee: rate(place.taker_fee_rate),
            maker_fee: rate(place.maker_fee_rate),
            left: amount.clone(),
            price,
            amount,
            frozen: Number::zero(),
            deal_stock: Number::zero(),
            deal_money: Number::zero(),
            deal_fee: Number::zero(),
        };
        self.order_count += 1;
        taker.id = self.order_count;

        let mut events = Vec::new();
        while taker.left.is_positive()
            && let Some(maker) = self.opposite(&taker).first()
        {
            let is_acceptable = match taker.side {
                Side::Ask => maker.price >= taker.price,
                Side::Bid => maker.price <= taker.price,
            };
            if !is_acceptable {
                break;
            }
            let amount = taker.left.smaller(&maker.left).clone();
            self.deal(now, &mut taker, &amount, &mut events);
        }
        if taker.left.is_zero() {
            events.push(self.order_event(OrderChange::Finished, &taker, true));
        } else {
            events.push(self.order_event(OrderChange::Placed, &taker, false));
            self.rest(taker);
        }
        Ok(events)
    }

    fn put_market(&mut self, now: Time, place: &PlaceMarket) -> Result<Vec<Event>, Rejection> {
        let market = self
            .config
            .markets
            .get(usize::from(place.market.0))
            .ok_or(Rejection::InvalidArgument)?;
        if self.markets[usize::from(place.market.0)].is_halted {
            return Err(Rejection::MarketHalted);
        }
        let (base_scale, fee_scale) = (market.base_scale, market.fee_scale);
        let amount = Number::new(place.amount, base_scale);
        let min_amount = Number::new(market.min_amount.coefficient, market.min_amount.scale);
        let asset = match place.side {
            Side::Ask => market.base,
            Side::Bid => market.quote,
        };
        if self.get(place.user, asset, Kind::Available) < amount {
            return Err(Rejection::BalanceNotEnough);
        }
        let market = &self.markets[usize::from(place.market.0)];
        let best = match place.side {
            Side::Ask => market.bids.first(),
            Side::Bid => market.asks.first(),
        };
        let best = best.ok_or(Rejection::NoEnoughTrader)?;
        let least = match place.side {
            Side::Ask => min_amount,
            Side::Bid => best.price.times(&min_amount),
        };
        if amount < least {
            return Err(Rejection::AmountTooSmall);
        }
        self.order_count += 1;
        let mut taker = NaiveOrder {
            id: self.order_count,
            user: place.user,
            market: place.market,
            kind: OrderKind::Market,
            side: place.side,
            source: place.source,
            created: now,
            updated: now,
            price: Number::zero(),
            taker_fee: Number::new(i128::from(place.taker_fee_rate), fee_scale),
            maker_fee: Number::zero(),
            left: amount.clone(),
            amount,
            frozen: Number::zero(),
            deal_stock: Number::zero(),
            deal_money: Number::zero(),
            deal_fee: Number::zero(),
        };

        let mut events = Vec::new();
        while taker.left.is_positive()
            && let Some(maker) = self.opposite(&taker).first()
        {
            let amount = match taker.side {
                Side::Ask => taker.left.smaller(&maker.left).clone(),
                Side::Bid => {
                    let affordable = taker.left.divided_by(&maker.price).rescaled(base_scale);
                    affordable.smaller(&maker.left).clone()
                }
            };
            if amount.is_zero() {
                break;
            }
            self.deal(now, &mut taker, &amount, &mut events);
        }
        events.push(self.order_event(OrderChange::Finished, &taker, true));
        Ok(events)
    }

    fn cancel(&mut self, cancel: &CancelOrder) -> Result<Vec<Event>, Rejection> {
        let market =
            self.markets.get(usize::from(cancel.market.0)).ok_or(Rejection::InvalidArgument)?;
        let found = market.asks.iter().chain(&market.bids).find(|order| order.id == cancel.order.0);
        let order = found.ok_or(Rejection::OrderNotFound)?.clone();
        if order.user != cancel.user {
            return Err(Rejection::UserNotMatch);
        }
        let is_recorded = order.deal_stock.is_positive();
        let event = self.order_event(OrderChange::Finished, &order, is_recorded);
        self.leave(&order);
        Ok(vec![event])
    }

    // Our own kinds. A number here has no decimals that it would have to be given: a setting is a setting.

    fn change(&mut self, change: &Change) -> Result<(), Rejection> {
        let mut next = self.config.clone();
        match change {
            Change::Halt(market) => return self.set_trading(*market, true),
            Change::Resume(market) => return self.set_trading(*market, false),
            Change::AddAsset(asset) => {
                if next.assets.iter().any(|other| other.name == asset.name) {
                    return Err(Rejection::NameTaken);
                }
                next.assets.push(asset.clone());
            }
            Change::AddMarket(market) => {
                if next.markets.iter().any(|other| other.name == market.name) {
                    return Err(Rejection::NameTaken);
                }
                if [market.base, market.quote].iter().any(|id| id.0 as usize >= next.assets.len()) {
                    return Err(Rejection::InvalidArgument);
                }
                next.markets.push(market.clone());
            }
            Change::SetAsset(id, settings) => {
                let asset = next.assets.get_mut(usize::from(id.0));
                let asset = asset.ok_or(Rejection::InvalidArgument)?;
                let AssetSettings { save_scale, show_scale } = *settings;
                if save_scale == asset.save_scale && show_scale == asset.show_scale {
                    return Err(Rejection::Unchanged);
                }
                if save_scale < asset.save_scale || show_scale < asset.show_scale {
                    return Err(Rejection::NotPossible);
                }
                (asset.save_scale, asset.show_scale) = (save_scale, show_scale);
            }
            Change::SetMarket(id, settings) => {
                let market = next.markets.get_mut(usize::from(id.0));
                let market = market.ok_or(Rejection::InvalidArgument)?;
                let MarketSettings { base_scale, quote_scale, fee_scale, min_amount } = *settings;
                let before = market.clone();
                (market.base_scale, market.quote_scale) = (base_scale, quote_scale);
                (market.fee_scale, market.min_amount) = (fee_scale, min_amount);
                if *market == before {
                    return Err(Rejection::Unchanged);
                }
                if base_scale < before.base_scale
                    || quote_scale < before.quote_scale
                    || fee_scale < before.fee_scale
                {
                    return Err(Rejection::NotPossible);
                }
            }
        }
        let next = next.validate().map_err(|_| Rejection::NotPossible)?;
        if let Change::SetMarket(id, _) = change {
            let config = &next.markets[usize::from(id.0)];
            let market = &self.markets[usize::from(id.0)];
            let fits = |order: &NaiveOrder| {
                let most = |scale: u8| Number::new(10i128.pow(34), scale);
                let turnover_scale = config.base_scale + config.quote_scale;
                order.price < most(config.quote_scale)
                    && order.amount < most(config.base_scale)
                    && order.deal_money < Number::new(i128::MAX / 2, turnover_scale)
            };
            if !market.asks.iter().chain(&market.bids).all(fits) {
                return Err(Rejection::NotPossible);
            }
            // Fees show how many decimals their factors had.
            let market = &mut self.markets[usize::from(id.0)];
            for order in market.asks.iter_mut().chain(&mut market.bids) {
                order.price = order.price.rescaled(config.quote_scale);
                for amount in [&mut order.amount, &mut order.left, &mut order.deal_stock] {
                    *amount = amount.rescaled(config.base_scale);
                }
                for rate in [&mut order.taker_fee, &mut order.maker_fee] {
                    *rate = rate.rescaled(config.fee_scale);
                }
                let turnover_scale = config.base_scale + config.quote_scale;
                order.deal_money = order.deal_money.rescaled(turnover_scale);
            }
        }
        self.supply.resize_with(next.assets.len(), Number::zero);
        self.fees.resize_with(next.assets.len(), Number::zero);
        self.markets.resize_with(next.markets.len(), Market::default);
        self.config = next;
        Ok(())
    }

    fn set_trading(&mut self, market: MarketId, is_halt: bool) -> Result<(), Rejection> {
        let market = self.markets.get_mut(usize::from(market.0));
        let market = market.ok_or(Rejection::InvalidArgument)?;
        if market.is_halted == is_halt {
            return Err(Rejection::Unchanged);
        }
        market.is_halted = is_halt;
        Ok(())
    }

    // Matching, section 5.

    /// The orders that `taker` can meet, best first.
    fn opposite(&self, taker: &NaiveOrder) -> &Vec<NaiveOrder> {
        let market = &self.markets[usize::from(taker.market.0)];
        match taker.side {
            Side::Ask => &market.bids,
            Side::Bid => &market.asks,
        }
    }

    /// One deal of `amount` between `taker` and the best order of the other side, section 5.4.
    fn deal(
        &mut self,
        now: Time,
        taker: &mut NaiveOrder,
        amount: &Number,
        events: &mut Vec<Event>,
    ) {
        let mut maker = self.opposite(taker)[0].clone();
        let price = maker.price.clone();
        let deal = price.times(amount);
        self.deal_count += 1;
        let id = DealId(self.deal_count);

        let fee = |order: &NaiveOrder, rate: &Number| match order.side {
            Side::Ask => deal.times(rate),
            Side::Bid => amount.times(rate),
        };
        let taker_fee = fee(taker, &taker.taker_fee);
        let maker_fee = fee(&maker, &maker.maker_fee);
        for (order, fee) in [(&mut *taker, &taker_fee), (&mut maker, &maker_fee)] {
            let is_paid_in_money = order.kind == OrderKind::Market && order.side == Side::Bid;
            order.left = order.left.minus(if is_paid_in_money { &deal } else { amount });
            order.deal_stock = order.deal_stock.plus(amount);
            order.deal_money = order.deal_money.plus(&deal);
            order.deal_fee = order.deal_fee.plus(fee).significant();
            order.updated = now;
        }
        maker.frozen = maker.frozen.minus(match maker.side {
            Side::Ask => amount,
            Side::Bid => &deal,
        });

        let rate = taker.taker_fee.clone();
        let taker_side = self.exchange(taker, Kind::Available, amount, &deal, &rate, &taker_fee);
        let rate = maker.maker_fee.clone();
        let maker_side = self.exchange(&maker, Kind::Frozen, amount, &deal, &rate, &maker_fee);
        let (ask, bid) = match taker.side {
            Side::Ask => (taker_side, maker_side),
            Side::Bid => (maker_side, taker_side),
        };
        let config = &self.config.markets[usize::from(taker.market.0)];
        events.push(Event::Deal(Deal {
            id,
            time: now,
            market: taker.market,
            taker: taker.side,
            price: price.units(config.quote_scale),
            amount: amount.units(config.base_scale),
            turnover: deal.units(config.base_scale + config.quote_scale),
            ask,
            bid,
        }));

        if maker.left.is_zero() {
            events.push(self.order_event(OrderChange::Finished, &maker, true));
            self.leave(&maker);
        } else {
            events.push(self.order_event(OrderChange::Updated, &maker, false));
            let market = &mut self.markets[usize::from(maker.market.0)];
            let side = match maker.side {
                Side::Ask => &mut market.asks,
                Side::Bid => &mut market.bids,
            };
            side[0] = maker;
        }
    }

    /// What one owner gives, receives and pays in a deal.
    fn exchange(
        &mut self,
        order: &NaiveOrder,
        given_from: Kind,
        amount: &Number,
        deal: &Number,
        rate: &Number,
        fee: &Number,
    ) -> DealSide {
        let config = &self.config.markets[usize::from(order.market.0)];
        let fee_scale = config.fee_scale;
        let (given, given_amount, received, received_amount) = match order.side {
            Side::Ask => (config.base, amount, config.quote, deal),
            Side::Bid => (config.quote, deal, config.base, amount),
        };
        assert!(self.sub(order.user, given, given_from, given_amount), "the funds were checked");
        let total_given = self.total(order.user, given);
        self.add(order.user, received, Kind::Available, received_amount);
        let total_received = self.total(order.user, received);
        if fee.is_positive() {
            let before = self.get(order.user, received, Kind::Available);
            assert!(self.sub(order.user, received, Kind::Available, fee), "a rate is below one");
            let lost = before.minus(&self.get(order.user, received, Kind::Available));
            let fees = &mut self.fees[usize::from(received.0)];
            *fees = fees.plus(&lost);
        }
        let (coefficient, scale) = fee.parts();
        DealSide {
            order: OrderId(order.id),
            user: order.user,
            fee_rate: u64::try_from(rate.units(fee_scale)).expect("a rate is small"),
            fee: Decimal { coefficient, scale },
            total_given,
            total_received,
            total_after_fee: self.total(order.user, received),
        }
    }

    /// Enters the book behind every order that is as good or better, and freezes what it may give.
    fn rest(&mut self, mut order: NaiveOrder) {
        let config = &self.config.markets[usize::from(order.market.0)];
        let (asset, frozen) = match order.side {
            Side::Ask => (config.base, order.left.clone()),
            Side::Bid => (config.quote, order.price.times(&order.left)),
        };
        order.frozen = frozen.clone();
        assert!(self.sub(order.user, asset, Kind::Available, &frozen), "the funds were checked");
        self.add(order.user, asset, Kind::Frozen, &frozen);
        let market = &mut self.markets[usize::from(order.market.0)];
        match order.side {
            Side::Ask => {
                let place = market.asks.iter().take_while(|other| other.price <= order.price);
                market.asks.insert(place.count(), order);
            }
            Side::Bid => {
                let place = market.bids.iter().take_while(|other| other.price >= order.price);
                market.bids.insert(place.count(), order);
            }
        }
    }

    /// Leaves the book and gets back what is still frozen.
    fn leave(&mut self, order: &NaiveOrder) {
        let config = &self.config.markets[usize::from(order.market.0)];
        let asset = match order.side {
            Side::Ask => config.base,
            Side::Bid => config.quote,
        };
        let market = &mut self.markets[usize::from(order.market.0)];
        market.asks.retain(|other| other.id != order.id);
        market.bids.retain(|other| other.id != order.id);
        if order.frozen.is_positive() {
            assert!(self.sub(order.user, asset, Kind::Frozen, &order.frozen), "it was frozen");
            self.add(order.user, asset, Kind::Available, &order.frozen);
        }
    }

    // Balances, section 1.4. The original cuts each sum to 34 digits; ours keeps all of them. The two differ
    // only in the middle of a deal with oneself, where what is received already counts and what is given
    // still does: with 20 decimals and nearly the whole supply the original would lose the last digits.

    fn get(&self, user: UserId, asset: AssetId, kind: Kind) -> Number {
        self.balances.get(&(user, asset, kind)).cloned().unwrap_or_else(Number::zero)
    }

    fn add(&mut self, user: UserId, asset: AssetId, kind: Kind, amount: &Number) {
        let scale = self.save_scale(asset);
        match self.balances.get_mut(&(user, asset, kind)) {
            Some(balance) => *balance = balance.plus(amount).rescaled(scale),
            None if amount.is_zero() => {}
            None => {
                self.balances.insert((user, asset, kind), amount.rescaled(scale));
            }
        }
    }

    /// False, and nothing changes, when there is less than `amount`.
    fn sub(&mut self, user: UserId, asset: AssetId, kind: Kind, amount: &Number) -> bool {
        let scale = self.save_scale(asset);
        let Some(balance) = self.balances.get_mut(&(user, asset, kind)) else { return false };
        if *balance < *amount {
            return false;
        }
        let rest = balance.minus(amount);
        if rest.is_zero() {
            self.balances.remove(&(user, asset, kind));
        } else {
            *balance = rest.rescaled(scale);
        }
        true
    }

    fn total(&self, user: UserId, asset: AssetId) -> i128 {
        let available = self.get(user, asset, Kind::Available);
        available.plus(&self.get(user, asset, Kind::Frozen)).units(self.save_scale(asset))
    }

    fn save_scale(&self, asset: AssetId) -> u8 {
        self.config.assets[usize::from(asset.0)].save_scale
    }

    // The engine's words.

    fn order_event(&mut self, change: OrderChange, order: &NaiveOrder, is_recorded: bool) -> Event {
        self.order_events += 1;
        let (number, order) = (self.order_events, self.shown(order));
        Event::Order(OrderEvent { number, change, order, is_recorded })
    }

    fn shown(&self, order: &NaiveOrder) -> Order {
        let config = &self.config.markets[usize::from(order.market.0)];
        let turnover_scale = config.base_scale + config.quote_scale;
        let is_paid_in_money = order.kind == OrderKind::Market && order.side == Side::Bid;
        let left_scale = if is_paid_in_money { turnover_scale } else { config.base_scale };
        let rate =
            |rate: &Number| u64::try_from(rate.units(config.fee_scale)).expect("a rate is small");
        let (coefficient, scale) = order.deal_fee.parts();
        Order {
            id: OrderId(order.id),
            user: order.user,
            market: order.market,
            kind: order.kind,
            side: order.side,
            source: order.source,
            created_at: order.created,
            updated_at: order.updated,
            price: order.price.units(config.quote_scale),
            amount: order.amount.units(config.base_scale),
            remaining: order.left.units(left_scale),
            taker_fee_rate: rate(&order.taker_fee),
            maker_fee_rate: rate(&order.maker_fee),
            filled_base: order.deal_stock.units(config.base_scale),
            filled_quote: order.deal_money.units(turnover_scale),
            fee_paid: Decimal { coefficient, scale },
        }
    }

    // Queries.

    pub fn counters(&self) -> (u64, u64) {
        (self.order_count, self.deal_count)
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn is_halted(&self, market: MarketId) -> bool {
        self.markets[usize::from(market.0)].is_halted
    }

    pub fn balances(&self) -> Vec<(UserId, AssetId, Balance)> {
        let mut rows: BTreeMap<(UserId, AssetId), Balance> = BTreeMap::new();
        for (&(user, asset, kind), number) in &self.balances {
            let row = rows.entry((user, asset)).or_default();
            let units = Some(number.units(self.save_scale(asset)));
            match kind {
                Kind::Available => row.available = units,
                Kind::Frozen => row.frozen = units,
            }
        }
        rows.into_iter().map(|((user, asset), balance)| (user, asset, balance)).collect()
    }

    pub fn asset_totals(&self, asset: AssetId) -> AssetTotals {
        let scale = self.save_scale(asset);
        let sum = |kind: Kind| {
            let of_kind = self.balances.iter().filter(|(key, _)| (key.1, key.2) == (asset, kind));
            of_kind
                .fold((0, 0), |(sum, count), (_, balance)| (sum + balance.units(scale), count + 1))
        };
        let ((available, available_count), (frozen, frozen_count)) =
            (sum(Kind::Available), sum(Kind::Frozen));
        AssetTotals {
            available,
            available_count,
            frozen,
            frozen_count,
            fees_collected: self.fees[usize::from(asset.0)].units(scale),
            supply: self.supply[usize::from(asset.0)].units(scale),
        }
    }

    pub fn market_summary(&self, market: MarketId) -> MarketSummary {
        let sum = |side| {
            self.book(market, side)
                .iter()
                .fold((0, 0), |(count, sum), order| (count + 1, sum + order.remaining))
        };
        let ((ask_count, ask_amount), (bid_count, bid_amount)) = (sum(Side::Ask), sum(Side::Bid));
        MarketSummary { ask_count, ask_amount, bid_count, bid_amount }
    }

    pub fn book(&self, market: MarketId, side: Side) -> Vec<Order> {
        let market = &self.markets[usize::from(market.0)];
        let orders = match side {
            Side::Ask => &market.asks,
            Side::Bid => &market.bids,
        };
        orders.iter().map(|order| self.shown(order)).collect()
    }

    pub fn open_orders(&self, user: UserId, market: MarketId) -> Vec<Order> {
        let both = [Side::Ask, Side::Bid].into_iter().flat_map(|side| self.book(market, side));
        let mut own: Vec<Order> = both.filter(|order| order.user == user).collect();
        own.sort_by_key(|order| std::cmp::Reverse(order.id));
        own
    }

    /// Levels as 206 tells them: a level takes all following orders up to its rounded price.
    pub fn depth(&self, market: MarketId, limit: usize, interval: i128) -> Depth {
        let levels = |side: Side| {
            let mut levels: Vec<(i128, i128)> = Vec::new();
            for order in self.book(market, side) {
                let belongs = levels.last().is_some_and(|level| match side {
                    Side::Ask => order.price <= level.0,
                    Side::Bid => order.price >= level.0,
                });
                if belongs {
                    levels.last_mut().expect("a level").1 += order.remaining;
                    continue;
                }
                if levels.len() == limit {
                    break;
                }
                let price = if interval == 0 {
                    order.price
                } else {
                    let below = order.price / interval * interval;
                    let is_multiple = below == order.price;
                    if side == Side::Bid || is_multiple { below } else { below + interval }
                };
                levels.push((price, order.remaining));
            }
            levels
        };
        Depth { asks: levels(Side::Ask), bids: levels(Side::Bid) }
    }
}
