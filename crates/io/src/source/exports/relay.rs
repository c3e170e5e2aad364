//! Datagrams that relays hand on: `-3 zmq://host:port`, or `zmq://*:port` for relays that come.
//!
//! A ROUTER, CURVE's client whichever side connects. It announces itself to every relay it is connected with (an empty
//! message), is welcomed, and says from where on it wants datagrams. `docs/relay-protocol.md` has the protocol.
//!
//! What was handed on is acknowledged when the outputs have it: [`Exports::unsettled`] says how far that is,
//! [`Exports::settled`] that it was reached.

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use flowsonde_sys::zmq::{Context, Kind, Monitor, PublicKey, SecretKey, Set, Socket};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::Datagram;
use flowsonde_wire::relay::{self, Batch, Exporter, Frame, Relay, UNKNOWN};

use super::arrival::now;
use super::{BATCH, Counters, Error, Exports, NOTHING, Poll, Position, Take, Unsettled};
use crate::dial::Dial;
use crate::relay::Inlet;

/// How relays are reached.
pub struct Options {
    /// As ZeroMQ writes it: `tcp://host:port`.
    pub endpoint: String,
    /// Relays come to it.
    pub binds: bool,
    /// The relay's public key and the collector's own keys; without them nothing is encrypted.
    pub keys: Option<(PublicKey, SecretKey)>,
    /// What was settled in an earlier run.
    pub positions: Vec<Position>,
}

/// See the module.
pub struct Relayed {
    socket: Socket,
    /// Where it goes to a relay.
    dial: Option<(Monitor, Dial)>,
    name: String,
    encrypted: bool,
    inlets: HashMap<Relay, Inlet>,
    /// Relays by the identity of their connection, and when they were heard.
    peers: HashMap<Vec<u8>, (Relay, Instant)>,
    positions: Vec<Position>,
    tickets: VecDeque<Unsettled>,
    ticket: u64,
    counters: Counters,
    books: Vec<(Relay, Exporter)>,
    beat: Option<Instant>,
    opened: Instant,
    told: Option<Instant>,
    notices: Vec<String>,
    identity: Vec<u8>,
    message: Vec<u8>,
    user: String,
    unpacked: Vec<u8>,
}

/// How long the first message is waited for; while something is to be settled.
const PATIENCE: Duration = Duration::from_millis(100);
const UNSETTLED: Duration = Duration::from_millis(5);
/// From one beat to the next, and how long a relay may say nothing.
const BEAT: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(5);
/// Messages taken in one call.
const MANY: usize = 64;
/// Relays that are told apart.
const RELAYS: usize = 1024;
/// Exporters whose sums may wait to be asked for.
const EXPORTERS: usize = 65_536;
/// Settlements under way.
const TICKETS: usize = 4;

