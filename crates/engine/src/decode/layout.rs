//! How the records of a template lie in memory: which element stands where, how wide.
//!
//! A layout is made once, when its template arrives, and shared by everything that reads such records. NetFlow v5 and
//! the other fixed formats are layouts too, so that a record is read alike whatever it came in.
//!
//! Fields before the first one of variable length lie at fixed offsets. Each field of variable length (RFC 7011, section
//! 7) ends a *part*; what follows lies at fixed offsets from the part's start:
//!
//! ```text
//! part 0: fixed fields, then a variable one | part 1: fixed fields, then a variable one | ... | last part: fixed fields
//! ```

use core::hash::{Hash, Hasher};

use super::connections::Counting;
use flowsonde_elements::{Element, VARIABLE, registry};
use flowsonde_wire::export::ipfix::{REVERSE_PEN, Specifier};

/// Most fields of one template; one with more is refused. Real ones have under a hundred.
pub const MAX_FIELDS: usize = 1024;

/// A field of a template.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Enterprise number, 0 for IANA's own; [`REVERSE_PEN`] for the reverse of those (RFC 5103, section 6.1).
    pub pen: u32,
    /// The number under it.
    pub id: u16,
    /// Bytes of a value, or [`VARIABLE`].
    pub length: u16,
    /// The element, where the tables have it; of a reverse field the forward element.
    pub element: Option<&'static Element>,
    /// Where its values begin.
    pub at: At,
}

impl Field {
    /// True for the reverse direction of a biflow (RFC 5103).
    pub fn is_reverse(&self) -> bool {
        self.pen == REVERSE_PEN
    }

    /// True when each value has its own length.
    pub fn is_variable(&self) -> bool {
        self.length == VARIABLE
    }

    /// True for this IANA element, forward direction.
    pub fn is(&self, id: u16) -> bool {
        self.pen == 0 && self.id == id
    }
}

/// Where a value begins, or of a variable one its length octet: so many bytes behind the start of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct At {
    /// The part, 0 being the start of the record.
    pub part: u16,
    /// Bytes from its start.
    pub offset: u16,
}

/// The layout of a template's records.
#[derive(Debug)]
pub struct Layout {
    /// A number no other layout of this collector has while this one lives.
    pub number: u32,
    /// Fields in the order of the record.
    pub fields: Box<[Field]>,
    /// How many of the first fields are scopes; 0 in a template of flows.
    pub scopes: u16,
    /// Bytes of the shortest record: of every record when none is variable.
    pub shortest: usize,
    /// Bytes of each part up to its variable field's length octet; one a variable field.
    pub parts: Box<[u16]>,
    /// How rates of sampling are told in a record.
    pub sampling: Sampler,
    /// Its records hold the first bytes of sampled packets, and no addresses of their own.
    pub sampled: bool,
    /// Its records tell more of a connection than is new.
    pub counting: Option<Box<Counting>>,
    /// How many of the last fields are ours: counters put behind the exporter's record.
    added: usize,
}

/// How a record tells its own sampling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampler {
    /// Id of the sampler or selector that took the packets: 48 flowSamplerId or 302 selectorId.
    pub id: Option<(At, u16)>,
    /// The interval in the record itself: 34 or 50.
    pub interval: Option<(At, u16)>,
    /// 305 samplingPacketInterval and 306 samplingPacketSpace: (305 + 306) / 305.
    pub space: Option<((At, u16), (At, u16))>,
    /// 309 samplingSize and 310 samplingPopulation: 310 / 309.
    pub population: Option<((At, u16), (At, u16))>,
}

/// Why a template is no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Over [`MAX_FIELDS`] fields.
    TooManyFields,
    /// Its records would have no bytes, or more than a message can hold.
    Length,
}

