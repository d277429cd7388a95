//! One line per row for `reports/faults.md`, in the file that `FAULTS_REPORT` names.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use crate::rig::Delivery;

/// What was measured in a run.
pub(crate) struct Figures {
    /// Sent.
    pub(crate) records: usize,
    /// Results beyond the first of their record.
    pub(crate) twice: usize,
    /// The longest time without a result while the fault lasted.
    pub(crate) silence: Duration,
    /// From the last record sent to the last answered.
    pub(crate) rest: Duration,
}

/// A line that is written when the run ends, however it does.
pub(crate) struct Report {
    row: String,
    promise: String,
    figures: Option<Figures>,
    passed: bool,
}

impl Report {
    /// The row's name is the test's, after which its thread is called.
    pub(crate) fn begin(delivery: Delivery, without: Option<&str>) -> Self {
        let promise = match delivery {
            Delivery::AtLeastOnce => "at_least_once",
            Delivery::ExactlyOnce => "exactly_once",
        };
        Self::of(match without {
            None => promise.to_owned(),
            Some(guard) => format!("{promise} without {guard}"),
        })
    }

    /// A row about something else than infer.
    pub(crate) fn of(promise: String) -> Self {
        let thread = std::thread::current();
        let row = thread.name().unwrap_or("?");
        Self {
            row: row.to_owned(),
            promise,
            figures: None,
            passed: false,
        }
    }

    pub(crate) fn measured(&mut self, figures: Figures) {
        self.figures = Some(figures);
    }

    pub(crate) fn passed(&mut self) {
        self.passed = true;
    }

    fn line(&self) -> String {
        let figures = self.figures.as_ref().map_or_else(
            || "-\t-\t-\t-".to_owned(),
            |it| {
                format!(
                    "{}\t{}\t{:.1}\t{:.1}",
                    it.records,
                    it.twice,
                    it.silence.as_secs_f64(),
                    it.rest.as_secs_f64()
                )
            },
        );
        let result = if self.passed { "green" } else { "red" };
        format!("{}\t{}\t{figures}\t{result}\n", self.row, self.promise)
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let line = self.line();
        print!("{line}");
        let Ok(path) = std::env::var("FAULTS_REPORT") else {
            return;
        };
        let file = OpenOptions::new().create(true).append(true).open(path);
        // A drop must not panic; a line that is missing is seen in the report.
        if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            eprintln!("the report cannot be written: {error}");
        }
    }
}
