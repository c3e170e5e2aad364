//! What is known of one observation domain of one exporter, and what it sent.

use std::collections::{HashMap, VecDeque};

use flowsonde_wire::Nanos;
use flowsonde_wire::export::ipfix::Specifier;

use super::applications::Table;
use super::connections::Connections;
use super::records::{About, Version};
use super::sampling::Samplers;
use super::saved::Saved;
use super::sequence::Sequence;
use super::sflow5::sources::Sources;
use super::templates::{Layouts, Templates};

/// One exporter's domain, engine or sub-agent.
#[derive(Debug)]
pub struct Session {
    /// Its latest message; the exporter's name in it.
    pub about: About,
    /// What its records look like.
    pub templates: Templates,
    /// How its packets were sampled.
    pub samplers: Samplers,
    /// What it calls applications.
    pub applications: Table,
    /// When it started (IPFIX element 160, from options data).
    pub init: Option<Nanos>,
    /// What it expects next.
    pub sequence: Sequence,
    /// What is expected next of each source of samples (sFlow).
    pub sources: Sources,
    /// Data that came before its template.
    pub waiting: Waiting,
    /// What was told of its connections.
    pub(super) connections: Option<Box<Connections>>,
    /// What was done.
    pub counters: Counters,
    /// Difference of the clocks: arrival less time of export, the least seen of late.
    pub skew: Skew,
    /// Bytes the budget was last charged for it.
    pub(super) charged: usize,
    /// It did something that was not told yet.
    pub(super) touched: bool,
}

impl Session {
    /// Of a first message.
    pub fn new(about: About, samplers: Samplers, applications: Table) -> Session {
        Session {
            about,
            templates: Templates::default(),
            samplers,
            applications,
            init: None,
            sequence: Sequence::default(),
            sources: Sources::default(),
            waiting: Waiting::default(),
            connections: None,
            counters: Counters::default(),
            skew: Skew::default(),
            charged: 0,
            touched: false,
        }
    }

    /// Takes for known what an earlier run learnt, but the time of the exporter's start.
    pub(super) fn restore(&mut self, saved: &Saved, layouts: &mut Layouts) {
        for (id, shape, refreshed) in &saved.templates {
            let fields = shape.specifiers.iter().map(|&(pen, id, length)| Specifier { pen, id, length });
            let layout = layouts.of(&fields.collect::<Vec<_>>(), shape.scopes);
            let known = layout.is_ok_and(|layout| self.templates.insert(*id, layout, *refreshed));
            self.counters.templates_restored += u64::from(known);
        }
        self.samplers = core::mem::take(&mut self.samplers).restored(&saved.samplers);
    }

    /// What it did, with what its sequence numbers tell.
    pub fn summary(&self) -> Counters {
        let mut counters = self.counters;
        let lost = match self.about.version {
            Version::V5 | Version::V7 => &mut counters.lost_flows,
            Version::Ipfix => &mut counters.lost_records,
            _ => &mut counters.lost_messages,
        };
        *lost = self.sequence.lost;
        counters.late = self.sequence.late;
        counters.epochs = self.sequence.epochs;
        counters
    }

    /// Bytes it takes, near enough: itself and its place among the others, its templates, samplers, sources, and what
    /// waits. Layouts are counted where they are kept.
    pub(super) fn memory(&self) -> usize {
        /// Itself, its key at three places, and the room that tables keep free.
        const SELF: usize = size_of::<Session>() + 512;
        const TEMPLATE: usize = 2 * size_of::<(u16, super::templates::Template)>();
        const SAMPLER: usize = 3 * size_of::<(u64, u32)>();
        const SOURCE: usize = 32;
        const WAITS: usize = size_of::<Waits>();
        /// Least places of a table, and of a queue.
        const FEW: usize = 4;
        let places = |number: usize| if number == 0 { 0 } else { number.max(FEW) };
        SELF + places(self.templates.len()) * TEMPLATE
            + places(self.samplers.len()) * SAMPLER
            + places(self.sources.len()) * SOURCE
            + places(self.waiting.len()) * (WAITS + 64)
            + self.waiting.bytes()
            + self.connections_bytes()
            + self.applications.bytes()
    }

    /// Bytes of what was told of its connections.
    pub(super) fn connections_bytes(&self) -> usize {
        self.connections.as_ref().map_or(0, |connections| connections.bytes())
    }

    /// Forgets what was told of its connections.
    pub(super) fn forget_connections(&mut self) {
        let connections = self.connections.take();
        self.counters.connections_forgotten += connections.map_or(0, |connections| connections.open());
    }

    /// Forgets what it calls applications, until it tells so again.
    pub(super) fn forget_applications(&mut self) {
        self.counters.applications_forgotten += self.applications.forget();
    }

    /// When it was last heard of.
    pub fn last_seen(&self) -> Nanos {
        self.about.arrival
    }
}

