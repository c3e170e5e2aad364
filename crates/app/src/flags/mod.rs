//! What can be asked for on the command line or in a configuration file.
//!
//! An option is one [`Flag`]: its names, its help and the function that reads its value into [`Options`]. Flags live in
//! one file a topic, each ending in a `SPEC`; [`SPECS`] names them all, and the parser, the help text, the manual page,
//! the completions and `docs/options.md` are made from it.

pub mod accepted;
pub mod application;
pub mod cache;
pub mod capture;
pub mod collect;
pub mod export;
pub mod foreign;
pub mod interface;
pub mod options;
pub mod output;
pub mod parse;
pub mod process;
pub mod template;
pub mod value;
pub mod zmq;

#[cfg(test)]
mod tests;

pub use options::Options;
pub use parse::read;

use crate::stop::Stop;

/// Every topic, in the order help and manual show them.
pub const SPECS: &[&Group] = &[
    &capture::SPEC,
    &cache::SPEC,
    &application::SPEC,
    &interface::SPEC,
    &collect::SPEC,
    &export::SPEC,
    &template::SPEC,
    &output::SPEC,
    &zmq::SPEC,
    &process::SPEC,
    &accepted::SPEC,
];

/// Options that belong to one topic.
#[derive(Debug)]
pub struct Group {
    /// Name of its file under `flags/`.
    pub name: &'static str,
    /// Heading in help and manual.
    pub title: &'static str,
    /// The options, in the order they are shown.
    pub flags: &'static [Flag],
}

/// One option.
#[derive(Debug)]
pub struct Flag {
    /// The letter, as nProbe has it.
    pub short: Option<char>,
    /// The name after `--`.
    pub long: &'static str,
    /// Other names it answers to; not shown in help.
    pub aliases: &'static [&'static str],
    /// Whether it takes a value, and what the value is called.
    pub value: Value,
    /// What a second appearance does.
    pub repeat: Repeat,
    /// The default as the user would write it; empty if there is none.
    pub default: &'static str,
    /// One line for `--help`; begins with a capital, ends without a full stop.
    pub help: &'static str,
    /// What the one line leaves out, for the manual; sentences, `code` in back-ticks, paragraphs parted by a blank line.
    pub doc: &'static str,
    /// What a shell can offer for the value.
    pub offer: Offer,
    /// Values that are right, the first the most typical: they are shown in the manual, and tested.
    pub good: &'static [&'static str],
    /// Values that are wrong: tested.
    pub bad: &'static [&'static str],
    /// Reads the value into the options. A refusal says what is wrong, then after `; ` what would be right; the parser
    /// puts the option and the value before it.
    pub apply: fn(&mut Options, &str) -> Result<(), Stop>,
}

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// It is a switch.
    No,
    /// It needs one; the text is its placeholder.
    One(&'static str),
    /// It may have one.
    Maybe(&'static str),
}

/// What a second appearance of an option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The last one counts; the command line is read after the file.
    Last,
    /// Each adds to those before.
    Adds,
    /// Each adds to those before, but the command line's replace the file's.
    Replaces,
}

/// What a shell can offer for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Nothing.
    Nothing,
    /// Names of files.
    Files,
    /// Names of directories.
    Directories,
    /// Interfaces and files.
    Interfaces,
    /// Names of users.
    Users,
    /// One of these words.
    Words(&'static [&'static str]),
}

impl Flag {
    /// A switch, to fill the rest of a `Flag` from.
    pub const SWITCH: Flag = Flag {
        short: None,
        long: "",
        aliases: &[],
        value: Value::No,
        repeat: Repeat::Last,
        default: "",
        help: "",
        doc: "",
        offer: Offer::Nothing,
        good: &[],
        bad: &[],
        apply: |_, _| Ok(()),
    };

    /// The letter with its dash and the long name, as an error names the option: `-t/--lifetime-timeout`.
    pub fn names(&self) -> String {
        match self.short {
            Some(letter) => format!("-{letter}/--{}", self.long),
            None => format!("--{}", self.long),
        }
    }

    /// The placeholder of its value, if it takes one.
    pub fn placeholder(&self) -> Option<&'static str> {
        match self.value {
            Value::No => None,
            Value::One(name) | Value::Maybe(name) => Some(name),
        }
    }
}

/// Every flag of every topic.
pub fn all() -> impl Iterator<Item = &'static Flag> {
    SPECS.iter().flat_map(|group| group.flags)
}

/// The flag with this letter.
pub fn by_letter(letter: char) -> Option<&'static Flag> {
    all().find(|flag| flag.short == Some(letter))
}

/// The flag with this long name.
pub fn by_name(name: &str) -> Option<&'static Flag> {
    all().find(|flag| flag.long == name || flag.aliases.contains(&name))
}
