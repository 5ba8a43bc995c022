//! One life of a server on a simulated disk: the real engine and the real log in a turn like the server's, with
//! clients that are lists of requests, time that is set, and a child that writes its base a step at a time.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, IoSlice, Write};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use kvick::base::date::UnixMs;
use kvick::config::{AppendFsync, Settings};
use kvick::engine::Engine;
use kvick::io::aof::child::{Work, Writers};
use kvick::io::aof::manifest::{self, Found, Place};
use kvick::io::aof::reader;
use kvick::io::aof::store::{Machine, Sendable, Store};
use kvick::io::child::{Finished, Writer};
use kvick::io::disk::{Disk, How, Look, SharedFile};
use kvick::io::load::{Quietly, Rdb, Replay};
use kvick::resp::request::Request;
use kvick::state::server::Persistence;
use kvick::state::session::Session;

use crate::commands::{Ask, ask};
use crate::common::Random;
use crate::disk::{Clock, Helper, Simulated};
use crate::play::{Held, contents, reply_text};

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
    /// A client has seen what it did.
    pub seen: bool,
}

/// A request whose reply has not come.
struct Pending {
    ask: Ask,
    replies: usize,
    /// What it did, if it did something.
    did: Option<usize>,
    /// The last unit that it may have seen, its own included.
    saw: usize,
}

struct Client {
    token: usize,
    received: Vec<u8>,
    pending: VecDeque<Pending>,
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
}

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

/// A base that is to be written.
pub struct Job {
    work: Work,
    pieces: Vec<Vec<u8>>,
    shared: Rc<ChildState>,
}

#[derive(Default)]
struct ChildState {
    path: PathBuf,
    killed: Cell<bool>,
    /// After so many operations of the disk it is killed.
    lives_for: Cell<Option<u64>>,
    ended: RefCell<Option<Finished>>,
}

type Jobs = Rc<RefCell<Option<Job>>>;

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
    clients: Vec<Client>,
    clock: Clock,
    next_tick_ms: u64,
    /// The last unit that changed each key, and anything.
    changed: BTreeMap<Vec<u8>, usize>,
    numbers: u64,
}

/// Writers of bases that write when they are told to.
struct Patient {
    jobs: Jobs,
    random: RefCell<Random>,
}

/// Keeps each piece that was written.
struct Pieces(Vec<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Writers for Patient {
    fn start(&self, engine: &mut Engine, _: Option<RawFd>, work: &Work) -> io::Result<Box<dyn Writer>> {
        let mut random = self.random.borrow_mut();
        if random.chance(3) {
            return Err(io::Error::other("cannot fork"));
        }
        let mut pieces = Pieces(Vec::new());
        work.write(engine, &mut pieces, &mut |_| {})?;
        let path = work.place.temporary_base(random.below(1000) as u32);
        let shared = Rc::new(ChildState { path, ..ChildState::default() });
        let job = Job { work: work.clone(), pieces: pieces.0, shared: Rc::clone(&shared) };
        assert!(self.jobs.replace(Some(job)).is_none(), "two children at once");
        Ok(Box::new(Patiently { shared, jobs: Rc::clone(&self.jobs) }))
    }
}

struct Patiently {
    shared: Rc<ChildState>,
    jobs: Jobs,
}

impl Writer for Patiently {
    fn pid(&self) -> i32 {
        1
    }

    fn path(&self) -> &Path {
        &self.shared.path
    }

    fn cow_bytes(&self) -> u64 {
        0
    }

    fn watch(&mut self, _: &mut Persistence) -> Option<Finished> {
        self.shared.ended.borrow_mut().take()
    }

    fn end(&mut self) {
        self.shared.killed.set(true);
        self.jobs.replace(None);
    }
}

/// The disk as a child sees it: between its operations the server goes on, and a child that was killed does nothing.
struct Between {
    disk: Simulated,
    child: Rc<ChildState>,
    go_on: Box<dyn Fn()>,
}

impl std::fmt::Debug for Between {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.disk.fmt(out)
    }
}

