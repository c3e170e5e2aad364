//! From words to [`Options`].
//!
//! `-x value`, `-x=value`, `-xvalue`, `--long value` and `--long=value` say the same; switches may be joined (`-ar`) and
//! may end in a bare `=`, as in configuration files. An option takes the next word as its value whatever that looks
//! like (`-u -1`, `-i -`), unless it is the long name of another option. A word that is no option is the name of a
//! configuration file, at most one; `--` ends the options.
//!
//! The file is read before the command line, so what is said last on the command line counts.

use std::ffi::OsString;
use std::path::Path;

use flowsonde_io::source::{Input, list};

use super::{Flag, Options, Repeat, Value, by_letter, by_name, foreign};
use crate::config;
use crate::stop::Stop;

/// An option that was given, with its value.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Which option.
    pub flag: &'static Flag,
    /// Its value; empty for a switch.
    pub value: String,
    /// How an error names it: `--name=value`, or `-x/--name=value` if the letter was used.
    pub shown: String,
}

/// What a list of words says.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// The options, in order.
    pub settings: Vec<Setting>,
    /// The configuration file, if one is named.
    pub file: Option<String>,
}

/// Reads the words of the command line (without the program's name), and the configuration file if one is named, into
/// checked options.
pub fn read<T: Into<OsString>>(arguments: impl IntoIterator<Item = T>) -> Result<Options, Stop> {
    let mut words = Vec::new();
    for argument in arguments {
        words.push(argument.into().into_string().map_err(|word| {
            Stop::Usage(format!("{}: not UTF-8; give names and values in UTF-8", word.to_string_lossy()))
        })?);
    }
    let line = split(&words)?;
    let mut options = Options::default();
    if let Some(file) = &line.file {
        let replaced = |flag: &Flag| {
            flag.repeat == Repeat::Replaces && line.settings.iter().any(|other| other.flag.long == flag.long)
        };
        for (number, setting) in config::settings(file)? {
            if !replaced(setting.flag) {
                apply(&setting, &mut options).map_err(|stop| stop.at(&format!("{file}:{number}")))?;
            }
        }
    }
    for setting in &line.settings {
        apply(setting, &mut options)?;
    }
    if options.process.action.needs_checked_options() {
        options.check()?;
    }
    Ok(options)
}

/// Reads one option's value into the options; a refusal names the option and the value.
pub fn apply(setting: &Setting, options: &mut Options) -> Result<(), Stop> {
    (setting.flag.apply)(options, &setting.value).map_err(|stop| stop.at(&setting.shown))
}

/// Sorts words into options and the configuration file.
pub fn split(words: &[String]) -> Result<Words, Stop> {
    let mut found = Words::default();
    let mut rest = words.iter().map(String::as_str).peekable();
    while let Some(word) = rest.next() {
        if word == "--" {
            for word in rest.by_ref() {
                file(&mut found, word)?;
            }
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let flag = by_name(name).ok_or_else(|| foreign::unknown_name(name))?;
            found.settings.push(setting(flag, format!("--{name}"), value, &mut rest)?);
        } else if word.len() > 1
            && let Some(letters) = word.strip_prefix('-')
        {
            short(letters, &mut rest, &mut found.settings)?;
        } else {
            file(&mut found, word)?;
        }
    }
    Ok(found)
}

/// Reads what follows one dash: switches, of which the last may be an option with a value.
fn short<'a>(
    letters: &'a str,
    rest: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    settings: &mut Vec<Setting>,
) -> Result<(), Stop> {
    let mut chars = letters.chars();
    while let Some(letter) = chars.next() {
        let flag = by_letter(letter).ok_or_else(|| foreign::unknown_letter(letter))?;
        let tail = chars.as_str();
        let shown = flag.names();
        if let Some(value) = tail.strip_prefix('=') {
            settings.push(setting(flag, shown, Some(value), rest)?);
            return Ok(());
        }
        if flag.value != Value::No && !tail.is_empty() {
            settings.push(setting(flag, shown, Some(tail), rest)?);
            return Ok(());
        }
        settings.push(setting(flag, shown, None, rest)?);
    }
    Ok(())
}

/// Pairs an option with its value: the one joined to it, or the next word if it needs one.
fn setting<'a>(
    flag: &'static Flag,
    shown: String,
    joined: Option<&'a str>,
    rest: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
) -> Result<Setting, Stop> {
    let value = match (flag.value, joined) {
        (Value::No, None | Some("")) => return Ok(Setting { flag, value: String::new(), shown }),
        (Value::No, Some(value)) => {
            return Err(Stop::Usage(format!("{shown}={value}: takes no value; give --{} alone", flag.long)));
        }
        (Value::One(_) | Value::Maybe(_), Some(value)) => value,
        (Value::One(_), None) => rest.next_if(|word| !is_long_option(word)).unwrap_or_default(),
        (Value::Maybe(_), None) => rest.next_if(|word| !word.starts_with('-')).unwrap_or_default(),
    };
    match (flag.value, value) {
        (Value::One(placeholder), "") => {
            let like = flag.good.first().map(|good| format!(", like {good}")).unwrap_or_default();
            Err(Stop::Usage(format!("{shown}: needs a value; give {placeholder}{like}")))
        }
        (Value::Maybe(_), "") => Ok(Setting { flag, value: String::new(), shown }),
        _ => Ok(Setting { flag, value: value.to_owned(), shown: format!("{shown}={value}") }),
    }
}

