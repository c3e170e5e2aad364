//! From bytes to what the meter and the encoders understand.

pub mod fragment;
pub mod packet;

pub use packet::Packet;
