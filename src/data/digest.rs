//! The digest of data: `DEBUG DIGEST` and `DEBUG DIGEST-VALUE`.
//!
//! Two servers with equal data have equal digests, whatever the order in which the keys came and however they are
//! stored; and the digest is the one that a Redis server gives for the same data, so that a data set can be
//! compared across the two. It is made of two operations on twenty bytes:
//!
//! - *adding* data, where the order does not matter: the SHA-1 of the data is xored in;
//! - *mixing* data in, where it does: the data is added, and the SHA-1 of the result takes its place.
//!
//! A value's digest begins with zeros and mixes in the type and then the text of the string or of each element;
//! a deadline adds a fixed word, its date does not count. A key's digest begins with the name mixed in. Each
//! database that is not empty mixes its number into the digest of all, then its keys' digests are added.

use std::fmt;

use sha1_smol::Sha1;

use crate::base::double::push_shortest;
use crate::data::entry::{Entry, Kind};
use crate::data::hash::Hash;
use crate::data::keyspace::Keyspace;
use crate::data::set::Set;
use crate::data::stream::Stream;
use crate::data::zset::Zset;

/// What a deadline adds.
const DEADLINE_WORD: &[u8] = b"!!expire!!";
/// What the deadline of a hash's field adds.
const FIELD_DEADLINE_WORD: &[u8] = b"!!hexpire!!";
/// The number under which a type is mixed in.
fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::Zset => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
    }
}

/// Twenty bytes that stand for data. All zero: no data.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Digest([u8; 20]);

impl Digest {
    /// The digest of a value and whether it has a deadline, without its key.
    pub fn of_value(entry: &Entry) -> Digest {
        let mut digest = Digest::default();
        digest.mix_value(entry);
        digest
    }

    /// The digest of a key with its value.
    pub fn of_entry(entry: &Entry) -> Digest {
        let mut digest = Digest::default();
        digest.mix(entry.key());
        digest.mix_value(entry);
        digest
    }

    /// The digest of all databases, of keys whose deadline has come but which are still there as well.
    pub fn of_all(keys: &Keyspace) -> Digest {
        let mut digest = Digest::default();
        for (number, database) in keys.databases().iter().enumerate() {
            if database.is_empty() {
                continue;
            }
            digest.mix(&(number as u32).to_be_bytes());
            for entry in database.table().iter() {
                digest.add(&Digest::of_entry(entry).0);
            }
        }
        digest
    }

    fn mix_value(&mut self, entry: &Entry) {
        self.mix(&type_number(entry.kind()).to_be_bytes());
        if let Some(string) = entry.string() {
            self.mix(string.bytes(&mut [0; 20]));
        } else if let Some(list) = entry.list() {
            list.iter().for_each(|item| item.with_bytes(|text| self.mix(text)));
        } else if let Some(set) = entry.set() {
            self.mix_set(set);
        } else if let Some(hash) = entry.hash() {
            self.mix_hash(hash);
        } else if let Some(zset) = entry.zset() {
            self.mix_zset(zset);
        } else if let Some(stream) = entry.stream() {
            self.mix_stream(stream);
        }
        if entry.deadline().is_some() {
            self.add(DEADLINE_WORD);
        }
    }

    /// Members have no order, so they are added rather than mixed in.
    fn mix_set(&mut self, set: &Set) {
        set.iter().for_each(|member| member.with_bytes(|text| self.add(text)));
    }

    fn mix_hash(&mut self, hash: &Hash) {
        for pair in hash.iter() {
            let mut digest = Digest::default();
            pair.field.with_bytes(|text| digest.mix(text));
            pair.value.with_bytes(|text| digest.mix(text));
            if pair.deadline.is_some() {
                digest.add(FIELD_DEADLINE_WORD);
            }
            self.add(&digest.0);
        }
    }

    fn mix_zset(&mut self, zset: &Zset) {
        let mut score_text = Vec::new();
        for (member, score) in zset.iter() {
            score_text.clear();
            push_shortest(&mut score_text, score);
            let mut of_member = Digest::default();
            member.with_bytes(|text| of_member.mix(text));
            of_member.mix(&score_text);
            self.add(&of_member.0);
        }
    }

    fn mix_stream(&mut self, stream: &Stream) {
        for entry in stream.entries.iter() {
            self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
            for (field, value) in entry.pairs() {
                field.with_bytes(|text| self.mix(text));
                value.with_bytes(|text| self.mix(text));
            }
        }
    }

    fn add(&mut self, data: &[u8]) {
        for (byte, other) in self.0.iter_mut().zip(sha1(data)) {
            *byte ^= other;
        }
    }

    fn mix(&mut self, data: &[u8]) {
        self.add(data);
        self.0 = sha1(&self.0);
    }
}

fn sha1(data: &[u8]) -> [u8; 20] {
    Sha1::from(data).digest().bytes()
}

