"""Triton's HTTP client: binary tensors of every type, JSON ones, and everything it asks about a server."""

import asyncio

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from ml_dtypes import bfloat16
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

# Two rows of two for each input of the model `types`, which gives back what it gets.
TYPES = {
    "bool": ("BOOL", np.array([[True, False], [False, True]])),
    "int8": ("INT8", np.array([[-128, 127], [0, 1]], np.int8)),
    "int16": ("INT16", np.array([[-(2**15), 2**15 - 1], [0, 1]], np.int16)),
    "int32": ("INT32", np.array([[-(2**31), 2**31 - 1], [0, 1]], np.int32)),
    "int64": ("INT64", np.array([[-(2**63), 2**63 - 1], [2**53 + 1, 1]], np.int64)),
    "uint8": ("UINT8", np.array([[0, 255], [1, 2]], np.uint8)),
    "uint16": ("UINT16", np.array([[0, 2**16 - 1], [1, 2]], np.uint16)),
    "uint32": ("UINT32", np.array([[0, 2**32 - 1], [1, 2]], np.uint32)),
    "uint64": ("UINT64", np.array([[0, 2**64 - 1], [2**53 + 1, 2]], np.uint64)),
    "fp16": ("FP16", np.array([[0.5, -2.0], [65504.0, 6e-8]], np.float16)),
    "bf16": ("BF16", np.array([[0.5, -2.0], [256.0, 0.0]], bfloat16)),
    "fp32": ("FP32", np.array([[0.1, -0.0], [3.4e38, 1e-45]], np.float32)),
    "fp64": ("FP64", np.array([[0.1, -0.0], [1.7e308, 5e-324]], np.float64)),
    "string": ("BYTES", np.array([["", "plain"], ["ünï\n\"q\"", "a\0b"]], np.object_)),
}
# The protocol has no JSON form for these.
BINARY_ONLY = {"fp16", "bf16"}


@pytest.fixture(scope="module")
def client(line):
    with triton.InferenceServerClient(line.http, concurrency=4) as client:
        yield client


def tensor(name, datatype, values, binary=True):
    tensor = triton.InferInput(name, list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def floats(rows):
    return np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)


def check_same(given, expected):
    if expected.dtype == np.object_:
        expected = np.vectorize(lambda text: text.encode(), otypes=[object])(expected)
        given = np.vectorize(lambda text: text.encode() if isinstance(text, str) else text, otypes=[object])(given)
    assert given.shape == expected.shape
    assert given.tobytes() == expected.tobytes() if expected.dtype != object else (given == expected).all()


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_every_type_comes_back_as_it_was_sent(client, binary_in, binary_out):
    inputs = [
        tensor(f"{name}_in", datatype, values, binary_in or name in BINARY_ONLY)
        for name, (datatype, values) in TYPES.items()
    ]
    outputs = [
        triton.InferRequestedOutput(f"{name}_out", binary_data=binary_out or name in BINARY_ONLY)
        for name in TYPES
    ]
    result = client.infer("types", inputs, outputs=outputs)
    for name, (datatype, values) in TYPES.items():
        assert result.get_output(f"{name}_out")["datatype"] == datatype
        check_same(result.as_numpy(f"{name}_out"), values)


def test_all_outputs_come_raw_unless_some_are_asked_for(client, line):
    image = np.zeros((2, 8, 8), np.float32)
    inputs = [tensor("image", "FP32", image)]
    result = client.infer("digits", inputs, request_id="forty-two")
    answer = result.get_response()
    assert answer["id"] == "forty-two"
    assert (answer["model_name"], answer["model_version"]) == ("digits", "1")
    assert all("binary_data_size" in output["parameters"] for output in answer["outputs"])
    assert result.as_numpy("scores").shape == (2, 10)
    assert result.as_numpy("label").dtype == np.int64

    only = [triton.InferRequestedOutput("label", binary_data=False)]
    result = client.infer("digits", inputs, outputs=only, model_version="1")
    assert [output["name"] for output in result.get_response()["outputs"]] == ["label"]
    assert result.as_numpy("scores") is None


def test_requests_in_flight_together_get_their_own_answers(client):
    asked = []
    for first in range(32):
        values = np.full((1 + first % 3, 4), first, np.float32)
        asked.append((values, client.async_infer("echo", [tensor("x", "FP32", values)])))
    for values, answer in asked:
        check_same(answer.get_result().as_numpy("y"), values)


