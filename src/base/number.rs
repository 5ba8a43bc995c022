//! Numbers as Redis reads and writes them.
//!
//! Redis reads numbers in three ways, and which texts each of them refuses is visible to clients:
//!
//! - **integers** strictly: one text a number and one number a text, so that a value may be kept as an
//!   integer and given back as the text it was ([`parse_i64`]);
//! - **amounts of memory** with units, for the configuration ([`parse_memory`]);
//! - **floats** as C's `strtod` reads them, less blanks, less nan, and less what is too big or too small
//!   ([`parse_f64`]). What they look like is decided in one place, which the extended floats share.

use std::fmt::Write as _;

use rustc_apfloat::{Float as _, Round, ieee};

/// Reads a whole number of at most 19 digits, with a minus sign or none: no plus sign, no leading zeros, no
/// blanks, and no `-0`. So each number has exactly one text.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => match parse_u64(digits)? {
            0 => None,
            magnitude => 0i64.checked_sub_unsigned(magnitude),
        },
        digits => i64::try_from(parse_u64(digits)?).ok(),
    }
}

/// Reads a whole number without a sign, as strictly as [`parse_i64`].
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let (&first, rest) = text.split_first()?;
    let mut value = u64::from(digit(first)?);
    if value == 0 {
        return rest.is_empty().then_some(0);
    }
    if text.len() < U64_DIGITS_MAX {
        // So many digits always fit, and nothing but them needs to be checked.
        for &byte in rest {
            value = value * 10 + u64::from(digit(byte)?);
        }
        return Some(value);
    }
    if text.len() > U64_DIGITS_MAX {
        return None;
    }
    for &byte in rest {
        value = value.checked_mul(10)?.checked_add(u64::from(digit(byte)?))?;
    }
    Some(value)
}

/// The digits of `u64::MAX`.
const U64_DIGITS_MAX: usize = 20;

#[inline]
fn digit(byte: u8) -> Option<u8> {
    let value = byte.wrapping_sub(b'0');
    (value < 10).then_some(value)
}

/// Appends an integer in decimal.
#[inline]
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// How many bytes an integer takes in decimal, its sign included.
#[inline]
pub fn decimal_len(value: i64) -> usize {
    let magnitude = value.unsigned_abs();
    // 1233/4096 is the logarithm of two to the base ten, close enough for 64 bits: the guess is the number of
    // digits less one, or the number of digits, and the table tells which.
    let bits = 64 - (magnitude | 1).leading_zeros() as usize;
    let guess = (bits * 1233) >> 12;
    guess + usize::from(magnitude >= POWERS[guess]) + usize::from(value < 0)
}

/// The powers of ten that fit a `u64`; the first is nought so that nought has one digit.
const POWERS: [u64; 20] = {
    let mut powers = [0; 20];
    let mut power = 1;
    let mut at = 1;
    while at < 20 {
        power *= 10;
        powers[at] = power;
        at += 1;
    }
    powers
};

/// Writes an integer in decimal to the end of a buffer and returns the part that was written.
#[inline]
pub fn write_decimal(value: i64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut rest = value.unsigned_abs();
    let mut at = buffer.len();
    while rest >= 100 {
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    if rest >= 10 {
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[rest as usize]);
    } else {
        at -= 1;
        buffer[at] = b'0' + rest as u8;
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    &buffer[at..]
}

/// `00` to `99`: two digits for one division.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut at = 0;
    while at < 100 {
        pairs[at] = [b'0' + at as u8 / 10, b'0' + at as u8 % 10];
        at += 1;
    }
    pairs
};

/// Reads an amount of memory: digits and a unit or none, in any case. `k`, `m` and `g` count in thousands,
/// `kb`, `mb` and `gb` in 1024s, `b` in ones.
///
/// As in Redis, no digits at all mean zero (`maxmemory ""` lifts the limit). Other than in Redis, an amount
/// beyond 64 bits is refused; there it is cut off or wraps round.
pub fn parse_memory(text: &str) -> Option<u64> {
    let unit_at = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1000 * 1000,
        "mb" => 1 << 20,
        "g" => 1000 * 1000 * 1000,
        "gb" => 1 << 30,
        _ => return None,
    };
    let amount: u64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    amount.checked_mul(factor)
}

