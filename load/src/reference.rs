//! ONNX Runtime in this process: what the right answers are, and what they cost without any serving around them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;

use crate::cpu;
use crate::rows::{self, CLASSES, INPUT, OUTPUT, WIDTH};

/// Rows in one run when many are computed: the batch at which this model is cheapest.
const BATCH: u64 = 128;

/// How far an answer may be from the reference; the smallest difference between answers to different rows is larger.
pub const TOLERANCE: f32 = 1e-5;

/// The ten values of an answer.
pub type Answer = [f32; CLASSES];

/// The model in this process, on one thread.
pub struct Reference {
    environment: Environment,
    session: Session,
}

/// Answers to rows, and what they cost.
pub struct Answers {
    /// By id, from 0.
    pub answers: Vec<Answer>,
    /// Processor time in ONNX Runtime alone, over all rows.
    pub cpu: Duration,
}

impl Reference {
    /// Loads ONNX Runtime and the model.
    ///
    /// # Errors
    /// When either cannot be loaded.
    pub fn load(library: &Path, model: &Path) -> anyhow::Result<Self> {
        let problem = || format!("no ONNX Runtime at {}", library.display());
        let builder = ort::init_from(library).with_context(problem)?;
        let environment = builder
            .with_telemetry(false)
            .build()
            .with_context(problem)?;
        let session = Self::session(&environment, model);
        let session =
            session.with_context(|| format!("the model {} does not load", model.display()))?;
        Ok(Self {
            environment,
            session,
        })
    }

    /// ONNX Runtime, for further models.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    fn session(environment: &Environment, model: &Path) -> ort::Result<Session> {
        let builder = Session::builder(environment)?
            .with_intra_threads(1)?
            .with_intra_op_spinning(false)?;
        let mut builder = builder.with_optimization_level(GraphOptimizationLevel::All)?;
        builder.commit_from_file(model)
    }

    /// The answer to one row, as a batch of one.
    ///
    /// # Errors
    /// When the model fails.
    pub fn answer(&mut self, row: &[f32]) -> anyhow::Result<Answer> {
        let answers = self.run(row)?;
        answers.first().copied().context("the model gave no answer")
    }

    /// The answers to the rows with ids from 0 to `count`, in batches.
    ///
    /// # Errors
    /// When the model fails.
    pub fn answers(&mut self, count: u64) -> anyhow::Result<Answers> {
        let mut answers = Vec::new();
        let mut cpu = Duration::ZERO;
        let mut values = Vec::new();
        for first in (0..count).step_by(usize::try_from(BATCH)?) {
            values.clear();
            for id in first..count.min(first + BATCH) {
                rows::append(id, &mut values);
            }
            let before = cpu::of_this_thread()?;
            answers.extend(self.run(&values)?);
            cpu += cpu::of_this_thread()?.saturating_sub(before);
        }
        Ok(Answers { answers, cpu })
    }

    fn run(&mut self, values: &[f32]) -> anyhow::Result<Vec<Answer>> {
        let shape = [values.len() / WIDTH, WIDTH];
        let input = TensorRef::from_array_view((shape, values))?;
        let outputs = self.session.run(ort::inputs![INPUT => input])?;
        let (_, scores) = outputs[OUTPUT].try_extract_tensor::<f32>()?;
        let (answers, rest) = scores.as_chunks::<CLASSES>();
        ensure!(
            rest.is_empty() && answers.len() == shape[0],
            "the model's output has {} values",
            scores.len()
        );
        Ok(answers.to_vec())
    }
}

/// Whether an answer is the expected one, within [`TOLERANCE`].
#[must_use]
pub fn agrees(given: &[f32], expected: &Answer) -> bool {
    given.len() == expected.len()
        && given
            .iter()
            .zip(expected)
            .all(|(one, other)| (one - other).abs() <= TOLERANCE)
}
