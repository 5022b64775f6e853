"""Order and marks of the tests, and what is made once for all processes of a run."""

import os
import shutil
import sys

import pytest
from filelock import FileLock

from pipelines.cli import environment
from sperm_tf.models.registry import BACKBONES
from tests.helpers import real_data_dir

environment.set_defaults()  # as the commands do, so that both compute the same

_LONGEST = ("tests/e2e_test.py", "tests/tfds_builders/real_data_test.py")
_INTEGRATION_FIXTURES = frozenset({"demo", "exported", "exported_averaged", "finished_sweep", "trained", "transformed"})
_LARGE_NETWORKS = frozenset(BACKBONES) - {"simple_cnn"}


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items):
    """Marks what asks for a pipeline's results or builds a large network; the longest files go first."""
    for item in items:
        if _INTEGRATION_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if any(isinstance(value, str) and value in _LARGE_NETWORKS for value in parameters):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))


@pytest.fixture(scope="session")
def make_once(tmp_path_factory):
    """Makes a folder once for all processes of a run (`pytest -n`); what it holds is read only.

    Returns:
        A function of a name and of `make`, which fills the folder that it is given; returns the folder.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def make_once(name, make):
        folder, finished = root / name, root / f"{name}.finished"
        with FileLock(root / f"{name}.lock"):
            if not finished.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
                folder.mkdir()
                make(folder)
                finished.touch()
        return folder

    return make_once


@pytest.fixture(scope="session")
def prepared_smids(make_once):
    """Folder of TFDS with SMIDS, prepared from its archive: the search for near duplicates takes minutes."""

    def make(folder):
        import tensorflow_datasets as tfds

        from tfds_builders.smids.smids_dataset_builder import Builder

        config = tfds.download.DownloadConfig(manual_dir=str(manual_dir))
        Builder(data_dir=folder).download_and_prepare(download_config=config)

    manual_dir = real_data_dir()
    return make_once("prepared_smids", make)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """No test reads or writes the cache of whoever runs it; processes of one run share theirs."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPERM_TF_CACHE", str(folder / "sperm_tf_cache"))
        yield


@pytest.fixture(autouse=True)
def _float32_policy():
    """No test leaves its dtype policy to the next."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].config.set_dtype_policy("float32")
