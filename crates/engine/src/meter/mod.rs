//! From packets to flows.

pub mod application;
pub mod behaviour;
pub mod cache;
pub mod client;
pub mod collected;
pub mod config;
pub mod expiry;
pub mod flow;
pub mod gaps;
mod groups;
pub mod index;
pub mod key;
pub mod latency;
pub mod rate;
pub mod slab;
pub mod tcp;

pub use cache::Meter;
pub use collected::Collected;
pub use config::Config;
pub use flow::{Ended, Group, Groups, View};
