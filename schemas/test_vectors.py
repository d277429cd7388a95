"""The golden vectors as Python sees them: as committed, as written again, and as Rust wrote them."""

import json
import pathlib

import fastavro
import numpy as np
import pyarrow as pa
import pytest

import arrow_vectors
import make_vectors
from arrow_vectors import TYPES

VECTORS = pathlib.Path(__file__).parent / "vectors"
INDEX = json.loads((VECTORS / "index.json").read_text())
BFLOAT16 = {b"ARROW:extension:name": b"millrace.bfloat16"}


def by_name(entries):
    return pytest.mark.parametrize("entry", entries, ids=[entry["name"] for entry in entries])


@by_name(INDEX["arrow"])
@pytest.mark.parametrize("folder", ["arrow", "rust"])
def test_record_holds_what_the_index_says(folder, entry):
    batch = read_record(VECTORS / folder / f"{entry['name']}.arrows")
    assert batch.num_rows == entry["rows"]
    for field, column, expected in zip(batch.schema, batch.columns, entry["columns"], strict=True):
        given = describe(field, column)
        if isinstance(column, pa.ExtensionArray) and expected["dtype"] == "BF16":
            given["dtype"] = given["dtype"].replace("UINT16", "BF16")
        assert given == expected


@by_name(INDEX["avro"])
def test_message_holds_what_the_index_says(entry):
    message = (VECTORS / "avro" / f"{entry['name']}.avro").read_bytes()
    assert message[:2] == b"\xc3\x01"
    schema = fastavro.schema.load_schema(VECTORS.parent / f"{entry['schema']}.avsc")
    datum = pa.BufferReader(message[10:])
    content = fastavro.schemaless_reader(datum, schema, None)
    assert make_vectors.plain(content) == entry["content"]
    assert datum.read() == b""


def test_vectors_written_again_are_the_same(tmp_path):
    make_vectors.write_all(tmp_path)
    assert json.loads((tmp_path / "index.json").read_text()) == INDEX
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    committed = {path.relative_to(VECTORS) for path in VECTORS.rglob("*") if path.is_file()}
    assert written == {path for path in committed if path.parts[0] != "rust"}
    for path in written:
        if path.parts[0] == "arrow":
            again, committed_batch = read_record(tmp_path / path), read_record(VECTORS / path)
            assert again.schema.equals(committed_batch.schema, check_metadata=True)
        elif path.parts[0] == "avro":
            assert (tmp_path / path).read_bytes() == (VECTORS / path).read_bytes()


def test_rust_wrote_every_vector():
    written = {path.stem for path in (VECTORS / "rust").iterdir()}
    assert written == {entry["name"] for entry in INDEX["arrow"]}


def read_record(path):
    with pa.ipc.open_stream(path.read_bytes()) as reader:
        (batch,) = reader
    for column in batch.columns:
        # pyarrow's full validation of its variable shape tensors knows numbers only.
        getattr(column, "storage", column).validate(full=True)
    return batch


def describe(field, column):
    """A column as the index describes it."""
    if (field.metadata or {}).get(b"ARROW:extension:name") == b"millrace.sparse_coo":
        return describe_sparse(field, column)
    extension = getattr(column.type, "extension_name", None)
    bfloat16 = is_bfloat16(field)
    if extension == "arrow.fixed_shape_tensor":
        shapes = [list(column.type.shape)] * len(column)
        items = column.storage.flatten()
    elif extension == "arrow.variable_shape_tensor":
        shapes = column.storage.field("shape").to_pylist()
        items = column.storage.field("data").flatten()
    else:
        shapes = [shape_of(row) for row in column.to_pylist()]
        shapes = [shape + zeros(column.type, len(shape)) for shape in shapes]
        items = flat(column)
    dtype = dtype_of(items.type, bfloat16)
    return {"name": field.name, "dtype": dtype, "row_shapes": shapes, "data": data_of(dtype, items)}


def describe_sparse(field, column):
    """A sparse column as the index describes it: dense."""
    shapes = column.field("shape").to_pylist()
    items = column.field("values").flatten()
    dtype = dtype_of(items.type, is_bfloat16(column.type.field("values")))
    dense = []
    rows = zip(shapes, column.field("indices").to_pylist(), column.field("values").to_pylist(), strict=True)
    for shape, indices, elements in rows:
        dense += arrow_vectors.dense_row(dtype, shape, indices, elements)
    items = pa.array(dense, items.type)
    return {"name": field.name, "dtype": dtype, "row_shapes": shapes, "data": data_of(dtype, items)}


def flat(column):
    while hasattr(column, "flatten") and pa.types.is_nested(column.type):
        column = column.flatten()
    return column


def shape_of(row):
    if not isinstance(row, list):
        return []
    return [len(row)] + (shape_of(row[0]) if row else [])


def zeros(arrow_type, known):
    """Dimensions below an empty list: 0, or the size that the type fixes."""
    sizes = []
    while pa.types.is_nested(arrow_type):
        is_fixed = pa.types.is_fixed_size_list(arrow_type)
        sizes.append(arrow_type.list_size if is_fixed else 0)
        arrow_type = arrow_type.value_type
    return sizes[known:]


def is_bfloat16(field):
    """Whether the leaf is marked; pyarrow's own tensor types forget the mark."""
    while pa.types.is_nested(field.type):
        field = field.type.value_field
    return BFLOAT16.items() <= (field.metadata or {}).items()


def dtype_of(arrow_type, bfloat16):
    if bfloat16:
        return "BF16"
    large = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
    arrow_type = large.get(arrow_type, arrow_type)
    return next(dtype for dtype, (known, _) in TYPES.items() if known == arrow_type)


def data_of(dtype, items):
    if dtype == "STRING":
        return items.to_pylist()
    if dtype == "BYTES":
        return [element.hex() for element in items.to_pylist()]
    numbers = items.to_numpy(zero_copy_only=False).astype(TYPES[dtype][1])
    return np.ascontiguousarray(numbers).tobytes().hex()
