//! `tensorflow.serving`: predictions, signatures and states of models.

use std::collections::HashMap;

use bytes::Bytes;
use millrace_wire::avro::ModelState;
use millrace_wire::protobuf::{self, PredictAnswer, PredictHead, VersionChoice};
use millrace_wire::{Status as WireStatus, TensorSpec};
use prost::Message;
use tonic::{Request, Response, Status};

use crate::access::Right;
use crate::front::catalog::VersionStatus;
use crate::front::{Answer as Answered, Error, Exchange};

use super::codec::{Unread, Written};
use super::error::{GrpcError, code_of};
use super::examples::{About, ask_about_examples};
use super::inference::{answer, answer_later};
use super::proto::tensorflow::serving::model_service_server::ModelService;
use super::proto::tensorflow::serving::model_spec::VersionChoice as SpecVersion;
use super::proto::tensorflow::serving::model_version_status::State;
use super::proto::tensorflow::serving::prediction_service_server::PredictionService;
use super::proto::tensorflow::serving::*;
use super::proto::tensorflow::tensor_info::Encoding;
use super::proto::tensorflow::tensor_shape_proto::Dim;
use super::proto::tensorflow::{SignatureDef, TensorInfo, TensorShapeProto};
use super::seen::Seen;
use super::target::{self, SIGNATURE_NAME, shortened};

/// Both services of TensorFlow Serving.
pub(super) struct TensorflowService;

/// The only metadata there is, and the type it comes as.
const SIGNATURE_DEF: &str = "signature_def";
const SIGNATURE_DEF_TYPE: &str = "type.googleapis.com/tensorflow.serving.SignatureDefMap";

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl PredictionService for TensorflowService {
    async fn predict(&self, request: Request<Unread>) -> Answer<Written> {
        answer_later(request, |seen, message| async move {
            predict(&seen, message.0).await.map(Written)
        })
        .await
    }

    async fn get_model_metadata(
        &self,
        request: Request<GetModelMetadataRequest>,
    ) -> Answer<GetModelMetadataResponse> {
        answer(request, metadata).await
    }

    async fn classify(&self, request: Request<Unread>) -> Answer<Written> {
        examples_answered(request, About::Classify).await
    }

    async fn regress(&self, request: Request<Unread>) -> Answer<Written> {
        examples_answered(request, About::Regress).await
    }

    async fn multi_inference(&self, request: Request<Unread>) -> Answer<Written> {
        examples_answered(request, About::Both).await
    }
}

async fn examples_answered(request: Request<Unread>, about: About) -> Answer<Written> {
    answer_later(request, |seen, message| async move {
        ask_about_examples(&seen, message.0, about)
            .await
            .map(Written)
    })
    .await
}

#[tonic::async_trait]
impl ModelService for TensorflowService {
    async fn get_model_status(
        &self,
        request: Request<GetModelStatusRequest>,
    ) -> Answer<GetModelStatusResponse> {
        answer(request, status).await
    }

    async fn handle_reload_config_request(
        &self,
        request: Request<ReloadConfigRequest>,
    ) -> Answer<ReloadConfigResponse> {
        let what = "models are configured where infer runs, not over the network";
        answer(request, |_, _| Err(GrpcError::Forbidden { what }.into())).await
    }
}

/// Answers one request for a prediction.
async fn predict(seen: &Seen, message: Bytes) -> Result<Vec<u8>, Error> {
    let asked = protobuf::predict_head(&message).map_err(GrpcError::from)?;
    let target = target::of_spec(seen, &asked)?;
    let mut exchange = seen.front.begin(seen.head(), &target)?;
    seen.release();
    let size_bytes = message.len();
    exchange.received(size_bytes)?;
    let limits = seen.front.limits.request.clone();
    let parsed = exchange.parse(size_bytes, move |served| {
        let parsed = protobuf::parse_predict(&message, &served.signature, &limits);
        Ok(parsed.map_err(GrpcError::from)?)
    });
    let request = parsed.await?;
    ask_and_write(seen, exchange, request.record, move |answer| {
        let head = PredictAnswer {
            outputs: &request.outputs,
            ..head_of_answer(answer)
        };
        let written = protobuf::write_predict_response(head, &answer.outputs);
        Ok(written.map_err(GrpcError::Answer)?)
    })
    .await
}

/// The end of every request with tensors: what `write` makes of the answer,
/// held until it has been sent.
///
/// # Errors
/// Those of [`Exchange::ask`] and `write`.
pub(super) async fn ask_and_write(
    seen: &Seen,
    mut exchange: Exchange,
    record: Vec<u8>,
    write: impl FnOnce(&Answered) -> Result<Vec<u8>, Error> + Send + 'static,
) -> Result<Vec<u8>, Error> {
    let answer = exchange.ask(record).await?;
    let size_bytes = answer.outputs.payload().len();
    let written = exchange.parse(size_bytes, move |_| write(&answer)).await?;
    let size = u64::try_from(written.len()).unwrap_or(u64::MAX);
    seen.front.metrics.answer_bytes.inc_by(size);
    seen.hold_on(exchange.held());
    Ok(written)
}

