//! Ranges of ranks, scores and texts: what lies in them is returned, stored, counted or removed.

use std::ops::Range;

use super::{limits, read, remove_ranks, reply_header, reply_member, store, write};
use crate::base::number::{parse_bound, parse_i64};
use crate::command::options::Options;
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome};
use crate::data::zset::{LexBound, LexRange, ScoreRange, Zset};
use crate::resp::request::Args;

const NO_FLOAT: Error = Error::of("ERR min or max is not a float");
const NO_TEXT: Error = Error::of("ERR min or max not valid string range item");

/// What the ends of a range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// The ends of a range.
#[derive(Clone, Copy)]
enum Bounds<'a> {
    /// Both included; negative ones count from the end.
    Ranks(i64, i64),
    Scores(ScoreRange),
    Texts(LexRange<'a>),
}

/// One end of a range of scores, and whether it is left out.
fn score_bound(text: &[u8]) -> Result<(f64, bool), Error> {
    let (number, open) = match text {
        [b'(', rest @ ..] => (rest, true),
        _ => (text, false),
    };
    Ok((parse_bound(number).ok_or(NO_FLOAT)?, open))
}

/// One end of a range of texts. What follows a sign that stands alone is looked at up to a zero byte.
fn lex_bound(text: &[u8]) -> Result<LexBound<'_>, Error> {
    match text {
        [b'-'] | [b'-', 0, ..] => Ok(LexBound::Lowest),
        [b'+'] | [b'+', 0, ..] => Ok(LexBound::Highest),
        [b'[', rest @ ..] => Ok(LexBound::With(rest)),
        [b'(', rest @ ..] => Ok(LexBound::Without(rest)),
        _ => Err(NO_TEXT),
    }
}

impl<'a> Bounds<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Bounds<'a>, Error> {
        let rank = |text| parse_i64(text).ok_or(Error::NOT_INTEGER);
        Ok(match by {
            By::Rank => Bounds::Ranks(rank(min)?, rank(max)?),
            By::Score => {
                let ((min, min_open), (max, max_open)) = (score_bound(min)?, score_bound(max)?);
                Bounds::Scores(ScoreRange { min, min_open, max, max_open })
            }
            By::Lex => Bounds::Texts(LexRange { min: lex_bound(min)?, max: lex_bound(max)? }),
        })
    }

    /// The ranks of the members between them; `reverse`: ranks are counted, and texts looked for, from the end.
    fn ranks(&self, zset: &Zset, reverse: bool) -> Range<usize> {
        match self {
            Bounds::Scores(range) => zset.ranks_by_score(range),
            Bounds::Texts(range) => zset.ranks_by_lex(range, reverse),
            Bounds::Ranks(start, stop) => {
                let len = zset.len() as i64;
                let from_head = |rank: i64| if rank < 0 { rank + len } else { rank };
                let (first, last) = (from_head(*start).max(0), from_head(*stop).min(len - 1));
                if last < first {
                    return 0..0;
                }
                let (first, end) = if reverse { (len - 1 - last, len - first) } else { (first, last + 1) };
                first as usize..end as usize
            }
        }
    }
}

/// What the family of `ZRANGE` asks for.
struct Query<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    /// How many members to pass over, and how many to take at most; negative = all.
    limit: (i64, i64),
    scores: bool,
}

/// What the name of a command says of its query, and what is left to options.
#[derive(Clone, Copy)]
struct Shape {
    /// Where the ends stand.
    at: usize,
    by: Option<By>,
    reverse: Option<bool>,
    /// Whether the members are stored, so that scores are not for the reply.
    store: bool,
}

