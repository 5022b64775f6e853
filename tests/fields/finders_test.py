import pytest

from sperm_tf.fields.classical import ClassicalFinder
from sperm_tf.fields.finders import FINDERS, open_finder


def test_every_finder_opens():
    assert all(callable(open_finder(name).find) for name in FINDERS)
    assert isinstance(open_finder("classical"), ClassicalFinder)


def test_an_unknown_finder_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"finder must be one of classical, parser\. Received: finder='yolo'"):
        open_finder("yolo")
