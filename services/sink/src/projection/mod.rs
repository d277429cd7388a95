//! From records to rows: the fixed columns, then the outputs in the form that the settings ask for.
//!
//! Every destination writes the same Arrow record batch, so that what can be chosen here (which
//! outputs, under which names, tensors as lists, JSON or columns, the largest N) can be chosen
//! for all of them.

pub(crate) mod fixed;
pub(crate) mod json;
mod layout;
mod nested;
mod parts;
pub(crate) mod text;
mod top;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::take;
use arrow::error::ArrowError;

use layout::{Form, Projected};
pub(crate) use layout::{Layout, ProjectionError};

use crate::row::ResultRecord;
use crate::settings::{ColumnSettings, TensorForm, TopSettings};

/// What the settings of a pipeline choose.
#[derive(Debug, Default)]
pub(crate) struct Projection {
    /// All outputs if empty.
    columns: Vec<ColumnSettings>,
    tensors: TensorForm,
    top: Option<TopSettings>,
    /// Records come with the same outputs again and again.
    last: Option<Arc<Layout>>,
}

impl Projection {
    pub(crate) fn new(
        columns: &[ColumnSettings],
        tensors: TensorForm,
        top: Option<&TopSettings>,
    ) -> Self {
        Self {
            columns: columns.to_vec(),
            tensors,
            top: top.cloned(),
            last: None,
        }
    }

    /// The columns that these outputs become.
    pub(crate) fn layout(
        &mut self,
        value: &millrace_wire::Record,
    ) -> Result<Arc<Layout>, ProjectionError> {
        if let Some(last) = self.last.as_ref().filter(|last| last.fits(value)) {
            return Ok(Arc::clone(last));
        }
        let layout = Arc::new(Layout::of(value, self)?);
        self.last = Some(Arc::clone(&layout));
        Ok(layout)
    }

    /// The rows of records that share a layout; `None` if all of their requests failed.
    pub(crate) fn rows(
        &self,
        layout: Option<&Layout>,
        records: &[ResultRecord],
    ) -> Result<RecordBatch, ArrowError> {
        let mut arrays = fixed::arrays(records);
        let Some(layout) = layout else {
            return RecordBatch::try_new(fixed::schema(), arrays);
        };
        let mut ranking = None;
        for column in &layout.columns {
            let parts = parts::gather(column, records);
            match column.form {
                Form::Array => arrays.push(nested::array(column.dtype, column.rank, &parts)),
                Form::Json => {
                    let array = nested::array(column.dtype, column.rank, &parts);
                    arrays.push(Arc::new(json::texts(&array)?));
                }
                Form::Elements(count) => arrays.extend(elements(column, count, &parts)?),
                Form::TopColumns(n) => arrays.extend(top::columns(column, n, &parts)?),
                Form::TopRows(n) => ranking = Some(top::Ranking::new(column, n, &parts)),
            }
        }
        if let Some(ranking) = ranking {
            arrays = ranking.expand(&arrays)?;
        }
        RecordBatch::try_new(Arc::clone(&layout.schema), arrays)
    }
}

/// One array per element of the rows, all of which have the same shape.
fn elements(
    column: &Projected,
    count: usize,
    parts: &[nested::Part],
) -> Result<Vec<ArrayRef>, ArrowError> {
    let (leaves, rows) = nested::cells(column.dtype, parts);
    let mut arrays = Vec::with_capacity(count);
    for element in 0..count {
        let place = |row: &Option<std::ops::Range<usize>>| {
            row.as_ref().map(|cells| (cells.start + element) as u64)
        };
        let places: UInt64Array = rows.iter().map(place).collect();
        arrays.push(take(&leaves, &places, None)?);
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests;