/// An amount of memory as `INFO` shows it to people: `12B`, `1.50M`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [char; 5] = ['K', 'M', 'G', 'T', 'P'];
    let power = bytes.checked_ilog2().unwrap_or(0) / 10;
    match power {
        // Beyond the last unit Redis counts in bytes again.
        0 | 6.. => format!("{bytes}B"),
        _ => format!("{:.2}{}", bytes as f64 / (1u64 << (10 * power)) as f64, UNITS[power as usize - 1]),
    }
}

/// What a text looks like that may be a float.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FloatText<'a> {
    /// `inf` or `infinity`, negative or not.
    Infinite { negative: bool },
    /// `-12.5e-3`, with at least one digit; `zero` when all digits before the exponent are noughts.
    Decimal { text: &'a str, zero: bool },
    /// `-0x1.8p3`, likewise; `power` says whether the part from the `p` on is there.
    Hex { text: &'a str, zero: bool, power: bool },
}

/// Recognizes the floats of C's `strtod`, except nan: the whole text, without blanks.
pub(super) fn float_text(text: &[u8]) -> Option<FloatText<'_>> {
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        rest => rest,
    };
    if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
        return Some(FloatText::Infinite { negative: text[0] == b'-' });
    }
    let (hex, mantissa) = match unsigned {
        [b'0', b'x' | b'X', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let is_digit = |byte: u8| if hex { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
    let (mut digits, mut dots, mut zero, mut at) = (0, 0, true, 0);
    while let Some(&byte) = mantissa.get(at) {
        if is_digit(byte) {
            digits += 1;
            zero &= byte == b'0';
        } else if byte == b'.' {
            dots += 1;
        } else {
            break;
        }
        at += 1;
    }
    let exponent = &mantissa[at..];
    if digits == 0 || dots > 1 || !is_exponent(exponent, if hex { b'p' } else { b'e' }) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    Some(if hex {
        FloatText::Hex { text, zero, power: !exponent.is_empty() }
    } else {
        FloatText::Decimal { text, zero }
    })
}

/// Whether this is nothing, or the letter, a sign or none, and digits.
fn is_exponent(text: &[u8], letter: u8) -> bool {
    let Some((&first, rest)) = text.split_first() else { return true };
    let digits = match rest {
        [b'+' | b'-', digits @ ..] => digits,
        digits => digits,
    };
    first.eq_ignore_ascii_case(&letter) && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// The longest hexadecimal float that is read. Two thousand times what a number needs.
const HEX_LEN_MAX: usize = 5 * 1024;

/// A hexadecimal float in any format; in C the power of two may be missing, in the crate it may not.
pub(super) fn parse_hex<F: rustc_apfloat::Float>(text: &str, power: bool) -> Option<F> {
    if text.len() > HEX_LEN_MAX {
        return None;
    }
    let parsed = if power {
        F::from_str_r(text, Round::NearestTiesToEven)
    } else {
        F::from_str_r(&format!("{text}p0"), Round::NearestTiesToEven)
    };
    Some(parsed.ok()?.value)
}

/// Reads a float as Redis reads scores: decimal, hexadecimal or infinite, all of the text. Refused are nan,
/// blanks, what is too big for a double, and what is so small that it would become zero.
#[inline]
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    // Most scores are integers, and the conversion rounds as reading would.
    match parse_i64(text) {
        Some(integer) => Some(integer as f64),
        None => parse_any_f64(text),
    }
}

/// Reads an end of a range of scores: decimal or infinite, all of the text up to a zero byte, and nothing at all for
/// zero. Other than in [`parse_f64`], what is too big is infinite, what is too small is zero.
pub fn parse_bound(text: &[u8]) -> Option<f64> {
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    match float_text(text) {
        None => text.is_empty().then_some(0.0),
        Some(FloatText::Infinite { negative }) => {
            Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY })
        }
        Some(FloatText::Decimal { text, .. }) => text.parse().ok(),
        Some(FloatText::Hex { .. }) => None,
    }
}

