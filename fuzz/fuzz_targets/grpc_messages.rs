//! Any bytes as the messages that gRPC's callers send with tensors; what is taken becomes a record that
//! fits the signature, and an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_wire::protobuf::{
    InferAnswer, PredictAnswer, infer_head, multi_inference_head, parse_examples, parse_infer,
    parse_predict, predict_head, write_classification_response, write_infer_response,
    write_multi_inference_response, write_predict_response, write_regression_response,
};
use millrace_wire::{DType, Limits, Record, Signature, TensorSpec};

fuzz_target!(|message: &[u8]| {
    let limits = Limits {
        max_record_bytes: 1 << 20,
        ..Limits::default()
    };
    for signature in [of(&[X]), of(&[X, TEXT, KEEP, HALF])] {
        if let Ok(request) = parse_infer(message.to_vec(), &signature, &limits) {
            let head = infer_head(message).unwrap_or_default();
            let record = checked(request.record, &signature);
            let answer = InferAnswer {
                model: &head.model_name,
                version: 1,
                id: &head.id,
                outputs: &request.outputs,
                typed: request.typed,
            };
            write_infer_response(answer, &record).expect("the outputs are the inputs");
        }
        if let Ok(request) = parse_predict(message, &signature, &limits) {
            let head = predict_head(message).unwrap_or_default();
            let record = checked(request.record, &signature);
            let answer = PredictAnswer {
                model: &head.model,
                version: 1,
                signature_name: &head.signature_name,
                outputs: &request.outputs,
            };
            write_predict_response(answer, &record).expect("the outputs are the inputs");
        }
        if let Ok(record) = parse_examples(message, &signature, &limits) {
            let methods = multi_inference_head(message).map_or(Vec::new(), |it| it.methods);
            let record = checked(record, &signature);
            let answer = PredictAnswer {
                model: "m",
                version: 1,
                signature_name: "",
                outputs: &[],
            };
            // The outputs are no such answers, or they are: both are said.
            let _ = write_classification_response(answer, &record);
            let _ = write_regression_response(answer, &record);
            let _ = write_multi_inference_response(answer, &methods, &record);
        }
    }
});

fn checked(payload: Vec<u8>, signature: &Signature) -> Record {
    let record = Record::decode(payload, &Limits::default()).expect("what was encoded");
    signature.check(&record).expect("what was parsed fits the signature");
    record
}

type Input = (&'static str, DType, &'static [Option<usize>]);
const X: Input = ("x", DType::Float32, &[None, Some(2)]);
const TEXT: Input = ("t", DType::String, &[None]);
const KEEP: Input = ("k", DType::Bool, &[None, None]);
const HALF: Input = ("h", DType::Float16, &[None]);

fn of(inputs: &[Input]) -> Signature {
    let spec = |(name, dtype, shape): &Input| TensorSpec {
        name: (*name).to_owned(),
        dtype: *dtype,
        shape: shape.to_vec(),
    };
    let specs: Vec<TensorSpec> = inputs.iter().map(spec).collect();
    Signature {
        inputs: specs.clone(),
        outputs: specs,
    }
}
