//! What ingest costs by itself: `/predict` with 16 floats, answered by an echo
//! in the process in place of Kafka, beside a bare actix handler that reads and
//! answers the same bytes. Both are asked in turn, by a process of its own.
//!
//! `cargo bench --bench alone [-- --rounds 5 --seconds 3 --callers 32]`
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints its figures, and ends if they cannot be taken"
)]

mod caller;
mod served;

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use caller::Report;

/// How long, how often and by how many.
struct Plan {
    rounds: usize,
    seconds: u64,
    callers: usize,
}

/// One server's figures in one round.
struct Figures {
    report: Report,
    /// Processor time of the serving thread per request.
    cpu_us: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, address, callers, seconds] = &arguments[..]
        && role == "caller"
    {
        let seconds = Duration::from_secs(seconds.parse().unwrap());
        let report = caller::call(address.parse().unwrap(), callers.parse().unwrap(), seconds);
        println!("{}", report.to_line());
        return;
    }
    let number = |name: &str, default: u64| {
        let at = arguments.iter().position(|given| given == name);
        at.map_or(default, |at| arguments[at + 1].parse().unwrap())
    };
    let plan = Plan {
        rounds: usize::try_from(number("--rounds", 5)).unwrap(),
        seconds: number("--seconds", 3),
        callers: usize::try_from(number("--callers", 32)).unwrap(),
    };
    measure(&plan);
}

fn measure(plan: &Plan) {
    let ingest = served::ingest();
    let answer = caller::one_answer(ingest);
    println!(
        "answer: {}",
        String::from_utf8_lossy(&answer).replace('\n', "")
    );
    let bare = served::bare(answer);
    println!(
        "{} callers, {} s a round; one worker",
        plan.callers, plan.seconds
    );
    println!("| round | server | requests/s | median us | p99 us | errors | CPU us |");
    println!("|---:|---|---:|---:|---:|---:|---:|");
    let mut ratios = Vec::new();
    let mut cpu_ratios = Vec::new();
    for round in 0..plan.rounds {
        let a = run(plan, round, "bare", bare);
        let b = run(plan, round, "ingest", ingest);
        ratios.push(b.report.per_second / a.report.per_second);
        cpu_ratios.push(a.cpu_us / b.cpu_us);
    }
    println!("requests/s of ingest by bare: {}", spread(&mut ratios));
    println!(
        "CPU per request of bare by ingest: {}",
        spread(&mut cpu_ratios)
    );
}

fn run(plan: &Plan, round: usize, name: &str, address: SocketAddr) -> Figures {
    let before = cpu_seconds();
    let (callers, seconds) = (plan.callers.to_string(), plan.seconds.to_string());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["caller", &address.to_string(), &callers, &seconds])
        .output()
        .unwrap();
    let report = Report::of_line(&String::from_utf8(output.stdout).unwrap());
    let cpu_us = (cpu_seconds() - before) * 1e6 / report.requests;
    println!(
        "| {round} | {name} | {:.0} | {:.0} | {:.0} | {} | {cpu_us:.1} |",
        report.per_second, report.median_us, report.p99_us, report.errors
    );
    Figures { report, cpu_us }
}

/// Median, least and most.
fn spread(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    format!("{:.2} ({least:.2} to {most:.2})", values[values.len() / 2])
}

/// User and system time of the threads that serve, of which one has work at a
/// time, in hundredths of a second. Kafka's clients, which have no broker, do
/// not count.
fn cpu_seconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let stats = threads.filter_map(|it| std::fs::read_to_string(it.ok()?.path().join("stat")).ok());
    let ticks = stats.filter_map(|stat| {
        let (name, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        name.contains("(actix").then_some(ticks()? + ticks()?)
    });
    ticks.sum::<f64>() / 100.0
}
