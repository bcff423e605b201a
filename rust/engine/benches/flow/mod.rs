//! A realistic stream of commands from a seed, over books with many resting orders.
//!
//! Four markets, 50,000 traders with ten orders or a hundred each. Of a hundred commands 45 place an order
//! that rests, most of them near the touch; 36 cancel, four of five an order among the last thousand, the
//! others any; 11 place an order that takes; 3 are market orders; 5 are balance updates. Every command is
//! one that the exchange accepts: it was made while another exchange ran along.

use viabtc_engine::{
    AssetConfig, AssetId, CancelOrder, Command, Config, Decimal, Event, Events, Exchange,
    MarketConfig, MarketId, OrderId, PlaceLimit, PlaceMarket, Side, Source, Stamp, Time,
    UpdateBalance, UserId,
};

/// Traders; their ids begin at 1.
const USERS: u64 = 50_000;

/// Markets; market `i` trades asset `i + 1` for asset 0.
const MARKETS: u64 = 4;

/// Middle price of each market, units of 10^-8.
const MIDDLE: i128 = 5_000_000_000_000;

/// Step of prices, units of 10^-8.
const TICK: i128 = 1_000_000;

/// Orders that a cancel of a young one chooses from.
const YOUNG: usize = 1_000;

/// First logged time, microseconds.
const START: i64 = 1_800_000_000_000_000;

/// What is applied: first the preparation, then what is measured.
pub struct Flow {
    pub config: Config,
    /// Funds and resting orders.
    pub preparation: Vec<Command>,
    /// The stream.
    pub commands: Vec<Command>,
}

/// Numbers from a seed. Source: splitmix64, the increment is the fraction of the golden ratio.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(word ^ word >> 31) * u128::from(limit)) >> 64) as u64
    }
}

/// The stamp of the command with this position, the first is 1.
pub fn stamp(sequence: u64) -> Stamp {
    Stamp { sequence, time: Time(START + sequence as i64 * 3) }
}

pub fn config() -> Config {
    let asset = |name: &str| AssetConfig { name: name.into(), save_scale: 20, show_scale: 8 };
    let market = |base: u64| MarketConfig {
        name: format!("COIN{base}USDT"),
        base: AssetId(base as u16),
        quote: AssetId(0),
        base_scale: 8,
        quote_scale: 8,
        fee_scale: 4,
        min_amount: Decimal { coefficient: 1, scale: 5 },
    };
    let coins = (1..=MARKETS).map(|base| asset(&format!("COIN{base}")));
    let config = Config {
        assets: std::iter::once(asset("USDT")).chain(coins).collect(),
        markets: (1..=MARKETS).map(market).collect(),
        update_window: viabtc_engine::config::UPDATE_WINDOW_DEFAULT,
    };
    config.validate().expect("a sound configuration")
}

/// `resting` orders, then `count` commands.
pub fn flow(resting: usize, count: usize, seed: u64) -> Flow {
    let config = config();
    let mut maker = Maker {
        random: Random(seed),
        exchange: Exchange::new(config.clone()),
        events: Events::new(),
        commands: Vec::new(),
        open: Vec::new(),
        reason_id: 0,
    };
    for user in 1..=USERS {
        for asset in 0..=MARKETS {
            maker.deposit(user as u32, asset as u16, 1_000_000);
        }
    }
    while maker.open.len() < resting {
        let depth = 1 + maker.random.below(100) * maker.random.below(100);
        maker.place(depth as i128);
    }
    let preparation = std::mem::take(&mut maker.commands);
    while maker.commands.len() < count {
        maker.step();
    }
    Flow { config, preparation, commands: maker.commands }
}

struct Maker {
    random: Random,
    exchange: Exchange,
    events: Events,
    commands: Vec<Command>,
    /// Orders that rested once; some are gone.
    open: Vec<(UserId, MarketId, OrderId)>,
    reason_id: u64,
}

