//! An exporter's sFlow version 5 (sflow.org, "sFlow Version 5", 2004), in XDR: big-endian words of four bytes.
//!
//! ```text
//! datagram         version = 5 | address type, address | sub-agent | sequence | uptime ms | samples
//! sample           enterprise (20 bits), format (12 bits) | length | body
//!   flow (1)       sequence | source type (8), index (24) | rate | pool | drops | input | output | records
//!   expanded (3)   sequence | source type | index | rate | pool | drops | input format, value | output the same | records
//!   counter (2)    sequence | source type (8), index (24) | records
//!   expanded (4)   sequence | source type | index | records
//! record           enterprise (20), format (12) | length | body
//!   raw (1)        protocol = 1, Ethernet | frame length | stripped | header length | header, padded
//!   switch (1001)  VLAN and priority in | the same out
//!   router (1002)  next hop type, address | source mask | destination mask
//!   interface (1)  counters of an interface, 88 bytes                                      in counter samples
//! ```
//!
//! Datagrams are counted per agent and sub-agent, flow samples and counter samples each per source: the interface a
//! packet came in by. Of a packet 128 bytes are sent, its check sequence is stripped.

use flowsonde_engine::encode::Messages;
use flowsonde_wire::Nanos;

use super::flow::{Flow, Flows};
use super::frame;
use super::layout::Moment;
use super::stream::{BOOTED_BEFORE, Plan};

/// Bytes sampled of a packet.
const SAMPLED: usize = 128;
const FLOW_SAMPLE: u32 = 1;
const COUNTER_SAMPLE: u32 = 2;
const EXPANDED_FLOW_SAMPLE: u32 = 3;
const EXPANDED_COUNTER_SAMPLE: u32 = 4;
const ETHERNET: u32 = 1;
const CHECK_SEQUENCE: u32 = 4;
/// Sources: the interfaces [`Flow::input`] tells, 1 to 4.
const SOURCES: usize = 4;
/// One datagram of so many carries counters, of one source after the other.
const COUNTERS_EVERY: u32 = 50;

/// Datagrams of one agent.
#[derive(Debug)]
pub struct Stream {
    flows: Flows,
    agent: [u8; 4],
    sub_agent: u32,
    rate: u32,
    expanded: bool,
    flows_per_packet: Option<u16>,
    boot: Option<Nanos>,
    sequence: u32,
    sources: [Source; SOURCES],
}

/// What is counted per source.
#[derive(Clone, Copy, Debug, Default)]
struct Source {
    samples: u32,
    counters: u32,
    pool: u32,
    packets: u32,
    octets: u64,
}

impl Stream {
    /// The stream of exporter `number`.
    pub fn new(plan: &Plan, number: u32) -> Stream {
        Stream {
            flows: plan.flows_of(number),
            agent: super::stream::agent(number).octets(),
            sub_agent: 0,
            rate: plan.sampling,
            expanded: plan.expanded,
            flows_per_packet: plan.flows_per_packet,
            boot: None,
            sequence: 0,
            sources: [Source::default(); SOURCES],
        }
    }

    /// Appends a datagram of at most `most` flow samples; tells how many it holds.
    pub fn message(&mut self, most: u32, now: Nanos, out: &mut Messages) -> u32 {
        let boot = *self.boot.get_or_insert(Nanos(now.0.saturating_sub(BOOTED_BEFORE)));
        let uptime = Moment { now, boot }.uptime(now);
        let (flow, counter) = (sample_length(self.expanded), counter_length(self.expanded));
        let counters = self.sequence.is_multiple_of(COUNTERS_EVERY);
        let used = 28 + if counters { counter } else { 0 };
        let fit = |bytes: usize| u32::try_from((bytes - used) / flow).unwrap_or(0);
        let capacity = match self.flows_per_packet {
            Some(flows) => u32::from(flows).min(fit(Plan::MOST_BYTES)),
            None => fit(Plan::FILL),
        };
        let count = most.min(capacity);
        let buffer = out.buffer();
        words(buffer, &[5, 1]);
        buffer.extend_from_slice(&self.agent);
        words(buffer, &[self.sub_agent, self.sequence, uptime, count + u32::from(counters)]);
        if counters {
            self.counters((self.sequence / COUNTERS_EVERY) as usize % SOURCES, buffer);
        }
        for _ in 0..count {
            if let Some(flow) = self.flows.next() {
                self.sample(&flow, buffer);
            }
        }
        self.sequence = self.sequence.wrapping_add(1);
        out.finish(count);
        count
    }

    fn sample(&mut self, flow: &Flow, out: &mut Vec<u8>) {
        // From 128 bytes on, so that all samples have as many.
        let wire = 128 + (flow.draw >> 20) as u16 % (1514 - 128 + 1);
        let Some(source) = self.sources.get_mut(flow.input as usize - 1) else { return };
        source.samples = source.samples.wrapping_add(1);
        source.pool = source.pool.wrapping_add(self.rate);
        source.packets = source.packets.wrapping_add(self.rate);
        source.octets = source.octets.wrapping_add(u64::from(wire) * u64::from(self.rate));
        let length = sample_length(self.expanded) as u32 - 8;
        let (samples, pool) = (source.samples, source.pool);
        if self.expanded {
            words(out, &[EXPANDED_FLOW_SAMPLE, length, samples, 0, flow.input, self.rate, pool, 0]);
            words(out, &[0, flow.input, 0, flow.output, 3]);
        } else {
            words(out, &[FLOW_SAMPLE, length, samples, flow.input, self.rate, pool, 0, flow.input, flow.output, 3]);
        }
        let header = SAMPLED as u32;
        words(out, &[1, 16 + header, ETHERNET, u32::from(wire) + CHECK_SEQUENCE, CHECK_SEQUENCE, header]);
        out.extend_from_slice(&frame::sampled::<SAMPLED>(flow, wire));
        let vlan = u32::from(flow.vlan);
        words(out, &[1001, 16, vlan, 0, vlan, 0]);
        words(out, &[1002, 16, 1]);
        out.extend_from_slice(&flow.next_hop);
        words(out, &[u32::from(Flow::SOURCE_MASK), u32::from(Flow::DESTINATION_MASK)]);
    }

