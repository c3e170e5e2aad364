//! What `-i` and `--pcap-file-list` name: files, directories, standard input, interfaces.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, kernel};

/// One thing to read packets from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file the user named: it has to be a capture.
    File(PathBuf),
    /// A file of a directory the user named: passed over, with a warning, when it is no capture.
    Member(PathBuf),
    /// Standard input.
    Stdin,
    /// A network interface.
    Interface(String),
}

/// What the value of `-i` means: a file or directory that exists, or else an interface; or several, with commas.
/// A name with a slash is never an interface. `none` is no input.
pub fn resolve(argument: &str) -> Result<Vec<Input>, Error> {
    if argument == "none" {
        return Ok(Vec::new());
    }
    // A file may have a comma in its name.
    if let Some(inputs) = one(argument)? {
        return Ok(inputs);
    }
    let mut inputs = Vec::new();
    for name in argument.split(',') {
        match one(name)? {
            Some(found) => inputs.extend(found),
            None => return Err(unknown(name)),
        }
    }
    Ok(inputs)
}

/// The captures a file names, one path a line; what follows a `#` at the start of a line is a comment.
pub fn listed(list: &Path) -> Result<Vec<Input>, Error> {
    let name = list.display();
    let text =
        fs::read_to_string(list).map_err(|error| Error(format!("--pcap-file-list {name}: cannot be read: {error}")))?;
    let mut inputs = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let found = match line {
            "-" => Some(vec![Input::Stdin]),
            _ => path(line)?,
        };
        match found {
            Some(found) => inputs.extend(found),
            None => {
                return Err(Error(format!(
                    "--pcap-file-list {name}: line {number}: no file '{line}'; give one path a line"
                )));
            }
        }
    }
    if inputs.is_empty() {
        return Err(Error(format!("--pcap-file-list {name}: names no file; give one path a line")));
    }
    Ok(inputs)
}

/// What one name stands for, if for anything.
fn one(name: &str) -> Result<Option<Vec<Input>>, Error> {
    if name == "-" {
        return Ok(Some(vec![Input::Stdin]));
    }
    if let Some(found) = path(name)? {
        return Ok(Some(found));
    }
    if name == "any" || kernel::interface_index(name).is_some() {
        return Ok(Some(vec![Input::Interface(name.to_owned())]));
    }
    Ok(None)
}

/// The file called `name`, or those in the directory of that name.
fn path(name: &str) -> Result<Option<Vec<Input>>, Error> {
    let path = Path::new(name);
    if path.is_dir() {
        return members(path).map(Some);
    }
    match path.try_exists() {
        Ok(true) => Ok(Some(vec![Input::File(path.to_owned())])),
        Ok(false) => Ok(None),
        // "eth0/x" where eth0 is a file, or a directory that must not be looked into.
        Err(error) if name.contains('/') => Err(Error(format!("-i {name}: cannot be looked at: {error}"))),
        Err(_) => Ok(None),
    }
}

/// The regular files of a directory, by name.
fn members(directory: &Path) -> Result<Vec<Input>, Error> {
    let failed = |error| Error(format!("-i {}: cannot be listed: {error}", directory.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(Error(format!("-i {}: a directory without files", directory.display())));
    }
    paths.sort();
    Ok(paths.into_iter().map(Input::Member).collect())
}

fn unknown(name: &str) -> Error {
    let mut interfaces: Vec<String> = fs::read_dir("/sys/class/net")
        .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    interfaces.sort();
    interfaces.push("any".to_owned());
    Error(format!("-i {name}: no such file, directory or interface; interfaces here: {}", interfaces.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("flowsonde-list-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("scratch directory");
        path
    }

    #[test]
    fn files_directories_and_lists() {
        let directory = scratch("all");
        let [a, b, comma] = ["b.pcap", "a.pcap", "x,y.pcap"].map(|name| directory.join(name));
        for path in [&a, &b, &comma] {
            fs::write(path, "x").expect("written");
        }
        fs::create_dir_all(directory.join("inner")).expect("directory");
        let text = |path: &Path| path.to_str().expect("utf-8").to_owned();

        let members = [&b, &a, &comma].map(|path| Input::Member(path.clone())).to_vec();
        assert_eq!(resolve(&text(&directory)).expect("directory"), members);
        assert_eq!(resolve(&text(&comma)).expect("comma"), [Input::File(comma.clone())]);
        let both = format!("{},{},-", text(&a), text(&b));
        let expected = [Input::File(a.clone()), Input::File(b.clone()), Input::Stdin];
        assert_eq!(resolve(&both).expect("list"), expected);
        assert!(resolve(&text(&directory.join("inner"))).is_err());

        let list = directory.join("list");
        fs::write(&list, format!("# these\n\n{}\n  {}\n", text(&a), text(&b))).expect("written");
        assert_eq!(listed(&list).expect("list"), [Input::File(a), Input::File(b)]);
        fs::write(&list, "/no/such/file\n").expect("written");
        assert!(listed(&list).expect_err("wrong").0.contains("line 1"));
        fs::remove_dir_all(directory).expect("removed");
    }

    #[test]
    fn what_is_nothing_is_told_with_what_there_is() {
        let error = resolve("nosuch0").expect_err("wrong").0;
        assert!(error.starts_with("-i nosuch0: ") && error.ends_with("any"), "{error}");
        assert!(resolve("").is_err() && resolve("any,,any").is_err());
        assert_eq!(resolve("none").expect("none"), []);
        assert_eq!(resolve("any").expect("any"), [Input::Interface("any".to_owned())]);
    }
}
