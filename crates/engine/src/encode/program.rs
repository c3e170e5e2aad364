//! A template compiled: what of a record is always the same, and what is put where.
//!
//! A record is a row of segments. Each is an image of bytes, copied whole, into which values are then put at fixed
//! offsets; behind it may stand one value of variable length. A record of fixed length is one segment. Numbers that do
//! not fit their width become the largest that does.

use flowsonde_elements::{Kind, VARIABLE};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::ipfix;

use crate::fill::{Env, Fill};
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

/// A compiled template.
#[derive(Debug)]
pub(super) struct Program {
    segments: Vec<Segment>,
    /// Bytes of the shortest record: every text empty.
    shortest: usize,
    /// Texts of variable length.
    texts: usize,
}

#[derive(Debug, Default)]
struct Segment {
    image: Vec<u8>,
    puts: Vec<(usize, Put)>,
    tail: Option<Tail>,
}

#[derive(Clone, Copy, Debug)]
enum Put {
    U8(Number),
    U16(Number),
    U32(Number),
    U64(Number),
    /// The last octets of a number.
    Octets(Number, usize),
    Latency(fn(&View<'_>) -> u32),
    Uptime(fn(&View<'_>) -> Nanos),
    NtpMicros(Number),
    NtpNanos(Number),
    Ipv4(fn(&View<'_>, &Env) -> [u8; 4]),
    Ipv6(fn(&View<'_>, &Env) -> [u8; 16]),
    Mac(fn(&View<'_>) -> [u8; 6]),
    Label(fn(&View<'_>) -> [u8; 3]),
    Text(Text, usize),
}

#[derive(Clone, Copy, Debug)]
enum Tail {
    Text(Text),
    Octets(Number, usize),
}

impl Program {
    /// Compiles columns.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Program {
        let mut program = Program { segments: vec![Segment::default()], shortest: 0, texts: 0 };
        for column in columns {
            program.push(&column);
        }
        program
    }

    fn push(&mut self, column: &Column) {
        let Some(segment) = self.segments.last_mut() else { return };
        if column.length != VARIABLE {
            let at = segment.image.len();
            segment.image.resize(at + usize::from(column.length), 0);
            self.shortest += usize::from(column.length);
            match (column.source, column.kind) {
                (Source::Constant(n), _) => put_octets(&mut segment.image, at, usize::from(column.length), n),
                // False, not the number 0 (RFC 7011, section 6.1.5).
                (_, Kind::Bool) => put_octets(&mut segment.image, at, 1, 2),
                _ => {}
            }
            segment.puts.extend(put(column).map(|put| (at, put)));
            return;
        }
        self.shortest += 1;
        segment.tail = match column.source {
            Source::Fill(Fill::Text(read)) => {
                self.texts += 1;
                Some(Tail::Text(read))
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
            None => segment.image.push(0),
        }
    }

    /// Bytes of every record, when they are all of one length.
    pub fn fixed(&self) -> Option<usize> {
        (self.texts == 0).then_some(self.shortest)
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
            out.extend_from_slice(&segment.image);
            let record = out.get_mut(start..).unwrap_or(&mut []);
            for (at, put) in &segment.puts {
                put.run(v, env, record.get_mut(*at..).unwrap_or(&mut []));
            }
            match segment.tail {
                None => {}
                Some(Tail::Text(read)) => ipfix::write_variable(cut(read(v, env), text_limit), out),
                Some(Tail::Octets(read, length)) => {
                    let octets = read(v, env).to_be_bytes();
                    ipfix::write_variable(octets.get(octets.len() - length..).unwrap_or(&octets), out);
                }
            }
        }
    }
}

/// How a column of fixed length is put; `None` leaves the image as it is.
fn put(column: &Column) -> Option<Put> {
    let length = usize::from(column.length);
    let fill = match column.source {
        Source::Uptime(read) => return Some(Put::Uptime(read)),
        Source::Constant(_) | Source::Unset => return None,
        Source::Fill(fill) => fill,
    };
    Some(match (fill, column.kind) {
        (Fill::Number(read), Kind::Micros) => Put::NtpMicros(read),
        (Fill::Number(read), Kind::Nanos) => Put::NtpNanos(read),
        (Fill::Number(read), Kind::Octets(_) | Kind::FixedOctets(_)) => Put::Octets(read, length.min(8)),
        (Fill::Number(_), Kind::Text(_) | Kind::FixedText(_) | Kind::List(_) | Kind::Bool) => return None,
        (Fill::Number(read), _) => match length {
            1 => Put::U8(read),
            2 => Put::U16(read),
            4 => Put::U32(read),
            8 => Put::U64(read),
            _ => return None,
        },
        (Fill::Latency(read), _) => Put::Latency(read),
        (Fill::Ipv4(read), _) => Put::Ipv4(read),
        (Fill::Ipv6(read), _) => Put::Ipv6(read),
        (Fill::Mac(read), _) => Put::Mac(read),
        (Fill::Label(read), _) => Put::Label(read),
        (Fill::Text(read), _) => Put::Text(read, length),
    })
}

impl Put {
    /// Writes the value at the beginning of `place`.
    #[inline(always)]
    fn run(&self, v: &View<'_>, env: &Env, place: &mut [u8]) {
        match *self {
            Put::U8(read) => store(place, [u8::try_from(read(v, env)).unwrap_or(u8::MAX)]),
            Put::U16(read) => store(place, u16::try_from(read(v, env)).unwrap_or(u16::MAX).to_be_bytes()),
            Put::U32(read) => store(place, u32::try_from(read(v, env)).unwrap_or(u32::MAX).to_be_bytes()),
            Put::U64(read) => store(place, read(v, env).to_be_bytes()),
            Put::Octets(read, length) => put_octets(place, 0, length, read(v, env)),
            Put::Latency(read) => store(place, (read(v) / 1000).to_be_bytes()),
            Put::Uptime(read) => store(place, env.uptime_ms(read(v)).to_be_bytes()),
            Put::NtpMicros(read) => store(place, ipfix::ntp_micros(read(v, env)).to_be_bytes()),
            Put::NtpNanos(read) => store(place, ipfix::ntp_nanos(read(v, env)).to_be_bytes()),
            Put::Ipv4(read) => store(place, read(v, env)),
            Put::Ipv6(read) => store(place, read(v, env)),
            Put::Mac(read) => store(place, read(v)),
            Put::Label(read) => store(place, read(v)),
            Put::Text(read, length) => {
                let text = cut(read(v, env), length);
                if let Some(start) = place.get_mut(..text.len()) {
                    start.copy_from_slice(text);
                }
            }
        }
    }
}

#[inline(always)]
fn store<const N: usize>(place: &mut [u8], bytes: [u8; N]) {
    if let Some(start) = place.first_chunk_mut::<N>() {
        *start = bytes;
    }
}

fn put_octets(place: &mut [u8], at: usize, length: usize, n: u64) {
    let bytes = n.to_be_bytes();
    let bytes = bytes.get(bytes.len().saturating_sub(length)..).unwrap_or(&bytes);
    if let Some(start) = place.get_mut(at..at + bytes.len()) {
        start.copy_from_slice(bytes);
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
