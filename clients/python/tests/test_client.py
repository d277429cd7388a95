"""The client's own promises: light to import, bounded, and nobody is left waiting."""

import io
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import fastavro
import numpy as np
import pytest
from line import brokers

import millrace
from millrace import _exceptions
from millrace._avro import HEADER
from millrace._catalog import Catalog
from millrace._client import Wanted
from millrace._kafka import Place
from millrace._outstanding import Future, Outstanding
from millrace._prediction import read_result
from millrace._progress import Progress

SOURCE = Path(millrace.__file__).parents[1]
HEAVY = {
    "asyncio",
    "ssl",
    "pandas",
    "polars",
    "PIL",
    "scipy",
    "pyarrow",
    "confluent_kafka",
    "ml_dtypes",
}


def test_importing_is_quick_and_loads_nothing_heavy():
    script = f"""
import sys, time
began = time.process_time()
import millrace
used = time.process_time() - began
print(used, *({HEAVY!r} & set(sys.modules)))
"""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    seconds = []
    for _ in range(3):
        run = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        used, *loaded = run.stdout.split()
        assert not loaded
        seconds.append(float(used))
    assert min(seconds) < 0.3, seconds


def test_every_exception_is_documented_and_survives_pickling():
    kinds = [kind for kind in vars(_exceptions).values() if isinstance(kind, type)]
    for kind in kinds:
        assert kind.__name__ in millrace.__all__
        assert kind.__name__ in _exceptions.__doc__
        error = pickle.loads(pickle.dumps(kind("a sentence", code="ABORTED")))
        assert (type(error), error.sentence, error.code) == (kind, "a sentence", "ABORTED")
        assert str(error) == "ABORTED: a sentence"


def test_public_names_are_documented():
    for name in millrace.__all__:
        public = getattr(millrace, name)
        assert getattr(public, "__doc__", None), name
        for method, value in vars(public).items() if isinstance(public, type) else ():
            if not method.startswith("_") and callable(value):
                assert value.__doc__, f"{name}.{method}"


def test_a_request_waits_for_room_and_is_told_when_there_is_none(line):
    options = {"prefix": line.prefix, "timeout": 60, "max_in_flight": 4}
    with millrace.Client(brokers(), **options) as client:
        x = np.zeros(4, np.float32)
        most = 0
        for _ in range(40):  # more than fit: each waits for one before it
            client.submit("slow", x)
            most = max(most, client._line.outstanding.waiting())
        assert most <= 4
        assert sum(1 for _ in client.results()) == 40
        held = [client.submit("slow", x, timeout=30) for _ in range(4)]
        with pytest.raises(millrace.Overloaded, match="4 requests wait") as full:
            for _ in range(4):
                held.append(client.submit("slow", x, timeout=0.01))
        assert full.value.code == "RESOURCE_EXHAUSTED"


def test_answers_that_nobody_takes_are_bounded():
    outstanding = Outstanding(lambda raw, single: raw, max_in_flight=1000, max_bytes=100_000)
    futures = []
    while not outstanding.is_full() and len(futures) < 100:
        future = Future(outstanding, str(len(futures)), 9.0, time.monotonic() + 9, True)
        outstanding.lane(9.0)[future.id] = future
        outstanding.complete(future.id, "answer", 10_000)
        futures.append(future)
    assert 9 <= len(futures) <= 11
    with pytest.raises(millrace.Overloaded, match="answers wait to be taken"):
        outstanding.wait_for_room(time.monotonic() + 0.01, 0.01)
    assert futures[0].result() == "answer"
    assert futures[1].result() == "answer"
    assert not outstanding.is_full()
    assert len(list(outstanding.take_done())) == len(futures) - 2


def test_room_that_is_made_is_noticed_by_who_waits():
    outstanding = Outstanding(lambda raw, single: raw, max_in_flight=1, max_bytes=1 << 20)
    future = Future(outstanding, "a", 60.0, time.monotonic() + 60, True)
    outstanding.lane(60.0)["a"] = future
    waited = threading.Thread(
        target=outstanding.wait_for_room, args=(time.monotonic() + 60, 60), daemon=True
    )
    waited.start()
    outstanding.complete("a", "answer", 1)
    outstanding.wake()
    waited.join(30)
    assert not waited.is_alive()


def test_an_answer_of_somebody_else_or_too_late_is_skipped():
    outstanding = Outstanding(lambda raw, single: raw, max_in_flight=9, max_bytes=1 << 20)
    outstanding.complete("nobody's", "answer", 1)
    future = Future(outstanding, "a", 0.01, time.monotonic() + 0.01, True)
    outstanding.lane(0.01)["a"] = future
    with pytest.raises(millrace.TimedOut, match=r"not answered within 0.01 s"):
        future.result()
    outstanding.complete("a", "answer", 1)
    assert isinstance(future.exception(), millrace.TimedOut)
    assert outstanding.waiting() == 0


