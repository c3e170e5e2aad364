//! The two ends: where packets come from ([`source`]) and where records go ([`sink`]).

pub mod memory;
pub mod process;
pub mod sink;
pub mod source;
