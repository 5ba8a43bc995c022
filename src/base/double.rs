//! Doubles as text, the way scores are printed: the fewest digits that are read back as the same number.
//!
//! Redis (from 7.2 on) and Valkey print integers as such and find the digits of all other doubles with Grisu2 (Florian
//! Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with Integers", 2010). Grisu2 computes in 64 bits
//! and now and then misses the shortest digits by one place. Clients see these digits and digests of data are made
//! of them, so what is wanted here is not the best digits but the same ones: hence the algorithm itself, with the
//! same table of powers and the same way into it, instead of the standard library's exact one.
//!
//! How the digits are laid out is a matter of its own, too: `0.00001`, `1e-7`, `1.2345678912345679e+8`.

use crate::base::number::push_i64;

/// The decimal exponent of the first power in the table, and the distance of two.
const FIRST_POWER: i32 = -348;
const POWER_STEP: i32 = 8;

/// Ten to the power of -348, -340 … 340, as mantissas of 64 bits with the top bit set, rounded to nearest.
#[rustfmt::skip]
const POWERS: [u64; 87] = [
    0xfa8f_d5a0_081c_0288, 0xbaae_e17f_a23e_bf76, 0x8b16_fb20_3055_ac76, 0xcf42_894a_5dce_35ea,
    0x9a6b_b0aa_5565_3b2d, 0xe61a_cf03_3d1a_45df, 0xab70_fe17_c79a_c6ca, 0xff77_b1fc_bebc_dc4f,
    0xbe56_91ef_416b_d60c, 0x8dd0_1fad_907f_fc3c, 0xd351_5c28_3155_9a83, 0x9d71_ac8f_ada6_c9b5,
    0xea9c_2277_23ee_8bcb, 0xaecc_4991_4078_536d, 0x823c_1279_5db6_ce57, 0xc210_9436_4dfb_5637,
    0x9096_ea6f_3848_984f, 0xd774_85cb_2582_3ac7, 0xa086_cfcd_97bf_97f4, 0xef34_0a98_172a_ace5,
    0xb238_67fb_2a35_b28e, 0x84c8_d4df_d2c6_3f3b, 0xc5dd_4427_1ad3_cdba, 0x936b_9fce_bb25_c996,
    0xdbac_6c24_7d62_a584, 0xa3ab_6658_0d5f_daf6, 0xf3e2_f893_dec3_f126, 0xb5b5_ada8_aaff_80b8,
    0x8762_5f05_6c7c_4a8b, 0xc9bc_ff60_34c1_3053, 0x964e_858c_91ba_2655, 0xdff9_7724_7029_7ebd,
    0xa6df_bd9f_b8e5_b88f, 0xf8a9_5fcf_8874_7d94, 0xb944_7093_8fa8_9bcf, 0x8a08_f0f8_bf0f_156b,
    0xcdb0_2555_6531_31b6, 0x993f_e2c6_d07b_7fac, 0xe45c_10c4_2a2b_3b06, 0xaa24_2499_6973_92d3,
    0xfd87_b5f2_8300_ca0e, 0xbce5_0864_9211_1aeb, 0x8cbc_cc09_6f50_88cc, 0xd1b7_1758_e219_652c,
    0x9c40_0000_0000_0000, 0xe8d4_a510_0000_0000, 0xad78_ebc5_ac62_0000, 0x813f_3978_f894_0984,
    0xc097_ce7b_c907_15b3, 0x8f7e_32ce_7bea_5c70, 0xd5d2_38a4_abe9_8068, 0x9f4f_2726_179a_2245,
    0xed63_a231_d4c4_fb27, 0xb0de_6538_8cc8_ada8, 0x83c7_088e_1aab_65db, 0xc45d_1df9_4271_1d9a,
    0x924d_692c_a61b_e758, 0xda01_ee64_1a70_8dea, 0xa26d_a399_9aef_774a, 0xf209_787b_b47d_6b85,
    0xb454_e4a1_79dd_1877, 0x865b_8692_5b9b_c5c2, 0xc835_53c5_c896_5d3d, 0x952a_b45c_fa97_a0b3,
    0xde46_9fbd_99a0_5fe3, 0xa59b_c234_db39_8c25, 0xf6c6_9a72_a398_9f5c, 0xb7dc_bf53_54e9_bece,
    0x88fc_f317_f222_41e2, 0xcc20_ce9b_d35c_78a5, 0x9816_5af3_7b21_53df, 0xe2a0_b5dc_971f_303a,
    0xa8d9_d153_5ce3_b396, 0xfb9b_7cd9_a4a7_443c, 0xbb76_4c4c_a7a4_4410, 0x8bab_8eef_b640_9c1a,
    0xd01f_ef10_a657_842c, 0x9b10_a4e5_e991_3129, 0xe710_9bfb_a19c_0c9d, 0xac28_20d9_623b_f429,
    0x8044_4b5e_7aa7_cf85, 0xbf21_e440_03ac_dd2d, 0x8e67_9c2f_5e44_ff8f, 0xd433_179d_9c8c_b841,
    0x9e19_db92_b4e3_1ba9, 0xeb96_bf6e_badf_77d9, 0xaf87_023b_9bf0_ee6b,
];

