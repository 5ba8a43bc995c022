//! A histogram of durations with a relative error under one part in sixty-four, cheap enough for every
//! command.
//!
//! Each power of two of nanoseconds is cut into [`FINE`] buckets of equal width; below `FINE` every
//! nanosecond has its own. Durations beyond [`NANOS_MAX`] count as that long. The counts are 64 bits wide: a
//! busy command is called more than four billion times in a day.

/// Buckets per power of two.
const FINE: usize = 64;
const FINE_BITS: u32 = FINE.ilog2();
/// The longest duration that is told from longer ones, a good minute.
const NANOS_MAX: u64 = (1 << MAX_BITS) - 1;
const MAX_BITS: u32 = 36;
const BUCKETS: usize = OCTAVES * FINE;
/// Powers of two that are told apart; the first stands for everything below [`FINE`].
pub const OCTAVES: usize = (MAX_BITS - FINE_BITS + 1) as usize;

/// The first and the last of the powers of two, in nanoseconds, at which [`Histogram::cumulative_micros`]
/// reports.
const FIRST_LEVEL: u32 = 10;
/// See [`FIRST_LEVEL`].
const LAST_LEVEL: u32 = MAX_BITS;

/// Counts of durations in nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: Box::new([0; BUCKETS]), total: 0 }
    }
}

#[inline]
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.min(NANOS_MAX);
    if nanos < FINE as u64 {
        return nanos as usize;
    }
    let shift = 63 - nanos.leading_zeros() - FINE_BITS;
    (shift as usize + 1) * FINE + (nanos >> shift) as usize - FINE
}

/// The largest duration that falls into a bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < FINE {
        return bucket as u64;
    }
    let shift = bucket / FINE - 1;
    (((bucket % FINE + FINE) as u64 + 1) << shift) - 1
}

/// How `LATENCY HISTOGRAM` names a power of two of nanoseconds in microseconds. Redis's buckets there are one
/// part in 128 wide, and it names the last duration of the one that begins at the power; dashboards know
/// these numbers.
fn level_micros(level: u32) -> u64 {
    ((1 << level) + (1 << (level - 7)) - 1) / 1000
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many were counted in each power of two: the first below [`FINE`] nanoseconds, the next below twice
    /// that, and so on.
    pub fn octaves(&self) -> [u64; OCTAVES] {
        let mut sums = [0; OCTAVES];
        for (sum, fine) in sums.iter_mut().zip(self.counts.as_chunks::<FINE>().0) {
            *sum = fine.iter().sum();
        }
        sums
    }

    /// A duration in nanoseconds which `percentile` per cent of the counted ones do not exceed.
    pub fn percentile(&self, percentile: f64) -> u64 {
        self.percentile_among(&self.octaves(), percentile)
    }

    /// The same for who has the powers of two at hand.
    pub fn percentile_among(&self, octaves: &[u64; OCTAVES], percentile: f64) -> u64 {
        let wanted = (self.total as f64 * percentile / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (octave, sum) in octaves.iter().enumerate() {
            if seen + sum < wanted {
                seen += sum;
                continue;
            }
            for index in octave * FINE..(octave + 1) * FINE {
                seen += self.counts[index];
                if wanted <= seen {
                    return upper(index);
                }
            }
        }
        0
    }

    /// Durations in microseconds, each with how many of those counted are below it, as `LATENCY HISTOGRAM`
    /// lists them: at powers of two of nanoseconds from 1024 on, only where the count grows, until everything
    /// is counted.
    pub fn cumulative_micros(&self) -> Vec<(u64, u64)> {
        let mut out: Vec<(u64, u64)> = Vec::new();
        let octaves = self.octaves();
        let mut rest = octaves.iter().enumerate().peekable();
        let mut seen = 0;
        for level in FIRST_LEVEL..=LAST_LEVEL {
            while let Some((_, count)) = rest.next_if(|(octave, _)| *octave as u32 + FINE_BITS <= level) {
                seen += count;
            }
            if out.last().map_or(0, |last| last.1) < seen {
                out.push((level_micros(level), seen));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_narrow() {
        let mut last = 0;
        for nanos in (0..10_000).chain((20..MAX_BITS).map(|bit| 1u64 << bit)).chain([NANOS_MAX]) {
            let index = bucket(nanos);
            assert!(last <= index && index < BUCKETS);
            assert!(nanos <= upper(index) && upper(index) - nanos <= nanos / FINE as u64);
            assert!(index == 0 || upper(index - 1) < nanos);
            last = index;
        }
        assert_eq!((bucket(NANOS_MAX), upper(BUCKETS - 1)), (BUCKETS - 1, NANOS_MAX));
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50.0), 0);
        (1..=1000).for_each(|n| histogram.record(n * 1000));
        for (percentile, nanos) in [(0.0, 1000.0), (50.0, 500_000.0), (99.0, 990_000.0), (100.0, 1_000_000.0)]
        {
            let got = histogram.percentile(percentile) as f64;
            assert!((nanos..nanos * 1.016).contains(&got), "p{percentile} = {got}");
        }
    }

    #[test]
    fn powers_of_two_have_the_names_that_redis_gives_them() {
        // What a real server has been seen to report.
        let names: Vec<u64> = (FIRST_LEVEL..30).map(level_micros).collect();
        assert_eq!(names[..10], [1, 2, 4, 8, 16, 33, 66, 132, 264, 528]);
        assert_eq!(names[10..16], [1056, 2113, 4227, 8454, 16908, 33816]);
        assert_eq!(names[16..], [67633, 135_266, 270_532, 541_065]);
    }

    #[test]
    fn cumulative_counts_grow_until_everything_is_counted() {
        let check = |nanos: &[u64], expected: &[(u64, u64)]| {
            let mut histogram = Histogram::default();
            nanos.iter().for_each(|nanos| histogram.record(*nanos));
            assert_eq!(histogram.cumulative_micros(), expected, "{nanos:?}");
        };
        check(&[], &[]);
        check(&[0], &[(1, 1)]);
        check(&[1023, 1024], &[(1, 1), (2, 2)]);
        check(&[500, 5000, 6000, 100_000_000], &[(1, 1), (8, 3), (135_266, 4)]);
        check(&[u64::MAX], &[(level_micros(36), 1)]);
    }
}
