//! Spools in directories of their own.

mod crash;
mod disk_full;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::*;

/// A directory that is removed when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("flowsonde-spool-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Scratch(path)
    }

    fn settings(&self) -> Settings {
        Settings { dir: self.0.clone(), max_bytes: 16384, segment_bytes: 4096, sync: Duration::from_millis(100) }
    }

    fn open(&self) -> (Spool, Recovered) {
        Spool::open(self.settings()).unwrap()
    }

    /// The names of the segments, in order.
    fn segments(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.ends_with(".segment"));
        names.sort();
        names
    }

    fn segment(&self, n: usize) -> PathBuf {
        self.0.join(&self.segments()[n])
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The body of the entry whose first number is `first`.
fn body(first: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (first * 31 + n * 7) as u8).collect()
}

/// Pushes `entries` of ten numbers each, with a body of 968 bytes: 1000 on disk, four a segment.
fn push(spool: &mut Spool, entries: u64) -> Held {
    let mut evicted = Held::default();
    for _ in 0..entries {
        let first = spool.next_number();
        let bytes = body(first, 968);
        evicted.add(spool.push(first, 10, first / 100, &[&bytes[..100], &bytes[100..]]).unwrap());
    }
    evicted
}

/// The first numbers of all that can be read from here on, each checked.
fn read(spool: &mut Spool) -> Vec<u64> {
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    while let Some(entry) = spool.next(&mut buffer).unwrap() {
        assert_eq!((entry.count, entry.tag), (10, entry.first / 100));
        assert_eq!(buffer, body(entry.first, 968));
        found.push(entry.first);
    }
    found
}

fn tens(range: core::ops::Range<u64>) -> Vec<u64> {
    range.map(|n| n * 10).collect()
}

fn held(entries: u64) -> Held {
    Held { entries, numbers: entries * 10 }
}

#[test]
fn entries_come_in_order_as_often_as_asked() {
    let scratch = Scratch::new("order");
    let (mut spool, recovered) = scratch.open();
    assert_eq!(recovered, Recovered::default());
    assert_eq!(read(&mut spool), []);
    assert_eq!(push(&mut spool, 3), Held::default());
    assert_eq!(read(&mut spool), tens(0..3));
    assert_eq!(read(&mut spool), []);
    // What is pushed behind the end is read next, over the end of a segment, too.
    push(&mut spool, 7);
    assert_eq!(read(&mut spool), tens(3..10));
    spool.rewind();
    assert_eq!(read(&mut spool), tens(0..10));
    assert_eq!(scratch.segments().len(), 3);
    assert_eq!(spool.bytes(), 10 * 1000 + 3 * 16);
    let on_disk: u64 = (0..3).map(|n| fs::metadata(scratch.segment(n)).unwrap().len()).sum();
    assert_eq!(spool.bytes(), on_disk);
}

#[test]
fn entries_that_cannot_be_are_refused() {
    let scratch = Scratch::new("refused");
    let (mut spool, _) = scratch.open();
    spool.push(5, 5, 0, &[b"x"]).unwrap();
    for (first, count, length) in [(9, 1, 1), (0, 1, 1), (10, 0, 1), (u64::MAX, 1, 1), (10, 1, 4096 - 16 - 32 + 1)] {
        let refused = spool.push(first, count, 0, &[&vec![0; length]]);
        assert!(matches!(refused, Err(Error::Entry(_))), "{first} {count} {length}: {refused:?}");
    }
    // The longest, and nothing at all; a gap in the numbers.
    spool.push(10, 1, 0, &[&[7; 4096 - 16 - 32]]).unwrap();
    spool.push(20, 1, u64::MAX, &[]).unwrap();
    let mut buffer = vec![1, 2, 3];
    assert_eq!(spool.next(&mut buffer).unwrap(), Some(Entry { first: 5, count: 5, tag: 0 }));
    assert_eq!(buffer, b"x");
    spool.next(&mut buffer).unwrap();
    assert_eq!(buffer, [7; 4048]);
    assert_eq!(spool.next(&mut buffer).unwrap(), Some(Entry { first: 20, count: 1, tag: u64::MAX }));
    assert!(buffer.is_empty());
}

