//! Records to files, a new one every so often (`-P`, `-F`).
//!
//! Time is divided into intervals that begin at multiples of their length (an hour at the full hour, UTC). What comes in
//! an interval goes to `YYYY/MM/DD/HH/MM/YYYYMMDDThhmmssZ.flows`, named for the interval's begin; a second file of the
//! same interval, because the first was full or was there already, to `YYYYMMDDThhmmssZ-1.flows`, and so on. Without
//! nesting the directories are left out. An interval without records makes no file.
//!
//! A file has `.tmp` behind its name until it is complete: what has its final name is whole. A `.tmp` that no program
//! writes is what a crash left, and is not touched. Only when a file has its final name are its records delivered; until
//! then they are queued. When the disk is full, what could not be written is lost as `write_error`, and the file is cut
//! back to what it held whole.
//!
//! Compressed files consist of several gzip members, one behind the other (RFC 1952, section 2.2), a MiB of text each:
//! `zcat` and every library that heeds the standard reads them as one.

use super::calendar::Utc;
use super::hook::{Command, Hook};
use super::{Counters, Error, Sink};
use core::time::Duration;
use flate2::Compression;
use flate2::write::GzEncoder;
use flowsonde_engine::encode::Messages;
use flowsonde_wire::Nanos;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

/// How files are written.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long an interval is, in whole seconds (`-F`).
    pub interval: Duration,
    /// Directories by year, month, day, hour and minute.
    pub nest: bool,
    /// Behind the dot of each file's name: `flows`, `flows.gz`, `json`, `ipfix`.
    pub extension: String,
    /// What each file begins with: the header line of text, the templates of IPFIX.
    pub header: Vec<u8>,
    /// Compress with gzip.
    pub gzip: bool,
    /// Most records in a file. It ends between messages, so these must not hold more; where a file has to begin as a
    /// session does, [`Sink::cut`] ends it instead.
    pub most_records: Option<u64>,
    /// Run for each file that is complete (`-R`).
    pub command: Option<Command>,
    /// Run it for every file, however long it takes, as when reading captures; until this turns true.
    pub every: Option<Arc<AtomicBool>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            interval: Duration::from_secs(60),
            nest: true,
            extension: "flows".into(),
            header: Vec::new(),
            gzip: false,
            most_records: None,
            command: None,
            every: None,
        }
    }
}

/// Files being written, one at a time.
pub struct Rotate {
    directory: PathBuf,
    options: Options,
    /// Number of the interval, counted from 1970.
    interval: Option<u64>,
    /// Files of this interval so far.
    number: u32,
    part: Option<Part>,
    /// Whole messages that are not written yet.
    block: Vec<u8>,
    block_records: u64,
    hook: Option<Hook>,
    failing: bool,
    /// The first write error.
    error: Option<String>,
    counters: Counters,
    notices: Vec<String>,
}

/// The file that is not complete.
struct Part {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    /// Bytes that are whole.
    length: u64,
    records: u64,
}

const TEXT_BLOCK: usize = 256 << 10;
const GZIP_BLOCK: usize = 1 << 20;
const COMMANDS_TIME: Duration = Duration::from_secs(5);
/// More files of one interval are not made.
const MOST_FILES: u32 = 1_000_000;

impl Rotate {
    /// Writes below `directory`, which is made.
    pub fn open(directory: &Path, options: Options) -> Result<Self, Error> {
        if options.interval.as_secs() == 0 {
            return Err(Error("-F 0: files must last at least a second; write seconds, like 60".into()));
        }
        let probe = directory.join(format!(".flowsonde-{}.tmp", std::process::id()));
        fs::create_dir_all(directory).and_then(|()| File::create(&probe)).map_err(|error| {
            Error(format!("-P {}: {error}; name a directory that may be written to", directory.display()))
        })?;
        let _it_is_empty = fs::remove_file(&probe);
        Ok(Rotate {
            directory: directory.to_owned(),
            hook: options.command.clone().map(|command| Hook::new(command).every(options.every.clone())),
            options,
            interval: None,
            number: 0,
            part: None,
            block: Vec::new(),
            block_records: 0,
            failing: false,
            error: None,
            counters: Counters::default(),
            notices: Vec::new(),
        })
    }

    /// Tells the time of the records that follow; the file of an earlier interval is completed. Time may step back within
    /// the last interval, as packets do; when it steps back further the file of an earlier interval is begun.
    pub fn rotate(&mut self, now: Nanos) {
        if self.interval.is_none() || self.turns(now) {
            self.complete();
            self.interval = Some(now.seconds() / self.options.interval.as_secs());
            self.number = 0;
        }
    }

