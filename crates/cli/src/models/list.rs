//! `millrace models list`.

use crate::board::{Board, Version};
use crate::output::{self, Line, Output};
use crate::when;

impl Line for Version {
    const HEADINGS: &'static [&'static str] =
        &["MODEL", "VERSION", "STATE", "REPLICAS", "WAITING", "NOTES"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.model.clone(),
            self.version.to_string(),
            self.state.to_owned(),
            self.replicas.to_string(),
            self.backlog_records.to_string(),
            notes(self),
        ]
    }
}

pub(super) fn run(board: &Board, output: Output) -> anyhow::Result<()> {
    let nothing = "no model is served; start millrace-infer with the same topics.prefix";
    output::print(output, &board.versions(when::now_unix_ms()), nothing)
}

fn notes(version: &Version) -> String {
    let mut notes = Vec::new();
    if !version.reason.is_empty() {
        notes.push(version.reason.clone());
    }
    if version.gone > 0 {
        notes.push(format!("{} replicas are gone", version.gone));
    }
    if !version.labels.is_empty() {
        notes.push(format!("labels: {}", version.labels.join(", ")));
    }
    notes.join("; ")
}
