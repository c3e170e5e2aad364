//! The two ends: where packets come from ([`source`]) and where records go ([`sink`]).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed"))]

pub mod confine;
#[cfg(feature = "zmq")]
pub mod dial;
pub mod memory;
pub mod process;
pub mod relay;
pub mod sink;
pub mod source;
pub mod spool;
