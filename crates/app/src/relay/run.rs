//! The relay at work: a thread a port, and this one for the link.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use flowsonde_io::relay::{Kept, Keys, Link, Queue, Seen, Settings};
use flowsonde_io::source::Poll;
use flowsonde_io::source::exports::{Counters, Exports, Place, Udp, udp};
use flowsonde_io::spool::{self, Spool};
use flowsonde_sys::zmq::PublicKey;
use flowsonde_wire::export::Transport;
use flowsonde_wire::relay::{Books, Frame, Relay};

use super::books;
use super::confine;
use super::core::{Core, Port, Shared};
use super::intake::Intake;
use super::keys;
use super::options::{Options, PROGRAM};
use crate::flags::process::Verbosity;
use crate::flags::value::network::Lookup;
use crate::ledger::Ledger;
use crate::log;
use crate::pipeline::collect::bad_packets::BadPackets;
use crate::pipeline::live::now;
use crate::pipeline::worker::lock;
use crate::privileges;
use crate::stop::Stop;

/// How long the link waits for messages while datagrams come, and while none do.
const BUSY: Duration = Duration::from_millis(2);
const IDLE: Duration = Duration::from_millis(20);
/// How long a port that was emptied is left alone: more datagrams at once cost less each.
const PAUSE: Duration = Duration::from_micros(1000);
/// Exporters that are told of in one frame, and from one to the next.
const EXPORTERS: usize = 60;
const SECOND: Duration = Duration::from_secs(1);
/// From telling of strangers to telling again.
const MINUTE: Duration = Duration::from_secs(60);
/// After how long without any collector that is told, and how often at least.
const ALONE: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);
/// How long the end waits for acknowledgements.
const LAST: Duration = Duration::from_secs(2);

/// Relays until told to stop.
pub fn run(options: &Options) -> Result<(), Stop> {
    log::set_program(PROGRAM);
    log::set_verbosity(options.verbosity);
    let signals = Signals::register()?;
    let sources = open(options)?;
    let secret = options.secret_key.as_deref().map(|path| keys::secret("--secret-key", path)).transpose()?;
    let authorised = options.authorised()?;
    let allowed = options.allowed()?;
    drop_privileges(options)?;
    let relay = identity(options, secret.as_ref())?;
    let epoch = now().0;
    let (endpoint, binds) = options.endpoint.clone().unwrap_or_default();
    // Before the first thread is, that of the link, as threads inherit it.
    if !options.no_sandbox {
        options.spool.as_deref().map(make).transpose()?;
        confine::now(options);
    }
    let link_keys = secret.map(|secret| Keys { secret, authorised: authorised.clone() });
    let mut link = Link::open(&endpoint, binds, link_keys, relay, epoch).map_err(|error| {
        Stop::Failed(format!("-z {endpoint}: {error}; give an endpoint that is free and of this host"))
    })?;
    let names: Vec<String> = match authorised.is_empty() {
        true => vec![endpoint.clone()],
        false => authorised.iter().map(PublicKey::to_z85).collect(),
    };
    let queues = queues(options, &authorised)?;
    let bad = options.bad_packets.as_deref().map(BadPackets::create).transpose()?;
    let core = Arc::new(Mutex::new(Core {
        intake: Intake::new(allowed.map(|allowed| Lookup::new(&allowed.0)), options.rate),
        present: vec![false; queues.len()],
        queues,
        kept: Kept::default(),
        all: options.all,
        bad,
        hasher: std::hash::RandomState::new(),
        passed: 0,
    }));
    if options.insecure {
        log::warn("link", "--insecure: nothing is encrypted, and anyone may collect");
    }
    log::say(Verbosity::Ledger, &format!("relaying to {}", link.endpoint().unwrap_or(endpoint)));
    let (ports, threads) = start(sources, &core, &signals.stop)?;
    let (told, written) = (Seen::default(), Instant::now());
    let alone = Alone { since: written, pause: ALONE };
    let mut relaying = Relaying { options, core, ports, names, told, told_at: None, alone, written };
    relaying.write(&link, false)?;
    let result = relaying.run(&mut link, &signals);
    for thread in threads {
        let _panicked = thread.join();
    }
    relaying.finish(&mut link);
    let written = relaying.write(&link, true);
    result.and(written)
}

