//! Messages to ntopng over ZeroMQ: two frames each, a header and a payload ([`Header`], [`Topic`]).
//!
//! We publish, ntopng subscribes, whoever of the two connects. With CURVE ntopng is the server, and has the key that is
//! known; ours is made anew at every start.
//!
//! Nothing here waits for a subscriber, unless [`Options::patient`]. What is not wanted by anybody is lost as
//! `no_subscriber`, what a full queue cannot take as `queue_full`, what waited for long when its last subscriber went as
//! `disconnected`, what waits when all is over as `closed`, and what no receiver would take as `too_long`. Every message
//! has a number, lost ones too, by which a receiver sees what it has missed.
//!
//! Of several endpoints flow messages go to one after the other, passing over those that nobody listens at or that are
//! full; or all go to all ([`Options::fanout`]). Messages of other topics always go to all, and count at each.
//!
//! Delivered is what a connection has taken up to write.

use super::{Counters, Error, Sink};
use core::time::Duration;
use flowsonde_engine::encode::Messages;
use flowsonde_sys::zmq::{Context, Kind, PublicKey, Set, Socket, keypair};
use std::io::ErrorKind;
use std::time::Instant;

mod body;
mod endpoint;
mod header;
mod notices;
mod subscriptions;

use body::Body;
use endpoint::{Endpoint, Refusal};
pub use header::{Header, Topic};

/// How a [`Zmq`] sink publishes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connect to the endpoints (`--zmq-probe-mode`) instead of waiting there for subscribers.
    pub connect: bool,
    /// Layout of the first frame (`--zmq-header`).
    pub header: Header,
    /// Compress JSON payloads, where the receiver can inflate them; TLV never is.
    pub compress: bool,
    /// Encrypt by CURVE for the owner of this key (`--zmq-encryption-key`), see [`server_key`].
    pub server_key: Option<PublicKey>,
    /// XOR payloads with this (`--zmq-encrypt-pwd`); empty: do not.
    pub password: String,
    /// What tells this probe from others at the same receiver; V1 has room for its low 8 bits only.
    pub source_id: u32,
    /// Send every message to every endpoint (`--zmq-fanout`).
    pub fanout: bool,
    /// Messages that may wait for each subscriber (`--zmq-max-queue`).
    pub high_water: u32,
    /// Longest payload as sent. ntopng up to 4.2 takes 32,768 bytes, since then 131,072.
    pub longest: usize,
    /// Wait up to one second a call for room in a full queue, and once five for the first subscriber, as when reading
    /// captures.
    pub patient: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            connect: false,
            header: Header::default(),
            compress: true,
            server_key: None,
            password: String::new(),
            source_id: 0,
            fanout: false,
            high_water: 2000,
            longest: 131_072,
            patient: false,
        }
    }
}

/// A publisher of messages.
pub struct Zmq {
    endpoints: Vec<Endpoint>,
    /// Whose turn it is.
    turn: usize,
    body: Body,
    header: Header,
    source_id: u32,
    fanout: bool,
    patient: bool,
    /// How long the first subscriber is waited for: not at all, from the first message on, or until then.
    first: First,
    renewed: bool,
    /// Ends last: the threads behind the sockets.
    context: Option<Context>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Here,
    Awaited,
    Until(Instant),
}

const PATIENT: Duration = Duration::from_secs(1);
const FIRST_TIME: Duration = Duration::from_secs(5);
const CLOSE_TIME: Duration = Duration::from_secs(2);
/// What a connection has taken up is not yet written, and there is no asking.
const GRACE: Duration = Duration::from_millis(20);
const LINGER: Duration = Duration::from_millis(500);
const NAP: Duration = Duration::from_millis(1);
/// Bytes written to a connection at once. libzmq's own 8 KiB make two system calls of one of our messages, and with them
/// half as much again of the time on the CPU (`examples/zmq_cost.rs`); beyond 256 KiB it gets dearer again.
const BATCH: u32 = 128 << 10;
/// A subscription is short.
const LONGEST_RECEIVED: u32 = 4096;
/// A peer that acknowledges nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(60);

