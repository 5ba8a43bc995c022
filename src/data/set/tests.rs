use std::collections::BTreeSet;

use super::*;

fn limits() -> Limits {
    Limits {
        intset_entries: 512,
        listpack_entries: 128,
        listpack_value: 64,
        hasher: Hasher::new([1, 2, 3, 4]),
    }
}

fn members(set: &Set) -> BTreeSet<Vec<u8>> {
    let found: Vec<_> = set.iter().map(|item| item.to_vec()).collect();
    let unique: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!((found.len(), unique.len()), (set.len(), set.len()));
    unique
}

fn set_of(members: &[&str]) -> Set {
    Set::from_members(members.iter().map(|member| member.as_bytes()), &limits())
}

fn texts(set: &Set) -> Vec<String> {
    set.iter().map(|item| String::from_utf8(item.to_vec()).expect("text")).collect()
}

#[test]
fn the_form_follows_the_members() {
    let limits = Limits { intset_entries: 4, listpack_entries: 6, listpack_value: 5, ..limits() };
    let table: &[(&[&str], &str)] = &[
        (&["1", "2", "3", "4"], "intset"),
        (&["1", "2", "3", "4", "4"], "intset"),
        (&["1", "2", "3", "4", "5"], "hashtable"),
        (&["a"], "listpack"),
        (&["1", "2", "a"], "listpack"),
        (&["1", "2", "abcdef"], "hashtable"),
        (&["123456", "2", "a"], "hashtable"),
        (&["-12345", "2", "a"], "hashtable"),
        (&["a", "1", "2", "3", "4", "5"], "listpack"),
        (&["a", "1", "2", "3", "4", "5", "5"], "listpack"),
        (&["a", "1", "2", "3", "4", "5", "6"], "hashtable"),
        (&["a", "123456"], "hashtable"),
        (&["01"], "listpack"),
        (&[""], "listpack"),
    ];
    for (members, encoding) in table {
        let set = Set::from_members(members.iter().map(|member| member.as_bytes()), &limits);
        assert_eq!(set.encoding(), *encoding, "{members:?}");
    }
    let expecting = |first: &str, count| Set::expecting(first.as_bytes(), count, &limits).encoding();
    assert_eq!(
        (expecting("1", 4), expecting("1", 5), expecting("1", 7)),
        ("intset", "listpack", "hashtable")
    );
    assert_eq!((expecting("a", 6), expecting("a", 7)), ("listpack", "hashtable"));
    for (members, more, encoding) in [("1", 4, "intset"), ("1", 5, "hashtable"), ("a", 7, "hashtable")] {
        let mut set = Set::from_members([members.as_bytes()], &limits);
        set.grow(more, &limits);
        assert_eq!((set.encoding(), set.len()), (encoding, 1));
    }
}

#[test]
fn integers_ascend_and_packs_keep_their_order() {
    let numbers = ["5", "-1", "70000", "2", "-9223372036854775808", "9223372036854775807", "-70000", "300"];
    let mut set = set_of(&numbers);
    let sorted = ["-9223372036854775808", "-70000", "-1", "2", "5", "300", "70000", "9223372036854775807"];
    assert_eq!(texts(&set), sorted);
    assert!(numbers.iter().all(|number| set.contains(number.as_bytes())));
    assert!(["05", "6", "", "+5", "5 "].iter().all(|number| !set.contains(number.as_bytes())));
    assert!(set.remove(b"2") && !set.remove(b"2") && !set.remove(b"x"));
    set.insert(b"x", &limits());
    set.insert(b"2", &limits());
    assert_eq!(texts(&set)[6..], ["9223372036854775807", "x", "2"]);
    assert_eq!(texts(&set_of(&["b", "a", "10", "c", "a"])), ["b", "a", "10", "c"]);
}

#[test]
fn a_table_of_nothing_but_numbers_can_become_integers() {
    let mut set = Set::new_table(&limits().hasher, 0);
    ["7", "-3", "100000"].iter().for_each(|text| assert!(set.insert(text.as_bytes(), &limits())));
    set.make_ints(&limits());
    assert_eq!((set.encoding(), texts(&set)), ("intset", vec!["-3".into(), "7".into(), "100000".into()]));
    let mut pack = set_of(&["a", "1"]);
    pack.make_ints(&limits());
    assert_eq!(pack.encoding(), "listpack");
    pack.remove(b"a");
    pack.make_ints(&limits());
    assert_eq!(pack.encoding(), "intset");
    let mut many = Set::new_table(&limits().hasher, 0);
    for number in 0..513 {
        many.insert(number.to_string().as_bytes(), &limits());
    }
    many.make_ints(&limits());
    assert_eq!(many.encoding(), "hashtable");
}

