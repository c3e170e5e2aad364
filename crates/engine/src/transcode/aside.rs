//! What exporters tell besides flows, as ntopng takes it: counters of interfaces (topic `counter`), what a number stands
//! for (`option`), names of interfaces (`snmp-ifaces`).
//!
//! ```text
//! counter      {"deviceIP":3221225985,"samplesGenerated":7,"ifIndex":3,"ifName":"eth0","ifType":6,..}
//! option       {"PEN":0,"field":95,"value":218103889,"map":{"APPLICATION_NAME":"http",..}}
//!              {"PEN":0,"field":48,"value":1,"map":{"EXPORTER_IPV4_ADDRESS":"192.0.2.1","samplerName":"all",..}}
//! ```
//!
//! Counters have no exporter but an IPv4 address: those of an agent with an IPv6 address are told nobody. An option's form
//! has none; what `map` holds is anybody's, so that the exporter is told there, but of applications, which are the same
//! everywhere. ntopng keeps one of each value, the latest. What makes no sense apart from the exporter, as its line cards, is
//! told nobody.

use core::fmt::Write as _;
use core::net::IpAddr;

use super::{Context, Home, Scratch, list};
use crate::decode::layout::{Field, Layout, Record, Spans};
use crate::decode::records::{About, InterfaceCounters, Set};
use crate::decode::sampling;
use crate::encode::print;

/// Something told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aside {
    /// Counters of an interface, as JSON.
    Counter(String),
    /// What a value of an element stands for.
    Value {
        /// Enterprise, element, and value.
        of: (u32, u16, u32),
        /// Whose value it is, where others may mean something else by it.
        exporter: Option<IpAddr>,
        /// All of it as JSON.
        text: String,
    },
    /// The name of an interface.
    Interface {
        /// Whose.
        exporter: IpAddr,
        /// Its index.
        index: u32,
        /// Its name, at most [`LONGEST_NAME`] bytes.
        name: String,
    },
}

/// Bytes of an interface's name; ifName has up to 255 (RFC 2863), and in the wild under 40.
pub const LONGEST_NAME: usize = 64;

/// Bytes of an option's JSON; a longer one is not told.
const LONGEST: usize = 4096;

/// Elements whose values options data explains: application, VRFs, sampler and selector.
const EXPLAINED: [u16; 5] = [95, 234, 235, 48, 302];

/// What is an exporter's alone: interfaces, line cards, processes, templates, domain, addresses.
const OWN: [u16; 13] = [10, 14, 252, 253, 141, 143, 144, 145, 149, 130, 131, 138, 346];

/// Counters of an interface.
pub fn counter(sample: &InterfaceCounters<'_>, about: &About) -> Option<Aside> {
    let IpAddr::V4(agent) = about.exporter else { return None };
    let i = &sample.interface;
    let up = |bit: u32| if i.status & bit == 0 { "Down" } else { "Up" };
    let known = |n: u32| if n == u32::MAX { 0 } else { n };
    let octets = |n: u64| if n == u64::MAX { 0 } else { n };
    let mut named = Vec::new();
    if !sample.name.is_empty() {
        named.extend_from_slice(b"\"ifName\":\"");
        print::escape(&name(sample.name), &mut named);
        named.extend_from_slice(b"\",");
    }
    Some(Aside::Counter(format!(
        "{{\"deviceIP\":{},\"samplesGenerated\":{},\"ifIndex\":{},{}\"ifType\":{},\"ifSpeed\":{},\"ifDirection\":\"{}\",\
         \"ifAdminStatus\":\"{}\",\"ifOperStatus\":\"{}\",\"ifInOctets\":{},\"ifInPackets\":{},\"ifInErrors\":{},\
         \"ifOutOctets\":{},\"ifOutPackets\":{},\"ifOutErrors\":{},\"ifPromiscuousMode\":{}}}",
        u32::from(agent),
        sample.samples,
        i.index,
        String::from_utf8_lossy(&named),
        i.kind,
        i.speed,
        if i.direction == 1 { "Full" } else { "Half" },
        up(1),
        up(2),
        octets(i.input.octets),
        i.input.packets(),
        known(i.input.errors),
        octets(i.output.octets),
        i.output.packets(),
        known(i.output.errors),
        u32::from(i.promiscuous == 1),
    )))
}

