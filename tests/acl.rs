//! Users: the same rules and conversations for the server under test and for a real `redis-server`; files of users.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Client, Random, Server, Value, env_number, peer, wait_until};

/// What Redis 7.0 says in other words than Redis 8.0, whose words are ours.
fn as_7_0_says_it(text: &str, is_dry: bool) -> String {
    let this = if is_dry { "This user" } else { "this user" };
    let mut text = text.to_owned();
    for name in ["ann", "bob", "default"] {
        text =
            text.replace(&format!("User {name} has no permissions"), &format!("{this} has no permissions"));
    }
    let used =
        |what: &str| format!("this user has no permissions to access one of the {what}s used as arguments");
    for what in ["key", "channel"] {
        text = text.replace(&format!("No permissions to access a {what}"), &used(what));
    }
    text.replace("HELLO <proto> AUTH", "HELLO AUTH").replace("as arguments to the command", "as arguments")
}

const COMMANDS: &[&str] = &[
    "get",
    "set",
    "GET",
    "config",
    "config|get",
    "config|set",
    "Client|List",
    "client",
    "client|kill",
    "xgroup",
    "xgroup|create",
    "select",
    "mget",
    "acl",
    "acl|list",
    "acl|whoami",
    "object",
    "object|encoding",
    "ping",
    "subscribe",
    "publish",
    "flushall",
    "nosuch",
    "config|nosuch",
    "memory|usage",
    "del",
    "exec",
    "hget",
    "zadd",
    "xread",
    "bitfield",
    "copy",
];
const CATEGORIES: &[&str] = &[
    "all",
    "read",
    "write",
    "set",
    "fast",
    "slow",
    "dangerous",
    "admin",
    "pubsub",
    "Connection",
    "string",
    "list",
    "nosuch",
    "sortedset",
    "stream",
    "geo",
    "blocking",
    "transaction",
    "hash",
    "bitmap",
    "hyperloglog",
];
const PATTERNS: &[&str] = &["*", "a*", "b", "foo:*", "a", "?", "[ab]*", "", "x y", "k\\*"];
const FIRST_ARGS: &[&str] = &[
    "+select|0",
    "+select|1",
    "+get|a",
    "+GET|A",
    "+config|get|x",
    "+select|",
    "+set|k1",
    "-select|0",
    "-",
    "+",
];
const ROOT_ONLY: &[&str] = &[
    "on",
    "off",
    "nopass",
    "resetpass",
    "sanitize-payload",
    "skip-sanitize-payload",
    "",
    "foo",
    "reset",
    "clearselectors",
];
const LISTS: &[&str] = &[
    "allkeys",
    "resetkeys",
    "allchannels",
    "resetchannels",
    "allcommands",
    "nocommands",
    "AllKeys",
    "ResetKeys",
    "~*",
    "&*",
    "+@all",
    "-@all",
];
const REQUESTS: &[&str] = &[
    "get a",
    "set b 1",
    "set b 1 get",
    "mget a b",
    "del foo:1",
    "config get x",
    "config set x y",
    "client list",
    "client id",
    "select 0",
    "select 1",
    "subscribe a",
    "subscribe ax b",
    "psubscribe a*",
    "psubscribe a",
    "publish b x",
    "spublish b x",
    "unsubscribe zz",
    "sort a store b",
    "copy a b",
    "flushall",
    "ping",
    "auth x",
    "exec",
    "multi",
    "acl list",
    "acl whoami",
    "object encoding a",
    "memory usage b",
    "xread streams a b 0 0",
    "xgroup create a g $",
    "zunionstore a 2 b foo:1",
    "bitfield a get u8 0",
    "bitfield a set u8 0 1",
    "pfcount a",
    "pfmerge a b",
    "geosearchstore a b frommember x byradius 1 m",
    "georadius a 1 1 1 m store b",
    "lmpop 2 a b left",
    "exists a",
    "watch b",
    "touch z",
    "type k*",
    "keys *",
    "scan 0",
    "dump a",
    "restore a 0 x",
    "xreadgroup group g c streams a >",
    "hset a f v",
    "hgetall b",
    "expire a 1",
    "rename a b",
    "lcs a b",
    "ssubscribe a",
    "lmove a b left left",
    "smove a b x",
    "getex a",
    "getdel a",
    "append a 1",
    "bitop and a b c",
    "incr a",
    "zrangestore a b 0 1",
    "sintercard 1 a",
    "object freq z",
    "nosuch",
    "get",
    "config nosuch",
    "georadius a 1 1 1 m store b storedist a",
    "georadius a 1 1 1 m storedist b store a",
    "georadiusbymember a store 1 m store b",
    "sort a store b store a",
    "sort a by store get b",
    "sort a limit store b",
    "sort a by b* store",
    "xread block streams streams b 0 0",
    "xreadgroup group streams streams streams b >",
    "bitfield a overflow",
    "bitfield a get u8 0 incrby u8 0 1",
    "set b get get",
    "zunion 1 a weights b",
    "bzmpop 0 2 a b min",
    "pfmerge b a",
];

