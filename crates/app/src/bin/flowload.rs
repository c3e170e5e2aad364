//! The load generator.

use std::process::ExitCode;

use flowsonde_app::load::{self, Action, Options, options};
use flowsonde_app::{console, stop::Stop};

fn main() -> ExitCode {
    match Options::read(std::env::args_os().skip(1)).and_then(|options| act(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => stop.report(options::PROGRAM),
    }
}

fn act(options: &Options) -> Result<(), Stop> {
    match options.action {
        Action::Help => console::print(&options::help()),
        Action::Version => console::print(&options::version()),
        Action::Run => {
            let report = load::run(options)?;
            console::print(&if options.json { report.json() } else { report.line() });
        }
    }
    Ok(())
}
