//! Loading: engines built and warmed up, and the signature as callers see it.

use std::fmt;
use std::sync::Arc;

use anyhow::Context;
use arrow::buffer::MutableBuffer;
use millrace_wire::{Signature, Tensor, TensorError, TensorSpec, VariableData};
use tracing::{info, warn};

use super::cost::{self, Curve};
use crate::batch::BatchLimits;
use crate::engine::{Engine, EngineError, Libraries, LoadError};
use crate::images::ImagePlan;
use crate::output::postprocessed;
use crate::repository::{ImageSections, ModelError, ModelSource, OpenFiles};
use crate::safety::{LoadOf, Safety};
use crate::settings::BatchSettings;

/// Builds one more engine of a model.
pub(crate) type BuildEngine = Arc<dyn Fn() -> Result<Box<dyn Engine>, LoadError> + Send + Sync>;

/// A model that is ready to run.
pub(crate) struct LoadedModel {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: i64,
    /// SHA-256 of the model file, in hexadecimal.
    pub(crate) sha256: String,
    /// The engine's name.
    pub(crate) engine: &'static str,
    /// Inputs and outputs as callers see them, dimension 0 of each open: any number of rows.
    pub(crate) signature: Signature,
    /// Inputs as the engine takes them: images are decoded.
    pub(crate) inputs: Vec<TensorSpec>,
    /// Which inputs are encoded images for callers, if some are.
    pub(crate) images: Option<Arc<ImagePlan>>,
    /// When a batch is full; `max_rows` is 1 for a model that takes one row at a time.
    pub(crate) batch: BatchLimits,
    /// One engine per instance, warmed up.
    pub(crate) engines: Vec<Box<dyn Engine>>,
    /// For another one after a panic.
    pub(crate) build: BuildEngine,
}

impl fmt::Debug for LoadedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedModel")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("batch", &self.batch)
            .field("engines", &self.engines.len())
            .finish_non_exhaustive()
    }
}

/// Loads every instance of a model and warms it up, unless processes have died of that.
///
/// # Errors
/// One sentence that says what is wrong with the model, and what to do where that is known.
pub(crate) fn load(
    source: &ModelSource,
    libraries: &Libraries,
    safety: &Safety,
) -> anyhow::Result<LoadedModel> {
    let noted = safety.begin_load(LoadOf {
        model: &source.name,
        version: source.version,
        fingerprint: &source.sha256,
    })?;
    let build: BuildEngine = {
        let (libraries, source) = (libraries.clone(), source.clone());
        Arc::new(move || {
            let open = source.open().map_err(files_error)?;
            let engine = build_engine(&libraries, &open, &source)?;
            open.check_unchanged().map_err(files_error)?;
            Ok(engine)
        })
    };
    let open = source.open()?;
    let (engines, contract) = build_all(source, &|| build_engine(libraries, &open, source))?;
    open.check_unchanged()?;
    if let Some(curve) = &contract.curve {
        info!(
            model = source.name, version = source.version, rows = contract.batch.max_rows, %curve,
            "batch size by measured cost"
        );
    }
    noted.done();
    Ok(LoadedModel {
        name: source.name.clone(),
        version: source.version,
        sha256: source.sha256.clone(),
        engine: open.files.kind.name(),
        signature: match &contract.images {
            Some(images) => images.for_callers(&contract.signature),
            None => contract.signature.clone(),
        },
        inputs: contract.signature.inputs,
        images: contract.images,
        batch: contract.batch,
        engines,
        build,
    })
}

/// An engine whose outputs are as `model.toml` wants them.
fn build_engine(
    libraries: &Libraries,
    open: &OpenFiles,
    source: &ModelSource,
) -> Result<Box<dyn Engine>, LoadError> {
    let engine = libraries.build(&open.files, &source.options.engine)?;
    let folder = &open.files.folder;
    postprocessed(engine, &source.options.output, folder)
        .map_err(|error| LoadError::Options(Box::new(error)))
}

