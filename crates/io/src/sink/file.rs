//! Records to one file, or to standard output.
//!
//! Writing waits for the disk: a file is as fast as it is. What reads a pipe, a FIFO or a terminal sets the pace as long
//! as it reads. Once it took nothing for two seconds nobody waits for it until it reads again: records queue within a
//! bound, and are lost as `queue_full` beyond. A [`File::patient`] one waits for as long as it takes, but until the
//! program is told to end. What a reader has not taken two seconds after that is lost as `closed`.
//!
//! What cannot be written is lost as `write_error`, and a regular file is cut back to its last whole
//! message, so that a full disk leaves a file that can be read. When the reader of standard output goes away the sink is
//! [`Sink::gone`]; `… | head` ends the program.

use super::queue::Queue;
use super::{Counters, Error, Sink};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use flowsonde_engine::encode::Messages;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A file being written.
pub struct File {
    /// The option and its value, for what is told.
    name: String,
    out: Box<dyn Write + Send>,
    /// The same file, when it can be cut back.
    regular: Option<fs::File>,
    /// The same file, when what reads it may be slow.
    slow: Option<fs::File>,
    /// When a reader that takes nothing is waited for: set when the program is to end.
    ended: Option<Arc<AtomicBool>>,
    /// How long a reader may take nothing.
    patience: Duration,
    /// Since when the reader takes nothing.
    stalled: Option<Instant>,
    /// It took not all when it was last tried; it is not tried again for every message.
    blocked: bool,
    queue: Queue,
    failing: bool,
    /// The first write error.
    error: Option<String>,
    gone: bool,
    counters: Counters,
    notices: Vec<String>,
}

/// Written at once when so much has gathered.
const GATHER: usize = 64 << 10;
const LIMIT: usize = 4 << 20;
const CLOSE_TIME: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(2);
/// How long nobody looks whether the program is to end.
const LOOK: Duration = Duration::from_millis(100);

impl File {
    /// Writes behind what `path` already holds. `option` is named in what goes wrong.
    pub fn append(option: &str, path: &Path) -> Result<Self, Error> {
        Self::open(option, path, false)
    }

    /// Writes to `path` anew.
    pub fn create(option: &str, path: &Path) -> Result<Self, Error> {
        Self::open(option, path, true)
    }

    /// Writes to standard output.
    pub fn stdout(option: &str) -> Self {
        let name = format!("{option} -");
        match unbuffered_stdout() {
            Some(file) => Self::of(name, file, None),
            None => Self::with(name, Box::new(io::stdout()), None),
        }
    }

    /// Waits for what reads a pipe as long as it takes, but until `ended` is set: nothing is lost by waiting.
    #[must_use]
    pub fn patient(self, ended: Arc<AtomicBool>) -> Self {
        File { ended: Some(ended), ..self }
    }

    fn open(option: &str, path: &Path, anew: bool) -> Result<Self, Error> {
        let name = format!("{option} {}", path.display());
        let open = || {
            // Always appending: after a cut the next byte must follow the last, not leave a hole.
            let file = fs::OpenOptions::new().append(true).create(true).open(path)?;
            let regular = if file.metadata()?.is_file() { Some(file.try_clone()?) } else { None };
            if let (true, Some(file)) = (anew, &regular) {
                file.set_len(0)?;
            }
            Ok((file, regular))
        };
        match open() {
            Ok((file, regular)) => Ok(Self::of(name, file, regular)),
            Err(error) => {
                let error: io::Error = error;
                Err(Error(format!("{name}: {error}; name a file in a directory that exists and may be written to")))
            }
        }
    }

    fn of(name: String, file: fs::File, regular: Option<fs::File>) -> Self {
        // Where it cannot be asked whether it would have to be waited for, it is waited for.
        let waits = cfg!(target_os = "linux") && file.metadata().is_ok_and(|metadata| !metadata.is_file());
        match waits.then(|| file.try_clone()) {
            Some(Ok(slow)) => File { slow: Some(slow), ..Self::with(name, Box::new(Ready(file)), regular) },
            _ => Self::with(name, Box::new(file), regular),
        }
    }

    fn with(name: String, out: Box<dyn Write + Send>, regular: Option<fs::File>) -> Self {
        File {
            name,
            out,
            regular,
            slow: None,
            ended: None,
            patience: PATIENCE,
            stalled: None,
            blocked: false,
            queue: Queue::new(LIMIT),
            failing: false,
            error: None,
            gone: false,
            counters: Counters::default(),
            notices: Vec::new(),
        }
    }

