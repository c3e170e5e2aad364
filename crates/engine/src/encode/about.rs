//! What an exporter tells about itself: options templates and their data (RFC 3954, section 6.1; RFC 7011, section 3.4.2.2).

use flowsonde_wire::Nanos;
use flowsonde_wire::export::ipfix::Specifier;

/// One options record.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// How many of the fields are its scope.
    pub scopes: usize,
    /// Fields in order.
    pub fields: &'static [(Specifier, Fact)],
}

/// What a field tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Source id, or observation domain id.
    Domain,
    /// Always this.
    Is(u64),
    /// One packet in this many was taken.
    Interval,
    /// Packets passed over for each that was taken.
    Space,
    /// Epoch milliseconds at which sysUptime was 0.
    Boot,
    /// Bytes exported so far.
    Bytes,
    /// Messages exported so far.
    Messages,
    /// Flow records exported so far.
    Records,
}

/// The facts now.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub domain: u32,
    pub sampling: u32,
    pub boot: Nanos,
    pub bytes: u64,
    pub messages: u64,
    pub records: u64,
}

impl About {
    /// Appends the data record. Counters wrap at their field's length.
    pub fn write(&self, facts: &Facts, out: &mut Vec<u8>) {
        for (specifier, fact) in self.fields {
            let octets = facts.value(*fact).to_be_bytes();
            let length = usize::from(specifier.length).min(octets.len());
            out.extend_from_slice(octets.get(octets.len() - length..).unwrap_or(&octets));
        }
    }
}

impl Facts {
    fn value(&self, fact: Fact) -> u64 {
        match fact {
            Fact::Domain => self.domain.into(),
            Fact::Is(value) => value,
            Fact::Interval => self.sampling.into(),
            Fact::Space => u64::from(self.sampling).saturating_sub(1),
            Fact::Boot => self.boot.millis(),
            Fact::Bytes => self.bytes,
            Fact::Messages => self.messages,
            Fact::Records => self.records,
        }
    }
}

/// A field of IANA's.
pub(super) const fn field(id: u16, length: u16, fact: Fact) -> (Specifier, Fact) {
    (Specifier { pen: 0, id, length }, fact)
}
