//! How replies go out, and how connections end.

use super::{Server, Ticket};
use crate::config::value::Share;
use crate::io::client::Sent;
use crate::io::listen::Stream;
use crate::state::State;
use crate::state::session::{Closing, Session};

/// Bytes that all clients are sent in one turn; those with little to be sent may exceed it.
const ALL_SENT_MAX: usize = 4 << 20;
/// Bytes that one client is sent in one turn while few have something to be sent.
const SENT_MAX: usize = 1 << 20;
/// The same, however many have. Less than this is sent in any turn.
const SENT_MIN: usize = 64 << 10;
/// Buffers kept for clients that will have output.
const SPARE_BUFFERS_MAX: usize = 64;
/// Bytes of a buffer that is kept; a bigger one was for a rare reply.
const SPARE_BUFFER_SIZE_MAX: usize = 64 << 10;
/// Bytes of replies that may wait for a client which has not said the password, as in Redis.
const UNAUTHENTICATED_OUTPUT_MAX: u64 = 17 << 10;
/// Seconds after which a client is closed that is slowed down and takes nothing at all, if the soft limit names none.
const STALL_SECS_MAX: u64 = 10;
/// Seconds after which a client loses a place that is kept for administrators, if it says nothing.
const RESERVED_IDLE_SECS_MAX: u64 = 10;
/// One client alone is slowed down from this part of `maxmemory-clients` on.
const CLIENT_SHARE: u64 = 4;

/// How many bytes of replies a client may leave unread before nothing further is read from it and run: somewhat less
/// than what ends the connection, so that who reads slowly is slowed down and not cut off. Without a limit there is
/// none: a client may send all its requests before it reads the first reply, and would wait for ever.
#[inline]
pub(super) fn output_max(state: &State, session: usize) -> usize {
    let session = &state.sessions[session];
    let normal = &state.settings.client_output_buffer_limit.normal;
    let unlimited = normal.hard | normal.soft == 0 && state.settings.maxmemory_clients == Share::Bytes(0);
    if unlimited && session.authenticated && session.subscriptions.is_none() {
        return usize::MAX;
    }
    limited_output_max(state, session)
}

#[cold]
fn limited_output_max(state: &State, session: &Session) -> usize {
    if !session.authenticated {
        return UNAUTHENTICATED_OUTPUT_MAX as usize / 2;
    }
    let limits = &state.settings.client_output_buffer_limit;
    let limit = if session.subscriptions.is_some() { limits.pubsub } else { limits.normal };
    let own = match (limit.hard, limit.soft) {
        (0, 0) => u64::MAX,
        (0, soft) => soft,
        (hard, _) => hard / 4 * 3,
    };
    let of_all = state.settings.maxmemory_clients.bytes(state.settings.maxmemory);
    own.min(of_all.map_or(u64::MAX, |all| all / CLIENT_SHARE)).max(1) as usize
}

impl Server {
    /// Sends to each client that has output which may go.
    pub(super) fn send_all(&mut self) {
        let mut sending = std::mem::take(&mut self.sending);
        let mut budget = ALL_SENT_MAX;
        let quota = (ALL_SENT_MAX / sending.len().max(1)).clamp(SENT_MIN, SENT_MAX);
        for ticket in sending.drain(..) {
            if budget == 0 && self.may_wait(ticket) {
                self.sending.push(ticket);
            } else {
                budget = budget.saturating_sub(self.send(ticket, quota));
            }
        }
        // What was added meanwhile is for the next turn; the memory is used again.
        sending.append(&mut self.sending);
        self.sending = sending;
    }

    /// The log has moved: who waited for it is looked at again.
    pub(super) fn release_held(&mut self) {
        self.sendable = self.host.sendable();
        for ticket in std::mem::take(&mut self.held) {
            if let Some(client) = self.client(ticket) {
                client.held = false;
                self.mark_sending(ticket.token);
            }
        }
    }

    /// Whether a client has so much to be sent that it can wait for the next turn.
    fn may_wait(&mut self, ticket: Ticket) -> bool {
        let Some(session) = self.client(ticket).map(|client| client.session) else { return false };
        SENT_MIN < self.host.engine.state.sessions[session].output.len()
    }

