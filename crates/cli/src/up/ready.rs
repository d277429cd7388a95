//! Whether a service is ready, and what to do once all are.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::output::{self, Output};

use super::layout::Layout;
use super::settings::Plan;

/// How long one service may take to be ready.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
const ANSWER: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Ready<'a> {
    http: &'a str,
    grpc: String,
    brokers: &'a str,
    prefix: &'a str,
    models: &'a [String],
    results: PathBuf,
    settings: PathBuf,
}

/// Whether `/ready` answers 200.
pub(super) fn is_ready(address: &str) -> bool {
    let client = reqwest::blocking::Client::builder()
        .timeout(ANSWER)
        .no_proxy()
        .build();
    let url = format!("http://{address}/ready");
    let answer = client.and_then(|client| client.get(url).send());
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// Prints where everything is.
pub(super) fn tell(
    addresses: &[(&'static str, String)],
    (plan, layout): (&Plan<'_>, &Layout),
    output: Output,
) -> anyhow::Result<()> {
    let ingest = addresses.iter().find(|(name, _)| *name == "ingest");
    let ready = Ready {
        http: ingest.map_or("", |(_, address)| address.as_str()),
        grpc: format!("127.0.0.1:{}", plan.ports.grpc),
        brokers: &plan.cluster.brokers,
        prefix: plan.prefix,
        models: plan.models,
        results: layout.results.clone(),
        settings: layout.settings.clone(),
    };
    match output {
        Output::Json => output::json(&ready),
        Output::Text => output::write(text(&ready, plan).as_bytes()),
    }
}

fn text(ready: &Ready<'_>, plan: &Plan<'_>) -> String {
    let mut text = format!(
        "\nReady: {}. Ctrl-C stops all.\n\n  HTTP     http://{}\n  gRPC     {}\n  Kafka    {}\n  \
         results  {}\n  settings {}\n",
        ready.models.join(", "),
        ready.http,
        ready.grpc,
        ready.brokers,
        ready.results.display(),
        ready.settings.display(),
    );
    let example = plan.models.iter().find_map(|model| {
        let file = plan.models_path.join(model).join("example.json");
        file.is_file().then_some((model, file))
    });
    let http = ready.http;
    text.push_str("\nTry\n\n");
    // Writing to a text cannot fail.
    let _ = match example {
        Some((model, file)) => writeln!(
            text,
            "  curl -d @{} {http}/v1/models/{model}:predict",
            file.display()
        ),
        None => writeln!(text, "  curl {http}/v1/models/{}/metadata", plan.models[0]),
    };
    let flags = format!("--brokers {} --prefix {}", ready.brokers, ready.prefix);
    let _ = writeln!(text, "  millrace status {flags}\n");
    text
}
