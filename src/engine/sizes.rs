//! Requests and replies that are big are noted, in Valkey's `COMMANDLOG`.
//!
//! Each request pays one comparison: the bits of both lengths together are never less than the greater of the two, so
//! what they do not bring up to the smaller threshold concerns neither log. What is looked at closer is rare.
//!
//! The length of a request is that of its array of bulk strings, even if it came as a line. A reply that `io` gives, and one that was waited for, is not measured; nor are the words `QUEUED`.

use crate::command::registry::commands;
use crate::command::secret::redacted;
use crate::command::spec::flag::SKIP_SLOWLOG;
use crate::engine::Engine;
use crate::resp::request::Args;

impl Engine {
    /// A request has run whose reply began when the output was so long.
    #[inline]
    pub(super) fn note_sizes(&mut self, token: usize, args: Args<'_>, number: usize, start: usize) {
        let reply_len = self.reply.out.len().wrapping_sub(start);
        if self.state.large_from <= (args.encoded_len() | reply_len) as u64 {
            self.note_large(token, args, number, reply_len);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_large(&mut self, token: usize, args: Args<'_>, number: usize, reply_len: usize) {
        let row = commands().row(number);
        if row.command.has(SKIP_SLOWLOG) {
            return;
        }
        let state = &mut self.state;
        let settings = &state.settings;
        let request = (args.encoded_len(), settings.commandlog_request_larger_than);
        let reply = (reply_len, settings.commandlog_reply_larger_than);
        let len_max = (settings.commandlog_large_request_max_len, settings.commandlog_large_reply_max_len);
        let session = &state.sessions[token];
        let logs =
            [(&mut state.large_requests, request, len_max.0), (&mut state.large_replies, reply, len_max.1)];
        for (log, (len, larger_than), len_max) in logs {
            if 0 <= larger_than && larger_than as u64 <= len as u64 {
                let words = redacted(&row.full_name, args);
                let client = (session.addr.as_str(), &session.name[..]);
                log.add(state.process.now_ms / 1000, len as u64, words.into_iter(), client, len_max as usize);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::command::tests::{ask, opened};
    use crate::resp::request::Request;
    use crate::state::slowlog::Slowlog;

    fn shown(log: &Slowlog) -> String {
        let entries = log.iter().map(|entry| {
            let words = entry.args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned());
            format!("{}:{}", entry.amount, words.collect::<Vec<_>>().join(" "))
        });
        entries.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn big_requests_and_replies_are_noted() {
        let (mut engine, token) = opened(false, "s");
        let mut say = |request: i64, reply: i64, lines: &[&str]| {
            let settings = &mut engine.state.settings;
            settings.commandlog_request_larger_than = request;
            settings.commandlog_reply_larger_than = reply;
            engine.apply_settings();
            lines.iter().for_each(|line| drop(ask(&mut engine, token, line)));
            let state = &mut engine.state;
            let shown = (shown(&state.large_requests), shown(&state.large_replies));
            (state.large_requests, state.large_replies) = Default::default();
            (shown.0, shown.1)
        };
        let none = String::new;
        let long = "x".repeat(40);
        let set = format!("SET long {long}");
        let set = set.as_str();
        assert_eq!(say(-1, -1, &[set, "GET long"]), (none(), none()));
        assert_eq!(say(70, 47, &["PING", set, "GET long"]), (format!("70:{set}"), "47:GET long".into()));
        assert_eq!(say(71, 48, &[set, "GET long"]), (none(), none()));
        // Seven and eight have the bits of fifteen between them.
        assert_eq!(say(15, 15, &["PING"]), (none(), none()));
        assert_eq!(say(0, -1, &["PING", "GET"]), ("14:PING".into(), none()));
        assert_eq!(say(-1, 0, &["PING", "NONSENSE"]), (none(), "7:PING".into()));
        assert_eq!(say(-1, 0, &["CLIENT REPLY OFF", "GET long", "CLIENT REPLY ON"]).1, {
            "5:CLIENT REPLY ON, 0:GET long, 0:CLIENT REPLY OFF"
        });
        assert!(
            say(0, -1, &["CONFIG SET requirepass hidden"]).0.ends_with("CONFIG SET requirepass (redacted)")
        );
    }

    #[test]
    fn what_is_queued_is_measured_when_it_runs() {
        let (mut engine, token) = opened(false, "s");
        engine.state.settings.commandlog_reply_larger_than = 6;
        engine.state.settings.commandlog_request_larger_than = 20;
        engine.apply_settings();
        for line in ["MULTI", "SET k 12345", "GET k"] {
            ask(&mut engine, token, line);
        }
        let request = Request::new([&b"EXEC"[..]]);
        engine.enter(token);
        let prepared = engine.prepare(token, request.args());
        engine.run(token, request.args(), prepared);
        while engine.run_queued(token).is_some() {}
        engine.leave(token);
        assert_eq!(shown(&engine.state.large_requests), "20:GET k, 31:SET k 12345");
        assert_eq!(shown(&engine.state.large_replies), "11:GET k");
    }

    #[test]
    fn a_value_in_a_buffer_of_its_own_counts() {
        let (mut engine, token) = opened(false, "s");
        let value = Bytes::from(vec![b'x'; 2 << 20]);
        let request = Request::new([&b"SET"[..], b"k", &value]);
        engine.enter(token);
        let prepared = engine.prepare(token, request.args());
        engine.run(token, request.args(), prepared);
        engine.leave(token);
        let sizes: Vec<u64> = engine.state.large_requests.iter().map(|entry| entry.amount).collect();
        assert_eq!(sizes, [(2 << 20) + 32]);
    }
}
