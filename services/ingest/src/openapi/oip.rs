//! The Open Inference Protocol, version 2, with Triton's extensions.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod;

use super::operation::{Body, Good, Media, Operation};
use super::refusals;
use super::tensorflow::{ARROW, HEADERS, image};

const TAG: &str = "Open Inference Protocol";
const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";

const REQUEST: &[Media] = &[(JSON, "InferRequest"), (BINARY, "Bytes"), (ARROW, "Bytes")];
const RESPONSE: &[Media] = &[(JSON, "InferResponse"), (BINARY, "Bytes"), (ARROW, "Bytes")];

pub(super) fn operations() -> Vec<Operation> {
    let mut all = server();
    all.extend(models());
    all.extend(infer());
    all.extend(repository());
    all.extend(fixed());
    all.into_iter()
        .map(|it| Operation { tag: TAG, ..it })
        .collect()
}

fn get(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    media: &'static [Media],
) -> Operation {
    Operation {
        answers: vec![Good::ok("The answer.", media)],
        ..Operation::get(path, id, summary)
    }
}

/// Whether something is ready: a 503 is an answer too.
fn ready(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    media: &'static [Media],
) -> Operation {
    let not_ready = Good {
        status: 503,
        means: "Not ready.",
        media,
    };
    Operation {
        answers: vec![Good::ok("Ready.", media), not_ready],
        refusals: &[400, 401, 403, 404],
        ..Operation::get(path, id, summary)
    }
}

fn open(operation: Operation) -> Operation {
    Operation {
        is_open: true,
        refusals: &[],
        ..operation
    }
}

fn server() -> Vec<Operation> {
    let live = get(
        "/v2/health/live",
        "serverLive",
        "Whether the process runs",
        &[(JSON, "Live")],
    );
    let is_ready = ready(
        "/v2/health/ready",
        "serverReady",
        "Whether somebody alive serves a model",
        &[(JSON, "Ready")],
    );
    vec![
        get(
            "/v2",
            "serverMetadata",
            "The server and its extensions",
            &[(JSON, "ServerMetadata")],
        ),
        open(live),
        open(is_ready),
        get(
            "/v2/models",
            "modelNames",
            "The names of all models",
            &[(JSON, "ModelNames")],
        ),
        get(
            "/v2/models/stats",
            "allStatistics",
            "Statistics of all models",
            &[(JSON, "ModelStatistics")],
        ),
    ]
}

/// What Triton's clients ask for and what is set elsewhere here.
fn fixed() -> Vec<Operation> {
    let settings = [
        ("/v2/trace/setting", "traceSettings", "changeTraceSettings"),
        ("/v2/logging", "logSettings", "changeLogSettings"),
    ];
    let mut all = Vec::new();
    for (path, read, change) in settings {
        all.push(get(
            path,
            read,
            "What is set when the process starts",
            &[(JSON, "Anything")],
        ));
        all.push(Operation {
            method: HttpMethod::Post,
            refusals: &[401, 501],
            ..Operation::get(path, change, "Refused: it is set when the process starts")
        });
    }
    let regions = [
        ("/v2/systemsharedmemory/status", "systemSharedMemory"),
        ("/v2/cudasharedmemory/status", "cudaSharedMemory"),
    ];
    for (path, id) in regions {
        all.push(get(
            path,
            id,
            "Registered regions: there are none",
            &[(JSON, "List")],
        ));
    }
    all
}

fn models() -> Vec<Operation> {
    let (metadata, statistics) = (&[(JSON, "OipModelMetadata")], &[(JSON, "ModelStatistics")]);
    let is_ready: &[_] = &[(JSON, "ModelReady")];
    vec![
        get(
            "/v2/models/{model}",
            "oipMetadata",
            "A model's inputs and outputs",
            metadata,
        ),
        get(
            "/v2/models/{model}/versions/{version}",
            "oipVersionMetadata",
            "A version's inputs and outputs",
            metadata,
        ),
        ready(
            "/v2/models/{model}/ready",
            "oipModelReady",
            "Whether a model can be asked",
            is_ready,
        ),
        ready(
            "/v2/models/{model}/versions/{version}/ready",
            "oipVersionReady",
            "Whether a version can be asked",
            is_ready,
        ),
        get(
            "/v2/models/{model}/config",
            "oipConfig",
            "A model's configuration, as far as ingest knows it",
            &[(JSON, "Anything")],
        ),
        get(
            "/v2/models/{model}/stats",
            "oipStatistics",
            "A model's statistics",
            statistics,
        ),
    ]
}

fn infer() -> [Operation; 2] {
    let of = |path, id, summary| Operation {
        method: HttpMethod::Post,
        parameters: HEADERS,
        body: Some(Body {
            media: REQUEST,
            example: Some(example()),
            is_required: true,
        }),
        answers: vec![Good::ok("The outputs that were asked for.", RESPONSE)],
        refusals: refusals::PREDICT,
        ..Operation::get(path, id, summary)
    };
    [
        of(
            "/v2/models/{model}/infer",
            "infer",
            "Infer with the newest version",
        ),
        of(
            "/v2/models/{model}/versions/{version}/infer",
            "inferWithVersion",
            "Infer with a version",
        ),
    ]
}

/// The same image as TensorFlow Serving's example.
fn example() -> Value {
    json!({"inputs": [{"name": "image", "shape": [1, 8, 8], "datatype": "FP32", "data": image()}]})
}

fn repository() -> Vec<Operation> {
    let post = |path, id, summary, media| Operation {
        method: HttpMethod::Post,
        answers: vec![Good::ok("Done, or so already.", media)],
        ..Operation::get(path, id, summary)
    };
    let index = Operation {
        body: Some(Body {
            media: &[(JSON, "IndexRequest")],
            example: Some(json!({"ready": true})),
            is_required: false,
        }),
        ..post(
            "/v2/repository/index",
            "repositoryIndex",
            "Every version of every model",
            &[(JSON, "RepositoryIndex")],
        )
    };
    // Asking what there is changes nothing: reading it is as good.
    let read = Operation {
        answers: vec![Good::ok(
            "Every version of every model.",
            &[(JSON, "RepositoryIndex")],
        )],
        ..Operation::get(
            "/v2/repository/index",
            "readRepositoryIndex",
            "Every version of every model",
        )
    };
    let change = |path, id, summary| Operation {
        refusals: &[400, 401, 403, 404, 501, 503, 504],
        ..post(path, id, summary, &[])
    };
    vec![
        index,
        read,
        change(
            "/v2/repository/models/{model}/load",
            "loadModel",
            "Load a model; off unless control.enabled",
        ),
        change(
            "/v2/repository/models/{model}/unload",
            "unloadModel",
            "Unload a model; off unless control.enabled",
        ),
    ]
}
