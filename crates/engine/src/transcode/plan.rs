//! Which values of a layout an output tells, and where each is had from.

use flowsonde_elements::{Element, Id, Kind, NTOP_PEN, Template, table};

use super::application::Telling;
use super::{Nothing, Sort, Take, Width};
use crate::decode::layout::{Field, Layout};
use flowsonde_wire::export::ipfix::REVERSE_PEN;

/// One value of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// What it is called.
    pub name: Name,
    /// What it is.
    pub kind: Kind,
    /// Where it is had from.
    pub take: Take,
}

/// What a value is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// An element of the tables.
    Element(&'static Element),
    /// A number that no table has, or the reverse of an element (RFC 5103).
    Number {
        /// Enterprise number.
        pen: u32,
        /// The number under it.
        id: u16,
    },
}

impl Name {
    /// nProbe's name, else the registry's, else "PEN.id".
    pub fn text(&self) -> String {
        match self {
            Name::Element(element) => element.name.to_owned(),
            Name::Number { pen, id } => format!("{pen}.{id}"),
        }
    }

    /// The key ntopng reads: the number of NetFlow v9 where there is one, else "PEN.id", else the name.
    pub fn numeric(&self) -> Result<u16, String> {
        match self {
            Name::Element(element) => match (element.v9_id(), element.id) {
                (Some(id), _) => Ok(id),
                (None, Id::Vendor { pen, id }) => Err(format!("{pen}.{id}")),
                (None, _) => Err(element.name.to_owned()),
            },
            Name::Number { pen: 0, id } => Ok(*id),
            Name::Number { pen, id } => Err(format!("{pen}.{id}")),
        }
    }
}

/// What an output tells.
#[derive(Clone, Debug)]
pub enum Plan {
    /// These elements, all of them and in this order, whatever the exporter sends.
    Template(Template),
    /// Everything the exporter sends.
    Everything,
    /// Everything, and what ntopng cannot do without.
    Ntopng,
}

impl Plan {
    /// The columns for records of `layout`.
    pub fn columns(&self, layout: &Layout) -> Vec<Column> {
        match self {
            Plan::Template(template) => template.iter().map(|element| wanted(layout, element)).collect(),
            Plan::Everything => {
                let mut columns = everything(layout, &[]);
                // Whose keys are texts: too dear for ntopng, which does not read them.
                if !layout.sampling.is_silent() {
                    columns.extend(
                        [&table::ORIGINAL_SAMPLING_INTERVAL, &table::SAMPLING_SOURCE].map(|e| wanted(layout, e)),
                    );
                }
                columns
            }
            Plan::Ntopng => {
                let mut columns = everything(layout, &ABSOLUTE);
                for element in NTOPNG {
                    if !columns.iter().any(|column| column.name == Name::Element(element)) {
                        columns.push(wanted(layout, element));
                    }
                }
                columns
            }
        }
    }
}

/// What ntopng refuses flows without, or shows them wrongly.
const NTOPNG: [&Element; 13] = [
    &table::IPV4_SRC_ADDR,
    &table::IPV4_DST_ADDR,
    &table::L4_SRC_PORT,
    &table::L4_DST_PORT,
    &table::PROTOCOL,
    &table::IP_PROTOCOL_VERSION,
    &table::IN_BYTES,
    &table::IN_PKTS,
    &table::OUT_BYTES,
    &table::OUT_PKTS,
    &table::FIRST_SWITCHED,
    &table::LAST_SWITCHED,
    &table::EXPORTER_IPV4_ADDRESS,
];

/// Initiator's and responder's bytes and packets: to ntopng a flow's counters so far, to exporters those of a record. They
/// are told as `IN_*` and `OUT_*`.
const ABSOLUTE: [u16; 4] = [231, 232, 298, 299];

/// A template with what ntopng cannot do without behind it, where it is not asked for.
pub fn complete(template: &Template) -> Template {
    let needed = NTOPNG.into_iter().chain([&table::IPV6_SRC_ADDR, &table::IPV6_DST_ADDR]);
    template.iter().chain(needed).collect()
}

/// Every field that was sent but padding and those `without`, and who sent it. A field of no bytes tells nothing, and a thousand
/// of them would make thirty thousand bytes of a record of one.
fn everything(layout: &Layout, without: &[u16]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::with_capacity(layout.fields.len());
    let left_out = |field: &&Field| field.length == 0 || field.is(PADDING) || without.iter().any(|&id| field.is(id));
    for field in layout.sent().iter().filter(|field| !left_out(field)) {
        let (name, kind) = named(field);
        // The same element twice in a template (RFC 7011, section 8): each is told, the later ones by number.
        let name = match name {
            name if columns.iter().all(|column| column.name != name) => name,
            _ => Name::Number { pen: field.pen, id: field.id },
        };
        let take = match field.element {
            // The rate may be applied already.
            Some(element) if field.is(34) && *element == table::SAMPLING_INTERVAL => Take::Interval,
            _ => read(field),
        };
        columns.push(Column { name, kind, take });
    }
    let has = |ids: &[u16]| ids.iter().any(|&id| layout.find(id).is_some());
    // Times before that of a message nobody sees any more tell nothing by themselves.
    if has(&[158, 159]) && !has(&[21, 22]) {
        columns.push(wanted(layout, &table::FIRST_SWITCHED));
        columns.push(wanted(layout, &table::LAST_SWITCHED));
    }
    if layout.find(130).is_none() && layout.find(131).is_none() {
        // The one that it has: records are many, and each byte of them costs.
        for (element, take) in
            [(&table::EXPORTER_IPV4_ADDRESS, Take::IfExporter4), (&table::EXPORTER_IPV6_ADDRESS, Take::IfExporter6)]
        {
            columns.push(Column { name: Name::Element(element), kind: element.kind, take });
        }
    }
    columns
}

