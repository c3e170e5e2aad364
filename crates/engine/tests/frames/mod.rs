//! Packets for tests: said in fields, built into Ethernet frames. Checksums are left empty, as the meter does.

use core::net::IpAddr;

use flowsonde_wire::{Frame, LinkType, Nanos};

pub const SECOND: u64 = 1_000_000_000;
pub const MILLI: u64 = 1_000_000;

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMPV6: u8 = 58;

/// An address and a port.
pub type Host = (IpAddr, u16);

/// 10.0.0.`n`, or what follows it as `n` grows.
pub fn host(n: u32, port: u16) -> Host {
    (IpAddr::from((0x0a00_0000 + n).to_be_bytes()), port)
}

/// 2001:db8::`n`.
pub fn host6(n: u16, port: u16) -> Host {
    (IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]), port)
}

/// Part of a datagram: identification, offset in bytes, more to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub id: u32,
    pub offset: u16,
    pub more: bool,
}

/// One packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Nanoseconds since 1970.
    pub at: u64,
    pub src: Host,
    pub dst: Host,
    pub protocol: u8,
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
    /// ICMP type and code.
    pub icmp: (u8, u8),
    pub ttl: u8,
    pub tos: u8,
    pub vlan: Option<u16>,
    /// Bytes behind the transport header, all zero; of a later fragment, behind the IP header.
    pub payload: usize,
    pub piece: Option<Piece>,
}

impl Packet {
    fn new(protocol: u8, at: u64, src: Host, dst: Host) -> Packet {
        Packet {
            at,
            src,
            dst,
            protocol,
            flags: 0,
            seq: 0,
            ack: 0,
            window: 1000,
            icmp: (8, 0),
            ttl: 64,
            tos: 0,
            vlan: None,
            payload: 0,
            piece: None,
        }
    }

    pub fn tcp(at: u64, src: Host, dst: Host, flags: u8) -> Packet {
        Packet { flags, ..Packet::new(TCP, at, src, dst) }
    }

    pub fn udp(at: u64, src: Host, dst: Host, payload: usize) -> Packet {
        Packet { payload, ..Packet::new(UDP, at, src, dst) }
    }

    pub fn icmp(at: u64, src: Host, dst: Host, icmp: (u8, u8)) -> Packet {
        let protocol = if src.0.is_ipv4() { ICMP } else { ICMPV6 };
        Packet { icmp, ..Packet::new(protocol, at, src, dst) }
    }

    fn is_later(&self) -> bool {
        self.piece.is_some_and(|piece| piece.offset > 0)
    }

    fn transport(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !self.is_later() {
            match self.protocol {
                TCP => {
                    bytes.extend(self.src.1.to_be_bytes());
                    bytes.extend(self.dst.1.to_be_bytes());
                    bytes.extend(self.seq.to_be_bytes());
                    bytes.extend(self.ack.to_be_bytes());
                    bytes.extend([0x50, self.flags]);
                    bytes.extend(self.window.to_be_bytes());
                    bytes.extend([0; 4]);
                }
                UDP => {
                    bytes.extend(self.src.1.to_be_bytes());
                    bytes.extend(self.dst.1.to_be_bytes());
                    bytes.extend((self.payload as u16 + 8).to_be_bytes());
                    bytes.extend([0; 2]);
                }
                ICMP | ICMPV6 => bytes.extend([self.icmp.0, self.icmp.1, 0, 0, 0, 0, 0, 0]),
                _ => {}
            }
        }
        bytes.resize(bytes.len() + self.payload, 0);
        bytes
    }

    /// From the IP header on.
    fn network(&self) -> Vec<u8> {
        let transport = self.transport();
        let mut bytes = Vec::new();
        match (self.src.0, self.dst.0) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let (id, fragment) = self
                    .piece
                    .map_or((0, 0), |piece| (piece.id as u16, (piece.offset / 8) | (u16::from(piece.more) << 13)));
                bytes.extend([0x45, self.tos]);
                bytes.extend((20 + transport.len() as u16).to_be_bytes());
                bytes.extend(id.to_be_bytes());
                bytes.extend(fragment.to_be_bytes());
                bytes.extend([self.ttl, self.protocol, 0, 0]);
                bytes.extend(src.octets());
                bytes.extend(dst.octets());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let extra = if self.piece.is_some() { 8 } else { 0 };
                bytes.extend([0x60 | self.tos >> 4, self.tos << 4, 0, 0]);
                bytes.extend((extra + transport.len() as u16).to_be_bytes());
                bytes.extend([if self.piece.is_some() { 44 } else { self.protocol }, self.ttl]);
                bytes.extend(src.octets());
                bytes.extend(dst.octets());
                if let Some(piece) = self.piece {
                    bytes.extend([self.protocol, 0]);
                    bytes.extend((piece.offset | u16::from(piece.more)).to_be_bytes());
                    bytes.extend(piece.id.to_be_bytes());
                }
            }
            _ => panic!("both ends are of one family"),
        }
        bytes.extend(transport);
        bytes
    }

    /// Length of the IP packet.
    pub fn ip_len(&self) -> u64 {
        self.network().len() as u64
    }

    /// The Ethernet frame.
    pub fn build(&self) -> Built {
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        if let Some(id) = self.vlan {
            bytes.extend([0x81, 0x00]);
            bytes.extend(id.to_be_bytes());
        }
        bytes.extend(if self.src.0.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] });
        bytes.extend(self.network());
        Built { at: self.at, bytes }
    }
}

/// A built packet.
#[derive(Clone, Debug)]
pub struct Built {
    pub at: u64,
    pub bytes: Vec<u8>,
}

impl Built {
    pub fn frame(&self) -> Frame<'_> {
        Frame {
            time: Nanos(self.at),
            link: LinkType::ETHERNET,
            wire_len: self.bytes.len() as u32,
            interface: 0,
            bytes: &self.bytes,
        }
    }
}

/// Numbers that look random and are the same in every run (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }
}
