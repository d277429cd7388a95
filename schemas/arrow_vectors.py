"""The records of the golden vectors: every dtype in every layout, and what each record holds."""

import json

import numpy as np
import pyarrow as pa

EXTENSION_NAME = "ARROW:extension:name"
EXTENSION_METADATA = "ARROW:extension:metadata"
BFLOAT16 = {EXTENSION_NAME: "millrace.bfloat16", EXTENSION_METADATA: ""}

# dtype -> (Arrow type, numpy type or None); BF16 is stored as the bits of its numbers.
TYPES = {
    "BOOL": (pa.bool_(), np.bool_),
    "INT8": (pa.int8(), np.int8),
    "INT16": (pa.int16(), np.int16),
    "INT32": (pa.int32(), np.int32),
    "INT64": (pa.int64(), np.int64),
    "UINT8": (pa.uint8(), np.uint8),
    "UINT16": (pa.uint16(), np.uint16),
    "UINT32": (pa.uint32(), np.uint32),
    "UINT64": (pa.uint64(), np.uint64),
    "FP16": (pa.float16(), np.float16),
    "BF16": (pa.uint16(), np.uint16),
    "FP32": (pa.float32(), np.float32),
    "FP64": (pa.float64(), np.float64),
    "STRING": (pa.string(), None),
    "BYTES": (pa.binary(), None),
}


def values(dtype, count):
    """`count` elements that differ, extremes first."""
    if dtype == "STRING":
        texts = ["", "a\0b", "Mühlgraben", "水車", "🌊", "plain"]
        return [texts[i % len(texts)] + ("" if i < len(texts) else str(i)) for i in range(count)]
    if dtype == "BYTES":
        return [bytes(range(256))[i * 7 : i * 7 + i] for i in range(count)]
    if dtype == "BOOL":
        return np.array([i % 3 == 0 for i in range(count)])
    if dtype == "BF16":
        bits = [0x3F80, 0xC000, 0x7F80, 0x7FC0, 0x8000]
        return np.array([bits[i] if i < len(bits) else 0x4000 + i for i in range(count)], np.uint16)
    number = TYPES[dtype][1]
    if np.issubdtype(number, np.floating):
        limits = np.finfo(number)
        first = [limits.max, limits.smallest_subnormal, -0.0, np.inf, np.nan]
        rest = [i + 0.25 for i in range(count)]
    else:
        limits = np.iinfo(number)
        first = [limits.min, limits.max]
        rest = list(range(count))
    return np.array((first + rest)[:count], number)


def leaf(dtype, data):
    return pa.array(list(data) if isinstance(data, list) else data, TYPES[dtype][0])


def leaf_field(name, dtype):
    return pa.field(name, TYPES[dtype][0], metadata=BFLOAT16 if dtype == "BF16" else None)


def content(name, dtype, row_shapes, data):
    """A column of the index."""
    if dtype == "BYTES":
        data = [element.hex() for element in data]
    elif dtype != "STRING":
        data = np.ascontiguousarray(data).tobytes().hex()
    return {"name": name, "dtype": dtype, "row_shapes": row_shapes, "data": data}


def scalar(name, dtype, rows):
    data = values(dtype, rows)
    return leaf_field(name, dtype), leaf(dtype, data), content(name, dtype, [[]] * rows, data)


def fixed(name, dtype, rows, shape):
    size = int(np.prod(shape))
    data = values(dtype, rows * size)
    storage = pa.list_(leaf_field("item", dtype), size)
    metadata = {
        EXTENSION_NAME: "arrow.fixed_shape_tensor",
        EXTENSION_METADATA: json.dumps({"shape": shape}),
    }
    array = fixed_size_lists(leaf(dtype, data), storage, rows)
    field = pa.field(name, storage, metadata=metadata)
    return field, array, content(name, dtype, [shape] * rows, data)


def fixed_size_lists(items, storage, rows):
    return pa.Array.from_buffers(storage, rows, [None], children=[items])


