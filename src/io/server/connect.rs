//! How connections come in.

use std::io::{self, Write};

use mio::{Interest, Token};

use super::{FIRST_CLIENT, LISTENERS, Server};
use crate::io::client::Client;
use crate::io::listen::{self, Accepted, Listener, Stream};
use crate::io::tls::{Secured, Shaken};
use crate::state::session::{Closing, Session};
use crate::state::turns::Cause;

/// Bytes of memory that a connection over TLS takes, as measured.
const TLS_MEMORY: usize = 8 << 10;
/// Milliseconds that a handshake may take. It is all in the hands of a peer whom nobody knows yet.
const HANDSHAKE_MS_MAX: u64 = 10_000;
/// Nanoseconds of a turn for handshakes; the one that exceeds them is the last.
const HANDSHAKE_NANOS_MAX: u64 = 1_000_000;
/// Handshakes that fail are told, but so many a second at most: anybody can have as many as he likes.
const FAILURES_TOLD_MAX: u32 = 10;

/// Connections accepted in one turn from one listener.
const ACCEPTS_PER_TURN: usize = 64;

const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";
const PROTECTED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no \
    password is set for the default user. In this mode connections are only accepted from the loopback interface. \
    If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just \
    disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by \
    connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly \
    accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you \
    can just disable the protected mode by editing the Redis configuration file, and setting the protected mode \
    option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart \
    it with the '--protected-mode no' option. 4) Set up an authentication password for the default user. NOTE: You \
    only need to do one of the above things in order for the server to start accepting connections from the \
    outside.\r\n";

impl Server {
    /// Opens the listeners that the settings name.
    pub(super) fn listen(&mut self) -> Result<(), String> {
        self.host.configure_tls().map_err(|why| {
            log::error!("{why}");
            "Failed to configure TLS. Check logs for more info.".to_owned()
        })?;
        self.host.listeners = listen::open_all(&self.host.engine.state.settings)?;
        self.host.web.open(&self.host.engine.state.settings)?;
        for listener in &mut self.host.listeners {
            if let Listener::Unix(unix, _) = listener {
                let watched = self.poll.registry().register(unix, LISTENERS, Interest::READABLE);
                watched.map_err(|error| format!("Failed to watch a listener: {error}"))?;
            }
        }
        self.watch_tcp_listeners()
    }

    /// TCP listeners have been opened, in place of those there were.
    pub(super) fn watch_tcp_listeners(&mut self) -> Result<(), String> {
        for listener in &mut self.host.listeners {
            if let Listener::Tcp(tcp) | Listener::Tls(tcp) = listener {
                let watched = self.poll.registry().register(tcp, LISTENERS, Interest::READABLE);
                watched.map_err(|error| format!("Failed to watch a listener: {error}"))?;
            }
        }
        self.host.engine.state.process.listeners = listen::describe(&self.host.engine.state.settings);
        Ok(())
    }

    pub(super) fn remove_unix_sockets(&self) {
        for listener in &self.host.listeners {
            if let Listener::Unix(_, place) = listener
                && let Err(error) = place.remove()
            {
                log::warn!("Could not remove the unix socket {}: {error}", place.path().display());
            }
        }
    }

    /// Takes in the connections that wait, some of each listener.
    pub(super) fn accept(&mut self) {
        if !self.may_accept() {
            return;
        }
        self.acceptable = false;
        for index in 0..self.host.listeners.len() {
            self.accept_from(index);
        }
    }

