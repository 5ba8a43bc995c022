//! Unions, intersections and differences of sorted sets and sets. The members of a set have the score 1.

use super::{limits, reply_header, reply_member, store};
use crate::base::number::{parse_f64, parse_i64};
use crate::command::options::Options;
use crate::command::spec::{Ctx, Effect, Error, Outcome};
use crate::data::element::Item;
use crate::data::entry::Entry;
use crate::data::keyspace::{Key, Keyspace};
use crate::data::set::Set;
use crate::data::zset::{Limits, Zset};
use crate::resp::request::Args;

/// What is done with the sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// What becomes of the scores that a member has in several sets.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
    /// In how many sets the member is, each counted as much as it weighs; what scores it has there does not matter.
    Count,
}

impl Aggregate {
    /// What a set adds to the score of a member.
    fn share(self, weight: f64, score: f64) -> f64 {
        match self {
            Aggregate::Count => weight,
            Aggregate::Sum | Aggregate::Min | Aggregate::Max => weight * score,
        }
    }

    /// Infinities of both signs add up to zero, and so does whatever else is no number.
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Aggregate::Sum | Aggregate::Count => number(a + b),
            Aggregate::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Aggregate::Max => {
                if a < b {
                    b
                } else {
                    a
                }
            }
        }
    }
}

