"""Write images and what a model gets of them by Pillow and NumPy, for the tests of infer's images.

    python tests/images/reference.py fixed tests/images/fixtures     # the committed ones; the same bytes each time
    python tests/images/reference.py random FOLDER --seed 7 --count 60

A folder holds `cases.json` and, for each of its entries, an image file and a `.npy` array: the row that the input gets.
`options` is what stands under `[images.<input>]`; `shape` is the input's own, without the rows, null where it is open.
"""

import argparse
import io
import json
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

Options = dict[str, object]


def row(encoded: bytes, options: Options, dtype: str, shape: list[int | None]) -> np.ndarray:
    """What one image becomes: the steps of docs/images.md, in Pillow and NumPy."""
    image = Image.open(io.BytesIO(encoded))
    if options.get("orientation", "exif") == "exif":
        image = ImageOps.exif_transpose(image)
    channels = options.get("channels", "RGB")
    image = eight_bits(image).convert("RGB")
    if channels == "grey":
        image = image.convert("L")
    image = resized(image, options, inner_size(options, shape))
    pixels = np.asarray(image)
    if channels == "BGR":
        pixels = pixels[..., ::-1]
    if dtype != "uint8":
        scale = np.float64(options.get("scale", 1.0))
        mean = np.array(options.get("mean", [0.0]), np.float64)
        std = np.array(options.get("std", [1.0]), np.float64)
        pixels = ((pixels.astype(np.float64) * scale - mean) / std).astype(dtype)
    if len(shape) == 3 and pixels.ndim == 2:
        pixels = pixels[..., None]
    if is_planar(options, shape):
        pixels = np.transpose(pixels, (2, 0, 1))
    return np.ascontiguousarray(pixels)


def eight_bits(image: Image.Image) -> Image.Image:
    """Of 16 bits of grey the upper 8; Pillow itself cuts everything above 255 off."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    return image


def is_planar(options: Options, shape: list[int | None]) -> bool:
    if "layout" in options:
        return options["layout"] == "CHW"
    return len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3)


def inner_size(options: Options, shape: list[int | None]) -> list[int | None]:
    """Height and width of the input."""
    if len(shape) == 2:
        return shape
    return shape[1:] if is_planar(options, shape) else shape[:2]


def resized(image: Image.Image, options: Options, inner: list[int | None]) -> Image.Image:
    size = options.get("resize")
    crop = options.get("crop")
    if size is None and crop is None and None not in inner:
        size = inner
    if isinstance(size, int):
        width, height = image.size
        if height <= width:
            size = [size, size * width // height]
        else:
            size = [size * height // width, size]
    if size is not None:
        image = resize(image, size, options)
    if crop is not None:
        # As torchvision.transforms.CenterCrop.
        top = int(round((image.height - crop[0]) / 2.0))
        left = int(round((image.width - crop[1]) / 2.0))
        image = image.crop((left, top, left + crop[1], top + crop[0]))
    return image


def resize(image: Image.Image, size: list[int], options: Options) -> Image.Image:
    height, width = size
    if options.get("filter", "bilinear") == "area":
        return one_way(image, (width, height), Image.Resampling.BOX)
    if options.get("antialias", True):
        return one_way(image, (width, height), Image.Resampling.BILINEAR)
    return point_bilinear(image, height, width)


def one_way(image: Image.Image, size: tuple[int, int], filter_: Image.Resampling) -> Image.Image:
    """Across, then down, which is all that Pillow did until 12. Since then it goes down first when that is faster, and
    as bytes are rounded in between, samples then differ by 1."""
    across = image.resize((size[0], image.height), filter_)
    both = across.resize(size, filter_)
    at_once = np.asarray(image.resize(size, filter_)).astype(int)
    assert np.abs(at_once - np.asarray(both)).max() <= 1
    return both


def point_bilinear(image: Image.Image, height: int, width: int) -> Image.Image:
    """The four neighbours of each new pixel's centre, as OpenCV's INTER_LINEAR; Pillow has nothing like it."""
    old = np.asarray(image).astype(np.float64)

    def axis(array: np.ndarray, new: int) -> np.ndarray:
        place = (np.arange(new) + 0.5) * array.shape[0] / new - 0.5
        first = np.floor(place).astype(int)
        share = (place - first).reshape((-1,) + (1,) * (array.ndim - 1))
        low = array[np.clip(first, 0, array.shape[0] - 1)]
        high = array[np.clip(first + 1, 0, array.shape[0] - 1)]
        return low * (1 - share) + high * share

    across = np.floor(np.swapaxes(axis(np.swapaxes(old, 0, 1), width), 0, 1) + 0.5)
    return Image.fromarray(np.floor(axis(across, height) + 0.5).astype(np.uint8))


def picture(random_: random.Random, mode: str, width: int, height: int) -> Image.Image:
    """Slopes and discs with some noise: smooth enough for JPEG, sharp enough to show a wrong filter."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = []
    for _ in range(4):
        plane = 128 + 100 * np.sin(x / random_.uniform(4, 30) + random_.uniform(0, 6)) * np.cos(
            y / random_.uniform(4, 30) + random_.uniform(0, 6)
        )
        radius = random_.uniform(0.1, 0.5) * min(width, height)
        disc = (x - random_.uniform(0, width)) ** 2 + (y - random_.uniform(0, height)) ** 2 < radius**2
        noise = np.random.default_rng(random_.randrange(1 << 30)).integers(-8, 9, plane.shape)
        planes.append(np.clip(plane + 60 * disc + noise, 0, 255).astype(np.uint8))
    pixels = np.stack(planes, axis=-1)
    if mode == "L":
        return Image.fromarray(pixels[..., 0])
    if mode == "LA":
        return Image.fromarray(pixels[..., :2], "LA")
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 256 + pixels[..., 1])
    if mode == "1":
        return Image.fromarray(pixels[..., 0] > 127)
    if mode == "P":
        return Image.fromarray(pixels[..., :3]).quantize(random_.choice([2, 13, 200]))
    if mode == "CMYK":
        return Image.fromarray(pixels, "CMYK")
    return Image.fromarray(pixels[..., : len(mode)], mode)


