//! A relay's socket: who came, and what goes to whom.
//!
//! A ROUTER, which is CURVE's server whichever side connects. A collector's socket announces itself by an empty message;
//! it is welcomed, says from where on it wants datagrams, and is sent frames for as long as it acknowledges them.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use flowsonde_sys::zmq::{Context, Error, Event, Gate, Kind, Monitor, PublicKey, SecretKey, Set, Socket};
use flowsonde_wire::Nanos;
use flowsonde_wire::relay::{Frame, Relay};

use super::{Kept, Next, Queue};
use crate::dial::Dial;

/// Keys of a link.
pub struct Keys {
    /// The relay's own.
    pub secret: SecretKey,
    /// Who may come.
    pub authorised: Vec<PublicKey>,
}

/// A relay's socket.
pub struct Link {
    // Before the gate, which its context asks.
    socket: Socket,
    monitor: Monitor,
    /// Where it goes to a collector.
    dial: Option<Dial>,
    gate: Option<Gate>,
    /// Whose queue is which.
    keys: Vec<PublicKey>,
    relay: Relay,
    epoch: u64,
    /// By queue, who is attached.
    peers: Vec<Option<Peer>>,
    beat: Option<Instant>,
    identity: Vec<u8>,
    message: Vec<u8>,
    out: Vec<u8>,
    seen: Seen,
    user: String,
    /// A message was taken while waiting.
    pending: bool,
}

struct Peer {
    identity: Vec<u8>,
    heard: Instant,
    /// Templates are to be sent before datagrams.
    templates: bool,
}

/// What a link did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Frames sent, and their bytes.
    pub frames: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Collectors that attached.
    pub attached: u64,
    /// Collectors that went.
    pub gone: u64,
    /// Messages that are no frame, or of nobody known.
    pub strange: u64,
    /// Those turned away as their key is not authorised.
    pub refused: u64,
    /// Connections without keys, or to another relay's key, and what does not speak ZeroMQ.
    pub handshakes: u64,
}

/// A collector that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(5);
/// From one beat to the next.
const BEAT: Duration = Duration::from_secs(1);
/// Messages taken, and frames sent, at once.
const MANY: usize = 64;

impl Link {
    /// Without keys everybody may come, and everybody reads: there is one queue then.
    pub fn open(endpoint: &str, binds: bool, keys: Option<Keys>, relay: Relay, epoch: u64) -> Result<Link, Error> {
        let context = Context::new()?;
        let mut authorised = Vec::new();
        // First, so that nobody comes in unasked.
        let gate = match &keys {
            Some(keys) => {
                authorised.clone_from(&keys.authorised);
                Some(Gate::open(&context, keys.authorised.clone())?)
            }
            None => None,
        };
        let socket = context.socket(Kind::Router)?;
        for option in [
            Set::Mandatory(true),
            Set::Linger(Some(Duration::from_millis(200))),
            Set::SendHighWater(2048),
            Set::ReceiveHighWater(1024),
            Set::LongestReceived(4096),
            Set::Heartbeat(Duration::from_secs(2), Duration::from_secs(6)),
            Set::Reconnect(Duration::from_millis(100), Duration::from_secs(2)),
            // A connection that was lost is another one when it is made again, and is announced.
            Set::Immediate(true),
            Set::Handshake(Duration::from_secs(5)),
            Set::Ipv6(true),
        ] {
            socket.set(option)?;
        }
        if let Some(keys) = &keys {
            socket.set(Set::ZapDomain("flowrelay"))?;
            socket.set(Set::CurveServer(true))?;
            socket.set(Set::CurveSecretKey(&keys.secret))?;
        }
        let monitor = socket.monitor()?;
        if binds {
            socket.bind(endpoint)?;
        } else {
            socket.connect(endpoint)?;
        }
        let queues = authorised.len().max(1);
        Ok(Link {
            socket,
            monitor,
            dial: (!binds).then(|| Dial::new(endpoint)),
            gate,
            keys: authorised,
            relay,
            epoch,
            peers: (0..queues).map(|_| None).collect(),
            beat: None,
            identity: Vec::new(),
            message: Vec::new(),
            out: Vec::new(),
            seen: Seen::default(),
            user: String::new(),
            pending: false,
        })
    }

    /// What was bound, its port known.
    pub fn endpoint(&self) -> Option<String> {
        self.socket.endpoint().ok()
    }

