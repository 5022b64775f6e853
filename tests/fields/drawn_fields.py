"""Fields with heads at known places, drawn by a few lines of NumPy and Pillow."""

import numpy as np
from PIL import Image, ImageDraw

SLIDE, NUCLEUS, ACROSOME, TAIL = (225, 228, 235), (60, 20, 160), (150, 70, 190), (190, 195, 220)
PALE_BLUE, CELL = (150, 170, 225), (120, 60, 190)
HEAD_PX = 90  # length of a head


def ellipse(height, width, centre, length, breadth, angle):
    """bool [height, width]: True inside an ellipse; angle in radians from the x axis."""
    rows, columns = np.mgrid[:height, :width]
    x, y = columns - centre[0], rows - centre[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    return (2 * along / length) ** 2 + (2 * across / breadth) ** 2 <= 1


def draw_field(heads, *, size=(1024, 1280), blue=(), round_cells=(), shade=0.0, head_px=HEAD_PX, seed=0):
    """A field, uint8 [H, W, 3], and the masks of its heads.

    Args:
        heads: (x, y, angle) of each.
        blue: (x, y, diameter) of pale drops.
        round_cells: (x, y, diameter) of dark round cells.
        shade: how much darker the right side is, 0-1.
    """
    height, width = size
    picture = Image.new("RGB", (width, height), SLIDE)
    lines = ImageDraw.Draw(picture)
    for x, y, angle in heads:
        end = (x - 4 * head_px * np.cos(angle), y - 4 * head_px * np.sin(angle))
        lines.line([(x, y), end], fill=TAIL, width=max(1, head_px // 18))
    pixels = np.array(picture, np.float64)
    masks = []
    for x, y, angle in heads:
        mask = ellipse(height, width, (x, y), head_px, 0.6 * head_px, angle)
        front = mask & (
            (np.mgrid[:height, :width][1] - x) * np.cos(angle) > (y - np.mgrid[:height, :width][0]) * np.sin(angle)
        )
        pixels[mask], pixels[front] = NUCLEUS, ACROSOME
        masks.append(mask)
    for places, colour in ((blue, PALE_BLUE), (round_cells, CELL)):
        for x, y, diameter in places:
            pixels[ellipse(height, width, (x, y), diameter, diameter, 0)] = colour
    pixels *= 1 - shade * np.linspace(0, 1, width)[None, :, None]
    noise = np.random.default_rng(seed).normal(0, 2, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8), masks


def box_of(mask):
    """x0, y0, x1, y1 of a mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
