"""Predictions of the line, over Kafka and over HTTP alike."""

import asyncio
import json
import signal
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from line import ROOT, brokers

import millrace

TYPES = {
    "bool": np.array([[True, False], [False, True]]),
    "int8": np.array([[-128, 127], [0, 1]], np.int8),
    "int16": np.array([[-(2**15), 2**15 - 1], [0, 1]], np.int16),
    "int32": np.array([[-(2**31), 2**31 - 1], [0, 1]], np.int32),
    "int64": np.array([[-(2**63), 2**63 - 1], [2**53 + 1, 1]], np.int64),
    "uint8": np.array([[0, 255], [1, 2]], np.uint8),
    "uint16": np.array([[0, 2**16 - 1], [1, 2]], np.uint16),
    "uint32": np.array([[0, 2**32 - 1], [1, 2]], np.uint32),
    "uint64": np.array([[0, 2**64 - 1], [2**53 + 1, 2]], np.uint64),
    "fp16": np.array([[0.5, -2.0], [65504.0, 6e-8]], np.float16),
    "bf16": np.array([[0.5, -2.0], [256.0, 0.0]], ml_dtypes.bfloat16),
    "fp32": np.array([[0.1, -0.0], [3.4e38, 1e-45]], np.float32),
    "fp64": np.array([[0.1, -0.0], [1.7e308, 5e-324]], np.float64),
    "string": np.array([["", "plain"], ['ünï\n"q"', "a\0b"]], np.object_),
}
SCALARS = {f"{name}_in": values for name, values in TYPES.items()}
HELD_OUT = json.loads((ROOT / "models/digits/held_out.json").read_text())


def images(count):
    return np.array(HELD_OUT["images"][:count], np.float32)


def test_every_type_comes_back_as_it_was_sent(client):
    prediction = client.predict("types", SCALARS)
    assert list(prediction) == [f"{name}_out" for name in TYPES]
    for name, values in TYPES.items():
        given = prediction[f"{name}_out"]
        assert given.dtype == values.dtype, name
        assert given.shape == values.shape
        same = given.tolist() == values.tolist() if name == "string" else None
        assert given.tobytes() == values.tobytes() if same is None else same, name
    assert (prediction.model, prediction.version) == ("types", 1)
    assert len(prediction.id) >= 32  # 128 random bits at least


def test_one_instance_needs_no_dimension_of_rows(client):
    one = {name: values[1] for name, values in SCALARS.items()}
    prediction = client.predict("types", one)
    for name, values in TYPES.items():
        assert prediction[f"{name}_out"].tolist() == values[1].tolist()
    digit = client.predict("digits", image=images(1)[0])
    assert digit["scores"].shape == (10,)
    assert digit["label"].shape == ()
    assert digit["label"] == HELD_OUT["labels"][0]


def test_predictions_of_a_batch_are_right_and_in_order(client):
    prediction = client.predict("digits", image=images(360))
    assert prediction["scores"].shape == (360, 10)
    assert (prediction["label"] == HELD_OUT["labels"]).sum() >= 356
    assert (prediction["label"] == prediction["scores"].argmax(axis=1)).all()


def test_results_may_be_written_to(client):
    prediction = client.predict("affine", np.ones((2, 4), np.float32))
    prediction["y"] += 1
    assert (prediction.only == 4).all()


def test_the_nine_inputs_of_the_slides_are_answered(client):
    example = json.loads((ROOT / "models/everything/example.json").read_text())["instances"]
    expected = json.loads((ROOT / "models/everything/expected.json").read_text())["predictions"]
    together = {name: [row[name] for row in example] for name in example[0]}
    batch = client.predict("everything", together)
    for row, (instance, answer) in enumerate(zip(example, expected, strict=True)):
        alone = client.predict("everything", instance)
        for name, values in answer.items():
            for given in (batch[name][row], alone[name]):
                if np.asarray(given).dtype == np.object_ or isinstance(given, str):
                    assert np.asarray(given, object).tolist() == values
                else:
                    np.testing.assert_allclose(given, values, rtol=1e-6)


def test_arrays_of_any_memory_layout_are_taken(client):
    wide = np.arange(64, dtype=np.float32).reshape(8, 8)
    layouts = [
        wide[:, ::2],
        np.asfortranarray(wide[:, :4]),
        wide[::2, :4],
        wide[:, :4].astype(">f4"),
    ]
    for x in layouts:
        assert (client.predict("affine", x=x)["y"] == 2 * x + 1).all()


