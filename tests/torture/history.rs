//! Histories: lives of a server one after the other on one disk, each cut off by a failing power, a kill or a clean
//! stop, and what is found after each compared with what it may be.
//!
//! # What must be there
//!
//! In any case a prefix of one order of units, none of them half. Of what was acknowledged while the log counted:
//!
//! - after a kill or a stop: all of it;
//! - after a cut of the power: what was run and acknowledged, or shown, under `always`, whatever the policy is since; what
//!   was acknowledged under `everysec`, or better, longer ago than a second and what two syncs take, unless a start under
//!   `no` came between; under `no` what the last rewrite, or switching off, or stopping has brought to the disk.
//!
//! The log does not count from when it is switched off until the first base after it is switched on again is done: till
//! then there is what was there when it was switched off, or more.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use kvick::config::AppendFsync;
use kvick::io::aof::check::check;

use crate::child::run_child;
use crate::common::Random;
use crate::disk::{Clock, Faults, Simulated, begin_ms};
use crate::life::{self, BEGIN_MS, Backup, Data, Life, Plan, TICK_MS, Unit, read_copy};
use crate::play::{Held, contents};

/// Milliseconds that a turn may take in these stories.
const TURN_MS_MAX: u64 = 100;
/// Milliseconds after which a disk that is well again must have been noticed: a rewrite that failed often waits longest.
const HEAL_MS_MAX: u64 = 200_000;

/// What a sync that failed leaves.
const MARK: &str = "appendonlydir/temp-appendonly.aof.unsynced";

/// What was tried and what came of it.
#[derive(Default, Debug)]
pub struct Tally {
    pub histories: u64,
    pub cuts: u64,
    pub kills: u64,
    pub stops: u64,
    pub faults: u64,
    /// Syncs that were begun early.
    pub begun: u64,
    pub operations: u64,
    pub replies: u64,
    pub units: u64,
    pub rewrites: u64,
    pub backups: u64,
    pub heals: u64,
    /// Changes of the policy, and of whether there is a log.
    pub changes: u64,
    /// Clients that had waited for a key and were served.
    pub served: u64,
    /// Keys that were evicted, and that have expired, and fields.
    pub evicted: u64,
    pub expired: u64,
    pub expired_fields: u64,
    /// Units that nobody was promised and that were gone.
    pub gone: u64,
    /// What of everysec was gone longest, in milliseconds before the cut.
    pub oldest_gone_ms: u64,
    pub refusals: BTreeMap<String, u64>,
}

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Cut,
    Kill,
    Stop,
}

/// A history under way.
struct History<'a> {
    seed: u64,
    random: Random,
    plan: Plan,
    clock: Clock,
    disk: Simulated,
    /// All that was done and may still be there.
    units: Vec<Unit>,
    /// What must be there, at least; and what must be if the power is cut before the next start is done.
    floor: usize,
    synced: usize,
    /// When the last life ended.
    ended_ms: u64,
    /// The policy has been `no`.
    was_no: bool,
    /// Units told under `everysec` that are younger than this many milliseconds at the cut may be gone; `None`: any that
    /// were not synced.
    bound_ms: Option<u64>,
    /// Backups that were found, what they may hold, and whether they were said to be done.
    backups: Vec<(PathBuf, Vec<Rc<Data>>, bool)>,
    tally: &'a mut Tally,
}

/// Tells the history of `seed`; in its first life the power goes at operation `cut`, if that is given. Returns how many
/// operations there were in the first life.
pub fn tell(seed: u64, cut: Option<u64>, tally: &mut Tally) -> u64 {
    let mut random = Random::new(seed);
    let plan = Plan {
        policy: *random.pick(&[AppendFsync::Always, AppendFsync::Everysec, AppendFsync::No]),
        rdb: random.chance(50),
        clients: 1 + random.below(5),
        rewrite_every: *random.pick(&[0, 5, 15, 40]),
        backup_every: *random.pick(&[0, 0, 10, 40]),
        change_every: *random.pick(&[0, 0, 4, 15]),
        keys_max: *random.pick(&[0, 0, 0, 12]),
    };
    let clock: Clock = Rc::new(Cell::new(0));
    let disk = Simulated::new(seed, Rc::clone(&clock));
    let units = vec![Unit::of(Rc::default(), 0, 0)];
    let mut history = History {
        seed,
        random,
        plan,
        clock,
        disk,
        units,
        floor: 0,
        synced: 0,
        ended_ms: 0,
        was_no: plan.policy == AppendFsync::No,
        bound_ms: None,
        backups: Vec::new(),
        tally,
    };
    let lives = if cut.is_some() { 2 } else { 1 + history.random.below(4) };
    let mut first = 0;
    for life in 0..lives {
        history.disk.cut_at(cut.filter(|_| life == 0));
        history.live(life == 0 && cut.is_some());
        if life == 0 {
            first = history.disk.figures().operations;
        }
    }
    history.begin();
    history.disk.restart();
    history.check_backups();
    let figures = history.disk.figures();
    tally.histories += 1;
    tally.faults += figures.faults;
    tally.begun += figures.begun;
    tally.operations += figures.operations;
    first
}

