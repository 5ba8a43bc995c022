//! A log that heals, whose policy changes, or that is switched off and on: what the torture has found there, and that
//! nobody who reads waits for it.

use std::path::Path;

use kvick::config::AppendFsync;

use crate::child::run_child;
use crate::disk::Trouble;
use crate::life::Life;
use crate::small::{Stage, plan};

/// A write whose sync fails, and a child that has to heal it: killed after so many of its operations, if at all.
fn failed_and_healing(policy: AppendFsync, seed: u64, killed_after: Option<u64>) -> Stage {
    let stage = Stage::new(policy, seed);
    stage.disk.set_sync_ms(3000);
    stage.disk.set_trouble(Some(Trouble::Unsynced));
    stage.say("SET a 1");
    // Every second writes are synced, this one three seconds later.
    (0..50).for_each(|_| stage.life.borrow_mut().idle(100));
    assert!(!stage.life.borrow().accepts_writes());
    stage.disk.set_trouble(None);
    let job = stage.life.borrow().jobs.take().expect("a child waits");
    killed_after.into_iter().for_each(|operations| job.kill_after(operations));
    run_child(&stage.life, job, &stage.disk);
    stage
}

/// Somebody reads until the log is healed. Returns the milliseconds that it took.
fn read_until_healed(stage: &Stage) -> u64 {
    let begin_ms = stage.clock.get();
    while !stage.life.borrow().accepts_writes() {
        assert!(stage.policy != AppendFsync::Always || !stage.is_told(), "refused and not durable");
        stage.child_if_any();
        let before = stage.clock.get();
        stage.say("GET other");
        assert_eq!(stage.clock.get(), before, "the loop has waited for the disk");
        stage.life.borrow_mut().idle(10);
        assert!(stage.clock.get() < begin_ms + 100_000, "it does not heal");
    }
    assert_eq!(stage.disk.figures().longest_stop_ms, 0);
    stage.clock.get() - begin_ms
}

#[test]
fn a_disk_that_heals_slowly_stops_nobody_who_reads() {
    for policy in [AppendFsync::Always, AppendFsync::Everysec] {
        for seed in 0..10 {
            let stage = failed_and_healing(policy, seed, None);
            assert!(3000 <= read_until_healed(&stage), "one sync more has to succeed");
            assert!(stage.is_told());
            assert!(!stage.life.borrow().engine.state.persistence.rewrite_in_progress);
            assert!(stage.again(true).has("a"), "{policy:?} {seed}");
        }
    }
}

#[test]
fn a_log_is_healed_soon_however_many_rewrites_failed_before() {
    let mut healed = 0;
    for turns in 0..14 {
        let stage = Stage::new(AppendFsync::Everysec, 1);
        stage.say("SET a 1");
        for _ in 0..6 {
            stage.rewrite();
            stage.wait();
            // Now and then no child can be made, which is as well.
            let job = stage.life.borrow().jobs.take();
            job.iter().for_each(|job| job.kill_after(1));
            job.into_iter().for_each(|job| run_child(&stage.life, job, &stage.disk));
            stage.wait();
        }
        assert_eq!(stage.life.borrow().engine.state.persistence.rewrites_consecutive_failures, 6);
        // A sync for a backup fails, of the log's own file if it comes at the right moment.
        stage.disk.set_sync_ms(10);
        stage.life.borrow_mut().back_up(Path::new("monday"));
        (0..turns).for_each(|_| stage.life.borrow_mut().idle(10));
        stage.disk.set_trouble(Some(Trouble::Unsynced));
        stage.wait();
        stage.disk.set_trouble(None);
        healed += u32::from(!stage.life.borrow().accepts_writes());
        read_until_healed(&stage);
        assert!(stage.again(true).has("a"));
    }
    assert!(0 < healed);
}

#[test]
fn a_log_whose_healing_child_was_killed_is_healed_by_the_helper() {
    let mut committed = 0;
    for operations in 0..20 {
        let stage = failed_and_healing(AppendFsync::Always, operations, Some(operations));
        let took_ms = read_until_healed(&stage);
        // Three syncs of three seconds: two directories and the increment, if the manifest was there already.
        let rewrites = stage.life.borrow().engine.state.persistence.rewrites_consecutive_failures;
        committed += u64::from(rewrites == 0 && 9000 <= took_ms);
        assert!(stage.is_told());
        assert!(stage.again(true).has("a"), "{operations}");
    }
    assert!(0 < committed);
}

