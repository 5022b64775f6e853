"""What a component is: a function from input artifacts to one output artifact, run at most once per fingerprint.

The output is written to a temporary sibling and renamed when it is complete, under a lock for that fingerprint: a run
that is killed leaves nothing half-written behind, and two runs on one pipeline root do not disturb each other.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import datetime
import pathlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from pipelines.orchestration import artifacts, locks, progress
from sperm_tf.file_digests import digest_files
from sperm_tf.version import __version__
from sperm_tf.whole_files import NO_ROOM, move_into_place, set_aside


class StageError(RuntimeError):
    """A stage found something that must stop the run; the message says what and how to go on."""


@dataclasses.dataclass(frozen=True)
class RunContext:
    """Where and how a run works.

    Attributes:
        pipeline_root: directory that holds every artifact.
        beam_args: Apache Beam's own flags, such as `--runner=FlinkRunner`.
        work_dir: of the stage now running; survives a kill and is empty again once the stage is done.
        external: of the stage now running; what its `external_inputs` found.
    """

    pipeline_root: pathlib.Path
    beam_args: tuple[str, ...] = ()
    work_dir: pathlib.Path = pathlib.Path()
    external: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def beam_pipeline(self) -> Any:
        """A `beam.Pipeline` for this run's flags, which raises a StageError for what failed in another process.

        The local default is Beam's `FnApiRunner`: `DirectRunner` first tries to download another runner.
        """
        from pipelines.orchestration import runners

        return runners.RunnerPipeline(["--runner=FnApiRunner", *self.beam_args])

    def check_runner(self, *folders: str | pathlib.Path) -> None:
        """Raises a StageError when the flags name a runner elsewhere that could not work; see `runners.check`."""
        if self.beam_args:
            from pipelines.orchestration import runners

            runners.check(self.beam_args, self.pipeline_root, folders)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What running a component would do: `action` is `reuse`, `run` or `stop`, `reason` says why."""

    action: str
    reason: str


