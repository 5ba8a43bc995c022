//! Ranges of scores and of texts.

/// Scores between two bounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ScoreRange {
    /// The lower bound.
    pub min: f64,
    /// Whether the lower bound itself is left out.
    pub min_open: bool,
    /// The upper bound.
    pub max: f64,
    /// Whether the upper bound itself is left out.
    pub max_open: bool,
}

impl ScoreRange {
    /// Whether a score is not below the range.
    #[inline]
    pub fn reaches(&self, score: f64) -> bool {
        if self.min_open { self.min < score } else { self.min <= score }
    }

    /// Whether a score is not above the range.
    #[inline]
    pub fn within(&self, score: f64) -> bool {
        if self.max_open { score < self.max } else { score <= self.max }
    }
}

/// One end of a range of texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LexBound<'a> {
    /// Before all texts.
    Lowest,
    /// Behind all texts.
    Highest,
    /// This text, which belongs to the range.
    With(&'a [u8]),
    /// This text, which does not.
    Without(&'a [u8]),
}

/// Texts between two bounds, in the order of their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LexRange<'a> {
    /// The lower bound.
    pub min: LexBound<'a>,
    /// The upper bound.
    pub max: LexBound<'a>,
}

impl LexRange<'_> {
    /// Whether a text is not below the range.
    #[inline]
    pub fn reaches(&self, text: &[u8]) -> bool {
        match self.min {
            LexBound::Lowest => true,
            LexBound::Highest => false,
            LexBound::With(min) => min <= text,
            LexBound::Without(min) => min < text,
        }
    }

    /// Whether a text is not above the range.
    #[inline]
    pub fn within(&self, text: &[u8]) -> bool {
        match self.max {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::With(max) => text <= max,
            LexBound::Without(max) => text < max,
        }
    }

    /// Whether there can be no text in it, whatever the members.
    pub(super) fn is_empty(&self) -> bool {
        use LexBound::{Highest, Lowest, With, Without};
        match (self.min, self.max) {
            (Highest, _) | (_, Lowest) => self.min != self.max,
            (With(min), With(max)) => max < min,
            (With(min) | Without(min), With(max) | Without(max)) => max <= min,
            _ => false,
        }
    }
}
