//! Datagrams of exporters: NetFlow, IPFIX (RFC 7011, section 10.3) and sFlow over UDP.
//!
//! On Linux datagrams are received many to a call (recvmmsg). What makes batches is that a worker that has emptied its
//! socket pauses a little before it looks again; without that it would be woken for every few datagrams, which costs
//! three times as much (`examples/recv_cost.rs`). A worker nobody sends to sleeps in the kernel and is woken at once.
//!
//! What the kernel drops for want of room is counted exactly, socket by socket. With [`Options::coalesce`] the kernel
//! hands over what came as one piece in one piece (UDP_GRO), which costs a fraction; but it then counts the loss of such
//! a piece as one, so it is off unless asked for.
//!
//! Several workers have a socket each (`lobby.rs` tells which exporter is whose). Elsewhere than on Linux there is
//! one worker and a call a datagram.

use core::time::Duration;
use std::io;

use super::{Counters, Error, Exports, Place, Poll, Take};

/// How datagrams are received.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Sockets to share the work, and threads to poll them.
    pub workers: usize,
    /// Bytes of each socket's receive buffer. A datagram of 1,400 bytes takes 2,304 of them, and the kernel doubles what
    /// it is asked for.
    pub buffer: usize,
    /// All ports of an address are one exporter (`-J`), so they have one worker.
    pub by_address: bool,
    /// Tell the address each datagram came to.
    pub destinations: bool,
    /// Take several datagrams of one exporter as one piece. Losses are then told too small.
    pub coalesce: bool,
    /// Most datagrams received in one call: 64, or less. More than 32 costs no less.
    pub batch: usize,
    /// Pause of a worker that has emptied its socket; shorter when the receive buffer is small.
    pub pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            workers: 1,
            buffer: 32 << 20,
            by_address: false,
            destinations: false,
            coalesce: false,
            batch: 32,
            pause: PAUSE,
        }
    }
}

/// Measured at 60,000 datagrams a second: 4.1 us of CPU a datagram without a pause, 1.7 with 200 us, 1.35 with 500, no
/// less with 1,000.
const PAUSE: Duration = Duration::from_micros(500);

/// How long the first datagram is waited for.
const PATIENCE: Duration = Duration::from_millis(100);

/// One worker's socket.
pub struct Udp {
    socket: kernel::Socket,
    place: Place,
    counters: Counters,
    notices: Vec<String>,
}

impl Udp {
    /// The sockets of a port, one a worker.
    pub fn open(place: &Place, options: &Options) -> Result<Vec<Udp>, Error> {
        let (sockets, mut notices) = kernel::open(place, options)?;
        let made = sockets.into_iter().map(|socket| Udp {
            socket,
            place: *place,
            counters: Counters::default(),
            // The first one tells.
            notices: core::mem::take(&mut notices),
        });
        Ok(made.collect())
    }

    /// The port it receives at.
    pub fn port(&self) -> u16 {
        self.socket.port()
    }
}

impl Exports for Udp {
    fn poll(&mut self, take: &mut dyn Take) -> Result<Poll, Error> {
        match self.socket.receive(take, &mut self.counters) {
            Ok(0) => Ok(Poll::Idle),
            Ok(count) => Ok(Poll::Frames(count)),
            Err(error) if passing(&error) => Ok(Poll::Idle),
            Err(error) => Err(Error(format!("-3 {}: {error}; receiving has ended", self.place))),
        }
    }

    fn counters(&mut self) -> Counters {
        self.socket.lost(&mut self.counters);
        self.counters
    }

    fn notices(&mut self) -> Vec<String> {
        core::mem::take(&mut self.notices)
    }
}

/// An error that is over with the call: nothing came, a signal, no memory for the moment.
pub(super) fn passing(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::WouldBlock | Kind::TimedOut | Kind::Interrupted | Kind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM | libc::ECONNREFUSED))
}

/// The kernel as it is reached on Linux.
#[cfg(target_os = "linux")]
mod kernel {
    use core::time::Duration;
    use std::io;
    use std::net::SocketAddr;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
    use std::sync::Arc;

    use flowsonde_wire::Nanos;
    use flowsonde_wire::export::{Datagram, Transport};