/// Digits of a double at most.
const DIGITS_MAX: usize = 18;

/// A mantissa times a power of two.
#[derive(Clone, Copy)]
struct Wide {
    mantissa: u64,
    exponent: i32,
}

impl Wide {
    /// Shifted up until the top bit is set.
    fn normalized(self) -> Wide {
        let shift = self.mantissa.leading_zeros();
        Wide { mantissa: self.mantissa << shift, exponent: self.exponent - shift as i32 }
    }

    /// The upper half of the product, rounded half up.
    fn times(self, other: Wide) -> Wide {
        const HALF: u128 = 1 << 63;
        let product = u128::from(self.mantissa) * u128::from(other.mantissa) + HALF;
        Wide { mantissa: (product >> 64) as u64, exponent: self.exponent + other.exponent + 64 }
    }
}

/// The cached power that brings a number of this binary exponent near to one, and its decimal exponent.
fn cached_power(exponent: i32) -> (Wide, i32) {
    const LOG_2: f64 = 0.301_029_995_663_981_14;
    let near = (-f64::from(exponent + POWERS.len() as i32) * LOG_2) as i32;
    let mut index = (near - FIRST_POWER) / POWER_STEP;
    loop {
        let decimal = FIRST_POWER + index * POWER_STEP;
        // The logarithm of ten to the base two, in units of 2^-16.
        let power = Wide { mantissa: POWERS[index as usize], exponent: ((decimal * 217_706) >> 16) - 63 };
        match exponent + power.exponent + 64 {
            ..-60 => index += 1,
            -31.. => index -= 1,
            _ => return (power, decimal),
        }
    }
}

/// Digits of a positive finite double.
struct Digits {
    bytes: [u8; DIGITS_MAX],
    len: usize,
    /// The power of ten of the last digit.
    exponent: i32,
}

impl Digits {
    fn of(value: f64) -> Digits {
        const MANTISSA_BITS: i32 = 52;
        const HIDDEN: u64 = 1 << MANTISSA_BITS;
        let bits = value.to_bits();
        let biased = (bits >> MANTISSA_BITS & 0x7ff) as i32;
        let exponent = biased.max(1) - 1023 - MANTISSA_BITS;
        let mantissa = bits & (HIDDEN - 1) | if biased == 0 { 0 } else { HIDDEN };
        // Everything between these two is read back as the value.
        let upper = Wide { mantissa: (mantissa << 1) + 1, exponent: exponent - 1 }.normalized();
        let narrow = if mantissa == HIDDEN { 2 } else { 1 };
        let lower_exponent = exponent - narrow;
        let lower = Wide {
            mantissa: ((mantissa << narrow) - 1) << (lower_exponent - upper.exponent),
            exponent: upper.exponent,
        };
        let (power, decimal) = cached_power(upper.exponent);
        let value = Wide { mantissa, exponent }.normalized().times(power);
        let (mut upper, mut lower) = (upper.times(power), lower.times(power));
        // The products are off by one at most; within these two that does no harm.
        upper.mantissa -= 1;
        lower.mantissa += 1;
        let mut digits = Digits { bytes: [0; DIGITS_MAX], len: 0, exponent: -decimal };
        digits.generate(value.mantissa, upper, lower.mantissa);
        digits
    }

    fn push(&mut self, digit: u64) {
        if 0 < digit || 0 < self.len {
            self.bytes[self.len] = b'0' + digit as u8;
            self.len += 1;
        }
    }

    /// Writes digits of `upper`, first those before the point, until what is left lies within the bounds.
    fn generate(&mut self, value: u64, upper: Wide, lower: u64) {
        let shift = -upper.exponent;
        let one = 1u64 << shift;
        let (distance, mut room) = (upper.mantissa - value, upper.mantissa - lower);
        let (mut whole, mut part) = (upper.mantissa >> shift, upper.mantissa & (one - 1));
        let mut unit = 1_000_000_000;
        for place in (0..10).rev() {
            self.push(whole / unit);
            whole %= unit;
            let rest = (whole << shift) + part;
            if rest <= room {
                self.exponent += place;
                self.round(distance, room, rest, unit << shift);
                return;
            }
            unit /= 10;
        }
        let mut scale = 1u64;
        for place in 1.. {
            part *= 10;
            room *= 10;
            scale *= 10;
            self.push(part >> shift);
            part &= one - 1;
            if part < room {
                self.exponent -= place;
                self.round(distance.wrapping_mul(scale), room, part, one);
                return;
            }
        }
    }

