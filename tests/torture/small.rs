//! What the torture has found, each told by itself.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use kvick::base::date::UnixMs;
use kvick::config::AppendFsync;
use kvick::engine::Engine;
use kvick::io::aof::append::AppendFile;
use kvick::io::aof::child::Forked;
use kvick::io::aof::manifest::{self, Manifest, Place};
use kvick::io::aof::store::{Machine, Store};
use kvick::io::disk::{Disk, Real};

use crate::child::run_child;
use crate::disk::{Clock, Helper, Simulated, Trouble, begin_ms};
use crate::life::{BEGIN_MS, Life, Plan, read_copy, settings};

/// Ticks after which everything that comes by itself has come.
const SOME_TICKS: usize = 30;

pub fn plan(policy: AppendFsync) -> Plan {
    Plan::plain(policy)
}

/// A server on a disk.
pub struct Stage {
    pub policy: AppendFsync,
    pub clock: Clock,
    pub disk: Simulated,
    pub life: Rc<RefCell<Life>>,
}

impl Stage {
    pub fn new(policy: AppendFsync, seed: u64) -> Stage {
        let clock = Clock::default();
        let disk = Simulated::new(seed, Rc::clone(&clock));
        let life = Life::start(&disk, &clock, plan(policy), seed).expect("started");
        Stage { policy, clock, disk, life: Rc::new(RefCell::new(life)) }
    }

    pub fn say(&self, text: &str) {
        self.life.borrow_mut().say(text);
    }

    pub fn wait(&self) {
        (0..SOME_TICKS).for_each(|_| self.life.borrow_mut().idle(100));
    }

    pub fn is_told(&self) -> bool {
        self.life.borrow().is_told()
    }

    /// Lets the child that waits do its work, and the server see it.
    pub fn child(&self) {
        let job = self.life.borrow().jobs.take().expect("a child waits");
        run_child(&self.life, job, &self.disk);
        self.wait();
    }

    /// Lets a child do its work, if one waits.
    pub fn child_if_any(&self) {
        let job = self.life.borrow().jobs.take();
        job.into_iter().for_each(|job| run_child(&self.life, job, &self.disk));
    }

    pub fn rewrite(&self) {
        let life = &mut *self.life.borrow_mut();
        life.store.ask_for_rewrite(&mut life.engine.state).expect("it may be asked for");
    }

    pub fn flush(&self) -> std::io::Result<()> {
        let life = &mut *self.life.borrow_mut();
        life.store.flush(&mut life.engine.state)
    }

    /// Another server, after the power was cut or the first one was killed.
    pub fn again(self, is_cut: bool) -> Stage {
        if is_cut {
            self.disk.cut();
        }
        let Stage { policy, clock, disk, life } = self;
        drop(life);
        disk.restart();
        let life = Life::start(&disk, &clock, plan(policy), 7).expect("it starts");
        Stage { policy, clock, disk, life: Rc::new(RefCell::new(life)) }
    }

    pub fn has(&self, key: &str) -> bool {
        let life = self.life.borrow();
        life.units[life.units.len() - 1].data.contains_key(&(0, key.as_bytes().to_vec()))
    }
}

#[test]
fn a_sync_that_failed_is_never_repeated_into_success() {
    for seed in 0..20 {
        let stage = Stage::new(AppendFsync::Always, seed);
        stage.disk.set_trouble(Some(Trouble::Unsynced));
        stage.say("SET a 1");
        stage.wait();
        stage.disk.set_trouble(None);
        stage.wait();
        assert!(!stage.is_told(), "only a new base proves anything");
        stage.child();
        assert!(stage.is_told());
        assert!(stage.again(true).has("a"), "seed {seed}");
    }
}

#[test]
fn a_rewrite_does_not_sync_over_a_failure() {
    for seed in 0..20 {
        let stage = Stage::new(AppendFsync::Everysec, seed);
        stage.say("SET a 1");
        stage.disk.set_trouble(Some(Trouble::Unsynced));
        stage.rewrite();
        stage.wait();
        stage.disk.set_trouble(None);
        assert!(!stage.life.borrow().accepts_writes());
        stage.wait();
        stage.child();
        assert!(stage.life.borrow().accepts_writes());
        assert!(stage.again(true).has("a"), "seed {seed}");
    }
}

