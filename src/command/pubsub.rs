//! Publish and subscribe: messages from client to client, kept nowhere.

use crate::base::glob;
use crate::command::spec::flag::{FAST, LOADING, NOSCRIPT, PUBSUB, STALE, SUBSCRIBER};
use crate::command::spec::{Command, Ctx, Effect, Error, Group, KeySpec, Outcome};
use crate::resp::reply::Reply;
use crate::resp::request::Args;
use crate::state::channels::Scope;
use crate::state::session::ReplyMode;

const SUBSCRIBING: u32 = PUBSUB | NOSCRIPT | LOADING | STALE | SUBSCRIBER;
const PUBLISHING: u32 = PUBSUB | LOADING | STALE | FAST;
const ASKING: u32 = PUBSUB | LOADING | STALE;
const SHARD_ONE: &[KeySpec] = &[KeySpec::one(1, &["NOT_KEY"])];
const SHARD_REST: &[KeySpec] = &[KeySpec::rest(1, 1, &["NOT_KEY"])];

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "psubscribe", arity: -2, flags: SUBSCRIBING, keys: &[], run: psubscribe, subcommands: &[],
        doc: Group::Pubsub.doc("2.0.0", "O(1) per pattern", "pattern [pattern ...]", "Subscribes to all channels that fit patterns.") },
    Command { name: "publish", arity: 3, flags: PUBLISHING, keys: &[], run: publish, subcommands: &[],
        doc: Group::Pubsub.doc("2.0.0", "O(N+M) of the subscribers and of all patterns", "channel message", "Sends a message to the subscribers of a channel.") },
    Command { name: "pubsub", arity: -2, flags: 0, keys: &[], run: help, subcommands: SUBCOMMANDS,
        doc: Group::Pubsub.doc("2.8.0", "depends on the subcommand", "", "Tells who has subscribed to what.") },
    Command { name: "punsubscribe", arity: -1, flags: SUBSCRIBING, keys: &[], run: punsubscribe, subcommands: &[],
        doc: Group::Pubsub.doc("2.0.0", "O(1) per pattern", "[pattern [pattern ...]]", "Takes subscriptions to patterns back.") },
    Command { name: "spublish", arity: 3, flags: PUBLISHING, keys: SHARD_ONE, run: spublish, subcommands: &[],
        doc: Group::Pubsub.doc("7.0.0", "O(N) of the subscribers", "shardchannel message", "Sends a message to the subscribers of a shard channel.") },
    Command { name: "ssubscribe", arity: -2, flags: SUBSCRIBING, keys: SHARD_REST, run: ssubscribe, subcommands: &[],
        doc: Group::Pubsub.doc("7.0.0", "O(1) per channel", "shardchannel [shardchannel ...]", "Subscribes to shard channels.") },
    Command { name: "subscribe", arity: -2, flags: SUBSCRIBING, keys: &[], run: subscribe, subcommands: &[],
        doc: Group::Pubsub.doc("2.0.0", "O(1) per channel", "channel [channel ...]", "Subscribes to channels.") },
    Command { name: "sunsubscribe", arity: -1, flags: SUBSCRIBING, keys: SHARD_REST, run: sunsubscribe, subcommands: &[],
        doc: Group::Pubsub.doc("7.0.0", "O(1) per channel", "[shardchannel [shardchannel ...]]", "Takes subscriptions to shard channels back.") },
    Command { name: "unsubscribe", arity: -1, flags: SUBSCRIBING, keys: &[], run: unsubscribe, subcommands: &[],
        doc: Group::Pubsub.doc("2.0.0", "O(1) per channel", "[channel [channel ...]]", "Takes subscriptions to channels back.") },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[Command] = &[
    Command { name: "channels", arity: -2, flags: ASKING, keys: &[], run: channels, subcommands: &[],
        doc: Group::Pubsub.doc("2.8.0", "O(N) of the channels", "[pattern]", "Lists channels with subscribers.") },
    Command { name: "help", arity: 2, flags: LOADING | STALE, keys: &[], run: help, subcommands: &[],
        doc: Group::Pubsub.doc("6.2.0", "O(1)", "", "Lists the subcommands.") },
    Command { name: "numpat", arity: 2, flags: ASKING, keys: &[], run: numpat, subcommands: &[],
        doc: Group::Pubsub.doc("2.8.0", "O(1)", "", "Counts the patterns that anybody has subscribed to.") },
    Command { name: "numsub", arity: -2, flags: ASKING, keys: &[], run: numsub, subcommands: &[],
        doc: Group::Pubsub.doc("2.8.0", "O(1) per channel", "[channel [channel ...]]", "Counts the subscribers of channels.") },
    Command { name: "shardchannels", arity: -2, flags: ASKING, keys: &[], run: shardchannels, subcommands: &[],
        doc: Group::Pubsub.doc("7.0.0", "O(N) of the shard channels", "[pattern]", "Lists shard channels with subscribers.") },
    Command { name: "shardnumsub", arity: -2, flags: ASKING, keys: &[], run: shardnumsub, subcommands: &[],
        doc: Group::Pubsub.doc("7.0.0", "O(1) per channel", "[shardchannel [shardchannel ...]]", "Counts the subscribers of shard channels.") },
];

