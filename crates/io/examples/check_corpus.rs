//! Whether the header check takes every datagram of a corpus that the collector reads: `check_corpus CORPUS [CSV]`.
//!
//! Every capture and payload file under `CORPUS/netflow` and `CORPUS/sflow` goes through both. A datagram that is refused
//! has to be in the table, `CSV`, whose rows are: file, reason, how many, the cause. Rows that no longer occur fail too.
//!
//! Each datagram that passes is then damaged a hundred times: what passes still, the collector has to read in full, too.
//! NetFlow v9 and sFlow it only has to take, as there it minds zeros behind the end and what samples are of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use flowsonde_engine::decode::Collector;
use flowsonde_engine::decode::collector::Config;
use flowsonde_engine::decode::records::{Receive, Set, Taken};
use flowsonde_io::source::exports::{Captures, Exports, Ports, Take};
use flowsonde_io::source::{Input, Poll};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::check::{Format, check, template_sets};
use flowsonde_wire::export::{Datagram, Transport};

const TABLE: &str = "tests/conformance/differences-check.csv";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(corpus) = arguments.next() else {
        eprintln!("check_corpus: give the folder of the corpus");
        return ExitCode::FAILURE;
    };
    let table = arguments.next().unwrap_or_else(|| TABLE.to_owned());
    match run(Path::new(&corpus), Path::new(&table)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("check_corpus: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is refused, by file and reason: how many, of those how many the collector reads in full, the first ones.
type Refusals = BTreeMap<(String, &'static str), (u64, u64, String)>;

fn run(corpus: &Path, table: &Path) -> Result<bool, Box<dyn std::error::Error>> {
    let (mut passed, mut refused, mut files) = (BTreeMap::new(), Refusals::new(), Vec::new());
    let mut damage = Damage::default();
    for part in ["netflow", "sflow"] {
        collect(&corpus.join(part), &mut files)?;
    }
    files.sort();
    for file in &files {
        let name = file.strip_prefix(corpus)?.display().to_string();
        let mut both = Both {
            name,
            n: 0,
            collector: collector(),
            passed: &mut passed,
            refused: &mut refused,
            damage: &mut damage,
        };
        let mut source = Captures::open(vec![Input::File(file.clone())], Ports::Any, None, Nanos::new(1, 0))?;
        while source.poll(&mut both)? != Poll::End {}
    }
    let mut known = BTreeMap::new();
    for row in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
        let mut cells = row.splitn(4, ',');
        let (Some(file), Some(reason), Some(count), Some(_)) = (cells.next(), cells.next(), cells.next(), cells.next())
        else {
            return Err(format!("{}: not file,reason,how many,cause: {row}", table.display()).into());
        };
        known.insert((file.to_owned(), reason.to_owned()), count.parse::<u64>()?);
    }
    let mut failed = 0;
    for ((file, reason), (count, sound, first)) in &refused {
        if known.remove(&(file.clone(), (*reason).to_owned())) != Some(*count) {
            println!("{file},{reason},{count}, of which the collector reads {sound}; the first: {first}");
            failed += 1;
        }
    }
    for ((file, reason), count) in known {
        println!("{file},{reason},{count}: no longer so");
        failed += 1;
    }
    let refusals: u64 = refused.values().map(|(count, ..)| count).sum();
    println!("{} files, passed {passed:?}, refused {refusals}; {failed} differences", files.len());
    println!("of {} damaged ones {} pass; the collector does not read {}", damage.made, damage.passed, damage.unread);
    Ok(failed == 0 && damage.unread == 0 && !passed.is_empty())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let kind = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            collect(&path, files)?;
        } else if matches!(kind, Some("pcap" | "pcapng" | "cap" | "dat" | "bin" | "dump")) {
            files.push(path);
        }
    }
    Ok(())
}

fn collector() -> Collector {
    Collector::new(Config::default())
}