struct Signals {
    stop: Arc<AtomicBool>,
    hangup: Arc<AtomicBool>,
}

impl Signals {
    fn register() -> Result<Signals, Stop> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let (stop, hangup) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for (number, flag) in [(SIGINT, &stop), (SIGTERM, &stop), (SIGHUP, &hangup)] {
            signal_hook::flag::register(number, Arc::clone(flag))
                .map_err(|error| Stop::Failed(format!("signals cannot be handled: {error}")))?;
        }
        Ok(Signals { stop, hangup })
    }
}

fn open(options: &Options) -> Result<Vec<(String, Udp)>, Stop> {
    let mut sources = Vec::new();
    for (address, port) in &options.ports {
        let place = Place { transport: Transport::Udp, address: *address, port: *port };
        let wanted =
            udp::Options { destinations: options.bad_packets.is_some(), pause: PAUSE, ..udp::Options::default() };
        let opened = Udp::open(&place, &wanted).map_err(|error| Stop::Failed(error.0.replacen("-3 ", "-c ", 1)))?;
        sources.extend(opened.into_iter().map(|source| (place.to_string(), source)));
    }
    Ok(sources)
}

fn drop_privileges(options: &Options) -> Result<(), Stop> {
    let files = [options.ledger.as_deref(), options.spool.as_deref(), options.bad_packets.as_deref()];
    let directory = |path| if Path::is_dir(path) { path } else { privileges::beside(path) };
    privileges::drop(options.user.as_deref(), options.keep_privileges, files.into_iter().flatten().map(directory))
}

/// Who we are: known by our key, else by what the spool keeps, else anew.
fn identity(options: &Options, secret: Option<&flowsonde_sys::zmq::SecretKey>) -> Result<Relay, Stop> {
    let mut relay = Relay::default();
    if let Some(secret) = secret {
        let public = secret.public().map_err(|error| Stop::Failed(format!("--secret-key: {error}")))?;
        relay.iter_mut().zip(public.bytes()).for_each(|(place, byte)| *place = *byte);
        return Ok(relay);
    }
    let drawn = (u128::from(crate::secret::random()) << 64 | u128::from(crate::secret::random())).to_be_bytes();
    let Some(spool) = &options.spool else { return Ok(drawn) };
    make(spool)?;
    let path = spool.join("relay-id");
    let failed = |error: std::io::Error| Stop::Failed(format!("--spool={}: {error}", path.display()));
    match fs::read(&path) {
        Ok(bytes) if bytes.len() == relay.len() => {
            relay.copy_from_slice(&bytes);
            Ok(relay)
        }
        _ => fs::write(&path, drawn).map(|()| drawn).map_err(failed),
    }
}

fn make(directory: &Path) -> Result<(), Stop> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
        Stop::Failed(format!("--spool={}: {error}; give a directory that can be written to", directory.display()))
    })
}

fn queues(options: &Options, authorised: &[PublicKey]) -> Result<Vec<Queue>, Stop> {
    let settings = Settings {
        memory: usize::from(options.memory) << 20,
        delay: options.delay,
        sync: options.spool_sync,
        compress: options.compress,
        ..Settings::default()
    };
    let count = authorised.len().max(1);
    let Some(directory) = &options.spool else { return Ok((0..count).map(|_| Queue::new(settings)).collect()) };
    make(directory)?;
    let mut queues = Vec::new();
    for at in 0..count {
        let name: String = match authorised.get(at) {
            Some(key) => key.bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
            None => "insecure".to_owned(),
        };
        let spool = spool::Settings {
            dir: directory.join(name),
            max_bytes: options.spool_max,
            segment_bytes: (options.spool_max / 16).clamp(256 << 10, 64 << 20),
            sync: options.spool_sync,
        };
        let (spool, recovered) =
            Spool::open(spool).map_err(|error| Stop::Failed(format!("--spool={}: {error}", directory.display())))?;
        recovered.notices.iter().for_each(|notice| log::warn("spool", notice));
        queues.push(Queue::with(settings, spool, &recovered));
    }
    Ok(queues)
}

