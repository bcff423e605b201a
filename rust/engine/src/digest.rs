//! A checksum of the state that costs a few nanoseconds per change.
//!
//! The digest is the wrapping sum of one number per balance, resting order and remembered update, so that
//! a change subtracts the old number and adds the new one, whatever the order. It finds divergence; it is
//! no defence against forgery. The numbers are part of the journal's format: they never change.

/// Odd constant with bits spread evenly: the fraction of the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// One number for `words`; `domain` keeps kinds of things apart.
pub(crate) fn mix(domain: u64, words: &[u64]) -> u64 {
    let mut state = domain.wrapping_mul(SPREAD);
    for word in words {
        // The folded product mixes every input bit into both halves; the addition keeps zero from sticking.
        let product = u128::from(state ^ word) * u128::from(SPREAD);
        state = ((product >> 64) as u64 ^ product as u64).wrapping_add(SPREAD);
    }
    state
}

/// One number for `words`, fast: the products do not wait for each other. For sums of things whose kind is
/// evident from their words.
///
/// Words are taken in pairs; each pair is folded out of a full product, as [`mix`] does with one word.
#[inline]
pub(crate) fn weigh<const COUNT: usize>(words: [u64; COUNT]) -> u64 {
    const { assert!(COUNT.is_multiple_of(2), "words come in pairs") };
    let mut sum = SPREAD;
    let mut key = SPREAD;
    for pair in words.chunks_exact(2) {
        let (a, b) = (pair[0] ^ key, pair[1] ^ key.rotate_left(29));
        let product = u128::from(a) * u128::from(b);
        sum = sum.wrapping_add((product >> 64) as u64 ^ product as u64 ^ a.rotate_left(17) ^ b);
        key = key.wrapping_mul(SPREAD);
    }
    sum ^ sum >> 31
}

/// Both halves of a number of 128 bits.
pub(crate) const fn halves(number: i128) -> [u64; 2] {
    [number as u64, (number >> 64) as u64]
}

/// As [`mix`], for text.
pub(crate) fn mix_bytes(domain: u64, bytes: &[u8]) -> u64 {
    let mut state = mix(domain, &[bytes.len() as u64]);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = mix(state, &[u64::from_le_bytes(word)]);
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_format_stay_what_they_are() {
        assert_eq!(mix(0, &[]), 0);
        assert_ne!(mix(1, &[0, 0]), mix(1, &[0]));
        assert_ne!(mix(1, &[1, 2]), mix(1, &[2, 1]));
        assert_ne!(mix_bytes(1, b"a"), mix_bytes(1, b"a\0"));
    }

    /// Each bit of each word changes the number, and no two words are taken for each other.
    #[test]
    fn weighing_sees_every_bit_in_its_place() {
        let words = [3, 1 << 40, 0, u64::MAX, 7, 0x0123_4567_89ab_cdef];
        let mut seen = alloc::collections::BTreeSet::from([weigh(words)]);
        for index in 0..words.len() {
            for bit in 0..64 {
                let mut changed = words;
                changed[index] ^= 1 << bit;
                assert!(seen.insert(weigh(changed)), "word {index}, bit {bit}");
            }
            for other in 0..index {
                let mut swapped = words;
                swapped.swap(index, other);
                assert!(seen.insert(weigh(swapped)), "words {index} and {other}");
            }
        }
    }
}
