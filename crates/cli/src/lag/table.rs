//! The answer of `millrace lag`: a line per partition, or their sums.

use std::time::Duration;

use serde::Serialize;

use crate::output::{self, Line, Output};
use crate::when;

use super::Looked;
use super::drain::{self, Drain, Moved, Rates};
use super::oldest::Ages;
use super::readers::Place;

/// How far a reader is behind in one partition.
pub(super) struct Behind {
    place: Place,
    oldest: Option<Duration>,
    moved: Moved,
    over: Duration,
}

#[derive(Serialize)]
struct Figures {
    reader: String,
    model: String,
    group: String,
    topic: String,
    waiting_records: i64,
    /// Age of the oldest record that waits; null if none does, or if it has no time.
    oldest_s: Option<f64>,
    #[serde(flatten)]
    rates: Rates,
    /// `done`, `in`, `never` (it grows), `stands` or `unknown`.
    drained: &'static str,
    drained_s: Option<f64>,
    #[serde(skip)]
    drain: Drain,
}

#[derive(Serialize)]
struct Partition {
    #[serde(flatten)]
    figures: Figures,
    partition: i32,
    committed: Option<i64>,
    start: i64,
    end: i64,
}

impl Line for Figures {
    const HEADINGS: &'static [&'static str] = &[
        "READER",
        "MODEL",
        "WAITING",
        "OLDEST",
        "IN/S",
        "OUT/S",
        "DRAINED IN",
    ];

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.reader.clone(), self.model.clone()];
        cells.extend(self.numbers());
        cells
    }
}

impl Figures {
    fn numbers(&self) -> [String; 5] {
        let oldest = self
            .oldest_s
            .map(|seconds| when::span(Duration::from_secs_f64(seconds)));
        let nothing = if self.waiting_records > 0 {
            "unknown"
        } else {
            "-"
        };
        [
            self.waiting_records.to_string(),
            oldest.unwrap_or_else(|| nothing.to_owned()),
            drain::rate(self.rates.in_per_s),
            drain::rate(self.rates.out_per_s),
            self.drain.text(),
        ]
    }
}

impl Line for Partition {
    const HEADINGS: &'static [&'static str] = &[
        "READER",
        "MODEL",
        "PART",
        "COMMITTED",
        "WAITING",
        "OLDEST",
        "IN/S",
        "OUT/S",
        "DRAINED IN",
    ];

    fn cells(&self) -> Vec<String> {
        let committed = self.committed.map(|offset| offset.to_string());
        let mut cells = vec![
            self.figures.reader.clone(),
            self.figures.model.clone(),
            self.partition.to_string(),
            committed.unwrap_or_else(|| "none".to_owned()),
        ];
        cells.extend(self.figures.numbers());
        cells
    }
}

/// What two looks tell of each partition; without the second one there are no rates.
pub(super) fn lines(
    first: &Looked,
    second: Option<&Looked>,
    ages: &Ages,
) -> anyhow::Result<Vec<Behind>> {
    let newest = second.unwrap_or(first);
    let mut lines = Vec::with_capacity(newest.places.len());
    for place in &newest.places {
        let before = second.and_then(|_| {
            let is_it = |it: &&Place| it.reader == place.reader && it.partition == place.partition;
            first.places.iter().find(is_it)
        });
        let difference = |now: Option<i64>, then: Option<i64>| Some(now? - then?);
        lines.push(Behind {
            oldest: ages.of(place)?,
            moved: Moved {
                ends: difference(Some(place.end), before.map(|it| it.end)),
                committed: difference(place.committed, before.and_then(|it| it.committed)),
            },
            over: newest.at - first.at,
            place: place.clone(),
        });
    }
    Ok(lines)
}

pub(super) fn print(by_partition: bool, lines: &[Behind], output: Output) -> anyhow::Result<()> {
    let nothing = "nobody reads anything: there is no model; millrace topics apply --model NAME";
    if !by_partition {
        return output::print(output, &sums(lines), nothing);
    }
    let partition = |line: &Behind| Partition {
        figures: figures(std::slice::from_ref(line)),
        partition: line.place.partition,
        committed: line.place.committed,
        start: line.place.start,
        end: line.place.end,
    };
    let lines: Vec<Partition> = lines.iter().map(partition).collect();
    output::print(output, &lines, nothing)
}

/// A line for each run of partitions of one reader.
fn sums(lines: &[Behind]) -> Vec<Figures> {
    let runs = lines.chunk_by(|left, right| left.place.reader == right.place.reader);
    runs.map(figures).collect()
}

/// Of at least one partition of one reader.
fn figures(run: &[Behind]) -> Figures {
    let reader = run[0].place.reader.clone();
    let waiting = run.iter().map(|line| line.place.waiting).sum();
    let rates = Moved::sum(run.iter().map(|line| line.moved)).over(run[0].over);
    // The whole is done when its last partition is.
    let drain = Drain::of(waiting, rates);
    Figures {
        reader: reader.name,
        model: reader.model,
        group: reader.group,
        topic: reader.topic,
        waiting_records: waiting,
        oldest_s: oldest(run).map(|age| age.as_secs_f64()),
        rates,
        drained: drain.name(),
        drained_s: drain.seconds(),
        drain,
    }
}

/// Unknown if it is unknown of a partition where something waits.
fn oldest(run: &[Behind]) -> Option<Duration> {
    let waits = |line: &&Behind| line.place.waiting > 0;
    let ages: Option<Vec<Duration>> = run.iter().filter(waits).map(|line| line.oldest).collect();
    ages?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::readers::Reader;

    fn behind(partition: i32, waiting: i64, oldest_s: Option<u64>) -> Behind {
        Behind {
            place: Place {
                reader: Reader {
                    name: "infer".to_owned(),
                    model: "digits".to_owned(),
                    group: "mill.infer.digits".to_owned(),
                    topic: "mill.requests.digits".to_owned(),
                },
                partition,
                committed: Some(100),
                start: 0,
                end: 100 + waiting,
                waiting,
            },
            oldest: oldest_s.map(Duration::from_secs),
            moved: Moved {
                ends: Some(10),
                committed: Some(30),
            },
            over: Duration::from_secs(2),
        }
    }

    #[test]
    fn partitions_of_a_reader_become_one_line() {
        let lines = [
            behind(0, 20, Some(3)),
            behind(1, 0, None),
            behind(2, 10, Some(7)),
        ];
        let sums = sums(&lines);
        assert_eq!(sums.len(), 1);
        assert_eq!(
            sums[0].cells(),
            ["infer", "digits", "30", "7 s", "15", "45", "1 s"]
        );
    }

    #[test]
    fn an_age_that_one_partition_does_not_know_is_unknown() {
        let line = figures(&[behind(0, 20, Some(3)), behind(1, 1, None)]);
        assert_eq!(line.cells()[3], "unknown");
        let idle = figures(&[behind(0, 0, None)]);
        assert_eq!((idle.cells()[3].as_str(), idle.drained), ("-", "done"));
    }

    #[test]
    fn the_table_fits_80_columns() {
        let wide = Partition {
            figures: figures(&[behind(17, 123_456_789, Some(1_000_000))]),
            partition: 17,
            committed: Some(1_234_567_890),
            start: 0,
            end: 0,
        };
        for line in output::table(&[wide]).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
