//! Strings that call themselves HyperLogLogs: refused, or both encodings say the same.

use kvick::data::hyperloglog::sparse::{Cursor, LEN_MAX};
use kvick::data::hyperloglog::{
    DENSE_LEN, Encoding, Mark, REGISTERS, Registers, cached, copied, dense_lacks, empty, encoding, estimate,
    estimate_of, make_dense, merge, outdate, raise, raise_dense, set_registers,
};

use super::Choices;
use super::play::Play;

/// The bytes behind a header: opcodes of runs, which alone are of interest.
fn sparse_of(runs: &[u8]) -> Vec<u8> {
    let mut bytes = empty();
    bytes.truncate(16);
    bytes.extend_from_slice(runs);
    bytes
}

fn registers_of(bytes: &[u8]) -> Option<Box<Registers>> {
    let mut registers = Box::new([0; REGISTERS]);
    merge(&mut registers, bytes).ok().map(|()| registers)
}

fn check(bytes: &[u8], choices: &mut Choices<'_>) {
    let Some(encoding) = encoding(bytes) else { return };
    cached(bytes);
    let registers = registers_of(bytes);
    assert_eq!(estimate(bytes).is_ok(), registers.is_some());
    let Ok(mut changed) = copied(bytes) else {
        assert!(LEN_MAX < bytes.len());
        return;
    };
    let elements: Vec<Mark> =
        (0..choices.below(20)).map(|_| Mark::of(&[choices.byte(), choices.byte()])).collect();
    let sparse_max = [0, 100, 3000, 20_000][choices.below(4)];
    let Some(registers) = registers else {
        let _: bool = make_dense(&mut changed).is_err();
        for mark in elements {
            // One part of it may be read before the damage is met; none of it may panic.
            if raise(&mut changed, mark, &mut Cursor::default(), sparse_max).is_err() {
                break;
            }
        }
        return;
    };
    let sum = estimate(bytes).expect("it is whole");
    assert_eq!(sum, estimate_of(&registers));
    let mut dense = bytes.to_vec();
    make_dense(&mut dense).expect("it is whole");
    assert!(dense.len() == DENSE_LEN && registers_of(&dense).as_ref() == Some(&registers));
    let mut packed = dense.clone();
    set_registers(&mut packed, &registers);
    assert!(encoding == Encoding::Dense || packed == dense);
    for mark in elements {
        let lacks = dense_lacks(&dense, mark);
        assert_eq!(raise_dense(&mut dense, mark), lacks);
        let done = raise(&mut changed, mark, &mut Cursor::default(), sparse_max).expect("it is whole");
        assert_eq!(done, lacks);
        assert!(registers_of(&changed) == registers_of(&dense), "a register more or less");
    }
    outdate(&mut changed);
}

/// Runs the target.
pub fn run(data: &[u8]) {
    let choices = &mut Choices(data);
    let shape = choices.byte();
    let mut start = Choices(choices.0);
    (0..41).for_each(|_| _ = start.byte());
    let bytes = match shape % 3 {
        0 => start.0.to_vec(),
        1 => sparse_of(start.0),
        // As many registers as there are, whatever the runs say.
        _ => {
            let mut bytes = sparse_of(start.0);
            bytes[4] = 0;
            bytes.resize(DENSE_LEN, shape);
            bytes
        }
    };
    check(&bytes, choices);
    if shape & 0x40 != 0 {
        let mut play = Play::new(1);
        for words in [
            &[&b"SET"[..], b"h", &bytes][..],
            &[b"PFCOUNT", b"h"],
            &[b"PFADD", b"h", b"a", b"b"],
            &[b"PFMERGE", b"to", b"h"],
            &[b"PFADD", b"to", b"c"],
            &[b"PFDEBUG", b"GETREG", b"h"],
            &[b"PFDEBUG", b"DECODE", b"to"],
            &[b"PFCOUNT", b"h", b"to"],
        ] {
            play.ask(0, words);
        }
    }
}

/// Examples.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut few = empty();
    for number in 0..30u32 {
        raise(&mut few, Mark::of(&number.to_le_bytes()), &mut Cursor::default(), 3000).expect("it is ours");
    }
    let elements: Vec<u8> = (0..41).collect();
    let whole = [&[0x40][..], &elements, &few].concat();
    let runs = [&[0x41][..], &elements, &few[16..]].concat();
    let zeros = [&[1][..], &elements, &empty()[16..]].concat();
    let mixed = [&[1][..], &elements, &[0x7f, 0xff, 0x80, 0xff, 0x3f, 0x41, 0x00]].concat();
    vec![whole, runs, zeros, mixed, [&[2][..], &elements, &[0xff; 40]].concat()]
}