impl History<'_> {
    /// Starts a server, in spite of whatever, and compares what it has with what it may have.
    fn begin(&mut self) -> Life {
        for attempt in 0.. {
            let seed = self.random.next();
            match Life::start(&self.disk, &self.clock, self.plan, seed) {
                Ok(life) => {
                    self.compare(&life);
                    return life;
                }
                Err(_) if self.disk.is_off() => {
                    self.tally.cuts += 1;
                    self.floor = self.floor.min(self.synced);
                    self.bound_ms = None;
                    self.disk.restart();
                }
                Err(_) if self.disk.has_faults() => {
                    self.tally.kills += 1;
                    if self.disk.read(Path::new(MARK)).is_none() {
                        // The start's own sync may have failed, see `end`.
                        self.disk.cut();
                        self.floor = self.floor.min(self.synced);
                        self.bound_ms = None;
                    }
                    self.disk.restart();
                }
                Err(error) => {
                    assert!(attempt < 10, "{self:?}: {error}");
                    self.refused(&error.to_string());
                }
            }
        }
        unreachable!("it starts or panics")
    }

    /// The server will not start, which a power cut may explain under `appendfsync no`, or when it has taken the very
    /// beginning of a new file; somebody runs the checker.
    fn refused(&mut self, why: &str) {
        let is_beginning = ["at byte 0: Expected", "at byte 0: zeros", "at byte 0: an annotation"];
        let is_beginning = is_beginning.iter().any(|words| why.contains(words));
        assert!(is_beginning || self.was_no, "{self:?}: {why}{}", self.headers());
        assert!(why.contains("is corrupt at byte") && why.contains("check-aof --fix"), "{self:?}: {why}");
        let reason = match is_beginning {
            true => "a hole at the beginning of a file, and nothing whole after it",
            false => "appendfsync no: a hole before whole batches",
        };
        *self.tally.refusals.entry(reason.to_owned()).or_default() += 1;
        self.disk.restart();
        let manifest = Path::new("appendonlydir/appendonly.aof.manifest");
        let mut said = Vec::new();
        let code = check(&self.disk, manifest, true, &mut &b"y\n"[..], &mut said).expect("said");
        assert_eq!(code, 0, "{self:?}: {why}\n{}", String::from_utf8_lossy(&said));
    }

    /// The lines that announce batches in all files.
    fn headers(&self) -> String {
        let mut text = String::new();
        for path in self.disk.files() {
            let bytes = self.disk.read(&path).unwrap_or_default();
            text += &format!("\n{} {} bytes", path.display(), bytes.len());
            if path.extension().is_some_and(|end| end == "manifest") {
                text += &format!("\n{}", String::from_utf8_lossy(&bytes));
            }
            for (at, _) in bytes.windows(4).enumerate().filter(|(_, four)| four == b"#KV ") {
                let line = bytes[at..].split(|byte| *byte == b'\n').next().unwrap_or_default();
                text += &format!("\n  {at}: {}", line.escape_ascii());
            }
        }
        text
    }

    fn live(&mut self, is_swept: bool) {
        if !is_swept && self.random.chance(15) {
            let begin = self.disk.figures().operations;
            self.disk.cut_at(Some(begin + 1 + self.random.below(40) as u64));
        } else if !is_swept && self.random.chance(10) {
            self.disk.set_faults(Faults { per_mille: 50, nuisances_per_mille: 100 });
        }
        let mut life = self.begin();
        let before = self.disk.figures();
        let has_faults = !is_swept && self.random.chance(40);
        let faults = match has_faults {
            true => Faults { per_mille: *self.random.pick(&[5, 20, 60]), nuisances_per_mille: 30 },
            false => Faults { per_mille: 0, nuisances_per_mille: *self.random.pick(&[0, 30]) },
        };
        self.disk.set_faults(faults);
        let sync_ms = *self.random.pick(&[0, 0, 3, 30, 700, 3000]);
        self.disk.set_sync_ms(sync_ms);
        self.disk.set_begin_every(*self.random.pick(&[200, 2000, u64::MAX]));
        let end =
            if is_swept { End::Cut } else { *self.random.pick(&[End::Cut, End::Cut, End::Kill, End::Stop]) };
        if !is_swept && end == End::Cut && self.random.chance(70) {
            self.disk.cut_at(Some(before.operations + 1 + self.random.below(400) as u64));
        }
        // Long enough for some syncs.
        let times = if 500 < sync_ms { 4 } else { 1 };
        life.turns = times * (10 + self.random.below(80));
        let is_sick = !life.accepts_writes();
        let life = Rc::new(RefCell::new(life));
        self.run(&life);
        // One of a rewrite or a backup may be before the log's own.
        let beside_ms = if before.beside < self.disk.figures().beside { sync_ms } else { 0 };
        let syncs_ms = sync_ms.max(1000) + begin_ms(sync_ms) + beside_ms + sync_ms;
        self.bound_ms = (!has_faults && !is_sick).then_some(syncs_ms + TICK_MS + TURN_MS_MAX);
        if has_faults && end == End::Stop && !self.disk.is_off() {
            self.heal(&life);
        }
        self.end(life, end);
    }

    fn run(&mut self, life: &Rc<RefCell<Life>>) {
        while 0 < life.borrow().turns && !self.disk.is_off() {
            let job = if self.random.chance(30) { life.borrow().jobs.take() } else { None };
            match job {
                Some(job) => run_child(life, job, &self.disk),
                None => life.borrow_mut().turn(),
            }
        }
    }

    /// The disk is well again: so is the log after some time.
    fn heal(&mut self, life: &Rc<RefCell<Life>>) {
        self.disk.set_faults(Faults::default());
        let until = self.clock.get() + HEAL_MS_MAX;
        // What is to be healed is a log.
        while !life.borrow().accepts_writes() {
            assert!(self.clock.get() < until, "{self:?}: it does not heal");
            life.borrow_mut().idle(TICK_MS);
            let job = life.borrow().jobs.take();
            job.into_iter().for_each(|job| run_child(life, job, &self.disk));
        }
        self.tally.heals += 1;
    }

    /// The life is over; what it did is remembered, with what of it must last.
    fn end(&mut self, life: Rc<RefCell<Life>>, end: End) {
        let mut life = life.borrow_mut();
        let flushed = end == End::Stop && {
            let Life { engine, store, .. } = &mut *life;
            store.flush(&mut engine.state).is_ok()
        };
        let mut was_cut = self.disk.is_off();
        self.ended_ms = self.clock.get();
        let is_sick = !life.accepts_writes() || life.uncounted.is_some_and(|uncounted| uncounted.is_sick);
        // A disk that does not even take the mark, and then takes everything: nobody can know, so nobody is asked to.
        if end == End::Cut || is_sick && self.disk.read(Path::new(MARK)).is_none() {
            self.disk.cut();
            was_cut = true;
        }
        match end {
            _ if was_cut => self.tally.cuts += 1,
            End::Kill | End::Cut => self.tally.kills += 1,
            End::Stop => self.tally.stops += 1,
        }
        self.tally.replies += life.replies;
        self.tally.rewrites += life.engine.state.persistence.rewrites;
        self.tally.changes += life.changes;
        self.tally.served += life.served;
        self.tally.evicted += life.engine.state.stats.evicted_keys;
        let keys = &life.engine.keys.counters;
        self.tally.expired += keys.expired;
        self.tally.expired_fields += keys.expired_fields;
        self.was_no |= life.was_no;
        let first = self.units.len() - 1;
        let (floor, uncounted) = (life.floor(), life.uncounted);
        let units = std::mem::take(&mut life.units);
        let backups: Vec<_> = life.backups.drain(..).map(|backup| candidates(backup, &units)).collect();
        self.tally.units += units.len() as u64 - 1;
        self.units.extend(units.into_iter().skip(1));
        let told = self.units.iter().skip(first + 1).rposition(|unit| unit.told).map_or(0, |at| at + 1);
        // Unit 0 of the life is what it began with, which need not be on disk.
        let of_life = |unit: usize| if unit == 0 { self.synced } else { first + unit };
        let (synced, written) = match uncounted {
            Some(uncounted) => (of_life(uncounted.floor), of_life(uncounted.floor)),
            None if flushed => (self.units.len() - 1, self.units.len() - 1),
            None => (of_life(floor), (first + told).max(of_life(floor))),
        };
        self.synced = synced;
        self.floor = if was_cut { synced } else { written };
        if !was_cut {
            self.bound_ms = None;
        }
        life.turns = 0;
        drop(life);
        self.disk.restart();
        for (target, data, told) in backups {
            if self.check_backup(&target, &data, told) {
                self.tally.backups += u64::from(told);
                self.backups.push((target, data, told));
            }
        }
        self.check_backups();
    }

    /// A backup is whole if it was said to be done, and otherwise whole or none. Returns whether it is there.
    fn check_backup(&self, target: &Path, data: &[Rc<Data>], told: bool) -> bool {
        let found = read_copy(&self.disk, target);
        let is_whole = matches!(&found, Ok(Some(found)) if self.is_one_of(found, data));
        let is_none = match found {
            Ok(found) => found.is_none(),
            // A server would not start on it, for the reason that there is no manifest, or that it was being deleted.
            Err(error) => ["is there but the manifest", "cannot find a file that the manifest names"]
                .iter()
                .any(|why| error.to_string().contains(why)),
        };
        assert!(is_whole || is_none && !told, "{self:?}: {} is not what must be there", target.display());
        is_whole
    }

    /// Backups are what they were, whatever has become of the log since.
    fn check_backups(&mut self) {
        for (target, data, told) in self.backups.iter().rev().take(3) {
            self.check_backup(target, data, *told);
        }
    }

    fn is_one_of(&self, found: &Data, all: &[Rc<Data>]) -> bool {
        let date = (BEGIN_MS + self.clock.get()) as i64;
        let found = alive(found, date);
        all.iter().any(|data| alive(data, date) == found)
    }

    /// What was found is what was there after one of the units that it may be.
    fn compare(&mut self, life: &Life) {
        let date = (BEGIN_MS + self.clock.get()) as i64;
        let alive = |data: &Data| alive(data, date);
        let found = alive(&contents(&life.engine.keys));
        let fits = |unit: &&Unit| alive(&unit.data) == found;
        let place = self.units.iter().rposition(|unit| fits(&unit));
        let Some(place) = place.filter(|place| self.floor <= *place) else {
            let best = self.units[self.floor..].iter().map(|unit| alive(&unit.data));
            let nearest = best.map(|data| difference(&data, &found)).min_by_key(Vec::len).unwrap_or_default();
            panic!(
                "{self:?}: {} units, {} must be there, found {place:?}; nearest: {nearest:#?}",
                self.units.len() - 1,
                self.floor
            );
        };
        let lost = self.units[place + 1..].iter().filter(|unit| unit.lasts_soon);
        let gone_ms = lost.map(|unit| self.ended_ms.saturating_sub(unit.at_ms)).max().unwrap_or(0);
        if let Some(bound_ms) = self.bound_ms {
            assert!(
                gone_ms <= bound_ms,
                "{self:?}: gone is what was told {gone_ms} ms before, not {bound_ms}"
            );
            self.tally.oldest_gone_ms = self.tally.oldest_gone_ms.max(gone_ms);
        }
        self.tally.gone += (self.units.len() - 1 - place) as u64;
        self.units.truncate(place + 1);
        // What a start has read it has synced, but not under `no`, nor if a sync has failed before.
        let is_sick = !life.accepts_writes();
        self.synced = match self.plan.policy {
            AppendFsync::Always | AppendFsync::Everysec if !is_sick => place,
            _ => self.synced.min(place),
        };
        if self.synced < place {
            // Whoever starts under `no` does not keep what was promised for a second later before a kill.
            self.units.iter_mut().for_each(|unit| unit.lasts_soon = false);
        }
    }
}

