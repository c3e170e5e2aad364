//! Packets that another device sampled, as records: one packet a record, laid out as if a template told it.
//!
//! sFlow and NetFlow-Lite both end here. Records of a message are gathered by address family and handed on as one set of
//! each, so that nothing is allocated a packet.

use core::net::IpAddr;
use std::sync::Arc;

use flowsonde_wire::export::ipfix::Specifier;
use flowsonde_wire::{Frame, LinkType, Nanos};

use super::applications::Table;
use super::layout::Layout;
use super::packet::{self, Packet};
use super::records::{About, Receive, Set};
use super::sampling::Samplers;
use super::templates::{Layouts, Templates};
use crate::meter::key::KeyParts;

/// What is known of a sampled packet. What is not known is 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sampled {
    /// Source and destination.
    pub addresses: Addresses,
    /// Where the device sent it.
    pub next_hop: Option<IpAddr>,
    /// Bits of the prefixes of source and destination.
    pub masks: [u8; 2],
    /// ICMP type and code, type * 256 + code.
    pub icmp: u16,
    /// ifIndex it came in by and went out by.
    pub interfaces: [u32; 2],
    /// Packets it stands for before the rate: 1.
    pub packets: u64,
    /// Its length in bytes.
    pub octets: u64,
    /// Source and destination port.
    pub ports: [u16; 2],
    /// IP protocol.
    pub protocol: u8,
    /// ToS or traffic class.
    pub tos: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// What became of it, as element 89 forwardingStatus tells (RFC 7270, section 4.12).
    pub status: u8,
    /// VLAN it came in by and went out by.
    pub vlans: [u16; 2],
    /// Source and destination MAC address.
    pub macs: [[u8; 6]; 2],
    /// AS of source and destination.
    pub systems: [u32; 2],
    /// One packet in so many was sampled; 0 is not told.
    pub rate: u32,
}

/// Source and destination address.
#[derive(Clone, Copy, Debug)]
pub enum Addresses {
    /// IPv4.
    V4([[u8; 4]; 2]),
    /// IPv6.
    V6([[u8; 16]; 2]),
}

impl Default for Addresses {
    fn default() -> Self {
        Addresses::V4([[0; 4]; 2])
    }
}

/// The first bytes of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// What they begin with.
    pub link: LinkType,
    /// Bytes of the packet from there on, of which `bytes` may be the first few.
    pub length: u32,
    /// What was captured.
    pub bytes: &'a [u8],
}

impl Sampled {
    /// Takes over what a packet's own headers tell; a VLAN only where none is known. Its length stays to be set.
    #[inline]
    pub fn fill(&mut self, packet: &Packet<'_>) {
        let (first, second) = (packet.key.first(), packet.key.second());
        let (source, destination) = if packet.direction == 0 { (first, second) } else { (second, first) };
        self.addresses = if packet.key.version() == 6 {
            Addresses::V6([source.octets16(), destination.octets16()])
        } else {
            Addresses::V4([source.octets4(), destination.octets4()])
        };
        self.icmp = packet.icmp;
        self.ports = [packet.src_port, packet.dst_port];
        self.protocol = packet.key.protocol();
        self.tos = packet.tos;
        self.tcp_flags = packet.tcp.flags;
        self.ttl = packet.ttl;
        if self.vlans[0] == 0 {
            self.vlans[0] = packet.key.vlan_inner();
        }
        if packet.ethernet
            && let Some(&[a, b, c, d, e, f, g, h, i, j, k, l]) = packet.frame.first_chunk::<12>()
        {
            self.macs = [[g, h, i, j, k, l], [a, b, c, d, e, f]];
        }
    }
}

/// Records of sampled packets, gathered.
#[derive(Debug)]
pub struct Rows {
    ipv4: Family,
    ipv6: Family,
    parts: KeyParts,
    /// None: what is made here has no lists.
    templates: Templates,
    /// None: agents tell no applications.
    applications: Table,
}

#[derive(Debug)]
struct Family {
    layout: Arc<Layout>,
    bytes: Vec<u8>,
}

impl Rows {
    /// None yet.
    pub fn new(layouts: &mut Layouts) -> Rows {
        let mut family = |own: &[Specifier]| {
            let fields: Vec<_> = own.iter().chain(&COMMON).copied().collect();
            let layout = layouts.of(&fields, 0).expect("sampled packets have a layout");
            Family { layout, bytes: Vec::new() }
        };
        Rows {
            ipv4: family(&IPV4),
            ipv6: family(&IPV6),
            parts: KeyParts::default(),
            templates: Templates::default(),
            applications: Table::default(),
        }
    }

