//! kvick: a Redis-compatible in-memory key-value server. This page is the map of the crate.
//!
//! # From above
//!
//! One thread runs one `mio` poll loop. It reads what clients send, runs it against one hash map in memory, appends
//! what changed to a log, and sends the replies. Beside it there is one helper thread, which does nothing but sync
//! the log, and now and then a forked child, which writes the data as it was at one moment into a shorter log.
//! Protocol, configuration file and files on disk are Redis's.
//!
//! In the middle stands [`engine::Engine`], the whole server without sockets, files and clock: requests, dates and a
//! seed go in; replies, records for the log and wishes come out. Everything below it is plain data and functions,
//! everything around it is the floor [`io`].
//!
//! # The floors
//!
//! A file names `crate::x` only if `x` is declared above it here (and inside a floor, above it in its `mod.rs`);
//! so the order of the `mod` lines is the reading order and there are no circles. `tests/tidy.rs` holds us to it.
//!
//! | floor | folder | holds | never |
//! |---|---|---|---|
//! | 0 | [`base`] | dates, numbers as Redis reads and writes them, globs, quoting, random numbers, the counting allocator | imports ours |
//! | 1 | [`resp`] | `request.rs`: bytes to requests, resumable; `reply.rs`: replies to bytes, RESP2 and RESP3 | knows keys or commands |
//! | 2 | [`data`] | `table.rs` the hash map; `entry.rs` one allocation a key, `block.rs` where it comes from; `list.rs`; `expiry.rs` the index of deadlines; `keyspace.rs` all of them together | says `resp`, reads a clock |
//! | 3 | [`config`] | one row a directive, in three tables; text to settings and back | opens files |
//! | 4 | [`state`] | what commands see besides keys: sessions, figures, the records of a turn, `gate.rs` (which replies wait for the disk), `ask.rs` (what only `io` can do), `notice.rs` (who cares that a key changes), `pubsub.rs`, `waits.rs` | does I/O |
//! | 5 | [`command`] | `spec.rs` (a row, an effect, an error), `options.rs`, one file a family, `table.rs` | holds a socket or file |
//! | 6 | [`engine`] | `dispatch.rs` one request; `sessions.rs` what it means for others; `onlookers.rs` who tracks, monitors, holds up; `replay.rs` the log run again; `tick.rs`; `snapshot.rs` | makes system calls |
//! | 7 | [`io`] | all that can fail or surprise: `clock.rs`, sockets, `server.rs` the turn, `aof/` the log on disk, signals, processes | decides what a command means |
//!
//! # The turn
//!
//! ```text
//! wait            poll until the next tick or event; the date of the turn is taken
//! read and run    each ready client: one read(2) into the shared buffer, then its requests, up to a part of the turn
//! tick            every 100 ms: figures, retries, timeouts, the log's child
//! log             the records of the turn are sealed as one batch and written with one write(2); a sync is asked for
//! send            each client with output that may go: one writev(2); those who have much behind the others
//! greedy          read and run, for clients that had more than their part; heard of in the next turn
//! handshakes      of TLS
//! close           sockets of connections that have ended
//! web             one response of the metrics or the page, if somebody asks
//! background      a slice of expiry, of growing tables, of freeing
//! ```
//!
//! The last four are as long as their time in a turn, and go on in the next one: what costs much comes behind what
//! costs little, so that who asks for little waits for nobody else's megabytes.
//!
//! Where the time of a turn went is kept by cause ([`state::turns`]), so that a stall names what it was; `INFO turns`,
//! `LATENCY` and the page ([`io::web`]) show it.
//!
//! A pipeline is parsed ahead, up to 64 requests. A first pass finds their rows, hashes their first keys and asks the
//! cache for the buckets and entries; a second runs them in order ([`engine::dispatch`]). Where clients send one request
//! each, the passes overlap across clients (`io/server/serve.rs`).
//!
//! What a request means for others is settled before the next one runs ([`engine::sessions`]): the requests that `EXEC`
//! lets loose run one after the other, and those who wait for a key that has changed are served, the longest waiting
//! first. Messages go straight into the outputs of their subscribers, and leave with the other replies.
//!
//! Sockets are registered once, edge-triggered, in both directions. Events only mark clients; the turn works at its
//! own pace. Nothing is written to a socket before the log was written, so a turn full of writes costs one write of
//! the log, and no reply tells of what a crash of the process could take back. Under `appendfsync always` replies
//! that depend on a batch which is not yet on disk stay in their client's output, and the loop goes on meanwhile.
//!
//! A connection over TLS differs in how it is read and how it is sent (`io/tls/stream.rs`), and in that it begins with
//! a handshake. Handshakes stand in a list of their own, of which each turn takes a few: one costs as much as hundreds
//! of requests.
//!
//! # The data
//!
//! - Tables and entries lie in mappings that are put on huge pages when nobody waits ([`base::pages`], `io/ripen.rs`):
//!   what a prefetch cannot hide is the walk for an address.
//! - [`data::table`]: buckets of one cache line with seven tags and seven slots. Grows and shrinks a few buckets at a
//!   time; every key has one home even then. Keyed hashing with a secret seed.
//! - [`data::entry`]: header, deadline, key and a small value in one block of [`data::block`]; big strings are shared
//!   `Bytes`, which a reply refers to instead of copying.
//! - [`data::pack`]: a short set, hash or sorted set is one block of elements, one behind the other.
//! - [`data::list`]: runs of elements, a deque of runs when long; never one allocation an element.
//! - [`data::hash`]: a pack, or a table of cells with field and value; deadlines of fields have an index of their own.
//! - [`data::zset`]: a pack, or a table by member and an order with counts by score over the same members.
//! - [`data::set`]: sorted integers, a pack, or a table whose members of up to seven bytes live in their slot.
//! - [`data::stream`]: nodes of about a hundred entries in one buffer, field names once a node; groups beside them.
//! - [`data::expiry`]: a record for each key with a deadline, in groups by period; a tick looks only at groups that
//!   are due. Whoever looks up a key that is due removes it, too.
//! - Big values and whole databases are freed in slices after the replies, and while much goes, its memory goes back to
//!   the system in slices, too (`io/giving.rs`).
//!
//! # The formats
//!
//! - **RESP**, both ways: [`resp`].
//! - **Configuration**: redis.conf. Each directive stands in exactly one table: [`config::live`] does what it says,
//!   [`config::known`] has no meaning here and says so, [`config::refused`] would break a promise and is an error.
//! - **The log**: Redis 7's directory with its manifest ([`io::aof::manifest`]), files of RESP commands. Records are
//!   deterministic: `SET k v PXAT date`, never `EX`; `DEL` for what expired.
//! - **RDB** ([`data::rdb`]): what `DUMP` replies, snapshots, and a base under `aof-use-rdb-preamble`. Written as Redis
//!   7.0 reads it, read as Redis 5 to 8 and Valkey write it.
//! - **Batches** ([`io::aof::batch`]): each write of the log is announced by a line `#KV offset length synced crc`,
//!   which Redis skips like any other annotation. The line stands *in front* of its batch. Were it at the end, a file
//!   that ends in records without a line could be a torn write, to be cut off, or what Redis appended after taking
//!   the directory over, to be kept, and nothing could tell which. In front, what is torn has been announced, and
//!   what has not been announced is another server's. What torn and corrupt mean exactly stands in
//!   [`io::aof::reader`].
//! - **Notes**: a rewritten base says `#KEYS count` before each database, so that whoever loads it can size the table
//!   ahead; `#TS:seconds` is Redis's own, under `aof-timestamp-enabled`, and `#MS:milliseconds`
//!   stands before it in each batch then, for `--load-until` ([`io::aof::until`]).
//!
//! # Invariants
//!
//! - Invariant: nothing below `io` reads a clock. A date comes in with the turn; while requests of one turn run it
//!   stands still. Replay runs at date zero, where nothing expires: the log itself says what did.
//! - Invariant: nothing below `io` makes a system call: no file, socket, process or thread. (Memory is another
//!   matter: the table maps its big arrays itself, and entries their pages.)
//! - Invariant: nothing below `io` draws a random number that the seed does not decide.
//! - Invariant: no command holds a socket, a file or another client's output. What it needs of those it asks for by a
//!   [`state::ask::Ask`], and `io` answers. Only messages are written to others, by `state/pubsub.rs`.
//! - Invariant: the records of a transaction stand between `MULTI` and `EXEC` in one batch: all of them are run again,
//!   or none.
//! - Invariant: a command that returns an error has left no trace: no change, no reply, no record. Debug assertions in
//!   the one dispatcher check this.
//! - Invariant: whatever changes a key says so: by its effect to the log, by `Ctx::changed` to everybody else.
//! - Invariant: the `DEL` of an expired key stands in the log before the record of the command that noticed it.
//! - Invariant: no reply leaves before the records of its turn are written, and under `always` none before those it
//!   depends on are on disk.
//! - Invariant: the loop never waits for the disk to sync while it serves. Exceptions by name: shutdown, `CONFIG SET
//!   appendonly`, and the end of a rewrite that heals the log after a sync has failed.
//! - Invariant: a file of the log that is not written to any more is never changed in place, as it may have another
//!   name, in a backup ([`io::aof::backup`]).
//! - Invariant: the log knows its disk only by [`io::disk`], so that `tests/torture` can put one there that fails.
//! - Invariant: the helper thread neither allocates, nor locks, nor logs; so `fork` is safe whatever it is doing.
//! - Invariant: no client's, disk's or accept's error ends the loop.
//! - Invariant: whoever may do everything pays one flag for it ([`state::session::Session::restricted`]); everybody else
//!   is looked at when a request comes, when `EXEC` lets it loose, and when a wait for keys ends.
//! - Invariant: no length that a peer or a file names takes memory before the bytes are there or a limit was checked.
//! - Invariant: nothing moves all elements of a table in one stop, and nothing frees a big value in one stop.
//! - Invariant: unsafe code stands only in the files that `tests/tidy.rs` names, each with its argument at the head.
//! - There is no global state besides memory (the allocator, its counters, a thread's pages of entries), the logger,
//!   and the table of commands, which never changes after the start. The only lock is never waited
//!   for (`io/tls/sessions.rs`), and nothing is `async`.
//!
//! # Where to put what
//!
//! - **A command**: its row on top of the family's file in [`command`], its function below, a test beside it; for a new
//!   family a line in `command/mod.rs` and in [`command::table`]. Parse everything, then decide, then reply and change.
//!   `tests/readme.rs` wants the README's table written anew.
//! - **A directive**: one row in [`config::live`], which is also its field in `Settings`, or in [`config::known`] with a
//!   reason. If a change at run time must reach a file, a socket or a process, an arm in `io/grant.rs`.
//! - **A right**: who may do what stands in [`state::acl`], what a request needs in [`command::permission`]; a rule is
//!   an arm in `command/acl/rules.rs` and a word in `describe.rs`, which must read each other. A command that names
//!   channels or databases has a line in `permission.rs`, one with a secret among its arguments in `command/secret.rs`.
//! - **A type**: a file in [`data`], a form in `data/entry.rs`, a file in `data/rdb/`, its commands in `engine/snapshot.rs`,
//!   its family.
//! - **A figure of INFO**: a field in [`state::stats`] or [`state::server`], a line in `command/info.rs`; a line in
//!   `io/web/metrics.rs` too if it is worth a graph, under the name that redis_exporter has for it.

pub mod base;
pub mod resp;
pub mod data;
pub mod config;
pub mod state;
pub mod command;
pub mod engine;
pub mod io;

/// Counts what it hands out; see [`base::memory`].
#[global_allocator]
static ALLOCATOR: base::memory::Counting = base::memory::Counting;