    /// Templates are to be sent to everybody again.
    pub fn renew(&mut self) {
        self.peers.iter_mut().flatten().for_each(|peer| peer.templates = true);
    }

    /// Only these may come from now on. Tells how many are new: they have no queue.
    pub fn allow(&mut self, authorised: &[PublicKey]) -> usize {
        let known: Vec<_> = authorised.iter().filter(|key| self.keys.contains(key)).copied().collect();
        let new = authorised.len() - known.len();
        if let Some(gate) = &self.gate {
            // Who is in and may no longer be gets nothing more.
            for (key, peer) in self.keys.iter().zip(&mut self.peers) {
                if !known.contains(key) {
                    *peer = None;
                }
            }
            gate.allow(known);
        }
        new
    }

    /// How many queues it sends from: one a collector.
    pub fn queues(&self) -> usize {
        self.peers.len()
    }

    /// Which collectors are there.
    pub fn present(&self) -> impl Iterator<Item = bool> {
        self.peers.iter().map(Option::is_some)
    }

    /// What it did; and address and key of the last that was turned away.
    pub fn seen(&self) -> (Seen, Option<(String, PublicKey)>) {
        let (refused, last) = self.gate.as_ref().map(Gate::refused).unwrap_or_default();
        (Seen { refused, ..self.seen.clone() }, last)
    }

    /// Waits for a message, up to `patience`.
    pub fn wait(&mut self, patience: Duration) {
        if !self.pending {
            let _ = self.socket.set(Set::ReceiveTimeout(Some(patience)));
            self.pending = self.receive(true);
        }
    }

    fn receive(&mut self, wait: bool) -> bool {
        let Link { socket, identity, message, user, .. } = self;
        let Some(whole) = socket.receive_routed(wait, identity, message, user) else { return false };
        self.seen.strange += u64::from(!whole);
        whole
    }

    /// Takes what came and sends what may be sent. `queues` are as many as [`Link::queues`] says. Tells whether there was
    /// anything to do.
    pub fn turn(&mut self, queues: &mut [Queue], kept: &Kept, time: Nanos) -> bool {
        let mut busy = false;
        for _ in 0..MANY {
            if !core::mem::take(&mut self.pending) && !self.receive(false) {
                break;
            }
            busy = true;
            self.take(queues);
        }
        for (at, queue) in queues.iter_mut().enumerate() {
            if self.peer(at).is_some_and(|peer| peer.heard.elapsed() > SILENCE) {
                self.gone(at, queue);
            }
            busy |= self.send(at, queue, kept);
        }
        // Those whose key is not authorised are the gate's to count.
        for event in self.monitor.by_ref() {
            self.seen.handshakes += u64::from(matches!(event, Event::HandshakeRefused(_) | Event::HandshakeBroken(_)));
            self.dial.iter_mut().for_each(|dial| dial.hear(event));
        }
        self.dial.iter_mut().for_each(|dial| dial.turn(&self.socket));
        if self.beat.is_none_or(|beat| beat.elapsed() >= BEAT) {
            self.beat = Some(Instant::now());
            self.broadcast(queues, &Frame::Beat { time });
        }
        busy
    }

    /// Sends a frame to every collector that is there.
    pub fn broadcast(&mut self, queues: &mut [Queue], frame: &Frame<'_>) {
        let mut bytes = core::mem::take(&mut self.out);
        bytes.clear();
        frame.write(&mut bytes);
        for (at, queue) in queues.iter_mut().enumerate() {
            if self.peer(at).is_some() && self.send_to(at, &bytes) == Sent::Gone {
                self.gone(at, queue);
            }
        }
        self.out = bytes;
    }

    fn peer(&mut self, at: usize) -> Option<&mut Peer> {
        self.peers.get_mut(at)?.as_mut()
    }

    /// The queue of who sent the message at hand.
    fn at(&self) -> Option<usize> {
        if self.gate.is_none() {
            return Some(0);
        }
        let key = PublicKey::from_z85(&self.user)?;
        self.keys.iter().position(|known| *known == key)
    }

