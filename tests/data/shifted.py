"""Images with grain at a known shift, and a search for the shift in plain loops."""

import numpy as np


def register_by_loops(image: np.ndarray, other: np.ndarray, min_overlap: float) -> tuple[float, float]:
    best = (-1.0, 0.0)
    for down in range(1 - other.shape[0], image.shape[0]):
        for right in range(1 - other.shape[1], image.shape[1]):
            a = image[max(0, down) : other.shape[0] + down, max(0, right) : other.shape[1] + right]
            b = other[max(0, -down) :, max(0, -right) :][: a.shape[0], : a.shape[1]]
            a = a[: b.shape[0], : b.shape[1]]
            overlap = a.size / min(image.size, other.size)
            if overlap >= min_overlap:
                best = max(best, (float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())), overlap))
    return best


def scenes(count: int, grain: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    size, block = (480 // grain, 480 // grain), np.ones((grain, grain))
    return [np.kron(rng.integers(0, 256, size=size), block).astype(np.uint8) for _ in range(count)]
