//! What a message to a ZeroMQ subscriber costs the publisher:
//! `cargo run --release -p flowsonde-io --features zmq --example zmq_cost [length [messages]]`.
//!
//! The subscriber is another process, over loopback: the kernel's receiving side runs within the sending call, and is part
//! of the cost. Time is that of all the publisher's threads on the CPU, user and system.

use flowsonde_engine::encode::Messages;
use flowsonde_io::sink::Sink;
use flowsonde_io::sink::zmq::{Options, Topic, Zmq};
use flowsonde_sys::zmq::{Context, Kind, Set};
use std::process::{Command, Stdio};

const FLOWS: u32 = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, endpoint] = &arguments[..]
        && word == "subscribe"
    {
        subscribe(endpoint);
        return;
    }
    let number = |at: usize, default: usize| arguments.get(at).and_then(|n| n.parse().ok()).unwrap_or(default);
    publish(number(0, 8192), number(1, 200_000));
}

fn publish(length: usize, count: usize) {
    // Patient: no faster than the subscriber, as a collector that loses nothing is.
    let options = Options { patient: true, ..Options::default() };
    let mut sink = Zmq::open(&["tcp://127.0.0.1:*".into()], &options).expect("a free port");
    let endpoint = sink.bound().remove(0);
    let subscriber = Command::new(std::env::current_exe().expect("this program"))
        .args(["subscribe", &endpoint])
        .stdout(Stdio::piped())
        .spawn()
        .expect("another process");
    while !sink.ready() {
        std::thread::sleep(std::time::Duration::from_millis(1));
        sink.tick();
    }
    let mut messages = Messages::default();
    for number in 0..8 {
        messages.buffer().extend([1, 1].into_iter().chain((2..length).map(|at| (at * 7 + number) as u8)));
        messages.finish(FLOWS);
    }
    let start = cpu_nanos();
    for _ in 0..count.div_ceil(8) {
        sink.send(&messages);
    }
    while sink.counters().queued > 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
        sink.tick();
    }
    let nanos = (cpu_nanos() - start) as f64;
    let counters = sink.counters();
    sink.publish(Topic::Hello, b"{}", 0);
    sink.close();
    let seen = subscriber.wait_with_output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let sent = counters.messages as f64;
    println!(
        "{} messages of {length} bytes, subscriber saw {}, lost {:?}: {:.2} us CPU a message, {:.3} us a kB, {:.2} M \
         flows a CPU second",
        counters.messages,
        seen.unwrap_or_default(),
        counters.lost,
        nanos / sent / 1e3,
        nanos / (sent * length as f64 / 1e3) / 1e3,
        sent * f64::from(FLOWS) / (nanos / 1e9) / 1e6,
    );
}

/// Reads until "hello".
fn subscribe(endpoint: &str) {
    let socket = Context::new().and_then(|context| context.socket(Kind::Sub)).expect("a socket");
    for option in [Set::Subscribe(b"hello"), Set::Subscribe(b"flow")] {
        socket.set(option).expect("an option");
    }
    socket.connect(endpoint).expect("an endpoint");
    let (mut header, mut payload, mut seen) = (Vec::new(), Vec::new(), 0_u64);
    while socket.receive(&mut header).expect("a frame") && !header.starts_with(b"hello") {
        socket.receive(&mut payload).expect("a frame");
        seen += 1;
    }
    println!("{seen}");
}

/// Nanoseconds on the CPU, of all threads that this process has.
fn cpu_nanos() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let spent = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    spent.filter_map(|spent| spent.split(' ').next()?.parse::<u64>().ok()).sum()
}
