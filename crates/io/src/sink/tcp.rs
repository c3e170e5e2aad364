//! Messages over a TCP connection that is made again whenever it breaks: IPFIX over TCP (RFC 7011, section 10.4), or
//! JSON lines.
//!
//! Nothing here waits for the collector: the connection is made in the background, messages queue within a bound, and
//! `tick` and `send` write what the connection takes.
//!
//! A session has its own templates and sequence numbers, so messages belong to one:
//!
//! - What is sent before the first connection stands is kept: it begins with templates, being the first of an encoder.
//! - What the end of a session leaves in the queue is lost: `connection` for the message that was half written,
//!   `reconnect` for the others.
//! - Without a session messages are lost as `not_connected`; with a new one as `reconnect`, until [`Sink::renewed`] was
//!   asked and thereby the encoder told to begin anew.
//!
//! Delivered is what the kernel took; what it had not yet sent when the connection broke is not known here.

use super::dial::{self, Dial, Progress};
use super::queue::Queue;
use super::resolve::local_for;
use super::{Counters, Error, Sink};
use core::hash::{BuildHasher, Hasher};
use core::time::Duration;
use flowsonde_engine::encode::Messages;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

/// How a [`Tcp`] sink connects.
#[derive(Clone, Debug)]
pub struct Options {
    /// Addresses to connect from (`-q`): the first of the receiver's family is bound. None: the system chooses.
    pub local: Vec<SocketAddr>,
    /// Bytes that may wait.
    pub queue: usize,
    /// Wait for room in the queue, as when reading captures.
    pub patient: bool,
    /// How long one call waits for it.
    pub patience: Duration,
    /// The pause before a connection is tried again; it doubles from try to try, up to `longest_pause`.
    pub first_pause: Duration,
    /// The longest pause before a connection is tried again.
    pub longest_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            local: Vec::new(),
            queue: 4 << 20,
            patient: false,
            patience: Duration::from_secs(1),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// A collector reached by TCP.
pub struct Tcp {
    remotes: Vec<SocketAddr>,
    /// Which of `remotes` is tried next, or connected.
    turn: usize,
    options: Options,
    link: Link,
    session: Session,
    queue: Queue,
    pause: Duration,
    /// Whether the user knows that the collector cannot be reached.
    told: bool,
    /// Whether there was a connection at any time.
    reached: bool,
    counters: Counters,
    notices: Vec<String>,
}

enum Link {
    Down { retry: Instant },
    Dialling { dial: Dial, until: Instant },
    Up { stream: TcpStream, since: Instant },
    Closed,
}

/// Whose messages those are that are sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    /// The first session's, which is yet to come.
    Awaited,
    /// The first session's. Nothing was sent so far.
    Begun,
    /// The session's.
    Open,
    /// Nobody's: the session has ended.
    Ended,
    /// The last session's, though there is a new one: the encoder does not know yet.
    Due,
}

const DIAL_TIME: Duration = Duration::from_secs(5);
const CLOSE_TIME: Duration = Duration::from_secs(2);
/// A collector that acknowledges nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(60);

impl Tcp {
    /// Begins to connect to the first of `remotes`; the next one is tried when that fails, and so on.
    pub fn open(remotes: Vec<SocketAddr>, options: Options) -> Result<Self, Error> {
        let Some(first) = remotes.first() else { return Err(Error("-n: no address".into())) };
        if let Some(local) = options.local.first()
            && !remotes.iter().any(|remote| local_for(*remote, &options.local).is_some())
        {
            let family = if first.is_ipv4() { "IPv4" } else { "IPv6" };
            return Err(Error(format!("-q {}: cannot send to -n {first}; name an {family} address", local.ip())));
        }
        if !options.local.is_empty() && !cfg!(target_os = "linux") {
            return Err(Error("-q: over TCP it works on Linux only; leave it out".into()));
        }
        let mut tcp = Tcp {
            queue: Queue::new(options.queue),
            pause: options.first_pause,
            remotes,
            turn: 0,
            options,
            link: Link::Down { retry: Instant::now() },
            session: Session::Awaited,
            told: false,
            reached: false,
            counters: Counters::default(),
            notices: Vec::new(),
        };
        tcp.advance();
        Ok(tcp)
    }

    /// Goes on with what is going on: connecting, or writing.
    fn advance(&mut self) {
        match &mut self.link {
            Link::Down { retry } if Instant::now() >= *retry => self.dial(),
            Link::Dialling { dial, until } => match dial.progress() {
                Progress::Connected(stream) => self.connected(stream),
                Progress::Failed(error) => self.failed(&error),
                Progress::Pending if Instant::now() >= *until => self.failed(&io::ErrorKind::TimedOut.into()),
                Progress::Pending => {}
            },
            Link::Up { .. } => self.write(),
            Link::Down { .. } | Link::Closed => {}
        }
    }

    fn dial(&mut self) {
        let Some(remote) = self.remote() else { return };
        match Dial::start(remote, local_for(remote, &self.options.local), DIAL_TIME) {
            Ok(dial) => {
                self.link = Link::Dialling { dial, until: Instant::now() + DIAL_TIME };
            }
            Err(error) => self.failed(&error),
        }
    }

    fn remote(&self) -> Option<SocketAddr> {
        self.remotes.get(self.turn).copied()
    }