/// Lines of `PUBSUB HELP`.
const HELP: &[&str] = &[
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    Channels with subscribers, those that fit <pattern> if it is given.",
    "NUMPAT",
    "    How many patterns there are subscriptions to.",
    "NUMSUB [<channel> ...]",
    "    How many subscribers each <channel> has, patterns not counted.",
    "SHARDCHANNELS [<pattern>]",
    "    Shard channels with subscribers, those that fit <pattern> if it is given.",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    How many subscribers each <shardchannel> has.",
    "HELP",
    "    These lines.",
];

fn help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.help(HELP)
}

/// Subscribes to every name of the request; each has a reply of its own.
fn begin(ctx: &mut Ctx<'_>, args: Args<'_>, scope: Scope, word: &str) -> Outcome {
    if !ctx.may_block() && !ctx.reply.resp3() {
        // The messages could not be told from the replies of the other requests.
        return Err(Error::text(format!(
            "ERR {} isn't allowed for a DENY BLOCKING client",
            word.to_uppercase()
        )));
    }
    for name in args.iter().skip(1) {
        let count = ctx.state.subscribe(ctx.token, scope, name);
        confirm(ctx, word, Some(name), count);
    }
    Ok(Effect::Unchanged)
}

/// Takes back the subscriptions that the request names, or all of its scope.
fn end(ctx: &mut Ctx<'_>, args: Args<'_>, scope: Scope, word: &str) -> Outcome {
    let names: Vec<Box<[u8]>> = match args.len() {
        1 => ctx.state.subscribed(ctx.token, scope),
        _ => args.iter().skip(1).map(Into::into).collect(),
    };
    if names.is_empty() {
        let count = ctx.session().subscriptions.as_ref().map_or(0, |it| it.count(scope));
        confirm(ctx, word, None, count);
    }
    for name in names {
        let count = ctx.state.unsubscribe(ctx.token, scope, &name);
        confirm(ctx, word, Some(&name), count);
    }
    Ok(Effect::Unchanged)
}

/// Confirms like a message that nobody asked for: `CLIENT REPLY` does not silence it.
fn confirm(ctx: &mut Ctx<'_>, word: &str, name: Option<&[u8]>, count: usize) {
    let write = |reply: &mut Reply| {
        reply.push(3);
        reply.bulk(word.as_bytes());
        match name {
            None => reply.null(),
            Some(name) => reply.bulk(name),
        }
        reply.integer(count as i64);
    };
    match ctx.session().reply_mode {
        ReplyMode::On => write(ctx.reply),
        _ => ctx.state.write_to(ctx.token, write),
    }
}

fn subscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    begin(ctx, args, Scope::Channel, "subscribe")
}

fn psubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    begin(ctx, args, Scope::Pattern, "psubscribe")
}

fn ssubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    begin(ctx, args, Scope::Shard, "ssubscribe")
}

fn unsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    end(ctx, args, Scope::Channel, "unsubscribe")
}

fn punsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    end(ctx, args, Scope::Pattern, "punsubscribe")
}

fn sunsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    end(ctx, args, Scope::Shard, "sunsubscribe")
}

fn publish(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let sent = ctx.state.publish(args.get(1), args.get(2));
    ctx.reply.integer(sent as i64);
    Ok(Effect::Unchanged)
}

fn spublish(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let sent = ctx.state.publish_to_shard(args.get(1), args.get(2));
    ctx.reply.integer(sent as i64);
    Ok(Effect::Unchanged)
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>, scope: Scope) -> Outcome {
    if 3 < args.len() {
        return Err(Error::text(format!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try PUBSUB HELP.",
            String::from_utf8_lossy(args.get(1))
        )));
    }
    let pattern = (args.len() == 3).then(|| args.get(2));
    let mark = ctx.reply.later();
    let mut count = 0;
    for name in ctx.state.channels.of(scope).keys() {
        if pattern.is_none_or(|pattern| glob::matches(pattern, name, false)) {
            ctx.reply.bulk(name);
            count += 1;
        }
    }
    ctx.reply.fill_array(mark, count);
    Ok(Effect::Unchanged)
}

fn channels(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    list(ctx, args, Scope::Channel)
}

fn shardchannels(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    list(ctx, args, Scope::Shard)
}

fn count(ctx: &mut Ctx<'_>, args: Args<'_>, scope: Scope) -> Outcome {
    ctx.reply.array(2 * (args.len() - 2));
    for name in args.iter().skip(2) {
        let subscribers = ctx.state.channels.of(scope).get(name).map_or(0, Vec::len);
        ctx.reply.bulk(name);
        ctx.reply.integer(subscribers as i64);
    }
    Ok(Effect::Unchanged)
}

fn numsub(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    count(ctx, args, Scope::Channel)
}

fn shardnumsub(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    count(ctx, args, Scope::Shard)
}

fn numpat(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let patterns = ctx.state.channels.of(Scope::Pattern).len();
    ctx.reply.integer(patterns as i64);
    Ok(Effect::Unchanged)
}
