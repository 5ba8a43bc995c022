//! What a command is: a row, a function, an effect or an error.

use std::borrow::Cow;
use std::fmt;

use crate::base::date::UnixMs;
use crate::data::entry::Kind;
use crate::data::keyspace::{ExpiredFields, Key, Keyspace};
use crate::resp::reply::Reply;
use crate::resp::request::{Args, Request};
use crate::state::State;
use crate::state::blocked::Blocked;
pub use crate::state::notice::Class;
use crate::state::session::Session;

/// The version of Redis whose commands and replies these are; clients choose by it what they may use.
pub const REDIS_VERSION: &str = "8.0.0";

/// Flags of a row. What `COMMAND INFO` lists, and what the dispatcher goes by.
pub mod flag {
    /// Changes keys.
    pub const WRITE: u32 = 1 << 0;
    /// Reads keys.
    pub const READONLY: u32 = 1 << 1;
    /// Refused when memory is full.
    pub const DENYOOM: u32 = 1 << 2;
    /// For administrators.
    pub const ADMIN: u32 = 1 << 3;
    /// Not in scripts.
    pub const NOSCRIPT: u32 = 1 << 4;
    /// Allowed while data is being loaded.
    pub const LOADING: u32 = 1 << 5;
    /// Allowed on a stale replica.
    pub const STALE: u32 = 1 << 6;
    /// Not in `MONITOR`.
    pub const SKIP_MONITOR: u32 = 1 << 7;
    /// Not in the slow log.
    pub const SKIP_SLOWLOG: u32 = 1 << 8;
    /// O(1) or O(log n).
    pub const FAST: u32 = 1 << 9;
    /// Allowed before authentication.
    pub const NO_AUTH: u32 = 1 << 10;
    /// Needs no key of the keyspace to depend on the whole of it: `KEYS`, `DBSIZE`, `FLUSHALL`.
    pub const WHOLE: u32 = 1 << 11;
    /// Key positions depend on other arguments.
    pub const MOVABLE_KEYS: u32 = 1 << 12;
    /// May block.
    pub const BLOCKING: u32 = 1 << 13;
    /// Refused inside `MULTI`.
    pub const NO_MULTI: u32 = 1 << 14;
    /// Allowed in a script while `BUSY`.
    pub const ALLOW_BUSY: u32 = 1 << 15;
    /// Of publish/subscribe.
    pub const PUBSUB: u32 = 1 << 16;
    /// Runs asynchronously where a cluster would load (`COMMAND INFO` only).
    pub const NO_ASYNC_LOADING: u32 = 1 << 17;
    /// May be replicated although it writes nothing.
    pub const MAY_REPLICATE: u32 = 1 << 18;
    /// Dangerous category although the flags do not say so.
    pub const DANGEROUS: u32 = 1 << 19;
    /// Runs at once even after `MULTI`.
    pub const NOT_QUEUED: u32 = 1 << 30;
    /// May be sent by a client that has subscribed in RESP2.
    pub const SUBSCRIBER: u32 = 1 << 29;
    /// Of the nodes of a cluster among each other.
    pub const ASKING: u32 = 1 << 20;
    /// Changes keys although `COMMAND INFO` does not say so: `DEBUG`, one row for reading and writing.
    pub const INTERNAL_WRITE: u32 = 1 << 31;

    /// Flags that `COMMAND INFO` names, in the order in which Redis lists them.
    pub const NAMES: &[(u32, &str)] = &[
        (WRITE, "write"),
        (READONLY, "readonly"),
        (DENYOOM, "denyoom"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
        (NOSCRIPT, "noscript"),
        (BLOCKING, "blocking"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (SKIP_MONITOR, "skip_monitor"),
        (SKIP_SLOWLOG, "skip_slowlog"),
        (ASKING, "asking"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (MAY_REPLICATE, "may_replicate"),
        (NO_ASYNC_LOADING, "no_async_loading"),
        (NO_MULTI, "no_multi"),
        (MOVABLE_KEYS, "movablekeys"),
        (ALLOW_BUSY, "allow_busy"),
    ];
}

/// The group under which a command is documented; it also gives the ACL category.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Group {
    String,
    List,
    Set,
    Hash,
    SortedSet,
    Stream,
    Bitmap,
    Hyperloglog,
    Geo,
    Pubsub,
    Transactions,
    Generic,
    Connection,
    Server,
    Cluster,
}

impl Group {
    /// As `COMMAND DOCS` names it.
    pub fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::Hash => "hash",
            Group::SortedSet => "sorted-set",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
            Group::Hyperloglog => "hyperloglog",
            Group::Geo => "geo",
            Group::Pubsub => "pubsub",
            Group::Transactions => "transactions",
            Group::Generic => "generic",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Cluster => "cluster",
        }
    }

