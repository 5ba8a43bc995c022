//! Requests to the whole engine, by several clients, with time passing: every reply is a reply, what a command must hold
//! to is held by the dispatcher's own assertions, and a restart from the log or from a snapshot finds the same data.
//!
//! The bytes are what clients send. Two requests are none of a server's: `@ MS` lets time pass and ticks, `% N` says
//! which client speaks from there on.

use kvick::base::memory;
use kvick::config::Settings;
use kvick::engine::Engine;
use kvick::resp::request::{Args, Batch, Input, Limits, Parser, Request};
use kvick::state::ask::Ask;
use kvick::state::session::{Closing, Session};

use super::line;
use super::payload::compare;
use super::play::Play;

const CLIENTS: usize = 3;
/// Requests of one run.
const REQUESTS_MAX: usize = 80;
/// A run that has taken so much memory ends.
const MEMORY_MAX: usize = 8 << 20;
/// Elements that may be asked for with repetitions: so many of them are made as were asked for.
const REPEATED_MAX: i64 = 1000;
/// Where the date begins, in milliseconds since the epoch.
const BEGIN_MS: i64 = 1_700_000_000_000;

/// An empty engine whose values change their form early, and grow to no great length.
pub fn small(shape: usize) -> Play {
    let mut play = Play::new(1);
    let settings = &mut play.engine.state.settings;
    settings.proto_max_bulk_len = 64 << 10;
    if shape.is_multiple_of(2) {
        (settings.hash_max_listpack_entries, settings.hash_max_listpack_value) = (3, 10);
        (settings.zset_max_listpack_entries, settings.zset_max_listpack_value) = (3, 10);
        (settings.set_max_listpack_entries, settings.set_max_intset_entries) = (3, 4);
        (settings.list_max_listpack_size, settings.stream_node_max_entries) = (3, 3);
        settings.hll_sparse_max_bytes = 60;
    }
    play.engine.apply_settings();
    play.pass(BEGIN_MS);
    play
}

/// The engine and who speaks.
pub struct Script {
    /// The engine.
    pub play: Play,
    tokens: [usize; CLIENTS],
    speaker: usize,
    memory_max: usize,
}

impl Script {
    /// Nothing was said yet.
    pub fn new(shape: usize) -> Script {
        let mut play = small(shape);
        let mut open = || play.engine.open_session(Session::default());
        let tokens = [0, open(), open()];
        Script { play, tokens, speaker: 0, memory_max: memory::used() + MEMORY_MAX }
    }

    /// Says one request. False: enough.
    pub fn say(&mut self, request: &Request) -> bool {
        let args = request.args();
        let number =
            || std::str::from_utf8(args.get(args.len() - 1)).ok().and_then(|text| text.parse::<u32>().ok());
        match args.get(0) {
            b"%" => self.speaker = number().unwrap_or(0) as usize % CLIENTS,
            b"@" => self.pass(i64::from(number().unwrap_or(1).min(100_000_000))),
            _ if is_fit(args) => self.run(args),
            _ => {}
        }
        memory::used() < self.memory_max
    }

    fn pass(&mut self, ms: i64) {
        self.play.pass(ms);
        let process = &mut self.play.engine.state.process;
        process.now_ms = self.play.now;
        process.now_micros = self.play.now * 1000;
        process.mono_ms = (self.play.now - BEGIN_MS) as u64;
        let mono_ms = process.mono_ms;
        self.play.engine.end_waits(mono_ms);
        self.play.tick();
        self.look_after_clients();
    }

    fn run(&mut self, args: Args<'_>) {
        let token = self.tokens[self.speaker];
        let engine = &mut self.play.engine;
        if engine.is_blocked(token) || engine.state.sessions[token].postponed {
            return;
        }
        engine.enter(token);
        let prepared = engine.prepare(token, args);
        engine.prefetch(token, prepared);
        if engine.run(token, args, prepared) {
            grant(engine, token);
            while let Some((queued, prepared)) = engine.run_queued(token) {
                grant(engine, token);
                engine.account(token, queued.request.args(), prepared, 1000);
            }
            engine.account(token, args, prepared, 20_000_000);
            engine.serve_ready(Some(token));
        }
        engine.leave(token);
        self.look_after_clients();
    }

