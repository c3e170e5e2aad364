//! Structured data (RFC 6313): lists in a value, told as one JSON object.
//!
//! ```text
//! basicList              semantic u8 | element u16 | length u16 | enterprise u32 if E | values          (section 4.5.1)
//! subTemplateList        semantic u8 | template u16 | records                                           (section 4.5.2)
//! subTemplateMultiList   semantic u8 | (template u16 | length u16, these 4 included | records) ...      (section 4.5.3)
//!
//! {"semantic":"allOf","element":"bgpCommunity","values":[1,2]}          {"semantic":"ordered","records":[{..},{..}]}
//! ```
//!
//! What is broken anywhere, or of a template that is not known, is no list: the caller tells it as octets. So it does with
//! what is nested deeper than [`DEEPEST`] or longer than [`LONGEST`] as text. Every step takes at least a byte of the
//! value. A record tells the same element twice when its template does. Padding is not told.

use flowsonde_elements::Kind;
use flowsonde_wire::Cursor;
use flowsonde_wire::export::ipfix::VARIABLE;

use super::plan::{self, Name};
use super::text::When;
use super::{Context, Emit, Json, Take, json};
use crate::decode::layout::{self, At, Field, Layout, Record, Spans};
use crate::encode::print;

/// Lists in lists in lists. Exporters nest twice: flows with lists of certificates, these with lists of names.
const DEEPEST: usize = 8;

/// Bytes of JSON: what a text of TLV can hold.
const LONGEST: usize = 65_535;

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Values of one element.
    Basic,
    /// Records of one template.
    SubTemplate,
    /// Records of several templates.
    MultiTemplate,
}

impl Sort {
    /// The sort of an element of the IANA's that is a list.
    pub(super) const fn of(id: u16) -> Sort {
        match id {
            292 | 443 | 444 | 516 | 519 => Sort::SubTemplate,
            293 => Sort::MultiTemplate,
            _ => Sort::Basic,
        }
    }
}

/// Scratch memory.
#[derive(Debug, Default)]
pub struct Lists {
    text: Vec<u8>,
    spans: Vec<Spans>,
}

/// Tells a list, or as octets what is none.
#[cold]
pub(super) fn tell<E: Emit>(sort: Sort, bytes: &[u8], c: &Context<'_>, key: &E::Key, out: &mut E) {
    let mut lists = c.lists.take();
    lists.text.clear();
    match write(sort, bytes, c, &mut lists, 0) {
        Some(()) => out.structure(key, &lists.text),
        None => out.octets(key, bytes),
    }
    c.lists.replace(lists);
}

/// Appends a list; `None` leaves what is to be thrown away.
fn write(sort: Sort, bytes: &[u8], c: &Context<'_>, lists: &mut Lists, depth: usize) -> Option<()> {
    if depth >= DEEPEST {
        return None;
    }
    let mut cursor = Cursor::new(bytes);
    let [semantic] = *cursor.take(1, "semantic").ok()?.first_chunk::<1>()?;
    lists.text.extend_from_slice(b"{\"semantic\":\"");
    lists.text.extend_from_slice(named(semantic).as_bytes());
    lists.text.push(b'"');
    match sort {
        Sort::Basic => values(&mut cursor, c, lists, depth)?,
        Sort::SubTemplate => {
            let id = cursor.u16("template id").ok()?;
            lists.text.extend_from_slice(b",\"records\":[");
            records(id, cursor.rest(), c, lists, depth)?;
            lists.text.push(b']');
        }
        Sort::MultiTemplate => {
            lists.text.extend_from_slice(b",\"records\":[");
            while !cursor.rest().is_empty() {
                let id = cursor.u16("template id").ok()?;
                let length = usize::from(cursor.u16("length").ok()?).checked_sub(4)?;
                records(id, cursor.take(length, "records").ok()?, c, lists, depth)?;
            }
            lists.text.push(b']');
        }
    }
    lists.text.push(b'}');
    (lists.text.len() <= LONGEST).then_some(())
}

/// Section 4.4.
const fn named(semantic: u8) -> &'static str {
    match semantic {
        0 => "noneOf",
        1 => "exactlyOneOf",
        2 => "oneOrMoreOf",
        3 => "allOf",
        4 => "ordered",
        _ => "undefined",
    }
}

