//! NumPy's `.npy` files: one array, whose first dimension is the rows.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow::array::{Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millrace_wire::TensorSpec;

use super::elements;
use super::fit::fit;
use super::mapping::described;
use super::{Chunk, Reading, Source};
use crate::progress::Total;

const MAGIC: &[u8] = b"\x93NUMPY";
/// No header of an array that a model takes is longer.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// The name of the only column: an array has none of its own.
const ROW_COLUMN: &str = "row";

/// An array that is being read.
pub(super) struct Npy {
    file: BufReader<File>,
    shown: String,
    header: Header,
    spec: TensorSpec,
    carried: SchemaRef,
    chunk_rows: usize,
    next_row: u64,
}

/// What a file says of its array.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Header {
    data_type: DataType,
    rows: u64,
    row_shape: Vec<usize>,
    row_bytes: usize,
}

impl Npy {
    pub(super) fn open(path: &Path, reading: &Reading<'_>) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let [spec] = reading.signature.inputs.as_slice() else {
            bail!(
                "{shown} is one array, but the model has {} inputs; give JSON, CSV or Parquet",
                reading.signature.inputs.len()
            );
        };
        let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
        let mut file = BufReader::with_capacity(1 << 20, file);
        let header = header(&mut file).with_context(|| format!("cannot read {shown}"))?;
        let header = header
            .for_input(spec)
            .map_err(|what| anyhow::anyhow!("{shown} {what}"))?;
        let skipped = reading.first_row * header.row_bytes as u64;
        file.seek(SeekFrom::Current(i64::try_from(skipped)?))?;
        let columns = reading.carry.columns();
        let fields = match columns.has(ROW_COLUMN) {
            true => vec![Field::new(ROW_COLUMN, DataType::Int64, false)],
            false => Vec::new(),
        };
        Ok(Self {
            file,
            shown,
            header,
            spec: spec.clone(),
            carried: Arc::new(Schema::new(fields)),
            chunk_rows: reading.chunk_rows,
            next_row: reading.first_row,
        })
    }

    fn rows_left(&self) -> usize {
        let left = self.header.rows.saturating_sub(self.next_row);
        usize::try_from(left).unwrap_or(usize::MAX)
    }
}

impl Source for Npy {
    fn carried(&self) -> SchemaRef {
        Arc::clone(&self.carried)
    }

    fn total(&self) -> Total {
        Total::Rows(self.header.rows)
    }

    fn next(&mut self) -> anyhow::Result<Option<Chunk>> {
        let rows = self.rows_left().min(self.chunk_rows);
        if rows == 0 {
            return Ok(None);
        }
        let first_row = self.next_row;
        let mut bytes = vec![0; rows * self.header.row_bytes];
        self.file.read_exact(&mut bytes).with_context(|| {
            format!("{} ends within row {} or later", self.shown, first_row + 1)
        })?;
        self.next_row += rows as u64;
        let array = elements::array_of(&self.header.data_type, bytes);
        let array = array.map_err(anyhow::Error::msg)?;
        let per_row: usize = self.header.row_shape.iter().product();
        let mut fitted = fit(rows, |range| {
            let mut shape = vec![range.len()];
            shape.extend(&self.header.row_shape);
            let values = array.slice(range.start * per_row, range.len() * per_row);
            let tensor = elements::tensor(&self.spec.name, self.spec.dtype, shape, &values)?;
            Ok(vec![tensor])
        });
        for (row, sentence) in &mut fitted.failed {
            *sentence = format!("row {}: {sentence}", first_row + *row as u64 + 1);
        }
        let numbers = (0..rows).map(|row| i64::try_from(first_row + row as u64).ok());
        let columns: Vec<_> = self
            .carried
            .fields()
            .iter()
            .map(|_| Arc::new(Int64Array::from_iter(numbers.clone())) as _)
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(Some(Chunk {
            first_row,
            carried: RecordBatch::try_new_with_options(self.carried(), columns, &options)?,
            inputs: fitted.inputs,
            failed: fitted.failed,
            bytes: 0,
        }))
    }
}

impl Header {
    /// Whether the array's rows are those of the input; an array of one dimension fewer is one row.
    fn for_input(mut self, spec: &TensorSpec) -> Result<Self, String> {
        let mut shape = vec![usize::try_from(self.rows).unwrap_or(usize::MAX)];
        shape.extend(&self.row_shape);
        if shape.len() + 1 == spec.shape.len() {
            self.row_bytes *= shape[0];
            self.row_shape = shape.clone();
            self.rows = 1;
        }
        match spec.check(spec.dtype, &[&[1], self.row_shape.as_slice()].concat()) {
            Ok(()) => Ok(self),
            Err(_) => Err(format!(
                "holds an array of shape {shape:?}, the model's input {} is {}",
                spec.name,
                described(spec)
            )),
        }
    }
}

