"""Classify, Regress and MultiInference, by the stubs of TensorFlow Serving that ovmsclient brings."""

import json

import grpc
import pytest
from ovmsclient.tfs_compat.protos.tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from ovmsclient.tfs_compat.protos.tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from ovmsclient.tfs_compat.protos.tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
from ovmsclient.tfs_compat.protos.tensorflow_serving.apis.regression_pb2 import RegressionRequest

from line import ROOT

HELD_OUT = json.loads((ROOT / "models/digits/held_out.json").read_text())
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


@pytest.fixture(scope="module")
def stub(line):
    with grpc.insecure_channel(line.grpc) as channel:
        yield PredictionServiceStub(channel)


def add_images(request, count):
    """One example for each of the first images."""
    for image in HELD_OUT["images"][:count]:
        example = request.input.example_list.examples.add()
        pixels = [float(pixel) for row in image for pixel in row]
        example.features.feature["image"].float_list.value.extend(pixels)


def likeliest(classifications):
    """The index of the best score of each row; the model gives its classes no names."""
    rows = [[it.score for it in row.classes] for row in classifications]
    assert all(len(row) == 10 for row in rows)
    return [row.index(max(row)) for row in rows]


def test_images_are_classified(stub):
    request = ClassificationRequest()
    request.model_spec.name = "digits"
    add_images(request, 20)
    response = stub.Classify(request, timeout=60)
    assert likeliest(response.result.classifications) == HELD_OUT["labels"][:20]
    assert (response.model_spec.name, response.model_spec.version.value) == ("digits", 1)
    assert response.model_spec.signature_name == "serving_default"


def test_numbers_are_regressed(stub):
    request = RegressionRequest()
    request.model_spec.name = "mean"
    for numbers in ([1.0, 2.0, 3.0, 6.0], [0.0, 0.0, 0.0, -1.0]):
        example = request.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.extend(numbers)
    response = stub.Regress(request, timeout=60)
    assert [it.value for it in response.result.regressions] == [3.0, -0.25]


def test_a_context_belongs_to_every_example(stub):
    request = RegressionRequest()
    request.model_spec.name = "mean"
    examples = request.input.example_list_with_context
    examples.context.features.feature["x"].float_list.value.extend([1.0, 2.0, 3.0, 6.0])
    for _ in range(3):
        examples.examples.add()
    response = stub.Regress(request, timeout=60)
    assert [it.value for it in response.result.regressions] == [3.0] * 3


def test_tasks_are_answered_in_their_order(stub):
    # Its only output is a float: one class without a name, and one number.
    request = MultiInferenceRequest()
    for method in (REGRESS, CLASSIFY):
        task = request.tasks.add(method_name=method)
        task.model_spec.name = "mean"
    example = request.input.example_list.examples.add()
    example.features.feature["x"].float_list.value.extend([1.0, 2.0, 3.0, 6.0])
    regressed, classified = stub.MultiInference(request, timeout=60).results
    assert regressed.regression_result.regressions[0].value == 3.0
    assert classified.classification_result.classifications[0].classes[0].score == 3.0
    assert regressed.model_spec.name == classified.model_spec.name == "mean"


@pytest.mark.parametrize(
    ("model", "kind", "values", "sentence"),
    [
        ("digits", "float_list", [1.0], "has 1 elements, expected a row of shape \\[8,8\\]"),
        ("digits", "int64_list", [1] * 64, "is int64_list, but FP32 takes float_list"),
        ("mean", "float_list", [], "Missing feature: x in example 0"),
        ("nope", "float_list", [1.0], "Servable not found"),
    ],
)
def test_a_refusal_says_what_is_wrong(stub, model, kind, values, sentence):
    request = ClassificationRequest()
    request.model_spec.name = model
    example = request.input.example_list.examples.add()
    if values:
        name = "image" if model == "digits" else "x"
        getattr(example.features.feature[name], kind).value.extend(values)
    with pytest.raises(grpc.RpcError, match=sentence):
        stub.Classify(request, timeout=60)
