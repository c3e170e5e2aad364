//! The sessions of all exporters, within a budget of memory.
//!
//! What exporters send makes sessions, templates, layouts, samplers and waiting data grow. All of it together has one
//! bound. Who is over it loses sessions until an eighth is free again:
//!
//! 1. those that sent little, as made-up sources do, longest unheard of first;
//! 2. those that take much, most first;
//! 3. the rest, longest unheard of first.
//!
//! A session that is gone begins anew with its next message; its templates come again when the exporter repeats them.

use core::net::IpAddr;
use core::net::SocketAddr;
use std::collections::HashMap;
use std::sync::Arc;

use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};

use super::applications::Table;
use super::collector::Config;
use super::records::{About, Version};
use super::sampling::Samplers;
use super::saved::{Exporters, Saved};
use super::session::{Counters, Session};
use super::templates::{self, Layouts};

/// Who sent a message, and for which of its domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Address and port; of sFlow the agent's address.
    pub from: SocketAddr,
    /// How it came.
    pub transport: Transport,
    /// Format.
    pub version: Version,
    /// Observation domain, source id, engine or sub-agent.
    pub domain: u32,
}

impl Key {
    /// Of a message. Ports of UDP tell nothing where the user says so.
    pub(super) fn new(config: &Config, message: &Datagram<'_>, about: &About) -> Key {
        let mut from = message.from;
        if config.ignore_port && !message.transport.is_session() {
            from.set_port(0);
        }
        // An agent may send through another address; sub-agents are the agent's.
        if about.version == Version::Sflow5 {
            from.set_ip(about.exporter);
        }
        Key { from, transport: message.transport, version: about.version, domain: about.domain }
    }

    /// Those that may lend templates to one another.
    fn neighbourhood(&self) -> (IpAddr, Version, u32) {
        (self.from.ip(), self.version, self.domain)
    }
}

/// Every session.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Boxed, as a table holds its old self and its new one while it grows.
    by_key: HashMap<Key, Box<Session>>,
    neighbours: HashMap<(IpAddr, Version, u32), Vec<Key>>,
    /// Bytes all of them take, near enough.
    used: usize,
    /// Those that did something since it was last asked.
    touched: Vec<Key>,
    /// What those did that are gone.
    gone: Counters,
    crowded_out: u64,
    /// What an earlier run learnt.
    saved: Arc<Exporters>,
    /// Who was heard of last in earlier runs, by address, format and domain.
    known: HashMap<(IpAddr, Version, u32), Key>,
}

/// A session at hand.
pub(super) struct Held<'a> {
    pub session: &'a mut Session,
    used: &'a mut usize,
}

impl Held<'_> {
    /// Charges the budget for what the session took or gave back.
    pub fn settle(self) {
        let now = self.session.memory();
        *self.used = (*self.used + now).saturating_sub(self.session.charged);
        self.session.charged = now;
    }
}

impl Sessions {
    /// Sessions that begin now know what an earlier run learnt of them.
    pub fn remember(&mut self, saved: Arc<Exporters>) {
        self.known.clear();
        let heard = |key: &Key| saved.get(key).and_then(|saved| saved.templates.iter().map(|(.., at)| *at).max());
        for key in saved.keys() {
            let last = self.known.entry(key.neighbourhood()).or_insert(*key);
            if (heard(last), *last) < (heard(key), *key) {
                *last = *key;
            }
        }
        self.saved = saved;
    }

    /// What is worth knowing in a later run; what an earlier one learnt of exporters that were not heard of in this one
    /// too, within a bound. Templates that came before `oldest` are left out.
    pub fn learnt(&self, oldest: Nanos) -> Exporters {
        /// Exporters of earlier runs.
        const MOST: usize = 1 << 16;
        let old = self.saved.iter().filter(|(key, _)| !self.by_key.contains_key(key)).take(MOST);
        let new = self.by_key.iter().filter_map(|(key, session)| Some((*key, Saved::of(key, session)?)));
        let mut learnt: Exporters = old.map(|(key, saved)| (*key, saved.clone())).chain(new).collect();
        learnt.retain(|_, saved| {
            saved.templates.retain(|(.., refreshed)| *refreshed >= oldest);
            !saved.templates.is_empty()
        });
        learnt
    }

