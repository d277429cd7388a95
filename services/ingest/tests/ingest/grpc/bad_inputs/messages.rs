//! Rows of what is no message at all, or one to nobody.

use tonic::Code;

use super::stage::Stage;
use super::{CLASSIFY, MODEL_INFER, MULTI_INFERENCE, PREDICT, REGRESS};

const STATUS: &str = "/tensorflow.serving.ModelService/GetModelStatus";
const LOAD: &str = "/inference.GRPCInferenceService/RepositoryModelLoad";

pub(super) fn malformed(stage: &mut Stage) {
    let invalid = Code::InvalidArgument;
    for path in [
        MODEL_INFER,
        PREDICT,
        CLASSIFY,
        REGRESS,
        MULTI_INFERENCE,
        STATUS,
    ] {
        stage.check_bytes((path, vec![0xff; 64]), invalid, "not well-formed protobuf");
    }
    // Nested as deep as the bytes go: nothing here recurses.
    let nested = [0x2a, 0xff, 0xff, 0x03].repeat(10_000);
    stage.check_bytes((MODEL_INFER, nested), invalid, "");
    // Messages without tensors are small, or prost would make a large multiple of them.
    let large = vec![0x0a; 100_000];
    stage.check_bytes(
        (LOAD, large),
        Code::ResourceExhausted,
        "one without tensors",
    );
    for path in [
        "/inference.GRPCInferenceService/Nothing",
        "/other.Service/Nothing",
    ] {
        stage.check_bytes((path, Vec::new()), Code::Unimplemented, "no such");
    }
}
