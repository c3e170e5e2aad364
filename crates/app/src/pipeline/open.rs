//! Opens every output that was asked for.

use std::path::Path;
use std::sync::Arc;

use flowsonde_elements::{Element, Template};
use flowsonde_engine::encode::{self, Encode, Error};
use flowsonde_engine::fill::{self, Env, Tells};
use flowsonde_engine::transcode::complete;
use flowsonde_io::sink::file::File;
use flowsonde_io::sink::hook::Command;
use flowsonde_io::sink::locked::Locked;
use flowsonde_io::sink::pace::Pace;
use flowsonde_io::sink::resolve::resolve;
use flowsonde_io::sink::rotate::{self, Rotate};
use flowsonde_io::sink::tcp::{self, Tcp};
use flowsonde_io::sink::udp::{self, Udp};
use flowsonde_io::sink::{self, Sink};

use super::Signal;
use super::ntopng::{self, Home, Ntopng};
use super::outputs::{Output, Outputs};
use super::setup::Plan;
use super::summary::Summary;
use crate::flags::Options;
use crate::flags::export::{Export, Version};
use crate::flags::output::DumpFormat;
use crate::flags::value::{self, Collector, Transport};
use crate::flags::zmq::Format;
use crate::log;
use crate::stop::Stop;

/// Opens them. `patient` where nothing is lost by waiting, until there is the signal: when reading captures.
pub(super) fn open_outputs(
    options: &Options,
    plan: &Plan,
    source: &str,
    patient: bool,
    signal: &Signal,
) -> Result<Outputs, Stop> {
    let file = |file: File| if patient { file.patient(Arc::clone(signal)) } else { file };
    let formats = Formats { options, plan };
    let mut local = Vec::new();
    for (name, target) in options.output.streams() {
        let sink = match target {
            value::Sink::Stdout => File::stdout(&format!("--{name}")),
            // Cut back to what is settled, it goes on.
            value::Sink::File(path) if options.collect.relay_state.is_some() => {
                File::append(&format!("--{name}"), path).map_err(failed)?
            }
            value::Sink::File(path) => File::create(&format!("--{name}"), path).map_err(failed)?,
        };
        local.push(Output::new(name, formats.start(name, usize::MAX, true)?, Box::new(file(sink))));
    }
    if let Some(path) = &options.output.ipfix_file {
        let sink = File::create("--ipfix-file", path).map_err(failed)?;
        local.push(Output::new("ipfix-file", formats.start("ipfix-file", usize::MAX, true)?, Box::new(file(sink))));
    }
    if let Some(directory) = &options.output.dump_path {
        local.push(open_dump(&formats, directory, patient.then_some(signal))?);
    }
    if !options.zmq.endpoints.is_empty() {
        let home = Home { interface: source.to_owned(), address: plan.env.address.into() };
        let ntopng = Ntopng::open(options, home, complete(&plan.template).iter(), patient)?;
        let encoder = formats.start(format_for_ntopng(options), usize::MAX, true)?;
        local.push(Output::to_ntopng(ntopng::name(options), encoder, ntopng));
    }
    let mut collectors = Vec::new();
    tell_left_out(options, &plan.template);
    for collector in &options.export.collectors {
        collectors.push(open_collector(&formats, collector, patient, signal)?);
    }
    let env = Env { interface_name: source.to_owned(), ..plan.env.clone() };
    Ok(Outputs::new(env, local, collectors)
        .dealing(options.export.all_collectors, options.cache.sampling.export)
        .with_summary(options.summarises().then(|| Summary::new(options.cache.max_flows, Arc::clone(&plan.env.names)))))
}

/// Refuses a template that no message of a format asked for can hold.
pub(super) fn check(options: &Options, plan: &Plan) -> Result<(), Stop> {
    let formats = Formats { options, plan };
    for (name, _) in options.output.streams() {
        formats.start(name, usize::MAX, true)?;
    }
    if options.output.ipfix() {
        formats.start("ipfix-file", usize::MAX, true)?;
    }
    if !options.export.collectors.is_empty() {
        formats.start(format_of(&options.export), options.export.payload(false).0 as usize, false)?;
    }
    Ok(())
}

pub(super) fn failed(error: sink::Error) -> Stop {
    Stop::Failed(error.0)
}

/// Makes encoders.
struct Formats<'a> {
    options: &'a Options,
    plan: &'a Plan,
}

