//! One information element: its name, its numbers, and how its value is written.
//!
//! An element has up to three spellings: nProbe's name (`IN_BYTES`), the IANA registry's (`octetDeltaCount`) and a
//! number. Numbers: NetFlow v9 has a flat 16-bit space, where ntop's own elements stand at 57472 + n; IPFIX
//! (RFC 7011, section 3.2) has an enterprise number and an id, 35632.n for the same elements.

use core::hash::{Hash, Hasher};

/// ntop's private enterprise number.
pub const NTOP_PEN: u32 = 35632;

/// What ntop's element numbers are raised by in the id space of NetFlow v9.
pub const V9_NTOP_BASE: u16 = 57472;

/// Cisco's private enterprise number.
pub const CISCO_PEN: u32 = 9;

/// What Cisco's element numbers are raised by in the id space of NetFlow v9: 9.n of IPFIX without its enterprise number.
pub const V9_CISCO_BASE: u16 = 32768;

/// The length that announces a variable-length field in an IPFIX template (RFC 7011, section 7).
pub const VARIABLE: u16 = 65535;

/// One information element. Two are equal when their names are, as the tables hold each name once.
#[derive(Clone, Debug)]
pub struct Element {
    /// nProbe's name, or the registry's where nProbe has none. The key in JSON and TLV.
    pub name: &'static str,
    /// What the value is to nProbe's users, and how NetFlow v9 carries it.
    pub kind: Kind,
    /// How IPFIX carries it: wider counters, and the registry's type where nProbe's cannot stand for it.
    pub wire: Kind,
    /// Its number.
    pub id: Id,
    /// The registry's (or vendor's) name for that number.
    pub ipfix_name: Option<&'static str>,
    /// Other spellings accepted from users.
    pub aliases: &'static [&'static str],
    /// The topic it belongs to, one file of the tables each.
    pub group: Group,
    /// Whether it counts, and since when.
    pub counter: Counter,
    /// What its number counts or measures.
    pub unit: Unit,
    /// Deprecated in the registry.
    pub deprecated: bool,
    /// Whether another element has taken its place.
    pub standing: Standing,
    /// One sentence for users.
    pub help: &'static str,
}

impl Element {
    /// The id NetFlow v9 uses, where it has one.
    pub const fn v9_id(&self) -> Option<u16> {
        match self.id {
            Id::Iana(id) => Some(id),
            Id::Ntop(n) => Some(V9_NTOP_BASE + n),
            Id::Vendor { pen: CISCO_PEN, id } if id < V9_NTOP_BASE - V9_CISCO_BASE => Some(V9_CISCO_BASE + id),
            Id::Vendor { .. } | Id::Clash(_) | Id::Unverified => None,
        }
    }

    /// The enterprise number (0 for IANA's own) and id IPFIX uses, where it has one.
    pub const fn ipfix_id(&self) -> Option<(u32, u16)> {
        match self.id {
            Id::Iana(id) => Some((0, id)),
            Id::Ntop(n) => Some((NTOP_PEN, n)),
            Id::Vendor { pen, id } => Some((pen, id)),
            Id::Clash(_) | Id::Unverified => None,
        }
    }

    /// Bytes on the NetFlow v9 wire.
    pub const fn v9_length(&self) -> u16 {
        self.kind.length()
    }

    /// True when IPFIX carries it with a variable length.
    pub const fn is_variable(&self) -> bool {
        self.wire.is_variable()
    }

    /// The length in an IPFIX template, [`VARIABLE`] included.
    pub const fn ipfix_length(&self) -> u16 {
        if self.is_variable() { VARIABLE } else { self.wire.length() }
    }

    /// How to read a field of this element which a template declares `length` bytes long.
    ///
    /// nProbe calls some elements numbers which are texts or octets in the registry (95, 104, 300). A field of
    /// nProbe's own length is read nProbe's way, any other the registry's way. The length of a text or of octets is the
    /// field's, whatever the kind says.
    pub const fn kind_of(&self, length: u16) -> Kind {
        if self.kind.is_number() && !self.wire.is_number() && length != self.v9_length() {
            self.wire
        } else {
            self.kind
        }
    }

