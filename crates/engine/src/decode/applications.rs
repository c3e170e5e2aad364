//! What exporters call the applications they find, by their own tables.
//!
//! Exporters that look into packets (Cisco's NBAR2, FortiGate's application control) put a number into records,
//! applicationId (95), and tell in options data what each number is called, applicationName (96): RFC 6759, sections 4
//! and 5.
//!
//! ```text
//! applicationId   engine (1 byte) | selector (1 to 8 bytes, big-endian)
//!                 3                 53                 a port: "dns"
//!                 13                479                of Cisco's own list
//!                 20                12356, 40568       number and selector of an enterprise
//! ```
//!
//! A [`Table`] is of one domain of one exporter. It keeps no names but their places in a [`Vocabulary`], which all tables
//! share: ten thousand routers of one make call the same thing the same. Names are never forgotten there, as flows under
//! way refer to them; where there is no room for another one it is refused, and counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::layout::{Layout, Record, Spans, number};

/// Most applications of one domain. Protocol packs of NBAR2 have about 1,500.
pub const MAX_APPLICATIONS: usize = 4096;

/// Most names of all tables together.
const MAX_NAMES: usize = 1 << 14;

/// Bytes of a name that are kept. Cisco's have up to 24, FortiGate's are longer.
const LONGEST: usize = 64;

/// What NBAR2 and nDPI call by different names, where both mean one protocol: Cisco's names are those of the "NBAR2 Standard
/// Protocol Pack 1.0", nDPI's those of 4.2.
const ALIKE: [(&str, &str); 9] = [
    ("ftp", "ftp_control"),
    ("ipinip", "ip_in_ip"),
    ("ipv6-icmp", "icmpv6"),
    ("nntp", "usenet"),
    ("secure-http", "tls"),
    ("secure-imap", "imaps"),
    ("secure-pop3", "pops"),
    ("skinny", "ciscoskinny"),
    ("sqlserver", "mssql-tds"),
];

/// An application as an exporter numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    /// Who made the list of numbers (RFC 6759, section 4.1).
    pub engine: u8,
    /// The number there.
    pub selector: u64,
}

impl Id {
    /// Of the value of an applicationId. Leading zeros of the selector mean nothing: records may have it shorter than
    /// options data (RFC 6759, section 4.2).
    #[inline]
    pub fn read(value: &[u8]) -> Option<Id> {
        let (&engine, selector) = value.split_first()?;
        (1..=8).contains(&selector.len()).then(|| Id { engine, selector: number(selector) })
    }
}

/// What an application is called: the place of a name in the vocabulary, and nDPI's number for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Called {
    /// One more than the place; 0 is no name.
    name: u16,
    /// One more than the number; 0 is none.
    number: u16,
}

impl Called {
    /// It has no name.
    pub const NOTHING: Called = Called { name: 0, number: 0 };

    /// nDPI's number of what is called so; 0 is what nDPI calls unknown.
    #[inline]
    pub fn number(self) -> Option<u16> {
        self.number.checked_sub(1)
    }

    /// Nothing is known of it.
    #[inline]
    pub fn is_nothing(self) -> bool {
        self.name == 0
    }

    /// It has a name that says something.
    #[inline]
    pub fn tells(self) -> bool {
        self.name != 0 && self.number != 1
    }
}

/// Every name that exporters told, and which of them nDPI has too.
#[derive(Debug)]
pub struct Vocabulary {
    /// nDPI's numbers by name, in lower case.
    numbers: HashMap<Box<str>, u16>,
    /// In order of arrival.
    names: Box<[OnceLock<Box<str>>]>,
    places: Mutex<HashMap<Box<str>, u16>>,
}

impl Vocabulary {
    /// With nDPI's names, each at its number.
    pub fn new(protocols: &[String]) -> Vocabulary {
        let mut numbers = HashMap::new();
        // Whatever numbers are in use, exporters say so of what they could not tell.
        numbers.insert("unknown".into(), 0);
        for (number, name) in (0..u16::MAX).zip(protocols) {
            // Of two of the same name the first.
            numbers.entry(name.to_ascii_lowercase().into()).or_insert(number);
        }
        for (theirs, ours) in ALIKE {
            if let Some(&number) = numbers.get(ours) {
                numbers.entry(theirs.into()).or_insert(number);
            }
        }
        Vocabulary { numbers, names: (0..MAX_NAMES).map(|_| OnceLock::new()).collect(), places: Mutex::default() }
    }

    /// What is called so; `None` when there is no room for another name.
    fn learn(&self, name: &str) -> Option<Called> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match places.get(name) {
            Some(&place) => place,
            None => {
                let place = u16::try_from(places.len()).ok()?;
                let free = self.names.get(usize::from(place))?;
                // Nobody else writes while `places` is locked.
                let _ = free.set(name.into());
                places.insert(name.into(), place);
                place
            }
        };
        let number = self.numbers.get(name.to_ascii_lowercase().as_str());
        Some(Called { name: place + 1, number: number.map_or(0, |number| number + 1) })
    }

    /// The name, as the exporter wrote it; empty where there is none.
    #[inline]
    pub fn name(&self, called: Called) -> &str {
        let place = called.name.checked_sub(1).map(usize::from);
        place.and_then(|place| self.names.get(place)?.get()).map_or("", |name| name)
    }
}

