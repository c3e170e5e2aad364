//! Streams of messages: IPFIX over TCP (RFC 7011, section 10.4), or TLS, which `tls.rs` adds; NetFlow v9 and v5 too, as
//! some exporters send them so (`framing.rs` tells how).
//!
//! Every worker polls its own connections and the one listening socket, and takes a new connection only while no other
//! worker has fewer. A connection is read once a turn, 128 KiB at most, so a loud exporter does not keep others waiting.
//! Between turns it keeps what is left of a message that has not come whole, 64 KiB at most; all read through one buffer.
//!
//! Bytes that are no message end the session: what follows cannot be told apart any more.

use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};

use super::arrival::{now, plain};
use super::framing::{Framer, LONGEST, Next};
use super::{Counters, Error, Exports, Place, Poll, Take};
use crate::sink::dial::watch_peer;
use crate::source::kernel::ready;

/// How connections are taken.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads to share them.
    pub workers: usize,
    /// Connections at once, of all workers.
    pub connections: usize,
    /// How long the last message of a stream of NetFlow v9 waits for more of it.
    pub silence: Duration,
    /// A peer that the kernel hears nothing of for so long, asked though, is gone.
    pub gone: Duration,
    /// A peer that never sent anything for so long after it came is let go: it only takes a place.
    pub mute: Duration,
    /// Who may connect; `None` is everybody.
    pub gate: Option<Gate>,
}

/// Says who may connect.
#[derive(Clone)]
pub struct Gate(pub Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl core::fmt::Debug for Gate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Gate")
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            workers: 1,
            connections: 1_024,
            silence: Duration::from_secs(1),
            gone: Duration::from_secs(120),
            mute: Duration::from_secs(120),
            gate: None,
        }
    }
}

/// How long is waited for something to read.
const PATIENCE: Duration = Duration::from_millis(100);
/// Bytes read of a connection in one turn.
const TURN: usize = 128 << 10;
/// Connections taken, and read, in one poll.
const ACCEPTS: usize = 64;
const READS: usize = 64;
/// No connections are taken for so long when the system has no descriptors left.
const REST: Duration = Duration::from_secs(1);
/// What one peer did wrong is told this often at most, all peers taken together.
const TELL_AGAIN: Duration = Duration::from_secs(10);
/// A TLS handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a connection speaks.
pub(super) enum Channel {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<super::tls::Session>),
}

impl Channel {
    fn stream(&self) -> &TcpStream {
        match self {
            Channel::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Channel::Tls(session) => session.stream(),
        }
    }

    /// Reads what is there, 0 at the end, as for any [`Read`]; `WouldBlock` when there is nothing.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Channel::Plain(stream) => stream.read(into),
            #[cfg(feature = "tls")]
            Channel::Tls(session) => session.read(into),
        }
    }

    /// Waits to be able to send something, as part of a handshake.
    fn wants_write(&self) -> bool {
        match self {
            Channel::Plain(_) => false,
            #[cfg(feature = "tls")]
            Channel::Tls(session) => session.wants_write(),
        }
    }

    /// False while a handshake is going on.
    fn established(&self) -> bool {
        match self {
            Channel::Plain(_) => true,
            #[cfg(feature = "tls")]
            Channel::Tls(session) => session.established(),
        }
    }
}

/// Makes a channel of a connection.
type Wrap = dyn Fn(TcpStream) -> Result<Channel, String> + Send + Sync;

/// One worker's connections.
pub struct Streams {
    place: Place,
    port: u16,
    listener: TcpListener,
    options: Options,
    wrap: Arc<Wrap>,
    /// Connections of each worker, and which this one is.
    counts: Arc<[AtomicUsize]>,
    worker: usize,
    connections: VecDeque<Connection>,
    set: Vec<libc::pollfd>,
    buffer: Vec<u8>,
    rest_until: Option<Instant>,
    swept: Instant,
    counters: Counters,
    notices: Vec<String>,
    told: Option<Instant>,
    untold: u64,
}

