//! One captured frame, read once, as far down as metering needs.
//!
//! Only the outermost IP header counts: what travels inside GRE, ESP, AH, IP-in-IP or a UDP tunnel is not looked at
//! here. Lengths are the IP header's own; a total length of zero (segmentation offload, jumbograms) is taken from the
//! frame. Ports a cut-off packet does not show are 0.

use flowsonde_wire::link::{self, Link};
use flowsonde_wire::net::{ipv4, ipv6};
use flowsonde_wire::transport::{icmp, tcp};
use flowsonde_wire::{Frame, Nanos};

use crate::meter::key::{End, Ends, Key, KeyParts};

/// IP protocol numbers the decoder tells apart.
pub mod protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// DCCP.
    pub const DCCP: u8 = 33;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// UDP-Lite.
    pub const UDP_LITE: u8 = 136;
}

/// Why a frame is not metered; each is a counter of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Cut off inside a link or IP header.
    Short,
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// A link type this build does not read.
    LinkType,
    /// More stacked link headers than any real network has.
    TooDeep,
    /// An IP header that cannot be: wrong version, header length, or total length below it.
    Malformed,
}

impl Error {
    /// Every kind, in the order of the counters.
    pub const ALL: [Error; 5] = [Error::Short, Error::NotIp, Error::LinkType, Error::TooDeep, Error::Malformed];

    /// Name of the counter in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Error::Short => "truncated",
            Error::NotIp => "not_ip",
            Error::LinkType => "link_type",
            Error::TooDeep => "too_many_headers",
            Error::Malformed => "malformed_ip",
        }
    }
}

impl From<link::Error> for Error {
    #[inline]
    fn from(error: link::Error) -> Self {
        match error {
            link::Error::Short(_) => Error::Short,
            link::Error::LinkType(_) => Error::LinkType,
            link::Error::NotIp(_) => Error::NotIp,
            link::Error::TooDeep => Error::TooDeep,
        }
    }
}

/// What part of a datagram a packet is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// The first fragment, which carries the ports.
    First(Fragment),
    /// A later fragment.
    Later(Fragment),
}

/// Where a fragment lies in its datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// Identification.
    pub id: u32,
    /// Offset of its payload, bytes.
    pub offset: u16,
    /// Length of its payload, bytes.
    pub len: u16,
    /// More fragments follow.
    pub more: bool,
}

/// A decoded packet. Copies are cheap; the bytes stay where they are.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Flow key, the same for both directions.
    pub key: Key,
    /// When it was captured.
    pub time: Nanos,
    /// The captured bytes from the link header on.
    pub frame: &'a [u8],
    /// Length of the IP packet, bytes.
    pub ip_len: u32,
    /// Length of the frame on the wire, bytes.
    pub wire_len: u32,
    /// Length of the transport payload as the IP length tells it, bytes; for other protocols, of the IP payload.
    pub payload_len: u32,
    /// The TCP header; all zero for other protocols and when it was cut off.
    pub tcp: tcp::Header,
    /// Direction within the flow: 0 when the sender is the key's first end, else 1.
    pub direction: u8,
    /// ToS or traffic class.
    pub tos: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Labels of the MPLS stack.
    pub labels: u8,
    /// The frame begins with an Ethernet header.
    pub ethernet: bool,
    /// ICMP type and code as `type * 256 + code`, 0 for others.
    pub icmp: u16,
    /// Offset of the IP header.
    pub l3: u16,
    /// Offset of what follows the IP header and its extensions.
    pub l4: u16,
    /// Offset of the transport payload; for other protocols, of the IP payload.
    pub l7: u16,
    /// Offset of the first MPLS label.
    pub mpls: u16,
    /// IP protocol, though the key may leave it out.
    pub protocol: u8,
    /// Source port (0 for protocols without).
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Interface the frame came in by.
    pub interface: u32,
    /// Whole datagram or fragment.
    pub part: Part,
}

