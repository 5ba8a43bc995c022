//! One life of a server on a simulated disk: the real engine and the real log in a turn like the server's, with
//! clients that are lists of requests, time that is set, and a child (`child.rs`).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use kvick::base::date::UnixMs;
use kvick::config::{AppendFsync, MaxmemoryPolicy, Settings};
use kvick::engine::Engine;
use kvick::io::aof::manifest::{self, Found, Place};
use kvick::io::aof::reader;
use kvick::io::aof::store::{Machine, Sendable, Store};
use kvick::io::load::{Quietly, Rdb, Replay};
use kvick::resp::request::Request;
use kvick::state::session::Session;

use crate::child::{Jobs, Marks, Patient};
use crate::commands::{Ask, ask};
use crate::common::Random;
use crate::disk::{Clock, Helper, Simulated};
use crate::play::{Held, contents, field_deadline, reply_text};

/// The date at which every story begins.
pub const BEGIN_MS: u64 = 1_800_000_000_000;
/// Milliseconds between two ticks, as the server has it.
pub const TICK_MS: u64 = 100;

/// All data at one moment.
pub type Data = BTreeMap<(usize, Vec<u8>), Held>;

/// What one request, or one transaction, has done.
pub struct Unit {
    /// The data after it.
    pub data: Rc<Data>,
    /// When it was run.
    pub at_ms: u64,
    /// The batch that its records went into.
    pub batch: u64,
    /// A client has heard that it was done.
    pub told: bool,
    /// A client has heard of it, or has seen what it did, under `appendfsync always`.
    pub lasts: bool,
    /// A client has heard that it was done, under `everysec` or better.
    pub lasts_soon: bool,
}

impl Unit {
    /// This is there, and nobody has heard of it.
    pub fn of(data: Rc<Data>, at_ms: u64, batch: u64) -> Unit {
        Unit { data, at_ms, batch, told: false, lasts: false, lasts_soon: false }
    }
}

/// What the server promises of what it acknowledges, the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Promise {
    /// The log is off, or its first base is not done.
    Nothing,
    /// It is there after a kill.
    Kills,
    /// And after a cut of the power some time later.
    Soon,
    /// And after any cut.
    AtOnce,
}

/// A log that was switched off, and has not got its first base since.
#[derive(Clone, Copy, Debug)]
pub struct Uncounted {
    /// The last unit that must be there.
    pub floor: usize,
    /// The disk did not take all of it before it was switched off.
    pub is_sick: bool,
    /// Rewrites that were done when it was switched on, if it was.
    rewrites: Option<u64>,
}

/// A request whose reply has not come.
struct Pending {
    ask: Ask,
    replies: usize,
    /// What it did, if it did something.
    did: Option<usize>,
    /// The last unit that it may have seen, its own included.
    saw: usize,
    /// What was promised when it ran.
    ran: Promise,
    /// It waits for a key.
    waits: bool,
}

struct Client {
    token: usize,
    received: Vec<u8>,
    pending: VecDeque<Pending>,
    database: usize,
}

/// What a story is about.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The policy.
    pub policy: AppendFsync,
    /// Bases are RDB files.
    pub rdb: bool,
    /// Clients at once.
    pub clients: usize,
    /// One turn in so many begins a rewrite; zero: none.
    pub rewrite_every: usize,
    /// The same of backups.
    pub backup_every: usize,
    /// One turn in so many changes the policy, or switches the log off or on; zero: none.
    pub change_every: usize,
    /// So many keys fit into memory; zero: any.
    pub keys_max: usize,
}

impl Plan {
    /// One client, and nothing that comes by itself.
    pub fn plain(policy: AppendFsync) -> Plan {
        let (rdb, clients) = (true, 1);
        Plan { policy, rdb, clients, rewrite_every: 0, backup_every: 0, change_every: 0, keys_max: 0 }
    }
}

/// Bytes that each key is said to take, and that are in use besides.
const KEY_BYTES: usize = 1 << 20;
const OTHER_BYTES: usize = 1 << 30;

/// A backup that was asked for.
#[derive(Clone, Debug)]
pub struct Backup {
    pub target: PathBuf,
    /// The last unit that was run before it was asked for, and before it was done or failed.
    pub from: usize,
    pub to: Option<usize>,
    /// It was said to be done.
    pub told: bool,
}

