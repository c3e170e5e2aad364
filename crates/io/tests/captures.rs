//! Capture files as a whole: what is in them, cut anywhere, compressed, in lists.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flowsonde_io::source::{CaptureFile, Counters, Error, Files, Input, Poll, Source, resolve};

/// A directory of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("flowsonde-captures-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("scratch directory");
        Scratch(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).expect("written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn frame(n: usize) -> Vec<u8> {
    (0..n % 90).map(|i| (i + n) as u8).collect()
}

/// A pcap file of `packets` Ethernet packets, one a millisecond.
fn pcap(packets: usize) -> Vec<u8> {
    let mut out = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0];
    for n in 0..packets {
        let bytes = frame(n);
        for word in [1_000, n * 1_000, bytes.len(), bytes.len() + 4] {
            out.extend((word as u32).to_le_bytes());
        }
        out.extend(bytes);
    }
    out
}

/// The same as pcapng, big-endian, with a block nobody knows after each packet.
fn pcapng(packets: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let total = (body.len().next_multiple_of(4) + 12) as u32;
        out.extend(kind.to_be_bytes());
        out.extend(total.to_be_bytes());
        out.extend(body);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(total.to_be_bytes());
    };
    block(0x0a0d_0d0a, &[0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    block(1, &[0, 1, 0, 0, 0, 0, 0, 0]);
    for n in 0..packets {
        let bytes = frame(n);
        let time = 1_000_000_000 + n as u64 * 1_000;
        let mut body = vec![0; 4];
        body.extend(time.to_be_bytes());
        body.extend((bytes.len() as u32).to_be_bytes());
        body.extend((bytes.len() as u32 + 4).to_be_bytes());
        body.extend(bytes);
        block(6, &body);
        block(0x0000_0bad, b"nobody knows");
    }
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).expect("encoded")
}

/// All of a source: how many packets, its counters, its warnings. Checks every packet of it.
fn drain(source: &mut dyn Source) -> Result<(usize, Counters, Vec<String>), Error> {
    let mut n = 0;
    loop {
        let poll = source.poll(&mut |frames| {
            assert!((1..=32).contains(&frames.len()));
            for got in frames {
                assert_eq!(got.bytes, frame(n));
                assert_eq!(got.time.micros(), 1_000_000_000 + n as u64 * 1_000);
                assert_eq!((got.link.0, got.wire_len as usize), (1, got.bytes.len() + 4));
                n += 1;
            }
        })?;
        if poll == Poll::End {
            break;
        }
    }
    assert_eq!(source.poll(&mut |_| {}).expect("still at its end"), Poll::End);
    let counters = source.counters();
    let warnings = std::iter::from_fn(|| source.warning()).collect();
    assert_eq!(n as u64, counters.seen - counters.cut - counters.filtered);
    Ok((n, counters, warnings))
}

#[test]
fn every_format_and_compression() {
    let scratch = Scratch::new("formats");
    for (name, bytes) in [("pcap", pcap(20_000)), ("pcapng", pcapng(20_000))] {
        let halves = bytes.split_at(bytes.len() / 2);
        let files = [
            ("plain", bytes.clone()),
            ("gz", gzip(&bytes)),
            // As `cat a.gz b.gz` makes it.
            ("members.gz", [gzip(halves.0), gzip(halves.1)].concat()),
            ("zst", zstd(&bytes)),
            ("frames.zst", [zstd(halves.0), zstd(halves.1)].concat()),
        ];
        for (kind, file) in files {
            // The name says nothing.
            let path = scratch.file("capture.dat", &file);
            let mut source = CaptureFile::open(&path, None).expect("opens");
            let (n, counters, warnings) = drain(&mut source).expect("reads");
            assert_eq!((n, counters.cut, warnings), (20_000, 0, vec![]), "{name} {kind}");
            assert_eq!(source.progress(), Some((file.len() as u64, file.len() as u64)));
        }
    }
}

#[test]
fn cut_at_every_length() {
    let scratch = Scratch::new("cut");
    for (bytes, header) in [(pcap(5), 24), (pcapng(5), 28)] {
        for end in 0..=bytes.len() {
            let path = scratch.file("cut", &bytes[..end]);
            match CaptureFile::open(&path, None) {
                Err(error) => {
                    assert!(end < header, "{end}: {error}");
                    assert!(error.0.contains("not a pcap or pcapng capture"), "{error}");
                }
                Ok(mut source) => {
                    assert!(end >= header);
                    let (n, counters, warnings) = drain(&mut source).expect("no error past the header");
                    assert!(n <= 5 && (end < bytes.len() || n == 5));
                    assert_eq!(counters.cut as usize, warnings.len());
                    assert!(warnings.iter().all(|text| text.contains("mid-packet")));
                }
            }
        }
    }
}

