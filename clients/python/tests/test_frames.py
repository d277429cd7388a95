"""Frames and matrices of other libraries: a column per input, a row per instance."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

import millrace
from millrace._columns import Dense, Ragged, SparseRows, as_array
from millrace._inputs import Binder, gather
from millrace._signature import Model, TensorSpec

MODEL = Model(
    "frame",
    1,
    (
        TensorSpec("age", "INT64", (-1,)),
        TensorSpec("name", "STRING", (-1,)),
        TensorSpec("x", "FP32", (-1, 2)),
    ),
    (),
)
AGE, NAME = [30, 40, 50], ["a", "b", "水"]
X = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
ONE = Model("one", 1, (TensorSpec("x", "FP32", (-1, 3)),), ())


def pandas_frame():
    return pd.DataFrame({"age": AGE, "name": NAME, "x": list(X)})


def polars_frame():
    return pl.DataFrame(
        {"age": AGE, "name": NAME, "x": pl.Series(X.tolist(), dtype=pl.Array(pl.Float32, 2))}
    )


def arrow_table():
    x = pa.FixedShapeTensorArray.from_numpy_ndarray(X)
    return pa.table({"age": AGE, "name": NAME, "x": x})


def arrow_batch():
    x = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 2)
    return pa.record_batch({"age": pa.array(AGE), "name": pa.array(NAME), "x": x})


@pytest.mark.parametrize(
    "frame",
    [
        pandas_frame(),
        pandas_frame().astype({"name": "string"}),
        pandas_frame().set_index(pd.Index([7, 8, 9])),
        polars_frame(),
        polars_frame().lazy(),
        polars_frame().with_columns(pl.col("x").cast(pl.List(pl.Float32))),
        arrow_table(),
        arrow_batch(),
    ],
    ids=["pandas", "strings", "index", "polars", "lazy", "lists", "table", "batch"],
)
def test_a_column_is_an_input_and_a_row_an_instance(frame):
    request = bind(MODEL, frame)
    assert not request.single
    age, name, x = request.columns
    assert age.values.tolist() == AGE
    assert name.values.tolist() == NAME
    assert as_array(x).tolist() == X.tolist()
    assert as_array(x).dtype == np.float32


def test_a_frame_of_one_row_is_a_batch_of_one():
    request = bind(MODEL, pandas_frame().head(1))
    assert not request.single
    assert [len(column.values) for column in request.columns] == [1, 1, 1]


@pytest.mark.parametrize(
    ("frame", "error", "sentence"),
    [
        (pandas_frame().drop(columns="age"), millrace.MissingInput, "missing input age"),
        (pandas_frame().assign(other=1), millrace.UnknownInput, "unknown input other"),
        (pandas_frame().assign(age=[1.5, 2, 3]), millrace.WrongType, "INT64.*got FP64"),
        (pandas_frame().assign(name=[1, 2, 3]), millrace.WrongType, "got int"),
        (pandas_frame().head(0), millrace.WrongShape, "the frame has no rows"),
        (polars_frame().with_columns(age=None), millrace.InputError, "nulls"),
        (pa.table({"age": [1, None]}), millrace.InputError, "nulls"),
        (polars_frame().with_columns(x=pl.lit(1.0, pl.Float32)), millrace.WrongShape, "input x"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(frame, error, sentence):
    with pytest.raises(error, match=sentence):
        bind(MODEL, frame)


def test_columns_of_frames_are_inputs_too():
    for column in (pd.Series(AGE), pl.Series(AGE), pa.array(AGE), pa.chunked_array([AGE])):
        request = Binder(MODEL, "safe").bind({"age": column, "name": NAME, "x": X})
        assert request.columns[0].values.tolist() == AGE


def test_the_only_input_may_be_given_bare():
    for bare in ([1, 2, 3], (1, 2, 3), np.array([1, 2, 3], np.float32)):
        assert gather(bare, {}, ONE) == {"x": bare}
    assert gather({"x": [1, 2, 3]}, {}, ONE) == {"x": [1, 2, 3]}
    with pytest.raises(millrace.InputError, match="several inputs, name them: age, name, x"):
        gather([1, 2], {}, MODEL)
    with pytest.raises(millrace.InputError, match="not both"):
        gather({"age": 1}, {"name": "a"}, MODEL)


@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "coo_array", "csc_array"])
def test_a_matrix_of_scipy_is_sparse_rows(kind):
    dense = np.array([[0, 1, 0], [0, 0, 0], [2, 0, 3]], np.float32)
    request = Binder(ONE, "safe").bind({"x": getattr(scipy.sparse, kind)(dense)})
    assert not request.single
    (column,) = request.columns
    assert isinstance(column, SparseRows)
    assert [len(row.values) for row in column.rows] == [1, 0, 2]
    assert as_array(column).tolist() == dense.tolist()


def test_a_matrix_of_scipy_is_one_instance_where_instances_are_matrices():
    model = Model("matrix", 1, (TensorSpec("x", "FP64", (-1, 2, -1)),), ())
    request = Binder(model, "safe").bind({"x": scipy.sparse.eye_array(2)})
    assert request.single
    assert as_array(request.columns[0]).tolist() == [[[1, 0], [0, 1]]]


def test_a_sparse_vector_has_one_index_per_element():
    request = Binder(ONE, "safe").bind({"x": millrace.Sparse([2, 0], [1, 5], [3])})
    assert request.single
    assert as_array(request.columns[0]).tolist() == [[5, 0, 1]]
    with pytest.raises(millrace.WrongShape, match=r"got FP32\[4\]"):
        Binder(ONE, "safe").bind({"x": millrace.Sparse([0], [1], [4])})


@pytest.mark.parametrize(
    ("indices", "values", "shape"),
    [
        ([3], [1], [3]),
        ([-1], [1], [3]),
        ([0, 0], [1, 2], [3]),
        ([0], [1, 2], [3]),
        ([0.5], [1], [3]),
    ],
)
def test_a_sparse_instance_that_is_wrong_is_refused(indices, values, shape):
    with pytest.raises(ValueError):
        millrace.Sparse(indices, values, shape)
    given = {"indices": indices, "data": values, "shape": shape}
    with pytest.raises(millrace.InputError):
        Binder(ONE, "safe").bind({"x": given})


def test_text_and_bytes_keep_to_themselves():
    model = Model(
        "texts",
        1,
        (TensorSpec("s", "STRING", (-1, -1)), TensorSpec("b", "BYTES", (-1,))),
        (),
    )
    good = {"s": np.array([["a", "b"]]), "b": [b"\0\xff"]}
    texts, binary = Binder(model, "safe").bind(good).columns
    assert (texts.values.tolist(), binary.values.tolist()) == ([["a", "b"]], [b"\0\xff"])
    ragged = Binder(model, "safe").bind({"s": [["a"], ["b", "c"], []], "b": [b""] * 3}).columns[0]
    assert isinstance(ragged, Ragged)
    assert [row.tolist() for row in ragged.rows] == [["a"], ["b", "c"], []]
    one = Binder(model, "safe").bind({"s": ["a"], "b": "text"})
    assert one.single
    assert one.columns[1].values.tolist() == [b"text"]
    with pytest.raises(millrace.WrongType):
        Binder(model, "safe").bind({"s": [["a", 1]], "b": [b""]})


def test_an_image_for_an_input_of_bytes_is_not_encoded_again(tmp_path):
    from PIL import Image

    model = Model("image", 1, (TensorSpec("image", "BYTES", (-1,)),), ())
    path = tmp_path / "tile.jpg"
    Image.new("RGB", (8, 8), (200, 10, 10)).save(path, quality=50)
    file = path.read_bytes()
    for given in (path, {"path": str(path)}, file, Image.open(path), {"b64": base64_of(file)}):
        request = bind(model, {"image": given})
        assert request.single
        assert request.columns[0].values.tolist() == [file]
    pixels = np.zeros((4, 4, 3), np.uint8)
    (png,) = bind(model, {"image": pixels}).columns[0].values.tolist()
    assert png.startswith(b"\x89PNG")
    batch = bind(model, {"image": [path, file]})
    assert not batch.single
    assert batch.columns[0].values.tolist() == [file, file]


@pytest.mark.parametrize("shape", [(-1, 3, 4, 6), (-1, 4, 6, 3), (-1, 4, 6), (-1, -1, -1, 1)])
def test_pixels_are_laid_out_as_the_input_is(shape, tmp_path):
    from PIL import Image

    rgb = np.random.default_rng(1).integers(0, 256, (4, 6, 3), np.uint8)
    path = tmp_path / "tile.png"
    Image.fromarray(rgb).save(path)
    model = Model("pixels", 1, (TensorSpec("image", "FP32", shape),), ())
    values = bind(model, {"image": path}).columns[0]
    assert isinstance(values, Dense)
    grey = np.asarray(Image.fromarray(rgb).convert("L"))
    expected = {
        (-1, 3, 4, 6): rgb.transpose(2, 0, 1),
        (-1, 4, 6, 3): rgb,
        (-1, 4, 6): grey,
        (-1, -1, -1, 1): grey[..., np.newaxis],
    }[shape]
    assert values.values[0].tolist() == expected.tolist()
    assert values.values.dtype == np.float32


def base64_of(data):
    import base64

    return base64.b64encode(data).decode()


def bind(model, inputs):
    return Binder(model, "safe").bind(gather(inputs, {}, model))