@pytest.mark.parametrize(
    "x",
    [
        [[1, 2.5, 3, True]],
        ((1, 2.5, 3, 1),),
        np.array([[1, 2.5, 3, 1]], np.float16),
        [np.array([1, 2.5, 3, 1], np.float32)],
    ],
)
def test_what_fits_safely_becomes_the_models_type(client, x):
    assert client.predict("echo", x=x)["y"].tolist() == [[1, 2.5, 3, 1]]


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        (
            {"x": np.zeros((2, 4))},
            millrace.WrongType,
            r"input x must be FP32\[-1,4\], got FP64\[2,4\]",
        ),
        (
            {"x": np.zeros((2, 5), "f4")},
            millrace.WrongShape,
            r"or FP32\[4\] for one .* got FP32\[2,5\]",
        ),
        ({"x": np.zeros((1, 2, 4), "f4")}, millrace.WrongShape, r"got FP32\[1,2,4\]"),
        ({"x": np.zeros((0, 4), "f4")}, millrace.WrongShape, "no rows"),
        ({"x": [["a"] * 4]}, millrace.WrongType, "got STRING"),
        ({"x": [[1e39, 0, 0, 0]]}, millrace.WrongType, "out of its range"),
        ({"x": [[1, 2, 3, 4], [1]]}, millrace.WrongShape, r"got FP32\[2,1\]"),
        ({"x": None}, millrace.WrongType, "must be FP32"),
        ({}, millrace.MissingInput, r"missing input x, expected FP32\[-1,4\]"),
        (
            {"x": np.zeros(4, "f4"), "y": 1},
            millrace.UnknownInput,
            "unknown input y; model echo has x",
        ),
    ],
)
def test_what_does_not_fit_fails_at_the_call(client, given, error, sentence):
    for call in (client.predict, client.submit):
        with pytest.raises(error, match=sentence) as raised:
            call("echo", given)
        assert raised.value.code == "INVALID_ARGUMENT"
        assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("int8_in", [[128, 0]], millrace.WrongType),
        ("int8_in", [[1.5, 0]], millrace.WrongType),
        ("uint8_in", [[-1, 0]], millrace.WrongType),
        ("bool_in", [[1, 0]], millrace.WrongType),
        ("int64_in", np.array([[1, 2]], np.uint64), millrace.WrongType),
        ("string_in", [[1, 2]], millrace.WrongType),
        ("string_in", [[b"1", b"2"]], millrace.WrongType),
        ("fp16_in", [[70000.0, 0]], millrace.WrongType),
    ],
)
def test_values_keep_their_meaning_or_are_refused(client, name, value, error):
    given = {it: values[:1] for it, values in SCALARS.items()} | {name: value}
    with pytest.raises(error, match=f"input {name} must be"):
        client.predict("types", given)


def test_rows_must_be_equally_many(client):
    given = {name: values[:1] for name, values in SCALARS.items()}
    with pytest.raises(millrace.WrongShape, match="input int8_in has 2 rows, expected 1"):
        client.predict("types", given | {"int8_in": SCALARS["int8_in"]})
    with pytest.raises(millrace.WrongShape, match="input int8_in is one instance"):
        client.predict("types", given | {"int8_in": SCALARS["int8_in"][0]})


def test_same_kind_casting_is_asked_for(line):
    with millrace.Client(brokers(), prefix=line.prefix, casting="same_kind") as client:
        assert client.predict("echo", x=np.full(4, 0.1))["y"].tolist() == [np.float32(0.1)] * 4
        with pytest.raises(millrace.WrongType, match="out of its range"):
            client.predict("echo", x=np.full(4, 1e300))
        ints = {name: values[:1] for name, values in SCALARS.items()}
        prediction = client.predict("types", ints | {"int8_in": np.array([[1, -2]])})
        assert prediction["int8_out"].tolist() == [[1, -2]]
        with pytest.raises(millrace.WrongType, match="out of its range"):
            client.predict("types", ints | {"int8_in": np.array([[200, 0]])})


