//! The byte order a capture was written in: the writing machine's own, told by a magic number.

use crate::{Cursor, Short};

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Most significant byte first.
    Big,
    /// Least significant byte first.
    Little,
}

impl Order {
    /// Two bytes.
    #[inline]
    pub fn u16(self, cursor: &mut Cursor<'_>, what: &'static str) -> Result<u16, Short> {
        cursor.array(what).map(|bytes| match self {
            Order::Big => u16::from_be_bytes(bytes),
            Order::Little => u16::from_le_bytes(bytes),
        })
    }

    /// Four bytes.
    #[inline]
    pub fn u32(self, cursor: &mut Cursor<'_>, what: &'static str) -> Result<u32, Short> {
        cursor.array(what).map(|bytes| match self {
            Order::Big => u32::from_be_bytes(bytes),
            Order::Little => u32::from_le_bytes(bytes),
        })
    }

    /// Eight bytes.
    #[inline]
    pub fn u64(self, cursor: &mut Cursor<'_>, what: &'static str) -> Result<u64, Short> {
        cursor.array(what).map(|bytes| match self {
            Order::Big => u64::from_be_bytes(bytes),
            Order::Little => u64::from_le_bytes(bytes),
        })
    }

    /// Four times four bytes.
    #[inline]
    pub fn words(self, bytes: [u8; 16]) -> [u32; 4] {
        let wide = u128::from_le_bytes(bytes);
        let word = |n: u32| (wide >> (32 * n)) as u32;
        let words = [word(0), word(1), word(2), word(3)];
        match self {
            Order::Big => words.map(u32::swap_bytes),
            Order::Little => words,
        }
    }
}
