"""The golden vectors of `schemas/`, which Rust reads and writes too: both directions."""

import contextlib
import json
import pathlib

import fastavro
import numpy as np
import pyarrow as pa
import pytest

from millrace import _arrow_read, _avro, _claims
from millrace._arrow_read import decode
from millrace._arrow_write import Template, encode, has_template
from millrace._columns import Dense, Ragged, Sparse, SparseRows, as_array
from millrace._exceptions import BadAnswer
from millrace._signature import TensorSpec

SCHEMAS = pathlib.Path(__file__).parents[3] / "schemas"
VECTORS = SCHEMAS / "vectors"
INDEX = json.loads((VECTORS / "index.json").read_text())


def by_name(entries):
    return pytest.mark.parametrize("entry", entries, ids=[entry["name"] for entry in entries])


@by_name(INDEX["arrow"])
@pytest.mark.parametrize("folder", ["arrow", "rust"])
def test_a_record_of_others_is_read_as_the_index_says(folder, entry):
    record = (VECTORS / folder / f"{entry['name']}.arrows").read_bytes()
    for _ in range(2):  # the second time its beginning is known
        assert [describe(column) for column in decode(record)] == entry["columns"]


@by_name(INDEX["claims"])
def test_headers_of_values_in_a_store(entry):
    headers = {name: value.encode() for name, value in entry["headers"].items()}
    if refused := entry.get("refused"):
        with pytest.raises(BadAnswer, match=f"header {refused} "):
            _claims.read_claim(headers)
    else:
        claim = _claims.read_claim(headers)
        assert claim._asdict() == entry["claim"]
        assert dict(claim.headers()) == entry["headers"]


@by_name(INDEX["arrow"])
def test_a_record_of_ours_has_the_body_that_rust_writes(entry):
    record = (VECTORS / "rust" / f"{entry['name']}.arrows").read_bytes()
    ours = encode(decode(record))
    assert [describe(column) for column in decode(ours)] == entry["columns"]
    assert body(ours) == body(record)


@by_name(INDEX["arrow"])
def test_a_record_of_ours_is_opened_by_pyarrow(entry):
    record = encode(decode((VECTORS / "rust" / f"{entry['name']}.arrows").read_bytes()))
    with pa.ipc.open_stream(record) as reader:
        (batch,) = reader
    assert batch.num_rows == entry["rows"]
    assert batch.schema.names == [column["name"] for column in entry["columns"]]
    for column in batch.columns:
        getattr(column, "storage", column).validate(full=True)
    original = pa.ipc.open_stream(VECTORS / "rust" / f"{entry['name']}.arrows")
    assert batch.schema.equals(original.schema, check_metadata=True)
    assert batch.equals(original.read_next_batch()) or has_nan(entry)


@by_name(INDEX["arrow"])
def test_a_template_writes_what_the_encoder_writes(entry):
    columns = decode((VECTORS / "rust" / f"{entry['name']}.arrows").read_bytes())
    if not all(has_template(column) for column in columns):
        return
    template = Template(columns)
    body = [
        part
        for column, pad in zip(columns, template.pads, strict=True)
        for part in (column.values.tobytes(), pad)
    ]
    assert b"".join([template.head, *body, _arrow_read.END_OF_STREAM]) == encode(columns)


@by_name(INDEX["refused"])
def test_a_refused_record_is_no_answer(entry):
    record = (VECTORS / "refused" / f"{entry['name']}.arrows").read_bytes()
    with pytest.raises(BadAnswer):
        decode(record)


def test_a_damaged_record_is_refused_and_never_more():
    record = bytearray((VECTORS / "rust" / "several-columns.arrows").read_bytes())
    random = np.random.default_rng(7)
    for _ in range(3000):
        damaged = record.copy()
        for at in random.integers(0, len(record), random.integers(1, 4)):
            damaged[at] = random.integers(0, 256)
        with contextlib.suppress(BadAnswer):
            decode(bytes(damaged))
    for length in range(len(record)):
        with pytest.raises(BadAnswer):
            decode(bytes(record[:length]))


def test_a_damaged_end_is_noticed_although_the_beginning_is_known():
    record = (VECTORS / "rust" / "fp32-fixed.arrows").read_bytes()
    decode(record)
    with pytest.raises(BadAnswer):
        decode(record[:-1] + b"\1")


@pytest.mark.parametrize("offsets", [[0, 2, 1, 3], [-1, 1, 2, 3], [0, 1, 2, 4000]])
def test_offsets_that_lead_astray_are_refused(offsets):
    texts = np.array(["a", "b", "c"], np.object_)
    record = encode([Dense("x", "STRING", texts)])
    good = np.arange(4, dtype=np.int32).tobytes()
    assert record.count(good) == 1
    with pytest.raises(BadAnswer):
        decode(record.replace(good, np.array(offsets, np.int32).tobytes()))


@by_name([entry for entry in INDEX["avro"] if entry["schema"] == "model_descriptor"])
def test_a_descriptor_is_read_as_the_index_says(entry):
    descriptor = _avro.decode_descriptor((VECTORS / "avro" / f"{entry['name']}.avro").read_bytes())
    for name, expected in entry["content"].items():
        if name in ("inputs", "outputs"):
            expected = [TensorSpec(it["name"], it["dtype"], tuple(it["shape"])) for it in expected]
        given = getattr(descriptor, name)
        assert (list(given) if isinstance(given, tuple) else given) == expected, name


def test_a_damaged_descriptor_is_refused():
    message = (VECTORS / "avro" / "model-available.avro").read_bytes()
    for length in range(len(message)):
        with pytest.raises(ValueError):
            _avro.decode_descriptor(message[:length])
    with pytest.raises(ValueError):
        _avro.decode_descriptor(message + b"\0")


def test_the_fingerprint_is_that_of_the_schema():
    schema = fastavro.schema.load_schema(SCHEMAS / "model_descriptor.avsc")
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    fingerprint = bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
    assert b"\xc3\x01" + fingerprint == _avro.HEADER


def body(record):
    """What follows the two messages: buffers, in the same order and with the same padding."""
    at = 0
    for _ in range(2):
        at += 8 + int.from_bytes(record[at + 4 : at + 8], "little")
    return record[at:]


def has_nan(entry):
    """Arrow's `equals` never finds NaN equal; the index has compared those."""
    return any(column["dtype"].startswith(("FP", "BF")) for column in entry["columns"])


def describe(column):
    """A column as the index describes it."""
    match column:
        case Dense(name, dtype, values):
            shapes = [list(values.shape[1:])] * len(values)
            flat = values.ravel()
        case Ragged(name, dtype, rows):
            shapes = [list(row.shape) for row in rows]
            flat = np.concatenate([row.ravel() for row in rows])
        case SparseRows(name, dtype, rows):
            assert all(isinstance(row, Sparse) for row in rows)
            shapes = [list(row.shape) for row in rows]
            dense = as_array(column)
            arrays = dense if dense.dtype == object and dense.ndim == 1 else list(dense)
            flat = np.concatenate([np.ravel(row) for row in arrays])
    if dtype == "STRING":
        data = flat.tolist()
    elif dtype == "BYTES":
        data = [item.hex() for item in flat.tolist()]
    else:
        data = np.ascontiguousarray(flat).tobytes().hex()
    return {"name": name, "dtype": dtype, "row_shapes": shapes, "data": data}
