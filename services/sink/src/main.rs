//! `millrace-sink`: writes results to files and tables.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use millrace_boot::{CommonArgs, Reload, Shutdown};
use millrace_sink::{App, Settings};

const SERVICE: &str = "millrace-sink";

/// Writes results from Kafka to files and tables, exactly once
#[derive(Parser)]
#[command(name = SERVICE, version)]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
    /// Look whether the destinations can be used, change nothing, then exit
    #[arg(long)]
    check: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let settings: Settings = millrace_boot::load(&args.common)?;
    if args.common.check_config {
        millrace_boot::confirm_valid(SERVICE)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.common.ready {
        let admin = &settings.admin;
        millrace_boot::ask_ready(&admin.listen, admin.port_file.as_deref())?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.check {
        return Ok(match millrace_sink::check(&settings, &mut io::stdout())? {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        });
    }
    let _telemetry = millrace_boot::install(&settings.telemetry, SERVICE)?;
    let shutdown = Shutdown::on_signals()?;
    let reload = Reload::on_signal_or_change(&args.common)?;
    let read = || Ok(millrace_boot::load(&args.common)?);
    App::build(&settings)?.run_until_stopped(&shutdown, reload, read)?;
    Ok(ExitCode::SUCCESS)
}
