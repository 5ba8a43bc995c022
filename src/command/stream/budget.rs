//! How much `XREAD` and `XREADGROUP` reply: `COUNT` of each stream, `MAXCOUNT` and `MAXSIZE` of all of them together.

use crate::command::options::Options;
use crate::command::spec::Error;
use crate::resp::reply::Reply;

/// What a request says.
#[derive(Default)]
pub(super) struct Limits {
    /// How many entries of each stream.
    pub(super) count: Option<u64>,
    /// How many entries of all streams together.
    pub(super) max_count: Option<u64>,
    /// With how many bytes the reply is big enough.
    pub(super) max_size: Option<u64>,
}

impl Limits {
    /// Takes the option if it is next; whether it was.
    pub(super) fn take(&mut self, options: &mut Options<'_>) -> Result<bool, Error> {
        if options.word_with_value("COUNT") {
            // Nought and less mean all.
            self.count = u64::try_from(options.integer()?).ok().filter(|count| *count != 0);
        } else if options.word_with_value("MAXCOUNT") {
            self.max_count = Some(limit(options, "MAXCOUNT")?);
        } else if options.word_with_value("MAXSIZE") {
            self.max_size = Some(limit(options, "MAXSIZE")?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Refuses limits of which one makes the other useless.
    pub(super) fn check(&self) -> Result<(), Error> {
        match (self.count, self.max_count) {
            (Some(count), Some(max)) if max < count => {
                Err(Error::of("ERR MAXCOUNT must be greater than or equal to COUNT"))
            }
            _ => Ok(()),
        }
    }
}

/// What all streams of a request together may still be replied of.
///
/// The size is looked at between two entries: one that begins below it is replied whole, however long it is, and so is
/// the first one. Bytes are those of the reply as it is sent, from its beginning on.
pub(super) struct Budget {
    /// Entries of each stream.
    each: usize,
    entries: usize,
    bytes: usize,
    /// Where the reply begins.
    start: usize,
    is_begun: bool,
}

impl Budget {
    /// A budget of these limits, of which `None` is none, for a reply that begins now.
    pub(super) fn new(limits: &Limits, reply: &Reply) -> Budget {
        let of = |limit: Option<u64>| limit.map_or(usize::MAX, |limit| limit as usize);
        Budget {
            each: of(limits.count),
            entries: of(limits.max_count),
            bytes: of(limits.max_size),
            start: reply.size(0),
            is_begun: false,
        }
    }

    /// Whether another entry may follow; `open` aggregates have no header yet.
    pub(super) fn has_room(&self, reply: &Reply, open: usize) -> bool {
        let fits = || reply.size(open).saturating_sub(self.start) < self.bytes;
        self.entries != 0 && (!self.is_begun || self.bytes == usize::MAX || fits())
    }

    /// Takes room for another entry of a stream of which there are `replied`; false if there is none. If the stream was
    /// begun there was room for its first one.
    pub(super) fn take_behind(&mut self, replied: usize, reply: &Reply) -> bool {
        let fits = replied < self.each && (replied == 0 || self.has_room(reply, OPEN_WITHIN_STREAM));
        if fits {
            self.entries -= 1;
            self.is_begun = true;
        }
        fits
    }
}

/// Between streams only the reply as a whole has no header yet.
pub(super) const OPEN_BETWEEN_STREAMS: usize = 1;
/// Between entries neither has what is replied of their stream.
const OPEN_WITHIN_STREAM: usize = 2;

fn limit(options: &mut Options<'_>, name: &str) -> Result<u64, Error> {
    let limit = u64::try_from(options.integer()?).ok().filter(|limit| *limit != 0);
    limit.ok_or_else(|| Error::text(format!("ERR {name} must be a positive integer")))
}

#[cfg(test)]
mod tests {
    use crate::command::tests::{NOT_INTEGER, SYNTAX, check};

    const ADDED: &[(&str, &str)] = &[
        ("XADD x 1-1 f a", "$3|1-1| / XADD x 1-1 f a"),
        ("XADD x 2-1 f b", "$3|2-1| / XADD x 2-1 f b"),
        ("XADD x 3-1 f c", "$3|3-1| / XADD x 3-1 f c"),
        ("XADD y 1-1 f d", "$3|1-1| / XADD y 1-1 f d"),
        ("XADD y 2-1 f e", "$3|2-1| / XADD y 2-1 f e"),
    ];
    const A: &str = "*2|$3|1-1|*2|$1|f|$1|a|";
    const B: &str = "*2|$3|2-1|*2|$1|f|$1|b|";
    const D: &str = "*2|$3|1-1|*2|$1|f|$1|d|";

    #[test]
    fn limits_hold_for_all_streams_together() {
        let only_x = format!("*1|*2|$1|x|*2|{A}{B}");
        let both = format!("*2|*2|$1|x|*2|{A}{B}*2|$1|y|*1|{D}");
        let first = format!("*1|*2|$1|x|*1|{A}");
        let of_all = "-ERR MAXCOUNT must be greater than or equal to COUNT|";
        let script = [
            ("XREAD MAXCOUNT 2 STREAMS x y 0 0", &*only_x),
            ("XREAD COUNT 2 MAXCOUNT 3 STREAMS x y 0 0", &both),
            ("XREAD MAXCOUNT 3 count 2 STREAMS none x y 0 0 0", &both),
            ("XREAD MAXCOUNT 1 STREAMS x none 0 0", &first),
            // The name of a stream is 11 bytes, an entry is 31, and the header of two entries 4.
            ("XREAD MAXSIZE 1 STREAMS x y 0 0", &first),
            ("XREAD MAXSIZE 42 STREAMS x y 0 0", &first),
            ("XREAD MAXSIZE 43 STREAMS x y 0 0", &only_x),
            ("XREAD COUNT 2 MAXSIZE 77 STREAMS x y 0 0", &only_x),
            ("XREAD COUNT 2 MAXSIZE 78 STREAMS x y 0 0", &both),
            ("XREAD MAXSIZE 1 STREAMS x y 9 9", "*-1|"),
            ("XREAD COUNT 3 MAXCOUNT 2 STREAMS x 0", of_all),
            ("XREAD MAXCOUNT 2 COUNT 0 STREAMS x 0", &only_x),
            ("XREAD MAXCOUNT 0 STREAMS x 0", "-ERR MAXCOUNT must be a positive integer|"),
            ("XREAD MAXSIZE -1 STREAMS x 0", "-ERR MAXSIZE must be a positive integer|"),
            ("XREAD MAXSIZE x STREAMS x 0", NOT_INTEGER),
            ("XREAD MAXCOUNT", "-ERR wrong number of arguments for 'xread' command|"),
            ("XREAD STREAMS x 0 MAXCOUNT 1", "-ERR Invalid stream ID specified as stream command argument|"),
            ("XREAD MAX 1 STREAMS x 0", SYNTAX),
        ];
        check(false, &[ADDED, &script[..]].concat());
    }

    /// What there was no room for is neither delivered nor pending.
    #[test]
    fn a_group_gets_no_more_than_is_replied() {
        let first = format!(
            "*1|*2|$1|x|*2|{A}{B} / \
            XGROUP CREATECONSUMER x g c XCLAIM x g c 0 1-1 2-1 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID LASTID 2-1 \
            XGROUP SETID x g 2-1 ENTRIESREAD 2"
        );
        let again = format!(
            "*1|*2|$1|x|*1|{A} / XCLAIM x g c 0 1-1 TIME 1000000 RETRYCOUNT 2 FORCE JUSTID LASTID 2-1"
        );
        let second = "*1|*2|$1|x|*1|*2|$3|3-1|*2|$1|f|$1|c| / \
            XCLAIM x g c 0 3-1 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID LASTID 3-1 XGROUP SETID x g 3-1 ENTRIESREAD 3";
        let claimed = "*1|*2|$1|x|*1|*4|$3|1-1|*2|$1|f|$1|a|:0|:2| / XGROUP CREATECONSUMER x g d \
            XCLAIM x g d 0 1-1 TIME 1000000 RETRYCOUNT 3 FORCE JUSTID LASTID 3-1";
        let script = [
            ("XGROUP CREATE x g 0", "+OK| / XGROUP CREATE x g 0"),
            ("XGROUP CREATE y g 0", "+OK| / XGROUP CREATE y g 0"),
            ("XREADGROUP GROUP g c MAXCOUNT 2 STREAMS x y > >", &*first),
            ("XREADGROUP GROUP g c MAXSIZE 1 STREAMS x y 0 >", &again),
            ("XREADGROUP GROUP g c MAXSIZE 9 STREAMS x y > >", second),
            ("XREADGROUP GROUP g d MAXCOUNT 1 CLAIM 0 STREAMS x y > >", claimed),
            ("XPENDING y g", "*4|:0|$-1|$-1|*-1|"),
            ("XINFO CONSUMERS y g", "*0|"),
        ];
        check(false, &[ADDED, &script[..]].concat());
    }
}