    /// Sends to a client, so many bytes at most. Returns how many went.
    fn send(&mut self, ticket: Ticket, quota: usize) -> usize {
        let token = ticket.token;
        let Some(client) = self.clients.get_mut(token).filter(|client| client.id == ticket.id) else {
            return 0;
        };
        client.sending = false;
        let sendable = self.host.sendable();
        let state = &mut self.host.engine.state;
        let session = &mut state.sessions[client.session];
        if sendable.written < session.last_write_batch {
            // The disk did not take what this client wrote: it hears nothing before it does.
            self.hold(token);
            return 0;
        }
        if !client.writable {
            self.check_output_limit(token);
            return 0;
        }
        let before = session.output_bytes;
        let sent = client.send(session, sendable.synced, quota);
        let count = session.output_bytes - before;
        if 0 < count {
            session.active_ms = state.process.mono_ms;
            state.stats.net_output_bytes += count;
            state.stats.writes_processed += 1;
        }
        match sent {
            Sent::Broken => self.close(token),
            Sent::Blocked => self.check_output_limit(token),
            Sent::Quota => {
                self.mark_sending(token);
                self.check_output_limit(token);
            }
            Sent::All if session.output.is_empty() => self.after_sending(token),
            Sent::All => self.hold(token),
        }
        if 0 < count && self.client(ticket).is_some_and(|client| client.stalled) {
            self.end_stall(token);
        }
        count as usize
    }

    /// Goes on with a client that had too many replies to read, once it has read most of them.
    fn end_stall(&mut self, token: usize) {
        let client = &mut self.clients[token];
        let state = &self.host.engine.state;
        client.stalled_since_ms = state.process.mono_ms;
        let pending = state.sessions[client.session].output.len();
        if client.stalled && pending <= output_max(state, client.session) / 2 {
            client.stalled = false;
            if client.has_more() && !client.blocked {
                self.mark_ready(token);
            }
        }
    }

    fn hold(&mut self, token: usize) {
        let client = &mut self.clients[token];
        if !client.held {
            client.held = true;
            self.held.push(Ticket { token, id: client.id });
        }
        self.check_output_limit(token);
    }

    /// All output is sent: the buffer is given back, and a client that was to end ends.
    fn after_sending(&mut self, token: usize) {
        let client = &self.clients[token];
        let state = &mut self.host.engine.state;
        let session = &mut state.sessions[client.session];
        session.over_soft_limit_since_ms = None;
        let (buffer, closing) = (session.output.recycle(), session.closing);
        state.weigh(client.session);
        if self.spare.len() < SPARE_BUFFERS_MAX && buffer.capacity() <= SPARE_BUFFER_SIZE_MAX {
            state.clients_bytes += buffer.capacity();
            self.spare.push(buffer);
        }
        if closing != Closing::No || client.ended && !client.has_more() && !client.blocked {
            self.close(token);
        }
    }

    /// Closes a client whose output is over a limit.
    fn check_output_limit(&mut self, token: usize) {
        let client = &self.clients[token];
        let state = &mut self.host.engine.state;
        let session = &mut state.sessions[client.session];
        let limits = state.settings.client_output_buffer_limit;
        let limit = if session.subscriptions.is_some() { limits.pubsub } else { limits.normal };
        let pending = session.output.len() as u64;
        let over_hard = 0 < limit.hard && limit.hard <= pending
            || !session.authenticated && UNAUTHENTICATED_OUTPUT_MAX < pending;
        let over_soft = 0 < limit.soft && limit.soft <= pending;
        let now = state.process.mono_ms;
        if over_soft {
            session.over_soft_limit_since_ms.get_or_insert(now);
        } else {
            session.over_soft_limit_since_ms = None;
        }
        let too_long = session
            .over_soft_limit_since_ms
            .is_some_and(|since| limit.soft_seconds * 1000 < now.saturating_sub(since));
        if over_hard || too_long {
            self.close_over_limit(token);
        }
    }

    fn close_over_limit(&mut self, token: usize) {
        log::warn!("Client id={} closed for overcoming of output buffer limits.", self.clients[token].id);
        self.host.engine.state.stats.output_buffer_limit_disconnections += 1;
        self.close(token);
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

    /// Ends a connection. Its tickets in the lists stay and lead nowhere.
    pub(super) fn close(&mut self, token: usize) {
        let mut client = self.clients.remove(token);
        if self.host.engine.state.sessions[client.session].closing == Closing::AfterReply {
            client.drain();
        }
        if let Stream::Tls(stream) = &mut client.stream {
            stream.say_goodbye();
        }
        // The descriptor is closed in any case, which also ends the watching.
        self.poll.registry().deregister(client.stream.source()).ok();
        self.host.engine.close_session(client.session);
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
