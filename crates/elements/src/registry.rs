//! Finding an element by any of its names and numbers.
//!
//! Numbers lead to the element that owns them today: never to an old label, never to ntopng's own labels, whose
//! numbers overlap nProbe's. Names lead to all of them. Case does not matter.

use core::fmt;
use std::sync::LazyLock;

use crate::element::{CISCO_PEN, Element, Group, Id, NTOP_PEN, V9_CISCO_BASE, V9_NTOP_BASE};
use crate::table::TABLES;

/// Every element.
pub fn all() -> impl Iterator<Item = &'static Element> {
    TABLES.iter().flat_map(|rows| rows.iter().copied())
}

/// Every group with its elements, in the order users read them.
pub fn groups() -> impl Iterator<Item = (Group, &'static [&'static Element])> {
    TABLES.iter().filter_map(|rows| rows.first().map(|row| (row.group, *rows)))
}

/// The element of this name: nProbe's, the registry's, a vendor's or an alias. A leading `%` does not matter.
pub fn by_name(name: &str) -> Option<&'static Element> {
    find(&NAMES, &fold(name))
}

/// The element the IANA registry, else a vendor, knows by this name.
pub fn by_ipfix_name(name: &str) -> Option<&'static Element> {
    find(&IPFIX_NAMES, &fold(name))
}

/// The element a NetFlow v9 template means by this id.
pub fn by_number(id: u32) -> Option<&'static Element> {
    let id = u16::try_from(id).ok()?;
    match (id.checked_sub(V9_NTOP_BASE), id.checked_sub(V9_CISCO_BASE)) {
        (Some(n), _) => by_ipfix(NTOP_PEN, n),
        (None, Some(n)) => by_ipfix(CISCO_PEN, n),
        (None, None) => by_ipfix(0, id),
    }
}

/// The element an IPFIX template means by this enterprise number (0 for IANA's own) and id.
pub fn by_ipfix(pen: u32, id: u16) -> Option<&'static Element> {
    let at = NUMBERS.binary_search_by_key(&(pen, id), |entry| entry.0).ok()?;
    NUMBERS.get(at).map(|entry| entry.1)
}

/// The element a user means: a name of any sort, or a number (`8`, `0.8`, `57677`, `35632.205`).
pub fn parse(text: &str) -> Result<&'static Element, Unknown> {
    let bare = text.trim().trim_start_matches('%');
    let found = match bare.split_once('.') {
        _ if !bare.starts_with(|c: char| c.is_ascii_digit()) => by_name(bare),
        Some((pen, id)) => pen.parse().ok().zip(id.parse().ok()).and_then(|(pen, id)| by_ipfix(pen, short(pen, id))),
        None => bare.parse().ok().and_then(by_number),
    };
    found.ok_or_else(|| Unknown { text: bare.to_owned(), suggestion: suggest(bare) })
}

/// ntopng also understands 35632.57677, the v9 id behind ntop's enterprise number.
fn short(pen: u32, id: u16) -> u16 {
    if pen == NTOP_PEN { id.checked_sub(V9_NTOP_BASE).unwrap_or(id) } else { id }
}

/// The name nearest to a misspelt one: the shortest that has all of it as whole words (`SRC_MAC`, `IN_SRC_MAC`), else
/// within three edits, else the one that begins most like it.
pub fn suggest(text: &str) -> Option<&'static str> {
    let wanted = fold(text);
    let allowed = (wanted.len() / 3).clamp(1, 3);
    let names = || {
        let meant_for_users = all().filter(|element| !matches!(element.id, Id::Clash(_)));
        meant_for_users.flat_map(|element| [Some(element.name), element.ipfix_name]).flatten()
    };
    if wanted.len() >= 3
        && let Some(name) = names()
            .filter(|name| has_words(&fold(name), &wanted))
            .min_by_key(|name| (!fold(name).ends_with(&wanted), name.len()))
    {
        return Some(name);
    }
    let near = names().filter(|name| name.len().abs_diff(wanted.len()) <= allowed);
    let nearest = near
        .map(|name| (edits(&wanted, &fold(name)), core::cmp::Reverse(shared_start(&wanted, name)), name))
        .filter(|(distance, ..)| *distance <= allowed)
        .min_by_key(|(distance, shared, _)| (*distance, *shared));
    if let Some((.., name)) = nearest {
        return Some(name);
    }
    let enough = |name: &str| (wanted.len() / 2).min(name.len()).max(4);
    names()
        .map(|name| (shared_start(&wanted, name), name))
        .filter(|(shared, name)| *shared >= enough(name))
        .max_by_key(|(shared, name)| (*shared, core::cmp::Reverse(name.len())))
        .map(|(_, name)| name)
}

/// No element goes by this name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// What was asked for, without its `%`.
    pub text: String,
    /// The nearest name there is.
    pub suggestion: Option<&'static str>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown element %{}", self.text)?;
        match self.suggestion {
            Some(name) => write!(f, "; did you mean %{name}?"),
            None => f.write_str("; flowsonde -H lists them"),
        }
    }
}

impl core::error::Error for Unknown {}

type Index<K> = LazyLock<Vec<(K, &'static Element)>>;

static NUMBERS: Index<(u32, u16)> = LazyLock::new(|| {
    let owners = all().filter(|element| element.owns_its_number());
    sorted(owners.filter_map(|element| element.ipfix_id().map(|id| (id, element))))
});

static IPFIX_NAMES: Index<String> = LazyLock::new(|| sorted(ipfix_names().chain(aliases())));

/// nProbe's names, then the registry's, then aliases: where two elements share a name the first has it.
static NAMES: Index<String> = LazyLock::new(|| {
    let nprobe = all().filter(|element| Some(element.name) != element.ipfix_name);
    sorted(nprobe.map(|element| (fold(element.name), element)).chain(ipfix_names()).chain(aliases()))
});

/// VMware's flowDirection yields to IANA's, as the vendors' tables come last.
fn ipfix_names() -> impl Iterator<Item = (String, &'static Element)> {
    let owners = all().filter(|element| element.owns_its_number());
    owners.filter_map(|element| element.ipfix_name.map(|name| (fold(name), element)))
}

fn aliases() -> impl Iterator<Item = (String, &'static Element)> {
    all().flat_map(|element| element.aliases.iter().map(move |alias| (fold(alias), element)))
}

/// Sorted by key, keeping the first element of each.
fn sorted<K: Ord>(entries: impl Iterator<Item = (K, &'static Element)>) -> Vec<(K, &'static Element)> {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.dedup_by(|later, earlier| later.0 == earlier.0);
    entries
}

fn find(index: &[(String, &'static Element)], name: &str) -> Option<&'static Element> {
    let at = index.binary_search_by(|entry| entry.0.as_str().cmp(name)).ok()?;
    index.get(at).map(|entry| entry.1)
}

fn fold(name: &str) -> String {
    name.trim().trim_start_matches('%').to_ascii_lowercase()
}

/// Whether `words` are in `name`, between its ends and underscores.
fn has_words(name: &str, words: &str) -> bool {
    name.match_indices(words).any(|(at, _)| {
        let (before, after) = (&name[..at], &name[at + words.len()..]);
        (before.is_empty() || before.ends_with('_')) && (after.is_empty() || after.starts_with('_'))
    })
}

fn shared_start(wanted: &str, name: &str) -> usize {
    wanted.bytes().zip(name.bytes()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
}

/// Levenshtein's distance, one row at a time.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let cost = (diagonal + usize::from(x != y)).min(*cell + 1).min(left + 1);
            diagonal = *cell;
            *cell = cost;
            left = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(a.len())
}
