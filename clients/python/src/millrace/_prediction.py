"""What a model answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from millrace._arrow_read import decode
from millrace._claims import Store, read_claim
from millrace._columns import Column, as_array
from millrace._dtypes import Array
from millrace._exceptions import BadAnswer, MillraceError, PredictionFailed, TimedOut

# As the `headers()` of a Kafka message gives them.
Headers = list[tuple[str, bytes | None]] | None


class Prediction(dict[str, Array]):
    """The outputs of a model by name, in the order of its signature: arrays of their own type.

    For a batch every output is `[rows, …]`; for a single instance it has no dimension of rows, so
    that a scalar output is an array of no dimensions. Elements of text are `str`, those of bytes
    `bytes`, in arrays of objects. Where rows differ in shape the output is `[rows]` of arrays.

    Attributes:
        id: The id of the request.
        model: The model that answered.
        version: The version that answered.
        source: The request's place in Kafka, `topic/partition/offset`; empty over HTTP.
        weights_sha256: Of the file with the weights that answered, in hexadecimal digits; empty if
            the line does not say it.
    """

    __slots__ = ("id", "model", "source", "version", "weights_sha256")

    def __init__(
        self,
        outputs: dict[str, Array],
        id: str,
        model: str,
        version: int,
        source: str = "",
        weights_sha256: str = "",
    ) -> None:
        super().__init__(outputs)
        self.id, self.model, self.version, self.source = id, model, version, source
        self.weights_sha256 = weights_sha256

    @property
    def only(self) -> Array:
        """The output of a model that has one.

        Raises:
            ValueError: The model has several outputs.
        """
        if len(self) != 1:
            raise ValueError(f"model {self.model} has several outputs: {', '.join(self)}")
        return next(iter(self.values()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the headers of a result or reply say."""

    id: str
    model: str
    version: int
    status: str
    error: str
    source: str
    weights_sha256: str

    def raise_if_failed(self) -> None:
        """Raises what the line answered, unless that is a result."""
        if self.status == "OK":
            return
        raise failure(self.status, self.error or f"infer answered {self.status}")


def failure(status: str, sentence: str) -> MillraceError:
    """The exception for an error that the line answered."""
    if status == "DEADLINE_EXCEEDED":
        return TimedOut(sentence)
    return PredictionFailed(sentence, code=status)


def read_headers(headers: Headers) -> Outcome:
    """Reads the headers of a result.

    Raises:
        BadAnswer: Headers that a result must have are missing or no text.
    """
    try:
        found = {name: (value or b"").decode() for name, value in headers or ()}
        return Outcome(
            id=found["mr-id"],
            model=found["mr-model"],
            version=int(found.get("mr-version", "-1")),
            status=found["mr-status"],
            error=found.get("mr-error", ""),
            source=found.get("mr-source", ""),
            weights_sha256=found.get("mr-weights-sha256", ""),
        )
    except (KeyError, ValueError) as error:
        raise BadAnswer(f"the headers of a result cannot be read: {error}") from error


def read_result(
    headers: Headers, value: bytes | None, single: bool, store: Store | None = None
) -> Prediction:
    """A result record as a prediction.

    Raises:
        PredictionFailed, TimedOut: The line answered with an error.
        BadAnswer: The record cannot be read.
    """
    outcome = read_headers(headers)
    outcome.raise_if_failed()
    if not value and (claim := read_claim(dict(headers or ()))):
        if store is None:
            raise BadAnswer("the answer is in a store of large values: give `claims`")
        value = store.get(claim)
    outputs = outputs_of(decode(value or b""), single)
    of = (outcome.id, outcome.model, outcome.version, outcome.source, outcome.weights_sha256)
    return Prediction(outputs, *of)


def outputs_of(columns: Iterable[Column], single: bool) -> dict[str, Array]:
    """Columns as arrays; of a single instance, its only row."""
    arrays = {column.name: as_array(column) for column in columns}
    if not single:
        return arrays
    if any(len(array) != 1 for array in arrays.values()):
        raise BadAnswer("one instance was asked and several rows were answered")
    return {name: array.reshape(array.shape[1:]) for name, array in arrays.items()}