impl<'a> Query<'a> {
    fn parse(args: Args<'a>, shape: Shape) -> Result<Query<'a>, Error> {
        let (mut by, mut reverse, mut limit, mut scores) = (shape.by, shape.reverse, (0, -1), false);
        let mut options = Options::new(args, shape.at + 2);
        while options.more() {
            if !shape.store && options.word("WITHSCORES") {
                scores = true;
            } else if 2 < options.left() && options.word("LIMIT") {
                limit = (options.integer()?, options.integer()?);
            } else if reverse.is_none() && options.word("REV") {
                reverse = Some(true);
            } else if by.is_none() && options.word("BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && options.word("BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if by == By::Rank && limit.1 != -1 {
            return Err(Error::of(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if by == By::Lex && scores {
            return Err(Error::of("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let (mut min, mut max) = (args.get(shape.at), args.get(shape.at + 1));
        if reverse && by != By::Rank {
            std::mem::swap(&mut min, &mut max);
        }
        let limit = if by == By::Rank { (0, -1) } else { limit };
        Ok(Query { bounds: Bounds::parse(by, min, max)?, reverse, limit, scores })
    }

    /// The ranks that are asked for.
    fn ranks(&self, zset: &Zset) -> Range<usize> {
        let Range { start, end } = self.bounds.ranks(zset, self.reverse);
        let (offset, count) = self.limit;
        let Ok(offset) = usize::try_from(offset) else { return 0..0 };
        let (offset, left) = (offset.min(end - start), (end - start).saturating_sub(offset));
        let count = usize::try_from(count).map_or(left, |count| count.min(left));
        match self.reverse {
            true => end - offset - count..end - offset,
            false => start + offset..start + offset + count,
        }
    }
}

fn reply_range(ctx: &mut Ctx<'_>, args: Args<'_>, by: Option<By>, reverse: Option<bool>) -> Outcome {
    let query = Query::parse(args, Shape { at: 2, by, reverse, store: false })?;
    let key = ctx.key(args, 1);
    let Some(zset) = read(ctx.keys, key)? else {
        ctx.reply.array(0);
        return Ok(Effect::Unchanged);
    };
    let ranks = query.ranks(zset);
    reply_header(ctx.reply, ranks.len(), query.scores);
    let members = zset.range(ranks);
    if query.reverse {
        members.rev().for_each(|(item, score)| reply_member(ctx.reply, item, score, query.scores));
    } else {
        members.for_each(|(item, score)| reply_member(ctx.reply, item, score, query.scores));
    }
    Ok(Effect::Unchanged)
}

pub(super) fn zrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_range(ctx, args, None, None)
}

pub(super) fn zrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_range(ctx, args, Some(By::Rank), Some(true))
}

pub(super) fn zrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_range(ctx, args, Some(By::Score), Some(false))
}

pub(super) fn zrevrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_range(ctx, args, Some(By::Score), Some(true))
}

pub(super) fn zrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_range(ctx, args, Some(By::Lex), Some(false))
}

pub(super) fn zrevrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_range(ctx, args, Some(By::Lex), Some(true))
}

pub(super) fn zrangestore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let query = Query::parse(args, Shape { at: 3, by: None, reverse: None, store: true })?;
    let limits = limits(ctx);
    let (destination, source) = (ctx.key(args, 1), ctx.key(args, 2));
    let (mut result, mut ranks) = (Zset::default(), 0..0);
    if let Some(zset) = read(ctx.keys, source)? {
        ranks = query.ranks(zset);
        result.expect(ranks.len(), &limits);
        for (item, score) in zset.range(ranks.clone()) {
            item.with_bytes(|text| result.insert(score, text, &limits));
        }
    }
    match store(ctx, destination, result, "zrangestore")? {
        Effect::Changed if matches!(query.bounds, Bounds::Texts(_)) => {
            Ok(log_ranks(ctx, &[b"ZRANGESTORE", args.get(1), args.get(2)], ranks))
        }
        effect => Ok(effect),
    }
}

fn count(ctx: &mut Ctx<'_>, args: Args<'_>, by: By) -> Outcome {
    let bounds = Bounds::parse(by, args.get(2), args.get(3))?;
    let key = ctx.key(args, 1);
    let count = read(ctx.keys, key)?.map_or(0, |zset| bounds.ranks(zset, false).len());
    ctx.reply.integer(count as i64);
    Ok(Effect::Unchanged)
}

pub(super) fn zcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    count(ctx, args, By::Score)
}

pub(super) fn zlexcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    count(ctx, args, By::Lex)
}

fn remove(ctx: &mut Ctx<'_>, args: Args<'_>, by: By, event: &'static str) -> Outcome {
    let bounds = Bounds::parse(by, args.get(2), args.get(3))?;
    let key = ctx.key(args, 1);
    let Some(zset) = write(ctx.keys, key)? else {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    };
    let ranks = bounds.ranks(zset, false);
    let (removed, is_empty) = (ranks.len(), ranks.len() == zset.len());
    ctx.reply.integer(removed as i64);
    if removed == 0 {
        return Ok(Effect::Unchanged);
    }
    // What goes as a whole is left to the deletion of the key, which frees a long set in slices.
    if !is_empty {
        remove_ranks(ctx.keys, key, ranks.clone());
    }
    let effect = if by == By::Lex {
        log_ranks(ctx, &[b"ZREMRANGEBYRANK", args.get(1)], ranks)
    } else {
        Effect::Changed
    };
    ctx.settle(Class::Zset, event, key, is_empty);
    Ok(effect)
}

/// The record of a change by texts: it names the ranks that were found. Among members of different scores, texts are in
/// no order, and which are found depends on how the set is stored; a replay may store it in another way.
fn log_ranks(ctx: &mut Ctx<'_>, begin: &[&[u8]], ranks: Range<usize>) -> Effect {
    // An empty range has no last rank: it is one that runs backwards.
    let (first, last) = if ranks.is_empty() { (1, 0) } else { (ranks.start, ranks.end - 1) };
    let (first, last) = (first.to_string(), last.to_string());
    ctx.log(&[begin, &[first.as_bytes(), last.as_bytes()]].concat());
    Effect::Logged
}

pub(super) fn zremrangebyrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    remove(ctx, args, By::Rank, "zremrangebyrank")
}

pub(super) fn zremrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    remove(ctx, args, By::Score, "zremrangebyscore")
}

pub(super) fn zremrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    remove(ctx, args, By::Lex, "zremrangebylex")
}
