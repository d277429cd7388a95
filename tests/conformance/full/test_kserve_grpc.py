"""KServe's gRPC client with its own request and response classes."""

import asyncio

import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest

X = np.array([[1.0, 2.0, 3.0, 4.0], [0.1, -0.0, 1e-45, 1e38]], np.float32)


def ask(line, question):
    """Runs a coroutine that gets the client."""

    async def run():
        async with InferenceGRPCClient(line.grpc) as client:
            return await question(client)

    return asyncio.run(run())


def request(values, raw, name="x", datatype="FP32"):
    tensor = InferInput(name, list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=raw)
    return InferRequest("affine", [tensor], request_id="forty-two")


@pytest.mark.parametrize("raw", [True, False])
def test_tensors_go_there_and_back_raw_and_typed(line, raw):
    response = ask(line, lambda client: client.infer(request(X, raw)))
    assert (response.id, response.model_name, response.model_version) == ("forty-two", "affine", "1")
    assert response.outputs[0].as_numpy().tobytes() == (2 * X + 1).astype(np.float32).tobytes()


def test_health_is_understood(line):
    assert ask(line, lambda client: client.is_server_live()) is True
    assert ask(line, lambda client: client.is_server_ready()) is True
    assert ask(line, lambda client: client.is_model_ready("affine")) is True
