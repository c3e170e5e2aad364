use super::*;
use crate::spool;
use flowsonde_wire::export::Transport;
use std::path::PathBuf;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("flowsonde-queue-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Folder(path)
    }

    fn spool(&self, max_bytes: u64) -> (Spool, Recovered) {
        let settings =
            spool::Settings { dir: self.0.clone(), max_bytes, segment_bytes: 4096, sync: Duration::from_millis(100) };
        Spool::open(settings).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const SETTINGS: Settings = Settings {
    memory: 1 << 20,
    batch: 400,
    delay: Duration::from_millis(1),
    sync: Duration::from_millis(100),
    compress: false,
    window: 1 << 20,
};

/// Datagrams of 100 bytes that begin with their number, one a millisecond.
fn put(queue: &mut Queue, numbers: core::ops::Range<u32>) {
    for n in numbers {
        let bytes = [&n.to_be_bytes()[..], &[7; 96]].concat();
        let time = Nanos(u64::from(n) * 1_000_000);
        let from = ([192, 0, 2, 1], 2055).into();
        queue.put(&Datagram { time, transport: Transport::Udp, from, to: 2055, local: None, bytes: &bytes });
        queue.tick(time, Instant::now());
    }
    queue.mark();
}

/// What a collector is told: numbers of datagrams, and holes.
fn told(queue: &mut Queue) -> (Vec<u32>, Vec<(Reason, u64, u64)>) {
    let (mut numbers, mut gaps) = (Vec::new(), Vec::new());
    loop {
        let (end, bytes) = match queue.upcoming() {
            Next::Nothing => return (numbers, gaps),
            Next::Gap(reason, first, end) => {
                gaps.push((reason, first, end));
                (end, 0)
            }
            Next::Frame(frame, end) => {
                let Ok(Frame::Batch(batch)) = Frame::read(frame) else { panic!("a batch") };
                numbers.extend(batch.datagrams().map(|d| u32::from_be_bytes(*d.bytes.first_chunk().unwrap())));
                (end, frame.len())
            }
        };
        queue.sent(end, bytes);
    }
}

fn late(queue: &mut Queue, millis: u64) {
    queue.tick(Nanos(millis * 1_000_000), Instant::now());
}

#[test]
fn what_is_not_acknowledged_is_told_again_to_the_next() {
    let mut queue = Queue::new(SETTINGS);
    put(&mut queue, 0..10);
    late(&mut queue, 20);
    assert_eq!(queue.upcoming(), Next::Nothing);
    queue.attach(UNKNOWN);
    assert_eq!(told(&mut queue), ((0..10).collect(), vec![]));
    queue.acknowledge(6);
    queue.detach();
    queue.attach(UNKNOWN);
    let (numbers, _) = told(&mut queue);
    // Batches are told whole.
    assert!(numbers[0] > 3 && numbers[0] <= 6 && numbers.last() == Some(&9), "{numbers:?}");
    // One that has more than it could acknowledge.
    queue.detach();
    queue.attach(10);
    assert_eq!(told(&mut queue), (vec![], vec![]));
    assert_eq!(queue.waiting(), Waiting::default());
}

#[test]
fn without_a_spool_the_oldest_is_lost_and_the_hole_is_told() {
    let mut queue = Queue::new(Settings { memory: 2000, ..SETTINGS });
    put(&mut queue, 0..100);
    late(&mut queue, 200);
    queue.attach(UNKNOWN);
    let (numbers, gaps) = told(&mut queue);
    let first = numbers[0];
    assert_eq!(numbers, (first..100).collect::<Vec<_>>());
    assert_eq!(gaps, [(Reason::BufferFull, 0, first.into())]);
    assert_eq!(queue.lost().next(), Some((Reason::BufferFull, first.into())));
    assert!(first > 80);
    // What is left when it ends is lost too, but counted.
    let held = queue.held();
    assert!(held == u64::from(100 - first));
    queue.finish();
    assert_eq!((queue.held(), queue.lost().nth(2)), (0, Some((Reason::Restart, held))));
    assert_eq!(queue.received(), queue.delivered() + queue.lost().map(|(_, count)| count).sum::<u64>());
}

/// Memory is full of what the collector has been sent and is slow to acknowledge.
#[test]
fn what_is_under_way_is_lost_only_if_the_collector_goes() {
    let fill = || {
        let mut queue = Queue::new(Settings { memory: 2000, ..SETTINGS });
        queue.attach(UNKNOWN);
        for n in 0..100 {
            put(&mut queue, n..n + 1);
            late(&mut queue, u64::from(n) + 2);
            told(&mut queue);
        }
        queue
    };
    let lost = |queue: &Queue| queue.lost().map(|(_, count)| count).sum::<u64>();
    let mut queue = fill();
    queue.acknowledge(100);
    assert_eq!((lost(&queue), queue.held(), queue.delivered()), (0, 0, 100));
    let mut queue = fill();
    queue.detach();
    assert!(lost(&queue) > 80 && queue.held() == 100 - lost(&queue), "{}", lost(&queue));
    queue.attach(UNKNOWN);
    let (numbers, gaps) = told(&mut queue);
    assert_eq!(gaps, [(Reason::BufferFull, 0, numbers[0].into())]);
    queue.acknowledge(100);
    assert_eq!((queue.held(), queue.delivered()), (0, numbers.len() as u64));
}

#[test]
fn what_waits_goes_to_the_spool_and_comes_in_order() {
    let folder = Folder::new("order");
    let (spool, recovered) = folder.spool(1 << 20);
    let mut queue = Queue::with(SETTINGS, spool, &recovered);
    put(&mut queue, 0..1000);
    late(&mut queue, 1010);
    let waiting = queue.waiting();
    // What is older than 50 ms is on disk: all but 40 datagrams and those of a batch.
    assert!(waiting.spool > 94_000 && waiting.memory < 20_000 && waiting.datagrams == 1000, "{waiting:?}");
    queue.attach(UNKNOWN);
    assert_eq!(told(&mut queue), ((0..1000).collect(), vec![]));
    queue.acknowledge(1000);
    assert_eq!(queue.waiting().datagrams, 0);
    put(&mut queue, 1000..1010);
    late(&mut queue, 1011);
    assert_eq!(told(&mut queue), ((1000..1010).collect(), vec![]));
}

#[test]
fn a_full_spool_loses_its_oldest() {
    let folder = Folder::new("full");
    let (spool, recovered) = folder.spool(16_384);
    let mut queue = Queue::with(SETTINGS, spool, &recovered);
    put(&mut queue, 0..1000);
    late(&mut queue, 1010);
    queue.attach(UNKNOWN);
    let (numbers, gaps) = told(&mut queue);
    let first = numbers[0];
    assert_eq!(numbers, (first..1000).collect::<Vec<_>>());
    assert_eq!(gaps, [(Reason::SpoolFull, 0, first.into())]);
    assert_eq!(queue.lost().nth(1), Some((Reason::SpoolFull, first.into())));
    assert!(first > 700, "{first}");
}

/// Dropped without [`Queue::finish`] it is as if the process was killed.
#[test]
fn after_a_crash_what_was_not_spooled_is_a_hole() {
    let folder = Folder::new("crash");
    let (spool, recovered) = folder.spool(1 << 20);
    let mut queue = Queue::with(SETTINGS, spool, &recovered);
    put(&mut queue, 0..1000);
    queue.attach(UNKNOWN);
    queue.acknowledge(500);
    drop(queue);
    let (spool, recovered) = folder.spool(1 << 20);
    let mut queue = Queue::with(SETTINGS, spool, &recovered);
    let (_, next) = queue.numbers();
    assert_eq!(next, 1000);
    put(&mut queue, 1000..1100);
    late(&mut queue, 1200);
    queue.attach(500);
    let (numbers, gaps) = told(&mut queue);
    let lost = numbers.iter().position(|n| *n == 1000).map(|at| u64::from(numbers[at - 1] + 1)).unwrap();
    assert_eq!(gaps, [(Reason::Restart, lost, 1000)]);
    // At most what came in 100 ms.
    assert!((900..1000).contains(&lost), "{lost}");
    let expected: Vec<u32> = (500..lost as u32).chain(1000..1100).collect();
    assert!(numbers.ends_with(&expected) && numbers.len() < expected.len() + 4);
    // A third run tells the same.
    queue.finish();
    drop(queue);
    let (spool, recovered) = folder.spool(1 << 20);
    let mut queue = Queue::with(SETTINGS, spool, &recovered);
    queue.attach(500);
    let (numbers, gaps) = told(&mut queue);
    assert_eq!(gaps, [(Reason::Restart, lost, 1000)]);
    assert!(numbers.ends_with(&expected));
}
