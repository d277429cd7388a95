//! Results for the tests of all tables.

use millrace_kafka::TopicPartition;
use millrace_wire::{DType, Status, Tensor, VariableData};

use super::plan::{Mode, Plan, TableName};
use super::settings::ServerSettings;
use crate::destinations::{WriteError, Writer};
use crate::row::ResultRecord;
use crate::testing::{TOPIC, batch, fixed, kafka_record, parse, parsed, partition};

pub(crate) fn plan(table: &str) -> Plan {
    Plan {
        pipeline: "table".to_owned(),
        table: TableName::parse(table).unwrap(),
        mode: Mode::Insert,
        create: true,
        evolve: true,
        vectors: false,
        repeats_places: false,
    }
}

pub(crate) fn upsert(table: &str, key: &[&str]) -> Plan {
    let key = key.iter().map(|&column| column.to_owned()).collect();
    Plan {
        mode: Mode::Upsert { key },
        ..plan(table)
    }
}

/// A server's table `results`.
pub(crate) fn settings(url: &str) -> ServerSettings {
    ServerSettings {
        url: Some(url.to_owned().into()),
        url_file: None,
        table: "results".to_owned(),
        mode: Default::default(),
        key: Vec::new(),
        create: true,
        evolve: true,
        vectors: false,
    }
}

/// Writes the records after claiming the partition.
pub(crate) fn write(writer: &mut dyn Writer, records: Vec<ResultRecord<'_>>) {
    let first = writer.claim(&own()).unwrap();
    writer.write(&batch(first, records)).unwrap();
}

/// What the database says of rows that it refuses.
pub(crate) fn sentence(error: &WriteError) -> String {
    match error {
        WriteError::Rejected { sentence } => sentence.clone(),
        other => panic!("not rejected: {other:?}"),
    }
}

pub(crate) fn own() -> TopicPartition {
    partition(TOPIC, 0)
}

/// A column of each type with its extremes, two rows: the smallest value and the largest.
pub(crate) fn extremes(offset: i64) -> ResultRecord<'static> {
    parsed(offset, scalars())
}

fn scalars() -> Vec<Tensor> {
    let one = |name, dtype, pair: [&[u8]; 2]| fixed(name, dtype, &[2], pair.concat());
    vec![
        one("bool", DType::Bool, [&[0], &[1]]),
        one("int8", DType::Int8, [&i8::MIN.to_le_bytes(), &[127]]),
        one(
            "int16",
            DType::Int16,
            [&i16::MIN.to_le_bytes(), &i16::MAX.to_le_bytes()],
        ),
        one(
            "int32",
            DType::Int32,
            [&i32::MIN.to_le_bytes(), &i32::MAX.to_le_bytes()],
        ),
        one(
            "int64",
            DType::Int64,
            [&i64::MIN.to_le_bytes(), &i64::MAX.to_le_bytes()],
        ),
        one("uint8", DType::Uint8, [&[0], &[255]]),
        one("uint16", DType::Uint16, [&[0; 2], &u16::MAX.to_le_bytes()]),
        one("uint32", DType::Uint32, [&[0; 4], &u32::MAX.to_le_bytes()]),
        one("uint64", DType::Uint64, [&[0; 8], &u64::MAX.to_le_bytes()]),
        one(
            "float16",
            DType::Float16,
            [&0x3E00u16.to_le_bytes(), &0xFBFFu16.to_le_bytes()],
        ),
        one(
            "bfloat16",
            DType::Bfloat16,
            [&0x3FC0u16.to_le_bytes(), &0xBFC0u16.to_le_bytes()],
        ),
        one(
            "float32",
            DType::Float32,
            [&0.1f32.to_le_bytes(), &f32::MAX.to_le_bytes()],
        ),
        one(
            "float64",
            DType::Float64,
            [&0.1f64.to_le_bytes(), &f64::MIN_POSITIVE.to_le_bytes()],
        ),
        texts(
            "string",
            &["", "it's \"1\\n\u{2028}größe😀'); DROP TABLE results; --"],
        ),
        bytes("bytes", &[&[], &[0, 255, 39]]),
    ]
}

