//! What a relay has for one collector: datagrams by number, from the oldest that is not acknowledged to the next to come.
//!
//! ```text
//!  acknowledged        in the spool            in memory         packer   next
//!  |-------------------------------------------|------------------|--------|
//!              ^ sent: what the collector was given since it came
//! ```
//!
//! Memory holds what is young. What was not acknowledged within half of [`Settings::sync`], or does not fit, goes to the
//! spool, oldest first; without one the oldest is lost. What is lost leaves a hole in the numbers, and the collector is told
//! of each, with the reason, when it comes to it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use flowsonde_wire::Nanos;
use flowsonde_wire::export::Datagram;
use flowsonde_wire::relay::{Frame, Reason, UNKNOWN};

use super::packer::{Packed, Packer};
use crate::spool::{Entry, Recovered, Spool};

/// How it is to be.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes held in memory at most, near enough.
    pub memory: usize,
    /// Bytes of a batch, near enough.
    pub batch: usize,
    /// How long a datagram waits for others to go with.
    pub delay: Duration,
    /// Of what was not acknowledged, how much a crash may cost.
    pub sync: Duration,
    /// Compress batches.
    pub compress: bool,
    /// Bytes that are on their way at most.
    pub window: usize,
}

/// From one attempt to the next to use a spool that took nothing, in nanoseconds.
const SECOND: u64 = 1_000_000_000;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            memory: 32 << 20,
            batch: 60_000,
            delay: Duration::from_millis(1),
            sync: Duration::from_millis(100),
            compress: false,
            window: 8 << 20,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Queue {
    settings: Settings,
    packer: Packer,
    stored: VecDeque<Packed>,
    /// Bytes of those.
    bytes: usize,
    spool: Option<Spool>,
    /// What is in the spool and in the hands of its reader.
    reading: Reading,
    /// Where memory had no room for what was sent and not acknowledged: first, behind the last. It is lost only if the
    /// collector goes without having acknowledged it.
    given_up: VecDeque<(u64, u64)>,
    /// Holes between the spool and memory, of known reasons: first, behind the last, why.
    holes: VecDeque<(u64, u64, Reason)>,
    next: u64,
    acknowledged: u64,
    sent: u64,
    attached: bool,
    /// Of what is on its way: the number behind it, its bytes, numbers of a hole.
    under_way: VecDeque<(u64, usize, u64)>,
    under_way_bytes: usize,
    lost: [u64; Reason::ALL.len()],
    /// Of those, what is acknowledged as lost.
    told: u64,
    /// What was acknowledged at the start.
    base: u64,
    notices: Vec<String>,
    full: bool,
}

#[derive(Debug, Default)]
struct Reading {
    /// An entry that was read and not handed on.
    entry: Option<(Entry, Vec<u8>)>,
    idle: Vec<u8>,
    /// Entries were read since the beginning; the one at hand is the first.
    some: bool,
    front: bool,
}

/// The next frame for a collector.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// It has all, or as much as may be under way.
    Nothing,
    /// A frame, whole, and the number behind it.
    Frame(&'a [u8], u64),
    /// A hole, and the number behind it.
    Gap(Reason, u64, u64),
}

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Datagrams that are not acknowledged and not lost.
    pub datagrams: u64,
    /// Bytes in memory.
    pub memory: usize,
    /// Bytes of the spool.
    pub spool: u64,
}

impl Queue {
    /// With nothing in it.
    pub fn new(settings: Settings) -> Queue {
        Queue {
            packer: Packer::new(settings.batch, settings.compress),
            settings,
            stored: VecDeque::new(),
            bytes: 0,
            spool: None,
            reading: Reading::default(),
            given_up: VecDeque::new(),
            holes: VecDeque::new(),
            next: 0,
            acknowledged: 0,
            sent: 0,
            attached: false,
            under_way: VecDeque::new(),
            under_way_bytes: 0,
            lost: [0; Reason::ALL.len()],
            told: 0,
            base: 0,
            notices: Vec::new(),
            full: false,
        }
    }

