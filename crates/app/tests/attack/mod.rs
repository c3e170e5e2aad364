//! Attacks on the whole path of a capture, in process: file format, decoding, metering with every group, every encoder.
//! Shared by the test (our captures) and the example `hostile` (a corpus).

pub mod mutate;
pub mod path;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mutate::Random;
use path::Path;

/// Truncations at each length up to here.
const SHORT: usize = 2000;
/// Then at each of so many packet boundaries.
const BOUNDARIES: usize = 500;
/// One attack may take so long; the largest capture takes milliseconds, and the machine may be busy.
const TOO_LONG: Duration = Duration::from_secs(60);

/// What came of the attacks with one capture.
#[derive(Default)]
pub struct Outcome {
    pub passed: u64,
    /// What was done, and how it went wrong.
    pub failed: Vec<String>,
}

/// All truncations and `mutations` of the capture in `bytes`; of what is no capture, only itself.
pub fn attack(name: &str, bytes: &[u8], mutations: u64, path: &mut Path) -> Outcome {
    let mut outcome = Outcome::default();
    let mut attempt = |what: String, bytes: &[u8]| {
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| path.run(bytes)));
        let (is_capture, wrong) = match result {
            Err(panic) => {
                *path = Path::default();
                let text = panic.downcast_ref::<String>().map(String::as_str);
                (false, Some(text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("panic").to_owned()))
            }
            Ok(is_capture) => {
                let took = started.elapsed();
                (is_capture, (took > TOO_LONG).then(|| format!("took {took:?}")))
            }
        };
        match wrong {
            Some(wrong) => outcome.failed.push(format!("{name}: {what}: {wrong}")),
            None => outcome.passed += 1,
        }
        is_capture
    };
    if !attempt("whole".into(), bytes) {
        return outcome;
    }
    for length in 0..bytes.len().min(SHORT) {
        attempt(format!("first {length} bytes"), bytes.get(..length).unwrap_or(bytes));
    }
    let boundaries = mutate::boundaries(bytes);
    for &length in boundaries.iter().take(BOUNDARIES).filter(|&&length| length >= SHORT) {
        attempt(format!("first {length} bytes"), bytes.get(..length).unwrap_or(bytes));
    }
    for seed in 0..mutations {
        let mutated = mutate::mutate(bytes, &boundaries, &mut Random(seed));
        attempt(format!("mutation {seed}"), &mutated);
    }
    outcome
}
