//! One observation domain of ours: what an exporter's domain became, and what the receiver was told of it.
//!
//! ```text
//! options   scope: the domain | exporter's address, its own domain's number (405), sampling interval 1
//!           where counters were multiplied also 305: by how much; with 306, 0 passed over, it says "unsampled" too
//! start     scope: the domain | 160 systemInitTimeMilliseconds        IPFIX, where records tell times of the uptime
//! ```
//!
//! The interval is 1 as the counters are made up already. 405 originalObservationDomainId: RFC 7119, section 4.

use core::net::IpAddr;
use std::collections::HashMap;

use flowsonde_wire::Nanos;
use flowsonde_wire::export::ipfix::Specifier;

use super::passing::Passing;
use super::protocol::Passes;
use crate::decode::records::About;
use crate::encode::session::{Tally, close_set, open_set};

/// When things are told again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resend {
    /// After so many messages of a domain; 0 is never.
    pub messages: u32,
    /// After so many nanoseconds; 0 is never.
    pub nanos: u64,
    /// How often all of it was to be told again.
    pub round: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Domain {
    /// Its number in our messages.
    pub number: u32,
    /// Of its next message.
    pub sequence: u32,
    /// Messages sent.
    pub messages: u32,
    first_id: u16,
    next_id: u32,
    told: HashMap<u32, (u16, When)>,
    options: Option<(u32, When)>,
    start: Option<(Nanos, When)>,
}

/// When something was told.
#[derive(Clone, Copy, Debug)]
struct When {
    at: Nanos,
    message: u32,
    round: u32,
}

/// What goes before a set of records.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Whole sets.
    pub bytes: Vec<u8>,
    /// What they hold.
    pub tally: Tally,
}

/// Templates of our own: options, start.
const OWN: u32 = 2;

impl Domain {
    /// Nothing told yet.
    pub fn new(number: u32, first_id: u16) -> Domain {
        Domain {
            number,
            sequence: 0,
            messages: 0,
            first_id,
            next_id: u32::from(first_id) + OWN,
            told: HashMap::new(),
            options: None,
            start: None,
        }
    }

    /// There is no id left for another layout.
    pub fn is_full(&self, layout: u32) -> bool {
        self.next_id > u32::from(u16::MAX) && !self.told.contains_key(&layout)
    }

    /// Says what is due before records of a layout, and tells the id of its template.
    #[inline]
    pub fn introduce<P: Passes>(
        &mut self,
        layout: u32,
        passing: &Passing,
        source: &Source<'_>,
        resend: &Resend,
        said: &mut Said,
    ) -> u16 {
        let now = When { at: source.now, message: self.messages, round: resend.round };
        let fresh = |when: &When| resend.holds(when, &now);
        if !self.options.as_ref().is_some_and(|(rate, when)| *rate == source.rate && fresh(when)) {
            self.options::<P>(source, said);
            self.options = Some((source.rate, now));
        }
        if let Some(boot) = source.boot.filter(|_| passing.relative && !P::UPTIME) {
            match &self.start {
                Some((before, when)) if fresh(when) => {
                    if boot.millis() != before.millis() {
                        self.start_data(boot, said);
                        self.start = Some((boot, *when));
                    }
                }
                _ => {
                    self.start::<P>(said);
                    self.start_data(boot, said);
                    self.start = Some((boot, now));
                }
            }
        }
        self.template::<P>(layout, passing, source.now, resend, said)
    }

    /// Tells the template of a layout, where that is due, and its id.
    #[inline]
    pub fn template<P: Passes>(
        &mut self,
        layout: u32,
        passing: &Passing,
        now: Nanos,
        resend: &Resend,
        said: &mut Said,
    ) -> u16 {
        let now = When { at: now, message: self.messages, round: resend.round };
        if let Some((id, when)) = self.told.get_mut(&layout) {
            if !resend.holds(when, &now) {
                *when = now;
                template::<P>(*id, passing, said);
            }
            return *id;
        }
        let id = u16::try_from(self.next_id).unwrap_or(u16::MAX);
        self.next_id += 1;
        self.told.insert(layout, (id, now));
        template::<P>(id, passing, said);
        id
    }

