use std::path::PathBuf;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Int64Type};
use millrace_wire::{DType, Tensor};
use tempfile::TempDir;

use super::*;
use crate::batch::OpenBatch;
use crate::projection::Projection;
use crate::testing::{TOPIC, batch, fixed, parsed, partition, record_of_failure, record_with};

struct Rig {
    root: TempDir,
    writer: FilesWriter,
}

impl Rig {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut writer = FilesWriter::open(&settings(root.path())).unwrap();
        assert_eq!(writer.claim(&partition(TOPIC, 0)).unwrap(), 0);
        Self { root, writer }
    }

    fn path(&self, first: i64, last: i64) -> PathBuf {
        let folder = self.root.path().join(TOPIC);
        folder.join(names::finished(&partition(TOPIC, 0), first, last))
    }

    fn read(&self, first: i64, last: i64) -> RecordBatch {
        let file = File::open(self.path(first, last)).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let schema = builder.schema().clone();
        let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
        arrow::compute::concat_batches(&schema, &batches).unwrap()
    }
}

fn settings(folder: &Path) -> FilesSettings {
    FilesSettings {
        url: folder.to_str().unwrap().to_owned(),
        format: FileFormat::Parquet,
    }
}

/// Writes one record with these outputs and reads the file.
fn round_trip(tensors: Vec<Tensor>) -> RecordBatch {
    let mut rig = Rig::new();
    rig.writer
        .write(&batch(0, vec![parsed(0, tensors)]))
        .unwrap();
    rig.read(0, 0)
}

#[test]
fn rows_carry_their_coordinates() {
    let mut rig = Rig::new();
    let records = vec![record_with(3, &[0.5, 1.5]), record_of_failure(4)];
    let written = rig.writer.write(&batch(0, records)).unwrap();
    assert_eq!(written.files, 1);
    let rows = rig.read(0, 4);
    let offsets = rows["offset"].as_primitive::<Int64Type>();
    assert_eq!(offsets.values(), &[3, 3, 4]);
    let instances = rows["row"].as_primitive::<arrow::datatypes::UInt32Type>();
    assert_eq!(instances.values(), &[0, 1, 0]);
    let status = rows["status"].as_string::<i32>();
    assert_eq!((status.value(0), status.value(2)), ("OK", "INTERNAL"));
    assert_eq!(
        rows["request"].as_string::<i32>().value(2),
        "mill.requests.digits/0/4"
    );
    assert!(rows["key"].is_null(2) && rows["error"].is_null(0));
    assert!(
        matches!(rows["recorded_at"].data_type(), DataType::Timestamp(_, Some(zone)) if &**zone == "UTC")
    );
    let outputs = rows["y"].as_primitive::<Float32Type>();
    assert_eq!((outputs.value(1), outputs.is_null(2)), (1.5, true));
}

#[test]
fn tensors_become_nested_lists_of_their_own_lengths() {
    let floats: Vec<u8> = (0..12u8).flat_map(|n| f32::from(n).to_le_bytes()).collect();
    let mut rig = Rig::new();
    let wide = parsed(
        0,
        vec![fixed(
            "y",
            DType::Float32,
            &[1, 2, 3],
            floats[..24].to_vec(),
        )],
    );
    let tall = parsed(
        2,
        vec![fixed(
            "y",
            DType::Float32,
            &[2, 3, 1],
            floats[24..].to_vec(),
        )],
    );
    rig.writer
        .write(&batch(0, vec![wide, record_of_failure(1), tall]))
        .unwrap();
    let rows = rig.read(0, 2);
    let y = rows["y"].as_list::<i32>();
    let lengths: Vec<usize> = (0..4).map(|row| y.value(row).len()).collect();
    assert_eq!(lengths, [2, 0, 3, 3]);
    assert!(y.is_null(1));
    let last = y.value(3);
    let innermost = last.as_list::<i32>().value(2);
    assert_eq!(innermost.as_primitive::<Float32Type>().values(), &[11.0]);
}

