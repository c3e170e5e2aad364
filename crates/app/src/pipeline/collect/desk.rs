//! From messages of exporters to what takes their records.

use flowsonde_engine::decode::collector::{Collector, Config, exporter};
use flowsonde_engine::decode::filter::{Filter, Sieve};
use flowsonde_engine::decode::records::{About, InterfaceCounters, Receive, Set, Taken};
use flowsonde_engine::transcode::Aside;
use flowsonde_io::source::exports::Take;
use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::asides::{self, Asides};
use super::bad_packets::BadPackets;
use super::template_cache::{self, Slot, TemplateCache};
use super::way::Way;
use crate::dpi;
use crate::flags::Options;
use crate::flags::value::filter;
use crate::flags::value::network::Lookup;

/// Where messages go that cannot be read, one file for all desks.
pub type Bad = Option<Arc<Mutex<BadPackets<std::io::BufWriter<std::fs::File>>>>>;

/// See the module.
pub struct Desk<W> {
    pub collector: Collector,
    /// Where records go.
    pub way: W,
    /// For ntopng only.
    asides: Option<Asides>,
    now: Nanos,
    /// Exporters that are listened to; `None` is all.
    allowed: Option<Lookup>,
    not_allowed: u64,
    sieve: Option<Sieve>,
    /// Exporters of which only some interfaces are wanted.
    interfaces: HashMap<IpAddr, Sieve>,
    /// The first condition of the sieve is the black list.
    black_list: bool,
    bad: Bad,
    learnt: Option<(Slot, Instant)>,
}

impl<W> Desk<W> {
    /// One of so many desks.
    pub fn new(options: &Options, desks: usize, bad: Bad, way: W) -> Desk<W> {
        let collect = &options.collect;
        let config = Config {
            memory: (usize::from(collect.memory) << 20) / desks.max(1),
            template_timeout: collect.template_timeout.nanos(),
            ignore_port: collect.ignore_port,
            template_ids: collect.template_ids.clone(),
            rate: options.cache.sampling.collect,
            upscale: !collect.plain,
            reforge_times: collect.reforge_times,
            reforge: collect.reforge.clone(),
            vocabulary: dpi::wanted_vocabulary(),
            ..Config::default()
        };
        let black_list = !collect.black_list.is_empty();
        let mut conditions = collect.filter.conditions.clone();
        if black_list {
            conditions.insert(0, filter::without(&collect.black_list.0));
        }
        let one = |(exporter, condition)| (exporter, Sieve::new(Filter { conditions: vec![condition] }));
        Desk {
            interfaces: collect.reforge.conditions().map(one).collect(),
            collector: Collector::new(config),
            way,
            asides: (!options.zmq.endpoints.is_empty()).then(Asides::default),
            now: Nanos(0),
            allowed: (!collect.allowed.is_empty()).then(|| Lookup::new(&collect.allowed.0)),
            not_allowed: 0,
            sieve: (!conditions.is_empty()).then(|| Sieve::new(Filter { conditions })),
            black_list,
            bad,
            learnt: None,
        }
    }

    /// Begins with what an earlier run learnt of exporters, and tells from then on what this one does.
    pub fn remember(&mut self, cache: Option<&mut TemplateCache>) {
        if let Some((saved, slot)) = cache.map(TemplateCache::desk) {
            self.collector.remember(saved);
            self.learnt = Some((slot, Instant::now()));
            self.tell_learnt();
        }
    }

    fn tell_learnt(&mut self) {
        if let Some((slot, told)) = &mut self.learnt {
            *told = Instant::now();
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = self.collector.learnt(self.now);
        }
    }

