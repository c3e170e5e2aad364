//! Which elements this build fills, and from what: one row an element.
//!
//! A row names the element, the group of flow state it needs, and how its value is read from a flow. A template decides
//! which rows are used, and with them which groups are kept at all.

use flowsonde_elements::{Element, Template};

use crate::meter::{Group, Groups, View};

mod application;
mod behaviour;
mod collected;
mod env;
mod flow;
mod made;
mod quality;

pub use application::Names;
pub use env::{Env, InterfaceIds, InterfaceRule};
pub use flow::{first, icmp, last};
pub use made::{List, Short};

/// How a value is read.
#[derive(Clone, Copy, Debug)]
pub enum Fill {
    /// A number of any width, times included, in the unit of the element's kind. Of [`Kind::L7Protocol`], see
    /// [`Application::both`](crate::meter::application::Application::both).
    ///
    /// [`Kind::L7Protocol`]: flowsonde_elements::Kind::L7Protocol
    Number(fn(&View<'_>, &Env) -> u64),
    /// A duration in microseconds, told as float milliseconds in JSON and as whole ones on the wire; 0 is not known.
    Latency(fn(&View<'_>) -> u32),
    /// An IPv4 address.
    Ipv4(fn(&View<'_>, &Env) -> [u8; 4]),
    /// An IPv6 address.
    Ipv6(fn(&View<'_>, &Env) -> [u8; 16]),
    /// A MAC address.
    Mac(fn(&View<'_>) -> [u8; 6]),
    /// Three octets of an MPLS stack entry.
    Label(fn(&View<'_>) -> [u8; 3]),
    /// A text.
    Text(for<'a> fn(&View<'a>, &'a Env) -> &'a str),
    /// A short text made up for the record.
    Short(fn(&View<'_>, &Env, &mut Short)),
    /// A list.
    List(&'static List),
}

/// Which direction of a flow an element tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// Of the flow as a whole, or of the record's own (SRC to DST) direction.
    Forward,
    /// Of the direction DST to SRC. Such an element makes a record bidirectional, and has no place in a record of one
    /// direction.
    Reverse,
}

/// An element, and how it is filled.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The element.
    pub element: &'static Element,
    /// The state it needs.
    pub group: Group,
    /// The direction it tells of.
    pub tells: Tells,
    /// How it is read.
    pub fill: Fill,
}

/// Rows by topic.
const TABLES: &[&[Row]] = &[flow::ROWS, env::ROWS, quality::ROWS, application::ROWS, behaviour::ROWS];

/// Every row.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// How `element` is filled; `None` when this build does not fill it.
pub fn row(element: &Element) -> Option<&'static Row> {
    rows().find(|row| row.element.is_same_as(element))
}

/// True of an element that tells of a flow's application.
pub fn tells_application(element: &Element) -> bool {
    application::ROWS.iter().any(|row| row.element.is_same_as(element))
}

/// How `element` is filled of flows that were collected and merged.
pub fn row_of_collected(element: &Element) -> Option<&'static Row> {
    collected::ROWS.iter().find(|row| row.element.is_same_as(element)).or_else(|| row(element))
}

/// What a meter has to keep for `template` of collected flows. Exporters tell nothing of single packets.
pub fn groups_of_collected(template: &Template) -> Groups {
    let told = |row: &&Row| matches!(row.group, Group::Base | Group::Macs | Group::Origin | Group::Hops);
    let rows = template.iter().filter_map(row_of_collected).filter(told);
    rows.fold(Groups::default().with(Group::Origin), |groups, row| groups.with(row.group))
}

/// What a meter has to keep for `template`.
pub fn groups(template: &Template) -> Groups {
    template.iter().filter_map(row).fold(Groups::default(), |groups, row| groups.with(row.group))
}

/// True when records of `template` tell both directions of a flow in one.
pub fn is_bidirectional(template: &Template) -> bool {
    template.iter().filter_map(row).any(|row| row.tells == Tells::Reverse)
}

const fn forward(element: &'static Element, group: Group, fill: Fill) -> Row {
    Row { element, group, tells: Tells::Forward, fill }
}

const fn reverse(element: &'static Element, group: Group, fill: Fill) -> Row {
    Row { element, group, tells: Tells::Reverse, fill }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_elements::{Kind, table};

    #[test]
    fn no_element_has_two_rows() {
        for (i, row) in rows().enumerate() {
            let again = rows().skip(i + 1).find(|other| other.element.is_same_as(row.element));
            assert!(again.is_none(), "{} has two rows", row.element.name);
        }
    }

    #[test]
    fn a_row_reads_what_its_element_is() {
        for row in rows().chain(collected::ROWS) {
            let fits = match row.fill {
                Fill::Number(_) => row.element.kind.is_number() || row.element.kind.is_time(),
                Fill::Latency(_) => row.element.kind == Kind::LatencyMs,
                Fill::Ipv4(_) => row.element.kind == Kind::Ipv4,
                Fill::Ipv6(_) => row.element.kind == Kind::Ipv6,
                Fill::Mac(_) => row.element.kind == Kind::Mac,
                Fill::Label(_) => matches!(row.element.kind, Kind::Octets(3) | Kind::FixedOctets(3)),
                Fill::Text(_) | Fill::Short(_) => row.element.kind.is_text(),
                Fill::List(list) => row.element.kind.is_number() && row.element.ipfix_id() == Some(list.number),
            };
            assert!(fits, "{}: {:?} cannot fill {:?}", row.element.name, row.fill, row.element.kind);
        }
    }

    #[test]
    fn the_template_drives_what_is_kept() {
        assert!(groups(&Template::default()).none());
        let template = Template::from_iter([&table::APPL_LATENCY_MS]);
        assert!(groups(&template).has(Group::Latency) && !groups(&template).has(Group::Quality));
        assert!(is_bidirectional(&Template::default()) && !is_bidirectional(&template));
    }
}
