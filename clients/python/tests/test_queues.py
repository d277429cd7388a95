"""Cluster Serving's queues, and every kind of value that its users give."""

import json
import secrets
import threading
import time
from datetime import timedelta

import numpy as np
import pytest
from line import brokers

import millrace

DEADLINE_S = 120


@pytest.fixture
def queue_name():
    return f"queue-{secrets.token_hex(8)}"


@pytest.fixture
def queues(line, queue_name):
    """Makes both queues of a model."""
    made = []

    def make(model, **options):
        options = {"prefix": line.prefix, "name": queue_name, "model": model, **options}
        made.append(millrace.InputQueue(brokers(), **options))
        made.append(millrace.OutputQueue(brokers(), **options))
        return made[-2], made[-1]

    yield make
    for queue in made:
        queue.close()


def collect(output, count):
    results = {}
    deadline = time.monotonic() + DEADLINE_S
    while len(results) < count:
        assert time.monotonic() < deadline, f"{len(results)} of {count} came"
        results |= output.dequeue()
    return results


def test_the_snippet_of_the_slides_runs_as_printed(line, environment, tmp_path, monkeypatch):
    from PIL import Image

    (tmp_path / "path/to").mkdir(parents=True)
    Image.new("RGB", (4, 4), (90, 90, 90)).save(tmp_path / "path/to/image", format="PNG")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MILLRACE_MODEL", "slides")
    snippet = """
from millrace import InputQueue
import numpy as np
input_api = InputQueue()
t1 = np.array([1,2])
t2 = np.array([[1,2], [3,4]])
input_api.enqueue('my-instance', img={"path": 'path/to/image'}, tensor1=t1, tensor2=t2)
"""
    names = {}
    exec(snippet, names)
    with millrace.OutputQueue() as output:  # made after the instance was sent
        result = output.query("my-instance", timeout=DEADLINE_S)
    assert {name: value.item() for name, value in result.items()} == {
        "brightness": 90.0,
        "sum1": 3,
        "sum2": 10,
    }
    names["input_api"].close()


def test_a_script_that_ends_has_sent_everything(line, environment, queues):
    import subprocess
    import sys

    script = """
import millrace
queue = millrace.InputQueue(name=NAME, model="affine")
for i in range(2000):
    queue.enqueue(f"at-the-end-{i}", x=[i, 0, 0, 0])
"""
    _, output = queues("affine")
    script = script.replace("NAME", repr(output.name))
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env())
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    results = collect(output, 2000)
    assert all(results[f"at-the-end-{i}"][0] == 2 * i + 1 for i in range(2000))


def test_results_are_queried_by_id(queues):
    given, output = queues("affine")
    assert output.query("unknown") is None
    assert given.enqueue("one", x=np.ones(4))  # FP64: converted as Cluster Serving did
    assert output.query("one", timeout=DEADLINE_S).tolist() == [3, 3, 3, 3]
    assert output.query("one").tolist() == [3, 3, 3, 3]
    assert output.query_and_delete("one").tolist() == [3, 3, 3, 3]
    assert output.query_and_delete("one") is None
    given.enqueue("two", x=[1, 2, 3, 4])
    given.enqueue("three", x=[1, 2, 3, 4])
    assert collect(output, 2).keys() == {"two", "three"}
    assert output.dequeue() == {}


def test_queues_of_other_names_do_not_see_each_other(line, queues):
    given, output = queues("affine")
    other = millrace.OutputQueue(brokers(), prefix=line.prefix, name="another", model="affine")
    given.enqueue("mine", x=[1, 2, 3, 4])
    assert output.query("mine", timeout=DEADLINE_S) is not None
    assert other.dequeue() == {}
    other.close()


def test_results_of_another_process_are_found_later_and_no_older_ones(line, queues):
    given, output = queues("affine")
    given.enqueue("earlier", x=[1, 2, 3, 4])
    assert output.query("earlier", timeout=DEADLINE_S) is not None
    options = {"prefix": line.prefix, "name": given.name, "model": "affine"}
    with millrace.OutputQueue(brokers(), **options) as late:
        assert late.query("earlier") is not None
    with millrace.OutputQueue(brokers(), since=timedelta(0), **options) as later:
        assert later.query("earlier") is None