    /// Documentation of a command of this group; the arguments are the fields of [`Doc`].
    pub const fn doc(
        self,
        since: &'static str,
        complexity: &'static str,
        syntax: &'static str,
        summary: &'static str,
    ) -> Doc {
        Doc { summary, since, group: self, complexity, syntax }
    }
}

/// Documentation of a command, in our own words.
#[derive(Clone, Copy, Debug)]
pub struct Doc {
    /// One sentence.
    pub summary: &'static str,
    /// The version of Redis (or Valkey) that brought it.
    pub since: &'static str,
    /// Its group.
    pub group: Group,
    /// Time, as in O(N).
    pub complexity: &'static str,
    /// Arguments in the usual notation: `key [NX | XX] [EX seconds | PX milliseconds] element [element ...]`;
    /// lower case = a value to fill in, upper case = a word to type. `COMMAND DOCS` makes its tree from it.
    pub syntax: &'static str,
}

/// Where the keys of a command are.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// Index of the first argument that the search looks at.
    pub begin: usize,
    /// The search begins behind this word, which is looked for from there on; without it there are no keys.
    pub keyword: Option<&'static str>,
    /// How the search goes on.
    pub find: Find,
    /// What happens to the keys, in the words of `COMMAND INFO`: `RO RW OW RM ACCESS UPDATE INSERT DELETE`.
    pub flags: &'static [&'static str],
}

/// How a search for keys goes on from its beginning.
#[derive(Clone, Copy, Debug)]
pub enum Find {
    /// Keys every `step` arguments up to `last`, counted from the beginning, or from the end (-1 = the last).
    Range {
        /// Index of the last key relative to the beginning if not negative, else from the end.
        last: i16,
        /// Distance of two keys.
        step: usize,
        /// Above 1: with the last key counted from the end, only so great a part of the range are keys, a half for 2.
        limit: usize,
    },
    /// The argument at the beginning says how many keys follow.
    Count {
        /// Distance of two keys.
        step: usize,
    },
    /// One key that only the command itself finds, such as the one behind an option; `COMMAND INFO` calls it unknown.
    Special(fn(Args<'_>) -> Option<usize>),
}

impl KeySpec {
    /// One key at `begin`.
    pub const fn one(begin: usize, flags: &'static [&'static str]) -> KeySpec {
        KeySpec { begin, keyword: None, find: Find::Range { last: 0, step: 1, limit: 0 }, flags }
    }

    /// Keys from `begin` to the end, every `step` arguments.
    pub const fn rest(begin: usize, step: usize, flags: &'static [&'static str]) -> KeySpec {
        KeySpec { begin, keyword: None, find: Find::Range { last: -1, step, limit: 0 }, flags }
    }

    /// Keys from `begin` to the last argument but one.
    pub const fn all_but_last(begin: usize, flags: &'static [&'static str]) -> KeySpec {
        KeySpec { begin, keyword: None, find: Find::Range { last: -2, step: 1, limit: 0 }, flags }
    }

    /// The argument at `begin` counts the keys after it.
    pub const fn counted(begin: usize, step: usize, flags: &'static [&'static str]) -> KeySpec {
        KeySpec { begin, keyword: None, find: Find::Count { step }, flags }
    }

    /// Where the search begins in a request: where the row says, or behind the keyword.
    pub fn start(&self, args: Args<'_>) -> Option<usize> {
        let Some(keyword) = self.keyword else { return Some(self.begin) };
        let found =
            (self.begin..args.len()).find(|at| args.get(*at).eq_ignore_ascii_case(keyword.as_bytes()));
        found.map(|at| at + 1)
    }

    /// Indexes of the keys among the arguments of a request; nothing where the request is malformed.
    pub fn positions(&self, args: Args<'_>) -> impl Iterator<Item = usize> + use<> {
        let len = args.len();
        let begin = self.start(args).unwrap_or(len);
        let (first, last, step) = match self.find {
            Find::Range { last, step, .. } if 0 <= last => (begin, begin + last as usize, step),
            Find::Range { last, step, limit } => {
                let last = len.saturating_sub(last.unsigned_abs() as usize);
                let part = (last + 1).saturating_sub(begin) / limit.max(1);
                if part == 0 { (1, 0, 1) } else { (begin, begin + part - 1, step) }
            }
            Find::Count { step } => {
                let count = (begin < len)
                    .then(|| crate::base::number::parse_i64(args.get(begin)))
                    .flatten()
                    .and_then(|count| usize::try_from(count).ok())
                    .filter(|count| *count < len);
                match count {
                    None | Some(0) => (1, 0, 1),
                    Some(count) => (begin + 1, begin + 1 + (count - 1) * step, step),
                }
            }
            Find::Special(find) => find(args).map_or((1, 0, 1), |at| (at, at, 1)),
        };
        (first..=last).step_by(step).take_while(move |index| *index < len)
    }
}

