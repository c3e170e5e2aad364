//! Which flow was not seen for longest: a ring of queues, one a tick, in order of the last packet.
//!
//! A packet does not touch the ring. A flow stands where it stood when it was last visited; when its turn comes up, it is
//! queued again where its last packet belongs, or it has expired. So a flow costs one visit an idle timeout, however many
//! packets it has, and the front of the ring is the least recently seen flow: to one tick, which is the idle timeout /
//! 2,048, and within a tick by second chance.
//!
//! Entries are not taken out when a flow ends early; they are told by its number and passed over. The queues are arrays,
//! so that the flows to be visited next are known, and can be fetched, before their turn.

use flowsonde_wire::Nanos;

const SLOTS: u64 = 1 << 12;

/// A flow that stands in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the cache.
    pub place: u32,
    /// Low bits of its number: another flow may have its place by now.
    id: u16,
    /// Some bits of the time it was queued under, to see that it was met since.
    stamp: u16,
}

impl Entry {
    /// True when the place still holds the flow that was queued.
    #[inline]
    pub fn is(&self, id: u32) -> bool {
        self.id == id as u16
    }

    /// True when the flow was not met since it was queued.
    #[inline]
    pub fn still(&self, due: Nanos) -> bool {
        self.stamp == stamp(due)
    }
}

/// The ring.
#[derive(Debug)]
pub struct Ring {
    slots: Vec<Vec<Entry>>,
    /// Tick of a time = time >> shift.
    shift: u32,
    /// Every slot before this tick is empty, and of this one `taken` entries are gone.
    cursor: u64,
    taken: usize,
    len: usize,
    /// How many ticks before the first flow another may have to stand: an idle timeout, for connections that are closed.
    reach: u64,
    /// What belongs behind the last slot, with its tick: time jumped, as from 1970 when a clock is set.
    ahead: Vec<(u64, Entry)>,
    /// Memory of emptied slots, for the next ones.
    spare: Vec<Vec<Entry>>,
}

/// Emptied slots whose memory is kept.
const SPARE: usize = 8;

impl Ring {
    /// For an idle timeout in nanoseconds.
    pub fn new(idle: u64) -> Ring {
        let mut shift = 16;
        while idle >> shift > SLOTS / 2 {
            shift += 1;
        }
        let slots = vec![Vec::new(); SLOTS as usize];
        Ring { slots, shift, cursor: 0, taken: 0, len: 0, reach: idle >> shift, ahead: Vec::new(), spare: Vec::new() }
    }

    /// Queues a flow by the time its timeout runs from.
    #[inline]
    pub fn queue(&mut self, place: u32, id: u32, due: Nanos) {
        let tick = due.0 >> self.shift;
        if self.len == 0 {
            self.release();
            self.cursor = tick.saturating_sub(self.reach);
        }
        let entry = Entry { place, id: id as u16, stamp: stamp(due) };
        self.put(tick.max(self.cursor), entry);
        self.len += 1;
    }

    #[inline]
    fn put(&mut self, tick: u64, entry: Entry) {
        if tick - self.cursor >= SLOTS {
            self.ahead.push((tick, entry));
            return;
        }
        let slot = &mut self.slots[(tick % SLOTS) as usize];
        if slot.capacity() == 0
            && let Some(spare) = self.spare.pop()
        {
            *slot = spare;
        }
        slot.push(entry);
    }

    /// To the next slot; over the years to the first of what is ahead when nothing is left in between.
    fn step(&mut self) {
        self.release();
        self.cursor += 1;
        if self.len == self.ahead.len() {
            let ahead = core::mem::take(&mut self.ahead);
            self.cursor = ahead.iter().map(|(tick, _)| *tick).min().unwrap_or(0).max(self.cursor);
            for (tick, entry) in ahead {
                self.put(tick.max(self.cursor), entry);
            }
        }
    }

    /// The entries whose turn has come, or some of them: those of the first slot that lies wholly before `limit`.
    #[inline]
    pub fn due(&mut self, limit: Nanos) -> &[Entry] {
        let end = limit.0 >> self.shift;
        while self.len > 0 && self.cursor < end {
            let slot = (self.cursor % SLOTS) as usize;
            if self.taken < self.slots[slot].len() {
                return &self.slots[slot][self.taken..];
            }
            self.step();
        }
        &[]
    }

    /// Takes the entry at the front of the whole ring.
    pub fn front(&mut self) -> Option<Entry> {
        while self.len > 0 {
            if let Some(&entry) = self.slots[(self.cursor % SLOTS) as usize].get(self.taken) {
                self.pass(1);
                return Some(entry);
            }
            self.step();
        }
        None
    }

    /// True when the front of the ring has come to this time.
    pub fn has_reached(&self, due: Nanos) -> bool {
        due.0 >> self.shift <= self.cursor
    }

    /// Leaves the first `n` entries of the current slot behind.
    #[inline]
    pub fn pass(&mut self, n: usize) {
        self.taken += n;
        self.len -= n;
    }

    fn release(&mut self) {
        let slot = &mut self.slots[(self.cursor % SLOTS) as usize];
        if slot.capacity() > 0 {
            let mut emptied = core::mem::take(slot);
            if self.spare.len() < SPARE {
                emptied.clear();
                self.spare.push(emptied);
            }
        }
        self.taken = 0;
    }

