//! How replies go out.
//!
//! Whoever has little to be sent is served first. Who has much gets parts of it, turn by turn, as far as the time for
//! that reaches: the kernel copies a megabyte in a third of a millisecond, for which all others wait.

use super::{Server, Ticket};
use crate::config::value::Share;
use crate::io::client::Sent;
use crate::state::State;
use crate::state::session::{Closing, Session};

/// Bytes that are little to send.
const LITTLE_MAX: usize = 16 << 10;
/// Nanoseconds of a turn for those who have more; the one that exceeds them is the last.
const MUCH_NANOS_MAX: u64 = 300_000;
/// Bytes of a turn that are shared out among all who have something to be sent.
const ALL_SENT_MAX: usize = 4 << 20;
/// Bytes that one client is sent in one turn while few have something to be sent.
const SENT_MAX: usize = 256 << 10;
/// The same, however many have. Less than this is sent in any turn.
const SENT_MIN: usize = 64 << 10;
/// Buffers kept for clients that will have output.
const SPARE_BUFFERS_MAX: usize = 64;
/// Bytes of a buffer that is kept; a bigger one was for a rare reply.
const SPARE_BUFFER_SIZE_MAX: usize = 256 << 10;
/// Bytes of all that are kept.
const SPARE_BYTES_MAX: usize = 4 << 20;
/// Bytes of replies that may wait for a client which has not said the password, as in Redis.
const UNAUTHENTICATED_OUTPUT_MAX: u64 = 17 << 10;
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

/// Buffers of outputs that were sent, for the next ones: the last one is in the cache still.
#[derive(Default)]
pub(super) struct Spare {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Spare {
    /// A buffer, if there is one.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let buffer = self.buffers.pop()?;
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Keeps a buffer, unless there are enough. Returns the bytes that it adds to what is kept.
    fn put(&mut self, buffer: Vec<u8>) -> usize {
        let size = buffer.capacity();
        let fits = size <= SPARE_BUFFER_SIZE_MAX.min(SPARE_BYTES_MAX - self.bytes);
        if !fits || SPARE_BUFFERS_MAX <= self.buffers.len() {
            return 0;
        }
        self.bytes += size;
        self.buffers.push(buffer);
        size
    }
}

impl Server {
    /// Sends to each client that has output which may go.
    pub(super) fn send_all(&mut self) {
        let mut sending = std::mem::take(&mut self.sending);
        let quota = (ALL_SENT_MAX / sending.len().max(1)).clamp(SENT_MIN, SENT_MAX);
        for ticket in sending.drain(..) {
            if self.has_much(ticket) {
                self.much.push_back(ticket);
            } else {
                self.send(ticket, quota);
            }
        }
        // What was added meanwhile is for the next turn; the memory is used again.
        sending.append(&mut self.sending);
        self.sending = sending;
        self.send_much(quota);
    }

    /// The same for those who have much, as far as the time of a turn reaches. Who is left is first in the next turn.
    fn send_much(&mut self, quota: usize) {
        let start = self.host.clock.ticks();
        for _ in 0..self.much.len() {
            let Some(ticket) = self.much.pop_front() else { return };
            self.send(ticket, quota);
            if MUCH_NANOS_MAX < self.host.clock.nanos_since(start) {
                return;
            }
        }
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

    /// Whether a client has so much to be sent that others go first.
    fn has_much(&mut self, ticket: Ticket) -> bool {
        let Some(session) = self.client(ticket).map(|client| client.session) else { return false };
        LITTLE_MAX < self.host.engine.state.sessions[session].output.len()
    }

    /// Sends to a client, so many bytes at most.
    fn send(&mut self, ticket: Ticket, quota: usize) {
        let token = ticket.token;
        let Some(client) = self.clients.get_mut(token).filter(|client| client.id == ticket.id) else {
            return;
        };
        client.sending = false;
        let sendable = self.host.sendable();
        let state = &mut self.host.engine.state;
        let session = &mut state.sessions[client.session];
        if sendable.written < session.last_write_batch {
            // The disk did not take what this client wrote: it hears nothing before it does.
            self.hold(token);
            return;
        }
        if !client.writable {
            self.check_output_limit(token);
            return;
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
        state.clients_bytes += self.spare.put(buffer);
        if closing != Closing::No || client.ended && !client.has_more() && !client.blocked {
            self.close(token);
        }
    }

    /// Closes a client whose output is over a limit.
    pub(super) fn check_output_limit(&mut self, token: usize) {
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

    pub(super) fn close_over_limit(&mut self, token: usize) {
        log::warn!("Client id={} closed for overcoming of output buffer limits.", self.clients[token].id);
        self.host.engine.state.stats.output_buffer_limit_disconnections += 1;
        self.close(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_buffers_are_few_and_the_last_one_is_taken_first() {
        let mut spare = Spare::default();
        assert!(spare.take().is_none());
        assert_eq!(spare.put(Vec::with_capacity(SPARE_BUFFER_SIZE_MAX + 1)), 0);
        for size in [100, 200] {
            assert_eq!(spare.put(Vec::with_capacity(size)), size);
        }
        assert_eq!(spare.take().map(|buffer| buffer.capacity()), Some(200));
        let sizes = |size: usize| (0..1000).map(move |_| Vec::with_capacity(size));
        let kept: usize = sizes(SPARE_BUFFER_SIZE_MAX).map(|buffer| spare.put(buffer)).sum();
        assert_eq!(kept, SPARE_BYTES_MAX - SPARE_BUFFER_SIZE_MAX);
        while spare.take().is_some() {}
        assert_eq!(sizes(10).map(|buffer| spare.put(buffer)).sum::<usize>(), 10 * SPARE_BUFFERS_MAX);
    }
}
