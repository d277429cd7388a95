//! The outputs of one result record: named columns, and their values in runs of rows of one shape.

use std::sync::Arc;

use millrace_wire::{DType, Tensor};

/// A tensor with an empty dimension takes no bytes, but as nested lists it may still stand
/// for any number of empty ones; more than this is not a result but an attack.
const MOST_LISTS: usize = 1 << 16;

/// Names and types of the outputs, in order; equal for records that fit into one table.
pub(crate) type OutputColumns = Arc<[OutputColumn]>;

/// One output as a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputColumn {
    pub(crate) name: Arc<str>,
    pub(crate) dtype: DType,
    /// Dimensions of one row's value: 0 is a scalar, 1 a list, 2 a list of lists.
    pub(crate) rank: usize,
}

/// The outputs of a record that succeeded; at least one row.
#[derive(Debug)]
pub(crate) struct Outputs {
    columns: OutputColumns,
    runs: Vec<Run>,
    rows: usize,
    empty_lists: usize,
}

/// Consecutive rows whose values have the same shape, column by column.
#[derive(Debug)]
pub(crate) struct Run {
    rows: usize,
    tensors: Vec<Tensor>,
    empty_lists: usize,
}

/// Why tensors cannot be outputs of one record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutputsError {
    #[error("the result has no row")]
    NoRow,
    #[error("the result has no column")]
    NoColumn,
    #[error("output {name:?} has {given} rows, the others have {expected}")]
    Rows {
        name: String,
        expected: usize,
        given: usize,
    },
    #[error("output {name:?} changes its number of dimensions from row to row")]
    Rank { name: String },
    #[error("output {name:?} of shape {shape:?} holds more than {MOST_LISTS} empty lists")]
    EmptyLists { name: String, shape: Vec<usize> },
}

impl Run {
    /// The tensors of one run, one per column, each with the same number of rows.
    pub(crate) fn new(tensors: Vec<Tensor>) -> Result<Self, OutputsError> {
        let rows = tensors.first().ok_or(OutputsError::NoColumn)?.rows();
        let mut empty_lists = 0;
        for tensor in &tensors {
            if tensor.rows() != rows {
                return Err(OutputsError::Rows {
                    name: tensor.name().to_owned(),
                    expected: rows,
                    given: tensor.rows(),
                });
            }
            empty_lists += count_empty_lists(tensor)?;
        }
        Ok(Self {
            rows,
            tensors,
            empty_lists,
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// One tensor per column, in the order of the columns.
    pub(crate) fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }
}

impl Outputs {
    pub(crate) fn new(runs: Vec<Run>) -> Result<Self, OutputsError> {
        let rows = runs.iter().map(Run::rows).sum();
        let empty_lists = runs.iter().map(|run| run.empty_lists).sum();
        let first = runs.first().ok_or(OutputsError::NoRow)?;
        if rows == 0 {
            return Err(OutputsError::NoRow);
        }
        let columns = columns_of(first);
        for run in &runs[1..] {
            for (column, tensor) in columns.iter().zip(&run.tensors) {
                if column.rank != tensor.row_shape().len() {
                    let name = column.name.to_string();
                    return Err(OutputsError::Rank { name });
                }
            }
        }
        Ok(Self {
            columns,
            runs,
            rows,
            empty_lists,
        })
    }

    pub(crate) fn columns(&self) -> &OutputColumns {
        &self.columns
    }

    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Always at least one.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Lists that will take memory although the record spends no byte on them.
    pub(crate) fn empty_lists(&self) -> usize {
        self.empty_lists
    }
}

fn columns_of(run: &Run) -> OutputColumns {
    let column = |tensor: &Tensor| OutputColumn {
        name: tensor.name().into(),
        dtype: tensor.dtype(),
        rank: tensor.row_shape().len(),
    };
    run.tensors.iter().map(column).collect()
}

/// The lists outside the first empty dimension; none where every dimension has elements.
fn count_empty_lists(tensor: &Tensor) -> Result<usize, OutputsError> {
    let mut lists = 1usize;
    for &size in tensor.shape() {
        if size == 0 {
            if lists <= MOST_LISTS {
                return Ok(lists);
            }
            return Err(OutputsError::EmptyLists {
                name: tensor.name().to_owned(),
                shape: tensor.shape().to_vec(),
            });
        }
        lists = lists.saturating_mul(size);
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use millrace_wire::VariableData;

    use super::*;

    fn floats(name: &str, shape: &[usize]) -> Tensor {
        let bytes = vec![0u8; 4 * shape.iter().product::<usize>()];
        Tensor::fixed(name, DType::Float32, shape.to_vec(), bytes.into()).unwrap()
    }

    fn texts(name: &str, rows: usize) -> Tensor {
        let data: VariableData = (0..rows).map(|row| row.to_string()).collect();
        Tensor::variable(name, DType::String, vec![rows], data).unwrap()
    }

    #[test]
    fn columns_know_name_type_and_dimensions() {
        let run = Run::new(vec![floats("scores", &[2, 10]), texts("label", 2)]).unwrap();
        let outputs = Outputs::new(vec![run]).unwrap();
        assert_eq!(outputs.rows(), 2);
        assert_eq!(outputs.columns()[0].rank, 1);
        assert_eq!(outputs.columns()[1].dtype, DType::String);
    }

    #[test]
    fn rows_of_differing_lengths_have_the_same_columns() {
        let runs = |shape: &[usize]| vec![Run::new(vec![floats("boxes", shape)]).unwrap()];
        let three = Outputs::new(runs(&[1, 3, 4])).unwrap();
        let seven = Outputs::new(runs(&[2, 7, 4])).unwrap();
        assert_eq!(three.columns(), seven.columns());
    }

    #[test]
    fn no_row_no_column_and_unequal_rows_are_refused() {
        assert_eq!(Run::new(vec![]).unwrap_err(), OutputsError::NoColumn);
        let empty = Run::new(vec![floats("y", &[0, 3])]).unwrap();
        assert_eq!(Outputs::new(vec![empty]).unwrap_err(), OutputsError::NoRow);
        let unequal = Run::new(vec![floats("y", &[2]), texts("z", 3)]);
        assert!(matches!(unequal, Err(OutputsError::Rows { given: 3, .. })));
    }

    #[test]
    fn empty_tensor_that_stands_for_a_billion_lists_is_refused() {
        let bomb = floats("y", &[1, 1 << 30, 0]);
        assert!(matches!(
            Run::new(vec![bomb]),
            Err(OutputsError::EmptyLists { .. })
        ));
        assert!(Run::new(vec![floats("y", &[1, 0, 1 << 30])]).is_ok());
    }
}
