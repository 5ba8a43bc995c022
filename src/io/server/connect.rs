//! How connections come in.

use std::io::{self, Write};

use mio::{Interest, Token};

use super::{FIRST_CLIENT, LISTENERS, Server};
use crate::io::client::Client;
use crate::io::listen::{self, Accepted, Listener, Stream};
use crate::state::session::Session;

/// Connections accepted in one turn from one listener.
const ACCEPTS_PER_TURN: usize = 256;

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
        self.host.listeners = listen::open_all(&self.host.engine.state.settings)?;
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
            if let Listener::Tcp(tcp) = listener {
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
        let Accepted { mut stream, addr, laddr, local } = accepted;
        let state = &mut self.host.engine.state;
        let refusal = if state.settings.maxclients as usize <= self.clients.len() {
            state.stats.rejected_connections += 1;
            Some(TOO_MANY_CLIENTS)
        } else if state.settings.protected_mode && state.users.default_user().nopass && !local {
            state.stats.rejected_connections += 1;
            Some(PROTECTED)
        } else {
            None
        };
        if let Some(text) = refusal {
            // A peer that does not take the reason does not get it.
            match &mut stream {
                Stream::Tcp(stream) => stream.write(text).ok(),
                Stream::Unix(stream) => stream.write(text).ok(),
            };
            return;
        }
        state.stats.connections_received += 1;
        let now = self.host.engine.state.process.mono_ms;
        let session = Session {
            addr,
            laddr,
            unix: matches!(stream, Stream::Unix(_)),
            fd: stream.fd(),
            created_ms: now,
            active_ms: now,
            ..Session::default()
        };
        let session = self.host.engine.open_session(session);
        let id = self.host.engine.state.sessions[session].id;
        let token = self.clients.insert(Client::new(stream, session, id));
        self.host.engine.state.sessions[session].socket = token;
        let both = Interest::READABLE | Interest::WRITABLE;
        let watched = match &mut self.clients[token].stream {
            Stream::Tcp(stream) => self.poll.registry().register(stream, Token(FIRST_CLIENT + token), both),
            Stream::Unix(stream) => self.poll.registry().register(stream, Token(FIRST_CLIENT + token), both),
        };
        if let Err(error) = watched {
            log::warn!("Could not watch a client: {error}");
            self.close(token);
        }
    }
}
