//! Live capture on veth pairs, in network namespaces made for it. Needs root, `ip` (iproute2), `tcpreplay` and `sysctl`
//! (procps). Where they are missing it says so and passes, unless FLOWSONDE_LIVE is set: then it fails.
//!
//! Each test runs this program again inside a namespace, as an ignored test, and sends from outside of it. The inner
//! one says on its standard output that it captures; the outer one says, by ending its standard input, that all is sent.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flowsonde_io::source::live::{self, Engine};
use flowsonde_io::source::{CaptureFile, LiveOptions, Poll, Source};
use flowsonde_wire::Frame;

/// Far longer than anything here takes, on any machine.
const LONG: Duration = Duration::from_secs(60);

/// A pair of namespaces joined by `near` and `far`, gone at the end.
struct Pair {
    names: [String; 2],
    pcap: PathBuf,
}

fn run(command: &str) -> bool {
    let mut words = command.split(' ');
    let Some(program) = words.next() else { return false };
    Command::new(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

impl Pair {
    /// `None`, said on stderr, when this user or machine cannot.
    fn new(name: &str) -> Option<Pair> {
        let names = ["a", "b"].map(|end| format!("fs{}{name}{end}", std::process::id()));
        let pair = Pair { pcap: std::env::temp_dir().join(format!("{}.pcap", names[0])), names };
        let [a, b] = &pair.names;
        let commands = [
            format!("ip netns add {a}"),
            format!("ip netns add {b}"),
            format!("ip link add near netns {a} type veth peer name far netns {b}"),
            "tcpreplay --version".to_owned(),
            "sysctl --version".to_owned(),
        ];
        if let Some(failed) = commands.iter().find(|command| !run(command)) {
            let why = format!("needs root, ip, tcpreplay and sysctl ('{failed}' failed)");
            assert!(std::env::var_os("FLOWSONDE_LIVE").is_none(), "{name} {why}");
            // Past the test harness, which keeps what tests that pass print.
            let _ = writeln!(std::io::stderr(), "skipped: live capture test '{name}' {why}");
            return None;
        }
        // IPv6 talks on its own as soon as a link is up; the packets counted are to be ours.
        for command in [
            format!("ip netns exec {a} sysctl -q -e -w net.ipv6.conf.all.disable_ipv6=1"),
            format!("ip netns exec {b} sysctl -q -e -w net.ipv6.conf.all.disable_ipv6=1"),
            format!("ip -n {a} link set near up"),
            format!("ip -n {b} link set far up"),
            format!("ip -n {b} link set lo up"),
        ] {
            assert!(run(&command), "{command}");
        }
        Some(pair)
    }

    /// Runs the ignored test `inner` in the second namespace, with `settings`; once it captures, calls `send`.
    fn capture(&self, inner: &str, settings: &str, send: impl FnOnce()) {
        let mut child = Command::new("timeout")
            .args(["180", "ip", "netns", "exec", &self.names[1]])
            .arg(std::env::current_exe().expect("this program"))
            .args(["--exact", inner, "--ignored", "--nocapture", "--test-threads=1"])
            .env("LIVE_SETTINGS", settings)
            .env("LIVE_PCAP", &self.pcap)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let stdin = child.stdin.take();
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        assert!(lines.by_ref().any(|line| line.contains("READY")), "{inner} {settings}: did not start");
        send();
        drop(stdin);
        let rest: Vec<String> = lines.collect();
        let status = child.wait().expect("ends");
        assert!(status.success(), "{inner} {settings}:\n{}", rest.join("\n"));
    }

    fn replay(&self) {
        let [near, _] = &self.names;
        assert!(run(&format!("ip netns exec {near} tcpreplay -q -i near --pps=5000 {}", self.pcap.display())));
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for name in &self.names {
            run(&format!("ip netns del {name}"));
        }
        let _ = fs::remove_file(&self.pcap);
    }
}

/// Both directions of `flows` UDP conversations, `rounds` times: plain, with one VLAN tag, and with two, in turns.
fn pcap(flows: u8, rounds: u16) -> Vec<u8> {
    let mut out = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0];
    for round in 0..rounds {
        for flow in 0..flows {
            for back in [false, true] {
                let ends = [([10, 0, 0, flow], [0x20, flow]), ([10, 1, 0, 1], [0, 53])];
                let [(source, from), (target, to)] = if back { [ends[1], ends[0]] } else { ends };
                let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
                frame.extend(match flow % 3 {
                    0 => &[][..],
                    1 => &[0x81, 0, 0x20, 100],
                    _ => &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9],
                });
                frame.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
                frame.extend([source, target].concat());
                frame.extend([from, to].concat());
                frame.extend([0, 26, 0, 0]);
                frame.extend(round.to_be_bytes());
                frame.resize(frame.len() + 16, flow);
                let length = frame.len() as u32;
                for word in [0, 0, length, length] {
                    out.extend(word.to_le_bytes());
                }
                out.extend(frame);
            }
        }
    }
    out
}

