//! Where collected records go: one transcoder an output at every desk, one sink for all desks.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use flowsonde_engine::encode::{self, Messages};
use flowsonde_engine::transcode::{Announced, Aside, complete};
use flowsonde_io::sink::file::File;
use flowsonde_io::sink::{self, Sink};
use flowsonde_wire::Nanos;

use super::books::{self, Account};
use super::lines::{LineDid, Lines, Parcel};
use super::transcoders::{Writes, template};
use super::way::Ends;
use crate::flags::Options;
use crate::flags::output::DumpFormat;
use crate::flags::value::{self, Transport};
use crate::ledger::Ledger;
use crate::log;
use crate::pipeline::ntopng::{self, Ntopng, Sums};
use crate::pipeline::outputs::failure;
use crate::pipeline::{Signal, open};
use crate::stop::Stop;

/// How often sinks are looked after.
const TICK: Duration = Duration::from_millis(50);

/// A sink, and its name in the ledger.
pub struct Output {
    pub name: String,
    sink: Box<dyn Sink>,
    /// What has to be told again: in the next file, or when a connection is made again.
    announced: Option<Announced>,
    /// Most records of a file of which each begins with all that was announced.
    most: Option<u64>,
    /// Records in that file.
    records: u64,
}

impl Output {
    fn new(name: impl Into<String>, sink: Box<dyn Sink>) -> Output {
        Output { name: name.into(), sink, announced: None, most: None, records: 0 }
    }

    fn announcing(self) -> Output {
        Output { announced: Some(Announced::default()), ..self }
    }

    /// What the sink did.
    pub fn counters(&self) -> sink::Counters {
        self.sink.counters()
    }

    fn send(&mut self, messages: &Messages) {
        match self.most {
            Some(most) if self.records + messages.records() > most => self.send_parted(messages, most),
            _ => self.send_whole(messages),
        }
    }

    fn send_whole(&mut self, messages: &Messages) {
        self.sink.send(messages);
        self.records += messages.records();
        if let Some(announced) = &mut self.announced {
            announced.see(messages);
        }
    }

    /// Files end between messages.
    fn send_parted(&mut self, messages: &Messages, most: u64) {
        let mut one = Messages::default();
        for (message, records) in messages.iter() {
            one.clear();
            one.buffer().extend_from_slice(message);
            one.finish(records);
            if self.records > 0 && self.records + u64::from(records) > most {
                self.turn();
                self.sink.cut();
            }
            self.send_whole(&one);
        }
    }

    /// The next file begins with all that was announced.
    fn turn(&mut self) {
        self.records = 0;
        if let Some(announced) = &self.announced {
            let mut again = Messages::default();
            announced.again(&mut again);
            self.sink.begin_with(again.bytes());
        }
    }

    /// Tells the time, by which files end.
    fn clock(&mut self, now: Nanos) {
        if self.sink.turns(now) {
            self.turn();
        }
        self.sink.clock(now);
    }

    fn tick(&mut self) {
        self.sink.tick();
        if self.sink.renewed()
            && let Some(announced) = &self.announced
        {
            let mut again = Messages::default();
            announced.again(&mut again);
            if !again.is_empty() {
                self.sink.send(&again);
            }
        }
        self.notices();
    }

    fn close(&mut self) {
        self.sink.close();
        self.notices();
    }

    fn notices(&mut self) {
        for notice in self.sink.notices() {
            // It begins with the option and its value.
            log::warn(format!("output {}", self.name), &notice);
        }
    }
}

/// Every sink.
pub struct Outputs {
    all: Vec<Output>,
    ntopng: Option<(String, Ntopng)>,
    /// What each of them writes, by number.
    writes: Vec<Writes>,
    ticked: Instant,
}

impl Outputs {
    /// Every output by number: its name and what it did.
    pub fn counters(&self) -> impl Iterator<Item = (&str, sink::Counters)> {
        let ntopng = self.ntopng.iter().map(|(name, ntopng)| (name.as_str(), ntopng.counters()));
        self.all.iter().map(|output| (output.name.as_str(), output.counters())).chain(ntopng)
    }

    fn tick_all(&mut self) {
        self.ticked = Instant::now();
        for output in &mut self.all {
            output.tick();
        }
        if let Some((name, ntopng)) = &mut self.ntopng {
            ntopng.tick();
            for notice in ntopng.notices() {
                log::warn(format!("output {name}"), &notice);
            }
        }
    }
}

impl Ends for Outputs {
    type Way = Lines;

