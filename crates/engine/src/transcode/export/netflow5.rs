//! Collected records as NetFlow v5: the fixed record is a template like another.

use core::cell::RefCell;

use flowsonde_elements::{Element, Kind, table};
use flowsonde_wire::Nanos;

use super::super::Lists;
use super::super::output::{Lost, Transcode};
use super::super::plan::wanted;
use super::super::{Context, Home, Program, Programs, Take};
use super::VersionOf;
use super::clock::Clock;
use super::wire::{Key, Wire};
use crate::decode::layout::{Layout, Spans};
use crate::decode::records::{Set, Taken};
use crate::encode::netflow5::Filling;
use crate::encode::{Error, Messages, Options};

/// Writes collected records as NetFlow v5. IPv6 flows cannot be told.
#[derive(Debug)]
pub struct Export5 {
    filling: Filling,
    programs: Programs<Key>,
    home: Home,
    clock: Clock,
    spans: Spans,
    lists: RefCell<Lists>,
    lost: Lost,
}

impl Export5 {
    /// What is wrong with the settings, if anything is.
    pub fn new(options: &Options, home: Home) -> Result<Export5, Error> {
        Ok(Export5 {
            filling: Filling::new(options)?,
            programs: Programs::default(),
            home,
            clock: Clock::new(true),
            spans: Spans::default(),
            lists: RefCell::default(),
            lost: Lost::default(),
        })
    }
}

/// A part of the record.
enum Part {
    Of(&'static Element, Kind),
    System(&'static Element),
    Pad(u16),
}

/// The record, in the order of Cisco's layout (`flowsonde_wire::export::netflow5`).
const RECORD: [Part; 20] = [
    Part::Of(&table::IPV4_SRC_ADDR, Kind::Ipv4),
    Part::Of(&table::IPV4_DST_ADDR, Kind::Ipv4),
    Part::Of(&table::IPV4_NEXT_HOP, Kind::Ipv4),
    Part::Of(&table::INPUT_SNMP, Kind::U16),
    Part::Of(&table::OUTPUT_SNMP, Kind::U16),
    Part::Of(&table::IN_PKTS, Kind::U32),
    Part::Of(&table::IN_BYTES, Kind::U32),
    Part::Of(&table::FIRST_SWITCHED, Kind::UptimeMillis),
    Part::Of(&table::LAST_SWITCHED, Kind::UptimeMillis),
    Part::Of(&table::L4_SRC_PORT, Kind::U16),
    Part::Of(&table::L4_DST_PORT, Kind::U16),
    Part::Pad(1),
    Part::Of(&table::TCP_FLAGS, Kind::U8),
    Part::Of(&table::PROTOCOL, Kind::U8),
    Part::Of(&table::SRC_TOS, Kind::U8),
    Part::System(&table::SRC_AS),
    Part::System(&table::DST_AS),
    Part::Of(&table::IPV4_SRC_MASK, Kind::U8),
    Part::Of(&table::IPV4_DST_MASK, Kind::U8),
    Part::Pad(2),
];

fn compile(layout: &Layout) -> Program<Key> {
    let op = |part: &Part| match *part {
        Part::Of(element, kind) => (wanted(layout, element).take, Key::new(element.kind, kind, kind.length())),
        Part::System(element) => (wanted(layout, element).take, Key::system()),
        Part::Pad(length) => (Take::Constant(0), Key::new(Kind::U8, Kind::U8, length)),
    };
    Program::of(RECORD.iter().map(op))
}

impl Transcode for Export5 {
    fn flows(&mut self, set: &Set<'_>, now: Nanos, out: &mut Messages) -> Taken {
        if self.clock.leaps(set.about, now) {
            self.filling.flush(self.clock.env(), out);
        }
        self.clock.arrived(set.about, now);
        let env = self.clock.env();
        let version = VersionOf::new(set.layout);
        let program = self.programs.of(set.layout, compile);
        let mut taken = Taken::default();
        let mut rest = set.bytes;
        while let Some((record, after)) = set.layout.split(rest, &mut self.spans) {
            rest = after;
            taken.records += 1;
            if version.is_6(&record, &self.spans) {
                self.lost.v5_ipv6 += 1;
                continue;
            }
            let sampling = set.samplers.told_of(set.layout, &record, &self.spans);
            let context = Context::new(set, &self.home, sampling, &self.lists);
            let mut wire = Wire { out: self.filling.begin(env.now), boot: env.boot, limit: 0 };
            program.write(&record, &self.spans, &context, &mut wire);
            self.filling.end(env, out);
        }
        taken.rest = rest.len();
        taken
    }

    fn tick(&mut self, now: Nanos, out: &mut Messages) {
        self.clock.tick(now);
        self.filling.tick(self.clock.env(), out);
    }

    fn flush(&mut self, out: &mut Messages) {
        self.filling.flush(self.clock.env(), out);
    }

    fn pending(&self) -> u64 {
        self.filling.pending()
    }

    fn lost(&self) -> Lost {
        self.lost
    }
}
