//! Dates: milliseconds since the epoch, and how they are written.
//!
//! Nothing here reads a clock. A date comes in as an argument, and the offset of the local time zone does
//! too, so that a log line can be tested like any other text.

/// A date: milliseconds since 1 January 1970, UTC. Negative ones lie before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// The epoch itself. Replay runs at this date, where no deadline has passed.
    pub const ZERO: UnixMs = UnixMs(0);
    /// The last date there is.
    pub const MAX: UnixMs = UnixMs(i64::MAX);

    /// The date `ms` milliseconds later (earlier when negative), or `None` where it cannot be represented.
    #[inline]
    pub fn plus_ms(self, ms: i64) -> Option<UnixMs> {
        self.0.checked_add(ms).map(UnixMs)
    }

    /// How many milliseconds lie between this date and a later one; negative when `later` is in truth
    /// earlier, and held at the ends of `i64`.
    #[inline]
    pub fn ms_until(self, later: UnixMs) -> i64 {
        later.0.saturating_sub(self.0)
    }

    /// Whole seconds since the epoch, rounded down also before it.
    #[inline]
    pub fn secs(self) -> i64 {
        self.0.div_euclid(MS_PER_SEC)
    }
}

const MS_PER_SEC: i64 = 1000;
const SECS_PER_DAY: i64 = 86_400;
/// The Gregorian calendar repeats after 400 years, which are this many days.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_TO_EPOCH: i64 = 719_468;
const MONTH_NAMES: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A date as people write it, in the proleptic Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Civil {
    /// The year; 0 is the one before the year 1.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59; leap seconds do not exist in Unix time.
    pub second: u8,
    /// 0 is Sunday, 6 is Saturday.
    pub weekday: u8,
}

impl Civil {
    /// The English name of the month in three letters.
    pub fn month_name(&self) -> &'static str {
        MONTH_NAMES[usize::from(self.month - 1)]
    }
}

/// The date of a second since the epoch, as a clock shows it that is `utc_offset_secs` ahead of UTC.
///
/// Years are counted from 1 March here: the leap day is then the last one of its year, and the lengths of the
/// months follow a straight line (153 days in every five months), so that neither table nor loop is needed.
pub fn civil(unix_secs: i64, utc_offset_secs: i32) -> Civil {
    let local = unix_secs.saturating_add(i64::from(utc_offset_secs));
    let epoch_day = local.div_euclid(SECS_PER_DAY);
    let second_of_day = local.rem_euclid(SECS_PER_DAY);

    let day = epoch_day + DAYS_TO_EPOCH;
    let era = day.div_euclid(DAYS_PER_ERA);
    let day_of_era = day.rem_euclid(DAYS_PER_ERA);
    // Taking the leap days out before the division: one each 4 years, none each 100, one again in the 400th.
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };

    Civil {
        year: era * 400 + year_of_era + i64::from(month <= 2),
        month: month as u8,
        day: (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8,
        hour: (second_of_day / 3600) as u8,
        minute: (second_of_day / 60 % 60) as u8,
        second: (second_of_day % 60) as u8,
        // The epoch was a Thursday.
        weekday: (epoch_day + 4).rem_euclid(7) as u8,
    }
}

