//! How fast to go: a number of flows or datagrams a second, told by the time that has passed.

use std::time::Duration;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Flow records.
    Flows,
    /// Datagrams.
    Datagrams,
}

/// A rate being kept. What could not be sent in time is caught up with, but for no more than a tenth of a second's.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    per_second: f64,
    /// Units given up, as the rate was not reached.
    skipped: f64,
}

impl Pace {
    const CATCH_UP: f64 = 0.1;

    /// So many units a second.
    pub fn new(per_second: u64) -> Pace {
        Pace { per_second: per_second.max(1) as f64, skipped: 0.0 }
    }

    /// The units that may be sent now, `elapsed` from the start with `sent` gone out; at least one, or how long to wait
    /// until then.
    pub fn allowed(&mut self, elapsed: Duration, sent: u64) -> Result<u64, Duration> {
        let due = elapsed.as_secs_f64() * self.per_second - self.skipped - sent as f64;
        if due < 0.0 {
            return Err(Duration::from_secs_f64(-due / self.per_second));
        }
        let most = (self.per_second * Self::CATCH_UP).max(1.0);
        self.skipped += (due - most).max(0.0);
        Ok(due.min(most) as u64 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_allowed_and_no_more() {
        let mut pace = Pace::new(1000);
        assert_eq!(pace.allowed(Duration::ZERO, 0), Ok(1));
        assert_eq!(pace.allowed(Duration::ZERO, 24), Err(Duration::from_millis(24)));
        assert_eq!(pace.allowed(Duration::from_millis(24), 24), Ok(1));
        assert_eq!(pace.allowed(Duration::from_millis(74), 24), Ok(51));
    }

    #[test]
    fn a_long_delay_is_not_made_up_for() {
        let mut pace = Pace::new(1000);
        assert_eq!(pace.allowed(Duration::from_secs(10), 0), Ok(101));
        assert_eq!(pace.allowed(Duration::from_secs(10), 101), Err(Duration::from_millis(1)));
    }
}
