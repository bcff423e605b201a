//! The state machine: `apply(stamp, command, events)`. Decide first, reading only; then do, and nothing
//! below that line can be refused.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::book::Handle;
use crate::command::{CancelOrder, Command, PlaceLimit, PlaceMarket, Stamp, UpdateBalance};
use crate::config::{Config, SUPPLY_DIGITS_MAX};
use crate::decimal::{Decimal, power_of_ten};
use crate::digest::mix;
use crate::event::{BalanceUpdated, Event, Events, OrderChange, OrderEvent};
use crate::ids::{MarketId, OrderId, Time, UserId};
use crate::ledger::{Hint, Ledger};
use crate::market::Market;
use crate::once::{Names, WINDOW};
use crate::open::{Hints, OpenOrders};
use crate::order::{Order, OrderKind, Side};
use crate::rejection::Rejection;
use crate::resting::{Kept, number, order_of};
use crate::updates::{UpdateKey, Updates};

/// The whole state.
#[derive(Clone, Debug)]
pub struct Exchange {
    config: Config,
    pub(crate) markets: Vec<Market>,
    pub(crate) ledger: Ledger,
    pub(crate) updates: Updates,
    /// Orders that take effect once.
    pub(crate) names: Names,
    pub(crate) open: OpenOrders,
    pub(crate) counters: Counters,
    /// Sum of the numbers of all resting orders.
    pub(crate) orders_digest: u64,
    /// Sequence of the last command of our own kinds; 0 without one.
    pub(crate) changed_at: u64,
    /// The number of what such commands changed.
    pub(crate) changes_digest: u64,
}

/// Positions that only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sequence: u64,
    pub(crate) time: Time,
    pub(crate) last_order: u64,
    pub(crate) last_deal: u64,
    pub(crate) operlog_id: u64,
    /// Balance updates so far.
    pub(crate) balance_events: u64,
    /// Order events so far.
    pub(crate) order_events: u64,
}

impl Counters {
    /// All of them, in the order of the snapshot.
    pub(crate) fn words(&self) -> [u64; 7] {
        [
            self.sequence,
            self.time.0.cast_unsigned(),
            self.last_order,
            self.last_deal,
            self.operlog_id,
            self.balance_events,
            self.order_events,
        ]
    }

    /// Appends what happened to an order.
    pub(crate) fn tell(
        &mut self,
        change: OrderChange,
        order: &Order,
        is_recorded: bool,
        events: &mut Events,
    ) {
        self.order_events += 1;
        let number = self.order_events;
        append(events, || Event::Order(OrderEvent { number, change, order: *order, is_recorded }));
    }
}

impl Exchange {
    /// An exchange without balances or orders.
    pub fn new(config: Config) -> Exchange {
        let ids = (0..config.markets.len()).map(|index| MarketId(index as u16));
        let markets = ids.map(|id| Market::new(id, &config)).collect();
        let ledger = Ledger::new(config.assets.iter().map(|asset| asset.save_scale).collect());
        let updates = Updates::new(config.update_window);
        Exchange {
            config,
            markets,
            ledger,
            updates,
            names: Names::new(WINDOW),
            open: OpenOrders::new(),
            counters: Counters::default(),
            orders_digest: 0,
            changed_at: 0,
            changes_digest: 0,
        }
    }

    /// Applies `command` at `stamp` and appends what happened to `events`, oldest first.
    ///
    /// # Errors
    /// After a [`Rejection`] the state is untouched and `events` has not grown.
    ///
    /// # Panics
    /// On a stamp out of order: the journal is damaged and nothing after it can be trusted.
    pub fn apply(
        &mut self,
        stamp: Stamp,
        command: &Command,
        events: &mut Events,
    ) -> Result<(), Rejection> {
        assert_eq!(
            stamp.sequence,
            self.counters.sequence + 1,
            "commands are applied once, in order"
        );
        assert!(stamp.time >= self.counters.time, "time does not run backwards");
        match command {
            Command::UpdateBalance(update) => self.update_balance(stamp, update, events)?,
            Command::PlaceLimit(order) => self.place_limit(stamp, order, events)?,
            Command::PlaceMarket(order) => self.place_market(stamp, order, events)?,
            Command::CancelOrder(cancel) => self.cancel_order(cancel, events)?,
            Command::Change(change) => self.change(stamp, change)?,
            Command::PlaceOnce(place) => self.place_once(stamp, place, events)?,
        }
        self.counters.sequence = stamp.sequence;
        self.counters.time = stamp.time;
        // An original could not replay the others.
        self.counters.operlog_id += u64::from(!matches!(command, Command::Change(_)));
        Ok(())
    }

