//! One endpoint: a publishing socket, who listens, what waits, and the books.
//!
//! The socket is an XPUB with ZMQ_XPUB_NODROP: where a PUB drops what a full queue cannot take and says nothing, it errs.
//! It also says who subscribes to what. The rest is known by the buffers lent to it: one that comes back within the call
//! that sends it was wanted by nobody, and those that are out wait in queues.
//!
//! NODROP looks at all queues a message is for. One subscriber that reads nothing would keep it from the others, so with
//! several subscribers a full queue turns NODROP off, until so little waits that no queue can be half full (only then
//! does libzmq fill a queue again that it once gave up). What is sent meanwhile reaches those that have room, and counts
//! as lost, as at least one may not get it.

use super::header::{Frame, Topic};
use super::notices::{Kind, Notices};
use super::subscriptions::Subscriptions;
use crate::dial::Dial;
use crate::sink::Counters;
use core::time::Duration;
use flowsonde_sys::zmq::{Error, Event, Monitor, Pool, Set, Socket};
use std::io::ErrorKind;
use std::time::Instant;

/// An endpoint at work.
pub(super) struct Endpoint {
    socket: Option<(Socket, Monitor)>,
    /// We go to the peer, rather than it to us. Its queue is then kept while it is away.
    connects: bool,
    dial: Option<Dial>,
    encrypted: bool,
    high_water: u32,
    subscriptions: Subscriptions,
    /// The number of the next message.
    id: u32,
    pool: Pool,
    lent: Lent,
    backlog: Backlog,
    /// A queue is full that is not the only one: NODROP is off.
    straggler: bool,
    /// Records that were taken, by libzmq.
    taken: u64,
    counters: Counters,
    looked: Option<Instant>,
    notices: Notices,
    message: Vec<u8>,
}

/// Buffers lent so far, and the records in them.
#[derive(Clone, Copy, Debug, Default)]
struct Lent {
    buffers: u64,
    records: u64,
}

/// What waits for so long that it would be lost with its subscriber.
#[derive(Clone, Copy, Debug, Default)]
struct Backlog {
    /// When it was last looked at, and how many records had been lent then.
    seen: Option<(Instant, u64)>,
    /// Records that wait behind one that waits since the look before the last.
    records: u64,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NoSubscriber,
    QueueFull,
    /// One of several queues is full; it went to those that are not.
    PartlyFull,
    Closed,
    Error,
}

impl Refusal {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Refusal::NoSubscriber => "no_subscriber",
            Refusal::QueueFull | Refusal::PartlyFull => "queue_full",
            Refusal::Closed => "closed",
            Refusal::Error => "error",
        }
    }
}

/// Listening to peers costs a system call, so it is not done more often.
const LISTEN: Duration = Duration::from_millis(5);
/// Nor when nobody subscribes, which it may change.
const LISTEN_ALONE: Duration = Duration::from_millis(1);
/// From one look at the backlog to the next. A healthy queue is empty many times in between.
const BACKLOG: Duration = Duration::from_millis(50);
/// Messages of peers, and events, taken at once; more come next time.
const MANY: usize = 1000;

impl Endpoint {
    pub(super) fn new(
        name: String,
        socket: Socket,
        connects: bool,
        encrypted: bool,
        high_water: u32,
    ) -> Result<Self, Error> {
        let monitor = socket.monitor()?;
        Ok(Endpoint {
            socket: Some((socket, monitor)),
            connects,
            dial: None,
            encrypted,
            high_water,
            subscriptions: Subscriptions::new(connects),
            id: 1,
            pool: Pool::default(),
            lent: Lent::default(),
            backlog: Backlog::default(),
            straggler: false,
            taken: 0,
            counters: Counters::default(),
            looked: None,
            notices: Notices::new(name),
            message: Vec::new(),
        })
    }

    /// The endpoint as it was asked for.
    pub(super) fn name(&self) -> &str {
        self.notices.name()
    }

    /// Begins to wait for peers at `address`, or to go to the one there.
    pub(super) fn start(&mut self, address: &str) -> Result<(), Error> {
        let Some((socket, _)) = &self.socket else { return Ok(()) };
        if !self.connects {
            return socket.bind(address);
        }
        self.dial = Some(Dial::new(address));
        socket.connect(address)
    }

    /// What was bound, its port known.
    pub(super) fn bound(&self) -> Option<String> {
        self.socket.as_ref().and_then(|(socket, _)| socket.endpoint().ok())
    }

    /// The number of the next message.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// How many subscriptions match a topic.
    pub(super) fn subscribers(&self, topic: Topic) -> u32 {
        self.subscriptions.to(topic)
    }

