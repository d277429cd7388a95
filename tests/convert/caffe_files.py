"""Writes the two files of a Caffe model: layers as text, and their weights in Caffe's messages, by field numbers."""

import struct
from pathlib import Path

import numpy as np

OLD_KINDS = {
    "AbsVal": "ABSVAL",
    "Concat": "CONCAT",
    "Convolution": "CONVOLUTION",
    "Dropout": "DROPOUT",
    "Eltwise": "ELTWISE",
    "InnerProduct": "INNER_PRODUCT",
    "LRN": "LRN",
    "Pooling": "POOLING",
    "Power": "POWER",
    "ReLU": "RELU",
    "Sigmoid": "SIGMOID",
    "Slice": "SLICE",
    "Softmax": "SOFTMAX",
    "TanH": "TANH",
}


class Net:
    """A network with seeded random weights; blobs are followed with their shapes so that weights fit."""

    def __init__(self, seed=0, old=False, inputs="layer"):
        self.random = np.random.default_rng(seed)
        self.old = old
        self.inputs = inputs
        self.shapes = {}
        self.given = {}
        self.head = []
        self.text = []
        self.weights = []
        self.count = 0

    def input(self, name, shape):
        """A blob that callers give."""
        self.shapes[name] = self.given[name] = tuple(shape)
        dims = [f"dim: {size}" for size in shape]
        if self.inputs == "layer":
            self.head.append(f'layer {{ name: "{name}" type: "Input" top: "{name}"')
            self.head.append(f"  input_param {{ shape {{ {' '.join(dims)} }} }} }}")
        elif self.inputs == "input_shape":
            self.head += [f'input: "{name}"', f"input_shape {{ {' '.join(dims)} }}"]
        else:
            self.head += [f'input: "{name}"'] + [f"input_{dim}" for dim in dims]
        return name

    def layer(self, kind, bottoms, params="", blobs=(), top=None, shape=None, name=None):
        """Any layer; `top` may be a list. Without a shape the top has that of the first bottom."""
        self.count += 1
        bottoms = [bottoms] if isinstance(bottoms, str) else list(bottoms)
        # OpenCV calls results by their layers, Caffe by their tops.
        own = isinstance(top, str) and top not in bottoms
        name = name or (top if own else f"{kind.lower()}_{self.count}")
        tops = [top or name] if not isinstance(top, list) else top
        field = "layers" if self.old else "layer"
        written = OLD_KINDS[kind] if self.old else f'"{kind}"'
        lines = [f'{field} {{ name: "{name}" type: {written}']
        lines += [f'  bottom: "{it}"' for it in bottoms] + [f'  top: "{it}"' for it in tops]
        lines += [f"  {params}", "}"] if params else ["}"]
        self.text += lines
        if blobs:
            self.weights.append((name, [np.asarray(blob, np.float32) for blob in blobs]))
        shapes = shape if isinstance(shape, list) else [shape or self.shapes[bottoms[0]]] * len(tops)
        self.shapes.update(zip(tops, shapes))
        return tops[0] if len(tops) == 1 else tops

    def normal(self, shape, scale=1.0):
        """Random weights."""
        return (self.random.standard_normal(shape, np.float32) * np.float32(scale)).astype(np.float32)

    def convolution(self, bottom, outputs, kernel, stride=1, pad=0, group=1, dilation=1, bias=True, gain=2.0):
        """A square convolution whose results vary about as much as what it reads."""
        rows, channels, *image = self.shapes[bottom]
        weights = self.normal((outputs, channels // group, kernel, kernel))
        weights *= np.float32(np.sqrt(gain / (channels // group * kernel * kernel)))
        params = f"num_output: {outputs} kernel_size: {kernel} stride: {stride} pad: {pad}"
        params += f" group: {group}" if group > 1 else ""
        params += f" dilation: {dilation}" if dilation > 1 else ""
        params += "" if bias else " bias_term: false"
        reach = (kernel - 1) * dilation + 1
        image = [(side + 2 * pad - reach) // stride + 1 for side in image]
        blobs = [weights] + ([self.normal(outputs, 0.1)] if bias else [])
        shape = (rows, outputs, *image)
        return self.layer("Convolution", bottom, f"convolution_param {{ {params} }}", blobs, shape=shape)

    def relu(self, bottom):
        """In place, as networks have it."""
        return self.layer("ReLU", bottom, top=bottom)

    def batch_norm(self, bottom, in_place=True):
        """BatchNorm with stored sums, and the Scale that always follows."""
        channels = self.shapes[bottom][1]
        factor = np.float32(3.5)
        mean, variance = self.normal(channels, 0.1), self.random.uniform(0.5, 1.5, channels)
        top = bottom if in_place else None
        blobs = [mean * factor, variance * factor, [factor]]
        bottom = self.layer("BatchNorm", bottom, "batch_norm_param { use_global_stats: true }", blobs, top=top)
        blobs = [self.random.uniform(0.8, 1.2, channels), self.normal(channels, 0.1)]
        return self.layer("Scale", bottom, "scale_param { bias_term: true }", blobs, top=bottom)

    def pool(self, bottom, method="MAX", kernel=3, stride=2, pad=0):
        """Caffe's pooling; the number of windows is rounded up."""
        rows, channels, *image = self.shapes[bottom]
        windows = []
        for side in image:
            count = -(-(side + 2 * pad - kernel) // stride) + 1
            if pad and (count - 1) * stride >= side + pad:
                count -= 1
            windows.append(count)
        params = f"pool: {method} kernel_size: {kernel} stride: {stride} pad: {pad}"
        return self.layer("Pooling", bottom, f"pooling_param {{ {params} }}", shape=(rows, channels, *windows))

    def global_average(self, bottom):
        """One number per channel."""
        shape = (*self.shapes[bottom][:2], 1, 1)
        return self.layer("Pooling", bottom, "pooling_param { pool: AVE global_pooling: true }", shape=shape)

    def inner_product(self, bottom, outputs, gain=2.0):
        """All elements of a row times a matrix."""
        rows, *row = self.shapes[bottom]
        count = int(np.prod(row))
        blobs = [self.normal((outputs, count), np.sqrt(gain / count)), self.normal(outputs, 0.1)]
        params = f"inner_product_param {{ num_output: {outputs} }}"
        return self.layer("InnerProduct", bottom, params, blobs, shape=(rows, outputs))

    def concat(self, bottoms, axis=1):
        """Bottoms beside each other."""
        shapes = [self.shapes[it] for it in bottoms]
        shape = list(shapes[0])
        shape[axis] = sum(it[axis] for it in shapes)
        params = "" if axis == 1 else f"concat_param {{ axis: {axis} }}"
        return self.layer("Concat", bottoms, params, shape=tuple(shape))

    def add(self, bottoms):
        """Sum of bottoms of one shape."""
        return self.layer("Eltwise", bottoms)

    def write(self, folder):
        """`deploy.prototxt` and `weights.caffemodel`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = "\n".join(['name: "made"  # by caffe_files.py', *self.head, *self.text])
        (folder / "deploy.prototxt").write_text(text + "\n", encoding="utf-8")
        with (folder / "weights.caffemodel").open("wb") as file:
            for name, blobs in self.weights:
                file.write(_layer(name, blobs, self.old))
        return folder

    def random_inputs(self, rows=None, scale=1.0):
        """Values for all inputs, with so many rows instead of those that the text says."""
        inputs = {}
        for name, shape in self.given.items():
            shape = shape if rows is None else (rows, *shape[1:])
            inputs[name] = self.normal(shape, scale)
        return inputs


def _varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(number, content):
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _blob(values, old):
    data = _field(5, np.ascontiguousarray(values, "<f4").tobytes())
    if old:  # num, channels, height, width
        sizes = (1,) * (4 - values.ndim) + values.shape
        return b"".join(_varint(number + 1 << 3) + _varint(size) for number, size in enumerate(sizes)) + data
    return _field(7, _field(1, b"".join(map(_varint, values.shape)))) + data


def _layer(name, blobs, old):
    """A LayerParameter, or the V1LayerParameter of old files. Unknown fields stand in both."""
    unknown = _varint(9000 << 3 | 5) + struct.pack("<f", 1.0)
    if old:
        content = b"".join(_field(6, _blob(blob, old)) for blob in blobs) + _field(4, name.encode())
        return _field(2, content + unknown)
    content = _field(1, name.encode()) + b"".join(_field(7, _blob(blob, old)) for blob in blobs)
    return _field(100, content + unknown)
