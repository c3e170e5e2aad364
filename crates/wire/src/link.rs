//! From the first captured byte to the network layer: link headers, VLAN tags, MPLS labels, PPPoE.
//!
//! ```text
//! Ethernet  dst(6) src(6) [tpid(2) tci(2)]* ethertype(2) | length(2) LLC(3) SNAP(5)
//! SLL       packet type(2) arphrd(2) addr len(2) addr(8) protocol(2)
//! SLL2      protocol(2) reserved(2) ifindex(4) arphrd(2) type(1) addr len(1) addr(8)
//! PPP       [ff 03] protocol(1 or 2)
//! PPPoE     ver/type(1) code(1) session(2) length(2) PPP protocol           RFC 2516
//! MPLS      label(20) tc(3) bottom(1) ttl(8), repeated                      RFC 3032
//! ```
//!
//! An MPLS pseudowire with a control word (RFC 4448) is walked into; tunnels over IP are not links and stay for the
//! network layer. Left out: IEEE 802.11, Frame Relay, MACsec, NSH.

use crate::{Cursor, LinkType, Short};

/// Headers walked before giving up: a frame with more is hostile or broken.
const MAX_HEADERS: usize = 24;

/// Where the link layer ended and what it said on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Offset of the network-layer header.
    pub l3: usize,
    /// First VLAN id when there are two tags or more, else 0.
    pub vlan_outer: u16,
    /// Last VLAN id, 0 when untagged.
    pub vlan_inner: u16,
    /// Offset of the first MPLS label, 0 when there is none.
    pub mpls: usize,
    /// Number of MPLS labels.
    pub labels: u8,
    /// True when the frame begins with an Ethernet header, so that MAC addresses can be read from it.
    pub ethernet: bool,
}

/// Why a frame has no network layer for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It ended inside a link header.
    Short(Short),
    /// A link type this build does not read.
    LinkType(LinkType),
    /// Not IP: the EtherType (or 802.3 length, or PPP protocol) that was found.
    NotIp(u16),
    /// More stacked headers than any real network has.
    TooDeep,
}