    /// Sends a message that `records` records are in, or says why not. What is refused is not in the books yet.
    pub(super) fn offer(&mut self, topic: Topic, frame: &Frame, body: &[u8], records: u32) -> Result<(), Refusal> {
        if self.subscriptions.to(topic) == 0 {
            return Err(if self.socket.is_some() { Refusal::NoSubscriber } else { Refusal::Closed });
        }
        if self.straggler && self.waiting().buffers.saturating_mul(2) < u64::from(self.high_water) {
            self.end_straggling();
        }
        let Some((socket, _)) = &self.socket else { return Err(Refusal::Closed) };
        let mut sent = socket.send(frame.bytes(), true);
        if is_full(&sent) {
            // Perhaps it only has not heard of the room that there is.
            sent = socket.catch_up().and_then(|()| socket.send(frame.bytes(), true));
        }
        if is_full(&sent) && self.subscriptions.to(topic) > 1 {
            sent = socket.set(Set::NoDrop(false)).and_then(|()| socket.send(frame.bytes(), true));
            self.straggler = true;
        }
        if let Err(error) = sent {
            return Err(self.refused(error));
        }
        let mut buffer = self.pool.take();
        buffer.bytes.extend_from_slice(body);
        // What counts as lost does not wait as well.
        let records = u64::from(records);
        let weight = if self.straggler { 0 } else { records };
        buffer.weight = u32::try_from(weight).unwrap_or(u32::MAX);
        let length = (frame.bytes().len() + body.len()) as u64;
        let lent = match socket.lend(buffer) {
            // A queue with room for the first part has room for the second.
            Err((_, buffer)) => socket.set(Set::NoDrop(false)).and_then(|()| {
                self.straggler = true;
                socket.lend(buffer).map_err(|(error, _)| error)
            }),
            Ok(taken) => Ok(taken),
        };
        match lent {
            Ok(taken) => {
                self.lent.buffers += 1;
                self.lent.records += weight;
                if !taken {
                    return Err(if self.straggler { Refusal::QueueFull } else { Refusal::NoSubscriber });
                }
                self.counters.bytes += length;
                if self.straggler {
                    return Err(Refusal::PartlyFull);
                }
                self.taken += records;
                self.enter(records);
                Ok(())
            }
            Err(error) => Err(self.refused(error)),
        }
    }

    fn refused(&mut self, error: Error) -> Refusal {
        if error.kind() == ErrorKind::WouldBlock {
            return Refusal::QueueFull;
        }
        self.notices.say(Kind::Error, &error.to_string());
        Refusal::Error
    }

    /// Books a message as lost. It has a number all the same, by which the receiver notices.
    pub(super) fn lose(&mut self, refusal: Refusal, records: u32) {
        let records = u64::from(records);
        self.enter(records);
        self.counters.lose(refusal.reason(), records);
        if matches!(refusal, Refusal::QueueFull | Refusal::PartlyFull) {
            let text = format!("a subscriber is too slow: its queue of {} messages is full", self.high_water);
            self.notices.say(Kind::Full, &text);
        }
    }

    /// Books a message as too long, or empty: it has no number.
    pub(super) fn lose_unsent(&mut self, reason: &'static str, records: u32) {
        self.counters.messages += 1;
        self.counters.records += u64::from(records);
        self.counters.lose(reason, u64::from(records));
        self.notices.say(Kind::Long, "a message is longer than receivers take");
    }

    fn enter(&mut self, records: u64) {
        self.counters.messages += 1;
        self.counters.records += records;
        // Number 0 is none.
        self.id = self.id.checked_add(1).unwrap_or(1);
    }

    /// Listens, if it is time to. True when a subscription came.
    pub(super) fn listen_sometimes(&mut self, now: Instant) -> bool {
        let pause = if self.subscriptions.to(Topic::Flow) == 0 { LISTEN_ALONE } else { LISTEN };
        if self.looked.is_some_and(|looked| now.duration_since(looked) < pause) {
            return false;
        }
        self.listen(now)
    }

    /// Hears what peers and connections have to say. True when a subscription came.
    pub(super) fn listen(&mut self, now: Instant) -> bool {
        self.looked = Some(now);
        let (mut came, mut given_up) = (false, false);
        let before = self.subscriptions.to(Topic::Flow);
        if let Some((socket, monitor)) = &mut self.socket {
            for _ in 0..MANY {
                if socket.receive_now(&mut self.message).is_err() {
                    break;
                }
                came |= self.subscriptions.take(&self.message);
            }
            for event in monitor.by_ref().take(MANY) {
                tell(event, self.connects, self.encrypted, &mut self.notices);
                // After a handshake that was broken off libzmq tries again by itself, and keeps the queue.
                if let Some(dial) = self.dial.as_mut().filter(|_| !matches!(event, Event::HandshakeBroken(_))) {
                    dial.hear(event);
                    given_up |= matches!(event, Event::HandshakeRefused(_) | Event::HandshakeDenied(_));
                }
            }
            self.dial.iter_mut().for_each(|dial| dial.turn(socket));
        }
        let after = self.subscriptions.to(Topic::Flow);
        if !self.connects && before != after {
            let (kind, what) = if after > before { (Kind::Came, "came") } else { (Kind::Left, "left") };
            self.notices.say(kind, &format!("a subscriber {what}, {after} now"));
        }
        if before > 0 && after == 0 || given_up {
            self.left_alone();
        }
        self.look_at_backlog(now);
        came
    }

