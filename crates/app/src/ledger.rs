//! The account of what became of every packet, datagram, record, flow and message.
//!
//! A run is a row of stages; each received so much, delivered so much to the next, lost so much for which reason, and
//! holds the rest. In each, always `received = delivered + every loss + held`, so nothing disappears unseen. The file
//! format is in `docs/ledger.schema.json`; `version` there is the version of that format.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::replace;

/// Version of the file format: it rises when a reader would have to change.
pub const FORMAT: u32 = 1;

/// What is counted in a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Captured packets.
    Packets,
    /// Datagrams from exporters or to collectors.
    Datagrams,
    /// Flow records.
    Records,
    /// Flows.
    Flows,
    /// Messages of a queue or a connection.
    Messages,
}

impl Unit {
    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Packets => "packets",
            Unit::Datagrams => "datagrams",
            Unit::Records => "records",
            Unit::Flows => "flows",
            Unit::Messages => "messages",
        }
    }
}

/// The account of one stage for one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The stage: `capture`, `decode`, `meter`...
    pub stage: &'static str,
    /// What it is about: an interface, a file, a collector.
    pub source: String,
    /// Whose data it is, if they came from an exporter.
    pub exporter: Option<String>,
    /// What is counted.
    pub unit: Unit,
    /// How much came in.
    pub received: u64,
    /// How much went on.
    pub delivered: u64,
    /// How much was lost, by reason. A reason that did not come up may be there with 0.
    pub lost: BTreeMap<&'static str, u64>,
    /// How much is inside.
    pub held: u64,
    /// What else came up, by reason: it is no part of the balance. A reason may be there with 0.
    pub notes: BTreeMap<&'static str, u64>,
}

impl Stage {
    /// A stage through which nothing went yet.
    pub fn new(stage: &'static str, source: impl Into<String>, unit: Unit) -> Self {
        Stage {
            stage,
            source: source.into(),
            exporter: None,
            unit,
            received: 0,
            delivered: 0,
            lost: BTreeMap::new(),
            held: 0,
            notes: BTreeMap::new(),
        }
    }

    /// The same stage, with another loss.
    #[must_use]
    pub fn losing(mut self, reason: &'static str, number: u64) -> Self {
        *self.lost.entry(reason).or_default() += number;
        self
    }

    /// The same stage, with another note.
    #[must_use]
    pub fn noting(mut self, reason: &'static str, number: u64) -> Self {
        *self.notes.entry(reason).or_default() += number;
        self
    }

    /// Every loss together.
    pub fn lost(&self) -> u64 {
        self.lost.values().fold(0, |sum, &number| sum.saturating_add(number))
    }

    /// Whether what came in is accounted for.
    pub fn balanced(&self) -> bool {
        let gone = self.lost.values().map(|&number| u128::from(number)).sum::<u128>();
        u128::from(self.received) == u128::from(self.delivered) + gone + u128::from(self.held)
    }

    /// How a complaint names it.
    fn name(&self) -> String {
        match &self.exporter {
            Some(exporter) => format!("{} of {} for {exporter}", self.stage, self.source),
            None => format!("{} of {}", self.stage, self.source),
        }
    }
}

/// The account of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// When it was taken, since 1970.
    pub time: Duration,
    /// Whether the run is over.
    pub last: bool,
    /// Its stages, in the order data pass them.
    pub stages: Vec<Stage>,
}

impl Ledger {
    /// An account taken at this time, without stages yet.
    pub fn new(time: SystemTime, last: bool) -> Self {
        Ledger { time: time.duration_since(UNIX_EPOCH).unwrap_or_default(), last, stages: Vec::new() }
    }

    /// Says the first thing that is wrong: a stage that does not balance, one that is there twice, one that still holds
    /// something at the end.
    pub fn check(&self) -> Result<(), String> {
        let mut seen = HashSet::new();
        for stage in &self.stages {
            if !stage.balanced() {
                return Err(format!(
                    "{}: {} received, but {} delivered, {} lost and {} held",
                    stage.name(),
                    stage.received,
                    stage.delivered,
                    stage.lost(),
                    stage.held
                ));
            }
            if self.last && stage.held != 0 {
                return Err(format!("{}: holds {} {} at the end", stage.name(), stage.held, stage.unit.name()));
            }
            if !seen.insert((stage.stage, &stage.source, &stage.exporter)) {
                return Err(format!("{}: is there twice", stage.name()));
            }
        }
        Ok(())
    }

    /// Says whether all that one stage delivered is what another received, each summed over its sources. It is up to the
    /// caller to know which stages follow each other without a change of unit.
    pub fn check_link(&self, from: &str, to: &str) -> Result<(), String> {
        let of = |name: &str, count: fn(&Stage) -> u64| -> u128 {
            self.stages.iter().filter(|stage| stage.stage == name).map(|stage| u128::from(count(stage))).sum()
        };
        let (delivered, received) = (of(from, |stage| stage.delivered), of(to, |stage| stage.received));
        if delivered == received {
            Ok(())
        } else {
            Err(format!("{from} delivered {delivered}, {to} received {received}"))
        }
    }

