//! Who may send, how much, and whether it is flow export: what passes here is relayed as it is.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use flowsonde_wire::Nanos;
use flowsonde_wire::export::Datagram;
use flowsonde_wire::export::check::{Checked, Refused, check};
use flowsonde_wire::relay::Exporter;

use crate::flags::value::network::Lookup;

/// Exporters that are told apart; all others are one.
const EXPORTERS: usize = 65_536;

/// See the module.
pub struct Intake {
    exporters: HashMap<SocketAddr, Account>,
    allowed: Option<Lookup>,
    /// Datagrams a second of one address; 0 is any number.
    rate: u32,
    tokens: HashMap<IpAddr, Tokens>,
    refused: [u64; Refused::ALL.len()],
    beyond: u64,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    counted: Exporter,
    /// It was told of to collectors.
    told: bool,
}

/// What an address may still send.
#[derive(Clone, Copy, Debug)]
struct Tokens {
    /// Billionths of datagrams.
    left: u64,
    at: Nanos,
}

/// Why a datagram does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It is no flow export.
    NotFlow,
    /// Who sent it may not.
    NotAllowed,
    /// Who sent it sends too much.
    Rate,
}

impl Intake {
    /// `rate` is in datagrams a second of one address; 0 is any number.
    pub fn new(allowed: Option<Lookup>, rate: u32) -> Intake {
        Intake {
            exporters: HashMap::new(),
            allowed,
            rate,
            tokens: HashMap::new(),
            refused: [0; Refused::ALL.len()],
            beyond: 0,
        }
    }

    /// Others may send from now on.
    pub fn allow(&mut self, allowed: Option<Lookup>) {
        self.allowed = allowed;
    }

    /// Whether a datagram passes.
    pub fn pass(&mut self, datagram: &Datagram<'_>) -> Result<Checked, Stopped> {
        let result = self.judge(datagram);
        let counted = self.account(datagram.from);
        counted.received += 1;
        match result {
            Ok(_) => counted.passed += 1,
            Err(Stopped::NotFlow) => counted.not_flow += 1,
            Err(Stopped::NotAllowed) => counted.not_allowed += 1,
            Err(Stopped::Rate) => counted.rate += 1,
        }
        result
    }

