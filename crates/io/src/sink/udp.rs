//! Datagrams to a collector: NetFlow v5 and v9, IPFIX over UDP (RFC 7011, section 10.3), one message a datagram.
//!
//! Consecutive messages of one length leave in a single call as one large buffer that the kernel, or the network card,
//! cuts into datagrams (UDP_SEGMENT, "GSO"); the others leave several to a call (sendmmsg). A kernel or device that
//! refuses UDP_SEGMENT is not asked again.
//!
//! UDP knows nothing of arrival: *delivered* is what the kernel took. "Connection refused" is the echo of an earlier
//! datagram that nobody listened to, told instead of sending the next one; so the next one is sent again, as often as
//! echoes may be under way, and the refusal becomes a notice. A full send buffer is waited for, [`Options::patient`] or not, within a bound. On loopback
//! it never fills: there a receiver that is too slow loses datagrams unseen, and [`Pace`] is the remedy.

use super::pace::{Pace, Pacer};
use super::resolve::local_for;
use super::{Counters, Error, Sink};
use core::time::Duration;
use flowsonde_engine::encode::Messages;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// How a [`Udp`] sink sends.
#[derive(Clone, Debug)]
pub struct Options {
    /// Addresses to send from (`-q`): the first of the receiver's family is bound. None: the system chooses.
    pub local: Vec<SocketAddr>,
    /// Wait up to one second a call for a full send buffer, as when reading captures, rather than 2 ms.
    pub patient: bool,
    /// Pauses (`-e`, `-B`).
    pub pace: Option<Pace>,
    /// Once true there are no more pauses.
    pub hurry: Option<Arc<AtomicBool>>,
    /// Let the kernel cut datagrams where it can.
    pub segment: bool,
    /// How messages call the option that named the receiver, and the one that named `local`.
    pub called: (&'static str, &'static str),
}

impl Default for Options {
    fn default() -> Self {
        Options { local: Vec::new(), patient: false, pace: None, hurry: None, segment: true, called: ("-n", "-q") }
    }
}

/// A collector reached by UDP.
pub struct Udp {
    socket: UdpSocket,
    remote: SocketAddr,
    patience: Duration,
    pacer: Pacer,
    /// Longest message the kernel may cut; 0 when it does not.
    segment_limit: usize,
    runs: Vec<Run>,
    counters: Counters,
    /// How messages call the option that named the receiver.
    called: &'static str,
    said: Vec<(&'static str, Instant)>,
    notices: Vec<String>,
}

/// Messages that leave together.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: usize,
    count: usize,
    start: usize,
    end: usize,
    /// Length of each message but the last.
    segment: usize,
    records: u64,
}

/// UDP_MAX_SEGMENTS of Linux before 6.9 (128 since).
const MOST_SEGMENTS: usize = 64;
/// An IP packet has at most 65,535 bytes, headers included.
const MOST_BYTES: usize = 65_000;
/// Refusals in a row that may be echoes: every datagram of one call has one.
const MOST_ECHOES: usize = MOST_SEGMENTS * kernel::RUNS;
const PATIENT: Duration = Duration::from_secs(1);
const IMPATIENT: Duration = Duration::from_millis(2);
/// The same trouble is told again after this long.
const SAY_AGAIN: Duration = Duration::from_secs(60);

impl Udp {
    /// A socket to the first of `remotes` that there is a route to.
    pub fn open(remotes: &[SocketAddr], options: Options) -> Result<Self, Error> {
        let mut error = Error(format!("{}: no address", options.called.0));
        for remote in remotes {
            match connected(*remote, &options) {
                Ok(socket) => return Ok(Self::with(socket, *remote, &options)),
                Err(next) => error = next,
            }
        }
        Err(error)
    }