    /// The account as JSON, a stage a line.
    pub fn json(&self) -> String {
        let mut text = format!(
            "{{\"version\":{FORMAT},\"time\":{}.{:03},\"final\":{},\"stages\":[",
            self.time.as_secs(),
            self.time.subsec_millis(),
            self.last
        );
        for (index, stage) in self.stages.iter().enumerate() {
            text.push_str(if index == 0 { "\n" } else { ",\n" });
            text.push_str("{\"stage\":");
            quote(&mut text, stage.stage);
            text.push_str(",\"source\":");
            quote(&mut text, &stage.source);
            if let Some(exporter) = &stage.exporter {
                text.push_str(",\"exporter\":");
                quote(&mut text, exporter);
            }
            let _ = write!(
                text,
                ",\"unit\":\"{}\",\"received\":{},\"delivered\":{},\"lost\":{{",
                stage.unit.name(),
                stage.received,
                stage.delivered
            );
            numbers(&mut text, &stage.lost);
            let _ = write!(text, "}},\"held\":{}", stage.held);
            if !stage.notes.is_empty() {
                text.push_str(",\"notes\":{");
                numbers(&mut text, &stage.notes);
                text.push('}');
            }
            text.push('}');
        }
        text.push_str("\n]}\n");
        text
    }

    /// The account as a table for people, with the reasons there were.
    pub fn text(&self) -> String {
        let mut rows =
            vec![["stage", "source", "unit", "received", "delivered", "lost", "held", ""].map(str::to_owned)];
        for stage in &self.stages {
            let source = match &stage.exporter {
                Some(exporter) => format!("{} {exporter}", stage.source),
                None => stage.source.clone(),
            };
            let told = |numbers: &BTreeMap<&'static str, u64>| {
                let told = numbers.iter().filter(|(_, n)| **n > 0).map(|(reason, n)| format!("{reason} {n}"));
                told.collect::<Vec<_>>().join(", ")
            };
            // What was not lost stands in brackets.
            let (lost, noted) = (told(&stage.lost), told(&stage.notes));
            let noted = if noted.is_empty() { noted } else { format!("({noted})") };
            let reasons = format!("{lost} {noted}");
            rows.push([
                stage.stage.to_owned(),
                source,
                stage.unit.name().to_owned(),
                stage.received.to_string(),
                stage.delivered.to_string(),
                stage.lost().to_string(),
                stage.held.to_string(),
                reasons.trim().to_owned(),
            ]);
        }
        let mut widths = [0; 8];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in &rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                // Words to the left, numbers to the right.
                let _ = match column {
                    3..=6 => write!(line, "{cell:>width$}  "),
                    _ => write!(line, "{cell:width$}  "),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Writes the account to a file as JSON, in place of the one before.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        replace::file(path, &self.json())
    }
}

/// Adds the members of a JSON object.
fn numbers(to: &mut String, numbers: &BTreeMap<&'static str, u64>) {
    for (index, (reason, number)) in numbers.iter().enumerate() {
        to.push_str(if index == 0 { "" } else { "," });
        quote(to, reason);
        let _ = write!(to, ":{number}");
    }
}

