//! Connections that are made again.
//!
//! libzmq tries again where nobody listens and where a connection ends. It does not once what answers speaks no ZeroMQ, has
//! no keys or refuses ours: a relay that is told the right key later would never be reached. And where the other end breaks
//! off each handshake it tries ten times a second, for ever. So that is done here.

use std::time::{Duration, Instant};

use flowsonde_sys::zmq::{Event, Socket};

/// A connection that a socket makes, by what its monitor tells.
pub struct Dial {
    endpoint: String,
    /// It is made, and nothing ended it.
    up: bool,
    failed: bool,
    wait: Duration,
    /// When it is tried again; until then it is given up.
    again: Option<Instant>,
    heard: Instant,
}

/// From a handshake that failed to the next attempt: doubled each time, up to the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// Where libzmq tries, it tells so more often than that.
const SILENCE: Duration = Duration::from_secs(10);

impl Dial {
    /// Of a socket that goes to `endpoint`.
    pub fn new(endpoint: &str) -> Dial {
        Dial {
            endpoint: endpoint.to_owned(),
            up: false,
            failed: false,
            wait: FIRST,
            again: None,
            heard: Instant::now(),
        }
    }

    /// What happened to the socket's connection.
    pub fn hear(&mut self, event: Event) {
        self.heard = Instant::now();
        match event {
            Event::Connected => self.up = true,
            Event::HandshakeSucceeded => self.wait = FIRST,
            Event::Disconnected | Event::Retried => self.up = false,
            Event::HandshakeBroken(_) | Event::HandshakeRefused(_) | Event::HandshakeDenied(_) => {
                (self.up, self.failed) = (false, true);
            }
            Event::Accepted | Event::AcceptFailed(_) | Event::Other(_) => {}
        }
    }

    /// Tries again, if it is time to. To be called once what happened was heard.
    pub fn turn(&mut self, socket: &Socket) {
        let failed = core::mem::take(&mut self.failed);
        if self.up {
            return;
        }
        let now = Instant::now();
        match self.again {
            Some(again) if now >= again => self.connect(socket, now),
            Some(_) => {}
            None if failed => {
                let _gone = socket.disconnect(&self.endpoint);
                self.again = Some(now + self.wait);
                self.wait = (2 * self.wait).min(LONGEST);
            }
            None if now.duration_since(self.heard) > SILENCE => {
                let _gone = socket.disconnect(&self.endpoint);
                self.connect(socket, now);
            }
            None => {}
        }
    }

    fn connect(&mut self, socket: &Socket, now: Instant) {
        (self.again, self.heard) = (None, now);
        // What cannot be connected with now is tried again.
        let _later = socket.connect(&self.endpoint);
    }
}