    fn write(&mut self) {
        self.blocked = false;
        while !self.queue.is_empty() {
            let (written, result) = self.queue.drain(&mut *self.out);
            self.counters.delivered += written.records;
            self.counters.bytes += written.bytes;
            if written.bytes > 0 {
                self.stalled = None;
            }
            match result {
                Ok(()) => self.failing = false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wait() {
                        self.blocked = true;
                        return;
                    }
                }
                Err(error) => self.fail(&error),
            }
        }
    }

    /// Waits a little for a slow reader. False when there is none, or it is not to be waited for.
    fn wait(&mut self) -> bool {
        let Some(slow) = &self.slow else { return false };
        let since = *self.stalled.get_or_insert_with(Instant::now);
        let patient = self.ended.as_ref().is_some_and(|ended| !ended.load(Ordering::Relaxed));
        if !patient && since.elapsed() >= self.patience {
            return false;
        }
        writable(slow, LOOK);
        true
    }

    fn fail(&mut self, error: &io::Error) {
        let dropped = self.queue.clear();
        let broken = error.kind() == io::ErrorKind::BrokenPipe;
        self.gone |= broken;
        if !broken {
            self.error.get_or_insert_with(|| error.to_string());
        }
        self.counters.lose(if broken { "broken_pipe" } else { "write_error" }, dropped.torn + dropped.whole);
        if let (Some(file), 1..) = (&self.regular, dropped.torn_bytes)
            && let Ok(metadata) = file.metadata()
            && file.set_len(metadata.len().saturating_sub(dropped.torn_bytes as u64)).is_ok()
        {
            self.counters.bytes = self.counters.bytes.saturating_sub(dropped.torn_bytes as u64);
        }
        if !self.failing {
            self.failing = true;
            let remedy = if broken { "its reader has gone" } else { "records are lost until it can be written to" };
            self.notices.push(format!("{}: {error}; {remedy}", self.name));
        }
    }
}

impl Sink for File {
    fn send(&mut self, messages: &Messages) {
        self.counters.take(messages);
        self.blocked = false;
        for (message, records) in messages.iter() {
            if self.gone {
                self.counters.lose("broken_pipe", u64::from(records));
                continue;
            }
            if !self.queue.push(message, records) {
                if !self.blocked {
                    self.write();
                }
                if !self.queue.push(message, records) {
                    self.counters.lose("queue_full", u64::from(records));
                }
            }
            if self.queue.len() >= GATHER && !self.blocked {
                self.write();
            }
        }
    }

    fn tick(&mut self) {
        self.write();
    }

    fn close(&mut self) {
        let until = Instant::now() + CLOSE_TIME;
        // A last chance.
        self.stalled = None;
        self.write();
        while self.slow.is_none() && !self.queue.is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
            self.write();
        }
        if let Err(error) = self.out.flush() {
            self.fail(&error);
        }
        let dropped = self.queue.clear();
        self.counters.lose("closed", dropped.torn + dropped.whole);
    }

    fn counters(&self) -> Counters {
        Counters { queued: self.queue.records(), ..self.counters.clone() }
    }

    fn gone(&self) -> bool {
        self.gone
    }

    fn failure(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        Some(format!("{}: {} records were not written: {error}", self.name, self.counters.lost_to("write_error")))
    }

    fn notices(&mut self) -> Vec<String> {
        core::mem::take(&mut self.notices)
    }
}

/// Standard output without std's buffer, which would hide how much was written.
#[cfg(unix)]
fn unbuffered_stdout() -> Option<fs::File> {
    use std::os::fd::AsFd;
    io::stdout().as_fd().try_clone_to_owned().ok().map(fs::File::from)
}

#[cfg(not(unix))]
fn unbuffered_stdout() -> Option<fs::File> {
    None
}

/// A pipe or the like, written to only while that does not wait: at most as many bytes at once as a pipe that can be
/// written to has room for (pipe(7), PIPE_BUF). It is not made non-blocking itself, as others may hold the same file.
struct Ready(fs::File);

impl Write for Ready {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !writable(&self.0, Duration::ZERO) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0.write(bytes.get(..libc::PIPE_BUF).unwrap_or(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until a file can be written to, or has an error to tell. False when the time is up, or a signal came.
fn writable(file: &fs::File, time: Duration) -> bool {
    #[cfg(target_os = "linux")]
    return super::socket::wait_writable(std::os::fd::AsFd::as_fd(file), time);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, time);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("flowsonde-file-{}-{name}", std::process::id()))
    }

    fn lines(count: usize) -> Messages {
        let mut messages = Messages::default();
        for number in 0..count {
            messages.buffer().extend(format!("{number:09}\n").bytes());
            messages.finish(1);
        }
        messages
    }

    /// Takes `room` bytes, then errs so.
    #[derive(Clone)]
    struct Short(Arc<Mutex<(usize, io::ErrorKind, Vec<u8>)>>);

    impl Write for Short {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut inner = self.0.lock().unwrap();
            let count = bytes.len().min(inner.0);
            if count == 0 {
                return Err(inner.1.into());
            }
            inner.0 -= count;
            inner.2.extend(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn short(room: usize, kind: io::ErrorKind) -> (Short, File) {
        let short = Short(Arc::new(Mutex::new((room, kind, Vec::new()))));
        let file = File::with("--json -".into(), Box::new(short.clone()), None);
        (short, file)
    }

    #[test]
    fn appends_or_begins_anew() {
        let path = path("append");
        let _ = fs::remove_file(&path);
        for (anew, expected) in [(false, 30), (false, 60), (true, 30)] {
            let mut file = File::open("--json", &path, anew).unwrap();
            file.send(&lines(3));
            assert_eq!(file.counters().queued, 3);
            file.tick();
            assert_eq!(fs::metadata(&path).unwrap().len(), expected);
            file.close();
            let counters = file.counters();
            assert!(counters.balanced() && counters.delivered == 3 && counters.bytes == 30);
        }
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn full_disk_is_counted_and_said_once() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            return;
        }
        let mut file = File::append("--json", full).unwrap();
        for _ in 0..3 {
            file.send(&lines(10));
            file.tick();
        }
        file.close();
        let counters = file.counters();
        assert_eq!(counters.lost, [("write_error", 30)]);
        assert!(counters.balanced());
        let said = file.notices();
        assert!(said.len() == 1 && said[0].starts_with("--json /dev/full: No space left"), "{said:?}");
        assert!(!file.gone());
    }

