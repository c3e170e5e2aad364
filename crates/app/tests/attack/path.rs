//! The path of a capture, from its bytes to messages, with every book checked at the end.

use std::io::Cursor;

use flowsonde_app::dpi::Dpi;
use flowsonde_app::flags::Options;
use flowsonde_elements::Template;
use flowsonde_engine::encode::{self, Encode, Messages};
use flowsonde_engine::fill::{self, Env};
use flowsonde_engine::meter::Config;
use flowsonde_engine::meter::{Group, Groups, Meter};
use flowsonde_io::source::{CaptureFile, Poll, Source};
use flowsonde_wire::{Frame, LinkType, Nanos};

const HOUR: u64 = 3_600_000_000_000;
/// Behind this a clock is mad, and its meter is thrown away.
const YEAR_2200: Nanos = Nanos::new(7_258_118_400, 0);
/// Runs of which one is encoded too.
const ENCODED: u64 = 4;
/// Runs of which one is dissected.
const DISSECTED: u64 = 8;

/// One meter and an encoder of each format. They are used again and again, as a meter is costly to make; each run begins
/// an hour after the one before.
pub struct Path {
    meter: Meter,
    /// One that finds applications out, which is slow: it takes one run in [`DISSECTED`].
    dissecting: Meter,
    encoders: Vec<(&'static str, Box<dyn Encode>)>,
    messages: Messages,
    env: Env,
    runs: u64,
}

impl Default for Path {
    fn default() -> Self {
        let mut template = Template::default();
        for row in fill::rows() {
            template.push(row.element);
        }
        let options = encode::Options { template, applications: true, ..encode::Options::default() };
        let start = |spec: &encode::Format| Some((spec.name, (spec.start)(&options).ok()?));
        let encoders: Vec<_> = encode::SPECS.iter().filter_map(start).collect();
        assert_eq!(encoders.len(), encode::SPECS.len(), "an encoder did not start");
        Path {
            meter: meter(),
            dissecting: dissecting(),
            encoders,
            messages: Messages::default(),
            env: Env::default(),
            runs: 0,
        }
    }
}

fn meter() -> Meter {
    let groups = Group::OPTIONAL.iter().fold(Groups::default(), |groups, (group, ..)| groups.with(*group));
    let config = Config { groups, max_flows: 3000, by_minute: true, random: 7, ..Config::default() };
    Meter::new(config)
}

fn dissecting() -> Meter {
    let options = Options::default();
    let dissection = Dpi::open(&options).and_then(|dpi| dpi.dissection());
    meter().dissecting(dissection.expect("libndpi starts"))
}

impl Path {
    /// Runs a capture through. False when it is none.
    pub fn run(&mut self, bytes: &[u8]) -> bool {
        let dissected = self.runs.is_multiple_of(DISSECTED);
        if dissected {
            core::mem::swap(&mut self.meter, &mut self.dissecting);
        }
        let is_capture = self.run_once(bytes);
        if dissected {
            core::mem::swap(&mut self.meter, &mut self.dissecting);
        }
        is_capture
    }

    fn run_once(&mut self, bytes: &[u8]) -> bool {
        if self.meter.now() > YEAR_2200 {
            self.meter = if self.runs.is_multiple_of(DISSECTED) { dissecting() } else { meter() };
        }
        self.runs += 1;
        let encoded = self.runs % ENCODED == 1;
        let before = self.meter.counters();
        let resume = self.meter.now().0.saturating_add(HOUR);
        let mut shift = None;
        let mut source = CaptureFile::from_reader(Cursor::new(bytes.to_vec()), "attack", None);
        let Path { meter, encoders, messages, env, .. } = self;
        let mut take = |ended: &flowsonde_engine::meter::Ended| {
            for flow in ended.views() {
                for (_, encoder) in encoders.iter_mut().filter(|_| encoded) {
                    encoder.encode(&flow, env, messages);
                }
            }
            messages.clear();
        };
        let mut handed_on = 0;
        let mut is_capture = true;
        // Every poll hands frames on, reads, or ends: there is a limit to how many there can be. Compressed bytes may
        // become a thousand times as many.
        let limit = 1_000_000 + bytes.len() * 1000;
        let mut polls = 0;
        loop {
            polls += 1;
            assert!(polls < limit, "the source does not end");
            let poll = source.poll(&mut |frames| {
                handed_on += frames.len() as u64;
                // On from where the last run ended, else all would seem idle.
                let first = frames.first().map_or(0, |frame| frame.time.0);
                let shift = *shift.get_or_insert(resume.saturating_sub(first));
                let mut shifted = [EMPTY; flowsonde_io::source::BATCH];
                for (to, from) in shifted.iter_mut().zip(frames) {
                    *to = Frame { time: Nanos(from.time.0.saturating_add(shift)), ..*from };
                }
                meter.frames(shifted.get(..frames.len()).unwrap_or(&[]), &mut take);
            });
            match poll {
                Ok(Poll::End) => break,
                Ok(Poll::Frames(_) | Poll::Idle) => {}
                Err(_) => {
                    is_capture = false;
                    break;
                }
            }
        }
        meter.flush(&mut take);
        if encoded {
            for (_, encoder) in &mut *encoders {
                encoder.flush(env, messages);
                encoder.tick(env, messages);
            }
            messages.clear();
        }
        let seen = source.counters();
        assert_eq!(seen.seen, handed_on + seen.kernel_drops + seen.filtered + seen.cut, "source: {seen:?}");
        let c = meter.counters();
        assert_eq!(c.packets - before.packets, handed_on, "not every frame was taken");
        let undecoded: u64 = c.undecoded.iter().sum();
        assert_eq!(c.packets, c.metered + c.sampled_out + undecoded + c.parked, "meter: {c:?}");
        assert_eq!(
            c.started,
            c.exported + c.too_small + c.one_way + c.two_way + c.other_application + c.held,
            "cache: {c:?}"
        );
        assert_eq!((c.held, c.parked), (0, 0), "left behind: {c:?}");
        for (name, encoder) in encoders {
            let c = encoder.counters();
            assert_eq!(c.flows, c.encoded + c.v5_ipv6 + c.untold, "{name}: {c:?}");
            assert_eq!(c.pending, 0, "{name}: {c:?}");
        }
        is_capture
    }
}

const EMPTY: Frame<'static> = Frame { time: Nanos(0), link: LinkType::NULL, wire_len: 0, interface: 0, bytes: &[] };
