"""Arrow records to columns: every buffer is checked against the body before it is read.

What precedes the body of a record is the same for all answers of one shape, so what was learnt from
it is kept: such an answer costs one look-up and one copy per column.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from millrace._arrow_schema import Field, Level, parse
from millrace._arrow_write import END_OF_STREAM
from millrace._columns import Column, Dense, Ragged, Sparse, SparseRows
from millrace._dtypes import STRING, Array, is_text, numpy_of
from millrace._exceptions import BadAnswer
from millrace._flatbuffers import Table

# What sparse rows may stand for, and what a record may hold in one column.
MAX_ELEMENTS = 1 << 26
_KNOWN_HEADS = 256

_Read = Callable[[bytes], Column]
_heads: dict[bytes, tuple[int, list[_Read]]] = {}


def decode(record: bytes) -> list[Column]:
    """The columns of one record.

    Raises:
        BadAnswer: Not one Arrow stream of one record batch, damaged, or of types that no tensor has.
    """
    try:
        schema_end = _metadata_end(record, 0)
        head_end = _metadata_end(record, schema_end)
        known = _heads.get(record[:head_end])
        if known is not None and len(record) == known[0] and record.endswith(END_OF_STREAM):
            return [read(record) for read in known[1]]
        return _decode(record, schema_end, head_end)
    except (ValueError, LookupError, struct.error, OverflowError, TypeError) as error:
        raise BadAnswer(f"not an Arrow record: {error}") from error


def _metadata_end(record: bytes, at: int) -> int:
    marker, length = struct.unpack_from("<Ii", record, at)
    if marker != 0xFFFFFFFF or length <= 0 or length % 8 or at + 8 + length > len(record):
        raise ValueError(f"no message at byte {at}")
    return int(at + 8 + length)


def _decode(record: bytes, schema_end: int, head_end: int) -> list[Column]:
    fields = parse(Table.root(record[8:schema_end]))
    message = Table.root(record[schema_end + 8 : head_end])
    batch = message.table(2)
    if message.u8(1) != 3 or batch is None:
        raise ValueError("a record batch was expected")
    if batch.has(3) or batch.has(4):
        raise ValueError("compressed records and view types are not supported")
    body_bytes = message.i64(3)
    if body_bytes < 0 or record[head_end + body_bytes :] != END_OF_STREAM:
        raise ValueError("the body is not followed by the end of the stream")
    rows = batch.i64(0)
    if rows < 1:
        raise ValueError(f"the record has {rows} rows")
    reader = _Reader(record, (head_end, body_bytes), batch)
    columns = [_column(field, rows, reader) for field in fields]
    reader.expect_end()
    reads = [read for read in reader.reads if read is not None]
    if len(reads) == len(fields) and len(_heads) < _KNOWN_HEADS:
        _heads[record[:head_end]] = (len(record), reads)
    return columns


class _Reader:
    """Hands out nodes and buffers in the order that Arrow prescribes."""

    def __init__(self, record: bytes, body: tuple[int, int], batch: Table) -> None:
        self.record = record
        # How to read each column of another record with the same beginning; None where that differs.
        self.reads: list[_Read | None] = []
        self._start, self._size = body
        self._nodes = iter(batch.pairs(1))
        self._buffers = iter(batch.pairs(2))

    def node(self, least: int, most: int | None = None) -> int:
        length, nulls = next(self._nodes, (-1, 0))
        if nulls != 0:
            raise ValueError("nulls are not supported")
        if not least <= length <= (MAX_ELEMENTS if most is None else most):
            raise ValueError(f"a field has {length} items, expected {least}")
        self.buffer(0)
        return length

    def exactly(self, items: int) -> None:
        if items > MAX_ELEMENTS:
            raise ValueError(f"a field has more than {MAX_ELEMENTS} items")
        self.node(items, items)

    def buffer(self, needed: int) -> int:
        """Where the next buffer begins in the record."""
        offset, length = next(self._buffers, (-1, 0))
        if offset < 0 or length < needed or offset + length > self._size:
            raise ValueError(f"a buffer of {length} bytes at {offset} where {needed} are needed")
        return self._start + offset

    def numbers(self, dtype: np.dtype[Any], count: int) -> Array:
        at = self.buffer(count * dtype.itemsize)
        return np.frombuffer(self.record, dtype, count, at)

    def offsets(self, width: int, items: int) -> Array:
        """Where each item ends, 0 before the first."""
        if items == 0:
            self.buffer(0)
            return np.zeros(1, np.int64)
        dtype = np.dtype(np.int32 if width == 4 else np.int64)
        ends = self.numbers(dtype, items + 1).astype(np.int64)
        if ends[0] < 0 or (np.diff(ends) < 0).any():
            raise ValueError("offsets are negative or decrease")
        return ends

    def expect_end(self) -> None:
        if next(self._nodes, None) is not None or next(self._buffers, None) is not None:
            raise ValueError("more nodes or buffers than the schema has fields")


def _column(field: Field, rows: int, reader: _Reader) -> Column:
    match field.kind:
        case "fixed":
            reader.exactly(rows)
            return _fixed(field, (rows, *field.shape), reader)
        case "variable":
            reader.reads.append(None)
            return _variable(field, rows, reader)
        case "sparse":
            reader.reads.append(None)
            return _sparse(field, rows, reader)
    if not field.levels:
        return _fixed(field, (rows,), reader)
    reader.reads.append(None)
    return _nested(field, rows, reader)


def _fixed(field: Field, shape: tuple[int, ...], reader: _Reader) -> Column:
    """A column whose shape is known from what precedes the body."""
    count = 1
    for size in shape:
        count *= size
    dtype, name = field.leaf.dtype, field.name
    reader.exactly(count)
    if is_text(dtype):
        reader.reads.append(None)
        return Dense(name, dtype, _texts(field, count, reader).reshape(shape))
    number = numpy_of(dtype)
    if dtype == "BOOL":
        at = reader.buffer(-(-count // 8))

        def read(record: bytes) -> Column:
            return Dense(name, dtype, _bits(record, at, count).reshape(shape))
    else:
        at = reader.buffer(count * number.itemsize)

        def read(record: bytes) -> Column:
            values = np.frombuffer(record, number, count, at)
            return Dense(name, dtype, values.reshape(shape).copy())

    reader.reads.append(read)
    return read(reader.record)


def _bits(record: bytes, at: int, count: int) -> Array:
    packed = np.frombuffer(record, np.uint8, -(-count // 8), at)
    return np.unpackbits(packed, count=count, bitorder="little").view(np.bool_)


def _leaf(field: Field, count: int, reader: _Reader) -> Array:
    """All `count` elements, `[count]`; the node was read."""
    dtype = field.leaf.dtype
    if is_text(dtype):
        return _texts(field, count, reader)
    if dtype == "BOOL":
        return _bits(reader.record, reader.buffer(-(-count // 8)), count)
    return reader.numbers(numpy_of(dtype), count)


def _texts(field: Field, count: int, reader: _Reader) -> Array:
    ends = reader.offsets(field.leaf.width, count)
    at = reader.buffer(int(ends[-1]))
    places = (ends + at).tolist()
    record, texts = reader.record, np.empty(count, np.object_)
    pairs = itertools.pairwise(places)
    if field.leaf.dtype == STRING:
        texts[:] = [record[start:end].decode() for start, end in pairs]
    else:
        texts[:] = [record[start:end] for start, end in pairs]
    return texts


def _variable(field: Field, rows: int, reader: _Reader) -> Column:
    reader.exactly(rows)
    reader.exactly(rows)
    ends = reader.offsets(field.levels[0].width, rows)
    elements = _leaf(field, reader.node(int(ends[-1])), reader)
    shapes = _shapes(field.rank, np.dtype(np.int32), (rows, reader))
    arrays = []
    for row, shape in enumerate(shapes):
        arrays.append(elements[ends[row] : ends[row + 1]].reshape(shape))
    return _rows(field, arrays)


def _shapes(rank: int, dtype: np.dtype[Any], of: tuple[int, _Reader]) -> list[list[int]]:
    rows, reader = of
    reader.exactly(rows)
    reader.exactly(rows * rank)
    shapes: list[list[int]] = reader.numbers(dtype, rows * rank).reshape(rows, rank).tolist()
    if any(size < 0 or size >= 2**31 for shape in shapes for size in shape):
        raise ValueError("a dimension is negative or too large")
    return shapes


def _rows(field: Field, arrays: list[Array]) -> Column:
    name, dtype = field.name, field.leaf.dtype
    if all(array.shape == arrays[0].shape for array in arrays):
        return Dense(name, dtype, np.stack(arrays))
    return Ragged(name, dtype, [array.copy() for array in arrays])


def _nested(field: Field, rows: int, reader: _Reader) -> Column:
    """Plain lists: every row must be a tensor, with no ragged lists inside."""
    # Of each row, the first and one past the last item at this level of nesting.
    first, last = np.arange(rows), np.arange(1, rows + 1)
    shapes: list[list[int]] = [[] for _ in range(rows)]
    items, exact = rows, True
    for level in field.levels:
        lists = reader.node(items, items if exact else None)
        ends, items, exact = _level(level, lists, reader)
        lengths = np.diff(ends)
        for row, shape in enumerate(shapes):
            given = lengths[first[row] : last[row]]
            if len(given) and (given != given[0]).any():
                raise ValueError(f"row {row} of column {field.name!r} is ragged")
            shape.append(int(given[0]) if len(given) else max(level.size, 0))
        first, last = ends[first], ends[last]
    elements = _leaf(field, reader.node(items, items if exact else None), reader)
    pairs = zip(first, last, shapes, strict=True)
    return _rows(field, [elements[start:end].reshape(shape) for start, end, shape in pairs])


def _level(level: Level, lists: int, reader: _Reader) -> tuple[Array, int, bool]:
    """Where the lists of a level end, how many items they have, and whether exactly so many."""
    if level.width:
        ends = reader.offsets(level.width, lists)
        return ends, int(ends[-1]), False
    if lists * level.size > MAX_ELEMENTS:
        raise ValueError(f"a field has more than {MAX_ELEMENTS} items")
    return np.arange(lists + 1) * level.size, lists * level.size, True


def _sparse(field: Field, rows: int, reader: _Reader) -> Column:
    widths, rank = field.widths, field.rank
    if widths is None:
        raise ValueError("a sparse column without its widths")
    reader.exactly(rows)
    reader.exactly(rows)
    index_ends = reader.offsets(widths.lists, rows)
    lists = reader.node(int(index_ends[-1]))
    reader.exactly(lists * rank)
    indices = reader.numbers(np.dtype(f"<i{widths.index}"), lists * rank).reshape(lists, rank)
    reader.exactly(rows)
    ends = reader.offsets(field.levels[0].width, rows)
    values = _leaf(field, reader.node(int(ends[-1])), reader)
    shapes = _shapes(rank, np.dtype(f"<i{widths.size}"), (rows, reader))
    arrays = []
    elements = 0
    for row, shape in enumerate(shapes):
        places = indices[index_ends[row] : index_ends[row + 1]]
        sparse = Sparse(places, values[ends[row] : ends[row + 1]], shape)
        elements += math.prod(shape)
        if elements > MAX_ELEMENTS:
            raise ValueError("sparse rows stand for too many elements")
        arrays.append(sparse)
    return SparseRows(field.name, field.leaf.dtype, arrays)
