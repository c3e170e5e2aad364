//! What a spool takes and gives: entries and megabytes a second.
//!
//! `cargo bench -p flowsonde-io --bench spool [DIR]`. The spool lies in DIR, else with temporary files; on a disk it is
//! brought there every 100 ms, as a relay does. The best of several rounds counts: others use the machine.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use flowsonde_io::spool::{Settings, Spool};

const BYTES: u64 = 256 << 20;
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let dir = wanted.map_or_else(std::env::temp_dir, PathBuf::from).join(format!("spool-{}", std::process::id()));
    println!("{:<24}{:>14}{:>10}{:>14}", "256 MiB", "entries/s", "MB/s", "ns/entry");
    for length in [200, 1400, 65536] {
        let entries = BYTES / length as u64;
        let (mut push, mut read, mut open, mut mark) = (f64::MAX, f64::MAX, f64::MAX, f64::MAX);
        for _ in 0..ROUNDS {
            let _ = std::fs::remove_dir_all(&dir);
            let settings = Settings {
                dir: dir.clone(),
                max_bytes: 4 * BYTES,
                segment_bytes: 16 << 20,
                sync: Duration::from_millis(100),
            };
            let (mut spool, _) = Spool::open(settings.clone())?;
            let bytes = vec![0x5a; length];
            let start = Instant::now();
            for n in 0..entries {
                spool.push(n, 1, 0, &[&bytes])?;
                if n % 64 == 0 {
                    spool.sync(Instant::now())?;
                }
            }
            push = push.min(start.elapsed().as_secs_f64());

            let (mut buffer, mut found) = (Vec::new(), 0);
            let start = Instant::now();
            while spool.next(&mut buffer)?.is_some() {
                found += 1;
            }
            read = read.min(start.elapsed().as_secs_f64());
            assert_eq!(found, entries);

            drop(spool);
            let start = Instant::now();
            let (mut spool, recovered) = Spool::open(settings)?;
            open = open.min(start.elapsed().as_secs_f64());
            assert_eq!(recovered.held.entries, entries);

            let start = Instant::now();
            for n in 0..entries {
                spool.mark(entries + n);
            }
            mark = mark.min(start.elapsed().as_secs_f64());
        }
        for (what, seconds) in [("push", push), ("next", read), ("open", open)] {
            let rate = entries as f64 / seconds;
            let megabytes = rate * length as f64 / 1e6;
            println!("{:<24}{rate:>14.0}{megabytes:>10.0}{:>14.0}", format!("{what} {length}"), 1e9 / rate);
        }
        println!("{:<24}{:>14.0}{:>24.1}", "mark", entries as f64 / mark, mark * 1e9 / entries as f64);
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
