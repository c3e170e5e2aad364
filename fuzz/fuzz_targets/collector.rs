//! Several messages of one exporter in a row, templates then data. Sets hold whole records and padding, and what came is
//! decoded, given up or waits. What is decoded leaves by every transcoder of NetFlow and IPFIX, and is merged, too, in a cache
//! that is soon full: every record becomes part of a flow.
#![no_main]

use std::sync::{Arc, OnceLock};

use flowsonde_engine::decode::Collector;
use flowsonde_engine::decode::applications::Vocabulary;
use flowsonde_engine::decode::collector::Config;
use flowsonde_engine::decode::layout::Spans;
use flowsonde_engine::decode::records::{Receive, Set, Taken, Version};
use flowsonde_engine::encode::{Ipfix, Messages, NetFlow9, Options};
use flowsonde_engine::merge::Merger;
use flowsonde_engine::meter;
use flowsonde_engine::transcode::{Announced, Export, Export5, Home, Pass, Transcode};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};
use libfuzzer_sys::fuzz_target;

struct Check {
    records: u64,
    transcoders: Vec<Box<dyn Transcode>>,
    merger: Merger,
    ended: u64,
}

impl Check {
    fn new() -> Check {
        let options = Options::default();
        let home = Home::at([127, 0, 0, 1]);
        let transcoders: Vec<Box<dyn Transcode>> = vec![
            Box::new(Pass::<Ipfix>::new(&options, false)),
            Box::new(Pass::<NetFlow9>::new(&options, false)),
            Box::new(Export::<Ipfix>::new(&options, home).expect("sound")),
            Box::new(Export::<NetFlow9>::new(&options, home).expect("sound")),
            Box::new(Export5::new(&options, home).expect("sound")),
        ];
        let merger = Merger::new(meter::Config { max_flows: 8, ..meter::Config::default() }, true);
        Check { records: 0, transcoders, merger, ended: 0 }
    }
}

impl Check {
    fn walk(&mut self, set: &Set<'_>) -> Taken {
        let (mut spans, mut rest, mut records) = (Spans::default(), set.bytes, 0);
        while let Some((record, after)) = set.layout.split(rest, &mut spans) {
            assert!(record.bytes().len() >= set.layout.shortest);
            let values: usize = set.layout.fields.iter().map(|field| record.value(field, &spans).len()).sum();
            assert!(values <= record.bytes().len());
            assert!(set.samplers.told_of(set.layout, &record, &spans).rate > 0);
            (rest, records) = (after, records + 1);
        }
        if set.layout.is_fixed() {
            assert_eq!(records as usize * set.layout.shortest + rest.len(), set.bytes.len());
            assert!(rest.len() < set.layout.shortest);
        }
        if matches!(set.about.version, Version::V1 | Version::V5 | Version::V7 | Version::Sflow5 | Version::Lite) {
            assert!(rest.is_empty(), "made by us, without padding");
        }
        Taken { records, rest: rest.len() }
    }
}

impl Receive for Check {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        assert!(!set.layout.is_options());
        let taken = self.walk(set);
        self.records += u64::from(taken.records);
        for transcoder in &mut self.transcoders {
            let (mut out, mut announced) = (Messages::default(), Announced::default());
            assert_eq!(transcoder.flows(set, Nanos::new(1_700_000_000, 0), &mut out), taken);
            transcoder.flush(&mut out);
            announced.see(&out);
            announced.again(&mut out);
        }
        let ended = &mut self.ended;
        assert_eq!(self.merger.flows(set, &mut |batch| *ended += batch.len() as u64), taken);
        let counters = self.merger.counters();
        assert_eq!(counters.metered, self.records);
        assert_eq!(counters.started, counters.exported + counters.held);
        taken
    }

    fn options(&mut self, set: &Set<'_>) {
        assert!(set.layout.is_options());
        self.walk(set);
    }
}

/// Names of applications of all runs, as a process has them.
fn vocabulary() -> Arc<Vocabulary> {
    static NAMES: OnceLock<Arc<Vocabulary>> = OnceLock::new();
    Arc::clone(NAMES.get_or_init(|| Arc::new(Vocabulary::new(&["Unknown".to_owned(), "DNS".to_owned()]))))
}

fuzz_target!(|input: (bool, Vec<(u8, Vec<u8>)>)| {
    let (session, messages) = input;
    let transport = if session { Transport::Tcp } else { Transport::Udp };
    let mut collector = Collector::new(Config { vocabulary: Some(vocabulary()), ..Config::default() });
    let mut check = Check::new();
    for (n, (port, bytes)) in messages.iter().enumerate() {
        let time = Nanos::new(1_700_000_000 + n as u64, 0);
        collector.tick(time);
        // Two ports: one may lend the other its templates.
        let from = ([192, 0, 2, 1], 2055 + u16::from(port & 1)).into();
        let _ = collector.message(&Datagram { time, transport, from, to: 2055, local: None, bytes }, &mut check);
    }
    let mut flows = 0;
    for session in collector.sessions() {
        let counters = session.counters;
        let waiting = session.waiting.len() as u64;
        let gone = counters.no_template + counters.expired + counters.sets_filtered;
        assert_eq!(counters.sets, counters.sets_decoded + gone + waiting);
        assert!(counters.samples - counters.samples_other <= counters.flows);
        flows += counters.flows;
    }
    assert_eq!(flows, check.records);
    check.merger.flush(&mut |batch| check.ended += batch.len() as u64);
    assert_eq!(check.merger.counters().exported, check.ended);
});
