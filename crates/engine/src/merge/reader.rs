//! How a collected record is read for the cache: a layout compiled into loads, one for everything a flow keeps.
//!
//! Which field tells what is decided as for every other output (`transcode/plan.rs`), so that a merged flow holds the sums of
//! what its records would have told.

use core::net::IpAddr;

use flowsonde_elements::table::*;
use flowsonde_wire::Nanos;
use flowsonde_wire::transport::icmp::request_of;

use super::events::Event;
use super::load::Load;
use super::paths::{Path, Paths};
use crate::decode::applications::{Called, Table};
use crate::decode::layout::{At, Field, Layout, Record, Spans};
use crate::decode::packet::protocol;
use crate::decode::records::{About, Version};
use crate::decode::sampling::Told;
use crate::meter::collected::Collected;
use crate::meter::flow::Origin;
use crate::meter::key::{End, Ends, KeyParts, Marks};
use crate::meter::{Group, Groups};
use crate::transcode::{Take, ntp, take};

/// A layout, compiled.
#[derive(Debug)]
pub struct Reader {
    source: Address,
    destination: Address,
    family: Family,
    ports: [Load; 2],
    protocol: Load,
    icmp: Icmp,
    tos: [Load; 2],
    tcp_flags: [Load; 2],
    vlans: [Load; 2],
    packets: [Counter; 2],
    bytes: [Counter; 2],
    first: Moment,
    last: Moment,
    interfaces: [Load; 2],
    systems: [Load; 2],
    /// Of IPv4 and of IPv6.
    masks: [[Load; 2]; 2],
    status: Load,
    /// The exporter's number of the application (95).
    application: Option<Field>,
    egress: Load,
    /// The exporter, where records tell it themselves.
    exporter: Option<Address>,
    hops: Option<[Address; 2]>,
    macs: Option<[Load; 2]>,
    /// Where records may be events without traffic.
    pub event: Option<Event>,
}

/// An address of either family.
#[derive(Clone, Copy, Debug)]
struct Address {
    v4: Load,
    v6: [Load; 2],
}

/// How the IP version of a record is told.
#[derive(Clone, Copy, Debug)]
enum Family {
    /// All are of this one.
    Always(u8),
    /// By a field.
    Told(Load),
    /// It is the family whose addresses are not zero.
    Filled,
}

#[derive(Clone, Copy, Debug)]
enum Icmp {
    /// type * 256 + code.
    Both(Load),
    Apart(Load, Load),
    /// As NetFlow v5 has it: in the destination port.
    Port,
}

#[derive(Clone, Copy, Debug)]
struct Counter {
    load: Load,
    scaled: bool,
}

#[derive(Clone, Copy, Debug)]
enum Moment {
    Uptime(Load),
    Seconds(Load),
    Millis(Load),
    Ntp(Load, u64),
    Before(Load),
    Export,
}

/// What a record depends on besides its bytes.
pub struct Context<'a> {
    /// Its message.
    pub about: &'a About,
    /// How its packets were sampled.
    pub sampling: Told,
    /// What tells flows apart.
    pub parts: &'a KeyParts,
    /// The port of an exporter tells it from others.
    pub by_port: bool,
    /// What the exporter calls applications.
    pub applications: &'a Table,
}