impl<'a> Packet<'a> {
    /// What was captured of the transport header and all behind it.
    #[inline]
    pub fn transport(&self) -> &'a [u8] {
        self.frame.get(usize::from(self.l4)..).unwrap_or(&[])
    }

    /// What was captured of the transport payload, [`payload_len`] bytes at most: behind the IP packet a frame may be
    /// padded. Shorter when the capture cut it off, and empty when the bytes were not kept ([`without_bytes`]).
    ///
    /// [`payload_len`]: Packet::payload_len
    /// [`without_bytes`]: Packet::without_bytes
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        let rest = self.frame.get(usize::from(self.l7)..).unwrap_or(&[]);
        rest.get(..self.payload_len as usize).unwrap_or(rest)
    }

    /// What was captured from the IP header on.
    #[inline]
    pub fn network(&self) -> &'a [u8] {
        self.frame.get(usize::from(self.l3)..).unwrap_or(&[])
    }

    /// IP version: 4 or 6.
    #[inline]
    pub fn version(&self) -> u8 {
        self.network().first().map_or(0, |b| b >> 4)
    }

    /// The same packet without its bytes, to be kept.
    pub fn without_bytes(&self) -> Packet<'static> {
        Packet { frame: &[], ..*self }
    }

    /// 0 when the sender's address is the smaller of the two: the same for every fragment of a datagram, with ports or
    /// without.
    pub fn direction_by_address(&self) -> u8 {
        if self.key.first() == self.key.second() { 0 } else { self.direction }
    }

    /// Gives a later fragment the protocol and ports (or ICMP type) of its first one, and with them its flow.
    pub fn adopt(&mut self, first: &Ports) {
        self.protocol = first.protocol;
        self.src_port = first.src_port;
        self.dst_port = first.dst_port;
        self.icmp = first.icmp;
        self.key.adopt(&first.key);
        self.direction = first.direction;
    }

    /// What its later fragments need to know of a first fragment.
    pub fn ports(&self) -> Ports {
        Ports {
            protocol: self.protocol,
            src_port: self.src_port,
            dst_port: self.dst_port,
            icmp: self.icmp,
            key: self.key,
            direction: self.direction,
        }
    }
}

/// The part of a flow key that only a first fragment carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    protocol: u8,
    src_port: u16,
    dst_port: u16,
    icmp: u16,
    key: Key,
    direction: u8,
}

/// What the IP layer says, of either version.
struct Ip {
    version: u8,
    protocol: u8,
    tos: u8,
    ttl: u8,
    /// Length of the IP packet.
    len: u32,
    /// Length of the header with options or extension headers.
    header: u32,
    src: End,
    dst: End,
    fragment: Option<Fragment>,
}

/// Reads one frame.
#[inline(always)]
pub fn decode<'a>(frame: &Frame<'a>, parts: &KeyParts) -> Result<Packet<'a>, Error> {
    let link = link::walk(frame.link, frame.bytes)?;
    let bytes = frame.bytes.get(link.l3..).unwrap_or(&[]);
    // Bytes behind the link header on the wire, the only length there is when the IP header's is zero.
    let on_wire = frame.wire_len.saturating_sub(link.l3 as u32);
    let ip = match bytes.first().map(|b| b >> 4) {
        Some(4) => read_v4(bytes, on_wire)?,
        Some(6) => read_v6(bytes, on_wire)?,
        Some(_) => return Err(Error::Malformed),
        None => return Err(Error::Short),
    };
    Ok(assemble(frame, &link, &ip, parts))
}

#[inline(always)]
fn read_v4(bytes: &[u8], on_wire: u32) -> Result<Ip, Error> {
    let h = ipv4::Header::read(bytes).map_err(|_| Error::Short)?.ok_or(Error::Malformed)?;
    let header = u32::from(h.header_len);
    let len = if h.total_len == 0 { on_wire } else { u32::from(h.total_len) };
    if len < header {
        return Err(Error::Malformed);
    }
    let fragment = (h.fragment & 0x3fff != 0).then(|| Fragment {
        id: u32::from(h.id),
        offset: h.fragment_offset(),
        len: (len - header).min(0xffff) as u16,
        more: h.more_fragments(),
    });
    Ok(Ip {
        version: 4,
        protocol: h.protocol,
        tos: h.tos,
        ttl: h.ttl,
        len,
        header,
        src: End::v4(h.src),
        dst: End::v4(h.dst),
        fragment,
    })
}

