//! Tensors that are too large for their topics go through a store, with nothing lost and every answer right.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::AsArray;
use arrow::buffer::Buffer;
use arrow::datatypes::Float32Type;
use e2e::{Feed, Infer, Line, PATIENCE, Process, Tap, header, tool, wait_for};
use millrace_kafka::Record as KafkaRecord;
use millrace_wire::avro::DeadLetter;
use millrace_wire::{DType, Record, Tensor, encode_tensors};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};

use crate::model_repository::s3;

pub(crate) const ARROW: &str = "application/vnd.apache.arrow.stream";
/// 20 MB, where the topics take one.
const LARGE: usize = 5_000_000;

/// One row of so many numbers, none of which is like its neighbours.
fn numbers(count: usize) -> Vec<f32> {
    let value = |index: usize| f32::from(u16::try_from(index % 65_521).expect("it fits"));
    (0..count).map(value).collect()
}

pub(crate) fn record(count: usize) -> Vec<u8> {
    let data = Buffer::from_vec(numbers(count));
    let tensor = Tensor::fixed("x", DType::Float32, vec![1, count], data);
    encode_tensors(&[tensor.expect("a row")]).expect("a tensor encodes")
}

/// Whether these are the negatives of [`numbers`].
fn check_negated(values: &[f32], count: usize) {
    let expected: Vec<f32> = numbers(count).into_iter().map(|it| -it).collect();
    assert!(
        values == expected,
        "{} values differ from {count}",
        values.len()
    );
}

fn check_answer(value: Vec<u8>, count: usize) {
    let record = Record::decode(value, &millrace_wire::Limits::default());
    let tensor = record.expect("an answer decodes").tensor(0);
    let tensor = tensor.expect("it has an output");
    check_negated(tensor.typed::<f32>().expect("numbers"), count);
}

/// A line whose topics take a megabyte, and the store beside it.
pub(crate) struct Large {
    pub(crate) line: Line,
    pub(crate) url: String,
    options: String,
}

impl Large {
    pub(crate) fn new() -> Self {
        let line = Line::with_small_records(&["negate"]);
        let url = line.dir().join("claims").display().to_string();
        Self {
            line,
            url,
            options: String::new(),
        }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        PathBuf::from(&self.url)
    }

    fn settings(&self) -> String {
        format!(
            "[claims]\nurl = {:?}\nmissing_after = \"300ms\"\n{}",
            self.url, self.options
        )
    }

    pub(crate) fn infer(&self, delivery: &str) -> Process {
        let mut infer = self.line.infer(Infer {
            models: "tests/models",
            names: &["negate"],
            settings: &format!("delivery = {delivery:?}\n{}", self.settings()),
            ..Infer::default()
        });
        infer.wait_ready();
        infer
    }

    pub(crate) fn ingest(&self) -> Process {
        let limits =
            "request_timeout = \"110s\"\n[limits]\nbody_bytes = 64000000\nrecord_bytes = 1000000";
        let mut ingest = self.line.ingest(&format!("{limits}\n{}", self.settings()));
        ingest.wait_ready();
        ingest
    }

