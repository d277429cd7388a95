"""What `millrace models convert` makes of a folder, run by ONNX Runtime, and how near it is to the original."""

import json
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target" / "debug" / "millrace"
RELATIVE = 1e-4


class Refused(Exception):
    """The converter's sentence."""


def convert(folder, out=None, shapes=()):
    """The report of a conversion; the model is at `out`, by default `model.onnx` in the folder."""
    out = out or Path(folder) / "model.onnx"
    command = [PROGRAM, "models", "convert", folder, "--out", out, "--json"]
    for shape in shapes:
        command += ["--shape", shape]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise Refused(json.loads(done.stderr)["error"])
    return json.loads(done.stdout)


def session(model, threads=1):
    """ONNX Runtime with a model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def run(folder, inputs, out=None):
    """Converts a folder and answers its outputs by name."""
    model = out or Path(folder) / "model.onnx"
    convert(folder, model)
    made = session(model)
    names = [output.name for output in made.get_outputs()]
    return dict(zip(names, made.run(names, inputs)))


def assert_near(ours, theirs, relative=RELATIVE):
    """Equal but for float32's arithmetic: relative to each element, and a tenth of that to the largest one."""
    assert ours.shape == theirs.shape
    assert np.isfinite(theirs).all()
    np.testing.assert_allclose(ours, theirs, rtol=relative, atol=relative / 10 * np.abs(theirs).max())
