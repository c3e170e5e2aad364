//! Numbers with their unit.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::stop::Stop;

/// A span of whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u32);

impl Seconds {
    /// Longest span an option takes: a thousand days.
    pub const MAX: u32 = 86_400_000;

    /// Reads a span of `least` seconds or more.
    pub fn parse(text: &str, least: u32) -> Result<Self, Stop> {
        number(text, "seconds", least..=Self::MAX).map(Seconds)
    }

    /// The span in nanoseconds.
    pub fn nanos(self) -> u64 {
        u64::from(self.0) * 1_000_000_000
    }

    /// The span as the standard library has it.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

/// A span of whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u32);

impl Millis {
    /// The span as the standard library has it.
    pub fn duration(self) -> Duration {
        Duration::from_millis(u64::from(self.0))
    }
}

/// A size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u32);

/// Reads a number of `what` within `range`.
pub fn number<T>(text: &str, what: &str, range: RangeInclusive<T>) -> Result<T, Stop>
where
    T: Copy + fmt::Display + Into<u64> + TryFrom<u64>,
{
    let (least, most) = (*range.start(), *range.end());
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return Err(Stop::Usage(format!("not a number of {what}; give {least} to {most}")));
    }
    // Digits that do not fit 64 bits are as much out of range as those that do.
    text.parse()
        .ok()
        .filter(|n| (least.into()..=most.into()).contains(n))
        .and_then(|n: u64| T::try_from(n).ok())
        .ok_or_else(|| Stop::Usage(format!("too small or too large; give {least} to {most} {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_within_its_range() {
        assert_eq!(number("7", "cats", 1_u8..=9), Ok(7));
        for (text, reason) in [
            ("", "not a number of cats; give 1 to 9"),
            ("-1", "not a number of cats; give 1 to 9"),
            ("+1", "not a number of cats; give 1 to 9"),
            ("1s", "not a number of cats; give 1 to 9"),
            ("10", "too small or too large; give 1 to 9 cats"),
            ("99999999999999999999999", "too small or too large; give 1 to 9 cats"),
        ] {
            assert_eq!(number(text, "cats", 1_u8..=9), Err(Stop::Usage(reason.into())), "{text}");
        }
    }
}
