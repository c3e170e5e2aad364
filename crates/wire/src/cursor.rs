//! The one bounds-checked reader.

/// A read past the end: what was being read, where, and how many bytes were missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// What was being read.
    pub what: &'static str,
    /// Offset of the read, from the start of the cursor's bytes.
    pub at: usize,
    /// Bytes that were missing.
    pub missing: usize,
}

impl core::fmt::Display for Short {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} at byte {}: {} bytes short", self.what, self.at, self.missing)
    }
}

impl core::error::Error for Short {}

/// A position in borrowed bytes. Copy it to look ahead.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the first byte.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    /// Bytes consumed so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes left to read.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// True when nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// What is left, without consuming it.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    /// The next `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], Short> {
        match self.rest().get(..n) {
            Some(taken) => {
                self.at += n;
                Ok(taken)
            }
            None => Err(Short { what, at: self.at, missing: n - self.remaining() }),
        }
    }

    /// Steps over `n` bytes.
    #[inline]
    pub fn skip(&mut self, n: usize, what: &'static str) -> Result<(), Short> {
        self.take(n, what).map(|_| ())
    }

    /// The next `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Short> {
        match self.rest().first_chunk::<N>() {
            Some(chunk) => {
                self.at += N;
                Ok(*chunk)
            }
            None => Err(Short { what, at: self.at, missing: N - self.remaining() }),
        }
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Short> {
        self.array::<1>(what).map(|[b]| b)
    }

    /// Two bytes, big-endian.
    #[inline]
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Short> {
        self.array(what).map(u16::from_be_bytes)
    }

    /// Four bytes, big-endian.
    #[inline]
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Short> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// Eight bytes, big-endian.
    #[inline]
    pub fn u64(&mut self, what: &'static str) -> Result<u64, Short> {
        self.array(what).map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_big_endian_and_says_how_short() {
        let mut c = Cursor::new(&[1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(c.u8("a"), Ok(1));
        assert_eq!(c.u16("b"), Ok(0x0203));
        assert_eq!(c.u32("c"), Ok(0x0405_0607));
        assert_eq!(c.u16("d"), Err(Short { what: "d", at: 7, missing: 2 }));
        assert!(c.is_empty());
    }

    #[test]
    fn a_failed_read_consumes_nothing() {
        let mut c = Cursor::new(&[1, 2, 3]);
        assert!(c.u32("x").is_err());
        assert_eq!(c.take(3, "y"), Ok(&[1, 2, 3][..]));
    }
}
