"""What a model takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from millrace._dtypes import numpy_of


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model.

    Attributes:
        name: Its name, the keyword of `predict` and the key of a prediction.
        dtype: The type of every element, as the Open Inference Protocol names it, such as `FP32`;
            STRING is text, BYTES is binary.
        shape: All dimensions; the first counts rows (instances), -1 is open.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The numpy type of its elements; `object` for STRING (`str`) and BYTES (`bytes`)."""
        return numpy_of(self.dtype)

    def takes_row(self, row_shape: tuple[int, ...]) -> bool:
        """Whether one instance of these dimensions fits."""
        wanted = self.shape[1:]
        return len(wanted) == len(row_shape) and all(
            size in (-1, given) for size, given in zip(wanted, row_shape, strict=True)
        )

    def __str__(self) -> str:
        return describe(self.dtype, self.shape)


def describe(dtype: str, shape: tuple[int, ...]) -> str:
    """A type and a shape as sentences show them, such as `FP32[-1,784]`."""
    return f"{dtype}[{','.join(str(size) for size in shape)}]"


@dataclass(frozen=True, slots=True)
class Model:
    """One version of a model, and its signature.

    Attributes:
        name: The model's name, part of its topics' names.
        version: The version's number.
        inputs: What a request must hold, each exactly once.
        outputs: What a prediction holds, in this order.
        labels: Names of this version, such as `stable`.
        weights_sha256: Of the file with the weights, in hexadecimal digits; empty over HTTP.
    """

    name: str
    version: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...] = field(default=(), compare=False)
    weights_sha256: str = field(default="", compare=False)

    def __str__(self) -> str:
        inputs = ", ".join(f"{spec.name}: {spec}" for spec in self.inputs)
        outputs = ", ".join(f"{spec.name}: {spec}" for spec in self.outputs)
        return f"{self.name}/{self.version}({inputs}) -> {outputs}"
