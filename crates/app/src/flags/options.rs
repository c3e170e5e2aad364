//! Everything that was asked for, typed, one struct a topic; and the checks that need more than one option.

#[cfg(feature = "zmq")]
use flowsonde_io::sink::zmq;

use super::accepted::Accepted;
use super::application::{Application, Known};
use super::cache::Cache;
use super::capture::{Capture, Input};
use super::collect::Collect;
use super::export::{Export, Version};
use super::interface::Interface;
use super::output::{DumpFormat, Output};
use super::process::Process;
use super::template::Template;
use super::value::listen::{Listen, Speaks};
use super::value::{Collector, Host, PacketSampling, Sender, Sink};
use super::zmq::Zmq;
use crate::stop::Stop;

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where packets come from.
    pub capture: Capture,
    /// How packets become flows, and when flows end.
    pub cache: Cache,
    /// Applications.
    pub application: Application,
    /// Interface indexes and what is local.
    pub interface: Interface,
    /// Collecting from exporters.
    pub collect: Collect,
    /// Export to collectors.
    pub export: Export,
    /// What a record holds.
    pub template: Template,
    /// Files.
    pub output: Output,
    /// ntopng.
    pub zmq: Zmq,
    /// The program itself.
    pub process: Process,
    /// What changes nothing.
    pub accepted: Accepted,
}

impl Options {
    /// Whether a summary is printed at the end: asked for, or nothing else to be seen of the flows.
    pub fn summarises(&self) -> bool {
        let nowhere = self.export.collectors.is_empty() && !self.export.none && !self.output.any();
        (self.output.summary || nowhere && self.zmq.endpoints.is_empty()) && !self.collect.any()
    }

    /// Whether any output holds what a template says: NetFlow v5 does not, nor does the summary.
    pub fn tells_templates(&self) -> bool {
        let collectors = !self.export.collectors.is_empty() && self.export.version != Version::V5;
        collectors || self.output.any() || !self.zmq.endpoints.is_empty()
    }

    /// Refuses options that do not go together.
    pub fn check(&self) -> Result<(), Stop> {
        let wrong = |text: &str| Err(Stop::Usage(text.to_owned()));
        if self.collect.any() {
            return self.check_collecting();
        }
        if self.capture.inputs.is_empty() {
            return wrong(if self.capture.none {
                "--interface=none: nothing to read; give -3 with a port to collect flows, or an interface or a capture"
            } else {
                "--interface: nothing to read; give -i with an interface, a capture, a directory or -"
            });
        }
        self.check_flows()?;
        self.check_streams()
    }

    /// Refuses what does not go together about flows and where they are sent.
    fn check_flows(&self) -> Result<(), Stop> {
        let wrong = |text: &str| Err(Stop::Usage(text.to_owned()));
        if self.interface.local_networks.is_empty() {
            if self.interface.local_direction {
                return wrong("--local-traffic-direction: needs to know what is local; give -L with your networks");
            }
            if self.interface.track_local_hosts {
                return wrong("--track-local-hosts: needs to know what is local; give -L with your networks");
            }
        }
        self.check_export()?;
        self.check_streams()
    }

    /// Refuses what cannot be exported.
    fn check_export(&self) -> Result<(), Stop> {
        let wrong = |text: &str| Err(Stop::Usage(text.to_owned()));
        if self.export.biflow && self.export.version != Version::Ipfix && !self.output.ipfix() {
            return wrong(
                "--ipfix-biflow: NetFlow has no reverse elements; give -V 10, --ipfix-file or -P with -D b too",
            );
        }
        if self.export.version == Version::V5
            && let Some(flows) = self.export.min_flows.filter(|&flows| flows > Export::V5_FLOWS)
        {
            return Err(Stop::Usage(format!(
                "--min-num-flows={flows}: a NetFlow v5 packet holds at most {0} flows; give 1 to {0}",
                Export::V5_FLOWS
            )));
        }
        let collectors = &self.export.collectors;
        if let Some((_, twice)) =
            collectors.iter().enumerate().find(|(i, c)| collectors.iter().take(*i).any(|d| d == *c))
        {
            return Err(Stop::Usage(format!(
                "--collector={twice}: is named twice, and would get flows twice or out of turn; name each once"
            )));
        }
        if let Some(sender) = &self.export.sender
            && let Some(other) = self.export.collectors.iter().find(|collector| families_differ(sender, collector))
        {
            return Err(Stop::Usage(format!(
                "--flow-sender={}: cannot reach {other}, which has an address of the other family; give an address \
                 of its family",
                sender.host
            )));
        }
        Ok(())
    }

