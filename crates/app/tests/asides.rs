//! What exporters tell besides flows, on its way to ntopng, in every way of collecting: counters of interfaces (sFlow),
//! names of interfaces, applications and samplers (NetFlow v9 options). The exporters' bytes are by hand.

#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "a test that panics has failed")]

mod exporter;
mod subscriber;

use std::collections::BTreeMap;
use std::net::UdpSocket;

use serde_json::{Value, json};

use exporter::scratch::Scratch;
use exporter::{FIELDS, V9, capture, record};
use subscriber::Subscriber;

const ROUTER: [u8; 4] = [192, 0, 2, 7];
const SWITCH: [u8; 4] = [192, 0, 2, 9];

/// Numbers of four bytes, one behind the other.
fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Text in four bytes and four bytes and so on, zeroes behind it.
fn text(text: &str, length: usize) -> Vec<u8> {
    let mut text = text.as_bytes().to_vec();
    text.resize(length, 0);
    text
}

/// A datagram of sFlow v5: the counters of an interface, generic (1) and its name (1005).
fn counters(sequence: u32, index: u32, octets: u32, name: &str) -> Vec<u8> {
    // ifIndex, ifType, ifSpeed, full duplex, up and up; octets and packets in, then out; not promiscuous.
    let interface =
        words(&[index, 6, 0, 1_000_000_000, 1, 3, 1, octets, 5, 2, 1, 0, 4, 0, 0, octets, 7, 0, 0, 0, 8, 2]);
    let named = [words(&[name.len() as u32]), text(name, name.len().next_multiple_of(4))].concat();
    let records = [words(&[1, interface.len() as u32]), interface, words(&[1005, named.len() as u32]), named].concat();
    let sample = [words(&[sequence, index, 2]), records].concat();
    let head = words(&[5, 1, u32::from_be_bytes(SWITCH), 0, sequence, 60_000, 1, 2, sample.len() as u32]);
    [head, sample].concat()
}

/// A template of options: scopes, then fields.
fn options(id: u16, scopes: &[(u16, u16)], fields: &[(u16, u16)]) -> Vec<u8> {
    let head = [id, 4 * scopes.len() as u16, 4 * fields.len() as u16];
    let numbers = scopes.iter().chain(fields).flat_map(|&(field, length)| [field, length]);
    head.into_iter().chain(numbers).flat_map(u16::to_be_bytes).collect()
}

fn router() -> V9 {
    // Names by the scope of the interface; applications and samplers by the scope of the system.
    let interface = |index: u32, name| [words(&[index]), text(name, 8)].concat();
    let application = |id: u32, name| [ROUTER.to_vec(), words(&[id]), text(name, 6)].concat();
    V9::new(0)
        .template(256, &FIELDS)
        .set(1, options(300, &[(2, 4)], &[(82, 8)]))
        .set(1, options(301, &[(1, 4)], &[(95, 4), (96, 6)]))
        .set(1, options(302, &[(1, 4)], &[(48, 1), (50, 4), (84, 4)]))
        .set(300, [interface(1, "Gi0/1"), interface(2, "Gi0/2")].concat())
        .set(301, [application(0x0300_0050, "http"), application(0x0300_0035, "dns")].concat())
        .set(302, [&ROUTER[..], &[1], &words(&[1]), b"all\0"].concat())
        .set(256, [record(1, 53, 2, 100), record(1, 53, 3, 150)].concat())
}

/// What a subscriber has been told, names as they are at the end.
#[derive(Debug, Default, PartialEq)]
struct Told {
    counters: Vec<Value>,
    /// By element and value.
    values: BTreeMap<(u64, u64), Value>,
    /// By exporter and index.
    interfaces: BTreeMap<(String, String), Value>,
    flows: bool,
}

impl Told {
    fn take(&mut self, topic: &str, payload: &[u8]) {
        match topic {
            "flow" => self.flows = true,
            "counter" => self.counters.push(serde_json::from_slice(payload).unwrap()),
            "option" => {
                let told: Value = serde_json::from_slice(payload).unwrap();
                assert_eq!(told["PEN"], 0);
                let of = ["field", "value"].map(|name| told[name].as_u64().unwrap());
                self.values.insert(of.into(), told["map"].clone());
            }
            "snmp-ifaces" => {
                let told: Value = serde_json::from_slice(payload).unwrap();
                for (exporter, names) in told.as_object().unwrap() {
                    for (index, name) in names.as_object().unwrap() {
                        self.interfaces.insert((exporter.clone(), index.clone()), name.clone());
                    }
                }
            }
            _ => {}
        }
    }
}

