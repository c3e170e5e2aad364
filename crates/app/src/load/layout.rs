//! What NetFlow v9 and IPFIX records hold: the template layouts to choose from.
//!
//! A layout is a table of fields; an element has the same number in both protocols, but for times, which IPFIX tells as
//! milliseconds since 1970 (152, 153) and NetFlow v9 as sysUptime (22, 21).

use flowsonde_wire::Nanos;
use flowsonde_wire::export::ipfix::{self, Specifier, VARIABLE};

use super::flow::Flow;

/// Which of the two protocols with templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// NetFlow v9, RFC 3954.
    V9,
    /// IPFIX, RFC 7011.
    Ipfix,
}

/// A template layout.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// What users call it.
    pub name: &'static str,
    /// What it is, in a few words.
    pub help: &'static str,
    /// The protocol it is for, where it is for one only.
    pub only: Option<Dialect>,
    /// It is the benchmark's: [`basic20`] writes it.
    quick: bool,
    fields: &'static [Field],
}

/// A field: the element, its length in bytes, what is written there.
#[derive(Debug, PartialEq, Eq)]
struct Field(u32, u16, u16, What);

/// Where a field's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Source,
    Destination,
    NextHop,
    SourceV6,
    DestinationV6,
    NextHopV6,
    Input,
    Output,
    Packets,
    Octets,
    First,
    Last,
    SourcePort,
    DestinationPort,
    TcpFlags,
    Protocol,
    Tos,
    SourceAs,
    DestinationAs,
    SourceMask,
    DestinationMask,
    Direction,
    Vlan,
    /// A number that no other flow has.
    Connection,
    Zero,
    TranslatedSource,
    TranslatedPort,
    FirewallEvent,
    ExtendedEvent,
    /// Milliseconds since 1970.
    Began,
    /// Milliseconds since 1970.
    Happened,
    SentOctets,
    ReceivedOctets,
    AccessList,
    User,
    Application,
    Interface,
    Host,
}

use What::*;

/// Every layout; `mixed` takes turns with those that fit the protocol.
pub const LAYOUTS: &[Layout] = &[
    Layout {
        name: "basic20",
        help: "the 20 fields routers send of IPv4, 56 bytes",
        only: None,
        quick: true,
        fields: &[
            Field(0, 8, 4, Source),
            Field(0, 12, 4, Destination),
            Field(0, 15, 4, NextHop),
            Field(0, 10, 4, Input),
            Field(0, 14, 4, Output),
            Field(0, 2, 4, Packets),
            Field(0, 1, 4, Octets),
            Field(0, 22, 4, First),
            Field(0, 21, 4, Last),
            Field(0, 7, 2, SourcePort),
            Field(0, 11, 2, DestinationPort),
            Field(0, 6, 1, TcpFlags),
            Field(0, 4, 1, Protocol),
            Field(0, 5, 1, Tos),
            Field(0, 16, 4, SourceAs),
            Field(0, 17, 4, DestinationAs),
            Field(0, 9, 1, SourceMask),
            Field(0, 13, 1, DestinationMask),
            Field(0, 61, 1, Direction),
            Field(0, 58, 2, Vlan),
        ],
    },
    Layout {
        name: "ipv6",
        help: "IPv6, with counters of 8 bytes",
        only: None,
        quick: false,
        fields: &[
            Field(0, 27, 16, SourceV6),
            Field(0, 28, 16, DestinationV6),
            Field(0, 62, 16, NextHopV6),
            Field(0, 10, 4, Input),
            Field(0, 14, 4, Output),
            Field(0, 2, 8, Packets),
            Field(0, 1, 8, Octets),
            Field(0, 22, 4, First),
            Field(0, 21, 4, Last),
            Field(0, 7, 2, SourcePort),
            Field(0, 11, 2, DestinationPort),
            Field(0, 6, 1, TcpFlags),
            Field(0, 4, 1, Protocol),
            Field(0, 5, 1, Tos),
            Field(0, 16, 4, SourceAs),
            Field(0, 17, 4, DestinationAs),
        ],
    },
    Layout {
        name: "nsel",
        help: "firewall events as Cisco's ASA sends them, v9 only",
        only: Some(Dialect::V9),
        quick: false,
        fields: &[
            Field(0, 148, 4, Connection),
            Field(0, 8, 4, Source),
            Field(0, 7, 2, SourcePort),
            Field(0, 10, 2, Input),
            Field(0, 12, 4, Destination),
            Field(0, 11, 2, DestinationPort),
            Field(0, 14, 2, Output),
            Field(0, 4, 1, Protocol),
            Field(0, 176, 1, Zero),
            Field(0, 177, 1, Zero),
            Field(0, 225, 4, TranslatedSource),
            Field(0, 226, 4, Destination),
            Field(0, 227, 2, TranslatedPort),
            Field(0, 228, 2, DestinationPort),
            Field(0, 233, 1, FirewallEvent),
            Field(0, 33002, 2, ExtendedEvent),
            Field(0, 323, 8, Happened),
            Field(0, 152, 8, Began),
            Field(0, 231, 4, SentOctets),
            Field(0, 232, 4, ReceivedOctets),
            Field(0, 33000, 12, AccessList),
            Field(0, 33001, 12, AccessList),
            Field(0, 40000, 20, User),
        ],
    },
    Layout {
        name: "variable",
        help: "texts of variable length, IPFIX only",
        only: Some(Dialect::Ipfix),
        quick: false,
        fields: &[
            Field(0, 8, 4, Source),
            Field(0, 12, 4, Destination),
            Field(0, 10, 4, Input),
            Field(0, 82, VARIABLE, Interface),
            // IN_BYTES and IN_PKTS, cut to what they need (RFC 7011, section 6.2).
            Field(0, 2, 3, Packets),
            Field(0, 1, 5, Octets),
            Field(0, 22, 8, First),
            Field(0, 21, 8, Last),
            Field(0, 7, 2, SourcePort),
            Field(0, 11, 2, DestinationPort),
            Field(0, 4, 1, Protocol),
            Field(0, 96, VARIABLE, Application),
            Field(0, 371, VARIABLE, User),
            // ntop's DNS_QUERY: an element of an enterprise.
            Field(35632, 205, VARIABLE, Host),
        ],
    },
];

