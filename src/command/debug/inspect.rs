//! Subcommands of `DEBUG` that show how something is stored.

use std::fmt::Write;

use crate::command::debug::serialized::{serialized_len, uncompressed_len};
use crate::command::spec::{Ctx, Effect, Error, Outcome};
use crate::data::entry::Entry;
use crate::data::list::{List, Packed};
use crate::data::set::Set;
use crate::data::table::{ArrayStats, Element, TableStats};
use crate::resp::request::Args;

/// Slots of a bucket of the table of keys.
const SLOTS: usize = 7;

/// The entry of the key at this index, even if its deadline has come; looking at it is no use of it.
fn stored<'c>(ctx: &'c Ctx<'_>, args: Args<'_>, index: usize) -> Result<&'c Entry, Error> {
    ctx.keys.stored(ctx.key(args, index)).ok_or(Error::NO_SUCH_KEY)
}

pub(super) fn object(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let fast = 3 < args.len();
    if fast && !args.get(3).eq_ignore_ascii_case(b"fast") {
        return Err(Error::SYNTAX);
    }
    let entry = stored(ctx, args, 2)?;
    let (address, encoding) = (entry.address(), entry.encoding());
    let mut text = format!("Value at:{address:?} refcount:1 encoding:{encoding}");
    if !fast {
        add(
            &mut text,
            format_args!(" serializedlength:{}", serialized_len(entry, ctx.state.settings.rdbcompression)),
        );
    }
    let (access, idle) = (entry.access(), ctx.keys.idle_seconds(entry));
    add(&mut text, format_args!(" lru:{access} lru_seconds_idle:{idle}"));
    if let Some(list) = entry.list()
        && encoding == "quicklist"
    {
        let (nodes, fill) = (list.nodes(), ctx.state.settings.list_max_listpack_size);
        let average = list.len() as f64 / nodes.max(1) as f64;
        // No node is ever compressed here.
        let fields =
            format_args!(" ql_nodes:{nodes} ql_avg_node:{average:.2} ql_listpack_max:{fill} ql_compressed:0");
        add(&mut text, fields);
        if !fast {
            add(&mut text, format_args!(" ql_uncompressed_size:{}", uncompressed_len(list)));
        }
    }
    ctx.reply.status(&text);
    Ok(Effect::Unchanged)
}

pub(super) fn listpack(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let entry = stored(ctx, args, 2)?;
    let list = entry.list().filter(|_| entry.encoding() == "listpack");
    let list = list.ok_or(Error::of("ERR Not a listpack encoded object."))?;
    log_nodes(args.get(2), list, true);
    ctx.reply.status("Listpack structure printed on stdout");
    Ok(Effect::Unchanged)
}

pub(super) fn quicklist(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let entry = stored(ctx, args, 2)?;
    let list = entry.list().filter(|_| entry.encoding() == "quicklist");
    let list = list.ok_or(Error::of("ERR Not a quicklist encoded object."))?;
    log_nodes(args.get(2), list, 3 < args.len() && super::atoi(args.get(3)) != 0);
    ctx.reply.status("Quicklist structure printed on stdout");
    Ok(Effect::Unchanged)
}

/// Writes to the log what the nodes of a list are like; there, since standard output is nobody's in a daemon.
fn log_nodes(key: &[u8], list: &List, each: bool) {
    let (key, nodes, len) = (key.escape_ascii(), list.nodes(), list.len());
    log::warn!("DEBUG list '{key}': {len} elements in {nodes} nodes, {} bytes", uncompressed_len(list));
    let mut number = 0;
    if each {
        list.for_each_node(|node| {
            match node {
                Packed::Run { elements, count } => {
                    log::warn!("DEBUG node {number}: {count} elements, {} bytes", elements.len());
                }
                Packed::Alone(text) => log::warn!("DEBUG node {number}: one element, {} bytes", text.len()),
            }
            number += 1;
        });
    }
}

pub(super) fn htstats(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let number = ctx.integer(args.get(2))?;
    let database = usize::try_from(number).ok().and_then(|number| ctx.keys.databases().get(number));
    let database = database.ok_or(Error::of("ERR Out of range database"))?;
    let full = 3 < args.len() && args.get(3).eq_ignore_ascii_case(b"full");
    let mut text = String::from("[Dictionary HT]\n");
    if !database.is_empty() {
        add_table(&mut text, database.table().stats(), full);
    }
    text.push_str("[Expires HT]\n");
    if !database.expiry().is_empty() {
        // An index by date, not a table: it has a number of elements and nothing else of the kind.
        add(
            &mut text,
            format_args!("Expiry index stats:\n number of elements: {}\n", database.expiry().len()),
        );
    }
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(Effect::Unchanged)
}

pub(super) fn htstats_key(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let stats = stored(ctx, args, 2)?.set().and_then(Set::table_stats);
    let stats = stats.ok_or(Error::of(
        "ERR The value stored at the specified key is not represented using an hash table",
    ))?;
    let mut text = String::new();
    add_table(&mut text, stats, 3 < args.len() && args.get(3).eq_ignore_ascii_case(b"full"));
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(Effect::Unchanged)
}

fn add_table(text: &mut String, stats: TableStats, full: bool) {
    add_array(text, "0 stats (main hash table)", stats.now, full);
    if 0 < stats.next.buckets {
        add(text, format_args!(" rehashing index: {}\n", stats.drained));
        add_array(text, "1 stats (rehashing target)", stats.next, full);
    }
}

/// A bucket holds up to seven elements, and a chain is made of buckets: so the words are Redis's, but a "slot" is a
/// bucket, and lengths of chains count buckets.
fn add_array(text: &mut String, title: &str, array: ArrayStats, full: bool) {
    let ArrayStats { buckets, elements, filled, children, longest } = array;
    add(
        text,
        format_args!(
            "Hash table {title}:\n table size: {}\n number of elements: {elements}\n",
            buckets * SLOTS
        ),
    );
    if !full || elements == 0 {
        return;
    }
    let per = |number: usize, of: usize| number as f64 / of.max(1) as f64;
    let empty = buckets - filled;
    add(
        text,
        format_args!(
            " buckets: {buckets}\n child buckets: {children}\n different slots: {filled}\n max chain length: \
             {longest}\n avg chain length (counted): {:.2}\n avg elements per chain: {:.2}\n Chain length \
             distribution:\n   0: {empty} ({:.2}%)\n   1+: {filled} ({:.2}%)\n",
            per(filled + children, filled),
            per(elements, filled),
            100.0 * per(empty, buckets),
            100.0 * per(filled, buckets),
        ),
    );
}

fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a String takes any text");
}
