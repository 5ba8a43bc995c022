//! `XNACK`: what is pending for a consumer is given back to the group. It stays pending, for nobody, and lies idle since
//! the beginning of all dates, so that whoever claims next gets it.

use crate::base::number::parse_i64;
use crate::command::options::Options;
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome, repeated};
use crate::command::stream::parse::{no_key_or_group, strict_id, write_stream};
use crate::data::stream::{COUNT_MAX, Id, NOBODY, Pending, Stream};
use crate::resp::request::Args;

/// What becomes of the number of deliveries.
#[derive(Clone, Copy)]
enum Count {
    /// The last one does not count.
    Silent,
    Fail,
    /// As many as there can be: nobody is to try again.
    Fatal,
    /// So many.
    Exactly(u64),
}

impl Count {
    fn mode(word: &[u8]) -> Result<Count, Error> {
        let modes = [("SILENT", Count::Silent), ("FAIL", Count::Fail), ("FATAL", Count::Fatal)];
        let found = modes.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, mode)| *mode).ok_or(Error::of("ERR mode must be SILENT, FAIL, or FATAL"))
    }

    fn after(self, deliveries: u64) -> u64 {
        match self {
            Count::Silent => deliveries.saturating_sub(1),
            Count::Fail => deliveries,
            Count::Fatal => COUNT_MAX,
            Count::Exactly(count) => count,
        }
    }
}

/// What follows the group.
struct Request {
    ids: Vec<Id>,
    count: Count,
    /// Entries that were not delivered become pending.
    force: bool,
}

impl Request {
    fn parse(args: Args<'_>) -> Result<Request, Error> {
        const NUMBER: Error = Error::of("ERR numids must be a positive integer");
        const MISMATCH: Error = Error::of("ERR number of IDs doesn't match numids");
        const DELIVERIES: Error = Error::of("ERR Invalid RETRYCOUNT value, must be >= 0");
        let (mut count, mut force, mut ids) = (Count::mode(args.get(3))?, false, None);
        let mut options = Options::new(args, 4);
        while options.more() {
            if options.word_with_value("IDS") {
                let number = parse_i64(options.value()?).and_then(|number| i32::try_from(number).ok());
                let number = number.filter(|number| 0 < *number).ok_or(NUMBER)? as usize;
                let first = options.position();
                if options.left() < number {
                    return Err(MISMATCH);
                }
                options = Options::new(args, first + number);
                ids = Some(first..first + number);
            } else if options.word_with_value("RETRYCOUNT") {
                count = Count::Exactly(u64::try_from(options.integer()?).map_err(|_| DELIVERIES)?);
            } else if options.word("FORCE") {
                force = true;
            } else {
                let option = repeated(options.value()?, usize::MAX);
                return Err(Error::text(format!("ERR Unrecognized XNACK option '{option}'")));
            }
        }
        let ids = ids.ok_or(Error::of("ERR syntax error, expected IDS keyword"))?;
        let ids = ids.map(|index| strict_id(args.get(index), 0)).collect::<Result<_, _>>()?;
        Ok(Request { ids, count, force })
    }
}

pub(super) fn xnack(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, name) = (ctx.key(args, 1), args.get(2));
    let missing = || no_key_or_group(key.bytes, name);
    let Stream { entries, groups, .. } = write_stream(ctx, key)?.ok_or_else(missing)?;
    let group = groups.get_mut(name).ok_or_else(missing)?;
    let request = Request::parse(args)?;
    let mut released = 0;
    for id in request.ids {
        let deliveries = match group.pending(id) {
            Some(known) => known.count,
            None if request.force && entries.contains(id) => 0,
            None => continue,
        };
        let count = request.count.after(deliveries);
        group.assign(Pending { id, time_ms: 0, count, consumer: NOBODY });
        released += 1;
    }
    ctx.reply.integer(released);
    if released == 0 {
        return Ok(Effect::Unchanged);
    }
    ctx.state.persistence.released_entries = true;
    ctx.changed(Class::Stream, "", key);
    Ok(Effect::Changed)
}

