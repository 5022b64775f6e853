"""Does scoring keep its memory, lose or double nothing after a kill, and how much of its time is the model's?

    python -m benchmarks.scoring

Draws 2,000 synthetic crops, links them under 10,000 and 100,000 names, and scores both sets with an untrained
simple_cnn (64 pixels, one view), a model so small that everything else shows. The larger run is killed with SIGKILL on
the way and started again. Prints peak memory, files a second, and the processor time of the model alone over that of
the command.
Targets: peak memory at most 1.2 times; every file has one row.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import pyarrow.parquet as pq

IMAGE_SIZE, BATCH_SIZE = 64, 32
_KILL_AT = 0.4  # of the shards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--num_crops", type=int, nargs=2, default=[10_000, 100_000])
    parser.add_argument("--num_drawn", type=int, default=2_000)
    parser.add_argument("--folder", type=pathlib.Path, help="keeps the crops for the next run")
    parser.add_argument("--prepare", action="store_true", help="internal: draw and export in this process")
    options = parser.parse_args()
    if options.prepare:
        prepare(options.folder, options.num_drawn)
        return
    with tempfile.TemporaryDirectory() as temporary:
        measure(options.folder or pathlib.Path(temporary), options.num_crops, options.num_drawn)


def prepare(folder: pathlib.Path, num_drawn: int) -> None:
    """Draws the crops, exports the model, and prints the seconds of processor time that it needs for a file."""
    from PIL import Image

    from pipelines.bulk_inference import model as scoring_model
    from sperm_tf.config import ModelConfig
    from sperm_tf.models.classifier import build_classifier
    from sperm_tf.serving.export import export_saved_model
    from sperm_tf.synthesis.renderer import render

    drawn = folder / "drawn"
    drawn.mkdir(parents=True, exist_ok=True)
    for index in range(num_drawn):
        path = drawn / f"{index:06d}.png"
        if not path.is_file():
            Image.fromarray(render(index, label_set="quality").image).save(path)
    model = build_classifier(ModelConfig(name="simple_cnn"), num_classes=3, image_size=IMAGE_SIZE)
    names = ["normal", "abnormal", "non-sperm"]
    if not (folder / "model").is_dir():
        export_saved_model(model, folder / "model", class_names=names, image_size=IMAGE_SIZE)
    encoded = [path.read_bytes() for path in sorted(drawn.iterdir())[: 10 * BATCH_SIZE]]
    batches = [encoded[start : start + BATCH_SIZE] for start in range(0, len(encoded), BATCH_SIZE)]
    for batch in batches[:2]:
        scoring_model.ask(str(folder / "model"), batch)
    start = time.process_time()
    for batch in batches:
        scoring_model.ask(str(folder / "model"), batch)
    print((time.process_time() - start) / len(encoded))


def measure(folder: pathlib.Path, sizes: list[int], num_drawn: int) -> None:
    """Scores both sets and prints what came of it."""
    command = [sys.executable, "-m", "benchmarks.scoring", "--prepare", f"--folder={folder}"]
    done = subprocess.run([*command, f"--num_drawn={num_drawn}"], check=True, capture_output=True, text=True)
    model_s = float(done.stdout.split()[-1])
    peaks, slopes = [], []
    for size in sizes:
        crops, output = folder / f"crops_{size}", folder / f"scores_{size}_{os.getpid()}"
        link(folder / "drawn", crops, size)
        start = time.monotonic()
        is_larger = size == sizes[-1]
        runs = [score(folder / "model", crops, output, kill=True)] if is_larger else []
        runs.append(score(folder / "model", crops, output))
        wall_s, cpu_s = time.monotonic() - start, sum(run["cpu_s"] for run in runs)
        peaks.append(max(run["peak_mib"] for run in runs))
        slopes.append((size, cpu_s))
        check(output, crops)
        killed = f"killed with {runs[0]['finished']} shards finished, then resumed, " if is_larger else ""
        print(
            f"{size:>7,} files: {killed}{wall_s:.0f} s, {size / wall_s:.0f} files/s, {cpu_s:.0f} s of processor time, "
            f"peak {' and '.join(format(run['peak_mib'], '.0f') for run in runs)} MiB, every file has one row",
            flush=True,
        )
    print(f"peak memory x {peaks[1] / peaks[0]:.2f} (target at most 1.2)")
    whole_ms, model_ms = 1000 * slopes[1][1] / slopes[1][0], 1000 * model_s
    print(
        f"the model alone takes {model_ms:.1f} of {whole_ms:.1f} ms of processor time a file: {model_ms / whole_ms:.2f}"
    )


def link(drawn: pathlib.Path, crops: pathlib.Path, size: int) -> None:
    """Puts the drawn crops under `size` names, in folders of a thousand."""
    sources = sorted(drawn.iterdir())
    for index in range(size):
        target = crops / f"{index // 1000:04d}" / f"{index:07d}.png"
        if index % 1000 == 0:
            target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            os.link(sources[index % len(sources)], target)


def score(model: pathlib.Path, crops: pathlib.Path, output: pathlib.Path, *, kill: bool = False) -> dict[str, float]:
    """Runs the command in a process of its own; returns its peak memory and processor time."""
    command = [sys.executable, "-m", "pipelines.score", f"--model={model}", f"--input={crops}", f"--output={output}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    finished = 0
    if kill:
        total = None
        while total is None or finished < _KILL_AT * total:
            time.sleep(0.2)
            if total is None and (output / "inputs.parquet").is_file():
                total = pq.ParquetFile(output / "inputs.parquet").num_row_groups
            finished = len(list(output.glob("shards/*.parquet")))
            if process.poll() is not None:
                raise RuntimeError("the run ended before it was killed")
        process.send_signal(signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != (-signal.SIGKILL if kill else 0):
        raise RuntimeError(f"scoring ended with {process.returncode}")
    return {"peak_mib": usage.ru_maxrss / 1024, "cpu_s": usage.ru_utime + usage.ru_stime, "finished": finished}


def check(output: pathlib.Path, crops: pathlib.Path) -> None:
    """Every file has one row, and the same image the same answer wherever it stands."""
    table = pq.read_table(output / "scores.parquet", columns=["file", "status", "p_normal"]).to_pandas()
    expected = sorted(path.relative_to(crops).as_posix() for path in crops.rglob("*.png"))
    if list(table["file"]) != expected or set(table["status"]) != {"ok"}:
        raise RuntimeError("a file was lost or doubled")
    inodes = [(crops / name).stat().st_ino for name in table["file"]]
    spread = table.groupby(inodes)["p_normal"].agg(lambda values: values.max() - values.min()).max()
    if spread > 1e-4:
        raise RuntimeError(f"one image got answers that differ by {spread:.2g}")


if __name__ == "__main__":
    main()
