"""The element types of tensors: their names on the line and in numpy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BF16 = "BF16"
STRING = "STRING"
BYTES = "BYTES"

_NUMBERS: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
}
_NAMES = {(dtype.kind, dtype.itemsize): name for name, dtype in _NUMBERS.items()}
_OBJECT = np.dtype(np.object_)

NAMES: tuple[str, ...] = (*_NUMBERS, BF16, STRING, BYTES)


def numpy_of(name: str) -> np.dtype[Any]:
    """The numpy type of an element type; `object` for STRING (`str`) and BYTES (`bytes`).

    Raises:
        KeyError: No such element type.
    """
    if name in (STRING, BYTES):
        return _OBJECT
    return _bfloat16() if name == BF16 else _NUMBERS[name]


def name_of(dtype: np.dtype[Any]) -> str:
    """The element type of a numpy type; for what no tensor can hold, numpy's own name."""
    if dtype.kind in "UT":
        return STRING
    if dtype.kind == "S":
        return BYTES
    if dtype.name == "bfloat16":
        return BF16
    return _NAMES.get((dtype.kind, dtype.itemsize), dtype.name)


def is_text(name: str) -> bool:
    """Whether elements are of any length."""
    return name in (STRING, BYTES)


@cache
def _bfloat16() -> np.dtype[Any]:
    import ml_dtypes  # numpy has no bfloat16 of its own

    dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return dtype