impl Layout {
    /// Lays out fields of templates of flows (`scopes` 0) or of options.
    pub fn new(number: u32, specifiers: &[Specifier], scopes: u16) -> Result<Layout, Refused> {
        if specifiers.len() > MAX_FIELDS {
            return Err(Refused::TooManyFields);
        }
        let mut fields = Vec::with_capacity(specifiers.len());
        let mut parts = Vec::new();
        let mut offset = 0u16;
        let mut shortest = 0usize;
        for specifier in specifiers {
            let at = At { part: parts.len() as u16, offset };
            fields.push(Field {
                pen: specifier.pen,
                id: specifier.id,
                length: specifier.length,
                element: element(specifier.pen, specifier.id),
                at,
            });
            if specifier.length == VARIABLE {
                parts.push(offset);
                offset = 0;
                shortest += 1;
            } else {
                offset = offset.checked_add(specifier.length).ok_or(Refused::Length)?;
                shortest += usize::from(specifier.length);
            }
        }
        if shortest == 0 || shortest > usize::from(u16::MAX) {
            return Err(Refused::Length);
        }
        let mut layout = Layout {
            number,
            fields: fields.into(),
            scopes,
            shortest,
            parts: parts.into(),
            sampling: Sampler::default(),
            sampled: false,
            counting: None,
            added: 0,
        };
        layout.sampling = Sampler::of(&layout);
        layout.sampled = super::section::is_sampled(&layout);
        Ok(layout)
    }

    /// The layout of `base` with fields of ours behind.
    pub fn extended(number: u32, base: &Layout, added: &[Specifier]) -> Result<Layout, Refused> {
        let own = base.fields.iter().map(|&Field { pen, id, length, .. }| Specifier { pen, id, length });
        let specifiers: Vec<_> = own.chain(added.iter().copied()).collect();
        Ok(Layout { added: added.len(), ..Layout::new(number, &specifiers, base.scopes)? })
    }

    /// The fields the exporter sent.
    pub fn sent(&self) -> &[Field] {
        self.fields.get(..self.fields.len() - self.added).unwrap_or(&[])
    }

    /// True when its records are as the exporter sent them.
    pub fn is_as_sent(&self) -> bool {
        self.added == 0
    }

    /// True when all records have the same length.
    #[inline]
    pub fn is_fixed(&self) -> bool {
        self.parts.is_empty()
    }

    /// True for options data.
    pub fn is_options(&self) -> bool {
        self.scopes > 0
    }

    /// The first field of this IANA element, forward direction.
    pub fn find(&self, id: u16) -> Option<&Field> {
        self.fields.iter().find(|field| field.is(id))
    }

    /// The first field of this enterprise's element.
    pub fn find_of(&self, pen: u32, id: u16) -> Option<&Field> {
        self.fields.iter().find(|field| field.pen == pen && field.id == id)
    }

    /// The IP version of its flows, if its addresses tell.
    pub fn version(&self) -> Option<u8> {
        let any = |ids: [u16; 2]| ids.into_iter().any(|id| self.find(id).is_some());
        match (any([8, 12]), any([27, 28])) {
            (true, false) => Some(4),
            (false, true) => Some(6),
            _ => None,
        }
    }

    /// Splits the next record off `bytes` and finds its parts. `None` when there is no whole one.
    #[inline]
    pub fn split<'a>(&self, bytes: &'a [u8], spans: &mut Spans) -> Option<(Record<'a>, &'a [u8])> {
        if self.is_fixed() {
            let (record, rest) = bytes.split_at_checked(self.shortest)?;
            return Some((Record { bytes: record }, rest));
        }
        self.split_variable(bytes, spans)
    }

    fn split_variable<'a>(&self, bytes: &'a [u8], spans: &mut Spans) -> Option<(Record<'a>, &'a [u8])> {
        spans.clear();
        let mut at = 0usize;
        for &fixed in &self.parts {
            let head = at + usize::from(fixed);
            let (start, length) = match *bytes.get(head)? {
                255 => {
                    let [high, low] = *bytes.get(head + 1..)?.first_chunk::<2>()?;
                    (head + 3, usize::from(u16::from_be_bytes([high, low])))
                }
                short => (head + 1, usize::from(short)),
            };
            at = start + length;
            if at > bytes.len() {
                return None;
            }
            spans.values.push((start as u32, length as u32));
            spans.starts.push(at as u32);
        }
        let last: usize = self.last_part();
        let (record, rest) = bytes.split_at_checked(at + last)?;
        Some((Record { bytes: record }, rest))
    }

    /// Bytes behind the last variable field.
    fn last_part(&self) -> usize {
        self.fields.iter().rev().take_while(|field| !field.is_variable()).map(|field| usize::from(field.length)).sum()
    }
}

