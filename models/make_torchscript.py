"""Write the `digits` network as TorchScript, and small modules of every kind of answer, from the weights in
`digits/1/model.onnx`; and the answers of PyTorch to the network of `load/models/make_resnet50.py`.

Run it with `python models/make_torchscript.py` after `train_digits.py`. It writes folders of `tests/formats`, each with its
`model.toml`, since TorchScript carries no signature, and `load/models/resnet50/golden.json`.
"""

import io
import json
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import Tensor, nn

HERE = Path(__file__).parent
ROOT = HERE.parent
DIGITS = HERE / "digits" / "1" / "model.onnx"
FORMATS = ROOT / "tests" / "formats"
GOLDEN = ROOT / "load" / "models" / "resnet50" / "golden.json"
GOLDEN_IMAGES = 2


class Digits(nn.Module):
    """The network of train_digits.py."""

    def __init__(self, weights: dict[str, np.ndarray]):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 32, 3, padding=1)
        self.dense = nn.Linear(512, 10)
        for name, array in weights.items():
            layer, part = name.split("_")
            array = array.T if name == "dense_weight" else array
            getattr(getattr(self, layer), part).data = torch.tensor(array.copy())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.relu(self.conv1(image.unsqueeze(1) * 0.0625))
        hidden = torch.max_pool2d(torch.relu(self.conv2(hidden)), 2)
        hidden = torch.relu(self.conv3(hidden))
        scores = torch.softmax(self.dense(hidden.flatten(1)), 1)
        return scores, scores.argmax(1)


class Dictionary(nn.Module):
    """Two inputs of two types, and a dictionary in another order than the declared one."""

    def forward(self, count: Tensor, values: Tensor) -> dict[str, Tensor]:
        return {"doubled": values * 2.0, "is_many": count > 2, "count_plus_one": count + 1}


class Nested(nn.Module):
    """A tuple that holds a list."""

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        return x + 1.0, [x * 2.0, x * 3.0]


