//! What goes into an entry comes out of it.

use super::*;

fn text(entry: &Entry) -> Vec<u8> {
    entry.string().unwrap().bytes(&mut [0; 20]).to_vec()
}

#[test]
fn a_small_entry_is_54_bytes() {
    let entry = Entry::new(&[b'k'; 16], Value::string(&[b'v'; 32]));
    assert_eq!(entry.block_len(), 54);
}

#[test]
fn keys_and_values_of_all_sizes_come_back() {
    let sizes = [0, 1, 7, 8, 9, 44, 45, 254, 255, 256, 4095, 4096, 4097, 70_000];
    for key_len in sizes {
        for value_len in sizes {
            let (key, value) = (vec![b'k'; key_len], vec![b'v'; value_len]);
            let mut entry = Entry::new(&key, Value::string(&value));
            assert_eq!((entry.key(), text(&entry)), (&key[..], value.clone()));
            entry.set_deadline(UnixMs(5), Ticket::from_bits(9));
            assert_eq!((entry.key(), text(&entry)), (&key[..], value.clone()));
            assert_eq!((entry.deadline(), entry.ticket()), (Some(UnixMs(5)), Some(Ticket::from_bits(9))));
            entry.set_access(0x00ab_cdef);
            entry.set_value(Value::Int(-7));
            assert_eq!((text(&entry), entry.deadline()), (b"-7".to_vec(), Some(UnixMs(5))));
            entry.write_string(3, b"x");
            assert_eq!((text(&entry), entry.encoding()), (b"-7\0x".to_vec(), "raw"));
            entry.clear_deadline();
            assert_eq!((entry.access(), entry.deadline()), (0x00ab_cdef, None));
            let entry = entry.renamed(b"other");
            assert_eq!((entry.key(), text(&entry)), (&b"other"[..], b"-7\0x".to_vec()));
        }
    }
}

#[test]
fn encodings_are_named_as_in_redis() {
    for (value, encoding) in [("12", "int"), ("012", "embstr"), ("", "embstr")] {
        assert_eq!(Entry::new(b"k", Value::string(value.as_bytes())).encoding(), encoding);
    }
    assert_eq!(Entry::new(b"k", Value::string(&[b'x'; 44])).encoding(), "embstr");
    assert_eq!(Entry::new(b"k", Value::string(&[b'x'; 45])).encoding(), "raw");
}

#[test]
fn strings_grow_from_embedded_to_shared() {
    let mut entry = Entry::new(b"k", Value::string(b"10"));
    let mut model = b"10".to_vec();
    for round in 0..3000 {
        let at = model.len() + round % 3;
        model.resize(at, 0);
        model.extend_from_slice(b"ab");
        entry.write_string(at, b"ab");
        let shared = round % 7 == 0;
        let held = match entry.string() {
            Some(Str::Shared(bytes)) if shared => Some(bytes.clone()),
            _ => None,
        };
        entry.write_string(1, &[round as u8]);
        model[1] = round as u8;
        assert_eq!(text(&entry), model);
        drop(held);
    }
}
