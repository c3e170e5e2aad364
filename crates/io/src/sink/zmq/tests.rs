use super::*;
use flowsonde_sys::zmq::SecretKey;
use std::io::Read;

/// A subscriber, with threads of its own.
struct Reader {
    socket: Socket,
    endpoint: String,
}

const ANY: &str = "tcp://127.0.0.1:*";
const SOON: Set<'_> = Set::ReceiveTimeout(Some(Duration::from_secs(10)));

impl Reader {
    fn new(key: Option<&SecretKey>) -> Reader {
        let socket = Context::new().unwrap().socket(Kind::Sub).unwrap();
        socket.set(SOON).unwrap();
        socket.set(Set::Linger(Some(Duration::ZERO))).unwrap();
        if let Some(key) = key {
            socket.set(Set::CurveServer(true)).unwrap();
            socket.set(Set::CurveSecretKey(key)).unwrap();
        }
        Reader { socket, endpoint: String::new() }
    }

    /// To what a sink has bound.
    fn of(sink: &Zmq, topics: &[&str]) -> Reader {
        let reader = Reader::new(None);
        reader.subscribe(topics);
        reader.socket.connect(&sink.bound()[0]).unwrap();
        reader
    }

    fn bound(key: Option<&SecretKey>, topics: &[&str]) -> Reader {
        let mut reader = Reader::new(key);
        reader.subscribe(topics);
        reader.socket.bind(ANY).unwrap();
        reader.endpoint = reader.socket.endpoint().unwrap();
        reader
    }

    /// One that is bound sends its subscriptions only when its thread comes by.
    fn subscribed_at(&self, sink: &Zmq) -> bool {
        self.socket.catch_up().unwrap();
        sink.ready()
    }

    fn subscribe(&self, topics: &[&str]) {
        for topic in topics {
            self.socket.set(Set::Subscribe(topic.as_bytes())).unwrap();
        }
    }

    /// The next message; panics when none comes.
    fn next(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut header, mut payload) = (Vec::new(), Vec::new());
        assert!(self.socket.receive(&mut header).unwrap(), "two frames");
        assert!(!self.socket.receive(&mut payload).unwrap(), "two frames");
        (header, payload)
    }
}

fn open(options: Options) -> Zmq {
    Zmq::open(&[ANY.to_owned()], &options).unwrap()
}

