//! The flow cache: packets in, ended flows out.
//!
//! Frames come in batches. A batch is decoded and hashed first and every place it will touch is read once, so that the
//! cache misses of 32 packets overlap; then each packet is accounted for. Time is the packets' own. A flow ends by
//!
//! - the idle timeout, counted from its last packet;
//! - the active timeout (or the turn of a minute, `--minute-expire`), counted from its first: its record is cut, the flow
//!   itself goes on, with what is known of the connection and its client;
//! - FIN both ways or RST, once it has lingered for late packets; or a SYN that opens a new connection on its ports;
//! - eviction, least recently seen first, when the cache is full. A new flow is never refused.
//!
//! Records of collected flows come in another way (`records.rs`) and leave the same.

use std::collections::VecDeque;

use flowsonde_wire::transport::tcp::flag;
use flowsonde_wire::{Frame, Nanos};

use super::application::{self, Dissection};
use super::client;
use super::config::{Biflows, Config, Known, Wanted};
use super::expiry::{Entry, Ring};
use super::flow::{Base, Columns, EndReason, Ended, Group, State};
use super::index::Index;
use super::key::{Key, Seeds};
use crate::decode::fragment::{self, Fragments};
use crate::decode::packet::{self, Packet, Part, decode, protocol};

mod records;

/// No place at all.
const NO_PLACE: u32 = u32::MAX;
/// So many frames in a row must be too old before the clock is taken to be set back.
const SET_BACK: usize = 100;
/// Frames taken at once.
pub const BATCH: usize = 32;
/// Ended flows gathered before they are handed on.
const ENDED: usize = 128;
/// How long they wait for others, in the packets' time.
const WAIT: u64 = 1_000_000_000;
/// Flows visited for their timeout, a batch: more than a batch can begin, so that expiry catches up.
const VISITS: usize = 2 * BATCH;
/// Of those, visited at once, so that their cache misses overlap.
const GROUP: usize = 16;
/// Entries of ended flows the ring may hold besides as many as there are flows.
const SLACK: usize = 1 << 13;

/// Entries of the ring, taken out together.
type Due = [Option<Entry>; GROUP];

/// What a meter did. `packets = metered + sampled_out + sum(undecoded) + parked`;
/// `started = exported + too_small + one_way + two_way + other_application + held`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Frames taken, or collected records.
    pub packets: u64,
    /// Their lengths on the wire.
    pub bytes: u64,
    /// Packets counted in a flow, or records.
    pub metered: u64,
    /// Packets passed over by sampling.
    pub sampled_out: u64,
    /// Frames not decoded, by [`packet::Error::ALL`].
    pub undecoded: [u64; packet::Error::ALL.len()],
    /// Fragments waiting for their first one.
    pub parked: u64,
    /// Records begun.
    pub started: u64,
    /// Records handed on, or gathered to be.
    pub exported: u64,
    /// Of those: gathered, and not handed on yet.
    pub gathered: u64,
    /// Records kept back by the least size.
    pub too_small: u64,
    /// Records kept back for having packets one way.
    pub one_way: u64,
    /// Records kept back for having packets both ways.
    pub two_way: u64,
    /// Records kept back for their application.
    pub other_application: u64,
    /// Records under way.
    pub held: u64,
    /// Of the ended: evicted because the cache was full.
    pub evicted: u64,
    /// What the fragment table met.
    pub fragments: fragment::Counters,
    /// What became of finding applications out.
    pub dissection: application::Counters,
}

/// The flow cache of one worker.
#[derive(Debug)]
pub struct Meter {
    config: Config,
    seeds: Seeds,
    columns: Columns,
    index: Index,
    ring: Ring,
    /// Places used so far, and given back.
    places: u32,
    free: Vec<u32>,
    /// Records by their beginning, kept only where the active timeout cannot wait for the ring.
    ages: Option<VecDeque<(Nanos, u32, u32)>>,
    fragments: Fragments,
    dissection: Option<Dissection>,
    ready: Vec<Packet<'static>>,
    ended: Ended,
    counters: Counters,
    now: Nanos,
    handed_on: Nanos,
    /// Frames in a row that are older than `now` by more than the idle timeout.
    behind: usize,
    /// The next frames are of another capture.
    another: bool,
    next_id: u32,
    skip: u32,
}

