//! What a datagram costs the sender: `cargo run --release --example udp_cost [length [datagrams [batch]]]`.
//!
//! Sends over loopback, so the kernel's receiving side runs within the sending call and is part of the cost. Time is the
//! sending thread's on the CPU, user and system, as `/proc/thread-self/schedstat` tells it.

use flowsonde_engine::encode::Messages;
use flowsonde_io::sink::Sink;
use flowsonde_io::sink::udp::{Options, Udp};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn main() {
    let number = |at: usize, default: usize| std::env::args().nth(at).and_then(|n| n.parse().ok()).unwrap_or(default);
    let (length, datagrams, batch) = (number(1, 1400), number(2, 1_000_000), number(3, 46));
    for segment in [true, false] {
        in_step(length, datagrams / 10, batch, segment);
    }
    for reading in [true, false] {
        for segment in [true, false] {
            run(length, datagrams, batch, segment, reading);
        }
    }
}

/// Sends a batch, reads it all, sends the next: every datagram is taken up by the receiver, as a good collector would.
/// Only the sending is timed, by the wall: the median batch.
fn in_step(length: usize, datagrams: usize, batch: usize, segment: bool) {
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    receiver.set_nonblocking(true).expect("a socket option");
    let address = receiver.local_addr().expect("an address");
    let mut sink = Udp::open(&[address], Options { segment, patient: true, ..Options::default() }).expect("a socket");
    let messages = filled(length, batch);
    let (mut times, mut seen, mut buffer) = (Vec::new(), 0, [0; 65_536]);
    for _ in 0..datagrams / batch {
        let clock = Instant::now();
        sink.send(&messages);
        times.push(clock.elapsed().as_nanos() as u64);
        while receiver.recv(&mut buffer).is_ok() {
            seen += 1;
        }
    }
    times.sort_unstable();
    println!(
        "length={length} batch={batch} segment={segment} in step: {} ns a datagram, seen {}%",
        times.get(times.len() / 2).unwrap_or(&0) / batch as u64,
        seen * 100 / (datagrams / batch * batch),
    );
}

fn filled(length: usize, batch: usize) -> Messages {
    let mut messages = Messages::default();
    for _ in 0..batch {
        messages.buffer().extend((0..length).map(|at| at as u8));
        messages.finish(20);
    }
    messages
}

fn run(length: usize, datagrams: usize, batch: usize, segment: bool, reading: bool) {
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = receiver.local_addr().expect("an address");
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(AtomicU64::new(0));
    let reader = reading.then(|| {
        let socket = receiver.try_clone().expect("a second handle");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let (stop, seen) = (stop.clone(), seen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while !stop.load(Ordering::Relaxed) {
                if socket.recv(&mut buffer).is_ok() {
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    });

    let messages = filled(length, batch);
    let mut sink = Udp::open(&[address], Options { segment, patient: true, ..Options::default() }).expect("a socket");
    let (begin, clock) = (on_cpu(), Instant::now());
    for _ in 0..datagrams / batch {
        sink.send(&messages);
    }
    let (cpu, wall) = (on_cpu() - begin, clock.elapsed());
    std::thread::sleep(Duration::from_millis(100));
    stop.store(true, Ordering::Relaxed);
    if let Some(reader) = reader {
        let _ = reader.join();
    }
    let sent = (datagrams / batch * batch) as u64;
    println!(
        "length={length} batch={batch} segment={segment} reading={reading}: {} ns CPU a datagram, {} ns wall, seen {}%, lost {:?}",
        cpu / sent,
        wall.as_nanos() as u64 / sent,
        seen.load(Ordering::Relaxed) * 100 / sent,
        sink.counters().lost,
    );
}

/// Nanoseconds this thread was on a CPU.
fn on_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}
