//! Searches: which members lie in a circle, a box or a polygon.
//!
//! The shape's size says how coarse cells must be so that the one around its middle and its eight neighbours cover it.
//! Each of these nine is a range of scores. Without a wish for another order members come in the order in which
//! the cells are gone through, which clients of Redis see, so it is the same here: the middle, then north, south, east
//! and west, then the corners.

use std::cmp::Ordering;

use super::cell::{Cell, LATITUDE_MAX, LONGITUDE_MAX, Position, arc, degrees, radians, step_for};
use super::{position, position_of, reply_distance, reply_position, unit};
use crate::base::number::{parse_f64, parse_i64};
use crate::command::list::reply_item;
use crate::command::options::Options;
use crate::command::spec::{Ctx, Effect, Error, Outcome};
use crate::command::zset;
use crate::data::element::Item;
use crate::data::keyspace::Key;
use crate::data::zset::{Limits, ScoreRange, Zset};
use crate::resp::request::Args;

/// What is searched, in metres.
enum Shape {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
    Polygon(Vec<Position>),
}

/// West, south, east and north of what a shape covers, in degrees.
struct Bounds {
    west: f64,
    south: f64,
    east: f64,
    north: f64,
}

impl Shape {
    /// What a box or circle around a middle covers: half its width and half its height to all sides.
    fn bounds_around(middle: Position, half_width: f64, half_height: f64) -> Bounds {
        let up = arc(half_height, 1.0);
        // Meridians come together towards the poles, so a shape covers most degrees at the side of its nearer pole.
        let side = if middle.latitude < 0.0 { middle.latitude - up } else { middle.latitude + up };
        let aside = arc(half_width, radians(side).cos());
        Bounds {
            west: middle.longitude - aside,
            south: middle.latitude - up,
            east: middle.longitude + aside,
            north: middle.latitude + up,
        }
    }

    fn bounds(&self, middle: Position) -> Bounds {
        match self {
            Shape::Circle { radius } => Shape::bounds_around(middle, *radius, *radius),
            Shape::Box { width, height } => Shape::bounds_around(middle, width / 2.0, height / 2.0),
            Shape::Polygon(corners) => {
                let longitudes = corners.iter().map(|corner| corner.longitude);
                let latitudes = corners.iter().map(|corner| corner.latitude);
                Bounds {
                    west: longitudes.clone().fold(LONGITUDE_MAX, f64::min),
                    south: latitudes.clone().fold(LATITUDE_MAX, f64::min),
                    east: longitudes.fold(-LONGITUDE_MAX, f64::max),
                    north: latitudes.fold(-LATITUDE_MAX, f64::max),
                }
            }
        }
    }