#[test]
fn a_shutdown_that_failed_does_not_succeed_by_asking_again() {
    let stage = Stage::new(AppendFsync::Everysec, 1);
    stage.say("SET a 1");
    stage.disk.set_trouble(Some(Trouble::Unsynced));
    assert!(stage.flush().is_err());
    stage.disk.set_trouble(None);
    assert!(stage.flush().is_err(), "another sync proves nothing");
    stage.wait();
    stage.child();
    stage.flush().expect("all is in new files");
}

#[test]
fn what_a_killed_server_has_left_is_on_disk_before_it_is_shown() {
    for seed in 0..40 {
        let stage = Stage::new(AppendFsync::Everysec, seed);
        stage.say("SET a 1");
        assert!(stage.is_told());
        let stage = stage.again(false);
        assert!(stage.has("a"));
        assert!(stage.again(true).has("a"), "seed {seed}");
    }
}

#[test]
fn a_log_that_is_being_healed_survives_a_cut() {
    for seed in 0..40 {
        let stage = Stage::new(AppendFsync::Always, seed);
        stage.say("SET a 1");
        stage.wait();
        stage.disk.set_trouble(Some(Trouble::Unsynced));
        stage.say("SET b 1");
        stage.wait();
        stage.disk.set_trouble(None);
        // Its new increment has got something: an old one with a hole must not stand before it in the manifest.
        stage.wait();
        assert!(stage.again(true).has("a"), "seed {seed}");
    }
}

#[test]
fn a_start_after_a_failed_sync_shows_nothing_before_it_is_written_anew() {
    for seed in 0..40 {
        let stage = Stage::new(AppendFsync::Always, seed);
        stage.disk.set_trouble(Some(Trouble::Unsynced));
        stage.say("SET a 1");
        stage.wait();
        stage.disk.set_trouble(None);
        let stage = stage.again(false);
        assert!(stage.has("a"), "the kernel has it");
        stage.say("GET a");
        assert_eq!(stage.life.borrow().replies, 0, "the disk has it not");
        stage.wait();
        stage.child();
        assert_eq!(stage.life.borrow().replies, 1);
        assert!(stage.again(true).has("a"), "seed {seed}");
    }
}

#[test]
fn a_start_that_cannot_look_for_the_mark_does_not_take_it_for_gone() {
    let (mut refused, mut begun) = (0, 0);
    for cut in 1.. {
        let stage = Stage::new(AppendFsync::Everysec, 1);
        stage.say("SET a 1");
        stage.disk.set_trouble(Some(Trouble::Unsynced));
        stage.wait();
        let Stage { clock, disk, life, .. } = stage;
        drop(life);
        disk.restart();
        // From this operation of the start on, the disk answers nothing.
        disk.cut_at(Some(disk.figures().operations + cut));
        match Life::start(&disk, &clock, plan(AppendFsync::Everysec), 7) {
            Ok(life) => {
                assert!(!life.accepts_writes(), "operation {cut}");
                begun += 1;
            }
            Err(_) => refused += 1,
        }
        if !disk.is_off() {
            break;
        }
    }
    assert!(0 < refused && 0 < begun);
}

#[test]
fn a_manifest_that_cannot_be_read_is_not_written_over() {
    let stage = Stage::new(AppendFsync::Everysec, 1);
    stage.say("SET a 1");
    stage.rewrite();
    stage.wait();
    let job = stage.life.borrow().jobs.take().expect("a child waits");
    run_child(&stage.life, job, &stage.disk);
    stage.disk.set_trouble(Some(Trouble::Unread));
    stage.wait();
    stage.disk.set_trouble(None);
    assert!(!stage.life.borrow().engine.state.persistence.last_rewrite_ok);
    stage.say("SET b 1");
    stage.rewrite();
    stage.wait();
    let stage = stage.again(false);
    assert!(stage.has("a") && stage.has("b"));
}

