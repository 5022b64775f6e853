"""Pictures as the page needs them: small, and inside the page itself."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def encode(pixels: np.ndarray, *, max_side: int, image_format: str = "PNG") -> bytes:
    """An image file, made smaller where a side is longer than `max_side`.

    Args:
        pixels: uint8 [H, W, 3], RGB.
        max_side: in pixels.
        image_format: `PNG` or `JPEG`.
    """
    buffer = io.BytesIO()
    shrink(pixels, max_side=max_side).save(buffer, image_format)
    return buffer.getvalue()


def shrink(pixels: np.ndarray, *, max_side: int) -> Image.Image:
    """The image, made smaller where a side is longer than `max_side`; the aspect ratio stays."""
    image = Image.fromarray(pixels)
    scale = min(1.0, max_side / max(image.size))
    if scale == 1.0:
        return image
    return image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)


def data_uri(encoded: bytes) -> str:
    """A picture as an address that needs no request; browsers find the kind in the content."""
    return f"data:image;base64,{base64.b64encode(encoded).decode('ascii')}"
