"""Predictions of models that are served over Kafka, as numpy arrays.

```python
import millrace, numpy

with millrace.Client("localhost:9092") as client:
    prediction = client.predict("digits", image=numpy.zeros((8, 8), numpy.float32))
    print(prediction["label"], prediction["scores"])
```

`Client` and `AsyncClient` speak to a line over Kafka or HTTP; `InputQueue` and `OutputQueue` are the
calls of Cluster Serving. The exceptions are one tree: see `MillraceError`.
"""

from typing import TYPE_CHECKING, Any

from millrace._client import Client
from millrace._columns import Sparse
from millrace._exceptions import (
    BadAnswer,
    Closed,
    ConnectionFailed,
    InputError,
    MillraceError,
    MissingInput,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    PredictionFailed,
    TimedOut,
    Undelivered,
    UnknownInput,
    WrongShape,
    WrongType,
)
from millrace._follow import Result
from millrace._outstanding import Future
from millrace._prediction import Prediction
from millrace._queues import InputQueue, OutputQueue
from millrace._signature import Model, TensorSpec

if TYPE_CHECKING:
    from millrace._async_client import AsyncClient

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "BadAnswer",
    "Client",
    "Closed",
    "ConnectionFailed",
    "Future",
    "InputError",
    "InputQueue",
    "MillraceError",
    "MissingInput",
    "Model",
    "ModelNotFound",
    "ModelUnavailable",
    "OutputQueue",
    "Overloaded",
    "Prediction",
    "PredictionFailed",
    "Result",
    "Sparse",
    "TensorSpec",
    "TimedOut",
    "Undelivered",
    "UnknownInput",
    "WrongShape",
    "WrongType",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """`AsyncClient` is imported when it is asked for: asyncio costs a fifth of the whole import."""
    if name == "AsyncClient":
        from millrace._async_client import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
