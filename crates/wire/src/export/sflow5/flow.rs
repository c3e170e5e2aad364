//! What an sFlow sample of a packet tells: its first bytes, its addresses, how it was switched and routed.
//!
//! ```text
//! raw header (1)   protocol | frame length | stripped | length | bytes, padded
//! Ethernet (2)     length | source(6, padded to 8) | destination(8) | type
//! IPv4 (3)         length | protocol | source(4) | destination(4) | ports | TCP flags | ToS
//! IPv6 (4)         length | protocol | source(16) | destination(16) | ports | TCP flags | priority
//! switch (1001)    source VLAN | its priority | destination VLAN | its priority
//! router (1002)    next hop | source mask | destination mask
//! gateway (1003)   next hop | AS | source AS | source peer AS | path: count, (kind, count, AS*)*
//!                  communities: count, number* | local preference
//! user (1004)      character set, text of source | of destination           URL (1005)   direction | URL | host
//! MPLS (1006)      next hop | labels in: count, number* | labels out
//! NAT (1007)       source | destination                                      ports (1020) source | destination
//! VLAN stack (1012)  count, tag*
//! tunnels          1021 to 1026: egress, ingress of Ethernet, of IPv4, of IPv6, each as 2, 3, 4 above
//!                  1027, 1028: offset of the inner header                    1029, 1030: VNI on egress, ingress
//! egress queue (1036)  number
//! ```
//!
//! Everything else is kept by its format and bytes.

use core::net::IpAddr;

use super::{Block, Format, Words, address, numbers, opaque};
use crate::cursor::{Cursor, Short};
use crate::frame::LinkType;

impl Format {
    /// First bytes of the packet.
    pub const RAW_HEADER: Format = Format(1);
    /// Its Ethernet header.
    pub const ETHERNET: Format = Format(2);
    /// Its IPv4 and transport header.
    pub const IPV4: Format = Format(3);
    /// Its IPv6 and transport header.
    pub const IPV6: Format = Format(4);
    /// VLANs.
    pub const SWITCH: Format = Format(1001);
    /// Next hop and masks.
    pub const ROUTER: Format = Format(1002);
    /// BGP.
    pub const GATEWAY: Format = Format(1003);
}

