//! Exporters that mean harm: floods of templates, ids, sources, waiting data. Memory stays under its bound, measured at
//! the allocator and not by the collector's own account, and an honest exporter loses nothing by them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout as Block, System};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

use flowsonde_engine::decode::applications::Vocabulary;
use flowsonde_engine::decode::collector::{Collector, Config};
use flowsonde_engine::decode::records::{Receive, Set, Taken};
use flowsonde_engine::decode::session::Counters;
use flowsonde_engine::encode::Messages;
use flowsonde_engine::transcode::{Batching, Home, Plan, TlvBatches, Transcode};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};

/// Bytes in use, and the most there were since it was last set.
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: hands everything to the system's allocator, and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, block: Block) -> *mut u8 {
        let now = NOW.fetch_add(block.size(), Relaxed) + block.size();
        MOST.fetch_max(now, Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.alloc(block) }
    }

    unsafe fn dealloc(&self, place: *mut u8, block: Block) {
        NOW.fetch_sub(block.size(), Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.dealloc(place, block) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Memory is measured, so attacks go one at a time.
static TURN: Mutex<()> = Mutex::new(());

const BUDGET: usize = 32 << 20;
/// Tables grow by doubling, and hold the old one meanwhile; what is counted is content.
const BOUND: usize = 2 * BUDGET;
const SECOND: u64 = 1_000_000_000;

/// Two outputs, as a collector at work has them.
struct Out {
    lines: [(TlvBatches, Messages); 2],
    honest: u64,
}

impl Receive for Out {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        let mut taken = Taken::default();
        for (line, messages) in &mut self.lines {
            taken = line.flows(set, set.about.arrival, messages);
            messages.clear();
        }
        if set.about.exporter == honest().ip() {
            self.honest += u64::from(taken.records);
        }
        taken
    }
}

fn honest() -> SocketAddr {
    ([192, 0, 2, 1], 2055).into()
}

/// A v9 message: sequence number and sets.
fn v9(sequence: u32, domain: u32, sets: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0, 9, 0, 1];
    for number in [1_000_000u32, 1_700_000_000, sequence, domain] {
        out.extend(number.to_be_bytes());
    }
    for (id, body) in sets {
        out.extend(id.to_be_bytes());
        out.extend((body.len() as u16 + 4).to_be_bytes());
        out.extend(body);
    }
    out
}

fn words(words: impl IntoIterator<Item = u16>) -> Vec<u8> {
    words.into_iter().flat_map(u16::to_be_bytes).collect()
}

/// Template 256 of the honest exporter: source and destination address, bytes, packets.
fn template(id: u16) -> (u16, Vec<u8>) {
    (0, words([id, 4, 8, 4, 12, 4, 1, 4, 2, 4]))
}

/// The names of one process: they are kept whatever exporters come and go, and so not measured.
fn vocabulary() -> Arc<Vocabulary> {
    static NAMES: OnceLock<Arc<Vocabulary>> = OnceLock::new();
    Arc::clone(NAMES.get_or_init(|| Arc::new(Vocabulary::new(&[]))))
}

/// What an attacker sends: its n-th message, and from where.
type Attack = fn(u32) -> (SocketAddr, Vec<u8>);

