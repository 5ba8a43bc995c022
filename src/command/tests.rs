//! What the scripts of the families share: lines of commands go in; replies, and what the log hears, come out as text.

use std::io::IoSlice;

use crate::base::date::UnixMs;
use crate::config::Settings;
use crate::engine::Engine;
use crate::resp::request::Request;
use crate::state::session::Session;

/// Errors that many families have, as [`say`] writes them.
pub(crate) const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value|";
pub(crate) const SYNTAX: &str = "-ERR syntax error|";
pub(crate) const NOT_INTEGER: &str = "-ERR value is not an integer or out of range|";
pub(crate) const POSITIVE: &str = "-ERR value is out of range, must be positive|";
pub(crate) const SIGN: &str =
    "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807|";

/// Runs a line and returns its reply as it is sent.
pub(crate) fn ask(engine: &mut Engine, token: usize, line: &str) -> String {
    ask_words(engine, token, line.split(' ').map(str::as_bytes))
}

/// Runs a request and returns its reply as it is sent.
pub(crate) fn ask_words<'a>(
    engine: &mut Engine,
    token: usize,
    words: impl IntoIterator<Item = &'a [u8]>,
) -> String {
    let request = Request::new(words);
    engine.enter(token);
    let prepared = engine.prepare(token, request.args());
    engine.run(token, request.args(), prepared);
    engine.leave(token);
    heard(engine, token)
}

/// What a client was sent since it was last looked at, as it is sent.
pub(crate) fn heard(engine: &mut Engine, token: usize) -> String {
    let output = std::mem::take(&mut engine.state.sessions[token].output);
    let mut slices = [IoSlice::new(&[]); 64];
    let used = output.slices(usize::MAX, &mut slices);
    let reply: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
    String::from_utf8_lossy(&reply).into_owned()
}

/// The words of all records that were written since the last call.
pub(crate) fn records(engine: &mut Engine) -> String {
    let log = std::mem::take(engine.state.log.pending_mut());
    let words = String::from_utf8_lossy(&log).into_owned();
    let words: Vec<&str> = words.split("\r\n").filter(|word| !word.starts_with(['*', '$'])).collect();
    words.join(" ").trim_end().to_owned()
}

/// Runs a line and returns its reply, line ends as `|`, and behind ` / ` the records it wrote.
pub(crate) fn say(engine: &mut Engine, token: usize, line: &str) -> String {
    let mut text = ask(engine, token, line).replace("\r\n", "|");
    let log = records(engine);
    if !log.is_empty() {
        text.push_str(" / ");
        text.push_str(&log);
    }
    text
}

/// An engine with a log and one client, at a date. There is a string under the key `string`, so that the log's first
/// `SELECT` is over.
pub(crate) fn opened(resp3: bool, string: &str) -> (Engine, usize) {
    let mut engine = Engine::new(Settings::default(), 7);
    let token = engine.open_session(Session { resp3, ..Session::default() });
    engine.set_now(UnixMs(1_000_000));
    engine.state.log.enabled = true;
    say(&mut engine, token, &format!("SET {string} x"));
    (engine, token)
}

/// Runs a script: lines, and what [`say`] is to return for each.
pub(crate) fn follow(engine: &mut Engine, token: usize, script: &[(&str, &str)]) {
    for (line, expected) in script {
        assert_eq!(say(engine, token, line), *expected, "{line}");
    }
}

/// Runs a script in an engine of its own, with the string `s`.
pub(crate) fn check(resp3: bool, script: &[(&str, &str)]) {
    let (mut engine, token) = opened(resp3, "s");
    follow(&mut engine, token, script);
}