class Component(abc.ABC):
    """One stage of the pipeline.

    Subclasses implement `execute`, which writes the payload, and raise `version` whenever that payload changes.
    Every component can be used on its own: `Transform(config, examples="runs/demo/ExampleGen/<id>").run(context)`.

    Args:
        config: the component's own part of the configuration, a frozen dataclass, or None.
        **inputs: upstream components, artifacts, or artifact directories, by name.
    """

    version: ClassVar[int] = 1

    def __init__(self, config: Any = None, **inputs: Component | artifacts.Artifact | str | pathlib.Path):
        self.config = config
        self.inputs = inputs
        self.artifact: artifacts.Artifact | None = None
        self.was_reused = False
        self._planned: artifacts.Artifact | None = None

    @property
    def name(self) -> str:
        """Name of the stage, and of its directory under the pipeline root."""
        return type(self).__name__

    @abc.abstractmethod
    def execute(
        self, inputs: Mapping[str, artifacts.Artifact], output: pathlib.Path, context: RunContext
    ) -> dict[str, Any]:
        """Writes the payload into `output`, an empty directory, and returns the artifact's properties."""

    def external_inputs(self, inputs: Mapping[str, artifacts.Artifact], context: RunContext) -> dict[str, Any]:
        """Identifies, JSON-serializable, what the stage reads besides its inputs; part of the fingerprint."""
        del inputs, context
        return {}

    def is_intact(self, artifact: artifacts.Artifact) -> bool:
        """Whether what a finished artifact has outside its directory is still there."""
        del artifact
        return True

    def check(self, artifact: artifacts.Artifact) -> None:
        """Raises `StageError` when the finished artifact, new or reused, forbids going on."""
        del artifact

    def run(self, context: RunContext, on_start: Callable[[], None] | None = None) -> artifacts.Artifact:
        """Returns the finished artifact, produced now or found from an earlier run.

        Args:
            context: where and how to run.
            on_start: called when the stage starts to work, which it does not when its artifact is found.

        Raises:
            StageError: when the stage or one before it found something that must stop the run.
        """
        if self.artifact is not None:
            return self.artifact
        inputs = {name: _resolve(value, context) for name, value in self.inputs.items()}
        fields = self.fingerprint_fields(inputs, context)
        key = artifacts.fingerprint(fields)
        directory = self._directory(context, key)
        _make_folder(directory.parent)
        artifact = self._find(directory)
        self.was_reused = artifact is not None
        if artifact is None:
            with locks.held(
                directory.parent / f".{directory.name}.lock",
                waiting=lambda other: f"{self.name} waits for {other} that works on {directory}",
            ):
                artifact = self._find(directory)  # another run may have finished it while this one waited
                self.was_reused = artifact is not None
                if artifact is None:
                    if on_start is not None:
                        on_start()
                    artifact = self._produce(inputs, fields, key, directory, context)
        shutil.rmtree(_work_dir(directory), ignore_errors=True)  # that of a run which was killed at its end, too
        self.check(artifact)
        self.artifact = artifact
        return artifact

    def plan(self, context: RunContext) -> Plan:
        """Says, without running anything, whether the stage would be reused, and why not.

        The components that it takes as inputs must have been planned or run before.
        """
        inputs = {}
        for name, value in self.inputs.items():
            if not isinstance(value, Component):
                inputs[name] = _resolve(value, context)
            elif earlier := value.artifact or value._planned:
                inputs[name] = earlier
            else:
                return Plan("run", f"{value.name} runs before it")
        fields = self.fingerprint_fields(inputs, context)
        self._planned = self._find(self._directory(context, artifacts.fingerprint(fields)))
        if self._planned is not None:
            return self._plan_reuse(self._planned)
        return Plan("run", self._why_not_reused(fields, context))

    def _plan_reuse(self, artifact: artifacts.Artifact) -> Plan:
        try:
            self.check(artifact)
        except StageError as error:
            self._planned = None
            return Plan("stop", str(error).splitlines()[0])
        return Plan("reuse", str(artifact.directory))

    def _produce(
        self,
        inputs: Mapping[str, artifacts.Artifact],
        fields: dict[str, Any],
        key: str,
        directory: pathlib.Path,
        context: RunContext,
    ) -> artifacts.Artifact:
        _check_inputs(self.name, inputs)
        output = directory.with_name(f".{directory.name}.tmp")
        work_dir = _work_dir(directory)
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
        work_dir.mkdir(exist_ok=True)
        started_at = datetime.datetime.now(datetime.UTC)
        start = time.monotonic()
        own_context = dataclasses.replace(context, work_dir=work_dir, external=fields["external"])
        with self._explained(directory.parent):
            with progress.shown(self.name):
                properties = self.execute(inputs, output, own_context)
            files = artifacts.list_files(output)
            sha256 = digest_files(output, files)
            artifact = artifacts.Artifact(
                directory=output,
                producer=self.name,
                fingerprint=key,
                digest=artifacts.combine(sha256),
                files=files,
                sha256=sha256,
                config=fields["config"],
                inputs={name: value.reference() for name, value in inputs.items()},
                external=fields["external"],
                properties=properties,
                versions=artifacts.library_versions(),
                started_at=started_at.isoformat(timespec="seconds"),
                duration_s=round(time.monotonic() - start, 3),
            )
            artifact.write()
            self._clear(directory)
            move_into_place(output, directory)
        return dataclasses.replace(artifact, directory=directory)

    @contextlib.contextmanager
    def _explained(self, folder: pathlib.Path) -> Iterator[None]:
        """Names the stage in errors whose own message names nothing."""
        try:
            yield
        except OSError as error:
            if error.errno not in NO_ROOM and not isinstance(error, shutil.Error):  # the latter of a whole folder
                raise
            raise StageError(
                f"{self.name} must be able to write into {folder}. Received: {error}. Make room on the disk, and run "
                "again: the finished stages are kept."
            ) from error
        except Exception as error:
            if type(error).__module__.startswith("tensorflow"):  # such as a full disk, of no type that others catch
                raise StageError(f"{self.name}: {error}") from error
            raise

    def _clear(self, directory: pathlib.Path) -> None:
        """Makes way for a new artifact; one that is damaged is kept under another name."""
        if not directory.exists():
            return
        if damage := artifacts.describe_damage(directory):
            kept = set_aside(directory)
            said = f"{self.name} is made anew. {damage.rstrip('.')}. The old one is kept: {kept}"
            print(said, file=sys.stderr, flush=True)
        else:  # what it has outside its directory is gone
            shutil.rmtree(directory)

    def _find(self, directory: pathlib.Path) -> artifacts.Artifact | None:
        artifact = artifacts.find(directory)
        return artifact if artifact is not None and self.is_intact(artifact) else None

    def _directory(self, context: RunContext, key: str) -> pathlib.Path:
        return context.pipeline_root / self.name / key[:16]

    def fingerprint_fields(self, inputs: Mapping[str, artifacts.Artifact], context: RunContext) -> dict[str, Any]:
        """What an artifact is known by, JSON-serializable: equal fields, equal payload."""
        return {
            "component": self.name,
            "component_version": self.version,
            "package_version": __version__,
            "config": artifacts.to_jsonable(self.config),
            "inputs": {name: value.digest for name, value in inputs.items()},
            "external": self.external_inputs(inputs, context),
        }

    def _why_not_reused(self, fields: dict[str, Any], context: RunContext) -> str:
        """Compares with the newest artifact of this stage."""
        directory = self._directory(context, artifacts.fingerprint(fields))
        if directory.exists() and (damage := artifacts.describe_damage(directory)):
            return damage
        found = []
        for path in (context.pipeline_root / self.name).glob(f"*/{artifacts.ARTIFACT_FILE}"):
            with contextlib.suppress(ValueError):  # of another version of this package
                found.append(artifacts.Artifact.read(path.parent))
        if not found:
            return "nothing from an earlier run"
        earlier = max(found, key=lambda item: item.started_at)
        changes = _changes(earlier.config, fields["config"])
        digests = {name: value["digest"] for name, value in earlier.inputs.items()}
        changes += [f"input {name} changed" for name, value in fields["inputs"].items() if digests.get(name) != value]
        if earlier.external != fields["external"]:
            changes.append("its source outside the pipeline changed")
        return "; ".join(changes) or "the software or the stored result changed"


