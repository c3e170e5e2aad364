//! The tables against the lists they were written from.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{HashMap, HashSet};

use flowsonde_elements::table::*;
use flowsonde_elements::{Counter, Element, Group, Id, Kind, Standing, VARIABLE, registry};

/// name, number, bytes on NetFlow v9.
fn nprobe() -> impl Iterator<Item = (&'static str, &'static str, Option<u16>)> {
    rows(include_str!("nprobe-elements.txt")).map(|row| {
        let [name, number, length] = row[..] else { panic!("{row:?}") };
        (name, number, length.parse().ok())
    })
}

/// enterprise.number, name, type, deprecated.
fn ipfix() -> impl Iterator<Item = (&'static str, &'static str, &'static str, bool)> {
    rows(include_str!("ipfix-elements.txt")).map(|row| (row[0], row[1], row[2], row.get(3).is_some()))
}

fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').collect())
}

fn has_nprobe_name(element: &Element) -> bool {
    !matches!(element.group, Group::Iana | Group::Cisco | Group::Nokia | Group::Huawei | Group::Vmware | Group::Cesnet)
}

/// Elements that nobody has but we.
const OURS: [&str; 17] = [
    "ORIGINAL_SAMPLING_INTERVAL",
    "SAMPLING_SOURCE",
    "L7_PROTO_BREED",
    "SRC_TO_DST_SEQ_PLEN",
    "DST_TO_SRC_SEQ_PLEN",
    "SRC_TO_DST_SEQ_TDIFF",
    "DST_TO_SRC_SEQ_TDIFF",
    "HANDSHAKE_SYN_PKTS",
    "HANDSHAKE_SYN_ACK_PKTS",
    "HANDSHAKE_ACK_PKTS",
    "HANDSHAKE_RST_PKTS",
    "SRC_TO_DST_BURSTS",
    "SRC_TO_DST_BURST_PKTS",
    "SRC_TO_DST_BURST_BYTES",
    "DST_TO_SRC_BURSTS",
    "DST_TO_SRC_BURST_PKTS",
    "DST_TO_SRC_BURST_BYTES",
];

#[test]
fn every_nprobe_name_is_there_and_no_other() {
    assert_eq!(nprobe().count(), 579);
    let listed: HashSet<_> = nprobe().map(|(name, ..)| name).chain(OURS).collect();
    let ours: HashSet<_> = registry::all().filter(|e| has_nprobe_name(e)).map(|e| e.name).collect();
    assert_eq!(listed, ours);
    for (name, ..) in nprobe() {
        for spelling in [name.to_owned(), format!("%{name}"), name.to_lowercase()] {
            assert_eq!(registry::parse(&spelling).map(|e| e.name), Ok(name));
        }
    }
}

#[test]
fn every_number_is_as_listed() {
    for (name, number, length) in nprobe() {
        let element = registry::by_name(name).unwrap_or_else(|| panic!("{name}"));
        if let Some(length) = length {
            assert_eq!(element.v9_length(), length, "{name}");
        }
        let expected = match (number, number.split_once('.'), number.strip_prefix("clash:35632.")) {
            ("none", ..) => Id::Unverified,
            (.., Some(n)) => Id::Clash(n.parse().unwrap()),
            (_, Some((_, n)), _) => Id::Ntop(n.parse().unwrap()),
            _ => Id::Iana(number.parse().unwrap()),
        };
        assert_eq!(element.id, expected, "{name}");
    }
}

#[test]
fn every_number_leads_to_its_owner() {
    for (name, number, _) in nprobe() {
        let element = registry::by_name(name).unwrap();
        let Some((pen, id)) = element.ipfix_id() else {
            assert_eq!(element.v9_id(), None, "{name}");
            if let Some(number) = number.strip_prefix("clash:") {
                assert_ne!(registry::parse(number).map(|e| e.name), Ok(name));
            }
            continue;
        };
        let v9 = element.v9_id().unwrap();
        for found in [
            registry::by_ipfix(pen, id),
            registry::by_number(v9.into()),
            registry::parse(number).ok(),
            registry::parse(&v9.to_string()).ok(),
            registry::parse(&format!("%{pen}.{id}")).ok(),
        ] {
            let found = found.unwrap_or_else(|| panic!("{name}"));
            assert_eq!(found.id, element.id, "{name}");
            assert_eq!(found == element, element.owns_its_number(), "{name}");
        }
    }
}

