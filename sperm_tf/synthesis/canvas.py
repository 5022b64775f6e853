"""A field of view that holds stain density, and the primitives that deposit stain on it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from sperm_tf.synthesis.contour import HeadContour


class Canvas:
    """Three maps of stain, before any optics. The origin of its coordinates is the centre; y points down.

    Attributes:
        height: pixels.
        width: pixels.
        pixel_size_um: micrometres per pixel.
        nuclear: float64 [height, width], density of the blue dye (azure, methylene blue) that stains chromatin; 1 is a
            typical nucleus.
        eosin: float64 [height, width], density of the pink dye; 1 is a typical acrosome.
        pale: float64 [height, width], matter that takes little dye and shows by refraction: tails, cytoplasm, dirt.
    """

    def __init__(self, height: int, width: int, pixel_size_um: float):
        self.height = height
        self.width = width
        self.pixel_size_um = pixel_size_um
        self.nuclear = np.zeros((height, width))
        self.eosin = np.zeros((height, width))
        self.pale = np.zeros((height, width))

    @property
    def field_um(self) -> tuple[float, float]:
        """Height and width in micrometres."""
        return self.height * self.pixel_size_um, self.width * self.pixel_size_um

    def window(self, center_um: np.ndarray, radius_um: float) -> tuple[slice, slice]:
        """Rows and columns of the square around a point, cut at the borders; may be empty."""
        column, row = np.asarray(center_um) / self.pixel_size_um + (self.width / 2, self.height / 2)
        radius = radius_um / self.pixel_size_um + 1
        rows = slice(max(0, int(row - radius)), max(0, min(self.height, int(row + radius) + 1)))
        columns = slice(max(0, int(column - radius)), max(0, min(self.width, int(column + radius) + 1)))
        return rows, columns

    def coordinates_um(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates x and y of the pixel centres of a window, as arrays that broadcast to its shape."""
        x = (np.arange(columns.start, columns.stop) + 0.5 - self.width / 2) * self.pixel_size_um
        y = (np.arange(rows.start, rows.stop) + 0.5 - self.height / 2) * self.pixel_size_um
        return x[None, :], y[:, None]

    def line_map(self, points_um: np.ndarray, weights: np.ndarray, width_um: float) -> np.ndarray:
        """Points of a curve smeared into a line whose cross-section is a Gaussian.

        Args:
            points_um: float [N, 2], x and y.
            weights: float [N], the length in um that a point stands for, times the peak density of the line there.
            width_um: full width at half maximum.

        Returns:
            float64 [height, width].
        """
        sigma_um = width_um / 2.355
        columns = points_um[:, 0] / self.pixel_size_um + self.width / 2 - 0.5
        rows = points_um[:, 1] / self.pixel_size_um + self.height / 2 - 0.5
        inside = (rows > 0) & (columns > 0) & (rows < self.height - 1) & (columns < self.width - 1)
        rows, columns = rows[inside], columns[inside]
        deposit = weights[inside] * np.sqrt(2 * np.pi) * sigma_um / self.pixel_size_um**2
        line = np.zeros((self.height, self.width))
        if not len(rows):
            return line
        top, left = rows.astype(np.int64), columns.astype(np.int64)
        down, right = rows - top, columns - left
        sigma = sigma_um / self.pixel_size_um
        reach = int(3.0 * sigma + 0.5) + 2  # the filter is zero beyond, so the window is enough
        window = (
            slice(max(0, int(top.min()) - reach), min(self.height, int(top.max()) + reach + 1)),
            slice(max(0, int(left.min()) - reach), min(self.width, int(left.max()) + reach + 1)),
        )
        height, width = line[window].shape
        start = (top - window[0].start) * width + left - window[1].start
        total = np.zeros(height * width)
        for step, share in (
            (0, (1 - down) * (1 - right)),
            (1, (1 - down) * right),
            (width, down * (1 - right)),
            (width + 1, down * right),
        ):
            total += np.bincount(start + step, share * deposit, minlength=total.size)
        line[window] = ndimage.gaussian_filter(total.reshape(height, width), sigma, mode="constant", truncate=3.0)
        return line


class PlacedContour:
    """An outline at a place of a canvas, with the window of pixels that it touches.

    Attributes:
        contour: the outline.
        rows: rows of the window.
        columns: columns of the window.
        along_um: float64 [h, w], coordinate along the head's axis of every pixel of the window.
        across_um: float64 [h, w], coordinate across the axis.
        distance_um: float64 [h, w], signed distance to the outline, negative inside.
    """

    def __init__(self, canvas: Canvas, contour: HeadContour, center_um: np.ndarray, angle: float):
        self.contour = contour
        self._rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        self._origin_um = np.asarray(center_um) - self._rotation @ contour.center_um
        self.rows, self.columns = canvas.window(
            self._origin_um, float(contour.radii_um.max()) + 2 * canvas.pixel_size_um
        )
        x, y = canvas.coordinates_um(self.rows, self.columns)
        x, y = x - self._origin_um[0], y - self._origin_um[1]
        self.along_um = x * self._rotation[0, 0] + y * self._rotation[1, 0]
        self.across_um = x * self._rotation[0, 1] + y * self._rotation[1, 1]
        self.distance_um = contour.distance_um(self.along_um, self.across_um)

    @property
    def inside(self) -> np.ndarray:
        """Pixels of the window, bool [h, w], whose centre lies within the outline."""
        return self.distance_um < 0

    def to_canvas_um(self, point_um: np.ndarray) -> np.ndarray:
        """A point of the head's own coordinates, float64 [2], in those of the canvas."""
        return self._origin_um + self._rotation @ np.asarray(point_um)

    def coverage(self, pixel_size_um: float) -> np.ndarray:
        """Share, 0-1, of every pixel that the outline covers (antialiasing)."""
        return np.clip(0.5 - self.distance_um / pixel_size_um, 0, 1)
