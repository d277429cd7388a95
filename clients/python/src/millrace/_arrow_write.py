"""Columns to Arrow records: one schema, one record batch, the end-of-stream marker.

Building a record batch through pyarrow costs tens of microseconds, far more than a small record is
worth. So pyarrow writes the schema message, once per schema, and everything after it is written
here. A record of which every column is of fixed size differs from the next one of the same shapes
in its elements only: its beginning is kept (`Template`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from millrace import _flatbuffers
from millrace._columns import Column, Dense, Ragged, Sparse, SparseRows, row_count
from millrace._dtypes import BF16, STRING, Array, is_text

END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_ZEROS = bytes(8)
_INT32_MAX = 2**31 - 1

# Name, element type, layout, and the row's dimensions or (for all layouts but "fixed") their number.
_FieldSpec = tuple[str, str, str, tuple[int, ...]]


def encode(columns: Sequence[Column]) -> bytes:
    """One record of `columns`, which all have as many rows, at least one.

    Raises:
        ValueError: Nothing to encode, or columns that differ in rows.
        OverflowError: A column that 32-bit offsets cannot address.
    """
    rows = row_count(columns[0]) if columns else 0
    if rows == 0 or any(row_count(column) != rows for column in columns):
        raise ValueError("a record needs columns of equally many rows, at least one")
    body = _Body()
    fields = tuple(_write(column, body) for column in columns)
    return b"".join([schema_message(fields), body.message(rows), *body.parts, END_OF_STREAM])


class Template:
    """The beginning of all records whose columns are of fixed size and have these shapes.

    Attributes:
        head: All bytes before the body.
        pads: What follows the elements of each column.
    """

    __slots__ = ("head", "pads")

    def __init__(self, columns: Sequence[Dense]) -> None:
        body = _Body()
        fields = tuple(_write(column, body) for column in columns)
        rows = len(columns[0].values)
        self.head = schema_message(fields) + body.message(rows)
        sizes = [len(_fixed_bytes(column.dtype, column.values)) for column in columns]
        self.pads = tuple(_ZEROS[: -size % 8] for size in sizes)


def has_template(column: Column) -> bool:
    """Whether the elements of a column are its bytes in numpy, one after the other."""
    return isinstance(column, Dense) and not is_text(column.dtype) and column.dtype != "BOOL"


class _Body:
    """Nodes, buffers and bytes in the order that Arrow prescribes."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._nodes: list[int] = []
        self._buffers: list[tuple[int, int]] = []
        self._size = 0

    def node(self, items: int) -> None:
        """A field's node and its validity buffer, which is empty: nothing is null."""
        if items > _INT32_MAX:
            raise OverflowError("a column is too large for one record")
        self._nodes.append(items)
        self.buffer(b"")

    def buffer(self, data: bytes) -> None:
        self._buffers.append((self._size, len(data)))
        padding = -len(data) % 8
        self.parts += (data, _ZEROS[:padding])
        self._size += len(data) + padding

    def message(self, rows: int) -> bytes:
        return _flatbuffers.record_batch(rows, self._nodes, self._buffers, self._size)


def _write(column: Column, body: _Body) -> _FieldSpec:
    """Appends a column and says what its field is."""
    match column:
        case Dense(name, dtype, values):
            rows, *row_shape = values.shape
            if row_shape:
                body.node(rows)
            _write_leaf(dtype, values, body)
            return name, dtype, "fixed", tuple(row_shape)
        case Ragged(name, dtype, arrays) if is_text(dtype):
            _write_nested(dtype, arrays, body)
            return name, dtype, "nested", (arrays[0].ndim,)
        case Ragged(name, dtype, arrays):
            body.node(len(arrays))
            body.node(len(arrays))
            body.buffer(_ends([array.size for array in arrays]))
            _write_leaf(dtype, np.concatenate([array.ravel() for array in arrays]), body)
            _write_shapes([array.shape for array in arrays], body)
            return name, dtype, "variable", (arrays[0].ndim,)
        case SparseRows(name, dtype, rows):
            _write_sparse(dtype, rows, body)
            return name, dtype, "sparse", (len(rows[0].shape),)


def _write_leaf(dtype: str, values: Array, body: _Body) -> None:
    body.node(values.size)
    if not is_text(dtype):
        body.buffer(_fixed_bytes(dtype, values))
        return
    texts = values.ravel().tolist()
    encoded = [text.encode() for text in texts] if dtype == STRING else texts
    body.buffer(_ends([len(text) for text in encoded]))
    body.buffer(b"".join(encoded))


