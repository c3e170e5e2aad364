//! Every place records go to, and how flows are dealt out to them.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use flowsonde_engine::encode::{self, Encode, Messages};
use flowsonde_engine::fill::Env;
use flowsonde_engine::meter::{Ended, View};
use flowsonde_engine::transcode::Aside;
use flowsonde_io::sink::{self, Sink};
use flowsonde_wire::Nanos;

use super::ntopng::{Ntopng, Sums};
use super::summary::Summary;
use crate::flags::Options;
use crate::log;
use crate::stop::Stop;

/// Messages, and bytes, that are handed to a sink at once; fewer wait for the next tick.
const MANY: usize = 128;
const MUCH: usize = 1 << 16;

/// One receiver: an encoder of its own, and the sink behind it.
pub struct Output {
    /// What the ledger calls it.
    pub name: String,
    encoder: Box<dyn Encode>,
    sink: To,
    messages: Messages,
    /// Messages are sent by the time of their flows, not when there are many: files are cut by it.
    by_time: bool,
    /// The sink was told what its first file begins with.
    opened: bool,
    /// Most records of a file of which each begins the encoder anew.
    most: Option<u64>,
    /// Records the encoder had made when the file began.
    before: u64,
}

/// Where messages go.
enum To {
    Sink(Box<dyn Sink>),
    /// Is told more than flows.
    Ntopng(Box<Ntopng>),
}

impl Deref for To {
    type Target = dyn Sink;

    fn deref(&self) -> &(dyn Sink + 'static) {
        match self {
            To::Sink(sink) => &**sink,
            To::Ntopng(ntopng) => &**ntopng,
        }
    }
}

impl DerefMut for To {
    fn deref_mut(&mut self) -> &mut (dyn Sink + 'static) {
        match self {
            To::Sink(sink) => &mut **sink,
            To::Ntopng(ntopng) => &mut **ntopng,
        }
    }
}

impl Output {
    /// Puts the two together.
    pub fn new(name: impl Into<String>, encoder: Box<dyn Encode>, sink: Box<dyn Sink>) -> Output {
        Output::to(name.into(), encoder, To::Sink(sink))
    }

    /// The same for ntopng.
    pub fn to_ntopng(name: String, encoder: Box<dyn Encode>, ntopng: Ntopng) -> Output {
        Output::to(name, encoder, To::Ntopng(Box::new(ntopng)))
    }

    fn to(name: String, encoder: Box<dyn Encode>, sink: To) -> Output {
        Output {
            name,
            encoder,
            sink,
            messages: Messages::default(),
            by_time: false,
            opened: false,
            most: None,
            before: 0,
        }
    }

    /// For a sink that divides its output by time.
    #[must_use]
    pub fn by_time(self) -> Output {
        Output { by_time: true, ..self }
    }

    /// For a sink whose files are sessions each, and hold at most so many records. The two records of one flow are not
    /// parted, so that a file holds at least two.
    #[must_use]
    pub fn of_sessions(self, most: u64) -> Output {
        Output { most: Some(most), ..self }
    }

    /// Tells the sink the time.
    fn clock(&mut self, env: &Env) {
        if self.by_time && (!self.opened || self.sink.turns(env.now)) {
            self.turn(env);
        }
        self.sink.clock(env.now);
    }

    /// What waits in the encoder belongs to the file that ends; the next begins with what a fresh encoder says first, the
    /// header line or the templates.
    fn turn(&mut self, env: &Env) {
        if core::mem::replace(&mut self.opened, true) {
            self.encoder.flush(env, &mut self.messages);
            self.send();
            self.encoder.restart();
        }
        let mut said = Messages::default();
        self.encoder.tick(env, &mut said);
        self.encoder.flush(env, &mut said);
        self.sink.begin_with(said.bytes());
        self.before = self.encoder.counters().records;
    }

    #[inline]
    fn take(&mut self, flow: &View<'_>, env: &mut Env) {
        // A record tells what this output had exported before its flow.
        env.exported = self.messages.finished();
        if let Some(most) = self.most {
            let written = self.encoder.counters().records - self.before;
            if written > 0 && written + 2 > most {
                self.turn(env);
                self.sink.cut();
            }
        }
        self.encoder.encode(flow, env, &mut self.messages);
    }

    /// Hands finished messages to the sink once there are enough of them to be worth it.
    #[inline]
    fn send_many(&mut self) {
        if self.by_time || self.messages.len() >= MANY || self.messages.bytes().len() >= MUCH {
            self.send();
        }
    }

