//! NetFlow version 5. The layout of messages is [`flowsonde_wire::export::netflow5`]'s.
//!
//! - One record a direction that has packets, with that direction's times.
//! - Numbers that do not fit become the largest that does: packets, bytes, interface indexes above 65534. AS numbers of
//!   four bytes become AS_TRANS, 23456 (RFC 6793).
//! - The sequence number counts flow records. The sampling interval has mode 1 (one in N) where N is above 1.
//! - An IPv6 flow cannot be told.

use flowsonde_elements::{Element, table};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::netflow5::{HEADER, Header, MAX_RECORDS, RECORD, Record, Sampling};

use super::session::destination_port;
use super::{Counters, Encode, Error, Format, Messages, Options};
use crate::fill::{self, Env, Fill};
use crate::meter::View;

type Number = fn(&View<'_>, &Env) -> u64;
type Address = fn(&View<'_>, &Env) -> [u8; 4];

/// Writes flows as NetFlow v5.
#[derive(Debug)]
pub struct NetFlow5 {
    numbers: Numbers,
    filling: Filling,
    counters: Counters,
}

/// The message under way.
#[derive(Debug)]
pub(crate) struct Filling {
    /// Its bytes, the header's room included.
    bytes: Vec<u8>,
    records: u32,
    since: Nanos,
    /// Records with which a message is sent.
    full: u32,
    /// Nanoseconds after which a message is sent.
    wait: u64,
    sequence: u32,
    engine: (u8, u8),
    sampling: Sampling,
}

/// How the parts of a record are read that enrichment may fill.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    source: Address,
    destination: Address,
    next_hop: Address,
    input: Number,
    output: Number,
    packets: Number,
    octets: Number,
    source_port: Number,
    tcp_flags: Number,
    tos: Number,
    source_as: Number,
    destination_as: Number,
    source_mask: Number,
    destination_mask: Number,
}

/// An encoder of NetFlow v5.
pub fn netflow5(options: &Options) -> Result<NetFlow5, Error> {
    Ok(NetFlow5 {
        numbers: Numbers {
            source: address(&table::IPV4_SRC_ADDR, options),
            destination: address(&table::IPV4_DST_ADDR, options),
            next_hop: address(&table::IPV4_NEXT_HOP, options),
            input: number(&table::INPUT_SNMP, options),
            output: number(&table::OUTPUT_SNMP, options),
            packets: number(&table::IN_PKTS, options),
            octets: number(&table::IN_BYTES, options),
            source_port: number(&table::L4_SRC_PORT, options),
            tcp_flags: number(&table::TCP_FLAGS, options),
            tos: number(&table::SRC_TOS, options),
            source_as: number(&table::SRC_AS, options),
            destination_as: number(&table::DST_AS, options),
            source_mask: number(&table::IPV4_SRC_MASK, options),
            destination_mask: number(&table::IPV4_DST_MASK, options),
        },
        filling: Filling::new(options)?,
        counters: Counters::default(),
    })
}

fn number(element: &Element, options: &Options) -> Number {
    match options.row(element).map(|row| row.fill) {
        Some(Fill::Number(read)) => read,
        _ => |_, _| 0,
    }
}

fn address(element: &Element, options: &Options) -> Address {
    match options.row(element).map(|row| row.fill) {
        Some(Fill::Ipv4(read)) => read,
        _ => |_, _| [0; 4],
    }
}

impl NetFlow5 {
    fn record(&mut self, v: &View<'_>, env: &Env, out: &mut Messages) {
        self.filling.begin(env.now).extend_from_slice(&self.numbers.record(v, env).to_bytes());
        self.counters.records += 1;
        self.filling.end(env, out);
    }
}

impl Filling {
    /// An empty message, or what is wrong with the settings.
    pub fn new(options: &Options) -> Result<Filling, Error> {
        let room = options.max_message.saturating_sub(HEADER) / RECORD;
        if room == 0 {
            return Err(Error::TooLong { needed: HEADER + RECORD, limit: options.max_message });
        }
        let least = if options.min_flows == 0 { u32::MAX } else { options.min_flows };
        let interval = u16::try_from(options.announced_sampling).unwrap_or(u16::MAX).min(Sampling::MAX_INTERVAL);
        Ok(Filling {
            bytes: vec![0; HEADER],
            records: 0,
            since: Nanos(0),
            full: least.min(MAX_RECORDS.into()).min(room as u32),
            wait: u64::from(options.queue_seconds) * 1_000_000_000,
            sequence: 0,
            engine: options.engine,
            sampling: if interval > 1 { Sampling { mode: 1, interval } } else { Sampling::default() },
        })
    }

    /// Where the next record is appended. [`Filling::end`] has to follow.
    #[inline]
    pub fn begin(&mut self, now: Nanos) -> &mut Vec<u8> {
        if self.records == 0 {
            self.since = now;
        }
        &mut self.bytes
    }

    /// A record was appended. A full message is sent.
    #[inline]
    pub fn end(&mut self, env: &Env, out: &mut Messages) {
        self.records += 1;
        if self.records >= self.full {
            self.send(env, out);
        }
    }

    /// Sends what waited too long.
    pub fn tick(&mut self, env: &Env, out: &mut Messages) {
        if self.records > 0 && env.now.since(self.since) >= self.wait {
            self.send(env, out);
        }
    }

    /// Sends what has begun.
    pub fn flush(&mut self, env: &Env, out: &mut Messages) {
        if self.records > 0 {
            self.send(env, out);
        }
    }

    /// Records in it.
    pub fn pending(&self) -> u64 {
        self.records.into()
    }

    fn send(&mut self, env: &Env, out: &mut Messages) {
        let records = core::mem::take(&mut self.records);
        let header = Header {
            count: records as u16,
            uptime_ms: env.uptime_ms(env.now),
            seconds: env.now.seconds() as u32,
            nanos: (env.now.0 % 1_000_000_000) as u32,
            sequence: self.sequence,
            engine_type: self.engine.0,
            engine_id: self.engine.1,
            sampling: self.sampling,
        };
        if let Some(place) = self.bytes.first_chunk_mut() {
            *place = header.to_bytes();
        }
        self.sequence = self.sequence.wrapping_add(records);
        out.buffer().extend_from_slice(&self.bytes);
        out.finish(records);
        self.bytes.truncate(HEADER);
    }
}

impl Numbers {
    #[inline]
    fn record(&self, v: &View<'_>, env: &Env) -> Record {
        let narrow8 = |read: Number| u8::try_from(read(v, env)).unwrap_or(u8::MAX);
        let narrow16 = |read: Number| u16::try_from(read(v, env)).unwrap_or(u16::MAX);
        let narrow32 = |read: Number| u32::try_from(read(v, env)).unwrap_or(u32::MAX);
        let autonomous = |read: Number| u16::try_from(read(v, env)).unwrap_or(AS_TRANS);
        Record {
            source: (self.source)(v, env),
            destination: (self.destination)(v, env),
            next_hop: (self.next_hop)(v, env),
            input: narrow16(self.input),
            output: narrow16(self.output),
            packets: narrow32(self.packets),
            octets: narrow32(self.octets),
            first_ms: env.uptime_ms(fill::first(v)),
            last_ms: env.uptime_ms(fill::last(v)),
            source_port: narrow16(self.source_port),
            destination_port: destination_port(v),
            tcp_flags: narrow8(self.tcp_flags),
            protocol: v.base.key.protocol(),
            tos: narrow8(self.tos),
            source_as: autonomous(self.source_as),
            destination_as: autonomous(self.destination_as),
            source_mask: narrow8(self.source_mask),
            destination_mask: narrow8(self.destination_mask),
        }
    }
}

/// Stands for AS numbers that need four bytes (RFC 6793, section 9).
pub(crate) const AS_TRANS: u16 = 23456;

impl Encode for NetFlow5 {
    fn encode(&mut self, flow: &View<'_>, env: &Env, out: &mut Messages) {
        self.counters.flows += 1;
        if flow.base.key.version() != 4 {
            self.counters.v5_ipv6 += 1;
            return;
        }
        self.counters.encoded += 1;
        flow.each_half(|half| self.record(half, env, out));
    }

    fn tick(&mut self, env: &Env, out: &mut Messages) {
        self.filling.tick(env, out);
    }

    fn flush(&mut self, env: &Env, out: &mut Messages) {
        self.filling.flush(env, out);
    }

    fn restart(&mut self) {
        self.filling.sequence = 0;
    }

    fn counters(&self) -> Counters {
        Counters { pending: self.filling.pending(), ..self.counters }
    }
}

/// NetFlow version 5.
pub const SPEC: Format = Format {
    name: "netflow5",
    help: "NetFlow version 5: IPv4 only, a fixed record a direction",
    start: |options| Ok(Box::new(netflow5(options)?)),
};
