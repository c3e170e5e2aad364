use super::super::framing::tests::message;
use super::super::kept::Kept;
use super::super::{Exports, Take};
use super::*;
use core::time::Duration;
use flowsonde_wire::export::Transport;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::Write;
use std::time::Instant;

fn pem(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/source/exports/tls/pem").join(name)
}

fn identity(authority: bool) -> Identity {
    Identity {
        certificate: pem("collector.pem"),
        key: pem("collector.key"),
        authority: authority.then(|| pem("authority.pem")),
    }
}

fn place() -> Place {
    Place { transport: Transport::Tls, address: Some([127, 0, 0, 1].into()), port: 0 }
}

fn collector(authority: bool) -> Streams {
    open(&place(), &identity(authority), &Options::default()).unwrap().pop().unwrap()
}

/// An exporter that shows the certificate of this name, or none, and sends; in a thread, as a handshake takes two.
fn exporter(
    port: u16,
    name: Option<&'static str>,
    sent: Vec<u8>,
) -> std::thread::JoinHandle<io::Result<StreamOwned<ClientConnection, TcpStream>>> {
    std::thread::spawn(move || {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&pem("authority.pem")).unwrap() {
            roots.add(certificate).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match name {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = certificates(&pem(&format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(pem(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut stream = StreamOwned::new(connection, socket);
        stream.write_all(&sent)?;
        stream.flush()?;
        Ok(stream)
    })
}

#[test]
fn messages_arrive_and_the_session_ends() {
    for authority in [false, true] {
        let mut streams = collector(authority);
        let sent: Vec<_> = [16, 1400, 65_535, 300].into_iter().zip(1..).map(|(n, salt)| message(n, salt)).collect();
        let exporter = exporter(streams.port(), authority.then_some("exporter"), sent.concat());
        let mut kept = Kept::default();
        kept.until(&mut streams, |kept| kept.messages.len() == sent.len());
        assert!(kept.bytes() == sent.iter().map(|m| &m[..]).collect::<Vec<_>>());
        let mut stream = exporter.join().unwrap().unwrap();
        let from = stream.sock.local_addr().unwrap();
        assert!(kept.messages.iter().all(|m| m.transport == Transport::Tls && m.from == from));
        // It says that it is done, but keeps the connection.
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        kept.until(&mut streams, |kept| !kept.closed.is_empty());
        assert_eq!(kept.closed, [(Transport::Tls, from, streams.port())]);
        let counters = streams.counters();
        assert_eq!((counters.sessions, counters.handshakes, counters.received()), (1, 0, 4));
    }
}

/// Polls until a handshake has failed.
fn until_refused(streams: &mut Streams) -> String {
    let clock = Instant::now();
    let mut kept = Kept::default();
    while streams.counters().handshakes == 0 {
        streams.poll(&mut kept as &mut dyn Take).unwrap();
        assert!(clock.elapsed() < Duration::from_secs(10));
    }
    assert!(kept.messages.is_empty() && kept.closed.is_empty());
    assert_eq!(streams.counters().open, 0);
    streams.notices().concat()
}

#[test]
fn who_has_no_certificate_of_the_authority_gets_nowhere() {
    for name in [None, Some("stranger")] {
        let mut streams = collector(true);
        let exporter = exporter(streams.port(), name, message(100, 1));
        let said = until_refused(&mut streams);
        assert!(said.starts_with("-3 tls://127.0.0.1:0: 127.0.0.1:") && said.contains("no TLS session"), "{said}");
        let _failed_or_not_told_yet = exporter.join().unwrap();
    }
}

#[test]
fn who_speaks_no_tls_gets_nowhere() {
    let mut streams = collector(false);
    let mut plain = TcpStream::connect(("127.0.0.1", streams.port())).unwrap();
    plain.write_all(&message(100, 1)).unwrap();
    until_refused(&mut streams);
    let mut gone = collector(false);
    drop(TcpStream::connect(("127.0.0.1", gone.port())).unwrap());
    until_refused(&mut gone);
}

#[test]
fn files_that_are_wrong_are_named_with_their_option() {
    let error = |identity: Identity| open(&place(), &identity, &Options::default()).err().unwrap().to_string();
    let none = PathBuf::from("/nowhere/none.pem");
    assert!(
        error(Identity { certificate: none.clone(), ..identity(false) }).starts_with("--tls-cert /nowhere/none.pem: ")
    );
    assert!(error(Identity { key: none.clone(), ..identity(false) }).starts_with("--tls-priv-key /nowhere/none.pem: "));
    assert!(error(Identity { authority: Some(none), ..identity(false) }).starts_with("--tls-ca /nowhere/none.pem: "));
    let empty = Identity { certificate: pem("collector.key"), ..identity(false) };
    assert!(error(empty).contains("no certificate is in it"));
    let other = Identity { key: pem("exporter.key"), ..identity(false) };
    assert!(error(other).contains("has to be its key"));
}