struct Connection {
    channel: Channel,
    from: SocketAddr,
    since: Instant,
    /// Counted as a session.
    begun: bool,
    framer: Framer,
    /// The beginning of a message.
    partial: Vec<u8>,
    /// `partial` is a whole message if nothing comes for a while.
    perhaps: bool,
    /// When something came last.
    heard: Instant,
    arrived: Nanos,
}

/// Why a connection is over.
enum Over {
    /// It ended, with or without an error.
    Ended(Option<io::Error>),
    /// So many bytes were no message.
    Broken(usize),
}

impl Streams {
    /// The workers of a TCP port.
    pub fn open(place: &Place, options: &Options) -> Result<Vec<Streams>, Error> {
        Self::with(
            place,
            options,
            Arc::new(|stream: TcpStream| -> Result<Channel, String> { Ok(Channel::Plain(stream)) }),
        )
    }

    pub(super) fn with(place: &Place, options: &Options, wrap: Arc<Wrap>) -> Result<Vec<Streams>, Error> {
        let listener = place.bind(listen)?;
        let workers = options.workers.max(1);
        let counts: Arc<[AtomicUsize]> = (0..workers).map(|_| AtomicUsize::new(0)).collect();
        let made = (0..workers).map(|worker| {
            let listener = listener.try_clone()?;
            Ok(Streams {
                place: *place,
                port: listener.local_addr()?.port(),
                listener,
                options: options.clone(),
                wrap: Arc::clone(&wrap),
                counts: Arc::clone(&counts),
                worker,
                connections: VecDeque::new(),
                set: Vec::new(),
                buffer: vec![0; LONGEST + 1 + TURN],
                rest_until: None,
                swept: Instant::now(),
                counters: Counters::default(),
                notices: Vec::new(),
                told: None,
                untold: 0,
            })
        });
        made.collect::<io::Result<_>>().map_err(|error| place.refused(&error))
    }