#[test]
fn a_rewrite_that_fails_leaves_no_litter_and_no_name_without_a_file() {
    for trouble in [Trouble::Full, Trouble::Broken, Trouble::Unsynced] {
        let stage = Stage::new(AppendFsync::No, 1);
        stage.say("SET a 1");
        stage.wait();
        stage.disk.set_trouble(Some(trouble));
        stage.rewrite();
        stage.wait();
        stage.disk.set_trouble(None);
        stage.wait();
        let is_temporary = |path: &Path| path.to_string_lossy().contains("temp-");
        let mut files = stage.disk.files();
        files.retain(|path| is_temporary(path) && !path.ends_with("temp-appendonly.aof.unsynced"));
        // After a failed sync the increment that heals grows.
        files.retain(|path| !path.ends_with("temp-appendonly.aof.incr"));
        assert_eq!(files, Vec::<std::path::PathBuf>::new(), "{trouble:?}");
        assert!(stage.again(true).life.borrow().store.is_on());
    }
}

#[test]
fn names_last_before_a_manifest_says_them() {
    for seed in 0..200 {
        let disk = Simulated::new(seed, Clock::default());
        let place = Place::new("d", "a").on(Rc::new(disk.clone()));
        manifest::make_directory(&place).expect("made");
        let mut manifest = Manifest::default();
        let path = place.path(&manifest.add_increment(&place).name);
        let file = AppendFile::create(&disk, &path).expect("created");
        // The last thing that it does is to make its own name last.
        disk.cut_at(Some(disk.figures().operations + 7));
        manifest.commit(&place).expect_err("cut off");
        drop(file);
        disk.restart();
        let names = Manifest::read(&place).expect("whole").map_or(0, |manifest| manifest.increments.len());
        assert!(names == 0 || disk.look(&path).is_ok(), "seed {seed}");
    }
}

#[test]
fn a_name_that_is_taken_is_passed_over() {
    let stage = Stage::new(AppendFsync::Everysec, 1);
    stage.say("SET a 1");
    stage.disk.put("appendonlydir/appendonly.aof.2.incr.aof", b"somebody's");
    stage.rewrite();
    stage.wait();
    stage.child();
    assert!(stage.life.borrow().engine.state.persistence.last_rewrite_ok);
    let left = stage.disk.read(Path::new("appendonlydir/appendonly.aof.2.incr.aof"));
    assert_eq!(left.as_deref(), Some(&b"somebody's"[..]));
    assert!(stage.again(true).has("a"));
}

#[test]
fn a_next_increment_is_not_written_before_the_old_one_is_on_disk() {
    for policy in [AppendFsync::No, AppendFsync::Everysec] {
        for seed in 0..40 {
            let stage = Stage::new(policy, seed);
            stage.say("SET a 1");
            stage.disk.set_sync_ms(500);
            stage.rewrite();
            while stage.life.borrow().jobs.borrow().is_none() {
                stage.say("APPEND b more");
                stage.life.borrow_mut().idle(50);
            }
            // Killed while the old one is being synced.
            let stage = stage.again(false);
            stage.say("SET c 1");
            let stage = stage.again(true);
            assert!(stage.has("a") && stage.has("b"), "{policy:?} {seed}");
        }
    }
}

#[test]
fn the_first_batch_says_that_nothing_is_synced() {
    let stage = Stage::new(AppendFsync::Everysec, 1);
    stage.say("SET a 1");
    let bytes = stage.disk.read(Path::new("appendonlydir/appendonly.aof.1.incr.aof")).expect("it is there");
    let line = String::from_utf8_lossy(&bytes[..20]).into_owned();
    assert_eq!(line.split(' ').nth(3), Some("0"), "{line}");
}