/// The layout of this name.
pub fn named(name: &str) -> Option<&'static Layout> {
    LAYOUTS.iter().find(|layout| layout.name == name)
}

/// What a record needs to know besides its flow.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// When it is exported.
    pub now: Nanos,
    /// When the exporter started.
    pub boot: Nanos,
}

impl Moment {
    /// Milliseconds from the exporter's start to `time`.
    #[inline]
    pub fn uptime(&self, time: Nanos) -> u32 {
        (time.since(self.boot) / 1_000_000) as u32
    }
}

const APPLICATIONS: [&str; 8] = ["tls", "http", "dns", "ssh", "quic.youtube", "microsoft-office-365", "", "bittorrent"];
const USERS: [&str; 4] = ["alice", "bob", "carol.longer-name", ""];
/// One in so many host names is longer than a length of one byte can tell.
const LONG_NAMES: u64 = 64;

impl Layout {
    /// Whether it can be told in `dialect`.
    pub fn fits(&self, dialect: Dialect) -> bool {
        self.only.is_none_or(|only| only == dialect)
    }

    /// How many fields it has.
    pub fn fields(&self) -> u16 {
        self.fields.len() as u16
    }

    /// Length of a record; of the longest where they differ.
    pub fn longest(&self, dialect: Dialect) -> usize {
        let length = |field: &Field| match (field.2, field.3) {
            (VARIABLE, Host) => 3 + 300,
            (VARIABLE, _) => 1 + 32,
            _ => usize::from(specifier(field, dialect).length),
        };
        self.fields.iter().map(length).sum()
    }

    /// Appends the specifiers of its template.
    pub fn specify(&self, dialect: Dialect, out: &mut Vec<u8>) {
        for field in self.fields {
            let specifier = specifier(field, dialect);
            match dialect {
                Dialect::Ipfix => specifier.write(out),
                // No enterprises there: Cisco's own elements use the 16th bit.
                Dialect::V9 => {
                    out.extend_from_slice(&specifier.id.to_be_bytes());
                    out.extend_from_slice(&specifier.length.to_be_bytes());
                }
            }
        }
    }

    /// Appends the record of a flow.
    #[inline]
    pub fn record(&self, dialect: Dialect, flow: &Flow, moment: &Moment, out: &mut Vec<u8>) {
        if self.quick && dialect == Dialect::V9 {
            return out.extend_from_slice(&basic20(flow, moment));
        }
        for field in self.fields {
            value(field, dialect, flow, moment, out);
        }
    }
}

fn specifier(field: &Field, dialect: Dialect) -> Specifier {
    let Field(pen, id, length, what) = *field;
    match (dialect, what) {
        (Dialect::Ipfix, First) => Specifier { pen, id: 152, length: 8 },
        (Dialect::Ipfix, Last) => Specifier { pen, id: 153, length: 8 },
        _ => Specifier { pen, id, length },
    }
}

