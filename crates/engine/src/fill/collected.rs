//! What only the exporter of a collected flow tells: of such flows these rows come before all others.

use core::net::{IpAddr, Ipv6Addr};

use flowsonde_elements::table::*;

use super::{Env, Fill, Row, forward};
use crate::decode::applications::Called;
use crate::decode::sampling::By;
use crate::meter::flow::Origin;
use crate::meter::key::End;
use crate::meter::{Group, View};
use crate::transcode::source_id;

/// What a flow is taken for: as its exporter calls it, where nDPI has something of that name, else by its ports and
/// addresses, as nothing was looked into.
fn application(v: &View<'_>, e: &Env) -> u16 {
    if let Some(number) = origin(v).called.number().filter(|&number| number != 0) {
        return number;
    }
    let (key, (first, second)) = (&v.base.key, v.base.key.ports());
    let by_port = e.by_port.as_ref().map_or(0, |known| known.application(key.protocol(), [first, second]));
    match &e.by_address {
        Some(known) if by_port == 0 && key.version() == 4 => {
            // The client first, in both records of a flow.
            let ends = [key.first().octets4(), key.second().octets4()];
            let client = v.base.state.client();
            known.application([ends[client], ends[client ^ 1]])
        }
        _ => by_port,
    }
}

/// As nDPI calls it, where that has it, else as its exporter does.
fn name<'a>(v: &View<'_>, e: &'a Env) -> &'a str {
    let called = origin(v).called;
    if called.tells() && called.number().is_none() {
        return exporters_name(v, e);
    }
    e.names.protocols.get(usize::from(application(v, e))).map_or("", String::as_str)
}

fn exporters_name<'a>(v: &View<'_>, e: &'a Env) -> &'a str {
    e.vocabulary.as_ref().map_or("", |vocabulary| vocabulary.name(origin(v).called))
}

pub(super) const ROWS: &[Row] = &[
    forward(&L7_PROTO, Group::Origin, Fill::Number(|v, e| application(v, e).into())),
    forward(&L7_PROTO_NAME, Group::Origin, Fill::Text(|v, e| name(v, e))),
    forward(&APPLICATION_NAME, Group::Origin, Fill::Text(|v, e| exporters_name(v, e))),
    forward(&INPUT_SNMP, Group::Origin, Fill::Number(|v, _| origin(v).input[v.side()].into())),
    forward(&OUTPUT_SNMP, Group::Origin, Fill::Number(|v, _| origin(v).output[v.side()].into())),
    forward(&DIRECTION, Group::Origin, Fill::Number(|v, _| (origin(v).bits >> v.side() & Origin::EGRESS).into())),
    forward(&SRC_AS, Group::Origin, Fill::Number(|v, _| origin(v).systems[v.side()].into())),
    forward(&DST_AS, Group::Origin, Fill::Number(|v, _| origin(v).systems[v.other()].into())),
    forward(&IPV4_SRC_MASK, Group::Origin, Fill::Number(|v, _| mask(v, v.side(), 4))),
    forward(&IPV4_DST_MASK, Group::Origin, Fill::Number(|v, _| mask(v, v.other(), 4))),
    forward(&IPV6_SRC_MASK, Group::Origin, Fill::Number(|v, _| mask(v, v.side(), 6))),
    forward(&IPV6_DST_MASK, Group::Origin, Fill::Number(|v, _| mask(v, v.other(), 6))),
    forward(&IPV4_NEXT_HOP, Group::Hops, Fill::Ipv4(|v, _| v4(v, next(v)))),
    forward(&IPV6_NEXT_HOP, Group::Hops, Fill::Ipv6(|v, _| v6(v, next(v)))),
    forward(&IPV4_BGP_NEXT_HOP, Group::Hops, Fill::Ipv4(|v, _| v4(v, bgp(v)))),
    forward(&BPG_IPV6_NEXT_HOP, Group::Hops, Fill::Ipv6(|v, _| v6(v, bgp(v)))),
    forward(&SRC_VLAN, Group::Base, Fill::Number(|v, _| v.base.key.vlan_of(v.side()).into())),
    forward(&DST_VLAN, Group::Base, Fill::Number(|v, _| v.base.key.vlan_of(v.other()).into())),
    forward(&DOT1Q_SRC_VLAN, Group::Base, Fill::Number(|v, _| v.base.key.vlan_of(v.side()).into())),
    forward(&DOT1Q_DST_VLAN, Group::Base, Fill::Number(|v, _| v.base.key.vlan_of(v.other()).into())),
    forward(&FORWARDING_STATUS, Group::Origin, Fill::Number(|v, _| origin(v).status.into())),
    forward(&EXPORTER_IPV4_ADDRESS, Group::Origin, Fill::Ipv4(|v, _| exporter4(v))),
    forward(&EXPORTER_IPV6_ADDRESS, Group::Origin, Fill::Ipv6(|v, _| exporter6(v))),
    forward(&iana::observationDomainId, Group::Origin, Fill::Number(|v, _| origin(v).domain.into())),
    forward(&ENGINE_TYPE, Group::Origin, Fill::Number(|v, _| engine(v) >> 8 & 0xff)),
    forward(&ENGINE_ID, Group::Origin, Fill::Number(|v, _| engine(v) & 0xff)),
    // By what the counters still have to be multiplied.
    forward(
        &SAMPLING_INTERVAL,
        Group::Origin,
        Fill::Number(|v, _| if is_plain(v) { origin(v).rate.into() } else { 1 }),
    ),
    forward(&ORIGINAL_SAMPLING_INTERVAL, Group::Origin, Fill::Number(|v, _| origin(v).rate.into())),
    forward(&iana::samplingPacketInterval, Group::Origin, Fill::Number(|v, _| origin(v).rate.into())),
    forward(&SAMPLING_SOURCE, Group::Origin, Fill::Text(|v, _| rate_by(v))),
    forward(&FLOW_SOURCE, Group::Origin, Fill::Number(|v, _| if origin(v).bits & Origin::SFLOW != 0 { 2 } else { 1 })),
    forward(&UNIQUE_SOURCE_ID, Group::Origin, Fill::Number(|v, e| source_id(e.address, exporter(v)).into())),
];

