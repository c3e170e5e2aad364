//! The probe at work: sources, meters, outputs, and the threads between them.
//!
//! ```text
//! captures:   one thread   source -> meter -> outputs           time is the packets'
//! interfaces: N workers    source -> meter --queue--> outputs   time is the clock's where packets give none
//! ```
//!
//! Captures are read by one thread: nothing is copied between threads, and the same capture gives the same records in the
//! same order. Interfaces have a worker a ring; the kernel keeps both directions of a flow on one worker. Workers never
//! wait for the outputs: what does not fit into the queue is counted as lost.

mod books;
mod captures;
pub(crate) mod collect;
mod feed;
pub(crate) mod live;
mod names;
mod ntopng;
mod open;
mod outputs;
mod paths;
mod setup;
mod summary;
pub(crate) mod worker;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use flowsonde_io::process;
use flowsonde_io::source::{self, Input, list};

use crate::flags::Options;
use crate::flags::capture::Input as Named;
use crate::flags::process::Verbosity;
use crate::ledger::Ledger;
use crate::log;
use crate::privileges;
use crate::stop::Stop;
use open::open_outputs;

/// Set by SIGINT, SIGTERM and SIGHUP: end every flow, write the ledger, stop.
pub type Signal = Arc<AtomicBool>;

/// How many packets to take yet, shared by the workers (`--count`).
#[derive(Clone)]
pub struct Countdown(Option<Arc<AtomicU64>>);

impl Countdown {
    fn new(count: Option<u64>) -> Countdown {
        Countdown(count.map(|n| Arc::new(AtomicU64::new(n))))
    }

    /// How many of `offered` packets may be taken.
    #[inline]
    fn take(&self, offered: usize) -> usize {
        let Some(left) = &self.0 else { return offered };
        let granted = |left: u64| left.min(offered as u64);
        let before = left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left - granted(left)))
            .unwrap_or_default();
        granted(before) as usize
    }

    fn over(&self) -> bool {
        self.0.as_ref().is_some_and(|left| left.load(Ordering::Relaxed) == 0)
    }
}

/// Runs the probe until its sources end or it is told to stop.
pub fn run(options: &Options) -> Result<(), Stop> {
    for warning in options.warnings() {
        log::warn("options", &warning);
    }
    ntopng::check(options)?;
    // A collector without captures reads no input.
    let idle = options.collect.any() && options.capture.inputs.is_empty();
    let inputs = if idle { Vec::new() } else { inputs(options)? };
    paths::check(options, &inputs)?;
    let signal: Signal = Arc::default();
    let hurry: Signal = Arc::default();
    // Under nohup the end of the terminal is not to be the program's.
    let hangup = (!process::ignores_hangup()).then_some(signal_hook::consts::SIGHUP);
    for number in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM].into_iter().chain(hangup) {
        // A second one ends the program at once, whatever it waits for.
        signal_hook::flag::register_conditional_shutdown(number, 1, Arc::clone(&hurry))
            .and_then(|_| signal_hook::flag::register(number, Arc::clone(&signal)))
            .map_err(|error| Stop::Failed(format!("cannot catch signals: {error}")))?;
    }
    if options.process.daemon {
        process::daemon().map_err(|error| Stop::Failed(format!("--daemon-mode: {error}")))?;
    }
    arm(&signal, &hurry)?;
    let pid_file = options.process.pid_file.as_deref().map(PidFile::new).transpose()?;
    let interfaces: Vec<String> = inputs
        .iter()
        .filter_map(|input| if let Input::Interface(name) = input { Some(name.clone()) } else { None })
        .collect();
    let done = if options.collect.any() {
        collect::run(options, &signal)
    } else if interfaces.is_empty() {
        captures::run(options, inputs, &signal)
    } else if interfaces.len() == inputs.len() {
        live::run(options, &interfaces, &signal)
    } else {
        Err(Stop::Usage("--interface: interfaces and captures cannot be read in one run; start one for each".into()))
    };
    log::finish();
    drop(pid_file);
    done
}

/// Lets a second signal end the program at once, from a second after the first: timeout(1), and shells that signal a whole
/// group, send the first one twice.
fn arm(signal: &Signal, hurry: &Signal) -> Result<(), Stop> {
    let (signal, hurry) = (Arc::clone(signal), Arc::clone(hurry));
    let wait = move || {
        while !signal.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(250));
        }
        thread::sleep(Duration::from_secs(1));
        hurry.store(true, Ordering::Relaxed);
    };
    let started = thread::Builder::new().name("signals".into()).spawn(wait);
    started.map(|_| ()).map_err(|error| Stop::Failed(format!("cannot start a thread: {error}")))
}

