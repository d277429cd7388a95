//! The requests whose answers differ most.

use serde::Serialize;

use super::compare::{Difference, is_larger};
use crate::output::{Line, plain};

/// How many are kept.
const MOST: usize = 10;

/// A request whose answers differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Differing {
    /// The request, `topic/partition/offset`.
    pub(super) request: String,
    /// Its key, where that is text.
    pub(super) key: Option<String>,
    #[serde(flatten)]
    pub(super) difference: Difference,
}

/// The largest differences, the largest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Largest(Vec<Differing>);

impl Largest {
    /// Keeps it if it is among the largest; of equal ones the first.
    pub(super) fn take(&mut self, new: Differing) {
        let smaller = |known: &Differing| is_larger(&new.difference, Some(&known.difference));
        let place = self.0.iter().position(smaller).unwrap_or(self.0.len());
        if place < MOST {
            self.0.insert(place, new);
            self.0.truncate(MOST);
        }
    }

    pub(super) fn into_lines(self) -> Vec<Differing> {
        self.0
    }
}

impl Line for Differing {
    const HEADINGS: &'static [&'static str] = &[
        "DIFFERENCE",
        "OUTPUT",
        "ROW",
        "BEFORE",
        "NOW",
        "KEY",
        "REQUEST",
    ];

    fn cells(&self) -> Vec<String> {
        let difference = &self.difference;
        // The model's topic is the same for all.
        let place: Vec<&str> = self.request.rsplitn(3, '/').take(2).collect();
        let place = place.into_iter().rev().collect::<Vec<_>>().join("/");
        vec![
            difference.amount.map_or_else(|| "-".to_owned(), number),
            short(&difference.output),
            difference.row.to_string(),
            short(&difference.before),
            short(&difference.now),
            short(self.key.as_deref().unwrap_or("-")),
            place,
        ]
    }
}

/// Four digits of a number, whatever its size.
fn number(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || (1e-3..1e5).contains(&size) => {
            let text = format!("{value:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.3e}"),
    }
}

fn short(text: &str) -> String {
    let text = match text.parse::<f64>() {
        Ok(value) if value.is_finite() => number(value),
        _ => plain(text),
    };
    crate::output::shortened(&text, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differing(offset: i64, amount: Option<f64>) -> Differing {
        Differing {
            request: format!("mill.requests.digits/1/{offset}"),
            key: Some("k".to_owned()),
            difference: Difference {
                output: "scores".to_owned(),
                row: 0,
                amount,
                before: "0.123456".to_owned(),
                now: "1200000".to_owned(),
            },
        }
    }

    #[test]
    fn the_ten_largest_are_kept_and_of_equal_ones_the_first() {
        let mut largest = Largest::default();
        for offset in 0..30 {
            largest.take(differing(
                offset,
                Some(f64::from(i32::try_from(offset / 2).unwrap())),
            ));
        }
        largest.take(differing(99, None));
        let lines = largest.into_lines();
        let offsets: Vec<&str> = lines
            .iter()
            .filter_map(|it| it.request.rsplit('/').next())
            .collect();
        assert_eq!(
            offsets,
            ["99", "28", "29", "26", "27", "24", "25", "22", "23", "20"]
        );
    }

    #[test]
    fn a_line_fits_80_columns() {
        let mut line = differing(1_234_567, Some(0.000_012));
        line.key = Some("customer-0123456789".to_owned());
        let text = crate::output::table(&[line]);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert!(
            text.contains("1.200e-5") && text.contains("1/1234567"),
            "{text}"
        );
        assert!(
            text.contains("0.1235") && text.contains("1.200e6"),
            "{text}"
        );
    }
}
