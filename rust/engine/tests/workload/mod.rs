//! Random commands that reach the corners: a few busy users and many quiet ones, prices around a middle,
//! and now and then the smallest, the largest, or one unit beside a bound. Everything follows from a seed.

mod changes;
mod configurations;
mod random;

use std::collections::VecDeque;

use viabtc_engine::decimal::power_of_ten;
use viabtc_engine::once::WINDOW as NAME_WINDOW;
use viabtc_engine::{
    AssetId, CancelOrder, Command, Exchange, MarketConfig, MarketId, Order, OrderId, PlaceLimit,
    PlaceMarket, PlaceOnce, Side, Source, Time, UpdateBalance, UserId,
};

pub use configurations::settings;
pub use random::{Random, seed};

/// Users, the busiest first; numbers of both ends of the field among them.
const USERS: [u32; 12] = [1, 2, 3, 0, 5, 8, 13, 21, 1 << 31, u32::MAX, 55, 89];

/// Reasons: the last two are told apart by nothing that is compared, the one before them is.
const REASONS: [&str; 5] = [
    "deposit",
    "",
    "a reason that has exactly 32 byte",
    "a reason that has exactly 32 bytes and more",
    "a reason that has exactly 32 bytes, and more",
];

/// Updates that can come a second time: more than the window covers after one of its jumps.
const RECENT_UPDATES: usize = 64;

/// Names that users give their orders: so few that most are given again within their window.
const NAMES: u64 = 40;

/// Resting orders of one market above which cancels become frequent: the oracle walks lists.
const BOOK_ORDERS_AIM: u64 = 120;

/// Middle of the prices, whole quote units.
const PRICE_MIDDLE: i128 = 50;

/// Makes the next command from the state that it will meet.
pub struct Workload {
    random: Random,
    time: i64,
    reason_id: u64,
    /// The last updates, to be sent a second time.
    recent: VecDeque<UpdateBalance>,
    /// The last orders with names, as well.
    named: VecDeque<PlaceOnce>,
    /// First deposits still to be made, so that everybody can trade.
    deposits: Vec<(UserId, AssetId)>,
}

impl Workload {
    pub fn new(exchange: &Exchange, random: Random) -> Workload {
        let assets = 0..exchange.config().assets.len() as u16;
        let deposits = USERS
            .iter()
            .flat_map(|&user| assets.clone().map(move |asset| (UserId(user), AssetId(asset))))
            .collect();
        let (recent, named) = (VecDeque::new(), VecDeque::new());
        let time = exchange.time().0.max(1_000_000);
        Workload { random, time, reason_id: 0, recent, named, deposits }
    }

    pub fn next(&mut self, exchange: &Exchange) -> (Time, Command) {
        self.advance(exchange);
        (Time(self.time), self.command(exchange))
    }

    fn advance(&mut self, exchange: &Exchange) {
        self.time += match self.random.below(1_000) {
            0..400 => 0,
            400..998 => self.random.below(1_000) as i64,
            998 => exchange.config().update_window - 1 + self.random.below(3) as i64,
            _ => NAME_WINDOW - 1 + self.random.below(3) as i64,
        };
    }

    fn command(&mut self, exchange: &Exchange) -> Command {
        if let Some((user, asset)) = self.deposits.pop() {
            let scale = exchange.config().assets[usize::from(asset.0)].show_scale;
            return self.update(user, asset, 10_000 * power_of_ten(u32::from(scale)));
        }
        if let Some(change) = self.change(exchange) {
            return Command::Change(Box::new(change));
        }
        let market = MarketId(self.random.below(exchange.config().markets.len() as u64) as u16);
        let summary = exchange.market_summary(market);
        if summary.ask_count + summary.bid_count > BOOK_ORDERS_AIM && self.random.is(50) {
            return self.cancel(exchange, market);
        }
        match self.random.below(100) {
            0..36 => Command::PlaceLimit(self.limit(exchange, market)),
            36..48 => self.once(exchange, PlaceOnce::Limit, |it| it.limit(exchange, market)),
            48..58 => Command::PlaceMarket(self.market(exchange, market)),
            58..62 => self.once(exchange, PlaceOnce::Market, |it| it.market(exchange, market)),
            62..80 => self.cancel(exchange, market),
            _ => self.balance(exchange),
        }
    }

