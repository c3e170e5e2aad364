//! Opens every output that was asked for.

use flowsonde_engine::encode::{self, Encode, Messages};
use flowsonde_io::sink::pace::Pace;
use flowsonde_io::sink::resolve::resolve;
use flowsonde_io::sink::{self, Sink, udp};

use super::outputs::{Output, Outputs};
use super::setup::Plan;
use super::summary::Summary;
use crate::flags::Options;
use crate::flags::export::{Export, Version};
use crate::flags::value::{self, Collector, Transport};
use crate::stop::Stop;

struct Temp(Box<dyn std::io::Write + Send>, sink::Counters);
impl Sink for Temp {
    fn send(&mut self, m: &Messages) {
        self.1.records += m.records();
        self.1.delivered += m.records();
        let _ = self.0.write_all(m.bytes());
    }
    fn tick(&mut self) {}
    fn close(&mut self) {
        let _ = self.0.flush();
    }
    fn counters(&self) -> sink::Counters {
        self.1.clone()
    }
}

/// Opens them. `patient` where nothing is lost by waiting: when reading captures.
pub(super) fn open_outputs(options: &Options, plan: &Plan, source: &str, patient: bool) -> Result<Outputs, Stop> {
    let mut env = plan.env.clone();
    env.interface_name = source.to_owned();
    let formats = Formats { options, plan };
    let mut local = Vec::new();
    for (name, sink) in options.output.streams() {
        let w: Box<dyn std::io::Write + Send> = match sink {
            value::Sink::Stdout => Box::new(std::io::BufWriter::new(std::io::stdout())),
            value::Sink::File(p) => {
                Box::new(std::io::BufWriter::new(std::fs::File::create(p).map_err(|e| Stop::Failed(e.to_string()))?))
            }
        };
        local.push(Output::new(name, formats.start(name, 0)?, Box::new(Temp(w, sink::Counters::default()))));
    }
    if let Some(path) = &options.output.ipfix_file {
        let w =
            Box::new(std::io::BufWriter::new(std::fs::File::create(path).map_err(|e| Stop::Failed(e.to_string()))?));
        local.push(Output::new(
            "ipfix-file",
            formats.start("ipfix-file", 0)?,
            Box::new(Temp(w, sink::Counters::default())),
        ));
    }
    let mut collectors = Vec::new();
    for collector in &options.export.collectors {
        collectors.push(open_collector(&formats, collector, patient)?);
    }
    let summary = options.summarises().then(Summary::default);
    Ok(Outputs::new(env, local, collectors, options.export.all_collectors, summary))
}

/// Makes encoders.
struct Formats<'a> {
    options: &'a Options,
    plan: &'a Plan,
}

impl Formats<'_> {
    fn start(&self, name: &str, max_message: usize) -> Result<Box<dyn Encode>, Stop> {
        let export = &self.options.export;
        let wanted = encode::Options {
            template: self.plan.template.clone(),
            max_message,
            first_template_id: self.options.template.id,
            resend_messages: export.template_packets,
            resend_seconds: export.template_interval.0,
            engine: (export.engine.kind, export.engine.id),
            domain: export.engine.domain(),
            min_flows: export.min_flows.unwrap_or(0).into(),
            queue_seconds: self.options.cache.queue_timeout.0,
            biflow: export.biflow,
            announced_sampling: 1,
            separator: self.options.output.separator,
        };
        let format = encode::format(name).ok_or_else(|| Stop::Failed(format!("format {name} is not in this build")))?;
        (format.start)(&wanted).map_err(|error| Stop::Usage(format!("--flow-templ: {error}")))
    }
}

fn open_collector(formats: &Formats<'_>, collector: &Collector, patient: bool) -> Result<Output, Stop> {
    let export = &formats.options.export;
    let failed = |error: sink::Error| Stop::Failed(error.0);
    let name = collector.to_string();
    let remotes = resolve("-n", &format!("{}:{}", collector.host, collector.port), Collector::PORT).map_err(failed)?;
    let local = match &export.sender {
        Some(sender) => {
            let text = match sender.port {
                Some(port) => format!("{}:{port}", sender.host),
                None => sender.host.to_string(),
            };
            resolve("-q", &text, 0).map_err(failed)?
        }
        None => Vec::new(),
    };
    let v6 = remotes.first().is_some_and(|remote| remote.is_ipv6());
    let pace = (export.pause.0 > 0).then(|| Pace { delay: export.pause.duration(), packets: export.pause_after });
    let (sink, longest): (Box<dyn Sink>, usize) = match collector.transport {
        Transport::Udp => {
            let wanted = udp::Options { local, patient, pace, segment: true };
            (Box::new(udp::Udp::open(&remotes, wanted).map_err(failed)?), export.payload(v6).0 as usize)
        }
        Transport::Tcp => return Err(Stop::Failed("tcp".into())),
    };
    let encoder = formats.start(format_of(export), longest)?;
    Ok(Output::new(name, encoder, sink))
}

fn format_of(export: &Export) -> &'static str {
    match export.version {
        Version::V5 => "netflow5",
        Version::V9 => "netflow9",
        Version::Ipfix => "ipfix",
    }
}