/// Adds text as a JSON string.
fn quote(to: &mut String, text: &str) {
    to.push('"');
    for char in text.chars() {
        match char {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\u{0}'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(to, "\\u{:04x}", u32::from(char));
            }
            _ => to.push(char),
        }
    }
    to.push('"');
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;

    fn sample(last: bool) -> Ledger {
        let mut ledger = Ledger::new(UNIX_EPOCH + Duration::from_millis(1_753_183_445_007), last);
        let capture =
            Stage { received: 100, delivered: 90, ..Stage::new("capture", "a \"b\"\\\n.pcap", Unit::Packets) };
        ledger.stages.push(capture.losing("kernel", 7).losing("filter", 3).losing("cut", 0));
        let decode = Stage { received: 90, delivered: 90, ..Stage::new("decode", "all", Unit::Packets) };
        ledger.stages.push(decode.noting("fragments", 12).noting("fragments_orphaned", 0));
        let exporter = Some("10.0.0.1:2055".to_owned());
        ledger.stages.push(Stage {
            received: 5,
            delivered: 5,
            exporter,
            ..Stage::new("export", "udp://10.0.0.9:2055", Unit::Flows)
        });
        ledger
    }

    /// Complains if a value is not what a schema says; knows the words our schema uses, and refuses others.
    fn conforms(value: &Value, schema: &Value, place: &str) {
        for (word, rule) in schema.as_object().unwrap() {
            match word.as_str() {
                "$schema" | "$id" | "title" | "description" => {}
                "type" => {
                    let fits = match rule.as_str().unwrap() {
                        "object" => value.is_object(),
                        "array" => value.is_array(),
                        "string" => value.is_string(),
                        "boolean" => value.is_boolean(),
                        "integer" => value.is_u64() || value.is_i64(),
                        "number" => value.is_number(),
                        other => panic!("type {other}"),
                    };
                    assert!(fits, "{place} is no {rule}: {value}");
                }
                "const" => assert_eq!(value, rule, "{place}"),
                "enum" => assert!(rule.as_array().unwrap().contains(value), "{place}: {value}"),
                "minimum" => assert!(value.as_f64() >= rule.as_f64(), "{place}: {value}"),
                "minLength" => assert!(value.as_str().map(str::len) >= Some(1), "{place}"),
                "required" => {
                    for name in rule.as_array().unwrap() {
                        assert!(value.get(name.as_str().unwrap()).is_some(), "{place} has no {name}");
                    }
                }
                "properties" => {
                    for (name, rule) in rule.as_object().unwrap() {
                        if let Some(member) = value.get(name) {
                            conforms(member, rule, &format!("{place}.{name}"));
                        }
                    }
                }
                "additionalProperties" => {
                    for (name, member) in value.as_object().unwrap() {
                        if schema.get("properties").is_none_or(|known| known.get(name).is_none()) {
                            assert_ne!(*rule, Value::Bool(false), "{place} has {name}");
                            conforms(member, rule, &format!("{place}.{name}"));
                        }
                    }
                }
                "items" => {
                    for (index, item) in value.as_array().unwrap().iter().enumerate() {
                        conforms(item, rule, &format!("{place}[{index}]"));
                    }
                }
                other => panic!("the schema says {other}"),
            }
        }
    }

    #[test]
    fn json_conforms_to_the_schema() {
        let schema = include_str!("../../../docs/ledger.schema.json");
        let schema: Value = serde_json::from_str(schema).unwrap();
        for ledger in [sample(true), sample(false), Ledger::new(UNIX_EPOCH, true)] {
            let value: Value = serde_json::from_str(&ledger.json()).unwrap();
            conforms(&value, &schema, "ledger");
        }
    }

    #[test]
    fn json_says_what_the_ledger_says() {
        let value: Value = serde_json::from_str(&sample(true).json()).unwrap();
        assert_eq!(value["time"], 1_753_183_445.007);
        assert_eq!(value["final"], true);
        let capture = &value["stages"][0];
        assert_eq!(capture["source"], "a \"b\"\\\n.pcap");
        assert_eq!(capture["lost"], serde_json::json!({"kernel": 7, "filter": 3, "cut": 0}));
        assert!(capture.get("exporter").is_none());
        assert!(capture.get("notes").is_none());
        assert_eq!(value["stages"][1]["notes"], serde_json::json!({"fragments": 12, "fragments_orphaned": 0}));
        assert_eq!(value["stages"][2]["exporter"], "10.0.0.1:2055");
    }

    #[test]
    fn what_does_not_add_up_is_found() {
        assert_eq!(sample(true).check(), Ok(()));
        assert_eq!(sample(true).check_link("capture", "decode"), Ok(()));
        assert!(sample(true).check_link("decode", "export").is_err());

        let mut ledger = sample(false);
        ledger.stages[0].delivered -= 1;
        assert!(!ledger.stages[0].balanced());
        assert!(ledger.check().unwrap_err().starts_with("capture of a"));
        ledger.stages[0].held = 1;
        assert_eq!(ledger.check(), Ok(()), "held is accounted for");
        ledger.last = true;
        assert!(ledger.check().unwrap_err().ends_with("holds 1 packets at the end"));

        let mut ledger = sample(true);
        ledger.stages.push(ledger.stages[1].clone());
        assert_eq!(ledger.check().unwrap_err(), "decode of all: is there twice");

        let full = Stage { received: u64::MAX, delivered: u64::MAX, ..Stage::new("x", "y", Unit::Records) };
        assert!(full.balanced());
        assert!(!full.losing("z", u64::MAX).balanced(), "sums do not wrap");
    }

    #[test]
    fn the_table_is_aligned() {
        let mut ledger = sample(true);
        ledger.stages[0].source = "eth0".into();
        let text = "\
stage    source                             unit     received  delivered  lost  held
capture  eth0                               packets       100         90    10     0  filter 3, kernel 7
decode   all                                packets        90         90     0     0  (fragments 12)
export   udp://10.0.0.9:2055 10.0.0.1:2055  flows           5          5     0     0
";
        assert_eq!(ledger.text(), text);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = std::env::temp_dir().join(format!("flowsonde-ledger-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("ledger.json");
        sample(false).write(&path).unwrap();
        let link = folder.join("link.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        sample(true).write(&link).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), sample(true).json());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing is left beside");
        fs::remove_dir_all(&folder).unwrap();
        assert!(sample(true).write(&path).is_err());
        sample(true).write(Path::new("/dev/null")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_reader_never_sees_half() {
        let path = std::env::temp_dir().join(format!("flowsonde-ledger-{}.json", std::process::id()));
        sample(false).write(&path).unwrap();
        let reader = {
            let path = path.clone();
            std::thread::spawn(move || {
                for _ in 0..200 {
                    let text = fs::read_to_string(&path).unwrap();
                    serde_json::from_str::<Value>(&text).unwrap();
                }
            })
        };
        for _ in 0..200 {
            sample(true).write(&path).unwrap();
        }
        reader.join().unwrap();
        fs::remove_file(&path).unwrap();
    }
}
