"""What layers compute by Caffe's documentation, in NumPy and float64, where OpenCV cannot say it."""

import numpy as np


def power(x, power=1.0, scale=1.0, shift=0.0):
    """(shift + scale x) ^ power"""
    return (shift + scale * x) ** power


def exp(x, base=-1.0, scale=1.0, shift=0.0):
    """base ^ (shift + scale x), with e for -1"""
    return (np.e if base == -1 else base) ** (shift + scale * x)


def log(x, base=-1.0, scale=1.0, shift=0.0):
    """Logarithm of shift + scale x to a base, with e for -1."""
    return np.log(shift + scale * x) / (1 if base == -1 else np.log(base))


def arg_max(x, top_k=1, axis=None, out_max_val=False):
    """Places of the largest elements, and the elements with `out_max_val`; the last of equal ones first."""
    if axis is not None:
        places = _last_largest(x, axis, top_k)
        return np.take_along_axis(x, places, axis) if out_max_val else places
    rows = x.reshape(len(x), 1, -1)
    places = _last_largest(rows, 2, top_k)
    parts = [places, np.take_along_axis(rows, places, 2)] if out_max_val else [places]
    found = np.concatenate(parts, 1)
    return found.reshape(found.shape + (1,) * (x.ndim - 3))


def _last_largest(x, axis, top_k):
    order = np.argsort(-np.flip(x, axis), axis, kind="stable")
    places = x.shape[axis] - 1 - order
    return np.take(places, range(top_k), axis)


def reduction(x, operation, axis=0, coeff=1.0):
    """Over all axes from `axis` on."""
    parts = {"SUM": x, "ASUM": np.abs(x), "SUMSQ": x * x, "MEAN": x}[operation]
    rows = parts.reshape(*x.shape[:axis], -1)
    return coeff * (rows.mean(-1) if operation == "MEAN" else rows.sum(-1))


def pool(x, method, kernel, stride, pad):
    """Caffe's windows: their number rounded up, averages over what is within image and padding."""
    sizes = []
    for axis in (0, 1):
        side = x.shape[2 + axis]
        count = -(-(side + 2 * pad[axis] - kernel[axis]) // stride[axis]) + 1
        if any(pad) and (count - 1) * stride[axis] >= side + pad[axis]:
            count -= 1
        sizes.append(count)
    result = np.empty((*x.shape[:2], *sizes))
    for row in range(sizes[0]):
        for column in range(sizes[1]):
            area, spans = 1, []
            for axis, place in enumerate((row, column)):
                start = place * stride[axis] - pad[axis]
                end = min(start + kernel[axis], x.shape[2 + axis] + pad[axis])
                area *= end - start
                spans.append(slice(max(start, 0), min(end, x.shape[2 + axis])))
            window = x[:, :, spans[0], spans[1]]
            result[:, :, row, column] = window.max((2, 3)) if method == "MAX" else window.sum((2, 3)) / area
    return result


def lrn_across(x, size=5, alpha=1.0, beta=0.75, k=1.0):
    """Divided by a power of the mean square of neighbouring channels."""
    padded = np.pad(x * x, ((0, 0), (size // 2, size // 2), (0, 0), (0, 0)))
    sums = sum(padded[:, shift : shift + x.shape[1]] for shift in range(size))
    return x / (k + alpha / size * sums) ** beta


def lrn_within(x, size, alpha, beta):
    """Divided by a power of the mean square of neighbours within the channel."""
    mean = pool(x * x, "AVE", (size, size), (1, 1), (size // 2, size // 2))
    return x * (1 + alpha * mean) ** -beta


def normalize(x, scale, across, eps):
    """Divided by the norm of a row, or of a place over its channels; then scaled."""
    norm = np.sqrt((x * x).sum((1, 2, 3) if across else 1, keepdims=True) + eps)
    return x / norm * np.reshape(scale, (1, -1, 1, 1))


def deconvolution(x, weights, stride, pad, dilation=1, group=1):
    """Each element spreads its kernel over the result."""
    rows, channels, height, width = x.shape
    outputs, kernel = weights.shape[1], weights.shape[2]
    reach = (kernel - 1) * dilation + 1
    full = np.zeros((rows, outputs * group, (height - 1) * stride + reach, (width - 1) * stride + reach))
    per_group = channels // group
    for channel in range(channels):
        first = channel // per_group * outputs
        for row in range(height):
            for column in range(width):
                spread = x[:, channel, row, column, None, None, None] * weights[channel]
                top, left = row * stride, column * stride
                full[:, first : first + outputs, top : top + reach : dilation, left : left + reach : dilation] += spread
    end = [size - pad for size in full.shape[2:]]
    return full[:, :, pad : end[0], pad : end[1]]


def prior_box(map_size, image_size, least, most, ratios, variance, clip):
    """Boxes around each place of a map: a square, the one between both sizes, the ratios and their inverses."""
    (height, width), (image_height, image_width) = map_size, image_size
    sides = [(least, least), (np.sqrt(least * most),) * 2]
    for ratio in ratios:
        sides += [(least * np.sqrt(it), least / np.sqrt(it)) for it in (ratio, 1 / ratio)]
    boxes = []
    for row in range(height):
        for column in range(width):
            x, y = (column + 0.5) / width, (row + 0.5) / height
            for w, h in sides:
                half = w / image_width / 2, h / image_height / 2
                boxes.append([x - half[0], y - half[1], x + half[0], y + half[1]])
    boxes = np.clip(boxes, 0, 1) if clip else np.array(boxes)
    return np.stack([boxes.ravel(), np.tile(variance, len(boxes))])[None]
