"""What BigDL answered, ONNX Runtime answers with the converted model."""

from pathlib import Path

import numpy as np
import pytest
from converter import RELATIVE, Refused, assert_near, convert, session

GOLDEN = sorted((Path(__file__).parent / "bigdl" / "golden").iterdir())
# BigDL rounds the inputs of quantized layers to bytes, which the converted ones do not.
RELATIVE_OF = {"quantized": 0.3, "quantized_linear": 0.3}
# Networks whose files or first layers tell their inputs.
ZOO = "lenet5 lenet5_graph autoencoder autoencoder_graph resnet_cifar10 resnet_cifar10_shared simple_rnn lstm_text".split()
ZOO += "convolution_text vgg_narrow inception_v1_narrow inception_v2_narrow keras_lenet keras_text weights_beside".split()


def arrays(folder, name):
    files = sorted(folder.glob(f"{name}*.npy"), key=lambda it: int(it.stem.removeprefix(name)))
    return [np.load(file) for file in files]


def check(folder, model, rows=slice(None)):
    made = session(model)
    names = [it.name for it in made.get_inputs()]
    inputs = [it[rows] for it in arrays(folder, "input")]
    outputs = made.run(None, dict(zip(names, inputs, strict=True)))
    for output, golden in zip(outputs, arrays(folder, "output"), strict=True):
        assert np.ptp(golden) > 0, "a golden output of one number tells nothing"
        assert_near(output, golden[rows], RELATIVE_OF.get(folder.name, RELATIVE))


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda it: it.name)
def test_a_converted_network_answers_as_bigdl_does(folder, tmp_path):
    shapes = [",".join(["N", *map(str, it.shape[1:])]) for it in arrays(folder, "input")]
    report = convert(folder, tmp_path / "model.onnx", shapes)
    assert report["format"] == "big_dl" and report["layers"]
    check(folder, tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ZOO)
def test_the_model_zoo_is_converted_without_being_told_shapes(name, tmp_path):
    folder = next(it for it in GOLDEN if it.name == name)
    convert(folder, tmp_path / "model.onnx")
    check(folder, tmp_path / "model.onnx")
    check(folder, tmp_path / "model.onnx", slice(0, 1))


def test_a_network_that_takes_anything_asks_for_shapes(tmp_path):
    folder = next(it for it in GOLDEN if it.name == "function_tanh")
    with pytest.raises(Refused, match="--shape N,3,224,224"):
        convert(folder, tmp_path / "model.onnx")
