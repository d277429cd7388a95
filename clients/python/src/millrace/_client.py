"""The client: ask a model, wait for the answer now, later, or as a stream."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sized
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, overload

from millrace._exceptions import InputError, MillraceError
from millrace._follow import Result, Start, follow
from millrace._inputs import Binder, Casting, gather
from millrace._kafka import KafkaLine, Place
from millrace._outstanding import Future
from millrace._prediction import Prediction
from millrace._progress import Progress
from millrace._quick import Quick, quick_submit
from millrace._settings import Lane, Settings, brokers_of, claims_of, is_url, prefix_of
from millrace._signature import Model

if TYPE_CHECKING:
    import ssl

    from millrace._http import HttpLine

# How long a signature is used before it is looked up again: over Kafka it costs nothing to ask.
_KAFKA_FRESH_S = 0.5
_HTTP_FRESH_S = 10.0
# Ends of a wait that the caller did not bound are still bounded.
_MOST_TIMEOUT_S = 7 * 24 * 3600.0


class Wanted(NamedTuple):
    """Which version of a model is meant, and in which of its lanes a request waits."""

    version: int | None = None
    label: str | None = None
    lane: Lane = "interactive"


class _Bound:
    """A binder, as long as the signature that it was made for is fresh."""

    __slots__ = ("binder", "fresh_until", "model", "path", "place")

    def __init__(self, binder: Binder, wanted: Wanted, line: KafkaLine | HttpLine) -> None:
        self.binder = binder
        topic = ""
        if isinstance(line, KafkaLine):
            topic = line.settings.requests(binder.model.name, wanted.lane)
        self.model = binder.model
        self.fresh_until = 0.0
        version, label, _ = wanted
        headers: tuple[tuple[str, str], ...] = ()
        self.path = ""
        if version is not None:
            headers, self.path = (("mr-version", str(version)),), f"/versions/{version}"
        elif label is not None:
            headers, self.path = (("mr-label", label),), f"/labels/{label}"
        self.place = Place(topic, headers)


class Client:
    """A connection to a line, over Kafka or HTTP; any number of threads may use it.

    Args:
        target: Brokers, `host:port` with commas, or the URL of an ingest, `http://…`. By default the
            brokers of MILLRACE_KAFKA__BROKERS, or 127.0.0.1:9092.
        prefix: What the line's topics begin with; by default MILLRACE_TOPICS__PREFIX, or `millrace`.
        timeout: Seconds until a request is over, where a call says nothing else.
        casting: How arrays may be converted to the types of a model, in numpy's words: "no", "safe",
            or "same_kind" (FP64 to FP32, INT64 to INT32 if every value fits). Python's own numbers
            and lists always take the model's type, if they fit.
        max_in_flight: Requests that may wait for answers; `submit` waits while there are more.
        max_bytes: Bytes of requests not sent yet, and of answers that nobody has taken yet.
        connect_timeout: Seconds to find the line at the start.
        delivery_timeout: Seconds after which a record that the broker did not take is given up.
        options: Any options of librdkafka, such as `{"security.protocol": "SASL_SSL", …}`.
        claims: Over Kafka, the line's store of values that are too large for their records: a shared
            folder, `s3://bucket/prefix` or `gs://bucket/prefix`; by default MILLRACE_CLAIMS__URL.
        claims_options: Of a bucket of S3, such as `aws_region` and `aws_endpoint`.
        token: A key or token for ingest, sent as `Authorization: Bearer`.
        tls: For https; by default the system's certificates.
        connections: Requests at once over HTTP.

    Raises:
        ConnectionFailed: No broker, or no topics of a line.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        prefix: str | None = None,
        timeout: float = 30.0,
        casting: Casting = "safe",
        max_in_flight: int = 10_000,
        max_bytes: int = 256 << 20,
        connect_timeout: float = 10.0,
        delivery_timeout: float = 120.0,
        options: Mapping[str, Any] | None = None,
        claims: str | None = None,
        claims_options: Mapping[str, str] | None = None,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        connections: int = 16,
    ) -> None:
        if casting not in ("no", "safe", "same_kind"):
            raise ValueError(f"casting is {casting!r}, expected 'no', 'safe' or 'same_kind'")
        self._timeout = _checked(timeout)
        self._casting = casting
        self._bound: dict[Any, _Bound] = {}
        self._quick: dict[str, Quick] = {}
        self._line: KafkaLine | HttpLine
        limits: dict[str, Any] = {
            "connect_timeout": connect_timeout,
            "max_in_flight": max_in_flight,
            "max_bytes": max_bytes,
        }
        if target is not None and is_url(target):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            from millrace._http import HttpLine, HttpSettings  # costs an import of http and ssl

            self._line = HttpLine(
                HttpSettings(target, headers, tls=tls, connections=connections, **limits)
            )
        else:
            self._line = KafkaLine(
                Settings(
                    brokers_of(target),
                    prefix_of(prefix),
                    options or {},
                    delivery_timeout=delivery_timeout,
                    claims=claims_of(claims, claims_options),
                    **limits,
                )
            )

    def predict(
        self,
        model: str,
        inputs: object = None,
        /,
        *,
        timeout: float | None = None,
        version: int | None = None,
        label: str | None = None,
        **tensors: object,
    ) -> Prediction:
        """Asks a model and waits for its answer.

        Args:
            model: Its name.
            inputs: All inputs at once: a mapping by name, a frame with a column per input, or the
                only input itself. Else give them by keyword.
            timeout: Seconds to wait, all in all.
            version: This version and no other; by default the stable one, or else the newest that
                is served, and infer may send a share of such requests to its canary.
            label: The version that has this label.
            tensors: Inputs by name, `[rows, …]` as in the signature, or one instance without its
                dimension of rows.

        Raises:
            InputError: What was given does not fit the model's signature; nothing was sent.
            ModelNotFound, ModelUnavailable: Nobody can answer.
            TimedOut: No answer came in `timeout` seconds.
            PredictionFailed: The line answered with an error.
            ConnectionFailed, Overloaded, Closed, BadAnswer: See the exceptions.
        """
        wanted = Wanted(version, label)
        return self._submit(model, inputs, tensors, (timeout, wanted), taken=True).result()

    def submit(
        self,
        model: str,
        inputs: object = None,
        /,
        *,
        timeout: float | None = None,
        version: int | None = None,
        label: str | None = None,
        lane: Lane = "interactive",
        **tensors: object,
    ) -> Future:
        """Asks a model and returns at once; the arguments are those of `predict`.

        With `lane="bulk"` the request gets what others leave of the model; see `map`.

        While too many requests wait (`max_in_flight`, `max_bytes`), this waits for room, within
        the request's own time.

        Raises:
            InputError, ModelNotFound, ModelUnavailable: At the call; nothing was sent.
            Overloaded: There was no room in time.
            Closed: The client was closed.
        """
        wanted = Wanted(version, label, lane)
        if inputs is None and timeout is None and wanted == _NEWEST:
            quick = self._quick.get(model)
            if quick is not None and (future := quick(tensors)) is not None:
                return future
        return self._submit(model, inputs, tensors, (timeout, wanted))

    def results(self, futures: Iterable[Future] | None = None) -> Iterator[Future]:
        """Futures as they get done, in the order of their answers.

        Args:
            futures: Which; by default all that `submit` gave and nobody has asked for an outcome.
        """
        if futures is None:
            return self._line.outstanding.take_done()
        return _as_done(list(futures))

    @overload
    def map(
        self,
        model: str,
        items: Iterable[object],
        *,
        concurrency: int = ...,
        timeout: float | None = ...,
        version: int | None = ...,
        label: str | None = ...,
        lane: Lane = ...,
        errors: Literal["raise"] = ...,
        progress: bool = ...,
    ) -> Iterator[Prediction]: ...

    @overload
    def map(
        self,
        model: str,
        items: Iterable[object],
        *,
        concurrency: int = ...,
        timeout: float | None = ...,
        version: int | None = ...,
        label: str | None = ...,
        lane: Lane = ...,
        errors: Literal["return"],
        progress: bool = ...,
    ) -> Iterator[Prediction | MillraceError]: ...

    def map(
        self,
        model: str,
        items: Iterable[object],
        *,
        concurrency: int = 256,
        timeout: float | None = None,
        version: int | None = None,
        label: str | None = None,
        lane: Lane = "interactive",
        errors: Literal["raise", "return"] = "raise",
        progress: bool = False,
    ) -> Iterator[Prediction | MillraceError]:
        """Asks a model about every item: one outcome per item, in the order of the items.

        Args:
            model: Its name.
            items: What `predict` takes as `inputs`, one after the other; may be endless.
            concurrency: How many items are asked about at once; no more are taken from `items`.
            timeout: Seconds for each request.
            version: This version and no other.
            label: The version that has this label.
            lane: "bulk" for what may wait: it gets the engines' time that callers who wait leave,
                and a share of it while they leave none. Over Kafka only, and where infer reads the
                model's bulk lane.
            errors: "raise" ends at the first item that failed, when its turn has come; "return"
                gives the exception in place of the prediction.
            progress: Shows rate and time left on standard error.
        """
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}, expected at least 1")
        how = (timeout, Wanted(version, label, lane))
        window: deque[Future | MillraceError] = deque()
        total = len(items) if isinstance(items, Sized) else None
        with Progress(model, total, shown=progress) as bar:
            for item in items:
                if len(window) >= concurrency:
                    yield _settled(window.popleft(), errors)
                    bar.step()
                try:
                    window.append(self._submit(model, item, {}, how, taken=True))
                except MillraceError as error:
                    window.append(error)
            while window:
                yield _settled(window.popleft(), errors)
                bar.step()

    def follow(
        self, model: str, *, start: Start = "end", idle: float | None = None
    ) -> Iterator[Result]:
        """Every result of a model as it comes, whoever asked: the results topic, all partitions.

        Args:
            model: Its name.
            start: "end" for what comes from now on, "beginning" for all that is kept, or a
                `datetime`, or a `timedelta` ago.
            idle: Ends when nothing came for so many seconds; by default never.

        Raises:
            ConnectionFailed: The topic cannot be read, or the client speaks HTTP.
        """
        if not isinstance(self._line, KafkaLine):
            raise MillraceError("results can be followed over Kafka only", code="UNIMPLEMENTED")
        return follow(self._line.settings, model, start, idle)

    def models(self) -> list[Model]:
        """Every model version that somebody alive serves, with its signature."""
        line = self._line
        return line.catalog.models() if isinstance(line, KafkaLine) else line.models()

    def model(self, name: str, *, version: int | None = None, label: str | None = None) -> Model:
        """The signature of a model.

        Raises:
            ModelNotFound, ModelUnavailable: Nobody can answer.
        """
        return self._fresh(name, Wanted(version, label)).model

    def flush(self, timeout: float | None = None) -> None:
        """Waits until the broker has everything that was sent.

        Raises:
            Undelivered: Records that did not reach the broker.
        """
        self._line.flush(self._timeout if timeout is None else timeout)

    def close(self, timeout: float | None = None) -> None:
        """Sends what is not sent yet, waits for what is not answered yet, and ends.

        Args:
            timeout: Seconds for all of that; by default the client's `timeout`. Futures that are
                not done then fail with `Closed`.

        Raises:
            Undelivered: Records that did not reach the broker; none is dropped without being said.
        """
        self._line.close(self._timeout if timeout is None else timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        settings = self._line.settings
        where = settings.brokers if isinstance(settings, Settings) else settings.url
        return f"millrace.Client({where!r})"

    def _submit(
        self,
        model: str,
        inputs: object,
        tensors: Mapping[str, object],
        how: tuple[float | None, Wanted],
        taken: bool = False,
    ) -> Future:
        timeout, wanted = how
        timeout = self._timeout if timeout is None else _checked(timeout)
        bound = self._bound.get(model if wanted == _NEWEST else (model, wanted))
        if bound is None or monotonic() >= bound.fresh_until:
            bound = self._fresh(model, wanted)
        if inputs is not None:
            tensors = gather(inputs, tensors, bound.model)
        line = self._line
        if isinstance(line, KafkaLine):
            future = line.submit(bound.place, bound.binder.record(tensors), timeout)
        else:
            request = bound.binder.bind(tensors)
            future = line.submit((bound.model, bound.path), request, timeout)
        if taken:
            future._take()
        return future

    def _would_block(self, model: str, wanted: Wanted) -> bool:
        """Whether `_submit` may wait: for a signature over HTTP, or for room."""
        line = self._line
        if line.outstanding.is_full() or (isinstance(line, KafkaLine) and line.is_full()):
            return True
        if isinstance(line, KafkaLine):
            return False
        bound = self._bound.get(model if wanted == _NEWEST else (model, wanted))
        return bound is None or monotonic() >= bound.fresh_until

    def _fresh(self, model: str, wanted: Wanted) -> _Bound:
        """The binder of a model, of the signature that is served now."""
        version, label, lane = wanted
        if lane not in ("interactive", "bulk"):
            raise ValueError(f"lane is {lane!r}, expected 'interactive' or 'bulk'")
        if version is not None and label is not None:
            raise InputError("give either a version or a label, not both")
        line = self._line
        key = model if wanted == _NEWEST else (model, wanted)
        bound = self._bound.get(key)
        now = monotonic()
        if isinstance(line, KafkaLine):
            found, fresh = line.catalog.find(model, version, label), _KAFKA_FRESH_S
            line.catalog.check_lane(model, lane)
        elif lane != "interactive":
            sentence = (
                "the bulk lane is reached over Kafka only: give the client brokers, not a URL"
            )
            raise MillraceError(sentence, code="UNIMPLEMENTED")
        elif bound is not None and now < bound.fresh_until:
            return bound
        else:
            found, fresh = line.find(model, version, label), _HTTP_FRESH_S
        if bound is None or bound.model != found:
            bound = _Bound(Binder(found, self._casting), wanted, line)
            self._quick.pop(model, None)
            if isinstance(line, KafkaLine) and wanted == _NEWEST:
                quick = quick_submit(line, bound, self._timeout)
                if quick is not None:
                    self._quick[model] = quick
        bound.fresh_until = now + fresh
        if len(self._bound) > 1000:
            self._bound.clear()
        self._bound[key] = bound
        return bound


_NEWEST = Wanted()


def _settled(
    outcome: Future | MillraceError, errors: Literal["raise", "return"]
) -> Prediction | MillraceError:
    if isinstance(outcome, Future):
        try:
            return outcome.result()
        except MillraceError as error:
            outcome = error
    if errors == "raise":
        raise outcome
    return outcome


def _as_done(futures: list[Future]) -> Iterator[Future]:
    """Each of `futures` when it is done; callbacks put them into a queue as that happens."""
    import queue

    arrived: queue.SimpleQueue[Future] = queue.SimpleQueue()
    for future in futures:
        future.add_done_callback(arrived.put)
    for _ in futures:
        while True:
            try:
                yield arrived.get(timeout=0.1)
                break
            except queue.Empty:
                for future in futures:
                    future._expire_if_due()


def _checked(timeout: float) -> float:
    if not 0 < timeout <= _MOST_TIMEOUT_S:
        raise ValueError(f"timeout is {timeout}, expected seconds above 0 and at most a week")
    return float(timeout)


def default_model(client: Client) -> str:
    """The model where none is named: MILLRACE_MODEL, or the only one that is served."""
    named = os.environ.get("MILLRACE_MODEL")
    if named:
        return named
    line = client._line
    if isinstance(line, KafkaLine):
        return line.catalog.only()
    names = sorted({model.name for model in line.models()})
    if len(names) == 1:
        return names[0]
    listed = ", ".join(names) or "none"
    raise MillraceError(f"name the model with model=: {listed}", code="INVALID_ARGUMENT")