    use super::super::arrival::now;
    use super::super::lobby::Lobby;
    use super::super::socket::{self, Batch};
    use super::super::spread::program;
    use super::super::{BATCH, Counters, Error, NOTHING, Place, Take};
    use super::{Options, PATIENCE};
    use crate::sink::socket::set_option;
    use crate::source::kernel::ready;

    /// Batches between two looks into the lobby while there is no end of datagrams.
    const LOOK: u32 = 32;

    pub(super) struct Socket {
        socket: OwnedFd,
        port: u16,
        batch: Batch,
        pause: Duration,
        /// A call that brings less has emptied the socket.
        enough: usize,
        /// The socket was emptied by the last call.
        emptied: bool,
        /// What the kernel's counter of drops was.
        drops: u32,
        shared: Option<Shared>,
    }

    /// What a worker has of the lobby.
    struct Shared {
        lobby: Arc<Lobby>,
        worker: usize,
        epoch: u32,
        batches: u32,
        /// What the lobby's counter of drops was; of the first worker, which counts them.
        drops: Option<u32>,
    }

    /// The sockets of all workers, and what the user should know.
    pub(super) fn open(place: &Place, options: &Options) -> Result<(Vec<Socket>, Vec<String>), Error> {
        let workers = options.workers.max(1);
        let alone = place.bind(|address| bound(address, false))?;
        let refused = |error: &io::Error| place.refused(error);
        if workers == 1 {
            let (socket, notice) = Socket::new(alone, options, None).map_err(|error| refused(&error))?;
            return Ok((vec![socket], notice.map(|given| told(place, options.buffer, given)).into_iter().collect()));
        }
        // The first bind was without SO_REUSEPORT, which would have let a second collector in to take a part unseen.
        let port = socket::port(alone.as_fd()).map_err(|error| refused(&error))?;
        drop(alone);
        let place_taken = Place { port, ..*place };
        let first = place_taken.bind(|address| bound(address, true))?;
        let shared = socket::spread(first.as_fd(), &program(&[], workers, options.by_address)).is_ok();
        let mut notice = None;
        let mut sockets = Vec::new();
        let (lobby, mut first) = if shared {
            let (lobby, given) = prepared(first, options).map_err(|error| refused(&error))?;
            notice = given;
            (Some(Arc::new(Lobby::new(lobby, workers, options.by_address))), None)
        } else {
            (None, Some(first))
        };
        for worker in 0..workers {
            let socket = match first.take() {
                Some(first) => first,
                None => place_taken.bind(|address| bound(address, true))?,
            };
            let shared = lobby.as_ref().map(|lobby| Shared {
                lobby: Arc::clone(lobby),
                worker,
                epoch: lobby.epoch(),
                batches: 0,
                drops: (worker == 0).then_some(0),
            });
            let (socket, given) = Socket::new(socket, options, shared).map_err(|error| refused(&error))?;
            notice = notice.or(given);
            sockets.push(socket);
        }
        Ok((sockets, notice.map(|given| told(place, options.buffer, given)).into_iter().collect()))
    }

    fn told(place: &Place, asked: usize, given: usize) -> String {
        format!(
            "-3 {place}: the receive buffer is {given} bytes instead of {asked}, so bursts are lost sooner; \
             run sysctl -w net.core.rmem_max={asked}, or give CAP_NET_ADMIN"
        )
    }

    /// With SO_REUSEPORT, only sockets of the same user that have it too can be bound to the same port.
    fn bound(address: SocketAddr, group: bool) -> io::Result<OwnedFd> {
        socket::bound(libc::SOCK_DGRAM, 0, address, |socket| {
            if group { set_option(socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1) } else { Ok(()) }
        })
    }

    /// Sets options; tells the size of the receive buffer when it is less than asked for.
    fn prepared(socket: OwnedFd, options: &Options) -> io::Result<(OwnedFd, Option<usize>)> {
        let fd = socket.as_fd();
        let given = socket::receive_buffer(fd, options.buffer)?;
        let _the_time_of_the_call_does = set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1);
        if options.destinations {
            socket::tell_destinations(fd);
        }
        if options.coalesce {
            let _one_by_one_then = set_option(fd, libc::SOL_UDP, libc::UDP_GRO, 1);
        }
        if socket::drops(fd).is_err() {
            set_option(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
        }
        socket::receive_timeout(fd, PATIENCE)?;
        Ok((socket, (given < options.buffer).then_some(given)))
    }