    /// Hands finished messages to the sink.
    fn send(&mut self) {
        if !self.messages.is_empty() {
            self.sink.send(&self.messages);
            self.messages.clear();
        }
    }

    fn tick(&mut self, env: &Env, booted: bool) {
        // What was finished before a session ended belongs to that session.
        self.send();
        if booted {
            self.clock(env);
        }
        self.sink.tick();
        if self.sink.renewed() {
            self.encoder.restart();
        }
        if booted && self.sink.ready() {
            self.encoder.tick(env, &mut self.messages);
        }
        self.send();
        self.notices();
    }

    fn close(&mut self, env: &Env) {
        self.clock(env);
        self.encoder.flush(env, &mut self.messages);
        self.send();
        self.sink.close();
        self.notices();
    }

    fn notices(&mut self) {
        for notice in self.sink.notices() {
            // It begins with the option and its value.
            log::warn(format!("output {}", self.name), &notice);
        }
    }

    fn failure(&self, collector: bool) -> Option<String> {
        failure(&self.name, &*self.sink, collector)
    }

    /// Records in messages that are finished, but not handed to the sink yet.
    pub fn gathered(&self) -> u64 {
        self.messages.records()
    }

    /// What the encoder and the sink did.
    pub fn counters(&self) -> (encode::Counters, sink::Counters) {
        (self.encoder.counters(), self.sink.counters())
    }
}

/// Why not all was done that was asked for; of a collector only when it got nothing at all, as losing some is what the
/// ledger tells of.
pub(super) fn failure(name: &str, sink: &dyn Sink, collector: bool) -> Option<String> {
    let counters = sink.counters();
    let locked = counters.lost_to("flow_lock");
    if !collector || counters.delivered > 0 || counters.records == locked {
        return sink.failure().filter(|_| !collector);
    }
    sink.failure().or_else(|| {
        let reasons: Vec<String> = counters.lost.iter().map(|(reason, lost)| format!("{reason} {lost}")).collect();
        Some(format!("{name}: none of {} records was sent: {}", counters.records, reasons.join(", ")))
    })
}

/// All of them. Local outputs get every flow; collectors take turns, or get every flow too (`-a`).
pub struct Outputs {
    env: Env,
    /// The time of the first packet is known. Nothing is said of times before.
    booted: bool,
    local: Vec<Output>,
    collectors: Vec<Output>,
    all_collectors: bool,
    turn: usize,
    /// Send one flow in this many (the third rate of `-S`).
    sample: u32,
    skipped: u32,
    /// Flows sent to the outputs.
    pub flows: u64,
    /// Flows passed over by sampling.
    pub sampled_out: u64,
    /// What is printed at the end, if it is.
    pub summary: Option<Summary>,
    /// Flows have the times of exporters, by which ours is not to be told.
    exporters: bool,
    ticked: Option<Instant>,
}

impl Outputs {
    /// With nothing sent yet.
    pub fn new(env: Env, local: Vec<Output>, collectors: Vec<Output>) -> Self {
        Outputs {
            env,
            booted: false,
            local,
            collectors,
            all_collectors: false,
            turn: 0,
            sample: 1,
            skipped: 0,
            flows: 0,
            sampled_out: 0,
            summary: None,
            exporters: false,
            ticked: None,
        }
    }

    /// How flows are dealt out: all to every collector, or in turns; one in `sample` of them.
    #[must_use]
    pub fn dealing(self, all_collectors: bool, sample: u32) -> Self {
        Outputs { all_collectors, sample: sample.max(1), ..self }
    }

    /// With a summary to be printed at the end.
    #[must_use]
    pub fn with_summary(self, summary: Option<Summary>) -> Self {
        Outputs { summary, ..self }
    }

    /// For flows whose times are by other clocks.
    #[must_use]
    pub fn of_exporters(self) -> Self {
        Outputs { exporters: true, ..self }
    }

