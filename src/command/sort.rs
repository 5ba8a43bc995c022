//! `SORT`: the elements of a list, set or sorted set in another order, or what other keys say of them.
//!
//! The elements are copied into one buffer first, since looking up the keys of patterns may change the keyspace: what
//! has expired is removed. A result that is stored is logged as the request that made it, which makes it again: a set
//! that would not be sorted is sorted after all, and ties are broken by the elements themselves. Only where fields of
//! hashes were looked up, whose deadlines come without a record, the result itself is logged.

use std::cmp::Ordering;
use std::ops::Range;

use crate::base::number::parse_i64;
use crate::command::list::{self, reply_item};
use crate::command::options::Options;
use crate::command::permission::reads_any_key;
use crate::command::spec::flag::{DENYOOM, MOVABLE_KEYS, READONLY, WHOLE, WRITE};
use crate::command::spec::{Class, Command, Ctx, Doc, Effect, Error, Find, Group, KeySpec, Outcome};
use crate::data::element::Item;
use crate::data::entry::{Entry, Value};
use crate::data::keyspace::Deadline;
use crate::data::list::List;
use crate::resp::request::Args;
use crate::state::log::{push_bulk, push_header};

mod pattern;
#[cfg(test)]
mod tests;

use pattern::{Pattern, up_to_zero};

/// The keys that patterns make of elements are known only when the command runs.
const BY_PATTERN: KeySpec =
    KeySpec { begin: 1, keyword: None, find: Find::Special(|_| None), flags: &["RO", "ACCESS"] };
const STORED: KeySpec =
    KeySpec { begin: 1, keyword: None, find: Find::Special(stored_at), flags: &["OW", "UPDATE"] };
const READ: KeySpec = KeySpec::one(1, &["RO", "ACCESS"]);

/// The rows of this family. Any key may be one that a pattern leads to, hence `WHOLE`.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "sort", arity: -2, flags: WRITE | DENYOOM | MOVABLE_KEYS | WHOLE, keys: &[READ, BY_PATTERN, STORED],
        run: sort, subcommands: &[], doc: Doc { since: "1.0.0", group: Group::Generic,
            complexity: "O(N+M*log(M)) of the elements and those that are sorted; O(N) without sorting",
            syntax: "key [BY by-pattern] [LIMIT offset count] [GET get-pattern [GET get-pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]",
            summary: "Sorts the elements of a list, a set or a sorted set, and returns or stores them or what other keys say of them." } },
    Command { name: "sort_ro", arity: -2, flags: READONLY | MOVABLE_KEYS | WHOLE, keys: &[READ, BY_PATTERN],
        run: sort_ro, subcommands: &[], doc: Doc { since: "7.0.0", group: Group::Generic,
            complexity: "O(N+M*log(M)) of the elements and those that are sorted; O(N) without sorting",
            syntax: "key [BY by-pattern] [LIMIT offset count] [GET get-pattern [GET get-pattern ...]] [ASC | DESC] [ALPHA]",
            summary: "Sorts the elements of a list, a set or a sorted set, and returns them or what other keys say of them." } },
];

const BY_DENIED: Error = Error::of("ERR BY option of SORT denied due to insufficient ACL permissions.");
const GET_DENIED: Error = Error::of("ERR GET option of SORT denied due to insufficient ACL permissions.");

/// Elements in one record of a result.
const RECORD_ELEMENTS: usize = 64;

/// Where the key of the last `STORE` stands.
fn stored_at(args: Args<'_>) -> Option<usize> {
    let mut options = Options::new(args, 2);
    let mut found = None;
    while options.more() {
        if options.word_with_value("STORE") {
            found = Some(options.position());
        } else {
            let skipped = match options.value().ok()?.to_ascii_lowercase().as_slice() {
                b"limit" => 2,
                b"by" | b"get" => 1,
                _ => 0,
            };
            (0..skipped).for_each(|_| drop(options.value()));
        }
    }
    found
}

