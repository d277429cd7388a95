//! What a caller can learn before he asks a model: liveness, health, reflection, metadata.

use millrace_wire::avro::ModelState;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::proto::inference::*;
use super::{channel, check_refusal, client, run};
use crate::played::{echo, model_m};
use crate::scene::{Scene, shared};

#[test]
fn health_follows_readiness_and_is_watched() {
    let mut scene = Scene::start(|_| {});
    let service = |name: &str| HealthCheckRequest {
        service: name.to_owned(),
    };
    run(async {
        let mut health = HealthClient::new(channel(scene.grpc).await);
        let mut watch = health.watch(service("")).await.unwrap().into_inner();
        let first = watch.message().await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::NotServing);
        scene.serve(&model_m(), echo);
        let second = watch.message().await.unwrap().unwrap();
        assert_eq!(second.status(), ServingStatus::Serving);
        for name in [
            "",
            "inference.GRPCInferenceService",
            "tensorflow.serving.ModelService",
        ] {
            let checked = health.check(service(name)).await.unwrap().into_inner();
            assert_eq!(checked.status(), ServingStatus::Serving, "{name}");
        }
        let unknown = health.check(service("other")).await;
        check_refusal(unknown, Code::NotFound, "unknown");
        scene.shutdown.trigger();
        let last = watch.message().await.unwrap().unwrap();
        assert_eq!(last.status(), ServingStatus::NotServing);
        assert_eq!(watch.message().await.unwrap(), None);
    });
    scene.stop().unwrap();
}

#[test]
fn reflection_lists_every_service_and_knows_its_messages() {
    let scene = shared();
    let ask = |request| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    let requests = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(
            "inference.ModelInferRequest".to_owned(),
        )),
        ask(MessageRequest::FileContainingSymbol(
            "tensorflow.TensorProto".to_owned(),
        )),
        ask(MessageRequest::FileByFilename(
            "google/protobuf/any.proto".to_owned(),
        )),
    ];
    let answers = run(async {
        let mut client = ServerReflectionClient::new(channel(scene.grpc).await);
        let stream = client
            .server_reflection_info(tokio_stream::iter(requests))
            .await;
        let mut stream = stream.unwrap().into_inner();
        let mut answers = Vec::new();
        while let Some(answer) = stream.message().await.unwrap() {
            answers.push(answer.message_response.unwrap());
        }
        answers
    });
    let MessageResponse::ListServicesResponse(services) = &answers[0] else {
        panic!("{:?}", answers[0])
    };
    let names: Vec<_> = services.service.iter().map(|it| it.name.as_str()).collect();
    for name in [
        "inference.GRPCInferenceService",
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    for answer in &answers[1..] {
        assert!(
            matches!(answer, MessageResponse::FileDescriptorResponse(_)),
            "{answer:?}"
        );
    }
}

#[test]
fn the_server_and_its_models_are_described() {
    let scene = shared();
    run(async {
        let mut client = client(scene.grpc).await;
        let live = client.server_live(ServerLiveRequest {}).await.unwrap();
        assert!(live.into_inner().live);
        let ready = client.server_ready(ServerReadyRequest {}).await.unwrap();
        assert!(ready.into_inner().ready);
        let server = client
            .server_metadata(ServerMetadataRequest {})
            .await
            .unwrap()
            .into_inner();
        assert_eq!(server.name, "millrace");
        let named = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let (name, version) = named("m2", "");
        let metadata = client
            .model_metadata(ModelMetadataRequest { name, version })
            .await;
        let metadata = metadata.unwrap().into_inner();
        assert_eq!(
            (metadata.name.as_str(), &metadata.versions[..]),
            ("m2", &["1".to_owned()][..])
        );
        let inputs: Vec<_> = metadata
            .inputs
            .iter()
            .map(|it| (it.name.as_str(), it.datatype.as_str(), &it.shape[..]))
            .collect();
        assert_eq!(
            inputs,
            [("a", "FP32", &[-1][..]), ("b", "INT32", &[-1][..])]
        );
        let (name, version) = named("s", "1");
        let metadata = client
            .model_metadata(ModelMetadataRequest { name, version })
            .await;
        assert_eq!(metadata.unwrap().into_inner().outputs[0].datatype, "BYTES");
        let (name, version) = named("m", "");
        let config = client
            .model_config(ModelConfigRequest { name, version })
            .await;
        let config = config.unwrap().into_inner().config.unwrap();
        assert_eq!(
            (config.name.as_str(), &config.input[0].dims[..]),
            ("m", &[4][..])
        );
        assert_eq!(config.input[0].data_type(), DataType::TypeFp32);
        assert!(config.max_batch_size > 0);
    });
}