/// A server and its clients.
pub struct Life {
    pub engine: Engine,
    pub store: Store,
    pub plan: Plan,
    pub random: Random,
    /// All that was done, the first being what was there at the start.
    pub units: Vec<Unit>,
    /// Turns that are left.
    pub turns: usize,
    /// Replies that were read.
    pub replies: u64,
    pub jobs: Jobs,
    pub backups: Vec<Backup>,
    /// The log is off, or has no base yet.
    pub uncounted: Option<Uncounted>,
    /// The last unit in a base that counts.
    pub rewritten: usize,
    /// How often clients were served that had waited.
    pub served: u64,
    /// How often the policy or the log was changed.
    pub changes: u64,
    /// The policy has been `no` at some time.
    pub was_no: bool,
    marks: Rc<Marks>,
    rewrites: u64,
    clients: Vec<Client>,
    clock: Clock,
    next_tick_ms: u64,
    /// The last unit that changed each key.
    changed: BTreeMap<(usize, Vec<u8>), usize>,
    numbers: u64,
}

pub fn settings(plan: Plan) -> Settings {
    let mut settings = Settings::default();
    (settings.appendonly, settings.appendfsync) = (true, plan.policy);
    settings.aof_use_rdb_preamble = plan.rdb;
    settings.auto_aof_rewrite_min_size = 4096;
    settings.databases = 2;
    if plan.keys_max != 0 {
        settings.maxmemory = (OTHER_BYTES + plan.keys_max * KEY_BYTES) as u64;
        // The pairs of transactions have no deadlines, and so are never half gone.
        settings.maxmemory_policy = MaxmemoryPolicy::VolatileTtl;
    }
    settings
}

impl Life {
    /// Starts on what the disk holds.
    ///
    /// # Errors
    ///
    /// What the server would say when it refuses to start.
    pub fn start(disk: &Simulated, clock: &Clock, plan: Plan, seed: u64) -> io::Result<Life> {
        let settings = settings(plan);
        let mut engine = Engine::new(settings.clone(), seed);
        let jobs = Jobs::default();
        let marks = Rc::new(Marks::default());
        let random = RefCell::new(Random::new(seed ^ 1));
        let writers = Patient { jobs: Rc::clone(&jobs), marks: Rc::clone(&marks), random };
        engine.used_memory = |keys| {
            OTHER_BYTES + keys.databases().iter().map(|database| database.len()).sum::<usize>() * KEY_BYTES
        };
        let machine = Machine {
            disk: Rc::new(disk.clone()),
            syncer: Box::new(Helper::new(disk)),
            writers: Box::new(writers),
        };
        let mut store = Store::with(&settings, machine);
        store.find()?;
        let (place, manifest) = store.files();
        let now = UnixMs((BEGIN_MS + clock.get()) as i64);
        let replay = Replay::begin(&mut engine, Rdb::default());
        let loaded = reader::load(&place, &manifest, &mut Quietly { engine: &mut engine, replay: &replay });
        replay.end(&mut engine, now);
        store.open(&settings, loaded?)?;
        store.begin(&mut engine.state);
        let clients = (0..plan.clients)
            .map(|_| Client {
                token: engine.open_session(Session::default()),
                received: Vec::new(),
                pending: VecDeque::new(),
                database: 0,
            })
            .collect();
        let data = Rc::new(contents(&engine.keys));
        Ok(Life {
            engine,
            store,
            plan,
            random: Random::new(seed),
            units: vec![Unit::of(data, clock.get(), 0)],
            turns: 0,
            replies: 0,
            jobs,
            backups: Vec::new(),
            uncounted: None,
            rewritten: 0,
            served: 0,
            changes: 0,
            was_no: plan.policy == AppendFsync::No,
            marks,
            rewrites: 0,
            clients,
            clock: Rc::clone(clock),
            next_tick_ms: 0,
            changed: BTreeMap::new(),
            numbers: seed % 1000 * 1000,
        })
    }

    /// One turn: time passes, clients ask, the log is written, replies go out.
    pub fn turn(&mut self) {
        if self.turns == 0 {
            return;
        }
        self.turns -= 1;
        let pass = match self.random.below(10) {
            0 => 100,
            1..3 => self.random.below(100) as u64,
            _ => self.random.below(10) as u64,
        };
        self.clock.set(self.clock.get() + pass);
        self.begin_turn();
        self.store.synced(&mut self.engine, self.clock.get());
        self.fiddle();
        for client in 0..self.clients.len() {
            for _ in 0..self.random.below(3) {
                if self.engine.is_blocked(self.clients[client].token) {
                    break;
                }
                self.numbers += 1;
                let database = self.clients[client].database;
                let ask = ask(&mut self.random, client, self.numbers, database);
                self.ask(client, ask);
            }
        }
        self.end_turn();
    }

