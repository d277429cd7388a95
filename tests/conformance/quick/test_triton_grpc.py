"""Triton's gRPC client: tensors of every type, streams, and everything it asks about a server."""

import asyncio
import queue

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from ml_dtypes import bfloat16
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

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
PATIENCE_S = 60


@pytest.fixture(scope="module")
def client(line):
    with triton.InferenceServerClient(line.grpc) as client:
        yield client


def tensor(name, datatype, values):
    tensor = triton.InferInput(name, list(values.shape), datatype)
    tensor.set_data_from_numpy(values)
    return tensor


def floats(rows):
    return tensor("x", "FP32", np.arange(rows * 4, dtype=np.float32).reshape(rows, 4))


def same_bytes(given, expected):
    if expected.dtype == np.object_:
        return [text.encode() for text in expected.flatten()] == list(given.flatten())
    return given.tobytes() == expected.tobytes()


def test_every_type_comes_back_as_it_was_sent(client):
    inputs = [tensor(f"{name}_in", datatype, values) for name, (datatype, values) in TYPES.items()]
    result = client.infer("types", inputs)
    for name, (datatype, values) in TYPES.items():
        assert result.get_output(f"{name}_out").datatype == datatype
        given = result.as_numpy(f"{name}_out")
        assert given.shape == values.shape
        assert same_bytes(given, values), name


def test_ids_versions_and_outputs_are_as_asked(client):
    inputs = [tensor("image", "FP32", np.zeros((2, 8, 8), np.float32))]
    outputs = [triton.InferRequestedOutput("label")]
    result = client.infer("digits", inputs, model_version="1", outputs=outputs, request_id="forty-two")
    answer = result.get_response()
    assert (answer.id, answer.model_name, answer.model_version) == ("forty-two", "digits", "1")
    assert [output.name for output in answer.outputs] == ["label"]
    assert result.as_numpy("label").shape == (2,)


def test_compression_and_a_deadline_are_understood(client):
    result = client.infer("echo", [floats(100)], compression_algorithm="gzip", client_timeout=PATIENCE_S)
    assert result.as_numpy("y").shape == (100, 4)


def test_asynchronous_calls_are_answered(client):
    answers = queue.Queue()
    for _ in range(10):
        client.async_infer("echo", [floats(1)], lambda result, error: answers.put((result, error)))
    for _ in range(10):
        result, error = answers.get(timeout=PATIENCE_S)
        assert error is None and result.as_numpy("y").shape == (1, 4)


def test_a_stream_keeps_its_order_and_survives_an_error(client):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(50):
        client.async_stream_infer("echo", [floats(number + 1)], request_id=str(number))
    client.async_stream_infer("unknown", [floats(1)])
    client.async_stream_infer("echo", [floats(1)], request_id="last")
    for number in range(50):
        result, error = answers.get(timeout=PATIENCE_S)
        assert error is None
        assert result.get_response().id == str(number)
        assert result.as_numpy("y").shape == (number + 1, 4)
    _, error = answers.get(timeout=PATIENCE_S)
    assert "Servable not found" in str(error)
    result, error = answers.get(timeout=PATIENCE_S)
    assert error is None and result.get_response().id == "last"
    client.stop_stream()


def test_the_asyncio_client_is_answered(line):
    async def infer():
        async with triton_aio.InferenceServerClient(line.grpc) as client:
            assert await client.is_server_ready()
            return await client.infer("echo", [floats(2)])

    assert asyncio.run(infer()).as_numpy("y").shape == (2, 4)


def test_the_server_and_its_models_are_described(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("digits") and client.is_model_ready("digits", "1")
    assert client.get_server_metadata().name == "millrace"
    metadata = client.get_model_metadata("digits")
    assert [(it.name, it.datatype, list(it.shape)) for it in metadata.inputs] == [("image", "FP32", [-1, 8, 8])]
    config = client.get_model_config("digits").config
    assert (config.name, config.max_batch_size > 0, list(config.input[0].dims)) == ("digits", True, [8, 8])
    index = {model.name: model.state for model in client.get_model_repository_index().models}
    assert index["digits"] == "READY"
    statistics = client.get_inference_statistics("echo").model_stats[0]
    assert statistics.name == "echo" and statistics.inference_stats.success.count > 0


@pytest.mark.parametrize(
    "ask, code, sentence",
    [
        (lambda client: client.infer("unknown", [floats(1)]), "NOT_FOUND", "Servable not found"),
        (lambda client: client.infer("echo", [floats(1)], model_version="7"), "NOT_FOUND", "Specific(echo, 7)"),
        (lambda client: client.infer("echo", []), "INVALID_ARGUMENT", "missing input x"),
        (
            lambda client: client.infer("echo", [tensor("x", "FP32", np.zeros((1, 3), np.float32))]),
            "INVALID_ARGUMENT",
            "must be FP32[-1,4], got FP32[1,3]",
        ),
        (lambda client: client.get_model_metadata("unknown"), "NOT_FOUND", "Servable not found"),
        (lambda client: client.load_model("echo"), "PERMISSION_DENIED", "control.enabled"),
        (
            lambda client: client.register_system_shared_memory("a", "/a", 64),
            "UNIMPLEMENTED",
            "shared memory is not supported",
        ),
    ],
)
def test_a_refusal_has_its_code_and_a_sentence(client, ask, code, sentence):
    with pytest.raises(InferenceServerException) as refused:
        ask(client)
    assert refused.value.status() == f"StatusCode.{code}"
    assert sentence in refused.value.message()


def test_our_fields_are_theirs(line):
    """Every field of our messages has the number and the type that Triton's client knows."""
    ours = descriptors(line, "inference.GRPCInferenceService")
    checked = 0
    for message in ours.message_type:
        theirs = service_pb2.DESCRIPTOR.pool.FindMessageTypeByName(f"inference.{message.name}")
        checked += check_fields(message, theirs)
    assert checked > 100


def check_fields(ours, theirs):
    checked = 0
    for field in ours.field:
        their_field = theirs.fields_by_name.get(field.name)
        # The protocol has properties in a model's metadata, Triton does not.
        if their_field is None:
            assert (ours.name, field.name) == ("ModelMetadataResponse", "properties")
            continue
        assert (field.number, field.type) == (their_field.number, their_field.type), f"{ours.name}.{field.name}"
        checked += 1
    for nested in ours.nested_type:
        if nested.name == "PropertiesEntry":
            continue
        checked += check_fields(nested, theirs.nested_types_by_name[nested.name])
    return checked


def descriptors(line, symbol):
    """The file with a symbol, as the server's reflection gives it."""
    def reflection(message):
        # `list_services` and its like are fields of one message: 4 is file_containing_symbol.
        with grpc.insecure_channel(line.grpc) as channel:
            call = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
            return next(call(iter([message])))

    asked = bytes([0x22, len(symbol)]) + symbol.encode()
    found = descriptor_pb2.FileDescriptorProto()
    for file in files_of(reflection(asked)):
        found.ParseFromString(file)
        if found.package == "inference":
            return found
    raise AssertionError("reflection does not know the file")


def files_of(response):
    """The files in a ServerReflectionResponse: field 1 of its field 4."""
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="r.proto", package="r", syntax="proto3")
    files = file.message_type.add(name="Files")
    files.field.add(name="file", number=1, type=12, label=3)
    message = file.message_type.add(name="Response")
    message.field.add(name="files", number=4, type=11, label=1, type_name=".r.Files")
    pool.Add(file)
    response_class = message_factory.GetMessageClass(pool.FindMessageTypeByName("r.Response"))
    return response_class.FromString(response).files.file
