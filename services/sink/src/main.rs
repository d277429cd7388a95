//! `millrace-sink`: writes results to files and tables.

use clap::Parser;
use millrace_boot::{CommonArgs, Reload, Shutdown};
use millrace_sink::{App, Settings};

const SERVICE: &str = "millrace-sink";

/// Writes results from Kafka to Parquet files and SQLite tables, exactly once
#[derive(Parser)]
#[command(name = SERVICE, version)]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let settings: Settings = millrace_boot::load(&args.common)?;
    if args.common.check_config {
        return Ok(millrace_boot::confirm_valid(SERVICE)?);
    }
    let _telemetry = millrace_boot::install(&settings.telemetry, SERVICE)?;
    let shutdown = Shutdown::on_signals()?;
    let reload = Reload::on_signal_or_change(&args.common)?;
    let read = || Ok(millrace_boot::load(&args.common)?);
    App::build(&settings)?.run_until_stopped(&shutdown, reload, read)
}
