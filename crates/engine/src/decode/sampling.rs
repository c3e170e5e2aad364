//! What one in how many packets was sampled, as an exporter tells it.
//!
//! The rate of a record is, in this order: what the user says (`--sample-rate`), the interval in the record itself, that
//! of its sampler or selector, that of the exporter's options data, that of the header (NetFlow v5), 1.

use std::collections::HashMap;

use super::layout::{Layout, Record, Spans, number};

/// Most samplers of one domain; more are ignored. Platforms have at most some thousands.
const MAX_SAMPLERS: usize = 4096;

/// The samplers of one domain.
#[derive(Clone, Debug, Default)]
pub struct Samplers {
    by_id: HashMap<u64, u32>,
    /// Of options data that name no sampler.
    all: Option<u32>,
    /// Told by the header of the message.
    header: Option<u32>,
    /// Told by the user.
    forced: Option<u32>,
    /// Counters stay as they are.
    plain: bool,
}

/// A rate, and what told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// One packet in so many.
    pub rate: u32,
    /// What told it.
    pub by: By,
    /// What counters are to be multiplied by: the rate, or 1 where the user wants them as they are.
    pub scale: u32,
}

/// What told a rate, the first of these that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The user.
    User,
    /// The record.
    Record,
    /// Options data of the sampler that the record names.
    Sampler,
    /// Options data that name no sampler.
    Options,
    /// The header of the message.
    Header,
    /// Nothing: it is 1.
    Nothing,
}

impl By {
    /// Every one, in order.
    pub const ALL: [By; 6] = [By::User, By::Record, By::Sampler, By::Options, By::Header, By::Nothing];

    /// As records tell it.
    pub const fn name(self) -> &'static str {
        match self {
            By::User => "user",
            By::Record => "record",
            By::Sampler => "sampler",
            By::Options => "options",
            By::Header => "header",
            By::Nothing => "",
        }
    }
}

impl Samplers {
    /// With what the user says: a rate, and whether counters stay as they are.
    pub fn forced(rate: Option<u32>, plain: bool) -> Self {
        Samplers { forced: rate, plain, ..Samplers::default() }
    }

    /// Rates by sampler, in order, and that of what names none: as options data told them.
    pub fn told(&self) -> (Vec<(u64, u32)>, Option<u32>) {
        let mut samplers: Vec<_> = self.by_id.iter().map(|(id, rate)| (*id, *rate)).collect();
        samplers.sort_unstable();
        (samplers, self.all)
    }

    /// Takes a rate for known: of a sampler, or of what names none.
    pub fn tell(&mut self, id: Option<u64>, rate: u32) {
        match id {
            Some(id) if self.by_id.len() < MAX_SAMPLERS || self.by_id.contains_key(&id) => {
                self.by_id.insert(id, rate);
            }
            Some(_) => {}
            None => self.all = Some(rate),
        }
    }

    /// How many samplers are known.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// With the rates of these, but for what the user says.
    pub fn restored(self, saved: &Samplers) -> Samplers {
        Samplers { by_id: saved.by_id.clone(), all: saved.all, ..self }
    }

    /// What a header says; 0 is nothing.
    #[inline]
    pub fn header(&mut self, rate: u32) {
        self.header = (rate > 0).then_some(rate);
    }

    /// The rate of a record, and what told it.
    pub fn told_of(&self, layout: &Layout, record: &Record<'_>, spans: &Spans) -> Told {
        if self.forced.is_some() || layout.sampling.is_silent() {
            return self.usually();
        }
        let sampler = || {
            let (at, length) = layout.sampling.id?;
            self.by_id.get(&number(record.octets(at, length, spans))).copied()
        };
        match interval(layout, record, spans) {
            Some(rate) => self.by(By::Record, rate),
            None => sampler().map_or_else(|| self.usually(), |rate| self.by(By::Sampler, rate)),
        }
    }

    /// Counters are multiplied by what is told here, so that it must not be told on.
    pub fn scales(&self) -> bool {
        !self.plain && self.forced != Some(1)
    }

    /// The rate of records that tell none, and what told it.
    pub fn usually(&self) -> Told {
        let found = [(self.forced, By::User), (self.all, By::Options), (self.header, By::Header)];
        let found = found.into_iter().find_map(|(rate, by)| Some((rate?, by)));
        let (rate, by) = found.unwrap_or((1, By::Nothing));
        self.by(by, rate)
    }

    fn by(&self, by: By, rate: u32) -> Told {
        Told { rate, by, scale: if self.plain { 1 } else { rate } }
    }

    /// Learns from a record of options data. True when it told a rate.
    pub fn learn(&mut self, layout: &Layout, record: &Record<'_>, spans: &Spans) -> bool {
        let Some(rate) = interval(layout, record, spans).or_else(|| probability(layout, record, spans)) else {
            return false;
        };
        self.tell(layout.sampling.id.map(|(at, length)| number(record.octets(at, length, spans))), rate);
        true
    }
}

/// The interval a record tells. Elements 34, 50, 305 with 306 (RFC 5477, section 8.2), 309 with 310.
fn interval(layout: &Layout, record: &Record<'_>, spans: &Spans) -> Option<u32> {
    let sampling = &layout.sampling;
    let read = |(at, length): (_, u16)| number(record.octets(at, length, spans));
    let rate = if let Some(interval) = sampling.interval {
        read(interval)
    } else if let Some((interval, space)) = sampling.space {
        let (interval, space) = (read(interval), read(space));
        interval.saturating_add(space).checked_div(interval)?
    } else if let Some((size, population)) = sampling.population {
        read(population).checked_div(read(size))?
    } else {
        return None;
    };
    u32::try_from(rate).ok().filter(|&rate| rate > 0)
}

