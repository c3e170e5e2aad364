//! Capture files: the bytes of pcap and pcapng, without the files.
//!
//! A source hands in what it has read so far and gets frames that borrow it, or a fault that says whether more bytes
//! would help. No length found in a file sizes anything: it is compared with [`MAX_CAPTURED`] and with the bytes at hand.

mod order;
pub mod pcap;
pub mod pcapng;

pub use order::Order;

/// Longest packet a capture may hold. Past libpcap's own 256 KiB, for segments gathered by the capturing host
/// ("BIG TCP" goes to 512 KiB); anything longer is taken for a broken file.
pub const MAX_CAPTURED: u32 = 1 << 20;
