//! What every output writes: the transcoders of a desk.

use std::sync::{Arc, OnceLock};

use flowsonde_elements::{Element, Mode, Template};
use flowsonde_engine::encode::{self, Ipfix, NetFlow9};
use flowsonde_engine::fill;
use flowsonde_engine::transcode::{
    Applications, Export, Export5, Home, JsonBatches, Lines, Pass, Plan, TextLines, TlvBatches, Transcode, complete,
};

use crate::dpi::{self, Dpi};
use crate::flags::Options;
use crate::flags::export::Version;
use crate::flags::output::DumpFormat;
use crate::flags::zmq::Format;
use crate::pipeline::{ntopng, open};
use crate::stop::Stop;

/// What an output writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// JSON, an object a line.
    Json,
    /// Text, a record a line.
    Text,
    /// IPFIX in files.
    IpfixFile,
    /// Messages to a collector (`-n`).
    Collector {
        /// Bytes of the longest.
        longest: usize,
        /// It misses nothing.
        stream: bool,
    },
    /// Messages for ntopng.
    Zmq,
}

impl Writes {
    /// By the name of the option.
    pub fn stream(name: &str) -> Writes {
        if name == "csv" { Writes::Text } else { Writes::Json }
    }

    /// By the format of dumped files.
    pub const fn dump(format: DumpFormat) -> Writes {
        match format {
            DumpFormat::Text | DumpFormat::CompressedText => Writes::Text,
            DumpFormat::Json => Writes::Json,
            DumpFormat::Binary => Writes::IpfixFile,
        }
    }

    /// Whether it is a collector.
    pub const fn is_collector(self) -> bool {
        matches!(self, Writes::Collector { .. })
    }
}

/// Refuses what no record can be told in.
pub fn check(options: &Options) -> Result<(), Stop> {
    let longest = options.export.payload(false).0 as usize;
    let streams = options.output.streams().map(|(name, _)| Writes::stream(name));
    let file = options.output.ipfix().then_some(Writes::IpfixFile);
    let collector = (!options.export.collectors.is_empty()).then_some(Writes::Collector { longest, stream: false });
    let writes: Vec<_> = streams.chain(file).chain(collector).collect();
    transcoders(options, 0, &writes).map(|_| ())
}

/// Refuses text of what has no one header.
pub fn check_text(options: &Options) -> Result<(), Stop> {
    let text = matches!(options.output.dump_format, DumpFormat::Text | DumpFormat::CompressedText);
    let flag = if options.output.csv.is_some() {
        "--csv"
    } else if options.output.dump_path.is_some() && text {
        "--dump-path"
    } else {
        return Ok(());
    };
    if options.collect.passthrough {
        return Err(Stop::Usage(format!(
            "{flag}: a text file has one line of names, and with --collector-passthrough every exporter has elements of its \
             own; give --json, -P with -D j or -D b, or leave out --collector-passthrough"
        )));
    }
    Ok(())
}

/// The transcoders of one desk.
pub fn transcoders(options: &Options, desk: usize, writes: &[Writes]) -> Result<Vec<Box<dyn Transcode>>, Stop> {
    let template = template(options)?;
    let home = Home { applications: applications(options, &template)?, ..Home::at([127, 0, 0, 1]) };
    let make = Make { options, template: &template, home, desk: desk as u32 };
    writes.iter().map(|writes| make.transcoder(*writes)).collect()
}

/// What transcoders are made from.
struct Make<'a> {
    options: &'a Options,
    template: &'a Template,
    home: Home,
    desk: u32,
}

/// What flows are taken for. Every desk has the same, so it is asked for once.
fn applications(options: &Options, template: &Template) -> Result<Option<&'static Applications>, Stop> {
    static ASKED: OnceLock<Applications> = OnceLock::new();
    let told = !options.collect.passthrough && template.iter().any(fill::tells_application);
    if options.application.none || !told {
        if !options.collect.passthrough && dpi::tells_exporters_names(template) {
            dpi::vocabulary(&[]);
        }
        return Ok(None);
    }
    if ASKED.get().is_none() {
        let dpi = Dpi::open(options)?;
        dpi.vocabulary();
        let applications =
            Applications { by_port: Arc::new(dpi.by_port()?), by_address: dpi.by_address()?, names: dpi.names() };
        // Another thread may have been first: it found the same.
        let _ = ASKED.set(applications);
    }
    Ok(ASKED.get())
}

