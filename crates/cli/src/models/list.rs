//! `millrace models list`.

use crate::board::{Board, Version};
use crate::output::{self, Line, Output};
use crate::when;

impl Line for Version {
    const HEADINGS: &'static [&'static str] = &[
        "MODEL", "VERSION", "STATE", "REPLICAS", "WAITING", "LABELS", "NOTES",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.model.clone(),
            self.version.to_string(),
            self.state.to_owned(),
            self.replicas.to_string(),
            self.backlog_records.to_string(),
            labels(self),
            notes(self),
        ]
    }
}

pub(super) fn run(board: &Board, output: Output) -> anyhow::Result<()> {
    let nothing = "no model is served; start millrace-infer with the same topics.prefix";
    output::print(output, &board.versions(when::now_unix_ms()), nothing)
}

/// The labels, with the canary's share.
pub(super) fn labels(version: &Version) -> String {
    let mut labels = version.labels.join(", ");
    if version.canary_percent > 0 {
        labels.push_str(&format!(" ({} %)", version.canary_percent));
    }
    labels
}

pub(super) fn notes(version: &Version) -> String {
    let mut notes = Vec::new();
    if !version.reason.is_empty() {
        notes.push(version.reason.clone());
    }
    if version.weights_differ {
        notes.push("replicas have different weights".to_owned());
    }
    if version.gone > 0 {
        notes.push(format!("{} replicas are gone", version.gone));
    }
    notes.join("; ")
}
