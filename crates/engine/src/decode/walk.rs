//! The sets of a NetFlow v9 or IPFIX message: templates are kept, data goes to whoever reads records.
//!
//! ```text
//! v9     set: id, length, then templates | options templates | records   (RFC 3954, section 5)
//! IPFIX  the same, with withdrawals and enterprise numbers               (RFC 7011, section 3.3)
//! ```

use std::sync::Arc;

use flowsonde_wire::Cursor;
use flowsonde_wire::export::{ipfix, netflow9};

use super::collector::Config;
use super::layout::Layout;
use super::records::{About, Receive, Set, Version};
use super::session::Session;
use super::templates::Layouts;
use super::{connections, section};

/// Nanoseconds after which a template is forgotten: only over UDP (RFC 7011, section 8.4).
pub(super) fn timeout(config: &Config, about: &About) -> u64 {
    if about.transport.is_session() { 0 } else { config.template_timeout }
}

/// Readers of records that are made into others first.
#[derive(Debug)]
pub(super) struct Readers {
    pub sections: section::Decoder,
    pub connections: connections::Decoder,
}

/// A data set whose template is not known to its session.
pub(super) struct Missing<'a> {
    pub id: u16,
    pub bytes: &'a [u8],
}

/// One message of NetFlow v9 or IPFIX being read.
pub(super) struct Walk<'a, 'b> {
    pub layouts: &'a mut Layouts,
    pub readers: &'a mut Readers,
    pub config: &'a Config,
    pub session: &'a mut Session,
    pub about: About,
    pub out: &'a mut dyn Receive,
    pub missing: Vec<Missing<'b>>,
    /// Data was passed over of which the number of records is not known.
    pub unknown: bool,
}

impl<'b> Walk<'_, 'b> {
    /// Reads every set; false when one cannot be. What follows a set of a wrong length cannot be found.
    pub fn sets(&mut self, mut c: Cursor<'b>, version: Version) -> bool {
        let mut sound = true;
        // Less than a set's header is padding.
        while c.remaining() >= 4 {
            let (Ok(id), Ok(length)) = (c.u16("set id"), c.u16("set length")) else { return false };
            let Some(body) = usize::from(length).checked_sub(4) else { return false };
            let whole = body <= c.remaining();
            let Ok(bytes) = c.take(body.min(c.remaining()), "set") else { return false };
            let read = match (version, id) {
                (Version::V9, netflow9::TEMPLATE_SET) | (Version::Ipfix, ipfix::TEMPLATE_SET) => {
                    self.templates(bytes, version, false)
                }
                (Version::V9, netflow9::OPTIONS_SET) | (Version::Ipfix, ipfix::OPTIONS_SET) => {
                    self.templates(bytes, version, true)
                }
                (_, 256..) => {
                    self.data(id, bytes);
                    true
                }
                // Set ids up to 255 are reserved (RFC 7011, section 3.3.2): passed over, as the length is known.
                _ => false,
            };
            sound &= read;
            if !whole {
                return false;
            }
        }
        sound
    }

    fn templates(&mut self, bytes: &[u8], version: Version, options: bool) -> bool {
        let mut c = Cursor::new(bytes);
        let mut specifiers = Vec::new();
        // Padding is shorter than any template (RFC 7011, section 3.3.1), a withdrawal has four bytes.
        while c.remaining() >= 4 {
            let head = c.rest();
            let Ok(id) = c.u16("template id") else { return false };
            // Padding of zeros.
            if id == 0 && head.iter().all(|byte| *byte == 0) {
                return true;
            }
            let Some(scopes) = read_template(&mut c, version, options, &mut specifiers) else { return false };
            if specifiers.is_empty() && version == Version::Ipfix {
                self.withdraw(id, options);
                continue;
            }
            if id < 256 {
                return false;
            }
            self.insert(id, &specifiers, scopes);
        }
        true
    }

    /// Withdrawals count where messages keep their order (RFC 7011, section 8.4).
    fn withdraw(&mut self, id: u16, options: bool) {
        self.session.counters.withdrawals += 1;
        if !self.about.transport.is_session() {
            return;
        }
        if id == ipfix::TEMPLATE_SET || id == ipfix::OPTIONS_SET {
            self.session.templates.remove_all(options);
        } else {
            self.session.templates.remove(id);
        }
    }

    fn insert(&mut self, id: u16, specifiers: &[ipfix::Specifier], scopes: u16) {
        self.session.counters.templates += 1;
        let Ok(layout) = self.layouts.of(specifiers, scopes) else {
            self.session.counters.templates_refused += 1;
            return;
        };
        let before = self.session.templates.find(id, self.about.arrival, 0);
        self.session.counters.templates_changed += u64::from(before.is_some_and(|before| *before != *layout));
        if !self.session.templates.insert(id, Arc::clone(&layout), self.about.arrival) {
            self.session.counters.templates_refused += 1;
            return;
        }
        for set in self.session.waiting.take(id) {
            self.session.counters.replayed += 1;
            deliver(self.session, self.readers, &set.about, &layout, &set.bytes, self.out);
        }
    }

    fn data(&mut self, id: u16, bytes: &'b [u8]) {
        self.session.counters.sets += 1;
        if !self.config.template_ids.is_empty() && !self.config.template_ids.contains(&id) {
            self.session.counters.sets_filtered += 1;
            self.unknown = true;
            return;
        }
        match self.session.templates.find(id, self.about.arrival, timeout(self.config, &self.about)) {
            Some(layout) => {
                deliver(self.session, self.readers, &self.about, &layout, bytes, self.out);
                if layout.is_options() && self.about.version == Version::Ipfix {
                    // What it told of the exporter's start is good for what follows.
                    self.about.init = self.session.init;
                }
            }
            // Nothing is in it to wait for.
            None if bytes.is_empty() => self.session.counters.no_template += 1,
            None => self.missing.push(Missing { id, bytes }),
        }
    }
}