/// Says that frames are awaited. What is returned becomes true when all are sent.
fn ready() -> Arc<AtomicBool> {
    println!("READY");
    let sent = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&sent);
    std::thread::spawn(move || {
        let _until_it_ends = std::io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::Relaxed);
    });
    sent
}

/// Polls until all is sent and `wanted` frames came, and then a little, for those that should not.
fn receive(sources: &mut [Box<dyn Source + Send>], wanted: usize, mut take: impl FnMut(usize, &[u8], u16)) {
    let sent = ready();
    let began = Instant::now();
    let mut total = 0;
    let mut end = LONG;
    while began.elapsed() < end {
        for (worker, source) in sources.iter_mut().enumerate() {
            let poll = source.poll(&mut |frames| {
                for frame in frames {
                    assert!(frame.wire_len as usize >= frame.bytes.len() && frame.time.seconds() > 1_600_000_000);
                    take(worker, frame.bytes, frame.link.0);
                }
                total += frames.len();
            });
            assert!(matches!(poll.expect("polls"), Poll::Frames(_) | Poll::Idle));
        }
        if total >= wanted && sent.load(Ordering::Relaxed) {
            end = end.min(began.elapsed() + Duration::from_millis(300));
        }
    }
}

fn options() -> (LiveOptions, String) {
    let settings = std::env::var("LIVE_SETTINGS").unwrap_or_default();
    let mut options = LiveOptions { blocks: 16, ..LiveOptions::default() };
    let mut interface = "far".to_owned();
    for (name, value) in settings.split(';').filter_map(|setting| setting.split_once('=')) {
        match name {
            "workers" => options.workers = value.parse().expect("number"),
            "engine" if value == "libpcap" => options.engine = Engine::Libpcap,
            "engine" => options.engine = Engine::AfPacket,
            "filter" => options.filter = Some(value.to_owned()),
            "direction" => {
                options.direction = value.parse().ok().and_then(live::Direction::from_value).expect("direction");
            }
            "snaplen" => options.snaplen = value.parse().expect("number"),
            "interface" => interface = value.to_owned(),
            _ => unreachable!("{name}"),
        }
    }
    (options, interface)
}

/// The frames of the capture that was sent, with how often each was.
fn sent() -> HashMap<Vec<u8>, usize> {
    let path = std::env::var("LIVE_PCAP").expect("set");
    let filter = options().0.filter;
    let mut file = CaptureFile::open(path.as_ref(), filter.as_deref()).expect("opens");
    let mut frames = HashMap::new();
    let mut count = |bytes: &[u8]| *frames.entry(bytes.to_vec()).or_default() += 1;
    while file.poll(&mut |batch| batch.iter().for_each(|frame| count(frame.bytes))).expect("reads") != Poll::End {}
    frames
}

#[test]
#[ignore = "run by others, in a namespace"]
fn inner_all_frames() {
    let expected = sent();
    let (options, interface) = options();
    let mut sources = live::open(&interface, &options).expect("opens");
    let workers = if options.engine == Engine::Libpcap { 1 } else { options.workers };
    assert_eq!(sources.len(), workers);
    let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut of_flow: HashMap<u8, usize> = HashMap::new();
    let mut used = vec![0; workers];
    receive(&mut sources, expected.values().sum(), |worker, bytes, link| {
        assert_eq!(link, 1);
        *seen.entry(bytes.to_vec()).or_default() += 1;
        let flow = *bytes.last().expect("not empty");
        assert_eq!(*of_flow.entry(flow).or_insert(worker), worker, "flow {flow} is on two workers");
        used[worker] += 1;
    });
    println!("{used:?} of {}", expected.values().sum::<usize>());
    assert!(seen == expected, "{} frames, {} kinds", seen.values().sum::<usize>(), seen.len());
    assert!(used.iter().all(|n| *n > 0));
    let counters = sources
        .iter_mut()
        .fold(Default::default(), |sum: flowsonde_io::source::Counters, source| sum.plus(source.counters()));
    let handed_on = seen.values().sum::<usize>() as u64;
    assert_eq!((counters.seen - counters.filtered, counters.kernel_drops), (handed_on, 0), "{counters:?}");
}

#[test]
fn every_frame_comes_once_with_its_tags() {
    let Some(pair) = Pair::new("all") else { return };
    fs::write(&pair.pcap, pcap(60, 40)).expect("written");
    for settings in [
        "workers=1;engine=ring",
        "workers=2;engine=ring",
        "workers=1;engine=libpcap",
        "workers=1;engine=ring;direction=1",
        "workers=2;engine=ring;filter=vlan 100",
        "workers=1;engine=ring;filter=udp and src port 53 and not vlan",
    ] {
        pair.capture("inner_all_frames", settings, || pair.replay());
    }
}

