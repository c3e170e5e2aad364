//! An exporter's NetFlow v5. Its sequence counts flows.

use flowsonde_engine::encode::Messages;
use flowsonde_wire::Nanos;
use flowsonde_wire::export::netflow5::{HEADER, Header, MAX_RECORDS, RECORD, Record, Sampling};

use super::flow::{Flow, Flows};
use super::layout::Moment;
use super::stream::{BOOTED_BEFORE, Plan};

/// Messages of one engine.
#[derive(Debug)]
pub struct Stream {
    flows: Flows,
    capacity: u16,
    engine: u8,
    sampling: Sampling,
    boot: Option<Nanos>,
    sequence: u32,
}

impl Stream {
    /// The stream of exporter `number`.
    pub fn new(plan: &Plan, number: u32) -> Stream {
        let fill = u16::try_from((Plan::FILL - HEADER) / RECORD).unwrap_or(MAX_RECORDS);
        let interval = u16::try_from(plan.sampling).unwrap_or(u16::MAX).min(Sampling::MAX_INTERVAL);
        Stream {
            flows: plan.flows_of(number),
            capacity: plan.flows_per_packet.map_or(fill, |flows| flows.min(MAX_RECORDS)).max(1),
            engine: plan.domain_of(number) as u8,
            sampling: if interval > 1 { Sampling { mode: 1, interval } } else { Sampling::default() },
            boot: None,
            sequence: 0,
        }
    }

    /// Appends a message of at most `most` flows; tells how many it holds.
    pub fn message(&mut self, most: u32, now: Nanos, out: &mut Messages) -> u32 {
        let boot = *self.boot.get_or_insert(Nanos(now.0.saturating_sub(BOOTED_BEFORE)));
        let moment = Moment { now, boot };
        let count = u16::try_from(most).unwrap_or(u16::MAX).min(self.capacity);
        let header = Header {
            count,
            uptime_ms: moment.uptime(now),
            seconds: now.seconds() as u32,
            nanos: (now.0 % 1_000_000_000) as u32,
            sequence: self.sequence,
            engine_type: 0,
            engine_id: self.engine,
            sampling: self.sampling,
        };
        out.buffer().extend_from_slice(&header.to_bytes());
        for flow in self.flows.by_ref().take(usize::from(count)) {
            out.buffer().extend_from_slice(&record(&flow, &moment).to_bytes());
        }
        self.sequence = self.sequence.wrapping_add(u32::from(count));
        out.finish(u32::from(count));
        u32::from(count)
    }
}

fn record(flow: &Flow, moment: &Moment) -> Record {
    Record {
        source: flow.source,
        destination: flow.destination,
        next_hop: flow.next_hop,
        input: flow.input as u16,
        output: flow.output as u16,
        packets: flow.packets,
        octets: flow.octets,
        first_ms: moment.uptime(flow.first(moment.now)),
        last_ms: moment.uptime(flow.last(moment.now)),
        source_port: flow.source_port,
        destination_port: flow.destination_port,
        tcp_flags: flow.tcp_flags,
        protocol: flow.protocol,
        tos: flow.tos,
        source_as: flow.source_as as u16,
        destination_as: flow.destination_as as u16,
        source_mask: Flow::SOURCE_MASK,
        destination_mask: Flow::DESTINATION_MASK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_wire::Cursor;

    #[test]
    fn the_sequence_counts_flows() {
        let plan = Plan { sampling: 100, flows: 50, ..Plan::default() };
        let mut stream = Stream::new(&plan, 0);
        let mut out = Messages::default();
        let now = Nanos::new(1_700_000_000, 5);
        let counts: Vec<u32> = [1000, 1000, 3, 1].map(|most| stream.message(most, now, &mut out)).into();
        assert_eq!(counts, [28, 28, 3, 1]);
        let mut sequence = 0;
        for ((message, records), count) in out.iter().zip(counts) {
            let mut c = Cursor::new(message);
            let header = Header::read(&mut c).unwrap();
            assert_eq!((header.sequence, u32::from(header.count), records), (sequence, count, count));
            assert_eq!((header.sampling.mode, header.sampling.interval), (1, 100));
            assert_eq!((header.seconds, header.nanos, header.uptime_ms), (1_700_000_000, 5, 86_400_000));
            for _ in 0..count {
                let record = Record::read(&mut c).unwrap();
                assert!(record.first_ms <= record.last_ms && record.last_ms <= header.uptime_ms);
            }
            assert!(c.is_empty() && message.len() <= Plan::FILL);
            sequence += count;
        }
    }
}
