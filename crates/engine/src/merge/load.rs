//! Numbers of a record, read at once: eight bytes around the value, a shift and a mask.
//!
//! ```text
//! record   .. .. .. .. aa bb cc dd .. .. ..      window: eight bytes of the record that hold the value,
//!                |<------- window ------>|       shift: bits behind it, mask: as many bits as it has
//! ```

use flowsonde_elements::Element;

use crate::decode::layout::{At, Layout, Record, Spans, number};
use crate::transcode::{Take, Width, take};

/// Where a number lies.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// At the same place of every record.
    Near { window: u16, shift: u8, mask: u64 },
    /// Behind values of variable length, or one itself.
    Far(At, Width),
    /// Nowhere.
    Constant(u64),
}

impl Load {
    /// Nothing: 0.
    pub const NOTHING: Load = Load::Constant(0);

    /// How an element, or what says the same, is read.
    pub fn of(layout: &Layout, element: &'static Element) -> Load {
        Load::taking(layout, take(layout, element))
    }

    /// What `take` reads, where that is an unsigned number, or an IPv4 address as one.
    pub fn taking(layout: &Layout, take: Take) -> Load {
        let behind = |at: At, bytes| At { offset: at.offset.saturating_add(bytes), ..at };
        match take {
            Take::U8(at) | Take::Upper(at) => Load::at(layout, at, 1),
            Take::Lower(at) => Load::at(layout, behind(at, 1), 1),
            Take::U16(at) => Load::at(layout, at, 2),
            Take::U32(at) | Take::Ipv4(at) | Take::Uptime(at) => Load::at(layout, at, 4),
            Take::U64(at) | Take::Ntp(at) | Take::NtpMicros(at) => Load::at(layout, at, 8),
            Take::Uint(at, width)
            | Take::Scaled(at, width)
            | Take::Seconds(at, width)
            | Take::Millis(at, width)
            | Take::Before(at, width) => match width {
                Width::Fixed(bytes @ 1..=8) => Load::at(layout, at, bytes),
                width => Load::Far(at, width),
            },
            Take::Constant(n) => Load::Constant(n),
            _ => Load::NOTHING,
        }
    }

    /// A number of so many bytes.
    pub fn at(layout: &Layout, at: At, bytes: u16) -> Load {
        let first_part = layout.parts.first().map_or(layout.shortest, |&bytes| usize::from(bytes));
        let end = at.offset.saturating_add(bytes);
        if at.part > 0 || first_part < 8 || usize::from(end) > first_part {
            return Load::Far(at, Width::Fixed(bytes));
        }
        // Not over the part's end, so that the record has it.
        let window = usize::from(at.offset).min(first_part - 8) as u16;
        let shift = 8 * (window + 8 - end);
        Load::Near { window, shift: shift as u8, mask: u64::MAX >> (64 - 8 * bytes) }
    }

    /// True when there is something to be read.
    pub fn is_there(&self) -> bool {
        !matches!(self, Load::Constant(_))
    }

    /// The number.
    #[inline(always)]
    pub fn read(&self, record: &Record<'_>, spans: &Spans) -> u64 {
        match *self {
            Load::Near { window, shift, mask } => {
                let window = record.window(usize::from(window)).unwrap_or_default();
                u64::from_be_bytes(window) >> shift & mask
            }
            Load::Constant(n) => n,
            Load::Far(at, width) => far(record, spans, at, width),
        }
    }
}

#[cold]
fn far(record: &Record<'_>, spans: &Spans, at: At, width: Width) -> u64 {
    match width {
        Width::Fixed(bytes) => number(record.octets(at, bytes, spans)),
        Width::Variable => number(record.variable(at, spans)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_wire::export::ipfix::{Specifier, VARIABLE};

    #[test]
    fn every_width_at_every_place() {
        let bytes: Vec<u8> = (1..=40).collect();
        let by_hand = |at: usize, width: usize| bytes[at..at + width].iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        for total in [1u16, 3, 7, 8, 9, 20, 40] {
            let layout = Layout::new(1, &[Specifier { pen: 9, id: 1, length: total }], 0).expect("sound");
            let mut spans = Spans::default();
            let (record, _) = layout.split(&bytes, &mut spans).expect("whole");
            for width in 1..=8u16 {
                for offset in 0..=total.saturating_sub(width) {
                    if offset + width > total {
                        continue;
                    }
                    let load = Load::at(&layout, At { part: 0, offset }, width);
                    assert_eq!(load.read(&record, &spans), by_hand(offset.into(), width.into()), "{offset} {width}");
                }
            }
        }
    }

    #[test]
    fn numbers_behind_a_variable_value() {
        let field = |id, length| Specifier { pen: 0, id, length };
        let layout = Layout::new(1, &[field(7, 2), field(82, VARIABLE), field(11, 2), field(2, 3)], 0).expect("sound");
        let bytes = [0, 80, 2, b'e', b'0', 1, 187, 0, 1, 2];
        let mut spans = Spans::default();
        let (record, _) = layout.split(&bytes, &mut spans).expect("whole");
        let read = |i: usize| Load::at(&layout, layout.fields[i].at, layout.fields[i].length).read(&record, &spans);
        assert_eq!([read(0), read(2), read(3)], [80, 443, 0x102]);
    }
}
