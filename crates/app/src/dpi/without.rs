//! Without libndpi: what the engine knows by itself.

use flowsonde_engine::fill::Names;
use flowsonde_engine::meter::application::{Addresses, Builtin, Detector, builtin_names};

use crate::flags::application::Application;
use crate::log;
use crate::stop::Stop;

pub const BUILT_IN: bool = false;

pub fn names(options: &Application) -> Result<Names, Stop> {
    for (flag, given) in [("ndpi-custom-protos", &options.protocols), ("ndpi-custom-categories", &options.categories)] {
        if given.is_some() {
            return Err(Stop::Usage(format!(
                "--{flag}: this flowsonde was built without nDPI, which would read it; leave it out"
            )));
        }
    }
    log::warn("dpi", "built without nDPI: applications are told by ports and by what a few protocols begin with");
    Ok(builtin_names())
}

pub fn addresses(_: &Application) -> Result<Option<Box<dyn Addresses>>, Stop> {
    Ok(None)
}

pub fn detector(_: &Application) -> Result<Box<dyn Detector>, Stop> {
    Ok(Box::new(Builtin::new()))
}