    /// True when a sampled exporter sees only a part of what this counts, so that the collector scales it.
    ///
    /// What an exporter counts about itself, its selectors and its interfaces is exact.
    pub const fn scales_with_sampling(&self) -> bool {
        let exact = matches!(
            self.id,
            Id::Iana(40..=42 | 163..=168 | 318..=319 | 354..=358 | 394..=395 | 407 | 426..=427 | 433)
        );
        let traffic = matches!(self.unit, Unit::Octets | Unit::Packets | Unit::Frames);
        traffic && !exact && !matches!(self.counter, Counter::No)
    }

    /// The element that carries the same value today: the new name of a renamed one, else itself.
    pub const fn current(&'static self) -> &'static Element {
        match self.standing {
            Standing::Renamed(now) => now,
            Standing::Current | Standing::Displaced(_) => self,
        }
    }

    /// True when both are one element, be it under an older name.
    pub fn is_same_as(&self, other: &Element) -> bool {
        self.current_name() == other.current_name()
    }

    const fn current_name(&self) -> &'static str {
        match self.standing {
            Standing::Renamed(now) => now.name,
            Standing::Current | Standing::Displaced(_) => self.name,
        }
    }

    /// True when this element is what its number means, so that looking the number up finds it.
    pub const fn owns_its_number(&self) -> bool {
        matches!(self.standing, Standing::Current) && self.ipfix_id().is_some()
    }
}

/// The parts of a table row, in the order the macros of [`crate::table`] apply them.
impl Element {
    pub(crate) const fn new(name: &'static str, kind: Kind, id: Id, group: Group, help: &'static str) -> Self {
        Element {
            name,
            kind,
            wire: kind,
            id,
            ipfix_name: None,
            aliases: &[],
            group,
            counter: Counter::No,
            unit: Unit::Unitless,
            deprecated: false,
            standing: Standing::Current,
            help,
        }
    }

    pub(crate) const fn wire(mut self, wire: Kind) -> Self {
        self.wire = wire;
        self
    }

    pub(crate) const fn ipfix(mut self, name: &'static str) -> Self {
        self.ipfix_name = Some(name);
        self
    }

    pub(crate) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn delta(mut self, unit: Unit) -> Self {
        self.counter = Counter::Delta;
        self.unit = unit;
        self
    }

    pub(crate) const fn total(mut self, unit: Unit) -> Self {
        self.counter = Counter::Total;
        self.unit = unit;
        self
    }

    pub(crate) const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    pub(crate) const fn deprecated(mut self, deprecated: bool) -> Self {
        self.deprecated = deprecated;
        self
    }

    pub(crate) const fn renamed(mut self, now: &'static Element) -> Self {
        self.standing = Standing::Renamed(now);
        self
    }

    pub(crate) const fn displaced(mut self, by: &'static Element) -> Self {
        self.standing = Standing::Displaced(by);
        self
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other) || self.name == other.name
    }
}

impl Eq for Element {}

impl Hash for Element {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// The number of an element, by who gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    /// A number of the IANA registry, the same in NetFlow v9 and IPFIX.
    Iana(u16),
    /// ntop's n: 35632.n in IPFIX, 57472 + n in NetFlow v9.
    Ntop(u16),
    /// Another enterprise's number. NetFlow v9 cannot carry it, but Cisco's.
    Vendor {
        /// Private enterprise number.
        pen: u32,
        /// The number under it.
        id: u16,
    },
    /// The number ntopng's header gives a label of its own, which nProbe gives another element. Never sent, never
    /// looked up.
    Clash(u16),
    /// Announced by name only. Never sent by number.
    Unverified,
}

