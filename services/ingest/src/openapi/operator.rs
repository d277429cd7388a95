//! What operators and their tools ask, and this description itself.

use super::operation::{Good, Operation};

const TAG: &str = "Operator";
const JSON: &str = "application/json";

pub(super) fn operations() -> Vec<Operation> {
    let not_ready = Good {
        status: 503,
        means: "Not ready; the reasons name the closed gates.",
        media: &[(JSON, "Ready")],
    };
    let all = [
        ask(
            "/live",
            "live",
            "Whether the process runs",
            &[(JSON, "Live")],
        ),
        Operation {
            answers: vec![Good::ok("Ready.", &[(JSON, "Ready")]), not_ready],
            ..ask(
                "/ready",
                "ready",
                "Whether somebody alive serves a model",
                &[],
            )
        },
        Operation {
            is_open: false,
            refusals: &[401],
            ..ask(
                "/metrics",
                "metrics",
                "Metrics for Prometheus",
                &[(OPEN_METRICS, "Text"), (CLASSIC_METRICS, "Text")],
            )
        },
        ask(
            "/openapi.json",
            "describe",
            "This description",
            &[(JSON, "Anything")],
        ),
        ask(
            "/docs",
            "docs",
            "A page to try requests",
            &[("text/html", "Text")],
        ),
    ];
    all.map(|it| Operation { tag: TAG, ..it }).into()
}

const OPEN_METRICS: &str = "application/openmetrics-text";
const CLASSIC_METRICS: &str = "text/plain";

fn ask(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    media: &'static [(&'static str, &'static str)],
) -> Operation {
    Operation {
        answers: vec![Good::ok("The answer.", media)],
        refusals: &[],
        is_open: true,
        ..Operation::get(path, id, summary)
    }
}
