//! Avro messages agree with fastavro, and hostile ones are refused before they cost anything.

use millrace_wire::avro::{
    AvroError, Canary, DeadLetter, ModelControl, ModelDescriptor, ModelState, TensorDescription,
};
use millrace_wire::{DType, TensorSpec};
use serde_json::Value;

use crate::golden::{self, hex, text};

const HEADER_BYTES: usize = 10;

#[test]
fn messages_of_fastavro_read_as_the_index_says_and_are_written_alike() {
    let index = golden::index();
    let entries = index["avro"].as_array().unwrap();
    assert!(entries.len() >= 6);
    for entry in entries {
        let name = text(&entry["name"]);
        let message = golden::read("avro", &format!("{name}.avro"));
        let (content, again) = match text(&entry["schema"]) {
            "dead_letter" => {
                let letter = DeadLetter::decode(&message).unwrap();
                (plain_letter(&letter), letter.encode().unwrap())
            }
            "model_control" => {
                let control = ModelControl::decode(&message).unwrap();
                let content = serde_json::to_value(&control).unwrap();
                (content, control.encode().unwrap())
            }
            _ => {
                let descriptor = ModelDescriptor::decode(&message).unwrap();
                let content = serde_json::to_value(&descriptor).unwrap();
                (content, descriptor.encode().unwrap())
            }
        };
        assert_eq!(content, entry["content"], "{name}");
        assert!(again == message, "{name}");
    }
}

#[test]
fn a_message_cut_off_at_any_byte_is_refused() {
    for file in [
        "dead-letter.avro",
        "dead-letter-tombstone.avro",
        "model-available.avro",
        "control.avro",
        "control-unloaded.avro",
    ] {
        let good = golden::read("avro", file);
        for length in 0..good.len() {
            assert!(
                DeadLetter::decode(&good[..length]).is_err(),
                "{file} at {length}"
            );
            assert!(
                ModelDescriptor::decode(&good[..length]).is_err(),
                "{file} at {length}"
            );
            assert!(
                ModelControl::decode(&good[..length]).is_err(),
                "{file} at {length}"
            );
        }
        let longer = [&good[..], &[0]].concat();
        assert!(DeadLetter::decode(&longer).is_err() && ModelDescriptor::decode(&longer).is_err());
        assert!(ModelControl::decode(&longer).is_err());
    }
}

#[test]
fn another_schema_is_named_by_its_fingerprint() {
    let letter = golden::read("avro", "dead-letter.avro");
    let error = ModelDescriptor::decode(&letter).unwrap_err();
    assert!(matches!(error, AvroError::UnknownSchema { .. }), "{error}");
    assert!(matches!(
        DeadLetter::decode(b"{}"),
        Err(AvroError::NotSingleObject)
    ));
    assert!(matches!(
        DeadLetter::decode(&[0; 64]),
        Err(AvroError::NotSingleObject)
    ));
}

#[test]
fn lengths_that_lie_are_refused_at_their_byte() {
    let good = golden::read("avro", "model-available.avro");
    // The first field is the string `model`; a zigzag length of 500 MiB, then one of 2^63 - 1.
    let half_gigabyte = [0x80, 0x80, 0x80, 0xF4, 0x03];
    let largest = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
    let negative = [0x01];
    for length in [&half_gigabyte[..], &largest, &negative] {
        let message = [&good[..HEADER_BYTES], length, b"x"].concat();
        let error = ModelDescriptor::decode(&message).unwrap_err();
        let at = HEADER_BYTES + length.len();
        let expected = format!("message is damaged at byte {at}: a length beyond the message");
        assert_eq!(error.to_string(), expected);
    }
    let endless = [&good[..HEADER_BYTES], &[0xFF; 11]].concat();
    let error = ModelDescriptor::decode(&endless).unwrap_err();
    assert!(
        error.to_string().contains("a number beyond 64 bits"),
        "{error}"
    );
}