def _fixed_bytes(dtype: str, values: Array) -> bytes:
    if dtype == "BOOL":
        return np.packbits(values.ravel(), bitorder="little").tobytes()
    return values.tobytes()


def _ends(sizes: Sequence[int]) -> bytes:
    """Arrow's offsets: 0, and where each item ends."""
    ends = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=ends[1:])
    if ends[-1] > _INT32_MAX:
        raise OverflowError("a column is too large for one record")
    return ends.astype(np.int32).tobytes()


def _write_shapes(shapes: Sequence[tuple[int, ...]], body: _Body) -> None:
    rank = len(shapes[0])
    body.node(len(shapes))
    body.node(len(shapes) * rank)
    body.buffer(np.array(shapes, np.int32).tobytes())


def _write_nested(dtype: str, rows: list[Array], body: _Body) -> None:
    """Text of differing shapes: pyarrow opens variable shape tensors of numbers only."""
    lists = [row.shape for row in rows]
    for _ in range(rows[0].ndim):
        body.node(len(lists))
        body.buffer(_ends([shape[0] for shape in lists]))
        lists = [shape[1:] for shape in lists for _ in range(shape[0])]
    _write_leaf(dtype, np.concatenate([row.ravel() for row in rows]), body)


def _write_sparse(dtype: str, rows: list[Sparse], body: _Body) -> None:
    counts = [len(row.values) for row in rows]
    indices = np.concatenate([row.indices for row in rows])
    body.node(len(rows))
    body.node(len(rows))
    body.buffer(_ends(counts))
    body.node(len(indices))
    body.node(indices.size)
    body.buffer(indices.tobytes())
    body.node(len(rows))
    body.buffer(_ends(counts))
    _write_leaf(dtype, np.concatenate([row.values for row in rows]), body)
    _write_shapes([row.shape for row in rows], body)


@lru_cache(maxsize=1024)
def schema_message(fields: tuple[_FieldSpec, ...]) -> bytes:
    """The schema message of an Arrow stream."""
    import pyarrow as pa

    message: bytes = pa.schema([_field(pa, *field) for field in fields]).serialize().to_pybytes()
    return message


def _field(pa: Any, name: str, dtype: str, layout: str, shape: tuple[int, ...]) -> Any:
    leaf = _leaf_field(pa, dtype)
    match layout:
        case "fixed" if not shape:
            return leaf.with_name(name)
        case "fixed":
            kind, extra = pa.list_(leaf, _product(shape)), {"shape": list(shape)}
            return _extension(pa, (name, kind), "arrow.fixed_shape_tensor", json.dumps(extra))
        case "nested":
            for _ in range(shape[0]):
                leaf = pa.field("item", pa.list_(leaf), nullable=False)
            return leaf.with_name(name)
    sizes = pa.list_(pa.field("item", pa.int32(), nullable=False), shape[0])
    parts = {"data": pa.list_(leaf), "shape": sizes}
    if layout == "sparse":
        lists = pa.list_(pa.field("item", sizes, nullable=False))
        parts = {"indices": lists, "values": pa.list_(leaf), "shape": sizes}
    kind = pa.struct([pa.field(*part, nullable=False) for part in parts.items()])
    if layout == "variable":
        return _extension(pa, (name, kind), "arrow.variable_shape_tensor", "{}")
    return _extension(pa, (name, kind), "millrace.sparse_coo", "")


def _extension(pa: Any, field: tuple[str, Any], extension: str, metadata: str) -> Any:
    marks = {"ARROW:extension:name": extension, "ARROW:extension:metadata": metadata}
    return pa.field(*field, nullable=False, metadata=marks)


def _leaf_field(pa: Any, dtype: str) -> Any:
    kinds: dict[str, Callable[[], Any]] = {
        "BOOL": pa.bool_,
        "FP16": pa.float16,
        "FP32": pa.float32,
        "FP64": pa.float64,
        "STRING": pa.string,
        "BYTES": pa.binary,
        BF16: pa.uint16,
    }
    kind = kinds.get(dtype) or getattr(pa, dtype.lower())
    marks = {"ARROW:extension:name": "millrace.bfloat16", "ARROW:extension:metadata": ""}
    return pa.field("item", kind(), nullable=False, metadata=marks if dtype == BF16 else None)


def _product(shape: Sequence[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    if product > _INT32_MAX:
        raise OverflowError("a row has too many elements for one record")
    return product
