//! Asks memory for what will be needed soon, without waiting for it.
//!
//! A read that memory has to answer holds up everything behind it as soon as the processor's window of
//! some hundred instructions is full; a request of this kind is done at once, so that dozens of them are
//! on their way together. Nothing is read and nothing changes but the time that later reads take. The crate
//! exists because the instruction takes a pointer: a reference is always a place that may be asked for.
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
    if align_of::<T>() < LINE && size_of::<T>() > 1 {
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

#[cfg(test)]
mod tests {
    use super::prefetch;

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
