//! Read and run: each client's part of a turn, in three stages that overlap.
//!
//! ```text
//! client    1        2        3        4
//!        receive
//!        fetch    receive
//!        run      fetch    receive
//!                 run      fetch    receive
//! ```
//!
//! *Receive* reads, parses what can be parsed ahead, and asks the cache for the buckets of the keys; *fetch* asks for
//! the entries, by when the buckets have arrived; *run* runs the requests, by when the entries have. A pipeline of
//! requests hides these waits by itself. Where many clients send one request each, the only work to hide them
//! behind is the next client's read, so each client in flight has a [`Lane`] of its own to keep its requests in.
//!
//! # Who is first
//!
//! Clients that have just sent something are served first, all of them, and get their replies; then those that had more
//! than their part was enough for, as many as fit into [`GREEDY_NANOS_MAX`]. What these leave behind is logged and sent
//! with the next turn. The more clients are ready, the smaller is each one's part. So a thousand clients that send
//! without end slow each other down, and hardly anybody else.
//!
//! Clients are received and run in the order in which they stand in their list, and nobody is in one twice or in both. What one
//! client's requests do between another's stages is seen by the other's, which were only looked at before.

use crate::config::Settings;
use crate::engine::Engine;
use crate::engine::dispatch::Prepared;
use crate::io::client::{Client, Received};
use crate::io::host::{Host, Next};
use crate::io::server::send::output_max;
use crate::io::server::{Server, Ticket};
use crate::resp::reply::Output;
use crate::resp::request::{Batch, Input, Limits};
use crate::state::session::Closing;

/// Requests that are parsed ahead, so that their keys can be fetched into the cache together.
const BATCH_REQUESTS_MAX: usize = 64;
/// Requests that one client may run in one turn, while few clients are ready.
const TURN_REQUESTS_MAX: usize = 1024;
/// Requests that all clients which are ready may run in one turn if they are many, but for [`PART_REQUESTS_MIN`].
const ALL_REQUESTS_MAX: usize = 8 * 1024;
/// Requests that one client may run however many others there are.
const PART_REQUESTS_MIN: usize = 16;
/// As [`ALL_REQUESTS_MAX`], for the bytes that are read.
const ALL_BYTES_MAX: usize = 2 << 20;
/// As [`PART_REQUESTS_MIN`], for the bytes that are read.
const PART_BYTES_MIN: usize = 4 << 10;
/// Nanoseconds of a turn for clients that had more than their part was enough for.
const GREEDY_NANOS_MAX: u64 = 1_000_000;
/// Bytes that a client may send ahead which has not said the password, as in Redis.
const UNAUTHENTICATED_QUERY_MAX: usize = 1 << 20;
/// Size of the buffers that clients are read into.
const INPUT_SIZE: usize = 64 << 10;
/// Clients in flight: one for each stage.
pub(super) const LANES: usize = 3;

/// One client's requests from being read to being run.
pub(super) struct Lane {
    input: Input,
    batch: Batch,
    prepared: Vec<Prepared>,
    /// Whose requests these are; `None` if nothing is to be run.
    ticket: Option<Ticket>,
    /// Whether `batch` holds requests that were parsed ahead.
    ahead: bool,
    /// The connection is broken: it ends after what was sent before has run.
    broken: bool,
}

impl Default for Lane {
    fn default() -> Lane {
        Lane {
            input: Input::new(INPUT_SIZE),
            batch: Batch::default(),
            prepared: Vec::with_capacity(BATCH_REQUESTS_MAX),
            ticket: None,
            ahead: false,
            broken: false,
        }
    }
}

/// What one client may have of a turn.
#[derive(Clone, Copy)]
struct Part {
    requests: usize,
    bytes: usize,
}

impl Part {
    /// The part of each of so many clients.
    fn of(clients: usize) -> Part {
        Part {
            requests: (ALL_REQUESTS_MAX / clients).clamp(PART_REQUESTS_MIN, TURN_REQUESTS_MAX),
            bytes: (ALL_BYTES_MAX / clients).max(PART_BYTES_MIN),
        }
    }
}

impl Server {
    /// Gives every client that has sent something its part of the turn.
    pub(super) fn serve(&mut self) {
        let light = self.ready.len();
        if 0 < light {
            self.serve_list(false, light, Part::of(light + self.greedy.len()));
        }
    }

