//! Ratios of paired runs: a neighbour on the machine slows both runs of a pair, and one bad pair does not move a median.

use serde::Serialize;

/// The median of paired ratios, with the lowest and the highest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

impl Ratio {
    /// Of pairs, the first by the second; `None` without any.
    #[must_use]
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        Self::summary(pairs.into_iter().map(|(one, other)| one / other).collect())
    }

    /// Of plain values.
    #[must_use]
    pub fn summary(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self {
            median: f64::midpoint(low, high),
            min,
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_that_of_the_pairs_not_of_the_runs() {
        // A neighbour made the second pair ten times slower: both runs of it.
        let ratio = Ratio::of([(50.0, 100.0), (6.0, 10.0), (40.0, 100.0)]).unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max), (0.5, 0.4, 0.6));
    }

    #[test]
    fn an_even_number_of_pairs_gives_the_mean_of_the_middle() {
        let ratio = Ratio::summary(vec![4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(ratio.median, 2.5);
        assert_eq!(Ratio::of([]), None);
    }
}