/// The applications of one domain.
#[derive(Debug, Default)]
pub struct Table {
    by_id: HashMap<Id, Called>,
    /// `None` where nobody asks for applications: nothing is learnt then.
    vocabulary: Option<Arc<Vocabulary>>,
}

impl Table {
    /// An empty one, whose names are kept in `vocabulary`.
    pub fn new(vocabulary: Option<Arc<Vocabulary>>) -> Table {
        Table { by_id: HashMap::new(), vocabulary }
    }

    /// Learns from a record of options data. False when it told a name for which there is no room.
    pub fn learn(&mut self, layout: &Layout, record: &Record<'_>, spans: &Spans) -> bool {
        let Some(vocabulary) = &self.vocabulary else { return true };
        let (Some(id), Some(name)) = (layout.find(95), layout.find(96)) else { return true };
        let Some(id) = Id::read(record.value(id, spans)) else { return true };
        let name = text(record.value(name, spans));
        if name.is_empty() {
            return true;
        }
        if self.by_id.len() >= MAX_APPLICATIONS && !self.by_id.contains_key(&id) {
            return false;
        }
        let Some(called) = vocabulary.learn(&name) else { return false };
        self.by_id.insert(id, called);
        true
    }

    /// What the application of this id is called.
    #[inline]
    pub fn find(&self, id: &[u8]) -> Called {
        if self.by_id.is_empty() {
            return Called::default();
        }
        Id::read(id).and_then(|id| self.by_id.get(&id)).copied().unwrap_or_default()
    }

    /// The name, empty where there is none.
    #[inline]
    pub fn name(&self, called: Called) -> &str {
        self.vocabulary.as_ref().map_or("", |vocabulary| vocabulary.name(called))
    }

    /// Forgets all, and tells how many that were.
    pub fn forget(&mut self) -> u64 {
        core::mem::take(&mut self.by_id).len() as u64
    }

    /// How many applications are known.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Bytes of the table.
    pub fn bytes(&self) -> usize {
        self.by_id.capacity() * (size_of::<(Id, Called)>() + 1) * 8 / 7
    }
}

