//! `DUMP` here, `RESTORE` there, and the other way round.

use kvick::data::rdb::crc64;

use crate::common::{Client, Server, Value};
use crate::fill::{Newer, fill};
use crate::{ARGS, digest_of, ours, peers};

#[test]
fn payloads_of_all_encodings_go_both_ways() {
    for (binary, newer) in peers() {
        let (kvick, theirs) = (ours(ARGS), Server::start_binary(&binary, ARGS));
        let (mut here, mut there) = (kvick.client(), theirs.client());
        for key in fill(&mut there, newer) {
            let name = key.escape_ascii();
            there.cmd(&[&b"PERSIST"[..], &key[..]]);
            let payload = there.cmd(&[&b"DUMP"[..], &key[..]]);
            let reply = here.cmd(&[&b"RESTORE"[..], &key[..], b"0", payload.bytes()]);
            assert_eq!(reply, Value::ok(), "{name} of {binary}");
            if newer == Newer::Valkey && key.starts_with(b"h timed") {
                // Valkey has another digest of fields with deadlines.
                assert_eq!(timed(&mut here, &key), timed(&mut there, &key), "{name} of {binary}");
            } else {
                assert_eq!(digest_of(&mut here, &key), digest_of(&mut there, &key), "{name} of {binary}");
            }
            let payload = here.cmd(&[&b"DUMP"[..], &key[..]]);
            let reply = there.cmd(&[&b"RESTORE"[..], b"back", b"0", payload.bytes(), b"REPLACE"]);
            if newer == Newer::Valkey && key.starts_with(b"h timed") {
                // Fields with deadlines are written as Redis writes them, which Valkey does not read.
                assert!(reply.error().is_some());
                continue;
            }
            assert_eq!(reply, Value::ok(), "{name} to {binary}");
            assert_eq!(digest_of(&mut there, b"back"), digest_of(&mut there, &key), "{name} to {binary}");
        }
    }
}

/// The fields and values of a hash, sorted, and the deadlines of some.
fn timed(client: &mut Client, key: &[u8]) -> (Vec<Value>, Value) {
    let mut all = client.cmd(&[&b"HGETALL"[..], key]).items().to_vec();
    all.sort();
    let words: [&[u8]; 7] = [b"HPEXPIRETIME", key, b"FIELDS", b"3", b"field 1", b"field 5", b"field 7"];
    (all, client.cmd(&words))
}

/// A payload of a type and what follows it.
pub fn payload(of: u8, body: &[u8], version: u16) -> Vec<u8> {
    let mut all = vec![of];
    all.extend_from_slice(body);
    all.extend_from_slice(&version.to_le_bytes());
    let crc = crc64::update(0, &all);
    all.extend_from_slice(&crc.to_le_bytes());
    all
}

fn string(text: &[u8]) -> Vec<u8> {
    assert!(text.len() < 64);
    [&[text.len() as u8], text].concat()
}

/// A ziplist of strings.
fn ziplist(texts: &[&[u8]]) -> Vec<u8> {
    let (mut body, mut before, mut last) = (Vec::new(), 0, 10);
    for text in texts {
        last = 10 + body.len();
        body.extend_from_slice(&[before, text.len() as u8]);
        body.extend_from_slice(text);
        before = text.len() as u8 + 2;
    }
    let mut all = (11 + body.len() as u32).to_le_bytes().to_vec();
    all.extend_from_slice(&(last as u32).to_le_bytes());
    all.extend_from_slice(&(texts.len() as u16).to_le_bytes());
    all.extend_from_slice(&body);
    all.push(0xff);
    all
}

fn listpack(texts: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for text in texts {
        body.push(0x80 | text.len() as u8);
        body.extend_from_slice(text);
        body.push(text.len() as u8 + 1);
    }
    let mut all = (7 + body.len() as u32).to_le_bytes().to_vec();
    all.extend_from_slice(&(texts.len() as u16).to_le_bytes());
    all.extend_from_slice(&body);
    all.push(0xff);
    all
}

