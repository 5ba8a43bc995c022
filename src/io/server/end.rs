//! How connections end.
//!
//! For everybody but the kernel a connection is gone when [`Server::close`] returns: its client, its memory and its
//! events. The socket itself is put on a list, of which each turn closes as many as its time allows: the kernel frees
//! what nobody has read, and who closes a thousand sockets full of replies at once stops the loop for a tenth of a
//! second. While sockets wait there, places of clients may be free for which there are no descriptors yet
//! ([`Server::may_accept`]).

use std::io::{self, Read};

use super::Server;
use crate::io::client::Client;
use crate::io::listen::Stream;
use crate::state::session::Closing;
use crate::state::turns::Cause;

/// Nanoseconds of a turn for closing sockets; the one that exceeds them is the last.
const CLOSING_NANOS_MAX: u64 = 500_000;
/// Sockets that may wait to be closed beyond the number of clients that there may be.
const ENDED_MAX: usize = 16;
/// Reads for the sake of a clean close; whoever sends more than these take is reset.
const DRAINS_MAX: usize = 64;
/// Seconds after which a client is closed that is slowed down and takes nothing at all, if the soft limit names none.
const STALL_SECS_MAX: u64 = 10;
/// Seconds after which a client loses a place that is kept for administrators, if it says nothing.
const RESERVED_IDLE_SECS_MAX: u64 = 10;

/// A socket that is to be closed.
#[derive(Debug)]
pub(super) struct Ended {
    stream: Stream,
    /// What the peer has sent is dropped first, so that a reset does not overtake what it is to hear.
    drain: bool,
}

impl Drop for Ended {
    fn drop(&mut self) {
        if self.drain {
            drain(&mut self.stream);
        }
        if let Stream::Tls(stream) = &mut self.stream {
            stream.say_goodbye();
        }
    }
}

/// Drops what the peer has sent already: a connection that is closed with bytes unread is reset, and the reset may
/// overtake the last reply.
fn drain(stream: &mut Stream) {
    let mut bytes = [0; 16 << 10];
    for _ in 0..DRAINS_MAX {
        let read = match stream {
            Stream::Tcp(stream) => stream.read(&mut bytes),
            Stream::Unix(stream) => stream.read(&mut bytes),
            Stream::Tls(stream) => stream.socket_mut().read(&mut bytes),
        };
        match read {
            Ok(count) if count == bytes.len() => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

impl Server {
    /// Ends a connection. Its tickets in the lists stay and lead nowhere.
    pub(super) fn close(&mut self, token: usize) {
        let session = self.clients[token].session;
        let drain = self.host.engine.state.sessions[session].closing == Closing::AfterReply;
        self.part_with(token, drain);
    }

    /// As [`Server::close`], of a peer that is to hear why whatever else it has sent.
    pub(super) fn close_told(&mut self, token: usize) {
        self.part_with(token, true);
    }

    fn part_with(&mut self, token: usize, drain: bool) {
        let Client { mut stream, session, .. } = self.clients.remove(token);
        // The token is another's soon. That the kernel refuses can only mean that it watches no longer.
        self.poll.registry().deregister(stream.source()).ok();
        self.host.engine.close_session(session);
        self.ended.push_back(Ended { stream, drain });
    }

    /// Closes sockets of connections that have ended, as many as fit into a turn.
    pub(super) fn close_ended(&mut self) {
        let start = self.host.clock.ticks();
        while let Some(ended) = self.ended.pop_front() {
            drop(ended);
            if CLOSING_NANOS_MAX < self.host.clock.nanos_since(start) {
                break;
            }
        }
        self.host.lap(Cause::Close);
    }

    /// Whether descriptors are left for new connections. If not, some are closed with the next turns.
    pub(super) fn may_accept(&self) -> bool {
        let settings = &self.host.engine.state.settings;
        let clients_max = settings.maxclients as usize + settings.maxclients_reserved as usize;
        self.clients.len() + self.ended.len() < clients_max + ENDED_MAX
    }

    /// Closes the clients that a command has marked.
    pub(super) fn close_marked(&mut self) {
        if !std::mem::take(&mut self.host.engine.state.sessions_marked) {
            return;
        }
        let marked: Vec<usize> = self
            .clients
            .iter()
            .filter(|(_, client)| {
                let session = &self.host.engine.state.sessions[client.session];
                session.closing == Closing::Now
                    || (session.closing == Closing::AfterReply && session.output.is_empty())
            })
            .map(|(token, _)| token)
            .collect();
        for token in marked {
            self.close(token);
        }
    }

    /// Closes clients that have been idle for longer than `timeout`, and those that have kept too much output.
    pub(super) fn close_idle(&mut self, now: u64) {
        let timeout_ms = u64::from(self.host.engine.state.settings.timeout) * 1000;
        let state = &self.host.engine.state;
        let soft_secs = state.settings.client_output_buffer_limit.normal.soft_seconds;
        let stall_ms_max = 1000 * if soft_secs == 0 { STALL_SECS_MAX } else { soft_secs };
        let (mut idle, mut slow, mut stuck, mut unused) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (token, client) in &self.clients {
            let session = &state.sessions[client.session];
            if 0 < timeout_ms && !client.blocked && timeout_ms < now.saturating_sub(session.active_ms) {
                idle.push(token);
            } else if client.stalled && stall_ms_max < now.saturating_sub(client.stalled_since_ms) {
                stuck.push(token);
            } else if session.reserved
                && RESERVED_IDLE_SECS_MAX * 1000 < now.saturating_sub(session.active_ms)
            {
                unused.push(token);
            } else if session.over_soft_limit_since_ms.is_some() {
                slow.push(token);
            }
        }
        for token in idle {
            log::debug!("Closing idle client");
            self.close(token);
        }
        for token in slow {
            self.check_output_limit(token);
        }
        for token in stuck {
            self.close_over_limit(token);
        }
        for token in unused {
            self.host.engine.turn_idle_away(self.clients[token].session);
            self.mark_sending(token);
        }
    }
}
