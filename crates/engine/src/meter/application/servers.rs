//! Servers whose flows all were of one application: the next one probably is too, and need not be looked at.
//!
//! A server is an address, a port and a protocol. What it is known for is what its first flows agreed on. Now and then one
//! is looked at all the same; a server that was once found to be something else is never believed again. The table has a
//! fixed size, and a new server takes the place of the one whose hash says so.

use super::Verdict;
use crate::meter::key::{Key, Seeds};

/// Servers remembered: 1.5 MiB.
const PLACES: usize = 1 << 16;
/// Flows that have to agree before the next is taken for one of them.
const AGREEING: u8 = 4;
/// Of so many flows of a known server, one is looked at again.
const AGAIN: u8 = 16;
/// It is several things.
const VARYING: u8 = u8::MAX;

/// Where a server may be remembered, and what tells it from others there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server(u64);

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    server: u64,
    master: u16,
    app: u16,
    category: u16,
    breed: u8,
    confidence: u8,
    /// Flows that agreed, up to [`AGREEING`]; or [`VARYING`].
    agreed: u8,
    /// Flows taken for granted since one was looked at.
    granted: u8,
}

/// The table.
#[derive(Debug)]
pub struct Servers {
    seeds: Seeds,
    entries: Vec<Entry>,
}

impl Servers {
    /// An empty table; `random` is any number nobody outside knows.
    pub fn new(random: u64) -> Servers {
        Servers { seeds: Seeds::new(random), entries: vec![Entry::default(); PLACES] }
    }

    /// The server of a flow with this key, whose client is the key's end `client`.
    pub fn server(&self, key: &Key, client: usize) -> Server {
        Server(key.hash_of_end(&self.seeds, client ^ 1))
    }

    fn place(server: Server) -> usize {
        server.0 as usize % PLACES
    }

    /// What the next flow of this server is taken for.
    pub fn known(&mut self, server: Server) -> Option<Verdict<'static>> {
        let entry = self.entries.get_mut(Self::place(server))?;
        if entry.server != server.0 || entry.agreed != AGREEING {
            return None;
        }
        entry.granted += 1;
        if entry.granted >= AGAIN {
            entry.granted = 0;
            return None;
        }
        Some(Verdict {
            master: entry.master,
            app: entry.app,
            category: entry.category,
            breed: entry.breed,
            confidence: entry.confidence,
            ..Verdict::default()
        })
    }

    /// A flow of this server was looked at.
    pub fn learn(&mut self, server: Server, verdict: &Verdict<'_>) {
        let Some(entry) = self.entries.get_mut(Self::place(server)) else { return };
        if entry.server != server.0 {
            *entry = Entry {
                server: server.0,
                master: verdict.master,
                app: verdict.app,
                category: verdict.category,
                breed: verdict.breed,
                confidence: verdict.confidence,
                agreed: 1,
                granted: 0,
            };
        } else if (entry.master, entry.app) != (verdict.master, verdict.app) {
            entry.agreed = VARYING;
        } else if entry.agreed < AGREEING {
            entry.agreed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(app: u16) -> Verdict<'static> {
        Verdict { app, category: 5, ..Verdict::default() }
    }

    #[test]
    fn a_server_is_believed_when_its_flows_agreed_and_looked_at_again_now_and_then() {
        let mut servers = Servers::new(1);
        let server = Server(0x1234_5678_9abc);
        for _ in 0..AGREEING {
            assert!(servers.known(server).is_none());
            servers.learn(server, &verdict(7));
        }
        let told: Vec<bool> = (0..32).map(|_| servers.known(server).is_some_and(|v| v.app == 7)).collect();
        let looked_at: Vec<usize> = (0..32).filter(|&i| !told[i]).collect();
        assert_eq!(looked_at, [15, 31]);
    }

    #[test]
    fn one_that_is_several_things_is_never_believed_again() {
        let mut servers = Servers::new(1);
        let server = Server(9);
        for app in [7, 7, 7, 8, 8, 8, 8, 8, 8, 8] {
            servers.learn(server, &verdict(app));
        }
        assert!(servers.known(server).is_none());
    }

    #[test]
    fn a_server_on_the_place_of_another_takes_it() {
        let mut servers = Servers::new(1);
        let (one, other) = (Server(9), Server(9 + PLACES as u64));
        (0..AGREEING).for_each(|_| servers.learn(one, &verdict(7)));
        servers.learn(other, &verdict(8));
        assert!(servers.known(one).is_none() && servers.known(other).is_none());
    }
}