impl Formats<'_> {
    /// `stream`: the receiver misses nothing, so that templates need not come again, only what the probe tells of itself.
    fn start(&self, name: &str, max_message: usize, stream: bool) -> Result<Box<dyn Encode>, Stop> {
        let mut wanted = encoding(self.options, &self.plan.template, max_message, stream);
        wanted.collected = self.plan.collected;
        wanted.applications = self.plan.dpi.is_some() || self.plan.env.by_port.is_some();
        let format = encode::format(name).ok_or_else(|| Stop::Failed(format!("format {name} is not in this build")))?;
        (format.start)(&wanted).map_err(|error| refused(self.options, &self.plan.template, name, error))
    }
}

/// What encoders are told.
pub(super) fn encoding(options: &Options, template: &Template, max_message: usize, stream: bool) -> encode::Options {
    let export = &options.export;
    encode::Options {
        template: template.clone(),
        max_message,
        first_template_id: options.template.id,
        resend_messages: export.template_packets,
        resend_seconds: export.template_interval.0,
        stream,
        engine: (export.engine.kind, export.engine.id),
        domain: export.engine.domain(),
        min_flows: export.min_flows.unwrap_or(0).into(),
        queue_seconds: options.cache.queue_timeout.0,
        biflow: export.biflow,
        announced_sampling: 1,
        separator: options.output.separator,
        collected: false,
        applications: false,
        batching: ntopng::batching(options),
        labels: options.zmq.labels,
    }
}

/// A setting that an encoder of this format refused.
pub(super) fn refused(options: &Options, template: &Template, name: &str, error: Error) -> Stop {
    let flag = if matches!(error, Error::TemplateId { .. }) { "-U/--flow-templ-id" } else { "-T/--flow-templ" };
    match (Telling { options, template }).one_way() {
        Some(names) if error == Error::Nothing && name.starts_with("ipfix") => {
            Stop::Usage(format!("{flag}: IPFIX tells {names} only with --ipfix-biflow; give it too"))
        }
        _ => Stop::Usage(format!("{flag}: {error}")),
    }
}

/// Tells which elements that were asked for outputs leave out.
pub(super) fn tell_left_out(options: &Options, template: &Template) {
    let telling = Telling { options, template };
    if !options.export.collectors.is_empty() {
        telling.left_out(format_of(&options.export));
    } else if options.output.ipfix() {
        telling.left_out("ipfix-file");
    }
    if options.output.ipfix() || !options.export.collectors.is_empty() && options.export.version == Version::Ipfix {
        telling.one_way_only();
    }
}

/// What was asked for, and what of it is left out.
struct Telling<'a> {
    options: &'a Options,
    template: &'a Template,
}

impl Telling<'_> {
    /// Elements that were asked for and that IPFIX leaves out because a record tells one direction.
    fn one_way(&self) -> Option<String> {
        if self.options.export.biflow || self.options.template.fields.is_none() {
            return None;
        }
        let reverse = |element: &&Element| fill::row(element).is_some_and(|row| row.tells == Tells::Reverse);
        let names: Vec<_> = self.template.iter().filter(reverse).map(|element| element.name).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Tells, once, which elements that were asked for IPFIX leaves out because a record tells one direction.
    fn one_way_only(&self) {
        if let Some(names) = self.one_way() {
            let are = if names.contains(',') { "are" } else { "is" };
            log::warn(
                "one way",
                &format!("{names} {are} told in IPFIX only with --ipfix-biflow; each direction is a record of its own"),
            );
        }
    }

    /// Tells, once, which elements that were asked for an export format has no number for.
    fn left_out(&self, name: &str) {
        if self.options.template.fields.is_none() {
            return;
        }
        let numberless = |element: &&Element| match name {
            "netflow9" => element.v9_id().is_none(),
            "ipfix" | "ipfix-file" => element.ipfix_id().is_none(),
            _ => false,
        };
        let names: Vec<_> = self.template.iter().filter(numberless).map(|element| element.name).collect();
        // Of NetFlow v5 the options warn.
        if !names.is_empty() {
            let names = names.join(", ");
            log::warn("template", &format!("-T/--flow-templ: {name} has no number for {names}; left out there"));
        }
    }
}

