//! The text of `--help`: one line or a few an option, by topic.

use super::{SUMMARY, USAGE, version};
use crate::flags::{Flag, Repeat, SPECS, Value};

/// Where the descriptions begin.
const INDENT: usize = 36;
/// Longest line.
const WIDTH: usize = 100;

/// The text of `--help`.
pub fn help() -> String {
    let mut text = format!("{} - {SUMMARY}\n\nUsage: {USAGE}\n", version());
    for group in SPECS {
        text.push_str(&format!("\n{}:\n", group.title));
        for flag in group.flags {
            entry(&mut text, flag);
        }
    }
    text.push_str("\nThe whole story: flowsonde --man | man -l -\n");
    text
}

fn entry(text: &mut String, flag: &Flag) {
    let head = format!("  {}", spelled(flag));
    let lines = wrapped(&described(flag), WIDTH - INDENT);
    let mut lines = lines.iter();
    if head.chars().count() < INDENT - 1 {
        text.push_str(&format!("{head:INDENT$}{}\n", lines.next().map_or("", String::as_str)));
    } else {
        text.push_str(&head);
        text.push('\n');
    }
    for line in lines {
        text.push_str(&format!("{:INDENT$}{line}\n", ""));
    }
}

/// `-t, --lifetime-timeout SECONDS`.
pub(super) fn spelled(flag: &Flag) -> String {
    let letter = flag.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    let value = match flag.value {
        Value::No => String::new(),
        Value::One(name) => format!(" {name}"),
        Value::Maybe(name) => format!(" [{name}]"),
    };
    format!("{letter}--{}{value}", flag.long)
}

/// The help line with the default and whether it adds up.
fn described(flag: &Flag) -> String {
    let mut notes = Vec::new();
    if !flag.default.is_empty() {
        notes.push(format!("default {}", flag.default));
    }
    if flag.repeat != Repeat::Last {
        notes.push("repeatable".to_owned());
    }
    if notes.is_empty() { flag.help.to_owned() } else { format!("{} ({})", flag.help, notes.join(", ")) }
}

/// Breaks text at blanks into lines of at most `width` characters, if its words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_fits_its_width_and_has_every_option() {
        let text = help();
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert_eq!(line, line.trim_end());
        }
        for flag in crate::flags::all() {
            assert!(text.contains(&spelled(flag)), "{}", flag.long);
        }
    }

    #[test]
    fn text_is_broken_at_blanks() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("aaaaaaa b", 3), ["aaaaaaa", "b"]);
    }
}
