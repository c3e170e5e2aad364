//! Where collected records go: one transcoder an output at every desk, one sink for all desks.

use std::time::{Duration, Instant};

use flowsonde_elements::{Mode, Template};
use flowsonde_engine::encode::Messages;
use flowsonde_engine::transcode::{Batching, Home, JsonBatches, Lines, Plan, TlvBatches, Transcode};
use flowsonde_io::sink::file::File;
use flowsonde_io::sink::hook::Command;
use flowsonde_io::sink::rotate::{self, Rotate};
use flowsonde_io::sink::zmq::{self, Topic, Zmq};
use flowsonde_io::sink::{self, Sink};

use super::books::Sums;
use super::ntopng;
use crate::flags::Options;
use crate::flags::output::DumpFormat;
use crate::flags::value;
use crate::flags::zmq::{Format, Header};
use crate::log;
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
        let plan = plan(options, Plan::Ntopng)?;
        let limits = Batching { records: options.zmq.batch.into(), ..Batching::default() };
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
    zmq: Option<(String, Zmq)>,
    ntopng: ntopng::Teller,
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
        let zmq = match options.zmq.endpoints.as_slice() {
            [] => None,
            endpoints => Some((format!("zmq {}", endpoints.join(",")), open_zmq(options, patient)?)),
        };
        let ntopng = ntopng::Teller::new(options)?;
        Ok(Outputs { all, zmq, ntopng, ticked: Instant::now() })
    }

    /// Sends messages to the output of this number.
    pub fn send(&mut self, at: usize, messages: &Messages) {
        match self.all.get_mut(at) {
            Some(output) => output.sink.send(messages),
            None => {
                if let Some((_, zmq)) = &mut self.zmq {
                    zmq.send(messages);
                }
            }
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
        if let Some((name, zmq)) = &mut self.zmq {
            zmq.tick();
            if zmq.renewed() {
                self.ntopng.renew();
            }
            self.ntopng.tell(zmq);
            for notice in zmq.notices() {
                log::warn("output", &format!("{name}: {notice}"));
            }
        }
    }

    /// Whether [`Outputs::event`] is due: its sums are not to be had for nothing.
    pub fn wants_event(&self) -> bool {
        self.zmq.is_some() && self.ntopng.event_due()
    }

    /// Tells ntopng how the collector is.
    pub fn event(&mut self, sums: &Sums, options: &Options) {
        if let Some((_, zmq)) = &mut self.zmq
            && let Some(text) = self.ntopng.event(sums, options)
        {
            zmq.publish(Topic::Event, text.as_bytes(), 0);
        }
    }

    /// Sends all that is left.
    pub fn close(&mut self) {
        self.tick();
        for output in &mut self.all {
            output.sink.close();
        }
        if let Some((_, zmq)) = &mut self.zmq {
            zmq.close();
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
        let zmq = self.zmq.iter().map(|(name, zmq)| (name.as_str(), zmq.counters()));
        self.all.iter().map(|output| (output.name.as_str(), output.counters())).chain(zmq)
    }
}

fn open_zmq(options: &Options, patient: bool) -> Result<Zmq, Stop> {
    let failed = |error: sink::Error| Stop::Failed(error.0);
    let flags = &options.zmq;
    let wanted = zmq::Options {
        connect: flags.probe_mode,
        header: match flags.header {
            Header::V1 => zmq::Header::V1,
            Header::V2 => zmq::Header::V2,
            Header::V4 => zmq::Header::V4,
        },
        compress: !flags.plain,
        server_key: match &flags.key {
            Some(key) => Some(zmq::server_key(key).map_err(|error| Stop::Usage(error.0))?),
            None => None,
        },
        password: flags.password.clone(),
        fanout: flags.fanout,
        patient,
        ..zmq::Options::default()
    };
    if flags.format == Format::Json {
        log::warn("zmq", "--zmq-format=j: ntopng Community 6 and later ignores flows in JSON");
    }
    Zmq::open(&flags.endpoints, &wanted).map_err(failed)
}

/// Refuses what collected records cannot be written to yet.
///
/// Merged flows go to whatever the probe's go to.
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
