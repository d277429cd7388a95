"""One value for one input: to an array of the input's own type, or a sentence why not.

Python's numbers and lists have no element type of their own: they become what the model takes, if
they fit. Arrays have one, and it is kept to as far as `casting` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from millrace import _images
from millrace._columns import Column, Dense, Ragged, Sparse, SparseRows
from millrace._dtypes import BYTES, STRING, Array, name_of
from millrace._exceptions import InputError, WrongShape, WrongType
from millrace._frames import column_of, is_column
from millrace._signature import TensorSpec, describe


@dataclass(frozen=True, slots=True)
class Rows:
    """A column of a frame: rows, never a single instance."""

    column: object


def prepare(spec: TensorSpec, value: object, casting: str) -> tuple[Column, bool]:
    """The column of one input, and whether `value` is one instance without a dimension of rows.

    Raises:
        InputError: The value does not fit.
    """
    try:
        return _prepare(spec, value, casting)
    except InputError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"input {spec.name} must be {spec}: {error}") from error


def _prepare(spec: TensorSpec, value: object, casting: str) -> tuple[Column, bool]:
    if isinstance(value, Rows):
        column, single = _prepare(spec, value.column, casting)
        if single:
            shape = column.values.shape if isinstance(column, Dense) else ()
            raise _wrong_shape(spec, shape)
        return column, False
    if is_column(value):
        return _prepare(spec, Rows(column_of(value)), casting)
    sparse = _sparse_rows(spec, value)
    if sparse is not None:
        return _check_sparse(spec, *sparse, casting)
    value = _without_files(spec, value)
    try:
        array = _array(spec, value, casting)
    except _RaggedError:
        return _ragged(spec, value, casting), False
    return _dense(spec, array)


def _dense(spec: TensorSpec, array: Array) -> tuple[Column, bool]:
    rank = len(spec.shape)
    if array.ndim == rank and spec.takes_row(array.shape[1:]):
        return Dense(spec.name, spec.dtype, array), False
    if array.ndim == rank - 1 and spec.takes_row(array.shape):
        return Dense(spec.name, spec.dtype, array[np.newaxis]), True
    raise _wrong_shape(spec, array.shape)


def _wrong_shape(spec: TensorSpec, shape: tuple[int, ...]) -> WrongShape:
    given = describe(spec.dtype, shape)
    one = describe(spec.dtype, spec.shape[1:])
    return WrongShape(f"input {spec.name} must be {spec}, or {one} for one instance, got {given}")


def _ragged(spec: TensorSpec, value: object, casting: str) -> Column:
    """Rows of differing shapes; `value` is a list of them."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        raise WrongType(f"input {spec.name} must be {spec}, got {type(value).__name__}")
    rows = []
    for row in value:
        try:
            array = _array(spec, row, casting)
        except _RaggedError as error:
            raise WrongShape(f"input {spec.name} has a ragged row: {error}") from error
        if not spec.takes_row(array.shape):
            raise _wrong_shape(spec, (len(value), *array.shape))
        rows.append(array)
    return Ragged(spec.name, spec.dtype, rows)


class _RaggedError(ValueError):
    """Nested lists are no array."""


def _array(spec: TensorSpec, value: object, casting: str) -> Array:
    if spec.dtype in (STRING, BYTES):
        return _texts(spec, value)
    given, is_strong = _given(spec, value)
    wanted = spec.numpy_dtype
    if given.dtype == wanted:
        return given
    if is_strong:
        return _cast(spec, given, casting)
    return _weak(spec, given, value)


def _given(spec: TensorSpec, value: object) -> tuple[Array, bool]:
    """Numbers as numpy sees them, and whether they came with an element type of their own."""
    is_strong = not isinstance(value, (bool, int, float, list, tuple))
    try:
        given = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        if isinstance(value, (list, tuple)):
            raise _RaggedError(str(error)) from error
        raise WrongType(f"input {spec.name} must be {spec}: {error}") from error
    if given.dtype == np.object_ and given.ndim == 1 and len(given):
        if isinstance(given[0], (list, tuple, np.ndarray)):
            if is_strong:
                return _given(spec, list(given))
            raise _RaggedError("rows of different shapes")
        is_strong = False
    elif given.size == 0 and not is_strong:
        given = given.astype(spec.numpy_dtype)
    return given, is_strong