fn parse_any_f64(text: &[u8]) -> Option<f64> {
    let (value, zero) = match float_text(text)? {
        FloatText::Infinite { negative: true } => return Some(f64::NEG_INFINITY),
        FloatText::Infinite { negative: false } => return Some(f64::INFINITY),
        FloatText::Decimal { text, zero } => (text.parse().ok()?, zero),
        FloatText::Hex { text, zero, power } => {
            (f64::from_bits(parse_hex::<ieee::Double>(text, power)?.to_bits() as u64), zero)
        }
    };
    let in_range = value.is_finite() && (zero || value != 0.0);
    in_range.then_some(value)
}

/// Appends a double as `ZSCAN` prints the scores of long sorted sets: C's `%.17g`, that is 17 digits, less noughts at the end, with
/// an exponent where it is below -4 or above 16. Infinities are `inf` and `-inf`.
#[inline]
pub fn push_f64(out: &mut Vec<u8>, value: f64) {
    // Up to here `%.17g` writes every digit of an integer. The minus of a negative zero would get lost,
    // though.
    const INTEGER_MAX: f64 = 1e17;
    let integer = value as i64;
    if value.abs() < INTEGER_MAX && integer as f64 == value && (integer != 0 || value.is_sign_positive()) {
        push_i64(out, integer);
    } else if value.is_finite() {
        push_17_digits(out, value);
    } else if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    }
}

fn push_17_digits(out: &mut Vec<u8>, value: f64) {
    let mut scratch = Scratch { bytes: [0; 32], len: 0 };
    // One digit before the point and 16 behind it, rounded exactly, then the exponent: at most 24 bytes.
    if write!(scratch, "{:.16e}", value.abs()).is_err() {
        unreachable!("24 bytes fit into 32");
    }
    let text = &scratch.bytes[..scratch.len];
    let mut digits = [0u8; 17];
    digits[0] = text[0];
    digits[1..].copy_from_slice(&text[2..18]);
    let exponent = parse_i64(&text[19..]).unwrap_or(0);
    let kept = 1 + digits[1..].iter().rposition(|&byte| byte != b'0').map_or(0, |at| at + 1);

    if value.is_sign_negative() {
        out.push(b'-');
    }
    match exponent {
        0..17 => {
            let point = exponent as usize + 1;
            out.extend_from_slice(&digits[..point]);
            if kept > point {
                out.push(b'.');
                out.extend_from_slice(&digits[point..kept]);
            }
        }
        -4..0 => {
            out.extend_from_slice(&b"0.000"[..1 + exponent.unsigned_abs() as usize]);
            out.extend_from_slice(&digits[..kept]);
        }
        _ => {
            out.push(digits[0]);
            if kept > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..kept]);
            }
            out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.abs() < 10 {
                out.push(b'0');
            }
            push_i64(out, exponent.abs());
        }
    }
}

/// A few bytes on the stack to format into.
struct Scratch {
    bytes: [u8; 32],
    len: usize,
}

impl std::fmt::Write for Scratch {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers() {
        let table: &[(&str, Option<i64>)] = &[
            ("0", Some(0)),
            ("7", Some(7)),
            ("-7", Some(-7)),
            ("1234567890", Some(1_234_567_890)),
            ("999999999999999999", Some(999_999_999_999_999_999)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775807", Some(-i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("18446744073709551615", None),
            ("-18446744073709551615", None),
            ("18446744073709551616", None),
            ("99999999999999999999", None),
            ("100000000000000000000", None),
            ("", None),
            ("-", None),
            ("--1", None),
            ("-0", None),
            ("+1", None),
            ("00", None),
            ("01", None),
            ("-01", None),
            (" 1", None),
            ("1 ", None),
            ("1a", None),
            ("a", None),
            ("1.0", None),
            ("1e3", None),
            ("0x10", None),
            ("12345678901234567a", None),
            ("1234567890123456789/", None),
            ("1234567890123456789:", None),
            ("1\0", None),
        ];
        for &(text, want) in table {
            assert_eq!(parse_i64(text.as_bytes()), want, "{text:?}");
        }
        assert_eq!(parse_i64(b"1\xff"), None);
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        for text in ["18446744073709551616", "28446744073709551615", "", "-1", "00", "1 ", "+1"] {
            assert_eq!(parse_u64(text.as_bytes()), None, "{text:?}");
        }
    }

