//! Completions of options and their values, for bash, zsh and fish.

use super::PROGRAM;
use crate::flags::process::Shell;
use crate::flags::{Flag, Offer, Repeat, Value, all};

/// The completion script of a shell.
pub fn completions(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

fn bash() -> String {
    let mut cases = String::new();
    for flag in all().filter(|flag| matches!(flag.value, Value::One(_))) {
        let reply = match flag.offer {
            Offer::Nothing => String::new(),
            Offer::Files => r#"mapfile -t COMPREPLY < <(compgen -f -- "$cur"); "#.to_owned(),
            Offer::Directories => r#"mapfile -t COMPREPLY < <(compgen -d -- "$cur"); "#.to_owned(),
            Offer::Users => r#"mapfile -t COMPREPLY < <(compgen -u -- "$cur"); "#.to_owned(),
            Offer::Interfaces => {
                r#"mapfile -t COMPREPLY < <(compgen -f -W "$(command ls /sys/class/net 2>/dev/null)" -- "$cur"); "#
                    .to_owned()
            }
            Offer::Words(words) => {
                format!(r#"mapfile -t COMPREPLY < <(compgen -W "{}" -- "$cur"); "#, words.join(" "))
            }
        };
        cases.push_str(&format!("        {}) {reply}return ;;\n", names(flag).join("|")));
    }
    let names: Vec<String> = all().flat_map(names).collect();
    format!(
        r#"# bash completion for {PROGRAM}, made by {PROGRAM} --completions bash
_{PROGRAM}() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}"
    # bash takes --name=value for three words
    if [[ $cur == "=" ]]; then cur=""; elif [[ $prev == "=" ]]; then prev="${{COMP_WORDS[COMP_CWORD-2]}}"; fi
    case "$prev" in
{cases}    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "{}" -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}}
complete -o filenames -F _{PROGRAM} {PROGRAM}
"#,
        names.join(" ")
    )
}

/// `-t` and `--lifetime-timeout`.
fn names(flag: &'static Flag) -> Vec<String> {
    let letter = flag.short.map(|letter| format!("-{letter}"));
    letter.into_iter().chain([format!("--{}", flag.long)]).collect()
}

fn zsh() -> String {
    let mut specs = String::new();
    for flag in all() {
        let (after_letter, after_name) = if flag.value == Value::No { ("", "") } else { ("+", "=") };
        let name = format!("--{}{after_name}", flag.long);
        let help = quoted(flag.help).replace('[', "\\[").replace(']', "\\]");
        let value = match flag.value {
            Value::No => String::new(),
            Value::One(value) => format!(":{}:{}", quoted(value).replace(':', "\\:"), zsh_action(flag.offer)),
            Value::Maybe(value) => format!("::{}:{}", quoted(value).replace(':', "\\:"), zsh_action(flag.offer)),
        };
        let spec = match (flag.short, flag.repeat) {
            (Some(letter), Repeat::Last) => {
                format!("'(-{letter} --{})'{{-{letter}{after_letter},{name}}}'[{help}]{value}'", flag.long)
            }
            (Some(letter), _) => format!("'*'{{-{letter}{after_letter},{name}}}'[{help}]{value}'"),
            (None, Repeat::Last) => format!("'{name}[{help}]{value}'"),
            (None, _) => format!("'*{name}[{help}]{value}'"),
        };
        specs.push_str(&format!("    {spec} \\\n"));
    }
    format!(
        "#compdef {PROGRAM}\n# made by {PROGRAM} --completions zsh\n\
         _{PROGRAM}_inputs() {{\n    \
         _alternative 'interfaces:interface:_net_interfaces' 'files:capture:_files'\n}}\n\
         _{PROGRAM}() {{\n  _arguments -s -S \\\n{specs}    ':configuration file:_files'\n}}\n\
         if [[ $funcstack[1] == _{PROGRAM} ]]; then _{PROGRAM} \"$@\"; else compdef _{PROGRAM} {PROGRAM}; fi\n"
    )
}

fn zsh_action(offer: Offer) -> String {
    match offer {
        Offer::Nothing => String::from(" "),
        Offer::Files => String::from("_files"),
        Offer::Directories => String::from("_files -/"),
        Offer::Users => String::from("_users"),
        Offer::Interfaces => format!("_{PROGRAM}_inputs"),
        Offer::Words(words) => format!("({})", words.join(" ")),
    }
}

/// Text for the inside of single quotes.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}

fn fish() -> String {
    let mut text = format!("# fish completion for {PROGRAM}, made by {PROGRAM} --completions fish\n");
    for flag in all() {
        let letter = flag.short.map(|letter| format!(" -s {letter}")).unwrap_or_default();
        let value = match (flag.value, flag.offer) {
            // fish knows no values that may be left out.
            (Value::No | Value::Maybe(_), _) => String::new(),
            (Value::One(_), Offer::Nothing) => " -x".to_owned(),
            (Value::One(_), Offer::Files) => " -r -F".to_owned(),
            (Value::One(_), Offer::Directories) => " -x -a '(__fish_complete_directories)'".to_owned(),
            (Value::One(_), Offer::Users) => " -x -a '(__fish_complete_users)'".to_owned(),
            (Value::One(_), Offer::Interfaces) => " -r -F -a '(command ls /sys/class/net 2>/dev/null)'".to_owned(),
            (Value::One(_), Offer::Words(words)) => format!(" -x -a '{}'", words.join(" ")),
        };
        let help = flag.help.replace('\\', "\\\\").replace('\'', "\\'");
        text.push_str(&format!("complete -c {PROGRAM}{letter} -l {}{value} -d '{help}'\n", flag.long));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// What a shell prints for a script, or nothing if the shell is not there.
    fn run(shell: &str, script: &str) -> Option<String> {
        let mut child =
            Command::new(shell).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn bash_completes_names_and_values() {
        for (words, expected) in [
            ("--lifet", "--lifetime-timeout"),
            ("-V 1", "10"),
            ("-V ''", "5 9 10"),
            ("--completions = z", "zsh"),
            ("--completions =", "bash zsh fish"),
            ("-t ''", ""),
        ] {
            let script = format!(
                "{}\nCOMP_WORDS=({PROGRAM} {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _{PROGRAM}; \
                 echo \"${{COMPREPLY[*]}}\"\n",
                completions(Shell::Bash)
            );
            if let Some(output) = run("bash", &script) {
                assert_eq!(output.trim(), expected, "{words}");
            }
        }
    }

    #[test]
    fn other_shells_read_their_scripts() {
        run("zsh", &format!("autoload -Uz compinit && compinit -u -D\n{}", completions(Shell::Zsh)));
        if let Some(output) =
            run("fish", &format!("{}complete -C '{PROGRAM} --completions z'\n", completions(Shell::Fish)))
        {
            assert!(output.starts_with("zsh"), "{output}");
        }
    }

    #[test]
    fn every_option_is_completed_everywhere() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell);
            for flag in all() {
                assert!(script.contains(flag.long), "{shell:?}: {}", flag.long);
            }
        }
    }
}
