//! Rows of `Predict`: tensors as TensorFlow has them.

use tonic::Code;

use super::stage::Stage;
use crate::grpc::proto::tensorflow::{DataType, TensorProto};
use crate::grpc::tensorflow::{ask as ask_tensorflow, tensor};

#[expect(clippy::too_many_lines, reason = "a list of cases")]
pub(super) fn tensor_protos(stage: &mut Stage) {
    let float = |shape: &[i64]| tensor(DataType::DtFloat, shape);
    let mut check = |tensor: TensorProto, code, fragment: &str| {
        stage.check_predict(&ask_tensorflow("m", &[("x", tensor)]), code, fragment);
    };
    check(float(&[-1, 4]), Code::InvalidArgument, "negative");
    check(float(&[]), Code::InvalidArgument, "no shape");
    check(
        float(&[(1 << 60) + 2; 8]),
        Code::ResourceExhausted,
        "elements",
    );
    // A few bytes that mean 240 MB.
    check(
        float(&[15_000_000, 4]),
        Code::ResourceExhausted,
        "would fill",
    );
    check(float(&[1; 100]), Code::ResourceExhausted, "dimensions");
    let content = |bytes: &[u8]| TensorProto {
        tensor_content: bytes.to_vec(),
        ..float(&[1, 4])
    };
    for size in [1, 15, 17, 1 << 20] {
        check(content(&vec![0; size]), Code::InvalidArgument, "16");
    }
    check(
        TensorProto {
            float_val: vec![1.0],
            ..content(&[0; 16])
        },
        Code::InvalidArgument,
        "only one of them",
    );
    check(
        TensorProto {
            float_val: vec![1.0; 5],
            ..float(&[1, 4])
        },
        Code::InvalidArgument,
        "more were given",
    );
    check(
        TensorProto {
            double_val: vec![1.0; 4],
            ..float(&[1, 4])
        },
        Code::InvalidArgument,
        "takes float_val",
    );
    let both = TensorProto {
        double_val: vec![1.0],
        float_val: vec![1.0],
        ..float(&[1, 4])
    };
    check(both, Code::InvalidArgument, "several types");
    for dtype in [0, 8, 18, 20, 21, 101, -1] {
        check(
            TensorProto {
                dtype,
                ..float(&[1, 4])
            },
            Code::InvalidArgument,
            "is not supported",
        );
    }
    check(
        tensor(DataType::DtInt32, &[1, 4]),
        Code::InvalidArgument,
        "must be FP32",
    );
    let unknown_rank = TensorProto {
        tensor_shape: None,
        ..float(&[])
    };
    check(unknown_rank, Code::InvalidArgument, "no shape");
    let mut input = ask_tensorflow("m", &[("x", float(&[1, 4])), ("y", float(&[1, 4]))]);
    stage.check_predict(&input, Code::InvalidArgument, "unknown input y");
    input.inputs.clear();
    stage.check_predict(&input, Code::InvalidArgument, "missing input x");
    let numbers = TensorProto {
        int_val: vec![256, 1],
        ..tensor(DataType::DtUint8, &[1, 2])
    };
    stage.check_predict(
        &ask_tensorflow("u8", &[("u8", numbers)]),
        Code::InvalidArgument,
        "does not fit UINT8",
    );
}

pub(super) fn strings(stage: &mut Stage) {
    let text = |value: Vec<u8>, rows: i64| {
        let tensor = TensorProto {
            string_val: vec![value],
            ..tensor(DataType::DtString, &[rows])
        };
        ask_tensorflow("s", &[("s", tensor)])
    };
    // 9 MB fit the limits of a body and of a record, not three times.
    stage.check_predict(
        &text(vec![b'a'; 9 << 20], 3),
        Code::ResourceExhausted,
        "would fill",
    );
    stage.check_predict(
        &text(vec![b'a'; 11 << 20], 1),
        Code::ResourceExhausted,
        "larger than the limit",
    );
    stage.check_predict(&text(vec![0xff], 1), Code::InvalidArgument, "s");
    stage.check_predict(
        &text(Vec::new(), 60_000_000),
        Code::ResourceExhausted,
        "would fill",
    );
}