    /// The port it listens at.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is this worker's turn to take a connection.
    fn takes(&mut self) -> bool {
        if self.rest_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        self.rest_until = None;
        let mine = self.connections.len();
        self.counts.iter().all(|count| count.load(Ordering::Relaxed) >= mine)
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            match self.listener.accept() {
                Ok((stream, from)) => self.welcome(stream, plain(from)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    // A connection that was given up while it waited is nobody's loss. No descriptors is: they wait on.
                    if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
                    {
                        self.rest_until = Some(Instant::now() + REST);
                        self.tell(format!("no connection can be taken: {error}; raise the limit of open files"));
                        return;
                    }
                }
            }
            if !self.takes() {
                return;
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream, from: SocketAddr) {
        if self.options.gate.as_ref().is_some_and(|gate| !gate.0(from.ip())) {
            self.counters.refused += 1;
            self.tell(format!("{from} was turned away: it is not allowed"));
            return;
        }
        let total: usize = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        if total >= self.options.connections {
            self.counters.refused += 1;
            let most = self.options.connections;
            self.tell(format!("{from} was turned away: {most} connections is the limit"));
            return;
        }
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        watch_peer(&stream, self.options.gone);
        match (self.wrap)(stream) {
            Ok(channel) => {
                let now = Instant::now();
                let begun = channel.established();
                self.counters.sessions += u64::from(begun);
                self.connections.push_back(Connection {
                    channel,
                    from,
                    since: now,
                    begun,
                    framer: Framer::default(),
                    partial: Vec::new(),
                    perhaps: false,
                    heard: now,
                    arrived: Nanos(0),
                });
                self.count();
            }
            Err(why) => {
                self.counters.handshakes += 1;
                self.tell(format!("{from}: {why}"));
            }
        }
    }

    fn count(&self) {
        if let Some(count) = self.counts.get(self.worker) {
            count.store(self.connections.len(), Ordering::Relaxed);
        }
    }

    /// Reads connections that are ready, those longest not read first.
    fn read(&mut self, take: &mut dyn Take) -> usize {
        if self.set.iter().skip(1).all(|poll| poll.revents == 0) {
            return 0;
        }
        let (mut total, mut reads) = (0, 0);
        let mut kept = VecDeque::with_capacity(self.connections.len());
        let mut served = VecDeque::new();
        let set = core::mem::take(&mut self.set);
        for (at, mut connection) in core::mem::take(&mut self.connections).into_iter().enumerate() {
            let ready = set.get(at + 1).is_some_and(|poll| poll.revents != 0);
            if !ready || reads == READS {
                kept.push_back(connection);
                continue;
            }
            reads += 1;
            match connection.read(&mut self.buffer, self.port, take, &mut self.counters, self.place.transport) {
                Ok(count) => {
                    total += count;
                    served.push_back(connection);
                }
                Err((count, over)) => {
                    total += count + self.end(connection, &over, take);
                }
            }
        }
        self.set = set;
        kept.append(&mut served);
        self.connections = kept;
        self.count();
        total
    }

    /// A connection is over.
    fn end(&mut self, mut connection: Connection, over: &Over, take: &mut dyn Take) -> usize {
        let from = connection.from;
        let mut last = 0;
        match over {
            Over::Broken(bytes) => {
                self.counters.framing += 1;
                self.counters.framing_bytes += *bytes as u64;
                self.tell(format!("{from} sent what is no message; its session was closed"));
            }
            Over::Ended(_) if connection.perhaps => {
                last = connection.last(self.port, take, &mut self.counters, self.place.transport);
            }
            Over::Ended(_) if !connection.partial.is_empty() => {
                self.counters.unfinished += 1;
                self.counters.framing_bytes += connection.partial.len() as u64;
            }
            Over::Ended(_) => {}
        }
        if connection.begun {
            take.closed(self.place.transport, from, self.port);
        } else {
            self.counters.handshakes += 1;
            let why = match over {
                Over::Ended(Some(error)) => error.to_string(),
                _ => "it hung up".to_owned(),
            };
            self.tell(format!("{from}: no TLS session: {why}"));
        }
        last
    }

    /// Hands on messages that are whole as nothing came for a while, and ends handshakes that take too long.
    fn sweep(&mut self, take: &mut dyn Take) -> usize {
        let now = Instant::now();
        if now.duration_since(self.swept) < PATIENCE {
            return 0;
        }
        self.swept = now;
        let (port, transport) = (self.port, self.place.transport);
        let mut total = 0;
        let mut late = Vec::new();
        for (at, connection) in self.connections.iter_mut().enumerate() {
            if connection.perhaps && now.duration_since(connection.heard) >= self.options.silence {
                total += connection.last(port, take, &mut self.counters, transport);
            }
            let mute =
                connection.heard == connection.since && now.duration_since(connection.since) >= self.options.mute;
            if mute || !connection.begun && now.duration_since(connection.since) >= HANDSHAKE {
                late.push(at);
            }
        }
        for at in late.into_iter().rev() {
            if let Some(connection) = self.connections.remove(at) {
                self.end(connection, &Over::Ended(Some(io::ErrorKind::TimedOut.into())), take);
            }
        }
        self.count();
        total
    }

    fn tell(&mut self, what: String) {
        let now = Instant::now();
        if self.told.is_some_and(|told| now.duration_since(told) < TELL_AGAIN) {
            self.untold += 1;
            return;
        }
        self.told = Some(now);
        let more = match core::mem::take(&mut self.untold) {
            0 => String::new(),
            n => format!(" (and {n} more of this kind since the last)"),
        };
        self.notices.push(format!("-3 {}: {what}{more}", self.place));
    }
}

impl Exports for Streams {
    fn poll(&mut self, take: &mut dyn Take) -> Result<Poll, Error> {
        let wants = |fd: &dyn AsRawFd, events| libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
        // A negative descriptor is passed over.
        let listener = if self.takes() { self.listener.as_raw_fd() } else { -1 };
        self.set.clear();
        self.set.push(libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 });
        self.set.extend(self.connections.iter().map(|connection| {
            let write = if connection.channel.wants_write() { libc::POLLOUT } else { 0 };
            wants(connection.channel.stream(), libc::POLLIN | write)
        }));
        ready(&mut self.set, PATIENCE).map_err(|error| self.place.refused(&error))?;
        let mut total = self.read(take);
        if self.set.first().is_some_and(|poll| poll.revents != 0) {
            self.accept();
        }
        total += self.sweep(take);
        Ok(if total > 0 { Poll::Frames(total) } else { Poll::Idle })
    }

