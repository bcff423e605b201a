//! Orders that take effect once: their owners name them, by their source.
//!
//! While a name is remembered, the same order under it is told how the first one stood when it was placed,
//! and another one is refused, so that whoever does not know whether an order arrived sends it again. An order
//! that was refused leaves no name behind.

use crate::command::{PlaceLimit, PlaceMarket, PlaceOnce, Stamp};
use crate::config::{FEE_SCALE_MAX, MarketConfig, SAVE_SCALE_MAX};
use crate::decimal::{DIGITS_MAX, Decimal, power_of_ten};
use crate::digest::{halves, mix, mix_bytes};
use crate::event::{Event, Events};
use crate::exchange::Exchange;
use crate::ids::{MarketId, OrderId, Time, UserId};
use crate::order::{Order, OrderKind, Side, Source};
use crate::rejection::Rejection;
use crate::updates::{Remembered, UpdateKey, Updates};

/// How long a name is remembered, in microseconds of logged time: a day.
pub const WINDOW: i64 = 24 * 3_600 * 1_000_000;

/// Most names that are remembered at a time: at 139 to 148 bytes each, at most 2.5 GB.
pub const NAMES_MAX: usize = 1 << 24;

/// The names of a time, with what they led to.
pub(crate) type Names = Updates<Placed>;

/// How an order stood when it was placed, beside what the same order says again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    /// Of everything that makes it the same order.
    pub(crate) body: u64,
    pub(crate) order: OrderId,
    pub(crate) taker_fee_rate: u64,
    pub(crate) maker_fee_rate: u64,
    /// Halves of numbers, the lower one first: 128 bits would be aligned to more than the rest.
    pub(crate) filled_base: [u64; 2],
    pub(crate) filled_quote: [u64; 2],
    pub(crate) fee_paid: [u64; 2],
    /// Decimals at that time: base, quote, rates; and those of the fee.
    pub(crate) scales: [u8; 4],
}

impl Remembered for Placed {
    fn number(&self, number: u64) -> u64 {
        let Placed { body, order, taker_fee_rate, maker_fee_rate, .. } = *self;
        let [base, base_high] = self.filled_base;
        let [quote, quote_high] = self.filled_quote;
        let [fee, fee_high] = self.fee_paid;
        let scales = u64::from(u32::from_le_bytes(self.scales));
        let own = [body, order.0, taker_fee_rate, maker_fee_rate, scales];
        mix(mix(number, &own), &[base, base_high, quote, quote_high, fee, fee_high])
    }
}

impl Placed {
    fn new(order: &Order, body: u64, market: &MarketConfig) -> Placed {
        let scales =
            [market.base_scale, market.quote_scale, market.fee_scale, order.fee_paid.scale];
        Placed {
            body,
            order: order.id,
            taker_fee_rate: order.taker_fee_rate,
            maker_fee_rate: order.maker_fee_rate,
            filled_base: halves(order.filled_base),
            filled_quote: halves(order.filled_quote),
            fee_paid: halves(order.fee_paid.coefficient),
            scales,
        }
    }

    /// Whether a placed order can have left this: what is read from outside is kept within its bounds.
    pub(crate) fn can_be(&self) -> bool {
        let [base, quote, rate, fee] = self.scales.map(u32::from);
        let rates = i128::from(self.taker_fee_rate.max(self.maker_fee_rate));
        let numbers = [self.filled_base, self.filled_quote, self.fee_paid];
        base + quote <= u32::from(SAVE_SCALE_MAX)
            && rate <= u32::from(FEE_SCALE_MAX)
            && fee <= DIGITS_MAX
            && rates < power_of_ten(rate)
            && numbers.into_iter().all(|halves| whole(halves) >= 0)
    }

