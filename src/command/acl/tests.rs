use crate::base::date::UnixMs;
use crate::command::acl::{describe, file, rules};
use crate::command::connection::tests::TestServer;
use crate::command::introspect::categories;
use crate::command::table::install;
use crate::command::tests::ask;
use crate::config::Settings;
use crate::engine::Engine;
use crate::state::acl::User;
use crate::state::ask::Ask;
use crate::state::session::Closing;

/// What Redis 8.0 says of the categories of its commands, and Valkey 9.1 of its own: see `introspect/tests.rs`.
const PEERS: &str = include_str!("../introspect/peers.txt");

/// Runs a line of words; unlike [`TestServer::run`] it leaves `~` alone.
fn say(server: &mut TestServer, line: &str) -> String {
    ask(&mut server.engine, server.token, line).replace("\r\n", "|")
}

fn check(server: &mut TestServer, script: &[(&str, &str)]) {
    for (line, expected) in script {
        assert_eq!(say(server, line), *expected, "{line}");
    }
}

fn run(script: &[(&str, &str)]) {
    check(&mut TestServer::new(""), script);
}

/// What becomes of a new user by these rules, as `ACL LIST` shows it behind the name, or why not.
fn made(rules: &str) -> Result<String, String> {
    install();
    let mut user = User::new(b"u", false);
    let rules = rules::merge(rules.split(' ').map(str::as_bytes))
        .map_err(|open| format!("open: {}", String::from_utf8_lossy(open)))?;
    for rule in rules {
        let before = user.clone();
        if let Err(error) = rules::apply(&mut user, &rule, false) {
            assert_eq!(user, before, "a rule that is none changes nothing");
            return Err(format!("{error:?}"));
        }
    }
    let line = String::from_utf8_lossy(&describe::line(&user)).into_owned();
    let read = file::read(line.as_bytes(), "f", false).map(|users| users[0].clone());
    assert_eq!(read.as_ref(), Ok(&user), "what is written is read back: {line}");
    let config = describe::config_line(&user);
    let settings = {
        let mut settings = Settings::default();
        let loaded = crate::config::load(&config, &mut settings, &mut |_| Err(String::new()));
        assert!(loaded.is_ok(), "{config}");
        settings
    };
    assert_eq!(file::configured(&settings), Ok(vec![user]), "{config}");
    Ok(line.strip_prefix("user u ").unwrap_or_default().to_owned())
}