    fn take(&mut self, message: &[u8], records: u32) {
        let records = u64::from(records);
        let so_far = self.part.as_ref().map_or(0, |part| part.records) + self.block_records;
        if let Some(most) = self.options.most_records
            && so_far > 0
            && so_far + records > most
        {
            self.complete();
        }
        if self.block.is_empty() && self.part.as_ref().is_none_or(|part| part.length == 0) {
            self.block.extend_from_slice(&self.options.header);
        }
        self.block.extend_from_slice(message);
        self.block_records += records;
        if self.block.len() >= if self.options.gzip { GZIP_BLOCK } else { TEXT_BLOCK } {
            self.write();
        }
    }

    /// Writes the block, whole or not at all.
    fn write(&mut self) {
        if self.block.is_empty() {
            return;
        }
        match self.try_write() {
            Ok(bytes) => {
                self.counters.bytes += bytes;
                self.failing = false;
            }
            Err((path, error)) => {
                self.counters.lose("write_error", self.block_records);
                self.fail(&path, &error);
            }
        }
        self.block.clear();
        self.block_records = 0;
    }

    fn try_write(&mut self) -> Result<u64, (PathBuf, io::Error)> {
        let mut part = match self.part.take() {
            Some(part) => part,
            None => self.begin()?,
        };
        let compressed;
        let bytes = if self.options.gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            match encoder.write_all(&self.block).and_then(|()| encoder.finish()) {
                Ok(member) => compressed = member,
                Err(error) => return Err((part.temporary, error)),
            }
            &compressed
        } else {
            &self.block
        };
        let result = part.file.write_all(bytes);
        let result = match result {
            Ok(()) => {
                part.length += bytes.len() as u64;
                part.records += self.block_records;
                Ok(bytes.len() as u64)
            }
            Err(error) => {
                // When even this fails the tail of the file is torn; there is nothing left to try.
                let _cut = part.file.set_len(part.length);
                Err((part.temporary.clone(), error))
            }
        };
        self.part = Some(part);
        result
    }

    /// Opens the next file under its temporary name.
    fn begin(&mut self) -> Result<Part, (PathBuf, io::Error)> {
        let seconds = self.options.interval.as_secs();
        let interval = *self.interval.get_or_insert_with(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) / seconds
        });
        let Utc { year, month, day, hour, minute, second } = Nanos::new(interval * seconds, 0).into();
        let mut directory = self.directory.clone();
        if self.options.nest {
            directory.push(format!("{year:04}/{month:02}/{day:02}/{hour:02}/{minute:02}"));
            fs::create_dir_all(&directory).map_err(|error| (directory.clone(), error))?;
        }
        let begin = format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z");
        loop {
            let name = match self.number {
                0 => format!("{begin}.{}", self.options.extension),
                number => format!("{begin}-{number}.{}", self.options.extension),
            };
            let (path, temporary) = (directory.join(&name), directory.join(name + ".tmp"));
            self.number += 1;
            let opened = if path.exists() {
                Err(io::ErrorKind::AlreadyExists.into())
            } else {
                OpenOptions::new().append(true).create_new(true).open(&temporary)
            };
            match opened {
                Ok(file) => return Ok(Part { file, temporary, path, length: 0, records: 0 }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.number < MOST_FILES => {}
                Err(error) => return Err((temporary, error)),
            }
        }
    }

    /// Gives the file its final name.
    fn complete(&mut self) {
        self.write();
        let Some(part) = self.part.take() else { return };
        if part.length == 0 {
            let _nothing_in_it = fs::remove_file(&part.temporary);
            return;
        }
        match fs::rename(&part.temporary, &part.path) {
            Ok(()) => {
                self.counters.delivered += part.records;
                if let Some(hook) = &mut self.hook {
                    hook.run(&part.path);
                }
            }
            Err(error) => {
                self.counters.lose("write_error", part.records);
                self.fail(&part.path, &error);
            }
        }
    }

    /// Tells of the first of several failures.
    fn fail(&mut self, path: &Path, error: &io::Error) {
        let path = path.display();
        self.error.get_or_insert_with(|| format!("{path}: {error}"));
        if !self.failing {
            self.failing = true;
            self.notices.push(format!("-P: {path}: {error}; records are lost until it can be written to"));
        }
    }
}

impl Sink for Rotate {
    fn send(&mut self, messages: &Messages) {
        self.counters.take(messages);
        for (message, records) in messages.iter() {
            self.take(message, records);
        }
    }

    fn tick(&mut self) {
        // Small gzip members would compress badly, and nobody reads a file that is not complete.
        if !self.options.gzip {
            self.write();
        }
        if let Some(hook) = &mut self.hook {
            hook.tick();
        }
    }

    fn close(&mut self) {
        self.complete();
        if let Some(hook) = &mut self.hook {
            hook.finish(COMMANDS_TIME);
        }
    }