/// Of a flow made from packets, which has none: nothing is known.
static NONE: Origin = Origin {
    exporter: [0; 16],
    seen: flowsonde_wire::Nanos(0),
    input: [0; 2],
    output: [0; 2],
    systems: [0; 2],
    domain: 0,
    rate: 0,
    called: Called::NOTHING,
    masks: [0; 2],
    status: 0,
    bits: 0,
};

#[inline(always)]
fn origin<'a>(v: &View<'a>) -> &'a Origin {
    v.origin.unwrap_or(&NONE)
}

fn is_plain(v: &View<'_>) -> bool {
    origin(v).bits >> Origin::PLAIN & 1 == 1
}

fn rate_by(v: &View<'_>) -> &'static str {
    By::ALL.get(usize::from(origin(v).bits >> Origin::RATE_BY & 7)).map_or("", |by| by.name())
}

fn mask(v: &View<'_>, end: usize, version: u8) -> u64 {
    if v.base.key.version() == version { origin(v).masks[end].into() } else { 0 }
}

fn next(v: &View<'_>) -> End {
    v.hops.map_or(End::default(), |hops| hops.next[v.side()])
}

fn bgp(v: &View<'_>) -> End {
    v.hops.map_or(End::default(), |hops| hops.bgp[v.side()])
}

fn v4(v: &View<'_>, end: End) -> [u8; 4] {
    if v.base.key.version() == 4 { end.octets4() } else { [0; 4] }
}

fn v6(v: &View<'_>, end: End) -> [u8; 16] {
    if v.base.key.version() == 6 { end.octets16() } else { [0; 16] }
}

fn exporter(v: &View<'_>) -> IpAddr {
    Ipv6Addr::from(origin(v).exporter).to_canonical()
}

fn exporter4(v: &View<'_>) -> [u8; 4] {
    match exporter(v) {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => [0; 4],
    }
}

fn exporter6(v: &View<'_>) -> [u8; 16] {
    match exporter(v) {
        IpAddr::V4(_) => [0; 16],
        IpAddr::V6(address) => address.octets(),
    }
}

/// Type * 256 + id, where the exporter's format has them.
fn engine(v: &View<'_>) -> u64 {
    let origin = origin(v);
    if origin.bits & Origin::ENGINE != 0 { origin.domain.into() } else { 0 }
}