/// Declares the counters of a session: one row each, the name it has in the ledger being its own.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What became of a session's messages. `sets = sets_decoded + no_template + expired + those that wait`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Adds another session's.
            pub fn add(&mut self, other: &Counters) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counters! {
    /// Messages.
    messages,
    /// Bytes of them.
    bytes,
    /// Messages cut off, or with sets that lead nowhere: what could be read of them was.
    malformed,
    /// Flows that never came, by the sequence numbers of NetFlow v5.
    lost_flows,
    /// Data records that never came, by those of IPFIX.
    lost_records,
    /// Messages that never came, by those of NetFlow v9 and sFlow.
    lost_messages,
    /// Units that came out of order, in the same units; they are not lost.
    late,
    /// New starts of the exporter.
    epochs,
    /// Data sets.
    sets,
    /// Data sets whose records were read.
    sets_decoded,
    /// Data sets that nobody reads: `--template-ids` leaves their template out.
    sets_filtered,
    /// Data sets given up to make room for younger ones, or with their session.
    no_template,
    /// Data sets given up as their template did not come in time.
    expired,
    /// Data sets that waited for their template and were read then.
    replayed,
    /// Records of flows read.
    flows,
    /// Records of options read.
    options,
    /// Templates that came, refreshes included.
    templates,
    /// Templates known from an earlier run.
    templates_restored,
    /// Templates refused: too long, too many.
    templates_refused,
    /// Templates that changed under their id.
    templates_changed,
    /// Withdrawals, and those that do not count as they came over UDP.
    withdrawals,
    /// Templates found under another port or domain of the same address.
    borrowed,
    /// Names of applications for which there was no room, each as often as it was told.
    applications_refused,
    /// Names of applications forgotten for want of room.
    applications_forgotten,
    /// Connections forgotten for want of room: what comes of them counts whole.
    connections_forgotten,
    /// Samples of packets (sFlow, NetFlow-Lite): `samples = samples_other +` the flows made of them.
    samples,
    /// Samples of packets that are not IP, or of which too little is told.
    samples_other,
    /// Samples of packets that never came, by the numbers of their sources.
    samples_lost,
    /// Samples the agent had to drop, as it tells.
    sample_drops,
    /// Samples of which not all could be read.
    samples_malformed,
    /// Samples of formats that are not known.
    samples_unknown,
    /// Samples of counters.
    counter_samples,
}

impl Counters {
    /// Data records read, whatever became of them: what IPFIX counts by.
    pub fn records(&self) -> u64 {
        self.flows + self.options + self.samples_other
    }
}

/// Data sets that came before their template, within bounds. A template costs what waited for it, not what waits for others.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Of each template, in order of arrival, with their numbers.
    by_id: HashMap<u16, VecDeque<(u64, Waits)>>,
    /// Number and template of each, in order of arrival; also of some that went since.
    order: VecDeque<(u64, u16)>,
    next: u64,
    len: usize,
    bytes: usize,
}

/// A data set that waits.
#[derive(Debug)]
pub struct Waits {
    /// The template it needs.
    pub id: u16,
    /// What its message told.
    pub about: About,
    /// Its records.
    pub bytes: Box<[u8]>,
}

impl Waiting {
    /// Bytes one session may let wait.
    pub const LIMIT: usize = 256 << 10;

    /// What keeping a set costs besides its bytes.
    const EACH: usize = size_of::<(u64, Waits)>() + size_of::<(u64, u16)>();

    /// Takes a set in. Tells how many older ones had to go for it.
    pub fn push(&mut self, id: u16, about: &About, bytes: &[u8]) -> u64 {
        let mut gone = 0;
        while self.bytes + Self::EACH + bytes.len() > Self::LIMIT && self.pop() {
            gone += 1;
        }
        self.bytes += Self::EACH + bytes.len();
        self.len += 1;
        self.order.push_back((self.next, id));
        self.by_id.entry(id).or_default().push_back((self.next, Waits { id, about: *about, bytes: bytes.into() }));
        self.next += 1;
        gone
    }

    /// The oldest; what went before it is forgotten.
    fn oldest(&mut self) -> Option<&Waits> {
        while let Some((number, id)) = self.order.front() {
            // Those of one template go in order, or all at once.
            if self.by_id.get(id).and_then(|sets| sets.front()).is_some_and(|(first, _)| first == number) {
                break;
            }
            self.order.pop_front();
        }
        let (_, id) = self.order.front()?;
        self.by_id.get(id)?.front().map(|(_, set)| set)
    }

    /// Forgets the oldest; false when there is none.
    fn pop(&mut self) -> bool {
        let Some(id) = self.oldest().map(|set| set.id) else { return false };
        self.order.pop_front();
        let Some(sets) = self.by_id.get_mut(&id) else { return false };
        let Some((_, set)) = sets.pop_front() else { return false };
        if sets.is_empty() {
            self.by_id.remove(&id);
        }
        self.len -= 1;
        self.bytes -= Self::EACH + set.bytes.len();
        true
    }