impl Reader {
    /// Compiles a layout for a cache that keeps `groups`.
    pub fn new(layout: &Layout, groups: Groups) -> Reader {
        let load = |element| Load::of(layout, element);
        let counter = |element| {
            let take = take(layout, element);
            Counter { load: Load::taking(layout, take), scaled: matches!(take, Take::Scaled(..)) }
        };
        let address = |v4, v6| Address::of(layout, v4, v6);
        let (source, destination) = (address(&IPV4_SRC_ADDR, &IPV6_SRC_ADDR), address(&IPV4_DST_ADDR, &IPV6_DST_ADDR));
        let server_flags = load(&SERVER_TCP_FLAGS);
        let own_flags = if server_flags.is_there() && layout.find_of(flowsonde_elements::NTOP_PEN, 78).is_some() {
            load(&CLIENT_TCP_FLAGS)
        } else {
            load(&TCP_FLAGS)
        };
        let exporter = address(&EXPORTER_IPV4_ADDRESS, &EXPORTER_IPV6_ADDRESS);
        let macs = [&[56u16, 81][..], &[80, 57]].map(|ids| {
            let field = ids.iter().find_map(|&id| layout.find(id)).filter(|field| field.length == 6);
            field.map_or(Load::NOTHING, |field| Load::at(layout, field.at, 6))
        });
        Reader {
            family: Family::of(layout, &source, &destination),
            source,
            destination,
            ports: [load(&L4_SRC_PORT), load(&L4_DST_PORT)],
            protocol: load(&PROTOCOL),
            icmp: Icmp::of(layout),
            tos: [load(&SRC_TOS), load(&DST_TOS)],
            tcp_flags: [own_flags, server_flags],
            vlans: [load(&SRC_VLAN), load(&DST_VLAN)],
            packets: [counter(&IN_PKTS), counter(&OUT_PKTS)],
            bytes: [counter(&IN_BYTES), counter(&OUT_BYTES)],
            first: Moment::of(layout, take(layout, &FIRST_SWITCHED)),
            last: Moment::of(layout, take(layout, &LAST_SWITCHED)),
            interfaces: [load(&INPUT_SNMP), load(&OUTPUT_SNMP)],
            systems: [load(&SRC_AS), load(&DST_AS)],
            masks: [[load(&IPV4_SRC_MASK), load(&IPV4_DST_MASK)], [load(&IPV6_SRC_MASK), load(&IPV6_DST_MASK)]],
            status: load(&FORWARDING_STATUS),
            application: layout.find(95).copied(),
            egress: load(&DIRECTION),
            exporter: exporter.is_there().then_some(exporter),
            hops: groups
                .has(Group::Hops)
                .then(|| [address(&IPV4_NEXT_HOP, &IPV6_NEXT_HOP), address(&IPV4_BGP_NEXT_HOP, &BPG_IPV6_NEXT_HOP)]),
            event: Event::of(layout),
            macs: (groups.has(Group::Macs) && macs.iter().any(Load::is_there)).then_some(macs),
        }
    }