    /// Powers of ten and of two, their neighbours, and the ends.
    fn notable_integers() -> Vec<i64> {
        let tens = (0..19).map(|power| 10i64.pow(power));
        let twos = (0..63).map(|power| 1i64 << power);
        let mut all = vec![0, i64::MIN, i64::MIN + 1, i64::MAX];
        for value in tens.chain(twos) {
            all.extend([value - 1, value, value + 1, 1 - value, -value, -value - 1]);
        }
        all
    }

    fn check_written(value: i64) {
        let want = value.to_string();
        let mut out = b"x".to_vec();
        push_i64(&mut out, value);
        assert_eq!(out, format!("x{want}").as_bytes());
        assert_eq!(write_decimal(value, &mut [0; 20]), want.as_bytes());
        assert_eq!(decimal_len(value), want.len(), "{value}");
        assert_eq!(parse_i64(want.as_bytes()), Some(value));
    }

    #[test]
    fn integers_come_back() {
        notable_integers().into_iter().for_each(check_written);
    }

    proptest! {
        #[test]
        fn any_integer_comes_back(value: i64, shift in 0..64u32) {
            check_written(value >> shift);
        }

        #[test]
        fn any_text_is_an_integer_only_if_it_is_how_one_is_written(text in "-?[0-9]{0,21}") {
            let want = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
            prop_assert_eq!(parse_i64(text.as_bytes()), want);
            let want = text.parse::<u64>().ok().filter(|value| value.to_string() == text);
            prop_assert_eq!(parse_u64(text.as_bytes()), want);
        }

        #[test]
        fn any_double_comes_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            let mut out = Vec::new();
            push_f64(&mut out, value);
            prop_assert_eq!(parse_f64(&out).map(f64::to_bits), Some(bits));
        }
    }

    #[test]
    fn memory_amounts() {
        let table: &[(&str, Option<u64>)] = &[
            ("0", Some(0)),
            ("007", Some(7)),
            ("100", Some(100)),
            ("5b", Some(5)),
            ("1k", Some(1000)),
            ("1KB", Some(1024)),
            ("3m", Some(3_000_000)),
            ("1Mb", Some(1 << 20)),
            ("2g", Some(2_000_000_000)),
            ("2GB", Some(2 << 30)),
            ("18446744073709551615", Some(u64::MAX)),
            ("", Some(0)),
            ("kb", Some(0)),
            ("18446744073709551616", None),
            ("18446744073709551615kb", None),
            ("-1", None),
            ("+1", None),
            (" 1", None),
            ("1 k", None),
            ("1.5k", None),
            ("1t", None),
            ("1kbb", None),
            ("1å", None),
        ];
        for &(text, want) in table {
            assert_eq!(parse_memory(text), want, "{text:?}");
        }
    }

