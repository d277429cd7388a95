//! What is known about models, as the Open Inference Protocol and Triton's extensions say it.

use millrace_wire::avro::ModelState;
use millrace_wire::{DType, TensorSpec, oip};

use crate::access::Right;
use crate::front::Error;
use crate::front::catalog::{NotServed, Served};
use crate::front::control::Verb;
use crate::front::statistics::Measured;
use crate::grpc::proto::inference::model_metadata_response::TensorMetadata;
use crate::grpc::proto::inference::repository_index_response::ModelIndex;
use crate::grpc::proto::inference::*;
use crate::grpc::seen::Seen;
use crate::grpc::target;

/// What clients look for before they use it.
const EXTENSIONS: [&str; 4] = [
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "statistics",
];

pub(super) fn server_metadata() -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: "millrace".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).into(),
    }
}

pub(super) fn model_ready(
    seen: &Seen,
    request: ModelReadyRequest,
) -> Result<ModelReadyResponse, Error> {
    let target = target::by_text(seen, &request.name, &request.version)?;
    let ready = match seen.front.find(seen.caller(), Right::Read, &target) {
        Ok(_) => true,
        // Known, but nobody alive answers for it at the moment.
        Err(Error::NotServed(NotServed::NoReplica { .. } | NotServed::Unloaded { .. })) => false,
        Err(error) => return Err(error),
    };
    Ok(ModelReadyResponse { ready })
}

pub(super) fn model_metadata(
    seen: &Seen,
    request: ModelMetadataRequest,
) -> Result<ModelMetadataResponse, Error> {
    let served = served(seen, &request.name, &request.version)?;
    let target = target::by_text(seen, &served.model, "")?;
    let versions = seen.front.versions(seen.caller(), &target)?;
    let available = versions
        .iter()
        .rev()
        .filter(|it| it.state == Some(ModelState::Available));
    Ok(ModelMetadataResponse {
        name: served.model,
        versions: available.map(|it| it.version.to_string()).collect(),
        platform: PLATFORM.to_owned(),
        inputs: served.signature.inputs.iter().map(metadata).collect(),
        outputs: served.signature.outputs.iter().map(metadata).collect(),
        properties: Default::default(),
    })
}

/// What runs the models, in Triton's words.
const PLATFORM: &str = "onnxruntime_onnx";

fn served(seen: &Seen, name: &str, version: &str) -> Result<Served, Error> {
    let target = target::by_text(seen, name, version)?;
    seen.front.find(seen.caller(), Right::Read, &target)
}

fn metadata(spec: &TensorSpec) -> TensorMetadata {
    TensorMetadata {
        name: spec.name.clone(),
        datatype: oip::datatype(spec.dtype).to_owned(),
        shape: dims(&spec.shape),
    }
}

/// An open dimension is -1.
fn dims(shape: &[Option<usize>]) -> Vec<i64> {
    let size = |size: &Option<usize>| size.and_then(|it| i64::try_from(it).ok()).unwrap_or(-1);
    shape.iter().map(size).collect()
}

pub(super) fn model_config(
    seen: &Seen,
    request: ModelConfigRequest,
) -> Result<ModelConfigResponse, Error> {
    let served = served(seen, &request.name, &request.version)?;
    let input = |spec: &TensorSpec| ModelInput {
        name: spec.name.clone(),
        data_type: data_type(spec.dtype).into(),
        dims: dims(spec.shape.get(1..).unwrap_or_default()),
    };
    let output = |spec: &TensorSpec| ModelOutput {
        name: spec.name.clone(),
        data_type: data_type(spec.dtype).into(),
        dims: dims(spec.shape.get(1..).unwrap_or_default()),
    };
    let config = ModelConfig {
        name: served.model.clone(),
        platform: PLATFORM.to_owned(),
        max_batch_size: i32::try_from(seen.front.limits.json.max_rows).unwrap_or(i32::MAX),
        input: served.signature.inputs.iter().map(input).collect(),
        output: served.signature.outputs.iter().map(output).collect(),
        backend: "onnxruntime".to_owned(),
    };
    Ok(ModelConfigResponse {
        config: Some(config),
    })
}

