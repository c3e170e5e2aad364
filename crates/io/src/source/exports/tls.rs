//! IPFIX over TLS (RFC 7011, section 11): what `stream.rs` does, behind a handshake.
//!
//! With a client CA, exporters have to show a certificate it signed (mutual authentication, as section 11.1 wants it);
//! without, anybody may send. TLS 1.2 and 1.3. No names are checked in an exporter's certificate.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use super::stream::{Channel, Options, Streams};
use super::{Error, Place};

/// What a collector shows, and what it wants to see. All files are PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its certificate and those that lead to a root (`--tls-cert`).
    pub certificate: PathBuf,
    /// Its private key (`--tls-priv-key`).
    pub key: PathBuf,
    /// Who has to have signed the certificates of exporters (`--tls-ca`); none: no certificate is asked for.
    pub authority: Option<PathBuf>,
}

/// The workers of a TLS port.
pub fn open(place: &Place, identity: &Identity, options: &Options) -> Result<Vec<Streams>, Error> {
    let config = Arc::new(config(identity)?);
    let wrap = move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(|error| error.to_string())?;
        Ok(Channel::Tls(Box::new(Session { stream, connection, failed: None })))
    };
    Streams::with(place, options, Arc::new(wrap))
}

fn config(identity: &Identity) -> Result<ServerConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error(format!("-3 tls://: {error}")))?;
    let builder = match &identity.authority {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let wrong = |why: &dyn core::fmt::Display| {
                Error(format!("--tls-ca {}: {why}; give certificates in PEM", path.display()))
            };
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path).map_err(|why| wrong(&why))? {
                roots.add(certificate).map_err(|why| wrong(&why))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|why| wrong(&why))?)
        }
    };
    let name = identity.certificate.display();
    let chain = certificates(&identity.certificate)
        .map_err(|why| Error(format!("--tls-cert {name}: {why}; give a certificate, and its chain, in PEM")))?;
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|why| {
        Error(format!(
            "--tls-priv-key {}: {why}; give a private key in PEM, without a password",
            identity.key.display()
        ))
    })?;
    builder.with_single_cert(chain, key).map_err(|why| {
        Error(format!("--tls-cert {name}: {why}; --tls-priv-key {} has to be its key", identity.key.display()))
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match found {
        Ok(found) if found.is_empty() => Err("no certificate is in it".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

/// One connection.
pub(super) struct Session {
    stream: TcpStream,
    connection: ServerConnection,
    /// What ended it, to be told when all that came before has been read.
    failed: Option<io::Error>,
}

/// Reads of the socket in one turn, about 18 KiB each, so that what they bring has room.
const READS: usize = 6;

impl Session {
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    pub(super) fn established(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// As [`Read`] does: 0 at the end, `WouldBlock` when there is nothing. Goes on with the handshake too.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut filled = 0;
        let mut end = false;
        for _ in 0..READS {
            match self.turn(into.get_mut(filled..).unwrap_or_default()) {
                Ok(Some(read)) => filled += read,
                Ok(None) => end = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if filled == 0 => return Err(error),
                Err(error) => {
                    // Makes the socket readable, so that it is looked at once more.
                    let _it_is_over = self.stream.shutdown(Shutdown::Both);
                    self.failed = Some(error);
                    break;
                }
            }
            if end {
                break;
            }
        }
        match (filled, end) {
            (0, true) => Ok(0),
            (0, false) => Err(io::ErrorKind::WouldBlock.into()),
            // The end is there again when it is read next.
            (filled, _) => Ok(filled),
        }
    }

    /// One read of the socket, and what it brought; `None` at the end.
    fn turn(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        self.write()?;
        if self.connection.read_tls(&mut self.stream)? == 0 {
            return Ok(None);
        }
        let processed = self.connection.process_new_packets();
        // Also the alert that tells the peer what was wrong.
        let written = self.write();
        processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        written?;
        let mut filled = 0;
        loop {
            let room = into.get_mut(filled..).unwrap_or_default();
            let full = room.is_empty();
            match self.connection.reader().read(room) {
                Ok(0) => {
                    // The peer said that it is done. The socket's own end makes it be looked at once more.
                    if !full {
                        let _it_is_over = self.stream.shutdown(Shutdown::Both);
                    }
                    return Ok(Some(filled));
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Some(filled)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends what the handshake has to say, as far as the socket takes it.
    fn write(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