impl Meter {
    /// An empty cache.
    pub fn new(config: Config) -> Meter {
        let mut config = Config { linger: config.linger.min(config.idle), ..config };
        if !config.parts.tells_connections() {
            // Sequence numbers and times of many connections in one flow mean nothing.
            config.groups = config.groups.without(Group::Quality).without(Group::Latency);
        }
        if config.collected {
            // Records are cut as others come; what has none any more is not to wait longer than they are.
            config.idle = config.idle.min(config.active);
            config.groups = config.groups.with(Group::Origin);
        } else {
            config.groups = config.groups.without(Group::Origin).without(Group::Hops);
        }
        Meter {
            seeds: Seeds::new(config.random),
            columns: Columns::default(),
            index: Index::with_room_for(config.room.min(config.max_flows as usize)),
            ring: Ring::new(config.idle),
            places: 0,
            free: Vec::new(),
            ages: (!config.collected && (config.active < config.idle || config.by_minute)).then(VecDeque::new),
            fragments: Fragments::default(),
            dissection: None,
            ready: Vec::new(),
            ended: Ended::default(),
            counters: Counters::default(),
            now: Nanos(0),
            handed_on: Nanos(0),
            behind: 0,
            another: false,
            next_id: config.first_id,
            skip: 0,
            config,
        }
    }

    /// The same, and it finds applications out.
    #[must_use]
    pub fn dissecting(mut self, dissection: Dissection) -> Meter {
        self.config.groups = self.config.groups.with(Group::Application);
        self.dissection = Some(dissection);
        self
    }

