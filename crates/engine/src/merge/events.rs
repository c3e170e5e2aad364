//! Events of firewalls and address translators that carry no traffic: no flow is made of them.
//!
//! A connection is created, denied, or given a port before, or without, any traffic of it being told; as a flow it would be
//! one of no packets. 233 firewallEvent and 230 natEvent (RFC 8158, section 4.3) tell what happened.

use super::load::Load;
use crate::decode::layout::{Layout, Record, Spans};

/// Where a layout tells its events.
#[derive(Debug)]
pub struct Event {
    firewall: Option<Load>,
}

impl Event {
    /// `None` where records are of flows.
    pub fn of(layout: &Layout) -> Option<Event> {
        let load = |id| layout.find(id).filter(|field| field.length == 1).map(|field| Load::at(layout, field.at, 1));
        let firewall = load(233);
        (firewall.is_some() || load(230).is_some()).then_some(Event { firewall })
    }

    /// What happened.
    pub fn read(&self, record: &Record<'_>, spans: &Spans) -> What {
        match self.firewall.map(|firewall| firewall.read(record, spans)) {
            None => What::Translation,
            Some(1) => What::Created,
            Some(2) => What::Deleted,
            Some(3) => What::Denied,
            Some(5) => What::Updated,
            Some(_) => What::Other,
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A connection was made.
    Created,
    /// It ended, and had nothing that was not told before.
    Deleted,
    /// It was refused.
    Denied,
    /// It had nothing new.
    Updated,
    /// An address, port or block of them was given or taken (RFC 8158).
    Translation,
    /// Anything else.
    Other,
}

impl What {
    /// Every one.
    pub const ALL: [What; 6] =
        [What::Created, What::Deleted, What::Denied, What::Updated, What::Translation, What::Other];

    /// As the ledger calls it.
    pub const fn name(self) -> &'static str {
        match self {
            What::Created => "event_created",
            What::Deleted => "event_deleted",
            What::Denied => "event_denied",
            What::Updated => "event_updated",
            What::Translation => "event_nat",
            What::Other => "event_other",
        }
    }
}
