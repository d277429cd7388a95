"""Reads an Arrow schema message into the few layouts that a tensor can have.

pyarrow is not used for this: it forgets the mark of bfloat16 inside its tensor types.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from millrace._dtypes import BF16
from millrace._flatbuffers import Table

MAX_RANK = 16

# Of Arrow's union `Type`.
_INT, _FLOAT, _BINARY, _UTF8, _BOOL, _LIST, _STRUCT = 2, 3, 4, 5, 6, 12, 13
_FIXED_LIST, _LARGE_BINARY, _LARGE_UTF8, _LARGE_LIST = 16, 19, 20, 21

_TEXTS = {
    _BINARY: ("BYTES", 4),
    _UTF8: ("STRING", 4),
    _LARGE_BINARY: ("BYTES", 8),
    _LARGE_UTF8: ("STRING", 8),
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """The elements: `width` is the bytes of their offsets, 0 for numbers and booleans."""

    dtype: str
    width: int = 0


@dataclass(frozen=True, slots=True)
class Level:
    """One nesting of lists: of fixed `size`, or with offsets of `width` bytes."""

    size: int = -1
    width: int = 0


@dataclass(frozen=True, slots=True)
class SparseWidths:
    """Bytes of the offsets of the lists of indices, of each index, of each size in a shape."""

    lists: int
    index: int
    size: int


@dataclass(frozen=True, slots=True)
class Field:
    """How one column is stored.

    `shape` is the row's for "fixed"; for "variable" and "sparse", `rank` dimensions are written
    beside the elements.
    """

    name: str
    leaf: Leaf
    levels: tuple[Level, ...]
    kind: Literal["nested", "fixed", "variable", "sparse"] = "nested"
    shape: tuple[int, ...] = ()
    rank: int = 0
    widths: SparseWidths | None = None


def parse(message: Table) -> list[Field]:
    """The columns of a schema message.

    Raises:
        ValueError, struct.error: Not such a schema, or with types that no tensor has.
    """
    schema = message.table(2)
    if message.u8(1) != 1 or schema is None:
        raise ValueError("a schema message was expected")
    if schema.i16(0) != 0:
        raise ValueError("big-endian records are not supported")
    fields = [_column(field) for field in schema.tables(1)]
    names = [field.name for field in fields]
    if not fields or "" in names or len(set(names)) != len(names):
        raise ValueError("columns need names, each its own")
    return fields


def _column(field: Table) -> Field:
    name, extension = field.text(0), _extensions(field)
    kind = extension.get("ARROW:extension:name", "")
    if kind == "arrow.variable_shape_tensor":
        data, shape = _children(field, ("data", "shape"), name)
        levels, leaf = _lists(data, name)
        _expect(len(levels) == 1 and levels[0].width > 0, name)
        rank, size = _sizes(shape, name)
        _expect(size == 4, name)
        _no_permutation(extension, rank, name)
        return Field(name, leaf, levels, "variable", rank=rank)
    if kind == "millrace.sparse_coo":
        return _sparse(field, name)
    levels, leaf = _lists(field, name)
    if kind != "arrow.fixed_shape_tensor":
        _expect(kind in ("", "millrace.bfloat16"), name)
        return Field(name, leaf, levels)
    _expect(len(levels) == 1 and levels[0].size >= 0, name)
    row_shape = tuple(_metadata(extension, name).get("shape", ()))
    product = 1
    for size in row_shape:
        _expect(type(size) is int and size >= 0, name)
        product *= size
    _expect(product == levels[0].size and len(row_shape) < MAX_RANK, name)
    _no_permutation(extension, len(row_shape), name)
    return Field(name, leaf, levels, "fixed", row_shape)


def _sparse(field: Table, name: str) -> Field:
    indices, values, shape = _children(field, ("indices", "values", "shape"), name)
    index_levels, index = _lists(indices, name)
    levels, leaf = _lists(values, name)
    rank, size = _sizes(shape, name)
    _expect(len(index_levels) == 2 and index_levels[0].width > 0, name)
    _expect(index_levels[1].size == rank and index.dtype in ("INT32", "INT64"), name)
    _expect(len(levels) == 1 and levels[0].width > 0, name)
    widths = SparseWidths(index_levels[0].width, _bytes_of(index.dtype), size)
    return Field(name, leaf, levels, "sparse", rank=rank, widths=widths)


def _children(field: Table, names: tuple[str, ...], column: str) -> list[Table]:
    children = list(field.tables(5))
    _expect(field.u8(2) == _STRUCT and tuple(it.text(0) for it in children) == names, column)
    return children


def _sizes(field: Table, column: str) -> tuple[int, int]:
    """The rank that a column of shapes has, and the bytes of each size."""
    levels, leaf = _lists(field, column)
    _expect(len(levels) == 1 and leaf.dtype in ("INT32", "INT64"), column)
    _expect(1 <= levels[0].size < MAX_RANK, column)
    return levels[0].size, _bytes_of(leaf.dtype)


def _bytes_of(dtype: str) -> int:
    return 4 if dtype == "INT32" else 8


def _lists(field: Table, column: str) -> tuple[tuple[Level, ...], Leaf]:
    levels: list[Level] = []
    while True:
        _expect(not field.has(4), column)  # dictionaries
        kind = field.u8(2)
        if kind not in (_LIST, _LARGE_LIST, _FIXED_LIST):
            return tuple(levels), _leaf(field, kind, column)
        _expect(len(levels) < MAX_RANK, column)
        if kind == _FIXED_LIST:
            fixed = field.table(3)
            size = fixed.i32(0) if fixed else -1
            _expect(size >= 0, column)
            levels.append(Level(size=size))
        else:
            levels.append(Level(width=4 if kind == _LIST else 8))
        children = list(field.tables(5))
        _expect(len(children) == 1, column)
        field = children[0]


def _leaf(field: Table, kind: int, column: str) -> Leaf:
    if kind in _TEXTS:
        return Leaf(*_TEXTS[kind])
    if kind == _BOOL:
        return Leaf("BOOL")
    detail = field.table(3)
    if kind == _INT and detail is not None:
        bits, signed = detail.i32(0), detail.u8(1)
        _expect(bits in (8, 16, 32, 64), column)
        if _extensions(field).get("ARROW:extension:name") == "millrace.bfloat16":
            _expect(bits == 16 and not signed, column)
            return Leaf(BF16)
        return Leaf(f"{'' if signed else 'U'}INT{bits}")
    if kind == _FLOAT and detail is not None:
        precision = detail.i16(0)
        _expect(0 <= precision <= 2, column)
        return Leaf(("FP16", "FP32", "FP64")[precision])
    raise ValueError(f"column {column!r} has a type that no tensor has")


def _extensions(field: Table) -> dict[str, str]:
    return {pair.text(0): pair.text(1) for pair in field.tables(6)}


def _metadata(extensions: dict[str, str], column: str) -> dict[str, list[int]]:
    metadata = json.loads(extensions.get("ARROW:extension:metadata") or "{}")
    _expect(isinstance(metadata, dict), column)
    return metadata  # type: ignore[no-any-return]


def _no_permutation(extensions: dict[str, str], rank: int, column: str) -> None:
    permutation = _metadata(extensions, column).get("permutation")
    _expect(permutation is None or permutation == list(range(rank)), column)


def _expect(holds: bool, column: str) -> None:
    if not holds:
        raise ValueError(f"column {column!r} is stored in a way that no tensor is")
