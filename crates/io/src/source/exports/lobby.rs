//! How exporters are dealt out to the workers of one port.
//!
//! The kernel's own way, a hash of addresses and ports, keeps an exporter at one worker too; but of two exporters both
//! go to the same of two workers every other time, and of eight the busier worker has five or more most times. So an
//! exporter that nobody knows goes to a socket of its own first, the lobby. Whoever polls finds it there, gives the
//! exporter to the worker with the fewest, tells the kernel, and hands what waited in the lobby to that worker's inbox.
//! From then on its datagrams go straight to the worker's socket; nothing is looked up for them.
//!
//! An exporter is never moved, as its templates would stay behind. After [`LISTED`] exporters of a port the list is
//! full, the lobby stays empty, and a hash decides.
//!
//! What was in the lobby comes before what comes straight: a worker that has received something while exporters were
//! being given away, told by the epoch, waits until that is over and looks into its inbox first.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowsonde_wire::Nanos;

use super::arrival::now;
use super::socket::{self, Batch};
use super::spread::{LISTED, chosen, mark, program};

/// Bytes an inbox holds, with [`OVERHEAD`] for each message.
const INBOX: usize = 8 << 20;
const OVERHEAD: usize = 128;
/// Datagrams taken out of the lobby in one call.
const HANDFUL: usize = 16;

/// A message on its way to a worker.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) time: Nanos,
    pub(super) from: std::net::SocketAddr,
    pub(super) local: Option<std::net::IpAddr>,
    pub(super) bytes: Vec<u8>,
}

/// What waits for a worker.
#[derive(Debug, Default)]
struct Inbox {
    held: Vec<Held>,
    bytes: usize,
}

/// What the workers of a port share.
pub(super) struct Lobby {
    socket: OwnedFd,
    by_address: bool,
    /// Counts how often exporters were given away; stepped before anybody is.
    epoch: AtomicU32,
    desk: Mutex<Desk>,
    inboxes: Vec<Mutex<Inbox>>,
    behind: AtomicU64,
}

/// Where exporters are given away.
struct Desk {
    batch: Batch,
    /// Mark and worker.
    listed: Vec<(u32, usize)>,
}

impl Lobby {
    /// The lobby of a group of `workers` sockets that is to be bound after it. `socket` is bound, and first in the group.
    pub(super) fn new(socket: OwnedFd, workers: usize, by_address: bool) -> Self {
        Lobby {
            socket,
            by_address,
            epoch: AtomicU32::new(0),
            desk: Mutex::new(Desk { batch: Batch::new(HANDFUL), listed: Vec::new() }),
            inboxes: (0..workers).map(|_| Mutex::default()).collect(),
            behind: AtomicU64::new(0),
        }
    }

    /// Where unknown exporters arrive.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Messages lost as an inbox was full.
    pub(super) fn lost(&self) -> u64 {
        self.behind.load(Ordering::Relaxed)
    }

    /// Gives away who is in the lobby, unless another worker is at it.
    pub(super) fn attend(&self) -> io::Result<()> {
        let Ok(mut desk) = self.desk.try_lock() else { return Ok(()) };
        // As many rounds as empty any lobby but one that fills as fast: the next poll goes on with that.
        for _ in 0..1_024 {
            let count = match desk.batch.receive(self.socket(), false) {
                Ok(count) => count,
                Err(error) if super::udp::passing(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            if count == 0 {
                return Ok(());
            }
            self.epoch.fetch_add(1, Ordering::AcqRel);
            self.give(&mut desk, count);
        }
        Ok(())
    }

    fn give(&self, desk: &mut Desk, count: usize) {
        let workers = self.inboxes.len();
        let Desk { batch, listed } = desk;
        let before = listed.len();
        let arrived = now();
        for one in batch.arrived(count) {
            let mark = mark(one.from, self.by_address);
            let worker = match listed.iter().find(|(known, _)| *known == mark) {
                Some(&(_, worker)) => worker,
                None if listed.len() < LISTED => {
                    let worker = fewest(listed, workers);
                    listed.push((mark, worker));
                    worker
                }
                None => chosen(mark, workers),
            };
            let Some(inbox) = self.inboxes.get(worker) else { continue };
            let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
            for bytes in one.bytes.chunks(one.segment.max(1)) {
                if inbox.bytes < INBOX {
                    let time = one.time.unwrap_or(arrived);
                    inbox.bytes += bytes.len() + OVERHEAD;
                    inbox.held.push(Held { time, from: one.from, local: one.local, bytes: bytes.to_vec() });
                } else {
                    self.behind.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        if listed.len() > before {
            // Where it is refused, for want of memory, they go on to come here and to be handed over.
            let _best_effort = socket::spread(self.socket(), &program(listed, workers, self.by_address));
        }
    }

    /// Where the giving away is; to be compared with later.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    /// What waits for a worker, once nobody is being given away.
    pub(super) fn inbox(&self, worker: usize) -> Vec<Held> {
        let _until_given: MutexGuard<'_, Desk> = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let inbox = self.inboxes.get(worker).map(|inbox| inbox.lock().unwrap_or_else(PoisonError::into_inner));
        inbox.map(|mut inbox| core::mem::take(&mut *inbox).held).unwrap_or_default()
    }
}

/// The worker that has the fewest exporters.
fn fewest(listed: &[(u32, usize)], workers: usize) -> usize {
    let has = |worker: &usize| listed.iter().filter(|(_, of)| of == worker).count();
    (0..workers).min_by_key(has).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_with_the_fewest_is_next() {
        assert_eq!(fewest(&[], 3), 0);
        assert_eq!(fewest(&[(7, 0), (8, 1)], 3), 2);
        assert_eq!(fewest(&[(7, 0), (8, 1), (9, 0)], 2), 1);
    }
}
