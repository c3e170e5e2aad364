//! ntopng: the publisher of flows, and what it is told besides: who this is, how it does, what its elements are called.
//!
//! Facts of the messages: topics `event`, `template` and `hello`, JSON. An event a second; the names of elements to every
//! new subscriber and once a minute, as one may have subscribed unseen.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flowsonde_elements::Element;
use flowsonde_engine::encode::{Messages, escape};
use flowsonde_engine::transcode::{Aside, Batching, source_id};
#[cfg(feature = "zmq")]
use flowsonde_io::sink::zmq::{self, Topic, Zmq};
use flowsonde_io::sink::{self, Sink};

use super::names::{Due, Names};
use crate::flags::Options;
use crate::flags::value::listen::Listen;
#[cfg(feature = "zmq")]
use crate::flags::zmq::{Format, Header};
#[cfg(feature = "zmq")]
use crate::log;
use crate::stop::Stop;

#[cfg(not(feature = "zmq"))]
mod absent;

#[cfg(not(feature = "zmq"))]
use absent::{Topic, Zmq};

const EVERY_EVENT: Duration = Duration::from_secs(1);
const EVERY_TEMPLATE: Duration = Duration::from_secs(60);
/// A tick is every 50 ms, and a subscriber's queue holds 2,000 messages.
const NAMES_A_TICK: usize = 32;

/// A publisher with a voice of its own.
pub struct Ntopng {
    zmq: Zmq,
    home: Home,
    template: String,
    told: Option<Instant>,
    event: Option<(Instant, Sums)>,
    hello: bool,
    names: Names,
    /// Names refused when that was last told of.
    refused: u64,
}

/// Who we are.
#[derive(Clone, Debug)]
pub struct Home {
    /// What is monitored.
    pub interface: String,
    /// Our address.
    pub address: Ipv4Addr,
}

/// What was done since the start.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// Bytes seen, or received from exporters.
    pub bytes: u64,
    /// Packets, or datagrams of exporters.
    pub packets: u64,
    /// Those the kernel dropped.
    pub drops: u64,
    /// Flows handed to outputs.
    pub flows: u64,
    /// Flows lost on the way to the outputs.
    pub queue_full: u64,
    /// Flows that ended for want of room.
    pub evicted: u64,
    /// What was collected; nothing of a probe.
    pub collected: Option<Collected>,
}

/// What a collector did.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// Datagrams that were none of an exporter.
    pub rejected: u64,
    /// Flow records.
    pub flows: u64,
    /// Samples of sFlow.
    pub samples: u64,
    /// Samples that agents dropped.
    pub sample_drops: u64,
    /// By exporter.
    pub exporters: Vec<Exporter>,
}

/// An exporter.
#[derive(Clone, Debug)]
pub struct Exporter {
    /// Its address.
    pub address: IpAddr,
    /// When it last sent, in seconds since 1970.
    pub last_seen: u64,
    /// Samples it sent.
    pub samples: u64,
    /// Flow records it sent.
    pub flows: u64,
    /// What is missing by its sequence numbers.
    pub lost: u64,
}

/// What the ledger calls it.
pub fn name(options: &Options) -> String {
    format!("zmq {}", options.zmq.endpoints.join(","))
}

/// What bounds a message.
pub fn batching(options: &Options) -> Batching {
    Batching { records: options.zmq.batch.into(), ..Batching::default() }
}

impl Ntopng {
    /// Begins to publish, and to tell the names of `elements`. `patient` where nothing is lost by waiting.
    pub fn open(
        options: &Options,
        home: Home,
        elements: impl Iterator<Item = &'static Element>,
        patient: bool,
    ) -> Result<Ntopng, Stop> {
        let zmq = open(options, patient)?;
        Ok(Ntopng {
            zmq,
            home,
            template: template(elements),
            told: None,
            event: None,
            hello: false,
            names: Names::default(),
            refused: 0,
        })
    }