/// The same fields in the same order: one layout serves every exporter that sends them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// As the template declares them.
    pub specifiers: Box<[Row]>,
    /// How many are scopes.
    pub scopes: u16,
}

/// A field as declared: enterprise, id, length.
pub type Row = (u32, u16, u16);

impl Layout {
    /// What it was made from.
    pub fn shape(&self) -> Shape {
        Shape {
            specifiers: self.sent().iter().map(|field| (field.pen, field.id, field.length)).collect(),
            scopes: self.scopes,
        }
    }
}

impl PartialEq for Layout {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Layout {}

impl Hash for Layout {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

/// The bytes of one record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    bytes: &'a [u8],
}

/// Where the parts of the record at hand begin, and its values of variable length; scratch memory.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    /// Start of every part but the first.
    starts: Vec<u32>,
    /// Start and length of every variable value.
    values: Vec<(u32, u32)>,
}

impl Spans {
    fn clear(&mut self) {
        self.starts.clear();
        self.values.clear();
    }

    #[inline]
    fn start(&self, at: At) -> usize {
        let part = match at.part.checked_sub(1) {
            None => 0,
            Some(part) => self.starts.get(usize::from(part)).map_or(usize::MAX / 2, |start| *start as usize),
        };
        part + usize::from(at.offset)
    }
}

impl<'a> Record<'a> {
    /// A record whose bytes are all there is.
    pub fn new(bytes: &'a [u8]) -> Record<'a> {
        Record { bytes }
    }

    /// All its bytes.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// `N` bytes of a value; zeros where there are none, which a split record does not know.
    #[inline(always)]
    pub fn array<const N: usize>(&self, at: At, spans: &Spans) -> [u8; N] {
        let start = if at.part == 0 { usize::from(at.offset) } else { spans.start(at) };
        self.bytes.get(start..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
    }

    /// So many bytes: those of values that lie side by side.
    #[inline]
    pub fn stretch(&self, at: At, length: usize, spans: &Spans) -> &'a [u8] {
        let start = spans.start(at);
        self.bytes.get(start..start + length).unwrap_or(&[])
    }

    /// Eight bytes from here on, where the record has so many.
    #[inline(always)]
    pub fn window(&self, at: usize) -> Option<[u8; 8]> {
        self.bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).copied()
    }

    /// The bytes of a value of fixed length.
    #[inline]
    pub fn octets(&self, at: At, length: u16, spans: &Spans) -> &'a [u8] {
        let start = spans.start(at);
        self.bytes.get(start..start + usize::from(length)).unwrap_or(&[])
    }

    /// The bytes of the variable value that ends this part.
    #[inline]
    pub fn variable(&self, at: At, spans: &Spans) -> &'a [u8] {
        let Some(&(start, length)) = spans.values.get(usize::from(at.part)) else { return &[] };
        self.bytes.get(start as usize..(start + length) as usize).unwrap_or(&[])
    }

    /// The bytes of a field's value.
    #[inline]
    pub fn value(&self, field: &Field, spans: &Spans) -> &'a [u8] {
        if field.is_variable() { self.variable(field.at, spans) } else { self.octets(field.at, field.length, spans) }
    }

    /// A number of any width up to eight bytes; of a longer one the last eight (RFC 7011, section 6.2: numbers are
    /// shortened by leaving out leading zeros).
    #[inline]
    pub fn number(&self, field: &Field, spans: &Spans) -> u64 {
        number(self.value(field, spans))
    }
}