    /// Low positions are drawn as Zipf's law has it: the k-th user with a weight of 1/k.
    fn user(&mut self) -> UserId {
        let total: u64 = (1..=USERS.len() as u64).map(|rank| 27_720 / rank).sum();
        let mut drawn = self.random.below(total);
        for (index, user) in USERS.iter().enumerate() {
            let weight = 27_720 / (index as u64 + 1);
            if drawn < weight {
                return UserId(*user);
            }
            drawn -= weight;
        }
        unreachable!("the weights add up to the total")
    }

    fn side(&mut self) -> Side {
        if self.random.is(50) { Side::Ask } else { Side::Bid }
    }

    fn source(&mut self) -> Source {
        let text = ["", "api", "web", "exactly thirty bytes of source"][self.random.index(4)];
        Source::new(text).expect("at most thirty bytes")
    }

    fn balance(&mut self, exchange: &Exchange) -> Command {
        let user = self.user();
        let assets = &exchange.config().assets;
        let asset = self.random.below(assets.len() as u64) as u16;
        if self.random.is(1) {
            return self.update(user, AssetId(assets.len() as u16), 1);
        }
        let config = &assets[usize::from(asset)];
        let asset = AssetId(asset);
        let show = u32::from(config.show_scale);
        let finer = power_of_ten(u32::from(config.save_scale) - show);
        let available = exchange.balance(user, asset).available.unwrap_or(0) / finer;
        let room = power_of_ten(14 + show) - exchange.asset_totals(asset).supply / finer;
        let usual = 1 + self.random.wide(1_000 * power_of_ten(show));
        let change = match self.random.below(100) {
            0..55 => usual,
            55..60 => 1,
            60..63 => 0,
            // The last unit below the ceiling of the supply, and the first one above.
            63..65 => room - 1,
            65..67 => room,
            67..68 => i128::MAX,
            68..78 => -available,
            78..82 => -available - 1,
            82..95 => -usual,
            95..98 => -1,
            98 => -i128::MAX,
            _ => i128::MIN,
        };
        self.update(user, asset, change)
    }

    fn update(&mut self, user: UserId, asset: AssetId, change: i128) -> Command {
        if self.recent.len() == RECENT_UPDATES && self.random.is(15) {
            let mut repeated = self.recent[self.random.index(RECENT_UPDATES)].clone();
            if self.random.is(20) {
                // Another update when the part that is compared differs.
                repeated.reason = REASONS[self.random.index(REASONS.len())].into();
            }
            return Command::UpdateBalance(repeated);
        }
        self.reason_id += 1;
        let reason = REASONS[if self.random.is(80) { 0 } else { self.random.index(5) }];
        let update = UpdateBalance {
            user,
            asset,
            reason: reason.into(),
            reason_id: self.reason_id,
            change,
            detail: "{}".into(),
        };
        self.recent.push_back(update.clone());
        if self.recent.len() > RECENT_UPDATES {
            self.recent.pop_front();
        }
        Command::UpdateBalance(update)
    }

    /// An order under one of a few names, or one that was sent before.
    fn once<T>(
        &mut self,
        exchange: &Exchange,
        kind: impl FnOnce(T) -> PlaceOnce,
        order: impl FnOnce(&mut Workload) -> T,
    ) -> Command {
        if !self.named.is_empty() && self.random.is(20) {
            return self.named[self.random.index(self.named.len())].into();
        }
        let mut place = kind(order(self));
        let name = format!("name {}", self.random.below(NAMES));
        let name = Source::new(&name).expect("at most thirty bytes");
        match &mut place {
            PlaceOnce::Limit(order) => order.source = name,
            PlaceOnce::Market(order) => order.source = name,
        }
        if usize::from(place.owner().1.0) == exchange.config().markets.len() {
            // Its market may be there by the next time, with other decimals.
            return place.into();
        }
        self.named.push_back(place);
        if self.named.len() > RECENT_UPDATES {
            self.named.pop_front();
        }
        place.into()
    }

