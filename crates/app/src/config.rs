//! Configuration files, as nProbe has them: one option a line.
//!
//! ```text
//! # comment
//! -i=eth0
//! --lifetime-timeout=60
//! -G=
//! ```
//!
//! Name and value are parted by `=`, blanks, or both; a switch may end in `=`. Quotes around a whole value are taken
//! off, so that a line copied from a shell means the same. A `#` begins a comment only at the start of a line: values
//! contain it. Files do not include others.

use std::fs;

use crate::flags::parse::{Setting, split};
use crate::stop::Stop;

/// The options in a file, with the numbers of their lines. Errors begin with `file:line`.
pub fn settings(file: &str) -> Result<Vec<(usize, Setting)>, Stop> {
    let text = fs::read_to_string(file).map_err(|error| {
        Stop::Failed(format!("{file}: cannot read the configuration file: {error}; give one that can be read"))
    })?;
    let mut settings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let place = format!("{file}:{number}");
        for setting in parse(line).map_err(|stop| stop.at(&place))? {
            settings.push((number, setting));
        }
    }
    Ok(settings)
}

/// The option in one line, none in a blank line or a comment.
fn parse(line: &str) -> Result<Vec<Setting>, Stop> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(Vec::new());
    }
    if !line.starts_with('-') || line.trim_start_matches('-').is_empty() {
        return Err(Stop::Usage(format!("'{line}' is not an option; give -x=value or --name=value, one a line")));
    }
    let word = match line.find(|char: char| char == '=' || char.is_whitespace()) {
        None => line.to_owned(),
        Some(end) => {
            let (name, value) = line.split_at(end);
            let value = value.trim_start();
            let value = value.strip_prefix('=').unwrap_or(value).trim();
            format!("{name}={}", unquoted(value))
        }
    };
    Ok(split(&[word])?.settings)
}

/// A value without the quotes around it.
fn unquoted(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Options, capture::Input, read, value::Seconds};

    /// A file that is gone when the test ends.
    struct Scratch(String);

    impl Scratch {
        fn new(name: &str, text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("flowsonde-{}-{name}.conf", std::process::id()));
            fs::write(&path, text).unwrap();
            Scratch(path.to_str().unwrap().to_owned())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_file_says_what_the_command_line_can_say() {
        let file = Scratch::new(
            "says",
            "# a probe\n\n  -i=eth0  \n--lifetime-timeout = 60\n-d 10\n-T=\"%IN_BYTES %PROTOCOL\"\n-f=host 1.2.3.4\n-a=\n-n=none\r\n",
        );
        let from_file = read([&file.0]).unwrap();
        let from_line = read([
            "-i",
            "eth0",
            "--lifetime-timeout=60",
            "-d10",
            "-T",
            "%IN_BYTES %PROTOCOL",
            "-f",
            "host 1.2.3.4",
            "-a",
            "-n=none",
        ]);
        assert_eq!(from_file, from_line.unwrap());
    }

    #[test]
    fn file_and_command_line_combine() {
        let file = Scratch::new("combine", "-i=eth0\n-t=60\n-d=10\n-n=10.0.0.1\n");
        let options: Options = read(["-i", "x.pcap", &file.0, "-t=90", "-n=10.0.0.2"]).unwrap();
        assert_eq!(options.cache.active_timeout, Seconds(90), "the command line wins");
        assert_eq!(options.cache.idle_timeout, Seconds(10), "the file stays");
        assert_eq!(options.export.collectors.len(), 2, "lists add up");
        assert_eq!(options.capture.inputs, [Input::Named("x.pcap".into())], "but for -i");
    }

    #[test]
    fn errors_name_file_and_line() {
        for (text, error) in [
            ("-i=eth0\n-t=abc\n", ":2: -t/--lifetime-timeout=abc: not a number of seconds; give 1 to 86400000"),
            ("\n\neth0\n", ":3: 'eth0' is not an option; give -x=value or --name=value, one a line"),
            ("--\n", ":1: '--' is not an option; give -x=value or --name=value, one a line"),
            ("-t=\n", ":1: -t/--lifetime-timeout: needs a value; give SECONDS, like 60"),
            ("--redis=x\n", ":1: --redis: nProbe option --redis is not supported by this version; leave it out"),
        ] {
            let file = Scratch::new("errors", text);
            assert_eq!(read([&file.0]), Err(Stop::Usage(format!("{}{error}", file.0))));
        }
    }
}
