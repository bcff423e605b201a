//! Deals counted into a board of ten markets: `cargo bench -p viabtc-market`.

use std::time::Instant;

use viabtc_engine::Decimal;
use viabtc_market::{Board, Deal, Options, Taker, Zone};

const MARKETS: usize = 10;
const DEALS: u64 = 4_000_000;

/// Pause between two deals: a thousand a second over all markets.
const STEP_US: i64 = 1_000;

fn main() {
    let mut board = Board::new(Options::default(), Zone::utc());
    let places: Vec<usize> =
        (0..MARKETS).map(|index| board.list(&format!("MARKET{index}"))).collect();
    let started = Instant::now();
    for id in 1..=DEALS {
        // Prices walk, amounts vary; both with eight decimals as most markets have.
        let noise = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let deal = Deal {
            id,
            time: 1_795_392_000_000_000 + id.cast_signed() * STEP_US,
            price: Decimal { coefficient: 800_000_000_000 + i128::from(noise), scale: 8 },
            amount: Decimal { coefficient: 1 + i128::from(noise & 0xff_ffff), scale: 8 },
            taker: Taker::Buys,
        };
        board.apply(places[id as usize % MARKETS], &deal);
        if id % 10_000 == 0 {
            std::hint::black_box(board.take_changes());
        }
    }
    let elapsed = started.elapsed();
    let rate = DEALS as f64 / elapsed.as_secs_f64();
    println!("{DEALS} deals in {elapsed:?}: {rate:.0} deals/s");
}
