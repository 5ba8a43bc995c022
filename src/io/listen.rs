//! Listeners: TCP on every bind address, and the unix socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use crate::config::Settings;
use crate::io::clock;
use crate::io::sys;
use crate::io::tls::Secured;

/// For so long a port that is taken is tried again at the start: a server that was here before may be about to end. One
/// that was killed lets go of its port only when its memory is gone, which takes a second for some gigabytes.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Something that clients connect to.
#[derive(Debug)]
pub enum Listener {
    /// An address and port.
    Tcp(TcpListener),
    /// The same, with TLS.
    Tls(TcpListener),
    /// A path.
    Unix(UnixListener, UnixPlace),
}

/// Where a unix socket lies, and which file that was when we made it.
#[derive(Debug)]
pub struct UnixPlace {
    path: PathBuf,
    /// Device and number of the file.
    file: (u64, u64),
}

impl UnixPlace {
    /// Deletes the socket, unless somebody has put another file in its place.
    ///
    /// # Errors
    ///
    /// What the kernel reports; a socket that is gone is none.
    pub fn remove(&self) -> io::Result<()> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == self.file => std::fs::remove_file(&self.path),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A client's connection.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over the unix socket.
    Unix(UnixStream),
    /// Over TCP with TLS.
    Tls(Box<Secured>),
}

impl Stream {
    /// The file descriptor.
    pub fn fd(&self) -> RawFd {
        match self {
            Stream::Tcp(stream) => stream.as_raw_fd(),
            Stream::Unix(stream) => stream.as_raw_fd(),
            Stream::Tls(stream) => stream.socket().as_raw_fd(),
        }
    }

    /// What the poll watches.
    pub fn source(&mut self) -> &mut dyn Source {
        match self {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => stream,
            Stream::Tls(stream) => stream.socket_mut(),
        }
    }
}

/// An accepted connection with both its addresses as text.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: Stream,
    /// The peer.
    pub addr: String,
    /// The local end.
    pub laddr: String,
    /// The peer is on this machine.
    pub local: bool,
    /// TLS is to be spoken on it.
    pub secure: bool,
}

impl Listener {
    /// The next connection, if one waits.
    ///
    /// # Errors
    ///
    /// What accept(2) reports; `WouldBlock` when none waits.
    pub fn accept(&self, keepalive_secs: u32) -> io::Result<Accepted> {
        match self {
            Listener::Tcp(listener) | Listener::Tls(listener) => {
                let (stream, peer) = listener.accept()?;
                let socket = SockRef::from(&stream);
                // A connection whose options cannot be set is as good as gone: its first read will say so.
                socket.set_tcp_nodelay(true).ok();
                if 0 < keepalive_secs {
                    let time = Duration::from_secs(u64::from(keepalive_secs));
                    let keepalive = TcpKeepalive::new()
                        .with_time(time)
                        .with_interval((time / 3).max(Duration::from_secs(1)))
                        .with_retries(3);
                    socket.set_tcp_keepalive(&keepalive).ok();
                }
                let laddr = stream.local_addr().map_or_else(|_| "?:0".to_owned(), plain);
                let local = peer.ip().to_canonical().is_loopback();
                let secure = matches!(self, Listener::Tls(_));
                Ok(Accepted { stream: Stream::Tcp(stream), addr: plain(peer), laddr, local, secure })
            }
            Listener::Unix(listener, place) => {
                let (stream, _) = listener.accept()?;
                let addr = format!("{}:0", place.path.display());
                let stream = Stream::Unix(stream);
                Ok(Accepted { stream, addr: addr.clone(), laddr: addr, local: true, secure: false })
            }
        }
    }
}

/// `address:port`, with IPv6 addresses in brackets, as Redis writes them.
fn plain(addr: SocketAddr) -> String {
    SocketAddr::new(addr.ip().to_canonical(), addr.port()).to_string()
}

/// The listeners that the settings name, as `INFO` lists them: name, port, addresses.
pub fn describe(settings: &Settings) -> Vec<(String, u16, Vec<String>)> {
    let mut listeners = Vec::new();
    if settings.port != 0 {
        listeners.push(("tcp".to_owned(), settings.port, settings.bind.clone()));
    }
    if !settings.unixsocket.is_empty() {
        listeners.push(("unix".to_owned(), 0, vec![settings.unixsocket.clone()]));
    }
    if settings.tls_port != 0 {
        listeners.push(("tls".to_owned(), settings.tls_port, settings.bind.clone()));
    }
    listeners
}

/// Opens every listener that the settings name, at the start: a port that is taken is waited for a little.
///
/// # Errors
///
/// The text for the log: which port; the log says by then which address, and why. An address with `-` before it may be
/// missing.
pub fn open_all(settings: &Settings) -> Result<Vec<Listener>, String> {
    let until = Some(clock::moment() + PATIENCE);
    let open = |port: u16, name: &str| {
        open_addresses(&settings.bind, port, settings, until).map_err(|why| {
            log::warn!("Warning: {why}");
            format!("Failed listening on port {port} ({name}), aborting.")
        })
    };
    let plain = open(settings.port, "tcp")?.into_iter().map(Listener::Tcp);
    let mut listeners: Vec<Listener> =
        plain.chain(open(settings.tls_port, "tls")?.into_iter().map(Listener::Tls)).collect();
    if !settings.unixsocket.is_empty() {
        let path = Path::new(&settings.unixsocket);
        let listener = open_unix(path, settings)
            .map_err(|error| format!("Failed opening Unix socket: bind: {}", sys::reason(&error)))?;
        listeners.push(listener);
    }
    if listeners.is_empty() {
        return Err("Configured to not listen anywhere, exiting.".to_owned());
    }
    Ok(listeners)
}

