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

    @classmethod
    def read(cls, directory: str | pathlib.Path) -> Artifact:
        """Opens the artifact in `directory`.

        Raises:
            ValueError: when there is no complete artifact.
        """
        directory = pathlib.Path(directory)
        path = directory / ARTIFACT_FILE
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            return cls(directory=directory, **fields)
        except (OSError, TypeError, json.JSONDecodeError) as error:
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

    def reference(self) -> dict[str, str]:
        """How another artifact names this one among its inputs."""
        return {"producer": self.producer, "directory": str(self.directory), "digest": self.digest}


def to_jsonable(config: Any) -> Any:
    """Plain dictionaries and lists of a (nested) dataclass; None stays None."""
    if config is None:
        return None
    return json.loads(json.dumps(dataclasses.asdict(config)))


def fingerprint(fields: dict[str, Any]) -> str:
    """SHA-256 hex digest of a JSON-serializable dictionary, independent of its order."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def digest_directory(directory: pathlib.Path) -> str:
    """SHA-256 hex digest over the relative names and contents of all files but `artifact.json`."""
    digest = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        name = path.relative_to(directory).as_posix()
        if name == ARTIFACT_FILE:
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else _sha256(file)
        digest.update(f"{name}\0{content.hexdigest()}\n".encode())
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape the results."""
    versions = {name: importlib.metadata.version(name) for name in _RECORDED_PACKAGES}
    return {"python": platform.python_version(), **versions}


def _sha256(file: Any) -> Any:  # Python 3.10 has no hashlib.file_digest
    content = hashlib.sha256()
    while block := file.read(1 << 20):
        content.update(block)
    return content