#[test]
fn syncs_that_take_seconds_stop_nobody_who_reads() {
    for policy in [AppendFsync::Always, AppendFsync::Everysec] {
        let stage = Stage::new(policy, 1);
        stage.disk.set_sync_ms(3000);
        for number in 0..300 {
            if number == 50 {
                stage.rewrite();
            }
            stage.say(&format!("SET a {number}"));
            stage.life.borrow_mut().idle(100);
            let (before, replies) = (stage.clock.get(), stage.life.borrow().replies);
            stage.say("GET other");
            assert_eq!(stage.clock.get(), before);
            // The reply of a write before it may wait, and replies keep their order.
            assert!(policy == AppendFsync::Always || 40 < number || replies < stage.life.borrow().replies);
        }
        let figures = &stage.life.borrow().engine.state.persistence;
        let since_ms = stage.clock.get() - figures.sync_since_ms.expect("one is under way");
        assert!(figures.pending_sync && since_ms <= 3000 && 0 < figures.unsynced_bytes);
        assert_eq!(stage.disk.figures().longest_stop_ms, 0);
        // The rewrite has begun meanwhile.
        assert!(stage.life.borrow().jobs.borrow().is_some());
    }
}

#[test]
fn a_child_that_is_killed_leaves_nothing_wherever_it_was() {
    for operations in 0.. {
        let stage = Stage::new(AppendFsync::Everysec, 1);
        stage.say("SET a 1");
        stage.rewrite();
        stage.wait();
        let job = stage.life.borrow().jobs.take().expect("a child waits");
        job.kill_after(operations);
        run_child(&stage.life, job, &stage.disk);
        stage.wait();
        let settings = settings(plan(stage.policy));
        let place =
            Place::new(&settings.appenddirname, &settings.appendfilename).on(Rc::new(stage.disk.clone()));
        let manifest = Manifest::read(&place).expect("read").expect("a manifest");
        let mut names: Vec<_> = manifest.parts().map(|part| part.name.clone()).collect();
        names.push(place.manifest().file_name().expect("a name").to_owned());
        // Whoever got to commit it leaves what was before, which the next start deletes.
        names.extend(manifest.history.iter().map(|part| part.name.clone()));
        let mut found = place.disk().list(place.directory()).expect("listed");
        found.sort();
        names.sort();
        assert_eq!(found, names, "after {operations} operations");
        let is_done = stage.life.borrow().engine.state.persistence.last_rewrite_ok;
        assert!(stage.again(false).has("a"), "after {operations} operations");
        if is_done {
            assert!(4 < operations, "it was killed at each of some operations");
            return;
        }
    }
}

#[test]
fn two_servers_do_not_share_a_log() {
    let stage = Stage::new(AppendFsync::Everysec, 1);
    let second = Life::start(&stage.disk, &stage.clock, plan(AppendFsync::Everysec), 2);
    let Err(error) = second else { panic!("it started") };
    assert!(error.to_string().contains("another server is using the log"), "{error}");
}

#[test]
fn a_log_that_was_not_loaded_is_not_replaced() {
    let stage = Stage::new(AppendFsync::Everysec, 1);
    stage.say("SET a 1");
    let Stage { disk, life, clock, .. } = stage;
    drop(life);
    disk.restart();
    let settings = settings(plan(AppendFsync::Everysec));
    let (syncer, writers) = (Box::new(Helper::new(&disk)), Box::new(Forked));
    let mut store = Store::with(&settings, Machine { disk: Rc::new(disk.clone()), syncer, writers });
    let mut engine = Engine::new(settings, 1);
    let error = store.switch_on(&mut engine, clock.get()).expect_err("it holds another data set").to_string();
    assert!(error.contains("that this server has not loaded") && error.contains("Restart with"), "{error}");
    drop(store);
    disk.restart();
    let life = Life::start(&disk, &clock, plan(AppendFsync::Everysec), 3).expect("it is as it was");
    assert_eq!(life.units[0].data.len(), 1);
}

