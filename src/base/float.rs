//! Extended-precision floats, as `INCRBYFLOAT` computes with them.
//!
//! Redis adds in C's `long double`, which on x86 has 64 bits of mantissa and 15 of exponent, and prints 17
//! digits behind the point. With doubles the sums would differ in digits that clients see (`0.1 + 0.2` is
//! `0.3` there), and logs and copies of other servers would not agree with ours. The arithmetic is done in
//! software, so that it is the same on every processor.
//!
//! The way to text is exact. Such a float is a whole number of 64 bits times a power of two:
//!
//! - With a power below zero, mantissa times 10^17 still fits 128 bits; shifting it right by the power,
//!   rounded half to even, leaves the number in units of 10^-17.
//! - Otherwise it is a whole number of up to 4933 digits. One that does not fit 128 bits is doubled up in
//!   limbs of nine digits.

use rustc_apfloat::{Float as _, Round, ieee::X87DoubleExtended};

use crate::base::number::{FloatText, float_text, parse_hex};

/// A float of 80 bits: C's `long double` on x86.
#[derive(Clone, Copy, Debug)]
pub struct LongDouble(X87DoubleExtended);

/// Texts as long as this are no numbers, even if they look so; Redis copies them to a buffer of this size.
const TEXT_LEN_MAX: usize = 5 * 1024;

/// Digits behind the point.
const PLACES: usize = 17;
const UNITS: u128 = 10u128.pow(PLACES as u32);

impl LongDouble {
    /// Reads a number as `INCRBYFLOAT` does: decimal, hexadecimal or infinite, all of the text. Refused are
    /// nan, blanks, what is too big, and what is so small that it would become zero.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if TEXT_LEN_MAX <= text.len() {
            return None;
        }
        let (value, zero) = match float_text(text)? {
            FloatText::Infinite { negative: true } => return Some(LongDouble(-X87DoubleExtended::INFINITY)),
            FloatText::Infinite { negative: false } => return Some(LongDouble(X87DoubleExtended::INFINITY)),
            FloatText::Decimal { text, zero } => {
                (X87DoubleExtended::from_str_r(text, Round::NearestTiesToEven).ok()?.value, zero)
            }
            FloatText::Hex { text, zero, power } => (parse_hex(text, power)?, zero),
        };
        let in_range = value.is_finite() && (zero || !value.is_zero());
        in_range.then_some(LongDouble(value))
    }

    /// The float of an integer; every `i64` has one exactly.
    pub fn from_i64(value: i64) -> LongDouble {
        LongDouble(X87DoubleExtended::from_i128(i128::from(value)).value)
    }

    /// The sum, rounded to the nearest float, to the even one where two are as near.
    #[expect(clippy::should_implement_trait, reason = "one operation does not make an arithmetic")]
    pub fn add(self, other: LongDouble) -> LongDouble {
        LongDouble(self.0.add_r(other.0, Round::NearestTiesToEven).value)
    }

    /// Whether this is no number, which is what opposite infinities add up to.
    pub fn is_nan(self) -> bool {
        self.0.is_nan()
    }

    /// Whether this is an infinity of either sign.
    pub fn is_infinite(self) -> bool {
        self.0.is_infinite()
    }

    /// The number with 17 digits behind the point, less noughts at the end, and less the point where nothing
    /// follows it: C's `%.17Lf`, shortened. There is no negative zero.
    pub fn to_text(self) -> Vec<u8> {
        if self.is_nan() {
            return b"nan".to_vec();
        }
        let negative = self.0.is_negative();
        if self.is_infinite() {
            return if negative { b"-inf".to_vec() } else { b"inf".to_vec() };
        }
        let mut text = Vec::with_capacity(40);
        if negative {
            text.push(b'-');
        }
        let (mantissa, power) = self.mantissa_and_power();
        if power < 0 {
            push_fraction(&mut text, mantissa, power.unsigned_abs());
        } else {
            push_whole(&mut text, mantissa, power.unsigned_abs());
        }
        if text == b"-0" {
            text.remove(0);
        }
        text
    }

    /// The magnitude of a finite number, as a mantissa and a power of two to multiply it with.
    fn mantissa_and_power(self) -> (u64, i32) {
        const EXPONENT_BIAS: i32 = 16_383;
        const POINT_BITS: i32 = 63;
        let bits = self.0.to_bits();
        let exponent = (bits >> 64) as i32 & 0x7fff;
        // The smallest numbers have the exponent nought in their bits but mean the same power as one does.
        (bits as u64, exponent.max(1) - EXPONENT_BIAS - POINT_BITS)
    }
}