    fn limit(&mut self, exchange: &Exchange, market: MarketId) -> PlaceLimit {
        let config = &exchange.config().markets[usize::from(market.0)];
        let (user, side) = (self.user(), self.side());
        let price = self.price(exchange, market, side);
        let amount = self.limit_amount(exchange, market, user, side, price);
        PlaceLimit {
            user,
            market: self.wrong_market(exchange).unwrap_or(market),
            side,
            amount: amount.max(1),
            price,
            taker_fee_rate: self.fee_rate(config),
            maker_fee_rate: self.fee_rate(config),
            source: self.source(),
        }
    }

    fn market(&mut self, exchange: &Exchange, market: MarketId) -> PlaceMarket {
        let config = &exchange.config().markets[usize::from(market.0)];
        let (user, side) = (self.user(), self.side());
        let amount = match side {
            Side::Ask => self.limit_amount(exchange, market, user, side, 1),
            Side::Bid => self.money(exchange, market, user),
        };
        PlaceMarket {
            user,
            market: self.wrong_market(exchange).unwrap_or(market),
            side,
            amount: amount.max(1),
            taker_fee_rate: self.fee_rate(config),
            source: self.source(),
        }
    }

    fn cancel(&mut self, exchange: &Exchange, market: MarketId) -> Command {
        let side = self.side();
        let resting = self.resting(exchange, market, side);
        let drawn = self.random.below(100);
        let (user, market, order) = match resting {
            Some(order) if drawn < 75 => (order.user, market, order.id),
            Some(order) if drawn < 83 => (self.user(), market, order.id),
            Some(order) if drawn < 88 => {
                let other = (market.0 + 1) % exchange.config().markets.len() as u16;
                (order.user, MarketId(other), order.id)
            }
            _ => {
                let order = match self.random.below(10) {
                    0 => u64::MAX,
                    _ => self.random.below(exchange.last_order_id() + 2),
                };
                (self.user(), self.wrong_market(exchange).unwrap_or(market), OrderId(order))
            }
        };
        Command::CancelOrder(CancelOrder { user, market, order })
    }

    fn wrong_market(&mut self, exchange: &Exchange) -> Option<MarketId> {
        let beyond = MarketId(exchange.config().markets.len() as u16);
        (self.random.below(50) == 0).then_some(beyond)
    }

    /// Any order of a side, or its best one.
    fn resting(&mut self, exchange: &Exchange, market: MarketId, side: Side) -> Option<Order> {
        let summary = exchange.market_summary(market);
        let count = match side {
            Side::Ask => summary.ask_count,
            Side::Bid => summary.bid_count,
        };
        let place = if count == 0 { 0 } else { self.random.index(count as usize) };
        exchange.book(market, side).nth(place)
    }

    fn fee_rate(&mut self, config: &MarketConfig) -> u64 {
        let one = 10u64.pow(u32::from(config.fee_scale));
        let rate = match self.random.below(10) {
            0..3 => 0,
            3 => one - 1,
            4 => 1,
            5 => self.random.below(one),
            _ => one / 500,
        };
        rate.min(one - 1)
    }

