//! The columns that the outputs of a record become, worked out once for all records that are alike.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millrace_wire::{Column, DType, RecordView};

use super::{Projection, fixed, nested};
use crate::settings::{TensorForm, TopForm, TopSettings};

/// A table wider than this is a mistake, and few query engines would take it.
const MOST_ELEMENTS: usize = 1000;

/// Equal for records that fit into one batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    source: Vec<Source>,
    pub(super) columns: Vec<Projected>,
    pub(super) schema: SchemaRef,
    rows_per_instance: usize,
}

/// An output as the model gives it.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    name: String,
    dtype: DType,
    rank: usize,
    /// Where the number of columns depends on it.
    row_shape: Option<Vec<usize>>,
}

/// An output as it is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Projected {
    /// Index among the outputs of the record.
    pub(super) source: usize,
    pub(super) dtype: DType,
    /// Dimensions of one row's value: 0 is a scalar, 1 a list, 2 a list of lists.
    pub(super) rank: usize,
    pub(super) form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One column of lists, or of scalars.
    Array,
    /// One column of text.
    Json,
    /// A column per element, this many.
    Elements(usize),
    /// Index and value of the largest, in two columns each.
    TopColumns(usize),
    /// Index and value of the largest, in a row each.
    TopRows(usize),
}

/// Why the outputs of a record do not become the columns that the settings ask for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProjectionError {
    #[error(
        "the result has no output {name:?}, which the settings of the pipeline name; it has {given:?}"
    )]
    Missing { name: String, given: Vec<String> },
    #[error(
        "output {name:?} may change its shape from row to row, so it cannot be one column per element"
    )]
    Ragged { name: String },
    #[error(
        "output {name:?} has {elements} elements, and {MOST_ELEMENTS} are the most that can be columns"
    )]
    TooManyElements { name: String, elements: usize },
    #[error("output {name:?} is of type {dtype}, and only numbers have a largest")]
    NoNumbers { name: String, dtype: DType },
}

impl Layout {
    pub(super) fn of(
        value: &RecordView<'_>,
        projection: &Projection,
    ) -> Result<Self, ProjectionError> {
        let mut layout = Drawing::new(value, projection.marks_json);
        let wanted = wanted(value, projection)?;
        for (index, name) in &wanted {
            layout.add(*index, name, projection.tensors)?;
        }
        if let Some(top) = &projection.top {
            let index = find(value, &top.column)?;
            let renamed = wanted.iter().find(|(own, _)| *own == index);
            let name = renamed.map_or(&*top.column, |(_, name)| name);
            layout.add_top(index, name, top)?;
        }
        Ok(layout.finish(projection.tensors))
    }

    /// Whether the layout is that of these outputs, too.
    pub(super) fn fits(&self, value: &RecordView<'_>) -> bool {
        let alike = |(source, column): (&Source, &Column)| {
            source.name == column.name()
                && source.dtype == column.dtype()
                && source.rank == column.rank() - 1
                && (source.row_shape.is_none()
                    || source.row_shape.as_deref() == column.fixed_row_shape())
        };
        self.source.len() == value.columns().len()
            && self.source.iter().zip(value.columns()).all(alike)
    }

    /// Rows that an instance becomes at most.
    pub(crate) fn rows_per_instance(&self) -> usize {
        self.rows_per_instance
    }

    /// Bytes of the lists that the value stands for without spending any on them: those outside
    /// an empty dimension.
    pub(crate) fn weigh(&self, value: &RecordView<'_>) -> usize {
        let mut lists = 0usize;
        for (index, column) in value.columns().iter().enumerate() {
            let of_row = |shape: &[usize]| {
                let outer = shape.iter().position(|&size| size == 0);
                outer.map_or(0, |end| {
                    shape[..end]
                        .iter()
                        .fold(1, |all: usize, &size| all.saturating_mul(size))
                })
            };
            lists = lists.saturating_add(match column.fixed_row_shape() {
                Some(shape) => of_row(shape).saturating_mul(value.rows()),
                None => (0..value.rows()).fold(0, |all: usize, row| {
                    all.saturating_add(of_row(&value.row_shape(index, row)))
                }),
            });
        }
        lists.saturating_mul(size_of::<i32>())
    }
}

/// The outputs to be written, by index, and their names in the destination.
fn wanted(
    value: &RecordView<'_>,
    projection: &Projection,
) -> Result<Vec<(usize, String)>, ProjectionError> {
    if !projection.columns.is_empty() {
        let named = projection.columns.iter();
        return named
            .map(|column| Ok((find(value, column.name())?, column.written_as().to_owned())))
            .collect();
    }
    // The largest of an output are written instead of it, unless `columns` names it.
    let top = projection.top.as_ref().map(|top| &*top.column);
    let all = value.columns().iter().enumerate();
    let wanted = all.filter(|(_, column)| Some(column.name()) != top);
    Ok(wanted
        .map(|(index, column)| (index, column.name().to_owned()))
        .collect())
}

fn find(value: &RecordView<'_>, name: &str) -> Result<usize, ProjectionError> {
    value
        .column_index(name)
        .ok_or_else(|| ProjectionError::Missing {
            name: name.to_owned(),
            given: value
                .columns()
                .iter()
                .map(|column| column.name().to_owned())
                .collect(),
        })
}