/// The name of an interface that came with its counters.
pub fn interface(sample: &InterfaceCounters<'_>, about: &About) -> Option<Aside> {
    let name = name(sample.name);
    let index = sample.interface.index;
    (!name.is_empty()).then_some(Aside::Interface { exporter: about.exporter, index, name })
}

/// Who takes what is told.
pub trait Gather {
    /// Whether the next is taken; asked before it is put into words. What is not is counted.
    fn has_room(&mut self) -> bool;

    /// Takes it.
    fn take(&mut self, aside: Aside);
}

/// What records of options data tell.
pub fn options(set: &Set<'_>, scratch: &mut Scratch, out: &mut dyn Gather) {
    let told = Told::of(set.layout);
    if told.value.is_none() && told.interface.is_none() {
        return;
    }
    let Scratch { spans, lists, .. } = scratch;
    let home = Home::at([0; 4]);
    let mut rest = set.bytes;
    while let Some((record, after)) = set.layout.split(rest, spans) {
        rest = after;
        if let Some((index, text)) = told.interface {
            let text = record.value(text, spans);
            if text.first().is_some_and(|first| *first != 0) && out.has_room() {
                let index = record.number(index, spans) as u32;
                let name = name(text);
                if !name.is_empty() {
                    out.take(Aside::Interface { exporter: set.about.exporter, index, name });
                }
            }
        }
        if let Some(field) = told.value
            && out.has_room()
        {
            let sampling = sampling::Told { rate: 1, by: sampling::By::Nothing, scale: 1 };
            let context = Context::new(set, &home, sampling, lists);
            if let Some(aside) = explained(field, set.layout, &record, spans, &context) {
                out.take(aside);
            }
        }
    }
}

/// What a layout of options has to tell.
struct Told<'a> {
    value: Option<&'a Field>,
    interface: Option<(&'a Field, &'a Field)>,
}

impl<'a> Told<'a> {
    fn of(layout: &'a Layout) -> Told<'a> {
        let find = |ids: &[u16]| ids.iter().find_map(|&id| layout.find(id));
        let index = find(&[10, 14, 252, 253]).filter(|field| is_number(field));
        let scopes = layout.fields.iter().take(layout.scopes.into());
        let scope = scopes.filter(|field| is_number(field)).find(|field| !OWN.iter().any(|&id| field.is(id)));
        Told {
            value: find(&EXPLAINED).filter(|field| is_number(field)).or(scope),
            interface: index.zip(find(&[82, 83])),
        }
    }
}

/// Means the same whoever tells it: applications, but those that users define (classification engine 6, RFC 6759, section
/// 4.1: the first byte).
fn is_everywhere(field: &Field, value: u32) -> bool {
    const USER_DEFINED: u32 = 6;
    field.is(95) && value >> (8 * u32::from(field.length.saturating_sub(1))) != USER_DEFINED
}

fn is_number(field: &Field) -> bool {
    (1..=4).contains(&field.length)
}

fn explained(field: &Field, layout: &Layout, record: &Record<'_>, spans: &Spans, c: &Context<'_>) -> Option<Aside> {
    let value = record.number(field, spans) as u32;
    let mut text = String::new();
    let _infallible = write!(text, "{{\"PEN\":{},\"field\":{},\"value\":{value},\"map\":", field.pen, field.id);
    let map = list::object(layout, field, record, spans, c)?;
    let exporter = (!is_everywhere(field, value)).then(|| c.about.exporter.to_canonical());
    match exporter {
        None => text.push_str(&map),
        Some(exporter) => {
            let version = if exporter.is_ipv4() { 4 } else { 6 };
            let rest = map.strip_prefix('{')?;
            let comma = if rest == "}" { "" } else { "," };
            let _infallible = write!(text, "{{\"EXPORTER_IPV{version}_ADDRESS\":\"{exporter}\"{comma}{rest}");
        }
    }
    text.push('}');
    (text.len() <= LONGEST).then_some(Aside::Value { of: (field.pen, field.id, value), exporter, text })
}

/// A text without what fills its field, as long as a name may be.
fn name(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(super::take::trimmed(text));
    let text = text.trim();
    text.get(..text.floor_char_boundary(LONGEST_NAME)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::collector::{Collector, Config};
    use crate::decode::records::{Receive, Taken};
    use flowsonde_wire::Nanos;
    use flowsonde_wire::export::sflow5::Source;
    use flowsonde_wire::export::sflow5::counters::{Interface, Traffic};
    use flowsonde_wire::export::{Datagram, Transport};

    #[derive(Default)]
    struct Kept(Vec<Aside>);

    struct All<'a>(&'a mut Vec<Aside>);

    impl Gather for All<'_> {
        fn has_room(&mut self) -> bool {
            true
        }

        fn take(&mut self, aside: Aside) {
            self.0.push(aside);
        }
    }

