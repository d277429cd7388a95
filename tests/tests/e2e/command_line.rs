//! Files of digit images, and the command line as its users start it.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use e2e::{Line, binary_path, digits};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// `millrace` with the flags that name the line.
pub(crate) fn millrace(line: &Line, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary_path("millrace"));
    let prefix = line.topic("");
    command
        .args(arguments)
        .args(["--brokers", line.brokers()])
        .args(["--prefix", prefix.trim_end_matches('.')])
        .stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(line: &Line, arguments: &[&str]) -> Output {
    let output = millrace(line, arguments).output();
    output.expect("the millrace tool runs")
}

/// Runs it to its end, which must be a good one, and gives what it printed.
pub(crate) fn succeed(line: &Line, arguments: &[&str]) -> String {
    let output = run(line, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).expect("the tool prints text")
}

/// Starts it, its complaints in a file of the line's folder.
pub(crate) fn start(line: &Line, arguments: &[&str]) -> Child {
    let log = File::create(line.dir().join("millrace.log")).expect("the folder is writable");
    let child = millrace(line, arguments)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    child.expect("the millrace tool starts")
}

/// What it said on standard error.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A path in the line's folder, as text.
pub(crate) fn path(line: &Line, name: &str) -> String {
    let path: PathBuf = line.dir().join(name);
    path.to_str().expect("a path of text").to_owned()
}

/// Writes a Parquet file of so many digit images, which repeat: an id and the tensor.
pub(crate) fn write_images(path: &str, rows: usize) {
    let images = &digits().images;
    let shape = [
        ("ARROW:extension:name", "arrow.fixed_shape_tensor"),
        ("ARROW:extension:metadata", r#"{"shape":[8,8]}"#),
    ];
    let shape = shape.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let pixel = Arc::new(Field::new("item", DataType::Float32, false));
    let tensor = DataType::FixedSizeList(Arc::clone(&pixel), 64);
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("image", tensor, false).with_metadata(HashMap::from(shape)),
    ]));
    let file = File::create(path).expect("the folder is writable");
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), None).expect("a writer");
    for first in (0..rows).step_by(1_000) {
        let indices = first..rows.min(first + 1_000);
        let ids = indices
            .clone()
            .map(|index| i64::try_from(index).expect("a small number"));
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
        let pixels = indices.flat_map(|index| images[index % images.len()]);
        let pixels = Arc::new(Float32Array::from_iter_values(pixels.map(f32::from)));
        let images: ArrayRef = Arc::new(FixedSizeListArray::new(
            Arc::clone(&pixel),
            64,
            pixels,
            None,
        ));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![ids, images]);
        writer
            .write(&batch.expect("a batch"))
            .expect("a batch is written");
    }
    writer.close().expect("the file is complete");
}

/// All rows of a Parquet file, batch by batch.
pub(crate) fn read_parquet(path: &str) -> Vec<RecordBatch> {
    let file = File::open(Path::new(path)).expect("the file is there");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
    let batches = reader.expect("a whole Parquet file");
    batches.map(|batch| batch.expect("a batch")).collect()
}

/// The values of a column of integers that has a value in every row.
pub(crate) fn integers(batches: &[RecordBatch], column: &str) -> Vec<i64> {
    let mut all = Vec::new();
    for batch in batches {
        let array = batch.column_by_name(column).expect("the column is there");
        assert_eq!(array.null_count(), 0, "{column}");
        all.extend_from_slice(array.as_primitive::<Int64Type>().values());
    }
    all
}