/// Encodings that no server writes any more, and which Redis 7.0 still reads.
#[test]
fn old_encodings_are_read_as_by_redis() {
    let texts: &[&[u8]] = &[b"a", b"12x", b"", b"d\xff"];
    let scores: &[&[u8]] = &[b"a", b"1.5", b"b", b"1.5", b"", b"7x1"];
    let rows: Vec<(u8, Vec<u8>)> = vec![
        (1, [&[3][..], &string(b"a"), &string(b""), &[0xc0, 5]].concat()),
        (2, [&[3][..], &string(b"a"), &string(b""), &[0xc1, 5, 1]].concat()),
        (
            3,
            [&[3][..], &string(b"a"), &string(b"1.25"), &string(b"b"), &[254], &string(b"c"), &[255]]
                .concat(),
        ),
        (4, [&[2][..], &string(b"a"), &string(b""), &[0xc1, 5, 1], &string(b"b")].concat()),
        (5, [&[1][..], &string(b"a"), &1.5f64.to_le_bytes()].concat()),
        (9, string(b"\x02\x03foo\x03\x02bar..\x01a\x02\x00bc\xff")),
        (10, string(&ziplist(texts))),
        (11, string(b"\x02\0\0\0\x02\0\0\0\xff\xff\x05\0")),
        (12, string(&ziplist(&scores[..4]))),
        (13, string(&ziplist(texts))),
        (14, [&[2][..], &string(&ziplist(texts)), &string(&ziplist(&texts[..1]))].concat()),
        (16, string(&listpack(texts))),
        (17, string(&listpack(&scores[..4]))),
        (18, [&[2, 2][..], &string(&listpack(texts)), &[1], &string(b"plain")].concat()),
        // The same, wrong in one way each.
        (2, [&[2][..], &string(b"a"), &string(b"a")].concat()),
        (4, [&[2][..], &string(b"a"), &string(b"1"), &string(b"a"), &string(b"2")].concat()),
        (5, [&[1][..], &string(b"a"), &f64::NAN.to_le_bytes()].concat()),
        (5, [&[2][..], &string(b"a"), &[0; 8], &string(b"a"), &[0; 8]].concat()),
        (10, string(&ziplist(&[]))),
        (12, string(&ziplist(&texts[..3]))),
        (13, string(&ziplist(&texts[..3]))),
        (16, string(&listpack(&texts[..3]))),
        (17, string(&listpack(&texts[..3]))),
        (18, [&[1, 3][..], &string(&listpack(texts))].concat()),
        (8, string(b"a")),
        (99, string(b"a")),
    ];
    let theirs = Server::start_reference(&crate::with(&["--sanitize-dump-payload", "yes"]));
    let kvick = ours(ARGS);
    let (mut here, mut there) = (kvick.client(), theirs.client());
    for (number, (of, body)) in rows.iter().enumerate() {
        let payload = payload(*of, body, 6);
        let restore =
            |client: &mut Client| client.cmd(&[&b"RESTORE"[..], b"key", b"0", &payload[..], b"REPLACE"]);
        let (mine, yours) = (restore(&mut here), restore(&mut there));
        assert_eq!(mine, yours, "row {number}, type {of}");
        if mine == Value::ok() {
            assert_eq!(
                digest_of(&mut here, b"key"),
                digest_of(&mut there, b"key"),
                "row {number}, type {of}"
            );
        }
    }
}