    fn with(socket: UdpSocket, remote: SocketAddr, options: &Options) -> Self {
        Udp {
            segment_limit: if options.segment { kernel::segment_limit(&socket, remote) } else { 0 },
            socket,
            remote,
            patience: if options.patient { PATIENT } else { IMPATIENT },
            pacer: Pacer::new(options.pace).until(options.hurry.clone()),
            runs: Vec::new(),
            counters: Counters::default(),
            called: options.called.0,
            said: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Where datagrams come from.
    pub fn local(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Whether the kernel cuts datagrams.
    pub fn segments(&self) -> bool {
        self.segment_limit > 0
    }

    /// Divides the messages from number `first` into runs.
    fn plan(&mut self, messages: &Messages, first: usize) {
        self.runs.clear();
        let mut open: Option<Run> = None;
        let (mut allowance, period) = (self.pacer.allowance(), self.pacer.period());
        let mut start = 0;
        for (number, (message, records)) in messages.iter().enumerate() {
            let end = start + message.len();
            if number >= first {
                match &mut open {
                    Some(run) if joins(run, message.len(), self.segment_limit) && allowance > 0 => {
                        run.count += 1;
                        run.end = end;
                        run.records += u64::from(records);
                    }
                    _ => {
                        self.runs.extend(open.take());
                        let segment = message.len();
                        open = Some(Run { first: number, count: 1, start, end, segment, records: u64::from(records) });
                        if allowance == 0 {
                            allowance = period;
                        }
                    }
                }
                allowance -= 1;
            }
            start = end;
        }
        self.runs.extend(open);
    }

    /// Sends the runs planned. None when done; or the number of the message from which to plan anew.
    fn work(&mut self, messages: &Messages, deadline: &mut Option<Instant>) -> Option<usize> {
        let mut next = 0;
        let (mut again, mut echoes) = (true, 0);
        while let Some(run) = self.runs.get(next).copied() {
            let end = (next + self.before_pause(next)).min(self.runs.len());
            let batch = self.runs.get(next..end).unwrap_or(&[]);
            match kernel::send(&self.socket, messages.bytes(), batch) {
                Ok(sent) => {
                    let gone = batch.get(..sent).unwrap_or(&[]);
                    let mut packets = 0;
                    for run in gone {
                        packets += run.count;
                        self.counters.delivered += run.records;
                        self.counters.bytes += (run.end - run.start) as u64;
                    }
                    self.pacer.sent(packets);
                    next += sent;
                    (again, echoes) = (true, 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let until = *deadline.get_or_insert_with(|| Instant::now() + self.patience);
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() || !kernel::wait(&self.socket, left) {
                        next += self.lose(&run, "no_buffer", &error);
                    }
                }
                Err(error) if run.count > 1 && refuses_segments(&error) => {
                    let limit = kernel::segment_limit(&self.socket, self.remote);
                    self.segment_limit = if run.segment > limit { limit } else { 0 };
                    return Some(run.first);
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && echoes < MOST_ECHOES => {
                    echoes += 1;
                    self.say("refused", &error);
                }
                // Most errors are told once, for an earlier datagram, and are then gone.
                Err(error) if again && !is(&error, code::TOO_LONG) => {
                    again = false;
                    self.say(reason(&error), &error);
                }
                Err(error) => {
                    next += self.lose(&run, reason(&error), &error);
                    (again, echoes) = (true, 0);
                }
            }
        }
        None
    }

    /// How many runs from `next` on may leave in one call.
    fn before_pause(&self, next: usize) -> usize {
        let mut packets = 0;
        let allowed = |run: &&Run| {
            packets += run.count;
            packets <= self.pacer.allowance()
        };
        self.runs.iter().skip(next).take(kernel::RUNS).take_while(allowed).count().max(1)
    }

    /// Counts a run as lost; it is one run further then.
    fn lose(&mut self, run: &Run, reason: &'static str, error: &io::Error) -> usize {
        self.counters.lose(reason, run.records);
        self.say(reason, error);
        1
    }

    fn say(&mut self, reason: &'static str, error: &io::Error) {
        let now = Instant::now();
        match self.said.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, last)) if now.duration_since(*last) < SAY_AGAIN => return,
            Some((_, last)) => *last = now,
            None => self.said.push((reason, now)),
        }
        let hint = match reason {
            "refused" => "nobody listens there; check host and port",
            "too_long" => "messages are longer than the path allows",
            "no_buffer" => "the network is slower than the export; see -e and -B",
            "denied" => "a local firewall rule forbids it",
            _ => "check the route",
        };
        self.notices.push(format!("{} {}: {error}: {hint}", self.called, self.remote));
    }
}

impl Sink for Udp {
    fn send(&mut self, messages: &Messages) {
        self.counters.take(messages);
        let mut deadline = None;
        let mut first = Some(0);
        while let Some(number) = first {
            self.plan(messages, number);
            first = self.work(messages, &mut deadline);
        }
    }

    fn tick(&mut self) {}

    fn close(&mut self) {}

    fn counters(&self) -> Counters {
        self.counters.clone()
    }

    fn notices(&mut self) -> Vec<String> {
        core::mem::take(&mut self.notices)
    }
}

/// Whether a message of `length` bytes may be the next of `run`: all are of one length, but the last may be shorter.
fn joins(run: &Run, length: usize, segment_limit: usize) -> bool {
    let bytes = run.end - run.start;
    run.segment <= segment_limit
        && length > 0
        && length <= run.segment
        && bytes == run.segment * run.count
        && run.count < MOST_SEGMENTS
        && bytes + length <= MOST_BYTES
}

/// A non-blocking socket, bound and connected.
fn connected(remote: SocketAddr, options: &Options) -> Result<UdpSocket, Error> {
    let (locals, (receiver, sender)) = (options.local.as_slice(), options.called);
    let local = match (locals.first(), local_for(remote, locals)) {
        (None, _) if remote.is_ipv4() => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        (None, _) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
        (Some(_), Some(local)) => local,
        (Some(other), None) => {
            let family = if remote.is_ipv4() { "IPv4" } else { "IPv6" };
            return Err(Error(format!(
                "{sender} {}: cannot send to {receiver} {remote}; name an {family} address",
                other.ip()
            )));
        }
    };
    let socket = UdpSocket::bind(local)
        .map_err(|error| Error(format!("{sender} {local}: {error}; name an address of this host and a free port")))?;
    socket
        .connect(remote)
        .and_then(|()| socket.set_nonblocking(true))
        .map_err(|error| Error(format!("{receiver} {remote}: {error}; check the address and the routes to it")))?;
    kernel::enlarge_send_buffer(&socket);
    Ok(socket)
}

/// Error numbers that std has no stable name for.
mod code {
    pub(super) const TOO_LONG: i32 = libc::EMSGSIZE;
    pub(super) const NO_BUFFER: [i32; 2] = [libc::ENOBUFS, libc::ENOMEM];
    /// What UDP_SEGMENT is refused with: too long for the path (EINVAL, later EMSGSIZE), no checksum offload (EIO).
    pub(super) const NO_SEGMENTS: [i32; 5] =
        [libc::EINVAL, libc::EIO, libc::EOPNOTSUPP, libc::ENOPROTOOPT, libc::EMSGSIZE];
}

fn is(error: &io::Error, number: i32) -> bool {
    error.raw_os_error() == Some(number)
}

fn refuses_segments(error: &io::Error) -> bool {
    code::NO_SEGMENTS.iter().any(|number| is(error, *number))
}

/// The name a loss is counted under.
fn reason(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => "refused",
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => "unreachable",
        Kind::PermissionDenied => "denied",
        _ if is(error, code::TOO_LONG) => "too_long",
        _ if code::NO_BUFFER.iter().any(|number| is(error, *number)) => "no_buffer",
        _ => "error",
    }
}

/// The kernel as it is reached on Linux.
#[cfg(target_os = "linux")]
mod kernel {
    use super::Run;
    use crate::sink::socket::{self, BURSTS, Burst};
    use core::num::NonZeroU16;
    use core::time::Duration;
    use std::io;
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsFd;

