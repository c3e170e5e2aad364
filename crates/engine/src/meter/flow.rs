//! What is kept of a flow: the base of every flow, and the groups that a template asks for.
//!
//! Columns, not one struct: a group that no element of the template needs has no memory and no code run. Pairs are by
//! direction, as the key orders its ends: index 0 counts packets sent by the key's first end.

use flowsonde_wire::Nanos;

use super::application::{Application, Host};
use super::behaviour::bins::Bins;
use super::behaviour::bursts::Bursts;
use super::behaviour::entropy::Pools;
use super::behaviour::histograms::Histograms;
use super::behaviour::series::{Series, Times};
use super::gaps::Gaps;
use super::key::{End, Key};
use super::latency::Latency;
use super::rate::Rate;
use super::slab::Slab;
use super::tcp::{Quality, Windows};
use crate::decode::applications::Called;

/// What is kept of every flow: two cache lines.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Base {
    /// Flow key.
    pub key: Key,
    /// First packet.
    pub first: Nanos,
    /// First packet of the direction that did not begin.
    pub first_answer: Nanos,
    /// Last packet, by direction.
    pub last: [Nanos; 2],
    /// IP bytes (or frame bytes with `--account-l2`), by direction.
    pub bytes: [u64; 2],
    /// Packets, by direction.
    pub packets: [u64; 2],
    /// Sequence number of the client's SYN.
    pub isn: u32,
    /// Number of the flow, counted up by its meter.
    pub id: u32,
    /// Type and code of the first ICMP packet.
    pub icmp: u16,
    /// What is known of the flow's state.
    pub state: State,
    /// OR of the TCP flags, by direction.
    pub tcp_flags: [u8; 2],
    /// ToS of the first packet, by direction.
    pub tos: [u8; 2],
}

impl Base {
    /// Last packet of either direction.
    #[inline]
    pub fn last_seen(&self) -> Nanos {
        self.last[0].max(self.last[1])
    }

    /// First packet of one direction; of the flow when that direction has none.
    #[inline]
    pub fn first_of(&self, direction: usize) -> Nanos {
        if direction == self.state.starter() || !self.has(direction) { self.first } else { self.first_answer }
    }

    /// Last packet of one direction; of the flow when that direction has none.
    #[inline]
    pub fn last_of(&self, direction: usize) -> Nanos {
        if !self.has(direction) { self.last_seen() } else { self.last[direction & 1] }
    }

    /// Packets of both directions.
    #[inline]
    pub fn all_packets(&self) -> u64 {
        self.packets[0] + self.packets[1]
    }

    /// True when something was counted of a direction. Exporters have records that count no packets, of events for one.
    #[inline]
    pub fn has(&self, direction: usize) -> bool {
        self.packets[direction & 1] > 0 || self.state.told(direction)
    }
}

/// One bit a fact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State(u16);

impl State {
    /// The client is the key's second end.
    const CLIENT_SECOND: u16 = 1 << 0;
    /// A SYN or SYN-ACK told who is client.
    pub const SURE: u16 = 1 << 1;
    /// The key's first end sent a FIN.
    const FIN_FIRST: u16 = 1 << 2;
    /// Both did.
    const FINS: u16 = 3 << 2;
    /// The connection is over: FIN both ways or RST. It lingers for late packets.
    pub const CLOSED: u16 = 1 << 4;
    /// `isn` is known.
    pub const ISN: u16 = 1 << 5;
    /// The second end sent the first packet.
    const STARTED_BY_SECOND: u16 = 1 << 6;
    /// Goes on from a record cut by the active timeout.
    pub const CONTINUED: u16 = 1 << 7;
    const REASON: u16 = 7 << 8;
    /// A collected record told of the key's first end as sender.
    const TOLD_FIRST: u16 = 1 << 11;
    /// Of either.
    const TOLD: u16 = 3 << 11;