type Ports = Vec<(String, Arc<Mutex<Counters>>)>;

fn start(
    sources: Vec<(String, Udp)>,
    core: &Shared,
    stop: &Arc<AtomicBool>,
) -> Result<(Ports, Vec<JoinHandle<()>>), Stop> {
    let (mut ports, mut threads) = (Vec::new(), Vec::new());
    for (name, mut source) in sources {
        let counters = Arc::new(Mutex::new(Counters::default()));
        ports.push((name.clone(), Arc::clone(&counters)));
        let (mut port, stop) = (Port(Arc::clone(core)), Arc::clone(stop));
        let thread = thread::Builder::new().name(format!("relay {name}")).spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match source.poll(&mut port) {
                    Ok(Poll::End) => break,
                    Ok(_) => {}
                    Err(error) => {
                        log::warn("port", &error.0);
                        break;
                    }
                }
                source.notices().iter().for_each(|notice| log::warn("port", notice));
                *lock(&counters) = source.counters();
            }
        });
        threads.push(thread.map_err(|error| Stop::Failed(format!("cannot start a thread: {error}")))?);
    }
    Ok((ports, threads))
}

struct Relaying<'a> {
    options: &'a Options,
    core: Shared,
    ports: Ports,
    names: Vec<String>,
    /// Strangers that were told of, and when.
    told: Seen,
    told_at: Option<Instant>,
    alone: Alone,
    written: Instant,
}

/// No collector is there, or was until now.
struct Alone {
    since: Instant,
    /// How long it may be so before it is told.
    pause: Duration,
}