    /// With what the spool holds of an earlier run. What that run had received and not spooled is lost.
    pub fn with(settings: Settings, spool: Spool, recovered: &Recovered) -> Queue {
        let mut queue = Queue::new(settings);
        queue.next = recovered.mark.max(recovered.next);
        queue.acknowledged = spool.released().min(recovered.first);
        (queue.sent, queue.base) = (queue.acknowledged, queue.acknowledged);
        if queue.next > recovered.next {
            queue.hole(recovered.next, queue.next, Reason::Restart);
        }
        queue.spool = Some(spool);
        queue
    }

    /// Numbers go on when the relay is started anew.
    pub fn is_durable(&self) -> bool {
        self.spool.is_some()
    }

    /// The oldest number it can still tell of, and the next to come.
    pub fn numbers(&self) -> (u64, u64) {
        (self.acknowledged, self.next)
    }

    /// Takes a datagram.
    pub fn put(&mut self, datagram: &Datagram<'_>) {
        if !self.packer.has_room(datagram) {
            self.close();
        }
        self.packer.put(self.next, datagram);
        self.next += 1;
    }

    /// To be called when some were put in: what a crash would lose can be counted from here on.
    pub fn mark(&mut self) {
        if let Some(spool) = &mut self.spool {
            spool.mark(self.next);
        }
    }

    fn close(&mut self) {
        let Some(packed) = self.packer.close() else { return };
        self.bytes += packed.frame.capacity();
        self.stored.push_back(packed);
        while self.bytes > self.settings.memory {
            if !self.oldest_goes() {
                break;
            }
        }
    }

    /// The oldest in memory goes to the spool, or is lost. False when there is none.
    fn oldest_goes(&mut self) -> bool {
        let Some(packed) = self.stored.front() else { return false };
        let (first, end, bytes) = (packed.first, packed.end(), packed.frame.capacity());
        let stored = match &mut self.spool {
            // What the collector has need not be kept.
            _ if end <= self.acknowledged => true,
            None => false,
            Some(spool) => match spool.push(first, packed.count, packed.time.0, &[&packed.frame]) {
                Ok(evicted) => {
                    self.lost[1] += evicted.numbers;
                    self.full = false;
                    true
                }
                Err(error) => {
                    self.lost[1] += spool.evicted().numbers;
                    if !self.full {
                        self.notices.push(format!("{error}; what comes is kept in memory, as far as there is room"));
                    }
                    self.full = true;
                    // As long as there is room it may be tried again.
                    if self.bytes <= self.settings.memory {
                        return false;
                    }
                    false
                }
            },
        };
        self.stored.pop_front();
        self.bytes -= bytes;
        if !stored && self.attached && end <= self.sent {
            self.given_up.push_back((first, end));
        } else if !stored {
            self.lost[0] += end - first;
            self.hole(first, end, Reason::BufferFull);
        }
        true
    }

    fn hole(&mut self, first: u64, end: u64, reason: Reason) {
        if reason == Reason::Restart {
            self.lost[2] += end - first;
        }
        match self.holes.back_mut() {
            Some((_, last, why)) if *last == first && *why == reason => *last = end,
            _ => self.holes.push_back((first, end, reason)),
        }
        // Their reasons may be mixed up when there are very many.
        if self.holes.len() > 1024
            && let (Some((first, ..)), Some(second)) = (self.holes.pop_front(), self.holes.front_mut())
        {
            second.0 = first;
        }
    }