    /// Meters frames in order of capture. Ended flows are given to `out` some at a time.
    #[inline]
    pub fn frames(&mut self, frames: &[Frame<'_>], out: &mut impl FnMut(&Ended)) {
        for batch in frames.chunks(BATCH) {
            self.batch(batch, out);
        }
    }

    fn batch(&mut self, frames: &[Frame<'_>], out: &mut impl FnMut(&Ended)) {
        let mut packets: [Option<Packet<'_>>; BATCH] = [None; BATCH];
        let mut hashes = [0u32; BATCH];
        self.counters.packets += frames.len() as u64;
        self.counters.bytes += frames.iter().map(|frame| u64::from(frame.wire_len)).sum::<u64>();
        self.follow_clock(frames, out);
        for ((frame, packet), hash) in frames.iter().zip(&mut packets).zip(&mut hashes) {
            if self.config.sample > 1 && self.sampled_out() {
                continue;
            }
            match decode(frame, &self.config.parts) {
                Ok(decoded) => {
                    *hash = decoded.key.hash(&self.seeds);
                    *packet = Some(decoded);
                }
                Err(error) => self.counters.undecoded[error as usize] += 1,
            }
        }
        // In a small cache eviction may need these entries in the ring; and its flows are warm anyway.
        let small = self.config.max_flows as usize <= GROUP || self.ring.len() <= SLACK;
        let due = if small { [None; GROUP] } else { self.take_due() };
        let guesses = self.warm(&packets, &hashes, &due);
        for ((packet, &hash), &guess) in packets.iter().zip(&hashes).zip(&guesses) {
            let Some(packet) = packet else { continue };
            match packet.part {
                Part::Whole => self.account(packet, hash, guess),
                _ => self.fragment(packet),
            }
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

    /// Notices that the clock was set back, or that it was one packet's time that was wrong.
    #[inline]
    fn follow_clock(&mut self, frames: &[Frame<'_>], out: &mut impl FnMut(&Ended)) {
        let last = frames.last().map_or(self.now, |frame| frame.time);
        if core::mem::take(&mut self.another) {
            self.begin_capture(frames, out);
        }
        if self.now.since(last) > self.config.idle {
            self.fall_behind(frames, out);
        } else {
            self.behind = 0;
        }
    }

    /// What follows is of another capture, which may be older than the one before: then that one's flows end, and time
    /// starts over.
    pub fn another_capture(&mut self) {
        self.another = true;
    }

    #[cold]
    fn begin_capture(&mut self, frames: &[Frame<'_>], out: &mut impl FnMut(&Ended)) {
        if let Some(first) = frames.first()
            && self.now.since(first.time) > self.config.idle
        {
            self.start_over(first.time, out);
        }
    }

    /// Ends every flow; time begins anew.
    fn start_over(&mut self, now: Nanos, out: &mut impl FnMut(&Ended)) {
        self.flush(out);
        (self.now, self.handed_on, self.behind) = (now, now, 0);
    }

    /// Everything seems idle. When it goes on like that, all flows end, and time starts over.
    #[cold]
    fn fall_behind(&mut self, frames: &[Frame<'_>], out: &mut impl FnMut(&Ended)) {
        let newest = frames.iter().map(|frame| frame.time).max().unwrap_or(self.now);
        if self.now.since(newest) <= self.config.idle {
            return;
        }
        self.behind += frames.len();
        if self.behind > SET_BACK {
            self.start_over(newest, out);
        }
    }

    /// Reads what the batch will touch, each place independently of the others, so that the misses overlap. Gives the
    /// place each hash probably means.
    #[inline]
    fn warm(&self, packets: &[Option<Packet<'_>>], hashes: &[u32; BATCH], due: &Due) -> [u32; BATCH] {
        let mut guesses = [NO_PLACE; BATCH];
        let mut read = 0;
        for entry in due.iter().flatten() {
            let base = self.columns.base.at(entry.place);
            read ^= base.first.0 ^ base.packets[0];
        }
        for &hash in hashes {
            read ^= self.index.touch(hash);
        }
        for (&hash, guess) in hashes.iter().zip(&mut guesses) {
            if let Some(place) = self.index.find(hash, |_| true) {
                let base = self.columns.base.at(place);
                read ^= base.first.0 ^ base.packets[0];
                *guess = place;
            }
        }
        let groups = self.config.groups;
        if groups.has(Group::Bins) || self.dissection.is_some() {
            let places = guesses.iter().filter(|&&place| place != NO_PLACE);
            read ^= places.fold(0, |read, &place| read ^ self.columns.touch(place, groups));
        }
        if let Some(dissection) = &self.dissection {
            let places = guesses.iter().filter(|&&place| place != NO_PLACE);
            places.for_each(|&place| dissection.touch(self.columns.application.at(place)));
        }
        if groups.has(Group::Entropy) {
            for (&place, packet) in guesses.iter().zip(packets) {
                if let Some(packet) = packet.as_ref().filter(|packet| place != NO_PLACE && packet.payload_len > 0) {
                    read ^= self.columns.touch_payload(place, packet.direction);
                }
            }
        }
        core::hint::black_box(read);
        guesses
    }

    #[inline]
    fn sampled_out(&mut self) -> bool {
        self.skip += 1;
        if self.skip == self.config.sample {
            self.skip = 0;
            return false;
        }
        self.counters.sampled_out += 1;
        true
    }

    #[cold]
    fn fragment(&mut self, packet: &Packet<'_>) {
        let mut ready = core::mem::take(&mut self.ready);
        let mut packet = *packet;
        if self.fragments.take(&mut packet, &mut ready) {
            // With its bytes: they hold what is kept of a flow's first packet.
            self.account(&packet, packet.key.hash(&self.seeds), NO_PLACE);
        }
        self.account_all(ready);
    }

    fn account_all(&mut self, mut ready: Vec<Packet<'static>>) {
        for packet in ready.drain(..) {
            self.account(&packet, packet.key.hash(&self.seeds), NO_PLACE);
        }
        self.ready = ready;
    }

    /// Counts a packet in its flow, which is probably at `guess`.
    #[inline]
    fn account(&mut self, packet: &Packet<'_>, hash: u32, guess: u32) {
        self.now = self.now.max(packet.time);
        self.counters.metered += 1;
        let columns = &self.columns;
        let is = |place: u32| columns.base.at(place).key == packet.key;
        let found = if guess != NO_PLACE && is(guess) { Some(guess) } else { self.index.find(hash, is) };
        let place = match found {
            Some(place) => {
                self.turn_over(place, packet);
                place
            }
            None => self.begin(packet, hash),
        };
        self.update(place, packet);
    }

    /// Ends or cuts what stands at `place` when this packet no longer belongs to it.
    #[inline]
    fn turn_over(&mut self, place: u32, packet: &Packet<'_>) {
        let base = self.columns.base.at(place);
        if self.is_over(base, base.last_seen(), packet.time) {
            self.end(place, self.reason(place, packet.time, EndReason::Idle));
            return self.renew(place, packet);
        }
        // Cut first: it may have been already, by its age.
        if base.all_packets() > 0 && self.over_age(base.first, packet.time) {
            self.cut(place, self.reason(place, self.now, EndReason::Active));
        }
        if packet.tcp.flags & (flag::SYN | flag::ACK | flag::RST) == flag::SYN
            && self.config.parts.tells_connections()
            && reopens(self.columns.base.at(place), packet)
        {
            self.end(place, EndReason::Closed);
            self.renew(place, packet);
        }
    }

    /// Whether a flow's idle timeout, or its linger when the connection is closed, has run out at `now`.
    #[inline]
    fn is_over(&self, base: &Base, last: Nanos, now: Nanos) -> bool {
        let closed = base.state.is(State::CLOSED);
        let limit = if closed { self.config.linger } else { self.config.idle };
        now.since(last) >= limit
    }

    /// The time from which timeouts of a flow run: of its last packet; of a collected one see [`Origin::seen`].
    ///
    /// [`Origin::seen`]: super::flow::Origin::seen
    #[inline]
    fn last_seen(&self, place: u32) -> Nanos {
        if self.config.collected { self.columns.origin.at(place).seen } else { self.columns.base.at(place).last_seen() }
    }

    /// Why a record ends, or has ended before `now`; `otherwise` when nothing of its own ended it. The same whether it is
    /// met early or late.
    fn reason(&self, place: u32, now: Nanos, otherwise: EndReason) -> EndReason {
        let base = self.columns.base.at(place);
        if base.state.is(State::CLOSED) {
            return EndReason::Closed;
        }
        let idle_at = Nanos(self.last_seen(place).0.saturating_add(self.config.idle));
        if self.ages.is_some() && self.over_age(base.first, now.min(idle_at)) {
            EndReason::Active
        } else if now >= idle_at {
            EndReason::Idle
        } else {
            otherwise
        }
    }

    #[inline]
    fn over_age(&self, first: Nanos, now: Nanos) -> bool {
        const MINUTE: u64 = 60_000_000_000;
        now.since(first) >= self.config.active || self.config.by_minute && now.0 / MINUTE > first.0 / MINUTE
    }

    /// The time from which the idle timeout runs, as the ring knows it; a closed connection's began earlier, so that its
    /// turn comes after its linger.
    #[inline]
    fn due_from(&self, place: u32) -> Nanos {
        let (base, last) = (self.columns.base.at(place), self.last_seen(place));
        if base.state.is(State::CLOSED) {
            Nanos(last.0.saturating_sub(self.config.idle.saturating_sub(self.config.linger)))
        } else {
            last
        }
    }

    /// Begins a flow.
    fn begin(&mut self, packet: &Packet<'_>, hash: u32) -> u32 {
        let place = self.take_place(hash);
        self.renew(place, packet);
        place
    }

    /// Takes a place for a new flow.
    fn take_place(&mut self, hash: u32) -> u32 {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.places < self.config.max_flows => {
                self.places += 1;
                self.places - 1
            }
            None => self.evict(),
        };
        self.index.insert(hash, place);
        place
    }

    /// Makes `place` an empty flow with this packet's key.
    #[inline]
    fn renew(&mut self, place: u32, packet: &Packet<'_>) {
        self.columns.reset(place, self.config.groups);
        let mut state = State::default();
        let client = client::by_first(packet);
        state.set_client(client.direction);
        if client.sure {
            state.set(State::SURE);
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        *self.columns.base.at_mut(place) = Base { key: packet.key, icmp: packet.icmp, id, state, ..Base::default() };
        self.ring.queue(place, id, packet.time);
    }

    /// Ends the least recently seen flow and gives its place.
    #[cold]
    fn evict(&mut self) -> u32 {
        while let Some(entry) = self.ring.front() {
            let base = self.columns.base.at(entry.place);
            if !stands_for(&entry, base) {
                continue;
            }
            let due = self.due_from(entry.place);
            if self.ring.has_reached(due) && entry.still(due) {
                let over = self.is_over(base, self.last_seen(entry.place), self.now);
                self.counters.evicted += u64::from(!over);
                let reason = self.reason(entry.place, self.now, EndReason::Resources);
                self.remove(entry.place, base.key.hash(&self.seeds), reason);
                break;
            }
            self.ring.queue(entry.place, base.id, due);
        }
        // Every flow has its entry, so one was found.
        self.free.pop().unwrap_or(0)
    }

    /// Hands the record at `place` on; its flow is over.
    fn end(&mut self, place: u32, reason: EndReason) {
        if let Some(dissection) = &mut self.dissection {
            let (application, host, base) = self.columns.application(place, self.config.groups);
            dissection.finish(application, host, base);
        }
        self.record(place, reason);
    }

    /// Hands the record at `place` on, if it has any packets and nothing keeps it back.
    fn record(&mut self, place: u32, reason: EndReason) {
        let base = self.columns.base.at(place);
        if !base.has(0) && !base.has(1) {
            return;
        }
        self.counters.held -= 1;
        self.columns.end(place, self.config.groups);
        let base = self.columns.base.at(place);
        let least = match base.key.protocol() {
            protocol::TCP => self.config.min_bytes.tcp,
            protocol::UDP => self.config.min_bytes.udp,
            _ => self.config.min_bytes.other,
        };
        let two_way = base.has(0) && base.has(1);
        if base.bytes[0].saturating_add(base.bytes[1]) < least {
            self.counters.too_small += 1;
        } else if two_way && self.config.biflows == Biflows::OneWay {
            self.counters.two_way += 1;
        } else if !two_way && self.config.biflows == Biflows::TwoWay {
            self.counters.one_way += 1;
        } else if self.is_unwanted(place) {
            self.counters.other_application += 1;
        } else {
            self.counters.exported += 1;
            self.ended.push(&self.columns, place, self.config.groups, reason);
        }
    }

    /// Whether its application keeps the record at `place` back.
    #[inline]
    fn is_unwanted(&self, place: u32) -> bool {
        let wanted = &self.config.applications;
        if self.dissection.is_none() || *wanted == Wanted::default() {
            return false;
        }
        let application = self.columns.application.at(place);
        let by_known = match wanted.known {
            Known::All => false,
            Known::Only => application.is_unknown(),
            Known::Never => !application.is_unknown(),
        };
        let listed = |list: &[u16]| list.contains(&application.app) || list.contains(&application.master);
        by_known || wanted.only.as_deref().is_some_and(|only| !listed(only))
    }

    /// Hands the record on and frees its place.
    fn remove(&mut self, place: u32, hash: u32, reason: EndReason) {
        self.end(place, reason);
        self.index.remove(hash, place);
        // No packet has this key, and no entry of the ring stands for it.
        self.columns.base.at_mut(place).key = Key::default();
        self.free.push(place);
    }

    /// Hands the record on; the flow goes on with empty counters.
    fn cut(&mut self, place: u32, reason: EndReason) {
        self.record(place, reason);
        let groups = self.config.groups;
        let columns = &mut self.columns;
        let base = columns.base.at_mut(place);
        let (last, mut state) = (base.last, base.state);
        state.set(State::CONTINUED);
        *base = Base { key: base.key, isn: base.isn, id: base.id, icmp: base.icmp, last, state, ..Base::default() };
        columns.cut(place, groups);
    }

    /// Adds a packet to the record at `place`.
    #[inline]
    fn update(&mut self, place: u32, packet: &Packet<'_>) {
        let from = usize::from(packet.direction & 1);
        let len = if self.config.account_l2 { packet.wire_len } else { packet.ip_len };
        let base = self.columns.base.at_mut(place);
        let groups = self.config.groups;
        if base.all_packets() == 0 {
            base.first = packet.time;
            base.state.set_starter(packet.direction);
            self.counters.started += 1;
            self.counters.held += 1;
            if let Some(ages) = &mut self.ages {
                ages.push_back((packet.time, place, base.id));
            }
        }
        if !groups.none() {
            self.columns.update(place, groups, packet, len);
        }
        if let Some(dissection) = &mut self.dissection {
            let (application, host, base) = self.columns.application(place, groups);
            dissection.take(application, host, base, packet);
        }
        let base = self.columns.base.at_mut(place);
        if base.packets[from] == 0 {
            base.tos[from] = packet.tos;
            if from != base.state.starter() {
                base.first_answer = packet.time;
            }
        }
        base.first = base.first.min(packet.time);
        base.last[from] = base.last[from].max(packet.time);
        base.bytes[from] += u64::from(len);
        base.packets[from] += 1;
        let flags = packet.tcp.flags;
        if flags != 0 {
            base.tcp_flags[from] |= flags;
            if flags & (flag::SYN | flag::FIN | flag::RST) != 0 {
                self.connection(place, packet);
            }
        }
    }

    /// Follows the connection: who opened it, whether it is over.
    fn connection(&mut self, place: u32, packet: &Packet<'_>) {
        let base = self.columns.base.at_mut(place);
        let flags = packet.tcp.flags;
        if let Some(client) = client::by_handshake(packet) {
            if !base.state.is(State::SURE) {
                base.state.set_client(client.direction);
                base.state.set(State::SURE);
            }
            if !base.state.is(State::ISN) {
                // A SYN-ACK acknowledges the SYN that was not seen, or not yet.
                let answer = flags & flag::ACK != 0;
                base.isn = if answer { packet.tcp.ack.wrapping_sub(1) } else { packet.tcp.seq };
                base.state.set(State::ISN);
            }
        }
        let over = flags & flag::RST != 0 || flags & flag::FIN != 0 && base.state.fin(packet.direction);
        if over && self.config.parts.tells_connections() && !base.state.is(State::CLOSED) {
            base.state.set(State::CLOSED);
            let id = base.id;
            let due = self.due_from(place);
            self.ring.queue(place, id, due);
        }
    }

    /// Ends what is over its timeout, visiting at most `visits` flows.
    fn expire(&mut self, visits: usize) {
        let mut visited = 0;
        while visited < visits {
            let due = self.take_due();
            if due[0].is_none() {
                break;
            }
            self.visit(&due);
            visited += due.iter().flatten().count();
        }
        self.expire_by_age(visits);
        if self.ring.len() > SLACK + 2 * self.places as usize {
            let columns = &self.columns;
            self.ring.retain(|entry| stands_for(entry, columns.base.at(entry.place)));
        }
    }

    /// The next flows whose turn has come, out of the ring: they must be visited now.
    #[inline]
    fn take_due(&mut self) -> Due {
        let limit = Nanos(self.now.0.saturating_sub(self.config.idle));
        let mut due = [None; GROUP];
        let mut n = 0;
        for (slot, &entry) in due.iter_mut().zip(self.ring.due(limit)) {
            *slot = Some(entry);
            n += 1;
        }
        self.ring.pass(n);
        due
    }

    /// Ends or queues again what these entries stand for. First everything is read that will be touched.
    fn visit(&mut self, group: &Due) {
        if group[0].is_none() {
            return;
        }
        let mut hashes = [0; GROUP];
        for (hash, entry) in hashes.iter_mut().zip(group.iter().flatten()) {
            *hash = self.columns.base.at(entry.place).key.hash(&self.seeds);
        }
        let mut read = hashes.iter().fold(0, |read, &hash| read ^ self.index.touch(hash));
        let groups = self.config.groups;
        if groups.has(Group::Bins) || self.dissection.is_some() {
            let ends = |entry: &&Entry| {
                let base = self.columns.base.at(entry.place);
                stands_for(entry, base) && self.is_over(base, self.last_seen(entry.place), self.now)
            };
            let ending = || group.iter().flatten().filter(ends).map(|entry| entry.place);
            read ^= ending().fold(0, |read, place| read ^ self.columns.touch(place, groups));
            if let Some(dissection) = &self.dissection {
                ending().for_each(|place| dissection.touch(self.columns.application.at(place)));
            }
            read ^= ending().fold(0, |read, place| read ^ self.columns.touch_end(place, groups));
        }
        core::hint::black_box(read);
        for (&hash, entry) in hashes.iter().zip(group.iter().flatten()) {
            let base = self.columns.base.at(entry.place);
            if !stands_for(entry, base) {
                continue;
            }
            if self.is_over(base, self.last_seen(entry.place), self.now) {
                self.remove(entry.place, hash, self.reason(entry.place, self.now, EndReason::Idle));
            } else {
                self.ring.queue(entry.place, base.id, self.due_from(entry.place));
            }
        }
    }

    /// Cuts what is over the active timeout, where that cannot wait for a flow's next packet or visit.
    fn expire_by_age(&mut self, visits: usize) {
        for _ in 0..visits {
            let Some(&(first, place, id)) = self.ages.as_ref().and_then(|ages| ages.front()) else { return };
            let base = self.columns.base.at(place);
            let current = begun_at(base, first, id);
            if current && !self.over_age(base.first, self.now) {
                break;
            }
            if let Some(ages) = &mut self.ages {
                ages.pop_front();
            }
            if current {
                self.cut(place, self.reason(place, self.now, EndReason::Active));
            }
        }
        // Records that ended early leave their entry behind.
        let columns = &self.columns;
        if let Some(ages) = self.ages.as_mut().filter(|ages| ages.len() > SLACK + 2 * self.places as usize) {
            ages.retain(|&(first, place, id)| begun_at(columns.base.at(place), first, id));
        }
    }

    #[inline]
    fn hand_on(&mut self, out: &mut impl FnMut(&Ended)) {
        self.handed_on = self.now;
        out(&self.ended);
        self.ended.clear();
    }

    /// Tells the time when no packets come, and hands on what ended by it. Time never runs backwards.
    pub fn tick(&mut self, now: Nanos, out: &mut impl FnMut(&Ended)) {
        self.now = self.now.max(now);
        let mut ready = core::mem::take(&mut self.ready);
        self.fragments.expire(self.now, &mut ready);
        self.account_all(ready);
        self.expire(1 << 16);
        if !self.ended.is_empty() {
            self.hand_on(out);
        }
    }

    /// Ends every flow, as at the end of a capture or on a signal.
    pub fn flush(&mut self, out: &mut impl FnMut(&Ended)) {
        let mut ready = core::mem::take(&mut self.ready);
        self.fragments.flush(&mut ready);
        self.account_all(ready);
        while let Some(entry) = self.ring.front() {
            let base = self.columns.base.at(entry.place);
            if !stands_for(&entry, base) {
                continue;
            }
            self.end(entry.place, self.reason(entry.place, self.now, EndReason::Forced));
            self.columns.base.at_mut(entry.place).key = Key::default();
            if self.ended.len() >= ENDED {
                self.hand_on(out);
            }
        }
        // All are gone, so that none has to be taken out of the index by itself.
        self.index.clear();
        self.free.clear();
        self.places = 0;
        if !self.ended.is_empty() {
            self.hand_on(out);
        }
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        Counters {
            fragments: self.fragments.counters(),
            dissection: self.dissection.as_ref().map_or_else(Default::default, Dissection::counters),
            parked: self.fragments.parked() as u64,
            gathered: self.ended.len() as u64,
            ..self.counters
        }
    }

    /// Time of the latest packet or tick.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Bytes taken by flows and their index.
    pub fn bytes(&self) -> usize {
        self.columns.bytes() + self.index.bytes() + self.ring.bytes()
    }
}

/// Whether the record that was begun by a packet of `first` is still under way. A packet that came late may have moved
/// its beginning.
fn begun_at(base: &Base, first: Nanos, id: u32) -> bool {
    base.id == id && base.first <= first && base.all_packets() > 0 && base.key != Key::default()
}

/// Whether an entry of the ring means the flow that is at its place now, and not one that ended early. Only 16 bits tell
/// that; another flow taken for it is visited once too often.
#[inline]
fn stands_for(entry: &Entry, base: &Base) -> bool {
    entry.is(base.id) && base.key != Key::default()
}

/// Whether a SYN opens a new connection on the ports of the flow it was found in. The same SYN sent again does not, not
/// even when the first was answered with RST; nor does one from an end that has not spoken yet (simultaneous open, or
/// overtaken by its answer).
fn reopens(base: &Base, packet: &Packet<'_>) -> bool {
    let from = usize::from(packet.direction & 1);
    let again = base.state.is(State::ISN) && base.state.client() == from && base.isn == packet.tcp.seq;
    let speaks_first = base.packets[from] == 0 && !base.state.is(State::CONTINUED) && !base.state.is(State::CLOSED);
    !again && !speaks_first
}
