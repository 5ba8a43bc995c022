//! Messages that producers name, so that one that is sent again is not added again: `XADD IDMP` and `IDMPAUTO`,
//! `XCFGSET`, and `XIDMPRECORD`, which is how the log tells of them.
//!
//! The log has the entry as ever, and behind it what it is known as, in Redis 8.8's words. Before the first of a stream
//! it says for how long and how many are remembered, since the settings may be others when it is run again. When it is,
//! nothing is too old: a name that comes again stands for its last message.

use std::borrow::Cow;

use crate::base::sha256::sha256;
use crate::command::options::Options;
use crate::command::spec::{Ctx, Effect, Error, Outcome};
use crate::command::stream::parse::{NewId, in_replay, strict_id, write_stream};
use crate::data::keyspace::Key;
use crate::data::stream::{Id, Window};
use crate::resp::request::Args;

/// Bytes of a name that is made of what a message says.
const AUTOMATIC_LEN: usize = 16;

/// Where a request says what its message is called.
#[derive(Clone, Copy)]
pub(super) struct Naming {
    producer_at: usize,
    /// `None` = it is called by what it says.
    name_at: Option<usize>,
}

/// What a message is called.
pub(super) struct Name<'a> {
    producer: &'a [u8],
    name: Cow<'a, [u8]>,
}

impl Naming {
    /// Takes the option of `XADD` if it is next; whether it was.
    pub(super) fn take(options: &mut Options<'_>, naming: &mut Option<Naming>) -> Result<bool, Error> {
        let automatic = options.word_with_value("IDMPAUTO");
        if !(automatic || 2 < options.left() && options.word("IDMP")) {
            return Ok(false);
        }
        if naming.is_some() {
            return Err(Error::of("ERR IDMP/IDMPAUTO specified multiple times"));
        }
        let producer_at = options.position();
        if options.value()?.is_empty() {
            return Err(Error::of(match automatic {
                true => "ERR IDMPAUTO requires a non-empty producer ID",
                false => "ERR IDMP requires a non-empty producer ID",
            }));
        }
        let name_at = (!automatic).then(|| options.position());
        if !automatic && options.value()?.is_empty() {
            return Err(Error::of("ERR IDMP requires a non-empty idempotent ID"));
        }
        *naming = Some(Naming { producer_at, name_at });
        Ok(true)
    }

    /// What a message with these fields and values is called.
    pub(super) fn name<'a>(
        &self,
        ctx: &Ctx<'_>,
        args: Args<'a>,
        wish: NewId,
        texts: Args<'a>,
    ) -> Result<Name<'a>, Error> {
        // A log of Redis's has the ID that was chosen.
        if wish != NewId::Any && !in_replay(ctx) {
            return Err(Error::of("ERR IDMP/IDMPAUTO can be used only with auto-generated IDs"));
        }
        let name = match self.name_at {
            Some(at) => Cow::Borrowed(args.get(at)),
            None => Cow::Owned(automatic(texts)),
        };
        Ok(Name { producer: args.get(self.producer_at), name })
    }
}

/// A name for what fields and values say, in whatever order they come.
fn automatic(texts: Args<'_>) -> Vec<u8> {
    let mut pairs: Vec<(&[u8], &[u8])> =
        (0..texts.len() / 2).map(|pair| (texts.get(2 * pair), texts.get(2 * pair + 1))).collect();
    pairs.sort_unstable();
    // With their lengths, as otherwise one field could say what two do.
    let mut all = Vec::with_capacity(texts.iter().map(|text| text.len() + 8).sum());
    for text in pairs.iter().flat_map(|(field, value)| [field, value]) {
        all.extend_from_slice(&(text.len() as u64).to_le_bytes());
        all.extend_from_slice(text);
    }
    sha256(&all)[..AUTOMATIC_LEN].to_vec()
}

/// The ID under which a message of this name was added before. Counts it, and forgets what is too old.
pub(super) fn seen(ctx: &mut Ctx<'_>, key: Key<'_>, name: &Name<'_>) -> Result<Option<Id>, Error> {
    if in_replay(ctx) {
        return Ok(None);
    }
    let now_ms = ctx.now().0 as u64;
    let Some(stream) = write_stream(ctx, key)? else { return Ok(None) };
    let Some(known) = &mut stream.idempotence else { return Ok(None) };
    known.expire(now_ms);
    let id = known.find(name.producer, &name.name, now_ms);
    known.duplicates += u64::from(id.is_some());
    Ok(id)
}