/// Reads the header: magic, version, length, a Python dictionary.
fn header(file: &mut impl Read) -> anyhow::Result<Header> {
    let mut start = [0; 8];
    file.read_exact(&mut start).context("it is no .npy file")?;
    if !start.starts_with(MAGIC) {
        bail!("it is no .npy file");
    }
    let length = match start[6] {
        1 => {
            let mut length = [0; 2];
            file.read_exact(&mut length)?;
            usize::from(u16::from_le_bytes(length))
        }
        _ => {
            let mut length = [0; 4];
            file.read_exact(&mut length)?;
            usize::try_from(u32::from_le_bytes(length))?
        }
    };
    if length > MAX_HEADER_BYTES {
        bail!("its header has {length} bytes, more than {MAX_HEADER_BYTES}");
    }
    let mut text = vec![0; length];
    file.read_exact(&mut text)?;
    let text = String::from_utf8(text).context("its header is not UTF-8")?;
    parsed(&text)
}

fn parsed(text: &str) -> anyhow::Result<Header> {
    let after = |key: &str| {
        let at = text.find(&format!("'{key}'"))? + key.len() + 2;
        Some(text[at..].trim_start().strip_prefix(':')?.trim_start())
    };
    let damaged = || format!("its header is damaged: {text:?}");
    let order = after("fortran_order").with_context(damaged)?;
    if !order.starts_with("False") {
        bail!("it is stored in Fortran order; save numpy.ascontiguousarray(array)");
    }
    let descr = after("descr").with_context(damaged)?;
    let descr = descr.split('\'').nth(1).with_context(damaged)?;
    let data_type = data_type(descr).with_context(|| {
        format!("its type {descr} is not taken; taken are little-endian numbers and booleans")
    })?;
    let shape = after("shape").with_context(damaged)?;
    let shape = shape
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'));
    let (shape, _) = shape.with_context(damaged)?;
    let mut sizes = Vec::new();
    for size in shape
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
    {
        sizes.push(size.parse::<usize>().with_context(damaged)?);
    }
    let Some((rows, row_shape)) = sizes.split_first() else {
        bail!("it holds a single number; its first dimension must be the rows");
    };
    let width = data_type.primitive_width().unwrap_or(1);
    let row_bytes = row_shape
        .iter()
        .try_fold(width, |bytes, &size| bytes.checked_mul(size));
    Ok(Header {
        data_type,
        rows: *rows as u64,
        row_shape: row_shape.to_vec(),
        row_bytes: row_bytes.with_context(damaged)?,
    })
}

fn data_type(descr: &str) -> Option<DataType> {
    Some(match descr {
        "|b1" => DataType::Boolean,
        "|i1" => DataType::Int8,
        "|u1" => DataType::UInt8,
        "<i2" => DataType::Int16,
        "<u2" => DataType::UInt16,
        "<i4" => DataType::Int32,
        "<u4" => DataType::UInt32,
        "<i8" => DataType::Int64,
        "<u8" => DataType::UInt64,
        "<f2" => DataType::Float16,
        "<f4" => DataType::Float32,
        "<f8" => DataType::Float64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(dictionary: &str) -> anyhow::Result<Header> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend(u16::try_from(dictionary.len()).unwrap().to_le_bytes());
        bytes.extend(dictionary.as_bytes());
        header(&mut bytes.as_slice())
    }

    #[test]
    fn numpys_own_headers_are_read() {
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (360, 8, 8), }    \n";
        let header = header_of(text).unwrap();
        assert_eq!(header.data_type, DataType::Float32);
        assert_eq!((header.rows, header.row_bytes), (360, 256));
        assert_eq!(header.row_shape, [8, 8]);
        let vector = "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n";
        assert_eq!(header_of(vector).unwrap().row_bytes, 1);
    }

    #[test]
    fn what_is_not_taken_is_named() {
        for (text, word) in [
            (
                "{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }",
                ">f4",
            ),
            (
                "{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }",
                "Fortran",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
                "single",
            ),
            ("{'fortran_order': False}", "damaged"),
        ] {
            let sentence = format!("{:#}", header_of(text).unwrap_err());
            assert!(sentence.contains(word), "{sentence}");
        }
        assert!(header(&mut b"PK\x03\x04 zip archive".as_slice()).is_err());
    }
}
