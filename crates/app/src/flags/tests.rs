//! The table as a whole.

use std::collections::HashSet;

use super::*;
use crate::flags::parse::split;

fn given(flag: &Flag, value: &str) -> Result<Options, Stop> {
    let word = if flag.value == Value::No { format!("--{}", flag.long) } else { format!("--{}={value}", flag.long) };
    let mut options = Options::default();
    for setting in split(&[word])?.settings {
        parse::apply(&setting, &mut options)?;
    }
    Ok(options)
}

#[test]
fn no_two_flags_share_a_letter_or_a_name() {
    let mut seen = HashSet::new();
    for flag in all() {
        for name in flag.aliases.iter().chain([&flag.long]) {
            assert!(seen.insert((*name).to_owned()), "--{name} twice");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "--{name}");
        }
        if let Some(letter) = flag.short {
            assert!(seen.insert(format!("-{letter}")), "-{letter} twice");
            assert!(letter.is_ascii_alphanumeric(), "-{letter}");
        }
    }
}

#[test]
fn every_file_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/flags");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && std::fs::read_to_string(&path).unwrap().contains("\npub const SPEC: Group") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(SPECS.iter().any(|group| group.name == name), "{name} is not in SPECS");
            files += 1;
        }
    }
    assert_eq!(files, SPECS.len());
}

#[test]
fn every_flag_takes_its_examples() {
    for flag in all() {
        // Those whose value is read at once: their own tests have a file for it.
        let examples =
            flag.value != Value::No && !["pcap-file-list", "allow-file", "collector-nf-reforge"].contains(&flag.long);
        assert_eq!(examples, !flag.good.is_empty(), "--{}", flag.long);
        for value in flag.good {
            let options = given(flag, value).unwrap_or_else(|stop| panic!("{stop}"));
            let unchanged = options == Options::default();
            assert!(!unchanged || *value == flag.default, "--{}={value} changes nothing", flag.long);
        }
        if flag.value == Value::No {
            assert_ne!(given(flag, "").unwrap(), Options::default(), "--{} changes nothing", flag.long);
        }
    }
}

#[test]
fn every_flag_refuses_what_is_wrong() {
    for flag in all() {
        for value in flag.bad {
            let text = given(flag, value).expect_err(&format!("--{}={value} is taken", flag.long)).to_string();
            let place =
                if value.is_empty() { format!("--{}: ", flag.long) } else { format!("--{}={value}: ", flag.long) };
            assert!(text.starts_with(&place), "{text}");
            assert!(text[place.len()..].contains("; "), "no remedy: {text}");
        }
    }
}

#[test]
fn the_default_shown_is_the_default() {
    for flag in all().filter(|flag| !flag.default.is_empty()) {
        assert_eq!(given(flag, flag.default).as_ref(), Ok(&Options::default()), "--{}", flag.long);
    }
}

#[test]
fn help_is_a_line_and_names_only_flags_there_are() {
    for flag in all() {
        assert!(flag.help.starts_with(|c: char| c.is_ascii_uppercase()), "--{}: {}", flag.long, flag.help);
        assert!(!flag.help.ends_with('.') && !flag.help.contains('\n') && flag.help.len() <= 100, "--{}", flag.long);
        assert!(flag.doc.is_empty() || flag.doc.ends_with('.'), "--{}: {}", flag.long, flag.doc);
        for text in [flag.help, flag.doc] {
            for (_, rest) in text.match_indices("--").map(|(at, _)| text.split_at(at + 2)) {
                let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
                assert!(by_name(&name).is_some(), "--{} speaks of --{name}", flag.long);
            }
        }
    }
}
