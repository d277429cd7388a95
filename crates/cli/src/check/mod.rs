//! `millrace check`: is everything there that the line needs? Each finding says what to do.

mod brokers;
mod clocks;
mod dead_letters;
mod destinations;
mod models;

use std::collections::BTreeMap;

use crate::connection::{Connection, ConnectionArgs};
use crate::exit::Exit;
use crate::findings::Findings;
use crate::lane::BULK_END;
use crate::output::Output;
use crate::topics::{Description, compare};

/// Looks at everything, prints what it found, and fails if something must be mended.
///
/// # Errors
/// At least one finding is an error; the exit code is then 1.
pub(crate) fn run(args: &ConnectionArgs, output: Output) -> anyhow::Result<()> {
    let mut findings = Findings::default();
    // Without settings there is nothing to look at.
    args.cluster()?;
    match args.open() {
        Err(error) => {
            findings.error("brokers", format!("{error:#}"));
            destinations::look(args, &mut findings);
            // The exit code says that nobody answered.
            findings.conclude(output).ok();
            return Err(
                Exit::Unreachable.error("no Kafka broker answers; nothing else was looked at")
            );
        }
        Ok(connection) => {
            if let Err(error) = look(&connection, &mut findings) {
                findings.error(
                    "brokers",
                    format!("{error:#}; look again with millrace check"),
                );
            }
        }
    }
    destinations::look(args, &mut findings);
    findings.conclude(output)
}

fn look(connection: &Connection, findings: &mut Findings) -> anyhow::Result<()> {
    let brokers = brokers::look(connection, findings)?;
    let specs = Description::of(Vec::new()).specs_of_all_models(connection)?;
    let actual = compare::actual(&connection.admin, &specs)?;
    topics(&actual, (connection, &specs, brokers), findings);
    if !actual.contains_key(&connection.topic("models")) {
        return Ok(());
    }
    let letters_before = dead_letters::ends(connection, &actual)?;
    let clocks = clocks::Watch::start(connection)?;
    let board = clocks.finish(findings)?;
    models::look(&board, &connection.models()?, findings);
    dead_letters::look(connection, letters_before, findings)
}

fn topics(
    actual: &BTreeMap<String, compare::Actual>,
    (connection, specs, brokers): (&Connection, &[millrace_kafka::TopicSpec], usize),
    findings: &mut Findings,
) {
    compare::compare(specs, actual, brokers, findings);
    let requests = connection.topic("requests.");
    let models: Vec<&compare::Actual> = actual
        .values()
        .filter(|topic| topic.layout.name.starts_with(&requests))
        .collect();
    if models.is_empty() {
        let hint = format!(
            "no topic begins with {requests}; create some: millrace topics apply --model NAME"
        );
        findings.warning("topics", hint);
    }
    for asked in models {
        let model = asked
            .layout
            .name
            .strip_prefix(&requests)
            .unwrap_or_default();
        let model = model.strip_suffix(BULK_END).unwrap_or(model);
        let name = connection.topic(&format!("results.{model}"));
        let Some(answered) = actual.get(&name) else {
            continue;
        };
        // Results go to the partition of the same number.
        let counts = [asked, answered].map(|topic| topic.layout.partitions.len());
        if counts[1] < counts[0] {
            let text = format!(
                "has {} partitions, the requests have {}: results of the others have nowhere to \
                 go; add partitions: kafka-topics.sh --alter --topic {name} --partitions {}",
                counts[1], counts[0], counts[0]
            );
            findings.error(&name, text);
        }
    }
}