    /// Takes ended flows. `now` is the time of export, or that of their last packet where that is later: the flows that
    /// end because the clock was set back belong to the time before.
    pub fn take(&mut self, ended: &Ended, now: Nanos) {
        let latest = || ended.views().map(|flow| flow.base.last_seen()).fold(now, Nanos::max);
        self.begin(if self.exporters { now } else { latest() });
        for output in self.local.iter_mut().filter(|output| output.by_time) {
            output.clock(&self.env);
        }
        for flow in ended.views() {
            if self.sample > 1 {
                self.skipped += 1;
                if self.skipped < self.sample {
                    self.sampled_out += 1;
                    continue;
                }
                self.skipped = 0;
            }
            self.flows += 1;
            for output in &mut self.local {
                output.take(&flow, &mut self.env);
            }
            if self.all_collectors {
                for output in &mut self.collectors {
                    output.take(&flow, &mut self.env);
                }
            } else if let Some(output) = self.collectors.get_mut(self.turn) {
                output.take(&flow, &mut self.env);
                self.turn += 1;
                if self.turn == self.collectors.len() {
                    self.turn = 0;
                }
            }
            if let Some(summary) = &mut self.summary {
                summary.take(&flow, &self.env);
            }
        }
        for output in self.local.iter_mut().chain(&mut self.collectors) {
            output.send_many();
        }
    }

    /// Tells the time. It never runs backwards, as what was sent has a time; unless it is behind by more than the idle
    /// timeout: then the clock was set back, or an older capture follows.
    fn begin(&mut self, now: Nanos) {
        let idle = Nanos::new(self.env.idle_seconds.into(), 0);
        if self.env.now.since(now) > idle.0 {
            self.set_back(now);
        }
        self.env.now = self.env.now.max(now);
    }

    /// What was begun is finished in the time it belongs to. The uptime goes on from where it was, or times of flows would
    /// be before the probe's start for as long as the clock was set back.
    #[cold]
    fn set_back(&mut self, now: Nanos) {
        for output in self.local.iter_mut().chain(&mut self.collectors) {
            output.encoder.flush(&self.env, &mut output.messages);
            output.send();
        }
        if self.booted {
            let uptime = self.env.now.millis().saturating_sub(self.env.boot.millis());
            self.env.boot = Nanos::new(0, now.millis().saturating_sub(uptime).saturating_mul(1_000_000));
        }
        self.env.now = now;
    }

    /// Tells of the first packet: metering began, and sysUptime was 0, a second before. Whole milliseconds, so that a
    /// receiver that subtracts the uptime from the time of day finds the same.
    pub fn boot(&mut self, first: Nanos) {
        if !core::mem::replace(&mut self.booted, true) {
            self.env.boot = Nanos::new(0, first.millis().saturating_sub(1000).saturating_mul(1_000_000));
        }
    }

    /// Repeats templates, sends what waited too long, connects again. At most every 50 ms of real time does anything.
    pub fn tick(&mut self, now: Nanos) {
        if self.ticked.is_some_and(|last| last.elapsed().as_millis() < 50) {
            return;
        }
        self.ticked = Some(Instant::now());
        self.begin(now);
        for output in self.local.iter_mut().chain(&mut self.collectors) {
            output.tick(&self.env, self.booted);
        }
    }

    /// Tells ntopng how the probe does, when that is due.
    pub fn event(&mut self, options: &Options, sums: impl Fn() -> Sums) {
        let flows = self.flows;
        if let Some(ntopng) = self.ntopng() {
            ntopng.event(options, || Sums { flows, ..sums() });
        }
    }

    /// Tells ntopng what exporters told besides flows.
    pub fn asides(&mut self, asides: Vec<Aside>) {
        if let Some(ntopng) = self.ntopng() {
            asides.into_iter().for_each(|aside| ntopng.aside(aside));
        }
    }

    fn ntopng(&mut self) -> Option<&mut Ntopng> {
        self.local.iter_mut().find_map(|output| match &mut output.sink {
            To::Ntopng(ntopng) => Some(&mut **ntopng),
            To::Sink(_) => None,
        })
    }

    /// Sends all that is left.
    pub fn close(&mut self, now: Nanos) {
        self.begin(now);
        for output in self.local.iter_mut().chain(&mut self.collectors) {
            output.close(&self.env);
        }
    }

    /// What outputs could not do of what was asked of them, if anything; to be called once they are closed.
    pub fn outcome(&self) -> Result<(), Stop> {
        let local = self.local.iter().filter_map(|output| output.failure(false));
        let failures: Vec<String> = local.chain(self.collectors.iter().filter_map(|o| o.failure(true))).collect();
        if failures.is_empty() { Ok(()) } else { Err(Stop::Failed(failures.join("; "))) }
    }

    /// True when an output is gone for good, as when what reads our standard output ended: there is no use in going on.
    pub fn gone(&self) -> bool {
        self.iter().any(|output| output.sink.gone())
    }

