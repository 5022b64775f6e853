"""Looks at the order of a TIFF's pages before tifffile follows it: a damaged one may never end."""

from __future__ import annotations

import struct
from typing import Any

from sperm_tf.microscopy.errors import MicroscopyError

MAX_TAGS = 4_096
"""Of a page; tifffile ends at a page with more."""


def check_page_chain(tif: Any, name: str) -> None:
    """Refuses a file in which a page is followed by an earlier one: tifffile 2026.3 would go on for hours.

    Args:
        tif: the open file, of tifffile.
        name: of the file, for messages.

    Raises:
        MicroscopyError: pages follow each other in a circle.
    """
    form, file = tif.tiff, tif.filehandle
    offset = tif.pages.first.offset
    seen: set[int] = set()
    while 0 < offset < file.size:
        if offset in seen:
            raise MicroscopyError(
                f"pages of {name} must come to an end. Received: {len(seen)} pages of which the last is followed by an "
                "earlier one. Copy the file again, or export it anew"
            )
        seen.add(offset)
        file.seek(offset)
        try:
            (num_tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
            if num_tags > MAX_TAGS:
                return
            file.seek(offset + form.tagnosize + num_tags * form.tagsize)
            (offset,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
        except struct.error:  # the file ends here, which tifffile says
            return
