//! Messages for ntopng: records of the probe's own flows, many a message, as TLV or as an array of JSON objects.
//!
//! A flow is one record of both directions, as ntopng wants it. What it cannot do without is told even when it was not
//! asked for ([`complete`]). Forms and bounds are those of collected records ([`crate::transcode`]).

use flowsonde_elements::Kind;

use super::{Counters, Encode, Format, Messages, Options, print};
use crate::fill::{Env, Fill, Short};
use crate::meter::View;
use crate::transcode::batch::Batch;
use crate::transcode::{AsJson, AsTlv, Emit, Form, Name, Nothing, complete};

/// Writes flows for ntopng.
#[derive(Debug)]
pub struct Ntopng<F: Form> {
    fields: Vec<(Source, F::Key)>,
    batch: Batch,
    counters: Counters,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Filled(Fill),
    /// An application and its carrier.
    Protocol(fn(&View<'_>, &Env) -> u64),
    /// Nothing fills it.
    Unset(Nothing),
}

impl<F: Form> Ntopng<F> {
    /// Tells the template of `options`, and what ntopng needs besides.
    pub fn new(options: &Options) -> Self {
        let template = complete(&options.template);
        // ntopng guesses the application by ports where none is told, but not where none is known.
        let told = template.iter().filter(|element| element.kind != Kind::L7Protocol || options.row(element).is_some());
        let fields = told.enumerate().map(|(at, element)| {
            let source = match options.row(element).map(|row| row.fill) {
                None => Source::Unset(Nothing::of(element.kind)),
                Some(Fill::Number(read)) if element.kind == Kind::L7Protocol => Source::Protocol(read),
                Some(fill) => Source::Filled(fill),
            };
            (source, F::key(&Name::Element(element), element.kind, at == 0, options.labels))
        });
        Ntopng {
            fields: fields.collect(),
            batch: Batch::new(options.batching, F::FRAME),
            counters: Counters::default(),
        }
    }
}

impl Source {
    #[inline(always)]
    fn tell<E: Emit>(self, v: &View<'_>, env: &Env, key: &E::Key, out: &mut E) {
        match self {
            Source::Filled(Fill::Number(read)) => out.number(key, read(v, env)),
            Source::Filled(Fill::Ipv4(read)) => out.ipv4(key, read(v, env)),
            Source::Filled(Fill::Ipv6(read)) => out.ipv6(key, read(v, env)),
            Source::Filled(Fill::Mac(read)) => out.mac(key, read(v)),
            Source::Filled(Fill::Latency(read)) => out.latency(key, read(v).into()),
            Source::Filled(Fill::Label(read)) => out.octets(key, &read(v)),
            Source::Filled(Fill::Text(read)) => out.text(key, read(v, env).as_bytes()),
            Source::Filled(Fill::Short(write)) => out.text(key, Short::of(|text| write(v, env, text)).bytes()),
            Source::Filled(Fill::List(list)) => out.structure(key, list.text(v).bytes()),
            Source::Protocol(read) => {
                out.text(key, Short::of(|text| print::application(read(v, env) as u32, text)).bytes());
            }
            Source::Unset(nothing) => nothing.tell(key, out),
        }
    }
}

impl<F: Form> Encode for Ntopng<F> {
    fn encode(&mut self, flow: &View<'_>, env: &Env, out: &mut Messages) {
        self.counters.flows += 1;
        self.counters.encoded += 1;
        self.counters.records += 1;
        self.batch.mark(env.now);
        let mut filling = self.batch.fill::<F>(out);
        filling.begin();
        for (source, key) in &self.fields {
            source.tell(flow, env, key, &mut filling);
        }
        filling.end();
    }

    fn tick(&mut self, env: &Env, out: &mut Messages) {
        self.batch.tick(env.now, out);
    }

    fn flush(&mut self, _: &Env, out: &mut Messages) {
        self.batch.send(out);
    }

    fn counters(&self) -> Counters {
        Counters { pending: self.batch.records().into(), ..self.counters }
    }
}

/// TLV for ntopng.
pub const TLV: Format = Format {
    name: "ntopng-tlv",
    help: "Many records a message for ntopng, as TLV",
    start: |options| Ok(Box::new(Ntopng::<AsTlv>::new(options))),
};

/// JSON for ntopng.
pub const JSON: Format = Format {
    name: "ntopng-json",
    help: "Many records a message for ntopng, as arrays of JSON objects",
    start: |options| Ok(Box::new(Ntopng::<AsJson>::new(options))),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::sample::{self, Flow};
    use crate::encode::{Error, format};
    use crate::transcode::Batching;
    use flowsonde_elements::{Mode, Template};

    fn messages(name: &str, options: &Options, flows: &[Flow]) -> Result<Messages, Error> {
        let mut encoder = (format(name).expect("format").start)(options)?;
        let (env, mut out) = (Env::default(), Messages::default());
        for flow in flows {
            encoder.encode(&flow.view(), &env, &mut out);
        }
        let counters = encoder.counters();
        assert_eq!(counters.records, out.records() + counters.pending);
        encoder.flush(&env, &mut out);
        assert_eq!((out.records(), encoder.counters().pending), (flows.len() as u64, 0));
        Ok(out)
    }

    fn options(template: &str) -> Options {
        Options { template: Template::parse(template, Mode::Probe).expect("template"), ..Options::default() }
    }

    #[test]
    fn a_flow_is_one_record_with_what_ntopng_needs() {
        let out = messages("ntopng-json", &options("%L7_PROTO %SRC_TOS"), &[sample::v4(), sample::v6()]);
        let out = out.expect("encoded");
        let text = String::from_utf8_lossy(out.bytes()).into_owned();
        assert_eq!(
            text,
            concat!(
                r#"[{"5":40,"8":"192.0.2.1","12":"198.51.100.7","7":50000,"11":443,"4":6,"60":4,"1":1500,"2":3,"#,
                r#""23":2000,"24":2,"22":1700000000,"21":1700000002,"130":"127.0.0.1","27":"::","28":"::"},"#,
                r#"{"5":40,"8":"0.0.0.0","12":"0.0.0.0","7":40000,"11":53,"4":17,"60":6,"1":500,"2":1,"#,
                r#""23":1000,"24":1,"22":1700000000,"21":1700000002,"130":"127.0.0.1","27":"2001:db8::1","28":"2001:db8::"}]"#
            )
        );
    }

    #[test]
    fn tlv_octet_by_octet() {
        let out = messages("ntopng-tlv", &options("%IPV4_SRC_ADDR %IN_SRC_MAC"), &[sample::v4()]).expect("encoded");
        let expected = [
            &[1, 1, 0x2b, 8, 0, 9][..],
            b"192.0.2.1",
            &[0x2b, 56, 0, 17],
            b"00:00:00:00:00:00",
            &[0x2b, 12, 0, 12],
            b"198.51.100.7",
            &[0x23, 7, 0xc3, 0x50, 0x23, 11, 1, 0xbb, 0x22, 4, 6, 0x22, 60, 4],
            &[0x23, 1, 5, 0xdc, 0x22, 2, 3, 0x23, 23, 7, 0xd0, 0x22, 24, 2],
            &[0x24, 22, 0x65, 0x53, 0xf1, 0, 0x24, 21, 0x65, 0x53, 0xf1, 2, 0x2b, 130, 0, 9],
            b"127.0.0.1",
            &[0x2b, 27, 0, 2],
            b"::",
            &[0x2b, 28, 0, 2],
            b"::",
            &[1],
        ];
        assert_eq!(out.bytes(), expected.concat());
    }

    /// The same values, by name, as in the JSON lines, whose encoder shares nothing with this one but how numbers and
    /// addresses are printed. Only truth is a number here, and a list a text.
    #[test]
    fn every_element_is_told_as_in_json_lines() {
        let template: Template = flowsonde_elements::registry::all().collect();
        let wanted = Options { template, labels: true, applications: true, ..Options::default() };
        for flow in [sample::v4(), sample::v6()] {
            let lines = messages("json", &wanted, core::slice::from_ref(&flow)).expect("encoded");
            let batch = messages("ntopng-json", &wanted, core::slice::from_ref(&flow)).expect("encoded");
            let line = String::from_utf8_lossy(lines.bytes()).trim_end().to_owned();
            let line = line.replace(":false", ":0").replace(":[]", ":\"[]\"");
            assert!(String::from_utf8_lossy(batch.bytes()) == format!("[{line}]"));
        }
    }

    #[test]
    fn messages_keep_their_bounds_and_do_not_wait_for_long() {
        let flows: Vec<Flow> = (0..25).map(|_| sample::v4()).collect();
        let batching = Batching { records: 10, bytes: 800, wait: 5 };
        for name in ["ntopng-tlv", "ntopng-json"] {
            let options = Options { batching, ..options("%IPV4_SRC_ADDR") };
            let out = messages(name, &options, &flows).expect("encoded");
            assert!(out.len() > 3 && out.iter().all(|(bytes, records)| bytes.len() <= 800 && records <= 10));
            let mut encoder = (format(name).expect("format").start)(&options).expect("encoder");
            let (mut env, mut out) = (Env::default(), Messages::default());
            encoder.encode(&sample::v4().view(), &env, &mut out);
            env.now.0 += 4;
            encoder.tick(&env, &mut out);
            assert!(out.is_empty());
            env.now.0 += 1;
            encoder.tick(&env, &mut out);
            assert_eq!(out.records(), 1);
        }
    }
}
