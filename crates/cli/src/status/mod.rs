//! `millrace status`: the whole line on one screen.

mod screen;
mod snapshot;
mod terminal;
mod watch;

use std::thread;
use std::time::{Duration, Instant};

use millrace_boot::Shutdown;

use crate::connection::Connection;
use crate::output::{self, Output};

use snapshot::Snapshot;
use terminal::Terminal;
use watch::Watch;

const INTERVAL: Duration = Duration::from_secs(1);
const GLANCE: Duration = Duration::from_millis(50);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print it once and end, as happens by itself where there is no terminal
    #[arg(long)]
    once: bool,
}

pub(crate) fn run(args: &Args, connection: &Connection, output: Output) -> anyhow::Result<()> {
    let mut watch = Watch::start(connection)?;
    let first = watch.look(connection)?;
    let is_live = output == Output::Text && !args.once;
    match is_live.then(Terminal::of_stdout).flatten() {
        None => once(&mut watch, connection, output),
        Some(terminal) => live(&mut watch, (connection, first), terminal),
    }?;
    watch.stop()
}

/// Rates need a second look.
fn once(watch: &mut Watch, connection: &Connection, output: Output) -> anyhow::Result<()> {
    thread::sleep(INTERVAL);
    let snapshot = watch.look(connection)?;
    match output {
        Output::Json => output::json(&snapshot),
        Output::Text => {
            let screen = screen::draw(&snapshot, (output::WIDTH, usize::MAX));
            output::write(screen.as_bytes())
        }
    }
}

fn live(
    watch: &mut Watch,
    (connection, mut snapshot): (&Connection, Snapshot),
    mut terminal: Terminal,
) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let mut trouble = None;
    while !shutdown.is_begun() {
        let next = Instant::now() + INTERVAL;
        terminal.show(&snapshot, trouble.as_deref())?;
        while Instant::now() < next && !shutdown.is_begun() {
            thread::sleep(GLANCE);
        }
        // A broker that goes away may come back: the screen stays and says so.
        match watch.look(connection) {
            Ok(newer) => (snapshot, trouble) = (newer, None),
            Err(error) => trouble = Some(format!("{error:#}")),
        }
    }
    drop(terminal);
    let last = screen::draw(&snapshot, (output::WIDTH, usize::MAX));
    output::write(last.as_bytes())
}
