//! Lines of text, as the probe writes them ([`crate::encode::csv`]). The line of names is whoever opens the file's to write.

use flowsonde_elements::Template;
use flowsonde_wire::Nanos;

use super::output::Transcode;
use super::text::When;
use super::{Column, Emit, Home, Plan, Program, Programs, Scratch};
use crate::decode::records::{Set, Taken};
use crate::encode::csv::{is_in_values, quote};
use crate::encode::{Messages, print};

/// Writes a record a line and message.
#[derive(Debug)]
pub struct TextLines {
    plan: Plan,
    separator: Box<[u8]>,
    /// The separator may be part of a number or an address.
    check_all: bool,
    home: Home,
    programs: Programs<Key>,
    scratch: Scratch,
}

/// How a value is written.
#[derive(Clone, Copy, Debug)]
struct Key {
    first: bool,
    when: When,
}

impl TextLines {
    /// Tells the elements of a template.
    pub fn new(template: Template, separator: char, home: Home) -> TextLines {
        TextLines {
            plan: Plan::Template(template),
            separator: separator.to_string().into_bytes().into(),
            check_all: is_in_values(separator),
            home,
            programs: Programs::default(),
            scratch: Scratch::default(),
        }
    }
}

impl Transcode for TextLines {
    fn flows(&mut self, set: &Set<'_>, _: Nanos, out: &mut Messages) -> Taken {
        let plan = &self.plan;
        let program = self.programs.of(set.layout, |layout| {
            Program::new(&plan.columns(layout), |column: &Column, first| Key { first, when: When::of(column.kind) })
        });
        let mut line = Line { out, separator: &self.separator, check_all: self.check_all };
        program.run(set, &self.home, &mut self.scratch, &mut line)
    }

    fn tick(&mut self, _: Nanos, _: &mut Messages) {}

    fn flush(&mut self, _: &mut Messages) {}

    fn pending(&self) -> u64 {
        0
    }
}

struct Line<'a> {
    out: &'a mut Messages,
    separator: &'a [u8],
    check_all: bool,
}

impl Line<'_> {
    /// Appends a value, quoted where it needs that and may.
    #[inline]
    fn value(&mut self, key: &Key, free: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let bytes = self.out.buffer();
        if !key.first {
            bytes.extend_from_slice(self.separator);
        }
        let start = bytes.len();
        write(bytes);
        if free || self.check_all {
            quote(bytes, start, self.separator);
        }
    }
}

impl super::Key for Key {
    fn is_short(&self) -> bool {
        false
    }

    fn moment(&self, time: Nanos) -> u64 {
        self.when.tell(time)
    }
}

impl Emit for Line<'_> {
    type Key = Key;

    #[inline]
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.out.buffer()
    }

    #[inline]
    fn begin(&mut self) {}

    #[inline]
    fn end(&mut self) {
        self.out.buffer().push(b'\n');
        self.out.finish(1);
    }

    #[inline]
    fn number(&mut self, key: &Key, n: u64) {
        self.value(key, false, |out| print::number(n, out));
    }

    fn signed(&mut self, key: &Key, n: i64) {
        self.value(key, false, |out| out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()));
    }

    fn float(&mut self, key: &Key, n: f64) {
        let n = if n.is_finite() { n } else { 0.0 };
        self.value(key, false, |out| out.extend_from_slice(format!("{n:?}").as_bytes()));
    }

    fn boolean(&mut self, key: &Key, truth: bool) {
        self.number(key, truth.into());
    }

    #[inline]
    fn time(&mut self, key: &Key, time: Nanos) {
        self.number(key, key.when.tell(time));
    }

    #[inline]
    fn ipv4(&mut self, key: &Key, address: [u8; 4]) {
        self.value(key, false, |out| print::ipv4(address, out));
    }

    fn ipv6(&mut self, key: &Key, address: [u8; 16]) {
        self.value(key, false, |out| print::ipv6(address, out));
    }

    fn mac(&mut self, key: &Key, address: [u8; 6]) {
        self.value(key, false, |out| print::mac(address, out));
    }

    fn text(&mut self, key: &Key, text: &[u8]) {
        self.value(key, true, |out| match core::str::from_utf8(text) {
            Ok(text) => out.extend_from_slice(text.as_bytes()),
            Err(_) => out.extend_from_slice(String::from_utf8_lossy(text).as_bytes()),
        });
    }

    fn octets(&mut self, key: &Key, octets: &[u8]) {
        self.value(key, false, |out| octets.iter().for_each(|&octet| print::hex(octet, out)));
    }
}