#[test]
fn a_log_that_was_killed_or_cut_while_it_was_healing_has_promised_nothing() {
    for seed in 0..40 {
        let stage = failed_and_healing(AppendFsync::Always, seed, None);
        (0..20).for_each(|_| stage.life.borrow_mut().idle(100));
        assert!(!stage.is_told(), "the increment is not synced yet");
        let stage = stage.again(seed % 2 == 0);
        assert!(stage.has("a"), "its base is");
    }
}

#[test]
fn a_sync_that_fails_while_the_log_heals_is_not_acknowledged_either() {
    for seed in 0..20 {
        let stage = failed_and_healing(AppendFsync::Always, seed, None);
        stage.life.borrow_mut().idle(100);
        stage.disk.set_trouble(Some(Trouble::Unsynced));
        (0..60).for_each(|_| stage.life.borrow_mut().idle(100));
        assert!(!stage.is_told(), "the sync of the increment has failed");
        assert!(!stage.life.borrow().engine.state.persistence.last_rewrite_ok);
        stage.disk.set_trouble(None);
        read_until_healed(&stage);
        assert!(stage.is_told());
        assert!(stage.again(true).has("a"), "seed {seed}");
    }
}

#[test]
fn a_shutdown_waits_for_a_log_that_heals() {
    let stage = failed_and_healing(AppendFsync::Always, 1, None);
    stage.life.borrow_mut().idle(100);
    assert!(!stage.is_told());
    stage.flush().expect("it has healed on the way");
    assert!(stage.again(true).has("a"));
}

#[test]
fn what_was_acknowledged_under_everysec_is_synced_whatever_the_policy_is_then() {
    for seed in 0..20 {
        let stage = Stage::new(AppendFsync::Everysec, seed);
        stage.say("SET a 1");
        assert!(stage.is_told());
        stage.life.borrow_mut().set_policy(AppendFsync::No);
        stage.wait();
        stage.say("SET b 1");
        stage.wait();
        let figures = stage.life.borrow().engine.state.persistence.unsynced_bytes;
        assert!(0 < figures, "nobody has promised to sync what came after");
        assert!(stage.again(true).has("a"), "seed {seed}");
    }
}

#[test]
fn under_always_nobody_is_shown_what_another_policy_has_not_synced() {
    for before in [AppendFsync::No, AppendFsync::Everysec] {
        for seed in 0..20 {
            let stage = Stage::new(before, seed);
            stage.say("SET a 1");
            stage.disk.set_sync_ms(300);
            stage.life.borrow_mut().set_policy(AppendFsync::Always);
            let replies = stage.life.borrow().replies;
            stage.say("GET a");
            assert_eq!(stage.life.borrow().replies, replies, "{before:?}: a cut could take it back");
            stage.wait();
            assert_eq!(stage.life.borrow().replies, replies + 1);
            assert!(stage.again(true).has("a"), "{before:?} {seed}");
        }
    }
}

#[test]
fn a_log_that_was_switched_off_broken_is_not_taken_for_whole() {
    for seed in 0..20 {
        let stage = Stage::new(AppendFsync::Everysec, seed);
        stage.say("SET a 1");
        stage.disk.set_trouble(Some(Trouble::Broken));
        stage.life.borrow_mut().switch_off();
        stage.disk.set_trouble(None);
        // The disk did not take the mark either, so it is owed.
        stage.wait();
        let stage = stage.again(false);
        assert!(!stage.life.borrow().accepts_writes(), "the kernel has it, the disk not");
        stage.wait();
        stage.child();
        stage.say("SET b 1");
        stage.wait();
        let stage = stage.again(true);
        assert!(stage.has("a") && stage.has("b"), "seed {seed}");
    }
}

#[test]
fn a_log_that_is_on_again_with_a_base_has_no_mark_left() {
    let mark = Path::new("appendonlydir/temp-appendonly.aof.unsynced");
    let stage = Stage::new(AppendFsync::Everysec, 1);
    stage.say("SET a 1");
    stage.disk.set_trouble(Some(Trouble::Unsynced));
    stage.life.borrow_mut().switch_off();
    stage.disk.set_trouble(None);
    stage.wait();
    assert!(stage.disk.read(mark).is_some());
    stage.life.borrow_mut().switch_on();
    assert!(stage.disk.read(mark).is_some(), "the old files count until then");
    stage.child();
    assert!(stage.disk.read(mark).is_none());
    assert!(stage.again(true).has("a"));
}

