"""What reading the codes of a GIF before its pixels costs.

    python -m benchmarks.gif_codes

Processor time of a noisy GIF of 256 colours: TensorFlow's decoder alone, that of the served graph, and that without
TensorFlow; compressed, and as programs write it that do not compress.
"""

import time

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.interleave import time_interleaved
from sperm_tf.data import array_gif, gif
from tests import image_files

_CODES_A_TABLE = 254  # literals of 9 bits; one more, and codes have 10


def draw(side):
    rng = np.random.default_rng(0)
    pixels = image_files.random_pixels(side, side).astype(int) + rng.integers(-9, 10, (side, side, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).quantize(256)


def write_plain(image):
    literals, codes = np.asarray(image).ravel().tolist(), []
    for start in range(0, len(literals), _CODES_A_TABLE):
        codes += [256, *literals[start : start + _CODES_A_TABLE]]
    return image_files.gif_of_codes([*codes, 257], 8, side=image.height)


def main():
    signature = [tf.TensorSpec([], tf.string)]
    graph = tf.function(gif.decode, input_signature=signature)
    alone = tf.function(lambda encoded: tf.io.decode_gif(encoded)[0], input_signature=signature)
    for side in (131, 224, 1000):
        image = draw(side)
        for kind, content in (
            ("compressed", image_files.encode(image, "GIF", interlace=0)),
            ("plain", write_plain(image)),
        ):
            encoded = tf.constant(content)
            rivals = {
                "TensorFlow alone": lambda encoded=encoded: alone(encoded).numpy(),
                "served graph": lambda encoded=encoded: graph(encoded).numpy(),
                "without TensorFlow": lambda content=content: array_gif.decode(content),
            }
            seconds = time_interleaved(rivals, repeats=10, clock=time.process_time)
            times = ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in seconds.items())
            print(f"{side}x{side}, {kind}, {len(content):,} bytes: {times}", flush=True)


if __name__ == "__main__":
    main()
