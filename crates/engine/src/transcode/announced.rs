//! What a stream of messages has told so far: its templates, and the latest of each options data. A record of these takes the
//! place of one of the same scope and the same thing: Cisco's tables have one scope for all, and say of what they tell in a
//! field.
//!
//! Transcoders of several desks write to one sink, and tell their templates when these are new. A file that begins later,
//! and a connection that is made again, needs all of them: they are picked out of the messages on the way and told again.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use flowsonde_wire::Cursor;
use flowsonde_wire::export::ipfix::{Specifier, VARIABLE};
use flowsonde_wire::export::{ipfix, netflow9};

use crate::encode::Messages;

/// See the module.
#[derive(Debug, Default)]
pub struct Announced {
    domains: HashMap<u32, Domain>,
    /// Bytes of all records of options data.
    bytes: usize,
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

/// A template, and of options the sets that were told by it, by what they tell of.
#[derive(Debug)]
struct Told {
    template: Box<[u8]>,
    options: Option<Fields>,
    data: BTreeMap<Box<[u8]>, Box<[u8]>>,
}

/// Fields of options data: bytes, and whether the value says of what it tells.
type Fields = Box<[(u16, bool)]>;

/// What is where in NetFlow v9 and IPFIX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    V9,
    Ipfix,
}

/// Most domains; beyond, the half longest unheard of is forgotten.
const MOST: usize = 1 << 18;
/// Bytes of options data beyond which no more are kept.
const MUCH: usize = 64 << 20;
/// Interfaces, sampler and selector, application, VRFs, what ports are: elements that say of what a record tells.
const OF: [u16; 11] = [10, 14, 252, 253, 48, 302, 95, 234, 235, 141, 145];
/// Bytes after which another message is begun.
const LONG: usize = 32_768;

impl Protocol {
    const fn header(self) -> usize {
        match self {
            Protocol::V9 => netflow9::HEADER,
            Protocol::Ipfix => ipfix::HEADER,
        }
    }

    fn is_options(self, set: &[u8]) -> bool {
        let id = match self {
            Protocol::V9 => netflow9::OPTIONS_SET,
            Protocol::Ipfix => ipfix::OPTIONS_SET,
        };
        set.starts_with(&id.to_be_bytes())
    }

