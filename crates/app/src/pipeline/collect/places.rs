//! Where messages of exporters come from: ports, or captures.

use std::sync::Arc;

use flowsonde_io::source::Input;
use flowsonde_io::source::exports::{self, Captures, Exports, Place, Ports, Streams, Udp, sctp};
use flowsonde_wire::export::Transport;

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
            Listen::Port { port, .. } => ports.push(*port),
        }
    }
    Ports::Only(ports)
}

pub type Named = (String, Box<dyn Exports>);

/// Opens every port that was named.
pub fn open(options: &Options) -> Result<Vec<Named>, Stop> {
    let failed = |error: flowsonde_io::source::Error| Stop::Failed(error.0);
    let workers = options.capture.workers.map_or(1, usize::from).max(1);
    let mut sources: Vec<Named> = Vec::new();
    for listen in &options.collect.ports {
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

fn boxed<T: Exports + 'static>(sources: Vec<T>) -> Vec<Box<dyn Exports>> {
    sources.into_iter().map(|source| Box::new(source) as Box<dyn Exports>).collect()
}
