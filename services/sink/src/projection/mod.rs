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
use millrace_kafka::TopicPartition;
use millrace_wire::{Contents, RecordView};

use layout::{Form, Projected};
pub(crate) use layout::{Layout, ProjectionError};
use parts::Parts;

use crate::row::ResultRecord;
use crate::settings::{ColumnSettings, TensorForm, TopSettings};

/// What the settings of a pipeline choose.
#[derive(Debug, Default)]
pub(crate) struct Projection {
    /// All outputs if empty.
    columns: Vec<ColumnSettings>,
    tensors: TensorForm,
    top: Option<TopSettings>,
    /// Whether columns of JSON are told from those of other text.
    marks_json: bool,
    /// Records come with the same outputs again and again.
    last: Option<Last>,
}

/// What the record before was like.
#[derive(Debug)]
struct Last {
    contents: Arc<Contents>,
    layout: Arc<Layout>,
}

/// Rows in the making, column by column; all records with outputs have the same layout.
pub(crate) struct Columns {
    fixed: fixed::Columns,
    layout: Option<Arc<Layout>>,
    outputs: Vec<Parts>,
    instances: usize,
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
            marks_json: false,
            last: None,
        }
    }

    /// Tells columns of JSON from those of other text, for a destination that has a type for them.
    pub(crate) fn marking_json(self, marks_json: bool) -> Self {
        Self { marks_json, ..self }
    }

    /// The columns that these outputs become.
    pub(crate) fn layout(
        &mut self,
        value: &RecordView<'_>,
    ) -> Result<Arc<Layout>, ProjectionError> {
        let contents = value.contents();
        if let Some(last) = &mut self.last {
            if Arc::ptr_eq(&last.contents, contents) {
                return Ok(Arc::clone(&last.layout));
            }
            if last.layout.fits(value) {
                last.contents = Arc::clone(contents);
                return Ok(Arc::clone(&last.layout));
            }
        }
        let layout = Arc::new(Layout::of(value, self)?);
        self.last = Some(Last {
            contents: Arc::clone(contents),
            layout: Arc::clone(&layout),
        });
        Ok(layout)
    }
}

impl Columns {
    /// No rows yet, of this partition.
    pub(crate) fn new(partition: &TopicPartition) -> Self {
        Self {
            fixed: fixed::Columns::new(partition),
            layout: None,
            outputs: Vec::new(),
            instances: 0,
        }
    }

    /// Instances so far, each of them a row or more.
    pub(crate) fn instances(&self) -> usize {
        self.instances
    }

    /// Whether the record has the columns of those before it, or none of its own.
    pub(crate) fn admit(&self, record: &ResultRecord<'_>) -> bool {
        match (&self.layout, record.layout()) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other) || own == other,
            _ => true,
        }
    }

    /// Adds a record that these columns admit.
    pub(crate) fn push(&mut self, record: &ResultRecord<'_>) {
        if let (None, Some(layout)) = (&self.layout, record.layout()) {
            let sources = layout.columns.iter().map(|column| column.source);
            self.outputs = sources.map(|it| Parts::new(it, self.instances)).collect();
            self.layout = Some(Arc::clone(layout));
        }
        for parts in &mut self.outputs {
            match record.value() {
                Some(value) => parts.take(value),
                None => parts.null(),
            }
        }
        self.fixed.push(record);
        self.instances += record.rows();
    }

    /// The fixed columns, then the outputs; nothing but the fixed columns if all requests failed.
    pub(crate) fn finish(self) -> Result<RecordBatch, ArrowError> {
        let mut arrays = self.fixed.finish();
        let Some(layout) = self.layout else {
            return RecordBatch::try_new(fixed::schema(), arrays);
        };
        let mut ranking = None;
        for (column, parts) in layout.columns.iter().zip(self.outputs) {
            let parts = parts.finish();
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
