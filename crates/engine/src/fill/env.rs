//! What a record tells about the probe itself rather than the flow.

use std::sync::Arc;

use flowsonde_elements::table::*;
use flowsonde_wire::Nanos;

use super::quality::mac;
use super::{Fill, Names, Row, forward};
use crate::decode::applications::Vocabulary;
use crate::meter::application::{ByAddress, ByPort};
use crate::meter::key::Network;
use crate::meter::{Group, View};

/// The probe, as far as records speak of it.
#[derive(Clone, Debug)]
pub struct Env {
    /// When the probe began to meter: the zero of sysUptime.
    pub boot: Nanos,
    /// Time of export: the latest packet, or the clock when live.
    pub now: Nanos,
    /// One packet in this many was metered; counters are multiplied by it.
    pub sample: u32,
    /// Interface indexes (`-u`, `-Q`, `-1`).
    pub interfaces: InterfaceIds,
    /// Own networks (`-L`).
    pub local: Vec<Network>,
    /// Tell the direction of a flow by the own networks (`-r`).
    pub local_direction: bool,
    /// Active timeout in seconds.
    pub active_seconds: u32,
    /// Idle timeout in seconds.
    pub idle_seconds: u32,
    /// Engine type and id (`-E`).
    pub engine: (u8, u8),
    /// The probe's own address.
    pub address: [u8; 4],
    /// Name of the interface or capture.
    pub interface_name: String,
    /// What applications are called.
    pub names: Arc<Names>,
    /// What collected flows are taken for.
    pub by_port: Option<Arc<ByPort>>,
    /// The same by address, where ports tell nothing.
    pub by_address: Option<Arc<ByAddress>>,
    /// What exporters call applications.
    pub vocabulary: Option<Arc<Vocabulary>>,
    /// Totals over all records so far: bytes, packets and records exported.
    pub exported: [u64; 3],
}

impl Default for Env {
    fn default() -> Self {
        Env {
            boot: Nanos(0),
            now: Nanos(0),
            sample: 1,
            interfaces: InterfaceIds::default(),
            local: Vec::new(),
            local_direction: false,
            active_seconds: 120,
            idle_seconds: 30,
            engine: (0, 0),
            address: [127, 0, 0, 1],
            interface_name: String::new(),
            names: Arc::default(),
            by_port: None,
            by_address: None,
            vocabulary: None,
            exported: [0; 3],
        }
    }
}

impl Env {
    /// A counter made up for sampling; saturates.
    #[inline]
    pub fn scaled(&self, counter: u64) -> u64 {
        counter.saturating_mul(u64::from(self.sample))
    }

    /// Milliseconds from the probe's start to `time`, as NetFlow's sysUptime counts: modulo 2^32, for a time before the
    /// start too. Both are cut to milliseconds first, so that a receiver which adds them up again finds the very
    /// millisecond.
    #[inline]
    pub fn uptime_ms(&self, time: Nanos) -> u32 {
        time.millis().wrapping_sub(self.boot.millis()) as u32
    }
}

/// How a record's interface indexes are told.
#[derive(Clone, Debug, Default)]
pub struct InterfaceIds {
    /// Ingress (`-u`); `None` is the last two bytes of the sender's MAC address.
    pub input: Option<u32>,
    /// Egress (`-Q`); `None` is the last two bytes of the receiver's MAC address.
    pub output: Option<u32>,
    /// MAC addresses and networks that have an index of their own (`-1`); the first that fits counts.
    pub rules: Vec<(InterfaceRule, u32)>,
}

/// What a `-1` entry compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceRule {
    /// The MAC address of that side.
    Mac([u8; 6]),
    /// The IP address of that side.
    Network(Network),
}

impl InterfaceIds {
    /// The state it needs.
    pub fn group(&self) -> Group {
        let by_mac = self.rules.iter().any(|(rule, _)| matches!(rule, InterfaceRule::Mac(_)));
        if by_mac || self.input.is_none() || self.output.is_none() { Group::Macs } else { Group::Base }
    }

    #[inline]
    fn of(&self, v: &View<'_>, direction: usize, fixed: Option<u32>) -> u32 {
        match fixed {
            Some(fixed) if self.rules.is_empty() => fixed,
            _ => self.search(v, direction, fixed),
        }
    }

    #[inline(never)]
    fn search(&self, v: &View<'_>, direction: usize, fixed: Option<u32>) -> u32 {
        let key = &v.base.key;
        let end = if direction == 0 { key.first() } else { key.second() };
        for (rule, id) in &self.rules {
            let fits = match rule {
                InterfaceRule::Mac(address) => mac(v, direction) == *address,
                InterfaceRule::Network(network) => network.holds(end, key.version()),
            };
            if fits {
                return *id;
            }
        }
        fixed.unwrap_or_else(|| {
            let [.., a, b] = mac(v, direction);
            u32::from(u16::from_be_bytes([a, b]))
        })
    }
}