/// The key of ntopng as users have it: 40 characters of Z85, or the 80 hexadecimal digits of those characters, which its
/// GUI shows.
pub fn server_key(text: &str) -> Result<PublicKey, Error> {
    let text = text.trim();
    let z85 = if text.len() == 80 { unhex(text) } else { Some(text.to_owned()) };
    z85.and_then(|z85| PublicKey::from_z85(&z85)).ok_or_else(|| {
        Error(format!(
            "--zmq-encryption-key {text}: not a public key; give the 40 characters of ntopng's zmq-key.pub, or the 80 \
             hexadecimal digits that its GUI shows"
        ))
    })
}

fn unhex(text: &str) -> Option<String> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    digits.chunks_exact(2).map(|pair| char::from_u32(pair.iter().fold(0, |code, digit| code * 16 + digit))).collect()
}

impl Zmq {
    /// Binds, or begins to connect, to `endpoints`: `tcp://HOST:PORT`, where `zmq://` says the same, or `ipc://PATH`.
    pub fn open(endpoints: &[String], options: &Options) -> Result<Zmq, Error> {
        if endpoints.is_empty() {
            return Err(Error("--zmq: no endpoint; give one such as tcp://*:5556".into()));
        }
        if options.header.marks_by_zero() && options.password.starts_with(['{', '[']) {
            return Err(Error(
                "--zmq-encrypt-pwd: messages encrypted with a password that begins with { or [ look as if they were \
                 compressed; choose another"
                    .into(),
            ));
        }
        let cannot = |error| Error(format!("--zmq: {error}; ZeroMQ cannot be used"));
        let context = Context::new().map_err(cannot)?;
        let mut open = Vec::new();
        for name in endpoints {
            let address = address(name, options.connect)?;
            let socket = context.socket(Kind::XPub).map_err(cannot)?;
            set_up(&socket, &address, options).map_err(cannot)?;
            // Before the first connection, to hear of it.
            let encrypted = options.server_key.is_some();
            let endpoint = Endpoint::new(name.clone(), socket, options.connect, encrypted, options.high_water);
            let mut endpoint = endpoint.map_err(cannot)?;
            endpoint.start(&address).map_err(|error| refused(name, error, options.connect))?;
            open.push(endpoint);
        }
        Ok(Zmq {
            endpoints: open,
            turn: 0,
            body: Body::new(options.header, options.password.as_bytes(), options.compress, options.longest),
            header: options.header,
            source_id: options.source_id,
            fanout: options.fanout,
            patient: options.patient,
            first: if options.patient { First::Awaited } else { First::Here },
            renewed: false,
            context: Some(context),
        })
    }

    /// Publishes a message that holds `records` records: TLV when it begins with 1, else JSON.
    pub fn publish(&mut self, topic: Topic, payload: &[u8], records: u32) {
        let mut deadline = None;
        self.publish_by(topic, payload, records, &mut deadline);
    }

    /// The same, with one second for all messages that share a deadline.
    fn publish_by(&mut self, topic: Topic, payload: &[u8], records: u32, deadline: &mut Option<Instant>) {
        self.listen_sometimes();
        self.await_first(topic);
        let all = self.fanout || topic != Topic::Flow;
        let turns = if all { self.endpoints.len() } else { 1 };
        if self.endpoints.iter().all(|endpoint| endpoint.subscribers(topic) == 0) {
            // Nor is it made ready to be sent.
            for at in self.in_turn(turns) {
                if let Some(endpoint) = self.endpoints.get_mut(at) {
                    let refusal = if self.context.is_some() { Refusal::NoSubscriber } else { Refusal::Closed };
                    endpoint.lose(refusal, records);
                }
            }
        } else if let Some((form, bytes)) = self.body.of(payload) {
            let patience = if self.patient { PATIENT } else { Duration::ZERO };
            let offer = Offer { topic, form, bytes, records, header: self.header, source: self.source_id, patience };
            if all {
                for endpoint in &mut self.endpoints {
                    if let Err(refusal) = offer.patiently(core::slice::from_mut(endpoint), 0, deadline) {
                        endpoint.lose(refusal, records);
                    }
                }
            } else if let Err(refusal) = offer.patiently(&mut self.endpoints, self.turn, deadline)
                && let Some(endpoint) = self.endpoints.get_mut(self.turn)
            {
                endpoint.lose(refusal, records);
            }
        } else {
            for at in self.in_turn(turns) {
                if let Some(endpoint) = self.endpoints.get_mut(at) {
                    endpoint.lose_unsent(if payload.is_empty() { "empty" } else { "too_long" }, records);
                }
            }
        }
        if !all {
            self.turn = (self.turn + 1) % self.endpoints.len().max(1);
        }
    }