#[test]
fn rules_make_users() {
    const A: &str = "#ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    let off = "off sanitize-payload resetchannels -@all";
    for (rules, expected) in [
        ("", Ok(off.to_owned())),
        ("ON NoPass", Ok("on nopass sanitize-payload resetchannels -@all".into())),
        ("on off skip-sanitize-payload", Ok("off skip-sanitize-payload resetchannels -@all".into())),
        (">a >a", Ok(format!("off sanitize-payload {A} resetchannels -@all"))),
        ("nopass >a", Ok(format!("off sanitize-payload {A} resetchannels -@all"))),
        (A, Ok(format!("off sanitize-payload {A} resetchannels -@all"))),
        (">a nopass", Ok("off nopass sanitize-payload resetchannels -@all".into())),
        (">a nopass resetpass", Ok(off.into())),
        (">a <a", Ok(off.into())),
        (">a <b", Err("NoSuchPassword")),
        ("!x", Err("NoDigest")),
        ("#AA978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", Err("NoDigest")),
        ("~a %R~b %w~c %rw~d", Ok("off sanitize-payload ~a %R~b %W~c ~d resetchannels -@all".into())),
        ("%R~a %W~a ~a", Ok("off sanitize-payload ~a resetchannels -@all".into())),
        ("%R", Ok("off sanitize-payload %R~ resetchannels -@all".into())),
        ("%~a", Err("Syntax")),
        ("%RR~a", Err("Syntax")),
        ("%X~a", Err("Syntax")),
        ("allkeys", Ok("off sanitize-payload ~* resetchannels -@all".into())),
        ("~* ~a", Err("AllKeys")),
        ("~* resetkeys ~a", Ok("off sanitize-payload ~a resetchannels -@all".into())),
        ("~a\tb", Err("Syntax")),
        ("&a &b &a", Ok("off sanitize-payload resetchannels &a &b -@all".into())),
        ("&a allchannels", Ok("off sanitize-payload &* -@all".into())),
        ("&* &a", Err("AllChannels")),
        ("db=2,0,2 +get", Ok("off sanitize-payload resetchannels db=0,2 -@all +get".into())),
        ("db=1 DB=03", Ok("off sanitize-payload resetchannels db=3 -@all".into())),
        ("resetdbs", Ok("off sanitize-payload resetchannels resetdbs -@all".into())),
        ("db=1 alldbs", Ok(off.into())),
        ("db=", Err("Syntax")),
        ("db=1,", Err("Syntax")),
        ("db=+1", Err("Syntax")),
        ("db=-1", Err("Database")),
        ("db=99999999999", Err("Database")),
        ("(db=1 +get)", Ok(format!("{off} (resetchannels db=1 -@all +get)"))),
        ("+get +GET -set", Ok(format!("{off} +get -set"))),
        ("+get -get", Ok(format!("{off} -get"))),
        ("+config|get -config|set +config", Ok(format!("{off} +config"))),
        ("+config -Config|SET", Ok(format!("{off} +config -config|set"))),
        ("+@READ -@write -@read", Ok(format!("{off} -@write -@read"))),
        ("+@all -get", Ok("off sanitize-payload resetchannels +@all -get".into())),
        ("+get allcommands", Ok("off sanitize-payload resetchannels +@all".into())),
        ("+@all nocommands", Ok(off.into())),
        ("+select|0 +select|A +select|a", Ok(format!("{off} +select|0 +select|a"))),
        ("+select|0 +select", Ok(format!("{off} +select"))),
        ("+select|", Err("Syntax")),
        ("+select|(", Err("Syntax")),
        ("+select|'", Err("Syntax")),
        ("-select|0", Err("Unknown")),
        ("+config|nosuch", Err("Unknown")),
        ("+config|get|x", Err("FirstArg")),
        ("+nosuch", Err("Unknown")),
        ("-@nosuch", Err("Unknown")),
        ("+", Err("Unknown")),
        ("nosuch", Err("Syntax")),
        ("(~a +get)", Ok(format!("{off} (~a resetchannels -@all +get)"))),
        ("()", Ok(format!("{off} (resetchannels -@all)"))),
        ("( ~a ) (&b)", Ok(format!("{off} (~a resetchannels -@all) (resetchannels &b -@all)"))),
        ("(~a) clearselectors", Ok(off.into())),
        ("(~a", Err("open: (~a")),
        ("(on)", Err("Syntax")),
        ("(~a (~b))", Err("Syntax")),
        ("(\"~a)", Err("Syntax")),
        ("(\"~a'\\x29\" ~b)", Ok(format!("{off} (\"~a')\" ~b resetchannels -@all)"))),
        ("~a\" &'b", Ok("off sanitize-payload ~a\" resetchannels &'b -@all".into())),
        ("on >a ~* &* +@all (~a) reset", Ok(off.into())),
    ] {
        assert_eq!(made(rules), expected.map_err(str::to_owned), "{rules}");
    }
}

#[test]
fn categories_are_those_of_the_peers() {
    for line in PEERS.lines() {
        let mut fields = line.split(' ');
        let (Some(name), Some(theirs)) = (fields.next(), fields.nth(3)) else { panic!("{line}") };
        let Some(number) = install().by_full_name(name.as_bytes()) else { continue };
        let ours: Vec<String> =
            categories(install().row(number)).iter().map(|name| format!("@{name}")).collect();
        let ours = if ours.is_empty() { "-".to_owned() } else { ours.join(",") };
        assert_eq!(ours, theirs, "{name}");
    }
    let mut server = TestServer::new("");
    assert!(say(&mut server, "ACL CAT").starts_with("*21|$8|keyspace|$4|read|$5|write|"));
    assert!(say(&mut server, "ACL CAT HyperLogLog").contains("$5|pfadd|"));
    assert!(say(&mut server, "ACL CAT dangerous").contains("$11|acl|deluser|"));
    check(
        &mut server,
        &[
            ("ACL CAT nosuch", "-ERR Unknown category 'nosuch'|"),
            ("ACL CAT a b", "-ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.|"),
        ],
    );
}

