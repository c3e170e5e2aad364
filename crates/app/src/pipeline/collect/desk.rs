//! From messages of exporters to finished messages of every output.

use flowsonde_engine::decode::collector::{Collector, Config};
use flowsonde_engine::decode::records::{About, InterfaceCounters, Receive, Set, Taken};
use flowsonde_engine::encode::Messages;
use flowsonde_engine::transcode::{Aside, Transcode};
use flowsonde_io::source::exports::Take;
use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};
use std::net::SocketAddr;

use super::asides::{self, Asides};
use super::outputs;
use crate::flags::Options;
use crate::stop::Stop;

/// See the module.
pub struct Desk {
    pub collector: Collector,
    lines: Vec<Line>,
    /// For ntopng only.
    asides: Option<Asides>,
    now: Nanos,
}

/// One output's part of it.
pub struct Line {
    transcoder: Box<dyn Transcode>,
    messages: Messages,
    /// Records taken.
    pub records: u64,
    /// Records that did not fit into the queue to the outputs.
    pub queue_full: u64,
}

impl Desk {
    /// A desk with a line for every output.
    pub fn new(options: &Options) -> Result<Desk, Stop> {
        let collect = &options.collect;
        let config = Config {
            template_timeout: collect.template_timeout.nanos(),
            ignore_port: collect.ignore_port,
            template_ids: collect.template_ids.clone(),
            rate: options.cache.sampling.collect,
            ..Config::default()
        };
        let lines = outputs::transcoders(options)?.into_iter().map(|transcoder| Line {
            transcoder,
            messages: Messages::default(),
            records: 0,
            queue_full: 0,
        });
        let asides = (!options.zmq.endpoints.is_empty()).then(Asides::default);
        Ok(Desk { collector: Collector::new(config), lines: lines.collect(), asides, now: Nanos(0) })
    }

    /// Time of the latest message.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Records of flows read so far.
    pub fn flows(&self) -> u64 {
        self.collector.sessions().map(|session| session.counters.flows).sum::<u64>() + self.collector.gone().flows
    }

    /// What every line did.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    /// Counts records that did not fit into the queue.
    pub fn lose(&mut self, lost: &[(usize, u64)]) {
        for (at, records) in lost {
            if let Some(line) = self.lines.get_mut(*at) {
                line.queue_full += records;
            }
        }
    }

    /// Hands on every finished message.
    pub fn deliver(&mut self, to: &mut dyn FnMut(usize, &Messages)) {
        for (at, line) in self.lines.iter_mut().enumerate().filter(|(_, line)| !line.messages.is_empty()) {
            to(at, &line.messages);
            line.messages.clear();
        }
    }

    /// What exporters told besides flows.
    pub fn asides(&mut self) -> Option<Vec<Aside>> {
        self.asides.as_mut()?.gathered()
    }

    /// Counts what of it did not fit into the queue.
    pub fn lose_asides(&mut self, lost: u64) {
        if let Some(asides) = &mut self.asides {
            asides.counters.queue_full += lost;
        }
    }

    /// What became of it.
    pub fn aside_counters(&self) -> Option<asides::Counters> {
        self.asides.as_ref().map(|asides| asides.counters)
    }

    /// What waited too long goes on, or is given up.
    pub fn tick(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        self.collector.tick(now);
        for line in &mut self.lines {
            line.transcoder.tick(now, &mut line.messages);
        }
    }

    /// Finishes everything.
    pub fn close(&mut self) {
        self.collector.flush();
        for line in &mut self.lines {
            line.transcoder.flush(&mut line.messages);
        }
    }
}

impl Take for Desk {
    fn datagrams(&mut self, batch: &[Datagram<'_>]) {
        for message in batch {
            self.now = self.now.max(message.time);
            // What is none is counted by the collector.
            let _counted = self
                .collector
                .message(message, &mut Out { lines: &mut self.lines, asides: self.asides.as_mut(), now: self.now });
        }
    }

    fn closed(&mut self, transport: Transport, from: SocketAddr, _: u16) {
        self.collector.closed(transport, from);
    }
}

/// Every line takes every record.
struct Out<'a> {
    lines: &'a mut [Line],
    asides: Option<&'a mut Asides>,
    now: Nanos,
}

impl Receive for Out<'_> {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        let mut taken = Taken::default();
        for line in &mut *self.lines {
            taken = line.transcoder.flows(set, self.now, &mut line.messages);
            line.records += u64::from(taken.records);
        }
        taken
    }

    fn options(&mut self, set: &Set<'_>) {
        if let Some(asides) = &mut self.asides {
            asides.options(set, self.now);
        }
    }

    fn counters(&mut self, sample: &InterfaceCounters<'_>, about: &About) {
        if let Some(asides) = &mut self.asides {
            asides.counters(sample, about, self.now);
        }
    }
}