#[inline]
fn read_v6(bytes: &[u8], on_wire: u32) -> Result<Ip, Error> {
    let h = ipv6::Header::read(bytes).map_err(|_| Error::Short)?.ok_or(Error::Malformed)?;
    let chain = ipv6::chain(h.next, bytes.get(ipv6::HEADER_LEN..).unwrap_or(&[]));
    // Zero where it does not fit: a jumbogram (RFC 2675), or one that Linux (BIG TCP) has not cut yet.
    let jumbo = h.payload_len == 0 && (on_wire > 40 && chain.len > 0 || on_wire > 40 + u32::from(u16::MAX));
    let payload = if jumbo { on_wire - 40 } else { u32::from(h.payload_len) };
    let extensions = (chain.len as u32).min(payload);
    let fragment = chain.fragment.filter(|f| f.offset != 0 || f.more).map(|f| Fragment {
        id: f.id,
        offset: f.offset,
        len: (payload - extensions).min(0xffff) as u16,
        more: f.more,
    });
    Ok(Ip {
        version: 6,
        protocol: chain.protocol,
        tos: h.traffic_class,
        ttl: h.hop_limit,
        len: payload + 40,
        header: 40 + chain.len as u32,
        src: End::v6(h.src),
        dst: End::v6(h.dst),
        fragment,
    })
}

#[inline(always)]
fn assemble<'a>(frame: &Frame<'a>, link: &Link, ip: &Ip, parts: &KeyParts) -> Packet<'a> {
    let l4 = link.l3 + ip.header as usize;
    let transport = frame.bytes.get(l4..).unwrap_or(&[]);
    let mut header: u32 = 0;
    let (mut src_port, mut dst_port, mut icmp_kind) = (0, 0, 0);
    let mut tcp_header = tcp::Header::default();
    let later = ip.fragment.is_some_and(|f| f.offset > 0);
    if !later {
        match ip.protocol {
            protocol::TCP => {
                (src_port, dst_port) = read_ports(transport);
                if let Some(h) = tcp::Header::read(transport) {
                    header = h.header_len.into();
                    tcp_header = h;
                } else {
                    // Cut off behind the ports, or an impossible data offset: the flags byte still counts when it is there.
                    tcp_header.flags = transport.get(13).copied().unwrap_or(0);
                    header = 20;
                }
            }
            protocol::UDP | protocol::UDP_LITE => {
                (src_port, dst_port) = read_ports(transport);
                header = 8;
            }
            protocol::SCTP | protocol::DCCP => {
                (src_port, dst_port) = read_ports(transport);
                header = 12;
            }
            protocol::ICMP | protocol::ICMPV6 => {
                if let Some(&[kind, code]) = transport.first_chunk::<2>() {
                    icmp_kind = u16::from_be_bytes([kind, code]);
                }
                header = 8;
            }
            _ => {}
        }
    }
    let ports = match ip.protocol {
        protocol::ICMP | protocol::ICMPV6 => {
            let [kind, code] = icmp_kind.to_be_bytes();
            let both = u16::from_be_bytes([icmp::request_of(ip.version, kind), code]);
            (both, both)
        }
        _ => (src_port, dst_port),
    };
    let ends = Ends { src: ip.src, dst: ip.dst, src_port: ports.0, dst_port: ports.1 };
    let (key, direction) = parts.key(ends, ip.protocol, ip.version, ip.tos, link);
    Packet {
        key,
        time: frame.time,
        frame: frame.bytes,
        ip_len: ip.len,
        wire_len: frame.wire_len,
        payload_len: ip.len.saturating_sub(ip.header).saturating_sub(header),
        tcp: tcp_header,
        direction,
        tos: ip.tos,
        ttl: ip.ttl,
        labels: link.labels,
        ethernet: link.ethernet,
        icmp: icmp_kind,
        l3: link.l3 as u16,
        l4: l4.min(usize::from(u16::MAX)) as u16,
        l7: (l4 + header as usize).min(usize::from(u16::MAX)) as u16,
        mpls: link.mpls as u16,
        protocol: ip.protocol,
        src_port,
        dst_port,
        interface: frame.interface,
        part: match ip.fragment {
            None => Part::Whole,
            Some(f) if f.offset == 0 => Part::First(f),
            Some(f) => Part::Later(f),
        },
    }
}

