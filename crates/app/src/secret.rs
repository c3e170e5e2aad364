//! Numbers nobody outside knows.

use std::hash::{BuildHasher, Hasher, RandomState};

/// One of them. The hasher of the standard library is seeded by the system.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