/// Texts of every kind, short enough in number to meet again.
fn text(random: &mut Random, numbers_only: bool, variety: u64) -> Vec<u8> {
    let number = random.below(variety);
    match number % 6 {
        0 | 1 => number.to_string().into_bytes(),
        2 => (number as i64 * -1_000_003_000_017).to_string().into_bytes(),
        _ if numbers_only => (number * 65_539).to_string().into_bytes(),
        3 => vec![b'm'; number as usize % 20],
        4 => format!("member {number}").into_bytes(),
        _ => format!("{number:060}").into_bytes(),
    }
}

#[test]
fn a_set_is_what_a_set_of_texts_is() {
    let mut random = Random::seeded(5);
    for round in 0..60 {
        let (variety, numbers_only) = ([10, 200, 3000][round % 3], round % 2 == 0);
        let mut set = if round % 5 == 4 { Set::new_pack() } else { Set::new() };
        let mut model = BTreeSet::new();
        for step in 0..2000 {
            let text = text(&mut random, numbers_only, variety);
            match random.below(8) {
                0..4 => assert_eq!(set.insert(&text, &limits()), model.insert(text)),
                4 => assert_eq!(set.remove(&text), model.remove(&text)),
                5 => assert_eq!(set.contains(&text), model.contains(&text)),
                6 => {
                    let found = set.random(&mut random).map(|item| item.to_vec());
                    assert_eq!(found.is_some(), !model.is_empty());
                    assert!(found.is_none_or(|found| model.contains(&found)));
                }
                _ => {
                    let taken = set.pop_random(&mut random, |item| item.to_vec());
                    assert_eq!(taken.is_some(), !model.is_empty());
                    assert!(taken.is_none_or(|taken| model.remove(&taken)));
                }
            }
            assert_eq!(set.len(), model.len());
            if step % 100 == 0 {
                assert_eq!(members(&set), model);
                assert_eq!(members(&set.clone()), model);
            }
        }
        assert_eq!(members(&set), model);
        assert!(set.iter().all(|item| set.contains_item(item)));
        let mut scanned = BTreeSet::new();
        let mut cursor = 0;
        loop {
            cursor = set.scan(cursor, |item| {
                scanned.insert(item.to_vec());
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(scanned, model);
    }
}

#[test]
fn draws_are_even_in_every_form() {
    for (count, prefix) in [(10, ""), (10, "m"), (200, "member")] {
        let mut random = Random::seeded(9);
        let set = (0..count).fold(Set::new(), |mut set, number| {
            set.insert(format!("{prefix}{number}").as_bytes(), &limits());
            set
        });
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..count * 1000 {
            *counts.entry(set.random(&mut random).map(|item| item.to_vec())).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), count);
        assert!(counts.values().all(|drawn| (850..1150).contains(drawn)), "{:?}", counts.values());
    }
}

#[test]
fn blocks_are_counted_and_a_table_goes_in_slices() {
    let mut set = set_of(&["a"]);
    assert_eq!((set.memory(), set.is_heavy()), (8, false));
    for number in 0..3000 {
        set.insert(format!("a somewhat longer member {number}").as_bytes(), &limits());
    }
    for number in 0..1000 {
        set.remove(format!("a somewhat longer member {number}").as_bytes());
    }
    for seed in 0..100 {
        set.pop_random(&mut Random::seeded(seed), |_| ());
    }
    let View::Big(members) = set.0.view() else { panic!("a table") };
    assert_eq!(members.blocks, members.table.iter().map(Member::memory).sum::<usize>());
    assert_eq!(members.blocks, set.clone().memory() - size_of::<Members>() - set_buckets(&set.clone()));
    assert!(set.is_heavy());
    let mut slices = 0;
    while set.free_some(10) {
        slices += 1;
    }
    assert!(10 < slices, "{slices} slices");
}

fn set_buckets(set: &Set) -> usize {
    let View::Big(members) = set.0.view() else { return 0 };
    members.table.memory()
}

#[test]
fn no_table_of_a_hasher_grows_while_that_is_avoided() {
    let hasher = Hasher::new([1, 2, 3, 4]);
    let mut sets: Vec<Set> = (0..3).map(|_| Set::new_table(&hasher.clone(), 100)).collect();
    let limits = Limits { intset_entries: 0, listpack_entries: 0, listpack_value: 0, hasher: hasher.clone() };
    let buckets = |set: &Set| set.table_stats().map(|stats| (stats.now.buckets, stats.next.buckets));
    let before = buckets(&sets[0]);
    hasher.set_resizing(table::Resizing::Avoided);
    // Growing is due long before each slot is taken.
    let full = before.expect("a table").0 * 7;
    for set in &mut sets {
        (0..full).for_each(|number| assert!(set.insert(format!("member {number}").as_bytes(), &limits)));
        assert_eq!(buckets(set), before);
    }
    hasher.set_resizing(table::Resizing::Allowed);
    for set in &mut sets {
        assert!(set.insert(b"one more", &limits));
        assert_ne!(buckets(set), before);
    }
}