impl From<Short> for Error {
    #[inline]
    fn from(short: Short) -> Self {
        Error::Short(short)
    }
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const MPLS: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
const TRANSPARENT_BRIDGING: u16 = 0x6558;
/// IEEE 802.1BR port extension tag.
const E_TAG: u16 = 0x893f;
/// Cisco VN-Tag.
const VN_TAG: u16 = 0x8926;
/// IEEE 802.1ah, MAC in MAC: I-TAG, then the Ethernet frame it carries.
const BACKBONE_BRIDGE: u16 = 0x88e7;
/// Cisco FabricPath: tag and TTL, then the Ethernet frame it carries.
const FABRIC_PATH: u16 = 0x8903;
/// Largest 802.3 length; above it the field is an EtherType.
const MAX_802_3: u16 = 1500;

/// Walks from the first byte to the network header.
#[inline]
pub fn walk(link: LinkType, bytes: &[u8]) -> Result<Link, Error> {
    // Nearly every packet there is: untagged IP over Ethernet.
    if link == LinkType::ETHERNET
        && let Some(&[high, low]) = bytes.get(12..14).and_then(|b| b.first_chunk::<2>())
        && matches!(u16::from_be_bytes([high, low]), IPV4 | IPV6)
    {
        return Ok(Link { l3: 14, ethernet: true, ..Link::default() });
    }
    walk_any(link, bytes)
}

/// Whether frames of this type can be walked at all.
pub fn reads(link: LinkType) -> bool {
    !matches!(walk(link, &[]), Err(Error::LinkType(_)))
}

fn walk_any(link: LinkType, bytes: &[u8]) -> Result<Link, Error> {
    let mut c = Cursor::new(bytes);
    let mut found = Link::default();
    let protocol = match link {
        LinkType::ETHERNET => {
            found.ethernet = true;
            c.skip(12, "Ethernet addresses")?;
            c.u16("EtherType")?
        }
        LinkType::LINUX_SLL => {
            c.skip(14, "Linux cooked header")?;
            c.u16("Linux cooked protocol")?
        }
        LinkType::LINUX_SLL2 => {
            let protocol = c.u16("Linux cooked v2 protocol")?;
            c.skip(18, "Linux cooked v2 header")?;
            protocol
        }
        LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 | LinkType(12) | LinkType(14) => ip_version(c)?,
        LinkType::NULL | LinkType::LOOP => {
            let family = c.array::<4>("loopback address family")?;
            // Host order of the machine that captured, so either end may hold the small number.
            match family[0].max(family[3]) {
                2 => IPV4,
                10 | 24 | 28 | 30 => IPV6,
                other => return Err(Error::NotIp(u16::from(other))),
            }
        }
        LinkType::PPP | LinkType::PPP_HDLC => ppp(&mut c)?,
        LinkType::PPP_ETHER => PPPOE_SESSION,
        LinkType::MPLS => MPLS,
        LinkType::C_HDLC => {
            c.skip(2, "Cisco HDLC header")?;
            c.u16("Cisco HDLC protocol")?
        }
        other => return Err(Error::LinkType(other)),
    };
    network(c, protocol, found)
}

fn network(mut c: Cursor<'_>, mut protocol: u16, mut found: Link) -> Result<Link, Error> {
    let mut tags = 0;
    for _ in 0..MAX_HEADERS {
        match protocol {
            IPV4 | IPV6 => {
                found.l3 = c.position();
                return Ok(found);
            }
            0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => {
                let id = c.u16("VLAN tag")? & 0x0fff;
                if tags == 1 {
                    found.vlan_outer = found.vlan_inner;
                }
                found.vlan_inner = id;
                tags += 1;
                protocol = c.u16("EtherType after VLAN tag")?;
            }
            MPLS | MPLS_MULTICAST => {
                if found.labels == 0 {
                    found.mpls = c.position();
                }
                let entry = c.u32("MPLS label")?;
                found.labels = found.labels.saturating_add(1);
                if entry & 0x100 != 0 {
                    protocol = below_mpls(&mut c)?;
                }
            }
            E_TAG => {
                c.skip(6, "E-TAG")?;
                protocol = c.u16("EtherType after E-TAG")?;
            }
            VN_TAG => {
                c.skip(4, "VN-Tag")?;
                protocol = c.u16("EtherType after VN-Tag")?;
            }
            BACKBONE_BRIDGE => {
                c.skip(16, "I-TAG and Ethernet addresses behind it")?;
                protocol = c.u16("EtherType behind I-TAG")?;
            }
            FABRIC_PATH => {
                c.skip(14, "FabricPath tag and Ethernet addresses behind it")?;
                protocol = c.u16("EtherType behind FabricPath")?;
            }
            PPPOE_SESSION => {
                c.skip(6, "PPPoE header")?;
                protocol = ppp(&mut c)?;
            }
            TRANSPARENT_BRIDGING => {
                c.skip(12, "Ethernet addresses in a pseudowire")?;
                protocol = c.u16("EtherType in a pseudowire")?;
            }
            0..=MAX_802_3 => protocol = llc(&mut c, protocol)?,
            other => return Err(Error::NotIp(other)),
        }
    }
    Err(Error::TooDeep)
}

/// IP below the label stack shows its version; a zero nibble is a pseudowire control word (RFC 4385).
fn below_mpls(c: &mut Cursor<'_>) -> Result<u16, Error> {
    match c.rest().first().map(|b| b >> 4) {
        Some(4) => Ok(IPV4),
        Some(6) => Ok(IPV6),
        Some(0) => {
            c.skip(4, "pseudowire control word")?;
            Ok(TRANSPARENT_BRIDGING)
        }
        _ => Err(Error::NotIp(MPLS)),
    }
}

fn ip_version(c: Cursor<'_>) -> Result<u16, Error> {
    let mut ahead = c;
    match ahead.u8("IP version")? >> 4 {
        4 => Ok(IPV4),
        6 => Ok(IPV6),
        other => Err(Error::NotIp(u16::from(other))),
    }
}

/// 802.2 LLC with SNAP carries an EtherType; LLC alone may carry IP as SAP 06 (RFC 948).
fn llc(c: &mut Cursor<'_>, length: u16) -> Result<u16, Error> {
    match c.array::<3>("LLC header")? {
        [0xaa, 0xaa, 0x03] => {
            c.skip(3, "SNAP organisation")?;
            Ok(c.u16("SNAP protocol")?)
        }
        [0x06, 0x06, 0x03] => Ok(IPV4),
        _ => Err(Error::NotIp(length)),
    }
}

/// The PPP protocol as an EtherType. Address/control and the protocol's first byte may have been compressed away
/// (RFC 1661, section 6.5 and 6.6).
fn ppp(c: &mut Cursor<'_>) -> Result<u16, Error> {
    let mut first = c.u8("PPP header")?;
    // Cisco HDLC recorded as PPP, as old captures of serial lines are: unicast or broadcast address, then an EtherType.
    if matches!(first, 0x0f | 0x8f) && c.rest().first() == Some(&0) {
        c.skip(1, "Cisco HDLC control")?;
        return Ok(c.u16("Cisco HDLC protocol")?);
    }
    if first == 0xff {
        c.skip(1, "PPP control")?;
        first = c.u8("PPP protocol")?;
    }
    let protocol =
        if first & 1 == 1 { u16::from(first) } else { u16::from(first) << 8 | u16::from(c.u8("PPP protocol")?) };
    match protocol {
        0x0021 => Ok(IPV4),
        0x0057 => Ok(IPV6),
        0x0281 => Ok(MPLS),
        0x0283 => Ok(MPLS_MULTICAST),
        other => Err(Error::NotIp(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ethernet(rest: &[u8]) -> Vec<u8> {
        [&[0u8; 12][..], rest].concat()
    }

    #[test]
    fn plain_ethernet_stops_at_14() {
        let link = walk(LinkType::ETHERNET, &ethernet(&[0x08, 0x00, 0x45])).expect("IPv4");
        assert_eq!((link.l3, link.vlan_inner, link.ethernet), (14, 0, true));
    }

    #[test]
    fn two_tags_are_outer_and_inner() {
        let frame = ethernet(&[0x88, 0xa8, 0x20, 0x64, 0x81, 0x00, 0x00, 0x0a, 0x86, 0xdd]);
        let link = walk(LinkType::ETHERNET, &frame).expect("IPv6");
        assert_eq!((link.l3, link.vlan_outer, link.vlan_inner), (22, 100, 10));
    }

    #[test]
    fn three_tags_keep_the_first_and_the_last() {
        let frame = ethernet(&[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 0x08, 0]);
        let link = walk(LinkType::ETHERNET, &frame).expect("IPv4");
        assert_eq!((link.vlan_outer, link.vlan_inner), (1, 3));
    }

    #[test]
    fn mpls_labels_are_counted_down_to_ip() {
        let frame = ethernet(&[0x88, 0x47, 0x00, 0x01, 0x00, 0x40, 0x00, 0x02, 0x01, 0x40, 0x45]);
        let link = walk(LinkType::ETHERNET, &frame).expect("IPv4");
        assert_eq!((link.l3, link.mpls, link.labels), (22, 14, 2));
    }

    #[test]
    fn pppoe_and_compressed_ppp() {
        let frame = ethernet(&[0x88, 0x64, 0x11, 0, 0, 1, 0, 3, 0x00, 0x21, 0x45]);
        assert_eq!(walk(LinkType::ETHERNET, &frame).map(|l| l.l3), Ok(22));
        assert_eq!(walk(LinkType::PPP, &[0xff, 0x03, 0x00, 0x57, 0x60]).map(|l| l.l3), Ok(4));
        assert_eq!(walk(LinkType::PPP, &[0x21, 0x45]).map(|l| l.l3), Ok(1));
    }

    #[test]
    fn other_links_and_other_protocols() {
        assert_eq!(walk(LinkType::NULL, &[2, 0, 0, 0, 0x45]).map(|l| l.l3), Ok(4));
        assert_eq!(walk(LinkType::NULL, &[0, 0, 0, 30, 0x60]).map(|l| l.l3), Ok(4));
        assert_eq!(walk(LinkType::ETHERNET, &ethernet(&[0x08, 0x06])), Err(Error::NotIp(0x0806)));
        assert_eq!(walk(LinkType(105), &[0; 40]), Err(Error::LinkType(LinkType(105))));
        assert_eq!(walk(LinkType::PPP, &[0x0f, 0x00, 0x08, 0x00, 0x45]).map(|l| l.l3), Ok(4));
        assert_eq!(walk(LinkType::MPLS, &[0, 1, 1, 0x40, 0x45]).map(|l| (l.l3, l.labels)), Ok((4, 1)));
        let e_tag = ethernet(&[0x89, 0x3f, 0, 0, 0, 0, 0, 0, 0x08, 0x00, 0x45]);
        assert_eq!(walk(LinkType::ETHERNET, &e_tag).map(|l| l.l3), Ok(22));
        let fabric_path = [&ethernet(&[0x89, 0x03, 0, 0])[..], &ethernet(&[0x08, 0x00, 0x45])].concat();
        assert_eq!(walk(LinkType::ETHERNET, &fabric_path).map(|l| l.l3), Ok(30));
        let snap = ethernet(&[0, 40, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00, 0x45]);
        assert_eq!(walk(LinkType::ETHERNET, &snap).map(|l| l.l3), Ok(22));
    }

    #[test]
    fn endless_tags_are_refused_and_every_truncation_errs() {
        let tags = ethernet(&[0x81, 0x00, 0x00, 0x01].repeat(40));
        assert_eq!(walk(LinkType::ETHERNET, &tags), Err(Error::TooDeep));
        let whole = ethernet(&[0x88, 0x47, 0, 1, 1, 0x40, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0]);
        assert!(walk(LinkType::ETHERNET, &whole).is_ok());
        for cut in 0..whole.len() {
            assert!(walk(LinkType::ETHERNET, &whole[..cut]).is_err(), "cut at {cut}");
        }
    }
}