fn is_long_option(word: &str) -> bool {
    word.strip_prefix("--").is_some_and(|long| by_name(long.split('=').next().unwrap_or(long)).is_some())
}

fn file(found: &mut Words, word: &str) -> Result<(), Stop> {
    if [".pcap", ".pcapng", ".cap"].iter().any(|ending| word.ends_with(ending)) {
        return Err(Stop::Usage(format!("{word}: not a configuration file; to read a capture give -i {word}")));
    }
    let interface = || matches!(list::resolve(word).as_deref(), Ok([Input::Interface(_)]));
    if !Path::new(word).exists() && interface() {
        return Err(Stop::Usage(format!(
            "{word}: not a configuration file; to capture from an interface give -i {word}"
        )));
    }
    match &found.file {
        Some(first) => Err(Stop::Usage(format!("{word}: {first} is the configuration file already; give one at most"))),
        None => {
            found.file = Some(word.to_owned());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::capture;
    use crate::flags::value::Seconds;

    fn text(stop: Stop) -> String {
        assert!(matches!(stop, Stop::Usage(_)), "{stop:?}");
        stop.to_string()
    }

    #[test]
    fn every_spelling_of_a_value_is_read() {
        for words in [
            &["-i", "eth0", "-t", "60"][..],
            &["-i=eth0", "-t=60"],
            &["-ieth0", "-t60"],
            &["--interface", "eth0", "--lifetime-timeout", "60"],
            &["--interface=eth0", "--lifetime-timeout=60"],
            &["-t", "5", "-i", "eth0", "-t", "60"],
        ] {
            let options = read(words).unwrap();
            assert_eq!(options.cache.active_timeout, Seconds(60), "{words:?}");
            assert_eq!(options.capture.inputs, [capture::Input::Named("eth0".into())], "{words:?}");
        }
    }

    #[test]
    fn switches_may_be_joined_and_may_end_in_an_equals_sign() {
        for words in [&["-i-", "-aG"][..], &["-i", "-", "-a", "-G="], &["-i=-", "--all-collectors=", "-aG="]] {
            // A daemon cannot read its standard input: this only looks at the words.
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let mut options = Options::default();
            for setting in &split(&words).unwrap().settings {
                apply(setting, &mut options).unwrap();
            }
            assert!(options.process.daemon && options.export.all_collectors, "{words:?}");
        }
    }

    #[test]
    fn a_value_may_begin_with_a_dash() {
        use crate::flags::value::InterfaceIndex;
        let options = read(["-i", "-", "-u", "-1"]).unwrap();
        assert_eq!(options.capture.inputs, [capture::Input::Stdin]);
        assert_eq!(options.interface.input, InterfaceIndex::FromMac);
    }

    #[test]
    fn errors_name_option_value_and_remedy() {
        for (words, error) in [
            (&["--lifetime-timeout=abc"][..], "--lifetime-timeout=abc: not a number of seconds; give 1 to 86400000"),
            (&["-t", "abc"], "-t/--lifetime-timeout=abc: not a number of seconds; give 1 to 86400000"),
            (&["-t"], "-t/--lifetime-timeout: needs a value; give SECONDS, like 60"),
            (&["-t="], "-t/--lifetime-timeout: needs a value; give SECONDS, like 60"),
            (&["-t", "--interface", "x"], "-t/--lifetime-timeout: needs a value; give SECONDS, like 60"),
            (&["-a=yes"], "-a/--all-collectors=yes: takes no value; give --all-collectors alone"),
            (&["--lifetme-timeout", "3"], "--lifetme-timeout: unknown option; did you mean --lifetime-timeout?"),
            (&["--nonsense"], "--nonsense: unknown option; see --help"),
            (&["-8"], "-8: unknown option; see --help"),
            (&["--kafka", "x"], "--kafka: nProbe option --kafka is not supported by this version; leave it out"),
            (&["-5", "2055"], "-5: nProbe option -5 is not supported by this version; leave it out"),
            (&["x.pcap"], "x.pcap: not a configuration file; to read a capture give -i x.pcap"),
            (&["a.conf", "b.conf"], "b.conf: a.conf is the configuration file already; give one at most"),
        ] {
            assert_eq!(text(read(words).unwrap_err()), error, "{words:?}");
        }
    }

    #[test]
    fn words_that_are_not_utf8_are_refused() {
        use std::os::unix::ffi::OsStringExt;
        let word = OsString::from_vec(vec![b'-', b'i', 0xff]);
        assert!(text(read([word]).unwrap_err()).contains("not UTF-8"));
    }

    #[test]
    fn a_missing_configuration_file_is_a_failure() {
        assert!(matches!(read(["/nonexistent/x.conf"]).unwrap_err(), Stop::Failed(_)));
    }
}
