//! Columns of text files that are carried along, built row by row.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions,
    StringBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::sample::{Cell, Kind, SAMPLE_ROWS};
use super::{Columns, JSON_EXTENSION};
use crate::rows::cells::shown;

/// The columns in the making.
pub(super) struct Carried {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
}

struct Column {
    /// Its place in the file's rows.
    place: usize,
    name: String,
    kind: Kind,
    builder: Builder,
}

enum Builder {
    Int64(Int64Builder),
    Float64(Float64Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
}

impl Carried {
    /// Those of a file's columns that are wanted.
    pub(super) fn new(names: &[String], kinds: &[Kind], wanted: &Columns) -> Self {
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        for (place, (name, &kind)) in names.iter().zip(kinds).enumerate() {
            if wanted.has(name) {
                fields.push(field(name, kind));
                columns.push(Column {
                    place,
                    name: name.clone(),
                    kind,
                    builder: Builder::new(kind),
                });
            }
        }
        Self {
            schema: Arc::new(Schema::new(fields)),
            columns,
            rows: 0,
        }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Appends a row; `cell` gives the values by their places, where there are any.
    ///
    /// # Errors
    /// A value is not of its column's type: the row is there, with a null, and a sentence says why.
    pub(super) fn push<'a>(
        &mut self,
        cell: impl Fn(usize) -> Option<Cell<'a>>,
    ) -> Result<(), String> {
        self.rows += 1;
        let mut outcome = Ok(());
        for column in &mut self.columns {
            let given = cell(column.place);
            if column.builder.push(column.kind, given) {
                continue;
            }
            let given = given.map_or("nothing".to_owned(), |cell| shown(cell.raw()));
            outcome = Err(format!(
                "column {}: expected {} as in the first {SAMPLE_ROWS} rows, got {given}",
                column.name,
                column.kind.name(),
            ));
        }
        outcome
    }

    /// All rows so far; the next one begins anew.
    pub(super) fn finish(&mut self) -> anyhow::Result<RecordBatch> {
        let arrays = self
            .columns
            .iter_mut()
            .map(|column| column.builder.finish());
        let options =
            RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        let arrays: Vec<ArrayRef> = arrays.collect();
        Ok(RecordBatch::try_new_with_options(
            self.schema(),
            arrays,
            &options,
        )?)
    }
}

fn field(name: &str, kind: Kind) -> Field {
    let data_type = match kind {
        Kind::Int64 => DataType::Int64,
        Kind::Float64 => DataType::Float64,
        Kind::Bool => DataType::Boolean,
        Kind::Text | Kind::Json => DataType::Utf8,
    };
    let field = Field::new(name, data_type, true);
    match kind {
        Kind::Json => field.with_metadata(json_metadata()),
        _ => field,
    }
}

/// Says that the text of a column is JSON.
pub(super) fn json_metadata() -> HashMap<String, String> {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    HashMap::from([
        pair("ARROW:extension:name", JSON_EXTENSION),
        pair("ARROW:extension:metadata", ""),
    ])
}

impl Builder {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Int64 => Self::Int64(Int64Builder::new()),
            Kind::Float64 => Self::Float64(Float64Builder::new()),
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Text | Kind::Json => Self::Text(StringBuilder::new()),
        }
    }

    /// Appends a value, or a null and says false.
    fn push(&mut self, kind: Kind, cell: Option<Cell<'_>>) -> bool {
        // An empty cell of CSV is text of no characters where text is expected.
        let is_text = kind == Kind::Text && matches!(cell, Some(Cell::Csv(_)));
        let Some(cell) = cell.filter(|cell| is_text || !cell.is_null()) else {
            self.push_null();
            return true;
        };
        match self {
            Self::Int64(builder) => {
                builder.append_option(cell.int64());
                cell.int64().is_some()
            }
            Self::Float64(builder) => {
                builder.append_option(cell.float64());
                cell.float64().is_some()
            }
            Self::Bool(builder) => {
                builder.append_option(cell.boolean());
                cell.boolean().is_some()
            }
            Self::Text(builder) => {
                match kind {
                    Kind::Json => builder.append_value(cell.raw()),
                    _ => builder.append_value(cell.text()),
                }
                true
            }
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Int64(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Bool(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn a_value_that_is_not_of_its_columns_type_fails_its_row_and_no_other() {
        let names = ["id".to_owned(), "text".to_owned()];
        let mut carried = Carried::new(&names, &[Kind::Int64, Kind::Text], &Columns::All);
        let rows = [["1", "a"], ["x", "b"], ["", ""]];
        let pushed = rows.map(|row| carried.push(|place| Some(Cell::Csv(row[place]))));
        let sentence = pushed[1].clone().unwrap_err();
        assert!(
            sentence.contains("column id: expected a whole number"),
            "{sentence}"
        );
        assert!(pushed[0].is_ok() && pushed[2].is_ok());
        let batch = carried.finish().unwrap();
        let ids = batch.column(0).as_primitive::<Int64Type>();
        assert_eq!(ids.iter().collect::<Vec<_>>(), [Some(1), None, None]);
        let text = batch.column(1).as_string::<i32>();
        assert_eq!(
            text.iter().collect::<Vec<_>>(),
            [Some("a"), Some("b"), Some("")]
        );
        assert_eq!(carried.finish().unwrap().num_rows(), 0);
    }

    #[test]
    fn no_columns_still_have_rows() {
        let none = Columns::Named(Vec::new());
        let mut carried = Carried::new(&["id".to_owned()], &[Kind::Text], &none);
        carried.push(|_| None).unwrap();
        assert_eq!(carried.finish().unwrap().num_rows(), 1);
    }
}