    /// The order as it stood, in today's units; `place` says what it was.
    fn order(&self, time: Time, place: &PlaceOnce, market: &MarketConfig) -> Order {
        let [base, quote, rate, fee] = self.scales;
        let turnover_scale = market.base_scale + market.quote_scale;
        let filled_base = rescaled(whole(self.filled_base), base, market.base_scale);
        let filled_quote = rescaled(whole(self.filled_quote), base + quote, turnover_scale);
        let rate = |units| rescaled(i128::from(units), rate, market.fee_scale) as u64;
        let said = Said::of(place);
        let remaining = match (said.kind, said.side) {
            (OrderKind::Market, Side::Bid) => {
                let money = power_of_ten(u32::from(market.quote_scale));
                said.amount.saturating_mul(money).saturating_sub(filled_quote)
            }
            _ => said.amount.saturating_sub(filled_base),
        };
        Order {
            id: self.order,
            user: said.user,
            market: said.market,
            kind: said.kind,
            side: said.side,
            source: said.source,
            created_at: time,
            updated_at: time,
            price: said.price,
            amount: said.amount,
            remaining,
            taker_fee_rate: rate(self.taker_fee_rate),
            maker_fee_rate: rate(self.maker_fee_rate),
            filled_base,
            filled_quote,
            fee_paid: Decimal { coefficient: whole(self.fee_paid), scale: fee },
        }
    }
}

/// What an order says of itself, whichever kind it is.
struct Said {
    user: UserId,
    market: MarketId,
    kind: OrderKind,
    side: Side,
    source: Source,
    price: i128,
    amount: i128,
}

impl Said {
    fn of(place: &PlaceOnce) -> Said {
        match *place {
            PlaceOnce::Limit(PlaceLimit { user, market, side, amount, price, source, .. }) => {
                Said { user, market, kind: OrderKind::Limit, side, source, price, amount }
            }
            PlaceOnce::Market(PlaceMarket { user, market, side, amount, source, .. }) => {
                Said { user, market, kind: OrderKind::Market, side, source, price: 0, amount }
            }
        }
    }

    /// One number for what makes two orders the same: fee rates are the exchange's to say, and decimals that
    /// a market gets later change no order.
    fn body(&self, market: &MarketConfig) -> u64 {
        let name = mix_bytes(0x63, market.name.as_bytes());
        let [amount, amount_high] = halves(shortest(self.amount, market.base_scale).0);
        let [price, price_high] = halves(shortest(self.price, market.quote_scale).0);
        let scales = u64::from(shortest(self.amount, market.base_scale).1) << 8
            | u64::from(shortest(self.price, market.quote_scale).1);
        let kinds = (self.kind as u64) << 8 | self.side as u64;
        mix(name, &[kinds, amount, amount_high, price, price_high, scales])
    }
}

/// A name: the user, and every byte of the source.
fn key(user: UserId, source: &Source) -> UpdateKey {
    let [a, b, c, d] = source.words();
    let half = |domain| mix(domain, &[u64::from(user.0), a, b, c, d]);
    UpdateKey(u128::from(half(0x61)) << 64 | u128::from(half(0x62)))
}

impl Exchange {
    /// How an order under this name stood when it was placed, if one was within [`WINDOW`] before `now`.
    ///
    /// # Errors
    /// When that was another order: its identity.
    pub fn placed_once(&self, place: &PlaceOnce, now: Time) -> Option<Result<Order, OrderId>> {
        let said = Said::of(place);
        let (time, placed) = self.names.seen(key(said.user, &said.source), now)?;
        let market = self.markets.get(usize::from(said.market.0));
        Some(match market {
            Some(market) if said.body(&market.config) == placed.body => {
                Ok(placed.order(time, place, &market.config))
            }
            _ => Err(placed.order),
        })
    }

    /// The order that `user` named by `source` within [`WINDOW`] before the last command.
    pub fn named(&self, user: UserId, source: &Source) -> Option<OrderId> {
        self.names.seen(key(user, source), self.time()).map(|(_, placed)| placed.order)
    }