    impl Receive for Kept {
        fn flows(&mut self, _: &Set<'_>) -> Taken {
            Taken::default()
        }

        fn options(&mut self, set: &Set<'_>) {
            options(set, &mut Scratch::default(), &mut All(&mut self.0));
        }
    }

    /// NetFlow v9 with an options template, scopes first, and records of it.
    fn told(scopes: &[(u16, u16)], fields: &[(u16, u16)], records: &[u8]) -> Vec<Aside> {
        let number = |n: usize| (n as u16).to_be_bytes();
        let specifiers: Vec<u8> = scopes
            .iter()
            .chain(fields)
            .flat_map(|(id, length)| [id.to_be_bytes(), length.to_be_bytes()].concat())
            .collect();
        let template = [&[1, 44][..], &number(4 * scopes.len()), &number(4 * fields.len()), &specifiers].concat();
        let set = |id: u16, body: &[u8]| [&id.to_be_bytes()[..], &number(body.len() + 4), body].concat();
        let bytes = [&[0, 9, 0, 2][..], &[0; 16], &set(1, &template), &set(300, records)].concat();
        let mut collector = Collector::new(Config::default());
        let mut kept = Kept::default();
        let from = ([192, 0, 2, 1], 2055).into();
        let message =
            Datagram { time: Nanos(0), transport: Transport::Udp, from, to: 2055, local: None, bytes: &bytes };
        collector.message(&message, &mut kept).expect("NetFlow");
        kept.0
    }

    /// Cisco's table of applications: the scope is the system, the application is a field.
    #[test]
    fn applications_are_explained() {
        let record = [&[192, 0, 2, 1, 3, 0, 0, 80][..], b"http\0\0", b"WWW \"1\""].concat();
        assert_eq!(
            told(&[(1, 4)], &[(95, 4), (96, 6), (94, 7)], &record),
            [Aside::Value {
                of: (0, 95, 0x0300_0050),
                exporter: None,
                text: concat!(
                    r#"{"PEN":0,"field":95,"value":50331728,"map":{"exportingProcessId":3221225985,"#,
                    r#""APPLICATION_NAME":"http","applicationDescription":"WWW \"1\""}}"#
                )
                .to_owned()
            }]
        );
    }

