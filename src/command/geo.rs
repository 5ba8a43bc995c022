//! Positions on the globe: members of sorted sets whose scores are cells of a grid ([`cell`]).
//!
//! A geo set is a plain sorted set. Each score is a cell of 52 bits, small enough that a double holds it exactly and
//! that its middle is within centimetres of the position; near cells have near scores. So a search ([`search`])
//! becomes a few ranges of scores, of which what is too far away is dropped.

mod cell;
mod search;
#[cfg(test)]
mod tests;

use cell::{Cell, LATITUDE_MAX, LONGITUDE_MAX, Position, STEP_MAX};

use crate::base::number::parse_f64;
use crate::command::options::Options;
use crate::command::spec::flag::{DENYOOM, MOVABLE_KEYS, READONLY, WRITE};
use crate::command::spec::{Command, Ctx, Effect, Error, Find, Group, KeySpec, Outcome};
use crate::command::zset::{self, AddOptions};
use crate::data::zset::Zset;
use crate::resp::reply::Reply;
use crate::resp::request::Args;

const READ_ONE: &[KeySpec] = &[KeySpec::one(1, &["RO", "ACCESS"])];
const PATCH_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "UPDATE"])];
const STORE_ONE: &[KeySpec] = &[KeySpec::one(1, &["OW", "UPDATE"]), KeySpec::one(2, &["RO", "ACCESS"])];
const AROUND_POSITION: &[KeySpec] =
    &[KeySpec::one(1, &["RO", "ACCESS"]), stored(6, "STORE"), stored(6, "STOREDIST")];
const AROUND_MEMBER: &[KeySpec] =
    &[KeySpec::one(1, &["RO", "ACCESS"]), stored(5, "STORE"), stored(5, "STOREDIST")];

/// The key behind a word that is looked for from `begin` on.
const fn stored(begin: usize, keyword: &'static str) -> KeySpec {
    let find = Find::Range { last: 0, step: 1, limit: 0 };
    KeySpec { begin, keyword: Some(keyword), find, flags: &["OW", "UPDATE"] }
}

const LOOK_UP: &str = "O(1) per member";
const SEARCH: &str = "O(N+log(M)) of the members in the cells around the shape and those of the set";

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "geoadd", arity: -5, flags: WRITE | DENYOOM, keys: PATCH_ONE, run: geoadd, subcommands: &[],
        doc: Group::Geo.doc("3.2.0", "O(log(N)) of the members for each one added",
            "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
            "Adds members at positions, or moves them there.") },
    Command { name: "geodist", arity: -4, flags: READONLY, keys: READ_ONE, run: geodist, subcommands: &[],
        doc: Group::Geo.doc("3.2.0", "O(1)", "key member1 member2 [M | KM | FT | MI]", "Returns the distance of two members.") },
    Command { name: "geohash", arity: -2, flags: READONLY, keys: READ_ONE, run: geohash, subcommands: &[],
        doc: Group::Geo.doc("3.2.0", LOOK_UP, "key [member [member ...]]", "Returns the positions of members as geohash texts.") },
    Command { name: "geopos", arity: -2, flags: READONLY, keys: READ_ONE, run: geopos, subcommands: &[],
        doc: Group::Geo.doc("3.2.0", LOOK_UP, "key [member [member ...]]", "Returns longitudes and latitudes of members.") },
    Command { name: "georadius", arity: -6, flags: WRITE | DENYOOM | MOVABLE_KEYS, keys: AROUND_POSITION, run: search::georadius, subcommands: &[],
        doc: Group::Geo.doc("3.2.0", SEARCH,
            "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] \
             [STORE key | STOREDIST key]",
            "Returns or stores the members within a radius of a position.") },
    Command { name: "georadius_ro", arity: -6, flags: READONLY, keys: READ_ONE, run: search::georadius_ro, subcommands: &[],
        doc: Group::Geo.doc("3.2.10", SEARCH,
            "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
            "Returns the members within a radius of a position.") },
    Command { name: "georadiusbymember", arity: -5, flags: WRITE | DENYOOM | MOVABLE_KEYS, keys: AROUND_MEMBER,
        run: search::georadiusbymember, subcommands: &[],
        doc: Group::Geo.doc("3.2.0", SEARCH,
            "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] \
             [STORE key | STOREDIST key]",
            "Returns or stores the members within a radius of a member.") },
    Command { name: "georadiusbymember_ro", arity: -5, flags: READONLY, keys: READ_ONE, run: search::georadiusbymember_ro, subcommands: &[],
        doc: Group::Geo.doc("3.2.10", SEARCH,
            "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
            "Returns the members within a radius of a member.") },
    Command { name: "geosearch", arity: -7, flags: READONLY, keys: READ_ONE, run: search::geosearch, subcommands: &[],
        doc: Group::Geo.doc("6.2.0", SEARCH,
            "key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | \
             BYBOX width height <M | KM | FT | MI> | BYPOLYGON num-vertices longitude latitude [longitude latitude ...]> \
             [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
            "Returns the members in a circle, a box or a polygon.") },
    Command { name: "geosearchstore", arity: -8, flags: WRITE | DENYOOM, keys: STORE_ONE, run: search::geosearchstore, subcommands: &[],
        doc: Group::Geo.doc("6.2.0", SEARCH,
            "destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | \
             BYBOX width height <M | KM | FT | MI> | BYPOLYGON num-vertices longitude latitude [longitude latitude ...]> \
             [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
            "Stores the members in a circle, a box or a polygon.") },
];