def test_a_failed_instance_has_its_reason(queues):
    given, output = queues("fails_if")
    given.enqueue("bad", x=[13, 0, 0, 0])
    with pytest.raises(millrace.PredictionFailed, match="out of data bounds"):
        output.query("bad", timeout=DEADLINE_S)
    failed = output.dequeue()["bad"]
    assert isinstance(failed, millrace.PredictionFailed)
    assert failed.code == "INVALID_ARGUMENT"


def test_what_does_not_fit_is_refused_at_the_call(queues):
    given, _ = queues("affine")
    with pytest.raises(millrace.WrongShape):
        given.enqueue("id", x=[1, 2])
    with pytest.raises(millrace.InputError, match="one instance"):
        given.enqueue("id", x=[[1, 2, 3, 4]])
    for id in ("", "a\nb", "x" * 513):
        with pytest.raises(millrace.InputError, match="id must be"):
            given.enqueue(id, x=[1, 2, 3, 4])
    assert given.enqueue("id", x=[1, 2, 3, 4])


def test_predict_takes_a_mapping_or_the_json_of_http(line, queues):
    given, _ = queues("affine")
    assert given.predict({"x": [1, 2, 3, 4]}, timeout=DEADLINE_S).tolist() == [3, 5, 7, 9]
    body = json.dumps({"instances": [{"x": [i, 0, 0, 0]} for i in range(3)]})
    assert [row[0] for row in given.predict(body)] == [1, 3, 5]
    with pytest.raises(millrace.TimedOut):
        millrace.InputQueue(brokers(), prefix=line.prefix, model="slow").predict(
            {"x": [1, 2, 3, 4]}, timeout=0.005
        )
    with millrace.InputQueue(frontend_url=line.url, model="affine") as over_http:
        assert over_http.predict({"x": [1, 2, 3, 4]}).tolist() == [3, 5, 7, 9]
        with pytest.raises(millrace.MillraceError, match="over Kafka only"):
            over_http.enqueue("id", x=[1, 2, 3, 4])


def test_sparse_instances_come_as_cluster_serving_gives_them(queues):
    given, output = queues("slides")
    rest = {"img": np.zeros((1, 1, 3)), "tensor1": [1]}
    triple = [np.array([[0, 1], [2, 2]]), np.array([5, 6]), np.array([3, 3])]
    mapping = {"shape": [3, 3], "data": [5, 6], "indices": [[0, 1], [2, 2]]}
    with pytest.raises(millrace.WrongType):  # decimals are no pixels
        given.enqueue("floats", tensor2=triple, **rest)
    rest["img"] = rest["img"].astype(np.uint8)
    given.enqueue("triple", tensor2=triple, **rest)
    given.enqueue("mapping", tensor2=mapping, **rest)
    results = collect(output, 2)
    assert {id: int(result["sum2"]) for id, result in results.items()} == {
        "triple": 11,
        "mapping": 11,
    }


def test_results_that_nobody_takes_are_bounded_and_not_thrown_away(line, queues):
    given, _ = queues("affine")
    options = {"prefix": line.prefix, "name": given.name, "model": "affine"}
    with millrace.OutputQueue(brokers(), max_bytes=20_000, **options) as small:
        for i in range(100):
            given.enqueue(str(i), x=[i, 0, 0, 0])
        with pytest.raises(millrace.Overloaded, match="dequeue"):
            while small.query("no such id", timeout=DEADLINE_S) is None:
                pass
        assert len(collect(small, 100)) == 100


def test_a_hundred_thousand_from_eight_threads_come_back_once(line, queues):
    given, output = queues("affine")
    failures = []

    def enqueue(thread):
        try:
            for i in range(thread, 100_000, 8):
                given.enqueue(str(i), x=np.array([i, 0, 0, 0], np.float32))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=enqueue, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    seen = {}
    deadline = time.monotonic() + DEADLINE_S
    while len(seen) < 100_000 and not failures:
        assert time.monotonic() < deadline, f"{len(seen)} of 100,000 came"
        for id, value in output.dequeue().items():
            assert id not in seen, f"{id} came twice"
            seen[id] = value[0]
    for thread in threads:
        thread.join()
    assert not failures
    assert all(seen[str(i)] == 2 * i + 1 for i in range(100_000))


def env():
    import os
    from pathlib import Path

    source = Path(millrace.__file__).parents[1]
    return {**os.environ, "PYTHONPATH": str(source)}