/// Big-endian, any width.
#[inline]
pub fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte))
}

impl Sampler {
    fn of(layout: &Layout) -> Sampler {
        let place = |id| layout.find(id).filter(|field| !field.is_variable()).map(|field| (field.at, field.length));
        let first = |ids: &[u16]| ids.iter().find_map(|&id| place(id));
        Sampler {
            id: first(&[48, 302]),
            interval: first(&[50, 34]),
            space: place(305).zip(place(306)),
            population: place(309).zip(place(310)),
        }
    }

    /// True when records of the layout tell nothing of sampling.
    #[inline]
    pub fn is_silent(&self) -> bool {
        *self == Sampler::default()
    }
}

/// The element of a number, of reverse numbers the forward element.
pub(crate) fn element(pen: u32, id: u16) -> Option<&'static Element> {
    match pen {
        REVERSE_PEN => registry::by_ipfix(0, id),
        pen => registry::by_ipfix(pen, id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(rows: &[Row]) -> Layout {
        let specifiers: Vec<_> = rows.iter().map(|&(pen, id, length)| Specifier { pen, id, length }).collect();
        Layout::new(1, &specifiers, 0).expect("good")
    }

    #[test]
    fn fixed_records_follow_one_another() {
        let layout = layout(&[(0, 8, 4), (0, 1, 3)]);
        let mut spans = Spans::default();
        let bytes = [10, 0, 0, 1, 0, 1, 2, 10, 0, 0, 2, 9, 9, 9, 0, 0, 0];
        let (first, rest) = layout.split(&bytes, &mut spans).expect("whole");
        assert_eq!(first.number(&layout.fields[1], &spans), 0x102);
        let (second, rest) = layout.split(rest, &mut spans).expect("whole");
        assert_eq!(second.array::<4>(layout.fields[0].at, &spans), [10, 0, 0, 2]);
        assert!(layout.split(rest, &mut spans).is_none(), "what is left is padding");
    }

    #[test]
    fn variable_values_are_found_and_truncations_err() {
        let layout = layout(&[(0, 7, 2), (0, 82, VARIABLE), (0, 4, 1), (9, 1, VARIABLE), (0, 11, 2)]);
        let mut bytes = vec![0, 80, 3, b'a', b'b', b'c', 6, 255, 0, 2, 0xab, 0xcd, 1, 187];
        let mut spans = Spans::default();
        bytes.push(0xee);
        let (record, rest) = layout.split(&bytes, &mut spans).expect("whole");
        assert_eq!(rest, [0xee]);
        let value = |i: usize| record.value(&layout.fields[i], &spans);
        assert_eq!(
            [value(0), value(1), value(2), value(3), value(4)],
            [&[0, 80][..], b"abc", &[6], &[0xab, 0xcd], &[1, 187]]
        );
        for cut in 0..bytes.len() - 1 {
            assert!(layout.split(&bytes[..cut], &mut spans).is_none(), "cut at {cut}");
        }
        assert_eq!(layout.shortest, 7);
    }

    #[test]
    fn what_cannot_be_a_template_is_refused() {
        let refused = |specifiers: &[Specifier]| Layout::new(1, specifiers, 0).err();
        assert_eq!(refused(&[]), Some(Refused::Length));
        assert_eq!(refused(&[Specifier { pen: 0, id: 8, length: 0 }]), Some(Refused::Length));
        assert_eq!(refused(&[Specifier { pen: 0, id: 8, length: 40_000 }; 2]), Some(Refused::Length));
        assert_eq!(refused(&[Specifier { pen: 0, id: 8, length: 1 }; 1025]), Some(Refused::TooManyFields));
    }
}