    /// A turn in which the first client asks for one thing.
    pub fn say(&mut self, text: &str) {
        self.begin_turn();
        self.store.synced(&mut self.engine, self.clock.get());
        let request = text.split(' ').map(str::to_owned).collect();
        self.ask(0, Ask { requests: vec![request], keys: None, database: 0 });
        self.end_turn();
    }

    /// `CONFIG SET appendfsync`, as the server grants it.
    pub fn set_policy(&mut self, policy: AppendFsync) {
        self.engine.state.settings.appendfsync = policy;
        self.store.set_policy(policy, &mut self.engine.state);
        self.was_no |= policy == AppendFsync::No;
        self.changes += 1;
    }

    /// `CONFIG SET appendonly no`. What is on disk then counts until the log is on again and has a base.
    pub fn switch_off(&mut self) {
        let flushed = self.store.flush(&mut self.engine.state).is_ok();
        let floor = if flushed { self.units.len() - 1 } else { self.floor() };
        let first = Uncounted { floor, is_sick: !flushed, rewrites: None };
        let before = self.uncounted.unwrap_or(first);
        self.uncounted = Some(Uncounted { is_sick: !flushed | before.is_sick, rewrites: None, ..before });
        self.store.switch_off(&mut self.engine);
        self.engine.state.settings.appendonly = false;
        self.changes += 1;
    }

    /// `CONFIG SET appendonly yes`; it may be refused.
    pub fn switch_on(&mut self) {
        self.engine.state.settings.appendonly = true;
        if self.store.switch_on(&mut self.engine, self.clock.get()).is_err() {
            self.engine.state.settings.appendonly = false;
        } else if let Some(uncounted) = &mut self.uncounted {
            uncounted.rewrites = Some(self.engine.state.persistence.rewrites);
        }
        self.changes += 1;
    }

    /// The last unit that a cut of the power may not take, and no backup either.
    pub fn floor(&self) -> usize {
        let synced = self.engine.state.gate.synced();
        let lasts = |unit: &Unit| unit.lasts || unit.batch <= synced;
        self.units.iter().rposition(lasts).unwrap_or(0).max(self.rewritten)
    }

    /// What is promised of what is acknowledged now.
    fn promise(&self) -> Promise {
        match self.engine.state.settings.appendfsync {
            _ if self.uncounted.is_some() => Promise::Nothing,
            AppendFsync::Always => Promise::AtOnce,
            AppendFsync::Everysec => Promise::Soon,
            AppendFsync::No => Promise::Kills,
        }
    }

    /// A rewrite may be over.
    fn note_rewrites(&mut self) {
        let rewrites = self.engine.state.persistence.rewrites;
        if self.rewrites < rewrites {
            self.rewrites = rewrites;
            self.rewritten = self.marks.finished.get();
        }
        let begun = self.uncounted.and_then(|uncounted| uncounted.rewrites);
        if begun.is_some_and(|begun| begun < rewrites) && self.store.is_on() {
            self.uncounted = None;
        }
    }

    /// Whether the log is whole and takes what is written.
    pub fn accepts_writes(&self) -> bool {
        self.engine.state.persistence.last_write_ok
    }

    /// Whether the client was told of the last change.
    pub fn is_told(&self) -> bool {
        self.units[self.units.len() - 1].told
    }

    /// A turn in which nobody asks for anything.
    pub fn idle(&mut self, pass_ms: u64) {
        self.clock.set(self.clock.get() + pass_ms);
        self.begin_turn();
        self.store.synced(&mut self.engine, self.clock.get());
        self.end_turn();
    }

    fn begin_turn(&mut self) {
        let now_ms = self.clock.get();
        let process = &mut self.engine.state.process;
        (process.mono_ms, process.now_ms) = (now_ms, BEGIN_MS as i64 + now_ms as i64);
        process.now_micros = process.now_ms * 1000;
        self.engine.set_now(UnixMs((BEGIN_MS + now_ms) as i64));
        self.engine.end_waits(now_ms);
        self.end_waits(None);
    }

    /// Clients that waited and do not any more: they were served, and have seen everything, or have waited long enough
    /// and have seen nothing.
    fn end_waits(&mut self, served: Option<(Option<usize>, usize)>) {
        let ran = self.promise();
        for client in &mut self.clients {
            let Some(pending) = client.pending.back_mut().filter(|pending| pending.waits) else { continue };
            if self.engine.is_blocked(client.token) {
                continue;
            }
            pending.waits = false;
            pending.ran = ran;
            self.served += u64::from(served.is_some());
            let (did, saw) = served.unwrap_or((None, 0));
            // Who has only read is shown what may not be written yet, but under `always`.
            let did = did.filter(|_| pending.ask.requests[0][0] != "XREAD");
            (pending.did, pending.saw) = (did, saw);
        }
    }

