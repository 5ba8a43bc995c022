use crate::command::connection::tests::TestServer;
use crate::command::introspect::facts::CATEGORIES;
use crate::command::introspect::syntax::{self, Argument, Kind};
use crate::command::registry::{Commands, Row};
use crate::command::spec::Find;
use crate::command::spec::flag::{ADMIN, BLOCKING, DENYOOM, INTERNAL_WRITE, MOVABLE_KEYS, READONLY, WRITE};
use crate::command::table::install;

/// What `COMMAND INFO` of Redis 8.0, or of Valkey 9.1 for commands of its own, says of every command they have:
/// name, arity, flags, range of keys, categories, tips and key specifications.
const PEERS: &str = include_str!("peers.txt");

/// Where we differ from them on purpose, with what is different.
const DIFFERENT: &[(&str, &str)] = &[
    ("bgrewriteaof", "SCHEDULE may follow"),
    ("client|reply", "no part of a transaction, as in Valkey: of its reply some elements would be missing"),
];

fn run(lines: &[&str]) -> String {
    let mut server = TestServer::new("");
    let replies: Vec<String> = lines.iter().map(|line| server.run(line)).collect();
    replies.concat()
}

fn check(line: &str, expected: &str) {
    assert_eq!(run(&[line]), expected, "{line}");
}

#[test]
fn names_are_counted_listed_and_filtered() {
    let table = install();
    let top = table.rows().iter().filter(|row| row.container.is_none()).count();
    check("COMMAND COUNT", &format!(":{top}|"));
    assert!(run(&["COMMAND"]).starts_with(&format!("*{top}|*10|$6|append|:3|")));
    assert!(run(&["COMMAND INFO"]).starts_with(&format!("*{top}|*10|")));
    assert!(run(&["COMMAND DOCS"]).starts_with(&format!("*{}|$6|append|", 2 * top)));
    let all = run(&["COMMAND LIST"]);
    assert!(all.starts_with(&format!("*{}|$", table.rows().len())) && all.contains("|$9|client|id|"));
    check("COMMAND LIST FILTERBY PATTERN setn*", "*1|$5|setnx|");
    check("COMMAND LIST filterby pattern CLIENT|GET*", "*2|$14|client|getname|$15|client|getredir|");
    check("COMMAND LIST FILTERBY MODULE x", "*0|");
    check("COMMAND LIST FILTERBY ACLCAT nonsense", "*0|");
    check("COMMAND LIST FILTERBY ACLCAT @string", "*0|");
    assert!(run(&["COMMAND LIST FILTERBY ACLCAT String"]).contains("|$4|mset|"));
    check("COMMAND LIST FILTERBY", "-ERR syntax error|");
    check("COMMAND LIST foo", "-ERR syntax error|");
    check("COMMAND LIST FILTERBY foo bar", "-ERR syntax error|");
    check("COMMAND foo", "-ERR unknown subcommand 'foo'. Try COMMAND HELP.|");
    check("COMMAND COUNT x", "-ERR wrong number of arguments for 'command|count' command|");
    assert!(run(&["COMMAND HELP"]).starts_with("*17|+COMMAND <subcommand> [<arg> [value] [opt] ...]. Sub"));
}

#[test]
fn info_has_ten_elements() {
    let spec = "$5|flags|*2|+RO|+access|$12|begin_search|*4|$4|type|$5|index|$4|spec|*2|$5|index|:1|\
                $9|find_keys|*4|$4|type|$5|range|$4|spec|*6|$7|lastkey|:0|$7|keystep|:1|$5|limit|:0|";
    let get = "*10|$3|get|:2|*2|+readonly|+fast|:1|:1|:1|*3|+@read|+@string|+@fast|*0|*1|*6|";
    check("COMMAND INFO GET nonsense", &format!("*2|{get}{spec}*0|$-1|"));
    let in_resp3 = run(&["HELLO 3", "COMMAND INFO get"]);
    assert!(in_resp3.contains("*10|$3|get|:2|~2|+readonly|+fast|:1|:1|:1|~3|+@read|"), "{in_resp3}");
    assert!(in_resp3.contains("~0|~1|%3|$5|flags|~2|+RO|+access|$12|begin_search|%2|"), "{in_resp3}");
    check(
        "COMMAND INFO client|id",
        "*1|*10|$9|client|id|:2|*3|+noscript|+loading|+stale|:0|:0|:0|*2|+@slow|+@connection|*0|*0|*0|",
    );
}

