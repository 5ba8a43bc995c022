//! Numbers: what is written is read again as the same, and what Rust reads, too, is the same number.

use kvick::base::double::{push_double, push_shortest};
use kvick::base::float::LongDouble;
use kvick::base::number::{parse_bound, parse_f64, parse_i64, parse_memory, parse_u64, push_f64, push_i64};
use kvick::base::quote::{quoted, split_words};

/// Runs the target.
pub fn run(data: &[u8]) {
    if let Some(number) = parse_i64(data) {
        let mut text = Vec::new();
        push_i64(&mut text, number);
        assert_eq!(text, data, "there is one way to write an integer");
    }
    let text = std::str::from_utf8(data).ok();
    if let Some(number) = parse_u64(data) {
        assert_eq!(text.and_then(|text| text.parse().ok()), Some(number));
    }
    if let Some(text) = text {
        parse_memory(text);
    }
    parse_bound(data);
    if let Some(number) = parse_f64(data) {
        double(number);
        let is_plain = data.iter().all(|byte| byte.is_ascii_digit() || b".-+eE".contains(byte));
        if let Some(theirs) = text.filter(|_| is_plain).and_then(|text| text.parse::<f64>().ok()) {
            assert_eq!(number.to_bits(), theirs.to_bits(), "{}", data.escape_ascii());
        }
    }
    if let Some(bits) = data.first_chunk() {
        double(f64::from_bits(u64::from_le_bytes(*bits)));
    }
    if data.len() <= 300
        && let Some(number) = LongDouble::parse(data)
    {
        let sum = number.add(number);
        // What INCRBYFLOAT stores it must read again.
        if !sum.is_nan() && !sum.is_infinite() {
            let text = sum.to_text();
            let again = LongDouble::parse(&text).expect("just written");
            assert_eq!(again.to_text(), text, "{}", data.escape_ascii());
        }
    }
    assert_eq!(split_words(quoted(data).as_bytes()), Some(vec![data.to_vec()]));
    split_words(data);
}

fn double(number: f64) {
    if number.is_nan() {
        return;
    }
    for push in [push_double, push_shortest, push_f64] {
        let mut text = Vec::new();
        push(&mut text, number);
        let back =
            parse_f64(&text).unwrap_or_else(|| panic!("{number:e} is written {}", text.escape_ascii()));
        assert!(back == number, "{number:e} is written {}", text.escape_ascii());
    }
}

/// Examples.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "-9223372036854775808",
        "18446744073709551615",
        "0",
        "1.5e-300",
        "-inf",
        "0x1.8p3",
        "(1.5",
        "10gb",
        "3.14159265358979323846264338327950288",
        "1e4932",
        "nan",
        "'a b' \"c\\n\"",
        "4.9e-324",
        "1e308",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