def _cast(spec: TensorSpec, given: Array, casting: str) -> Array:
    """An array of another element type, as far as casting allows; what overflows is refused."""
    wanted = spec.numpy_dtype
    allowed = np.can_cast(given.dtype, wanted, "safe" if casting == "no" else casting)  # type: ignore[arg-type]
    if wanted.name == "bfloat16" and casting == "same_kind":
        allowed = given.dtype.kind == "f"
    if casting == "same_kind" and given.dtype.kind in "iu" and wanted.kind in "iu":
        allowed = True  # also from signed to unsigned: the values are looked at
    if casting == "no" or not allowed:
        got = describe(name_of(given.dtype), given.shape)
        hint = f"; convert it with .astype({wanted.name!r}) or allow it with casting='same_kind'"
        hint = hint if given.dtype.kind in "iufb" else ""
        raise WrongType(f"input {spec.name} must be {spec}, got {got}{hint}")
    with np.errstate(over="ignore"):
        converted = given.astype(wanted)
    _no_overflow(spec, given, converted)
    return converted


def _weak(spec: TensorSpec, given: Array, value: object) -> Array:
    """Python's numbers: integers must keep their value, decimals become the nearest."""
    wanted = spec.numpy_dtype
    kinds = {"b": "b", "i": "biu", "u": "biu"}.get(wanted.kind, "biuf")
    if given.dtype == np.object_:
        if wanted.kind in "iub" and not all(isinstance(it, int) for it in given.ravel()):
            raise _wrong_type(spec, value)
    elif given.dtype.kind not in kinds:
        raise _wrong_type(spec, given)
    with np.errstate(over="ignore"):
        converted = np.array(value if given.dtype == np.object_ else given, dtype=wanted)
    _no_overflow(spec, given, converted)
    return converted


def _wrong_type(spec: TensorSpec, given: object) -> WrongType:
    if isinstance(given, np.ndarray):
        got = describe(name_of(given.dtype), given.shape)
    else:
        got = type(given).__name__
    return WrongType(f"input {spec.name} must be {spec}, got {got}")


def _no_overflow(spec: TensorSpec, given: Array, converted: Array) -> None:
    if given.dtype == np.object_:
        return  # Python's own integers overflow by themselves
    if converted.dtype.kind in "iu" and given.dtype.kind in "iu":
        limits = np.iinfo(converted.dtype)
        fits = given.size == 0 or limits.min <= int(given.min()) <= int(given.max()) <= limits.max
    elif given.dtype.kind == "f" and converted.dtype.kind != "b":
        fits = bool((np.isfinite(given) <= np.isfinite(converted.astype(np.float64))).all())
    else:
        fits = True
    if not fits:
        raise WrongType(f"input {spec.name} must be {spec}, and a value given is out of its range")


def _texts(spec: TensorSpec, value: object) -> Array:
    """Text or bytes as an array of objects."""
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        array = np.empty((), np.object_)
        array[()] = value
    else:
        array = np.asarray(value, np.object_) if _is_even(value) else _uneven()
    if array.ndim and array.size and isinstance(array.flat[0], np.ndarray):
        return _texts(spec, array.tolist())
    flat = [_text(spec, item) for item in array.ravel().tolist()]
    texts = np.empty(len(flat), np.object_)
    texts[:] = flat
    return texts.reshape(array.shape)


def _text(spec: TensorSpec, item: object) -> str | bytes:
    if spec.dtype == STRING:
        if isinstance(item, str):
            return item
    elif isinstance(item, str):
        return item.encode()
    elif isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    if isinstance(item, list):
        raise _RaggedError("lists of different lengths")
    raise WrongType(f"input {spec.name} must be {spec}, got {type(item).__name__}")


def _is_even(value: object) -> bool:
    """Whether nested lists make an array; numpy would make objects of uneven ones."""
    if not isinstance(value, (list, tuple)) or not value:
        return True
    nested = [isinstance(item, (list, tuple, np.ndarray)) for item in value]
    if not any(nested):
        return True
    if not all(nested):
        return False
    shapes = {_shape(item) for item in value}
    return len(shapes) == 1 and None not in shapes


