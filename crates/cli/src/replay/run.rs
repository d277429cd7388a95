//! The way of a replay: what is meant, what is left of it, and the report.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use millrace_kafka::{Metrics, Reader, Transactions};

use super::Args;
use super::book::{self, Page};
use super::flow::{Flow, Interrupted, between};
use super::keeper::{self, Keeper};
use super::pace::Pace;
use super::plan::{Plan, Topics};
use super::printed;
use super::report::{self, Report};
use super::stretch::Offsets;
use super::window::Window;
use crate::connection::Connection;
use crate::conversation::{Asking, Opening};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::lane::Lane;
use crate::output::{self, Output};
use crate::progress::{Done, Progress, Total, grouped};
use crate::served::{self, Served};
use crate::when;
use crate::whole_topic::MAX_RECORD_BYTES;

/// Bytes of copies that may wait for the broker.
const MAX_QUEUE_BYTES: usize = 64 << 20;

pub(super) fn run(args: &Args, connection: &Connection, output: Output) -> anyhow::Result<()> {
    let served = served::find(connection, &args.model)?;
    let topics = Topics::prepare(args, connection)?;
    let book = book::prepare(connection, &topics)?;
    let key = Plan::key(&served.model, served.version, &topics.to);
    let mut transactions = keeper::open(connection, &key)?;
    let plan = match earlier(args, connection, (&book, &key))? {
        Some(plan) => plan,
        None => {
            let plan = Plan::new(args, connection, (&topics, &served))?;
            let page = Page { plan, report: None };
            transactions.write(&[book::record(&book, &key, &page)?])?;
            page.plan
        }
    };
    let until = answer(args, connection, (&plan, &served), &mut transactions)?;
    let report = report::make(connection, (&plan, &until), args.tolerance)?;
    let page = Page {
        plan,
        report: Some(serde_json::to_value(&report)?),
    };
    transactions.write(&[book::record(&book, &key, &page)?])?;
    print(&report, args, output)
}

/// The replay of the same version to the same topic that was not finished.
fn earlier(
    args: &Args,
    connection: &Connection,
    (book, key): (&str, &str),
) -> anyhow::Result<Option<Plan>> {
    if args.restart {
        return Ok(None);
    }
    let page = book::read(connection, book, key)?.filter(|page| page.report.is_none());
    let Some(mut plan) = page.map(|page| page.plan) else {
        return Ok(None);
    };
    if args.follow && plan.until.is_some() {
        return Err(Exit::No.error(format!(
            "replay {} of a stretch is not finished; finish it without --follow, or begin anew \
             with --restart",
            plan.id
        )));
    }
    if !args.follow && plan.until.is_none() {
        // What was followed is finished up to where its requests end now.
        plan.until = Some(super::Edge::End.offsets(connection, &plan.requests)?);
    }
    let begun = when::time(plan.begun_unix_ms);
    // Standard error may be closed; the work goes on.
    let _ = writeln!(
        io::stderr(),
        "going on with replay {} of {begun} UTC; --restart begins anew",
        plan.id
    );
    Ok(Some(plan))
}

/// Lets the version answer what is left of the stretch; says where it ends.
fn answer(
    args: &Args,
    connection: &Connection,
    (plan, served): (&Plan, &Served),
    transactions: &mut Transactions,
) -> anyhow::Result<Offsets> {
    let positions = Keeper::positions(connection, plan)?;
    let left = plan
        .until
        .as_ref()
        .map_or(0, |until| between(&positions, until));
    if plan.until.is_some() && left == 0 {
        return Ok(positions);
    }
    let id_prefix = format!("{}-{:08x}-", plan.id, rand::random::<u32>());
    let asking = Asking::open(
        connection,
        Opening {
            lane: Lane::Interactive,
            served,
            id_prefix: id_prefix.clone(),
            max_queue_bytes: MAX_QUEUE_BYTES,
            deadline: Instant::now() + args.timeout,
        },
    )?;
    let reader = Reader::open(&connection.cluster, MAX_RECORD_BYTES, &Metrics::default())?;
    let interrupt = Interrupt::listen()?;
    let earlier = plan.places().saturating_sub(left);
    let done = Done {
        rows: earlier,
        bytes: 0,
    };
    let total = match plan.until {
        Some(_) => Total::Rows(plan.places()),
        None => Total::Open,
    };
    let partitions = connection.admin.partition_count(&plan.to)?.unwrap_or(1);
    let flow = Flow {
        plan,
        asking: &asking,
        reader: &reader,
        window: Window::new(id_prefix, usize::try_from(args.in_flight)?),
        keeper: Keeper::new(connection, plan, transactions)?,
        pace: Pace::new(args.rate),
        progress: Progress::start("replayed", total, done).of("requests"),
        interrupt: &interrupt,
        copies: copies(connection, served),
        to: (plan.to.as_str().into(), i32::try_from(partitions)?),
        follow_until: args.span.map(|span| Instant::now() + span),
        patience: args.timeout,
        positions,
        ahead: BTreeMap::new(),
        done: earlier,
    };
    let ended = flow.run();
    let is_broker_down = asking.is_broker_down();
    asking.close();
    ended.map_err(|error| stopped(error, is_broker_down, connection))
}

/// Where copies go: to the lane of what may wait, if somebody reads it.
fn copies(connection: &Connection, served: &Served) -> Arc<str> {
    let lane = match served.has_bulk {
        true => Lane::Bulk,
        false => Lane::Interactive,
    };
    connection.topic(&lane.requests(&served.model)).into()
}

fn stopped(error: anyhow::Error, is_broker_down: bool, connection: &Connection) -> anyhow::Error {
    let brokers = &connection.cluster.brokers;
    let error = match is_broker_down && !error.is::<Interrupted>() {
        true => error.context(format!("no broker answers at {brokers}")),
        false => error,
    };
    error.context("what was answered is kept; the same command goes on from there")
}

fn print(report: &Report, args: &Args, output: Output) -> anyhow::Result<()> {
    if let Some(path) = &args.out {
        let mut text = serde_json::to_vec_pretty(report)?;
        text.push(b'\n');
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match output {
        Output::Json => output::json(report)?,
        Output::Text => output::write(printed::text(report).as_bytes())?,
    }
    let Some(required) = args.require else {
        return Ok(());
    };
    match report.agreement {
        Some(agreement) if agreement >= required => Ok(()),
        _ => Err(Exit::No.error(format!(
            "{} of {} answers agree, less than the part of {required} that --require asks for",
            grouped(report.agreeing),
            grouped(report.compared)
        ))),
    }
}