/// What a value is, and how many bytes carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One-byte number.
    U8,
    /// Two-byte number.
    U16,
    /// Four-byte number.
    U32,
    /// Eight-byte number.
    U64,
    /// Four-byte signed number.
    I32,
    /// Eight-byte IEEE float.
    F64,
    /// One byte: 1 true, 2 false (RFC 7011, section 6.1.5).
    Bool,
    /// IPv4 address.
    Ipv4,
    /// IPv6 address.
    Ipv6,
    /// MAC address.
    Mac,
    /// Text of any length in IPFIX, of this many bytes (padded with NUL, or cut) in NetFlow v9.
    Text(u16),
    /// Text of this many bytes everywhere.
    FixedText(u16),
    /// Octets of any length in IPFIX, of this many in NetFlow v9.
    Octets(u16),
    /// Exactly so many octets.
    FixedOctets(u16),
    /// Seconds since 1970, four bytes.
    Seconds,
    /// Milliseconds since 1970, eight bytes.
    Millis,
    /// Microseconds since 1970, as an eight-byte NTP timestamp on the wire (RFC 7011, section 6.1.9).
    Micros,
    /// Nanoseconds since 1970, as an eight-byte NTP timestamp on the wire (RFC 7011, section 6.1.10).
    Nanos,
    /// Milliseconds since the exporter started, four bytes. Seconds since 1970 in JSON and TLV.
    UptimeMillis,
    /// A latency: whole milliseconds in four bytes on the wire, milliseconds with a fraction in JSON and TLV.
    LatencyMs,
    /// nDPI's protocol number: two bytes on the wire, the text "master.app" in JSON and TLV.
    L7Protocol,
    /// A list (RFC 6313): any length in IPFIX, this many bytes in NetFlow v9.
    List(u16),
}

impl Kind {
    /// Bytes a value takes, where its length is fixed: everywhere but in IPFIX when [`Kind::is_variable`].
    pub const fn length(self) -> u16 {
        match self {
            Kind::U8 | Kind::Bool => 1,
            Kind::U16 | Kind::L7Protocol => 2,
            Kind::U32 | Kind::I32 | Kind::Ipv4 | Kind::Seconds | Kind::UptimeMillis | Kind::LatencyMs => 4,
            Kind::Mac => 6,
            Kind::U64 | Kind::F64 | Kind::Millis | Kind::Micros | Kind::Nanos => 8,
            Kind::Ipv6 => 16,
            Kind::Text(n) | Kind::FixedText(n) | Kind::Octets(n) | Kind::FixedOctets(n) | Kind::List(n) => n,
        }
    }

    /// True when IPFIX gives each value its own length.
    pub const fn is_variable(self) -> bool {
        matches!(self, Kind::Text(_) | Kind::Octets(_) | Kind::List(_))
    }

    /// True when the wire carries a plain integer, which may come shorter than [`Kind::length`] (reduced-size
    /// encoding, RFC 7011, section 6.2). NTP timestamps ([`Kind::Micros`], [`Kind::Nanos`]) are none.
    pub const fn is_number(self) -> bool {
        matches!(
            self,
            Kind::U8
                | Kind::U16
                | Kind::U32
                | Kind::U64
                | Kind::I32
                | Kind::Seconds
                | Kind::Millis
                | Kind::UptimeMillis
                | Kind::LatencyMs
                | Kind::L7Protocol
        )
    }

    /// True for a moment in time, which no sampling rate scales.
    pub const fn is_time(self) -> bool {
        matches!(self, Kind::Seconds | Kind::Millis | Kind::Micros | Kind::Nanos | Kind::UptimeMillis)
    }

    /// True for text of either sort.
    pub const fn is_text(self) -> bool {
        matches!(self, Kind::Text(_) | Kind::FixedText(_))
    }
}

/// Whether an element counts, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Not a counter.
    No,
    /// Since the record before of the same flow.
    Delta,
    /// Since the flow, or the exporter, began.
    Total,
}

/// What a number counts or measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says all there is")]
pub enum Unit {
    Unitless,
    Octets,
    Packets,
    Frames,
    Flows,
    Messages,
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
    Bits,
    BitsPerSecond,
    Hops,
    Entries,
    Ports,
    /// Four octets each.
    Words,
}

