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
from collections.abc import Mapping
from typing import Any

from sperm_tf.file_digests import changed_files, digest_files, digest_json, read_record, write_record

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
        sha256: relative name -> SHA-256 hex digest of every file of the payload; empty in artifacts of earlier
            versions, of which `digest` alone tells whether a file has changed.
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
    sha256: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, directory: str | pathlib.Path) -> Artifact:
        """Opens the artifact in `directory`.

        Raises:
            ValueError: when there is no complete artifact; the message names the file and the remedy.
        """
        directory = pathlib.Path(directory)
        path = directory / ARTIFACT_FILE
        try:
            fields = read_record(path)
            _check_types(fields)
            return cls(directory=directory, **fields)
        except (OSError, TypeError, ValueError) as error:
            raise ValueError(
                f"directory must hold a finished artifact. Received: directory={directory}, whose {ARTIFACT_FILE} "
                f"cannot be used ({error}). Run the pipeline again: it makes the artifact anew, and keeps a damaged "
                f"one as {directory.name}.bak."
            ) from error

    def write(self) -> None:
        """Writes `artifact.json` beside the payload."""
        fields = dataclasses.asdict(self)
        del fields["directory"]
        write_record(self.directory / ARTIFACT_FILE, fields)

    def lost_files(self) -> list[str]:
        """Names of the files that are gone or have another size. What a person put beside them does not matter."""
        files = ((name, self.directory / name, size) for name, size in self.files.items())
        return [name for name, path, size in files if not path.is_file() or path.stat().st_size != size]

    def changed_files(self) -> list[str]:
        """Names of the files that are lost or have another content; reads all of them.

        Of an artifact of an earlier version, which has one digest for all, every name where that differs.

        Raises:
            OSError: a file is there, but cannot be read.
        """
        if self.sha256 or not self.files:
            return changed_files(self.directory, self.sha256)
        if lost := self.lost_files():
            return lost
        return [] if combine(digest_files(self.directory, self.files)) == self.digest else list(self.files)

    def describe_change(self, names: list[str]) -> str:
        """A sentence about files that `lost_files` or `changed_files` found, for people."""
        further = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return f"{self.directory / names[0]}{further}: missing, or not as {self.producer} wrote it"

    def reference(self) -> dict[str, str]:
        """How another artifact names this one among its inputs."""
        return {"producer": self.producer, "directory": str(self.directory), "digest": self.digest}


def find(directory: pathlib.Path) -> Artifact | None:
    """The artifact in `directory`; None where there is none, or something of it was lost."""
    return None if describe_damage(directory) else Artifact.read(directory)


def describe_damage(directory: pathlib.Path) -> str:
    """Why the artifact in `directory` cannot be used, as far as names and sizes tell; empty where it can be."""
    try:
        artifact = Artifact.read(directory)
    except ValueError as error:
        return str(error)
    lost = artifact.lost_files()
    return artifact.describe_change(lost) if lost else ""


def to_jsonable(config: Any) -> Any:
    """Plain dictionaries and lists of a (nested) dataclass; None stays None."""
    if config is None:
        return None
    return json.loads(json.dumps(dataclasses.asdict(config)))


def fingerprint(fields: dict[str, Any]) -> str:
    """SHA-256 hex digest of a JSON-serializable dictionary, independent of its order."""
    return digest_json(fields)


def digest_directory(directory: pathlib.Path) -> str:
    """SHA-256 hex digest over the relative names and contents of the payload's files."""
    return combine(digest_files(directory, list_files(directory)))


def combine(digests: Mapping[str, str]) -> str:
    """SHA-256 hex digest over the names and digests of files."""
    digest = hashlib.sha256()
    for name in sorted(digests, key=pathlib.PurePosixPath):
        digest.update(f"{name}\0{digests[name]}\n".encode())
    return digest.hexdigest()


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


def _check_types(fields: dict[str, Any]) -> None:
    """Refuses values of another type than `Artifact.write` writes.

    Raises:
        ValueError, TypeError: there is one.
    """
    kinds: dict[str, Any] = dict.fromkeys(("producer", "fingerprint", "digest", "started_at"), str)
    kinds |= dict.fromkeys(("inputs", "external", "properties", "versions", "files"), dict)
    kinds["duration_s"] = (int, float)
    for name, kind in kinds.items():
        if not isinstance(fields.get(name), kind):
            raise TypeError(f"{name} is missing, or of another type")
    for name, kind in {"inputs": dict, "files": int}.items():
        if not all(isinstance(value, kind) for value in fields[name].values()):
            raise TypeError(f"{name} has a value of another type")
    if any({"producer", "directory", "digest"} - source.keys() for source in fields["inputs"].values()):
        raise TypeError("inputs has an entry without producer, directory or digest")
    if "sha256" in fields and (fields["sha256"].keys() != fields["files"].keys()):
        raise ValueError("sha256 and files have other names")