/// 210 paddingOctets.
pub(super) const PADDING: u16 = 210;

/// What a field is called and is. The reverse of bytes and packets has a name of nProbe's.
pub(super) fn named(field: &Field) -> (Name, Kind) {
    let Some(element) = field.element else {
        return (Name::Number { pen: field.pen, id: field.id }, Kind::Octets(field.length));
    };
    if !field.is_reverse() {
        return (Name::Element(element), element.kind_of(field.length));
    }
    let reverse = match field.id {
        1 => Some(&table::OUT_BYTES),
        2 => Some(&table::OUT_PKTS),
        _ => None,
    };
    let name = reverse.map_or(Name::Number { pen: REVERSE_PEN, id: field.id }, Name::Element);
    (name, element.kind_of(field.length))
}

/// Reads a field as what it is.
pub(super) fn read(field: &Field) -> Take {
    let at = field.at;
    let width = Width::of(field);
    let Some(element) = field.element else { return Take::Octets(at, width) };
    let is = |length: u16| width == Width::Fixed(length);
    let kind = element.kind_of(field.length);
    let fits = match kind {
        Kind::Ipv4 => is(4),
        Kind::Ipv6 => is(16),
        Kind::Mac => is(6),
        Kind::Bool => is(1),
        Kind::Micros | Kind::Nanos => is(8),
        Kind::UptimeMillis => is(4),
        Kind::F64 => is(4) || is(8) || field.is_variable(),
        kind if kind.is_number() => field.is_variable() || (1..=8).contains(&field.length),
        _ => true,
    };
    if !fits {
        return Take::Octets(at, width);
    }
    match kind {
        Kind::Ipv4 => Take::Ipv4(at),
        Kind::Ipv6 => Take::Ipv6(at),
        Kind::Mac => Take::Mac(at),
        Kind::Bool => Take::Bool(at),
        Kind::Micros => Take::NtpMicros(at),
        Kind::Nanos => Take::Ntp(at),
        Kind::UptimeMillis => Take::Uptime(at),
        Kind::Seconds => Take::Seconds(at, width),
        Kind::Millis => Take::Millis(at, width),
        Kind::F64 => Take::Float(at, width),
        Kind::I32 => Take::Signed(at, width),
        Kind::LatencyMs => Take::Latency(at, width),
        Kind::Text(_) | Kind::FixedText(_) => Take::Text(at, width),
        Kind::List(_) if field.pen == 0 => match Sort::of(field.id) {
            Sort::Basic => Take::BasicList(at, width),
            Sort::SubTemplate => Take::SubTemplateList(at, width),
            Sort::MultiTemplate => Take::MultiList(at, width),
        },
        Kind::Octets(_) | Kind::FixedOctets(_) | Kind::List(_) => Take::Octets(at, width),
        _ if element.scales_with_sampling() => Take::Scaled(at, width),
        _ => match width {
            Width::Fixed(1) => Take::U8(at),
            Width::Fixed(2) => Take::U16(at),
            Width::Fixed(4) => Take::U32(at),
            Width::Fixed(8) => Take::U64(at),
            width => Take::Uint(at, width),
        },
    }
}

/// Where records of `layout` tell an element, or what tells the same.
pub(crate) fn take(layout: &Layout, element: &'static Element) -> Take {
    wanted(layout, element).take
}

/// An element that was asked for: from its own field, else from one that says the same, else nothing.
pub(super) fn wanted(layout: &Layout, element: &'static Element) -> Column {
    let kind = element.kind;
    let take = always(layout, element)
        .or_else(|| own(layout, element))
        .or_else(|| other(layout, element))
        .unwrap_or(Take::Nothing(Nothing::of(kind)));
    Column { name: Name::Element(element), kind, take }
}

/// What no field tells, whatever the exporter sends.
fn always(layout: &Layout, element: &Element) -> Option<Take> {
    Some(match element.id {
        Id::Iana(34) => Take::Interval,
        Id::Ntop(471) => Take::Probe,
        Id::Ntop(579) => Take::Origin,
        Id::Ntop(589) => Take::Source,
        Id::Ntop(573) => Take::Export,
        Id::Ntop(118) => Take::Application(Telling::of(layout)),
        Id::Ntop(119) if layout.find_of(NTOP_PEN, 119).is_none() => Take::ApplicationName(Telling::of(layout)),
        _ if element.is_same_as(&table::ORIGINAL_SAMPLING_INTERVAL) => Take::Rate,
        _ if element.is_same_as(&table::SAMPLING_SOURCE) => Take::RateSource,
        _ => return None,
    })
}