    /// Reads the first bytes of a packet with the probe's own decoder.
    #[inline]
    pub fn decode<'a>(&self, head: &Head<'a>) -> Result<Packet<'a>, packet::Error> {
        // A length that is not told is at least what was captured.
        let wire_len = head.length.max(u32::try_from(head.bytes.len()).unwrap_or(u32::MAX));
        let frame = Frame { time: Nanos(0), link: head.link, wire_len, interface: 0, bytes: head.bytes };
        packet::decode(&frame, &self.parts)
    }

    /// Adds a packet.
    #[inline]
    pub fn push(&mut self, sampled: &Sampled) {
        match sampled.addresses {
            Addresses::V4(addresses) => {
                let next_hop = match sampled.next_hop {
                    Some(IpAddr::V4(next_hop)) => next_hop.octets(),
                    _ => [0; 4],
                };
                self.ipv4.bytes.extend_from_slice(&ipv4(sampled, &addresses, next_hop));
                self.ipv4.bytes.extend_from_slice(&common(sampled, 4));
            }
            Addresses::V6(addresses) => {
                let next_hop = match sampled.next_hop {
                    Some(IpAddr::V6(next_hop)) => next_hop.octets(),
                    _ => [0; 16],
                };
                self.ipv6.bytes.extend_from_slice(&ipv6(sampled, &addresses, next_hop));
                self.ipv6.bytes.extend_from_slice(&common(sampled, 6));
            }
        }
    }

    /// Hands on what was gathered, and tells how many records were taken.
    pub fn hand_on(&mut self, about: &About, samplers: &Samplers, out: &mut dyn Receive) -> u64 {
        let mut records = 0;
        let (templates, applications) = (&self.templates, &self.applications);
        for Family { layout, bytes } in [&mut self.ipv4, &mut self.ipv6] {
            if !bytes.is_empty() {
                let taken = out.flows(&Set { layout, bytes, about, samplers, templates, applications });
                records += u64::from(taken.records);
                bytes.clear();
            }
        }
        records
    }
}

const fn field(id: u16, length: u16) -> Specifier {
    Specifier { pen: 0, id, length }
}

/// Addresses, next hop, masks, ICMP type and code.
static IPV4: [Specifier; 6] = [field(8, 4), field(12, 4), field(15, 4), field(9, 1), field(13, 1), field(32, 2)];
const IPV4_LENGTH: usize = 16;

static IPV6: [Specifier; 6] = [field(27, 16), field(28, 16), field(62, 16), field(29, 1), field(30, 1), field(139, 2)];
const IPV6_LENGTH: usize = 52;

/// Behind them, of either family.
static COMMON: [Specifier; 19] = [
    field(10, 4),
    field(14, 4),
    // Wide, so that they hold what they are scaled to.
    field(2, 8),
    field(1, 8),
    field(7, 2),
    field(11, 2),
    field(4, 1),
    field(60, 1),
    field(5, 1),
    field(6, 1),
    field(52, 1),
    field(89, 1),
    field(58, 2),
    field(59, 2),
    field(56, 6),
    field(80, 6),
    field(16, 4),
    field(17, 4),
    field(34, 4),
];
const COMMON_LENGTH: usize = 62;

#[inline]
fn ipv4(sampled: &Sampled, [source, destination]: &[[u8; 4]; 2], next_hop: [u8; 4]) -> [u8; IPV4_LENGTH] {
    let mut row = [0; IPV4_LENGTH];
    row[0..4].copy_from_slice(source);
    row[4..8].copy_from_slice(destination);
    row[8..12].copy_from_slice(&next_hop);
    row[12..14].copy_from_slice(&sampled.masks);
    row[14..16].copy_from_slice(&sampled.icmp.to_be_bytes());
    row
}

#[inline]
fn ipv6(sampled: &Sampled, [source, destination]: &[[u8; 16]; 2], next_hop: [u8; 16]) -> [u8; IPV6_LENGTH] {
    let mut row = [0; IPV6_LENGTH];
    row[0..16].copy_from_slice(source);
    row[16..32].copy_from_slice(destination);
    row[32..48].copy_from_slice(&next_hop);
    row[48..50].copy_from_slice(&sampled.masks);
    row[50..52].copy_from_slice(&sampled.icmp.to_be_bytes());
    row
}

