//! The grid: the globe is halved again and again in both directions, and a cell is the path to it.
//!
//! ```text
//! bits of a cell    … longitude latitude longitude latitude
//! ```
//!
//! A cell of step n has 2n bits, the coarsest halving first; a bit says which half. Latitudes end at ±85.05°, where
//! a map in Mercator's projection is a square. As a score, a cell is filled up to 52 bits with zeros.
//! What is computed here must come out as in Redis to the last bit, so the order of operations is part of the matter.

/// Steps of a cell that is a score.
pub(super) const STEP_MAX: u8 = 26;
/// Degrees east and west.
pub(super) const LONGITUDE_MAX: f64 = 180.0;
/// Degrees north and south.
pub(super) const LATITUDE_MAX: f64 = 85.05112878;
/// Degrees north and south that geohash texts go to.
const LATITUDE_POLE: f64 = 90.0;
/// The quadratic mean of the radiuses of the globe.
const RADIUS_METRES: f64 = 6_372_797.560856;
/// Half of the equator on Mercator's map.
const MERCATOR_METRES: f64 = 20_037_726.37;
const RADIANS: f64 = std::f64::consts::PI / 180.0;

/// The bits of the latitude in a cell, and those of the longitude.
const LATITUDE_BITS: u64 = 0x5555_5555_5555_5555;
const LONGITUDE_BITS: u64 = !LATITUDE_BITS;

/// Degrees to radians.
pub(super) fn radians(degrees: f64) -> f64 {
    degrees * RADIANS
}

/// Radians to degrees.
pub(super) fn degrees(radians: f64) -> f64 {
    radians / RADIANS
}

/// The angle, in degrees, under which the centre of the globe sees so many metres.
pub(super) fn arc(metres: f64, shrink: f64) -> f64 {
    degrees(metres / RADIUS_METRES / shrink)
}

/// A place on the globe, in degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Position {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

impl Position {
    /// Metres between two latitudes.
    pub(super) fn latitude_distance(self, other: Position) -> f64 {
        RADIUS_METRES * (radians(other.latitude) - radians(self.latitude)).abs()
    }

    /// Metres along the great circle.
    pub(super) fn distance(self, other: Position) -> f64 {
        let (east, other_east) = (radians(self.longitude), radians(other.longitude));
        let v = ((other_east - east) / 2.0).sin();
        if v == 0.0 {
            return self.latitude_distance(other);
        }
        let (north, other_north) = (radians(self.latitude), radians(other.latitude));
        let u = ((other_north - north) / 2.0).sin();
        let a = u * u + north.cos() * other_north.cos() * v * v;
        2.0 * RADIUS_METRES * a.sqrt().asin()
    }
}

/// The step of cells of which nine cover a circle of this radius.
pub(super) fn step_for(radius_metres: f64, latitude: f64) -> u8 {
    if radius_metres == 0.0 {
        return STEP_MAX;
    }
    let (mut step, mut reach) = (1, radius_metres);
    while reach < MERCATOR_METRES {
        reach *= 2.0;
        step += 1;
    }
    // Two less, since the circle may lie at the edge of its cell; towards the poles cells are narrower.
    step -= 2;
    if 66.0 < latitude.abs() {
        step -= 1;
    }
    if 80.0 < latitude.abs() {
        step -= 1;
    }
    step.clamp(1, i32::from(STEP_MAX)) as u8
}

/// Moves bit n to bit 2n.
fn spread(bits: u32) -> u64 {
    let mut bits = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, LATITUDE_BITS),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Moves bit 2n to bit n.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & LATITUDE_BITS;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

/// A cell of the grid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cell {
    pub(super) bits: u64,
    pub(super) step: u8,
}

/// The edges of a cell, in degrees.
pub(super) struct Edges {
    pub(super) west: f64,
    pub(super) east: f64,
    pub(super) south: f64,
    pub(super) north: f64,
}

impl Cell {
    /// The cell of this step that a position lies in.
    pub(super) fn around(position: Position, step: u8) -> Cell {
        Cell::on_grid(position, step, LATITUDE_MAX)
    }

    fn on_grid(position: Position, step: u8, latitude_max: f64) -> Cell {
        let share = |degrees: f64, max: f64| {
            let share = (degrees + max) / (max + max);
            (share * (1u64 << step) as f64) as u32
        };
        let latitude = share(position.latitude, latitude_max);
        let longitude = share(position.longitude, LONGITUDE_MAX);
        Cell { bits: spread(latitude) | spread(longitude) << 1, step }
    }

    /// The cell that a score stands for. Scores that never were cells wrap round, as C's conversion to an unsigned
    /// integer does on x86.
    pub(super) fn of_score(score: f64) -> Cell {
        const LIMIT: f64 = (1u64 << 63) as f64;
        let bits = match score {
            score if score < -LIMIT => 1 << 63,
            score if score < LIMIT => score as i64 as u64,
            score if score < 2.0 * LIMIT => score as u64,
            _ => 0,
        };
        Cell { bits, step: STEP_MAX }
    }

    /// As a score.
    pub(super) fn score(self) -> f64 {
        (self.bits << (2 * (STEP_MAX - self.step))) as f64
    }

    /// The cell that follows in the order of scores, which need not be one.
    pub(super) fn following(self) -> Cell {
        Cell { bits: self.bits + 1, ..self }
    }

    pub(super) fn edges(self) -> Edges {
        let edge = |index: u32, more: f64, max: f64| {
            -max + (f64::from(index) + more) / (1u64 << self.step) as f64 * (max - -max)
        };
        let (latitude, longitude) = (gather(self.bits), gather(self.bits >> 1));
        Edges {
            west: edge(longitude, 0.0, LONGITUDE_MAX),
            east: edge(longitude, 1.0, LONGITUDE_MAX),
            south: edge(latitude, 0.0, LATITUDE_MAX),
            north: edge(latitude, 1.0, LATITUDE_MAX),
        }
    }

    /// The middle of the cell.
    pub(super) fn middle(self) -> Position {
        let Edges { west, east, south, north } = self.edges();
        Position {
            longitude: ((west + east) / 2.0).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: ((south + north) / 2.0).clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// The cell so many cells further east and north, around the globe if need be.
    pub(super) fn neighbour(self, east: i32, north: i32) -> Cell {
        let used = u64::MAX >> (64 - 2 * u32::from(self.step));
        let moved = |mask: u64, by: i32| {
            let (own, others) = (self.bits & mask, !mask & used);
            // With the bits of the other direction set, a carry runs through them.
            let sum = match by {
                0 => own,
                1 => own.wrapping_add(others + 1),
                _ => (own | others).wrapping_sub(others + 1),
            };
            sum & mask & used
        };
        Cell { bits: moved(LONGITUDE_BITS, east) | moved(LATITUDE_BITS, north), step: self.step }
    }
}

/// A position as a geohash text of eleven characters. The text's grid goes to the poles, so a position is put on
/// that one; its 52 bits make ten characters and the beginning of one more, which is always zero.
pub(super) fn geohash(position: Position) -> [u8; 11] {
    const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let bits = Cell::on_grid(position, STEP_MAX, LATITUDE_POLE).bits;
    let mut text = [ALPHABET[0]; 11];
    for (at, place) in text[..10].iter_mut().enumerate() {
        *place = ALPHABET[(bits >> (52 - 5 * (at + 1)) & 31) as usize];
    }
    text
}