def test_an_error_of_the_line_has_its_code_and_sentence(client):
    with pytest.raises(millrace.PredictionFailed, match="out of data bounds") as failed:
        client.predict("fails_if", x=np.full((1, 4), 13, np.float32))
    # Over HTTP only the status code is there to tell.
    assert failed.value.code == "INVALID_ARGUMENT"
    assert (client.predict("fails_if", x=np.zeros((1, 4), np.float32))["y"] == 0).all()


def test_unknown_models_and_versions_are_named(client):
    with pytest.raises(millrace.ModelNotFound, match="nope") as missing:
        client.predict("nope", x=1)
    assert missing.value.code == "NOT_FOUND"
    with pytest.raises(millrace.ModelNotFound, match="7"):
        client.predict("echo", x=np.zeros(4, np.float32), version=7)
    assert client.predict("echo", x=np.ones(4, np.float32), version=1).version == 1
    with pytest.raises(millrace.MillraceError) as unlabelled:
        client.predict("echo", x=np.zeros(4, np.float32), label="stable")
    assert unlabelled.value.code == "NOT_FOUND"


def test_a_time_out_means_that_time(line, client):
    x = np.zeros(4, np.float32)
    client.predict("slow", x)
    infer = line.processes["tests-models"]
    infer.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(millrace.TimedOut) as late:
            client.predict("slow", x, timeout=0.5)
        waited = time.monotonic() - began
        later = client.submit("slow", x)
        with pytest.raises(millrace.TimedOut, match="so far"):
            later.result(0.05)
    finally:
        infer.send_signal(signal.SIGCONT)
    assert 0.45 < waited < 0.5 + 1.0, waited  # a second for a busy machine
    assert isinstance(late.value, TimeoutError)
    assert late.value.code == "DEADLINE_EXCEEDED"
    assert (later.result()["y"] == 0).all()


def test_signatures_are_told(client):
    model = client.model("digits")
    assert str(model) == ("digits/1(image: FP32[-1,8,8]) -> scores: FP32[-1,10], label: INT64[-1]")
    kinds = {spec.name: spec.dtype for spec in client.model("everything").inputs}
    assert kinds["stringTensor2"] == "STRING"  # over HTTP too, where text and bytes are one
    assert {"digits", "echo", "types"} <= {model.name for model in client.models()}


def test_futures_come_as_they_get_done(client):
    asked = {client.submit("echo", np.full(4, i, np.float32)).id: i for i in range(50)}
    got = {future.id: future.result()["y"][0] for future in client.results()}
    assert got == asked
    chosen = [client.submit("echo", np.full(4, i, np.float32)) for i in range(20)]
    arrived = [future.result()["y"][0] for future in client.results(chosen)]
    assert sorted(arrived) == list(range(20))
    assert list(client.results()) == []


def test_map_keeps_the_order_and_every_failure(client):
    items = [np.full((1, 4), i % 20, np.float32) for i in range(100)]
    items[3] = np.zeros((1, 5), np.float32)
    outcomes = list(client.map("fails_if", items, errors="return", concurrency=16))
    assert len(outcomes) == 100
    for i, outcome in enumerate(outcomes):
        if i == 3:
            assert isinstance(outcome, millrace.WrongShape)
        elif i % 20 == 13:
            assert isinstance(outcome, millrace.PredictionFailed)
        else:
            assert outcome["y"][0, 0] == i % 20
    before = []
    with pytest.raises(millrace.WrongShape):
        before.extend(client.map("fails_if", iter(items)))
    assert [row["y"][0, 0] for row in before] == [0, 1, 2]


def test_map_takes_no_more_items_than_it_may(client):
    taken = []

    def items():
        for i in range(200):
            taken.append(i)
            yield np.full(4, i, np.float32)

    for given, prediction in enumerate(client.map("echo", items(), concurrency=8)):
        assert prediction["y"][0] == given
        assert len(taken) <= given + 9


def test_map_shows_its_progress(client, capsys):
    items = [np.zeros(4, np.float32)] * 30
    assert len(list(client.map("echo", items, progress=True))) == 30
    shown = capsys.readouterr().err
    assert "30/30" in shown
    assert "/s" in shown
    assert all(len(part) < 80 for part in shown.replace("\r", "\n").splitlines())


