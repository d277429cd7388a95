//! `tensorflow.serving`: tensors in all their forms, signatures and states.

use std::collections::HashMap;

use prost::Message;
use tonic::Code;

use super::proto::tensorflow::serving::model_service_client::ModelServiceClient;
use super::proto::tensorflow::serving::model_spec::VersionChoice;
use super::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use super::proto::tensorflow::serving::*;
use super::proto::tensorflow::tensor_shape_proto::Dim;
use super::proto::tensorflow::{DataType, TensorProto, TensorShapeProto};
use super::{channel, check_refusal, run};
use crate::played::{descriptor, echo};
use crate::scene::{Scene, shared};

pub(super) fn tensor(dtype: DataType, shape: &[i64]) -> TensorProto {
    let dim = |size: &i64| Dim {
        size: *size,
        name: String::new(),
    };
    TensorProto {
        dtype: dtype.into(),
        tensor_shape: Some(TensorShapeProto {
            dim: shape.iter().map(dim).collect(),
            unknown_rank: false,
        }),
        ..TensorProto::default()
    }
}

pub(crate) fn spec(model: &str) -> Option<ModelSpec> {
    Some(ModelSpec {
        name: model.to_owned(),
        ..ModelSpec::default()
    })
}

pub(super) fn ask(model: &str, inputs: &[(&str, TensorProto)]) -> PredictRequest {
    let named = |(name, tensor): &(&str, TensorProto)| ((*name).to_owned(), tensor.clone());
    PredictRequest {
        model_spec: spec(model),
        inputs: inputs.iter().map(named).collect(),
        output_filter: Vec::new(),
    }
}

pub(super) fn predict(
    scene: &Scene,
    request: PredictRequest,
) -> Result<PredictResponse, tonic::Status> {
    let answer = run(async {
        let mut client = PredictionServiceClient::new(channel(scene.grpc).await);
        client.predict(request).await
    });
    answer.map(tonic::Response::into_inner)
}

/// Each dtype with the same four values: typed, and as content.
#[expect(clippy::too_many_lines, reason = "a list of cases")]
fn all() -> Vec<(&'static str, TensorProto, Vec<u8>)> {
    let tensor = |dtype| tensor(dtype, &[2, 2]);
    let bytes = |it: &[&[u8]]| it.concat();
    vec![
        (
            "FP32",
            TensorProto {
                float_val: vec![1.5, -0.0, f32::INFINITY, 3e-40],
                ..tensor(DataType::DtFloat)
            },
            [1.5_f32, -0.0, f32::INFINITY, 3e-40]
                .map(f32::to_le_bytes)
                .concat(),
        ),
        (
            "FP64",
            TensorProto {
                double_val: vec![1.5, -0.0, f64::INFINITY, 3e-320],
                ..tensor(DataType::DtDouble)
            },
            [1.5_f64, -0.0, f64::INFINITY, 3e-320]
                .map(f64::to_le_bytes)
                .concat(),
        ),
        (
            "INT8",
            TensorProto {
                int_val: vec![1, -128, 127, -1],
                ..tensor(DataType::DtInt8)
            },
            bytes(&[&[1, 0x80, 0x7f, 0xff]]),
        ),
        (
            "INT16",
            TensorProto {
                int_val: vec![1, -32_768, 32_767, -1],
                ..tensor(DataType::DtInt16)
            },
            [1_i16, -32_768, 32_767, -1].map(i16::to_le_bytes).concat(),
        ),
        (
            "INT32",
            TensorProto {
                int_val: vec![1, i32::MIN, i32::MAX, -1],
                ..tensor(DataType::DtInt32)
            },
            [1_i32, i32::MIN, i32::MAX, -1]
                .map(i32::to_le_bytes)
                .concat(),
        ),
        (
            "INT64",
            TensorProto {
                int64_val: vec![1, i64::MIN, i64::MAX, -1],
                ..tensor(DataType::DtInt64)
            },
            [1_i64, i64::MIN, i64::MAX, -1]
                .map(i64::to_le_bytes)
                .concat(),
        ),
        (
            "UINT8",
            TensorProto {
                int_val: vec![0, 1, 254, 255],
                ..tensor(DataType::DtUint8)
            },
            bytes(&[&[0, 1, 254, 255]]),
        ),
        (
            "UINT16",
            TensorProto {
                int_val: vec![0, 1, 2, 65_535],
                ..tensor(DataType::DtUint16)
            },
            [0_u16, 1, 2, 65_535].map(u16::to_le_bytes).concat(),
        ),
        (
            "UINT32",
            TensorProto {
                uint32_val: vec![0, 1, 2, u32::MAX],
                ..tensor(DataType::DtUint32)
            },
            [0_u32, 1, 2, u32::MAX].map(u32::to_le_bytes).concat(),
        ),
        (
            "UINT64",
            TensorProto {
                uint64_val: vec![0, 1, 2, u64::MAX],
                ..tensor(DataType::DtUint64)
            },
            [0_u64, 1, 2, u64::MAX].map(u64::to_le_bytes).concat(),
        ),
        (
            "BOOL",
            TensorProto {
                bool_val: vec![true, false, false, true],
                ..tensor(DataType::DtBool)
            },
            bytes(&[&[1, 0, 0, 1]]),
        ),
        (
            "FP16",
            TensorProto {
                half_val: vec![0x3c00, 0x7c00, 1, 0x8000],
                ..tensor(DataType::DtHalf)
            },
            [0x3c00_u16, 0x7c00, 1, 0x8000]
                .map(u16::to_le_bytes)
                .concat(),
        ),
        (
            "BF16",
            TensorProto {
                half_val: vec![0x3f80, 0x7f80, 1, 0x8000],
                ..tensor(DataType::DtBfloat16)
            },
            [0x3f80_u16, 0x7f80, 1, 0x8000]
                .map(u16::to_le_bytes)
                .concat(),
        ),
        (
            "BYTES",
            TensorProto {
                string_val: [&b"ab"[..], b"", b"\xff", b"a\0b"]
                    .map(<[u8]>::to_vec)
                    .into(),
                ..tensor(DataType::DtString)
            },
            b"\x02\0\x01\x03ab\xffa\0b".to_vec(),
        ),
    ]
}

