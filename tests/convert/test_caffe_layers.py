"""Every layer of Caffe in a small network with random weights, against OpenCV or against NumPy."""

import numpy as np
import pytest

import caffe_reference as reference
import converter
import opencv
from caffe_files import Net

SHAPE = (2, 6, 7, 8)


def one_layer(kind, params="", shape=SHAPE, blobs=(), **made_as):
    """A network of one input and one layer, whose result is called `y`."""
    net = Net(11, **made_as)
    net.input("x", shape)
    net.layer(kind, "x", params, [net.normal(blob) if isinstance(blob, tuple) else blob for blob in blobs], top="y")
    return net


def check_with_opencv(net, folder, scale=1.0):
    """Equal results, from the same two files."""
    net.write(folder)
    inputs = net.random_inputs(scale=scale)
    ours = converter.run(folder, inputs)
    theirs = opencv.run(folder, inputs, list(ours))
    for name, value in ours.items():
        converter.assert_near(value, theirs[name])


def check(net, folder, compute, positive=False):
    """Equal to what a function in float64 says."""
    net.write(folder)
    inputs = net.random_inputs()
    if positive:
        inputs = {name: np.abs(value) + np.float32(0.1) for name, value in inputs.items()}
    ours = converter.run(folder, inputs)["y"]
    theirs = np.asarray(compute(*[value.astype(np.float64) for value in inputs.values()]))
    converter.assert_near(ours, theirs.astype(np.float32))


