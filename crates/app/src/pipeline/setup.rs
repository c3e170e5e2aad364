//! From options to what the engine and the ends want.

use std::sync::Arc;

use flowsonde_elements::{Mode, Template};
use flowsonde_engine::fill::{self, Env, InterfaceIds, InterfaceRule};
use flowsonde_engine::meter::config::{self, Config, MinBytes};
use flowsonde_engine::meter::key::{Network, Parts};
use flowsonde_engine::meter::{Group, Groups, Meter};
use flowsonde_engine::transcode::complete;
use flowsonde_io::source::live::{Direction, Engine, LiveOptions};

use crate::dpi::{self, Dpi};
use crate::flags::Options;
use crate::flags::cache::Biflows;
use crate::flags::capture;
use crate::flags::export::Version;
use crate::flags::value::{InterfaceIndex, Networks, PacketSampling, Whose};
use crate::secret;
use crate::stop::Stop;

/// Everything that is decided before the first packet.
pub struct Plan {
    /// What a record holds.
    pub template: Template,
    /// How to meter.
    pub meter: Config,
    /// What records say of the probe.
    pub env: Env,
    /// What finds applications out, where that is wanted.
    pub dpi: Option<Dpi>,
    /// Flows are collected and merged, not made from packets.
    pub collected: bool,
}

impl Plan {
    /// A meter by this configuration, which is the plan's but for what a worker has its own of.
    pub fn meter(&self, config: Config) -> Result<Meter, Stop> {
        let meter = Meter::new(config);
        match &self.dpi {
            Some(dpi) => Ok(meter.dissecting(dpi.dissection()?)),
            None => Ok(meter),
        }
    }

    /// Reads the options; an error names the one that is wrong.
    pub fn new(options: &Options) -> Result<Plan, Stop> {
        let mut template = template(options, Mode::Probe)?;
        if options.template.fields.is_none() && options.tells_templates() {
            template = dpi::default_template(options);
        }
        let mut env = env(options);
        let mut groups = fill::groups(&template).with(env.interfaces.group());
        if options.summarises() {
            groups = groups.with(Group::Quality).with(Group::Latency);
            if Dpi::by_default(options) {
                groups = groups.with(Group::Application);
            }
        }
        let mut meter = meter(options, groups);
        let told = groups.has(Group::Application) || groups.has(Group::Host);
        let asked = options.application.chooses();
        if asked && options.application.none {
            return Err(Stop::Usage(
                "--disable-dpi: -O and --discard-unknown-flows need to know the application; leave one of them away"
                    .into(),
            ));
        }
        let dpi = if asked || told && !options.application.none { Some(Dpi::open(options)?) } else { None };
        if let Some(dpi) = &dpi {
            meter.applications = dpi.chosen()?;
            env.names = dpi.names();
        }
        Ok(Plan { template, meter, env, dpi, collected: false })
    }

    /// The same for collected flows that are merged.
    pub fn collected(options: &Options) -> Result<Plan, Stop> {
        let mut template = template(options, Mode::Collector)?;
        if options.template.fields.is_none() && options.tells_templates() {
            template = dpi::default_template(options);
        }
        let mut groups = match options.zmq.endpoints.is_empty() {
            true => fill::groups_of_collected(&template),
            false => fill::groups_of_collected(&complete(&template)),
        };
        if !options.export.collectors.is_empty() && options.export.version == Version::V5 {
            // Its records have a place for it, whatever the template.
            groups = groups.with(Group::Hops);
        }
        let meter = Config { sample: 1, ..meter(options, groups) };
        let mut env = Env { sample: 1, ..env(options) };
        if template.iter().any(fill::tells_application) && !options.application.none {
            let dpi = Dpi::open(options)?;
            (env.names, env.by_port) = (dpi.names(), Some(Arc::new(dpi.by_port()?)));
            env.by_address = dpi.by_address()?;
            env.vocabulary = Some(dpi.vocabulary());
        } else if dpi::tells_exporters_names(&template) {
            env.vocabulary = Some(dpi::vocabulary(&[]));
        }
        Ok(Plan { template, meter, env, dpi: None, collected: true })
    }
}

