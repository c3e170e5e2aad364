//! One captured packet, as every source hands it on.

/// A point in time: nanoseconds since 1970-01-01 UTC, leap seconds not counted. Good until 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// From whole seconds and a fraction in nanoseconds.
    #[inline]
    pub const fn new(seconds: u64, nanos: u64) -> Self {
        Nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// Whole seconds since the epoch.
    #[inline]
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Whole milliseconds since the epoch.
    #[inline]
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole microseconds since the epoch.
    #[inline]
    pub const fn micros(self) -> u64 {
        self.0 / 1_000
    }

    /// Nanoseconds from `earlier` to `self`, 0 when time ran backwards.
    #[inline]
    pub const fn since(self, earlier: Nanos) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Link-layer header type, the `LINKTYPE_` number of the tcpdump.org registry (not the host's `DLT_` value).
/// Unknown numbers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: address family in host order of the capturing machine.
    pub const NULL: LinkType = LinkType(0);
    /// IEEE 802.3 Ethernet.
    pub const ETHERNET: LinkType = LinkType(1);
    /// PPP, RFC 1661 and RFC 1662.
    pub const PPP: LinkType = LinkType(9);
    /// PPP in HDLC-like framing.
    pub const PPP_HDLC: LinkType = LinkType(50);
    /// PPPoE session header first.
    pub const PPP_ETHER: LinkType = LinkType(51);
    /// Raw IP; version from the first nibble.
    pub const RAW: LinkType = LinkType(101);
    /// Cisco HDLC.
    pub const C_HDLC: LinkType = LinkType(104);
    /// OpenBSD loopback: address family in network order.
    pub const LOOP: LinkType = LinkType(108);
    /// Linux cooked capture v1.
    pub const LINUX_SLL: LinkType = LinkType(113);
    /// MPLS labels first.
    pub const MPLS: LinkType = LinkType(219);
    /// Raw IPv4.
    pub const IPV4: LinkType = LinkType(228);
    /// Raw IPv6.
    pub const IPV6: LinkType = LinkType(229);
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: LinkType = LinkType(276);
}

/// The number, with its name where that is one that captures are often made with.
impl core::fmt::Display for LinkType {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let name = match self.0 {
            0 => "BSD loopback",
            1 => "Ethernet",
            6 => "Token Ring",
            9 | 50 => "PPP",
            51 => "PPPoE",
            10 => "FDDI",
            101 => "raw IP",
            104 => "Cisco HDLC",
            105 => "IEEE 802.11",
            107 => "Frame Relay",
            108 => "OpenBSD loopback",
            113 => "Linux cooked",
            117 => "OpenBSD pflog",
            119 => "IEEE 802.11 with Prism header",
            127 => "IEEE 802.11 with radiotap header",
            147..=162 => "private use",
            163 => "IEEE 802.11 with AVS header",
            187 | 201 => "Bluetooth",
            189 | 220 | 249 => "USB",
            192 => "PPI",
            195 | 215 | 230 | 283 => "IEEE 802.15.4",
            227 => "CAN",
            228 => "raw IPv4",
            229 => "raw IPv6",
            252 => "Wireshark's exported PDUs",
            253 => "netlink",
            276 => "Linux cooked v2",
            _ => return write!(f, "{}", self.0),
        };
        write!(f, "{} ({name})", self.0)
    }
}

/// One captured packet, borrowed from the source's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When it was captured.
    pub time: Nanos,
    /// How its first bytes are to be read.
    pub link: LinkType,
    /// Its length on the wire; `bytes` may hold less.
    pub wire_len: u32,
    /// Index of the interface it came in by, as the host numbers interfaces; 0 when unknown.
    pub interface: u32,
    /// What was captured of it, from the link-layer header on.
    pub bytes: &'a [u8],
}
