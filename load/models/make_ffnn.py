"""Write `ffnn/1/model.onnx`: a 784-32-32-32-10 network for measuring speed.

Shape and size (27,562 parameters) are those of the Fashion-MNIST classifier that the Crayfish study (EDBT 2024) serves.
The weights are random, from a fixed seed: its answers mean nothing, only its speed does.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

FILE = Path(__file__).parent / "ffnn" / "1" / "model.onnx"
WIDTHS = (784, 32, 32, 32, 10)
SEED = 7

GRAPH = """
<ir_version: 9, opset_import: ["": 20], producer_name: "millrace/load/models/make_ffnn.py">
ffnn (float[batch, 784] input) => (float[batch, 10] output)
{
    a = Gemm (input, weight0, bias0)
    a_relu = Relu (a)
    b = Gemm (a_relu, weight1, bias1)
    b_relu = Relu (b)
    c = Gemm (b_relu, weight2, bias2)
    c_relu = Relu (c)
    logits = Gemm (c_relu, weight3, bias3)
    output = Softmax <axis = 1> (logits)
}
"""


def main():
    random = np.random.default_rng(SEED)
    model = onnx.parser.parse_model(GRAPH)
    for layer, (fan_in, fan_out) in enumerate(pairwise(WIDTHS)):
        weight = random.normal(0.0, np.sqrt(2.0 / fan_in), (fan_in, fan_out)).astype(np.float32)
        bias = random.normal(0.0, 0.1, fan_out).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weight, f"weight{layer}"))
        model.graph.initializer.append(numpy_helper.from_array(bias, f"bias{layer}"))
    onnx.checker.check_model(model, full_check=True)
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_bytes(model.SerializeToString(deterministic=True))
    print(f"{FILE}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