    /// Reads a record.
    #[inline]
    pub fn read(&self, record: &Record<'_>, spans: &Spans, context: &Context<'_>, paths: &mut Paths) -> Collected {
        let read = |load: &Load| load.read(record, spans);
        let two = |loads: &[Load; 2]| [loads[0].read(record, spans), loads[1].read(record, spans)];
        let version = self.version(record, spans);
        let protocol = byte(read(&self.protocol));
        let [source_port, destination_port] = two(&self.ports).map(short);
        let interfaces = two(&self.interfaces).map(narrow);
        let tos = two(&self.tos).map(byte);
        let exporter = match &self.exporter {
            None => mapped(context.about.exporter),
            Some(told) => told.exporter(record, spans).unwrap_or_else(|| mapped(context.about.exporter)),
        };
        // As packets have it: type and code of the request in both ports.
        let (icmp, src_port, dst_port) = if matches!(protocol, protocol::ICMP | protocol::ICMPV6) {
            let icmp = self.icmp(record, spans, destination_port);
            let [kind, code] = icmp.to_be_bytes();
            let both = u16::from_be_bytes([request_of(version, kind), code]);
            (icmp, both, both)
        } else {
            (0, source_port, destination_port)
        };
        let tells_exporters = context.parts.tells_exporters();
        let [input, output] = interfaces;
        let path = if tells_exporters {
            paths.number(&Path {
                exporter,
                port: if context.by_port { context.about.port } else { 0 },
                transport: context.about.transport,
                interfaces: [input.min(output), input.max(output)],
            })
        } else {
            0
        };
        let (src, dst) = (self.source.end(version, record, spans), self.destination.end(version, record, spans));
        let [from, to] = two(&self.vlans).map(short);
        let marks = Marks { protocol, version, tos: tos[0], vlans: [from, if to == 0 { from } else { to }], path };
        let (key, direction) = context.parts.key_of_record(Ends { src, dst, src_port, dst_port }, &marks);
        let counted = |counter: &Counter| {
            let n = counter.load.read(record, spans);
            if counter.scaled { n.saturating_mul(context.sampling.scale.into()) } else { n }
        };
        let (first, last) = self.times(record, spans, context.about);
        let about = context.about;
        let mut bits = if read(&self.egress) == 1 { Origin::EGRESS } else { 0 };
        match about.version {
            Version::Sflow5 => bits |= Origin::SFLOW,
            Version::V9 | Version::V5 | Version::V7 => bits |= Origin::ENGINE,
            _ => {}
        }
        bits |= (context.sampling.by as u8) << Origin::RATE_BY | u8::from(context.sampling.scale == 1) << Origin::PLAIN;
        let masks = if version == 6 { &self.masks[1] } else { &self.masks[0] };
        Collected {
            key,
            direction,
            first,
            last,
            seen: Nanos(about.arrival.0.saturating_sub(about.export.since(last))),
            packets: [counted(&self.packets[0]), counted(&self.packets[1])],
            bytes: [counted(&self.bytes[0]), counted(&self.bytes[1])],
            icmp,
            tcp_flags: two(&self.tcp_flags).map(byte),
            tos,
            exporter: if tells_exporters { exporter } else { [0; 16] },
            domain: about.domain,
            interfaces: if tells_exporters { interfaces } else { [0; 2] },
            systems: two(&self.systems).map(narrow),
            masks: two(masks).map(byte),
            called: self
                .application
                .as_ref()
                .map_or(Called::NOTHING, |field| context.applications.find(record.value(field, spans))),
            status: byte(read(&self.status)),
            bits,
            rate: context.sampling.rate,
            hops: self.hops.map_or([End::default(); 2], |hops| hops.map(|hop| hop.end(version, record, spans))),
            macs: self.macs.as_ref().map_or([[0; 6]; 2], |macs| {
                two(macs).map(|mac| {
                    let [_, _, mac @ ..] = mac.to_be_bytes();
                    mac
                })
            }),
        }
    }

    #[inline(always)]
    fn version(&self, record: &Record<'_>, spans: &Spans) -> u8 {
        let filled = || {
            let four = self.source.v4.read(record, spans) | self.destination.v4.read(record, spans);
            let six =
                [&self.source, &self.destination].map(|a| a.v6[0].read(record, spans) | a.v6[1].read(record, spans));
            if four == 0 && six != [0, 0] { 6 } else { 4 }
        };
        match &self.family {
            Family::Always(version) => *version,
            Family::Told(load) => match load.read(record, spans) {
                4 => 4,
                6 => 6,
                _ => filled(),
            },
            Family::Filled => filled(),
        }
    }

    #[inline(always)]
    fn icmp(&self, record: &Record<'_>, spans: &Spans, port: u16) -> u16 {
        match &self.icmp {
            Icmp::Both(load) => short(load.read(record, spans)),
            Icmp::Apart(kind, code) => short(kind.read(record, spans) << 8 | code.read(record, spans)),
            Icmp::Port => port,
        }
    }

    /// First and last packet. One that has no time has that of the other, else of the export.
    #[inline(always)]
    fn times(&self, record: &Record<'_>, spans: &Spans, about: &About) -> (Nanos, Nanos) {
        let mut last = self.last.read(record, spans, about);
        if last.0 == 0 {
            last = about.export;
        }
        let first = self.first.read(record, spans, about);
        (if first.0 == 0 { last } else { first.min(last) }, last)
    }
}

impl Address {
    fn of(
        layout: &Layout,
        v4: &'static flowsonde_elements::Element,
        v6: &'static flowsonde_elements::Element,
    ) -> Address {
        let v6 = match take(layout, v6) {
            Take::Ipv6(at) => {
                let low = At { offset: at.offset.saturating_add(8), ..at };
                [at, low].map(|at| Load::at(layout, at, 8))
            }
            _ => [Load::NOTHING; 2],
        };
        Address { v4: Load::of(layout, v4), v6 }
    }