#[test]
fn a_log_is_looked_for_where_dir_may_have_meant() {
    let folder = tempfile::tempdir().expect("a directory");
    let inside = Place::new(folder.path().join("data/appendonlydir"), "appendonly.aof");
    std::fs::create_dir(folder.path().join("data")).expect("made");
    manifest::make_directory(&inside).expect("made");
    let mut manifest = Manifest::default();
    let path = inside.path(&manifest.add_increment(&inside).name);
    AppendFile::create(&Real, &path).expect("created").append(b"*1\r\n$4\r\nPING\r\n").expect("written");
    manifest.commit(&inside).expect("committed");
    for dir in ["", "data/appendonlydir"] {
        let dir = folder.path().join(dir);
        let place = Place::new(dir.join("appendonlydir"), "appendonly.aof");
        let error = manifest::find(&place, &dir.join("appendonly.aof")).expect_err("a wrong dir").to_string();
        assert!(error.contains("is the manifest of a log with data") && error.contains("Set dir"), "{error}");
    }
}

#[test]
fn a_backup_stops_nobody_who_reads_and_holds_what_was_written() {
    for policy in [AppendFsync::Always, AppendFsync::Everysec, AppendFsync::No] {
        let stage = Stage::new(policy, 1);
        stage.say("SET before 1");
        stage.disk.set_sync_ms(300);
        stage.life.borrow_mut().back_up(Path::new("monday"));
        for number in 0..100 {
            let before = stage.clock.get();
            stage.say(&format!("SET after {number}"));
            stage.say("GET other");
            assert_eq!(stage.clock.get(), before);
            stage.life.borrow_mut().idle(100);
        }
        assert_eq!(stage.disk.figures().longest_stop_ms, 0);
        assert!(stage.life.borrow().backups[0].told, "{policy:?}");
        // Nothing that becomes of the log is anything to the copy.
        let stage = stage.again(true);
        stage.rewrite();
        stage.wait();
        stage.child();
        assert!(stage.has("after"));
        let data = read_copy(&stage.disk, Path::new("monday")).expect("whole").expect("it is there");
        assert!(data.contains_key(&(0, b"before".to_vec())), "{policy:?}");
    }
}

#[test]
fn a_backup_that_fails_leaves_nothing_and_the_log_as_it_was() {
    for trouble in [Trouble::Full, Trouble::Broken, Trouble::Unsynced] {
        for turns in 0..14 {
            let stage = Stage::new(AppendFsync::Everysec, 1);
            stage.say("SET a 1");
            stage.disk.set_sync_ms(10);
            stage.life.borrow_mut().back_up(Path::new("monday"));
            (0..turns).for_each(|_| stage.life.borrow_mut().idle(10));
            stage.disk.set_trouble(Some(trouble));
            stage.wait();
            stage.disk.set_trouble(None);
            stage.wait();
            let told = stage.life.borrow().backups[0].told;
            let left = stage.disk.files().into_iter().any(|path| path.starts_with("monday"));
            // A disk that does not even remove names leaves what no server takes for a log, or all of it.
            assert!(told == left || trouble == Trouble::Broken, "{trouble:?} {turns}");
            match read_copy(&stage.disk, Path::new("monday")) {
                Ok(Some(data)) => assert!(data.contains_key(&(0, b"a".to_vec()))),
                Ok(None) => assert!(!told),
                Err(error) => assert!(!told, "{trouble:?} {turns}: {error}"),
            }
            stage.child_if_any();
            stage.wait();
            stage.say("SET b 1");
            stage.wait();
            let stage = stage.again(true);
            assert!(stage.has("a") && stage.has("b"), "{trouble:?} {turns}");
        }
    }
}

#[test]
fn a_backup_waits_for_a_rewrite_and_a_rewrite_for_a_backup() {
    let stage = Stage::new(AppendFsync::Everysec, 1);
    stage.say("SET a 1");
    stage.rewrite();
    stage.wait();
    stage.life.borrow_mut().back_up(Path::new("monday"));
    stage.wait();
    assert_eq!(stage.life.borrow().backups[0].to, None, "the child deletes files");
    stage.child();
    assert!(stage.life.borrow().backups[0].told);
    stage.disk.set_sync_ms(10);
    stage.life.borrow_mut().back_up(Path::new("tuesday"));
    stage.rewrite();
    stage.wait();
    assert!(stage.life.borrow().backups[1].told);
    stage.child();
    assert_eq!(stage.life.borrow().engine.state.persistence.rewrites, 2);
    for name in ["monday", "tuesday"] {
        let data = read_copy(&stage.disk, Path::new(name)).expect("whole").expect("it is there");
        assert_eq!(data.len(), 1, "{name}");
    }
}

