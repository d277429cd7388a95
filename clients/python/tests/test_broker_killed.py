"""A broker that is killed in the middle: every item has an outcome, and what was sent is not lost."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import line as line_module
import numpy as np
import pytest
from line import ROOT, Line

import millrace

ITEMS = 6000
DEADLINE_S = 180


class Broker:
    """A broker of this test's own, which may be killed."""

    def __init__(self, folder: Path):
        self.folder = folder

    def start(self) -> str:
        return self._run(
            "start", "--port", "0" if not (self.folder / "data").exists() else self.port
        )

    def kill(self) -> None:
        pid = int((self.folder / "broker.pid").read_text())
        self.port = self._run("address").rpartition(":")[2]
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        self._run("stop")

    def _run(self, command: str, *arguments: str) -> str:
        run = [str(ROOT / "scripts/broker"), command, "--dir", str(self.folder), *arguments]
        return subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path)
    yield broker
    broker.stop()


@pytest.fixture
def line_of_its_own(broker, tmp_path_factory, monkeypatch):
    """A line that serves `affine` alone, on a broker of its own."""
    monkeypatch.setenv("MILLRACE_KAFKA__BROKERS", broker.start())
    monkeypatch.setattr(line_module, "MODELS", {"tests/models": ["affine"]})
    with Line(tmp_path_factory.mktemp("own-line")) as line:
        yield line


def test_a_killed_broker_costs_no_outcome_and_no_record(broker, line_of_its_own):
    killed = threading.Event()

    def items():
        for i in range(ITEMS):
            if i == ITEMS // 3:
                broker.kill()
                killed.set()
            yield np.full(4, i, np.float32)

    outcomes = []

    def ask():
        how = {"concurrency": 500, "errors": "return"}
        outcomes.extend(client.map("affine", items(), **how))

    prefix = line_of_its_own.prefix
    name = {"prefix": prefix, "model": "affine", "name": "outage"}
    with (
        millrace.Client(prefix=prefix, timeout=10) as client,
        millrace.InputQueue(**name) as queue,
        millrace.OutputQueue(**name) as output,
    ):
        queue.enqueue("before", x=[0, 0, 0, 0])
        asking = threading.Thread(target=ask)
        asking.start()
        assert killed.wait(DEADLINE_S)
        for i in range(1000):
            queue.enqueue(str(i), x=[i, 0, 0, 0])
        with pytest.raises(millrace.Undelivered, match="did not reach the broker"):
            queue.flush(0.2)
        broker.start()
        asking.join(DEADLINE_S)
        check(outcomes)
        goes_on(client)
        # What was enqueued while there was no broker arrives now that there is one.
        queue.flush(DEADLINE_S)
        results = {}
        deadline = time.monotonic() + DEADLINE_S
        while len(results) < 1001:
            assert time.monotonic() < deadline, f"{len(results)} came"
            results |= output.dequeue()
    assert all(results[str(i)][0] == 2 * i + 1 for i in range(1000))


def check(outcomes):
    """One outcome per item, in order, and every prediction that of its item."""
    assert len(outcomes) == ITEMS
    answered = 0
    for i, outcome in enumerate(outcomes):
        if isinstance(outcome, millrace.MillraceError):
            assert outcome.code in ("DEADLINE_EXCEEDED", "UNAVAILABLE", "RESOURCE_EXHAUSTED")
        else:
            assert outcome["y"].tolist() == [2 * i + 1] * 4
            answered += 1
    print(f"{answered} answered, {ITEMS - answered} exceptions")
    assert answered >= ITEMS // 3 - 500
    # What is asked once the broker is back is answered: a lease that nobody heard of is believed.
    assert isinstance(outcomes[-1], millrace.Prediction)


def goes_on(client):
    """The same client is answered once the broker is back."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            assert client.predict("affine", np.zeros(4, np.float32))["y"][0] == 1
            return
        except millrace.MillraceError:
            assert time.monotonic() < deadline
