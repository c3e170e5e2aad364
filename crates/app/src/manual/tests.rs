//! The files made from the table are fresh.

use std::fs;
use std::path::Path;

use super::*;

/// Compares a file of the repository with what it should hold; `BLESS=1` writes it.
fn fresh(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{name} is stale: run BLESS=1 cargo test -p flowsonde-app");
}

#[test]
fn the_reference_is_fresh() {
    fresh("docs/options.md", &reference());
}

#[test]
fn the_manual_page_is_fresh() {
    fresh("docs/man/flowsonde.1", &page());
}

#[test]
fn the_manual_page_is_plain_roff() {
    for line in page().lines() {
        assert!(!line.is_empty());
        if let Some(request) = line.strip_prefix('.') {
            let name = request.split(' ').next().unwrap_or_default();
            assert!(["TH", "SH", "SS", "B", "TP", "IP", "PP", "RS", "RE", "nf", "fi"].contains(&name), "{line}");
        }
        assert!(!line.starts_with('\''), "{line}");
    }
}