    /// The same for a collector.
    fn check_collecting(&self) -> Result<(), Stop> {
        let any = self.collect.ports.contains(&Listen::Any);
        if any && self.capture.inputs.is_empty() {
            return Err("--collector-port=any: is for captures; name a port, or give -i with a capture".into());
        }
        if self.collect.cache {
            return self.check_cached();
        }
        if !self.output.any() && self.zmq.endpoints.is_empty() && self.export.collectors.is_empty() {
            return Err("--collector-port: nowhere to put the flows; give -n, -P, --json or --zmq".into());
        }
        self.check_export()?;
        crate::pipeline::check_collecting(self)?;
        self.check_streams()
    }

    /// The same where collected flows are merged.
    fn check_cached(&self) -> Result<(), Stop> {
        let wrong = |text: &str| Err(Stop::Usage(text.to_owned()));
        if self.collect.passthrough {
            return wrong(
                "--collector-passthrough: tells records as they came, and --enable-collection-cache merges them; \
                          leave out one",
            );
        }
        let zmq = !self.zmq.endpoints.is_empty();
        if !self.output.any() && self.export.collectors.is_empty() && !self.export.none && !zmq {
            return wrong("--collector-port: nowhere to put the flows; give --json, --csv, -P, -n or --zmq");
        }
        self.check_flows()?;
        self.check_streams()
    }

    /// Refuses two uses of the standard output, and any of it by a daemon.
    fn check_streams(&self) -> Result<(), Stop> {
        #[cfg(feature = "zmq")]
        for endpoint in &self.zmq.endpoints {
            zmq::check(endpoint, self.zmq.probe_mode).map_err(|error| Stop::Usage(error.0))?;
        }
        let on_stdout = self.output.streams().filter(|(_, sink)| **sink == Sink::Stdout).map(|(name, _)| name);
        let on_stdout: Vec<&str> = on_stdout.collect();
        match on_stdout.as_slice() {
            [first, second, ..] => Err(Stop::Usage(format!(
                "--{second}=-: --{first} writes to the standard output already; give one of them a file"
            ))),
            [only] if self.process.daemon => {
                Err(Stop::Usage(format!("--{only}=-: a daemon has no standard output; give a file, or leave out -G")))
            }
            _ if self.process.daemon && self.capture.inputs.contains(&Input::Stdin) => {
                Err("--interface=-: a daemon has no standard input; give a file, or leave out -G".into())
            }
            _ => Ok(()),
        }
    }

