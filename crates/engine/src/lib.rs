//! The middle: packets become flows, flows become records.
//!
//! ```text
//! Frame --decode::packet--> Packet --meter::Meter--> Ended flows --encode::*--> messages
//! Datagram --decode::Collector--> Set of records --transcode::*--> messages
//!                                  Set of records --merge::Merger--> Ended flows --encode::*--> messages
//! ```
//!
//! Pure: no clock, socket, file, thread or global. Time is the packet's own, so a capture gives the same flows at any
//! speed.

pub mod decode;
pub mod encode;
pub mod fill;
pub mod merge;
pub mod meter;
pub mod transcode;
