//! `LCS`: the longest common subsequence of two strings.

use crate::command::options::Options;
use crate::command::spec::flag::READONLY;
use crate::command::spec::{Command, Ctx, Doc, Effect, Error, Find, Group, KeySpec, Outcome};
use crate::resp::reply::Reply;
use crate::resp::request::Args;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "lcs", arity: -3, flags: READONLY,
        keys: &[KeySpec { begin: 1, keyword: None, find: Find::Range { last: 1, step: 1, limit: 0 }, flags: &["RO", "ACCESS"] }],
        run: lcs, subcommands: &[],
        doc: Doc { group: Group::String, since: "7.0.0", complexity: "O(N*M) of the two lengths",
            syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
            summary: "Finds the longest common subsequence of two strings." } },
];

/// The options of `LCS`.
#[derive(Default)]
struct LcsOptions {
    len: bool,
    idx: bool,
    with_match_len: bool,
    match_len_min: i64,
}

impl LcsOptions {
    fn parse(args: Args<'_>) -> Result<LcsOptions, Error> {
        let mut found = LcsOptions::default();
        let mut options = Options::new(args, 3);
        while options.more() {
            if options.word("IDX") {
                found.idx = true;
            } else if options.word("LEN") {
                found.len = true;
            } else if options.word("WITHMATCHLEN") {
                found.with_match_len = true;
            } else if options.word_with_value("MINMATCHLEN") {
                found.match_len_min = options.integer()?.max(0);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        if found.idx && found.len {
            return Err(Error::of("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(found)
    }
}

fn lcs(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut texts = [Vec::new(), Vec::new()];
    for (index, text) in texts.iter_mut().enumerate() {
        let key = ctx.key(args, index + 1);
        if let Some(entry) = ctx.keys.read(key) {
            let value =
                entry.string().ok_or(Error::of("ERR The specified keys must contain string values"))?;
            *text = value.bytes(&mut [0; 20]).to_vec();
        }
    }
    let options = LcsOptions::parse(args)?;
    let [a, b] = texts;
    let cells = (a.len() as u64 + 1).saturating_mul(b.len() as u64 + 1);
    if ctx.state.settings.proto_max_bulk_len < cells.saturating_mul(4) {
        return Err(Error::of(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    let lengths = Lcs::compute(&a, &b);
    if options.len {
        ctx.reply.integer(i64::from(lengths.at(a.len(), b.len())));
    } else if options.idx {
        reply_matches(ctx.reply, &lengths, &a, &b, &options);
    } else {
        let mut text = vec![0; lengths.at(a.len(), b.len()) as usize];
        let mut end = text.len();
        lengths.walk(&a, &b, |i, _| {
            end -= 1;
            text[end] = a[i];
        });
        ctx.reply.bulk(&text);
    }
    Ok(Effect::Unchanged)
}

/// The lengths of the longest common subsequences of all pairs of prefixes.
struct Lcs {
    cells: Vec<u32>,
    width: usize,
}

impl Lcs {
    fn compute(a: &[u8], b: &[u8]) -> Lcs {
        let width = b.len() + 1;
        let mut cells = vec![0u32; (a.len() + 1) * width];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                cells[i * width + j] = if a[i - 1] == b[j - 1] {
                    cells[(i - 1) * width + j - 1] + 1
                } else {
                    cells[(i - 1) * width + j].max(cells[i * width + j - 1])
                };
            }
        }
        Lcs { cells, width }
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }

    /// Visits the pairs of positions of one longest common subsequence from the end to the beginning.
    fn walk(&self, a: &[u8], b: &[u8], mut visit: impl FnMut(usize, usize)) {
        let (mut i, mut j) = (a.len(), b.len());
        while 0 < i && 0 < j {
            if a[i - 1] == b[j - 1] {
                visit(i - 1, j - 1);
                i -= 1;
                j -= 1;
            } else if self.at(i, j - 1) < self.at(i - 1, j) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
    }
}

/// Replies the runs of matching positions, last run first.
fn reply_matches(reply: &mut Reply, lengths: &Lcs, a: &[u8], b: &[u8], options: &LcsOptions) {
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    lengths.walk(a, b, |i, j| match runs.last_mut() {
        Some((first_i, first_j, len)) if *first_i == i + 1 && *first_j == j + 1 => {
            (*first_i, *first_j, *len) = (i, j, *len + 1);
        }
        _ => runs.push((i, j, 1)),
    });
    runs.retain(|run| options.match_len_min <= run.2 as i64);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(runs.len());
    for (i, j, len) in runs {
        reply.array(if options.with_match_len { 3 } else { 2 });
        for first in [i, j] {
            reply.array(2);
            reply.integer(first as i64);
            reply.integer((first + len - 1) as i64);
        }
        if options.with_match_len {
            reply.integer(len as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(i64::from(lengths.at(a.len(), b.len())));
}
