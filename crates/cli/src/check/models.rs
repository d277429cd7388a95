//! Models that nobody serves, replicas that have failed or are gone.

use std::time::Duration;

use millrace_wire::avro::ModelState;

use crate::board::{self, Board};
use crate::findings::Findings;
use crate::when;

/// `wanted` are the models that have topics.
pub(super) fn look(board: &Board, wanted: &[String], findings: &mut Findings) {
    let now = when::now_unix_ms();
    if board.entries().is_empty() && !wanted.is_empty() {
        findings.warning(
            "models",
            "no infer serves anything; start millrace-infer with this line's topics.prefix",
        );
    }
    let served = board.served(now);
    for model in wanted {
        match served.contains(model) {
            true => findings.ok("models", format!("{model} is served")),
            false => findings.warning(
                "models",
                format!("nobody serves {model}; start millrace-infer with it in models.names"),
            ),
        }
    }
    for model in served.iter().filter(|model| !wanted.contains(model)) {
        let hint = format!("{model} is served and has no topics here; is --prefix right?");
        findings.warning("models", hint);
    }
    for it in board.entries() {
        let name = format!(
            "{} version {}, replica {}",
            it.model, it.version, it.replica
        );
        if !board::is_alive(it, now) {
            let gone = now.saturating_sub(it.lease_until_unix_ms).unsigned_abs();
            let since = when::span(Duration::from_millis(gone));
            let text = format!(
                "{name}: its lease ran out {since} ago; it died, or cannot reach Kafka, or its \
                 clock is slow; start millrace-infer again"
            );
            findings.warning("models", text);
        } else if it.state == ModelState::Failed {
            let text = format!(
                "{name} cannot be served: {}; mend the model and restart infer",
                it.reason
            );
            findings.error("models", text);
        }
    }
    if board.undecodable > 0 {
        let text = format!(
            "{} records are no descriptors; is this tool older than the line?",
            board.undecodable
        );
        findings.error("models", text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::{board, descriptor};

    fn found(board: &Board, wanted: &[&str]) -> String {
        let mut findings = Findings::default();
        let wanted: Vec<String> = wanted.iter().map(|&model| model.to_owned()).collect();
        look(board, &wanted, &mut findings);
        format!("{findings:?}")
    }

    #[test]
    fn models_that_nobody_serves_are_found() {
        assert!(found(&board(&[]), &["digits"]).contains("no infer serves anything"));
        let mut serving = descriptor("digits", "a", ModelState::Available);
        serving.lease_until_unix_ms = i64::MAX;
        let text = found(&board(&[serving]), &["digits", "fraud"]);
        assert!(text.contains("digits is served"), "{text}");
        assert!(text.contains("nobody serves fraud"), "{text}");
    }

    #[test]
    fn replicas_that_failed_or_are_gone_are_found_with_their_reasons() {
        let gone = descriptor("digits", "a", ModelState::Available);
        let mut failed = descriptor("digits", "b", ModelState::Failed);
        failed.lease_until_unix_ms = i64::MAX;
        failed.reason = "no such operator".to_owned();
        let text = found(&board(&[gone, failed]), &["digits"]);
        assert!(text.contains("replica a: its lease ran out"), "{text}");
        assert!(
            text.contains("cannot be served: no such operator"),
            "{text}"
        );
    }
}