    /// The fields of an options template.
    fn options(self, template: &[u8]) -> Option<Fields> {
        let mut c = Cursor::new(template);
        c.u16("template id").ok()?;
        let (first, second) = (c.u16("count").ok()?, c.u16("count").ok()?);
        let (count, scopes) = match self {
            Protocol::V9 => ((first / 4).checked_add(second / 4)?, first / 4),
            Protocol::Ipfix => (first, second),
        };
        let mut fields = Vec::new();
        for at in 0..count {
            let field = match self {
                Protocol::V9 => Specifier { pen: 0, id: c.u16("field").ok()?, length: c.u16("length").ok()? },
                Protocol::Ipfix => Specifier::read(&mut c).ok()?,
            };
            fields.push((field.length, at < scopes || field.pen == 0 && OF.contains(&field.id)));
        }
        Some(fields.into())
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
                let id = u16::from_be_bytes([high, low]);
                // One that is told again has told its data already.
                if domain.sets.get(&id).is_none_or(|told| *told.template != *set) {
                    let options = protocol.is_options(set).then(|| protocol.options(body)).flatten();
                    let told = Told { template: set.into(), options, data: BTreeMap::new() };
                    let before = domain.sets.insert(id, told);
                    self.bytes -= before.as_ref().map_or(0, Told::bytes);
                }
            } else if let Some(told) = domain.sets.get_mut(&id)
                && let Some(fields) = &told.options
            {
                options += 1;
                let Some(of) = told_of(fields, body) else { continue };
                let cost = of.len() + set.len();
                match told.data.entry(of) {
                    Entry::Occupied(mut before) => {
                        self.bytes = self.bytes - before.get().len() + set.len();
                        before.insert(set.into());
                    }
                    Entry::Vacant(place) if self.bytes + cost <= MUCH => {
                        self.bytes += cost;
                        place.insert(set.into());
                    }
                    Entry::Vacant(_) => {}
                }
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
        self.bytes = self.domains.values().flat_map(|domain| domain.sets.values()).map(Told::bytes).sum();
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

impl Told {
    fn bytes(&self) -> usize {
        self.data.iter().map(|(of, set)| of.len() + set.len()).sum()
    }
}

/// The values that say of what a record tells.
fn told_of(fields: &[(u16, bool)], record: &[u8]) -> Option<Box<[u8]>> {
    let mut c = Cursor::new(record);
    let mut of = Vec::new();
    for &(length, tells) in fields {
        let length = match length {
            VARIABLE => match c.u8("length").ok()? {
                255 => c.u16("length").ok()?,
                short => short.into(),
            },
            fixed => fixed,
        };
        let value = c.take(length.into(), "value").ok()?;
        if tells {
            of.extend_from_slice(value);
        }
    }
    Some(of.into())
}

impl Domain {
    fn again(&self, out: &mut Messages) {
        let templates = self.sets.values().map(|told| (&told.template, 0));
        let data = self.sets.values().flat_map(|told| told.data.values()).map(|set| (set, 1));
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
    use crate::encode::{self, Ipfix, NetFlow9};
    use crate::transcode::Pass;
    use crate::transcode::by_hand::{read, sent, set, through, v9, v9_record, v9_template, words};

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
        let options = encode::Options { min_flows: 2, stream: true, ..encode::Options::default() };
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

    /// Two interfaces by scope, two applications by a field; a name that changed is told as it is.
    #[test]
    fn options_of_exporters_are_told_again_one_of_each() {
        let options = |names: &[u8; 8], more: bool| {
            let interfaces = [&[0, 0, 0, 1][..], &names[..4], &[0, 0, 0, 2], &names[4..]].concat();
            let applications = [[192, 0, 2, 1, 3, 0, 0, 53, b'd', b'n'], [192, 0, 2, 1, 3, 0, 0, 80, b'w', b'w']];
            let mut sets = vec![
                set(1, &words(&[400, 4, 4, 2, 4, 82, 4])),
                set(1, &words(&[401, 4, 8, 1, 4, 95, 4, 96, 2])),
                set(400, &interfaces),
            ];
            sets.extend(more.then(|| set(401, &applications.concat())));
            v9(10_000, 5, &sets)
        };
        let came = [
            options(b"eth0eth1", true),
            options(b"eth0wan1", false),
            v9(10_000, 5, &[v9_template(), set(300, &v9_record(1))]),
        ];
        // Messages of their own, and templates in each.
        let wanted = encode::Options { max_message: 120, resend_messages: 1, ..encode::Options::default() };
        for mut pass in [
            Box::new(Pass::<Ipfix>::new(&wanted, false)) as Box<dyn crate::transcode::Transcode>,
            Box::new(Pass::<NetFlow9>::new(&wanted, false)),
        ] {
            let sent = sent(&mut *pass, &came);
            let mut announced = Announced::default();
            announced.see(&sent);
            let (mut again, mut all) = (Messages::default(), Vec::new());
            announced.again(&mut again);
            all.extend(again.iter().map(|(message, _)| message.to_vec()));
            let told = read(&all);
            let mut texts: Vec<_> = told
                .iter()
                .flat_map(|message| &message.options)
                .filter_map(|record| record.fields.get(&(0, 82)).or(record.fields.get(&(0, 96))))
                .map(|text| String::from_utf8_lossy(text).into_owned())
                .collect();
            texts.sort_unstable();
            assert_eq!(texts, ["dn", "eth0", "wan1", "ww"]);
            assert!(announced.bytes > 0);
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
