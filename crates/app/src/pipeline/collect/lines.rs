//! Not cached: a transcoder an output, and the messages it makes.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flowsonde_engine::decode::layout::Spans;
use flowsonde_engine::decode::records::{Set, Taken};
use flowsonde_engine::encode::Messages;
use flowsonde_engine::transcode::{Lost, Passed, Transcode};
use flowsonde_wire::Nanos;

use super::transcoders::{Writes, transcoders};
use super::way::{Did, Way};
use crate::flags::Options;
use crate::log;
use crate::stop::Stop;

/// Empty buffers that are kept for a desk.
const SPARE: usize = 16;
/// Bytes of a buffer that is kept: longer ones are rare.
const KEPT: usize = 4 << 20;
/// Bytes one output's messages may grow to at a desk before they are handed on. A record of a byte may be told in hundreds.
const MOST: usize = 32 << 20;
/// Bytes of a desk that may be on their way to the outputs.
const UNDER_WAY: usize = 256 << 20;

/// Not cached: every output takes every record, collectors as they are dealt, and makes messages of it.
pub struct Lines {
    all: Vec<Line>,
    dealing: Dealing,
    back: SyncSender<Messages>,
    returned: Receiver<Messages>,
    under_way: Arc<AtomicUsize>,
    /// Nothing is lost for want of memory: captures are read as fast as outputs take them.
    patient: bool,
}

/// Which collectors get a set of records: all of them (`-a`), or one in turn.
struct Dealing {
    all: bool,
    /// How many there are, and whose turn it is.
    collectors: usize,
    turn: usize,
}

/// Messages on their way to an output.
pub struct Parcel {
    /// The output's number.
    pub at: usize,
    pub messages: Messages,
    back: SyncSender<Messages>,
    weight: Weight,
}

impl Parcel {
    /// Gives the buffer back to its desk.
    pub fn done(self) {
        let Parcel { mut messages, back, weight, .. } = self;
        if weight.bytes <= KEPT {
            messages.clear();
            // A desk that has enough of them, or is gone, wants no more.
            let _full = back.try_send(messages);
        }
    }
}

/// Bytes that are on their way as long as this lives.
struct Weight {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Weight {
    fn new(bytes: usize, all: &Arc<AtomicUsize>) -> Weight {
        all.fetch_add(bytes, Ordering::Relaxed);
        Weight { bytes, all: Arc::clone(all) }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What one output was given.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineDid {
    /// Records taken.
    pub records: u64,
    /// What its format had no place for.
    pub lost: Lost,
    /// Records that did not fit into the queue to the outputs.
    pub queue_full: u64,
    /// Options data, where they are passed on.
    pub options: Option<Passed>,
    /// Records of them that did not fit into the queue.
    pub options_full: u64,
}

/// One output's part of it.
struct Line {
    transcoder: Box<dyn Transcode>,
    messages: Messages,
    collector: bool,
    /// Fields that were told to be left out.
    told: u64,
    did: LineDid,
}

impl Line {
    /// Tells of fields that are left out, when there are new ones.
    fn tell(&mut self) {
        let fields = self.transcoder.lost().fields;
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
            did: LineDid::default(),
        });
        let collectors = writes.iter().filter(|writes| writes.is_collector()).count();
        let dealing = Dealing { all: options.export.all_collectors, collectors, turn: 0 };
        let (back, returned) = sync_channel(SPARE);
        let patient = !options.capture.inputs.is_empty();
        Ok(Lines { all: lines.collect(), dealing, back, returned, under_way: Arc::default(), patient })
    }
}

impl Way for Lines {
    type Parcel = Parcel;
    type Did = Vec<LineDid>;
    const QUEUE: usize = 1024;

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
            if !self.patient && line.messages.bytes().len() >= MOST {
                taken = count(set);
                line.did.queue_full += u64::from(taken.records);
            } else {
                taken = line.transcoder.flows(set, now, &mut line.messages);
            }
            line.did.records += u64::from(taken.records);
        }
        self.dealing.turn = (self.dealing.turn + 1) % self.dealing.collectors.max(1);
        taken
    }

    /// Every collector gets them, whatever its turn: they are of all that follows.
    fn options(&mut self, set: &Set<'_>, now: Nanos) {
        for line in &mut self.all {
            line.transcoder.options(set, now, &mut line.messages);
        }
    }

    fn tick(&mut self, now: Nanos) {
        for line in &mut self.all {
            line.transcoder.tick(now, &mut line.messages);
            line.tell();
        }
    }

    fn hand_on(&mut self, _: Nanos, to: &mut dyn FnMut(Parcel) -> bool) {
        let Lines { all, back, returned, under_way, patient, .. } = self;
        for (at, line) in all.iter_mut().enumerate().filter(|(_, line)| !line.messages.is_empty()) {
            let (records, options) = (line.messages.records(), line.messages.options());
            let messages = mem::replace(&mut line.messages, returned.try_recv().unwrap_or_default());
            let bytes = messages.bytes().len();
            let room = *patient || under_way.load(Ordering::Relaxed) + bytes <= UNDER_WAY;
            if !room || !to(Parcel { at, messages, back: back.clone(), weight: Weight::new(bytes, under_way) }) {
                line.did.queue_full += records;
                line.did.options_full += options;
                // Templates may have been among them.
                line.transcoder.again();
            }
        }
    }

    fn finish(&mut self) {
        for line in &mut self.all {
            line.transcoder.flush(&mut line.messages);
            line.tell();
        }
    }

    fn tell(&self, did: &mut Vec<LineDid>) {
        did.clear();
        did.extend(self.all.iter().map(|line| LineDid {
            lost: line.transcoder.lost(),
            options: line.transcoder.passed(),
            ..line.did
        }));
    }
}