/// The values of a basicList.
fn values(cursor: &mut Cursor<'_>, c: &Context<'_>, lists: &mut Lists, depth: usize) -> Option<()> {
    const ENTERPRISE: u16 = 0x8000;
    let number = cursor.u16("element").ok()?;
    let length = cursor.u16("element length").ok()?;
    let pen = if number & ENTERPRISE == 0 { 0 } else { cursor.u32("enterprise").ok()? };
    let id = number & !ENTERPRISE;
    let mut field = Field { pen, id, length, element: layout::element(pen, id), at: At::default() };
    lists.text.extend_from_slice(b",\"element\":\"");
    name(&field, &mut lists.text);
    lists.text.extend_from_slice(b"\",\"values\":[");
    let mut first = true;
    while !cursor.rest().is_empty() {
        let length = match length {
            // Values of no length would never end.
            0 => return None,
            VARIABLE => variable(cursor)?,
            length => length,
        };
        let value = cursor.take(length.into(), "value").ok()?;
        field.length = length;
        comma(&mut first, &mut lists.text);
        tell_value(&field, &Record::new(value), &Spans::default(), c, lists, depth)?;
    }
    lists.text.push(b']');
    Some(())
}

/// A length of one byte, or of three (RFC 7011, section 7).
fn variable(cursor: &mut Cursor<'_>) -> Option<u16> {
    match *cursor.take(1, "length").ok()?.first_chunk::<1>()? {
        [255] => cursor.u16("length").ok().filter(|&length| length != VARIABLE),
        [length] => Some(length.into()),
    }
}

/// Records of a template, to the end of `bytes`.
fn records(id: u16, bytes: &[u8], c: &Context<'_>, lists: &mut Lists, depth: usize) -> Option<()> {
    if bytes.is_empty() {
        return Some(());
    }
    let layout = c.templates.peek(id)?;
    let mut spans = lists.spans.pop().unwrap_or_default();
    let whole = split(layout, bytes, &mut spans, c, lists, depth);
    lists.spans.push(spans);
    whole
}

fn split(
    layout: &Layout,
    bytes: &[u8],
    spans: &mut Spans,
    c: &Context<'_>,
    lists: &mut Lists,
    depth: usize,
) -> Option<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (record, after) = layout.split(rest, spans)?;
        rest = after;
        if lists.text.last() != Some(&b'[') {
            lists.text.push(b',');
        }
        fields(layout, None, &record, spans, c, lists, depth)?;
    }
    Some(())
}

/// A record as an object, without the field of the same place as this one.
fn fields(
    layout: &Layout,
    without: Option<&Field>,
    record: &Record<'_>,
    spans: &Spans,
    c: &Context<'_>,
    lists: &mut Lists,
    depth: usize,
) -> Option<()> {
    lists.text.push(b'{');
    let mut first = true;
    let told = layout.fields.iter().filter(|field| !field.is(plan::PADDING));
    for field in told.filter(|field| without.is_none_or(|without| without.at != field.at)) {
        comma(&mut first, &mut lists.text);
        lists.text.push(b'"');
        name(field, &mut lists.text);
        lists.text.extend_from_slice(b"\":");
        tell_value(field, record, spans, c, lists, depth)?;
    }
    lists.text.push(b'}');
    Some(())
}

/// A record of its own as JSON, without one field.
pub(super) fn object(
    layout: &Layout,
    without: &Field,
    record: &Record<'_>,
    spans: &Spans,
    c: &Context<'_>,
) -> Option<String> {
    let mut lists = c.lists.take();
    lists.text.clear();
    let told = fields(layout, Some(without), record, spans, c, &mut lists, 0);
    let text = told.and_then(|()| core::str::from_utf8(&lists.text).ok()).map(str::to_owned);
    c.lists.replace(lists);
    text
}

fn comma(first: &mut bool, text: &mut Vec<u8>) {
    if !core::mem::replace(first, false) {
        text.push(b',');
    }
}

/// What a field is called; names of the tables need no escapes.
fn name(field: &Field, text: &mut Vec<u8>) {
    match plan::named(field).0 {
        Name::Element(element) => text.extend_from_slice(element.name.as_bytes()),
        Name::Number { pen, id } => {
            print::number(pen.into(), text);
            text.push(b'.');
            print::number(id.into(), text);
        }
    }
}

