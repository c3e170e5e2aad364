//! The collector as its users meet it: what exporters do in the wild, and that the ledger balances through it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod exporter;

use std::fs;
use std::net::UdpSocket;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;

use exporter::scratch::Scratch;
use exporter::{BEGIN, FIELDS, UPTIME, V9, capture, record};

const ROUTER: [u8; 4] = [192, 0, 2, 7];
const OTHER: [u8; 4] = [192, 0, 2, 8];

/// Collects these datagrams from a capture: what was told, and the ledger.
fn collect(scratch: &Scratch, datagrams: &[([u8; 4], Vec<u8>)], arguments: &[&str]) -> (Vec<Value>, Ledger) {
    capture(&scratch.0.join("in.pcap"), datagrams);
    (scratch.told(&[&["-3", "2055"], arguments].concat()), ledger(scratch))
}

/// The final ledger, which balances from the first stage to the last.
fn ledger(scratch: &Scratch) -> Ledger {
    let ledger = Ledger(scratch.balanced());
    for (from, to) in [("receive", "decode"), ("decode", "exporter"), ("queue", "send")] {
        assert_eq!(ledger.sum(from, "delivered"), ledger.sum(to, "received"), "{from} to {to}: {}", ledger.0);
    }
    // Records go to every output, here one, through the filter where there is one.
    let before = if ledger.stages("filter").is_empty() { "records" } else { "filter" };
    assert_eq!(ledger.sum("records", "delivered"), ledger.sum(before, "received"));
    assert_eq!(ledger.sum(before, "delivered"), ledger.sum("queue", "received"), "{}", ledger.0);
    ledger
}

#[derive(Debug)]
struct Ledger(Value);

impl Ledger {
    fn stages(&self, name: &str) -> Vec<&Value> {
        self.0["stages"].as_array().unwrap().iter().filter(|stage| stage["stage"] == name).collect()
    }

    fn sum(&self, stage: &str, column: &str) -> u64 {
        self.stages(stage).iter().map(|stage| stage[column].as_u64().unwrap()).sum()
    }

    /// A loss, all stages of that name together.
    fn lost(&self, stage: &str, reason: &str) -> u64 {
        self.stages(stage).iter().filter_map(|stage| stage["lost"][reason].as_u64()).sum()
    }

    /// A note, all stages of that name together.
    fn note(&self, stage: &str, name: &str) -> u64 {
        self.stages(stage).iter().filter_map(|stage| stage["notes"][name].as_u64()).sum()
    }
}

fn template(sequence: u32) -> V9 {
    V9::new(sequence).template(256, &FIELDS)
}

fn data(sequence: u32) -> V9 {
    V9::new(sequence).set(256, record(sequence as u8, 53, 2, 100 + sequence))
}

fn from(address: [u8; 4], messages: &[V9]) -> Vec<([u8; 4], Vec<u8>)> {
    messages.iter().map(|message| (address, message.bytes())).collect()
}

/// The last byte of source addresses: which records were told, in order.
fn sources(records: &[Value]) -> Vec<u8> {
    let last = |record: &Value| record["IPV4_SRC_ADDR"].as_str()?.rsplit('.').next()?.parse().ok();
    records.iter().map(|record| last(record).unwrap()).collect()
}

#[test]
fn a_template_that_changes_under_its_id_changes_what_follows() {
    // The same fields, addresses swapped.
    let mut swapped = FIELDS;
    swapped.swap(0, 1);
    let scratch = Scratch::new();
    let messages = [template(0), data(1), V9::new(2).template(256, &swapped), data(3)];
    let (records, ledger) = collect(&scratch, &from(ROUTER, &messages), &[]);
    let address = |n: usize, name: &str| records[n][name].as_str().unwrap().to_owned();
    assert_eq!((address(0, "IPV4_SRC_ADDR"), address(0, "IPV4_DST_ADDR")), ("10.0.0.1".into(), "192.0.2.1".into()));
    assert_eq!((address(1, "IPV4_SRC_ADDR"), address(1, "IPV4_DST_ADDR")), ("192.0.2.1".into(), "10.0.0.3".into()));
    assert_eq!((ledger.note("sets", "templates_changed"), ledger.note("sets", "templates")), (1, 1));
}

