//! How far a long command is: a bar in a terminal, plain lines elsewhere; both on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// The rate is that of about so much time.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// All there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Total {
    Rows(u64),
    /// Where rows are not counted before they are read.
    Bytes(u64),
    /// There is no end that is known.
    Open,
}

/// What is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) rows: u64,
    /// Bytes of the input up to there.
    pub(crate) bytes: u64,
}

pub(crate) struct Progress {
    /// What is being done, as in "scored".
    verb: &'static str,
    noun: &'static str,
    total: Total,
    bar: Option<ProgressBar>,
    next_line: Instant,
    /// Where the measured time began.
    since: (Instant, Done),
    newer: (Instant, Done),
}

impl Progress {
    /// Begins at `done`, which an earlier run may have left.
    pub(crate) fn start(verb: &'static str, total: Total, done: Done) -> Self {
        let now = Instant::now();
        let length = match total {
            Total::Rows(rows) => rows,
            Total::Bytes(bytes) => bytes,
            Total::Open => 0,
        };
        let bar = io::stderr().is_terminal().then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(5));
            let style = ProgressStyle::with_template("{bar:24} {msg}");
            bar.with_style(style.expect("the template is right").progress_chars("=> "))
        });
        Self {
            verb,
            noun: "rows",
            total,
            bar,
            next_line: now + LINE_INTERVAL,
            since: (now, done),
            newer: (now, done),
        }
    }

    /// The same for something else than rows.
    pub(crate) fn of(self, noun: &'static str) -> Self {
        Self { noun, ..self }
    }

    /// Shows how far it is; cheap enough to be called often.
    pub(crate) fn show(&mut self, done: Done) {
        let now = Instant::now();
        if now.duration_since(self.newer.0) >= RATE_WINDOW {
            self.since = std::mem::replace(&mut self.newer, (now, done));
        }
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.part(done));
                bar.set_message(self.sentence(done, now));
            }
            None if now >= self.next_line => {
                self.next_line = now + LINE_INTERVAL;
                // Standard error may be closed; the work goes on.
                let _ = writeln!(io::stderr(), "{} {}", self.verb, self.sentence(done, now));
            }
            None => {}
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn part(&self, done: Done) -> u64 {
        match self.total {
            Total::Rows(_) | Total::Open => done.rows,
            Total::Bytes(_) => done.bytes,
        }
    }

    fn sentence(&self, done: Done, now: Instant) -> String {
        let seconds = now.duration_since(self.since.0).as_secs_f64();
        let before = self.since.1;
        let rows_per_second = rate(done.rows - before.rows.min(done.rows), seconds);
        let part = self.part(done);
        let pace = rate(part - self.part(before).min(part), seconds);
        let (count, noun) = (grouped(done.rows), self.noun);
        let per_second = grouped(rounded(rows_per_second));
        let (whole, of) = match self.total {
            Total::Rows(rows) => (rows, format!("{count} of {} {noun}", grouped(rows))),
            Total::Bytes(bytes) => (bytes, format!("{count} {noun}, {} %", percent(part, bytes))),
            Total::Open => return format!("{count} {noun}, {per_second}/s"),
        };
        let left = whole.saturating_sub(part);
        format!("{of}, {per_second}/s, {}", time_left(left, pace))
    }
}

fn rate(amount: u64, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    let amount = amount as f64;
    if seconds > 0.0 { amount / seconds } else { 0.0 }
}

fn rounded(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "for display; the cast saturates"
    )]
    let rounded = value.round() as u64;
    rounded
}

fn percent(part: u64, whole: u64) -> u64 {
    let parts = u128::from(part.min(whole)) * 100;
    u64::try_from(parts / u128::from(whole.max(1))).unwrap_or(100)
}

fn time_left(left: u64, pace: f64) -> String {
    if left == 0 {
        return "0 s left".to_owned();
    }
    if pace <= 0.0 {
        return "starting".to_owned();
    }
    let seconds = rounded(rate(left, pace));
    format!("{} left", duration(seconds))
}

/// Seconds as people read them: `42 s`, `3 min 5 s`, `2 h 10 min`.
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A number with commas: `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_for_people() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(123_456), "123,456");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(duration(42), "42 s");
        assert_eq!(duration(185), "3 min 5 s");
        assert_eq!(duration(7_800), "2 h 10 min");
    }

    #[test]
    fn a_line_says_rows_rate_and_time_left_and_fits_80_columns() {
        let begun = Instant::now();
        let mut progress = Progress::start("scored", Total::Rows(10_000_000), Done::default());
        progress.since = (begun, Done::default());
        let done = Done {
            rows: 2_500_000,
            bytes: 0,
        };
        let sentence = progress.sentence(done, begun + Duration::from_secs(100));
        assert_eq!(
            sentence,
            "2,500,000 of 10,000,000 rows, 25,000/s, 5 min 0 s left"
        );
        assert!(sentence.len() + 25 <= 80, "{sentence}");
    }

    #[test]
    fn where_rows_are_not_counted_bytes_say_how_far_it_is() {
        let begun = Instant::now();
        let mut progress = Progress::start("scored", Total::Bytes(1_000), Done::default());
        progress.since = (begun, Done::default());
        let done = Done {
            rows: 30,
            bytes: 250,
        };
        let sentence = progress.sentence(done, begun + Duration::from_secs(10));
        assert_eq!(sentence, "30 rows, 25 %, 3/s, 30 s left");
    }
}
