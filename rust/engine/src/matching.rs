//! Deals: a taker against the opposite side of a book, best first, and what each deal does to both orders,
//! both owners' balances and the digest.

use crate::book::Handle;
use crate::command::Stamp;
use crate::decimal::{Decimal, times};
use crate::event::{Deal, DealSide, Event, Events, OrderChange};
use crate::exchange::{Counters, Exchange, append, hint_of_given};
use crate::ids::{AssetId, DealId};
use crate::ledger::Ledger;
use crate::market::Market;
use crate::open::{Hints, OpenOrders};
use crate::order::{Order, OrderKind, Side};
use crate::resting::{number, order_of};

impl Exchange {
    /// Deals the taker against the opposite side, best first, while both want to.
    pub(crate) fn match_against_book(
        &mut self,
        stamp: Stamp,
        taker: &mut Order,
        hints: &mut Hints,
        events: &mut Events,
    ) {
        let mut matching = Matching {
            stamp,
            market: &mut self.markets[usize::from(taker.market.0)],
            ledger: &mut self.ledger,
            open: &mut self.open,
            counters: &mut self.counters,
            orders_digest: &mut self.orders_digest,
        };
        while taker.remaining > 0
            && let Some(handle) = matching.market.book.best(taker.side.opposite())
        {
            let maker = matching.market.book.get(handle);
            let amount = match (taker.kind, taker.side) {
                (OrderKind::Limit, Side::Ask) if maker.price < taker.price => break,
                (OrderKind::Limit, Side::Bid) if maker.price > taker.price => break,
                (OrderKind::Market, Side::Bid) => {
                    (taker.remaining / maker.price).min(maker.remaining)
                }
                _ => taker.remaining.min(maker.remaining),
            };
            if amount == 0 {
                break;
            }
            matching.settle(taker, hints, handle, amount, events);
        }
    }
}

/// What deals between one taker and a book change.
struct Matching<'exchange> {
    stamp: Stamp,
    market: &'exchange mut Market,
    ledger: &'exchange mut Ledger,
    open: &'exchange mut OpenOrders,
    counters: &'exchange mut Counters,
    orders_digest: &'exchange mut u64,
}

impl Matching<'_> {
    /// One deal of `amount` at the maker's price: both orders, both owners' balances, and what is told of
    /// them.
    fn settle(
        &mut self,
        taker: &mut Order,
        taker_hints: &mut Hints,
        handle: Handle,
        amount: i128,
        events: &mut Events,
    ) {
        let Matching { stamp, market, ledger, open, counters, orders_digest } = self;
        let id = DealId(counters.last_deal + 1);
        counters.last_deal = id.0;
        let Market { book, config, quote_factor, base_factor, .. } = &mut **market;
        let resting = book.get(handle);
        let owner = resting.payload.owner;
        let mut maker_hints = open.at(owner).hints;
        let mut maker = order_of(taker.market, &resting);
        let price = maker.price;
        let turnover = times(price, amount);
        let turnover_scale = config.base_scale + config.quote_scale;
        let fee_of = |order: &Order, rate: u64| match order.side {
            Side::Ask => {
                Decimal::product(turnover, i128::from(rate), turnover_scale + config.fee_scale)
            }
            Side::Bid => {
                Decimal::product(amount, i128::from(rate), config.base_scale + config.fee_scale)
            }
        };
        let taker_fee = fee_of(taker, taker.taker_fee_rate);
        let maker_fee = fee_of(&maker, maker.maker_fee_rate);
        **orders_digest = orders_digest.wrapping_sub(number(&maker));
        for (order, fee) in [(&mut *taker, taker_fee), (&mut maker, maker_fee)] {
            let is_quote_sized = order.kind == OrderKind::Market && order.side == Side::Bid;
            order.remaining -= if is_quote_sized { turnover } else { amount };
            order.filled_base += amount;
            order.filled_quote += turnover;
            order.fee_paid = order.fee_paid.plus(fee);
            order.updated_at = stamp.time;
        }

        let exchanged = Exchanged {
            base: config.base,
            quote: config.quote,
            base_units: times(amount, *base_factor),
            quote_units: times(turnover, *quote_factor),
        };
        let taker_side = exchanged.step(ledger, taker, taker_fee, taker_hints, Role::Taker);
        let maker_side = exchanged.step(ledger, &maker, maker_fee, &mut maker_hints, Role::Maker);
        ledger.check(exchanged.base);
        ledger.check(exchanged.quote);
        if maker.remaining == 0 {
            open.unlink(book, handle);
            book.remove(handle);
        } else {
            open.set_hints(owner, maker_hints);
            book.reduce(handle, amount);
            book.payload_mut(handle).update(&maker);
            **orders_digest = orders_digest.wrapping_add(number(&maker));
        }
        let (ask, bid) = match taker.side {
            Side::Ask => (taker_side, maker_side),
            Side::Bid => (maker_side, taker_side),
        };
        let (time, market, taker) = (stamp.time, taker.market, taker.side);
        append(events, || {
            Event::Deal(Deal { id, time, market, taker, price, amount, turnover, ask, bid })
        });
        if maker.remaining == 0 {
            counters.tell(OrderChange::Finished, &maker, true, events);
        } else {
            counters.tell(OrderChange::Updated, &maker, false, events);
        }
    }
}

/// Who waited and who came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Maker,
    Taker,
}

/// What changes hands in one deal, in units of the assets.
struct Exchanged {
    base: AssetId,
    quote: AssetId,
    base_units: i128,
    quote_units: i128,
}

impl Exchanged {
    /// One owner gives, receives and pays the fee.
    #[inline]
    fn step(
        &self,
        ledger: &mut Ledger,
        order: &Order,
        fee: Decimal,
        hints: &mut Hints,
        role: Role,
    ) -> DealSide {
        let (given, given_units, received, received_units) = match order.side {
            Side::Ask => (self.base, self.base_units, self.quote, self.quote_units),
            Side::Bid => (self.quote, self.quote_units, self.base, self.base_units),
        };
        let user = order.user;
        let account = ledger.find_at(hints[hint_of_given(order.side)], user, given);
        let account = account.expect("the funds were checked or frozen");
        let (fee_rate, total_given) = match role {
            Role::Maker => (order.maker_fee_rate, ledger.spend_frozen(account, given_units)),
            Role::Taker => (order.taker_fee_rate, ledger.spend(account, given_units)),
        };
        let hint = &mut hints[hint_of_given(order.side.opposite())];
        let (total_received, total_after_fee) =
            ledger.receive(hint, user, received, received_units, fee);
        DealSide {
            order: order.id,
            user,
            fee_rate,
            fee,
            total_given,
            total_received,
            total_after_fee,
        }
    }
}
