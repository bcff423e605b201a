//! What the engine asks of the processor itself: memory that will be needed soon, without waiting for it, and
//! words that are compared together.
//!
//! A read that memory has to answer holds up everything behind it as soon as the processor's window of
//! some hundred instructions is full; a request of this kind is done at once, so that dozens of them are
//! on their way together. Nothing is read and nothing changes but the time that later reads take. The crate
//! exists because the language calls both unsafe: the one takes a pointer, and a reference is always a place that
//! may be asked for; the other is not there on every processor, but on every one of the kind it is compiled for.
#![no_std]

/// Bytes that memory brings together.
const LINE: usize = 64;

/// Asks for all of `place`.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    let start = core::ptr::from_ref(place).cast::<u8>();
    let mut offset = 0;
    while offset < size_of::<T>() {
        ask(start.wrapping_add(offset));
        offset += LINE;
    }
    if align_of::<T>() < LINE && size_of::<T>() > align_of::<T>() {
        // It may begin inside a line and end in the next one.
        ask(start.wrapping_add(size_of::<T>() - 1));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn ask(byte: *const u8) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction has no effect on the program, whatever the pointer is.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(byte.cast()) };
}

/// Where there is no such instruction within the language, the byte is read.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn ask(byte: *const u8) {
    // SAFETY: every caller passes a byte of a value that it has a reference to; what it holds, if anything,
    // does not matter.
    _ = unsafe { byte.cast::<core::mem::MaybeUninit<u8>>().read_volatile() };
}

/// Which of `words` are `word`, a bit each, the first one the lowest.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn equal(words: [u32; 8], word: u32) -> u32 {
    // SAFETY: every processor of this kind has SSE2.
    unsafe { equal_by_sse2(words, word) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn equal_by_sse2(words: [u32; 8], word: u32) -> u32 {
    use core::arch::x86_64::{
        _mm_cmpeq_epi32, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32, _mm_set_epi32,
        _mm_set1_epi32, _mm_setzero_si128,
    };
    let [a, b, c, d, e, f, g, h] = words.map(u32::cast_signed);
    let sought = _mm_set1_epi32(word.cast_signed());
    let low = _mm_cmpeq_epi32(_mm_set_epi32(d, c, b, a), sought);
    let high = _mm_cmpeq_epi32(_mm_set_epi32(h, g, f, e), sought);
    // What is equal has all bits set; shrunk to a byte each, their upper bits are gathered.
    let bytes = _mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128());
    _mm_movemask_epi8(bytes).cast_unsigned()
}

/// Which of `words` are `word`, a bit each, the first one the lowest.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub fn equal(words: [u32; 8], word: u32) -> u32 {
    words.iter().rev().fold(0, |bits, other| bits << 1 | u32::from(*other == word))
}

#[cfg(test)]
mod tests {
    use super::{equal, prefetch};

    #[test]
    fn each_equal_word_has_its_bit() {
        for expected in 0..256u32 {
            let words = core::array::from_fn(|place| match expected >> place & 1 {
                1 => 0x8000_0001,
                _ => [0, 1, 0x8000_0000, u32::MAX][place % 4],
            });
            assert_eq!(equal(words, 0x8000_0001), expected);
        }
        assert_eq!(equal([u32::MAX; 8], u32::MAX), 255);
    }

    /// All that can be seen of it: values of any size and alignment stay as they are.
    #[test]
    fn what_is_asked_for_stays_as_it_is() {
        #[repr(align(64))]
        #[derive(Clone, PartialEq, Debug)]
        struct Lines([u8; 192]);
        let (lines, bytes, nothing) = (Lines([7; 192]), [1u8; 100], ());
        prefetch(&lines);
        prefetch(&bytes);
        prefetch(&nothing);
        assert_eq!((lines, bytes), (Lines([7; 192]), [1; 100]));
    }
}
