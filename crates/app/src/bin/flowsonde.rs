//! The probe and collector.

use std::process::ExitCode;

use flowsonde_app::flags::process::{Action, Verbosity};
use flowsonde_app::flags::{self, Options};
use flowsonde_app::stop::Stop;
use flowsonde_app::{catalogue, console, log, manual, pipeline};

#[global_allocator]
static ALLOCATOR: flowsonde_io::memory::HugePages = flowsonde_io::memory::HugePages;

fn main() -> ExitCode {
    match flags::read(std::env::args_os().skip(1)).and_then(|options| act(&options)).and_then(|()| printed()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => stop.report(manual::PROGRAM),
    }
}

/// What was printed for a person is lost as records are when the disk is full.
fn printed() -> Result<(), Stop> {
    console::unprinted()
        .map_or(Ok(()), |error| Err(Stop::Failed(format!("cannot write to the standard output: {error}"))))
}

fn act(options: &Options) -> Result<(), Stop> {
    log::set_verbosity(options.process.verbosity);
    for name in &options.accepted.names {
        log::say(Verbosity::Everything, &format!("--{name}: accepted, without effect"));
    }
    match &options.process.action {
        Action::Run => return pipeline::run(options),
        Action::CheckConfig => {
            pipeline::check(options)?;
            console::print("the configuration is good\n");
        }
        Action::Help => console::print(&manual::help()),
        Action::Elements(about) => console::print(&catalogue::text(about.as_deref())?),
        Action::Version => console::print(&format!("{}\n", manual::version())),
        Action::License => console::print("there is no licence key: flowsonde is free, under the Apache License 2.0\n"),
        Action::Man => console::print(&manual::page()),
        Action::Completions(shell) => console::print(&manual::completions(*shell)),
    }
    Ok(())
}
