use super::*;
use crate::base::date::UnixMs;
use crate::data::keyspace::Keyspace;
use crate::engine::replay::Replayed;
use crate::resp::request::{Batch, Input, Limits, Parser, Request};
use crate::state::session::Session;

/// What a key counts here. So much that the buffers of clients, which are real, do not matter.
const KEY_BYTES: usize = 1 << 20;
const START_MS: i64 = 1_000_000_000;

/// An engine in which memory is counted in keys.
struct Talk {
    engine: Engine,
    token: usize,
    now: i64,
}

impl Talk {
    /// Room for so many keys.
    fn new(policy: MaxmemoryPolicy, keys: usize) -> Talk {
        let mut settings = Settings::default();
        settings.maxmemory_policy = policy;
        let mut engine = Engine::new(settings, 7);
        engine.used_memory = |keys| {
            let len: usize = keys.databases().iter().map(|database| database.len()).sum();
            (len + keys.garbage_len()) * KEY_BYTES
        };
        engine.state.log.enabled = true;
        let token = engine.open_session(Session::default());
        let mut talk = Talk { engine, token, now: START_MS };
        talk.limit(keys);
        talk.pass(0);
        talk
    }

    fn limit(&mut self, keys: usize) {
        self.engine.state.settings.maxmemory = (keys * KEY_BYTES + KEY_BYTES / 2) as u64;
    }

    fn pass(&mut self, ms: i64) {
        self.now += ms;
        self.engine.set_now(UnixMs(self.now));
    }

    fn say(&mut self, line: &str) -> String {
        let request = Request::new(line.split(' ').map(str::as_bytes));
        self.engine.enter(self.token);
        let prepared = self.engine.prepare(self.token, request.args());
        self.engine.run(self.token, request.args(), prepared);
        self.engine.leave(self.token);
        let output = &mut self.engine.state.sessions[self.token].output;
        let mut slices = [std::io::IoSlice::new(&[]); 1];
        output.slices(1000, &mut slices);
        let text = String::from_utf8_lossy(&slices[0]).replace("\r\n", "|");
        output.advance(output.len());
        text
    }

    fn has(&mut self, key: &str) -> bool {
        self.engine.keys.enter(UnixMs(self.now), 0);
        let key = self.engine.keys.key(key.as_bytes());
        self.engine.keys.stored(key).is_some()
    }

    /// How many of the keys `stem:0`, `stem:1` and so on are there.
    fn count(&mut self, stem: &str, len: usize) -> usize {
        (0..len).filter(|number| self.has(&format!("{stem}:{number}"))).count()
    }

    /// Sets `stem:0`, `stem:1` and so on; all must be accepted.
    fn fill(&mut self, stem: &str, len: usize, options: &str) {
        for number in 0..len {
            assert_eq!(self.say(&format!("SET {stem}:{number} v{options}")), "+OK|");
        }
    }

    fn len(&self) -> usize {
        self.engine.keys.databases().iter().map(|database| database.len()).sum()
    }

    fn evicted(&self) -> u64 {
        self.engine.state.stats.evicted_keys
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(self.engine.state.log.pending()).replace("\r\n", " ")
    }
}

const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.|";

#[test]
fn without_eviction_writes_are_refused_and_leave_no_trace() {
    let mut talk = Talk::new(MaxmemoryPolicy::Noeviction, 3);
    talk.fill("k", 4, "");
    let before = (talk.log(), talk.len(), talk.engine.state.dirty);
    for line in ["SET new v", "SET k:0 w", "APPEND k:0 w", "LPUSH list a", "INCR n"] {
        assert_eq!(talk.say(line), OOM, "{line}");
    }
    assert_eq!((talk.log(), talk.len(), talk.engine.state.dirty), before);
    assert_eq!(talk.engine.state.stats.errors.get("OOM"), Some(&5));
    assert_eq!(talk.say("GET k:0"), "$1|v|");
    // What is refused anyway is refused for that reason.
    assert!(talk.say("SET k").starts_with("-ERR wrong number"));
    assert_eq!(talk.say("DEL k:0"), ":1|");
    assert_eq!(talk.say("SET new v"), "+OK|");
    assert!(!talk.engine.evict_step());
    assert_eq!(talk.evicted(), 0);
    talk.engine.state.settings.maxmemory = 0;
    talk.fill("k", 10, "");
}