    impl Socket {
        fn new(socket: OwnedFd, options: &Options, shared: Option<Shared>) -> io::Result<(Self, Option<usize>)> {
            let (socket, less) = prepared(socket, options)?;
            let given = less.unwrap_or(options.buffer);
            let made = Socket {
                port: socket::port(socket.as_fd())?,
                socket,
                batch: Batch::new(options.batch),
                enough: options.batch.clamp(1, BATCH).div_ceil(2),
                // A small buffer is half full sooner: a million datagrams a second are 2.3 bytes of it a nanosecond.
                pause: options.pause.min(Duration::from_nanos(given as u64 * 10 / 23)),
                emptied: false,
                drops: 0,
                shared,
            };
            Ok((made, less))
        }

        pub(super) fn port(&self) -> u16 {
            self.port
        }

        pub(super) fn receive(&mut self, take: &mut dyn Take, counters: &mut Counters) -> io::Result<usize> {
            if core::mem::take(&mut self.emptied) {
                std::thread::sleep(self.pause);
            }
            let mut waited = 0;
            let count = match &mut self.shared {
                None => self.batch.receive(self.socket.as_fd(), true)?,
                Some(shared) => {
                    let count = shared.receive(&mut self.batch, self.socket.as_fd())?;
                    waited = shared.hand_on(self.port, take, counters);
                    count
                }
            };
            self.emptied = count > 0 && count < self.enough;
            Ok(waited + hand_on(&self.batch, count, self.port, take, counters))
        }

        /// How often exporters were given away.
        #[cfg(test)]
        pub(super) fn epoch(&self) -> Option<u32> {
            self.shared.as_ref().map(|shared| shared.lobby.epoch())
        }

        /// Adds what the kernel dropped since it was last asked.
        pub(super) fn lost(&mut self, counters: &mut Counters) {
            let now = socket::drops(self.socket.as_fd()).ok().or(self.batch.overflow);
            counters.kernel_drops += step(&mut self.drops, now);
            if let Some(Shared { lobby, drops: Some(drops), .. }) = &mut self.shared {
                counters.kernel_drops += step(drops, socket::drops(lobby.socket()).ok());
                counters.behind = lobby.lost();
            }
        }
    }

    /// How far a counter of 32 bits that wraps has come.
    fn step(last: &mut u32, now: Option<u32>) -> u64 {
        let now = now.unwrap_or(*last);
        u64::from(now.wrapping_sub(core::mem::replace(last, now)))
    }

    impl Shared {
        /// Receives; looks into the lobby before it waits, and now and then when it has not to wait.
        fn receive(&mut self, batch: &mut Batch, socket: BorrowedFd<'_>) -> io::Result<usize> {
            self.batches = self.batches.wrapping_add(1);
            if self.batches.is_multiple_of(LOOK) {
                self.lobby.attend()?;
            }
            match batch.receive(socket, false) {
                Err(error) if super::passing(&error) => {}
                received => return received,
            }
            let wants = |fd: BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            let mut set = [wants(socket), wants(self.lobby.socket())];
            ready(&mut set, PATIENCE)?;
            let [own, lobby] = set;
            if lobby.revents != 0 {
                self.lobby.attend()?;
            }
            if own.revents == 0 {
                return Ok(0);
            }
            match batch.receive(socket, false) {
                Err(error) if super::passing(&error) => Ok(0),
                received => received,
            }
        }

        /// Hands on what the lobby had for this worker.
        fn hand_on(&mut self, to: u16, take: &mut dyn Take, counters: &mut Counters) -> usize {
            let epoch = self.lobby.epoch();
            if epoch == self.epoch {
                return 0;
            }
            self.epoch = epoch;
            let held = self.lobby.inbox(self.worker);
            for held in held.chunks(BATCH) {
                let mut batch = [NOTHING; BATCH];
                for (one, held) in batch.iter_mut().zip(held) {
                    let (time, from, local, bytes) = (held.time, held.from, held.local, &held.bytes[..]);
                    *one = Datagram { time, transport: Transport::Udp, from, to, local, bytes };
                    counters.bytes += bytes.len() as u64;
                }
                counters.datagrams += held.len() as u64;
                take.datagrams(batch.get(..held.len()).unwrap_or(&batch));
            }
            held.len()
        }
    }

