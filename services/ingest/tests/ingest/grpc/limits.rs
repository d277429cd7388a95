//! Time, bytes, places: what a caller over gRPC may take, and what he gives back.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use prost::Message;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use super::proto::inference::{ModelInferRequest, ServerLiveRequest};
use super::{ask, check_alive, check_refusal, client, good, raw_input, run};
use crate::client::get;
use crate::played::{echo, model_m};
use crate::scene::{BODY_LIMIT, READ_TIMEOUT, Scene, shared};

/// A scene in which nothing is ever answered.
fn silent_scene(request_timeout: Duration) -> Scene {
    let scene = Scene::start(|settings| settings.request_timeout = request_timeout);
    scene.serve(&model_m(), |_| Vec::new());
    scene.wait_ready();
    scene
}

fn with_timeout(text: &'static str) -> tonic::Request<ModelInferRequest> {
    let mut request = tonic::Request::new(good());
    request
        .metadata_mut()
        .insert("grpc-timeout", text.parse().unwrap());
    request
}

#[test]
fn the_deadline_of_the_caller_and_of_the_process_end_a_call() {
    let scene = silent_scene(Duration::from_secs(3));
    for (timeout, at_least) in [("700m", 700), ("99999999H", 3000)] {
        let began = Instant::now();
        let answer: Result<(), _> = Err(run(patient_call(&scene, timeout)));
        let waited = began.elapsed().as_millis();
        check_refusal(answer, Code::DeadlineExceeded, "was not answered within");
        assert!(
            (at_least..at_least + 2_000).contains(&waited),
            "{timeout}: {waited} ms"
        );
    }
    assert_eq!(scene.metric("millrace_ingest_pending"), 0.0);
}

/// How a call is refused whose caller has no clock: that of tonic's client would run out first.
async fn patient_call(scene: &Scene, timeout: &str) -> tonic::Status {
    let stream = tokio::net::TcpStream::connect(scene.grpc).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let uri = format!(
        "http://{}/inference.GRPCInferenceService/ModelInfer",
        scene.grpc
    );
    let request = tonic::codegen::http::Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout);
    let (response, mut body) = sender
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    let message = good().encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let framed = [&[0][..], &length, &message].concat();
    body.send_data(framed.into(), true).unwrap();
    let response = response.await.unwrap();
    tonic::Status::from_header_map(response.headers()).unwrap()
}

#[test]
fn a_time_out_that_is_none_is_refused_and_one_that_has_passed_is_over() {
    // H82
    let scene = shared();
    for timeout in ["abc", "-1S", "1e9S", "1", "S", "123456789S"] {
        let answer = run(async {
            client(scene.grpc)
                .await
                .model_infer(with_timeout(timeout))
                .await
        });
        check_refusal(answer, Code::InvalidArgument, "grpc-timeout");
    }
    let answer: Result<(), _> = Err(run(patient_call(scene, "0n")));
    check_refusal(answer, Code::DeadlineExceeded, "");
    check_alive(scene.grpc);
}

#[test]
fn a_caller_who_hangs_up_frees_his_place() {
    let scene = silent_scene(Duration::from_secs(600));
    let pending = |count: u32| format!("millrace_ingest_pending {count}\n");
    run(async {
        let mut client = client(scene.grpc).await;
        let call = tokio::spawn(async move { client.model_infer(good()).await });
        let waits = || get(scene.address, "/metrics").text().contains(&pending(1));
        while !waits() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        call.abort();
        let _ = call.await;
    });
    scene.wait_answer("/metrics", |answer| answer.text().contains(&pending(0)));
}

