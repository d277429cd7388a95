//! Arrow streams as bodies: what is sent reaches infer unchanged, and comes back in the form that is asked for.

use arrow::array::{Array, FixedSizeListArray, Float32Array};
use arrow::datatypes::Float32Type;
use millrace_wire::{DType, Tensor, encode_tensors};
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::client::{Answer, raw, request};
use super::scene::shared;

const ARROW: &str = "application/vnd.apache.arrow.stream";
const PREDICT: &str = "/v1/models/m:predict";
const INFER: &str = "/v2/models/m/infer";

/// Rows for `m`, written by the Arrow library and not by us.
fn rows(count: usize) -> Vec<u8> {
    let values = (0..count).map(|row| {
        let first = f32::from(u16::try_from(row).unwrap());
        Some([first, 2.0, 3.0, 4.0].map(Some))
    });
    let list = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(values, 4);
    let batch =
        arrow::array::RecordBatch::try_from_iter([("x", std::sync::Arc::new(list) as _)]).unwrap();
    let mut writer =
        arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn send(path: &str, headers: &[&str], body: &[u8]) -> Answer {
    raw(shared().address, &request("POST", path, headers, body))
}

fn send_arrow(path: &str, accept: Option<&str>, body: &[u8]) -> Answer {
    let content_type = format!("Content-Type: {ARROW}");
    let accept = accept.map(|it| format!("Accept: {it}"));
    let headers: Vec<&str> = [Some(content_type.as_str()), accept.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    send(path, &headers, body)
}

#[test]
fn arrow_is_answered_with_arrow_and_nothing_is_encoded_anew() {
    let body = rows(3);
    for path in [
        PREDICT,
        "/v1/models/m/versions/1:predict",
        INFER,
        "/v2/models/m/predict",
    ] {
        let answer = send_arrow(path, None, &body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some(ARROW));
        // `m` echoes its request record, so these are the bytes that reached infer.
        assert!(answer.body == body, "{path}");
    }
}

#[test]
fn accept_decides_the_form_of_the_answer() {
    let answer = send_arrow(PREDICT, Some("application/json"), &rows(1));
    assert_eq!(
        answer.json(),
        json!({"predictions": [[0.0, 2.0, 3.0, 4.0]]})
    );
    let answer = send_arrow(INFER, Some("application/json"), &rows(1));
    assert_eq!(
        answer.json()["outputs"][0]["data"],
        json!([0.0, 2.0, 3.0, 4.0])
    );
    let answer = send_arrow(INFER, Some("application/json;q=0.5, */*"), &rows(1));
    assert_eq!(answer.header("content-type"), Some(ARROW));
    let accept = format!("Accept: {ARROW}");
    let bodies = [
        (PREDICT, r#"{"instances":[[0,2,3,4]]}"#),
        (
            INFER,
            r#"{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[0,2,3,4]}]}"#,
        ),
    ];
    for (path, json) in bodies {
        let answer = send(path, &[&accept], json.as_bytes());
        assert_eq!(
            answer.header("content-type"),
            Some(ARROW),
            "{}",
            answer.text()
        );
        let reader = arrow::ipc::reader::StreamReader::try_new(answer.body.as_slice(), None);
        let batch = reader.unwrap().next().unwrap().unwrap();
        let list = batch
            .column(0)
            .as_any()
            .downcast_ref::<FixedSizeListArray>()
            .unwrap();
        let values = list
            .values()
            .as_any()
            .downcast_ref::<Float32Array>()
            .unwrap();
        assert_eq!(values.values(), &[0.0, 2.0, 3.0, 4.0]);
    }
}

#[test]
fn outputs_are_selected_in_arrow_answers_too() {
    let body = json!({
        "inputs": [
            {"name": "a", "shape": [2], "datatype": "FP32", "data": [1, 2]},
            {"name": "b", "shape": [2], "datatype": "INT32", "data": [3, 4]},
        ],
        "outputs": [{"name": "b"}],
    });
    let accept = format!("Accept: {ARROW}");
    let answer = send(
        "/v2/models/m2/infer",
        &[&accept],
        body.to_string().as_bytes(),
    );
    let reader = arrow::ipc::reader::StreamReader::try_new(answer.body.as_slice(), None);
    let batch = reader.unwrap().next().unwrap().unwrap();
    assert_eq!(batch.num_columns(), 1);
    assert_eq!(batch.schema().field(0).name(), "b");
}

#[test]
fn mutations_of_a_good_stream_are_taken_or_refused_and_never_a_failure() {
    // H63 in small: the decoder's own test makes 150,000.
    let good = rows(2);
    let mut random = rand::rngs::SmallRng::seed_from_u64(63);
    let mut refused = 0;
    for _ in 0..1500 {
        let mut body = good.clone();
        for _ in 0..random.random_range(1..=3) {
            let at = random.random_range(0..body.len());
            body[at] = random.random();
        }
        let answer = send_arrow(INFER, None, &body);
        assert!(
            matches!(answer.status, 200 | 400 | 413),
            "{}",
            answer.text()
        );
        refused += usize::from(answer.status != 200);
    }
    assert!((500..1500).contains(&refused), "{refused}");
    shared().check_alive();
}

#[test]
fn streams_that_do_not_fit_the_model_are_refused() {
    let tensor = |name: &str, shape: &[usize], values: Vec<f32>| {
        Tensor::fixed(name, DType::Float32, shape.to_vec(), values.into()).unwrap()
    };
    for (tensor, fragment) in [
        (tensor("y", &[1, 4], vec![0.0; 4]), "unknown input y"),
        (
            tensor("x", &[1, 3], vec![0.0; 3]),
            "input x must be FP32[-1,4], got FP32[1,3]",
        ),
        (
            tensor("x", &[4], vec![0.0; 4]),
            "input x must be FP32[-1,4], got FP32[4]",
        ),
    ] {
        let body = encode_tensors(&[tensor]).unwrap();
        for path in [PREDICT, INFER] {
            send_arrow(path, None, &body).check_refusal(400, fragment);
        }
    }
    for path in [PREDICT, INFER] {
        send_arrow(path, None, b"").check_refusal(400, "no Arrow stream");
    }
    shared().check_alive();
}