    fn fiddle(&mut self) {
        let now_ms = self.clock.get();
        if self.plan.rewrite_every != 0 && self.random.below(self.plan.rewrite_every) == 0 {
            self.store.ask_for_rewrite(&mut self.engine.state).unwrap_or_default();
        }
        if self.random.below(3) == 0 {
            self.store.watch_child(&mut self.engine, now_ms);
        }
        if self.plan.backup_every != 0 && self.random.below(self.plan.backup_every) == 0 {
            let target = PathBuf::from(format!("backup-{}-{}", self.numbers, self.backups.len()));
            self.back_up(&target);
        }
        if self.plan.change_every != 0 && self.random.below(self.plan.change_every) == 0 {
            match self.random.below(6) {
                0 if self.store.is_on() => self.switch_off(),
                0..3 if !self.store.is_on() => self.switch_on(),
                _ => {
                    let policies = [AppendFsync::Always, AppendFsync::Everysec, AppendFsync::No];
                    let policy = *self.random.pick(&policies);
                    self.set_policy(policy);
                }
            }
        }
        self.note_rewrites();
    }

    /// Asks for a backup.
    pub fn back_up(&mut self, target: &Path) {
        let now_ms = self.clock.get();
        if self.store.ask_for_backup(&mut self.engine, target, now_ms).is_ok() {
            let from = self.units.len() - 1;
            self.backups.push(Backup { target: target.to_path_buf(), from, to: None, told: false });
        }
    }

    fn hear_of_backup(&mut self) {
        if let Some(result) = self.store.take_backup() {
            let to = self.units.len() - 1;
            let backup = self.backups.last_mut().expect("one was asked for");
            (backup.to, backup.told) = (Some(to), result.is_ok());
        }
    }

    fn end_turn(&mut self) {
        let now_ms = self.clock.get();
        if self.next_tick_ms <= now_ms {
            self.next_tick_ms = now_ms + TICK_MS;
            self.store.synced(&mut self.engine, now_ms);
            self.store.tick(&mut self.engine, now_ms);
        }
        self.store.write(&mut self.engine.state, now_ms);
        self.note_rewrites();
        self.hear_of_backup();
        let sendable = self.store.sendable(&self.engine.state);
        for client in 0..self.clients.len() {
            self.send(client, sendable);
        }
        self.engine.expire_step();
        self.engine.table_step();
        self.engine.free_step();
        if self.engine.evict_step() || self.plan.keys_max != 0 {
            self.note_unit();
        }
    }

    /// One client's requests run, all of them in this turn.
    fn ask(&mut self, client: usize, ask: Ask) {
        let token = self.clients[client].token;
        let mut is_write = false;
        for words in &ask.requests {
            let request = Request::new(words.iter().map(String::as_bytes));
            self.engine.enter(token);
            let prepared = self.engine.prepare(token, request.args());
            self.engine.run(token, request.args(), prepared);
            while self.engine.run_queued(token).is_some() {}
            self.engine.serve_ready(Some(token));
            self.engine.leave(token);
            is_write |= !matches!(words[0].as_str(), "GET" | "MGET" | "DBSIZE" | "KEYS" | "WATCH" | "SELECT");
        }
        let did = if is_write { self.note_unit() } else { None };
        let last = self.units.len() - 1;
        // Whom that has served has written into the same batch, and is told when it is there.
        self.end_waits(Some((did, last)));
        let of_key = |(database, key): &(usize, String)| {
            self.changed.get(&(*database, key.as_bytes().to_vec())).copied().unwrap_or(0)
        };
        let seen = |keys: &Vec<_>| keys.iter().map(of_key).max().unwrap_or(0);
        let saw = ask.keys.as_ref().map_or(last, seen);
        let (replies, ran) = (ask.requests.len(), self.promise());
        let waits = self.engine.is_blocked(token);
        let client = &mut self.clients[client];
        client.database = ask.database;
        client.pending.push_back(Pending { ask, replies, did, saw, ran, waits });
    }