/// One engine of a model, warmed up with one row, for trying it out.
///
/// # Errors
/// As for [`load`].
pub(crate) fn load_one(
    source: &ModelSource,
    libraries: &Libraries,
) -> anyhow::Result<Box<dyn Engine>> {
    let open = source.open()?;
    let mut engine = build_engine(libraries, &open, source)?;
    open.check_unchanged()?;
    let one_row = BatchSettings {
        max_rows: Some(1),
        ..source.options.batch.clone()
    };
    agree(engine.as_mut(), &one_row, &source.options.images)?;
    Ok(engine)
}

/// Every instance, warmed up. Batches are measured with the first, while the others are not there yet.
fn build_all(
    source: &ModelSource,
    build: &dyn Fn() -> Result<Box<dyn Engine>, LoadError>,
) -> anyhow::Result<(Vec<Box<dyn Engine>>, Contract)> {
    let instances = source.options.engine.instances;
    let mut batch = source.options.batch.clone();
    let mut engines = Vec::with_capacity(instances);
    let mut contract = None;
    for instance in 0..instances {
        let mut engine = build()?;
        let agreed = agree(engine.as_mut(), &batch, &source.options.images).with_context(|| {
            format!(
                "model {} version {}, instance {instance}",
                source.name, source.version
            )
        })?;
        batch.max_rows = Some(agreed.batch.max_rows);
        contract.get_or_insert(agreed);
        engines.push(engine);
    }
    Ok((engines, contract.context("engine.instances is 0")?))
}

fn files_error(error: ModelError) -> LoadError {
    LoadError::Files(Box::new(error))
}

/// What a model and its callers agree on.
#[derive(Debug)]
pub(crate) struct Contract {
    /// As the engine sees it.
    pub(crate) signature: Signature,
    pub(crate) images: Option<Arc<ImagePlan>>,
    pub(crate) batch: BatchLimits,
    /// What batches cost, where that was measured.
    pub(crate) curve: Option<Curve>,
}

/// Checks that the model takes rows, warms it up with zeros, and finds how many rows a batch should have unless that is
/// set.
pub(crate) fn agree(
    engine: &mut dyn Engine,
    batch: &BatchSettings,
    images: &ImageSections,
) -> Result<Contract, LoadError> {
    let mut signature = engine.signature().clone();
    let images = ImagePlan::new(&images.inputs, &signature.inputs)
        .map_err(|error| LoadError::Options(Box::new(error)))?;
    if let Some(images) = &images {
        images.refine(&mut signature);
    }
    let row_bytes: usize = signature.inputs.iter().map(row_bytes).sum();
    let full = |rows: usize| rows.min((batch.max_bytes / row_bytes.max(1)).max(1));
    let fixed = if takes_one_row_only(&signature.inputs)? {
        Some(1)
    } else {
        batch.max_rows
    };
    let outputs = warm_up(engine, &signature.inputs, 1)?;
    let mut curve = None;
    let max_rows = match fixed {
        Some(1) => 1,
        Some(rows) => {
            warm_up(engine, &signature.inputs, full(rows))?;
            rows
        }
        None => {
            let most = full(batch.max_rows_limit);
            warm_up(engine, &signature.inputs, most.min(2))?;
            let measured = cost::measure(engine, most, |rows| zeros(&signature.inputs, rows));
            let rows = measured.best_rows().unwrap_or(batch.max_rows_limit);
            curve = Some(measured);
            rows
        }
    };
    for (index, output) in signature.outputs.iter_mut().enumerate() {
        if output.shape.is_empty() {
            let known = outputs.as_ref().and_then(|outputs| outputs.get(index));
            let rank = known
                .map(|tensor| tensor.shape().len())
                .ok_or_else(|| unknown_shape(&output.name))?;
            output.shape = vec![None; rank];
        }
    }
    for spec in signature.inputs.iter_mut().chain(&mut signature.outputs) {
        spec.shape[0] = None;
    }
    let batch = BatchLimits {
        max_rows,
        max_bytes: batch.max_bytes,
        max_delay: batch.max_delay,
    };
    Ok(Contract {
        signature,
        images: images.map(Arc::new),
        batch,
        curve,
    })
}