    /// The places of `count` endpoints from the one on whose turn it is.
    fn in_turn(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let (turn, length) = (self.turn, self.endpoints.len().max(1));
        (0..count).map(move |step| (turn + step) % length)
    }

    fn listen_sometimes(&mut self) {
        let now = Instant::now();
        for endpoint in &mut self.endpoints {
            self.renewed |= endpoint.listen_sometimes(now);
        }
    }

    fn await_first(&mut self, topic: Topic) {
        while self.first != First::Here {
            let until = match self.first {
                First::Until(until) => until,
                _ => Instant::now() + FIRST_TIME,
            };
            self.first = First::Until(until);
            if self.subscribers(topic) > 0 || self.context.is_none() || Instant::now() >= until {
                self.first = First::Here;
                return;
            }
            std::thread::sleep(NAP);
            self.listen_sometimes();
        }
    }

    /// How many subscriptions match a topic, at all endpoints; a subscriber may have several.
    pub fn subscribers(&self, topic: Topic) -> u32 {
        self.endpoints.iter().fold(0, |sum, endpoint| sum.saturating_add(endpoint.subscribers(topic)))
    }

    /// What was done, by endpoint as it was asked for.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, Counters)> {
        self.endpoints.iter().map(|endpoint| (endpoint.name(), endpoint.counters()))
    }

    /// What was bound, ports known.
    pub fn bound(&self) -> Vec<String> {
        self.endpoints.iter().filter_map(Endpoint::bound).collect()
    }
}

/// A message made ready.
struct Offer<'a> {
    topic: Topic,
    form: header::Form,
    bytes: &'a [u8],
    records: u32,
    header: Header,
    source: u32,
    patience: Duration,
}

impl Offer<'_> {
    /// To one of the endpoints, from number `turn` on; waits for one that is full if there is time.
    fn patiently(
        &self,
        endpoints: &mut [Endpoint],
        turn: usize,
        deadline: &mut Option<Instant>,
    ) -> Result<(), Refusal> {
        loop {
            let mut why = Refusal::NoSubscriber;
            let (before, from) = endpoints.split_at_mut(turn.min(endpoints.len()));
            for endpoint in from.iter_mut().chain(before) {
                let frame = self.header.frame(self.topic, self.form, self.bytes.len(), endpoint.id(), self.source);
                match endpoint.offer(self.topic, &frame, self.bytes, self.records) {
                    Ok(()) => return Ok(()),
                    // Others may have got it. Offered again, they would get it twice.
                    Err(Refusal::PartlyFull) => return Err(Refusal::PartlyFull),
                    Err(Refusal::NoSubscriber) => {}
                    Err(refusal) => why = refusal,
                }
            }
            let now = Instant::now();
            let until = *deadline.get_or_insert(now + self.patience);
            if why != Refusal::QueueFull || now >= until {
                return Err(why);
            }
            std::thread::sleep(NAP.min(until - now));
            for endpoint in endpoints.iter_mut() {
                endpoint.listen_sometimes(Instant::now());
            }
        }
    }
}

