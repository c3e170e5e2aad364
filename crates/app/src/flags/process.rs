//! The program itself: what it does, what it says, and what it runs as.

use std::path::PathBuf;

use super::value::{Seconds, one_of};
use super::{Flag, Group, Offer, Value};

/// What was asked for about the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// What to do.
    pub action: Action,
    /// How much to say.
    pub verbosity: Verbosity,
    /// Whether a progress line may be shown.
    pub progress: bool,
    /// Where the ledger is written.
    pub ledger: Option<PathBuf>,
    /// How often the ledger is written.
    pub ledger_interval: Seconds,
    /// Run in the background.
    pub daemon: bool,
    /// Where the process id is written.
    pub pid_file: Option<PathBuf>,
    /// Stay root.
    pub keep_privileges: bool,
    /// The user to become when started as root; `None` is the first of the usual ones there is.
    pub user: Option<String>,
}

impl Default for Process {
    fn default() -> Self {
        Process {
            action: Action::Run,
            verbosity: Verbosity::Normal,
            progress: true,
            ledger: None,
            ledger_interval: Seconds(5),
            daemon: false,
            pid_file: None,
            keep_privileges: false,
            user: None,
        }
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run.
    Run,
    /// Check the options and say what is wrong.
    CheckConfig,
    /// Print help.
    Help,
    /// Print the elements a template may hold, or those whose name or group contains this.
    Elements(Option<String>),
    /// Print the version.
    Version,
    /// Print that there is no licence key.
    License,
    /// Print the manual page.
    Man,
    /// Print completions for a shell.
    Completions(Shell),
}

impl Action {
    /// Whether options must fit together for it.
    pub fn needs_checked_options(&self) -> bool {
        matches!(self, Action::Run | Action::CheckConfig)
    }
}

/// A shell that completes options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

/// How much to say on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// What goes wrong.
    Normal,
    /// Also the ledger, each time it is taken.
    Ledger,
    /// Also what the program does.
    Everything,
}

/// The options.
pub const SPEC: Group = Group {
    name: "process",
    title: "Program",
    flags: &[
        Flag {
            long: "ledger",
            value: Value::One("FILE"),
            help: "Keep an account of every packet and flow in this file, as JSON",
            doc: "What each stage received, delivered, lost for which reason, and holds. The file is replaced as a whole \
                  every few seconds and at the end, so that a reader never sees half of it. The format is in \
                  `docs/ledger.schema.json`.",
            offer: Offer::Files,
            good: &["/var/lib/flowsonde/ledger.json"],
            bad: &["-"],
            apply: |options, text| {
                if text == "-" {
                    return Err("not for the standard output; give a file, or /dev/stdout, or -b 1 for a table".into());
                }
                options.process.ledger = Some(PathBuf::from(text));
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "ledger-interval",
            value: Value::One("SECONDS"),
            default: "5",
            help: "How often the ledger is written",
            good: &["60"],
            bad: &["0", "x"],
            apply: |options, text| {
                options.process.ledger_interval = Seconds::parse(text, 1)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('b'),
            long: "verbose",
            value: Value::One("0|1|2"),
            default: "0",
            help: "What to say: 0 what goes wrong, 1 also the ledger, 2 also what is done",
            offer: Offer::Words(&["0", "1", "2"]),
            good: &["0", "1", "2"],
            bad: &["3", "yes"],
            apply: |options, text| {
                let levels = [("0", Verbosity::Normal), ("1", Verbosity::Ledger), ("2", Verbosity::Everything)];
                options.process.verbosity = one_of(text, &levels)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "no-progress",
            help: "Show no progress line",
            doc: "One is shown only when captures are read and stderr is a terminal.",
            apply: |options, _| {
                options.process.progress = false;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('G'),
            long: "daemon-mode",
            help: "Run in the background",
            apply: |options, _| {
                options.process.daemon = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "pid-file",
            value: Value::One("FILE"),
            help: "Write the process id to this file, and remove it at the end",
            offer: Offer::Files,
            good: &["/run/flowsonde.pid"],
            apply: |options, text| {
                options.process.pid_file = Some(PathBuf::from(text));
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "unprivileged-user",
            value: Value::One("USER"),
            help: "User to become when started as root, after interfaces are open",
            doc: "The default is `flowsonde` if there is such a user, else `nobody`. The directories of `--ledger` and `-P` \
                  have to be that user's, as `/var/lib/flowsonde` may be: where it may not write the program stays root, \
                  with a warning, or ends, if the user was named.",
            offer: Offer::Users,
            good: &["flowsonde"],
            bad: &["a b", "-x"],
            apply: |options, text| {
                let fits = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '$');
                if text.starts_with('-') || !text.chars().all(fits) {
                    return Err("not the name of a user; give one in /etc/passwd".into());
                }
                options.process.user = Some(text.to_owned());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "dont-drop-privileges",
            help: "Stay root",
            apply: |options, _| {
                options.process.keep_privileges = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "check-config",
            help: "Check options and configuration file, and run nothing",
            doc: "Exits with 0 if they are right, with 2 and the first complaint if not.",
            apply: |options, _| {
                options.process.action = Action::CheckConfig;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('h'),
            long: "help",
            help: "Print this help",
            apply: |options, _| {
                options.process.action = Action::Help;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('H'),
            long: "help-netflow",
            aliases: &["help-neflow"],
            value: Value::Maybe("WORD"),
            help: "List the elements of -T, or those whose name or group contains WORD",
            good: &["dns", "BYTES"],
            apply: |options, text| {
                options.process.action = Action::Elements((!text.is_empty()).then(|| text.to_owned()));
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('v'),
            long: "version",
            help: "Print the version",
            apply: |options, _| {
                options.process.action = Action::Version;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "man",
            help: "Print the manual page",
            doc: "As roff: `flowsonde --man | man -l -`.",
            apply: |options, _| {
                options.process.action = Action::Man;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "completions",
            value: Value::One("SHELL"),
            help: "Print completions for bash, zsh or fish",
            doc: "For bash: `flowsonde --completions bash > /etc/bash_completion.d/flowsonde`.",
            offer: Offer::Words(&["bash", "zsh", "fish"]),
            good: &["bash", "zsh", "fish"],
            bad: &["csh"],
            apply: |options, text| {
                let shells = [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];
                options.process.action = Action::Completions(one_of(text, &shells)?);
                Ok(())
            },
            ..Flag::SWITCH
        },
    ],
};
