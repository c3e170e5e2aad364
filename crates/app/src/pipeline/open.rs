//! Opens every output that was asked for.

use super::outputs::{Output, Outputs};
use super::setup::Plan;
use super::summary::Summary;
use crate::flags::Options;
use crate::stop::Stop;
use flowsonde_engine::encode;
use flowsonde_engine::encode::{Encode, Messages};
use flowsonde_io::sink::{Counters, Sink};

struct Temp(Box<dyn std::io::Write + Send>, Counters);
impl Sink for Temp {
    fn send(&mut self, m: &Messages) {
        self.1.records += m.records();
        self.1.delivered += m.records();
        let _ = self.0.write_all(m.bytes());
    }
    fn tick(&mut self) {}
    fn close(&mut self) {
        let _ = self.0.flush();
    }
    fn counters(&self) -> Counters {
        self.1.clone()
    }
}

pub(super) fn open_outputs(options: &Options, plan: &Plan, source: &str, patient: bool) -> Result<Outputs, Stop> {
    let _ = (source, patient);
    let encode = encode::Options {
        template: plan.template.clone(),
        separator: options.output.separator,
        ..encode::Options::default()
    };
    let mut local = Vec::new();
    for (name, sink) in options.output.streams() {
        let encoder: Box<dyn Encode> = (encode::format(name).expect("format").start)(&encode).expect("json");
        let w: Box<dyn std::io::Write + Send> = match sink {
            crate::flags::value::Sink::Stdout => Box::new(std::io::BufWriter::new(std::io::stdout())),
            crate::flags::value::Sink::File(p) => {
                Box::new(std::io::BufWriter::new(std::fs::File::create(p).map_err(|e| Stop::Failed(e.to_string()))?))
            }
        };
        local.push(Output::new(name, encoder, Box::new(Temp(w, Counters::default()))));
    }
    Ok(Outputs::new(plan.env.clone(), local, Vec::new(), false, options.summarises().then(Summary::default)))
}
