//! An entry as it lies in a segment. Numbers are little-endian.
//!
//! ```text
//! entry  0 magic "FSE1" | 4 length of the body | 8 first | 16 tag | 24 count | 28 checksum | 32 body
//! ```
//!
//! First, tag and length of the body have 8, 8 and 4 bytes, count and checksum 4. The checksum is CRC-32 (IEEE 802.3) over
//! the bytes from 4 to 28, then the body.

use super::Error;

/// Bytes before the body.
pub(super) const HEADER: usize = 32;
/// The longest body. A bound on what a damaged length makes anyone read.
pub(super) const LONGEST: usize = 16 << 20;

const MAGIC: [u8; 4] = *b"FSE1";

/// What is known of an entry's body before it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub length: usize,
    pub first: u64,
    pub count: u32,
    pub tag: u64,
    /// The number behind its last.
    pub next: u64,
    checksum: u32,
}

impl Header {
    /// Reads one; `None` for what cannot be one.
    pub fn read(bytes: &[u8; HEADER]) -> Option<Header> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (tag, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let checksum = rest.first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (first, count) = (u64::from_le_bytes(*first), u32::from_le_bytes(*count));
        let (tag, checksum) = (u64::from_le_bytes(*tag), u32::from_le_bytes(*checksum));
        let next = first.checked_add(count.into())?;
        let sound = *magic == MAGIC && length <= LONGEST && count > 0;
        sound.then_some(Header { length, first, count, tag, next, checksum })
    }

    /// Bytes of the entry.
    pub fn whole(&self) -> u64 {
        (HEADER + self.length) as u64
    }

    /// Whether the checksum is that of the header's bytes and the body.
    pub fn is_of(&self, bytes: &[u8; HEADER], body: &[u8]) -> bool {
        self.checksum == checksum(bytes, body)
    }
}

fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(header.get(4..28).unwrap_or(&[]));
    sum.update(body);
    sum.finalize()
}

/// Makes `out` an entry of these parts.
pub(super) fn write(out: &mut Vec<u8>, first: u64, count: u32, tag: u64, parts: &[&[u8]]) -> Result<(), Error> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if length > LONGEST {
        return Err(Error::Entry("longer than 16 MiB"));
    }
    out.clear();
    out.reserve(HEADER + length);
    out.extend(MAGIC);
    out.extend((length as u32).to_le_bytes());
    out.extend(first.to_le_bytes());
    out.extend(tag.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend([0; 4]);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    if let Some((header, body)) = out.split_first_chunk_mut::<HEADER>() {
        let sum = checksum(header, body);
        header[28..].copy_from_slice(&sum.to_le_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_as_the_figure_says() {
        let mut out = vec![9; 3];
        write(&mut out, 0x0102_0304_0506_0708, 0x1112_1314, 0x2122_2324_2526_2728, &[b"1234", b"", b"56789"]).unwrap();
        // By Python: zlib.crc32(out[4:28] + b"123456789").
        #[rustfmt::skip]
        assert_eq!(out, [
            b'F', b'S', b'E', b'1', 9, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21,
            0x14, 0x13, 0x12, 0x11, 0xcb, 0xdf, 0x52, 0xe6, b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'8', b'9',
        ]);
        let (bytes, body) = out.split_first_chunk().unwrap();
        let header = Header::read(bytes).unwrap();
        assert_eq!((header.length, header.count, header.next), (9, 0x1112_1314, 0x0102_0304_1618_1a1c));
        assert!(header.is_of(bytes, body) && !header.is_of(bytes, &body[1..]));
    }

    #[test]
    fn what_cannot_be_an_entry_is_none() {
        let mut out = Vec::new();
        write(&mut out, 1, 1, 1, &[]).unwrap();
        let whole: [u8; HEADER] = out.try_into().unwrap();
        assert!(Header::read(&whole).is_some());
        for (at, bytes) in [(0, [0; 4]), (4, [1, 0, 0, 1]), (4, [255; 4]), (24, [0; 4])] {
            let mut other = whole;
            other[at..at + 4].copy_from_slice(&bytes);
            assert!(Header::read(&other).is_none(), "{bytes:?} at {at}");
        }
        // Its numbers would go over the end of all.
        let mut other = whole;
        other[8..16].fill(255);
        assert!(Header::read(&other).is_none());
        assert!(write(&mut Vec::new(), 1, 1, 1, &[&vec![0; LONGEST + 1]]).is_err());
    }
}
