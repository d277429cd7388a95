"""Train the `digits` model, write it as ONNX, and check what ONNX Runtime makes of it.

A small convolutional network on the handwritten digits that scikit-learn carries (1797 images of 8x8, values 0 to
16). Run it with `python models/train_digits.py`; it writes `digits/1/model.onnx` and `digits/held_out.json` beside
itself and prints the accuracy that ONNX Runtime reaches on the held-out images.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import optax
from onnx import numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

FOLDER = Path(__file__).parent / "digits"
SEED = 7
HELD_OUT_SHARE = 0.2
EPOCHS = 60
BATCH_ROWS = 64
PEAK_LEARNING_RATE = 3e-3

# Opset 20 and IR 9 date from 2023, so that older releases of ONNX Runtime read them too.
GRAPH = """
<ir_version: 9, opset_import: ["": 20], producer_name: "millrace/models/train_digits.py">
digits (float[batch, 8, 8] image) => (float[batch, 10] scores, int64[batch] label)
{
    sixteenth = Constant <value_float: float = 0.0625> ()
    channel = Constant <value_ints: ints = [1]> ()
    scaled = Mul (image, sixteenth)
    planes = Unsqueeze (scaled, channel)
    a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (planes, conv1_weight, conv1_bias)
    a_relu = Relu (a)
    b = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (a_relu, conv2_weight, conv2_bias)
    b_relu = Relu (b)
    pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b_relu)
    c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (pooled, conv3_weight, conv3_bias)
    c_relu = Relu (c)
    flat = Flatten <axis = 1> (c_relu)
    logits = Gemm (flat, dense_weight, dense_bias)
    scores = Softmax <axis = 1> (logits)
    label = ArgMax <axis = 1, keepdims = 0> (scores)
}
"""


def main():
    train, held_out = split_digits()
    parameters = fit(*train)
    model = to_onnx(parameters)
    images, labels = held_out
    check_against_training(model, parameters, images)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    predicted = session.run(["label"], {"image": images})[0]
    (FOLDER / "1").mkdir(parents=True, exist_ok=True)
    (FOLDER / "1" / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    write_held_out(images, labels)
    right = int((predicted == labels).sum())
    print(f"parameters: {sum(array.size for array in parameters.values())}")
    accuracy = f"{right}/{len(labels)} = {right / len(labels):.2%}"
    print(f"held-out accuracy by ONNX Runtime {onnxruntime.__version__}: {accuracy}")


def split_digits():
    """The fixed split: ((images, labels), (images, labels)), images float32 [n, 8, 8] as the data set has them."""
    digits = load_digits()
    images = digits.images.astype(np.float32)
    train_images, held_images, train_labels, held_labels = train_test_split(
        images, digits.target, test_size=HELD_OUT_SHARE, stratify=digits.target, random_state=SEED
    )
    return (train_images, train_labels), (held_images, held_labels)


def initial_parameters(key):
    """He-normal weights in ONNX's own layouts (convolution OIHW, dense [in, out]) and zero biases."""
    shapes = {"conv1": (16, 1, 3, 3), "conv2": (32, 16, 3, 3), "conv3": (32, 32, 3, 3), "dense": (512, 10)}
    parameters = {}
    for name, shape in shapes.items():
        key, subkey = jax.random.split(key)
        is_dense = name == "dense"
        fan_in = shape[0] if is_dense else shape[1] * shape[2] * shape[3]
        parameters[f"{name}_weight"] = jax.random.normal(subkey, shape) * jnp.sqrt(2.0 / fan_in)
        parameters[f"{name}_bias"] = jnp.zeros(shape[1] if is_dense else shape[0])
    return parameters


def logits_of(parameters, images):
    """The same network as GRAPH up to `logits`: images [n, 8, 8] in 0..16 to [n, 10]."""
    hidden = images[:, None, :, :] / 16.0
    hidden = jax.nn.relu(convolve(parameters, "conv1", hidden))
    hidden = jax.nn.relu(convolve(parameters, "conv2", hidden))
    hidden = jax.lax.reduce_window(hidden, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    hidden = jax.nn.relu(convolve(parameters, "conv3", hidden))
    return hidden.reshape(hidden.shape[0], -1) @ parameters["dense_weight"] + parameters["dense_bias"]


def convolve(parameters, name, planes):
    layout = ("NCHW", "OIHW", "NCHW")
    out = jax.lax.conv_general_dilated(planes, parameters[f"{name}_weight"], (1, 1), "SAME", dimension_numbers=layout)
    return out + parameters[f"{name}_bias"][None, :, None, None]


def fit(images, labels):
    """Train for a fixed number of epochs; the held-out images play no part, not even for stopping."""
    steps = EPOCHS * (len(images) // BATCH_ROWS)
    schedule = optax.cosine_onecycle_schedule(steps, PEAK_LEARNING_RATE)
    optimizer = optax.adamw(schedule, weight_decay=1e-3)
    parameters = initial_parameters(jax.random.key(SEED))
    state = optimizer.init(parameters)

    def loss_of(parameters, images, labels):
        logits = logits_of(parameters, images)
        smooth = optax.smooth_labels(jax.nn.one_hot(labels, 10), 0.05)
        return optax.softmax_cross_entropy(logits, smooth).mean()

    @jax.jit
    def step(parameters, state, images, labels):
        gradients = jax.grad(loss_of)(parameters, images, labels)
        updates, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state

    random = np.random.default_rng(SEED)
    for _ in range(EPOCHS):
        order = random.permutation(len(images))
        for start in range(0, len(images) - BATCH_ROWS + 1, BATCH_ROWS):
            rows = order[start : start + BATCH_ROWS]
            parameters, state = step(parameters, state, shifted(images[rows], random), labels[rows])
    return {name: np.asarray(array, dtype=np.float32) for name, array in parameters.items()}


def shifted(images, random):
    """Each image moved by -1, 0 or 1 pixels both ways with zeros drawn in: the only augmentation."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    offsets = random.integers(0, 3, size=(len(images), 2))
    return np.stack([padded[i, y : y + 8, x : x + 8] for i, (y, x) in enumerate(offsets)])


def to_onnx(parameters):
    model = onnx.parser.parse_model(GRAPH)
    for name, array in parameters.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    onnx.checker.check_model(model, full_check=True)
    return model


def check_against_training(model, parameters, images):
    """ONNX Runtime must give what JAX gives, whatever the batch size; prints the largest differences seen."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = np.asarray(jax.nn.softmax(logits_of(parameters, images), axis=1))
    whole = session.run(["scores"], {"image": images})[0]
    np.testing.assert_allclose(whole, expected, rtol=1e-4, atol=1e-6)
    print(f"largest difference from JAX: {np.abs(whole - expected).max():.2e}")
    for rows in (1, 2, 7, 64):
        parts = [session.run(["scores"], {"image": images[i : i + rows]})[0] for i in range(0, len(images), rows)]
        difference = np.abs(np.concatenate(parts) - whole).max()
        assert difference < 1e-6, f"batches of {rows} differ by {difference}"
        print(f"largest difference between batches of {rows} and one of {len(images)}: {difference:.2e}")


def write_held_out(images, labels):
    held_out = {"images": images.astype(int).tolist(), "labels": labels.tolist()}
    (FOLDER / "held_out.json").write_text(json.dumps(held_out, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