/// Floats that are no numbers: NaN, the infinities and negative zero, a row each.
pub(crate) fn odd_floats(offset: i64) -> ResultRecord<'static> {
    let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
    let wide: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    #[expect(clippy::cast_possible_truncation, reason = "these four lose nothing")]
    let narrow: Vec<u8> = values
        .iter()
        .flat_map(|&value| (value as f32).to_le_bytes())
        .collect();
    parsed(
        offset,
        vec![
            fixed("float64", DType::Float64, &[4], wide),
            fixed("float32", DType::Float32, &[4], narrow),
        ],
    )
}

/// Tensors of one row: two dimensions, one, an empty one, texts, bytes, odd floats.
pub(crate) fn tensors(offset: i64) -> ResultRecord<'static> {
    let ints: Vec<u8> = (1..=6i32).flat_map(i32::to_le_bytes).collect();
    let floats = [1.5f32, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    let floats: Vec<u8> = floats
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let data: VariableData = ["a,\"b\"", ""].iter().collect();
    let raw: VariableData = [[0u8, 255]].iter().collect();
    parsed(
        offset,
        vec![
            fixed("matrix", DType::Int32, &[1, 2, 3], ints),
            fixed("floats", DType::Float32, &[1, 4], floats),
            fixed("empty", DType::Float64, &[1, 2, 0], Vec::new()),
            Tensor::variable("texts", DType::String, vec![1, 2], data).unwrap(),
            Tensor::variable("raws", DType::Bytes, vec![1, 1], raw).unwrap(),
        ],
    )
}

/// A tensor of `count` floats, 0, 1, 2 and so on.
pub(crate) fn large(offset: i64, count: u16) -> ResultRecord<'static> {
    let values: Vec<u8> = (0..count)
        .flat_map(|value| f32::from(value).to_le_bytes())
        .collect();
    parsed(
        offset,
        vec![fixed("y", DType::Float32, &[1, count.into()], values)],
    )
}

pub(crate) fn texts(name: &str, values: &[&str]) -> Tensor {
    let data = values.iter().collect();
    Tensor::variable(name, DType::String, vec![values.len()], data).unwrap()
}

fn bytes(name: &str, values: &[&[u8]]) -> Tensor {
    let data = values.iter().collect();
    Tensor::variable(name, DType::Bytes, vec![values.len()], data).unwrap()
}

/// Outputs whose names look like SQL.
pub(crate) fn hostile(offset: i64) -> ResultRecord<'static> {
    let names = [
        "y\"; DROP TABLE results; --",
        "`y`",
        "select",
        "Topic",
        "ctid",
        "é".repeat(80).leak(),
    ];
    let tensor = |name: &&str| texts(name, &["'); DROP TABLE results; --"]);
    parsed(offset, names.iter().map(tensor).collect())
}

/// A result whose record has this time.
pub(crate) fn recorded_at(offset: i64, unix_ms: i64) -> ResultRecord<'static> {
    let mut record = kafka_record(offset, Status::Internal, None);
    record.timestamp_unix_ms = Some(unix_ms);
    parse(record)
}

/// A result of one row with the id.
pub(crate) fn with_id(offset: i64, id: &str, value: i32) -> ResultRecord<'static> {
    let tensor = fixed("y", DType::Int32, &[1], value.to_le_bytes().to_vec());
    let value = millrace_wire::encode_tensors(&[tensor]).unwrap();
    let mut record = kafka_record(offset, Status::Ok, Some(value));
    let mut headers = millrace_kafka::Headers::new();
    for (name, value) in record.headers.iter() {
        let own = (name == "mr-id").then(|| id.as_bytes().to_vec());
        headers.push(name.to_owned(), own.or_else(|| value.map(<[u8]>::to_vec)));
    }
    record.headers = headers;
    parse(record)
}
