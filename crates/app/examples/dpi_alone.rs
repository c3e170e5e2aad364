//! The calls of libndpi alone: what metering a capture shows it is noted, then shown again to a fresh detector with nothing
//! around; that is measured.
//!
//! `dpi_alone CAPTURE` prints calls, flows and CPU seconds. The capture is read into memory: pcap of the Intel byte order,
//! Ethernet.

use core::num::NonZeroU32;
use std::fs;
use std::sync::mpsc::{Sender, channel};

use flowsonde_engine::meter::application::{Detector, Dissection, Limits, Ticket, Verdict};
use flowsonde_engine::meter::{Config, Meter};
use flowsonde_io::process::cpu_time;
use flowsonde_sys::ndpi::{self, Flow, Settings};
use flowsonde_wire::Nanos;

mod pcap;

use pcap::frames;

/// One call of the library; a packet by where it lies in memory.
enum Call {
    Begin(u32),
    Packet { flow: u32, start: usize, len: usize, ms: u64, last: bool },
    GiveUp(u32),
}

/// Makes the calls it is told to.
#[derive(Debug)]
struct Library {
    detector: ndpi::Detector,
    flows: Vec<Option<Flow>>,
    verdict: ndpi::Verdict,
}

impl Library {
    fn new() -> Library {
        let detector = ndpi::Detector::new(&Settings::default()).expect("libndpi");
        Library { detector, flows: Vec::new(), verdict: ndpi::Verdict::default() }
    }

    fn begin(&mut self, flow: u32) {
        let begun = self.detector.begin();
        if self.flows.len() <= flow as usize {
            self.flows.resize_with(flow as usize + 1, || None);
        }
        self.flows[flow as usize] = begun;
    }

    fn packet(&mut self, flow: u32, ip: &[u8], ms: u64, last: bool) -> bool {
        let state = self.flows[flow as usize].as_mut().expect("begun");
        let stands = self.detector.packet(state, ip, ms, last, &mut self.verdict);
        if stands {
            self.end(flow);
        }
        stands
    }

    fn give_up(&mut self, flow: u32) {
        let state = self.flows[flow as usize].as_mut().expect("begun");
        self.detector.give_up(state, &mut self.verdict);
        self.end(flow);
    }

    fn end(&mut self, flow: u32) {
        if let Some(state) = self.flows[flow as usize].take() {
            self.detector.end(state);
        }
    }
}

/// Makes them, and notes them. Flows are numbered; the numbers of those that ended are not used again.
#[derive(Debug)]
struct Noting {
    library: Library,
    capture: usize,
    calls: Sender<Call>,
    begun: u32,
}

impl Noting {
    fn note(&self, call: Call) {
        self.calls.send(call).expect("somebody reads");
    }

    fn verdict(&self) -> Verdict<'_> {
        Verdict { master: self.library.verdict.master, app: self.library.verdict.app, ..Verdict::default() }
    }
}

impl Detector for Noting {
    fn begin(&mut self) -> Option<Ticket> {
        self.begun += 1;
        self.note(Call::Begin(self.begun));
        self.library.begin(self.begun);
        NonZeroU32::new(self.begun).map(Ticket)
    }

    fn packet(&mut self, ticket: Ticket, ip: &[u8], time: Nanos, last: bool) -> Option<Verdict<'_>> {
        let (flow, ms) = (ticket.0.get(), time.millis());
        self.note(Call::Packet { flow, start: ip.as_ptr() as usize - self.capture, len: ip.len(), ms, last });
        self.library.packet(flow, ip, ms, last).then(|| self.verdict())
    }

    fn give_up(&mut self, ticket: Ticket) -> Verdict<'_> {
        self.note(Call::GiveUp(ticket.0.get()));
        self.library.give_up(ticket.0.get());
        self.verdict()
    }
}

fn main() {
    let path = std::env::args().nth(1).expect("a capture");
    let capture = fs::read(path).expect("a capture");
    let (sender, receiver) = channel();
    let noting = Noting { library: Library::new(), capture: capture.as_ptr() as usize, calls: sender, begun: 0 };
    let meter = Meter::new(Config { random: 7, ..Config::default() });
    let mut meter = meter.dissecting(Dissection::new(Box::new(noting), Limits::default()));
    let mut flows = 0;
    for frame in frames(&capture) {
        meter.frames(&[frame], &mut |ended| flows += ended.len());
    }
    meter.flush(&mut |ended| flows += ended.len());
    drop(meter);
    let calls: Vec<Call> = receiver.iter().collect();
    let mut library = Library::new();
    let before = cpu_time();
    let mut packets = 0;
    for call in &calls {
        match *call {
            Call::Begin(flow) => library.begin(flow),
            Call::Packet { flow, start, len, ms, last } => {
                packets += 1;
                library.packet(flow, &capture[start..start + len], ms, last);
            }
            Call::GiveUp(flow) => library.give_up(flow),
        }
    }
    println!("{packets} calls, {flows} flows, {:.2} CPU s", (cpu_time() - before).as_secs_f64());
}