/// A record of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// First bytes of the packet.
    Raw(RawHeader<'a>),
    /// Its Ethernet header.
    Ethernet(Ethernet),
    /// Its IPv4 and transport header.
    Ipv4(Ip<4>),
    /// Its IPv6 and transport header.
    Ipv6(Ip<16>),
    /// VLANs.
    Switch(Switch),
    /// Next hop and masks.
    Router(Router),
    /// BGP.
    Gateway(Gateway<'a>),
    /// Who sends and receives.
    User(User<'a>),
    /// What is asked for.
    Url(Url<'a>),
    /// Labels.
    Mpls(Mpls<'a>),
    /// Addresses after translation.
    Nat(Nat),
    /// Source and destination port after translation.
    NatPorts(u32, u32),
    /// VLAN tags that were stripped, outermost first.
    VlanTags(Words<'a>),
    /// A header around the packet.
    Tunnel(Way, Outer),
    /// Offset of the header inside a tunnel.
    Inner(Way, u32),
    /// Number of a virtual network (VXLAN and alike).
    Vni(Way, u32),
    /// Queue it waited in.
    EgressQueue(u32),
    /// A format this build does not read.
    Other(Block<'a>),
}

/// On which side of the device a tunnel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The packet comes in by it.
    Ingress,
    /// The packet goes out by it.
    Egress,
}

/// The outer header of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outer {
    /// Ethernet.
    Ethernet(Ethernet),
    /// IPv4.
    Ipv4(Ip<4>),
    /// IPv6.
    Ipv6(Ip<16>),
}

impl<'a> Record<'a> {
    /// Reads a record; it is an error when its length is less than its format needs.
    #[inline]
    pub fn read(block: Block<'a>) -> Result<Record<'a>, Short> {
        let mut c = Cursor::new(block.body);
        Ok(match block.format {
            Format::RAW_HEADER => Record::Raw(RawHeader::read(&mut c)?),
            Format::SWITCH => Record::Switch(Switch::read(&mut c)?),
            Format::ROUTER => Record::Router(Router::read(&mut c)?),
            Format::GATEWAY => Record::Gateway(Gateway::read(&mut c)?),
            _ => Record::read_seldom(block, &mut c)?,
        })
    }

    fn read_seldom(block: Block<'a>, c: &mut Cursor<'a>) -> Result<Record<'a>, Short> {
        use Way::{Egress, Ingress};
        Ok(match block.format.0 {
            2 => Record::Ethernet(Ethernet::read(c)?),
            3 => Record::Ipv4(Ip::read(c)?),
            4 => Record::Ipv6(Ip::read(c)?),
            1004 => Record::User(User::read(c)?),
            1005 => Record::Url(Url::read(c)?),
            1006 => Record::Mpls(Mpls::read(c)?),
            1007 => Record::Nat(Nat { source: address(c)?, destination: address(c)? }),
            1012 => Record::VlanTags(Words::read(c, "sFlow VLAN stack")?),
            1020 => Record::NatPorts(c.u32("sFlow NAT source port")?, c.u32("sFlow NAT destination port")?),
            1021 => Record::Tunnel(Egress, Outer::Ethernet(Ethernet::read(c)?)),
            1022 => Record::Tunnel(Ingress, Outer::Ethernet(Ethernet::read(c)?)),
            1023 => Record::Tunnel(Egress, Outer::Ipv4(Ip::read(c)?)),
            1024 => Record::Tunnel(Ingress, Outer::Ipv4(Ip::read(c)?)),
            1025 => Record::Tunnel(Egress, Outer::Ipv6(Ip::read(c)?)),
            1026 => Record::Tunnel(Ingress, Outer::Ipv6(Ip::read(c)?)),
            1027 => Record::Inner(Egress, c.u32("sFlow inner header")?),
            1028 => Record::Inner(Ingress, c.u32("sFlow inner header")?),
            1029 => Record::Vni(Egress, c.u32("sFlow VNI")?),
            1030 => Record::Vni(Ingress, c.u32("sFlow VNI")?),
            1036 => Record::EgressQueue(c.u32("sFlow egress queue")?),
            _ => Record::Other(block),
        })
    }
}

/// The first bytes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawHeader<'a> {
    /// What they begin with, as sFlow numbers it.
    pub protocol: u32,
    /// Length of the frame on the wire, trailer (FCS) and what was stripped included.
    pub frame_length: u32,
    /// Bytes of the frame that were taken off before `bytes`, or behind the packet: the FCS, a VLAN tag.
    pub stripped: u32,
    /// What was captured.
    pub bytes: &'a [u8],
}

impl<'a> RawHeader<'a> {
    /// Ethernet.
    pub const ETHERNET: u32 = 1;
    /// PPP.
    pub const PPP: u32 = 7;
    /// IPv4.
    pub const IPV4: u32 = 11;
    /// IPv6.
    pub const IPV6: u32 = 12;
    /// MPLS labels.
    pub const MPLS: u32 = 13;
    /// Packet over SONET/SDH: PPP in HDLC-like framing (RFC 2615).
    pub const POS: u32 = 14;

    /// Reads the body of a record.
    #[inline]
    pub fn read(c: &mut Cursor<'a>) -> Result<Self, Short> {
        let [protocol, frame_length, stripped, length] = numbers::<4, 16>(&c.array("sFlow raw header")?);
        Ok(RawHeader { protocol, frame_length, stripped, bytes: c.take(length as usize, "sFlow header bytes")? })
    }

    /// How its bytes are to be read. `None` for token ring, FDDI, frame relay, X.25, SMDS, AAL5 and IEEE 802.11.
    #[inline]
    pub fn link(&self) -> Option<LinkType> {
        Some(match self.protocol {
            Self::ETHERNET => LinkType::ETHERNET,
            Self::IPV4 => LinkType::IPV4,
            Self::IPV6 => LinkType::IPV6,
            Self::PPP => LinkType::PPP,
            Self::POS => LinkType::PPP_HDLC,
            Self::MPLS => LinkType::MPLS,
            _ => return None,
        })
    }
}

/// An Ethernet header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ethernet {
    /// Length of the frame, FCS included.
    pub length: u32,
    /// Source address.
    pub source: [u8; 6],
    /// Destination address.
    pub destination: [u8; 6],
    /// EtherType.
    pub kind: u32,
}

impl Ethernet {
    /// Reads the body of a record.
    pub fn read(c: &mut Cursor<'_>) -> Result<Self, Short> {
        let length = c.u32("sFlow Ethernet length")?;
        let mut mac = || c.array::<8>("sFlow MAC address").map(|[a, b, c, d, e, f, ..]| [a, b, c, d, e, f]);
        let (source, destination) = (mac()?, mac()?);
        Ok(Ethernet { length, source, destination, kind: c.u32("sFlow EtherType")? })
    }
}

/// An IP header of either version, with `N` bytes an address, and what the transport header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip<const N: usize> {
    /// Length of the IP packet.
    pub length: u32,
    /// IP protocol.
    pub protocol: u32,
    /// Source address.
    pub source: [u8; N],
    /// Destination address.
    pub destination: [u8; N],
    /// Source port.
    pub source_port: u32,
    /// Destination port.
    pub destination_port: u32,
    /// TCP flags.
    pub tcp_flags: u32,
    /// ToS, traffic class.
    pub tos: u32,
}

impl<const N: usize> Ip<N> {
    /// Reads the body of a record.
    pub fn read(c: &mut Cursor<'_>) -> Result<Self, Short> {
        let what = "sFlow IP header";
        Ok(Ip {
            length: c.u32(what)?,
            protocol: c.u32(what)?,
            source: c.array(what)?,
            destination: c.array(what)?,
            source_port: c.u32(what)?,
            destination_port: c.u32(what)?,
            tcp_flags: c.u32(what)?,
            tos: c.u32(what)?,
        })
    }
}

/// How a packet was switched. VLAN 0 is untagged or not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    /// VLAN it came in by.
    pub source_vlan: u32,
    /// IEEE 802.1p priority there.
    pub source_priority: u32,
    /// VLAN it went out by.
    pub destination_vlan: u32,
    /// IEEE 802.1p priority there.
    pub destination_priority: u32,
}

