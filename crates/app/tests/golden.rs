//! Golden cases: `tests/golden/<case>/cmd` prints `expect.json`. A new folder is a new test.
//!
//! `cmd` is run by `sh` in its folder with this build's `flowsonde` on the path. `BLESS=1` (`make bless`) rewrites what is
//! expected; `why` says what else than the probe tells that it is right. See `tests/golden/README.md`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::collections::VecDeque;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");
/// Differing lines shown of a case.
const SHOWN: usize = 10;

#[test]
fn every_case_prints_what_is_expected() {
    let bless = std::env::var_os("BLESS").is_some();
    let only = std::env::var("CASE").unwrap_or_default();
    let mut cases: Vec<PathBuf> = fs::read_dir(CASES).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.is_dir() && path.to_string_lossy().contains(&only));
    cases.sort();
    assert!(!cases.is_empty(), "no case in {CASES}");
    let mut failed = String::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy();
        let outcome = run(case).and_then(|found| {
            if bless {
                fs::write(case.join("expect.json"), &found).unwrap();
            }
            let expected =
                fs::read_to_string(case.join("expect.json")).map_err(|error| format!("  expect.json: {error}"))?;
            if found == expected { Ok(()) } else { Err(difference(&expected, &found)) }
        });
        if let Err(text) = outcome {
            let _ = write!(failed, "\n{name}: sh cmd, in tests/golden/{name}\n{text}");
        }
    }
    assert!(
        failed.is_empty(),
        "\n{failed}\nIf the new output is right: make bless, and say in `why` what confirms it.\n"
    );
}

#[test]
fn every_case_says_what_confirms_it() {
    for entry in fs::read_dir(CASES).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let why = fs::read_to_string(path.join("why")).unwrap_or_default();
            assert!(why.trim().len() > 20, "{}: no `why`", path.display());
        }
    }
}

/// What a case prints; what went wrong if it does not end well or complains.
fn run(case: &Path) -> Result<String, String> {
    let programs = Path::new(env!("CARGO_BIN_EXE_flowsonde")).parent().unwrap().to_path_buf();
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&inherited))).unwrap();
    let done = Command::new("sh").arg("cmd").current_dir(case).env("PATH", path).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() || !said.is_empty() {
        return Err(format!("  {}; it says:\n{said}", done.status));
    }
    String::from_utf8(done.stdout).map(|text| sorted(&text)).map_err(|error| format!("  {error}"))
}

/// Records that follow each other, in the order of their text: nobody is promised the order in which flows end.
fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    for records in lines.chunk_by_mut(|a, b| a.starts_with('{') == b.starts_with('{')) {
        if records[0].starts_with('{') {
            records.sort_unstable();
        }
    }
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

/// The lines that differ; of two records in the same place, only the elements that differ.
fn difference(expected: &str, found: &str) -> String {
    let mut text = String::new();
    let mut found: VecDeque<&str> = found.lines().collect();
    let mut shown = 0;
    let mut line = |place: usize, sign: char, rest: &str| {
        shown += 1;
        if shown <= SHOWN {
            let _ = writeln!(text, "  {place}: {sign} {rest}");
        }
    };
    for (index, wanted) in expected.lines().enumerate() {
        match found.pop_front() {
            None => line(index + 1, '-', wanted),
            Some(got) if got == wanted => {}
            Some(got) => match elements(wanted, got) {
                Some(elements) => line(index + 1, '!', &elements),
                None => {
                    line(index + 1, '-', wanted);
                    line(index + 1, '+', got);
                }
            },
        }
    }
    let more = expected.lines().count();
    for (index, got) in found.into_iter().enumerate() {
        line(more + index + 1, '+', got);
    }
    if shown > SHOWN {
        let _ = writeln!(text, "  ... and {} more", shown - SHOWN);
    }
    text
}

/// `NAME expected -> found` for each element that differs, when both lines are records with the same elements.
fn elements(wanted: &str, got: &str) -> Option<String> {
    let wanted: Map<String, Value> = serde_json::from_str(wanted).ok()?;
    let got: Map<String, Value> = serde_json::from_str(got).ok()?;
    if !wanted.keys().eq(got.keys()) {
        return None;
    }
    let differing = wanted.iter().filter_map(|(name, value)| {
        let other = got.get(name)?;
        (value != other).then(|| format!("{name} {value} -> {other}"))
    });
    let differing: Vec<String> = differing.collect();
    (!differing.is_empty()).then(|| differing.join(", "))
}
