//! Subcommands of `DEBUG` that switch a behaviour on and off.

use crate::base::number::parse_memory;
use crate::command::debug::{atoi, unknown};
use crate::command::spec::{Ctx, Effect, Error, Outcome};
use crate::data::table::Resizing;
use crate::resp::request::Args;
use crate::state::server::DebugSwitches;

/// Elements of lists may stand alone from at most this size on: 4 GiB, less some room for what is around them.
const PACKED_THRESHOLD_MAX: u64 = (1 << 32) - (1 << 20);

fn done(ctx: &mut Ctx<'_>) -> Outcome {
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

pub(super) fn active_expire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    ctx.state.debug.active_expire = atoi(args.get(2)) != 0;
    done(ctx)
}

pub(super) fn pause_cron(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    ctx.state.debug.pause_cron = atoi(args.get(2)) != 0;
    done(ctx)
}

pub(super) fn dict_resizing(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let allowed = atoi(args.get(2)) != 0;
    ctx.state.debug.dict_resizing = allowed;
    ctx.keys.set_resizing(match (allowed, ctx.state.persistence.rewrite_in_progress) {
        (false, _) => Resizing::Forbidden,
        (true, true) => Resizing::Avoided,
        (true, false) => Resizing::Allowed,
    });
    done(ctx)
}

pub(super) fn packed_threshold(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let size = std::str::from_utf8(args.get(2)).ok().and_then(parse_memory);
    let size = size
        .filter(|size| *size <= PACKED_THRESHOLD_MAX)
        .ok_or(Error::of("ERR argument must be a memory value bigger than 1 and smaller than 4gb"))?;
    ctx.state.debug.quicklist_packed_threshold = size as usize;
    done(ctx)
}

pub(super) fn replybuffer(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (what, value) = (args.get(2), args.get(3));
    if what.eq_ignore_ascii_case(b"resizing") {
        ctx.state.debug.reply_buffer_resizing = atoi(value) != 0;
    } else if what.eq_ignore_ascii_case(b"peak-reset-time") {
        ctx.state.debug.reply_buffer_peak_reset_ms = if value.eq_ignore_ascii_case(b"never") {
            None
        } else if value.eq_ignore_ascii_case(b"reset") {
            DebugSwitches::default().reply_buffer_peak_reset_ms
        } else {
            match ctx.integer(value)? {
                // The number by which Redis knows NEVER.
                -1 => None,
                ms => Some(u64::try_from(ms).unwrap_or(0)),
            }
        };
    } else {
        return Err(unknown(args));
    }
    done(ctx)
}
