//! What there is to tell the user of an endpoint. Peers decide how often things happen, so the same kind of line comes a
//! few times in a row, and from then on once a minute, with the number of those left out.

use core::time::Duration;
use std::time::Instant;

/// Kinds of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Came,
    Left,
    Absent,
    Handshake,
    Full,
    Long,
    Error,
}

/// Lines not yet taken.
#[derive(Debug)]
pub(super) struct Notices {
    name: String,
    lines: Vec<String>,
    said: Vec<Said>,
}

#[derive(Debug)]
struct Said {
    kind: Kind,
    last: Instant,
    row: u32,
    left_out: u64,
}

const IN_A_ROW: u32 = 3;
const SAY_AGAIN: Duration = Duration::from_secs(60);

impl Notices {
    pub(super) fn new(name: String) -> Self {
        Notices { name, lines: Vec::new(), said: Vec::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Says a line, unless it was said lately.
    pub(super) fn say(&mut self, kind: Kind, text: &str) {
        self.say_at(kind, text, Instant::now());
    }

    fn say_at(&mut self, kind: Kind, text: &str, now: Instant) {
        // A queue that is full is so for every message; people come and go.
        let in_a_row = if matches!(kind, Kind::Came | Kind::Left) { IN_A_ROW } else { 1 };
        let mut left_out = 0;
        match self.said.iter_mut().find(|said| said.kind == kind) {
            Some(said) => {
                if now.duration_since(said.last) >= SAY_AGAIN {
                    said.row = 0;
                } else if said.row >= in_a_row {
                    said.left_out += 1;
                    return;
                }
                said.row += 1;
                said.last = now;
                left_out = core::mem::take(&mut said.left_out);
            }
            None => self.said.push(Said { kind, last: now, row: 1, left_out: 0 }),
        }
        let more = if left_out > 0 { format!(" ({left_out} such lines were left out)") } else { String::new() };
        self.lines.push(format!("--zmq {}: {text}{more}", self.name));
    }

    pub(super) fn take(&mut self) -> Vec<String> {
        core::mem::take(&mut self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limited() {
        let mut notices = Notices::new("tcp://*:5556".into());
        let now = Instant::now();
        for _ in 0..5 {
            notices.say_at(Kind::Came, "a subscriber came", now);
            notices.say_at(Kind::Full, "full", now);
        }
        assert_eq!(notices.take().len(), 4);
        notices.say_at(Kind::Full, "full", now + SAY_AGAIN);
        assert_eq!(notices.take(), ["--zmq tcp://*:5556: full (4 such lines were left out)"]);
        notices.say_at(Kind::Full, "full", now + SAY_AGAIN);
        assert!(notices.take().is_empty());
    }
}
