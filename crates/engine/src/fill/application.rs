//! What is told of a flow's application.

use flowsonde_elements::table::*;

use super::{Env, Fill, Row, Short, forward};
use crate::meter::application::Application;
use crate::meter::{Group, View};

/// What a detector calls its numbers.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Protocols and applications.
    pub protocols: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Breeds.
    pub breeds: Vec<String>,
    /// Risks, by their bit.
    pub risks: Vec<String>,
}

impl Names {
    /// "TLS.Google", "DNS", "Unknown", as ndpiReader tells them.
    pub fn application(&self, master: u16, app: u16) -> String {
        String::from_utf8_lossy(Short::of(|text| self.write(master, app, text)).bytes()).into_owned()
    }

    fn write(&self, master: u16, app: u16, text: &mut Short) {
        if master == 0 || app == 0 || master == app {
            return text.text(name(&self.protocols, usize::from(if app == 0 { master } else { app })));
        }
        text.text(name(&self.protocols, master.into()));
        text.push(b'.');
        text.text(name(&self.protocols, app.into()));
    }
}

fn name(names: &[String], i: usize) -> &str {
    names.get(i).map_or("", String::as_str)
}

fn of(v: &View<'_>) -> Application {
    v.application.copied().unwrap_or_default()
}

fn protocol(v: &View<'_>, e: &Env, text: &mut Short) {
    let Application { master, app, .. } = of(v);
    e.names.write(master, app, text);
}

/// Names of the bits that are set.
fn risks(v: &View<'_>, e: &Env, text: &mut Short) {
    let mut bits = of(v).risk;
    while bits != 0 {
        if !text.is_empty() {
            text.text(", ");
        }
        text.text(name(&e.names.risks, bits.trailing_zeros() as usize));
        bits &= bits - 1;
    }
}

pub(super) const ROWS: &[Row] = &[
    forward(&L7_PROTO, Group::Application, Fill::Number(|v, _| of(v).both().into())),
    forward(&L7_PROTO_NAME, Group::Application, Fill::Short(protocol)),
    forward(
        &L7_PROTO_CATEGORY,
        Group::Application,
        Fill::Text(|v, e| name(&e.names.categories, of(v).category.into())),
    ),
    forward(&L7_PROTO_BREED, Group::Application, Fill::Text(|v, e| name(&e.names.breeds, of(v).breed.into()))),
    forward(&L7_CONFIDENCE, Group::Application, Fill::Number(|v, _| of(v).confidence.into())),
    forward(&L7_PROTO_RISK, Group::Application, Fill::Number(|v, _| of(v).risk)),
    forward(&L7_PROTO_RISK_NAME, Group::Application, Fill::Short(risks)),
    forward(&L7_RISK_SCORE, Group::Application, Fill::Number(|v, _| of(v).score.into())),
    forward(&L7_INFO, Group::Host, Fill::Text(|v, _| v.host.map_or("", |host| host.text()))),
];
