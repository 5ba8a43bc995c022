//! The commands that make a sorted set.

use std::io::{self, Write};

use crate::base::double::push_double;
use crate::data::zset::Zset;
use crate::engine::snapshot::Commands;
use crate::state::log::push_bulk;

/// Adds the commands that make a sorted set.
pub(super) fn write<W: Write>(commands: &mut Commands<'_, W>, key: &[u8], zset: &Zset) -> io::Result<()> {
    let mut digits = Vec::new();
    commands.push_elements(b"ZADD", key, zset.iter(), |arguments, (member, score)| {
        digits.clear();
        push_double(&mut digits, score);
        push_bulk(arguments, &digits);
        member.with_bytes(|text| push_bulk(arguments, text));
        2
    })
}

#[cfg(test)]
mod tests {
    use crate::base::date::UnixMs;
    use crate::config::Settings;
    use crate::data::digest::Digest;
    use crate::engine::Engine;
    use crate::engine::replay::Replayed;
    use crate::engine::snapshot::write_snapshot;
    use crate::resp::request::{Batch, Input, Limits, Parser, Request};
    use crate::state::session::Session;

    /// Short and long sorted sets with scores of all kinds are the same after a snapshot. (But the sign of a zero gets
    /// lost, as in Redis, since what is added first makes a short set.)
    #[test]
    fn a_snapshot_replayed_is_the_same_data() {
        let mut engine = Engine::new(Settings::default(), 1);
        let token = engine.open_session(Session::default());
        engine.set_now(UnixMs(1000));
        let scores = ["0", "1", "0.1", "1e300", "-1e-300", "inf", "-inf", "123456789.123456789", "5e-324"];
        for number in 0..5000 {
            let key = match number {
                0..64 => "short".to_owned(),
                64..300 => "long".to_owned(),
                _ => format!("{}", number % 7),
            };
            let member = format!("member {number}");
            let words = ["ZADD", &key, scores[number % scores.len()], &member];
            let request = Request::new(words.map(str::as_bytes));
            engine.enter(token);
            let prepared = engine.prepare(token, request.args());
            engine.run(token, request.args(), prepared);
            engine.leave(token);
        }
        let mut bytes = Vec::new();
        write_snapshot(&engine, &mut bytes, |_| {}).expect("writing to memory");

        let mut copy = Engine::new(Settings::default(), 2);
        let token = copy.begin_replay();
        let (mut parser, mut input, mut batch) = (Parser::default(), Input::new(1 << 20), Batch::default());
        parser.begin(&mut input);
        assert_eq!(parser.feed(&mut input, &bytes), bytes.len());
        loop {
            let parsed = parser.parse(&mut input, &mut batch, 16, &Limits::default());
            for args in parsed.iter().filter(|args| !args.get(0).starts_with(b"#")) {
                let prepared = copy.prepare_replay(token, args);
                assert_eq!(copy.replay(token, args, prepared), Replayed::Done, "{args:?}");
            }
            if !parsed.more() {
                break;
            }
        }
        copy.end_replay(token);
        assert_eq!(Digest::of_all(&copy.keys), Digest::of_all(&engine.keys));
    }
}
