//! Registers as runs of equal ones.
//!
//! ```text
//! 00llllll            l + 1 registers of zero
//! 01llllll llllllll   l + 1 registers of zero
//! 1rrrrrll            l + 1 registers of rank r + 1
//! ```
//!
//! Which of the possible ways to write the same registers comes out decides the bytes that `GET` shows and when a
//! string gets too long to be sparse; so runs are split and joined exactly as Redis does: only around the register
//! that was raised, and zeros never.

use crate::data::hyperloglog::{Corrupt, HEADER, Mark, REGISTERS};

/// The highest rank that a run can say.
const RANK_MAX: u8 = 32;
/// The most registers of a rank in a run.
const RANKED_MAX: usize = 4;
/// The most registers of zero in a run of one byte.
const SHORT_ZEROS_MAX: usize = 64;
/// A string that is longer has more runs than registers.
pub const LEN_MAX: usize = HEADER + 2 * REGISTERS;
/// Runs that are looked at for joining, from the one before the change on; a joint counts as one, too.
const JOINED_MAX: usize = 5;

/// A run of equal registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// Their rank; 0 = no element.
    pub rank: u8,
    /// How many.
    pub len: usize,
    /// Bytes that the run takes.
    pub size: usize,
}

/// The runs of a string, until its end or until one is cut off.
#[derive(Clone, Copy)]
pub struct Runs<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The runs of a sparse string.
pub fn runs(bytes: &[u8]) -> Runs<'_> {
    Runs { bytes, at: HEADER }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    #[inline]
    fn next(&mut self) -> Option<Run> {
        let run = run(self.bytes, self.at)?;
        self.at += run.size;
        Some(run)
    }
}

#[inline]
fn run(bytes: &[u8], at: usize) -> Option<Run> {
    let first = *bytes.get(at)?;
    let low = usize::from(first & 0x3f);
    Some(match first >> 6 {
        0 => Run { rank: 0, len: low + 1, size: 1 },
        1 => Run { rank: 0, len: (low << 8 | usize::from(*bytes.get(at + 1)?)) + 1, size: 2 },
        _ => Run { rank: (first >> 2 & 0x1f) + 1, len: usize::from(first & 3) + 1, size: 1 },
    })
}

fn ranked(rank: u8, len: usize) -> u8 {
    0x80 | (rank - 1) << 2 | (len as u8 - 1)
}

/// Calls `each` with every run and the index of its first register.
pub fn for_each_run(bytes: &[u8], mut each: impl FnMut(usize, Run)) -> Result<(), Corrupt> {
    let (mut runs, mut index) = (runs(bytes), 0);
    for run in runs.by_ref() {
        if REGISTERS - index < run.len {
            return Err(Corrupt);
        }
        each(index, run);
        index += run.len;
    }
    if index == REGISTERS && runs.at == bytes.len() { Ok(()) } else { Err(Corrupt) }
}

/// Appends a run of zeros, from 1 to 16384.
pub fn append_zeros(bytes: &mut Vec<u8>, len: usize) {
    let mut text = Text::default();
    text.zeros(len);
    bytes.extend_from_slice(text.bytes());
}

/// The runs that take the place of one.
#[derive(Default)]
struct Text {
    bytes: [u8; 5],
    len: usize,
}

impl Text {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn zeros(&mut self, len: usize) {
        match len {
            0 => {}
            1..=SHORT_ZEROS_MAX => self.push(len as u8 - 1),
            _ => {
                self.push(0x40 | ((len - 1) >> 8) as u8);
                self.push((len - 1) as u8);
            }
        }
    }

    /// As many registers as there were of a run.
    fn part(&mut self, rank: u8, len: usize) {
        match (rank, len) {
            (0, _) => self.zeros(len),
            (_, 0) => {}
            (rank, len) => self.push(ranked(rank, len)),
        }
    }
}

/// The beginning of a run near the last change.
#[derive(Clone, Copy)]
pub struct Cursor {
    at: usize,
    /// Index of the run's first register.
    index: usize,
}

impl Default for Cursor {
    /// The first run.
    fn default() -> Cursor {
        Cursor { at: HEADER, index: 0 }
    }
}

/// What came of raising a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Raised {
    /// It stood as high already.
    No,
    /// It was raised.
    Yes,
    /// Nothing: the string would get too long, or the rank is too high.
    TooMuch,
}

/// Raises a register.
pub fn raise(
    bytes: &mut Vec<u8>,
    mark: Mark,
    cursor: &mut Cursor,
    len_max: usize,
) -> Result<Raised, Corrupt> {
    if RANK_MAX < mark.rank {
        return Ok(Raised::TooMuch);
    }
    let (here, before) = find(bytes, mark.index, *cursor)?;
    let run = run(bytes, here.at).ok_or(Corrupt)?;
    if mark.rank <= run.rank {
        return Ok(Raised::No);
    }
    let mut text = Text::default();
    text.part(run.rank, mark.index - here.index);
    text.push(ranked(mark.rank, 1));
    text.part(run.rank, here.index + run.len - 1 - mark.index);
    let longer = text.len.saturating_sub(run.size);
    if 0 < longer && len_max < bytes.len() + longer {
        return Ok(Raised::TooMuch);
    }
    replace(bytes, here.at, run.size, text.bytes());
    let before = before.unwrap_or_default();
    join(bytes, before.at);
    *cursor = before;
    Ok(Raised::Yes)
}

/// The run with a register, and the one before it.
fn find(bytes: &[u8], index: usize, from: Cursor) -> Result<(Cursor, Option<Cursor>), Corrupt> {
    let (mut here, mut before) = (from, None);
    loop {
        let run = run(bytes, here.at).ok_or(Corrupt)?;
        if index < here.index + run.len {
            break;
        }
        before = Some(here);
        here = Cursor { at: here.at + run.size, index: here.index + run.len };
    }
    // Where the cursor itself is meant, the run before it is not known.
    if before.is_none() && here.at != HEADER {
        return find(bytes, index, Cursor::default());
    }
    Ok((here, before))
}

fn replace(bytes: &mut Vec<u8>, at: usize, size: usize, text: &[u8]) {
    let end = bytes.len();
    if size < text.len() {
        bytes.resize(end + text.len() - size, 0);
    }
    bytes.copy_within(at + size..end, at + text.len());
    bytes[at..at + text.len()].copy_from_slice(text);
    bytes.truncate(end + text.len() - size);
}

/// Joins runs of the same rank from a place on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_MAX {
        let Some(one) = run(bytes, at) else { return };
        let next = run(bytes, at + one.size);
        match next {
            Some(next) if one.rank != 0 && one.rank == next.rank && one.len + next.len <= RANKED_MAX => {
                bytes[at] = ranked(one.rank, one.len + next.len);
                bytes.remove(at + 1);
            }
            _ => at += one.size,
        }
    }
}
