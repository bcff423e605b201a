//! What a million of each costs: allocated bytes, counted by the allocator itself.
//!
//! One test, so that no other thread allocates beside it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use viabtc_engine::{
    AssetConfig, AssetId, Command, Config, Decimal, Events, Exchange, MarketConfig, MarketId,
    PlaceLimit, PlaceOnce, Side, Source, Stamp, Time, UpdateBalance, UserId,
};

/// Most bytes of a resting order, its share of every index and level included.
const ORDER_BYTES_MAX: usize = 300;

/// Most bytes of a balance.
const BALANCE_BYTES_MAX: usize = 150;

/// Most bytes of the memory that an update took effect.
const KEY_BYTES_MAX: usize = 64;

/// Most bytes of an order's name, with what is kept of the order.
const NAME_BYTES_MAX: usize = 150;

/// How many are counted: the number of the promise, and one right behind a doubling of the tables.
const COUNTS: [usize; 2] = [1_000_000, 1_320_000];

/// Counts what is allocated and not yet freed.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Play {
    exchange: Exchange,
    events: Events,
    time: i64,
    reason_id: u64,
}

impl Play {
    fn new(update_window: i64) -> Play {
        let asset = |name: &str| AssetConfig { name: name.into(), save_scale: 20, show_scale: 8 };
        let market = MarketConfig {
            name: "BTCUSDT".into(),
            base: AssetId(0),
            quote: AssetId(1),
            base_scale: 8,
            quote_scale: 8,
            fee_scale: 4,
            min_amount: Decimal { coefficient: 1, scale: 8 },
        };
        let assets = vec![asset("BTC"), asset("USDT")];
        let config = Config { assets, markets: vec![market], update_window };
        let exchange = Exchange::new(config.validate().expect("a sound configuration"));
        Play { exchange, events: Events::new(), time: 0, reason_id: 0 }
    }

    fn apply(&mut self, command: &Command) {
        self.time += 10;
        let stamp = Stamp { sequence: self.exchange.sequence() + 1, time: Time(self.time) };
        self.events.clear();
        self.exchange.apply(stamp, command, &mut self.events).expect("accepted");
    }

    fn fund(&mut self, user: u32, asset: u16, whole: i128) {
        self.reason_id += 1;
        self.apply(&Command::UpdateBalance(UpdateBalance {
            user: UserId(user),
            asset: AssetId(asset),
            reason: "deposit".into(),
            reason_id: self.reason_id,
            change: whole * 100_000_000,
            detail: "{}".into(),
        }));
    }

    fn rest(&mut self, user: u32, price: i128) {
        self.apply(&Command::PlaceLimit(PlaceLimit {
            user: UserId(user),
            market: MarketId(0),
            side: Side::Ask,
            amount: 1_000,
            price,
            taker_fee_rate: 20,
            maker_fee_rate: 10,
            source: Source::new("a source of thirty bytes, full").expect("thirty bytes"),
        }));
    }
}

impl Play {
    /// Two orders that meet and leave nothing but a name.
    fn deal_once(&mut self, number: usize) {
        self.rest(1, 1);
        let source = Source::new(&format!("api:{number}")).expect("short");
        self.apply(
            &PlaceOnce::Limit(PlaceLimit {
                user: UserId(2),
                market: MarketId(0),
                side: Side::Bid,
                amount: 1_000,
                price: 1,
                taker_fee_rate: 20,
                maker_fee_rate: 10,
                source,
            })
            .into(),
        );
    }
}

/// Bytes per thing of what `work` left allocated.
fn cost(count: usize, work: impl FnOnce()) -> usize {
    let before = ALLOCATED.load(Relaxed);
    work();
    (ALLOCATED.load(Relaxed) - before).div_ceil(count)
}

#[test]
fn a_million_of_each_stays_within_its_bytes() {
    const FORGETFUL: i64 = 1;
    const MEMORY: i64 = i64::MAX;
    // Orders of a price, users, what it is called.
    let spreads =
        [(1_000, 50_000, "1,000 orders a price"), (10, 100_000, "10 orders a price and owner")];
    for count in COUNTS {
        for (per_price, users, name) in spreads {
            let mut play = Play::new(FORGETFUL);
            for user in 0..users {
                play.fund(user, 0, 1);
            }
            let bytes = cost(count, || {
                for order in 0..count {
                    // Prices come in an order without pattern.
                    let level =
                        (order as u64 / per_price).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24;
                    play.rest(order as u32 % users, 1 + i128::from(level));
                }
            });
            println!("bench=bytes_per_order layout={name:?} count={count} largest={bytes}");
            assert!(bytes <= ORDER_BYTES_MAX, "{bytes} bytes per order, {name}, {count} orders");
        }

        let mut play = Play::new(FORGETFUL);
        let bytes = cost(count, || (0..count).for_each(|user| play.fund(user as u32, 0, 1)));
        println!("bench=bytes_per_balance count={count} largest={bytes}");
        assert!(bytes <= BALANCE_BYTES_MAX, "{bytes} bytes per balance, {count} balances");

        let mut play = Play::new(MEMORY);
        let bytes = cost(count, || (0..count).for_each(|_| play.fund(1, 0, 1)));
        println!("bench=bytes_per_key count={count} largest={bytes}");
        assert!(bytes <= KEY_BYTES_MAX, "{bytes} bytes per once-only key, {count} keys");

        let mut play = Play::new(FORGETFUL);
        play.fund(1, 0, 1_000);
        play.fund(2, 1, 1_000_000);
        play.deal_once(0);
        let bytes = cost(count, || (1..=count).for_each(|order| play.deal_once(order)));
        println!("bench=bytes_per_name count={count} largest={bytes}");
        assert!(bytes <= NAME_BYTES_MAX, "{bytes} bytes per name, {count} names");
        assert_eq!(play.exchange.names(), count + 1);
    }
}
