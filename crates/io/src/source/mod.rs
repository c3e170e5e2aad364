//! Where packets come from.

#[cfg(target_os = "linux")]
pub mod af_packet;
pub mod exports;
pub mod files;
pub mod filter;
mod kernel;
pub mod libpcap;
pub mod list;
pub mod live;
pub mod paced;
pub mod pcap_file;
#[cfg(target_os = "linux")]
mod spread;
mod window;

use flowsonde_wire::{Frame, LinkType, Nanos};

pub use files::Files;
pub use list::{Input, resolve};
pub use live::LiveOptions;
pub use paced::Paced;
pub use pcap_file::CaptureFile;

/// What one [`Source::poll`] came to, or one [`exports::Exports::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// This many frames, or messages, were handed on; none when all that was looked at was filtered or no packet.
    Frames(usize),
    /// Nothing arrived in time; more may come. Live sources only.
    Idle,
    /// The source is at its end.
    End,
}

/// A stream of captured packets.
pub trait Source {
    /// Hands the next frames to `consume`, at most [`BATCH`] at a time and in order of capture, borrowed from the
    /// source's own buffer. Waits at most about 100 ms for the first one.
    fn poll(&mut self, consume: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error>;

    /// True once when the frames that follow are of another capture than those before, which may be older.
    fn another(&mut self) -> bool {
        false
    }

    /// What the source itself saw and lost, since it was opened.
    fn counters(&mut self) -> Counters;

    /// What the user should know and has not been told yet; to be asked for at the end, and now and then before.
    fn warning(&mut self) -> Option<String> {
        None
    }

    /// How far it is and how far it goes, in bytes on disk; `None` when there is no end to it.
    fn progress(&self) -> Option<(u64, u64)> {
        None
    }
}

/// Most frames handed on in one call.
pub const BATCH: usize = 32;

/// What fills a batch before frames do.
const NOTHING: Frame<'static> = Frame { time: Nanos(0), link: LinkType::NULL, wire_len: 0, interface: 0, bytes: &[] };

/// What a source saw and lost. Handed on = `seen` - every loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets the source saw, lost ones included.
    pub seen: u64,
    /// Dropped by the kernel because the ring was full.
    pub kernel_drops: u64,
    /// Turned away by the `-f` filter in this program (a kernel filter's are never seen).
    pub filtered: u64,
    /// Records of a capture file that cannot be read: cut off by its end, broken, or of an interface it does not
    /// describe.
    pub cut: u64,
}

impl Counters {
    /// The sum of two sources'.
    pub fn plus(self, other: Counters) -> Counters {
        Counters {
            seen: self.seen + other.seen,
            kernel_drops: self.kernel_drops + other.kernel_drops,
            filtered: self.filtered + other.filtered,
            cut: self.cut + other.cut,
        }
    }
}

/// Why a source cannot be opened or read on; its text names the file or interface and what would help.
#[derive(Debug)]
pub struct Error(pub String);

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Error {}