/// A layout in the making.
struct Drawing<'a> {
    value: &'a RecordView<'a>,
    taken: BTreeSet<String>,
    fields: Vec<Field>,
    columns: Vec<Projected>,
    rows_per_instance: usize,
    marks_json: bool,
}

impl<'a> Drawing<'a> {
    fn new(value: &'a RecordView<'a>, marks_json: bool) -> Self {
        Self {
            marks_json,
            value,
            taken: fixed::NAMES.map(String::from).into(),
            fields: fixed::fields(),
            columns: Vec::new(),
            rows_per_instance: 1,
        }
    }

    fn add(
        &mut self,
        index: usize,
        name: &str,
        tensors: TensorForm,
    ) -> Result<(), ProjectionError> {
        let column = &self.value.columns()[index];
        let (dtype, rank) = (column.dtype(), column.rank() - 1);
        let form = match tensors {
            _ if rank == 0 => Form::Array,
            TensorForm::Array => Form::Array,
            TensorForm::Json => Form::Json,
            TensorForm::Columns => {
                let shape = fixed_shape(column)?;
                for element in 0..shape.iter().product() {
                    let name = format!("{name}{}", suffix(element, shape));
                    self.field(&name, nested::data_type(dtype, 0));
                }
                Form::Elements(shape.iter().product())
            }
        };
        match form {
            Form::Array => self.field(name, nested::data_type(dtype, rank)),
            Form::Json => {
                self.field(name, DataType::Utf8);
                if let Some(field) = self.fields.last_mut().filter(|_| self.marks_json) {
                    field.set_metadata(json_mark());
                }
            }
            _ => {}
        }
        self.project(index, form);
        Ok(())
    }

    fn add_top(
        &mut self,
        index: usize,
        name: &str,
        top: &TopSettings,
    ) -> Result<(), ProjectionError> {
        let dtype = self.value.columns()[index].dtype();
        if matches!(dtype, DType::Bool | DType::String | DType::Bytes) {
            let name = name.to_owned();
            return Err(ProjectionError::NoNumbers { name, dtype });
        }
        let n = top.n;
        let form = match top.into {
            TopForm::Columns => {
                for place in 1..=n {
                    self.field(&format!("{name}_top{place}_index"), DataType::UInt32);
                    self.field(
                        &format!("{name}_top{place}_value"),
                        nested::data_type(dtype, 0),
                    );
                }
                Form::TopColumns(n)
            }
            TopForm::Rows => {
                self.field("rank", DataType::UInt32);
                self.field(&format!("{name}_index"), DataType::UInt32);
                self.field(&format!("{name}_value"), nested::data_type(dtype, 0));
                self.rows_per_instance = n;
                Form::TopRows(n)
            }
        };
        self.project(index, form);
        Ok(())
    }

    /// Adds a field under a name that no other has: one that bears the name of another (case
    /// aside, as query engines see it) becomes `output_<name>`.
    fn field(&mut self, name: &str, data_type: DataType) {
        let mut free = name.to_owned();
        while !self.taken.insert(free.to_ascii_lowercase()) {
            free.insert_str(0, "output_");
        }
        self.fields.push(Field::new(free, data_type, true));
    }

    fn project(&mut self, source: usize, form: Form) {
        let column = &self.value.columns()[source];
        self.columns.push(Projected {
            source,
            dtype: column.dtype(),
            rank: column.rank() - 1,
            form,
        });
    }

    fn finish(self, tensors: TensorForm) -> Layout {
        let source = |column: &Column| Source {
            name: column.name().to_owned(),
            dtype: column.dtype(),
            rank: column.rank() - 1,
            row_shape: match tensors {
                TensorForm::Columns => column.fixed_row_shape().map(<[usize]>::to_vec),
                _ => None,
            },
        };
        Layout {
            source: self.value.columns().iter().map(source).collect(),
            columns: self.columns,
            schema: Arc::new(Schema::new(self.fields)),
            rows_per_instance: self.rows_per_instance,
        }
    }
}

/// Arrow's canonical extension type for text that is JSON.
fn json_mark() -> HashMap<String, String> {
    [
        ("ARROW:extension:name".to_owned(), "arrow.json".to_owned()),
        ("ARROW:extension:metadata".to_owned(), String::new()),
    ]
    .into()
}

fn fixed_shape(column: &Column) -> Result<&[usize], ProjectionError> {
    let name = || column.name().to_owned();
    let shape = column.fixed_row_shape();
    let shape = shape.ok_or_else(|| ProjectionError::Ragged { name: name() })?;
    let elements = shape
        .iter()
        .fold(1, |all: usize, &size| all.saturating_mul(size));
    if elements > MOST_ELEMENTS {
        return Err(ProjectionError::TooManyElements {
            name: name(),
            elements,
        });
    }
    Ok(shape)
}

/// `_2_0` for the element at row 2, column 0.
fn suffix(element: usize, shape: &[usize]) -> String {
    let mut places = Vec::with_capacity(shape.len());
    let mut rest = element;
    for &size in shape.iter().rev() {
        places.push(rest % size);
        rest /= size;
    }
    let mut suffix = String::new();
    for place in places.iter().rev() {
        write!(suffix, "_{place}").expect("writing to a String cannot fail");
    }
    suffix
}
