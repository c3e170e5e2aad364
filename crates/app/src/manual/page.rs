//! The manual page, in the man macros of roff.

use super::{CHAPTERS, DESCRIPTION, PROGRAM, SUMMARY};
use crate::flags::{Flag, Repeat, SPECS, Value};

/// The manual page.
pub fn page() -> String {
    let mut text = format!(".TH FLOWSONDE 1 \"\" \"{PROGRAM} {}\"\n", env!("CARGO_PKG_VERSION"));
    text.push_str(&format!(".SH NAME\n{PROGRAM} \\- {}\n", escaped(SUMMARY)));
    text.push_str(&format!(
        ".SH SYNOPSIS\n.B {PROGRAM}\n[\\fIOPTIONS\\fR] \\fB\\-i\\fR \\fIINPUT\\fR [\\fIFILE.conf\\fR]\n"
    ));
    text.push_str(".SH DESCRIPTION\n");
    paragraphs(&mut text, DESCRIPTION);
    text.push_str(".SH OPTIONS\n");
    for group in SPECS {
        text.push_str(&format!(".SS {}\n", escaped(group.title)));
        for flag in group.flags {
            entry(&mut text, flag);
        }
    }
    for chapter in CHAPTERS {
        text.push_str(&format!(".SH {}\n", escaped(chapter.title).to_uppercase()));
        paragraphs(&mut text, chapter.text);
    }
    text
}

fn entry(text: &mut String, flag: &Flag) {
    text.push_str(".TP\n");
    if let Some(letter) = flag.short {
        text.push_str(&format!("\\fB\\-{letter}\\fR, "));
    }
    text.push_str(&format!("\\fB\\-\\-{}\\fR", escaped(flag.long)));
    match flag.value {
        Value::No => {}
        Value::One(name) => text.push_str(&format!(" \\fI{}\\fR", escaped(name))),
        Value::Maybe(name) => text.push_str(&format!(" [\\fI{}\\fR]", escaped(name))),
    }
    text.push('\n');
    text.push_str(&format!("{}.\n", line(flag.help)));
    for (index, paragraph) in flag.doc.split("\n\n").filter(|paragraph| !paragraph.is_empty()).enumerate() {
        if index > 0 {
            text.push_str(".IP\n");
        }
        text.push_str(&format!("{}\n", line(paragraph)));
    }
    if flag.repeat == Repeat::Adds {
        text.push_str("Given more than once, it adds up.\n");
    }
    if !flag.default.is_empty() {
        text.push_str(&format!("The default is \\fB{}\\fR.\n", escaped(flag.default)));
    }
}

fn paragraphs(text: &mut String, paragraphs: &str) {
    for paragraph in paragraphs.split("\n\n") {
        if paragraph.starts_with("    ") {
            text.push_str(".PP\n.RS 4\n.nf\n");
            for code in paragraph.lines() {
                text.push_str(&format!("{}\n", guarded(escaped(code.trim_start()))));
            }
            text.push_str(".fi\n.RE\n");
        } else {
            text.push_str(&format!(".PP\n{}\n", line(paragraph)));
        }
    }
}

/// A paragraph, with what is in back-ticks in bold.
fn line(text: &str) -> String {
    let mut line = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            line.push_str(&format!("\\fB{}\\fR", escaped(part)));
        } else {
            line.push_str(&escaped(part));
        }
    }
    guarded(line)
}

/// Text whose characters mean nothing to roff.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq")
}

/// A line that is not taken for a request.
fn guarded(line: String) -> String {
    if line.starts_with('.') { format!("\\&{line}") } else { line }
}
