//! The shapes of bodies. What a model takes is said by its metadata, not here:
//! these hold for every model.

use serde_json::{Value, json};

use super::parameters;

/// All shapes, by name. They go into the document as they are written here:
/// utoipa's own type for schemas cannot hold all that JSON Schema can say.
pub(super) fn all() -> Vec<(String, Value)> {
    let shapes = [
        common(),
        tensorflow(),
        tensorflow_models(),
        cluster_serving(),
        open_inference(),
        open_inference_answers(),
    ];
    let bodies = shapes
        .into_iter()
        .flatten()
        .map(|(name, shape)| (name.to_owned(), shape));
    let parameters = parameters::all();
    let headers = HEADERS
        .iter()
        .map(|(name, shape)| (of_header(name), shape()));
    bodies.chain(parameters).chain(headers).collect()
}

/// The name of an answer's header's shape.
pub(super) fn of_header(name: &str) -> String {
    format!("Header.{name}")
}

/// Makes a JSON Schema.
type Shape = fn() -> Value;

/// The headers of answers, and their shapes.
const HEADERS: [(&str, Shape); 4] = [
    (
        "x-request-id",
        || json!({"type": "string", "minLength": 1, "maxLength": 128}),
    ),
    ("WWW-Authenticate", || json!({"type": "string"})),
    ("Allow", || json!({"type": "string"})),
    ("Retry-After", || json!({"type": "integer", "minimum": 0})),
];

