//! The screen as text: everything that fits, and how much does not.

use std::time::Duration;

use crate::lag::drain;
use crate::output::{plain, shortened};
use crate::when;

use super::snapshot::{Model, Snapshot, Waiting};

/// Lines of so many columns, at most so many of them, each ended.
pub(super) fn draw(snapshot: &Snapshot, (width, height): (usize, usize)) -> String {
    let head = head(snapshot);
    let foot = foot(snapshot);
    let mut middle = Vec::new();
    middle.push(row(&MODEL_HEADINGS));
    middle.extend(snapshot.models.iter().flat_map(model));
    if snapshot.models.is_empty() {
        middle.push("no model: millrace topics apply --model NAME, then start infer".to_owned());
    }
    if !snapshot.pipelines.is_empty() {
        middle.push(String::new());
        middle.push(row(&[
            "PIPELINE",
            "",
            "",
            "",
            "WAITING",
            "OLDEST",
            "WRITTEN/S",
        ]));
        middle.extend(snapshot.pipelines.iter().map(pipeline));
    }
    let room = height.saturating_sub(head.len() + foot.len());
    if middle.len() > room {
        let shown = room.saturating_sub(1);
        let hidden = middle.len() - shown;
        middle.truncate(shown);
        middle.push(format!(
            "… {hidden} more lines; millrace status --once shows all"
        ));
    }
    let mut text = String::new();
    for line in head.iter().chain(&middle).chain(&foot) {
        text.push_str(shortened(&plain(line), width).trim_end());
        text.push('\n');
    }
    text
}

const MODEL_HEADINGS: [&str; 7] = [
    "MODEL",
    "VERSION",
    "STATE",
    "REPLICAS",
    "WAITING",
    "OLDEST",
    "RESULTS/S",
];

fn head(snapshot: &Snapshot) -> Vec<String> {
    let unwell = match snapshot.partitions_unwell {
        0 => "all partitions well".to_owned(),
        1 => "1 PARTITION UNWELL".to_owned(),
        several => format!("{several} PARTITIONS UNWELL"),
    };
    let brokers = match snapshot.brokers_answering {
        1 => "1 broker".to_owned(),
        several => format!("{several} brokers"),
    };
    let line = format!("{} at {}", snapshot.prefix, snapshot.brokers);
    vec![
        format!(
            "{:<55}{} UTC",
            shortened(&line, 54),
            when::time(snapshot.at_unix_ms)
        ),
        format!("{brokers}, {unwell}"),
        String::new(),
    ]
}

fn foot(snapshot: &Snapshot) -> Vec<String> {
    let letters = &snapshot.dead_letters;
    let watched = Duration::try_from_secs_f64(letters.watched_s).unwrap_or_default();
    let more = match letters.more {
        0 => String::new(),
        more => format!(", {more} MORE in {}", when::span(watched)),
    };
    vec![
        String::new(),
        format!("DEAD LETTERS {}{more}", letters.records),
    ]
}

/// A line, and a second one with the reason why a replica cannot serve it.
fn model(model: &Model) -> Vec<String> {
    let (version, state, replicas) = match &model.served {
        None => ("-".to_owned(), "NOBODY", "0".to_owned()),
        Some(it) => {
            let gone = if it.gone > 0 {
                format!(" ({} gone)", it.gone)
            } else {
                String::new()
            };
            (
                it.version.to_string(),
                it.state,
                format!("{}{gone}", it.replicas),
            )
        }
    };
    let waiting = &model.waiting;
    let mut lines = vec![row(&[
        &waiting.name,
        &version,
        state,
        &replicas,
        &waiting.waiting_records.to_string(),
        &oldest(waiting),
        &rate(model.results_per_s),
    ])];
    let reason = model.served.as_ref().map(|it| &it.reason);
    lines.extend(
        reason
            .filter(|it| !it.is_empty())
            .map(|reason| format!("  {reason}")),
    );
    lines
}

fn pipeline(pipeline: &Waiting) -> String {
    let count = pipeline.waiting_records.to_string();
    let figures = [count, oldest(pipeline), rate(pipeline.done_per_s)];
    // The name may have the room of the columns that pipelines have not.
    format!(
        "{:<45}{:<10}{:<10}{}",
        shortened(&pipeline.name, 44),
        figures[0],
        figures[1],
        figures[2]
    )
}

fn oldest(waiting: &Waiting) -> String {
    match (waiting.oldest(), waiting.waiting_records) {
        (Some(age), _) => when::span(age),
        (None, 0) => "-".to_owned(),
        (None, _) => "unknown".to_owned(),
    }
}

fn rate(per_s: Option<f64>) -> String {
    match per_s {
        None => "-".to_owned(),
        known => drain::rate(known),
    }
}

fn row(cells: &[&str; 7]) -> String {
    const WIDTHS: [usize; 7] = [14, 8, 11, 12, 10, 10, 15];
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        let cell = shortened(cell, width - 1);
        line.push_str(&format!("{cell:<width$}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Version;
    use crate::status::snapshot::DeadLetters;

    fn waiting(name: &str) -> Waiting {
        Waiting {
            name: name.to_owned(),
            waiting_records: 123_456,
            oldest_s: Some(75.0),
            done_per_s: Some(1234.5),
        }
    }

    fn snapshot(models: usize) -> Snapshot {
        let model = |number: usize| Model {
            served: Some(Version {
                model: "digits".to_owned(),
                version: 1,
                state: "AVAILABLE",
                replicas: 2,
                gone: 1,
                backlog_records: 5,
                labels: Vec::new(),
                canary_percent: 0,
                weights_sha256: String::new(),
                weights_differ: false,
                engine: "onnx".to_owned(),
                reason: String::new(),
            }),
            waiting: waiting(&format!("a-model-with-a-very-long-name-{number}")),
            results_per_s: Some(9876.5),
        };
        Snapshot {
            at_unix_ms: 1_795_384_742_000,
            prefix: "millrace".to_owned(),
            brokers: "a.example:9092,b.example:9092,c.example:9092".to_owned(),
            brokers_answering: 3,
            partitions_unwell: 0,
            models: (0..models).map(model).collect(),
            pipelines: vec![waiting("warehouse: digits")],
            dead_letters: DeadLetters {
                records: 12,
                more: 3,
                watched_s: 61.0,
            },
        }
    }

    #[test]
    fn a_small_line_fits_80_by_24() {
        let text = draw(&snapshot(3), (80, 24));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        for part in [
            "AVAILABLE",
            "2 (1 gone)",
            "warehouse: digits",
            "75 s",
            "3 MORE in 61 s",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_counted_and_the_foot_stays() {
        let text = draw(&snapshot(40), (80, 24));
        assert_eq!(text.lines().count(), 24, "{text}");
        assert!(text.contains("more lines"), "{text}");
        assert!(text.trim_end().ends_with("3 MORE in 61 s"), "{text}");
    }

    #[test]
    fn a_line_without_models_says_what_to_do() {
        let mut empty = snapshot(0);
        empty.partitions_unwell = 2;
        let text = draw(&empty, (80, 24));
        assert!(text.contains("topics apply --model NAME"), "{text}");
        assert!(text.contains("2 PARTITIONS UNWELL"), "{text}");
    }
}
