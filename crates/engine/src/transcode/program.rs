//! A layout compiled for an output, and how a set of records runs it.

use core::cell::RefCell;

use super::list::Lists;
use super::{Column, Emit, Home, Key, Place, Take, Width};
use crate::decode::applications::Table;
use crate::decode::layout::{Record, Spans, number};
use crate::decode::records::{About, Set, Taken};
use crate::decode::sampling::Told;
use crate::decode::templates::Templates;

/// A layout compiled for an output.
#[derive(Debug)]
pub struct Program<K> {
    steps: Vec<Step<K>>,
}

#[derive(Debug)]
enum Step<K> {
    /// Numbers of fixed place, one after the other: most of what records hold.
    Numbers(Vec<Number<K>>),
    /// Any other value that fits into a place.
    Short(Take, K),
    /// Any value.
    Long(Take, K),
    /// Values that are the same in all records of a set: they are written once a set, and copied.
    Same(Vec<(Take, K)>),
}

/// A number at a fixed place of the record.
#[derive(Debug)]
struct Number<K> {
    offset: u16,
    /// Bits of the eight bytes there that are not its own.
    beyond: u8,
    scaled: bool,
    key: K,
}

impl<K> Number<K> {
    /// `None` where it is another sort of value, or its place is not fixed.
    fn of(take: Take, key: K) -> Result<Number<K>, K> {
        let (at, width, scaled) = match take {
            Take::U8(at) => (at, 1, false),
            Take::U16(at) => (at, 2, false),
            Take::U32(at) => (at, 4, false),
            Take::U64(at) => (at, 8, false),
            Take::Uint(at, Width::Fixed(width @ 1..=8)) => (at, width, false),
            Take::Scaled(at, Width::Fixed(width @ 1..=8)) => (at, width, true),
            _ => return Err(key),
        };
        match at.part {
            0 => Ok(Number { offset: at.offset, beyond: 64 - 8 * width as u8, scaled, key }),
            _ => Err(key),
        }
    }

    /// Reads it from a record with what follows it.
    #[inline(always)]
    fn read(&self, bytes: &[u8], scale: u32) -> u64 {
        let offset = usize::from(self.offset);
        // All eight bytes at once, but at the very end of a set.
        let n = match bytes.get(offset..).and_then(|rest| rest.first_chunk()) {
            Some(eight) => u64::from_be_bytes(*eight) >> (self.beyond & 63),
            None => self.last(bytes),
        };
        if self.scaled { n.saturating_mul(scale.into()) } else { n }
    }

    #[cold]
    fn last(&self, bytes: &[u8]) -> u64 {
        let rest = bytes.get(usize::from(self.offset)..).unwrap_or(&[]);
        number(rest.get(..usize::from(8 - self.beyond / 8)).unwrap_or(&[]))
    }
}

/// Memory that programs use again and again.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Parts of the record at hand.
    pub spans: Spans,
    /// Where lists are put together.
    pub lists: RefCell<Lists>,
    /// What all records of the set at hand have, one step behind the other, and where each ends.
    same: Vec<u8>,
    ends: Vec<usize>,
}

/// Bytes of short values that are put together before they go to the output.
const PAGE: usize = 512;

impl<K: Key> Program<K> {
    /// Compiles columns; `key` makes what the output puts before each.
    pub fn new(columns: &[Column], key: impl Fn(&Column, bool) -> K) -> Program<K> {
        let values = columns.iter().enumerate().map(|(i, column)| (column.take, key(column, i == 0)));
        Self::of(values)
    }

    /// Of what is compiled already.
    pub fn of(values: impl Iterator<Item = (Take, K)>) -> Program<K> {
        let mut steps = Vec::new();
        for (take, key) in values {
            match steps.last_mut() {
                Some(Step::Same(group)) if take.is_same() => group.push((take, key)),
                _ if take.is_same() => steps.push(Step::Same(vec![(take, key)])),
                last if take.is_short() && key.is_short() => match (Number::of(take, key), last) {
                    (Ok(number), Some(Step::Numbers(numbers))) => numbers.push(number),
                    (Ok(number), _) => steps.push(Step::Numbers(vec![number])),
                    (Err(key), _) => steps.push(Step::Short(take, key)),
                },
                _ => steps.push(Step::Long(take, key)),
            }
        }
        Program { steps }
    }

    /// Writes every record of a set.
    pub fn run<E: Emit<Key = K>>(&self, set: &Set<'_>, home: &Home, scratch: &mut Scratch, out: &mut E) -> Taken {
        let mut rest = set.bytes;
        let mut taken = Taken::default();
        let usual = set.samplers.usually();
        let silent = set.layout.sampling.is_silent();
        self.prepare(set, home, scratch, out);
        let Scratch { spans, lists, same, ends } = scratch;
        let mut page = [0; PAGE];
        // Made once: of every record it would be read, whole, while its parts are still on their way to memory.
        let mut context = Context::new(set, home, usual, lists);
        while let Some((record, after)) = set.layout.split(rest, spans) {
            if !silent {
                context.sampling = set.samplers.told_of(set.layout, &record, spans);
            }
            self.record(&record, rest, spans, &context, &mut page, same, ends, out);
            rest = after;
            taken.records += 1;
        }
        taken.rest = rest.len();
        taken
    }

