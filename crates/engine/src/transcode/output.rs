//! Transcoders: one an output, from sets of records to finished messages.

use flowsonde_wire::Nanos;

use super::batch::{AsJson, AsTlv, Batch, Batching, Form};
use super::{Emit, Home, Json, Place, Plan, Program, Programs, Scratch, json};
use crate::decode::records::{Set, Taken};
use crate::encode::Messages;

/// An output of collected records at work.
pub trait Transcode: Send {
    /// Takes the records of a set. Whole messages are appended to `out` as they fill.
    fn flows(&mut self, set: &Set<'_>, now: Nanos, out: &mut Messages) -> Taken;

    /// Takes the records of a set of options data, where these are passed on.
    fn options(&mut self, set: &Set<'_>, now: Nanos, out: &mut Messages) {
        let _ = (set, now, out);
    }

    /// What became of options data; `None` where they are not passed on.
    fn passed(&self) -> Option<Passed> {
        None
    }

    /// Called now and then with the time: what waited too long is finished.
    fn tick(&mut self, now: Nanos, out: &mut Messages);

    /// Finishes what has begun.
    fn flush(&mut self, out: &mut Messages);

    /// Records in messages that are not finished.
    fn pending(&self) -> u64;

    /// Messages were lost on the way: what is told once only, templates, is told again.
    fn again(&mut self) {}

    /// What the format cannot tell.
    fn lost(&self) -> Lost {
        Lost::default()
    }
}

/// What became of records of exporters' options data: `received = in finished messages + untold + pending`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Records that came.
    pub received: u64,
    /// Records of which the format can tell nothing.
    pub untold: u64,
    /// Records in a message that is not finished.
    pub pending: u64,
}

/// What a format had no place for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Records of IPv6 flows, in NetFlow v5.
    pub v5_ipv6: u64,
    /// Records of which the template tells nothing.
    pub not_in_template: u64,
    /// Fields of templates, while the rest of their records is told.
    pub fields: u64,
}

/// JSON lines: a record a line and message.
#[derive(Debug)]
pub struct Lines {
    plan: Plan,
    home: Home,
    programs: Programs<json::Key>,
    scratch: Scratch,
}

impl Lines {
    /// Tells what `plan` says.
    pub fn new(plan: Plan, home: Home) -> Lines {
        Lines { plan, home, programs: Programs::default(), scratch: Scratch::default() }
    }
}

impl Transcode for Lines {
    fn flows(&mut self, set: &Set<'_>, _: Nanos, out: &mut Messages) -> Taken {
        let plan = &self.plan;
        let program = self.programs.of(set.layout, |layout| {
            Program::new(&plan.columns(layout), |column, first| Json::key(&column.name, column.kind, first, false))
        });
        program.run(set, &self.home, &mut self.scratch, &mut Line(out))
    }

    fn tick(&mut self, _: Nanos, _: &mut Messages) {}

    fn flush(&mut self, _: &mut Messages) {}

    fn pending(&self) -> u64 {
        0
    }
}

/// Ends every record with a newline, as a message of its own.
struct Line<'a>(&'a mut Messages);

impl Line<'_> {
    #[inline(always)]
    fn json(&mut self) -> Json<'_> {
        Json { out: self.0.buffer() }
    }
}

impl Emit for Line<'_> {
    type Key = json::Key;

    #[inline(always)]
    fn put_number(key: &json::Key, n: u64, place: &mut Place) -> usize {
        Json::put_number(key, n, place)
    }

    #[inline(always)]
    fn put_ipv4(key: &json::Key, address: [u8; 4], place: &mut Place) -> usize {
        Json::put_ipv4(key, address, place)
    }

    #[inline]
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.0.buffer()
    }

    #[inline]
    fn begin(&mut self) {}

    #[inline]
    fn end(&mut self) {
        self.0.buffer().extend_from_slice(b"}\n");
        self.0.finish(1);
    }

    forward!(self => self.json());

    /// A line has room for what a message for ntopng has not: the object itself.
    fn structure(&mut self, key: &json::Key, json: &[u8]) {
        self.json().object(key, json);
    }
}

/// Records in messages for ZeroMQ, in a format.
#[derive(Debug)]
pub struct Batches<F: Form> {
    plan: Plan,
    home: Home,
    /// Names instead of numbers (`--json-labels`).
    labels: bool,
    programs: Programs<F::Key>,
    scratch: Scratch,
    batch: Batch,
}

/// Flows as TLV, in messages for ZeroMQ.
pub type TlvBatches = Batches<AsTlv>;

