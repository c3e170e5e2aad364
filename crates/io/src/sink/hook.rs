//! A command run for each file that is complete (`-R`), beside the program, which does not wait for it: but where it has
//! to be run for every file, as when reading captures. Then too many waiting files are waited for, and all at the end,
//! until a signal says to hurry.

use core::time::Duration;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What to run. The file's name is added as last argument; there is no shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program: a path, or a name looked up in `$PATH`.
    pub program: String,
    /// The arguments before the file's name.
    pub arguments: Vec<String>,
}

/// The commands running, and the files waiting for theirs.
#[derive(Debug)]
pub(super) struct Hook {
    command: Command,
    running: Vec<(Child, PathBuf)>,
    waiting: VecDeque<PathBuf>,
    told: bool,
    /// The command is to be run for every file, however long it takes; true in it says to hurry instead.
    every: Option<Arc<AtomicBool>>,
    notices: Vec<String>,
}

/// Commands running at a time.
const MOST_RUNNING: usize = 8;
/// Files waiting for one of them to end; a command that falls back further misses files.
const MOST_WAITING: usize = 1000;
/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(5);

impl Hook {
    pub(super) fn new(command: Command) -> Self {
        Hook { command, running: Vec::new(), waiting: VecDeque::new(), told: false, every: None, notices: Vec::new() }
    }

    /// Runs it for every file, if this is given, until that turns true.
    pub(super) fn every(self, hurry: Option<Arc<AtomicBool>>) -> Self {
        Hook { every: hurry, ..self }
    }

    /// Whether to wait for commands without limit.
    fn waits(&self) -> bool {
        self.every.as_ref().is_some_and(|hurry| !hurry.load(Ordering::Relaxed))
    }

    /// Runs the command for `file`, or will when another has ended.
    pub(super) fn run(&mut self, file: &Path) {
        while self.waiting.len() >= MOST_WAITING && self.waits() {
            std::thread::sleep(PAUSE);
            self.tick();
        }
        if self.waiting.len() >= MOST_WAITING {
            self.tell(&format!("too slow: {MOST_WAITING} files wait, and {} is passed over", file.display()));
        } else {
            self.waiting.push_back(file.to_owned());
        }
        self.tick();
    }

    /// Takes leave of the commands that have ended, and starts those that may.
    pub(super) fn tick(&mut self) {
        let mut at = 0;
        while let Some((child, _)) = self.running.get_mut(at) {
            match child.try_wait() {
                Ok(None) => at += 1,
                Ok(Some(status)) => {
                    let (_, file) = self.running.swap_remove(at);
                    if !status.success() {
                        self.tell(&format!("failed for {}: {status}", file.display()));
                    }
                }
                Err(_) => {
                    self.running.swap_remove(at);
                }
            }
        }
        while self.running.len() < MOST_RUNNING
            && let Some(file) = self.waiting.pop_front()
        {
            let child = std::process::Command::new(&self.command.program)
                .args(&self.command.arguments)
                .arg(&file)
                .stdin(Stdio::null())
                .stdout(like_stderr())
                .spawn();
            match child {
                Ok(child) => self.running.push((child, file)),
                Err(error) => self.tell(&format!("{error}; check the program's path and that it may be run")),
            }
        }
    }

    /// Waits for the commands, so long at most where not for every one. What still runs then goes on alone.
    pub(super) fn finish(&mut self, time: Duration) {
        self.tick();
        while !self.running.is_empty() && self.waits() {
            std::thread::sleep(PAUSE);
            self.tick();
        }
        let until = Instant::now() + time;
        while !self.running.is_empty() && Instant::now() < until {
            std::thread::sleep(PAUSE);
            self.tick();
        }
        if !self.waiting.is_empty() {
            self.told = false;
            self.tell(&format!("not run for the last {} files: others did not end in time", self.waiting.len()));
            self.waiting.clear();
        }
    }

    pub(super) fn notices(&mut self) -> Vec<String> {
        core::mem::take(&mut self.notices)
    }

