//! Generated input for decoders, on a stable compiler and within `cargo test`.
//!
//! [`fuzz`] changes known inputs at random and hands them to a decoder for as long as
//! `VIABTC_FUZZ_SECONDS` says, five seconds unless it is set. What the decoder makes of an input is returned
//! as a number; an input with a new one is kept and changed further, which leads deeper than chance alone.
//! `VIABTC_SEED` repeats a run. An input that makes the decoder panic or take longer than a second is
//! written to `target/fuzz/` and named.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time for each decoder unless something else is asked for: together a minute and a half.
const SECONDS: f64 = 5.0;

/// Longest input that is made of shorter ones.
const INPUT_BYTES_MAX: usize = 64 << 10;

/// Most inputs that are kept.
const KEPT_MAX: usize = 4_096;

/// Longest time for one input.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often an input has to take too long: a busy machine may take the processor away from any of them.
const SLOW_TIMES: usize = 3;

/// Numbers at the edges of fields.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Feeds `decode` with inputs made from `seeds`; `words` are put in here and there. Returns how many inputs
/// there were.
///
/// # Panics
/// When the decoder does, or takes too long.
pub fn fuzz(name: &str, seeds: &[&[u8]], words: &[&[u8]], decode: impl FnMut(&[u8]) -> u64) -> u64 {
    let time = std::env::var("VIABTC_FUZZ_SECONDS").ok();
    let time = time.map_or(SECONDS, |text| text.parse().expect("VIABTC_FUZZ_SECONDS is a number"));
    fuzz_for(Duration::from_secs_f64(time), name, seeds, words, decode)
}

fn fuzz_for(
    time: Duration,
    name: &str,
    seeds: &[&[u8]],
    words: &[&[u8]],
    decode: impl FnMut(&[u8]) -> u64,
) -> u64 {
    let seed = std::env::var("VIABTC_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_nanos() as u64
    });
    let kept = seeds.iter().map(|seed| seed.to_vec()).collect();
    let mut fuzzer = Fuzzer { name, words, random: Random(seed | 1), kept, decode };
    let count = fuzzer.run(time);
    println!("{name}: {count} inputs, {} kept, VIABTC_SEED={seed}", fuzzer.kept.len());
    count
}

/// A number for an outcome: its name, and how far the decoder came on a coarse scale.
pub fn outcome(name: &str, size: usize) -> u64 {
    let scale = u64::from(usize::BITS - size.leading_zeros());
    name.bytes().fold(scale, |number, byte| {
        (number ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3).rotate_left(7)
    })
}

struct Fuzzer<'a, D> {
    name: &'a str,
    words: &'a [&'a [u8]],
    random: Random,
    kept: Vec<Vec<u8>>,
    decode: D,
}

impl<D: FnMut(&[u8]) -> u64> Fuzzer<'_, D> {
    fn run(&mut self, time: Duration) -> u64 {
        let mut seen = HashSet::new();
        for input in self.kept.clone() {
            seen.insert(self.execute(&input));
        }
        let (begun, mut count) = (Instant::now(), 0);
        while begun.elapsed() < time {
            let input = self.make();
            count += 1;
            if seen.insert(self.execute(&input)) && self.kept.len() < KEPT_MAX {
                self.kept.push(input);
            }
        }
        count
    }

    fn execute(&mut self, input: &[u8]) -> u64 {
        for _ in 0..SLOW_TIMES {
            let begun = Instant::now();
            match catch_unwind(AssertUnwindSafe(|| (self.decode)(input))) {
                Ok(outcome) if begun.elapsed() <= PATIENCE => return outcome,
                Ok(_) => {}
                Err(panic) => {
                    println!("{}: the decoder panics: {}", self.name, self.save(input).display());
                    resume_unwind(panic)
                }
            }
        }
        let path = self.save(input);
        panic!("{}: an input takes longer than {PATIENCE:?}: {}", self.name, path.display())
    }

    /// Keeps an input for whoever looks into it; where.
    fn save(&self, input: &[u8]) -> PathBuf {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/fuzz"));
        let path = folder.join(format!("{}-{:016x}", self.name, outcome(self.name, input.len())));
        let saved = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, input));
        if let Err(error) = saved {
            println!("{} cannot be written ({error}); the input is {input:02x?}", path.display());
        }
        path
    }

    fn make(&mut self) -> Vec<u8> {
        let mut input = self.random.choose(&self.kept).cloned().unwrap_or_default();
        for _ in 0..=self.random.below(6) {
            self.change(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() + 1);
        match self.random.below(10) {
            0 if at < input.len() => input[at] ^= 1 << self.random.below(8),
            1 if at < input.len() => input[at] = self.random.next() as u8,
            2 => input.insert(at, self.random.next() as u8),
            3 => {
                let end = (at + 1 + self.random.below(16)).min(input.len());
                input.drain(at.min(end)..end);
            }
            4 => input.truncate(at),
            5 => {
                // A piece of it, again.
                let end = (at + self.random.below(64)).min(input.len());
                let piece = input[at..end].to_vec();
                let target = self.random.below(input.len() + 1);
                input.splice(target..target, piece);
            }
            6 => {
                // The end of another.
                let other = self.random.choose(&self.kept).cloned().unwrap_or_default();
                let from = self.random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            7 => {
                let word = self.random.choose(self.words).map_or(&b""[..], |word| word);
                input.splice(at..at, word.iter().copied());
            }
            8 => {
                // A field with a number at its edge, in either order of bytes.
                let number = EDGES[self.random.below(EDGES.len())];
                let width = 1 << self.random.below(4);
                let bytes = number.to_le_bytes();
                let mut field = bytes[..width].to_vec();
                if self.random.below(2) == 0 {
                    field.reverse();
                }
                let end = (at + width).min(input.len());
                input.splice(at..end, field);
            }
            _ => {
                // Digits with others in their place.
                let digits = input.iter().skip(at).position(u8::is_ascii_digit);
                if let Some(start) = digits.map(|offset| at + offset) {
                    let rest = &input[start..];
                    let length = rest.iter().position(|byte| !byte.is_ascii_digit());
                    let end = start + length.unwrap_or(rest.len());
                    let number = EDGES[self.random.below(EDGES.len())].to_string();
                    input.splice(start..end, number.into_bytes());
                }
            }
        }
    }
}

/// A small generator: the xorshift of 64 bits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.below(items.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(3);

    #[test]
    fn a_decoder_that_panics_is_found_out() {
        let found = catch_unwind(|| {
            fuzz_for(TIME, "self-test", &[b"harmless"], &[b"bad"], |input| {
                assert!(!input.windows(3).any(|window| window == b"bad"), "found");
                0
            })
        });
        assert!(found.is_err());
    }

    #[test]
    fn inputs_with_new_outcomes_are_kept() {
        let mut most = 0;
        fuzz_for(TIME, "depth", &[b""], &[b"x"], |input| {
            let depth = input.iter().take_while(|byte| **byte == b'x').count();
            most = most.max(depth);
            depth as u64
        });
        assert!(most > 12, "{most} is what chance alone gives");
    }
}