/// A rule: one that only the user takes, or one that selectors take too.
fn rule(random: &mut Random, in_selector: bool) -> String {
    let sign = if random.chance(50) { "+" } else { "-" };
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    match random.below(if in_selector { 9 } else { 13 }) {
        0..4 => format!("{sign}{}", random.pick(COMMANDS)),
        4..6 => format!("{sign}@{}", random.pick(CATEGORIES)),
        6 => {
            let before = *random.pick(&["~", "%R~", "%W~", "%RW~", "%wr~", "%", "%x~", "%R", "%rr~"]);
            format!("{before}{}", random.pick(PATTERNS))
        }
        7 => format!("&{}", random.pick(PATTERNS)),
        8 => {
            let words = if random.chance(50) { LISTS } else { FIRST_ARGS };
            (*random.pick(words)).to_owned()
        }
        9..11 => (*random.pick(ROOT_ONLY)).to_owned(),
        11 => format!(
            "{}{}",
            random.pick(&[">", "<", ">", "#", "!"]),
            random.pick(&["p", "q", "", digest, "9F"])
        ),
        _ => {
            let rules: Vec<String> = (0..random.below(4)).map(|_| rule(random, true)).collect();
            format!("({}{}", rules.join(" "), if random.chance(95) { ")" } else { "" })
        }
    }
}

/// What `ACL GETUSER` says that Redis 7.0 says in the same way: it keeps rules for commands in another form, and shows
/// nothing of how it restores until somebody says it.
fn without_commands(user: Value) -> Value {
    let Value::Array(fields) = user else { return user };
    let mut kept = Vec::new();
    for pair in fields.chunks(2) {
        let [name, value] = pair else { panic!("a field without a value") };
        let name = name.text();
        let value = match (name.as_str(), value) {
            ("commands", _) => continue,
            ("flags", Value::Array(flags)) => {
                let is_kept = |flag: &&Value| !flag.text().contains("sanitize");
                Value::Array(flags.iter().filter(is_kept).cloned().collect())
            }
            ("selectors", Value::Array(selectors)) => {
                Value::Array(selectors.iter().cloned().map(without_commands).collect())
            }
            (_, value) => value.clone(),
        };
        kept.extend([Value::bulk(&name), value]);
    }
    Value::Array(kept)
}

/// Random rules for a few users; after each of them, what is said of the user and what it may do must be the same.
fn compare_users(theirs: &Server, is_7_0: bool) {
    let ours = Server::start(&[]);
    let (mut ours, mut theirs) = (ours.client(), theirs.client());
    let seed = Random::seed_from_env("ACL_SEED");
    let mut random = Random::new(seed);
    for round in 0..env_number("ACL_ROUNDS", 400) {
        let name = *random.pick(&["ann", "bob"]);
        let mut line = vec!["ACL".to_owned(), "SETUSER".to_owned(), name.to_owned()];
        if random.chance(20) {
            line[1] = "DELUSER".to_owned();
        } else {
            line.extend((0..1 + random.below(6)).map(|_| rule(&mut random, false)));
        }
        let at = format!("ACL_SEED={seed}, round {round}: {line:?}");
        assert_eq!(ours.cmd(&line), theirs.cmd(&line), "{at}");
        let get = ["ACL", "GETUSER", name];
        let (our_user, their_user) = (ours.cmd(&get), theirs.cmd(&get));
        if is_7_0 {
            assert_eq!(without_commands(our_user), without_commands(their_user), "{at}");
        } else {
            assert_eq!(our_user, their_user, "{at}");
            assert_eq!(ours.say("ACL LIST"), theirs.say("ACL LIST"), "{at}");
        }
        for _ in 0..12 {
            let request = *random.pick(REQUESTS);
            let line = format!("ACL DRYRUN {name} {request}");
            let (our, their) = (format!("{:?}", ours.say(&line)), format!("{:?}", theirs.say(&line)));
            let our = if is_7_0 { as_7_0_says_it(&our, true) } else { our };
            assert_eq!(our, their, "{at}: {request}");
        }
    }
}

