//! The second frame of a message: the payload, perhaps encrypted the old way, perhaps compressed.
//!
//! - Encryption of old (`--zmq-encrypt-pwd`): every byte XORed with the password, over and over, before compression.
//! - Compression: a zlib stream (RFC 1950). With header V4 a flag says so; with the others a zero byte before it, which no
//!   JSON text begins with, and TLV cannot be compressed.
//!
//! With headers other than V4 a receiver has to guess how much room a text wants. The least that ntopng took, from 4.0 to
//! 6.2, is five times the compressed size or 8 KiB, whichever is more, and never above 43,690 bytes. A text that would
//! not fit goes uncompressed.

use super::header::{Form, Header};
use flate2::{Compress, Compression, FlushCompress, Status};

/// What is done to payloads.
#[derive(Debug)]
pub(super) struct Body {
    header: Header,
    password: Vec<u8>,
    zlib: Option<Compress>,
    /// Longest body a receiver takes.
    limit: usize,
    xored: Vec<u8>,
    packed: Vec<u8>,
}

/// Texts that are longer are not compressed for a receiver that guesses: a little less than 43,690.
const LONGEST_GUESSED: usize = 42 << 10;
/// A receiver that guesses has room for this in any case.
const SURE: usize = 8 << 10;
/// And else for so many times what it got.
const RATIO: usize = 5;
/// Texts that are shorter do not become so: they would only cost time.
const SHORT: usize = 64;

impl Body {
    pub(super) fn new(header: Header, password: &[u8], compress: bool, limit: usize) -> Self {
        Body {
            header,
            password: password.to_vec(),
            zlib: compress.then(|| Compress::new(Compression::fast(), true)),
            limit,
            xored: Vec::new(),
            packed: Vec::new(),
        }
    }

    /// What to send for `payload`; None when there is nothing to send, or it is too long.
    pub(super) fn of<'a>(&'a mut self, payload: &'a [u8]) -> Option<(Form, &'a [u8])> {
        // TLV begins with its version, 1; no JSON text does.
        let tlv = payload.first() == Some(&1);
        let mut form = Form { tlv, zlib: false, text: payload.len() };
        let text = if self.password.is_empty() {
            payload
        } else {
            self.xored.clear();
            self.xored.extend(payload.iter().zip(self.password.iter().cycle()).map(|(byte, key)| byte ^ key));
            &self.xored
        };
        if let Some(zlib) = self.zlib.as_mut().filter(|_| !tlv && text.len() >= SHORT)
            && pack(zlib, text, self.header.marks_by_zero(), &mut self.packed)
        {
            form.zlib = true;
            return (self.packed.len() <= self.limit).then_some((form, &self.packed));
        }
        (!text.is_empty() && text.len() <= self.limit).then_some((form, text))
    }
}