    fn take(&mut self, queues: &mut [Queue]) {
        let Some((at, queue)) = self.at().and_then(|at| Some((at, queues.get_mut(at)?))) else {
            self.seen.strange += 1;
            return;
        };
        let (relay, epoch) = (self.relay, self.epoch);
        // A collector that has come, or comes again.
        if self.message.is_empty() {
            self.welcome(queue);
            return;
        }
        let message = core::mem::take(&mut self.message);
        match Frame::read(&message) {
            Ok(Frame::Attach { relay: of, epoch: since, next }) if of == relay && since == epoch => {
                if self.peer(at).is_some() {
                    self.gone(at, queue);
                }
                queue.attach(next);
                self.seen.attached += 1;
                let identity = self.identity.clone();
                let templates = true;
                let peer = Peer { identity, heard: Instant::now(), templates };
                if let Some(place) = self.peers.get_mut(at) {
                    *place = Some(peer);
                }
            }
            Ok(frame @ (Frame::Acknowledge { .. } | Frame::Beat { .. })) => {
                let identity = core::mem::take(&mut self.identity);
                // Of another one that has the same key, and was here before, nothing counts.
                if self.peer(at).is_none() {
                    // It was taken for gone, and is not: it may attach again.
                    self.identity = identity;
                    self.welcome(queue);
                    self.message = message;
                    return;
                }
                if let Some(peer) = self.peer(at).filter(|peer| peer.identity == identity) {
                    peer.heard = Instant::now();
                    match frame {
                        Frame::Acknowledge { epoch: since, next } if since == epoch => queue.acknowledge(next),
                        _ => {}
                    }
                }
                self.identity = identity;
            }
            _ => self.seen.strange += 1,
        }
        self.message = message;
    }

    /// Tells who sent the message at hand what there is.
    fn welcome(&mut self, queue: &Queue) {
        let (first, next) = queue.numbers();
        let mut bytes = core::mem::take(&mut self.out);
        bytes.clear();
        let (relay, epoch) = (self.relay, self.epoch);
        Frame::Welcome { durable: queue.is_durable(), relay, epoch, first, next }.write(&mut bytes);
        let _gone = self.socket.send(&self.identity, true).and_then(|()| self.socket.send(&bytes, false));
        self.out = bytes;
    }

    fn gone(&mut self, at: usize, queue: &mut Queue) {
        if let Some(peer) = self.peers.get_mut(at)
            && peer.take().is_some()
        {
            self.seen.gone += 1;
        }
        queue.detach();
    }

    /// Sends from a queue what may be sent.
    fn send(&mut self, at: usize, queue: &mut Queue, kept: &Kept) -> bool {
        let Some(peer) = self.peer(at) else { return false };
        if core::mem::take(&mut peer.templates) && !self.templates(at, queue, kept) {
            return true;
        }
        let mut bytes = core::mem::take(&mut self.out);
        let mut busy = false;
        for _ in 0..MANY {
            let (sent, end, length) = match queue.upcoming() {
                Next::Nothing => break,
                Next::Frame(frame, end) => (self.send_to(at, frame), end, frame.len()),
                Next::Gap(reason, first, end) => {
                    bytes.clear();
                    Frame::Gap { reason, first, count: end - first }.write(&mut bytes);
                    let sent = self.send_to(at, &bytes);
                    // What is behind it may be of templates that were in it.
                    if sent == Sent::Yes {
                        queue.sent(end, 0);
                        self.templates(at, queue, kept);
                        continue;
                    }
                    (sent, end, 0)
                }
            };
            match sent {
                Sent::Yes => {
                    queue.sent(end, length);
                    busy = true;
                }
                Sent::Full => break,
                Sent::Gone => {
                    self.gone(at, queue);
                    break;
                }
            }
        }
        self.out = bytes;
        busy
    }

    /// Sends the templates that came before what is sent next.
    fn templates(&mut self, at: usize, queue: &mut Queue, kept: &Kept) -> bool {
        let before = queue.time_of_next().unwrap_or(Nanos(u64::MAX));
        let mut sent = Sent::Yes;
        kept.frames(before, &mut |frame| {
            if sent == Sent::Yes {
                sent = self.send_to(at, frame);
            }
        });
        if sent == Sent::Gone {
            self.gone(at, queue);
        }
        sent == Sent::Yes
    }

    fn send_to(&mut self, at: usize, frame: &[u8]) -> Sent {
        let Some(peer) = self.peers.get(at).and_then(Option::as_ref) else { return Sent::Gone };
        match self.socket.send(&peer.identity, true).and_then(|()| self.socket.send(frame, false)) {
            Ok(()) => {
                self.seen.frames += 1;
                self.seen.bytes += frame.len() as u64;
                Sent::Yes
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Sent::Full,
            Err(_) => Sent::Gone,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Yes,
    /// Its queue is full.
    Full,
    /// It is not there any more.
    Gone,
}
