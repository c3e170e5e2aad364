//! Opens every output that was asked for.

use std::path::Path;
use std::sync::Arc;

use flowsonde_elements::Element;
use flowsonde_engine::encode::{self, Encode, Error};
use flowsonde_engine::fill::Env;
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
use super::outputs::{Output, Outputs};
use super::setup::Plan;
use super::summary::Summary;
use crate::flags::Options;
use crate::flags::export::{Export, Version};
use crate::flags::output::DumpFormat;
use crate::flags::value::{self, Collector, Transport};
use crate::log;
use crate::stop::Stop;

/// Opens them. With the signal where nothing is lost by waiting until it comes: when reading captures.
pub(super) fn open_outputs(
    options: &Options,
    plan: &Plan,
    source: &str,
    signal: Option<&Signal>,
) -> Result<Outputs, Stop> {
    let patient = |file: File| match signal {
        Some(signal) => file.patient(Arc::clone(signal)),
        None => file,
    };
    let formats = Formats { options, plan };
    let mut local = Vec::new();
    for (name, target) in options.output.streams() {
        let sink = match target {
            value::Sink::Stdout => File::stdout(&format!("--{name}")),
            value::Sink::File(path) => File::create(&format!("--{name}"), path).map_err(failed)?,
        };
        local.push(Output::new(name, formats.start(name, usize::MAX, true)?, Box::new(patient(sink))));
    }
    if let Some(path) = &options.output.ipfix_file {
        let sink = File::create("--ipfix-file", path).map_err(failed)?;
        local.push(Output::new("ipfix-file", formats.start("ipfix-file", usize::MAX, true)?, Box::new(patient(sink))));
    }
    if let Some(directory) = &options.output.dump_path {
        local.push(open_dump(&formats, directory)?);
    }
    let mut collectors = Vec::new();
    if !options.export.collectors.is_empty() {
        formats.tell_left_out(format_of(&options.export));
    } else if options.output.ipfix_file.is_some() {
        formats.tell_left_out("ipfix-file");
    }
    for collector in &options.export.collectors {
        collectors.push(open_collector(&formats, collector, signal.is_some())?);
    }
    let env = Env { interface_name: source.to_owned(), ..plan.env.clone() };
    Ok(Outputs::new(env, local, collectors)
        .dealing(options.export.all_collectors, options.cache.sampling.export)
        .with_summary(options.summarises().then(Summary::default)))
}

fn failed(error: sink::Error) -> Stop {
    Stop::Failed(error.0)
}

/// Makes encoders.
struct Formats<'a> {
    options: &'a Options,
    plan: &'a Plan,
}

impl Formats<'_> {
    /// `stream`: the receiver misses nothing, so that templates need not come again.
    fn start(&self, name: &str, max_message: usize, stream: bool) -> Result<Box<dyn Encode>, Stop> {
        let export = &self.options.export;
        let wanted = encode::Options {
            template: self.plan.template.clone(),
            max_message,
            first_template_id: self.options.template.id,
            resend_messages: if stream { 0 } else { export.template_packets },
            resend_seconds: if stream { 0 } else { export.template_interval.0 },
            engine: (export.engine.kind, export.engine.id),
            domain: export.engine.domain(),
            min_flows: export.min_flows.unwrap_or(0).into(),
            queue_seconds: self.options.cache.queue_timeout.0,
            biflow: export.biflow,
            announced_sampling: 1,
            separator: self.options.output.separator,
        };
        let format = encode::format(name).ok_or_else(|| Stop::Failed(format!("format {name} is not in this build")))?;
        (format.start)(&wanted).map_err(|error| {
            let flag = if matches!(error, Error::TemplateId { .. }) { "--flow-templ-id" } else { "--flow-templ" };
            Stop::Usage(format!("{flag}: {error}"))
        })
    }

    /// Tells, once, which elements that were asked for an export format has no number for.
    fn tell_left_out(&self, name: &str) {
        if self.options.template.fields.is_none() {
            return;
        }
        let numberless = |element: &&Element| match name {
            "netflow9" => element.v9_id().is_none(),
            "ipfix" | "ipfix-file" => element.ipfix_id().is_none(),
            _ => false,
        };
        let names: Vec<_> = self.plan.template.iter().filter(numberless).map(|element| element.name).collect();
        // Of NetFlow v5 the options warn.
        if !names.is_empty() {
            let names = names.join(", ");
            log::warn("template", &format!("--flow-templ: {name} has no number for {names}; left out there"));
        }
    }
}

/// Files in a directory, a new one every so often.
fn open_dump(formats: &Formats<'_>, directory: &Path) -> Result<Output, Stop> {
    let output = &formats.options.output;
    let (format, extension) = match output.dump_format {
        DumpFormat::Text => ("csv", "flows"),
        DumpFormat::CompressedText => ("csv", "flows.gz"),
        DumpFormat::Json => ("json", "json"),
        DumpFormat::Binary => ("ipfix-file", "ipfix"),
    };
    let encoder = formats.start(format, usize::MAX, true)?;
    let wanted = rotate::Options {
        interval: output.dump_interval.duration(),
        nest: output.nest,
        extension: extension.to_owned(),
        header: Vec::new(),
        gzip: output.dump_format == DumpFormat::CompressedText,
        most_records: Some(output.max_lines.into()).filter(|&lines: &u64| lines > 0),
        command: output
            .dump_command
            .as_ref()
            .map(|command| Command { program: command.program.clone(), arguments: command.arguments.clone() }),
    };
    let sink = Rotate::open(directory, wanted).map_err(failed)?;
    Ok(Output::new(format!("dump {}", directory.display()), encoder, Box::new(sink)).by_time())
}

fn open_collector(formats: &Formats<'_>, collector: &Collector, patient: bool) -> Result<Output, Stop> {
    let export = &formats.options.export;
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
            let wanted = udp::Options { local, patient, pace, ..udp::Options::default() };
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
    let encoder = formats.start(format_of(export), longest, collector.transport == Transport::Tcp)?;
    Ok(Output::new(collector.to_string(), encoder, sink))
}

fn format_of(export: &Export) -> &'static str {
    match export.version {
        Version::V5 => "netflow5",
        Version::V9 => "netflow9",
        Version::Ipfix => "ipfix",
    }
}