/// Forty hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::date::UnixMs;
    use crate::data::entry::Value;
    use crate::data::keyspace::Deadline;
    use crate::data::list::{Limits, List};

    /// One key: its database, its name, its value and whether it has a deadline.
    type Datum = (usize, &'static [u8], Content, bool);

    enum Content {
        Text(Vec<u8>),
        List(Vec<Vec<u8>>),
    }

    fn text(bytes: impl AsRef<[u8]>) -> Content {
        Content::Text(bytes.as_ref().to_vec())
    }

    fn list<const N: usize>(elements: [&[u8]; N]) -> Content {
        Content::List(elements.map(<[u8]>::to_vec).to_vec())
    }

    fn keyspace(data: Vec<Datum>) -> Keyspace {
        let mut keys = Keyspace::new(16, 7);
        for (database, name, content, deadline) in data {
            keys.enter(UnixMs(1), database);
            let key = keys.key(name);
            match content {
                Content::Text(text) => {
                    keys.set(key, Value::string(&text), Deadline::Clear);
                }
                Content::List(elements) => {
                    let mut list = List::new();
                    elements.iter().for_each(|element| list.push_back(element, Limits::of(-2)));
                    keys.insert(key.hash, Entry::new(name, Value::List(Box::new(list))));
                }
            }
            if deadline {
                keys.set_deadline(key, Some(UnixMs(4_000_000_000_000)));
            }
        }
        keys
    }

    /// The digests are what redis-server 7.0.15 and 8.0 reply to `DEBUG DIGEST` with the same data.
    #[test]
    fn equal_to_what_a_redis_server_says() {
        let elements = (0..3000).map(|number| format!("element {number}").into_bytes()).collect();
        let every_byte: Vec<u8> = (0..=255).collect();
        let table: Vec<(Vec<Datum>, &str)> = vec![
            (vec![], "0000000000000000000000000000000000000000"),
            (vec![(0, b"key", text("value"), false)], "f149f3abd419a8d7d8c5673c73a100bb87404213"),
            (vec![(0, b"", text(""), false)], "fb9ecd0df494522427a790267e98f20cd199499b"),
            (vec![(0, b"\x00\xff\r\n", text(every_byte), false)], "85102fd52fa831cc52144608447dc692e14dffe0"),
            (
                vec![
                    (0, b"a", text("0"), false),
                    (0, b"b", text("-1"), false),
                    (0, b"c", text("9223372036854775807"), false),
                    (0, b"d", text("-9223372036854775808"), false),
                    (0, b"e", text("007"), false),
                ],
                "a7112115e35f616eabeb5b66fa9eea6b40c39120",
            ),
            (vec![(0, b"big", text([b'x'; 100_000]), false)], "654b67a1dad39ee6f2ed9ba34539377324a58829"),
            (vec![(0, b"key", text("value"), true)], "373c939f48f1ff80ec5678eea725330630f14282"),
            (vec![(0, b"list", list([b"a", b"b", b"c"]), false)], "3f9721edfa11ee0873ba5e1148629993a5aa1eaf"),
            (
                vec![(0, b"list", list([b"1", b"-5", b"123456789012", b"", b"\xff\x00", b"1.5"]), false)],
                "f76efe5bc864718053fc88645c419a8ad9761472",
            ),
            (vec![(0, b"list", list([b"a"]), true)], "2b475efda341c22c1b8eda30b9a40e5f70ae69a9"),
            (vec![(0, b"list", Content::List(elements), false)], "f790b88244d6bd1427a95f14194f5a5f4ef9219e"),
            (vec![(3, b"key", text("value"), false)], "d9fb7239a3d567b081c450ff18c7b0bd22bed1fc"),
            (
                vec![
                    (15, b"n", text("42"), true),
                    (15, b"list", list([b"1", b"two"]), false),
                    (1, b"key", text("value"), true),
                    (0, b"key", text("value"), false),
                ],
                "49f5abc03aaa0afd59ba77bbdb0c050ebe53041f",
            ),
        ];
        for (data, expected) in table {
            assert_eq!(Digest::of_all(&keyspace(data)).to_string(), expected);
        }
    }

    #[test]
    fn a_value_has_the_same_digest_however_it_is_stored() {
        let mut keys = Keyspace::new(1, 7);
        let key = keys.key(b"key");
        let mut digest = |value: Value<'_>| {
            keys.set(key, value, Deadline::Clear);
            Digest::of_value(keys.stored(key).expect("just set"))
        };
        let number = digest(Value::Int(12345));
        assert_eq!(number, digest(Value::Bytes { bytes: b"12345", raw: true }));
        assert_eq!(number, digest(Value::Shared(bytes::Bytes::from_static(b"12345"))));
        assert_ne!(number, digest(Value::Int(12346)));
    }
}