#[test]
fn users_are_made_shown_and_removed() {
    run(&[
        ("ACL WHOAMI", "$7|default|"),
        ("ACL SETUSER ann", "+OK|"),
        ("ACL SETUSER bob on nopass ~b* (%R~c +get)", "+OK|"),
        ("ACL USERS", "*3|$3|ann|$3|bob|$7|default|"),
        (
            "ACL GETUSER bob",
            "*12|$5|flags|*3|$2|on|$6|nopass|$16|sanitize-payload|$9|passwords|*0|$8|commands|$5|-@all|$4|keys|$3|~b*|\
             $8|channels|$0||$9|selectors|*1|*6|$8|commands|$10|-@all +get|$4|keys|$4|%R~c|$8|channels|$0||",
        ),
        ("ACL GETUSER nosuch", "$-1|"),
        ("ACL SETUSER a\tb", "-ERR Usernames can't contain spaces or null characters|"),
        ("ACL SETUSER ann on +get (~a", "-ERR Unmatched parenthesis in acl selector starting at '(~a'.|"),
        (
            "ACL SETUSER ann on +get +nosuch",
            "-ERR Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in ACL|",
        ),
        (
            "ACL LIST",
            "*3|$49|user ann off sanitize-payload resetchannels -@all|\
             $91|user bob on nopass sanitize-payload ~b* resetchannels -@all (%R~c resetchannels -@all +get)|\
             $51|user default on nopass sanitize-payload ~* &* +@all|",
        ),
        ("ACL DELUSER ann default", "-ERR The 'default' user cannot be removed|"),
        ("ACL DELUSER ann nosuch bob", ":2|"),
        ("ACL USERS", "*1|$7|default|"),
        ("HELLO 3 AUTH default x", &say(&mut TestServer::new(""), "HELLO 3")),
        ("ACL GETUSER nosuch", "_|"),
        (
            "ACL GETUSER default",
            "%6|$5|flags|~3|$2|on|$6|nopass|$16|sanitize-payload|$9|passwords|*0|$8|commands|$5|+@all|$4|keys|$2|~*|\
             $8|channels|$2|&*|$9|selectors|*0|",
        ),
    ]);
}

#[test]
fn denials_are_told_in_full_to_who_may_know() {
    run(&[
        ("ACL SETUSER ann ~a* %R~r* %W~w* &c +@all -flushall (~z +get)", "+OK|"),
        ("ACL DRYRUN ann GET a", "+OK|"),
        ("ACL DRYRUN ann GET z", "+OK|"),
        ("ACL DRYRUN ann SET z 1", "$49|User ann has no permissions to access the 'z' key|"),
        ("ACL DRYRUN ann FLUSHALL", "$57|User ann has no permissions to run the 'flushall' command|"),
        ("ACL DRYRUN ann GET w", "$49|User ann has no permissions to access the 'w' key|"),
        ("ACL DRYRUN ann SET w 1", "+OK|"),
        ("ACL DRYRUN ann SET w 1 GET", "$49|User ann has no permissions to access the 'w' key|"),
        ("ACL DRYRUN ann COPY r w", "+OK|"),
        ("ACL DRYRUN ann COPY w r", "$49|User ann has no permissions to access the 'w' key|"),
        ("ACL DRYRUN ann EXISTS w r a", "+OK|"),
        ("ACL DRYRUN ann EXISTS w q", "$49|User ann has no permissions to access the 'q' key|"),
        ("ACL DRYRUN ann SORT r STORE r", "$49|User ann has no permissions to access the 'r' key|"),
        ("ACL DRYRUN ann SORT r STORE r STORE w", "+OK|"),
        ("ACL DRYRUN ann BITFIELD r GET u8 0", "+OK|"),
        ("ACL DRYRUN ann BITFIELD r OVERFLOW SAT GET u8 0", "+OK|"),
        (
            "ACL DRYRUN ann BITFIELD r GET u8 0 SET u8 0 1",
            "$49|User ann has no permissions to access the 'r' key|",
        ),
        ("ACL DRYRUN ann XREAD STREAMS r x 0 0", "$49|User ann has no permissions to access the 'x' key|"),
        ("ACL DRYRUN ann ZUNIONSTORE w 2 r r", "+OK|"),
        ("ACL DRYRUN ann ZUNIONSTORE w 2 r w", "$49|User ann has no permissions to access the 'w' key|"),
        ("ACL DRYRUN ann PUBLISH d x", "$53|User ann has no permissions to access the 'd' channel|"),
        ("ACL DRYRUN ann SSUBSCRIBE c d", "$53|User ann has no permissions to access the 'd' channel|"),
        ("ACL DRYRUN ann PSUBSCRIBE c", "+OK|"),
        ("ACL DRYRUN ann PUNSUBSCRIBE d", "+OK|"),
        ("ACL DRYRUN nosuch GET a", "-ERR User 'nosuch' not found|"),
        ("ACL DRYRUN ann nosuch", "-ERR Command 'nosuch' not found|"),
        ("ACL DRYRUN ann CONFIG nosuch", "-ERR Command 'CONFIG' not found|"),
        ("ACL DRYRUN ann GET", "-ERR wrong number of arguments for 'get' command|"),
    ]);
}

