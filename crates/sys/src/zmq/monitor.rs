//! What happens to a socket's connections, as `zmq_socket_monitor` tells it: through a pair of sockets within the process.
#![allow(unsafe_code, reason = "a C library")]

use super::{Context, Error, Kind, Set, Socket, ffi};
use core::ffi::c_int;
use core::sync::atomic::{AtomicU64, Ordering};
use std::ffi::CString;

/// The receiving end: an iterator over events, which ends when there is none yet.
pub struct Monitor {
    socket: Socket,
    part: Vec<u8>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection to a peer was made, by us; nothing was said yet.
    Connected,
    /// A connection could not be made, or ended, and is tried again.
    Retried,
    /// A connection from a peer was accepted; nothing was said yet.
    Accepted,
    /// The peer is one we understand, and with CURVE one that has the right key.
    HandshakeSucceeded,
    /// The connection ended during the handshake, errno as a reason.
    HandshakeBroken(u32),
    /// The peer says what the protocol does not allow here, or cannot be decrypted: a `ZMQ_PROTOCOL_ERROR_*`.
    HandshakeRefused(u32),
    /// Authentication failed, with a status of ZAP (<https://rfc.zeromq.org/spec/27/>).
    HandshakeDenied(u32),
    /// A connection ended.
    Disconnected,
    /// Accepting a connection failed with an errno.
    AcceptFailed(u32),
    /// Something else, by its `ZMQ_EVENT_*`.
    Other(u16),
}

const ALL: c_int = 0xffff;

/// Monitors so far; each has an address of its own.
static MONITORS: AtomicU64 = AtomicU64::new(0);

impl Monitor {
    pub(super) fn start(context: &Context, watched: &Socket) -> Result<Monitor, Error> {
        let number = MONITORS.fetch_add(1, Ordering::Relaxed);
        let address = format!("inproc://flowsonde-monitor-{number}");
        let text = CString::new(address.as_str()).unwrap_or_default();
        // SAFETY: an open socket and a text that ends in zero.
        ffi::check(unsafe { ffi::zmq_socket_monitor(watched.raw(), text.as_ptr(), ALL) })?;
        let socket = context.socket(Kind::Pair)?;
        // Without a bound: libzmq's thread would wait for room, and everything with it.
        socket.set(Set::ReceiveHighWater(0))?;
        socket.set(Set::Linger(Some(core::time::Duration::ZERO)))?;
        socket.connect(&address)?;
        Ok(Monitor { socket, part: Vec::new() })
    }
}

impl Iterator for Monitor {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        // Two parts: number (16 bits) and value (32 bits) in the host's order; the address.
        let more = self.socket.receive_now(&mut self.part).ok()?;
        let event = self.part.first_chunk::<2>().copied().map_or(0, u16::from_ne_bytes);
        let value = self.part.get(2..).and_then(|rest| rest.first_chunk::<4>()).copied().map_or(0, u32::from_ne_bytes);
        let mut rest = more;
        while rest {
            rest = self.socket.receive_now(&mut self.part).unwrap_or(false);
        }
        Some(match event {
            0x0001 => Event::Connected,
            0x0004 => Event::Retried,
            0x0020 => Event::Accepted,
            0x0040 => Event::AcceptFailed(value),
            0x0200 => Event::Disconnected,
            0x0800 => Event::HandshakeBroken(value),
            0x1000 => Event::HandshakeSucceeded,
            0x2000 => Event::HandshakeRefused(value),
            0x4000 => Event::HandshakeDenied(value),
            other => Event::Other(other),
        })
    }
}