impl Relaying<'_> {
    fn run(&mut self, link: &mut Link, signals: &Signals) -> Result<(), Stop> {
        let (mut second, mut traffic) = (Instant::now(), Instant::now());
        let mut passed = 0;
        while !signals.stop.load(Ordering::Relaxed) {
            link.wait(if traffic.elapsed() < Duration::from_millis(100) { BUSY } else { IDLE });
            let busy = self.turn(link, &mut passed);
            if busy {
                traffic = Instant::now();
            }
            if second.elapsed() >= SECOND {
                second = Instant::now();
                self.tell_exporters(link);
                self.tell_strangers(link);
                self.tell_alone(link);
            }
            if signals.hangup.swap(false, Ordering::Relaxed) {
                self.reload(link);
            }
            if self.written.elapsed() >= self.options.ledger_interval
                && let Err(stop) = self.write(link, false)
            {
                log::warn("ledger", &stop.to_string());
            }
        }
        Ok(())
    }

    fn turn(&self, link: &mut Link, passed: &mut u64) -> bool {
        let mut core = lock(&self.core);
        let core = &mut *core;
        let (time, instant) = (now(), Instant::now());
        core.queues.iter_mut().for_each(|queue| queue.tick(time, instant));
        let mut busy = link.turn(&mut core.queues, &core.kept, time);
        let changed = link.present().ne(core.present.iter().copied());
        if changed {
            for (name, (was, is)) in self.names.iter().zip(core.present.iter().zip(link.present())) {
                if is != *was {
                    let what = if is { "is there" } else { "is gone" };
                    log::say(Verbosity::Ledger, &format!("the collector {name} {what}"));
                }
            }
            core.present.clear();
            core.present.extend(link.present());
            // Exporters may have another collector now, which knows nothing of their templates.
            link.renew();
            core.intake.renew();
        }
        for queue in &mut core.queues {
            queue.notices().iter().for_each(|notice| log::warn("queue", notice));
        }
        busy |= core.passed != *passed;
        *passed = core.passed;
        busy
    }

    fn tell_exporters(&self, link: &mut Link) {
        if !link.present().any(|there| there) {
            return;
        }
        let mut core = lock(&self.core);
        let core = &mut *core;
        for _ in 0..16 {
            let news = core.intake.news(EXPORTERS);
            if news.is_empty() {
                return;
            }
            let mut bytes = Vec::new();
            news.iter().for_each(|exporter| exporter.write(&mut bytes));
            link.broadcast(&mut core.queues, &Frame::Books(Books::new(news.len() as u16, &bytes)));
        }
    }

    /// Tells that nobody collects, ever more seldom.
    fn tell_alone(&mut self, link: &Link) {
        if link.present().any(|there| there) {
            self.alone = Alone { since: Instant::now(), pause: ALONE };
            return;
        }
        let alone = self.alone.since.elapsed();
        if alone < self.alone.pause {
            return;
        }
        self.alone.pause = (alone * 6).min(alone + HOUR);
        let held: u64 = lock(&self.core).queues.iter().map(Queue::held).sum();
        let what = match &self.options.endpoint {
            Some((endpoint, false)) => format!("no collector answers at {endpoint}"),
            _ => format!("no collector is at {}", link.endpoint().unwrap_or_default()),
        };
        log::warn("alone", &format!("{what} for {} s; {held} datagrams wait", alone.as_secs()));
    }

    fn tell_strangers(&mut self, link: &Link) {
        let (seen, last) = link.seen();
        let (refused, failed) = (seen.refused - self.told.refused, seen.handshakes - self.told.handshakes);
        if refused + failed == 0 || self.told_at.is_some_and(|told| told.elapsed() < MINUTE) {
            return;
        }
        let who = last.map(|(address, key)| format!(", the last {} from {address}", key.to_z85())).unwrap_or_default();
        let other = match self.options.insecure {
            true => "with keys, which --insecure has none for, or not of flowsonde",
            false => "without keys, with another relay's key, or not of flowsonde",
        };
        let of = [(refused, format!("with a key that is not authorised{who}")), (failed, other.to_owned())];
        let of: Vec<_> =
            of.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        log::warn("strangers", &format!("connections turned away: {}", of.join("; ")));
        (self.told, self.told_at) = (seen, Some(Instant::now()));
    }

    /// Reads files of networks and keys again; what is wrong with them leaves all as it was.
    fn reload(&self, link: &mut Link) {
        let read = self.options.allowed().and_then(|allowed| Ok((allowed, self.options.authorised()?)));
        match read {
            Ok((allowed, authorised)) => {
                lock(&self.core).intake.allow(allowed.map(|allowed| Lookup::new(&allowed.0)));
                let ignored = link.allow(&authorised);
                if ignored > 0 {
                    log::warn("new keys", &format!("{ignored} new keys get in when flowrelay is started anew"));
                }
                log::say(Verbosity::Ledger, "networks and keys were read again");
            }
            Err(stop) => log::warn("reload", &format!("{stop}; all stays as it was")),
        }
    }

    /// What was received goes to the collector, or to the spool.
    fn finish(&self, link: &mut Link) {
        let since = Instant::now();
        let mut passed = 0;
        while since.elapsed() < LAST {
            link.wait(BUSY);
            self.turn(link, &mut passed);
            let core = lock(&self.core);
            let waits = core.queues.iter().any(|queue| queue.is_attached() && queue.held() > 0);
            if !waits {
                break;
            }
        }
        let mut core = lock(&self.core);
        core.queues.iter_mut().for_each(Queue::finish);
        if let Some(bad) = &mut core.bad {
            bad.flush();
        }
    }

    fn write(&mut self, link: &Link, last: bool) -> Result<(), Stop> {
        self.written = Instant::now();
        let mut ledger = Ledger::new(SystemTime::now(), last);
        let ports: Vec<_> = self.ports.iter().map(|(name, port)| (name.clone(), *lock(port))).collect();
        books::stages(&ports, &lock(&self.core), &self.names, &link.seen().0, &mut ledger);
        if last && self.options.verbosity >= Verbosity::Ledger {
            crate::console::line(&ledger.text());
        }
        let Some(path) = &self.options.ledger else { return Ok(()) };
        ledger.write(path).map_err(|error| {
            Stop::Failed(format!("--ledger={}: {error}; give a file that can be written", path.display()))
        })
    }
}