    /// Assets and markets.
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Of the last applied command; 0 at first.
    pub fn sequence(&self) -> u64 {
        self.counters.sequence
    }

    /// Of the last applied command.
    pub fn time(&self) -> Time {
        self.counters.time
    }

    /// 0 at first.
    pub fn last_order_id(&self) -> u64 {
        self.counters.last_order
    }

    /// 0 at first.
    pub fn last_deal_id(&self) -> u64 {
        self.counters.last_deal
    }

    /// Applied commands of the original's kinds; 0 at first.
    pub fn operlog_id(&self) -> u64 {
        self.counters.operlog_id
    }

    /// Checksum of the state: balances, totals, resting orders, remembered updates and names, counters, and
    /// once a command of our own kinds was applied what it changed. Equal states of one configuration have equal
    /// digests, however they came about.
    pub fn digest(&self) -> u64 {
        self.ledger
            .digest()
            .wrapping_add(self.ledger.totals_digest())
            .wrapping_add(self.orders_digest)
            .wrapping_add(self.updates.digest())
            .wrapping_add(self.names.digest())
            .wrapping_add(self.changes_digest)
            .wrapping_add(mix(0xc0, &self.counters.words()))
    }

    fn update_balance(
        &mut self,
        stamp: Stamp,
        update: &UpdateBalance,
        events: &mut Events,
    ) -> Result<(), Rejection> {
        // Decide.
        let UpdateBalance { user, asset, reason_id, change, .. } = *update;
        let Some(config) = self.config.assets.get(usize::from(asset.0)) else {
            return Err(Rejection::InvalidArgument);
        };
        let key = UpdateKey::new(user, &config.name, &update.reason, reason_id);
        if self.updates.is_seen(key, stamp.time) {
            return Err(Rejection::RepeatUpdate);
        }
        let factor = power_of_ten(u32::from(config.save_scale - config.show_scale));
        let supply_max = power_of_ten(SUPPLY_DIGITS_MAX + u32::from(config.save_scale));
        // What does not fit is far beyond any supply, and beyond any balance when it is negative.
        let units = change.saturating_mul(factor);
        if units >= 0 {
            let supply = self.ledger.totals(asset).supply;
            if supply.saturating_add(units) >= supply_max {
                return Err(Rejection::InvalidArgument);
            }
        } else if self.ledger.available_at(self.ledger.find(user, asset)) + units < 0 {
            return Err(Rejection::BalanceNotEnough);
        }

        // Do.
        let balance = if units >= 0 {
            self.ledger.credit(user, asset, units)
        } else {
            self.ledger.debit(user, asset, -units)
        };
        self.ledger.check(asset);
        self.updates.remember(key, stamp.time, ());
        self.counters.balance_events += 1;
        events.push(Event::BalanceUpdated(Box::new(BalanceUpdated {
            number: self.counters.balance_events,
            time: stamp.time,
            user,
            asset,
            reason: update.reason.clone(),
            reason_id,
            change,
            total: balance.total(),
            available: balance.available.unwrap_or(0),
            detail: update.detail.clone(),
        })));
        Ok(())
    }

