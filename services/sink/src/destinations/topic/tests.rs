use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Float32Array, Int64Array, ListArray, RecordBatch, StringArray,
    UInt64Array,
};
use arrow::datatypes::{Float32Type, Schema};
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};

use super::encode::{EncodeError, Encoder, avro_messages, described};
use super::settings::{RegistrySettings, TopicFormat, TopicSettings};

fn settings(format: TopicFormat, registry: Option<&str>) -> TopicSettings {
    let registry = registry.map(|url| RegistrySettings {
        url: url.to_owned(),
        subject: None,
        username: None,
        password_file: None,
    });
    TopicSettings {
        topic: "scores".to_owned(),
        format,
        registry,
        partitions: None,
        transaction_timeout: std::time::Duration::from_secs(15),
    }
}

/// Two rows of one result and one of the next, with the columns that messages are made by.
fn rows(more: Vec<(&str, ArrayRef, bool)>) -> RecordBatch {
    let keys: BinaryArray = [Some(&b"k"[..]), Some(b"k"), None].into_iter().collect();
    let offsets: ArrayRef = Arc::new(Int64Array::from(vec![5, 5, 9]));
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "a", "b"]));
    let mut columns = vec![
        ("offset", offsets, false),
        ("id", ids, false),
        ("key", Arc::new(keys) as ArrayRef, true),
    ];
    columns.extend(more);
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn scores() -> (&'static str, ArrayRef, bool) {
    let lists = ListArray::from_iter_primitive::<Float32Type, _, _>([
        Some(vec![Some(0.5), Some(f32::NAN)]),
        Some(vec![]),
        None,
    ]);
    ("scores", Arc::new(lists), true)
}

#[test]
fn json_has_one_object_per_row_with_the_id_and_key_of_its_row() {
    let mut encoder = Encoder::new(&settings(TopicFormat::Json, None)).unwrap();
    let messages = encoder.encode(&rows(vec![scores()])).unwrap();
    let ids: Vec<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids, ["a", "a", "b"]);
    assert_eq!(messages[1].key.as_deref(), Some(&b"k"[..]));
    assert_eq!(messages[2].key, None);
    let text = String::from_utf8(messages[0].value.clone()).unwrap();
    assert_eq!(
        text,
        r#"{"offset":5,"id":"a","key":"k","scores":[0.5,"NaN"]}"#
    );
}

#[test]
fn arrow_has_one_stream_per_result() {
    let mut encoder = Encoder::new(&settings(TopicFormat::Arrow, None)).unwrap();
    let messages = encoder.encode(&rows(vec![scores()])).unwrap();
    let ids: Vec<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
}

#[test]
fn avro_is_framed_with_the_id_and_reads_back_as_it_was() {
    let words: ArrayRef = Arc::new(StringArray::from(vec![Some("ä"), Some(""), None]));
    let single: ArrayRef = Arc::new(Float32Array::from(vec![
        f32::INFINITY,
        -0.0,
        f32::MIN_POSITIVE,
    ]));
    let rows = rows(vec![
        scores(),
        ("word", words, true),
        ("single", single, true),
    ]);
    let schema = Arc::new(described(&rows.schema()));
    let messages = avro_messages(&rows, &schema, 7).unwrap();
    let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    let avro = AvroSchema::try_from(schema.as_ref()).unwrap();
    store.set(Fingerprint::Id(7), avro).unwrap();
    let mut decoder = arrow_avro::reader::ReaderBuilder::new()
        .with_writer_schema_store(store)
        .build_decoder()
        .unwrap();
    for message in &messages {
        assert_eq!(message.value[..5], [0, 0, 0, 0, 7]);
        decoder.decode(&message.value).unwrap();
    }
    let back = decoder.flush().unwrap().unwrap();
    for (own, read) in rows.columns().iter().zip(back.columns()) {
        assert_eq!(format!("{own:?}"), format!("{read:?}"));
    }
}

#[test]
fn number_that_avro_cannot_hold_is_refused() {
    let large: ArrayRef = Arc::new(UInt64Array::from(vec![1, u64::MAX, 2]));
    let rows = rows(vec![("large", large, false)]);
    let schema = Arc::new(described(&rows.schema()));
    let error = avro_messages(&rows, &schema, 1).unwrap_err();
    assert!(matches!(error, EncodeError::Rows(_)), "{error}");
}

#[test]
fn new_output_is_compatible_with_the_schema_before() {
    let described = described(&rows(vec![scores()]).schema());
    let avro = AvroSchema::try_from(&described as &Schema).unwrap();
    let json: serde_json::Value = serde_json::from_str(&avro.json_string).unwrap();
    let fields = json["fields"].as_array().unwrap();
    let scores = fields
        .iter()
        .find(|field| field["name"] == "scores")
        .unwrap();
    assert_eq!(scores["type"][0], "null");
    assert!(
        scores.as_object().unwrap().contains_key("default"),
        "{scores}"
    );
}

#[test]
fn settings_that_cannot_work_are_named() {
    let check = |settings: TopicSettings, key: Option<&str>| {
        let refused = settings.validate("d").err().map(|error| error.key);
        assert_eq!(refused.as_deref(), key);
    };
    check(settings(TopicFormat::Json, None), None);
    check(settings(TopicFormat::Avro, Some("http://r:8081")), None);
    check(settings(TopicFormat::Avro, None), Some("d.registry"));
    check(
        settings(TopicFormat::Json, Some("http://r")),
        Some("d.registry"),
    );
    check(
        settings(TopicFormat::Avro, Some("r:8081")),
        Some("d.registry.url"),
    );
    let with_slash = TopicSettings {
        topic: "a/b".to_owned(),
        ..settings(TopicFormat::Json, None)
    };
    check(with_slash, Some("d.topic"));
}