fn data_type(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => DataType::TypeBool,
        DType::Int8 => DataType::TypeInt8,
        DType::Int16 => DataType::TypeInt16,
        DType::Int32 => DataType::TypeInt32,
        DType::Int64 => DataType::TypeInt64,
        DType::Uint8 => DataType::TypeUint8,
        DType::Uint16 => DataType::TypeUint16,
        DType::Uint32 => DataType::TypeUint32,
        DType::Uint64 => DataType::TypeUint64,
        DType::Float16 => DataType::TypeFp16,
        DType::Bfloat16 => DataType::TypeBf16,
        DType::Float32 => DataType::TypeFp32,
        DType::Float64 => DataType::TypeFp64,
        DType::String | DType::Bytes => DataType::TypeString,
    }
}

pub(super) fn repository_index(
    seen: &Seen,
    request: RepositoryIndexRequest,
) -> Result<RepositoryIndexResponse, Error> {
    let mut models = Vec::new();
    for version in seen.front.list(seen.caller())? {
        let (state, reason) = version.status.in_index();
        if request.ready && state != "READY" {
            continue;
        }
        models.push(ModelIndex {
            version: version.status.version.to_string(),
            state: state.to_owned(),
            reason: reason.to_owned(),
            name: version.model,
        });
    }
    Ok(RepositoryIndexResponse { models })
}

/// Loads a model on all replicas, and answers once they have done it.
pub(super) async fn load(
    seen: Seen,
    request: RepositoryModelLoadRequest,
) -> Result<RepositoryModelLoadResponse, Error> {
    let target = target::by_text(&seen, &request.model_name, "")?;
    let front = &seen.front;
    front.permit(seen.caller(), Right::Control, &target.model)?;
    crate::oip::check_parameters(!request.parameters.is_empty())?;
    front
        .control(seen.caller(), &target.model, Verb::Load)
        .await?;
    Ok(RepositoryModelLoadResponse {})
}

/// Unloads a model on all replicas, and answers once they have done it.
pub(super) async fn unload(
    seen: Seen,
    request: RepositoryModelUnloadRequest,
) -> Result<RepositoryModelUnloadResponse, Error> {
    let target = target::by_text(&seen, &request.model_name, "")?;
    let control = seen
        .front
        .control(seen.caller(), &target.model, Verb::Unload);
    control.await?;
    Ok(RepositoryModelUnloadResponse {})
}

/// What the versions that are served have done for the callers of this process. Batches are made by
/// infer, whose executions ingest does not see: a request counts as one.
pub(super) fn model_statistics(
    seen: &Seen,
    request: ModelStatisticsRequest,
) -> Result<ModelStatisticsResponse, Error> {
    let mut model_stats = Vec::new();
    if request.name.is_empty() {
        for it in seen.front.list(seen.caller())? {
            if it.status.state == Some(ModelState::Available) {
                model_stats.push(statistics(seen, it.model, it.status.version));
            }
        }
    } else {
        let served = served(seen, &request.name, &request.version)?;
        model_stats.push(statistics(seen, served.model, served.version));
    }
    Ok(ModelStatisticsResponse { model_stats })
}

fn statistics(seen: &Seen, name: String, version: i64) -> ModelStatistics {
    let counts = seen.front.statistics.of(&name, version);
    let none = Measured::default();
    let answered = Measured {
        count: counts.success.count,
        ..none
    };
    let duration = |measured: Measured| {
        Some(StatisticDuration {
            count: measured.count,
            ns: u64::try_from(measured.total.as_nanos()).unwrap_or(u64::MAX),
        })
    };
    ModelStatistics {
        name,
        version: version.to_string(),
        last_inference: u64::try_from(counts.last_unix_ms).unwrap_or(0),
        inference_count: counts.rows,
        execution_count: counts.success.count,
        inference_stats: Some(InferStatistics {
            success: duration(counts.success),
            fail: duration(counts.fail),
            queue: duration(answered),
            compute_input: duration(counts.input),
            compute_infer: duration(counts.infer),
            compute_output: duration(answered),
            cache_hit: duration(none),
            cache_miss: duration(none),
        }),
    }
}
