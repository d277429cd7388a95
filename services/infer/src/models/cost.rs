//! How many rows a batch should have, found by timing batches of 1, 2, 4, … rows when a model is loaded.
//!
//! Larger batches only pay as long as they make the engine faster: on processors a large model gains nothing from them,
//! and a middling one becomes slower again. What is timed is the engine alone, with nothing else of this model running;
//! several instances share caches and memory then, which may make the best batch a little smaller than the one found.

use std::fmt;
use std::time::{Duration, Instant};

use millrace_wire::{Tensor, TensorError};
use tracing::warn;

use crate::engine::Engine;

/// A larger batch must be faster by this factor to be worth the wait.
const WORTH: f64 = 1.05;
/// All timed runs together, unless a single one takes longer.
const BUDGET: Duration = Duration::from_secs(2);
/// The timed runs of one size.
const BUDGET_PER_SIZE: Duration = Duration::from_millis(60);
/// Runs of one size, of which the lower quartile counts: whatever else the machine does only makes runs slower.
const RUNS: std::ops::RangeInclusive<usize> = 3..=101;
/// Where the outputs of a batch hold more than this, no larger one is timed.
const MOST_OUTPUT_BYTES: usize = 64 << 20;

/// What batches of different sizes cost, smallest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Curve {
    points: Vec<Point>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    rows: usize,
    /// Lower quartile of its runs.
    run: Duration,
}

impl Point {
    fn rows_per_s(self) -> f64 {
        let rows = f64::from(u32::try_from(self.rows).unwrap_or(u32::MAX));
        rows / self.run.as_secs_f64().max(1e-9)
    }
}

impl Curve {
    /// The smallest size beyond which there is less than 5 % more throughput; `None` if nothing could be timed.
    pub(crate) fn best_rows(&self) -> Option<usize> {
        for (index, point) in self.points.iter().enumerate() {
            let enough = point.rows_per_s() * WORTH;
            if self.points[index + 1..]
                .iter()
                .all(|larger| larger.rows_per_s() < enough)
            {
                return Some(point.rows);
            }
        }
        None
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, point) in self.points.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}: {:.0} rows/s", point.rows, point.rows_per_s())?;
        }
        Ok(())
    }
}

/// Times batches of 1, 2, 4, … and `most_rows` rows of `inputs`. It ends early when the time is over or the outputs
/// become large, so a slow model is timed with few small batches, which is all that it can gain from.
pub(crate) fn measure(
    engine: &mut dyn Engine,
    most_rows: usize,
    inputs: impl Fn(usize) -> Result<Vec<Tensor>, TensorError>,
) -> Curve {
    let mut curve = Curve::default();
    let mut spent = Duration::ZERO;
    for rows in sizes(most_rows) {
        if let Some(last) = curve.points.last() {
            let factor = u32::try_from(rows.div_ceil(last.rows)).unwrap_or(u32::MAX);
            let runs = u32::try_from(RUNS.start() + 1).unwrap_or(u32::MAX);
            if spent + last.run.saturating_mul(factor).saturating_mul(runs) > BUDGET {
                break;
            }
        }
        let (timed, is_large) = match time(engine, rows, &inputs) {
            Ok(timed) => timed,
            Err(error) => {
                warn!(rows, %error, "the model does not run on zeros, so larger batches are not timed");
                break;
            }
        };
        spent += timed.iter().sum::<Duration>();
        let run = timed[timed.len() / 4];
        curve.points.push(Point { rows, run });
        if is_large {
            break;
        }
    }
    curve
}

fn sizes(most_rows: usize) -> impl Iterator<Item = usize> {
    let doubled = std::iter::successors(Some(1_usize), |rows| rows.checked_mul(2));
    doubled
        .take_while(move |rows| *rows < most_rows)
        .chain([most_rows])
}

/// The times of one size, in order, and whether its outputs are large. The first run is not counted: it allocates.
fn time(
    engine: &mut dyn Engine,
    rows: usize,
    inputs: &impl Fn(usize) -> Result<Vec<Tensor>, TensorError>,
) -> Result<(Vec<Duration>, bool), Box<dyn std::error::Error + Send + Sync>> {
    let inputs = inputs(rows)?;
    let first = Instant::now();
    let outputs = engine.run(inputs.clone())?;
    let output_bytes: usize = outputs
        .iter()
        .filter_map(|output| output.fixed_bytes().map(<[u8]>::len))
        .sum();
    drop(outputs);
    let first = first.elapsed();
    // One run is all there is time for.
    let mut times = vec![first];
    if first < BUDGET {
        let start = Instant::now();
        times.clear();
        while times.len() < *RUNS.end()
            && (times.len() < *RUNS.start() || start.elapsed() < BUDGET_PER_SIZE)
        {
            let inputs = inputs.clone();
            let start = Instant::now();
            drop(engine.run(inputs)?);
            times.push(start.elapsed());
        }
        times.sort_unstable();
    }
    Ok((times, output_bytes > MOST_OUTPUT_BYTES))
}

