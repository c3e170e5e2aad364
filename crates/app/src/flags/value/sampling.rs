//! Sampling rates: `packet[:collect[:export]]`, where `@n` for packets says they were sampled before they got here.

use super::number::number;
use crate::stop::Stop;

/// What becomes of captured packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketSampling {
    /// One of this many packets is looked at, and counted that many times; 1 looks at all.
    Sample(u32),
    /// Every packet is looked at, and counted this many times: a switch sampled before.
    Upscale(u32),
}

impl PacketSampling {
    /// How many packets one stands for.
    pub fn rate(self) -> u32 {
        match self {
            PacketSampling::Sample(rate) | PacketSampling::Upscale(rate) => rate,
        }
    }
}

/// The sampling rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Of captured packets.
    pub packet: PacketSampling,
    /// Of collected flows: one flow stands for this many, whatever its exporter says.
    pub collect: Option<u32>,
    /// Of exported flows: one of this many is exported.
    pub export: u32,
}

impl Default for Sampling {
    /// Everything is looked at and exported.
    fn default() -> Self {
        Sampling { packet: PacketSampling::Sample(1), collect: None, export: 1 }
    }
}

impl Sampling {
    /// Largest rate taken.
    pub const MAX: u32 = 1_000_000;

    /// Reads `packet[:collect[:export]]`.
    pub fn parse(text: &str) -> Result<Self, Stop> {
        let mut fields = text.split(':');
        let packet = fields.next().unwrap_or_default();
        let packet = match packet.strip_prefix('@') {
            Some(rest) => PacketSampling::Upscale(rate(rest)?),
            None => PacketSampling::Sample(rate(packet)?),
        };
        let sampling = Sampling {
            packet,
            collect: fields.next().map(rate).transpose()?,
            export: fields.next().map_or(Ok(1), rate)?,
        };
        match fields.next() {
            Some(_) => Err("has more than three rates; give packet[:collect[:export]], like 100 or 1:1:10".into()),
            None => Ok(sampling),
        }
    }
}

fn rate(text: &str) -> Result<u32, Stop> {
    number(text, "packets or flows one stands for", 1..=Sampling::MAX).map_err(|_| {
        Stop::Usage(format!("'{text}' is not a rate; give 1 to {}, like 100, @100 or 1:1:10", Sampling::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let rates = Sampling::parse("@1000:2:3").unwrap();
        assert_eq!(rates, Sampling { packet: PacketSampling::Upscale(1000), collect: Some(2), export: 3 });
        assert_eq!(Sampling::parse("1").unwrap(), Sampling::default());
        assert_eq!(Sampling::parse("5").unwrap().packet.rate(), 5);
        for text in ["", "0", "@", "a", "1:", "1:@2", "1:2:3:4", "2000000"] {
            assert!(Sampling::parse(text).is_err(), "{text}");
        }
    }
}
