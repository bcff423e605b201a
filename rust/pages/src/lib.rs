//! An allocator that puts large blocks on large pages.
//!
//! A million orders stand in hundreds of megabytes that are met at random. On pages of 4 KiB nearly each
//! of these meetings also misses the processor's table of pages, and walking the page tables of a virtual
//! machine costs more than the memory itself. Blocks of 2 MiB and more are therefore mapped on their own at
//! the bounds of large pages, and Linux is asked for such pages; smaller ones are the system allocator's.
//! Where Linux has none to give, everything works as before, only slower.
//!
//! A program opts in: `#[global_allocator] static ALLOCATOR: LargePages = LargePages;`

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

/// A large page of x86-64 and of ARM with pages of 4 KiB. Also the least block that is mapped on its own.
pub const LARGE: usize = 2 << 20;

/// See the crate.
#[derive(Clone, Copy, Debug, Default)]
pub struct LargePages;

// SAFETY: a block is either the system allocator's or mapped here, as its layout alone decides, so that it is
// given back where it came from. Mapped blocks are disjoint, hold their size and are zero; they begin at a
// multiple of `LARGE`, and larger alignments are the system allocator's again.
unsafe impl GlobalAlloc for LargePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: the caller keeps the promises of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if is_large(layout) {
            unmap(pointer, layout.size());
        } else {
            // SAFETY: the caller keeps the promises of `dealloc`, and the block is the system's.
            unsafe { System.dealloc(pointer, layout) }
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `size` is not zero and can be laid out.
        let grown = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if !is_large(layout) && !is_large(grown) {
            // SAFETY: the caller keeps the promises of `realloc`, and the block is the system's.
            return unsafe { System.realloc(pointer, layout, size) };
        }
        // SAFETY: as above; both blocks hold what is copied, and they are disjoint.
        unsafe {
            let moved = self.alloc(grown);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(pointer, moved, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
            moved
        }
    }
}

fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= LARGE
}

/// Maps `size` bytes at a multiple of [`LARGE`]; null when there is no memory.
fn map(size: usize) -> *mut u8 {
    let Some(wider) = size.checked_add(LARGE) else { return ptr::null_mut() };
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing else.
    let mapped = unsafe { libc::mmap(ptr::null_mut(), wider, protection, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return ptr::null_mut();
    }
    let mapped = mapped.cast::<u8>();
    let before = mapped.align_offset(LARGE);
    let block = mapped.wrapping_add(before);
    let behind = block.wrapping_add(whole_pages(size));
    if before > 0 {
        unmap(mapped, before);
    }
    let left = (mapped as usize + whole_pages(wider)) - behind as usize;
    if left > 0 {
        unmap(behind, left);
    }
    // SAFETY: the range is mapped. A refusal leaves small pages, which serve as well.
    unsafe { libc::madvise(block.cast(), size, libc::MADV_HUGEPAGE) };
    block
}

fn unmap(start: *mut u8, size: usize) {
    // SAFETY: every caller passes a range that was mapped here and is no longer used.
    let outcome = unsafe { libc::munmap(start.cast(), size) };
    debug_assert_eq!(outcome, 0, "what was mapped can be unmapped");
}

/// `size` rounded up to pages of the least size, as the kernel does with what is mapped.
fn whole_pages(size: usize) -> usize {
    // SAFETY: asking for the size of a page has no conditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    size.next_multiple_of(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOCATOR: LargePages = LargePages;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a sound layout")
    }

    /// Fills a block, so that an overlap with another one shows.
    fn fill(block: *mut u8, size: usize, byte: u8) {
        // SAFETY: the tests pass blocks of that size.
        unsafe { ptr::write_bytes(block, byte, size) };
    }

    fn is_filled(block: *const u8, size: usize, byte: u8) -> bool {
        // SAFETY: the tests pass blocks of that size, which they filled before.
        unsafe { std::slice::from_raw_parts(block, size) }.iter().all(|other| *other == byte)
    }

    #[test]
    fn large_blocks_begin_on_large_pages_are_zero_and_do_not_overlap() {
        let sizes = [LARGE, LARGE + 1, 3 * LARGE - 1, 3 << 20, 2 * LARGE];
        let mut blocks = Vec::new();
        for (size, byte) in sizes.into_iter().zip(1..) {
            let layout = layout(size, 64);
            // SAFETY: the layout is not empty.
            let block = unsafe { ALLOCATOR.alloc_zeroed(layout) };
            assert!(!block.is_null() && block.align_offset(LARGE) == 0, "{size}");
            assert!(is_filled(block, size, 0), "{size}");
            fill(block, size, byte);
            blocks.push((block, layout, byte));
        }
        for &(block, layout, byte) in &blocks {
            assert!(is_filled(block, layout.size(), byte), "{}", layout.size());
        }
        for (block, layout, _) in blocks {
            // SAFETY: allocated above with this layout.
            unsafe { ALLOCATOR.dealloc(block, layout) };
        }
    }

    #[test]
    fn what_a_block_holds_moves_with_it_across_both_allocators() {
        let mut current = layout(1_000, 8);
        // SAFETY: the layout is not empty.
        let mut block = unsafe { ALLOCATOR.alloc(current) };
        fill(block, 1_000, 7);
        for size in [LARGE - 8, LARGE, 5 * LARGE, LARGE + 8, 4_096, 1_000] {
            // SAFETY: the block has the current layout.
            block = unsafe { ALLOCATOR.realloc(block, current, size) };
            current = layout(size, 8);
            assert!(is_filled(block, 1_000, 7), "{size}");
        }
        // SAFETY: as above.
        unsafe { ALLOCATOR.dealloc(block, current) };
    }

    #[test]
    fn what_no_machine_has_is_refused() {
        let layout = layout(isize::MAX as usize - LARGE, 8);
        // SAFETY: the layout is not empty.
        assert!(unsafe { ALLOCATOR.alloc(layout) }.is_null());
    }
}
