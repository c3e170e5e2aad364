//! What the benches of collecting are given: NetFlow v9 of `flowload --layout basic20`, 20 fields in 56 bytes.

/// Element and bytes.
const FIELDS: [(u16, u16); 20] = [
    (8, 4),
    (12, 4),
    (15, 4),
    (10, 4),
    (14, 4),
    (2, 4),
    (1, 4),
    (22, 4),
    (21, 4),
    (7, 2),
    (11, 2),
    (6, 1),
    (4, 1),
    (5, 1),
    (16, 4),
    (17, 4),
    (9, 1),
    (13, 1),
    (61, 1),
    (58, 2),
];

/// Numbers below a bound, the same for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u32) -> Random {
        Random(u64::from(seed) * 0x9e37_79b9_7f4a_7c15 + 1)
    }

    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as u32 % bound
    }
}

pub fn header(sequence: u32) -> Vec<u8> {
    let mut out = vec![0, 9, 0, 1];
    for number in [10_000_000u32, 1_700_000_000, sequence, 7] {
        out.extend(number.to_be_bytes());
    }
    out
}

pub fn set(id: u16, body: &[u8], out: &mut Vec<u8>) {
    out.extend(id.to_be_bytes());
    out.extend((body.len() as u16 + 4).to_be_bytes());
    out.extend(body);
}

pub fn template() -> Vec<u8> {
    let mut body = vec![1, 0, 0, FIELDS.len() as u8];
    for (id, length) in FIELDS {
        body.extend(id.to_be_bytes());
        body.extend(length.to_be_bytes());
    }
    let mut out = header(0);
    set(0, &body, &mut out);
    out
}