/// Ticks until `done`; a test that never is hangs for ten seconds, and fails.
fn until(sink: &mut Zmq, mut done: impl FnMut(&mut Zmq) -> bool) {
    for _ in 0..10_000 {
        sink.tick();
        if done(sink) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("never came: {:?} {:?}", sink.counters(), sink.notices());
}

fn balanced(sink: &Zmq) -> Counters {
    let counters = sink.counters();
    assert!(counters.balanced(), "{counters:?}");
    counters
}

fn lost(counters: &Counters, reason: &str) -> u64 {
    counters.lost.iter().find(|(name, _)| *name == reason).map_or(0, |(_, count)| *count)
}

fn messages(count: usize, length: usize, records: u32) -> Messages {
    let mut messages = Messages::default();
    for number in 0..count {
        messages.buffer().extend([1, 1].into_iter().chain((2..length).map(|at| (at + number) as u8)));
        messages.finish(records);
    }
    messages
}

#[test]
fn frames_byte_for_byte() {
    let mut sink = open(Options { source_id: 0x1234_5678, compress: false, ..Options::default() });
    let reader = Reader::of(&sink, &["flow", "event"]);
    until(&mut sink, |sink| sink.subscribers(Topic::Flow) == 1 && sink.subscribers(Topic::Event) == 1);
    let tlv = b"\x01\x01\x2b\x08\x00\x0810.0.0.1\x23\x07\x01\xbb\x01";
    sink.publish(Topic::Flow, tlv, 1);
    sink.publish(Topic::Event, b"{\"bytes\":1}", 0);
    // Nobody listens to it, but it has a number.
    sink.publish(Topic::Hello, b"{}", 0);
    sink.publish(Topic::Flow, b"[]", 0);
    let flow = *b"flow\0\0\0\0\0\0\0\0\0\0\0\0";
    let event = *b"event\0\0\0\0\0\0\0\0\0\0\0";
    assert_eq!(reader.next(), ([&flow[..], &[3, 0x78, 0, 19, 0, 0, 0, 1]].concat(), tlv.to_vec()));
    assert_eq!(reader.next(), ([&event[..], &[2, 0x78, 0, 11, 0, 0, 0, 2]].concat(), b"{\"bytes\":1}".to_vec()));
    assert_eq!(reader.next(), ([&flow[..], &[2, 0x78, 0, 2, 0, 0, 0, 4]].concat(), b"[]".to_vec()));
    sink.close();
    let counters = balanced(&sink);
    assert_eq!((counters.messages, counters.records, counters.delivered), (4, 1, 1));
    assert_eq!(counters.bytes, 24 * 3 + 19 + 11 + 2);
    sink.close();
    sink.publish(Topic::Flow, b"[{}]", 5);
    assert_eq!(lost(&balanced(&sink), "closed"), 5);
}

#[test]
fn every_header_arrives_and_inflates() {
    let text: Vec<u8> = (0..700).flat_map(|n: u64| format!("{{\"8\":{}}},", n * n * n).into_bytes()).collect();
    for (header, length) in [(Header::V0, 40), (Header::V1, 24), (Header::V2, 28), (Header::V4, 36)] {
        let mut sink = open(Options { header, password: "key".into(), ..Options::default() });
        let reader = Reader::of(&sink, &[""]);
        until(&mut sink, |sink| sink.ready());
        sink.publish(Topic::Flow, &text, 1);
        let (head, body) = reader.next();
        assert_eq!(head.len(), length);
        let stream = if header == Header::V4 { &body[..] } else { &body[1..] };
        assert!(body.len() < text.len() && (header == Header::V4 || body[0] == 0));
        let mut inflated = Vec::new();
        flate2::read::ZlibDecoder::new(stream).read_to_end(&mut inflated).unwrap();
        let back: Vec<u8> = inflated.iter().zip(b"key".iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        assert!(back == text);
        if header == Header::V4 {
            let size = u32::try_from(text.len()).unwrap().to_le_bytes();
            assert_eq!((&head[16..20], &head[20..24], &head[24..28]), (&[4, 4, 0, 0][..], &size[..], &size[..]));
        }
    }
}

#[test]
fn sink_connects_and_a_restarted_receiver_is_found_again() {
    let reader = Reader::bound(None, &["flow"]);
    let endpoint = reader.endpoint.clone();
    let name = endpoint.replace("tcp://", "zmq://");
    let mut sink = Zmq::open(core::slice::from_ref(&name), &Options { connect: true, ..Options::default() }).unwrap();
    assert!(!sink.ready() && !sink.renewed());
    until(&mut sink, |sink| reader.subscribed_at(sink));
    assert!(sink.renewed() && !sink.renewed());
    sink.send(&messages(3, 100, 7));
    for number in 1..=3 {
        assert_eq!(reader.next().0[20..], [0, 0, 0, number]);
    }
    drop(reader);
    let mut said = Vec::new();
    until(&mut sink, |sink| {
        said.extend(sink.notices());
        said.iter().any(|line| line.contains("connection ended"))
    });
    assert!(said[0] == format!("--zmq {name}: connected"), "{said:?}");
    // What is sent meanwhile waits.
    sink.send(&messages(1, 100, 7));
    assert!(sink.ready() && balanced(&sink).queued >= 7);
    let again = Reader::new(None);
    again.subscribe(&["flow"]);
    // Its port may be held by what is left of the old connection for a moment.
    for _ in 0..10_000 {
        if again.socket.bind(&endpoint).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    until(&mut sink, |sink| again.subscribed_at(sink) && sink.renewed());
    assert_eq!(again.next().0[20..], [0, 0, 0, 4]);
    sink.close();
    let counters = balanced(&sink);
    assert_eq!((counters.records, counters.delivered), (28, 28));
}

#[test]
fn curve_with_the_right_key_only() {
    let (public, secret) = keypair().unwrap();
    let (other, _) = keypair().unwrap();
    let ntopng = Reader::bound(Some(&secret), &["flow"]);
    for connect in [true, false] {
        let options = |key| Options { connect, server_key: Some(key), ..Options::default() };
        let endpoint = if connect { ntopng.endpoint.clone() } else { ANY.to_owned() };

        let mut wrong = Zmq::open(core::slice::from_ref(&endpoint), &options(other)).unwrap();
        let mut plain =
            Zmq::open(core::slice::from_ref(&endpoint), &Options { connect, ..Options::default() }).unwrap();
        let mut right = Zmq::open(core::slice::from_ref(&endpoint), &options(public)).unwrap();
        if !connect {
            for sink in [&wrong, &plain, &right] {
                ntopng.socket.connect(&sink.bound()[0]).unwrap();
            }
        }
        for sink in [&mut wrong, &mut plain] {
            let mut said = Vec::new();
            until(sink, |sink| {
                sink.publish(Topic::Flow, &[1, 1, 99], 1);
                said.extend(sink.notices());
                said.iter().any(|line| line.contains("handshake"))
            });
            assert!(said.iter().any(|line| line.contains("--zmq-encryption-key")), "{said:?}");
            assert!(!sink.ready() && balanced(sink).delivered == 0);
        }
        until(&mut right, |sink| ntopng.subscribed_at(sink));
        right.publish(Topic::Flow, &[1, 1, 1], 1);
        assert_eq!(ntopng.next().1, [1, 1, 1]);
    }
}

#[test]
fn a_sink_that_was_refused_is_let_in_later() {
    let (public, secret) = keypair().unwrap();
    let plain = Reader::bound(None, &["flow"]);
    let endpoint = plain.endpoint.clone();
    let options = Options { connect: true, server_key: Some(public), ..Options::default() };
    let mut sink = Zmq::open(core::slice::from_ref(&endpoint), &options).unwrap();
    let mut said = Vec::new();
    until(&mut sink, |sink| {
        said.extend(sink.notices());
        said.iter().any(|line| line.contains("handshake"))
    });
    drop(plain);
    let ntopng = Reader::new(Some(&secret));
    ntopng.subscribe(&["flow"]);
    for _ in 0..10_000 {
        if ntopng.socket.bind(&endpoint).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    until(&mut sink, |sink| ntopng.subscribed_at(sink));
    sink.publish(Topic::Flow, &[1, 1, 1], 1);
    assert_eq!(ntopng.next().1, [1, 1, 1]);
}

#[test]
fn keys_in_both_spellings() {
    let z85 = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    let hex: String = z85.bytes().map(|byte| format!("{byte:02X}")).collect();
    assert!(server_key(z85).unwrap() == server_key(&hex).unwrap());
    assert!(server_key(&hex.to_lowercase()).unwrap().to_z85() == z85);
    for wrong in ["", "key", &z85[1..], &hex[1..], &hex.replace('4', "g"), &"ff".repeat(40), &"20".repeat(40)] {
        let error = server_key(wrong).unwrap_err().to_string();
        assert!(error.starts_with(&format!("--zmq-encryption-key {wrong}: ")), "{error}");
    }
}

#[test]
fn nobody_listens() {
    let mut sink = open(Options::default());
    assert!(!sink.ready());
    sink.send(&messages(5, 1000, 10));
    let counters = balanced(&sink);
    assert_eq!((counters.records, counters.lost), (50, vec![("no_subscriber", 50)]));
    // One that wants something else is nobody.
    let reader = Reader::of(&sink, &["event"]);
    until(&mut sink, |sink| sink.subscribers(Topic::Event) == 1);
    assert!(sink.renewed() && !sink.ready());
    sink.send(&messages(1, 1000, 10));
    sink.publish(Topic::Event, b"{}", 0);
    assert_eq!(reader.next().0[20..], [0, 0, 0, 7]);
    assert_eq!(lost(&balanced(&sink), "no_subscriber"), 60);
    sink.close();
    assert!(balanced(&sink).delivered == 0);
}

/// A subscriber that reads nothing: libzmq reads ahead for it until this many messages.
fn lazy(sink: &Zmq) -> Reader {
    let reader = Reader::new(None);
    reader.subscribe(&["flow"]);
    reader.socket.set(Set::ReceiveHighWater(1)).unwrap();
    reader.socket.connect(&sink.bound()[0]).unwrap();
    reader
}

#[test]
fn slow_subscriber_never_blocks_and_its_queue_is_bounded() {
    let mut sink = open(Options { high_water: 20, ..Options::default() });
    let reader = lazy(&sink);
    until(&mut sink, |sink| sink.ready());
    // Many times what the kernel's buffers hold.
    let batch = messages(10, 120_000, 3);
    until(&mut sink, |sink| {
        sink.send(&batch);
        let counters = balanced(sink);
        assert!(counters.queued <= 21 * 3, "{counters:?}");
        lost(&counters, "queue_full") > 1000
    });
    let counters = balanced(&sink);
    assert!(counters.queued >= 9 * 3, "{counters:?}");
    assert!(sink.notices().iter().any(|line| line.contains("queue of 20 messages is full")));

    // Read now, every record that counts as delivered or queued is there; and numbers tell what is not.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut last = 0;
    let mut seen = 0;
    let (mut header, mut payload) = (Vec::new(), Vec::new());
    while Instant::now() < deadline && (seen < counters.delivered + counters.queued) {
        sink.tick();
        if reader.socket.receive_now(&mut header).is_ok() {
            reader.socket.receive(&mut payload).unwrap();
            let id = u32::from_be_bytes(header[20..24].try_into().unwrap());
            assert!(id > last);
            (last, seen) = (id, seen + 3);
        }
    }
    assert_eq!(seen, counters.delivered + counters.queued);
    until(&mut sink, |sink| balanced(sink).queued == 0);
    sink.close();
    assert_eq!(balanced(&sink).delivered, seen);
}

#[test]
fn subscriber_that_dies_takes_its_queue_along() {
    let mut sink = open(Options { high_water: 20, ..Options::default() });
    let reader = lazy(&sink);
    until(&mut sink, |sink| sink.ready());
    let batch = messages(10, 120_000, 3);
    until(&mut sink, |sink| {
        sink.send(&batch);
        lost(&balanced(sink), "queue_full") > 1000
    });
    // Twice, and it is seen that nothing moves.
    for _ in 0..2 {
        let since = Instant::now();
        until(&mut sink, |_| since.elapsed() > 2 * Duration::from_millis(50));
    }
    let waiting = balanced(&sink).queued;
    assert!(waiting > 0);
    drop(reader);
    until(&mut sink, |sink| !sink.ready());
    // By a message or so: one may have gone out between the looks, theirs and ours.
    let gone = lost(&balanced(&sink), "disconnected");
    assert!(gone * 2 > waiting && gone <= waiting + 6, "{waiting} {:?}", sink.counters());
    until(&mut sink, |sink| sink.counters().queued == 0);
    let before = balanced(&sink).delivered;
    sink.send(&batch);
    assert_eq!((balanced(&sink).delivered, lost(&balanced(&sink), "no_subscriber")), (before, 30));
}

#[test]
fn one_slow_of_two_does_not_starve_the_other() {
    let mut sink = open(Options { high_water: 20, ..Options::default() });
    let slow = lazy(&sink);
    let fast = Reader::of(&sink, &["flow"]);
    until(&mut sink, |sink| sink.subscribers(Topic::Flow) == 2);
    let batch = messages(1, 120_000, 3);
    let mut seen = 0;
    until(&mut sink, |sink| {
        sink.send(&batch);
        fast.next();
        seen += 3;
        lost(&balanced(sink), "queue_full") > 300
    });
    // It has them all, in or out of the books of lost ones.
    let counters = balanced(&sink);
    assert_eq!(seen, counters.records);

    // Without the slow one nothing is lost any more.
    drop(slow);
    until(&mut sink, |sink| sink.subscribers(Topic::Flow) == 1);
    until(&mut sink, |sink| sink.counters().queued == 0);
    let before = lost(&balanced(&sink), "queue_full");
    for _ in 0..100 {
        sink.send(&batch);
        fast.next();
    }
    let counters = balanced(&sink);
    assert_eq!(lost(&counters, "queue_full"), before);
}

#[test]
fn patience_waits_for_the_first_and_for_room() {
    let mut sink = open(Options { high_water: 5, patient: true, ..Options::default() });
    let endpoint = sink.bound()[0].clone();
    let reader = std::thread::spawn(move || {
        let reader = Reader::new(None);
        reader.subscribe(&["flow", "hello"]);
        reader.socket.connect(&endpoint).unwrap();
        core::iter::from_fn(|| Some(reader.next().0)).take_while(|header| header[0] == b'f').count()
    });
    let since = Instant::now();
    let batch = messages(50, 50_000, 1);
    for _ in 0..10 {
        sink.send(&batch);
    }
    let took = since.elapsed();
    until(&mut sink, |sink| sink.subscribers(Topic::Hello) == 1 && sink.counters().queued == 0);
    sink.publish(Topic::Hello, b"{}", 0);
    let counters = balanced(&sink);
    assert_eq!(counters.delivered, reader.join().unwrap() as u64);
    // Patience has an end, which a machine that stands still may reach.
    assert!(counters.lost.is_empty() || took > Duration::from_secs(1), "{counters:?} {took:?}");
}

#[test]
fn endpoints_take_turns() {
    let mut sink = Zmq::open(&[ANY.to_owned(), ANY.to_owned(), ANY.to_owned()], &Options::default()).unwrap();
    let readers: Vec<Reader> = sink
        .bound()
        .iter()
        .take(2)
        .map(|endpoint| {
            let reader = Reader::new(None);
            reader.subscribe(&[""]);
            reader.socket.connect(endpoint).unwrap();
            reader
        })
        .collect();
    until(&mut sink, |sink| sink.subscribers(Topic::Flow) == 2);
    sink.send(&messages(6, 100, 2));
    sink.publish(Topic::Event, b"{}", 0);
    sink.close();
    // Nobody is at the third, so the first has its turns.
    for (reader, count) in readers.iter().zip([5, 3]) {
        for number in 1..=count {
            let (header, _) = reader.next();
            assert_eq!((header[0] == b'e', header[23]), (number == count, number));
        }
    }
    let counters = balanced(&sink);
    assert_eq!((counters.records, counters.delivered), (12, 12));
    assert!(sink.endpoints().all(|(name, counters)| name == ANY && counters.balanced()));
}

#[test]
fn fanout_counts_at_every_endpoint() {
    let options = Options { fanout: true, ..Options::default() };
    let mut sink = Zmq::open(&[ANY.to_owned(), ANY.to_owned()], &options).unwrap();
    let reader = Reader::of(&sink, &["flow"]);
    until(&mut sink, |sink| sink.ready());
    sink.send(&messages(6, 100, 2));
    sink.close();
    for number in 1..=6 {
        assert_eq!(reader.next().0[23], number);
    }
    let counters = balanced(&sink);
    assert_eq!((counters.records, counters.delivered, lost(&counters, "no_subscriber")), (24, 12, 12));
    let each: Vec<u64> = sink.endpoints().map(|(_, counters)| counters.delivered).collect();
    assert_eq!(each, [12, 0]);
}

#[test]
fn too_long_is_counted_and_has_no_number() {
    let mut sink = open(Options { longest: 1000, ..Options::default() });
    let reader = Reader::of(&sink, &["flow"]);
    until(&mut sink, |sink| sink.ready());
    sink.send(&messages(1, 1001, 4));
    sink.send(&messages(1, 1000, 5));
    assert_eq!(reader.next().0[20..], [0, 0, 0, 1]);
    sink.close();
    let counters = balanced(&sink);
    assert_eq!((counters.delivered, counters.lost), (5, vec![("too_long", 4)]));
}

#[test]
fn wrong_endpoints_are_errors_with_a_remedy() {
    let taken = open(Options::default());
    let port = taken.bound()[0].clone();
    for (endpoint, connect, said) in [
        (port.as_str(), false, "port is taken"),
        ("127.0.0.1:5556", false, "no scheme"),
        ("udp://127.0.0.1:5556", false, "scheme"),
        ("tcp://127.0.0.1", false, "no port"),
        ("tcp://127.0.0.1:x", false, "not a port"),
        ("tcp://127.0.0.1:70000", false, "not a port"),
        ("tcp://*:5556c", false, "--zmq-probe-mode"),
        ("tcp://192.0.2.1:5556", false, "of this host"),
        ("tcp://*:5556", true, "name the host"),
        ("tcp://127.0.0.1:*", true, "not a port"),
    ] {
        let options = Options { connect, ..Options::default() };
        let error = Zmq::open(&[endpoint.to_owned()], &options).err().unwrap().to_string();
        assert!(error.starts_with(&format!("--zmq {endpoint}: ")) && error.contains(said), "{error}");
    }
    assert!(Zmq::open(&[], &Options::default()).is_err());
    let options = Options { password: "{}".into(), ..Options::default() };
    assert!(Zmq::open(&[ANY.to_owned()], &options).err().unwrap().to_string().starts_with("--zmq-encrypt-pwd: "));
}

#[test]
fn localhost_can_be_bound() {
    let sink = Zmq::open(&["zmq://localhost:*".to_owned()], &Options::default()).unwrap();
    assert!(sink.bound()[0].starts_with("tcp://127.0.0.1:"));
}
