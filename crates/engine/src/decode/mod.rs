//! From bytes to what the meter and the encoders understand.

pub mod applications;
pub mod collector;
pub mod connections;
pub mod filter;
pub mod fragment;
pub mod layout;
pub mod netflow5;
mod options;
pub mod packet;
pub mod records;
pub mod reforge;
pub mod sampled;
pub mod sampling;
pub mod saved;
pub mod section;
pub mod sequence;
pub mod session;
pub mod sessions;
pub mod sflow5;
pub mod templates;
mod walk;

pub use collector::Collector;
pub use packet::Packet;
