//! Where messages of exporters come from: sockets, captures, files.
//!
//! Each source hands on whole messages, one a [`Datagram`], with who sent it and when. What is inside is the decoder's
//! business; a source looks no further than it has to for telling where a message ends.
//!
//! Kept apart from packet sources ([`super::Source`]), whose frames have no sender and whose sessions nobody asks for.

mod arrival;
pub mod captures;
mod fragments;
mod framing;
#[cfg(target_os = "linux")]
mod lobby;
pub mod payload;
pub mod pcap;
pub mod place;
#[cfg(feature = "zmq")]
pub mod relay;
pub mod sctp;
mod segments;
#[cfg(target_os = "linux")]
mod socket;
#[cfg(target_os = "linux")]
mod spread;
pub mod stream;
#[cfg(feature = "tls")]
pub mod tls;
pub mod udp;

use std::net::SocketAddr;

use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};
use flowsonde_wire::relay::{self as relays, Reason, Relay};

pub use captures::Captures;
pub use pcap::Ports;
pub use place::Place;
pub use stream::Streams;
pub use udp::Udp;

use super::{Error, Poll};

/// Who messages are handed to.
pub trait Take {
    /// Takes messages, at most [`BATCH`] at a time, in order of arrival from each exporter.
    fn datagrams(&mut self, batch: &[Datagram<'_>]);

    /// Takes messages that came before and of which only templates are left, to read what comes by. They count nowhere.
    fn templates(&mut self, _batch: &[Datagram<'_>]) {}

    /// A session (TCP, TLS, SCTP) ended: nothing more comes of it, and a next one of the same exporter begins anew.
    fn closed(&mut self, transport: Transport, from: SocketAddr, to: u16);
}

/// A stream of exporters' messages.
pub trait Exports: Send {
    /// Hands on what has arrived, some of it at least; [`Poll::Frames`] tells how many messages. Waits at most about
    /// 100 ms for the first one.
    fn poll(&mut self, take: &mut dyn Take) -> Result<Poll, Error>;

    /// What was handed on and lost, since the source was opened.
    fn counters(&mut self) -> Counters;

    /// What the user should know and has not been told yet.
    fn notices(&mut self) -> Vec<String>;

    /// How far it is and how far it goes, in bytes on disk; `None` when there is no end to it.
    fn progress(&self) -> Option<(u64, u64)> {
        None
    }

    /// It keeps what comes while nobody has room for more: waiting loses nothing.
    fn is_patient(&self) -> bool {
        false
    }

    /// How far messages were handed on, where somebody waits to hear that they arrived for good; `None` when nothing new was.
    fn unsettled(&mut self) -> Option<Unsettled> {
        None
    }

    /// All that was handed on before this was told by [`Exports::unsettled`] is in the outputs.
    fn settled(&mut self, _ticket: u64) {}

    /// What relays counted of their exporters, where that is news.
    fn relayed(&mut self) -> Vec<(Relay, relays::Exporter)> {
        Vec::new()
    }
}

/// How far messages of relays were handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// A number that grows.
    pub ticket: u64,
    /// Where each relay's stand.
    pub positions: Vec<Position>,
}

/// Everything of a relay before a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The relay.
    pub relay: Relay,
    /// When it was started.
    pub epoch: u64,
    /// The number.
    pub next: u64,
    /// Of those, what the relay lost, by [`Reason::ALL`].
    pub lost: [u64; Reason::ALL.len()],
}

/// Most messages handed on in one call.
pub const BATCH: usize = 64;

/// What fills a batch before messages do.
const NOTHING: Datagram<'static> = Datagram {
    time: Nanos(0),
    transport: Transport::Udp,
    from: SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::UNSPECIFIED, 0)),
    to: 0,
    local: None,
    bytes: &[],
};

