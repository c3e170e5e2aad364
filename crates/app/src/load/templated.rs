//! An exporter's NetFlow v9 or IPFIX: templates, options that tell the sampling, data.
//!
//! Templates come first, in as many messages as they need, and again every so many messages; what room they leave is
//! filled with data. The sequence of NetFlow v9 counts messages, that of IPFIX data records, options data included
//! (RFC 7011, section 3.1).

use flowsonde_engine::encode::Messages;
use flowsonde_wire::Nanos;
use flowsonde_wire::export::ipfix::{self, Specifier};
use flowsonde_wire::export::netflow9;

use super::flow::Flows;
use super::layout::{Dialect, Layout, Moment};
use super::stream::{BOOTED_BEFORE, Plan};

/// The id of the first template; the others follow.
const FIRST_ID: u16 = 256;
/// The id of the options template.
const OPTIONS_ID: u16 = 999;

/// Messages of one observation domain (IPFIX) or source id (v9).
#[derive(Debug)]
pub struct Stream {
    dialect: Dialect,
    flows: Flows,
    domain: u32,
    sampling: u32,
    flows_per_packet: Option<u16>,
    template_every: u32,
    templates: Vec<Template>,
    /// The next template to be sent; behind the last, the options; behind them, nothing.
    due: usize,
    /// The template whose turn it is.
    turn: usize,
    boot: Option<Nanos>,
    sequence: u32,
    messages: u32,
}

#[derive(Debug)]
struct Template {
    id: u16,
    layout: &'static Layout,
    longest: usize,
}

impl Stream {
    /// The stream of exporter `number`.
    pub fn new(plan: &Plan, dialect: Dialect, number: u32) -> Stream {
        let layouts: Vec<_> = plan.layouts.iter().copied().filter(|layout| layout.fits(dialect)).collect();
        let copies = (0..plan.templates.max(1)).flat_map(|_| &layouts);
        let templates = copies.zip(FIRST_ID..OPTIONS_ID).map(|(layout, id)| {
            let longest = layout.longest(dialect);
            Template { id, layout, longest }
        });
        Stream {
            dialect,
            flows: plan.flows_of(number),
            domain: plan.domain_of(number),
            sampling: plan.sampling,
            flows_per_packet: plan.flows_per_packet,
            template_every: plan.template_every,
            templates: templates.collect(),
            due: 0,
            turn: 0,
            boot: None,
            sequence: 0,
            messages: 0,
        }
    }

    /// Appends a message of at most `most` flows; tells how many it holds, which is none while templates fill it.
    pub fn message(&mut self, most: u32, now: Nanos, out: &mut Messages) -> u32 {
        let boot = *self.boot.get_or_insert(Nanos(now.0.saturating_sub(BOOTED_BEFORE)));
        let moment = Moment { now, boot };
        if self.template_every > 0 && self.messages > 0 && self.messages.is_multiple_of(self.template_every) {
            self.due = 0;
        }
        let start = out.buffer().len();
        let header = match self.dialect {
            Dialect::V9 => netflow9::HEADER,
            Dialect::Ipfix => ipfix::HEADER,
        };
        out.buffer().resize(start + header, 0);
        let mut held = Held::default();
        self.announce(start + Plan::FILL, out.buffer(), &mut held);
        if self.due > self.templates.len() {
            self.data(most, start, &moment, out.buffer(), &mut held);
        }
        let length = out.buffer().len() - start;
        let head = self.header(&held, length, &moment);
        if let (Some(place), Some(head)) = (out.buffer().get_mut(start..start + header), head.get(..header)) {
            place.copy_from_slice(head);
        }
        self.messages = self.messages.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(match self.dialect {
            Dialect::V9 => 1,
            Dialect::Ipfix => held.options + held.flows,
        });
        out.finish(held.flows);
        held.flows
    }

    fn header(&self, held: &Held, length: usize, moment: &Moment) -> [u8; netflow9::HEADER] {
        let seconds = moment.now.seconds() as u32;
        match self.dialect {
            Dialect::V9 => netflow9::Header {
                count: (held.templates + held.options + held.flows) as u16,
                uptime_ms: moment.uptime(moment.now),
                seconds,
                sequence: self.sequence,
                source_id: self.domain,
            }
            .to_bytes(),
            Dialect::Ipfix => {
                let header =
                    ipfix::Header { length: length as u16, seconds, sequence: self.sequence, domain: self.domain };
                let mut bytes = [0; netflow9::HEADER];
                bytes[..ipfix::HEADER].copy_from_slice(&header.to_bytes());
                bytes
            }
        }
    }

