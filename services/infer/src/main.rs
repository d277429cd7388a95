//! `millrace-infer`: serves the models of a folder from Kafka to Kafka.

use clap::Parser;
use millrace_boot::{CommonArgs, Shutdown};
use millrace_infer::{App, Settings};

/// Serves models over Kafka: reads requests, runs them in batches, writes results
#[derive(Parser)]
#[command(name = "millrace-infer", version)]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let settings: Settings = millrace_boot::load(&args.common)?;
    if args.common.check_config {
        return Ok(millrace_boot::confirm_valid("millrace-infer")?);
    }
    let _telemetry = millrace_boot::install(&settings.telemetry, "millrace-infer")?;
    let shutdown = Shutdown::on_signals()?;
    let app = App::build(settings, shutdown)?;
    app.run_until_stopped().await
}
