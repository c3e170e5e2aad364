//! The parts of `bench/relay` that are not flowrelay.
//!
//! ```text
//! relay_bench send PORT RATE SECONDS            datagrams of 1,400 bytes, NetFlow v9 by their headers, with the time in them
//! relay_bench collect ENDPOINT KEY SECRET COUNT takes what a relay hands on until it has so many: count, delays in ms
//! relay_bench bare ENDPOINT KEYS COUNT BYTES RATE   a bare CURVE socket sends so many messages of so many bytes: CPU s
//! relay_bench drain ENDPOINT KEY SECRET COUNT   takes those
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a tool that panics has failed"
)]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flowsonde_io::process::cpu_time;
use flowsonde_io::source::exports::relay::{Options, Relayed};
use flowsonde_io::source::exports::{Exports, Take};
use flowsonde_sys::zmq::{Context, Kind, PublicKey, SecretKey, Set, Socket};
use flowsonde_wire::export::{Datagram, Transport};

const LENGTH: usize = 1400;

fn nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match &words[..] {
        ["send", port, rate, seconds] => {
            send(port.parse().unwrap(), rate.parse().unwrap(), seconds.parse().unwrap());
        }
        ["collect", endpoint, key, secret, count] => collect(endpoint, key, secret, count.parse().unwrap()),
        ["bare", endpoint, secret, count, bytes, rate] => {
            bare(endpoint, secret, count.parse().unwrap(), bytes.parse().unwrap(), rate.parse().unwrap());
        }
        ["drain", endpoint, key, secret, count] => drain(endpoint, key, secret, count.parse().unwrap()),
        _ => panic!("see the head of the file"),
    }
}

fn send(port: u16, rate: f64, seconds: f64) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    let mut datagram = vec![0; LENGTH];
    datagram[..4].copy_from_slice(&[0, 9, 0, 1]);
    datagram[20..22].copy_from_slice(&256u16.to_be_bytes());
    datagram[22..24].copy_from_slice(&(LENGTH as u16 - 20).to_be_bytes());
    let (start, mut sent) = (Instant::now(), 0_u64);
    loop {
        let elapsed = start.elapsed().as_secs_f64();
        if elapsed >= seconds {
            break;
        }
        while (sent as f64) < elapsed * rate {
            datagram[24..32].copy_from_slice(&nanos().to_be_bytes());
            socket.send(&datagram).unwrap();
            sent += 1;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    println!("{sent}");
}

fn public(text: &str) -> PublicKey {
    PublicKey::from_z85(text.trim()).unwrap()
}

fn secret(file: &str) -> SecretKey {
    let text = std::fs::read_to_string(file).unwrap();
    SecretKey::from_z85(text.lines().find(|line| !line.starts_with('#')).unwrap()).unwrap()
}

#[derive(Default)]
struct Count {
    count: u64,
    delays: Vec<u32>,
}

impl Take for Count {
    fn datagrams(&mut self, batch: &[Datagram<'_>]) {
        let now = nanos();
        for datagram in batch {
            let sent = u64::from_be_bytes(datagram.bytes[24..32].try_into().unwrap());
            self.delays.push((now.saturating_sub(sent) / 1000) as u32);
        }
        self.count += batch.len() as u64;
    }

    fn closed(&mut self, _: Transport, _: SocketAddr, _: u16) {}
}

fn collect(endpoint: &str, key: &str, file: &str, count: u64) {
    let keys = Some((public(key), secret(file)));
    let mut source =
        Relayed::open(Options { endpoint: endpoint.to_owned(), binds: false, keys, positions: vec![] }).unwrap();
    let mut taken = Count::default();
    let (mut last, mut settled) = (Instant::now(), Instant::now());
    while taken.count < count && last.elapsed() < Duration::from_secs(5) {
        let before = taken.count;
        source.poll(&mut taken).unwrap();
        if taken.count > before {
            last = Instant::now();
        }
        // As often as a collector's worker does.
        if settled.elapsed() >= Duration::from_millis(20)
            && let Some(unsettled) = source.unsettled()
        {
            settled = Instant::now();
            source.settled(unsettled.ticket);
        }
    }
    taken.delays.sort_unstable();
    let part =
        |n: f64| taken.delays.get((taken.delays.len() as f64 * n) as usize).map_or(0.0, |us| f64::from(*us) / 1000.0);
    println!("{} {:.3} {:.3} {:.3}", taken.count, part(0.5), part(0.99), part(0.9999));
}

fn pair(server: bool, own: &SecretKey, other: Option<PublicKey>) -> Socket {
    let socket = Context::new().unwrap().socket(Kind::Pair).unwrap();
    socket.set(Set::SendHighWater(2048)).unwrap();
    socket.set(Set::CurveSecretKey(own)).unwrap();
    if server {
        socket.set(Set::CurveServer(true)).unwrap();
    } else {
        socket.set(Set::CurvePublicKey(&own.public().unwrap())).unwrap();
        socket.set(Set::CurveServerKey(&other.unwrap())).unwrap();
    }
    socket
}

fn bare(endpoint: &str, file: &str, count: u64, bytes: usize, rate: f64) {
    let socket = pair(true, &secret(file), None);
    socket.bind(endpoint).unwrap();
    let message = vec![7; bytes];
    // The receiver says that it is there.
    socket.receive(&mut Vec::new()).unwrap();
    let (start, before) = (Instant::now(), cpu_time());
    let mut sent = 0;
    while sent < count {
        if sent as f64 > start.elapsed().as_secs_f64() * rate {
            std::thread::sleep(Duration::from_micros(500));
        } else if socket.send(&message, false).is_ok() {
            sent += 1;
        } else {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    // And that it has all.
    socket.receive(&mut Vec::new()).unwrap();
    println!("{:.3}", (cpu_time() - before).as_secs_f64());
}

fn drain(endpoint: &str, key: &str, file: &str, count: u64) {
    let socket = pair(false, &secret(file), Some(public(key)));
    socket.connect(endpoint).unwrap();
    socket.send(b"here", false).unwrap();
    let mut message = Vec::new();
    for _ in 0..count {
        socket.receive(&mut message).unwrap();
    }
    socket.send(b"all", false).unwrap();
    std::thread::sleep(Duration::from_millis(200));
}
