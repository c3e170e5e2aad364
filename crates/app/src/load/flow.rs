//! Made-up flows: what a record says of one, all of it a function of a seed and the flow's number.
//!
//! Flows of different numbers have different keys: address and port of the client are the number itself, permuted. The
//! rest is drawn from the number's hash: mostly TCP to a few well-known services.

use flowsonde_wire::Nanos;

/// Most flows that can be told apart: numbers have this many values.
pub const MOST: u32 = 1 << 24;

/// Ports of services, with what runs there; the more often, the more likely.
const SERVICES: [(u16, u8); 16] = [
    (443, TCP),
    (443, TCP),
    (443, TCP),
    (443, TCP),
    (443, UDP),
    (80, TCP),
    (80, TCP),
    (8080, TCP),
    (53, UDP),
    (53, UDP),
    (123, UDP),
    (22, TCP),
    (25, TCP),
    (993, TCP),
    (3389, TCP),
    (3306, TCP),
];
const TOS: [u8; 8] = [0, 0, 0, 0, 0, 0x28, 0x48, 0xb8];
/// TCP's number as an IP protocol.
pub const TCP: u8 = 6;
/// UDP's number as an IP protocol.
pub const UDP: u8 = 17;
/// SYN, FIN, PSH and ACK: a connection seen from its first packet to its last.
const WHOLE_CONNECTION: u8 = 0x1b;

/// One flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its number, permuted: 24 bits that no other flow has.
    pub key: u32,
    /// Bits drawn for it, for whatever the rest does not tell.
    pub draw: u64,
    /// Address of the client, in 10.1.0.0/20.
    pub source: [u8; 4],
    /// Address of the server, in 198.18.0.0/15.
    pub destination: [u8; 4],
    /// Next hop, in 192.0.2.0/24.
    pub next_hop: [u8; 4],
    /// Interface the packets came in by, 1 to 4.
    pub input: u32,
    /// Interface they left by, 5 to 8.
    pub output: u32,
    /// Packets.
    pub packets: u32,
    /// Bytes of the IP packets.
    pub octets: u32,
    /// How long it lasted.
    pub lasted_ms: u32,
    /// How long before it was exported it ended.
    pub ended_ms: u32,
    /// Port of the client.
    pub source_port: u16,
    /// Port of the server.
    pub destination_port: u16,
    /// TCP flags of all packets; 0 for UDP.
    pub tcp_flags: u8,
    /// IP protocol.
    pub protocol: u8,
    /// ToS.
    pub tos: u8,
    /// AS of the client, of the 16-bit private ones.
    pub source_as: u32,
    /// AS of the server, likewise.
    pub destination_as: u32,
    /// VLAN.
    pub vlan: u16,
}

impl Flow {
    /// Length of the client's network prefix.
    pub const SOURCE_MASK: u8 = 20;
    /// Length of the server's network prefix.
    pub const DESTINATION_MASK: u8 = 15;

    /// Flow `number`, of which the lower 24 bits count.
    #[inline]
    pub fn new(seed: u64, number: u32) -> Flow {
        let key = permuted(seed, number);
        let draw = mix(seed ^ u64::from(key) << 20);
        let more = mix(draw);
        let bits = |from: u32, count: u32| (more >> from) as u32 & ((1 << count) - 1);
        let (destination_port, protocol) = SERVICES[(draw & 15) as usize];
        let packets = 1 + ((draw >> 4) & 63) as u32;
        let [.., client_high, client_low] = (0x0100 + (key & 0xfff)).to_be_bytes();
        let server = 198 << 24 | 18 << 16 | ((draw >> 10) as u32 & 0x1_ffff);
        Flow {
            key,
            draw,
            source: [10, 1, client_high - 1, client_low],
            destination: u32::to_be_bytes(server),
            next_hop: [192, 0, 2, 1 + bits(0, 3) as u8],
            input: 1 + bits(3, 2),
            output: 5 + bits(5, 2),
            packets,
            octets: packets * (60 + ((bits(7, 11) * 45) >> 6)),
            lasted_ms: (packets - 1) * bits(18, 10),
            ended_ms: bits(28, 10),
            // Below 62,464: 4,096 steps of 15.
            source_port: 1024 + (key >> 12) as u16 * 15,
            destination_port,
            tcp_flags: if protocol == TCP { WHOLE_CONNECTION } else { 0 },
            protocol,
            tos: TOS[bits(38, 3) as usize],
            source_as: 64512 + bits(41, 9),
            destination_as: 64512 + bits(50, 9),
            vlan: 100 + bits(59, 3) as u16,
        }
    }

