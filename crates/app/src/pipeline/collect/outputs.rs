//! Where collected records go: one transcoder an output at every desk, one sink for all desks.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use flowsonde_elements::{Mode, Template};
use flowsonde_engine::encode::Messages;
use flowsonde_engine::transcode::{Aside, Home, JsonBatches, Lines, Plan, TlvBatches, Transcode, complete};
use flowsonde_io::sink::file::File;
use flowsonde_io::sink::hook::Command;
use flowsonde_io::sink::rotate::{self, Rotate};
use flowsonde_io::sink::{self, Sink};

use super::Parcel;
use crate::flags::Options;
use crate::flags::output::DumpFormat;
use crate::flags::value;
use crate::flags::zmq::Format;
use crate::log;
use crate::pipeline::ntopng::{self, Ntopng, Sums};
use crate::stop::Stop;

/// The order of outputs, the same for transcoders and sinks: `--json`, `-P`, `--zmq`.
pub fn transcoders(options: &Options) -> Result<Vec<Box<dyn Transcode>>, Stop> {
    let home = Home { address: [127, 0, 0, 1] };
    let mut transcoders: Vec<Box<dyn Transcode>> = Vec::new();
    let plain = plan(options, Plan::Everything)?;
    for _ in options.output.streams() {
        transcoders.push(Box::new(Lines::new(plain.clone(), home)));
    }
    if options.output.dump_path.is_some() {
        transcoders.push(Box::new(Lines::new(plain, home)));
    }
    if !options.zmq.endpoints.is_empty() {
        let plan = match plan(options, Plan::Ntopng)? {
            Plan::Template(template) => Plan::Template(complete(&template)),
            plan => plan,
        };
        let limits = ntopng::batching(options);
        let labels = options.zmq.labels;
        transcoders.push(match options.zmq.format {
            Format::Tlv => Box::new(TlvBatches::new(plan, home, labels, limits)),
            Format::Json => Box::new(JsonBatches::new(plan, home, labels, limits)),
        });
    }
    Ok(transcoders)
}

/// What an output tells: everything, else the template.
fn plan(options: &Options, everything: Plan) -> Result<Plan, Stop> {
    if options.collect.passthrough {
        return Ok(everything);
    }
    Ok(Plan::Template(template(options)?))
}

/// The template asked for, or the default.
pub fn template(options: &Options) -> Result<Template, Stop> {
    match &options.template.fields {
        None => Ok(Template::default()),
        Some(fields) => Template::parse(fields, Mode::Collector)
            .map_err(|error| Stop::Usage(format!("--flow-templ={fields}: {error}"))),
    }
}

/// A sink, and its name in the ledger.
pub struct Output {
    pub name: String,
    sink: Box<dyn Sink>,
}

impl Output {
    /// What the sink did.
    pub fn counters(&self) -> sink::Counters {
        self.sink.counters()
    }
}

/// Every sink.
pub struct Outputs {
    all: Vec<Output>,
    ntopng: Option<(String, Ntopng)>,
    ticked: Instant,
}

impl Outputs {
    /// Opens them. `patient` where nothing is lost by waiting: when reading captures.
    pub fn open(options: &Options, patient: bool) -> Result<Outputs, Stop> {
        let failed = |error: sink::Error| Stop::Failed(error.0);
        let mut all = Vec::new();
        for (name, target) in options.output.streams() {
            let sink = match target {
                value::Sink::Stdout => File::stdout(&format!("--{name}")),
                value::Sink::File(path) => File::create(&format!("--{name}"), path).map_err(failed)?,
            };
            all.push(Output { name: name.to_owned(), sink: Box::new(sink) });
        }
        if let Some(directory) = &options.output.dump_path {
            let output = &options.output;
            let command = output.dump_command.as_ref();
            let wanted = rotate::Options {
                interval: output.dump_interval.duration(),
                nest: output.nest,
                extension: "json".to_owned(),
                header: Vec::new(),
                gzip: false,
                most_records: Some(output.max_lines.into()).filter(|&lines: &u64| lines > 0),
                every: None,
                command: command.map(|c| Command { program: c.program.clone(), arguments: c.arguments.clone() }),
            };
            let sink = Rotate::open(directory, wanted).map_err(failed)?;
            all.push(Output { name: format!("dump {}", directory.display()), sink: Box::new(sink) });
        }
        let ntopng = match options.zmq.endpoints.as_slice() {
            [] => None,
            _ => Some((ntopng::name(options), open_ntopng(options, patient)?)),
        };
        Ok(Outputs { all, ntopng, ticked: Instant::now() })
    }