#[test]
fn a_model_is_ready_not_ready_or_unknown() {
    let scene = Scene::start(|_| {});
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    let ready = |name: &str| {
        let request = ModelReadyRequest {
            name: name.to_owned(),
            version: String::new(),
        };
        let answer = run(async { client(scene.grpc).await.model_ready(request).await });
        answer.map(|it| it.into_inner().ready)
    };
    assert!(ready("m").unwrap());
    check_refusal(ready("other"), Code::NotFound, "Latest(other)");
    let mut gone = model_m();
    gone.lease_until_unix_ms = 1;
    scene.publish(&gone);
    scene.wait_answer("/ready", |answer| answer.status == 503);
    // A lease that ran out long ago is forgotten; one that ran out just now is not.
    let mut late = model_m();
    late.lease_until_unix_ms = crate::played::unix_ms() - 1;
    scene.publish(&late);
    scene.wait_answer("/v1/models/m", |answer| answer.status == 200);
    assert!(!ready("m").unwrap());
}

#[test]
fn the_index_lists_every_version_with_its_state() {
    let scene = shared();
    let request = RepositoryIndexRequest::default();
    let index = run(async { client(scene.grpc).await.repository_index(request).await });
    let models = index.unwrap().into_inner().models;
    let names: Vec<_> = models.iter().map(|it| it.name.as_str()).collect();
    assert!(names.contains(&"m") && names.contains(&"m2"), "{names:?}");
    assert!(names.is_sorted(), "{names:?}");
    assert!(
        models
            .iter()
            .all(|it| it.state == "READY" && it.version == "1"),
        "{models:?}"
    );
}

#[test]
fn what_changes_the_server_is_refused_with_a_sentence() {
    let scene = shared();
    run(async {
        let mut client = client(scene.grpc).await;
        let load = RepositoryModelLoadRequest {
            model_name: "m".to_owned(),
            ..RepositoryModelLoadRequest::default()
        };
        let load = client.repository_model_load(load).await;
        check_refusal(load, Code::PermissionDenied, "control.enabled");
        let register = SystemSharedMemoryRegisterRequest::default();
        let register = client.system_shared_memory_register(register).await;
        check_refusal(
            register,
            Code::Unimplemented,
            "shared memory is not supported",
        );
        // Clients unregister everything before they begin.
        let unregister = SystemSharedMemoryUnregisterRequest::default();
        client
            .system_shared_memory_unregister(unregister)
            .await
            .unwrap();
        let trace = client.trace_setting(TraceSettingRequest::default()).await;
        check_refusal(trace, Code::Unimplemented, "traceparent");
    });
}

#[test]
fn what_is_loaded_is_not_loaded_again_and_never_with_parameters() {
    let scene = Scene::start(|settings| settings.control.enabled = true);
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    let load = |model: &str, parameters: &[&str]| {
        let of = |name: &&str| ((*name).to_owned(), ModelRepositoryParameter::default());
        let request = RepositoryModelLoadRequest {
            model_name: model.to_owned(),
            parameters: parameters.iter().map(of).collect(),
            ..RepositoryModelLoadRequest::default()
        };
        run(async {
            client(scene.grpc)
                .await
                .repository_model_load(request)
                .await
        })
    };
    load("m", &[]).unwrap();
    check_refusal(
        load("other", &[]),
        Code::InvalidArgument,
        "failed to load 'other'",
    );
    check_refusal(
        load("m", &["config"]),
        Code::Unimplemented,
        "loading with parameters",
    );
}

#[test]
fn a_model_is_unloaded_and_loaded_again_before_it_is_answered() {
    let (scene, _replica) = crate::control::following(|_| {}, ModelState::Available);
    let name = || "m".to_owned();
    let states = || {
        let request = RepositoryIndexRequest::default();
        let index = run(async { client(scene.grpc).await.repository_index(request).await });
        let models = index.unwrap().into_inner().models;
        models
            .into_iter()
            .map(|it| (it.state, it.reason))
            .collect::<Vec<_>>()
    };
    let of = |state: &str, reason: &str| vec![(state.to_owned(), reason.to_owned())];
    let request = RepositoryModelUnloadRequest {
        model_name: name(),
        ..RepositoryModelUnloadRequest::default()
    };
    let unload = async {
        client(scene.grpc)
            .await
            .repository_model_unload(request)
            .await
    };
    run(unload).unwrap();
    assert_eq!(states(), of("UNAVAILABLE", "unloaded on request"));
    let request = ModelReadyRequest {
        name: name(),
        ..ModelReadyRequest::default()
    };
    let ready = run(async { client(scene.grpc).await.model_ready(request).await });
    assert!(!ready.unwrap().into_inner().ready);
    let request = RepositoryModelLoadRequest {
        model_name: name(),
        ..RepositoryModelLoadRequest::default()
    };
    let load = async {
        client(scene.grpc)
            .await
            .repository_model_load(request)
            .await
    };
    run(load).unwrap();
    assert_eq!(states(), of("READY", ""));
}
