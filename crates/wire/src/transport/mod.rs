//! The transport layer.

pub mod icmp;
pub mod tcp;