    fn connected(&mut self, stream: TcpStream) {
        // Messages are gathered here already, so gathering them once more in the kernel only delays the last.
        let _best_effort = stream.set_nodelay(true);
        dial::watch_peer(&stream, SILENCE);
        self.link = Link::Up { stream, since: Instant::now() };
        self.reached = true;
        self.session = match self.session {
            Session::Awaited if self.counters.messages == 0 => Session::Begun,
            Session::Awaited => Session::Open,
            _ => Session::Due,
        };
        if self.told {
            self.told = false;
            self.tell("connected");
        }
        self.write();
    }

    /// No connection came about.
    fn failed(&mut self, error: &io::Error) {
        if !self.told {
            self.told = true;
            self.tell(&format!("{error}; trying again, check that a collector listens there by TCP"));
        }
        self.turn = (self.turn + 1) % self.remotes.len().max(1);
        self.hang_up();
    }

    /// The connection broke.
    fn broken(&mut self, why: &str) {
        if !self.told {
            self.told = true;
            self.tell(&format!("{why}; connecting again"));
        }
        let dropped = self.queue.clear();
        self.counters.lose("connection", dropped.torn);
        self.counters.lose("reconnect", dropped.whole);
        self.session = Session::Ended;
        if let Link::Up { since, .. } = &self.link
            && since.elapsed() >= self.pause
        {
            self.pause = self.options.first_pause;
        }
        self.hang_up();
    }

    /// No link, until the pause is over.
    fn hang_up(&mut self) {
        self.link = Link::Down { retry: Instant::now() + jittered(self.pause) };
        self.pause = (self.pause * 2).min(self.options.longest_pause);
    }

    /// Writes what the connection takes.
    fn write(&mut self) {
        let Link::Up { stream, .. } = &mut self.link else { return };
        if let Err(why) = still_open(stream) {
            self.broken(&why);
            return;
        }
        let (written, result) = self.queue.drain(stream);
        self.counters.delivered += written.records;
        self.counters.bytes += written.bytes;
        match result {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => self.broken(&error.to_string()),
            _ => {}
        }
    }

    /// Waits a little for the connection, or for room in it.
    fn wait(&mut self, time: Duration) {
        match &self.link {
            Link::Up { stream, .. } => dial::wait(stream, time),
            _ => std::thread::sleep(time.min(Duration::from_millis(5))),
        }
        self.advance();
    }

    /// Queues a message, when it can be of use; tells otherwise why not.
    fn take(&mut self, message: &[u8], records: u32, deadline: &mut Option<Instant>) -> Result<(), &'static str> {
        loop {
            match self.session {
                Session::Ended => return Err("not_connected"),
                Session::Due => return Err("reconnect"),
                Session::Awaited | Session::Begun | Session::Open => {}
            }
            if self.queue.push(message, records) {
                return Ok(());
            }
            self.advance();
            if self.queue.push(message, records) {
                return Ok(());
            }
            let until = match *deadline {
                Some(until) => until,
                None if self.options.patient => *deadline.insert(Instant::now() + self.options.patience),
                None => return Err("queue_full"),
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || message.len() > self.options.queue {
                return Err("queue_full");
            }
            self.wait(left);
        }
    }

    fn tell(&mut self, what: &str) {
        if let Some(remote) = self.remote() {
            self.notices.push(format!("-n tcp://{remote}: {what}"));
        }
    }
}

impl Sink for Tcp {
    fn send(&mut self, messages: &Messages) {
        if let Link::Dialling { .. } = self.link {
            self.advance();
        }
        self.counters.take(messages);
        if self.session == Session::Begun && !messages.is_empty() {
            self.session = Session::Open;
        }
        let mut deadline = None;
        for (message, records) in messages.iter() {
            if let Err(reason) = self.take(message, records, &mut deadline) {
                self.counters.lose(reason, u64::from(records));
            }
        }
        self.write();
    }

    fn tick(&mut self) {
        self.advance();
    }

    fn close(&mut self) {
        let until = Instant::now() + CLOSE_TIME;
        while !self.queue.is_empty() {
            self.advance();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.queue.is_empty() {
                break;
            }
            self.wait(left.min(Duration::from_millis(50)));
        }
        if let Link::Up { stream, .. } = &self.link {
            let _it_is_over = stream.shutdown(Shutdown::Write);
        }
        self.link = Link::Closed;
        self.session = Session::Ended;
        let dropped = self.queue.clear();
        self.counters.lose("closed", dropped.torn + dropped.whole);
    }

    fn renewed(&mut self) -> bool {
        let new = matches!(self.session, Session::Begun | Session::Due);
        if new {
            self.session = Session::Open;
        }
        new
    }

    fn ready(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    fn failure(&self) -> Option<String> {
        let (lost, remote) = (self.counters.lost_records(), self.remote()?);
        (!self.reached && lost > 0).then(|| format!("{lost} records not sent: never connected (-n tcp://{remote})"))
    }

    fn counters(&self) -> Counters {
        Counters { queued: self.queue.records(), ..self.counters.clone() }
    }

    fn notices(&mut self) -> Vec<String> {
        core::mem::take(&mut self.notices)
    }
}

/// Reads, and forgets what the collector may say: only reading tells that it has closed.
fn still_open(stream: &mut TcpStream) -> Result<(), String> {
    let mut buffer = [0; 512];
    // A collector that talks without end does not keep the probe from writing.
    for _ in 0..8 {
        match stream.read(&mut buffer) {
            Ok(0) => return Err("the collector closed the connection".into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

/// Three to five quarters of `pause`, so that many probes do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let random = std::hash::RandomState::new().build_hasher().finish();
    pause * 3 / 4 + pause / 2 * (random % 1000) as u32 / 1000
}

#[cfg(test)]
mod tests;
