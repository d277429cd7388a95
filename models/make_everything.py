"""Write the `everything` model, and the answer it gives to its example.

The model has exactly the nine inputs of the example in the Cluster Serving slides: scalars and tensors of int, float
and string, ranks 1 to 4 with the batch. It returns something checkable of each, and no row looks at another row.
Run it with `python models/make_everything.py`; it writes `everything/1/model.onnx`, and `everything/expected.json`
from `everything/example.json`, which is written by hand.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

FOLDER = Path(__file__).parent / "everything"

# A count is the number of elements in a row: the product of the dimensions after the batch, repeated for each row.
# Sums of integers are INT64, so that they cannot overflow. StringConcat sets the lowest opset: 20.
GRAPH = """
<ir_version: 9, opset_import: ["": 20], producer_name: "millrace/models/make_everything.py">
everything (
    int32[batch] intScalar,
    float[batch] floatScalar,
    string[batch] stringScalar,
    int32[batch, ints] intTensor,
    float[batch, floats] floatTensor,
    string[batch, strings] stringTensor,
    int32[batch, int_rows, int_columns] intTensor2,
    float[batch, float_planes, float_rows, float_columns] floatTensor2,
    string[batch, string_planes, string_rows, string_columns] stringTensor2
) => (
    int32[batch] intScalar_plus_one,
    float[batch] floatScalar_doubled,
    string[batch] stringScalar_same,
    int64[batch] intTensor_sum,
    int64[batch] intTensor_count,
    float[batch] floatTensor_sum,
    float[batch, floats] floatTensor_doubled,
    string[batch, strings] stringTensor_reversed,
    int64[batch] stringTensor_count,
    int64[batch] intTensor2_sum,
    int32[batch, int_columns, int_rows] intTensor2_transposed,
    float[batch] floatTensor2_sum,
    int64[batch] floatTensor2_count,
    string[batch, string_planes, string_rows, string_columns] stringTensor2_greeted,
    string[batch, string_columns, string_rows, string_planes] stringTensor2_transposed,
    int64[batch] stringTensor2_count
)
{
    int_one = Constant <value = int32 {1}> ()
    float_two = Constant <value_float: float = 2.0> ()
    hello = Constant <value_string: string = "hello "> ()
    axis_1 = Constant <value_ints: ints = [1]> ()
    axes_1_2 = Constant <value_ints: ints = [1, 2]> ()
    axes_1_2_3 = Constant <value_ints: ints = [1, 2, 3]> ()
    last = Constant <value_ints: ints = [-1]> ()
    before_first = Constant <value_ints: ints = [-9223372036854775807]> ()
    backwards = Constant <value_ints: ints = [-1]> ()
    rows = Shape (intScalar)

    intScalar_plus_one = Add (intScalar, int_one)
    floatScalar_doubled = Mul (floatScalar, float_two)
    stringScalar_same = Identity (stringScalar)

    intTensor_wide = Cast <to = 7> (intTensor)
    intTensor_sum = ReduceSum <keepdims = 0> (intTensor_wide, axis_1)
    intTensor_shape = Shape <start = 1> (intTensor)
    intTensor_size = ReduceProd <keepdims = 0> (intTensor_shape)
    intTensor_count = Expand (intTensor_size, rows)

    floatTensor_sum = ReduceSum <keepdims = 0> (floatTensor, axis_1)
    floatTensor_doubled = Mul (floatTensor, float_two)

    stringTensor_reversed = Slice (stringTensor, last, before_first, axis_1, backwards)
    stringTensor_shape = Shape <start = 1> (stringTensor)
    stringTensor_size = ReduceProd <keepdims = 0> (stringTensor_shape)
    stringTensor_count = Expand (stringTensor_size, rows)

    intTensor2_wide = Cast <to = 7> (intTensor2)
    intTensor2_sum = ReduceSum <keepdims = 0> (intTensor2_wide, axes_1_2)
    intTensor2_transposed = Transpose <perm = [0, 2, 1]> (intTensor2)

    floatTensor2_sum = ReduceSum <keepdims = 0> (floatTensor2, axes_1_2_3)
    floatTensor2_shape = Shape <start = 1> (floatTensor2)
    floatTensor2_size = ReduceProd <keepdims = 0> (floatTensor2_shape)
    floatTensor2_count = Expand (floatTensor2_size, rows)

    stringTensor2_greeted = StringConcat (hello, stringTensor2)
    stringTensor2_transposed = Transpose <perm = [0, 3, 2, 1]> (stringTensor2)
    stringTensor2_shape = Shape <start = 1> (stringTensor2)
    stringTensor2_size = ReduceProd <keepdims = 0> (stringTensor2_shape)
    stringTensor2_count = Expand (stringTensor2_size, rows)
}
"""

NUMPY_TYPES = {"tensor(int32)": np.int32, "tensor(float)": np.float32, "tensor(string)": np.object_}


def main():
    model = onnx.parser.parse_model(GRAPH)
    onnx.checker.check_model(model, full_check=True)
    file = FOLDER / "1" / "model.onnx"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(model.SerializeToString(deterministic=True))
    print(f"{file}: {file.stat().st_size} bytes")
    example = json.loads((FOLDER / "example.json").read_text(encoding="utf-8"))
    (FOLDER / "expected.json").write_text(body(predictions(file, example["instances"])), encoding="utf-8")


def predictions(file, instances):
    """What ONNX Runtime answers, as TensorFlow Serving's row format: one object per instance, keyed by output name."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    feed = {
        spec.name: np.array([instance[spec.name] for instance in instances], NUMPY_TYPES[spec.type])
        for spec in session.get_inputs()
    }
    names = [spec.name for spec in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, feed), strict=True))
    return [{name: plain(outputs[name][row]) for name in names} for row in range(len(instances))]


def body(rows):
    """The JSON text, one output per line."""
    objects = []
    for row in rows:
        lines = [f"    {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in row.items()]
        objects.append("{\n" + ",\n".join(lines) + "\n  }")
    return '{\n  "predictions": [ ' + ", ".join(objects) + " ]\n}\n"


def plain(value):
    """A numpy value as JSON values; a float32 with the fewest digits that give the same float32 back."""
    if isinstance(value, np.ndarray):
        return [plain(element) for element in value]
    if isinstance(value, np.float32):
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value


if __name__ == "__main__":
    main()
