//! Records of collected flows: those of one key become one.
//!
//! A record is accounted for as a packet is, as many packets at once, with these differences.
//!
//! - Times that are told are the exporter's. Timeouts run from when a record's last packet was by our clock, as far as that
//!   is known ([`Collected::seen`]), and never from longer ago than half an idle timeout before the record arrived: what
//!   comes late, or in the wrong order, still finds the rest of its flow.
//! - The active timeout cuts a record when another comes for it.
//! - The client is the sender of the record that began first, unless a lone SYN says otherwise or a record tells both
//!   directions: then its SRC is.
//! - TCP flags end nothing: they are those of a whole record, and say nothing of when.

use flowsonde_wire::Nanos;
use flowsonde_wire::transport::tcp::flag;

use super::{BATCH, Due, ENDED, GROUP, Meter, NO_PLACE, SET_BACK, SLACK, VISITS, WAIT};
use crate::meter::collected::Collected;
use crate::meter::flow::{Base, EndReason, Ended, Group, Macs, Origin, State};

impl Meter {
    /// Merges records that arrived at one time. Ended flows are given to `out` some at a time.
    pub fn records(&mut self, records: &[Collected], arrival: Nanos, out: &mut impl FnMut(&Ended)) {
        for batch in records.chunks(BATCH) {
            self.merge_batch(batch, arrival, out);
        }
    }

    fn merge_batch(&mut self, records: &[Collected], arrival: Nanos, out: &mut impl FnMut(&Ended)) {
        let mut hashes = [0u32; BATCH];
        self.counters.packets += records.len() as u64;
        self.follow_arrival(arrival, records.len(), out);
        for (record, hash) in records.iter().zip(&mut hashes) {
            *hash = record.key.hash(&self.seeds);
        }
        let small = self.config.max_flows as usize <= GROUP || self.ring.len() <= SLACK;
        let due = if small { [None; GROUP] } else { self.take_due() };
        let guesses = self.warm(&[], &hashes, &due);
        self.warm_origins(&guesses, &due);
        for ((record, &hash), &guess) in records.iter().zip(&hashes).zip(&guesses) {
            self.merge(record, hash, guess);
            if self.ended.len() >= ENDED {
                self.hand_on(out);
            }
        }
        self.visit(&due);
        self.expire(VISITS - GROUP);
        if self.ended.len() >= ENDED || !self.ended.is_empty() && self.now.since(self.handed_on) >= WAIT {
            self.hand_on(out);
        }
    }

    /// Notices that the clock was set back, or that an older capture follows.
    #[inline]
    fn follow_arrival(&mut self, arrival: Nanos, records: usize, out: &mut impl FnMut(&Ended)) {
        let another = core::mem::take(&mut self.another);
        if self.now.since(arrival) <= self.config.idle {
            self.behind = 0;
        } else {
            self.behind += records;
            if another || self.behind > SET_BACK {
                self.start_over(arrival, out);
            }
        }
        self.now = self.now.max(arrival);
    }

    /// As [`Meter::warm`], of what only collected flows have.
    #[inline]
    fn warm_origins(&self, guesses: &[u32; BATCH], due: &Due) {
        let due = due.iter().flatten().map(|entry| entry.place);
        let places = guesses.iter().copied().filter(|&place| place != NO_PLACE).chain(due);
        core::hint::black_box(places.fold(0, |read, place| read ^ self.columns.origin.at(place).seen.0));
    }

    /// Adds a record to its flow, which is probably at `guess`.
    #[inline]
    fn merge(&mut self, record: &Collected, hash: u32, guess: u32) {
        self.counters.metered += 1;
        let seen = record.seen.max(Nanos(self.now.0.saturating_sub(self.config.idle / 2)));
        let columns = &self.columns;
        let is = |place: u32| columns.base.at(place).key == record.key;
        let found = if guess != NO_PLACE && is(guess) { Some(guess) } else { self.index.find(hash, is) };
        let place = match found {
            Some(place) => {
                self.turn_record(place, record, seen);
                place
            }
            None => {
                let place = self.take_place(hash);
                self.renew_record(place, record, seen);
                place
            }
        };
        self.add(place, record, seen);
    }

    /// Ends or cuts what stands at `place` when this record no longer belongs to it.
    #[inline]
    fn turn_record(&mut self, place: u32, record: &Collected, seen: Nanos) {
        let base = self.columns.base.at(place);
        if self.is_over(base, self.last_seen(place), seen) {
            self.end(place, EndReason::Idle);
            self.renew_record(place, record, seen);
        } else if self.over_age(base.first, record.last) {
            self.cut(place, EndReason::Active);
            let base = self.columns.base.at_mut(place);
            base.state.forget_told();
            // Records may come in any order: the last of the cut one tells nothing of this one's.
            base.last = [Nanos(0); 2];
        }
    }