    /// Takes out those that waited for this template, in order of arrival.
    pub fn take(&mut self, id: u16) -> Vec<Waits> {
        let Some(sets) = self.by_id.remove(&id) else { return Vec::new() };
        let found: Vec<Waits> = sets.into_iter().map(|(_, set)| set).collect();
        self.len -= found.len();
        self.bytes -= found.iter().map(|set| Self::EACH + set.bytes.len()).sum::<usize>();
        // Numbers of those that went are not to pile up behind one that stays.
        if self.order.len() > 2 * self.len + 64 {
            let by_id = &self.by_id;
            let stays = |(number, id): &(u64, u16)| {
                by_id.get(id).and_then(|sets| sets.front()).is_some_and(|(first, _)| first <= number)
            };
            self.order.retain(stays);
        }
        found
    }

    /// Forgets those that arrived before `limit`; tells how many.
    pub fn expire(&mut self, limit: Nanos) -> u64 {
        let mut gone = 0;
        while self.oldest().is_some_and(|set| set.about.arrival < limit) && self.pop() {
            gone += 1;
        }
        gone
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when none does.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that wait, and what keeping them costs.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// How far an exporter's clock is behind ours, in milliseconds; ahead is negative. The least of many messages is nearest
/// to the truth, as the rest is transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skew {
    least: Option<i64>,
    messages: u32,
    /// Of the period before.
    settled: Option<i64>,
}

impl Skew {
    /// Messages of a period.
    const PERIOD: u32 = 64;

    /// A message of time `export` arrived.
    #[inline]
    pub fn arrived(&mut self, export: Nanos, arrival: Nanos) {
        let late = arrival.millis() as i64 - export.millis() as i64;
        self.least = Some(self.least.map_or(late, |least| least.min(late)));
        self.messages += 1;
        if self.messages == Self::PERIOD {
            self.settled = self.least.take();
            self.messages = 0;
        }
    }

    /// The estimate.
    pub fn millis(&self) -> Option<i64> {
        match (self.settled, self.least) {
            (Some(settled), Some(least)) => Some(settled.min(least)),
            (settled, least) => settled.or(least),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_wire::export::Transport;

    fn about(seconds: u64) -> About {
        About {
            exporter: [192, 0, 2, 1].into(),
            port: 1,
            transport: Transport::Udp,
            version: Version::V9,
            domain: 0,
            engine: (0, 0),
            export: Nanos(0),
            uptime_ms: None,
            init: None,
            arrival: Nanos::new(seconds, 0),
            shift: 0,
        }
    }

    #[test]
    fn what_waits_is_bounded_and_comes_out_in_order() {
        let mut waiting = Waiting::default();
        let mut gone = 0;
        for i in 0..300u64 {
            gone += waiting.push(256 + (i % 2) as u16, &about(i), &[i as u8; 1000]);
        }
        let each = Waiting::EACH + 1000;
        assert_eq!((waiting.len() as u64 + gone, waiting.bytes()), (300, waiting.len() * each));
        assert!(waiting.bytes() <= Waiting::LIMIT && gone > 0);
        assert_eq!(waiting.expire(Nanos::new(gone + 1, 0)), 1);
        let taken = waiting.take(257);
        assert!(taken.windows(2).all(|pair| pair[0].about.arrival < pair[1].about.arrival));
        assert_eq!((waiting.take(257).len(), waiting.bytes()), (0, waiting.len() * each));
    }

    #[test]
    fn sets_of_a_byte_cost_what_keeping_them_costs() {
        let mut waiting = Waiting::default();
        let gone: u64 = (0..100_000u64).map(|i| waiting.push(256 + (i % 50_000) as u16, &about(i), &[7])).sum();
        assert_eq!(waiting.len() as u64 + gone, 100_000);
        assert!(waiting.len() <= Waiting::LIMIT / size_of::<Waits>() && waiting.bytes() <= Waiting::LIMIT);
        assert!(waiting.order.len() <= 2 * waiting.len() + 64);
        // The youngest are there, by their template; templates of those that went are not.
        assert_eq!(waiting.take(256 + (99_999 % 50_000) as u16).len(), 1);
        assert!(waiting.take(256).is_empty());
        assert_eq!(waiting.expire(Nanos(u64::MAX)) as usize, Waiting::LIMIT / (Waiting::EACH + 1) - 1);
        assert!(waiting.is_empty() && waiting.by_id.is_empty() && waiting.order.is_empty() && waiting.bytes() == 0);
    }

    #[test]
    fn the_least_delay_is_the_skew() {
        let mut skew = Skew::default();
        for delay in [900, 500, 700] {
            skew.arrived(Nanos::new(100, 0), Nanos::new(100, delay * 1_000_000));
        }
        assert_eq!(skew.millis(), Some(500));
        for _ in 0..200 {
            skew.arrived(Nanos::new(100, 0), Nanos::new(97, 0));
        }
        assert_eq!(skew.millis(), Some(-3000));
    }
}
