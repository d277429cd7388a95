//! `inference.GRPCInferenceService`: the Open Inference Protocol, and what Triton's clients call beside it.

mod infer;
mod models;
mod stream;

use std::future::Future;

use millrace_boot::Health;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use crate::front::Error;

use super::codec::{Unread, Written};
use super::error::GrpcError;
use super::proto::inference::grpc_inference_service_server::GrpcInferenceService;
use super::proto::inference::*;
use super::seen::Seen;

/// The service; what it knows of callers comes with each request.
pub(super) struct InferenceService {
    health: Health,
    stop: watch::Receiver<bool>,
}

impl InferenceService {
    pub(super) fn new(health: Health, stop: watch::Receiver<bool>) -> Self {
        Self { health, stop }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl GrpcInferenceService for InferenceService {
    type ModelStreamInferStream = stream::Answers;

    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Answer<ServerLiveResponse> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Answer<ServerReadyResponse> {
        let ready = self.health.is_ready();
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Answer<ServerMetadataResponse> {
        Ok(Response::new(models::server_metadata()))
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Answer<ModelReadyResponse> {
        answer(request, models::model_ready).await
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Answer<ModelMetadataResponse> {
        answer(request, models::model_metadata).await
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Answer<ModelConfigResponse> {
        answer(request, models::model_config).await
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Answer<ModelStatisticsResponse> {
        answer(request, models::model_statistics).await
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Answer<RepositoryIndexResponse> {
        answer(request, models::repository_index).await
    }

    async fn model_infer(&self, request: Request<Unread>) -> Answer<Written> {
        answer_later(request, |seen, message| async move {
            infer::only(&seen, message.0).await.map(Written)
        })
        .await
    }

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<Unread>>,
    ) -> Answer<stream::Answers> {
        let seen = seen_of(&request)?;
        let answers = stream::Answers::start(seen, request.into_inner(), self.stop.clone());
        Ok(Response::new(answers))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Answer<RepositoryModelLoadResponse> {
        answer_later(request, models::load).await
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Answer<RepositoryModelUnloadResponse> {
        answer_later(request, models::unload).await
    }

    /// No region is ever registered: clients ask for the list before they begin.
    async fn system_shared_memory_status(
        &self,
        _: Request<SystemSharedMemoryStatusRequest>,
    ) -> Answer<SystemSharedMemoryStatusResponse> {
        Ok(Response::new(SystemSharedMemoryStatusResponse::default()))
    }

    async fn system_shared_memory_register(
        &self,
        request: Request<SystemSharedMemoryRegisterRequest>,
    ) -> Answer<SystemSharedMemoryRegisterResponse> {
        answer(request, |_, _| Err(no_shared_memory().into())).await
    }

    async fn system_shared_memory_unregister(
        &self,
        _: Request<SystemSharedMemoryUnregisterRequest>,
    ) -> Answer<SystemSharedMemoryUnregisterResponse> {
        Ok(Response::new(SystemSharedMemoryUnregisterResponse {}))
    }

    async fn cuda_shared_memory_status(
        &self,
        _: Request<CudaSharedMemoryStatusRequest>,
    ) -> Answer<CudaSharedMemoryStatusResponse> {
        Ok(Response::new(CudaSharedMemoryStatusResponse::default()))
    }

    async fn cuda_shared_memory_register(
        &self,
        request: Request<CudaSharedMemoryRegisterRequest>,
    ) -> Answer<CudaSharedMemoryRegisterResponse> {
        answer(request, |_, _| Err(no_shared_memory().into())).await
    }

    async fn cuda_shared_memory_unregister(
        &self,
        _: Request<CudaSharedMemoryUnregisterRequest>,
    ) -> Answer<CudaSharedMemoryUnregisterResponse> {
        Ok(Response::new(CudaSharedMemoryUnregisterResponse {}))
    }

    async fn trace_setting(
        &self,
        request: Request<TraceSettingRequest>,
    ) -> Answer<TraceSettingResponse> {
        let what = "tracing is set where the process is started: send a traceparent to have a request traced";
        answer(
            request,
            |_, _| Err(GrpcError::Unimplemented { what }.into()),
        )
        .await
    }

    async fn log_settings(
        &self,
        request: Request<LogSettingsRequest>,
    ) -> Answer<LogSettingsResponse> {
        let what = "logging is set where the process is started";
        answer(
            request,
            |_, _| Err(GrpcError::Unimplemented { what }.into()),
        )
        .await
    }
}

fn no_shared_memory() -> GrpcError {
    GrpcError::Unimplemented {
        what: "shared memory is not supported: Kafka is between callers and models; send the tensors",
    }
}

/// Answers a call from what this process knows.
pub(super) async fn answer<I, O>(
    request: Request<I>,
    work: impl FnOnce(&Seen, I) -> Result<O, Error>,
) -> Answer<O> {
    let seen = seen_of(&request)?;
    let answered = work(&seen, request.into_inner());
    answered
        .map(Response::new)
        .map_err(|error| seen.refuse(error))
}

/// Answers a call that has to wait.
pub(super) async fn answer_later<I, O, F>(
    request: Request<I>,
    work: impl FnOnce(Seen, I) -> F,
) -> Answer<O>
where
    F: Future<Output = Result<O, Error>>,
{
    let seen = seen_of(&request)?;
    let answered = work(seen.clone(), request.into_inner()).await;
    answered
        .map(Response::new)
        .map_err(|error| seen.refuse(error))
}

fn seen_of<T>(request: &Request<T>) -> Result<Seen, Status> {
    let seen = request.extensions().get::<Seen>().cloned();
    seen.ok_or_else(|| Status::internal("the call was not seen at its head"))
}