def test_asyncio_asks_the_same_way(line, client):
    is_http = "http" in repr(client)

    async def ask():
        target = line.url if is_http else brokers()
        async with millrace.AsyncClient(target, prefix=line.prefix, timeout=60) as asynchronous:
            rows = [np.full(4, i, np.float32) for i in range(100)]
            answers = await asyncio.gather(*(asynchronous.predict("echo", row) for row in rows))
            assert [answer["y"][0] for answer in answers] == list(range(100))
            mapped = [it["y"][0] async for it in asynchronous.map("echo", rows, concurrency=10)]
            assert mapped == list(range(100))
            futures = [await asynchronous.submit("affine", row) for row in rows]
            done = [future.result()["y"][0] async for future in asynchronous.results()]
            assert sorted(done) == [2 * i + 1 for i in range(100)]
            assert (await futures[7])["y"][0] == 15
            with pytest.raises(millrace.WrongShape):
                await asynchronous.predict("echo", np.zeros(5, np.float32))
            # `slow` needs 30 ms. Ingest may be the first to say that the time is over.
            over = (millrace.TimedOut, millrace.PredictionFailed) if is_http else millrace.TimedOut
            for _ in range(10):
                with pytest.raises(over):
                    await asynchronous.predict("slow", rows[0], timeout=0.005)
            assert "digits" in {model.name for model in await asynchronous.models()}
            return (await asynchronous.model("echo")).version

    assert asyncio.run(ask()) == 1


def test_a_closed_client_says_so(line, client):
    target = line.url if "http" in repr(client) else brokers()
    other = millrace.Client(target, prefix=line.prefix, timeout=60)
    futures = [other.submit("echo", np.full(4, i, np.float32)) for i in range(200)]
    other.close()
    assert [future.result()["y"][0] for future in futures] == list(range(200))
    with pytest.raises(millrace.Closed):
        other.predict("echo", np.zeros(4, np.float32))
    other.close()


def test_a_line_that_is_not_there_is_said_at_once(line):
    with pytest.raises(millrace.ConnectionFailed, match="127.0.0.1:1"):
        millrace.Client("127.0.0.1:1", connect_timeout=1)
    with pytest.raises(millrace.ConnectionFailed, match="no-such-prefix.replies is not there"):
        millrace.Client(brokers(), prefix="no-such-prefix")
    client = millrace.Client("http://127.0.0.1:1")
    with pytest.raises(millrace.ConnectionFailed, match="cannot reach http://127.0.0.1:1"):
        client.predict("digits", image=np.zeros((8, 8), np.float32))


def test_paths_of_images_are_read(client, tmp_path):
    from PIL import Image

    pixels = np.random.default_rng(3).integers(0, 256, (4, 6, 3), np.uint8)
    path = tmp_path / "tile"
    Image.fromarray(pixels).save(path, format="PNG")
    rest = {"tensor1": np.array([1, 2]), "tensor2": np.array([[1, 2], [3, 4]])}
    forms = [pixels, path, {"path": str(path)}, path.read_bytes(), Image.open(path)]
    for form in forms:
        prediction = client.predict("slides", {"img": form, **rest})
        np.testing.assert_allclose(prediction["brightness"], pixels.mean(), rtol=1e-6)
        assert (prediction["sum1"], prediction["sum2"]) == (3, 10)
    two = {"img": [path, Image.open(path)], "tensor1": [[1], [2]], "tensor2": [[[1]], [[2]]]}
    assert client.predict("slides", two)["sum1"].tolist() == [1, 2]
    with pytest.raises(millrace.InputError, match="input img cannot be read"):
        client.predict("slides", {"img": Path("no/such/file"), **rest})
    with pytest.raises(millrace.InputError, match="no image"):
        client.predict("slides", {"img": b"text", **rest})


def test_rows_of_differing_shapes_and_sparse_ones_are_answered(client):
    tensors = {
        "img": np.zeros((2, 1, 1, 3), np.uint8),
        "tensor1": [[1, 2, 3], [4]],
        "tensor2": [
            millrace.Sparse([[0, 1], [4, 4]], [7, 8], (5, 5)),
            millrace.Sparse([], [], (1, 1)),
        ],
    }
    prediction = client.predict("slides", tensors)
    assert prediction["sum1"].tolist() == [6, 4]
    assert prediction["sum2"].tolist() == [15, 0]
