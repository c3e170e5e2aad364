//! Templates as users write them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use flowsonde_elements::table::*;
use flowsonde_elements::{Mode, Template, TemplateError, registry};

fn probe(text: &str) -> Template {
    Template::parse(text, Mode::Probe).unwrap()
}

fn error(text: &str) -> String {
    Template::parse(text, Mode::Probe).unwrap_err().to_string()
}

fn names(template: &Template) -> Vec<&'static str> {
    template.iter().map(|element| element.name).collect()
}

/// Compared as text, so that a reordered expansion shows.
fn assert_names(template: &Template, expected: &str) {
    assert_eq!(names(template), expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn separators_and_spellings_may_be_mixed() {
    let expected = "IPV4_SRC_ADDR IPV4_DST_ADDR DNS_QUERY IN_BYTES";
    for text in [
        "%IPV4_SRC_ADDR %IPV4_DST_ADDR %DNS_QUERY %IN_BYTES",
        "IPV4_SRC_ADDR,IPV4_DST_ADDR,,DNS_QUERY , IN_BYTES,",
        "%IPV4_SRC_ADDR%IPV4_DST_ADDR%DNS_QUERY%IN_BYTES",
        "%8 12\n35632.205\t%octetDeltaCount",
        " sourceIPv4Address 0.12 57677 %1 ",
    ] {
        assert_names(&probe(text), expected);
    }
}

#[test]
fn of_duplicates_the_first_stays() {
    assert_names(&probe("%IN_BYTES %IN_PKTS 1 octetDeltaCount %in_bytes"), "IN_BYTES IN_PKTS");
    assert_names(&probe("%SSL_CIPHER %TLS_CIPHER"), "SSL_CIPHER");
    assert_names(&probe("%TLS_CIPHER %SSL_CIPHER"), "TLS_CIPHER");
}

#[test]
fn an_older_label_is_kept_and_found_by_its_new_name() {
    let template = probe("%SSL_SERVER_NAME");
    assert!(template.contains(&TLS_SERVER_NAME) && template.contains(&SSL_SERVER_NAME));
    assert!(!template.contains(&TLS_CIPHER));
}

#[test]
fn ntopng_in_a_probe() {
    assert_names(
        &probe("@NTOPNG@"),
        "IN_SRC_MAC OUT_DST_MAC INPUT_SNMP OUTPUT_SNMP SRC_VLAN IPV4_SRC_ADDR IPV4_DST_ADDR L4_SRC_PORT L4_DST_PORT \
         IPV6_SRC_ADDR IPV6_DST_ADDR IP_PROTOCOL_VERSION PROTOCOL L7_PROTO L7_CONFIDENCE IN_BYTES IN_PKTS OUT_BYTES \
         OUT_PKTS FIRST_SWITCHED LAST_SWITCHED CLIENT_TCP_FLAGS SERVER_TCP_FLAGS L7_PROTO_RISK L7_RISK_SCORE \
         EXPORTER_IPV4_ADDRESS DIRECTION SAMPLING_INTERVAL TOTAL_FLOWS_EXP NPROBE_IPV4_ADDRESS CLIENT_NW_LATENCY_MS \
         SERVER_NW_LATENCY_MS APPL_LATENCY_MS TCP_WIN_MAX_IN TCP_WIN_MAX_OUT OOORDER_IN_PKTS OOORDER_OUT_PKTS \
         RETRANSMITTED_IN_PKTS RETRANSMITTED_OUT_PKTS SRC_FRAGMENTS DST_FRAGMENTS L7_INFO DNS_QUERY DNS_QUERY_TYPE \
         DNS_RET_CODE HTTP_URL HTTP_SITE HTTP_METHOD HTTP_RET_CODE TLS_SERVER_NAME BITTORRENT_HASH SRC_TOS DST_TOS \
         HTTP_USER_AGENT L7_RISK_INFO",
    );
}

#[test]
fn ntopng_in_a_collector() {
    assert_names(
        &Template::parse("@NTOPNG@", Mode::Collector).unwrap(),
        "IN_SRC_MAC OUT_DST_MAC INPUT_SNMP OUTPUT_SNMP SRC_VLAN IPV4_SRC_ADDR IPV4_DST_ADDR L4_SRC_PORT L4_DST_PORT \
         IPV6_SRC_ADDR IPV6_DST_ADDR SRC_TOS DST_TOS IP_PROTOCOL_VERSION PROTOCOL L7_PROTO L7_CONFIDENCE IN_BYTES \
         IN_PKTS OUT_BYTES OUT_PKTS FIRST_SWITCHED LAST_SWITCHED CLIENT_TCP_FLAGS SERVER_TCP_FLAGS L7_PROTO_RISK \
         L7_RISK_SCORE EXPORTER_IPV4_ADDRESS DIRECTION SAMPLING_INTERVAL TOTAL_FLOWS_EXP NPROBE_IPV4_ADDRESS \
         NPROBE_INSTANCE_NAME FLOW_SOURCE JA4C_HASH UNIQUE_SOURCE_ID POST_NAT_SRC_IPV4_ADDR POST_NAT_DST_IPV4_ADDR \
         POST_NAPT_SRC_TRANSPORT_PORT POST_NAPT_DST_TRANSPORT_PORT",
    );
}

#[test]
fn sip_and_rtp() {
    assert_names(
        &probe("@SIP@"),
        "SIP_CALL_ID SIP_UAC SIP_UAS SIP_CALLING_PARTY SIP_CALLED_PARTY SIP_RTP_IPV4_SRC_ADDR SIP_RTP_L4_SRC_PORT \
         SIP_RTP_IPV4_DST_ADDR SIP_RTP_L4_DST_PORT SIP_RESPONSE_CODE SIP_REASON_CAUSE SIP_CALL_STATE SIP_RTP_CODECS",
    );
    assert_names(
        &probe("@rtp@"),
        "RTP_SIP_CALL_ID RTP_RTT RTP_IN_JITTER RTP_OUT_JITTER RTP_IN_PKT_LOST RTP_OUT_PKT_LOST RTP_IN_PKT_DROP \
         RTP_OUT_PKT_DROP RTP_IN_MAX_DELTA RTP_OUT_MAX_DELTA RTP_IN_PAYLOAD_TYPE RTP_OUT_PAYLOAD_TYPE RTP_IN_MOS \
         RTP_OUT_MOS RTP_IN_R_FACTOR RTP_OUT_R_FACTOR",
    );
}

#[test]
fn macros_stand_among_elements() {
    for text in ["%IN_BYTES @SIP@ %DNS_QUERY", "%IN_BYTES@SIP@%DNS_QUERY", "1,@SIP@,DNS_QUERY %SIP_UAC"] {
        let template = probe(text);
        assert_eq!(template.len(), 15, "{text}");
        let names = names(&template);
        assert_eq!((names[0], names[1], names[14]), ("IN_BYTES", "SIP_CALL_ID", "DNS_QUERY"));
    }
    assert_eq!(probe("@NTOPNG@ %IN_BYTES %SEQ_PLEN").len(), 56);
}

#[test]
fn the_default_template() {
    assert_names(
        &Template::default(),
        "IPV4_SRC_ADDR IPV4_DST_ADDR IPV6_SRC_ADDR IPV6_DST_ADDR IPV4_NEXT_HOP IPV6_NEXT_HOP INPUT_SNMP OUTPUT_SNMP \
         IN_PKTS IN_BYTES OUT_PKTS OUT_BYTES FIRST_SWITCHED LAST_SWITCHED L4_SRC_PORT L4_DST_PORT TCP_FLAGS PROTOCOL \
         IP_PROTOCOL_VERSION SRC_TOS SRC_AS DST_AS IPV4_SRC_MASK IPV4_DST_MASK IPV6_SRC_MASK IPV6_DST_MASK SRC_VLAN",
    );
}

#[test]
fn printed_it_reads_the_same() {
    let everything: Template = registry::all().filter(|e| registry::parse(e.name) == Ok(e)).collect();
    assert!(everything.len() > 900);
    for template in [Template::default(), probe("@NTOPNG@"), everything] {
        assert_eq!(probe(&template.to_string()), template);
    }
}

#[test]
fn errors_name_the_word_its_place_and_the_remedy() {
    for empty in ["", "  ", "%", " , %"] {
        assert_eq!(Template::parse(empty, Mode::Probe), Err(TemplateError::Empty));
    }
    assert_eq!(
        error("%IN_BYTES %IPV4_SRC_ADDRESS"),
        "unknown element %IPV4_SRC_ADDRESS; did you mean %IPV4_SRC_ADDR? (word 2 of the template)"
    );
    assert_eq!(error("99999"), "unknown element %99999; flowsonde -H lists them (word 1 of the template)");
    assert_eq!(
        error("IN_BYTES @NTOP@"),
        "unknown macro @NTOP@ (word 2 of the template); there are @NTOPNG@, @SIP@ and @RTP@"
    );
    for broken in ["@", "@@", "@NTOPNG", "@NTOPNG %IN_BYTES", "NTOPNG@", "@\u{a0}@ %IN_BYTES"] {
        assert!(Template::parse(broken, Mode::Probe).is_err(), "{broken}");
    }
}