#[test]
fn a_full_process_refuses_at_once_and_recovers() {
    // H86
    let (sender, asked) = mpsc::channel();
    let scene = Scene::start(|settings| settings.limits.in_flight_requests = 1);
    scene.serve(&model_m(), move |it| {
        sender.send(echo(it)).unwrap();
        Vec::new()
    });
    scene.wait_ready();
    let first = std::thread::scope(|scope| {
        let first =
            scope.spawn(|| run(async { client(scene.grpc).await.model_infer(good()).await }));
        let replies = asked.recv().unwrap();
        let second = run(async { client(scene.grpc).await.model_infer(good()).await });
        let status = check_refusal(second, Code::Unavailable, "too many requests in flight");
        assert_eq!(status.metadata().get("retry-after").unwrap(), "1");
        for reply in replies {
            scene.producer.send(reply, |_| {}).unwrap();
        }
        first.join().unwrap()
    });
    assert!(first.is_ok(), "{first:?}");
}

#[test]
fn a_message_over_the_limit_is_refused_with_the_limit() {
    // H69
    let scene = shared();
    let rows = i64::try_from(BODY_LIMIT / 16 + 1).unwrap();
    let mut request = ask("m", vec![raw_input("x", "FP32", &[rows, 4])]);
    request.raw_input_contents = vec![vec![0; BODY_LIMIT + 16]];
    let answer = run(async { client(scene.grpc).await.model_infer(request).await });
    let sentence = format!("larger than the limit of {BODY_LIMIT} bytes");
    check_refusal(answer, Code::ResourceExhausted, &sentence);
    check_alive(scene.grpc);
}

#[test]
fn a_compressed_message_is_answered_and_a_bomb_is_refused() {
    let scene = Scene::start(|settings| settings.limits.decompressed_bytes = BODY_LIMIT);
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    let zeros = |bytes: usize| {
        let rows = i64::try_from(bytes / 16).unwrap();
        let mut request = ask("m", vec![raw_input("x", "FP32", &[rows, 4])]);
        request.raw_input_contents = vec![vec![0; bytes]];
        request
    };
    let send = |request| {
        run(async {
            let client = client(scene.grpc)
                .await
                .send_compressed(CompressionEncoding::Gzip);
            client
                .max_encoding_message_size(1 << 30)
                .model_infer(request)
                .await
        })
    };
    let answer = send(zeros(1 << 20)).unwrap().into_inner();
    assert_eq!(answer.raw_output_contents[0].len(), 1 << 20);
    // H76: 64 KiB on the wire.
    check_refusal(send(zeros(64 << 20)), Code::ResourceExhausted, "size limit");
    check_alive(scene.grpc);
}

