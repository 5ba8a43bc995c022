use crate::command::connection::tests::TestServer;
use crate::state::session::Closing;

#[test]
fn a_client_tells_and_is_told_about_itself() {
    let special = "cannot contain spaces, newlines or special characters.|";
    let mut server = TestServer::new("");
    server.check(&[
        ("CLIENT ID", ":1|"),
        ("CLIENT GETNAME", "$-1|"),
        ("CLIENT SETNAME a~b", &format!("-ERR Client names {special}")),
        ("CLIENT SETNAME a\n", &format!("-ERR Client names {special}")),
        ("CLIENT SETNAME me", "+OK|"),
        ("CLIENT GETNAME", "$2|me|"),
        ("CLIENT SETNAME \"\"", "+OK|"),
        ("CLIENT GETNAME", "$-1|"),
        ("CLIENT SETINFO lib-name x~y", &format!("-ERR lib-name {special}")),
        ("CLIENT SETINFO LIB-VER x~y", &format!("-ERR lib-ver {special}")),
        ("CLIENT SETINFO foo bar", "-ERR Unrecognized option 'foo'|"),
        ("CLIENT SETINFO LIB-NAME redis-py", "+OK|"),
        ("CLIENT SETINFO lib-ver 5.0", "+OK|"),
        ("CLIENT NO-TOUCH ON", "+OK|"),
        ("CLIENT NO-EVICT on", "+OK|"),
        ("CLIENT NO-EVICT foo", "-ERR syntax error|"),
        ("CLIENT NO-TOUCH foo", "-ERR syntax error|"),
        ("CLIENT CAPA redirect foo", "+OK|"),
        ("CLIENT IMPORT-SOURCE ON", "-ERR Server is not in import mode|"),
        ("CLIENT IMPORT-SOURCE OFF", "+OK|"),
        ("CLIENT foo", "-ERR unknown subcommand 'foo'. Try CLIENT HELP.|"),
        ("CLIENT", "-ERR wrong number of arguments for 'client' command|"),
        ("CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command|"),
    ]);
    let session = server.session();
    assert!(session.redirectable && session.no_touch && session.no_evict);
    assert!(!server.engine.keys.touching);
    let help = server.run("CLIENT HELP");
    assert!(
        help.contains("|+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:|+CACHING (YES|NO)|")
    );
}

#[test]
fn the_line_has_the_fields_of_redis_in_their_order() {
    let mut server = TestServer::new("");
    server.run("CLIENT SETNAME me");
    server.run("CLIENT SETINFO LIB-NAME lib");
    server.run("SELECT 2");
    server.engine.state.process.mono_ms += 3500;
    server.session().commands = 3;
    server.session().input_bytes = 70;
    server.session().output_bytes = 15;
    let info = server.run("CLIENT INFO");
    let line = info.split_once('|').unwrap().1;
    let start = "id=1 addr=10.0.0.1:1000 laddr=10.0.0.9:6379 fd=8 name=me age=3 idle=0 flags=N db=2 sub=0 psub=0 ssub=0 \
                 multi=-1 watch=0 qbuf=0 qbuf-free=0 argv-mem=10 multi-mem=0 rbs=";
    let end = " events=r cmd=client|info user=default redir=-1 resp=2 lib-name=lib lib-ver= io-thread=0 tot-net-in=70 \
               tot-net-out=15 tot-cmds=3\n|";
    assert!(line.starts_with(start), "{line}");
    assert!(line.ends_with(end), "{line}");
    let names: Vec<&str> = line.split(' ').map(|field| field.split('=').next().unwrap()).collect();
    assert_eq!(names[18..25], ["rbs", "rbp", "obl", "oll", "omem", "tot-mem", "events"]);
    server.run("HELLO 3");
    assert!(server.run("CLIENT LIST").contains("|txt:id=1 addr="));
}

/// Numbers of the clients in a reply of `CLIENT LIST`.
fn ids(reply: &str) -> String {
    let ids = reply.split(['|', '\n']).filter_map(|line| line.strip_prefix("id=")?.split(' ').next());
    ids.collect::<Vec<_>>().join(",")
}

/// Three clients; the third talks.
fn three() -> TestServer {
    let mut server = TestServer::new("");
    server.run("CLIENT SETNAME one");
    server.run("CLIENT CAPA REDIRECT");
    server.run("SELECT 1");
    server.engine.state.process.mono_ms += 10_000;
    server.connect("10.0.0.2:2000");
    server.run("CLIENT SETINFO LIB-NAME lib");
    server.run("CLIENT NO-TOUCH ON");
    server.engine.state.process.mono_ms += 10_000;
    server.connect("[::1]:3000");
    server
}