/// The element's own field.
fn own(layout: &Layout, element: &Element) -> Option<Take> {
    let (pen, id) = element.ipfix_id()?;
    layout.find_of(pen, id).map(read).filter(|take| !matches!(take, Take::Octets(..)) || !element.kind.is_number())
}

/// Fields that say the same as an element, best first: a table of what exporters send instead.
fn other(layout: &Layout, element: &Element) -> Option<Take> {
    let iana = |ids: &[u16]| ids.iter().find_map(|&id| layout.find(id)).map(read);
    let reverse = |ids: &[u16]| ids.iter().find_map(|&id| layout.find_of(REVERSE_PEN, id)).map(read);
    let is_v6 = layout.version() == Some(6);
    match element.id {
        Id::Iana(1) => iana(&[231, 85, 352]),
        Id::Iana(2) => iana(&[298, 86]),
        Id::Iana(23) => reverse(&[1, 85]).or_else(|| iana(&[232])),
        Id::Iana(24) => reverse(&[2, 86]).or_else(|| iana(&[299])),
        Id::Iana(22 | 150 | 152 | 154 | 156) => Some(start(layout)),
        Id::Iana(21 | 151 | 153 | 155 | 157) => Some(end(layout)),
        Id::Iana(7) => iana(&[180, 182]),
        Id::Iana(11) => iana(&[181, 183]),
        Id::Iana(182) | Id::Iana(180) => iana(&[7]),
        Id::Iana(183) | Id::Iana(181) => iana(&[11]),
        Id::Iana(32) => iana(&[139]).or_else(|| icmp(layout, [176, 177])).or_else(|| icmp(layout, [178, 179])),
        Id::Iana(139) => iana(&[32]).or_else(|| icmp(layout, [178, 179])),
        Id::Iana(176) => pair(layout, &[32], Take::Upper),
        Id::Iana(177) => pair(layout, &[32], Take::Lower),
        Id::Iana(178) => pair(layout, &[139, 32], Take::Upper),
        Id::Iana(179) => pair(layout, &[139, 32], Take::Lower),
        Id::Iana(55) => reverse(&[5]),
        Id::Iana(60) => layout.version().map(|version| Take::Constant(version.into())),
        Id::Iana(96) => layout.find(95).map(|field| Take::Called(field.at, Width::of(field))),
        Id::Iana(10) => iana(&[252]),
        Id::Iana(14) => iana(&[253]),
        Id::Iana(56) => iana(&[81]),
        Id::Iana(57) => iana(&[80]),
        Id::Iana(58) => iana(&[243, 245]),
        Id::Iana(59) => iana(&[254, 246]),
        Id::Iana(8) if !is_v6 => iana(&[44]),
        Id::Iana(12) if !is_v6 => iana(&[45]),
        Id::Iana(27) if is_v6 => iana(&[170]),
        Id::Iana(28) if is_v6 => iana(&[169]),
        Id::Iana(130) => Some(Take::Exporter4),
        Id::Iana(131) => Some(Take::Exporter6),
        Id::Iana(149) => Some(Take::Domain),
        Id::Iana(38) => Some(Take::EngineType),
        Id::Iana(39) => Some(Take::EngineId),
        Id::Iana(305) => Some(Take::Rate),
        Id::Ntop(78) => iana(&[6]),
        Id::Ntop(79) => reverse(&[6]),
        _ => None,
    }
}

/// When a flow began: by any element that tells, else when it ended.
fn start(layout: &Layout) -> Take {
    STARTS.iter().find_map(|&id| layout.find(id)).map_or_else(|| end(layout), moment)
}

/// When a flow ended; of an event (322 to 325, observationTime), when it happened; else when it was exported.
fn end(layout: &Layout) -> Take {
    let first_of = |ids: &[u16]| ids.iter().find_map(|&id| layout.find(id));
    first_of(&ENDS).or_else(|| first_of(&STARTS)).map_or(Take::Export, moment)
}

const STARTS: [u16; 6] = [22, 152, 154, 156, 150, 158];
const ENDS: [u16; 10] = [21, 153, 155, 157, 151, 159, 323, 324, 325, 322];

/// Reads a time; 158 and 159 tell microseconds before the export.
fn moment(field: &Field) -> Take {
    match (field.id, field.length) {
        (158 | 159, length @ 1..=8) => Take::Before(field.at, Width::Fixed(length)),
        _ => read(field),
    }
}

fn icmp(layout: &Layout, [kind, code]: [u16; 2]) -> Option<Take> {
    let single = |id| layout.find(id).filter(|field| field.length == 1);
    Some(Take::Icmp(single(kind)?.at, single(code)?.at))
}

fn pair(layout: &Layout, ids: &[u16], take: fn(crate::decode::layout::At) -> Take) -> Option<Take> {
    ids.iter().find_map(|&id| layout.find(id)).filter(|field| field.length == 2).map(|field| take(field.at))
}