#[inline]
fn value(field: &Field, dialect: Dialect, flow: &Flow, moment: &Moment, out: &mut Vec<u8>) {
    let Field(.., length, what) = *field;
    let number = match what {
        Source => return out.extend_from_slice(&flow.source),
        Destination => return out.extend_from_slice(&flow.destination),
        NextHop => return out.extend_from_slice(&flow.next_hop),
        SourceV6 => return out.extend_from_slice(&flow.source_v6()),
        DestinationV6 => return out.extend_from_slice(&flow.destination_v6()),
        NextHopV6 => return out.extend_from_slice(&flow.next_hop_v6()),
        TranslatedSource => return out.extend_from_slice(&[192, 0, 2, 200]),
        First => return time(dialect, flow.first(moment.now), moment, out),
        Last => return time(dialect, flow.last(moment.now), moment, out),
        AccessList => return out.extend_from_slice(&[0x8a, 0xd0, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f, 0x60, 0, 0, 0, 0]),
        User | Application | Interface | Host => return text(length, what, flow, out),
        Input => u64::from(flow.input),
        Output => u64::from(flow.output),
        Packets => u64::from(flow.packets),
        Octets => u64::from(flow.octets),
        SourcePort => u64::from(flow.source_port),
        DestinationPort => u64::from(flow.destination_port),
        TcpFlags => u64::from(flow.tcp_flags),
        Protocol => u64::from(flow.protocol),
        Tos => u64::from(flow.tos),
        SourceAs => u64::from(flow.source_as),
        DestinationAs => u64::from(flow.destination_as),
        SourceMask => u64::from(Flow::SOURCE_MASK),
        DestinationMask => u64::from(Flow::DESTINATION_MASK),
        Direction => u64::from(direction(flow)),
        Vlan => u64::from(flow.vlan),
        Connection => u64::from(flow.key) + 1,
        Zero => 0,
        TranslatedPort => u64::from(flow.source_port) + 1000,
        FirewallEvent => u64::from(event(flow).0),
        ExtendedEvent => u64::from(event(flow).1),
        Began => flow.first(moment.now).millis(),
        Happened => flow.last(moment.now).millis(),
        SentOctets => {
            if event(flow).2 {
                u64::from(flow.octets)
            } else {
                0
            }
        }
        ReceivedOctets => {
            if event(flow).2 {
                u64::from(flow.octets) * 3
            } else {
                0
            }
        }
    };
    let bytes = number.to_be_bytes();
    match length {
        1 => out.push(number as u8),
        2 => out.extend_from_slice(&(number as u16).to_be_bytes()),
        4 => out.extend_from_slice(&(number as u32).to_be_bytes()),
        8 => out.extend_from_slice(&bytes),
        other => out.extend_from_slice(bytes.get(8_usize.saturating_sub(usize::from(other))..).unwrap_or(&[])),
    }
}

/// The record of the benchmark's layout in NetFlow v9, as the table has it, at a fifth of the time: a collector cannot be
/// measured by a generator that costs as much as the collector does.
#[inline]
fn basic20(flow: &Flow, moment: &Moment) -> [u8; 56] {
    let mut r = [0; 56];
    r[0..4].copy_from_slice(&flow.source);
    r[4..8].copy_from_slice(&flow.destination);
    r[8..12].copy_from_slice(&flow.next_hop);
    r[12..16].copy_from_slice(&flow.input.to_be_bytes());
    r[16..20].copy_from_slice(&flow.output.to_be_bytes());
    r[20..24].copy_from_slice(&flow.packets.to_be_bytes());
    r[24..28].copy_from_slice(&flow.octets.to_be_bytes());
    r[28..32].copy_from_slice(&moment.uptime(flow.first(moment.now)).to_be_bytes());
    r[32..36].copy_from_slice(&moment.uptime(flow.last(moment.now)).to_be_bytes());
    r[36..38].copy_from_slice(&flow.source_port.to_be_bytes());
    r[38..40].copy_from_slice(&flow.destination_port.to_be_bytes());
    r[40] = flow.tcp_flags;
    r[41] = flow.protocol;
    r[42] = flow.tos;
    r[43..47].copy_from_slice(&flow.source_as.to_be_bytes());
    r[47..51].copy_from_slice(&flow.destination_as.to_be_bytes());
    r[51] = Flow::SOURCE_MASK;
    r[52] = Flow::DESTINATION_MASK;
    r[53] = direction(flow);
    r[54..56].copy_from_slice(&flow.vlan.to_be_bytes());
    r
}