    /// How many names are remembered.
    pub fn names(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn place_once(
        &mut self,
        stamp: Stamp,
        place: &PlaceOnce,
        events: &mut Events,
    ) -> Result<(), Rejection> {
        // Decide.
        let said = Said::of(place);
        let key = key(said.user, &said.source);
        if self.names.is_seen(key, stamp.time) {
            return Err(Rejection::RepeatOrder);
        }
        if !has_room(&self.names, stamp.time, NAMES_MAX) {
            return Err(Rejection::NotPossible);
        }

        // Do, or be refused with nothing changed.
        match place {
            PlaceOnce::Limit(order) => self.place_limit(stamp, order, events)?,
            PlaceOnce::Market(order) => self.place_market(stamp, order, events)?,
        }
        let Some(Event::Order(event)) = events.last() else {
            unreachable!("what placing an order tells last is the order");
        };
        let market = &self.markets[usize::from(said.market.0)].config;
        let placed = Placed::new(&event.order, said.body(market), market);
        self.names.remember(key, stamp.time, placed);
        Ok(())
    }
}

/// Whether one more name can be remembered at `now`, or takes the place of one that is over.
fn has_room(names: &Names, now: Time, names_max: usize) -> bool {
    names.len() < names_max || names.is_any_over(now)
}

fn whole([low, high]: [u64; 2]) -> i128 {
    (u128::from(high) << 64 | u128::from(low)).cast_signed()
}

/// Units of another scale. Scales of a market that has kept its orders only grow; a file may have lowered them
/// between two starts while the market had none.
fn rescaled(units: i128, from: u8, to: u8) -> i128 {
    if to >= from {
        units.saturating_mul(power_of_ten(u32::from(to - from)))
    } else {
        units / power_of_ten(u32::from(from - to))
    }
}

/// The number with as few decimals as it has, and how many those are.
fn shortest(mut units: i128, mut scale: u8) -> (i128, u8) {
    while scale > 0 && units % 10 == 0 {
        units /= 10;
        scale -= 1;
    }
    (units, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACED: Placed = Placed {
        body: 1,
        order: OrderId(1),
        taker_fee_rate: 20,
        maker_fee_rate: 10,
        filled_base: [5, 0],
        filled_quote: [50, 0],
        fee_paid: [1, 0],
        scales: [4, 2, 4, 8],
    };

    #[test]
    fn a_name_finds_room_when_another_is_over() {
        let mut names = Names::new(WINDOW);
        for number in 0..3 {
            assert!(has_room(&names, Time(number), 3));
            names.remember(UpdateKey(number as u128), Time(number), PLACED);
        }
        assert!(!has_room(&names, Time(WINDOW), 3));
        let later = Time(WINDOW + 1);
        assert!(has_room(&names, later, 3));
        names.remember(UpdateKey(9), later, PLACED);
        assert_eq!(names.len(), 3);
        assert!(!has_room(&names, later, 3));
    }

    #[test]
    fn decimals_make_no_other_number_and_everything_else_does() {
        assert_eq!(shortest(1_500, 3), (15, 1));
        assert_eq!(shortest(1_500, 2), (15, 0));
        assert_eq!(shortest(0, 4), (0, 0));
        assert_eq!(rescaled(15, 1, 4), 15_000);
        assert_eq!(rescaled(15_000, 4, 1), 15);
    }

    /// Each part is in the digest, and bound to its name.
    #[test]
    fn the_digest_sees_every_part() {
        let changed = [
            Placed { body: 2, ..PLACED },
            Placed { order: OrderId(2), ..PLACED },
            Placed { taker_fee_rate: 21, ..PLACED },
            Placed { maker_fee_rate: 11, ..PLACED },
            Placed { filled_base: [5, 1], ..PLACED },
            Placed { filled_quote: [51, 0], ..PLACED },
            Placed { fee_paid: [0, 1], ..PLACED },
            Placed { scales: [4, 2, 4, 9], ..PLACED },
        ];
        for other in changed {
            assert_ne!(other.number(7), PLACED.number(7), "{other:?}");
        }
        assert_ne!(PLACED.number(8), PLACED.number(7));
    }

    #[test]
    fn names_of_two_users_are_two() {
        let source = |text| Source::new(text).expect("short");
        let first = key(UserId(1), &source("a"));
        for other in [(2, "a"), (1, "b"), (1, "a\0"), (1, "")] {
            assert_ne!(key(UserId(other.0), &source(other.1)).0, first.0, "{other:?}");
        }
    }
}