    #[cold]
    fn options<P: Passes>(&self, source: &Source<'_>, said: &mut Said) {
        let id = self.first_id;
        let address = source.about.exporter.to_canonical();
        let fields = [
            (P::SCOPE, 4),
            if address.is_ipv4() { (130, 4) } else { (131, 16) },
            (405, 4),
            (34, 4),
            (305, 4),
            (306, 4),
        ];
        let fields = if source.rate > 1 { fields.as_slice() } else { fields.get(..4).unwrap_or(&fields) };
        options_template::<P>(id, fields, said);
        let start = said.bytes.len();
        open_set(id, &mut said.bytes);
        said.bytes.extend_from_slice(&self.number.to_be_bytes());
        match address {
            IpAddr::V4(address) => said.bytes.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => said.bytes.extend_from_slice(&address.octets()),
        }
        said.bytes.extend_from_slice(&source.about.domain.to_be_bytes());
        said.bytes.extend_from_slice(&1u32.to_be_bytes());
        if source.rate > 1 {
            said.bytes.extend_from_slice(&source.rate.to_be_bytes());
            said.bytes.extend_from_slice(&0u32.to_be_bytes());
        }
        close_set(&mut said.bytes, start, P::PADDED);
        said.tally.options += 1;
    }

    #[cold]
    fn start<P: Passes>(&self, said: &mut Said) {
        options_template::<P>(self.first_id + 1, &[(P::SCOPE, 4), (160, 8)], said);
    }

    fn start_data(&self, boot: Nanos, said: &mut Said) {
        let start = said.bytes.len();
        open_set(self.first_id + 1, &mut said.bytes);
        said.bytes.extend_from_slice(&self.number.to_be_bytes());
        said.bytes.extend_from_slice(&boot.millis().to_be_bytes());
        close_set(&mut said.bytes, start, false);
        said.tally.options += 1;
    }
}

/// Where records come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// Their message.
    pub about: &'a About,
    /// One packet in so many was sampled.
    pub rate: u32,
    /// When the exporter started, if that is known.
    pub boot: Option<Nanos>,
    /// The time.
    pub now: Nanos,
}

impl Resend {
    #[inline]
    fn holds(&self, when: &When, now: &When) -> bool {
        let few = self.messages == 0 || now.message.wrapping_sub(when.message) < self.messages;
        // A clock that was set back makes it due.
        few && when.round == now.round && (self.nanos == 0 || now.at >= when.at && now.at.since(when.at) < self.nanos)
    }
}

#[cold]
fn template<P: Passes>(id: u16, passing: &Passing, said: &mut Said) {
    let start = said.bytes.len();
    if passing.scopes > 0 {
        open_set(P::OPTIONS_SET, &mut said.bytes);
        P::write_options_head(id, passing.scopes.into(), passing.count.into(), &mut said.bytes);
    } else {
        open_set(P::TEMPLATE_SET, &mut said.bytes);
        for number in [id, passing.count] {
            said.bytes.extend_from_slice(&number.to_be_bytes());
        }
    }
    said.bytes.extend_from_slice(&passing.template);
    close_set(&mut said.bytes, start, P::PADDED);
    said.tally.templates += 1;
}

fn options_template<P: Passes>(id: u16, fields: &[(u16, u16)], said: &mut Said) {
    let start = said.bytes.len();
    open_set(P::OPTIONS_SET, &mut said.bytes);
    P::write_options_head(id, 1, fields.len(), &mut said.bytes);
    for &(id, length) in fields {
        P::write_specifier(&Specifier { pen: 0, id, length }, &mut said.bytes);
    }
    close_set(&mut said.bytes, start, P::PADDED);
    said.tally.templates += 1;
}