def test_a_child_process_is_told_to_make_its_own_client(line):
    with millrace.Client(brokers(), prefix=line.prefix) as client:
        context = multiprocessing.get_context("fork")
        reader, writer = context.Pipe(duplex=False)

        def ask():
            try:
                client.predict("echo", np.zeros(4, np.float32))
            except Exception as error:
                writer.send(error)

        child = context.Process(target=ask)
        child.start()
        assert reader.poll(60)
        error = reader.recv()
        child.join(60)
        assert isinstance(error, millrace.Closed)
        assert "after the fork" in error.sentence
        assert (client.predict("echo", np.ones(4, np.float32))["y"] == 1).all()


def test_a_record_that_never_arrives_is_not_silent(line):
    options = {"prefix": line.prefix, "delivery_timeout": 1.0, "timeout": 20}
    queue = millrace.InputQueue(brokers(), model="affine", **options)
    queue.enqueue("first", x=[1, 2, 3, 4])
    queue.flush()
    bound = queue.client._fresh("affine", Wanted())
    record, _ = bound.binder.record({"x": [1, 2, 3, 4]})
    nowhere = Place(f"{line.prefix}.requests.no-such-model")
    queue.client._line.send(nowhere, "lost", record, 20)
    with pytest.raises(millrace.Undelivered, match="1 records did not reach the broker") as lost:
        queue.close()
    assert lost.value.ids == ("lost",)
    assert lost.value.count == 1


def test_a_request_that_never_arrives_is_not_a_time_out(line):
    options = {"prefix": line.prefix, "delivery_timeout": 1.0}
    with millrace.Client(brokers(), **options) as client:
        bound = client._fresh("affine", Wanted())
        record = bound.binder.record({"x": [1, 2, 3, 4]})
        nowhere = Place(f"{line.prefix}.requests.no-such-model")
        future = client._line.submit(nowhere, record, 60.0)
        with pytest.raises(millrace.Undelivered, match="no-such-model") as lost:
            future.result()
        assert lost.value.ids == (future.id,)


def test_a_lease_that_ran_out_is_no_replica():
    vectors = Path(__file__).parents[3] / "schemas/vectors/avro"
    message = (vectors / "model-available.avro").read_bytes()
    clock = [1767225599.0]
    catalog = Catalog(lambda: clock[0])
    catalog.apply(b"ffnn/3/infer-0", message)
    assert catalog.find("ffnn").version == 3
    assert catalog.find("ffnn", label="canary").inputs[0].shape == (-1, 784)
    assert catalog.only() == "ffnn"
    for version, label in ((4, None), (None, "nightly")):
        with pytest.raises(millrace.ModelNotFound):
            catalog.find("ffnn", version, label)
    clock[0] += 2
    with pytest.raises(millrace.ModelUnavailable, match="no infer process"):
        catalog.find("ffnn")
    with pytest.raises(millrace.ModelUnavailable, match="no model is served"):
        catalog.only()
    catalog.apply(b"ffnn/3/infer-0", None)
    with pytest.raises(millrace.ModelNotFound):
        catalog.find("ffnn")
    for key, value in ((b"ffnn/3/other", message), (b"x", message), (b"ffnn/3/infer-0", b"?")):
        with pytest.raises(ValueError):
            catalog.apply(key, value)


def test_the_bulk_lane_is_refused_where_nobody_reads_it():
    catalog = _catalog(_said(1))
    catalog.check_lane("ffnn", "bulk")
    catalog = _catalog(_said(1, lanes=["interactive"]))
    catalog.check_lane("ffnn", "interactive")
    with pytest.raises(millrace.ModelUnavailable, match=r"under \[bulk\] in its model.toml"):
        catalog.check_lane("ffnn", "bulk")


def test_the_lane_says_the_topic_and_must_be_one(kafka):
    settings = kafka._line.settings
    assert settings.requests("m", "bulk") == f"{settings.requests('m')}.bulk"
    with pytest.raises(millrace.ModelUnavailable, match="nobody reads the bulk lane"):
        next(iter(kafka.map("affine", [[0, 0, 0, 0]], lane="bulk")))
    with pytest.raises(ValueError, match="expected 'interactive' or 'bulk'"):
        kafka.submit("affine", [0, 0, 0, 0], lane="slow")


def _said(version, replica="a", state="AVAILABLE", labels=(), reason="", lanes=None):
    """A record of the models topic; its lease outlives every test."""
    schemas = Path(__file__).parents[3] / "schemas"
    schema = fastavro.schema.load_schema(schemas / "model_descriptor.avsc")
    index = json.loads((schemas / "vectors/index.json").read_text())["avro"]
    content = next(it["content"] for it in index if it["name"] == "model-available")
    content |= {"version": version, "replica": replica, "state": state, "labels": list(labels)}
    content |= {"reason": reason, "lease_until_unix_ms": 2**62}
    content |= {} if lanes is None else {"lanes": lanes}
    datum = io.BytesIO(HEADER)
    datum.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(datum, schema, content)
    return f"ffnn/{version}/{replica}".encode(), datum.getvalue()


