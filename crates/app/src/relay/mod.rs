//! The relay: takes flow export outside a firewall and hands it, unopened, to a collector inside.
//!
//! ```text
//! Udp (a thread a port) -> Intake (who may, is it flow export) -> Queue (memory, spool) -> Link (CURVE, a thread)
//! ```
//!
//! `docs/relay.md` is for users, `docs/relay-protocol.md` has what goes over the line.

mod books;
mod confine;
mod core;
mod intake;
pub mod keys;
pub mod options;
mod run;

pub use options::{Action, Options};
pub use run::run;