CONVOLUTIONS = {
    "plain": ("num_output: 4 kernel_size: 3", (4, 6, 3, 3)),
    "stride and padding": ("num_output: 4 kernel_size: 3 stride: 2 pad: 1", (4, 6, 3, 3)),
    "groups": ("num_output: 4 kernel_size: 3 group: 2", (4, 3, 3, 3)),
    "depthwise": ("num_output: 6 kernel_size: 3 group: 6 pad: 1", (6, 1, 3, 3)),
    "dilation": ("num_output: 4 kernel_size: 3 dilation: 2 pad: 2", (4, 6, 3, 3)),
    "sides": ("num_output: 4 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 0", (4, 6, 3, 2)),
    "sides as a list": ("num_output: 4 kernel_size: 3 kernel_size: 2 pad: 1 pad: 0", (4, 6, 3, 2)),
    "with an engine and fillers": ('num_output: 4 kernel_size: 1 weight_filler { type: "xavier" } engine: CAFFE', (4, 6, 1, 1)),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(case, tmp_path):
    params, shape = CONVOLUTIONS[case]
    net = one_layer("Convolution", f"convolution_param {{ {params} }}", blobs=[shape, shape[:1]])
    check_with_opencv(net, tmp_path)


@pytest.mark.parametrize(("stride", "pad", "dilation", "group"), [(1, 0, 1, 1), (2, 1, 1, 1), (2, 0, 1, 2), (1, 1, 2, 1)])
def test_deconvolution(stride, pad, dilation, group, tmp_path):
    params = f"num_output: 4 kernel_size: 3 stride: {stride} pad: {pad} dilation: {dilation} group: {group}"
    params = f"convolution_param {{ {params} bias_term: false }}"
    net = one_layer("Deconvolution", params, blobs=[(6, 4 // group, 3, 3)])
    weights = net.weights[0][1][0].astype(np.float64)
    check(net, tmp_path, lambda x: reference.deconvolution(x, weights, stride, pad, dilation, group))


def test_deconvolution_with_bias(tmp_path):
    params = "convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1 }"
    check_with_opencv(one_layer("Deconvolution", params, blobs=[(6, 4, 4, 4), (4,)]), tmp_path)


POOLS = [
    # kernel, stride, pad, sides
    ((2, 2), (2, 2), (0, 0), (7, 8)),
    ((3, 3), (2, 2), (0, 0), (6, 8)),
    ((3, 3), (2, 2), (1, 1), (6, 8)),
    ((2, 2), (2, 2), (1, 1), (5, 6)),
    ((3, 2), (2, 3), (1, 0), (8, 9)),
    ((5, 5), (3, 3), (2, 2), (9, 10)),
]


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize(("kernel", "stride", "pad", "sides"), POOLS)
def test_pooling_has_caffes_windows(method, kernel, stride, pad, sides, tmp_path):
    names = zip(("kernel", "stride", "pad"), (kernel, stride, pad))
    params = " ".join(f"{name}_h: {both[0]} {name}_w: {both[1]}" for name, both in names)
    net = one_layer("Pooling", f"pooling_param {{ pool: {method} {params} }}", (2, 3, *sides))
    check(net, tmp_path, lambda x: reference.pool(x, method, kernel, stride, pad))


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize("params", ["kernel_size: 3 stride: 2", "kernel_size: 3 stride: 2 pad: 1", "global_pooling: true"])
def test_pooling_as_in_opencv(method, params, tmp_path):
    check_with_opencv(one_layer("Pooling", f"pooling_param {{ pool: {method} {params} }}"), tmp_path)


def test_pooling_that_rounds_down(tmp_path):
    params = "pooling_param { kernel_size: 2 stride: 2 round_mode: FLOOR }"
    net = one_layer("Pooling", params, (1, 1, 7, 7))
    check(net, tmp_path, lambda x: reference.pool(x[:, :, :6, :6], "MAX", (2, 2), (2, 2), (0, 0)))


def test_inner_product(tmp_path):
    net = one_layer("InnerProduct", "inner_product_param { num_output: 5 }", blobs=[(5, 336), (5,)])
    check_with_opencv(net, tmp_path)


@pytest.mark.parametrize(("axis", "transpose"), [(1, True), (2, False), (-1, True)])
def test_inner_product_over_other_axes(axis, transpose, tmp_path):
    count = int(np.prod(SHAPE[axis:]))
    shape = (count, 5) if transpose else (5, count)
    params = f"num_output: 5 axis: {axis} transpose: {str(transpose).lower()}"
    net = one_layer("InnerProduct", f"inner_product_param {{ {params} }}", blobs=[shape, (5,)])
    weights, bias = (blob.astype(np.float64) for blob in net.weights[0][1])
    weights = weights if transpose else weights.T
    check(net, tmp_path, lambda x: x.reshape(*SHAPE[:axis], count) @ weights + bias)


@pytest.mark.parametrize(
    ("kind", "params", "blobs"),
    [
        ("ReLU", "", []),
        ("ReLU", "relu_param { negative_slope: 0.1 }", []),
        ("PReLU", "", [(6,)]),
        ("PReLU", "prelu_param { channel_shared: true }", [(1,)]),
        ("ELU", "", []),
        ("Sigmoid", "", []),
        ("TanH", "", []),
        ("AbsVal", "", []),
        ("BNLL", "", []),
        ("ReLU6", "", []),
        ("Power", "power_param { power: 2 scale: 0.5 shift: 0.3 }", []),
        ("Dropout", "dropout_param { dropout_ratio: 0.5 }", []),
        ("Softmax", "", []),
        ("Softmax", "softmax_param { axis: 3 }", []),
        ("Flatten", "", []),
        ("Flatten", "flatten_param { axis: 2 }", []),
        ("Flatten", "flatten_param { axis: 1 end_axis: 2 }", []),
        ("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }", []),
        ("Reshape", "reshape_param { shape { dim: 0 dim: 3 dim: -1 dim: 4 } }", []),
        ("LRN", "lrn_param { local_size: 5 alpha: 0.3 beta: 0.75 }", []),
    ],
)
def test_layer_as_in_opencv(kind, params, blobs, tmp_path):
    check_with_opencv(one_layer(kind, params, blobs=blobs), tmp_path)


@pytest.mark.parametrize("numbers", [{}, {"power": 3.0}, {"scale": 2.0}, {"shift": 1.0}, {"power": 0.5, "scale": 2.0}])
def test_power(numbers, tmp_path):
    net = one_layer("Power", f"power_param {{ {_fields(numbers)} }}")
    check(net, tmp_path, lambda x: reference.power(x, **numbers), positive=True)


@pytest.mark.parametrize("numbers", [{}, {"base": 2.0}, {"base": 3.0, "scale": 0.5, "shift": -1.0}, {"shift": 0.5}])
@pytest.mark.parametrize("kind", ["Exp", "Log"])
def test_exp_and_log(kind, numbers, tmp_path):
    if kind == "Log":
        numbers = {**numbers, "shift": abs(numbers.get("shift", 0))}
    net = one_layer(kind, f"{kind.lower()}_param {{ {_fields(numbers)} }}")
    compute = getattr(reference, kind.lower())
    check(net, tmp_path, lambda x: compute(x, **numbers), positive=True)


def _fields(numbers):
    return " ".join(f"{name}: {value}" for name, value in numbers.items())


def test_elu_with_another_alpha(tmp_path):
    net = one_layer("ELU", "elu_param { alpha: 0.7 }")
    check(net, tmp_path, lambda x: np.where(x > 0, x, 0.7 * np.expm1(x)))


def test_batch_norm_and_scale(tmp_path):
    net = Net(12)
    net.layer("TanH", net.batch_norm(net.input("x", SHAPE), in_place=False), top="y")
    check_with_opencv(net, tmp_path)


def test_batch_norm_by_itself_of_vectors(tmp_path):
    net = one_layer("BatchNorm", "batch_norm_param { eps: 0.01 }", (2, 6), [(6,), np.arange(1, 7), [2.0]])
    mean, variance, factor = (blob.astype(np.float64) for blob in net.weights[0][1])
    check(net, tmp_path, lambda x: (x - mean / factor) / np.sqrt(variance / factor + 0.01))


@pytest.mark.parametrize(("axis", "num_axes", "shape"), [(1, 1, (6,)), (1, 2, (6, 7)), (2, -1, (7, 8)), (-1, 1, (8,)), (1, 0, ())])
@pytest.mark.parametrize("kind", ["Scale", "Bias"])
def test_scale_and_bias_over_axes(kind, axis, num_axes, shape, tmp_path):
    params = f"{kind.lower()}_param {{ axis: {axis} num_axes: {num_axes} }}"
    net = one_layer(kind, params, blobs=[np.random.default_rng(3).normal(size=shape)])
    blob = net.weights[0][1][0].astype(np.float64)
    first = axis % 4
    blob = blob.reshape(shape + (1,) * (4 - first - len(shape)))
    check(net, tmp_path, lambda x: x * blob if kind == "Scale" else x + blob)


@pytest.mark.parametrize("kind", ["Scale", "Bias"])
def test_scale_and_bias_with_two_bottoms(kind, tmp_path):
    net = Net(13)
    net.input("x", SHAPE)
    net.input("factor", (2, 6))
    net.layer(kind, ["x", "factor"], f"{kind.lower()}_param {{ axis: 0 }}", top="y")
    wide = (slice(None), slice(None), None, None)
    check(net, tmp_path, lambda x, factor: x * factor[wide] if kind == "Scale" else x + factor[wide])


@pytest.mark.parametrize(
    ("fields", "numbers"),
    [("", {}), ("local_size: 3 alpha: 0.3 beta: 0.5 k: 2", {"size": 3, "alpha": 0.3, "beta": 0.5, "k": 2})],
)
def test_lrn_across_channels_with_what_opencv_takes_otherwise(fields, numbers, tmp_path):
    net = one_layer("LRN", f"lrn_param {{ {fields} }}")
    check(net, tmp_path, lambda x: reference.lrn_across(x, **numbers))


@pytest.mark.parametrize(("size", "alpha", "beta"), [(3, 0.5, 0.75), (5, 2.0, 0.5)])
def test_lrn_within_channels(size, alpha, beta, tmp_path):
    params = f"lrn_param {{ local_size: {size} alpha: {alpha} beta: {beta} norm_region: WITHIN_CHANNEL }}"
    check(one_layer("LRN", params), tmp_path, lambda x: reference.lrn_within(x, size, alpha, beta))


@pytest.mark.parametrize("params", ["", "operation: SUM coeff: 0.5 coeff: -2 coeff: 1", "operation: PROD", "operation: MAX"])
def test_eltwise(params, tmp_path):
    net = Net(14)
    x = net.input("x", SHAPE)
    bottoms = [x, net.relu(net.convolution(x, 6, 1)), net.convolution(x, 6, 3, pad=1)]
    net.layer("Eltwise", bottoms, f"eltwise_param {{ {params} }}", top="y")
    check_with_opencv(net, tmp_path)


@pytest.mark.parametrize("params", ["slice_point: 1 slice_point: 4", "", "slice_dim: 1", "axis: 3 slice_point: 2 slice_point: 3"])
def test_slice_split_and_concat(params, tmp_path):
    net = Net(15)
    net.input("x", SHAPE)
    axis = 3 if "axis: 3" in params else 1
    net.layer("Slice", "x", f"slice_param {{ {params} }}" if params else "", top=["a", "b", "c"])
    net.layer("Split", "b", top=["b1", "b2"])
    net.layer("Power", "b2", "power_param { scale: -2 }", top="b3")
    net.layer("Concat", ["c", "b1", "a", "b3"], f"concat_param {{ axis: {axis} }}", top="y")
    points = {"slice_point: 1 slice_point: 4": [1, 4], "axis: 3 slice_point: 2 slice_point: 3": [2, 3]}.get(params, [2, 4])

    def compute(x):
        a, b, c = np.split(x, points, axis)
        return np.concatenate([c, b, a, -2 * b], axis)

    check(net, tmp_path, compute)


@pytest.mark.parametrize(
    ("params", "shape"),
    [
        ("shape { dim: 0 dim: -1 }", (2, 336)),
        ("shape { dim: -1 dim: 336 }", (2, 336)),
        ("shape { dim: 3 dim: 2 } axis: 1 num_axes: 1", (2, 3, 2, 7, 8)),
        ("shape { dim: 1 } axis: -1 num_axes: 0", (2, 6, 7, 8, 1)),
        ("shape { dim: -1 dim: 8 }", (84, 8)),
        ("shape { dim: 4 dim: -1 }", (4, 168)),
    ],
)
def test_reshape(params, shape, tmp_path):
    check(one_layer("Reshape", f"reshape_param {{ {params} }}"), tmp_path, lambda x: x.reshape(shape))


@pytest.mark.parametrize(("params", "spans"), [("", (slice(0, 4), slice(0, 5))), ("offset: 2", (slice(2, 6), slice(2, 7))), ("axis: 2 offset: 1 offset: 3", (slice(1, 5), slice(3, 8)))])
def test_crop(params, spans, tmp_path):
    net = Net(16)
    net.input("x", SHAPE)
    net.input("like", (2, 6, 4, 5))
    net.layer("Crop", ["x", "like"], f"crop_param {{ {params} }}", top="y")
    check(net, tmp_path, lambda x, _: x[:, :, spans[0], spans[1]])


@pytest.mark.parametrize(
    "wanted",
    [{}, {"top_k": 3}, {"top_k": 3, "out_max_val": True}, {"axis": 1}, {"axis": 1, "out_max_val": True, "top_k": 2}, {"axis": -1}],
)
def test_arg_max(wanted, tmp_path):
    net = one_layer("ArgMax", f"argmax_param {{ {_fields(wanted).lower()} }}")
    check(net, tmp_path, lambda x: reference.arg_max(x, **wanted))


def test_of_equal_elements_arg_max_takes_the_last(tmp_path):
    net = Net(17)
    net.input("x", (2, 9))
    net.layer("ArgMax", "x", "argmax_param { top_k: 2 }", top="y")
    net.write(tmp_path)
    assert converter.run(tmp_path, {"x": np.zeros((2, 9), np.float32)})["y"].tolist() == [[[8, 7]]] * 2


@pytest.mark.parametrize("operation", ["SUM", "ASUM", "SUMSQ", "MEAN"])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_reduction(operation, axis, tmp_path):
    params = f"reduction_param {{ operation: {operation} axis: {axis} coeff: 0.5 }}"
    check(one_layer("Reduction", params), tmp_path, lambda x: reference.reduction(x, operation, axis % 4, 0.5))


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_normalize(across, shared, tmp_path):
    fields = f"across_spatial: {across} channel_shared: {shared} eps: 0.001".lower()
    net = one_layer("Normalize", f"norm_param {{ {fields} }}", blobs=[(1 if shared else 6,)])
    scale = net.weights[0][1][0].astype(np.float64)
    check(net, tmp_path, lambda x: reference.normalize(x, scale, across, 0.001))


@pytest.mark.parametrize("clip", [True, False])
def test_prior_box(clip, tmp_path):
    net = Net(18)
    net.input("x", (1, 2, 3, 4))
    net.input("image", (1, 3, 30, 50))
    variance = [0.1, 0.1, 0.2, 0.2]
    params = "min_size: 10 max_size: 20 aspect_ratio: 2 aspect_ratio: 3 flip: true " + f"clip: {clip} ".lower()
    params += " ".join(f"variance: {it}" for it in variance)
    net.layer("PriorBox", ["x", "image"], f"prior_box_param {{ {params} }}", top="y", shape=(1, 2, 288))
    boxes = reference.prior_box((3, 4), (30, 50), 10, 20, [2, 3], variance, clip)
    check(net, tmp_path, lambda *_: boxes)
    check_with_opencv(net, tmp_path)


@pytest.mark.parametrize("code", ["CORNER", "CENTER_SIZE"])
@pytest.mark.parametrize("encoded", [False, True])
def test_detections_with_each_code(code, encoded, tmp_path):
    random = np.random.default_rng(5)
    low = random.uniform(0, 0.5, (10, 2))
    corners = np.concatenate([low, low + random.uniform(0.2, 0.5, (10, 2))], 1)
    inputs = {
        "locations": random.normal(0, 0.3, (1, 40)).astype(np.float32),
        "confidences": random.uniform(0, 1, (1, 30)).astype(np.float32),
        "boxes": np.stack([corners.ravel(), np.full(40, 0.2)])[None].astype(np.float32),
    }
    ours = converter.run(_detections(code, encoded, inputs).write(tmp_path), inputs)["y"][0]
    if encoded:  # OpenCV wants no variances then, where Caffe has them and does not look.
        inputs["boxes"] = inputs["boxes"][:, :1]
        _detections(code, encoded, inputs).write(tmp_path)
    theirs = opencv.run(tmp_path, inputs, ["y"])["y"][0, 0]
    ours, theirs = ours[ours[:, 0] == 0], theirs[theirs[:, 2] > 0]
    assert len(ours) > 2
    converter.assert_near(*(lines[np.lexsort((-lines[:, 2], lines[:, 1]))] for lines in (ours, theirs)))


def _detections(code, encoded, inputs):
    net = Net(19)
    for name, value in inputs.items():
        net.input(name, value.shape)
    params = f"num_classes: 3 share_location: true background_label_id: 0 code_type: {code} "
    params += f"variance_encoded_in_target: {encoded} ".lower()
    params += "nms_param { nms_threshold: 0.4 top_k: 6 } keep_top_k: 8 confidence_threshold: 0.2"
    net.layer("DetectionOutput", list(inputs), f"detection_output_param {{ {params} }}", top="y", shape=(1, 1, 1, 7))
    return net


@pytest.mark.parametrize("inputs", ["input_dim", "input_shape", "layer"])
@pytest.mark.parametrize("old", [False, True])
def test_old_files_say_the_same(old, inputs, tmp_path):
    net = Net(20, old=old, inputs=inputs)
    x = net.input("x", SHAPE)
    x = net.relu(net.convolution(x, 8, 3, group=2))
    x = net.layer("LRN", net.pool(x), "lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 }")
    a = net.layer("Sigmoid", x)
    x = net.layer("Dropout", net.concat([x, net.add([a, x])]), "dropout_param { dropout_ratio: 0.3 }")
    net.layer("Softmax", net.inner_product(x, 9), top="y")
    if old and inputs == "layer":
        # The old form of layers has no type Input.
        net.head = []
        with pytest.raises(converter.Refused, match="no input"):
            converter.convert(net.write(tmp_path))
    else:
        check_with_opencv(net, tmp_path)


def test_layers_of_training_are_left_out(tmp_path):
    net = one_layer("Sigmoid")
    net.text += ['layer { name: "label" type: "Data" top: "label" include { phase: TRAIN } }']
    net.text += ['layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" exclude { phase: TEST } }']
    check(net, tmp_path, lambda x: 1 / (1 + np.exp(-x)))


@pytest.mark.parametrize(
    ("kind", "params", "sentence"),
    [
        ("SpatialTransformer", "", 'deploy.prototxt: layer "y" of kind SpatialTransformer: this kind of layer is not known'),
        ("SoftmaxWithLoss", "", "belongs to training"),
        ("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }", "STOCHASTIC is not supported"),
        ("Convolution", "convolution_param { num_output: 4 kernel_size: 3 }", 'layer "y" .* no weights'),
        ("Convolution", "convolution_param { num_output: 4 kernel_size: 30 }", "reaches over 30 of 7"),
        ("ReLU", "relu_param { slope_of_a_fork: 3 }", "relu_param.slope_of_a_fork is not supported"),
        ("BatchNorm", "batch_norm_param { use_global_stats: false }", "statistics of each batch"),
    ],
)
def test_what_is_not_known_is_named_with_its_file(kind, params, sentence, tmp_path):
    with pytest.raises(converter.Refused, match=sentence):
        converter.convert(one_layer(kind, params).write(tmp_path))


def test_weights_of_another_shape_are_refused(tmp_path):
    net = one_layer("InnerProduct", "inner_product_param { num_output: 5 }", blobs=[(5, 335), (5,)])
    with pytest.raises(converter.Refused, match=r"\[5, 335\].*\[5, 336\]"):
        converter.convert(net.write(tmp_path))


def test_a_batch_of_any_size_is_taken_unless_rows_are_mixed(tmp_path):
    net = one_layer("Softmax")
    report = converter.convert(net.write(tmp_path / "any"))
    assert report["inputs"] == [{"name": "x", "shape": "[N, 6, 7, 8]"}]
    mixed = one_layer("Reshape", "reshape_param { shape { dim: 1 dim: -1 } }")
    report = converter.convert(mixed.write(tmp_path / "mixed"))
    assert report["outputs"] == [{"name": "y", "shape": "[1, 672]"}]
