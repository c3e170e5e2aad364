//! CURVE keys (<https://rfc.zeromq.org/spec/26/>) and the text they are written in, Z85 (<https://rfc.zeromq.org/spec/32/>):
//! 40 characters for 32 bytes.
#![allow(unsafe_code, reason = "a C library")]

use super::{Error, ffi};
use core::ffi::CStr;

/// What others encrypt by, and know a peer by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// The other half of a [`PublicKey`], for nobody else to know.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; 32]);

/// Characters of a key in Z85, and the zero that ends them.
const TEXT: usize = 41;

impl PublicKey {
    /// Of 40 characters in Z85; None when it is something else.
    pub fn from_z85(text: &str) -> Option<Self> {
        decode(text).map(PublicKey)
    }

    /// Of its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        PublicKey(bytes)
    }

    /// As 40 characters in Z85.
    pub fn to_z85(&self) -> String {
        encode(&self.0)
    }

    /// The 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl SecretKey {
    /// Of its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        SecretKey(bytes)
    }

    /// Of 40 characters in Z85; None when it is something else.
    pub fn from_z85(text: &str) -> Option<Self> {
        decode(text).map(SecretKey)
    }

    /// As 40 characters in Z85.
    pub fn to_z85(&self) -> String {
        encode(&self.0)
    }

    /// The 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The half that others may know.
    pub fn public(&self) -> Result<PublicKey, Error> {
        let mut public = [0; TEXT];
        let secret = encode(&self.0) + "\0";
        // SAFETY: `public` has room for 41 characters, `secret` has 40 and a zero.
        ffi::check(unsafe { ffi::zmq_curve_public(public.as_mut_ptr().cast(), secret.as_ptr().cast()) })?;
        of(&public).map(PublicKey)
    }
}

impl core::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.to_z85())
    }
}

impl core::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("(a secret)")
    }
}

/// Two new halves.
pub fn keypair() -> Result<(PublicKey, SecretKey), Error> {
    let (mut public, mut secret) = ([0; TEXT], [0; TEXT]);
    // SAFETY: both have room for 41 characters.
    ffi::check(unsafe { ffi::zmq_curve_keypair(public.as_mut_ptr().cast(), secret.as_mut_ptr().cast()) })?;
    Ok((PublicKey(of(&public)?), SecretKey(of(&secret)?)))
}

/// A key of a text that libzmq wrote.
fn of(text: &[u8; TEXT]) -> Result<[u8; 32], Error> {
    CStr::from_bytes_until_nul(text).ok().and_then(|text| decode(text.to_str().ok()?)).ok_or_else(ffi::last_error)
}

fn decode(text: &str) -> Option<[u8; 32]> {
    if text.len() != TEXT - 1 || text.contains('\0') {
        return None;
    }
    let text = text.to_owned() + "\0";
    let mut bytes = [0; 32];
    // SAFETY: 40 characters and a zero; five make four bytes, for which there is room.
    let decoded = unsafe { ffi::zmq_z85_decode(bytes.as_mut_ptr(), text.as_ptr().cast()) };
    (!decoded.is_null()).then_some(bytes)
}

fn encode(bytes: &[u8; 32]) -> String {
    let mut text = [0; TEXT];
    // SAFETY: 32 bytes make 40 characters and a zero, for which there is room.
    unsafe { ffi::zmq_z85_encode(text.as_mut_ptr().cast(), bytes.as_ptr(), bytes.len()) };
    CStr::from_bytes_until_nul(&text).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}
