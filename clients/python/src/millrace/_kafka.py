"""The line over Kafka: records to `requests.<model>`, answers from one partition of `replies`.

The partition is assigned from its end, with no group, and named in `mr-reply-to`, as ingest does:
there is nothing to coordinate, and ids carry 128 random bits, so that clients which share a
partition skip each other's answers. The same consumer follows the models topic.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from millrace._catalog import Catalog
from millrace._claims import Store
from millrace._exceptions import (
    Closed,
    ConnectionFailed,
    InputError,
    MillraceError,
    Overloaded,
    Undelivered,
)
from millrace._outstanding import Future, Outstanding
from millrace._prediction import Prediction, read_result
from millrace._settings import MOST_QUEUED, Settings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, Producer

_log = logging.getLogger("millrace")
_POLL_S = 0.05
_BATCH = 1000
# How many sends pass before the producer's reports are looked at.
REPORTS_EVERY = 256
_MOST_IDS = 100

# As confluent-kafka takes them.
Headers = list[tuple[str, str | bytes | None]]
Report = Callable[[Any, Any], None]

_lines: weakref.WeakSet[KafkaLine] = weakref.WeakSet()


class Place(NamedTuple):
    """Where a record goes, and headers of its own."""

    topic: str
    headers: tuple[tuple[str, str], ...] = ()


class KafkaLine:
    """One producer, one consumer, and the thread that reads what comes.

    Raises:
        ConnectionFailed: No broker, or topics that are not there.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.catalog = Catalog()
        self.store = settings.store()
        # A larger one goes into the store.
        self.largest_record = settings.claims.threshold if self.store else sys.maxsize
        read = partial(_read_message, self.store)
        self.outstanding = Outstanding(read, settings.max_in_flight, settings.max_bytes)
        self.outstanding.trouble = lambda: self._trouble
        self._trouble = ""
        # An id is 128 random bits and a count.
        self.id_start = os.urandom(16).hex()
        self.count = itertools.count()
        # Changes with every record that is sent.
        self.sends = 0
        self._lost_ids: list[str] = []
        self._lost = 0
        self._lost_why = ""
        self._stopping = threading.Event()
        self._closing = threading.Lock()
        self.producer, self._consumer = self._connect()
        self._thread = threading.Thread(target=self._run, name="millrace-replies", daemon=True)
        self._thread.start()
        _lines.add(self)

    def submit(self, place: Place, record: tuple[bytes, bool], timeout: float) -> Future:
        """Sends one record and returns the future of its answer; waits for room.

        Args:
            place: Where it goes, and headers of its own.
            record: One Arrow record, and whether it holds a single instance.
            timeout: Seconds until the future is over.

        Raises:
            Overloaded: There was no room in time.
            Closed: The client was closed.
        """
        outstanding, now = self.outstanding, monotonic()
        outstanding.credit -= 1
        if outstanding.credit < 0 or outstanding.closed:
            outstanding.wait_for_room(now + timeout, timeout)
        id = f"{self.id_start}{next(self.count):08x}"
        future = Future(outstanding, id, timeout, now + timeout, record[1])
        outstanding.lane(timeout)[id] = future
        ours: Headers = [("mr-id", id), self.reply_to, deadline_header(timeout), *place.headers]
        try:
            message = (place.topic, record[0], ours, future.report)
            self._produce(message, (timeout, now + timeout))
        except BaseException:
            outstanding.leave(future)
            raise
        return future

    def send(self, place: Place, id: str, record: bytes, timeout: float) -> None:
        """Sends one record whose answer nobody waits for here; waits for room.

        Raises:
            Undelivered: Earlier records did not reach the broker.
            Overloaded, Closed: As for `submit`.
        """
        self._raise_lost()
        if self.outstanding.closed:
            raise self.outstanding.closed
        times = (timeout, monotonic() + timeout)
        headers: Headers = [("mr-id", id), *place.headers]
        self._produce((place.topic, record, headers, partial(self._on_lost, id)), times)

    def is_full(self) -> bool:
        """Whether the producer may have no room for one more record."""
        return len(self.producer) >= MOST_QUEUED - 1000

    def flush(self, timeout: float) -> None:
        """Waits until the broker has everything that was sent.

        Raises:
            Undelivered: Records that the broker did not take, or has not taken in time.
        """
        left = self.producer.flush(timeout)
        self._raise_lost()
        if left:
            sentence = f"{left} records did not reach the broker within {timeout:g} s"
            raise Undelivered(self._with_trouble(sentence), count=left)

    def close(self, timeout: float) -> None:
        """Lets what is on its way arrive, then ends.

        Raises:
            Undelivered: Records that did not reach the broker; they will not be sent any more.
        """
        with self._closing:
            if self._stopping.is_set():
                return
            deadline = time.monotonic() + timeout
            self.outstanding.closed = Closed("the client was closed")
            self.outstanding.wake()
            try:
                self.outstanding.wait_until_answered(deadline)
                self.flush(max(0.0, deadline - time.monotonic()))
            finally:
                self._stop()

    def _stop(self) -> None:
        _lines.discard(self)
        self._stopping.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        self._consumer.close()
        if len(self.producer):  # what is still here was reported; it must not arrive later
            self.producer.purge()
            self.producer.flush(1.0)
        closed = Closed("the client was closed before the answer came")
        self.outstanding.fail_all(closed)

    def _connect(self) -> tuple[Producer, Consumer]:
        import confluent_kafka as kafka

        deadline = time.monotonic() + self.settings.connect_timeout
        settings = self.settings
        try:
            producer = kafka.Producer({**settings.producer(), "error_cb": self._on_error})
            consumer = kafka.Consumer({**settings.consumer(), "error_cb": self._on_error})
        except (kafka.KafkaException, ValueError, TypeError) as error:
            raise ConnectionFailed(f"the options for Kafka cannot be used: {error}") from error
        self._no_partition_left = kafka.KafkaError._PARTITION_EOF
        try:
            replies = random.SystemRandom().randrange(self._partitions(consumer, settings.replies))
            self._partitions(consumer, settings.models)
            self.reply_to = ("mr-reply-to", f"{settings.replies}/{replies}")
            ends = []
            for topic, partition in ((settings.replies, replies), (settings.models, 0)):
                place = kafka.TopicPartition(topic, partition)
                left = max(0.1, deadline - time.monotonic())
                low, high = consumer.get_watermark_offsets(place, timeout=left)
                ends.append((topic, partition, low, high))
            (topic, partition, _, end), (models, _, first, last) = ends
            consumer.assign(
                [
                    kafka.TopicPartition(topic, partition, end),
                    kafka.TopicPartition(models, 0, first),
                ]
            )
            self._read_models(consumer, last, deadline)
        except kafka.KafkaException as error:
            consumer.close()
            raise self._not_reached(str(error.args[0])) from error
        except MillraceError:
            consumer.close()
            raise
        return producer, consumer

    def _partitions(self, consumer: Consumer, topic: str) -> int:
        # Asked for by name, the broker says so when a topic is missing, without creating it.
        metadata = consumer.list_topics(topic, timeout=self.settings.connect_timeout)
        found = metadata.topics[topic]
        if found.error is not None or not found.partitions:
            sentence = f"topic {topic} is not there ({found.error}): is the prefix right? "
            raise ConnectionFailed(sentence + "'millrace topics apply' creates topics")
        return len(found.partitions)

    def _read_models(self, consumer: Consumer, end: int, deadline: float) -> None:
        """Reads the models topic as far as it was written when we came."""
        position = -1 if end else 0
        while position < end:
            message = consumer.poll(_POLL_S)
            if message is not None and message.topic() == self.settings.models:
                offset = message.offset()
                error = message.error()
                if error is None:
                    self._apply(message)
                    position = max(position, (offset or 0) + 1)
                elif error.code() == self._no_partition_left:
                    return
            elif time.monotonic() > deadline:
                raise self._not_reached(f"topic {self.settings.models} was not read in time")

    def _not_reached(self, why: str) -> ConnectionFailed:
        sentence = f"cannot connect to {self.settings.brokers}: {why}"
        return ConnectionFailed(self._with_trouble(sentence))

    def _produce(
        self, message: tuple[str, bytes, Headers, Report], times: tuple[float, float]
    ) -> None:
        """Sends, or waits for room in the producer, or says why neither is possible."""
        self.sends = next(self.count)
        if not self.sends % REPORTS_EVERY:
            self.producer.poll(0)
        topic, value, headers, report = message
        if self.store is not None and len(value) > self.largest_record:
            left = max(0.0, times[1] - time.monotonic())
            headers = [*headers, *self.store.put(value, left).headers()]
            value = b""
        while True:
            try:
                return self.producer.produce(topic, value, headers=headers, on_delivery=report)
            except BufferError:
                timeout, deadline = times
                if time.monotonic() >= deadline:
                    sentence = f"no room within {timeout:g} s: the broker takes nothing"
                    raise Overloaded(self._with_trouble(sentence)) from None
                self.producer.poll(0.01)
            except Exception as error:
                raise InputError(f"the record cannot be sent: {_why(error)}") from error

    def _on_lost(self, id: str, error: KafkaError | None, message: Message) -> None:
        """A record that nobody waits for did not reach the broker."""
        if error is not None:
            self._lost += 1
            self._lost_why = f"request {id} did not reach topic {message.topic()}: {error.str()}"
            if len(self._lost_ids) < _MOST_IDS:
                self._lost_ids.append(id)

    def _raise_lost(self) -> None:
        if not self._lost:
            return
        lost, ids, why = self._lost, tuple(self._lost_ids), self._lost_why
        self._lost, self._lost_ids = 0, []
        sentence = f"{lost} records did not reach the broker, the last one: {why}"
        raise Undelivered(self._with_trouble(sentence), ids=ids, count=lost)

    def _on_error(self, error: KafkaError) -> None:
        self._trouble = error.str()
        self.catalog.set_hearing(False)
        _log.debug("kafka: %s", error.str())

    def _with_trouble(self, sentence: str) -> str:
        return f"{sentence} ({self._trouble})" if self._trouble else sentence

    def _run(self) -> None:
        sends = -1
        try:
            while not self._stopping.is_set():
                message = self._consumer.poll(_POLL_S)
                if message is not None:
                    self._take([message, *self._consumer.consume(_BATCH, 0)])
                self.outstanding.expire()
                if sends == self.sends:  # nobody sends at the moment who would look at reports
                    self.producer.poll(0)
                sends = self.sends
        except Exception as error:
            _log.exception("the thread that reads replies failed")
            closed = Closed(f"the thread that reads replies failed: {error}")
            self.outstanding.closed = closed
            self.outstanding.fail_all(closed)

    def _take(self, messages: list[Message]) -> None:
        complete, models = self.outstanding.complete, self.settings.models
        for message in messages:
            error = message.error()
            if error is not None:
                if error.code() != self._no_partition_left:
                    self._on_error(error)
            elif message.topic() == models:
                self._apply(message)
            else:
                key = message.key()
                if key is not None:
                    value = message.value()
                    complete(key.decode("latin-1"), message, len(value) if value else 0)
        self._trouble = ""
        self.catalog.set_hearing(True)
        self.outstanding.wake()

    def _apply(self, message: Message) -> None:
        try:
            self.catalog.apply(message.key(), message.value())
        except ValueError as error:
            _log.warning("record %s of the models topic ignored: %s", message.offset(), error)

    def _forked(self) -> None:
        """In a child process the threads of this client do not exist."""
        sentence = "this client belongs to the parent process: make one after the fork"
        self.outstanding.closed = Closed(sentence)
        self._stopping.set()


def deadline_header(timeout: float) -> tuple[str, str]:
    """Says until when the answer of a request that is sent now is of use."""
    return "mr-deadline", str(int((time.time() + timeout) * 1000))


def _read_message(store: Store | None, message: Message, single: bool) -> Prediction:
    headers: Any = message.headers()
    return read_result(headers, message.value(), single, store)


def _why(error: Exception) -> str:
    reason = error.args[0] if error.args else error
    return reason.str() if hasattr(reason, "str") else str(reason)


@atexit.register
def _close_all() -> None:
    """Nothing that was sent is lost because a script ended without `close`."""
    for line in list(_lines):
        if line.outstanding.closed:
            continue
        try:
            line.flush(line.settings.delivery_timeout)
        except MillraceError as error:
            _log.error("millrace: at the end of the program: %s", error)


def _after_fork() -> None:
    for line in list(_lines):
        line._forked()
    _lines.clear()


os.register_at_fork(after_in_child=_after_fork)