    /// Tells that we are here, and the names of elements, when that is due.
    fn tell(&mut self) {
        if !self.hello {
            self.hello = true;
            self.zmq.publish(Topic::Hello, b"{}", 0);
        }
        if self.told.is_none_or(|told| told.elapsed() >= EVERY_TEMPLATE) {
            self.told = Some(Instant::now());
            self.zmq.publish(Topic::Template, self.template.as_bytes(), 0);
            self.names.renew();
        }
    }

    /// What an exporter told besides flows: counters go at once, names are kept and told again.
    pub fn aside(&mut self, aside: Aside) {
        match aside {
            Aside::Counter(text) => self.zmq.publish(Topic::Counter, text.as_bytes(), 0),
            Aside::Value { of, exporter, text } => self.names.value(of, exporter, text),
            Aside::Interface { exporter, index, name } => self.names.interface(exporter, index, name),
        }
    }

    /// Tells at most `most` names that are due.
    fn tell_names(&mut self, most: usize) {
        for _ in 0..most {
            match self.names.next() {
                Some(Due::Value(text)) => self.zmq.publish(Topic::Option, text.as_bytes(), 0),
                Some(Due::Interfaces(text)) => self.zmq.publish(Topic::SnmpIfaces, text.as_bytes(), 0),
                None => return,
            }
        }
    }

    /// Tells how we do, when that is due.
    pub fn event(&mut self, options: &Options, sums: impl FnOnce() -> Sums) {
        let now = Instant::now();
        if self.event.as_ref().is_some_and(|(at, _)| now.duration_since(*at) < EVERY_EVENT) {
            return;
        }
        let sums = sums();
        let (since, before) = match self.event.replace((now, sums.clone())) {
            Some((at, before)) => (now.duration_since(at), before),
            None => (EVERY_EVENT, sums.clone()),
        };
        let text = event(&sums, &before, since, options, &self.home);
        self.zmq.publish(Topic::Event, text.as_bytes(), 0);
    }
}

impl Sink for Ntopng {
    fn send(&mut self, messages: &Messages) {
        if self.told.is_none() {
            // A capture may be over before the first tick.
            self.tell();
        }
        self.zmq.send(messages);
    }

    fn tick(&mut self) {
        self.zmq.tick();
        if self.zmq.renewed() {
            // A subscriber came.
            self.told = None;
            self.hello = false;
        }
        self.tell();
        self.tell_names(NAMES_A_TICK);
    }

    fn close(&mut self) {
        self.tell_names(usize::MAX);
        self.zmq.close();
    }

    fn ready(&self) -> bool {
        self.zmq.ready()
    }

    fn counters(&self) -> sink::Counters {
        let notes = self.names.refused().filter(|(_, count)| *count > 0).collect();
        sink::Counters { notes, ..self.zmq.counters() }
    }

    fn notices(&mut self) -> Vec<String> {
        let mut notices = self.zmq.notices();
        let refused = self.names.refused().map(|(_, count)| count).sum();
        if core::mem::replace(&mut self.refused, refused) < refused {
            notices.push("there are more names of interfaces or applications than are kept; some are not told".into());
        }
        notices
    }
}

/// Refuses to publish where this build cannot.
pub fn check(options: &Options) -> Result<(), Stop> {
    match options.zmq.endpoints.as_slice() {
        [] => Ok(()),
        _ if cfg!(feature = "zmq") => Ok(()),
        [endpoint, ..] => Err(Stop::Usage(format!(
            "--zmq={endpoint}: this build has no ZeroMQ; use a build with the feature zmq, or another output"
        ))),
    }
}

#[cfg(not(feature = "zmq"))]
fn open(options: &Options, _: bool) -> Result<Zmq, Stop> {
    check(options).and(Err(Stop::Usage("--zmq: names no endpoint".into())))
}

