"""The results of a model as a stream: all partitions of its results topic."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from millrace._claims import Store
from millrace._exceptions import ConnectionFailed
from millrace._prediction import Headers, Prediction, read_headers, read_result
from millrace._settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

Start = Literal["end", "beginning"] | datetime | timedelta
_BATCH = 500


class Result:
    """One record of a results topic.

    Attributes:
        id: The id of the request.
        model: The model that was asked.
        version: The version that answered.
        code: `OK`, or the name of a gRPC status code.
        sentence: Why there is no prediction; empty if there is one.
        source: The request's place, `topic/partition/offset`.
        key: The key of the request's record, if it had one.
        headers: All headers, in their order.
        partition: The result's own partition.
        offset: The result's own offset.
        time: When the broker took the result.
    """

    def __init__(self, message: Message, store: Store | None = None) -> None:
        self._store = store
        self.headers: Headers = message.headers()  # type: ignore[assignment]
        outcome = read_headers(self.headers)
        self.id, self.model, self.version = outcome.id, outcome.model, outcome.version
        self.code, self.sentence, self.source = outcome.status, outcome.error, outcome.source
        self.key: bytes | None = message.key()
        self.partition = message.partition() or 0
        self.offset = message.offset() or 0
        self.time = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
        self._value: bytes | None = message.value()

    @property
    def size_bytes(self) -> int:
        """Bytes of the record's value."""
        return len(self._value or b"")

    def prediction(self, *, single: bool = False) -> Prediction:
        """The outputs, `[rows, …]`.

        Args:
            single: The request held one instance: leave out its dimension of rows.

        Raises:
            PredictionFailed, TimedOut: The line answered with an error.
            BadAnswer: The record cannot be read.
        """
        return read_result(self.headers, self._value, single, self._store)

    def __repr__(self) -> str:
        return f"<millrace.Result {self.id} {self.model}/{self.version} {self.code}>"


class ResultReader:
    """Reads the results of one model from where it is told, with no group.

    Raises:
        ConnectionFailed: The topic is not there or cannot be read.
    """

    def __init__(self, settings: Settings, model: str, start: Start) -> None:
        import confluent_kafka as kafka

        self._topic, self._timeout = settings.results(model), settings.connect_timeout
        self._eof = kafka.KafkaError._PARTITION_EOF
        self._trouble = ""
        options = {
            **settings.consumer(),
            "error_cb": self._on_error,
            "auto.offset.reset": "earliest",
        }
        self._consumer: Consumer = kafka.Consumer(options)
        try:
            # Of each partition, the next record.
            self._positions = self._find(start)
            places = [kafka.TopicPartition(self._topic, *it) for it in self._positions.items()]
            self._consumer.assign(places)
        except kafka.KafkaException as error:
            self._consumer.close()
            sentence = f"cannot read {self._topic} at {settings.brokers}: {error.args[0]}"
            raise ConnectionFailed(f"{sentence} {self._trouble}".rstrip()) from error
        except ConnectionFailed:
            self._consumer.close()
            raise

    def read(self, wait_s: float) -> list[Message]:
        """The next records; empty if none came in `wait_s` seconds."""
        first = self._consumer.poll(wait_s)
        if first is None:
            return []
        return [it for it in (first, *self._consumer.consume(_BATCH, 0)) if self._takes(it)]

    def read_to_end(self, give_up: float) -> Iterator[list[Message]]:
        """All records that are there now; ends early when the time `give_up` has come."""
        ends = {at: self._bounds(at)[1] for at in self._positions}
        while any(self._positions[at] < end for at, end in ends.items()):
            if messages := self.read(0.05):
                yield messages
            elif time.monotonic() >= give_up:
                return

    def close(self) -> None:
        """Ends the connection."""
        self._consumer.close()

    def _takes(self, message: Message) -> bool:
        """Notes how far reading has come, and tells records from news about their partition."""
        error, at, offset = message.error(), message.partition(), message.offset()
        if error is not None and error.code() != self._eof:
            self._on_error(error)
            if error.fatal() or not error.retriable():
                raise ConnectionFailed(f"cannot read {self._topic}: {error.str()}")
        if at in self._positions and offset is not None:
            reached = offset if error else offset + 1
            self._positions[at] = max(self._positions[at], reached)
        return error is None

    def _find(self, start: Start) -> dict[int, int]:
        import confluent_kafka as kafka

        topic = self._consumer.list_topics(self._topic, timeout=self._timeout).topics[self._topic]
        if topic.error is not None or not topic.partitions:
            raise ConnectionFailed(f"topic {self._topic} is not there ({topic.error})")
        partitions = sorted(topic.partitions)
        if isinstance(start, timedelta):
            start = datetime.now(UTC) - start
        if isinstance(start, datetime):
            milliseconds = max(0, int(start.timestamp() * 1000))
            asked = [kafka.TopicPartition(self._topic, at, milliseconds) for at in partitions]
            found = self._consumer.offsets_for_times(asked, timeout=self._timeout)
            # A time after the last record is answered with a negative number.
            return {
                it.partition: it.offset if it.offset >= 0 else self._bounds(it.partition)[1]
                for it in found
            }
        if start not in ("end", "beginning"):
            raise ValueError(f"start is {start!r}, expected 'end', 'beginning' or a time")
        # Numbers and not "end": what comes from now on is not missed while the reader starts.
        side = 1 if start == "end" else 0
        return {at: self._bounds(at)[side] for at in partitions}

    def _bounds(self, partition: int) -> tuple[int, int]:
        import confluent_kafka as kafka

        place = kafka.TopicPartition(self._topic, partition)
        low, high = self._consumer.get_watermark_offsets(place, timeout=self._timeout)
        return int(low), int(high)

    def _on_error(self, error: Any) -> None:
        self._trouble = error.str()


def follow(settings: Settings, model: str, start: Start, idle: float | None) -> Iterator[Result]:
    """Every result from `start` on; what comes after this call is not missed."""
    reader = ResultReader(settings, model, start)
    return _results(reader, idle, settings.store())


def _results(reader: ResultReader, idle: float | None, store: Store | None) -> Iterator[Result]:
    try:
        last = time.monotonic()
        while idle is None or time.monotonic() - last < idle:
            for message in reader.read(0.1):
                last = time.monotonic()
                yield Result(message, store)
                last = time.monotonic()
    finally:
        reader.close()