#[inline]
fn read_ports(transport: &[u8]) -> (u16, u16) {
    match transport.first_chunk::<4>() {
        Some(&[a, b, c, d]) => (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
        None => (0, 0),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flowsonde_wire::LinkType;

    /// A raw IPv4 packet of 192.0.2.`a` to 192.0.2.`b`.
    pub(crate) fn ipv4(a: u8, b: u8, protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let len = (20 + payload.len()) as u16;
        let mut p = vec![0x45, 0, 0, 0, 0, 9, 0, 0, 64, protocol, 0, 0, 192, 0, 2, a, 192, 0, 2, b];
        p[2..4].copy_from_slice(&len.to_be_bytes());
        p[6..8].copy_from_slice(&fragment.to_be_bytes());
        p.extend_from_slice(payload);
        p
    }

    pub(crate) fn raw(bytes: &[u8]) -> Frame<'_> {
        Frame { time: Nanos(1), link: LinkType::RAW, wire_len: bytes.len() as u32, interface: 0, bytes }
    }

    #[test]
    fn both_directions_share_a_key() {
        let there = ipv4(1, 2, 17, 0, &[0x10, 0, 0, 53, 0, 8, 0, 0]);
        let back = ipv4(2, 1, 17, 0, &[0, 53, 0x10, 0, 0, 8, 0, 0]);
        let (there, back) = (raw(&there), raw(&back));
        let (there, back) = (decode(&there, &KeyParts::default()), decode(&back, &KeyParts::default()));
        let (there, back) = (there.expect("valid"), back.expect("valid"));
        assert_eq!(there.key, back.key);
        assert_ne!(there.direction, back.direction);
        assert_eq!((there.ip_len, there.payload_len), (28, 0));
    }

    #[test]
    fn the_payload_ends_with_the_packet_or_with_the_capture() {
        let payload = |bytes: &[u8]| {
            let (frame, parts) = (raw(bytes), KeyParts::default());
            let packet = decode(&frame, &parts).expect("valid");
            (packet.payload_len, packet.payload().to_vec())
        };
        let mut udp = ipv4(1, 2, 17, 0, b"\x10\0\0\x35\0\x0c\0\0data");
        assert_eq!(payload(&udp), (4, b"data".to_vec()));
        assert_eq!(payload(&udp[..30]), (4, b"da".to_vec()));
        assert_eq!(payload(&udp[..24]), (4, vec![]));
        udp.extend_from_slice(b"padding");
        assert_eq!(payload(&udp), (4, b"data".to_vec()));
        // Six words of header: one of options.
        let tcp = ipv4(1, 2, 6, 0, b"\0\x50\0\x51\0\0\0\x01\0\0\0\x02\x60\x18\x01\0\0\0\0\0\x01\x01\x01\x01GET");
        assert_eq!(payload(&tcp), (3, b"GET".to_vec()));
        // No header is known of other protocols, and none is in a later fragment.
        assert_eq!(payload(&ipv4(1, 2, 47, 0, b"\0\0gre")), (5, b"\0\0gre".to_vec()));
        assert_eq!(payload(&ipv4(1, 2, 17, 5, b"later")), (5, b"later".to_vec()));
        assert_eq!(payload(&ipv4(1, 2, 1, 0, b"\x08\0\0\0\0\0\0\0ping")), (4, b"ping".to_vec()));
    }

    #[test]
    fn echo_and_reply_share_a_key_and_other_types_do_not() {
        let key = |a, b, kind| {
            let bytes = ipv4(a, b, 1, 0, &[kind, 0, 0, 0, 0, 0, 0, 0]);
            decode(&raw(&bytes), &KeyParts::default()).expect("valid").key
        };
        assert_eq!(key(1, 2, 8), key(2, 1, 0));
        assert_ne!(key(1, 2, 8), key(2, 1, 3));
    }

    #[test]
    fn a_zero_total_length_is_taken_from_the_frame() {
        let mut bytes = ipv4(1, 2, 6, 0, &[0; 100]);
        bytes[2..4].fill(0);
        assert_eq!(decode(&raw(&bytes), &KeyParts::default()).expect("valid").ip_len, 120);
    }

    #[test]
    fn impossible_headers_have_their_counter() {
        let mut bytes = ipv4(1, 2, 6, 0, &[]);
        bytes[3] = 19;
        assert_eq!(decode(&raw(&bytes), &KeyParts::default()).map(|_| ()), Err(Error::Malformed));
        assert_eq!(decode(&raw(&bytes[..10]), &KeyParts::default()).map(|_| ()), Err(Error::Short));
    }

    #[test]
    fn every_truncation_decodes_or_errs() {
        let bytes = ipv4(1, 2, 6, 0, &[0, 80, 0, 81, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x12, 1, 0, 0, 0, 0, 0]);
        for cut in 0..bytes.len() {
            let frame = Frame { bytes: &bytes[..cut], ..raw(&bytes) };
            assert_eq!(decode(&frame, &KeyParts::default()).is_ok(), cut >= 20, "cut at {cut}");
        }
    }
}