/// What every answer says of itself.
pub(super) fn head_of_answer(answer: &Answered) -> PredictAnswer<'_> {
    PredictAnswer {
        model: &answer.model,
        version: answer.version,
        signature_name: SIGNATURE_NAME,
        outputs: &[],
    }
}

/// The head of a message that prost has read.
fn head_of(spec: Option<ModelSpec>) -> PredictHead {
    let spec = spec.unwrap_or_default();
    PredictHead {
        model: spec.name,
        version: match spec.version_choice {
            None => VersionChoice::Latest,
            Some(SpecVersion::Version(version)) => VersionChoice::Version(version),
            Some(SpecVersion::VersionLabel(label)) => VersionChoice::Label(label),
        },
        signature_name: spec.signature_name,
    }
}

fn metadata(
    seen: &Seen,
    request: GetModelMetadataRequest,
) -> Result<GetModelMetadataResponse, Error> {
    let other = request
        .metadata_field
        .iter()
        .find(|it| *it != SIGNATURE_DEF);
    if let Some(other) = other {
        let given = shortened(other);
        return Err(GrpcError::MetadataField { given }.into());
    }
    if request.metadata_field.is_empty() {
        let given = String::new();
        return Err(GrpcError::MetadataField { given }.into());
    }
    let target = target::of_spec(seen, &head_of(request.model_spec))?;
    let served = seen.front.find(seen.caller(), Right::Read, &target)?;
    let signature = SignatureDef {
        inputs: infos(&served.signature.inputs),
        outputs: infos(&served.signature.outputs),
        method_name: "tensorflow/serving/predict".to_owned(),
        defaults: HashMap::new(),
    };
    let signatures = SignatureDefMap {
        signature_def: HashMap::from([(SIGNATURE_NAME.to_owned(), signature)]),
    };
    let any = prost_types::Any {
        type_url: SIGNATURE_DEF_TYPE.to_owned(),
        value: signatures.encode_to_vec(),
    };
    Ok(GetModelMetadataResponse {
        model_spec: Some(ModelSpec {
            name: served.model,
            version_choice: Some(SpecVersion::Version(served.version)),
            signature_name: String::new(),
        }),
        metadata: HashMap::from([(SIGNATURE_DEF.to_owned(), any)]),
    })
}

fn infos(specs: &[TensorSpec]) -> HashMap<String, TensorInfo> {
    let named = |spec: &TensorSpec| (spec.name.clone(), info(spec));
    specs.iter().map(named).collect()
}

fn info(spec: &TensorSpec) -> TensorInfo {
    let dim = |size: &Option<usize>| Dim {
        size: size.and_then(|it| i64::try_from(it).ok()).unwrap_or(-1),
        name: String::new(),
    };
    TensorInfo {
        encoding: Some(Encoding::Name(format!("{}:0", spec.name))),
        dtype: protobuf::data_type_number(spec.dtype),
        tensor_shape: Some(TensorShapeProto {
            dim: spec.shape.iter().map(dim).collect(),
            unknown_rank: false,
        }),
    }
}

fn status(seen: &Seen, request: GetModelStatusRequest) -> Result<GetModelStatusResponse, Error> {
    let mut head = head_of(request.model_spec);
    // TensorFlow Serving does not look at it here.
    head.signature_name.clear();
    let target = target::of_spec(seen, &head)?;
    let versions = seen.front.versions(seen.caller(), &target)?;
    Ok(GetModelStatusResponse {
        model_version_status: versions.into_iter().map(version_status).collect(),
    })
}

fn version_status(version: VersionStatus) -> ModelVersionStatus {
    let (state, code, message) = match version.state {
        Some(ModelState::Loading) => (State::Loading, WireStatus::Ok, String::new()),
        Some(ModelState::Available) => (State::Available, WireStatus::Ok, String::new()),
        Some(ModelState::Unloading) => (State::Unloading, WireStatus::Ok, String::new()),
        Some(ModelState::End) => (State::End, WireStatus::Ok, String::new()),
        // TensorFlow Serving has no state for it: such a version has ended, with an error.
        Some(ModelState::Failed) => (State::End, WireStatus::Internal, version.reason),
        None => {
            let why = "no infer process that serves it is alive";
            (State::End, WireStatus::Unavailable, why.to_owned())
        }
    };
    ModelVersionStatus {
        version: version.version,
        state: state.into(),
        status: Some(StatusProto {
            error_code: code_of(code).into(),
            error_message: message,
        }),
    }
}
