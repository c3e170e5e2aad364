//! Which application a flow is of: who finds out, and what is kept of it.
//!
//! A [`Detector`] is shown the first packets of a flow, until its verdict stands or enough were shown; then it forgets the
//! flow. `app` makes one of libndpi.

mod builtin;
mod by_address;
mod by_port;
mod servers;

use core::num::NonZeroU32;

use flowsonde_wire::Nanos;

pub use builtin::{Builtin, names as builtin_names};
pub use by_address::{Addresses, ByAddress};
pub use by_port::ByPort;

use crate::decode::packet::{Packet, Part, protocol};
use servers::Servers;

use super::flow::Base;

/// A flow that a detector has not done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub NonZeroU32);

/// What a detector found out. Numbers are its own, see [`Names`](crate::fill::Names).
#[derive(Clone, Copy, Debug, Default)]
pub struct Verdict<'a> {
    /// The protocol that carries the application, 0 where none does: TLS of "TLS.Google".
    pub master: u16,
    /// The application, 0 when not known.
    pub app: u16,
    /// What it is for.
    pub category: u16,
    /// How safe it is.
    pub breed: u8,
    /// What the verdict rests on.
    pub confidence: u8,
    /// Risks, a bit each.
    pub risk: u64,
    /// How bad they are together.
    pub score: u16,
    /// The host asked for, as it was on the wire.
    pub host: &'a [u8],
}

/// Finds applications out. Of one meter: packets come in the order it has them.
pub trait Detector: core::fmt::Debug + Send {
    /// A flow begins; `None` when no more can be looked at now.
    fn begin(&mut self) -> Option<Ticket>;

    /// A packet of this flow comes soon, or its end: what is kept of it may be read into the cache.
    fn touch(&self, _ticket: Ticket) {}

    /// The next packet of a flow, from its IP header to the last captured byte. When the verdict stands, which of the
    /// `last` packet it does, the ticket is void.
    fn packet(&mut self, ticket: Ticket, ip: &[u8], time: Nanos, last: bool) -> Option<Verdict<'_>>;

    /// No packet follows; the ticket is void.
    fn give_up(&mut self, ticket: Ticket) -> Verdict<'_>;
}

/// Packets of a flow shown to a detector at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of TCP.
    pub tcp: u8,
    /// Of all else.
    pub other: u8,
}

impl Default for Limits {
    /// ndpiReader's: it gives up behind them.
    fn default() -> Self {
        Limits { tcp: 81, other: 25 }
    }
}

/// What is kept of a flow's application.
#[derive(Clone, Copy, Debug, Default)]
pub struct Application {
    /// Risks, a bit each.
    pub risk: u64,
    /// The protocol that carries it.
    pub master: u16,
    /// The application.
    pub app: u16,
    /// What it is for.
    pub category: u16,
    /// How bad the risks are.
    pub score: u16,
    /// How safe it is.
    pub breed: u8,
    /// What the verdict rests on.
    pub confidence: u8,
    /// Packets shown.
    shown: u8,
    /// The verdict stands.
    done: bool,
    ticket: Option<Ticket>,
}

impl Application {
    /// Carrier and application in one number: `master << 16 | app`.
    pub fn both(&self) -> u32 {
        u32::from(self.master) << 16 | u32::from(self.app)
    }

    /// Nobody knows what it is.
    pub fn is_unknown(&self) -> bool {
        self.master == 0 && self.app == 0
    }

    fn settle(&mut self, host: Option<&mut Host>, verdict: &Verdict<'_>) {
        *self = Application {
            risk: verdict.risk,
            master: verdict.master,
            app: verdict.app,
            category: verdict.category,
            score: verdict.score,
            breed: verdict.breed,
            confidence: verdict.confidence,
            shown: self.shown,
            done: true,
            ticket: None,
        };
        if let Some(host) = host {
            host.set(verdict.host);
        }
    }
}

/// Name of the host a flow asked for.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    length: u8,
    text: [u8; 79],
}

impl Default for Host {
    fn default() -> Self {
        Host { length: 0, text: [0; 79] }
    }
}

