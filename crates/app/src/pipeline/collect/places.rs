//! Where messages of exporters come from: ports, or captures.

use std::sync::Arc;

use flowsonde_io::source::Input;
use flowsonde_io::source::exports::{self, Captures, Exports, Place, Ports, Streams, Udp, sctp};
use flowsonde_wire::export::Transport;

use super::relay_state::RelayState;
use crate::flags::Options;
use crate::flags::value::listen::{Listen, Speaks};
use crate::flags::value::network::Lookup;
use crate::pipeline::inputs;
use crate::pipeline::live::now;
use crate::stop::Stop;

/// The captures that messages are taken from.
pub fn open_captures(options: &Options) -> Result<Captures, Stop> {
    let inputs = inputs(options)?;
    if let Some(Input::Interface(name)) = inputs.iter().find(|input| matches!(input, Input::Interface(_))) {
        return Err(Stop::Usage(format!(
            "--interface={name}: with -3 it takes captures; to collect from the network leave out -i"
        )));
    }
    let ports = ports(options);
    Captures::open(inputs, ports, options.capture.filter.as_deref(), now()).map_err(|error| Stop::Failed(error.0))
}

/// What of captures is looked at.
fn ports(options: &Options) -> Ports {
    let mut ports = Vec::new();
    for listen in &options.collect.ports {
        match listen {
            Listen::Any => return Ports::Any,
            // It is no part of a capture.
            Listen::Relay { .. } => {}
            Listen::Port { port, .. } => ports.push(*port),
        }
    }
    Ports::Only(ports)
}

pub type Named = (String, Box<dyn Exports>);

/// Opens every port that was named.
pub fn open(options: &Options, state: Option<&RelayState>) -> Result<Vec<Named>, Stop> {
    let failed = |error: flowsonde_io::source::Error| Stop::Failed(error.0);
    let workers = options.capture.workers.map_or(1, usize::from).max(1);
    let mut sources: Vec<Named> = Vec::new();
    for listen in &options.collect.ports {
        if let Listen::Relay { host, port } = listen {
            let source = open_relay(options, host.as_deref(), *port, state)?;
            sources.push((listen.to_string(), source));
            continue;
        }
        let Listen::Port { transport, address, port } = listen else {
            return Err(Stop::Usage(
                "--collector-port=any: is for captures; name a port, or give -i with a capture".into(),
            ));
        };
        let place = |transport| Place { transport, address: *address, port: *port };
        let opened: Vec<Box<dyn Exports>> = match transport {
            Speaks::Udp => {
                let wanted = exports::udp::Options {
                    workers,
                    by_address: options.collect.ignore_port,
                    destinations: options.collect.bad_packets.is_some(),
                    ..exports::udp::Options::default()
                };
                boxed(Udp::open(&place(Transport::Udp), &wanted).map_err(failed)?)
            }
            Speaks::Tcp => boxed(Streams::open(&place(Transport::Tcp), &streams(options)).map_err(failed)?),
            Speaks::Tls => open_tls(options, &place(Transport::Tls))?,
            Speaks::Sctp => {
                let most = exports::stream::Options::default().connections;
                vec![Box::new(sctp::Sctp::open(&place(Transport::Sctp), most).map_err(failed)?)]
            }
        };
        let many = opened.len() > 1;
        for (i, source) in opened.into_iter().enumerate() {
            sources.push((if many { format!("{listen}#{i}") } else { listen.to_string() }, source));
        }
    }
    Ok(sources)
}

/// Who is not allowed is not to take a connection's place.
fn streams(options: &Options) -> exports::stream::Options {
    let allowed = &options.collect.allowed.0;
    let gate = (!allowed.is_empty()).then(|| {
        let allowed = Lookup::new(allowed);
        exports::stream::Gate(Arc::new(move |address| allowed.contains(address)))
    });
    exports::stream::Options { gate, ..exports::stream::Options::default() }
}

#[cfg(feature = "tls")]
fn open_tls(options: &Options, place: &Place) -> Result<Vec<Box<dyn Exports>>, Stop> {
    let collect = &options.collect;
    let (Some(certificate), Some(key)) = (collect.tls_cert.clone(), collect.tls_key.clone()) else {
        return Err(Stop::Usage(format!("-3 {place}: needs a certificate; give --tls-cert and --tls-priv-key")));
    };
    let identity = exports::tls::Identity { certificate, key, authority: collect.tls_ca.clone() };
    let opened = exports::tls::open(place, &identity, &streams(options));
    Ok(boxed(opened.map_err(|error| Stop::Failed(error.0))?))
}

#[cfg(not(feature = "tls"))]
fn open_tls(_: &Options, place: &Place) -> Result<Vec<Box<dyn Exports>>, Stop> {
    Err(Stop::Usage(format!("-3 {place}: this build has no TLS; use tcp://, or a build with the feature tls")))
}

#[cfg(feature = "zmq")]
fn open_relay(
    options: &Options,
    host: Option<&str>,
    port: u16,
    state: Option<&RelayState>,
) -> Result<Box<dyn Exports>, Stop> {
    use crate::log;
    use crate::relay::keys;
    let collect = &options.collect;
    let keys = match (&collect.relay_key, &collect.relay_secret_key) {
        (Some(public), Some(secret)) => {
            let server = keys::public(public).map_err(|stop| stop.at(&format!("--relay-key={public}")))?;
            Some((server, keys::secret("--relay-secret-key", secret)?))
        }
        (None, None) => {
            let host = host.unwrap_or("*");
            log::warn(
                "relay keys",
                &format!("-3 zmq://{host}:{port}: without --relay-key and --relay-secret-key nothing is encrypted"),
            );
            None
        }
        (None, Some(_)) => {
            return Err(Stop::Usage("--relay-secret-key: needs --relay-key, the relay's public key".into()));
        }
        (Some(_), None) => {
            return Err(Stop::Usage("--relay-key: needs --relay-secret-key; flowrelay keygen makes one".into()));
        }
    };
    let endpoint = format!("tcp://{}:{port}", host.unwrap_or("*"));
    let positions = state.map(|state| state.positions.clone()).unwrap_or_default();
    let wanted = exports::relay::Options { endpoint, binds: host.is_none(), keys, positions };
    exports::relay::Relayed::open(wanted).map(|source| Box::new(source) as _).map_err(|error| Stop::Failed(error.0))
}

#[cfg(not(feature = "zmq"))]
fn open_relay(_: &Options, host: Option<&str>, port: u16, _: Option<&RelayState>) -> Result<Box<dyn Exports>, Stop> {
    let host = host.unwrap_or("*");
    Err(Stop::Usage(format!("-3 zmq://{host}:{port}: this build has no ZeroMQ; use one with the feature zmq")))
}

fn boxed<T: Exports + 'static>(sources: Vec<T>) -> Vec<Box<dyn Exports>> {
    sources.into_iter().map(|source| Box::new(source) as Box<dyn Exports>).collect()
}
