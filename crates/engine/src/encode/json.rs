//! JSON (RFC 8259): one object a record and line.
//!
//! Keys are nProbe's names in template order, whatever spelling was asked for. Numbers are JSON numbers, latencies
//! milliseconds with a fraction; addresses, MACs and octets are texts. Every element asked for is there. Each line,
//! newline included, is a message of its own, so that a receiver can frame them as it needs.

use super::print::{Printer, escape};
use super::{Counters, Encode, Error, Format, Messages, Options};
use crate::fill::{self, Env};
use crate::meter::View;

/// Writes flows as JSON.
#[derive(Debug)]
pub struct Json {
    fields: Vec<Field>,
    /// What closes the last value and the object.
    end: &'static [u8],
    bidirectional: bool,
    counters: Counters,
}

#[derive(Debug)]
struct Field {
    /// What stands between the value before and this one: quotes, comma, key.
    before: Box<[u8]>,
    printer: Printer,
}

/// An encoder of JSON lines. Of the options it reads the template.
pub fn json(options: &Options) -> Json {
    let mut open = false;
    let mut fields = Vec::new();
    for element in options.template.iter() {
        let printer = Printer::of(element, options);
        let first = if fields.is_empty() { "{" } else { "," };
        let (close, quote) = (if open { "\"" } else { "" }, if printer.quoted { "\"" } else { "" });
        let mut before = format!("{close}{first}").into_bytes();
        before.push(b'"');
        escape(element.name, &mut before);
        before.extend_from_slice(b"\":");
        before.extend_from_slice(quote.as_bytes());
        open = printer.quoted;
        fields.push(Field { before: before.into(), printer });
    }
    let end: &[u8] = match (fields.is_empty(), open) {
        (true, _) => b"{}\n",
        (_, true) => b"\"}\n",
        (_, false) => b"}\n",
    };
    Json { fields, end, bidirectional: fill::is_bidirectional(&options.template), counters: Counters::default() }
}

impl Json {
    fn record(&mut self, v: &View<'_>, env: &Env, out: &mut Messages) {
        let bytes = out.buffer();
        for field in &self.fields {
            bytes.extend_from_slice(&field.before);
            field.printer.print(v, env, bytes, escape);
        }
        bytes.extend_from_slice(self.end);
        out.finish(1);
        self.counters.records += 1;
    }
}

impl Encode for Json {
    fn encode(&mut self, flow: &View<'_>, env: &Env, out: &mut Messages) {
        self.counters.flows += 1;
        self.counters.encoded += 1;
        if self.bidirectional {
            self.record(flow, env, out);
        } else {
            for half in flow.halves() {
                self.record(&half, env, out);
            }
        }
    }

    fn tick(&mut self, _: &Env, _: &mut Messages) {}

    fn flush(&mut self, _: &Env, _: &mut Messages) {}

    fn counters(&self) -> Counters {
        self.counters
    }
}

/// JSON lines.
pub const SPEC: Format = Format {
    name: "json",
    help: "One JSON object a record and line, keyed by nProbe's names",
    start: |options| Ok::<_, Error>(Box::new(json(options))),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::sample;
    use flowsonde_elements::{Mode, Template};

    fn lines(template: &str, env: &Env, flow: &View<'_>) -> String {
        told(Template::parse(template, Mode::Probe).expect("template"), env, flow)
    }

    fn told(template: Template, env: &Env, flow: &View<'_>) -> String {
        let mut encoder = json(&Options { template, ..Options::default() });
        let mut out = Messages::default();
        encoder.encode(flow, env, &mut out);
        assert_eq!(out.records(), encoder.counters().records);
        assert_eq!(out.len() as u64, out.records());
        String::from_utf8(out.bytes().to_vec()).expect("text")
    }

    #[test]
    fn a_flow_is_one_object_in_template_order() {
        let flow = sample::v4();
        let text = lines(
            "%OUT_PKTS %octetDeltaCount %IPV4_SRC_ADDR %L4_DST_PORT %PROTOCOL_MAP %FIRST_SWITCHED %IPV6_DST_ADDR \
             %FLOW_END_MILLISECONDS %APPL_LATENCY_MS %DNS_QUERY %IN_SRC_MAC %MPLS_LABEL_1",
            &Env::default(),
            &flow.view(),
        );
        assert_eq!(
            text,
            "{\"OUT_PKTS\":2,\"IN_BYTES\":1500,\"IPV4_SRC_ADDR\":\"192.0.2.1\",\"L4_DST_PORT\":443,\
             \"PROTOCOL_MAP\":\"TCP\",\"FIRST_SWITCHED\":1700000000,\"IPV6_DST_ADDR\":\"::\",\
             \"FLOW_END_MILLISECONDS\":1700000002500,\"APPL_LATENCY_MS\":0.0,\"DNS_QUERY\":\"\",\
             \"IN_SRC_MAC\":\"00:00:00:00:00:00\",\"MPLS_LABEL_1\":\"000000\"}\n"
        );
    }

    #[test]
    fn without_reverse_elements_each_direction_has_a_record() {
        let flow = sample::v4();
        let text = lines("%IPV4_SRC_ADDR %IN_PKTS %FLOW_START_MILLISECONDS", &Env::default(), &flow.view());
        assert_eq!(
            text,
            "{\"IPV4_SRC_ADDR\":\"192.0.2.1\",\"IN_PKTS\":3,\"FLOW_START_MILLISECONDS\":1700000000123}\n\
             {\"IPV4_SRC_ADDR\":\"198.51.100.7\",\"IN_PKTS\":2,\"FLOW_START_MILLISECONDS\":1700000000250}\n"
        );
    }

    #[test]
    fn texts_are_escaped() {
        let env = Env { interface_name: "a\"b\\c\u{1}\n\u{e9}\u{1f600}\u{7f}".to_owned(), ..Env::default() };
        let text = lines("%OUT_PKTS %INTERFACE_NAME", &env, &sample::v4().view());
        assert_eq!(text, "{\"OUT_PKTS\":2,\"INTERFACE_NAME\":\"a\\\"b\\\\c\\u0001\\n\u{e9}\u{1f600}\u{7f}\"}\n");
    }

    #[test]
    fn every_element_there_is_can_be_asked_for() {
        let template: Template = flowsonde_elements::registry::all().collect();
        let text = told(template.clone(), &Env::default(), &sample::v6().view());
        for element in template.iter() {
            assert!(text.contains(&format!("\"{}\":", element.name)), "{}", element.name);
        }
        assert_eq!((text.matches('{').count(), text.matches('\n').count()), (1, 1));
    }
}
