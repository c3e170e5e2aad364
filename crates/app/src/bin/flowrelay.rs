//! The relay.

use std::process::ExitCode;

use flowsonde_app::relay::{self, Action, Options, keys, options};
use flowsonde_app::{console, stop::Stop};

fn main() -> ExitCode {
    match Options::read(std::env::args_os().skip(1)).and_then(|options| act(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => stop.report(options::PROGRAM),
    }
}

fn act(options: &Options) -> Result<(), Stop> {
    match &options.action {
        Action::Help => console::print(&options::help()),
        Action::Version => console::print(&options::version()),
        Action::Keygen(path) => {
            let public = keys::generate(path)?;
            console::print(&format!("{}\n", public.to_z85()));
        }
        Action::Run => relay::run(options)?,
    }
    Ok(())
}