/// What a command did, as far as the log must hear of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing.
    Unchanged,
    /// Something which the request itself, run again, does again.
    Changed,
    /// Something for which the command has written its own record.
    Logged,
}

/// Why a command did nothing. The text is the error reply without its `-`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error(Cow<'static, str>);

impl Error {
    /// The key holds another type.
    pub const WRONG_TYPE: Error =
        Error::of("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// An option is unknown or misplaced.
    pub const SYNTAX: Error = Error::of("ERR syntax error");
    /// Not an integer of 64 bits.
    pub const NOT_INTEGER: Error = Error::of("ERR value is not an integer or out of range");
    /// Not a floating point number.
    pub const NOT_FLOAT: Error = Error::of("ERR value is not a valid float");
    /// The key must exist.
    pub const NO_SUCH_KEY: Error = Error::of("ERR no such key");
    /// The index is beyond the list.
    pub const INDEX_OUT_OF_RANGE: Error = Error::of("ERR index out of range");
    /// Must be positive.
    pub const MUST_BE_POSITIVE: Error = Error::of("ERR value is out of range, must be positive");
    /// Out of range in general.
    pub const OUT_OF_RANGE: Error = Error::of("ERR value is out of range");
    /// The string would become longer than `proto-max-bulk-len`.
    pub const STRING_TOO_LONG: Error =
        Error::of("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    /// No such database.
    pub const DATABASE_OUT_OF_RANGE: Error = Error::of("ERR DB index is out of range");

    /// An error with a fixed text.
    pub const fn of(text: &'static str) -> Error {
        Error(Cow::Borrowed(text))
    }

    /// An error with a text made for the occasion.
    pub fn text(text: String) -> Error {
        Error(Cow::Owned(text))
    }

    /// The wrong number of arguments for the command of this name (`client|kill` for a subcommand).
    pub fn arity(name: &str) -> Error {
        Error::text(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Bytes of a name or argument that an error repeats at most.
pub const REPEATED_MAX: usize = 128;

/// What an error repeats of an argument: at most `max` bytes, and only up to a zero byte, where Redis's texts end.
/// What is no UTF-8 is replaced, since clients take errors for text.
pub fn repeated(argument: &[u8], max: usize) -> Cow<'_, str> {
    let argument = &argument[..argument.len().min(max)];
    let end = memchr::memchr(0, argument).unwrap_or(argument.len());
    String::from_utf8_lossy(&argument[..end])
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a command's function returns. `Err` means: nothing changed, nothing replied, nothing logged.
pub type Outcome = Result<Effect, Error>;

/// The function of a command. `args[0]` is the command's name, `args[1]` a subcommand's.
pub type Run = fn(&mut Ctx<'_>, Args<'_>) -> Outcome;

/// One row of the table.
#[derive(Debug)]
pub struct Command {
    /// Lower case.
    pub name: &'static str,
    /// Number of arguments with the name (and the container's name); negative = at least.
    pub arity: i16,
    /// See [`flag`].
    pub flags: u32,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Its function.
    pub run: Run,
    /// Its documentation.
    pub doc: Doc,
    /// Rows of its subcommands, if it is a container.
    pub subcommands: &'static [Command],
}

impl Command {
    /// Whether all flags of `flags` are set.
    #[inline]
    pub fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// Whether a request of `len` arguments has the right number.
    #[inline]
    pub fn arity_fits(&self, len: usize) -> bool {
        if 0 <= self.arity { len == self.arity as usize } else { self.arity.unsigned_abs() as usize <= len }
    }
}

/// How long a command waits for keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timeout {
    /// Until there is something.
    Never,
    /// So long, in milliseconds.
    Millis(u64),
}

impl Timeout {
    /// Seconds with a fraction, as `BLPOP` takes them; 0 for ever.
    ///
    /// # Errors
    ///
    /// The text for the client.
    pub fn seconds(arg: &[u8]) -> Result<Timeout, Error> {
        const NO_NUMBER: Error = Error::of("ERR timeout is not a float or out of range");
        const TOO_LONG: Error = Error::of("ERR timeout is out of range");
        let seconds = crate::base::number::parse_f64(arg).ok_or(NO_NUMBER)?;
        let millis = seconds * 1000.0;
        if (i64::MAX as f64) <= millis {
            return Err(TOO_LONG);
        }
        Timeout::of(millis.ceil() as i64)
    }

    /// Whole milliseconds, as `XREAD` takes them; 0 for ever.
    ///
    /// # Errors
    ///
    /// The text for the client.
    pub fn millis(arg: &[u8]) -> Result<Timeout, Error> {
        let millis = crate::base::number::parse_i64(arg);
        Timeout::of(millis.ok_or(Error::of("ERR timeout is not an integer or out of range"))?)
    }

    fn of(millis: i64) -> Result<Timeout, Error> {
        match u64::try_from(millis) {
            Err(_) => Err(Error::of("ERR timeout is negative")),
            Ok(0) => Ok(Timeout::Never),
            Ok(millis) => Ok(Timeout::Millis(millis)),
        }
    }
}

/// Keys that are fetched into the cache together; more would push each other out.
const KEYS_AHEAD: usize = 64;

/// What a command sees while it runs.
pub struct Ctx<'a> {
    /// The keys, with date and database set.
    pub keys: &'a mut Keyspace,
    /// Where the reply goes.
    pub reply: &'a mut Reply,
    /// Everything else.
    pub state: &'a mut State,
    /// The client's key in `state.sessions`.
    pub token: usize,
    /// Hash of the first key, if the dispatcher has computed it, with its position.
    pub hashed: Option<(usize, u64)>,
}

impl Ctx<'_> {
    /// The key at position `index` of the request.
    #[inline]
    pub fn key<'k>(&self, args: Args<'k>, index: usize) -> Key<'k> {
        let bytes = args.get(index);
        match self.hashed {
            Some((at, hash)) if at == index => Key { bytes, hash },
            _ => self.keys.key(bytes),
        }
    }

