//! What the program says about itself: help, the manual page, shell completions, and the reference in `docs/`.
//!
//! All of it is made from the table of flags, so none of it can lag behind. The files under `docs/` are checked by a
//! test; `BLESS=1 cargo test -p flowsonde-app` writes them anew.

mod completions;
mod help;
mod page;
mod reference;

#[cfg(test)]
mod tests;

pub use completions::completions;
pub use help::help;
pub use page::page;
pub use reference::reference;

/// The name of the program.
pub const PROGRAM: &str = "flowsonde";

/// What it is, in a line.
pub const SUMMARY: &str = "network flow probe: turns packets into flow records";

/// How it is called.
pub const USAGE: &str = "flowsonde [OPTIONS] -i INPUT [FILE.conf]";

/// The version, as `--version` prints it.
pub fn version() -> String {
    format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION"))
}

/// A chapter of the manual that is not about one option.
struct Chapter {
    title: &'static str,
    /// Paragraphs parted by a blank line; one that begins with four blanks is shown as it is.
    text: &'static str,
}

/// What the manual says before the options.
const DESCRIPTION: &str = "\
Reads packets from interfaces and capture files, meters them into flows, and exports the flows as NetFlow v5, \
NetFlow v9 or IPFIX, or writes them to files. Option names and letters are those of nProbe where it has them.

An option's value may follow in the next word, after `=`, or at once after a letter: `-t 60`, `-t=60`, `-t60`, \
`--lifetime-timeout 60` and `--lifetime-timeout=60` are the same. Of an option given twice the last counts, unless its \
description says that it adds up.";

/// What the manual says after the options.
const CHAPTERS: &[Chapter] = &[
    Chapter {
        title: "Configuration file",
        text: "\
A file named on the command line holds options, one a line, as `-x=value` or `--name=value`; a switch may end in `=`. \
Blank lines and lines that begin with `#` are skipped. Quotes around a whole value are taken off.

    # probe.conf
    -i=eth0
    --collector=10.0.0.1:2055
    --lifetime-timeout=60
    -a=

The file is read before the command line: of an option that is in both, the command line's counts. Options that add up \
add up over both, except `--interface`, where the command line's replaces the file's.",
    },
    Chapter {
        title: "Exit status",
        text: "\
0: done, or ended by a signal.

1: failed, for instance because a file cannot be read, a port is taken, records could not be written, or a collector \
got nothing at all; or ended by a second signal, at least a second after the \
first, which does not wait for anything.

2: used wrongly: an unknown option, a wrong value, options that do not go together.

What is wrong is said on stderr, in a first line that names the option, its value and what would be right.",
    },
    Chapter {
        title: "Examples",
        text: "\
Meter an interface and send NetFlow v9 to a collector:

    flowsonde -i eth0 -n 10.0.0.1:2055

Print the flows of a capture as JSON:

    flowsonde -i traffic.pcap --json - -T '%IPV4_SRC_ADDR %IPV4_DST_ADDR %IN_BYTES %OUT_BYTES'

Send IPFIX with both directions in a record, and keep an account of every packet:

    flowsonde -i eth0 -V 10 --ipfix-biflow -n tcp://10.0.0.1:4739 --ledger /var/lib/flowsonde/ledger.json",
    },
];
