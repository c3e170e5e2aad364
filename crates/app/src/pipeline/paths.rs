//! No file is read and written, and none is written by two outputs: opening an output empties it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flowsonde_io::source::Input;

use crate::flags::Options;
use crate::flags::value::Sink;
use crate::stop::Stop;

/// Refuses an output that is an input, or another output.
pub(super) fn check(options: &Options, inputs: &[Input]) -> Result<(), Stop> {
    let mut taken: Vec<(File, String)> = Vec::new();
    for input in inputs {
        let path = match input {
            Input::File(path) | Input::Member(path) => path.as_path(),
            Input::Stdin => Path::new("/dev/stdin"),
            Input::Interface(_) => continue,
        };
        taken.extend(File::at(path).map(|file| (file, format!("is what -i {} reads", path.display()))));
    }
    for (name, path) in outputs(options) {
        let Some(file) = File::at(path) else { continue };
        if let Some((_, use_)) = taken.iter().find(|(other, _)| *other == file) {
            return Err(Stop::Usage(format!("--{name}={}: {use_}; name another file", path.display())));
        }
        taken.push((file, format!("is what --{name} writes")));
    }
    Ok(())
}

/// The files that are written, with their options' names.
fn outputs(options: &Options) -> impl Iterator<Item = (&'static str, &Path)> {
    let streams = options.output.streams().filter_map(|(name, sink)| match sink {
        Sink::File(path) => Some((name, path.as_path())),
        Sink::Stdout => None,
    });
    let others = [
        ("ipfix-file", &options.output.ipfix_file),
        ("ledger", &options.process.ledger),
        ("pid-file", &options.process.pid_file),
    ];
    streams.chain(others.into_iter().filter_map(|(name, path)| Some((name, path.as_deref()?))))
}

/// Which file a path leads to, whatever it is called there.
#[derive(Debug, PartialEq, Eq)]
enum File {
    /// One that is there: device and number.
    There(u64, u64),
    /// One to be made: its directory and name.
    ToBe(PathBuf),
}

impl File {
    /// None for what any number may read and write: a pipe, a device.
    fn at(path: &Path) -> Option<File> {
        match fs::metadata(path) {
            Ok(found) if found.is_file() => Some(File::There(found.dev(), found.ino())),
            Ok(_) => None,
            Err(_) => {
                let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
                Some(File::ToBe(fs::canonicalize(directory).ok()?.join(path.file_name()?)))
            }
        }
    }
}
