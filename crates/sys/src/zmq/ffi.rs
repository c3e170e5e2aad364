//! libzmq's C interface as `zmq.h` of 4.3.5 declares it, and what makes Rust results of C ones.
#![allow(unsafe_code, reason = "a C library")]

use super::Error;
use core::ffi::{CStr, c_char, c_int, c_void};

/// `zmq_msg_t`: 64 bytes, aligned as a pointer.
#[repr(C, align(8))]
pub(super) struct Message([u8; 64]);

impl Message {
    /// Memory for a message, which is none before `zmq_msg_init*`.
    pub(super) const fn blank() -> Message {
        Message([0; 64])
    }
}

pub(super) const DONTWAIT: c_int = 1;
pub(super) const SNDMORE: c_int = 2;

unsafe extern "C" {
    pub(super) fn zmq_ctx_new() -> *mut c_void;
    pub(super) fn zmq_ctx_term(context: *mut c_void) -> c_int;
    pub(super) fn zmq_socket(context: *mut c_void, kind: c_int) -> *mut c_void;
    pub(super) fn zmq_close(socket: *mut c_void) -> c_int;
    pub(super) fn zmq_setsockopt(socket: *mut c_void, name: c_int, value: *const c_void, length: usize) -> c_int;
    pub(super) fn zmq_getsockopt(socket: *mut c_void, name: c_int, value: *mut c_void, length: *mut usize) -> c_int;
    pub(super) fn zmq_bind(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    pub(super) fn zmq_connect(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    pub(super) fn zmq_disconnect(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    pub(super) fn zmq_socket_monitor(socket: *mut c_void, endpoint: *const c_char, events: c_int) -> c_int;
    pub(super) fn zmq_send(socket: *mut c_void, bytes: *const c_void, length: usize, flags: c_int) -> c_int;
    pub(super) fn zmq_msg_init(message: *mut Message) -> c_int;
    pub(super) fn zmq_msg_init_data(
        message: *mut Message,
        bytes: *mut c_void,
        length: usize,
        free: unsafe extern "C" fn(*mut c_void, *mut c_void),
        hint: *mut c_void,
    ) -> c_int;
    pub(super) fn zmq_msg_send(message: *mut Message, socket: *mut c_void, flags: c_int) -> c_int;
    pub(super) fn zmq_msg_recv(message: *mut Message, socket: *mut c_void, flags: c_int) -> c_int;
    pub(super) fn zmq_msg_close(message: *mut Message) -> c_int;
    pub(super) fn zmq_msg_data(message: *mut Message) -> *mut c_void;
    pub(super) fn zmq_msg_size(message: *const Message) -> usize;
    pub(super) fn zmq_msg_gets(message: *const Message, property: *const c_char) -> *const c_char;
    pub(super) fn zmq_msg_more(message: *const Message) -> c_int;
    pub(super) fn zmq_curve_keypair(public: *mut c_char, secret: *mut c_char) -> c_int;
    pub(super) fn zmq_curve_public(public: *mut c_char, secret: *const c_char) -> c_int;
    pub(super) fn zmq_z85_encode(text: *mut c_char, bytes: *const u8, length: usize) -> *mut c_char;
    pub(super) fn zmq_z85_decode(bytes: *mut u8, text: *const c_char) -> *mut u8;
    fn zmq_has(capability: *const c_char) -> c_int;
    fn zmq_errno() -> c_int;
    fn zmq_strerror(number: c_int) -> *const c_char;
}

/// What the last call of this thread failed with.
pub(super) fn last_error() -> Error {
    // SAFETY: no memory is involved.
    Error(unsafe { zmq_errno() })
}

/// Of a result that is -1 when a call failed.
pub(super) fn check(result: c_int) -> Result<usize, Error> {
    usize::try_from(result).map_err(|_| last_error())
}

pub(super) fn text_of(number: i32) -> String {
    // SAFETY: no memory is involved.
    let text = unsafe { zmq_strerror(number) };
    if text.is_null() {
        return format!("error {number}");
    }
    // SAFETY: not null, so a text that lives until this thread asks for the next.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

pub(super) fn has(capability: &CStr) -> bool {
    // SAFETY: a text that ends in zero.
    unsafe { zmq_has(capability.as_ptr()) == 1 }
}