    /// Things that are allowed but may not be meant, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |really: bool, text: &str| {
            if really {
                warnings.push(text.to_owned());
            }
        };
        warn(
            self.export.version == Version::V5 && self.template.fields.is_some(),
            "--flow-templ: NetFlow v5 has a fixed format; elements it lacks are not exported to collectors",
        );
        warn(
            self.output.dump_path.is_none() && self.output.dump_command.is_some(),
            "--dump-command: has no effect without -P",
        );
        warn(
            self.output.dump_path.is_none() && self.output.dump_format != DumpFormat::Text,
            "--dump-format: has no effect without -P",
        );
        warn(
            self.export.collectors.is_empty() && self.export.sender.is_some(),
            "--flow-sender: has no effect without -n",
        );
        warn(
            self.cache.tcp_linger() > self.cache.idle_timeout.nanos(),
            "--tcp-linger: is longer than --idle-timeout, which ends flows before",
        );
        warn(
            self.cache.sampling.collect.is_some_and(|rate| rate != 1) && !self.collect.any(),
            "--sample-rate: the rate of collected flows has no effect on packets",
        );
        warn(self.output.summary && self.collect.any(), "--summary: has no effect with -3, as it tells of packets");
        warn(
            self.accepted.names.contains(&"disable-cache") && self.collect.cache,
            "--disable-cache: has no effect, as --enable-collection-cache or a c behind the port of -3 was given too",
        );
        warn(
            self.cache.sampling.export > 1 && self.collect.any(),
            "--sample-rate: the rate of export has no effect on collected flows",
        );
        warn(
            self.cache.idle_timeout > self.cache.active_timeout,
            "--idle-timeout: is longer than --lifetime-timeout, so no flow ever idles out",
        );
        for (given, flag, needs) in self.helpless() {
            warn(given, &format!("--{flag}: has no effect without {needs}"));
        }
        for (given, flag) in [
            (!self.application.only.is_empty(), "ndpi-protocols"),
            (self.application.known != Known::All, "discard-unknown-flows"),
        ] {
            warn(
                given && self.collect.any(),
                &format!("--{flag}: has no effect with -3; --collection-filter chooses from what is collected"),
            );
        }
        for (given, flag) in self.application.tuned() {
            warn(given && self.application.none, &format!("--{flag}: has no effect with --disable-dpi"));
        }
        warn(
            self.collect.passthrough && self.template.fields.is_some(),
            "--flow-templ: has no effect with --collector-passthrough, which tells every element there is",
        );
        warn(
            self.collect.any() && self.cache.sampling.packet != PacketSampling::Sample(1),
            "--sample-rate: the rate of packets has no effect with -3; that of collected flows is the second number",
        );
        let fanned = self.export.all_collectors || self.export.collectors.len() < 2;
        warn(
            !fanned && self.cache.sampling.packet != PacketSampling::Sample(1),
            "--collector: flows are dealt out to the collectors in turn, and packets are sampled: each collector sees \
             only a part; give -a to send all flows to all of them",
        );
        warnings
    }

    /// Options that were given, or not, without what they need: which, and what that is.
    fn helpless(&self) -> [(bool, &'static str, &'static str); 18] {
        let (collect, zmq) = (&self.collect, &self.zmq);
        let (no_port, no_endpoint) = (!collect.any(), zmq.endpoints.is_empty());
        let tls = |listen: &Listen| matches!(listen, Listen::Port { transport: Speaks::Tls, .. });
        let no_relay = !collect.ports.iter().any(|listen| matches!(listen, Listen::Relay { .. }));
        let no_tls = !collect.ports.iter().any(tls);
        [
            (no_port && collect.passthrough, "collector-passthrough", "-3"),
            (no_port && collect.cache, "enable-collection-cache", "-3"),
            (no_port && !collect.allowed.0.is_empty(), "allow", "-3"),
            (no_port && !collect.black_list.0.is_empty(), "black-list", "-3"),
            (no_port && !collect.filter.conditions.is_empty(), "collection-filter", "-3"),
            (no_port && collect.bad_packets.is_some(), "dump-bad-packets", "-3"),
            (no_port && collect.template_cache.is_some(), "template-cache", "-3"),
            (no_port && collect.reforge_times, "collector-reforge-timestamps", "-3"),
            (no_port && collect.plain, "disable-upscale", "-3"),
            (no_tls && collect.tls_cert.is_some(), "tls-cert", "-3 tls://"),
            (no_tls && collect.tls_key.is_some(), "tls-priv-key", "-3 tls://"),
            (no_tls && collect.tls_ca.is_some(), "tls-ca", "-3 tls://"),
            (no_relay && collect.relay_key.is_some(), "relay-key", "-3 zmq://"),
            (no_relay && collect.relay_secret_key.is_some(), "relay-secret-key", "-3 zmq://"),
            (no_relay && collect.relay_state.is_some(), "relay-state", "-3 zmq://"),
            (no_endpoint && zmq.labels, "json-labels", "--zmq"),
            (no_endpoint && zmq.fanout, "zmq-fanout", "--zmq"),
            (no_endpoint && zmq.probe_mode, "zmq-probe-mode", "--zmq"),
        ]
    }
}

