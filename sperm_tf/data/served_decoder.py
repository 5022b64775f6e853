"""The decoder of the served graph, for one file in Python.

What it refuses cannot be classified by an exported model. So the dataset builders decode with it, and refuse by name
what a model could never be asked about; and the quality that `pipelines.score` writes is that of the pixels which the
network saw.
"""

from __future__ import annotations

import struct

from sperm_tf.data.decode import DecodedImage, UndecodableImageError, decode_rgb

_BMP_COMPRESSIONS = {0: "no compression", 1: "RLE8", 2: "RLE4", 3: "bit fields", 4: "JPEG", 5: "PNG", 6: "bit fields"}
_BMP_WINDOWS_HEADER = 40  # bytes
_REMEDY = "Save it as PNG, or remove the source file"


def decode_served(data: bytes) -> DecodedImage:
    """Decodes an image as every exported model does.

    PNG, JPEG, BMP and GIF of the kinds and sizes that `sperm_tf.data.preprocess` accepts, by their content.

    Args:
        data: content of the file.

    Returns:
        The image at its stored size, with the format that was found.

    Raises:
        UndecodableImageError: an exported model refuses the bytes; the message says why and what to do.
    """
    import tensorflow as tf

    from sperm_tf.data import image_formats, preprocess

    encoded = tf.constant(data)
    try:
        pixels = preprocess.decode(encoded).numpy()
    except (tf.errors.OpError, UnicodeDecodeError) as error:  # messages of TensorFlow may quote bytes of the file
        raise UndecodableImageError(_explain(data)) from error
    return DecodedImage(pixels, image_formats.FORMATS[int(image_formats.find_format(encoded))])


def _explain(data: bytes) -> str:
    """Why the served graph refuses bytes: in Pillow's words where Pillow refuses them, too."""
    try:
        decoded = decode_rgb(data)
    except UndecodableImageError as error:
        return str(error)
    if decoded.source_format == "BMP":
        return (
            "a BMP must be complete, uncompressed, of 1, 4, 8, 24 or 32 bits a pixel in the order blue, green, red. "
            f"Received: {_describe_bmp(data)}. {_REMEDY}"
        )
    if decoded.source_format == "GIF":
        width, height = struct.unpack_from("<HH", data, 6)
        return (
            "the first frame of a GIF must fill its canvas, be whole, and have a colour for each pixel. Received: a "
            f"canvas of {width}x{height} that it does not fill, data that end before, or too short a palette. {_REMEDY}"
        )
    return (
        f"a {decoded.source_format} must be one that an exported model decodes. Received: {len(data)} bytes that "
        f"TensorFlow rejects and Pillow reads. {_REMEDY}"
    )


def _describe_bmp(data: bytes) -> str:
    length = int.from_bytes(data[14:18], "little")
    if length < _BMP_WINDOWS_HEADER:
        return f"the header of OS/2, {length} bytes"
    bits, compression = struct.unpack_from("<HI", data, 28)
    masks = "".join(f" {mask:#x}" for mask in struct.unpack_from("<III", data, 54)) if compression in (3, 6) else ""
    kind = _BMP_COMPRESSIONS.get(compression, f"compression {compression}")
    return f"{bits} bits a pixel, {kind}{masks}"
