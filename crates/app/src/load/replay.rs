//! Datagrams sent again: the UDP payloads of captures, and files that hold one payload each (`.dat`, `.bin`).
//!
//! Every UDP payload is sent, whatever it holds, in the order of the files and at the pace asked for; the times of a
//! capture are not kept. Fragments and payloads that were cut off are skipped and counted. Each source of a capture is
//! an exporter with an address of its own, as far as there are any.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use flowsonde_engine::decode::packet::{Packet, Part, decode, protocol};
use flowsonde_engine::encode::Messages;
use flowsonde_engine::meter::key::KeyParts;
use flowsonde_io::source::{CaptureFile, Poll, Source};

use super::sender::Sender;
use crate::console;
use crate::stop::Stop;

/// The largest payload UDP carries over IPv4.
const MOST: u64 = 65_507;

/// Who sent a datagram of a capture: the bytes of the IP address, filled up with zeros, and the port.
type Origin = ([u8; 16], u16);

/// Files being sent.
pub struct Replay {
    addresses: usize,
    known: HashMap<Origin, usize>,
    /// UDP packets that could not be sent: fragments, payloads cut off.
    pub skipped: u64,
}

impl Replay {
    /// Sends from `addresses` addresses.
    pub fn new(addresses: u32) -> Replay {
        Replay { addresses: addresses.max(1) as usize, known: HashMap::new(), skipped: 0 }
    }

    /// Sends what the files hold, once. False when it is time to stop.
    pub fn send(&mut self, files: &[PathBuf], sender: &mut Sender) -> Result<bool, Stop> {
        for file in files {
            let raw = file.extension().is_some_and(|ending| ending == "dat" || ending == "bin");
            if !(if raw { self.payload(file, sender)? } else { self.capture(file, sender)? }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn payload(&mut self, file: &Path, sender: &mut Sender) -> Result<bool, Stop> {
        let failed = |why: &str| Stop::Failed(format!("--replay={}: {why}", file.display()));
        let length = fs::metadata(file).map_err(|error| failed(&format!("{error}; give files that exist")))?.len();
        if length > MOST {
            return Err(failed("larger than a datagram can be; give a capture, or a file of one payload"));
        }
        let bytes = fs::read(file).map_err(|error| failed(&format!("{error}; give files that can be read")))?;
        let mut messages = Messages::default();
        messages.buffer().extend_from_slice(&bytes);
        messages.finish(1);
        sender.send_paced(0, &messages)
    }

    fn capture(&mut self, file: &Path, sender: &mut Sender) -> Result<bool, Stop> {
        // The source names the option of the probe.
        let failed = |error: flowsonde_io::source::Error| Stop::Failed(error.0.replacen("-i ", "--replay=", 1));
        let mut source = CaptureFile::open(file, None).map_err(failed)?;
        let mut bursts: Vec<(usize, Messages)> = Vec::new();
        let parts = KeyParts::default();
        loop {
            bursts.clear();
            let poll = source.poll(&mut |frames| {
                for frame in frames {
                    let Ok(packet) = decode(frame, &parts) else { continue };
                    if packet.key.protocol() != protocol::UDP {
                        continue;
                    }
                    let Some(payload) = payload_of(&packet) else {
                        self.skipped += 1;
                        continue;
                    };
                    let number = self.number(origin(&packet));
                    if bursts.last().is_none_or(|burst| burst.0 != number) {
                        bursts.push((number, Messages::default()));
                    }
                    if let Some((_, messages)) = bursts.last_mut() {
                        messages.buffer().extend_from_slice(payload);
                        messages.finish(1);
                    }
                }
            });
            let poll = poll.map_err(failed)?;
            for (number, messages) in &bursts {
                if !sender.send_paced(*number, messages)? {
                    return Ok(false);
                }
            }
            if poll == Poll::End {
                break;
            }
        }
        if let Some(warning) = source.warning() {
            console::line(&format!("flowload: {}", warning.replacen("-i ", "--replay=", 1)));
        }
        Ok(true)
    }

    /// The address of a source: the next free one; when all are taken, one that stays the same.
    fn number(&mut self, origin: Origin) -> usize {
        if let Some(number) = self.known.get(&origin) {
            return *number;
        }
        if self.known.len() < self.addresses {
            let number = self.known.len();
            self.known.insert(origin, number);
            return number;
        }
        let mut hasher = DefaultHasher::new();
        origin.hash(&mut hasher);
        (hasher.finish() % self.addresses as u64) as usize
    }
}

fn origin(packet: &Packet<'_>) -> Origin {
    let network = packet.network();
    let mut address = [0; 16];
    let bytes = if packet.version() == 4 { network.get(12..16) } else { network.get(8..24) };
    for (to, from) in address.iter_mut().zip(bytes.unwrap_or(&[])) {
        *to = *from;
    }
    (address, packet.src_port)
}

/// The whole payload of a UDP datagram, if it is there.
fn payload_of<'a>(packet: &Packet<'a>) -> Option<&'a [u8]> {
    if packet.part != Part::Whole {
        return None;
    }
    packet.transport().get(8..8 + packet.payload_len as usize)
}
