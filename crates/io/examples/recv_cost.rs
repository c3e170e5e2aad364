//! What a datagram costs the receiver: `cargo run --release --example recv_cost [length [datagrams [per second]]]`.
//!
//! Another process sends over loopback, at a rate the receiver can follow; what is lost all the same is shown. Time is
//! the receiving thread's on the CPU, user and system, as `/proc/thread-self/schedstat` tells it. Each byte is looked at
//! once a cache line, as a decoder would.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use flowsonde_engine::encode::Messages;
use flowsonde_io::sink::Sink;
use flowsonde_io::sink::udp as sink;
use flowsonde_io::source::Poll;
use flowsonde_io::source::exports::udp::{Options, Udp};
use flowsonde_io::source::exports::{Exports, Place, Take};
use flowsonde_wire::export::{Datagram, Transport};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).and_then(|n| n.parse().ok()).unwrap_or(default);
    if arguments.first().is_some_and(|first| first == "send") {
        return send(number(1, 0) as u16, number(2, 1400) as usize, number(3, 0), number(4, 1), number(5, 0) == 1);
    }
    let (length, datagrams, rate) = (number(0, 1_400), number(1, 300_000), number(2, 150_000));
    let usual = Options::default();
    for batch in [1, 8, 16, 32, 64] {
        run(&format!("batch={batch}"), Options { batch, ..usual }, length, datagrams, rate, false);
    }
    for micros in [0, 100, 200, 500, 1_000] {
        let pause = Duration::from_micros(micros);
        run(&format!("pause={micros} us"), Options { pause, ..usual }, length, datagrams, rate, false);
    }
    for coalesce in [false, true] {
        let name = format!("sent with UDP_SEGMENT, coalesce={coalesce}");
        run(&name, Options { coalesce, ..usual }, length, datagrams, rate, true);
    }
}

/// Looks at what it is given.
#[derive(Default)]
struct Look {
    sum: u64,
}

impl Take for Look {
    fn datagrams(&mut self, batch: &[Datagram<'_>]) {
        for datagram in batch {
            self.sum += datagram.bytes.iter().step_by(64).map(|&byte| u64::from(byte)).sum::<u64>();
        }
    }

    fn closed(&mut self, _: Transport, _: SocketAddr, _: u16) {}
}

fn run(name: &str, options: Options, length: u64, datagrams: u64, rate: u64, segment: bool) {
    let place = Place { transport: Transport::Udp, address: Some(Ipv4Addr::LOCALHOST.into()), port: 0 };
    let mut opened = Udp::open(&place, &options).expect("a socket");
    let Some(mut udp) = opened.pop() else { return };
    let mut look = Look::default();
    let mut sender = sender(udp.port(), length, datagrams, rate, segment);
    // Until it sends.
    while udp.poll(&mut look).expect("datagrams") == Poll::Idle {}
    let (begin, clock, before) = (on_cpu(), Instant::now(), udp.counters().datagrams);
    let mut calls = 0_u64;
    while udp.poll(&mut look).expect("datagrams") != Poll::Idle {
        calls += 1;
    }
    let (cpu, wall, counters) = (on_cpu() - begin, clock.elapsed(), udp.counters());
    let _it_has_ended = sender.wait();
    let seen = counters.datagrams - before;
    println!(
        "{name}: {:.2} us of CPU a datagram of {length} bytes, {:.1} a call, {:.0} % of a CPU at {} a second; {} dropped",
        cpu as f64 / 1e3 / seen as f64,
        seen as f64 / calls as f64,
        cpu as f64 / wall.as_nanos() as f64 * 100.0,
        seen * 1_000 / wall.as_millis().max(1) as u64,
        counters.kernel_drops,
    );
}

fn sender(port: u16, length: u64, datagrams: u64, rate: u64, segment: bool) -> Child {
    let program = std::env::current_exe().expect("its own path");
    let numbers = [u64::from(port), length, datagrams, rate, u64::from(segment)].map(|n| n.to_string());
    Command::new(program).arg("send").args(numbers).spawn().expect("a second process")
}

/// Sends in bursts of 32, as a busy router does.
fn send(port: u16, length: usize, datagrams: u64, rate: u64, segment: bool) {
    const BURST: u64 = 32;
    let mut messages = Messages::default();
    for _ in 0..BURST {
        messages.buffer().extend((0..length).map(|at| at as u8));
        messages.finish(20);
    }
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let options = sink::Options { segment, patient: true, ..sink::Options::default() };
    let mut udp = sink::Udp::open(&[remote], options).expect("a socket");
    let clock = Instant::now();
    let mut sent = 0;
    while sent < datagrams {
        let due = Duration::from_nanos(sent * 1_000_000_000 / rate.max(1));
        std::thread::sleep(due.saturating_sub(clock.elapsed()));
        udp.send(&messages);
        sent += BURST;
    }
}

/// Nanoseconds this thread was on a CPU.
fn on_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}