    /// Writes one record by itself.
    pub fn write<E: Emit<Key = K>>(&self, record: &Record<'_>, spans: &Spans, context: &Context<'_>, out: &mut E) {
        out.begin();
        for step in &self.steps {
            match step {
                Step::Numbers(numbers) => numbers.iter().for_each(|number| {
                    out.number(&number.key, number.read(record.bytes(), context.sampling.scale));
                }),
                Step::Short(take, key) | Step::Long(take, key) => take.run(record, spans, context, key, out),
                Step::Same(group) => group.iter().for_each(|(take, key)| take.run(record, spans, context, key, out)),
            }
        }
        out.end();
    }

    /// Writes what all records of a set have.
    fn prepare<E: Emit<Key = K>>(&self, set: &Set<'_>, home: &Home, scratch: &mut Scratch, out: &mut E) {
        let Scratch { lists, same, ends, .. } = scratch;
        let context = &Context::new(set, home, set.samplers.usually(), lists);
        same.clear();
        ends.clear();
        let start = out.buffer().len();
        let (nothing, nowhere) = (Record::new(&[]), Spans::default());
        for step in &self.steps {
            if let Step::Same(group) = step {
                group.iter().for_each(|(take, key)| take.run(&nothing, &nowhere, context, key, out));
                ends.push(out.buffer().len() - start);
            }
        }
        same.extend_from_slice(out.buffer().get(start..).unwrap_or(&[]));
        // So that a whole place can be copied from anywhere in it.
        same.extend_from_slice(&[0; size_of::<Place>()]);
        out.buffer().truncate(start);
    }

    #[inline]
    #[allow(clippy::too_many_arguments, reason = "each in a register")]
    fn record<E: Emit<Key = K>>(
        &self,
        record: &Record<'_>,
        bytes: &[u8],
        spans: &Spans,
        context: &Context<'_>,
        page: &mut [u8; PAGE],
        same: &[u8],
        ends: &[usize],
        out: &mut E,
    ) {
        out.begin();
        // Bytes of the page that count. What is on it goes before anything that does not.
        let mut at = 0;
        let (mut from, mut ends) = (0, ends.iter());
        for step in &self.steps {
            match step {
                Step::Numbers(numbers) => {
                    for number in numbers {
                        if at > PAGE - size_of::<Place>() {
                            at = spill(page, at, out);
                        }
                        if let Some(place) = page.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                            at += E::put_number(&number.key, number.read(bytes, context.sampling.scale), place);
                        }
                    }
                }
                Step::Short(take, key) => {
                    if at > PAGE - size_of::<Place>() {
                        at = spill(page, at, out);
                    }
                    if let Some(place) = page.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                        at += take.put::<E>(record, spans, context, key, place);
                    }
                }
                Step::Same(_) => {
                    let end = ends.next().copied().unwrap_or(from);
                    let bytes = same.get(from..end).unwrap_or(&[]);
                    let whole = same.get(from..).and_then(|rest| rest.first_chunk::<{ size_of::<Place>() }>());
                    from = end;
                    if bytes.len() <= size_of::<Place>()
                        && let Some(whole) = whole
                        && let Some(place) = page.get_mut(at..).and_then(|rest| rest.first_chunk_mut())
                    {
                        *place = *whole;
                        at += bytes.len();
                    } else if let Some(place) = page.get_mut(at..at + bytes.len()) {
                        place.copy_from_slice(bytes);
                        at += bytes.len();
                    } else {
                        at = spill(page, at, out);
                        out.buffer().extend_from_slice(bytes);
                    }
                }
                Step::Long(take, key) => {
                    at = spill(page, at, out);
                    take.run(record, spans, context, key, out);
                }
            }
        }
        spill(page, at, out);
        out.end();
    }
}

/// What counts of a page goes to the output; so much counts from then on.
#[inline(always)]
fn spill<E: Emit>(page: &[u8; PAGE], at: usize, out: &mut E) -> usize {
    out.buffer().extend_from_slice(page.get(..at).unwrap_or(&[]));
    0
}

/// What a record's values depend on besides its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Its message.
    pub about: &'a About,
    /// The probe.
    pub home: &'a Home,
    /// How its packets were sampled.
    pub sampling: Told,
    /// What the records of lists look like.
    pub templates: &'a Templates,
    /// What their exporter calls applications.
    pub applications: &'a Table,
    /// Where lists are put together.
    pub lists: &'a RefCell<Lists>,
}

impl<'a> Context<'a> {
    /// Of the records of a set, or of one of them, whose packets were sampled so.
    #[inline(always)]
    pub(super) fn new(set: &Set<'a>, home: &'a Home, sampling: Told, lists: &'a RefCell<Lists>) -> Context<'a> {
        let &Set { about, templates, applications, .. } = set;
        Context { about, home, sampling, templates, applications, lists }
    }

    #[inline]
    pub(super) fn interval(&self) -> u32 {
        if self.sampling.scale == self.sampling.rate { 1 } else { self.sampling.rate }
    }
}
