//! One collected record, as the cache takes it.

use flowsonde_wire::Nanos;

use super::key::{End, Key};
use crate::decode::applications::Called;

/// What an exporter tells of a flow, sampling accounted for. Of pairs by direction the first is SRC to DST; of others the
/// first is SRC's. What it does not tell is 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Collected {
    /// Flow key, the same for both directions, exporter and interfaces in it.
    pub key: Key,
    /// 0 when SRC is the key's first end, else 1.
    pub direction: u8,
    /// First packet, by the exporter's clock.
    pub first: Nanos,
    /// Last packet.
    pub last: Nanos,
    /// When the last packet was by our clock: the time between that packet and the export is the exporter's word, and it
    /// was exported when it arrived.
    pub seen: Nanos,
    /// Packets, by direction.
    pub packets: [u64; 2],
    /// Bytes, by direction.
    pub bytes: [u64; 2],
    /// ICMP type and code, type * 256 + code.
    pub icmp: u16,
    /// TCP flags, by direction.
    pub tcp_flags: [u8; 2],
    /// ToS or traffic class, by direction.
    pub tos: [u8; 2],
    /// The exporter's address, as IPv6.
    pub exporter: [u8; 16],
    /// Observation domain or source id.
    pub domain: u32,
    /// Interfaces it came in by and went out by.
    pub interfaces: [u32; 2],
    /// AS of each.
    pub systems: [u32; 2],
    /// Bits of each one's prefix.
    pub masks: [u8; 2],
    /// What the exporter calls its application.
    pub called: Called,
    /// What became of the packets.
    pub status: u8,
    /// As [`Origin::bits`](super::flow::Origin::bits), but `EGRESS` is of the first direction.
    pub bits: u8,
    /// Packets one stands for.
    pub rate: u32,
    /// Next hop and BGP next hop.
    pub hops: [End; 2],
    /// MAC addresses.
    pub macs: [[u8; 6]; 2],
}

impl Collected {
    /// True when it tells of any packet or byte.
    #[inline]
    pub fn has_traffic(&self) -> bool {
        self.packets != [0; 2] || self.bytes != [0; 2]
    }

    /// True when it tells of both directions.
    #[inline]
    pub fn is_two_way(&self) -> bool {
        self.packets[1] > 0 || self.bytes[1] > 0
    }
}
