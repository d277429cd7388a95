use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Int64Type};
use millrace_wire::{DType, Status, Tensor};
use tempfile::TempDir;

use super::folder::Folder;
use super::*;
use crate::batch::OpenBatch;
use crate::testing::{
    TOPIC, batch, fixed, kafka_record, parse, parsed, partition, record_of_failure, record_with,
};

const OWNER: &str = "0123456789abcdef0123456789abcdef";

struct Rig {
    root: TempDir,
    settings: FilesSettings,
    writer: FilesWriter,
}

impl Rig {
    fn new() -> Self {
        Self::with(FileFormat::Parquet, &[])
    }

    fn with(format: FileFormat, partition_by: &[PartitionKey]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let settings = settings(root.path(), format, partition_by);
        let mut writer = open(&settings, OWNER);
        assert_eq!(writer.claim(&own()).unwrap(), 0);
        Self {
            root,
            settings,
            writer,
        }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join(TOPIC)
    }

    fn path(&self, first: i64, last: i64) -> PathBuf {
        let name = names::finished(&own(), (first, last), Order::Last, "parquet");
        self.folder().join(name)
    }

    fn read(&self, first: i64, last: i64) -> RecordBatch {
        read(&self.path(first, last))
    }

    /// Paths of all visible files below the folder of the topic.
    fn visible(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.folder(), "", &mut found);
        found.sort();
        found
    }
}

fn own() -> TopicPartition {
    partition(TOPIC, 0)
}

fn open(settings: &FilesSettings, owner: &str) -> FilesWriter {
    let path = Path::new(&settings.url);
    let folder = Folder::open(path, owner.to_owned(), settings.layout()).unwrap();
    FilesWriter::on(Box::new(folder), settings)
}

fn list(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), &format!("{name}/"), found);
        } else if !name.rsplit('/').next().unwrap().starts_with('.') {
            found.push(name);
        }
    }
}

fn read(path: &Path) -> RecordBatch {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

fn settings(folder: &Path, format: FileFormat, partition_by: &[PartitionKey]) -> FilesSettings {
    FilesSettings {
        url: folder.to_str().unwrap().to_owned(),
        format,
        partition_by: partition_by.to_vec(),
        options: BTreeMap::new(),
        secrets: BTreeMap::new(),
        parquet: ParquetSettings::default(),
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
    assert_eq!(half.as_primitive::<Float32Type>().value(0), 1.5);
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
fn batch_of_dead_letters_leaves_a_hidden_mark_that_carries_the_progress() {
    let mut rig = Rig::new();
    let mut covered = OpenBatch::new(own(), 0);
    covered.cover(8, 100);
    let covered = covered.close().unwrap();
    let written = rig.writer.write(&covered).unwrap();
    assert_eq!((written.files, rig.visible().len()), (0, 0));
    assert_eq!(rig.writer.claim(&own()).unwrap(), 9);
}

#[test]
fn large_tensors_make_one_file() {
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
    let obstacle = rig.folder().join(names::temporary(&own(), 0, 0, OWNER));
    fs::create_dir(&obstacle).unwrap();
    let error = rig.writer.write(&rows).unwrap_err();
    assert!(matches!(error, WriteError::Transient(_)), "{error:?}");
    assert!(!rig.path(0, 0).exists());
    fs::remove_dir(&obstacle).unwrap();
    rig.writer.write(&rows).unwrap();
    assert_eq!(rig.read(0, 0).num_rows(), 1);
    assert!(!obstacle.exists());
}

fn at_hour(offset: i64, hour: i64) -> crate::row::ResultRecord<'static> {
    let mut record = kafka_record(offset, Status::Internal, None);
    record.timestamp_unix_ms = Some(1_700_000_000_000 + 3_600_000 * hour);
    parse(record)
}

fn two_hours() -> Batch {
    batch(0, vec![at_hour(0, 0), at_hour(1, 1), at_hour(2, 0)])
}

fn name(order: Order) -> String {
    names::finished(&own(), (0, 2), order, "parquet")
}

#[test]
fn batch_of_several_folders_is_one_file_in_each() {
    let mut rig = Rig::with(FileFormat::Parquet, &[PartitionKey::Hour]);
    let written = rig.writer.write(&two_hours()).unwrap();
    assert_eq!(written.files, 2);
    let (part, last) = (name(Order::Before), name(Order::Last));
    let expected = [format!("hour=22/{part}"), format!("hour=23/{last}")];
    assert_eq!(rig.visible(), expected);
    let rows = |path: &str| read(&rig.folder().join(path)).num_rows();
    assert_eq!((rows(&expected[0]), rows(&expected[1])), (2, 1));
    let mut next = open(&rig.settings, &"f".repeat(32));
    assert_eq!(next.claim(&own()).unwrap(), 3);
    assert_eq!(next.unfinished_to(&own()), None);
}

#[test]
fn batch_that_lacks_its_last_file_is_written_again_the_same() {
    let mut rig = Rig::with(FileFormat::Parquet, &[PartitionKey::Hour]);
    rig.writer.write(&two_hours()).unwrap();
    // As after a death between the two files.
    fs::remove_file(rig.folder().join("hour=23").join(name(Order::Last))).unwrap();
    let plan = names::plan(&own(), (0, 2), "hour.parquet");
    File::create_new(rig.folder().join(&plan)).unwrap();
    let kept = rig.folder().join("hour=22").join(name(Order::Before));
    let before = fs::metadata(&kept).unwrap().modified().unwrap();
    let mut next = open(&rig.settings, &"f".repeat(32));
    assert_eq!(next.claim(&own()).unwrap(), 0);
    assert_eq!(next.unfinished_to(&own()), Some(2));
    next.write(&two_hours()).unwrap();
    assert_eq!(next.unfinished_to(&own()), None);
    assert_eq!(rig.visible().len(), 2);
    assert_eq!(fs::metadata(&kept).unwrap().modified().unwrap(), before);
    assert!(!rig.folder().join(&plan).exists());
    assert_eq!(next.claim(&own()).unwrap(), 3);
}

#[test]
fn unfinished_batch_of_another_layout_is_not_guessed_at() {
    let rig = Rig::with(FileFormat::Parquet, &[PartitionKey::Hour]);
    let plan = names::plan(&own(), (0, 2), "date+hour.csv");
    File::create_new(rig.folder().join(plan)).unwrap();
    let error = open(&rig.settings, OWNER).claim(&own()).unwrap_err();
    assert!(
        matches!(&error, WriteError::Fatal(cause) if cause.to_string().contains("date+hour.csv"))
    );
}

#[test]
fn progress_is_found_whatever_the_format_was() {
    let mut rig = Rig::with(FileFormat::Csv, &[PartitionKey::Model]);
    rig.writer.write(&two_hours()).unwrap();
    let settings = settings(rig.root.path(), FileFormat::Jsonl, &[]);
    assert_eq!(open(&settings, OWNER).claim(&own()).unwrap(), 3);
}

mod faults;
