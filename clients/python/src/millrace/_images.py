"""Images and other files as inputs: by path, as bytes, from Pillow, or as pixels.

An input of BYTES gets the encoded file as it is. An input of numbers gets the pixels: Pillow
decodes them (`pip install millrace[images]`), and nothing is resized.
"""

from __future__ import annotations

import base64
import binascii
import io
from pathlib import Path
from typing import Any

import numpy as np

from millrace._dtypes import Array
from millrace._exceptions import InputError, WrongShape, WrongType
from millrace._signature import TensorSpec


class Encoded(bytes):
    """The bytes of an image file."""


def as_file(value: object, name: str) -> Encoded | None:
    """The encoded file that a value stands for; None if it is no file.

    Taken are `pathlib.Path`, `{"path": …}`, `{"b64": …}` and `{"bytes": …}`.

    Raises:
        InputError: The file cannot be read, or the text is not base64.
    """
    if isinstance(value, Path):
        return _read(value, name)
    if not isinstance(value, dict) or len(value) != 1:
        return None
    kind, content = next(iter(value.items()))
    if kind == "path":
        return _read(Path(content), name)
    if kind == "bytes":
        return Encoded(content)
    if kind != "b64":
        return None
    try:
        return Encoded(base64.b64decode(content, validate=True))
    except (binascii.Error, ValueError, TypeError) as error:
        raise InputError(f"input {name} is not base64: {error}") from error


def is_pillow(value: object) -> bool:
    """Whether a value is an image of Pillow, which need not be installed."""
    return any(kind.__module__ == "PIL.Image" for kind in type(value).__mro__)


def encode_pillow(image: Any) -> Encoded:
    """The file of an image: the one it was opened from, as it is, or else a PNG."""
    name = getattr(image, "filename", "")
    if name and getattr(image, "format", None) and Path(name).is_file():
        return Encoded(Path(name).read_bytes())
    target = io.BytesIO()
    image.save(target, format="PNG")
    return Encoded(target.getvalue())


def pixels(image: Any, spec: TensorSpec) -> Array:
    """The pixels of one image, laid out as the input's instances are: HW, HWC or CHW.

    Args:
        image: An `Encoded` file or an image of Pillow.
        spec: An input of numbers. Pixels are 0 to 255.

    Raises:
        WrongShape: The input has no place for an image.
        InputError: The file is no image that Pillow knows, or Pillow is not installed.
    """
    row = spec.shape[1:]
    if len(row) not in (2, 3):
        raise WrongShape(f"input {spec.name} must be {spec}, which an image has no place in")
    # Channels stand first only where the last dimension cannot be channels and the first can.
    first = len(row) == 3 and row[0] in (1, 3, 4) and row[2] not in (1, 3, 4)
    channels = 1 if len(row) == 2 else row[0] if first else row[2]
    mode = {1: "L", 3: "RGB", -1: "RGB", 4: "RGBA"}.get(channels)
    if mode is None:
        raise WrongShape(f"input {spec.name} must be {spec}: no image has {channels} channels")
    values = np.asarray(_open(image, spec.name).convert(mode))
    if len(row) == 3 and values.ndim == 2:
        values = values[..., np.newaxis]
    return np.ascontiguousarray(values.transpose(2, 0, 1)) if first else values


def encode_pixels(values: Array, name: str) -> Encoded:
    """A PNG of pixels, for an input that takes encoded images.

    Raises:
        WrongType: Not HW or HWC of UINT8.
    """
    if values.dtype != np.uint8 or values.ndim not in (2, 3):
        sentence = f"input {name} takes encoded images: pixels must be UINT8, HW or HWC"
        raise WrongType(f"{sentence}, got {values.dtype}{list(values.shape)}")
    return encode_pillow(_pillow(name).fromarray(values))


def _open(image: Any, name: str) -> Any:
    if not isinstance(image, bytes):
        return image
    try:
        return _pillow(name).open(io.BytesIO(image))
    except OSError as error:
        raise InputError(f"input {name} is no image that can be read: {error}") from error


def _pillow(name: str) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        sentence = f"input {name} needs Pillow to decode an image: pip install 'millrace[images]'"
        raise InputError(sentence) from error
    return Image


def _read(path: Path, name: str) -> Encoded:
    try:
        return Encoded(path.read_bytes())
    except OSError as error:
        raise InputError(f"input {name} cannot be read: {error}") from error