    /// The same for those who had more than that, as far as the time for them reaches.
    pub(super) fn serve_greedy(&mut self) {
        let greedy = self.greedy.len();
        self.serve_list(true, greedy, Part::of(self.ready.len() + greedy));
        self.unsettled = true;
    }

    /// Serves the first clients of one of the lists, so many at most.
    fn serve_list(&mut self, greedy: bool, mut clients: usize, part: Part) {
        let start = if greedy { self.host.clock.ticks() } else { 0 };
        let mut step = 0;
        while step < clients + LANES - 1 {
            if step < clients {
                // Those who are left are first in the next turn.
                if greedy && 0 < step && GREEDY_NANOS_MAX < self.host.nanos_since(start) {
                    clients = step;
                } else if let Some(ticket) =
                    if greedy { self.greedy.pop_front() } else { self.ready.pop_front() }
                {
                    self.receive(step % LANES, ticket, part);
                }
            }
            if 1 <= step && step <= clients {
                self.fetch((step - 1) % LANES);
            }
            if 2 <= step {
                self.run_lane((step - 2) % LANES, part);
            }
            step += 1;
        }
    }

    /// First stage: one read(2); then the requests in it are found, and the buckets of their keys asked for.
    fn receive(&mut self, lane: usize, ticket: Ticket, part: Part) {
        let lane = &mut self.lanes[lane];
        (lane.ticket, lane.ahead, lane.broken) = (None, false, false);
        let client = self.clients.get_mut(ticket.token).filter(|client| client.id == ticket.id);
        let Some(client) = client else { return };
        client.queued = false;
        if client.blocked || client.stalled {
            return;
        }
        let session = client.session;
        let engine = &mut self.host.engine;
        if engine.state.sessions[session].closing != Closing::No {
            return;
        }
        lane.ticket = Some(ticket);
        client.parser.begin(&mut lane.input);
        if client.may_read() {
            match client.receive(&mut lane.input, part.bytes) {
                Received::Bytes(count) => {
                    let stats = &mut engine.state.stats;
                    stats.net_input_bytes += count as u64;
                    stats.reads_processed += 1;
                    engine.state.sessions[session].input_bytes += count as u64;
                }
                Received::Nothing | Received::End => {}
                Received::Broken => lane.broken = true,
            }
        }
        // Requests that had to wait come first, and one of them may have to wait again.
        if client.waiting.is_empty() {
            lane.parse(engine, client);
            lane.ahead = true;
        }
    }

    /// Second stage: asks for the entries.
    fn fetch(&mut self, lane: usize) {
        let lane = &self.lanes[lane];
        if let Some(ticket) = lane.ticket
            && lane.ahead
        {
            lane.fetch(&self.host.engine, self.clients[ticket.token].session);
        }
    }

    /// Third stage: runs what was received, and marks the client for what comes next.
    fn run_lane(&mut self, lane: usize, part: Part) {
        let lane = &mut self.lanes[lane];
        // Nothing runs behind a SHUTDOWN, which has written and synced everything before.
        let Some(Ticket { token, .. }) = lane.ticket.take().filter(|_| self.host.exit_code().is_none())
        else {
            return;
        };
        let client = &mut self.clients[token];
        let session = client.session;
        let engine = &mut self.host.engine;
        if engine.state.sessions[session].output.memory() == 0
            && let Some(buffer) = self.spare.take()
        {
            engine.state.clients_bytes -= buffer.capacity();
            engine.state.sessions[session].output = Output::with_buffer(buffer);
        }
        self.host.enter(session);
        // Another client may have ended this one since its requests were received.
        if self.host.engine.state.sessions[session].closing == Closing::No {
            lane.run(&mut self.host, client, part.requests);
        }
        self.host.leave();
        // No reference to a big argument is kept: its value may be changed in place.
        lane.batch.clear();
        client.parser.finish(&mut lane.input);
        if client.stalled {
            client.stalled_since_ms = self.host.engine.state.process.mono_ms;
        }
        let (blocked, ending) = (client.blocked, client.ending);
        let mut broken = lane.broken;
        let engine = &mut self.host.engine;
        let (buffered, other) = client.pending_memory();
        let known = &mut engine.state.sessions[session];
        (known.query_buffer, known.args_memory) = (buffered, other);
        engine.leave(session);
        if query_buffer_max(engine, session) < buffered + engine.state.sessions[session].queued_memory() {
            let id = engine.state.sessions[session].id;
            log::warn!("Closing client that reached max query buffer length: id={id}");
            engine.state.stats.query_buffer_limit_disconnections += 1;
            broken = true;
        }
        // Who hangs up behind a request that waits is told of by no further event.
        broken |= blocked && ending && self.host.waits_for_ever(session);
        if broken {
            self.close(token);
        } else {
            self.after_serving(token);
        }
    }

