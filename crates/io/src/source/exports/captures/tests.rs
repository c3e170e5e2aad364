use super::super::framing::tests::{message, v9};
use super::super::kept::Kept;
use super::*;
use std::fs;
use std::path::PathBuf;

/// A folder that is gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("flowsonde-exports-{test}-{}", std::process::id()));
        let _from_before = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

/// A capture of raw IP packets, one a second; each may say how long it was.
fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65_535, 101] {
        out.extend(word.to_be_bytes());
    }
    for (time, packet) in (1_000_u32..).zip(packets) {
        for word in [time, 0, packet.len() as u32, packet.len() as u32] {
            out.extend(word.to_be_bytes());
        }
        out.extend(packet);
    }
    out
}

fn v4(from: u8, protocol: u8, id: u16, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x45, 0];
    p.extend((20 + payload.len() as u16).to_be_bytes());
    p.extend(id.to_be_bytes());
    p.extend(fragment.to_be_bytes());
    p.extend([64, protocol, 0, 0, 192, 0, 2, from, 192, 0, 2, 100]);
    p.extend(payload);
    p
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x60, 0, 0, 0];
    p.extend((payload.len() as u16).to_be_bytes());
    p.extend([next, 64]);
    p.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7].repeat(2));
    p.extend(payload);
    p
}

fn udp(to: u16, payload: &[u8]) -> Vec<u8> {
    let mut p = 4_000_u16.to_be_bytes().to_vec();
    p.extend(to.to_be_bytes());
    p.extend((8 + payload.len() as u16).to_be_bytes());
    p.extend([0, 0]);
    p.extend(payload);
    p
}

fn tcp(seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = 5_000_u16.to_be_bytes().to_vec();
    p.extend(4_739_u16.to_be_bytes());
    p.extend(seq.to_be_bytes());
    p.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    p.extend(payload);
    p
}

/// Hands on what is in these packets, by one port and by any.
fn read(packets: &[Vec<u8>], ports: Ports) -> (Kept, Counters) {
    let mut known = Packets::new(ports);
    let mut kept = Kept::default();
    let mut bytes = CaptureFile::from_reader(std::io::Cursor::new(pcap(packets)), "memory", None);
    while bytes
        .poll(&mut |frames| {
            known.frames(frames, &mut kept);
        })
        .unwrap()
        != Poll::End
    {}
    known.finish(&mut kept);
    (kept, known.counters)
}

fn only(port: u16) -> Ports {
    Ports::Only(vec![port])
}

#[test]
fn payloads_of_one_port_or_of_any() {
    let long = vec![7; 1_400];
    let mut padded = v4(3, 17, 0, 0, &udp(2055, b"padded"));
    padded.extend([0; 18]);
    let packets = [
        v4(1, 17, 0, 0, &udp(2055, &long)),
        v4(2, 17, 0, 0, &udp(53, b"dns")),
        v6(17, &udp(2055, b"six")),
        padded,
        v4(1, 1, 0, 0, &[8, 0, 0, 0]),
        vec![0x45, 0, 0],
    ];
    let (kept, counters) = read(&packets, only(2055));
    assert_eq!(kept.bytes(), [&long[..], b"six", b"padded"]);
    assert_eq!((counters.datagrams, counters.other, counters.short), (3, 3, 0));
    let first = &kept.messages[0];
    assert_eq!((first.from.to_string(), first.to), ("192.0.2.1:4000".to_owned(), 2055));
    assert_eq!((first.time, first.transport), (Nanos::new(1_000, 0), Transport::Udp));
    assert_eq!(kept.messages[1].from.to_string(), "[2001:db8::7]:4000");

    let (kept, counters) = read(&packets, Ports::Any);
    assert_eq!(kept.bytes(), [&long[..], b"dns", b"six", b"padded"]);
    assert_eq!(counters.other, 2);
}

#[test]
fn what_was_not_captured_whole_is_handed_on_and_counted() {
    let mut cut = v4(1, 17, 0, 0, &udp(2055, &[9; 100]));
    cut.truncate(20 + 8 + 60);
    let (kept, counters) = read(&[cut], only(2055));
    assert_eq!(kept.bytes(), [&[9; 60][..]]);
    assert_eq!((counters.short, counters.received()), (1, 1));
}

#[test]
fn fragments_become_datagrams_in_order_with_others() {
    let payload: Vec<u8> = (0..4_000_u32).map(|n| (n * 7) as u8).collect();
    let whole = udp(2055, &payload);
    let part = |from: usize, to: usize| {
        v4(1, 17, 77, (from / 8) as u16 | if to < whole.len() { 0x2000 } else { 0 }, &whole[from..to])
    };
    let six = |from: usize, to: usize| {
        let more = u16::from(to < whole.len());
        let mut header = vec![17, 0];
        header.extend((from as u16 | more).to_be_bytes());
        header.extend([0, 0, 0, 9]);
        v6(44, &[&header[..], &whole[from..to]].concat())
    };
    let packets = [
        v4(1, 17, 0, 0, &udp(2055, b"before")),
        part(1_480, 2_960),
        six(0, 2_000),
        part(0, 1_480),
        part(2_960, whole.len()),
        six(2_000, whole.len()),
        v4(1, 17, 0, 0, &udp(2055, b"after")),
        // Never whole: of ours, of another port, of nobody knows.
        v4(2, 17, 1, 0x2000, &udp(2055, &[0; 16])),
        v4(2, 17, 2, 0x2000, &udp(53, &[0; 16])),
        v4(2, 17, 3, 0x2003, &[0; 16]),
    ];
    let (kept, counters) = read(&packets, only(2055));
    assert!(kept.bytes() == [&b"before"[..], &payload, &payload, b"after"]);
    assert_eq!((counters.reassembled, counters.fragments, counters.other), (2, 2, 1));
    assert_eq!((counters.datagrams, counters.received()), (4, 6));
}