/// Opens the TCP listeners of new settings in place of those of the settings before, which are there again if that
/// fails. An address that stays is closed for a moment: the same port on another address may exclude it.
///
/// # Errors
///
/// The text for the log: which address, and why.
pub fn reopen_tcp(
    listeners: &mut Vec<Listener>,
    settings: &Settings,
    before: &Settings,
) -> Result<(), String> {
    listeners.retain(|listener| matches!(listener, Listener::Unix(..)));
    let opened = open_tcp(settings);
    let failure = opened.as_ref().err().cloned();
    let tcp = opened.or_else(|_| open_tcp(before)).unwrap_or_else(|why| {
        log::error!("The listeners there were could not be opened again: {why}");
        Vec::new()
    });
    listeners.extend(tcp);
    failure.map_or(Ok(()), Err)
}

/// Opens the listeners for metrics that the settings name.
///
/// # Errors
///
/// As [`reopen_tcp`].
pub fn open_web(settings: &Settings) -> Result<Vec<TcpListener>, String> {
    open_addresses(&settings.metrics_bind, settings.metrics_port, settings, None)
}

/// Opens the TCP listeners that the settings name, with TLS and without.
///
/// # Errors
///
/// As [`reopen_tcp`].
fn open_tcp(settings: &Settings) -> Result<Vec<Listener>, String> {
    let open = |port| open_addresses(&settings.bind, port, settings, None);
    let plain = open(settings.port)?.into_iter().map(Listener::Tcp);
    Ok(plain.chain(open(settings.tls_port)?.into_iter().map(Listener::Tls)).collect())
}

/// `until`: when to give up a port that is taken.
fn open_addresses(
    addresses: &[String],
    port: u16,
    settings: &Settings,
    until: Option<Instant>,
) -> Result<Vec<TcpListener>, String> {
    let mut listeners = Vec::new();
    if port == 0 {
        return Ok(listeners);
    }
    for word in addresses {
        let (optional, address) = word.strip_prefix('-').map_or((false, word.as_str()), |rest| (true, rest));
        for addr in resolve(address, port).map_err(|why| warn_bind(address, port, &why))? {
            match open_patiently(addr, settings, until) {
                Ok(listener) => listeners.push(listener),
                Err(error) => {
                    let unavailable = matches!(
                        error.raw_os_error(),
                        Some(
                            libc::EADDRNOTAVAIL
                                | libc::EAFNOSUPPORT
                                | libc::EPROTONOSUPPORT
                                | libc::ENOPROTOOPT
                        )
                    );
                    let text = warn_bind(address, port, &format!("bind: {}", sys::reason(&error)));
                    if !(unavailable && (optional || address == "*" || address == "::*")) {
                        return Err(text);
                    }
                }
            }
        }
    }
    Ok(listeners)
}

fn warn_bind(address: &str, port: u16, why: &str) -> String {
    format!("Could not create server TCP listening socket {address}:{port}: {why}")
}

fn resolve(address: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    Ok(match address {
        "*" => vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)],
        "::*" => vec![SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)],
        name => (name, port).to_socket_addrs().map_err(|error| error.to_string())?.take(1).collect(),
    })
}

fn open_patiently(addr: SocketAddr, settings: &Settings, until: Option<Instant>) -> io::Result<TcpListener> {
    let mut told = false;
    loop {
        match open_one(addr, settings) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && until.is_some_and(|until| clock::moment() < until) =>
            {
                if !std::mem::replace(&mut told, true) {
                    log::warn!(
                        "{addr} is in use: waiting up to {} s for whoever has it to end",
                        PATIENCE.as_secs()
                    );
                }
                std::thread::sleep(TRY_EVERY);
            }
            opened => return opened,
        }
    }
}

fn open_one(addr: SocketAddr, settings: &Settings) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(addr))?;
    socket.listen(settings.tcp_backlog.try_into().unwrap_or(i32::MAX))?;
    Ok(TcpListener::from_std(socket.into()))
}

/// The permissions are on the socket before anyone can reach it: it is bound under a mask that allows nobody.
/// Without permissions of its own it has what the mask of the process leaves. A socket that another run has left
/// is replaced; a file of another kind is not ours to delete.
fn open_unix(path: &Path, settings: &Settings) -> io::Result<Listener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mode = settings.unixsocketperm.0;
    let before = (mode != 0).then(|| sys::set_umask(0o777));
    let bound = (|| {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        Ok::<Socket, io::Error>(socket)
    })();
    before.map(sys::set_umask);
    let socket = bound?;
    if mode != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    socket.listen(settings.tcp_backlog.try_into().unwrap_or(i32::MAX))?;
    let made = std::fs::symlink_metadata(path)?;
    let place = UnixPlace { path: path.to_path_buf(), file: (made.dev(), made.ino()) };
    Ok(Listener::Unix(UnixListener::from_std(socket.into()), place))
}
