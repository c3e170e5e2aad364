//! Which collected records are wanted: conditions on their elements.
//!
//! A layout is looked at once, when its first record comes: which conditions it can meet, and where their values lie. What
//! follows is a compare a condition. Wanted records that stand together are handed on together, so that a filter that
//! lets all pass costs only that.

use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::layout::{Field, Layout, Record, Spans};
use super::records::Set;

/// A filter: a record passes that meets every condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// All of them are to be met.
    pub conditions: Vec<Condition>,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// True where records that match are left out.
    pub not: bool,
    /// What is looked at.
    pub on: On,
    /// Any of them matches.
    pub any: Vec<Match>,
}

/// What a condition looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Source or destination address.
    Hosts,
    /// The elements of these IANA numbers that the record has.
    Elements(&'static [u16]),
    /// One element.
    Element(u32, u16),
}

/// What matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Numbers from one to another, both included.
    Range(u64, u64),
    /// Addresses that share their first bits.
    Network(IpAddr, u8),
}

impl Match {
    fn is(&self, value: &[u8]) -> bool {
        match self {
            Match::Range(from, to) => value.len() <= 8 && (*from..=*to).contains(&super::layout::number(value)),
            Match::Network(IpAddr::V4(address), prefix) => shares(value, &address.octets(), *prefix),
            Match::Network(IpAddr::V6(address), prefix) => shares(value, &address.octets(), *prefix),
        }
    }
}

/// True where the first bits of both are the same, and they are of one length.
fn shares(value: &[u8], network: &[u8], prefix: u8) -> bool {
    let (whole, rest) = (usize::from(prefix / 8), prefix % 8);
    let mask = !(0xff_u8.checked_shr(rest.into()).unwrap_or(0));
    let part = |bytes: &[u8]| bytes.get(whole).map_or(0, |byte| byte & mask);
    value.len() == network.len() && value.get(..whole) == network.get(..whole) && part(value) == part(network)
}

impl Condition {
    /// The fields of a layout that it looks at.
    fn fields(&self, layout: &Layout) -> Vec<Field> {
        const HOSTS: &[u16] = &[8, 12, 27, 28];
        let all = |ids: &[u16]| layout.fields.iter().filter(|f| f.pen == 0 && ids.contains(&f.id)).copied().collect();
        match self.on {
            On::Hosts => all(HOSTS),
            On::Elements(ids) => all(ids),
            On::Element(pen, id) => layout.find_of(pen, id).copied().into_iter().collect(),
        }
    }
}

/// A filter at work.
#[derive(Debug)]
pub struct Sieve {
    filter: Filter,
    by_number: HashMap<u32, (Weak<Layout>, Vec<Vec<Field>>)>,
    /// Layouts at which dead ones are swept out.
    sweep: usize,
    spans: Spans,
    /// Records left out, by the first condition each did not meet.
    dropped: Vec<u64>,
}

impl Sieve {
    /// Layouts that are not worth sweeping.
    const FEW: usize = 4096;

    /// With this filter.
    pub fn new(filter: Filter) -> Sieve {
        let dropped = vec![0; filter.conditions.len()];
        Sieve { filter, by_number: HashMap::new(), sweep: Self::FEW, spans: Spans::default(), dropped }
    }

    /// Every condition, and the records that were left out as they did not meet it.
    pub fn dropped(&self) -> impl Iterator<Item = (&Condition, u64)> {
        self.filter.conditions.iter().zip(self.dropped.iter().copied())
    }

    /// Hands on the records that pass, in runs as long as can be. Tells how many there were, wanted or not, and how many
    /// bytes stand behind the last.
    pub fn sift(&mut self, set: &Set<'_>, pass: &mut dyn FnMut(&Set<'_>)) -> super::records::Taken {
        if self.by_number.len() >= self.sweep && !self.by_number.contains_key(&set.layout.number) {
            self.by_number.retain(|_, (layout, _)| layout.strong_count() > 0);
            self.sweep = (2 * self.by_number.len()).max(Self::FEW);
        }
        let conditions = &self.filter.conditions;
        let (_, fields) = self.by_number.entry(set.layout.number).or_insert_with(|| {
            let fields = conditions.iter().map(|condition| condition.fields(set.layout));
            (Arc::downgrade(set.layout), fields.collect())
        });
        let mut taken = super::records::Taken::default();
        let mut rest = set.bytes;
        let mut run = set.bytes;
        let mut kept = 0;
        while let Some((record, after)) = set.layout.split(rest, &mut self.spans) {
            taken.records += 1;
            match unmet(conditions, fields, &record, &self.spans) {
                None => kept += record.bytes().len(),
                Some(unmet) => {
                    self.dropped.get_mut(unmet).into_iter().for_each(|dropped| *dropped += 1);
                    hand_on(set, run, kept, pass);
                    (run, kept) = (after, 0);
                }
            }
            rest = after;
        }
        hand_on(set, run, kept, pass);
        taken.rest = rest.len();
        taken
    }
}

