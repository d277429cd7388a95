//! Tests of the routing table.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_kafka::{Headers, Record};
use millrace_wire::Status;
use millrace_wire::headers::RequestHeaders;

use super::{Canary, Refusal, Switch, Table, Wish};
use crate::pipeline::slot::Slot;

fn table(versions: &[i64], labels: &[(&str, i64)]) -> Table {
    let slot = |version: &i64| (*version, Arc::new(Slot::new(*version)));
    let label = |(label, version): &(&str, i64)| ((*label).to_owned(), *version);
    Table {
        model: "m".to_owned(),
        slots: versions.iter().map(slot).collect(),
        labels: labels.iter().map(label).collect(),
        default: versions.last().copied(),
        ..Table::default()
    }
}

fn record(key: Option<&str>, offset: i64) -> Record {
    Record {
        topic: "requests.m".into(),
        partition: 0,
        offset,
        timestamp_unix_ms: None,
        key: key.map(|key| key.as_bytes().to_vec()),
        value: None,
        headers: Headers::new(),
    }
}

fn ask(table: &Table, headers: &RequestHeaders) -> Result<i64, Refusal> {
    let record = record(None, 0);
    let wish = Wish {
        headers,
        record: &record,
    };
    table.route(&wish).map(|slot| slot.version())
}

fn version(version: i64) -> RequestHeaders {
    RequestHeaders {
        version: Some(version),
        ..RequestHeaders::default()
    }
}

fn label(label: &str) -> RequestHeaders {
    RequestHeaders {
        label: Some(label.to_owned()),
        ..RequestHeaders::default()
    }
}

fn complaint(table: &Table, headers: &RequestHeaders) -> (Status, String) {
    let refusal = ask(table, headers).unwrap_err();
    (refusal.status, refusal.sentence)
}

#[test]
fn a_record_goes_where_its_headers_say_and_else_to_the_default() {
    let table = table(&[3, 4, 7], &[("stable", 4)]);
    assert_eq!(ask(&table, &version(3)).unwrap(), 3);
    assert_eq!(ask(&table, &label("stable")).unwrap(), 4);
    assert_eq!(ask(&table, &RequestHeaders::default()).unwrap(), 7);
}

#[test]
fn what_is_not_there_is_refused_and_the_sentence_says_what_is() {
    let table = table(&[3, 4], &[("stable", 4), ("old", 1)]);
    let (status, sentence) = complaint(&table, &version(9));
    assert_eq!(status, Status::NotFound);
    assert_eq!(sentence, "model m serves versions 3, 4, not version 9");
    let (status, sentence) = complaint(&table, &label("beta"));
    assert_eq!(status, Status::NotFound);
    assert!(
        sentence.contains("\"beta\"") && sentence.contains("old, stable"),
        "{sentence}"
    );
    assert_eq!(complaint(&table, &label("old")).0, Status::NotFound);
    let other = RequestHeaders {
        signature: Some("train".to_owned()),
        ..RequestHeaders::default()
    };
    assert!(complaint(&table, &other).1.contains("\"train\""));
}

#[test]
fn a_version_that_cannot_be_loaded_is_unavailable_with_its_reason() {
    let mut table = table(&[3], &[("next", 4)]);
    table.failed = BTreeMap::from([(4, "it is no model".to_owned())]);
    for headers in [version(4), label("next")] {
        let (status, sentence) = complaint(&table, &headers);
        assert_eq!(status, Status::Unavailable);
        assert!(sentence.contains("it is no model"), "{sentence}");
    }
}

/// How many of 10,000 records go to the canary.
fn canary_share(percent: f64, record: impl Fn(i64) -> (Record, RequestHeaders)) -> usize {
    let mut table = table(&[1, 2], &[]);
    table.default = Some(1);
    table.canary = Some(Canary {
        version: 2,
        percent,
    });
    let goes = |number: &i64| {
        let (record, headers) = record(*number);
        let wish = Wish {
            headers: &headers,
            record: &record,
        };
        table.route(&wish).unwrap().version() == 2
    };
    (0..10_000).filter(goes).count()
}

#[test]
fn the_canary_gets_its_share_of_keys_of_ids_and_of_bare_records() {
    let by_key = |number: i64| {
        (
            record(Some(&number.to_string()), 0),
            RequestHeaders::default(),
        )
    };
    let by_id = |number: i64| {
        let id = Some(format!("{number:032x}"));
        (
            record(None, 0),
            RequestHeaders {
                id,
                ..RequestHeaders::default()
            },
        )
    };
    let bare = |number: i64| (record(None, number), RequestHeaders::default());
    for (percent, expected) in [(0.5, 50), (5.0, 500), (50.0, 5_000)] {
        // Five standard deviations of a binomial of 10,000 at 50 % are 250.
        for share in [
            canary_share(percent, by_key),
            canary_share(percent, by_id),
            canary_share(percent, bare),
        ] {
            assert!(
                share.abs_diff(expected) < 250,
                "{share} of 10,000 at {percent} %"
            );
        }
    }
    assert_eq!(canary_share(0.0, by_key), 0);
    assert_eq!(canary_share(100.0, by_key), 10_000);
}

#[test]
fn a_key_stays_with_its_version_whatever_id_and_place_it_comes_with() {
    for number in 0..100 {
        let key = number.to_string();
        let share = canary_share(50.0, |offset| {
            let id = Some(offset.to_string());
            (
                record(Some(&key), offset),
                RequestHeaders {
                    id,
                    ..RequestHeaders::default()
                },
            )
        });
        assert!(share == 0 || share == 10_000, "key {key}: {share}");
    }
}

#[test]
fn who_asks_for_a_version_or_a_label_is_never_in_the_canary() {
    let mut table = table(&[1, 2], &[("stable", 1)]);
    table.canary = Some(Canary {
        version: 2,
        percent: 100.0,
    });
    assert_eq!(ask(&table, &version(1)).unwrap(), 1);
    assert_eq!(ask(&table, &label("stable")).unwrap(), 1);
}

#[test]
fn a_canary_that_is_not_there_leaves_its_share_to_the_default() {
    let mut table = table(&[1], &[]);
    table.canary = Some(Canary {
        version: 2,
        percent: 100.0,
    });
    assert_eq!(ask(&table, &RequestHeaders::default()).unwrap(), 1);
}

#[test]
fn a_new_table_holds_from_the_next_record_on_and_the_switch_knows_when_it_was_seen() {
    let switch = Switch::default();
    let mut reader = switch.reader();
    let first = switch.set(table(&[1], &[]));
    assert!(!switch.has_seen(first));
    assert_eq!(reader.table().default, Some(1));
    assert!(switch.has_seen(first));
    let second = switch.set(table(&[1, 2], &[]));
    assert!(!switch.has_seen(second));
    assert_eq!(reader.table().default, Some(2));
    assert!(switch.has_seen(second));
    let mut other = switch.reader();
    assert!(!switch.has_seen(second), "there is another reader");
    other.table();
    assert!(switch.has_seen(second));
    let third = switch.set(table(&[1], &[]));
    reader.table();
    drop(other);
    assert!(switch.has_seen(third), "who is gone sends nothing");
}