    /// Entries, those of flows that ended early included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when no flow is queued.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops the entries that `keep` refuses.
    pub fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        let current = &mut self.slots[(self.cursor % SLOTS) as usize];
        current.drain(..self.taken.min(current.len()));
        self.taken = 0;
        for slot in &mut self.slots {
            slot.retain(&keep);
            // What filled many slots with entries of ended flows must not have filled the memory for good.
            slot.shrink_to(2 * slot.len());
        }
        self.ahead.retain(|(_, entry)| keep(entry));
        self.len = self.slots.iter().map(Vec::len).sum::<usize>() + self.ahead.len();
    }

    /// Bytes taken.
    pub fn bytes(&self) -> usize {
        let slots = self.slots.iter().chain(&self.spare);
        slots.map(|slot| slot.capacity() * size_of::<Entry>() + size_of::<Vec<Entry>>()).sum::<usize>()
            + self.ahead.capacity() * size_of::<(u64, Entry)>()
    }
}

/// 16 of the bits between 1 us and 67 ms.
fn stamp(due: Nanos) -> u16 {
    (due.0 >> 10) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn next(ring: &mut Ring, limit: Nanos) -> Option<u32> {
        let place = ring.due(limit).first()?.place;
        ring.pass(1);
        Some(place)
    }

    #[test]
    fn flows_come_up_in_order_of_their_last_packet() {
        let mut ring = Ring::new(30 * SECOND);
        for (flow, at) in [(0, 103), (1, 105), (2, 104), (3, 109)] {
            ring.queue(flow, flow, Nanos::new(at, 0));
        }
        assert_eq!(next(&mut ring, Nanos::new(103, 0)), None);
        let order: Vec<_> = core::iter::from_fn(|| next(&mut ring, Nanos::new(106, 0))).collect();
        assert_eq!(order, [0, 2, 1]);
        assert_eq!(next(&mut ring, Nanos::new(200, 0)), Some(3));
        assert!(ring.is_empty());
    }

    #[test]
    fn an_earlier_time_than_the_first_comes_first() {
        let mut ring = Ring::new(30 * SECOND);
        ring.queue(0, 0, Nanos::new(105, 0));
        ring.queue(1, 1, Nanos::new(95, 0));
        assert_eq!(next(&mut ring, Nanos::new(94, 0)), None);
        assert_eq!(next(&mut ring, Nanos::new(106, 0)), Some(1));
        assert_eq!(next(&mut ring, Nanos::new(106, 0)), Some(0));
    }

    #[test]
    fn time_before_the_ring_waits_with_its_first() {
        let mut ring = Ring::new(30 * SECOND);
        ring.queue(0, 0, Nanos::new(105, 0));
        assert_eq!(next(&mut ring, Nanos::new(104, 0)), None);
        ring.queue(1, 1, Nanos::new(5, 0));
        assert_eq!(next(&mut ring, Nanos::new(106, 0)), Some(1));
        assert_eq!(next(&mut ring, Nanos::new(106, 0)), Some(0));
    }

    #[test]
    fn what_is_years_ahead_keeps_its_order() {
        let mut ring = Ring::new(SECOND);
        ring.queue(0, 0, Nanos::new(0, 0));
        for flow in 1..100 {
            ring.queue(flow, flow, Nanos::new(1_700_000_000 + u64::from(flow), 0));
        }
        ring.queue(100, 100, Nanos::new(1_700_000_000, 0));
        let order: Vec<_> = core::iter::from_fn(|| ring.front()).map(|e| e.place).collect();
        assert_eq!(order, [0, 100].into_iter().chain(1..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_jump_of_years_is_walked_at_once() {
        let mut ring = Ring::new(SECOND);
        ring.queue(0, 0, Nanos::new(0, 0));
        ring.queue(1, 1, Nanos::new(1_700_000_000, 0));
        assert_eq!(next(&mut ring, Nanos::new(1_700_000_000, 0)), Some(0));
        assert_eq!(next(&mut ring, Nanos::new(1_800_000_000, 0)), Some(1));
        ring.queue(2, 2, Nanos::new(5, 0));
        assert_eq!(ring.front().map(|e| e.place), Some(2));
    }

    #[test]
    fn what_was_met_and_what_is_gone_can_be_told() {
        let mut ring = Ring::new(86_400 * SECOND);
        ring.queue(0, 70_000, Nanos::new(1, 0));
        let entry = ring.front().expect("queued");
        assert!(entry.is(70_000) && !entry.is(70_001));
        assert!(entry.still(Nanos::new(1, 0)) && !entry.still(Nanos::new(1, 500_000_000)));
    }

    #[test]
    fn dropping_entries_keeps_the_rest_in_order() {
        let mut ring = Ring::new(30 * SECOND);
        for flow in 0..100 {
            ring.queue(flow, flow, Nanos::new(100 + u64::from(flow) / 10, 0));
        }
        ring.front();
        ring.retain(|e| e.place % 2 == 0);
        let rest: Vec<_> = core::iter::from_fn(|| ring.front()).map(|e| e.place).collect();
        assert_eq!(rest, (2..100).step_by(2).collect::<Vec<_>>());
    }
}