#[test]
fn the_oldest_goes_when_there_is_no_room() {
    let scratch = Scratch::new("bounds");
    let (mut spool, _) = scratch.open();
    // Four segments of four entries fit; each further one costs the oldest segment.
    assert_eq!(push(&mut spool, 16), Held::default());
    assert_eq!(push(&mut spool, 1), held(4));
    assert_eq!(push(&mut spool, 3), Held::default());
    assert!(spool.bytes() <= 16384);
    spool.rewind();
    assert_eq!(read(&mut spool), tens(4..20));
    // What is released is not counted: three entries, and three numbers of the fourth. The segment is deleted all the same.
    spool.release(73).unwrap();
    assert_eq!(push(&mut spool, 1), Held { entries: 1, numbers: 7 });
    assert_eq!(push(&mut spool, 3), Held::default());
    // A reader in what is deleted goes on at the oldest.
    spool.rewind();
    let mut buffer = Vec::new();
    assert_eq!(spool.next(&mut buffer).unwrap().map(|entry| entry.first), Some(80));
    assert_eq!(push(&mut spool, 1), held(4));
    assert_eq!(read(&mut spool), tens(12..25));
    assert_eq!(spool.evicted(), Held::default());
    for _ in 0..1000 {
        push(&mut spool, 1);
        assert!(spool.bytes() <= 16384 && scratch.segments().len() <= 4);
    }
}

#[test]
fn what_is_released_is_forgotten() {
    let scratch = Scratch::new("release");
    let (mut spool, _) = scratch.open();
    push(&mut spool, 10);
    assert_eq!(scratch.segments().len(), 3);
    spool.release(39).unwrap();
    assert_eq!(scratch.segments().len(), 3);
    assert_eq!(read(&mut spool), tens(3..10));
    spool.release(40).unwrap();
    assert_eq!(scratch.segments().len(), 2);
    // Lower numbers change nothing, higher ones than there are mean all.
    spool.release(7).unwrap();
    assert_eq!(spool.released(), 40);
    spool.rewind();
    assert_eq!(read(&mut spool), tens(4..10));
    spool.release(u64::MAX).unwrap();
    assert_eq!((spool.released(), spool.bytes()), (100, 0));
    assert!(scratch.segments().is_empty());
    // It goes on where it was; a segment that is hardly begun stays.
    push(&mut spool, 1);
    spool.release(110).unwrap();
    assert_eq!(scratch.segments().len(), 1);
    push(&mut spool, 1);
    spool.rewind();
    assert_eq!(read(&mut spool), [110]);
    spool.release(120).unwrap();
    assert!(scratch.segments().is_empty());
}

#[test]
fn a_restart_changes_nothing() {
    let scratch = Scratch::new("restart");
    let (mut spool, _) = scratch.open();
    push(&mut spool, 10);
    spool.release(55).unwrap();
    spool.mark(1234);
    spool.mark(1200);
    drop(spool);
    let (mut spool, recovered) = scratch.open();
    let expected = Recovered {
        held: Held { entries: 5, numbers: 45 },
        first: 55,
        next: 100,
        mark: 1234,
        bytes: 6 * 1000 + 2 * 16,
        cut: 0,
        notices: Vec::new(),
    };
    assert_eq!(recovered, expected);
    assert_eq!(read(&mut spool), tens(5..10));
    // The last segment is written on.
    push(&mut spool, 2);
    assert_eq!(scratch.segments().len(), 2);
    spool.release(120).unwrap();
    drop(spool);
    let (mut spool, recovered) = scratch.open();
    assert_eq!((recovered.held, recovered.first, recovered.next, recovered.bytes), (held(0), 120, 120, 0));
    assert!(matches!(spool.push(119, 1, 0, &[]), Err(Error::Entry(_))));
    push(&mut spool, 1);
    assert_eq!(read(&mut spool), [120]);
    // A mark that is behind what was pushed is not told.
    spool.push(5000, 1, 0, &[]).unwrap();
    drop(spool);
    assert_eq!(scratch.open().1.mark, 5001);
}

