//! Buffers lent to libzmq, which sends from them without copying and gives them back.
//!
//! What is out is what waits: libzmq tells nothing of its queues, but a buffer returns when the last connection it was
//! queued for has taken it, or is gone.
#![allow(unsafe_code, reason = "a C library")]

use super::ffi::{self, Message};
use super::{Error, Socket};
use core::cell::Cell;
use core::ffi::c_void;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Buffers, and the books of what came back.
#[derive(Clone, Debug, Default)]
pub struct Pool(Arc<Shelf>);

/// Bytes to be sent.
#[derive(Debug)]
pub struct Buffer {
    /// What will be sent.
    pub bytes: Vec<u8>,
    /// What it counts for in [`Returned`].
    pub weight: u32,
    /// Where it goes back to. None on the shelf, which would else keep itself alive.
    pool: Option<Pool>,
}

/// What came back to a [`Pool`] so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// Buffers.
    pub buffers: u64,
    /// The sum of their weights.
    pub weight: u64,
}

#[derive(Debug, Default)]
struct Shelf {
    // Boxed once, so that lending neither allocates nor moves.
    #[allow(clippy::vec_box, reason = "the box is what is lent")]
    idle: Mutex<Vec<Box<Buffer>>>,
    buffers: AtomicU64,
    weight: AtomicU64,
}

/// Idle buffers kept; after a long queue the others are freed.
const KEPT: usize = 64;
/// A buffer that has grown beyond this is not kept.
const LARGE: usize = 256 << 10;

thread_local! {
    /// A buffer came back on this thread: within a call that sends, because nobody took it.
    static REFUSED: Cell<bool> = const { Cell::new(false) };
}

impl Pool {
    /// An empty buffer.
    pub fn take(&self) -> Box<Buffer> {
        let idle = self.0.idle.lock().unwrap_or_else(|error| error.into_inner()).pop();
        let mut buffer = idle.unwrap_or_else(|| Box::new(Buffer { bytes: Vec::new(), weight: 0, pool: None }));
        buffer.pool = Some(self.clone());
        buffer
    }

    /// What came back so far.
    pub fn returned(&self) -> Returned {
        let weight = self.0.weight.load(Ordering::Acquire);
        Returned { buffers: self.0.buffers.load(Ordering::Acquire), weight }
    }

    /// Keeps a buffer that was not sent, for the next.
    pub fn keep(&self, mut buffer: Box<Buffer>) {
        buffer.bytes.clear();
        buffer.weight = 0;
        buffer.pool = None;
        if buffer.bytes.capacity() <= LARGE {
            let mut idle = self.0.idle.lock().unwrap_or_else(|error| error.into_inner());
            if idle.len() < KEPT {
                idle.push(buffer);
            }
        }
    }
}

impl Socket {
    /// Sends the bytes of `buffer` as the last part of a message, without waiting. True when somebody took it; false when
    /// nobody did, and it has come back already.
    ///
    /// A failure gives the buffer back, with nothing sent.
    pub fn lend(&self, buffer: Box<Buffer>) -> Result<bool, (Error, Box<Buffer>)> {
        let length = buffer.bytes.len();
        let hint = Box::into_raw(buffer);
        let mut message = Message::blank();
        // SAFETY: `hint` was a box a line ago. Its bytes stay where they are until `give_back`, which libzmq calls once,
        // when it needs them no longer; it does not write to them.
        let made = unsafe {
            let bytes = (*hint).bytes.as_mut_ptr().cast::<c_void>();
            ffi::check(ffi::zmq_msg_init_data(&mut message, bytes, length, give_back, hint.cast()))
        };
        if let Err(error) = made {
            // SAFETY: libzmq does not know of it.
            return Err((error, unsafe { Box::from_raw(hint) }));
        }
        REFUSED.set(false);
        // SAFETY: an initialised message, which belongs to libzmq once this succeeds, and a socket that is open.
        match ffi::check(unsafe { ffi::zmq_msg_send(&mut message, self.raw(), ffi::DONTWAIT) }) {
            Ok(_) => Ok(!REFUSED.get()),
            Err(error) => {
                // The message is still ours, but to take the buffer out of it again there is no call: closing it would
                // put the buffer back into the pool. So what is in it is taken out first, and an empty box goes.
                // SAFETY: nobody else has the buffer: sending it failed, and with it the only way out of this thread.
                let (bytes, weight, pool) = unsafe {
                    let buffer = &mut *hint;
                    (core::mem::take(&mut buffer.bytes), buffer.weight, buffer.pool.take())
                };
                // SAFETY: an initialised message that was not sent. What it points to is not looked at.
                unsafe { ffi::zmq_msg_close(&mut message) };
                Err((error, Box::new(Buffer { bytes, weight, pool })))
            }
        }
    }
}

/// `zmq_free_fn`: puts a buffer back. Called on whichever thread needed it last.
unsafe extern "C" fn give_back(_bytes: *mut c_void, hint: *mut c_void) {
    // SAFETY: `hint` is the box of `Socket::lend`, and this its only end.
    let mut buffer = unsafe { Box::from_raw(hint.cast::<Buffer>()) };
    REFUSED.set(true);
    let Some(pool) = buffer.pool.take() else { return };
    let weight = u64::from(buffer.weight);
    pool.keep(buffer);
    pool.0.weight.fetch_add(weight, Ordering::AcqRel);
    pool.0.buffers.fetch_add(1, Ordering::AcqRel);
}