    #[test]
    fn memory_for_people() {
        let table: &[(u64, &str)] = &[
            (0, "0B"),
            (12, "12B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1029, "1.00K"),
            (1030, "1.01K"),
            ((1 << 20) - 1, "1024.00K"),
            (1 << 20, "1.00M"),
            (3 << 19, "1.50M"),
            (1 << 30, "1.00G"),
            (5 << 40, "5.00T"),
            (1 << 50, "1.00P"),
            ((1 << 60) - 1, "1024.00P"),
            (1 << 60, "1152921504606846976B"),
            (u64::MAX, "18446744073709551615B"),
        ];
        for &(bytes, want) in table {
            assert_eq!(human_bytes(bytes), want);
        }
    }

    #[test]
    fn floats_read() {
        let table: &[(&str, Option<f64>)] = &[
            ("0", Some(0.0)),
            ("-0", Some(-0.0)),
            ("3", Some(3.0)),
            ("+3", Some(3.0)),
            ("00012", Some(12.0)),
            ("3.25", Some(3.25)),
            (".5", Some(0.5)),
            ("-.5", Some(-0.5)),
            ("5.", Some(5.0)),
            ("1e3", Some(1000.0)),
            ("1E+3", Some(1000.0)),
            ("1.5e-3", Some(0.0015)),
            ("9007199254740993", Some(9_007_199_254_740_992.0)),
            ("9223372036854775807", Some(i64::MAX as f64)),
            ("18446744073709551617", Some(u64::MAX as f64)),
            ("1.7976931348623157e308", Some(f64::MAX)),
            ("4e-324", Some(5e-324)),
            ("0e-999", Some(0.0)),
            ("0e99999999999999999999", Some(0.0)),
            ("inf", Some(f64::INFINITY)),
            ("+INF", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("0x10", Some(16.0)),
            ("-0X1P+2", Some(-4.0)),
            ("0x.8", Some(0.5)),
            ("0x1.", Some(1.0)),
            ("0x1.8p-1", Some(0.75)),
            ("0x0p9999", Some(0.0)),
            ("0x1.fffffffffffff8p0", Some(2.0)),
            ("0x1p-1074", Some(5e-324)),
            // Out of range.
            ("1e400", None),
            ("-1e400", None),
            ("1e99999999999999999999", None),
            ("1e-400", None),
            ("2e-324", None),
            ("0x1p1024", None),
            ("0x1p-1080", None),
            // Not numbers, or not all of the text.
            ("", None),
            ("nan", None),
            ("-NaN", None),
            ("nan(1)", None),
            (".", None),
            ("-", None),
            ("e5", None),
            ("1e", None),
            ("1e+", None),
            ("1.2.3", None),
            ("1 ", None),
            (" 1", None),
            ("++1", None),
            ("+-1", None),
            ("1_0", None),
            ("1f", None),
            ("1e5.0", None),
            ("infinit", None),
            ("0x", None),
            ("0x.p1", None),
            ("0x1p", None),
            ("0x1e+1", None),
            ("x10", None),
            ("1\0", None),
        ];
        for &(text, want) in table {
            assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), want.map(f64::to_bits), "{text:?}");
        }
        assert_eq!(parse_f64(b"1\xff"), None);
    }

    #[test]
    fn floats_written() {
        // What C's printf makes of them with `%.17g`.
        let table: &[(f64, &str)] = &[
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-17.0, "-17"),
            (0.1, "0.10000000000000001"),
            (0.5, "0.5"),
            (-1.5, "-1.5"),
            (3.15, "3.1499999999999999"),
            (1e16, "10000000000000000"),
            (99_999_999_999_999_984.0, "99999999999999984"),
            (1e17, "1e+17"),
            (-1e17, "-1e+17"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (2_251_799_813_685_249.5, "2251799813685249.5"),
            (0.0001, "0.0001"),
            (0.00012, "0.00012"),
            (0.00001, "1.0000000000000001e-05"),
            (0.000030517578125, "3.0517578125e-05"),
            (1e22, "1e+22"),
            (1e23, "9.9999999999999992e+22"),
            (1e100, "1e+100"),
            (1e-7, "9.9999999999999995e-08"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "4.9406564584124654e-324"),
            // Exactly between two texts of 17 digits: the even one is written.
            ((1u64 << 50) as f64 + 0.25, "1125899906842624.2"),
            ((1u64 << 50) as f64 + 0.75, "1125899906842624.8"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ];
        for &(value, want) in table {
            let mut out = Vec::new();
            push_f64(&mut out, value);
            assert_eq!(String::from_utf8_lossy(&out), want);
        }
    }
}