#[test]
fn an_array_longer_than_the_message_is_refused() {
    let good = golden::read("avro", "dead-letter-tombstone.avro");
    // Null key, null value, then the headers: the most that a count can say.
    let count = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
    let message = [&good[..HEADER_BYTES], &[0, 0], &count, b"xxxx"].concat();
    let error = DeadLetter::decode(&message).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("an array longer than the message"),
        "{error}"
    );
}

#[test]
fn what_is_wanted_of_a_model_must_be_possible() {
    let mut control = ModelControl::decode(&golden::read("avro", "control.avro")).unwrap();
    assert_eq!(control.labels["old"], None);
    let canary = |percent| Canary {
        label: "canary".to_owned(),
        percent,
    };
    for percent in [-1, 101, i32::MAX] {
        control.canary = Some(canary(percent));
        let error = ModelControl::decode(&control.encode().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "field percent must be 0 to 100");
    }
    control.canary = Some(canary(100));
    for version in [-1, i64::MIN] {
        control.labels.insert("stable".to_owned(), Some(version));
        let error = ModelControl::decode(&control.encode().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "field labels must be versions of at least 0"
        );
    }
}

#[test]
fn a_boolean_is_zero_or_one_and_a_map_no_longer_than_its_message() {
    let good = golden::read("avro", "control-unloaded.avro");
    let at = good.len() - "Mühle: 🌊".len() - 1 - 6 - 2;
    assert_eq!(good[at..at + 2], [0, 1], "no canary, then unloaded");
    let mut odd = good.clone();
    odd[at + 1] = 2;
    let error = ModelControl::decode(&odd).unwrap_err().to_string();
    assert!(error.contains("neither 0 nor 1"), "{error}");
    // After the model's name: a map of 2^63 - 1 entries.
    let count = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
    let message = [&good[..HEADER_BYTES], b"\x02m", &count, b"xxxx"].concat();
    let error = ModelControl::decode(&message).unwrap_err().to_string();
    assert!(error.contains("an array longer than"), "{error}");
}

#[test]
fn the_key_of_a_descriptor_is_model_version_and_replica() {
    assert_eq!(descriptor().key(), "ffnn/3/infer-0");
}

#[test]
fn a_descriptor_gives_its_signature() {
    let spec = TensorSpec {
        name: "input".into(),
        dtype: DType::Float32,
        shape: vec![None, Some(784)],
    };
    let mut descriptor = descriptor();
    assert_eq!(descriptor.state, ModelState::Available);
    assert_eq!(descriptor.inputs, [TensorDescription::from(&spec)]);
    assert_eq!(descriptor.signature().unwrap().inputs, [spec]);

    descriptor.inputs[0].shape = vec![-2];
    let error = descriptor.signature().unwrap_err();
    assert_eq!(
        error.to_string(),
        "field shape must be sizes of at least -1"
    );
    descriptor.inputs[0].dtype = "float".into();
    assert!(descriptor.signature().is_err());
}

fn descriptor() -> ModelDescriptor {
    ModelDescriptor::decode(&golden::read("avro", "model-available.avro")).unwrap()
}

/// The letter as the index writes it: bytes as hexadecimal digits.
fn plain_letter(letter: &DeadLetter) -> Value {
    let bytes = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(hex);
    let header = |header: &millrace_wire::avro::Header| serde_json::json!({"name": header.name, "value": bytes(&header.value)});
    serde_json::json!({
        "key": bytes(&letter.key),
        "value": bytes(&letter.value),
        "headers": letter.headers.iter().map(header).collect::<Vec<_>>(),
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp_unix_ms": letter.timestamp_unix_ms,
        "code": letter.code,
        "reason": letter.reason,
        "stage": letter.stage,
        "model": letter.model,
        "attempts": letter.attempts,
        "failed_at_unix_ms": letter.failed_at_unix_ms,
    })
}