    /// True when the bit is set.
    #[inline]
    pub fn is(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    /// Sets a bit.
    #[inline]
    pub fn set(&mut self, bit: u16) {
        self.0 |= bit;
    }

    /// Direction whose sender is the client.
    #[inline]
    pub fn client(self) -> usize {
        usize::from(self.0 & Self::CLIENT_SECOND)
    }

    /// Sets the client.
    #[inline]
    pub fn set_client(&mut self, direction: u8) {
        self.0 = self.0 & !Self::CLIENT_SECOND | u16::from(direction & 1);
    }

    /// Direction of the first packet.
    #[inline]
    pub fn starter(self) -> usize {
        usize::from(self.is(Self::STARTED_BY_SECOND))
    }

    /// Sets the direction of the first packet.
    #[inline]
    pub fn set_starter(&mut self, direction: u8) {
        self.0 = self.0 & !Self::STARTED_BY_SECOND | u16::from(direction & 1) << 6;
    }

    /// Notes a FIN; true when both ends have now sent one.
    #[inline]
    pub fn fin(&mut self, direction: u8) -> bool {
        self.0 |= Self::FIN_FIRST << (direction & 1);
        self.0 & Self::FINS == Self::FINS
    }

    /// Notes that a collected record told of a direction.
    #[inline]
    pub fn tell(&mut self, direction: usize) {
        self.0 |= Self::TOLD_FIRST << (direction & 1);
    }

    /// True when a collected record told of a direction.
    #[inline]
    pub fn told(self, direction: usize) -> bool {
        self.0 & Self::TOLD_FIRST << (direction & 1) != 0
    }

    /// Forgets what records told: another one begins.
    #[inline]
    pub fn forget_told(&mut self) {
        self.0 &= !Self::TOLD;
    }

    /// Why the flow ended.
    pub fn reason(self) -> EndReason {
        match (self.0 & Self::REASON) >> 8 {
            1 => EndReason::Idle,
            2 => EndReason::Active,
            3 => EndReason::Closed,
            5 => EndReason::Resources,
            _ => EndReason::Forced,
        }
    }

    /// Sets why the flow ended.
    pub fn set_reason(&mut self, reason: EndReason) {
        self.0 = self.0 & !Self::REASON | (reason as u16) << 8;
    }
}

/// Why a flow ended, numbered as `flowEndReason` (IANA element 136, RFC 5102 section 5.11.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum EndReason {
    /// No packet for the idle timeout.
    Idle = 1,
    /// Cut by the active timeout; it goes on.
    Active = 2,
    /// The connection ended: FIN both ways or RST, or a new one took its ports.
    Closed = 3,
    /// The meter was told to stop.
    Forced = 4,
    /// Evicted, least recently seen first, because the cache was full.
    Resources = 5,
}

/// MAC addresses of the first packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Macs {
    /// Sender's and receiver's, in the packet's own order.
    pub addresses: [[u8; 6]; 2],
    /// Direction of that packet.
    pub direction: u8,
    /// False when the link has none.
    pub known: bool,
}

/// The MPLS stack of the first packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Labels {
    /// Label, traffic class and bottom bit: the first three bytes of each entry, top of stack first.
    pub entries: [[u8; 3]; 10],
    /// How many there are.
    pub count: u8,
}

/// Extremes of IP lengths and TTLs, and fragments.
#[derive(Clone, Copy, Debug)]
pub struct Extremes {
    /// Shortest IP packet, by direction.
    pub min_len: [u16; 2],
    /// Longest IP packet, by direction.
    pub max_len: [u16; 2],
    /// Lowest TTL, by direction.
    pub min_ttl: [u8; 2],
    /// Highest TTL, by direction.
    pub max_ttl: [u8; 2],
    /// Fragmented packets, by direction.
    pub fragments: [u16; 2],
}

impl Default for Extremes {
    fn default() -> Self {
        Extremes { min_len: [u16::MAX; 2], max_len: [0; 2], min_ttl: [u8::MAX; 2], max_ttl: [0; 2], fragments: [0; 2] }
    }
}

/// What only the exporter of a collected flow can tell, and when it told. Pairs are by direction or end, as everywhere.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Origin {
    /// The exporter's address, as IPv6.
    pub exporter: [u8; 16],
    /// The latest time its records are of, by our clock: timeouts run from it.
    pub seen: Nanos,
    /// Interface the packets of a direction came in by.
    pub input: [u32; 2],
    /// Interface they went out by.
    pub output: [u32; 2],
    /// AS of each end.
    pub systems: [u32; 2],
    /// Observation domain, or source id.
    pub domain: u32,
    /// Packets that one stands for.
    pub rate: u32,
    /// What the exporter calls its application.
    pub called: Called,
    /// Bits of each end's prefix.
    pub masks: [u8; 2],
    /// What became of the packets (RFC 7270, section 4.12).
    pub status: u8,
    /// See [`Origin::EGRESS`] and what follows.
    pub bits: u8,
}