    fn counters(&self) -> Counters {
        let queued = self.block_records + self.part.as_ref().map_or(0, |part| part.records);
        Counters { queued, ..self.counters.clone() }
    }

    fn clock(&mut self, now: Nanos) {
        self.rotate(now);
    }

    fn turns(&self, now: Nanos) -> bool {
        let interval = now.seconds() / self.options.interval.as_secs();
        let same = |current: u64| interval == current || interval.checked_add(1) == Some(current);
        !self.interval.is_none_or(same)
    }

    fn failure(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        Some(format!("-P: {} records were not written: {error}", self.counters.lost_to("write_error")))
    }

    fn cut(&mut self) {
        self.complete();
    }

    fn begin_with(&mut self, header: &[u8]) {
        self.options.header.clear();
        self.options.header.extend_from_slice(header);
    }

    fn notices(&mut self) -> Vec<String> {
        let mut notices = core::mem::take(&mut self.notices);
        notices.extend(self.hook.iter_mut().flat_map(Hook::notices));
        notices
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("flowsonde-rotate-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        directory
    }

    fn lines(from: usize, count: usize) -> Messages {
        let mut messages = Messages::default();
        for number in from..from + count {
            messages.buffer().extend(format!("{number}\n").bytes());
            messages.finish(1);
        }
        messages
    }

    /// Every file below, with its text, in order of name.
    fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
        fn walk(at: &Path, root: &Path, found: &mut Vec<(String, Vec<u8>)>) {
            for entry in fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, root, found);
                } else {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                    found.push((name, fs::read(&path).unwrap()));
                }
            }
        }
        let mut found = Vec::new();
        walk(directory, directory, &mut found);
        found.sort();
        found
    }

    fn texts(directory: &Path) -> Vec<(String, String)> {
        files(directory).into_iter().map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap())).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    /// 2024-02-29 12:01:00
    const NOON: u64 = 1_709_208_060;

    #[test]
    fn a_file_an_interval_whole_when_named() {
        let directory = directory("interval");
        let mut sink = Rotate::open(&directory, Options { header: b"#\n".to_vec(), ..Options::default() }).unwrap();
        sink.clock(Nanos::new(NOON + 5, 0));
        sink.send(&lines(0, 2));
        sink.clock(Nanos::new(NOON + 59, 999_999_999));
        sink.send(&lines(2, 1));
        sink.tick();
        let first = "2024/02/29/12/01/20240229T120100Z.flows";
        assert_eq!(texts(&directory), pairs(&[(&format!("{first}.tmp"), "#\n0\n1\n2\n")]));
        assert_eq!((sink.counters().queued, sink.counters().delivered), (3, 0));
        assert!(sink.counters().balanced());

        sink.clock(Nanos::new(NOON + 60, 0));
        assert_eq!(texts(&directory), pairs(&[(first, "#\n0\n1\n2\n")]));
        assert_eq!((sink.counters().queued, sink.counters().delivered), (0, 3));
        sink.clock(Nanos::new(NOON + 180, 0)); // nothing came in between
        sink.send(&lines(3, 1));
        sink.clock(Nanos::new(NOON + 179, 0)); // out of order: stays
        sink.send(&lines(4, 1));
        sink.close();
        let second = "2024/02/29/12/04/20240229T120400Z.flows";
        assert_eq!(texts(&directory), pairs(&[(first, "#\n0\n1\n2\n"), (second, "#\n3\n4\n")]));
        let counters = sink.counters();
        assert!(counters.balanced() && counters.delivered == 5 && counters.bytes == 14, "{counters:?}");
        assert!(sink.notices().is_empty());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn flat_full_and_already_there() {
        let directory = directory("full");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("20240229T120000Z.json"), "old").unwrap();
        fs::write(directory.join("20240229T120000Z-2.json.tmp"), "crash").unwrap();
        let options = Options {
            nest: false,
            extension: "json".into(),
            interval: Duration::from_secs(300),
            most_records: Some(2),
            ..Options::default()
        };
        let mut sink = Rotate::open(&directory, options).unwrap();
        sink.rotate(Nanos::new(NOON, 0));
        sink.send(&lines(0, 5));
        sink.close();
        let expected = [
            ("20240229T120000Z-1.json", "0\n1\n"),
            ("20240229T120000Z-2.json.tmp", "crash"),
            ("20240229T120000Z-3.json", "2\n3\n"),
            ("20240229T120000Z-4.json", "4\n"),
            ("20240229T120000Z.json", "old"),
        ];
        assert_eq!(texts(&directory), pairs(&expected));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn an_earlier_capture_gets_its_own_file() {
        let directory = directory("earlier");
        let mut sink = Rotate::open(&directory, Options { nest: false, ..Options::default() }).unwrap();
        for (number, seconds) in [NOON, NOON + 600, NOON].into_iter().enumerate() {
            sink.rotate(Nanos::new(seconds, 0));
            sink.send(&lines(number, 1));
        }
        sink.close();
        let names: Vec<_> = texts(&directory).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["20240229T120100Z-1.flows", "20240229T120100Z.flows", "20240229T121100Z.flows"]);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn gzip_members_read_as_one() {
        let directory = directory("gzip");
        let options = Options {
            gzip: true,
            nest: false,
            extension: "flows.gz".into(),
            header: b"head\n".to_vec(),
            ..Options::default()
        };
        let mut sink = Rotate::open(&directory, options).unwrap();
        sink.rotate(Nanos::new(NOON, 0));
        let all = lines(0, 300_000);
        sink.send(&all);
        sink.tick();
        assert!(sink.counters().balanced());
        sink.close();
        let found = files(&directory);
        let (name, bytes) = found.first().unwrap();
        assert_eq!((name.as_str(), found.len()), ("20240229T120100Z.flows.gz", 1));
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
        assert!(text.strip_prefix(b"head\n") == Some(all.bytes()));
        assert_eq!(sink.counters().delivered, 300_000);
        assert_eq!(sink.counters().bytes, bytes.len() as u64);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn command_is_run_with_the_final_path() {
        let directory = directory("command");
        let command = Command {
            program: "sh".into(),
            arguments: vec!["-c".into(), "test -f \"$0\" && mv \"$0\" \"$0.seen\"".into()],
        };
        let options = Options { nest: false, command: Some(command), ..Options::default() };
        let mut sink = Rotate::open(&directory, options).unwrap();
        for minute in 0..3 {
            sink.clock(Nanos::new(NOON + minute * 60, 0));
            sink.send(&lines(0, 1));
            sink.tick();
        }
        sink.close();
        let expected = ["20240229T120100Z.flows.seen", "20240229T120200Z.flows.seen", "20240229T120300Z.flows.seen"];
        // On a slow machine a command may outlast the sink.
        let began = std::time::Instant::now();
        loop {
            let names: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            if names.iter().all(|name| name.to_string_lossy().ends_with(".seen"))
                || began.elapsed() > Duration::from_secs(60)
            {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let names: Vec<_> = texts(&directory).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, expected);
        assert!(sink.notices().is_empty());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn full_disk_is_counted_and_leaves_no_torn_file() {
        let directory = directory("full-disk");
        let options = Options { nest: false, header: b"#\n".to_vec(), ..Options::default() };
        let mut sink = Rotate::open(&directory, options).unwrap();
        sink.rotate(Nanos::new(NOON, 0));
        sink.send(&lines(0, 1));
        sink.tick();
        let good = core::mem::replace(
            &mut sink.part.as_mut().unwrap().file,
            OpenOptions::new().append(true).open("/dev/full").unwrap(),
        );
        for _ in 0..2 {
            sink.send(&lines(1, 2));
            sink.tick();
        }
        assert_eq!(sink.counters().lost, [("write_error", 4)]);
        assert!(sink.counters().balanced());
        sink.part.as_mut().unwrap().file = good;
        sink.send(&lines(7, 1));
        sink.close();
        assert_eq!(texts(&directory), pairs(&[("20240229T120100Z.flows", "#\n0\n7\n")]));
        assert!(sink.counters().balanced() && sink.counters().delivered == 2);
        let said = sink.notices();
        assert!(said.len() == 1 && said[0].contains("No space left"), "{said:?}");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn directory_that_vanishes_is_counted_and_made_again() {
        let directory = directory("vanish");
        let mut sink = Rotate::open(&directory, Options { header: b"#\n".to_vec(), ..Options::default() }).unwrap();
        sink.rotate(Nanos::new(NOON, 0));
        sink.send(&lines(0, 1));
        sink.tick();
        fs::remove_dir_all(&directory).unwrap();
        sink.rotate(Nanos::new(NOON + 60, 0));
        assert_eq!(sink.counters().lost, [("write_error", 1)]);
        sink.send(&lines(1, 1));
        sink.close();
        assert_eq!(texts(&directory), pairs(&[("2024/02/29/12/02/20240229T120200Z.flows", "#\n1\n")]));
        assert!(sink.counters().balanced());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn wrong_settings_are_told_at_start() {
        let error = |directory: &str, options| Rotate::open(Path::new(directory), options).err().unwrap().to_string();
        let said = error("/proc/nowhere", Options::default());
        assert!(said.starts_with("-P /proc/nowhere: ") && said.contains("; name a directory"), "{said}");
        let said = error("/tmp", Options { interval: Duration::ZERO, ..Options::default() });
        assert!(said.starts_with("-F 0: "), "{said}");
    }
}
