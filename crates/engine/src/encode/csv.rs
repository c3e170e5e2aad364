//! Text: a line of names, then a line a record (nProbe's `-D t`; RFC 4180 but for the separator).
//!
//! Values are those of JSON without quotes. One that holds the separator, a quote or a line break is quoted, quotes
//! inside doubled. The line of names comes first, and again for a new receiver: a file rotated, a connection made again.

use flowsonde_elements::Template;

use super::print::Printer;
use super::{Counters, Encode, Error, Format, Messages, Options};
use crate::fill::{self, Env};
use crate::meter::View;

/// Writes flows as lines of text.
#[derive(Debug)]
pub struct Csv {
    fields: Vec<Printer>,
    header: Box<[u8]>,
    separator: Box<[u8]>,
    header_due: bool,
    /// The separator may be part of a number or an address, so that these too may need quotes.
    check_all: bool,
    bidirectional: bool,
    counters: Counters,
}

/// An encoder of text lines. Of the options it reads the template and the separator.
pub fn csv(options: &Options) -> Csv {
    let separator = options.separator.to_string();
    Csv {
        fields: options.template.iter().map(|element| Printer::of(element, options)).collect(),
        header: names(&options.template, options.separator).into(),
        separator: separator.into_bytes().into(),
        header_due: true,
        check_all: is_in_values(options.separator),
        bidirectional: fill::is_bidirectional(&options.template),
        counters: Counters::default(),
    }
}

/// A separator that numbers or addresses hold too.
pub(crate) fn is_in_values(separator: char) -> bool {
    separator.is_ascii_alphanumeric() || matches!(separator, '.' | ':' | '-')
}

/// The header line.
pub fn names(template: &Template, separator: char) -> Vec<u8> {
    let names: Vec<&str> = template.iter().map(|element| element.name).collect();
    (names.join(&separator.to_string()) + "\n").into_bytes()
}

impl Csv {
    /// The header line, once; of a file without records, too.
    #[inline]
    fn begin(&mut self, out: &mut Messages) {
        if core::mem::take(&mut self.header_due) {
            out.buffer().extend_from_slice(&self.header);
            out.finish(0);
        }
    }

    fn record(&mut self, v: &View<'_>, env: &Env, out: &mut Messages) {
        let bytes = out.buffer();
        let mut first = true;
        for printer in &self.fields {
            if !core::mem::take(&mut first) {
                bytes.extend_from_slice(&self.separator);
            }
            let start = bytes.len();
            printer.print(v, env, bytes, |text, out| out.extend_from_slice(text.as_bytes()));
            if printer.mixed || self.check_all {
                quote(bytes, start, &self.separator);
            }
        }
        bytes.push(b'\n');
        out.finish(1);
        self.counters.records += 1;
    }
}

impl Encode for Csv {
    fn encode(&mut self, flow: &View<'_>, env: &Env, out: &mut Messages) {
        self.begin(out);
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

    fn flush(&mut self, _: &Env, out: &mut Messages) {
        self.begin(out);
    }

    fn restart(&mut self) {
        self.header_due = true;
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

/// Quotes what was appended from `start` on, if it needs that.
#[inline]
pub(crate) fn quote(out: &mut Vec<u8>, start: usize, separator: &[u8]) {
    let value = out.get(start..).unwrap_or(&[]);
    let special = |b: &u8| matches!(b, b'"' | b'\n' | b'\r');
    let separated = match separator {
        [one] => value.contains(one),
        many => value.windows(many.len()).any(|window| window == many),
    };
    if separated || value.iter().any(special) {
        quoted(out, start);
    }
}

#[cold]
fn quoted(out: &mut Vec<u8>, start: usize) {
    let value = out.split_off(start.min(out.len()));
    out.push(b'"');
    for byte in value {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Text lines.
pub const SPEC: Format = Format {
    name: "csv",
    help: "A line of names, then one line of values a record, separated by | or --csv-separator",
    start: |options| Ok::<_, Error>(Box::new(csv(options))),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::sample;
    use flowsonde_elements::{Mode, Template};

    fn options(template: &str, separator: char) -> Options {
        let template = Template::parse(template, Mode::Probe).expect("template");
        Options { template, separator, ..Options::default() }
    }

    fn text(out: &Messages) -> &str {
        core::str::from_utf8(out.bytes()).expect("text")
    }

    #[test]
    fn names_then_values() {
        let mut encoder = csv(&options("%IPV4_SRC_ADDR %OUT_PKTS %DNS_QUERY %APPL_LATENCY_MS", '|'));
        let mut out = Messages::default();
        encoder.encode(&sample::v4().view(), &Env::default(), &mut out);
        encoder.encode(&sample::v6().view(), &Env::default(), &mut out);
        assert_eq!(text(&out), "IPV4_SRC_ADDR|OUT_PKTS|DNS_QUERY|APPL_LATENCY_MS\n192.0.2.1|2||0.0\n0.0.0.0|1||0.0\n");
        assert_eq!((out.len(), out.records()), (3, 2));
        out.clear();
        encoder.restart();
        encoder.encode(&sample::v6().view(), &Env::default(), &mut out);
        assert_eq!(text(&out), "IPV4_SRC_ADDR|OUT_PKTS|DNS_QUERY|APPL_LATENCY_MS\n0.0.0.0|1||0.0\n");
    }

    #[test]
    fn what_would_break_a_line_is_quoted() {
        let env = Env { interface_name: "a|\"b\nc".to_owned(), ..Env::default() };
        let mut encoder = csv(&options("%INTERFACE_NAME %OUT_PKTS", '|'));
        let mut out = Messages::default();
        encoder.encode(&sample::v4().view(), &env, &mut out);
        assert_eq!(text(&out), "INTERFACE_NAME|OUT_PKTS\n\"a|\"\"b\nc\"|2\n");
        let mut encoder = csv(&options("%IPV6_SRC_ADDR %OUT_PKTS", ':'));
        out.clear();
        encoder.encode(&sample::v6().view(), &env, &mut out);
        assert_eq!(text(&out), "IPV6_SRC_ADDR:OUT_PKTS\n\"2001:db8::1\":1\n");
        let mut encoder = csv(&options("%INTERFACE_NAME %OUT_PKTS", '→'));
        out.clear();
        encoder.encode(&sample::v4().view(), &Env { interface_name: "x→y".to_owned(), ..Env::default() }, &mut out);
        assert_eq!(text(&out), "INTERFACE_NAME→OUT_PKTS\n\"x→y\"→2\n");
    }
}
