//! Rules of users: described in words, a user is read again as the same; and so is a file of users.

use kvick::command::acl::describe::{config_line, line};
use kvick::command::acl::file;
use kvick::command::acl::rules::{apply, has_blanks, merge};
use kvick::command::table;
use kvick::config::Settings;
use kvick::state::acl::{Access, User};

/// Runs the target.
pub fn run(data: &[u8]) {
    table::install();
    let all_channels = data.first().is_some_and(|first| first & 1 != 0);
    let data = data.get(1..).unwrap_or_default();
    one(data, all_channels);
    // A whole file, and lines of a configuration.
    if let Ok(users) = file::read(data, "users.acl", all_channels) {
        let text: Vec<u8> = users.iter().flat_map(|user| [line(user), b"\n".to_vec()].concat()).collect();
        assert!(file::read(&text, "users.acl", false) == Ok(users), "{}", text.escape_ascii());
    }
}

/// The words of the text as the rules of one user.
fn one(data: &[u8], all_channels: bool) {
    let Ok(rules) = merge(data.split(|byte| *byte == b'\n')) else { return };
    let mut user = User::new(b"alice", all_channels);
    for rule in rules.iter().take(50) {
        let before = user.clone();
        if apply(&mut user, rule, all_channels).is_err() {
            assert!(user == before, "{} leaves a trace", rule.escape_ascii());
        }
    }
    let (admits, root) = (user.admits(b"password"), user.root());
    for key in [&b"key"[..], b"x:1"] {
        let access = Access { reads: true, writes: false };
        assert!(!root.reads_all_keys() || root.allows_key(key, access));
    }
    let text = line(&user);
    let read = file::read(&text, "users.acl", false);
    assert!(read.as_deref() == Ok(&[user.clone()]), "{}: {read:?}", text.escape_ascii());
    // The same through the configuration file, where quotes mean something.
    let text = config_line(&user);
    let mut settings = Settings::default();
    let nothing = &mut |_: &str| Err("nothing is included".to_owned());
    kvick::config::load(&text, &mut settings, nothing).unwrap_or_else(|problem| panic!("{problem}"));
    let read = file::configured(&settings);
    assert!(read.as_deref() == Ok(&[user.clone()]), "{text}: {read:?}");
    assert_eq!(user.admits(b"password"), admits);
    assert!(!has_blanks(&user.name));
}

/// Examples.
pub fn seeds() -> Vec<Vec<u8>> {
    let rules = [
        "on\n>password\n~x:*\n%R~y\n&chan*\n+@all\n-debug\n+config|get",
        "nopass\nallkeys\nallchannels\n+select|0\n(~a +get\n-set)\nclearselectors\nreset\noff",
        "resetkeys\nresetchannels\nalldbs\ndb=1,2,3\nresetdbs\n-@dangerous\n+@read\nnocommands\nskip-sanitize-payload",
        "#5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\n<password\n(%W~\"a b\" &c)\nsanitize-payload",
        "user alice on nopass sanitize-payload ~* &* +@all\nuser bob off resetchannels -@all",
    ];
    rules.iter().flat_map(|text| [0, 1].map(|first| [&[first], text.as_bytes()].concat())).collect()
}