#[test]
fn lists_are_filtered() {
    let mut server = three();
    for (options, expected) in [
        ("", "1,2,3"),
        (" ID 1", "1"),
        (" ID 3 1 99 -4", "1,3"),
        (" NOT-ID 3 1", "2"),
        (" ID 1 2 NAME one", "1"),
        (" TYPE normal", "1,2,3"),
        (" TYPE pubsub", ""),
        (" NOT-TYPE Replica", "1,2,3"),
        (" ADDR 10.0.0.2:2000", "2"),
        (" not-addr 10.0.0.2:2000", "1,3"),
        (" LADDR 10.0.0.9:6379", "1,2,3"),
        (" IP 10.0.0.1", "1"),
        (" IP ::1", "3"),
        (" NOT-IP ::1 NOT-IP 10.0.0.1", "2,3"),
        (" USER default", "1,2,3"),
        (" NOT-USER default", ""),
        (" SKIPME yes", "1,2"),
        (" SKIPME no", "1,2,3"),
        (" MAXAGE 20", "1"),
        (" MAXAGE 10", "1,2"),
        (" IDLE 11", "1"),
        (" FLAGS T", "2"),
        (" FLAGS NT", ""),
        (" NOT-FLAGS T", "1,3"),
        (" NAME one NAME two", ""),
        (" LIB-NAME lib LIB-VER x", ""),
        (" LIB-NAME lib", "2"),
        (" DB 1", "1"),
        (" NOT-DB 1", "2,3"),
        (" CAPA r", "1"),
    ] {
        let reply = server.run(&format!("CLIENT LIST{options}"));
        assert!(reply.starts_with('$'), "{options}: {reply}");
        assert_eq!(ids(&reply), expected, "{options}");
    }
    for (options, expected) in [
        ("foo", "-ERR syntax error|"),
        ("TYPE", "-ERR syntax error|"),
        ("TYPE foo", "-ERR Unknown client type 'foo'|"),
        ("ID", "-ERR syntax error|"),
        ("ID x", "-ERR Invalid client ID|"),
        ("USER foo", "-ERR No such user 'foo'|"),
        ("SKIPME x", "-ERR syntax error|"),
        ("MAXAGE x", "-ERR maxage is not an integer or out of range|"),
        ("MAXAGE 0", "-ERR maxage should be greater than 0|"),
        ("IDLE -1", "-ERR idle should be greater than 0|"),
        ("NOT-IDLE 1", "-ERR syntax error|"),
        ("FLAGS Q", "-ERR Unknown flags found in the provided filter: Q|"),
        ("CAPA q", "-ERR Unknown capa found in the provided filter: q|"),
        ("DB x", "-ERR DB is not an integer or out of range|"),
        ("DB 16", "-ERR DB number should be between 0 and 15|"),
    ] {
        server.check(&[(&format!("CLIENT LIST {options}"), expected)]);
    }
}

#[test]
fn killed_clients_are_marked() {
    let mut server = three();
    server.check(&[
        ("CLIENT KILL 1.2.3.4:5", "-ERR No such client|"),
        ("CLIENT KILL ID 99", ":0|"),
        ("CLIENT KILL ID 0", "-ERR client-id should be greater than 0|"),
        ("CLIENT KILL ID x", "-ERR client-id should be greater than 0|"),
        ("CLIENT KILL foo bar", "-ERR syntax error|"),
        ("CLIENT KILL ID 1 ADDR", "-ERR syntax error|"),
        ("CLIENT KILL TYPE pubsub", ":0|"),
        ("CLIENT KILL ID 3", ":0|"),
    ]);
    assert!(!server.engine.state.sessions_marked);
    server.check(&[
        ("CLIENT KILL 10.0.0.2:2000", "+OK|"),
        ("CLIENT KILL 10.0.0.2:2000", "-ERR No such client|"),
    ]);
    assert!(server.engine.state.sessions_marked);
    assert_eq!(ids(&server.run("CLIENT LIST")), "1,3");
    server
        .check(&[("CLIENT KILL USER default", ":1|"), ("CLIENT KILL SKIPME no LADDR 10.0.0.9:6379", ":1|")]);
    let closing: Vec<Closing> =
        server.engine.state.sessions.iter().map(|(_, session)| session.closing).collect();
    assert_eq!(closing, [Closing::Now, Closing::Now, Closing::AfterReply]);
    assert_eq!(ids(&server.run("CLIENT LIST")), "3");
}

#[test]
fn replies_can_be_turned_off() {
    TestServer::new("").check(&[
        ("CLIENT REPLY foo", "-ERR syntax error|"),
        ("CLIENT REPLY ON", "+OK|"),
        ("CLIENT REPLY SKIP", ""),
        ("PING", ""),
        ("PING", "+PONG|"),
        ("CLIENT REPLY OFF", ""),
        ("PING", ""),
        ("CLIENT REPLY SKIP", ""),
        ("PING", ""),
        ("CLIENT REPLY ON", "+OK|"),
        ("PING", "+PONG|"),
    ]);
}

