//! Without libndpi there are no applications.

use flowsonde_engine::fill::Names;
use flowsonde_engine::meter::application::Detector;

use crate::flags::application::Application;
use crate::stop::Stop;

pub const BUILT_IN: bool = false;

pub fn names(_: &Application) -> Result<Names, Stop> {
    Err(missing())
}

pub fn detector(_: &Application) -> Result<Box<dyn Detector>, Stop> {
    Err(missing())
}

fn missing() -> Stop {
    Stop::Failed(
        "this flowsonde was built without nDPI and finds no applications out; build it with the feature `ndpi`".into(),
    )
}
