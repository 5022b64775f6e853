"""Pictures of the images and of their attribution maps, drawn before anybody waits for them."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from sperm_tf.data.served_decoder import decode_served
from sperm_tf.explain.overlay import draw_overlay
from sperm_tf.review import pictures
from sperm_tf.review.items import Item, Predictor

PICTURE_SIDE = 640
"""Pixels; larger images are drawn smaller."""
_FAINT = 0.5  # highest place of a map that says next to nothing, see sperm_tf.explain.activation_maps.FAINT
_MAX_KEPT = 64  # maps; one has some 500 kB


@dataclasses.dataclass(frozen=True)
class MapPicture:
    """An attribution map over its image.

    Attributes:
        uri: the picture; empty where there is no map.
        is_faint: whether the map says next to nothing.
        problem: why there is none; empty where there is one.
    """

    uri: str = ""
    is_faint: bool = False
    problem: str = ""


class Maps:
    """Draws maps in a thread of its own, in the order in which they are asked for, and keeps the last ones.

    Args:
        predictor: computes the maps.
    """

    def __init__(self, predictor: Predictor):
        self._predictor = predictor
        self._worker = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="maps")
        self._drawings: OrderedDict[str, concurrent.futures.Future[MapPicture]] = OrderedDict()
        self._lock = threading.Lock()

    def prefetch(self, items: Iterable[Item]) -> None:
        """Begins with maps that will be asked for."""
        for item in items:
            self._drawing_of(item)

    def find(self, item: Item, *, timeout_s: float | None = None) -> MapPicture | None:
        """The map of an image.

        Args:
            item: a readable one.
            timeout_s: seconds to wait for it; None waits until it is there.

        Returns:
            The map; None where it is not there in time.
        """
        try:
            return self._drawing_of(item).result(timeout_s)
        except TimeoutError:
            return None

    def close(self) -> None:
        """Gives up what is not begun."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _drawing_of(self, item: Item) -> concurrent.futures.Future[MapPicture]:
        with self._lock:
            if item.sha256 not in self._drawings:
                self._drawings[item.sha256] = self._worker.submit(self._draw, item)
            self._drawings.move_to_end(item.sha256)
            while len(self._drawings) > _MAX_KEPT:
                self._drawings.popitem(last=False)
            return self._drawings[item.sha256]

    def _draw(self, item: Item) -> MapPicture:
        if item.is_drawn:
            return MapPicture(problem="no model has seen this cell")
        try:
            heat_map = self._predictor.explain(item)
        except (ValueError, OSError) as error:
            return MapPicture(problem=str(error))
        overlay = draw_overlay(shown_pixels(item), heat_map)
        return MapPicture(picture_uri(overlay), is_faint=float(heat_map.max()) < _FAINT)


def shown_pixels(item: Item) -> np.ndarray:
    """The image as large as it is shown, uint8 [H, W, 3], RGB."""
    return np.asarray(pictures.shrink(decode_served(item.data).pixels, max_side=PICTURE_SIDE))


def picture_uri(pixels: np.ndarray) -> str:
    """Pixels as an address that the page holds itself."""
    return pictures.data_uri(pictures.encode(pixels, max_side=PICTURE_SIDE))