# Mode, format, and how it is saved. `tolerance` of docs/images.md goes by the format and whether it is lossless.
KINDS: list[tuple[str, str, dict[str, object]]] = [
    ("RGB", "jpeg", {"quality": 90}),
    ("RGB", "jpeg", {"quality": 75, "progressive": True}),
    ("RGB", "jpeg", {"quality": 95, "subsampling": 0}),
    ("RGB", "jpeg", {"quality": 85, "subsampling": 1}),
    ("RGB", "jpeg", {"quality": 85, "restart_marker_rows": 1}),
    ("L", "jpeg", {"quality": 90}),
    ("CMYK", "jpeg", {"quality": 90}),
    ("RGB", "png", {}),
    ("RGBA", "png", {}),
    ("L", "png", {}),
    ("LA", "png", {}),
    ("P", "png", {}),
    ("1", "png", {}),
    ("I;16", "png", {}),
    ("RGB", "webp", {"quality": 85}),
    ("RGB", "webp", {"lossless": True}),
    ("RGBA", "webp", {"quality": 85}),
    ("RGB", "bmp", {}),
    ("RGBA", "bmp", {}),
    ("L", "bmp", {}),
    ("P", "bmp", {}),
    ("1", "bmp", {}),
]


def encode(image: Image.Image, format_: str, save: dict[str, object], orientation: int) -> bytes:
    target = io.BytesIO()
    if orientation != 1 and format_ != "bmp":
        exif = Image.Exif()
        exif[0x0112] = orientation
        save = {**save, "exif": exif}
    image.save(target, format=format_, **save)
    return target.getvalue()