    /// Appends the templates that are due, as far as there is room up to `end`; the last with the sampling rate.
    fn announce(&mut self, end: usize, out: &mut Vec<u8>, held: &mut Held) {
        let (templates, options) = match self.dialect {
            Dialect::V9 => (netflow9::TEMPLATE_SET, netflow9::OPTIONS_SET),
            Dialect::Ipfix => (ipfix::TEMPLATE_SET, ipfix::OPTIONS_SET),
        };
        if self.due < self.templates.len() {
            let set = Set::begin(templates, out);
            while let Some(template) = self.templates.get(self.due) {
                let before = out.len();
                out.extend_from_slice(&template.id.to_be_bytes());
                out.extend_from_slice(&template.layout.fields().to_be_bytes());
                template.layout.specify(self.dialect, out);
                // One is always sent: no layout is longer than a message.
                if out.len() > end && held.templates > 0 {
                    out.truncate(before);
                    break;
                }
                held.templates += 1;
                self.due += 1;
            }
            set.end(out);
        }
        if self.due != self.templates.len() {
            return;
        }
        if self.sampling > 1 {
            let mut sampling = Vec::new();
            self.sampling_options(options, &mut sampling);
            if out.len() + sampling.len() > end {
                return;
            }
            out.append(&mut sampling);
            held.templates += 1;
            held.options += 1;
        }
        self.due += 1;
    }

    /// The options template of the sampling rate and its one record.
    ///
    /// ```text
    /// v9     scope system (4 bytes) | SAMPLING_INTERVAL(34, 4) SAMPLING_ALGORITHM(35, 1)
    /// IPFIX  scope observationDomainId(149, 4) | selectorId(302, 4) selectorAlgorithm(304, 2)
    ///        samplingPacketInterval(305, 4) = 1 samplingPacketSpace(306, 4) = rate - 1            RFC 5477
    /// ```
    fn sampling_options(&self, options: u16, out: &mut Vec<u8>) {
        let set = Set::begin(options, out);
        let words =
            |out: &mut Vec<u8>, words: &[u16]| words.iter().for_each(|w| out.extend_from_slice(&w.to_be_bytes()));
        match self.dialect {
            Dialect::V9 => words(out, &[OPTIONS_ID, 4, 8, netflow9::SCOPE_SYSTEM, 4, 34, 4, 35, 1]),
            Dialect::Ipfix => {
                words(out, &[OPTIONS_ID, 5, 1]);
                for (id, length) in [(149, 4), (302, 4), (304, 2), (305, 4), (306, 4)] {
                    Specifier { pen: 0, id, length }.write(out);
                }
            }
        }
        set.end(out);
        let set = Set::begin(OPTIONS_ID, out);
        out.extend_from_slice(&self.domain.to_be_bytes());
        match self.dialect {
            Dialect::V9 => {
                out.extend_from_slice(&self.sampling.to_be_bytes());
                out.push(1);
            }
            Dialect::Ipfix => {
                words(out, &[0, 1, 1]);
                out.extend_from_slice(&1_u32.to_be_bytes());
                out.extend_from_slice(&(self.sampling - 1).to_be_bytes());
            }
        }
        set.end(out);
    }

    /// Appends a data set, if there is room for a record.
    fn data(&mut self, most: u32, start: usize, moment: &Moment, out: &mut Vec<u8>, held: &mut Held) {
        let Some(template) = self.templates.get(self.turn) else { return };
        let most = most.min(self.flows_per_packet.map_or(u32::MAX, u32::from));
        let limit = start + if self.flows_per_packet.is_some() { Plan::MOST_BYTES } else { Plan::FILL };
        // Three bytes may be padding.
        if most == 0 || out.len() + 4 + template.longest + 3 > limit {
            return;
        }
        let set = Set::begin(template.id, out);
        while held.flows < most && out.len() + template.longest + 3 <= limit {
            let Some(flow) = self.flows.next() else { break };
            template.layout.record(self.dialect, &flow, moment, out);
            held.flows += 1;
        }
        set.end(out);
        self.turn = if self.turn + 1 < self.templates.len() { self.turn + 1 } else { 0 };
    }
}

/// What a message holds.
#[derive(Debug, Default)]
struct Held {
    templates: u32,
    options: u32,
    flows: u32,
}

/// A set being written: where it began.
struct Set(usize);

impl Set {
    fn begin(id: u16, out: &mut Vec<u8>) -> Set {
        let start = out.len();
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        Set(start)
    }