struct Both<'a> {
    name: String,
    n: u64,
    collector: Collector,
    passed: &'a mut BTreeMap<&'static str, u64>,
    refused: &'a mut Refusals,
    damage: &'a mut Damage,
}

/// Datagrams that were damaged.
#[derive(Default)]
struct Damage {
    state: u64,
    made: u64,
    passed: u64,
    unread: u64,
    bytes: Vec<u8>,
}

impl Damage {
    /// The next of numbers that are the same in every run (splitmix64).
    fn random(&mut self, below: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut n = self.state;
        n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (n ^ (n >> 31)) as usize % below.max(1)
    }

    /// Flips bits, sets bytes, cuts off, cuts out, adds, most often near the beginning, where headers are.
    fn damage(&mut self, whole: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(whole);
        for _ in 0..=self.random(3) {
            let within = if self.random(2) == 0 { self.bytes.len().min(100) } else { self.bytes.len() };
            let (at, value) = (self.random(within), self.random(256) as u8);
            match (self.random(6), self.bytes.get_mut(at)) {
                (0, Some(byte)) => *byte ^= 1 << (value % 8),
                (1, Some(byte)) => *byte = value,
                (2, Some(byte)) => *byte = [0, 1, 4, 0x7f, 0x80, 0xff][usize::from(value) % 6],
                (3, Some(_)) => self.bytes.truncate(at),
                (4, Some(_)) => drop(self.bytes.drain(at..(at + usize::from(value % 9)).min(self.bytes.len()))),
                _ => self.bytes.extend((0..value % 20).map(|n| n.wrapping_mul(value))),
            }
        }
    }

    /// Damages a datagram a hundred times.
    fn go(&mut self, whole: &Datagram<'_>) {
        let mut collector = collector();
        for _ in 0..100 {
            self.damage(whole.bytes);
            if self.bytes == whole.bytes {
                continue;
            }
            self.made += 1;
            let Ok(checked) = check(&self.bytes) else { continue };
            self.passed += 1;
            let read = collector.message(&Datagram { bytes: &self.bytes, ..*whole }, &mut Nobody).is_ok();
            let lenient = matches!(checked.format, Format::NetFlow9 | Format::Sflow5);
            if !read || !(lenient || collector.is_sound()) {
                self.unread += 1;
                println!("damaged, passed, not read: {checked:?} {:02x?}", self.bytes);
            }
        }
    }
}

impl Take for Both<'_> {
    fn datagrams(&mut self, batch: &[Datagram<'_>]) {
        for datagram in batch.iter().filter(|datagram| datagram.transport == Transport::Udp) {
            self.n += 1;
            let read = self.collector.message(datagram, &mut Nobody).is_ok();
            let sound = read && self.collector.is_sound();
            match check(datagram.bytes) {
                Ok(checked) => {
                    assert_eq!(checked.templates, template_sets(datagram.bytes).next().is_some(), "{}", self.name);
                    *self.passed.entry(checked.format.name()).or_default() += 1;
                    self.damage.go(datagram);
                }
                Err(refused) => {
                    let head: String = datagram.bytes.iter().take(24).map(|byte| format!("{byte:02x}")).collect();
                    let first = format!("no. {}, {} bytes, {head}", self.n, datagram.bytes.len());
                    let entry = self.refused.entry((self.name.clone(), refused.name())).or_insert((0, 0, first));
                    entry.0 += 1;
                    entry.1 += u64::from(sound);
                }
            }
        }
    }

    fn closed(&mut self, _: Transport, _: std::net::SocketAddr, _: u16) {}
}

struct Nobody;

impl Receive for Nobody {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        let (mut spans, mut rest, mut records) = (Default::default(), set.bytes, 0);
        while let Some((_, after)) = set.layout.split(rest, &mut spans) {
            (rest, records) = (after, records + 1);
        }
        Taken { records, rest: rest.len() }
    }
}
