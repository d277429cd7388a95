//! What results say, beside what was asked.

use std::collections::BTreeMap;

use e2e::header;
use millrace_kafka::Record;
use millrace_wire::headers::Source;
use millrace_wire::{Limits, Record as Tensors};

use crate::records::number_as_f32;

/// Every result of a topic, by where its request stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Per request: its number and how often it was answered.
    requests: BTreeMap<(i32, i64), Answer>,
    /// Per partition of results: the requests' places in the order of the results.
    orders: BTreeMap<i32, Vec<i64>>,
    results: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    number: usize,
    times: usize,
}

impl Ledger {
    /// # Panics
    /// When a result is an error, or not what the model makes of its request.
    pub(crate) fn read(results: &[Record], requests_topic: &str) -> Self {
        let mut ledger = Self {
            requests: BTreeMap::new(),
            orders: BTreeMap::new(),
            results: results.len(),
        };
        for record in results {
            assert_eq!(
                header(record, "mr-status"),
                Some("OK"),
                "{:?}",
                header(record, "mr-error")
            );
            let source = header(record, "mr-source")
                .and_then(Source::parse)
                .expect("a source");
            assert_eq!(source.topic, requests_topic);
            assert_eq!(
                source.partition, record.partition,
                "results stand where their requests stood"
            );
            let number = header(record, "mr-id")
                .expect("an id")
                .parse()
                .expect("our id");
            let answer = ledger.requests.entry((source.partition, source.offset));
            let answer = answer.or_insert(Answer { number, times: 0 });
            assert_eq!(answer.number, number, "one request, one id");
            answer.times += 1;
            check_value(record, number);
            ledger
                .orders
                .entry(record.partition)
                .or_default()
                .push(source.offset);
        }
        ledger
    }

    pub(crate) fn answered(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn results(&self) -> usize {
        self.results
    }

    /// Results beyond the first of their request.
    pub(crate) fn duplicates(&self) -> usize {
        self.results - self.requests.len()
    }

    /// Which requests were answered more than once, by partition: how many, the first and the last. A stretch that begins
    /// at 0 says that a reader began anew, a short one that a transaction was written twice.
    pub(crate) fn repeated(&self) -> BTreeMap<i32, (usize, i64, i64)> {
        let mut stretches = BTreeMap::new();
        for ((partition, offset), answer) in &self.requests {
            if answer.times > 1 {
                let stretch = stretches.entry(*partition).or_insert((0, *offset, *offset));
                stretch.0 += 1;
                stretch.2 = *offset;
            }
        }
        stretches
    }

    /// Every number that was sent is answered, and no other.
    pub(crate) fn check_values(&self, records: usize) {
        let mut numbers: Vec<usize> = self.requests.values().map(|answer| answer.number).collect();
        numbers.sort_unstable();
        assert!(
            numbers.into_iter().eq(0..records),
            "every record that was sent is answered"
        );
    }

    /// First answers stand in the order of their requests.
    pub(crate) fn check_order(&self) {
        for (partition, offsets) in &self.orders {
            let mut furthest = -1;
            for offset in offsets {
                let is_again = *offset <= furthest;
                assert!(
                    !is_again || self.requests[&(*partition, *offset)].times > 1,
                    "partition {partition}: the answer to {offset} comes after that to {furthest}"
                );
                furthest = furthest.max(*offset);
            }
        }
    }
}

fn check_value(record: &Record, number: usize) {
    let value = record.value.clone().expect("a result");
    let result = Tensors::decode(value, &Limits::default()).expect("results decode");
    let column = result.column_index("y").expect("the model's output");
    let tensor = result.tensor(column).expect("a tensor");
    let values = tensor.typed::<f32>().expect("FP32");
    assert_eq!(
        values,
        [number_as_f32(number), 1.0, 2.0, 3.0],
        "record {number}"
    );
}
