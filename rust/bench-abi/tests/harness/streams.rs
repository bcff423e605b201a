//! Message streams from a seed: what a market does when it stands still, swings and crashes.
//!
//! They are mixed as the recorded stream is: an order in seven is immediate; of the others a fifth is
//! modified and nearly all are cancelled right after they came; ids are a permutation. Unlike there, one
//! order in fifty is followed by the cancel of any older one. Prices lie around a centre that moves, so
//! that a move sweeps what rests in its way and leaves the rest behind.

use viabtc_bench_abi::layout::{BUY, SELL, TYPE_CANCEL, TYPE_MODIFY, TYPE_NEW, Tagged};

use super::Message;

/// Where the centre begins, in ticks.
const CENTRE: i64 = 33_000;

/// A kind of market.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Market {
    /// 300,000 orders over 40,000 prices before the stream begins, and the centre stays.
    Still,
    /// The centre goes up and down by this many percent, eight times.
    Swing(i64),
    /// The centre falls by 30,000 ticks within a twentieth of the stream, and comes back as fast.
    Crash,
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

/// `count` messages, and how many of them come before what is measured.
pub fn stream(market: Market, count: usize, seed: u64) -> (Vec<Tagged>, usize) {
    let random = Random(seed);
    let mut writer = Writer { random, messages: Vec::new(), left: Vec::new(), ids: Ids::new(seed) };
    let before = if market == Market::Still { count.min(2_000_000) * 3 / 20 } else { 0 };
    for _ in 0..before {
        let side = if writer.random.below(2) == 0 { BUY } else { SELL };
        let away = 1 + writer.random.below(20_000) as i64;
        let price = if side == BUY { CENTRE - away } else { CENTRE + away };
        let order = writer.place(side, price, 0);
        writer.left.push(order);
    }
    while writer.messages.len() < before + count {
        let progress = (writer.messages.len() - before) as i64;
        writer.step(centre(market, progress, count as i64));
    }
    writer.messages.truncate(before + count);
    (writer.messages, before)
}

fn centre(market: Market, progress: i64, count: i64) -> i64 {
    match market {
        Market::Still => CENTRE,
        Market::Swing(percent) => {
            let period = (count / 8).max(1);
            let phase = progress % period;
            let way = (4 * phase - period).abs() - period;
            CENTRE + CENTRE * percent / 100 * if phase < period / 2 { way } else { -way } / period
        }
        Market::Crash => {
            let fall = (count / 20).max(1);
            let bottom = count / 2;
            let distance = ((progress - bottom).abs().min(fall) - fall).abs();
            CENTRE - 30_000 * distance / fall
        }
    }
}

struct Writer {
    random: Random,
    messages: Vec<Tagged>,
    /// Orders that were neither immediate nor cancelled.
    left: Vec<u64>,
    ids: Ids,
}

impl Writer {
    /// The life of one order.
    fn step(&mut self, centre: i64) {
        let side = if self.random.below(2) == 0 { BUY } else { SELL };
        let is_immediate = self.random.below(7) == 0;
        let away = match is_immediate {
            true => -(self.random.below(8) as i64),
            false => self.random.below(30) as i64 * self.random.below(30) as i64 - 2,
        };
        let price = if side == BUY { centre - away } else { centre + away };
        let order = self.place(side, price, u8::from(is_immediate));
        if self.random.below(50) == 0 && !self.left.is_empty() {
            let index = self.random.below(self.left.len() as u64) as usize;
            let old = self.left.swap_remove(index);
            self.push(Message { tag: TYPE_CANCEL, order: old, ..Message::default() });
        }
        if is_immediate {
            return;
        }
        if self.random.below(5) == 0 {
            let (quantity, price) = (1 + self.random.below(100) as u32, price + 1);
            let modify =
                Message { tag: TYPE_MODIFY, side, quantity, order, price, ..Message::default() };
            self.push(modify);
        }
        if self.random.below(100) < 97 {
            self.push(Message { tag: TYPE_CANCEL, order, ..Message::default() });
        } else {
            self.left.push(order);
        }
    }

    fn place(&mut self, side: u8, price: i64, ioc: u8) -> u64 {
        let order = self.ids.next();
        let quantity = 1 + self.random.below(100) as u32;
        self.push(Message { tag: TYPE_NEW, side, ioc, quantity, order, price, sequence: 0 });
        order
    }

    fn push(&mut self, message: Message) {
        let sequence = self.messages.len() as u64 + 1;
        self.messages.push(Message { sequence, ..message }.tagged());
    }
}

/// Each number below 2^21 once, in an order without pattern, then the next 2^21.
struct Ids {
    next: u64,
    factor: u64,
}

impl Ids {
    const BITS: u32 = 21;

    fn new(seed: u64) -> Ids {
        Ids { next: 0, factor: Random(seed).below(1 << Self::BITS) | 1 }
    }

    /// Odd factors and shifted additions are permutations of the numbers below a power of two.
    fn next(&mut self) -> u64 {
        let mask = (1 << Self::BITS) - 1;
        let (low, high) = (self.next & mask, self.next & !mask);
        self.next += 1;
        let mut id = low.wrapping_mul(self.factor) & mask;
        id ^= id >> 11;
        id = id.wrapping_mul(0x9_e375) & mask;
        id ^= id >> 9;
        high | id
    }
}