#[test]
fn the_longest_unused_go_first() {
    for (policy, options) in [(MaxmemoryPolicy::AllkeysLru, ""), (MaxmemoryPolicy::VolatileLru, " EX 100000")]
    {
        let mut talk = Talk::new(policy, 400);
        talk.fill("idle", 200, options);
        talk.fill("busy", 200, options);
        talk.pass(10_000);
        (0..200).for_each(|number| assert_eq!(talk.say(&format!("GET busy:{number}")), "$1|v|"));
        talk.pass(10_000);
        talk.fill("new", 150, options);
        assert_eq!((talk.len(), talk.count("new", 150)), (401, 150), "{policy:?}");
        assert!(195 <= talk.count("busy", 200), "{policy:?}: {}", talk.count("busy", 200));
    }
}

#[test]
fn the_least_often_used_go_first() {
    for (policy, options) in [(MaxmemoryPolicy::AllkeysLfu, ""), (MaxmemoryPolicy::VolatileLfu, " EX 100000")]
    {
        let mut talk = Talk::new(policy, 400);
        talk.fill("often", 200, options);
        for _ in 0..30 {
            (0..200).for_each(|number| assert_eq!(talk.say(&format!("GET often:{number}")), "$1|v|"));
        }
        // Later than all uses of the others.
        talk.pass(2000);
        talk.fill("once", 600, options);
        assert_eq!(talk.len(), 401, "{policy:?}");
        assert!(195 <= talk.count("often", 200), "{policy:?}: {}", talk.count("often", 200));
    }
}

#[test]
fn any_key_may_go_at_random() {
    let mut talk = Talk::new(MaxmemoryPolicy::AllkeysRandom, 300);
    talk.fill("old", 300, "");
    talk.fill("new", 300, "");
    assert_eq!((talk.len(), talk.evicted()), (301, 299));
    let old = talk.count("old", 300);
    assert!((60..160).contains(&old), "{old} of the first 300 are left");
}

#[test]
fn what_falls_due_next_goes_first() {
    let mut talk = Talk::new(MaxmemoryPolicy::VolatileTtl, 100);
    talk.fill("forever", 90, "");
    for number in 0..11 {
        // Neither the order of the keys nor of their names is that of their deadlines.
        assert_eq!(talk.say(&format!("SET due:{number} v EX {}", 1000 + number * 7 % 11 * 100)), "+OK|");
    }
    let mut order: Vec<usize> = (0..11).collect();
    order.sort_by_key(|number| number * 7 % 11);
    for (step, gone) in order.into_iter().enumerate() {
        assert!(talk.has(&format!("due:{gone}")));
        assert_eq!(talk.say(&format!("SET more:{step} v")), "+OK|");
        assert!(!talk.has(&format!("due:{gone}")), "due:{gone} is the next that falls due");
    }
    assert_eq!((talk.count("forever", 90), talk.count("more", 11)), (90, 11));
    assert_eq!(talk.say("SET more v"), OOM);
}

#[test]
fn keys_without_a_deadline_are_safe_from_volatile_policies() {
    use MaxmemoryPolicy::*;
    for policy in [VolatileLru, VolatileLfu, VolatileRandom, VolatileTtl] {
        let mut talk = Talk::new(policy, 100);
        talk.fill("forever", 60, "");
        talk.fill("due", 41, " EX 100");
        talk.pass(5000);
        talk.fill("more", 41, "");
        assert_eq!((talk.len(), talk.evicted()), (101, 41), "{policy:?}");
        assert_eq!((talk.count("forever", 60), talk.count("more", 41)), (60, 41), "{policy:?}");
        assert_eq!(talk.say("SET one v"), OOM, "{policy:?}");
        assert!(!talk.engine.evict_step(), "{policy:?}");
        // A deadline that is lifted after the key became a candidate spares it.
        assert_eq!(talk.say("EXPIRE forever:0 100"), ":1|");
        assert_eq!(talk.say("SET one v"), "+OK|", "{policy:?}");
        assert_eq!(talk.count("forever", 60), 59, "{policy:?}");
    }
}

#[test]
fn candidates_that_have_been_used_since_are_spared() {
    let mut talk = Talk::new(MaxmemoryPolicy::AllkeysLru, 40);
    talk.engine.state.settings.maxmemory_samples = 64;
    talk.fill("old", 41, "");
    talk.pass(50_000);
    // Sixteen candidates, of which one goes.
    talk.say("SET new:0 v");
    assert_eq!(talk.count("old", 41), 40);
    talk.pass(50_000);
    let mut left: Vec<String> = (0..41).map(|n| format!("old:{n}")).filter(|key| talk.has(key)).collect();
    let idle = left.pop().expect("forty are left");
    left.iter().for_each(|key| assert_eq!(talk.say(&format!("GET {key}")), "$1|v|"));
    talk.say("SET new:1 v");
    assert!(!talk.has(&idle), "the only one that has not been used since");
}