/// Whether another element has taken an element's place.
#[derive(Clone, Copy, Debug)]
pub enum Standing {
    /// In use.
    Current,
    /// An old label of this element: same number, same meaning.
    Renamed(&'static Element),
    /// Its number now means this element; its own meaning is lost on a reader of numbers.
    Displaced(&'static Element),
}

/// The topic of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "`Group::title` describes each")]
pub enum Group {
    Key,
    Counters,
    Times,
    Routing,
    Mpls,
    Tcp,
    Latency,
    Interarrival,
    Sizes,
    Behaviour,
    Tunnel,
    Nat,
    Sampling,
    Exporter,
    Wireless,
    Process,
    Geo,
    Names,
    Application,
    Tls,
    Bgp,
    Dns,
    Http,
    Smtp,
    Pop3,
    Imap,
    Ftp,
    Sip,
    Rtp,
    Dhcp,
    Radius,
    Diameter,
    Gtpv0,
    Gtpv1,
    Gtpv2,
    S1ap,
    Mysql,
    Oracle,
    Ssdp,
    Netbios,
    Epp,
    Whois,
    NtopngOnly,
    Iana,
    Cisco,
    Nokia,
    Huawei,
    Vmware,
    Cesnet,
}

impl Group {
    /// A heading for users.
    pub const fn title(self) -> &'static str {
        match self {
            Group::Key => "What tells one flow from another: addresses, ports, protocol, VLAN, ToS, MACs",
            Group::Counters => "Byte and packet counters, and rates",
            Group::Times => "When a flow began and ended, and why it ended",
            Group::Routing => "How the packets were forwarded: interfaces, masks, next hops, AS numbers, VRFs",
            Group::Mpls => "The MPLS label stack",
            Group::Tcp => "TCP: flags, windows, retransmission, disorder",
            Group::Latency => "Network and application latency",
            Group::Interarrival => "Gaps between packets",
            Group::Sizes => "Packet lengths and TTLs, and how they are distributed",
            Group::Behaviour => "Shape of a flow: length and gap histograms, entropy, series",
            Group::Tunnel => "Tunnel identifiers and the other layer of a tunnelled flow",
            Group::Nat => "Address translation and firewall events",
            Group::Sampling => "How the traffic was sampled",
            Group::Exporter => "Who metered and exported the flow",
            Group::Wireless => "Wireless networks",
            Group::Process => "The processes that own a flow (agent mode)",
            Group::Geo => "Where the addresses are",
            Group::Names => "Names of hosts and users",
            Group::Application => "The application, as DPI or the exporter sees it",
            Group::Tls => "TLS and SSH handshakes and their fingerprints",
            Group::Bgp => "BGP AS paths",
            Group::Dns => "DNS",
            Group::Http => "HTTP",
            Group::Smtp => "SMTP",
            Group::Pop3 => "POP3",
            Group::Imap => "IMAP",
            Group::Ftp => "FTP",
            Group::Sip => "SIP",
            Group::Rtp => "RTP and the quality of voice",
            Group::Dhcp => "DHCP",
            Group::Radius => "RADIUS",
            Group::Diameter => "Diameter",
            Group::Gtpv0 => "GTP version 0 (mobile core signalling)",
            Group::Gtpv1 => "GTP version 1 (mobile core signalling)",
            Group::Gtpv2 => "GTP version 2 (mobile core signalling)",
            Group::S1ap => "S1AP (LTE base station signalling)",
            Group::Mysql => "MySQL",
            Group::Oracle => "Oracle database",
            Group::Ssdp => "SSDP",
            Group::Netbios => "NetBIOS names",
            Group::Epp => "EPP (domain registration)",
            Group::Whois => "Whois and DAS",
            Group::NtopngOnly => "Labels of ntopng's own",
            Group::Iana => "IANA elements without an nProbe name",
            Group::Cisco => "Cisco: events of firewalls",
            Group::Nokia => "Nokia: large-scale NAT",
            Group::Huawei => "Huawei: passive optical networks",
            Group::Vmware => "VMware: virtual switches",
            Group::Cesnet => "CESNET: ipfixprobe's signs of behaviour",
        }
    }
}