#[test]
#[ignore = "run by others, in a namespace"]
fn inner_only_ours() {
    let (options, interface) = options();
    let mut sources = live::open(&interface, &options).expect("opens");
    let socket = UdpSocket::bind("10.9.9.1:0").expect("binds");
    let sent = ready();
    let began = Instant::now();
    let mut seen = Vec::new();
    while seen.is_empty() {
        assert!(began.elapsed() < LONG, "not even what is sent came");
        if sent.load(Ordering::Relaxed) {
            // Nobody has that address: it is asked for.
            socket.send_to(b"?", "10.9.9.2:9").expect("sends");
        }
        let mut types = |frame: &Frame<'_>| seen.extend(frame.bytes.get(12..14).map(<[u8]>::to_vec));
        sources[0].poll(&mut |frames| frames.iter().for_each(&mut types)).expect("polls");
    }
    assert!(seen.iter().all(|kind| *kind == [8, 6]), "not only ARP: {seen:?}");
}

#[test]
fn only_what_is_sent() {
    let Some(pair) = Pair::new("out") else { return };
    fs::write(&pair.pcap, pcap(10, 10)).expect("written");
    assert!(run(&format!("ip -n {} address add 10.9.9.1/24 dev far", pair.names[1])));
    pair.capture("inner_only_ours", "engine=ring;direction=2", || pair.replay());
}

#[test]
#[ignore = "run by others, in a namespace"]
fn inner_loopback() {
    let (options, interface) = options();
    let mut sources = live::open(&interface, &options).expect("opens");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let target = socket.local_addr().expect("bound");
    for n in 0..100 {
        socket.send_to(&[n; 50], target).expect("sends");
    }
    let ip_at = if interface == "any" { 16 } else { 14 };
    let mut n = 0;
    receive(&mut sources, 100, |_, bytes, link| {
        assert_eq!(link, if interface == "any" { 113 } else { 1 });
        assert_eq!(bytes.get(ip_at - 2..ip_at + 1), Some(&[8, 0, 0x45][..]));
        let expected = (ip_at + 78).min(options.snaplen as usize + if interface == "any" { 16 } else { 0 });
        assert_eq!(bytes.len(), expected);
        n += 1;
    });
    assert_eq!(n, 100);
}

#[test]
fn a_loopback_packet_is_seen_once() {
    let Some(pair) = Pair::new("lo") else { return };
    for settings in [
        "interface=lo;engine=ring",
        "interface=lo;engine=libpcap",
        "interface=lo;engine=ring;snaplen=60",
        "interface=any;engine=ring",
        "interface=any;engine=ring;filter=udp and host 127.0.0.1",
    ] {
        pair.capture("inner_loopback", settings, || {});
    }
}

#[test]
#[ignore = "run by others, in a namespace"]
fn inner_goes_away() {
    let (options, interface) = options();
    let mut sources = live::open(&interface, &options).expect("opens");
    println!("READY");
    let began = Instant::now();
    while began.elapsed() < LONG {
        if let Err(error) = sources[0].poll(&mut |_| {}) {
            assert!(error.0.contains("far"), "{error}");
            // And it cannot be opened again.
            let error = live::open(&interface, &options).err().expect("is down").0;
            assert!(error.starts_with("-i far: "), "{error}");
            return;
        }
    }
    unreachable!("nothing was told");
}

#[test]
fn an_interface_that_goes_away_is_told() {
    for (name, engine, how) in [("gone", "ring", "link del far"), ("gonep", "libpcap", "link del far")] {
        let Some(pair) = Pair::new(name) else { return };
        pair.capture("inner_goes_away", &format!("engine={engine}"), || {
            assert!(run(&format!("ip -n {} {how}", pair.names[1])));
        });
    }
}

#[test]
#[ignore = "run by others, in a namespace"]
fn inner_comes_back() {
    let mut sources = live::open("lo", &options().0).expect("opens");
    let source = &mut sources[0];
    let mut until = |what: &str, done: &mut dyn FnMut(&str, usize) -> bool| {
        let began = Instant::now();
        loop {
            let mut n = 0;
            source.poll(&mut |frames| n += frames.len()).expect("goes on");
            if done(&source.warning().unwrap_or_default(), n) {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        }
    };
    println!("READY");
    assert!(run("ip link set lo down"));
    until("is told to be down", &mut |warning, _| warning == "-i lo: is down; waiting for it to come up");
    assert!(run("ip link set lo up"));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let target = socket.local_addr().expect("bound");
    let (mut told, mut frames) = (false, 0);
    until("is captured from again", &mut |warning, n| {
        let _ = socket.send_to(&[1; 50], target);
        told |= warning == "-i lo: is up again";
        frames += n;
        told && frames > 0
    });
}

#[test]
fn an_interface_that_comes_back_is_captured_from_again() {
    let Some(pair) = Pair::new("back") else { return };
    pair.capture("inner_comes_back", "engine=ring", || {});
}

#[test]
fn what_is_no_interface_is_told() {
    for engine in [Engine::AfPacket, Engine::Libpcap] {
        let options = LiveOptions { engine, ..LiveOptions::default() };
        let error = live::open("nosuch0", &options).err().expect("no such interface").0;
        assert!(error.starts_with("-i nosuch0: "), "{error}");
    }
}
