//! Collects one output of many records into few tensors: one, where all rows have the same shape.

use std::ops::Range;

use millrace_wire::{RecordView, TensorBuilder};

use super::nested::Part;

/// The values of one output in the order of the records; one copy out of their payloads.
pub(super) struct Parts {
    /// Index among the outputs of the record.
    source: usize,
    done: Vec<Part>,
    open: Option<TensorBuilder>,
}

impl Parts {
    /// Begins with this many rows of failed records.
    pub(super) fn new(source: usize, nulls: usize) -> Self {
        let done = match nulls {
            0 => Vec::new(),
            nulls => vec![Part::Nulls(nulls)],
        };
        Self {
            source,
            done,
            open: None,
        }
    }

    /// Adds the rows of a record.
    pub(super) fn take(&mut self, value: &RecordView<'_>) {
        if value.columns()[self.source].fixed_row_shape().is_some() {
            return self.copy(value, 0..value.rows());
        }
        let mut start = 0;
        for row in 1..=value.rows() {
            let differs = row == value.rows()
                || value.row_shape(self.source, row) != value.row_shape(self.source, start);
            if differs {
                self.copy(value, start..row);
                start = row;
            }
        }
    }

    /// Adds the row of a failed record.
    pub(super) fn null(&mut self) {
        self.close();
        match self.done.last_mut() {
            Some(Part::Nulls(rows)) => *rows += 1,
            _ => self.done.push(Part::Nulls(1)),
        }
    }

    pub(super) fn finish(mut self) -> Vec<Part> {
        self.close();
        self.done
    }

    /// Copies rows of one shape.
    fn copy(&mut self, value: &RecordView<'_>, rows: Range<usize>) {
        let shape = value.row_shape(self.source, rows.start);
        let fits = |open: &TensorBuilder| *open.row_shape() == *shape;
        if !self.open.as_ref().is_some_and(fits) {
            self.close();
            let column = &value.columns()[self.source];
            let builder = TensorBuilder::new(column.name(), column.dtype(), &shape, rows.len());
            self.open = Some(builder.expect("the rows are in memory already"));
        }
        if let Some(open) = &mut self.open {
            value
                .copy_rows(self.source, rows, open)
                .expect("records of a batch have the same outputs");
        }
    }

    fn close(&mut self) {
        self.done
            .extend(self.open.take().map(|open| Part::Rows(open.finish())));
    }
}