#[test]
fn random_rules_make_the_same_users() {
    compare_users(&Server::start_reference(&[]), true);
}

#[test]
fn random_rules_make_the_same_users_in_redis_8() {
    let Some(binary) = peer("redis8") else { return };
    compare_users(&Server::start_binary(&binary, &[]), false);
}

/// What a server says to a script of several clients: `1 PING` is a request of client 1, `1x` says that its connection is
/// closed, `1~` sends without waiting for the reply, `1<` reads it.
fn transcript(server: &Server, script: &str) -> Vec<String> {
    let mut clients: BTreeMap<char, Client> = BTreeMap::new();
    let mut said = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let name = line.chars().next().expect("a client's number");
        let client = clients.entry(name).or_insert_with(|| server.client());
        match &line[1..] {
            "x" => {
                assert!(client.read_to_end().is_empty(), "{line}");
                clients.remove(&name);
            }
            "<" => said.push(format!("{line} {:?}", client.read_value())),
            rest if rest.starts_with('~') => {
                let waiting = |server: &Server| {
                    server
                        .client()
                        .say("CLIENT LIST")
                        .text()
                        .lines()
                        .filter(|line| line.contains("flags=b"))
                        .count()
                };
                let before = waiting(server);
                client.send_raw(format!("{}\r\n", rest[1..].trim()).as_bytes());
                wait_until("the request waits", || before < waiting(server));
            }
            rest => said.push(format!("{line} → {:?}", client.say(rest.trim()))),
        }
    }
    said
}

fn same(script: &str) {
    let (ours, theirs) = (Server::start(&[]), Server::start_reference(&[]));
    let ours: Vec<String> =
        transcript(&ours, script).iter().map(|line| as_7_0_says_it(line, false)).collect();
    assert!(!ours.is_empty());
    assert_eq!(ours.join("\n"), transcript(&theirs, script).join("\n"));
}

#[test]
fn clients_log_in_and_are_denied() {
    same(
        "1 ACL SETUSER ann on >p >q ~w* %R~r* &ch* +@all -flushall -exec
         2 AUTH ann x
         2 AUTH ann
         2 AUTH a b c
         2 AUTH ann q
         2 ACL WHOAMI
         2 GET x
         2 GET wx
         2 SET rx 1
         2 GET rx
         2 SET wx 1 GET
         2 COPY rx wx
         2 COPY wx rx
         2 PUBLISH foo 1
         2 PUBLISH cha 1
         2 PSUBSCRIBE cha
         2 FLUSHALL
         2 NOSUCH
         2 GET
         2 MULTI
         2 GET x
         2 EXEC
         2 DISCARD
         2 MULTI
         2 EXEC a
         2 RPUSH wl 3 1 2
         2 SORT wl BY foo
         2 SORT wl BY foo*
         2 SORT wl GET foo
         2 SORT wl GET #
         2 SORT wl STORE y
         2 SORT wl STORE y STORE wz
         2 HELLO 2 AUTH ann nope
         2 SUBSCRIBE cha
         2 GET x
         2 SUBSCRIBE foo
         2 RESET
         2 ACL WHOAMI
         1 ACL SETUSER ann off
         2 AUTH ann p
         1 ACL LOG 0
         1 ACL LOG RESET",
    );
}

#[test]
fn the_default_user_and_its_password() {
    same(
        "1 CONFIG SET requirepass foo
         1 PING
         2 PING
         2 GET
         2 NOSUCH
         2 MULTI
         2 HELLO 2
         2 AUTH default bar
         2 AUTH foo
         2 PING
         2 RESET
         2 PING
         1 ACL SETUSER default >bar
         1 CONFIG GET requirepass
         2 AUTH bar
         1 CONFIG SET requirepass baz
         2 AUTH bar
         2 AUTH baz
         3 PING
         1 ACL SETUSER default nopass
         3 PING
         3 HELLO 2
         1 ACL SETUSER default off
         3 PING
         4 PING
         4 AUTH x
         1 ACL SETUSER default on
         1 ACL SETUSER default -@all +acl|whoami +acl|setuser
         1 PING
         1 ACL WHOAMI
         1 ACL SETUSER default +@all
         1 PING",
    );
}

