//! The report as people read it.

use millrace_openloop::Summary;

use super::report::Report;
use super::tally::Apart;
use crate::output;
use crate::progress::grouped;

/// The report as text, 80 columns wide.
pub(super) fn text(report: &Report) -> String {
    let mut facts = vec![
        (
            "replay",
            format!(
                "{}, by {} version {}",
                report.replay, report.model, report.version
            ),
        ),
        ("requests", report.requests.clone()),
        (
            "results",
            format!("{} in {}", grouped(report.results), report.to),
        ),
        ("agreement", agreement(report)),
    ];
    if let Some(top1) = report.top1 {
        let rows = (grouped(top1.agreeing), grouped(top1.rows));
        let part = percent(top1.agreement);
        facts.push(("top-1", format!("{part}, {} of {} rows", rows.0, rows.1)));
    }
    for sentence in apart(&report.apart) {
        facts.push(("apart", sentence));
    }
    for (status, count) in &report.failures {
        facts.push(("failures", format!("{} {status}", grouped(*count))));
    }
    facts.push(("latency", latency(&report.latency)));
    facts.push(("before", latency(&report.latency_before)));
    let mut text = String::new();
    for (name, fact) in &facts {
        text.push_str(&format!("{name:<11}{}\n", output::plain(fact)));
    }
    if !report.largest_differences.is_empty() {
        text.push('\n');
        text.push_str(&output::table(&report.largest_differences));
    }
    text
}

fn agreement(report: &Report) -> String {
    let Some(agreement) = report.agreement else {
        return "unknown: there is nothing to compare with".to_owned();
    };
    format!(
        "{}, {} of {} answers within {}",
        percent(agreement),
        grouped(report.agreeing),
        grouped(report.compared),
        report.tolerance
    )
}

/// All but everything is not 100 %.
fn percent(part: f64) -> String {
    let percent = part * 100.0;
    let shown = format!("{percent:.2}");
    match part < 1.0 && shown == "100.00" {
        true => "99.99 %".to_owned(),
        false => format!("{shown} %"),
    }
}

fn apart(apart: &Apart) -> Vec<String> {
    let reasons = [
        (apart.no_original, "were not answered before"),
        (apart.failed, "failed, and did not before"),
        (apart.original_failed, "failed before, and do not now"),
        (apart.both_failed, "failed, then as now"),
        (apart.other_outputs, "have other outputs"),
        (apart.other_dtypes, "have an output of another type"),
        (apart.other_shapes, "have an output of another shape"),
        (apart.unreadable, "cannot be read"),
    ];
    let some = reasons.into_iter().filter(|(count, _)| *count > 0);
    some.map(|(count, what)| format!("{} {what}", grouped(count)))
        .collect()
}

fn latency(latency: &Summary) -> String {
    if latency.count == 0 {
        return "unknown".to_owned();
    }
    format!(
        "median {:.1} ms, 90 % {:.1} ms, 99 % {:.1} ms, longest {:.1} ms",
        latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_fits_80_columns_and_almost_is_not_all() {
        let report = Report {
            replay: "0123456789abcdef".to_owned(),
            model: "digits".to_owned(),
            version: 2,
            requests: "mill.requests.digits".to_owned(),
            to: "mill.results.shadow".to_owned(),
            stretch: [(0, [0, 2_000_000])].into(),
            results: 2_000_000,
            compared: 1_999_990,
            agreeing: 1_999_989,
            agreement: Some(0.999_999_9),
            tolerance: 0.000_01,
            top1: None,
            apart: Apart {
                failed: 3,
                no_original: 7,
                ..Apart::default()
            },
            failures: [("INVALID_ARGUMENT".to_owned(), 3)].into(),
            largest_differences: Vec::new(),
            latency: Summary {
                count: 5,
                p50_ms: 1.25,
                ..Summary::default()
            },
            latency_before: Summary::default(),
            begun_unix_ms: 0,
            finished_unix_ms: 1,
        };
        let text = text(&report);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        for part in [
            "99.99 %, 1,999,989 of 1,999,990 answers within 0.00001",
            "7 were not answered before",
            "3 failed, and did not before",
            "3 INVALID_ARGUMENT",
            "median 1.2 ms",
            "before     unknown",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
