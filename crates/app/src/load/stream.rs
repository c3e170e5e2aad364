//! The generator: exporters that take turns. Pure: time comes in as an argument, datagrams come out.

use std::net::Ipv4Addr;

use flowsonde_engine::encode::Messages;
use flowsonde_wire::Nanos;

use super::flow::Flows;
use super::layout::{Dialect, LAYOUTS, Layout};
use super::{netflow5, sflow5, templated};

/// How long an exporter has been up at its first message, in nanoseconds: a day.
pub const BOOTED_BEFORE: u64 = 86_400_000_000_000;

/// A protocol to export with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// NetFlow v5.
    V5,
    /// NetFlow v9.
    V9,
    /// IPFIX.
    Ipfix,
    /// sFlow v5.
    Sflow,
}

impl Format {
    /// All, by the name users call them.
    pub const NAMES: [(&str, Format); 4] =
        [("v5", Format::V5), ("v9", Format::V9), ("ipfix", Format::Ipfix), ("sflow", Format::Sflow)];
}

/// What is generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Protocols; each exporter speaks all of them in turn.
    pub formats: Vec<Format>,
    /// Template layouts, in turn; those a protocol does not know are left out there.
    pub layouts: Vec<&'static Layout>,
    /// Exporters.
    pub exporters: u32,
    /// Addresses they have; when there are fewer than exporters, some share one and differ by observation domain.
    pub addresses: u32,
    /// Distinct flows, shared out among the exporters.
    pub flows: u32,
    /// Flows in a packet, packets of up to [`Plan::MOST_BYTES`]; else packets are filled up to [`Plan::FILL`].
    pub flows_per_packet: Option<u16>,
    /// Template ids a layout is announced under, used in turn.
    pub templates: u16,
    /// Messages from announcement to announcement; 0 for one only.
    pub template_every: u32,
    /// One packet in so many is sampled.
    pub sampling: u32,
    /// sFlow in its expanded form.
    pub expanded: bool,
    /// Decides everything that is drawn.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            formats: vec![Format::V9],
            layouts: LAYOUTS.iter().take(1).collect(),
            exporters: 1,
            addresses: 1,
            flows: 10_000,
            flows_per_packet: None,
            templates: 1,
            template_every: 1000,
            sampling: 1,
            expanded: false,
            seed: 1,
        }
    }
}

impl Plan {
    /// Bytes of a datagram that stays whole on any path.
    pub const FILL: usize = 1400;
    /// Bytes of the largest datagram made.
    pub const MOST_BYTES: usize = 65_000;

    /// The flows of exporter `number`.
    pub fn flows_of(&self, number: u32) -> Flows {
        Flows::share(self.seed, self.flows, number, self.exporters)
    }

    /// The observation domain, source id or engine of exporter `number`.
    pub fn domain_of(&self, number: u32) -> u32 {
        number / self.addresses.max(1)
    }
}

/// The address of exporter `number`, in the network of benchmarks (RFC 2544): its sFlow agent's, and its own in a
/// capture.
pub fn agent(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)).wrapping_add(number))
}

/// All exporters, taking turns.
#[derive(Debug)]
pub struct Generator {
    /// Exporter by exporter, format by format.
    streams: Vec<Stream>,
    formats: usize,
    addresses: usize,
    next: usize,
}

#[derive(Debug)]
enum Stream {
    NetFlow5(netflow5::Stream),
    Templated(templated::Stream),
    Sflow5(sflow5::Stream),
}

impl Generator {
    /// Exporters as planned.
    pub fn new(plan: &Plan) -> Generator {
        let stream = |format: &Format, number| match format {
            Format::V5 => Stream::NetFlow5(netflow5::Stream::new(plan, number)),
            Format::V9 => Stream::Templated(templated::Stream::new(plan, Dialect::V9, number)),
            Format::Ipfix => Stream::Templated(templated::Stream::new(plan, Dialect::Ipfix, number)),
            Format::Sflow => Stream::Sflow5(sflow5::Stream::new(plan, number)),
        };
        let exporters = 0..plan.exporters.max(1);
        let streams = exporters.flat_map(|number| plan.formats.iter().map(move |format| stream(format, number)));
        Generator {
            streams: streams.collect(),
            formats: plan.formats.len().max(1),
            addresses: plan.addresses.max(1) as usize,
            next: 0,
        }
    }

    /// Appends up to `datagrams` datagrams of the exporter whose turn it is, with `flows` flows at most. Tells its
    /// address's number.
    pub fn burst(&mut self, datagrams: usize, flows: u64, now: Nanos, out: &mut Messages) -> usize {
        let number = self.next;
        self.next = if number + 1 < self.streams.len() { number + 1 } else { 0 };
        let mut left = flows;
        if let Some(stream) = self.streams.get_mut(number) {
            for _ in 0..datagrams {
                if left == 0 {
                    break;
                }
                let most = u32::try_from(left).unwrap_or(u32::MAX);
                left -= u64::from(match stream {
                    Stream::NetFlow5(stream) => stream.message(most, now, out),
                    Stream::Templated(stream) => stream.message(most, now, out),
                    Stream::Sflow5(stream) => stream.message(most, now, out),
                });
            }
        }
        number / self.formats % self.addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything(plan: &Plan) -> Vec<u8> {
        let mut generator = Generator::new(plan);
        let mut out = Messages::default();
        for burst in 0..100 {
            generator.burst(3, 1000, Nanos::new(1_700_000_000 + burst, 0), &mut out);
        }
        out.bytes().to_vec()
    }

    #[test]
    fn the_seed_decides_everything() {
        let formats = Format::NAMES.map(|(_, format)| format).to_vec();
        let plan = Plan { formats, layouts: LAYOUTS.iter().collect(), exporters: 3, sampling: 4, ..Plan::default() };
        assert!(everything(&plan) == everything(&plan));
        assert!(everything(&plan) != everything(&Plan { seed: 2, ..plan }));
    }

    #[test]
    fn exporters_and_formats_take_turns_and_counts_are_kept() {
        let plan = Plan { formats: vec![Format::V5, Format::Ipfix], exporters: 4, addresses: 2, ..Plan::default() };
        let mut generator = Generator::new(&plan);
        let mut out = Messages::default();
        let mut from = Vec::new();
        for _ in 0..8 {
            from.push(generator.burst(2, 30, Nanos::new(1_700_000_000, 0), &mut out));
        }
        assert_eq!(from, [0, 0, 1, 1, 0, 0, 1, 1]);
        let versions: Vec<u8> = out.iter().map(|(message, _)| message[1]).collect();
        assert_eq!(versions, [5, 5, 10, 10].repeat(4));
        assert_eq!(out.records(), 8 * 30);
        let domain = |n: usize| out.iter().nth(n).map(|(message, _)| message[15]);
        assert_eq!((domain(2), domain(10)), (Some(0), Some(1)));
    }
}