    /// Records of flows left out, by reason; `None` where none ever is.
    pub fn left_out(&self) -> Option<[(&'static str, u64); 3]> {
        let mut left_out = [("black_listed", 0), ("filtered", 0), ("interface", 0)];
        for (at, (_, dropped)) in self.sieve.iter().flat_map(Sieve::dropped).enumerate() {
            left_out[usize::from(at > 0 || !self.black_list)].1 += dropped;
        }
        left_out[2].1 = self.interfaces.values().flat_map(Sieve::dropped).map(|(_, dropped)| dropped).sum();
        (self.sieve.is_some() || !self.interfaces.is_empty()).then_some(left_out)
    }

    /// Time of the latest message.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Records of flows read so far.
    pub fn flows(&self) -> u64 {
        self.collector.sessions().map(|session| session.counters.flows).sum::<u64>() + self.collector.gone().flows
    }

    /// Messages that were read by nobody, by reason.
    pub fn rejected(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.collector.rejected().chain([("not_allowed", self.not_allowed)])
    }

    /// What exporters told besides flows.
    pub fn asides(&mut self) -> Option<Vec<Aside>> {
        self.asides.as_mut()?.gathered()
    }

    /// Counts what of it did not fit into the queue.
    pub fn lose_asides(&mut self, lost: u64) {
        if let Some(asides) = &mut self.asides {
            asides.counters.queue_full += lost;
        }
    }

    /// What became of it.
    pub fn aside_counters(&self) -> Option<asides::Counters> {
        self.asides.as_ref().map(|asides| asides.counters)
    }

    /// What waited too long for its template is given up.
    pub fn tick(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        self.collector.tick(now);
        if self.learnt.as_ref().is_some_and(|(_, told)| told.elapsed() >= template_cache::EVERY / 2) {
            self.tell_learnt();
        }
    }

    /// Gives up what waits.
    pub fn close(&mut self) {
        self.collector.flush();
        self.tell_learnt();
        if let Some(bad) = &self.bad {
            bad.lock().unwrap_or_else(PoisonError::into_inner).flush();
        }
    }
}

impl<W: Way> Take for Desk<W> {
    fn datagrams(&mut self, batch: &[Datagram<'_>]) {
        for message in batch {
            self.now = self.now.max(message.time);
            if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(message.from.ip())) {
                self.not_allowed += 1;
                continue;
            }
            let interfaces = match self.interfaces.is_empty() {
                true => None,
                false => self.interfaces.get_mut(&exporter(message)),
            };
            let (sieve, asides) = (self.sieve.as_mut(), self.asides.as_mut());
            let mut out = Out { way: &mut self.way, interfaces, sieve, asides, now: self.now };
            // Why is counted by the collector.
            let read = self.collector.message(message, &mut out);
            if (read.is_err() || !self.collector.is_sound())
                && let Some(bad) = &self.bad
            {
                bad.lock().unwrap_or_else(PoisonError::into_inner).write(message);
            }
        }
    }

    fn templates(&mut self, batch: &[Datagram<'_>]) {
        for message in batch {
            if self.allowed.as_ref().is_none_or(|allowed| allowed.contains(message.from.ip())) {
                self.collector.learn(message);
            }
        }
    }

    fn closed(&mut self, transport: Transport, from: SocketAddr, _: u16) {
        self.collector.closed(transport, from);
    }
}

/// Records that are wanted go on.
struct Out<'a, W> {
    way: &'a mut W,
    interfaces: Option<&'a mut Sieve>,
    sieve: Option<&'a mut Sieve>,
    asides: Option<&'a mut Asides>,
    now: Nanos,
}

impl<W: Way> Receive for Out<'_, W> {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        let (way, sieve, now) = (&mut *self.way, &mut self.sieve, self.now);
        let mut sifted = |set: &Set<'_>| match sieve {
            None => way.flows(set, now),
            Some(sieve) => sieve.sift(set, &mut |set| _ = way.flows(set, now)),
        };
        match &mut self.interfaces {
            None => sifted(set),
            Some(interfaces) => interfaces.sift(set, &mut |set| _ = sifted(set)),
        }
    }

    fn options(&mut self, set: &Set<'_>) {
        self.way.options(set, self.now);
        if let Some(asides) = &mut self.asides {
            asides.options(set, self.now);
        }
    }

    fn counters(&mut self, sample: &InterfaceCounters<'_>, about: &About) {
        if let Some(asides) = &mut self.asides {
            asides.counters(sample, about, self.now);
        }
    }
}