    fn judge(&mut self, datagram: &Datagram<'_>) -> Result<Checked, Stopped> {
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(datagram.from.ip())) {
            return Err(Stopped::NotAllowed);
        }
        if self.rate > 0 && !self.has_tokens(datagram.from.ip(), datagram.time) {
            return Err(Stopped::Rate);
        }
        check(datagram.bytes).map_err(|refused| {
            if let Some(at) = Refused::ALL.iter().position(|known| *known == refused)
                && let Some(count) = self.refused.get_mut(at)
            {
                *count += 1;
            }
            Stopped::NotFlow
        })
    }

    /// A bucket of a second's datagrams.
    fn has_tokens(&mut self, from: IpAddr, now: Nanos) -> bool {
        const ONE: u64 = 1_000_000_000;
        let full = u64::from(self.rate) * ONE;
        if self.tokens.len() >= EXPORTERS && !self.tokens.contains_key(&from) {
            // Those that could send as much as ever need not be known.
            let rate = u64::from(self.rate);
            self.tokens
                .retain(|_, tokens| tokens.left.saturating_add(now.since(tokens.at).saturating_mul(rate)) < full);
        }
        // A flood from very many addresses has what one address may send.
        let known = self.tokens.len() < EXPORTERS || self.tokens.contains_key(&from);
        let from = if known { from } else { Ipv4Addr::UNSPECIFIED.into() };
        let tokens = self.tokens.entry(from).or_insert(Tokens { left: full, at: now });
        tokens.left = full.min(tokens.left.saturating_add(now.since(tokens.at).saturating_mul(self.rate.into())));
        tokens.at = now;
        let enough = tokens.left >= ONE;
        if enough {
            tokens.left -= ONE;
        }
        enough
    }

    fn account(&mut self, from: SocketAddr) -> &mut Exporter {
        let mut key = from;
        if self.exporters.len() >= EXPORTERS && !self.exporters.contains_key(&from) {
            self.beyond += 1;
            key = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        }
        let account = self.exporters.entry(key).or_insert_with(|| Account {
            counted: Exporter { from: key, received: 0, passed: 0, not_flow: 0, rate: 0, not_allowed: 0 },
            told: false,
        });
        account.told = false;
        &mut account.counted
    }

    /// Every exporter.
    pub fn exporters(&self) -> impl Iterator<Item = &Exporter> {
        self.exporters.values().map(|account| &account.counted)
    }

    /// Up to `most` exporters that collectors were not told of as they are now; they count as told.
    pub fn news(&mut self, most: usize) -> Vec<Exporter> {
        let news = self.exporters.values_mut().filter(|account| !account.told).take(most);
        news.map(|account| {
            account.told = true;
            account.counted
        })
        .collect()
    }

    /// Every exporter is to be told of again.
    pub fn renew(&mut self) {
        self.exporters.values_mut().for_each(|account| account.told = false);
    }

    /// Datagrams that were no flow export, by reason.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refused::ALL.iter().map(|refused| refused.name()).zip(self.refused)
    }

    /// Datagrams of exporters that were too many to be told apart.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_wire::export::Transport;

    /// A NetFlow v5 message of one record.
    fn v5() -> Vec<u8> {
        [&[0, 5, 0, 1][..], &[0; 20 + 48]].concat()
    }

    fn from(from: [u8; 4], millis: u64, bytes: &[u8]) -> Datagram<'_> {
        let time = Nanos(millis * 1_000_000);
        Datagram { time, transport: Transport::Udp, from: (from, 2055).into(), to: 2055, local: None, bytes }
    }

    #[test]
    fn what_is_stopped_is_counted_with_its_exporter() {
        let mut networks = crate::flags::value::network::Networks::default();
        networks.add("192.0.2.0/24").unwrap();
        let mut intake = Intake::new(Some(Lookup::new(&networks.0)), 2);
        let (here, there) = ([192, 0, 2, 1], [198, 51, 100, 1]);
        let v5 = v5();
        assert!(intake.pass(&from(here, 0, &v5)).is_ok());
        assert_eq!(intake.pass(&from(there, 0, &v5)), Err(Stopped::NotAllowed));
        assert_eq!(intake.pass(&from(here, 0, b"GET / HTTP/1.1\r\n\r\n")), Err(Stopped::NotFlow));
        assert_eq!(intake.pass(&from(here, 100, &v5)), Err(Stopped::Rate));
        // Two a second: one in half a second.
        assert!(intake.pass(&from(here, 600, &v5)).is_ok());
        assert_eq!(intake.pass(&from(here, 700, &v5)), Err(Stopped::Rate));
        let news = intake.news(10);
        let of = |address| news.iter().find(|exporter| exporter.from == (address, 2055).into()).copied();
        let expected =
            Exporter { from: (here, 2055).into(), received: 5, passed: 2, not_flow: 1, rate: 2, not_allowed: 0 };
        assert_eq!(of(here), Some(expected));
        assert_eq!(of(there).map(|exporter| (exporter.received, exporter.not_allowed)), Some((1, 1)));
        assert!(intake.news(10).is_empty());
        intake.renew();
        assert_eq!(intake.news(10).len(), 2);
        assert_eq!(intake.refused().map(|(_, count)| count).sum::<u64>(), 1);
    }

    #[test]
    fn very_many_exporters_are_one() {
        let mut intake = Intake::new(None, 1);
        let v5 = v5();
        for n in 0..70_000u32 {
            let _ = intake.pass(&from(n.to_be_bytes(), 0, &v5));
        }
        assert!(intake.exporters.len() == EXPORTERS + 1 && intake.tokens.len() <= EXPORTERS + 1);
        assert_eq!(intake.exporters().map(|exporter| exporter.received).sum::<u64>(), 70_000);
    }
}
