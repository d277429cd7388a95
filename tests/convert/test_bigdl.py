"""What BigDL answered, ONNX Runtime answers with the converted model. Needs numpy, onnxruntime, pytest and the built command line."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

ROOT = Path(__file__).parents[2]
GOLDEN = sorted(it for it in (Path(__file__).parent / "bigdl" / "golden").iterdir())
# BigDL rounds the inputs of quantized layers to bytes, which the converted ones do not.
QUANTIZED = {"quantized": 3e-2, "quantized_linear": 3e-2}
# Networks whose files or first layers tell their inputs.
ZOO = "lenet5 lenet5_graph autoencoder autoencoder_graph resnet_cifar10 resnet_cifar10_shared simple_rnn lstm_text".split()
ZOO += "convolution_text vgg_narrow inception_v1_narrow inception_v2_narrow keras_lenet keras_text weights_beside".split()


def convert(folder, out, *arguments):
    """The report of `millrace models convert`, which wrote `out`."""
    program = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "millrace"
    command = [program, "--json", "models", "convert", folder, "--out", out, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def arrays(folder, name):
    files = sorted(folder.glob(f"{name}*.npy"), key=lambda it: int(it.stem.removeprefix(name)))
    return [np.load(file) for file in files]


def check(folder, model, batch=slice(None)):
    """All outputs are the golden ones, to a ten-thousandth of the largest number in them."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [it.name for it in session.get_inputs()]
    inputs = [it[batch] for it in arrays(folder, "input")]
    outputs = session.run(None, dict(zip(names, inputs, strict=True)))
    expected = [it[batch] for it in arrays(folder, "output")]
    tolerance = QUANTIZED.get(folder.name, 1e-4)
    for output, golden in zip(outputs, expected, strict=True):
        assert output.shape == golden.shape
        np.testing.assert_allclose(output, golden, rtol=0, atol=tolerance * np.abs(golden).max())
        assert np.ptp(golden) > 0, "a golden output of one number tells nothing"


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda it: it.name)
def test_a_converted_network_answers_as_bigdl_does(folder, tmp_path):
    shapes = [",".join(["N", *map(str, it.shape[1:])]) for it in arrays(folder, "input")]
    report = convert(folder, tmp_path / "model.onnx", *[part for it in shapes for part in ("--shape", it)])
    assert report["format"] == "big_dl" and report["layers"]
    check(folder, tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ZOO)
def test_the_model_zoo_is_converted_without_being_told_shapes(name, tmp_path):
    folder = next(it for it in GOLDEN if it.name == name)
    convert(folder, tmp_path / "model.onnx")
    check(folder, tmp_path / "model.onnx")
    check(folder, tmp_path / "model.onnx", slice(0, 1))
