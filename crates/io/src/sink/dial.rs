//! A TCP connection being made, which nobody waits for.

use core::time::Duration;
use std::io;
use std::net::{SocketAddr, TcpStream};

/// How far the connection is.
pub(super) enum Progress {
    Pending,
    Connected(TcpStream),
    Failed(io::Error),
}

#[cfg(target_os = "linux")]
pub(super) use direct::Dial;
#[cfg(not(target_os = "linux"))]
pub(super) use threaded::Dial;

/// Waits until the connection takes more bytes or an error; about `time` at most.
pub(super) fn wait(stream: &TcpStream, time: Duration) {
    #[cfg(target_os = "linux")]
    super::socket::wait_writable(std::os::fd::AsFd::as_fd(stream), time);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stream;
        std::thread::sleep(time.min(Duration::from_millis(1)));
    }
}

/// Has the kernel find out when the peer is silent for longer.
pub(crate) fn watch_peer(stream: &TcpStream, silence: Duration) {
    #[cfg(target_os = "linux")]
    super::socket::watch_peer(std::os::fd::AsFd::as_fd(stream), silence);
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, silence);
}

#[cfg(target_os = "linux")]
mod direct {
    use super::{Duration, Progress, SocketAddr, TcpStream, io};
    use crate::sink::socket;
    use std::os::fd::AsFd;

    /// A socket that is connecting.
    pub(crate) struct Dial(Option<TcpStream>);

    impl Dial {
        pub(crate) fn start(remote: SocketAddr, local: Option<SocketAddr>, _: Duration) -> io::Result<Self> {
            socket::dial(remote, local).map(|stream| Dial(Some(stream)))
        }

        pub(crate) fn progress(&mut self) -> Progress {
            let Some(stream) = self.0.take() else { return Progress::Failed(io::ErrorKind::NotConnected.into()) };
            if !socket::wait_writable(stream.as_fd(), Duration::ZERO) {
                self.0 = Some(stream);
                return Progress::Pending;
            }
            match stream.take_error() {
                Ok(None) => Progress::Connected(stream),
                Ok(Some(error)) | Err(error) => Progress::Failed(error),
            }
        }
    }
}

/// The same with std alone: a thread waits. It cannot choose the local address.
#[cfg(any(not(target_os = "linux"), test))]
#[cfg_attr(target_os = "linux", allow(dead_code, reason = "compiled for its test"))]
mod threaded {
    use super::{Duration, Progress, SocketAddr, TcpStream, io};
    use std::sync::mpsc::{Receiver, TryRecvError, channel};

    pub(crate) struct Dial(Receiver<io::Result<TcpStream>>);

    impl Dial {
        pub(crate) fn start(remote: SocketAddr, local: Option<SocketAddr>, time: Duration) -> io::Result<Self> {
            if local.is_some() {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "-q over TCP works on Linux only"));
            }
            let (send, receive) = channel();
            std::thread::Builder::new().name("dial".into()).spawn(move || {
                let connected = TcpStream::connect_timeout(&remote, time);
                let _nobody_cares_any_more = send.send(connected.and_then(|stream| {
                    stream.set_nonblocking(true)?;
                    Ok(stream)
                }));
            })?;
            Ok(Dial(receive))
        }

        pub(crate) fn progress(&mut self) -> Progress {
            match self.0.try_recv() {
                Ok(Ok(stream)) => Progress::Connected(stream),
                Ok(Err(error)) => Progress::Failed(error),
                Err(TryRecvError::Empty) => Progress::Pending,
                Err(TryRecvError::Disconnected) => Progress::Failed(io::ErrorKind::NotConnected.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::loopback::unheard;
    use std::net::TcpListener;

    const LONG: Duration = Duration::from_secs(60);

    fn settled(mut progress: impl FnMut() -> Progress) -> io::Result<TcpStream> {
        loop {
            match progress() {
                Progress::Pending => std::thread::sleep(Duration::from_millis(1)),
                Progress::Connected(stream) => return Ok(stream),
                Progress::Failed(error) => return Err(error),
            }
        }
    }

    #[test]
    fn both_ways_connect_and_fail() {
        let listener = TcpListener::bind(unheard()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut threaded = threaded::Dial::start(address, None, LONG).unwrap();
        settled(|| threaded.progress()).unwrap();
        let mut dial = Dial::start(address, None, LONG).unwrap();
        let stream = settled(|| dial.progress()).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        drop(listener);
        let mut threaded = threaded::Dial::start(address, None, LONG).unwrap();
        assert_eq!(settled(|| threaded.progress()).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let refused = Dial::start(address, None, LONG).and_then(|mut dial| settled(|| dial.progress()));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn from_a_local_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = Some("127.0.0.3:0".parse().unwrap());
        let mut dial = Dial::start(listener.local_addr().unwrap(), local, LONG).unwrap();
        settled(|| dial.progress()).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip().to_string(), "127.0.0.3");
    }
}
