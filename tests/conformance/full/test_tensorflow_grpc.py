"""OpenVINO's client of TensorFlow Serving's API over gRPC, and the stubs that it brings."""

import grpc
import numpy as np
import pytest
from ovmsclient import make_grpc_client
from ovmsclient.tfs_compat.base.errors import InvalidInputError, ModelNotFoundError

X = np.array([[1.0, 2.0, 3.0, 4.0], [0.5, -0.0, 8.0, 1e38]], np.float32)


@pytest.fixture(scope="module")
def client(line):
    return make_grpc_client(line.grpc)


def test_arrays_go_there_and_back(client):
    # One output comes back as an array, several as a dictionary.
    assert client.predict({"x": X}, "affine").tobytes() == (2 * X + 1).astype(np.float32).tobytes()
    outputs = client.predict({"image": np.zeros((2, 8, 8), np.float32)}, "digits", model_version=1)
    assert {name: array.shape for name, array in outputs.items()} == {"scores": (2, 10), "label": (2,)}


def test_lists_and_numbers_become_tensors(client):
    given = client.predict({"x": [[1.0, 2.0, 3.0, 4.0]]}, "echo")
    assert given.tolist() == [[1.0, 2.0, 3.0, 4.0]]


def test_the_state_and_the_signature_of_a_model_are_told(client):
    assert client.get_model_status("digits")[1]["state"] == "AVAILABLE"
    metadata = client.get_model_metadata("digits")
    assert metadata["inputs"]["image"] == {"shape": [-1, 8, 8], "dtype": "DT_FLOAT"}
    assert set(metadata["outputs"]) == {"scores", "label"}


def test_a_refusal_is_the_error_of_its_kind(client):
    with pytest.raises(ModelNotFoundError, match="Servable not found"):
        client.predict({"x": X}, "unknown")
    with pytest.raises(InvalidInputError, match="must be FP32"):
        client.predict({"x": np.zeros((1, 3), np.float32)}, "echo")


def test_strings_and_short_forms_are_read(line):
    from ovmsclient.tfs_compat.protos.tensorflow.core.framework.tensor_pb2 import TensorProto
    from ovmsclient.tfs_compat.protos.tensorflow_serving.apis.predict_pb2 import PredictRequest
    from ovmsclient.tfs_compat.protos.tensorflow_serving.apis.prediction_service_pb2_grpc import (
        PredictionServiceStub,
    )

    request = PredictRequest()
    request.model_spec.name = "echo"
    request.inputs["x"].CopyFrom(TensorProto(dtype=1, float_val=[7.0]))
    for size in (3, 4):
        request.inputs["x"].tensor_shape.dim.add(size=size)
    with grpc.insecure_channel(line.grpc) as channel:
        response = PredictionServiceStub(channel).Predict(request, timeout=60)
    assert list(response.outputs["y"].float_val) == [7.0] * 12
    assert response.model_spec.version.value == 1
