//! Conditions on collected flows: `[!]NETWORK,...` or `[!]ELEMENT=VALUE,...`.

use flowsonde_elements::{Element, Id, registry, table};
use flowsonde_engine::decode::filter::{Condition, Match, On};

use super::Net;
use crate::stop::Stop;

const REMEDY: &str = "give [!]NETWORK,... or [!]ELEMENT=VALUE,..., like !10.0.0.0/8 or L4_DST_PORT=53,8000-8999";

/// Reads one condition. With an exclamation mark flows that match are left out, else those that do not.
pub fn condition(text: &str) -> Result<Condition, Stop> {
    let (not, rest) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (on, values) = match rest.split_once('=') {
        None => (On::Hosts, rest),
        Some((name, values)) => {
            let element = registry::parse(name.trim()).map_err(|error| Stop::Usage(format!("{error}; {REMEDY}")))?;
            (on(element)?, values)
        }
    };
    let hosts = on == On::Hosts;
    let any = values.split(',').map(|value| one(value.trim(), hosts)).collect::<Result<_, _>>()?;
    Ok(Condition { not, on, any })
}

/// Flows of these hosts are left out.
pub fn without(networks: &[Net]) -> Condition {
    Condition { not: true, on: On::Hosts, any: networks.iter().map(network).collect() }
}

fn on(element: &'static Element) -> Result<On, Stop> {
    // What exporters tell by one of several elements.
    const SEVERAL: [(&Element, &[u16]); 5] = [
        (&table::L4_SRC_PORT, &[7, 180, 182]),
        (&table::L4_DST_PORT, &[11, 181, 183]),
        (&table::INPUT_SNMP, &[10, 252]),
        (&table::OUTPUT_SNMP, &[14, 253]),
        (&table::SRC_VLAN, &[58, 243]),
    ];
    if let Some((_, ids)) = SEVERAL.iter().find(|(other, _)| element.is_same_as(other)) {
        return Ok(On::Elements(ids));
    }
    match element.id {
        Id::Iana(id) => Ok(On::Element(0, id)),
        _ => match element.ipfix_id() {
            Some((pen, id)) => Ok(On::Element(pen, id)),
            None => Err(Stop::Usage(format!("{} has no number that exporters send; {REMEDY}", element.name))),
        },
    }
}

fn one(text: &str, hosts: bool) -> Result<Match, Stop> {
    let number = |text: &str| text.parse::<u64>().ok();
    if hosts || text.contains(['.', ':']) {
        return Net::parse(text).map(|net| network(&net));
    }
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => Ok(Match::Range(from, to)),
        _ => Err(Stop::Usage(format!("'{text}' is not a number, a range of them or a network; {REMEDY}"))),
    }
}

fn network(net: &Net) -> Match {
    Match::Network(net.addr, net.prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        let net = |address: [u8; 4], prefix| Match::Network(address.into(), prefix);
        let read = |text| condition(text).unwrap();
        assert_eq!(
            read("!10.1.2.3/8,192.0.2.1"),
            Condition { not: true, on: On::Hosts, any: vec![net([10, 0, 0, 0], 8), net([192, 0, 2, 1], 32)] }
        );
        assert_eq!(
            read("%L4_DST_PORT=53,8000-8999"),
            Condition {
                not: false,
                on: On::Elements(&[11, 181, 183]),
                any: vec![Match::Range(53, 53), Match::Range(8000, 8999)]
            }
        );
        assert_eq!(read("SRC_AS=64512").on, On::Element(0, 16));
        assert_eq!(read("!IPV4_NEXT_HOP=192.0.2.0/24").any, [net([192, 0, 2, 0], 24)]);
    }

    #[test]
    fn errors_say_what_would_be_right() {
        for text in ["", "!", "PROTOCOL=", "PROTOCOL=tcp", "NOPE=1", "PROTOCOL=9-3", "10.0.0.0/33", "tcp"] {
            let error = condition(text).unwrap_err().to_string();
            assert!(error.contains("give "), "{text}: {error}");
        }
    }
}