impl Sink for Zmq {
    fn send(&mut self, messages: &Messages) {
        let mut deadline = None;
        for (message, records) in messages.iter() {
            self.publish_by(Topic::Flow, message, records, &mut deadline);
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        for endpoint in &mut self.endpoints {
            self.renewed |= endpoint.listen(now);
        }
    }

    fn close(&mut self) {
        if self.context.is_none() {
            return;
        }
        let until = Instant::now() + CLOSE_TIME;
        while !self.endpoints.iter().all(Endpoint::idle) && Instant::now() < until {
            std::thread::sleep(NAP);
            self.tick();
        }
        self.tick();
        std::thread::sleep(GRACE);
        for endpoint in &mut self.endpoints {
            endpoint.close(LINGER);
        }
        // Waits for what lingers.
        self.context = None;
    }

    fn renewed(&mut self) -> bool {
        core::mem::take(&mut self.renewed)
    }

    fn ready(&self) -> bool {
        self.subscribers(Topic::Flow) > 0
    }

    fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for endpoint in &self.endpoints {
            let counters = endpoint.counters();
            sum.messages += counters.messages;
            sum.records += counters.records;
            sum.delivered += counters.delivered;
            sum.queued += counters.queued;
            sum.bytes += counters.bytes;
            for (reason, records) in counters.lost {
                sum.lose(reason, records);
            }
        }
        sum
    }

    fn notices(&mut self) -> Vec<String> {
        self.endpoints.iter_mut().flat_map(Endpoint::notices).collect()
    }
}

/// Refuses what is no endpoint; `connects` to it, or else binds.
pub fn check(endpoint: &str, connects: bool) -> Result<(), Error> {
    address(endpoint, connects).map(|_| ())
}

/// An endpoint as libzmq has it, or what is wrong with it.
fn address(name: &str, connects: bool) -> Result<String, Error> {
    let wrong = |what: &str| Error(format!("--zmq {name}: {what}"));
    let Some((scheme, rest)) = name.split_once("://") else {
        return Err(wrong("no scheme; write tcp://HOST:PORT, such as tcp://*:5556"));
    };
    match scheme {
        "ipc" => return Ok(name.to_owned()),
        "tcp" | "zmq" => {}
        _ => return Err(wrong("not a known scheme; write tcp://HOST:PORT, such as tcp://*:5556")),
    }
    let Some((host, port)) = rest.rsplit_once(':').filter(|(host, _)| !host.is_empty()) else {
        return Err(wrong("no port; write tcp://HOST:PORT, such as tcp://*:5556"));
    };
    if let Some(port) = port.strip_suffix('c')
        && !connects
    {
        return Err(wrong(&format!(
            "the c at the end is how ntopng is told to listen; where it does, give --zmq tcp://HOST:{port} --zmq-probe-mode"
        )));
    }
    if port.parse::<u16>().is_err() && (port != "*" || connects) {
        return Err(wrong("not a port; write tcp://HOST:PORT with a number from 1 to 65535"));
    }
    if host == "*" && connects {
        return Err(wrong("with --zmq-probe-mode name the host that ntopng listens on"));
    }
    // Only names of this host's addresses and interfaces can be bound to.
    let host = if host == "localhost" && !connects { "127.0.0.1" } else { host };
    Ok(format!("tcp://{host}:{port}"))
}

fn set_up(socket: &Socket, address: &str, options: &Options) -> Result<(), flowsonde_sys::zmq::Error> {
    for option in [
        Set::NoDrop(true),
        Set::TellAll(true),
        Set::SendHighWater(options.high_water),
        Set::SendBatch(BATCH),
        Set::LongestReceived(LONGEST_RECEIVED),
        Set::Linger(Some(Duration::ZERO)),
        Set::KeepAlive { idle: 30, interval: 3, count: 3 },
        Set::GiveUp(SILENCE),
        Set::Ipv6(address.contains('[')),
    ] {
        socket.set(option)?;
    }
    if let Some(server) = &options.server_key {
        let (public, secret) = keypair()?;
        socket.set(Set::CurvePublicKey(&public))?;
        socket.set(Set::CurveSecretKey(&secret))?;
        socket.set(Set::CurveServerKey(server))?;
    }
    Ok(())
}

/// What binding or connecting failed for, and what would help.
fn refused(name: &str, error: flowsonde_sys::zmq::Error, connects: bool) -> Error {
    let remedy = match error.kind() {
        _ if connects => "check host and port",
        ErrorKind::AddrInUse => "the port is taken: end what listens there, or choose another port",
        ErrorKind::PermissionDenied => "ports below 1024 want privileges: choose another port",
        _ => "name an address or interface of this host, or *",
    };
    Error(format!("--zmq {name}: {error}; {remedy}"))
}

#[cfg(test)]
mod tests;