#[test]
fn streams_are_followed_as_far_as_they_are_in_order() {
    const SYN: u8 = 2;
    const FIN: u8 = 1;
    let (a, b, c) = (message(40, 1), message(30, 2), v9(&[0, 256]));
    let all = [&a[..], &b, &a, &c].concat();
    let start = u32::MAX - 20;
    let at = |n: usize| start.wrapping_add(1 + n as u32);
    let segment = |from: usize, to: usize| v4(1, 6, 0, 0, &tcp(at(from), 0, &all[from..to]));
    let packets = [
        v4(1, 6, 0, 0, &tcp(start, SYN, &[])),
        segment(0, 50),
        // Again, in part and whole.
        segment(0, 50),
        segment(20, 60),
        segment(60, all.len()),
        v4(1, 6, 0, 0, &tcp(at(all.len()), FIN, &[])),
    ];
    for ports in [only(4739), Ports::Any] {
        let (kept, counters) = read(&packets, ports);
        assert!(kept.bytes() == [&a[..], &b, &a, &c]);
        let from = "192.0.2.1:5000".parse().unwrap();
        assert_eq!(kept.closed, [(Transport::Tcp, from, 4739)]);
        assert_eq!((counters.sessions, counters.not_followed, counters.received()), (1, 0, 4));
    }
    // A segment is missing: what is known of the session ends, and it goes on where a message begins.
    let gap = [&packets[..2], &[segment(60, 70), segment(70, 110), segment(110, all.len())]].concat();
    let (kept, counters) = read(&gap, only(4739));
    assert!(kept.bytes() == [&a[..], &a, &c], "{:?}", kept.bytes());
    assert_eq!(kept.closed.len(), 2);
    assert_eq!((counters.unfinished, counters.not_followed), (1, 1));

    let web = [v4(1, 6, 0, 0, &tcp(1, SYN, &[])), v4(1, 6, 0, 0, &tcp(2, 0, b"GET / HTTP/1.1"))];
    let (kept, counters) = read(&web, Ports::Any);
    assert!(kept.messages.is_empty() && kept.closed.is_empty());
    assert_eq!((counters.other, counters.not_followed, counters.framing), (1, 0, 0));
    assert_eq!(read(&web, only(4739)).1.not_followed, 1);
}

#[test]
fn every_packet_cut_anywhere_is_no_more_than_a_counter() {
    let whole = udp(2055, &[1; 64]);
    let packets = [
        v4(1, 17, 0, 0, &whole),
        v6(17, &whole),
        v4(1, 6, 0, 0, &tcp(1, 2, &message(40, 1))),
        v4(1, 17, 5, 0x2000, &whole),
    ];
    for packet in &packets {
        for cut in 0..packet.len() {
            for ports in [Ports::Any, only(2055), only(4739)] {
                let (kept, counters) = read(&[packet[..cut].to_vec()], ports);
                assert_eq!(kept.messages.len() as u64, counters.datagrams);
            }
        }
    }
}

#[test]
fn files_of_a_folder_are_one_run() {
    let folder = Folder::new("run");
    let whole = udp(2055, &[3; 200]);
    let first = [v4(1, 17, 9, 0x2000, &whole[..104])];
    let second = [v4(1, 17, 9, 104 / 8, &whole[104..]), v4(1, 17, 0, 0, &udp(53, b"dns"))];
    folder.write("1.pcap", &pcap(&first));
    folder.write("2.dat", b"one");
    folder.write("3.DAT", b"two");
    folder.write("4.bin", &pcap(&second));
    folder.write("5.dump", &vec![0; 70_000]);
    folder.write("6.txt", b"hello, this is no capture");
    let mut names: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let inputs = names.into_iter().map(Input::Member).collect();
    let mut captures = Captures::open(inputs, only(2055), None, Nanos::new(50, 0)).unwrap();
    let kept = Kept::all(&mut captures);
    assert_eq!(kept.bytes(), [&b"one"[..], b"two", &[3; 200]]);
    let payload = &kept.messages[1];
    assert_eq!((payload.time, payload.from, payload.to), (Nanos::new(50, STEP), EXPORTER, 2055));
    let counters = captures.counters();
    assert_eq!((counters.packets, counters.other, counters.reassembled, counters.truncated), (3, 1, 1, 1));
    assert_eq!((counters.datagrams, counters.received()), (3, 4));
    let notices = captures.notices();
    assert!(notices.len() == 2 && notices[0].contains("5.dump") && notices[1].contains("6.txt"), "{notices:?}");
    let (done, total) = captures.progress().unwrap();
    assert_eq!(done, total);
}

#[test]
fn a_file_that_was_named_has_to_be_readable() {
    let folder = Folder::new("named");
    let text = folder.write("text.pcap", b"no capture at all, whatever its name");
    let error = Captures::open(vec![Input::File(text)], Ports::Any, None, Nanos(0)).err().unwrap().to_string();
    assert!(error.contains("text.pcap"), "{error}");
    let only = folder.write("only.txt", b"no capture at all");
    let mut captures = Captures::open(vec![Input::Member(only)], Ports::Any, None, Nanos(0)).unwrap();
    let error = captures.poll(&mut Kept::default()).unwrap_err().to_string();
    assert!(error.contains("none of the 1 files"), "{error}");
}
