"""Records that a decoder must not take, with the kind of error and a piece of its message."""

import datetime

import pyarrow as pa

from arrow_vectors import EXTENSION_METADATA, EXTENSION_NAME, record_batch, scalar, stream


def refused_vectors():
    """Name -> bytes, kind of error, piece of its message."""

    def one(array, metadata=None):
        field = pa.field("x", array.type, metadata=metadata)
        return stream(*both(pa.RecordBatch.from_arrays([array], schema=pa.schema([field]))))

    def both(batch):
        return batch.schema, [batch]

    good = record_batch([scalar("x", "FP32", 2)])
    when = datetime.datetime(2026, 1, 1)
    by_type = {
        "dictionary": (pa.array(["a"]).dictionary_encode(), "dictionary-encoded"),
        "timestamp": (pa.array([when], pa.timestamp("us")), "type Timestamp"),
        "decimal": (pa.array([1], pa.decimal128(5)), "type Decimal"),
        "null-type": (pa.nulls(2), "type Null"),
        "map": (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())), "type Map"),
        "struct": (pa.array([{"a": 1}]), "type Struct_"),
        "string-view": (pa.array(["a"], pa.string_view()), "type Utf8View"),
        "list-view": (pa.array([[1]], pa.list_view(pa.int8())), "type ListView"),
        "fixed-size-binary": (pa.array([b"ab"], pa.binary(2)), "type FixedSizeBinary"),
        "run-end": (pa.RunEndEncodedArray.from_arrays([2], [1.0]), "type RunEndEncoded"),
        "union": (
            pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]),
            "type Union",
        ),
    }
    refused = {
        name: (one(array), "unsupported", f"column x {'is' if name == 'dictionary' else 'has'} {what}")
        for name, (array, what) in by_type.items()
    }
    deep = pa.float32()
    for _ in range(40):
        deep = pa.list_(deep)
    lz4 = pa.ipc.IpcWriteOptions(compression="lz4")
    file = pa.BufferOutputStream()
    with pa.ipc.new_file(file, good.schema) as writer:
        writer.write_batch(good)
    permuted = {
        EXTENSION_NAME: "arrow.fixed_shape_tensor",
        EXTENSION_METADATA: '{"shape":[1,2],"permutation":[1,0]}',
    }
    wrong_size = permuted | {EXTENSION_METADATA: '{"shape":[3]}'}
    pair = pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))
    no_rows, two_names = good.slice(0, 0), pa.RecordBatch.from_arrays([pa.array([1])] * 2, ["x", "x"])
    refused |= {
        "nulls": (one(pa.array([1.0, None])), "malformed", "column x has a null count of 1"),
        "nulls-in-list": (one(pa.array([[1, None]])), "malformed", "column x has a null count of 1"),
        "ragged": (one(pa.array([[[1], [2, 3], []]])), "malformed", "within row 0"),
        "too-deep": (one(pa.array([[]], deep)), "too_large", "dimensions"),
        "other-extension": (one(pair, {EXTENSION_NAME: "a.b"}), "unsupported", "extension type a.b"),
        "permuted": (one(pair, permuted), "unsupported", "permuted dimensions"),
        "tensor-of-wrong-size": (one(pair, wrong_size), "malformed", "tensor shape"),
        "no-rows": (stream(*both(no_rows)), "malformed", "0 rows"),
        "no-columns": (stream(*both(good.select([]))), "malformed", "no columns"),
        "same-name-twice": (stream(*both(two_names)), "malformed", "occurs twice"),
        "compressed": (stream(good.schema, [good], lz4), "unsupported", "compressed"),
        "two-batches": (stream(good.schema, [good, good]), "unsupported", "more than one record batch"),
        "no-batch": (stream(good.schema, []), "malformed", "end-of-stream marker"),
        "schema-twice": (stream(good.schema, [])[:-8] * 2, "malformed", "expected a record batch"),
        "batch-first": (good.serialize().to_pybytes(), "malformed", "expected a schema"),
        "bytes-after-end": (stream(good.schema, [good]) + b"\0" * 8, "malformed", "after its end"),
        "no-end": (stream(good.schema, [good])[:-8], "malformed", "no end-of-stream marker"),
        "file-format": (file.getvalue().to_pybytes(), "malformed", "0xffffffff"),
        "empty": (b"", "malformed", "record is empty"),
        "only-end": (b"\xff\xff\xff\xff\0\0\0\0", "malformed", "a schema was expected"),
        "json": (b'{"instances": [1.0, 2.0]}', "malformed", "0xffffffff"),
    }
    return refused
