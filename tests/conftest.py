"""Order of the tests."""

_LONGEST = ("tests/e2e_test.py", "tests/tfds_builders/real_data_test.py")


def pytest_collection_modifyitems(items):
    """The longest files go first, so that no process is left alone with one (`--dist=loadfile`)."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))
