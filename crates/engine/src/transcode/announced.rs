//! What a stream of messages has told so far: its templates, and the latest of each options data.
//!
//! Transcoders of several desks write to one sink, and tell their templates when these are new. A file that begins later,
//! and a connection that is made again, needs all of them: they are picked out of the messages on the way and told again.

use std::collections::{BTreeMap, HashMap};

use flowsonde_wire::Cursor;
use flowsonde_wire::export::{ipfix, netflow9};

use crate::encode::Messages;

/// See the module.
#[derive(Debug, Default)]
pub struct Announced {
    domains: HashMap<u32, Domain>,
    /// Messages seen.
    seen: u64,
}

/// One observation domain.
#[derive(Debug)]
struct Domain {
    /// Of its latest message.
    header: Box<[u8]>,
    protocol: Protocol,
    /// The sequence number that is to follow.
    next: u32,
    sets: BTreeMap<u16, Told>,
    used: u64,
}

/// A template, and of options what was told by it last.
#[derive(Debug)]
struct Told {
    template: Box<[u8]>,
    options: bool,
    data: Option<Box<[u8]>>,
}

/// What is where in NetFlow v9 and IPFIX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    V9,
    Ipfix,
}

/// Most domains; beyond, the half longest unheard of is forgotten.
const MOST: usize = 1 << 18;
/// Bytes after which another message is begun.
const LONG: usize = 32_768;

impl Protocol {
    const fn header(self) -> usize {
        match self {
            Protocol::V9 => netflow9::HEADER,
            Protocol::Ipfix => ipfix::HEADER,
        }
    }

    const fn options_set(self) -> u16 {
        match self {
            Protocol::V9 => netflow9::OPTIONS_SET,
            Protocol::Ipfix => ipfix::OPTIONS_SET,
        }
    }
}

impl Announced {
    /// Notes what messages tell. Each template and each record of options data is in a set of its own, as our encoders
    /// write them.
    pub fn see(&mut self, messages: &Messages) {
        for (message, records) in messages.iter() {
            self.message(message, records);
        }
    }

    fn message(&mut self, message: &[u8], records: u32) -> Option<()> {
        let mut c = Cursor::new(message);
        let (protocol, sequence, number) = match u16::from_be_bytes(*message.first_chunk()?) {
            netflow9::VERSION => {
                let header = netflow9::Header::read(&mut c).ok()?;
                (Protocol::V9, header.sequence, header.source_id)
            }
            ipfix::VERSION => {
                let header = ipfix::Header::read(&mut c).ok()?;
                (Protocol::Ipfix, header.sequence, header.domain)
            }
            _ => return None,
        };
        if self.domains.len() >= MOST && !self.domains.contains_key(&number) {
            self.make_room();
        }
        self.seen += 1;
        let header = message.get(..protocol.header())?;
        let domain = self.domains.entry(number).or_insert_with(|| Domain {
            header: header.into(),
            protocol,
            next: 0,
            sets: BTreeMap::new(),
            used: 0,
        });
        domain.header.copy_from_slice(header);
        domain.used = self.seen;
        let mut options = 0;
        while c.remaining() > 3 {
            let set = c.rest();
            let (id, length) = (c.u16("set").ok()?, c.u16("set").ok()?);
            let body = c.take(usize::from(length).checked_sub(4)?, "set").ok()?;
            let set = set.get(..length.into())?;
            if id < 256 {
                let &[high, low] = body.first_chunk()?;
                let told = Told { template: set.into(), options: id == protocol.options_set(), data: None };
                domain.sets.insert(u16::from_be_bytes([high, low]), told);
            } else if let Some(told) = domain.sets.get_mut(&id).filter(|told| told.options) {
                told.data = Some(set.into());
                options += 1;
            }
        }
        domain.next = match protocol {
            Protocol::V9 => sequence.wrapping_add(1),
            Protocol::Ipfix => sequence.wrapping_add(records).wrapping_add(options),
        };
        Some(())
    }