impl Maker {
    fn step(&mut self) {
        match self.random.below(100) {
            0..45 => {
                let depth = 1 + self.random.below(30) * self.random.below(30);
                self.place(depth as i128);
            }
            45..81 => self.cancel(),
            81..92 => {
                let reach = self.random.below(8);
                self.place(-i128::from(reach));
            }
            92..95 => self.take(),
            _ => {
                let user = 1 + self.random.below(USERS) as u32;
                let asset = self.random.below(MARKETS + 1) as u16;
                self.deposit(user, asset, 1);
            }
        }
    }

    fn deposit(&mut self, user: u32, asset: u16, whole: i128) {
        self.reason_id += 1;
        self.apply(Command::UpdateBalance(UpdateBalance {
            user: UserId(user),
            asset: AssetId(asset),
            reason: "deposit".into(),
            reason_id: self.reason_id,
            change: whole * 10i128.pow(8),
            detail: format!("{{\"id\": {}}}", self.reason_id).into(),
        }));
    }

    /// One in three orders is of the thousand busiest traders.
    fn trader(&mut self) -> UserId {
        let among = if self.random.below(3) == 0 { 1_000 } else { USERS };
        UserId(1 + self.random.below(among) as u32)
    }

    fn side(&mut self) -> Side {
        if self.random.below(2) == 0 { Side::Ask } else { Side::Bid }
    }

    /// An order this many ticks behind the middle price; before it, it takes what rests there.
    fn place(&mut self, depth: i128) {
        let (user, side) = (self.trader(), self.side());
        let market = MarketId(self.random.below(MARKETS) as u16);
        let away = depth * TICK;
        let price = if side == Side::Ask { MIDDLE + away } else { MIDDLE - away };
        let amount = 1_000 * (1 + i128::from(self.random.below(100_000)));
        self.apply(Command::PlaceLimit(PlaceLimit {
            user,
            market,
            side,
            amount,
            price,
            taker_fee_rate: 20,
            maker_fee_rate: 10,
            source: Source::new("api.v1").expect("short"),
        }));
        let last = OrderId(self.exchange.last_order_id());
        if self.exchange.order(market, last).is_some() {
            self.open.push((user, market, last));
        }
    }

    fn take(&mut self) {
        let (user, side) = (self.trader(), self.side());
        let market = MarketId(self.random.below(MARKETS) as u16);
        let amount = match side {
            Side::Ask => 1_000_000 * (1 + i128::from(self.random.below(100))),
            Side::Bid => 10_000_000_000 * (1 + i128::from(self.random.below(5_000))),
        };
        let source = Source::new("web").expect("short");
        let taker_fee_rate = 20;
        self.apply(Command::PlaceMarket(PlaceMarket {
            user,
            market,
            side,
            amount,
            taker_fee_rate,
            source,
        }));
    }

    fn cancel(&mut self) {
        let young = if self.random.below(5) > 0 { YOUNG } else { usize::MAX };
        let back = self.random.below(self.open.len().min(young) as u64) as usize;
        let place = self.open.len() - 1 - back;
        let (user, market, order) = match young {
            YOUNG => self.open.remove(place),
            _ => self.open.swap_remove(place),
        };
        if self.exchange.order(market, order).is_some() {
            self.apply(Command::CancelOrder(CancelOrder { user, market, order }));
        }
    }

    fn apply(&mut self, command: Command) {
        self.events.clear();
        let stamp = stamp(self.exchange.sequence() + 1);
        if self.exchange.apply(stamp, &command, &mut self.events).is_ok() {
            self.commands.push(command);
        }
    }
}

/// Orders that rest in all markets.
pub fn resting(exchange: &Exchange) -> u64 {
    let markets = (0..MARKETS).map(|market| exchange.market_summary(MarketId(market as u16)));
    markets.map(|summary| summary.ask_count + summary.bid_count).sum()
}

/// Deals among `events`.
pub fn deals(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Deal(_))).count()
}

/// Time that this thread ran, in nanoseconds: on a busy machine others' turns do not count.
pub fn cpu_nanoseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable during the call.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(outcome, 0, "the clock exists on Linux");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
