//! Where records go.

use flowsonde_engine::encode::Messages;

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
}