#[test]
fn every_database_gives() {
    let mut talk = Talk::new(MaxmemoryPolicy::AllkeysLru, 300);
    for database in [0, 5, 15] {
        talk.engine.state.sessions[talk.token].database = database;
        talk.fill("k", 100, "");
        talk.pass(1000);
    }
    talk.fill("more", 150, "");
    let lens: Vec<usize> =
        [0, 5, 15].iter().map(|number| talk.engine.keys.databases()[*number].len()).collect();
    assert!(lens[0] < 5 && lens.iter().sum::<usize>() == 301 && 240 < lens[2], "{lens:?}");
}

#[test]
fn the_work_of_a_step_is_bounded() {
    let mut talk = Talk::new(MaxmemoryPolicy::AllkeysRandom, 5000);
    talk.engine.state.log.enabled = false;
    talk.fill("k", 5000, "");
    talk.limit(1000);
    assert_eq!(talk.say("SET k:0 v"), "+OK|", "not refused while room is in the making");
    let by_command = talk.evicted();
    assert_eq!(by_command, 160);
    assert!(talk.engine.evict_step());
    assert_eq!(talk.evicted(), by_command + 64);
    let steps = (0..).take_while(|_| talk.engine.evict_step()).count() as u64;
    // The last step of all finds that it was the last.
    assert_eq!((talk.len(), steps), (1000, (4000 - by_command - 64) / 64 - 1));
    assert!(!talk.engine.evict_step());
    assert_eq!(talk.evicted(), 4000);
    // One that brings much makes more room, and the highest tenacity makes all of it.
    talk.limit(100);
    let big = "x".repeat(10_000);
    talk.say(&format!("SET big {big}"));
    assert_eq!(talk.len(), 1000 - 160 - 10_040 / BYTES_PER_KEY + 1);
    talk.engine.state.settings.maxmemory_eviction_tenacity = 100;
    talk.say("SET last v");
    assert_eq!(talk.len(), 101);
    for (tenacity, keys) in [(0, 16), (1, 16), (10, 160), (11, 184), (99, 40_385_714)] {
        assert_eq!(keys_per_command(tenacity, 0), keys, "{tenacity}");
    }
}

#[test]
fn what_was_removed_is_freed_before_keys_are_evicted() {
    let mut talk = Talk::new(MaxmemoryPolicy::AllkeysLru, 10);
    talk.engine.state.log.enabled = false;
    let long = format!("RPUSH list{}", format!(" {}", "x".repeat(3000)).repeat(140));
    assert_eq!(talk.say(&long), ":140|");
    talk.fill("k", 10, "");
    assert_eq!((talk.len(), talk.evicted()), (11, 0));
    assert_eq!(talk.say("UNLINK list"), ":1|");
    assert_eq!(talk.engine.keys.garbage_len(), 1, "the list is too long to be freed at once");
    assert_eq!(talk.say("SET one v"), "+OK|");
    assert_eq!((talk.engine.keys.garbage_len(), talk.len(), talk.evicted()), (0, 11, 0));
}

#[test]
fn the_log_tells_of_each_key_before_the_command_that_needed_the_room() {
    let mut talk = Talk::new(MaxmemoryPolicy::AllkeysLru, 1);
    talk.say("SET a 1");
    talk.say("SET b 2");
    talk.pass(1000);
    talk.say("GET b");
    talk.engine.state.gate.active = true;
    talk.say("SET c 3");
    assert!(talk.log().ends_with("*2 $3 DEL $1 a *3 $3 SET $1 c $1 3 "), "{}", talk.log());
    let gone = talk.engine.keys.key(b"a").hash;
    assert_eq!(talk.engine.state.gate.of_key(0, gone), 1, "who misses it waits for the log");
}

/// All keys of all databases, in an order of their own.
fn names(keys: &Keyspace) -> Vec<(usize, Vec<u8>)> {
    let mut names = Vec::new();
    for (number, database) in keys.databases().iter().enumerate() {
        names.extend(database.table().iter().map(|entry| (number, entry.key().to_vec())));
    }
    names.sort();
    names
}

