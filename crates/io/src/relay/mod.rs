//! Between a relay outside a firewall and a collector inside, without sockets: what waits, what was acknowledged, what was
//! lost. `docs/relay-protocol.md` has the protocol.
//!
//! ```text
//! outside   Queue (Packer, Spool, Kept templates) --frames-->   Inlet   inside
//!                                                 <--acknowledge--
//! ```

mod inlet;
mod kept;
#[cfg(feature = "zmq")]
mod link;
mod packer;
mod queue;

pub use inlet::{Inlet, Part};
pub use kept::Kept;
#[cfg(feature = "zmq")]
pub use link::{Keys, Link, Seen};
pub use queue::{Next, Queue, Settings, Waiting};
