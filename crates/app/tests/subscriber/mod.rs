//! A subscriber that listens, as ntopng does with a `c` at the end of its endpoint.

use std::time::Duration;

use flowsonde_sys::zmq::{Context, Kind, Set, Socket};

pub struct Subscriber {
    socket: Socket,
    /// Where it listens.
    pub endpoint: String,
}

/// Topic and payload.
pub type Message = (String, Vec<u8>);

impl Subscriber {
    pub fn new() -> Subscriber {
        let socket = Context::new().unwrap().socket(Kind::Sub).unwrap();
        socket.set(Set::ReceiveTimeout(Some(Duration::from_secs(20)))).unwrap();
        socket.set(Set::Linger(Some(Duration::ZERO))).unwrap();
        socket.set(Set::Subscribe(b"")).unwrap();
        socket.bind("tcp://127.0.0.1:*").unwrap();
        let endpoint = socket.endpoint().unwrap();
        Subscriber { socket, endpoint }
    }

    /// The next message; `None` when there is none for twenty seconds.
    pub fn next(&self) -> Option<Message> {
        let (mut header, mut payload) = (Vec::new(), Vec::new());
        let more = self.socket.receive(&mut header).ok()?;
        assert!(more && !self.socket.receive(&mut payload).unwrap());
        Some((String::from_utf8_lossy(&header[..16]).trim_end_matches('\0').to_owned(), payload))
    }
}