fn unknown_shape(output: &str) -> LoadError {
    LoadError::Type {
        name: output.to_owned(),
        given: "tensor of unknown shape".to_owned(),
    }
}

fn takes_one_row_only(inputs: &[TensorSpec]) -> Result<bool, LoadError> {
    let mut one_row_only = false;
    for input in inputs {
        match input.shape.first() {
            Some(None) => {}
            Some(Some(1)) => one_row_only = true,
            Some(Some(_)) | None => {
                let dimension = |size: &Option<usize>| {
                    size.map_or(-1, |size| i64::try_from(size).unwrap_or(i64::MAX))
                };
                let shape = input.shape.iter().map(dimension).collect();
                return Err(LoadError::Rows {
                    name: input.name.clone(),
                    shape,
                });
            }
        }
    }
    if inputs.is_empty() {
        Err(LoadError::NoInputs)
    } else {
        Ok(one_row_only)
    }
}

/// Runs zeros, so that the first record does not pay for lazy allocations. The outputs, unless the model does not like
/// zeros: then its first record will tell.
fn warm_up(
    engine: &mut dyn Engine,
    inputs: &[TensorSpec],
    rows: usize,
) -> Result<Option<Vec<Tensor>>, LoadError> {
    let outcome = match zeros(inputs, rows) {
        Ok(zeros) => engine.run(zeros),
        Err(error) => Err(EngineError::Failed(Box::new(error))),
    };
    match outcome {
        Ok(outputs) => Ok(Some(outputs)),
        Err(error @ (EngineError::Rows { .. } | EngineError::Type { .. })) => {
            Err(LoadError::WarmUp(error))
        }
        Err(error) => {
            warn!(rows, %error, "the model does not run on zeros, so it is not warmed up");
            Ok(None)
        }
    }
}

/// Open inner dimensions count as 1.
fn row_shape(input: &TensorSpec) -> Vec<usize> {
    input
        .shape
        .iter()
        .skip(1)
        .map(|size| size.unwrap_or(1))
        .collect()
}

fn row_bytes(input: &TensorSpec) -> usize {
    row_shape(input).iter().product::<usize>() * input.dtype.element_size_bytes().unwrap_or(1)
}

fn zeros(inputs: &[TensorSpec], rows: usize) -> Result<Vec<Tensor>, TensorError> {
    inputs.iter().map(|input| zeros_of(input, rows)).collect()
}

fn zeros_of(input: &TensorSpec, rows: usize) -> Result<Tensor, TensorError> {
    let mut shape = vec![rows];
    shape.extend(row_shape(input));
    let elements: usize = shape.iter().product();
    match input.dtype.element_size_bytes() {
        Some(size_bytes) => {
            let zeros = MutableBuffer::from_len_zeroed(elements * size_bytes);
            Tensor::fixed(input.name.as_str(), input.dtype, shape, zeros.into())
        }
        None => {
            let mut empty = VariableData::new();
            for _ in 0..elements {
                empty.push(b"");
            }
            Tensor::variable(input.name.as_str(), input.dtype, shape, empty)
        }
    }
}

#[cfg(test)]
mod tests {
    use millrace_wire::DType;

    use super::*;

    /// Answers its input; `scalar_output` answers one row whatever comes in.
    struct Fake {
        signature: Signature,
        scalar_output: bool,
        largest_batch: usize,
    }

    fn spec(name: &str, shape: &[Option<usize>]) -> TensorSpec {
        TensorSpec {
            name: name.to_owned(),
            dtype: DType::Float32,
            shape: shape.to_vec(),
        }
    }

    fn fake(input: &[Option<usize>], output: &[Option<usize>]) -> Fake {
        let signature = Signature {
            inputs: vec![spec("x", input)],
            outputs: vec![spec("y", output)],
        };
        Fake {
            signature,
            scalar_output: false,
            largest_batch: 0,
        }
    }