    fn is_there(&self) -> bool {
        self.v4.is_there() || self.v6[0].is_there()
    }

    #[inline(always)]
    fn end(&self, version: u8, record: &Record<'_>, spans: &Spans) -> End {
        if version == 4 {
            End::v4((self.v4.read(record, spans) as u32).to_be_bytes())
        } else {
            let [high, low] = &self.v6;
            End::of_words(high.read(record, spans), low.read(record, spans))
        }
    }

    /// As the address of an exporter, where it is one.
    fn exporter(&self, record: &Record<'_>, spans: &Spans) -> Option<[u8; 16]> {
        let v4 = self.v4.read(record, spans) as u32;
        if v4 != 0 {
            return Some(mapped(IpAddr::from(v4.to_be_bytes())));
        }
        let v6 = self.end(6, record, spans);
        (v6 != End::default()).then(|| v6.octets16())
    }
}

impl Family {
    fn of(layout: &Layout, source: &Address, destination: &Address) -> Family {
        let any = |there: fn(&Address) -> bool| there(source) || there(destination);
        match (any(|a| a.v4.is_there()), any(|a| a.v6[0].is_there())) {
            (true, true) => match layout.find(60) {
                Some(field) if field.length == 1 => Family::Told(Load::at(layout, field.at, 1)),
                _ => Family::Filled,
            },
            (false, true) => Family::Always(6),
            _ => Family::Always(4),
        }
    }
}

impl Icmp {
    fn of(layout: &Layout) -> Icmp {
        match take(layout, &ICMP_TYPE) {
            Take::Icmp(kind, code) => Icmp::Apart(Load::at(layout, kind, 1), Load::at(layout, code, 1)),
            take => match Load::taking(layout, take) {
                Load::Constant(_) => Icmp::Port,
                load => Icmp::Both(load),
            },
        }
    }
}

impl Moment {
    fn of(layout: &Layout, take: Take) -> Moment {
        let load = Load::taking(layout, take);
        match take {
            Take::Uptime(_) => Moment::Uptime(load),
            Take::Seconds(..) => Moment::Seconds(load),
            Take::Millis(..) => Moment::Millis(load),
            Take::Ntp(_) => Moment::Ntp(load, u64::MAX),
            // The last 11 bits mean nothing (RFC 7011, section 6.1.9).
            Take::NtpMicros(_) => Moment::Ntp(load, !0x7ff),
            Take::Before(..) => Moment::Before(load),
            _ => Moment::Export,
        }
    }

    #[inline(always)]
    fn read(&self, record: &Record<'_>, spans: &Spans, about: &About) -> Nanos {
        match self {
            Moment::Uptime(load) => about.uptime(load.read(record, spans) as u32),
            Moment::Seconds(load) => told(about, Nanos::new(load.read(record, spans), 0)),
            Moment::Millis(load) => told(about, Nanos(load.read(record, spans).saturating_mul(1_000_000))),
            Moment::Ntp(load, mask) => told(about, ntp(load.read(record, spans) & mask)),
            Moment::Before(load) => Nanos(about.export.0.saturating_sub(load.read(record, spans).saturating_mul(1000))),
            Moment::Export => about.export,
        }
    }
}

/// A time of day as it is told; 0 is none.
#[inline(always)]
fn told(about: &About, time: Nanos) -> Nanos {
    if time.0 == 0 { time } else { about.moment(time) }
}

/// The last byte: a field may be sent wider than what it holds.
#[inline(always)]
fn byte(n: u64) -> u8 {
    let [.., last] = n.to_be_bytes();
    last
}

/// The last two.
#[inline(always)]
fn short(n: u64) -> u16 {
    let [.., high, low] = n.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// A number in 32 bits, the largest where it does not fit.
#[inline(always)]
fn narrow(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// An address as IPv6 (RFC 4291, section 2.5.5.2).
#[inline]
fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