/// Remembers that a message of this name was added, and logs that.
pub(super) fn remember(ctx: &mut Ctx<'_>, key: Key<'_>, name: &Name<'_>, id: Id) {
    let window = default_window(ctx);
    let Ok(Some(stream)) = write_stream(ctx, key) else { return };
    let is_first = stream.idempotence.is_none();
    let known = stream.idempotence_in(window);
    known.forget(name.producer, &name.name);
    known.record(name.producer, &name.name, id);
    if is_first {
        log_window(ctx, key, window);
    }
    ctx.log(&[b"XIDMPRECORD", key.bytes, name.producer, &name.name, id.text(&mut [0; 41])]);
}

/// For how long and how many a stream remembers that was told nothing else.
pub(super) fn default_window(ctx: &Ctx<'_>) -> Window {
    let settings = &ctx.state.settings;
    Window { duration_secs: settings.stream_idmp_duration, maxsize: settings.stream_idmp_maxsize }
}

fn log_window(ctx: &mut Ctx<'_>, key: Key<'_>, window: Window) {
    ctx.state.persistence.named_messages = true;
    let (mut secs, mut maxsize) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (secs, maxsize) = (secs.format(window.duration_secs), maxsize.format(window.maxsize));
    let (secs, maxsize) = (secs.as_bytes(), maxsize.as_bytes());
    ctx.log(&[b"XCFGSET", key.bytes, b"IDMP-DURATION", secs, b"IDMP-MAXSIZE", maxsize]);
}

pub(super) fn xcfgset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (mut duration_secs, mut maxsize) = (None, None);
    let mut options = Options::new(args, 2);
    if !options.more() {
        return Err(Error::of("ERR At least one parameter must be specified"));
    }
    let within = |value: i64, max: u64, error: &'static str| {
        u64::try_from(value).ok().filter(|value| (1..=max).contains(value)).ok_or(Error::of(error))
    };
    while options.more() {
        if options.word("IDMP-DURATION") {
            let error = "ERR IDMP-DURATION must be between 1 and 86400 seconds";
            duration_secs = Some(within(options.integer()?, Window::DURATION_SECS_MAX, error)?);
        } else if options.word("IDMP-MAXSIZE") {
            let error = "ERR IDMP-MAXSIZE must be between 1 and 10000 entries";
            maxsize = Some(within(options.integer()?, Window::MAXSIZE_MAX, error)?);
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let default = default_window(ctx);
    let key = ctx.key(args, 1);
    let stream = write_stream(ctx, key)?.ok_or(Error::NO_SUCH_KEY)?;
    let known = stream.idempotence_in(default);
    let before = known.window();
    let window = Window {
        duration_secs: duration_secs.unwrap_or(before.duration_secs),
        maxsize: maxsize.unwrap_or(before.maxsize),
    };
    known.set_window(window);
    log_window(ctx, key, window);
    ctx.changed_without_event(key);
    ctx.reply.ok();
    Ok(Effect::Logged)
}

pub(super) fn xidmprecord(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (producer, name) = (args.get(2), args.get(3));
    if producer.is_empty() {
        return Err(Error::of("ERR XIDMPRECORD requires a non-empty producer ID"));
    }
    if name.is_empty() {
        return Err(Error::of("ERR XIDMPRECORD requires a non-empty idempotent ID"));
    }
    let id = strict_id(args.get(4), 0)?;
    let (default, replay) = (default_window(ctx), in_replay(ctx));
    let key = ctx.key(args, 1);
    let stream = write_stream(ctx, key)?.ok_or(Error::NO_SUCH_KEY)?;
    // What a log tells of may have been deleted before the log was written anew.
    if !replay && !stream.entries.contains(id) {
        return Err(Error::of("ERR The specified stream ID was deleted or doesn't exist"));
    }
    let is_first = stream.idempotence.is_none();
    if let Some(known) = &mut stream.idempotence {
        match known.known_as(id) {
            Some(other) if other == (producer, name) => {
                ctx.reply.ok();
                return Ok(Effect::Unchanged);
            }
            Some(_) if !replay => {
                return Err(Error::of("ERR The specified stream ID has another idempotent ID"));
            }
            Some((producer, name)) => {
                let (producer, name) = (producer.to_vec(), name.to_vec());
                known.forget(&producer, &name);
            }
            None => {}
        }
        if replay {
            known.forget(producer, name);
        } else if known.find(producer, name, 0).is_some() {
            return Err(Error::of(
                "ERR The specified IDMP producer-id/idempotent-id pair maps to a different stream ID",
            ));
        }
    }
    stream.idempotence_in(default).record(producer, name, id);
    if is_first {
        log_window(ctx, key, default);
    }
    ctx.log(&[b"XIDMPRECORD", key.bytes, producer, name, args.get(4)]);
    ctx.changed_without_event(key);
    ctx.reply.ok();
    Ok(Effect::Logged)
}
