//! `--relay-state`: how far relays' datagrams are in the outputs, in a file that the next run begins with.
//!
//! ```text
//! flowsonde-relays 1
//! relay ID EPOCH NEXT LOST     everything before this number is in the outputs, but what the relay lost: how many for
//!                              each reason, in the order of the ledger's page; the id in hexadecimal
//! file LENGTH PATH             which then had so many bytes: what is beyond was written for numbers from NEXT on
//! ```
//!
//! A run that was killed wrote perhaps more to its files than it could tell of; the relay sends that again. So they are cut
//! back to these lengths, and nothing is in them twice.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::PathBuf;

use flowsonde_io::source::exports::Position;
use flowsonde_wire::relay::Relay;

use crate::flags::Options;
use crate::log;
use crate::replace;
use crate::stop::Stop;

const FIRST_LINE: &str = "flowsonde-relays 1";

/// The file.
pub struct RelayState {
    path: PathBuf,
    /// What was in it.
    pub positions: Vec<Position>,
    /// Files that grow with what is collected.
    files: Vec<PathBuf>,
    failed: bool,
}

impl RelayState {
    /// Reads the file, if one was named, cuts files back to what it says, and sees that it can be written.
    pub fn open(options: &Options) -> Result<Option<RelayState>, Stop> {
        let Some(path) = options.collect.relay_state.clone() else { return Ok(None) };
        let place = format!("--relay-state={}", path.display());
        let (positions, lengths) = match fs::read_to_string(&path) {
            Ok(text) if text.is_empty() => Default::default(),
            Ok(text) => read(&text).map_err(|line| {
                Stop::Failed(format!("{place}: line {line} is none of such a file; remove it, or name another one"))
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => Default::default(),
            Err(error) => return Err(Stop::Failed(format!("{place}: {error}; give a file that can be read"))),
        };
        let files: Vec<PathBuf> = options.output.streams().filter_map(|(_, sink)| sink.file().cloned()).collect();
        for (length, file) in lengths.iter().filter(|(_, file)| files.contains(file)) {
            cut(file, *length).map_err(|error| Stop::Failed(format!("{place}: {}: {error}", file.display())))?;
        }
        let state = RelayState { path, positions, files, failed: false };
        let written = state.write(&state.positions);
        written.map_err(|error| Stop::Failed(format!("{place}: {error}; give a file that can be written")))?;
        Ok(Some(state))
    }

    /// Everything before these positions is in the outputs.
    pub fn keep(&mut self, positions: &[Position]) {
        match self.write(positions) {
            Ok(()) => self.failed = false,
            Err(error) if !self.failed => {
                self.failed = true;
                log::warn("collect", &format!("--relay-state={}: {error}; tried again", self.path.display()));
            }
            Err(_) => {}
        }
    }

    fn write(&self, positions: &[Position]) -> std::io::Result<()> {
        let mut text = format!("{FIRST_LINE}\n");
        for Position { relay, epoch, next, lost } in positions {
            text.push_str("relay ");
            relay.iter().for_each(|byte| _ = write!(text, "{byte:02x}"));
            let _infallible = write!(text, " {epoch} {next}");
            lost.iter().for_each(|lost| _ = write!(text, " {lost}"));
            text.push('\n');
        }
        for file in &self.files {
            if let Ok(found) = fs::metadata(file)
                && found.is_file()
            {
                let _infallible = writeln!(text, "file {} {}", found.len(), file.display());
            }
        }
        replace::file(&self.path, &text)
    }
}

/// Takes from a file what is beyond a length.
fn cut(file: &PathBuf, length: u64) -> std::io::Result<()> {
    match OpenOptions::new().write(true).open(file) {
        Ok(found) if found.metadata().is_ok_and(|found| found.is_file() && found.len() > length) => {
            found.set_len(length)
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

type Read = (Vec<Position>, Vec<(u64, PathBuf)>);

/// From text. Says which line is none of it.
fn read(text: &str) -> Result<Read, usize> {
    let (mut positions, mut files) = (Vec::new(), Vec::new());
    let mut lines = text.lines().enumerate();
    if lines.next().is_none_or(|(_, first)| first != FIRST_LINE) {
        return Err(1);
    }
    for (number, line) in lines {
        let mut words = line.splitn(3, ' ');
        let known = match (words.next(), words.next(), words.next()) {
            (Some("relay"), Some(relay), Some(rest)) => {
                let mut numbers = rest.split(' ').map(|word| word.parse::<u64>().ok());
                let position = id(relay).zip(numbers.next().flatten()).zip(numbers.next().flatten());
                position.map(|((relay, epoch), next)| {
                    let lost = std::array::from_fn(|_| numbers.next().flatten().unwrap_or(0));
                    positions.push(Position { relay, epoch, next, lost });
                })
            }
            (Some("file"), Some(length), Some(path)) => {
                length.parse().ok().map(|length| files.push((length, path.into())))
            }
            _ => None,
        };
        known.ok_or(number + 1)?;
    }
    Ok((positions, files))
}

fn id(text: &str) -> Option<Relay> {
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back_and_files_are_cut() {
        let folder = std::env::temp_dir().join(format!("flowsonde-relay-state-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (path, file) = (folder.join("state"), folder.join("a file"));
        fs::write(&file, b"one\ntwo\n").unwrap();
        let mut state = RelayState { path: path.clone(), positions: vec![], files: vec![file.clone()], failed: false };
        let positions = [Position { relay: [0xab; 16], epoch: 5, next: 7, lost: [0, 1, 2, 0, 0] }];
        state.keep(&positions);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{FIRST_LINE}\nrelay {} 5 7 0 1 2 0 0\nfile 8 {}\n", "ab".repeat(16), file.display()));
        assert_eq!(read(&text), Ok((positions.to_vec(), vec![(8, file.clone())])));
        fs::write(&file, b"one\ntwo\nthr").unwrap();
        cut(&file, 8).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"one\ntwo\n");
        cut(&file, 9).unwrap();
        assert_eq!(fs::read(&file).unwrap().len(), 8);
        cut(&folder.join("none"), 1).unwrap();
        for (text, line) in
            [("what\n", 1), ("flowsonde-relays 1\nrelay x 1 2\n", 2), ("flowsonde-relays 1\nfile 1\n", 2)]
        {
            assert_eq!(read(text), Err(line));
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
