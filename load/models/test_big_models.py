"""The models that are made when they are missing are the networks they are said to be. `make test` makes them first."""

import json
from pathlib import Path

import make_mlp
import make_resnet50
import numpy as np
import onnxruntime

GOLDEN = Path(__file__).parent / "resnet50" / "golden.json"


def load(file):
    assert file.exists(), f"{file} is missing: run `make test`, or make {file.relative_to(Path.cwd())}"
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def test_resnet50_answers_as_pytorch_does_with_the_same_weights():
    logits = np.array(json.loads(GOLDEN.read_text())["logits"], np.float32)
    given = load(make_resnet50.FILE).run(["logits"], {"image": make_resnet50.images(len(logits))})[0]
    np.testing.assert_allclose(given, logits, rtol=0, atol=1e-4)


def test_resnet50_has_the_parameters_of_resnet_50():
    trained = [array.size for name, array in make_resnet50.weights().items() if not name.endswith((".mean", ".variance"))]
    assert sum(trained) == 25_557_032


def test_mlp_gives_ten_probabilities_for_each_row():
    images = np.random.default_rng(0).random((7, make_mlp.WIDTHS[0]), dtype=np.float32)
    output = load(make_mlp.FILE).run(["output"], {"input": images})[0]
    assert output.shape == (7, 10)
    np.testing.assert_allclose(output.sum(axis=1), np.ones(7), atol=1e-5)
