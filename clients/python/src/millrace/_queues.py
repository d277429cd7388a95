"""Cluster Serving's two queues, with the same calls."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from millrace._client import Client, Wanted, default_model
from millrace._dtypes import Array
from millrace._exceptions import InputError, MillraceError, Overloaded
from millrace._follow import Result, ResultReader
from millrace._kafka import KafkaLine, Place
from millrace._prediction import Prediction

# Passed on by infer: tells the results of these queues from those of everybody else.
QUEUE_HEADER = "mr-queue"
DEFAULT_NAME = "serving_stream"
_MOST_ID_BYTES = 512

# What a query gives: the output, or all outputs by name if there are several, or why there is none.
Outcome = Array | dict[str, Array] | MillraceError


class InputQueue:
    """Puts instances into a line; their results are in the `OutputQueue` of the same name.

    Args:
        host: A broker, as `host` or `host:port`.
        port: Its port, where `host` has none.
        name: Of the queue.
        frontend_url: An ingest to ask over HTTP; then `predict` works and `enqueue` does not.
        model: Whose queue; by default MILLRACE_MODEL, or the only model that is served.
        options: The keyword arguments of `Client`. `casting` is "same_kind" here.

    Raises:
        ConnectionFailed: No broker, or no topics of a line.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        name: str = DEFAULT_NAME,
        frontend_url: str | None = None,
        *,
        model: str | None = None,
        **options: Any,
    ) -> None:
        target = frontend_url or _broker(host, port)
        self.client = Client(target, **{"casting": "same_kind", **options})
        self.name = name
        self._model = model
        self._headers = ((QUEUE_HEADER, name),)

    @property
    def model(self) -> str:
        """The model whose queue this is."""
        if self._model is None:
            self._model = default_model(self.client)
        return self._model

    def enqueue(self, id: str, /, **tensors: object) -> bool:
        """Sends one instance, and returns when there is room for it, before the broker has it.

        Args:
            id: Names the result in the `OutputQueue`; 1 to 512 bytes without control characters.
            tensors: The model's inputs of one instance: arrays, numbers, text, lists,
                `{"path": …}` or `{"b64": …}` for images, `[indices, values, shape]` for sparse ones.

        Returns:
            True.

        Raises:
            InputError: The instance does not fit the model's signature; nothing was sent.
            Undelivered: Instances of earlier calls did not reach the broker.
            Overloaded: There was no room in time.
        """
        if not 0 < len(id.encode()) <= _MOST_ID_BYTES or not id.isprintable():
            raise InputError("id must be 1 to 512 bytes of text without control characters")
        line = self.client._line
        if not isinstance(line, KafkaLine):
            sentence = "enqueue works over Kafka only: leave out frontend_url"
            raise MillraceError(sentence, code="UNIMPLEMENTED")
        bound = self.client._bound.get(self.model)
        if bound is None or time.monotonic() >= bound.fresh_until:
            bound = self.client._fresh(self.model, Wanted())
        record, single = bound.binder.record(tensors)
        if not single:
            raise InputError("enqueue takes one instance; leave out the dimension of rows")
        line.send(Place(bound.place.topic, self._headers), id, record, self.client._timeout)
        return True

    def predict(self, data: Mapping[str, object] | str, timeout: float | None = None) -> Outcome:
        """Asks for one instance and waits.

        Args:
            data: The inputs by name, or the JSON of `/predict` as text: then one outcome for each
                of its instances, in a list.
            timeout: Seconds to wait, all in all.

        Raises:
            MillraceError: As `Client.predict`.
        """
        if not isinstance(data, str):
            return _plain(self.client.predict(self.model, dict(data), timeout=timeout))
        try:
            instances = json.loads(data)["instances"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError('the text is not the JSON of {"instances": […]}') from error
        predictions = self.client.map(self.model, instances, timeout=timeout)
        return [_plain(prediction) for prediction in predictions]  # type: ignore[return-value]

    def flush(self, timeout: float | None = None) -> None:
        """Waits until the broker has every instance.

        Raises:
            Undelivered: Instances that did not reach the broker.
        """
        self.client.flush(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Waits until the broker has every instance, then ends. The end of a program flushes too.

        Raises:
            Undelivered: Instances that did not reach the broker.
        """
        self.client.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class OutputQueue:
    """The results of what an `InputQueue` of the same name was given, in any process.

    Results are read when a call asks for them. What was read and not taken is kept, up to
    `max_bytes`; nothing is thrown away for a newer result.

    Args:
        host: A broker, as `host` or `host:port`.
        port: Its port, where `host` has none.
        name: Of the queue.
        model: Whose results; by default MILLRACE_MODEL, or the only model that is served.
        since: How old results may be.
        max_bytes: Bytes of results that are kept.
        options: The keyword arguments of `Client`.

    Raises:
        ConnectionFailed: No broker, or no topics of a line.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        name: str = DEFAULT_NAME,
        *,
        model: str | None = None,
        since: timedelta = timedelta(hours=1),
        max_bytes: int = 256 << 20,
        **options: Any,
    ) -> None:
        self.name = name
        with Client(_broker(host, port), **options) as client:
            self.model = model or default_model(client)
            line = client._line
            assert isinstance(line, KafkaLine), "brokers were given"
            self._reader = ResultReader(line.settings, self.model, since)
            self._store = line.store
            self._patience = line.settings.connect_timeout
        self._results: dict[str, Result] = {}
        self._bytes, self._max_bytes = 0, max_bytes

    def query(self, id: str, timeout: float = 0.0) -> Array | dict[str, Array] | None:
        """The result of one instance; None if there is none yet. It stays in the queue.

        Args:
            id: What `enqueue` was given.
            timeout: Seconds to wait for it.

        Raises:
            PredictionFailed, TimedOut: The line answered with an error.
            Overloaded: Results that nobody took fill `max_bytes`: take them.
        """
        result = self._find(id, timeout)
        return None if result is None else _plain(result.prediction(single=True))

    def query_and_delete(self, id: str, timeout: float = 0.0) -> Array | dict[str, Array] | None:
        """The same, and the queue forgets it."""
        result = self._find(id, timeout)
        if result is None:
            return None
        del self._results[id]
        self._bytes -= _size(result)
        return _plain(result.prediction(single=True))

    def dequeue(self) -> dict[str, Outcome]:
        """All results that are there and were not taken yet, by id; the queue forgets them.

        A failed instance has its exception in place of arrays. If more is there than `max_bytes`,
        it is what was kept, and the next call goes on.
        """
        if self._bytes < self._max_bytes:
            self._read_to_end()
        results, self._results, self._bytes = self._results, {}, 0
        return {id: _outcome(result) for id, result in results.items()}

    def close(self) -> None:
        """Ends the connection."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _find(self, id: str, timeout: float) -> Result | None:
        if id not in self._results:
            self._check_room()
            self._read_to_end(until=id)
        deadline = time.monotonic() + timeout
        while id not in self._results and (left := deadline - time.monotonic()) > 0:
            self._check_room()
            self._keep(self._reader.read(min(left, 0.1)))
        return self._results.get(id)

    def _check_room(self) -> None:
        if self._bytes >= self._max_bytes:
            sentence = f"{len(self._results)} results of {self._bytes} bytes wait to be taken: "
            raise Overloaded(sentence + "call dequeue or query_and_delete")

    def _read_to_end(self, until: str | None = None) -> None:
        give_up = time.monotonic() + self._patience
        for messages in self._reader.read_to_end(give_up):
            self._keep(messages)
            if until in self._results or self._bytes >= self._max_bytes:
                return

    def _keep(self, messages: list[Any]) -> None:
        for message in messages:
            headers = dict(message.headers() or ())
            if headers.get(QUEUE_HEADER, b"").decode(errors="replace") != self.name:
                continue
            result = Result(message, self._store)
            # At least once: a result that comes again takes the place of the first.
            before = self._results.pop(result.id, None)
            self._bytes += _size(result) - (_size(before) if before else 0)
            self._results[result.id] = result


def _size(result: Result) -> int:
    return result.size_bytes + 1024


def _outcome(result: Result) -> Outcome:
    try:
        return _plain(result.prediction(single=True))
    except MillraceError as error:
        return error


def _plain(prediction: Prediction) -> Array | dict[str, Array]:
    """The output of a model that has one, else all of them."""
    return prediction.only if len(prediction) == 1 else dict(prediction)


def _broker(host: str | None, port: int | None) -> str | None:
    if host is None:
        return None if port is None else f"127.0.0.1:{port}"
    return host if port is None or ":" in host else f"{host}:{port}"
