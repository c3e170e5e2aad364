//! Being root no longer than it is needed.

use std::path::Path;

use flowsonde_io::process;

use crate::log;
use crate::stop::Stop;

/// The directory of a file.
pub fn beside(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Who is root becomes this user, by default `flowsonde` or `nobody`, unless `keep`. Directories that are written to
/// `later` have to be that user's: otherwise a user who was named is refused, and root is kept where none was.
pub fn drop<'a>(named: Option<&str>, keep: bool, later: impl IntoIterator<Item = &'a Path>) -> Result<(), Stop> {
    if !process::is_root() || keep {
        return Ok(());
    }
    let user = match named {
        Some(name) => Some(process::User::named(name).ok_or_else(|| {
            Stop::Failed(format!("--unprivileged-user={name}: no such user; give one of this system"))
        })?),
        None => process::User::named("flowsonde").or_else(|| process::User::named("nobody")),
    };
    let Some(user) = user else { return Ok(()) };
    if let Some(directory) = later.into_iter().find(|directory| !user.can_write(directory)) {
        let text = format!("{} cannot be written to by {}", directory.display(), user.name);
        if named.is_some() {
            return Err(Stop::Failed(format!("--unprivileged-user={}: {text}; change its owner", user.name)));
        }
        log::warn("privileges", &format!("staying root: {text}"));
        return Ok(());
    }
    user.become_now().map_err(|error| {
        Stop::Failed(format!("cannot become {}: {error}; give --dont-drop-privileges to stay root", user.name))
    })
}