#[cfg(feature = "zmq")]
fn open(options: &Options, patient: bool) -> Result<Zmq, Stop> {
    let flags = &options.zmq;
    let wanted = zmq::Options {
        connect: flags.probe_mode,
        header: match flags.header {
            Header::V1 => zmq::Header::V1,
            Header::V2 => zmq::Header::V2,
            Header::V4 => zmq::Header::V4,
        },
        compress: !flags.plain,
        server_key: match &flags.key {
            Some(key) => Some(zmq::server_key(key).map_err(|error| Stop::Usage(error.0))?),
            None => None,
        },
        password: flags.password.clone(),
        fanout: flags.fanout,
        high_water: flags.queue,
        patient,
        ..zmq::Options::default()
    };
    if flags.format == Format::Json {
        log::warn("zmq", "--zmq-format=j: ntopng Community 6 and later ignores flows in JSON");
    }
    Zmq::open(&flags.endpoints, &wanted).map_err(|error| Stop::Failed(error.0))
}

/// The text of an event.
fn event(sums: &Sums, before: &Sums, since: Duration, options: &Options, home: &Home) -> String {
    let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / since.as_secs_f64()) as u64;
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let cache = &options.cache;
    let port = options.collect.ports.iter().find_map(|listen| match listen {
        Listen::Port { port, .. } => Some(*port),
        Listen::Any | Listen::Relay { .. } => None,
    });
    let collected = sums.collected.clone().unwrap_or_default();
    let mut exporters = String::new();
    for (i, exporter) in collected.exporters.iter().take(64).enumerate() {
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
            // As records have it.
            source_id(home.address.octets(), exporter.address)
        );
    }
    let mut interface = Vec::new();
    escape(&home.interface, &mut interface);
    let interface = String::from_utf8_lossy(&interface);
    format!(
        "{{\"bytes\":{bytes},\"packets\":{packets},\"packet_drops\":{drops},\
         \"iface\":{{\"name\":\"{interface}\",\"speed\":1000,\"ip\":\"{address}\"}},\"mode\":\"{mode}\",\
         \"probe\":{{\"ip\":\"{address}\",\"public_ip\":\"\",\"version\":\"{version}\",\"osname\":\"{os}\",\
         \"license\":\"\",\"edition\":\"flowsonde\",\"maintenance\":\"\",\"uuid\":\"\",\"unique_source_id\":1}},\
         \"time\":{time},\"avg\":{{\"bps\":{bps},\"pps\":{pps}}},\
         \"timeout\":{{\"lifetime\":{lifetime},\"collected_lifetime\":{lifetime},\"idle\":{idle}}},\
         \"drops\":{{\"export_queue_full\":{full},\"too_many_flows\":{evicted},\"elk_flow_drops\":0,\
         \"sflow_pkt_sample_drops\":{sample_drops},\"flow_collection_drops\":{rejected},\
         \"flow_collection_udp_socket_drops\":{socket_drops}}},\
         \"flow_collection\":{{\"nf_ipfix_flows\":{netflow},\"sflow_samples\":{samples},\"collection_port\":{port},\
         \"exporters\":{{{exporters}}}}},\
         \"zmq\":{{\"num_flow_exports\":{flows},\"num_exporters\":1,\"num_zmq_exporters\":1}}}}",
        bytes = sums.bytes,
        packets = sums.packets,
        drops = sums.drops,
        address = home.address,
        // Anything else is shown as a collector.
        mode = if sums.collected.is_some() { "flow_collection" } else { "packet_collection" },
        version = env!("CARGO_PKG_VERSION"),
        os = std::env::consts::OS,
        bps = rate(sums.bytes, before.bytes).saturating_mul(8).min(u32::MAX.into()),
        pps = rate(sums.packets, before.packets).min(u32::MAX.into()),
        lifetime = cache.active_timeout.0,
        idle = cache.idle_timeout.0,
        full = sums.queue_full,
        evicted = sums.evicted,
        sample_drops = collected.sample_drops,
        rejected = collected.rejected,
        socket_drops = if sums.collected.is_some() { sums.drops } else { 0 },
        netflow = collected.flows,
        samples = collected.samples,
        flows = sums.flows,
        port = port.unwrap_or(0),
    )
}

