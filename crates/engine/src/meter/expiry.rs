//! Which flow was not seen for longest: a ring of lists, one a tick, in order of the last packet.
//!
//! A packet does not touch the ring. A flow stands where it stood when it was last visited; when its place comes up, it
//! is moved to where its last packet belongs, or it has expired. So a flow costs one visit an idle timeout, however many
//! packets it has, and the front of the ring is the least recently seen flow (to one tick, the idle timeout / 32,768, and
//! within a tick by second chance).

use flowsonde_wire::Nanos;

use super::slab::Slab;

const NONE: u32 = u32::MAX;
const SLOTS: u64 = 1 << 16;

/// A flow's neighbours within its slot, and its stamp when it was put there.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    prev: u32,
    next: u32,
    slot: u16,
    /// Some bits of the last packet's time, to see that the flow was met since.
    stamp: u16,
}

/// The ring.
#[derive(Debug)]
pub struct Ring {
    slots: Vec<(u32, u32)>,
    places: Slab<Place>,
    shift: u32,
    /// Every slot before this tick is empty.
    cursor: u64,
    len: usize,
}

/// What the front of the ring turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// Not met since it was put there: it stays until removed.
    Stale(u32),
    /// Met since; it must be moved.
    Met(u32),
}

impl Ring {
    /// For an idle timeout in nanoseconds.
    pub fn new(idle: u64) -> Ring {
        let mut shift = 16;
        while idle >> shift > SLOTS / 2 {
            shift += 1;
        }
        Ring { slots: vec![(NONE, NONE); SLOTS as usize], places: Slab::default(), shift, cursor: 0, len: 0 }
    }

    /// Puts a flow where its last packet belongs.
    #[inline]
    pub fn link(&mut self, flow: u32, last: Nanos) {
        self.places.reach(flow);
        if self.len == 0 {
            self.cursor = last.0 >> self.shift;
        }
        let tick = (last.0 >> self.shift).clamp(self.cursor, self.cursor + SLOTS - 1);
        let slot = (tick % SLOTS) as u16;
        let (head, tail) = self.slots[usize::from(slot)];
        *self.places.at_mut(flow) = Place { prev: tail, next: NONE, slot, stamp: stamp(last) };
        if tail == NONE {
            self.slots[usize::from(slot)] = (flow, flow);
        } else {
            self.places.at_mut(tail).next = flow;
            self.slots[usize::from(slot)] = (head, flow);
        }
        self.len += 1;
    }

    /// Takes a flow out.
    #[inline]
    pub fn unlink(&mut self, flow: u32) {
        let Place { prev, next, slot, .. } = *self.places.at(flow);
        let (mut head, mut tail) = self.slots[usize::from(slot)];
        match prev {
            NONE => head = next,
            prev => self.places.at_mut(prev).next = next,
        }
        match next {
            NONE => tail = prev,
            next => self.places.at_mut(next).prev = prev,
        }
        self.slots[usize::from(slot)] = (head, tail);
        self.len -= 1;
    }

    /// The flow at the front whose slot lies wholly before `limit`, if any.
    #[inline]
    pub fn due(&mut self, limit: Nanos) -> Option<u32> {
        let end = limit.0 >> self.shift;
        if self.len == 0 {
            return None;
        }
        while self.cursor < end {
            let head = self.slots[(self.cursor % SLOTS) as usize].0;
            if head != NONE {
                return Some(head);
            }
            self.cursor += 1;
        }
        None
    }

    /// The flow at the front of the whole ring; `last` tells when a flow was last met.
    pub fn front(&mut self, last: impl Fn(u32) -> Nanos) -> Option<Front> {
        if self.len == 0 {
            return None;
        }
        loop {
            let head = self.slots[(self.cursor % SLOTS) as usize].0;
            if head == NONE {
                self.cursor += 1;
                continue;
            }
            let met = self.places.at(head).stamp != stamp(last(head));
            return Some(if met { Front::Met(head) } else { Front::Stale(head) });
        }
    }

    /// Bytes taken.
    pub fn bytes(&self) -> usize {
        self.slots.len() * 8 + self.places.bytes()
    }
}

/// 16 of the bits between 1 us and 67 ms.
fn stamp(last: Nanos) -> u16 {
    (last.0 >> 10) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn flows_come_up_in_order_of_their_last_packet() {
        let mut ring = Ring::new(30 * SECOND);
        for (flow, at) in [(0, 5), (1, 3), (2, 9)] {
            ring.link(flow, Nanos::new(100 + at, 0));
        }
        // The ring starts where its first flow stood: an earlier one waits there too.
        assert_eq!(ring.due(Nanos::new(104, 0)), None);
        assert_eq!(ring.due(Nanos::new(106, 0)), Some(0));
        ring.unlink(0);
        assert_eq!(ring.due(Nanos::new(106, 0)), Some(1));
        ring.unlink(1);
        assert_eq!(ring.due(Nanos::new(106, 0)), None);
        assert_eq!(ring.due(Nanos::new(200, 0)), Some(2));
    }

    #[test]
    fn a_jump_of_years_is_walked_at_once() {
        let mut ring = Ring::new(SECOND);
        ring.link(0, Nanos::new(0, 0));
        ring.link(1, Nanos::new(1_700_000_000, 0));
        assert_eq!(ring.due(Nanos::new(1_700_000_000, 0)), Some(0));
        ring.unlink(0);
        assert_eq!(ring.due(Nanos::new(1_800_000_000, 0)), Some(1));
    }

    #[test]
    fn a_flow_met_since_gets_its_second_chance() {
        let mut ring = Ring::new(86_400 * SECOND);
        ring.link(0, Nanos::new(1, 0));
        ring.link(1, Nanos::new(1, 1_000_000));
        assert_eq!(ring.front(|_| Nanos::new(1, 500_000_000)), Some(Front::Met(0)));
        assert_eq!(ring.front(|f| Nanos::new(1, u64::from(f) * 1_000_000)), Some(Front::Stale(0)));
    }
}
