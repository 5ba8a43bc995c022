use crate::command::tests::ask_words;
use crate::config::Settings;
use crate::engine::Engine;
use crate::state::ask::Ask;
use crate::state::denials::Reason;
use crate::state::session::{Closing, Session};

/// An engine with clients that talk to it line by line.
pub struct TestServer {
    pub engine: Engine,
    /// The client that talks.
    pub token: usize,
}

impl TestServer {
    /// A server with one client, with a password if it is not empty.
    pub fn new(password: &str) -> TestServer {
        let mut settings = Settings::default();
        password.clone_into(&mut settings.requirepass);
        let mut server = TestServer { engine: Engine::new(settings, 1), token: 0 };
        server.engine.state.process.mono_ms = 50_000;
        server.engine.state.process.now_micros = 1_700_000_000_000_042;
        server.connect("10.0.0.1:1000");
        server
    }

    /// One more client, which talks from now on.
    pub fn connect(&mut self, addr: &str) {
        let mono_ms = self.engine.state.process.mono_ms;
        self.token = self.engine.open_session(Session {
            addr: addr.to_owned(),
            laddr: "10.0.0.9:6379".to_owned(),
            fd: 8,
            created_ms: mono_ms,
            active_ms: mono_ms,
            ..Session::default()
        });
    }

    /// Runs a line of words, of which `""` is an empty one and `~` stands for a blank.
    pub fn run(&mut self, line: &str) -> String {
        let words: Vec<String> =
            line.split(' ').map(|word| word.replace("\"\"", "").replace('~', " ")).collect();
        let words = words.iter().map(|word| word.as_bytes());
        ask_words(&mut self.engine, self.token, words).replace("\r\n", "|")
    }

    pub fn check(&mut self, script: &[(&str, &str)]) {
        for (line, expected) in script {
            assert_eq!(self.run(line), *expected, "{line}");
        }
    }

    pub fn asked(&mut self) -> Option<Ask> {
        self.engine.state.ask.take()
    }

    pub fn session(&mut self) -> &mut Session {
        &mut self.engine.state.sessions[self.token]
    }
}

const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.|";
const GREETING: &str = "$6|server|$5|redis|$7|version|$5|8.0.0|$5|proto|:V|$2|id|:1|$4|mode|$10|standalone|$4|role|$6|master|$7|modules|*0|";

fn greeting(resp3: bool) -> String {
    match resp3 {
        false => format!("*14|{}", GREETING.replace(":V", ":2")),
        true => format!("%7|{}", GREETING.replace(":V", ":3")),
    }
}

#[test]
fn small_talk() {
    TestServer::new("").check(&[
        ("PING", "+PONG|"),
        ("ping hello", "$5|hello|"),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command|"),
        ("ECHO \"\"", "$0||"),
        ("ECHO", "-ERR wrong number of arguments for 'echo' command|"),
        ("TIME", "*2|$10|1700000000|$2|42|"),
        ("SELECT 15", "+OK|"),
        ("SELECT 16", "-ERR DB index is out of range|"),
        ("SELECT -1", "-ERR DB index is out of range|"),
        ("SELECT x", "-ERR value is not an integer or out of range|"),
        ("SELECT 2147483648", "-ERR value is out of range, value must between -2147483648 and 2147483647|"),
        ("SET a 1", "+OK|"),
        ("SELECT 0", "+OK|"),
        ("GET a", "$-1|"),
    ]);
}

#[test]
fn without_a_password_anyone_is_the_default_user() {
    TestServer::new("").check(&[
        (
            "AUTH x",
            "-ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?|",
        ),
        ("AUTH default x", "+OK|"),
        ("AUTH someone x", WRONGPASS),
        ("AUTH a b c", "-ERR syntax error|"),
        ("AUTH", "-ERR wrong number of arguments for 'auth' command|"),
    ]);
}