def _shape(value: object) -> tuple[int, ...] | None:
    if isinstance(value, np.ndarray):
        return tuple(value.shape)
    if not isinstance(value, (list, tuple)):
        return ()
    shapes = {_shape(item) for item in value} or {()}
    inner = shapes.pop()
    return None if shapes or inner is None else (len(value), *inner)


def _uneven() -> Array:
    raise _RaggedError("lists of different lengths")


def _without_files(spec: TensorSpec, value: object) -> object:
    """Paths, encoded files and images of Pillow, alone or in a list, as bytes or pixels."""
    if isinstance(value, (list, tuple)) and value:
        items = [_file(spec, item) for item in value]
        if any(new is not old for new, old in zip(items, value, strict=True)):
            return items
        return value
    if spec.dtype == BYTES and isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
        return bytes(_images.encode_pixels(value, spec.name))
    return _file(spec, value)


def _file(spec: TensorSpec, value: object) -> object:
    image: object = None
    if isinstance(value, bytes) and spec.dtype not in (STRING, BYTES):
        image = _images.Encoded(value)
    elif _images.is_pillow(value):
        image = _images.encode_pillow(value) if spec.dtype == BYTES else value
    else:
        image = _images.as_file(value, spec.name)
    if image is None:
        return value
    if spec.dtype == BYTES:
        return bytes(image)  # type: ignore[call-overload]
    if spec.dtype == STRING:
        raise WrongType(f"input {spec.name} must be {spec}, got a file")
    pixels = _images.pixels(image, spec)
    return pixels.astype(spec.numpy_dtype) if spec.dtype != "INT8" else pixels


def _sparse_rows(spec: TensorSpec, value: object) -> tuple[list[Sparse], bool] | None:
    """The sparse instances that a value stands for, and whether it is a single one."""
    if isinstance(value, Sparse):
        return [value], True
    if isinstance(value, dict) and set(value) == {"shape", "data", "indices"}:
        return [Sparse(value["indices"], value["data"], value["shape"])], True
    if _is_scipy(value):
        return _scipy(spec, value)
    if not isinstance(value, (list, tuple)) or not value:
        return None
    if all(isinstance(item, Sparse) for item in value):
        return list(value), False
    triple = _triple(spec, value)
    return None if triple is None else ([triple], True)


def _triple(spec: TensorSpec, value: Sequence[object]) -> Sparse | None:
    """Cluster Serving's `[indices, values, shape]`, of arrays: no dense value looks like it."""
    if len(value) != 3 or not all(isinstance(part, np.ndarray) for part in value):
        return None
    indices, values, shape = (np.asarray(part) for part in value)
    rank = len(spec.shape) - 1
    if shape.shape != (rank,) or values.ndim != 1 or indices.shape != (len(values), rank):
        return None
    if indices.dtype.kind not in "iu" or shape.dtype.kind not in "iu":
        return None
    return Sparse(indices, values, shape)


def _is_scipy(value: object) -> bool:
    return type(value).__module__.startswith("scipy.sparse")


def _scipy(spec: TensorSpec, value: Any) -> tuple[list[Sparse], bool]:
    """A matrix or array of scipy: one instance, or rows of vectors."""
    if value.ndim == len(spec.shape) - 1:
        whole = value.tocoo()
        coordinates = whole.coords if hasattr(whole, "coords") else (whole.row, whole.col)
        return [Sparse(np.stack(coordinates, axis=1), whole.data, whole.shape)], True
    if value.ndim != 2 or len(spec.shape) != 2:
        raise _wrong_shape(spec, value.shape)
    matrix = value.tocsr()
    matrix.sum_duplicates()
    bounds = list(zip(matrix.indptr, matrix.indptr[1:], strict=False))
    width = matrix.shape[1:]
    return [Sparse(matrix.indices[a:b], matrix.data[a:b], width) for a, b in bounds], False


def _check_sparse(
    spec: TensorSpec, rows: list[Sparse], single: bool, casting: str
) -> tuple[Column, bool]:
    vector = TensorSpec(spec.name, spec.dtype, (-1,))
    checked = []
    for row in rows:
        if not spec.takes_row(row.shape):
            raise _wrong_shape(spec, row.shape)
        values = row.values
        if values.dtype != vector.numpy_dtype:
            values = _array(vector, values.tolist() if row.is_weak else values, casting)
        checked.append(Sparse(row.indices, values, row.shape))
    return SparseRows(spec.name, spec.dtype, checked), single
