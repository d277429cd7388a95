//! `millrace-ingest`: takes HTTP requests for predictions and answers them through Kafka.

use anyhow::Context;
use clap::Parser;
use millrace_boot::{CommonArgs, Shutdown};
use millrace_ingest::{App, Settings};

/// Takes HTTP requests for predictions and answers them through Kafka.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let settings: Settings = millrace_boot::load(&args.common)?;
    if args.common.check_config {
        return Ok(millrace_boot::confirm_valid("millrace-ingest")?);
    }
    if args.common.ready {
        return millrace_ingest::ask_ready(&settings);
    }
    let _telemetry = millrace_boot::install(&settings.telemetry, "millrace-ingest")?;
    let shutdown = Shutdown::on_signals().context("cannot watch for signals")?;
    let app = App::build(settings)?;
    actix_web::rt::System::new().block_on(app.run_until_stopped(shutdown))
}
