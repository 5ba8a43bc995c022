//! The log tortured: on a disk whose power is cut at each operation and whose calls fail, and with files cut at each
//! byte and altered. `scripts/torture.sh` runs all of it for as long as it is told to and ends in a table.
//!
//! Environment: `KVICK_TORTURE_SECONDS` (how long each part goes on beyond its minimum, default 0),
//! `KVICK_TORTURE_SEED` (the first seed), `KVICK_TORTURE_STORIES` (the minimum).

#[path = "torture/commands.rs"]
mod commands;
mod common;
#[path = "torture/damage.rs"]
mod damage;
#[path = "torture/disk.rs"]
mod disk;
#[path = "torture/child.rs"]
mod child;
#[path = "torture/healing.rs"]
mod healing;
#[path = "torture/history.rs"]
mod history;
#[path = "torture/life.rs"]
mod life;
mod play;
#[path = "torture/small.rs"]
mod small;

use std::time::{Duration, Instant};

use common::{Random, env_number};
use history::{Tally, tell};

/// Histories that are told in any case.
const HISTORIES_MIN: u64 = 150;
/// Stories whose first life is cut at each operation in any case.
const SWEEPS_MIN: u64 = 2;
/// Operations at which one story is cut, at most.
const CUTS_MAX: u64 = 400;

/// Goes on while there is time, at least `min` times; hands out seeds.
fn while_there_is_time(min: u64, mut act: impl FnMut(u64)) {
    let until = Instant::now() + Duration::from_secs(env_number("KVICK_TORTURE_SECONDS", 0));
    let first = Random::seed_from_env("KVICK_TORTURE_SEED");
    let mut done = 0;
    let min = env_number("KVICK_TORTURE_STORIES", min);
    while done < min || Instant::now() < until {
        act(first + done);
        done += 1;
    }
}

#[test]
fn histories_of_power_cuts_kills_and_faults() {
    let mut tally = Tally::default();
    while_there_is_time(HISTORIES_MIN, |seed| {
        tell(seed, None, &mut tally);
    });
    println!("torture: {tally:?}");
    assert!(0 < tally.cuts && 0 < tally.kills && 0 < tally.faults && 0 < tally.heals && 0 < tally.gone);
    assert!(0 < tally.backups && 0 < tally.changes && 0 < tally.served && 0 < tally.begun);
    assert!(0 < tally.evicted && 0 < tally.expired && 0 < tally.expired_fields);
}

#[test]
fn the_power_cut_at_each_operation() {
    let mut tally = Tally::default();
    while_there_is_time(SWEEPS_MIN, |seed| {
        let operations = tell(seed, Some(u64::MAX), &mut tally);
        let step = operations.div_ceil(CUTS_MAX).max(1);
        for cut in (1..=operations).step_by(step as usize) {
            tell(seed, Some(cut), &mut tally);
        }
    });
    println!("torture: {tally:?}");
    assert!(0 < tally.cuts);
}
