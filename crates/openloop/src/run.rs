//! The open loop: callers on threads of their own send on schedule; what is late is sent at once and stays late.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde::Serialize;

use crate::latency::{Latencies, Summary};
use crate::schedule::Schedule;

/// How long after the schedule's end late requests are still sent.
const GRACE: Duration = Duration::from_secs(10);

/// Below this part of the offered rate the run counts as saturated: its latencies are those of a growing queue.
const KEPT_UP: f64 = 0.98;

/// What to offer.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Requests per second, over all callers.
    pub rate_per_s: u32,
    /// Sent, but not measured.
    pub warm_up: Duration,
    /// Measured, after the warm-up.
    pub measured: Duration,
}

/// What came of it, without the warm-up.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Connections that the schedule was spread over.
    pub callers: usize,
    /// Requests per second that should have been sent.
    pub offered_per_s: u32,
    /// Requests per second that were answered rightly.
    pub achieved_per_s: f64,
    /// The system or the generator fell behind.
    pub saturated: bool,
    /// From the intended send time to the whole answer; failed requests count too.
    pub latency: Summary,
    /// From the intended send time to the real one.
    pub send_delay: Summary,
    /// Requests that failed or were answered wrongly.
    pub errors: u64,
    /// Requests that were so late that they were given up.
    pub unsent: u64,
    /// What the first failure said.
    pub first_error: Option<String>,
}

/// Sends requests by number through each of `callers`, which answer when the response is there and right.
///
/// # Errors
/// When a caller panics.
pub fn run<C>(load: Load, callers: Vec<C>) -> anyhow::Result<Outcome>
where
    C: FnMut(u64) -> anyhow::Result<()> + Send,
{
    let schedule = Schedule::new(load.rate_per_s, load.warm_up + load.measured);
    let clock = Clock {
        start: Instant::now() + Duration::from_millis(10),
        load,
        schedule,
    };
    let count = callers.len();
    let mut total = Tally::default();
    thread::scope(|scope| {
        let threads: Vec<_> = callers
            .into_iter()
            .enumerate()
            .map(|(index, caller)| {
                scope.spawn(move || clock.call(schedule.of_caller(index, count), caller))
            })
            .collect();
        for thread in threads {
            total.add(thread.join().map_err(|_| anyhow!("a caller panicked"))?);
        }
        anyhow::Ok(())
    })?;
    Ok(total.outcome(count, load))
}

#[derive(Clone, Copy)]
struct Clock {
    start: Instant,
    load: Load,
    schedule: Schedule,
}

impl Clock {
    fn call<C>(self, numbers: impl Iterator<Item = u64>, mut caller: C) -> Tally
    where
        C: FnMut(u64) -> anyhow::Result<()>,
    {
        let mut tally = Tally::default();
        let give_up = self.start + self.load.warm_up + self.load.measured + GRACE;
        for number in numbers {
            let due = self.schedule.due(number);
            let intended = self.start + due;
            let is_measured = due >= self.load.warm_up;
            thread::sleep(intended.saturating_duration_since(Instant::now()));
            let sent = Instant::now();
            if sent > give_up {
                tally.unsent += u64::from(is_measured);
                continue;
            }
            let outcome = caller(number);
            if is_measured {
                let end = self.start + self.load.warm_up;
                tally.record([intended, sent, Instant::now()], end, outcome);
            }
        }
        tally
    }
}

#[derive(Default)]
struct Tally {
    latency: Latencies,
    send_delay: Latencies,
    right: u64,
    errors: u64,
    unsent: u64,
    /// From the end of the warm-up to the last answer.
    lasted: Duration,
    first_error: Option<String>,
}