    impl Engine for Fake {
        fn signature(&self) -> &Signature {
            &self.signature
        }

        fn run(&mut self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, EngineError> {
            let rows = inputs[0].rows();
            self.largest_batch = self.largest_batch.max(rows);
            if self.scalar_output && rows > 1 {
                return Err(EngineError::Rows {
                    output: "y".to_owned(),
                    rows,
                    given: vec![1],
                });
            }
            Ok(vec![inputs[0].clone().renamed("y")])
        }
    }

    fn batch(max_rows: usize, max_bytes: usize) -> BatchSettings {
        BatchSettings {
            max_rows: Some(max_rows),
            max_bytes,
            ..BatchSettings::default()
        }
    }

    #[test]
    fn a_dynamic_first_dimension_takes_any_batch_and_is_warmed_up_with_a_full_one() {
        let mut engine = fake(&[None, Some(4)], &[None, Some(4)]);
        let contract = agree(&mut engine, &batch(32, 1 << 20), &ImageSections::default()).unwrap();
        assert_eq!(contract.batch.max_rows, 32);
        assert_eq!(engine.largest_batch, 32);
    }

    #[test]
    fn the_warm_up_keeps_within_the_bytes_of_a_batch() {
        let mut engine = fake(&[None, Some(4)], &[None, Some(4)]);
        agree(&mut engine, &batch(32, 64), &ImageSections::default()).unwrap();
        assert_eq!(engine.largest_batch, 4);
    }

    #[test]
    fn without_a_setting_the_batch_is_measured_up_to_its_limit() {
        let mut engine = fake(&[None, Some(4)], &[None, Some(4)]);
        let settings = BatchSettings {
            max_rows_limit: 16,
            ..BatchSettings::default()
        };
        let contract = agree(&mut engine, &settings, &ImageSections::default()).unwrap();
        let curve = contract.curve.expect("it was measured");
        assert_eq!(engine.largest_batch, 16);
        assert_eq!(curve.best_rows(), Some(contract.batch.max_rows));
    }

    #[test]
    fn a_first_dimension_of_one_runs_rows_one_at_a_time_and_callers_may_send_many() {
        let mut engine = fake(&[Some(1), Some(4)], &[Some(1), Some(4)]);
        let contract = agree(&mut engine, &batch(32, 1 << 20), &ImageSections::default()).unwrap();
        assert_eq!(contract.batch.max_rows, 1);
        assert_eq!(engine.largest_batch, 1);
        assert_eq!(contract.signature.inputs[0].shape, [None, Some(4)]);
        assert_eq!(contract.signature.outputs[0].shape, [None, Some(4)]);
    }

    #[test]
    fn any_other_first_dimension_is_refused_with_advice() {
        for shape in [vec![Some(8), Some(4)], vec![]] {
            let error = agree(
                &mut fake(&shape, &[None]),
                &batch(32, 1 << 20),
                &ImageSections::default(),
            )
            .unwrap_err()
            .to_string();
            assert!(
                error.contains("\"x\"") && error.contains("dynamic"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_output_whose_shape_the_engine_does_not_know_gets_it_from_the_first_run() {
        let contract = agree(
            &mut fake(&[None, Some(4)], &[]),
            &batch(32, 1 << 20),
            &ImageSections::default(),
        )
        .unwrap();
        assert_eq!(contract.signature.outputs[0].shape, [None, None]);
    }

    #[test]
    fn an_output_that_is_not_one_row_per_row_fails_the_load() {
        let mut engine = fake(&[None, Some(4)], &[None, Some(4)]);
        engine.scalar_output = true;
        for settings in [batch(32, 1 << 20), BatchSettings::default()] {
            let error = agree(&mut engine, &settings, &ImageSections::default()).unwrap_err();
            let error = format!("{:#}", anyhow::Error::from(error));
            assert!(error.contains("first dimension of every output"), "{error}");
        }
    }
}