    /// Makes `place` an empty flow with this record's key.
    fn renew_record(&mut self, place: u32, record: &Collected, seen: Nanos) {
        self.columns.reset(place, self.config.groups);
        let mut state = State::default();
        state.set_client(record.direction);
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        *self.columns.base.at_mut(place) = Base { key: record.key, icmp: record.icmp, id, state, ..Base::default() };
        self.columns.origin.at_mut(place).seen = seen;
        self.ring.queue(place, id, seen);
    }

    /// Adds a record to what stands at `place`.
    #[inline]
    fn add(&mut self, place: u32, record: &Collected, seen: Nanos) {
        let (there, back) = (usize::from(record.direction & 1), usize::from(record.direction & 1 ^ 1));
        let groups = self.config.groups;
        let base = self.columns.base.at_mut(place);
        if !base.has(0) && !base.has(1) {
            base.first = record.first;
            base.state.set_starter(record.direction);
            self.counters.started += 1;
            self.counters.held += 1;
        }
        let fresh = !base.has(there);
        tell(base, there, record.first, record.last, record.tos[0]);
        if record.is_two_way() {
            tell(base, back, record.first, record.last, record.tos[1]);
        }
        begin_with_the_first(base);
        for (direction, told) in [(there, 0), (back, 1)] {
            base.packets[direction] = base.packets[direction].saturating_add(record.packets[told]);
            base.bytes[direction] = base.bytes[direction].saturating_add(record.bytes[told]);
            base.tcp_flags[direction] |= record.tcp_flags[told];
        }
        let alone = record.tcp_flags[0] & (flag::SYN | flag::ACK | flag::RST | flag::FIN) == flag::SYN;
        if (alone || record.is_two_way()) && !base.state.is(State::SURE) {
            base.state.set_client(record.direction);
            base.state.set(State::SURE);
        }
        let origin = self.columns.origin.at_mut(place);
        origin.seen = origin.seen.max(seen);
        learn(origin, there, record);
        if fresh && groups.has(Group::Hops) {
            let hops = self.columns.hops.at_mut(place);
            [hops.next[there], hops.bgp[there]] = record.hops;
        }
        if groups.has(Group::Macs) && record.macs != [[0; 6]; 2] {
            let macs = self.columns.macs.at_mut(place);
            if !macs.known {
                *macs = Macs { addresses: record.macs, direction: record.direction, known: true };
            }
        }
    }
}

/// Notes that a record tells of a direction.
#[inline]
fn tell(base: &mut Base, direction: usize, first: Nanos, last: Nanos, tos: u8) {
    let fresh = !base.has(direction);
    if direction == base.state.starter() {
        base.first = base.first.min(first);
    } else {
        base.first_answer = if fresh { first } else { base.first_answer.min(first) };
    }
    if fresh {
        base.tos[direction] = tos;
        base.state.tell(direction);
    }
    base.last[direction] = base.last[direction].max(last);
}

/// The direction whose record came first need not be the one that began first.
#[inline]
fn begin_with_the_first(base: &mut Base) {
    let answer = base.state.starter() ^ 1;
    if base.has(answer) && base.first_answer < base.first {
        core::mem::swap(&mut base.first, &mut base.first_answer);
        base.state.set_starter(answer as u8);
        if !base.state.is(State::SURE) && !base.state.is(State::CONTINUED) {
            base.state.set_client(answer as u8);
        }
    }
}

/// Takes over what is not known yet; of the packets' fate, the latest.
#[inline]
fn learn(origin: &mut Origin, there: usize, record: &Collected) {
    fn fill<T: Copy + Default + PartialEq>(known: &mut T, told: T) {
        if *known == T::default() {
            *known = told;
        }
    }
    let back = there ^ 1;
    let [input, output] = record.interfaces;
    fill(&mut origin.exporter, record.exporter);
    fill(&mut origin.domain, record.domain);
    // What an exporter could not tell at first it may later.
    if !origin.called.tells() && !record.called.is_nothing() {
        origin.called = record.called;
    }
    if origin.rate == 0 {
        origin.rate = record.rate;
        origin.bits |= record.bits & !Origin::EGRESS;
    }
    fill(&mut origin.input[there], input);
    fill(&mut origin.output[there], output);
    if record.is_two_way() {
        fill(&mut origin.input[back], output);
        fill(&mut origin.output[back], input);
    }
    for (end, told) in [(there, 0), (back, 1)] {
        fill(&mut origin.systems[end], record.systems[told]);
        fill(&mut origin.masks[end], record.masks[told]);
    }
    if record.status != 0 {
        origin.status = record.status;
    }
    origin.bits |= (record.bits & Origin::EGRESS) << there;
}
