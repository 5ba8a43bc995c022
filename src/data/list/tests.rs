//! The list against a plain deque of byte strings.

use std::collections::VecDeque;

use super::*;

const DEFAULT: Limits = Limits::of(-2);

/// SplitMix64; the tests name their seeds.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn value(&mut self) -> Vec<u8> {
        const ODD: [&str; 14] = [
            "",
            "0",
            "-0",
            "007",
            "+5",
            "-1",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "-9223372036854775809",
            "12345678901234567890",
            "99999999999999999999",
            " 1",
            "1.5",
        ];
        match self.below(100) {
            0..30 => format!("element:{}", self.below(20)).into_bytes(),
            30..50 => self.below(5).to_string().into_bytes(),
            50..65 => ((self.next() as i64) >> self.below(64)).to_string().into_bytes(),
            65..80 => ODD[self.below(ODD.len())].into(),
            80..96 => vec![b'a' + self.below(3) as u8; self.below(300)],
            96..99 => vec![b'm'; self.below(5000)],
            _ => vec![b'h'; self.below(20_000)],
        }
    }
}

fn texts(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(|item| item.to_vec()).collect()
}

/// The structure holds: counts add up, no node is empty, and both directions tell the same.
fn check(list: &List, model: &VecDeque<Vec<u8>>, limits: Limits) {
    assert_eq!(list.len(), model.len());
    assert_eq!(list.iter().len(), model.len());
    assert!(list.iter().zip(model).all(|(item, text)| item.eq_bytes(text) && item.len_bytes() == text.len()));
    assert_eq!(list.iter().count(), model.len());
    assert!(list.iter_rev().zip(model.iter().rev()).all(|(item, text)| item.eq_bytes(text)));
    assert_eq!(list.iter_rev().count(), model.len());
    let Form::Quick(quick) = &list.form else { return };
    let mut count = 0;
    for node in &quick.nodes {
        assert_ne!(node.count(), 0);
        count += node.count();
        if let Node::Run(run) = node {
            assert_eq!(run.offset(run.count()), run.body().len());
            assert_eq!(Iter::new(list, count - 1, 1).count(), 1);
            // A single batch of the small form may exceed the limit; so may a split at an awkward place.
            assert!(run.size() < 4 * limits.bytes_max(), "{}", run.size());
        }
    }
    assert_eq!(count, quick.len);
}

fn step(random: &mut Random, list: &mut List, model: &mut VecDeque<Vec<u8>>, limits: Limits) {
    let len = model.len();
    let any = random.below(len + 2);
    match random.below(100) {
        0..12 => {
            let value = random.value();
            list.push_front(&value, limits);
            model.push_front(value);
        }
        12..24 => {
            let value = random.value();
            list.push_back_shared(Bytes::from(value.clone()), limits);
            model.push_back(value);
        }
        24..30 => {
            let values: Vec<_> = (0..random.below(40)).map(|_| random.value()).collect();
            let end = if random.below(2) == 0 { End::Front } else { End::Back };
            let mut growth = list.grow(values.iter().map(Vec::len).sum(), values.len(), limits);
            values.iter().for_each(|value| growth.push(end, value));
            for value in values {
                if end == End::Front { model.push_front(value) } else { model.push_back(value) }
            }
        }
        30..40 => assert_eq!(list.pop_front(limits, |item| item.to_vec()), model.pop_front()),
        40..50 => assert_eq!(list.pop_back(limits, |item| item.to_vec()), model.pop_back()),
        50..58 => {
            let value = random.value();
            let index = any as i64 - if random.below(2) == 0 { 0 } else { len as i64 + 1 };
            let place = if index < 0 { len as i64 + index } else { index };
            let exists = 0 <= place && place < len as i64;
            assert_eq!(list.set(index, &value, limits), exists);
            if exists {
                model[place as usize] = value;
            }
        }
        58..68 => {
            let value = random.value();
            list.insert(any, &value, limits);
            model.insert(any.min(len), value);
        }
        68..76 => {
            let (pivot, value, after) = (random.value(), random.value(), random.below(2));
            let at = model.iter().position(|text| *text == pivot);
            assert_eq!(list.insert_beside(&pivot, after == 1, &value, limits), at.is_some());
            if let Some(at) = at {
                model.insert(at + after, value);
            }
        }
        76..84 => remove(random, list, model, limits),
        84..86 => {
            let start = random.below(len / 4 + 1);
            let keep = start..(len + 2).saturating_sub(random.below(len / 4 + 1));
            list.trim(keep.clone(), limits);
            model.truncate(keep.end.max(start));
            model.drain(..start.min(model.len()));
        }
        86..93 => position(random, list, model),
        _ => {
            let count = random.below(len + 3);
            let found: Vec<_> = list.range(any, count).map(|item| item.to_vec()).collect();
            let expected: Vec<_> = model.iter().skip(any).take(count).cloned().collect();
            assert_eq!(found, expected);
            let item = list.get(any as i64).map(|item| item.to_vec());
            assert_eq!(item.as_ref(), model.get(any));
            let item = list.get(-(any as i64) - 1).map(|item| item.to_vec());
            assert_eq!(item.as_ref(), len.checked_sub(any + 1).and_then(|at| model.get(at)));
        }
    }
}