impl Switch {
    /// Reads the body of a record.
    #[inline]
    pub fn read(c: &mut Cursor<'_>) -> Result<Self, Short> {
        let [source_vlan, source_priority, destination_vlan, destination_priority] =
            numbers::<4, 16>(&c.array("sFlow switch data")?);
        Ok(Switch { source_vlan, source_priority, destination_vlan, destination_priority })
    }
}

/// How a packet was routed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Router {
    /// Next hop.
    pub next_hop: Option<IpAddr>,
    /// Bits of the source's prefix.
    pub source_mask: u32,
    /// Bits of the destination's prefix.
    pub destination_mask: u32,
}

impl Router {
    /// Reads the body of a record.
    #[inline]
    pub fn read(c: &mut Cursor<'_>) -> Result<Self, Short> {
        let what = "sFlow router data";
        Ok(Router { next_hop: address(c)?, source_mask: c.u32(what)?, destination_mask: c.u32(what)? })
    }
}

/// What BGP knows of a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway<'a> {
    /// BGP's next hop.
    pub next_hop: Option<IpAddr>,
    /// AS of the router.
    pub own: u32,
    /// AS of the source; 0 is the router's own.
    pub source: u32,
    /// AS of the peer the packet came from.
    pub source_peer: u32,
    /// AS path to the destination.
    pub path: Path<'a>,
    /// Communities of the route.
    pub communities: Words<'a>,
    /// Local preference of the route.
    pub local_preference: u32,
}

