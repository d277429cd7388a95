"""A running line for the tests of a session, as the conformance tests start it."""

import os

import pytest
from line import Line, brokers

import millrace


@pytest.fixture(scope="session")
def line(tmp_path_factory):
    with Line(tmp_path_factory.mktemp("line")) as line:
        yield line


@pytest.fixture(scope="session", params=["kafka", "http"])
def client(request, line):
    """Both ways to the line."""
    target = brokers() if request.param == "kafka" else line.url
    with millrace.Client(target, prefix=line.prefix, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def kafka(line):
    with millrace.Client(brokers(), prefix=line.prefix, timeout=60) as client:
        yield client


@pytest.fixture
def environment(line, monkeypatch):
    """What a script finds that is told nothing else."""
    monkeypatch.setenv("MILLRACE_KAFKA__BROKERS", os.environ["MILLRACE_KAFKA__BROKERS"])
    monkeypatch.setenv("MILLRACE_TOPICS__PREFIX", line.prefix)
    monkeypatch.setenv("MILLRACE_URL", line.url)
