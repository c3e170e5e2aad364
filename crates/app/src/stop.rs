//! Why a program ends early, and the exit code that says so: 1 it failed, 2 it was used wrongly.

use std::fmt;
use std::process::ExitCode;

/// The end of a program that cannot do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Wrong usage, exit code 2: an unknown option, a bad value, options that exclude each other.
    Usage(String),
    /// It was asked for properly but failed, exit code 1: an unreadable file, a port that is taken.
    Failed(String),
}

impl Stop {
    /// The same stop, saying first where it came up: an option and its value, a line of a file.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        match self {
            Stop::Usage(text) => Stop::Usage(format!("{place}: {text}")),
            Stop::Failed(text) => Stop::Failed(format!("{place}: {text}")),
        }
    }

    /// Says why on stderr, `program: reason` on the first line, and gives the exit code.
    pub fn report(&self, program: &str) -> ExitCode {
        crate::console::line(&format!("{program}: {self}"));
        self.code()
    }

    /// The exit code: 2 for wrong usage, 1 for a failure.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Stop::Usage(_) => 2,
            Stop::Failed(_) => 1,
        })
    }
}

/// A complaint about a value is one about usage.
impl From<String> for Stop {
    fn from(text: String) -> Self {
        Stop::Usage(text)
    }
}

impl From<&str> for Stop {
    fn from(text: &str) -> Self {
        Stop::Usage(text.to_owned())
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Usage(text) | Stop::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Stop {}