#[test]
fn keys_of_requests_are_found() {
    for (request, expected) in [
        ("get a", "*1|$1|a|"),
        ("mset a 1 b 2", "*2|$1|a|$1|b|"),
        ("lcs a b LEN", "*2|$1|a|$1|b|"),
        ("msetex 2 a 1 b 2", "*2|$1|a|$1|b|"),
        ("msetex x a 1 b 2", "-ERR Invalid arguments specified for command|"),
        ("msetex 0 a 1", "-ERR Invalid arguments specified for command|"),
        ("msetex 9 a 1", "-ERR Invalid arguments specified for command|"),
        ("get", "-ERR Invalid number of arguments specified for command|"),
        ("get a b", "-ERR Invalid number of arguments specified for command|"),
        ("nonsense", "-ERR Invalid command specified|"),
        ("client nonsense", "-ERR Invalid command specified|"),
        ("client", "-ERR The command has no key arguments|"),
        ("ping", "-ERR The command has no key arguments|"),
    ] {
        check(&format!("COMMAND GETKEYS {request}"), expected);
    }
    check("COMMAND GETKEYS", "-ERR wrong number of arguments for 'command|getkeys' command|");
    check("COMMAND GETKEYSANDFLAGS set a 1", "*1|*2|$1|a|*2|+OW|+update|");
    check("COMMAND GETKEYSANDFLAGS SET a 1 GET", "*1|*2|$1|a|*3|+RW|+access|+update|");
    check("COMMAND GETKEYSANDFLAGS mget a b", "*2|*2|$1|a|*2|+RO|+access|*2|$1|b|*2|+RO|+access|");
}

#[test]
fn docs_have_the_shape_that_redis_cli_reads() {
    let doc = run(&["COMMAND DOCS Set nonsense"]);
    let key = "*8|$4|name|$3|key|$4|type|$3|key|$12|display_text|$3|key|$14|key_spec_index|:0|";
    assert!(doc.starts_with("*2|$3|set|*10|$7|summary|"), "{doc}");
    assert!(doc.contains(&format!("|$9|arguments|*5|{key}*6|$4|name|$5|value|$4|type|$6|string|")), "{doc}");
    assert!(
        doc.contains("|*8|$4|name|$7|seconds|$4|type|$7|integer|$12|display_text|$7|seconds|$5|token|$2|EX|"),
        "{doc}"
    );
    assert!(
        doc.contains("|*8|$4|name|$9|condition|$4|type|$5|oneof|$5|flags|*1|+optional|$9|arguments|*6|"),
        "{doc}"
    );
    let deprecated = run(&["COMMAND DOCS setnx"]);
    assert!(
        deprecated.contains("|$9|doc_flags|*1|+deprecated|$16|deprecated_since|$6|2.6.12|"),
        "{deprecated}"
    );
    assert!(run(&["COMMAND DOCS command"]).contains("|$11|subcommands|*14|$13|command|count|*8|$7|summary|"));
    check("COMMAND DOCS nonsense", "*0|");
}

/// Least and greatest number of words that a list of arguments takes; `None` = any number.
fn words(arguments: &[Argument]) -> (usize, Option<usize>) {
    let add = |a: Option<usize>, b: Option<usize>| Some(a? + b?);
    arguments.iter().fold((0, Some(0)), |(least, most), argument| {
        let token = usize::from(argument.token.is_some());
        let (mut least_one, most_one) = match &argument.kind {
            Kind::PureToken => (1, Some(1)),
            Kind::Value => (1 + token, Some(1 + token)),
            Kind::Block(inner) => (words(inner).0 + token, add(words(inner).1, Some(token))),
            Kind::OneOf(inner) => {
                let each = inner.iter().map(|one| words(std::slice::from_ref(one)));
                let most = each.clone().map(|one| one.1).collect::<Option<Vec<_>>>();
                let most = most.and_then(|all| all.into_iter().max());
                (each.map(|one| one.0).min().unwrap_or(0) + token, add(most, Some(token)))
            }
        };
        let most_one = if argument.multiple { None } else { most_one };
        if argument.optional {
            least_one = 0;
        }
        (least + least_one, add(most, most_one))
    })
}

/// Rows whose arity is Redis's although their syntax says more: the function itself looks closer.
const LOOSE: &[&str] = &["client|kill", "quit", "replconf"];

fn rows(table: &Commands) -> impl Iterator<Item = &Row> {
    table.rows().iter()
}

#[test]
fn arity_agrees_with_syntax() {
    for row in rows(install()).filter(|row| row.command.subcommands.is_empty()) {
        let names = row.full_name.split('|').count();
        let (least, most) = words(&syntax::parse(row.command.doc.syntax));
        let arity = row.command.arity;
        if LOOSE.contains(&row.full_name.as_str()) {
            continue;
        }
        let at_least = least + names;
        assert!(
            arity.unsigned_abs() as usize <= at_least,
            "{}: arity {arity}, {at_least} words",
            row.full_name
        );
        if 0 < arity {
            assert_eq!(most.map(|most| most + names), Some(arity as usize), "{}", row.full_name);
        }
    }
}