    /// Marks the client for what comes next.
    pub(super) fn after_serving(&mut self, token: usize) {
        let client = &self.clients[token];
        let session = &self.host.engine.state.sessions[client.session];
        let (more, closing) = (client.has_more(), session.closing != Closing::No);
        if !session.output.is_empty() || client.wants_send() {
            self.mark_sending(token);
        } else if closing || client.ended && !more && !client.blocked {
            self.close(token);
            return;
        }
        let client = &self.clients[token];
        if more && !client.blocked && !client.stalled && !closing {
            self.mark_greedy(token);
        }
    }
}

impl Lane {
    /// Finds the next requests and asks the cache for the buckets of their keys.
    #[inline]
    fn parse(&mut self, engine: &Engine, client: &mut Client) {
        let token = client.session;
        let limits = limits(engine, token);
        // What follows an AUTH is judged after it ran, hence one at a time.
        let ahead = if limits.unauthenticated { 1 } else { BATCH_REQUESTS_MAX };
        let parsed = client.parser.parse(&mut self.input, &mut self.batch, ahead, &limits);
        self.prepared.clear();
        self.prepared.extend(parsed.iter().map(|args| engine.prepare(token, args)));
    }

    /// Asks the cache for the entries of the keys.
    #[inline]
    fn fetch(&self, engine: &Engine, session: usize) {
        self.prepared.iter().for_each(|request| engine.prefetch(session, *request));
    }

    /// Runs a client's requests until there are no more or its quota is used up.
    fn run(&mut self, host: &mut Host, client: &mut Client, requests_max: usize) {
        let token = client.session;
        let output_max = output_max(&host.engine.state, token);
        let bounded = output_max < usize::MAX;
        while let Some(request) = client.waiting.pop_front() {
            let args = request.args();
            let first = host.engine.prepare(token, args);
            let next = host.run(token, args, first);
            client.blocked = matches!(next, Next::Wait | Next::Again);
            if next == Next::Again {
                client.waiting.push_front(request);
            }
            client.stalled = output_max <= host.engine.reply().out.len();
            if next != Next::Run || client.stalled {
                return;
            }
        }
        let mut quota = requests_max;
        loop {
            if !std::mem::take(&mut self.ahead) {
                self.parse(&host.engine, client);
                self.fetch(&host.engine, token);
            }
            let parsed = self.batch.parsed(&self.input);
            for (index, args) in parsed.iter().enumerate() {
                match host.run(token, args, self.prepared[index]) {
                    Next::Run if bounded && output_max <= host.engine.reply().out.len() => {
                        client.stalled = true;
                        client.waiting.extend(parsed.iter().skip(index + 1).map(Into::into));
                        if let Some(error) = parsed.error().filter(|_| client.waiting.is_empty()) {
                            host.engine.protocol_error(token, error);
                        }
                        return;
                    }
                    Next::Run => {}
                    Next::Close => return,
                    next @ (Next::Wait | Next::Again) => {
                        client.blocked = true;
                        let done = index + usize::from(next == Next::Wait);
                        client.waiting.extend(parsed.iter().skip(done).map(Into::into));
                        return;
                    }
                }
            }
            if let Some(error) = parsed.error() {
                host.engine.protocol_error(token, error);
                return;
            }
            quota = quota.saturating_sub(parsed.len());
            if !parsed.more() || quota == 0 {
                return;
            }
        }
    }
}

/// The most bytes that a client may send ahead; who has not said the password may send little.
fn query_buffer_max(engine: &Engine, session: usize) -> usize {
    let max = engine.state.settings.client_query_buffer_limit as usize;
    if engine.state.sessions[session].authenticated { max } else { max.min(UNAUTHENTICATED_QUERY_MAX) }
}

fn limits(engine: &Engine, token: usize) -> Limits {
    let settings: &Settings = &engine.state.settings;
    Limits {
        bulk_len_max: settings.proto_max_bulk_len as usize,
        unauthenticated: engine.state.sessions[token].restricted && engine.state.must_log_in(token),
        ..Limits::default()
    }
}
