//! Options data: what an exporter tells of itself.
//!
//! Rates of samplers, the time of its start and what it calls applications are learnt here, as records depend on them; all
//! of it is handed on, for names of interfaces, applications and VRFs.

use std::sync::Arc;

use flowsonde_wire::Nanos;

use super::layout::{Layout, Spans};
use super::records::{About, Receive, Set};
use super::session::Session;

/// Learns from the records of a set of options data, and hands them on.
pub(super) fn learn(session: &mut Session, about: &About, layout: &Arc<Layout>, bytes: &[u8], out: &mut dyn Receive) {
    let mut spans = Spans::default();
    let mut rest = bytes;
    while let Some((record, after)) = layout.split(rest, &mut spans) {
        rest = after;
        session.counters.options += 1;
        session.samplers.learn(layout, &record, &spans);
        let learnt = session.applications.learn(layout, &record, &spans);
        session.counters.applications_refused += u64::from(!learnt);
        // 160 systemInitTimeMilliseconds
        if let Some(field) = layout.find(160) {
            let millis = record.number(field, &spans);
            session.init = (millis > 0).then_some(Nanos(millis.saturating_mul(1_000_000)));
        }
    }
    out.options(&Set {
        layout,
        bytes,
        about,
        samplers: &session.samplers,
        templates: &session.templates,
        applications: &session.applications,
    });
}
