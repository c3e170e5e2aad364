//! What values of options become: text is read once into one of these, and not looked at again.

pub mod aggregation;
pub mod collector;
pub mod command;
pub mod filter;
pub mod interface_rule;
pub mod listen;
pub mod network;
pub mod number;
pub mod reforge;
pub mod sampling;

pub use aggregation::Aggregation;
pub use collector::{Collector, Host, Sender, Transport};
pub use command::Command;
pub use interface_rule::{InterfaceIndex, InterfaceRule, Whose};
pub use network::{Net, Networks};
pub use number::{Bytes, Millis, Seconds};
pub use sampling::{PacketSampling, Sampling};

use std::fs;
use std::path::PathBuf;

use crate::stop::Stop;

/// Where a stream of text goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// `-`: the standard output.
    Stdout,
    /// A file, replaced if it is there.
    File(PathBuf),
}

impl Sink {
    /// `-` or the name of a file.
    pub fn parse(text: &str) -> Self {
        if text == "-" { Sink::Stdout } else { Sink::File(PathBuf::from(text)) }
    }

    /// The file.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Sink::Stdout => None,
            Sink::File(path) => Some(path),
        }
    }
}

/// The value of an option that is one of a few words: its text and what it means.
pub fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Stop> {
    if let Some(&(_, meaning)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(meaning);
    }
    let known: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
    Err(Stop::Usage(format!("not one of its values; give {}", or_list(&known))))
}

/// `a`, `a or b`, `a, b or c`.
fn or_list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The lines of a text file an option names, without blank ones and `#` comments, with their numbers.
pub fn lines(path: &str) -> Result<Vec<(usize, String)>, Stop> {
    let text = fs::read_to_string(path)
        .map_err(|error| Stop::Failed(format!("cannot read {path}: {error}; give a text file that can be read")))?;
    let lines = text.lines().map(str::trim).enumerate();
    Ok(lines.filter(|(_, l)| !l.is_empty() && !l.starts_with('#')).map(|(n, l)| (n + 1, l.to_owned())).collect())
}
