//! Records that contradict themselves are refused with a sentence, before anything is allocated.

use arrow::ipc::MetadataVersion;
use millrace_wire::{ColumnParts, DecodeErrorKind, Limits, Record, Tensor, TensorSlice, encode};

use crate::forge::{Forge, floats, texts};

#[test]
fn a_forged_record_without_changes_is_good() {
    assert_eq!(numbers().decode().unwrap().rows(), 2);
    assert_eq!(strings().decode().unwrap().rows(), 2);
    assert_eq!(variable().decode().unwrap().rows(), 3);
}

#[test]
fn row_counts_that_lie_are_refused() {
    check_numbers(|forge| forge.rows = 0, "record has 0 rows");
    check_numbers(|forge| forge.rows = -1, "record has -1 rows");
    check_numbers(
        |forge| forge.rows = 1 << 31,
        "more than the limit of 1048576",
    );
    check_numbers(
        |forge| forge.rows = i64::MAX,
        "more than the limit of 1048576",
    );
    check_numbers(
        |forge| forge.rows = 3,
        "column x says it has 2 items, expected 3",
    );
}

#[test]
fn nodes_that_do_not_fit_are_refused() {
    check_numbers(
        |forge| forge.nodes[1].0 = 5,
        "column x says it has 5 items, expected 6",
    );
    check_numbers(
        |forge| forge.nodes[1].0 = -6,
        "column x says it has -6 items",
    );
    check_numbers(
        |forge| forge.nodes[1].1 = 1,
        "column x has a null count of 1",
    );
    check_numbers(
        |forge| forge.nodes[0].1 = 7,
        "column x has a null count of 7",
    );
    check_numbers(
        |forge| forge.nodes[0].1 = -1,
        "column x has a null count of -1",
    );
    check_numbers(
        |forge| forge.nodes.push((2, 0)),
        "3 field nodes, which do not match",
    );
    check_numbers(
        |forge| forge.nodes.truncate(1),
        "1 field nodes, which do not match",
    );
}

#[test]
fn buffers_outside_the_body_are_refused() {
    check_numbers(
        |forge| forge.buffers[2].0 = 8,
        "outside the body of 24 bytes",
    );
    check_numbers(
        |forge| forge.buffers[2].0 = -8,
        "a buffer at -8 of 24 bytes, outside",
    );
    check_numbers(
        |forge| forge.buffers[2].1 = -1,
        "of -1 bytes, outside the body",
    );
    check_numbers(
        |forge| forge.buffers[2] = (i64::MAX, i64::MAX),
        "outside the body",
    );
    check_numbers(
        |forge| forge.buffers[2].1 = 23,
        "a buffer of 23 bytes, expected 24",
    );
    check_numbers(
        |forge| forge.buffers[0] = (0, 8),
        "a buffer at 0 that overlaps",
    );
    check_numbers(|forge| forge.buffers[0] = (0, 25), "outside the body");
    check_numbers(
        |forge| forge.buffers.push((0, 0)),
        "4 buffers, which do not match",
    );
    check_numbers(
        |forge| forge.buffers.truncate(2),
        "2 buffers, which do not match",
    );
}

#[test]
fn body_lengths_that_lie_are_refused() {
    check_numbers(
        |forge| forge.body_length = -1,
        "a body of -1 bytes, but 32 bytes follow",
    );
    check_numbers(
        |forge| forge.body_length = 48,
        "a body of 48 bytes, but 32 bytes follow",
    );
    check_numbers(
        |forge| forge.body_length = i64::MAX,
        "a body of 9223372036854775807 bytes",
    );
    check_numbers(
        |forge| forge.body_length = 16,
        "does not begin an Arrow stream message",
    );
}

