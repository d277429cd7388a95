//! What comes in, what goes out, and when nothing will be left: from two looks at the offsets.

use std::time::Duration;

use serde::Serialize;

use crate::when;

/// Records per second over some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Rates {
    /// Written to the topic.
    pub(crate) in_per_s: Option<f64>,
    /// Finished by the reader.
    pub(crate) out_per_s: Option<f64>,
}

/// When nothing will be left, if all goes on as it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Drain {
    /// Nothing is left.
    Done,
    In(Duration),
    /// At least as much comes in as goes out.
    Never,
    /// Nothing goes out.
    Stands,
    /// It was not measured, or nothing was ever committed.
    Unknown,
}

/// Ends and committed offsets at two times; `None` where one of them is not known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) ends: Option<i64>,
    pub(crate) committed: Option<i64>,
}

impl Moved {
    /// Of several partitions together: what is unknown of one is unknown of all.
    pub(crate) fn sum(all: impl IntoIterator<Item = Self>) -> Self {
        let nothing = Self {
            ends: Some(0),
            committed: Some(0),
        };
        let add = |left: Option<i64>, right: Option<i64>| Some(left?.saturating_add(right?));
        all.into_iter().fold(nothing, |sum, it| Self {
            ends: add(sum.ends, it.ends),
            committed: add(sum.committed, it.committed),
        })
    }

    pub(crate) fn over(self, span: Duration) -> Rates {
        let rate = |records: Option<i64>| {
            // Offsets that go back were set by hand: that is no rate.
            let records = records.filter(|&records| records >= 0)?;
            (!span.is_zero()).then(|| records as f64 / span.as_secs_f64())
        };
        Rates {
            in_per_s: rate(self.ends),
            out_per_s: rate(self.committed),
        }
    }
}

impl Drain {
    pub(crate) fn of(waiting: i64, rates: Rates) -> Self {
        if waiting <= 0 {
            return Self::Done;
        }
        let (Some(comes), Some(goes)) = (rates.in_per_s, rates.out_per_s) else {
            return Self::Unknown;
        };
        if goes <= 0.0 {
            return Self::Stands;
        }
        let seconds = waiting as f64 / (goes - comes);
        match Duration::try_from_secs_f64(seconds) {
            Ok(duration) if goes > comes => Self::In(duration),
            _ => Self::Never,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::In(_) => "in",
            Self::Never => "never",
            Self::Stands => "stands",
            Self::Unknown => "unknown",
        }
    }

    pub(crate) fn seconds(self) -> Option<f64> {
        match self {
            Self::Done => Some(0.0),
            Self::In(duration) => Some(duration.as_secs_f64()),
            _ => None,
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Self::Done => "-".to_owned(),
            Self::In(duration) => when::span(duration),
            Self::Never => "never: grows".to_owned(),
            Self::Stands => "never: stands".to_owned(),
            Self::Unknown => "unknown".to_owned(),
        }
    }
}

/// Records per second for a table.
pub(crate) fn rate(per_s: Option<f64>) -> String {
    match per_s {
        None => "unknown".to_owned(),
        Some(rate) if rate > 0.0 && rate < 10.0 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(comes: f64, goes: f64) -> Rates {
        Rates {
            in_per_s: Some(comes),
            out_per_s: Some(goes),
        }
    }

    #[test]
    fn what_goes_out_faster_than_it_comes_in_is_done_some_day() {
        let drain = Drain::of(1000, rates(50.0, 150.0));
        assert_eq!(drain, Drain::In(Duration::from_secs(10)));
        assert_eq!(drain.text(), "10 s");
        assert_eq!(Drain::of(0, rates(1.0, 0.0)), Drain::Done);
    }

    #[test]
    fn what_grows_stands_or_is_not_known_is_said_to() {
        assert_eq!(Drain::of(1, rates(2.0, 1.0)), Drain::Never);
        assert_eq!(Drain::of(1, rates(1.0, 1.0)), Drain::Never);
        assert_eq!(Drain::of(1, rates(5.0, 0.0)), Drain::Stands);
        assert_eq!(Drain::of(1, Rates::default()), Drain::Unknown);
        let unknown = Rates {
            out_per_s: None,
            ..rates(1.0, 1.0)
        };
        assert_eq!(Drain::of(1, unknown), Drain::Unknown);
    }

    #[test]
    fn one_unknown_partition_makes_the_sum_unknown() {
        let known = Moved {
            ends: Some(10),
            committed: Some(4),
        };
        let fresh = Moved {
            committed: None,
            ..known
        };
        let rates = Moved::sum([known, fresh]).over(Duration::from_secs(2));
        assert_eq!(rates.in_per_s, Some(10.0));
        assert_eq!(rates.out_per_s, None);
        assert_eq!(Moved::sum([known]).over(Duration::ZERO), Rates::default());
    }

    #[test]
    fn offsets_that_were_set_back_are_no_rate() {
        let back = Moved {
            ends: Some(1),
            committed: Some(-5),
        };
        assert_eq!(back.over(Duration::from_secs(1)).out_per_s, None);
    }
}
