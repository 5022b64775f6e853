"""InfraValidator: whether the exported model predicts in a process that has nothing of this project."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.config import InfraValidatorConfig
from sperm_tf.data import examples
from sperm_tf.evaluation.infra_validation import probe

SPLIT = "test"
FORBIDDEN = ("sperm_tf", "pipelines", "tfds_builders", "keras", "tf_keras")
BAD_IMAGES = {1: b"these bytes are no image", 2: b""}  # row -> image, among the readable ones
_STDERR_LINES = 40


class InfraValidator(Component):
    """Loads the SavedModel in a fresh process and calls every signature with real images, unreadable ones among them.

    Layout: an empty file `INFRA_BLESSED` or `INFRA_NOT_BLESSED`, and `report.json`: `blessed`, `checks`, `asked`,
    `answers` (with seconds of loading and answering), and `failure` where the process gave none. A model that fails
    is no error here; the Pusher refuses it.
    """

    config: InfraValidatorConfig

    def is_intact(self, artifact: Artifact) -> bool:
        """Whether the trial took place: one that broke off, on a busy machine say, is worth another."""
        return artifact.properties["failure"] is None

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Predicts, compares and reports."""
        from sperm_tf.evaluation.infra_validation import checks as infra_checks

        model = inputs["model"].directory
        rows = _choose_rows(inputs["examples"].directory, self.config.num_images)
        answers, failure = _ask(model / "saved_model", rows, context.work_dir, timeout_s=self.config.timeout_s)
        checks = []
        if answers is not None:
            class_names = json.loads((model / "model.json").read_text(encoding="utf-8"))["class_names"]
            checks = infra_checks.check_answers(
                answers, class_names=class_names, bad_rows=sorted(BAD_IMAGES), num_rows=len(rows)
            )
        blessed = bool(checks) and all(check.passed for check in checks)
        report = {
            "blessed": blessed,
            "failure": failure,
            "checks": [dataclasses.asdict(check) for check in checks],
            "asked": {
                "image_ids": [row["image_id"] for row in rows],
                "unreadable_rows": sorted(BAD_IMAGES),
                "signatures": probe.SIGNATURES,
                "packages_not_importable": list(FORBIDDEN),
            },
            "answers": answers,
        }
        (output / "report.json").write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        (output / ("INFRA_BLESSED" if blessed else "INFRA_NOT_BLESSED")).touch()
        return {"blessed": blessed, "failed_checks": sum(not check.passed for check in checks), "failure": failure}


def _choose_rows(folder: pathlib.Path, num_images: int) -> list[dict[str, Any]]:
    """Real examples of the test split, and copies of the first one whose image is replaced by something unreadable."""
    shards = examples.shard_paths(folder, SPLIT)
    rows = []
    for serialized in examples.read_serialized(shards).take(num_images).as_numpy_iterator():
        values = examples.from_example(serialized)
        rows.append({"image_id": bytes(values["image_id"]).decode(), "image": values["image"], "example": serialized})
    first = examples.from_example(rows[0]["example"])
    for index, image in sorted(BAD_IMAGES.items()):
        example = examples.to_example({**first, "image": image}).SerializeToString()
        rows.insert(index, {"image_id": "", "image": image, "example": example})
    return rows


def _ask(
    saved_model: pathlib.Path, rows: list[dict[str, Any]], work_dir: pathlib.Path, *, timeout_s: float
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Outputs of the fresh process, or how it failed."""
    work_dir = work_dir.resolve()
    request_file, answers_file = work_dir / "request.json", work_dir / "answers.json"
    answers_file.unlink(missing_ok=True)
    request = {
        "saved_model": str(saved_model.resolve()),
        "image_bytes": [base64.b64encode(row["image"]).decode() for row in rows],
        "examples": [base64.b64encode(row["example"]).decode() for row in rows],
        "answers": str(answers_file),
        "forbidden": FORBIDDEN,
    }
    request_file.write_text(json.dumps(request), encoding="utf-8")
    command = [sys.executable, "-I", str(pathlib.Path(probe.__file__).resolve()), str(request_file)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    try:
        process = subprocess.run(
            command, cwd=work_dir, env=environment, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        return None, {"kind": "timeout", "timeout_s": timeout_s, "stderr": _tail(error.stderr)}
    if process.returncode != 0 or not answers_file.is_file():
        return None, {"kind": "exit", "exit_code": process.returncode, "stderr": _tail(process.stderr)}
    return json.loads(answers_file.read_text(encoding="utf-8")), None


def _tail(stderr: bytes | None) -> list[str]:
    return (stderr or b"").decode("utf-8", "replace").splitlines()[-_STDERR_LINES:]
