//! `COMMAND DOCS`: the documentation in the rows, in the shape that `redis-cli` makes its hints from.

use crate::command::introspect::syntax::{self, Argument, KEYS, Kind};
use crate::command::registry::{Row, commands};
use crate::command::spec::Command;
use crate::resp::reply::Reply;

/// Commands that have been replaced: since when, and by what.
const DEPRECATED: &[(&str, &str, &str)] = &[
    ("brpoplpush", "6.2.0", "`BLMOVE` with `RIGHT` and `LEFT`"),
    ("cluster|slaves", "5.0.0", "`CLUSTER REPLICAS`"),
    ("cluster|slots", "7.0.0", "`CLUSTER SHARDS`"),
    ("getset", "6.2.0", "`SET` with `GET`"),
    ("psetex", "2.6.12", "`SET` with `PX`"),
    ("quit", "7.2.0", "closing the connection"),
    ("rpoplpush", "6.2.0", "`LMOVE` with `RIGHT` and `LEFT`"),
    ("setex", "2.6.12", "`SET` with `EX`"),
    ("setnx", "2.6.12", "`SET` with `NX`"),
    ("slaveof", "5.0.0", "`REPLICAOF`"),
    ("substr", "2.0.0", "`GETRANGE`"),
];

/// Replies a row's name and its documentation: one entry of a map.
pub fn reply_entry(reply: &mut Reply, number: usize) {
    let row = commands().row(number);
    reply.bulk(row.full_name.as_bytes());
    let deprecated = DEPRECATED.iter().find(|(name, ..)| *name == row.full_name);
    let arguments = syntax::parse(row.command.doc.syntax);
    let map = reply.later();
    let mut fields = reply_summary(reply, row);
    if let Some((_, since, replacement)) = deprecated {
        reply.bulk(b"doc_flags");
        reply.set(1);
        reply.status("deprecated");
        reply.bulk(b"deprecated_since");
        reply.bulk(since.as_bytes());
        reply.bulk(b"replaced_by");
        reply.bulk(replacement.as_bytes());
        fields += 3;
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        reply_arguments(reply, &arguments, row.command, &mut 0);
        fields += 1;
    }
    if !row.command.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(row.command.subcommands.len());
        commands().subcommands(number).for_each(|(number, _)| reply_entry(reply, number));
        fields += 1;
    }
    reply.fill_map(map, fields);
}

/// Replies what every command has. Returns the number of fields.
fn reply_summary(reply: &mut Reply, row: &Row) -> usize {
    let doc = &row.command.doc;
    let fields = [
        ("summary", doc.summary),
        ("since", doc.since),
        ("group", doc.group.name()),
        ("complexity", doc.complexity),
    ];
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    fields.len()
}

/// `keys` counts the keys that were named so far: each is found by the next key specification, and all that remain
/// by the last.
fn reply_arguments(reply: &mut Reply, arguments: &[Argument], command: &Command, keys: &mut usize) {
    reply.array(arguments.len());
    for argument in arguments {
        reply_argument(reply, argument, command, keys);
    }
}

fn reply_argument(reply: &mut Reply, argument: &Argument, command: &Command, keys: &mut usize) {
    let map = reply.later();
    let mut fields = 2;
    let field = |reply: &mut Reply, name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    field(reply, "name", &argument.name);
    field(reply, "type", syntax::type_name(argument, command));
    let inner = match &argument.kind {
        Kind::OneOf(inner) | Kind::Block(inner) => Some(inner),
        Kind::Value | Kind::PureToken => None,
    };
    if inner.is_none() {
        field(reply, "display_text", &argument.name);
        fields += 1;
    }
    if argument.kind == Kind::Value && KEYS.contains(&argument.name.as_str()) && !command.keys.is_empty() {
        reply.bulk(b"key_spec_index");
        reply.integer((*keys).min(command.keys.len() - 1) as i64);
        *keys += 1;
        fields += 1;
    }
    if let Some(token) = &argument.token {
        field(reply, "token", token);
        fields += 1;
    }
    let flags = [
        (argument.optional, "optional"),
        (argument.multiple, "multiple"),
        (argument.multiple_token, "multiple_token"),
    ];
    let set = flags.iter().filter(|(set, _)| *set).count();
    if 0 < set {
        reply.bulk(b"flags");
        reply.set(set);
        flags.iter().filter(|(set, _)| *set).for_each(|(_, name)| reply.status(name));
        fields += 1;
    }
    if let Some(inner) = inner {
        reply.bulk(b"arguments");
        reply_arguments(reply, inner, command, keys);
        fields += 1;
    }
    reply.fill_map(map, fields);
}
