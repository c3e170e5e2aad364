//! Messages of flow export protocols: their headers and the few fixed parts behind them.

pub mod check;
pub mod datagram;
pub mod ipfix;
pub mod netflow5;
pub mod netflow9;
pub mod sflow5;

pub use datagram::{Datagram, Transport};