    #[test]
    fn half_a_message_is_cut_off() {
        let path = path("cut");
        let _ = fs::remove_file(&path);
        let regular = fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
        let (short, mut file) = short(25, io::ErrorKind::StorageFull);
        file.regular = Some(regular);
        file.send(&lines(5));
        fs::write(&path, &lines(5).bytes()[..25]).unwrap();
        file.tick();
        let counters = file.counters();
        assert_eq!((counters.delivered, counters.bytes), (2, 20));
        assert_eq!(counters.lost, [("write_error", 3)]);
        assert_eq!(fs::read(&path).unwrap(), &lines(5).bytes()[..20]);
        short.0.lock().unwrap().0 = 1000;
        file.send(&lines(1));
        file.close();
        assert!(file.counters().balanced() && file.counters().delivered == 3);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn reader_gone_is_surfaced() {
        let (_short, mut file) = short(25, io::ErrorKind::BrokenPipe);
        file.send(&lines(5));
        assert!(!file.gone());
        file.tick();
        assert!(file.gone());
        file.send(&lines(5));
        file.close();
        let counters = file.counters();
        assert_eq!(counters.lost, [("broken_pipe", 8)]);
        assert!(counters.balanced());
        assert_eq!(file.notices().len(), 1);
    }

    #[test]
    fn output_that_does_not_wait_is_tried_again_within_a_bound() {
        let (short, mut file) = short(25, io::ErrorKind::WouldBlock);
        file.send(&lines(5));
        file.tick();
        assert_eq!((file.counters().delivered, file.counters().queued), (2, 3));
        short.0.lock().unwrap().0 = 1000;
        file.tick();
        assert_eq!(file.counters().delivered, 5);
        short.0.lock().unwrap().0 = 0;
        for _ in 0..5 {
            file.send(&lines(100_000));
        }
        let counters = file.counters();
        assert!(counters.balanced() && counters.queued <= LIMIT as u64 / 10);
        assert!(counters.lost.iter().any(|(reason, _)| *reason == "queue_full"), "{counters:?}");
        short.0.lock().unwrap().0 = usize::MAX;
        file.close();
        assert_eq!(file.counters().queued, 0);
    }

    #[cfg(target_os = "linux")]
    fn pipe(patience: Duration) -> (io::PipeReader, File) {
        let (reader, writer) = io::pipe().unwrap();
        let file = File::of("--json -".into(), fs::File::from(std::os::fd::OwnedFd::from(writer)), None);
        (reader, File { patience, ..file })
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reader_that_stalls_is_left_behind() {
        use std::io::Read;
        let ended = Arc::new(AtomicBool::new(true));
        for ended in [None, Some(ended)] {
            let (mut reader, file) = pipe(Duration::ZERO);
            let mut file = File { ended, ..file };
            // More than any pipe takes, and more than may wait.
            file.send(&lines(1_000_000));
            let waiting = file.counters();
            assert!(waiting.balanced() && waiting.queued > 0 && waiting.queued <= LIMIT as u64 / 10 + 1);
            file.close();
            let counters = file.counters();
            assert!(counters.balanced() && counters.queued == 0);
            let reasons: Vec<_> = counters.lost.iter().map(|(reason, _)| *reason).collect();
            assert_eq!(reasons, ["queue_full", "closed"]);
            drop(file);
            let mut taken = String::new();
            reader.read_to_string(&mut taken).unwrap();
            assert_eq!(taken.matches('\n').count() as u64, counters.delivered);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reader_that_is_slow_sets_the_pace() {
        use std::io::Read;
        let (mut reader, file) = pipe(Duration::ZERO);
        let mut file = file.patient(Arc::default());
        let taken = std::thread::spawn(move || {
            let mut taken = String::new();
            reader.read_to_string(&mut taken).unwrap();
            taken
        });
        file.send(&lines(1_000_000));
        file.close();
        let counters = file.counters();
        drop(file);
        assert_eq!((counters.delivered, counters.lost.len()), (1_000_000, 0));
        assert!(taken.join().unwrap().as_bytes() == lines(1_000_000).bytes());
    }

    #[test]
    fn unwritable_is_told_at_start() {
        let error = File::create("--json", Path::new("/nonexistent/flows.json")).err().unwrap().to_string();
        assert!(error.starts_with("--json /nonexistent/flows.json: No such file") && error.contains("; name a file"));
    }
}