impl Between {
    fn step(&self) -> io::Result<()> {
        (self.go_on)();
        let lives_for = self.child.lives_for.get().map(|left| left.checked_sub(1));
        self.child.lives_for.set(lives_for.flatten());
        if lives_for == Some(None) {
            self.child.killed.set(true);
        }
        if self.child.killed.get() { Err(io::Error::other("killed")) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct ChildFile {
    file: SharedFile,
    disk: Rc<Between>,
}

impl kvick::io::disk::DiskFile for ChildFile {
    fn read_at(&self, bytes: &mut [u8], from: u64) -> io::Result<usize> {
        self.disk.step()?;
        self.file.read_at(bytes, from)
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.disk.step()?;
        self.file.write(pieces)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.step()?;
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.step()?;
        self.disk.disk.sync_elsewhere(&self.file)
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.step()?;
        self.file.size()
    }

    fn claim(&self) -> io::Result<bool> {
        self.file.claim()
    }

    fn descriptor(&self) -> RawFd {
        self.file.descriptor()
    }
}

/// A share of [`Between`], for the files that are open on it.
#[derive(Debug)]
struct ChildDisk(Rc<Between>);

impl Disk for ChildDisk {
    fn open(&self, path: &Path, how: How) -> io::Result<SharedFile> {
        self.0.step()?;
        let file = self.0.disk.open(path, how)?;
        Ok(Rc::new(ChildFile { file, disk: Rc::clone(&self.0) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.step()?;
        self.0.disk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.step()?;
        self.0.disk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.step()?;
        self.0.disk.remove(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.0.step()?;
        self.0.disk.create_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<std::ffi::OsString>> {
        self.0.step()?;
        self.0.disk.list(directory)
    }

    fn look(&self, path: &Path) -> io::Result<Look> {
        self.0.step()?;
        self.0.disk.look(path)
    }
}

impl Job {
    /// The child is killed after so many operations of the disk.
    pub fn kill_after(&self, operations: u64) {
        self.shared.lives_for.set(Some(operations));
    }
}

/// Lets the child write all it has to, while `life` goes on.
pub fn run_child(life: &Rc<RefCell<Life>>, job: Job, disk: &Simulated) {
    let Job { work, pieces, shared } = job;
    let go_on = {
        let (life, disk) = (Rc::clone(life), disk.clone());
        Box::new(move || {
            let turns = life.borrow_mut().random.below(3);
            for _ in 0..turns {
                if !disk.is_off() {
                    life.borrow_mut().turn();
                }
            }
        })
    };
    let between = Rc::new(Between { disk: disk.clone(), child: Rc::clone(&shared), go_on });
    let place = work.place.clone().on(Rc::new(ChildDisk(between)));
    let path = shared.path.clone();
    let done =
        Work { place, ..work }.run(&path, |out| pieces.iter().try_for_each(|piece| out.write_all(piece)));
    let ended = match done {
        Ok(()) => Finished::Done,
        Err(error) => Finished::Failed(error.to_string()),
    };
    shared.ended.replace(Some(ended));
}

pub fn settings(plan: Plan) -> Settings {
    let mut settings = Settings::default();
    (settings.appendonly, settings.appendfsync) = (true, plan.policy);
    settings.aof_use_rdb_preamble = plan.rdb;
    settings.auto_aof_rewrite_min_size = 4096;
    settings.databases = 2;
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
        let writers = Patient { jobs: Rc::clone(&jobs), random: RefCell::new(Random::new(seed ^ 1)) };
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
            })
            .collect();
        let data = Rc::new(contents(&engine.keys));
        Ok(Life {
            engine,
            store,
            plan,
            random: Random::new(seed),
            units: vec![Unit { data, at_ms: clock.get(), batch: 0, told: true, seen: true }],
            turns: 0,
            replies: 0,
            jobs,
            backups: Vec::new(),
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
                self.numbers += 1;
                let ask = ask(&mut self.random, client, self.numbers);
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
        self.ask(0, Ask { requests: vec![request], keys: Vec::new() });
        self.end_turn();
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
            let target = PathBuf::from(format!("backup-{}-{}", self.numbers, self.units.len()));
            self.back_up(&target);
        }
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
        self.hear_of_backup();
        let sendable = self.store.sendable(&self.engine.state);
        for client in 0..self.clients.len() {
            self.send(client, sendable);
        }
        self.engine.expire_step();
        self.engine.table_step();
        self.engine.free_step();
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
            self.engine.leave(token);
            is_write |= !matches!(words[0].as_str(), "GET" | "MGET" | "DBSIZE" | "KEYS" | "WATCH");
        }
        let did = if is_write { self.note_unit() } else { None };
        let last = self.units.len() - 1;
        let of_key = |key: &String| self.changed.get(key.as_bytes()).copied().unwrap_or(0);
        let saw = if ask.keys.is_empty() { last } else { ask.keys.iter().map(of_key).max().unwrap_or(0) };
        let replies = ask.requests.len();
        self.clients[client].pending.push_back(Pending { ask, replies, did, saw });
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
        let mut is_change = false;
        for key in all {
            let (then, now) = (before.get(key), data.get(key));
            let expired = now.is_none() && then.is_some_and(|(at, _, _)| at.is_some_and(|at| at <= date));
            if then != now && !expired {
                self.changed.insert(key.1.clone(), number);
                is_change = true;
            }
        }
        if !is_change {
            return None;
        }
        let batch = self.engine.state.gate.current();
        self.units.push(Unit {
            data: Rc::new(data),
            at_ms: self.clock.get(),
            batch,
            told: false,
            seen: false,
        });
        Some(number)
    }

    /// Sends what may go, and reads it as the client.
    fn send(&mut self, client: usize, sendable: Sendable) {
        let Client { token, received, pending } = &mut self.clients[client];
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
                let Pending { ask, did, saw, .. } = pending.pop_front().expect("it was there");
                // Whoever is refused has learnt nothing; of a transaction that is refused, not even EXEC's reply.
                let is_refused = text.starts_with("(error) MISCONF") || text.starts_with("(error) EXECABORT");
                if !is_refused {
                    self.units[saw].seen = true;
                    did.into_iter().for_each(|did| self.units[did].told = true);
                    check_reply(&ask, &text);
                }
            }
        }
    }
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
