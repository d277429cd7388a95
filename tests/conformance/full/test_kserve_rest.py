"""KServe's REST client with its own request and response classes, over v2 and v1."""

import asyncio

import httpx
import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

X = np.array([[1.0, 2.0, 3.0, 4.0], [0.1, -0.0, 1e-45, 1e38]], np.float32)


def ask(protocol, question):
    """Runs a coroutine that gets the client."""

    async def run():
        async with InferenceRESTClient(RESTConfig(protocol=protocol, retries=0)) as client:
            return await question(client)

    return asyncio.run(run())


def request(values, binary, name="x", datatype="FP32"):
    tensor = InferInput(name, list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    return InferRequest("echo", [tensor], request_id="forty-two")


@pytest.mark.parametrize("binary", [True, False])
def test_tensors_go_there_and_back(line, binary):
    response = ask("v2", lambda client: client.infer(line.url, request(X, binary), model_name="affine"))
    # The client drops the version that it is told.
    assert (response.id, response.model_name) == ("forty-two", "affine")
    assert response.outputs[0].shape == [2, 4]
    assert response.outputs[0].as_numpy().tobytes() == (2 * X + 1).astype(np.float32).tobytes()


def test_raw_outputs_are_read(line):
    asked = request(X, True)
    asked.parameters = {"binary_data_output": True}
    response = ask("v2", lambda client: client.infer(line.url, asked, model_name="echo"))
    assert response.outputs[0].as_numpy().tobytes() == X.tobytes()


def test_text_goes_there_and_back(line):
    images = np.zeros((1, 8, 8), np.float32)
    response = ask("v2", lambda client: client.infer(line.url, request(images, True, "image"), model_name="digits"))
    assert [output.name for output in response.outputs] == ["scores", "label"]
    assert response.outputs[1].datatype == "INT64"


def test_dictionaries_are_sent_as_they_are(line):
    body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [[1, 2, 3, 4]]}]}
    response = ask("v2", lambda client: client.infer(line.url, body, model_name="echo"))
    assert response.outputs[0].as_numpy().tolist() == [[1.0, 2.0, 3.0, 4.0]]


def test_health_is_understood(line):
    assert ask("v2", lambda client: client.is_server_live(line.url)) is True
    assert ask("v2", lambda client: client.is_server_ready(line.url)) is True
    assert ask("v2", lambda client: client.is_model_ready(line.url, "echo")) is True
    assert ask("v2", lambda client: client.is_model_ready(line.url, "nope")) is False


def test_the_first_version_of_the_protocol_works_too(line):
    body = {"instances": [[1, 2, 3, 4]]}
    answer = ask("v1", lambda client: client.infer(line.url, body, model_name="echo"))
    assert answer == {"predictions": [[1.0, 2.0, 3.0, 4.0]]}


def test_refusals_carry_their_sentence(line):
    with pytest.raises(httpx.HTTPStatusError, match="Expected \\[-1,4\\], got \\[1,3\\]"):
        ask("v2", lambda client: client.infer(line.url, request(np.zeros((1, 3), np.float32), True), model_name="echo"))
    with pytest.raises(httpx.HTTPStatusError, match="unknown model: 'nope'"):
        ask("v2", lambda client: client.infer(line.url, request(X, True), model_name="nope"))