    /// Something may have changed: a unit more, if it has.
    fn note_unit(&mut self) -> Option<usize> {
        let data = contents(&self.engine.keys);
        let before = Rc::clone(&self.units[self.units.len() - 1].data);
        if data == *before {
            return None;
        }
        let number = self.units.len();
        let date = (BEGIN_MS + self.clock.get()) as i64;
        let all: BTreeSet<_> = before.keys().chain(data.keys()).collect();
        let live = |held: Option<&Held>| held.and_then(|held| alive(held, date));
        let changed: Vec<_> =
            all.into_iter().filter(|key| live(before.get(*key)) != live(data.get(*key))).cloned().collect();
        if changed.is_empty() {
            return None;
        }
        self.changed.extend(changed.into_iter().map(|key| (key, number)));
        let batch = self.engine.state.gate.current();
        self.units.push(Unit::of(Rc::new(data), self.clock.get(), batch));
        self.marks.units.set(number);
        Some(number)
    }

    /// Sends what may go, and reads it as the client.
    fn send(&mut self, client: usize, sendable: Sendable) {
        let promise = self.promise();
        let Client { token, received, pending, .. } = &mut self.clients[client];
        let session = &mut self.engine.state.sessions[*token];
        if sendable.written < session.last_write_batch {
            return;
        }
        let count = session.sendable(sendable.synced);
        let mut sent = 0;
        while sent < count {
            let mut slices = [IoSlice::new(&[]); 16];
            let used = session.output.slices(count - sent, &mut slices);
            slices[..used].iter().for_each(|slice| received.extend_from_slice(slice));
            let taken = slices[..used].iter().map(|slice| slice.len()).sum();
            session.output.advance(taken);
            sent += taken;
        }
        session.output_bytes += count as u64;
        while let Some((text, length)) = reply_text(received) {
            received.drain(..length);
            self.replies += 1;
            let first = pending.front_mut().expect("nobody is told what he has not asked for");
            first.replies -= 1;
            if first.replies == 0 {
                let Pending { ask, did, saw, ran, .. } = pending.pop_front().expect("it was there");
                // Whoever is refused has learnt nothing; of a transaction that is refused, not even EXEC's reply.
                let refusals = ["(error) MISCONF", "(error) EXECABORT", "(error) OOM"];
                if !refusals.iter().any(|refusal| text.starts_with(refusal)) {
                    // What was promised both when it ran and when it was said.
                    let promise = promise.min(ran);
                    self.units[saw].lasts |= promise == Promise::AtOnce;
                    if let Some(did) = did {
                        let unit = &mut self.units[did];
                        unit.told = true;
                        unit.lasts |= promise == Promise::AtOnce;
                        unit.lasts_soon |= Promise::Soon <= promise;
                    }
                    check_reply(&ask, &text);
                }
            }
        }
    }
}

/// What of a value is left at a date; nothing, if it has expired.
pub fn alive(held: &Held, date: i64) -> Option<Held> {
    let (deadline, kind, values) = held;
    if deadline.is_some_and(|at| at <= date) {
        return None;
    }
    let mut values = values.clone();
    if *kind == "hash" {
        values.retain(|field| field_deadline(field).is_none_or(|at| date < at));
        if values.is_empty() {
            return None;
        }
    }
    Some((*deadline, kind, values))
}

fn check_reply(ask: &Ask, text: &str) {
    assert!(!text.contains("ERR unknown") && !text.contains("syntax error"), "{ask:?}: {text}");
    let is_pair = ask.requests[0][0] == "MGET";
    if is_pair {
        let words: Vec<&str> = text.trim_matches(['[', ']']).rsplitn(3, ' ').collect();
        assert_eq!(words[0], words[1], "half of a transaction: {text}");
    }
}

/// The data of a copy of the log; nothing if there is none.
///
/// # Errors
///
/// What a server would say that is started on it.
pub fn read_copy(disk: &Simulated, target: &Path) -> io::Result<Option<Data>> {
    let place = Place::new(target.join("appendonlydir"), "appendonly.aof").on(Rc::new(disk.clone()));
    let Found::Manifest(manifest) = manifest::find(&place, &target.join("appendonly.aof"))? else {
        return Ok(None);
    };
    let mut settings = Settings::default();
    settings.databases = 2;
    let mut engine = Engine::new(settings, 1);
    let replay = Replay::begin(&mut engine, Rdb::default());
    let loaded = reader::load(&place, &manifest, &mut Quietly { engine: &mut engine, replay: &replay });
    replay.end(&mut engine, UnixMs(BEGIN_MS as i64));
    let torn = loaded?.iter().any(|loaded| loaded.report.torn.is_some());
    assert!(!torn, "a copy of files that were whole");
    Ok(Some(contents(&engine.keys)))
}
