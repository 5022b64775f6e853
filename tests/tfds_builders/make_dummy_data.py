"""Draws the dummy data of the builders: `python -m tests.tfds_builders.make_dummy_data`.

Ten images of every class, blots on a grey ground. `smids` also gets what its release is known for: PNG bytes in a file
named `.bmp`, identical pixels under one label and under two, and a file that is no image.
"""

import io
import pathlib

import numpy as np
from PIL import Image

BUILDERS = pathlib.Path(__file__).resolve().parents[2] / "tfds_builders"
NUM_IMAGES = 10


def draw(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(18, 26, size=2)
    y, x = np.mgrid[:height, :width]
    blot = np.hypot(y - rng.uniform(4, height - 4), x - rng.uniform(4, width - 4)) < rng.uniform(3, 7)
    pixels = rng.integers(150, 230, size=(height, width, 3))
    pixels[blot] -= 100
    return Image.fromarray(pixels.astype(np.uint8))


def encode(image: Image.Image, image_format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format)
    return buffer.getvalue()


def write_class(folder: pathlib.Path, first_seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(NUM_IMAGES):
        image_format = "PNG" if index % 5 == 4 else "BMP"
        (folder / f"image_{index:03d}.bmp").write_bytes(encode(draw(first_seed + index), image_format))


def main() -> None:
    for number, name in enumerate(("01_Normal", "02_Tapered", "03_Pyriform", "04_Amorphous")):
        write_class(BUILDERS / "hushem" / "dummy_data" / "HuSHeM" / name, 100 * number)
    smids = BUILDERS / "smids" / "dummy_data" / "SMIDS"
    for number, name in enumerate(("Normal_Sperm", "Abnormal_Sperm", "Non-Sperm")):
        write_class(smids / name, 1000 + 100 * number)
    (smids / "Normal_Sperm" / "copy.bmp").write_bytes(encode(draw(1000), "PNG"))
    (smids / "Non-Sperm" / "conflict.bmp").write_bytes(encode(draw(1001), "PNG"))
    (smids / "Non-Sperm" / "no_image.bmp").write_bytes(b"not an image")


if __name__ == "__main__":
    main()