    fn counters(&mut self) -> Counters {
        Counters { open: self.connections.len() as u64, ..self.counters }
    }

    fn notices(&mut self) -> Vec<String> {
        core::mem::take(&mut self.notices)
    }
}

impl Connection {
    /// Reads once, and hands on the messages that are whole then. Tells how many; also when the connection is over.
    fn read(
        &mut self,
        buffer: &mut [u8],
        to: u16,
        take: &mut dyn Take,
        counters: &mut Counters,
        transport: Transport,
    ) -> Result<usize, (usize, Over)> {
        let held = self.partial.len();
        let (head, room) = buffer.split_at_mut(held.min(buffer.len()));
        let read = self.channel.read(room);
        if !self.begun && self.channel.established() {
            self.begun = true;
            counters.sessions += 1;
        }
        let read = match read {
            Ok(0) => return Err((0, Over::Ended(None))),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(0);
            }
            Err(error) => return Err((0, Over::Ended(Some(error)))),
        };
        head.copy_from_slice(&self.partial);
        self.partial.clear();
        self.perhaps = false;
        self.heard = Instant::now();
        self.arrived = now();
        let like = Datagram { time: self.arrived, transport, from: self.from, to, local: None, bytes: &[] };
        let before = counters.datagrams;
        let bytes = buffer.get(..held + read).unwrap_or(&[]);
        let (rest, end) = self.framer.hand_on(bytes, like, take, counters);
        let total = (counters.datagrams - before) as usize;
        if end == Next::Broken {
            return Err((total, Over::Broken(rest.len())));
        }
        self.perhaps = matches!(end, Next::Perhaps(_));
        self.partial.extend_from_slice(rest);
        Ok(total)
    }

    /// Hands on what is a whole message, as nothing more of it came.
    fn last(&mut self, to: u16, take: &mut dyn Take, counters: &mut Counters, transport: Transport) -> usize {
        self.perhaps = false;
        self.framer = Framer::default();
        counters.datagrams += 1;
        counters.bytes += self.partial.len() as u64;
        take.datagrams(&[Datagram {
            time: self.arrived,
            transport,
            from: self.from,
            to,
            local: None,
            bytes: &self.partial,
        }]);
        self.partial.clear();
        1
    }
}

#[cfg(target_os = "linux")]
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    use std::os::fd::AsFd;
    let socket = super::socket::bound(libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0, address, |socket| {
        // A collector that starts again takes its port although old connections are not forgotten yet.
        crate::sink::socket::set_option(socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)
    })?;
    super::socket::listen(socket.as_fd(), 1_024)?;
    Ok(TcpListener::from(socket))
}