    /// Every output, local ones first.
    pub fn iter(&self) -> impl Iterator<Item = &Output> {
        self.local.iter().chain(&self.collectors)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use flowsonde_engine::meter::Meter;
    use flowsonde_engine::meter::config::Config;
    use flowsonde_wire::{Frame, LinkType};

    use super::*;

    const HOUR: u64 = 3600;
    const NOON: u64 = 1_700_000_000;

    /// Keeps the version 9 messages it is given.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Sink for Kept {
        fn send(&mut self, messages: &Messages) {
            self.0.lock().unwrap().extend(messages.iter().map(|(message, _)| message.to_vec()));
        }
        fn tick(&mut self) {}
        fn close(&mut self) {}
        fn counters(&self) -> sink::Counters {
            sink::Counters::default()
        }
    }

    impl Kept {
        /// Of each message: uptime, seconds, sequence number, and the id of its first set.
        fn headers(&self) -> Vec<[u32; 4]> {
            let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            let kept = self.0.lock().unwrap();
            kept.iter().map(|m| [word(m, 4), word(m, 8), word(m, 12), word(m, 20) >> 16]).collect()
        }
    }

    fn outputs(version: &str) -> (Outputs, Kept) {
        let kept = Kept::default();
        let options = encode::Options { queue_seconds: 3600, resend_messages: 0, ..encode::Options::default() };
        let encoder = (encode::format(version).unwrap().start)(&options).unwrap();
        let output = Output::new("x", encoder, Box::new(kept.clone()));
        (Outputs::new(Env::default(), Vec::new(), vec![output]), kept)
    }

    /// A flow of one packet, at this second.
    fn flow(second: u64) -> Ended {
        let bytes = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 200, 0, 200, 1, 0, 8, 0, 0];
        let frame =
            Frame { time: Nanos::new(second, 0), link: LinkType::RAW, wire_len: 28, interface: 0, bytes: &bytes };
        let mut meter = Meter::new(Config::default());
        let mut all = None;
        meter.frames(&[frame], &mut |_| {});
        meter.flush(&mut |ended| all = Some(ended.clone()));
        all.unwrap()
    }

    fn tick(outputs: &mut Outputs, second: u64) {
        outputs.ticked = None;
        outputs.tick(Nanos::new(second, 0));
    }

    #[test]
    fn a_clock_that_is_set_back_is_followed() {
        let (mut outputs, kept) = outputs("netflow9");
        outputs.boot(Nanos::new(NOON, 0));
        outputs.take(&flow(NOON + 100), Nanos::new(NOON + 101, 0));
        assert_eq!(kept.headers(), [[0; 4]; 0]);
        tick(&mut outputs, NOON + 101 - HOUR);
        // What was begun is told in the old time; templates are sent again by the new one.
        outputs.take(&flow(NOON + 102 - HOUR), Nanos::new(NOON + 103 - HOUR, 0));
        tick(&mut outputs, NOON + 140 - HOUR);
        outputs.close(Nanos::new(NOON + 141 - HOUR, 0));
        let headers = kept.headers();
        let seconds: Vec<u32> = headers.iter().map(|header| header[1]).collect();
        let then = |second: u64| second as u32;
        assert_eq!(
            headers.iter().map(|header| header[3] >= 256).collect::<Vec<_>>(),
            [false, true, false, false, true],
            "{headers:?}"
        );
        assert_eq!(seconds[..2], [then(NOON + 101); 2], "{headers:?}");
        assert!(seconds[2..].iter().all(|second| (then(NOON - HOUR)..=then(NOON + 142 - HOUR)).contains(second)));
        assert!(headers.iter().map(|header| header[2]).eq(0..5), "{headers:?}");
        // Seconds since the start, a second before the first packet.
        let uptimes: Vec<u32> = headers.iter().map(|header| header[0] / 1000).collect();
        assert!(uptimes[1] == 102 && uptimes[4] == 142, "{uptimes:?}");
    }

    #[test]
    fn flows_that_end_because_of_it_belong_to_the_time_before() {
        let (mut outputs, _) = outputs("netflow9");
        outputs.boot(Nanos::new(NOON, 0));
        outputs.take(&flow(NOON + 100), Nanos::new(NOON - HOUR, 0));
        assert_eq!(outputs.env.now, Nanos::new(NOON + 100, 0));
        outputs.take(&flow(NOON + 90), Nanos::new(NOON - HOUR, 0));
        assert_eq!(outputs.env.now, Nanos::new(NOON + 100, 0), "within the idle timeout");
        outputs.take(&flow(NOON - HOUR - 1), Nanos::new(NOON - HOUR, 0));
        assert_eq!(outputs.env.now, Nanos::new(NOON - HOUR, 0));
    }
}