/// 311 samplingProbability: a float of four or eight bytes.
fn probability(layout: &Layout, record: &Record<'_>, spans: &Spans) -> Option<u32> {
    let field = layout.find(311)?;
    let probability = match *record.value(field, spans) {
        [a, b, c, d] => f64::from(f32::from_be_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => return None,
    };
    let rate = (1.0 / probability).round();
    (probability > 0.0 && rate >= 1.0 && rate <= f64::from(u32::MAX)).then_some(rate as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_wire::export::ipfix::Specifier;

    fn layout(fields: &[(u16, u16)], scopes: u16) -> Layout {
        let specifiers: Vec<_> = fields.iter().map(|&(id, length)| Specifier { pen: 0, id, length }).collect();
        Layout::new(1, &specifiers, scopes).expect("good")
    }

    fn learnt(samplers: &mut Samplers, fields: &[(u16, u16)], bytes: &[u8]) -> bool {
        samplers.learn(&layout(fields, 1), &Record::new(bytes), &Spans::default())
    }

    fn rate(samplers: &Samplers, fields: &[(u16, u16)], bytes: &[u8]) -> u32 {
        samplers.told_of(&layout(fields, 0), &Record::new(bytes), &Spans::default()).rate
    }

    #[test]
    fn the_nearest_teller_counts() {
        let mut samplers = Samplers::default();
        assert_eq!(rate(&samplers, &[(8, 4)], &[10, 0, 0, 1]), 1);
        samplers.header(10);
        assert_eq!(rate(&samplers, &[(8, 4)], &[10, 0, 0, 1]), 10);
        assert!(learnt(&mut samplers, &[(1, 4), (34, 4), (35, 1)], &[0, 0, 0, 0, 0, 0, 0, 100, 1]));
        assert_eq!(rate(&samplers, &[(8, 4)], &[10, 0, 0, 1]), 100);
        assert!(learnt(&mut samplers, &[(1, 4), (48, 1), (49, 1), (50, 4)], &[0, 0, 0, 0, 7, 2, 0, 0, 3, 232]));
        assert_eq!(rate(&samplers, &[(48, 2)], &[0, 7]), 1000);
        assert_eq!(rate(&samplers, &[(48, 2)], &[0, 8]), 100);
        assert_eq!(rate(&samplers, &[(48, 1), (34, 4)], &[7, 0, 0, 0, 5]), 5);
        let told = |samplers: &Samplers, fields: &[(u16, u16)], bytes: &[u8]| {
            samplers.told_of(&layout(fields, 0), &Record::new(bytes), &Spans::default())
        };
        let told_by = |rate, by| Told { rate, by, scale: rate };
        assert_eq!(told(&samplers, &[(8, 4)], &[10, 0, 0, 1]), told_by(100, By::Options));
        assert_eq!(told(&samplers, &[(48, 2)], &[0, 7]), told_by(1000, By::Sampler));
        assert_eq!(told(&samplers, &[(48, 1), (34, 4)], &[7, 0, 0, 0, 5]), told_by(5, By::Record));
        let plain = Samplers { plain: true, ..samplers.clone() };
        assert_eq!(told(&plain, &[(48, 2)], &[0, 7]), Told { rate: 1000, by: By::Sampler, scale: 1 });
        assert_eq!(told(&Samplers::default(), &[(48, 2)], &[0, 7]), told_by(1, By::Nothing));
        assert_eq!(rate(&Samplers { forced: Some(3), ..samplers }, &[(48, 1), (34, 4)], &[7, 0, 0, 0, 5]), 3);
    }

    #[test]
    fn ipfix_tells_it_in_four_ways() {
        let mut samplers = Samplers::default();
        assert!(learnt(
            &mut samplers,
            &[(302, 8), (305, 4), (306, 4)],
            &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 99]
        ));
        assert!(learnt(&mut samplers, &[(302, 1), (309, 1), (310, 2)], &[2, 10, 4, 0]));
        let half = 0.5f64.to_be_bytes();
        let mut bytes = vec![3];
        bytes.extend(half);
        assert!(learnt(&mut samplers, &[(302, 1), (311, 8)], &bytes));
        let rates: Vec<_> = [1, 2, 3].iter().map(|&id| rate(&samplers, &[(302, 1)], &[id])).collect();
        assert_eq!(rates, [100, 102, 2]);
    }

    #[test]
    fn nonsense_is_no_rate() {
        let mut samplers = Samplers::default();
        assert!(!learnt(&mut samplers, &[(1, 1), (34, 4)], &[0, 0, 0, 0, 0]));
        assert!(!learnt(&mut samplers, &[(1, 1), (305, 1), (306, 1)], &[0, 0, 5]));
        assert!(!learnt(&mut samplers, &[(1, 1), (309, 1), (310, 1)], &[0, 0, 5]));
        assert!(!learnt(&mut samplers, &[(1, 1), (311, 4)], &[0, 0, 0, 0, 0]));
        assert!(!learnt(&mut samplers, &[(1, 1), (4, 1)], &[0, 6]));
        assert_eq!(samplers.usually().rate, 1);
    }
}
