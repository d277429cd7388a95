//! Many small random damages of good messages: each is answered with a value or an error, quickly.

use std::time::{Duration, Instant};

use millrace_wire::avro::{DeadLetter, ModelDescriptor};
use millrace_wire::{Decoder, Limits};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::golden;

const ARROW_MUTATIONS: usize = 300_000;
const AVRO_MUTATIONS: usize = 40_000;

#[test]
fn damaged_arrow_records_never_panic_and_are_never_slow() {
    let vectors = golden::arrow_vectors();
    // A damaged shape of a sparse row may well stand for hundreds of megabytes of zeros.
    let mut decoder = Decoder::new(Limits {
        max_dense_bytes: 1 << 20,
        ..Limits::default()
    });
    let mut random = SmallRng::seed_from_u64(6);
    let mut taken = 0;
    for i in 0..ARROW_MUTATIONS {
        let payload = damaged(&vectors[i % vectors.len()].payload, &mut random);
        let started = Instant::now();
        if let Ok(record) = decoder.decode(payload) {
            taken += 1;
            use_all_of(&record);
        }
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "mutation {i} took too long"
        );
    }
    assert!(
        taken > 100,
        "{taken} mutations were harmless, so the good path was hardly tested"
    );
}

#[test]
fn damaged_avro_messages_never_panic() {
    let mut random = SmallRng::seed_from_u64(7);
    for file in [
        "dead-letter.avro",
        "dead-letter-tombstone.avro",
        "model-available.avro",
    ] {
        let good = golden::read("avro", file);
        for _ in 0..AVRO_MUTATIONS / 3 {
            let message = damaged(&good, &mut random);
            // Whether it is taken does not matter here, only that there is an answer.
            let _ = DeadLetter::decode(&message);
            let _ = ModelDescriptor::decode(&message).map(|descriptor| descriptor.signature());
        }
    }
}

/// Everything that a service does with a record: what was taken must be usable.
fn use_all_of(record: &millrace_wire::Record) {
    for column in 0..record.columns().len() {
        for tensor in golden::tensors(record, column) {
            assert!(tensor.rows() > 0);
        }
    }
    let again = golden::encode_again(record);
    let again = millrace_wire::Record::decode(again, &Limits::default());
    assert_eq!(
        again.expect("what was encoded can be decoded").rows(),
        record.rows()
    );
}

/// One to three edits: a flipped bit, another byte, an extreme number, a cut, a removal, an insertion.
fn damaged(good: &[u8], random: &mut SmallRng) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..random.random_range(1..=3) {
        if bytes.is_empty() {
            break;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..8) {
            0 | 1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 | 3 => bytes[at] = random.random(),
            4 => overwrite(&mut bytes, at & !3, &extreme(random).to_le_bytes()[..4]),
            5 => overwrite(&mut bytes, at & !7, &extreme(random).to_le_bytes()),
            6 => drop(bytes.remove(at)),
            _ if random.random_ratio(1, 4) => bytes.truncate(at),
            _ => bytes.insert(at, random.random()),
        }
    }
    bytes
}

fn extreme(random: &mut SmallRng) -> i64 {
    let values = [
        0,
        1,
        -1,
        8,
        255,
        1 << 16,
        1 << 31,
        i64::MAX,
        i64::MIN,
        1 << 62,
        i64::from(i32::MAX),
    ];
    values[random.random_range(0..values.len())]
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, new) in bytes[at..].iter_mut().zip(with) {
        *byte = *new;
    }
}