#[test]
fn every_type_keeps_its_values() {
    let half = round_trip(vec![fixed(
        "y",
        DType::Float16,
        &[1, 1],
        0x3E00u16.to_le_bytes().to_vec(),
    )]);
    let half = half["y"].as_list::<i32>().value(0);
    assert_eq!(half.as_primitive::<Float16Type>().value(0).to_f32(), 1.5);
    let brain = round_trip(vec![fixed(
        "y",
        DType::Bfloat16,
        &[1],
        0x3FC0u16.to_le_bytes().to_vec(),
    )]);
    assert_eq!(brain["y"].as_primitive::<Float32Type>().value(0), 1.5);
    let flags = round_trip(vec![fixed("y", DType::Bool, &[3], vec![1, 0, 1])]);
    let flags = flags["y"].as_boolean();
    assert!(flags.value(0) && !flags.value(1) && flags.value(2));
    let nan = round_trip(vec![fixed(
        "y",
        DType::Float32,
        &[1],
        f32::NAN.to_le_bytes().to_vec(),
    )]);
    assert!(nan["y"].as_primitive::<Float32Type>().value(0).is_nan());
    for dtype in DType::ALL {
        let Some(size_bytes) = dtype.element_size_bytes() else {
            continue;
        };
        let rows = round_trip(vec![
            fixed("y", dtype, &[2, 0, 3], vec![]),
            fixed("z", dtype, &[2], vec![1; size_bytes * 2]),
        ]);
        assert_eq!((rows["y"].len(), rows["z"].null_count()), (2, 0), "{dtype}");
    }
}

#[test]
fn text_and_binary_keep_their_bytes() {
    let text =
        Tensor::variable("t", DType::String, vec![2], ["a\0é", ""].iter().collect()).unwrap();
    let bytes = [&[0u8, 255][..], &[]];
    let bytes = Tensor::variable("b", DType::Bytes, vec![2, 1], bytes.iter().collect()).unwrap();
    let rows = round_trip(vec![text, bytes]);
    assert_eq!(rows["t"].as_string::<i32>().value(0), "a\0é");
    let first = rows["b"].as_list::<i32>().value(0);
    assert_eq!(first.as_binary::<i32>().value(0), &[0, 255]);
}

#[test]
fn output_with_the_name_of_a_coordinate_is_renamed() {
    let one = |name: &str, value: u8| fixed(name, DType::Uint8, &[1], vec![value]);
    let rows = round_trip(vec![one("ID", 1), one("output_ID", 2), one("status", 3)]);
    for name in ["output_output_ID", "output_ID", "output_status"] {
        assert!(
            rows.column_by_name(name).is_some(),
            "{name} in {:?}",
            rows.schema()
        );
    }
    assert_eq!(rows["status"].as_string::<i32>().value(0), "OK");
}

#[test]
fn batch_of_dead_letters_leaves_a_file_without_rows_that_carries_the_progress() {
    let mut rig = Rig::new();
    let mut covered = OpenBatch::new(partition(TOPIC, 0), 0);
    covered.cover(8, 100);
    let covered = covered.close(&Projection::default()).unwrap();
    rig.writer.write(&covered).unwrap();
    assert_eq!(rig.read(0, 8).num_rows(), 0);
    assert_eq!(rig.writer.claim(&partition(TOPIC, 0)).unwrap(), 9);
}

#[test]
fn many_portions_make_one_file() {
    let mut rig = Rig::new();
    let wide = |offset| {
        parsed(
            offset,
            vec![fixed("y", DType::Uint8, &[1, 6 << 20], vec![7; 6 << 20])],
        )
    };
    rig.writer
        .write(&batch(0, (0..6).map(wide).collect()))
        .unwrap();
    let rows = rig.read(0, 5);
    assert_eq!(rows.num_rows(), 6);
    assert_eq!(rows["y"].as_list::<i32>().values().len(), 36 << 20);
}

#[test]
fn failed_attempt_leaves_nothing_and_the_next_writes_the_same_rows() {
    let mut rig = Rig::new();
    let rows = batch(0, vec![record_with(0, &[1.0])]);
    let obstacle = rig
        .writer
        .folder
        .temporary(&partition(TOPIC, 0), 0)
        .unwrap();
    fs::create_dir(&obstacle).unwrap();
    let error = rig.writer.write(&rows).unwrap_err();
    assert!(matches!(error, WriteError::Transient(_)), "{error:?}");
    assert!(!rig.path(0, 0).exists());
    fs::remove_dir(&obstacle).unwrap();
    rig.writer.write(&rows).unwrap();
    assert_eq!(rig.read(0, 0).num_rows(), 1);
    assert!(!obstacle.exists());
}
