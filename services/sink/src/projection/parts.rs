//! Collects one output of many records into few tensors: one, where all rows have the same shape.

use std::ops::Range;

use millrace_wire::{Record, TensorBuilder};

use super::layout::Projected;
use super::nested::Part;
use crate::row::ResultRecord;

/// The values of a column in the order of the records; one copy out of their payloads.
pub(super) fn gather(column: &Projected, records: &[ResultRecord]) -> Vec<Part> {
    let total = records.iter().map(ResultRecord::rows).sum();
    let mut parts = Parts {
        column,
        capacity_rows: total,
        done: Vec::new(),
        open: None,
    };
    for record in records {
        match record.value() {
            Some(value) => parts.take(value),
            None => parts.null(),
        }
    }
    parts.finish()
}

struct Parts<'a> {
    column: &'a Projected,
    /// Room for the rows that may still come.
    capacity_rows: usize,
    done: Vec<Part>,
    open: Option<TensorBuilder>,
}

impl Parts<'_> {
    fn take(&mut self, value: &Record) {
        let index = self.column.source;
        if value.columns()[index].fixed_row_shape().is_some() {
            return self.copy(value, 0..value.rows());
        }
        let mut start = 0;
        for row in 1..=value.rows() {
            let differs =
                row == value.rows() || value.row_shape(index, row) != value.row_shape(index, start);
            if differs {
                self.copy(value, start..row);
                start = row;
            }
        }
    }

    /// Copies rows of one shape.
    fn copy(&mut self, value: &Record, rows: Range<usize>) {
        let shape = value.row_shape(self.column.source, rows.start);
        if self
            .open
            .as_ref()
            .is_none_or(|open| *open.row_shape() != *shape)
        {
            self.close();
            let column = &value.columns()[self.column.source];
            // Ragged rows would reserve far too much: only a fixed shape goes on for long.
            let capacity = match column.fixed_row_shape() {
                Some(_) => self.capacity_rows,
                None => rows.len(),
            };
            let builder = TensorBuilder::new(column.name(), column.dtype(), &shape, capacity);
            self.open = Some(builder.expect("the rows are in memory already"));
        }
        self.capacity_rows -= rows.len();
        if let Some(open) = &mut self.open {
            value
                .copy_rows(self.column.source, rows, open)
                .expect("records of a batch have the same outputs");
        }
    }

    fn null(&mut self) {
        self.close();
        self.capacity_rows -= 1;
        match self.done.last_mut() {
            Some(Part::Nulls(rows)) => *rows += 1,
            _ => self.done.push(Part::Nulls(1)),
        }
    }

    fn close(&mut self) {
        self.done
            .extend(self.open.take().map(|open| Part::Rows(open.finish())));
    }

    fn finish(mut self) -> Vec<Part> {
        self.close();
        self.done
    }
}