    /// Takes the replies, and lets go of clients that are to go.
    fn look_after_clients(&mut self) {
        for client in 0..CLIENTS {
            let token = self.tokens[client];
            let bytes = self.play.sent(token);
            let mut at = 0;
            while at < bytes.len() {
                at = reply_end(&bytes, at)
                    .unwrap_or_else(|| panic!("no reply: {}", bytes[at..].escape_ascii()));
            }
            let engine = &mut self.play.engine;
            engine.state.waiting.ended.clear();
            if engine.state.sessions[token].closing != Closing::No {
                engine.close_session(token);
                self.tokens[client] = engine.open_session(Session::default());
            }
        }
    }
}

/// What the floor `io` would do: here, nothing.
fn grant(engine: &mut Engine, token: usize) {
    let Some(ask) = engine.state.ask.take() else { return };
    let mark = engine.reply().mark();
    if let Ask::ApplySettings { before, .. } = ask {
        engine.state.settings = *before;
        engine.apply_settings();
    }
    engine.reply().ok();
    engine.silence(token, mark);
    engine.tell_own();
}

/// Whether a request is one for here: `DEBUG` is there to break things, and others make as much work as they are told.
fn is_fit(args: Args<'_>) -> bool {
    let name = args.get(0).to_ascii_lowercase();
    let is_repeated = || {
        let numbers = args.iter().filter_map(|arg| std::str::from_utf8(arg).ok()?.parse::<i64>().ok());
        numbers.min().is_some_and(|least| least < -REPEATED_MAX)
    };
    match &name[..] {
        b"debug" | b"command" => false,
        b"srandmember" | b"hrandfield" | b"zrandmember" => !is_repeated(),
        b"sort" => args.len() < 12,
        _ => args.len() < 200,
    }
}

/// Where a reply ends.
fn reply_end(bytes: &[u8], at: usize) -> Option<usize> {
    let end = at + memchr_line(&bytes[at..])?;
    let (text, next) = (&bytes[at + 1..end], end + 2);
    let number = || std::str::from_utf8(text).ok()?.parse::<i64>().ok();
    let many = |count: i64, each: i64| (0..count.max(0) * each).try_fold(next, |at, _| reply_end(bytes, at));
    match bytes[at] {
        b'+' | b'-' | b',' | b'(' => Some(next),
        b':' => number().map(|_| next),
        b'_' => text.is_empty().then_some(next),
        b'#' => matches!(text, b"t" | b"f").then_some(next),
        b'$' if text == b"-1" => Some(next),
        b'$' | b'=' => {
            let end = next + usize::try_from(number()?).ok()?;
            (bytes.get(end..end + 2)? == b"\r\n").then_some(end + 2)
        }
        b'*' | b'~' | b'>' => many(number()?, 1),
        b'%' => many(number()?, 2),
        b'|' => reply_end(bytes, many(number()?, 2)?),
        _ => None,
    }
}

fn memchr_line(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\r\n")
}

/// The requests in these bytes, up to what is none.
pub fn requests(mut bytes: &[u8]) -> Vec<Request> {
    let (mut parser, mut input, mut batch) = (Parser::default(), Input::new(16 << 10), Batch::default());
    let mut requests = Vec::new();
    while (!bytes.is_empty() || parser.has_backlog()) && requests.len() < REQUESTS_MAX {
        parser.begin(&mut input);
        if !parser.has_backlog() {
            bytes = &bytes[parser.feed(&mut input, bytes)..];
        }
        let parsed = parser.parse(&mut input, &mut batch, 64, &Limits::default());
        requests.extend(parsed.iter().map(Request::from));
        let failed = parsed.error().is_some();
        parser.finish(&mut input);
        if failed {
            break;
        }
    }
    requests.truncate(REQUESTS_MAX);
    requests
}

/// Runs the target.
pub fn run(data: &[u8]) {
    let Some((shape, data)) = data.split_first() else { return };
    let mut script = Script::new(usize::from(*shape));
    for request in requests(data) {
        if !script.say(&request) {
            return;
        }
    }
    assert!(Settings::default() != script.play.engine.state.settings);
    compare(&mut script.play);
}

