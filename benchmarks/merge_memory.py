"""Does the merge of score shards keep its memory, whatever the number of rows?

    python -m benchmarks.merge_memory

Writes shards as `pipelines.score` does, of 512 rows each, with 100,000 and with 1,000,000 rows of drawn values, one in
a hundred a copy of another. Merges them with that command's code, and writes the copy for spreadsheets, each in a
process of its own. Prints peak memory and rows a second of both.
Target: peak memory at most 1.2 times.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

TARGET = 1.2
STEPS = ("merge", "spreadsheet")
CLASS_NAMES = ("normal", "abnormal", "non-sperm")
_SHARD_SIZE = 512
_COPIES = 100  # one row in so many has the image of another


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--num_rows", type=int, nargs=2, default=[100_000, 1_000_000])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--do", choices=("prepare", *STEPS), help="internal: this step alone, in this process")
    parser.add_argument("--folder", type=pathlib.Path, help="internal: of the scores")
    options = parser.parse_args()
    if options.do:
        {"prepare": prepare, "merge": merge, "spreadsheet": write_spreadsheet}[options.do](
            options.folder, options.num_rows[0]
        )
        return
    peaks: dict[str, list[float]] = {step: [] for step in options.steps}
    for num_rows in options.num_rows:
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary, "scores")
            run("prepare", folder, num_rows)
            for step in options.steps:
                seconds, peak_mib = run(step, folder, num_rows)
                peaks[step].append(peak_mib)
                print(
                    f"{num_rows:>9,} rows, {step}: {seconds:.1f} s of processor time, "
                    f"{num_rows / seconds:,.0f} rows/s, peak {peak_mib:.0f} MiB",
                    flush=True,
                )
    for step, (small, large) in peaks.items():
        print(f"{step}: peak memory x {large / small:.2f} (target at most {TARGET})")


def run(step: str, folder: pathlib.Path, num_rows: int) -> tuple[float, float]:
    """Runs a step in a process of its own; returns its seconds of processor time and its peak memory in MiB."""
    command = [sys.executable, "-m", "benchmarks.merge_memory", f"--do={step}", f"--folder={folder}"]
    process = subprocess.Popen([*command, "--num_rows", str(num_rows), str(num_rows)])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{step} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def prepare(folder: pathlib.Path, num_rows: int) -> None:
    """Writes all that a run leaves before it merges."""
    import numpy as np

    from pipelines.bulk_inference.inputs import Crop, CropList
    from pipelines.bulk_inference.output import ScoreFolder

    folder.mkdir()
    crops = tuple(Crop(f"slide_{row // 10_000:04d}/{row:08d}.png", 5_000, row) for row in range(num_rows))
    score_folder = ScoreFolder(folder)
    score_folder.claim(_record(num_rows), CropList(pathlib.Path("/crops"), (), crops))
    generator = np.random.default_rng(0)
    for number, first in enumerate(range(0, num_rows, _SHARD_SIZE)):
        files = [crop.file for crop in crops[first : first + _SHARD_SIZE]]
        score_folder.shards.write(number, _draw_rows(files, first, generator))


def merge(folder: pathlib.Path, num_rows: int) -> None:
    """Merges, and checks what came of it."""
    from pipelines.bulk_inference import merging
    from pipelines.bulk_inference.inputs import RUN_FILE
    from pipelines.bulk_inference.output import ScoreFolder
    from sperm_tf.file_digests import read_record

    score_folder = ScoreFolder(folder)
    merging.merge(score_folder, read_record(folder / RUN_FILE), _schema(num_rows))
    summary = score_folder.finish()
    expected = {"num_files": num_rows, "num_copies": num_rows // _COPIES}
    if {name: summary[name] for name in expected} != expected:
        raise RuntimeError(f"the summary must have {expected}. Received: {summary}")


def write_spreadsheet(folder: pathlib.Path, num_rows: int) -> None:
    """Writes the copy for spreadsheets."""
    from pipelines.bulk_inference import spreadsheet
    from sperm_tf.evaluation.quantification.scores_file import PARQUET_FILE

    del num_rows
    if note := spreadsheet.write(folder / PARQUET_FILE):
        print(note)


def _record(num_rows: int) -> dict:
    from pipelines.bulk_inference.output import ScoreFolder

    identity = dict.fromkeys(ScoreFolder.identity, "drawn")
    return {**identity, "shard_size": _SHARD_SIZE, "num_files": num_rows, "columns": [], "model": "drawn"}


def _schema(num_rows: int):
    from sperm_tf.evaluation.quantification import scores_file

    return scores_file.schema(CLASS_NAMES, (), _record(num_rows))


def _draw_rows(files: list[str], first: int, generator):
    """A table of rows as a classifier gives them."""
    import numpy as np
    import pyarrow as pa

    from sperm_tf.evaluation.quantification import scores_file

    num = len(files)
    probabilities = generator.dirichlet(np.ones(len(CLASS_NAMES)), num).astype(np.float32)
    predicted = np.array(CLASS_NAMES)[probabilities.argmax(axis=1)]
    accepted = probabilities.max(axis=1) > 0.8
    rows = np.arange(first, first + num)
    images = rows - (rows % _COPIES == _COPIES - 1)  # the last of a hundred is the one before it
    columns = {
        scores_file.FILE: files,
        scores_file.STATUS: ["ok"] * num,
        scores_file.PREDICTED: predicted,
        **{f"{scores_file.PROBABILITY_PREFIX}{name}": probabilities[:, at] for at, name in enumerate(CLASS_NAMES)},
        scores_file.PREDICTION_SET: predicted,
        scores_file.DECISION: np.where(accepted, "accept", "refer"),
        scores_file.REASON: np.where(accepted, "", "low_confidence"),
        **dict.fromkeys((scores_file.UNFAMILIARITY, *scores_file.QUALITY), generator.uniform(0, 100, num)),
        scores_file.IMAGE_DIGEST: [hashlib.sha256(b"%d" % image).hexdigest() for image in images],
        scores_file.MODEL: ["drawn"] * num,
        scores_file.MODEL_DIGEST: ["0" * 64] * num,
    }
    schema = _schema(0).remove_metadata()
    return pa.table({name: pa.array(columns.get(name, [None] * num), safe=False) for name in schema.names}).cast(
        schema, safe=False
    )


if __name__ == "__main__":
    main()
