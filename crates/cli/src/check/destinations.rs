//! The destinations of sink, asked about by the sink itself: it alone knows them.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::connection::ConnectionArgs;
use crate::findings::{Findings, Verdict};

/// The program that knows the destinations; it stands beside this one.
const SINK: &str = "millrace-sink";

pub(super) fn look(args: &ConnectionArgs, findings: &mut Findings) {
    let pipelines = match args.has_pipelines() {
        Ok(pipelines) => pipelines,
        Err(error) => return findings.error("settings", format!("{error:#}")),
    };
    if !pipelines {
        let hint = "not looked at; name the sink's settings with --config";
        return findings.ok("destinations", hint);
    }
    if let Err(error) = ask_sink(args, findings) {
        findings.error("destinations", format!("{error:#}"));
    }
}

fn ask_sink(args: &ConnectionArgs, findings: &mut Findings) -> anyhow::Result<()> {
    let own = std::env::current_exe()?;
    let program = own.parent().unwrap_or(Path::new("")).join(SINK);
    let answer = Command::new(&program)
        .arg("--check")
        .args(args.to_flags())
        .output()
        .with_context(|| format!("cannot run {}, which looks at them", program.display()))?;
    let said = String::from_utf8_lossy(&answer.stdout);
    let before = findings.0.len();
    for line in said.lines() {
        if let Some((verdict, rest)) = line.split_once('\t') {
            let (subject, finding) = rest.split_once('\t').unwrap_or(("destinations", rest));
            let verdict = match verdict {
                "ok" => Verdict::Ok,
                _ => Verdict::Error,
            };
            findings.add(verdict, subject, finding);
        }
    }
    if findings.0.len() == before {
        let said = String::from_utf8_lossy(&answer.stderr);
        anyhow::bail!("{SINK} --check says: {}", said.trim());
    }
    Ok(())
}