#[cfg(test)]
mod tests {
    use arrow::buffer::Buffer;
    use millrace_wire::{DType, Signature};

    use super::*;
    use crate::engine::EngineError;

    fn curve(points: &[(usize, u64)]) -> Curve {
        let point = |&(rows, micros)| Point {
            rows,
            run: Duration::from_micros(micros),
        };
        Curve {
            points: points.iter().map(point).collect(),
        }
    }

    #[test]
    fn a_large_model_that_gains_nothing_runs_rows_one_at_a_time() {
        let resnet = curve(&[(1, 65_000), (2, 128_000), (4, 255_000)]);
        assert_eq!(resnet.best_rows(), Some(1));
    }

    #[test]
    fn a_middling_model_gets_its_knee_and_not_the_slower_batches_beyond() {
        let mlp = curve(&[
            (1, 105),
            (2, 120),
            (4, 150),
            (8, 207),
            (16, 371),
            (32, 873),
            (128, 3_481),
        ]);
        assert_eq!(mlp.best_rows(), Some(16));
    }

    #[test]
    fn a_small_model_gets_the_largest_batch() {
        let ffnn = curve(&[(1, 22), (8, 29), (16, 34), (32, 43), (64, 66), (128, 113)]);
        assert_eq!(ffnn.best_rows(), Some(128));
    }

    #[test]
    fn less_than_five_percent_is_not_worth_a_larger_batch() {
        assert_eq!(curve(&[(1, 1_000), (2, 1_910)]).best_rows(), Some(1));
        assert_eq!(curve(&[(1, 1_000), (2, 1_890)]).best_rows(), Some(2));
    }

    #[test]
    fn a_batch_that_is_slower_than_the_one_before_it_does_not_end_the_search() {
        let dip = curve(&[(1, 100), (2, 210), (4, 300)]);
        assert_eq!(dip.best_rows(), Some(4));
    }

    #[test]
    fn sizes_double_up_to_the_limit() {
        assert_eq!(sizes(1).collect::<Vec<_>>(), [1]);
        assert_eq!(sizes(6).collect::<Vec<_>>(), [1, 2, 4, 6]);
        assert_eq!(sizes(8).collect::<Vec<_>>(), [1, 2, 4, 8]);
    }

    /// Takes so long for a run and so long for each row of it, and fails beyond a size.
    struct Timed {
        signature: Signature,
        per_run: Duration,
        per_row: Duration,
        most_rows: usize,
        runs: usize,
    }

    impl Engine for Timed {
        fn signature(&self) -> &Signature {
            &self.signature
        }

        fn run(&mut self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, EngineError> {
            let rows = inputs[0].rows();
            self.runs += 1;
            if rows > self.most_rows {
                return Err(EngineError::Failed("no memory".into()));
            }
            let until = Instant::now()
                + self.per_run
                + self.per_row * u32::try_from(rows).expect("few rows");
            while Instant::now() < until {}
            Ok(inputs)
        }
    }

    fn timed(per_run: Duration, per_row: Duration) -> Timed {
        Timed {
            signature: Signature {
                inputs: vec![],
                outputs: vec![],
            },
            per_run,
            per_row,
            most_rows: usize::MAX,
            runs: 0,
        }
    }

    fn inputs(rows: usize) -> Result<Vec<Tensor>, TensorError> {
        let data = Buffer::from_vec(vec![0f32; rows]);
        Ok(vec![Tensor::fixed("x", DType::Float32, vec![rows], data)?])
    }

    #[test]
    fn an_engine_whose_runs_cost_the_same_whatever_their_rows_gets_full_batches() {
        let mut engine = timed(Duration::from_micros(300), Duration::ZERO);
        assert_eq!(measure(&mut engine, 32, inputs).best_rows(), Some(32));
    }

    #[test]
    fn a_slow_engine_is_timed_with_small_batches_only() {
        let mut engine = timed(Duration::ZERO, Duration::from_millis(120));
        let curve = measure(&mut engine, 128, inputs);
        assert!(curve.points.len() <= 3, "{curve}");
        assert!(engine.runs <= 12, "{} runs", engine.runs);
    }

    #[test]
    fn sizes_that_the_model_refuses_are_left_out() {
        let mut engine = timed(Duration::from_micros(100), Duration::ZERO);
        engine.most_rows = 4;
        assert_eq!(measure(&mut engine, 32, inputs).best_rows(), Some(4));
        engine.most_rows = 0;
        assert_eq!(measure(&mut engine, 32, inputs).best_rows(), None);
    }
}