#[test]
fn the_first_number_held_is_of_an_entry() {
    let scratch = Scratch::new("first");
    let (mut spool, _) = scratch.open();
    spool.push(0, 10, 0, &[]).unwrap();
    spool.push(20, 10, 0, &[]).unwrap();
    spool.release(10).unwrap();
    drop(spool);
    let (_, recovered) = scratch.open();
    assert_eq!((recovered.held, recovered.first, recovered.next), (held(1), 20, 30));
}

#[test]
fn a_last_entry_that_is_cut_off_anywhere_is_cut_off_whole() {
    let scratch = Scratch::new("cut");
    let (mut spool, _) = scratch.open();
    push(&mut spool, 2);
    spool.push(20, 10, 0, &[&body(20, 50)]).unwrap();
    drop(spool);
    let path = scratch.segment(0);
    let whole = fs::read(&path).unwrap();
    let end = 16 + 2 * 1000;
    assert_eq!(whole.len(), end + 82);
    for cut in end..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (mut spool, recovered) = scratch.open();
        assert_eq!((recovered.held, recovered.next, recovered.cut), (held(2), 20, (cut - end) as u64), "cut at {cut}");
        assert_eq!(fs::metadata(&path).unwrap().len(), end as u64);
        // It goes on behind what is whole.
        push(&mut spool, 1);
        assert_eq!(read(&mut spool), tens(0..3));
        // As would be after a crash of the next process.
        drop(spool);
        assert_eq!(scratch.open().1.held, held(3));
    }
    // Before the first entry: nothing is left of the file.
    for cut in 0..16 {
        fs::write(&path, &whole[..cut]).unwrap();
        let (spool, recovered) = scratch.open();
        assert_eq!((recovered.held, recovered.notices.len()), (held(0), 0), "cut at {cut}");
        drop(spool);
        assert!(scratch.segments().is_empty());
    }
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let scratch = Scratch::new("flipped");
    let (mut spool, _) = scratch.open();
    for first in [0, 10, 20] {
        spool.push(first, 10, 0, &[&body(first, 20)]).unwrap();
    }
    drop(spool);
    let path = scratch.segment(0);
    let whole = fs::read(&path).unwrap();
    let (second, third) = (16 + 52, 16 + 2 * 52);
    for bit in second * 8..third * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).unwrap();
        let (mut spool, recovered) = scratch.open();
        assert_eq!((recovered.held, recovered.next, recovered.cut), (held(1), 10, 104), "bit {bit}");
        let mut buffer = Vec::new();
        assert_eq!(spool.next(&mut buffer).unwrap().map(|entry| entry.first), Some(0));
        assert_eq!(spool.next(&mut buffer).unwrap(), None);
    }
    // In what tells that the file is a segment: it is no longer ours.
    for bit in 0..16 * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).unwrap();
        let (spool, recovered) = scratch.open();
        assert_eq!((recovered.held, recovered.notices.len()), (held(0), 1), "bit {bit}");
        drop(spool);
        assert_eq!(fs::read(&path).unwrap(), flipped);
    }
}