type Shapes = Vec<(&'static str, Value)>;

fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn list_of(name: &str) -> Value {
    json!({"type": "array", "items": reference(name)})
}

fn common() -> Shapes {
    let sentence = json!({"type": "string", "description": "What is wrong, in one sentence."});
    vec![
        ("Refusal", object(&["error"], json!({"error": sentence}))),
        ("Bytes", json!({"type": "string", "format": "binary"})),
        ("Anything", json!({"type": "object"})),
        ("Text", json!({"type": "string"})),
        ("List", json!({"type": "array"})),
        (
            "ModelNames",
            object(
                &["models"],
                json!({"models": {"type": "array", "items": {"type": "string"}}}),
            ),
        ),
        (
            "ModelReady",
            object(
                &["name", "ready"],
                json!({"name": {"type": "string"}, "ready": {"type": "boolean"}}),
            ),
        ),
        (
            "Live",
            object(&["live"], json!({"live": {"type": "boolean"}})),
        ),
        (
            "Ready",
            object(
                &["ready"],
                json!({"ready": {"type": "boolean"}, "reasons": {"type": "array", "items": {"type": "string"}}}),
            ),
        ),
        (
            "Shape",
            json!({"type": "array", "items": {"type": "integer", "format": "int64", "minimum": -1}}),
        ),
    ]
}

fn tensorflow() -> Shapes {
    let name = json!({"type": "string", "description": "serving_default, which is all there is."});
    let rows = object(
        &["instances"],
        json!({"signature_name": name, "instances": {"type": "array", "minItems": 1, "items": {}}}),
    );
    let columns = object(&["inputs"], json!({"signature_name": name, "inputs": {}}));
    let examples = object(
        &["examples"],
        json!({"signature_name": name, "examples": {"type": "array", "minItems": 1, "items": {"type": "object"}}, "context": {"type": "object"}}),
    );
    let answers = [
        object(
            &["predictions"],
            json!({"predictions": {"type": "array", "items": {}}}),
        ),
        object(&["outputs"], json!({"outputs": {}})),
    ];
    vec![
        ("PredictRows", rows),
        ("PredictColumns", columns),
        (
            "PredictRequest",
            json!({"oneOf": [reference("PredictRows"), reference("PredictColumns")]}),
        ),
        ("PredictResponse", json!({"oneOf": answers})),
        ("ExamplesRequest", examples),
        (
            "ResultsResponse",
            object(
                &["results"],
                json!({"results": {"type": "array", "items": {}}}),
            ),
        ),
    ]
}

fn tensorflow_models() -> Shapes {
    let status = object(
        &["error_code", "error_message"],
        json!({"error_code": {"type": "string"}, "error_message": {"type": "string"}}),
    );
    let states = [
        "UNKNOWN",
        "START",
        "LOADING",
        "AVAILABLE",
        "UNLOADING",
        "END",
    ];
    let version = object(
        &["version", "state", "status"],
        json!({"version": {"type": "string"}, "state": {"type": "string", "enum": states}, "status": status}),
    );
    vec![
        (
            "ModelStatus",
            object(
                &["model_version_status"],
                json!({"model_version_status": {"type": "array", "items": version}}),
            ),
        ),
        (
            "ModelMetadata",
            object(
                &["model_spec", "metadata"],
                json!({"model_spec": {"type": "object"}, "metadata": {"type": "object"}}),
            ),
        ),
    ]
}

fn cluster_serving() -> Shapes {
    let tensor = object(
        &["name", "datatype", "shape"],
        json!({"name": {"type": "string"}, "datatype": {"type": "string"}, "shape": reference("Shape")}),
    );
    let tensors = json!({"type": "array", "items": tensor});
    let states = [
        "LOADING",
        "AVAILABLE",
        "UNLOADING",
        "END",
        "FAILED",
        "NOT_SERVED",
    ];
    let model = object(
        &["modelName", "modelVersion", "state"],
        json!({
            "modelName": {"type": "string"}, "modelVersion": {"type": "string"},
            "features": {"type": "array", "items": {"type": "string"}},
            "state": {"type": "string", "enum": states}, "reason": {"type": "string"},
            "inputs": tensors, "outputs": tensors,
        }),
    );
    vec![
        ("ServedModel", model),
        ("ServedModels", list_of("ServedModel")),
    ]
}

const DATATYPES: [&str; 14] = [
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16",
    "FP32", "FP64", "BYTES", "BF16",
];

fn open_inference() -> Shapes {
    let datatype = json!({"type": "string", "enum": DATATYPES});
    let text = json!({"type": "string"});
    let input = object(
        &["name", "shape", "datatype"],
        json!({
            "name": text, "datatype": datatype, "parameters": {"type": "object"},
            "shape": {"type": "array", "items": {"type": "integer", "format": "int64", "minimum": 0}},
            "data": {"type": "array", "items": {}},
        }),
    );
    let output = object(
        &["name"],
        json!({"name": text, "parameters": {"type": "object"}}),
    );
    let request = object(
        &["inputs"],
        json!({
            "id": text, "parameters": {"type": "object"},
            "inputs": {"type": "array", "minItems": 1, "items": reference("InferInput")},
            "outputs": {"type": "array", "items": reference("InferOutputChoice")},
        }),
    );
    let response = object(
        &["model_name", "outputs"],
        json!({
            "model_name": text, "model_version": text, "id": text,
            "outputs": list_of("InferOutput"),
        }),
    );
    let answered = object(
        &["name", "shape", "datatype"],
        json!({
            "name": text, "datatype": datatype, "shape": reference("Shape"),
            "parameters": {"type": "object"}, "data": {"type": "array", "items": {}},
        }),
    );
    vec![
        ("InferInput", input),
        ("InferOutputChoice", output),
        ("InferRequest", request),
        ("InferOutput", answered),
        ("InferResponse", response),
    ]
}

fn open_inference_answers() -> Shapes {
    let text = json!({"type": "string"});
    let texts = json!({"type": "array", "items": text});
    let tensor = object(
        &["name", "datatype", "shape"],
        json!({"name": text, "datatype": text, "shape": reference("Shape")}),
    );
    let tensors = json!({"type": "array", "items": tensor});
    let index = object(
        &["name", "version", "state", "reason"],
        json!({"name": text, "version": text, "state": text, "reason": text}),
    );
    vec![
        (
            "ServerMetadata",
            object(
                &["name", "version", "extensions"],
                json!({"name": text, "version": text, "extensions": texts}),
            ),
        ),
        (
            "OipModelMetadata",
            object(
                &["name", "versions", "platform", "inputs", "outputs"],
                json!({"name": text, "versions": texts, "platform": text, "inputs": tensors, "outputs": tensors}),
            ),
        ),
        (
            "ModelStatistics",
            object(
                &["model_stats"],
                json!({"model_stats": {"type": "array", "items": {"type": "object"}}}),
            ),
        ),
        (
            "IndexRequest",
            object(&[], json!({"ready": {"type": "boolean"}})),
        ),
        ("RepositoryIndex", json!({"type": "array", "items": index})),
    ]
}
