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
}