#[cfg(not(target_os = "linux"))]
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::super::framing::tests::{message, v9};
    use super::super::kept::Kept;
    use super::*;
    use std::io::Write;

    fn open(options: Options) -> (Vec<Streams>, u16) {
        let place = Place { transport: Transport::Tcp, address: Some([127, 0, 0, 1].into()), port: 0 };
        let opened = Streams::open(&place, &options).unwrap();
        let port = opened[0].port();
        (opened, port)
    }

    fn one(options: Options) -> (Streams, u16) {
        let (mut opened, port) = open(options);
        (opened.pop().unwrap(), port)
    }

    fn dial(port: u16) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    #[test]
    fn messages_are_whole_however_they_come() {
        let (mut streams, port) = one(Options::default());
        let mut exporter = dial(port);
        let sent: Vec<_> =
            [16, 17, 1400, 65_535, 20, 300].into_iter().zip(1..).map(|(n, salt)| message(n, salt)).collect();
        let stream = sent.concat();
        let mut kept = Kept::default();
        // In pieces that fit no message.
        for piece in stream.chunks(997) {
            exporter.write_all(piece).unwrap();
            streams.poll(&mut kept).unwrap();
        }
        kept.until(&mut streams, |kept| kept.messages.len() == sent.len());
        assert!(kept.bytes() == sent.iter().map(|m| &m[..]).collect::<Vec<_>>());
        let from = exporter.local_addr().unwrap();
        assert!(kept.messages.iter().all(|m| m.transport == Transport::Tcp && m.from == from && m.to == port));
        assert!(kept.closed.is_empty());
        drop(exporter);
        kept.until(&mut streams, |kept| !kept.closed.is_empty());
        assert_eq!(kept.closed, [(Transport::Tcp, from, port)]);
        let counters = streams.counters();
        assert_eq!((counters.datagrams, counters.bytes), (6, stream.len() as u64));
        assert_eq!((counters.sessions, counters.open, counters.received()), (1, 0, 6));
        assert!(streams.notices().is_empty());
    }

    #[test]
    fn connections_are_apart_and_take_turns() {
        let (mut streams, port) = one(Options::default());
        let mut exporters: Vec<_> = (0..5).map(|_| dial(port)).collect();
        let mut kept = Kept::default();
        for half in 0..2 {
            for (exporter, salt) in exporters.iter_mut().zip(1..) {
                let whole = message(100, salt);
                exporter.write_all(&whole[half * 50..half * 50 + 50]).unwrap();
            }
            streams.poll(&mut kept).unwrap();
        }
        kept.until(&mut streams, |kept| kept.messages.len() == 5);
        for (exporter, salt) in exporters.iter().zip(1..) {
            let from = exporter.local_addr().unwrap();
            let found = kept.messages.iter().find(|m| m.from == from).unwrap();
            assert_eq!(found.bytes, message(100, salt));
        }
    }

    #[test]
    fn what_is_no_message_ends_the_session_and_is_counted() {
        let (mut streams, port) = one(Options::default());
        let mut exporter = dial(port);
        exporter.write_all(&[&message(50, 1)[..], b"GET / HTTP/1.1\r\n"].concat()).unwrap();
        let mut kept = Kept::default();
        kept.until(&mut streams, |kept| !kept.closed.is_empty());
        assert_eq!(kept.bytes(), [&message(50, 1)[..]]);
        let counters = streams.counters();
        assert_eq!((counters.framing, counters.framing_bytes, counters.open), (1, 16, 0));
        assert_eq!(counters.received(), 2);
        let notices = streams.notices();
        let from = exporter.local_addr().unwrap().to_string();
        assert!(notices.len() == 1 && notices[0].contains(&from), "{notices:?}");
    }

    #[test]
    fn half_a_message_at_the_end_is_counted() {
        let (mut streams, port) = one(Options::default());
        let mut exporter = dial(port);
        exporter.write_all(&message(50, 1)[..49]).unwrap();
        drop(exporter);
        let mut kept = Kept::default();
        kept.until(&mut streams, |kept| !kept.closed.is_empty());
        let counters = streams.counters();
        assert_eq!((counters.datagrams, counters.unfinished, counters.framing_bytes), (0, 1, 49));
    }

    #[test]
    fn connections_are_bounded() {
        let (mut streams, port) = one(Options { connections: 2, ..Options::default() });
        let mut kept = Kept::default();
        let mut exporters: Vec<_> = (0..2).map(|_| dial(port)).collect();
        for (exporter, salt) in exporters.iter_mut().zip(1..) {
            exporter.write_all(&message(20, salt)).unwrap();
        }
        kept.until(&mut streams, |kept| kept.messages.len() == 2);
        let mut third = dial(port);
        let clock = Instant::now();
        while streams.counters().refused == 0 {
            streams.poll(&mut kept).unwrap();
            assert!(clock.elapsed() < Duration::from_secs(10));
        }
        assert!(matches!(third.read(&mut [0; 1]), Ok(0) | Err(_)));
        assert!(streams.notices()[0].contains("2 connections is the limit"));
        drop(exporters);
        kept.until(&mut streams, |kept| kept.closed.len() == 2);
        let mut fourth = dial(port);
        fourth.write_all(&message(20, 4)).unwrap();
        kept.until(&mut streams, |kept| kept.messages.len() == 3);
    }

    #[test]
    fn who_is_not_allowed_takes_no_place() {
        let gate = Gate(Arc::new(|address| address != IpAddr::from([127, 0, 0, 1])));
        let (mut streams, port) = one(Options { connections: 1, gate: Some(gate), ..Options::default() });
        let mut refused = dial(port);
        let mut kept = Kept::default();
        let clock = Instant::now();
        while streams.counters().refused == 0 {
            streams.poll(&mut kept).unwrap();
            assert!(clock.elapsed() < Duration::from_secs(10));
        }
        assert!(matches!(refused.read(&mut [0; 1]), Ok(0) | Err(_)));
        assert!(streams.notices()[0].contains("it is not allowed"));
        assert_eq!(streams.counters().sessions, 0);
    }

    #[test]
    fn who_never_says_anything_is_let_go() {
        let (mut streams, port) = one(Options { connections: 1, mute: Duration::ZERO, ..Options::default() });
        let mute = dial(port);
        let mut kept = Kept::default();
        kept.until(&mut streams, |kept| kept.closed.len() == 1);
        drop(mute);
        let (mut streams, port) = one(Options { connections: 1, mute: Duration::from_secs(1), ..Options::default() });
        let mut speaks = dial(port);
        speaks.write_all(&message(20, 1)).unwrap();
        kept = Kept::default();
        kept.until(&mut streams, |kept| kept.messages.len() == 1);
        let clock = Instant::now();
        while clock.elapsed() < Duration::from_millis(1500) {
            streams.poll(&mut kept).unwrap();
        }
        assert!(kept.closed.is_empty(), "who said something stays");
    }

    #[test]
    fn netflow_v9_is_followed_by_its_sets() {
        let (mut streams, port) = one(Options { silence: Duration::ZERO, ..Options::default() });
        let mut exporter = dial(port);
        let sent = [v9(&[0, 1, 256]), v9(&[257]), v9(&[300, 301])];
        exporter.write_all(&sent.concat()).unwrap();
        let mut kept = Kept::default();
        // The last one by silence.
        kept.until(&mut streams, |kept| kept.messages.len() == 3);
        exporter.write_all(&v9(&[258])).unwrap();
        drop(exporter);
        kept.until(&mut streams, |kept| !kept.closed.is_empty());
        let all = [&sent[..], &[v9(&[258])]].concat();
        assert_eq!(kept.bytes(), all.iter().map(|m| &m[..]).collect::<Vec<_>>());
        assert_eq!(streams.counters().received(), 4);
    }

    #[test]
    fn workers_share_connections() {
        let (mut workers, port) = open(Options { workers: 2, ..Options::default() });
        let mut kept = [Kept::default(), Kept::default()];
        let mut exporters = Vec::new();
        for n in 1..=6_u8 {
            let clock = Instant::now();
            let mut exporter = dial(port);
            exporter.write_all(&message(20, n)).unwrap();
            exporters.push(exporter);
            while kept.iter().map(|kept| kept.messages.len()).sum::<usize>() < usize::from(n) {
                for (worker, kept) in workers.iter_mut().zip(&mut kept) {
                    worker.poll(kept).unwrap();
                }
                assert!(clock.elapsed() < Duration::from_secs(10));
            }
        }
        assert_eq!(kept.map(|kept| kept.messages.len()), [3, 3]);
    }
}
