//! `POST /v1/models/ffnn:predict` in an open loop, beside ONNX Runtime in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use millrace_openloop::{self as open_loop, Connection, Load, Outcome, Summary};
use serde::Serialize;

use crate::cpu::{self, Usage};
use crate::line::{Line, Service};
use crate::options::{Options, Plan};
use crate::probe::{Probe, REQUESTS, index};
use crate::reference::Reference;
use crate::{rows, say};

/// The search begins here and doubles.
const SEARCH_FROM: u32 = 1000;

/// Steps between the last rate that held and the first that did not.
const HALVINGS: u32 = 3;

/// Requests to the services before the first measurement, so that no load pays for first pages and connections.
const FIRST_REQUESTS_PER_S: u32 = 200;

/// One load and what it cost.
#[derive(Debug, Clone, Serialize)]
pub struct Point {
    /// What the callers saw.
    pub outcome: Outcome,
    /// Processor time per request in microseconds, by process; warm-up included.
    pub cpu_us_per_request: Vec<(String, f64)>,
}

/// Everything measured over HTTP.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Bytes of a request's body, on average.
    pub body_bytes: usize,
    /// ONNX Runtime in this process at the first load's rate.
    pub onnx: Summary,
    /// The loads of the plan.
    pub points: Vec<Point>,
    /// The loads of the search.
    pub search: Vec<Outcome>,
    /// The highest rate of the search that held the limit.
    pub highest_per_s: Option<u32>,
    /// What the services used, over their whole life.
    pub usage: Vec<(String, Usage)>,
}

impl Report {
    /// Latency that HTTP, Kafka and the services add at the median, at the first load.
    #[must_use]
    pub fn added_p50_ms(&self) -> Option<f64> {
        Some(self.points.first()?.outcome.latency.p50_ms - self.onnx.p50_ms)
    }
}

/// Measures everything.
///
/// # Errors
/// When a service fails or the plan is empty. Requests that fail are counted, not errors.
pub fn measure(options: &Options, reference: &mut Reference, dir: &Path) -> anyhow::Result<Report> {
    let plan = options.plan();
    let line = Line::new(options, "predict", dir)?;
    let onnx = in_process(&plan, reference)?;
    let [infer, ingest] = line.start_services()?;
    let probes = Arc::new(Probe::all(reference)?);
    let bench = Bench {
        address: ingest.address,
        probes,
        processes: processes(options, [&infer, &ingest]),
    };
    say("predict: first requests");
    let seconds = Duration::from_secs(2);
    bench.run(
        16,
        Load {
            rate_per_s: FIRST_REQUESTS_PER_S,
            warm_up: Duration::ZERO,
            measured: seconds,
        },
    )?;
    let mut points = Vec::new();
    for &(callers, rate_per_s) in &plan.loads {
        say(&format!(
            "predict: {callers} callers, {rate_per_s} requests/s"
        ));
        points.push(bench.point(
            callers,
            Load {
                rate_per_s,
                warm_up: plan.warm_up,
                measured: plan.measured,
            },
        )?);
    }
    let (search, highest_per_s) = bench.search(&plan)?;
    let mut usage = Vec::new();
    for (name, pid) in &bench.processes {
        usage.push((name.clone(), cpu::usage(*pid)?));
    }
    let body_bytes =
        (0..REQUESTS).map(|id| rows::json(id).len()).sum::<usize>() / usize::try_from(REQUESTS)?;
    ingest.process.stop()?;
    infer.process.stop()?;
    Ok(Report {
        body_bytes,
        onnx,
        points,
        search,
        highest_per_s,
        usage,
    })
}

/// The same schedule as the first load, without anything between the caller and ONNX Runtime.
fn in_process(plan: &Plan, reference: &mut Reference) -> anyhow::Result<Summary> {
    let &(_, rate_per_s) = plan.loads.first().context("the plan has no loads")?;
    let inputs: Vec<Vec<f32>> = (0..REQUESTS).map(rows::row).collect();
    let load = Load {
        rate_per_s,
        warm_up: Duration::from_secs(1),
        measured: Duration::from_secs(5),
    };
    let call = |number: u64| reference.answer(&inputs[index(number)]).map(drop);
    let outcome = open_loop::run(load, vec![call])?;
    ensure!(
        outcome.errors == 0,
        "ONNX Runtime in process: {}",
        outcome.first_error.unwrap_or_default()
    );
    Ok(outcome.latency)
}

