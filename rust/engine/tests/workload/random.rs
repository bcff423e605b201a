//! Numbers from a seed.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The seed of a test: `VIABTC_SEED` when given, else one that was never used before. It is printed, so that
/// a failure can be repeated.
pub fn seed() -> u64 {
    let given = std::env::var("VIABTC_SEED").ok();
    let seed = match given {
        Some(text) => text.parse().expect("VIABTC_SEED is a number"),
        None => RandomState::new().build_hasher().finish() >> 32,
    };
    println!("VIABTC_SEED={seed}");
    seed
}

/// The splitmix64 sequence.
pub struct Random(u64);

impl Random {
    /// Different `stream`s of one seed have nothing in common.
    pub fn new(seed: u64, stream: u64) -> Random {
        let mut random = Random(seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93));
        random.word();
        random
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// In [0, bound).
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no number below zero");
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u64
    }

    /// A position in something of `length`.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// In [0, bound), for bounds of more than 64 bits.
    pub fn wide(&mut self, bound: i128) -> i128 {
        let drawn = u128::from(self.word()) << 64 | u128::from(self.word());
        (drawn % bound.unsigned_abs().max(1)) as i128
    }

    /// One below, at, or one above.
    pub fn near(&mut self) -> i128 {
        i128::from(self.below(3)) - 1
    }

    /// True in `percent` of all cases.
    pub fn is(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