    /// The last subscriber went, or libzmq gave the connection up, and what waited for it is gone too.
    fn left_alone(&mut self) {
        let lost = self.backlog.records.min(self.taken);
        self.backlog.records = 0;
        self.taken -= lost;
        self.counters.lose("disconnected", lost);
        self.end_straggling();
    }

    fn end_straggling(&mut self) {
        if !core::mem::take(&mut self.straggler) {
            return;
        }
        if let Some((socket, _)) = &self.socket {
            let heard = socket.catch_up().and_then(|()| socket.set(Set::NoDrop(true)));
            self.straggler = heard.is_err();
        }
    }

    fn look_at_backlog(&mut self, now: Instant) {
        let waiting = self.waiting().records;
        match self.backlog.seen {
            Some((seen, _)) if now.duration_since(seen) < BACKLOG => {
                self.backlog.records = self.backlog.records.min(waiting);
            }
            seen => {
                let old = seen.map_or(0, |(_, lent)| lent);
                self.backlog.records = if self.pool.returned().weight < old { waiting } else { 0 };
                self.backlog.seen = Some((now, self.lent.records));
            }
        }
    }

    /// What is with libzmq.
    fn waiting(&self) -> Lent {
        let returned = self.pool.returned();
        Lent {
            buffers: self.lent.buffers.saturating_sub(returned.buffers),
            records: self.lent.records.saturating_sub(returned.weight),
        }
    }

    /// Whether nothing waits that could go.
    pub(super) fn idle(&self) -> bool {
        self.waiting().buffers == 0 || self.socket.is_none()
    }

    /// Closes. What still waits is lost; what is on its way out is given `linger`.
    pub(super) fn close(&mut self, linger: Duration) {
        let Some((socket, _monitor)) = self.socket.take() else { return };
        let left = self.waiting();
        let time = if left.buffers == 0 { linger } else { Duration::ZERO };
        let _best_effort = socket.set(Set::Linger(Some(time)));
        drop(socket);
        let lost = left.records.min(self.taken);
        self.taken -= lost;
        self.counters.lose("closed", lost);
        self.subscriptions = Subscriptions::new(self.connects);
    }

    pub(super) fn counters(&self) -> Counters {
        let queued = if self.socket.is_some() { self.waiting().records.min(self.taken) } else { 0 };
        Counters { delivered: self.taken - queued, queued, ..self.counters.clone() }
    }

    pub(super) fn notices(&mut self) -> Vec<String> {
        self.notices.take()
    }
}

fn is_full(result: &Result<(), Error>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Turns what happens to connections into lines.
fn tell(event: Event, connects: bool, encrypted: bool, notices: &mut Notices) {
    match event {
        Event::HandshakeSucceeded if connects => notices.say(Kind::Came, "connected"),
        Event::Disconnected if connects => notices.say(Kind::Left, "the connection ended; connecting again"),
        Event::Retried => notices.say(Kind::Absent, "nobody listens there; trying again"),
        Event::HandshakeBroken(_) if encrypted => notices.say(
            Kind::Handshake,
            "the peer broke off the handshake; check that --zmq-encryption-key is its public key, and that it encrypts",
        ),
        Event::HandshakeBroken(_) => notices.say(
            Kind::Handshake,
            "the peer broke off the handshake; if it encrypts, give its public key with --zmq-encryption-key",
        ),
        Event::HandshakeRefused(_) | Event::HandshakeDenied(_) if encrypted => notices.say(
            Kind::Handshake,
            "a peer failed the handshake: it does not encrypt, or not with the key of --zmq-encryption-key",
        ),
        Event::HandshakeRefused(_) | Event::HandshakeDenied(_) => notices.say(
            Kind::Handshake,
            "a peer failed the handshake: it encrypts, which wants --zmq-encryption-key, or speaks no ZeroMQ",
        ),
        Event::AcceptFailed(_) => notices.say(Kind::Error, "a connection could not be accepted"),
        _ => {}
    }
}
