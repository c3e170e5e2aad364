//! Reads NetFlow v5, v9 and IPFIX, for the tests of the encoders. Made from RFC 3954, RFC 7011 and Cisco's layout of v5
//! alone, and of nothing in this workspace, so that an error is not made twice. Whatever is not as it should be panics.

#![allow(clippy::panic, reason = "a test fails by it")]

use std::collections::BTreeMap;

/// A collector of one exporter: what it was told, and what comes next.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    templates: BTreeMap<u16, Template>,
    sequence: Option<u32>,
}

#[derive(Debug, Default)]
struct Template {
    scopes: usize,
    /// Enterprise number, id, length.
    fields: Vec<(u32, u16, u16)>,
}

/// A record: the template's id, and octets by enterprise number and id. Scopes of v9 are numbered from 1,000,000.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub template: u16,
    pub fields: BTreeMap<(u32, u16), Vec<u8>>,
}

impl Record {
    /// A field as a number.
    pub fn number(&self, pen: u32, id: u16) -> u64 {
        self.fields[&(pen, id)].iter().fold(0, |sum, &octet| sum << 8 | u64::from(octet))
    }
}

/// A message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub uptime: u32,
    pub seconds: u32,
    pub sequence: u32,
    pub domain: u32,
    pub templates: usize,
    pub options: Vec<Record>,
    pub records: Vec<Record>,
}

fn n16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn n32(bytes: &[u8], at: usize) -> u32 {
    u32::from(n16(bytes, at)) << 16 | u32::from(n16(bytes, at + 2))
}

impl Reader {
    /// Reads a message, which has to follow the one before.
    pub fn read(&mut self, bytes: &[u8]) -> Message {
        let version = n16(bytes, 0);
        let (message, moves) = match version {
            5 => self.v5(bytes),
            9 => {
                let mut message = Message {
                    uptime: n32(bytes, 4),
                    seconds: n32(bytes, 8),
                    sequence: n32(bytes, 12),
                    domain: n32(bytes, 16),
                    ..Message::default()
                };
                self.sets(9, &bytes[20..], &mut message);
                let held = message.templates + message.options.len() + message.records.len();
                assert_eq!(usize::from(n16(bytes, 2)), held, "count");
                (message, 1)
            }
            10 => {
                assert_eq!(usize::from(n16(bytes, 2)), bytes.len(), "length");
                let mut message = Message {
                    seconds: n32(bytes, 4),
                    sequence: n32(bytes, 8),
                    domain: n32(bytes, 12),
                    ..Message::default()
                };
                self.sets(10, &bytes[16..], &mut message);
                let moves = message.options.len() + message.records.len();
                (message, moves as u32)
            }
            other => panic!("version {other}"),
        };
        assert_eq!(message.sequence, self.sequence.unwrap_or(message.sequence), "sequence");
        self.sequence = Some(message.sequence.wrapping_add(moves));
        message
    }

    fn v5(&mut self, bytes: &[u8]) -> (Message, u32) {
        const LAYOUT: [(u16, usize); 20] = [
            (8, 4),
            (12, 4),
            (15, 4),
            (10, 2),
            (14, 2),
            (2, 4),
            (1, 4),
            (22, 4),
            (21, 4),
            (7, 2),
            (11, 2),
            (0, 1),
            (6, 1),
            (4, 1),
            (5, 1),
            (16, 2),
            (17, 2),
            (9, 1),
            (13, 1),
            (0, 2),
        ];
        let count = usize::from(n16(bytes, 2));
        assert!((1..=30).contains(&count) && bytes.len() == 24 + 48 * count, "{count} in {}", bytes.len());
        let mut message = Message {
            uptime: n32(bytes, 4),
            seconds: n32(bytes, 8),
            sequence: n32(bytes, 16),
            domain: n16(bytes, 20).into(),
            ..Message::default()
        };
        assert!(n32(bytes, 12) < 1_000_000_000);
        for record in bytes[24..].chunks(48) {
            let mut at = 0;
            let fields = LAYOUT.map(|(id, length)| {
                at += length;
                ((0, id), record[at - length..at].to_vec())
            });
            assert!((record[36], n16(record, 46)) == (0, 0), "pad");
            message.records.push(Record { template: 5, fields: fields.into() });
        }
        (message, count as u32)
    }

