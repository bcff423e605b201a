//! Orders that take effect once, the plain way: a map from names to what they led to.

use viabtc_engine::{
    Decimal, Event, Order, OrderId, OrderKind, PlaceOnce, Rejection, Side, Source, Time, UserId,
};

use super::{Asked, NAME_WINDOW, Naive, Named, Number};

impl Naive {
    pub(super) fn put_once(
        &mut self,
        now: Time,
        place: &PlaceOnce,
    ) -> Result<Vec<Event>, Rejection> {
        let name = name(place);
        if self.names.get(&name).is_some_and(|named| now.0 - named.time.0 <= NAME_WINDOW) {
            return Err(Rejection::RepeatOrder);
        }
        let events = match place {
            PlaceOnce::Limit(order) => self.put_limit(now, order)?,
            PlaceOnce::Market(order) => self.put_market(now, order)?,
        };
        let Some(Event::Order(event)) = events.last() else { panic!("the order comes last") };
        let asked = self.asked(place).expect("it was placed in a market");
        let scales = self.scales(place).expect("it was placed in a market");
        self.names.insert(name, Named { time: now, asked, order: event.order, scales });
        Ok(events)
    }

    /// As the engine's own.
    pub fn placed_once(&self, now: Time, place: &PlaceOnce) -> Option<Result<Order, OrderId>> {
        let named = self.names.get(&name(place))?;
        if now.0 - named.time.0 > NAME_WINDOW {
            return None;
        }
        if self.asked(place).is_none_or(|asked| asked != named.asked) {
            return Some(Err(named.order.id));
        }
        let [base, quote, rate] = named.scales;
        let [base_now, quote_now, rate_now] = self.scales(place).expect("its market is there");
        let amount = |units| Number::new(units, base).units(base_now);
        let money = |units| Number::new(units, base + quote).units(base_now + quote_now);
        let rates = |units: u64| {
            u64::try_from(Number::new(i128::from(units), rate).units(rate_now)).expect("small")
        };
        let order = named.order;
        let is_paid_in_money = order.kind == OrderKind::Market && order.side == Side::Bid;
        let (coefficient, scale) = (order.fee_paid.coefficient, order.fee_paid.scale);
        Some(Ok(Order {
            price: Number::new(order.price, quote).units(quote_now),
            amount: amount(order.amount),
            remaining: if is_paid_in_money {
                money(order.remaining)
            } else {
                amount(order.remaining)
            },
            taker_fee_rate: rates(order.taker_fee_rate),
            maker_fee_rate: rates(order.maker_fee_rate),
            filled_base: amount(order.filled_base),
            filled_quote: money(order.filled_quote),
            fee_paid: Decimal { coefficient, scale },
            ..order
        }))
    }

    fn asked(&self, place: &PlaceOnce) -> Option<Asked> {
        let [base, quote, _] = self.scales(place)?;
        let price = |units| Number::new(units, quote);
        Some(match place {
            PlaceOnce::Limit(it) => {
                let amount = Number::new(it.amount, base);
                (it.market, OrderKind::Limit, it.side, amount, price(it.price))
            }
            PlaceOnce::Market(it) => {
                let amount = Number::new(it.amount, base);
                (it.market, OrderKind::Market, it.side, amount, price(0))
            }
        })
    }

    fn scales(&self, place: &PlaceOnce) -> Option<[u8; 3]> {
        let market = self.config.markets.get(usize::from(place.owner().1.0))?;
        Some([market.base_scale, market.quote_scale, market.fee_scale])
    }
}

fn name(place: &PlaceOnce) -> (UserId, String) {
    let text = |source: &Source| source.as_str().expect("a name is a text").to_owned();
    match place {
        PlaceOnce::Limit(order) => (order.user, text(&order.source)),
        PlaceOnce::Market(order) => (order.user, text(&order.source)),
    }
}
