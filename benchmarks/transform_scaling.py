"""Does Transform's time grow with the number of images, and its memory not?

    python -m benchmarks.transform_scaling

Draws 2,000 and 20,000 synthetic images, which takes minutes and 5 GB (`--pipeline_root` keeps them for the next run),
then transforms each set in a process of its own. Targets: time at most 11 times, peak memory at most 1.2 times.
"""

import argparse
import json
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

SIZES = (2_000, 20_000)


def transform(root: pathlib.Path, num_images: int) -> dict[str, float]:
    """Runs the stages up to Transform on `num_images` images; returns Transform's seconds and the peak MiB."""
    import tensorflow as tf  # noqa: F401  its import is not part of the work

    from pipelines.components.example_gen import ExampleGen
    from pipelines.components.example_validator import ExampleValidator
    from pipelines.components.transform import Transform
    from pipelines.orchestration.component import RunContext
    from sperm_tf.config import ExampleGenConfig, ExampleValidatorConfig, TransformConfig

    context = RunContext(root)
    examples = ExampleGen(ExampleGenConfig(num_images=num_images)).run(context)
    validation = ExampleValidator(ExampleValidatorConfig(), examples=examples).run(context)
    artifact = Transform(TransformConfig(image_size=128), examples=examples, validation=validation).run(context)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": artifact.duration_s, "peak_mib": peak_kib / 1024}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pipeline_root", type=pathlib.Path)
    parser.add_argument("--num_images", type=int, help="internal: run one size in this process")
    arguments = parser.parse_args()
    if arguments.num_images:
        print(json.dumps(transform(arguments.pipeline_root, arguments.num_images)))
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments.pipeline_root or pathlib.Path(folder))


def measure(root: pathlib.Path) -> None:
    """Transforms both sets under `root` and prints how time and memory grow."""
    results = []
    for size in SIZES:
        command = [sys.executable, "-m", "benchmarks.transform_scaling"]
        command += [f"--pipeline_root={root}", f"--num_images={size}"]
        subprocess.run(command, check=True, capture_output=True)  # draws the images where they are not there yet
        shutil.rmtree(root / "Transform", ignore_errors=True)
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        results.append(json.loads(output.splitlines()[-1]))
        print(f"{size:>6} images: {results[-1]['seconds']:.1f} s, peak {results[-1]['peak_mib']:.0f} MiB")
    time_ratio = results[1]["seconds"] / results[0]["seconds"]
    memory_ratio = results[1]["peak_mib"] / results[0]["peak_mib"]
    print(f"time x {time_ratio:.2f} (target at most 11), peak memory x {memory_ratio:.2f} (target at most 1.2)")


if __name__ == "__main__":
    main()