/// What Redis 7.4 and Valkey 9 write of fields with deadlines, and what is refused.
#[test]
fn fields_with_deadlines_in_every_form() {
    let kvick = ours(ARGS);
    let mut client = kvick.client();
    let date = 2_000_000_000_000i64;
    let first = date.to_le_bytes();
    let threes = {
        let mut body = Vec::new();
        for text in [&b"f"[..], b"v"] {
            body.extend_from_slice(&[0x80 | text.len() as u8, text[0], 2]);
        }
        body.push(0xf4);
        body.extend_from_slice(&date.to_le_bytes());
        body.push(9);
        let mut all = (7 + body.len() as u32).to_le_bytes().to_vec();
        all.extend_from_slice(&[3, 0]);
        all.extend_from_slice(&body);
        all.push(0xff);
        all
    };
    let rows: Vec<(u8, u16, Vec<u8>, bool)> = vec![
        (22, 80, [&[1][..], &string(b"f"), &string(b"v"), &first].concat(), true),
        (22, 12, [&[1][..], &string(b"f"), &string(b"v"), &first].concat(), false),
        (24, 12, [&first[..], &[1, 1], &string(b"f"), &string(b"v")].concat(), true),
        (25, 12, [&first[..], &string(&threes)].concat(), true),
        (24, 12, [&[0xff; 8][..], &[1, 1], &string(b"f"), &string(b"v")].concat(), false),
        (24, 12, [&first[..], &[1, 0x81], &[0xff; 8], &string(b"f"), &string(b"v")].concat(), false),
        (25, 12, [&first[..], &string(&listpack(&[b"f", b"v", b"x"]))].concat(), false),
    ];
    let mut digests = Vec::new();
    for (of, version, body, good) in rows {
        let payload = payload(of, &body, version);
        let reply = client.cmd(&[&b"RESTORE"[..], b"key", b"0", &payload[..], b"REPLACE"]);
        assert_eq!(reply == Value::ok(), good, "type {of}: {reply:?}");
        if good {
            digests.push(digest_of(&mut client, b"key"));
        } else {
            assert_eq!(reply.error(), Some("ERR Bad data format"));
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
}

/// What Redis 8.6 writes of a stream whose producers name their messages, and what is refused.
#[test]
fn streams_that_remember_messages() {
    let kvick = ours(&["--enable-debug-command", "yes", "--save", ""]);
    let mut client = kvick.client();
    // No nodes, no entries, the IDs 7-0, 0-0 and 0-0, one entry added, no group.
    let head: &[u8] = &[0, 0, 7, 0, 0, 0, 0, 0, 1, 0];
    let window: &[u8] = &[0x41, 0x2c, 9];
    let (p, a, b) = (string(b"p"), string(b"a"), string(b"b"));
    let rows: Vec<(Vec<u8>, bool)> = vec![
        ([head, window, &[1], &p, &[1], &a, &[7, 0, 3, 2]].concat(), true),
        ([head, window, &[1], &p, &[2], &b, &[7, 0], &a, &[6, 0, 3, 2]].concat(), true),
        ([head, window, &[0, 3, 2]].concat(), true),
        ([head, window, &[1], &p, &[1], &a, &[8, 0, 3, 2]].concat(), false),
        ([head, window, &[1], &p, &[2], &a, &[7, 0], &b, &[7, 0, 3, 2]].concat(), false),
        ([head, window, &[1], &p, &[2], &a, &[6, 0], &a, &[7, 0, 3, 2]].concat(), false),
        ([head, window, &[9], &p].concat(), false),
        ([head, &[0, 9, 0, 3, 2]].concat(), false),
        ([head, &[9, 0, 0, 3, 2]].concat(), false),
        (head.to_vec(), false),
    ];
    let mut told = Vec::new();
    for (body, good) in rows {
        let payload = payload(26, &body, 13);
        let reply = client.cmd(&[&b"RESTORE"[..], b"key", b"0", &payload[..], b"REPLACE"]);
        assert_eq!(reply == Value::ok(), good, "{body:?}: {reply:?}");
        if good {
            let dumped = client.say("DUMP key").bytes().to_vec();
            assert_eq!(dumped[0], 26);
            assert_eq!(client.say("DEBUG RELOAD"), Value::ok());
            assert_eq!(client.say("DUMP key").bytes(), dumped);
            told.push(format!("{:?}", client.say("XINFO STREAM key")));
        }
    }
    // They are from the beginning of all dates, and so forgotten; the figures are not.
    assert_eq!(told.len(), 3);
    assert_eq!(told[0], told[2]);
    let text = |of: &[u8]| format!("{:?}", Value::Bulk(of.to_vec()));
    let expected = [
        format!("{}, {:?}", text(b"idmp-duration"), Value::Int(300)),
        format!("{}, {:?}", text(b"iids-added"), Value::Int(3)),
        format!("{}, {:?}", text(b"iids-duplicates"), Value::Int(2)),
    ];
    for pair in expected {
        assert!(told[0].contains(&pair), "{pair} in {}", told[0]);
    }
}

/// What Redis 8.8 writes of a stream of which entries are pending for nobody, and what is refused.
#[test]
fn streams_with_entries_that_were_given_back() {
    let kvick = ours(&["--enable-debug-command", "yes", "--save", ""]);
    let mut client = kvick.client();
    // No nodes, no entries, the IDs 7-0, 0-0 and 0-0, seven entries added, a group that has read up to 7-0.
    let head: Vec<u8> = [&[0, 0, 7, 0, 0, 0, 0, 0, 7, 1][..], &string(b"g"), &[7, 0, 7]].concat();
    let id = |ms: u8| [&[0; 7][..], &[ms], &[0; 8]].concat();
    // Three are pending; the second one is so for c, who was seen and active at 1 and 2.
    let pending: Vec<u8> = (1..=3).flat_map(|ms| [&id(ms)[..], &[0; 8], &[ms]].concat()).collect();
    let seen = [&1u64.to_le_bytes()[..], &2u64.to_le_bytes()].concat();
    let owned = [&[3][..], &pending, &[1], &string(b"c"), &seen, &[1], &id(2)].concat();
    let (unset, window): (&[u8], &[u8]) = (&[0x40, 100, 0x40, 100, 0, 0, 0], &[9, 9, 0, 0, 0]);
    let rows: Vec<(Vec<u8>, bool)> = vec![
        ([&head, &owned, &[2][..], &id(1), &id(3), unset].concat(), true),
        ([&head, &owned, &[2][..], &id(1), &id(3), window].concat(), true),
        ([&head, &owned, &[1][..], &id(1), unset].concat(), false),
        ([&head, &owned, &[2][..], &id(1), &id(1), unset].concat(), false),
        ([&head, &owned, &[2][..], &id(1), &id(2), unset].concat(), false),
        ([&head, &owned, &[2][..], &id(1), &id(4), unset].concat(), false),
        ([&head, &owned, &[9][..], &id(1), &id(3), unset].concat(), false),
        ([&head, &owned, &[2][..], &id(1), &id(3)].concat(), false),
    ];
    for (body, good) in rows {
        let payload = payload(27, &body, 14);
        let reply = client.cmd(&[&b"RESTORE"[..], b"key", b"0", &payload[..], b"REPLACE"]);
        assert_eq!(reply == Value::ok(), good, "{body:?}: {reply:?}");
        if !good {
            continue;
        }
        assert_eq!(client.say("DUMP key").bytes(), payload);
        assert_eq!(client.say("DEBUG RELOAD"), Value::ok());
        assert_eq!(client.say("DUMP key").bytes(), payload);
        let text = format!("{:?}", client.say("XPENDING key g - + 9"));
        assert_eq!(text.matches(&format!("{:?}", Value::Int(-1))).count(), 2, "{text}");
    }
}

#[test]
fn what_restore_refuses_and_what_it_logs() {
    let kvick =
        ours(&["--appendonly", "yes", "--enable-debug-command", "yes", "--maxmemory-policy", "allkeys-lru"]);
    let mut client = kvick.client();
    client.say("SET a hello");
    let good = client.say("DUMP a").bytes().to_vec();
    let mut bad = good.clone();
    bad[1] ^= 1;
    let newer = payload(0, b"\x01x", 15);
    let date = "99999999999999";
    let rows: Vec<(Vec<&[u8]>, &str)> = vec![
        (vec![b"a", b"0", &good], "BUSYKEY Target key name already exists."),
        (vec![b"b", b"-1", &good], "ERR Invalid TTL value, must be >= 0"),
        (vec![b"b", b"x", &good], "ERR value is not an integer or out of range"),
        (vec![b"b", b"0", &bad], "ERR DUMP payload version or checksum are wrong"),
        (vec![b"b", b"0", &newer], "ERR DUMP payload version or checksum are wrong"),
        (vec![b"b", b"0", b""], "ERR DUMP payload version or checksum are wrong"),
        (vec![b"b", b"0", &good, b"IDLETIME", b"-1"], "ERR Invalid IDLETIME value, must be >= 0"),
        (vec![b"b", b"0", &good, b"FREQ", b"256"], "ERR Invalid FREQ value, must be >= 0 and <= 255"),
        (vec![b"b", b"0", &good, b"FREQ", b"1", b"IDLETIME", b"1"], "ERR syntax error"),
        (vec![b"b", b"0", &good, b"WHAT"], "ERR syntax error"),
        (vec![b"b", b"0", &good, b"IDLETIME"], "ERR syntax error"),
        (vec![b"b", b"0", &good, b"idletime", b"100"], ""),
        (vec![b"c", date.as_bytes(), &good, b"ABSTTL"], ""),
        (vec![b"a", b"1", &good, b"replace", b"ABSTTL"], ""),
        (vec![b"d", b"100000000", &good], ""),
    ];
    for (args, expected) in rows {
        let words: Vec<&[u8]> = [&[&b"RESTORE"[..]], &args[..]].concat();
        let reply = client.cmd(&words);
        assert_eq!(reply.error().unwrap_or(""), expected, "{words:?}");
    }
    assert_eq!(client.say("OBJECT IDLETIME b").int() / 10, 10);
    assert_eq!(client.say("PEXPIRETIME c").int().to_string(), date);
    assert!(client.say("GET a").is_null(), "it was replaced by what had expired");
    let before = crate::digest(&mut client);
    drop(client);
    let mut kvick = kvick;
    kvick.kill9();
    kvick.restart();
    assert_eq!(crate::digest(&mut kvick.client()), before);
}
