//! Names that exporters gave away: of interfaces, and of what values stand for. ntopng forgets, and comes late; so they are
//! kept, and told again.
//!
//! A new or changed one is due at once, all of them once a minute and to a new subscriber, a few at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use flowsonde_engine::encode::escape;

/// Values of elements that are explained: applications and VRFs, a few thousand at most.
const VALUES: usize = 8192;
/// Exporters with names of interfaces, and names of them all.
const EXPORTERS: usize = 4096;
const INTERFACES: usize = 65_536;
/// Bytes of a message: what ntopng 4 takes, with room for the last name.
const LONGEST: usize = 32_000;

/// What is explained: enterprise, element, value, and the exporter where it is its own.
type Of = (u32, u16, u32, Option<IpAddr>);

/// The names.
#[derive(Debug, Default)]
pub struct Names {
    values: BTreeMap<Of, String>,
    interfaces: BTreeMap<IpAddr, BTreeMap<u32, String>>,
    count: usize,
    due_values: BTreeSet<Of>,
    /// Exporters, and the first of their interfaces that is due.
    due_exporters: BTreeSet<(IpAddr, u32)>,
    /// Names there was no room for, as [`REFUSED`] has them, each as often as it was told.
    refused: [u64; 4],
}

/// What names are of, as the ledger notes those there was no room for.
pub const REFUSED: [&str; 4] = ["interfaces_refused", "applications_refused", "vrfs_refused", "others_refused"];

/// A message that is due.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// For the topic `option`.
    Value(String),
    /// For the topic `snmp-ifaces`.
    Interfaces(String),
}

impl Names {
    /// Takes what a value stands for.
    pub fn value(&mut self, of: (u32, u16, u32), exporter: Option<IpAddr>, text: String) {
        let of = (of.0, of.1, of.2, exporter);
        if self.values.get(&of).is_some_and(|known| *known == text) {
            return;
        }
        if self.values.len() >= VALUES && !self.values.contains_key(&of) {
            self.refused[match of {
                (0, 95, ..) => 1,
                (0, 234 | 235, ..) => 2,
                _ => 3,
            }] += 1;
            return;
        }
        self.values.insert(of, text);
        self.due_values.insert(of);
    }

    /// Takes the name of an interface.
    pub fn interface(&mut self, exporter: IpAddr, index: u32, name: String) {
        let known = self.interfaces.get(&exporter);
        let before = known.and_then(|names| names.get(&index));
        if before.is_some_and(|before| *before == name) {
            return;
        }
        let full =
            before.is_none() && self.count >= INTERFACES || known.is_none() && self.interfaces.len() >= EXPORTERS;
        if full {
            self.refused[0] += 1;
            return;
        }
        self.count += usize::from(before.is_none());
        self.interfaces.entry(exporter).or_default().insert(index, name);
        self.due_exporters.insert((exporter, 0));
    }

    /// Names there was no room for, by what they are of.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REFUSED.into_iter().zip(self.refused)
    }

    /// All of it is due again.
    pub fn renew(&mut self) {
        self.due_values.extend(self.values.keys());
        self.due_exporters.extend(self.interfaces.keys().map(|exporter| (*exporter, 0)));
    }

    /// The next that is due.
    pub fn next(&mut self) -> Option<Due> {
        if let Some(of) = self.due_values.pop_first() {
            return self.values.get(&of).map(|text| Due::Value(text.clone()));
        }
        let (exporter, from) = self.due_exporters.pop_first()?;
        let mut text = format!("{{\"{exporter}\":{{").into_bytes();
        for (i, (index, name)) in self.interfaces.get(&exporter)?.range(from..).enumerate() {
            // The others in a message of their own.
            if text.len() > LONGEST {
                self.due_exporters.insert((exporter, *index));
                break;
            }
            text.extend_from_slice(format!("{}\"{index}\":\"", if i == 0 { "" } else { "," }).as_bytes());
            escape(name, &mut text);
            text.push(b'"');
        }
        text.extend_from_slice(b"}}");
        String::from_utf8(text).ok().map(Due::Interfaces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(names: &mut Names) -> Vec<Due> {
        std::iter::from_fn(|| names.next()).collect()
    }

    #[test]
    fn a_name_is_due_when_it_is_new_or_another_and_when_all_are() {
        let mut names = Names::default();
        let (here, there): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        names.interface(here, 2, "e\"2".to_owned());
        names.interface(here, 10, "e10".to_owned());
        names.value((0, 95, 7), None, "{}".to_owned());
        let told = Due::Interfaces(r#"{"10.0.0.1":{"2":"e\"2","10":"e10"}}"#.to_owned());
        assert_eq!(all(&mut names), [Due::Value("{}".to_owned()), told]);
        names.interface(here, 10, "e10".to_owned());
        names.value((0, 95, 7), None, "{}".to_owned());
        assert_eq!(all(&mut names), []);
        // Two exporters mean two things by one value.
        names.value((0, 48, 1), Some(here), "1".to_owned());
        names.value((0, 48, 1), Some(there), "2".to_owned());
        assert_eq!(all(&mut names), ["1", "2"].map(|text| Due::Value(text.to_owned())));
        names.interface(there, 1, "x".to_owned());
        names.interface(here, 2, "y".to_owned());
        let of = |text: &str| Due::Interfaces(text.to_owned());
        assert_eq!(all(&mut names), [of(r#"{"10.0.0.1":{"2":"y","10":"e10"}}"#), of(r#"{"10.0.0.2":{"1":"x"}}"#)]);
        names.renew();
        assert_eq!(all(&mut names).len(), 5);
    }

    #[test]
    fn there_is_an_end_of_names() {
        let mut names = Names::default();
        for index in 0..70_000 {
            names.interface([10, 0, 0, 1].into(), index, "x".repeat(64));
            names.value((0, 95, index), None, "{}".to_owned());
        }
        for (element, count) in [(234, 3), (235, 4), (48, 5)] {
            for value in 0..count {
                names.value((0, element, value), None, "{}".to_owned());
            }
        }
        for exporter in 0..5000u32 {
            names.interface(std::net::Ipv4Addr::from(exporter).into(), 1, "x".to_owned());
        }
        assert_eq!((names.count, names.values.len()), (INTERFACES, VALUES));
        let refused: Vec<u64> = names.refused().map(|(_, count)| count).collect();
        assert_eq!(refused, [(70_000 - INTERFACES + 5000) as u64, (70_000 - VALUES) as u64, 7, 5]);
        let mut told = 0;
        for due in all(&mut names) {
            let (Due::Value(text) | Due::Interfaces(text)) = &due;
            assert!(text.len() < 32_768);
            if let Due::Interfaces(text) = &due {
                let names: BTreeMap<IpAddr, BTreeMap<u32, String>> = serde_json::from_str(text).expect("JSON");
                told += names.values().map(BTreeMap::len).sum::<usize>();
            }
        }
        assert_eq!(told, INTERFACES);
        let mut names = Names::default();
        for exporter in 0..5000u32 {
            names.interface(std::net::Ipv4Addr::from(exporter).into(), 1, "x".to_owned());
        }
        assert_eq!((names.interfaces.len(), names.refused[0]), (EXPORTERS, (5000 - EXPORTERS) as u64));
    }
}
