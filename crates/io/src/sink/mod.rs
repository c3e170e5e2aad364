//! Where records go.
//!
//! The order of calls a sink expects of its owner, again and again: [`Sink::clock`], [`Sink::tick`], [`Sink::renewed`]
//! (and when true, the encoder's `restart`), then [`Sink::send`], and last [`Sink::close`].

use flowsonde_engine::encode::Messages;
use flowsonde_wire::Nanos;

mod calendar;
pub(crate) mod dial;
pub mod file;
pub mod hook;
pub mod locked;
#[cfg(test)]
mod loopback;
pub mod pace;
mod queue;
pub mod resolve;
pub mod rotate;
#[cfg(target_os = "linux")]
pub(crate) mod socket;
pub mod tcp;
pub mod udp;
#[cfg(feature = "zmq")]
pub mod zmq;

/// A receiver of finished messages. It never blocks metering: what it cannot take at once it queues, within a bound, and
/// what it has to drop it counts.
pub trait Sink: Send {
    /// Takes messages.
    fn send(&mut self, messages: &Messages);

    /// Called now and then, at least every 100 ms when live: to connect again, to write what is queued, to rotate.
    fn tick(&mut self);

    /// Writes what is queued, waiting a bounded time, and closes.
    fn close(&mut self);

    /// True once after the receiver became a new session (a connection made, or made again), so that the encoder is told
    /// to send its templates again.
    fn renewed(&mut self) -> bool {
        false
    }

    /// Whether messages sent now could be delivered; while not, an encoder may as well wait.
    fn ready(&self) -> bool {
        true
    }

    /// What was done, in messages and flow records.
    fn counters(&self) -> Counters;

    /// The time of the records that follow: the packets' own in a capture, else the wall clock. For sinks that divide
    /// their output by time.
    fn clock(&mut self, now: Nanos) {
        let _ = now;
    }

    /// Whether [`Sink::clock`] with this time would end a file: what belongs into it has to be sent before.
    fn turns(&self, now: Nanos) -> bool {
        let _ = now;
        false
    }

    /// Ends a file, as when the time turns: what is sent from now on goes to the next.
    fn cut(&mut self) {}

    /// What every file from the next on begins with.
    fn begin_with(&mut self, header: &[u8]) {
        let _ = header;
    }

    /// True when the receiver is gone for good (standard output was closed): nothing sent from now on can arrive, so the
    /// program may as well stop.
    fn gone(&self) -> bool {
        false
    }

    /// Why the run did not do what was asked of this sink, to be told at its end: nothing when it did, or when only a
    /// reader went away.
    fn failure(&self) -> Option<String> {
        None
    }

    /// Takes what there is to tell the user, a line each. Sinks say the same thing seldom; the printer still limits.
    fn notices(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// What a sink did with the flow records it was given. `records = delivered + queued + sum(lost)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages given.
    pub messages: u64,
    /// Flow records given.
    pub records: u64,
    /// Flow records handed to the system.
    pub delivered: u64,
    /// Flow records waiting.
    pub queued: u64,
    /// Flow records lost, by reason.
    pub lost: Vec<(&'static str, u64)>,
    /// Bytes handed to the system.
    pub bytes: u64,
    /// What else is to be known, by name: nothing of it is among the records.
    pub notes: Vec<(&'static str, u64)>,
}

/// Every reason for which a sink loses records, and what it means: the table of `docs/ledger.md`.
pub const LOSSES: &[(&str, &str)] = &[
    ("queue_full", "the collector, or the reader of the pipe, did not take it in time"),
    ("not_connected", "there was no TCP connection"),
    ("connection", "half written when the TCP connection broke"),
    ("reconnect", "of a TCP session that was over before it was written"),
    ("no_buffer", "the kernel had no room for the datagram in time"),
    ("too_long", "the datagram is longer than the path allows"),
    ("refused", "the collector's host says again and again that nobody listens"),
    ("unreachable", "no route to the collector, or the interface is down"),
    ("denied", "a local firewall rule forbids it"),
    ("error", "the kernel refused the datagram for another reason, which is told"),
    ("flow_lock", "the file of `-C` was there"),
    ("write_error", "the disk was full, or the file could not be written to for another reason, which is told"),
    ("broken_pipe", "the reader of the pipe had gone"),
    ("no_subscriber", "nobody subscribed (ZeroMQ)"),
    ("disconnected", "waited for a subscriber that went away (ZeroMQ)"),
    ("empty", "a message without content, which ZeroMQ receivers refuse"),
    ("closed", "not taken by the collector, or the reader of the pipe, when the program ended"),
];

impl Counters {
    /// Counts what was given.
    fn take(&mut self, messages: &Messages) {
        self.messages += messages.len() as u64;
        self.records += messages.records();
    }

    /// Counts `records` as lost for `reason`, which is one of [`LOSSES`]. Reasons are few, so a list will do.
    fn lose(&mut self, reason: &'static str, records: u64) {
        debug_assert!(LOSSES.iter().any(|(known, _)| *known == reason), "{reason} is not in LOSSES");
        if records == 0 {
            return;
        }
        match self.lost.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += records,
            None => self.lost.push((reason, records)),
        }
    }

    /// Flow records lost, whatever the reason.
    pub fn lost_records(&self) -> u64 {
        self.lost.iter().map(|(_, count)| count).sum()
    }

    /// Flow records lost for `reason`.
    pub fn lost_to(&self, reason: &str) -> u64 {
        self.lost.iter().filter(|(known, _)| *known == reason).map(|(_, count)| count).sum()
    }

    /// Whether every record given is accounted for.
    pub fn balanced(&self) -> bool {
        self.records == self.delivered + self.queued + self.lost_records()
    }
}

/// Why a sink cannot be opened; its text names the option, the value seen and what would help.
#[derive(Debug)]
pub struct Error(pub String);

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of the sinks name no other reasons.
    #[test]
    fn every_reason_is_in_the_table() {
        let sources = [
            include_str!("file.rs"),
            include_str!("locked.rs"),
            include_str!("rotate.rs"),
            include_str!("tcp.rs"),
            include_str!("udp.rs"),
            include_str!("zmq.rs"),
            include_str!("zmq/endpoint.rs"),
        ];
        for (reason, _) in LOSSES {
            assert!(sources.iter().any(|source| source.contains(&format!("\"{reason}\""))), "{reason}");
        }
        let known = |reason: &str| LOSSES.iter().any(|(known, _)| *known == reason);
        for source in sources {
            for call in source.split(".lose(\"").skip(1) {
                assert!(known(call.split('"').next().unwrap()), "{call}");
            }
        }
    }
}
