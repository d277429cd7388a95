//! Which inputs of a model are encoded images: for callers BYTES, one per row, for the engine tensors of pixels.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::buffer::Buffer;
use millrace_wire::{DType, Record, Signature, Tensor, TensorBuilder, TensorError, TensorSpec};

use super::compile::ImageOptionsError;
use super::error::ImageError;
use super::steps::{Elements, Row, Steps};
use crate::repository::ImageOptions;
use crate::settings::ImageSettings;

/// The image inputs of one version.
#[derive(Debug)]
pub(crate) struct ImagePlan {
    /// In the order of the signature; `None` for inputs that are no images.
    inputs: Vec<Option<Steps>>,
}

/// The rows of a record's image inputs, decoded.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// In the order of the signature, each row a tensor of one row; `None` for inputs that are no images.
    inputs: Vec<Option<Vec<Tensor>>>,
    size_bytes: usize,
}

/// Why a record's images cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeFailure {
    /// One of them is at fault.
    #[error("{}: {source}", place(input, *row, *rows))]
    Image {
        /// The input's name.
        input: String,
        /// Which row, from 0.
        row: usize,
        /// How many rows the record has.
        rows: usize,
        /// What is wrong with it.
        source: ImageError,
    },
    /// All of them together are too much.
    #[error(
        "the {rows} images of the record become more than {max_bytes} bytes of pixels \
         (images.max_decoded_bytes); send fewer in one record"
    )]
    TooMuch {
        /// How many rows the record has.
        rows: usize,
        /// What is allowed.
        max_bytes: usize,
    },
    /// The column cannot be read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

fn place(input: &str, row: usize, rows: usize) -> String {
    match rows {
        1 => format!("input {input:?}"),
        _ => format!("input {input:?} of row {row}"),
    }
}

impl ImagePlan {
    /// `None` for a model without image inputs.
    ///
    /// # Errors
    /// The options name no input of the model, or do not fit it.
    pub(crate) fn new(
        sections: &BTreeMap<String, ImageOptions>,
        inputs: &[TensorSpec],
    ) -> Result<Option<Self>, ImageOptionsError> {
        let is_input = |name: &&String| !inputs.iter().any(|input| input.name == **name);
        if let Some(name) = sections.keys().find(is_input) {
            return Err(ImageOptionsError::no_such_input(name, inputs));
        }
        let mut plan = Vec::with_capacity(inputs.len());
        for input in inputs {
            let options = sections.get(&input.name);
            let steps = options.map(|options| Steps::for_input(options, input));
            plan.push(steps.transpose()?);
        }
        Ok(plan
            .iter()
            .any(Option::is_some)
            .then_some(Self { inputs: plan }))
    }

    /// What the engine gets, where the options say more about it than the model does.
    pub(crate) fn refine(&self, signature: &mut Signature) {
        for (input, steps) in signature.inputs.iter_mut().zip(&self.inputs) {
            if let Some(row) = steps.as_ref().and_then(Steps::row_shape) {
                input.shape.truncate(1);
                input.shape.extend(row.into_iter().map(Some));
            }
        }
    }

    /// What callers send.
    pub(crate) fn for_callers(&self, signature: &Signature) -> Signature {
        let mut signature = signature.clone();
        for (input, steps) in signature.inputs.iter_mut().zip(&self.inputs) {
            if steps.is_some() {
                input.dtype = DType::Bytes;
                input.shape.truncate(1);
            }
        }
        signature
    }

    /// Decodes every image of a record that fits the callers' signature. `names` are the model's inputs; `seen` gets the
    /// seconds that each image took.
    ///
    /// # Errors
    /// The first image that is at fault, or that there are too many.
    pub(crate) fn decode(
        &self,
        (record, names): (&Record, &[TensorSpec]),
        limits: &ImageSettings,
        seen: &dyn Fn(std::time::Duration),
    ) -> Result<Decoded, DecodeFailure> {
        let mut decoded = Decoded {
            inputs: Vec::with_capacity(self.inputs.len()),
            size_bytes: 0,
        };
        for (input, steps) in names.iter().zip(&self.inputs) {
            let Some(steps) = steps else {
                decoded.inputs.push(None);
                continue;
            };
            let column = record.column_index(&input.name).unwrap_or(usize::MAX);
            let column = record.tensor(column)?;
            let mut rows = Vec::with_capacity(column.rows());
            for (row, file) in column
                .elements()
                .into_iter()
                .flat_map(|it| it.iter())
                .enumerate()
            {
                let start = std::time::Instant::now();
                let made = guarded(steps, file, limits.max_pixels).map_err(|source| {
                    DecodeFailure::Image {
                        input: input.name.clone(),
                        row,
                        rows: record.rows(),
                        source,
                    }
                })?;
                seen(start.elapsed());
                decoded.size_bytes += made.elements.size_bytes();
                if decoded.size_bytes > limits.max_decoded_bytes {
                    return Err(DecodeFailure::TooMuch {
                        rows: record.rows(),
                        max_bytes: limits.max_decoded_bytes,
                    });
                }
                rows.push(tensor(&input.name, made)?);
            }
            decoded.inputs.push(Some(rows));
        }
        Ok(decoded)
    }
}

/// A decoder that panics has met a file that nobody has thought of; the next one is none the worse for it.
fn guarded(steps: &Steps, file: &[u8], max_pixels: usize) -> Result<Row, ImageError> {
    let run = || steps.run(file, max_pixels);
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|panic| Err(ImageError::Panicked(panic_message(&*panic).to_owned())))
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

fn tensor(name: &str, row: Row) -> Result<Tensor, TensorError> {
    let (dtype, data) = match row.elements {
        Elements::Uint8(elements) => (DType::Uint8, Buffer::from_vec(elements)),
        Elements::Float16(elements) => (DType::Float16, Buffer::from_vec(elements)),
        Elements::Float32(elements) => (DType::Float32, Buffer::from_vec(elements)),
    };
    let shape = [&[1], row.shape.as_slice()].concat();
    Tensor::fixed(Arc::<str>::from(name), dtype, shape, data)
}

impl Decoded {
    /// Bytes of pixels.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The dimensions of one row of an input, by its place in the signature; `None` if it is no image.
    pub(crate) fn row_shape(&self, input: usize, row: usize) -> Option<&[usize]> {
        let rows = self.inputs.get(input)?.as_ref()?;
        Some(rows.get(row)?.row_shape())
    }

    /// Appends rows of an image input to a tensor: one copy of memory.
    ///
    /// # Errors
    /// A row differs in shape from those before it.
    pub(crate) fn copy_rows(
        &self,
        (input, rows): (usize, std::ops::Range<usize>),
        into: &mut TensorBuilder,
    ) -> Result<(), TensorError> {
        let all = self
            .inputs
            .get(input)
            .and_then(Option::as_deref)
            .unwrap_or_default();
        for row in all.get(rows).unwrap_or_default() {
            into.append(row)?;
        }
        Ok(())
    }

    /// Whether two rows have the same dimensions in every image input.
    pub(crate) fn same_shapes(&self, one: usize, other: usize) -> bool {
        let inputs = 0..self.inputs.len();
        inputs
            .into_iter()
            .all(|input| self.row_shape(input, one) == self.row_shape(input, other))
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