/// What a source handed on and lost. The first two groups are messages: [`Counters::received`] is handed on + lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages handed on.
    pub datagrams: u64,
    /// Bytes of those.
    pub bytes: u64,

    /// Lost: the kernel had no room for it in the socket's receive buffer, or found its checksum wrong.
    pub kernel_drops: u64,
    /// Lost: longer than a message can be.
    pub truncated: u64,
    /// Lost: where a message should begin in a stream there is none; the session is closed. One a session.
    pub framing: u64,
    /// Lost: half of it had come when the session, or the capture, ended. One a session.
    pub unfinished: u64,
    /// Lost: of a session beyond the limit, which SCTP cannot turn away.
    pub beyond: u64,
    /// Lost: its worker was too far behind to be given it.
    pub behind: u64,
    /// Lost: never came whole, of the IP fragments of a capture.
    pub fragments: u64,
    /// Lost: a record of a capture that cannot be read.
    pub cut: u64,
    /// Lost before they came here, by the relays that had received them: as [`Reason::ALL`] has the reasons.
    pub relay: [u64; Reason::ALL.len()],

    /// Datagrams a relay sent again, as it could not know that they had come.
    pub duplicates: u64,
    /// New starts of relays.
    pub restarts: u64,

    /// Sessions begun.
    pub sessions: u64,
    /// Sessions there are.
    pub open: u64,
    /// Connections that were turned away, as there were as many as there may be.
    pub refused: u64,
    /// Connections that never became sessions: the TLS handshake failed.
    pub handshakes: u64,
    /// Bytes of streams that were no message.
    pub framing_bytes: u64,

    /// Packets of a capture, those that cannot be read included.
    pub packets: u64,
    /// Packets of a capture that are no part of an export: not UDP or TCP, or for another port.
    pub other: u64,
    /// Messages of a capture that were put together from fragments.
    pub reassembled: u64,
    /// Messages handed on of which the capture does not have all bytes.
    pub short: u64,
    /// TCP segments of a capture that could not be followed: no beginning, a gap, or too many connections.
    pub not_followed: u64,
}

impl Counters {
    /// Messages lost, by reason; reasons without a loss are left out.
    pub fn lost(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("kernel_drops", self.kernel_drops),
            ("truncated", self.truncated),
            ("framing", self.framing),
            ("unfinished", self.unfinished),
            ("beyond_limit", self.beyond),
            ("worker_behind", self.behind),
            ("fragments", self.fragments),
            ("cut", self.cut),
        ]
        .into_iter()
        .chain(Reason::ALL.into_iter().zip(self.relay).map(|(reason, count)| (reason.name(), count)))
        .filter(|(_, count)| *count > 0)
    }

    /// Messages there were: handed on and lost.
    pub fn received(&self) -> u64 {
        self.datagrams + self.lost().map(|(_, count)| count).sum::<u64>()
    }

    /// The sum of two sources'.
    pub fn plus(self, other: Counters) -> Counters {
        Counters {
            datagrams: self.datagrams + other.datagrams,
            bytes: self.bytes + other.bytes,
            kernel_drops: self.kernel_drops + other.kernel_drops,
            truncated: self.truncated + other.truncated,
            framing: self.framing + other.framing,
            unfinished: self.unfinished + other.unfinished,
            beyond: self.beyond + other.beyond,
            behind: self.behind + other.behind,
            fragments: self.fragments + other.fragments,
            cut: self.cut + other.cut,
            relay: core::array::from_fn(|at| self.relay[at] + other.relay[at]),
            duplicates: self.duplicates + other.duplicates,
            restarts: self.restarts + other.restarts,
            sessions: self.sessions + other.sessions,
            open: self.open + other.open,
            refused: self.refused + other.refused,
            handshakes: self.handshakes + other.handshakes,
            framing_bytes: self.framing_bytes + other.framing_bytes,
            packets: self.packets + other.packets,
            other: self.other + other.other,
            reassembled: self.reassembled + other.reassembled,
            short: self.short + other.short,
            not_followed: self.not_followed + other.not_followed,
        }
    }
}

#[cfg(test)]
mod kept;