    fn counters(&mut self, number: usize, out: &mut Vec<u8>) {
        let Some(source) = self.sources.get_mut(number) else { return };
        source.counters = source.counters.wrapping_add(1);
        let index = number as u32 + 1;
        let length = counter_length(self.expanded) as u32 - 8;
        if self.expanded {
            words(out, &[EXPANDED_COUNTER_SAMPLE, length, source.counters, 0, index, 1]);
        } else {
            words(out, &[COUNTER_SAMPLE, length, source.counters, index, 1]);
        }
        // ethernetCsmacd, 10 Gbit/s, full duplex, up and meant to be.
        words(out, &[1, 88, index, 6]);
        out.extend_from_slice(&10_000_000_000_u64.to_be_bytes());
        words(out, &[1, 3]);
        out.extend_from_slice(&source.octets.to_be_bytes());
        words(out, &[source.packets, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&(source.octets / 2).to_be_bytes());
        words(out, &[source.packets / 2, 0, 0, 0, 0, 0]);
    }
}

/// Length of a flow sample, its format and length included.
const fn sample_length(expanded: bool) -> usize {
    let head = if expanded { 11 } else { 8 } * 4;
    let raw = 8 + 16 + SAMPLED;
    let (switch, router) = (8 + 16, 8 + 16);
    8 + head + raw + switch + router
}

/// Length of a counter sample.
const fn counter_length(expanded: bool) -> usize {
    8 + if expanded { 4 } else { 3 } * 4 + 8 + 88
}

#[inline]
fn words(out: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_wire::Cursor;
    use std::collections::HashMap;

    /// Format and body of each sample or record.
    fn parts<'a>(c: &mut Cursor<'a>, count: u32) -> Vec<(u32, Cursor<'a>)> {
        let part = |c: &mut Cursor<'a>| {
            let (format, length) = (c.u32("format").unwrap(), c.u32("length").unwrap());
            assert!(length.is_multiple_of(4));
            (format, Cursor::new(c.take(length as usize, "part").unwrap()))
        };
        (0..count).map(|_| part(c)).collect()
    }

    fn numbers<const N: usize>(c: &mut Cursor<'_>) -> [u32; N] {
        core::array::from_fn(|_| c.u32("number").unwrap())
    }

    #[test]
    fn every_length_and_sequence_is_right() {
        for expanded in [false, true] {
            let plan = Plan { sampling: 512, expanded, ..Plan::default() };
            let mut stream = Stream::new(&plan, 2);
            let mut out = Messages::default();
            let mut sent = 0;
            for _ in 0..210 {
                sent += stream.message(u32::MAX, Nanos::new(1_700_000_000, 0), &mut out);
            }
            let (mut samples, mut pools, mut counters) = (HashMap::new(), HashMap::new(), HashMap::new());
            for (number, (message, records)) in out.iter().enumerate() {
                assert!(message.len() <= Plan::FILL && records >= 4);
                let mut c = Cursor::new(message);
                let [version, kind, agent, sub_agent, sequence, uptime, count] = numbers(&mut c);
                assert_eq!((version, kind, agent, sub_agent), (5, 1, 0xc612_0003, 0));
                assert_eq!((sequence as usize, uptime), (number, 86_400_000));
                for (format, mut sample) in parts(&mut c, count) {
                    let [own] = numbers(&mut sample);
                    let [source] = if expanded {
                        numbers::<2>(&mut sample)[1..].try_into().unwrap()
                    } else {
                        numbers(&mut sample)
                    };
                    let records = if format == COUNTER_SAMPLE || format == EXPANDED_COUNTER_SAMPLE {
                        let known = counters.entry(source).or_insert(0);
                        *known += 1;
                        assert_eq!(own, *known);
                        numbers::<1>(&mut sample)[0]
                    } else {
                        let known = samples.entry(source).or_insert(0);
                        *known += 1;
                        let [rate, pool, drops] = numbers(&mut sample);
                        assert_eq!((own, rate, drops), (*known, 512, 0));
                        assert_eq!(pool, *pools.entry(source).and_modify(|p| *p += 512).or_insert(512));
                        let skip = if expanded { 16 } else { 8 };
                        sample.skip(skip, "interfaces").unwrap();
                        numbers::<1>(&mut sample)[0]
                    };
                    let found: Vec<u32> = parts(&mut sample, records).iter().map(|part| part.0).collect();
                    let counted = format == COUNTER_SAMPLE || format == EXPANDED_COUNTER_SAMPLE;
                    assert_eq!(found, if counted { vec![1] } else { vec![1, 1001, 1002] });
                    assert_eq!(format > 2, expanded);
                    assert!(sample.is_empty());
                }
                assert!(c.is_empty());
            }
            assert_eq!(samples.values().sum::<u32>(), sent);
            assert_eq!((samples.len(), counters.len(), counters[&1]), (SOURCES, SOURCES, 2));
        }
    }
}