impl<'a> Gateway<'a> {
    /// Reads the body of a record.
    pub fn read(c: &mut Cursor<'a>) -> Result<Self, Short> {
        let what = "sFlow gateway data";
        Ok(Gateway {
            next_hop: address(c)?,
            own: c.u32(what)?,
            source: c.u32(what)?,
            source_peer: c.u32(what)?,
            path: Path::read(c)?,
            communities: Words::read(c, "BGP communities")?,
            local_preference: c.u32(what)?,
        })
    }

    /// AS of the source, the router's own included.
    pub fn source_as(&self) -> u32 {
        if self.source == 0 { self.own } else { self.source }
    }

    /// AS of the destination: the last of the path, the router's own when it is empty.
    pub fn destination_as(&self) -> u32 {
        self.path.segments().filter_map(|(_, segment)| segment.last()).last().unwrap_or(self.own)
    }
}

/// An AS path, in segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    bytes: &'a [u8],
    count: u32,
}

impl<'a> Path<'a> {
    fn read(c: &mut Cursor<'a>) -> Result<Self, Short> {
        let what = "AS path";
        let count = c.u32(what)?;
        let bytes = c.rest();
        let begin = c.position();
        // Each segment takes eight bytes or the end of the record: no count makes this long.
        for _ in 0..count {
            c.skip(4, what)?;
            Words::read(c, what)?;
        }
        Ok(Path { bytes: bytes.get(..c.position() - begin).unwrap_or(&[]), count })
    }

    /// Kind (1 a set, 2 a sequence) and numbers of each segment.
    pub fn segments(self) -> impl Iterator<Item = (u32, Words<'a>)> {
        let mut c = Cursor::new(self.bytes);
        (0..self.count).map_while(move |_| Some((c.u32("AS path").ok()?, Words::read(&mut c, "AS path").ok()?)))
    }
}

/// Who sends and receives, as the device knows it from their login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User<'a> {
    /// Character set of `source`, a MIB enum (RFC 2978).
    pub source_charset: u32,
    /// Who sends.
    pub source: &'a [u8],
    /// Character set of `destination`.
    pub destination_charset: u32,
    /// Who receives.
    pub destination: &'a [u8],
}

impl<'a> User<'a> {
    fn read(c: &mut Cursor<'a>) -> Result<Self, Short> {
        let what = "sFlow user";
        Ok(User {
            source_charset: c.u32(what)?,
            source: opaque(c, what)?,
            destination_charset: c.u32(what)?,
            destination: opaque(c, what)?,
        })
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// 1 the source's, 2 the destination's.
    pub direction: u32,
    /// Request line.
    pub url: &'a [u8],
    /// Host.
    pub host: &'a [u8],
}

impl<'a> Url<'a> {
    fn read(c: &mut Cursor<'a>) -> Result<Self, Short> {
        let what = "sFlow URL";
        Ok(Url { direction: c.u32(what)?, url: opaque(c, what)?, host: opaque(c, what)? })
    }
}

/// Labels as the packet came in and went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mpls<'a> {
    /// Next hop.
    pub next_hop: Option<IpAddr>,
    /// Stack it came in with, outermost first.
    pub input: Words<'a>,
    /// Stack it went out with.
    pub output: Words<'a>,
}

impl<'a> Mpls<'a> {
    fn read(c: &mut Cursor<'a>) -> Result<Self, Short> {
        let what = "sFlow MPLS stack";
        Ok(Mpls { next_hop: address(c)?, input: Words::read(c, what)?, output: Words::read(c, what)? })
    }
}

