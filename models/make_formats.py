"""Write the `digits` network in every format that is served, from the weights in `digits/1/model.onnx`.

Run it with `python models/make_formats.py` after `train_digits.py`; it writes the folders of `tests/formats` and checks
that TensorFlow, TFLite, OpenVINO and PyTorch answer the held-out images as ONNX Runtime does. Apart from `digits` itself:
models of several inputs and outputs and of several types for each engine, and models that cannot be loaded.
"""

import json
import os
import re
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import onnx
import onnxruntime
import openvino
import tensorflow as tf
from onnx import numpy_helper
from openvino import opset13 as ops
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

HERE = Path(__file__).parent
DIGITS = HERE / "digits" / "1" / "model.onnx"
FORMATS = HERE.parent / "tests" / "formats"
TOLERANCE = 1e-5


def main():
    images = np.array(json.loads((HERE / "digits" / "held_out.json").read_text())["images"], np.float32)
    expected = onnxruntime.InferenceSession(str(DIGITS)).run(["scores", "label"], {"image": images})
    weights = read_weights()
    module = Digits(weights)
    write_saved_model(module, folder("digits_saved_model"))
    write_frozen(module, folder("digits_frozen") / "frozen_inference_graph.pb")
    write_tflite(module, folder("digits_tflite") / "model.tflite")
    openvino.save_model(openvino.convert_model(str(DIGITS)), folder("digits_ir") / "model.xml", compress_to_fp16=False)
    check(images, expected)
    # OpenVINO finds these in another order and by other names than one would like.
    name_outputs("digits_tflite", ["scores", "label"])
    name_outputs("digits_frozen", ["label", "scores"])
    write_types(folder("types_ir") / "model.xml")
    write_broken()
    write_too_large()


def folder(name):
    """The version folder of a model, empty."""
    path = FORMATS / name / "1"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def read_weights():
    return {array.name: numpy_helper.to_array(array) for array in onnx.load(DIGITS).graph.initializer}


class Digits(tf.Module):
    """The network of train_digits.py, in TensorFlow's own order of dimensions."""

    def __init__(self, weights):
        super().__init__("digits")
        self.kernels = {
            name: tf.Variable(weights[f"{name}_weight"].transpose(2, 3, 1, 0), name=f"{name}_weight")
            for name in ("conv1", "conv2", "conv3")
        }
        self.biases = {name: tf.Variable(weights[f"{name}_bias"]) for name in ("conv1", "conv2", "conv3", "dense")}
        self.dense = tf.Variable(weights["dense_weight"])

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8], tf.float32, "image")])
    def __call__(self, image):
        hidden = tf.expand_dims(image, 3) * 0.0625
        hidden = self.convolve("conv1", hidden)
        hidden = self.convolve("conv2", hidden)
        hidden = tf.nn.max_pool2d(hidden, 2, 2, "VALID")
        hidden = self.convolve("conv3", hidden)
        # The dense layer counts channels before rows and columns.
        flat = tf.reshape(tf.transpose(hidden, [0, 3, 1, 2]), [-1, 512])
        scores = tf.nn.softmax(tf.matmul(flat, self.dense) + self.biases["dense"], name="scores")
        return {"scores": tf.identity(scores, "scores"), "label": tf.argmax(scores, 1, tf.int64, name="label")}

    def convolve(self, name, planes):
        return tf.nn.relu(tf.nn.conv2d(planes, self.kernels[name], 1, "SAME") + self.biases[name])


def write_saved_model(module, path):
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.__call__})
    (path / "fingerprint.pb").unlink()
    (path / "assets").rmdir()


def write_frozen(module, file):
    """One graph with the weights in it, and the names of its ends as Cluster Serving wants them."""
    frozen = convert_variables_to_constants_v2(module.__call__.get_concrete_function())
    graph = frozen.graph.as_graph_def()
    file.write_bytes(graph.SerializeToString(deterministic=True))
    names = {
        "input_names": [tensor.name for tensor in frozen.inputs],
        "output_names": [tensor.name for tensor in frozen.outputs],
    }
    (file.parent / "graph_meta.json").write_text(json.dumps(names) + "\n")


def write_tflite(module, file):
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.__call__.get_concrete_function()], module)
    file.write_bytes(converter.convert())


def name_outputs(name, order):
    """The `model.toml` that gives the inputs and outputs of a digits network their names."""
    tensors = {"image": ("FP32", [-1, 8, 8]), "scores": ("FP32", [-1, 10]), "label": ("INT64", [-1])}
    text = ["# Made by models/make_formats.py.\n"]
    for role, names in (("inputs", ["image"]), ("outputs", order)):
        for tensor in names:
            dtype, shape = tensors[tensor]
            text.append(f'[[{role}]]\nname = "{tensor}"\ndtype = "{dtype}"\nshape = {shape}\n')
    (FORMATS / name / "model.toml").write_text("\n".join(text))


