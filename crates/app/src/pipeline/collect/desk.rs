//! From messages of exporters to finished messages of every output.

use flowsonde_engine::decode::collector::{Collector, Config};
use flowsonde_engine::decode::records::{Receive, Set, Taken};
use flowsonde_engine::encode::Messages;
use flowsonde_engine::transcode::{Lost, Transcode};
use flowsonde_io::source::exports::Take;
use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};
use std::net::SocketAddr;

use super::transcoders::{Writes, transcoders};
use crate::flags::Options;
use crate::log;
use crate::stop::Stop;

/// See the module.
pub struct Desk {
    pub collector: Collector,
    lines: Vec<Line>,
    dealing: Dealing,
    now: Nanos,
}

/// Which collectors get a set of records: all of them (`-a`), or one in turn.
struct Dealing {
    all: bool,
    /// How many there are, and whose turn it is.
    collectors: usize,
    turn: usize,
}

/// One output's part of it.
pub struct Line {
    transcoder: Box<dyn Transcode>,
    messages: Messages,
    collector: bool,
    /// Fields that were told to be left out.
    told: u64,
    /// Records taken.
    pub records: u64,
    /// Records that did not fit into the queue to the outputs.
    pub queue_full: u64,
}

impl Desk {
    /// The desk of this number, with a line for every output.
    pub fn new(options: &Options, number: usize, writes: &[Writes]) -> Result<Desk, Stop> {
        let collect = &options.collect;
        let config = Config {
            template_timeout: collect.template_timeout.nanos(),
            ignore_port: collect.ignore_port,
            template_ids: collect.template_ids.clone(),
            rate: options.cache.sampling.collect,
            ..Config::default()
        };
        let lines = transcoders(options, number, writes)?.into_iter().zip(writes).map(|(transcoder, writes)| Line {
            transcoder,
            messages: Messages::default(),
            collector: writes.is_collector(),
            told: 0,
            records: 0,
            queue_full: 0,
        });
        let collectors = writes.iter().filter(|writes| writes.is_collector()).count();
        let dealing = Dealing { all: options.export.all_collectors, collectors, turn: 0 };
        Ok(Desk { collector: Collector::new(config), lines: lines.collect(), dealing, now: Nanos(0) })
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

    /// What waited too long goes on, or is given up.
    pub fn tick(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        self.collector.tick(now);
        for line in &mut self.lines {
            line.transcoder.tick(now, &mut line.messages);
            line.tell();
        }
    }

    /// Finishes everything.
    pub fn close(&mut self) {
        self.collector.flush();
        for line in &mut self.lines {
            line.transcoder.flush(&mut line.messages);
            line.tell();
        }
    }
}

impl Take for Desk {
    fn datagrams(&mut self, batch: &[Datagram<'_>]) {
        for message in batch {
            self.now = self.now.max(message.time);
            let mut out = Out { lines: &mut self.lines, dealing: &mut self.dealing, now: self.now };
            // What is none is counted by the collector.
            let _counted = self.collector.message(message, &mut out);
        }
    }

    fn closed(&mut self, transport: Transport, from: SocketAddr, _: u16) {
        self.collector.closed(transport, from);
    }
}

impl Line {
    /// What its format had no place for.
    pub fn lost(&self) -> Lost {
        self.transcoder.lost()
    }

    /// Tells of fields that are left out, when there are new ones.
    fn tell(&mut self) {
        let fields = self.lost().fields;
        if fields > self.told {
            self.told = fields;
            log::warn(
                "fields",
                &format!(
                    "--flow-version=9: NetFlow v9 has no place for elements of variable length, and of most enterprises; \
                     left out there, {fields} so far; give -V 10"
                ),
            );
        }
    }
}

/// Every line takes every record; collectors as they are dealt.
struct Out<'a> {
    lines: &'a mut [Line],
    dealing: &'a mut Dealing,
    now: Nanos,
}

impl Receive for Out<'_> {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        let mut taken = Taken::default();
        let mut collector = 0;
        for line in &mut *self.lines {
            if line.collector {
                collector += 1;
                if !self.dealing.all && collector - 1 != self.dealing.turn {
                    continue;
                }
            }
            taken = line.transcoder.flows(set, self.now, &mut line.messages);
            line.records += u64::from(taken.records);
        }
        self.dealing.turn = (self.dealing.turn + 1) % self.dealing.collectors.max(1);
        taken
    }
}