fn direction(flow: &Flow) -> u8 {
    (flow.draw >> 40) as u8 & 1
}

#[inline]
fn time(dialect: Dialect, time: Nanos, moment: &Moment, out: &mut Vec<u8>) {
    match dialect {
        Dialect::V9 => out.extend_from_slice(&moment.uptime(time).to_be_bytes()),
        Dialect::Ipfix => out.extend_from_slice(&time.millis().to_be_bytes()),
    }
}

/// Firewall event, extended event, whether bytes were passed: created, updated, torn down, denied by an access list.
fn event(flow: &Flow) -> (u8, u16, bool) {
    match flow.draw >> 44 & 3 {
        0 => (1, 0, false),
        1 => (5, 0, true),
        2 => (2, 2030, true),
        _ => (3, 1001, false),
    }
}

/// A text: with its length before it, or filled up with zeros to a fixed one.
fn text(length: u16, what: What, flow: &Flow, out: &mut Vec<u8>) {
    let draw = flow.draw >> 48;
    let pick = |words: &'static [&'static str]| words.get(draw as usize % words.len()).copied().unwrap_or("");
    let mut host = Vec::new();
    let text = match what {
        User => pick(&USERS).as_bytes(),
        Application => pick(&APPLICATIONS).as_bytes(),
        Interface => pick(&["GigabitEthernet0/0", "eth0", "xe-0/0/1"]).as_bytes(),
        _ => {
            host.extend_from_slice(format!("host-{:06x}.example.com", flow.key).as_bytes());
            while draw.is_multiple_of(LONG_NAMES) && host.len() < 300 {
                host.insert(0, b'x');
            }
            &host
        }
    };
    if length == VARIABLE {
        ipfix::write_variable(text, out);
    } else {
        let end = out.len() + usize::from(length);
        out.extend_from_slice(text.get(..usize::from(length)).unwrap_or(text));
        out.resize(end, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Moment = Moment { now: Nanos::new(1_700_000_000, 0), boot: Nanos::new(1_699_000_000, 0) };

    #[test]
    fn records_are_as_long_as_their_template_says() {
        for layout in LAYOUTS {
            for dialect in [Dialect::V9, Dialect::Ipfix].into_iter().filter(|d| layout.fits(*d)) {
                let (mut least, mut most) = (usize::MAX, 0);
                for number in 0..10_000 {
                    let mut out = Vec::new();
                    layout.record(dialect, &Flow::new(1, number), &MOMENT, &mut out);
                    (least, most) = (least.min(out.len()), most.max(out.len()));
                }
                let longest = layout.longest(dialect);
                let varies = layout.fields.iter().any(|field| field.2 == VARIABLE);
                assert!(most <= longest && (varies || least == longest), "{}: {least} {most} {longest}", layout.name);
                let mut template = Vec::new();
                layout.specify(dialect, &mut template);
                assert!(template.len() >= usize::from(layout.fields()) * 4);
            }
        }
    }

    #[test]
    fn the_layout_of_the_benchmark_has_20_fields_in_56_bytes() {
        let layout = named("basic20").unwrap();
        assert_eq!((layout.fields(), layout.longest(Dialect::V9)), (20, 56));
        let flow = Flow::new(1, 0);
        let mut out = Vec::new();
        layout.record(Dialect::V9, &flow, &MOMENT, &mut out);
        assert_eq!(out[..4], flow.source);
        assert_eq!(out[24..28], flow.octets.to_be_bytes());
        assert_eq!(out[32..36], MOMENT.uptime(flow.last(MOMENT.now)).to_be_bytes());
        assert_eq!(out[54..], flow.vlan.to_be_bytes());
    }

    #[test]
    fn the_quick_way_writes_what_the_table_says() {
        let layout = named("basic20").unwrap();
        for number in 0..10_000 {
            let flow = Flow::new(5, number);
            let mut slow = Vec::new();
            for field in layout.fields {
                value(field, Dialect::V9, &flow, &MOMENT, &mut slow);
            }
            assert_eq!(slow, basic20(&flow, &MOMENT));
        }
    }

    #[test]
    fn names_are_unique() {
        for (number, layout) in LAYOUTS.iter().enumerate() {
            assert!(LAYOUTS[number + 1..].iter().all(|other| other.name != layout.name) && layout.name != "mixed");
        }
    }
}
