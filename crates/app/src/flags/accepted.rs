//! Options of nProbe that are taken so that scripts carry over, and change nothing here.

use super::process::Action;
use super::{Flag, Group};

/// The options of this group that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Their long names.
    pub names: Vec<&'static str>,
}

/// The options.
pub const SPEC: Group = Group {
    name: "accepted",
    title: "Accepted for nProbe's scripts, without effect",
    flags: &[
        Flag {
            long: "disable-cache",
            help: "Do not cache collected flows: they never are, by default",
            apply: |options, _| {
                options.accepted.names.push("disable-cache");
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "use-obs-domain-id",
            help: "Tell observation domains of an exporter apart: always done",
            apply: |options, _| {
                options.accepted.names.push("use-obs-domain-id");
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "bi-directional",
            help: "Meter both directions as one flow: always done",
            apply: |options, _| {
                options.accepted.names.push("bi-directional");
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "accurate-hash",
            help: "Compare flows by their whole key: always done",
            apply: |options, _| {
                options.accepted.names.push("accurate-hash");
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "disable-startup-checks",
            help: "Ask no server anything at the start: never done",
            apply: |options, _| {
                options.accepted.names.push("disable-startup-checks");
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "check-license",
            help: "Print that there is no licence key",
            apply: |options, _| {
                options.process.action = Action::License;
                Ok(())
            },
            ..Flag::SWITCH
        },
    ],
};
