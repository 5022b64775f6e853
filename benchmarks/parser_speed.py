"""Time of the released parser of fields, against Keras and against the classification of the field's cells.

    python -m benchmarks.parser_speed --processor_time

Draws a field of 1280 x 1024 pixels, 0.05 µm each. The network alone predicts the same pixels, at the resolution that it
sees, in OpenVINO, which the finder prefers, in ONNX Runtime, and by `predict` of the Keras model with the same weights;
target: at least 3 times the rate of Keras. `find` as the command runs it, with the resizing before and the grouping and
the masks after the network, is held against the time in which `smids` classifies crops of the field's heads in the same
runtime; target: less, for as many crops as the field has heads. Times are medians of
calls in turn, by the clock or, with `--processor_time`, by the processor's time in this process.
"""

from __future__ import annotations

import argparse
import functools
import os
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.interleave import time_interleaved

HEIGHT, WIDTH = 1024, 1280
NUM_CELLS = (7, 20)
TARGET = 3
RUNTIMES = ("openvino", "onnxruntime")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixel_size_um", type=float, default=0.05)
    parser.add_argument("--field", type=int, default=1, help="number of the drawn field")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--processor_time", action="store_true", help="for a machine that is busy with other work")
    flags = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    import sperm_tf
    from sperm_tf.data.decode import encode_png
    from sperm_tf.fields.crops import cut_crop
    from sperm_tf.fields.grouping import group_cells
    from sperm_tf.fields.parsing import HEAD_PX, OUTPUTS
    from sperm_tf.fields.pixels import ArrayPixels
    from sperm_tf.fields.scale import HEAD_LENGTH_UM
    from sperm_tf.fields.tiling import MULTIPLE
    from sperm_tf.models.field_parser import build_field_parser
    from sperm_tf.runtimes.field_parser import GRAPH_FILE, RELEASED, WEIGHTS_FILE, FieldParser, resize
    from sperm_tf.runtimes.sessions import open_session
    from sperm_tf.synthesis.field_renderer import render_field

    pixels = render_field(flags.field, height=HEIGHT, width=WIDTH, pixel_size_um=flags.pixel_size_um).image
    head_px = HEAD_LENGTH_UM / flags.pixel_size_um
    picture = resize(pixels, HEAD_PX / head_px)
    sides = [(0, -side % MULTIPLE) for side in picture.shape[:2]]
    seen = np.pad(picture, (*sides, (0, 0)), mode="edge")[None]
    finder = FieldParser()
    heads = finder.find(pixels, head_length_px=head_px).heads
    crops = [encode_png(cut_crop(ArrayPixels(pixels), head).pixels) for head in heads]
    classifier = sperm_tf.load_model("smids", runtime=RUNTIMES[0]).model
    network = build_field_parser(str(RELEASED / WEIGHTS_FILE))
    keras_input = seen.astype(np.float32)
    sessions = {runtime: open_session(RELEASED / GRAPH_FILE, runtime, OUTPUTS) for runtime in RUNTIMES}
    expected = network.predict(keras_input, verbose=0)
    gap = 0.0
    for session in sessions.values():
        maps = {name: values[0] for name, values in session(seen).items()}
        gap = max(gap, *(float(np.abs(values[0] - maps[name]).max()) for name, values in expected.items()))
    rivals = {
        "keras predict": functools.partial(network.predict, keras_input, verbose=0),
        **{runtime: functools.partial(session, seen) for runtime, session in sessions.items()},
        "grouping": functools.partial(group_cells, maps),
        "find": functools.partial(finder.find, pixels, head_length_px=head_px),
    }
    counts = sorted({len(heads), *NUM_CELLS})
    for count in counts:
        files = [crops[place % len(crops)] for place in range(count)]
        rivals[f"classify {count}"] = functools.partial(classifier.predict, files)
    clock = time.process_time if flags.processor_time else time.perf_counter
    seconds = time_interleaved(rivals, repeats=flags.repeats, clock=clock)
    print(f"{WIDTH} x {HEIGHT} pixels, {len(heads)} heads; the network sees {seen.shape[2]} x {seen.shape[1]}")
    for name, value in seconds.items():
        print(f"{name:<16} {1000 * value:8.0f} ms")
    for runtime in RUNTIMES:
        ratio = seconds["keras predict"] / seconds[runtime]
        print(f"{runtime}: {ratio:.2f} times the rate of Keras (target at least {TARGET})")
    for count in counts:
        print(f"find / classification of {count}: {seconds['find'] / seconds[f'classify {count}']:.2f}")
    print(f"outputs differ from Keras' by at most {gap:.1g}")


if __name__ == "__main__":
    main()
