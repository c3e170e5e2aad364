//! For tests: messages made by hand go through the collector and a transcoder; what comes out is read by the encoders' test
//! reader.

use std::collections::BTreeMap;

use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};

use super::Transcode;
use crate::decode::Collector;
use crate::decode::collector::Config;
use crate::decode::records::{Receive, Set, Taken};
use crate::encode::Messages;
use crate::encode::reader::{self, Reader};

pub const SECONDS: u32 = 1_700_000_000;

struct Out<'a> {
    transcoder: &'a mut dyn Transcode,
    now: Nanos,
    messages: &'a mut Messages,
}

impl Receive for Out<'_> {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        self.transcoder.flows(set, self.now, self.messages)
    }

    fn options(&mut self, set: &Set<'_>) {
        self.transcoder.options(set, self.now, self.messages);
    }
}

/// Sends messages of 192.0.2.1 through a collector.
pub fn through(transcoder: &mut dyn Transcode, messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    sent(transcoder, messages).iter().map(|(message, _)| message.to_vec()).collect()
}

/// The same, with the number of records in each.
pub fn sent(transcoder: &mut dyn Transcode, messages: &[Vec<u8>]) -> Messages {
    sent_by(Config::default(), transcoder, messages)
}

/// The same, through a collector of these settings.
pub fn sent_by(config: Config, transcoder: &mut dyn Transcode, messages: &[Vec<u8>]) -> Messages {
    let mut collector = Collector::new(config);
    let mut out = Messages::default();
    for bytes in messages {
        let now = Nanos::new(SECONDS.into(), 0);
        let datagram = Datagram {
            time: now,
            from: ([192, 0, 2, 1], 9).into(),
            to: 0,
            local: None,
            transport: Transport::Udp,
            bytes,
        };
        let mut take = Out { transcoder: &mut *transcoder, now, messages: &mut out };
        collector.message(&datagram, &mut take).expect("sound");
    }
    transcoder.flush(&mut out);
    out
}

/// Reads messages, each domain by a reader of its own.
pub fn read(messages: &[Vec<u8>]) -> Vec<reader::Message> {
    let mut readers: BTreeMap<u32, Reader> = BTreeMap::new();
    messages
        .iter()
        .map(|bytes| {
            let at = if bytes[1] == 9 { 16 } else { 12 };
            let domain = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
            readers.entry(domain).or_default().read(bytes)
        })
        .collect()
}

pub fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let mut set = id.to_be_bytes().to_vec();
    set.extend((body.len() as u16 + 4).to_be_bytes());
    set.extend(body);
    set
}

pub fn v9(uptime: u32, domain: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut message = vec![0, 9, 0, 1];
    for word in [uptime, SECONDS, 0, domain] {
        message.extend(word.to_be_bytes());
    }
    message.extend(sets.concat());
    message
}

pub fn ipfix(domain: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let mut message = vec![0, 10];
    message.extend((sets.len() as u16 + 16).to_be_bytes());
    for word in [SECONDS, 0, domain] {
        message.extend(word.to_be_bytes());
    }
    message.extend(sets);
    message
}

pub fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// 300: source, destination, bytes, packets, first, last, ntop's 205 in 4 bytes, Cisco's 45000.
pub fn v9_template() -> Vec<u8> {
    set(0, &words(&[300, 8, 8, 4, 12, 4, 1, 4, 2, 4, 22, 4, 21, 4, 57_472 + 205, 4, 45_000, 2]))
}

pub fn v9_record(n: u8) -> Vec<u8> {
    let mut record = vec![10, 0, 0, n, 10, 0, 1, n, 0, 0, 2, n, 0, 0, 0, 3];
    record.extend(5_000u32.to_be_bytes());
    record.extend(9_000u32.to_be_bytes());
    record.extend([b'd', b'n', b's', n, 0xab, n]);
    record
}
