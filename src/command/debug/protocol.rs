//! `DEBUG PROTOCOL`: a sample of every type of reply.

use crate::command::spec::{Ctx, Effect, Error, Outcome};
use crate::resp::request::Args;

/// The sample of a double. Not meant as pi, though it looks like it.
#[allow(clippy::approx_constant)]
const DOUBLE: f64 = 3.141;

pub(super) fn protocol(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let reply = &mut *ctx.reply;
    match args.get(2).to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double(DOUBLE),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.bool(number == 1);
            }
        }
        b"attrib" => {
            if reply.resp3() {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if !reply.resp3() {
                return Err(Error::of("ERR RESP2 is not supported by this command"));
            }
            // The reply comes first, as in Redis 8 and Valkey 9; up to Redis 7.0 the push did.
            reply.bulk(b"Some real reply following the push reply");
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
        }
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        _ => {
            return Err(Error::of(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(Effect::Unchanged)
}
