"""Whether the model was pushed, and the commands that serve it."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Mapping
from typing import Any

from sperm_tf.report import text
from sperm_tf.report.stages import Stage

SERVER_IMAGE = "tensorflow/serving:2.19.1"


def describe_serving(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """The verdicts on the model, and how to use it: pushed, or straight from the Calibrator's artifact."""
    names = ("evaluator", "explanation_validator", "infra_validator", "calibrator")
    evaluator, maps, infra, calibrator = (stages[name] for name in names)
    pushed = stages["pusher"].read_json("pushed.json")
    is_pushed = bool(pushed.get("pushed")) and bool(pushed.get("path"))
    saved_model = str(pushed["path"]) if is_pushed else str(calibrator.path("saved_model") or "")
    name = str(pushed.get("model_name") or "sperm")
    return {
        "is_pushed": is_pushed,
        "model_name": name,
        "version": pushed.get("version") if is_pushed else None,
        "path": saved_model,
        "reasons": [str(reason) for reason in pushed.get("reasons") or []],
        "verdicts": [
            _describe_verdict("Evaluation", evaluator, "BLESSED", ("blessed", "not blessed")),
            _describe_maps(maps),
            _describe_verdict("Serving trial", infra, "INFRA_BLESSED", ("passed", "not passed")),
            {
                "name": "Pushed",
                "state": "good" if is_pushed else "bad" if pushed else "unknown",
                "text": f"version {pushed.get('version')}" if is_pushed else "no" if pushed else "not run",
            },
        ],
        "formats": [_describe_format(entry) for entry in pushed.get("formats") or []],
        "trial": _describe_trial(infra.read_json("report.json")),
        "commands": _commands(saved_model, name, is_pushed) if saved_model else [],
    }


def _describe_format(entry: Mapping[str, Any]) -> dict[str, str]:
    """A row of the table of formats."""
    rates = entry["images_per_second"]
    return {
        "format": str(entry["format"]),
        "runtime": str(entry["runtime"]),
        "size": f"{entry['num_bytes'] / 1e6:.1f} MB",
        "compared": f"{entry['num_images']:,}",
        "difference": f"{entry['max_probability_difference']:.1g}",
        "rate_1": f"{rates['1']:.3g}",
        "rate_32": f"{rates['32']:.3g}",
    }


def _describe_verdict(name: str, stage: Stage, marker: str, words: tuple[str, str]) -> dict[str, str]:
    if stage.directory is None:
        return {"name": name, "state": "unknown", "text": "not run"}
    given = stage.has(marker)
    return {"name": name, "state": "good" if given else "bad", "text": words[0] if given else words[1]}


def _describe_maps(stage: Stage) -> dict[str, str]:
    """The verdict on the maps; a blessing for which nothing was demanded is none that a reader should count on."""
    if stage.directory is not None and not stage.read_json("validation.json").get("checks"):
        return {"name": "Maps", "state": "unknown", "text": "nothing demanded"}
    return _describe_verdict("Maps", stage, "EXPLANATION_BLESSED", ("blessed", "not blessed"))


def _describe_trial(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the InfraValidator demanded of the model in a process of its own, and what was not met."""
    checks = [check for check in report.get("checks") or [] if isinstance(check, dict)]
    failed = [check for check in checks if not check.get("passed")]
    return {
        "num_checks": len(checks),
        "num_failed": len(failed),
        "failure": _describe_failure(report.get("failure")),
        "failure_output": _failure_output(report.get("failure")),
        "failed": [" ".join(str(check.get(key, "")) for key in ("signature", "demand", "detail")) for check in failed],
    }


def _describe_failure(failure: Any) -> str:
    """How the process of the trial failed; empty when it finished."""
    if not failure or not isinstance(failure, dict):
        return str(failure or "")
    if failure.get("kind") == "timeout":
        return f"it was stopped after {text.duration(failure.get('timeout_s'))}."
    if failure.get("kind") == "exit":
        return f"its process ended with exit code {failure.get('exit_code')}."
    return f"{failure.get('kind') or 'the reason was not recorded'}."


def _failure_output(failure: Any) -> str:
    """The last lines that the process wrote to its standard error."""
    lines = failure.get("stderr") if isinstance(failure, dict) else None
    return "\n".join(map(str, lines)) if isinstance(lines, list) else str(lines or "")


def _commands(saved_model: str, name: str, is_pushed: bool) -> list[dict[str, str]]:
    base = str(pathlib.PurePath(saved_model).parent)
    path = shlex.quote(saved_model)
    commands = [
        {
            "title": "Show its signatures",
            "text": f"saved_model_cli show --all --dir {path}",
        }
    ]
    if is_pushed:
        commands += [
            {
                "title": "Serve it with TensorFlow Serving (REST on 8501, gRPC on 8500)",
                "text": f"docker run --rm -p 127.0.0.1:8500:8500 -p 127.0.0.1:8501:8501 \\\n"
                f"  -v {shlex.quote(f'{base}:/models/{name}:ro')} \\\n"
                f"  -e MODEL_NAME={shlex.quote(name)} {SERVER_IMAGE}",
            },
            {
                "title": "Predict with the client",
                "text": f"python -m sperm_tf.serving.client --target=http://localhost:8501 "
                f"--model_name={shlex.quote(name)} image.png",
            },
            {
                "title": "Predict with curl",
                "text": 'printf \'{"signature_name": "serving_default", "instances": [{"b64": "%s"}]}\' '
                "\"$(base64 < image.png | tr -d '\\n')\" \\\n"
                f"  | curl --data @- http://localhost:8501/v1/models/{name}:predict",
            },
        ]
    commands.append(
        {
            "title": "Predict from Python, without a server and without sperm_tf",
            "text": "import pathlib\n"
            "import tensorflow as tf\n\n"
            f"model = tf.saved_model.load({saved_model!r})\n"
            'image = tf.constant([pathlib.Path("image.png").read_bytes()])\n'
            'answer = model.signatures["explain"](image_bytes=image)\n'
            'print(answer["decision"], answer["reason"], answer["predicted_class"], answer["probabilities"])',
        }
    )
    return commands