/// Addresses after translation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    /// Source.
    pub source: Option<IpAddr>,
    /// Destination.
    pub destination: Option<IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::super::tests::words;
    use super::*;

    /// Reads a body, and tries every truncation of it.
    fn read(format: u32, body: &[u8]) -> Record<'_> {
        for cut in 0..body.len() {
            let block = Block { format: Format(format), body: &body[..cut] };
            assert!(Record::read(block).is_err(), "format {format} cut at {cut}");
        }
        Record::read(Block { format: Format(format), body }).expect("whole")
    }

    #[test]
    fn raw_headers() {
        let bytes = words(&[1, 1518, 4, 8, 0x0102_0304, 0x0506_0708]);
        let raw = RawHeader::read(&mut Cursor::new(&bytes)).expect("whole");
        assert_eq!(read(1, &bytes), Record::Raw(raw));
        assert_eq!((raw.frame_length, raw.stripped, raw.link()), (1518, 4, Some(LinkType::ETHERNET)));
        assert_eq!(raw.bytes, [1, 2, 3, 4, 5, 6, 7, 8]);
        let huge = Block { format: Format::RAW_HEADER, body: &words(&[1, 1518, 4, u32::MAX, 0]) };
        assert!(Record::read(huge).is_err());
    }

    #[test]
    fn sampled_headers_alone_and_as_tunnels() {
        let ethernet = words(&[64, 0x0102_0304, 0x0506_0000, 0x1112_1314, 0x1516_0000, 0x0800]);
        let expected =
            Ethernet { length: 64, source: [1, 2, 3, 4, 5, 6], destination: [17, 18, 19, 20, 21, 22], kind: 0x0800 };
        assert_eq!(read(2, &ethernet), Record::Ethernet(expected));
        assert_eq!(read(1021, &ethernet), Record::Tunnel(Way::Egress, Outer::Ethernet(expected)));
        assert_eq!(read(1022, &ethernet), Record::Tunnel(Way::Ingress, Outer::Ethernet(expected)));
        let ipv4 = words(&[1500, 6, 0xc000_0201, 0xc000_0202, 443, 50000, 0x12, 0x20]);
        let expected = Ip {
            length: 1500,
            protocol: 6,
            source: [192, 0, 2, 1],
            destination: [192, 0, 2, 2],
            source_port: 443,
            destination_port: 50000,
            tcp_flags: 0x12,
            tos: 0x20,
        };
        assert_eq!(read(3, &ipv4), Record::Ipv4(expected));
        assert_eq!(read(1023, &ipv4), Record::Tunnel(Way::Egress, Outer::Ipv4(expected)));
        assert_eq!(read(1024, &ipv4), Record::Tunnel(Way::Ingress, Outer::Ipv4(expected)));
        let ipv6 = words(&[60, 17, 0x2001_0db8, 0, 0, 1, 0x2001_0db8, 0, 0, 2, 53, 5353, 0, 8]);
        let ip = Ip::<16>::read(&mut Cursor::new(&ipv6)).expect("whole");
        assert_eq!(read(4, &ipv6), Record::Ipv6(ip));
        assert_eq!((ip.source[15], ip.destination[15], ip.source_port, ip.tos), (1, 2, 53, 8));
        assert_eq!(read(1025, &ipv6), Record::Tunnel(Way::Egress, Outer::Ipv6(ip)));
        assert_eq!(read(1026, &ipv6), Record::Tunnel(Way::Ingress, Outer::Ipv6(ip)));
    }

    #[test]
    fn small_ones() {
        let number = words(&[0x0001_0203]);
        assert_eq!(read(1027, &number), Record::Inner(Way::Egress, 0x10203));
        assert_eq!(read(1028, &number), Record::Inner(Way::Ingress, 0x10203));
        assert_eq!(read(1029, &number), Record::Vni(Way::Egress, 0x10203));
        assert_eq!(read(1030, &number), Record::Vni(Way::Ingress, 0x10203));
        assert_eq!(read(1036, &number), Record::EgressQueue(0x10203));
        assert_eq!(read(1020, &words(&[1, 2])), Record::NatPorts(1, 2));
        let switch = Switch { source_vlan: 10, source_priority: 1, destination_vlan: 20, destination_priority: 2 };
        assert_eq!(read(1001, &words(&[10, 1, 20, 2])), Record::Switch(switch));
        let router = Router { next_hop: Some(IpAddr::from([192, 0, 2, 9])), source_mask: 24, destination_mask: 16 };
        assert_eq!(read(1002, &words(&[1, 0xc000_0209, 24, 16])), Record::Router(router));
        assert_eq!(read(1002, &words(&[0, 24, 16])), Record::Router(Router { next_hop: None, ..router }));
        let nat = Nat { source: Some(IpAddr::from([192, 0, 2, 1])), destination: Some(IpAddr::from([0; 16])) };
        assert_eq!(read(1007, &words(&[1, 0xc000_0201, 2, 0, 0, 0, 0])), Record::Nat(nat));
        let stack = words(&[2, 5, 6]);
        let tags = Words::read(&mut Cursor::new(&stack), "tags").expect("whole");
        assert_eq!(read(1012, &stack), Record::VlanTags(tags));
        assert_eq!(tags.iter().collect::<Vec<_>>(), [5, 6]);
    }

    #[test]
    fn gateways_and_their_paths() {
        let body = words(&[1, 0xc000_0209, 64500, 64501, 64502, 2, 2, 2, 100, 200, 1, 1, 300, 2, 7, 8, 90]);
        let gateway = Gateway::read(&mut Cursor::new(&body)).expect("whole");
        assert_eq!(read(1003, &body), Record::Gateway(gateway));
        assert_eq!((gateway.source_as(), gateway.destination_as(), gateway.local_preference), (64501, 300, 90));
        let segments: Vec<_> = gateway.path.segments().map(|(kind, all)| (kind, all.iter().collect())).collect();
        assert_eq!(segments, [(2, vec![100, 200]), (1, vec![300])]);
        assert_eq!(gateway.communities.iter().collect::<Vec<_>>(), [7, 8]);
        let local = words(&[0, 64500, 0, 0, 0, 0, 0]);
        let local = Gateway::read(&mut Cursor::new(&local)).expect("whole");
        assert_eq!((local.source_as(), local.destination_as()), (64500, 64500));
        for huge in [&[0, 1, 2, 3, u32::MAX][..], &[0, 1, 2, 3, 1, 2, 0x4000_0001, 5, 6, 7]] {
            assert!(Record::read(Block { format: Format::GATEWAY, body: &words(huge) }).is_err());
        }
    }

    #[test]
    fn texts_and_labels() {
        let user = words(&[106, 3, 0x626f_6200, 106, 4, 0x6a61_6e65]);
        let (bob, jane) = (&b"bob"[..], &b"jane"[..]);
        let expected = User { source_charset: 106, source: bob, destination_charset: 106, destination: jane };
        assert_eq!(Record::read(Block { format: Format(1004), body: &user }), Ok(Record::User(expected)));
        let url = words(&[1, 4, 0x2f61_6263, 1, 0x6800_0000]);
        let expected = Url { direction: 1, url: b"/abc", host: b"h" };
        assert_eq!(Record::read(Block { format: Format(1005), body: &url }), Ok(Record::Url(expected)));
        let labels = words(&[0, 1, 0x1000, 2, 1, 2]);
        let mpls = Mpls::read(&mut Cursor::new(&labels)).expect("whole");
        assert_eq!(read(1006, &labels), Record::Mpls(mpls));
        assert_eq!((mpls.input.last(), mpls.output.iter().count()), (Some(0x1000), 2));
        let other = Block { format: Format(0x0012_3001), body: &[1, 2, 3] };
        assert_eq!(Record::read(other), Ok(Record::Other(other)));
    }
}