/// As Valkey 9.1 has it.
#[test]
fn databases_may_be_forbidden() {
    let mut server = TestServer::new("");
    for (rule, requests) in [
        (
            "db=5,6",
            "MOVE-a-5:0 COPY-a-b-DB-5:0 COPY-a-b:0 COPY-a-b-REPLACE-DB-7:5 COPY-a-b-DB-5-DB-7:6 SWAPDB-5-6: SWAPDB-5-7:2",
        ),
        (
            "db=5,6",
            "SELECT-5: SELECT--1: SELECT-7:1 MOVE-a-x:0 MOVE-a-7:2 FLUSHALL:0 GET-a:0 PING: SCAN-0:0 COPY-a-b-DB-x:0",
        ),
        ("db=5,6", "SWAPDB-7-x: SELECT-99: MOVE-a-99:0 PUBLISH-a-b: MULTI: INFO: FLUSHDB:0"),
        (
            "db=0,5",
            "MOVE-a-5: MOVE-a-7:2 COPY-a-b: COPY-a-b-DB-5: COPY-a-b-DB-7:4 GET-a: FLUSHALL:0 MOVE-a-99: KEYS-*:",
        ),
        ("resetdbs", "GET-a:0 SELECT-0:1 PING:"),
        ("alldbs", "GET-a: SELECT-5: FLUSHALL: SWAPDB-1-2:"),
    ] {
        say(&mut server, &format!("ACL SETUSER ann reset on nopass ~* &* +@all {rule}"));
        for request in requests.split(' ') {
            let (request, lacks) = request.split_once(':').expect("what it lacks");
            let words: Vec<&str> = request.split('-').collect();
            let words: Vec<String> =
                words.join(" ").replace("  1", " -1").split(' ').map(str::to_owned).collect();
            let expected = match lacks.parse::<usize>() {
                Err(_) => "+OK|".to_owned(),
                Ok(at) => {
                    let text = format!("User ann has no permissions to access database {}", words[at]);
                    format!("${}|{text}|", text.len())
                }
            };
            assert_eq!(
                say(&mut server, &format!("ACL DRYRUN ann {}", words.join(" "))),
                expected,
                "{rule}: {request}"
            );
        }
    }
    say(&mut server, "ACL SETUSER ann reset on nopass ~* +@all db=1");
    assert!(
        say(&mut server, "ACL GETUSER ann")
            .contains("|$8|channels|$0||$9|databases|$4|db=1|$9|selectors|*0|")
    );
    check(
        &mut server,
        &[
            ("AUTH ann x", "+OK|"),
            ("GET a", "-NOPERM No permissions to access database|"),
            ("SELECT 1", "+OK|"),
            ("GET a", "$-1|"),
            ("SORT l BY x* GET #", "*0|"),
        ],
    );
    let log = say(&mut server, "ACL LOG");
    assert!(log.contains("|$6|reason|$8|database|$7|context|$8|toplevel|$6|object|$3|GET|"), "{log}");
}