fn expected() -> Told {
    let counter = |samples, index, octets: u64, name: &str| {
        json!({
            "deviceIP": u32::from_be_bytes(SWITCH), "samplesGenerated": samples, "ifIndex": index, "ifName": name,
            "ifType": 6, "ifSpeed": 1_000_000_000, "ifDirection": "Full", "ifAdminStatus": "Up", "ifOperStatus": "Up",
            "ifInOctets": (1u64 << 32) + octets, "ifInPackets": 8, "ifInErrors": 4,
            "ifOutOctets": octets, "ifOutPackets": 7, "ifOutErrors": 8, "ifPromiscuousMode": 0,
        })
    };
    let named = |exporter: &str, index: &str, name: &str| ((exporter.to_owned(), index.to_owned()), name.into());
    let of_router = u32::from_be_bytes(ROUTER);
    Told {
        counters: vec![counter(1, 3, 1000, "swp3"), counter(2, 4, 77, "swp4")],
        values: [
            ((95, 0x0300_0050), json!({"exportingProcessId": of_router, "APPLICATION_NAME": "http"})),
            ((95, 0x0300_0035), json!({"exportingProcessId": of_router, "APPLICATION_NAME": "dns"})),
            (
                (48, 1),
                json!({
                    "EXPORTER_IPV4_ADDRESS": "192.0.2.7", "exportingProcessId": of_router, "samplerRandomInterval": 1,
                    "samplerName": "all",
                }),
            ),
        ]
        .into(),
        interfaces: [
            named("192.0.2.7", "1", "Gi0/1"),
            named("192.0.2.7", "2", "Gi0/2"),
            named("192.0.2.9", "3", "swp3"),
            named("192.0.2.9", "4", "swp4"),
        ]
        .into(),
        flows: true,
    }
}

/// Collects from in.pcap, and gives what a subscriber got until it was all of `expected`.
fn told(scratch: &Scratch, way: &[&str], expected: &Told) {
    let subscriber = Subscriber::new();
    let arguments = ["-i", "in.pcap", "--zmq", &subscriber.endpoint, "--zmq-probe-mode", "--zmq-disable-compression"];
    let mut run = scratch.command(&[&arguments[..], way].concat()).spawn().unwrap();
    let mut told = Told::default();
    while told != *expected {
        let Some((topic, payload)) = subscriber.next() else { panic!("{way:?}: {told:?}") };
        told.take(&topic, &payload);
        assert!(told.counters.len() <= expected.counters.len(), "{way:?}: {told:?}");
    }
    assert!(run.wait().unwrap().success());
}

#[test]
fn ntopng_is_told_in_every_way_of_collecting() {
    for way in [
        &["-3", "any"][..],
        &["-3", "any", "--collector-passthrough"],
        &["-3", "any", "--enable-collection-cache"],
        &["-3", "2055c"],
    ] {
        let scratch = Scratch::new();
        let datagrams =
            [(ROUTER, router().bytes()), (SWITCH, counters(1, 3, 1000, "swp3")), (SWITCH, counters(2, 4, 77, "swp4"))];
        capture(&scratch.0.join("in.pcap"), &datagrams);
        told(&scratch, way, &expected());
        let ledger = scratch.balanced();
        let stages = ledger["stages"].as_array().unwrap();
        let asides = stages.iter().find(|stage| stage["stage"] == "asides").unwrap();
        // Two counters and their two names, two names, two applications, a sampler.
        assert_eq!((&asides["received"], &asides["delivered"]), (&json!(9), &json!(9)), "{way:?}");
    }
}