#[test]
fn with_a_password_everything_else_waits_for_it() {
    let mut server = TestServer::new("secret");
    server.check(&[
        ("PING", "-NOAUTH Authentication required.|"),
        (
            "HELLO 3",
            "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the \
             same time|",
        ),
        ("AUTH secre", WRONGPASS),
        ("AUTH secrets", WRONGPASS),
        ("AUTH \"\"", WRONGPASS),
        ("AUTH SECRET", WRONGPASS),
        ("AUTH someone secret", WRONGPASS),
        ("HELLO 3 AUTH default no", WRONGPASS),
        ("PING", "-NOAUTH Authentication required.|"),
        ("AUTH secret", "+OK|"),
        ("PING", "+PONG|"),
        ("AUTH default secret", "+OK|"),
        ("RESET", "+RESET|"),
        ("PING", "-NOAUTH Authentication required.|"),
        ("HELLO 3 AUTH default secret SETNAME me", &greeting(true)),
        ("CLIENT GETNAME", "$2|me|"),
    ]);
    assert_eq!(server.engine.state.denials.count(Reason::Auth), 6);
}

#[test]
fn hello_agrees_on_a_protocol() {
    TestServer::new("").check(&[
        ("HELLO", &greeting(false)),
        ("HELLO 3", &greeting(true)),
        ("GET a", "_|"),
        ("HELLO", &greeting(true)),
        ("HELLO 4", "-NOPROTO unsupported protocol version|"),
        ("HELLO 1", "-NOPROTO unsupported protocol version|"),
        ("HELLO x", "-ERR Protocol version is not an integer or out of range|"),
        ("HELLO 2 SETNAME a~b", "-ERR Client names cannot contain spaces, newlines or special characters.|"),
        ("HELLO 2 foo", "-ERR Syntax error in HELLO option 'foo'|"),
        ("HELLO 2 auth x", "-ERR Syntax error in HELLO option 'auth'|"),
        ("HELLO 2 setname", "-ERR Syntax error in HELLO option 'setname'|"),
        ("GET a", "_|"),
        ("HELLO 2 SETNAME q AUTH default any", &greeting(false)),
        ("GET a", "$-1|"),
        ("CLIENT GETNAME", "$1|q|"),
    ]);
}

#[test]
fn reset_forgets_what_was_agreed() {
    let mut server = TestServer::new("");
    server.check(&[
        ("HELLO 3 SETNAME me", &greeting(true)),
        ("SELECT 3", "+OK|"),
        ("CLIENT NO-TOUCH ON", "+OK|"),
        ("CLIENT NO-EVICT ON", "+OK|"),
        ("CLIENT REPLY OFF", ""),
        ("PING", ""),
        ("RESET", "+RESET|"),
        ("CLIENT GETNAME", "$-1|"),
    ]);
    let session = server.session();
    assert!(!session.resp3 && !session.no_touch && !session.no_evict && session.database == 0);
}

#[test]
fn quit_closes_after_the_reply() {
    let mut server = TestServer::new("");
    server.check(&[("QUIT now", "+OK|")]);
    assert_eq!(server.session().closing, Closing::AfterReply);
    assert!(server.engine.state.sessions_marked);
}

#[test]
fn lolwut_draws_and_tells_the_version() {
    let version = concat!("kvick ver. ", env!("CARGO_PKG_VERSION"), "\n");
    let mut server = TestServer::new("");
    let picture = server.run("LOLWUT VERSION 5 20 4");
    let lines: Vec<&str> = picture.split('|').nth(1).unwrap().lines().collect();
    assert_eq!(lines.iter().map(|line| line.len()).collect::<Vec<_>>(), [20, 20, 20, 20, version.len() - 1]);
    assert!(server.run("LOLWUT").ends_with(&format!("{version}|")));
    server.check(&[
        ("LOLWUT VERSION 1", &format!("${}|{version}|", version.len())),
        ("LOLWUT VERSION x", "-ERR value is not an integer or out of range|"),
        ("LOLWUT 1 2 3", "-ERR syntax error|"),
        ("HELLO 3", &greeting(true)),
        ("LOLWUT VERSION 1", &format!("={}|txt:{version}|", version.len() + 4)),
    ]);
}