def test_the_asyncio_client_gets_the_same_answers(line):
    async def ask():
        async with triton_aio.InferenceServerClient(line.http) as client:
            assert await client.is_server_ready()
            inputs = [tensor("x", "FP32", floats(2))]
            result = await client.infer("affine", inputs)
            return result.as_numpy("y")

    assert (asyncio.run(ask()) == 2 * floats(2) + 1).all()


def test_a_batch_of_a_thousand_rows_comes_back_in_order(client):
    values = floats(1000)
    result = client.infer("affine", [tensor("x", "FP32", values)])
    assert (result.as_numpy("y") == 2 * values + 1).all()


def test_the_time_that_a_request_gives_holds(client):
    inputs = [tensor("x", "FP32", floats(1))]
    client.infer("echo", inputs, timeout=20_000_000, priority=1)
    with pytest.raises(InferenceServerException) as refused:
        client.infer("echo", inputs, timeout=1)
    assert refused.value.status() == "504"


def test_the_server_says_what_it_is(client):
    assert client.is_server_live() and client.is_server_ready()
    server = client.get_server_metadata()
    assert server["name"] == "millrace"
    assert "binary_tensor_data" in server["extensions"]
    assert client.get_trace_settings()["trace_level"] == ["OFF"]
    assert client.get_log_settings()["log_error"]
    assert client.get_system_shared_memory_status() == []


def test_models_say_what_they_take_and_give(client):
    assert client.is_model_ready("digits") and client.is_model_ready("digits", "1")
    assert not client.is_model_ready("nope") and not client.is_model_ready("digits", "7")
    assert client.get_model_metadata("digits") == {
        "name": "digits",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8]}],
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [-1, 10]},
            {"name": "label", "datatype": "INT64", "shape": [-1]},
        ],
    }
    config = client.get_model_config("digits", "1")
    assert config["input"] == [{"name": "image", "data_type": "TYPE_FP32", "dims": [8, 8]}]
    for spec in client.get_model_metadata("types")["inputs"]:
        assert triton_to_np_dtype(spec["datatype"]) is not None


def test_the_repository_lists_every_model(client):
    index = client.get_model_repository_index()
    assert {"name": "digits", "version": "1", "state": "READY", "reason": ""} in index
    assert {entry["name"] for entry in index} >= {"digits", "everything", "echo", "types"}


def test_what_models_have_done_is_counted(client):
    def inference_stats():
        [stats] = client.get_inference_statistics("affine", "1")["model_stats"]
        return stats["inference_count"], stats["inference_stats"]["success"]["count"]

    rows, requests = inference_stats()
    client.infer("affine", [tensor("x", "FP32", floats(3))])
    assert inference_stats() == (rows + 3, requests + 1)
    names = {stats["name"] for stats in client.get_inference_statistics()["model_stats"]}
    assert names >= {"affine", "digits"}


@pytest.mark.parametrize(
    ("model", "inputs", "status", "fragment"),
    [
        ("nope", [("x", "FP32", (1, 4))], "404", "unknown model: 'nope'"),
        ("echo", [("x", "FP32", (1, 3))], "400", "Expected [-1,4], got [1,3]"),
        ("echo", [("x", "FP64", (1, 4))], "400", "Expected FP32, got FP64"),
        ("echo", [("z", "FP32", (1, 4))], "400", "unknown input z"),
        ("echo", [("x", "FP32", (1, 4)), ("x", "FP32", (1, 4))], "400", "given twice"),
        ("echo", [], "400", "missing input x"),
    ],
)
def test_what_cannot_be_inferred_is_refused_with_a_sentence(client, model, inputs, status, fragment):
    tensors = [
        tensor(name, datatype, np.zeros(shape, triton_to_np_dtype(datatype))) for name, datatype, shape in inputs
    ]
    with pytest.raises(InferenceServerException) as refused:
        client.infer(model, tensors)
    assert refused.value.status() == status
    assert fragment in refused.value.message()


def test_a_failure_of_the_model_is_told(client):
    values = floats(1)
    values[0, 0] = 13
    with pytest.raises(InferenceServerException) as refused:
        client.infer("fails_if", [tensor("x", "FP32", values)])
    assert refused.value.status() in {"400", "500"}


def test_models_are_not_controlled_from_outside(client):
    for control in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException) as refused:
            control("digits")
        assert refused.value.status() == "403"
        assert "control.enabled" in refused.value.message()