fn tell_value(
    field: &Field,
    record: &Record<'_>,
    spans: &Spans,
    c: &Context<'_>,
    lists: &mut Lists,
    depth: usize,
) -> Option<()> {
    if lists.text.len() > LONGEST {
        return None;
    }
    let mut nested = |sort, at, width| write(sort, super::take::value(record, spans, at, width), c, lists, depth + 1);
    match plan::read(field) {
        Take::BasicList(at, width) => nested(Sort::Basic, at, width),
        Take::SubTemplateList(at, width) => nested(Sort::SubTemplate, at, width),
        Take::MultiList(at, width) => nested(Sort::MultiTemplate, at, width),
        take => {
            let kind = field.element.map_or(Kind::Octets(0), |element| element.kind_of(field.length));
            let key = json::Key::bare(When::of(kind));
            take.run(record, spans, c, &key, &mut Json { out: &mut lists.text });
            Some(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::collector::{Collector, Config};
    use crate::decode::records::{Receive, Set, Taken};
    use crate::encode::Messages;
    use crate::transcode::{Batching, Home, Lines, Plan, TlvBatches, Transcode};
    use flowsonde_wire::Nanos;
    use flowsonde_wire::export::{Datagram, Transport};

    struct Out(Box<dyn Transcode>, Messages);

    impl Receive for Out {
        fn flows(&mut self, set: &Set<'_>) -> Taken {
            self.0.flows(set, Nanos(1), &mut self.1)
        }
    }

    fn set(id: u16, body: &[u8]) -> Vec<u8> {
        [&id.to_be_bytes()[..], &(body.len() as u16 + 4).to_be_bytes(), body].concat()
    }

    fn template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
        let fields = fields.iter().flat_map(|(id, length)| [id.to_be_bytes(), length.to_be_bytes()].concat());
        let count = (fields.clone().count() / 4) as u16;
        [id.to_be_bytes().to_vec(), count.to_be_bytes().to_vec(), fields.collect()].concat()
    }

    /// A value of variable length with its length before it.
    fn long(value: &[u8]) -> Vec<u8> {
        [&[255][..], &(value.len() as u16).to_be_bytes(), value].concat()
    }

    /// What comes out of one record of a template that has but this one element.
    fn told(output: impl Transcode + 'static, element: u16, value: &[u8]) -> Vec<u8> {
        let templates = [
            template(300, &[(element, VARIABLE)]),
            template(400, &[(8, 4), (1, 4)]),
            template(401, &[(82, VARIABLE), (210, 1), (291, VARIABLE)]),
            template(402, &[(292, VARIABLE)]),
        ];
        let sets = [set(2, &templates.concat()), set(300, &long(value))].concat();
        let header = [&[0, 10][..], &(16 + sets.len() as u16).to_be_bytes(), &[0; 12]].concat();
        let bytes = [header, sets].concat();
        let mut collector = Collector::new(Config { rate: Some(10), ..Config::default() });
        let mut out = Out(Box::new(output), Messages::default());
        let from = ([127, 0, 0, 1], 2055).into();
        let message =
            Datagram { time: Nanos(0), transport: Transport::Udp, from, to: 4739, local: None, bytes: &bytes };
        collector.message(&message, &mut out).expect("IPFIX");
        out.0.flush(&mut out.1);
        out.1.bytes().to_vec()
    }

    const HOME: Home = Home::at([127, 0, 0, 1]);

    /// The value as a line tells it.
    #[track_caller]
    fn line(element: u16, value: &[u8]) -> String {
        let line = told(Lines::new(Plan::Everything, HOME), element, value);
        let text = String::from_utf8(line).expect("text");
        let (_, rest) = text.split_once(':').expect("a key");
        let (value, _) = rest.split_once(",\"EXPORTER_IPV4_ADDRESS\"").expect("the exporter");
        value.to_owned()
    }

    fn hex(bytes: &[u8]) -> String {
        format!("\"{}\"", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    /// Ports 80 and 443, both (RFC 6313, section 4.4: allOf).
    #[test]
    fn values_of_one_element() {
        let list = [3, 0, 11, 0, 2, 0, 80, 1, 0xbb];
        assert_eq!(line(291, &list), r#"{"semantic":"allOf","element":"L4_DST_PORT","values":[80,443]}"#);
        // Of variable length, in the reverse direction, of an enterprise nobody knows.
        let list = [&[4, 0, 82, 255, 255][..], &[2], b"e0", &[255, 0, 1], b"\"", &[0]].concat();
        assert_eq!(line(291, &list), r#"{"semantic":"ordered","element":"INTERFACE_NAME","values":["e0","\"",""]}"#);
        let list = [255, 0x80, 1, 0, 2, 0, 0, 0x72, 0x79, 0, 7];
        assert_eq!(line(291, &list), r#"{"semantic":"undefined","element":"OUT_BYTES","values":[70]}"#);
        let list = [0, 0x80, 7, 0, 1, 0, 0, 0, 99, 0xab, 0xcd];
        assert_eq!(line(291, &list), r#"{"semantic":"noneOf","element":"99.7","values":["ab","cd"]}"#);
        assert_eq!(line(484, &[3, 1, 0xe3, 0, 4]), r#"{"semantic":"allOf","element":"bgpCommunity","values":[]}"#);
    }

    #[test]
    fn records_of_one_template_and_of_several() {
        let record = [10, 0, 0, 1, 0, 0, 0, 9];
        let list = [&[4, 1, 0x90][..], &record, &record].concat();
        let object = r#"{"IPV4_SRC_ADDR":"10.0.0.1","IN_BYTES":90}"#;
        assert_eq!(line(292, &list), format!(r#"{{"semantic":"ordered","records":[{object},{object}]}}"#));
        let ports = [3, 0, 11, 0, 2, 0, 80];
        let named = [&[2][..], b"e1", &[0], &[ports.len() as u8], &ports].concat();
        let of = |id: u16, records: &[u8]| {
            [&id.to_be_bytes()[..], &(records.len() as u16 + 4).to_be_bytes(), records].concat()
        };
        let list = [vec![1], of(400, &record), of(401, &named), of(400, &[])].concat();
        let inner = r#"{"semantic":"allOf","element":"L4_DST_PORT","values":[80]}"#;
        assert_eq!(
            line(293, &list),
            format!(
                r#"{{"semantic":"exactlyOneOf","records":[{object},{{"INTERFACE_NAME":"e1","basicList":{inner}}}]}}"#
            )
        );
    }

    /// Towards ntopng it is one text: type 11, a length, and no byte of another type.
    #[test]
    fn ntopng_gets_a_text() {
        let list = [3, 0, 11, 0, 2, 0, 80];
        let out = told(TlvBatches::new(Plan::Everything, HOME, false, Batching::default()), 291, &list);
        let text = r#"{"semantic":"allOf","element":"L4_DST_PORT","values":[80]}"#;
        let item = [&[1, 1, 0x3b, 1, 0x23, 0, text.len() as u8][..], text.as_bytes(), &[0x2b, 130]].concat();
        assert!(out.starts_with(&item), "{out:02x?}");
    }

    #[test]
    fn what_is_none_is_octets() {
        let good = [3, 0, 11, 0, 2, 0, 80, 1, 0xbb];
        for end in [0, 1, 2, 3, 4, 6, 8] {
            assert_eq!(line(291, &good[..end]), hex(&good[..end]), "{end}");
        }
        // A list of values without length, a template that never came, a length that is too short or too long.
        for (element, value) in [
            (291, &[3, 0, 11, 0, 0, 1][..]),
            (291, &[3, 0, 82, 255, 255, 255, 255, 255]),
            (292, &[3, 9, 9, 0]),
            (292, &[3, 1, 0x90, 0]),
            (293, &[3, 1, 0x90, 0, 3]),
            (293, &[3, 1, 0x90, 0, 5]),
            (293, &[3, 1, 0x90, 0, 5, 0]),
        ] {
            assert_eq!(line(element, value), hex(value), "{element}");
        }
    }

    /// A list in a list, 3,000 times; and 60,000 values, each of which is a text of five bytes as JSON.
    #[test]
    fn depth_and_length_are_bounded() {
        let inner = [&[3, 1, 0x92, 3][..], &[3, 1, 0x92]].concat();
        assert_eq!(
            line(292, &inner),
            r#"{"semantic":"allOf","records":[{"subTemplateList":{"semantic":"allOf","records":[]}}]}"#
        );
        let deep =
            |depth: usize| (1..depth).fold(vec![3, 1, 0x92], |value, _| [&[3, 1, 0x92][..], &long(&value)].concat());
        assert!(line(292, &deep(DEEPEST)).starts_with('{'));
        for depth in [DEEPEST + 1, 3000] {
            assert_eq!(line(292, &deep(depth)), hex(&deep(depth)));
        }
        let many = [&[3, 0x80, 7, 0, 1, 0, 0, 0, 99][..], &[0; 60_000]].concat();
        assert_eq!(line(291, &many), hex(&many));
        let few = [&[3, 0x80, 7, 0, 1, 0, 0, 0, 99][..], &[0; 13_000]].concat();
        assert!(line(291, &few).len() < LONGEST && line(291, &few).starts_with('{'));
    }
}
