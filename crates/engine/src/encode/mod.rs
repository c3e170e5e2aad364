//! From ended flows to messages of an export format.

use crate::fill::Env;
use crate::meter::View;

mod about;
pub(crate) mod csv;
mod ipfix;
mod ipfix_file;
mod json;
pub(crate) mod netflow5;
mod netflow9;
mod ntopng;
mod options;
pub(crate) mod print;
mod program;
#[cfg(test)]
pub(crate) mod reader;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod session;
pub(crate) mod stream;
#[cfg(test)]
mod tests;

pub use csv::{Csv, csv, names};
pub use ipfix::{Ipfix, ipfix};
pub use ipfix_file::ipfix_file;
pub use json::{Json, json};
pub use netflow5::{NetFlow5, netflow5};
pub use netflow9::{NetFlow9, netflow9};
pub use ntopng::Ntopng;
pub use options::{Error, Options};
pub use print::escape;
pub use session::Session;

/// An export format: its name, what it is, and how an encoder of it is made.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// What users call it.
    pub name: &'static str,
    /// One sentence for users.
    pub help: &'static str,
    /// Makes an encoder, or says which setting is wrong.
    pub start: fn(&Options) -> Result<Box<dyn Encode>, Error>,
}

/// Every format.
pub const SPECS: &[Format] =
    &[netflow5::SPEC, netflow9::SPEC, ipfix::SPEC, ipfix_file::SPEC, json::SPEC, csv::SPEC, ntopng::TLV, ntopng::JSON];

/// The format of this name.
pub fn format(name: &str) -> Option<&'static Format> {
    SPECS.iter().find(|spec| spec.name == name)
}

/// An export format at work, for one receiver: what it was told (templates, sequence numbers) is its state.
pub trait Encode: Send {
    /// Adds a flow's record or records. Whole messages are appended to `out` as they fill.
    fn encode(&mut self, flow: &View<'_>, env: &Env, out: &mut Messages);

    /// Called now and then with the time in `env`: what waited too long is finished, what must be repeated is repeated.
    fn tick(&mut self, env: &Env, out: &mut Messages);

    /// Finishes what has begun.
    fn flush(&mut self, env: &Env, out: &mut Messages);

    /// The receiver is a new session (a TCP connection made again): templates are due, sequence numbers begin anew.
    fn restart(&mut self) {}

    /// What became of the flows taken.
    fn counters(&self) -> Counters;
}

/// What an encoder did. `flows = encoded + sum(lost)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Flows taken.
    pub flows: u64,
    /// Flows that became records.
    pub encoded: u64,
    /// Records written, one or two a flow.
    pub records: u64,
    /// Records in messages not finished yet.
    pub pending: u64,
    /// Flows the format cannot tell: an IPv6 flow in NetFlow v5.
    pub v5_ipv6: u64,
    /// Flows of which the template tells nothing that the format can carry: an IPv6 flow where only IPv4 addresses are
    /// asked for.
    pub untold: u64,
}

/// Finished messages, one behind the other, with the number of flow records in each.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    ends: Vec<(usize, u32)>,
    /// Records of exporters' options data in all messages.
    options: u64,
    finished: [u64; 3],
}

impl Messages {
    /// Where a message's bytes are appended before [`Messages::finish`].
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the message that was appended, which holds `records` flow records.
    #[inline]
    pub fn finish(&mut self, records: u32) {
        let start = self.ends.last().map_or(0, |(end, _)| *end);
        let [bytes, messages, flows] = &mut self.finished;
        *bytes += (self.bytes.len() - start) as u64;
        *messages += 1;
        *flows += u64::from(records);
        self.ends.push((self.bytes.len(), records));
    }

    /// Counts records of exporters' options data that are in the messages.
    #[inline]
    pub fn count_options(&mut self, records: u64) {
        self.options += records;
    }

    /// Records of exporters' options data in all messages.
    pub fn options(&self) -> u64 {
        self.options
    }

    /// Bytes, messages and flow records that were ever finished here, those that were cleared too: what elements 40 to 42
    /// tell.
    #[inline]
    pub fn finished(&self) -> [u64; 3] {
        self.finished
    }

    /// Every message, with its number of flow records.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u32)> {
        let starts = core::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts.zip(&self.ends).map(|(start, (end, records))| (self.bytes.get(start..*end).unwrap_or(&[]), *records))
    }

    /// All bytes of all messages.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many messages.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Flow records in all messages.
    pub fn records(&self) -> u64 {
        self.ends.iter().map(|(_, records)| u64::from(*records)).sum()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets all; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.options = 0;
    }
}