/// Reads a longitude and a latitude.
fn position(longitude: &[u8], latitude: &[u8]) -> Result<Position, Error> {
    let longitude = parse_f64(longitude).ok_or(Error::NOT_FLOAT)?;
    let latitude = parse_f64(latitude).ok_or(Error::NOT_FLOAT)?;
    if LONGITUDE_MAX < longitude.abs() || LATITUDE_MAX < latitude.abs() {
        let text = format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}");
        return Err(Error::text(text));
    }
    Ok(Position { longitude, latitude })
}

/// The metres of a unit.
fn unit(word: &[u8]) -> Result<f64, Error> {
    const UNITS: [(&[u8], f64); 4] = [(b"m", 1.0), (b"km", 1000.0), (b"ft", 0.3048), (b"mi", 1609.34)];
    let found = UNITS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    found
        .map(|(_, metres)| *metres)
        .ok_or(Error::of("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// Where a member is.
fn position_of(zset: Option<&Zset>, member: &[u8]) -> Option<Position> {
    Some(Cell::of_score(zset?.score(member)?).middle())
}

/// Replies a distance with four digits behind the point.
fn reply_distance(reply: &mut Reply, distance: f64) {
    const DIGITS: usize = 4;
    let units = (distance * 10_000.0).round_ties_even() as u64;
    let mut text = itoa::Buffer::new().format(units).as_bytes().to_vec();
    let missing = (DIGITS + 1).saturating_sub(text.len());
    text.splice(0..0, std::iter::repeat_n(b'0', missing));
    text.insert(text.len() - DIGITS, b'.');
    reply.bulk(&text);
}

fn reply_position(reply: &mut Reply, position: Position) {
    reply.array(2);
    reply.double(position.longitude);
    reply.double(position.latitude);
}

fn geoadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut found = AddOptions::default();
    let mut options = Options::new(args, 2);
    loop {
        let place = match () {
            () if options.word("NX") => &mut found.nx,
            () if options.word("XX") => &mut found.xx,
            () if options.word("CH") => &mut found.ch,
            () => break,
        };
        *place = true;
    }
    if options.left() == 0 || !options.left().is_multiple_of(3) || (found.nx && found.xx) {
        return Err(Error::SYNTAX);
    }
    let places = (options.position()..args.len()).step_by(3);
    for at in places.clone() {
        position(args.get(at), args.get(at + 1))?;
    }
    let pairs = places.filter_map(|at| {
        let position = position(args.get(at), args.get(at + 1)).ok()?;
        Some((Cell::around(position, STEP_MAX).score(), args.get(at + 2)))
    });
    let key = ctx.key(args, 1);
    zset::add(ctx, key, found, pairs)
}

fn geodist(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let metres = if args.len() == 5 { unit(args.get(4))? } else { 1.0 };
    if 5 < args.len() {
        return Err(Error::SYNTAX);
    }
    let key = ctx.key(args, 1);
    let zset = zset::read(ctx.keys, key)?;
    match (position_of(zset, args.get(2)), position_of(zset, args.get(3))) {
        (Some(one), Some(other)) => reply_distance(ctx.reply, one.distance(other) / metres),
        _ => ctx.reply.null(),
    }
    Ok(Effect::Unchanged)
}

fn geohash(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let zset = zset::read(ctx.keys, key)?;
    ctx.reply.array(args.len() - 2);
    for member in args.iter().skip(2) {
        match position_of(zset, member) {
            None => ctx.reply.null(),
            Some(position) => ctx.reply.bulk(&cell::geohash(position)),
        }
    }
    Ok(Effect::Unchanged)
}

fn geopos(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let zset = zset::read(ctx.keys, key)?;
    ctx.reply.array(args.len() - 2);
    for member in args.iter().skip(2) {
        match position_of(zset, member) {
            None => ctx.reply.null_array(),
            Some(position) => reply_position(ctx.reply, position),
        }
    }
    Ok(Effect::Unchanged)
}
