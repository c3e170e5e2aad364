//! What the program says while it runs, on stderr: each kind of warning at most once in ten seconds.
//!
//! A kind is a word in the code, or names an output or the like, of which there are as many as the user asked for; what a
//! text says of traffic does not make a new one. Should there be many all the same, those over a bound share one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::console;
use crate::flags::process::Verbosity;
use crate::manual::PROGRAM;

/// How long a kind of warning is kept back after one was shown.
pub const PAUSE: Duration = Duration::from_secs(10);
/// Most kinds that are told apart.
const KINDS: usize = 1024;
/// The kind of what is over.
const OTHERS: &str = "others";

static LOG: Mutex<Option<Log>> = Mutex::new(None);

struct Log {
    verbosity: Verbosity,
    limiter: Limiter,
}

/// Whose name stands before what is said.
static NAME: OnceLock<&str> = OnceLock::new();

/// Says that this is another program.
pub fn set_program(name: &'static str) {
    let _already = NAME.set(name);
}

fn program() -> &'static str {
    NAME.get().copied().unwrap_or(PROGRAM)
}

/// Sets how much [`say`] says.
pub fn set_verbosity(verbosity: Verbosity) {
    with(|log| log.verbosity = verbosity);
}

/// Warns of something, unless a warning of its kind was shown less than ten seconds ago; it is counted then, and the
/// next one of its kind tells how many there were.
pub fn warn(kind: impl Into<Cow<'static, str>>, text: &str) {
    let kind = kind.into();
    if let Some(suppressed) = with(|log| log.limiter.pass(kind, Instant::now())) {
        let more = if suppressed == 0 { String::new() } else { format!(" ({suppressed} more suppressed)") };
        console::line(&format!("{}: {text}{more}", program()));
    }
}

/// Says something if the user asked for this much.
pub fn say(least: Verbosity, text: &str) {
    if with(|log| log.verbosity) >= least {
        console::line(&format!("{}: {text}", program()));
    }
}

/// Tells, at the end, how many warnings were kept back and never told of.
pub fn finish() {
    for (kind, suppressed) in with(|log| log.limiter.rest()) {
        console::line(&format!("{}: {kind}: {suppressed} more suppressed", program()));
    }
}

fn with<T>(act: impl FnOnce(&mut Log) -> T) -> T {
    let mut log: MutexGuard<'_, Option<Log>> = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    act(log.get_or_insert_with(|| Log { verbosity: Verbosity::Normal, limiter: Limiter::default() }))
}

/// Lets one of a kind pass in ten seconds, and counts the others.
#[derive(Debug, Default)]
pub struct Limiter {
    kinds: HashMap<Cow<'static, str>, Passed>,
}

#[derive(Debug)]
struct Passed {
    at: Instant,
    suppressed: u64,
}

impl Limiter {
    /// Whether one of this kind may pass now, and how many were kept back since the last that did.
    pub fn pass(&mut self, kind: impl Into<Cow<'static, str>>, now: Instant) -> Option<u64> {
        let mut kind = kind.into();
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&kind) {
            kind = OTHERS.into();
        }
        match self.kinds.get_mut(&kind) {
            None => {
                self.kinds.insert(kind, Passed { at: now, suppressed: 0 });
                Some(0)
            }
            Some(passed) if now.saturating_duration_since(passed.at) >= PAUSE => {
                passed.at = now;
                Some(std::mem::take(&mut passed.suppressed))
            }
            Some(passed) => {
                passed.suppressed += 1;
                None
            }
        }
    }

    /// The kinds with some kept back, by name, and how many; they are forgotten.
    pub fn rest(&mut self) -> Vec<(Cow<'static, str>, u64)> {
        let mut rest: Vec<_> =
            self.kinds.drain().filter(|(_, p)| p.suppressed > 0).map(|(kind, p)| (kind, p.suppressed)).collect();
        rest.sort_unstable();
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_kind_passes_in_ten_seconds() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(limiter.pass("a", start), Some(0));
        assert_eq!(limiter.pass("a", after(1)), None);
        assert_eq!(limiter.pass("b", after(1)), Some(0), "kinds do not share");
        assert_eq!(limiter.pass("a", after(9)), None);
        assert_eq!(limiter.pass("a", after(10)), Some(2));
        assert_eq!(limiter.pass("a", after(19)), None);
        assert_eq!(limiter.rest(), [("a".into(), 1)]);
        assert_eq!(limiter.rest(), []);
    }

    #[test]
    fn kinds_are_bounded() {
        let mut limiter = Limiter::default();
        let now = Instant::now();
        assert!((0..KINDS).all(|i| limiter.pass(format!("output {i}"), now) == Some(0)));
        assert_eq!(limiter.pass("one more", now), Some(0));
        assert_eq!(limiter.pass("and one more", now), None);
        assert_eq!(limiter.pass("output 1", now), None);
        assert_eq!(limiter.rest(), [(OTHERS.into(), 1), ("output 1".into(), 1)]);
    }
}
