//! Data records on their way: where they came from, and how to read them.

use core::net::IpAddr;
use std::sync::Arc;

use flowsonde_wire::Nanos;
use flowsonde_wire::export::Transport;
use flowsonde_wire::export::sflow5::{self, counters};

use super::applications::Table;
use super::layout::Layout;
use super::sampling::Samplers;
use super::templates::Templates;

/// A format of flow export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// NetFlow version 1.
    V1,
    /// NetFlow version 5.
    V5,
    /// NetFlow version 7.
    V7,
    /// NetFlow version 9 (RFC 3954).
    V9,
    /// IPFIX (RFC 7011).
    Ipfix,
    /// sFlow version 5.
    Sflow5,
    /// NetFlow-Lite: sampled packets in NetFlow v9 or IPFIX.
    Lite,
}

impl Version {
    /// As users know it.
    pub const fn name(self) -> &'static str {
        match self {
            Version::V1 => "netflow1",
            Version::V5 => "netflow5",
            Version::V7 => "netflow7",
            Version::V9 => "netflow9",
            Version::Ipfix => "ipfix",
            Version::Sflow5 => "sflow5",
            Version::Lite => "nflite",
        }
    }
}

/// What is known of records beside their bytes. One of it a message.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The device: who sent the message, of sFlow the agent.
    pub exporter: IpAddr,
    /// The port it was sent from.
    pub port: u16,
    /// How it came.
    pub transport: Transport,
    /// Its format.
    pub version: Version,
    /// Observation domain, source id, engine or sub-agent.
    pub domain: u32,
    /// Engine type and id, where the format has them.
    pub engine: (u8, u8),
    /// Time of export, by the exporter's clock.
    pub export: Nanos,
    /// The exporter's uptime at that time, in milliseconds, where its format tells it.
    pub uptime_ms: Option<u32>,
    /// When the exporter started, where it told so instead (IPFIX element 160).
    pub init: Option<Nanos>,
    /// Arrival.
    pub arrival: Nanos,
    /// Nanoseconds by which times of day are moved, where the user wants them by our clock.
    pub shift: i64,
}

impl About {
    /// A time of day as it is told.
    #[inline]
    pub fn moment(&self, time: Nanos) -> Nanos {
        Nanos(time.0.saturating_add_signed(self.shift))
    }

    /// The moment the exporter's uptime was `at_ms`: that nearest to the message's own, as the counter wraps after 49.7
    /// days. The time of export when the uptime at that time is not known.
    #[inline]
    pub fn uptime(&self, at_ms: u32) -> Nanos {
        const MILLI: i64 = 1_000_000;
        match (self.uptime_ms, self.init) {
            (Some(now), _) => {
                let after = at_ms.wrapping_sub(now) as i32;
                Nanos(self.export.0.saturating_add_signed(i64::from(after) * MILLI))
            }
            (None, Some(init)) => self.moment(Nanos(init.0.saturating_add(u64::from(at_ms) * MILLI as u64))),
            (None, None) => self.export,
        }
    }
}

/// Data records of one template, one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    /// How they lie.
    pub layout: &'a Arc<Layout>,
    /// The records, and padding behind them.
    pub bytes: &'a [u8],
    /// Where they came from.
    pub about: &'a About,
    /// The rates they were sampled at.
    pub samplers: &'a Samplers,
    /// The templates of the same session, for records in lists (RFC 6313).
    pub templates: &'a Templates,
    /// What their exporter calls applications.
    pub applications: &'a Table,
}

/// What takes data records.
pub trait Receive {
    /// Takes records of flows. Tells how many there were.
    fn flows(&mut self, set: &Set<'_>) -> Taken;

    /// Takes records of options: what exporters tell of themselves, their interfaces and samplers.
    fn options(&mut self, set: &Set<'_>) {
        let _ = set;
    }

    /// Takes counters of an interface.
    fn counters(&mut self, sample: &InterfaceCounters<'_>, about: &About) {
        let _ = (sample, about);
    }
}

/// Counters of an interface of the exporter, as an sFlow agent sends them.
#[derive(Clone, Copy, Debug)]
pub struct InterfaceCounters<'a> {
    /// Samples of counters the source has made, this one included (`samplesGenerated`).
    pub samples: u32,
    /// Whose they are; nearly always class 0, the interface.
    pub source: sflow5::Source,
    /// Name of the interface, empty when it was not sent. Text of the agent's, of any encoding.
    pub name: &'a [u8],
    /// The counters: since the agent started, wrapping; all ones where it has none.
    pub interface: counters::Interface,
}

/// What became of the records of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Records.
    pub records: u32,
    /// Bytes behind the last whole record.
    pub rest: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_become_times_of_day_across_the_wrap() {
        let about = About {
            exporter: [192, 0, 2, 1].into(),
            port: 2055,
            transport: Transport::Udp,
            version: Version::V9,
            domain: 0,
            engine: (0, 0),
            export: Nanos::new(1_700_000_000, 0),
            uptime_ms: Some(10_000),
            init: None,
            arrival: Nanos(0),
            shift: 0,
        };
        assert_eq!(about.uptime(9_000), Nanos::new(1_699_999_999, 0));
        assert_eq!(about.uptime(12_000), Nanos::new(1_700_000_002, 0));
        assert_eq!(about.uptime(u32::MAX - 4_999), Nanos::new(1_699_999_985, 0));
        let about = About { uptime_ms: None, ..about };
        assert_eq!(about.uptime(9_000), about.export);
        let about = About { init: Some(Nanos::new(1_600_000_000, 0)), ..about };
        assert_eq!(about.uptime(9_000), Nanos::new(1_600_000_009, 0));
    }
}
