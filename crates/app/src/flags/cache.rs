//! How packets become flows, and when flows end.

use super::value::number::number;
use super::value::{Aggregation, Bytes, Sampling, Seconds, one_of};
use super::{Flag, Group, Offer, Value};
use crate::stop::Stop;

/// What was asked for about flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// A flow older than this is exported and starts over.
    pub active_timeout: Seconds,
    /// A flow without a packet for this long is over.
    pub idle_timeout: Seconds,
    /// A flow that is over waits at most this long for others to share its export packet.
    pub queue_timeout: Seconds,
    /// A closed TCP connection is kept this long for stragglers; see [`Cache::tcp_linger`].
    pub tcp_linger: Option<Seconds>,
    /// Buckets of the flow table to begin with.
    pub hash_size: u32,
    /// Most flows kept at a time.
    pub max_flows: u32,
    /// Which parts of the key tell flows apart.
    pub aggregation: Aggregation,
    /// Flows smaller than this are not exported.
    pub min_flow_size: MinFlowSize,
    /// Which flows are exported.
    pub biflows: Biflows,
    /// Active flows are exported at each full minute.
    pub minute_expire: bool,
    /// Bytes are counted from the layer-2 header on, instead of the IP header.
    pub account_l2: bool,
    /// The sampling rates.
    pub sampling: Sampling,
}

impl Cache {
    /// How long a closed TCP connection is kept, in nanoseconds: a sixth of the idle timeout, if not given.
    pub fn tcp_linger(&self) -> u64 {
        self.tcp_linger.map_or(self.idle_timeout.nanos() / 6, |linger| linger.nanos())
    }
}

impl Default for Cache {
    fn default() -> Self {
        Cache {
            active_timeout: Seconds(120),
            idle_timeout: Seconds(30),
            queue_timeout: Seconds(30),
            tcp_linger: None,
            hash_size: 131_072,
            max_flows: 4_194_304,
            aggregation: Aggregation::default(),
            min_flow_size: MinFlowSize::default(),
            biflows: Biflows::All,
            minute_expire: false,
            account_l2: false,
            sampling: Sampling::default(),
        }
    }
}

/// The smallest flow worth exporting, in bytes both ways; 0 is any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinFlowSize {
    /// Of TCP.
    pub tcp: Bytes,
    /// Of UDP.
    pub udp: Bytes,
    /// Of every other protocol.
    pub other: Bytes,
}

impl MinFlowSize {
    fn parse(text: &str) -> Result<Self, Stop> {
        let size = |text: &str| {
            number(text, "bytes", 0..=u32::MAX).map(Bytes).map_err(|_| {
                Stop::Usage(format!("'{text}' is not a number of bytes; give TCP[:UDP[:other]], like 100 or 100:50:0"))
            })
        };
        let mut fields = text.split(':');
        let least = MinFlowSize {
            tcp: size(fields.next().unwrap_or_default())?,
            udp: fields.next().map_or(Ok(Bytes(0)), size)?,
            other: fields.next().map_or(Ok(Bytes(0)), size)?,
        };
        match fields.next() {
            Some(_) => Err("has more than three sizes; give TCP[:UDP[:other]], like 100 or 100:50:0".into()),
            None => Ok(least),
        }
    }
}

/// Which flows are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Biflows {
    /// All.
    All,
    /// Those with packets both ways.
    BothWays,
    /// Those with packets one way.
    OneWay,
}

