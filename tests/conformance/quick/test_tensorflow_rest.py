"""TensorFlow Serving's REST API by curl: its documented bodies, byte for byte where bytes are documented."""

import gzip
import json
import subprocess

import pytest


def curl(line, path, *arguments, body=None):
    """The status and the body of one answer."""
    command = ["curl", "--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}"]
    if body is not None:
        command += ["--data-binary", "@-"]
    answer = subprocess.run([*command, *arguments, f"{line.url}{path}"], input=body, capture_output=True, check=True)
    text, status = answer.stdout.decode().rsplit("\n", 1)
    return int(status), text


def predict(line, model, body):
    status, text = curl(line, f"/v1/models/{model}:predict", body=body.encode())
    assert status == 200, text
    return text


def test_rows_are_laid_out_as_there(line):
    answer = predict(line, "affine", '{"instances": [[1.0, 2.0, 5.0, 0.25]]}')
    assert answer == '{\n    "predictions": [[3.0, 5.0, 11.0, 1.5]\n    ]\n}'


def test_columns_are_laid_out_as_there(line):
    body = '{"signature_name": "serving_default", "inputs": [[3.0, 4.0, 0.5, -1]]}'
    assert json.loads(predict(line, "affine", body)) == {"outputs": [[7.0, 9.0, 2.0, -1.0]]}


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("9000000, 999999, 0.5, 0.0003", "9e+06, 999999.0, 0.5, 0.0003"),
        ("0.00003, 555557.5, -0.0, 16777216", "3e-05, 555557.5, -0.0, 16777216.0"),
        ("NaN, Infinity, -Infinity, 1", "NaN, Infinity, -Infinity, 1.0"),
    ],
)
def test_numbers_are_written_as_there(line, given, written):
    assert f"[{written}]" in predict(line, "echo", f'{{"instances": [[{given}]]}}')


def test_a_large_integer_for_a_float_loses_digits_and_is_accepted(line):
    answer = json.loads(predict(line, "echo", '{"instances": [[1435774380, 0, 0, 0]]}'))
    assert answer["predictions"][0][0] == pytest.approx(1435774380, rel=1e-7)


def test_status_is_laid_out_as_there(line):
    expected = (
        '{\n "model_version_status": [\n  {\n   "version": "1",\n   "state": "AVAILABLE",\n'
        '   "status": {\n    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
    )
    for path in ("", "/versions/1"):
        assert curl(line, f"/v1/models/echo{path}") == (200, expected)


def test_metadata_holds_the_signature(line):
    status, text = curl(line, "/v1/models/echo/versions/1/metadata")
    assert status == 200, text
    answer = json.loads(text)
    assert answer["model_spec"] == {"name": "echo", "signature_name": "", "version": "1"}
    x = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["x"]
    assert x == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}, {"size": "4", "name": ""}],
            "unknown_rank": False,
        },
        "name": "x:0",
    }


def test_a_compressed_body_is_read(line):
    body = gzip.compress(b'{"instances": [[1, 2, 3, 4]]}')
    status, text = curl(line, "/v1/models/echo:predict", "--header", "Content-Encoding: gzip", body=body)
    assert status == 200, text
    assert json.loads(text) == {"predictions": [[1.0, 2.0, 3.0, 4.0]]}


def test_examples_are_classified(line):
    body = b'{"examples": [{"x": [0.5, 0.25, 1.0, 2.0]}]}'
    status, text = curl(line, "/v1/models/echo:classify", body=body)
    assert status == 200, text
    assert json.loads(text) == {"results": [[["", 0.5], ["", 0.25], ["", 1.0], ["", 2.0]]]}


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("half:predict", "{}", 404, "Servable not found for request: Latest(half)"),
        ("echo/versions/7:predict", "{}", 404, "Servable not found for request: Specific(echo, 7)"),
        ("echo:predict", "", 400, "JSON Parse error: The document is empty"),
        ("echo:predict", "x", 400, "JSON Parse error: Invalid value. at offset: 0"),
        ("echo:predict", "{}", 400, "Missing 'inputs' or 'instances' key"),
        ("echo:predict", '{"instances": 1}', 400, "Expecting 'instances' to be an list/array"),
        ("echo:predict", '{"instances": []}', 400, "No values in 'instances' array"),
        ("echo:predict", '{"instances": [["a", 1, 1, 1]]}', 400, "is not of expected type: float"),
        ("echo:predict", '{"signature_name": 1}', 400, "'signature_name' key must be a string value."),
        ("echo:classify", "{}", 400, "When method is classify, key 'examples' is expected and was not found"),
        ("echo:explode", "{}", 400, "Malformed request: POST /v1/models/echo:explode"),
    ],
)
def test_a_refusal_has_its_status_and_sentence(line, path, body, status, sentence):
    given, text = curl(line, f"/v1/models/{path}", body=body.encode())
    assert given == status
    assert sentence in json.loads(text)["error"]


def test_cluster_servings_predict_answers_every_instance(line):
    path = "/models/affine/versions/1/predict"
    status, text = curl(line, path, body=b'{"instances": [{"x": [1, 2, 3, 4]}, {"x": [0.5, 0, 0, 0]}]}')
    assert status == 200, text
    assert json.loads(text) == {"predictions": [[3.0, 5.0, 7.0, 9.0], [2.0, 1.0, 1.0, 1.0]]}