    #[cold]
    fn make_room(&mut self) {
        let mut used: Vec<u64> = self.domains.values().map(|domain| domain.used).collect();
        let half = used.len() / 2;
        let (_, &mut limit, _) = used.select_nth_unstable(half);
        self.domains.retain(|_, domain| domain.used >= limit);
    }

    /// Appends messages that tell all of it again. Their sequence numbers lead to those that follow.
    pub fn again(&self, out: &mut Messages) {
        let mut numbers: Vec<_> = self.domains.keys().collect();
        numbers.sort_unstable();
        for domain in numbers.into_iter().filter_map(|number| self.domains.get(number)) {
            domain.again(out);
        }
    }
}

impl Domain {
    fn again(&self, out: &mut Messages) {
        let templates = self.sets.values().map(|told| (&told.template, 0));
        let data = self.sets.values().filter_map(|told| Some((told.data.as_ref()?, 1)));
        let mut messages: Vec<(Vec<u8>, u32, u32)> = Vec::new();
        for (set, options) in templates.chain(data) {
            match messages.last_mut() {
                Some((bytes, sets, told)) if bytes.len() + set.len() <= LONG => {
                    bytes.extend_from_slice(set);
                    *sets += 1;
                    *told += options;
                }
                _ => messages.push(([&self.header, &set[..]].concat(), 1, options)),
            }
        }
        let moves = |options: u32| if self.protocol == Protocol::V9 { 1 } else { options };
        let all: u32 = messages.iter().map(|(.., options)| moves(*options)).sum();
        let mut sequence = self.next.wrapping_sub(all);
        for (mut bytes, sets, options) in messages {
            let (at, count) = match self.protocol {
                Protocol::V9 => (12, sets),
                Protocol::Ipfix => (8, bytes.len() as u32),
            };
            let count = u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes();
            for (at, patch) in [(2, &count[..]), (at, &sequence.to_be_bytes())] {
                if let Some(place) = bytes.get_mut(at..at + patch.len()) {
                    place.copy_from_slice(patch);
                }
            }
            out.buffer().extend_from_slice(&bytes);
            out.finish(0);
            sequence = sequence.wrapping_add(moves(options));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{Ipfix, NetFlow9, Options};
    use crate::transcode::Pass;
    use crate::transcode::by_hand::{read, set, through, v9, v9_record, v9_template};

    fn messages(of: &[Vec<u8>], records: u32) -> Messages {
        let mut messages = Messages::default();
        for message in of {
            messages.buffer().extend_from_slice(message);
            messages.finish(records);
        }
        messages
    }

    /// Templates once, two records a message; a receiver that missed the first message reads the second.
    #[test]
    fn who_comes_late_is_told_all_of_it() {
        let data = set(300, &[v9_record(1), v9_record(2)].concat());
        let sent = [v9(10_000, 5, &[v9_template(), data.clone()]), v9(10_250, 5, &[data])];
        let options = Options { min_flows: 2, stream: true, ..Options::default() };
        let ipfix = through(&mut Pass::<Ipfix>::new(&options, false), &sent);
        let netflow9 = through(&mut Pass::<NetFlow9>::new(&options, false), &sent);
        for out in [ipfix, netflow9] {
            assert_eq!(out.len(), 2);
            let mut announced = Announced::default();
            announced.see(&messages(&out[..1], 2));
            let mut late = Messages::default();
            announced.again(&mut late);
            let mut late: Vec<Vec<u8>> = late.iter().map(|(message, _)| message.to_vec()).collect();
            late.push(out[1].clone());
            let told = read(&late);
            assert_eq!(told.len(), 2);
            assert!(told[0].records.is_empty() && told[0].templates > 0);
            assert_eq!(told[0].options[0].number(0, 405), 5);
            assert_eq!(told[1].records.len(), 2);
        }
    }

    #[test]
    fn what_is_no_message_is_passed_over() {
        let mut announced = Announced::default();
        let whole = v9(1, 5, &[v9_template()]);
        for cut in 0..whole.len() {
            announced.see(&messages(&[whole[..cut].to_vec()], 0));
        }
        let mut again = Messages::default();
        announced.again(&mut again);
        assert!(again.is_empty());
    }
}
