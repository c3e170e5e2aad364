//! An allocator that asks the kernel for huge pages where they pay: under the chunks of the flow cache.
//!
//! A cache of a million flows is touched at random. With 4 KiB pages nearly every touch misses the TLB as well as the
//! cache; with 2 MiB pages the TLB covers it. Most systems give huge pages only where a program asks for them
//! (`/sys/kernel/mm/transparent_hugepage/enabled` = madvise), so this asks, for large blocks only: small ones would waste
//! memory.
#![allow(unsafe_code, reason = "an allocator is an unsafe trait, and madvise a system call")]

use std::alloc::{GlobalAlloc, Layout, System};

/// Blocks of at least this many bytes are worth it: two huge pages.
const LARGE: usize = 4 << 20;
/// Large blocks begin where a huge page does, or half of each could not be one.
const HUGE_PAGE: usize = 2 << 20;

/// The system's allocator, with [`madvise`](libc::madvise)`(MADV_HUGEPAGE)` on large blocks.
pub struct HugePages;

// SAFETY: every block comes from `System` and goes back to it; a stricter alignment than asked for fits what was asked
// for, and on Unix, `System` frees and resizes by the address alone. The advice changes neither contents nor lifetime of a
// mapping, and is given for whole pages inside the block only.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's obligations are `System`'s.
        let block = unsafe { System.alloc(aligned(layout)) };
        advise(block, layout.size());
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe { System.alloc_zeroed(aligned(layout)) };
        advise(block, layout.size());
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe { System.realloc(block, layout, size) };
        advise(block, size);
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[inline]
fn aligned(layout: Layout) -> Layout {
    if cfg!(target_os = "linux") && layout.size() >= LARGE {
        layout.align_to(HUGE_PAGE).unwrap_or(layout)
    } else {
        layout
    }
}

#[inline]
fn advise(block: *mut u8, size: usize) {
    #[cfg(target_os = "linux")]
    if size >= LARGE && !block.is_null() {
        const PAGE: usize = 4096;
        let skip = block.align_offset(PAGE);
        let len = size.saturating_sub(skip) / PAGE * PAGE;
        // SAFETY: `skip + len <= size`, so the range lies within the block just allocated. A refusal changes nothing.
        unsafe { libc::madvise(block.add(skip).cast(), len, libc::MADV_HUGEPAGE) };
    }
}