#[cfg(test)]
mod tests {
    use crate::command::tests::{NOT_INTEGER, WRONG, ask, check, heard, opened};
    use crate::state::session::Session;

    /// A group to which two of three entries were delivered.
    const DELIVERED: &[(&str, &str)] = &[
        ("XADD x 1-1 f a", "$3|1-1| / XADD x 1-1 f a"),
        ("XADD x 2-1 f b", "$3|2-1| / XADD x 2-1 f b"),
        ("XADD x 3-1 f c", "$3|3-1| / XADD x 3-1 f c"),
        ("XGROUP CREATE x g 2", "+OK| / XGROUP CREATE x g 2"),
        (
            "XCLAIM x g c 0 1-1 2-1 FORCE JUSTID RETRYCOUNT 2",
            "*2|$3|1-1|$3|2-1| / XGROUP CREATECONSUMER x g c \
             XCLAIM x g c 0 1-1 2-1 TIME 1000000 RETRYCOUNT 2 FORCE JUSTID LASTID 2-0",
        ),
    ];
    const ALL: &str = "XPENDING x g - + 9";

    #[test]
    fn what_is_given_back_is_pending_for_nobody() {
        let script = [
            ("XNACK x g FAIL IDS 1 1-1", ":1| / XNACK x g FAIL IDS 1 1-1"),
            (ALL, "*2|*4|$3|1-1|$0||:-1|:2|*4|$3|2-1|$1|c|:0|:2|"),
            ("XPENDING x g", "*4|:2|$3|1-1|$3|2-1|*1|*2|$1|c|$1|1|"),
            ("XPENDING x g - + 9 c", "*1|*4|$3|2-1|$1|c|:0|:2|"),
            ("XPENDING x g IDLE 500 - + 9", "*1|*4|$3|1-1|$0||:-1|:2|"),
            ("XNACK x g silent IDS 3 1-1 2-1 9", ":2| / XNACK x g silent IDS 3 1-1 2-1 9"),
            (ALL, "*2|*4|$3|1-1|$0||:-1|:1|*4|$3|2-1|$0||:-1|:1|"),
            ("XNACK x g FATAL IDS 1 2-1", ":1| / XNACK x g FATAL IDS 1 2-1"),
            ("XNACK x g SILENT IDS 2 1-1 1-1", ":2| / XNACK x g SILENT IDS 2 1-1 1-1"),
            (ALL, "*2|*4|$3|1-1|$0||:-1|:0|*4|$3|2-1|$0||:-1|:9223372036854775807|"),
            ("XNACK x g FAIL IDS 1 3-1", ":0|"),
            ("XNACK x g FATAL FORCE IDS 2 3-1 4-1", ":1| / XNACK x g FATAL FORCE IDS 2 3-1 4-1"),
            ("XNACK x g FATAL IDS 1 2-1 RETRYCOUNT 4", ":1| / XNACK x g FATAL IDS 1 2-1 RETRYCOUNT 4"),
            (
                "XAUTOCLAIM x g d 500 2 COUNT 1",
                "*3|$3|3-1|*1|*2|$3|2-1|*2|$1|f|$1|b|*0| / XGROUP CREATECONSUMER x g d \
                 XCLAIM x g d 0 2-1 TIME 1000000 RETRYCOUNT 5 FORCE JUSTID LASTID 2-0",
            ),
            (
                "XCLAIM x g d 500 3-1",
                "*1|*2|$3|3-1|*2|$1|f|$1|c| / \
                 XCLAIM x g d 0 3-1 TIME 1000000 RETRYCOUNT 9223372036854775807 FORCE JUSTID LASTID 2-0",
            ),
            ("XACK x g 1-1", ":1| / XACK x g 1-1"),
            ("XNACK x g SILENT IDS 1 3-1", ":1| / XNACK x g SILENT IDS 1 3-1"),
            ("XGROUP DELCONSUMER x g d", ":1| / XGROUP DELCONSUMER x g d"),
            (ALL, "*1|*4|$3|3-1|$0||:-1|:9223372036854775806|"),
            ("XDEL x 3-1", ":1| / XDEL x 3-1"),
            ("XNACK x g FAIL IDS 1 3-1", ":1| / XNACK x g FAIL IDS 1 3-1"),
            ("XREADGROUP GROUP g c STREAMS x 0", "*1|*2|$1|x|*0|"),
        ];
        check(false, &[DELIVERED, &script[..]].concat());
    }

