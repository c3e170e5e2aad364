//! From packets to flows.

pub mod cache;
pub mod client;
pub mod expiry;
pub mod flow;
pub mod gaps;
pub mod index;
pub mod key;
pub mod latency;
pub mod rate;
pub mod slab;
pub mod tcp;

pub use cache::{Config, Meter};
pub use flow::{Ended, Group, Groups, View};