    /// Does what is due. `now` is the time datagrams have.
    pub fn tick(&mut self, now: Nanos, instant: Instant) {
        let delay = self.settings.delay.as_nanos() as u64;
        if self.packer.since().is_some_and(|since| now.since(since) >= delay) {
            self.close();
        }
        let Some(spool) = &mut self.spool else { return };
        if let Err(error) = spool.sync(instant) {
            self.notices.push(error.to_string());
        }
        // What was full may have room again: then and when it is tried.
        let age = if self.full { SECOND } else { self.settings.sync.as_nanos() as u64 / 2 };
        while self.stored.front().is_some_and(|packed| now.since(packed.time) >= age) && self.oldest_goes() {}
    }

    /// A collector came, which wants what is from `next` on.
    pub fn attach(&mut self, next: u64) {
        if next != UNKNOWN && next > self.acknowledged {
            self.acknowledge(next);
        }
        self.detach();
        self.attached = true;
    }

    /// It is gone.
    pub fn detach(&mut self) {
        self.attached = false;
        while let Some((first, end)) = self.given_up.pop_front() {
            // Of a batch that was acknowledged in part the rest.
            let first = first.max(self.acknowledged);
            self.lost[0] += end.saturating_sub(first);
            self.hole(first, end.max(first), Reason::BufferFull);
        }
        self.sent = self.acknowledged;
        self.under_way.clear();
        self.under_way_bytes = 0;
        self.rewind();
    }

    /// Whether there is one.
    pub fn is_attached(&self) -> bool {
        self.attached
    }

    fn rewind(&mut self) {
        if let Some((_, buffer)) = self.reading.entry.take() {
            self.reading.idle = buffer;
        }
        self.reading.some = false;
        if let Some(spool) = &mut self.spool {
            spool.rewind();
        }
    }

    /// Everything before `next` is the collector's.
    pub fn acknowledge(&mut self, next: u64) {
        let next = next.min(self.next);
        if next <= self.acknowledged {
            return;
        }
        self.acknowledged = next;
        self.sent = self.sent.max(next);
        while let Some((end, bytes, hole)) = self.under_way.front().copied()
            && end <= next
        {
            self.under_way.pop_front();
            self.under_way_bytes -= bytes;
            self.told += hole;
        }
        if next == self.next {
            self.told = self.lost.iter().sum();
        }
        while let Some(packed) = self.stored.front()
            && packed.end() <= next
        {
            self.bytes -= packed.frame.capacity();
            self.stored.pop_front();
        }
        while self.given_up.front().is_some_and(|(_, end)| *end <= next) {
            self.given_up.pop_front();
        }
        while self.holes.front().is_some_and(|(_, end, _)| *end <= next) {
            self.holes.pop_front();
        }
        if let Some(spool) = &mut self.spool
            && let Err(error) = spool.release(next)
        {
            self.notices.push(error.to_string());
        }
    }

