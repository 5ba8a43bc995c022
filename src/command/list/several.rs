//! `LMOVEM` and `BLMOVEM`: several elements move from an end of one list to an end of another, in one step.
//!
//! They are gathered in a list of their own, in the order in which they will stand at their destination. That is what
//! is replied, and, where there is no list yet, it becomes the one at the destination as it is. So an end may be that of
//! the same list, too: all elements have left it before the first arrives.

use super::{end, limits, pop_event, push_event, reply_item, write_list};
use crate::command::options::{COUNT_NOT_POSITIVE, Options, positive};
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome, Timeout};
use crate::data::entry::{Kind, Value};
use crate::data::keyspace::{Deadline, Key};
use crate::data::list::{End, Item, Limits, List};
use crate::resp::request::Args;

/// In what order elements arrive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Each is added before the next one is taken: on the same end the last one taken stands outermost.
    OneByOne,
    /// As they stood where they come from.
    Bulk,
}

impl Order {
    fn word(self) -> &'static [u8] {
        match self {
            Order::OneByOne => b"OBO",
            Order::Bulk => b"BULK",
        }
    }
}

/// What is to move.
struct Move<'a> {
    source: Key<'a>,
    destination: Key<'a>,
    from: End,
    to: End,
    count: usize,
    /// All of them or none.
    exactly: bool,
    order: Order,
}

impl<'a> Move<'a> {
    /// Reads a request; `how_many` is where `COUNT` or `EXACTLY` may stand.
    fn parse(ctx: &Ctx<'_>, args: Args<'a>, ends: (End, End), how_many: usize) -> Result<Move<'a>, Error> {
        let (source, destination) = (ctx.key(args, 1), ctx.key(args, 2));
        let (from, to) = ends;
        let mut found = Move { source, destination, from, to, count: 1, exactly: false, order: Order::Bulk };
        let mut options = Options::new(args, how_many);
        if !options.more() {
            return Ok(found);
        }
        if options.left() != 3 {
            return Err(Error::SYNTAX);
        }
        found.exactly = options.word("EXACTLY");
        if !found.exactly && !options.word("COUNT") {
            return Err(Error::SYNTAX);
        }
        found.count = positive(options.value()?).ok_or(COUNT_NOT_POSITIVE)?;
        if options.word("OBO") {
            found.order = Order::OneByOne;
        } else if !options.word("BULK") {
            return Err(Error::SYNTAX);
        }
        Ok(found)
    }

    /// Where an element that is taken joins those taken before.
    fn joins(&self) -> End {
        match (self.order, self.from) {
            (Order::OneByOne, _) => self.to,
            (Order::Bulk, End::Front) => End::Back,
            (Order::Bulk, End::Back) => End::Front,
        }
    }

    /// Moves the elements and replies them. Returns how many they are; of none nothing was said.
    fn run(&self, ctx: &mut Ctx<'_>) -> Result<usize, Error> {
        let limits = limits(ctx);
        let there = ctx.keys.peek(self.destination).map(|entry| entry.list().is_some());
        let Some(source) = write_list(ctx, self.source)? else { return Ok(0) };
        if there == Some(false) {
            return Err(Error::WRONG_TYPE);
        }
        if self.exactly && source.len() < self.count {
            return Ok(0);
        }
        let count = self.count.min(source.len());
        let mut moved = List::new();
        for _ in 0..count {
            source.pop(self.from, limits, |item| add(&mut moved, self.joins(), item, limits));
        }
        // Looked at before anything arrives: of a list that is its own destination, something is left.
        let is_empty = source.is_empty() && self.source.bytes != self.destination.bytes;
        ctx.reply.array(count);
        moved.iter().for_each(|item| reply_item(ctx.reply, item));
        if there.is_none() {
            ctx.keys.set(self.destination, Value::List(Box::new(moved)), Deadline::Clear);
        } else if let Some(list) = write_list(ctx, self.destination)? {
            match self.to {
                End::Front => moved.iter_rev().for_each(|item| add(list, End::Front, item, limits)),
                End::Back => moved.iter().for_each(|item| add(list, End::Back, item, limits)),
            }
        }
        ctx.changed(Class::List, push_event(self.to), self.destination);
        ctx.settle(Class::List, pop_event(self.from), self.source, is_empty);
        Ok(count)
    }
}

/// Adds a copy of an element of another list.
fn add(list: &mut List, end: End, item: Item<'_>, limits: Limits) {
    match item {
        Item::Shared(bytes) => list.grow(bytes.len(), 1, limits).push_shared(end, bytes.clone()),
        item => item.with_bytes(|text| list.push(end, text, limits)),
    }
}

pub(super) fn lmovem(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let ends = (end(args.get(3))?, end(args.get(4))?);
    if Move::parse(ctx, args, ends, 5)?.run(ctx)? == 0 {
        ctx.reply.null_array();
        return Ok(Effect::Unchanged);
    }
    Ok(Effect::Changed)
}

/// The log hears how many elements have moved, so that it does not depend on how many there were.
pub(super) fn blmovem(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let ends = (end(args.get(3))?, end(args.get(4))?);
    let timeout = Timeout::seconds(args.get(5))?;
    let request = Move::parse(ctx, args, ends, 6)?;
    let moved = request.run(ctx)?;
    if moved == 0 {
        return ctx.block(args.into(), std::iter::once(args.get(1)), Kind::List, timeout);
    }
    let [source, destination, from, to] = [1, 2, 3, 4].map(|index| args.get(index));
    let count = moved.to_string();
    let order = request.order.word();
    ctx.log(&[b"LMOVEM", source, destination, from, to, b"EXACTLY", count.as_bytes(), order]);
    Ok(Effect::Logged)
}
