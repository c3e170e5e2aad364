//! Sends at the pace asked for, until it is time to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flowsonde_engine::encode::Messages;
use flowsonde_wire::Nanos;

use super::disorder::Disorder;
use super::options::Options;
use super::pace::{Pace, Unit};
use super::receiver::Receiver;
use super::target::Target;
use crate::flags::value::Transport;
use crate::stop::Stop;

/// Flows a second of a capture that is written, in its own time, unless told.
const CAPTURE_RATE: u64 = 10_000;
/// A receiver that takes nothing for so long is given up.
const STUCK: Duration = Duration::from_secs(10);
/// Shorter waits are not worth a sleep of their own.
const NAP: Duration = Duration::from_micros(200);

/// Everything between the generator and the target.
pub struct Sender {
    target: Target,
    disorder: Disorder,
    pace: Option<Pace>,
    unit: Unit,
    /// Time is told by what was sent, not by the clock: a capture, or times that are to be the same every time.
    told: Option<f64>,
    base: Nanos,
    started: Instant,
    limit: Option<Duration>,
    /// Datagrams and flows made, those left out included.
    made: (u64, u64),
    backlog: Option<Backlog>,
    port: Option<u16>,
    drops_before: Option<u64>,
    stop: Arc<AtomicBool>,
}

/// What was done.
pub struct Done {
    /// The target, with what was sent.
    pub target: Target,
    /// Datagrams, and flows in them, left out on purpose.
    pub left_out: (u64, u64),
    /// Datagrams the receiver's socket dropped meanwhile, where it can be seen.
    pub dropped: Option<u64>,
}

/// Looks at what waits at the receiver's.
struct Backlog {
    most: u64,
    /// Bytes sent since the last look.
    unseen: u64,
}

impl Sender {
    /// Sends to `target` until the options' time is up or `stop` is set.
    pub fn new(options: &Options, target: Target, stop: Arc<AtomicBool>) -> Sender {
        let unit = options.unit();
        let told = options.pcap.is_some() || options.time_base.is_some();
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Nanos(u64::try_from(clock.as_nanos()).unwrap_or(u64::MAX));
        // Only a receiver on this machine can be looked at.
        let local = options.pcap.is_none() && options.target.transport == Transport::Udp && !options.allow_remote;
        let port = local.then_some(options.target.port);
        let drops_before = port.map(Receiver::look).filter(|found| found.sockets > 0).map(|found| found.drops);
        Sender {
            target,
            disorder: Disorder::new(options.gap, options.shuffle, options.plan.seed),
            // A capture is written as fast as can be: its rate is in its times.
            pace: options.rate.filter(|_| options.pcap.is_none()).map(Pace::new),
            unit,
            told: told.then(|| options.rate.unwrap_or(CAPTURE_RATE) as f64),
            base: options.time_base.map_or(now, |seconds| Nanos::new(seconds, 0)),
            started: Instant::now(),
            limit: options.time,
            made: (0, 0),
            backlog: options.backlog.filter(|_| port.is_some()).map(|most| Backlog { most, unseen: 0 }),
            port,
            drops_before,
            stop,
        }
    }

    /// The time of what is exported next.
    pub fn now(&self) -> Nanos {
        let passed = self.passed();
        Nanos(self.base.0.saturating_add(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long it has been sending.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn passed(&self) -> Duration {
        match self.told {
            Some(rate) => Duration::from_secs_f64(self.made() as f64 / rate),
            None => self.started.elapsed(),
        }
    }

    fn made(&self) -> u64 {
        if self.unit == Unit::Flows { self.made.1 } else { self.made.0 }
    }

    /// Waits until something may be sent. Tells how many datagrams, or `None` when it is time to stop.
    pub fn wait(&mut self, most: usize) -> Result<Option<usize>, Stop> {
        loop {
            let passed = if self.told.is_some() && self.pace.is_none() { self.passed() } else { self.elapsed() };
            if self.stop.load(Ordering::Relaxed) || self.limit.is_some_and(|limit| passed >= limit) {
                return Ok(None);
            }
            if self.is_held_up()? {
                continue;
            }
            let made = self.made();
            let Some(pace) = &mut self.pace else { return Ok(Some(most)) };
            match pace.allowed(self.started.elapsed(), made) {
                Ok(units) => {
                    // Flows a datagram, as they turned out so far.
                    let (datagrams, flows) = self.made;
                    let each =
                        if self.unit == Unit::Flows { flows.checked_div(datagrams).unwrap_or(24).max(1) } else { 1 };
                    return Ok(Some(usize::try_from(units / each).unwrap_or(most).clamp(1, most)));
                }
                // Not in one piece, so that an interrupt is noticed.
                Err(time) => std::thread::sleep(time.clamp(NAP, Duration::from_millis(100))),
            }
        }
    }

    /// Whether the receiver has enough to do; waits a little if so.
    fn is_held_up(&mut self) -> Result<bool, Stop> {
        let (Some(backlog), Some(port)) = (&mut self.backlog, self.port) else { return Ok(false) };
        // Little can have been added since the last look.
        if backlog.unseen < backlog.most / 4 {
            return Ok(false);
        }
        let mut before = Receiver::look(port).waiting;
        let mut since = Instant::now();
        while before > backlog.most {
            if self.stop.load(Ordering::Relaxed) || self.limit.is_some_and(|limit| self.started.elapsed() >= limit) {
                return Ok(true);
            }
            if since.elapsed() > STUCK {
                return Err(Stop::Failed(format!(
                    "--backlog={}: port {port} has taken nothing for {} s; is the collector alive?",
                    backlog.most,
                    STUCK.as_secs()
                )));
            }
            std::thread::sleep(NAP);
            let waiting = Receiver::look(port).waiting;
            if waiting < before {
                since = Instant::now();
            }
            before = waiting;
        }
        backlog.unseen = 0;
        Ok(false)
    }

    /// Sends datagrams made for address `number`, all but those left out on purpose.
    pub fn send(&mut self, number: usize, messages: &Messages) -> Result<(), Stop> {
        let now = self.now();
        self.made.0 += messages.len() as u64;
        self.made.1 += messages.records();
        let sent = self.disorder.apply(messages);
        if let Some(backlog) = &mut self.backlog {
            // The kernel counts small datagrams as larger than they are.
            backlog.unseen += (sent.bytes().len() + 1000 * sent.len()) as u64;
        }
        self.target.send(number, sent, now)
    }

    /// Sends datagrams that are there already, a few at a time as the pace allows. False when it is time to stop.
    pub fn send_paced(&mut self, number: usize, messages: &Messages) -> Result<bool, Stop> {
        let mut part = Messages::default();
        let mut room = 0;
        for (message, records) in messages.iter() {
            if room == 0 {
                self.send(number, &part)?;
                part.clear();
                match self.wait(messages.len())? {
                    Some(datagrams) => room = datagrams,
                    None => return Ok(false),
                }
            }
            part.buffer().extend_from_slice(message);
            part.finish(records);
            room -= 1;
        }
        self.send(number, &part)?;
        Ok(true)
    }

    /// Ends, and tells what was done.
    pub fn finish(mut self) -> Result<Done, Stop> {
        self.target.finish()?;
        let dropped = self.drops_before.zip(self.port).map(|(before, port)| {
            let found = Receiver::look(port);
            found.drops.saturating_sub(before)
        });
        Ok(Done { target: self.target, left_out: self.disorder.left_out, dropped })
    }
}