#[test]
fn restricted_clients_are_denied_and_it_is_noted() {
    let mut server = TestServer::new("");
    server.engine.state.process.now_ms = 5_000;
    check(
        &mut server,
        &[
            ("ACL SETUSER ann on >p ~a* &c +@all -flushall -exec", "+OK|"),
            ("AUTH ann x", "-WRONGPASS invalid username-password pair or user is disabled.|"),
            ("AUTH nosuch x", "-WRONGPASS invalid username-password pair or user is disabled.|"),
            ("ACL WHOAMI", "$7|default|"),
            ("AUTH ann p", "+OK|"),
            ("ACL WHOAMI", "$3|ann|"),
            ("SET a 1", "+OK|"),
            ("SET b 1", "-NOPERM No permissions to access a key|"),
            ("PUBLISH d 1", "-NOPERM No permissions to access a channel|"),
            ("FLUSHALL", "-NOPERM User ann has no permissions to run the 'flushall' command|"),
            ("FLUSHALL x y z", "-NOPERM User ann has no permissions to run the 'flushall' command|"),
            ("GET", "-ERR wrong number of arguments for 'get' command|"),
            ("SORT ab BY x", "*0|"),
            ("SORT ab BY x*", "-ERR BY option of SORT denied due to insufficient ACL permissions.|"),
            ("SORT_RO ab GET #", "-ERR GET option of SORT denied due to insufficient ACL permissions.|"),
            ("MULTI", "+OK|"),
            ("GET b", "-NOPERM No permissions to access a key|"),
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of: NOPERM User ann has no permissions to run the 'exec' command|",
            ),
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of: NOPERM User ann has no permissions to run the 'exec' command|",
            ),
        ],
    );
    let info = say(&mut server, "INFO stats");
    for figure in ["auth:2", "cmd:4", "key:2", "channel:1"] {
        assert!(info.contains(&format!("|acl_access_denied_{figure}|")), "{figure} in {info}");
    }
    let ann = server.token;
    server.connect("10.0.0.1:1001");
    let log = say(&mut server, "ACL LOG 2");
    let start = "*2|*20|$5|count|:1|$6|reason|$7|command|$7|context|$8|toplevel|$6|object|$4|exec|$8|username|$3|ann|\
                 $11|age-seconds|$1|0|$11|client-info|$";
    assert!(log.starts_with(start), "{log}");
    assert!(log.contains("|id=1 addr=10.0.0.1:1000 "), "{log}");
    assert!(log.contains(" cmd=exec user=ann "), "{log}");
    assert!(
        log.contains("|$8|entry-id|:7|$17|timestamp-created|:5000|$22|timestamp-last-updated|:5000|*20|"),
        "{log}"
    );
    assert!(log.contains("|$7|context|$5|multi|$6|object|$4|exec|"), "{log}");
    assert!(say(&mut server, "ACL LOG 100").starts_with("*8|"));
    check(
        &mut server,
        &[
            ("ACL LOG -1", "*0|"),
            ("ACL LOG x", "-ERR value is not an integer or out of range|"),
            ("ACL LOG a b", "-ERR unknown subcommand or wrong number of arguments for 'LOG'. Try ACL HELP.|"),
            ("ACL LOG reset", "+OK|"),
            ("ACL LOG", "*0|"),
            ("CLIENT KILL USER ann", ":1|"),
            ("CLIENT KILL USER nosuch", "-ERR No such user 'nosuch'|"),
        ],
    );
    assert_eq!(server.engine.state.sessions[ann].closing, Closing::Now);
}

