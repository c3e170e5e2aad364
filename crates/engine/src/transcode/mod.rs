//! From a record as its exporter sent it to a record as an output wants it, in one step.
//!
//! ```text
//! layout + what is wanted --plan--> columns --program--> ops; then, a record: op by op, straight from the message's
//! bytes into the output's buffer
//! ```
//!
//! A [`Program`] is compiled once a layout and output. Each op knows where its value lies, how it is read, and what the
//! output puts before it. A record is never taken apart into values first.

use flowsonde_wire::Nanos;

// First, as its macro is the others'.
#[macro_use]
mod forward;

mod announced;
mod application;
mod aside;
pub(crate) mod batch;
#[cfg(test)]
mod by_hand;
mod csv;
mod export;
#[cfg(test)]
mod hostile;
mod json;
mod list;
mod output;
mod pass;
mod per_layout;
mod plan;
mod program;
mod take;
mod text;
mod tlv;

pub use announced::Announced;
pub use application::Applications;
pub use aside::{Aside, Gather, LONGEST_NAME, counter, interface, options};
pub use batch::{AsJson, AsTlv, Batching, Form};
pub use csv::TextLines;
pub use export::{Export, Export5};
pub use json::Json;
pub use list::{Lists, Sort};
pub use output::{Batches, JsonBatches, Lines, Lost, Passed, TlvBatches, Transcode};
pub use pass::Pass;
pub use per_layout::{PerLayout, Programs};
pub(crate) use plan::take;
pub use plan::{Column, Name, Plan, complete};
pub use program::{Context, Program, Scratch};
pub(crate) use take::ntp;
pub use take::{Nothing, Take, Width, source_id};
pub use tlv::Tlv;

/// Where a short value is stored with what stands before it. Behind the value may be anything.
pub type Place = [u8; 64];

/// What is put before a value.
pub trait Key {
    /// True when it fits into a [`Place`] with any number or IPv4 address.
    fn is_short(&self) -> bool;

    /// The number a moment is told as.
    fn moment(&self, time: Nanos) -> u64;
}

/// What takes values, one after the other, and makes records of them.
pub trait Emit {
    /// What is put before a value, and how the value is written.
    type Key: Key;

    /// Stores an unsigned number with its short key; tells how many bytes that is. Not called where no key is short.
    fn put_number(_key: &Self::Key, _n: u64, _place: &mut Place) -> usize {
        0
    }
    /// Stores an IPv4 address with its short key; tells how many bytes that is. Not called where no key is short.
    fn put_ipv4(_key: &Self::Key, _address: [u8; 4], _place: &mut Place) -> usize {
        0
    }

    /// Where records are written to.
    fn buffer(&mut self) -> &mut Vec<u8>;
    /// A record begins.
    fn begin(&mut self);
    /// A record ends.
    fn end(&mut self);
    /// An unsigned number.
    fn number(&mut self, key: &Self::Key, n: u64);
    /// A signed number.
    fn signed(&mut self, key: &Self::Key, n: i64);
    /// A float.
    fn float(&mut self, key: &Self::Key, n: f64);
    /// A duration in microseconds, told as milliseconds with a fraction.
    fn latency(&mut self, key: &Self::Key, micros: u64) {
        self.float(key, micros as f64 / 1000.0);
    }
    /// A truth value.
    fn boolean(&mut self, key: &Self::Key, truth: bool);
    /// A moment.
    fn time(&mut self, key: &Self::Key, time: Nanos);
    /// An IPv4 address.
    fn ipv4(&mut self, key: &Self::Key, address: [u8; 4]);
    /// An IPv6 address.
    fn ipv6(&mut self, key: &Self::Key, address: [u8; 16]);
    /// A MAC address.
    fn mac(&mut self, key: &Self::Key, address: [u8; 6]);
    /// A text; whether it is one is the exporter's word.
    fn text(&mut self, key: &Self::Key, text: &[u8]);
    /// nDPI's number of an application; a text, but on the wire.
    fn application(&mut self, key: &Self::Key, n: u16) {
        self.text(key, itoa::Buffer::new().format(n).as_bytes());
    }
    /// Octets.
    fn octets(&mut self, key: &Self::Key, octets: &[u8]);
    /// A JSON object that stands for structured data.
    fn structure(&mut self, key: &Self::Key, json: &[u8]) {
        self.text(key, json);
    }
}

/// What records tell of the probe itself.
#[derive(Clone, Copy, Debug)]
pub struct Home {
    /// The probe's IPv4 address.
    pub address: [u8; 4],
    /// What flows are taken for; made at the start and kept to the end.
    pub applications: Option<&'static Applications>,
}

impl Home {
    /// A probe of this address that knows no applications.
    pub const fn at(address: [u8; 4]) -> Home {
        Home { address, applications: None }
    }
}