impl Origin {
    /// Packets of the first end were metered as they left (element 61); the next bit is the second end's.
    pub const EGRESS: u8 = 1 << 0;
    /// Told by sFlow.
    pub const SFLOW: u8 = 1 << 2;
    /// The domain is engine type and id.
    pub const ENGINE: u8 = 1 << 3;
    /// From this bit on, three: what told the rate, by [`By::ALL`](crate::decode::sampling::By::ALL).
    pub const RATE_BY: u8 = 4;
    /// This one: counters are as they came.
    pub const PLAIN: u8 = 7;
}

/// Where packets of each direction went next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hops {
    /// The router.
    pub next: [End; 2],
    /// The BGP next hop.
    pub bgp: [End; 2],
}

/// What only IPv6 has, of the flow so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct V6 {
    /// Flow label of the first packet, by direction.
    pub flow_label: [u32; 2],
    /// Extension headers seen, as IANA element 64 numbers them.
    pub extensions: u32,
}

/// Packets by IP length: up to 128, 256, 512, 1024, 1514 bytes, and over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes(pub [[u32; 6]; 2]);

/// Packets by TTL: 1, up to 5, 32, 64, 96, 128, 160, 192, 224, 255.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ttls(pub [[u32; 10]; 2]);

/// One row a group: its columns, the flow's state for one element group.
macro_rules! groups {
    ($($(#[$doc:meta])* $group:ident = $field:ident: $state:ty;)*) => {
        /// A part of a flow's state that is kept only when a template asks for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Group {
            /// Kept of every flow.
            Base,
            $($(#[$doc])* $group,)*
        }

        impl Group {
            /// Every optional group, with its name and the bytes it takes a flow.
            pub const OPTIONAL: &[(Group, &'static str, usize)] =
                &[$((Group::$group, stringify!($field), size_of::<$state>())),*];
        }

        /// All flows of a cache, by place.
        #[derive(Debug, Default)]
        pub struct Columns {
            pub(super) base: Slab<Base>,
            /// What the entropies are taken of.
            pub(super) payloads: Pools,
            $(pub(super) $field: Slab<$state>,)*
        }

        impl Columns {
            /// Makes place `i` a new flow.
            #[inline]
            pub(super) fn reset(&mut self, i: u32, groups: Groups) {
                self.base.reach(i);
                if groups.none() {
                    return;
                }
                $(if groups.has(Group::$group) {
                    self.$field.reach(i);
                    *self.$field.at_mut(i) = <$state>::default();
                })*
            }

            /// Bytes taken.
            pub fn bytes(&self) -> usize {
                self.base.bytes() + self.payloads.bytes() $(+ self.$field.bytes())*
            }
        }

        /// Flows that ended, waiting to be exported. Columns of groups that are not kept are empty.
        #[derive(Debug, Default, Clone)]
        pub struct Ended {
            base: Vec<Base>,
            $($field: Vec<$state>,)*
        }

        impl Ended {
            /// Copies a flow out of its cache.
            #[inline]
            pub(super) fn push(&mut self, columns: &Columns, i: u32, groups: Groups, reason: EndReason) {
                let mut base = *columns.base.at(i);
                base.state.set_reason(reason);
                self.base.push(base);
                if groups.none() {
                    return;
                }
                $(if groups.has(Group::$group) {
                    self.$field.push(*columns.$field.at(i));
                })*
            }

            /// Forgets all.
            pub fn clear(&mut self) {
                self.base.clear();
                $(self.$field.clear();)*
            }

            /// The `i`th flow, seen from its client.
            #[inline]
            pub fn view(&self, i: usize) -> Option<View<'_>> {
                let base = self.base.get(i)?;
                Some(View {
                    base,
                    side: base.state.client(),
                    alone: false,
                    $($field: self.$field.get(i),)*
                })
            }
        }

        /// One flow, to be exported. `side` is the direction whose sender is the record's source.
        #[derive(Clone, Copy, Debug)]
        pub struct View<'a> {
            /// Kept of every flow.
            pub base: &'a Base,
            /// Direction whose sender is the record's SRC side.
            pub side: usize,
            /// The record tells of one direction only, SRC to DST.
            pub alone: bool,
            $($(#[$doc])* pub $field: Option<&'a $state>,)*
        }
    };
}

groups! {
    /// MAC addresses.
    Macs = macs: Macs;
    /// MPLS labels.
    Labels = labels: Labels;
    /// Lengths, TTLs, fragments.
    Extremes = extremes: Extremes;
    /// IPv6 flow label and extension headers.
    V6 = v6: V6;
    /// Packets by length.
    Sizes = sizes: Sizes;
    /// Packets by TTL.
    Ttls = ttls: Ttls;
    /// Inter-arrival times.
    Gaps = gaps: Gaps;
    /// Throughput by second.
    Rate = rate: Rate;
    /// TCP windows and SYN options.
    Windows = windows: Windows;
    /// TCP retransmissions and order.
    Quality = quality: Quality;
    /// Network and application latency.
    Latency = latency: Latency;
    /// Which application it is.
    Application = application: Application;
    /// Host asked for.
    Host = host: Host;
    /// Payload lengths and gaps, handshakes; and what the next group keeps.
    Bins = bins: Bins;
    /// Entropy of the payload.
    Entropy = entropy: ();
    /// The first packets one by one.
    Series = series: Series;
    /// When those came.
    Times = times: Times;
    /// Payload lengths and gaps in classes that double.
    Histograms = histograms: Histograms;
    /// Bursts.
    Bursts = bursts: Bursts;
    /// What only exporters tell; of flows made from packets never kept, as are next hops.
    Origin = origin: Origin;
    /// Next hops.
    Hops = hops: Hops;
}

impl Ended {
    /// How many.
    #[inline]
    pub fn len(&self) -> usize {
        self.base.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.base.is_empty()
    }

    /// Every flow, seen from its client.
    pub fn views(&self) -> impl Iterator<Item = View<'_>> {
        (0..self.len()).filter_map(|i| self.view(i))
    }
}

impl View<'_> {
    /// Direction of the record's SRC side, as `side`.
    #[inline]
    pub fn side(&self) -> usize {
        self.side & 1
    }

    /// Direction of the record's DST side.
    #[inline]
    pub fn other(&self) -> usize {
        self.side & 1 ^ 1
    }

    /// Calls `each` with the flow as records of one direction each: [`View::halves`] with one copy instead of many.
    #[inline]
    pub fn each_half(&self, mut each: impl FnMut(&Self)) {
        let mut half = View { alone: true, ..*self };
        for side in [self.side(), self.other()] {
            half.side = side;
            if self.base.has(side) {
                each(&half);
            }
        }
    }

    /// The flow as records of one direction each: the client's, then the server's, where they have packets.
    #[inline]
    pub fn halves(self) -> impl Iterator<Item = Self> {
        let halves = [View { alone: true, ..self }, View { alone: true, side: self.other(), ..self }];
        halves.into_iter().filter(|half| half.base.has(half.side()))
    }
}

/// The groups a meter keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Groups(u32);

impl Groups {
    /// With one more, and what that one needs.
    #[must_use]
    pub const fn with(self, group: Group) -> Groups {
        let needed = match group {
            Group::Entropy => 1 << Group::Bins as u32,
            _ => 0,
        };
        Groups(self.0 | needed | 1 << group as u32)
    }

    /// With one less.
    #[must_use]
    pub const fn without(self, group: Group) -> Groups {
        Groups(self.0 & !(1 << group as u32))
    }

    /// True when kept.
    #[inline]
    pub const fn has(self, group: Group) -> bool {
        self.0 & 1 << group as u32 != 0
    }

    /// True when only the base is kept.
    #[inline]
    pub const fn none(self) -> bool {
        self.0 >> 1 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_two_cache_lines_and_the_origin_one() {
        assert_eq!((size_of::<Base>(), size_of::<Origin>()), (128, 64));
    }

    #[test]
    fn state_bits_do_not_meet() {
        let mut state = State::default();
        state.set_client(1);
        state.set_starter(1);
        assert!(!state.fin(0) && state.fin(1));
        state.set(State::CLOSED);
        state.set_reason(EndReason::Resources);
        assert_eq!((state.client(), state.starter(), state.reason()), (1, 1, EndReason::Resources));
        state.set_client(0);
        assert_eq!((state.client(), state.starter(), state.is(State::CLOSED)), (0, 1, true));
        assert!(!state.is(State::SURE) && !state.is(State::ISN));
        state.tell(1);
        assert!(state.told(1) && !state.told(0));
        state.forget_told();
        assert_eq!((state.told(1), state.reason()), (false, EndReason::Resources));
    }
}