class Types(nn.Module):
    """Hands every type back that libtorch and records share, computed."""

    def forward(
        self, b: Tensor, i8: Tensor, i16: Tensor, i32: Tensor, i64: Tensor, u8: Tensor, f16: Tensor, bf16: Tensor, f32: Tensor, f64: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        return (
            b.logical_not(), i8.flip(1), i16.flip(1), i32.flip(1), i64.flip(1),
            u8.flip(1), f16.flip(1), bf16.flip(1), f32.flip(1), f64.flip(1),
        )  # fmt: skip


class Stateful(nn.Module):
    """Keeps and writes to its input, which must not reach the caller's memory; and refuses a thirteen."""

    def __init__(self):
        super().__init__()
        self.last = torch.zeros(1, 4)

    def forward(self, x: Tensor) -> Tensor:
        if bool((x == 13.0).any()):
            raise ValueError("no thirteens here")
        self.last = x
        x.add_(1.0)
        return x


class Total(nn.Module):
    """One row, whatever comes in."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(0, keepdim=True)


class NoTensor(nn.Module):
    """Answers text."""

    def forward(self, x: Tensor) -> tuple[Tensor, str]:
        return x, "text"


class TooLarge(nn.Module):
    """Needs 512 TiB as soon as an input holds a number, more than a process can address; the probe's zeros run."""

    def forward(self, x: Tensor) -> Tensor:
        if bool((x != 0.0).any()):
            return x + torch.zeros([1 << 47]).sum()
        return x


FLOATS = [("x", "FP32", [-1, 4])]
MODULES = {
    "torch_dictionary": (
        Dictionary(),
        [("count", "INT64", [-1]), ("values", "FP32", [-1, -1])],
        [("count_plus_one", "INT64", [-1]), ("doubled", "FP32", [-1, -1]), ("is_many", "BOOL", [-1])],
    ),
    "torch_nested": (Nested(), FLOATS, [(name, "FP32", [-1, 4]) for name in ("plus_one", "doubled", "tripled")]),
    "torch_stateful": (Stateful(), FLOATS, [("y", "FP32", [-1, 4])]),
    "too_large_torchscript": (TooLarge(), FLOATS, [("y", "FP32", [-1, 4])]),
    "torch_total": (Total(), FLOATS, [("y", "FP32", [-1, 4])]),
    "torch_no_tensor": (NoTensor(), FLOATS, [("y", "FP32", [-1, 4]), ("text", "FP32", [-1, 4])]),
}
TYPES = ("BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "FP16", "BF16", "FP32", "FP64")


def main():
    weights = {array.name: numpy_helper.to_array(array) for array in onnx.load(DIGITS).graph.initializer}
    digits = Digits(weights).eval()
    check_digits(digits)
    image, answers = [("image", "FP32", [-1, 8, 8])], [("scores", "FP32", [-1, 10]), ("label", "INT64", [-1])]
    write("digits_torchscript", digits, image, answers)
    for name, (module, inputs, outputs) in MODULES.items():
        write(name, module, inputs, outputs)
    both = [[(f"{name.lower()}_{end}", name, [-1, -1]) for name in TYPES] for end in ("in", "out")]
    write("torch_types", Types(), *both)
    whole = (FORMATS / "digits_torchscript" / "1" / "model.pt").read_bytes()
    corrupt = folder("corrupt_torchscript")
    (corrupt / "model.pt").write_bytes(whole[: len(whole) // 2])
    write_opset(whole)
    for name in ("corrupt_torchscript", "opset_torchscript"):
        shutil.copy(FORMATS / "digits_torchscript" / "model.toml", FORMATS / name)
    write_resnet50_golden()


def write_opset(whole):
    """A file of a version that is not there yet."""
    newer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as given, zipfile.ZipFile(newer, "w") as changed:
        for name in given.namelist():
            is_version = name.endswith("/version")
            changed.writestr(zipfile.ZipInfo(name), b"99999\n" if is_version else given.read(name))
    (folder("opset_torchscript") / "model.pt").write_bytes(newer.getvalue())


def folder(name):
    """The version folder of a model, empty."""
    path = FORMATS / name / "1"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def write(name, module, inputs, outputs):
    file = folder(name) / "model.pt"
    torch.jit.script(module).save(str(file))
    lines = [f"# Made by models/{Path(__file__).name}.\n"]
    for role, specs in (("inputs", inputs), ("outputs", outputs)):
        for spec_name, dtype, shape in specs:
            lines.append(f'[[{role}]]\nname = "{spec_name}"\ndtype = "{dtype}"\nshape = {shape}\n')
    (file.parent.parent / "model.toml").write_text("\n".join(lines))


def check_digits(module):
    images = np.array(json.loads((HERE / "digits" / "held_out.json").read_text())["images"], np.float32)
    scores, label = onnxruntime.InferenceSession(str(DIGITS)).run(["scores", "label"], {"image": images})
    with torch.no_grad():
        given, named = module(torch.tensor(images))
    np.testing.assert_allclose(given.numpy(), scores, atol=1e-5, rtol=0)
    np.testing.assert_array_equal(named.numpy(), label)
    print(f"digits: largest difference from ONNX Runtime {np.abs(given.numpy() - scores).max():.1e}")


class Resnet50(nn.Module):
    """The network of make_resnet50.py, from its description of the layers."""

    def __init__(self, resnet50):
        super().__init__()
        arrays = resnet50.weights()
        self.shapes = {}
        for name, inner, outer, kernel, stride in resnet50.layers():
            convolution = nn.Conv2d(inner, outer, kernel, stride, kernel // 2, bias=False)
            normal = nn.BatchNorm2d(outer, eps=resnet50.EPSILON)
            convolution.weight.data = torch.tensor(arrays[f"{name}.weight"])
            normal.weight.data, normal.bias.data = torch.tensor(arrays[f"{name}.scale"]), torch.tensor(arrays[f"{name}.bias"])
            normal.running_mean, normal.running_var = torch.tensor(arrays[f"{name}.mean"]), torch.tensor(arrays[f"{name}.variance"])
            self.shapes[name] = nn.Sequential(convolution, normal)
        self.layers = nn.ModuleList(self.shapes.values())
        self.dense = nn.Linear(2048, resnet50.CLASSES)
        self.dense.weight.data, self.dense.bias.data = torch.tensor(arrays["dense.weight"]), torch.tensor(arrays["dense.bias"])

    def forward(self, image: Tensor) -> Tensor:
        last = nn.functional.max_pool2d(torch.relu(self.shapes["stem"](image)), 3, 2, 1)
        for name in [name.removesuffix(".a") for name in self.shapes if name.endswith(".a")]:
            inner = torch.relu(self.shapes[f"{name}.a"](last))
            inner = torch.relu(self.shapes[f"{name}.b"](inner))
            inner = self.shapes[f"{name}.c"](inner)
            shortcut = self.shapes.get(f"{name}.shortcut")
            last = torch.relu(inner + (last if shortcut is None else shortcut(last)))
        return self.dense(last.mean((2, 3)))


def write_resnet50_golden():
    sys.path.insert(0, str(GOLDEN.parent.parent))
    import make_resnet50

    with torch.no_grad():
        logits = Resnet50(make_resnet50).eval()(torch.tensor(make_resnet50.images(GOLDEN_IMAGES))).numpy()
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    rows = [[float(str(value)) for value in row] for row in logits]
    GOLDEN.write_text(json.dumps({"torch": torch.__version__, "logits": rows}, separators=(",", ":")) + "\n")
    print(f"resnet50: logits of {GOLDEN_IMAGES} images, deviation {logits.std():.2f}")


if __name__ == "__main__":
    main()
