//! libndpi (<https://github.com/ntop/nDPI>, 4.2 and later): which application a flow is of.
//!
//! A [`Detector`] is shown the first packets of each flow, and says when it knows. Detectors share nothing: one a thread.

mod ffi;
mod files;
#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::path::Path;
use std::sync::Mutex;

pub use files::{Fault, Form};

/// What was found out about a flow. Laid out as `struct verdict` of `shim.c`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Verdict {
    /// Risks, a bit each.
    pub risk: u64,
    /// The protocol that carries, 0 where `app` is carried by none: TLS of "TLS.Google".
    pub master: u16,
    /// The application, 0 when not known: Google.
    pub app: u16,
    /// What it is for.
    pub category: u16,
    /// How bad the risks are together.
    pub score: u16,
    /// Of that, the client's part.
    pub client_score: u16,
    /// The server's.
    pub server_score: u16,
    /// How safe the protocol is.
    pub breed: u8,
    /// What the verdict rests on.
    pub confidence: u8,
    host_len: u8,
    host: [u8; 80],
}

impl Default for Verdict {
    fn default() -> Self {
        Verdict {
            risk: 0,
            master: 0,
            app: 0,
            category: 0,
            score: 0,
            client_score: 0,
            server_score: 0,
            breed: 0,
            confidence: 0,
            host_len: 0,
            host: [0; 80],
        }
    }
}

impl Verdict {
    /// Name of the host asked for: HTTP host, TLS server name, DNS question and the like. Bytes off the wire, at most 79.
    pub fn host(&self) -> &[u8] {
        self.host.get(..usize::from(self.host_len)).unwrap_or_default()
    }
}

/// Kinds of numbers that have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Of `master` and `app`.
    Protocols = 0,
    /// Of `category`.
    Categories,
    /// Of `breed`.
    Breeds,
    /// Of `confidence`.
    Confidences,
    /// Of the bits of `risk`.
    Risks,
}

/// Why there is no detector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The library loaded is not the one built for: API version and size of a flow of each.
    Version {
        /// Built for.
        built: (u32, u32),
        /// Loaded.
        loaded: (u32, u32),
    },
    /// What is wrong with a file of protocols or categories.
    File(Form, Fault),
    /// The library could not start: no memory.
    Start,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Error::Version { built, loaded } => write!(
                f,
                "the libndpi that is installed is not the one this was built for: API {} and {} bytes a flow, not {} and \
                 {}; build again, or install the one built for",
                loaded.0, loaded.1, built.0, built.1
            ),
            Error::File(_, fault) => fault.fmt(f),
            Error::Start => f.write_str("libndpi does not start: no memory"),
        }
    }
}

impl core::error::Error for Error {}

/// What a detector is to know besides what the library knows.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// Guess by port and address where packets told nothing.
    pub guess: bool,
    /// Want no more packets of a flow once its application is known: not the certificate that tells its risks.
    pub early: bool,
    /// A file of protocols, in the library's own form.
    pub protocols: Option<&'a Path>,
    /// A file of categories.
    pub categories: Option<&'a Path>,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Settings { guess: true, early: false, protocols: None, categories: None }
    }
}

/// The library's release, "4.2.0".
pub fn revision() -> String {
    ffi::revision()
}

/// A flow under way, of one detector.
#[derive(Debug)]
pub struct Flow(ffi::Flow);

impl Flow {
    /// Has it read into the cache, for a packet of it comes soon. Does not wait for it.
    #[inline]
    pub fn touch(&self) {
        self.0.touch();
    }
}

/// The library may have tables that are made with the first module: two are not to be made at once.
static MAKING: Mutex<()> = Mutex::new(());

/// Unused flows kept for the next ones.
const SPARE: usize = 1024;

/// Finds applications out.
#[derive(Debug)]
pub struct Detector {
    module: ffi::Module,
    spare: Vec<ffi::Flow>,
}

impl Detector {
    /// A detector, or why there is none.
    pub fn new(settings: &Settings<'_>) -> Result<Detector, Error> {
        let [built, loaded] = ffi::versions();
        if built != loaded {
            return Err(Error::Version { built, loaded });
        }
        let _alone = MAKING.lock();
        let mut module = ffi::Module::new(settings.guess, settings.early).ok_or(Error::Start)?;
        if let Some(path) = settings.protocols {
            load(path, Form::Protocols, |path| module.load_protocols(path))?;
        }
        if let Some(path) = settings.categories {
            load(path, Form::Categories, |path| module.load_categories(path))?;
        }
        if !module.ready() {
            return Err(Error::Start);
        }
        Ok(Detector { module, spare: Vec::new() })
    }

    /// A flow of which nothing is known; none when there is no memory.
    #[inline]
    pub fn begin(&mut self) -> Option<Flow> {
        self.spare.pop().or_else(ffi::Flow::new).map(Flow)
    }

    /// Shows the next packet of a flow, from its IP header to the last captured byte, at `ms` milliseconds. True when the
    /// verdict stands: it is in `out`, and no more packets are wanted. Of the `last` packet it always does.
    #[inline]
    pub fn packet(&mut self, flow: &mut Flow, ip: &[u8], ms: u64, last: bool, out: &mut Verdict) -> bool {
        self.module.packet(&mut flow.0, ip, ms, last, out)
    }

    /// The verdict on a flow of which no packet follows.
    pub fn give_up(&mut self, flow: &mut Flow, out: &mut Verdict) {
        self.module.give_up(&mut flow.0, out);
    }

    /// A flow is over, or its verdict stands.
    #[inline]
    pub fn end(&mut self, mut flow: Flow) {
        if self.spare.len() < SPARE {
            flow.0.clear();
            self.spare.push(flow.0);
        }
    }

    /// The protocol whose network an IPv4 address is of, 0 when none is known.
    pub fn address(&mut self, address: [u8; 4]) -> u16 {
        self.module.address(address)
    }

    /// Names by number, of one kind.
    pub fn names(&self, what: Names) -> Vec<String> {
        self.module.names(what)
    }
}

/// Reads a file, if it is sound. The library says nothing about one that is not there or not sound.
fn load(path: &Path, form: Form, read: impl FnOnce(&core::ffi::CStr) -> bool) -> Result<(), Error> {
    files::check(path, form).map_err(|fault| Error::File(form, fault))?;
    let refused = || Error::File(form, Fault::Unreadable("libndpi refuses it".to_owned()));
    let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| refused())?;
    if read(&name) { Ok(()) } else { Err(refused()) }
}
