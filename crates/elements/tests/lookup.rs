//! What users type, and what they meant.

use flowsonde_elements::registry::{by_ipfix, by_ipfix_name, by_name, by_number, parse, suggest};
use flowsonde_elements::table::*;

#[test]
fn one_element_by_all_its_spellings() {
    for spelling in ["IPV4_SRC_ADDR", "%IPV4_SRC_ADDR", "%ipv4_src_addr", "8", "%8", "0.8", "sourceIPv4Address"] {
        assert_eq!(parse(spelling), Ok(&IPV4_SRC_ADDR), "{spelling}");
    }
    for spelling in ["DNS_QUERY", "57677", "35632.205", "35632.57677"] {
        assert_eq!(parse(spelling), Ok(&DNS_QUERY), "{spelling}");
    }
    assert_eq!(by_name("samplingpacketinterval"), Some(&iana::samplingPacketInterval));
}

#[test]
fn spellings_of_documents_and_of_ntopng() {
    for (spelling, element) in [
        ("application_id", &APPLICATION_ID),
        ("biflow_direction", &BIFLOW_DIRECTION),
        ("bgpNexthopIPv4Address", &IPV4_BGP_NEXT_HOP),
        ("postNatSourceIPv4Address", &POST_NAT_SRC_IPV4_ADDR),
        ("postdot1qVlanId", &DOT1Q_DST_VLAN),
        ("WTPMacAddress", &WTP_MAC_ADDRESS),
        ("POST_NAT_SRC_TRANSPORT_PORT", &POST_NAPT_SRC_TRANSPORT_PORT),
        ("BGP_IPV6_NEXT_HOP", &BPG_IPV6_NEXT_HOP),
        ("ipClassOfService", &SRC_TOS),
        ("bgpPrevAdjacentAsNumber", &BGP_PREV_ADJACENT_ASN),
    ] {
        assert_eq!(parse(spelling), Ok(element), "{spelling}");
    }
    assert_eq!(by_ipfix_name("bgpNextHopIPv4Address"), Some(&IPV4_BGP_NEXT_HOP));
}

#[test]
fn a_vendors_name_yields_to_the_registrys() {
    assert_eq!(parse("flowDirection"), Ok(&DIRECTION));
    assert_eq!(by_ipfix_name("flowDirection"), Some(&DIRECTION));
    assert_eq!(parse("6876.954"), Ok(&vendor::vmware::flowDirection));
    assert_eq!(parse("tenantProtocol"), Ok(&vendor::vmware::tenantProtocol));
}

#[test]
fn numbers_nobody_has() {
    assert_eq!(by_number(97), None);
    assert_eq!(by_number(65535), None);
    assert_eq!(by_number(65536 + 8), None);
    assert_eq!(by_ipfix(6876, 1), None);
    for text in ["", "%", "0", "97", "99999", "1.2.3", "35632.", ".8", "8.", "8x", "99999999999999999999"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn suggestions() {
    for (typo, meant) in [
        ("IPV4_SRC_ADDRESS", Some("IPV4_SRC_ADDR")),
        ("%IPV4_SRC_ADDRESS", Some("IPV4_SRC_ADDR")),
        ("L4_SRCPORT", Some("L4_SRC_PORT")),
        ("ipv4_dts_addr", Some("IPV4_DST_ADDR")),
        ("IN_BYTE", Some("IN_BYTES")),
        ("sourceIpv4Adress", Some("sourceIPv4Address")),
        ("DNS_QUERY_NAME_OF_HOST", Some("DNS_QUERY")),
        ("CLIENT_NW_LATENCY", Some("CLIENT_NW_LATENCY_MS")),
        ("DST_PORT", Some("L4_DST_PORT")),
        ("SRC_MAC", Some("IN_SRC_MAC")),
        ("src_tos", Some("SRC_TOS")),
        ("XYZZY", None),
        ("Q", None),
        ("", None),
        ("99999", None),
        ("größe", None),
    ] {
        assert_eq!(suggest(typo), meant, "{typo}");
    }
}

#[test]
fn the_error_says_what_and_what_instead() {
    let error = |text| parse(text).map_err(|unknown| unknown.to_string());
    assert_eq!(error("%L4_SRCPORT"), Err("unknown element %L4_SRCPORT; did you mean %L4_SRC_PORT?".to_owned()));
    assert_eq!(error("XYZZY"), Err("unknown element %XYZZY; flowsonde -H lists them".to_owned()));
}
