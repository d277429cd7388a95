//! Models that compute a lot: their shapes, the library in this process that runs them, and what it answers.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use arrow::buffer::Buffer;
use millrace_wire::{DType, Limits, Record, Tensor, encode_tensors};
use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;

use crate::options::Options;
use crate::rows;

/// How far an answer may be from the reference, absolutely and by its size.
const TOLERANCE: f32 = 1e-4;

/// Which threads an engine gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// One: the model is small.
    One,
    /// All cores.
    Cores,
}

/// One model of `load/models`.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// Its folder's name.
    pub model: &'static str,
    /// What its rows are, for the report.
    pub unit: &'static str,
    /// The input, FP32.
    pub input: &'static str,
    /// Dimensions of one row.
    pub row_shape: &'static [usize],
    /// The output, FP32.
    pub output: &'static str,
    /// Values of one answer.
    pub classes: usize,
    /// Threads of the engine.
    pub threads: Threads,
    /// Different rows; they come again and again.
    pub distinct: u64,
    /// Records of a run, and of a short one.
    pub records: (u64, u64),
    /// Batches that are tried, and of a short run.
    pub sizes: (&'static [usize], &'static [usize]),
    /// The throughput that is asked for, by that of the library in process.
    pub aim: f64,
}

/// Both.
pub const NETWORKS: [Network; 2] = [
    Network {
        model: "mlp",
        unit: "rows",
        input: "input",
        row_shape: &[784],
        output: "output",
        classes: 10,
        threads: Threads::One,
        distinct: 1024,
        records: (200_000, 60_000),
        sizes: (&[1, 2, 4, 8, 16, 32, 64, 128], &[4, 8, 16, 32, 128]),
        aim: 0.85,
    },
    Network {
        model: "resnet50",
        unit: "images",
        input: "image",
        row_shape: &[3, 224, 224],
        output: "logits",
        classes: 1000,
        threads: Threads::Cores,
        distinct: 16,
        records: (320, 96),
        sizes: (&[1, 2, 4], &[1, 2]),
        aim: 0.97,
    },
];

impl Network {
    /// Values of one row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.row_shape.iter().product()
    }

    /// Threads of the engine on this machine.
    #[must_use]
    pub fn engine_threads(&self) -> usize {
        match self.threads {
            Threads::One => 1,
            Threads::Cores => std::thread::available_parallelism().map_or(1, Into::into),
        }
    }

    /// The different rows, one after another.
    #[must_use]
    pub fn inputs(&self) -> Vec<f32> {
        let mut values = Vec::new();
        for id in 0..self.distinct {
            rows::append_wide(id, self.width(), &mut values);
        }
        values
    }

    /// The records of the different rows.
    ///
    /// # Errors
    /// Never, unless the wire format changes.
    pub fn records(&self, inputs: &[f32]) -> anyhow::Result<Vec<Vec<u8>>> {
        let shape = [&[1], self.row_shape].concat();
        let mut records = Vec::new();
        for row in inputs.chunks(self.width()) {
            let values = Buffer::from_vec(row.to_vec());
            let tensor = Tensor::fixed(self.input, DType::Float32, shape.clone(), values)?;
            records.push(encode_tensors(&[tensor])?);
        }
        Ok(records)
    }
}

/// What a network answers to its different rows.
#[derive(Debug)]
pub struct Outputs {
    network: Network,
    values: Vec<f32>,
}

impl Outputs {
    /// Whether `value` is the answer to the row of an id.
    ///
    /// # Errors
    /// How it is not.
    pub fn check(&self, id: u64, value: &[u8]) -> anyhow::Result<()> {
        let record = Record::decode(value.to_vec(), &Limits::default())?;
        let column = record.column_index(self.network.output);
        let tensor = record.tensor(column.context("the output is missing")?)?;
        let given = tensor.typed::<f32>().context("the answer is not FP32")?;
        let classes = self.network.classes;
        let at = usize::try_from(id % self.network.distinct)? * classes;
        let expected = self.values.get(at..at + classes).context("no reference")?;
        let is_near =
            |(one, other): (&f32, &f32)| (one - other).abs() <= TOLERANCE * (1.0 + other.abs());
        ensure!(
            given.len() == classes && given.iter().zip(expected).all(is_near),
            "the answer is not ONNX Runtime's"
        );
        Ok(())
    }
}

/// With the options that infer uses.
fn open(environment: &Environment, file: &Path, threads: usize) -> ort::Result<Session> {
    let builder = Session::builder(environment)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?;
    let mut builder = builder.with_memory_pattern(false)?;
    builder.commit_from_file(file)
}

/// A network in this process, with the options that infer uses.
pub struct Library {
    network: Network,
    session: Session,
    inputs: Vec<f32>,
}

impl Library {
    /// Loads the network.
    ///
    /// # Errors
    /// When the model is not there: then the message says how it is made.
    pub fn load(
        network: Network,
        environment: &Environment,
        options: &Options,
    ) -> anyhow::Result<Self> {
        let file = options.models.join(network.model).join("1/model.onnx");
        ensure!(
            file.exists(),
            "{} is not there: make it with load/models/make_{}.py",
            file.display(),
            network.model
        );
        let session = open(environment, &file, network.engine_threads());
        let session = session.with_context(|| format!("{} does not load", file.display()))?;
        Ok(Self {
            network,
            session,
            inputs: network.inputs(),
        })
    }

    /// Which one it is.
    #[must_use]
    pub fn network(&self) -> Network {
        self.network
    }

    /// The records of its different rows.
    ///
    /// # Errors
    /// Never, unless the wire format changes.
    pub fn records(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        self.network.records(&self.inputs)
    }

    /// What it answers.
    ///
    /// # Errors
    /// When the model fails.
    pub fn outputs(&mut self) -> anyhow::Result<Outputs> {
        let mut values = Vec::new();
        for row in 0..usize::try_from(self.network.distinct)? {
            values.extend(self.run(row, 1)?);
        }
        Ok(Outputs {
            network: self.network,
            values,
        })
    }

    /// Rows per second in batches of this size, for about this time.
    ///
    /// # Errors
    /// When the model fails.
    pub fn rows_per_s(&mut self, batch: usize, time: Duration) -> anyhow::Result<f64> {
        let distinct = usize::try_from(self.network.distinct)?;
        black_box(self.run(0, batch)?);
        let began = Instant::now();
        let mut rows = 0;
        while began.elapsed() < time {
            black_box(self.run(rows % (distinct - batch + 1), batch)?);
            rows += batch;
        }
        Ok(rows as f64 / began.elapsed().as_secs_f64())
    }

    fn run(&mut self, first: usize, batch: usize) -> anyhow::Result<Vec<f32>> {
        let width = self.network.width();
        let rows = &self.inputs[first * width..(first + batch) * width];
        let shape = [&[batch], self.network.row_shape].concat();
        let input = TensorRef::from_array_view((shape, rows))?;
        let outputs = self
            .session
            .run(ort::inputs![self.network.input => input])?;
        let (_, values) = outputs[self.network.output].try_extract_tensor::<f32>()?;
        Ok(values.to_vec())
    }
}