    /// Hands on `count` pieces, each a datagram or several.
    fn hand_on(received: &Batch, count: usize, to: u16, take: &mut dyn Take, counters: &mut Counters) -> usize {
        let mut batch = [NOTHING; BATCH];
        let (mut filled, mut total) = (0, 0);
        let mut clock: Option<Nanos> = None;
        for one in received.arrived(count) {
            if one.cut {
                counters.truncated += 1;
                continue;
            }
            let time = one.time.unwrap_or_else(|| *clock.get_or_insert_with(now));
            // An empty datagram is one too; `chunks` would make none of it.
            let mut rest = one.bytes;
            loop {
                let (bytes, next) = rest.split_at_checked(one.segment.max(1)).unwrap_or((rest, &[]));
                if let Some(place) = batch.get_mut(filled) {
                    let (from, local) = (one.from, one.local);
                    *place = Datagram { time, transport: Transport::Udp, from, to, local, bytes };
                }
                filled += 1;
                total += 1;
                counters.bytes += bytes.len() as u64;
                if filled == BATCH {
                    take.datagrams(&batch);
                    filled = 0;
                }
                if next.is_empty() {
                    break;
                }
                rest = next;
            }
        }
        if filled > 0 {
            take.datagrams(batch.get(..filled).unwrap_or(&batch));
        }
        counters.datagrams += total as u64;
        total
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_counter_that_wraps_goes_on() {
            let mut last = u32::MAX - 1;
            assert_eq!(step(&mut last, Some(3)), 5);
            assert_eq!(step(&mut last, None), 0);
            assert_eq!(step(&mut last, Some(3)), 0);
            assert_eq!(step(&mut last, Some(2)), u64::from(u32::MAX));
        }
    }
}

