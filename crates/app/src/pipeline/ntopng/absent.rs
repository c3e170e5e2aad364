//! What stands for ZeroMQ in a build without it: there is none of these.

use flowsonde_engine::encode::Messages;
use flowsonde_io::sink::{Counters, Sink};

/// A publisher that cannot be.
pub enum Zmq {}

/// What messages are about.
#[derive(Clone, Copy)]
pub enum Topic {
    Event,
    Counter,
    Template,
    Option,
    SnmpIfaces,
    Hello,
}

impl Zmq {
    pub fn publish(&mut self, _: Topic, _: &[u8], _: u32) {
        match *self {}
    }
}

impl Sink for Zmq {
    fn send(&mut self, _: &Messages) {
        match *self {}
    }

    fn tick(&mut self) {
        match *self {}
    }

    fn close(&mut self) {
        match *self {}
    }

    fn counters(&self) -> Counters {
        match *self {}
    }
}
