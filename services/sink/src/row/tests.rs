use super::*;
use crate::testing::{fixed, kafka_record, parse, parsed, try_parse};
use millrace_kafka::Headers;
use millrace_wire::{DType, encode_tensors};

fn check_rejected(record: Record, expected: &str) {
    let rejected = match try_parse(&record, &mut Projection::default()) {
        Ok(_) => panic!("was accepted; expected: {expected}"),
        Err(rejected) => rejected,
    };
    let reason = rejected.reason.to_string();
    assert!(reason.contains(expected), "{reason}");
    assert_eq!(
        rejected.record, record,
        "the dead letter needs the original"
    );
}

fn value() -> Vec<u8> {
    encode_tensors(&[fixed("y", DType::Int8, &[1], vec![7])]).unwrap()
}

#[test]
fn result_has_a_row_per_instance_and_its_coordinates() {
    let record = parsed(5, vec![fixed("y", DType::Uint8, &[3, 2], vec![0; 6])]);
    assert_eq!((record.rows(), record.offset()), (3, 5));
    assert_eq!(
        record.headers.source.to_string(),
        "mill.requests.digits/0/5"
    );
}

#[test]
fn failed_request_is_one_row_without_outputs() {
    for value in [None, Some(vec![])] {
        let record = kafka_record(5, Status::DeadlineExceeded, value);
        let record = parse(record);
        assert_eq!(
            (record.rows(), record.headers.status),
            (1, Status::DeadlineExceeded)
        );
        assert_eq!(record.headers.error.as_deref(), Some("the model failed"));
        assert!(record.value().is_none());
    }
}

#[test]
fn value_and_status_must_agree() {
    check_rejected(kafka_record(0, Status::Ok, None), "no value");
    check_rejected(kafka_record(0, Status::Ok, Some(vec![])), "no value");
    let contradiction = kafka_record(0, Status::Internal, Some(value()));
    check_rejected(contradiction, "mr-status is INTERNAL");
}

#[test]
fn damaged_values_are_rejected_with_their_bytes() {
    check_rejected(kafka_record(0, Status::Ok, Some(vec![0xFF; 100])), "");
    let mut truncated = value();
    truncated.truncate(truncated.len() / 2);
    check_rejected(kafka_record(0, Status::Ok, Some(truncated)), "");
}

#[test]
fn unknown_status_and_missing_headers_are_rejected_by_name() {
    let mut record = kafka_record(0, Status::Ok, Some(value()));
    record.headers = Headers::new();
    check_rejected(record.clone(), "mr-status");
    record.headers.push_text("mr-status", "FINE");
    check_rejected(record, "FINE");
}
