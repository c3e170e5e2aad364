//! The programs: flags, configuration, pipeline, ledger.
//!
//! [`flags`] says what can be asked for, [`config`] reads it from a file, [`manual`] prints it. [`ledger`] says what
//! became of every packet; [`log`] and [`progress`] are the lines a person sees meanwhile, written through [`console`].
//! [`dpi`] finds applications out.
//! [`load`] is the load generator, `flowload`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed"))]

pub mod catalogue;
pub mod config;
pub mod console;
pub mod dpi;
pub mod flags;
pub mod ledger;
pub mod load;
pub mod log;
pub mod manual;
pub mod pipeline;
mod privileges;
pub mod progress;
#[cfg(feature = "zmq")]
pub mod relay;
mod replace;
mod secret;
pub mod stop;
pub mod words;
