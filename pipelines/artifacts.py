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
        num_bytes: size of the payload; a cheap sign that nothing of it was lost.
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
    num_bytes: int = 0

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
    """SHA-256 hex digest over the relative names and contents of the payload's files."""
    digest = hashlib.sha256()
    for path in _payload(directory):
        digest.update(f"{path.relative_to(directory).as_posix()}\0{digest_file(path)}\n".encode())
    return digest.hexdigest()


def digest_file(path: pathlib.Path) -> str:
    """SHA-256 hex digest of a file's content."""
    content = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            content.update(block)
    return content.hexdigest()


def count_bytes(directory: pathlib.Path) -> int:
    """Total size of the payload in bytes."""
    return sum(path.stat().st_size for path in _payload(directory))


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape the results."""
    versions = {name: importlib.metadata.version(name) for name in _RECORDED_PACKAGES}
    return {"python": platform.python_version(), **versions}


def _payload(directory: pathlib.Path) -> list[pathlib.Path]:
    """All files but `artifact.json` and hidden ones, which file managers leave in folders that a person opens."""
    files = (path for path in directory.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(path for path in files if path != directory / ARTIFACT_FILE)