/// Requests that between them reach every family.
const TEXTS: &[&[&str]] = &[
    &[
        "SET s v EX 10",
        "APPEND s x",
        "GETEX s PERSIST",
        "INCRBYFLOAT n 1.5",
        "SETRANGE s 5 y",
        "GETRANGE s 0 -1",
        "MSET a 1 b 2",
        "LCS a b IDX",
        "SUBSTR s 0 1",
        "GETDEL a",
        "SET s w NX GET",
        "@ 11000",
        "GET s",
        "DIGEST b",
        "SETBIT m 9 1",
        "BITFIELD m SET u4 2 9 OVERFLOW SAT INCRBY i8 0 100",
        "BITOP XOR to m b",
        "BITPOS m 1",
        "BITCOUNT m 0 -1 BIT",
    ],
    &[
        "RPUSH l a b c 1 2",
        "LPUSH l x",
        "LINSERT l BEFORE b y",
        "LSET l 0 z",
        "LPOS l b COUNT 0",
        "LMOVE l k LEFT RIGHT",
        "LMPOP 2 l k LEFT COUNT 2",
        "LMOVEM l k LEFT LEFT COUNT 2 OBO",
        "LMOVEM k l RIGHT LEFT EXACTLY 2 BULK",
        "LREM l 0 1",
        "LTRIM l 0 2",
        "% 1",
        "BLPOP empty l 5",
        "BLMOVE nobody l LEFT LEFT 1",
        "BLMOVEM l k LEFT RIGHT 1 EXACTLY 9 BULK",
        "% 0",
        "RPUSH nobody q",
        "RPOPLPUSH l l",
        "SORT l ALPHA DESC LIMIT 0 2 STORE sorted",
    ],
    &[
        "SADD t 1 2 3",
        "SADD t x longer-than-ten-bytes",
        "SPOP t 2",
        "SRANDMEMBER t -5",
        "SINTERSTORE u t t",
        "SDIFF t u",
        "SMOVE t u x",
        "SINTERCARD 2 t u LIMIT 1",
        "SUNIONCARD 2 t u APPROX LIMIT 1",
        "SDIFFCARD 2 t u LIMIT 1",
        "SUNIONSTORE t u t",
        "SSCAN t 0 MATCH * COUNT 5",
        "SMISMEMBER t 1 x",
        "SREM t 1",
    ],
    &[
        "HSET h f 1 g 2 long-field-of-more-than-ten v",
        "HINCRBY h f 3",
        "HINCRBYFLOAT h g 0.5",
        "HPEXPIRE h 100 FIELDS 1 f",
        "HGETEX h EX 10 FIELDS 1 g",
        "HSETEX h FNX PX 5 FIELDS 1 n v",
        "@ 150",
        "HGETALL h",
        "HTTL h FIELDS 2 f g",
        "HGETDEL h FIELDS 1 g",
        "HRANDFIELD h 2 WITHVALUES",
        "HDEL h long-field-of-more-than-ten",
        "HSCAN h 0 NOVALUES",
    ],
    &[
        "ZADD z 1 a 2.5 b inf c -1 longer-than-ten-bytes",
        "ZADD z GT CH 5 a",
        "ZINCRBY z 2 b",
        "ZRANGE z 0 -1 REV WITHSCORES",
        "ZRANGESTORE y z (1 5 BYSCORE LIMIT 0 2",
        "ZUNIONSTORE u 2 z y WEIGHTS 2 3 AGGREGATE MAX",
        "ZUNIONSTORE u 2 z y WEIGHTS 2 3 AGGREGATE COUNT",
        "ZPOPMAX z",
        "ZRANK z a WITHSCORE",
        "ZREMRANGEBYLEX z [a (c",
        "ZMPOP 1 z MIN COUNT 2",
        "ZDIFF 2 u y",
        "% 2",
        "BZPOPMIN none 1",
        "% 0",
        "ZADD none 1 m",
        "ZLEXCOUNT u - +",
        "GEOADD g 13.4 52.5 berlin 2.3 48.8 paris",
        "GEOSEARCH g FROMMEMBER paris BYRADIUS 2000 km ASC WITHDIST",
        "GEOSEARCHSTORE near g FROMLONLAT 2 48 BYBOX 10 10 km",
    ],
    &[
        "XADD x 1-1 a 1 b 2",
        "XADD x * a 3 b 4",
        "XADD x MAXLEN ~ 2 NOMKSTREAM * c d",
        "XGROUP CREATE x g 0 ENTRIESREAD 1",
        "XREADGROUP GROUP g me COUNT 2 STREAMS x >",
        "XPENDING x g - + 5 me",
        "XCLAIM x g you 0 1-1 JUSTID",
        "XAUTOCLAIM x g me 0 0",
        "XNACK x g FATAL IDS 2 1-1 1-2 RETRYCOUNT 3 FORCE",
        "XACK x g 1-1",
        "XDEL x 1-1",
        "XTRIM x MINID 5",
        "XREAD COUNT 1 STREAMS x 0",
        "XREAD COUNT 1 MAXCOUNT 2 MAXSIZE 30 STREAMS x x 0 0",
        "% 1",
        "XREAD BLOCK 50 STREAMS x $",
        "% 0",
        "XADD x * e f",
        "XSETID x 9999999999999-0 ENTRIESADDED 9 MAXDELETEDID 2-0",
        "XINFO STREAM x FULL",
        "XGROUP DELCONSUMER x g me",
        "XRANGE x - + COUNT 1",
    ],
    &[
        "MULTI",
        "SET q 1",
        "INCR q",
        "LPUSH q x",
        "EXEC",
        "WATCH q",
        "SET q 2",
        "MULTI",
        "GET q",
        "EXEC",
        "MULTI",
        "DISCARD",
        "COPY q r REPLACE",
        "RENAME r p",
        "RENAMENX p q",
        "MOVE p 1",
        "SELECT 1",
        "SWAPDB 0 1",
        "FLUSHDB ASYNC",
        "DBSIZE",
        "EXPIRE q 5 NX",
        "PEXPIREAT p 1700000000100 GT",
        "TOUCH q p",
        "UNLINK p",
        "RANDOMKEY",
        "SCAN 0 TYPE string",
        "OBJECT ENCODING q",
        "DUMP q",
    ],
    &[
        "HELLO 3",
        "SUBSCRIBE c",
        "PSUBSCRIBE c*",
        "% 1",
        "PUBLISH c hi",
        "CLIENT TRACKING ON",
        "GET k",
        "% 2",
        "SET k 1",
        "CLIENT LIST",
        "CLIENT PAUSE 100 WRITE",
        "% 0",
        "UNSUBSCRIBE",
        "PUNSUBSCRIBE",
        "RESET",
        "MONITOR",
        "% 2",
        "CLIENT UNPAUSE",
        "CLIENT KILL TYPE normal SKIPME yes",
        "CLIENT REPLY SKIP",
        "ECHO x",
        "PING",
    ],
    &[
        "PFADD p a b c",
        "PFADD q c d",
        "PFMERGE p q",
        "PFCOUNT p q",
        "PFDEBUG TODENSE p",
        "CONFIG SET maxmemory 100mb",
        "CONFIG GET max*",
        "ACL SETUSER bob on nopass ~x:* +@read",
        "AUTH bob x",
        "GET x:1",
        "SET x:1 2",
        "ACL LOG",
        "% 1",
        "ACL DELUSER bob",
        "ACL LIST",
        "SLOWLOG GET",
        "LATENCY LATEST",
        "INFO",
        "MEMORY USAGE p",
        "WAIT 0 10",
        "BGSAVE",
        "BGREWRITEAOF",
        "LASTSAVE",
        "TIME",
    ],
];

/// Examples.
pub fn seeds() -> Vec<Vec<u8>> {
    let seed = |shape: u8, texts: &[&str]| {
        let lines: Vec<u8> = texts.iter().flat_map(|text| line(&[text])).collect();
        [&[shape], &lines[..]].concat()
    };
    let mut seeds: Vec<Vec<u8>> = TEXTS.iter().flat_map(|texts| [seed(0, texts), seed(1, texts)]).collect();
    seeds.push(b"\0*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n#KV\r\n*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n".to_vec());
    seeds
}

/// The texts of [`TEXTS`], for those who make logs of them.
pub fn texts() -> impl Iterator<Item = Vec<u8>> {
    TEXTS.iter().map(|texts| texts.iter().flat_map(|text| line(&[text])).collect())
}
