"""Write `resnet50/1/model.onnx`: a network of ResNet-50's shape with random weights, for measuring speed.

Layers, sizes and the 25.6 million parameters are those of ResNet-50 v1.5 (the stride stands in the 3x3 convolutions). The
weights are random, from a fixed seed: its answers mean nothing, only its speed does. They are scaled so that numbers stay
numbers through all 50 layers. 100 MB, so it is not committed; `make test` and `make bench` run this when it is missing.

    python load/models/make_resnet50.py     needs numpy and onnx
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FILE = Path(__file__).parent / "resnet50" / "1" / "model.onnx"
SEED = 7
CLASSES = 1000
# Blocks of each stage, and their inner width; a block's output is four times as wide.
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
EPSILON = 1e-5


def layers():
    """The convolutions in order: (name, channels in, channels out, kernel, stride)."""
    yield "stem", 3, 64, 7, 2
    channels = 64
    for stage, (blocks, width) in enumerate(STAGES):
        for block in range(blocks):
            name = f"stage{stage}.block{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            yield f"{name}.a", channels, width, 1, 1
            yield f"{name}.b", width, width, 3, stride
            yield f"{name}.c", width, 4 * width, 1, 1
            if block == 0:
                yield f"{name}.shortcut", channels, 4 * width, 1, stride
            channels = 4 * width


def weights():
    """Every parameter by its name, float32: convolutions OIHW, normalisations' scale, bias, mean and variance, and `dense`."""
    random = np.random.default_rng(SEED)
    arrays = {}
    for name, inner, outer, kernel, _ in layers():
        shape = (outer, inner, kernel, kernel)
        scale = np.sqrt(2.0 / (inner * kernel * kernel))
        arrays[f"{name}.weight"] = random.standard_normal(shape, dtype=np.float32) * np.float32(scale)
        # The last normalisation of a block is small, so that sixteen residuals do not add up.
        least = 0.1 if name.endswith(".c") else 0.8
        arrays[f"{name}.scale"] = (least + 0.2 * random.random(outer)).astype(np.float32)
        arrays[f"{name}.bias"] = (0.1 * random.standard_normal(outer)).astype(np.float32)
        arrays[f"{name}.mean"] = (0.1 * random.standard_normal(outer)).astype(np.float32)
        arrays[f"{name}.variance"] = (0.8 + 0.4 * random.random(outer)).astype(np.float32)
    features = 4 * STAGES[-1][1]
    dense = random.standard_normal((CLASSES, features), dtype=np.float32) * np.float32(np.sqrt(1.0 / features))
    return arrays | {"dense.weight": dense, "dense.bias": np.zeros(CLASSES, np.float32)}


def images(count):
    """The inputs of golden.json, float32 [count, 3, 224, 224] in -2 to 2; a formula, so that a test needs no file of them."""
    number = np.arange(count * 3 * 224 * 224, dtype=np.uint32)
    # The upper 24 bits of a multiplicative hash, so that every step is exact in float32.
    hashed = (number * np.uint32(2654435761)) >> np.uint32(8)
    pixels = (hashed.astype(np.float32) / np.float32(1 << 24) - np.float32(0.5)) * np.float32(4)
    return pixels.reshape(count, 3, 224, 224)


def nodes():
    """The graph from `image` to `logits`."""
    made = []

    def add(kind, inputs, output, **attributes):
        made.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def convolve(name, given, kernel, stride):
        half = kernel // 2
        out = add(
            "Conv",
            [given, f"{name}.weight"],
            f"{name}.convolved",
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[half] * 4,
        )
        parameters = [f"{name}.{part}" for part in ("scale", "bias", "mean", "variance")]
        return add("BatchNormalization", [out, *parameters], f"{name}.normalized", epsilon=EPSILON)

    def relu(given, name):
        return add("Relu", [given], f"{name}.relu")

    last = relu(convolve("stem", "image", 7, 2), "stem")
    last = add("MaxPool", [last], "pooled", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    shapes = {name: (kernel, stride) for name, _, _, kernel, stride in layers()}
    for name in [name.removesuffix(".a") for name in shapes if name.endswith(".a")]:
        inner = last
        for part in ("a", "b"):
            inner = relu(convolve(f"{name}.{part}", inner, *shapes[f"{name}.{part}"]), f"{name}.{part}")
        inner = convolve(f"{name}.c", inner, *shapes[f"{name}.c"])
        shortcut = f"{name}.shortcut"
        if shortcut in shapes:
            last = convolve(shortcut, last, *shapes[shortcut])
        last = relu(add("Add", [inner, last], f"{name}.sum"), name)
    flat = add("Flatten", [add("GlobalAveragePool", [last], "averaged")], "flat", axis=1)
    add("Gemm", [flat, "dense.weight", "dense.bias"], "logits", transB=1)
    return made


def main():
    arrays = weights()
    graph = helper.make_graph(
        nodes(),
        "resnet50",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 224, 224])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9, producer_name="millrace/load/models/make_resnet50.py")
    onnx.checker.check_model(model, full_check=True)
    FILE.parent.mkdir(parents=True, exist_ok=True)
    # Renamed when it is whole, since others look whether it is there.
    partial = FILE.with_suffix(".partial")
    partial.write_bytes(model.SerializeToString(deterministic=True))
    partial.rename(FILE)
    parameters = sum(a.size for name, a in arrays.items() if not name.endswith((".mean", ".variance")))
    print(f"{FILE}: {FILE.stat().st_size} bytes, {parameters} parameters")


if __name__ == "__main__":
    main()