#[test]
fn no_two_own_a_number_and_no_two_share_a_name() {
    let mut owners = HashMap::new();
    let mut names = HashSet::new();
    for element in registry::all() {
        assert!(names.insert(element.name.to_lowercase()), "{} twice", element.name);
        if element.owns_its_number()
            && let Some(other) = owners.insert(element.ipfix_id(), element)
        {
            panic!("{} and {} own one number", element.name, other.name);
        }
    }
}

#[test]
fn what_lost_its_number_says_to_whom() {
    for element in registry::all() {
        if let Standing::Renamed(now) | Standing::Displaced(now) = element.standing {
            assert_eq!((now.id, now.kind), (element.id, element.kind), "{}", element.name);
            assert!(now.owns_its_number(), "{}", element.name);
        }
    }
    let older: Vec<_> = registry::all().filter(|e| e.current() != *e).map(|e| (e.name, e.current().name)).collect();
    assert_eq!(
        older,
        [
            ("BGP_IPV4_NEXT_HOP", "IPV4_BGP_NEXT_HOP"),
            ("SSL_SERVER_NAME", "TLS_SERVER_NAME"),
            ("SSL_CIPHER", "TLS_CIPHER"),
            ("SSL_UNSAFE_CIPHER", "TLS_UNSAFE_CIPHER"),
            ("SSL_VERSION", "TLS_VERSION"),
            ("HTTP_UA", "HTTP_USER_AGENT"),
        ]
    );
    assert_eq!(registry::by_number(57594), Some(&NPROBE_INSTANCE_NAME));
    assert!(!FLOW_SERVER_NAME.is_same_as(&NPROBE_INSTANCE_NAME));
}

#[test]
fn the_registry_is_there_with_its_names_and_types() {
    assert_eq!(ipfix().count(), 534);
    for (number, name, data_type, deprecated) in ipfix() {
        let element = registry::parse(number).unwrap();
        assert_eq!(element.ipfix_name, Some(name));
        assert_eq!(element.deprecated, deprecated, "{name}");
        if number != "6876.954" {
            assert_eq!(registry::by_ipfix_name(name), Some(element));
            assert_eq!(registry::parse(name), Ok(element));
        }
        let fits = match data_type {
            "unsigned8" => matches!(element.wire, Kind::U8),
            "unsigned16" => matches!(element.wire, Kind::U8 | Kind::U16),
            "unsigned32" => {
                matches!(element.wire, Kind::U8 | Kind::U16 | Kind::U32 | Kind::UptimeMillis)
            }
            "unsigned64" => matches!(element.wire, Kind::U16 | Kind::U32 | Kind::U64),
            "signed32" => element.wire == Kind::I32,
            "unsigned256" => element.wire == Kind::FixedOctets(32),
            "float64" => element.wire == Kind::F64,
            "boolean" => element.wire == Kind::Bool,
            "ipv4Address" => element.wire == Kind::Ipv4,
            "ipv6Address" => element.wire == Kind::Ipv6,
            "macAddress" => element.wire == Kind::Mac,
            "string" => element.wire.is_text(),
            "octetArray" => matches!(element.wire, Kind::Octets(_) | Kind::FixedOctets(_)),
            "dateTimeSeconds" => element.wire == Kind::Seconds,
            "dateTimeMilliseconds" => element.wire == Kind::Millis,
            "dateTimeMicroseconds" => element.wire == Kind::Micros,
            "dateTimeNanoseconds" => element.wire == Kind::Nanos,
            "basicList" | "subTemplateList" | "subTemplateMultiList" => matches!(element.wire, Kind::List(_)),
            other => panic!("{other}"),
        };
        assert!(fits, "{name} is {data_type} and ours {:?}", element.wire);
    }
}

