"""Crops a second, from the bytes of files to decisions: every installed runtime against the baseline's SavedModel.

    python -m benchmarks.runtimes --archive=<SMIDS.zip>

The baseline is `smids@1`, EfficientNet-B0 with CBAM and eight views, as this version exports it. Each rate is a median
of calls made in turn, by the clock or, with `--processor_time`, by the processor's time in this process. `bare` is the
runtime's session on pixels that are decoded and resized already. Targets: the fastest runtime 20 times the baseline at
batch 8 and 12 times at batch 1; the new SavedModel 8 times at batch 8; the fastest runtime 0.9 of the best bare one.
"""

import argparse
import functools
import pathlib
import tempfile
import time
import zipfile

import numpy as np

from benchmarks.interleave import time_interleaved

BATCHES = (1, 8, 32)


def read_crops(archive, count):
    with zipfile.ZipFile(archive) as file:
        names = [name for name in sorted(file.namelist()) if name.lower().endswith((".bmp", ".png"))]
        return [file.read(name) for name in names[:: len(names) // count][:count]]


def open_saved_model(source, folder):
    import tensorflow as tf

    import sperm_tf

    sperm_tf.load_model(source).export(folder)
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return lambda files: signature(image_bytes=tf.constant(files, tf.string))["probabilities"].numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=pathlib.Path, required=True)
    parser.add_argument("--model", default="smids")
    parser.add_argument("--baseline", default="smids@1")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--processor_time", action="store_true")
    arguments = parser.parse_args()
    import sperm_tf
    from sperm_tf.data.array_preprocess import preprocess_files
    from sperm_tf.runtimes.registry import RUNTIMES, is_installed

    crops = read_crops(arguments.archive, max(BATCHES))
    with tempfile.TemporaryDirectory() as work:
        rivals = {
            "baseline": open_saved_model(arguments.baseline, pathlib.Path(work, "baseline")),
            "SavedModel": open_saved_model(arguments.model, pathlib.Path(work, "model")),
        }
        bare = {}
        for runtime in filter(is_installed, RUNTIMES):
            model = sperm_tf.load_model(arguments.model, runtime=runtime).model
            rivals[runtime] = model.predict
            bare[runtime] = model.predict_images
        images, statuses = preprocess_files(crops, model.image_size)
        for size in BATCHES:
            calls = {name: functools.partial(ask, crops[:size]) for name, ask in rivals.items()}
            for name, ask in bare.items():
                calls[f"{name}, bare"] = functools.partial(ask, images[:size], statuses[:size])
            clock = time.process_time if arguments.processor_time else time.perf_counter
            seconds = time_interleaved(calls, repeats=arguments.repeats, clock=clock)
            for name, value in seconds.items():
                ratio = seconds["baseline"] / value
                print(f"batch {size:>2}  {name:<18} {size / value:8.1f} crops/s  {ratio:6.2f} times the baseline")
            best = min(seconds[name] for name in bare)
            alone = min(seconds[f"{name}, bare"] for name in bare)
            print(
                f"batch {size:>2}  the fastest runtime reaches {alone / best:.2f} of the fastest bare one", flush=True
            )
    probabilities = [np.asarray(ask(crops)["probabilities"]) for name, ask in rivals.items() if name in bare]
    print(f"probabilities differ by at most {np.ptp(probabilities, axis=0).max():.1g} between the runtimes")


if __name__ == "__main__":
    main()
