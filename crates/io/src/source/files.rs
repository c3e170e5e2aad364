//! Several captures as one stream, one read after the other.

use std::collections::VecDeque;
use std::path::Path;

use flowsonde_wire::Frame;

use super::{CaptureFile, Counters, Error, Input, Poll, Source};

/// Captures read one after the other.
pub struct Files {
    inputs: VecDeque<Input>,
    filter: Option<String>,
    current: Option<CaptureFile>,
    /// Of the captures that are done with.
    before: Counters,
    /// Bytes of the captures that are done with, and of all, if all are files.
    done: u64,
    total: Option<u64>,
    warnings: VecDeque<String>,
    passed_over: usize,
    read: usize,
    another: bool,
}

impl Files {
    /// Takes the captures in the order they are in. Those the user named are looked at now, so that a wrong name is told
    /// before hours are spent on those before it.
    pub fn open(inputs: Vec<Input>, filter: Option<&str>) -> Result<Self, Error> {
        let mut total = Some(0_u64);
        for input in &inputs {
            let length = match input {
                Input::File(path) | Input::Member(path) => length(path),
                Input::Stdin => None,
                Input::Interface(name) => {
                    return Err(Error(format!("-i {name}: an interface cannot be read in a row with captures")));
                }
            };
            if let (Input::File(path), Some(_)) = (input, length) {
                CaptureFile::open(path, filter)?;
            }
            total = total.zip(length).map(|(total, length)| total + length);
        }
        Ok(Files {
            inputs: inputs.into(),
            filter: filter.map(str::to_owned),
            current: None,
            before: Counters::default(),
            done: 0,
            total,
            warnings: VecDeque::new(),
            passed_over: 0,
            read: 0,
            another: false,
        })
    }

    /// Goes on to the next capture. False when there is none.
    fn next(&mut self) -> Result<bool, Error> {
        if let Some(mut last) = self.current.take() {
            self.before = self.before.plus(last.counters());
            self.done += last.progress().map_or(0, |(_, length)| length);
            self.warnings.extend(last.warning());
        }
        let filter = self.filter.as_deref();
        while let Some(input) = self.inputs.pop_front() {
            let opened = match &input {
                Input::File(path) => CaptureFile::open(path, filter)?,
                Input::Stdin => CaptureFile::stdin(filter)?,
                Input::Member(path) => match CaptureFile::open(path, filter) {
                    Ok(opened) => opened,
                    // The expression is at fault, not the file.
                    Err(error) if error.0.starts_with("-f") => return Err(error),
                    Err(error) => {
                        self.passed_over += 1;
                        self.done += length(path).unwrap_or(0);
                        self.warnings.push_back(format!("passed over: {error}"));
                        continue;
                    }
                },
                // Refused by `open`.
                Input::Interface(_) => continue,
            };
            self.read += 1;
            self.current = Some(opened);
            return Ok(true);
        }
        if self.read == 0 && self.passed_over > 0 {
            return Err(Error(format!("-i: none of the {} files is a pcap or pcapng capture", self.passed_over)));
        }
        Ok(false)
    }
}

impl Source for Files {
    fn poll(&mut self, consume: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        loop {
            if let Some(current) = &mut self.current {
                match current.poll(consume)? {
                    Poll::End => {}
                    poll => return Ok(poll),
                }
            }
            if !self.next()? {
                return Ok(Poll::End);
            }
            if self.read > 1 {
                // Nothing of it is handed on before that is known.
                self.another = true;
                return Ok(Poll::Frames(0));
            }
        }
    }

    fn another(&mut self) -> bool {
        core::mem::take(&mut self.another)
    }

    fn counters(&mut self) -> Counters {
        match &mut self.current {
            Some(current) => self.before.plus(current.counters()),
            None => self.before,
        }
    }

    fn warning(&mut self) -> Option<String> {
        self.warnings.pop_front().or_else(|| self.current.as_mut()?.warning())
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