    /// The next frame for the collector; [`Queue::sent`] says that it went.
    pub fn upcoming(&mut self) -> Next<'_> {
        if !self.attached || self.under_way_bytes >= self.settings.window {
            return Next::Nothing;
        }
        let memory = self.stored.front().map_or(self.next - u64::from(self.packer.count()), |packed| packed.first);
        if self.sent < memory {
            return self.spooled(memory);
        }
        let at = self.stored.partition_point(|packed| packed.end() <= self.sent);
        match self.stored.get(at) {
            Some(packed) => Next::Frame(&packed.frame, packed.end()),
            None => Next::Nothing,
        }
    }

    /// From what is not in memory: the spool, or a hole.
    fn spooled(&mut self, memory: u64) -> Next<'_> {
        while self.reading.entry.as_ref().is_none_or(|(entry, _)| entry.first + u64::from(entry.count) <= self.sent) {
            let mut buffer = match self.reading.entry.take() {
                Some((_, buffer)) => buffer,
                None => core::mem::take(&mut self.reading.idle),
            };
            let read = self.spool.as_mut().map(|spool| spool.next(&mut buffer));
            match read {
                Some(Ok(Some(entry))) => {
                    self.reading.front = !self.reading.some;
                    self.reading.some = true;
                    self.reading.entry = Some((entry, buffer));
                }
                Some(Err(error)) => {
                    self.notices.push(error.to_string());
                    self.reading.idle = buffer;
                    return Next::Nothing;
                }
                None | Some(Ok(None)) => {
                    self.reading.idle = buffer;
                    return self.gap(memory);
                }
            }
        }
        let first = self.reading.entry.as_ref().map_or(memory, |(entry, _)| entry.first);
        if first > self.sent {
            return self.gap(first);
        }
        match &self.reading.entry {
            Some((entry, frame)) => Next::Frame(frame, entry.first + u64::from(entry.count)),
            None => Next::Nothing,
        }
    }

    /// A hole from what was sent up to `end`, or the first part of one.
    fn gap(&mut self, end: u64) -> Next<'_> {
        let damaged = self.spool.as_mut().map_or(0, |spool| spool.damaged().numbers);
        self.lost[3] += damaged;
        let known = self.holes.iter().find(|(_, last, _)| *last > self.sent).copied();
        let (until, reason) = match known {
            Some((first, last, reason)) if first <= self.sent => (last.min(end), reason),
            Some((first, ..)) if first < end => (first, self.unknown(damaged)),
            _ => (end, self.unknown(damaged)),
        };
        Next::Gap(reason, self.sent, until)
    }

    /// Why there is a hole in the midst of a spool.
    fn unknown(&self, damaged: u64) -> Reason {
        match (damaged, self.spool.is_some()) {
            // The oldest had to make room.
            _ if self.reading.front && self.reading.entry.is_some() => Reason::SpoolFull,
            (0, true) => Reason::Restart,
            (0, false) => Reason::BufferFull,
            _ => Reason::SpoolBroken,
        }
    }

    /// What [`Queue::upcoming`] told is under way, up to this number; so many bytes of it.
    pub fn sent(&mut self, end: u64, bytes: usize) {
        let hole = if bytes == 0 { end.saturating_sub(self.sent) } else { 0 };
        self.sent = end;
        self.under_way.push_back((end, bytes, hole));
        self.under_way_bytes += bytes;
    }

    /// When the next datagram to be sent came, if there is one and it is known.
    pub fn time_of_next(&mut self) -> Option<Nanos> {
        match self.upcoming() {
            Next::Frame(frame, _) => match Frame::read(frame) {
                Ok(Frame::Batch(batch)) => Some(batch.time),
                _ => None,
            },
            _ => None,
        }
    }

    /// Everything goes where it outlives the process, as it ends; without a spool it is lost.
    pub fn finish(&mut self) {
        self.close();
        match self.spool {
            Some(_) => while self.oldest_goes() {},
            None => self.lost[2] += self.held(),
        }
        if let Some(spool) = &mut self.spool
            && let Err(error) = spool.flush()
        {
            self.notices.push(error.to_string());
        }
    }

    /// Datagrams that were lost, by reason.
    pub fn lost(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.lost)
    }

    /// What waits.
    pub fn waiting(&self) -> Waiting {
        Waiting {
            datagrams: self.next - self.acknowledged,
            memory: self.bytes,
            spool: self.spool.as_ref().map_or(0, Spool::bytes),
        }
    }

    /// Datagrams there were in this run, those included that an earlier one left.
    pub fn received(&self) -> u64 {
        self.next - self.base
    }

    /// Datagrams that are here and not acknowledged.
    pub fn held(&self) -> u64 {
        let lost: u64 = self.lost.iter().sum();
        (self.next - self.acknowledged).saturating_sub(lost.saturating_sub(self.told))
    }

    /// Datagrams that were acknowledged.
    pub fn delivered(&self) -> u64 {
        self.received() - self.held() - self.lost.iter().sum::<u64>().min(self.received() - self.held())
    }

    /// What the user should know and has not been told yet.
    pub fn notices(&mut self) -> Vec<String> {
        core::mem::take(&mut self.notices)
    }
}

#[cfg(test)]
mod tests;
