"""Records that a decoder must not take, with the kind of error and a piece of its message."""

import datetime

import pyarrow as pa

from arrow_vectors import EXTENSION_METADATA, EXTENSION_NAME, record_batch, scalar, sparse, stream


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
    return refused | refused_sparse_vectors()


def refused_sparse_vectors():
    """Sparse columns that are wrong, or that stand for too much."""

    def one(shape, indices, values=None, kind=pa.int32()):
        rank = len(shape)
        children = {
            "indices": pa.array([indices], pa.list_(pa.list_(kind, rank))),
            "values": pa.array([values or [1.0] * len(indices)], pa.list_(pa.float32())),
            "shape": pa.array([shape], pa.list_(kind, rank)),
        }
        return of(children)

    def of(children):
        array = pa.StructArray.from_arrays(list(children.values()), names=list(children))
        metadata = {EXTENSION_NAME: "millrace.sparse_coo"}
        schema = pa.schema([pa.field("x", array.type, metadata=metadata)])
        return stream(schema, [pa.RecordBatch.from_arrays([array], schema=schema)])

    good = sparse("x", "FP32", [([2], [[1]])])[1]
    swapped = {name: good.field(name) for name in ["values", "indices", "shape"]}
    other = {name: good.field(name) for name in ["indices", "values"]} | {"shape": pa.array([[1.5]])}
    flat = {"indices": pa.array([[0]]), "values": good.field("values"), "shape": good.field("shape")}
    most = 2**31 - 1
    return {
        "sparse-outside": (one([2, 3], [[0, 3]]), "malformed", "an index is outside the shape (row 0)"),
        "sparse-negative-index": (one([2, 3], [[0, -1]]), "malformed", "an index is outside the shape"),
        "sparse-negative-shape": (one([2, -3], []), "malformed", "its shape is negative"),
        "sparse-twice": (
            one([2, 3], [[1, 1], [0, 0], [1, 1]]),
            "malformed",
            "two elements have the same index (row 0)",
        ),
        "sparse-uneven": (one([2, 3], [[0, 0]], [1.0, 2.0]), "malformed", "differ in number (row 0)"),
        "sparse-huge": (one([most, most], [[0, 0]]), "too_large", "more elements than the limit"),
        "sparse-huger": (
            one([2**62, 2**62], [[0, 0]], kind=pa.int64()),
            "malformed",
            "its shape is negative or too large",
        ),
        "sparse-other-order": (of(swapped), "malformed", "not a struct of indices, values and shape"),
        "sparse-flat-indices": (of(flat), "malformed", "whose parts are not such lists"),
        "sparse-shape-of-floats": (of(other), "malformed", "whose parts are not such lists"),
    }
