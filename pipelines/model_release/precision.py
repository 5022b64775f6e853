"""What half precision changes: the predictions of a model before and after, on the same images."""

from __future__ import annotations

import dataclasses
import pathlib
from collections import Counter
from typing import TYPE_CHECKING

from pipelines.model_release.packing import ReleaseError
from sperm_tf.data.image_files import describe_ignored, walk_images
from sperm_tf.models import released

if TYPE_CHECKING:
    import keras
    import numpy as np

MAX_DIFFERENCE = 0.1
"""Of a probability, by half precision. More means that the numbers do not fit float16."""
_NUM_IMAGES = 16


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far half precision moved the predictions.

    Attributes:
        num_images: number of images that were compared.
        images: where they came from.
        max_probability_difference: largest change of a probability, 0-1.
        num_changed_classes: images whose most probable class changed.
    """

    num_images: int
    images: str
    max_probability_difference: float
    num_changed_classes: int


def compare(model: keras.Model, release: released.Release, images: np.ndarray, source: str) -> Difference:
    """Predictions of a model, and of the same model in half precision.

    Args:
        model: images -> logits, as it was trained.
        release: its packed form.
        images: uint8 [N, S, S, 3].
        source: what the images are.

    Raises:
        ReleaseError: a probability moved by more than `MAX_DIFFERENCE`.
        WeightsError: the packed form does not fit the model that it says it is.
    """
    import numpy as np
    import scipy.special

    from sperm_tf.models.pretrained import build_released

    before, after = (
        scipy.special.softmax(each.predict(images.astype(np.float32), verbose=0), axis=1)
        for each in (model, build_released(release))
    )
    largest = float(np.abs(before - after).max())
    if not largest <= MAX_DIFFERENCE:  # so written that NaN fails too
        raise ReleaseError(
            f"half precision must move probabilities by at most {MAX_DIFFERENCE}. Received: {largest:.3g} for "
            f"{release.name!r}. Look for weights that are very large or tiny."
        )
    changed = int((before.argmax(axis=1) != after.argmax(axis=1)).sum())
    return Difference(len(images), source, float(f"{largest:.2g}"), changed)


def comparison_images(folder: str, image_size: int) -> tuple[np.ndarray, str]:
    """Images to compare predictions on.

    Args:
        folder: with image files, in folders of its own or not; empty draws images.
        image_size: side in pixels.

    Returns:
        uint8 [N, S, S, 3] and a description of them.

    Raises:
        ReleaseError: the folder holds no readable image.
    """
    from sperm_tf.data.preprocess import preprocess_batch
    from sperm_tf.served_names import OK

    ignored: Counter[str] = Counter()
    if not folder:
        encoded, source = _draw_images(), "drawn images"
    else:
        paths = walk_images(pathlib.Path(folder), ignored) if pathlib.Path(folder).is_dir() else ()
        encoded, source = [path.read_bytes() for path in sorted(paths)], "images"
    if encoded:
        images, statuses = preprocess_batch(encoded, image_size)
        images = images.numpy()[statuses.numpy() == OK.encode()]
    if not encoded or not len(images):
        remedy = describe_ignored(ignored) or "Name another folder, or none: then images are drawn"
        raise ReleaseError(f"images must be a folder with readable images. Received: images={folder!r}. {remedy}.")
    return images, source


def _draw_images() -> list[bytes]:
    import io

    from PIL import Image

    from sperm_tf.synthesis.renderer import render

    encoded = []
    for index in range(_NUM_IMAGES):
        buffer = io.BytesIO()
        sperm = render(index, label_set=("head_shape", "quality")[index % 2], seed=1)
        Image.fromarray(sperm.image).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    return encoded