impl Make<'_> {
    fn transcoder(&self, writes: Writes) -> Result<Box<dyn Transcode>, Stop> {
        let (options, home) = (self.options, self.home);
        Ok(match writes {
            Writes::Json => Box::new(Lines::new(self.plan(Plan::Everything), home)),
            Writes::Text => Box::new(TextLines::new(self.template.clone(), options.output.separator, home)),
            Writes::IpfixFile => {
                let wanted = self.encoding(usize::MAX, true);
                // The longest whole message; in a file nothing has to be told again.
                let wanted = encode::Options { max_message: 65_532, resend_messages: 0, resend_seconds: 0, ..wanted };
                self.ipfix(&wanted, "ipfix-file")?
            }
            Writes::Collector { longest, stream } => {
                let wanted = self.encoding(longest, stream);
                let format = open::format_of(&options.export);
                match options.export.version {
                    Version::V5 => Box::new(Export5::new(&wanted, home).map_err(|error| self.refused(format, error))?),
                    Version::V9 if options.collect.passthrough => {
                        Box::new(Pass::<NetFlow9>::new(&self.passing(wanted), options.collect.ignore_port))
                    }
                    Version::V9 => {
                        Box::new(Export::<NetFlow9>::new(&wanted, home).map_err(|error| self.refused(format, error))?)
                    }
                    Version::Ipfix => self.ipfix(&wanted, format)?,
                }
            }
            Writes::Zmq => {
                let plan = match self.plan(Plan::Ntopng) {
                    Plan::Template(template) => Plan::Template(self.for_ntopng(&template)),
                    plan => plan,
                };
                let limits = ntopng::batching(options);
                let labels = options.zmq.labels;
                match options.zmq.format {
                    Format::Tlv => Box::new(TlvBatches::new(plan, home, labels, limits)),
                    Format::Json => Box::new(JsonBatches::new(plan, home, labels, limits)),
                }
            }
        })
    }

    /// With what ntopng needs, and without applications where none are known: it then guesses itself.
    fn for_ntopng(&self, template: &Template) -> Template {
        let known = |element: &&'static Element| self.home.applications.is_some() || !fill::tells_application(element);
        complete(template).iter().filter(known).collect()
    }

    fn ipfix(&self, wanted: &encode::Options, name: &str) -> Result<Box<dyn Transcode>, Stop> {
        if self.options.collect.passthrough {
            let wanted = self.passing(wanted.clone());
            return Ok(Box::new(Pass::<Ipfix>::new(&wanted, self.options.collect.ignore_port)));
        }
        let export = Export::<Ipfix>::new(wanted, self.home).map_err(|error| self.refused(name, error))?;
        Ok(Box::new(export))
    }

    /// What an output tells: everything, else the template.
    fn plan(&self, everything: Plan) -> Plan {
        if self.options.collect.passthrough { everything } else { Plan::Template(self.template.clone()) }
    }

    /// Desks have domains, and engines, of their own, as each counts its sequence numbers by itself.
    fn encoding(&self, max_message: usize, stream: bool) -> encode::Options {
        let wanted = open::encoding(self.options, self.template, max_message, stream);
        let (kind, id) = wanted.engine;
        encode::Options {
            domain: wanted.domain.wrapping_add(self.desk << 16),
            engine: (kind, id.wrapping_add(self.desk as u8)),
            ..wanted
        }
    }

    /// The domain of each exporter's domain: 1, 2, ... of the first desk, 16777217, ... of the second.
    fn passing(&self, wanted: encode::Options) -> encode::Options {
        encode::Options { domain: (self.desk << 24) + 1, ..wanted }
    }

    fn refused(&self, name: &str, error: encode::Error) -> Stop {
        open::refused(self.options, self.template, name, error)
    }
}

/// The template asked for, or the default.
pub fn template(options: &Options) -> Result<Template, Stop> {
    match &options.template.fields {
        None => Ok(dpi::default_template(options)),
        Some(fields) => Template::parse(fields, Mode::Collector)
            .map_err(|error| Stop::Usage(format!("--flow-templ={fields}: {error}"))),
    }
}