#[test]
fn rights_that_change_meanwhile_count_at_exec() {
    let mut server = TestServer::new("");
    check(
        &mut server,
        &[
            ("ACL SETUSER ann on nopass ~* &* +@all", "+OK|"),
            ("AUTH ann x", "+OK|"),
            ("MULTI", "+OK|"),
            ("GET k", "+QUEUED|"),
            ("SET k 1", "+QUEUED|"),
            ("PUBLISH c 1", "+QUEUED|"),
            ("EXISTS z", "+QUEUED|"),
        ],
    );
    let ann = server.token;
    server.connect("10.0.0.1:1001");
    check(&mut server, &[("ACL SETUSER ann -get resetkeys ~z resetchannels", "+OK|")]);
    server.token = ann;
    server.engine.state.sessions[ann].reply_mode = Default::default();
    assert_eq!(say(&mut server, "EXEC"), "*4|");
    let mut said = String::new();
    server.engine.enter(ann);
    while server.engine.run_queued(ann).is_some() {}
    said.push_str(&String::from_utf8_lossy(server.engine.reply().out.plain()));
    server.engine.leave(ann);
    let changed = "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
                   command is no longer allowed for the following reason: ";
    assert_eq!(
        said.replace(changed, "!").replace("\r\n", "|"),
        "!no permission to execute the command or subcommand|!no permission to touch the specified keys|!no permission \
         to access one of the channels used as arguments to the command|:0|"
    );
}

#[test]
fn clients_go_with_their_user_and_with_their_channels() {
    let mut server = TestServer::new("");
    server.engine.set_now(UnixMs(1));
    let admin = server.token;
    say(&mut server, "ACL SETUSER ann on nopass ~* &a &b* +@all");
    let mut clients = Vec::new();
    for line in ["SUBSCRIBE a", "PSUBSCRIBE b*", "SSUBSCRIBE bx", "PING"] {
        server.connect("10.0.0.1:1001");
        check(&mut server, &[("AUTH ann x", "+OK|")]);
        assert!(!say(&mut server, line).starts_with('-'), "{line}");
        clients.push(server.token);
    }
    let gone = |server: &TestServer| -> Vec<bool> {
        clients.iter().map(|token| server.engine.state.sessions[*token].closing == Closing::Now).collect()
    };
    server.token = admin;
    say(&mut server, "ACL SETUSER ann &c");
    say(&mut server, "ACL SETUSER ann resetchannels &b* &a");
    assert_eq!(gone(&server), [false; 4]);
    say(&mut server, "ACL SETUSER ann resetchannels &a &b?");
    assert_eq!(gone(&server), [false, true, false, false]);
    say(&mut server, "ACL SETUSER ann resetchannels");
    assert_eq!(gone(&server), [true, true, true, false]);
    assert_eq!(say(&mut server, "ACL DELUSER ann"), ":1|");
    assert_eq!(gone(&server), [true; 4]);
    // Whoever removes itself hears of it.
    check(
        &mut server,
        &[("ACL SETUSER bob on nopass ~* +@all", "+OK|"), ("AUTH bob x", "+OK|"), ("ACL DELUSER bob", ":1|")],
    );
    assert_eq!(server.session().closing, Closing::AfterReply);
    assert_eq!(say(&mut server, "ACL WHOAMI"), "$7|default|");
}

#[test]
fn the_default_user_has_the_password_of_the_configuration() {
    let mut server = TestServer::new("secret");
    check(
        &mut server,
        &[
            ("GET", "-ERR wrong number of arguments for 'get' command|"),
            ("GET a", "-NOAUTH Authentication required.|"),
            ("MULTI", "-NOAUTH Authentication required.|"),
            ("AUTH secret", "+OK|"),
            ("ACL SETUSER default >other -@dangerous", "+OK|"),
            ("KEYS *", "-NOPERM User default has no permissions to run the 'keys' command|"),
            ("RESET", "+RESET|"),
            ("GET a", "-NOAUTH Authentication required.|"),
            ("AUTH other", "+OK|"),
            ("GET a", "$-1|"),
            ("RESET", "+RESET|"),
        ],
    );
    let closed = server.token;
    server.connect("10.0.0.1:1001");
    check(
        &mut server,
        &[
            ("AUTH secret", "+OK|"),
            (
                "ACL SETUSER default nopass",
                "-NOPERM User default has no permissions to run the 'acl|setuser' command|",
            ),
        ],
    );
    let mut user = server.engine.state.users.default_user().clone();
    assert_eq!(rules::apply(&mut user, b"nopass", false), Ok(()));
    server.engine.state.put_user(user.clone());
    server.token = closed;
    check(
        &mut server,
        &[
            ("GET a", "$-1|"),
            (
                "AUTH x",
                "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?|",
            ),
        ],
    );
    user.on = false;
    server.engine.state.put_user(user);
    check(&mut server, &[("GET a", "-NOAUTH Authentication required.|")]);
}

