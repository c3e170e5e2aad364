use super::*;
use crate::sink::loopback::{self, own_address};
#[cfg(target_os = "linux")]
use crate::sink::socket;
use std::io::Read;
use std::net::TcpListener;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::JoinHandle;

fn quick() -> Options {
    let (first_pause, longest_pause) = (Duration::from_millis(5), Duration::from_millis(20));
    Options { first_pause, longest_pause, ..Options::default() }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(own_address()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn messages(count: usize, length: usize, records: u32) -> Messages {
    let mut messages = Messages::default();
    for number in 0..count {
        messages.buffer().extend((0..length).map(|at| (at + number) as u8));
        messages.finish(records);
    }
    messages
}

/// Where nobody listens.
fn dead() -> SocketAddr {
    loopback::unheard()
}

/// Reads the first connection to its end.
fn read_all(listener: TcpListener) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let (mut server, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        server.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Ticks until `done`; a test that never is hangs for a minute, and fails.
fn until(sink: &mut Tcp, mut done: impl FnMut(&mut Tcp) -> bool) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        sink.tick();
        if done(sink) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("never came: {:?} {:?}", sink.session, sink.counters());
}

fn balanced(sink: &Tcp) -> Counters {
    let counters = sink.counters();
    assert!(counters.balanced(), "{counters:?}");
    counters
}

fn lost(counters: &Counters, reason: &str) -> u64 {
    counters.lost.iter().find(|(name, _)| *name == reason).map_or(0, |(_, count)| *count)
}

#[test]
fn whole_stream_arrives_in_order() {
    let (listener, address) = listener();
    let mut sink = Tcp::open(vec![address], quick()).unwrap();
    let sent = messages(100, 1400, 20);
    let reader = read_all(listener);
    until(&mut sink, |sink| sink.ready());
    assert!(sink.renewed() && !sink.renewed());
    sink.send(&sent);
    until(&mut sink, |sink| sink.queue.is_empty());
    sink.close();
    assert!(reader.join().unwrap() == sent.bytes());
    let counters = balanced(&sink);
    assert_eq!((counters.delivered, counters.messages, counters.bytes), (2000, 100, 140_000));
    assert!(sink.notices().is_empty());
}

#[test]
fn what_precedes_the_first_connection_is_kept_and_not_renewed() {
    let address = dead();
    let mut sink = Tcp::open(vec![address], quick()).unwrap();
    assert!(!sink.ready());
    let sent = messages(3, 100, 1);
    sink.send(&sent);
    until(&mut sink, |sink| sink.told);
    assert_eq!(balanced(&sink).queued, 3);
    let listener = TcpListener::bind(address).unwrap();
    until(&mut sink, |sink| sink.ready());
    assert!(!sink.renewed());
    let reader = read_all(listener);
    until(&mut sink, |sink| sink.queue.is_empty());
    sink.close();
    assert!(reader.join().unwrap() == sent.bytes());
    assert_eq!(balanced(&sink).delivered, 3);
    let notices = sink.notices();
    assert!(notices.len() == 2 && notices[0].contains("refused") && notices[1].ends_with("connected"), "{notices:?}");
}

#[test]
fn collector_dies_and_comes_back() {
    let (listener, address) = listener();
    let mut sink = Tcp::open(vec![address], quick()).unwrap();
    let one = messages(1, 50, 7);
    for round in 0..4_u64 {
        until(&mut sink, |sink| sink.ready());
        let (mut server, _) = listener.accept().unwrap();
        if round > 0 {
            sink.send(&one); // not yet told: belongs to the old session
            assert_eq!(lost(&balanced(&sink), "reconnect"), 7 * round);
        }
        assert!(sink.renewed() && !sink.renewed());
        sink.send(&one);
        let mut bytes = [0; 50];
        server.read_exact(&mut bytes).unwrap();
        assert!(bytes == *one.bytes());
        drop(server);
        until(&mut sink, |sink| !sink.ready());
        sink.send(&one);
        let counters = balanced(&sink);
        assert_eq!(lost(&counters, "not_connected"), 7 * (round + 1), "{counters:?}");
        assert_eq!(counters.delivered, 7 * (round + 1));
    }
    sink.close();
    balanced(&sink);
}

/// A buffer whose size was set does not grow: a full one stays full, whenever the kernel comes round to it.
#[cfg(target_os = "linux")]
fn fix_buffer(socket: BorrowedFd<'_>, which: libc::c_int) {
    socket::set_option(socket, libc::SOL_SOCKET, which, 64 << 10).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn slow_reader_never_blocks_and_the_queue_is_bounded() {
    let (listener, address) = listener();
    fix_buffer(listener.as_fd(), libc::SO_RCVBUF);
    let options = Options { queue: 100_000, ..quick() };
    let mut sink = Tcp::open(vec![address], options).unwrap();
    let (server, _) = listener.accept().unwrap();
    until(&mut sink, |sink| sink.ready());
    sink.renewed();
    let Link::Up { stream, .. } = &sink.link else { unreachable!() };
    fix_buffer(stream.as_fd(), libc::SO_SNDBUF);
    let batch = messages(100, 1000, 1);
    // Many times what the kernel's buffers hold.
    for _ in 0..1000 {
        sink.send(&batch);
        assert!(sink.queue.len() <= 100_000);
    }
    let counters = balanced(&sink);
    assert!(counters.queued <= 101, "{counters:?}");
    assert_eq!(lost(&counters, "queue_full") + counters.delivered + counters.queued, 100_000);
    assert!(lost(&counters, "queue_full") > 0);

    // Templates find room when records do not.
    let taken = |sink: &Tcp| sink.queue.len() as u64 + sink.counters().bytes;
    let before = taken(&sink);
    sink.send(&messages(1, 1000, 0));
    assert_eq!(taken(&sink), before + 1000);

    // The kernel may find room late, and take some of what was queued.
    let before = balanced(&sink);
    drop(server);
    until(&mut sink, |sink| !sink.ready());
    let counters = balanced(&sink);
    let dropped = lost(&counters, "connection") + lost(&counters, "reconnect");
    assert_eq!(counters.delivered + dropped, before.delivered + before.queued);
    assert_eq!(lost(&counters, "queue_full"), lost(&before, "queue_full"));
    assert!(lost(&counters, "connection") <= 1);
    assert_eq!(counters.queued, 0);
}

#[test]
fn patience_waits_for_room() {
    let (listener, address) = listener();
    let options = Options { queue: 50_000, patient: true, patience: Duration::from_secs(60), ..quick() };
    let mut sink = Tcp::open(vec![address], options).unwrap();
    let reader = read_all(listener);
    let batch = messages(100, 1000, 1);
    for _ in 0..200 {
        sink.send(&batch);
    }
    until(&mut sink, |sink| sink.queue.is_empty());
    sink.close();
    let counters = balanced(&sink);
    assert!(counters.lost.is_empty(), "{counters:?}");
    assert_eq!(reader.join().unwrap().len(), 20_000_000);
}

#[test]
fn only_whole_messages_after_a_half_one() {
    let (listener, address) = listener();
    let mut sink = Tcp::open(vec![address], quick()).unwrap();
    let (server, _) = listener.accept().unwrap();
    until(&mut sink, |sink| sink.ready());
    sink.renewed();
    let long = messages(4, 1 << 20, 10);
    while sink.queue.is_empty() {
        sink.send(&long);
    }
    drop(server);
    until(&mut sink, |sink| !sink.ready());
    balanced(&sink);
    until(&mut sink, |sink| sink.ready());
    let (mut server, _) = listener.accept().unwrap();
    assert!(sink.renewed());
    let small = messages(2, 30, 1);
    sink.send(&small);
    sink.close();
    let mut bytes = Vec::new();
    server.read_to_end(&mut bytes).unwrap();
    assert!(bytes == small.bytes());
}

#[test]
fn next_address_is_tried() {
    let (_listener, address) = listener();
    let mut sink = Tcp::open(vec![dead(), address], quick()).unwrap();
    until(&mut sink, |sink| sink.ready());
}

#[test]
fn closing_without_a_collector_counts() {
    let mut sink = Tcp::open(vec![dead()], quick()).unwrap();
    sink.send(&messages(2, 10, 1));
    sink.close();
    let counters = balanced(&sink);
    assert_eq!(counters.lost, [("closed", 2)]);
    sink.send(&messages(2, 10, 1));
    assert_eq!(lost(&balanced(&sink), "not_connected"), 2);
}

#[test]
fn pauses_grow_within_bounds() {
    let pause = Duration::from_secs(4);
    for _ in 0..100 {
        let jittered = jittered(pause);
        assert!(jittered >= Duration::from_secs(3) && jittered <= Duration::from_secs(5));
    }
    let mut sink = Tcp::open(vec![dead()], quick()).unwrap();
    until(&mut sink, |sink| sink.pause == Duration::from_millis(20));
}

#[test]
fn local_address_of_the_wrong_family_is_refused() {
    let (_listener, address) = listener();
    let local = vec!["[::1]:0".parse().unwrap()];
    let error = Tcp::open(vec![address], Options { local, ..quick() }).err().unwrap().to_string();
    assert!(error.starts_with("-q ::1: ") && error.contains("IPv4"), "{error}");
}
