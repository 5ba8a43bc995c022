//! Cells against what is known of them; the commands are compared with other servers by `tests/differential`.

use super::cell::{Cell, LATITUDE_MAX, Position, STEP_MAX, geohash, step_for};
use super::reply_distance;
use crate::base::random::Random;
use crate::resp::reply::{Output, Reply};

fn at(longitude: f64, latitude: f64) -> Position {
    Position { longitude, latitude }
}

fn anywhere(random: &mut Random) -> Position {
    let share = |random: &mut Random| random.below(1_000_001) as f64 / 500_000.0 - 1.0;
    at(share(random) * 180.0, share(random) * LATITUDE_MAX)
}

/// What Redis makes of two towns of Sicily.
#[test]
fn known_positions() {
    let (palermo, catania) = (at(13.361389, 38.115556), at(15.087269, 37.502669));
    assert_eq!(Cell::around(palermo, STEP_MAX).score(), 3479099956230698.0);
    assert_eq!(Cell::around(catania, STEP_MAX).score(), 3479447370796909.0);
    let (palermo, catania) =
        (Cell::of_score(3479099956230698.0).middle(), Cell::of_score(3479447370796909.0).middle());
    assert_eq!(palermo, at(13.361389338970184, 38.1155563954963));
    assert_eq!((&geohash(palermo), &geohash(catania)), (b"sqc8b49rny0", b"sqdtr74hyu0"));
    let mut reply = Reply::new(Output::default());
    reply_distance(&mut reply, palermo.distance(catania));
    reply_distance(&mut reply, 0.0);
    reply_distance(&mut reply, 0.012_36);
    let mut slices = [std::io::IoSlice::new(&[]); 4];
    assert_eq!(reply.out.slices(usize::MAX, &mut slices), 1);
    assert_eq!(&*slices[0], b"$11\r\n166274.1516\r\n$6\r\n0.0000\r\n$6\r\n0.0124\r\n");
}

#[test]
fn a_position_lies_in_its_cell() {
    let mut random = Random::seeded(1);
    for _ in 0..10_000 {
        let position = anywhere(&mut random);
        for step in [1, 2, 5, 17, STEP_MAX] {
            let edges = Cell::around(position, step).edges();
            assert!(edges.west <= position.longitude && position.longitude <= edges.east + 1e-9);
            assert!(edges.south <= position.latitude && position.latitude <= edges.north + 1e-9);
        }
        let cell = Cell::around(position, STEP_MAX);
        if position.longitude < 180.0 && position.latitude < LATITUDE_MAX {
            assert_eq!(Cell::of_score(cell.score()), cell);
            assert_eq!(Cell::around(cell.middle(), STEP_MAX), cell);
        }
    }
}

#[test]
fn neighbours_lie_side_by_side() {
    let mut random = Random::seeded(2);
    for _ in 0..10_000 {
        let cell = Cell::around(at(random.below(300) as f64 - 150.0, random.below(120) as f64 - 60.0), 12);
        let (own, east, north) = (cell.edges(), cell.neighbour(1, 0).edges(), cell.neighbour(0, 1).edges());
        assert!((own.east - east.west).abs() < 1e-9 && own.south == east.south);
        assert!((own.north - north.south).abs() < 1e-9 && own.west == north.west);
        assert_eq!(cell.neighbour(1, 1).neighbour(-1, 0).neighbour(0, -1), cell);
    }
    // Around the globe.
    let edge = Cell::around(at(179.99, 0.0), 8);
    assert_eq!(edge.neighbour(1, 0), Cell::around(at(-179.99, 0.0), 8));
}

#[test]
fn the_larger_the_circle_the_coarser_the_cells() {
    for (radius, latitude, step) in [
        (0.0, 0.0, 26),
        (0.1, 0.0, 26),
        (1000.0, 0.0, 14),
        (1000.0, 70.0, 13),
        (1000.0, -85.0, 12),
        (1e7, 0.0, 1),
    ] {
        assert_eq!(step_for(radius, latitude), step, "{radius} at {latitude}");
    }
}
