//! What ntopng is told besides flows: who this is, how it does, what its elements are called.
//!
//! Facts of the messages: topics `event` and `template`, JSON. An event a second; the names of elements to every new
//! subscriber and once a minute, as one may have subscribed unseen.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flowsonde_elements::Element;
use flowsonde_io::sink::zmq::{Topic, Zmq};

use super::books::Sums;
use super::transcoders;
use crate::flags::Options;
use crate::stop::Stop;

const EVERY_EVENT: Duration = Duration::from_secs(1);
const EVERY_TEMPLATE: Duration = Duration::from_secs(60);

/// Tells ntopng.
pub struct Teller {
    template: String,
    told: Option<Instant>,
    event: Option<(Instant, Sums)>,
    hello: bool,
}

impl Teller {
    /// With nothing told yet.
    pub fn new(options: &Options) -> Result<Teller, Stop> {
        let wanted = transcoders::template(options)?;
        let named = |element: &&'static Element| element.v9_id().is_some();
        let every = flowsonde_elements::registry::all().filter(named);
        let elements: Vec<_> =
            if options.collect.passthrough { every.collect() } else { wanted.iter().filter(named).collect() };
        Ok(Teller { template: template(&elements), told: None, event: None, hello: false })
    }

    /// A subscriber came: names are due.
    pub fn renew(&mut self) {
        self.told = None;
        self.hello = false;
    }

    /// Tells the names of elements, when that is due.
    pub fn tell(&mut self, zmq: &mut Zmq) {
        if !self.hello {
            self.hello = true;
            zmq.publish(Topic::Hello, b"{}", 0);
        }
        if self.told.is_none_or(|told| told.elapsed() >= EVERY_TEMPLATE) {
            self.told = Some(Instant::now());
            zmq.publish(Topic::Template, self.template.as_bytes(), 0);
        }
    }

    /// Whether an event is due.
    pub fn event_due(&self) -> bool {
        self.event.as_ref().is_none_or(|(at, _)| at.elapsed() >= EVERY_EVENT)
    }

    /// How the collector is, when that is due.
    pub fn event(&mut self, sums: &Sums, options: &Options) -> Option<String> {
        let now = Instant::now();
        let (since, before) = match &self.event {
            Some((at, before)) if now.duration_since(*at) >= EVERY_EVENT => (now.duration_since(*at), before.clone()),
            Some(_) => return None,
            None => (EVERY_EVENT, sums.clone()),
        };
        self.event = Some((now, sums.clone()));
        let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / since.as_secs_f64()) as u64;
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let cache = &options.cache;
        let port = options.collect.ports.iter().find_map(|listen| match listen {
            crate::flags::value::listen::Listen::Port { port, .. } => Some(*port),
            crate::flags::value::listen::Listen::Any => None,
        });
        let mut exporters = String::new();
        for (i, exporter) in sums.exporters.iter().take(64).enumerate() {
            let _infallible = write!(
                exporters,
                "{}\"{}\":{{\"time_last_flow\":{},\"num_sflow_flows\":{},\"num_netflow_ipfix_flows\":{},\"num_drops\":{},\
                 \"unique_source_id\":{}}}",
                if i > 0 { "," } else { "" },
                exporter.address,
                exporter.last_seen,
                exporter.samples,
                exporter.flows,
                exporter.lost,
                i + 1
            );
        }
        Some(format!(
            "{{\"bytes\":{bytes},\"packets\":{packets},\"packet_drops\":{drops},\
             \"iface\":{{\"name\":\"collector\",\"speed\":1000,\"ip\":\"\"}},\"mode\":\"packet_collection\",\
             \"probe\":{{\"ip\":\"127.0.0.1\",\"public_ip\":\"\",\"version\":\"{version}\",\"osname\":\"{os}\",\
             \"license\":\"\",\"edition\":\"flowsonde\",\"maintenance\":\"\",\"uuid\":\"\",\"unique_source_id\":1}},\
             \"time\":{time},\"avg\":{{\"bps\":{bps},\"pps\":{pps}}},\
             \"timeout\":{{\"lifetime\":{lifetime},\"collected_lifetime\":{lifetime},\"idle\":{idle}}},\
             \"drops\":{{\"export_queue_full\":{full},\"too_many_flows\":0,\"elk_flow_drops\":0,\
             \"sflow_pkt_sample_drops\":{sample_drops},\"flow_collection_drops\":{collection},\
             \"flow_collection_udp_socket_drops\":{drops}}},\
             \"flow_collection\":{{\"nf_ipfix_flows\":{flows},\"sflow_samples\":{samples},\"collection_port\":{port},\
             \"exporters\":{{{exporters}}}}},\
             \"zmq\":{{\"num_flow_exports\":{flows},\"num_exporters\":1,\"num_zmq_exporters\":1}}}}",
            bytes = sums.bytes,
            packets = sums.datagrams,
            drops = sums.kernel_drops,
            version = env!("CARGO_PKG_VERSION"),
            os = std::env::consts::OS,
            bps = rate(sums.bytes, before.bytes).saturating_mul(8).min(u32::MAX.into()),
            pps = rate(sums.datagrams, before.datagrams).min(u32::MAX.into()),
            lifetime = cache.active_timeout.0,
            idle = cache.idle_timeout.0,
            full = sums.queue_full,
            sample_drops = sums.sample_drops,
            collection = sums.rejected,
            flows = sums.flows,
            samples = sums.samples,
            port = port.unwrap_or(0),
        ))
    }
}

/// The names of elements, as ntopng reads them.
fn template(elements: &[&'static Element]) -> String {
    let rows = elements.iter().filter_map(|element| {
        let help: String = element.help.chars().filter(|c| !c.is_control() && *c != '"' && *c != '\\').collect();
        let pen = if element.ipfix_id()?.0 == 0 { 0 } else { 35632 };
        Some(format!(
            "{{\"PEN\":{pen},\"field\":{},\"len\":{},\"format\":\"formatted_uint\",\"name\":\"{}\",\"descr\":\"{help}\"}}",
            element.v9_id()?,
            element.v9_length(),
            element.name,
        ))
    });
    format!("[{}]", rows.collect::<Vec<_>>().join(","))
}