#[test]
fn files_are_read_as_a_whole_or_not_at_all() {
    let errors = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
    for (text, expected) in [
        ("", Ok("")),
        ("\n user ann on  ~a\r\n\nuser bob (+get ~b)\n", Ok("ann bob")),
        ("user", Err("f:1 should start with user keyword followed by the username. ")),
        ("# no", Err("f:1 should start with user keyword followed by the username. ")),
        ("user a\tb", Err("'f:1: username 'a\tb' contains invalid characters. ")),
        ("user a\nuser a", Err("WARNING: Duplicate user 'a' found on line 2. ")),
        ("user a (~b", Err("f:1: Unmatched parenthesis in selector definition.")),
        (
            "user a +nosuch zz %x +@b\nuser b >x <y",
            Err(
                "f:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. f:1: Syntax error. \
                 f:1: Error in applying operation '+@b': Unknown command or category name in ACL. f:2: The password you \
                 are trying to remove from the user does not exist. ",
            ),
        ),
    ] {
        install();
        let names = |users: Vec<User>| {
            let names: Vec<_> =
                users.iter().map(|user| String::from_utf8_lossy(&user.name).into_owned()).collect();
            names.join(" ")
        };
        let expected = expected.map(str::to_owned).map_err(|why| format!("{why}{errors}"));
        assert_eq!(file::read(text.as_bytes(), "f", false).map(names), expected, "{text}");
    }
}

#[test]
fn users_of_a_file_take_the_place_of_all_others() {
    let mut server = TestServer::new("secret");
    check(
        &mut server,
        &[
            ("AUTH secret", "+OK|"),
            ("ACL SETUSER ann on nopass +@all", "+OK|"),
            ("ACL SETUSER bob on nopass +@all", "+OK|"),
        ],
    );
    let admin = server.token;
    let mut logged_in = |name: &str| {
        server.connect("10.0.0.1:1001");
        assert_eq!(say(&mut server, &format!("AUTH {name} x")), "+OK|");
        server.token
    };
    let (ann, bob) = (logged_in("ann"), logged_in("bob"));
    assert_eq!(
        file::take(&mut server.engine.state, b"user ann on nopass -@all +ping\nuser cyd off\n"),
        Ok(())
    );
    assert_eq!(server.engine.state.sessions[bob].closing, Closing::Now);
    server.token = ann;
    check(
        &mut server,
        &[("PING", "+PONG|"), ("GET a", "-NOPERM User ann has no permissions to run the 'get' command|")],
    );
    // The file says nothing of the default user, so it is as in a new server, whatever `requirepass` is.
    server.token = admin;
    check(&mut server, &[("ACL USERS", "*3|$3|ann|$3|cyd|$7|default|")]);
    assert!(server.engine.state.users.open());
    assert!(file::take(&mut server.engine.state, b"user ann nosuch").is_err());
    check(&mut server, &[("ACL USERS", "*3|$3|ann|$3|cyd|$7|default|")]);
    let text = file::write(&server.engine.state);
    let before: Vec<User> = server.engine.state.users.iter().cloned().collect();
    assert_eq!(file::take(&mut server.engine.state, &text), Ok(()));
    assert_eq!(server.engine.state.users.iter().cloned().collect::<Vec<_>>(), before);
}

