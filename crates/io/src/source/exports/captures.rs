//! Captures and payload files as exporters: read one after the other, with one state.

use std::collections::VecDeque;
use std::path::Path;

use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};

use super::payload::{self, EXPORTER, STEP};
use super::pcap::{Packets, Ports};
use super::{Counters, Error, Exports, Poll, Take};
use crate::source::{self, CaptureFile, Input, Source};

/// Captures and payload files, in the order they are named.
pub struct Captures {
    inputs: VecDeque<Input>,
    filter: Option<String>,
    current: Option<CaptureFile>,
    packets: Packets,
    /// Where payload files go to: the port that was named, 0 when none was.
    to: u16,
    /// The time of the next payload file.
    clock: Nanos,
    /// Of the captures that are done with.
    before: source::Counters,
    done: u64,
    total: Option<u64>,
    notices: Vec<String>,
    passed_over: usize,
    read: usize,
    ended: bool,
}

impl Captures {
    /// Takes the files in the order they are in. Payload files are given times from `start` on, a millisecond apart.
    /// Captures the user named are looked at now, so that a wrong name is told before hours are spent on those before it.
    pub fn open(inputs: Vec<Input>, ports: Ports, filter: Option<&str>, start: Nanos) -> Result<Self, Error> {
        let mut total = Some(0_u64);
        for input in &inputs {
            let length = match input {
                Input::File(path) | Input::Member(path) => length(path),
                Input::Stdin => None,
                Input::Interface(name) => {
                    return Err(Error(format!("-i {name}: an interface cannot be read in a row with captures")));
                }
            };
            if let (Input::File(path), Some(_)) = (input, length)
                && !payload::is_payload(path)
            {
                CaptureFile::open(path, filter)?;
            }
            total = total.zip(length).map(|(total, length)| total + length);
        }
        let to = match &ports {
            Ports::Only(ports) => ports.first().copied().unwrap_or(0),
            Ports::Any => 0,
        };
        Ok(Captures {
            inputs: inputs.into(),
            filter: filter.map(str::to_owned),
            current: None,
            packets: Packets::new(ports),
            to,
            clock: start,
            before: source::Counters::default(),
            done: 0,
            total,
            notices: Vec::new(),
            passed_over: 0,
            read: 0,
            ended: false,
        })
    }

    /// Reads on in the current capture; `None` when it is over.
    fn go_on(&mut self, take: &mut dyn Take) -> Result<Option<Poll>, Error> {
        let Some(current) = &mut self.current else { return Ok(None) };
        let (packets, mut messages) = (&mut self.packets, 0);
        let poll = current.poll(&mut |frames| messages += packets.frames(frames, take))?;
        match poll {
            Poll::Frames(_) => Ok(Some(Poll::Frames(messages))),
            Poll::Idle => Ok(Some(Poll::Idle)),
            Poll::End => {
                self.before = self.before.plus(current.counters());
                self.done += current.progress().map_or(0, |(_, length)| length);
                self.notices.extend(current.warning());
                self.current = None;
                Ok(None)
            }
        }
    }

    /// Opens the next file; a payload file is handed on at once.
    fn next(&mut self, input: &Input, take: &mut dyn Take) -> Result<usize, Error> {
        let filter = self.filter.as_deref();
        let opened = match input {
            Input::File(path) | Input::Member(path) if payload::is_payload(path) => {
                self.done += length(path).unwrap_or(0);
                return self
                    .payload(path, take)
                    .map_err(|error| Error(format!("-i {}: cannot be read: {error}", path.display())));
            }
            Input::File(path) => CaptureFile::open(path, filter)?,
            Input::Stdin => CaptureFile::stdin(filter)?,
            Input::Member(path) => match CaptureFile::open(path, filter) {
                Ok(opened) => opened,
                // The expression is at fault, not the file.
                Err(error) if error.0.starts_with("-f") => return Err(error),
                Err(error) => {
                    self.passed_over += 1;
                    self.done += length(path).unwrap_or(0);
                    self.notices.push(format!("passed over: {error}"));
                    return Ok(0);
                }
            },
            // Refused by `open`.
            Input::Interface(_) => return Ok(0),
        };
        self.read += 1;
        self.current = Some(opened);
        Ok(0)
    }

    fn payload(&mut self, path: &Path, take: &mut dyn Take) -> std::io::Result<usize> {
        let bytes = payload::read(path)?;
        self.read += 1;
        let time = self.clock;
        self.clock = Nanos(time.0.saturating_add(STEP));
        let Some(bytes) = bytes else {
            self.packets.counters.truncated += 1;
            self.notices.push(format!("-i {}: longer than a datagram can be; passed over", path.display()));
            return Ok(0);
        };
        self.packets.counters.datagrams += 1;
        self.packets.counters.bytes += bytes.len() as u64;
        take.datagrams(&[Datagram {
            time,
            transport: Transport::Udp,
            from: EXPORTER,
            to: self.to,
            local: None,
            bytes: &bytes,
        }]);
        Ok(1)
    }
}

impl Exports for Captures {
    fn poll(&mut self, take: &mut dyn Take) -> Result<Poll, Error> {
        loop {
            if let Some(poll) = self.go_on(take)? {
                return Ok(poll);
            }
            if let Some(input) = self.inputs.pop_front() {
                match self.next(&input, take)? {
                    0 => continue,
                    count => return Ok(Poll::Frames(count)),
                }
            }
            if self.read == 0 && self.passed_over > 0 {
                return Err(Error(format!("-i: none of the {} files is a capture or a payload", self.passed_over)));
            }
            if !self.ended {
                self.ended = true;
                let count = self.packets.finish(take);
                if count > 0 {
                    return Ok(Poll::Frames(count));
                }
            }
            return Ok(Poll::End);
        }
    }

    fn counters(&mut self) -> Counters {
        let read = match &mut self.current {
            Some(current) => self.before.plus(current.counters()),
            None => self.before,
        };
        let found = self.packets.counters;
        Counters { packets: read.seen, cut: read.cut, other: found.other + read.filtered, ..found }
    }

    fn notices(&mut self) -> Vec<String> {
        self.notices.extend(self.current.as_mut().and_then(Source::warning));
        core::mem::take(&mut self.notices)
    }

    fn progress(&self) -> Option<(u64, u64)> {
        let now = self.current.as_ref().and_then(CaptureFile::progress).map_or(0, |(done, _)| done);
        self.total.map(|total| ((self.done + now).min(total), total))
    }
}

/// Bytes of a regular file.
fn length(path: &Path) -> Option<u64> {
    path.metadata().ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len())
}

#[cfg(test)]
mod tests;