/// True when own networks tell the direction (`-r`) and the record's source is in one of them: it goes out.
#[inline]
fn leaves(v: &View<'_>, e: &Env) -> bool {
    e.local_direction && is_local(v, e)
}

#[inline(never)]
fn is_local(v: &View<'_>, e: &Env) -> bool {
    let key = &v.base.key;
    let source = if v.side() == 0 { key.first() } else { key.second() };
    e.local.iter().any(|n| n.holds(source, key.version()))
}

/// `-u` is the interface towards elsewhere and `-Q` the one towards ours: what leaves came in by `-Q`.
fn input(v: &View<'_>, e: &Env) -> u64 {
    let ids = &e.interfaces;
    ids.of(v, v.side(), if leaves(v, e) { ids.output } else { ids.input }).into()
}

fn output(v: &View<'_>, e: &Env) -> u64 {
    let ids = &e.interfaces;
    ids.of(v, v.other(), if leaves(v, e) { ids.input } else { ids.output }).into()
}

#[inline]
fn mask(v: &View<'_>, e: &Env, direction: usize, version: u8) -> u64 {
    if e.local.is_empty() || v.base.key.version() != version { 0 } else { prefix(v, e, direction, version) }
}

#[inline(never)]
fn prefix(v: &View<'_>, e: &Env, direction: usize, version: u8) -> u64 {
    let key = &v.base.key;
    let end = if direction == 0 { key.first() } else { key.second() };
    e.local.iter().filter(|n| n.holds(end, version)).map(|n| u64::from(n.prefix())).max().unwrap_or(0)
}

pub(super) const ROWS: &[Row] = &[
    forward(&INPUT_SNMP, Group::Base, Fill::Number(input)),
    forward(&OUTPUT_SNMP, Group::Base, Fill::Number(output)),
    forward(&DIRECTION, Group::Base, Fill::Number(|v, e| leaves(v, e).into())),
    // The prefix of the own network (-L) an address lies in; 0 for others, as a probe has no routing table.
    forward(&IPV4_SRC_MASK, Group::Base, Fill::Number(|v, e| mask(v, e, v.side(), 4))),
    forward(&IPV4_DST_MASK, Group::Base, Fill::Number(|v, e| mask(v, e, v.other(), 4))),
    forward(&IPV6_SRC_MASK, Group::Base, Fill::Number(|v, e| mask(v, e, v.side(), 6))),
    forward(&IPV6_DST_MASK, Group::Base, Fill::Number(|v, e| mask(v, e, v.other(), 6))),
    // The counters are made up for sampling already: who multiplies them by this must not do it twice.
    forward(&SAMPLING_INTERVAL, Group::Base, Fill::Number(|_, _| 1)),
    // Deterministic, as the options data say: of an interval of 1 too.
    forward(&SAMPLING_ALGORITHM, Group::Base, Fill::Number(|_, _| 1)),
    forward(&FLOW_ACTIVE_TIMEOUT, Group::Base, Fill::Number(|_, e| e.active_seconds.into())),
    forward(&FLOW_INACTIVE_TIMEOUT, Group::Base, Fill::Number(|_, e| e.idle_seconds.into())),
    forward(&ENGINE_TYPE, Group::Base, Fill::Number(|_, e| e.engine.0.into())),
    forward(&ENGINE_ID, Group::Base, Fill::Number(|_, e| e.engine.1.into())),
    forward(&TOTAL_BYTES_EXP, Group::Base, Fill::Number(|_, e| e.exported[0])),
    forward(&TOTAL_PKTS_EXP, Group::Base, Fill::Number(|_, e| e.exported[1])),
    forward(&TOTAL_FLOWS_EXP, Group::Base, Fill::Number(|_, e| e.exported[2])),
    forward(&FLOW_EXPORT_TIME, Group::Base, Fill::Number(|_, e| e.now.seconds())),
    forward(&FLOW_SOURCE, Group::Base, Fill::Number(|_, _| 0)),
    forward(&EXPORTER_IPV4_ADDRESS, Group::Base, Fill::Ipv4(|_, e| e.address)),
    forward(&NPROBE_IPV4_ADDRESS, Group::Base, Fill::Ipv4(|_, e| e.address)),
    forward(&INTERFACE_NAME, Group::Base, Fill::Text(|_, e| &e.interface_name)),
];
