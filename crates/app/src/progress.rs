//! The progress line: how far a capture is read, how fast, and how long it will take.
//!
//! It is shown on stderr when that is a terminal, at most ten times a second, and is gone when the work is done. The
//! time shown is that of the clock on the wall, which has nothing to do with the time of packets.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use crate::console;

/// Shortest time between two lines.
const PAUSE: Duration = Duration::from_millis(100);
/// No estimate is made before this time: the first moments of a run say little.
const SETTLED: Duration = Duration::from_millis(500);

/// How far the work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Bytes read.
    pub bytes: u64,
    /// Bytes there are to read, if that is known.
    pub total: Option<u64>,
    /// Packets read.
    pub packets: u64,
    /// Flows exported.
    pub flows: u64,
}

/// A progress line; it takes itself away when dropped.
#[derive(Debug)]
pub struct Progress {
    wanted: bool,
    start: Instant,
    last: Option<Instant>,
    width: usize,
}

impl Progress {
    /// A line for work that begins now; it is never shown if it is not wanted or stderr is no terminal.
    pub fn new(wanted: bool, now: Instant) -> Self {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        Progress { wanted: wanted && stderr().is_terminal(), start: now, last: None, width: columns.unwrap_or(80) }
    }

    /// Whether a line may be shown now; asks nothing of the system.
    pub fn due(&self, now: Instant) -> bool {
        self.wanted && self.last.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE)
    }

    /// Shows how far the work is, if a line is due.
    pub fn show(&mut self, done: &Done, now: Instant) {
        if self.due(now) {
            self.last = Some(now);
            let line = line(done, now.saturating_duration_since(self.start));
            // The last column is left free: a terminal would break the line after it.
            let fits: String = line.chars().take(self.width.saturating_sub(1)).collect();
            console::progress(&fits);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.last.is_some() {
            console::progress("");
        }
    }
}

/// The line's text.
fn line(done: &Done, elapsed: Duration) -> String {
    let mut parts = Vec::new();
    match done.total.filter(|&total| total > 0) {
        Some(total) => {
            let share = u128::from(done.bytes.min(total)) * 100 / u128::from(total);
            parts.push(format!("{share:3} % of {}", size(total)));
        }
        None => parts.push(size(done.bytes)),
    }
    parts.push(format!("{} packets", short(done.packets)));
    parts.push(format!("{} flows", short(done.flows)));
    if elapsed >= SETTLED {
        let rate = u128::from(done.packets) * 1000 / elapsed.as_millis();
        parts.push(format!("{} packets/s", short(u64::try_from(rate).unwrap_or(u64::MAX))));
        if let Some(left) = left(done, elapsed) {
            parts.push(format!("{}:{:02} left", left / 60, left % 60));
        }
    }
    parts.join(", ")
}

/// Seconds the rest will take at the average speed so far.
fn left(done: &Done, elapsed: Duration) -> Option<u64> {
    let rest = done.total?.checked_sub(done.bytes)?;
    let millis = elapsed.as_millis().checked_mul(u128::from(rest))?.checked_div(u128::from(done.bytes))?;
    u64::try_from(millis.div_ceil(1000)).ok()
}

/// A number of bytes: `999 B`, `1.23 kB`.
fn size(bytes: u64) -> String {
    let text = short(bytes);
    if bytes < 1000 { format!("{text} B") } else { format!("{text}B") }
}

/// Three digits and a decimal prefix: `999`, `1.23 k`, `45.6 M`.
fn short(number: u64) -> String {
    const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut prefix = 0;
    let mut unit = 1_u64;
    while number / unit >= 1000 && prefix + 1 < PREFIXES.len() {
        unit *= 1000;
        prefix += 1;
    }
    let whole = number / unit;
    let thousandths = (u128::from(number % unit) * 1000 / u128::from(unit)) as u64;
    let digits = match (prefix, whole) {
        (0, _) | (_, 100..) => format!("{whole}"),
        (_, 10..) => format!("{whole}.{}", thousandths / 100),
        _ => format!("{whole}.{:02}", thousandths / 10),
    };
    if prefix == 0 { digits } else { format!("{digits} {}", PREFIXES[prefix]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.00 k"),
            (1234, "1.23 k"),
            (45_678_000, "45.6 M"),
            (999_999, "999 k"),
            (u64::MAX, "18.4 E"),
        ] {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn the_line_says_how_far_and_how_long() {
        let done = Done { bytes: 250, total: Some(1000), packets: 3_000_000, flows: 12 };
        assert_eq!(
            line(&done, Duration::from_secs(20)),
            " 25 % of 1.00 kB, 3.00 M packets, 12 flows, 150 k packets/s, 1:00 left"
        );
        assert_eq!(line(&done, Duration::ZERO), " 25 % of 1.00 kB, 3.00 M packets, 12 flows");
        let live = Done { total: None, ..done };
        assert_eq!(line(&live, Duration::from_secs(20)), "250 B, 3.00 M packets, 12 flows, 150 k packets/s");
        let nothing = Done { total: Some(0), ..Done::default() };
        assert_eq!(line(&nothing, Duration::from_secs(1)), "0 B, 0 packets, 0 flows, 0 packets/s");
    }

    #[test]
    fn lines_come_at_most_ten_times_a_second() {
        let start = Instant::now();
        let mut progress = Progress { wanted: true, start, last: None, width: 80 };
        assert!(progress.due(start));
        progress.last = Some(start);
        assert!(!progress.due(start + Duration::from_millis(99)));
        assert!(progress.due(start + Duration::from_millis(100)));
        progress.wanted = false;
        assert!(!progress.due(start + Duration::from_secs(1)));
        progress.last = None;
    }
}
