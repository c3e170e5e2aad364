//! `--original-speed`: a capture handed on at the pace it was taken.
//!
//! The first packet of a capture comes at once, each other one as long after it as the capture says. Packets that wait are copied,
//! as nobody may wait inside [`Source::poll`] for longer than it promises; at the pace of a network that costs nothing.

use std::thread;
use std::time::{Duration, Instant};

use flowsonde_wire::{Frame, LinkType, Nanos};

use super::{BATCH, Counters, Error, NOTHING, Poll, Source};

/// Longest wait inside one call.
const WAIT: Duration = Duration::from_millis(100);

/// What the time is, and how to let it pass. The test has its own.
#[derive(Clone, Copy)]
struct Clock {
    now: fn() -> Instant,
    sleep: fn(Duration),
}

const CLOCK: Clock = Clock { now: Instant::now, sleep: thread::sleep };

/// A source slowed down to its packets' own times.
pub struct Paced<S> {
    source: S,
    /// When the first packet was handed on, and its own time.
    start: Option<(Instant, Nanos)>,
    waiting: Vec<Waiting>,
    bytes: Vec<u8>,
    /// Of `waiting`, how many were handed on.
    gone: usize,
    ended: bool,
    clock: Clock,
}

/// A packet whose bytes are at a place in `bytes`.
#[derive(Clone, Copy)]
struct Waiting {
    time: Nanos,
    link: LinkType,
    wire_len: u32,
    interface: u32,
    from: usize,
    to: usize,
}

impl<S: Source> Paced<S> {
    /// Slows `source` down.
    pub fn new(source: S) -> Self {
        Self::by(CLOCK, source)
    }

    fn by(clock: Clock, source: S) -> Self {
        Paced { source, start: None, waiting: Vec::new(), bytes: Vec::new(), gone: 0, ended: false, clock }
    }

    /// Copies the next packets, if those before are gone.
    fn refill(&mut self) -> Result<Poll, Error> {
        self.gone = 0;
        let Paced { source, waiting, bytes, .. } = self;
        waiting.clear();
        bytes.clear();
        source.poll(&mut |frames| {
            for frame in frames {
                let from = bytes.len();
                bytes.extend_from_slice(frame.bytes);
                let Frame { time, link, wire_len, interface, .. } = *frame;
                waiting.push(Waiting { time, link, wire_len, interface, from, to: bytes.len() });
            }
        })
    }
}

impl<S: Source> Source for Paced<S> {
    fn poll(&mut self, consume: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        if self.gone == self.waiting.len() {
            match if self.ended { Poll::End } else { self.refill()? } {
                Poll::Frames(_) => {}
                Poll::Idle => return Ok(Poll::Idle),
                Poll::End => {
                    self.ended = true;
                    return Ok(Poll::End);
                }
            }
        }
        let Some(next) = self.waiting.get(self.gone) else { return Ok(Poll::Frames(0)) };
        let Clock { now, sleep } = self.clock;
        let (began, first) = *self.start.get_or_insert_with(|| (now(), next.time));
        let early = Duration::from_nanos(next.time.since(first)).saturating_sub(now().duration_since(began));
        if !early.is_zero() {
            sleep(early.min(WAIT));
            if early > WAIT {
                return Ok(Poll::Idle);
            }
        }
        let passed = now().duration_since(began);
        let mut frames = [NOTHING; BATCH];
        let mut len = 0;
        for (frame, waiting) in frames.iter_mut().zip(self.waiting.iter().skip(self.gone)) {
            // The first of them is due, whatever the clock's grain.
            if len > 0 && Duration::from_nanos(waiting.time.since(first)) > passed {
                break;
            }
            let Waiting { time, link, wire_len, interface, from, to } = *waiting;
            *frame = Frame { time, link, wire_len, interface, bytes: self.bytes.get(from..to).unwrap_or(&[]) };
            len += 1;
        }
        consume(frames.get(..len).unwrap_or(&[]));
        self.gone += len;
        Ok(Poll::Frames(len))
    }

    fn another(&mut self) -> bool {
        let another = self.source.another();
        if another {
            // What lies between two captures is not waited for.
            self.start = None;
        }
        another
    }

    fn counters(&mut self) -> Counters {
        let mut counters = self.source.counters();
        // Those that wait have not been seen yet.
        counters.seen -= (self.waiting.len() - self.gone) as u64;
        counters
    }

    fn warning(&mut self) -> Option<String> {
        self.source.warning()
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.source.progress()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Hands on one batch of packets at these milliseconds.
    struct Times(Option<Vec<u64>>);

    impl Source for Times {
        fn poll(&mut self, consume: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
            let Some(times) = self.0.take() else { return Ok(Poll::End) };
            let frames: Vec<Frame<'_>> = times
                .iter()
                .map(|millis| Frame { time: Nanos(millis * 1_000_000), bytes: b"abc", ..NOTHING })
                .collect();
            consume(&frames);
            Ok(Poll::Frames(frames.len()))
        }

        fn counters(&mut self) -> Counters {
            Counters { seen: 4, ..Counters::default() }
        }
    }

    thread_local! {
        /// When the test began, and what has passed since: only sleeping takes time.
        static TIME: (Instant, Cell<Duration>) = (Instant::now(), Cell::new(Duration::ZERO));
    }

    fn passed() -> Duration {
        TIME.with(|(_, passed)| passed.get())
    }

    const SLEEP_ONLY: Clock = Clock {
        now: || TIME.with(|(began, passed)| *began + passed.get()),
        sleep: |time| TIME.with(|(_, passed)| passed.set(passed.get() + time)),
    };

    #[test]
    fn keeps_the_distances_and_never_waits_long() {
        let mut paced = Paced::by(SLEEP_ONLY, Times(Some(vec![5_000, 5_000, 5_250, 5_100])));
        let (mut batches, mut idle) = (Vec::new(), 0);
        loop {
            let before = passed();
            let poll = paced.poll(&mut |frames| batches.push((frames.len(), passed().as_millis()))).expect("polls");
            assert!(passed() - before <= WAIT);
            match poll {
                Poll::Frames(_) if batches.len() == 1 => assert_eq!(paced.counters().seen, 2),
                Poll::Frames(_) => {}
                Poll::Idle => idle += 1,
                Poll::End => break,
            }
        }
        assert_eq!(batches, [(2, 0), (2, 250)]);
        assert_eq!(idle, 2);
    }
}
