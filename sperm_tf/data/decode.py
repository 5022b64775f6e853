"""Decoding of image files with Pillow, without TensorFlow: pictures for people, and the PNGs that datasets store.

The file's content decides, never its name: 480 files of SMIDS are named `.bmp` and hold PNG bytes. What may enter a
dataset or a score is for `sperm_tf.data.served_decoder` to say, the decoder of the served graph: Pillow reads kinds of
BMP and GIF that it refuses, and JPEGs may differ by a grey level. PNGs are the same in both, pixel by pixel.
"""

from __future__ import annotations

import dataclasses
import io
import re
import struct

import numpy as np
from PIL import Image, ImageChops

from sperm_tf.data import png_chunks

FORMATS = ("BMP", "GIF", "JPEG", "PNG")
MIN_SIDE = 16
"""Shortest side, in pixels, of an image that is accepted."""
MAX_SIDE = 20_000
"""Longest side, in pixels, of an image that is accepted; bounds the padding of very long images."""
MAX_PIXELS = 25_000_000
"""Most pixels of an image that is accepted: 75 MB once decoded."""
DEEP_BRIGHT_LEVEL, DEEP_BRIGHT_ONE_IN = 64, 50
"""Value, of 0-255, that the brightest channel of one pixel in so many must reach in a PNG with 16 bits a sample (its
98th percentile). Cameras of 10 to 14 bits write their values into 16 without scaling them, and nothing is left in the
upper 8 but black. A saturated pixel, or a white scale bar with its label, is no sign of a scaled image: those cover
less than 2 %. A bright field is never that dark, a cell in a dark field covers more (docs/decisions/decoder.md)."""
ROUNDING = 0.5 + 2**-10
"""Added to the grey levels of a resized image before they are cut off to integers. With 0.5 alone, values halfway
between two levels, which every flat area has, fall either way by the last bit of a sum, and so on every machine and in
every implementation another way; and one level in a pixel of a thousand moves a probability by up to 0.005."""
BMP_INFO_LENGTHS = (40, 52, 56, 64, 108, 124)
"""Lengths of the second header of BMP files, from that of Windows 3 on, which are accepted."""
GIF_CODE_SIZES = range(2, 9)
"""Bits of a colour index, as a GIF states them, that are accepted: the format has no others, and decoders differ in how
they read them."""
GIF_MAX_CODE_BITS = 12
GIF_MAX_CLEARS, GIF_MAX_BYTES = 20_000, 1 << 27
"""Most times that the table of codes is started again, and most bytes of codes: bounds the work on a hostile file. Five
million pixels that are not compressed, as some programs write them, start it again 19,600 times."""
PNG_SIGNATURE, PNG_DEPTH_AT = b"\x89PNG\r\n\x1a\n", 24
JPEG_END = b"\xff\xd9"
JPEG_SCAN, JPEG_RESTART_INTERVAL, JPEG_SEQUENTIAL = 0xDA, 0xDD, (0xC0, 0xC1)  # second bytes of markers
_JPEG_MARKER = re.compile(rb"\xff+[^\0\xff]", re.DOTALL)
JPEG_RESTARTS = range(0xD0, 0xD8)
JPEG_TEMPORARY = 0x01
JPEG_WITHOUT_LENGTH = (JPEG_TEMPORARY, *JPEG_RESTARTS)
JPEG_LONGEST_FRAME = 1024  # bytes: 11, and 3 for each of up to 255 components
JPEG_MAX_SEGMENTS = 1_000
"""That are passed before the first scan, each 0xFF that is repeated among them: bounds the work on a hostile file."""
JPEG_PROBE = bytes((37 * i + 11) % 251 for i in range(64))
"""Any bytes, save for 0xFF, which starts a marker. Put before the end mark of a JPEG, they change its pixels where data
are missing: decoders fill these without an error, and read nothing past data that are complete."""


class UndecodableImageError(ValueError):
    """Bytes that hold no image this project can use."""


@dataclasses.dataclass(frozen=True)
class DecodedImage:
    """A decoded image.

    Attributes:
        pixels: uint8 [height, width, 3], RGB, 0-255.
        source_format: `BMP`, `GIF`, `JPEG` or `PNG`, found in the content.
    """

    pixels: np.ndarray
    source_format: str


def decode_rgb(data: bytes) -> DecodedImage:
    """Decodes an image to 8-bit RGB.

    Grey is replicated, palettes are expanded, alpha is dropped, 16 bits are reduced to their upper 8 (which must reach
    `DEEP_BRIGHT_LEVEL`), and the first frame stands for an animation. The size is judged from the header, before memory
    is allocated for pixels.

    Args:
        data: content of a PNG, JPEG, BMP or GIF file.

    Returns:
        The image with the format that was found.

    Raises:
        UndecodableImageError: the bytes are empty, no such image, truncated, or of a size outside the limits.
    """
    if not data:
        raise UndecodableImageError("data must be an encoded image. Received: 0 bytes. Check the source file")
    try:
        if data.startswith(PNG_SIGNATURE):
            _check_size(*struct.unpack_from(">II", data, 16))
            data = png_chunks.keep_pixels(data)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image.width, image.height)
            # Pillow calls a JPEG with further pictures behind it, as some cameras write, MPO.
            decoded = DecodedImage(to_rgb(image), "JPEG" if image.format == "MPO" else str(image.format))
        if _is_deep_png(data) and not _uses_its_depth(decoded.pixels):
            raise UndecodableImageError(
                "a PNG with 16 bits must use them. Received: one whose upper 8 bits are all but black, as of a camera "
                "with 10 to 14 bits. Multiply its values until white is near 65,535, or save 8 bits"
            )
        if decoded.source_format == "JPEG" and not (
            _is_complete_jpeg(data, decoded.pixels) and has_whole_scan(data) and _has_end(data)
        ):
            raise UndecodableImageError(
                f"a JPEG must hold data for all of its pixels. Received: {len(data)} bytes that end before, or are "
                "damaged. Copy the source file again"
            )
        return decoded
    except UndecodableImageError:
        raise
    except Exception as error:  # Pillow's plugins raise a dozen unrelated types on malformed bytes.
        raise UndecodableImageError(
            f"data must be a complete {', '.join(FORMATS)} image. Received: {len(data)} bytes that Pillow rejects "
            f"({type(error).__name__}). Replace or remove the source file"
        ) from error


