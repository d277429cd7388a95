//! `millrace check`: is everything there that the line needs? Each finding says what to do.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use millrace_wire::avro::{ModelDescriptor, ModelState};
use serde::Serialize;

use crate::connection::{Connection, ConnectionArgs};
use crate::output::{self, Line, Output};
use crate::whole_topic;

/// The program that knows the destinations; it stands beside this one.
const SINK: &str = "millrace-sink";

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// Nothing is wrong yet, and something will not work.
    Warning,
    Error,
}

#[derive(Serialize)]
struct Finding {
    verdict: Verdict,
    subject: String,
    finding: String,
}

impl Line for Finding {
    const HEADINGS: &'static [&'static str] = &["VERDICT", "SUBJECT", "FINDING"];

    fn cells(&self) -> Vec<String> {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Error => "ERROR",
        };
        vec![
            verdict.to_owned(),
            self.subject.clone(),
            self.finding.clone(),
        ]
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, verdict: Verdict, subject: &str, finding: impl Into<String>) {
        self.0.push(Finding {
            verdict,
            subject: subject.to_owned(),
            finding: finding.into(),
        });
    }
}

/// Looks at everything, prints what it found, and fails if something must be mended.
///
/// # Errors
/// At least one finding is an error; the exit code is then 1.
pub(crate) fn run(args: &ConnectionArgs, output: Output) -> anyhow::Result<()> {
    let mut findings = Findings::default();
    match args.open() {
        Err(error) => findings.add(Verdict::Error, "brokers", format!("{error:#}")),
        Ok(connection) => {
            let brokers = &connection.cluster.brokers;
            findings.add(
                Verdict::Ok,
                "brokers",
                format!("Kafka answers at {brokers}"),
            );
            let looked = look(&connection, &mut findings);
            if let Err(error) = looked {
                findings.add(Verdict::Error, "brokers", format!("{error:#}"));
            }
        }
    }
    destinations(args, &mut findings);
    print(&findings.0, output)?;
    let errors = findings
        .0
        .iter()
        .filter(|finding| finding.verdict == Verdict::Error)
        .count();
    match errors {
        0 => Ok(()),
        1 => anyhow::bail!("one finding must be mended"),
        several => anyhow::bail!("{several} findings must be mended"),
    }
}

/// Text in full: what to do stands at the end of a sentence.
fn print(findings: &[Finding], output: Output) -> anyhow::Result<()> {
    if output == Output::Json {
        return output::print(output, findings, "");
    }
    let mut text = String::new();
    for finding in findings {
        let cells = finding.cells();
        text.push_str(&format!("{:<9}{}: {}\n", cells[0], cells[1], cells[2]));
    }
    Ok(std::io::Write::write_all(
        &mut std::io::stdout(),
        text.as_bytes(),
    )?)
}

fn look(connection: &Connection, findings: &mut Findings) -> anyhow::Result<()> {
    let prefix = &connection.prefix;
    let topics: BTreeSet<String> = connection.admin.topics()?.into_iter().collect();
    for name in ["replies", "models", "dead-letters"] {
        let topic = format!("{prefix}.{name}");
        if !topics.contains(&topic) {
            let problem = format!("topic {topic} is missing; create it: millrace topics apply");
            findings.add(Verdict::Error, "topics", problem);
        }
    }
    let requests = format!("{prefix}.requests.");
    let models: Vec<&str> = topics
        .iter()
        .filter_map(|topic| topic.strip_prefix(&requests))
        .collect();
    if models.is_empty() {
        let problem = format!(
            "no topic begins with {requests}; create some: millrace topics apply --model NAME"
        );
        findings.add(Verdict::Warning, "topics", problem);
    }
    for model in &models {
        pair(connection, model, findings)?;
    }
    if !topics.contains(&format!("{prefix}.models")) {
        return Ok(());
    }
    let served = served(connection)?;
    for model in models {
        match served.contains(model) {
            true => findings.add(Verdict::Ok, "models", format!("{model} is served")),
            false => findings.add(
                Verdict::Warning,
                "models",
                format!("nobody serves {model}; start millrace-infer with it in models.names"),
            ),
        }
    }
    Ok(())
}

/// Results go to the partition of the same number.
fn pair(connection: &Connection, model: &str, findings: &mut Findings) -> anyhow::Result<()> {
    let topic = |kind: &str| format!("{}.{kind}.{model}", connection.prefix);
    let (requests, results) = (topic("requests"), topic("results"));
    let asked = connection.admin.partition_count(&requests)?.unwrap_or(0);
    match connection.admin.partition_count(&results)? {
        None => findings.add(
            Verdict::Error,
            "topics",
            format!("topic {results} is missing; create it: millrace topics apply --model {model}"),
        ),
        Some(answered) if answered < asked => findings.add(
            Verdict::Error,
            "topics",
            format!("topic {results} has {answered} partitions, {requests} has {asked}; add partitions to it"),
        ),
        Some(partitions) => findings.add(
            Verdict::Ok,
            "topics",
            format!("{requests} and {results}, {partitions} partitions"),
        ),
    }
    Ok(())
}

/// Models that somebody alive serves.
fn served(connection: &Connection) -> anyhow::Result<BTreeSet<String>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now_unix_ms = i64::try_from(now.as_millis())?;
    let mut newest = std::collections::BTreeMap::new();
    let topic = format!("{}.models", connection.prefix);
    whole_topic::read(connection, &topic, |record| {
        let descriptor = record.value.as_deref().map(ModelDescriptor::decode);
        newest.insert(record.key, descriptor.and_then(Result::ok));
    })?;
    let alive = |descriptor: &ModelDescriptor| {
        descriptor.state == ModelState::Available && descriptor.lease_until_unix_ms > now_unix_ms
    };
    Ok(newest
        .into_values()
        .flatten()
        .filter(alive)
        .map(|descriptor| descriptor.model)
        .collect())
}

/// Asks the sink about its destinations: it alone knows them.
fn destinations(args: &ConnectionArgs, findings: &mut Findings) {
    let pipelines = match args.has_pipelines() {
        Ok(pipelines) => pipelines,
        Err(error) => return findings.add(Verdict::Error, "settings", format!("{error:#}")),
    };
    if !pipelines {
        let hint = "not looked at; name the sink's settings with --config";
        return findings.add(Verdict::Ok, "destinations", hint);
    }
    if let Err(error) = ask_sink(args, findings) {
        findings.add(Verdict::Error, "destinations", format!("{error:#}"));
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
