//! Landlock, then seccomp.

use super::Needs;
use crate::process;

// Tables of calls differ from CPU to CPU.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod calls;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod calls {
    pub(super) fn filter() -> Result<(), &'static str> {
        Err("not written for this CPU")
    }
}
mod places;

/// Takes everything but what is needed from this thread and those it starts; tells what it could not.
///
/// Also: no new privileges, and no memory for debuggers and core files, as there are keys in it; the latter is for the
/// whole process.
pub fn confine(needs: &Needs) -> Vec<String> {
    let mut lacks = Vec::new();
    if let Err(error) = process::hide_memory() {
        lacks.push(format!("debuggers can see memory: {error}"));
    }
    if let Err(error) = process::refuse_privileges() {
        lacks.push(format!("new privileges can be had: {error}"));
    }
    match places::close(needs) {
        Ok(..4) => lacks.push("all TCP ports stay open: Landlock knows none before Linux 6.7".to_owned()),
        Ok(_) => {}
        Err(error) => lacks.push(format!("all files stay open, Landlock: {error}")),
    }
    if let Err(error) = calls::filter() {
        lacks.push(format!("all system calls stay open, seccomp: {error}"));
    }
    lacks
}

#[cfg(test)]
mod tests;