def encode_png(image: np.ndarray | Image.Image) -> bytes:
    """Encodes pixels, uint8 [H, W, 3], RGB, or [H, W], grey, or an image of Pillow, without loss."""
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, "PNG")
    return file.getvalue()


def _is_deep_png(data: bytes) -> bool:
    return data.startswith(PNG_SIGNATURE) and data[PNG_DEPTH_AT] == 16


def _uses_its_depth(pixels: np.ndarray) -> bool:
    num_bright = int(np.count_nonzero(pixels.max(axis=2) >= DEEP_BRIGHT_LEVEL))
    return num_bright * DEEP_BRIGHT_ONE_IN >= pixels.shape[0] * pixels.shape[1]


def _check_size(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise UndecodableImageError(
            f"size must be {MIN_SIDE} to {MAX_SIDE} pixels a side and at most {MAX_PIXELS} pixels in all. "
            f"Received: {width}x{height}. Replace or remove the source file"
        )


def _is_complete_jpeg(data: bytes, pixels: np.ndarray) -> bool:
    end = data.rfind(JPEG_END)  # something may stand behind it
    if end < 0:
        return True  # without its end mark Pillow refuses a part
    with Image.open(io.BytesIO(data[:end] + JPEG_PROBE + data[end:]), formats=("JPEG",)) as image:
        return np.array_equal(pixels, to_rgb(image))


def _has_end(data: bytes) -> bool:
    """Whether the markers of a JPEG lead to its end mark, as libjpeg follows them; Pillow stops at the last pixel."""
    position = 2
    while marker := _JPEG_MARKER.search(data, position):
        code, position = marker[0][-1], marker.end()
        if code == JPEG_END[1]:
            return True
        if code not in JPEG_WITHOUT_LENGTH:
            position += int.from_bytes(data[position : position + 2], "big")
    return False


def has_whole_scan(data: bytes) -> bool:
    """Whether a decodable JPEG has its restart markers, in order, and none else before its end; True of several scans.

    Before the first scan there must be nothing but segments, whatever the number of scans.

    ITU-T T.81, sections B.2 and E.1.4. Decoders make up the pixels between two markers of which one is missing, and all
    pixels behind a marker that is not expected.
    """
    length, data = len(data), data + bytes(JPEG_LONGEST_FRAME)
    position, interval, frame = 2, 0, 0
    for _ in range(JPEG_MAX_SEGMENTS):
        marker = data[position + 1]
        if data[position] != 0xFF or marker in (JPEG_SCAN, JPEG_TEMPORARY):
            break
        size = 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == JPEG_RESTART_INTERVAL:
            interval = int.from_bytes(data[position + 4 : position + 6], "big")
        if marker in JPEG_SEQUENTIAL:
            frame = position
        # 0xFF may be repeated before a marker.
        step = 1 if marker == 0xFF else 2 if marker in JPEG_WITHOUT_LENGTH else size
        position = min(position + step, length)
    # libjpeg skips what is no segment, Pillow does not always.
    if position + 4 > length or data[position] != 0xFF or data[position + 1] == JPEG_TEMPORARY:
        return False
    is_scan = data[position + 1] == JPEG_SCAN and data[position + 4] == data[frame + 9]
    if not (frame and is_scan):
        return True
    start = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    codes = (match[0][-1] for match in _JPEG_MARKER.finditer(data, start))
    found = []
    while (code := next(codes, 0)) in JPEG_RESTARTS:
        found.append(code - JPEG_RESTARTS[0])
    height, width = (int.from_bytes(data[frame + at : frame + at + 2], "big") for at in (5, 7))
    factors = data[frame + 11 : frame + 11 + 3 * data[frame + 9] : 3]
    across, down = (max(factor >> 4 for factor in factors), max(factor & 15 for factor in factors))
    if len(factors) == 1:  # a single component is not interleaved, whatever its factors
        across = down = 1
    num_units = -(-width // (8 * across)) * -(-height // (8 * down))
    num_restarts = -(-num_units // interval) - 1 if interval else 0
    return code == JPEG_END[1] and found == [index % 8 for index in range(num_restarts)]


def to_rgb(image: Image.Image) -> np.ndarray:
    """Pixels of an image of Pillow, uint8 [H, W, 3], RGB, by the rules of `decode_rgb`."""
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion clips at 255 instead of scaling.
        grey = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    # Pillow inverts the inks of every JPEG; Adobe's alone are stored so.
    if image.mode == "CMYK" and image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        image = ImageChops.invert(image)
    return np.asarray(image.convert("RGB"))