    /// How far it reaches from its middle.
    fn reach(&self, middle: Position, bounds: &Bounds) -> f64 {
        match self {
            Shape::Circle { radius } => *radius,
            Shape::Box { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
            Shape::Polygon(_) => {
                let corner = |longitude, latitude| middle.distance(Position { longitude, latitude });
                let Bounds { west, south, east, north } = *bounds;
                let corners =
                    [corner(west, north), corner(east, north), corner(west, south), corner(east, south)];
                corners.into_iter().fold(0.0, f64::max)
            }
        }
    }

    /// The distance of a position from the middle, if it lies in the shape.
    fn distance(&self, middle: Position, at: Position) -> Option<f64> {
        match self {
            Shape::Circle { radius } => Some(middle.distance(at)).filter(|distance| distance <= radius),
            Shape::Box { width, height } => {
                let in_height = at.latitude_distance(middle) <= height / 2.0;
                let beside = Position { latitude: at.latitude, ..middle };
                let inside = in_height && at.distance(beside) <= width / 2.0;
                inside.then(|| middle.distance(at))
            }
            Shape::Polygon(corners) => holds(corners, at).then(|| middle.distance(at)),
        }
    }
}

/// Whether a polygon, on a map where degrees are squares, holds a position: a ray from there crosses its edges an odd
/// number of times.
fn holds(corners: &[Position], at: Position) -> bool {
    let next = corners.iter().cycle().skip(1);
    let crossed = corners.iter().zip(next).filter(|(a, b)| {
        (at.latitude < a.latitude) != (at.latitude < b.latitude)
            && at.longitude
                < (b.longitude - a.longitude) * (at.latitude - a.latitude) / (b.latitude - a.latitude)
                    + a.longitude
    });
    crossed.count() % 2 == 1
}

/// The middle of a polygon: where the mean of its corners, as points in space, comes out of the globe.
fn centroid(corners: &[Position]) -> Position {
    let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
    for corner in corners {
        let (longitude, latitude) = (radians(corner.longitude), radians(corner.latitude));
        x += latitude.cos() * longitude.cos();
        y += latitude.cos() * longitude.sin();
        z += latitude.sin();
    }
    Position { longitude: degrees(y.atan2(x)), latitude: degrees(z.atan2((x * x + y * y).sqrt())) }
}

/// The cells that cover a shape, in the order in which they are searched. Cells on the far side of an edge that the
/// shape does not reach are left out.
fn cells(shape: &Shape, middle: Position) -> Vec<Cell> {
    let bounds = shape.bounds(middle);
    let mut step = step_for(shape.reach(middle, &bounds), middle.latitude);
    let mut center = Cell::around(middle, step);
    // Near the edge of its cell a shape may reach beyond the neighbours.
    let too_fine = center.neighbour(0, 1).edges().north < bounds.north
        || bounds.south < center.neighbour(0, -1).edges().south
        || center.neighbour(1, 0).edges().east < bounds.east
        || bounds.west < center.neighbour(-1, 0).edges().west;
    if 1 < step && too_fine {
        step -= 1;
        center = Cell::around(middle, step);
    }
    let edges = center.edges();
    let left_out = |east: i32, north: i32| {
        2 <= step
            && ((north < 0 && edges.south < bounds.south)
                || (0 < north && bounds.north < edges.north)
                || (east < 0 && edges.west < bounds.west)
                || (0 < east && bounds.east < edges.east))
    };
    const AROUND: [(i32, i32); 8] = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
    let mut cells = vec![center];
    let mut before = None;
    for (east, north) in AROUND {
        let cell = center.neighbour(east, north);
        // Around a globe of few cells a neighbour may be the one before again, which Redis looks for among the
        // neighbours only.
        if !left_out(east, north) && before != Some(cell) {
            cells.push(cell);
            before = Some(cell);
        }
    }
    cells
}

/// A member that was found.
struct Found<'z> {
    item: Item<'z>,
    score: f64,
    position: Position,
    /// Metres from the middle.
    distance: f64,
}

/// Where the middle of a search comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Member,
    Position,
}

/// Whose request it is, which decides what may stand in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `GEORADIUS` and its like: position or member and radius stand in front. May they store?
    Radius { from: From, stores: bool },
    /// `GEOSEARCH`.
    Search,
    /// `GEOSEARCHSTORE`.
    SearchStore,
}

/// A request of this family.
struct Request<'a> {
    middle: Option<Position>,
    from: Option<From>,
    shape: Option<Shape>,
    /// Metres of the unit in which distances are told.
    metres: f64,
    ascending: Option<bool>,
    /// How many members; 0 = all.
    count: usize,
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_position: bool,
    destination: Option<Key<'a>>,
    store_distance: bool,
}

/// A number that is a length.
fn length(text: &[u8], error: &'static str) -> Result<f64, Error> {
    parse_f64(text).ok_or(Error::of(error))
}