/// What events say of an exporter's number is what its records say.
#[test]
fn exporters_have_one_number() {
    let exporter = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let scratch = Scratch::new();
    let subscriber = Subscriber::new();
    let zmq = ["--zmq", &subscriber.endpoint, "--zmq-probe-mode", "--zmq-disable-compression", "--zmq-format", "j"];
    let way = ["-3", &format!("127.0.0.1:{port}"), "-T", "%IPV4_SRC_ADDR %UNIQUE_SOURCE_ID"];
    let mut run = scratch.command(&[&zmq[..], &way].concat()).spawn().unwrap();
    let (mut of_records, mut of_event) = (None, None);
    while of_records.is_none() || of_event.is_none() {
        let Some((topic, payload)) = subscriber.next() else { panic!("{of_records:?} {of_event:?}") };
        let told: Value = serde_json::from_slice(&payload).unwrap_or_default();
        match topic.as_str() {
            // 35632.589
            "flow" => of_records = told[0]["58061"].as_u64(),
            "event" => {
                of_event = find(&told, "unique_source_id", "127.0.0.1").or(of_event);
                exporter.send_to(&router().bytes(), ("127.0.0.1", port)).unwrap();
            }
            _ => {}
        }
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(of_records, of_event);
}

/// A number of an exporter, wherever it stands.
fn find(told: &Value, name: &str, exporter: &str) -> Option<u64> {
    let fields = told.as_object()?;
    let own = fields.get(exporter).and_then(|of| of[name].as_u64());
    own.or_else(|| fields.values().find_map(|inner| find(inner, name, exporter)))
}

/// Collects in the folder, in pass-through: the flows as JSON, and what was sent to a collector.
fn passed(scratch: &Scratch, version: &str) -> (Vec<Value>, Vec<Vec<u8>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let collector = socket.local_addr().unwrap().to_string();
    let flows = scratch.told(&["-3", "any", "--collector-passthrough", "-n", &collector, "-V", version]);
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 65_536];
    let sent = std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec()));
    (flows, sent.collect())
}

/// Our collector, reading what it passed on, finds the flows and the options that came.
#[test]
fn what_is_passed_on_reads_as_what_came() {
    for version in ["9", "10"] {
        let scratch = Scratch::new();
        // A sampler of 1:10, and flows that it took.
        let fields = [&FIELDS[..], &[(48, 1)]].concat();
        let flow = |n| [record(n, 53, 2, 100), vec![2]].concat();
        let sampled = V9::new(1)
            .template(257, &fields)
            .set(302, [&ROUTER[..], &[2], &words(&[10]), b"ten\0"].concat())
            .set(257, [flow(1), flow(2)].concat());
        capture(&scratch.0.join("in.pcap"), &[(ROUTER, router().bytes()), (ROUTER, sampled.bytes())]);
        let (came, sent) = passed(&scratch, version);
        let packets = |flows: &[Value]| flows.iter().map(|flow| flow["IN_PKTS"].as_u64().unwrap()).collect::<Vec<_>>();
        assert_eq!(packets(&came), [2, 3, 20, 20]);
        let ledger = scratch.balanced();
        let options: Vec<_> =
            ledger["stages"].as_array().unwrap().iter().filter(|stage| stage["stage"] == "options").collect();
        assert_eq!(options.len(), 1);
        assert_eq!((&options[0]["received"], &options[0]["delivered"]), (&json!(6), &json!(6)));
        let again = Scratch::new();
        let sent: Vec<_> = sent.into_iter().map(|message| ([192, 0, 2, 50], message)).collect();
        capture(&again.0.join("in.pcap"), &sent);
        let flows = |arguments: &[&str]| {
            let flows = again.told(&[&["-3", "any", "--collector-passthrough"], arguments].concat());
            flows.into_iter().map(without).collect::<Vec<_>>()
        };
        assert_eq!(flows(&[]), came.into_iter().map(without).collect::<Vec<_>>(), "{version}");
        // The same when nothing is multiplied: it was already.
        assert_eq!(packets(&flows(&["--sample-rate", "1:1"])), [2, 3, 20, 20]);
        let mut expected = expected();
        expected.counters.clear();
        expected.interfaces.retain(|(exporter, _), _| exporter == "192.0.2.7");
        expected.interfaces = expected
            .interfaces
            .into_iter()
            .map(|((_, index), name)| (("192.0.2.50".to_owned(), index), name))
            .collect();
        let one = expected.values.get_mut(&(48, 1)).unwrap();
        one["EXPORTER_IPV4_ADDRESS"] = "192.0.2.50".into();
        let mut two = one.clone();
        two["samplerName"] = "ten".into();
        expected.values.insert((48, 2), two);
        told(&again, &["-3", "any"], &expected);
    }
}

/// A flow without what is of its message and not of itself.
fn without(mut flow: Value) -> Value {
    for name in ["EXPORTER_IPV4_ADDRESS", "ORIGINAL_SAMPLING_INTERVAL"] {
        flow.as_object_mut().unwrap().remove(name);
    }
    flow
}
