//! What the base of every flow holds: ends, counters, times.

use flowsonde_elements::table::*;
use flowsonde_wire::Nanos;
use flowsonde_wire::transport::icmp::{reply_of, request_of};

use super::{Env, Fill, Row, forward, reverse};
use crate::decode::packet::protocol;
use crate::meter::key::End;
use crate::meter::{Group, View};

pub(super) const ROWS: &[Row] = &[
    forward(&IPV4_SRC_ADDR, Group::Base, Fill::Ipv4(|v, _| v4(v, v.side()))),
    forward(&IPV4_DST_ADDR, Group::Base, Fill::Ipv4(|v, _| v4(v, v.other()))),
    forward(&IPV6_SRC_ADDR, Group::Base, Fill::Ipv6(|v, _| v6(v, v.side()))),
    forward(&IPV6_DST_ADDR, Group::Base, Fill::Ipv6(|v, _| v6(v, v.other()))),
    forward(&L4_SRC_PORT, Group::Base, Fill::Number(|v, _| port(v, v.side()))),
    forward(&L4_DST_PORT, Group::Base, Fill::Number(|v, _| port(v, v.other()))),
    forward(&TCP_SRC_PORT, Group::Base, Fill::Number(|v, _| if is_tcp(v) { port(v, v.side()) } else { 0 })),
    forward(&TCP_DST_PORT, Group::Base, Fill::Number(|v, _| if is_tcp(v) { port(v, v.other()) } else { 0 })),
    forward(&L4_SRV_PORT, Group::Base, Fill::Number(|v, _| port(v, v.base.state.client() ^ 1))),
    forward(&PROTOCOL, Group::Base, Fill::Number(|v, _| v.base.key.protocol().into())),
    forward(&PROTOCOL_MAP, Group::Base, Fill::Text(|v, _| protocol_name(v.base.key.protocol()))),
    forward(&IP_PROTOCOL_VERSION, Group::Base, Fill::Number(|v, _| v.base.key.version().into())),
    forward(&SRC_VLAN, Group::Base, Fill::Number(|v, _| v.base.key.vlan_inner().into())),
    forward(&DST_VLAN, Group::Base, Fill::Number(|v, _| v.base.key.vlan_inner().into())),
    forward(&DOT1Q_SRC_VLAN, Group::Base, Fill::Number(|v, _| outer_or_only(v))),
    forward(&DOT1Q_DST_VLAN, Group::Base, Fill::Number(|v, _| outer_or_only(v))),
    forward(&ICMP_TYPE, Group::Base, Fill::Number(|v, _| icmp(v).into())),
    forward(&ICMP_IPV4_TYPE, Group::Base, Fill::Number(|v, _| icmp_v4(v) >> 8)),
    forward(&ICMP_IPV4_CODE, Group::Base, Fill::Number(|v, _| icmp_v4(v) & 0xff)),
    forward(&IN_BYTES, Group::Base, Fill::Number(|v, e| e.scaled(v.base.bytes[v.side()]))),
    forward(&IN_PKTS, Group::Base, Fill::Number(|v, e| e.scaled(v.base.packets[v.side()]))),
    reverse(&OUT_BYTES, Group::Base, Fill::Number(|v, e| e.scaled(v.base.bytes[v.other()]))),
    reverse(&OUT_PKTS, Group::Base, Fill::Number(|v, e| e.scaled(v.base.packets[v.other()]))),
    forward(&INITIATOR_OCTETS, Group::Base, Fill::Number(|v, e| e.scaled(v.base.bytes[v.base.state.client()]))),
    forward(&INITIATOR_PKTS, Group::Base, Fill::Number(|v, e| e.scaled(v.base.packets[v.base.state.client()]))),
    reverse(&RESPONDER_OCTETS, Group::Base, Fill::Number(|v, e| e.scaled(v.base.bytes[v.base.state.client() ^ 1]))),
    reverse(&RESPONDER_PKTS, Group::Base, Fill::Number(|v, e| e.scaled(v.base.packets[v.base.state.client() ^ 1]))),
    forward(&FLOWS, Group::Base, Fill::Number(|_, _| 1)),
    forward(&FLOW_ID, Group::Base, Fill::Number(|v, _| v.base.id.into())),
    forward(&SRC_TOS, Group::Base, Fill::Number(|v, _| v.base.tos[v.side()].into())),
    forward(&DST_TOS, Group::Base, Fill::Number(|v, _| v.base.tos[v.other()].into())),
    forward(&TCP_FLAGS, Group::Base, Fill::Number(|v, _| flags(v).into())),
    forward(&CLIENT_TCP_FLAGS, Group::Base, Fill::Number(|v, _| v.base.tcp_flags[v.base.state.client()].into())),
    forward(&SERVER_TCP_FLAGS, Group::Base, Fill::Number(|v, _| v.base.tcp_flags[v.base.state.client() ^ 1].into())),
    forward(&FLOW_END_REASON, Group::Base, Fill::Number(|v, _| v.base.state.reason() as u64)),
    forward(&BIFLOW_DIRECTION, Group::Base, Fill::Number(|v, _| if v.side() == v.base.state.client() { 1 } else { 2 })),
    // Bytes and packets since the flow began, where its records are cut, are not kept: a record's own.
    forward(&FIRST_SWITCHED, Group::Base, Fill::Number(|v, _| first(v).seconds())),
    forward(&LAST_SWITCHED, Group::Base, Fill::Number(|v, _| last(v).seconds())),
    forward(&FLOW_START_SEC, Group::Base, Fill::Number(|v, _| first(v).seconds())),
    forward(&FLOW_END_SEC, Group::Base, Fill::Number(|v, _| last(v).seconds())),
    forward(&FLOW_START_MILLISECONDS, Group::Base, Fill::Number(|v, _| first(v).millis())),
    forward(&FLOW_END_MILLISECONDS, Group::Base, Fill::Number(|v, _| last(v).millis())),
    forward(&FLOW_START_MICROSECONDS, Group::Base, Fill::Number(|v, _| first(v).micros())),
    forward(&FLOW_END_MICROSECONDS, Group::Base, Fill::Number(|v, _| last(v).micros())),
    forward(&FLOW_START_NANOSECONDS, Group::Base, Fill::Number(|v, _| first(v).0)),
    forward(&FLOW_END_NANOSECONDS, Group::Base, Fill::Number(|v, _| last(v).0)),
    forward(&FLOW_DURATION_MILLISECONDS, Group::Base, Fill::Number(|v, _| last(v).since(first(v)) / 1_000_000)),
    forward(&FLOW_DURATION_MICROSECONDS, Group::Base, Fill::Number(|v, _| last(v).since(first(v)) / 1000)),
    forward(&DURATION_IN, Group::Base, Fill::Number(|v, _| duration_ms(v, v.side()))),
    reverse(&DURATION_OUT, Group::Base, Fill::Number(|v, _| duration_ms(v, v.other()))),
    forward(&SRC_TO_DST_AVG_THROUGHPUT, Group::Base, Fill::Number(|v, e| average_bits(v, e, v.side()))),
    reverse(&DST_TO_SRC_AVG_THROUGHPUT, Group::Base, Fill::Number(|v, e| average_bits(v, e, v.other()))),
];

