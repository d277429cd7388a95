//! A result with only some of its outputs, as the Arrow stream of an answer.

use millrace_wire::oip::ResponseError;
use millrace_wire::{ColumnParts, Record, Tensor, TensorError, TensorSlice};

use super::error::OipError;
use crate::front::Error;

/// The record of these outputs, in this order.
///
/// # Errors
/// A result that lacks one of them.
pub(super) fn select(result: &Record, names: &[&str]) -> Result<Vec<u8>, Error> {
    let mut outputs = Vec::with_capacity(names.len());
    for name in names {
        let missing = || ResponseError::Missing {
            name: (*name).to_owned(),
        };
        let index = result.column_index(name).ok_or_else(missing);
        let index = index.map_err(OipError::Response)?;
        outputs.push(runs(result, index).map_err(OipError::Select)?);
    }
    let mut columns = Vec::with_capacity(names.len());
    for (name, tensors) in names.iter().zip(&outputs) {
        let parts = tensors.iter().map(whole).collect();
        columns.push(ColumnParts { name, parts });
    }
    millrace_wire::encode(&columns).map_err(Error::Encode)
}

fn whole(tensor: &Tensor) -> TensorSlice<'_> {
    TensorSlice {
        tensor,
        rows: 0..tensor.rows(),
    }
}

/// The rows of an output, as one tensor for each run of rows of the same shape.
fn runs(result: &Record, index: usize) -> Result<Vec<Tensor>, TensorError> {
    let runs = result.uniform_runs().into_iter();
    runs.map(|rows| result.tensor_of_rows(index, rows))
        .collect()
}