fn families_differ(sender: &Sender, collector: &Collector) -> bool {
    match (&sender.host, &collector.host) {
        (Host::Addr(from), Host::Addr(to)) => from.is_ipv4() != to.is_ipv4(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::flags::read;

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        for (words, error) in [
            (&[][..], "--interface: nothing to read"),
            (&["-i", "none"], "--interface=none: nothing to read"),
            (&["-3any", "--json=-"], "--collector-port=any: is for captures"),
            (&["-32055"], "--collector-port: nowhere"),
            (&["-32055", "--csv=-", "--collector-passthrough"], "--csv: a text file has one line"),
            (&["-32055", "-Px", "--collector-passthrough"], "--dump-path: a text file has one line"),
            (&["-32055", "-n10.0.0.1", "-nudp://10.0.0.1:2055"], "--collector=udp://10.0.0.1:2055: is named twice"),
            (&["-32055c"], "--collector-port: nowhere"),
            (&["-32055c", "--json=-", "--collector-passthrough"], "--collector-passthrough: tells"),
            (&["-32055c", "--json=-", "--csv=-"], "--csv=-: --json writes"),
            (&["-32055c", "-na", "-na"], "--collector=udp://a:2055: is named twice"),
            (&["-i-", "-r"], "--local-traffic-direction: needs"),
            (&["-i-", "-c"], "--track-local-hosts: needs"),
            (&["-i-", "--ipfix-biflow"], "--ipfix-biflow: NetFlow"),
            (&["-i-", "--ipfix-biflow", "-Px"], "--ipfix-biflow: NetFlow"),
            (&["-i-", "--ipfix-biflow", "-Db"], "--ipfix-biflow: NetFlow"),
            (&["-i-", "-V5", "-m31"], "--min-num-flows=31: a NetFlow v5"),
            (&["-i-", "-q::1", "-n10.0.0.1"], "--flow-sender=::1: cannot reach udp://10.0.0.1:2055"),
            (&["-i-", "-n10.0.0.1", "-nudp://10.0.0.1:2055"], "--collector=udp://10.0.0.1:2055: is named twice"),
            (&["-i-", "--json=-", "--csv=-"], "--csv=-: --json writes"),
            (&["-ix", "--json=-", "-G"], "--json=-: a daemon"),
            (&["-i-", "-G"], "--interface=-: a daemon"),
        ] {
            let stop = read(words).unwrap_err().to_string();
            assert!(stop.starts_with(error), "{words:?}: {stop}");
        }
        for words in [
            &["-i-", "-rc", "-L10.0.0.0/8"][..],
            &["-i-", "-V10", "--ipfix-biflow"],
            &["-i-", "--ipfix-file=x", "--ipfix-biflow"],
            &["-i-", "-Px", "-Db", "--ipfix-biflow"],
            &["-i-", "-V5", "-m30"],
            &["-i-", "-n10.0.0.1", "-ntcp://10.0.0.1", "-n10.0.0.1:2056"],
            &["-ia.pcap", "-ia.pcap"],
            &["-i-", "--json=-", "--csv=x"],
            &["-32055", "-n10.0.0.1", "-V10", "--collector-passthrough", "-Px", "-Db"],
            &["-32055", "-Px"],
            &["-32055c", "--csv=-", "-na", "--ipfix-file=x"],
            &["-32055c", "--zmq=tcp://*:5556"],
            &["-32055", "--enable-collection-cache", "-na", "-V10", "--ipfix-biflow"],
            &["--help"],
        ] {
            read(words).unwrap();
        }
    }

    #[test]
    fn what_may_not_be_meant_is_warned_of() {
        for (words, warning) in [
            (&["-i-"][..], None),
            (&["-i-", "-nnone"], None),
            (&["-i-", "-n10.0.0.1"], None),
            (&["-i-", "--json=-"], None),
            (&["-i-", "-nnone", "-V5", "-T%TCP_FLAGS"], Some("--flow-templ: NetFlow v5")),
            (&["-i-", "-nnone", "-Rls"], Some("--dump-command")),
            (&["-i-", "-nnone", "-Db"], Some("--dump-format")),
            (&["-i-", "-Px", "-Db"], None),
            (&["-i-", "-nnone", "-q127.0.0.1"], Some("--flow-sender")),
            (&["-i-", "-nnone", "-d5", "--tcp-linger=6"], Some("--tcp-linger")),
            (&["-i-", "-nnone", "-d1"], None),
            (&["-i-", "-nnone", "-d60", "-t30"], Some("--idle-timeout")),
            (&["-i-", "-na,b", "-S10"], Some("--collector: flows are dealt")),
            (&["-32055", "-na", "-S1:1:2"], Some("--sample-rate: the rate of export")),
            (&["-32055c", "-nnone", "--disable-cache"], Some("--disable-cache: has no effect")),
            (&["-32055c", "--json=x", "--summary"], Some("--summary: has no effect")),
            (
                &["-i-", "--json=x", "--collector-passthrough"],
                Some("--collector-passthrough: has no effect without -3"),
            ),
            (&["-i-", "--json=x", "--allow=10.0.0.0/8"], Some("--allow: has no effect without -3")),
            (&["-32055", "--json=x", "--tls-cert=c"], Some("--tls-cert: has no effect without -3 tls://")),
            (&["-32055", "--json=x", "--relay-key=k"], Some("--relay-key: has no effect without -3 zmq://")),
            (&["-32055", "--json=x", "--json-labels"], Some("--json-labels: has no effect without --zmq")),
            (&["-32055", "--zmq=tcp://*:5556", "--json-labels"], None),
            (&["-i-", "--json=x", "--disable-dpi", "--fast-dpi"], Some("--fast-dpi: has no effect with --disable-dpi")),
            (
                &["-i-", "--json=x", "--disable-dpi", "--ndpi-custom-protos=p"],
                Some("--ndpi-custom-protos: has no effect"),
            ),
            (&["-i-", "--json=x", "--fast-dpi"], None),
            (&["-32055", "--json=x", "-ODNS"], Some("--ndpi-protocols: has no effect with -3")),
            (&["-32055c", "--json=x", "--discard-unknown-flows=1"], Some("--discard-unknown-flows: has no effect")),
            (&["-32055", "--json=x", "-S5"], Some("--sample-rate: the rate of packets")),
            (
                &["-32055", "--json=x", "--collector-passthrough", "-T%IN_BYTES"],
                Some("--flow-templ: has no effect with"),
            ),
        ] {
            let warnings = read(words).unwrap().warnings();
            assert_eq!(warnings.len(), usize::from(warning.is_some()), "{words:?}: {warnings:?}");
            assert!(warnings.iter().all(|text| text.starts_with(warning.unwrap_or_default())), "{warnings:?}");
        }
    }
}