fn remove(random: &mut Random, list: &mut List, model: &mut VecDeque<Vec<u8>>, limits: Limits) {
    let (value, count) = (random.value(), random.below(4));
    let from = if random.below(2) == 0 { End::Front } else { End::Back };
    let mut at: Vec<_> = (0..model.len()).filter(|&at| model[at] == value).collect();
    if from == End::Back {
        at.reverse();
    }
    if 0 < count {
        at.truncate(count);
    }
    assert_eq!(list.remove_matching(&value, count, from, limits), at.len());
    at.sort_unstable();
    at.iter().rev().for_each(|&at| {
        model.remove(at);
    });
}

fn position(random: &mut Random, list: &List, model: &VecDeque<Vec<u8>>) {
    let value = random.value();
    let (rank, matches) = (random.below(7) as i64 - 3, random.below(3));
    let compared = if random.below(2) == 0 { 0 } else { random.below(model.len() + 2) };
    let mut order: Vec<_> = (0..model.len()).collect();
    if rank < 0 {
        order.reverse();
    }
    if 0 < compared {
        order.truncate(compared);
    }
    let hits = order.into_iter().filter(|&at| model[at] == value);
    let limit = if matches == 0 { usize::MAX } else { matches };
    let mut expected: Vec<_> = hits.skip(rank.unsigned_abs().max(1) as usize - 1).take(limit).collect();
    if rank == 0 {
        expected.clear();
    }
    let mut found = Vec::new();
    list.position(&value, rank, matches, compared, |at| found.push(at));
    assert_eq!(found, expected);
}

#[test]
fn random_operations() {
    for (seed, fill) in [-2, -1, -5, -9, 0, 1, 3, 128, 100_000, -2, -2, -1].into_iter().enumerate() {
        let (mut list, mut model) = (List::new(), VecDeque::new());
        let mut random = Random(seed as u64);
        let limits = Limits::of(fill);
        for round in 0..4000 {
            step(&mut random, &mut list, &mut model, limits);
            if round % 32 == 0 {
                check(&list, &model, limits);
            }
            if 2000 < model.len() {
                list.trim(0..300, limits);
                model.truncate(300);
            }
        }
        check(&list, &model, limits);
    }
}

#[test]
fn limits_may_change_under_way() {
    let (mut list, mut model) = (List::new(), VecDeque::new());
    let mut random = Random(42);
    for round in 0..4000 {
        let fill = [-5, -1, 4, 64, -2][round / 50 % 5];
        let limits = Limits { fill, alone_from: [0, 100, 2][round / 70 % 3] };
        step(&mut random, &mut list, &mut model, limits);
        check(&list, &model, Limits::of(-5));
    }
}

/// What the real servers say after the same commands; `add` is the sum of the texts' lengths.
#[test]
fn the_encoding_is_decided_once_for_a_command() {
    let mut list = List::new();
    let mut growth = list.grow(5000, 5000, DEFAULT);
    (0..5000).for_each(|_| growth.push(End::Back, b"x"));
    assert_eq!((list.encoding(), list.nodes()), ("listpack", 1));
    list.push_back(b"x", DEFAULT);
    assert_eq!((list.encoding(), list.nodes(), list.len()), ("quicklist", 2, 5001));

    let batch = |from: u64, to: u64| {
        let mut list = List::new();
        let mut growth = list.grow(10 * (to - from) as usize, (to - from) as usize, DEFAULT);
        (from..to).for_each(|value| growth.push(End::Back, value.to_string().as_bytes()));
        list.encoding()
    };
    assert_eq!(batch(1_000_000_000, 1_000_001_000), "quicklist");
    assert_eq!(batch(1_000_000_000, 1_000_000_800), "listpack");
}

