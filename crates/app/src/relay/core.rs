//! What the threads of ports and that of the link share.

use std::net::IpAddr;

use flowsonde_io::relay::{Kept, Queue};
use flowsonde_io::source::exports::Take;
use flowsonde_wire::export::{Datagram, Transport};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use super::intake::Intake;
use crate::pipeline::collect::bad_packets::BadPackets;
use crate::pipeline::worker::lock;

/// See the module.
pub struct Core {
    pub intake: Intake,
    /// One a collector.
    pub queues: Vec<Queue>,
    pub kept: Kept,
    /// Every collector gets everything; else each exporter has one collector.
    pub all: bool,
    /// Which collectors are there.
    pub present: Vec<bool>,
    pub bad: Option<BadPackets<std::io::BufWriter<std::fs::File>>>,
    pub hasher: RandomState,
    /// Datagrams that passed.
    pub passed: u64,
}

pub type Shared = Arc<Mutex<Core>>;

impl Core {
    fn take(&mut self, batch: &[Datagram<'_>]) {
        for datagram in batch {
            match self.intake.pass(datagram) {
                Ok(checked) => {
                    self.passed += 1;
                    if checked.templates {
                        self.kept.put(datagram, &checked);
                    }
                    self.put(datagram);
                }
                Err(_) => {
                    if let Some(bad) = &mut self.bad {
                        bad.write(datagram);
                    }
                }
            }
        }
        self.queues.iter_mut().for_each(Queue::mark);
    }

    fn put(&mut self, datagram: &Datagram<'_>) {
        match (self.queues.len(), self.all) {
            (1, _) | (_, true) => self.queues.iter_mut().for_each(|queue| queue.put(datagram)),
            _ => {
                let at = self.collector_of(datagram.from.ip());
                if let Some(queue) = self.queues.get_mut(at) {
                    queue.put(datagram);
                }
            }
        }
    }

    /// An exporter stays with its collector for as long as that is there; when none is, all count as if they were.
    fn collector_of(&self, from: IpAddr) -> usize {
        let nobody = !self.present.contains(&true);
        let there = |at: &usize| nobody || self.present.get(*at) == Some(&true);
        let weight = |at: &usize| self.hasher.hash_one((from, *at));
        (0..self.queues.len()).filter(there).max_by_key(weight).unwrap_or(0)
    }
}

/// What a port's thread hands datagrams to.
pub struct Port(pub Shared);

impl Take for Port {
    fn datagrams(&mut self, batch: &[Datagram<'_>]) {
        lock(&self.0).take(batch);
    }

    fn closed(&mut self, _: Transport, _: SocketAddr, _: u16) {}
}
