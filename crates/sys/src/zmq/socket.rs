//! Contexts and sockets.
#![allow(unsafe_code, reason = "a C library")]

use super::ffi::{self, Message};
use super::{Error, Monitor, PublicKey, SecretKey};
use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};
use core::time::Duration;
use std::ffi::CString;
use std::sync::Arc;

/// The threads behind sockets. Clones are the same context.
#[derive(Clone)]
pub struct Context(Arc<Threads>);

struct Threads(NonNull<c_void>);

// SAFETY: libzmq's contexts may be used by any thread at any time.
unsafe impl Send for Threads {}
// SAFETY: as above.
unsafe impl Sync for Threads {}

impl Drop for Threads {
    fn drop(&mut self) {
        // Interrupted by a signal, it wants to be called again.
        for _ in 0..1000 {
            // SAFETY: made by zmq_ctx_new; every socket holds a clone, so all are closed.
            if unsafe { ffi::zmq_ctx_term(self.0.as_ptr()) } == 0 {
                return;
            }
        }
    }
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One other socket.
    Pair,
    /// Publishes to whoever has subscribed.
    Pub,
    /// Subscribes.
    Sub,
    /// Publishes, and receives what is subscribed to: a 1 and a prefix; or no longer is: a 0 and a prefix.
    XPub,
    /// Answers requests, one after the other.
    Rep,
    /// Of several peers: the first part of a message is who it is from or for.
    Router,
}