def _work_dir(directory: pathlib.Path) -> pathlib.Path:
    """Where a stage keeps what it needs until its artifact is finished."""
    return directory.with_name(f".{directory.name}.work")


def _resolve(value: Component | artifacts.Artifact | str | pathlib.Path, context: RunContext) -> artifacts.Artifact:
    if isinstance(value, Component):
        return value.run(context)
    if isinstance(value, artifacts.Artifact):
        return value
    return artifacts.Artifact.read(value)


def _make_folder(folder: pathlib.Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StageError(
            f"pipeline_root must be a folder that can be written to. Received: {error}. Name another with "
            "--pipeline_root, or mend this one."
        ) from error


def _check_inputs(stage: str, inputs: Mapping[str, artifacts.Artifact]) -> None:
    """Reads every file of the inputs, and compares it with its digest.

    Raises:
        StageError: one is lost or has another content.
    """
    for artifact in inputs.values():
        if changed := artifact.changed_files():
            raise StageError(
                f"{stage} must read what {artifact.producer} wrote. Received: {artifact.describe_change(changed)}. "
                f"Move {artifact.directory} away, or restore it from a copy, and run again: {artifact.producer} is "
                "made anew. Files change by themselves on a failing disk: check it."
            )


def _changes(before: Any, after: Any, prefix: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            change
            for key in sorted(before.keys() | after.keys())
            for change in _changes(before.get(key), after.get(key), f"{prefix}.{key}" if prefix else key)
        ]
    return [] if before == after else [f"{prefix or 'config'}: {before!r} -> {after!r}"]
