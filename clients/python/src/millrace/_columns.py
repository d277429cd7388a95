"""The columns of a record before they are encoded and after they were decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from millrace._dtypes import Array


@dataclass(slots=True)
class Dense:
    """Rows of one shape: `values` is `[rows, *row_shape]`, of objects for STRING and BYTES."""

    name: str
    dtype: str
    values: Array


@dataclass(slots=True)
class Ragged:
    """Rows of one rank and differing shapes."""

    name: str
    dtype: str
    rows: list[Array]


class Sparse:
    """One instance of which only some elements are there; all others are 0.

    Args:
        indices: Where they stand, `[elements, dimensions]` (for one dimension also `[elements]`).
        values: The elements, `[elements]`.
        shape: The dimensions of the instance.

    Raises:
        ValueError: The three do not go together.
    """

    __slots__ = ("indices", "is_weak", "shape", "values")

    def __init__(self, indices: object, values: object, shape: Sequence[int] | Array) -> None:
        self.shape = tuple(int(size) for size in shape)
        rank = len(self.shape)
        self.values = np.asarray(values)
        # Python's own numbers have no element type yet.
        self.is_weak = isinstance(values, (list, tuple))
        given = np.asarray(indices)
        if given.size == 0:
            given = given.reshape(0, rank).astype(np.int64)
        elif given.ndim == 1 and rank == 1:
            given = given.reshape(-1, 1)
        count = self.values.shape[0] if self.values.ndim == 1 else -1
        if rank == 0 or given.shape != (count, rank):
            raise ValueError(
                f"sparse indices of shape {list(given.shape)} do not go with values of shape "
                f"{list(self.values.shape)} and {rank} dimensions"
            )
        if given.dtype.kind not in "iu":
            raise ValueError(f"sparse indices must be integers, got {given.dtype}")
        if min(self.shape) < 0 or max(self.shape) >= 2**31:
            raise ValueError(f"sparse shape {list(self.shape)} is negative or too large")
        if ((given < 0) | (given >= np.array(self.shape))).any():
            raise ValueError(f"a sparse index is outside the shape {list(self.shape)}")
        if len(np.unique(given, axis=0)) != len(given):
            raise ValueError("two sparse elements have the same index")
        self.indices: Array = given.astype(np.int32)

    def dense(self, empty: object = 0) -> Array:
        """All elements, `[*shape]`; those that are not there are `empty`."""
        whole = np.full(self.shape, empty, self.values.dtype)
        whole[tuple(self.indices.T)] = self.values
        return whole

    def __repr__(self) -> str:
        return f"Sparse(shape={list(self.shape)}, elements={len(self.values)})"


@dataclass(slots=True)
class SparseRows:
    """Sparse rows of one rank."""

    name: str
    dtype: str
    rows: list[Sparse]


Column = Dense | Ragged | SparseRows


def row_count(column: Column) -> int:
    """How many rows a column has."""
    return len(column.values) if isinstance(column, Dense) else len(column.rows)


def as_array(column: Column) -> Array:
    """`[rows, *row_shape]`; where rows differ in shape, `[rows]` of objects that are arrays."""
    if isinstance(column, Dense):
        return column.values
    if isinstance(column, SparseRows):
        empty = {"STRING": "", "BYTES": b""}.get(column.dtype, 0)
        arrays = [row.dense(empty) for row in column.rows]
    else:
        arrays = column.rows
    if all(row.shape == arrays[0].shape for row in arrays):
        return np.stack(arrays)
    whole = np.empty(len(arrays), np.object_)
    whole[:] = arrays
    return whole
