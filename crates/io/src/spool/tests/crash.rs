//! A process that pushes is killed again and again; what it said it had pushed is there.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::*;

const DIRECTORY: &str = "FLOWSONDE_SPOOL_CRASH";
const KILLS: u64 = 20;

fn settings(dir: PathBuf) -> Settings {
    // Segments change often, nothing is evicted within a life.
    Settings { dir, max_bytes: 1 << 30, segment_bytes: 1 << 16, sync: Duration::from_millis(10) }
}

/// Numbers of an entry, and its bytes' length: not the same for any two in a row.
fn shape(first: u64) -> (u32, usize) {
    ((first % 7) as u32 + 1, (first * 37 % 3000) as usize)
}

/// The process that is killed. Alone it does nothing.
#[test]
fn pushes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let (mut spool, _) = Spool::open(settings(dir.into())).unwrap();
    let mut out = io::stdout().lock();
    loop {
        let first = spool.next_number();
        let (count, length) = shape(first);
        let bytes = body(first, length);
        let (a, b) = bytes.split_at(length / 3);
        spool.mark(first + 1000);
        spool.push(first, count, first ^ 0x5555, &[a, b]).unwrap();
        // A line is less than a pipe takes at once.
        writeln!(out, "pushed {first}").unwrap();
        out.flush().unwrap();
        if first % 50 < 7 && first > 2000 {
            writeln!(out, "releases {}", first - 2000).unwrap();
            out.flush().unwrap();
            spool.release(first - 2000).unwrap();
        }
        spool.sync(Instant::now()).unwrap();
    }
}

#[test]
fn what_push_returned_for_is_there_after_kill_9() {
    let scratch = Scratch::new("crash");
    let mut seed = 88_172_645_463_325_252_u64;
    let (mut least, mut all, mut cuts) = (0, 0, 0);
    for life in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "spool::tests::crash::pushes_until_it_is_killed"])
            .env(DIRECTORY, &scratch.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut pushed = Vec::new();
        let mut take = |line: String, pushed: &mut Vec<u64>| {
            let Some((what, number)) = line.split_once(' ') else { return };
            match (what, number.parse()) {
                ("pushed", Ok(first)) => pushed.push(first),
                ("releases", Ok(upto)) => least = upto,
                _ => {}
            }
        };
        // Killed at any moment once it is at work.
        while pushed.is_empty() {
            take(lines.next().expect("it pushes").unwrap(), &mut pushed);
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_micros(seed % 60_000));
                child.kill().unwrap();
            });
            lines.by_ref().map_while(Result::ok).for_each(|line| take(line, &mut pushed));
        });
        child.wait().unwrap();
        let last = *pushed.last().unwrap();
        all += pushed.len();

        let (mut spool, recovered) = Spool::open(settings(scratch.0.clone())).unwrap();
        assert!(recovered.mark >= last + 1000, "life {life}");
        assert!(recovered.next > last);
        assert!(recovered.notices.is_empty());
        cuts += u64::from(recovered.cut > 0);
        let (mut buffer, mut next, mut found) = (Vec::new(), None, 0);
        while let Some(entry) = spool.next(&mut buffer).unwrap() {
            let (count, length) = shape(entry.first);
            assert_eq!((entry.count, entry.tag), (count, entry.first ^ 0x5555));
            assert_eq!(buffer, body(entry.first, length));
            // Nothing that was not released is missing, from the first to the last.
            assert!(next.map_or(entry.first <= least, |next| next == entry.first), "life {life}: {entry:?} {next:?}");
            next = Some(entry.first + u64::from(count));
            found += 1;
        }
        assert!(next.is_some_and(|next| next > last), "life {life}: {last} is missing");
        assert_eq!(found, recovered.held.entries);
        assert_eq!(spool.damaged(), Held::default());
    }
    println!("{all} entries pushed in {KILLS} lives, {cuts} cut off");
    assert!(all > KILLS as usize);
}
