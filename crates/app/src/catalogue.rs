//! The list of elements: what `-H` prints, and the coverage page in `docs/`.

use std::fmt::Write;

use flowsonde_elements::{Element, registry};
use flowsonde_engine::fill;

use crate::stop::Stop;

/// Every element by group, or those of one group, or whose name or help has this word in it.
pub fn text(about: Option<&str>) -> Result<String, Stop> {
    let mut out = String::new();
    let wanted = about.map(str::to_ascii_lowercase);
    for (group, elements) in registry::groups() {
        let whole = wanted.as_deref().is_none_or(|word| group.title().to_ascii_lowercase() == word);
        let found: Vec<&Element> = elements
            .iter()
            .copied()
            .filter(|element| whole || wanted.as_deref().is_some_and(|w| has(element, w)))
            .collect();
        if found.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{}", group.title());
        for element in found {
            let _ = writeln!(
                out,
                "  {} {:<34} {:<14} {:>3}  {}",
                if is_filled(element) { "+" } else { " " },
                format!("%{}", element.name),
                number(element),
                element.v9_length(),
                element.help
            );
        }
    }
    if out.is_empty() {
        let word = about.unwrap_or_default();
        let hint = registry::suggest(word).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        return Err(Stop::Usage(format!("--help-netflow={word}: no group and no element has that word{hint}")));
    }
    Ok(format!("+ = filled by this build; id = NetFlow v9 (PEN.id in IPFIX); length in NetFlow v9, bytes\n{out}"))
}

fn has(element: &Element, word: &str) -> bool {
    [element.name, element.help, element.ipfix_name.unwrap_or_default()]
        .iter()
        .any(|text| text.to_ascii_lowercase().contains(word))
}

fn is_filled(element: &Element) -> bool {
    fill::row(element).is_some()
}

/// Its number: NetFlow v9's, with IPFIX's in brackets where another.
fn number(element: &Element) -> String {
    match (element.v9_id(), element.ipfix_id()) {
        (Some(id), Some((0, _))) => id.to_string(),
        (Some(id), Some((pen, n))) => format!("{id} ({pen}.{n})"),
        (None, Some((pen, n))) => format!("({pen}.{n})"),
        (Some(id), None) => id.to_string(),
        (None, None) => "-".to_owned(),
    }
}

/// The coverage page: which elements this build fills.
pub fn page() -> String {
    let mut out = String::from(
        "# Elements\n\nGenerated from the element tables: every element that parses in `-T`, and whether the probe fills \
         it. An element that is not filled is exported as 0, `0.0.0.0`, `::` or the empty text.\n\nTo renew: `make \
         docs`.\n",
    );
    let (mut all, mut filled) = (0, 0);
    for (group, elements) in registry::groups() {
        let done = elements.iter().filter(|element| is_filled(element)).count();
        (all, filled) = (all + elements.len(), filled + done);
        let _ = write!(out, "\n## {} ({done} of {} filled)\n\n", group.title(), elements.len());
        out.push_str("| element | id | IPFIX name | length | filled | what it tells |\n|---|---|---|---|---|---|\n");
        for element in elements {
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {} | {} | {} |",
                element.name,
                number(element),
                element.ipfix_name.unwrap_or(""),
                element.v9_length(),
                if is_filled(element) { "yes" } else { "" },
                element.help.replace('|', "\\|")
            );
        }
    }
    let _ = write!(out, "\nTogether: {filled} of {all} elements filled.\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_group_word_and_name() {
        let all = text(None).unwrap();
        assert!(all.contains("+ %IN_BYTES") && all.contains("  %DNS_QUERY"), "{all}");
        let some = text(Some("appl_latency")).unwrap();
        assert!(some.contains("APPL_LATENCY_MS") && !some.contains("IN_BYTES"));
        assert!(text(Some("IN_BYTE_S")).unwrap_err().to_string().contains("did you mean"));
    }

    #[test]
    fn the_page_is_fresh() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/elements.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == page(), "docs/elements.md is stale: make docs");
    }
}