fn template(options: &Options, mode: Mode) -> Result<Template, Stop> {
    match &options.template.fields {
        None => Ok(Template::default()),
        Some(fields) => {
            Template::parse(fields, mode).map_err(|error| Stop::Usage(format!("-T/--flow-templ={fields}: {error}")))
        }
    }
}

fn meter(options: &Options, groups: Groups) -> Config {
    let cache = &options.cache;
    let parts = &cache.aggregation;
    let sample = match cache.sampling.packet {
        PacketSampling::Sample(rate) => rate,
        // The packets were sampled before they came here.
        PacketSampling::Upscale(_) => 1,
    };
    Config {
        idle: cache.idle_timeout.nanos(),
        active: cache.active_timeout.nanos(),
        linger: cache.tcp_linger().min(cache.idle_timeout.nanos()),
        by_minute: cache.minute_expire,
        max_flows: cache.max_flows.max(1),
        room: cache.hash_size as usize / 2,
        groups,
        parts: Parts {
            vlan_outer: parts.outer_vlan,
            vlan_inner: parts.inner_vlan,
            protocol: parts.protocol,
            addresses: parts.addresses,
            ports: parts.ports,
            tos: parts.tos,
            exporter: parts.exporter,
            only_local: if options.interface.track_local_hosts {
                networks(&options.interface.local_networks)
            } else {
                Vec::new()
            },
        }
        .into(),
        account_l2: cache.account_l2,
        sample: sample.max(1),
        min_bytes: MinBytes {
            tcp: cache.min_flow_size.tcp.0.into(),
            udp: cache.min_flow_size.udp.0.into(),
            other: cache.min_flow_size.other.0.into(),
        },
        applications: config::Wanted::default(),
        biflows: match cache.biflows {
            Biflows::All => config::Biflows::All,
            Biflows::BothWays => config::Biflows::TwoWay,
            Biflows::OneWay => config::Biflows::OneWay,
        },
        random: secret::random(),
        first_id: 1,
        collected: false,
    }
}

fn env(options: &Options) -> Env {
    let interface = &options.interface;
    let index = |index: &InterfaceIndex| match index {
        InterfaceIndex::Fixed(id) => Some(*id),
        InterfaceIndex::FromMac => None,
    };
    let rules = interface.rules.iter().map(|rule| {
        let whose = match &rule.whose {
            Whose::Mac(address) => InterfaceRule::Mac(*address),
            Whose::Net(net) => InterfaceRule::Network(Network::new(net.addr, net.prefix)),
        };
        (whose, rule.index)
    });
    Env {
        sample: options.cache.sampling.packet.rate().max(1),
        interfaces: InterfaceIds {
            input: index(&interface.input),
            output: index(&interface.output),
            rules: rules.collect(),
        },
        local: networks(&interface.local_networks),
        local_direction: interface.local_direction,
        active_seconds: options.cache.active_timeout.0,
        idle_seconds: options.cache.idle_timeout.0,
        engine: (options.export.engine.kind, options.export.engine.id),
        ..Env::default()
    }
}

fn networks(networks: &Networks) -> Vec<Network> {
    networks.0.iter().map(|net| Network::new(net.addr, net.prefix)).collect()
}

/// How to capture from an interface.
pub fn live(options: &Options, workers: usize) -> LiveOptions {
    let capture = &options.capture;
    LiveOptions {
        snaplen: capture.snaplen.map_or(LiveOptions::default().snaplen, |bytes| bytes.0),
        promiscuous: capture.promiscuous,
        direction: match capture.direction {
            capture::Direction::Both => Direction::Both,
            capture::Direction::Received => Direction::Received,
            capture::Direction::Sent => Direction::Sent,
        },
        filter: capture.filter.clone(),
        engine: match capture.engine {
            capture::Engine::Auto => Engine::Auto,
            capture::Engine::AfPacket => Engine::AfPacket,
            capture::Engine::Libpcap => Engine::Libpcap,
        },
        workers,
        ..LiveOptions::default()
    }
}