    pub(crate) fn place_limit(
        &mut self,
        stamp: Stamp,
        place: &PlaceLimit,
        events: &mut Events,
    ) -> Result<(), Rejection> {
        // Decide. Source: me_market.c tests funds before the minimum amount.
        let market =
            self.markets.get(usize::from(place.market.0)).ok_or(Rejection::InvalidArgument)?;
        if market.is_halted {
            return Err(Rejection::MarketHalted);
        }
        let required = market.units_required(place.side, place.amount, place.price)?;
        let Found { owner, mut hints } = self.found(place.user, place.market);
        let given = self.account(&mut hints, place.user, market, place.side);
        if self.ledger.available_at(given) < required {
            return Err(Rejection::BalanceNotEnough);
        }
        if place.amount < market.min_amount {
            return Err(Rejection::AmountTooSmall);
        }

        // Do.
        let mut taker = Order {
            id: self.next_order_id(),
            user: place.user,
            market: place.market,
            kind: OrderKind::Limit,
            side: place.side,
            source: place.source,
            created_at: stamp.time,
            updated_at: stamp.time,
            price: place.price,
            amount: place.amount,
            remaining: place.amount,
            taker_fee_rate: place.taker_fee_rate,
            maker_fee_rate: place.maker_fee_rate,
            filled_base: 0,
            filled_quote: 0,
            fee_paid: Decimal::ZERO,
        };
        self.match_against_book(stamp, &mut taker, &mut hints, events);
        if taker.remaining > 0 {
            self.rest(&taker, Found { owner, hints });
            self.counters.tell(OrderChange::Placed, &taker, false, events);
        } else {
            self.counters.tell(OrderChange::Finished, &taker, true, events);
        }
        Ok(())
    }

    pub(crate) fn place_market(
        &mut self,
        stamp: Stamp,
        place: &PlaceMarket,
        events: &mut Events,
    ) -> Result<(), Rejection> {
        // Decide. Source: me_market.c tests funds, then the other side, then the minimum amount.
        let market =
            self.markets.get(usize::from(place.market.0)).ok_or(Rejection::InvalidArgument)?;
        if market.is_halted {
            return Err(Rejection::MarketHalted);
        }
        let config = &market.config;
        let required = match place.side {
            Side::Ask => place.amount.saturating_mul(market.base_factor),
            Side::Bid => place
                .amount
                .saturating_mul(power_of_ten(u32::from(config.quote_scale)))
                .saturating_mul(market.quote_factor),
        };
        let Found { mut hints, .. } = self.found(place.user, place.market);
        let given = self.account(&mut hints, place.user, market, place.side);
        if self.ledger.available_at(given) < required {
            return Err(Rejection::BalanceNotEnough);
        }
        let other = place.side.opposite();
        let best_price = market.book.best_price(other).ok_or(Rejection::NoEnoughTrader)?;
        let is_too_small = match place.side {
            Side::Ask => place.amount < market.min_amount,
            Side::Bid => {
                let least = Decimal::product(
                    best_price,
                    config.min_amount.coefficient,
                    config.quote_scale + config.min_amount.scale,
                );
                let amount = Decimal { coefficient: place.amount, scale: config.base_scale };
                amount.compare(least).is_lt()
            }
        };
        if is_too_small {
            return Err(Rejection::AmountTooSmall);
        }

        // Do.
        let remaining = match place.side {
            Side::Ask => place.amount,
            Side::Bid => place.amount * power_of_ten(u32::from(config.quote_scale)),
        };
        let mut taker = Order {
            id: self.next_order_id(),
            user: place.user,
            market: place.market,
            kind: OrderKind::Market,
            side: place.side,
            source: place.source,
            created_at: stamp.time,
            updated_at: stamp.time,
            price: 0,
            amount: place.amount,
            remaining,
            taker_fee_rate: place.taker_fee_rate,
            maker_fee_rate: 0,
            filled_base: 0,
            filled_quote: 0,
            fee_paid: Decimal::ZERO,
        };
        self.match_against_book(stamp, &mut taker, &mut hints, events);
        self.counters.tell(OrderChange::Finished, &taker, true, events);
        Ok(())
    }

