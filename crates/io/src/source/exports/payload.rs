//! Files that are one message each: what a datagram carried, and nothing around it.
//!
//! The name has to say so (`.dat`, `.bin`, `.dump`), as nothing in a payload does; but a capture is one whatever its name.

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

use flowsonde_wire::capture::{pcap, pcapng};

/// Who a payload file is from.
pub const EXPORTER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Between the times of two payload files, nanoseconds.
pub const STEP: u64 = 1_000_000;

/// The longest payload.
const LONGEST: u64 = 65_535;

/// Whether the file at `path` is one message.
pub fn is_payload(path: &Path) -> bool {
    let named = path
        .extension()
        .is_some_and(|extension| ["dat", "bin", "dump"].iter().any(|known| extension.eq_ignore_ascii_case(known)));
    named && !is_capture(path)
}

/// Whether a file begins as pcap, pcapng, gzip or zstd do.
fn is_capture(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    let compressed = matches!(magic, [0x1f, 0x8b, 0x08, _] | [0x28, 0xb5, 0x2f, 0xfd]);
    read.is_ok() && (compressed || pcap::Header::claims(magic) || magic == pcapng::SECTION)
}

/// The message in a file; `None` when it is too long to be one.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= LONGEST).then_some(bytes))
}