    /// Samplers, VRFs and applications of users are told with their exporter.
    #[test]
    fn what_is_an_exporter_s_own_is_told_with_it() {
        let exporter = Some([192, 0, 2, 1].into());
        assert_eq!(
            told(&[(1, 4)], &[(95, 4), (96, 2)], &[192, 0, 2, 1, 6, 0, 0, 1, b'm', b'y']),
            [Aside::Value {
                of: (0, 95, 0x0600_0001),
                exporter,
                text: concat!(
                    r#"{"PEN":0,"field":95,"value":100663297,"map":{"EXPORTER_IPV4_ADDRESS":"192.0.2.1","#,
                    r#""exportingProcessId":3221225985,"APPLICATION_NAME":"my"}}"#
                )
                .to_owned()
            }]
        );
        // A sampler of which nothing more is said.
        assert_eq!(
            told(&[(48, 1)], &[], &[7]),
            [Aside::Value {
                of: (0, 48, 7),
                exporter,
                text: r#"{"PEN":0,"field":48,"value":7,"map":{"EXPORTER_IPV4_ADDRESS":"192.0.2.1"}}"#.to_owned()
            }]
        );
    }

    #[test]
    fn interfaces_are_named_and_not_explained() {
        let record = [&[0, 0, 0, 7][..], b"Gi0/1\0", &[0, 0, 0, 8], b"\0\0\0\0\0\0"].concat();
        let exporter = [192, 0, 2, 1].into();
        let expected = [Aside::Interface { exporter, index: 7, name: "Gi0/1".to_owned() }];
        assert_eq!(told(&[(2, 4)], &[(82, 6)], &record), expected);
        // By the system, with the index as a field.
        let record = [&[192, 0, 2, 1, 0, 7][..], b"Gi0/1\0"].concat();
        assert_eq!(told(&[(1, 4)], &[(10, 2), (82, 6)], &record), expected);
        // Rates of the exporter's alone.
        assert_eq!(told(&[(1, 4)], &[(34, 4), (35, 1)], &[0; 9]), []);
    }

    #[test]
    fn long_names_are_cut_between_characters_and_long_options_left_out() {
        let long = "é".repeat(40);
        let record = [&[0, 0, 0, 7][..], long.as_bytes()].concat();
        let cut = told(&[(2, 4)], &[(82, 80)], &record).pop();
        assert!(matches!(&cut, Some(Aside::Interface { name, .. }) if *name == "é".repeat(32)), "{cut:?}");
        let record = [&[0, 0, 0, 7][..], &[b'x'; 5000]].concat();
        assert_eq!(told(&[(48, 4)], &[(84, 5000)], &record), []);
    }

    #[test]
    fn counters_of_an_interface() {
        let traffic =
            |octets| Traffic { octets, unicast: 5, multicast: 1, broadcast: u32::MAX, discards: 9, errors: 2 };
        let interface = Interface {
            index: 3,
            kind: 6,
            speed: 10_000_000_000,
            direction: 1,
            status: 1,
            input: traffic(1 << 40),
            unknown_protocols: 0,
            output: traffic(u64::MAX),
            promiscuous: 2,
        };
        let source = Source { class: 0, index: 3 };
        let sample = InterfaceCounters { samples: 77, source, name: b"eth\"0", interface };
        let mut about = crate::decode::sflow5::tests::about();
        about.exporter = [192, 0, 2, 1].into();
        assert_eq!(
            counter(&sample, &about),
            Some(Aside::Counter(
                concat!(
                    r#"{"deviceIP":3221225985,"samplesGenerated":77,"ifIndex":3,"ifName":"eth\"0","ifType":6,"#,
                    r#""ifSpeed":10000000000,"ifDirection":"Full","ifAdminStatus":"Up","ifOperStatus":"Down","#,
                    r#""ifInOctets":1099511627776,"ifInPackets":6,"ifInErrors":2,"ifOutOctets":0,"ifOutPackets":6,"#,
                    r#""ifOutErrors":2,"ifPromiscuousMode":0}"#
                )
                .to_owned()
            ))
        );
        assert_eq!(
            super::interface(&sample, &about),
            Some(Aside::Interface { exporter: about.exporter, index: 3, name: "eth\"0".to_owned() })
        );
        about.exporter = core::net::Ipv6Addr::LOCALHOST.into();
        assert_eq!(counter(&sample, &about), None);
    }
}