#[inline]
fn common(sampled: &Sampled, version: u8) -> [u8; COMMON_LENGTH] {
    let mut row = [0; COMMON_LENGTH];
    row[0..4].copy_from_slice(&sampled.interfaces[0].to_be_bytes());
    row[4..8].copy_from_slice(&sampled.interfaces[1].to_be_bytes());
    row[8..16].copy_from_slice(&sampled.packets.to_be_bytes());
    row[16..24].copy_from_slice(&sampled.octets.to_be_bytes());
    row[24..26].copy_from_slice(&sampled.ports[0].to_be_bytes());
    row[26..28].copy_from_slice(&sampled.ports[1].to_be_bytes());
    row[28] = sampled.protocol;
    row[29] = version;
    row[30] = sampled.tos;
    row[31] = sampled.tcp_flags;
    row[32] = sampled.ttl;
    row[33] = sampled.status;
    row[34..36].copy_from_slice(&sampled.vlans[0].to_be_bytes());
    row[36..38].copy_from_slice(&sampled.vlans[1].to_be_bytes());
    row[38..44].copy_from_slice(&sampled.macs[0]);
    row[44..50].copy_from_slice(&sampled.macs[1]);
    row[50..54].copy_from_slice(&sampled.systems[0].to_be_bytes());
    row[54..58].copy_from_slice(&sampled.systems[1].to_be_bytes());
    row[58..62].copy_from_slice(&sampled.rate.to_be_bytes());
    row
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::layout::Spans;
    use super::super::records::{InterfaceCounters, Taken};
    use super::*;

    /// A record as its fields tell it: id and number, of addresses the last eight bytes.
    pub(crate) type Row = Vec<(u16, u64)>;

    /// What was handed on.
    #[derive(Debug, Default)]
    pub(crate) struct Kept {
        pub rows: Vec<Row>,
        pub rates: Vec<u32>,
        pub about: Vec<About>,
        pub counters: Vec<(u32, u32, String, u64)>,
    }

    impl Kept {
        /// A field of the `n`th record.
        pub(crate) fn get(&self, n: usize, id: u16) -> Option<u64> {
            self.rows[n].iter().find(|(of, _)| *of == id).map(|(_, number)| *number)
        }
    }

    impl Receive for Kept {
        fn flows(&mut self, set: &Set<'_>) -> Taken {
            let (mut spans, mut rest, mut records) = (Spans::default(), set.bytes, 0);
            while let Some((record, after)) = set.layout.split(rest, &mut spans) {
                let row = set.layout.fields.iter().map(|field| (field.id, record.number(field, &spans))).collect();
                self.rows.push(row);
                self.rates.push(set.samplers.told_of(set.layout, &record, &spans).rate);
                self.about.push(*set.about);
                (rest, records) = (after, records + 1);
            }
            Taken { records, rest: rest.len() }
        }

        fn counters(&mut self, sample: &InterfaceCounters<'_>, _: &About) {
            let name = String::from_utf8_lossy(sample.name).into_owned();
            self.counters.push((sample.samples, sample.interface.index, name, sample.interface.input.packets()));
        }
    }

    #[test]
    fn rows_lie_as_their_layouts_say() {
        let mut rows = Rows::new(&mut Layouts::default());
        let lengths = [&rows.ipv4, &rows.ipv6].map(|family| family.layout.shortest);
        assert_eq!(lengths, [IPV4_LENGTH + COMMON_LENGTH, IPV6_LENGTH + COMMON_LENGTH]);
        let mut sampled = Sampled {
            addresses: Addresses::V4([[0, 0, 0, 1], [0, 0, 0, 2]]),
            next_hop: Some(IpAddr::from([0, 0, 0, 3])),
            masks: [4, 5],
            icmp: 6,
            interfaces: [7, 8],
            packets: 9,
            octets: 10,
            ports: [11, 12],
            protocol: 13,
            tos: 14,
            tcp_flags: 15,
            ttl: 16,
            status: 17,
            vlans: [18, 19],
            macs: [[0, 0, 0, 0, 0, 20], [0, 0, 0, 0, 0, 21]],
            systems: [22, 23],
            rate: 24,
        };
        rows.push(&sampled);
        sampled.addresses = Addresses::V6([1u128.to_be_bytes(), 2u128.to_be_bytes()]);
        sampled.next_hop = Some(IpAddr::from(3u128.to_be_bytes()));
        rows.push(&sampled);
        let mut kept = Kept::default();
        assert_eq!(rows.hand_on(&super::super::sflow5::tests::about(), &Samplers::default(), &mut kept), 2);
        let common = [
            (10, 7),
            (14, 8),
            (2, 9),
            (1, 10),
            (7, 11),
            (11, 12),
            (4, 13),
            (5, 14),
            (6, 15),
            (52, 16),
            (89, 17),
            (58, 18),
            (59, 19),
            (56, 20),
            (80, 21),
            (16, 22),
            (17, 23),
            (34, 24),
        ];
        let v4 = [(8, 1), (12, 2), (15, 3), (9, 4), (13, 5), (32, 6), (60, 4)];
        let v6 = [(27, 1), (28, 2), (62, 3), (29, 4), (30, 5), (139, 6), (60, 6)];
        for (n, own) in [v4, v6].into_iter().enumerate() {
            for (id, number) in own.into_iter().chain(common) {
                assert_eq!(kept.get(n, id), Some(number), "element {id}");
            }
            assert_eq!((kept.rows[n].len(), kept.rates[n]), (25, 24));
        }
        assert_eq!(rows.hand_on(&super::super::sflow5::tests::about(), &Samplers::default(), &mut kept), 0);
    }
}