/// Gives what became of all messages.
fn suffers(messages: u32, attack: Attack) -> Counters {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let home = Home::at([127, 0, 0, 1]);
    let lines = [Plan::Ntopng, Plan::Everything]
        .map(|plan| (TlvBatches::new(plan, home, false, Batching::default()), Messages::default()));
    let mut out = Out { lines, honest: 0 };
    let mut collector = Collector::new(Config { memory: BUDGET, vocabulary: Some(vocabulary()), ..Config::default() });
    let mut honest_sent = 0;
    let mut time = Nanos::new(1_700_000_000, 0);
    let mut give = |collector: &mut Collector, from, bytes: &[u8], time| {
        let message = Datagram { time, transport: Transport::Udp, from, to: 2055, local: None, bytes };
        let _whatever = collector.message(&message, &mut out);
    };
    // Heard a few times before it begins, as an exporter is that has been there.
    for n in 0..5 {
        give(&mut collector, honest(), &v9(n, 1, &[template(256)]), time);
    }
    for n in 0..messages {
        // 100,000 messages a second.
        time = Nanos(time.0 + 10_000);
        let (from, bytes) = attack(n);
        give(&mut collector, from, &bytes, time);
        assert!(collector.memory() <= BUDGET, "{} bytes at message {n}", collector.memory());
        if n % 100 == 0 {
            give(&mut collector, honest(), &v9(5 + n / 100, 1, &[(256, vec![10; 32])]), time);
            honest_sent += 2;
        }
        if n % 1000 == 0 {
            collector.tick(time);
        }
    }
    let most = MOST.load(Relaxed) - before;
    assert!(most <= BOUND, "{} KiB", most >> 10);
    let own =
        collector.sessions().find(|session| session.about.exporter == honest().ip()).map(|session| session.summary());
    assert_eq!(out.honest, honest_sent, "the honest exporter lost records; {own:?}");
    let own = own.expect("never forgotten");
    assert_eq!((own.no_template, own.expired, own.lost_messages), (0, 0, 0));
    // Every data set is accounted for.
    collector.flush();
    let mut sum = *collector.gone();
    collector.sessions().for_each(|session| sum.add(&session.summary()));
    assert_eq!(sum.sets, sum.sets_decoded + sum.no_template + sum.expired);
    assert_eq!(sum.messages + collector.rejected().map(|(_, count)| count).sum::<u64>(), {
        u64::from(messages) + 5 + u64::from(messages.div_ceil(100))
    });
    sum
}

fn source(n: u32) -> SocketAddr {
    let [_, a, b, c] = n.to_be_bytes();
    ([10, a, b, c], 2055).into()
}

#[test]
fn a_flood_of_made_up_sources() {
    suffers(400_000, |n| (source(n), v9(0, n, &[template(256), (256, vec![1; 32]), (300, vec![2; 400])])));
}

#[test]
fn a_thousand_sources_that_keep_at_it() {
    suffers(400_000, |n| {
        let id = 256 + (n / 1000) as u16 * 4;
        (source(n % 1000), v9(n / 1000, 0, &[template(id), (id + 1, vec![1; 1200])]))
    });
}

#[test]
fn a_flood_of_template_ids_and_domains() {
    suffers(100_000, |n| {
        let ids = (0..40).map(|i| template((256 + (n * 40 + i) % 65_000) as u16));
        (source(1), v9(n, n % 5000, &ids.collect::<Vec<_>>()))
    });
}

#[test]
fn a_flood_of_wide_templates_that_are_all_new() {
    suffers(30_000, |n| {
        let [high, low] = [(n >> 15) as u16, (n & 0x7fff) as u16];
        let fields = (0..350).flat_map(|i| [1 + (i * 7 + low) % 5000, 1 + high % 8]);
        (source(n % 3), v9(n, 0, &[(0, words([256 + low % 4000, 350].into_iter().chain(fields)))]))
    });
}

#[test]
fn a_flood_of_templates_of_no_and_of_huge_length() {
    suffers(100_000, |n| {
        let length = [0, 0xffff, 0x8000, 1][n as usize % 4];
        let fields = (0..30).flat_map(|i| [1 + (i + (n % 400) as u16) % 400, length]);
        (source(7), v9(n, 0, &[(0, words([256 + (n % 60_000) as u16, 30].into_iter().chain(fields)))]))
    });
}

#[test]
fn a_flood_of_options_that_make_samplers() {
    suffers(100_000, |n| {
        // Scope system, then 48 sampler id (8 bytes) and 50 its interval.
        let template = (1, words([256, 4, 8, 1, 4, 48, 8, 50, 4]));
        let record = |i: u32| [&[0; 8][..], &(n * 40 + i).to_be_bytes(), &7u32.to_be_bytes()].concat();
        (source(n % 2000), v9(n, 0, &[template, (256, (0..40).flat_map(record).collect())]))
    });
}