#[test]
fn key_specifications_point_into_the_request() {
    for row in rows(install()) {
        let least = row.command.arity.unsigned_abs() as usize;
        for spec in row.command.keys {
            if spec.keyword.is_some() || matches!(spec.find, Find::Special(_)) {
                continue;
            }
            // Keys up to the end may be none at all: PFMERGE without a source.
            let first = spec.begin - usize::from(matches!(spec.find, Find::Range { last: ..0, .. }));
            assert!(0 < spec.begin && first < least, "{}", row.full_name);
            match spec.find {
                Find::Range { last, step, .. } => {
                    assert!(
                        0 < step && (last < 0 || spec.begin + (last as usize) < least),
                        "{}",
                        row.full_name
                    );
                }
                Find::Count { step } => {
                    assert!(0 < step && spec.begin + 1 < least, "{}", row.full_name);
                    assert!(row.command.has(MOVABLE_KEYS), "{}", row.full_name);
                }
                Find::Special(_) => {}
            }
            let access = spec.flags.iter().filter(|flag| ["RO", "RW", "OW", "RM"].contains(flag)).count();
            assert!(access == 1 || spec.flags == ["NOT_KEY"], "{}", row.full_name);
            let writes = !spec.flags.contains(&"RO") && access == 1;
            // PFCOUNT notes its estimate in what it reads.
            let may_write = row.command.flags & (WRITE | INTERNAL_WRITE) != 0;
            assert!(!writes || may_write, "{} writes a key without the flag", row.full_name);
        }
    }
}

#[test]
fn flags_go_together() {
    for row in rows(install()) {
        let command = row.command;
        let name = &row.full_name;
        assert!(!command.has(WRITE | READONLY), "{name}");
        assert!(!command.has(DENYOOM) || command.has(WRITE), "{name}");
        assert!(!command.has(ADMIN | WRITE) || name == "pfdebug", "{name}");
        assert!(!command.has(BLOCKING) || command.arity.unsigned_abs() > 2, "{name}");
        assert_eq!(name.to_lowercase(), *name);
        assert!(row.command.subcommands.is_empty() || command.keys.is_empty(), "{name}");
        assert!(super::categories(row).iter().all(|category| CATEGORIES.contains(category)), "{name}");
    }
    let mut names: Vec<&str> = rows(install()).map(|row| row.full_name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
}

/// A row in the form of a line of `PEERS`.
fn line(row: &Row) -> String {
    let join = |items: Vec<String>, by: &str| if items.is_empty() { "-".to_owned() } else { items.join(by) };
    let command = row.command;
    let flags =
        super::NAMES.iter().filter(|(flag, _)| command.has(*flag)).map(|(_, name)| (*name).to_owned());
    let categories = super::categories(row).iter().map(|name| format!("@{name}")).collect();
    let tips = super::tips(&row.full_name).iter().map(|tip| (*tip).to_owned()).collect();
    let known = command.keys.iter().filter(|spec| !matches!(spec.find, Find::Special(_)));
    let keys = known.map(|spec| {
        let lower = |flag: &&str| if flag.len() == 2 { (*flag).to_owned() } else { flag.to_lowercase() };
        let flags = spec.flags.iter().map(lower).collect::<Vec<_>>().join(",");
        let begin = spec.keyword.map_or(spec.begin.to_string(), |word| format!("{word}+{}", spec.begin));
        match spec.find {
            Find::Range { last, step, limit: 0 } => format!("{flags}@{begin}:{last}:{step}"),
            Find::Range { last, step, limit } => format!("{flags}@{begin}:{last}:{step}:{limit}"),
            Find::Count { step } => format!("{flags}@{begin}#{step}"),
            Find::Special(_) => unreachable!("left out above"),
        }
    });
    let [first, last, step] = super::legacy_range(command.keys);
    format!(
        "{} {} {} {first}/{last}/{step} {} {} {}",
        row.full_name,
        command.arity,
        join(flags.collect(), ","),
        join(categories, ","),
        join(tips, ","),
        join(keys.collect(), ";"),
    )
}

#[test]
fn the_table_says_what_its_peers_say() {
    let peers: Vec<&str> = PEERS.lines().collect();
    let mut different = Vec::new();
    for row in rows(install()) {
        let ours = line(row);
        let peer = peers.iter().find(|peer| peer.split(' ').next() == Some(&row.full_name));
        if let Some(peer) = peer
            && ours != **peer
            && !DIFFERENT.iter().any(|(name, _)| *name == row.full_name)
        {
            different.push(format!("ours: {ours}\npeer: {peer}"));
        }
    }
    assert!(different.is_empty(), "\n{}", different.join("\n\n"));
    for (name, _) in DIFFERENT {
        assert!(peers.iter().any(|peer| peer.split(' ').next() == Some(name)), "{name} has no peer");
    }
}