/// What a request asks for.
struct Request<'a> {
    descending: bool,
    alpha: bool,
    /// First element and how many; all if negative.
    limit: (i64, i64),
    /// What weights are read by, instead of the elements.
    by: Option<Pattern<'a>>,
    gets: Vec<Pattern<'a>>,
    /// Index of the argument with the key of the result.
    store: Option<usize>,
}

impl<'a> Request<'a> {
    /// Reads the options. A client that may not read every key (`reads_any`) must not be led to one by a pattern.
    fn parse(args: Args<'a>, may_store: bool, reads_any: bool) -> Result<Request<'a>, Error> {
        let mut found = Request {
            descending: false,
            alpha: false,
            limit: (0, -1),
            by: None,
            gets: Vec::new(),
            store: None,
        };
        let mut options = Options::new(args, 2);
        while options.more() {
            if options.word("ASC") {
                found.descending = false;
            } else if options.word("DESC") {
                found.descending = true;
            } else if options.word("ALPHA") {
                found.alpha = true;
            } else if 2 < options.left() && options.word("LIMIT") {
                found.limit = (options.integer()?, options.integer()?);
            } else if may_store && options.word_with_value("STORE") {
                found.store = Some(options.position());
                options.value()?;
            } else if options.word_with_value("BY") {
                // The element itself is what is compared without a pattern; as one, it has no place for a name.
                found.by = Some(match Pattern::parse(options.value()?) {
                    Pattern::Element => Pattern::Nothing,
                    Pattern::Key { .. } if !reads_any => return Err(BY_DENIED),
                    pattern => pattern,
                });
            } else if options.word_with_value("GET") {
                if !reads_any {
                    return Err(GET_DENIED);
                }
                found.gets.push(Pattern::parse(options.value()?));
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(found)
    }

    /// The elements that are wanted of so many.
    fn range(&self, len: usize) -> Range<usize> {
        let within = |number: i64| usize::try_from(number).unwrap_or(0).min(len);
        let start = within(self.limit.0);
        let end = if self.limit.1 < 0 { len } else { (start + within(self.limit.1)).min(len) };
        start..end
    }
}

/// An element: where its text lies, and what it weighs.
struct Row {
    text: Range<usize>,
    score: f64,
    /// Where the text of its weight lies, if there is one.
    weight: Option<Range<usize>>,
}

/// Elements with their weights.
struct Rows {
    text: Vec<u8>,
    rows: Vec<Row>,
}

impl Rows {
    fn append(text: &mut Vec<u8>, item: Item<'_>) -> Range<usize> {
        let start = text.len();
        item.with_bytes(|bytes| text.extend_from_slice(bytes));
        start..text.len()
    }

    fn push(&mut self, item: Item<'_>) {
        let text = Rows::append(&mut self.text, item);
        self.rows.push(Row { text, score: 0.0, weight: None });
    }

    fn text(&self, row: &Row) -> &[u8] {
        &self.text[row.text.clone()]
    }

    /// The elements of an entry in their order, if it is of a type that can be sorted. Where nothing is sorted only those
    /// of the range, from either end; a set has no ends.
    fn load(entry: &Entry, request: &Request<'_>, sorted: bool) -> Result<Rows, Error> {
        let mut rows = Rows { text: Vec::new(), rows: Vec::new() };
        if let Some(set) = entry.set() {
            set.iter().for_each(|item| rows.push(item));
            if !sorted {
                rows.cut(request);
            }
            return Ok(rows);
        }
        let len = match (entry.list(), entry.zset()) {
            (Some(list), _) => list.len(),
            (_, Some(zset)) => zset.len(),
            _ => return Err(Error::WRONG_TYPE),
        };
        let range = if sorted { 0..len } else { request.range(len) };
        let (skipped, count) = (range.start, range.len());
        let from_end = !sorted && request.descending;
        if let Some(list) = entry.list() {
            match from_end {
                false => list.range(skipped, count).for_each(|item| rows.push(item)),
                true => list.iter_rev().skip(skipped).take(count).for_each(|item| rows.push(item)),
            }
        } else if let Some(zset) = entry.zset() {
            match from_end {
                false => zset.range(range).for_each(|(item, _)| rows.push(item)),
                true => {
                    zset.range(len - range.end..len - range.start)
                        .rev()
                        .for_each(|(item, _)| rows.push(item));
                }
            }
        }
        Ok(rows)
    }

    /// Keeps the elements of the request's range.
    fn cut(&mut self, request: &Request<'_>) {
        let range = request.range(self.rows.len());
        self.rows.truncate(range.end);
        self.rows.drain(..range.start);
    }

    /// Looks up what each element weighs.
    fn weigh(&mut self, ctx: &mut Ctx<'_>, request: &Request<'_>) -> Result<(), Error> {
        const NO_NUMBER: Error = Error::of("ERR One or more scores can't be converted into double");
        let (mut name, mut weights) = (Vec::new(), Vec::new());
        let (text, mut numbers) = (&self.text, true);
        for row in &mut self.rows {
            let element = &text[row.text.clone()];
            let found = match &request.by {
                None if request.alpha => continue,
                None => Some(Item::Bytes(element)),
                Some(pattern) => pattern.look_up(ctx.keys, element, &mut name),
            };
            let Some(found) = found else { continue };
            if request.alpha {
                let weight = Rows::append(&mut weights, found);
                row.weight = Some(text.len() + weight.start..text.len() + weight.end);
                continue;
            }
            let score = match found {
                Item::Int(number) => Some(number as f64),
                Item::Bytes(bytes) => number(bytes),
                Item::Shared(bytes) => number(bytes),
            };
            numbers &= score.is_some();
            row.score = score.unwrap_or(0.0);
        }
        self.text.append(&mut weights);
        if numbers { Ok(()) } else { Err(NO_NUMBER) }
    }

    /// Sorts by what was looked up. `of_set`: before, the elements stood in the order of memory, which is nobody's.
    fn sort(&mut self, request: &Request<'_>, of_set: bool) {
        let text = &self.text;
        // Redis leaves what is only replied to C's `strcoll`, which ends at a zero byte.
        let collated = |range: &Range<usize>| match request.store {
            None => up_to_zero(&text[range.clone()]),
            Some(_) => &text[range.clone()],
        };
        let by_text = |a: &Row, b: &Row| text[a.text.clone()].cmp(&text[b.text.clone()]);
        let compare = |a: &Row, b: &Row| {
            if !request.alpha {
                return a.score.partial_cmp(&b.score).unwrap_or(Ordering::Equal).then_with(|| by_text(a, b));
            }
            let order = match (&request.by, &a.weight, &b.weight) {
                (None, _, _) => collated(&a.text).cmp(collated(&b.text)),
                (Some(_), Some(a), Some(b)) => collated(a).cmp(collated(b)),
                (Some(_), a, b) => a.is_some().cmp(&b.is_some()),
            };
            if of_set { order.then_with(|| by_text(a, b)) } else { order }
        };
        match request.descending {
            false => self.rows.sort_by(compare),
            true => self.rows.sort_by(|a, b| compare(b, a)),
        }
    }
}

/// Reads a weight: a decimal number or an infinity, up to a zero byte; nothing at all is zero.
fn number(text: &[u8]) -> Option<f64> {
    let text = up_to_zero(text);
    if text.is_empty() {
        return Some(0.0);
    }
    if let Some(integer) = parse_i64(text) {
        return Some(integer as f64);
    }
    std::str::from_utf8(text).ok()?.parse::<f64>().ok().filter(|number| !number.is_nan())
}

fn sort(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    run(ctx, args, true)
}

fn sort_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    run(ctx, args, false)
}

fn run(ctx: &mut Ctx<'_>, args: Args<'_>, may_store: bool) -> Outcome {
    let name = if may_store { "sort" } else { "sort_ro" };
    let reads_any = reads_any_key(ctx.state, ctx.token, name, args);
    let mut request = Request::parse(args, may_store, reads_any)?;
    let mut is_sorted = request.by != Some(Pattern::Nothing);
    let key = ctx.key(args, 1);
    let mut of_set = false;
    let mut rows = match ctx.keys.read(key) {
        None => Rows { text: Vec::new(), rows: Vec::new() },
        Some(entry) => {
            of_set = entry.set().is_some();
            if of_set && !is_sorted && request.store.is_some() {
                // What is stored must not depend on the order of memory.
                (is_sorted, request.alpha, request.by) = (true, true, None);
            }
            Rows::load(entry, &request, is_sorted)?
        }
    };
    if is_sorted {
        rows.weigh(ctx, &request)?;
        rows.sort(&request, of_set);
        rows.cut(&request);
    }
    match request.store {
        None => {
            reply(ctx, &rows, &request.gets);
            Ok(Effect::Unchanged)
        }
        Some(index) => store(ctx, args, index, &rows, &request),
    }
}

fn reply(ctx: &mut Ctx<'_>, rows: &Rows, gets: &[Pattern<'_>]) {
    ctx.reply.array(rows.rows.len() * gets.len().max(1));
    let mut name = Vec::new();
    for element in rows.rows.iter().map(|row| rows.text(row)) {
        if gets.is_empty() {
            ctx.reply.bulk(element);
        }
        for pattern in gets {
            match pattern.look_up(ctx.keys, element, &mut name) {
                None => ctx.reply.null(),
                Some(item) => reply_item(ctx.reply, item),
            }
        }
    }
}

/// Makes the result a list, in place of whatever its key holds, or deletes the key if there is nothing.
fn store(ctx: &mut Ctx<'_>, args: Args<'_>, index: usize, rows: &Rows, request: &Request<'_>) -> Outcome {
    let limits = list::limits(ctx);
    let mut result = Box::new(List::new());
    let mut name = Vec::new();
    for element in rows.rows.iter().map(|row| rows.text(row)) {
        if request.gets.is_empty() {
            result.push_back(element, limits);
        }
        for pattern in &request.gets {
            match pattern.look_up(ctx.keys, element, &mut name) {
                None => result.push_back(b"", limits),
                Some(Item::Shared(bytes)) => result.push_back_shared(bytes.clone(), limits),
                Some(item) => item.with_bytes(|text| result.push_back(text, limits)),
            }
        }
    }
    let key = ctx.key(args, index);
    ctx.reply.integer(result.len() as i64);
    if result.is_empty() {
        if !ctx.keys.delete(key) {
            return Ok(Effect::Unchanged);
        }
        ctx.log(&[b"DEL", key.bytes]);
        ctx.changed(Class::Generic, "del", key);
        return Ok(Effect::Logged);
    }
    let reads_fields = request.by.iter().chain(&request.gets).any(Pattern::reads_fields);
    if reads_fields {
        log_result(ctx, key.bytes, &result);
    }
    ctx.keys.set(key, Value::List(result), Deadline::Clear);
    ctx.changed(Class::List, "sortstore", key);
    Ok(if reads_fields { Effect::Logged } else { Effect::Changed })
}

/// Writes the records that make this list.
fn log_result(ctx: &mut Ctx<'_>, key: &[u8], result: &List) {
    ctx.log(&[b"DEL", key]);
    let database = ctx.keys.selected();
    for first in (0..result.len()).step_by(RECORD_ELEMENTS) {
        ctx.state.log.with(database, |out| {
            push_header(out, b'*', 2 + RECORD_ELEMENTS.min(result.len() - first));
            push_bulk(out, b"RPUSH");
            push_bulk(out, key);
            let elements = result.range(first, RECORD_ELEMENTS);
            elements.for_each(|item| item.with_bytes(|text| push_bulk(out, text)));
        });
    }
}