#[test]
fn a_log_with_evictions_replays_to_the_same_keys() {
    use MaxmemoryPolicy::*;
    for policy in
        [AllkeysLru, AllkeysLfu, AllkeysRandom, VolatileLru, VolatileLfu, VolatileRandom, VolatileTtl]
    {
        let mut talk = Talk::new(policy, 120);
        for number in 0..600usize {
            talk.engine.state.sessions[talk.token].database = number % 3;
            let key = number * 7919 % 211;
            assert_eq!(talk.say(&format!("SET k:{key} v EX {}", 1000 + key)), "+OK|");
            talk.pass(300);
            if number % 50 == 0 {
                talk.engine.evict_step();
            }
        }
        assert!(100 < talk.evicted());
        let mut copy = Engine::new(Settings::default(), 2);
        let token = copy.begin_replay();
        let (mut parser, mut input, mut batch) = (Parser::default(), Input::new(1 << 20), Batch::default());
        parser.begin(&mut input);
        let log = talk.engine.state.log.pending();
        assert_eq!(parser.feed(&mut input, log), log.len());
        loop {
            let parsed = parser.parse(&mut input, &mut batch, 64, &Limits::default());
            for args in parsed.iter() {
                let prepared = copy.prepare_replay(token, args);
                assert_eq!(copy.replay(token, args, prepared), Replayed::Done);
            }
            if !parsed.more() {
                break;
            }
        }
        copy.end_replay(token);
        assert!(names(&copy.keys) == names(&talk.engine.keys), "{policy:?}");
    }
}

#[test]
fn buffers_of_clients_cost_no_keys() {
    let mut talk = Talk::new(MaxmemoryPolicy::AllkeysLru, 2);
    talk.fill("k", 2, "");
    let other = talk.engine.open_session(Session::default());
    let before = talk.engine.counted_memory();
    talk.engine.enter(other);
    talk.engine.reply().bulk(&vec![b'x'; 300_000]);
    assert!(talk.engine.counted_memory() + 300_000 <= before, "while the client is being served");
    talk.engine.leave(other);
    assert!(talk.engine.counted_memory() + 300_000 <= before, "and after it");
    talk.engine.state.sessions[other].args_memory = 200_000;
    talk.engine.state.weigh(other);
    assert!(talk.engine.counted_memory() + 500_000 <= before);
    let session = &mut talk.engine.state.sessions[other];
    session.output.push_shared(&bytes::Bytes::from(vec![b'y'; 100_000]));
    talk.engine.evict_clients();
    assert!(talk.engine.counted_memory() + 600_000 <= before, "values that no key has any more");
    talk.engine.close_session(other);
    talk.engine.evict_clients();
    assert!(before <= talk.engine.counted_memory() + 4096);
    talk.engine.close_session(talk.token);
    assert_eq!(talk.engine.state.clients_bytes, 0);
}

#[test]
fn the_greediest_clients_are_closed() {
    let mut talk = Talk::new(MaxmemoryPolicy::Noeviction, 1000);
    let sizes = [50_000, 400_000, 100_000, 300_000, 200_000];
    let tokens = sizes.map(|size| {
        let session = Session { args_memory: size, ..Session::default() };
        talk.engine.open_session(session)
    });
    talk.engine.state.sessions[tokens[1]].no_evict = true;
    let closed = |talk: &Talk| tokens.map(|token| talk.engine.state.sessions[token].closing == Closing::Now);
    assert_eq!((talk.engine.evict_clients(), closed(&talk)), (0, [false; 5]), "without a limit");
    talk.engine.state.settings.maxmemory_clients = crate::config::Share::Bytes(2_000_000);
    assert_eq!((talk.engine.evict_clients(), closed(&talk)), (0, [false; 5]));
    talk.engine.state.settings.maxmemory_clients = crate::config::Share::Bytes(600_000);
    assert_eq!(talk.engine.evict_clients(), 2);
    assert_eq!(closed(&talk), [false, false, false, true, true]);
    assert!(talk.engine.state.sessions_marked);
    assert_eq!(talk.engine.state.stats.evicted_clients, 2);
}

#[test]
fn a_table_does_not_grow_at_the_cost_of_keys() {
    let mut talk = Talk::new(MaxmemoryPolicy::AllkeysLru, 1000);
    talk.engine.state.log.enabled = false;
    let buckets = |talk: &Talk| talk.engine.keys.databases()[0].table().stats().now.buckets;
    talk.fill("k", 680, "");
    assert_eq!(buckets(&talk), 128);
    // Enough for the keys to come, not for another 128 buckets.
    talk.engine.used_memory = |keys| (1 << 30) + keys.databases()[0].len();
    talk.engine.state.settings.maxmemory = talk.engine.counted_memory() as u64 + 4000;
    assert!(!talk.engine.evict_step());
    talk.fill("more", 500, "");
    assert_eq!((buckets(&talk), talk.len(), talk.evicted()), (128, 1180, 0));
    talk.engine.state.settings.maxmemory = 0;
    assert!(!talk.engine.evict_step());
    while talk.engine.table_step() {}
    assert!(256 <= buckets(&talk));
}
