//! Datagrams into a capture file in place of a socket: pcap with nanoseconds.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;

use flowsonde_wire::Nanos;

use super::frame;
use super::stream::agent;

/// The port an exporter sends from.
const FROM_PORT: u16 = 50_000;

/// A capture being written.
#[derive(Debug)]
pub struct Capture<W: Write = BufWriter<File>> {
    out: W,
    to: SocketAddr,
    frame: Vec<u8>,
    id: u16,
}

impl Capture {
    /// Begins the file, in which datagrams go to `to`.
    pub fn create(path: &Path, to: SocketAddr) -> io::Result<Capture> {
        Capture::begin(BufWriter::with_capacity(1 << 18, File::create(path)?), to)
    }
}

impl<W: Write> Capture<W> {
    fn begin(mut out: W, to: SocketAddr) -> io::Result<Self> {
        // Magic, version 2.4, no time zone, snaplen, Ethernet.
        for word in [0xa1b2_3c4d_u32, 2 | 4 << 16, 0, 0, 1 << 18, 1] {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Capture { out, to, frame: Vec::new(), id: 0 })
    }

    /// Appends a datagram of the exporter with address number `number`. False when it is too long for one.
    pub fn write(&mut self, number: usize, time: Nanos, payload: &[u8]) -> io::Result<bool> {
        let v4 = agent(u32::try_from(number).unwrap_or(u32::MAX));
        let from = match self.to.ip() {
            IpAddr::V4(_) => IpAddr::V4(v4),
            IpAddr::V6(_) => {
                let [a, b, c, d] = v4.octets();
                IpAddr::V6(Ipv6Addr::from([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]))
            }
        };
        self.datagram(SocketAddr::new(from, FROM_PORT), self.to, time, payload)
    }

    /// Appends a datagram with these addresses, both of one family. False when it is too long for one.
    pub fn datagram(&mut self, from: SocketAddr, to: SocketAddr, time: Nanos, payload: &[u8]) -> io::Result<bool> {
        self.frame.clear();
        self.id = self.id.wrapping_add(1);
        if !frame::udp(from, to, self.id, payload, &mut self.frame) {
            return Ok(false);
        }
        let length = self.frame.len() as u32;
        for word in [time.seconds() as u32, (time.0 % 1_000_000_000) as u32, length, length] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.write_all(&self.frame)?;
        Ok(true)
    }

    /// Writes what is still held.
    pub fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_wire::Cursor;
    use flowsonde_wire::capture::pcap;

    #[test]
    fn the_probes_own_reader_reads_it() {
        for to in ["127.0.0.1:2055", "[::1]:2055"] {
            let mut capture = Capture::begin(Vec::new(), to.parse().unwrap()).unwrap();
            assert!(capture.write(3, Nanos::new(1_700_000_000, 123_456_789), b"abc").unwrap());
            assert!(!capture.write(3, Nanos(0), &[0; 65_536]).unwrap());
            capture.finish().unwrap();
            let mut c = Cursor::new(&capture.out);
            let header = pcap::Header::parse(&mut c).unwrap();
            let frame = header.record(&mut c).unwrap();
            assert!(c.is_empty() && frame.bytes.ends_with(b"abc"));
            assert_eq!(frame.time, Nanos::new(1_700_000_000, 123_456_789));
        }
    }
}
