"""Write the probe models of the tests: tiny ONNX models that each do one thing a test needs.

Run it with `python tests/models/make_probes.py`; it writes `<name>/1/model.onnx` beside itself.
"""

from pathlib import Path

import onnx

FOLDER = Path(__file__).parent
HEADER = '<ir_version: 9, opset_import: ["": 20], producer_name: "millrace/tests/models/make_probes.py">\n'
OWN_OPERATORS = HEADER.replace('"": 20', '"": 20, "millrace.test": 1')

# Tuned to take about 30 ms on one core of a 2020s server, whatever the number of rows.
SLOW_STEPS = 50000

GRAPHS = {
    # y = x.
    "echo": """
        echo (float[batch, 4] x) => (float[batch, 4] y) { y = Identity (x) }
    """,
    # y = -x, with rows of any length.
    "negate": """
        negate (float[batch, n] x) => (float[batch, n] y) { y = Neg (x) }
    """,
    # y = 2x + 1.
    "affine": """
        affine (float[batch, 4] x) => (float[batch, 4] y)
        {
            two = Constant <value_float: float = 2.0> ()
            one = Constant <value_float: float = 1.0> ()
            doubled = Mul (x, two)
            y = Add (doubled, one)
        }
    """,
    # y = x, but the whole run is an error when any row has x[0] == 13: that row looks up element 1 of a table of one.
    "fails_if": """
        fails_if (float[batch, 4] x) => (float[batch, 4] y)
        {
            thirteen = Constant <value_float: float = 13.0> ()
            table = Constant <value_floats: floats = [1.0]> ()
            zero = Constant <value_ints: ints = [0]> ()
            first = Gather <axis = 1> (x, zero)
            unlucky = Equal (first, thirteen)
            index = Cast <to = 7> (unlucky)
            ones = Gather <axis = 0> (table, index)
            y = Mul (x, ones)
        }
    """,
    # One number per row: the mean of x.
    "mean": """
        mean (float[batch, 4] x) => (float[batch, 1] y)
        {
            axis = Constant <value_ints: ints = [1]> ()
            y = ReduceMean (x, axis)
        }
    """,
    # y = x, after a loop of SLOW_STEPS steps that cannot be folded, split between threads, or made longer by more rows.
    "slow": f"""
        slow (float[batch, 4] x) => (float[batch, 4] y)
        {{
            steps = Constant <value = int64 {{{SLOW_STEPS}}}> ()
            go_on = Constant <value = bool {{1}}> ()
            zero = Constant <value_int: int = 0> ()
            rows = Shape <end = 1> (x)
            end = Loop <body = step (int64 i, bool go, int64[1] state) => (bool go_out, int64[1] state_out)
                {{ go_out = Identity (go) state_out = Neg (state) }}> (steps, go_on, rows)
            size = Abs (end)
            is_size = GreaterOrEqual (size, zero)
            one = Cast <to = 1> (is_size)
            y = Mul (x, one)
        }}
    """,
    # y = 2x, for exactly one row.
    "fixed_batch": """
        fixed_batch (float[1, 4] x) => (float[1, 4] y)
        {
            two = Constant <value_float: float = 2.0> ()
            y = Mul (x, two)
        }
    """,
    # An image of any size: the mean of each channel, and scores for red, green, blue and none of them.
    "colours": """
        colours (float[batch, 3, height, width] image) => (float[batch, 3] mean, float[batch, 4] scores)
        {
            axes_2_3 = Constant <value_ints: ints = [2, 3]> ()
            mean = ReduceMean <keepdims = 0> (image, axes_2_3)
            weights = Constant <value = float[3, 4] {2, -1, -1, 0, -1, 2, -1, 0, -1, -1, 2, 0}> ()
            bias = Constant <value_floats: floats = [0.0, 0.0, 0.0, 0.25]> ()
            raw = MatMul (mean, weights)
            scores = Add (raw, bias)
        }
    """,
    # y = x, with an operator of tests/custom_ops/fatal.c: some values of x end or hang the process.
    "fatal": """
        fatal (float[batch, 4] x) => (float[batch, 4] y) { y = millrace.test.Fatal (x) }
    """,
    # The same, but the process ends when the model is loaded.
    "fatal_at_load": """
        fatal_at_load (float[batch, 4] x) => (float[batch, 4] y) { y = millrace.test.FatalAtLoad (x) }
    """,
    # The inputs of the Python snippet on Cluster Serving's slides: an image and two tensors of any size.
    "slides": """
        slides (uint8[batch, height, width, channels] img, int64[batch, n] tensor1, int64[batch, m, k] tensor2)
            => (float[batch] brightness, int64[batch] sum1, int64[batch] sum2)
        {
            axis_1 = Constant <value_ints: ints = [1]> ()
            axes_1_2 = Constant <value_ints: ints = [1, 2]> ()
            axes_1_2_3 = Constant <value_ints: ints = [1, 2, 3]> ()
            pixels = Cast <to = 1> (img)
            brightness = ReduceMean <keepdims = 0> (pixels, axes_1_2_3)
            sum1 = ReduceSum <keepdims = 0> (tensor1, axis_1)
            sum2 = ReduceSum <keepdims = 0> (tensor2, axes_1_2)
        }
    """,
}

# Input names of `types`, which are the types' names in the Open Inference Protocol in lower case, and ONNX's names.
TYPES = {
    "bool": "bool",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "fp16": "float16",
    "bf16": "bfloat16",
    "fp32": "float",
    "fp64": "double",
    "string": "string",
}


def main():
    for name, graph in GRAPHS.items():
        write(name, model_bytes(graph))
    write("types", model_bytes(types_graph()))
    write("broken", b"This is not an ONNX model: the tests need one that cannot be loaded.\n")


def types_graph():
    """One input and one output of each type, `<type>_in` and `<type>_out`, all of shape [batch, <type>_columns]."""
    inputs = ", ".join(f"{onnx_name}[batch, {name}_columns] {name}_in" for name, onnx_name in TYPES.items())
    outputs = ", ".join(f"{onnx_name}[batch, {name}_columns] {name}_out" for name, onnx_name in TYPES.items())
    nodes = "\n".join(f"{name}_out = Identity ({name}_in)" for name in TYPES)
    return f"types ({inputs}) => ({outputs}) {{ {nodes} }}"


def model_bytes(graph):
    header = OWN_OPERATORS if "millrace.test." in graph else HEADER
    model = onnx.parser.parse_model(header + graph)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def write(name, contents):
    file = FOLDER / name / "1" / "model.onnx"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(contents)
    print(f"{file}: {len(contents)} bytes")


if __name__ == "__main__":
    main()