/// How many records a set has.
fn count(set: &Set<'_>) -> Taken {
    let (mut spans, mut rest, mut records) = (Spans::default(), set.bytes, 0);
    while let Some((_, after)) = set.layout.split(rest, &mut spans) {
        (rest, records) = (after, records + 1);
    }
    Taken { records, rest: rest.len() }
}

impl Did for Vec<LineDid> {
    fn new(_: &str) -> Self {
        Vec::new()
    }

    fn queue_full(&self) -> u64 {
        self.iter().map(|line| line.queue_full).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_engine::decode::Collector;
    use flowsonde_engine::decode::collector::Config;
    use flowsonde_engine::decode::records::Receive;
    use flowsonde_wire::export::{Datagram, Transport};

    struct Give<'a>(&'a mut Lines);

    impl Receive for Give<'_> {
        fn flows(&mut self, set: &Set<'_>) -> Taken {
            self.0.flows(set, Nanos(0))
        }
    }

    fn v9(id: u16, body: &[u8]) -> Vec<u8> {
        let head = [9_u16, 1, 0, 0, 0x6553, 0xf100, 0, 0, 0, 0, id, 4 + body.len() as u16];
        head.into_iter().flat_map(u16::to_be_bytes).chain(body.iter().copied()).collect()
    }

    /// Records of twenty fields of a byte, told in hundreds of bytes each.
    #[test]
    fn what_a_desk_makes_has_an_end_and_what_is_beyond_is_counted() {
        const RECORDS: u64 = 3000;
        let fields = (0..20).flat_map(|n| [4_u16 + n % 2, 1]);
        let template: Vec<u8> = [256, 20].into_iter().chain(fields).flat_map(u16::to_be_bytes).collect();
        let mut lines = Lines::new(&Options::default(), 0, &[Writes::Json]).expect("sound");
        let mut collector = Collector::new(Config::default());
        let data = v9(256, &vec![7; 20 * RECORDS as usize]);
        let rounds = 2 * MOST / (RECORDS as usize * 100);
        for bytes in [&v9(0, &template)].into_iter().chain(std::iter::repeat_n(&data, rounds)) {
            let from = ([192, 0, 2, 1], 2055).into();
            let message = Datagram { time: Nanos(0), transport: Transport::Udp, from, to: 2055, local: None, bytes };
            collector.message(&message, &mut Give(&mut lines)).expect("NetFlow");
        }
        let told = |lines: &Lines| {
            let mut did = Vec::new();
            lines.tell(&mut did);
            (did[0].records, did[0].queue_full)
        };
        let all = rounds as u64 * RECORDS;
        let made = lines.all[0].messages.bytes().len();
        assert!((MOST..MOST + (4 << 20)).contains(&made), "{made}");
        let records = lines.all[0].messages.records();
        assert!(told(&lines) == (all, all - records) && records < all, "{records} of {all}");
        // As much is on its way already as may be.
        lines.under_way.fetch_add(UNDER_WAY, Ordering::Relaxed);
        lines.hand_on(Nanos(0), &mut |_| unreachable!("there is no room"));
        assert_eq!(told(&lines), (all, all));
    }
}