    pub(super) const RUNS: usize = BURSTS;
    /// Room for some two thousand datagrams; the system's `net.core.wmem_max` may allow less.
    const SEND_BUFFER: usize = 4 << 20;

    /// Sends runs; tells how many left whole.
    pub(super) fn send(socket: &UdpSocket, bytes: &[u8], runs: &[Run]) -> io::Result<usize> {
        let mut bursts: [Burst<'_>; BURSTS] = [const { Burst { bytes: &[], segment: None } }; BURSTS];
        for (run, burst) in runs.iter().zip(&mut bursts) {
            burst.bytes = bytes.get(run.start..run.end).unwrap_or(&[]);
            burst.segment =
                if run.count > 1 { u16::try_from(run.segment).ok().and_then(NonZeroU16::new) } else { None };
        }
        socket::send_bursts(socket.as_fd(), bursts.get(..runs.len()).unwrap_or(&bursts))
    }

    pub(super) fn wait(socket: &UdpSocket, time: Duration) -> bool {
        socket::wait_writable(socket.as_fd(), time)
    }

    pub(super) fn enlarge_send_buffer(socket: &UdpSocket) {
        socket::enlarge_send_buffer(socket.as_fd(), SEND_BUFFER);
    }

    /// The longest message that needs no fragments, which UDP_SEGMENT does not make.
    pub(super) fn segment_limit(socket: &UdpSocket, remote: SocketAddr) -> usize {
        let headers = if remote.is_ipv4() { 20 + 8 } else { 40 + 8 };
        socket::path_mtu(socket.as_fd(), remote).map_or(0, |mtu| mtu.saturating_sub(headers).min(super::MOST_BYTES))
    }
}

/// The kernel as std reaches it: a datagram a call.
#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::Run;
    use core::time::Duration;
    use std::io;
    use std::net::{SocketAddr, UdpSocket};

