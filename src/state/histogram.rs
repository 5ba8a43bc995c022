//! A histogram of durations with a relative error under one part in sixteen, cheap enough for every command.

/// Buckets per power of two.
const FINE: usize = 16;
const FINE_BITS: u32 = 4;
const BUCKETS: usize = (64 - FINE_BITS as usize + 1) * FINE;

/// Counts of durations in nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u32; BUCKETS]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: Box::new([0; BUCKETS]), total: 0 }
    }
}

fn bucket(nanos: u64) -> usize {
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
    let shift = (bucket / FINE - 1) as u32;
    let top = ((bucket % FINE + FINE) as u128 + 1) << shift;
    u64::try_from(top - 1).unwrap_or(u64::MAX)
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        let count = &mut self.counts[bucket(nanos)];
        *count = count.saturating_add(1);
        self.total += 1;
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// A duration in nanoseconds which `percentile` per cent of the counted ones do not exceed.
    pub fn percentile(&self, percentile: f64) -> u64 {
        let wanted = (self.total as f64 * percentile / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if wanted <= seen {
                return upper(index);
            }
        }
        0
    }

    /// Cumulative counts up to powers of two of microseconds, as `LATENCY HISTOGRAM` lists them: only where the
    /// count grows, until everything is counted.
    pub fn cumulative_micros(&self) -> Vec<(u64, u64)> {
        let mut out: Vec<(u64, u64)> = Vec::new();
        let mut seen = 0;
        let mut index = 0;
        let mut micros: u64 = 1;
        while seen < self.total && micros < 1 << 53 {
            while index < BUCKETS && upper(index) <= micros.saturating_mul(1024) {
                seen += u64::from(self.counts[index]);
                index += 1;
            }
            if seen != out.last().map_or(0, |last| last.1) {
                out.push((micros, seen));
            }
            micros *= 2;
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
        for nanos in (0..10_000).chain((20..63).map(|bit| 1u64 << bit)).chain([u64::MAX]) {
            let index = bucket(nanos);
            assert!(last <= index && index < BUCKETS);
            assert!(nanos <= upper(index) && upper(index) - nanos <= nanos / 16 + 1);
            last = index;
        }
    }

    #[test]
    fn percentiles() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|n| histogram.record(n * 1000));
        for (percentile, nanos) in [(50.0, 500_000.0), (99.0, 990_000.0), (100.0, 1_000_000.0)] {
            let got = histogram.percentile(percentile) as f64;
            assert!((nanos..nanos * 1.07).contains(&got), "p{percentile} = {got}");
        }
        assert_eq!(histogram.cumulative_micros().last().map(|last| last.1), Some(1000));
    }
}
