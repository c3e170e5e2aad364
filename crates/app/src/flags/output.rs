//! Files flows are written to.

use std::path::PathBuf;

use super::value::number::number;
use super::value::{Command, Seconds, Sink, one_of};
use super::{Flag, Group, Offer, Value};
use crate::stop::Stop;

/// What was asked for about files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Records as JSON, one object a line.
    pub json: Option<Sink>,
    /// Records as text, one a line, fields parted by `separator`.
    pub csv: Option<Sink>,
    /// Records as an IPFIX file.
    pub ipfix_file: Option<PathBuf>,
    /// What parts the fields of text.
    pub separator: char,
    /// The directory of dumped files.
    pub dump_path: Option<PathBuf>,
    /// The format of dumped files.
    pub dump_format: DumpFormat,
    /// A new file is begun this often.
    pub dump_interval: Seconds,
    /// Run with the name of each file that is complete.
    pub dump_command: Option<Command>,
    /// Files lie in directories by year, month, day, hour and minute.
    pub nest: bool,
    /// Most records in a file.
    pub max_lines: u32,
    /// A summary is printed at the end, whatever other outputs there are.
    pub summary: bool,
}

impl Output {
    /// The outputs that are one stream, with their options' names.
    pub fn streams(&self) -> impl Iterator<Item = (&'static str, &Sink)> {
        [("json", &self.json), ("csv", &self.csv)].into_iter().filter_map(|(name, sink)| Some((name, sink.as_ref()?)))
    }

    /// Whether files of IPFIX are written.
    pub fn ipfix(&self) -> bool {
        self.ipfix_file.is_some() || self.dump_path.is_some() && self.dump_format == DumpFormat::Binary
    }

    /// Whether flows are written to any file.
    pub fn any(&self) -> bool {
        self.streams().next().is_some() || self.ipfix_file.is_some() || self.dump_path.is_some()
    }
}

impl Default for Output {
    fn default() -> Self {
        Output {
            json: None,
            csv: None,
            ipfix_file: None,
            separator: '|',
            dump_path: None,
            dump_format: DumpFormat::Text,
            dump_interval: Seconds(60),
            dump_command: None,
            nest: true,
            max_lines: 10_000,
            summary: false,
        }
    }
}

/// The format of dumped files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpFormat {
    /// Text with a header line.
    Text,
    /// The same, compressed.
    CompressedText,
    /// Export packets.
    Binary,
    /// JSON, one object a line.
    Json,
}

/// Reads one character, or `\t` for a tabulator.
fn separator(text: &str) -> Result<char, Stop> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        _ if text == "\\t" => Ok('\t'),
        (Some(char), None) if !char.is_alphanumeric() && !matches!(char, '"' | '\n' | '\r' | '.' | ':' | '-') => {
            Ok(char)
        }
        _ => Err("not a separator; give one character that values do not contain, like | , ; or \\t".into()),
    }
}

/// The options.
pub const SPEC: Group = Group {
    name: "output",
    title: "Files",
    flags: &[
        Flag {
            long: "json",
            value: Value::One("FILE"),
            help: "Write records as JSON, one object a line, to a file or - for the standard output",
            offer: Offer::Files,
            good: &["-", "flows.json"],
            apply: |options, text| {
                options.output.json = Some(Sink::parse(text));
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "csv",
            value: Value::One("FILE"),
            help: "Write records as text, one a line after a header, to a file or - for the standard output",
            offer: Offer::Files,
            good: &["-", "flows.csv"],
            apply: |options, text| {
                options.output.csv = Some(Sink::parse(text));
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "csv-separator",
            value: Value::One("CHARACTER"),
            default: "|",
            help: "What parts the fields of text, in --csv and in dumped files",
            doc: "`\\t` is a tabulator.",
            good: &["|", ",", "\\t"],
            bad: &["||", "a", "\""],
            apply: |options, text| {
                options.output.separator = separator(text)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "ipfix-file",
            value: Value::One("FILE"),
            help: "Write records to an IPFIX file (RFC 5655)",
            doc: "Whatever `-V` says. Templates come first, and are not repeated.",
            offer: Offer::Files,
            good: &["flows.ipfix"],
            bad: &["-"],
            apply: |options, text| {
                if text == "-" {
                    return Err("not for the standard output; give a file, or /dev/stdout".into());
                }
                options.output.ipfix_file = Some(PathBuf::from(text));
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "summary",
            help: "Print top ports, top talkers and TCP quality at the end",
            doc: "This is what is printed, too, when no output is named at all.",
            apply: |options, _| {
                options.output.summary = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('P'),
            long: "dump-path",
            value: Value::One("DIRECTORY"),
            help: "Dump flows into files in this directory, a new one every so often",
            doc: "In sub-directories `YYYY/MM/DD/HH/MM` by the time a file is begun. A file has a temporary name until it \
                  is complete.",
            offer: Offer::Directories,
            good: &["/var/lib/flowsonde"],
            apply: |options, text| {
                options.output.dump_path = Some(PathBuf::from(text));
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('D'),
            long: "dump-format",
            value: Value::One("t|T|j|b"),
            default: "t",
            help: "Format of dumped files: t text, T compressed text, j JSON, b binary",
            offer: Offer::Words(&["t", "T", "j", "b"]),
            good: &["t", "T", "j", "b"],
            bad: &["d", "x"],
            apply: |options, text| {
                let formats = [
                    ("t", DumpFormat::Text),
                    ("T", DumpFormat::CompressedText),
                    ("j", DumpFormat::Json),
                    ("b", DumpFormat::Binary),
                ];
                options.output.dump_format = one_of(text, &formats)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('F'),
            long: "dump-frequency",
            value: Value::One("SECONDS"),
            default: "60",
            help: "Begin a new file this often",
            good: &["300"],
            bad: &["0", "x"],
            apply: |options, text| {
                options.output.dump_interval = Seconds::parse(text, 1)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "max-log-lines",
            value: Value::One("LINES"),
            default: "10000",
            help: "Begin a new file after this many records",
            doc: "An IPFIX file may end one record before, as the two records of a flow stay together.",
            good: &["100000"],
            bad: &["0", "x"],
            apply: |options, text| {
                options.output.max_lines = number(text, "lines", 1..=u32::MAX)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "dont-nest-dump-dirs",
            help: "Put dumped files into the directory itself, not into ones by date",
            apply: |options, _| {
                options.output.nest = false;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('R'),
            long: "dump-command",
            value: Value::One("COMMAND"),
            help: "Run this with the name of each dumped file that is complete",
            doc: "The command is split at blanks, with quotes and backslashes as in a shell, and run without one. The \
                  name of the file is added as last argument. Up to 8 run at a time. On an interface up to 1000 files \
                  wait for their turn, further ones are passed over with a warning, and at the end commands have five \
                  seconds. Reading captures waits for all of them; after a signal, five seconds too.",
            good: &["/usr/bin/gzip -9", "mv -t '/srv/my flows'"],
            bad: &["'gzip", "gzip \\"],
            apply: |options, text| {
                options.output.dump_command = Some(Command::parse(text)?);
                Ok(())
            },
            ..Flag::SWITCH
        },
    ],
};
