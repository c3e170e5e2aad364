//! A program to run, as words. It is run without a shell: names of dumped files reach it as they are, and nothing in
//! them can become a command.

use crate::stop::Stop;

/// A program and its first arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program: a path, or a name looked up in `$PATH`.
    pub program: String,
    /// The arguments before the one that is added at each run.
    pub arguments: Vec<String>,
}

impl Command {
    /// Splits text at blanks. `'...'` and `"..."` keep blanks; a backslash keeps the character after it, except in `'...'`.
    pub fn parse(text: &str) -> Result<Self, Stop> {
        let mut words = split(text)?.into_iter();
        match words.next() {
            Some(program) if !program.is_empty() => Ok(Command { program, arguments: words.collect() }),
            _ => Err("names no program; give a program and its arguments".into()),
        }
    }
}

fn split(text: &str) -> Result<Vec<String>, Stop> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Some(open), _) if open == char => quote = None,
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => match chars.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err("ends in a backslash; put a character after it".into()),
            },
            (None, _) if char.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    if let Some(open) = quote {
        return Err(Stop::Usage(format!("{open} is not closed; close it")));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_into_words() {
        let command = Command::parse(r#"/bin/mv -t  'a b'"c" d\ e "" "\"" '\'"#).unwrap();
        assert_eq!(command.program, "/bin/mv");
        assert_eq!(command.arguments, ["-t", "a bc", "d e", "", "\"", "\\"]);
        for text in ["", "  ", "'a", "a\\", "''"] {
            assert!(Command::parse(text).is_err(), "{text}");
        }
    }
}
