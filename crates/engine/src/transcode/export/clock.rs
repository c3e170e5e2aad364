//! The time of our messages, and of our uptime.
//!
//! It is the time of arrival. Times relative to an uptime (NetFlow) are relative to ours, which began a day before the first
//! message came, so that flows that were long under way by then have times, too. An uptime tells 49.7 days: where an
//! exporter's clock is further than a day from ours, as in what was recorded long ago, the messages that tell its flows have
//! its time.

use flowsonde_wire::Nanos;

use crate::decode::records::About;
use crate::fill::Env;

/// See the module.
#[derive(Debug)]
pub(super) struct Clock {
    /// Times are relative to the messages': these follow clocks that are far off.
    relative: bool,
    env: Env,
    arrival: Nanos,
}

const DAY: u64 = 86_400_000_000_000;

impl Clock {
    /// Before the first message.
    pub fn new(relative: bool) -> Clock {
        Clock { relative, env: Env::default(), arrival: Nanos(0) }
    }

    /// What headers are written from.
    #[inline]
    pub fn env(&self) -> &Env {
        &self.env
    }

    fn time(&self, about: &About, now: Nanos) -> Nanos {
        if self.relative && about.export.0.abs_diff(now.0) > DAY { about.export } else { now }
    }

    /// Whether records of this message are of a time too far from that of the messages under way.
    #[inline]
    pub fn leaps(&self, about: &About, now: Nanos) -> bool {
        self.is_set() && self.time(about, now).0.abs_diff(self.env.now.0) > DAY
    }

    /// Takes the time of a message.
    #[inline]
    pub fn arrived(&mut self, about: &About, now: Nanos) {
        let time = self.time(about, now);
        if !self.is_set() || self.leaps(about, now) {
            self.env.now = time;
            // Whole milliseconds, so that a receiver which subtracts the uptime from the time of day finds the same.
            self.env.boot = Nanos(time.0.saturating_sub(DAY).max(1_000_000) / 1_000_000 * 1_000_000);
        }
        self.env.now = self.env.now.max(time);
        self.arrival = self.arrival.max(now);
    }

    /// Time goes on; false before the first message.
    pub fn tick(&mut self, now: Nanos) -> bool {
        self.env.now = Nanos(self.env.now.0.saturating_add(now.since(self.arrival)));
        self.arrival = self.arrival.max(now);
        self.is_set()
    }

    fn is_set(&self) -> bool {
        self.env.boot > Nanos(0)
    }
}
