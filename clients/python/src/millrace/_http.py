"""The line over HTTP: the Open Inference Protocol at an ingest, raw tensors, a few connections."""

from __future__ import annotations

import http.client
import json
import os
import queue
import random
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from millrace import _oip
from millrace._arrow_read import decode
from millrace._arrow_write import encode
from millrace._columns import Column
from millrace._exceptions import (
    BadAnswer,
    Closed,
    ConnectionFailed,
    MillraceError,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    PredictionFailed,
    TimedOut,
)
from millrace._inputs import Request
from millrace._outstanding import Future, Outstanding
from millrace._prediction import Prediction, outputs_of
from millrace._signature import Model

_ARROW = "application/vnd.apache.arrow.stream"
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How to reach an ingest.

    Attributes:
        url: Where it is, such as `http://localhost:8080`.
        headers: Sent with every request.
        tls: For https; by default the system's certificates.
        connections: Requests at once, each on a connection that is kept.
        connect_timeout: Seconds to connect.
        max_in_flight: Requests that may wait for answers.
        max_bytes: Bytes of requests that wait, and of answers not taken yet.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    connections: int = 16
    connect_timeout: float = 10.0
    max_in_flight: int = 10_000
    max_bytes: int = 256 << 20


@dataclass(slots=True)
class _Job:
    future: Future
    path: str
    body: bytes
    headers: dict[str, str]
    model: Model


