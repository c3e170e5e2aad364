//! The shim's C interface, `shim.c`.
#![allow(unsafe_code, reason = "a C library")]

use core::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;

use super::{Names, Verdict};

unsafe extern "C" {
    safe fn fs_ndpi_api_built_for() -> u32;
    safe fn fs_ndpi_api_loaded() -> u32;
    safe fn fs_ndpi_flow_built_for() -> u32;
    safe fn fs_ndpi_flow_loaded() -> u32;
    safe fn fs_ndpi_revision() -> *const c_char;
    fn fs_ndpi_new() -> *mut c_void;
    fn fs_ndpi_load_protocols(module: *mut c_void, path: *const c_char) -> c_int;
    fn fs_ndpi_load_categories(module: *mut c_void, path: *const c_char) -> c_int;
    fn fs_ndpi_ready(module: *mut c_void, guess: c_int) -> c_int;
    fn fs_ndpi_end(module: *mut c_void);
    safe fn fs_ndpi_flow_new() -> *mut c_void;
    fn fs_ndpi_flow_clear(flow: *mut c_void);
    fn fs_ndpi_flow_touch(flow: *const c_void);
    fn fs_ndpi_flow_end(flow: *mut c_void);
    fn fs_ndpi_packet(
        module: *mut c_void,
        flow: *mut c_void,
        ip: *const u8,
        len: u16,
        ms: u64,
        last: c_int,
        early: c_int,
        guess: c_int,
        out: *mut Verdict,
    ) -> c_int;
    fn fs_ndpi_give_up(module: *mut c_void, flow: *mut c_void, guess: c_int, out: *mut Verdict);
    fn fs_ndpi_address(module: *mut c_void, address: u32) -> u16;
    fn fs_ndpi_count(module: *mut c_void, what: c_int) -> u32;
    fn fs_ndpi_name(module: *mut c_void, what: c_int, i: u32) -> *const c_char;
}

/// API version and size of a flow: what the shim was built for, and what is loaded.
pub(super) fn versions() -> [(u32, u32); 2] {
    [(fs_ndpi_api_built_for(), fs_ndpi_flow_built_for()), (fs_ndpi_api_loaded(), fs_ndpi_flow_loaded())]
}

/// The library's release.
pub(super) fn revision() -> String {
    text(fs_ndpi_revision())
}

/// A copy of one of the library's texts.
fn text(at: *const c_char) -> String {
    if at.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the library's texts end with NUL.
    unsafe { CStr::from_ptr(at) }.to_string_lossy().into_owned()
}

/// A detection module. It has no thread of its own, and nothing of it is shared with another.
#[derive(Debug)]
pub(super) struct Module {
    at: NonNull<c_void>,
    guess: c_int,
    early: c_int,
}

// SAFETY: a module is its own memory; any thread may use it, one at a time.
unsafe impl Send for Module {}

impl Module {
    /// One that knows what the library knows. The caller sees to it that no two are made at once.
    pub(super) fn new(guess: bool, early: bool) -> Option<Module> {
        // SAFETY: no arguments; null when there is no memory.
        NonNull::new(unsafe { fs_ndpi_new() }).map(|at| Module {
            at,
            guess: c_int::from(guess),
            early: c_int::from(early),
        })
    }

    /// Reads a file of protocols; false when it cannot be read.
    pub(super) fn load_protocols(&mut self, path: &CStr) -> bool {
        // SAFETY: a live module, a text that ends with NUL and is not kept.
        unsafe { fs_ndpi_load_protocols(self.at.as_ptr(), path.as_ptr()) >= 0 }
    }

    /// Reads a file of categories; false when it cannot be read.
    pub(super) fn load_categories(&mut self, path: &CStr) -> bool {
        // SAFETY: as above.
        unsafe { fs_ndpi_load_categories(self.at.as_ptr(), path.as_ptr()) >= 0 }
    }

    /// Everything is loaded; to be called once, before the first packet.
    pub(super) fn ready(&mut self) -> bool {
        // SAFETY: a live module.
        unsafe { fs_ndpi_ready(self.at.as_ptr(), self.guess) == 0 }
    }

    /// Shows a packet; true when the verdict stands and is in `out`.
    #[inline]
    pub(super) fn packet(&mut self, flow: &mut Flow, ip: &[u8], ms: u64, last: bool, out: &mut Verdict) -> bool {
        // Captured lengths beyond that are of no IP packet.
        let len = u16::try_from(ip.len()).unwrap_or(u16::MAX);
        // SAFETY: a live module and flow, `len` readable bytes, all borrowed for the call; `out` is plain.
        unsafe {
            fs_ndpi_packet(
                self.at.as_ptr(),
                flow.0.as_ptr(),
                ip.as_ptr(),
                len,
                ms,
                c_int::from(last),
                self.early,
                self.guess,
                out,
            ) != 0
        }
    }

    /// No packet follows: the verdict as it stands.
    pub(super) fn give_up(&mut self, flow: &mut Flow, out: &mut Verdict) {
        // SAFETY: as above.
        unsafe { fs_ndpi_give_up(self.at.as_ptr(), flow.0.as_ptr(), self.guess, out) }
    }

    /// The protocol whose network an address is of, 0 when none is known.
    pub(super) fn address(&mut self, address: [u8; 4]) -> u16 {
        // SAFETY: a live module. The bytes stay in their order, which is the network's.
        unsafe { fs_ndpi_address(self.at.as_ptr(), u32::from_ne_bytes(address)) }
    }

    /// Names by number, of one kind.
    pub(super) fn names(&self, what: Names) -> Vec<String> {
        // SAFETY: a live module; `i` is below the count it tells.
        let count = unsafe { fs_ndpi_count(self.at.as_ptr(), what as c_int) };
        (0..count).map(|i| text(unsafe { fs_ndpi_name(self.at.as_ptr(), what as c_int, i) })).collect()
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: live until now.
        unsafe { fs_ndpi_end(self.at.as_ptr()) }
    }
}

/// What the library knows of a flow under way.
#[derive(Debug)]
pub(super) struct Flow(NonNull<c_void>);

// SAFETY: a flow is its own memory.
unsafe impl Send for Flow {}

impl Flow {
    /// One of which nothing is known; none when there is no memory.
    pub(super) fn new() -> Option<Flow> {
        NonNull::new(fs_ndpi_flow_new()).map(Flow)
    }

    /// Forgets all, for another flow.
    pub(super) fn touch(&self) {
        // SAFETY: a flow; nothing of it is changed.
        unsafe { fs_ndpi_flow_touch(self.0.as_ptr()) };
    }

    pub(super) fn clear(&mut self) {
        // SAFETY: a live flow.
        unsafe { fs_ndpi_flow_clear(self.0.as_ptr()) }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // SAFETY: live until now.
        unsafe { fs_ndpi_flow_end(self.0.as_ptr()) }
    }
}