/// The names of elements, as ntopng reads them.
fn template(elements: impl Iterator<Item = &'static Element>) -> String {
    let rows = elements.filter_map(|element| {
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

#[cfg(all(test, feature = "zmq"))]
mod tests {
    use super::*;
    use flowsonde_elements::Template;
    use flowsonde_engine::transcode::complete;
    use flowsonde_sys::zmq::{Context, Kind, Set, Socket};

    /// A subscriber to everything.
    struct Reader(Socket);

    impl Reader {
        fn of(ntopng: &Ntopng) -> Reader {
            let socket = Context::new().unwrap().socket(Kind::Sub).unwrap();
            socket.set(Set::ReceiveTimeout(Some(Duration::from_secs(10)))).unwrap();
            socket.set(Set::Subscribe(b"")).unwrap();
            socket.connect(&ntopng.zmq.bound()[0]).unwrap();
            Reader(socket)
        }

        /// Topic, number and payload of the next message.
        fn next(&self) -> (String, u8, Vec<u8>) {
            let (mut header, mut payload) = (Vec::new(), Vec::new());
            assert!(self.0.receive(&mut header).unwrap() && !self.0.receive(&mut payload).unwrap());
            (String::from_utf8_lossy(&header[..16]).trim_end_matches('\0').to_owned(), header[23], payload)
        }
    }

    fn open(words: &[&str]) -> (Options, Ntopng) {
        let words = [&["-i-", "--zmq=tcp://127.0.0.1:*", "--zmq-disable-compression"], words].concat();
        let options = crate::flags::read(&words).unwrap();
        let home = Home { interface: "a\"b".to_owned(), address: Ipv4Addr::new(192, 0, 2, 1) };
        let ntopng = Ntopng::open(&options, home, complete(&Template::default()).iter(), false).unwrap();
        (options, ntopng)
    }

    fn flows(records: u32) -> Messages {
        let mut messages = Messages::default();
        messages.buffer().extend([1, 1, 0x22, 4, 6, 1]);
        messages.finish(records);
        messages
    }

    /// Ticks until `done`; a test that never is fails after ten seconds.
    fn until(ntopng: &mut Ntopng, done: impl Fn(&Ntopng) -> bool) {
        for _ in 0..10_000 {
            ntopng.tick();
            if done(ntopng) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("never came: {:?}", ntopng.counters());
    }

    #[test]
    fn a_subscriber_that_dies_costs_what_is_sent_meanwhile_and_its_successor_is_told_anew() {
        let (_, mut ntopng) = open(&[]);
        ntopng.send(&flows(2));
        let mut last = 0;
        for round in 1..=3 {
            let reader = Reader::of(&ntopng);
            until(&mut ntopng, |ntopng| ntopng.ready());
            ntopng.send(&flows(10));
            for expected in ["hello", "template", "flow"] {
                let (topic, number, payload) = reader.next();
                assert_eq!(topic, expected, "round {round}");
                assert!(number > last && !payload.is_empty());
                last = number;
            }
            // It is killed: nothing is said, its connection ends.
            drop(reader);
            until(&mut ntopng, |ntopng| !ntopng.ready());
            ntopng.send(&flows(100));
            let counters = ntopng.counters();
            assert!(counters.balanced(), "{counters:?}");
            assert_eq!(counters.lost, [("no_subscriber", 2 + 100 * round)]);
            assert_eq!((counters.delivered, counters.queued), (10 * round, 0));
        }
        ntopng.close();
        assert!(ntopng.counters().balanced());
    }

    #[test]
    fn names_are_told_once_and_to_every_new_subscriber_and_counters_at_once() {
        let (_, mut ntopng) = open(&[]);
        let exporter = [10, 0, 0, 1].into();
        let told = |reader: &Reader, count: usize| {
            let mut told: Vec<_> = (0..count).map(|_| reader.next()).map(|(topic, _, text)| (topic, text)).collect();
            told.retain(|(topic, _)| topic != "hello" && topic != "template");
            told.into_iter()
                .map(|(topic, text)| format!("{topic} {}", String::from_utf8_lossy(&text)))
                .collect::<Vec<_>>()
        };
        let reader = Reader::of(&ntopng);
        until(&mut ntopng, |ntopng| ntopng.ready());
        ntopng.aside(Aside::Counter(r#"{"ifIndex":1}"#.to_owned()));
        for _ in 0..2 {
            ntopng.aside(Aside::Interface { exporter, index: 7, name: "e7".to_owned() });
            ntopng.aside(Aside::Value { of: (0, 95, 1), exporter: None, text: r#"{"value":1}"#.to_owned() });
        }
        ntopng.tick();
        ntopng.tick();
        ntopng.aside(Aside::Counter(r#"{"ifIndex":2}"#.to_owned()));
        let names = [r#"option {"value":1}"#, r#"snmp-ifaces {"10.0.0.1":{"7":"e7"}}"#];
        let expected = [&[r#"counter {"ifIndex":1}"#][..], &names, &[r#"counter {"ifIndex":2}"#]].concat();
        assert_eq!(told(&reader, 6), expected);
        drop(reader);
        until(&mut ntopng, |ntopng| !ntopng.ready());
        let reader = Reader::of(&ntopng);
        until(&mut ntopng, |ntopng| ntopng.ready());
        assert_eq!(told(&reader, 4), names);
    }

    #[test]
    fn an_event_tells_who_we_are_and_what_we_did() {
        let (options, mut ntopng) = open(&["-t", "60", "-d", "20"]);
        let reader = Reader::of(&ntopng);
        until(&mut ntopng, |ntopng| ntopng.ready());
        let sums = |packets| Sums { packets, bytes: 10 * packets, flows: 7, drops: 3, ..Sums::default() };
        ntopng.event(&options, || sums(5));
        // Not due: nobody is asked.
        ntopng.event(&options, || panic!("too early"));
        assert_eq!((reader.next().0, reader.next().0), ("hello".to_owned(), "template".to_owned()));
        let (topic, _, payload) = reader.next();
        let told: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(topic, "event");
        for (pointer, value) in [
            ("/packets", 5.into()),
            ("/bytes", 50.into()),
            ("/packet_drops", 3.into()),
            ("/mode", serde_json::Value::from("packet_collection")),
            ("/iface/name", "a\"b".into()),
            ("/probe/ip", "192.0.2.1".into()),
            ("/timeout/lifetime", 60.into()),
            ("/timeout/collected_lifetime", 60.into()),
            ("/timeout/idle", 20.into()),
            ("/drops/flow_collection_udp_socket_drops", 0.into()),
            ("/zmq/num_flow_exports", 7.into()),
        ] {
            assert_eq!(told.pointer(pointer), Some(&value), "{pointer}");
        }
        let exporter = Exporter { address: [10, 0, 0, 1].into(), last_seen: 99, samples: 0, flows: 4, lost: 1 };
        let collected = Collected { flows: 4, exporters: vec![exporter], ..Collected::default() };
        let sums = Sums { collected: Some(collected), ..sums(5) };
        let text = event(&sums, &sums, Duration::from_secs(1), &options, &ntopng.home);
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(told["mode"], "flow_collection");
        assert_eq!(told["flow_collection"]["exporters"]["10.0.0.1"]["num_netflow_ipfix_flows"], 4);
        assert_eq!(told["drops"]["flow_collection_udp_socket_drops"], 3);
    }
}

#[cfg(all(test, not(feature = "zmq")))]
mod tests_without {
    use super::*;

    #[test]
    fn what_is_missing_is_told() {
        let options = crate::flags::read(&["-i-", "--zmq=tcp://*:5556"]).expect("options");
        let Err(Stop::Usage(text)) = check(&options) else { unreachable!("there is no ZeroMQ") };
        assert!(text.starts_with("--zmq=tcp://*:5556: this build has no ZeroMQ; "), "{text}");
        assert!(check(&crate::flags::read(&["-i-"]).expect("options")).is_ok());
    }
}
