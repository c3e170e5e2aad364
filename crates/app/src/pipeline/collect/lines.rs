//! Not cached: a transcoder an output, and the messages it makes.

use flowsonde_engine::decode::records::{Set, Taken};
use flowsonde_engine::encode::Messages;
use flowsonde_engine::transcode::{Lost, Transcode};
use flowsonde_wire::Nanos;

use super::desk::Way;
use super::transcoders::{Writes, transcoders};
use crate::flags::Options;
use crate::log;
use crate::stop::Stop;

/// Not cached: every output takes every record, collectors as they are dealt, and makes messages of it.
pub struct Lines {
    all: Vec<Line>,
    dealing: Dealing,
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

impl Lines {
    /// Of the desk of this number, a line for every output.
    pub fn new(options: &Options, number: usize, writes: &[Writes]) -> Result<Lines, Stop> {
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
        Ok(Lines { all: lines.collect(), dealing })
    }

    /// What every line did.
    pub fn iter(&self) -> impl Iterator<Item = &Line> {
        self.all.iter()
    }

    /// Counts records that did not fit into the queue. Templates may have been among them.
    pub fn lose(&mut self, lost: &[(usize, u64)]) {
        for (at, records) in lost {
            if let Some(line) = self.all.get_mut(*at) {
                line.queue_full += records;
                line.transcoder.again();
            }
        }
    }

    /// Hands on every finished message.
    pub fn deliver(&mut self, to: &mut dyn FnMut(usize, &Messages)) {
        for (at, line) in self.all.iter_mut().enumerate().filter(|(_, line)| !line.messages.is_empty()) {
            to(at, &line.messages);
            line.messages.clear();
        }
    }

    /// Gives away every line's finished messages, for an empty buffer each.
    pub fn give_away(&mut self, to: &mut dyn FnMut(usize, &mut Messages)) {
        for (at, line) in self.all.iter_mut().enumerate().filter(|(_, line)| !line.messages.is_empty()) {
            to(at, &mut line.messages);
        }
    }

    /// What waited too long goes on.
    pub fn tick(&mut self, now: Nanos) {
        for line in &mut self.all {
            line.transcoder.tick(now, &mut line.messages);
            line.tell();
        }
    }

    /// Finishes everything.
    pub fn flush(&mut self) {
        for line in &mut self.all {
            line.transcoder.flush(&mut line.messages);
            line.tell();
        }
    }
}

impl Way for Lines {
    fn flows(&mut self, set: &Set<'_>, now: Nanos) -> Taken {
        let mut taken = Taken::default();
        let mut collector = 0;
        for line in &mut self.all {
            if line.collector {
                collector += 1;
                if !self.dealing.all && collector - 1 != self.dealing.turn {
                    continue;
                }
            }
            taken = line.transcoder.flows(set, now, &mut line.messages);
            line.records += u64::from(taken.records);
        }
        self.dealing.turn = (self.dealing.turn + 1) % self.dealing.collectors.max(1);
        taken
    }
}