    fn open(options: &Options, _: &str, patient: bool, signal: &Signal) -> Result<Outputs, Stop> {
        let failed = |error: sink::Error| Stop::Failed(error.0);
        let (mut all, mut writes) = (Vec::new(), Vec::new());
        let template = template(options)?;
        open::tell_left_out(options, &template);
        for (name, target) in options.output.streams() {
            let sink = match target {
                value::Sink::Stdout => File::stdout(&format!("--{name}")),
                // Cut back to what is settled, it goes on.
                value::Sink::File(path) if options.collect.relay_state.is_some() => {
                    File::append(&format!("--{name}"), path).map_err(failed)?
                }
                value::Sink::File(path) => File::create(&format!("--{name}"), path).map_err(failed)?,
            };
            let mut output = Output::new(name, Box::new(sink));
            if name == "csv" {
                let mut names = Messages::default();
                names.buffer().extend_from_slice(&encode::names(&template, options.output.separator));
                names.finish(0);
                output.send(&names);
            }
            all.push(output);
            writes.push(Writes::stream(name));
        }
        if let Some(path) = &options.output.ipfix_file {
            let sink = File::create("--ipfix-file", path).map_err(failed)?;
            all.push(Output::new("ipfix-file", Box::new(sink)));
            writes.push(Writes::IpfixFile);
        }
        if let Some(directory) = &options.output.dump_path {
            let format = options.output.dump_format;
            let header = match format {
                DumpFormat::Text | DumpFormat::CompressedText => encode::names(&template, options.output.separator),
                DumpFormat::Json | DumpFormat::Binary => Vec::new(),
            };
            let sink = open::dump_sink(options, directory, header, patient.then_some(signal))?;
            let output = Output::new(format!("dump {}", directory.display()), Box::new(sink));
            all.push(match format {
                DumpFormat::Binary => Output { most: Some(options.output.max_lines.into()), ..output.announcing() },
                _ => output,
            });
            writes.push(Writes::dump(format));
        }
        for collector in &options.export.collectors {
            let (sink, longest) = open::collector_sink(options, collector, patient, signal)?;
            let stream = collector.transport == Transport::Tcp;
            let output = Output::new(collector.to_string(), sink);
            // After a lock, too, it is a new session.
            let renewed = stream || options.export.lock.is_some();
            all.push(if renewed { output.announcing() } else { output });
            writes.push(Writes::Collector { longest, stream });
        }
        let ntopng = match options.zmq.endpoints.as_slice() {
            [] => None,
            _ => {
                writes.push(Writes::Zmq);
                Some((ntopng::name(options), open_ntopng(options, patient)?))
            }
        };
        Ok(Outputs { all, ntopng, writes, ticked: Instant::now() })
    }

    fn way(&self, options: &Options, number: usize, _: usize) -> Result<Lines, Stop> {
        Lines::new(options, number, &self.writes)
    }

    fn take(&mut self, parcel: Parcel) {
        match self.all.get_mut(parcel.at) {
            Some(output) => output.send(&parcel.messages),
            None => {
                if let Some((_, ntopng)) = &mut self.ntopng {
                    ntopng.send(&parcel.messages);
                }
            }
        }
        parcel.done();
    }

    fn asides(&mut self, asides: Vec<Aside>) {
        if let Some((_, ntopng)) = &mut self.ntopng {
            asides.into_iter().for_each(|aside| ntopng.aside(aside));
        }
    }

    fn clock(&mut self, now: Nanos) {
        for output in self.all.iter_mut().filter(|_| now > Nanos(0)) {
            output.clock(now);
        }
    }

    fn tick(&mut self, now: Nanos) {
        if self.ticked.elapsed() >= TICK {
            self.clock(now);
            self.tick_all();
        }
    }

    fn settle(&mut self, now: Nanos) {
        self.clock(now);
        self.tick_all();
    }

    fn event(&mut self, options: &Options, sums: impl Fn() -> Sums) {
        if let Some((_, ntopng)) = &mut self.ntopng {
            ntopng.event(options, sums);
        }
    }

    fn gone(&self) -> bool {
        self.all.iter().any(|output| output.sink.gone())
    }

    fn close(&mut self, _: Nanos) {
        self.tick_all();
        for output in &mut self.all {
            output.close();
        }
        if let Some((_, ntopng)) = &mut self.ntopng {
            ntopng.close();
        }
    }

    fn outcome(&self) -> Result<(), Stop> {
        let all = self.all.iter().zip(&self.writes);
        let failures: Vec<String> =
            all.filter_map(|(output, writes)| failure(&output.name, &*output.sink, writes.is_collector())).collect();
        if failures.is_empty() { Ok(()) } else { Err(Stop::Failed(failures.join("; "))) }
    }

    fn stages(&self, accounts: &[Account<Vec<LineDid>>], ledger: &mut Ledger) {
        books::sent(ledger, accounts, self);
    }
}

fn open_ntopng(options: &Options, patient: bool) -> Result<Ntopng, Stop> {
    let home = ntopng::Home { interface: "collector".to_owned(), address: Ipv4Addr::LOCALHOST };
    if options.collect.passthrough {
        return Ntopng::open(options, home, flowsonde_elements::registry::all(), patient);
    }
    Ntopng::open(options, home, complete(&template(options)?).iter(), patient)
}
