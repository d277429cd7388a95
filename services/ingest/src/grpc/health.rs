//! `grpc.health.v1.Health`: the readiness of the process, under no name and under each service's.

use std::pin::Pin;
use std::time::Duration;

use millrace_boot::Health as Readiness;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// How often readiness is looked at for those who watch it.
const TICK: Duration = Duration::from_millis(200);

/// The services that are ready when the process is.
const SERVICES: [&str; 4] = [
    "",
    "inference.GRPCInferenceService",
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
];

/// Tells whether the process is ready.
pub(super) struct HealthService {
    readiness: Readiness,
    stop: watch::Receiver<bool>,
}

impl HealthService {
    pub(super) fn server(readiness: Readiness, stop: watch::Receiver<bool>) -> HealthServer<Self> {
        HealthServer::new(Self { readiness, stop })
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

fn status_of(readiness: &Readiness, service: &str) -> ServingStatus {
    match SERVICES.contains(&service) {
        false => ServingStatus::ServiceUnknown,
        true if readiness.is_ready() => ServingStatus::Serving,
        true => ServingStatus::NotServing,
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = Watching;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match status_of(&self.readiness, &request.get_ref().service) {
            ServingStatus::ServiceUnknown => Err(Status::not_found("service is unknown")),
            status => Ok(Response::new(response(status))),
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Watching>, Status> {
        let (sender, changes) = mpsc::channel(1);
        let mut work = JoinSet::new();
        let (readiness, mut stop) = (self.readiness.clone(), self.stop.clone());
        let service = request.into_inner().service;
        work.spawn(async move {
            let mut told = None;
            loop {
                let stopping = *stop.borrow();
                let status = status_of(&readiness, &service);
                if told != Some(status) {
                    if sender.send(Ok(response(status))).await.is_err() {
                        return;
                    }
                    told = Some(status);
                }
                if stopping {
                    return;
                }
                let _ = tokio::time::timeout(TICK, stop.changed()).await;
            }
        });
        Ok(Response::new(Watching {
            changes,
            _work: work,
        }))
    }
}

/// The changes that one caller watches; it ends when the process stops.
pub(super) struct Watching {
    changes: mpsc::Receiver<Result<HealthCheckResponse, Status>>,
    _work: JoinSet<()>,
}

impl Stream for Watching {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.changes.poll_recv(context)
    }
}