def variable(name, dtype, shapes):
    counts = [int(np.prod(shape)) for shape in shapes]
    data = values(dtype, sum(counts))
    lists = pa.list_(leaf_field("item", dtype))
    sizes = pa.list_(pa.field("item", pa.int32()), len(shapes[0]))
    children = [
        pa.Array.from_buffers(
            lists, len(shapes), [None, offsets(counts, np.int32)], children=[leaf(dtype, data)]
        ),
        fixed_size_lists(pa.array(np.array(shapes, np.int32).ravel()), sizes, len(shapes)),
    ]
    storage = pa.struct([pa.field("data", lists), pa.field("shape", sizes)])
    metadata = {EXTENSION_NAME: "arrow.variable_shape_tensor", EXTENSION_METADATA: "{}"}
    array = pa.Array.from_buffers(storage, len(shapes), [None], children=children)
    field = pa.field(name, storage, metadata=metadata)
    return field, array, content(name, dtype, shapes, data)


def sparse(name, dtype, rows, wide=False):
    """Rows of (shape, indices); the index holds them as the dense rows that they stand for."""
    number = pa.int64() if wide else pa.int32()
    large = pa.large_list if wide else pa.list_
    rank = len(rows[0][0])
    counts = [len(indices) for _, indices in rows]
    data = values(dtype, sum(counts))
    types = {
        "indices": large(pa.list_(number, rank)),
        "values": large(leaf_field("item", dtype)),
        "shape": pa.list_(number, rank),
    }
    ends = np.cumsum(counts)
    children = [
        pa.array([indices for _, indices in rows], types["indices"]),
        pa.Array.from_buffers(
            types["values"],
            len(rows),
            [None, offsets(counts, np.int64 if wide else np.int32)],
            children=[leaf(dtype, data)],
        ),
        pa.array([shape for shape, _ in rows], types["shape"]),
    ]
    fields = [pa.field(part, kind) for part, kind in types.items()]
    array = pa.StructArray.from_arrays(children, fields=fields)
    dense = []
    for (shape, indices), end, count in zip(rows, ends, counts, strict=True):
        dense += dense_row(dtype, shape, indices, data[end - count : end])
    if TYPES[dtype][1] is not None:
        dense = np.array(dense, TYPES[dtype][1])
    metadata = {EXTENSION_NAME: "millrace.sparse_coo", EXTENSION_METADATA: ""}
    field = pa.field(name, array.type, metadata=metadata)
    return field, array, content(name, dtype, [shape for shape, _ in rows], dense)


def dense_row(dtype, shape, indices, elements):
    """All elements of a sparse row, in row-major order."""
    row = [{"STRING": "", "BYTES": b"", "BOOL": False}.get(dtype, 0)] * int(np.prod(shape))
    for index, element in zip(indices, elements, strict=True):
        row[int(np.ravel_multi_index(index, shape))] = element
    return row


def offsets(counts, number):
    return pa.py_buffer(np.concatenate([[0], np.cumsum(counts)]).astype(number))


def lists(name, dtype, counts):
    data = values(dtype, sum(counts))
    storage = pa.list_(leaf_field("item", dtype))
    array = pa.Array.from_buffers(
        storage, len(counts), [None, offsets(counts, np.int32)], children=[leaf(dtype, data)]
    )
    return pa.field(name, storage), array, content(name, dtype, [[n] for n in counts], data)


def python_column(name, dtype, arrow_type, rows, row_shapes):
    """A column from nested Python lists, for the layouts that only a few vectors have."""
    flat = flatten(rows)
    data = flat if TYPES[dtype][1] is None else np.array(flat, TYPES[dtype][1])
    field = pa.field(name, arrow_type)
    return field, pa.array(rows, arrow_type), content(name, dtype, row_shapes, data)


def flatten(value):
    if not isinstance(value, list):
        return [value]
    return [element for item in value for element in flatten(item)]


