//! Damage to a capture, the same for the same number.

use flowsonde_wire::Cursor;
use flowsonde_wire::capture::{pcap, pcapng};

/// Numbers that look random and are the same in every run (SplitMix64).
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, 0 when that is 0.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % (n as u64).max(1)) as usize
    }
}

/// Lengths that programs get wrong.
const LENGTHS: &[u32] = &[
    0,
    1,
    3,
    4,
    8,
    11,
    12,
    16,
    19,
    20,
    40,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x5dc,
    0x7fff,
    0x8000,
    0xfffe,
    0xffff,
    0x1_0000,
    0x4_0000,
    0x4_0001,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff0,
    0xffff_fffc,
    0xffff_ffff,
];

/// Where the packets of a capture begin; none when it is compressed or unknown.
pub fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut cursor = Cursor::new(bytes);
    let mut found = Vec::new();
    if let Ok(header) = pcap::Header::parse(&mut cursor) {
        loop {
            found.push(cursor.position());
            if header.record(&mut cursor).is_err() {
                return found;
            }
        }
    }
    let (mut section, mut at) = (pcapng::Section::new(), 0);
    while let Some(Ok((_, used))) = bytes.get(at..).filter(|rest| !rest.is_empty()).map(|rest| section.block(rest)) {
        at += used;
        found.push(at.min(bytes.len()));
    }
    found
}

/// A damaged copy.
pub fn mutate(bytes: &[u8], boundaries: &[usize], random: &mut Random) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=random.below(4) {
        once(&mut out, boundaries, random);
    }
    out
}

fn once(out: &mut Vec<u8>, boundaries: &[usize], random: &mut Random) {
    // Half of the damage goes where the headers are: the first bytes of the file or of a packet.
    let at = match random.below(4) {
        0 => random.below(out.len().min(120)),
        1 if !boundaries.is_empty() => boundaries[random.below(boundaries.len())] + random.below(100),
        _ => random.below(out.len()),
    };
    let at = at.min(out.len());
    let most = [4, 60, 2000][random.below(3)];
    let span = random.below(most).min(out.len() - at);
    match random.below(8) {
        0 | 1 => {
            for _ in 0..=random.below(16) {
                let bit = random.below(8);
                let near = at + random.below(64);
                if let Some(byte) = out.get_mut(near) {
                    *byte ^= 1 << bit;
                }
            }
        }
        2 | 3 => {
            let length = LENGTHS[random.below(LENGTHS.len())];
            let written: &[u8] = match random.below(4) {
                0 => &length.to_le_bytes(),
                1 => &length.to_be_bytes(),
                2 => &(length as u16).to_be_bytes(),
                _ => &[length as u8],
            };
            // Fields are aligned more often than not.
            let at = if random.below(2) == 0 { at & !3 } else { at };
            for (to, from) in out.iter_mut().skip(at).zip(written) {
                *to = *from;
            }
        }
        4 => {
            // Packets or blocks once more, or somewhere else.
            let from = if boundaries.is_empty() { at } else { boundaries[random.below(boundaries.len())] };
            let piece: Vec<u8> = out.iter().skip(from).take(1 + random.below(3000)).copied().collect();
            out.splice(at..at, piece);
        }
        5 => out[at..at + span].fill(0),
        6 => out[at..at + span].fill(random.next() as u8),
        _ => {
            out.drain(at..at + span);
        }
    }
}