    /// Asks the cache for the first keys of a command that has many: for all their buckets, then for the entries.
    pub fn fetch_ahead(&self, args: Args<'_>, positions: impl Iterator<Item = usize> + Clone) {
        let hashes = positions.take(KEYS_AHEAD).map(|index| self.keys.key(args.get(index)).hash);
        let database = self.keys.selected();
        hashes.clone().for_each(|hash| self.keys.prefetch(database, hash));
        hashes.for_each(|hash| self.keys.prefetch_entry(database, hash));
    }

    /// The client.
    pub fn session(&mut self) -> &mut Session {
        &mut self.state.sessions[self.token]
    }

    /// The date at which the command runs; zero in replay.
    #[inline]
    pub fn now(&self) -> UnixMs {
        self.keys.now()
    }

    /// Says that a key has changed: once for every changed key, after the change. Feeds the figures and the
    /// gate of replies that wait for the log.
    #[inline]
    pub fn changed(&mut self, class: Class, event: &'static str, key: Key<'_>) {
        self.state.count_change(self.keys.selected(), key.hash);
        if self.state.attentive {
            tell_noted(self.keys, self.state);
            self.state.notice(class, event, self.keys.selected(), key.bytes);
        }
    }

    /// As [`Ctx::changed`], for the few changes that keyspace notifications do not tell of.
    pub fn changed_without_event(&mut self, key: Key<'_>) {
        self.state.count_change(self.keys.selected(), key.hash);
        if self.state.attentive {
            self.state.notice_silently(self.keys.selected(), key.bytes);
        }
    }

    /// Says that a collection has lost elements, and deletes its key if nothing is left in it.
    #[inline]
    pub fn settle(&mut self, class: Class, event: &'static str, key: Key<'_>, is_empty: bool) {
        self.changed(class, event, key);
        if is_empty {
            self.keys.delete(key);
            self.changed(Class::Generic, "del", key);
        }
    }

    /// Whether the command may wait for keys: not within a transaction, and not when a log is run again.
    pub fn may_block(&self) -> bool {
        self.state.transaction.is_none() && self.now() != UnixMs::ZERO
    }