#[test]
fn every_row_has_help_and_a_length() {
    for element in registry::all() {
        assert!(!element.help.is_empty() && element.help.trim() == element.help, "{}", element.name);
        assert!(element.v9_length() > 0, "{}", element.name);
        assert_eq!(element.ipfix_length() == VARIABLE, element.is_variable());
    }
    for (group, rows) in registry::groups() {
        assert!(!rows.is_empty() && rows.iter().all(|row| row.group == group));
    }
    assert_eq!(registry::groups().map(|(_, rows)| rows.len()).sum::<usize>(), registry::all().count());
}

#[test]
fn lengths_on_either_wire() {
    let lengths = |e: &Element| (e.v9_length(), e.ipfix_length());
    assert_eq!(lengths(&IN_BYTES), (4, 8));
    assert_eq!(lengths(&OUT_PKTS), (4, 8));
    assert_eq!(lengths(&TCP_FLAGS), (1, 2));
    assert_eq!(lengths(&MIN_IP_PKT_LEN), (2, 2));
    assert_eq!(lengths(&DNS_QUERY), (256, VARIABLE));
    assert_eq!(lengths(&SRC_IP_COUNTRY), (2, 2));
    assert_eq!(lengths(&MPLS_LABEL_1), (3, 3));
    assert_eq!(lengths(&L7_PROTO), (2, 2));
    assert_eq!(lengths(&CLIENT_NW_LATENCY_MS), (4, 4));
    assert_eq!(lengths(&iana::samplingProbability), (8, 8));
}

#[test]
fn numbers_as_nprobe_computes_them() {
    assert_eq!(DNS_QUERY.v9_id(), Some(57677));
    assert_eq!(DNS_QUERY.ipfix_id(), Some((35632, 205)));
    assert_eq!(L4_SRV_PORT.v9_id(), Some(58508));
    assert_eq!(TCP_FINGERPRINT.v9_id(), None);
    assert_eq!(COMMUNITY_ID.ipfix_id(), None);
    assert_eq!(vendor::cisco::FW_EXT_EVENT.v9_id(), Some(33002));
    assert_eq!(vendor::cisco::FW_EXT_EVENT.ipfix_id(), Some((9, 234)));
    assert_eq!(registry::by_number(40000), Some(&vendor::cisco::AAA_USERNAME));
    assert_eq!(vendor::vmware::ruleId.v9_id(), None);
    assert_eq!(vendor::vmware::ruleId.ipfix_id(), Some((6876, 950)));
}

#[test]
fn nprobe_elements_the_registry_sees_otherwise() {
    assert_eq!(DST_TOS.ipfix_name, Some("postIpClassOfService"));
    assert_eq!(BGP_NEXT_ADJACENT_ASN.ipfix_name, Some("bgpNextAdjacentAsNumber"));
    assert_eq!(registry::by_ipfix_name("observationPointId").map(|e| e.id), Some(Id::Iana(138)));
    assert_eq!(registry::by_ipfix_name("observationDomainName"), Some(&OBSERVATION_POINT_ID));
    // nProbe's two-byte number, against a name of any other length.
    assert_eq!(OBSERVATION_POINT_ID.kind_of(2), Kind::U16);
    assert!(OBSERVATION_POINT_ID.kind_of(VARIABLE).is_text());
    assert_eq!(APPLICATION_ID.kind_of(4), Kind::U32);
    assert_eq!(APPLICATION_ID.kind_of(9), Kind::FixedOctets(4));
    assert_eq!(IN_BYTES.kind_of(3), Kind::U32);
}

#[test]
fn sampling_scales_traffic_only() {
    for scaled in [&IN_BYTES, &OUT_PKTS, &INITIATOR_OCTETS, &RETRANSMITTED_IN_PKTS, &OCTET_TOTAL, &NUM_PKTS_TTL_EQ_1] {
        assert!(scaled.scales_with_sampling(), "{}", scaled.name);
    }
    for exact in [&TOTAL_PKTS_EXP, &FLOWS, &PACKETS_OBSERVED, &RADIUS_ACCT_IN_OCTETS, &LAST_SWITCHED, &MIN_IP_PKT_LEN] {
        assert!(!exact.scales_with_sampling(), "{}", exact.name);
    }
    assert!(registry::all().filter(|e| e.kind.is_time()).all(|e| e.counter == Counter::No));
}