/// The first condition that a record does not meet.
fn unmet(conditions: &[Condition], fields: &[Vec<Field>], record: &Record<'_>, spans: &Spans) -> Option<usize> {
    conditions.iter().zip(fields).position(|(condition, fields)| {
        let matches = |field: &Field| {
            let value = record.value(field, spans);
            condition.any.iter().any(|one| one.is(value))
        };
        fields.iter().any(matches) == condition.not
    })
}

fn hand_on(set: &Set<'_>, run: &[u8], kept: usize, pass: &mut dyn FnMut(&Set<'_>)) {
    if let Some(bytes) = run.get(..kept).filter(|bytes| !bytes.is_empty()) {
        pass(&Set { bytes, ..*set });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::applications::Table;
    use crate::decode::records::{About, Version};
    use crate::decode::sampling::Samplers;
    use crate::decode::templates::{Layouts, Templates};
    use flowsonde_elements::VARIABLE;
    use flowsonde_wire::Nanos;
    use flowsonde_wire::export::{Transport, ipfix::Specifier};

    /// Which records pass, by their last byte; records of source address, destination port, a text, a number.
    fn passing(conditions: Vec<Condition>) -> Vec<u8> {
        let rows = [(8, 4), (11, 2), (82, VARIABLE), (4, 1)];
        let rows = rows.map(|(id, length)| Specifier { pen: 0, id, length });
        let layout = Layouts::default().of(&rows, 0).expect("sound");
        let record = |n: u8, port: u16| {
            let [high, low] = port.to_be_bytes();
            [&[10, n, 0, 1, high, low, n][..], &vec![b'x'; n.into()], &[n]].concat()
        };
        let bytes = [record(1, 53), record(2, 80), record(3, 443), record(4, 53), vec![0, 0]].concat();
        let about = About {
            exporter: [192, 0, 2, 1].into(),
            port: 1,
            transport: Transport::Udp,
            version: Version::Ipfix,
            domain: 0,
            engine: (0, 0),
            export: Nanos(0),
            uptime_ms: None,
            init: None,
            arrival: Nanos(0),
            shift: 0,
        };
        let (samplers, templates) = (Samplers::default(), Templates::default());
        let applications = Table::default();
        let set = Set {
            layout: &layout,
            bytes: &bytes,
            about: &about,
            samplers: &samplers,
            templates: &templates,
            applications: &applications,
        };
        let mut sieve = Sieve::new(Filter { conditions });
        let (mut found, mut spans) = (Vec::new(), Spans::default());
        let taken = sieve.sift(&set, &mut |set| {
            let mut rest = set.bytes;
            while let Some((record, after)) = layout.split(rest, &mut spans) {
                found.extend(record.bytes().last());
                rest = after;
            }
            assert!(rest.is_empty());
        });
        let dropped: u64 = sieve.dropped().map(|(_, dropped)| dropped).sum();
        assert_eq!((taken.records, taken.rest, dropped), (4, 2, 4 - found.len() as u64));
        found
    }

    fn ports(not: bool, any: &[(u64, u64)]) -> Condition {
        let any = any.iter().map(|&(from, to)| Match::Range(from, to)).collect();
        Condition { not, on: On::Element(0, 11), any }
    }

    fn network(not: bool, address: [u8; 4], prefix: u8) -> Condition {
        Condition { not, on: On::Hosts, any: vec![Match::Network(address.into(), prefix)] }
    }

    #[test]
    fn conditions_all_have_to_be_met() {
        assert_eq!(passing(vec![]), [1, 2, 3, 4]);
        assert_eq!(passing(vec![ports(false, &[(53, 53), (400, 500)])]), [1, 3, 4]);
        assert_eq!(passing(vec![ports(true, &[(53, 53)])]), [2, 3]);
        assert_eq!(passing(vec![ports(false, &[(53, 53)]), network(true, [10, 4, 0, 0], 16)]), [1]);
    }

    #[test]
    fn networks_go_by_their_bits() {
        assert_eq!(passing(vec![network(false, [10, 2, 0, 0], 15)]), [2, 3]);
        assert_eq!(passing(vec![network(false, [0; 4], 0)]), [1, 2, 3, 4]);
        assert_eq!(passing(vec![network(false, [10, 3, 0, 1], 32)]), [3]);
    }

    #[test]
    fn what_a_record_does_not_have_matches_nothing() {
        let absent = |not| Condition { not, on: On::Element(0, 16), any: vec![Match::Range(0, u64::MAX)] };
        assert_eq!(passing(vec![absent(false)]), [0; 0]);
        assert_eq!(passing(vec![absent(true)]), [1, 2, 3, 4]);
    }
}