    fn cancel_order(&mut self, cancel: &CancelOrder, events: &mut Events) -> Result<(), Rejection> {
        // Decide.
        let market =
            self.markets.get(usize::from(cancel.market.0)).ok_or(Rejection::InvalidArgument)?;
        let handle = market.book.find(cancel.order.0).ok_or(Rejection::OrderNotFound)?;
        let resting = market.book.get(handle);
        if resting.payload.user != cancel.user {
            return Err(Rejection::UserNotMatch);
        }

        // Do.
        let order = order_of(market.id, &resting);
        let hint = self.open.at(resting.payload.owner).hints[hint_of_given(order.side)];
        let (given, units) = (market.given(order.side), market.units_frozen(&order));
        let account = self.ledger.find_at(hint, order.user, given);
        self.ledger.unfreeze(account.expect("what an order froze exists"), units);
        let book = &mut self.markets[usize::from(cancel.market.0)].book;
        self.open.unlink(book, handle);
        book.remove(handle);
        self.orders_digest = self.orders_digest.wrapping_sub(number(&order));
        let is_recorded = order.filled_base > 0;
        self.counters.tell(OrderChange::Finished, &order, is_recorded, events);
        Ok(())
    }

    fn rest(&mut self, order: &Order, Found { owner, hints }: Found) {
        let market = &self.markets[usize::from(order.market.0)];
        let (given, units) = (market.given(order.side), market.units_frozen(order));
        let best = market.book.best_price(order.side.opposite());
        let is_crossed = best.is_some_and(|price| match order.side {
            Side::Ask => price >= order.price,
            Side::Bid => price <= order.price,
        });
        assert!(!is_crossed, "a book is not crossed");
        let account = self.ledger.find_at(hints[hint_of_given(order.side)], order.user, given);
        self.ledger.freeze(account.expect("the caller checked the funds"), units);
        let handle = self.insert(order);
        let book = &mut self.markets[usize::from(order.market.0)].book;
        let owner = self.open.link_found(book, order.market, handle, owner);
        self.open.set_hints(owner, hints);
    }

    /// Puts an order whose funds are frozen into the book, not yet among its owner's.
    pub(crate) fn insert(&mut self, order: &Order) -> Handle {
        self.orders_digest = self.orders_digest.wrapping_add(number(order));
        let book = &mut self.markets[usize::from(order.market.0)].book;
        book.insert(order.id.0, order.side, order.price, order.remaining, Kept::new(order))
    }

    /// What is known of `user` in `market`.
    #[inline]
    fn found(&self, user: UserId, market: MarketId) -> Found {
        match self.open.find(user, market) {
            Some((place, owner)) => Found { owner: Some(place), hints: owner.hints },
            None => Found { owner: None, hints: [Hint::NONE; 2] },
        }
    }

    /// The account that an order of `side` gives from.
    #[inline]
    fn account(
        &self,
        hints: &mut Hints,
        user: UserId,
        market: &Market,
        side: Side,
    ) -> Option<Hint> {
        let hint = &mut hints[hint_of_given(side)];
        let found = self.ledger.find_at(*hint, user, market.given(side));
        *hint = found.unwrap_or(Hint::NONE);
        found
    }

    fn next_order_id(&mut self) -> OrderId {
        self.counters.last_order += 1;
        OrderId(self.counters.last_order)
    }
}

/// What is known of who places an order in a market.
struct Found {
    /// Place of the owner's record, if there are open orders.
    owner: Option<u32>,
    /// Where the accounts stood when the last order was placed.
    hints: Hints,
}

/// Appends an event that is made where it stays: pushing it would make it elsewhere and copy it.
#[inline]
pub(crate) fn append(events: &mut Events, event: impl FnOnce() -> Event) {
    events.extend(core::iter::once_with(event));
}

/// Which of [`Hints`] is of the account that an order of `side` gives from; the other one receives.
pub(crate) const fn hint_of_given(side: Side) -> usize {
    match side {
        Side::Ask => 0,
        Side::Bid => 1,
    }
}
