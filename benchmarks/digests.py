"""What the digests of a pipeline's files cost: python -m benchmarks.digests --pipeline_root=runs/demo.

Every stage hashes what it wrote, and what it reads, once; the push hashes the model twice more, and each run what is
served. This hashes the same files of a finished root anew and compares the time with that of the stages. Target: at
most 2 % of the run.
"""

from __future__ import annotations

import argparse
import pathlib
import time

from pipelines.orchestration.artifacts import ARTIFACT_FILE, Artifact
from sperm_tf.file_digests import digest_files

TARGET = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pipeline_root", type=pathlib.Path, required=True)
    root = parser.parse_args().pipeline_root
    found = [Artifact.read(path.parent) for path in sorted(root.glob(f"[A-Z]*/[0-9a-f]*/{ARTIFACT_FILE}"))]
    by_digest = {artifact.digest: artifact for artifact in found}
    read = [by_digest[source["digest"]] for artifact in found for source in artifact.inputs.values()]
    work = [(artifact.directory, artifact.files) for artifact in [*found, *read]]
    versions = [path.parents[1] for path in root.glob("serving/*/*/assets.extra/push.json")]
    work += [(version, None) for version in versions for _ in range(3)]

    start, num_bytes = time.perf_counter(), 0
    for folder, names in work:
        num_bytes += sum((folder / name).stat().st_size for name in digest_files(folder, names))
    seconds = time.perf_counter() - start
    whole = sum(artifact.duration_s for artifact in found)
    share = seconds / whole
    print(f"{len(found)} stages in {whole:.1f} s; {num_bytes / 1e6:.1f} MB hashed in {seconds:.3f} s: {share:.2%}")
    print("target met" if share <= TARGET else f"target missed: at most {TARGET:.0%}")


if __name__ == "__main__":
    main()