#[test]
fn back_to_listpack_at_half_the_limit() {
    let fill = || {
        let mut list = List::new();
        (0..1000).for_each(|n| list.push_back(format!("element:{n}").as_bytes(), DEFAULT));
        assert_eq!(list.encoding(), "quicklist");
        list
    };
    let mut list = fill();
    list.trim(0..101, DEFAULT);
    assert_eq!(list.encoding(), "listpack");

    // Two nodes stay a quicklist however short they are; the last one left decides by its size.
    let mut list = fill();
    list.trim(300..701, DEFAULT);
    assert_eq!(list.encoding(), "quicklist");
    while list.encoding() == "quicklist" {
        assert!(list.pop_front(DEFAULT, |_| ()).is_some());
    }
    assert!(50 < list.len());

    let mut list = List::new();
    list.push_back(&[b'x'; 8000], DEFAULT);
    assert_eq!(list.encoding(), "listpack");
    assert!(!list.insert_beside(b"nope", false, &[b'y'; 300], DEFAULT));
    assert_eq!(list.encoding(), "quicklist");
    assert!(list.set(0, b"a", DEFAULT));
    assert_eq!(list.encoding(), "listpack");
}

#[test]
fn large_elements_are_shared() {
    let big = Bytes::from(vec![b'b'; 20_000]);
    let mut list = List::new();
    list.push_back(b"small", DEFAULT);
    list.push_back_shared(big.clone(), DEFAULT);
    list.push_front_shared(big.clone(), DEFAULT);
    let shared =
        list.iter().filter(|item| matches!(item, Item::Shared(b) if b.as_ptr() == big.as_ptr())).count();
    assert_eq!((shared, list.nodes()), (2, 3));
    assert!(list.set_shared(1, big.clone(), DEFAULT));
    assert_eq!(list.remove_matching(&big, 0, End::Front, DEFAULT), 3);
    assert_eq!((list.len(), list.encoding()), (0, "listpack"));
}

#[test]
fn small_lists_are_one_small_allocation() {
    let mut list = List::new();
    assert_eq!(list.memory(), size_of::<List>());
    list.push_back(b"hello", DEFAULT);
    assert_eq!(list.memory(), size_of::<List>() + 16);
    (0..400).for_each(|_| list.push_front(b"hello", DEFAULT));
    (0..400).for_each(|_| assert!(list.pop_back(DEFAULT, |_| ()).is_some()));
    assert!(list.memory() <= size_of::<List>() + 128, "{}", list.memory());
}

/// A limit of 8 KiB must not cost more than Redis's nodes do: two bytes an element and a little for each
/// node.
#[test]
fn long_lists_are_compact() {
    for end in [End::Front, End::Back] {
        let mut list = List::new();
        let mut texts = 0;
        for n in 0..200_000 {
            let text = format!("element:{n}");
            texts += text.len() + 2;
            list.push(end, text.as_bytes(), DEFAULT);
        }
        assert!(list.memory() * 1000 < texts * 1010, "{} of {texts}", list.memory());
    }
}

/// Removing most of the elements leaves few nodes, not many nearly empty ones.
#[test]
fn nodes_merge_after_removals() {
    let mut list = List::new();
    (0..50_000).for_each(|n| list.push_back(if n % 50 == 0 { b"keep" } else { b"drop" }, DEFAULT));
    assert_eq!((list.nodes(), list.remove_matching(b"drop", 0, End::Back, DEFAULT)), (37, 49_000));
    assert_eq!((list.len(), list.nodes()), (1000, 7));
    assert!(list.memory() < 12_000, "{}", list.memory());
    assert!(texts(&list).iter().all(|text| text == b"keep"));
}

#[test]
fn freeing_in_slices() {
    let mut list = List::new();
    (0..50_000).for_each(|n: u32| list.push_back(&n.to_be_bytes(), DEFAULT));
    let mut slices = 1;
    while list.free_some(10) {
        slices += 1;
        assert_eq!(list.iter().count(), list.len());
    }
    assert!(1 < slices && list.is_empty());
    assert_eq!(list.memory(), size_of::<List>());
}