    /// Lowers the last digit while that comes nearer to the value, which lies `distance` below the upper bound.
    fn round(&mut self, distance: u64, room: u64, mut rest: u64, unit: u64) {
        while rest < distance
            && unit <= room - rest
            && (rest + unit < distance || rest + unit - distance < distance - rest)
        {
            self.bytes[self.len - 1] -= 1;
            rest += unit;
        }
    }

    /// Lays the digits out: whole numbers with few noughts behind, fractions with few noughts before, else with an
    /// exponent.
    fn push_to(&self, out: &mut Vec<u8>) {
        let digits = &self.bytes[..self.len];
        let magnitude = self.exponent + self.len as i32 - 1;
        let places = self.exponent.unsigned_abs() as usize;
        if 0 <= self.exponent && magnitude < self.len as i32 + 7 {
            out.extend_from_slice(digits);
            out.resize(out.len() + places, b'0');
        } else if self.exponent < 0 && (-7 < self.exponent || magnitude.abs() < 4) {
            if self.len <= places {
                out.extend_from_slice(b"0.");
                out.resize(out.len() + places - self.len, b'0');
                out.extend_from_slice(digits);
            } else {
                let (whole, part) = digits.split_at(self.len - places);
                out.extend_from_slice(whole);
                out.push(b'.');
                out.extend_from_slice(part);
            }
        } else {
            out.push(digits[0]);
            if 1 < self.len {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.extend_from_slice(if magnitude < 0 { b"e-" } else { b"e+" });
            push_i64(out, i64::from(magnitude.abs()));
        }
    }
}

/// The integer that a double is, if it is one of at most 62 bits. A negative zero is zero here.
#[inline]
pub fn integer(value: f64) -> Option<i64> {
    const LIMIT: f64 = (i64::MAX / 2) as f64;
    let integer = value as i64;
    ((-LIMIT..=LIMIT).contains(&value) && integer as f64 == value).then_some(integer)
}

/// Appends a double as replies print it: integers of up to 62 bits with all their digits, everything else as
/// [`push_shortest`] does.
#[inline]
pub fn push_double(out: &mut Vec<u8>, value: f64) {
    match integer(value) {
        Some(integer) if integer != 0 || value.is_sign_positive() => push_i64(out, integer),
        _ => push_shortest(out, value),
    }
}

/// Appends the digits of a double, in the form in which digests of data hold them.
pub fn push_shortest(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"nan");
        return;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value == 0.0 {
        out.push(b'0');
    } else if value.is_infinite() {
        out.extend_from_slice(b"inf");
    } else {
        Digits::of(value.abs()).push_to(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::number::parse_f64;
    use crate::base::random::Random;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        push_double(&mut out, value);
        String::from_utf8(out).expect("digits")
    }

    /// What Redis 8.0 and Valkey 9.1 reply as scores.
    #[test]
    fn doubles_are_printed_as_redis_prints_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-3.25, "-3.25"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e17, "100000000000000000"),
            (12345678901234567000.0, "12345678901234567000"),
            (1e20, "1e+20"),
            (1e300, "1e+300"),
            (123456789.12345679, "1.2345678912345679e+8"),
            (4503599627370496.5, "4503599627370496"),
            (0.0001, "0.0001"),
            (0.00001, "0.00001"),
            (1e-7, "1e-7"),
            (-1e-10, "-1e-10"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(text(value), expected);
        }
        let mut out = Vec::new();
        push_shortest(&mut out, 1e17);
        assert_eq!(out, b"1e+17");
    }

    #[test]
    fn every_text_is_read_back_as_its_number() {
        let mut random = Random::seeded(5);
        for _ in 0..200_000 {
            let value = match random.below(3) {
                0 => f64::from_bits(random.next_u64()),
                1 => random.next_u64() as i64 as f64 / 1000.0,
                _ => (random.next_u64() >> random.below(64)) as f64 / f64::from(1 << random.below(20)),
            };
            if value.is_finite() {
                assert_eq!(parse_f64(text(value).as_bytes()), Some(value), "{value:e}");
            }
        }
    }
}
