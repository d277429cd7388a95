"""Makes the seeds of fuzz target caffe_model: the text of a network, a zero byte, its weights."""

import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parents[1] / "tests" / "convert"))

from caffe_files import Net  # noqa: E402


def layers(old, inputs):
    """Many layers on a small image."""
    net = Net(1, old=old, inputs=inputs)
    x = net.input("x", (1, 4, 9, 9))
    x = net.relu(net.convolution(x, 4, 3, pad=1, group=2))
    x = net.pool(x, "AVE", kernel=3, stride=2, pad=1)
    x = net.layer("LRN", x, "lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL }")
    a, b = net.layer("Slice", x, "slice_param { slice_point: 1 }", top=["a", "b"], shape=[(1, 1, 5, 5), (1, 3, 5, 5)])
    x = net.concat([b, net.layer("Power", a, "power_param { power: 2 scale: 0.5 shift: 1 }")])
    x = net.layer("Eltwise", [x, net.layer("Sigmoid", x)], "eltwise_param { coeff: 1 coeff: -1 }")
    if not old:
        x = net.batch_norm(x)
        x = net.layer("Permute", x, "permute_param { order: 0 order: 2 order: 3 order: 1 }", shape=(1, 5, 5, 4))
        x = net.layer("Reshape", x, "reshape_param { shape { dim: 0 dim: -1 dim: 10 } }", shape=(1, 10, 10))
        net.layer("ArgMax", x, "argmax_param { top_k: 2 out_max_val: true }")
        net.layer("Reduction", x, "reduction_param { operation: MEAN axis: 1 }")
    net.layer("Softmax", net.inner_product(x, 3), top="prob")
    return net


def detection():
    """Boxes and what is kept of them."""
    net = Net(2)
    image = net.input("x", (1, 3, 12, 12))
    x = net.convolution(image, 12, 3, 4)
    params = "prior_box_param { min_size: 3 max_size: 5 aspect_ratio: 2 variance: 0.1 }"
    boxes = net.layer("PriorBox", [x, image], params, shape=(1, 2, 144))
    locations = net.layer("Flatten", net.convolution(x, 16, 1), shape=(1, 144))
    scores = net.layer("Flatten", net.convolution(x, 8, 1), shape=(1, 72))
    params = "num_classes: 2 nms_param { top_k: 9 nms_threshold: 0.4 } keep_top_k: 5 code_type: CENTER_SIZE"
    net.layer("DetectionOutput", [locations, scores, boxes], f"detection_output_param {{ {params} }}")
    return net


for name, net in [("new", layers(False, "layer")), ("old", layers(True, "input_dim")), ("detection", detection())]:
    with tempfile.TemporaryDirectory() as folder:
        net.write(folder)
        text, weights = (Path(folder) / file for file in ("deploy.prototxt", "weights.caffemodel"))
        (FOLDER / "caffe_model" / name).write_bytes(text.read_bytes() + b"\0" + weights.read_bytes())
