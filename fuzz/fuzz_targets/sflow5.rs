//! One sFlow datagram, whole. Records are whole, samples are counted once, views of every record read.
#![no_main]

use flowsonde_engine::decode::Collector;
use flowsonde_engine::decode::collector::Config;
use flowsonde_engine::decode::layout::Spans;
use flowsonde_engine::decode::records::{Receive, Set, Taken};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::sflow5::counters::Counters;
use flowsonde_wire::export::sflow5::flow::Record;
use flowsonde_wire::export::sflow5::{Block, Format};
use flowsonde_wire::export::{Datagram, Transport};
use libfuzzer_sys::fuzz_target;

#[derive(Default)]
struct Check {
    records: u64,
}

impl Receive for Check {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        assert!(set.layout.is_fixed() && set.bytes.len() % set.layout.shortest == 0);
        let (mut spans, mut rest, mut records) = (Spans::default(), set.bytes, 0);
        let version = set.layout.find(60).expect("a version");
        while let Some((record, after)) = set.layout.split(rest, &mut spans) {
            assert_eq!(record.number(version, &spans), set.layout.version().expect("addresses").into());
            assert!(set.samplers.told_of(set.layout, &record, &spans).rate > 0);
            (rest, records) = (after, records + 1);
        }
        self.records += u64::from(records);
        Taken { records, rest: rest.len() }
    }
}

fuzz_target!(|bytes: &[u8]| {
    // As one record, whatever it is.
    if let Some((format, body)) = bytes.split_first_chunk::<4>() {
        let block = Block { format: Format(u32::from_be_bytes(*format)), body };
        if let Ok(Record::Gateway(gateway)) = Record::read(block) {
            let numbers: usize = gateway.path.segments().map(|(_, segment)| segment.iter().count()).sum();
            assert!(numbers * 4 <= body.len());
        }
        let _ = Counters::read(block);
    }
    // As a datagram; the version is given.
    let mut datagram = vec![0, 0, 0, 5];
    datagram.extend(bytes);
    let mut collector = Collector::new(Config::default());
    let mut check = Check::default();
    for time in 1..=2 {
        let from = ([192, 0, 2, 1], 6343).into();
        let message = Datagram { time: Nanos(time), transport: Transport::Udp, from, to: 6343, local: None, bytes: &datagram };
        let _ = collector.message(&message, &mut check);
    }
    for session in collector.sessions() {
        let counters = session.counters;
        assert_eq!(counters.flows, check.records);
        assert_eq!(counters.samples, counters.flows + counters.samples_other);
        assert!(counters.malformed <= 2);
    }
});