class HttpLine:
    """Threads that each keep one connection to ingest; they start with the requests."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self.outstanding = Outstanding(_read, settings.max_in_flight, settings.max_bytes)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._queued_bytes = 0
        self._idle = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._random = random.Random(os.urandom(32)).getrandbits
        self._own = _Connection(settings)

    def models(self) -> list[Model]:
        """Every model that is served."""
        with self._lock:
            index = self._own.get("/models", self.settings.connect_timeout)
        served = {it["modelName"] for it in index if it["state"] == "AVAILABLE"}
        return [self.find(name, None) for name in sorted(served)]

    def find(self, name: str, version: int | None, label: str | None = None) -> Model:
        """The signature of a model.

        Raises:
            ModelNotFound, ModelUnavailable, ConnectionFailed: What ingest says.
        """
        quoted, timeout = quote(name, safe=""), self.settings.connect_timeout
        try:
            with self._lock:
                if version is None:
                    # The stable version or else the newest, or the one that has the label.
                    place = "" if label is None else f"/labels/{quote(label, safe='')}"
                    chosen = self._own.get(f"/v1/models/{quoted}{place}/metadata", timeout)
                    version = int(chosen["model_spec"]["version"])
                metadata = self._own.get(f"/v2/models/{quoted}/versions/{version}", timeout)
                exact = None
                if any(
                    it["datatype"] == "BYTES" for it in metadata["inputs"] + metadata["outputs"]
                ):
                    # There text and bytes are one type, here they are two.
                    exact = self._own.get(f"/models/{quoted}/versions/{version}", timeout)
        except PredictionFailed as error:
            kinds = {"NOT_FOUND": ModelNotFound, "UNAVAILABLE": ModelUnavailable}
            raise kinds.get(error.code, PredictionFailed)(
                error.sentence, code=error.code
            ) from error
        try:
            return _oip.model_of(metadata, version, exact)
        except (KeyError, TypeError, ValueError) as error:
            raise BadAnswer(f"the signature of {name} cannot be read: {error}") from error

    def submit(self, bound: tuple[Model, str], request: Request, timeout: float) -> Future:
        """Sends one request and returns the future of its answer; waits for room.

        Args:
            bound: The model, and the path after it: empty, `/versions/N` or `/labels/L`.
            request: What is asked.
            timeout: Seconds until the future is over.

        Raises:
            Overloaded, Closed: As over Kafka.
        """
        model, place = bound
        columns, single = request.columns, request.single
        now = time.monotonic()
        if self.outstanding.closed or self.outstanding.is_full():
            self.outstanding.wait_for_room(now + timeout, timeout)
        id = f"{self._random(128):032x}"
        future = Future(self.outstanding, id, timeout, now + timeout, single)
        job = _job(future, columns, model, place)
        with self._lock:
            if self._queued_bytes and self._queued_bytes + len(job.body) > self.settings.max_bytes:
                sentence = f"{self._queued_bytes} bytes of requests wait for a connection"
                raise Overloaded(sentence)
            self._queued_bytes += len(job.body)
            self._start_thread()
            self.outstanding.lane(timeout)[id] = future
        self._jobs.put(job)
        return future

    def flush(self, timeout: float) -> None:
        """Nothing waits here that is not a future."""

    def close(self, timeout: float) -> None:
        """Waits for the answers of what was sent, then ends the connections."""
        if self.outstanding.closed:
            return
        self.outstanding.closed = Closed("the client was closed")
        self.outstanding.wake()
        self.outstanding.wait_until_answered(time.monotonic() + timeout)
        self.outstanding.fail_all(Closed("the client was closed before the answer came"))
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(self.settings.connect_timeout)
        self._own.close()

    def _start_thread(self) -> None:
        waiting = self._jobs.qsize() + 1
        if self._idle >= waiting or len(self._threads) >= self.settings.connections:
            return
        thread = threading.Thread(target=self._work, name="millrace-http", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        connection = _Connection(self.settings)
        while True:
            with self._lock:
                self._idle += 1
            job = self._jobs.get()
            with self._lock:
                self._idle -= 1
            if job is None:
                return connection.close()
            self._answer(connection, job)

    def _answer(self, connection: _Connection, job: _Job) -> None:
        outcome: Any
        try:
            left = job.future._deadline - time.monotonic()
            if left <= 0:
                self.outstanding.expire_one(job.future)
                outcome = None
            else:
                job.headers["Request-Timeout"] = f"{left:.3f}"
                outcome = (connection.post(job.path, job.body, job.headers, left), job.model)
        except TimedOut:
            outcome = None
            self.outstanding.expire_one(job.future)
        except Exception as error:
            outcome = error
        if outcome is not None:
            size = len(outcome[0].body) if isinstance(outcome, tuple) else 0
            self.outstanding.complete(job.future.id, outcome, size)
        with self._lock:
            self._queued_bytes -= len(job.body)
        self.outstanding.wake()


@dataclass(frozen=True, slots=True)
class _Reply:
    body: bytes
    headers: Mapping[str, str]


def _job(future: Future, columns: Sequence[Column], model: Model, place: str) -> _Job:
    name = quote(model.name, safe="")
    headers = {"x-request-id": future.id}
    if _oip.can_carry(columns) and not place.startswith("/labels"):
        body, length = _oip.write_request(future.id, columns)
        headers |= {"Content-Type": "application/octet-stream", _oip.HEADER_LENGTH: str(length)}
        return _Job(future, f"/v2/models/{name}{place}/infer", body, headers, model)
    headers |= {"Content-Type": _ARROW, "Accept": _ARROW}
    return _Job(future, f"/v1/models/{name}{place}:predict", encode(list(columns)), headers, model)


def _read(raw: tuple[_Reply, Model], single: bool) -> Prediction:
    reply, model = raw
    id, weights = reply.headers.get("x-request-id", ""), reply.headers.get("mr-weights-sha256", "")
    # Where no version was asked for, infer may have chosen another one than that of the signature.
    version = int(reply.headers.get("mr-version", model.version))
    if reply.headers.get("content-type", "").startswith(_ARROW):
        columns: Sequence[Column] = decode(reply.body)
    else:
        length = int(reply.headers.get(_oip.HEADER_LENGTH.lower(), len(reply.body)))
        envelope, columns = _oip.read_answer(reply.body, length, model)
        id, version = envelope.get("id", id), int(envelope.get("model_version", version))
    return Prediction(outputs_of(columns, single), id, model.name, version, "", weights)


class _Connection:
    """One connection, made anew when it was closed."""

    def __init__(self, settings: HttpSettings) -> None:
        parts = urlsplit(settings.url)
        if not parts.hostname:
            raise ConnectionFailed(f"{settings.url!r} names no host")
        self._settings, self._parts = settings, parts
        self._base = parts.path.rstrip("/")
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, timeout: float) -> Any:
        reply = self._ask("GET", path, None, {}, timeout)
        try:
            return json.loads(reply.body)
        except ValueError as error:
            raise BadAnswer(f"{path} answered no JSON") from error

    def post(self, path: str, body: bytes, headers: dict[str, str], timeout: float) -> _Reply:
        return self._ask("POST", path, body, headers, timeout)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout: float
    ) -> _Reply:
        deadline = time.monotonic() + timeout
        while True:
            is_fresh = self._connection is None
            try:
                status, reply = self._once(method, path, body, headers, deadline)
                break
            except TimeoutError as error:
                self.close()
                raise TimedOut(f"no answer of {self._settings.url} in {timeout:g} s") from error
            except (OSError, http.client.HTTPException) as error:
                self.close()
                # A kept connection may have been closed by the server before we used it.
                kept = isinstance(error, (http.client.RemoteDisconnected, BrokenPipeError))
                if not is_fresh and kept and time.monotonic() < deadline:
                    continue
                sentence = f"cannot reach {self._settings.url}: {error or type(error).__name__}"
                raise ConnectionFailed(sentence) from error
        if status != 200:
            raise _failure(status, reply.body)
        return reply

    def _once(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], deadline: float
    ) -> tuple[int, _Reply]:
        left = max(0.001, deadline - time.monotonic())
        connection = self._connection or self._connect()
        # Ingest answers a time-out itself; a little later we would not wait any more.
        connection.timeout = left
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(left)
        connection.request(method, self._base + path, body, {**self._settings.headers, **headers})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return response.status, _Reply(response.read(), found)

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            tls = self._settings.tls or ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(host, port, context=tls)
        else:
            self._connection = http.client.HTTPConnection(host, port)
        return self._connection


def _failure(status: int, body: bytes) -> MillraceError:
    try:
        sentence = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        sentence = f"HTTP status {status}"
    code = _CODES.get(status, "INTERNAL")
    return TimedOut(sentence) if status == 504 else PredictionFailed(sentence, code=code)