#[test]
fn a_flood_of_names_of_applications() {
    let counters = suffers(60_000, |n| {
        // Scope system, then id and name; every tenth message has names that nobody told before.
        let template = (1, words([256, 4, 8, 1, 4, 95, 4, 96, 8]));
        let record = |i: u32| {
            let id = (n / 500 * 40 + i).to_be_bytes();
            let name = if n % 10 == 0 { n * 40 + i } else { i };
            [&[0; 4][..], &id, format!("{name:08x}").as_bytes()].concat()
        };
        (source(n % 500), v9(n / 500, 0, &[template, (256, (0..40).flat_map(record).collect())]))
    });
    assert!(counters.applications_refused > 100_000 && counters.applications_forgotten > 100_000, "{counters:?}");
}

#[test]
fn a_flood_of_connections_that_are_updated_once() {
    suffers(60_000, |n| {
        // Connection, source, bytes there and back, event 5.
        let template = (0, words([256, 5, 148, 4, 8, 4, 231, 4, 232, 4, 233, 1]));
        let record = |i: u32| [&(n * 40 + i).to_be_bytes()[..], &[10, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 9, 5]].concat();
        (source(n % 9), v9(n, 0, &[template, (256, (0..40).flat_map(record).collect())]))
    });
}

#[test]
fn a_flood_of_data_that_waits_for_ever() {
    suffers(100_000, |n| (source(n % 500), v9(n / 500, 0, &[(256 + (n % 7) as u16, vec![3; 1300])])));
}

/// IPFIX over UDP: withdrawals of everything, which do not count there.
#[test]
fn a_flood_of_withdrawals_in_the_honest_exporters_name() {
    suffers(100_000, |n| {
        let mut out = vec![0, 10, 0, 24];
        for number in [1_700_000_000u32, n, 1] {
            out.extend(number.to_be_bytes());
        }
        out.extend(words([2, 8, 256, 0]));
        (honest(), out)
    });
}

#[test]
fn sflow_agents_with_sources_without_end() {
    suffers(100_000, |n| {
        // A datagram of version 5 of an agent of IPv4, with ten samples of counters' size zero, each of a new source.
        let mut out = Vec::new();
        for number in [5, 1, 0x0a00_0000 | (n % 3000), n % 17, n / 3000, n, 10u32] {
            out.extend(number.to_be_bytes());
        }
        for i in 0..10 {
            // A flow sample without records: sequence, source, rate, pool, drops, input, output, records.
            for number in [1, 32, 1, (n * 10 + i) & 0xff_ffff, 100, 0, 0, 1, 2, 0u32] {
                out.extend(number.to_be_bytes());
            }
        }
        (source(n % 3000), out)
    });
}

/// What nobody refreshes is forgotten, and does not count against the rest.
#[test]
fn the_budget_is_given_back() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    struct Nobody;
    impl Receive for Nobody {
        fn flows(&mut self, _: &Set<'_>) -> Taken {
            Taken::default()
        }
    }
    let mut collector = Collector::new(Config::default());
    let empty = collector.memory();
    let from = ([192, 0, 2, 9], 4739).into();
    for round in 0..3u64 {
        let time = Nanos(round * SECOND);
        for id in 256..1256 {
            let bytes = v9(0, 0, &[template(id), (2000, vec![0; 100])]);
            let message = Datagram { time, transport: Transport::Tcp, from, to: 4739, local: None, bytes: &bytes };
            collector.message(&message, &mut Nobody).expect("NetFlow");
        }
        assert!(collector.memory() > empty + 64 * 1000, "{}", collector.memory());
        collector.closed(Transport::Tcp, from);
        let left = collector.memory() - empty;
        assert!(left < 4096, "{left} bytes are left");
    }
}