    /// Puts a value into the folder as a producer of anybody's does; the headers that name it.
    pub(crate) fn put(&self, value: &[u8]) -> [(&'static str, String); 3] {
        let digest = Sha256::digest(value);
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = format!("values/2026-01-31/{digits}");
        let file = self.folder().join(&path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder can be made");
        fs::write(self.folder().join("millrace-claims"), "").expect("a file can be written");
        fs::write(file, value).expect("a file can be written");
        [
            ("mr-claim", path),
            ("mr-claim-length", value.len().to_string()),
            ("mr-claim-sha256", digits),
        ]
    }
}

pub(crate) fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

/// Asks over HTTP with an Arrow body for an Arrow answer.
pub(crate) fn ask(ingest: &Process, count: usize) {
    let answer = reqwest::blocking::Client::builder()
        .timeout(PATIENCE)
        .build()
        .expect("a client")
        .post(ingest.url("/v1/models/negate:predict"))
        .header("content-type", ARROW)
        .header("accept", ARROW)
        .body(record(count))
        .send()
        .expect("ingest answers");
    let status = answer.status();
    let body = answer.bytes().expect("a body");
    assert_eq!(
        status,
        200,
        "{}",
        String::from_utf8_lossy(&body[..body.len().min(500)])
    );
    check_answer(body.to_vec(), count);
}

/// Fails unless the record has its value in the store.
pub(crate) fn check_claimed(record: &KafkaRecord, length: usize) {
    assert_eq!(
        record.value.as_deref(),
        Some(&[][..]),
        "the value is not in the record"
    );
    let said: usize = header(record, "mr-claim-length")
        .expect("a claim")
        .parse()
        .expect("a number");
    assert!(said >= length, "{said} bytes");
}

#[test]
fn a_tensor_of_20_mb_goes_over_topics_of_1_mb_and_into_parquet() {
    let large = Large::new();
    let (requests, results) = (
        Tap::open(&large.line, "requests.negate"),
        Tap::open(&large.line, "results.negate"),
    );
    let _infer = large.infer("at_least_once");
    let ingest = large.ingest();
    ask(&ingest, LARGE);
    check_claimed(&requests.wait_for(1)[0], 4 * LARGE);
    check_claimed(&results.wait_for(1)[0], 4 * LARGE);
    ask(&ingest, 3);
    assert!(
        header(&results.wait_for(2)[1], "mr-claim").is_none(),
        "small values stay in their records"
    );

    let files = large.line.dir().join("parquet");
    let mut sink = large.line.sink(&format!(
        "{}\n[[pipelines]]\nname = \"files\"\nmodels = [\"negate\"]\n\
         destination = {{ type = \"files\", url = {files:?} }}\n",
        large.settings()
    ));
    sink.wait_ready();
    wait_for(PATIENCE, "both results to be read", || {
        (sink.metric("millrace_claims_bytes_total") >= 4.0 * 5e6).then_some(())
    });
    assert!(
        sink.terminate().success(),
        "a clean stop, which closes the open file"
    );
    let rows = rows_of_parquet(&files);
    assert_eq!(rows.len(), 2);
    check_negated(&rows[0], LARGE);
    check_negated(&rows[1], 3);
}

/// The only output of each row, in the order of offsets.
fn rows_of_parquet(folder: &Path) -> Vec<Vec<f32>> {
    let mut rows = Vec::new();
    for file in files_below(folder) {
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(fs::File::open(file).expect("a file"))
                .and_then(|it| it.build())
                .expect("Parquet");
        for batch in reader {
            let batch = batch.expect("rows");
            let y = batch
                .column_by_name("y")
                .expect("the output")
                .as_list::<i32>()
                .clone();
            for row in 0..batch.num_rows() {
                rows.push(y.value(row).as_primitive::<Float32Type>().values().to_vec());
            }
        }
    }
    rows
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false if path.extension().is_some_and(|it| it == "parquet") => files.push(path),
            false => {}
        }
    }
    files.sort();
    files
}

#[test]
fn a_result_that_is_too_large_is_committed_exactly_once_and_shown() {
    let large = Large::new();
    let results = Tap::open(&large.line, "results.negate");
    let _infer = large.infer("exactly_once");
    ask(&large.ingest(), 500_000);
    check_claimed(&results.wait_for(1)[0], 2_000_000);
    let shown = tool(&[
        "tail",
        "negate",
        "--from",
        "beginning",
        "--once",
        "--json",
        "--brokers",
        large.line.brokers(),
        "--prefix",
        large.line.topic("x").trim_end_matches(".x"),
        "--set",
        &format!("claims.url={}", large.url),
    ]);
    let row: serde_json::Value = serde_json::from_str(shown.trim()).expect("one line of JSON");
    let values = row["outputs"]["y"].as_array().expect("a list");
    assert_eq!((values.len(), values[7].as_f64()), (500_000, Some(-7.0)));
}

#[test]
fn a_bucket_is_a_store_as_well() {
    let (_s3, endpoint) = s3();
    let large = Large {
        url: "s3://results/team/large".to_owned(),
        options: format!(
            "[claims.options]\nendpoint = {endpoint:?}\nallow_http = \"true\"\nregion = \"us-east-1\"\n\
             access_key_id = \"key\"\nsecret_access_key = \"secret\"\n"
        ),
        ..Large::new()
    };
    let letters = Tap::open(&large.line, "dead-letters");
    let _infer = large.infer("at_least_once");
    ask(&large.ingest(), LARGE);
    let zeros = "0".repeat(64);
    let missing = [
        ("mr-claim", "values/2026-01-31/none"),
        ("mr-claim-length", "5"),
        ("mr-claim-sha256", zeros.as_str()),
    ];
    Feed::new(&large.line, "requests.negate").send(Some(0), Some(Vec::new()), &missing);
    let letter = letters.wait_for(1);
    let letter = DeadLetter::decode(letter[0].value.as_deref().expect("a letter"));
    assert_eq!(letter.expect("it decodes").code, "DATA_LOSS");
}
