"""The state of a training on disk: enough to continue after a kill as if nothing had happened.

Layout of the folder: `epoch-0007/` with `model.npz` (weights and the state of random generators after the epoch),
`optimizer.npz`, `best.npz` (as `model.npz`, of the best epoch so far), `history.json`, `settings.json` and
`SHA256SUMS` with their digests. It is written under another name and renamed when complete; only then the one before is
removed.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import zipfile
import zlib
from typing import Any

import keras
import numpy as np

from sperm_tf.file_digests import SUMS_FILE, changed_files, digest_files, read_sums, write_sums
from sperm_tf.whole_files import move_into_place

_PARTIAL = "partial-"
_COMPLETE = "epoch-"

History = dict[str, list]


@dataclasses.dataclass(frozen=True)
class StateStore:
    """Commits and restores the state of one training.

    Attributes:
        folder: its own; made if absent.
        settings: JSON-like; a state with other settings is refused.
    """

    folder: pathlib.Path
    settings: dict[str, Any]

    def open(self) -> History:
        """Removes what a killed run left half-written, and reads the history of the committed epochs.

        Returns:
            One list a name; empty where nothing is committed.

        Raises:
            ValueError: the folder holds the state of a training with other settings, or a state that has changed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in [*self.folder.glob(_PARTIAL + "*"), *self._complete()[:-1]]:
            shutil.rmtree(leftover)
        if not self._complete():
            return {}
        state = self._newest()
        if changed := changed_files(state, read_sums(state / SUMS_FILE) or {}):
            raise ValueError(
                f"work_dir must hold a state as it was committed. Received: {state / changed[0]}, which is missing or "
                f"has another SHA-256. Delete {self.folder} to start anew."
            )
        found = json.loads((state / "settings.json").read_text())
        if found != self.settings:
            names = [name for name in {**found, **self.settings} if found.get(name) != self.settings.get(name)]
            raise ValueError(
                f"work_dir must be empty or hold the same training. Received: work_dir={str(self.folder)!r}, whose "
                f"training has another {', '.join(names)}. Use another folder, or delete this one to start anew."
            )
        return json.loads((state / "history.json").read_text())

    def commit(self, model: keras.Model, history: History, *, is_best: bool) -> None:
        """Writes the state after an epoch.

        Args:
            model: compiled.
            history: of all epochs so far; its length numbers the state.
            is_best: whether this epoch is the best one so far.
        """
        name = f"{len(history['epoch']):04d}"
        partial = self.folder / f"{_PARTIAL}{name}"
        partial.mkdir()
        _save(partial / "model.npz", _model_variables(model))
        _save(partial / "optimizer.npz", model.optimizer.variables)
        best = partial / "model.npz" if is_best else self._newest() / "best.npz"
        shutil.copyfile(best, partial / "best.npz")
        (partial / "history.json").write_text(json.dumps(history, indent=1))
        (partial / "settings.json").write_text(json.dumps(self.settings, indent=1))
        write_sums(partial / SUMS_FILE, digest_files(partial))
        move_into_place(partial, self.folder / f"{_COMPLETE}{name}")
        for older in self._complete()[:-1]:
            shutil.rmtree(older)

    def restore_last(self, model: keras.Model) -> None:
        """Sets model, optimizer (which must be built) and random generators to the last committed epoch."""
        _load(self._newest() / "model.npz", _model_variables(model))
        _load(self._newest() / "optimizer.npz", model.optimizer.variables)
        _finalize(model)

    def restore_best(self, model: keras.Model) -> None:
        """Sets the model to the best committed epoch; leaves the optimizer alone."""
        _load(self._newest() / "best.npz", _model_variables(model))
        _finalize(model)

    def _complete(self) -> list[pathlib.Path]:
        return sorted(self.folder.glob(_COMPLETE + "*"))

    def _newest(self) -> pathlib.Path:
        return self._complete()[-1]


def _model_variables(model: keras.Model) -> list:
    # `variables` holds the random generators of dropout, which `weights` leaves out.
    return [variable for layer in model.layers for variable in layer.variables]


def _save(path: pathlib.Path, variables: list) -> None:
    np.savez(path, *[keras.ops.convert_to_numpy(variable) for variable in variables])


def _load(path: pathlib.Path, variables: list) -> None:
    try:
        with np.load(path) as file:
            arrays = [file[f"arr_{index}"] for index in range(len(file))]
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"work_dir must hold a state that can be read. Received: {path}, which is damaged ({error}). Delete "
            f"{path.parent.parent} to start anew."
        ) from error
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
        raise ValueError(
            f"work_dir must hold the state of the same model. Received: {path.parent.parent}, whose variables have "
            "other numbers or shapes. Use another folder, or delete this one to start anew."
        )
    for array, variable in zip(arrays, variables, strict=True):
        variable.assign(array)


def _finalize(model: keras.Model) -> None:
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with constants that do not follow its variables