#[test]
fn tensors_of_every_dtype_come_back_typed_whether_sent_typed_or_as_content() {
    let scene = Scene::start(|_| {});
    for (dtype, _, _) in all() {
        scene.serve(&descriptor(dtype, &[("x", dtype, &[-1, 2])]), echo);
    }
    scene.wait_ready();
    scene.wait_answer("/v1/models/BYTES", |answer| answer.status == 200);
    for (dtype, typed, content) in all() {
        let answer = predict(&scene, ask(dtype, &[("x", typed.clone())])).unwrap();
        assert_eq!(answer.outputs["x"], typed, "{dtype}");
        let as_content = TensorProto {
            tensor_content: content,
            ..tensor(typed.dtype(), &[2, 2])
        };
        let answer = predict(&scene, ask(dtype, &[("x", as_content)])).unwrap();
        assert_eq!(answer.outputs["x"], typed, "{dtype} as content");
        let spec = answer.model_spec.unwrap();
        assert_eq!(spec.name, dtype);
        assert_eq!(spec.version_choice, Some(VersionChoice::Version(1)));
        assert_eq!(spec.signature_name, "serving_default");
    }
}

#[test]
fn the_last_value_fills_the_shape_and_none_is_zero() {
    let scene = shared();
    let values = |given: &[f32]| TensorProto {
        float_val: given.to_vec(),
        ..tensor(DataType::DtFloat, &[2, 4])
    };
    let answer = |given: &[f32]| {
        let answer = predict(scene, ask("m", &[("x", values(given))])).unwrap();
        answer.outputs["x"].float_val.clone()
    };
    assert_eq!(answer(&[7.0]), [7.0; 8]);
    assert_eq!(
        answer(&[1.0, 2.0]),
        [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    );
    assert_eq!(answer(&[]), [0.0; 8]);
    let text = TensorProto {
        string_val: vec![b"a".to_vec()],
        ..tensor(DataType::DtString, &[3])
    };
    let answer = predict(scene, ask("s", &[("s", text)])).unwrap();
    assert_eq!(answer.outputs["s"].string_val, vec![b"a".to_vec(); 3]);
}

#[test]
fn outputs_versions_and_labels_are_as_asked() {
    let scene = shared();
    let a = TensorProto {
        float_val: vec![1.5],
        ..tensor(DataType::DtFloat, &[1])
    };
    let b = TensorProto {
        int_val: vec![2],
        ..tensor(DataType::DtInt32, &[1])
    };
    let mut request = ask("m2", &[("a", a), ("b", b)]);
    request.output_filter = vec!["b".to_owned()];
    for choice in [
        None,
        Some(VersionChoice::Version(1)),
        // OpenVINO's clients mean the newest.
        Some(VersionChoice::Version(0)),
        Some(VersionChoice::VersionLabel("stable".to_owned())),
    ] {
        request.model_spec.as_mut().unwrap().version_choice = choice;
        let answer = predict(scene, request.clone()).unwrap();
        assert_eq!(answer.outputs.keys().collect::<Vec<_>>(), ["b"]);
    }
    let spec = request.model_spec.as_mut().unwrap();
    spec.version_choice = Some(VersionChoice::VersionLabel("canary".to_owned()));
    check_refusal(
        predict(scene, request.clone()),
        Code::NotFound,
        "Unrecognized servable version label",
    );
    let spec = request.model_spec.as_mut().unwrap();
    spec.version_choice = Some(VersionChoice::Version(7));
    check_refusal(
        predict(scene, request.clone()),
        Code::NotFound,
        "Specific(m2, 7)",
    );
    let spec = request.model_spec.as_mut().unwrap();
    spec.version_choice = None;
    spec.signature_name = "other".to_owned();
    check_refusal(
        predict(scene, request),
        Code::InvalidArgument,
        "not found in signature def",
    );
}

#[test]
fn metadata_is_the_signature_in_an_any() {
    let scene = shared();
    let ask = |fields: &[&str]| GetModelMetadataRequest {
        model_spec: spec("m"),
        metadata_field: fields.iter().map(|it| (*it).to_owned()).collect(),
    };
    let get = |request| {
        run(async {
            let mut client = PredictionServiceClient::new(channel(scene.grpc).await);
            client.get_model_metadata(request).await
        })
    };
    let answer = get(ask(&["signature_def"])).unwrap().into_inner();
    let any = &answer.metadata["signature_def"];
    assert_eq!(
        any.type_url,
        "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    );
    let signatures = SignatureDefMap::decode(&any.value[..]).unwrap();
    let signature = &signatures.signature_def["serving_default"];
    assert_eq!(signature.method_name, "tensorflow/serving/predict");
    let x = &signature.inputs["x"];
    assert_eq!(x.dtype(), DataType::DtFloat);
    let sizes: Vec<_> = x
        .tensor_shape
        .as_ref()
        .unwrap()
        .dim
        .iter()
        .map(|it| it.size)
        .collect();
    assert_eq!(sizes, [-1, 4]);
    check_refusal(
        get(ask(&["other"])),
        Code::InvalidArgument,
        "only signature_def",
    );
    check_refusal(get(ask(&[])), Code::InvalidArgument, "signature_def");
}

#[test]
fn the_state_of_a_model_is_told_and_its_configuration_not_taken() {
    let scene = shared();
    let (status, reload) = run(async {
        let mut client = ModelServiceClient::new(channel(scene.grpc).await);
        let request = GetModelStatusRequest {
            model_spec: spec("m"),
        };
        let status = client.get_model_status(request).await.unwrap().into_inner();
        let reload = client
            .handle_reload_config_request(ReloadConfigRequest::default())
            .await;
        (status, reload)
    });
    let [version] = &status.model_version_status[..] else {
        panic!("{status:?}")
    };
    assert_eq!(version.version, 1);
    assert_eq!(version.state(), model_version_status::State::Available);
    assert_eq!(version.status.as_ref().unwrap().error_code, 0);
    check_refusal(reload, Code::FailedPrecondition, "where infer runs");
}

#[test]
fn a_request_without_inputs_names_what_is_missing() {
    let request = PredictRequest {
        model_spec: spec("m"),
        inputs: HashMap::new(),
        output_filter: Vec::new(),
    };
    check_refusal(
        predict(shared(), request),
        Code::InvalidArgument,
        "missing input x",
    );
}
