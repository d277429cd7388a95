//! `millrace up`: a whole line on this machine, for as long as this process lives.

mod guard;
mod kafka;
mod layout;
mod models;
mod ports;
mod process;
mod programs;
mod ready;
mod settings;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use millrace_boot::Shutdown;

use crate::connection::ConnectionArgs;
use crate::exit::Exit;
use crate::output::Output;
use crate::topics::{self, Description};

use guard::Guard;
use layout::Layout;
use process::Process;
use programs::Programs;

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of models, <name>/<version>/model.onnx
    #[arg(long, value_name = "PATH", default_value = "models")]
    models: PathBuf,
    /// Where results, Kafka's data and the settings of the services go
    #[arg(long, value_name = "FOLDER", default_value = "millrace-data")]
    data: PathBuf,
    /// Folder of Apache Kafka, to start one of our own where --brokers names none
    #[arg(long, value_name = "FOLDER", env = "KAFKA_HOME")]
    kafka: Option<PathBuf>,
    /// Port of HTTP; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,
    /// Port of gRPC; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    grpc_port: u16,
    /// libonnxruntime.so [default: beside millrace-infer, or the system's]
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
}

/// Runs until Ctrl-C, SIGTERM, or until one of the processes ends.
///
/// # Errors
/// Something is missing, does not come up, or ended by itself. Everything is stopped by then.
pub(crate) fn run(args: &Args, connection: &ConnectionArgs, output: Output) -> anyhow::Result<()> {
    let programs = Programs::find()?;
    let models = models::find(&args.models)?;
    let ports = ports::choose(args.port, args.grpc_port)?;
    let layout = Layout::make(&args.data)?;
    let shutdown = Shutdown::on_signals()?;
    let mut line = Line {
        guard: Guard::start()?,
        shutdown,
        processes: Vec::new(),
    };
    let outcome = line.run(|line| {
        let broker = kafka::find_or_start(args.kafka.as_deref(), connection, (line, &layout))?;
        let reached = connection.open_at(broker.as_deref())?;
        topics::create(&Description::of(models.clone()), &reached)?;
        let plan = settings::Plan {
            cluster: &reached.cluster,
            prefix: &reached.prefix,
            models: &models,
            models_path: &args.models,
            library: args.library.as_deref(),
            ports,
        };
        for service in settings::services(&plan, &layout)? {
            let process = Process::start(&programs.of(service.name), &service, &line.guard)?;
            line.processes.push(process);
        }
        let addresses = line.wait_ready()?;
        ready::tell(&addresses, (&plan, &layout), output)
    });
    line.stop();
    outcome
}

/// Everything that was started, in its order.
pub(super) struct Line {
    guard: Guard,
    shutdown: Shutdown,
    processes: Vec<Process>,
}

impl Line {
    /// Brings everything up, then waits for the end of it.
    fn run(&mut self, up: impl FnOnce(&mut Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        match up(self) {
            // Whoever pressed Ctrl-C while it came up wants no error.
            Err(_) if self.shutdown.is_begun() => return Ok(()),
            other => other?,
        }
        while !self.shutdown.is_begun() {
            self.check_running()?;
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// An error with the last words of the first process that has ended.
    fn check_running(&mut self) -> anyhow::Result<()> {
        self.processes
            .iter_mut()
            .try_for_each(Process::check_running)
    }

    /// Keeps waiting for something as long as everything runs and nobody wants to stop.
    fn wait_for<T>(
        &mut self,
        (what, patience): (&str, Duration),
        mut probe: impl FnMut(&mut Self) -> Option<T>,
    ) -> anyhow::Result<T> {
        let until = std::time::Instant::now() + patience;
        loop {
            if let Some(value) = probe(self) {
                return Ok(value);
            }
            self.check_running()?;
            if self.shutdown.is_begun() {
                return Err(Exit::No.error("called off"));
            }
            if std::time::Instant::now() >= until {
                let seconds = patience.as_secs();
                anyhow::bail!("{what} did not happen within {seconds} s; its log is above");
            }
            thread::sleep(LOOK);
        }
    }

    /// The HTTP addresses of the services, once all are ready.
    fn wait_ready(&mut self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut addresses = Vec::new();
        for index in 0..self.processes.len() {
            let name = self.processes[index].name;
            let what = format!("{name}: being ready");
            let address = self.wait_for((&what, ready::PATIENCE), |line| {
                line.processes[index].ready_address()
            })?;
            addresses.extend(address.map(|address| (name, address)));
        }
        Ok(addresses)
    }

    /// Stops one after another: who takes requests first, Kafka last.
    fn stop(&mut self) {
        let mut processes = std::mem::take(&mut self.processes);
        processes.sort_by_key(|process| process.stop_order);
        for process in processes {
            process.stop(&self.guard);
        }
        self.guard.dismiss();
    }
}
