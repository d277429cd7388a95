"""The probe models do what the tests take them to do. Needs numpy, onnx, onnxruntime and pytest."""

import ctypes
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

FOLDER = Path(__file__).parent
BATCHES = [1, 2, 7]
FACTOR_AND_PLUS = [("echo", 1, 0), ("affine", 2, 1), ("fails_if", 1, 0), ("slow", 1, 0)]
NUMPY_TYPES = {
    "bool": np.bool_,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "fp16": np.float16,
    "fp32": np.float32,
    "fp64": np.float64,
    "string": np.object_,
}
TYPES_IN_ORDER = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 fp16 bf16 fp32 fp64 string".split()


def load(name):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    file = FOLDER / name / "1" / "model.onnx"
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def rows_of_four(rows):
    return np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)


@pytest.mark.parametrize("rows", BATCHES)
@pytest.mark.parametrize(("name", "factor", "plus"), FACTOR_AND_PLUS)
def test_probe_answers_each_row(name, factor, plus, rows):
    session = load(name)
    assert [(s.name, s.type, s.shape) for s in session.get_inputs()] == [("x", "tensor(float)", ["batch", 4])]
    assert [(s.name, s.type, s.shape) for s in session.get_outputs()] == [("y", "tensor(float)", ["batch", 4])]
    x = rows_of_four(rows)
    np.testing.assert_array_equal(session.run(["y"], {"x": x})[0], factor * x + plus)


@pytest.mark.parametrize("rows", BATCHES)
def test_negate_takes_rows_of_any_length(rows):
    x = np.arange(rows * 5, dtype=np.float32).reshape(rows, 5)
    np.testing.assert_array_equal(load("negate").run(["y"], {"x": x})[0], -x)