impl Relayed {
    /// Opens a socket.
    pub fn open(options: Options) -> Result<Relayed, Error> {
        let Options { endpoint, binds, keys, positions } = options;
        let name = endpoint.clone();
        let failed = |error: flowsonde_sys::zmq::Error| {
            let remedy = match error.kind() {
                ErrorKind::AddrInUse => "another program has the port; stop it, or name another",
                ErrorKind::AddrNotAvailable => "name an address of this host, or *",
                _ => "give zmq://host:port of a relay, or zmq://*:port for relays that come",
            };
            Error(format!("-3 {endpoint}: {error}; {remedy}"))
        };
        let encrypted = keys.is_some();
        let socket = || {
            let socket = Context::new()?.socket(Kind::Router)?;
            for option in [
                Set::Probe(true),
                Set::Mandatory(true),
                Set::Linger(Some(Duration::from_millis(200))),
                Set::ReceiveHighWater(256),
                Set::SendHighWater(4096),
                Set::LongestReceived((relay::MOST + 1024) as u32),
                Set::Heartbeat(Duration::from_secs(2), Duration::from_secs(6)),
                Set::Reconnect(Duration::from_millis(100), Duration::from_secs(2)),
                // A connection that was lost is another one when it is made again, and is announced.
                Set::Immediate(true),
                Set::Ipv6(true),
            ] {
                socket.set(option)?;
            }
            if let Some((server, secret)) = &keys {
                socket.set(Set::CurveServerKey(server))?;
                socket.set(Set::CurvePublicKey(&secret.public()?))?;
                socket.set(Set::CurveSecretKey(secret))?;
            }
            let dial = match binds {
                true => None,
                false => Some((socket.monitor()?, Dial::new(&endpoint))),
            };
            if binds {
                socket.bind(&endpoint)?
            } else {
                socket.connect(&endpoint)?
            }
            Ok((socket, dial))
        };
        let (socket, dial) = socket().map_err(failed)?;
        Ok(Relayed {
            socket,
            dial,
            name,
            encrypted,
            inlets: HashMap::new(),
            peers: HashMap::new(),
            positions,
            tickets: VecDeque::new(),
            ticket: 0,
            counters: Counters::default(),
            books: Vec::new(),
            beat: None,
            opened: Instant::now(),
            told: None,
            notices: Vec::new(),
            identity: Vec::new(),
            message: Vec::new(),
            user: String::new(),
            unpacked: Vec::new(),
        })
    }

    /// What was bound, its port known.
    pub fn endpoint(&self) -> Option<String> {
        self.socket.endpoint().ok()
    }

    /// The next message: who sent it, and its only part.
    fn receive(&mut self, wait: bool) -> bool {
        let Relayed { socket, identity, message, user, .. } = self;
        let Some(whole) = socket.receive_routed(wait, identity, message, user) else { return false };
        if !whole {
            self.message.clear();
            self.counters.framing += 1;
        }
        true
    }

    fn reply(&self, frame: &Frame<'_>) {
        let mut bytes = Vec::with_capacity(64);
        frame.write(&mut bytes);
        self.send(&self.identity, &bytes);
    }

    fn send(&self, identity: &[u8], bytes: &[u8]) {
        // Who is gone comes again, and asks.
        let _gone = self.socket.send(identity, true).and_then(|()| self.socket.send(bytes, false));
    }

    /// Takes the message at hand. Tells how many datagrams were handed on.
    fn take(&mut self, take: &mut dyn Take) -> usize {
        let message = core::mem::take(&mut self.message);
        if let Some((_, heard)) = self.peers.get_mut(&self.identity) {
            *heard = Instant::now();
        }
        let count = match Frame::read(&message) {
            // A relay does not announce itself; another collector that is bound to by mistake does.
            _ if message.is_empty() => 0,
            Ok(Frame::Welcome { durable, relay, epoch, first, next }) => {
                self.welcome(durable, relay, epoch, (first, next));
                0
            }
            Ok(Frame::Batch(batch)) => self.batch(&batch, take),
            Ok(Frame::Gap { reason, first, count }) => {
                if let Some(inlet) = self.inlet() {
                    inlet.gap(reason, first, count);
                }
                0
            }
            Ok(Frame::Templates(batch)) => {
                if self.peers.contains_key(&self.identity) {
                    self.hand_on(&batch, 0, &mut |datagrams| take.templates(datagrams));
                }
                0
            }
            Ok(Frame::Books(books)) => {
                if let Some((relay, _)) = self.peers.get(&self.identity) {
                    let room = EXPORTERS.saturating_sub(self.books.len());
                    self.books.extend(books.exporters().take(room).map(|exporter| (*relay, exporter)));
                }
                0
            }
            Ok(Frame::Beat { .. }) => 0,
            Ok(Frame::Attach { .. } | Frame::Acknowledge { .. }) => {
                self.counters.framing += 1;
                0
            }
            Err(unread) => {
                self.counters.framing += 1;
                self.tell(format!("-3 {}: {unread}; it is no message of flowrelay", self.name));
                0
            }
        };
        self.message = message;
        count
    }

