//! A sink that is silent while a file exists (`-C`): the standby of a pair of probes, which meters but does not export.

use super::{Counters, Sink};
use core::time::Duration;
use flowsonde_engine::encode::Messages;
use flowsonde_wire::Nanos;
use std::path::PathBuf;
use std::time::Instant;

/// A sink, and the file that locks it. While locked, records are lost as `flow_lock`. When the lock goes, the receiver
/// counts as a new session: it may have missed templates.
pub struct Locked {
    sink: Box<dyn Sink>,
    file: PathBuf,
    state: State,
    looked: Instant,
    messages: u64,
    records: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Shut,
    /// The file is gone, but the encoder has not been told to begin anew.
    Due,
}

/// How long a look at the file is good for.
const FRESH: Duration = Duration::from_millis(100);

impl Locked {
    /// Locks `sink` while `file` exists.
    pub fn new(sink: Box<dyn Sink>, file: PathBuf) -> Self {
        let mut locked = Locked { sink, file, state: State::Open, looked: Instant::now(), messages: 0, records: 0 };
        locked.look();
        locked
    }

    fn look(&mut self) {
        self.looked = Instant::now();
        self.state = match (self.file.exists(), self.state) {
            (true, _) => State::Shut,
            (false, State::Open) => State::Open,
            (false, State::Shut | State::Due) => State::Due,
        };
    }
}

impl Sink for Locked {
    fn send(&mut self, messages: &Messages) {
        if self.looked.elapsed() >= FRESH {
            self.look();
        }
        if self.state == State::Open {
            self.sink.send(messages);
        } else {
            self.messages += messages.len() as u64;
            self.records += messages.records();
        }
    }

    fn tick(&mut self) {
        self.look();
        self.sink.tick();
    }

    fn close(&mut self) {
        self.sink.close();
    }

    fn renewed(&mut self) -> bool {
        match self.state {
            State::Open => self.sink.renewed(),
            State::Shut => false,
            State::Due => {
                self.state = State::Open;
                self.sink.renewed();
                true
            }
        }
    }

    fn ready(&self) -> bool {
        self.state != State::Shut && self.sink.ready()
    }

    fn counters(&self) -> Counters {
        let mut counters = self.sink.counters();
        counters.messages += self.messages;
        counters.records += self.records;
        counters.lose("flow_lock", self.records);
        counters
    }

    fn clock(&mut self, now: Nanos) {
        self.sink.clock(now);
    }

    fn gone(&self) -> bool {
        self.sink.gone()
    }

    fn failure(&self) -> Option<String> {
        self.sink.failure()
    }

    fn notices(&mut self) -> Vec<String> {
        self.sink.notices()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Good(Counters);

    impl Sink for Good {
        fn send(&mut self, messages: &Messages) {
            self.0.take(messages);
            self.0.delivered += messages.records();
        }
        fn tick(&mut self) {}
        fn close(&mut self) {}
        fn counters(&self) -> Counters {
            self.0.clone()
        }
    }

    #[test]
    fn silent_while_the_file_exists() {
        let file = std::env::temp_dir().join(format!("flowsonde-lock-{}", std::process::id()));
        let mut messages = Messages::default();
        messages.buffer().push(1);
        messages.finish(3);

        let mut sink = Locked::new(Box::new(Good::default()), file.clone());
        sink.send(&messages);
        assert!(sink.ready() && !sink.renewed());
        std::fs::write(&file, "").unwrap();
        sink.tick();
        sink.send(&messages);
        assert!(!sink.ready() && !sink.renewed());
        std::fs::remove_file(&file).unwrap();
        sink.tick();
        // Encoded before the encoder knew of the new session: without templates.
        sink.send(&messages);
        assert!(sink.ready() && sink.renewed() && !sink.renewed());
        sink.send(&messages);
        let counters = sink.counters();
        assert_eq!((counters.records, counters.delivered), (12, 6));
        assert_eq!(counters.lost, [("flow_lock", 6)]);
        assert!(counters.balanced());
    }
}