#[test]
fn a_start_makes_names_last_before_it_deletes_what_they_replace() {
    let mut killed = 0;
    for (operations, seed) in (0..20).flat_map(|operations| (0..20).map(move |seed| (operations, seed))) {
        let stage = Stage::new(AppendFsync::No, seed);
        stage.say("SET a 1");
        stage.rewrite();
        stage.wait();
        // One of a hundred cannot be forked.
        let Some(job) = stage.life.borrow().jobs.take() else { continue };
        // At some of these the new manifest has its name, which no sync has brought to the disk.
        job.kill_after(operations);
        run_child(&stage.life, job, &stage.disk);
        let stage = stage.again(false).again(true);
        assert!(stage.has("a"), "{operations} {seed}");
        killed += 1;
    }
    assert!(300 < killed);
}

#[test]
fn the_last_word_of_a_start_after_a_failed_sync_does_not_make_a_hole_of_what_is_torn() {
    for (cut, seed) in (1..40).flat_map(|cut| (0..12).map(move |seed| (cut, seed))) {
        let stage = Stage::new(AppendFsync::Always, seed);
        stage.say("SET a 1");
        stage.wait();
        stage.disk.set_sync_ms(10);
        stage.rewrite();
        let manifest = Path::new("appendonlydir/appendonly.aof.manifest");
        let names =
            || stage.disk.read(manifest).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
        let before = names();
        while names() == before {
            stage.life.borrow_mut().idle(1);
        }
        // The manifest names a next increment, and what is written to this one now is not synced.
        stage.disk.set_trouble(Some(Trouble::Unsynced));
        stage.say("SET b 1");
        stage.say("SET c 1");
        stage.wait();
        stage.disk.set_trouble(None);
        let Stage { clock, disk, life, .. } = stage;
        drop(life);
        disk.restart();
        disk.cut_at(Some(disk.figures().operations + cut));
        drop(Life::start(&disk, &clock, plan(AppendFsync::Always), 7));
        disk.cut();
        disk.restart();
        let life = Life::start(&disk, &clock, plan(AppendFsync::Always), 8);
        let life = life.unwrap_or_else(|error| panic!("cut {cut} seed {seed}: {error}"));
        assert!(life.units[0].data.contains_key(&(0, b"a".to_vec())), "cut {cut} seed {seed}");
    }
}

#[test]
fn a_log_that_cannot_begin_to_heal_leaves_out_nothing_of_what_waits() {
    let increment = Path::new("appendonlydir/appendonly.aof.1.incr.aof");
    for policy in [AppendFsync::Always, AppendFsync::Everysec] {
        let stage = Stage::new(policy, 1);
        stage.disk.set_sync_ms(10);
        // At any time some of these expire, which is written whoever is refused.
        (1..30).for_each(|number| stage.say(&format!("SET {number} 1 PX {}", number * 100)));
        // Neither can this be written, nor what is before it be synced, nor a new increment be made.
        stage.disk.set_trouble(Some(Trouble::Broken));
        stage.say("SET waits 1");
        while stage.life.borrow().engine.state.persistence.rewrites_consecutive_failures == 0 {
            stage.life.borrow_mut().idle(10);
        }
        stage.disk.set_trouble(Some(Trouble::Unsynced));
        let read = || String::from_utf8_lossy(&stage.disk.read(increment).expect("there")).into_owned();
        let before = read();
        (0..5).for_each(|_| stage.life.borrow_mut().idle(100));
        let now = read();
        assert!(!before.contains("waits") && before.len() < now.len(), "{policy:?}");
        assert!(now.contains("waits"), "{policy:?}: what came after it is written, and it is not");
    }
}

#[test]
fn a_disk_that_stays_broken_is_tried_less_and_less_whatever_is_written_meanwhile() {
    let stage = Stage::new(AppendFsync::Always, 1);
    stage.disk.set_sync_ms(10);
    (1..40).for_each(|number| stage.say(&format!("SET {number} 1 PX {}", number * 300)));
    stage.disk.set_trouble(Some(Trouble::Unsynced));
    for _ in 0..1500 {
        stage.child_if_any();
        stage.life.borrow_mut().idle(10);
    }
    let tries = stage.life.borrow().engine.state.persistence.rewrites_consecutive_failures;
    // At once, and 1, 3, 7, and 15 seconds later.
    assert!((3..=5).contains(&tries), "{tries} in 15 seconds");
}