    fn inlet(&mut self) -> Option<&mut Inlet> {
        let (relay, _) = self.peers.get(&self.identity)?;
        self.inlets.get_mut(relay)
    }

    fn welcome(&mut self, durable: bool, relay: Relay, epoch: u64, (first, next): (u64, u64)) {
        if !self.inlets.contains_key(&relay) && self.inlets.len() >= RELAYS {
            self.tell(format!("-3 {}: more than {RELAYS} relays; one more is not heard", self.name));
            return;
        }
        let known = self.positions.iter().find(|known| known.relay == relay).copied();
        let inlet = self.inlets.entry(relay).or_insert_with(|| match known {
            Some(known) => Inlet::new(relay, known.epoch, known.next),
            None => Inlet::new(relay, epoch, first),
        });
        inlet.welcome(durable, epoch, first);
        // A spool that was thrown away: numbers begin anew.
        if inlet.taken > next {
            *inlet =
                Inlet { restarts: inlet.restarts + 1, datagrams: inlet.datagrams, ..Inlet::new(relay, epoch, first) };
        }
        let next = if inlet.taken == first { UNKNOWN } else { inlet.taken };
        self.peers.retain(|_, (of, _)| *of != relay);
        self.peers.insert(self.identity.clone(), (relay, Instant::now()));
        self.counters.sessions += 1;
        self.reply(&Frame::Attach { relay, epoch, next });
    }

    fn batch(&mut self, batch: &Batch<'_>, take: &mut dyn Take) -> usize {
        let Some(part) = self.inlet().and_then(|inlet| inlet.batch(batch)) else { return 0 };
        let (count, bytes) = self.hand_on(batch, part.known, &mut |datagrams| take.datagrams(datagrams));
        let expected = u64::from(batch.count - part.known);
        if count < expected {
            if let Some(inlet) = self.inlet() {
                inlet.unread(expected - count);
            }
            self.tell(format!("-3 {}: a batch that cannot be read to its end", self.name));
        }
        self.counters.datagrams += count;
        self.counters.bytes += bytes;
        count as usize
    }

    /// Hands on the datagrams of a batch but the first `known`. Tells how many they were, and their bytes.
    fn hand_on(&mut self, batch: &Batch<'_>, known: u32, to: &mut dyn FnMut(&[Datagram<'_>])) -> (u64, u64) {
        let mut unpacked = core::mem::take(&mut self.unpacked);
        let batch = match batch.compressed {
            false => *batch,
            true => {
                unpacked.resize(batch.length as usize, 0);
                let length = zstd::bulk::decompress_to_buffer(batch.bytes, &mut unpacked[..]).unwrap_or(0);
                Batch { bytes: unpacked.get(..length).unwrap_or(&[]), ..*batch }
            }
        };
        let mut datagrams = batch.datagrams().skip(known as usize);
        let (mut count, mut bytes) = (0, 0);
        let mut some = [NOTHING; BATCH];
        loop {
            let mut filled = 0;
            for (place, datagram) in some.iter_mut().zip(&mut datagrams) {
                bytes += datagram.bytes.len() as u64;
                *place = datagram;
                filled += 1;
            }
            if filled == 0 {
                break;
            }
            to(some.get(..filled).unwrap_or(&[]));
            count += filled as u64;
        }
        self.unpacked = unpacked;
        (count, bytes)
    }

    fn beat(&mut self) {
        if self.beat.is_some_and(|beat| beat.elapsed() < BEAT) {
            return;
        }
        self.beat = Some(Instant::now());
        let mut bytes = Vec::new();
        Frame::Beat { time: Nanos(now().0) }.write(&mut bytes);
        let socket = &self.socket;
        self.peers.retain(|identity, (_, heard)| {
            // Who takes us for gone hears of us again; who is gone cannot be told.
            let message = if heard.elapsed() < SILENCE { &bytes[..] } else { &[] };
            socket.send(identity, true).and_then(|()| socket.send(message, false)).is_ok()
        });
        if self.peers.is_empty() && self.opened.elapsed() > SILENCE {
            let why = match self.encrypted {
                true => "is it there, is --relay-key its public key, and is ours among its --authorised-keys?",
                false => "is it there, and run with --insecure as well?",
            };
            self.tell(format!("-3 {}: no relay answers; {why}", self.name));
        }
    }

    /// Tells something, at most once a minute.
    fn tell(&mut self, notice: String) {
        if self.told.is_none_or(|told| told.elapsed() > Duration::from_secs(60)) {
            self.told = Some(Instant::now());
            self.notices.push(notice);
        }
    }
}