    /// Pads it to four bytes and writes its length.
    fn end(self, out: &mut Vec<u8>) {
        let length = (out.len() - self.0).next_multiple_of(4);
        out.resize(self.0 + length, 0);
        if let Some(place) = out.get_mut(self.0 + 2..self.0 + 4) {
            place.copy_from_slice(&(length as u16).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::{LAYOUTS, named};
    use super::*;
    use flowsonde_wire::Cursor;
    use std::collections::HashSet;

    const NOW: Nanos = Nanos::new(1_700_000_000, 0);

    fn run(plan: &Plan, dialect: Dialect, messages: usize, most: u32) -> Messages {
        let mut stream = Stream::new(plan, dialect, 0);
        let mut out = Messages::default();
        for _ in 0..messages {
            stream.message(most, NOW, &mut out);
        }
        out
    }

    /// Sets of a message: id and body.
    fn sets(message: &[u8], header: usize) -> Vec<(u16, &[u8])> {
        let mut c = Cursor::new(message);
        c.skip(header, "header").unwrap();
        let mut sets = Vec::new();
        while !c.is_empty() {
            let (id, length) = (c.u16("id").unwrap(), c.u16("length").unwrap());
            assert!(length.is_multiple_of(4) && length > 4, "set {id} of {length} bytes");
            sets.push((id, c.take(usize::from(length) - 4, "set").unwrap()));
        }
        sets
    }

    #[test]
    fn v9_counts_messages_and_records() {
        let plan = Plan { template_every: 3, sampling: 10, ..Plan::default() };
        let out = run(&plan, Dialect::V9, 7, u32::MAX);
        for (number, (message, records)) in out.iter().enumerate() {
            let header = netflow9::Header::read(&mut Cursor::new(message)).unwrap();
            assert_eq!(header.sequence as usize, number);
            let found = sets(message, netflow9::HEADER);
            let ids: Vec<u16> = found.iter().map(|set| set.0).collect();
            if number.is_multiple_of(3) {
                assert_eq!(ids, [0, 1, OPTIONS_ID, FIRST_ID]);
                assert_eq!(u32::from(header.count), records + 3);
            } else {
                assert_eq!((ids, records, header.count, message.len()), (vec![FIRST_ID], 24, 24, 1368));
            }
            assert_eq!(found.last().unwrap().1.len() / 56, records as usize);
            assert!(message.len() <= Plan::FILL);
        }
    }

    #[test]
    fn ipfix_counts_data_records() {
        let plan = Plan { template_every: 2, sampling: 10, ..Plan::default() };
        let out = run(&plan, Dialect::Ipfix, 6, 20);
        let mut expected = 0;
        for (number, (message, records)) in out.iter().enumerate() {
            let header = ipfix::Header::read(&mut Cursor::new(message)).unwrap();
            assert_eq!((header.sequence, usize::from(header.length)), (expected, message.len()));
            let options = u32::from(number.is_multiple_of(2));
            assert_eq!(sets(message, ipfix::HEADER).iter().filter(|set| set.0 == OPTIONS_ID).count(), options as usize);
            expected += records + options;
        }
    }

    #[test]
    fn data_waits_for_all_templates() {
        let layouts: Vec<_> = LAYOUTS.iter().collect();
        let plan = Plan { layouts, templates: 40, template_every: 0, ..Plan::default() };
        for (dialect, header) in [(Dialect::V9, netflow9::HEADER), (Dialect::Ipfix, ipfix::HEADER)] {
            let out = run(&plan, dialect, 200, u32::MAX);
            let (mut known, mut data) = (HashSet::new(), 0);
            for (message, _) in out.iter() {
                assert!(message.len() <= Plan::FILL, "{}", message.len());
                for (id, body) in sets(message, header) {
                    let mut c = Cursor::new(body);
                    while id < 4 && c.remaining() > 3 {
                        let id = c.u16("id").unwrap();
                        for _ in 0..c.u16("fields").unwrap() {
                            match dialect {
                                Dialect::V9 => c.skip(4, "field").unwrap(),
                                Dialect::Ipfix => assert!(Specifier::read(&mut c).unwrap().length > 0),
                            }
                        }
                        known.insert(id);
                    }
                    if id >= 256 {
                        assert!(known.len() == 120 && known.contains(&id));
                        data += 1;
                    }
                }
            }
            assert!(data > 100, "{data}");
        }
    }

    #[test]
    fn packets_hold_what_was_asked_for() {
        for (flows, each) in [(1, 1), (100, 100), (5000, 1160)] {
            let plan = Plan { flows_per_packet: Some(flows), ..Plan::default() };
            let out = run(&plan, Dialect::V9, 3, u32::MAX);
            let (message, records) = out.iter().nth(1).unwrap();
            assert!(records == each && message.len() <= Plan::MOST_BYTES, "{records} {}", message.len());
        }
        let plan = Plan { layouts: vec![named("variable").unwrap()], ..Plan::default() };
        assert!(run(&plan, Dialect::Ipfix, 100, 7).iter().skip(1).all(|(_, records)| (3..=7).contains(&records)));
    }
}