impl<'a> Request<'a> {
    /// Reads the request; `zset` is where members are looked up, if there is one.
    fn parse(ctx: &Ctx<'_>, args: Args<'a>, style: Style, zset: Option<&Zset>) -> Result<Request<'a>, Error> {
        let mut request = Request {
            middle: None,
            from: None,
            shape: None,
            metres: 1.0,
            ascending: None,
            count: 0,
            any: false,
            with_distance: false,
            with_hash: false,
            with_position: false,
            destination: None,
            store_distance: false,
        };
        let mut options = Options::new(args, 2);
        match style {
            Style::Radius { from: From::Position, .. } => {
                request.middle = Some(position(options.value()?, options.value()?)?);
                request.circle(&mut options)?;
            }
            // Without a sorted set there is nothing around which to search, and nothing is read.
            Style::Radius { .. } if zset.is_none() => options = Options::new(args, 5),
            Style::Radius { .. } => {
                request.middle = Some(member(zset, options.value()?)?);
                request.circle(&mut options)?;
            }
            Style::Search => {}
            Style::SearchStore => {
                options = Options::new(args, 3);
                request.destination = Some(ctx.key(args, 1));
            }
        }
        while options.more() {
            if !request.common_option(&mut options)?
                && !request.own_option(ctx, args, &mut options, style, zset)?
            {
                return Err(Error::SYNTAX);
            }
        }
        request.check(args, style)?;
        Ok(request)
    }

    /// Takes a radius and its unit.
    fn circle(&mut self, options: &mut Options<'a>) -> Result<(), Error> {
        let radius = length(options.value()?, "ERR need numeric radius")?;
        if radius < 0.0 {
            return Err(Error::of("ERR radius cannot be negative"));
        }
        self.metres = unit(options.value()?)?;
        self.shape = Some(Shape::Circle { radius: radius * self.metres });
        Ok(())
    }

    /// Takes a width, a height and their unit.
    fn rectangle(&mut self, options: &mut Options<'a>) -> Result<(), Error> {
        let width = length(options.value()?, "ERR need numeric width")?;
        let height = length(options.value()?, "ERR need numeric height")?;
        if width < 0.0 || height < 0.0 {
            return Err(Error::of("ERR height or width cannot be negative"));
        }
        self.metres = unit(options.value()?)?;
        self.shape = Some(Shape::Box { width: width * self.metres, height: height * self.metres });
        Ok(())
    }

    /// Takes a number of corners and the corners.
    fn polygon(&mut self, options: &mut Options<'a>) -> Result<(), Error> {
        let count = parse_i64(options.value()?).and_then(|count| i32::try_from(count).ok());
        let count = count.ok_or(Error::of("ERR invalid number of vertices"))?;
        let count = usize::try_from(count).unwrap_or(0);
        if count < 3 || options.left() / 2 < count {
            return Err(Error::of("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"));
        }
        let mut corners = Vec::with_capacity(count);
        for _ in 0..count {
            corners.push(position(options.value()?, options.value()?)?);
        }
        self.metres = 1.0;
        self.middle = Some(centroid(&corners));
        self.shape = Some(Shape::Polygon(corners));
        Ok(())
    }

    /// Takes an option that all commands have, if one is next.
    fn common_option(&mut self, options: &mut Options<'a>) -> Result<bool, Error> {
        let flag = match () {
            () if options.word("WITHDIST") => &mut self.with_distance,
            () if options.word("WITHHASH") => &mut self.with_hash,
            () if options.word("WITHCOORD") => &mut self.with_position,
            () if options.word("ANY") => &mut self.any,
            () if options.word("ASC") => {
                self.ascending = Some(true);
                return Ok(true);
            }
            () if options.word("DESC") => {
                self.ascending = Some(false);
                return Ok(true);
            }
            () if options.word_with_value("COUNT") => {
                let count = usize::try_from(options.integer()?).ok().filter(|count| 0 < *count);
                self.count = count.ok_or(Error::of("ERR COUNT must be > 0"))?;
                return Ok(true);
            }
            () => return Ok(false),
        };
        *flag = true;
        Ok(true)
    }

    /// Takes an option that only some commands have, if one is next.
    fn own_option(
        &mut self,
        ctx: &Ctx<'_>,
        args: Args<'a>,
        options: &mut Options<'a>,
        style: Style,
        zset: Option<&Zset>,
    ) -> Result<bool, Error> {
        if let Style::Radius { stores, .. } = style {
            let distance = options.peek().is_some_and(|word| word.eq_ignore_ascii_case(b"storedist"));
            let found = stores && (options.word_with_value("STORE") || options.word_with_value("STOREDIST"));
            if found {
                self.destination = Some(ctx.key(args, options.position()));
                self.store_distance = distance;
                options.value()?;
            }
            return Ok(found);
        }
        if style == Style::SearchStore && options.word("STOREDIST") {
            self.store_distance = true;
            return Ok(true);
        }
        let (circle, rectangle, polygon) = match &self.shape {
            None => (true, true, self.from.is_none()),
            Some(Shape::Circle { .. }) => (true, false, false),
            Some(Shape::Box { .. }) => (false, true, false),
            Some(Shape::Polygon(_)) => (false, false, self.from.is_none()),
        };
        let from = |from: From| {
            self.from.is_none_or(|before| before == from) && !matches!(self.shape, Some(Shape::Polygon(_)))
        };
        let left = options.left();
        if from(From::Member) && 1 < left && options.word("FROMMEMBER") {
            let name = options.value()?;
            self.middle = if zset.is_some() { Some(member(zset, name)?) } else { None };
            self.from = Some(From::Member);
        } else if from(From::Position) && 2 < left && options.word("FROMLONLAT") {
            self.middle = Some(position(options.value()?, options.value()?)?);
            self.from = Some(From::Position);
        } else if circle && 2 < left && options.word("BYRADIUS") {
            self.circle(options)?;
        } else if rectangle && 3 < left && options.word("BYBOX") {
            self.rectangle(options)?;
        } else if polygon && 2 < left && options.word("BYPOLYGON") {
            self.polygon(options)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Refuses what does not go together.
    fn check(&self, args: Args<'_>, style: Style) -> Result<(), Error> {
        let shows = self.with_distance || self.with_hash || self.with_position;
        if self.destination.is_some() && shows {
            let name =
                if style == Style::SearchStore { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return Err(Error::text(format!(
                "ERR {name} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        if !matches!(style, Style::Radius { .. }) {
            let wanted = if self.from.is_none() && !matches!(self.shape, Some(Shape::Polygon(_))) {
                Some("FROMMEMBER or FROMLONLAT")
            } else if self.shape.is_none() {
                Some("BYRADIUS and BYBOX")
            } else {
                None
            };
            if let Some(wanted) = wanted {
                let name = String::from_utf8_lossy(args.get(0));
                return Err(Error::text(format!("ERR exactly one of {wanted} can be specified for {name}")));
            }
        }
        if self.any && self.count == 0 {
            return Err(Error::of("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// The members that are asked for, in order.
    fn find<'z>(&self, zset: &'z Zset) -> Vec<Found<'z>> {
        let (Some(shape), Some(middle)) = (&self.shape, self.middle) else { return Vec::new() };
        let enough = if self.any { self.count } else { usize::MAX };
        let mut found = Vec::new();
        for cell in cells(shape, middle) {
            let (min, max) = (cell.score(), cell.following().score());
            let range = ScoreRange { min, min_open: false, max, max_open: true };
            for (item, score) in zset.range(zset.ranks_by_score(&range)) {
                if enough <= found.len() {
                    break;
                }
                let position = Cell::of_score(score).middle();
                if let Some(distance) = shape.distance(middle, position) {
                    found.push(Found { item, score, position, distance });
                }
            }
        }
        // Only the nearest are a sensible choice of some, unless any will do.
        let sorted = self.ascending.or((self.count != 0 && !self.any).then_some(true));
        if let Some(ascending) = sorted {
            let nearer =
                |a: &Found<'_>, b: &Found<'_>| a.distance.partial_cmp(&b.distance).unwrap_or(Ordering::Equal);
            found.sort_by(|a, b| if ascending { nearer(a, b) } else { nearer(b, a) });
        }
        if self.count != 0 {
            found.truncate(self.count);
        }
        found
    }

    fn reply(&self, ctx: &mut Ctx<'_>, source: Key<'_>) {
        let zset = ctx.keys.stored(source).and_then(|entry| entry.zset());
        let found = zset.map(|zset| self.find(zset)).unwrap_or_default();
        let parts = [self.with_distance, self.with_hash, self.with_position];
        let parts = parts.into_iter().filter(|part| *part).count();
        ctx.reply.array(found.len());
        for member in found {
            if 0 < parts {
                ctx.reply.array(1 + parts);
            }
            reply_item(ctx.reply, member.item);
            if self.with_distance {
                reply_distance(ctx.reply, member.distance / self.metres);
            }
            if self.with_hash {
                ctx.reply.integer(member.score as i64);
            }
            if self.with_position {
                reply_position(ctx.reply, member.position);
            }
        }
    }

    /// The members found as a sorted set of cells or distances.
    fn result(&self, zset: &Zset, limits: &Limits) -> Zset {
        let score = |member: &Found<'_>| match self.store_distance {
            true => member.distance / self.metres,
            false => member.score,
        };
        let members = self.find(zset).iter().map(|member| (score(member), member.item.to_vec())).collect();
        Zset::of(members, limits)
    }
}

/// Where a member is, which must be there.
fn member(zset: Option<&Zset>, name: &[u8]) -> Result<Position, Error> {
    position_of(zset, name).ok_or(Error::of("ERR could not decode requested zset member"))
}

fn search(ctx: &mut Ctx<'_>, args: Args<'_>, style: Style) -> Outcome {
    let source = ctx.key(args, if style == Style::SearchStore { 2 } else { 1 });
    zset::read(ctx.keys, source)?;
    let zset = ctx.keys.stored(source).and_then(|entry| entry.zset());
    let request = Request::parse(ctx, args, style, zset)?;
    let Some(destination) = request.destination else {
        request.reply(ctx, source);
        return Ok(Effect::Unchanged);
    };
    let result = zset.map(|zset| request.result(zset, &zset::limits(ctx))).unwrap_or_default();
    let event = if style == Style::SearchStore { "geosearchstore" } else { "georadiusstore" };
    zset::store(ctx, destination, result, event)
}

pub(super) fn geosearch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Style::Search)
}

pub(super) fn geosearchstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Style::SearchStore)
}

pub(super) fn georadius(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Style::Radius { from: From::Position, stores: true })
}

pub(super) fn georadius_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Style::Radius { from: From::Position, stores: false })
}

pub(super) fn georadiusbymember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Style::Radius { from: From::Member, stores: true })
}

pub(super) fn georadiusbymember_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Style::Radius { from: From::Member, stores: false })
}