/// Writes `mantissa / 2^shift`, rounded half to even to 17 places.
fn push_fraction(text: &mut Vec<u8>, mantissa: u64, shift: u32) {
    // Less than 2^64 times 2^57, so half of the last place is more than this from a shift of 122 on.
    let scaled = u128::from(mantissa) * UNITS;
    let units = if shift < 128 {
        let floor = scaled >> shift;
        let rest = scaled - (floor << shift);
        let half = 1u128 << (shift - 1);
        floor + u128::from(half < rest || (half == rest && floor & 1 == 1))
    } else {
        0
    };
    let mut buffer = itoa::Buffer::new();
    text.extend_from_slice(buffer.format(units / UNITS).as_bytes());
    let places = units % UNITS;
    if places == 0 {
        return;
    }
    text.push(b'.');
    let digits = buffer.format(places).as_bytes();
    text.resize(text.len() + PLACES - digits.len(), b'0');
    text.extend_from_slice(digits);
    let kept = text.iter().rposition(|&byte| byte != b'0').map_or(0, |at| at + 1);
    text.truncate(kept);
}

/// Writes `mantissa * 2^shift`.
fn push_whole(text: &mut Vec<u8>, mantissa: u64, shift: u32) {
    let mut buffer = itoa::Buffer::new();
    if shift <= 64 {
        text.extend_from_slice(buffer.format(u128::from(mantissa) << shift).as_bytes());
        return;
    }
    const LIMB: u64 = 1_000_000_000;
    const LIMB_DIGITS: usize = 9;
    const STEP_BITS: u32 = 32;
    // Lowest limb first.
    let mut limbs = vec![mantissa % LIMB, mantissa / LIMB % LIMB, mantissa / LIMB / LIMB];
    let mut left = shift;
    while left > 0 {
        let step = left.min(STEP_BITS);
        let mut carry = 0;
        for limb in &mut limbs {
            // A limb has 30 bits, so limb and carry stay below 2^62 and 2^33.
            let grown = (*limb << step) + carry;
            *limb = grown % LIMB;
            carry = grown / LIMB;
        }
        while carry > 0 {
            limbs.push(carry % LIMB);
            carry /= LIMB;
        }
        left -= step;
    }
    let highest = limbs.iter().rposition(|&limb| limb != 0).unwrap_or(0);
    for (at, &limb) in limbs[..=highest].iter().enumerate().rev() {
        let digits = buffer.format(limb).as_bytes();
        if at < highest {
            text.resize(text.len() + LIMB_DIGITS - digits.len(), b'0');
        }
        text.extend_from_slice(digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_of(text: &str) -> Option<String> {
        LongDouble::parse(text.as_bytes()).map(|value| String::from_utf8(value.to_text()).unwrap())
    }

    fn sum_of(a: &str, b: &str) -> String {
        let [a, b] = [a, b].map(|text| LongDouble::parse(text.as_bytes()).expect(text));
        String::from_utf8(a.add(b).to_text()).unwrap()
    }

    #[test]
    fn sums() {
        // What redis-server 7.0 replies to INCRBYFLOAT of the second on the first.
        let table: &[(&str, &str, &str)] = &[
            ("0", "0", "0"),
            ("0.1", "0.2", "0.3"),
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "-5", "-2"),
            ("10.50", "-5", "5.5"),
            ("1", "1e-17", "1.00000000000000001"),
            ("1", "1e-18", "1"),
            ("0.5", "5e-18", "0.5"),
            ("0", "5e-18", "0"),
            ("0", "1.5e-17", "0.00000000000000002"),
            ("0", "-5e-18", "0"),
            ("0", "-1e-17", "-0.00000000000000001"),
            ("-0", "0", "0"),
            ("-0", "-0", "0"),
            ("1.23", "-1.23", "0"),
            // Three digits and 17 places are more than 64 bits can tell apart.
            ("-255.37", "-0.03", "-255.39999999999999999"),
            ("0.3", "-0.1", "0.2"),
            ("1e15", "0.00001", "1000000000000000"),
            ("1e18", "0.5", "1000000000000000000.5"),
            ("1e19", "0.5", "10000000000000000000"),
            ("1e20", "1", "100000000000000000000"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("9223372036854775807", "0.5", "9223372036854775807.5"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("-9223372036854775808", "-0.25", "-9223372036854775808"),
            ("123456789012345678901234567890", "1", "123456789012345678899921813504"),
            ("3.0000000000000001", "0", "3.0000000000000001"),
            ("3.14159265358979323846", "2.71828182845904523536", "5.85987448204883847"),
            ("99999999999999999", "0.99999999999999999", "100000000000000000"),
            ("0.1", "1e-4000", "0.1"),
            ("1e25", "-1", "10000000000000000000000000"),
            ("1e40", "0", "9999999999999999999783686092270256259072"),
            ("-1e30", "1e12", "-999999999999999998993903910912"),
            ("0x10", "0x.8", "16.5"),
            ("0x1p-3", "1e1", "10.125"),
            (".5", "5.", "5.5"),
            ("+1", "+2", "3"),
            ("1e-4950", "1e-4950", "0"),
            ("2.5e-17", "0", "0.00000000000000002"),
            ("3.5e-17", "0", "0.00000000000000004"),
            ("1000000000000.01", "-0.01", "1000000000000"),
            ("36028797018963968.5", "0.00000000000000001", "36028797018963968.5"),
        ];
        for &(a, b, want) in table {
            assert_eq!(sum_of(a, b), want, "{a} + {b}");
            assert_eq!(sum_of(b, a), want, "{b} + {a}");
        }
    }

    #[test]
    fn infinities() {
        let parse = |text: &str| LongDouble::parse(text.as_bytes()).unwrap();
        let (plus, minus, one) = (parse("inf"), parse("-INFINITY"), parse("1"));
        assert!(plus.is_infinite() && minus.is_infinite() && !one.is_infinite());
        assert!(plus.add(minus).is_nan() && !plus.add(minus).is_infinite());
        assert!(!plus.add(plus).is_nan() && plus.add(one).is_infinite());
        assert!(!one.is_nan() && parse("1.1e4932").add(parse("1.1e4932")).is_infinite());
        assert_eq!((plus.to_text(), minus.to_text()), (b"inf".to_vec(), b"-inf".to_vec()));
        assert_eq!(plus.add(minus).to_text(), b"nan");
    }

    #[test]
    fn what_is_not_read() {
        let table = [
            "",
            "nan",
            "-nan",
            ".",
            "-",
            "+",
            "e1",
            "1e",
            "1e+",
            "1e-",
            " 1",
            "1 ",
            "1.1.1",
            "--1",
            "1,5",
            "0x",
            "0x.p1",
            "0x1p",
            "1x",
            "in",
            "1\0",
            "1e5000",
            "-1e5000",
            "1e4933",
            "1.18973149535723176509e4932",
            "1e-5000",
            "1.8e-4951",
            "0x1p16384",
            "0x1p-16446",
            "1e99999999999999999999",
            "0x1p-9999999999999999",
        ];
        for text in table {
            assert_eq!(text_of(text), None, "{text:?}");
        }
        assert!(LongDouble::parse(b"1\xff").is_none());
    }

    #[test]
    fn the_length_is_capped() {
        let long = |len: usize| format!("1.{}", "0".repeat(len - 2));
        assert_eq!(text_of(&long(TEXT_LEN_MAX - 1)).as_deref(), Some("1"));
        assert_eq!(text_of(&long(TEXT_LEN_MAX)), None);
        // As long as it may be, and every digit counts.
        let tiny = format!("0.{}1e4000", "0".repeat(4000));
        assert_eq!(text_of(&tiny).as_deref(), Some("0.1"));
    }

    #[test]
    fn the_ends_of_the_range() {
        let bits = |text: &str| LongDouble::parse(text.as_bytes()).unwrap().0.to_bits();
        // As C's strtold reads them.
        assert_eq!(bits("1.18973149535723176502e4932"), 0x7ffe_ffff_ffff_ffff_ffff);
        assert_eq!(bits("3.64519953188247460253e-4951"), 1);
        assert_eq!(bits("1.9e-4951"), 1);
        assert_eq!(bits("-1.9e-4951"), 1 << 79 | 1);
        assert_eq!(text_of("-1.9e-4951").as_deref(), Some("0"));
        assert_eq!(bits("3.3621031431120935063e-4932"), 0x0001_8000_0000_0000_0000);
        let biggest = text_of("1.18973149535723176502e4932").unwrap();
        assert_eq!(biggest.len(), 4933);
        assert!(biggest.starts_with("11897314953572317650212638530309702051690633222946242004403"));
        assert!(biggest.ends_with("19552086811989770240"));
    }

    #[test]
    fn powers_of_two_are_whole() {
        // Doubled by hand, digit by digit.
        let mut digits = vec![1u8];
        for power in 0..2000 {
            let want: String = digits.iter().rev().map(|&digit| char::from(b'0' + digit)).collect();
            assert_eq!(text_of(&format!("0x1p{power}")), Some(want), "{power}");
            let mut carry = 0;
            for digit in &mut digits {
                let doubled = *digit * 2 + carry;
                (*digit, carry) = (doubled % 10, doubled / 10);
            }
            digits.extend((carry > 0).then_some(carry));
        }
    }

    #[test]
    fn ties_go_to_the_even_digit() {
        // 2^-18 times an odd number ends with a 5 in the 18th place.
        let table = [
            ("0x1p-18", "0.00000381469726562"),
            ("0x3p-18", "0.00001144409179688"),
            ("-0x1p-18", "-0.00000381469726562"),
            ("0x3ffffp-18", "0.99999618530273438"),
        ];
        for (text, want) in table {
            assert_eq!(text_of(text).as_deref(), Some(want), "{text}");
        }
    }

    proptest! {
        #[test]
        fn integers_are_exact(value: i64, shift in 0..64u32) {
            let value = value >> shift;
            let text = value.to_string();
            prop_assert_eq!(text_of(&text), Some(text.clone()));
            prop_assert_eq!(LongDouble::from_i64(value).to_text(), text.into_bytes());
        }

        #[test]
        fn small_sums_in_cents_are_exact(a in -400..400i64, b in -400..400i64) {
            let cents = |value: i64| {
                let sign = if value < 0 { "-" } else { "" };
                format!("{sign}{}.{:02}", value.abs() / 100, value.abs() % 100)
            };
            let want = cents(a + b);
            let want = want.trim_end_matches('0').trim_end_matches('.');
            prop_assert_eq!(sum_of(&cents(a), &cents(b)), want);
        }

        #[test]
        fn big_numbers_come_back(mantissa: u64, power in 0..16_320) {
            let value = LongDouble::parse(format!("0x{mantissa:x}p{power}").as_bytes()).unwrap();
            let again = LongDouble::parse(&value.to_text()).unwrap();
            prop_assert_eq!(value.0.to_bits(), again.0.to_bits());
        }
    }
}
