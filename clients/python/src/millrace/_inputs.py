"""What a caller gives, checked against the model's signature and made into columns."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass
from typing import Literal

import numpy as np

from millrace._arrow_write import END_OF_STREAM, Template, encode, has_template
from millrace._columns import Column, Dense, row_count
from millrace._exceptions import InputError, MissingInput, UnknownInput, WrongShape
from millrace._frames import columns_of
from millrace._signature import Model
from millrace._values import Rows, prepare

Casting = Literal["no", "safe", "same_kind"]
_MOST_TEMPLATES = 256


@dataclass(slots=True)
class Request:
    """Columns for every input of a model.

    Attributes:
        columns: In the order of the signature.
        single: Whether one instance was given without a dimension of rows.
    """

    columns: list[Column]
    single: bool


class Binder:
    """Binds what is given to the inputs of one model.

    Arrays that fit as they are take a short way: nothing but their shapes is looked at, and the
    record's beginning is known from the last array of these shapes.
    """

    def __init__(self, model: Model, casting: Casting) -> None:
        self.model = model
        self._casting = casting
        self._wanted = [(spec.name, spec.numpy_dtype) for spec in model.inputs]
        self._templates: dict[tuple[tuple[int, ...], ...], tuple[Template, bool]] = {}
        self._has_templates = all(
            spec.dtype not in ("BOOL", "STRING", "BYTES") for spec in model.inputs
        )
        # For the many models of one input: before the elements, after them, whether an instance.
        self.alone: dict[tuple[int, ...], tuple[bytes, bytes, bool]] = {}
        self.only = self._wanted[0] if self._has_templates and len(self._wanted) == 1 else None

    def record(self, given: Mapping[str, object]) -> tuple[bytes, bool]:
        """One Arrow record, and whether it holds a single instance.

        Raises:
            InputError: What was given does not fit.
        """
        if self._has_templates and len(given) == len(self._wanted):
            shapes: list[tuple[int, ...]] = []
            parts: list[bytes] = []
            for name, dtype in self._wanted:
                value = given.get(name)
                # numpy's own types are single objects, so `is` is a sufficient test.
                if type(value) is not np.ndarray or value.dtype is not dtype:
                    break
                shapes.append(value.shape)
                parts.append(value.tobytes())
            else:
                known = self._templates.get(tuple(shapes))
                if known is not None:
                    return _join(known[0], parts), known[1]
        request = self.bind(given)
        record = _encoded(request.columns)
        self._remember(request)
        return record, request.single

    def bind(self, given: Mapping[str, object]) -> Request:
        """The columns, in the order of the signature.

        Raises:
            InputError: What was given does not fit.
        """
        inputs = self.model.inputs
        names = {spec.name for spec in inputs}
        for name in given:
            if name not in names:
                known = ", ".join(spec.name for spec in inputs)
                sentence = f"unknown input {name}; model {self.model.name} has {known}"
                raise UnknownInput(sentence)
        columns: list[Column] = []
        singles: dict[str, bool] = {}
        for spec in inputs:
            if spec.name not in given:
                raise MissingInput(f"missing input {spec.name}, expected {spec}")
            column, single = prepare(spec, given[spec.name], self._casting)
            columns.append(column)
            singles[spec.name] = single
        if not columns:
            raise InputError(f"model {self.model.name} has no inputs")
        _check_rows(columns, singles)
        return Request(columns, singles[columns[0].name])

    def _remember(self, request: Request) -> None:
        if not self._has_templates or len(self._templates) >= _MOST_TEMPLATES:
            return
        dense = [it for it in request.columns if isinstance(it, Dense) and has_template(it)]
        if len(dense) != len(request.columns):
            return
        skip = 1 if request.single else 0
        shapes = tuple(column.values.shape[skip:] for column in dense)
        template = Template(dense)
        self._templates[shapes] = (template, request.single)
        if self.only is not None:
            after = template.pads[0] + END_OF_STREAM
            self.alone[shapes[0]] = (template.head, after, request.single)


def gather(inputs: object, tensors: Mapping[str, object], model: Model) -> Mapping[str, object]:
    """The inputs of one call: a mapping or frame, keywords, or the only input itself.

    Raises:
        InputError: Both, or a bare value for a model of several inputs.
    """
    if inputs is None:
        return tensors
    if tensors:
        raise InputError("give inputs either as one mapping or frame, or by keyword, not both")
    try:
        frame = columns_of(inputs)
    except ValueError as error:
        raise InputError(str(error)) from error
    if frame is not None:
        if any(isinstance(column, Sized) and not len(column) for column in frame.values()):
            raise WrongShape("the frame has no rows, a request needs at least one")
        return {name: Rows(column) for name, column in frame.items()}
    names = [spec.name for spec in model.inputs]
    if isinstance(inputs, Mapping) and not (len(names) == 1 and _is_value(inputs, names[0])):
        return inputs
    if len(names) == 1:
        return {names[0]: inputs}
    raise InputError(f"model {model.name} has several inputs, name them: {', '.join(names)}")


def _is_value(given: Mapping[str, object], name: str) -> bool:
    """Whether a mapping is one value, such as `{"path": …}`, and not the inputs by name."""
    return name not in given and set(given) in (
        {"path"},
        {"b64"},
        {"bytes"},
        {"shape", "data", "indices"},
    )


def _join(template: Template, parts: list[bytes]) -> bytes:
    body = [piece for pair in zip(parts, template.pads, strict=True) for piece in pair]
    return b"".join((template.head, *body, END_OF_STREAM))


def _encoded(columns: list[Column]) -> bytes:
    try:
        return encode(columns)
    except OverflowError as error:
        raise InputError(str(error)) from error


def _check_rows(columns: list[Column], singles: dict[str, bool]) -> None:
    first = columns[0]
    rows = row_count(first)
    if rows == 0:
        raise WrongShape(f"input {first.name} has no rows, a request needs at least one")
    for column in columns[1:]:
        if singles[column.name] != singles[first.name]:
            one, many = (column, first) if singles[column.name] else (first, column)
            sentence = f"input {one.name} is one instance, input {many.name} is a batch of"
            raise WrongShape(f"{sentence} {row_count(many)}")
        if row_count(column) != rows:
            sentence = f"input {column.name} has {row_count(column)} rows, expected {rows}"
            raise WrongShape(f"{sentence} as in input {first.name}")
