//! Where datagrams go: sockets, one an exporter's address, or a capture file.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};

use flowsonde_engine::encode::Messages;
use flowsonde_io::process;
use flowsonde_io::sink::Sink;
use flowsonde_io::sink::udp::{self, Udp};
use flowsonde_wire::Nanos;

use super::capture::Capture;
use super::options::Options;
use crate::console;
use crate::flags::value::{Collector, Host, Transport};
use crate::stop::Stop;

/// Files kept for everything that is no exporter's socket.
const OTHER_FILES: u64 = 32;
/// Most things the user is told.
const NOTICES: usize = 20;

/// An open target.
pub struct Target {
    way: Way,
    /// Datagrams sent, flows and bytes in them.
    pub sent: (u64, u64, u64),
    /// Flows lost on the way out, by reason.
    pub lost: Vec<(&'static str, u64)>,
    /// What the user was told.
    said: Vec<String>,
}

enum Way {
    Udp(Vec<Udp>),
    Tcp(Vec<TcpStream>),
    Capture(Capture),
}

impl Target {
    /// Opens it for as many addresses as there are exporters, or as the system allows; tells how many.
    pub fn open(options: &Options) -> Result<(Target, u32), Stop> {
        let to = addresses(&options.target, options.allow_remote)?;
        let Some(first) = to.first().copied() else { return Err(Stop::Failed(unknown(&options.target))) };
        let wanted = options.plan.exporters;
        let (way, addresses) = match (&options.pcap, options.target.transport) {
            (Some(path), _) => {
                let capture = Capture::create(path, first).map_err(|error| {
                    Stop::Failed(format!("--pcap={}: {error}; give a file that can be written", path.display()))
                })?;
                (Way::Capture(capture), wanted)
            }
            (None, Transport::Udp) => {
                let most = process::raise_open_files().saturating_sub(OTHER_FILES).max(1);
                let number = wanted.min(u32::try_from(most).unwrap_or(u32::MAX));
                let sockets = (0..number).map(|n| open_udp(&to, n, number));
                (Way::Udp(sockets.collect::<Result<_, _>>()?), number)
            }
            (None, Transport::Tcp) => {
                let most = process::raise_open_files().saturating_sub(OTHER_FILES).max(1);
                let number = wanted.min(u32::try_from(most).unwrap_or(u32::MAX));
                let connect = |_| {
                    let stream = TcpStream::connect(to.as_slice());
                    stream.map_err(|error| {
                        Stop::Failed(format!("--target={}: {error}; is a collector listening?", options.target))
                    })
                };
                (Way::Tcp((0..number).map(connect).collect::<Result<_, _>>()?), number)
            }
        };
        Ok((Target { way, sent: (0, 0, 0), lost: Vec::new(), said: Vec::new() }, addresses))
    }

    /// Sends datagrams of address `number`.
    pub fn send(&mut self, number: usize, messages: &Messages, now: Nanos) -> Result<(), Stop> {
        match &mut self.way {
            Way::Udp(sockets) => {
                let Some(socket) = sockets.get_mut(number) else { return Ok(()) };
                socket.send(messages);
                for notice in socket.notices() {
                    // Each socket tells its own; all of one trouble say the same.
                    if self.said.len() < NOTICES && !self.said.contains(&notice) {
                        console::line(&format!("flowload: {notice}"));
                        self.said.push(notice);
                    }
                }
            }
            Way::Tcp(streams) => {
                if let Some(stream) = streams.get_mut(number) {
                    stream.write_all(messages.bytes()).map_err(|error| {
                        Stop::Failed(format!("--target: the collector closed the connection: {error}; see its log"))
                    })?;
                }
            }
            Way::Capture(capture) => {
                for (message, flows) in messages.iter() {
                    let written = capture.write(number, now, message);
                    if !written.map_err(|error| Stop::Failed(format!("--pcap: {error}; is the disk full?")))? {
                        lose(&mut self.lost, "too_long", u64::from(flows));
                    }
                }
            }
        }
        self.sent.0 += messages.len() as u64;
        self.sent.1 += messages.records();
        self.sent.2 += messages.bytes().len() as u64;
        Ok(())
    }

    /// Writes what is held and counts what was lost.
    pub fn finish(&mut self) -> Result<(), Stop> {
        match &mut self.way {
            Way::Udp(sockets) => {
                for (reason, count) in sockets.iter().flat_map(|socket| socket.counters().lost) {
                    lose(&mut self.lost, reason, count);
                }
            }
            Way::Tcp(_) => {}
            Way::Capture(capture) => {
                capture.finish().map_err(|error| Stop::Failed(format!("--pcap: {error}; is the disk full?")))?;
            }
        }
        self.sent.1 -= self.lost.iter().map(|(_, count)| count).sum::<u64>().min(self.sent.1);
        Ok(())
    }
}

fn lose(lost: &mut Vec<(&'static str, u64)>, reason: &'static str, flows: u64) {
    match lost.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, count)) => *count += flows,
        None => lost.push((reason, flows)),
    }
}

/// The socket of address `number` of `of`: several have 127.1.0.1, 127.1.0.2 … on loopback, else a port each.
fn open_udp(to: &[SocketAddr], number: u32, of: u32) -> Result<Udp, Stop> {
    let loopback = to.first().is_some_and(|to| to.is_ipv4() && to.ip().is_loopback());
    let local = if of > 1 && loopback && cfg!(target_os = "linux") {
        let address = u32::from(Ipv4Addr::new(127, 1, 0, 1)).wrapping_add(number);
        vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::from(address)), 0)]
    } else {
        Vec::new()
    };
    let called = ("--target", "--exporters");
    let wanted = udp::Options { local, patient: true, called, ..udp::Options::default() };
    Udp::open(to, wanted).map_err(|error| Stop::Failed(error.to_string()))
}

/// The addresses of a target, all of this machine unless others are allowed. Nothing is looked up that need not be.
pub fn addresses(target: &Collector, allow_remote: bool) -> Result<Vec<SocketAddr>, Stop> {
    let found: Vec<SocketAddr> = match &target.host {
        Host::Addr(address) => vec![SocketAddr::new(*address, target.port)],
        Host::Name(name) => (name.as_str(), target.port)
            .to_socket_addrs()
            .map_err(|error| Stop::Failed(format!("--target={target}: {error}; check the name, or give an address")))?
            .collect(),
    };
    if let Some(remote) = found.iter().find(|address| !address.ip().is_loopback())
        && !allow_remote
    {
        return Err(Stop::Usage(format!(
            "--target={target}: {} is not this machine; give an address of 127.0.0.0/8 or ::1, or add --allow-remote \
             if its owner agrees",
            remote.ip()
        )));
    }
    if found.is_empty() { Err(Stop::Failed(unknown(target))) } else { Ok(found) }
}

fn unknown(target: &Collector) -> String {
    format!("--target={target}: has no address; check the name, or give an address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_sent_to_unless_allowed() {
        for good in ["127.0.0.1", "127.200.3.4:9", "[::1]:2055", "localhost"] {
            assert!(addresses(&Collector::parse(good).unwrap(), false).is_ok(), "{good}");
        }
        for bad in ["10.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "[::]", "[::ffff:127.0.0.1]", "128.0.0.1"] {
            let target = Collector::parse(bad).unwrap();
            let stop = addresses(&target, false).unwrap_err();
            assert!(matches!(stop, Stop::Usage(_)), "{bad}: {stop:?}");
            let text = stop.to_string();
            assert!(text.starts_with("--target=udp://") && text.contains("--allow-remote"), "{text}");
            assert!(addresses(&target, true).is_ok());
        }
    }
}
