//! The network layer.

pub mod ipv4;
pub mod ipv6;
