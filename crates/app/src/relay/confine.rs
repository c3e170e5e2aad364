//! What the relay still needs once its ports are open and its keys are read.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use flowsonde_io::confine::{Needs, confine};

use super::options::Options;
use crate::flags::process::Verbosity;
use crate::log;

/// Where the C library finds out about names of hosts, and its parts that do so.
const NAMES: &[&str] = &["/etc", "/lib", "/lib64", "/usr/lib", "/usr/lib64"];
/// What it and the allocator look at besides.
const SYSTEM: &[&str] = &["/dev/null", "/dev/urandom", "/sys/devices/system/cpu"];
/// Answers that are too long for UDP come by TCP from this port.
const DNS: u16 = 53;

/// Gives everything else up, as far as this kernel lets us.
pub fn now(options: &Options) {
    for lack in confine(&needs(options)) {
        log::say(Verbosity::Ledger, &format!("not confined in full: {lack}"));
    }
}

fn needs(options: &Options) -> Needs {
    let mut needs = Needs::default();
    needs.read.extend(SYSTEM.iter().chain(NAMES).map(PathBuf::from));
    // It may be a link, to a file that is replaced.
    needs.read.extend(fs::canonicalize("/etc/resolv.conf").ok().as_deref().and_then(directory));
    options.allow_files.iter().map(Path::new).for_each(|path| places(path, &mut needs.read));
    options.authorised_keys.iter().for_each(|path| places(path, &mut needs.read));
    needs.write.extend(options.spool.clone());
    options.ledger.iter().chain(&options.bad_packets).for_each(|path| places(path, &mut needs.write));
    if let Some((endpoint, binds)) = &options.endpoint {
        let (host, port) = endpoint.trim_start_matches("tcp://").rsplit_once(':').unwrap_or_default();
        let port = port.parse().ok();
        match binds {
            true => needs.bind = port,
            false => needs.connect.extend(port),
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host != "*" && host.parse::<IpAddr>().is_err() {
            needs.connect.push(DNS);
        }
    }
    needs
}

/// The directory a file is in, and that of what it links to: files are replaced, by editors and by us. What is there and
/// no file, a pipe or a terminal, is itself.
fn places(path: &Path, to: &mut Vec<PathBuf>) {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return to.push(path.to_owned());
    }
    to.extend(directory(path));
    to.extend(fs::canonicalize(path).ok().as_deref().and_then(directory));
}

/// `None` is the root, all of which is too much.
fn directory(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    match parent.as_os_str().is_empty() {
        true => Some(PathBuf::from(".")),
        false => (parent != Path::new("/")).then(|| parent.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Needs {
        needs(&Options::read(["-c", "1", "--insecure"].iter().chain(words).copied()).unwrap())
    }

    #[test]
    fn ports_are_those_of_the_endpoint() {
        for (endpoint, bind, connect) in [
            ("tcp://*:5556c", Some(5556), &[][..]),
            ("tcp://192.0.2.1:5556c", Some(5556), &[]),
            ("tcp://eth0:5556c", Some(5556), &[53]),
            ("tcp://192.0.2.1:5556", None, &[5556]),
            ("tcp://[2001:db8::1]:5556", None, &[5556]),
            ("tcp://inside.example:5556", None, &[5556, 53]),
        ] {
            let needs = of(&["-z", endpoint]);
            assert_eq!((needs.bind, &needs.connect[..]), (bind, connect), "{endpoint}");
            assert!(needs.write.is_empty());
        }
    }

    #[test]
    fn files_are_reached_through_their_directories() {
        let needs = of(&[
            "-z",
            "tcp://*:1c",
            "--spool",
            "s",
            "--ledger",
            "none/l",
            "--dump-bad-packets",
            "b",
            "--allow-file",
            "/none/a",
        ]);
        assert_eq!(needs.write, ["s", "none", "."].map(PathBuf::from));
        assert!(needs.read.contains(&"/none".into()));
        assert_eq!(of(&["-z", "tcp://*:1c", "--ledger", "/dev/null"]).write, [Path::new("/dev/null")]);
        assert!(of(&["-z", "tcp://*:1c", "--ledger", "/l"]).write.is_empty());
    }
}