#[test]
fn the_configuration_describes_users_too() {
    let loaded = |text: &str| {
        install();
        let mut settings = Settings::default();
        let loaded = crate::config::load(text, &mut settings, &mut |_| Err(String::new()));
        assert!(loaded.is_ok(), "{text}");
        settings
    };
    for (text, expected) in [
        (
            "user ann on\nuser ann off",
            "Error in user declaration 'ann': Duplicate user found. A user can only be defined",
        ),
        ("user ann +nosuch", "Error in user declaration '+nosuch': Unknown command or category name in ACL"),
        ("user ann (~a", "Error in user declaration '(~a': Unmatched parenthesis"),
        ("user \"a b\"", "Spaces not allowed in ACL usernames"),
        ("user", "wrong number of arguments"),
        ("aclfile x\nuser ann", "but not both."),
    ] {
        let why = file::configured(&loaded(text)).expect_err(text);
        assert!(why.contains(expected), "{text}: {why}");
    }
    let text = "requirepass p\nacl-pubsub-default allchannels\nuser ann on nopass (~a)\nuser default on >q ~* +get\n";
    let mut engine = Engine::new(loaded(text), 1);
    assert_eq!(file::take_configured(&mut engine.state), Ok(vec![]));
    let lines = file::config_lines(&engine.state);
    assert_eq!(
        lines,
        [
            "user ann on nopass sanitize-payload &* -@all (~a &* -@all)",
            "user default on sanitize-payload #8e35c2cd3bf6641bdb0e2050b76932cbb2e6034a0ddacc1d9bea82a6ba57f7cf ~* &* -@all \
             +get",
        ]
    );
    // A default user of whom the other lines say enough has none.
    for text in ["", "requirepass p", "user default on nopass ~* &* +@all"] {
        let mut engine = Engine::new(loaded(text), 1);
        assert_eq!(file::take_configured(&mut engine.state), Ok(vec![]));
        assert_eq!(file::config_lines(&engine.state), [""; 0], "{text}");
    }
}

#[test]
fn passwords_are_asked_of_who_has_chance() {
    let mut server = TestServer::new("");
    for (line, digits) in
        [("ACL GENPASS", 64), ("ACL GENPASS 1", 1), ("ACL GENPASS 5", 2), ("ACL GENPASS 4096", 1024)]
    {
        assert_eq!(say(&mut server, line), "");
        assert!(server.asked() == Some(Ask::Password { digits }), "{line}");
    }
    let bounds = "-ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096|";
    check(
        &mut server,
        &[
            ("ACL GENPASS 0", bounds),
            ("ACL GENPASS 4097", bounds),
            ("ACL GENPASS x", "-ERR value is not an integer or out of range|"),
            (
                "ACL GENPASS 1 2",
                "-ERR unknown subcommand or wrong number of arguments for 'GENPASS'. Try ACL HELP.|",
            ),
        ],
    );
}

#[test]
fn the_file_is_asked_for_only_if_there_is_one() {
    let mut server = TestServer::new("");
    for (line, ask) in [("ACL SAVE", Ask::SaveUsers), ("ACL LOAD", Ask::LoadUsers)] {
        server.engine.state.settings.aclfile.clear();
        assert!(
            say(&mut server, line)
                .starts_with("-ERR This Redis instance is not configured to use an ACL file.")
        );
        server.engine.state.settings.aclfile = "users.acl".to_owned();
        assert_eq!(say(&mut server, line), "");
        assert!(server.asked() == Some(ask));
    }
}

#[test]
fn a_rule_that_needs_quotes_in_the_configuration_stands_alone_in_them() {
    use crate::command::acl::describe::config_line;
    use crate::command::acl::rules::apply;
    use crate::state::acl::User;
    crate::command::table::install();
    let mut user = User::new(b"ann", false);
    for rule in [&b"+get"[..], b"+select|\x1e", b"+set"] {
        assert_eq!(apply(&mut user, rule, false), Ok(()));
    }
    assert!(config_line(&user).ends_with(r#" -@all +get "+select|\x1e" +set"#), "{}", config_line(&user));
}
