//! C libraries, each behind a cargo feature and a thin shim that is safe to call.
//!
//! A shim has the few calls that are needed, declared by hand, and no opinion: what they are used for is told where they
//! are used.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed"))]

#[cfg(feature = "ndpi")]
pub mod ndpi;
#[cfg(feature = "zmq")]
pub mod zmq;
