//! IPFIX over SCTP (RFC 7011, section 10.2), by the kernel's own SCTP: one socket for all associations (RFC 6458,
//! section 3, "one-to-many"), and one message of SCTP is one of IPFIX.
//!
//! An exporter with several addresses is known by the one its association began with. Left out: DTLS over SCTP (RFC
//! 6083), which kernels do not have, and partial reliability, which is the exporter's business.

use core::time::Duration;
use std::collections::HashMap;
use std::net::SocketAddr;

use flowsonde_wire::Cursor;
use flowsonde_wire::export::{Datagram, Transport};

use super::arrival::now;
use super::framing::LONGEST;
use super::{Counters, Error, Exports, Place, Poll, Take};

/// How long the first message is waited for.
const PATIENCE: Duration = Duration::from_millis(100);
/// Messages taken in one poll.
const TURN: usize = 256;

/// All associations of a port.
pub struct Sctp {
    socket: kernel::Socket,
    place: Place,
    associations: Associations,
    counters: Counters,
    buffer: Vec<u8>,
}

impl Sctp {
    /// Begins to receive; an error where the kernel has no SCTP. What comes of more than `associations` at once is lost.
    pub fn open(place: &Place, associations: usize) -> Result<Sctp, Error> {
        let socket = kernel::Socket::open(place)?;
        let associations = Associations { to: socket.port(), limit: associations, known: HashMap::new() };
        let (counters, buffer) = (Counters::default(), vec![0; LONGEST + 1]);
        Ok(Sctp { socket, place: *place, associations, counters, buffer })
    }

    /// The port it receives at.
    pub fn port(&self) -> u16 {
        self.associations.to
    }
}

impl Exports for Sctp {
    fn poll(&mut self, take: &mut dyn Take) -> Result<Poll, Error> {
        let failed = |error: std::io::Error| Error(format!("-3 {}: {error}; receiving has ended", self.place));
        if !self.socket.wait(PATIENCE).map_err(failed)? {
            return Ok(Poll::Idle);
        }
        let before = self.counters.datagrams;
        for _ in 0..TURN {
            match self.socket.receive(&mut self.buffer) {
                Ok(part) => {
                    let bytes = self.buffer.get(..part.length).unwrap_or(&self.buffer);
                    self.associations.take(&part, bytes, take, &mut self.counters);
                }
                Err(error) if super::udp::passing(&error) => break,
                Err(error) => return Err(failed(error)),
            }
        }
        match (self.counters.datagrams - before) as usize {
            0 => Ok(Poll::Idle),
            count => Ok(Poll::Frames(count)),
        }
    }

    fn counters(&mut self) -> Counters {
        Counters { open: self.associations.known.len() as u64, ..self.counters }
    }

    fn notices(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// What one receiving call brought: a message, a part of one, or what the kernel has to tell.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    length: usize,
    from: Option<SocketAddr>,
    /// The kernel tells something.
    notification: bool,
    /// The last part of a message.
    end: bool,
    association: Option<u32>,
}

/// Who is connected.
#[derive(Debug)]
struct Associations {
    to: u16,
    limit: usize,
    known: HashMap<u32, Association>,
}

#[derive(Debug)]
struct Association {
    from: SocketAddr,
    /// Parts of a message that has not ended.
    partial: Vec<u8>,
    /// They were too many.
    too_long: bool,
}

const ASSOCIATION_CHANGE: u16 = 0x8001;
const PARTIAL_DELIVERY: u16 = 0x8006;
const COMMUNICATION_UP: u16 = 0;
const COMMUNICATION_LOST: u16 = 1;
const RESTART: u16 = 2;
const SHUTDOWN_COMPLETE: u16 = 3;

impl Associations {
    fn take(&mut self, part: &Part, bytes: &[u8], take: &mut dyn Take, counters: &mut Counters) {
        if part.notification {
            self.told(part, bytes, take, counters);
        } else if let Some(association) = part.association.and_then(|id| self.known.get_mut(&id)) {
            if association.partial.len() + bytes.len() > LONGEST {
                association.too_long = true;
                association.partial.clear();
            } else if !association.too_long && (!part.end || !association.partial.is_empty()) {
                association.partial.extend_from_slice(bytes);
            }
            if part.end {
                if core::mem::take(&mut association.too_long) {
                    counters.truncated += 1;
                } else if association.partial.is_empty() {
                    hand_on(association.from, self.to, bytes, take, counters);
                } else {
                    let whole = core::mem::take(&mut association.partial);
                    hand_on(association.from, self.to, &whole, take, counters);
                }
            }
        } else {
            counters.beyond += u64::from(part.end);
        }
    }

