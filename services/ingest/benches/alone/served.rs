//! The two servers, each with one worker.

use std::net::{SocketAddr, TcpListener};
use std::time::SystemTime;

use actix_web::{App, HttpResponse, HttpServer, web};
use millrace_boot::Shutdown;
use millrace_ingest::Settings;
use millrace_wire::avro::{ModelDescriptor, ModelState, TensorDescription};

/// An ingest whose only model echoes 16 floats.
pub(crate) fn ingest() -> SocketAddr {
    let mut settings = Settings::default();
    settings.http.listen = "127.0.0.1:0".to_owned();
    settings.grpc.listen.clear();
    settings.http.workers = 1;
    // Nobody listens there, and nothing is sent there.
    settings.kafka.brokers = "127.0.0.1:1".to_owned();
    // As in a real process: spans are made.
    let telemetry = millrace_boot::install(&settings.telemetry, "millrace-ingest").unwrap();
    std::mem::forget(telemetry);
    let app = millrace_ingest::App::build(settings).unwrap();
    app.loop_back(&echo()).unwrap();
    let address = app.address();
    std::thread::spawn(move || {
        let run = app.run_until_stopped(Shutdown::by_hand());
        actix_web::rt::System::new().block_on(run).unwrap();
    });
    address
}

/// A handler that reads the whole body and answers with these bytes.
pub(crate) fn bare(answer: Vec<u8>) -> SocketAddr {
    let answer = web::Bytes::from(answer);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let app = move || {
            let answer = answer.clone();
            let handle = move |body: web::Bytes| {
                let answer = answer.clone();
                async move {
                    assert!(!body.is_empty());
                    HttpResponse::Ok()
                        .content_type("application/json")
                        .body(answer)
                }
            };
            App::new().service(web::resource("/predict").route(web::post().to(handle)))
        };
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.listen(listener).unwrap().run();
        actix_web::rt::System::new().block_on(server).unwrap();
    });
    address
}

fn echo() -> ModelDescriptor {
    let tensor = || TensorDescription {
        name: "x".to_owned(),
        dtype: "FP32".to_owned(),
        shape: vec![-1, 16],
    };
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    ModelDescriptor {
        model: "echo".to_owned(),
        version: 1,
        replica: "bench".to_owned(),
        state: ModelState::Available,
        reason: String::new(),
        labels: Vec::new(),
        engine: "none".to_owned(),
        weights_sha256: String::new(),
        inputs: vec![tensor()],
        outputs: vec![tensor()],
        max_batch_rows: 32,
        control_offset: -1,
        canary_percent: 0,
        delivery: String::new(),
        lanes: Vec::new(),
        backlog_records: 0,
        lease_until_unix_ms: i64::try_from(now.as_millis()).unwrap() + 86_400_000,
    }
}
