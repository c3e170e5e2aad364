//! libndpi as the meter's detector.

use core::num::NonZeroU32;
use std::path::Path;

use flowsonde_engine::fill::Names;
use flowsonde_engine::meter::application::{Addresses, Detector, Ticket, Verdict};
use flowsonde_sys::ndpi::{self, Flow, Settings};
use flowsonde_wire::Nanos;

use crate::flags::application::Application;
use crate::stop::Stop;

pub const BUILT_IN: bool = true;

/// Flows looked into at a time at most, about 1 kB each: a flood of flows that tell nothing is not to take all memory.
const FLOWS: usize = 1 << 18;

/// What the library calls its numbers.
pub fn names(options: &Application) -> Result<Names, Stop> {
    let detector = open(options)?;
    // They are told in lines that nothing escapes.
    let names = |what| {
        detector
            .names(what)
            .iter()
            .map(|name| name.replace(|c: char| !c.is_ascii_graphic() && c != ' ' || matches!(c, '"' | '\\'), "_"))
            .collect()
    };
    Ok(Names {
        protocols: names(ndpi::Names::Protocols),
        categories: names(ndpi::Names::Categories),
        breeds: names(ndpi::Names::Breeds),
        risks: names(ndpi::Names::Risks),
    })
}

/// A detector for one meter.
pub fn detector(options: &Application) -> Result<Box<dyn Detector>, Stop> {
    Ok(Box::new(Ndpi {
        detector: open(options)?,
        flows: Vec::new(),
        free: Vec::new(),
        verdict: ndpi::Verdict::default(),
    }))
}

/// What knows services by their networks; `None` where nothing is to be guessed.
pub fn addresses(options: &Application) -> Result<Option<Box<dyn Addresses>>, Stop> {
    if options.no_guess {
        return Ok(None);
    }
    Ok(Some(Box::new(Networks(open(options)?))))
}

#[derive(Debug)]
struct Networks(ndpi::Detector);

impl Addresses for Networks {
    fn application(&mut self, address: [u8; 4]) -> u16 {
        self.0.address(address)
    }
}

fn open(options: &Application) -> Result<ndpi::Detector, Stop> {
    let settings = Settings {
        guess: !options.no_guess,
        early: options.fast,
        protocols: options.protocols.as_deref(),
        categories: options.categories.as_deref(),
    };
    ndpi::Detector::new(&settings).map_err(|error| {
        let (flag, path) = match &error {
            ndpi::Error::File(ndpi::Form::Protocols, _) => ("ndpi-custom-protos", settings.protocols),
            ndpi::Error::File(ndpi::Form::Categories, _) => ("ndpi-custom-categories", settings.categories),
            _ => return Stop::Failed(format!("{error}; or give --disable-dpi")),
        };
        Stop::Failed(format!("--{flag}={}: {error}", path.unwrap_or(Path::new("")).display()))
    })
}

#[derive(Debug)]
struct Ndpi {
    detector: ndpi::Detector,
    /// Flows by their ticket, which is one more than the place.
    flows: Vec<Option<Flow>>,
    free: Vec<u32>,
    verdict: ndpi::Verdict,
}

impl Ndpi {
    fn place(ticket: Ticket) -> usize {
        ticket.0.get() as usize - 1
    }

    /// Forgets a flow and tells what was found out of it.
    fn end(&mut self, ticket: Ticket) -> Verdict<'_> {
        if let Some(flow) = self.flows.get_mut(Self::place(ticket)).and_then(Option::take) {
            self.detector.end(flow);
            self.free.push(ticket.0.get() - 1);
        }
        Verdict {
            master: self.verdict.master,
            app: self.verdict.app,
            category: self.verdict.category,
            breed: self.verdict.breed,
            confidence: self.verdict.confidence,
            risk: self.verdict.risk,
            score: self.verdict.score,
            host: self.verdict.host(),
        }
    }
}

impl Detector for Ndpi {
    fn begin(&mut self) -> Option<Ticket> {
        if self.free.is_empty() && self.flows.len() >= FLOWS {
            return None;
        }
        let flow = self.detector.begin()?;
        let place = self.free.pop().unwrap_or(self.flows.len() as u32);
        match self.flows.get_mut(place as usize) {
            Some(slot) => *slot = Some(flow),
            None => self.flows.push(Some(flow)),
        }
        NonZeroU32::new(place + 1).map(Ticket)
    }

    fn touch(&self, ticket: Ticket) {
        if let Some(Some(flow)) = self.flows.get(Self::place(ticket)) {
            flow.touch();
        }
    }

    fn packet(&mut self, ticket: Ticket, ip: &[u8], time: Nanos, last: bool) -> Option<Verdict<'_>> {
        let flow = self.flows.get_mut(Self::place(ticket)).and_then(Option::as_mut)?;
        let stands = self.detector.packet(flow, ip, time.millis(), last, &mut self.verdict);
        stands.then(|| self.end(ticket))
    }

    fn give_up(&mut self, ticket: Ticket) -> Verdict<'_> {
        self.verdict = ndpi::Verdict::default();
        if let Some(flow) = self.flows.get_mut(Self::place(ticket)).and_then(Option::as_mut) {
            self.detector.give_up(flow, &mut self.verdict);
        }
        self.end(ticket)
    }
}
