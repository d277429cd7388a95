"""What can go wrong, as one tree of exceptions.

```
MillraceError                  code, sentence
├── InputError                 wrong at the call; nothing was sent (also a ValueError)
│   ├── UnknownInput           a name that the model does not have
│   ├── MissingInput           an input that was not given
│   ├── WrongType              an element type that the input does not take
│   └── WrongShape             a rank, a dimension or a number of rows
├── ModelNotFound              nobody ever published such a model or version
├── ModelUnavailable           it is known, but nobody alive serves it
├── PredictionFailed           the line answered with an error
├── TimedOut                   no answer within the time given (also a TimeoutError)
├── ConnectionFailed           broker or ingest cannot be reached (also a ConnectionError)
│   └── Undelivered            records did not reach the broker
├── Overloaded                 no room in time: too much is in flight or not yet taken
├── Closed                     the client was closed
└── BadAnswer                  an answer that cannot be read
```
"""

from __future__ import annotations


class MillraceError(Exception):
    """Everything that this package raises of its own.

    Attributes:
        code: The name of a gRPC status code, such as `INVALID_ARGUMENT`.
        sentence: What is wrong, for people.
    """

    code = "UNKNOWN"

    def __init__(self, sentence: str, *, code: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.sentence, self.code)


def _restore(kind: type[MillraceError], sentence: str, code: str) -> MillraceError:
    return kind(sentence, code=code)


class InputError(MillraceError, ValueError):
    """What was given does not fit the model's signature; nothing was sent."""

    code = "INVALID_ARGUMENT"


class UnknownInput(InputError):
    """The model has no input of this name."""


class MissingInput(InputError):
    """The model needs an input that was not given."""


class WrongType(InputError):
    """The input takes elements of another type."""


class WrongShape(InputError):
    """The input has another rank, another dimension or another number of rows."""


class ModelNotFound(MillraceError):
    """Nobody ever published such a model or version."""

    code = "NOT_FOUND"


class ModelUnavailable(MillraceError):
    """The model is known, but nobody alive serves it at the moment."""

    code = "UNAVAILABLE"


class PredictionFailed(MillraceError):
    """The line answered with an error; `code` says which."""

    code = "INTERNAL"


class TimedOut(MillraceError, TimeoutError):
    """No answer came within the time given; the result may still reach the results topic."""

    code = "DEADLINE_EXCEEDED"


class ConnectionFailed(MillraceError, ConnectionError):
    """The broker or ingest cannot be reached, or a topic is missing."""

    code = "UNAVAILABLE"


class Undelivered(ConnectionFailed):
    """Records did not reach the broker, as far as is known.

    Attributes:
        ids: The ids of the first of them, at most 100.
        count: How many they are.
    """

    def __init__(
        self,
        sentence: str,
        *,
        code: str | None = None,
        ids: tuple[str, ...] = (),
        count: int = 0,
    ) -> None:
        super().__init__(sentence, code=code)
        self.ids = ids
        self.count = count


class Overloaded(MillraceError):
    """There was no room for the request within its time."""

    code = "RESOURCE_EXHAUSTED"


class Closed(MillraceError):
    """The client was closed, or belongs to a process that this one was forked from."""

    code = "CANCELLED"


class BadAnswer(MillraceError):
    """An answer that cannot be read."""

    code = "DATA_LOSS"