impl Tally {
    fn record(
        &mut self,
        [intended, sent, answered]: [Instant; 3],
        measured_from: Instant,
        outcome: anyhow::Result<()>,
    ) {
        self.latency.record(answered - intended);
        self.send_delay
            .record(sent.saturating_duration_since(intended));
        self.lasted = answered - measured_from;
        match outcome {
            Ok(()) => self.right += 1,
            Err(error) => {
                self.errors += 1;
                self.first_error.get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.latency.add(&other.latency);
        self.send_delay.add(&other.send_delay);
        self.right += other.right;
        self.errors += other.errors;
        self.unsent += other.unsent;
        self.lasted = self.lasted.max(other.lasted);
        self.first_error = self.first_error.take().or(other.first_error);
    }

    fn outcome(self, callers: usize, load: Load) -> Outcome {
        let lasted = self.lasted.max(load.measured).as_secs_f64();
        let achieved_per_s = self.right as f64 / lasted;
        let answered_per_s = (self.right + self.errors) as f64 / lasted;
        Outcome {
            callers,
            offered_per_s: load.rate_per_s,
            achieved_per_s,
            saturated: self.unsent > 0 || answered_per_s < KEPT_UP * f64::from(load.rate_per_s),
            latency: self.latency.summary(),
            send_delay: self.send_delay.summary(),
            errors: self.errors,
            unsent: self.unsent,
            first_error: self.first_error,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn load(rate_per_s: u32, warm_up_ms: u64, measured_ms: u64) -> Load {
        let (warm_up, measured) = (
            Duration::from_millis(warm_up_ms),
            Duration::from_millis(measured_ms),
        );
        Load {
            rate_per_s,
            warm_up,
            measured,
        }
    }

    #[test]
    fn a_stall_shows_in_p99_though_one_request_saw_it() {
        // One of 100 requests takes 300 ms; the thirty that should have been sent meanwhile wait as well.
        let stalls_once = |number: u64| {
            if number == 10 {
                thread::sleep(Duration::from_millis(300));
            }
            Ok(())
        };
        let outcome = run(load(100, 0, 1000), vec![stalls_once]).unwrap();
        assert_eq!(outcome.latency.count, 100);
        assert!(outcome.latency.p90_ms > 100.0, "{outcome:?}");
        assert!(outcome.latency.p99_ms > 250.0, "{outcome:?}");
        assert!(outcome.send_delay.p99_ms > 250.0, "{outcome:?}");
    }

    #[test]
    fn a_server_slower_than_the_schedule_is_flagged_as_saturated() {
        let slow = |_: u64| {
            thread::sleep(Duration::from_millis(20));
            Ok(())
        };
        let outcome = run(load(100, 0, 500), vec![slow]).unwrap();
        assert!(outcome.saturated, "{outcome:?}");
        assert!(outcome.achieved_per_s < 55.0, "{outcome:?}");
        assert!(outcome.latency.max_ms > 400.0, "{outcome:?}");
    }

    #[test]
    fn a_server_that_keeps_up_is_not_flagged() {
        let load = load(100, 0, 1000);
        let mut tally = Tally::default();
        let start = Instant::now();
        for number in 0..100 {
            let intended = start + Duration::from_millis(10 * number);
            let answered = intended + Duration::from_millis(12);
            tally.record([intended, intended, answered], start, Ok(()));
        }
        let outcome = tally.outcome(4, load);
        assert!(!outcome.saturated, "{outcome:?}");
        assert!((outcome.achieved_per_s - 100.0).abs() < 1.0, "{outcome:?}");
        assert!((outcome.latency.p50_ms - 12.0).abs() < 0.1, "{outcome:?}");
    }

    #[test]
    fn nothing_is_sent_before_its_time() {
        let sent = Mutex::new(Vec::new());
        let start = Instant::now();
        let note = |number: u64| {
            sent.lock().unwrap().push((number, start.elapsed()));
            Ok(())
        };
        run(load(100, 0, 200), vec![note, note]).unwrap();
        let sent = sent.into_inner().unwrap();
        assert_eq!(sent.len(), 20);
        for (number, when) in sent {
            assert!(
                when >= Duration::from_millis(10 * number),
                "request {number} was sent at {when:?}"
            );
        }
    }

    #[test]
    fn the_warm_up_is_sent_but_not_measured() {
        let sent = Mutex::new(0);
        let slow_at_first = |number: u64| {
            *sent.lock().unwrap() += 1;
            if number == 0 {
                thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        };
        let outcome = run(load(100, 200, 300), vec![slow_at_first]).unwrap();
        assert_eq!(sent.into_inner().unwrap(), 50);
        assert_eq!(outcome.latency.count, 30);
        assert!(outcome.latency.p50_ms < 50.0, "{outcome:?}");
    }

    #[test]
    fn failures_are_counted_and_the_first_is_told() {
        let fails = |number: u64| {
            if number.is_multiple_of(2) {
                Err(anyhow!("request {number} failed"))
            } else {
                Ok(())
            }
        };
        let outcome = run(load(100, 0, 100), vec![fails]).unwrap();
        assert_eq!(outcome.errors, 5);
        assert_eq!(outcome.first_error.as_deref(), Some("request 0 failed"));
        assert!(outcome.achieved_per_s <= 50.0, "{outcome:?}");
    }
}
