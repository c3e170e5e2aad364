//! `--dump-bad-packets`: datagrams that cannot be read, into a capture for whoever wants to know what they are.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use flowsonde_wire::export::Datagram;

use crate::load::capture::Capture;
use crate::log;
use crate::stop::Stop;

/// Bytes of datagrams after which nothing more is written: whoever can send anything could fill the disk.
const MOST: usize = 64 << 20;

/// The capture.
#[derive(Debug)]
pub struct BadPackets<W: Write> {
    capture: Capture<W>,
    bytes: usize,
    /// It is full, or could not be written to.
    over: bool,
}

impl BadPackets<io::BufWriter<std::fs::File>> {
    /// Begins the file.
    pub fn create(path: &Path) -> Result<Self, Stop> {
        let to = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let capture = Capture::create(path, to).map_err(|error| {
            Stop::Failed(format!("--dump-bad-packets={}: {error}; give a file that can be written", path.display()))
        })?;
        Ok(BadPackets { capture, bytes: 0, over: false })
    }
}

impl<W: Write> BadPackets<W> {
    /// Writes one, with the addresses it came with; where the local one is not known, as of sessions, it is 0.
    pub fn write(&mut self, message: &Datagram<'_>) {
        if self.over {
            return;
        }
        let to = message.local.unwrap_or(match message.from.ip() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
        self.bytes += message.bytes.len();
        let to = SocketAddr::new(to, message.to);
        let written = self.capture.datagram(message.from, to, message.time, message.bytes);
        self.end(written.err());
    }

    /// Writes what is still held.
    pub fn flush(&mut self) {
        if !self.over {
            let written = self.capture.finish();
            self.end(written.err());
        }
    }

    fn end(&mut self, error: Option<io::Error>) {
        if let Some(error) = error {
            log::warn("collect", &format!("--dump-bad-packets: {error}; nothing more is written to it"));
            self.over = true;
        } else if self.bytes >= MOST {
            log::warn("collect", "--dump-bad-packets: has its 64 MiB; nothing more is written to it");
            self.over = true;
            let _told = self.capture.finish();
        }
    }
}
