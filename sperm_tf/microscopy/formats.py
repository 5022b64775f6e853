"""Opens a file with the reader of its format; each is imported when it is used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sperm_tf.microscopy import source as sources
from sperm_tf.microscopy.image import ImageFile
from sperm_tf.microscopy.source import Source


@contextlib.contextmanager
def opened(source: Source, *, bits: int | None, name: str) -> Iterator[ImageFile]:
    """The open file of a source.

    Args:
        source: path, or the bytes of a file.
        bits: significant bits of a sample; None for what the file says.
        name: what messages call it.
    """
    with sources.open_bytes(source) as file:
        head = file.read(sources.HEAD_LENGTH)
        file.seek(0)
        with contextlib.ExitStack() as closing:
            opened_file: ImageFile
            match sources.find_format(head):
                case sources.TIFF:
                    from sperm_tf.microscopy.tiff_file import TiffImageFile

                    opened_file = TiffImageFile(source, bits=bits, name=name)
                case sources.DICOM:
                    from sperm_tf.microscopy.dicom_file import DicomImageFile

                    opened_file = DicomImageFile(file, bits=bits, name=name)
                case sources.CZI:
                    from sperm_tf.microscopy.czi_file import CziImageFile

                    path = closing.enter_context(sources.as_path(source, ".czi"))
                    opened_file = CziImageFile(path, bits=bits, name=name)
                case sources.ND2:
                    from sperm_tf.microscopy.nd2_file import Nd2ImageFile

                    opened_file = Nd2ImageFile(file, bits=bits, name=name)
                case _:
                    from sperm_tf.microscopy.picture import PictureFile

                    opened_file = PictureFile(file.read(), name=name)
            closing.callback(opened_file.close)
            yield opened_file