/// The kernel as std reaches it: one socket, a datagram a call, no word of losses.
#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::io;
    use std::net::UdpSocket;

    use flowsonde_wire::export::{Datagram, Transport};

    use super::super::arrival::{now, plain};
    use super::super::{Counters, Error, Place, Take};
    use super::{Options, PATIENCE};

    pub(super) struct Socket {
        socket: UdpSocket,
        port: u16,
        room: Vec<u8>,
    }

    pub(super) fn open(place: &Place, options: &Options) -> Result<(Vec<Socket>, Vec<String>), Error> {
        let socket = place.bind(UdpSocket::bind)?;
        let made = |socket: UdpSocket| {
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok(Socket { port: socket.local_addr()?.port(), socket, room: vec![0; 65_536] })
        };
        let socket = made(socket).map_err(|error: io::Error| place.refused(&error))?;
        let many = format!("-3 {place}: several workers at a port are for Linux only; one receives");
        Ok((vec![socket], if options.workers > 1 { vec![many] } else { Vec::new() }))
    }

    impl Socket {
        pub(super) fn port(&self) -> u16 {
            self.port
        }

        pub(super) fn receive(&mut self, take: &mut dyn Take, counters: &mut Counters) -> io::Result<usize> {
            let (length, from) = self.socket.recv_from(&mut self.room)?;
            let bytes = self.room.get(..length).unwrap_or(&[]);
            counters.datagrams += 1;
            counters.bytes += length as u64;
            take.datagrams(&[Datagram {
                time: now(),
                transport: Transport::Udp,
                from: plain(from),
                to: self.port,
                local: None,
                bytes,
            }]);
            Ok(1)
        }

        pub(super) fn lost(&mut self, _: &mut Counters) {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::kept::Kept;
    use super::*;
    use flowsonde_wire::export::Transport;
    use std::net::{SocketAddr, UdpSocket};
    use std::time::Instant;

    fn place(address: Option<&str>) -> Place {
        Place { transport: Transport::Udp, address: address.map(|text| text.parse().unwrap()), port: 0 }
    }

    fn one(address: Option<&str>, options: Options) -> (Udp, u16) {
        let mut opened = Udp::open(&place(address), &options).unwrap();
        let udp = opened.pop().unwrap();
        let port = udp.port();
        (udp, port)
    }

    fn sender(port: u16) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        socket
    }

    fn payload(length: usize, salt: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 7 + salt) as u8).collect()
    }

    const LENGTHS: [usize; 9] = [1400, 0, 1, 2048, 2049, 9000, 65_507, 20, 1472];

    #[test]
    fn bytes_order_sender_port_and_time_are_kept() {
        for coalesce in [false, true] {
            let (mut udp, port) = one(Some("127.0.0.1"), Options { coalesce, ..Options::default() });
            let before = super::super::arrival::now();
            let exporter = sender(port);
            let mut kept = Kept::default();
            for (salt, length) in LENGTHS.into_iter().enumerate() {
                exporter.send(&payload(length, salt)).unwrap();
                // One by one, as the buffer may be small.
                kept.until(&mut udp, |kept| kept.messages.len() > salt);
            }
            for (salt, (length, message)) in LENGTHS.into_iter().zip(&kept.messages).enumerate() {
                assert!(message.bytes == payload(length, salt), "datagram of {length} bytes");
                assert_eq!((message.from, message.to), (exporter.local_addr().unwrap(), port));
                assert_eq!(message.transport, Transport::Udp);
                assert!(message.time.since(before) < 60_000_000_000, "{:?} against {before:?}", message.time);
            }
            let counters = udp.counters();
            assert_eq!(counters.datagrams, LENGTHS.len() as u64);
            assert_eq!(counters.bytes, LENGTHS.iter().sum::<usize>() as u64);
            assert_eq!(counters.received(), counters.datagrams + counters.kernel_drops);
        }
    }

    #[test]
    fn nobody_sends_and_it_is_idle() {
        let (mut udp, _) = one(Some("127.0.0.1"), Options::default());
        let mut kept = Kept::default();
        assert_eq!(udp.poll(&mut kept).unwrap(), Poll::Idle);
        assert!(kept.messages.is_empty());
    }

    #[test]
    fn without_an_address_both_families_are_received() {
        let (mut udp, port) = one(None, Options::default());
        let mut kept = Kept::default();
        let v4 = sender(port);
        v4.send(b"four").unwrap();
        kept.until(&mut udp, |kept| kept.messages.len() == 1);
        assert_eq!(kept.messages[0].from, v4.local_addr().unwrap());
        let Ok(v6) = UdpSocket::bind("[::1]:0") else {
            eprintln!("skipped: the part over IPv6, which this host does not have");
            return;
        };
        v6.send_to(b"six", ("::1", port)).unwrap();
        kept.until(&mut udp, |kept| kept.messages.len() == 2);
        assert_eq!(kept.messages[1].from.ip(), v6.local_addr().unwrap().ip());
        assert_eq!(kept.bytes(), [&b"four"[..], b"six"]);
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_with_one_worker_and_with_many() {
        let (_first, port) = one(Some("127.0.0.1"), Options::default());
        for workers in [1, 3] {
            let taken = Place { port, ..place(Some("127.0.0.1")) };
            let error = Udp::open(&taken, &Options { workers, ..Options::default() }).err().unwrap().to_string();
            assert!(error.starts_with(&format!("-3 udp://127.0.0.1:{port}: ")), "{error}");
            assert!(error.contains("another program has the port"), "{error}");
        }
        let elsewhere = place(Some("192.0.2.1"));
        let error = Udp::open(&elsewhere, &Options::default()).err().unwrap().to_string();
        assert!(error.contains("name an address of this host"), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_the_kernel_drops_is_counted() {
        let (mut udp, port) = one(Some("127.0.0.1"), Options { buffer: 64 << 10, ..Options::default() });
        let exporter = sender(port);
        let mut sent = 0;
        for _ in 0..2 {
            for _ in 0..3_000 {
                exporter.send(&[7; 1400]).unwrap();
                sent += 1;
            }
            // Nobody sends any more: all there is was received or dropped.
            let mut kept = Kept::default();
            while udp.poll(&mut kept).unwrap() != Poll::Idle {}
            let counters = udp.counters();
            assert!(counters.kernel_drops > 0);
            assert_eq!(counters.received(), sent, "{counters:?}");
            assert_eq!(counters.lost().collect::<Vec<_>>(), [("kernel_drops", counters.kernel_drops)]);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_buffer_that_is_smaller_than_asked_for_is_told() {
        let (mut udp, _) = one(Some("127.0.0.1"), Options { buffer: 900 << 20, ..Options::default() });
        let notices = udp.notices();
        // With CAP_NET_ADMIN it is given.
        for notice in &notices {
            assert!(
                notice.contains("instead of 943718400") && notice.contains("net.core.rmem_max=943718400"),
                "{notice}"
            );
        }
        assert!(notices.len() <= 1 && udp.notices().is_empty());
    }

    /// Polls all workers in turn until they have `count` messages between them.
    #[cfg(target_os = "linux")]
    fn gather(workers: &mut [Udp], kept: &mut [Kept], count: usize) {
        let clock = Instant::now();
        while kept.iter().map(|kept| kept.messages.len()).sum::<usize>() < count {
            for (worker, kept) in workers.iter_mut().zip(kept.iter_mut()) {
                worker.poll(kept).unwrap();
            }
            assert!(clock.elapsed() < Duration::from_secs(10), "too few messages after ten seconds");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn exporters_stay_with_one_worker_and_are_dealt_out_evenly() {
        for (address, from) in [(Some("127.0.0.1"), "127.0.0.1"), (None, "127.0.0.1"), (None, "::1")] {
            let mut workers = Udp::open(&place(address), &Options { workers: 2, ..Options::default() }).unwrap();
            assert_eq!(workers.len(), 2);
            let to = SocketAddr::new(from.parse().unwrap(), workers[0].port());
            let Ok(exporters) = (0..6).map(|_| UdpSocket::bind((from, 0))).collect::<io::Result<Vec<_>>>() else {
                eprintln!("skipped: the part from {from}, which this host does not have");
                continue;
            };
            let mut kept = [Kept::default(), Kept::default()];
            let mut given = None;
            for round in 0..20_u8 {
                for exporter in &exporters {
                    exporter.send_to(&[round], to).unwrap();
                }
                gather(&mut workers, &mut kept, exporters.len() * (usize::from(round) + 1));
                // By the lobby in the first round, and not in the others.
                let epoch = workers[0].socket.epoch().unwrap();
                assert_eq!(*given.get_or_insert(epoch), epoch, "from {from}, round {round}");
            }
            for kept in &kept {
                assert_eq!(kept.messages.len(), 3 * 20);
            }
            for exporter in &exporters {
                let from = exporter.local_addr().unwrap();
                let of = |kept: &Kept| -> Vec<u8> {
                    kept.messages.iter().filter(|m| m.from == from).map(|m| m.bytes[0]).collect()
                };
                let (one, other) = (of(&kept[0]), of(&kept[1]));
                assert!(one.is_empty() || other.is_empty());
                // In order, over the lobby as well as straight.
                assert_eq!([one, other].concat(), (0..20).collect::<Vec<u8>>());
            }
            let all = workers.iter_mut().map(Udp::counters).fold(Counters::default(), Counters::plus);
            assert_eq!((all.datagrams, all.received()), (120, 120));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn more_exporters_than_are_listed_are_spread_by_their_mark() {
        let options = Options { workers: 2, buffer: 4 << 20, ..Options::default() };
        let mut workers = Udp::open(&place(Some("127.0.0.1")), &options).unwrap();
        let port = workers[0].port();
        let exporters: Vec<_> = (0..100).map(|_| sender(port)).collect();
        let mut kept = [Kept::default(), Kept::default()];
        for round in 1..=3 {
            for exporter in &exporters {
                exporter.send(b"x").unwrap();
            }
            gather(&mut workers, &mut kept, round * exporters.len());
        }
        let seen = |kept: &Kept, from: SocketAddr| kept.messages.iter().filter(|m| m.from == from).count();
        for exporter in &exporters {
            let from = exporter.local_addr().unwrap();
            assert!(matches!((seen(&kept[0], from), seen(&kept[1], from)), (3, 0) | (0, 3)));
        }
        assert!(kept.iter().all(|kept| kept.messages.len() >= 3 * 32), "each has half of those that are listed");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn all_ports_of_an_address_are_one_exporter_when_asked() {
        let options = Options { workers: 3, by_address: true, ..Options::default() };
        let mut workers = Udp::open(&place(None), &options).unwrap();
        let port = workers[0].port();
        let exporters: Vec<_> = (0..5).map(|_| sender(port)).collect();
        let mut kept = [Kept::default(), Kept::default(), Kept::default()];
        for round in 1..=4 {
            for exporter in &exporters {
                exporter.send(b"x").unwrap();
            }
            gather(&mut workers, &mut kept, round * exporters.len());
        }
        let mut counts = kept.map(|kept| kept.messages.len());
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 20]);
    }
}