impl Exports for Relayed {
    fn poll(&mut self, take: &mut dyn Take) -> Result<Poll, Error> {
        if let Some((monitor, dial)) = &mut self.dial {
            monitor.for_each(|event| dial.hear(event));
            dial.turn(&self.socket);
        }
        self.beat();
        let patience = if self.tickets.is_empty() { PATIENCE } else { UNSETTLED };
        let _ = self.socket.set(Set::ReceiveTimeout(Some(patience)));
        let mut count = 0;
        for n in 0..MANY {
            if !self.receive(n == 0) {
                return Ok(if n == 0 { Poll::Idle } else { Poll::Frames(count) });
            }
            count += self.take(take);
        }
        Ok(Poll::Frames(count))
    }

    fn counters(&mut self) -> Counters {
        let mut counters = self.counters;
        counters.open = self.peers.len() as u64;
        for inlet in self.inlets.values() {
            counters.duplicates += inlet.duplicates;
            counters.restarts += inlet.restarts;
            counters.relay.iter_mut().zip(inlet.lost).for_each(|(sum, lost)| *sum += lost);
        }
        counters
    }

    fn notices(&mut self) -> Vec<String> {
        core::mem::take(&mut self.notices)
    }

    fn is_patient(&self) -> bool {
        true
    }

    fn unsettled(&mut self) -> Option<Unsettled> {
        let more = self.tickets.len() < TICKETS && {
            let last = self.tickets.back();
            self.inlets.values().any(|inlet| {
                let told = last.and_then(|last| last.positions.iter().find(|position| position.relay == inlet.relay));
                inlet.taken != told.map_or(inlet.settled, |told| told.next)
            })
        };
        if !more {
            return None;
        }
        self.ticket += 1;
        let before =
            |relay| self.positions.iter().find(|known| known.relay == relay).map_or([0; 5], |known| known.lost);
        let of = |inlet: &Inlet| {
            let mut lost = before(inlet.relay);
            lost.iter_mut().zip(inlet.lost).for_each(|(sum, lost)| *sum += lost);
            Position { relay: inlet.relay, epoch: inlet.epoch, next: inlet.taken, lost }
        };
        let others = self.positions.iter().filter(|known| !self.inlets.contains_key(&known.relay)).copied();
        let positions = self.inlets.values().map(of).chain(others).collect();
        let unsettled = Unsettled { ticket: self.ticket, positions };
        self.tickets.push_back(unsettled.clone());
        Some(unsettled)
    }

    fn settled(&mut self, ticket: u64) {
        let mut last = None;
        while self.tickets.front().is_some_and(|first| first.ticket <= ticket) {
            last = self.tickets.pop_front();
        }
        let Some(last) = last else { return };
        for position in last.positions {
            let Some(inlet) = self.inlets.get_mut(&position.relay) else { continue };
            if inlet.epoch != position.epoch || inlet.settled >= position.next {
                continue;
            }
            inlet.settled = position.next;
            let identity =
                self.peers.iter().find(|(_, (relay, _))| *relay == position.relay).map(|(identity, _)| identity);
            if let Some(identity) = identity {
                let mut bytes = Vec::new();
                Frame::Acknowledge { epoch: position.epoch, next: position.next }.write(&mut bytes);
                self.send(identity, &bytes);
            }
        }
    }

    fn relayed(&mut self) -> Vec<(Relay, Exporter)> {
        core::mem::take(&mut self.books)
    }
}