#[test]
fn who_loses_rights_or_its_user_meanwhile() {
    same(
        "1 ACL SETUSER ann on nopass ~* &a &b* +@all
         2 AUTH ann x
         2 MULTI
         2 GET k
         2 SET k 1
         2 PUBLISH a 1
         2 EXISTS z
         1 ACL SETUSER ann -get resetkeys ~z resetchannels
         2 EXEC
         1 ACL SETUSER ann +@all ~* &a &b*
         3 AUTH ann x
         3 SUBSCRIBE a
         4 AUTH ann x
         4 PSUBSCRIBE b*
         5 AUTH ann x
         5 SSUBSCRIBE bx
         1 ACL SETUSER ann resetchannels &a &b?
         4x
         1 ACL SETUSER ann resetchannels &c
         3x
         5x
         2 PING
         1 ACL DELUSER ann nosuch
         2x
         1 ACL SETUSER ann on nopass ~* +@all
         6 AUTH ann x
         6~ BLPOP list 0
         1 ACL DELUSER ann
         6x
         1 ACL SETUSER ann on nopass ~* +@all
         7 AUTH ann x
         7 ACL DELUSER ann
         7x
         1 CLIENT KILL USER ann",
    );
}

/// Redis 7.0 serves who lost the right while it waited; Redis 8.0 and we do not.
#[test]
fn who_waits_is_looked_at_again_when_it_is_served() {
    let server = Server::start(&[]);
    let script = "1 ACL SETUSER ann on nopass ~* +@all
                  2 AUTH ann x
                  2~ BLPOP list 0
                  1 ACL SETUSER ann -blpop
                  1 RPUSH list x
                  2<
                  1 LRANGE list 0 -1
                  2 PING";
    let said = transcript(&server, script).join("\n");
    assert!(said.contains("2< -NOPERM User ann has no permissions to run the 'blpop' command"), "{said}");
    assert!(said.contains("LRANGE list 0 -1 → [\"x\"]"), "{said}");
    assert!(said.ends_with("2 PING → +PONG"), "{said}");
    if let Some(binary) = peer("redis8") {
        assert_eq!(said, transcript(&Server::start_binary(&binary, &[]), script).join("\n"));
    }
}

#[test]
fn secrets_do_not_stand_in_the_slow_log() {
    let logged = |server: &Server| -> Vec<String> {
        let (mut admin, mut other) = (server.client(), server.client());
        admin.say("CONFIG SET slowlog-log-slower-than 0");
        admin.say("ACL SETUSER ann on >p +@all");
        for line in
            ["AUTH secret", "AUTH ann secret", "HELLO 2 AUTH ann secret", "HELLO 2 AUTH ann p", "PING"]
        {
            other.say(line);
        }
        admin.say("CONFIG SET maxclients 100 requirepass secret");
        let entries = admin.say("SLOWLOG GET 100");
        entries.items().iter().map(|entry| format!("{:?}", entry.items()[3])).collect()
    };
    let ours = logged(&Server::start(&[]));
    assert!(ours.len() == 8 && !ours.concat().contains("secret"), "{ours:?}");
    assert_eq!(ours, logged(&Server::start_reference(&[])));
}

fn with_file(folder: &Path, text: &str) -> String {
    let path = folder.join("users.acl");
    std::fs::write(&path, text).expect("a file of users");
    path.display().to_string()
}

