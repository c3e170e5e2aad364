//! A relay's socket and a collector's, in one process.
#![cfg(feature = "zmq")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use flowsonde_io::relay::{Kept, Link, Queue, Settings};
use flowsonde_io::source::exports::relay::{Options, Relayed};
use flowsonde_io::source::exports::{Exports, Take};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};

#[derive(Default)]
struct Taken(Vec<u8>);

impl Take for Taken {
    fn datagrams(&mut self, batch: &[Datagram<'_>]) {
        self.0.extend(batch.iter().map(|datagram| datagram.bytes[0]));
    }

    fn closed(&mut self, _: Transport, _: SocketAddr, _: u16) {}
}

struct Outside {
    link: Link,
    queues: Vec<Queue>,
}

impl Outside {
    fn put(&mut self, number: u8) {
        let from = ([192, 0, 2, 1], 2055).into();
        let bytes = [number; 100];
        let time = Nanos(1);
        self.queues[0].put(&Datagram { time, transport: Transport::Udp, from, to: 2055, local: None, bytes: &bytes });
    }

    fn turn(&mut self) {
        self.link.wait(Duration::from_millis(1));
        self.queues[0].tick(Nanos(10_000_000), Instant::now());
        self.link.turn(&mut self.queues, &Kept::default(), Nanos(10_000_000));
    }
}

/// Turns both until the collector has so many.
fn until(count: usize, outside: &mut Outside, inside: &mut Relayed, taken: &mut Taken) {
    let since = Instant::now();
    while taken.0.len() < count {
        assert!(since.elapsed() < Duration::from_secs(10), "{:?}", taken.0);
        outside.turn();
        inside.poll(taken).unwrap();
        if let Some(unsettled) = inside.unsettled() {
            inside.settled(unsettled.ticket);
        }
    }
}

/// While its outputs take nothing, a collector says nothing, though its connection stands.
#[test]
fn a_collector_that_was_silent_for_long_is_heard_again() {
    let link = Link::open("tcp://127.0.0.1:*", true, None, [7; 16], 1).unwrap();
    let endpoint = link.endpoint().unwrap().replace("[::ffff:127.0.0.1]", "127.0.0.1");
    let mut outside = Outside { link, queues: vec![Queue::new(Settings::default())] };
    let options = Options { endpoint, binds: false, keys: None, positions: vec![] };
    let (mut inside, mut taken) = (Relayed::open(options).unwrap(), Taken::default());
    outside.put(1);
    until(1, &mut outside, &mut inside, &mut taken);
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(5500) {
        outside.turn();
    }
    assert!(!outside.link.present().any(|there| there));
    outside.put(2);
    until(2, &mut outside, &mut inside, &mut taken);
    // Nothing twice.
    assert_eq!((taken.0, inside.counters().duplicates), (vec![1, 2], 0));
}