    /// Tells of the first failure; more of them would be told at every file.
    fn tell(&mut self, what: &str) {
        if !self.told {
            self.told = true;
            self.notices.push(format!("-R {}: {what}", self.command.program));
        }
    }
}

/// Standard output may carry records, so what a command prints goes where errors go.
fn like_stderr() -> Stdio {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        std::io::stderr().as_fd().try_clone_to_owned().map_or_else(|_| Stdio::null(), Stdio::from)
    }
    #[cfg(not(unix))]
    Stdio::null()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Longer than any command here takes on any machine.
    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Command {
        Command { program: "sh".into(), arguments: vec!["-c".into(), script.into()] }
    }

    #[test]
    fn runs_with_the_path_as_last_argument() {
        let path = std::env::temp_dir().join(format!("flowsonde hook {}", std::process::id()));
        std::fs::write(&path, "").unwrap();
        let mut hook = Hook::new(shell("echo done > \"$0.out\"; rm \"$0\""));
        hook.run(&path);
        hook.finish(LONG);
        assert!(!path.exists());
        let out = path.with_added_extension("out");
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "done\n");
        std::fs::remove_file(out).unwrap();
        assert!(hook.notices().is_empty());
    }

    #[test]
    fn few_run_at_a_time() {
        let gate = std::env::temp_dir().join(format!("flowsonde-hook-gate-{}", std::process::id()));
        let mut hook = Hook::new(shell("while ! test -e \"$0\"; do sleep 0.01; done"));
        for _ in 0..20 {
            hook.run(&gate);
            assert!(hook.running.len() <= MOST_RUNNING);
        }
        assert_eq!((hook.running.len(), hook.waiting.len()), (MOST_RUNNING, 20 - MOST_RUNNING));
        std::fs::write(&gate, "").unwrap();
        hook.finish(LONG);
        std::fs::remove_file(gate).unwrap();
        assert!(hook.running.is_empty() && hook.waiting.is_empty() && hook.notices().is_empty());
    }

    #[test]
    fn every_file_has_its_turn_where_that_is_asked_for() {
        let out = std::env::temp_dir().join(format!("flowsonde-hook-every-{}", std::process::id()));
        std::fs::write(&out, "").unwrap();
        let hurry: Arc<AtomicBool> = Arc::default();
        let append = format!("echo \"$0\" >> '{}'", out.display());
        let mut hook = Hook::new(shell(&append)).every(Some(Arc::clone(&hurry)));
        let files = MOST_WAITING + 20;
        for number in 0..files {
            hook.run(Path::new(&number.to_string()));
        }
        hook.finish(Duration::ZERO);
        assert_eq!(std::fs::read_to_string(&out).unwrap().lines().count(), files);
        assert!(hook.notices().is_empty());

        // In a hurry those that still run are left alone, and the others are told of.
        let mut hook = Hook::new(shell("while test -e \"$0\"; do sleep 0.01; done")).every(Some(Arc::clone(&hurry)));
        for _ in 0..MOST_RUNNING + 2 {
            hook.run(&out);
        }
        hurry.store(true, Ordering::Relaxed);
        hook.finish(Duration::ZERO);
        assert_eq!(hook.running.len(), MOST_RUNNING);
        assert!(hook.notices()[0].contains("not run for the last 2 files"));
        std::fs::remove_file(out).unwrap();
    }

    #[test]
    fn failure_is_told_once() {
        let mut hook = Hook::new(shell("exit 3"));
        hook.run(Path::new("one"));
        hook.run(Path::new("two"));
        hook.finish(LONG);
        let said = hook.notices();
        assert!(said.len() == 1 && said[0].contains("exit status: 3"), "{said:?}");

        let mut hook = Hook::new(Command { program: "/nonexistent".into(), arguments: Vec::new() });
        hook.run(Path::new("one"));
        hook.run(Path::new("two"));
        hook.finish(LONG);
        let said = hook.notices();
        assert!(said.len() == 1 && said[0].starts_with("-R /nonexistent: No such file"), "{said:?}");
    }
}