/// A disk with a log in which `a` was written before a moment and `b` after it; and the moment.
fn stamped(seed: u64) -> (Clock, Simulated, UnixMs) {
    let stage = Stage::new(AppendFsync::Always, seed);
    stage.life.borrow_mut().engine.state.settings.aof_timestamp_enabled = true;
    stage.say("SET a 1");
    stage.wait();
    let until = UnixMs((BEGIN_MS + stage.clock.get()) as i64);
    stage.wait();
    stage.say("SET b 1");
    stage.wait();
    let Stage { clock, disk, life, .. } = stage;
    drop(life);
    disk.restart();
    (clock, disk, until)
}

#[test]
fn going_back_may_be_cut_off_at_any_operation() {
    let key = |name: &str| (0, name.as_bytes().to_vec());
    let (mut gone, mut kept) = (0, 0);
    for cut in 1.. {
        let (clock, disk, until) = stamped(cut);
        disk.cut_at(Some(disk.figures().operations + cut));
        let settings = settings(plan(AppendFsync::Always));
        let store = |disk: &Simulated| {
            let (syncer, writers) = (Box::new(Helper::new(disk)), Box::new(Forked));
            Store::with(&settings, Machine { disk: Rc::new(disk.clone()), syncer, writers })
        };
        let mut first = store(&disk);
        let went = first.find().and_then(|_| first.go_back(until)).is_ok();
        drop(first);
        let was_cut = disk.is_off();
        disk.cut();
        disk.restart();
        // The log is as it was, or as it is to be; and if so, all of it is kept.
        let found = Life::start(&disk, &clock, plan(AppendFsync::Always), 7).expect("it starts");
        let data = std::rc::Rc::clone(&found.units[0].data);
        drop(found);
        disk.restart();
        assert!(data.contains_key(&key("a")));
        if data.contains_key(&key("b")) {
            assert!(!went, "operation {cut}");
            kept += 1;
        } else {
            let names = disk.files();
            let mut first = names.iter().filter_map(|path| path.iter().next());
            let target = first.rfind(|name| name.as_encoded_bytes().starts_with(b"before-"));
            let target = Path::new(target.expect("all of it is kept")).to_path_buf();
            let all = read_copy(&disk, &target).expect("whole").expect("it is there");
            assert!(all.contains_key(&key("a")) && all.contains_key(&key("b")), "operation {cut}");
            gone += 1;
        }
        if !was_cut {
            break;
        }
    }
    assert!(0 < gone && 0 < kept, "{gone} {kept}");
}

#[test]
fn a_rewrite_or_a_backup_keeps_the_log_from_the_disk_for_one_sync_at_most() {
    for sync_ms in [30, 700, 3000] {
        let stage = Stage::new(AppendFsync::Everysec, 1);
        stage.disk.set_sync_ms(sync_ms);
        let mut oldest_ms = 0;
        for number in 0..600 {
            match number % 150 {
                50 => stage.rewrite(),
                149 => stage.life.borrow_mut().back_up(Path::new(&format!("backup-{number}"))),
                _ => {}
            }
            stage.say(&format!("SET a {number}"));
            stage.life.borrow_mut().idle(100);
            stage.child_if_any();
            let life = stage.life.borrow();
            let synced = life.engine.state.gate.synced();
            let waits = life.units.iter().find(|unit| unit.told && synced < unit.batch);
            oldest_ms = oldest_ms.max(waits.map_or(0, |unit| stage.clock.get() - unit.at_ms));
        }
        assert!(0 < stage.life.borrow().engine.state.persistence.rewrites);
        let bound_ms = sync_ms.max(1000) + 2 * sync_ms + begin_ms(sync_ms) + 200;
        assert!(oldest_ms <= bound_ms, "{sync_ms} ms a sync: {oldest_ms}, not {bound_ms}");
    }
}
