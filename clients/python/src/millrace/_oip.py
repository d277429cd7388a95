"""Infer requests and answers of the Open Inference Protocol, with raw tensors behind their JSON."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from millrace._columns import Column, Dense
from millrace._dtypes import BYTES, STRING, Array, is_text, numpy_of
from millrace._exceptions import BadAnswer
from millrace._signature import Model, TensorSpec

HEADER_LENGTH = "Inference-Header-Content-Length"


def can_carry(columns: Sequence[Column]) -> bool:
    """Whether the protocol has a form for these: not for sparse rows and rows of differing shapes."""
    return all(isinstance(column, Dense) for column in columns)


def write_request(id: str, columns: Sequence[Column]) -> tuple[bytes, int]:
    """The body of an infer request for all outputs raw, and the length of its JSON."""
    inputs, raw = [], []
    for column in columns:
        values = column.values if isinstance(column, Dense) else np.empty(0)
        data = _raw(column.dtype, values)
        raw.append(data)
        inputs.append(
            {
                "name": column.name,
                "datatype": BYTES if is_text(column.dtype) else column.dtype,
                "shape": list(values.shape),
                "parameters": {"binary_data_size": len(data)},
            }
        )
    parameters = {"binary_data_output": True}
    envelope = json.dumps({"id": id, "parameters": parameters, "inputs": inputs}).encode()
    return b"".join([envelope, *raw]), len(envelope)


def read_answer(
    body: bytes, header_length: int, model: Model
) -> tuple[dict[str, Any], list[Dense]]:
    """The envelope of an infer answer and its outputs; the signature tells text from bytes.

    Raises:
        BadAnswer: It cannot be read.
    """
    try:
        envelope = json.loads(body[:header_length])
        kinds = {spec.name: spec.dtype for spec in model.outputs}
        columns, at = [], header_length
        for output in envelope["outputs"]:
            size = output["parameters"]["binary_data_size"]
            dtype = kinds.get(output["name"], output["datatype"])
            if dtype != output["datatype"] and not (is_text(dtype) and output["datatype"] == BYTES):
                dtype = output["datatype"]
            values = _values(dtype, body[at : at + size]).reshape(output["shape"])
            columns.append(Dense(output["name"], dtype, values))
            at += size
        if at != len(body):
            raise ValueError(f"{len(body) - at} bytes follow the last output")
        return envelope, columns
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise BadAnswer(f"the answer of ingest cannot be read: {error}") from error


def model_of(metadata: dict[str, Any], version: int, exact: dict[str, Any] | None) -> Model:
    """The signature out of `/v2/models/…`; `exact` tells text from bytes, which are one type there."""
    sides = []
    for side in ("inputs", "outputs"):
        known = {it["name"]: it["datatype"] for it in (exact or {}).get(side, ())}
        specs = []
        for tensor in metadata[side]:
            dtype = known.get(tensor["name"], tensor["datatype"])
            specs.append(TensorSpec(tensor["name"], dtype, tuple(tensor["shape"])))
        sides.append(tuple(specs))
    return Model(metadata["name"], version, sides[0], sides[1])


def _raw(dtype: str, values: Array) -> bytes:
    if not is_text(dtype):
        return values.tobytes()
    texts = values.ravel().tolist()
    encoded = [text.encode() for text in texts] if dtype == STRING else texts
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)


def _values(dtype: str, data: bytes) -> Array:
    if not is_text(dtype):
        return np.frombuffer(data, numpy_of(dtype)).copy()
    texts, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        text = data[at + 4 : at + 4 + length]
        if len(text) != length:
            raise ValueError("an element ends outside its output")
        texts.append(text.decode() if dtype == STRING else text)
        at += 4 + length
    values = np.empty(len(texts), np.object_)
    values[:] = texts
    return values
