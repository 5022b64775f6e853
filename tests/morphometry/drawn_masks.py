"""Masks of known shape: a pixel is set where its centre lies within the outline."""

import numpy as np


def ellipse_mask(length, width, angle, *, shift=(0.0, 0.0), margin=4):
    """An ellipse of full axes `length` and `width` in pixels, turned by `angle` radians."""
    side = int(np.ceil(length)) + 2 * margin
    rows, columns = np.mgrid[:side, :side] - side / 2
    rows, columns = rows - shift[0], columns - shift[1]
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - columns * np.sin(angle)
    return (2 * along / length) ** 2 + (2 * across / width) ** 2 < 1


def ellipse_perimeter(length, width):
    from scipy.special import ellipe

    return 2 * length * ellipe(1 - (width / length) ** 2)


def walk(headings, step=0.25):
    """Points, float64 [N, 2] (rows, columns), of a walk with these headings (radians)."""
    return step * np.cumsum(np.stack([np.sin(headings), np.cos(headings)], axis=1), axis=0)


def path_length(path):
    return np.hypot(*np.diff(path, axis=0).T).sum()


def band_mask(path, width, *, margin=12):
    """A band of `width` pixels around a path of dense points, cut off square at both ends."""
    from scipy.spatial import cKDTree

    path = path - path.min(axis=0) + margin + (0.37, 0.21)  # no border runs through pixel centres
    shape = np.ceil(path.max(axis=0)).astype(int) + margin
    points = np.argwhere(np.ones(shape, bool))
    distances, nearest = cKDTree(path).query(points, distance_upper_bound=width / 2 + 1)
    inside = distances <= width / 2
    for end, inner in ((0, 1), (len(path) - 1, len(path) - 2)):
        beyond = (points - path[end]) @ (path[end] - path[inner]) > 0
        inside &= ~((nearest == end) & beyond)
    return inside.reshape(shape)


def round_band_mask(path, width, *, margin=12):
    """A band of `width` pixels around points of one or several paths, with round ends."""
    from scipy.spatial import cKDTree

    path = path - path.min(axis=0) + margin
    shape = np.ceil(path.max(axis=0)).astype(int) + margin
    points = np.argwhere(np.ones(shape, bool))
    return (cKDTree(path).query(points)[0] <= width / 2).reshape(shape)