    fn accept_from(&mut self, index: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            let keepalive = self.host.engine.state.settings.tcp_keepalive;
            match self.host.listeners[index].accept(keepalive) {
                Ok(accepted) => self.admit(accepted),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    log::warn!("Error accepting a client connection: {error}");
                    self.accept_again = true;
                    return;
                }
            }
        }
        // More may wait, of which no further event will tell.
        self.acceptable = true;
    }

    /// Takes a connection in, or says why not.
    fn admit(&mut self, accepted: Accepted) {
        let Accepted { mut stream, addr, laddr, local, secure } = accepted;
        let state = &mut self.host.engine.state;
        let denied = state.settings.protected_mode && state.users.default_user().nopass && !local;
        let maxclients = state.settings.maxclients as usize;
        // Whoever sits at the machine can look after a server that others have filled.
        let reserved = if local { state.settings.maxclients_reserved as usize } else { 0 };
        let refusal = if maxclients + reserved <= self.clients.len() {
            state.stats.rejected_connections += 1;
            Some(TOO_MANY_CLIENTS)
        } else if denied {
            state.stats.rejected_connections += 1;
            Some(PROTECTED).filter(|_| !secure)
        } else {
            None
        };
        if let Some(text) = refusal {
            // A peer that does not take the reason does not get it, nor does one that would take it for a handshake.
            match &mut stream {
                _ if secure => None,
                Stream::Tcp(stream) => stream.write(text).ok(),
                Stream::Unix(stream) => stream.write(text).ok(),
                Stream::Tls(_) => None,
            };
            return;
        }
        if secure {
            let Some(secured) = self.secure(stream, denied) else { return };
            stream = secured;
        }
        let state = &mut self.host.engine.state;
        state.stats.connections_received += 1;
        let now = self.host.engine.state.process.mono_ms;
        let session = Session {
            addr,
            laddr,
            unix: matches!(stream, Stream::Unix(_)),
            fd: stream.fd(),
            transport_memory: if secure { TLS_MEMORY } else { 0 },
            created_ms: now,
            active_ms: now,
            ..Session::default()
        };
        let session = self.host.engine.open_session(session);
        if maxclients <= self.clients.len() {
            self.host.engine.state.take_reserved(session);
        }
        let id = self.host.engine.state.sessions[session].id;
        let token = self.clients.insert(Client::new(stream, session, id));
        self.host.engine.state.sessions[session].socket = token;
        let both = Interest::READABLE | Interest::WRITABLE;
        let source = self.clients[token].stream.source();
        let watched = self.poll.registry().register(source, Token(FIRST_CLIENT + token), both);
        if let Err(error) = watched {
            log::warn!("Could not watch a client: {error}");
            self.close(token);
        }
    }

    /// Puts TLS on a connection that has just been accepted.
    fn secure(&mut self, stream: Stream, denied: bool) -> Option<Stream> {
        let (Stream::Tcp(socket), Some(config)) = (stream, &self.host.tls) else { return None };
        match Secured::new(socket, config.clone()) {
            Ok(mut secured) => {
                secured.denied = denied;
                Some(Stream::Tls(Box::new(secured)))
            }
            Err(error) => {
                log::warn!("Error accepting a client connection: {error}");
                None
            }
        }
    }

    /// Goes on with handshakes, as many as a turn may, behind the replies: the other clients wait for each.
    pub(super) fn shake_hands(&mut self) {
        let start = self.host.clock.ticks();
        for _ in 0..self.host.engine.state.settings.max_new_tls_connections_per_cycle {
            let Some(ticket) = self.shaking.pop_front() else { break };
            if let Some(client) = self.client(ticket) {
                client.queued = false;
                self.shake(ticket.token);
            }
            if HANDSHAKE_NANOS_MAX < self.host.clock.nanos_since(start) {
                break;
            }
        }
        self.host.lap(Cause::Handshake);
    }

    fn shake(&mut self, token: usize) {
        let client = &mut self.clients[token];
        let Stream::Tls(stream) = &mut client.stream else { return };
        let shaken = stream.shake();
        let (denied, wants_send) = (stream.denied, stream.wants_send());
        let session = client.session;
        match shaken {
            Ok(shaken) => {
                client.handshaking = shaken != Shaken::Done;
                if shaken == Shaken::Done {
                    self.greet(session, denied);
                }
                if shaken != Shaken::Waiting {
                    self.mark_ready(token);
                }
                if wants_send || denied {
                    self.mark_sending(token);
                }
            }
            Err(why) => {
                let session = &self.host.engine.state.sessions[session];
                let (addr, laddr) = (&session.addr, &session.laddr);
                if self.failures_told < FAILURES_TOLD_MAX {
                    log::warn!("Error accepting a client connection: {why} (addr={addr} laddr={laddr})");
                }
                self.failures_told += 1;
                // So that a reset does not overtake the reason.
                self.close_told(token);
            }
        }
    }

    /// The handshake is done. Who is not to be let in can be told now.
    fn greet(&mut self, session: usize, denied: bool) {
        if denied {
            let session = &mut self.host.engine.state.sessions[session];
            session.output.push(PROTECTED);
            session.closing = Closing::AfterReply;
        }
    }

    /// Every second: closes those who do not finish their handshake.
    pub(super) fn close_slow_handshakes(&mut self, now: u64) {
        let sessions = &self.host.engine.state.sessions;
        let slow = |client: &Client| {
            client.handshaking && HANDSHAKE_MS_MAX < now.saturating_sub(sessions[client.session].created_ms)
        };
        let slow: Vec<usize> =
            self.clients.iter().filter(|(_, client)| slow(client)).map(|(token, _)| token).collect();
        for token in slow {
            log::debug!("Closing a client that does not finish its handshake");
            self.close(token);
        }
        let more = std::mem::take(&mut self.failures_told).saturating_sub(FAILURES_TOLD_MAX);
        if 0 < more {
            log::warn!("{more} more handshakes failed within a second");
        }
    }
}
