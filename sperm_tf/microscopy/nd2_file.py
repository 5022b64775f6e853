"""ND2 files of Nikon as planes; `nd2` parses and decodes.

`nd2` gives zeros for a frame that the file does not hold, and 1 µm for pixels that are not calibrated: both are told
apart here.
"""

from __future__ import annotations

import math
from typing import Any, BinaryIO

import numpy as np

from sperm_tf.data.decode import MAX_PIXELS
from sperm_tf.microscopy import planes
from sperm_tf.microscopy.errors import MicroscopyError, load_package
from sperm_tf.microscopy.intensity import BYTE_BITS, MAX_BITS, IntensityMapping, from_bits
from sperm_tf.microscopy.pixel_size import PixelSize, from_sides

_Component = tuple[int, int]
"""Place of the frame, and of the value in its pixels."""


class Nd2ImageFile:
    """An ND2 file as an `ImageFile`.

    Args:
        file: the open file; the caller closes it.
        bits: significant bits of a sample; None for what the file says.
        name: what messages call it.

    Raises:
        MicroscopyError: the file is damaged or of a kind that is not supported.
        ImportError: nd2 is not installed.
    """

    format = "ND2"

    def __init__(self, file: BinaryIO, *, bits: int | None, name: str):
        self._bits, self._name = bits, name
        self._nd2 = load_package("nd2", name).ND2File(file)
        try:
            self._units = self._list()
        except BaseException:
            self._nd2.close()
            raise
        self.planes = [planes.name_of(shown) for shown, _ in self._units]

    def open_plane(self, index: int) -> Nd2Plane:
        """The plane at a place of `planes`."""
        return Nd2Plane(self._nd2, self._units[index][1], bits=self._bits, name=self._name)

    def close(self) -> None:
        """Closes what was mapped into memory."""
        self._nd2.close()

    def _list(self) -> list[tuple[planes.Labels, tuple[_Component, ...]]]:
        attributes = self._nd2.attributes
        num_frames, num_samples = int(attributes.sequenceCount), int(attributes.componentCount)
        num_places = math.prod(int(loop.count) for loop in self._nd2.experiment)  # which `loop_indices` lists
        planes.check_number(max(num_frames, num_places) * num_samples, file=self._name)
        loops = self._nd2.loop_indices
        if len(loops) != num_frames:  # loops that nd2 does not know
            loops = [{"frame": at} for at in range(num_frames)]
        sizes = {axis: len({loop[axis] for loop in loops}) for axis in loops[0]} if loops else {}
        is_rgb = self._nd2.components_per_channel == planes.NUM_COLOURS
        per_channel = planes.NUM_COLOURS if is_rgb else 1
        num_channels = num_samples // per_channel
        units: list[tuple[planes.Labels, tuple[_Component, ...]]] = []
        for frame, loop in enumerate(loops):
            shown = [(axis, at) for axis, at in loop.items() if sizes[axis] > 1]
            for channel in range(num_channels):
                label = [(planes.CHANNEL, channel)] if num_channels > 1 else []
                first = channel * per_channel
                units.append(((*shown, *label), tuple((frame, first + at) for at in range(per_channel))))
        names = [channel.channel.name for channel in self._nd2.metadata.channels or ()]
        return planes.join_colours(units, names)


class Nd2Plane:
    """A plane of an ND2 file.

    Args:
        file: of nd2.
        components: frame and value of the plane, or of its three colours.
        bits: significant bits of a sample; None for what the file says.
        name: what messages call the file.
    """

    def __init__(self, file: Any, components: tuple[_Component, ...], *, bits: int | None, name: str):
        self._file, self._components, self._name = file, components, name
        attributes = file.attributes
        self._num_channels = int(attributes.channelCount or 1)
        self.shape = int(attributes.heightPx), int(attributes.widthPx)
        if math.prod(self.shape) > MAX_PIXELS:
            raise MicroscopyError(
                f"frames of {name} must have at most {MAX_PIXELS:,} pixels, since ND2 decodes them whole. Received: "
                f"{self.shape[1]}x{self.shape[0]}. Export it as a tiled TIFF, which is read by regions"
            )
        self.intensity = _intensity(attributes, bits, name)
        volume = file.metadata.channels[0].volume if file.metadata.channels else None
        self.pixel_size = PixelSize()
        if volume is not None and all(volume.axesCalibrated[:2]):
            across, down = volume.axesCalibration[:2]
            self.pixel_size = from_sides(across, down, "ND2 calibration", file=name)

    def read(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """The file's values in a region, [height, width, 1 or 3]."""
        parts = []
        for frame, sample in self._components:
            stored = np.reshape(self._file.read_frame(frame), (self._num_channels, *self.shape, -1))
            if not stored.any():
                raise MicroscopyError(
                    f"{self._name} must hold all of its frames. Received: frame {frame} is empty, or zero everywhere. "
                    "Copy it again"
                )
            channel, colour = divmod(sample, stored.shape[3])
            parts.append(stored[channel, y0 : y0 + height, x0 : x0 + width, colour])
        return np.stack(parts, axis=2)


def _intensity(attributes: Any, bits: int | None, name: str) -> IntensityMapping:
    stored, significant = int(attributes.bitsPerComponentInMemory), int(attributes.bitsPerComponentSignificant)
    if stored > MAX_BITS:
        raise MicroscopyError(
            f"the range of intensities of {name} must be known. Received: {stored} bits a sample. Export it "
            "with 8 or 16"
        )
    if stored == BYTE_BITS:
        return from_bits(stored, "8 bits a sample")
    if bits is not None:
        return from_bits(bits, "significant bits as given")
    return from_bits(significant, "ND2 significant bits", assumed=significant == MAX_BITS)