/// The options.
pub const SPEC: Group = Group {
    name: "cache",
    title: "Flows and timeouts",
    flags: &[
        Flag {
            short: Some('t'),
            long: "lifetime-timeout",
            value: Value::One("SECONDS"),
            default: "120",
            help: "Export a flow this long after its first packet, even if it goes on",
            doc: "The active timeout. The flow starts over with zero counters.",
            good: &["60", "86400000"],
            bad: &["abc", "0", "86400001", "1.5"],
            apply: |options, text| {
                options.cache.active_timeout = Seconds::parse(text, 1)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('d'),
            long: "idle-timeout",
            value: Value::One("SECONDS"),
            default: "30",
            help: "Export a flow this long after its last packet",
            good: &["15"],
            bad: &["0", "-1"],
            apply: |options, text| {
                options.cache.idle_timeout = Seconds::parse(text, 1)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('l'),
            long: "queue-timeout",
            value: Value::One("SECONDS"),
            default: "30",
            help: "Longest a flow that is over waits for others to fill its export packet",
            doc: "0 sends every flow at once, in a packet of its own if need be.",
            good: &["5", "0"],
            bad: &["soon"],
            apply: |options, text| {
                options.cache.queue_timeout = Seconds::parse(text, 0)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "tcp-linger",
            value: Value::One("SECONDS"),
            help: "How long a closed TCP connection is kept for late packets",
            doc: "After a FIN each way or an RST, so that retransmissions and the last ACK do not become a flow of their \
                  own. The default is a sixth of `--idle-timeout`; 0 exports at once.",
            good: &["5", "0"],
            bad: &["x"],
            apply: |options, text| {
                options.cache.tcp_linger = Some(Seconds::parse(text, 0)?);
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "minute-expire",
            help: "Export active flows at each full minute",
            doc: "So that no flow reaches over a minute's end, which helps collectors that draw a point a minute.",
            apply: |options, _| {
                options.cache.minute_expire = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('w'),
            long: "hash-size",
            value: Value::One("BUCKETS"),
            default: "131072",
            help: "Size of the flow table to begin with",
            doc: "The table grows as flows come; a good guess saves it that work.",
            good: &["262144"],
            bad: &["0", "big"],
            apply: |options, text| {
                options.cache.hash_size = number(text, "buckets", 1..=1 << 30)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('M'),
            long: "max-num-flows",
            value: Value::One("FLOWS"),
            default: "4194304",
            help: "Most flows kept at a time",
            doc: "Of all workers together. When the table is full, a flow that waited longest for a packet is exported \
                  early to make room, and counted in the ledger.",
            good: &["1000000"],
            bad: &["0", "some"],
            apply: |options, text| {
                options.cache.max_flows = number(text, "flows", 1..=1 << 30)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('p'),
            long: "aggregation",
            value: Value::One("MASK"),
            default: "1/1/1/1/0/1/1",
            help: "Which parts of the key tell flows apart: VLAN/protocol/IP/port/TOS/SCTP stream/exporter",
            doc: "Seven fields of 0 (ignore) or 1 (keep). The VLAN may be split into outer and inner tag, as in \
                  `1.0/1/1/1/0/1/1`. Only the last two fields may be left out; they then count as 1. The ToS is ignored \
                  by default, as the two directions of a flow often differ in it; it is exported all the same. Any \
                  other part that is ignored is exported as zero. Flows of captured packets have no exporter, and are \
                  not yet told apart by SCTP stream.",
            good: &["1/1/1/1/1/1/1", "0/1/1/0/0", "1.0/1/1/1/0/1/1"],
            bad: &["1/1", "2/1/1/1/1/1/1", "1,1,1,1,1,1,1"],
            apply: |options, text| {
                options.cache.aggregation = Aggregation::parse(text)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('z'),
            long: "min-flow-size",
            value: Value::One("TCP[:UDP[:OTHER]]"),
            default: "0:0:0",
            help: "Do not export flows with fewer bytes",
            doc: "One size each for TCP, UDP and other protocols, counted both ways; a size that is left out is 0. Flows \
                  left out are counted in the ledger.",
            good: &["100", "100:50", "100:50:0"],
            bad: &["a", "1:b", "1:2:3:4", ""],
            apply: |options, text| {
                options.cache.min_flow_size = MinFlowSize::parse(text)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('N'),
            long: "biflows-export-policy",
            value: Value::One("0|1|2"),
            default: "0",
            help: "Flows to export: 0 all, 1 only bidirectional, 2 only monodirectional",
            offer: Offer::Words(&["0", "1", "2"]),
            good: &["0", "1", "2"],
            bad: &["3"],
            apply: |options, text| {
                options.cache.biflows =
                    one_of(text, &[("0", Biflows::All), ("1", Biflows::BothWays), ("2", Biflows::OneWay)])?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('S'),
            long: "sample-rate",
            value: Value::One("PACKET[:COLLECT[:EXPORT]]"),
            default: "1",
            help: "Sampling rates of packets, collected flows and exported flows",
            doc: "With a packet rate of 100, one packet in a hundred is looked at and counted a hundred times. `@100` \
                  looks at all packets and counts each a hundred times, for a switch that sampled before. With an \
                  export rate of 10, one flow in ten is exported.",
            good: &["100", "@100", "1:1:10"],
            bad: &["0", "1:x", "1:1:1:1", "@"],
            apply: |options, text| {
                options.cache.sampling = Sampling::parse(text)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "account-l2",
            help: "Count bytes from the layer-2 header on",
            doc: "By default bytes are counted from the IP header on, as NetFlow has it.",
            apply: |options, _| {
                options.cache.account_l2 = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_connection_lingers_a_sixth_of_the_idle_timeout() {
        let mut cache = Cache::default();
        assert_eq!(cache.tcp_linger(), 5_000_000_000);
        cache.idle_timeout = Seconds(3);
        assert_eq!(cache.tcp_linger(), 500_000_000);
        cache.tcp_linger = Some(Seconds(0));
        assert_eq!(cache.tcp_linger(), 0);
    }

    #[test]
    fn sizes_left_out_are_zero() {
        let size = MinFlowSize::parse("100:50").unwrap();
        assert_eq!(size, MinFlowSize { tcp: Bytes(100), udp: Bytes(50), other: Bytes(0) });
    }
}
