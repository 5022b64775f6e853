"""Artifacts: directories with a payload in a standard format and an `artifact.json` that says where it came from.

Lineage is read by following the digests in `artifact.json`; there is no other database.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import pathlib
import platform
from collections.abc import Iterable
from typing import Any

ARTIFACT_FILE = "artifact.json"
_RECORDED_PACKAGES = ("tensorflow", "keras", "apache-beam", "tensorflow-model-analysis", "tensorflow-datasets", "numpy")


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A finished output of one component.

    Attributes:
        directory: where the payload lies.
        producer: name of the component that wrote it.
        fingerprint: SHA-256 over component version, configuration and digests of the inputs; what caching goes by.
        digest: SHA-256 over the payload's file names and contents.
        config: the producer's part of the configuration.
        inputs: name of the input -> `{"producer", "directory", "digest"}`.
        external: what the producer read from outside the pipeline (source files, a baseline), as it was identified.
        properties: figures worth showing without opening the payload.
        versions: versions of the libraries that produced it.
        started_at: UTC time, ISO 8601.
        duration_s: seconds of work.
        files: relative name -> bytes of every file of the payload; a cheap sign that nothing of it was lost.
    """

    directory: pathlib.Path
    producer: str
    fingerprint: str
    digest: str
    config: dict[str, Any]
    inputs: dict[str, dict[str, str]]
    external: dict[str, Any]
    properties: dict[str, Any]
    versions: dict[str, str]
    started_at: str
    duration_s: float
    files: dict[str, int]

    @classmethod
    def read(cls, directory: str | pathlib.Path) -> Artifact:
        """Opens the artifact in `directory`.

        Raises:
            ValueError: when there is no complete artifact.
        """
        directory = pathlib.Path(directory)
        path = directory / ARTIFACT_FILE
        try:
            return cls(directory=directory, **json.loads(path.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise ValueError(
                f"directory must hold a finished artifact. Received: directory={directory} ({error}). "
                f"Run the pipeline again, or delete that directory if it is damaged."
            ) from error

    def write(self) -> None:
        """Writes `artifact.json` beside the payload."""
        fields = dataclasses.asdict(self)
        del fields["directory"]
        text = json.dumps(fields, indent=2, sort_keys=True)
        (self.directory / ARTIFACT_FILE).write_text(text + "\n", encoding="utf-8")

    def is_complete(self) -> bool:
        """Whether every file is there, with its size. What a person put beside them does not matter."""
        files = ((self.directory / name, size) for name, size in self.files.items())
        return all(path.is_file() and path.stat().st_size == size for path, size in files)

    def has_changed(self) -> bool:
        """Whether a file is lost or has another content; reads all of them."""
        return not self.is_complete() or _digest_files(self.directory, self.files) != self.digest

    def reference(self) -> dict[str, str]:
        """How another artifact names this one among its inputs."""
        return {"producer": self.producer, "directory": str(self.directory), "digest": self.digest}


def find(directory: pathlib.Path) -> Artifact | None:
    """The artifact in `directory`; None where there is none, or something of it was lost."""
    try:
        artifact = Artifact.read(directory)
    except ValueError:
        return None
    return artifact if artifact.is_complete() else None


def to_jsonable(config: Any) -> Any:
    """Plain dictionaries and lists of a (nested) dataclass; None stays None."""
    if config is None:
        return None
    return json.loads(json.dumps(dataclasses.asdict(config)))


def fingerprint(fields: dict[str, Any]) -> str:
    """SHA-256 hex digest of a JSON-serializable dictionary, independent of its order."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def digest_directory(directory: pathlib.Path) -> str:
    """SHA-256 hex digest over the relative names and contents of the payload's files."""
    return _digest_files(directory, list_files(directory))


def digest_file(path: pathlib.Path) -> str:
    """SHA-256 hex digest of a file's content."""
    content = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            content.update(block)
    return content.hexdigest()


def list_files(directory: pathlib.Path) -> dict[str, int]:
    """Relative name -> bytes of the payload's files: all but `artifact.json` and what is hidden."""
    found = {path.relative_to(directory): path for path in directory.rglob("*") if path.is_file()}
    return {
        name.as_posix(): path.stat().st_size
        for name, path in found.items()
        if name != pathlib.Path(ARTIFACT_FILE) and not any(part.startswith(".") for part in name.parts)
    }


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape the results."""
    versions = {name: importlib.metadata.version(name) for name in _RECORDED_PACKAGES}
    return {"python": platform.python_version(), **versions}


def _digest_files(directory: pathlib.Path, names: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for path in sorted(directory / name for name in names):
        digest.update(f"{path.relative_to(directory).as_posix()}\0{digest_file(path)}\n".encode())
    return digest.hexdigest()
