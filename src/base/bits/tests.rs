use super::*;
use crate::base::random::Random;

fn noise(random: &mut Random, len: usize) -> Vec<u8> {
    // Long runs of equal bytes among the noise, so that searches pass over something.
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let run = 1 + random.below(150) as usize;
        let byte = match random.below(3) {
            0 => 0,
            1 => 0xff,
            _ => random.next_u64() as u8,
        };
        bytes.extend(std::iter::repeat_n(byte, run.min(len - bytes.len())));
    }
    bytes
}

#[test]
fn counting_and_finding_agree_with_looking_at_each_bit() {
    let mut random = Random::seeded(1);
    for round in 0..400 {
        let len = 1 + random.below(if round % 4 == 0 { 2000 } else { 20 }) as usize;
        let bytes = noise(&mut random, len);
        let total = len as u64 * 8;
        let first = random.below(total);
        let last = first + random.below(total - first);
        let bits = || (first..=last).map(|at| (at, bytes[(at / 8) as usize] >> (7 - at % 8) & 1 == 1));
        assert_eq!(bits().filter(|(_, on)| *on).count() as u64, count_between(&bytes, first, last));
        for wanted in [false, true] {
            let expected = bits().find(|(_, on)| *on == wanted).map(|(at, _)| at);
            assert_eq!(expected, find(&bytes, wanted, first, last), "{first}..={last} of {len} bytes");
        }
        assert_eq!((0..total).filter(|at| get(&bytes, *at)).count() as u64, count(&bytes));
        assert_eq!(count_plain(&bytes), count(&bytes));
    }
    assert!(!get(b"\xff", 8) && !get(b"\xff", u64::MAX));
}

#[test]
fn one_bit_is_set_and_no_other() {
    let mut bytes = vec![0; 16];
    for at in 0..128 {
        assert!(!set(&mut bytes, at, true) && get(&bytes, at));
        assert_eq!(at + 1, count(&bytes));
        assert!(set(&mut bytes, at, true));
    }
    assert!(set(&mut bytes, 77, false) && !get(&bytes, 77));
    assert_eq!(127, count(&bytes));
}

#[test]
fn combining_agrees_with_combining_each_bit() {
    let mut random = Random::seeded(2);
    let all = [
        Combine::And,
        Combine::Or,
        Combine::Xor,
        Combine::Not,
        Combine::Diff,
        Combine::Diff1,
        Combine::AndOr,
        Combine::One,
    ];
    for round in 0..60 {
        let sources: Vec<Vec<u8>> = (0..1 + random.below(5))
            .map(|_| {
                let len = if round == 7 { PIECE as u64 + random.below(20) } else { random.below(40) };
                noise(&mut random, len as usize)
            })
            .collect();
        let slices: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
        for how in all {
            let slices = if how == Combine::Not { &slices[..1] } else { &slices };
            let result = combine(how, slices);
            assert_eq!(slices.iter().map(|source| source.len()).max().unwrap_or(0), result.len());
            for (index, byte) in result.iter().enumerate() {
                let bytes: Vec<u8> = slices.iter().map(|s| s.get(index).copied().unwrap_or(0)).collect();
                assert_eq!(of_bytes(how, &bytes), *byte, "{how:?} of {bytes:?} at {index}");
            }
        }
    }
}

fn of_bytes(how: Combine, bytes: &[u8]) -> u8 {
    (0..8).fold(0, |result, bit| {
        let on: Vec<bool> = bytes.iter().map(|byte| byte >> bit & 1 == 1).collect();
        let others = on[1..].contains(&true);
        let set = match how {
            Combine::And => on.iter().all(|on| *on),
            Combine::Or => on.contains(&true),
            Combine::Xor => on.iter().filter(|on| **on).count() % 2 == 1,
            Combine::Not => !on[0],
            Combine::Diff => on[0] && !others,
            Combine::Diff1 => !on[0] && others,
            Combine::AndOr => on[0] && others,
            Combine::One => on.iter().filter(|on| **on).count() == 1,
        };
        result | u8::from(set) << bit
    })
}

#[test]
fn integers_are_read_and_written_at_any_position() {
    let mut random = Random::seeded(3);
    for _ in 0..2000 {
        let signed = random.below(2) == 0;
        let width = Width { bits: 1 + random.below(63 + u64::from(signed)) as u32, signed };
        let before = noise(&mut random, 24);
        let at = random.below(24 * 8 - u64::from(width.bits) + 1);
        let value = random.next_u64() as i64;
        let mut after = before.clone();
        write(&mut after, at, width, value);
        assert_eq!(width.wrapped(value), read(&after, at, width));
        for bit in (0..192).filter(|bit| *bit < at || at + u64::from(width.bits) <= *bit) {
            assert_eq!(get(&before, bit), get(&after, bit), "{width:?} at {at} changed bit {bit}");
        }
        for bit in 0..u64::from(width.bits) {
            let expected = value >> (u64::from(width.bits) - 1 - bit) & 1 == 1;
            assert_eq!(expected, get(&after, at + bit));
        }
    }
    let wide = Width { bits: 64, signed: true };
    assert_eq!(0xff << 56, read(b"\xff", 0, wide) as u64);
    assert_eq!(0, read(b"\xff", u64::MAX - 64, wide));
}

#[test]
fn sums_that_do_not_fit() {
    use Overflow::{Fail, Saturate, Wrap};
    let (i8, u8) = (Width { bits: 8, signed: true }, Width { bits: 8, signed: false });
    let i1 = Width { bits: 1, signed: true };
    let (i64, u63) = (Width { bits: 64, signed: true }, Width { bits: 63, signed: false });
    let (least, most) = (i64::MIN, i64::MAX);
    // Width, value, increment; what wrapping and saturating make of it if it does not fit.
    let rows = [
        (i1, 0, 1, Some((-1, 0))),
        (i1, -1, -1, Some((0, -1))),
        (i1, -1, 1, None),
        (i8, 100, 27, None),
        (i8, 100, 28, Some((-128, 127))),
        (i8, -100, -28, None),
        (i8, -100, -29, Some((127, -128))),
        (i8, 200, 0, Some((-56, 127))),
        (i8, -200, 0, Some((56, -128))),
        (i8, least, 0, Some((0, 127))),
        (i8, least + 127, 0, Some((127, 127))),
        (i8, least + 128, 0, Some((-128, -128))),
        (i8, 1, most, Some((0, 127))),
        (i8, -1, least, Some((-1, -128))),
        (u8, 200, 55, None),
        (u8, 200, 56, Some((0, 255))),
        (u8, 200, -200, None),
        (u8, 200, -201, Some((255, 0))),
        (u8, -1, 0, Some((255, 255))),
        (u8, 255, most, Some((254, 255))),
        (u8, 0, least, Some((0, 0))),
        (i64, most, 1, Some((least, most))),
        (i64, least, -1, Some((most, least))),
        (i64, least, most, None),
        (i64, most, least, None),
        (i64, least, 0, None),
        (u63, most, 0, None),
        (u63, most, 1, Some((0, most))),
        (u63, 0, -1, Some((most, 0))),
    ];
    for (width, value, increment, bad) in rows {
        let sum = value.wrapping_add(increment);
        let (wrapped, saturated) = bad.unwrap_or((sum, sum));
        let failed = if bad.is_some() { None } else { Some(sum) };
        let all = [Wrap, Saturate, Fail].map(|overflow| width.add(value, increment, overflow));
        assert_eq!([Some(wrapped), Some(saturated), failed], all, "{width:?}: {value} + {increment}");
    }
}