    /// ```text
    /// association change   0 type = 8001h | 2 flags | 4 length:4 | 8 state | 10 error | 12 streams, 2 × 2 | 16 id:4
    /// partial delivery     0 type = 8006h | 2 flags | 4 length:4 | 8 indication:4 | 12 id:4          (host order)
    /// ```
    fn told(&mut self, part: &Part, bytes: &[u8], take: &mut dyn Take, counters: &mut Counters) {
        let half = |at: usize| bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes));
        let word = |at: usize| bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        match (half(0), half(8)) {
            (Some(ASSOCIATION_CHANGE), Some(state)) => {
                let Some(id) = word(16) else { return };
                if matches!(state, COMMUNICATION_LOST | SHUTDOWN_COMPLETE | RESTART) {
                    self.end(id, take, counters);
                }
                if matches!(state, COMMUNICATION_UP | RESTART)
                    && let Some(from) = part.from
                {
                    if self.known.len() < self.limit {
                        counters.sessions += 1;
                        self.known.insert(id, Association { from, partial: Vec::new(), too_long: false });
                    } else {
                        counters.refused += 1;
                    }
                }
            }
            // The rest of the message that has begun will not come.
            (Some(PARTIAL_DELIVERY), _) => {
                if let Some(association) = word(12).and_then(|id| self.known.get_mut(&id)) {
                    association.partial.clear();
                    association.too_long = false;
                    counters.unfinished += 1;
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, id: u32, take: &mut dyn Take, counters: &mut Counters) {
        if let Some(association) = self.known.remove(&id) {
            if !association.partial.is_empty() || association.too_long {
                counters.unfinished += 1;
            }
            take.closed(Transport::Sctp, association.from, self.to);
        }
    }
}

fn hand_on(from: SocketAddr, to: u16, bytes: &[u8], take: &mut dyn Take, counters: &mut Counters) {
    counters.datagrams += 1;
    counters.bytes += bytes.len() as u64;
    take.datagrams(&[Datagram { time: now(), transport: Transport::Sctp, from, to, local: None, bytes }]);
}

/// Of `struct sctp_rcvinfo`, the association:
///
/// ```text
/// 0 stream | 2 sequence | 4 flags | 6 - | 8 protocol:4 | 12 TSN:4 | 16 TSN:4 | 20 context:4 | 24 id:4  (host order)
/// ```
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has SCTP"))]
fn association(info: &[u8]) -> Option<u32> {
    let mut c = Cursor::new(info);
    c.skip(24, "SCTP receive information").ok()?;
    c.array("SCTP association").ok().map(u32::from_ne_bytes)
}

#[cfg(target_os = "linux")]
mod kernel {
    use core::time::Duration;
    use std::io;
    use std::net::SocketAddr;
    use std::os::fd::{AsFd, OwnedFd};

    use super::super::{Error, Place, socket};
    use super::{Part, association};
    use crate::sink::socket::set_option;
    use crate::source::kernel::readable;

    const SCTP_EVENTS: libc::c_int = 11;
    const SCTP_RECVRCVINFO: libc::c_int = 32;
    const SCTP_RCVINFO: libc::c_int = 3;
    const MSG_NOTIFICATION: libc::c_int = 0x8000;

    pub(super) struct Socket {
        socket: OwnedFd,
        port: u16,
    }

    impl Socket {
        pub(super) fn open(place: &Place) -> Result<Self, Error> {
            let has = |address: SocketAddr| socket::unbound(libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP, address);
            let missing = |error: &io::Error| {
                matches!(error.raw_os_error(), Some(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT | libc::EPROTOTYPE))
            };
            if place.addresses().all(|address| has(address).is_err_and(|error| missing(&error))) {
                return Err(Error(format!(
                    "-3 {place}: this kernel has no SCTP; load it (modprobe sctp), or let exporters send to tcp://"
                )));
            }
            let socket = place.bind(|address| {
                let socket = socket::bound(libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP, address, |socket| {
                    // Associations begun and ended, and messages that were broken off.
                    let events: [u8; 7] = [0, 1, 0, 0, 0, 0, 1];
                    socket::set(socket, libc::IPPROTO_SCTP, SCTP_EVENTS, &events)?;
                    set_option(socket, libc::IPPROTO_SCTP, SCTP_RECVRCVINFO, 1)
                })?;
                socket::listen(socket.as_fd(), 1_024)?;
                Ok(socket)
            })?;
            let port = socket::port(socket.as_fd()).map_err(|error| place.refused(&error))?;
            Ok(Socket { socket, port })
        }

        pub(super) fn port(&self) -> u16 {
            self.port
        }

        pub(super) fn wait(&self, time: Duration) -> io::Result<bool> {
            readable(self.socket.as_fd(), time)
        }

        pub(super) fn receive(&mut self, into: &mut [u8]) -> io::Result<Part> {
            let part = socket::receive(self.socket.as_fd(), into, (libc::IPPROTO_SCTP, SCTP_RCVINFO))?;
            Ok(Part {
                length: part.length,
                from: part.from,
                notification: part.flags & MSG_NOTIFICATION != 0,
                end: part.flags & libc::MSG_EOR != 0,
                association: part.control.and_then(|info| association(&info)),
            })
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use core::time::Duration;
    use std::io;

    use super::super::{Error, Place};
    use super::Part;

    /// There is none.
    pub(super) enum Socket {}

    impl Socket {
        pub(super) fn open(place: &Place) -> Result<Self, Error> {
            Err(Error(format!("-3 {place}: SCTP is for Linux only; let exporters send to tcp://")))
        }

        pub(super) fn port(&self) -> u16 {
            match *self {}
        }

        pub(super) fn wait(&self, _: Duration) -> io::Result<bool> {
            match *self {}
        }

        pub(super) fn receive(&mut self, _: &mut [u8]) -> io::Result<Part> {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kept::Kept;
    use super::*;

    const TO: u16 = 4739;

    fn associations() -> Associations {
        Associations { to: TO, limit: 2, known: HashMap::new() }
    }

    fn from(host: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], 5000))
    }

    struct Run {
        associations: Associations,
        kept: Kept,
        counters: Counters,
    }

    impl Run {
        fn change(&mut self, state: u16, id: u32, host: u8) {
            let mut bytes = ASSOCIATION_CHANGE.to_ne_bytes().to_vec();
            bytes.extend([0; 6]);
            bytes.extend(state.to_ne_bytes());
            bytes.extend([0; 6]);
            bytes.extend(id.to_ne_bytes());
            let part = Part { from: Some(from(host)), notification: true, end: true, ..Part::default() };
            self.associations.take(&part, &bytes, &mut self.kept, &mut self.counters);
        }

        fn data(&mut self, id: u32, host: u8, end: bool, bytes: &[u8]) {
            let part = Part { from: Some(from(host)), end, association: Some(id), ..Part::default() };
            self.associations.take(&part, bytes, &mut self.kept, &mut self.counters);
        }
    }

    fn run() -> Run {
        Run { associations: associations(), kept: Kept::default(), counters: Counters::default() }
    }

    #[test]
    fn messages_are_put_together_and_sessions_end() {
        let mut run = run();
        run.change(COMMUNICATION_UP, 1, 1);
        run.change(COMMUNICATION_UP, 2, 2);
        run.data(1, 1, false, b"on");
        // Another address of the same exporter.
        run.data(2, 9, true, b"two");
        run.data(1, 1, true, b"e");
        run.change(SHUTDOWN_COMPLETE, 2, 2);
        run.data(1, 1, false, b"half");
        run.change(COMMUNICATION_LOST, 1, 1);
        assert_eq!(run.kept.bytes(), [&b"two"[..], b"one"]);
        assert_eq!(run.kept.messages[0].from, from(2));
        assert_eq!(run.kept.closed, [(Transport::Sctp, from(2), TO), (Transport::Sctp, from(1), TO)]);
        assert_eq!((run.counters.sessions, run.counters.unfinished, run.counters.received()), (2, 1, 3));
    }

    #[test]
    fn what_is_too_long_or_beyond_the_limit_is_bounded() {
        let mut run = run();
        for id in 1..=3 {
            run.change(COMMUNICATION_UP, id, id as u8);
        }
        assert_eq!(run.associations.known.len(), 2);
        run.data(3, 3, false, b"ha");
        run.data(3, 3, true, b"lf");
        for _ in 0..3 {
            run.data(1, 1, false, &[0; 40_000]);
        }
        run.data(1, 1, true, &[0; 10]);
        run.data(1, 1, true, b"next");
        assert_eq!(run.kept.bytes(), [b"next"]);
        assert_eq!((run.counters.truncated, run.counters.beyond, run.counters.refused), (1, 1, 1));
        assert_eq!(run.counters.received(), 3);
    }

    #[test]
    fn a_notification_cut_anywhere_is_nothing() {
        let mut run = run();
        let whole = [&ASSOCIATION_CHANGE.to_ne_bytes()[..], &[0; 18]].concat();
        for cut in 0..whole.len() {
            let part = Part { notification: true, from: Some(from(1)), ..Part::default() };
            run.associations.take(&part, &whole[..cut], &mut run.kept, &mut run.counters);
        }
        assert!(run.associations.known.is_empty() && association(&[0; 27]).is_none());
        assert_eq!(association(&[7; 28]), Some(0x0707_0707));
    }

    #[test]
    fn a_kernel_without_it_is_told() {
        let place = Place { transport: Transport::Sctp, address: Some([127, 0, 0, 1].into()), port: 0 };
        match Sctp::open(&place, 10) {
            Err(error) => {
                let error = error.to_string();
                assert!(error.starts_with("-3 sctp://127.0.0.1:0: ") && error.contains("tcp://"), "{error}");
            }
            Ok(mut sctp) => {
                assert_ne!(sctp.port(), 0);
                assert_eq!(sctp.poll(&mut Kept::default()).unwrap(), Poll::Idle);
            }
        }
    }
}