#[test]
fn data_before_its_template_waits_for_it() {
    let scratch = Scratch::new();
    let messages = [data(0), data(1), template(2), data(3)];
    let (records, ledger) = collect(&scratch, &from(ROUTER, &messages), &[]);
    assert_eq!(sources(&records), [0, 1, 3]);
    assert_eq!((ledger.note("sets", "replayed"), ledger.lost("sets", "template_late")), (2, 0));
    // And not for ever.
    let (records, ledger) = collect(&scratch, &from(ROUTER, &[data(0), data(1)]), &[]);
    assert_eq!((records.len(), ledger.lost("sets", "template_late")), (0, 2));
}

#[test]
fn gaps_are_told_and_what_comes_late_is_no_loss() {
    let scratch = Scratch::new();
    let numbers = |numbers: &[u32]| {
        let messages: Vec<V9> = numbers.iter().map(|&n| if n == 0 { template(0) } else { data(n) }).collect();
        from(ROUTER, &messages)
    };
    let (records, ledger) = collect(&scratch, &numbers(&[0, 1, 2, 6, 7]), &[]);
    assert_eq!((records.len(), ledger.note("exporter", "sequence_lost_datagrams")), (4, 3));
    let (records, ledger) = collect(&scratch, &numbers(&[0, 2, 1, 4, 3, 5]), &[]);
    assert_eq!(sources(&records), [2, 1, 4, 3, 5]);
    assert_eq!(ledger.note("exporter", "sequence_lost_datagrams"), 0);
    assert_eq!(ledger.note("exporter", "sequence_late"), 2);
}

#[test]
fn an_exporter_that_starts_again_lost_nothing() {
    let scratch = Scratch::new();
    let mut messages = vec![V9 { sequence: 9000, ..template(0) }, V9 { sequence: 9001, ..data(1) }];
    // An uptime that begins anew, and so does the sequence.
    messages.extend([2, 3, 4].map(|n| V9 { sequence: n - 2, uptime: 1000, after: n, ..data(n) }));
    let (records, ledger) = collect(&scratch, &from(ROUTER, &messages), &[]);
    assert_eq!(sources(&records), [1, 2, 3, 4]);
    assert_eq!((ledger.note("exporter", "restarts"), ledger.note("exporter", "sequence_lost_datagrams")), (1, 0));
}