/// Files in a directory, a new one every so often.
fn open_dump(formats: &Formats<'_>, directory: &Path, every: Option<&Signal>) -> Result<Output, Stop> {
    let output = &formats.options.output;
    let encoder = formats.start(dump_format(output.dump_format).0, usize::MAX, true)?;
    let sink = dump_sink(formats.options, directory, Vec::new(), every)?;
    let dump = Output::new(format!("dump {}", directory.display()), encoder, Box::new(sink)).by_time();
    Ok(if output.dump_format == DumpFormat::Binary { dump.of_sessions(output.max_lines.into()) } else { dump })
}

/// The encoder of dumped files, and how their names end.
pub(super) const fn dump_format(format: DumpFormat) -> (&'static str, &'static str) {
    match format {
        DumpFormat::Text => ("csv", "flows"),
        DumpFormat::CompressedText => ("csv", "flows.gz"),
        DumpFormat::Json => ("json", "json"),
        DumpFormat::Binary => ("ipfix-file", "ipfix"),
    }
}

/// The files themselves. Those of IPFIX are sessions each, and are ended by who knows what they begin with.
pub(super) fn dump_sink(
    options: &Options,
    directory: &Path,
    header: Vec<u8>,
    every: Option<&Signal>,
) -> Result<Rotate, Stop> {
    let output = &options.output;
    let wanted = rotate::Options {
        interval: output.dump_interval.duration(),
        nest: output.nest,
        extension: dump_format(output.dump_format).1.to_owned(),
        header,
        gzip: output.dump_format == DumpFormat::CompressedText,
        most_records: (output.dump_format != DumpFormat::Binary).then(|| output.max_lines.into()),
        command: output
            .dump_command
            .as_ref()
            .map(|command| Command { program: command.program.clone(), arguments: command.arguments.clone() }),
        every: every.cloned(),
    };
    Rotate::open(directory, wanted).map_err(failed)
}

fn open_collector(
    formats: &Formats<'_>,
    collector: &Collector,
    patient: bool,
    signal: &Signal,
) -> Result<Output, Stop> {
    let (sink, longest) = collector_sink(formats.options, collector, patient, signal)?;
    let format = format_of(&formats.options.export);
    let encoder = formats.start(format, longest, collector.transport == Transport::Tcp)?;
    Ok(Output::new(collector.to_string(), encoder, sink))
}

/// The way to a collector, and the longest message it takes.
pub(super) fn collector_sink(
    options: &Options,
    collector: &Collector,
    patient: bool,
    signal: &Signal,
) -> Result<(Box<dyn Sink>, usize), Stop> {
    let export = &options.export;
    let host = match &collector.host {
        value::Host::Addr(address) if address.is_ipv6() => format!("[{address}]"),
        host => host.to_string(),
    };
    let remotes = resolve("-n", &format!("{host}:{}", collector.port), Collector::PORT).map_err(failed)?;
    let local = match &export.sender {
        Some(sender) => {
            let host = match &sender.host {
                value::Host::Addr(address) if address.is_ipv6() => format!("[{address}]"),
                host => host.to_string(),
            };
            resolve("-q", &sender.port.map_or(host.clone(), |port| format!("{host}:{port}")), 0).map_err(failed)?
        }
        None => Vec::new(),
    };
    let v6 = remotes.first().is_some_and(|remote| remote.is_ipv6());
    let longest = export.payload(v6).0 as usize;
    let sink: Box<dyn Sink> = match collector.transport {
        Transport::Udp => {
            let pace =
                (export.pause.0 > 0).then(|| Pace { delay: export.pause.duration(), packets: export.pause_after });
            let wanted = udp::Options { local, patient, pace, hurry: Some(signal.clone()), ..udp::Options::default() };
            Box::new(Udp::open(&remotes, wanted).map_err(failed)?)
        }
        Transport::Tcp => {
            let wanted = tcp::Options { local, patient, ..tcp::Options::default() };
            Box::new(Tcp::open(remotes, wanted).map_err(failed)?)
        }
    };
    let sink: Box<dyn Sink> = match &export.lock {
        Some(file) => Box::new(Locked::new(sink, file.clone())),
        None => sink,
    };
    Ok((sink, longest))
}

fn format_for_ntopng(options: &Options) -> &'static str {
    match options.zmq.format {
        Format::Tlv => "ntopng-tlv",
        Format::Json => "ntopng-json",
    }
}

pub(super) fn format_of(export: &Export) -> &'static str {
    match export.version {
        Version::V5 => "netflow5",
        Version::V9 => "netflow9",
        Version::Ipfix => "ipfix",
    }
}
