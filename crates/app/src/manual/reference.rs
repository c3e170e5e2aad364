//! The reference of options in `docs/options.md`.

use super::help::spelled;
use super::{CHAPTERS, DESCRIPTION};
use crate::flags::{Flag, Repeat, SPECS};

/// The reference, as Markdown.
pub fn reference() -> String {
    let mut text = String::from(
        "# Options\n\n<!-- made from crates/app/src/flags; write anew with: BLESS=1 cargo test -p flowsonde-app -->\n\n",
    );
    text.push_str(DESCRIPTION);
    text.push('\n');
    for group in SPECS {
        text.push_str(&format!("\n## {}\n", group.title));
        for flag in group.flags {
            entry(&mut text, flag);
        }
    }
    for chapter in CHAPTERS {
        text.push_str(&format!("\n## {}\n\n{}\n", chapter.title, chapter.text));
    }
    text
}

fn entry(text: &mut String, flag: &Flag) {
    text.push_str(&format!("\n### `{}`\n\n{}.", spelled(flag).trim_start(), flag.help));
    if !flag.doc.is_empty() {
        text.push_str(&format!(" {}", flag.doc));
    }
    if flag.repeat == Repeat::Adds {
        text.push_str(" Given more than once, it adds up.");
    }
    text.push('\n');
    if !flag.default.is_empty() {
        text.push_str(&format!("\nDefault: `{}`\n", flag.default));
    }
    let letter = flag.short.map_or_else(|| format!("--{} ", flag.long), |letter| format!("-{letter} "));
    let examples: Vec<String> = flag.good.iter().map(|value| format!("`{letter}{}`", quoted(value))).collect();
    if !examples.is_empty() {
        text.push_str(&format!("\nFor example: {}\n", examples.join(", ")));
    }
}

/// A value as a shell needs it.
fn quoted(value: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "-_./:,@%=+".contains(char);
    match value {
        _ if value.chars().all(plain) => value.to_owned(),
        _ if value.contains('\'') => format!("\"{value}\""),
        _ => format!("'{value}'"),
    }
}
