"""Frames as inputs: a column per input, a row per instance.

pandas, polars and Arrow tables are told by their names, so that none of them is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from millrace._dtypes import Array


def columns_of(value: object) -> dict[str, object] | None:
    """The columns of a frame, each `[rows, …]`; None if `value` is no frame."""
    kind = _kind(value)
    frame: Any = value
    if kind in ("pandas.DataFrame", "polars.DataFrame"):
        return {str(name): column_of(frame[name]) for name in frame.columns}
    if kind == "polars.LazyFrame":
        return columns_of(frame.collect())
    if kind in ("pyarrow.Table", "pyarrow.RecordBatch"):
        names = frame.schema.names
        return {name: column_of(frame.column(i)) for i, name in enumerate(names)}
    return None


def column_of(value: object) -> object:
    """A column of a frame as an array or a list of rows; what is none is given back as it is."""
    column: Any = value
    match _kind(value):
        case "pandas.Series":
            return _unpacked(column.to_numpy())
        case "polars.Series":
            if column.null_count():
                raise ValueError(f"column {column.name!r} has nulls")
            if str(column.dtype).startswith("List"):
                return [np.asarray(row.to_numpy()) for row in column]
            return _unpacked(column.to_numpy())
        case "pyarrow.ChunkedArray":
            return column_of(column.combine_chunks())
        case "pyarrow.Array":
            return _arrow(column)
    return value


def is_column(value: object) -> bool:
    """Whether a value is a column of a frame."""
    kinds = ("pandas.Series", "polars.Series", "pyarrow.ChunkedArray", "pyarrow.Array")
    return _kind(value) in kinds


def _arrow(column: Any) -> object:
    if column.null_count:
        raise ValueError("the column has nulls")
    if hasattr(column, "to_numpy_ndarray"):  # a fixed shape tensor
        return column.to_numpy_ndarray()
    kind = column.type
    if hasattr(kind, "list_size"):
        items = column_of(column.flatten())
        shape = (len(column), kind.list_size)
        return items.reshape(*shape, *items.shape[1:]) if isinstance(items, np.ndarray) else items
    if hasattr(kind, "value_type"):
        return column.to_pylist()
    return column.to_numpy(zero_copy_only=False)


def _unpacked(column: Array) -> object:
    """Cells that are arrays or lists become rows of one array, or a list of rows."""
    cells = column.dtype == np.object_ and len(column) > 0
    if cells and isinstance(column[0], (np.ndarray, list, tuple, Mapping)):
        return list(column)
    return column


def _kind(value: object) -> str:
    """Which class of another library a value is, such as `pandas.Series`."""
    for kind in type(value).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in ("pandas", "polars"):
            if kind.__name__ in ("DataFrame", "LazyFrame", "Series"):
                return f"{library}.{kind.__name__}"
        elif library == "pyarrow" and kind.__name__ in (
            "Table",
            "RecordBatch",
            "ChunkedArray",
            "Array",
        ):
            return f"pyarrow.{kind.__name__}"
    return ""