/// A date as the lines of a Redis log begin with it: `20 Nov 2026 20:57:19.123`.
pub fn log_stamp(at: UnixMs, utc_offset_secs: i32) -> String {
    let c = civil(at.secs(), utc_offset_secs);
    let ms = at.0.rem_euclid(MS_PER_SEC);
    format!(
        "{:02} {} {} {:02}:{:02}:{:02}.{:03}",
        c.day,
        c.month_name(),
        c.year,
        c.hour,
        c.minute,
        c.second,
        ms
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_of_dates() {
        assert_eq!(UnixMs(5).plus_ms(7), Some(UnixMs(12)));
        assert_eq!(UnixMs(5).plus_ms(-7), Some(UnixMs(-2)));
        assert_eq!(UnixMs::MAX.plus_ms(0), Some(UnixMs::MAX));
        assert_eq!(UnixMs::MAX.plus_ms(1), None);
        assert_eq!(UnixMs(i64::MIN).plus_ms(-1), None);
        assert_eq!(UnixMs(5).ms_until(UnixMs(12)), 7);
        assert_eq!(UnixMs(12).ms_until(UnixMs(5)), -7);
        assert_eq!(UnixMs(-1).ms_until(UnixMs::MAX), i64::MAX);
        assert_eq!(UnixMs::MAX.ms_until(UnixMs(i64::MIN)), i64::MIN);
        assert_eq!(UnixMs(1999).secs(), 1);
        assert_eq!(UnixMs(-1).secs(), -1);
        assert_eq!(UnixMs::default(), UnixMs::ZERO);
    }

    /// Year, month, day, hour, minute, second, weekday.
    type Fields = (i64, u8, u8, u8, u8, u8, u8);

    #[test]
    fn civil_dates() {
        // Seconds, offset, and what `date -u` says.
        let table: &[(i64, i32, Fields)] = &[
            (0, 0, (1970, 1, 1, 0, 0, 0, 4)),
            (-1, 0, (1969, 12, 31, 23, 59, 59, 3)),
            (0, -1, (1969, 12, 31, 23, 59, 59, 3)),
            (951_782_399, 0, (2000, 2, 28, 23, 59, 59, 1)),
            (951_782_400, 0, (2000, 2, 29, 0, 0, 0, 2)),
            (951_868_800, 0, (2000, 3, 1, 0, 0, 0, 3)),
            (4_107_542_399, 0, (2100, 2, 28, 23, 59, 59, 0)),
            (4_107_542_400, 0, (2100, 3, 1, 0, 0, 0, 1)),
            (1_795_211_839, 0, (2026, 11, 20, 21, 57, 19, 5)),
            (1_795_211_839, 3600, (2026, 11, 20, 22, 57, 19, 5)),
            (1_795_211_839, 5 * 3600 + 1800, (2026, 11, 21, 3, 27, 19, 6)),
            (1_735_689_599, 0, (2024, 12, 31, 23, 59, 59, 2)),
            (253_402_300_800, 0, (10000, 1, 1, 0, 0, 0, 6)),
            (-62_135_596_801, 0, (0, 12, 31, 23, 59, 59, 0)),
        ];
        for &(secs, offset, want) in table {
            let c = civil(secs, offset);
            let got = (c.year, c.month, c.day, c.hour, c.minute, c.second, c.weekday);
            assert_eq!(got, want, "{secs} {offset}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil(-200 * 365 * SECS_PER_DAY, 0);
        for day in -200 * 365 + 1..400 * 366 {
            let c = civil(day * SECS_PER_DAY, 0);
            let leap = before.year % 4 == 0 && (before.year % 100 != 0 || before.year % 400 == 0);
            let last = match before.month {
                2 => 28 + u8::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let want = match (before.month, before.day == last) {
                (12, true) => (before.year + 1, 1, 1),
                (month, true) => (before.year, month + 1, 1),
                (month, false) => (before.year, month, before.day + 1),
            };
            assert_eq!((c.year, c.month, c.day), want);
            assert_eq!(c.weekday, (before.weekday + 1) % 7);
            before = c;
        }
    }

    #[test]
    fn the_ends_of_time_are_dates_too() {
        assert_eq!(civil(i64::MAX, i32::MAX).month_name(), "Dec");
        assert_eq!(civil(i64::MIN, i32::MIN).month_name(), "Jan");
    }

    #[test]
    fn stamps() {
        let table: &[(i64, i32, &str)] = &[
            (1_795_208_239_123, 0, "20 Nov 2026 20:57:19.123"),
            (1_795_208_239_007, 7200, "20 Nov 2026 22:57:19.007"),
            (0, 0, "01 Jan 1970 00:00:00.000"),
            (-1, 0, "31 Dec 1969 23:59:59.999"),
        ];
        for &(ms, offset, want) in table {
            assert_eq!(log_stamp(UnixMs(ms), offset), want);
        }
    }
}
