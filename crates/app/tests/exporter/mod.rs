//! An exporter for tests: messages of NetFlow v9, byte by byte (RFC 3954, section 5), and captures of them.

pub mod scratch;

use std::fs;
use std::path::Path;

/// Seconds since 1970 at which exporters begin.
pub const BEGIN: u32 = 1_700_000_000;
/// Milliseconds of uptime then.
pub const UPTIME: u32 = 10_000_000;

/// An exporter's message: its header's numbers, and sets.
pub struct V9 {
    pub sequence: u32,
    pub domain: u32,
    /// When it began, by its clock, in seconds since 1970.
    pub begin: u32,
    /// Seconds since then.
    pub after: u32,
    /// Uptime in milliseconds when it began.
    pub uptime: u32,
    pub sets: Vec<(u16, Vec<u8>)>,
}

impl V9 {
    /// Message number `sequence`, sent that many seconds after the beginning.
    pub fn new(sequence: u32) -> V9 {
        V9 { sequence, domain: 1, begin: BEGIN, after: sequence, uptime: UPTIME, sets: Vec::new() }
    }

    pub fn set(mut self, id: u16, body: Vec<u8>) -> V9 {
        self.sets.push((id, body));
        self
    }

    /// Template `id` of these fields: number and length.
    pub fn template(self, id: u16, fields: &[(u16, u16)]) -> V9 {
        let numbers = fields.iter().flat_map(|&(field, length)| [field, length]);
        self.set(0, [id, fields.len() as u16].into_iter().chain(numbers).flat_map(u16::to_be_bytes).collect())
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = [9, self.sets.len() as u16].map(u16::to_be_bytes).concat();
        let uptime = self.uptime + self.after * 1000;
        for number in [uptime, self.begin + self.after, self.sequence, self.domain] {
            out.extend(number.to_be_bytes());
        }
        for (id, body) in &self.sets {
            out.extend(id.to_be_bytes());
            out.extend((body.len() as u16 + 4).to_be_bytes());
            out.extend(body);
        }
        out
    }
}

/// Source and destination address, ports, protocol, packets, bytes.
pub const FIELDS: [(u16, u16); 7] = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (2, 4), (1, 4)];

/// A record of [`FIELDS`]: from 10.0.0.`n` to 192.0.2.1.
pub fn record(n: u8, to_port: u16, packets: u32, bytes: u32) -> Vec<u8> {
    let ports = [40_000 + u16::from(n), to_port].map(u16::to_be_bytes).concat();
    let counts = [packets, bytes].map(u32::to_be_bytes).concat();
    [&[10, 0, 0, n, 192, 0, 2, 1][..], &ports, &[17], &counts].concat()
}

/// A capture of datagrams from these addresses (all port 9995) to 127.0.0.1:2055, a second apart.
pub fn capture(path: &Path, datagrams: &[([u8; 4], Vec<u8>)]) {
    // Magic, version 2.4, no time zone, snaplen, raw IP (101).
    let mut out = [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 1 << 16, 101].map(u32::to_le_bytes).concat();
    for (n, (from, payload)) in datagrams.iter().enumerate() {
        let length = 28 + payload.len() as u16;
        let mut packet =
            [&[0x45, 0][..], &length.to_be_bytes(), &[0, 0, 0, 0, 64, 17, 0, 0], from, &[127, 0, 0, 1]].concat();
        for number in [9995, 2055, length - 20, 0] {
            packet.extend(number.to_be_bytes());
        }
        packet.extend(payload);
        for word in [BEGIN + n as u32, 0, packet.len() as u32, packet.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(packet);
    }
    fs::write(path, out).unwrap();
}
