"""The benchmark's model is the network it is said to be. Needs numpy, onnxruntime and pytest."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

FILE = Path(__file__).parent / "ffnn" / "1" / "model.onnx"


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 128])
def test_ffnn_gives_ten_probabilities_for_each_row(rows):
    session = onnxruntime.InferenceSession(str(FILE), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(rows).random((rows, 784), dtype=np.float32)
    output = session.run(["output"], {"input": images})[0]
    assert output.shape == (rows, 10) and output.dtype == np.float32
    np.testing.assert_allclose(output.sum(axis=1), np.ones(rows), atol=1e-5)


def test_answer_of_a_row_does_not_depend_on_its_batch():
    session = onnxruntime.InferenceSession(str(FILE), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).random((33, 784), dtype=np.float32)
    whole = session.run(["output"], {"input": images})[0]
    single = np.concatenate([session.run(["output"], {"input": images[i : i + 1]})[0] for i in range(len(images))])
    np.testing.assert_allclose(whole, single, rtol=1e-5, atol=1e-7)