impl Host {
    /// Keeps a name. Hosts have ASCII names: any other byte is told as `?`.
    fn set(&mut self, name: &[u8]) {
        self.length = 0;
        for (place, &byte) in self.text.iter_mut().zip(name) {
            *place = if byte == b' ' || byte.is_ascii_graphic() { byte } else { b'?' };
            self.length += 1;
        }
    }

    /// The name, empty when there was none.
    pub fn text(&self) -> &str {
        self.text.get(..usize::from(self.length)).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or("")
    }
}

/// What a meter has to find applications out.
#[derive(Debug)]
pub struct Dissection {
    detector: Box<dyn Detector>,
    limits: Limits,
    servers: Option<Servers>,
    counters: Counters,
}

/// What became of the flows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Packets shown to the detector.
    pub packets: u64,
    /// Flows taken for what their server is known for.
    pub granted: u64,
    /// Packets of flows that were not looked at, as too many were.
    pub no_room: u64,
}

impl Dissection {
    /// By this detector.
    pub fn new(detector: Box<dyn Detector>, limits: Limits) -> Dissection {
        Dissection { detector, limits, servers: None, counters: Counters::default() }
    }

    /// The same, that takes flows of servers that are known for one application for it; `random` is any number nobody
    /// outside knows.
    #[must_use]
    pub fn trusting(self, random: u64) -> Dissection {
        Dissection { servers: Some(Servers::new(random)), ..self }
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Reads what a packet of the flow will touch, or its end.
    #[inline]
    pub(super) fn touch(&self, flow: &Application) {
        if let Some(ticket) = flow.ticket {
            self.detector.touch(ticket);
        }
    }

    /// Shows a packet, if more are wanted of its flow.
    #[inline]
    pub(super) fn take(&mut self, flow: &mut Application, host: Option<&mut Host>, base: &Base, packet: &Packet<'_>) {
        if !flow.done {
            self.show(flow, host, base, packet);
        }
    }

    fn show(&mut self, flow: &mut Application, host: Option<&mut Host>, base: &Base, packet: &Packet<'_>) {
        // A later fragment shows no transport header; one that was kept back has no bytes any more.
        let ip = packet.network();
        if ip.is_empty() || matches!(packet.part, Part::Later(_)) {
            return;
        }
        if flow.shown == 0
            && let Some(servers) = &mut self.servers
            && let Some(verdict) = servers.known(servers.server(&base.key, base.state.client()))
        {
            self.counters.granted += 1;
            return flow.settle(host, &verdict);
        }
        let Some(ticket) = flow.ticket.or_else(|| self.detector.begin()) else {
            self.counters.no_room += 1;
            return;
        };
        flow.ticket = Some(ticket);
        self.counters.packets += 1;
        flow.shown = flow.shown.saturating_add(1);
        let limit = if packet.protocol == protocol::TCP { self.limits.tcp } else { self.limits.other };
        if let Some(verdict) = self.detector.packet(ticket, ip, packet.time, flow.shown >= limit) {
            if let Some(servers) = &mut self.servers {
                servers.learn(servers.server(&base.key, base.state.client()), &verdict);
            }
            flow.settle(host, &verdict);
        }
    }

    /// A flow is over: what is not found out yet has to be decided now.
    #[inline]
    pub(super) fn finish(&mut self, flow: &mut Application, host: Option<&mut Host>, base: &Base) {
        if let Some(ticket) = flow.ticket {
            let verdict = self.detector.give_up(ticket);
            if let Some(servers) = &mut self.servers {
                servers.learn(servers.server(&base.key, base.state.client()), &verdict);
            }
            flow.settle(host, &verdict);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_kept_as_far_as_there_is_room_and_safe_to_print() {
        let mut host = Host::default();
        host.set(b"www.example.com");
        assert_eq!(host.text(), "www.example.com");
        host.set(b"a\x00\xff\nb");
        assert_eq!(host.text(), "a???b");
        host.set(&[b'x'; 200]);
        assert_eq!(host.text().len(), 79);
    }

    #[test]
    fn what_is_kept_is_small() {
        assert_eq!((size_of::<Application>(), size_of::<Host>()), (24, 80));
    }
}
