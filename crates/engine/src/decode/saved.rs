//! What was learnt of exporters, as text, so that the next run knows it before they repeat it: templates, rates of
//! samplers, the time of their start.
//!
//! ```text
//! flowsonde-templates 1
//! exporter UDP-ADDRESS:PORT FORMAT DOMAIN
//! template ID SCOPES REFRESHED PEN.ID:LENGTH ...      nanoseconds since 1970; 65535 is a variable length
//! sampler ID RATE
//! sampling RATE                                       of what names no sampler
//! init NANOSECONDS
//! ```
//!
//! Only what came over UDP: templates of a session end with it (RFC 7011, section 8.1).

use core::fmt::Write as _;
use std::collections::HashMap;

use flowsonde_wire::Nanos;
use flowsonde_wire::export::Transport;

use super::layout::{Row, Shape};
use super::records::Version;
use super::sampling::Samplers;
use super::session::Session;
use super::sessions::Key;

const FIRST_LINE: &str = "flowsonde-templates 1";

/// What was learnt of one domain.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// Templates: id, fields, when it last came.
    pub templates: Vec<(u16, Shape, Nanos)>,
    /// Rates of sampling.
    pub samplers: Samplers,
    /// When the exporter started.
    pub init: Option<Nanos>,
}

/// What was learnt of all domains.
pub type Exporters = HashMap<Key, Saved>;

impl Saved {
    /// What is known of a session; `None` when it is nothing that would be missed.
    pub fn of(key: &Key, session: &Session) -> Option<Saved> {
        let templates: Vec<_> =
            session.templates.iter().map(|(id, template)| (id, template.layout.shape(), template.refreshed)).collect();
        let worth = key.transport == Transport::Udp && !templates.is_empty();
        worth.then(|| Saved { templates, samplers: session.samplers.clone(), init: session.init })
    }
}

/// As text.
pub fn write(exporters: &Exporters) -> String {
    let mut out = format!("{FIRST_LINE}\n");
    let mut keys: Vec<_> = exporters.iter().collect();
    keys.sort_unstable_by_key(|(key, _)| **key);
    for (key, saved) in keys {
        let _infallible = writeln!(out, "exporter {} {} {}", key.from, key.version.name(), key.domain);
        for (id, shape, refreshed) in &saved.templates {
            let _infallible = write!(out, "template {id} {} {}", shape.scopes, refreshed.0);
            for (pen, id, length) in &shape.specifiers {
                let _infallible = write!(out, " {pen}.{id}:{length}");
            }
            out.push('\n');
        }
        let (samplers, all) = saved.samplers.told();
        for (id, rate) in samplers {
            let _infallible = writeln!(out, "sampler {id} {rate}");
        }
        if let Some(rate) = all {
            let _infallible = writeln!(out, "sampling {rate}");
        }
        if let Some(init) = saved.init {
            let _infallible = writeln!(out, "init {}", init.0);
        }
    }
    out
}

/// From text. Says which line is none of it.
pub fn read(text: &str) -> Result<Exporters, usize> {
    let mut exporters = Exporters::new();
    let mut lines = text.lines().enumerate();
    if lines.next().is_none_or(|(_, first)| first != FIRST_LINE) {
        return Err(1);
    }
    let mut at: Option<Key> = None;
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        match read_line(line, at, &mut exporters) {
            Some(key) => at = Some(key),
            None => return Err(number + 1),
        }
    }
    Ok(exporters)
}

/// Reads a line, and tells whose it is.
fn read_line(line: &str, at: Option<Key>, exporters: &mut Exporters) -> Option<Key> {
    let mut words = line.split(' ');
    let kind = words.next()?;
    if kind == "exporter" {
        let from = words.next()?.parse().ok()?;
        let name = words.next()?;
        let version = [Version::V9, Version::Ipfix].into_iter().find(|version| version.name() == name)?;
        let key = Key { from, transport: Transport::Udp, version, domain: words.next()?.parse().ok()? };
        exporters.insert(key, Saved::default());
        return words.next().is_none().then_some(key);
    }
    let key = at?;
    let saved = exporters.get_mut(&key)?;
    match kind {
        "template" => {
            let id = words.next()?.parse().ok()?;
            let scopes = words.next()?.parse().ok()?;
            let refreshed = Nanos(words.next()?.parse().ok()?);
            let specifiers = words.by_ref().map(row).collect::<Option<_>>()?;
            saved.templates.push((id, Shape { specifiers, scopes }, refreshed));
        }
        "sampler" => saved.samplers.tell(Some(words.next()?.parse().ok()?), words.next()?.parse().ok()?),
        "sampling" => saved.samplers.tell(None, words.next()?.parse().ok()?),
        "init" => saved.init = Some(Nanos(words.next()?.parse().ok()?)),
        _ => return None,
    }
    words.next().is_none().then_some(key)
}

fn row(text: &str) -> Option<Row> {
    let (pen, rest) = text.split_once('.')?;
    let (id, length) = rest.split_once(':')?;
    Some((pen.parse().ok()?, id.parse().ok()?, length.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "flowsonde-templates 1\n\
        exporter 192.0.2.1:2055 netflow9 7\n\
        template 256 0 1700000000000000000 0.8:4 0.12:4 35632.205:65535\n\
        template 512 1 1700000001000000000 0.149:4 0.34:4\n\
        sampler 3 1000\n\
        sampling 100\n\
        exporter [2001:db8::1]:4739 ipfix 0\n\
        template 300 0 5 29305.1:8\n\
        init 1600000000000000000\n";

    #[test]
    fn what_is_written_is_read_again() {
        let exporters = read(TEXT).expect("sound");
        assert_eq!(exporters.len(), 2);
        let key =
            Key { from: ([192, 0, 2, 1], 2055).into(), transport: Transport::Udp, version: Version::V9, domain: 7 };
        let saved = &exporters[&key];
        assert_eq!(saved.templates[0].1.specifiers[2], (35632, 205, 65535));
        assert_eq!((saved.templates[1].0, saved.templates[1].1.scopes), (512, 1));
        assert_eq!(saved.samplers.usually().rate, 100);
        assert_eq!(write(&exporters), TEXT);
    }

    #[test]
    fn the_line_that_is_wrong_is_told() {
        assert_eq!(read("").err(), Some(1));
        assert_eq!(read("flowsonde-templates 2\n").err(), Some(1));
        let wrong = [
            "template 256 0 0 0.8:4",
            "exporter 192.0.2.1 netflow9 7",
            "exporter 192.0.2.1:1 netflow5 7",
            "exporter 192.0.2.1:1 netflow9 7 8",
            "exporter 192.0.2.1:1 netflow9 7\ntemplate 70000 0 0 0.8:4",
            "exporter 192.0.2.1:1 netflow9 7\ntemplate 256 0 0 8:4",
            "exporter 192.0.2.1:1 netflow9 7\nsampler 1",
            "what",
        ];
        for lines in wrong {
            let text = format!("{FIRST_LINE}\n{lines}\n");
            assert_eq!(read(&text).err(), Some(1 + lines.lines().count()), "{lines}");
        }
    }
}