impl std::fmt::Debug for History<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "KVICK_TORTURE_SEED={} {:?} operation {}",
            self.seed,
            self.plan,
            self.disk.figures().operations
        )
    }
}

/// In what two sets of data differ.
fn difference(expected: &Data, found: &Data) -> Vec<String> {
    let all: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let differs = all.into_iter().filter(|key| expected.get(*key) != found.get(*key));
    let show = |key: &(usize, Vec<u8>)| {
        let (found, expected) = (show_held(found.get(key)), show_held(expected.get(key)));
        format!("{}: {found}, not {expected}", key.1.escape_ascii())
    };
    differs.map(show).collect()
}

fn show_held(held: Option<&Held>) -> String {
    let Some((deadline, kind, values)) = held else { return "nothing".to_owned() };
    let values: Vec<_> = values.iter().map(|value| value.escape_ascii().to_string()).collect();
    let text: String = values.join(" ").chars().take(60).collect();
    format!("{kind} {text} {deadline:?}")
}

/// Where a backup is, what it may hold, and whether it was said to be done.
fn candidates(backup: Backup, units: &[Unit]) -> (PathBuf, Vec<Rc<Data>>, bool) {
    let Backup { target, from, to, told } = backup;
    let units = &units[from..=to.unwrap_or(units.len() - 1)];
    (target, units.iter().map(|unit| Rc::clone(&unit.data)).collect(), told)
}

/// What has not expired at a date.
fn alive(data: &Data, date: i64) -> Data {
    data.iter().filter_map(|(key, held)| Some((key.clone(), life::alive(held, date)?))).collect()
}
