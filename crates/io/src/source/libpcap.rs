//! Live capture through libpcap: slower, as each packet is copied once more, but it works on every system it does.
//!
//! A batch is what one `pcap_dispatch` gives, copied into a buffer of its own: libpcap's packets do not outlive the
//! call they come from. It is asked without waiting, and the waiting is done here: with rings of version 3 libpcap's own
//! timeout starts at the first packet (pcap(3PCAP), "packet buffer timeout"), so an idle interface would never return.
//! An interface that goes down is waited for; one that is removed is an error.

use std::os::fd::AsFd;
use std::time::Duration;

use flowsonde_wire::capture::{MAX_CAPTURED, pcap as format};
use flowsonde_wire::{Frame, LinkType, Nanos, link};
use pcap::{Active, Capture, Error as PcapError, Precision};

use super::live::{Direction, LiveOptions};
use super::{BATCH, Counters, Error, NOTHING, Poll, Source, kernel};

/// A capture through libpcap.
pub struct Libpcap {
    interface: String,
    capture: Capture<Active>,
    link: LinkType,
    /// The user is to be told that packets of this type are not read.
    untold: bool,
    index: u32,
    copies: Vec<u8>,
    handed_on: u64,
    kernel_drops: u64,
    /// libpcap's drop count when it was last asked; it has 32 bits.
    drops_before: u32,
}

impl Libpcap {
    /// Starts to capture from `interface`.
    pub fn open(interface: &str, options: &LiveOptions) -> Result<Self, Error> {
        let failed = |error: PcapError| Error(format!("-i {interface}: cannot be captured from: {}", said(&error)));
        let buffer = u64::from(options.blocks) * u64::from(options.block_size);
        let capture = Capture::from_device(interface)
            .map_err(failed)?
            .snaplen(i32::try_from(options.snaplen.clamp(1, MAX_CAPTURED)).unwrap_or(i32::MAX))
            .promisc(options.promiscuous && interface != "any")
            .timeout(100)
            .buffer_size(i32::try_from(buffer).unwrap_or(i32::MAX))
            .precision(Precision::Nano);
        let mut capture = capture.open().and_then(Capture::setnonblock).map_err(failed)?;
        if options.direction != Direction::Both {
            let direction = match options.direction {
                Direction::Both => pcap::Direction::InOut,
                Direction::Received => pcap::Direction::In,
                Direction::Sent => pcap::Direction::Out,
            };
            capture.direction(direction).map_err(failed)?;
        }
        if let Some(filter) = &options.filter {
            capture.filter(filter, true).map_err(|error| {
                Error(format!("-f '{filter}': not a filter for {interface}: {}; see pcap-filter(7)", said(&error)))
            })?;
        }
        let link = format::link_type(u16::try_from(capture.get_datalink().0).unwrap_or(u16::MAX));
        Ok(Libpcap {
            interface: interface.to_owned(),
            capture,
            link,
            untold: !link::reads(link),
            index: kernel::interface_index(interface).unwrap_or(0),
            copies: Vec::new(),
            handed_on: 0,
            kernel_drops: 0,
            drops_before: 0,
        })
    }

    /// How its frames are to be read.
    pub fn link(&self) -> LinkType {
        self.link
    }
}

impl Source for Libpcap {
    fn poll(&mut self, consume: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        match self.dispatch(consume)? {
            0 => {}
            handed_on => return Ok(Poll::Frames(handed_on)),
        }
        kernel::readable(self.capture.as_fd(), Duration::from_millis(100))
            .map_err(|error| Error(format!("-i {}: cannot be waited for: {error}", self.interface)))?;
        match self.dispatch(consume)? {
            0 => Ok(Poll::Idle),
            handed_on => Ok(Poll::Frames(handed_on)),
        }
    }

    fn warning(&mut self) -> Option<String> {
        let (name, link) = (&self.interface, self.link);
        core::mem::take(&mut self.untold)
            .then(|| format!("{name}: link type {link} is not read: its packets are counted as link_type"))
    }

    fn counters(&mut self) -> Counters {
        if let Ok(stats) = self.capture.stats() {
            self.kernel_drops += u64::from(stats.dropped.wrapping_sub(self.drops_before));
            self.drops_before = stats.dropped;
        }
        Counters { seen: self.handed_on + self.kernel_drops, kernel_drops: self.kernel_drops, ..Counters::default() }
    }
}

impl Libpcap {
    /// Hands on what is there, and says how many.
    fn dispatch(&mut self, consume: &mut dyn FnMut(&[Frame<'_>])) -> Result<usize, Error> {
        let Libpcap { capture, copies, .. } = self;
        copies.clear();
        let mut heads = [(Nanos(0), 0_u32, 0_usize); BATCH];
        let mut len = 0;
        let dispatched = capture.dispatch(Some(BATCH), |packet| {
            if let Some(head) = heads.get_mut(len) {
                let seconds = u64::try_from(packet.header.ts.tv_sec).unwrap_or(0);
                // Nanoseconds, as they were asked for, in the field for microseconds.
                let nanos = u64::try_from(packet.header.ts.tv_usec).unwrap_or(0);
                *head = (Nanos::new(seconds, nanos), packet.header.len, packet.data.len());
                copies.extend_from_slice(packet.data);
                len += 1;
            }
        });
        match dispatched {
            Ok(_) | Err(PcapError::TimeoutExpired) => {}
            Err(error) => {
                return Err(Error(format!(
                    "-i {}: cannot be captured from any longer: {}",
                    self.interface,
                    said(&error)
                )));
            }
        }
        if len == 0 {
            return Ok(0);
        }
        let mut frames = [NOTHING; BATCH];
        let mut rest = copies.as_slice();
        for (frame, (time, wire_len, captured)) in frames.iter_mut().zip(heads).take(len) {
            let (bytes, after) = rest.split_at_checked(captured).unwrap_or((rest, &[]));
            rest = after;
            *frame = Frame { time, link: self.link, wire_len, interface: self.index, bytes };
        }
        consume(frames.get(..len).unwrap_or(&[]));
        self.handed_on += len as u64;
        Ok(len)
    }
}

/// What libpcap said, without the binding's words around it.
fn said(error: &PcapError) -> String {
    match error {
        PcapError::PcapError(text) => text.clone(),
        other => other.to_string(),
    }
}
