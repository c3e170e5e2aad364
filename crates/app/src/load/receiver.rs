//! The receiver's socket as the kernel shows it (`/proc/net/udp`): how much waits there, how much it dropped.
//!
//! ```text
//! sl local_address rem_address st tx_queue:rx_queue tr:when retransmit uid timeout inode ref pointer drops
//! ```
//!
//! Linux only, and only a receiver in the same network namespace is seen. Sockets of one port are added up.

use std::fs;

/// What there is of the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receiver {
    /// Sockets bound to the port.
    pub sockets: u32,
    /// Bytes waiting in the fullest of them, with the kernel's overhead.
    pub waiting: u64,
    /// Datagrams they dropped since they were opened.
    pub drops: u64,
}

impl Receiver {
    /// Looks at the sockets bound to `port`.
    pub fn look(port: u16) -> Receiver {
        let mut found = Receiver::default();
        for table in ["/proc/net/udp", "/proc/net/udp6"] {
            if let Ok(text) = fs::read_to_string(table) {
                found.add(&text, port);
            }
        }
        found
    }

    fn add(&mut self, text: &str, port: u16) {
        for line in text.lines().skip(1) {
            // Looked for before the line is taken apart: there is a line for each of our own sockets too.
            let mut words = line.split_ascii_whitespace();
            let local = words.nth(1).and_then(|local| local.rsplit(':').next());
            if local.and_then(|hex| u16::from_str_radix(hex, 16).ok()) != Some(port) {
                continue;
            }
            let waiting = words.nth(2).and_then(|queues| queues.split(':').nth(1));
            self.sockets += 1;
            self.waiting = self.waiting.max(waiting.and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0));
            self.drops += words.last().and_then(|drops| drops.parse::<u64>().ok()).unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let text = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n \
                    3120: 0100007F:0807 00000000:0000 07 00000000:00001A00 00:00000000 00000000     0        0 4242 2 0000000000000000 17  \n \
                    3121: 00000000:0807 00000000:0000 07 00000000:00000200 00:00000000 00000000     0        0 4243 2 0000000000000000 3\n \
                    9120: 0100007F:9999 0100007F:0807 01 00000000:00000000 00:00000000 00000000     0        0 4244 2 0000000000000000 5\n";
        let mut found = Receiver::default();
        found.add(text, 2055);
        assert_eq!(found, Receiver { sockets: 2, waiting: 0x1a00, drops: 20 });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_socket_is_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(&[0; 100], ("127.0.0.1", port)).unwrap();
        let found = Receiver::look(port);
        assert!(found.sockets == 1 && found.waiting >= 100, "{found:?}");
    }
}