#[test]
fn a_caller_who_stops_sending_is_told_so_and_his_bytes_are_free_again() {
    // H74
    let scene = Scene::start(|settings| {
        settings.limits.body_bytes = 10_000;
        settings.limits.in_flight_bytes = 10_000;
    });
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    let began = Instant::now();
    let status = run(async {
        let mut client = tonic::client::Grpc::new(super::channel(scene.grpc).await);
        client.ready().await.unwrap();
        let path = "/inference.GRPCInferenceService/ModelInfer";
        let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
        let (sender, receiver) = tokio::sync::mpsc::channel::<ModelInferRequest>(1);
        let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let codec = tonic_prost::ProstCodec::<ModelInferRequest, ()>::default();
        let answer = client
            .client_streaming(tonic::Request::new(requests), path, codec)
            .await;
        drop(sender);
        answer.map(|_: tonic::Response<()>| ())
    });
    check_refusal(status, Code::DeadlineExceeded, "did not arrive in time");
    assert!(
        (READ_TIMEOUT..READ_TIMEOUT * 3).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    check_alive(scene.grpc);
}

#[test]
fn a_broken_trace_is_dropped_and_the_request_answered() {
    // H84
    let scene = shared();
    let mut request = tonic::Request::new(good());
    request
        .metadata_mut()
        .insert("traceparent", "malformed".parse().unwrap());
    let state = "a".repeat(16 << 10);
    request
        .metadata_mut()
        .insert("tracestate", state.parse().unwrap());
    let answer = run(async { client(scene.grpc).await.model_infer(request).await });
    assert!(answer.is_ok(), "{answer:?}");
}

#[test]
fn refusals_are_counted_once_each_by_reason() {
    let scene = Scene::start(|_| {});
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    check_alive(scene.grpc);
    let send = |request| run(async { client(scene.grpc).await.model_infer(request).await });
    send(ask("m", Vec::new())).unwrap_err();
    send(ask("unknown", Vec::new())).unwrap_err();
    let counted = |reason: &str| {
        scene.metric(&format!(
            "millrace_ingest_rejected_total{{reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(counted("protobuf"), 1.0);
    assert_eq!(counted("unknown_model"), 1.0);
    let answered = "millrace_ingest_requests_total{route=\"grpc ModelInfer\",status=\"200\"}";
    assert_eq!(scene.metric(answered), 1.0);
    assert_eq!(scene.metric("millrace_ingest_in_flight"), 1.0);
}

#[test]
fn a_request_in_flight_is_answered_before_the_process_ends() {
    let mut scene = Scene::start(|_| {});
    let (sender, asked) = mpsc::channel();
    scene.serve(&model_m(), move |it| {
        sender.send(echo(it)).unwrap();
        Vec::new()
    });
    scene.wait_ready();
    let answer = std::thread::scope(|scope| {
        let call =
            scope.spawn(|| run(async { client(scene.grpc).await.model_infer(good()).await }));
        let replies = asked.recv().unwrap();
        scene.shutdown.trigger();
        let until = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(scene.grpc).is_ok() {
            assert!(Instant::now() < until, "still accepting");
            std::thread::sleep(Duration::from_millis(5));
        }
        for reply in replies {
            scene.producer.send(reply, |_| {}).unwrap();
        }
        call.join().unwrap()
    });
    assert!(answer.is_ok(), "{answer:?}");
    scene.stop().unwrap();
}

#[test]
fn a_request_that_is_not_answered_by_the_drain_deadline_is_told_so() {
    let mut scene = Scene::start(|settings| settings.drain_deadline = Duration::from_millis(500));
    let (sender, asked) = mpsc::channel();
    scene.serve(&model_m(), move |_| {
        sender.send(()).unwrap();
        Vec::new()
    });
    scene.wait_ready();
    let answer = std::thread::scope(|scope| {
        let call =
            scope.spawn(|| run(async { client(scene.grpc).await.model_infer(good()).await }));
        asked.recv().unwrap();
        scene.shutdown.trigger();
        call.join().unwrap()
    });
    check_refusal(answer, Code::Unavailable, "ingest is stopping");
    scene.stop().unwrap();
}

#[test]
fn who_shows_no_good_key_is_turned_away_and_health_is_open_to_all() {
    // H81
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    // The digest of "secret-of-a-test".
    let digest = "e85681f94a03706fdafb9ef2e359a5a4e5281589fea545b74e2e920fa625ca9f";
    let key = "[[keys]]\nname = \"tester\"\nmodels = [\"m\"]\nrights = [\"predict\"]\n";
    std::fs::write(&keys, format!("{key}sha256 = \"{digest}\"\n")).unwrap();
    let scene = Scene::start(|settings| settings.access.api_keys = Some(keys));
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    let send = |key: Option<&'static str>, model: &str| {
        let mut request = tonic::Request::new(good());
        request.get_mut().model_name = model.to_owned();
        if let Some(key) = key {
            let metadata = request.metadata_mut();
            metadata.insert("x-api-key", key.parse().unwrap());
        }
        run(async { client(scene.grpc).await.model_infer(request).await })
    };
    check_refusal(send(None, "m"), Code::Unauthenticated, "no credentials");
    check_refusal(send(Some("wrong"), "m"), Code::Unauthenticated, "not valid");
    let good = Some("secret-of-a-test");
    check_refusal(
        send(good, "other"),
        Code::PermissionDenied,
        "may not predict",
    );
    assert!(send(good, "m").is_ok());
    let live = ServerLiveRequest {};
    let live = run(async { client(scene.grpc).await.server_live(live).await });
    assert!(live.unwrap().into_inner().live);
}
