"""The planes of a series of TIFF pages: what is one image, and what are several."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

from sperm_tf.microscopy import ome, planes
from sperm_tf.microscopy.errors import MicroscopyError
from sperm_tf.microscopy.tiff_values import colour_samples, is_colour

_IN_PAGE = "SYX"


@dataclasses.dataclass(frozen=True)
class Component:
    """One value of a pixel.

    Attributes:
        page: place of the page in its series.
        sample: place of the sample in the page.
    """

    page: int
    sample: int


@dataclasses.dataclass(frozen=True)
class PlaneEntry:
    """What makes a plane.

    Attributes:
        name: of the plane.
        series: of tifffile.
        image: what OME-XML says about the series; None without it.
        components: one, grey, or red, green and blue.
        channel: place of the channel; None where a plane has all of them.
    """

    name: str
    series: Any
    image: ome.OMEImage | None
    components: tuple[Component, ...]
    channel: int | None


def list_series(
    series: Any, image: ome.OMEImage | None, prefix: list[tuple[str, int]], *, labels: Sequence[str], name: str
) -> list[PlaneEntry]:
    """The planes of a series.

    A page of red, green and blue samples is one plane, and so are three channels that are called so. Anything else is a
    plane of its own: pages, focal planes, times, channels.

    Args:
        series: of tifffile.
        image: what OME-XML says about it; None without it.
        prefix: what goes before the name of each plane.
        labels: ImageJ's names of the pages; empty without them.
        name: of the file, for messages.

    Raises:
        MicroscopyError: the file has more or fewer pages than its planes need, or a kind of pixels that is not
            supported.
    """
    axes = _page_axes(series, name)
    units = _list_units(axes, series.keyframe, name)
    entries = []
    for shown, components in planes.join_colours(units, _channel_names(image, axes, labels)):
        channel = next((index for axis, index in shown if axis == planes.CHANNEL and isinstance(index, int)), None)
        entries.append(PlaneEntry(planes.name_of([*prefix, *shown]), series, image, components, channel))
    return entries


def _page_axes(series: Any, name: str) -> list[tuple[str, int]]:
    """The axes that count pages, the last one fastest, with their sizes."""
    axes = [
        ("page" if axis in "IQ" else axis, size)
        for axis, size in zip(series.get_axes(False), series.get_shape(False), strict=True)
        if axis not in _IN_PAGE
    ]
    num_planes, separate = math.prod(size for _, size in axes), series.keyframe.shaped[0]
    num_pages = num_planes if series.is_truncated else len(series)
    if separate > 1 and axes and axes[-1] == (planes.CHANNEL, separate) and num_planes == num_pages * separate:
        return axes[:-1]  # the planes of one page are called channels, too
    planes.check_number(num_planes, file=name)
    if num_planes != num_pages:
        raise MicroscopyError(
            f"{name} must have a page for each of its {num_planes} planes. Received: {num_pages} pages. Export it anew"
        )
    return axes


def _list_units(axes: list[tuple[str, int]], page: Any, name: str) -> list[tuple[planes.Labels, tuple[Component, ...]]]:
    """Each page, or each of its samples where these are no colours, under its place on each axis."""
    samples = colour_samples(page, name)
    units: list[tuple[planes.Labels, tuple[Component, ...]]] = []
    for index, place in enumerate(itertools.product(*(range(size) for _, size in axes))):
        shown: planes.Labels = tuple((axis, at) for (axis, size), at in zip(axes, place, strict=True) if size > 1)
        if is_colour(page) or len(samples) == 1:
            units.append((shown, tuple(Component(index, sample) for sample in samples)))
        else:
            units += [((*shown, (planes.CHANNEL, sample)), (Component(index, sample),)) for sample in samples]
    return units


def _channel_names(
    image: ome.OMEImage | None, axes: list[tuple[str, int]], labels: Sequence[str]
) -> Sequence[str | None]:
    if image is not None:
        return image.channels
    if axes and axes[-1] == (planes.CHANNEL, planes.NUM_COLOURS):  # the channel is ImageJ's fastest axis
        return labels[: planes.NUM_COLOURS]
    return ()