/// Hands the records of a set on.
#[inline]
pub(super) fn deliver(
    session: &mut Session,
    readers: &mut Readers,
    about: &About,
    layout: &Arc<Layout>,
    bytes: &[u8],
    out: &mut dyn Receive,
) {
    session.counters.sets_decoded += 1;
    if layout.is_options() {
        super::options::learn(session, about, layout, bytes, out);
        return;
    }
    if let Some(counting) = &layout.counting {
        readers.connections.read(session, about, counting, &connections::Raw { layout, bytes }, out);
        return;
    }
    if layout.sampled {
        readers.sections.read(session, about, layout, bytes, out);
        return;
    }
    let taken = out.flows(&Set {
        layout,
        bytes,
        about,
        samplers: &session.samplers,
        templates: &session.templates,
        applications: &session.applications,
    });
    session.counters.flows += u64::from(taken.records);
}

/// Reads what follows a template's id, and tells how many of its fields are scopes.
///
/// ```text
/// v9     template: count, fields | options: bytes of scopes, bytes of options, scopes, options (RFC 3954, section 6.1)
/// IPFIX  template: count, fields | options: count, count of scopes, fields        (RFC 7011, sections 3.4.1 and 3.4.2)
/// ```
fn read_template(
    c: &mut Cursor<'_>,
    version: Version,
    options: bool,
    fields: &mut Vec<ipfix::Specifier>,
) -> Option<u16> {
    fields.clear();
    let first = c.u16("template").ok()?;
    if version == Version::V9 && options {
        let scopes = usize::from(first) / 4;
        let rest = usize::from(c.u16("options length").ok()?) / 4;
        for i in 0..scopes + rest {
            let (id, length) = (c.u16("field").ok()?, c.u16("field length").ok()?);
            // Scopes have numbers of their own (RFC 3954, section 6.1): system, interface, line card, cache, template.
            let id = if i < scopes { scope_element(id) } else { id };
            fields.push(ipfix::Specifier { pen: 0, id, length });
        }
        return u16::try_from(scopes.max(1)).ok();
    }
    if version == Version::V9 {
        for _ in 0..first {
            fields.push(v9_field(c.u16("field").ok()?, c.u16("field length").ok()?));
        }
        return Some(0);
    }
    let scopes = if options && first > 0 { c.u16("scope count").ok()? } else { 0 };
    for _ in 0..first {
        fields.push(ipfix::Specifier::read(c).ok()?);
    }
    // Without a scope it is options data all the same (RFC 7011, section 3.4.2.2, does not allow it).
    Some(if options { scopes.clamp(1, first.max(1)) } else { 0 })
}

/// NetFlow v9 has no enterprise numbers: ntop's elements stand at 57472 + n, Cisco's at 32768 + n, where others put theirs
/// too. Old Cisco ASA have numbers of their own for what is 225 to 228 and 233 today.
fn v9_field(id: u16, length: u16) -> ipfix::Specifier {
    use flowsonde_elements::{CISCO_PEN, NTOP_PEN, V9_CISCO_BASE, V9_NTOP_BASE};
    // Access lists, reason and user of a firewall's event.
    if matches!(id, 33_000..=33_002 | 40_000) {
        return ipfix::Specifier { pen: CISCO_PEN, id: id - V9_CISCO_BASE, length };
    }
    let id = match id {
        40_001..=40_004 => id - 40_001 + 225,
        40_005 => 233,
        id => id,
    };
    match id.checked_sub(V9_NTOP_BASE) {
        Some(n) => ipfix::Specifier { pen: NTOP_PEN, id: n, length },
        None => ipfix::Specifier { pen: 0, id, length },
    }
}

/// The element that says the same as a scope of NetFlow v9.
const fn scope_element(scope: u16) -> u16 {
    match scope {
        // The exporter, 144 exportingProcessId being nearest.
        netflow9::SCOPE_SYSTEM => 144,
        netflow9::SCOPE_INTERFACE => 10,
        netflow9::SCOPE_LINE_CARD => 141,
        // 143 meteringProcessId.
        netflow9::SCOPE_CACHE => 143,
        netflow9::SCOPE_TEMPLATE => 145,
        other => other,
    }
}
