//! Bytes: packets and export protocols, read and written in place.
//!
//! Pure functions over slices. Every reader goes through [`Cursor`], the one bounds-checked reader; views borrow the
//! bytes they look at. Nothing here knows a clock, a socket, or what a flow is.

pub mod capture;
pub mod cursor;
pub mod export;
pub mod frame;
pub mod link;
pub mod net;
pub mod relay;
pub mod transport;

pub use cursor::{Cursor, Short};
pub use frame::{Frame, LinkType, Nanos};