def _catalog(*said):
    catalog = Catalog()
    for key, value in said:
        catalog.apply(key, value)
    return catalog


def test_who_names_no_version_gets_the_stable_one():
    catalog = _catalog(_said(1, labels=["stable"]), _said(2, labels=["canary"]))
    assert catalog.find("ffnn").version == 1
    assert catalog.find("ffnn", label="canary").version == 2
    assert catalog.find("ffnn").weights_sha256 == "0123456789abcdef" * 4
    catalog.apply(*_said(1, labels=["stable"], state="LOADING"))
    with pytest.raises(millrace.ModelUnavailable, match="being loaded"):
        catalog.find("ffnn")
    catalog.apply(*_said(1))
    assert catalog.find("ffnn").version == 2


def test_while_replicas_disagree_a_label_is_what_most_of_them_serve():
    said = [_said(1, labels=["stable"]), _said(1, "b"), _said(2, "b", labels=["stable"])]
    catalog = _catalog(*said)
    assert catalog.find("ffnn", label="stable").version == catalog.find("ffnn").version == 1
    catalog.apply(*_said(2, "a"))
    assert catalog.find("ffnn", label="stable").version == catalog.find("ffnn").version == 2


@pytest.mark.parametrize("state", ["END", "UNLOADING"])
def test_a_version_that_ended_is_not_found_and_one_to_come_is_waited_for(state):
    catalog = _catalog(_said(1, state=state, reason="unloaded on request"), _said(2))
    with pytest.raises(millrace.ModelNotFound, match="no version 1; its versions: 2"):
        catalog.find("ffnn", 1)
    for coming in ("LOADING", "FAILED"):
        catalog.apply(*_said(1, state=coming))
        with pytest.raises(millrace.ModelUnavailable):
            catalog.find("ffnn", 1)
    catalog = _catalog(_said(1, state="END", reason="unloaded on request"))
    with pytest.raises(millrace.ModelNotFound, match="unloaded on request"):
        catalog.find("ffnn")
    catalog = _catalog(_said(1, state="UNLOADING"))
    with pytest.raises(millrace.ModelUnavailable):  # a replica that stops says so of everything
        catalog.find("ffnn")


def test_a_prediction_says_which_weights_answered():
    headers = [("mr-id", b"7"), ("mr-model", b"ffnn"), ("mr-version", b"3"), ("mr-status", b"OK")]
    record = (Path(__file__).parents[3] / "schemas/vectors/arrow/one-row-784.arrows").read_bytes()
    weights = b"0a" * 32
    prediction = read_result([*headers, ("mr-weights-sha256", weights)], record, single=False)
    assert (prediction.version, prediction.weights_sha256) == (3, weights.decode())
    assert read_result(headers, record, single=False).weights_sha256 == ""


def test_who_cannot_be_heard_is_believed_for_a_while():
    vectors = Path(__file__).parents[3] / "schemas/vectors/avro"
    clock = [1767225590.0]
    catalog = Catalog(lambda: clock[0])
    catalog.apply(b"ffnn/3/infer-0", (vectors / "model-available.avro").read_bytes())
    catalog.set_hearing(False)
    clock[0] += 1000  # the lease ran out meanwhile
    assert catalog.find("ffnn").version == 3
    catalog.set_hearing(True)
    assert catalog.find("ffnn").version == 3
    clock[0] += 60
    catalog.set_hearing(True)
    with pytest.raises(millrace.ModelUnavailable):
        catalog.find("ffnn")
    catalog.set_hearing(False)  # the lease had run out before this
    with pytest.raises(millrace.ModelUnavailable):
        catalog.find("ffnn")


def test_results_are_followed_from_any_time(kafka):
    asked = kafka.follow("echo", start="end", idle=20)
    future = kafka.submit("echo", np.full((1, 4), 77, np.float32))
    for result in asked:
        if result.id == future.id:
            break
    else:
        raise AssertionError("the result was not followed")
    asked.close()
    assert result.code == "OK"
    assert result.prediction()["y"].tolist() == [[77] * 4]
    assert result.source == future.result().source
    again = {it.id for it in kafka.follow("echo", start="beginning", idle=3)}
    assert future.id in again
    with pytest.raises(millrace.ConnectionFailed, match="is not there"):
        kafka.follow("no-such-model")


def test_progress_fits_a_terminal():
    for total in (None, 100, 10**12):
        with Progress("a-model-with-a-very-long-name" * 3, total, shown=False) as bar:
            bar.step()
            assert len(bar.line()) <= 79