    pub(super) const RUNS: usize = 1;

    pub(super) fn send(socket: &UdpSocket, bytes: &[u8], runs: &[Run]) -> io::Result<usize> {
        for run in runs {
            socket.send(bytes.get(run.start..run.end).unwrap_or(&[]))?;
        }
        Ok(runs.len())
    }

    pub(super) fn wait(_: &UdpSocket, time: Duration) -> bool {
        std::thread::sleep(time.min(Duration::from_millis(1)));
        true
    }

    pub(super) fn enlarge_send_buffer(_: &UdpSocket) {}

    pub(super) fn segment_limit(_: &UdpSocket, _: SocketAddr) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::loopback::own_address;

    fn listener() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind(own_address()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // All that a test sends has to wait there.
        #[cfg(target_os = "linux")]
        for option in [libc::SO_RCVBUF, libc::SO_RCVBUFFORCE] {
            use std::os::fd::AsFd;
            let _only_root_is_free_to =
                crate::sink::socket::set_option(socket.as_fd(), libc::SOL_SOCKET, option, 4 << 20);
        }
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    fn messages(lengths: &[usize]) -> Messages {
        let mut messages = Messages::default();
        for (number, length) in lengths.iter().enumerate() {
            let bytes = (0..*length).map(|at| (at * 7 + number) as u8);
            messages.buffer().extend(bytes);
            messages.finish(number as u32 % 5 + 1);
        }
        messages
    }

    fn arrives(options: Options, lengths: &[usize]) -> Udp {
        let (listener, address) = listener();
        let mut sink = Udp::open(&[address], options).unwrap();
        let messages = messages(lengths);
        sink.send(&messages);
        let mut buffer = vec![0; 65_536];
        for (number, (message, _)) in messages.iter().enumerate() {
            let length = listener.recv(&mut buffer).unwrap();
            assert!(buffer[..length] == *message, "datagram {number} of {length} bytes");
        }
        let counters = sink.counters();
        assert!(counters.balanced() && counters.lost.is_empty(), "{counters:?}");
        assert_eq!(counters.delivered, messages.records());
        assert_eq!(counters.bytes, messages.bytes().len() as u64);
        assert!(sink.notices().is_empty());
        sink
    }

    const MIXED: &[usize] = &[1400, 1400, 1400, 700, 1400, 1400, 20, 20, 20, 30, 30, 1, 1472, 9000, 9000, 100];

    #[test]
    fn order_and_bytes_are_kept() {
        for segment in [true, false] {
            let sink = arrives(Options { segment, ..Options::default() }, MIXED);
            assert_eq!(sink.segments(), segment && cfg!(target_os = "linux"));
            arrives(Options { segment, ..Options::default() }, &[1400; 90]);
            arrives(Options { segment, ..Options::default() }, &[40; 200]);
            arrives(Options { segment, ..Options::default() }, &[]);
        }
    }

    #[test]
    fn runs_are_of_one_length_and_bounded() {
        let (_listener, address) = listener();
        let mut sink = Udp::open(&[address], Options::default()).unwrap();
        if !sink.segments() {
            return;
        }
        let shape = |sink: &Udp| sink.runs.iter().map(|run| (run.count, run.segment)).collect::<Vec<_>>();
        sink.plan(&messages(MIXED), 0);
        assert_eq!(shape(&sink), [(4, 1400), (3, 1400), (2, 20), (3, 30), (1, 1472), (3, 9000)]);
        sink.plan(&messages(&[1400; 100]), 0);
        assert_eq!(shape(&sink), [(46, 1400), (46, 1400), (8, 1400)]);
        sink.plan(&messages(&[40; 100]), 30);
        assert_eq!(shape(&sink), [(64, 40), (6, 40)]);
        sink.segment_limit = 0;
        sink.plan(&messages(&[40; 3]), 0);
        assert_eq!(shape(&sink), [(1, 40), (1, 40), (1, 40)]);
    }

    /// A socket without checksums is one of the things UDP_SEGMENT is refused for.
    #[cfg(target_os = "linux")]
    #[test]
    fn refused_segments_are_not_asked_for_again() {
        use std::os::fd::AsFd;
        let (listener, address) = listener();
        let mut sink = Udp::open(&[address], Options::default()).unwrap();
        if !sink.segments() {
            return;
        }
        let socket = sink.socket.as_fd();
        crate::sink::socket::set_option(socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
        let messages = messages(&[200, 100, 100, 100, 50]);
        sink.send(&messages);
        assert!(!sink.segments());
        let mut buffer = [0; 1000];
        for (message, _) in messages.iter() {
            let length = listener.recv(&mut buffer).unwrap();
            assert!(buffer[..length] == *message);
        }
        let counters = sink.counters();
        assert!(counters.balanced() && counters.lost.is_empty() && sink.notices().is_empty(), "{counters:?}");
    }

    #[test]
    fn pace_divides_runs() {
        let pace = Some(Pace { delay: Duration::from_micros(10), packets: 3 });
        let sink = arrives(Options { pace, ..Options::default() }, &[100; 11]);
        assert!(sink.runs.iter().all(|run| run.count <= 3));
        assert_eq!(sink.pacer.allowance(), 1);
        arrives(Options { pace, segment: false, ..Options::default() }, MIXED);
    }

    #[test]
    fn nobody_listens_is_said_but_not_lost() {
        let (gone, address) = listener();
        drop(gone);
        let mut sink = Udp::open(&[address], Options::default()).unwrap();
        let mut said = Vec::new();
        // The echo may be late.
        let began = Instant::now();
        while said.is_empty() && began.elapsed() < Duration::from_secs(30) {
            for _ in 0..20 {
                sink.send(&messages(&[100, 100, 50, 200]));
            }
            said.extend(sink.notices());
        }
        sink.send(&messages(&[50; 500]));
        said.extend(sink.notices());
        let counters = sink.counters();
        assert!(counters.balanced() && counters.lost.is_empty(), "{counters:?}");
        assert!(said.len() == 1 && said[0].contains("nobody listens"), "{said:?}");
    }

    #[test]
    fn too_long_is_lost_alone() {
        let (listener, address) = listener();
        let mut sink = Udp::open(&[address], Options::default()).unwrap();
        sink.send(&messages(&[10, 66_000, 20]));
        let counters = sink.counters();
        assert_eq!(counters.lost, [("too_long", 2)]);
        assert!(counters.balanced() && counters.delivered == 4);
        let mut buffer = [0; 100];
        assert_eq!(listener.recv(&mut buffer).unwrap(), 10);
        assert_eq!(listener.recv(&mut buffer).unwrap(), 20);
    }

    #[test]
    fn bound_where_asked() {
        let (listener, address) = listener();
        let locals = vec!["[::1]:0".parse().unwrap(), "127.0.0.2:0".parse().unwrap()];
        let mut sink = Udp::open(&[address], Options { local: locals, ..Options::default() }).unwrap();
        sink.send(&messages(&[10]));
        let (_, from) = listener.recv_from(&mut [0; 10]).unwrap();
        assert_eq!(from.ip().to_string(), "127.0.0.2");
        assert_eq!(sink.local(), Some(from));

        let local = vec!["192.0.2.1:0".parse().unwrap()];
        let error = Udp::open(&[address], Options { local, ..Options::default() }).err().unwrap().to_string();
        assert!(error.starts_with("-q 192.0.2.1:0: ") && error.contains("an address of this host"), "{error}");
        let local = vec!["[::1]:0".parse().unwrap()];
        let error = Udp::open(&[address], Options { local, ..Options::default() }).err().unwrap().to_string();
        assert!(error.contains("name an IPv4 address"), "{error}");
    }
}