#[test]
fn exporters_have_accounts_of_their_own() {
    let scratch = Scratch::new();
    let mut datagrams = from(ROUTER, &[template(0), data(1), data(2)]);
    datagrams.extend(from(OTHER, &[template(0), data(1)]));
    datagrams.push((OTHER, b"not a flow export".to_vec()));
    let (records, ledger) = collect(&scratch, &datagrams, &[]);
    assert_eq!(records.len(), 3);
    assert_eq!(ledger.lost("decode", "not_flow"), 1);
    for (address, datagrams, flows) in [("192.0.2.7:9995", 3, 2), ("192.0.2.8:9995", 2, 1)] {
        let of = |name| {
            let stages = ledger.stages(name).into_iter().filter(|stage| stage["exporter"] == address);
            stages.map(|stage| stage["received"].as_u64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((of("exporter"), of("records")), (vec![datagrams], vec![flows]), "{address}");
    }
}

#[test]
fn only_allowed_exporters_are_listened_to() {
    let scratch = Scratch::new();
    let mut datagrams = from(ROUTER, &[template(0), data(1)]);
    datagrams.extend(from(OTHER, &[template(0), data(2)]));
    fs::write(scratch.0.join("allowed"), "# ours\n\n192.0.2.8/32\n").unwrap();
    for (option, told, lost) in
        [("--allow=192.0.2.7", 1, 2), ("--allow-file=allowed", 2, 2), ("--allow=10.0.0.0/8", 0, 4)]
    {
        let (records, ledger) = collect(&scratch, &datagrams, &[option]);
        assert_eq!(sources(&records), [told].into_iter().filter(|&n| n > 0).collect::<Vec<u8>>(), "{option}");
        assert_eq!(ledger.lost("decode", "not_allowed"), lost);
    }
}

#[test]
fn flows_are_left_out_by_what_they_are() {
    let scratch = Scratch::new();
    let bodies = [record(1, 53, 1, 100), record(2, 80, 1, 100), record(3, 8080, 1, 100), record(130, 443, 1, 100)];
    let datagrams = from(ROUTER, &[template(0), V9::new(1).set(256, bodies.concat())]);
    for (options, told, black, filtered) in [
        (&["--collection-filter=L4_DST_PORT=53,8000-8999"][..], &[1, 3][..], 0, 2),
        (&["--collection-filter=!L4_DST_PORT=53,8000-8999"], &[2, 130], 0, 2),
        (&["--black-list=10.0.0.128/25"], &[1, 2, 3], 1, 0),
        (
            &["--black-list=10.0.0.1", "--collection-filter=10.0.0.0/25", "--collection-filter=!L4_DST_PORT=80"],
            &[3],
            1,
            2,
        ),
        (&["--collection-filter=IPV4_DST_ADDR=192.0.2.0/24"], &[1, 2, 3, 130], 0, 0),
        (&["--collection-filter=SRC_AS=1"], &[], 0, 4),
    ] {
        let (records, ledger) = collect(&scratch, &datagrams, options);
        assert_eq!(sources(&records), told, "{options:?}");
        let lost = [ledger.lost("filter", "black_listed"), ledger.lost("filter", "filtered")];
        assert_eq!(lost, [black, filtered], "{options:?}");
    }
}

#[test]
fn times_are_told_by_our_clock_where_that_is_asked_for() {
    // The exporter is an hour and a second behind: its message of BEGIN - 3600 arrives at BEGIN + 1.
    let fields = [&FIELDS[..], &[(22, 4), (21, 4), (150, 4)]].concat();
    let times = [UPTIME - 5000, UPTIME - 1000, BEGIN - 3600 - 5].map(u32::to_be_bytes).concat();
    let behind = |message: V9| V9 { after: 0, begin: BEGIN - 3600, ..message };
    let messages = [
        behind(V9::new(0).template(256, &fields)),
        behind(V9::new(1).set(256, [record(1, 53, 1, 100), times].concat())),
    ];
    let scratch = Scratch::new();
    let names = ["FIRST_SWITCHED", "LAST_SWITCHED", "FLOW_START_SEC"];
    for (options, off) in [(&[][..], 3600), (&["--collector-reforge-timestamps"], -1)] {
        let template = ["-T", "%FIRST_SWITCHED %LAST_SWITCHED %FLOW_START_SEC"];
        let (records, ledger) = collect(&scratch, &from(ROUTER, &messages), &[&template[..], options].concat());
        let told = names.map(|name| records[0][name].as_i64().unwrap());
        assert_eq!(told, [5, 1, 5].map(|before| i64::from(BEGIN) - off - before), "{options:?}");
        assert_eq!(ledger.note("exporter", "clock_behind_ms"), 3_600_000, "the exporter's own, however it is told");
    }
}

#[test]
fn exporters_are_told_as_others_and_by_interface() {
    let fields = [&FIELDS[..], &[(10, 2), (14, 2)]].concat();
    let body =
        |n, input: u16, output: u16| [record(n, 53, 1, 100), [input, output].map(u16::to_be_bytes).concat()].concat();
    let bodies = [body(1, 1, 9), body(2, 2, 9), body(3, 9, 6), body(4, 700, 701)].concat();
    let messages = [V9::new(0).template(256, &fields), V9::new(1).set(256, bodies)];
    let mut datagrams = from(ROUTER, &messages);
    datagrams.extend(from(OTHER, &messages));
    let scratch = Scratch::new();
    fs::write(scratch.0.join("rules"), "# who\n192.0.2.7\t198.51.100.1\t1,5-8\n").unwrap();
    let template = "%IPV4_SRC_ADDR %EXPORTER_IPV4_ADDRESS";
    let (records, ledger) = collect(&scratch, &datagrams, &["-T", template, "--collector-nf-reforge=rules"]);
    assert_eq!(sources(&records), [1, 3, 1, 2, 3, 4]);
    let exporters: Vec<_> = records.iter().map(|record| record["EXPORTER_IPV4_ADDRESS"].as_str().unwrap()).collect();
    assert_eq!((exporters[0], exporters[2]), ("198.51.100.1", "192.0.2.8"));
    assert_eq!(ledger.lost("filter", "interface"), 2);
    assert!(ledger.stages("exporter").iter().any(|stage| stage["exporter"] == "192.0.2.7:9995"));
}

#[test]
fn the_rate_before_scaling_is_told_and_what_told_it() {
    // Options of 1 in 100 for all (34), and records that name a sampler of their own (48: 1 in 7), or tell it (34: 1 in 3).
    let all = V9::new(0)
        .set(1, [300_u16, 4, 4, 1, 4, 34, 4].map(u16::to_be_bytes).concat())
        .set(300, vec![0, 0, 0, 0, 0, 0, 0, 100]);
    let one = V9::new(1)
        .set(1, [301_u16, 4, 8, 1, 4, 48, 1, 50, 4].map(u16::to_be_bytes).concat())
        .set(301, vec![0, 0, 0, 0, 9, 0, 0, 0, 7]);
    let templates = template(2)
        .template(257, &[&FIELDS[..], &[(48, 1)]].concat())
        .template(258, &[&FIELDS[..], &[(34, 1)]].concat());
    let data = V9::new(3)
        .set(256, record(1, 53, 1, 100))
        .set(257, [record(2, 53, 1, 100), vec![9]].concat())
        .set(258, [record(3, 53, 1, 100), vec![3]].concat());
    let datagrams = from(ROUTER, &[all, one, templates, data]);
    let scratch = Scratch::new();
    let template = "%IN_BYTES %SAMPLING_INTERVAL %ORIGINAL_SAMPLING_INTERVAL %SAMPLING_SOURCE";
    let told = |options: &[&str]| {
        let (records, _) = collect(&scratch, &datagrams, &[&["-T", template], options].concat());
        records.iter().map(|record| record.to_string()).collect::<Vec<_>>()
    };
    let line = |bytes, interval, original, source| {
        serde_json::json!({
            "IN_BYTES": bytes, "SAMPLING_INTERVAL": interval, "ORIGINAL_SAMPLING_INTERVAL": original, "SAMPLING_SOURCE": source
        })
        .to_string()
    };
    assert_eq!(told(&[]), [line(10_000, 1, 100, "options"), line(700, 1, 7, "sampler"), line(300, 1, 3, "record")]);
    assert_eq!(
        told(&["--disable-upscale"]),
        [line(100, 100, 100, "options"), line(100, 7, 7, "sampler"), line(100, 3, 3, "record")]
    );
    let forced = vec![line(200, 1, 2, "user"); 3];
    assert_eq!(told(&["--sample-rate=1:2"]), forced);
}

#[test]
fn bad_packets_are_kept_as_they_came() {
    let scratch = Scratch::new();
    let mut datagrams = from(ROUTER, &[template(0), data(1)]);
    datagrams.extend([(OTHER, b"GET / HTTP/1.0\r\n\r\n".to_vec()), (OTHER, vec![0, 9, 0])]);
    let (records, ledger) = collect(&scratch, &datagrams, &["--dump-bad-packets=bad.pcap"]);
    assert_eq!((records.len(), ledger.lost("decode", "not_flow"), ledger.lost("decode", "short")), (1, 1, 1));
    let bytes = fs::read(scratch.0.join("bad.pcap")).unwrap();
    // Pcap with nanoseconds, Ethernet.
    assert_eq!(bytes[..4], 0xa1b2_3c4d_u32.to_le_bytes());
    assert_eq!(bytes[20..24], [1, 0, 0, 0]);
    // The first one: its time, its address and ports, its bytes.
    assert_eq!(bytes[24..28], (BEGIN + 2).to_le_bytes());
    let frame = &bytes[40..];
    assert_eq!((&frame[26..30], &frame[34..38]), (&OTHER[..], &[9995_u16, 2055].map(u16::to_be_bytes).concat()[..]));
    assert_eq!(&frame[42..60], b"GET / HTTP/1.0\r\n\r\n");
    assert!(bytes.ends_with(&[0, 9, 0]));
    assert_eq!(bytes.len(), 24 + 2 * (16 + 42) + 18 + 3);
}

/// A collector on a port of loopback, and an exporter's socket that sends to it.
struct Live {
    child: Child,
    exporter: UdpSocket,
}

impl Live {
    fn start(scratch: &Scratch, exporter: UdpSocket, arguments: &[&str]) -> Live {
        Live::start_at(["127.0.0.1"; 2], scratch, exporter, arguments)
    }

    /// The collector's address, and the one the exporter sends to.
    fn start_at([own, sent_to]: [&str; 2], scratch: &Scratch, exporter: UdpSocket, arguments: &[&str]) -> Live {
        let port = UdpSocket::bind((own, 0)).unwrap().local_addr().unwrap().port();
        let listen = format!("{own}:{port}");
        let child = scratch.command(&["-3", &listen, "--ledger-interval", "1"]).args(arguments).spawn().unwrap();
        exporter.connect((sent_to, port)).unwrap();
        let live = Live { child, exporter };
        // A port that is not open yet answers with an error. A byte that is no message is counted, and harms nothing.
        let start = Instant::now();
        while live.exporter.send(&[0]).and_then(|_| live.exporter.send(&[0])).is_err()
            || !scratch.0.join("out").exists()
        {
            assert!(start.elapsed() < Duration::from_secs(30), "the collector does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        live
    }

    fn send(&self, message: &V9) {
        self.exporter.send(&message.bytes()).unwrap();
    }

    fn signal(&self, signal: &str) {
        let killed = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits until the file `out` has so many lines.
    fn wait_for(scratch: &Scratch, lines: usize) {
        let start = Instant::now();
        let read = || fs::read_to_string(scratch.0.join("out")).unwrap_or_default().lines().count();
        while read() < lines {
            assert!(start.elapsed() < Duration::from_secs(30), "{} of {lines} records", read());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(mut self) -> UdpSocket {
        self.signal("-TERM");
        assert!(self.child.wait().unwrap().success());
        self.exporter
    }
}

/// Each is NetFlow, IPFIX or sFlow, and not all of it can be read.
#[test]
fn messages_that_are_cut_off_are_bad_packets_too() {
    let scratch = Scratch::new();
    let sound = from(ROUTER, &[template(0), data(1)]);
    // A set of 400 bytes that ends with the message; a v5 header that promises 30 records; IPFIX of 5 bytes too many.
    let cut = V9::new(2).set(256, vec![0; 7]).bytes();
    let mut longer = cut.clone();
    longer.truncate(20);
    longer.extend([1, 0, 1, 0x90, 0, 0]);
    let v5 = [&[0, 5, 0, 30][..], &[0; 20], &[7; 25]].concat();
    let ipfix = [&[0, 10, 0, 16][..], &[0; 12], &[0xff; 5]].concat();
    let bad = [longer, v5, ipfix];
    let datagrams: Vec<_> = sound.into_iter().chain(bad.iter().map(|bytes| (OTHER, bytes.clone()))).collect();
    let (records, _) = collect(&scratch, &datagrams, &["--dump-bad-packets=bad.pcap"]);
    let dumped = fs::read(scratch.0.join("bad.pcap")).unwrap();
    let frames: usize = bad.iter().map(|bytes| 16 + 42 + bytes.len()).sum();
    assert_eq!((records.len(), dumped.len()), (1, 24 + frames));
}

/// A rule is for an exporter as records tell it: of sFlow the agent, whoever sent the datagram.
#[test]
fn interfaces_are_those_of_the_agent() {
    let scratch = Scratch::new();
    fs::write(scratch.0.join("rules"), "198.18.0.1 10.9.9.9 1\n").unwrap();
    let fields = "%EXPORTER_IPV4_ADDRESS %INPUT_SNMP %OUTPUT_SNMP";
    let arguments = ["--json", "out", "--collector-nf-reforge", "rules", "-T", fields];
    let live = Live::start(&scratch, UdpSocket::bind("127.0.0.1:0").unwrap(), &arguments);
    let target = format!("udp://{}", live.exporter.peer_addr().unwrap());
    let load = ["--format", "sflow", "--count", "500", "--rate", "5000", "--target", &target];
    assert!(Command::new(env!("CARGO_BIN_EXE_flowload")).args(load).output().unwrap().status.success());
    // Behind what it sent.
    live.send(&template(0));
    live.send(&data(1));
    let start = Instant::now();
    let told = || fs::read_to_string(scratch.0.join("out")).unwrap_or_default();
    while !told().contains("127.0.0.1") {
        assert!(start.elapsed() < Duration::from_secs(30), "the last record does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
    live.stop();
    let records: Vec<Value> = told().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (renamed, other): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| record["EXPORTER_IPV4_ADDRESS"] == "10.9.9.9");
    assert_eq!(other.len(), 1);
    assert!(renamed.iter().all(|record| record["INPUT_SNMP"] == 1 || record["OUTPUT_SNMP"] == 1));
    let dropped = ledger(&scratch).lost("filter", "interface");
    assert_eq!((renamed.len() as u64 + dropped, renamed.is_empty(), dropped == 0), (500, false, false));
}

/// On the machine's first CPU, whatever it has.
#[cfg(target_os = "linux")]
#[test]
fn workers_stay_on_the_cpus_they_are_given() {
    for way in ["--collector-passthrough", "--enable-collection-cache"] {
        let scratch = Scratch::new();
        let exporter = UdpSocket::bind("127.0.0.1:0").unwrap();
        let live = Live::start(&scratch, exporter, &["--json", "out", "--workers", "2", "-g", "0", way]);
        let tasks = fs::read_dir(format!("/proc/{}/task", live.child.id())).unwrap();
        let told = |task: &std::path::Path, file: &str| fs::read_to_string(task.join(file)).unwrap();
        let workers: Vec<_> =
            tasks.map(|task| task.unwrap().path()).filter(|task| told(task, "comm").starts_with("collect ")).collect();
        assert_eq!(workers.len(), 2);
        // A thread goes to its CPU once it runs.
        let start = Instant::now();
        for worker in workers {
            while !told(&worker, "status").contains("Cpus_allowed_list:\t0\n") {
                assert!(start.elapsed() < Duration::from_secs(30), "{way}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        live.stop();
    }
}

#[test]
fn bad_packets_show_the_address_they_came_to() {
    for (own, sent_to, workers) in
        [("0.0.0.0", "127.0.0.2", "1"), ("0.0.0.0", "127.0.0.3", "2"), ("127.0.0.1", "127.0.0.1", "1")]
    {
        let scratch = Scratch::new();
        let exporter = UdpSocket::bind("127.0.0.1:0").unwrap();
        let from = exporter.local_addr().unwrap().port();
        let arguments = ["--json", "out", "--dump-bad-packets", "bad.pcap", "--workers", workers];
        let live = Live::start_at([own, sent_to], &scratch, exporter, &arguments);
        live.send(&template(0));
        live.send(&data(1));
        Live::wait_for(&scratch, 1);
        live.stop();
        let bytes = fs::read(scratch.0.join("bad.pcap")).unwrap();
        let frame = &bytes[40..];
        let address: std::net::Ipv4Addr = sent_to.parse().unwrap();
        assert_eq!((&frame[26..30], &frame[30..34]), (&[127, 0, 0, 1][..], &address.octets()[..]), "{own} {workers}");
        assert_eq!(frame[34..36], from.to_be_bytes());
    }
}

#[test]
fn templates_outlive_a_restart() {
    let scratch = Scratch::new();
    let arguments = ["--template-cache", "templates", "--json", "out"];
    let exporter = UdpSocket::bind("127.0.0.1:0").unwrap();
    let live = Live::start(&scratch, exporter, &arguments);
    // A sampler of 1 in 10 too, for all (34).
    live.send(&template(0).set(1, [300_u16, 4, 8, 1, 4, 34, 4, 35, 1].map(u16::to_be_bytes).concat()));
    live.send(&V9::new(1).set(300, vec![0, 0, 0, 0, 0, 0, 0, 10, 1]));
    live.send(&data(2));
    Live::wait_for(&scratch, 1);
    let exporter = live.stop();
    let before: Value = serde_json::from_str(fs::read_to_string(scratch.0.join("out")).unwrap().trim()).unwrap();
    assert_eq!(before["IN_BYTES"], 1020);
    ledger(&scratch);
    // Data only.
    fs::remove_file(scratch.0.join("out")).unwrap();
    let live = Live::start(&scratch, exporter, &arguments);
    live.send(&data(3));
    Live::wait_for(&scratch, 1);
    live.stop();
    let after: Value = serde_json::from_str(fs::read_to_string(scratch.0.join("out")).unwrap().trim()).unwrap();
    assert_eq!((&after["IPV4_SRC_ADDR"], &after["IN_BYTES"]), (&"10.0.0.3".into(), &1030.into()));
    let ledger = ledger(&scratch);
    assert_eq!((ledger.note("sets", "templates_restored"), ledger.note("sets", "templates_received")), (2, 0));
    // The exporter was started anew too, and sends from other ports since, twice.
    for n in [4, 5] {
        fs::remove_file(scratch.0.join("out")).unwrap();
        let live = Live::start(&scratch, UdpSocket::bind("127.0.0.1:0").unwrap(), &arguments);
        live.send(&data(n));
        Live::wait_for(&scratch, 1);
        live.stop();
        let after: Value = serde_json::from_str(fs::read_to_string(scratch.0.join("out")).unwrap().trim()).unwrap();
        assert_eq!(after["IN_BYTES"], 1000 + 10 * n);
    }
}

#[test]
fn a_template_cache_that_is_none_is_named() {
    let scratch = Scratch::new();
    capture(&scratch.0.join("in.pcap"), &[]);
    fs::write(scratch.0.join("templates"), "flowsonde-templates 1\nwhat\n").unwrap();
    let output = scratch.command(&["-i", "in.pcap", "-3", "any", "--template-cache=templates", "--json=-"]).output();
    let output = output.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("--template-cache=templates: line 2 "), "{error}");
}

/// More than the socket can hold, while the collector does not read: what the kernel dropped is in the ledger.
#[test]
fn an_overloaded_socket_tells_what_it_dropped() {
    let scratch = Scratch::new();
    let live = Live::start(&scratch, UdpSocket::bind("127.0.0.1:0").unwrap(), &["--json", "out"]);
    live.send(&template(0));
    live.send(&data(1));
    Live::wait_for(&scratch, 1);
    live.signal("-STOP");
    let body = (0..50).flat_map(|n| record(n, 80, 1, 100)).collect::<Vec<_>>();
    let mut sequence = 1;
    // 100 MB: five times the 16 MiB and more of any buffer.
    for _ in 0..90_000 {
        sequence += 1;
        live.send(&V9 { after: 1, ..V9::new(sequence).set(256, body.clone()) });
    }
    live.signal("-CONT");
    // When this comes through the queue has been read.
    Live::wait_for(&scratch, 2);
    let seen = |number: u32| {
        let text = fs::read_to_string(scratch.0.join("out")).unwrap();
        let last = text.trim_end().lines().next_back().and_then(|line| serde_json::from_str::<Value>(line).ok());
        last.is_some_and(|last| last["IN_BYTES"] == 100 + number)
    };
    // The kernel tells what it dropped with the next datagram, which may be dropped itself while the queue is full.
    let start = Instant::now();
    loop {
        sequence += 1;
        live.send(&data(sequence));
        let sent = Instant::now();
        while !seen(sequence) && sent.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(50));
        }
        if seen(sequence) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "the last record does not come");
    }
    let total = u64::from(sequence + 1);
    live.stop();
    let ledger = ledger(&scratch);
    let dropped = ledger.lost("receive", "kernel_drops");
    assert!(dropped > 1000, "{dropped}");
    let no_message = ledger.lost("decode", "short");
    assert_eq!(ledger.sum("receive", "received"), total + no_message, "all that was sent; {dropped} dropped");
    // What the kernel dropped is what the exporter's numbers miss.
    assert_eq!(ledger.note("exporter", "sequence_lost_datagrams"), dropped);
}
