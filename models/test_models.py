"""The committed models do what README.md says of them. Needs numpy, onnxruntime and pytest."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

FOLDER = Path(__file__).parent
NUMPY_TYPES = {"tensor(int32)": np.int32, "tensor(float)": np.float32, "tensor(string)": np.object_}


def load(name):
    return onnxruntime.InferenceSession(str(FOLDER / name / "1" / "model.onnx"), providers=["CPUExecutionProvider"])


def read_json(path):
    return json.loads((FOLDER / path).read_text(encoding="utf-8"))


def signature(specs):
    """Names, types and shapes, with each dynamic dimension as its name."""
    return [(spec.name, spec.type, spec.shape) for spec in specs]


# digits


@pytest.fixture(scope="module")
def digits():
    held_out = read_json("digits/held_out.json")
    return load("digits"), np.array(held_out["images"], np.float32), np.array(held_out["labels"])


def test_digits_has_the_documented_signature(digits):
    session, _, _ = digits
    assert signature(session.get_inputs()) == [("image", "tensor(float)", ["batch", 8, 8])]
    assert signature(session.get_outputs()) == [
        ("scores", "tensor(float)", ["batch", 10]),
        ("label", "tensor(int64)", ["batch"]),
    ]


def test_digits_names_357_of_its_360_held_out_images(digits):
    session, images, labels = digits
    assert images.shape == (360, 8, 8) and images.min() == 0 and images.max() == 16
    predicted = session.run(["label"], {"image": images})[0]
    assert int((predicted == labels).sum()) == 357


def test_digits_scores_are_probabilities_and_label_is_the_largest(digits):
    session, images, _ = digits
    scores, label = session.run(["scores", "label"], {"image": images})
    np.testing.assert_allclose(scores.sum(axis=1), np.ones(len(images)), atol=1e-5)
    np.testing.assert_array_equal(scores.argmax(axis=1), label)


@pytest.mark.parametrize("rows", [1, 2, 7, 64])
def test_digits_answers_a_row_alike_in_every_batch(digits, rows):
    session, images, _ = digits
    whole = session.run(["scores"], {"image": images})[0]
    parts = [session.run(["scores"], {"image": images[i : i + rows]})[0] for i in range(0, len(images), rows)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=0, atol=1e-6)


# everything


@pytest.fixture(scope="module")
def everything():
    return load("everything")


def answer(session, instances):
    """Predictions in row format: one dictionary of arrays and scalars per instance."""
    feed = {
        spec.name: np.array([instance[spec.name] for instance in instances], NUMPY_TYPES[spec.type])
        for spec in session.get_inputs()
    }
    names = [spec.name for spec in session.get_outputs()]
    outputs = session.run(names, feed)
    return [{name: output[row] for name, output in zip(names, outputs, strict=True)} for row in range(len(instances))]


def assert_same(given, expected):
    assert given.keys() == expected.keys()
    for name, value in expected.items():
        if np.asarray(given[name]).dtype == np.float32:
            np.testing.assert_allclose(given[name], np.array(value, np.float32), rtol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(given[name], value, err_msg=name)


def by_hand(instance):
    """What the outputs mean, in numpy."""
    ints = np.array(instance["intTensor"], np.int64)
    floats = np.array(instance["floatTensor"], np.float32)
    strings = np.array(instance["stringTensor"], np.object_)
    ints2 = np.array(instance["intTensor2"], np.int32)
    floats2 = np.array(instance["floatTensor2"], np.float32)
    strings2 = np.array(instance["stringTensor2"], np.object_)
    return {
        "intScalar_plus_one": instance["intScalar"] + 1,
        "floatScalar_doubled": np.float32(instance["floatScalar"]) * 2,
        "stringScalar_same": instance["stringScalar"],
        "intTensor_sum": ints.sum(),
        "intTensor_count": ints.size,
        "floatTensor_sum": floats.sum(dtype=np.float64),
        "floatTensor_doubled": floats * 2,
        "stringTensor_reversed": strings[::-1],
        "stringTensor_count": strings.size,
        "intTensor2_sum": ints2.sum(dtype=np.int64),
        "intTensor2_transposed": ints2.T,
        "floatTensor2_sum": floats2.sum(dtype=np.float64),
        "floatTensor2_count": floats2.size,
        "stringTensor2_greeted": "hello " + strings2,
        "stringTensor2_transposed": strings2.transpose(2, 1, 0),
        "stringTensor2_count": strings2.size,
    }


def random_instance(seed):
    random = np.random.default_rng(seed)
    return {
        "intScalar": int(random.integers(-1000, 1000)),
        "floatScalar": float(random.random()),
        "stringScalar": f"sentence {seed}",
        "intTensor": random.integers(-(2**31), 2**31, 10).tolist(),
        "floatTensor": random.random(10).tolist(),
        "stringTensor": [f"word {seed}.{i}" for i in range(3)],
        "intTensor2": random.integers(-9, 9, (3, 2)).tolist(),
        "floatTensor2": random.random((2, 2, 2)).tolist(),
        "stringTensor2": [[[f"{seed} {i}{j}{k}" for k in range(3)] for j in range(4)] for i in range(2)],
    }


def test_everything_has_nine_inputs_of_ranks_1_to_4(everything):
    assert signature(everything.get_inputs()) == [
        ("intScalar", "tensor(int32)", ["batch"]),
        ("floatScalar", "tensor(float)", ["batch"]),
        ("stringScalar", "tensor(string)", ["batch"]),
        ("intTensor", "tensor(int32)", ["batch", "ints"]),
        ("floatTensor", "tensor(float)", ["batch", "floats"]),
        ("stringTensor", "tensor(string)", ["batch", "strings"]),
        ("intTensor2", "tensor(int32)", ["batch", "int_rows", "int_columns"]),
        ("floatTensor2", "tensor(float)", ["batch", "float_planes", "float_rows", "float_columns"]),
        ("stringTensor2", "tensor(string)", ["batch", "string_planes", "string_rows", "string_columns"]),
    ]


def test_everything_answers_its_example_with_the_expected_predictions(everything):
    instances = read_json("everything/example.json")["instances"]
    expected = read_json("everything/expected.json")["predictions"]
    assert len(instances) == len(expected) == 2
    for given, wanted in zip(answer(everything, instances), expected, strict=True):
        assert_same(given, wanted)


def test_expected_predictions_of_the_example_are_right():
    instances = read_json("everything/example.json")["instances"]
    expected = read_json("everything/expected.json")["predictions"]
    for instance, wanted in zip(instances, expected, strict=True):
        computed = by_hand(instance)
        assert computed.keys() == wanted.keys()
        for name, value in computed.items():
            if isinstance(np.asarray(value).flat[0], (float, np.floating)):
                np.testing.assert_allclose(wanted[name], value, rtol=1e-6, err_msg=name)
            else:
                np.testing.assert_array_equal(np.array(wanted[name]), value, err_msg=name)


@pytest.mark.parametrize("rows", [1, 2, 7, 33])
def test_everything_keeps_the_rows_of_a_mixed_batch_apart(everything, rows):
    instances = [random_instance(seed) for seed in range(rows)]
    for instance, given in zip(instances, answer(everything, instances), strict=True):
        assert_same(given, by_hand(instance))


def test_everything_takes_empty_dimensions(everything):
    instance = random_instance(0) | {"intTensor": [], "floatTensor": [], "stringTensor": [], "intTensor2": [[], [], []]}
    given = answer(everything, [instance, instance])[1]
    assert (given["intTensor_sum"], given["intTensor_count"], given["floatTensor_sum"]) == (0, 0, 0.0)
    assert (given["stringTensor_count"], given["stringTensor_reversed"].shape) == (0, (0,))
    assert (given["intTensor2_sum"], given["intTensor2_transposed"].shape) == (0, (0, 3))