/// Compresses, if that makes it shorter and the receiver has room for what it inflates.
fn pack(zlib: &mut Compress, text: &[u8], marked: bool, packed: &mut Vec<u8>) -> bool {
    if marked && text.len() > LONGEST_GUESSED {
        return false;
    }
    zlib.reset();
    packed.clear();
    // What does not fit here is not shorter.
    packed.reserve_exact(text.len());
    if marked {
        packed.push(0);
    }
    if !matches!(zlib.compress_vec(text, packed, FlushCompress::Finish), Ok(Status::StreamEnd)) {
        return false;
    }
    let stream = packed.len() - usize::from(marked);
    packed.len() < text.len() && (!marked || text.len() < SURE || text.len() < stream * RATIO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn body(header: Header, password: &str, compress: bool) -> Body {
        Body::new(header, password.as_bytes(), compress, 131_072)
    }

    /// Text like that of flows: little in it repeats exactly.
    fn json(length: usize) -> Vec<u8> {
        let mut text = b"[".to_vec();
        let mut random = 1_u64;
        while text.len() < length {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.extend(format!("{{\"8\":{},\"12\":{}}},", random >> 40, random >> 33).bytes());
        }
        text.truncate(length);
        text
    }

    fn inflated(stream: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        flate2::read::ZlibDecoder::new(stream).read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn plain() {
        for payload in [&[1, 1, 0x2b][..], b"{}"] {
            let (form, bytes) = body_of(&mut body(Header::V1, "", false), payload).unwrap();
            assert_eq!((form.zlib, form.tlv, bytes), (false, payload[0] == 1, payload.to_vec()));
        }
        assert!(body_of(&mut body(Header::V1, "", false), b"").is_none());
    }

    fn body_of(body: &mut Body, payload: &[u8]) -> Option<(Form, Vec<u8>)> {
        body.of(payload).map(|(form, bytes)| (form, bytes.to_vec()))
    }

    #[test]
    fn compressed_texts_inflate_within_the_room_receivers_make() {
        for header in [Header::V0, Header::V1, Header::V2] {
            let mut compressed = 0;
            for length in [100, 1000, 8191, 8192, 20_000, 42 << 10, (42 << 10) + 1, 100_000] {
                let text = json(length);
                let (form, bytes) = body_of(&mut body(header, "", true), &text).unwrap();
                assert_eq!(form.text, length);
                if form.zlib {
                    compressed += 1;
                    assert_eq!(bytes[0], 0);
                    assert!(inflated(&bytes[1..]) == text);
                    // The guess of 4.0, and that of 6.2.
                    assert!(length <= (5 * (bytes.len() - 1)).max(8192) && length < 43_690);
                } else {
                    assert!(bytes == text);
                }
            }
            assert_eq!(compressed, 6, "{header:?}");
        }
    }

    #[test]
    fn what_compresses_too_well_is_sent_plain() {
        let text = vec![b' '; 10_000];
        let (form, bytes) = body_of(&mut body(Header::V1, "", true), &text).unwrap();
        assert!(!form.zlib && bytes == text);
        // In 8 KiB any ratio will do; and a flag tells how much room to make.
        assert!(body_of(&mut body(Header::V1, "", true), &text[..8000]).unwrap().0.zlib);
        let (form, bytes) = body_of(&mut body(Header::V4, "", true), &text).unwrap();
        assert!(form.zlib && form.text == 10_000 && inflated(&bytes) == text);
    }

    #[test]
    fn what_does_not_compress_is_sent_plain() {
        let mut state = 1_u64;
        let mut random: Vec<u8> = core::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(2000)
        .collect();
        random[0] = b'{';
        for header in [Header::V1, Header::V4] {
            let (form, bytes) = body_of(&mut body(header, "", true), &random).unwrap();
            assert!(!form.zlib && bytes == random);
        }
    }

    #[test]
    fn tlv_is_never_compressed() {
        let mut payload = vec![1; 1000];
        payload[5] = 2;
        for header in [Header::V1, Header::V4] {
            let (form, bytes) = body_of(&mut body(header, "", true), &payload).unwrap();
            assert!(form.tlv && !form.zlib && bytes == payload);
        }
    }

    #[test]
    fn password_before_compression() {
        let (form, bytes) = body_of(&mut body(Header::V1, "ab", false), b"{\"a\":1}").unwrap();
        assert!(!form.tlv && !form.zlib);
        assert_eq!(bytes, [0x1a, 0x40, 0x00, 0x40, 0x5b, 0x53, 0x1c]);
        let (form, _) = body_of(&mut body(Header::V1, "ab", false), &[1, 1, 0x2b]).unwrap();
        assert!(form.tlv);
        let text = json(3000);
        let (form, bytes) = body_of(&mut body(Header::V1, "secret", true), &text).unwrap();
        assert!(form.zlib);
        let back: Vec<u8> = inflated(&bytes[1..]).iter().zip(b"secret".iter().cycle()).map(|(a, b)| a ^ b).collect();
        assert!(back == text);
    }

    #[test]
    fn too_long_is_nothing() {
        let text = json(3000);
        let mut body = Body::new(Header::V1, b"", false, 2999);
        assert!(body.of(&text).is_none());
        assert!(body.of(&text[..2999]).is_some());
    }
}
