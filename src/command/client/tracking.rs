//! `CLIENT TRACKING` and what belongs to it: how a client says which keys it keeps, so that it is told when they
//! change. What it leads to stands in `state/tracking.rs`.

use std::collections::BTreeSet;

use crate::command::client::switch;
use crate::command::options::Options;
use crate::command::spec::{Ctx, Effect, Error, Outcome, repeated};
use crate::resp::request::Args;
use crate::state::session::Session;
use crate::state::tracking::{Tracker, Who};

const OTHER_MODE: Error = Error::of(
    "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a \
     different mode.",
);
const OTHER_CHOICE: Error = Error::of(
    "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a \
     different mode.",
);
const NOT_TRACKING: Error = Error::of(
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
);

/// Reads the options behind `ON` or `OFF`; the prefixes come in the order in which they were given.
fn parse<'a>(ctx: &Ctx<'_>, args: Args<'a>) -> Result<(Tracker, Vec<&'a [u8]>), Error> {
    let (mut tracker, mut prefixes) = (Tracker::default(), Vec::new());
    let mut options = Options::new(args, 3);
    while options.more() {
        if options.word_with_value("REDIRECT") {
            if tracker.redirect.is_some() {
                return Err(Error::of("ERR A client can only redirect to a single other client"));
            }
            let id = options.integer()?;
            let mut sessions = ctx.state.sessions.iter();
            let found = sessions.find(|(_, session)| session.id as i64 == id);
            let Some((token, session)) = found else {
                return Err(Error::of("ERR The client ID you want redirect to does not exist"));
            };
            tracker.redirect = Some(Who { token, id: session.id });
        } else if options.word_with_value("PREFIX") {
            prefixes.push(options.value()?);
        } else if options.word("BCAST") {
            tracker.broadcast = true;
        } else if options.word("OPTIN") {
            tracker.opt_in = true;
        } else if options.word("OPTOUT") {
            tracker.opt_out = true;
        } else if options.word("NOLOOP") {
            tracker.no_loop = true;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    Ok((tracker, prefixes))
}

/// Whether these options go together, and with what the client has said before.
fn check(tracker: &Tracker, prefixes: &[&[u8]], before: Option<&Tracker>) -> Result<(), Error> {
    if !tracker.broadcast && !prefixes.is_empty() {
        return Err(Error::of("ERR PREFIX option requires BCAST mode to be enabled"));
    }
    if before.is_some_and(|before| before.broadcast != tracker.broadcast) {
        return Err(OTHER_MODE);
    }
    if tracker.broadcast && (tracker.opt_in || tracker.opt_out) {
        return Err(Error::of("ERR OPTIN and OPTOUT are not compatible with BCAST"));
    }
    if tracker.opt_in && tracker.opt_out {
        return Err(Error::of("ERR You can't specify both OPTIN mode and OPTOUT mode"));
    }
    let other = |before: &Tracker| tracker.opt_in && before.opt_out || tracker.opt_out && before.opt_in;
    if before.is_some_and(other) {
        return Err(OTHER_CHOICE);
    }
    if tracker.broadcast { check_overlaps(prefixes, before) } else { Ok(()) }
}

/// A key must not begin with two prefixes of one client: it would be told twice.
fn check_overlaps(prefixes: &[&[u8]], before: Option<&Tracker>) -> Result<(), Error> {
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    let refuse = |prefix: &[u8], which: &str, other: &[u8]| {
        let (prefix, other) = (repeated(prefix, usize::MAX), repeated(other, usize::MAX));
        Error::text(format!(
            "ERR Prefix '{prefix}' overlaps with {which} prefix '{other}'. Prefixes for a single client must not overlap."
        ))
    };
    for (index, prefix) in prefixes.iter().enumerate() {
        let mut known = before.into_iter().flat_map(|before| &before.prefixes);
        if let Some(other) = known.find(|other| overlap(prefix, other)) {
            return Err(refuse(prefix, "an existing", other));
        }
        if let Some(other) = prefixes[index + 1..].iter().find(|other| overlap(prefix, other)) {
            return Err(refuse(prefix, "another provided", other));
        }
    }
    Ok(())
}

pub(super) fn tracking(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (mut tracker, prefixes) = parse(ctx, args)?;
    if !switch(args.get(2))? {
        ctx.state.untrack(ctx.token);
        ctx.reply.ok();
        return Ok(Effect::Unchanged);
    }
    check(&tracker, &prefixes, ctx.state.sessions[ctx.token].tracking.as_deref())?;
    if tracker.broadcast {
        // Without a prefix it is every key.
        let everything = if prefixes.is_empty() { &[&b""[..]][..] } else { &prefixes };
        tracker.prefixes = everything.iter().map(|prefix| Box::from(*prefix)).collect::<BTreeSet<_>>();
    }
    ctx.state.track(ctx.token, tracker);
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

pub(super) fn caching(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let word = args.get(2);
    let tracker = ctx.session().tracking.as_deref_mut().ok_or(NOT_TRACKING)?;
    if word.eq_ignore_ascii_case(b"YES") {
        if !tracker.opt_in {
            return Err(Error::of(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
    } else if word.eq_ignore_ascii_case(b"NO") {
        if !tracker.opt_out {
            return Err(Error::of(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
    } else {
        return Err(Error::SYNTAX);
    }
    tracker.caching = true;
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

/// The number of the client to which messages go: 0 if it is this one, -1 if it does not track.
pub(super) fn redirection(session: &Session) -> i64 {
    session.tracking.as_ref().map_or(-1, |tracker| tracker.redirect.map_or(0, |who| who.id as i64))
}

pub(super) fn getredir(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    let redirection = redirection(ctx.session());
    ctx.reply.integer(redirection);
    Ok(Effect::Unchanged)
}

pub(super) fn trackinginfo(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    let session = &ctx.state.sessions[ctx.token];
    let (reply, nobody) = (&mut *ctx.reply, Tracker::default());
    let tracker = session.tracking.as_deref().unwrap_or(&nobody);
    let flags: Vec<&str> = [
        (true, if session.tracking.is_some() { "on" } else { "off" }),
        (tracker.broadcast, "bcast"),
        (tracker.opt_in, "optin"),
        (tracker.opt_in && tracker.caching, "caching-yes"),
        (tracker.opt_out, "optout"),
        (tracker.opt_out && tracker.caching, "caching-no"),
        (tracker.no_loop, "noloop"),
        (tracker.broken, "broken_redirect"),
    ]
    .into_iter()
    .filter_map(|(is_so, flag)| is_so.then_some(flag))
    .collect();
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirection(session));
    reply.bulk(b"prefixes");
    reply.array(tracker.prefixes.len());
    tracker.prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(Effect::Unchanged)
}
