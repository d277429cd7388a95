//! What came of the load.

use millrace_openloop::{Outcome, Summary};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::{self, Output};

use super::{Args, Way};

#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    over: Way,
    measured_s: f64,
    warm_up_s: f64,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

/// # Errors
/// A request failed or was not sent; the exit code is then 1.
pub(super) fn print(args: &Args, outcome: &Outcome, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Json => output::json(&Report {
            model: &args.model,
            over: args.over,
            measured_s: args.measured.as_secs_f64(),
            warm_up_s: args.warm_up.as_secs_f64(),
            outcome,
        })?,
        Output::Text => output::write(text(args, outcome).as_bytes())?,
    }
    if outcome.errors == 0 && outcome.unsent == 0 {
        return Ok(());
    }
    let first = match &outcome.first_error {
        Some(error) => format!("; the first said: {}", output::plain(error)),
        None => String::new(),
    };
    Err(Exit::No.error(format!(
        "{} requests failed, {} were too late to be sent{first}",
        outcome.errors, outcome.unsent
    )))
}

fn text(args: &Args, outcome: &Outcome) -> String {
    let way = match args.over {
        Way::Http => format!("over HTTP at {}", args.url),
        Way::Kafka => "over Kafka".to_owned(),
    };
    let mut text = format!(
        "{} {way}\n{} callers, {:.0} s after {:.0} s of warm-up\n\n",
        args.model,
        outcome.callers,
        args.measured.as_secs_f64(),
        args.warm_up.as_secs_f64()
    );
    text.push_str(&format!("offered    {}/s\n", outcome.offered_per_s));
    text.push_str(&format!("answered   {:.1}/s\n", outcome.achieved_per_s));
    text.push_str(&format!("failed     {}\n", outcome.errors + outcome.unsent));
    let names = ["median", "p90", "p99", "p99.9", "max"].map(|name| format!("{name:>11}"));
    text.push_str(&format!("\n{:11}{}\n", "", names.concat()));
    text.push_str(&format!("latency    {}\n", milliseconds(&outcome.latency)));
    text.push_str(&format!(
        "sent late  {}\n",
        milliseconds(&outcome.send_delay)
    ));
    if outcome.saturated {
        text.push_str(
            "\nIt did not keep up: these are the latencies of a growing queue. Offer less\n\
             (--rate); if requests were sent late while the line was idle, take more\n\
             --callers.\n",
        );
    }
    text
}

fn milliseconds(summary: &Summary) -> String {
    let figures = [
        summary.p50_ms,
        summary.p90_ms,
        summary.p99_ms,
        summary.p999_ms,
        summary.max_ms,
    ];
    figures.map(|ms| format!("{ms:8.1} ms")).concat()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Parsed {
        #[command(flatten)]
        args: Args,
    }

    fn outcome() -> Outcome {
        Outcome {
            callers: 16,
            offered_per_s: 500,
            achieved_per_s: 499.96,
            saturated: false,
            latency: Summary {
                count: 5000,
                p50_ms: 2.5,
                p90_ms: 4.0,
                p99_ms: 21.0,
                p999_ms: 30.0,
                max_ms: 12_345.6,
            },
            send_delay: Summary::default(),
            errors: 0,
            unsent: 0,
            first_error: None,
        }
    }

    #[test]
    fn figures_stand_under_their_names() {
        let args = Parsed::parse_from(["bench", "--model", "digits"]).args;
        let mut outcome = outcome();
        let text = text(&args, &outcome);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        let end = |part: &str| {
            let line = text.lines().find(|line| line.contains(part)).unwrap();
            line.find(part).unwrap() + part.len()
        };
        assert_eq!(end("median"), end("2.5 ms"), "{text}");
        assert_eq!(end("max"), end("12345.6 ms"), "{text}");
        outcome.saturated = true;
        assert!(super::text(&args, &outcome).contains("did not keep up"));
    }

    #[test]
    fn failed_requests_make_the_answer_no() {
        let args = Parsed::parse_from(["bench", "--model", "digits"]).args;
        let mut outcome = outcome();
        print(&args, &outcome, Output::Text).unwrap();
        outcome.errors = 3;
        outcome.first_error = Some("HTTP 503: too much".to_owned());
        let error = print(&args, &outcome, Output::Text).unwrap_err();
        assert!(error.to_string().contains("HTTP 503: too much"), "{error}");
    }
}