/// Flows as arrays of JSON objects, in messages for ZeroMQ.
pub type JsonBatches = Batches<AsJson>;

impl<F: Form> Batches<F> {
    /// Tells what `plan` says; keys are numbers, or names with `labels`.
    pub fn new(plan: Plan, home: Home, labels: bool, limits: Batching) -> Self {
        let batch = Batch::new(limits, F::FRAME);
        Batches { plan, home, labels, programs: Programs::default(), scratch: Scratch::default(), batch }
    }
}

impl<F: Form> Transcode for Batches<F> {
    fn flows(&mut self, set: &Set<'_>, now: Nanos, out: &mut Messages) -> Taken {
        self.batch.mark(now);
        let Batches { plan, home, labels, programs, scratch, batch } = self;
        let program = programs.of(set.layout, |layout| {
            Program::new(&plan.columns(layout), |column, first| F::key(&column.name, column.kind, first, *labels))
        });
        program.run(set, home, scratch, &mut batch.fill::<F>(out))
    }

    fn tick(&mut self, now: Nanos, out: &mut Messages) {
        self.batch.tick(now, out);
    }

    fn flush(&mut self, out: &mut Messages) {
        self.batch.send(out);
    }

    fn pending(&self) -> u64 {
        self.batch.records().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::applications::Table;
    use crate::decode::records::{About, Version};
    use crate::decode::sampling::Samplers;
    use crate::decode::templates::{Layouts, Templates};
    use crate::transcode::Take;
    use flowsonde_wire::export::Transport;
    use flowsonde_wire::export::ipfix::{Specifier, VARIABLE};

    const FIELDS: [(u32, u16, u16); 12] = [
        (0, 8, 4),
        (0, 12, 4),
        (0, 7, 2),
        (0, 11, 2),
        (0, 4, 1),
        (0, 2, 4),
        (0, 1, 4),
        (0, 22, 4),
        (0, 21, 4),
        (0, 82, VARIABLE),
        (99, 5, 2),
        (29305, 1, 4),
    ];

    fn record() -> Vec<u8> {
        let mut bytes = vec![10, 0, 0, 1, 10, 0, 0, 2, 0xc3, 0x50, 0, 53, 17];
        bytes.extend(5u32.to_be_bytes());
        bytes.extend(700u32.to_be_bytes());
        bytes.extend(9_000u32.to_be_bytes());
        bytes.extend(9_500u32.to_be_bytes());
        bytes.extend([4, b'e', b'"', b'h', b'0', 0xab, 0xcd]);
        bytes.extend(80u32.to_be_bytes());
        bytes
    }

    fn about() -> About {
        About {
            exporter: [192, 0, 2, 1].into(),
            port: 2055,
            transport: Transport::Udp,
            version: Version::V9,
            domain: 7,
            engine: (0, 7),
            export: Nanos::new(1_700_000_010, 0),
            uptime_ms: Some(10_000),
            init: None,
            arrival: Nanos::new(1_700_000_010, 0),
            shift: 0,
        }
    }

    fn run(transcoder: &mut dyn Transcode, count: usize) -> Messages {
        let specifiers = FIELDS.map(|(pen, id, length)| Specifier { pen, id, length });
        let layout = Layouts::default().of(&specifiers, 0).expect("sound");
        let mut bytes = record().repeat(count);
        bytes.extend([0, 0]);
        let mut samplers = Samplers::default();
        samplers.header(10);
        let mut out = Messages::default();
        let templates = Templates::default();
        let set = Set {
            layout: &layout,
            bytes: &bytes,
            about: &about(),
            samplers: &samplers,
            templates: &templates,
            applications: &Table::default(),
        };
        let taken = transcoder.flows(&set, Nanos(5), &mut out);
        assert_eq!((taken.records as usize, taken.rest), (count, 2));
        transcoder.flush(&mut out);
        assert_eq!((out.records(), transcoder.pending()), (count as u64, 0));
        out
    }

    #[test]
    fn fields_of_no_bytes_are_not_told() {
        let specifiers = [(4, 1), (8, 0), (12, 0), (7, 2)].map(|(id, length)| Specifier { pen: 0, id, length });
        let layout = Layouts::default().of(&specifiers, 0).expect("sound");
        for plan in [Plan::Everything, Plan::Ntopng] {
            let fields =
                plan.columns(&layout).into_iter().filter(|column| matches!(column.take, Take::U8(_) | Take::U16(_)));
            assert_eq!(fields.map(|column| column.name.text()).collect::<Vec<_>>(), ["PROTOCOL", "L4_SRC_PORT"]);
        }
        let octets =
            Plan::Everything.columns(&layout).into_iter().filter(|c| matches!(c.take, Take::Octets(..))).count();
        assert_eq!(octets, 0);
    }

    #[test]
    fn everything_is_told_by_name_and_scaled_once() {
        let out = run(&mut Lines::new(Plan::Everything, Home::at([127, 0, 0, 1])), 2);
        let line = r#"{"IPV4_SRC_ADDR":"10.0.0.1","IPV4_DST_ADDR":"10.0.0.2","L4_SRC_PORT":50000,"L4_DST_PORT":53,"PROTOCOL":17,"IN_PKTS":50,"IN_BYTES":7000,"FIRST_SWITCHED":1700000009,"LAST_SWITCHED":1700000009,"INTERFACE_NAME":"e\"h0","99.5":"abcd","OUT_BYTES":800,"EXPORTER_IPV4_ADDRESS":"192.0.2.1"}"#;
        assert_eq!(String::from_utf8_lossy(out.bytes()), format!("{line}\n{line}\n"));
    }

    #[test]
    fn a_template_is_told_whole_whatever_comes() {
        let template = flowsonde_elements::Template::parse(
            "%IPV4_SRC_ADDR %IPV6_SRC_ADDR %FLOW_START_MILLISECONDS %IP_PROTOCOL_VERSION %EXPORTER_IPV4_ADDRESS %OUT_BYTES %OUT_PKTS %SRC_AS %APPL_LATENCY_MS %DNS_QUERY %SAMPLING_INTERVAL",
            flowsonde_elements::Mode::Probe,
        )
        .expect("there");
        let out = run(&mut Lines::new(Plan::Template(template), Home::at([127, 0, 0, 1])), 1);
        assert_eq!(
            String::from_utf8_lossy(out.bytes()),
            concat!(
                r#"{"IPV4_SRC_ADDR":"10.0.0.1","IPV6_SRC_ADDR":"::","FLOW_START_MILLISECONDS":1700000009000,"#,
                r#""IP_PROTOCOL_VERSION":4,"EXPORTER_IPV4_ADDRESS":"192.0.2.1","OUT_BYTES":800,"OUT_PKTS":0,"SRC_AS":0,"#,
                r#""APPL_LATENCY_MS":0.0,"DNS_QUERY":"","SAMPLING_INTERVAL":1}"#,
                "\n"
            )
        );
    }

    #[test]
    fn batches_keep_their_bounds() {
        let limits = Batching { records: 10, bytes: 1000, wait: 1 };
        for labels in [false, true] {
            let home = Home::at([127, 0, 0, 1]);
            let mut tlv = TlvBatches::new(Plan::Ntopng, home, labels, limits);
            let mut json = JsonBatches::new(Plan::Ntopng, home, labels, limits);
            for transcoder in [&mut tlv as &mut dyn Transcode, &mut json] {
                let out = run(transcoder, 23);
                assert!(out.iter().all(|(message, records)| message.len() <= 1000 && (1..=10).contains(&records)));
            }
        }
    }

    #[test]
    fn json_for_ntopng_is_an_array_by_number() {
        let limits = Batching { records: 2, ..Batching::default() };
        let out = run(&mut JsonBatches::new(Plan::Ntopng, Home::at([127, 0, 0, 1]), false, limits), 3);
        let messages: Vec<_> = out.iter().map(|(message, _)| String::from_utf8_lossy(message).into_owned()).collect();
        let object = r#"{"8":"10.0.0.1","12":"10.0.0.2","7":50000,"11":53,"4":17,"2":50,"1":7000,"22":1700000009,"21":1700000009,"82":"e\"h0","99.5":"abcd","23":800,"130":"192.0.2.1","60":4,"24":0}"#;
        assert_eq!(messages, [format!("[{object},{object}]"), format!("[{object}]")]);
    }

    #[test]
    fn tlv_for_ntopng_reads_back() {
        let out = run(&mut TlvBatches::new(Plan::Ntopng, Home::at([127, 0, 0, 1]), false, Batching::default()), 1);
        let (message, _) = out.iter().next().expect("there");
        let begin =
            [&[1, 1, 0x2b, 8, 0, 8][..], b"10.0.0.1", &[0x2b, 12, 0, 8], b"10.0.0.2", &[0x23, 7, 0xc3, 0x50]].concat();
        assert!(message.starts_with(&begin), "{message:02x?}");
        let end = [&[0x2b, 130, 0, 9][..], b"192.0.2.1", &[0x22, 60, 4, 0x22, 24, 0, 1]].concat();
        assert!(message.ends_with(&end), "{message:02x?}");
    }
}