#[test]
fn pauses_and_waits_are_checked_before_they_begin() {
    TestServer::new("").check(&[
        ("CLIENT PAUSE x", "-ERR timeout is not an integer or out of range|"),
        ("CLIENT PAUSE -1", "-ERR timeout is negative|"),
        ("CLIENT PAUSE 9223372036854775807", "-ERR timeout is out of range|"),
        ("CLIENT PAUSE 1 foo", "-ERR CLIENT PAUSE mode must be WRITE or ALL|"),
        ("CLIENT PAUSE 1 WRITE", "+OK|"),
        ("CLIENT UNPAUSE", "+OK|"),
        ("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range|"),
        ("CLIENT UNBLOCK 1 foo", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR|"),
        ("CLIENT UNBLOCK 1 ERROR", ":0|"),
    ]);
}

#[test]
fn options_of_tracking_must_go_together() {
    let caching = "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
                   enabled|";
    let mode = "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling \
                it with a different mode.|";
    let choice = "-ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
                  re-enabling it with a different mode.|";
    let overlap = |a: &str, which: &str, b: &str| {
        format!(
            "-ERR Prefix '{a}' overlaps with {which} prefix '{b}'. Prefixes for a single client must not overlap.|"
        )
    };
    TestServer::new("").check(&[
        ("CLIENT CACHING YES", caching),
        ("CLIENT GETREDIR", ":-1|"),
        ("CLIENT TRACKINGINFO", "*6|$5|flags|*1|$3|off|$8|redirect|:-1|$8|prefixes|*0|"),
        ("CLIENT TRACKING foo", "-ERR syntax error|"),
        ("CLIENT TRACKING OFF", "+OK|"),
        ("CLIENT TRACKING OFF foo", "-ERR syntax error|"),
        ("CLIENT TRACKING ON REDIRECT 99", "-ERR The client ID you want redirect to does not exist|"),
        ("CLIENT TRACKING ON REDIRECT x", "-ERR value is not an integer or out of range|"),
        (
            "CLIENT TRACKING ON REDIRECT 1 REDIRECT 1",
            "-ERR A client can only redirect to a single other client|",
        ),
        ("CLIENT TRACKING ON OPTIN OPTOUT", "-ERR You can't specify both OPTIN mode and OPTOUT mode|"),
        ("CLIENT TRACKING ON BCAST OPTIN", "-ERR OPTIN and OPTOUT are not compatible with BCAST|"),
        ("CLIENT TRACKING ON PREFIX a", "-ERR PREFIX option requires BCAST mode to be enabled|"),
        ("CLIENT TRACKING ON BCAST PREFIX a PREFIX ab", &overlap("a", "another provided", "ab")),
        ("CLIENT TRACKING ON BCAST PREFIX a PREFIX b", "+OK|"),
        ("CLIENT TRACKING ON BCAST PREFIX bb", &overlap("bb", "an existing", "b")),
        ("CLIENT TRACKING ON BCAST PREFIX c", "+OK|"),
        ("CLIENT TRACKING ON", mode),
        (
            "CLIENT TRACKINGINFO",
            "*6|$5|flags|*2|$2|on|$5|bcast|$8|redirect|:0|$8|prefixes|*3|$1|a|$1|b|$1|c|",
        ),
        ("CLIENT TRACKING ON BCAST", "+OK|"),
        ("CLIENT TRACKING OFF", "+OK|"),
        ("CLIENT TRACKING ON OPTIN", "+OK|"),
        ("CLIENT TRACKING ON OPTOUT", choice),
        (
            "CLIENT CACHING NO",
            "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.|",
        ),
        ("CLIENT CACHING x", "-ERR syntax error|"),
        ("CLIENT TRACKING ON", "+OK|"),
        (
            "CLIENT CACHING YES",
            "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.|",
        ),
        ("CLIENT GETREDIR", ":0|"),
    ]);
}

#[test]
fn the_line_tells_who_tracks_and_who_monitors() {
    let mut server = three();
    server.run("CLIENT TRACKING ON BCAST REDIRECT 1");
    let line = server.run("CLIENT INFO");
    assert!(line.contains(" flags=tB ") && line.contains(" redir=1 "), "{line}");
    server.engine.set_now(crate::base::date::UnixMs(1));
    server.check(&[("SUBSCRIBE c", "*3|$9|subscribe|$1|c|:1|")]);
    server.token = 0;
    assert_eq!(ids(&server.run("CLIENT LIST TYPE pubsub")), "3");
    assert_eq!(ids(&server.run("CLIENT LIST TYPE normal")), "1,2");
    assert_eq!(ids(&server.run("CLIENT LIST FLAGS PtB")), "3");
    server.run("MONITOR");
    assert!(server.run("CLIENT INFO").contains(" flags=O "));
    server.check(&[("CLIENT KILL TYPE pubsub", ":1|")]);
}