/// A name as it is kept: without the NULs that fill its field, cut between characters, and of characters that can be
/// printed.
fn text(value: &[u8]) -> String {
    let value = value.iter().position(|&byte| byte == 0).and_then(|end| value.get(..end)).unwrap_or(value);
    let mut name = String::from_utf8_lossy(value).trim().replace(char::is_control, "_");
    name.truncate(name.floor_char_boundary(LONGEST));
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_elements::VARIABLE;
    use flowsonde_wire::export::ipfix::Specifier;

    fn vocabulary(protocols: &[&str]) -> Arc<Vocabulary> {
        Arc::new(Vocabulary::new(&protocols.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()))
    }

    /// Learns from a record of these fields.
    fn learnt(table: &mut Table, fields: &[(u16, u16)], bytes: &[u8]) -> bool {
        let specifiers: Vec<_> = fields.iter().map(|&(id, length)| Specifier { pen: 0, id, length }).collect();
        let layout = Layout::new(1, &specifiers, 1).expect("good");
        let mut spans = Spans::default();
        let (record, rest) = layout.split(bytes, &mut spans).expect("whole");
        assert!(rest.is_empty());
        table.learn(&layout, &record, &spans)
    }

    fn name<'a>(table: &'a Table, id: &[u8]) -> &'a str {
        table.name(table.find(id))
    }

    #[test]
    fn a_table_tells_names_and_what_ndpi_calls_alike() {
        let mut table = Table::new(Some(vocabulary(&["Unknown", "FTP_CONTROL", "DNS", "Skype"])));
        // As NBAR2 sends them: the exporter, id, name.
        let fields = [(1, 4), (95, 4), (96, 8)];
        for record in [
            *b"\xc0\0\x02\x01\x03\0\0\x35dns\0\0\0\0\0",
            *b"\xc0\0\x02\x01\x0d\0\x01\xdfms-teams",
            *b"\xc0\0\x02\x01\x0d\0\0\x0cskype\0\0\0",
            *b"\xc0\0\x02\x01\x0d\0\0\x01unknown\0",
            *b"\xc0\0\x02\x01\x03\0\0\x15ftp\0\0\0\0\0",
            *b"\xc0\0\x02\x01\x03\0\0\x77nntp\0\0\0\0",
        ] {
            assert!(learnt(&mut table, &fields, &record));
        }
        assert_eq!(table.len(), 6);
        let told = |id: &[u8]| {
            let called = table.find(id);
            (table.name(called), called.number(), called.tells())
        };
        assert_eq!(told(&[3, 0, 0, 53]), ("dns", Some(2), true));
        // Leading zeros of the selector are as good as none.
        assert_eq!(told(&[3, 53]), ("dns", Some(2), true));
        assert_eq!(told(&[13, 0, 1, 0xdf]), ("ms-teams", None, true));
        assert_eq!(told(&[13, 0, 0, 12]), ("skype", Some(3), true));
        assert_eq!(told(&[13, 0, 0, 1]), ("unknown", Some(0), false));
        // Not of one name, but of one meaning; and what this nDPI has not.
        assert_eq!(told(&[3, 0, 0, 21]), ("ftp", Some(1), true));
        assert_eq!(told(&[3, 0, 0, 119]), ("nntp", None, true));
        // Of another engine, and what is no id.
        assert_eq!(told(&[1, 0, 0, 53]), ("", None, false));
        assert_eq!([told(&[]), told(&[3]), told(&[3, 0, 0, 0, 0, 0, 0, 0, 0, 53])], [("", None, false); 3]);
    }

    #[test]
    fn ids_of_enterprises_and_names_of_any_length() {
        let mut table = Table::new(Some(vocabulary(&[])));
        // FortiGate's: engine 20, its number 12356, the application.
        let id = [20, 0, 0, 0x30, 0x44, 0, 0, 0x9e, 0x78];
        let record = [&id[..], &[9], b"HTTPS.Any"].concat();
        assert!(learnt(&mut table, &[(95, 9), (96, VARIABLE)], &record));
        assert_eq!(name(&table, &id), "HTTPS.Any");
        assert_eq!(name(&table, &id[..8]), "");
        // A name of two-byte characters is cut between them; control characters are not printed.
        let record = [&[13, 0, 0, 7, 71, b'a'][..], "\u{e4}".repeat(34).as_bytes(), b"\x1b\n"].concat();
        assert!(learnt(&mut table, &[(95, 4), (96, VARIABLE)], &record));
        assert_eq!(name(&table, &[13, 0, 0, 7]), format!("a{}", "\u{e4}".repeat(31)));
        assert!(learnt(&mut table, &[(95, 4), (96, 3)], b"\x0d\0\0\x07a\x1bb"));
        assert_eq!(name(&table, &[13, 0, 0, 7]), "a_b");
        // Neither a record without a name nor one without an id changes anything.
        assert!(learnt(&mut table, &[(95, 4), (96, 3)], b"\x0d\0\0\x07\0bc"));
        assert!(learnt(&mut table, &[(96, 3)], b"abc") && learnt(&mut table, &[(95, 1), (96, 3)], b"\x0dabc"));
        assert_eq!((table.len(), name(&table, &[13, 0, 0, 7])), (2, "a_b"));
    }

    #[test]
    fn tables_and_names_are_bounded() {
        let shared = vocabulary(&["Unknown"]);
        let fields = [(95, 4), (96, 4)];
        let mut refused = 0;
        let mut tables = Vec::new();
        for domain in 0..5u32 {
            let mut table = Table::new(Some(Arc::clone(&shared)));
            for n in 0..MAX_APPLICATIONS as u32 + 10 {
                let text = format!("{:04x}", domain * 0x1100 + n);
                refused += usize::from(!learnt(&mut table, &fields, &[&n.to_be_bytes(), text.as_bytes()].concat()));
            }
            tables.push(table);
        }
        // Four tables are as many names as there is room for; the fifth gets none.
        let lens: Vec<_> = tables.iter().map(Table::len).collect();
        assert_eq!(lens, [MAX_APPLICATIONS, MAX_APPLICATIONS, MAX_APPLICATIONS, MAX_APPLICATIONS, 0]);
        assert_eq!(refused, 4 * 10 + MAX_APPLICATIONS + 10);
        assert_eq!(name(&tables[3], &[0, 0, 0, 1]), "3301");
        // What has a name already takes no room, and known ids may be called otherwise.
        assert!(learnt(&mut tables[4], &fields, b"\0\0\0\x093301"));
        assert!(learnt(&mut tables[0], &fields, b"\0\0\0\x013301"));
        assert_eq!([name(&tables[4], &[0, 9]), name(&tables[0], &[0, 1])], ["3301"; 2]);
        assert!(tables[0].bytes() <= 256 << 10, "{}", tables[0].bytes());
        assert_eq!((tables[0].forget(), tables[0].bytes()), (MAX_APPLICATIONS as u64, 0));
    }

    #[test]
    fn nothing_is_learnt_where_nobody_asks() {
        let mut table = Table::default();
        assert!(learnt(&mut table, &[(95, 4), (96, 3)], b"\x03\0\0\x35dns"));
        assert!(table.is_empty() && name(&table, &[3, 0, 0, 53]).is_empty());
    }
}
