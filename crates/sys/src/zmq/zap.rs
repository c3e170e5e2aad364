//! Who may connect: ZAP (<https://rfc.zeromq.org/spec/27/>), which libzmq asks within the process about every CURVE client.
//!
//! ```text
//! request   "1.0" | id | domain | address | routing id | "CURVE" | client's public key, 32 bytes
//! reply     "1.0" | id | "200" or "400" | text | user id | metadata                        one part each
//! ```
//!
//! Without one that answers, libzmq lets every client in.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Context, Error, Kind, PublicKey, Set, Socket};

/// Answers for a context, on a thread of its own, for as long as it lives.
pub struct Gate {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    allowed: Mutex<Vec<PublicKey>>,
    refused: AtomicU64,
    /// The last that was turned away.
    last: Mutex<Option<(String, PublicKey)>>,
    stop: AtomicBool,
}

/// How long it may take to stop.
const PATIENCE: Duration = Duration::from_millis(100);

impl Gate {
    /// Lets in who has one of these keys; who that is messages tell as the user: the key in Z85.
    pub fn open(context: &Context, allowed: Vec<PublicKey>) -> Result<Gate, Error> {
        let socket = context.socket(Kind::Rep)?;
        socket.set(Set::ReceiveTimeout(Some(PATIENCE)))?;
        socket.set(Set::Linger(Some(Duration::ZERO)))?;
        socket.bind("inproc://zeromq.zap.01")?;
        let shared = Arc::new(Shared {
            allowed: Mutex::new(allowed),
            refused: AtomicU64::new(0),
            last: Mutex::new(None),
            stop: AtomicBool::new(false),
        });
        let thread = thread::Builder::new().name("gate".into()).spawn({
            let shared = Arc::clone(&shared);
            move || answer(&socket, &shared)
        });
        Ok(Gate { shared, thread: thread.ok() })
    }

    /// Others may come in from now on; who is in stays.
    pub fn allow(&self, allowed: Vec<PublicKey>) {
        *self.shared.allowed.lock().unwrap_or_else(PoisonError::into_inner) = allowed;
    }

    /// How many were turned away, and the address and key of the last.
    pub fn refused(&self) -> (u64, Option<(String, PublicKey)>) {
        let last = self.shared.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.shared.refused.load(Ordering::Relaxed), last)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn answer(socket: &Socket, shared: &Shared) {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        parts.clear();
        let mut part = Vec::new();
        while let Ok(more) = socket.receive(&mut part) {
            parts.push(core::mem::take(&mut part));
            if !more {
                break;
            }
        }
        let [version, id, _domain, address, _routing, mechanism, credentials, ..] = &parts[..] else { continue };
        let key = <[u8; 32]>::try_from(&credentials[..]).ok().map(PublicKey::from_bytes);
        let known = key.filter(|key| mechanism == b"CURVE" && shared.knows(key));
        if known.is_none() {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            let who = key.map(|key| (String::from_utf8_lossy(address).into_owned(), key));
            *shared.last.lock().unwrap_or_else(PoisonError::into_inner) = who;
        }
        let user = known.map(|key| key.to_z85()).unwrap_or_default();
        let (code, text): (&[u8], &[u8]) = if known.is_some() { (b"200", b"OK") } else { (b"400", b"not authorised") };
        let reply = [version, id, code, text, user.as_bytes()];
        let sent = reply.iter().try_for_each(|part| socket.send(part, true)).and_then(|()| socket.send(b"", false));
        // Who asked is gone, then: libzmq's own end of it.
        let _gone = sent;
    }
}

impl Shared {
    fn knows(&self, key: &PublicKey) -> bool {
        self.allowed.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }
}
