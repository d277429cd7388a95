"""Answers that are fetched later, by curl and by httpx: 202 and its Location, long poll, server-sent events."""

import json
import subprocess

import httpx
import pytest

BODY = {"instances": [[1.0, 2.0, 5.0, 0.25]]}
ANSWER = {"predictions": [[3.0, 5.0, 11.0, 1.5]]}
INFER = {"id": "forty-two", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 5, 0.25]}]}


@pytest.fixture(scope="module")
def client(line):
    with httpx.Client(base_url=line.url, timeout=60) as client:
        yield client


def accepted(client, path, body):
    """Where the answer will be."""
    answer = client.post(path, json=body, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    assert answer.headers["preference-applied"] == "respond-async"
    assert int(answer.headers["retry-after"]) >= 1
    return answer.headers["location"]


def events(stream):
    """Name and data of each event of a stream, as an EventSource reads them; comments are left out."""
    name, data = "message", []
    for line in stream:
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield name, "\n".join(data)
            name, data = "message", []


def test_curl_follows_the_location(line):
    def curl(*arguments):
        command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "60", *arguments]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout

    url = f"{line.url}/v1/models/affine:predict"
    head = curl("--include", "--header", "Prefer: respond-async", "--data", json.dumps(BODY), url)
    assert head.startswith("HTTP/1.1 202")
    location = next(it.split()[1] for it in head.splitlines() if it.lower().startswith("location:"))
    assert json.loads(curl(f"{line.url}{location}?wait=30s")) == ANSWER
    stream = curl("--no-buffer", "--header", "Accept: text/event-stream", f"{line.url}{location}")
    [(name, data)] = events(stream.splitlines())
    assert (name, json.loads(data)) == ("result", ANSWER)


def test_a_long_poll_and_a_second_look_get_the_answer(client):
    location = accepted(client, "/v1/models/affine:predict", BODY)
    for _ in range(2):
        answer = client.get(location, headers={"Prefer": "wait=30"})
        assert answer.status_code == 200, answer.text
        assert answer.json() == ANSWER
        assert answer.headers["cache-control"] == "private, no-store"


def test_events_come_while_the_model_works(client):
    location = accepted(client, "/v1/models/slow:predict", BODY)
    with client.stream("GET", location, headers={"Accept": "text/event-stream"}) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"] == "text/event-stream"
        received = list(events(stream.iter_lines()))
    assert [name for name, _ in received] == ["result"]
    assert json.loads(received[0][1]) == {"predictions": BODY["instances"]}


def test_a_failure_is_told_later_too(client):
    location = accepted(client, "/v1/models/fails_if:predict", {"instances": [[13.0, 0.0, 0.0, 0.0]]})
    answer = client.get(location, params={"wait": "30s"})
    assert answer.status_code >= 400
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("raw", [False, True])
def test_the_other_protocol_gets_its_own_answer(client, raw):
    wanted = [{"name": "y", "parameters": {"binary_data": raw}}]
    location = accepted(client, "/v2/models/affine/infer", INFER | {"outputs": wanted})
    answer = client.get(location, params={"wait": "30s"})
    assert answer.status_code == 200, answer.text
    if raw:
        length = int(answer.headers["inference-header-content-length"])
        head, tail = json.loads(answer.content[:length]), answer.content[length:]
        assert head["outputs"][0]["parameters"]["binary_data_size"] == len(tail) == 16
    else:
        head = answer.json()
        assert head["outputs"][0]["data"] == ANSWER["predictions"][0]
    assert head["id"] == "forty-two"


def test_what_was_never_asked_is_not_there(client):
    location = accepted(client, "/v1/models/affine:predict", BODY)
    path, _, last = location.rpartition("/")
    other = f"{path}/{'0' * 32}{last[32:]}"
    assert client.get(other).status_code == 404
    assert client.get(f"{path}/nonsense").status_code == 400