    fn price(&mut self, exchange: &Exchange, market: MarketId, side: Side) -> i128 {
        let config = &exchange.config().markets[usize::from(market.0)];
        let one = power_of_ten(u32::from(config.quote_scale));
        let tick = (one / 100).max(1);
        let best = |side| exchange.book(market, side).next().map(|order| order.price);
        let turnover_scale = u32::from(config.base_scale + config.quote_scale);
        let middle = PRICE_MIDDLE * one;
        let around = {
            // Two dice: prices crowd around the middle.
            let steps = self.random.below(20) as i128 + self.random.below(20) as i128 - 19;
            middle + steps * tick
        };
        let price = match self.random.below(100) {
            0..60 => around,
            60..72 => around + self.random.wide(tick),
            72..82 => best(side.opposite()).unwrap_or(around) + self.random.near(),
            82..90 => best(side).unwrap_or(around) + self.random.near(),
            90..92 => 1,
            92..94 => self.random.wide(middle),
            94..96 => middle * (1 + self.random.below(1_000_000) as i128),
            // A price whose single unit reaches the bound of the turnover.
            96..98 => power_of_ten(14 + turnover_scale) + self.random.near(),
            // The largest price that is read, and the number that stands for larger ones.
            98 => one.saturating_mul(power_of_ten(22)) - 1,
            _ => i128::MAX,
        };
        price.max(1)
    }

    fn limit_amount(
        &mut self,
        exchange: &Exchange,
        market: MarketId,
        user: UserId,
        side: Side,
        price: i128,
    ) -> i128 {
        let config = &exchange.config().markets[usize::from(market.0)];
        let (base_scale, quote_scale) = (config.base_scale, config.quote_scale);
        let one = power_of_ten(u32::from(base_scale));
        let turnover_scale = u32::from(base_scale + quote_scale);
        let save = |asset: AssetId| exchange.config().assets[usize::from(asset.0)].save_scale;
        let available = |asset: AssetId, scale: u32| {
            let finer = power_of_ten(u32::from(save(asset)) - scale);
            exchange.balance(user, asset).available.unwrap_or(0) / finer
        };
        let least = config.min_amount.units_ceil(base_scale);
        match self.random.below(100) {
            0..35 => (1 + self.random.below(20) as i128) * (one / 10).max(1),
            35..60 => 1 + self.random.wide(3 * one),
            60..66 => least + self.random.near(),
            66..76 => {
                let other = exchange.book(market, side.opposite()).next();
                other.map_or(one, |order| order.remaining) + self.random.near()
            }
            76..86 => {
                let all = match side {
                    Side::Ask => available(config.base, u32::from(base_scale)),
                    Side::Bid => available(config.quote, turnover_scale) / price,
                };
                all + self.random.near()
            }
            86..90 => 1,
            90..94 => power_of_ten(14 + turnover_scale) / price + self.random.near(),
            94..97 => self.random.wide(1_000 * one),
            97 => power_of_ten(14 + u32::from(base_scale)) + self.random.near(),
            98 => one.saturating_mul(power_of_ten(22)) - 1,
            _ => i128::MAX,
        }
    }

    /// Money of a market bid, in units of the base scale.
    fn money(&mut self, exchange: &Exchange, market: MarketId, user: UserId) -> i128 {
        let config = &exchange.config().markets[usize::from(market.0)];
        let one = power_of_ten(u32::from(config.base_scale));
        let save = exchange.config().assets[usize::from(config.quote.0)].save_scale;
        let finer = power_of_ten(u32::from(save - config.base_scale));
        let available = exchange.balance(user, config.quote).available.unwrap_or(0) / finer;
        let best = exchange.book(market, Side::Ask).next();
        let worth = |amount: i128| {
            best.map_or(one, |order| {
                let quote_one = power_of_ten(u32::from(config.quote_scale));
                order.price.saturating_mul(amount) / quote_one
            })
        };
        match self.random.below(100) {
            0..50 => 1 + self.random.wide(PRICE_MIDDLE * 3 * one),
            50..62 => worth(config.min_amount.units_ceil(config.base_scale)) + self.random.near(),
            62..74 => worth(best.map_or(1, |order| order.remaining)) + self.random.near(),
            74..86 => available + self.random.near(),
            86..90 => 1,
            90..97 => self.random.wide(10_000 * one),
            97 => power_of_ten(14 + u32::from(config.base_scale)),
            98 => one.saturating_mul(power_of_ten(22)) - 1,
            _ => i128::MAX,
        }
    }
}