#[test]
fn a_packet_that_does_not_fit_into_its_block_is_passed_over() {
    let scratch = Scratch::new("block");
    let mut bytes = pcapng(3);
    // Behind the section and the interface: a block of 32 bytes, whose packet says that it has 1,000.
    let [kind, total, interface, high, low, captured, wire] = [6_u32, 32, 0, 0, 0, 1_000, 1_000];
    let block = [kind, total, interface, high, low, captured, wire, total].map(u32::to_be_bytes).concat();
    bytes.splice(48..48, block);
    let path = scratch.file("block", &bytes);
    let (n, counters, warnings) = drain(&mut CaptureFile::open(&path, None).expect("opens")).expect("reads");
    assert_eq!((n, counters.seen, counters.cut), (3, 4, 1));
    assert!(matches!(&warnings[..], [warning] if warning.contains("do not fit into their blocks")), "{warnings:?}");
}

#[test]
fn cut_while_compressed() {
    let scratch = Scratch::new("cut-compressed");
    for file in [gzip(&pcap(2_000)), zstd(&pcap(2_000))] {
        for end in (0..file.len()).step_by(97) {
            let path = scratch.file("cut", &file[..end]);
            let Ok(mut source) = CaptureFile::open(&path, None) else { continue };
            let (n, counters, warnings) = drain(&mut source).expect("no error past the header");
            assert!(n < 2_000 || end + 16 > file.len(), "{n} at {end} of {}", file.len());
            assert_eq!((counters.cut, warnings.len()), (1, 1));
        }
    }
}

#[test]
fn any_byte_may_be_wrong() {
    let scratch = Scratch::new("wrong");
    for bytes in [pcap(4), pcapng(4)] {
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                let path = scratch.file("wrong", &bytes);
                let Ok(mut source) = CaptureFile::open(&path, None) else { continue };
                let mut calls = 0;
                while source.poll(&mut |_| {}).is_ok_and(|poll| poll != Poll::End) {
                    calls += 1;
                    assert!(calls < 1_000);
                }
            }
        }
    }
}

#[test]
fn what_is_no_capture_is_told() {
    let scratch = Scratch::new("none");
    for (bytes, said) in [
        (&b"%PDF-1.4 and more"[..], "starts with 25 50 44 46 2d 31 2e 34 '%PDF-1.4'"),
        (b"", "empty"),
        (b"\xfd7zXZ\0", "xzcat"),
        (&gzip(b"hello, world"), "starts with 68 65 6c 6c 6f 2c 20 77 'hello,.w' once decompressed"),
        (&gzip(&gzip(&pcap(1))), "once decompressed"),
        (&[0xa1, 0xb2, 0xc3, 0xd4, 0, 9, 0, 0], "version 9"),
    ] {
        let path = scratch.file("none", bytes);
        let error = CaptureFile::open(&path, None).err().expect("no capture").0;
        assert!(error.starts_with(&format!("-i {}: ", path.display())) && error.contains(said), "{error}");
    }
    assert!(CaptureFile::open(&scratch.0, None).is_err());
    assert!(CaptureFile::open(Path::new("/no/such/file"), None).is_err());
}

#[test]
fn filtered_packets_are_counted() {
    let scratch = Scratch::new("filter");
    let path = scratch.file("a", &pcap(180));
    let mut source = CaptureFile::open(&path, Some("greater 60")).expect("opens");
    let mut n = 0;
    while source.poll(&mut |frames| n += frames.iter().filter(|f| f.wire_len >= 60).count()).expect("reads")
        != Poll::End
    {}
    let counters = source.counters();
    assert_eq!((n, counters.seen, counters.filtered), (68, 180, 112));
    let error = CaptureFile::open(&path, Some("nonsense here")).err().expect("wrong").0;
    assert!(error.starts_with("-f 'nonsense here'"), "{error}");
}

#[test]
fn a_directory_is_one_stream() {
    let scratch = Scratch::new("directory");
    let whole = pcap(90);
    let records = |from: usize, to: usize| {
        let start = |n| pcap(n).len();
        [&whole[..24], &whole[start(from)..start(to)]].concat()
    };
    scratch.file("1.pcap", &records(0, 40));
    scratch.file("2.txt", b"not a capture");
    scratch.file("3.pcap.gz", &gzip(&records(40, 70)));
    scratch.file("4.pcap", &records(70, 90));
    let inputs = resolve(scratch.0.to_str().expect("utf-8")).expect("resolves");
    let mut files = Files::open(inputs, None).expect("opens");
    let (n, _, warnings) = drain(&mut files).expect("reads");
    assert_eq!((n, warnings.len()), (90, 1));
    assert!(warnings[0].contains("2.txt"), "{warnings:?}");
    let (done, total) = files.progress().expect("known");
    assert_eq!(done, total);

    // Named by the user, the same file is an error, and at once.
    let named = ["1.pcap", "2.txt"].map(|name| Input::File(scratch.0.join(name))).to_vec();
    assert!(Files::open(named, None).is_err());
    let only = vec![Input::Member(scratch.0.join("2.txt"))];
    assert!(Files::open(only, None).expect("opens").poll(&mut |_| {}).is_err());
}
