"""The order of pages, on chains of bytes that are no TIFF files: a real circle is nothing to keep in a repository."""

import io
import struct
import types

import pytest

from sperm_tf.microscopy.errors import MicroscopyError
from sperm_tf.microscopy.tiff_chain import check_page_chain

START = 8


def chain(*following, num_tags=0):
    """Pages of `num_tags` empty tags, each followed by the one with that number; 0 is the end."""
    size = 6 + 12 * num_tags
    places = [START + size * number for number in range(len(following))]
    pages = [struct.pack("<H", num_tags) + bytes(12 * num_tags) for _ in following]
    offsets = [struct.pack("<I", places[number - 1] if number else 0) for number in following]
    content = bytes(START) + b"".join(page + offset for page, offset in zip(pages, offsets, strict=True))
    return opened(content)


class File(io.BytesIO):
    """What tifffile calls a file handle."""

    @property
    def size(self):
        return len(self.getvalue())


def opened(content):
    file = File(content)
    form = types.SimpleNamespace(tagnoformat="<H", tagnosize=2, tagsize=12, offsetformat="<I", offsetsize=4)
    pages = types.SimpleNamespace(first=types.SimpleNamespace(offset=START))
    return types.SimpleNamespace(tiff=form, filehandle=file, pages=pages)


@pytest.mark.parametrize("num_tags", [0, 3])
def test_pages_that_come_to_an_end_are_accepted(num_tags):
    check_page_chain(chain(2, 3, 0, num_tags=num_tags), "a.tif")


@pytest.mark.parametrize(("following", "num_pages"), [((1,), 1), ((2, 3, 1), 3), ((2, 3, 2), 3)])
def test_a_page_that_is_followed_by_an_earlier_one_is_refused(following, num_pages):
    with pytest.raises(MicroscopyError, match=f"pages of a.tif must come to an end. Received: {num_pages} pages"):
        check_page_chain(chain(*following), "a.tif")


def test_a_chain_that_the_end_of_the_file_cuts_is_left_to_tifffile():
    check_page_chain(opened(bytes(START) + b"\1"), "a.tif")
    check_page_chain(opened(bytes(START) + struct.pack("<HI", 0, 10_000)), "a.tif")
