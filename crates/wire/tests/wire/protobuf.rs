//! gRPC's messages with tensors: the seeds of the fuzzer are taken, and no change to them does harm.

use millrace_wire::protobuf::{
    ProtobufError, multi_inference_head, parse_examples, parse_infer, parse_predict,
};
use millrace_wire::{DType, Limits, Record, Signature, TensorSpec};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const INFER: [&[u8]; 2] = [
    include_bytes!("../../../../fuzz/seeds/grpc_messages/infer-raw"),
    include_bytes!("../../../../fuzz/seeds/grpc_messages/infer-typed"),
];
const PREDICT: [&[u8]; 2] = [
    include_bytes!("../../../../fuzz/seeds/grpc_messages/predict-content"),
    include_bytes!("../../../../fuzz/seeds/grpc_messages/predict-typed"),
];
const EXAMPLES: [&[u8]; 2] = [
    include_bytes!("../../../../fuzz/seeds/grpc_messages/multi-context"),
    include_bytes!("../../../../fuzz/seeds/grpc_messages/classify-list"),
];
const CHANGES: usize = 30_000;

fn infer(message: &[u8], signature: &Signature) -> Result<Vec<u8>, ProtobufError> {
    let request = parse_infer(message.to_vec(), signature, &Limits::default())?;
    Ok(request.record)
}

fn predict(message: &[u8], signature: &Signature) -> Result<Vec<u8>, ProtobufError> {
    let request = parse_predict(message, signature, &Limits::default())?;
    Ok(request.record)
}

fn examples(message: &[u8], signature: &Signature) -> Result<Vec<u8>, ProtobufError> {
    // Whatever it says, it ends.
    let _ = multi_inference_head(message);
    parse_examples(message, signature, &Limits::default())
}

/// Either one input or four of different types.
fn signature(inputs: usize) -> Signature {
    let open = |dimensions: usize| vec![None; dimensions];
    let spec = |name: &str, dtype, shape| TensorSpec {
        name: name.to_owned(),
        dtype,
        shape,
    };
    let mut specs = vec![
        spec("x", DType::Float32, vec![None, Some(2)]),
        spec("t", DType::String, open(1)),
        spec("k", DType::Bool, open(2)),
        spec("h", DType::Float16, open(1)),
    ];
    specs.truncate(inputs);
    Signature {
        inputs: specs.clone(),
        outputs: specs,
    }
}

#[test]
fn the_seeds_are_taken() {
    for (message, inputs, rows) in [(INFER[0], 4, 1), (INFER[1], 1, 2)] {
        let record = infer(message, &signature(inputs)).unwrap();
        assert_eq!(
            Record::decode(record, &Limits::default()).unwrap().rows(),
            rows
        );
    }
    for (message, inputs, rows) in [(PREDICT[0], 4, 1), (PREDICT[1], 1, 2)] {
        let record = predict(message, &signature(inputs)).unwrap();
        assert_eq!(
            Record::decode(record, &Limits::default()).unwrap().rows(),
            rows
        );
    }
}

#[test]
fn the_seeds_of_examples_are_taken() {
    for (message, inputs, rows) in [(EXAMPLES[0], 4, 1), (EXAMPLES[1], 1, 2)] {
        let record = examples(message, &signature(inputs)).unwrap();
        let record = Record::decode(record, &Limits::default()).unwrap();
        assert_eq!(record.rows(), rows);
        let x = record.tensor(record.column_index("x").unwrap()).unwrap();
        assert_eq!(x.typed::<f32>().unwrap()[..2], [1.5, -2.0]);
    }
    assert_eq!(multi_inference_head(EXAMPLES[0]).unwrap().methods.len(), 2);
}

#[test]
fn changed_messages_are_refused_or_become_a_record_that_fits() {
    let mut random = SmallRng::seed_from_u64(7);
    let mut taken = 0;
    for turn in 0..CHANGES {
        let inputs = if turn % 2 == 0 { 4 } else { 1 };
        let signature = signature(inputs);
        let mut message = [INFER, PREDICT, EXAMPLES][turn / 2 % 3][turn % 2].to_vec();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..message.len());
            match random.random_range(0..3) {
                0 => message[at] = random.random(),
                1 => {
                    message.remove(at);
                }
                _ => message.insert(at, random.random()),
            }
        }
        let parse = [infer, predict, examples][turn / 2 % 3];
        if let Ok(record) = parse(&message, &signature) {
            let record = Record::decode(record, &Limits::default()).unwrap();
            signature.check(&record).unwrap();
            taken += 1;
        }
    }
    assert!(taken > CHANGES / 100, "{taken}");
}