    /// Nothing is there: the client waits for these keys, and then the request is run again, or hears at once that there is nothing, which
    /// is also what it hears when the time is over.
    pub fn block<'k>(
        &mut self,
        request: Request,
        keys: impl Iterator<Item = &'k [u8]>,
        kind: Kind,
        timeout: Timeout,
    ) -> Outcome {
        if !self.may_block() {
            self.reply.null_array();
            return Ok(Effect::Unchanged);
        }
        let until_ms = match timeout {
            Timeout::Never => u64::MAX,
            // The millisecond that it is has begun already, and nobody waits for less than was asked.
            Timeout::Millis(millis) => self.state.process.mono_ms.saturating_add(millis).saturating_add(1),
        };
        let mut names: Vec<Box<[u8]>> = Vec::new();
        for key in keys {
            if !names.iter().any(|known| **known == *key) {
                names.push(key.into());
            }
        }
        self.state.block = Some(Blocked {
            request,
            number: 0,
            database: self.keys.selected(),
            keys: names,
            kind,
            until_ms,
            again_ms: u64::MAX,
            even_without: false,
        });
        Ok(Effect::Unchanged)
    }

    /// Says that a whole database has changed (`FLUSHDB`, `SWAPDB`), with how many keys.
    pub fn changed_whole(&mut self, keys: usize) {
        self.state.dirty += keys as u64;
        if self.state.gate.active {
            self.state.gate.changed_whole();
        }
    }

    /// Says that a whole database is about to change, to those who watch keys of it that are in any of `databases`.
    pub fn note_whole(&mut self, database: usize, databases: &[usize]) {
        if self.state.attentive {
            let keys = &*self.keys;
            let there = |name: &[u8], database: &usize| {
                keys.databases()[*database].table().get(name, keys.key(name).hash).is_some()
            };
            let exists = |name: &[u8]| databases.iter().any(|database| there(name, database));
            self.state.notice_whole(database, exists);
        }
    }

    /// Writes the command's own record, for [`Effect::Logged`].
    pub fn log(&mut self, args: &[&[u8]]) {
        self.log_expired();
        self.state.log.record(self.keys.selected(), args);
    }

    /// Writes a `DEL` for every key that was found expired, so that it stands before the record of whoever
    /// noticed it.
    #[inline]
    pub fn log_expired(&mut self) {
        if self.keys.has_expired() {
            log_expired(self.keys, self.state);
        }
    }

    /// Replies the lines of a container's `HELP`.
    pub fn help(&mut self, lines: &[&str]) -> Outcome {
        self.reply.array(lines.len());
        for line in lines {
            self.reply.status(line);
        }
        Ok(Effect::Unchanged)
    }

    /// An integer argument.
    #[inline]
    pub fn integer(&self, arg: &[u8]) -> Result<i64, Error> {
        crate::base::number::parse_i64(arg).ok_or(Error::NOT_INTEGER)
    }
}

/// Publishes which keys are new and which were missed since the last call.
#[cold]
pub fn tell_noted(keys: &mut Keyspace, state: &mut State) {
    for noted in keys.take_noted() {
        let (class, event) = if noted.is_new { (Class::New, "new") } else { (Class::Missed, "keymiss") };
        state.notify(class, event, noted.database, &noted.key);
    }
}

/// Writes a `DEL` for every key that was found expired since the last call, and an `HDEL` for fields.
#[cold]
pub fn log_expired(keys: &mut Keyspace, state: &mut State) {
    // The fields first: a key whose fields expired may have expired as a whole since, not the other way round.
    for expired in keys.take_expired_fields() {
        log_expired_fields(state, keys.key(&expired.key), &expired);
    }
    for (database, name) in keys.take_expired() {
        log_removed(state, Class::Expired, "expired", database, keys.key(&name));
    }
}

/// Says that fields of a hash have expired, and the key with the last of them.
fn log_expired_fields(state: &mut State, key: Key<'_>, expired: &ExpiredFields) {
    state.count_change(expired.database, key.hash);
    state.dirty += u64::from(expired.emptied);
    if state.attentive {
        state.notice(Class::Hash, "hexpired", expired.database, key.bytes);
        if expired.emptied {
            state.notice(Class::Generic, "del", expired.database, key.bytes);
        }
    }
    let mut words: Vec<&[u8]> = vec![b"HDEL", key.bytes];
    words.extend(expired.fields.iter().map(|field| &field[..]));
    state.log.record(expired.database, &words);
}

/// Says that the server itself has removed a key, which no command asked for: feeds the figures, the gate, and
/// the log with a `DEL`.
pub fn log_removed(state: &mut State, class: Class, event: &'static str, database: usize, key: Key<'_>) {
    state.count_change(database, key.hash);
    if state.attentive {
        state.notice(class, event, database, key.bytes);
    }
    state.log.record(database, &[b"DEL", key.bytes]);
}