    /// The session of a message, made now if it is new.
    pub fn open(
        &mut self,
        key: Key,
        message: &Datagram<'_>,
        about: &About,
        config: &Config,
        layouts: &mut Layouts,
    ) -> Held<'_> {
        let held = self.enter(key, about, config, layouts);
        let session = &mut *held.session;
        session.about = *about;
        session.counters.messages += 1;
        session.counters.bytes += message.bytes.len() as u64;
        if about.version != Version::Sflow5 {
            // The exporter's own clock, however it is told.
            let export = Nanos(about.export.0.saturating_add_signed(about.shift.saturating_neg()));
            session.skew.arrived(export, about.arrival);
        }
        held
    }

    /// The session of this key, made if there is none; a message that is not counted.
    pub fn enter(&mut self, key: Key, about: &About, config: &Config, layouts: &mut Layouts) -> Held<'_> {
        let session = self.by_key.entry(key).or_insert_with(|| {
            let neighbours = self.neighbours.entry(key.neighbourhood()).or_insert_with(|| Vec::with_capacity(1));
            neighbours.push(key);
            let mut session = Box::new(Session::new(
                *about,
                Samplers::forced(config.rate, !config.upscale),
                Table::new(config.vocabulary.clone()),
            ));
            if let Some(saved) = self.saved.get(&key) {
                session.restore(saved, layouts);
                session.init = saved.init;
            } else if key.transport == Transport::Udp
                && let Some(last) = self.known.get(&key.neighbourhood())
                && !neighbours.contains(last)
                && let Some(saved) = self.saved.get(last)
            {
                // It sends from another port than before. Whether it was started anew since is not known.
                session.restore(saved, layouts);
            }
            session
        });
        if !session.touched {
            session.touched = true;
            self.touched.push(key);
        }
        Held { session, used: &mut self.used }
    }

    /// The session of this key, if there is one.
    pub fn find(&mut self, key: &Key) -> Option<Held<'_>> {
        self.by_key.get_mut(key).map(|session| Held { session, used: &mut self.used })
    }

    /// Others of the same address, format and domain; none when there are more than `most`.
    pub fn neighbours(&self, key: &Key, most: usize) -> Vec<Key> {
        let keys = self.neighbours.get(&key.neighbourhood()).filter(|keys| keys.len() <= most);
        keys.into_iter().flatten().filter(|other| *other != key).copied().collect()
    }

    /// Every one, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_key.values().map(|session| &**session)
    }

    /// What those did that are gone.
    pub fn gone(&self) -> &Counters {
        &self.gone
    }

    /// How many had to go for want of memory.
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out
    }

    /// Bytes all take, near enough.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Those that did something, or went, since this was last asked: `None` for one that is gone.
    pub fn touched(&mut self, tell: &mut dyn FnMut(&Key, Option<&Session>)) {
        for key in self.touched.drain(..) {
            let session = self.by_key.get_mut(&key);
            tell(
                &key,
                session.map(|session| {
                    session.touched = false;
                    &**session
                }),
            );
        }
    }

    /// A connection ended: its sessions go.
    pub fn closed(&mut self, transport: Transport, from: SocketAddr) {
        let is = |key: &&Key| key.transport == transport && key.from == from;
        let keys: Vec<Key> = self.by_key.keys().filter(is).copied().collect();
        for key in keys {
            self.forget(&key);
        }
    }

    /// Gives up data that waits for its template since before `limit`.
    pub fn expire(&mut self, limit: Nanos) {
        for (key, session) in self.by_key.iter_mut().filter(|(_, session)| !session.waiting.is_empty()) {
            session.counters.expired += session.waiting.expire(limit);
            if !session.touched {
                session.touched = true;
                self.touched.push(*key);
            }
            Held { session, used: &mut self.used }.settle();
        }
    }

    /// Where all take more than `limit` bytes, some go, until it is an eighth less.
    #[cold]
    pub fn make_room(&mut self, layouts: &mut Layouts, limit: usize) {
        /// Messages after which an exporter is taken to be real.
        const FEW: u64 = 3;
        /// Bytes beyond which a session takes much.
        const MUCH: usize = 128 << 10;
        layouts.sweep();
        if self.used + layouts.bytes() <= limit {
            return;
        }
        let enough = limit - limit / 8;
        let mut order: Vec<_> = Vec::with_capacity(self.by_key.len());
        for (key, session) in &self.by_key {
            let weight = weight(session);
            if session.counters.messages <= FEW {
                order.push(((0, session.last_seen().0), weight, *key, Goes::Session));
                continue;
            }
            // What was told of its connections and applications can be done without, its templates cannot.
            let (connections, applications) = (session.connections_bytes(), session.applications.bytes());
            for (told, goes) in [(connections, Goes::Connections), (applications, Goes::Applications)] {
                if told > 0 {
                    order.push(((1, u64::MAX - told as u64), told, *key, goes));
                }
            }
            let weight = weight.saturating_sub(connections + applications);
            let rank = if weight > MUCH { (2, u64::MAX - weight as u64) } else { (3, session.last_seen().0) };
            order.push((rank, weight, *key, Goes::Session));
        }
        order.sort_unstable();
        let mut after = self.used + layouts.bytes();
        for (_, weight, key, goes) in order {
            if after <= enough {
                break;
            }
            after = after.saturating_sub(weight);
            match goes {
                Goes::Session => {
                    self.crowded_out += 1;
                    self.forget(&key);
                }
                Goes::Connections => self.lighten(&key, Session::forget_connections),
                Goes::Applications => self.lighten(&key, Session::forget_applications),
            }
        }
        layouts.sweep();
    }

    /// Makes a session forget what it can do without.
    fn lighten(&mut self, key: &Key, forget: fn(&mut Session)) {
        let Some(session) = self.by_key.get_mut(key) else { return };
        forget(session);
        if !session.touched {
            session.touched = true;
            self.touched.push(*key);
        }
        Held { session, used: &mut self.used }.settle();
    }

    fn forget(&mut self, key: &Key) {
        let Some(mut session) = self.by_key.remove(key) else { return };
        let neighbourhood = key.neighbourhood();
        if let Some(keys) = self.neighbours.get_mut(&neighbourhood) {
            keys.retain(|other| other != key);
            if keys.is_empty() {
                self.neighbours.remove(&neighbourhood);
            }
        }
        session.counters.no_template += session.waiting.expire(Nanos(u64::MAX));
        self.gone.add(&session.summary());
        self.used = self.used.saturating_sub(session.charged);
        if !session.touched {
            self.touched.push(*key);
        }
    }
}

/// What goes to make room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Goes {
    Connections,
    Applications,
    Session,
}

/// Bytes a session takes, with its share of the layouts it has with others.
fn weight(session: &Session) -> usize {
    let layouts = session
        .templates
        .iter()
        .map(|(_, template)| templates::memory(template.layout.fields.len()) / Arc::strong_count(&template.layout));
    session.charged + layouts.sum::<usize>()
}