#[test]
fn damage_in_the_middle_costs_one_segment() {
    let scratch = Scratch::new("middle");
    let (mut spool, _) = scratch.open();
    push(&mut spool, 12);
    drop(spool);
    let path = scratch.segment(1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[16 + 1000 + 500] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (mut spool, recovered) = scratch.open();
    assert_eq!((recovered.held, recovered.cut, recovered.next), (held(9), 3000, 120));
    assert_eq!(read(&mut spool), [0, 10, 20, 30, 40, 80, 90, 100, 110]);
    assert_eq!(spool.damaged(), Held::default());
}

#[test]
fn damage_while_it_is_open_is_told() {
    let scratch = Scratch::new("damaged");
    let (mut spool, _) = scratch.open();
    push(&mut spool, 10);
    let spoil = |n: usize, at: usize| {
        let mut bytes = fs::read(scratch.segment(n)).unwrap();
        bytes[at] ^= 0x80;
        let file = folder::open(&scratch.segment(n)).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
    };
    // A body, a length, and in the last segment a length that goes far over the end.
    spoil(0, 16 + 2 * 1000 + 100);
    spoil(1, 16 + 4);
    spoil(2, 16 + 1000 + 7);
    assert_eq!(read(&mut spool), [0, 10, 80]);
    assert_eq!(spool.damaged(), Held { entries: 7, numbers: 70 });
    spool.rewind();
    assert_eq!(read(&mut spool), [0, 10, 80]);
    assert_eq!(spool.damaged(), Held::default());
    // It goes on in a new segment.
    push(&mut spool, 2);
    assert_eq!(read(&mut spool), [100, 110]);
    let bytes = spool.bytes();
    drop(spool);
    let (mut spool, recovered) = scratch.open();
    assert_eq!((recovered.held.entries, recovered.next, recovered.bytes), (5, 120, bytes - 16));
    assert_eq!(read(&mut spool), [0, 10, 80, 100, 110]);
}

#[test]
fn entries_out_of_order_are_none() {
    let scratch = Scratch::new("disorder");
    let (mut spool, _) = scratch.open();
    push(&mut spool, 8);
    drop(spool);
    // The entries of the first segment in the second: a copy by somebody else.
    let (first, second) = (scratch.segment(0), scratch.segment(1));
    let mut bytes = fs::read(&first).unwrap();
    bytes[8..16].copy_from_slice(&fs::read(&second).unwrap()[8..16]);
    fs::write(&second, bytes).unwrap();
    let (mut spool, recovered) = scratch.open();
    assert_eq!((recovered.held, recovered.cut), (held(4), 4000));
    assert_eq!(read(&mut spool), tens(0..4));
}

#[test]
fn a_length_is_not_believed() {
    let scratch = Scratch::new("length");
    let (spool, _) = scratch.open();
    drop(spool);
    // A header that claims 16 MiB, in a file that has as much, but as a hole; then one whose file has less.
    let path = scratch.0.join("00000000000000000007.segment");
    for length in [16 + 32 + (16 << 20), 16 + 32] {
        let mut bytes = b"FSSPOOL1\x07\0\0\0\0\0\0\0FSE1\0\0\0\x01".to_vec();
        bytes.extend([0; 16]);
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        fs::write(&path, &bytes).unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        let (_, recovered) = scratch.open();
        assert_eq!((recovered.held, recovered.cut), (held(0), length - 16));
    }
}

#[test]
fn one_process_at_a_time() {
    let scratch = Scratch::new("lock");
    let (spool, _) = scratch.open();
    let Err(Error::Unusable(text)) = Spool::open(scratch.settings()) else { panic!("opened twice") };
    assert!(text.contains(scratch.0.to_str().unwrap()) && text.contains("another process uses it"), "{text}");
    drop(spool);
    scratch.open();
}

#[test]
fn nobody_else_may_read_it() {
    let scratch = Scratch::new("modes");
    let (mut spool, _) = scratch.open();
    push(&mut spool, 5);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&scratch.0), 0o700);
    for entry in fs::read_dir(&scratch.0).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    drop(spool);
    // Others could put files in.
    for wrong in [0o777, 0o770, 0o702] {
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(wrong)).unwrap();
        let Err(Error::Unusable(text)) = Spool::open(scratch.settings()) else { panic!("mode {wrong:o}") };
        assert!(text.contains("700") && text.contains(scratch.0.to_str().unwrap()), "{text}");
    }
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(scratch.open().1.held, held(5));
}

#[test]
fn what_is_not_its_own_is_left_alone() {
    let scratch = Scratch::new("foreign");
    let (mut spool, _) = scratch.open();
    push(&mut spool, 5);
    drop(spool);
    let names = ["00000000000000000005.segment", "1.segment", "notes.txt", "old"];
    for name in &names[..3] {
        fs::write(scratch.0.join(name), "not of a spool, but of somebody else").unwrap();
    }
    fs::create_dir(scratch.0.join("old")).unwrap();
    let (mut spool, recovered) = scratch.open();
    let [notice] = &recovered.notices[..] else { panic!("{:?}", recovered.notices) };
    assert!(notice.contains(scratch.0.to_str().unwrap()) && notice.contains("1 more"), "{notice}");
    assert_eq!(names.iter().filter(|name| notice.contains(*name)).count(), 3, "{notice}");
    // Its name is not taken by another.
    push(&mut spool, 16);
    spool.release(u64::MAX).unwrap();
    for name in &names[..3] {
        assert_eq!(fs::read(scratch.0.join(name)).unwrap(), b"not of a spool, but of somebody else");
    }
    drop(spool);
    // The state is needed.
    fs::write(scratch.0.join("state"), "short").unwrap();
    let Err(Error::Unusable(text)) = Spool::open(scratch.settings()) else { panic!("opened") };
    assert!(text.contains("state") && text.contains("not the state of a spool"), "{text}");
}

