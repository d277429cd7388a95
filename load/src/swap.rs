//! `POST /v1/models/ffnn:predict` while new versions of the model are loaded and take over, beside the same load without.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use millrace_openloop::{self as open_loop, Connection, Load, Outcome, Request};
use serde::Serialize;

use crate::line::{Line, MODEL};
use crate::options::Options;
use crate::probe::{Probe, index};
use crate::reference::Reference;
use crate::say;

/// Callers and requests per second: a load that leaves the cores time to load a model.
const LOAD: (usize, u32) = (16, 400);

/// Between two new versions: infer looks every 5 s.
const BETWEEN: Duration = Duration::from_secs(5);

/// The windows in their order.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version 1 serves.
    pub before: Outcome,
    /// Versions take over from each other.
    pub during: Outcome,
    /// The last one serves.
    pub after: Outcome,
    /// New versions that were there before the window's end.
    pub versions: i64,
}

impl Report {
    /// The 99th percentile while versions change, by the one before.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.during.latency.p99_ms / self.before.latency.p99_ms
    }

    /// The table in Markdown.
    ///
    /// # Errors
    /// Never.
    pub fn write(&self, text: &mut String) -> anyhow::Result<()> {
        let (callers, rate) = LOAD;
        writeln!(
            text,
            "## Hot swap under {rate} requests/s, {callers} callers\n"
        )?;
        writeln!(
            text,
            "| {:<20} |   p50 |   p99 |    max | Errors |",
            "Window"
        )?;
        writeln!(text, "|:{:-<20}-|------:|------:|-------:|-------:|", "")?;
        let during = format!("{} new versions", self.versions);
        for (name, outcome) in [
            ("before", &self.before),
            (&*during, &self.during),
            ("after", &self.after),
        ] {
            let latency = &outcome.latency;
            writeln!(
                text,
                "| {name:<20} | {:>5.2} | {:>5.1} | {:>6.1} | {:>6} |",
                latency.p50_ms,
                latency.p99_ms,
                latency.max_ms,
                outcome.errors + outcome.unsent
            )?;
        }
        writeln!(text, "\np99 during by before: {:.2}\n", self.ratio())?;
        Ok(())
    }
}

/// Measures everything.
///
/// # Errors
/// When a service fails, an answer is wrong, or no version has taken over.
pub fn measure(options: &Options, reference: &mut Reference, dir: &Path) -> anyhow::Result<Report> {
    let models = Models::copy(options, dir)?;
    let options = Options {
        models: models.folder.clone(),
        ..options.clone()
    };
    let line = Line::new(&options, "swap", dir)?;
    let [infer, ingest] = line.start_services()?;
    let probes = Arc::new(Probe::all(reference)?);
    let run = |name: &str| {
        say(&format!("swap: {name}"));
        let caller = |_| {
            let mut connection = Connection::new(ingest.address);
            let probes = Arc::clone(&probes);
            move |number: u64| {
                let probe = &probes[index(number)];
                probe.check(&connection.send(&probe.request)?)
            }
        };
        let plan = options.plan();
        let load = Load {
            rate_per_s: LOAD.1,
            warm_up: plan.warm_up,
            measured: plan.measured,
        };
        open_loop::run(load, (0..LOAD.0).map(caller).collect())
    };
    let before = run("version 1")?;
    let is_over = AtomicBool::new(false);
    let (during, versions) = thread::scope(|scope| {
        let writer = scope.spawn(|| models.change_until(&is_over));
        let during = run("new versions");
        is_over.store(true, Ordering::Relaxed);
        let versions = writer
            .join()
            .map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        Ok::<_, anyhow::Error>((during?, versions?))
    })?;
    let after = run("the last version")?;
    let mut connection = Connection::new(ingest.address);
    let status = connection.send(&Request::get(&format!("/v1/models/{MODEL}")))?;
    let serves = format!("\"{versions}\"");
    let status = String::from_utf8_lossy(status.body).into_owned();
    ensure!(
        status.contains(&serves),
        "version {versions} does not serve: {status}"
    );
    ingest.process.stop()?;
    infer.process.stop()?;
    Ok(Report {
        before,
        during,
        after,
        versions: versions - 1,
    })
}

/// A folder with the model, which grows versions that differ in their bytes alone.
struct Models {
    folder: PathBuf,
    bytes: Vec<u8>,
}

impl Models {
    fn copy(options: &Options, dir: &Path) -> anyhow::Result<Self> {
        let file = options.models.join(MODEL).join("1/model.onnx");
        let bytes =
            fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let models = Self {
            folder: dir.join("swap-models"),
            bytes,
        };
        models.put(1)?;
        Ok(models)
    }

    fn put(&self, version: i64) -> anyhow::Result<()> {
        let model = self.folder.join(MODEL);
        let parts = model.join("parts");
        fs::create_dir_all(&parts)?;
        let text = version.to_string();
        // Field 6 of an ONNX model is its doc string; the last one counts.
        let end = [&[0x32, u8::try_from(text.len())?], text.as_bytes()].concat();
        fs::write(parts.join("model.onnx"), [&*self.bytes, &end].concat())?;
        fs::rename(&parts, model.join(text))?;
        Ok(())
    }

    /// A new version from time to time; the number of the last.
    fn change_until(&self, is_over: &AtomicBool) -> anyhow::Result<i64> {
        let (start, mut version) = (Instant::now(), 1);
        while !is_over.load(Ordering::Relaxed) {
            let due = BETWEEN * u32::try_from(version)?;
            if start.elapsed() >= due {
                version += 1;
                self.put(version)?;
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(version)
    }
}