def arrow_vectors():
    """Name -> columns, each a field, an array and its entry in the index."""
    vectors = {}
    for dtype in TYPES:
        low = dtype.lower()
        vectors[f"{low}-scalar"] = [scalar("x", dtype, 9)]
        vectors[f"{low}-fixed"] = [fixed("x", dtype, 2, [2, 3])]
        if TYPES[dtype][1] is not None:
            vectors[f"{low}-variable"] = [variable("x", dtype, [[1, 2], [2, 2], [0, 2], [3, 1]])]
        vectors[f"{low}-list"] = [lists("x", dtype, [2, 0, 3, 3])]
    vectors["one-row-784"] = [fixed("input", "FP32", 1, [784])]
    vectors["one-row-one-element"] = [fixed("x", "FP64", 1, [1])]
    vectors["fixed-empty-last"] = [fixed("x", "FP32", 3, [2, 0])]
    vectors["fixed-empty-first"] = [fixed("x", "STRING", 3, [0, 3])]
    vectors["variable-empty"] = [variable("x", "FP32", [[0, 4], [0, 0], [2, 0]])]
    vectors["list-empty"] = [lists("x", "STRING", [0, 0])]
    vectors["several-columns"] = [
        fixed("image", "UINT8", 3, [2, 2, 3]),
        scalar("id", "STRING", 3),
        variable("tokens", "INT64", [[2], [1], [4]]),
        scalar("keep", "BOOL", 3),
        lists("tags", "BYTES", [1, 0, 2]),
    ]
    vectors["names-of-any-letters"] = [scalar("名前 \"x\"", "INT32", 2), scalar("b/c", "INT32", 2)]
    vectors |= nested_vectors()
    vectors |= sparse_vectors()
    return vectors


def sparse_vectors():
    # Indices in no order, a row without elements, a row without places for any.
    rows = [
        ([2, 3], [[1, 2], [0, 0], [0, 2]]),
        ([2, 3], []),
        ([0, 3], []),
        ([3, 1], [[2, 0]]),
    ]
    vectors = {
        f"sparse-{dtype.lower()}": [sparse("x", dtype, rows)]
        for dtype in ["FP32", "FP64", "INT64", "BOOL", "BF16", "STRING", "BYTES"]
    }
    vectors["sparse-wide"] = [sparse("x", "FP32", rows, wide=True)]
    vectors["sparse-beside-dense"] = [
        scalar("id", "INT64", 2),
        sparse("clicks", "FP32", [([1000], [[7], [999]]), ([1000], [[0]])]),
    ]
    return vectors


def nested_vectors():
    f32, i16, text = pa.float32(), pa.int16(), pa.large_string()
    nested = [[[1.0, 2.0], [3.0, 4.0]], [], [[5.0]], [[], []]]
    shapes = [[2, 2], [0, 0], [1, 1], [2, 0]]
    texts = [[["a\0b", ""]], [["水"], ["車"]], [], [[], []]]
    binaries = [[[text.encode() for text in item] for item in row] for row in texts]
    text_shapes = [[1, 2], [2, 1], [0, 0], [2, 0]]
    columns = {
        # pyarrow opens no variable shape tensors of text or bytes: those of ours are nested lists.
        "string-variable": ("STRING", pa.list_(pa.list_(pa.string())), texts, text_shapes),
        "bytes-variable": ("BYTES", pa.list_(pa.list_(pa.binary())), binaries, text_shapes),
        "list-of-list": ("FP32", pa.list_(pa.list_(f32)), nested, shapes),
        "large-list-of-list": ("FP32", pa.large_list(pa.list_(f32)), nested, shapes),
        "list-of-fixed": (
            "INT16",
            pa.list_(pa.list_(i16, 2)),
            [[[1, 2]], [], [[3, 4], [5, 6]]],
            [[1, 2], [0, 2], [2, 2]],
        ),
        "fixed-of-list": (
            "INT16",
            pa.list_(pa.list_(i16), 2),
            [[[1], [2]], [[], []], [[3, 4], [5, 6]]],
            [[2, 1], [2, 0], [2, 2]],
        ),
        "fixed-of-fixed": (
            "BOOL",
            pa.list_(pa.list_(pa.bool_(), 3), 1),
            [[[True, False, True]], [[False, True, True]]],
            [[1, 3], [1, 3]],
        ),
        "large-text": ("STRING", text, ["", "wheel", "Rad"], [[], [], []]),
        "large-binary": ("BYTES", pa.large_binary(), [b"\0", b"", b"\xff\xfe"], [[], [], []]),
    }
    return {name: [python_column("x", *column)] for name, column in columns.items()}


def record_batch(columns):
    schema = pa.schema([field for field, _, _ in columns], metadata={"made-by": "make_vectors.py"})
    return pa.RecordBatch.from_arrays([array for _, array, _ in columns], schema=schema)


def stream(schema, batches, options=None):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()