#[test]
fn a_lost_state_loses_no_entry() {
    let scratch = Scratch::new("state");
    let (mut spool, _) = scratch.open();
    push(&mut spool, 3);
    spool.release(25).unwrap();
    drop(spool);
    fs::remove_file(scratch.0.join("state")).unwrap();
    let (mut spool, recovered) = scratch.open();
    assert_eq!((recovered.held, recovered.mark), (held(3), 30));
    assert_eq!(read(&mut spool), tens(0..3));
}

#[test]
fn settings_have_to_make_sense() {
    let scratch = Scratch::new("settings");
    for (max_bytes, segment_bytes) in [(1 << 20, 4095), (8191, 4096), (0, 4096)] {
        let settings = Settings { max_bytes, segment_bytes, ..scratch.settings() };
        assert!(matches!(Spool::open(settings), Err(Error::Unusable(_))));
    }
    let settings = Settings { dir: scratch.0.join("missing/deeper"), ..scratch.settings() };
    let Err(Error::Unusable(text)) = Spool::open(settings) else { panic!("opened") };
    assert!(text.contains("missing/deeper"), "{text}");
    assert!(!scratch.0.exists());
}

#[test]
fn disk_is_asked_when_it_is_time_and_there_is_something() {
    let scratch = Scratch::new("sync");
    let (mut spool, _) = scratch.open();
    let start = Instant::now();
    let after = |millis| start + Duration::from_millis(millis);
    assert!(!spool.sync(start).unwrap());
    push(&mut spool, 1);
    assert!(spool.sync(start).unwrap());
    assert!(!spool.sync(after(1000)).unwrap());
    push(&mut spool, 9);
    assert_eq!(spool.unsynced.len(), 2);
    assert!(spool.sync(after(1000)).unwrap());
    assert!(spool.unsynced.is_empty());
    push(&mut spool, 1);
    assert!(!spool.sync(after(1099)).unwrap());
    assert!(spool.sync(after(1100)).unwrap());
    spool.mark(5);
    assert!(spool.sync(after(1200)).unwrap());
    // Files do not pile up where nobody asks.
    for _ in 0..100 {
        push(&mut spool, 1);
        assert!(spool.unsynced.len() <= UNSYNCED);
    }
}

#[test]
fn entries_of_any_length_are_read_while_others_are_pushed() {
    let scratch = Scratch::new("lengths");
    let settings = Settings { max_bytes: 64 << 20, segment_bytes: 1 << 20, ..scratch.settings() };
    let (mut spool, _) = Spool::open(settings.clone()).unwrap();
    let lengths = [0, 1, 20, 8191, 8192, 100, 65504, 65536, 70_000, 31, 32, 33, 5000, 300_000, 7];
    let length = |first: u64| lengths[(first as usize * 7) % lengths.len()] + (first % 3) as usize;
    let (mut buffer, mut next) = (Vec::new(), 0);
    let mut check = |spool: &mut Spool, next: &mut u64, most: u64| {
        for _ in 0..most {
            let Some(entry) = spool.next(&mut buffer).unwrap() else { return };
            assert_eq!(entry, Entry { first: *next, count: 1, tag: *next });
            assert_eq!(buffer, body(*next, length(*next)), "{next}");
            *next += 1;
        }
    };
    for first in 0..600 {
        spool.push(first, 1, first, &[&body(first, length(first))]).unwrap();
        // Sometimes the reader is right behind, sometimes far.
        check(&mut spool, &mut next, [0, 3, 1, 0, 2, 1][(first / 20) as usize % 6]);
    }
    check(&mut spool, &mut next, 1000);
    assert_eq!(next, 600);
    drop(spool);
    let (mut spool, recovered) = Spool::open(settings).unwrap();
    assert_eq!((recovered.held.entries, recovered.cut), (600, 0));
    next = 0;
    check(&mut spool, &mut next, 1000);
    assert_eq!(next, 600);
}
