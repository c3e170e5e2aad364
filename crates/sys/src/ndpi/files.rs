//! Files of one's own protocols and categories, looked through before libndpi reads them. It passes over what it does not
//! understand, of a rule without a value reads where nothing is, and never comes to the end of ports up to 65,535 (4.2).
//!
//! ```text
//! tcp:81,udp:5000-5005@MyService      a protocol: kind:value, more of them, and the name
//! host_risk_mask:".example"=0         kind:value alone
//! example.com<tab>101                 a category
//! ```
//!
//! Empty lines and those that begin with `#` are passed over. Kinds are not looked at: each release has more.

use std::fmt;
use std::path::Path;

/// Longer names of hosts there are not (RFC 1035, section 2.3.4), and the library reads 511 bytes a line.
const LONGEST_HOST: usize = 255;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Rules for protocols.
    Protocols,
    /// Categories of hosts and networks.
    Categories,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be read, and why.
    Unreadable(String),
    /// A line, counted from 1, that is not of its form.
    Line(usize, Form),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Fault::Line(line, Form::Protocols) => {
                write!(f, "line {line} is no rule; give lines like tcp:81,udp:5000-5005@MyService, ports below 65535")
            }
            Fault::Line(line, Form::Categories) => {
                write!(f, "line {line} is no category; give a host or network, a tab and a number below 256")
            }
        }
    }
}

/// Looks through a file.
pub(super) fn check(path: &Path, form: Form) -> Result<(), Fault> {
    let bytes = std::fs::read(path).map_err(|error| Fault::Unreadable(error.to_string()))?;
    let sound = match form {
        Form::Protocols => is_rule,
        Form::Categories => is_category,
    };
    let wrong =
        |line: &[u8]| !std::str::from_utf8(line).is_ok_and(|line| is_text(line) && (is_empty(line) || sound(line)));
    match bytes.split(|&byte| byte == b'\n').position(wrong) {
        Some(before) => Err(Fault::Line(before + 1, form)),
        None => Ok(()),
    }
}

fn is_text(line: &str) -> bool {
    line.chars().all(|c| c == '\t' || !c.is_control())
}

fn is_empty(line: &str) -> bool {
    line.starts_with('#') || line.trim().is_empty()
}

fn is_rule(line: &str) -> bool {
    let mut sides = split(line, '@');
    let rules = sides.next().unwrap_or("");
    match sides.next() {
        Some(name) => !name.trim().is_empty() && split(rules, ',').all(is_pair),
        None => is_pair(line),
    }
}

/// Parts of a text, where what is between quotes is not looked at.
fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == at && !quoted
    })
}

fn is_pair(text: &str) -> bool {
    let Some((kind, value)) = text.split_once(':') else { return false };
    let is_kind = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let ports = !matches!(kind, "tcp" | "udp") || is_ports(value);
    !kind.is_empty() && kind.chars().all(is_kind) && !value.trim_matches(['"', ' ']).is_empty() && ports
}

/// A port, or the first and the last of many.
fn is_ports(text: &str) -> bool {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| (1..u16::MAX).contains(port));
    port(first).zip(port(last)).is_some_and(|(first, last)| first <= last)
}

fn is_category(line: &str) -> bool {
    let mut parts = line.split('\t').filter(|part| !part.is_empty());
    let (name, number) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    name.len() <= LONGEST_HOST && number.trim().parse::<u8>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_every_kind_are_sound() {
        for line in [
            "tcp:81,tcp:8181@HTTP",
            "tcp:860,udp:5061-5062@iSCSI",
            "host:\"a.example\",host:\"*.b.example\"@My Site",
            "ip:192.0.2.1/32:443@Net",
            "udp:1-65534@All",
            "ip_risk_mask:192.0.2.0/24=0",
            "host_risk_mask:\".home\"=0",
            "trusted_issuer_dn:\"CN=1, O=a@example, C=US\"",
        ] {
            assert!(is_rule(line), "{line}");
        }
        for line in
            ["tcp", "tcp:81", "x y z", "@X", "tcp:81@", "tcp:@X", "host:@X", "host:\"\"@X", "tcp:1,,udp:2@X", ":1@X"]
        {
            assert_eq!(is_rule(line), line == "tcp:81", "{line}");
        }
        for line in ["tcp:65535@X", "udp:65000-65535@X", "tcp:0@X", "tcp:70000@X", "tcp:9-8@X", "tcp:any@X"] {
            assert!(!is_rule(line), "{line}");
        }
    }

    #[test]
    fn a_category_has_a_tab() {
        for line in ["example.com\t101", "192.0.2.0/24\t\t100", "a\t0\t# why"] {
            assert!(is_category(line), "{line}");
        }
        for line in ["example.com 101", "example.com", "\t5", "a\t", "a\t256", "a\t-1", "a\tb"] {
            assert!(!is_category(line), "{line}");
        }
        assert!(!is_category(&format!("{}\t1", "a".repeat(256))));
    }

    #[test]
    fn the_line_that_is_wrong_is_told() {
        let path = std::env::temp_dir().join(format!("flowsonde-ndpi-files-{}", std::process::id()));
        let checked = |bytes: &[u8], form| {
            std::fs::write(&path, bytes).unwrap();
            check(&path, form)
        };
        assert_eq!(checked(b"# a\n\ntcp:1@X\n", Form::Protocols), Ok(()));
        assert_eq!(checked(b"# a\n\ntcp:1@X\nnonsense", Form::Protocols), Err(Fault::Line(4, Form::Protocols)));
        assert_eq!(checked(b"a\t1\n\xff\t1\n", Form::Categories), Err(Fault::Line(2, Form::Categories)));
        assert_eq!(checked(b"a\t1\r\n", Form::Categories), Err(Fault::Line(1, Form::Categories)));
        assert_eq!(checked(b"", Form::Categories), Ok(()));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(check(&std::env::temp_dir(), Form::Protocols), Err(Fault::Unreadable(_))));
    }
}
