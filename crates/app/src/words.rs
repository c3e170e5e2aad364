//! Options of the small programs: a table each, by which words are read and from which `--help` is printed.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::stop::Stop;

/// One option, which changes an `O`.
#[derive(Debug)]
pub struct Flag<O> {
    /// The letter after `-`, if it has one.
    pub short: Option<char>,
    /// The name after `--`.
    pub long: &'static str,
    /// Its value's placeholder; empty for a switch.
    pub value: &'static str,
    /// The default as the user would write it; empty if there is none.
    pub default: &'static str,
    /// What it does; begins with a capital, ends without a full stop.
    pub help: &'static str,
    /// Values that are right, the first the most typical: tested.
    pub good: &'static [&'static str],
    /// Values that are wrong: tested.
    pub bad: &'static [&'static str],
    /// Does what it asks for.
    pub apply: fn(&mut O, &str) -> Result<(), Stop>,
}

impl<O> Flag<O> {
    /// What is not said of one.
    pub const PLAIN: Flag<O> =
        Flag { short: None, long: "", value: "", default: "", help: "", good: &[], bad: &[], apply: |_, _| Ok(()) };
}

/// Topics with their options, in the order help shows them.
pub type Table<O> = [(&'static str, &'static [Flag<O>])];

/// All options of a table.
pub fn all<O>(table: &'static Table<O>) -> impl Iterator<Item = &'static Flag<O>> {
    table.iter().flat_map(|(_, flags)| *flags)
}

/// Turns a switch on.
pub fn on(switch: &mut bool) -> Result<(), Stop> {
    *switch = true;
    Ok(())
}

/// Takes a path.
pub fn path(place: &mut Option<PathBuf>, text: &str) -> Result<(), Stop> {
    *place = Some(text.into());
    Ok(())
}

/// The words of a command line that were not read yet.
pub struct Words<I>(I);

impl<I: Iterator<Item: Into<OsString>>> Words<I> {
    /// The next one, if there is one.
    pub fn word(&mut self) -> Result<Option<String>, Stop> {
        let word = self.0.next().map(|word| word.into().into_string()).transpose();
        word.map_err(|word| Stop::Usage(format!("{}: not UTF-8; give it in UTF-8", word.to_string_lossy())))
    }
}

/// Reads the words of a command line, without the program's name. What does not begin with `-` is `operand`'s; false if it
/// is nothing it knows.
pub fn read<O, I: IntoIterator<Item: Into<OsString>>>(
    table: &'static Table<O>,
    options: &mut O,
    words: I,
    operand: impl Fn(&mut O, &str, &mut Words<I::IntoIter>) -> Result<bool, Stop>,
) -> Result<(), Stop> {
    let mut words = Words(words.into_iter());
    while let Some(word) = words.word()? {
        if !word.starts_with('-') && operand(options, &word, &mut words)? {
            continue;
        }
        let (flag, joined) = named(table, &word)?;
        let value = match (flag.value, joined) {
            ("", None) => String::new(),
            ("", Some(value)) => {
                return Err(Stop::Usage(format!("--{}={value}: takes no value; give --{0} alone", flag.long)));
            }
            (_, Some(value)) => value,
            (placeholder, None) => words.word()?.ok_or_else(|| {
                let like = flag.good.first().map(|like| format!(", like {like}")).unwrap_or_default();
                Stop::Usage(format!("--{}: needs a value; give {placeholder}{like}", flag.long))
            })?,
        };
        let shown = if flag.value.is_empty() { format!("--{}", flag.long) } else { format!("--{}={value}", flag.long) };
        (flag.apply)(options, &value).map_err(|stop| stop.at(&shown))?;
    }
    Ok(())
}

/// The option a word names, and the value that is joined to it.
fn named<O>(table: &'static Table<O>, word: &str) -> Result<(&'static Flag<O>, Option<String>), Stop> {
    let unknown = || Stop::Usage(format!("{word}: unknown option; see --help"));
    let word = if word == "-h" { "--help" } else { word };
    if let Some(long) = word.strip_prefix("--") {
        let (name, joined) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let flag = all(table).find(|flag| flag.long == name);
        return flag.map(|flag| (flag, joined)).ok_or_else(unknown);
    }
    let mut letters = word.strip_prefix('-').ok_or_else(unknown)?.chars();
    let letter = letters.next().ok_or_else(unknown)?;
    let flag = all(table).find(|flag| flag.short == Some(letter)).ok_or_else(unknown)?;
    let rest = letters.as_str();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Ok((flag, (!rest.is_empty()).then(|| rest.to_owned())))
}

/// The text of `--help`: a head, then entries of two columns.
pub struct Help {
    text: String,
    indent: usize,
}

/// Characters of a line.
pub const WIDTH: usize = 100;

impl Help {
    /// Behind `head` comes what is entered, explained from this column on.
    pub fn new(head: String, indent: usize) -> Help {
        Help { text: head, indent }
    }

    /// One entry: a name, and what is to be said of it.
    pub fn entry(&mut self, name: &str, about: &str) {
        let Help { text, indent } = self;
        let mut line = format!("{name:indent$}");
        if name.len() + 2 > *indent {
            text.push_str(name);
            text.push('\n');
            line = " ".repeat(*indent);
        }
        for word in about.split_whitespace() {
            if line.len() + word.len() > WIDTH {
                text.push_str(line.trim_end());
                text.push('\n');
                line = " ".repeat(*indent);
            }
            line.push_str(word);
            line.push(' ');
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }

    /// A title, with an empty line before.
    pub fn title(&mut self, title: &str) {
        self.entry("", "");
        self.entry(&format!("{title}:"), "");
    }

    /// All options of a table, with room for letters if one has one.
    pub fn table<O>(&mut self, table: &'static Table<O>) {
        let letters = all(table).any(|flag| flag.short.is_some());
        for (title, flags) in table {
            self.title(title);
            for flag in *flags {
                let short = match flag.short {
                    Some(letter) => format!("-{letter}, "),
                    None => " ".repeat(if letters { 4 } else { 0 }),
                };
                let default =
                    if flag.default.is_empty() { String::new() } else { format!(" (default {})", flag.default) };
                self.entry(&format!("  {short}--{} {}", flag.long, flag.value), &format!("{}{default}", flag.help));
            }
        }
    }

    /// The whole.
    pub fn text(self) -> String {
        self.text
    }
}

/// What has to hold of every table.
#[cfg(test)]
pub fn check<O: Default>(table: &'static Table<O>, help: &str) {
    for flag in all(table) {
        let long = flag.long;
        assert!(flag.help.starts_with(|c: char| c.is_ascii_alphabetic()) && !flag.help.ends_with('.'), "--{long}");
        assert_eq!(all(table).filter(|other| other.long == long).count(), 1, "--{long}");
        for good in flag.good {
            (flag.apply)(&mut O::default(), good).unwrap_or_else(|stop| panic!("--{long}={good}: {stop}"));
        }
        for bad in flag.bad {
            let result = (flag.apply)(&mut O::default(), bad);
            assert!(matches!(&result, Err(Stop::Usage(text)) if text.contains("; ")), "--{long}={bad}: {result:?}");
        }
        let names = [format!("--{long} "), format!("--{long}\n")];
        assert!(names.iter().any(|name| help.contains(name)), "--{long}");
    }
    assert!(help.lines().all(|line| line.len() <= WIDTH && line.trim_end() == line), "{help}");
}
