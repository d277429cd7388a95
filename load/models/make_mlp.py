"""Write `mlp/1/model.onnx`: a 784-768-400-50-10 network (930,740 weights) for measuring speed.

A middling model: batches help it, but only so far. The weights are random, from a fixed seed: its answers mean nothing.

    python load/models/make_mlp.py     needs numpy and onnx
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FILE = Path(__file__).parent / "mlp" / "1" / "model.onnx"
WIDTHS = (784, 768, 400, 50, 10)
SEED = 7


def main():
    random = np.random.default_rng(SEED)
    nodes, arrays, last = [], [], "input"
    for layer, (fan_in, fan_out) in enumerate(pairwise(WIDTHS)):
        weight = random.standard_normal((fan_in, fan_out), dtype=np.float32) * np.float32(np.sqrt(2.0 / fan_in))
        bias = (0.1 * random.standard_normal(fan_out)).astype(np.float32)
        arrays += [numpy_helper.from_array(weight, f"weight{layer}"), numpy_helper.from_array(bias, f"bias{layer}")]
        nodes.append(helper.make_node("Gemm", [last, f"weight{layer}", f"bias{layer}"], [f"dense{layer}"]))
        nodes.append(helper.make_node("Relu", [f"dense{layer}"], [f"relu{layer}"]))
        last = f"relu{layer}"
    nodes[-1] = helper.make_node("Softmax", [f"dense{layer}"], ["output"], axis=1)
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", WIDTHS[0]])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", WIDTHS[-1]])],
        arrays,
    )
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9, producer_name="millrace/load/models/make_mlp.py")
    onnx.checker.check_model(model, full_check=True)
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_bytes(model.SerializeToString(deterministic=True))
    print(f"{FILE}: {FILE.stat().st_size} bytes, {sum(np.prod(array.dims) for array in arrays)} parameters")


if __name__ == "__main__":
    main()
