//! Exporters that are told as others, and of which only some interfaces are wanted: nProbe's `--collector-nf-reforge`.

use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::Arc;

use super::filter::{Condition, Match, On};

/// By the address messages come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reforge {
    rules: Arc<HashMap<IpAddr, Rule>>,
}

/// What is done with one exporter's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The address it is told as; `None` is its own.
    pub exporter: Option<IpAddr>,
    /// A bit an interface index of 0 to 63 whose flows are wanted; `None` is all, those beyond 63 too.
    pub interfaces: Option<u64>,
}

impl Reforge {
    /// With these rules.
    pub fn new(rules: HashMap<IpAddr, Rule>) -> Reforge {
        Reforge { rules: Arc::new(rules) }
    }

    /// The address an exporter is told as, where that is another.
    #[inline]
    pub fn exporter(&self, of: IpAddr) -> Option<IpAddr> {
        if self.rules.is_empty() { None } else { self.rules.get(&of)?.exporter }
    }

    /// What flows have to meet of exporters that not all is wanted of: to enter or leave by one of their interfaces.
    pub fn conditions(&self) -> impl Iterator<Item = (IpAddr, Condition)> {
        self.rules.iter().filter_map(|(exporter, rule)| {
            let bits = rule.interfaces?;
            let any = (0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| Match::Range(bit, bit)).collect();
            Some((*exporter, Condition { not: false, on: On::Elements(&[10, 14, 252, 253]), any }))
        })
    }
}
