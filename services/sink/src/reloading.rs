//! Makes the running pipelines follow new settings: stops those that are gone, starts new ones, and leaves the others alone.

use anyhow::Context;
use tracing::{error, info, warn};

use crate::pipeline::{Pipeline, Prepared, Shared};
use crate::settings::{PipelineSettings, Settings};

/// Reads the settings again and applies them. Settings that cannot be read, or that name a
/// destination that cannot be opened, change nothing.
///
/// # Errors
/// A pipeline that did not stop well, or could not be started after the one before it was
/// stopped: the process then works by no settings at all and must end.
pub(crate) fn follow(
    pipelines: &mut Vec<Pipeline>,
    shared: &mut Shared,
    read: impl Fn() -> anyhow::Result<Settings>,
) -> anyhow::Result<()> {
    let prepared = read().and_then(|settings| {
        let changes = prepare(pipelines, &settings, shared)?;
        Ok((settings, changes))
    });
    let (settings, changes) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            let error = format!("{error:#}");
            error!(
                error,
                "the new settings are refused; everything goes on as before"
            );
            shared.metrics.reloaded("refused");
            return Ok(());
        }
    };
    if !same_process(&settings, &shared.settings) {
        warn!("settings outside of [[pipelines]] have changed; they count after the next start");
    }
    if changes.starting.is_empty() && changes.stopping.is_empty() {
        info!("the settings were read again; no pipeline has changed");
        shared.metrics.reloaded("unchanged");
        return Ok(());
    }
    shared.settings.pipelines = settings.pipelines;
    apply(pipelines, shared, changes)?;
    shared.metrics.reloaded("applied");
    Ok(())
}

struct Changes {
    /// By name: gone, or to be started anew.
    stopping: Vec<String>,
    starting: Vec<Prepared>,
}

fn prepare(running: &[Pipeline], settings: &Settings, shared: &Shared) -> anyhow::Result<Changes> {
    let mut changes = Changes {
        stopping: Vec::new(),
        starting: Vec::new(),
    };
    for pipeline in running {
        let kept = settings
            .pipelines
            .iter()
            .any(|new| new == pipeline.settings());
        if !kept {
            changes.stopping.push(pipeline.settings().name.clone());
        }
    }
    for new in &settings.pipelines {
        let is_running = |new: &PipelineSettings| running.iter().any(|old| old.settings() == new);
        if !is_running(new) {
            changes.starting.push(Pipeline::prepare(new, shared)?);
        }
    }
    Ok(changes)
}

fn apply(pipelines: &mut Vec<Pipeline>, shared: &Shared, changes: Changes) -> anyhow::Result<()> {
    for name in changes.stopping {
        let Some(index) = pipelines.iter().position(|old| old.settings().name == name) else {
            continue;
        };
        pipelines
            .remove(index)
            .stop(shared.settings.drain_deadline)?;
        info!(pipeline = name, "stopped, by the new settings");
    }
    for prepared in changes.starting {
        let started = Pipeline::start(prepared, shared)
            .context("a pipeline of the new settings cannot be started")?;
        info!(
            pipeline = started.settings().name,
            "started, by the new settings"
        );
        pipelines.push(started);
    }
    Ok(())
}

/// Whether everything but the pipelines is as it was.
fn same_process(new: &Settings, old: &Settings) -> bool {
    let without_pipelines = |settings: &Settings| {
        serde_json::to_value(Settings {
            pipelines: Vec::new(),
            ..settings.clone()
        })
    };
    match (without_pipelines(new), without_pipelines(old)) {
        (Ok(new), Ok(old)) => new == old,
        _ => false,
    }
}
