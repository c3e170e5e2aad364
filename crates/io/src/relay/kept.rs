//! Templates that passed, kept so that a collector which comes late, or lost what was sent, can read what follows.
//!
//! Kept are whole sets of templates, by exporter and observation domain; they are told as messages of their own, under a
//! header that came with one of them.

use std::collections::HashMap;
use std::net::SocketAddr;

use flowsonde_wire::Nanos;
use flowsonde_wire::export::check::{Checked, Format, template_sets};
use flowsonde_wire::export::{Datagram, Transport, ipfix, netflow9};
use flowsonde_wire::relay::{self, Batch, HEAD, kind};

/// Most bytes of all sets.
const MOST: usize = 8 << 20;
/// Most sets of one observation domain.
const SETS: usize = 128;
/// Bytes of a message that is made of them.
const LONGEST: usize = 60_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Kept {
    domains: HashMap<(SocketAddr, Format, u32), Domain>,
    bytes: usize,
    refused: u64,
}

#[derive(Debug)]
struct Domain {
    header: Vec<u8>,
    to: u16,
    sets: Vec<Set>,
}

#[derive(Debug)]
struct Set {
    bytes: Vec<u8>,
    /// When it came first, and last.
    since: Nanos,
    last: Nanos,
}

impl Kept {
    /// Keeps the templates of a datagram that was checked.
    pub fn put(&mut self, datagram: &Datagram<'_>, checked: &Checked) {
        let header = match checked.format {
            Format::NetFlow9 => netflow9::HEADER,
            Format::Ipfix => ipfix::HEADER,
            _ => return,
        };
        let Some(header) = datagram.bytes.get(..header) else { return };
        let key = (datagram.from, checked.format, checked.domain);
        for set in template_sets(datagram.bytes) {
            let known = self.domains.get_mut(&key);
            if let Some(known) = known
                && let Some(same) = known.sets.iter_mut().find(|known| known.bytes == set)
            {
                same.last = datagram.time;
                continue;
            }
            if self.bytes + set.len() + header.len() > MOST {
                self.refused += 1;
                continue;
            }
            let domain = self.domains.entry(key).or_insert_with(|| {
                self.bytes += header.len();
                Domain { header: header.to_vec(), to: datagram.to, sets: Vec::new() }
            });
            if domain.sets.len() >= SETS
                && let Some(oldest) = (0..domain.sets.len()).min_by_key(|&at| domain.sets.get(at).map(|set| set.last))
            {
                self.bytes -= domain.sets.remove(oldest).bytes.len();
            }
            self.bytes += set.len();
            domain.sets.push(Set { bytes: set.to_vec(), since: datagram.time, last: datagram.time });
        }
    }

    /// Sets there was no room for.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Frames with the templates that came before this time, each exporter's in the order they came in.
    pub fn frames(&self, before: Nanos, to: &mut dyn FnMut(&[u8])) {
        let (mut datagrams, mut count) = (vec![0; HEAD], 0);
        let mut flush = |datagrams: &mut Vec<u8>, count: &mut u32| {
            if *count > 0 {
                let length = (datagrams.len() - HEAD) as u32;
                let batch = Batch { compressed: false, count: *count, first: 0, time: before, length, bytes: &[] };
                datagrams.iter_mut().zip(batch.head(kind::TEMPLATES)).for_each(|(place, byte)| *place = byte);
                to(datagrams);
                datagrams.truncate(HEAD);
                *count = 0;
            }
        };
        for ((from, format, _), domain) in &self.domains {
            let mut sets: Vec<_> = domain.sets.iter().filter(|set| set.since < before).collect();
            sets.sort_by_key(|set| set.last);
            let mut sets = sets.into_iter().peekable();
            while sets.peek().is_some() {
                let mut bytes = domain.header.clone();
                let mut many = 0u16;
                while let Some(set) = sets.next_if(|set| many == 0 || bytes.len() + set.bytes.len() <= LONGEST) {
                    bytes.extend_from_slice(&set.bytes);
                    many += 1;
                }
                // The count of NetFlow v9, the length of IPFIX.
                let number = if *format == Format::Ipfix { bytes.len() as u16 } else { many };
                bytes.iter_mut().skip(2).zip(number.to_be_bytes()).for_each(|(place, byte)| *place = byte);
                if datagrams.len() + relay::size(from, bytes.len()) > HEAD + LONGEST {
                    flush(&mut datagrams, &mut count);
                }
                let (time, to) = (before, domain.to);
                let datagram =
                    Datagram { time, transport: Transport::Udp, from: *from, to, local: None, bytes: &bytes };
                relay::put(&datagram, before, &mut datagrams);
                count += 1;
            }
        }
        flush(&mut datagrams, &mut count);
    }
}