    #[test]
    fn a_malformed_request_is_refused() {
        const NO_GROUP: &str = "-NOGROUP No such key 'none' or consumer group 'g'|";
        const NUMBER: &str = "-ERR numids must be a positive integer|";
        let script = [
            ("XNACK none g BAD IDS 1 1", NO_GROUP),
            ("XNACK x h BAD IDS 1 1", "-NOGROUP No such key 'x' or consumer group 'h'|"),
            ("XNACK s g FAIL IDS 1 1", WRONG),
            ("XNACK x g BAD IDS 1 1-1", "-ERR mode must be SILENT, FAIL, or FATAL|"),
            ("XNACK x g FAIL IDS 0 1-1", NUMBER),
            ("XNACK x g FAIL IDS x 1-1", NUMBER),
            ("XNACK x g FAIL IDS 2 1-1", "-ERR number of IDs doesn't match numids|"),
            ("XNACK x g FAIL IDS 1 1-1 2-1", "-ERR Unrecognized XNACK option '2-1'|"),
            ("XNACK x g FAIL IDS 1 1-1 RETRYCOUNT", "-ERR Unrecognized XNACK option 'RETRYCOUNT'|"),
            ("XNACK x g FAIL IDS 1 1-1 RETRYCOUNT -1", "-ERR Invalid RETRYCOUNT value, must be >= 0|"),
            ("XNACK x g FAIL IDS 1 1-1 RETRYCOUNT x", NOT_INTEGER),
            ("XNACK x g FAIL FORCE FORCE FORCE", "-ERR syntax error, expected IDS keyword|"),
            ("XNACK x g FAIL IDS 1 x", "-ERR Invalid stream ID specified as stream command argument|"),
            ("XNACK x g FAIL IDS 1", "-ERR wrong number of arguments for 'xnack' command|"),
        ];
        check(false, &[DELIVERED, &script[..]].concat());
    }

    /// Who waits to claim gets it at once. What was delivered once counts as not delivered.
    #[test]
    fn who_waits_gets_what_is_given_back() {
        let (mut engine, token) = opened(false, "s");
        for (line, _) in DELIVERED {
            ask(&mut engine, token, line);
        }
        ask(&mut engine, token, "XREADGROUP GROUP g c STREAMS x >");
        let waiting = engine.open_session(Session::default());
        assert_eq!(ask(&mut engine, waiting, "XREADGROUP GROUP g d BLOCK 0 CLAIM 900 STREAMS x >"), "");
        assert!(ask(&mut engine, token, "XINFO STREAM x FULL").contains("$12\r\nnacked-count\r\n:0\r\n"));
        ask(&mut engine, token, "XNACK x g SILENT IDS 1 2-1");
        let full = ask(&mut engine, token, "XINFO STREAM x FULL").replace("\r\n", "|");
        let released = "$9|pel-count|:3|$12|nacked-count|:1|$7|pending|*3|\
            *4|$3|1-1|$1|c|:1000000|:2|*4|$3|2-1|$0||:0|:0|";
        assert!(full.contains(released), "{full}");
        engine.serve_ready(None);
        let reply = heard(&mut engine, waiting).replace("\r\n", "|");
        assert_eq!(reply, "*1|*2|$1|x|*1|*4|$3|2-1|*2|$1|f|$1|b|:1000000|:0|");
    }
}
