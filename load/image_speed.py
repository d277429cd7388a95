"""Decoding and resizing in infer beside Pillow and NumPy, on the same images, in milliseconds of one processor.

    .venv/bin/python load/image_speed.py

Both make a row of a network for ImageNet: the shorter side to 256, the middle 224 x 224, normalised, channels first.
Pillow's `draft`, which decodes a JPEG at a fraction of its size, is not used: it answers other pixels.
"""

import io
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, features

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT / "tests/images"))
from reference import picture  # noqa: E402

SECONDS = 2.0
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder))
        bench = ["cargo", "bench", "--quiet", "--package", "millrace-infer", "--bench", "images", "--", folder]
        bench = sys.argv[1:] + [folder] if len(sys.argv) > 1 else bench
        output = subprocess.run(bench, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
        ours = dict(line.split("\t") for line in output.splitlines() if "\t" in line)
        turbo = features.version("libjpeg_turbo") or "no libjpeg-turbo"
        print(f"| Image | infer, ms | Pillow {Image.__version__} ({turbo}), ms | ratio |\n|---|---|---|---|")
        for file in sorted(Path(folder).iterdir()):
            mine, theirs = float(ours[file.name]), pillow_ms(file.read_bytes())
            print(f"| {file.name} | {mine:.2f} | {theirs:.2f} | {mine / theirs:.2f} |")


def write_images(folder: Path) -> None:
    for width, height in [(500, 375), (1920, 1080)]:
        image = picture(random.Random(1), "RGB", width, height)
        for suffix, save in [("jpeg", {"quality": 85}), ("png", {}), ("webp", {"quality": 85}), ("bmp", {})]:
            image.save(folder / f"{width}x{height}.{suffix}", **save)


def pillow_ms(encoded: bytes) -> float:
    begun, before, images = time.monotonic(), time.thread_time(), 0
    while time.monotonic() - begun < SECONDS:
        row(encoded)
        images += 1
    return (time.thread_time() - before) * 1e3 / images


def row(encoded: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    width, height = image.size
    short = min(width, height)
    width, height = 256 * width // short, 256 * height // short
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - 224) // 2, (height - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)
    return np.ascontiguousarray(((pixels / 255 - MEAN) / STD).transpose(2, 0, 1))


if __name__ == "__main__":
    main()