fn end(v: &View<'_>, direction: usize) -> End {
    if direction == 0 { v.base.key.first() } else { v.base.key.second() }
}

fn v4(v: &View<'_>, direction: usize) -> [u8; 4] {
    if v.base.key.version() == 4 { end(v, direction).octets4() } else { [0; 4] }
}

fn v6(v: &View<'_>, direction: usize) -> [u8; 16] {
    if v.base.key.version() == 6 { end(v, direction).octets16() } else { [0; 16] }
}

fn port(v: &View<'_>, direction: usize) -> u64 {
    if matches!(v.base.key.protocol(), protocol::ICMP | protocol::ICMPV6) {
        return 0;
    }
    let (first, second) = v.base.key.ports();
    u64::from(if direction == 0 { first } else { second })
}

fn is_tcp(v: &View<'_>) -> bool {
    v.base.key.protocol() == protocol::TCP
}

fn outer_or_only(v: &View<'_>) -> u64 {
    u64::from(if v.base.key.vlan_outer() != 0 { v.base.key.vlan_outer() } else { v.base.key.vlan_inner() })
}

fn icmp_v4(v: &View<'_>) -> u64 {
    if v.base.key.protocol() == protocol::ICMP { icmp(v).into() } else { 0 }
}

fn flags(v: &View<'_>) -> u8 {
    let [a, b] = v.base.tcp_flags;
    if v.alone { v.base.tcp_flags[v.side()] } else { a | b }
}

/// ICMP type and code, packed as type * 256 + code: the first packet's; in a record of one direction that direction's,
/// as the client asks and the server answers.
pub fn icmp(v: &View<'_>) -> u16 {
    if !v.alone {
        return v.base.icmp;
    }
    let version = v.base.key.version();
    let [kind, code] = v.base.icmp.to_be_bytes();
    let request = request_of(version, kind);
    let kind = if v.side() == v.base.state.client() { request } else { reply_of(version, request) };
    u16::from_be_bytes([kind, code])
}

/// First packet of the record.
#[inline]
pub fn first(v: &View<'_>) -> Nanos {
    if v.alone { v.base.first_of(v.side()) } else { v.base.first }
}

/// Last packet of the record.
#[inline]
pub fn last(v: &View<'_>) -> Nanos {
    if v.alone { v.base.last_of(v.side()) } else { v.base.last_seen() }
}

fn duration_ms(v: &View<'_>, direction: usize) -> u64 {
    if v.base.packets[direction] == 0 {
        return 0;
    }
    v.base.last_of(direction).since(v.base.first_of(direction)) / 1_000_000
}

/// Bits per second over the record's duration; over one second when it is shorter.
fn average_bits(v: &View<'_>, e: &Env, direction: usize) -> u64 {
    let nanos = v.base.last_seen().since(v.base.first).max(1_000_000_000);
    let bits = u128::from(e.scaled(v.base.bytes[direction])) * 8;
    u64::try_from(bits * 1_000_000_000 / u128::from(nanos)).unwrap_or(u64::MAX)
}

/// The IANA keyword of a protocol, for the common ones.
pub(crate) fn protocol_name(protocol: u8) -> &'static str {
    match protocol {
        1 => "ICMP",
        2 => "IGMP",
        4 => "IPv4",
        6 => "TCP",
        8 => "EGP",
        17 => "UDP",
        33 => "DCCP",
        41 => "IPv6",
        46 => "RSVP",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "IPv6-ICMP",
        88 => "EIGRP",
        89 => "OSPFIGP",
        94 => "IPIP",
        103 => "PIM",
        112 => "VRRP",
        115 => "L2TP",
        132 => "SCTP",
        136 => "UDPLite",
        137 => "MPLS-in-IP",
        _ => "",
    }
}