class Folder:
    """Writes cases one after the other."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.cases: list[dict[str, object]] = []

    def add(self, name: str, encoded: bytes, options: Options, target: tuple[str, list[int | None]]) -> None:
        dtype, shape = target
        number = len(self.cases)
        suffix = name.split("-")[0]
        (self.path / f"{number:03}.{suffix}").write_bytes(encoded)
        np.save(self.path / f"{number:03}.npy", row(encoded, options, dtype, shape))
        case = {
            "name": name,
            "file": f"{number:03}.{suffix}",
            "expected": f"{number:03}.npy",
            "is_lossless": "png" in name or "bmp" in name or "lossless" in name,
            "options": options,
            "dtype": dtype,
            "shape": shape,
        }
        self.cases.append(case)

    def close(self) -> None:
        lines = ",\n".join(json.dumps(case) for case in self.cases)
        (self.path / "cases.json").write_text(f"[\n{lines}\n]\n")


def named(kind: tuple[str, str, dict[str, object]]) -> str:
    mode, format_, save = kind
    return "-".join([format_, mode, *(f"{key}{value}" for key, value in save.items())])


def fixed(folder: Folder) -> None:
    """Every kind of file at its own size, then every option on a PNG, whose pixels are certain."""
    random_ = random.Random(4)
    for kind in KINDS:
        image = picture(random_, kind[0], 29, 19)
        folder.add(named(kind), encode(image, *kind[1:], 1), {}, ("uint8", [None, None, 3]))
    source = picture(random_, "RGB", 40, 27)
    encoded = encode(source, "png", {}, 1)
    imagenet = {"scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    open_ = [None, None, 3]
    for name, options, dtype, shape in [
        ("shape", {}, "uint8", [12, 10, 3]),
        ("chw", {}, "float32", [3, 12, 10]),
        ("bgr", {"channels": "BGR", "resize": [12, 10]}, "uint8", open_),
        ("grey", {"channels": "grey"}, "float32", [8, 8]),
        ("grey-chw", {"channels": "grey"}, "float32", [1, 8, 9]),
        ("area", {"resize": [9, 13], "filter": "area"}, "uint8", open_),
        ("point", {"resize": [9, 13], "antialias": False}, "uint8", open_),
        ("larger", {"resize": [50, 61]}, "uint8", open_),
        ("imagenet", {"resize": 20, "crop": [16, 15], **imagenet}, "float32", [3, 16, 15]),
        ("half", {"resize": 20, "crop": [16, 15], **imagenet}, "float16", [3, 16, 15]),
        ("bgr-mean", {"channels": "BGR", "mean": [103.94, 116.78, 123.68]}, "float32", [3, 8, 8]),
        ("crop", {"crop": [13, 7]}, "uint8", open_),
    ]:
        folder.add(f"png-{name}", encoded, options, (dtype, shape))
    # What tests/models/colours is asked about: one picture in every format.
    picture_ = picture(random_, "RGB", 50, 44)
    for format_, save in [("jpeg", {"quality": 90}), ("png", {}), ("webp", {"quality": 90}), ("bmp", {})]:
        options = {"resize": 20, "crop": [16, 15], **imagenet}
        target = ("float32", [3, None, None])
        folder.add(f"{format_}-colours", encode(picture_, format_, save, 1), options, target)
    for orientation in range(2, 9):
        turned = encode(picture(random_, "RGB", 11, 7), "png", {}, orientation)
        folder.add(f"png-orientation{orientation}", turned, {}, ("uint8", [None, None, 3]))
    folder.add("png-stored", turned, {"orientation": "ignore"}, ("uint8", [None, None, 3]))
    for format_ in ["jpeg", "webp"]:
        turned = encode(picture(random_, "RGB", 16, 9), format_, {"quality": 95}, 6)
        folder.add(f"{format_}-orientation6", turned, {}, ("uint8", [None, None, 3]))


def chosen(random_: random.Random) -> tuple[Options, str, list[int | None]]:
    """Options that fit a size of at least 12 x 12."""
    options: Options = {}
    dtype = random_.choice(["uint8", "float32", "float16"])
    channels = random_.choice(["RGB", "BGR", "grey"])
    if channels != "RGB":
        options["channels"] = channels
    depth = 1 if channels == "grey" else 3
    layout = random_.choice(["HWC", "CHW"])
    options["layout"] = layout
    size: list[int | None] = [None, None]
    how = random_.randrange(5)
    if how == 0:
        size = [random_.randint(1, 90), random_.randint(1, 90)]
    elif how == 1:
        options["resize"] = [random_.randint(1, 90), random_.randint(1, 90)]
    elif how == 2:
        side = random_.randint(8, 60)
        options["resize"] = side
        options["crop"] = [random_.randint(1, side), random_.randint(1, side)]
    elif how == 3:
        options["crop"] = [random_.randint(1, 12), random_.randint(1, 12)]
    if random_.random() < 0.4:
        options["filter"] = "area"
    elif random_.random() < 0.3:
        options["antialias"] = False
    if dtype != "uint8":
        if random_.random() < 0.7:
            options["scale"] = random_.choice([1 / 255, 1 / 127.5, 2.0])
        if random_.random() < 0.6:
            options["mean"] = [random_.uniform(-1, 1) for _ in range(random_.choice([1, depth]))]
        if random_.random() < 0.6:
            options["std"] = [random_.uniform(0.1, 2) for _ in range(random_.choice([1, depth]))]
    shape: list[int | None] = [*size, depth] if layout == "HWC" else [depth, *size]
    return options, dtype, shape


def randomly(folder: Folder, seed: int, count: int) -> None:
    random_ = random.Random(seed)
    for _ in range(count):
        kind = random_.choice(KINDS)
        image = picture(random_, kind[0], random_.randint(12, 150), random_.randint(12, 150))
        options, dtype, shape = chosen(random_)
        orientation = random_.choice([1, 1, 3, 6])
        if random_.random() < 0.3:
            options["orientation"] = "ignore"
        encoded = encode(image, *kind[1:], orientation)
        folder.add(named(kind), encoded, options, (dtype, shape))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=["fixed", "random"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    arguments = parser.parse_args()
    folder = Folder(arguments.folder)
    if arguments.which == "fixed":
        fixed(folder)
    else:
        randomly(folder, arguments.seed, arguments.count)
    folder.close()


if __name__ == "__main__":
    main()