    /// When it ended, exported at `now`.
    #[inline]
    pub fn last(&self, now: Nanos) -> Nanos {
        Nanos(now.0.saturating_sub(u64::from(self.ended_ms) * 1_000_000))
    }

    /// When it began.
    #[inline]
    pub fn first(&self, now: Nanos) -> Nanos {
        Nanos(self.last(now).0.saturating_sub(u64::from(self.lasted_ms) * 1_000_000))
    }

    /// The client's address were it IPv6.
    #[inline]
    pub fn source_v6(&self) -> [u8; 16] {
        v6(1, self.source)
    }

    /// The server's.
    #[inline]
    pub fn destination_v6(&self) -> [u8; 16] {
        v6(2, self.destination)
    }

    /// The next hop's.
    #[inline]
    pub fn next_hop_v6(&self) -> [u8; 16] {
        v6(3, self.next_hop)
    }
}

/// An address in 2001:db8::/32 that ends in an IPv4 address.
#[inline]
fn v6(net: u8, [a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [0x20, 0x01, 0x0d, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, a, b, c, d]
}

/// An exporter's flows, over and over in the same order.
#[derive(Clone, Copy, Debug)]
pub struct Flows {
    seed: u64,
    first: u32,
    count: u32,
    at: u32,
}

impl Flows {
    /// The share of exporter `number` of `of` in `flows` flows. With fewer flows than exporters some have the same one.
    pub fn share(seed: u64, flows: u32, number: u32, of: u32) -> Flows {
        let (flows, of) = (flows.clamp(1, MOST), of.max(1));
        let start = |n: u32| (u64::from(flows) * u64::from(n) / u64::from(of)) as u32;
        let first = start(number);
        Flows { seed, first, count: (start(number + 1) - first).max(1), at: 0 }
    }
}

impl Iterator for Flows {
    type Item = Flow;

    #[inline]
    fn next(&mut self) -> Option<Flow> {
        let flow = Flow::new(self.seed, self.first + self.at);
        self.at = if self.at + 1 < self.count { self.at + 1 } else { 0 };
        Some(flow)
    }
}

/// A number of 24 bits for each number of 24 bits: multiplication by an odd number loses nothing.
#[inline]
fn permuted(seed: u64, number: u32) -> u32 {
    number.wrapping_mul(0x9e37_79b1).wrapping_add(seed as u32) & (MOST - 1)
}

/// Stirs the bits of a number (the finishing step of splitmix64, Steele, Lea and Flood 2014).
#[inline]
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_differ_and_repeat() {
        let keys = |seed, count: u32| -> Vec<_> {
            let flows = Flows::share(seed, 100_000, 0, 1).take(count as usize);
            flows.map(|f| (f.source, f.source_port)).collect()
        };
        let first = keys(1, 100_000);
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), 100_000);
        let twice = keys(1, 200_000);
        assert_eq!(twice[..100_000], twice[100_000..]);
        assert_ne!(first, keys(2, 100_000));
        let all: HashSet<u32> = (0..MOST).map(|n| permuted(7, n)).collect();
        assert_eq!(all.len(), MOST as usize);
    }

    #[test]
    fn values_are_within_their_bounds() {
        for number in (0..MOST).step_by(997) {
            let flow = Flow::new(3, number);
            assert_eq!((flow.source[..2].to_vec(), flow.source[2] < 16), (vec![10, 1], true));
            assert!(flow.destination[0] == 198 && flow.destination[1] & 0xfe == 18);
            assert!((1..=64).contains(&flow.packets) && flow.octets >= flow.packets * 60);
            assert!(flow.octets <= flow.packets * 1500 && flow.lasted_ms < 65_536 && flow.ended_ms < 1024);
            assert!((64512..=65534).contains(&flow.source_as) && (100..108).contains(&flow.vlan));
            let now = Nanos::new(1_700_000_000, 0);
            assert!(flow.first(now) <= flow.last(now) && flow.last(now) <= now);
        }
    }

    #[test]
    fn exporters_share_the_flows() {
        let numbers = |number| Flows::share(1, 10, number, 3).take(4).map(|f| f.key).collect::<Vec<_>>();
        let all: HashSet<u32> = (0..3).flat_map(numbers).collect();
        assert_eq!(all.len(), 10);
        let same: HashSet<u32> = (0..5).map(|n| Flows::share(1, 2, n, 5).next().unwrap().key).collect();
        assert_eq!(same.len(), 2);
    }
}