fn processes(options: &Options, [infer, ingest]: [&Service; 2]) -> Vec<(String, u32)> {
    let mut processes = vec![
        ("ingest".to_owned(), ingest.process.pid()),
        ("infer".to_owned(), infer.process.pid()),
    ];
    processes.extend(cpu::broker_pid(&options.brokers).map(|pid| ("Kafka".to_owned(), pid)));
    processes.push(("callers".to_owned(), std::process::id()));
    processes
}

struct Bench {
    address: SocketAddr,
    probes: Arc<Vec<Probe>>,
    processes: Vec<(String, u32)>,
}

impl Bench {
    fn run(&self, callers: usize, load: Load) -> anyhow::Result<Outcome> {
        let caller = |_| {
            let mut connection = Connection::new(self.address);
            let probes = Arc::clone(&self.probes);
            move |number: u64| {
                let probe = &probes[index(number)];
                probe.check(&connection.send(&probe.request)?)
            }
        };
        open_loop::run(load, (0..callers).map(caller).collect())
    }

    fn point(&self, callers: usize, load: Load) -> anyhow::Result<Point> {
        let before = self.used()?;
        let outcome = self.run(callers, load)?;
        let requests = f64::from(load.rate_per_s) * (load.warm_up + load.measured).as_secs_f64();
        let per_request =
            |(name, after): (String, f64), before: f64| (name, (after - before) * 1e6 / requests);
        let used = self.used()?.into_iter().zip(before);
        Ok(Point {
            outcome,
            cpu_us_per_request: used
                .map(|(after, (_, before))| per_request(after, before))
                .collect(),
        })
    }

    /// Processor seconds by process.
    fn used(&self) -> anyhow::Result<Vec<(String, f64)>> {
        let used =
            |(name, pid): &(String, u32)| Ok((name.clone(), cpu::of_process(*pid)?.as_secs_f64()));
        self.processes.iter().map(used).collect()
    }

    /// Doubles the rate until the limit is broken, then halves the step.
    fn search(&self, plan: &Plan) -> anyhow::Result<(Vec<Outcome>, Option<u32>)> {
        let (mut tried, mut held, mut broken) = (Vec::new(), None, None);
        let mut halvings = 0;
        while let Some(rate_per_s) = next_rate(held, broken).filter(|_| halvings <= HALVINGS) {
            let load = Load {
                rate_per_s,
                warm_up: Duration::from_secs(1),
                measured: plan.search_step,
            };
            let outcome = self.run(plan.search_callers, load)?;
            let holds = holds(&outcome, plan.search_p99);
            say(&format!(
                "predict: search: {rate_per_s} requests/s: p99 {:.1} ms{}",
                outcome.latency.p99_ms,
                if holds { "" } else { ", too much" }
            ));
            *(if holds { &mut held } else { &mut broken }) = Some(rate_per_s);
            halvings += u32::from(broken.is_some());
            tried.push(outcome);
        }
        Ok((tried, held))
    }
}

fn holds(outcome: &Outcome, p99: Duration) -> bool {
    outcome.errors == 0 && !outcome.saturated && outcome.latency.p99_ms <= p99.as_secs_f64() * 1e3
}

/// The next rate to try between what held and what did not; `None` when it cannot be told apart any further.
fn next_rate(held: Option<u32>, broken: Option<u32>) -> Option<u32> {
    match (held, broken) {
        (None, None) => Some(SEARCH_FROM),
        (Some(held), None) => held.checked_mul(2),
        (held, Some(broken)) => {
            let held = held.unwrap_or(0);
            let middle = held.midpoint(broken);
            (middle > held).then_some(middle)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_doubles_until_the_limit_is_broken_and_then_halves() {
        assert_eq!(next_rate(None, None), Some(1000));
        assert_eq!(next_rate(Some(1000), None), Some(2000));
        assert_eq!(next_rate(Some(4000), Some(8000)), Some(6000));
        assert_eq!(next_rate(None, Some(1000)), Some(500));
        assert_eq!(next_rate(Some(7), Some(8)), None);
    }
}