/// An option of a socket, and its value.
#[derive(Clone, Copy, Debug)]
pub enum Set<'a> {
    /// How long closing waits for what is queued. None: until it is sent.
    Linger(Option<Duration>),
    /// Messages queued for each connection at most; 0: no bound.
    SendHighWater(u32),
    /// Messages received ahead on each connection at most; 0: no bound.
    ReceiveHighWater(u32),
    /// How long [`Socket::receive`] waits. None: for ever.
    ReceiveTimeout(Option<Duration>),
    /// Queue for connections only that are made, not for those that are yet to be.
    Immediate(bool),
    /// Use IPv6 where an address is one.
    Ipv6(bool),
    /// Makes the kernel ask silent peers whether they live, after so many seconds, then every so many, so many times.
    KeepAlive {
        /// Seconds of silence before the first question.
        idle: u16,
        /// Seconds from one to the next.
        interval: u16,
        /// Questions before the connection is given up.
        count: u16,
    },
    /// Makes the kernel give up a connection that acknowledges nothing for so long (TCP_USER_TIMEOUT).
    GiveUp(Duration),
    /// Bytes gathered into one write to a connection.
    SendBatch(u32),
    /// Bytes the kernel may hold for each connection (SO_SNDBUF).
    SendBuffer(u32),
    /// Longest part taken from a peer, in bytes.
    LongestReceived(u32),
    /// Of [`Kind::Sub`]: messages that begin with this.
    Subscribe(&'a [u8]),
    /// Of [`Kind::XPub`]: a full queue is an error for the sender, instead of a message dropped.
    NoDrop(bool),
    /// Of [`Kind::XPub`]: tell of every subscription and every end of one, not just of the first and the last.
    TellAll(bool),
    /// Of [`Kind::Router`]: a message for a peer that is gone, or whose queue is full, is an error instead of dropped.
    Mandatory(bool),
    /// Of [`Kind::Router`]: an empty message goes to every new peer, so that it learns who we are.
    Probe(bool),
    /// Where a gate is asked about whoever connects, by its domain.
    ZapDomain(&'a str),
    /// Asks a silent peer whether it lives, so often, and gives it up after so long.
    Heartbeat(Duration, Duration),
    /// From one attempt to connect to the next: the first time, doubled up to the second.
    Reconnect(Duration, Duration),
    /// A peer that takes longer to say who it is is let go.
    Handshake(Duration),
    /// Be the server of CURVE, which has a [`SecretKey`](Set::CurveSecretKey) that is known.
    CurveServer(bool),
    /// Own public key; of clients.
    CurvePublicKey(&'a PublicKey),
    /// Own secret key.
    CurveSecretKey(&'a SecretKey),
    /// The server's public key; makes a socket a client of CURVE.
    CurveServerKey(&'a PublicKey),
}

/// A socket. Dropped, it is closed.
pub struct Socket {
    raw: NonNull<c_void>,
    context: Context,
}

// SAFETY: libzmq's sockets may move from thread to thread with a full fence between, which is what sending something to
// another thread is. They are not `Sync`.
unsafe impl Send for Socket {}

impl Context {
    /// With one thread that does the work.
    pub fn new() -> Result<Context, Error> {
        // SAFETY: no memory is involved.
        let raw = unsafe { ffi::zmq_ctx_new() };
        NonNull::new(raw).map(|raw| Context(Arc::new(Threads(raw)))).ok_or_else(ffi::last_error)
    }

    /// A socket that is bound to and connected with nothing.
    pub fn socket(&self, kind: Kind) -> Result<Socket, Error> {
        let number = match kind {
            Kind::Pair => 0,
            Kind::Pub => 1,
            Kind::Sub => 2,
            Kind::XPub => 9,
            Kind::Rep => 4,
            Kind::Router => 6,
        };
        // SAFETY: the context lives.
        let raw = unsafe { ffi::zmq_socket(self.0.0.as_ptr(), number) };
        let raw = NonNull::new(raw).ok_or_else(ffi::last_error)?;
        Ok(Socket { raw, context: self.clone() })
    }
}

impl Socket {
    pub(super) fn raw(&self) -> *mut c_void {
        self.raw.as_ptr()
    }

    /// Sets an option; most want it before [`Socket::bind`] and [`Socket::connect`].
    pub fn set(&self, option: Set<'_>) -> Result<(), Error> {
        match option {
            Set::Linger(time) => self.set_number(17, millis(time)),
            Set::SendHighWater(messages) => self.set_number(23, number(messages)),
            Set::ReceiveHighWater(messages) => self.set_number(24, number(messages)),
            Set::ReceiveTimeout(time) => self.set_number(27, millis(time)),
            Set::Immediate(on) => self.set_number(39, c_int::from(on)),
            Set::Ipv6(on) => self.set_number(42, c_int::from(on)),
            Set::KeepAlive { idle, interval, count } => {
                self.set_number(34, 1)?;
                self.set_number(35, c_int::from(count))?;
                self.set_number(36, c_int::from(idle))?;
                self.set_number(37, c_int::from(interval))
            }
            Set::GiveUp(time) => self.set_number(80, millis(Some(time))),
            Set::SendBatch(bytes) => self.set_number(102, number(bytes)),
            Set::SendBuffer(bytes) => self.set_number(11, number(bytes)),
            Set::LongestReceived(bytes) => self.set_bytes(22, &i64::from(bytes).to_ne_bytes()),
            Set::Subscribe(prefix) => self.set_bytes(6, prefix),
            Set::NoDrop(on) => self.set_number(69, c_int::from(on)),
            Set::TellAll(on) => self.set_number(78, c_int::from(on)),
            Set::Mandatory(on) => self.set_number(33, c_int::from(on)),
            Set::Probe(on) => self.set_number(51, c_int::from(on)),
            Set::ZapDomain(domain) => self.set_bytes(55, domain.as_bytes()),
            Set::Heartbeat(every, limit) => {
                self.set_number(75, millis(Some(every)))?;
                self.set_number(77, millis(Some(limit)))
            }
            Set::Reconnect(first, most) => {
                self.set_number(18, millis(Some(first)))?;
                self.set_number(21, millis(Some(most)))
            }
            Set::Handshake(limit) => self.set_number(66, millis(Some(limit))),
            Set::CurveServer(on) => self.set_number(47, c_int::from(on)),
            Set::CurvePublicKey(key) => self.set_bytes(48, key.bytes()),
            Set::CurveSecretKey(key) => self.set_bytes(49, key.bytes()),
            Set::CurveServerKey(key) => self.set_bytes(50, key.bytes()),
        }
    }

    fn set_number(&self, name: c_int, value: c_int) -> Result<(), Error> {
        self.set_bytes(name, &value.to_ne_bytes())
    }

    fn set_bytes(&self, name: c_int, value: &[u8]) -> Result<(), Error> {
        // SAFETY: an open socket; the value is as long as said, and copied.
        let result = unsafe { ffi::zmq_setsockopt(self.raw(), name, value.as_ptr().cast(), value.len()) };
        ffi::check(result).map(drop)
    }

    /// Waits for peers at `endpoint`, such as `tcp://127.0.0.1:5556` or `tcp://*:*`.
    pub fn bind(&self, endpoint: &str) -> Result<(), Error> {
        let endpoint = c_text(endpoint);
        // SAFETY: an open socket and a text that ends in zero.
        ffi::check(unsafe { ffi::zmq_bind(self.raw(), endpoint.as_ptr()) }).map(drop)
    }

    /// Goes to the peer at `endpoint`, and again whenever it is lost; not once a handshake failed. Not waited for.
    pub fn connect(&self, endpoint: &str) -> Result<(), Error> {
        let endpoint = c_text(endpoint);
        // SAFETY: an open socket and a text that ends in zero.
        ffi::check(unsafe { ffi::zmq_connect(self.raw(), endpoint.as_ptr()) }).map(drop)
    }

    /// Ends what [`Socket::connect`] of the same `endpoint` began.
    pub fn disconnect(&self, endpoint: &str) -> Result<(), Error> {
        let endpoint = c_text(endpoint);
        // SAFETY: an open socket and a text that ends in zero.
        ffi::check(unsafe { ffi::zmq_disconnect(self.raw(), endpoint.as_ptr()) }).map(drop)
    }

    /// What was bound last, its port known.
    pub fn endpoint(&self) -> Result<String, Error> {
        let mut text = [0_u8; 256];
        let mut length = text.len();
        // SAFETY: an open socket, and room as long as said.
        ffi::check(unsafe { ffi::zmq_getsockopt(self.raw(), 32, text.as_mut_ptr().cast(), &mut length) })?;
        let text = text.split(|byte| *byte == 0).next().unwrap_or(&[]);
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// Lets the socket hear what its connections have to say, such as that there is room in a queue again. Calls that
    /// send do so once in about a millisecond.
    pub fn catch_up(&self) -> Result<(), Error> {
        let mut events: c_int = 0;
        let mut length = size_of::<c_int>();
        // SAFETY: an open socket, and room for an int as said.
        ffi::check(unsafe { ffi::zmq_getsockopt(self.raw(), 15, ptr::from_mut(&mut events).cast(), &mut length) })
            .map(drop)
    }

    /// Sends a part of a message without waiting; its bytes are copied.
    pub fn send(&self, bytes: &[u8], more: bool) -> Result<(), Error> {
        let flags = ffi::DONTWAIT | if more { ffi::SNDMORE } else { 0 };
        // SAFETY: an open socket; the bytes are as many as said, and copied.
        ffi::check(unsafe { ffi::zmq_send(self.raw(), bytes.as_ptr().cast(), bytes.len(), flags) }).map(drop)
    }

    /// Receives a part of a message into `bytes`, waiting up to [`Set::ReceiveTimeout`]. Tells whether there are more.
    pub fn receive(&self, bytes: &mut Vec<u8>) -> Result<bool, Error> {
        self.receive_with(bytes, 0, None)
    }

    /// The same without waiting.
    pub fn receive_now(&self, bytes: &mut Vec<u8>) -> Result<bool, Error> {
        self.receive_with(bytes, ffi::DONTWAIT, None)
    }

    /// Of a [`Kind::Router`]: receives who sent the next message, the message itself, and who the gate took its sender for in
    /// `user`, empty where there is no gate. `None` when there is none; false when it has no part besides, or several.
    pub fn receive_routed(
        &self,
        wait: bool,
        identity: &mut Vec<u8>,
        message: &mut Vec<u8>,
        user: &mut String,
    ) -> Option<bool> {
        let mut more = self.receive_with(identity, if wait { 0 } else { ffi::DONTWAIT }, None).ok()?;
        message.clear();
        user.clear();
        let (mut parts, mut beyond) = (0, Vec::new());
        // All parts of a message are there when the first is.
        while more {
            let part = if parts == 0 { &mut *message } else { &mut beyond };
            let Ok(others) = self.receive_with(part, ffi::DONTWAIT, Some(user)) else { break };
            (more, parts) = (others, parts + 1);
        }
        Some(parts == 1)
    }

    fn receive_with(&self, bytes: &mut Vec<u8>, flags: c_int, user: Option<&mut String>) -> Result<bool, Error> {
        bytes.clear();
        let mut message = Message::blank();
        // SAFETY: memory for a message; then an initialised message and an open socket; then as many bytes as the
        // message has, which are copied before it is closed.
        unsafe {
            ffi::check(ffi::zmq_msg_init(&mut message))?;
            let received = ffi::check(ffi::zmq_msg_recv(&mut message, self.raw(), flags));
            if received.is_ok() {
                let (data, length) = (ffi::zmq_msg_data(&mut message).cast::<u8>(), ffi::zmq_msg_size(&message));
                if !data.is_null() && length > 0 {
                    bytes.extend_from_slice(core::slice::from_raw_parts(data, length));
                }
            }
            if let Some(user) = user {
                user.clear();
                let text = ffi::zmq_msg_gets(&message, c"User-Id".as_ptr());
                if received.is_ok() && !text.is_null() {
                    user.push_str(&core::ffi::CStr::from_ptr(text).to_string_lossy());
                }
            }
            let more = ffi::zmq_msg_more(&message) == 1;
            ffi::zmq_msg_close(&mut message);
            received.map(|_| more)
        }
    }

    /// Begins to tell what happens to the socket's connections.
    pub fn monitor(&self) -> Result<Monitor, Error> {
        Monitor::start(&self.context, self)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: open until now.
        unsafe { ffi::zmq_close(self.raw()) };
    }
}

/// An endpoint with a zero in it is none; the empty one is refused as such.
fn c_text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

fn number(value: u32) -> c_int {
    c_int::try_from(value).unwrap_or(c_int::MAX)
}

/// libzmq's times: milliseconds, -1 for ever.
fn millis(time: Option<Duration>) -> c_int {
    time.map_or(-1, |time| c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX))
}