    fn sets(&mut self, version: u16, mut rest: &[u8], message: &mut Message) {
        while !rest.is_empty() {
            let (id, length) = (n16(rest, 0), usize::from(n16(rest, 2)));
            assert!(length > 4 && (version == 10 || length.is_multiple_of(4)), "set of {length}");
            let (set, after) = rest.split_at(length);
            rest = after;
            match (version, id) {
                (9, 0) | (10, 2) => self.template(version, false, &set[4..], message),
                (9, 1) | (10, 3) => self.template(version, true, &set[4..], message),
                (_, 256..) => self.data(id, &set[4..], message),
                _ => panic!("set {id}"),
            }
        }
    }

    fn template(&mut self, version: u16, options: bool, set: &[u8], message: &mut Message) {
        let mut at = 0;
        while set.len() - at > 3 {
            let id = n16(set, at);
            assert!(id > 255, "template {id}");
            let (count, scopes) = match (version, options) {
                (_, false) => (usize::from(n16(set, at + 2)), 0),
                (9, true) => {
                    let (scopes, others) = (usize::from(n16(set, at + 2)), usize::from(n16(set, at + 4)));
                    assert!(scopes % 4 == 0 && others % 4 == 0);
                    ((scopes + others) / 4, scopes / 4)
                }
                _ => (usize::from(n16(set, at + 2)), usize::from(n16(set, at + 4))),
            };
            assert!(count > 0 && (!options || scopes > 0));
            at += if options { 6 } else { 4 };
            let mut template = Template { scopes, fields: Vec::new() };
            for i in 0..count {
                let (field, length) = (n16(set, at), n16(set, at + 2));
                at += 4;
                let pen = match version {
                    9 if i < scopes => 1_000_000,
                    10 if field & 0x8000 != 0 => {
                        at += 4;
                        assert_ne!(n32(set, at - 4), 0, "enterprise number");
                        n32(set, at - 4)
                    }
                    _ => 0,
                };
                let field = if version == 10 { field & 0x7fff } else { field };
                assert!(field > 0 && length > 0 && (version == 10 || length < 65535), "{pen}.{field} of {length}");
                template.fields.push((pen, field, length));
            }
            self.templates.insert(id, template);
            message.templates += 1;
        }
        assert!(set[at..].iter().all(|&octet| octet == 0), "padding");
    }

    fn data(&self, id: u16, set: &[u8], message: &mut Message) {
        let template = self.templates.get(&id).unwrap_or_else(|| panic!("template {id} is unknown"));
        let shortest: usize =
            template.fields.iter().map(|&(.., length)| if length == 65535 { 1 } else { usize::from(length) }).sum();
        let mut at = 0;
        while set.len() - at >= shortest {
            let mut fields = BTreeMap::new();
            for &(pen, field, length) in &template.fields {
                let length = match (length, set[at]) {
                    (65535, 255) => {
                        at += 3;
                        usize::from(n16(set, at - 2))
                    }
                    (65535, short) => {
                        at += 1;
                        usize::from(short)
                    }
                    (fixed, _) => usize::from(fixed),
                };
                let again = fields.insert((pen, field), set[at..at + length].to_vec());
                assert!(again.is_none(), "{pen}.{field} twice");
                at += length;
            }
            let to = if template.scopes > 0 { &mut message.options } else { &mut message.records };
            to.push(Record { template: id, fields });
        }
        let padding = &set[at..];
        assert!(padding.len() < 4 && padding.iter().all(|&octet| octet == 0), "padding {padding:?}");
    }
}
