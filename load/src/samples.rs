//! Processor time over time, and what it comes to per row.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::check::Arrivals;
use crate::cpu::{self, Usage};

/// One run of one of the two.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Run {
    /// Rows per second between the first and the last answer.
    pub rows_per_s: f64,
    /// Seconds between them.
    pub lasted_s: f64,
    /// Processor time per row between them, of the process.
    pub cpu_us_per_row: f64,
    /// The same of the broker, if it runs on this machine.
    pub broker_cpu_us_per_row: Option<f64>,
    /// Of the process, over its whole life.
    pub usage: Usage,
}

/// Processor time over the clock in milliseconds since 1970, which is the broker's clock too: it runs on this machine.
#[derive(Default)]
pub struct Samples {
    process: Vec<(i64, Duration)>,
    broker: Vec<(i64, Duration)>,
}

impl Samples {
    /// Notes what the process, and the broker if it is known, have used until now.
    ///
    /// # Errors
    /// When one of them is gone.
    pub fn take(&mut self, process: u32, broker: Option<u32>) -> anyhow::Result<()> {
        self.process
            .push((now_unix_ms()?, cpu::of_process(process)?));
        if let Some(pid) = broker {
            self.broker.push((now_unix_ms()?, cpu::of_process(pid)?));
        }
        Ok(())
    }

    /// Rate and cost between the first and the last answer.
    #[must_use]
    pub fn run(&self, arrivals: Arrivals, usage: Usage) -> Run {
        let Arrivals {
            first_unix_ms,
            last_unix_ms,
            after_first,
        } = arrivals;
        let lasted_s =
            Duration::from_millis((last_unix_ms - first_unix_ms).unsigned_abs()).as_secs_f64();
        let used = |samples: &[(i64, Duration)]| {
            let used = at(samples, last_unix_ms)?.saturating_sub(at(samples, first_unix_ms)?);
            Some(microseconds_per_row(used, after_first))
        };
        Run {
            rows_per_s: after_first as f64 / lasted_s,
            lasted_s,
            cpu_us_per_row: used(&self.process).unwrap_or(f64::NAN),
            broker_cpu_us_per_row: used(&self.broker),
            usage,
        }
    }
}

/// The value at a moment, on the straight line between the samples around it.
fn at(samples: &[(i64, Duration)], unix_ms: i64) -> Option<Duration> {
    let after = samples.partition_point(|(time, _)| *time <= unix_ms);
    let Some((before_ms, before)) = after
        .checked_sub(1)
        .and_then(|index| samples.get(index))
        .copied()
    else {
        return samples.first().map(|(_, cpu)| *cpu);
    };
    let Some((after_ms, after)) = samples.get(after).copied() else {
        return Some(before);
    };
    let part = (unix_ms - before_ms) as f64 / (after_ms - before_ms) as f64;
    Some(before + after.saturating_sub(before).mul_f64(part))
}

/// Processor time per row, in microseconds.
#[must_use]
pub fn microseconds_per_row(cpu: Duration, rows: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / rows as f64
}

fn now_unix_ms() -> anyhow::Result<i64> {
    Ok(i64::try_from(
        SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis(),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: [(i64, Duration); 3] = [
        (1000, Duration::ZERO),
        (1100, Duration::from_millis(50)),
        (1200, Duration::from_millis(150)),
    ];

    #[test]
    fn processor_time_is_read_between_the_samples() {
        assert_eq!(at(&SAMPLES, 1000), Some(Duration::ZERO));
        assert_eq!(at(&SAMPLES, 1050), Some(Duration::from_millis(25)));
        assert_eq!(at(&SAMPLES, 1150), Some(Duration::from_millis(100)));
    }

    #[test]
    fn outside_the_samples_the_nearest_counts() {
        assert_eq!(at(&SAMPLES, 900), Some(Duration::ZERO));
        assert_eq!(at(&SAMPLES, 9000), Some(Duration::from_millis(150)));
        assert_eq!(at(&[], 1000), None);
    }

    #[test]
    fn rate_and_cost_count_what_came_after_the_first_answers() {
        let samples = Samples {
            process: SAMPLES.to_vec(),
            broker: Vec::new(),
        };
        let arrivals = Arrivals {
            first_unix_ms: 1100,
            last_unix_ms: 1200,
            after_first: 1000,
        };
        let run = samples.run(arrivals, Usage::default());
        assert!((run.rows_per_s - 10_000.0).abs() < 1e-6, "{run:?}");
        assert!((run.cpu_us_per_row - 100.0).abs() < 1e-6, "{run:?}");
        assert_eq!(run.broker_cpu_us_per_row, None);
    }
}
