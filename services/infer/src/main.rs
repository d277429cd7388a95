//! `millrace-infer`: serves the models of a folder from Kafka to Kafka.

use clap::{Parser, Subcommand};
use millrace_boot::{CommonArgs, Shutdown};
use millrace_infer::{App, Settings, TryModel, try_model};

/// Serves models over Kafka: reads requests, runs them in batches, writes results
#[derive(Parser)]
#[command(name = "millrace-infer", version)]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Started by this program itself, for what may end a process
    #[command(hide = true)]
    TryModel(TryModel),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let settings: Settings = millrace_boot::load(&args.common)?;
    if args.common.check_config {
        return Ok(millrace_boot::confirm_valid("millrace-infer")?);
    }
    if args.common.ready {
        let admin = &settings.admin;
        return Ok(millrace_boot::ask_ready(
            &admin.listen,
            admin.port_file.as_deref(),
        )?);
    }
    if let Some(Command::TryModel(tried)) = &args.command {
        return try_model(&settings, tried);
    }
    let _telemetry = millrace_boot::install(&settings.telemetry, "millrace-infer")?;
    let shutdown = Shutdown::on_signals()?;
    let app = App::build(settings, shutdown)?;
    app.run_until_stopped().await
}