#[test]
fn metadata_lengths_that_lie_are_refused() {
    for (length, expected) in [
        (-8, "metadata of -8 bytes, which must be a multiple of 8"),
        (i32::MIN, "metadata of -2147483648 bytes"),
        (i32::MAX, "metadata of 2147483647 bytes"),
        (1 << 24, "metadata of 16777216 bytes"),
        (7, "metadata of 7 bytes"),
    ] {
        let mut payload = numbers().bytes();
        payload[4..8].copy_from_slice(&length.to_le_bytes());
        let error = Record::decode(payload, &Limits::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn an_old_metadata_version_is_refused() {
    check_numbers(
        |forge| forge.version = MetadataVersion::V3,
        "metadata version V3",
    );
}

#[test]
fn text_offsets_that_lie_are_refused() {
    let offset = |index: usize, value: i32| {
        move |forge: &mut Forge| forge.body[index * 4..][..4].copy_from_slice(&value.to_le_bytes())
    };
    check(
        strings(),
        offset(0, -1),
        "column x has offsets that are negative or decrease",
    );
    check(
        strings(),
        offset(1, 9),
        "column x has offsets that are negative or decrease",
    );
    check(
        strings(),
        offset(2, 99),
        "column x has a buffer of 6 bytes, expected 99",
    );
    check(
        strings(),
        offset(1, 1),
        "column x has text that is not UTF-8",
    );
    check(
        strings(),
        |forge| forge.body[16] = 0xFF,
        "column x has text that is not UTF-8",
    );
}

#[test]
fn a_written_shape_that_is_not_the_data_s_is_refused() {
    let size = |index: usize, value: i32| {
        move |forge: &mut Forge| {
            let at = usize::try_from(forge.buffers[6].0).unwrap() + index * 4;
            forge.body[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
    };
    check(
        variable(),
        size(1, 3),
        "column x has 2 elements in row 0, its shape is [1,3]",
    );
    check(
        variable(),
        size(1, -2),
        "column x has a negative size in the shape of row 0",
    );
    check(
        variable(),
        size(4, i32::MAX),
        "column x has 4 elements in row 2",
    );
}

#[test]
fn buffers_may_lie_at_odd_offsets() {
    let mut forge = numbers();
    forge.body.insert(0, 7);
    forge.body.resize(32, 0);
    forge.body_length = 32;
    forge.buffers[2].0 = 1;
    let record = forge.decode().unwrap();
    let values = record.tensor(0).unwrap();
    assert_eq!(
        values.typed::<f32>().unwrap(),
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    );
}

#[test]
fn every_limit_holds() {
    let payload = numbers().bytes();
    let limits = Limits::default;
    for (limits, expected) in [
        (
            Limits {
                max_record_bytes: 99,
                ..limits()
            },
            "more than the limit of 99",
        ),
        (
            Limits {
                max_metadata_bytes: 99,
                ..limits()
            },
            "of metadata, more than the limit of 99",
        ),
        (
            Limits {
                max_rows: 1,
                ..limits()
            },
            "record has 2 rows, more than the limit of 1",
        ),
        (
            Limits {
                max_columns: 0,
                ..limits()
            },
            "record has 1 columns, more than the limit of 0",
        ),
        (
            Limits {
                max_rank: 1,
                ..limits()
            },
            "column x has more dimensions than the limit of 1",
        ),
        (
            Limits {
                max_elements: 5,
                ..limits()
            },
            "column x has 6 elements, more than the limit of 5",
        ),
    ] {
        let error = Record::decode(payload.clone(), &limits).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.kind(), DecodeErrorKind::TooLarge);
    }
}

#[test]
fn messages_are_short_and_repeat_little_of_the_input() {
    let name = "\u{1}水".repeat(10_000);
    let mut forge = Forge::new(&[floats(&name, &[2, 3])]);
    forge.nodes[1].1 = 1;
    let message = forge.decode().unwrap_err().to_string();
    assert!(
        message.len() <= 200 && message.contains("null count"),
        "{message}"
    );
    assert!(!message.contains('\u{1}'), "{message}");
}

fn check_numbers(change: impl FnOnce(&mut Forge), expected: &str) {
    check(numbers(), change, expected);
}

fn check(mut forge: Forge, change: impl FnOnce(&mut Forge), expected: &str) {
    change(&mut forge);
    let error = forge.decode().unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

/// Two rows of three floats: 2 nodes; validity, validity, data.
fn numbers() -> Forge {
    Forge::new(&[floats("x", &[2, 3])])
}

/// Two texts whose offsets are 0, 4, 6; the first begins with a letter of two bytes.
fn strings() -> Forge {
    Forge::new(&[texts("x", &["üab", "cd"])])
}

/// Three rows of shapes `[1,2]`, `[1,2]`, `[2,2]`; buffer 6 holds the shapes.
fn variable() -> Forge {
    let tensors: [Tensor; 2] = [floats("a", &[2, 1, 2]), floats("b", &[1, 2, 2])];
    let parts = tensors.iter().map(|tensor| TensorSlice {
        tensor,
        rows: 0..tensor.rows(),
    });
    let column = ColumnParts {
        name: "x",
        parts: parts.collect(),
    };
    Forge::from_record(&encode(&[column]).unwrap())
}
