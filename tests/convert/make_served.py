"""Makes the folder that a test serves over HTTP: a model of Caffe and one of BigDL, requests, and what OpenCV and BigDL
answered. BigDL's model and answer are those of bigdl/golden."""

import json
import shutil
from pathlib import Path

import numpy as np

import opencv
from caffe_files import Net

HERE = Path(__file__).parent
SERVED = HERE / "served"


def main():
    """Models beside `expected.json`."""
    expected = {"caffe": caffe(SERVED / "caffe" / "1"), "bigdl": bigdl(SERVED / "bigdl" / "1", "lenet5")}
    (SERVED / "expected.json").write_text(json.dumps(expected) + "\n", encoding="utf-8")


def caffe(folder):
    """A small network of usual layers."""
    net = Net(30)
    x = net.input("data", (1, 3, 17, 17))
    x = net.pool(net.relu(net.batch_norm(net.convolution(x, 8, 3, pad=1))))
    x = net.layer("LRN", x, "lrn_param { local_size: 5 alpha: 0.1 beta: 0.75 }")
    x = net.concat([net.convolution(x, 4, 1), net.relu(net.convolution(x, 4, 3, pad=1, group=2))])
    net.layer("Softmax", net.inner_product(net.pool(x, "AVE", 3, 2, 1), 10), top="prob")
    net.write(folder)
    # Few digits, so that the request says exactly what OpenCV was given.
    rows = np.round(net.random_inputs(rows=3)["data"], 2).astype(np.float32)
    return asked(rows, opencv.run(folder, {"data": rows}, ["prob"])["prob"])


def bigdl(folder, name):
    """One of the golden models."""
    golden = HERE / "bigdl" / "golden" / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(golden / "model.bigdl", folder)
    return asked(np.load(golden / "input0.npy"), np.load(golden / "output0.npy"))


def asked(rows, answers):
    """Instances of a request, and the predictions for them; a model with one input takes bare values."""
    return {"instances": [row.tolist() for row in rows], "predictions": answers.tolist()}


if __name__ == "__main__":
    main()