fn number(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

/// One of the sets.
#[derive(Clone, Copy)]
enum Source<'a> {
    Nothing,
    Zset(&'a Zset),
    Set(&'a Set),
}

impl<'a> Source<'a> {
    fn of(entry: Option<&'a Entry>) -> Option<Source<'a>> {
        let Some(entry) = entry else { return Some(Source::Nothing) };
        entry.zset().map(Source::Zset).or_else(|| entry.set().map(Source::Set))
    }

    fn len(&self) -> usize {
        match self {
            Source::Nothing => 0,
            Source::Zset(zset) => zset.len(),
            Source::Set(set) => set.len(),
        }
    }

    /// The score of a member.
    fn score(&self, item: Item<'_>) -> Option<f64> {
        match self {
            Source::Nothing => None,
            Source::Zset(zset) => item.with_bytes(|text| zset.score(text)),
            Source::Set(set) => set.contains_item(item).then_some(1.0),
        }
    }

    /// Visits the members as long as `visit` says so.
    fn visit(&self, mut visit: impl FnMut(Item<'a>, f64) -> bool) {
        match self {
            Source::Nothing => {}
            Source::Zset(zset) => _ = zset.iter().all(|(item, score)| visit(item, score)),
            Source::Set(set) => _ = set.iter().all(|item| visit(item, 1.0)),
        }
    }
}

/// A request of this family.
struct Request<'a> {
    operation: Operation,
    keys: Vec<Key<'a>>,
    weights: Vec<f64>,
    aggregate: Aggregate,
    scores: bool,
    /// How far to count; 0 = to the end.
    limit: usize,
}

/// What a command of this family is for: its name and what may stand behind the keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Reply,
    Store,
    Count,
}

impl<'a> Request<'a> {
    /// Reads a request whose number of keys stands at `at`.
    fn parse(
        ctx: &mut Ctx<'_>,
        args: Args<'a>,
        at: usize,
        operation: Operation,
        purpose: Purpose,
    ) -> Result<Request<'a>, Error> {
        let numkeys = ctx.integer(args.get(at))?;
        if numkeys < 1 {
            let name = String::from_utf8_lossy(args.get(0)).to_lowercase();
            return Err(Error::text(format!("ERR at least 1 input key is needed for '{name}' command")));
        }
        let first = at + 1;
        let numkeys = usize::try_from(numkeys).unwrap_or(usize::MAX);
        if args.len() - first < numkeys {
            return Err(Error::SYNTAX);
        }
        let keys: Vec<Key<'a>> = (first..first + numkeys).map(|index| ctx.key(args, index)).collect();
        for key in &keys {
            Source::of(ctx.keys.read(*key)).ok_or(Error::WRONG_TYPE)?;
        }
        let weights = vec![1.0; numkeys];
        let mut found =
            Request { operation, keys, weights, aggregate: Aggregate::Sum, scores: false, limit: 0 };
        found.parse_options(Options::new(args, first + numkeys), purpose)?;
        Ok(found)
    }

    fn parse_options(&mut self, mut options: Options<'a>, purpose: Purpose) -> Result<(), Error> {
        const WEIGHT: Error = Error::of("ERR weight value is not a float");
        const LIMIT: Error = Error::of("ERR LIMIT can't be negative");
        let weighs = self.operation != Operation::Diff && purpose != Purpose::Count;
        while options.more() {
            if weighs && self.weights.len() < options.left() && options.word("WEIGHTS") {
                for weight in &mut self.weights {
                    *weight = parse_f64(options.value()?).ok_or(WEIGHT)?;
                }
            } else if weighs && options.word_with_value("AGGREGATE") {
                self.aggregate = match () {
                    () if options.word("SUM") => Aggregate::Sum,
                    () if options.word("MIN") => Aggregate::Min,
                    () if options.word("MAX") => Aggregate::Max,
                    () if options.word("COUNT") => Aggregate::Count,
                    () => return Err(Error::SYNTAX),
                };
            } else if purpose == Purpose::Reply && options.word("WITHSCORES") {
                self.scores = true;
            } else if purpose == Purpose::Count && options.word_with_value("LIMIT") {
                let limit = parse_i64(options.value()?).and_then(|limit| usize::try_from(limit).ok());
                self.limit = limit.ok_or(LIMIT)?;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(())
    }

    /// The sets with their weights, in the order in which Redis goes through them: a difference begins with the first
    /// one, everything else with the smallest.
    fn sources<'k>(&self, keys: &'k Keyspace) -> Vec<(Source<'k>, f64)> {
        let found = self.keys.iter().map(|key| Source::of(keys.stored(*key)).unwrap_or(Source::Nothing));
        let mut sources: Vec<_> = found.zip(self.weights.iter().copied()).collect();
        if self.operation != Operation::Diff {
            sources.sort_by_key(|(source, _)| source.len());
        }
        sources
    }

    fn result(&self, keys: &Keyspace, limits: &Limits) -> Zset {
        let sources = self.sources(keys);
        let mut found = Vec::new();
        match self.operation {
            Operation::Union => return self.union(&sources, limits),
            Operation::Inter => self.inter(&sources, |item, score| {
                found.push((score, item.to_vec()));
                true
            }),
            Operation::Diff => sources[0].0.visit(|item, score| {
                if sources[1..].iter().all(|(source, _)| source.score(item).is_none()) {
                    found.push((score, item.to_vec()));
                }
                true
            }),
        }
        Zset::of(found, limits)
    }

    fn union(&self, sources: &[(Source<'_>, f64)], limits: &Limits) -> Zset {
        // As in Redis the sums do not grow in a pack, which would lose the sign of a zero.
        let growing = Limits { entries: 0, ..limits.clone() };
        let mut result = Zset::for_members(1, 0, &growing);
        for (source, weight) in sources {
            source.visit(|item, score| {
                let score = number(self.aggregate.share(*weight, score));
                let decide = |old: Option<f64>| Some(old.map_or(score, |old| self.aggregate.of(old, score)));
                item.with_bytes(|text| result.update(text, &growing, decide));
                true
            });
        }
        result.compact(limits)
    }

    /// Visits the members that all sets have, with their scores, as long as `visit` says so.
    fn inter<'k>(&self, sources: &[(Source<'k>, f64)], mut visit: impl FnMut(Item<'k>, f64) -> bool) {
        let Some(((smallest, weight), others)) = sources.split_first() else { return };
        smallest.visit(|item, score| {
            let mut sum = number(self.aggregate.share(*weight, score));
            for (other, weight) in others {
                let Some(score) = other.score(item) else { return true };
                sum = self.aggregate.of(sum, self.aggregate.share(*weight, score));
            }
            visit(item, sum)
        });
    }
}

fn reply_result(ctx: &mut Ctx<'_>, args: Args<'_>, operation: Operation) -> Outcome {
    let request = Request::parse(ctx, args, 1, operation, Purpose::Reply)?;
    // Never a pack, which would lose the sign of a zero.
    let result = request.result(ctx.keys, &Limits { entries: 0, ..limits(ctx) });
    reply_header(ctx.reply, result.len(), request.scores);
    result.iter().for_each(|(item, score)| reply_member(ctx.reply, item, score, request.scores));
    Ok(Effect::Unchanged)
}

pub(super) fn zunion(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_result(ctx, args, Operation::Union)
}

pub(super) fn zinter(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_result(ctx, args, Operation::Inter)
}

pub(super) fn zdiff(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_result(ctx, args, Operation::Diff)
}

fn store_result(ctx: &mut Ctx<'_>, args: Args<'_>, operation: Operation, event: &'static str) -> Outcome {
    let destination = ctx.key(args, 1);
    let request = Request::parse(ctx, args, 2, operation, Purpose::Store)?;
    let result = request.result(ctx.keys, &limits(ctx));
    store(ctx, destination, result, event)
}

pub(super) fn zunionstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    store_result(ctx, args, Operation::Union, "zunionstore")
}

pub(super) fn zinterstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    store_result(ctx, args, Operation::Inter, "zinterstore")
}

pub(super) fn zdiffstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    store_result(ctx, args, Operation::Diff, "zdiffstore")
}

pub(super) fn zintercard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let request = Request::parse(ctx, args, 1, Operation::Inter, Purpose::Count)?;
    let mut count = 0;
    request.inter(&request.sources(ctx.keys), |_, _| {
        count += 1;
        count != request.limit
    });
    ctx.reply.integer(count as i64);
    Ok(Effect::Unchanged)
}