def check(images, expected):
    """Every file, run by the framework that made it and by OpenVINO, on all held-out images."""
    saved = tf.saved_model.load(str(FORMATS / "digits_saved_model" / "1")).signatures["serving_default"]
    answer = saved(image=tf.constant(images))
    compare("digits_saved_model by TensorFlow", [answer["scores"].numpy(), answer["label"].numpy()], expected)
    core = openvino.Core()
    for name, file in {
        "digits_saved_model": "",
        "digits_frozen": "frozen_inference_graph.pb",
        "digits_tflite": "model.tflite",
        "digits_ir": "model.xml",
    }.items():
        compiled = core.compile_model(FORMATS / name / "1" / file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        given = [[sorted(port.get_names()), str(port.get_partial_shape())] for port in compiled.inputs + compiled.outputs]
        print(name, given)
        if compiled.inputs[0].get_partial_shape()[0].is_dynamic:
            outputs = list(compiled(images).values())
        else:
            rows = [list(compiled(images[row : row + 1]).values()) for row in range(len(images))]
            outputs = [np.concatenate(parts) for parts in zip(*rows, strict=True)]
        outputs.sort(key=lambda output: -output.ndim)
        compare(f"{name} by OpenVINO", outputs, expected)


def compare(what, given, expected):
    difference = np.abs(given[0] - expected[0]).max()
    assert difference < TOLERANCE, f"{what}: scores differ by {difference}"
    np.testing.assert_array_equal(given[1].reshape(-1), expected[1], err_msg=what)
    print(f"{what}: largest difference {difference:.1e}")


TYPES = ("boolean", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f16", "bf16", "f32", "f64")


def write_types(file):
    """Hands every input of every type back, so that a wrong conversion shows."""
    inputs = [ops.parameter([-1, -1], getattr(openvino.Type, kind), name=f"{kind}_in") for kind in TYPES]
    outputs = []
    for kind, given in zip(TYPES, inputs, strict=True):
        given.output(0).set_names({f"{kind}_in"})
        # Twice reversed: the engine must compute, not only hand back the same memory.
        shape = ops.shape_of(given, "i64")
        flat = ops.reshape(given, ops.constant([-1], openvino.Type.i64), False)
        back = ops.reshape(flat, shape, False)
        back.output(0).set_names({f"{kind}_out"})
        outputs.append(ops.result(back))
    openvino.save_model(openvino.Model(outputs, inputs, "types"), file, compress_to_fp16=False)


def write_broken():
    """For each engine files that it must refuse, with a sentence."""
    ir = FORMATS / "digits_ir" / "1"
    corrupt = folder("corrupt_ir")
    shutil.copy(ir / "model.bin", corrupt)
    (corrupt / "model.xml").write_text((ir / "model.xml").read_text()[:2000])
    opset = folder("opset_ir")
    shutil.copy(ir / "model.bin", opset)
    text, changed = re.subn(r'type="SoftMax" version="\w+"', 'type="SoftMax" version="opset99"', (ir / "model.xml").read_text())
    assert changed == 1
    (opset / "model.xml").write_text(text)
    weightless = folder("weightless_ir")
    shutil.copy(ir / "model.xml", weightless)
    for name, file in {"tflite": "model.tflite", "frozen": "frozen_inference_graph.pb"}.items():
        whole = (FORMATS / f"digits_{name}" / "1" / file).read_bytes()
        (folder(f"corrupt_{name}") / file).write_bytes(whole[: len(whole) // 2])
    onnx_file = onnx.load(DIGITS)
    onnx_file.opset_import[0].version = 99
    (folder("opset_onnx") / "model.onnx").write_bytes(onnx_file.SerializeToString(deterministic=True))


# Rows of floats that no computer has: 512 TiB, more than a process can address. Each dimension fits into 32 bits.
TOO_LARGE = """
<ir_version: 9, opset_import: ["": 20], producer_name: "millrace/models/make_formats.py">
too_large (float[batch, 4] x) => (float[batch, 4] y)
{
    axes = Constant <value_ints: ints = [2, 3]> ()
    shape = Constant <value_ints: ints = [1, 4, 1073741824, 32768]> ()
    deep = Unsqueeze (x, axes)
    all = Expand (deep, shape)
    sine = Sin (all)
    y = ReduceSum <keepdims = 0> (sine, axes)
}
"""


def write_too_large():
    model = onnx.parser.parse_model(TOO_LARGE)
    onnx.checker.check_model(model)
    file = folder("too_large_onnx") / "model.onnx"
    file.write_bytes(model.SerializeToString(deterministic=True))
    openvino.save_model(openvino.convert_model(str(file)), folder("too_large_ir") / "model.xml")


if __name__ == "__main__":
    main()