    /// Sends messages to the output of this number.
    pub fn send(&mut self, at: usize, messages: &Messages) {
        match self.all.get_mut(at) {
            Some(output) => output.sink.send(messages),
            None => {
                if let Some((_, ntopng)) = &mut self.ntopng {
                    ntopng.send(messages);
                }
            }
        }
    }

    /// Takes what a desk sends.
    pub fn take(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Messages(at, messages) => self.send(at, &messages),
            Parcel::Asides(asides) => self.asides(asides),
        }
    }

    /// Tells ntopng what exporters told besides flows.
    pub fn asides(&mut self, asides: Vec<Aside>) {
        if let Some((_, ntopng)) = &mut self.ntopng {
            asides.into_iter().for_each(|aside| ntopng.aside(aside));
        }
    }

    /// Whether [`Outputs::tick`] has something to do.
    pub fn due(&self) -> bool {
        self.ticked.elapsed() >= Duration::from_millis(50)
    }

    /// Writes what is queued, rotates, connects again.
    pub fn tick(&mut self) {
        self.ticked = Instant::now();
        for output in &mut self.all {
            output.sink.clock(super::now());
            output.sink.tick();
            for notice in output.sink.notices() {
                log::warn("output", &format!("{}: {notice}", output.name));
            }
        }
        if let Some((name, ntopng)) = &mut self.ntopng {
            ntopng.tick();
            for notice in ntopng.notices() {
                log::warn("output", &format!("{name}: {notice}"));
            }
        }
    }

    /// Tells ntopng how the collector is.
    pub fn event(&mut self, options: &Options, sums: impl FnOnce() -> Sums) {
        if let Some((_, ntopng)) = &mut self.ntopng {
            ntopng.event(options, sums);
        }
    }

    /// Sends all that is left.
    pub fn close(&mut self) {
        self.tick();
        for output in &mut self.all {
            output.sink.close();
        }
        if let Some((_, ntopng)) = &mut self.ntopng {
            ntopng.close();
        }
        for output in &mut self.all {
            for notice in output.sink.notices() {
                log::warn("output", &format!("{}: {notice}", output.name));
            }
        }
    }

    /// True when an output is gone for good.
    pub fn gone(&self) -> bool {
        self.all.iter().any(|output| output.sink.gone())
    }

    /// Every output by number: its name and what it did.
    pub fn counters(&self) -> impl Iterator<Item = (&str, sink::Counters)> {
        let ntopng = self.ntopng.iter().map(|(name, ntopng)| (name.as_str(), ntopng.counters()));
        self.all.iter().map(|output| (output.name.as_str(), output.counters())).chain(ntopng)
    }
}

fn open_ntopng(options: &Options, patient: bool) -> Result<Ntopng, Stop> {
    let home = ntopng::Home { interface: "collector".to_owned(), address: Ipv4Addr::LOCALHOST };
    if options.collect.passthrough {
        return Ntopng::open(options, home, flowsonde_elements::registry::all(), patient);
    }
    Ntopng::open(options, home, complete(&template(options)?).iter(), patient)
}

/// Refuses what collected records cannot be written to yet.
pub fn check(options: &Options) -> Result<(), Stop> {
    let no = |flag: &str| {
        Err(Stop::Usage(format!(
            "{flag}: this version writes collected flows as JSON (--json, -P with -D j) and to ntopng (--zmq)"
        )))
    };
    if options.output.csv.is_some() {
        return no("--csv");
    }
    if options.output.ipfix_file.is_some() {
        return no("--ipfix-file");
    }
    if !options.export.collectors.is_empty() {
        return no("--collector");
    }
    if options.output.dump_path.is_some() && options.output.dump_format != DumpFormat::Json {
        return no("--dump-path without -D j");
    }
    Ok(())
}
