use super::*;
use crate::base::random::Random;

/// What Redis decides between the encodings by, if nobody says otherwise.
const SPARSE_MAX: usize = 3000;

fn registers_of(bytes: &[u8]) -> Registers {
    let mut registers = [0; REGISTERS];
    merge(&mut registers, bytes).expect("a whole HyperLogLog");
    registers
}

fn runs_of(bytes: &[u8]) -> Vec<(u8, usize)> {
    sparse::runs(bytes).map(|run| (run.rank, run.len)).collect()
}

fn raise_one(bytes: &mut Vec<u8>, index: usize, rank: u8) -> bool {
    raise(bytes, Mark { index, rank }, &mut Cursor::default(), SPARSE_MAX).expect("whole")
}

#[test]
fn marks_and_first_bytes_are_those_of_redis() {
    assert_eq!(Mark { index: 12711, rank: 2 }, Mark::of(b"a"));
    // From Redis: PFADD k; GET k.
    let mut bytes = empty();
    outdate(&mut bytes);
    assert_eq!(b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff", &bytes[..]);
    assert_eq!((None, Some(Encoding::Sparse)), (cached(&bytes), encoding(&bytes)));
    cache(&mut bytes, 77);
    assert_eq!(Some(77), cached(&bytes));
}

#[test]
fn headers_tell_what_is_a_hyperloglog() {
    let dense = |first: &[u8], len: usize| {
        let mut bytes = first.to_vec();
        bytes.resize(len, 0);
        encoding(&bytes)
    };
    assert_eq!(Some(Encoding::Dense), dense(b"HYLL\0", DENSE_LEN));
    assert_eq!(Some(Encoding::Sparse), dense(b"HYLL\x01", 16));
    for (first, len) in [
        (&b"HYLL\0"[..], DENSE_LEN + 1),
        (b"HYLL\0", DENSE_LEN - 1),
        (b"HYLL\x02", DENSE_LEN),
        (b"HYLM\x01", 100),
        (b"HYLL\x01", 15),
        (b"", 0),
    ] {
        assert_eq!(None, dense(first, len));
    }
}

#[test]
fn runs_are_split_and_joined_like_those_of_redis() {
    let mut bytes = empty();
    assert!(raise_one(&mut bytes, 100, 1));
    assert_eq!(vec![(0, 100), (1, 1), (0, 16283)], runs_of(&bytes));
    assert!(raise_one(&mut bytes, 101, 1));
    assert!(raise_one(&mut bytes, 103, 1));
    assert_eq!(vec![(0, 100), (1, 2), (0, 1), (1, 1), (0, 16280)], runs_of(&bytes));
    assert!(raise_one(&mut bytes, 102, 1));
    assert_eq!(vec![(0, 100), (1, 4), (0, 16280)], runs_of(&bytes));
    // No run has more than four, and what is split stays split until something near it changes.
    assert!(raise_one(&mut bytes, 104, 1));
    assert_eq!(vec![(0, 100), (1, 4), (1, 1), (0, 16279)], runs_of(&bytes));
    assert!(raise_one(&mut bytes, 101, 2));
    assert_eq!(vec![(0, 100), (1, 1), (2, 1), (1, 3), (0, 16279)][..3], runs_of(&bytes)[..3]);
    assert!(!raise_one(&mut bytes, 101, 2) && !raise_one(&mut bytes, 101, 1));
    assert!(raise_one(&mut bytes, 0, 32));
    assert!(raise_one(&mut bytes, 16383, 32));
    assert_eq!(Some(Encoding::Sparse), encoding(&bytes));
    assert!(raise_one(&mut bytes, 7, 33));
    assert_eq!(Some(Encoding::Dense), encoding(&bytes));
    assert_eq!(33, registers_of(&bytes)[7]);
}

#[test]
fn registers_hold_what_a_plain_array_holds() {
    for seed in 0..6 {
        let mut random = Random::seeded(seed);
        let (mut bytes, mut model) = (empty(), [0; REGISTERS]);
        let (spread, ranks) = if seed % 2 == 0 { (REGISTERS as u64, 20) } else { (300, 5) };
        let mut was_dense_at = None;
        for round in 0..3000 {
            let mark = Mark { index: random.below(spread) as usize, rank: 1 + random.below(ranks) as u8 };
            let raised = raise_one(&mut bytes, mark.index, mark.rank);
            assert_eq!(model[mark.index] < mark.rank, raised);
            model[mark.index] = model[mark.index].max(mark.rank);
            if round % 100 == 0 {
                assert_eq!(model, registers_of(&bytes));
                assert_eq!(estimate_of(&model), estimate(&bytes).expect("whole"));
            }
            match encoding(&bytes).expect("a HyperLogLog") {
                Encoding::Sparse => assert!(bytes.len() <= SPARSE_MAX),
                Encoding::Dense => was_dense_at = was_dense_at.or(Some(round)),
            }
        }
        assert_eq!(model, registers_of(&bytes));
        assert_eq!(spread != 300, was_dense_at.is_some());
        let (mut packed, mut unpacked) = (vec![0; DENSE_LEN], [0; REGISTERS]);
        set_registers(&mut packed, &model);
        dense::unpack(&packed[HEADER..], &mut unpacked);
        assert_eq!(model, unpacked);
        assert!((0..REGISTERS).all(|index| dense::get(&packed[HEADER..], index) == model[index]));
    }
}

/// A cursor saves looking for the place, and changes nothing else.
#[test]
fn ascending_registers_come_out_the_same_with_a_cursor() {
    for seed in 0..20 {
        let mut random = Random::seeded(seed);
        let mut with = empty();
        for _ in 0..random.below(300) {
            raise_one(&mut with, random.below(2000) as usize, 1 + random.below(4) as u8);
        }
        let mut without = with.clone();
        let mut cursor = Cursor::default();
        for index in 0..REGISTERS {
            if random.below(8) != 0 {
                continue;
            }
            let rank = 1 + random.below(4) as u8;
            let one = raise(&mut with, Mark { index, rank }, &mut cursor, 20_000);
            let two = raise(&mut without, Mark { index, rank }, &mut Cursor::default(), 20_000);
            assert_eq!(one, two);
            assert_eq!(with, without, "after register {index}");
        }
    }
}

#[test]
fn estimates_are_near_the_truth() {
    let mut bytes = empty();
    assert_eq!(Ok(0), estimate(&bytes));
    let mut checkpoint = 1;
    for number in 1..=100_000u64 {
        let mark = Mark::of(number.to_string().as_bytes());
        raise(&mut bytes, mark, &mut Cursor::default(), SPARSE_MAX).expect("whole");
        if number == checkpoint {
            let error = estimate(&bytes).expect("whole").abs_diff(number);
            assert!(error * 30 <= number, "{number} with an error of {error}");
            checkpoint *= 10;
        }
    }
    // Registers that nobody's elements have made.
    assert_eq!(1 << 63, estimate_of(&[63; REGISTERS]));
    assert_eq!(Ok(()), self_test(5, SPARSE_MAX));
}

/// Whoever sends such a string hears that it is corrupt, and nothing worse.
#[test]
fn hostile_strings_are_refused() {
    let sparse = |runs: &[u8]| [&empty()[..HEADER], runs].concat();
    for runs in [
        &b""[..],
        b"\x7f",         // Cut off.
        b"\x7f\xfe",     // One register too few.
        b"\x7f\xff\x00", // One too many.
        b"\x7f\xff\x40", // Whole, and then half a run.
        b"\x7f\xff\x7f\xff",
        b"\x83\x7f\xff",
    ] {
        let bytes = sparse(runs);
        assert_eq!(Err(Corrupt), estimate(&bytes), "{runs:?}");
        assert_eq!(Err(Corrupt), merge(&mut [0; REGISTERS], &bytes), "{runs:?}");
        assert_eq!(Err(Corrupt), make_dense(&mut bytes.clone()), "{runs:?}");
    }
    // Only what stands before a register is looked at to raise it.
    let mut short = sparse(b"\x00");
    assert_eq!(Err(Corrupt), raise(&mut short, Mark { index: 1, rank: 1 }, &mut Cursor::default(), 99));
    assert_eq!(Ok(true), raise(&mut short, Mark { index: 0, rank: 1 }, &mut Cursor::default(), 99));
    assert_eq!(Err(Corrupt), raise(&mut short, Mark { index: 0, rank: 40 }, &mut Cursor::default(), 99));
    assert_eq!(Err(Corrupt), copied(&vec![0; 1 << 20]));
    let mut random = Random::seeded(9);
    for _ in 0..3000 {
        let mut runs = vec![0; random.below(60) as usize];
        random.fill(&mut runs);
        let mut bytes = sparse(&runs);
        let _ = (estimate(&bytes), merge(&mut [0; REGISTERS], &bytes), make_dense(&mut bytes.clone()));
        for _ in 0..5 {
            let mark =
                Mark { index: random.below(REGISTERS as u64) as usize, rank: 1 + random.below(51) as u8 };
            let _ = raise(&mut bytes, mark, &mut Cursor::default(), 60);
        }
    }
}