#[test]
fn the_file_of_users_is_loaded_saved_and_reloaded() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = with_file(folder.path(), "user ann on >p ~a* +@all\nuser bob on nopass +@all (~b +get)\n");
    let mut server = Server::start(&["--aclfile", &path, "--requirepass", "ignored"]);
    let mut admin = server.client();
    assert_eq!(
        admin.say("CONFIG GET aclfile"),
        Value::Array(vec![Value::bulk("aclfile"), Value::bulk(&path)])
    );
    let (mut ann, mut bob) = (server.client(), server.client());
    assert_eq!((ann.say("AUTH ann p"), bob.say("AUTH bob x")), (Value::ok(), Value::ok()));
    assert_eq!(admin.say("ACL SETUSER cyd on nopass %R~c &d -@all +get"), Value::ok());
    assert_eq!(admin.say("ACL SAVE"), Value::ok());
    let saved = std::fs::read_to_string(&path).expect("the file");
    let listed: Vec<String> = match admin.say("ACL LIST") {
        Value::Array(lines) => lines.iter().map(Value::text).collect(),
        other => panic!("{other:?}"),
    };
    assert_eq!(saved, listed.join("\n") + "\n");
    // What is wrong changes nothing.
    with_file(folder.path(), "user ann on +nosuch\nuser default off\n");
    let error = admin.say("ACL LOAD").error().unwrap_or_default().to_owned();
    assert!(error.contains(":1: Error in applying operation '+nosuch': Unknown command"), "{error}");
    assert!(error.ends_with("no change to the previously active ACL rules was performed"), "{error}");
    assert_eq!(ann.say("GET a"), Value::NullBulk);
    // Who stays keeps its connection, with the new rights; who does not loses it.
    with_file(folder.path(), "user ann on nopass ~x +get +ping\n");
    assert_eq!(admin.say("ACL LOAD"), Value::ok());
    assert!(ann.say("GET a").error().is_some());
    assert_eq!(ann.say("GET x"), Value::NullBulk);
    assert!(bob.read_to_end().is_empty());
    assert_eq!(admin.say("ACL USERS"), Value::Array(vec![Value::bulk("ann"), Value::bulk("default")]));
    // The other server reads what this one has saved.
    std::fs::write(&path, &saved).expect("the file");
    let theirs = Server::start_reference(&["--aclfile", &path]);
    assert_eq!(theirs.client().say("ACL DRYRUN cyd GET c"), Value::ok());
    assert_eq!(theirs.client().say("ACL SAVE"), Value::ok());
    assert_eq!(admin.say("ACL LOAD"), Value::ok());
    assert_eq!(std::fs::read_to_string(&path).expect("the file").lines().count(), 4);
    assert_eq!(admin.say("ACL DRYRUN cyd GET c"), Value::ok());
    assert_eq!(admin.say("ACL DRYRUN bob GET b"), Value::ok());
    // A file that cannot be written is an error, and the old one stays.
    std::fs::remove_dir_all(folder.path()).expect("the folder goes");
    assert!(
        admin
            .say("ACL SAVE")
            .error()
            .is_some_and(|why| why.contains("There was an error trying to save the ACLs"))
    );
    assert!(admin.say("ACL LOAD").error().is_some_and(|why| why.contains("No such file or directory")));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_server_with_users_that_are_wrong_does_not_start() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = with_file(folder.path(), "user ann on zz\n");
    for (args, why) in [
        (&["--aclfile", &path][..], "users.acl:1: Syntax error. "),
        (&["--aclfile", "/nonexistent/users.acl"], "No such file or directory"),
        (&["--user", "ann", "on", "+nosuch"], "Unknown command or category name in ACL"),
        (&["--user", "ann", "on", "--aclfile", &path], "but not both"),
    ] {
        let place = tempfile::tempdir().expect("a temporary directory");
        let (code, log) = Server::start_refused(args, place.path());
        assert_eq!(code, Some(1), "{args:?}");
        assert!(log.contains(why), "{args:?}: {log}");
    }
}

#[test]
fn users_of_the_configuration_survive_a_rewrite_and_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("kvick.conf");
    std::fs::write(&path, "requirepass p\n# people\nuser ann on >a ~a* +@all\nuser bob off\n")
        .expect("a file");
    let path = path.display().to_string();
    let mut server = Server::start(&[&path]);
    let mut client = server.client();
    assert_eq!(client.say("AUTH p"), Value::ok());
    assert_eq!(client.say("ACL DELUSER bob"), Value::Int(1));
    let rules = [&b"ACL"[..], b"SETUSER", b"cyd", b"on", b"~a\xff\"b", b"(~x +get)"];
    assert_eq!(client.cmd(&rules), Value::ok());
    assert_eq!(client.say("CONFIG REWRITE"), Value::ok());
    let before = client.say("ACL LIST");
    server.restart();
    let mut client = server.client();
    assert_eq!(client.say("AUTH p"), Value::ok());
    assert_eq!(client.say("ACL LIST"), before);
    let text = std::fs::read_to_string(&path).expect("the file");
    assert!(text.starts_with("requirepass \"p\"\n# people\nuser ann on sanitize-payload #ca97"), "{text}");
    assert!(
        text.contains("\nuser cyd on sanitize-payload \"~a\\xff\\\"b\" resetchannels -@all (~x"),
        "{text}"
    );
    assert!(!text.contains("user default") && !text.contains("user bob"), "{text}");
}