@pytest.mark.parametrize("rows", BATCHES)
def test_mean_gives_one_number_for_each_row(rows):
    x = rows_of_four(rows)
    answer = load("mean").run(["y"], {"x": x})[0]
    np.testing.assert_allclose(answer, x.mean(axis=1, keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("rows", BATCHES)
def test_fails_if_fails_for_a_batch_with_a_thirteen_in_any_row(rows):
    session = load("fails_if")
    for unlucky in range(rows):
        x = rows_of_four(rows)
        x[unlucky, 0] = 13
        with pytest.raises(Exception, match="out of data bounds"):
            session.run(["y"], {"x": x})
    x = rows_of_four(rows)
    x[:, 1:] = 13
    np.testing.assert_array_equal(session.run(["y"], {"x": x})[0], x)


def test_slow_takes_as_long_for_many_rows_as_for_one():
    session = load("slow")

    def fastest(rows):
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            session.run(["y"], {"x": rows_of_four(rows)})
            times.append(time.perf_counter() - begin)
        return min(times)

    one, many = fastest(1), fastest(256)
    assert one > 0.005, f"{one} s is not slow"
    assert many < 10 * one, f"{many} s for 256 rows, {one} s for one"


def test_fixed_batch_takes_one_row_only():
    session = load("fixed_batch")
    assert session.get_inputs()[0].shape == [1, 4] and session.get_outputs()[0].shape == [1, 4]
    x = rows_of_four(1)
    np.testing.assert_array_equal(session.run(["y"], {"x": x})[0], 2 * x)
    with pytest.raises(Exception, match="invalid dimensions"):
        session.run(["y"], {"x": rows_of_four(2)})


def test_broken_cannot_be_loaded():
    with pytest.raises(Exception, match="INVALID_PROTOBUF"):
        load("broken")


@pytest.mark.parametrize("rows", BATCHES)
def test_types_gives_every_type_back(rows):
    session = load("types")
    given = {name: some_values(name, rows) for name in NUMPY_TYPES}
    feed = {f"{name}_in": array for name, array in given.items()} | {"bf16_in": bfloat16_value(rows)}
    assert [spec.name for spec in session.get_inputs()] == [f"{name}_in" for name in TYPES_IN_ORDER]
    assert [spec.name for spec in session.get_outputs()] == [f"{name}_out" for name in TYPES_IN_ORDER]
    outputs = session.run([f"{name}_out" for name in given], feed)
    for (name, array), output in zip(given.items(), outputs, strict=True):
        assert output.dtype == array.dtype, name
        np.testing.assert_array_equal(output, array, err_msg=name)


@pytest.mark.parametrize("rows", BATCHES)
def test_types_gives_bfloat16_back_bit_by_bit(rows):
    # Python's `run` cannot give bfloat16 out, and `run_with_ort_values` cannot take strings in, except as the output of
    # another model.
    given = bfloat16_value(rows)
    numeric = [name for name in NUMPY_TYPES if name != "string"]
    feed = {f"{name}_in": onnxruntime.OrtValue.ortvalue_from_numpy(some_values(name, rows)) for name in numeric}
    feed |= {"bf16_in": given, "string_in": one_string()}
    output = load("types").run_with_ort_values(["bf16_out"], feed)[0]
    assert output.data_type() == "tensor(bfloat16)" and output.shape() == [rows, 3]
    size_bytes = rows * 3 * 2
    assert ctypes.string_at(output.data_ptr(), size_bytes) == ctypes.string_at(given.data_ptr(), size_bytes)


def bfloat16_value(rows):
    """[rows, 3] bfloat16 values from -9 to 9: the upper halves of float32 values."""
    halves = np.linspace(-9, 9, rows * 3, dtype=np.float32).view(np.uint32) >> 16
    array = halves.astype(np.uint16).reshape(rows, 3)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, onnx.TensorProto.BFLOAT16)


def one_string():
    graph = 'g () => (string[1, 1] s) { s = Constant <value = string[1, 1] {"x"}> () }'
    text = '<ir_version: 9, opset_import: ["": 20]>' + graph
    session = onnxruntime.InferenceSession(onnx.parser.parse_model(text).SerializeToString())
    return session.run_with_ort_values(["s"], {})[0]


def some_values(name, rows):
    """[rows, 3] values of the type, with its extremes among them."""
    dtype = NUMPY_TYPES[name]
    if name == "string":
        return np.array([[f"row {row}", "", "ü 你好"] for row in range(rows)], dtype)
    if name == "bool":
        return np.arange(rows * 3).reshape(rows, 3) % 2 == 0
    limits = np.finfo(dtype) if name.startswith("fp") else np.iinfo(dtype)
    return np.array([[limits.min, limits.max, row] for row in range(rows)], dtype)


@pytest.mark.parametrize("rows", BATCHES)
def test_slides_takes_an_image_and_two_tensors(rows):
    image = np.random.default_rng(rows).integers(0, 256, (rows, 3, 5, 3), np.uint8)
    tensor = np.arange(rows * 4).reshape(rows, 2, 2)
    feed = {"img": image, "tensor1": tensor.reshape(rows, 4), "tensor2": tensor}
    brightness, sum1, sum2 = load("slides").run(["brightness", "sum1", "sum2"], feed)
    np.testing.assert_allclose(brightness, image.mean((1, 2, 3)), rtol=1e-6)
    np.testing.assert_array_equal(sum1, tensor.sum((1, 2)))
    np.testing.assert_array_equal(sum2, tensor.sum((1, 2)))


@pytest.mark.parametrize("rows", BATCHES)
def test_colours_gives_the_mean_of_each_channel_and_the_highest_score_to_the_strongest(rows):
    image = np.random.default_rng(rows).normal(size=(rows, 3, 4, 5)).astype(np.float32)
    image[:, 1] += 3
    mean, scores = load("colours").run(["mean", "scores"], {"image": image})
    np.testing.assert_allclose(mean, image.mean((2, 3)), atol=1e-6)
    assert scores.argmax(1).tolist() == [1] * rows
