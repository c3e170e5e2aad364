//! A template compiled: what of a record is always the same, and what is put where.
//!
//! A record is a row of segments. Each is a stretch of zeros, into which values are then put at fixed offsets; behind it
//! may stand one value of variable length. A record of fixed length is one segment. Numbers that do not fit their width
//! become the largest that does.
//!
//! Numbers are put first, in order and all alike: as eight bytes, a number's own and zeros behind. What follows it is put
//! later, or is zero. So nothing has to be told apart for nearly all of a record, and what an indirect branch costs is
//! paid once a number (`benches/encode.rs`).

use flowsonde_elements::{Kind, VARIABLE};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::ipfix;

use crate::fill::{Env, Fill, List, Short};
use crate::meter::View;

/// One value of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// How it is carried.
    pub kind: Kind,
    /// Bytes, or [`VARIABLE`].
    pub length: u16,
    /// Where it comes from.
    pub source: Source,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// From the flow.
    Fill(Fill),
    /// A moment of the flow, told as milliseconds since the exporter started.
    Uptime(fn(&View<'_>) -> Nanos),
    /// Always this number.
    Constant(u64),
    /// Nothing fills it: zero, or the empty text.
    Unset,
}

type Number = fn(&View<'_>, &Env) -> u64;
type Text = for<'a> fn(&View<'a>, &'a Env) -> &'a str;
type Made = fn(&View<'_>, &Env, &mut Short);

/// A compiled template.
#[derive(Debug)]
pub(super) struct Program {
    segments: Vec<Segment>,
    /// Bytes of the shortest record: every text empty. Lists, which are never cut, are taken for full.
    shortest: usize,
    /// Texts of variable length.
    texts: usize,
    /// Lists.
    lists: usize,
}

#[derive(Debug, Default)]
struct Segment {
    /// Bytes of it.
    length: usize,
    /// In order of their offsets.
    numbers: Vec<PutNumber>,
    /// All else.
    puts: Vec<(usize, Put)>,
    tail: Option<Tail>,
}

#[derive(Clone, Copy, Debug)]
struct PutNumber {
    at: usize,
    /// Bits by which it is shifted to the left end of 64.
    shift: u32,
    read: Number,
}

#[derive(Clone, Copy, Debug)]
enum Put {
    /// The last octets of a number.
    Octets(Number, usize),
    /// The last octets of this.
    Constant(u64, usize),
    Latency(fn(&View<'_>) -> u32),
    Uptime(fn(&View<'_>) -> Nanos),
    NtpMicros(Number),
    NtpNanos(Number),
    Ipv4(fn(&View<'_>, &Env) -> [u8; 4]),
    Ipv6(fn(&View<'_>, &Env) -> [u8; 16]),
    Mac(fn(&View<'_>) -> [u8; 6]),
    Label(fn(&View<'_>) -> [u8; 3]),
    Text(Text, usize),
    Short(Made, usize),
    /// The application, else what carries it.
    Protocol(Number),
}

#[derive(Clone, Copy, Debug)]
enum Tail {
    Text(Text),
    Short(Made),
    List(&'static List),
    Octets(Number, usize),
}

impl Program {
    /// Compiles columns.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Program {
        let mut program = Program { segments: vec![Segment::default()], shortest: 0, texts: 0, lists: 0 };
        for column in columns {
            program.push(&column);
        }
        program
    }

    fn push(&mut self, column: &Column) {
        let Some(segment) = self.segments.last_mut() else { return };
        if column.length != VARIABLE {
            let (at, length) = (segment.length, usize::from(column.length));
            match column.source {
                Source::Fill(Fill::Number(read)) if column.kind.is_number() && column.kind != Kind::L7Protocol => {
                    segment.numbers.push(PutNumber { at, shift: 64 - 8 * length.clamp(1, 8) as u32, read });
                }
                _ => segment.puts.extend(put(column).map(|put| (at, put))),
            }
            segment.length += usize::from(column.length);
            self.shortest += usize::from(column.length);
            return;
        }
        self.shortest += 1;
        segment.tail = match column.source {
            Source::Fill(Fill::Text(read)) => {
                self.texts += 1;
                Some(Tail::Text(read))
            }
            Source::Fill(Fill::Short(write)) => {
                self.texts += 1;
                Some(Tail::Short(write))
            }
            Source::Fill(Fill::List(list)) => {
                self.lists += 1;
                self.shortest += list.longest() - 1;
                Some(Tail::List(list))
            }
            Source::Fill(Fill::Number(read)) => {
                let length = usize::from(column.kind.length()).min(8);
                self.shortest += length;
                Some(Tail::Octets(read, length))
            }
            _ => None,
        };
        match segment.tail {
            Some(_) => self.segments.push(Segment::default()),
            // A variable length of 0.
            None => segment.length += 1,
        }
    }

    /// Bytes of every record, when they are all of one length.
    pub fn fixed(&self) -> Option<usize> {
        (self.texts == 0 && self.lists == 0).then_some(self.shortest)
    }

    /// Bytes of the shortest record.
    pub fn shortest(&self) -> usize {
        self.shortest
    }

    /// The longest texts with which any record fits in `room` bytes.
    pub fn text_limit(&self, room: usize) -> usize {
        let all = room.saturating_sub(self.shortest);
        // A long text has two more bytes of length than an empty one.
        all.checked_div(self.texts).unwrap_or(all).saturating_sub(2)
    }

    /// Appends a record. Texts of variable length are cut at `text_limit` bytes, between characters.
    #[inline]
    pub fn write(&self, v: &View<'_>, env: &Env, text_limit: usize, out: &mut Vec<u8>) {
        for segment in &self.segments {
            let start = out.len();
            out.resize(start + segment.length + SLACK, 0);
            let record = out.get_mut(start..).unwrap_or(&mut []);
            for &PutNumber { at, shift, read } in &segment.numbers {
                let number = read(v, env).min(u64::MAX >> shift) << shift;
                let Some(place) = record.get_mut(at..at + SLACK) else { break };
                place.copy_from_slice(&number.to_be_bytes());
            }
            for (at, put) in &segment.puts {
                let Some(place) = record.get_mut(*at..) else { break };
                put.run(v, env, place);
            }
            out.truncate(start + segment.length);
            match segment.tail {
                None => {}
                Some(Tail::Text(read)) => ipfix::write_variable(cut(read(v, env), text_limit), out),
                Some(Tail::Short(write)) => {
                    let text = Short::of(|text| write(v, env, text));
                    ipfix::write_variable(text.bytes().get(..text_limit).unwrap_or(text.bytes()), out);
                }
                Some(Tail::List(list)) => list.write(v, out),
                Some(Tail::Octets(read, length)) => {
                    let octets = read(v, env).to_be_bytes();
                    ipfix::write_variable(octets.get(octets.len() - length..).unwrap_or(&octets), out);
                }
            }
        }
    }
}

/// Room behind a segment for the last number's zeros.
const SLACK: usize = 8;

/// How a column of fixed length is put; `None` leaves the image as it is.
fn put(column: &Column) -> Option<Put> {
    let length = usize::from(column.length);
    let fill = match column.source {
        Source::Uptime(read) => return Some(Put::Uptime(read)),
        Source::Constant(n) => return Some(Put::Constant(n, length.min(8))),
        // False, not the number 0 (RFC 7011, section 6.1.5).
        Source::Unset if column.kind == Kind::Bool => return Some(Put::Constant(2, 1)),
        Source::Unset => return None,
        Source::Fill(fill) => fill,
    };
    Some(match (fill, column.kind) {
        (Fill::Number(read), Kind::Micros) => Put::NtpMicros(read),
        (Fill::Number(read), Kind::Nanos) => Put::NtpNanos(read),
        (Fill::Number(read), Kind::Octets(_) | Kind::FixedOctets(_)) => Put::Octets(read, length.min(8)),
        (Fill::Number(read), Kind::L7Protocol) => Put::Protocol(read),
        (Fill::Number(_), _) => return None,
        (Fill::Latency(read), _) => Put::Latency(read),
        (Fill::Ipv4(read), _) => Put::Ipv4(read),
        (Fill::Ipv6(read), _) => Put::Ipv6(read),
        (Fill::Mac(read), _) => Put::Mac(read),
        (Fill::Label(read), _) => Put::Label(read),
        (Fill::Text(read), _) => Put::Text(read, length),
        (Fill::Short(write), _) => Put::Short(write, length),
        // Only of variable length.
        (Fill::List(_), _) => return None,
    })
}

impl Put {
    /// Writes the value at the beginning of `place`.
    #[inline(always)]
    fn run(&self, v: &View<'_>, env: &Env, place: &mut [u8]) {
        match *self {
            Put::Octets(read, length) => put_octets(place, length, read(v, env)),
            Put::Constant(n, length) => put_octets(place, length, n),
            Put::Latency(read) => store(place, (read(v) / 1000).to_be_bytes()),
            Put::Uptime(read) => store(place, env.uptime_ms(read(v)).to_be_bytes()),
            Put::NtpMicros(read) => store(place, ipfix::ntp_micros(read(v, env)).to_be_bytes()),
            Put::NtpNanos(read) => store(place, ipfix::ntp_nanos(read(v, env)).to_be_bytes()),
            Put::Ipv4(read) => store(place, read(v, env)),
            Put::Ipv6(read) => store(place, read(v, env)),
            Put::Mac(read) => store(place, read(v)),
            Put::Label(read) => store(place, read(v)),
            Put::Text(read, length) => put_text(place, cut(read(v, env), length)),
            Put::Short(write, length) => {
                let mut text = Short::of(|text| write(v, env, text));
                text.truncate(length);
                put_text(place, text.bytes());
            }
            Put::Protocol(read) => {
                let [master @ .., app_high, app_low] = (read(v, env) as u32).to_be_bytes();
                store(place, if (app_high, app_low) == (0, 0) { master } else { [app_high, app_low] });
            }
        }
    }
}

/// Puts a text; what follows it is zero.
#[inline(always)]
fn put_text(place: &mut [u8], text: &[u8]) {
    if let Some(start) = place.get_mut(..text.len()) {
        start.copy_from_slice(text);
    }
}

/// Puts the last `length` octets of a number.
fn put_octets(place: &mut [u8], length: usize, n: u64) {
    let bytes = n.to_be_bytes();
    let bytes = bytes.get(bytes.len().saturating_sub(length)..).unwrap_or(&bytes);
    if let Some(start) = place.get_mut(..bytes.len()) {
        start.copy_from_slice(bytes);
    }
}

#[inline(always)]
fn store<const N: usize>(place: &mut [u8], bytes: [u8; N]) {
    if let Some(start) = place.first_chunk_mut::<N>() {
        *start = bytes;
    }
}

/// The beginning of a text, at most `limit` bytes, cut between characters.
#[inline]
fn cut(text: &str, limit: usize) -> &[u8] {
    text.as_bytes().get(..text.floor_char_boundary(limit)).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::sample;

    fn column(kind: Kind, fill: Fill) -> Column {
        Column { kind, length: kind.length(), source: Source::Fill(fill) }
    }

    fn variable(fill: Fill) -> Column {
        Column { kind: Kind::Text(3), length: VARIABLE, source: Source::Fill(fill) }
    }

    fn written(columns: &[Column], env: &Env, limit: usize) -> Vec<u8> {
        let mut out = vec![0xee];
        let program = Program::new(columns.iter().copied());
        program.write(&sample::v4().view(), env, limit, &mut out);
        assert_eq!(out.remove(0), 0xee);
        assert!(program.fixed().is_none_or(|length| length == out.len()) && program.shortest() <= out.len());
        out
    }

    #[test]
    fn numbers_saturate_at_their_width() {
        let big = Fill::Number(|_, _| 0x0102_0304_0506);
        let columns = [Kind::U8, Kind::U16, Kind::U32, Kind::U64].map(|kind| column(kind, big));
        let bytes = written(&columns, &Env::default(), 0);
        assert_eq!(bytes, [255, 255, 255, 255, 255, 255, 255, 0, 0, 1, 2, 3, 4, 5, 6]);
        let octets = written(&[column(Kind::FixedOctets(4), big)], &Env::default(), 0);
        assert_eq!(octets, [3, 4, 5, 6]);
    }

    #[test]
    fn texts_are_cut_between_characters_and_padded() {
        let env = Env { interface_name: "aé→".to_owned(), ..Env::default() };
        let name = Fill::Text(|_, env| &env.interface_name);
        assert_eq!(written(&[column(Kind::Text(5), name)], &env, 0), *b"a\xc3\xa9\0\0");
        assert_eq!(written(&[column(Kind::FixedText(8), name)], &env, 0), *b"a\xc3\xa9\xe2\x86\x92\0\0");
        assert_eq!(written(&[variable(name)], &env, 2), *b"\x01a");
        assert_eq!(written(&[variable(name)], &env, 9), *b"\x06a\xc3\xa9\xe2\x86\x92");
    }

    #[test]
    fn segments_follow_variable_lengths() {
        let env = Env { interface_name: "x".repeat(300), ..Env::default() };
        let name = Fill::Text(|_, env| &env.interface_name);
        let seven = column(Kind::U16, Fill::Number(|_, _| 7));
        let unset = Column { kind: Kind::Text(9), length: VARIABLE, source: Source::Unset };
        let bytes = written(&[seven, variable(name), unset, seven, variable(name)], &env, 300);
        let text = [&[255, 1, 44][..], &[b'x'; 300]].concat();
        assert_eq!(bytes, [&[0, 7], &text[..], &[0, 0, 7], &text[..]].concat());
    }

    #[test]
    fn the_text_limit_makes_any_record_fit() {
        let env = Env { interface_name: "x".repeat(70_000), ..Env::default() };
        let name = Fill::Text(|_, env| &env.interface_name);
        let columns = [variable(name), column(Kind::U32, Fill::Number(|_, _| 7)), variable(name)];
        for room in [12, 100, 600, 1400, 65_000] {
            let program = Program::new(columns);
            let mut out = Vec::new();
            program.write(&sample::v4().view(), &env, program.text_limit(room), &mut out);
            assert!(out.len() <= room && out.len() + 6 >= room, "{} in {room}", out.len());
        }
    }

    #[test]
    fn what_nothing_fills_is_zero_and_false_is_two() {
        let unset = |kind: Kind| Column { kind, length: kind.length(), source: Source::Unset };
        let bytes = written(&[unset(Kind::U16), unset(Kind::Bool), unset(Kind::Mac)], &Env::default(), 0);
        assert_eq!(bytes, [0, 0, 2, 0, 0, 0, 0, 0, 0]);
        let constant = Column { kind: Kind::U32, length: 4, source: Source::Constant(100) };
        assert_eq!(written(&[constant], &Env::default(), 0), [0, 0, 0, 100]);
    }
}