/// Checks all that can be checked without reading a packet.
pub fn check(options: &Options) -> Result<(), Stop> {
    ntopng::check(options)?;
    if options.collect.any() {
        return collect::check(options);
    }
    paths::check(options, &inputs(options)?)?;
    open::check(options, &setup::Plan::new(options)?)
}

/// Why a source cannot be read: its file or interface, or a filter that is none for its packets.
fn unread(error: source::Error) -> Stop {
    if error.0.starts_with("-f") { Stop::Usage(error.0) } else { Stop::Failed(error.0) }
}

/// Refuses what cannot be done with collected flows.
pub fn check_collecting(options: &Options) -> Result<(), Stop> {
    collect::check_outputs(options)
}

/// Becomes another user than root, once everything that needs root is open.
/// Keeps the calling thread, which is worker `number`, on its CPU (`--cpu-affinity`), where there is one for it.
fn pin(cpus: &[u16], number: usize) {
    let Some(&cpu) = cpus.get(number % cpus.len().max(1)) else { return };
    if let Err(error) = process::pin(cpu) {
        log::warn("affinity", &format!("--cpu-affinity={cpu}: {error}; the worker runs on any CPU"));
    }
}

fn drop_privileges(options: &Options) -> Result<(), Stop> {
    let process = &options.process;
    // A file is replaced by one made beside it.
    let later = [process.ledger.as_deref().map(privileges::beside), options.output.dump_path.as_deref()];
    privileges::drop(process.user.as_deref(), process.keep_privileges, later.into_iter().flatten())
}

/// Writes the ledger where it was asked for. Called once before anything is captured, it tells of a path that cannot be
/// written while the user still looks.
fn write_ledger(options: &Options, ledger: &Ledger) -> Result<(), Stop> {
    let Some(path) = &options.process.ledger else { return Ok(()) };
    ledger
        .write(path)
        .map_err(|error| Stop::Failed(format!("--ledger={}: {error}; give a path that can be written", path.display())))
}

/// Writes the ledger and shows it, as asked for. One that cannot be written does not stop a probe at work; it is a
/// failure when it was the last.
fn show(options: &Options, ledger: &Ledger, last: bool) -> Result<(), Stop> {
    if let Err(error) = ledger.check() {
        log::warn("ledger", &format!("the ledger does not balance, which is a bug: {error}"));
    }
    let written = write_ledger(options, ledger);
    if options.process.verbosity >= Verbosity::Ledger && (last || options.process.verbosity >= Verbosity::Everything) {
        crate::console::line(&ledger.text());
    }
    match written {
        Err(stop) if !last => {
            log::warn("ledger file", &stop.to_string());
            Ok(())
        }
        written => written,
    }
}

/// The first of two failures; another is only told of.
fn both(first: Result<(), Stop>, second: Result<(), Stop>) -> Result<(), Stop> {
    match (first, second) {
        (Err(first), Err(second)) => {
            log::warn("end", &second.to_string());
            Err(first)
        }
        (first, second) => first.and(second),
    }
}

fn inputs(options: &Options) -> Result<Vec<Input>, Stop> {
    let mut found = Vec::new();
    for input in &options.capture.inputs {
        match input {
            Named::Stdin => found.push(Input::Stdin),
            Named::Named(name) => found.extend(list::resolve(name).map_err(|error| Stop::Failed(error.0))?),
        }
    }
    // A capture may be read again, but an interface would count every packet twice.
    for (i, input) in found.iter().enumerate() {
        if let Input::Interface(name) = input
            && found.iter().take(i).any(|other| other == input)
        {
            return Err(Stop::Usage(format!(
                "--interface={name}: is named twice, and its packets would count twice; name each interface once"
            )));
        }
    }
    if found.is_empty() {
        return Err(Stop::Failed("-i: no capture found in what was named; give a capture file or an interface".into()));
    }
    Ok(found)
}

/// The file that names our process while we run.
struct PidFile<'a>(&'a Path);

impl<'a> PidFile<'a> {
    fn new(path: &'a Path) -> Result<Self, Stop> {
        std::fs::write(path, format!("{}\n", std::process::id())).map_err(|error| {
            Stop::Failed(format!("--pid-file={}: {error}; give a path that can be written", path.display()))
        })?;
        Ok(PidFile(path))
    }
}

impl Drop for PidFile<'_> {
    fn drop(&mut self) {
        // Gone already, or no longer ours to remove: nothing to mend at the end.
        let _ = std::fs::remove_file(self.0);
    }
}
