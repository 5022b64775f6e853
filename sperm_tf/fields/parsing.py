"""What the network that parses fields predicts, and at which resolution: names and numbers that its parts share.

The network is bottom-up, as Panoptic-DeepLab (Cheng et al. 2020, arXiv:1911.10194): for every pixel its part, how
likely the centre of a head is there, and an offset that leads to its cell's centre. Offsets of tails, which are ten
heads long, do not reach to the centre: they lead `STEP` pixels nearer along the flagellum, and are followed repeatedly.
"""

from __future__ import annotations

PART_NAMES = ("background", "nucleus", "acrosome", "midpiece", "tail")
BACKGROUND, NUCLEUS, ACROSOME, MIDPIECE, TAIL = range(len(PART_NAMES))
"""Exclusive classes of a pixel. A vacuole lies in nucleus or acrosome, so it is a label of its own beside these."""
HEAD_PX = 44.0
"""Length of a median head in the picture that the network sees: 4.4 um at 0.1 um a pixel."""
STRIDE = 2
"""Pixels of that picture in one pixel of the output. Masks of the annotated fields that are averaged to this grid and
enlarged again keep a Dice coefficient of 0.91 for vacuoles and of 0.98 for tails, above that of two people."""
STEP = 16
"""Longest way, in pixels of the output, that one offset leads along the cell: 3.2 um."""
PARTS, VACUOLES, CENTERS, OFFSETS = OUTPUTS = ("parts", "vacuoles", "centers", "offsets")
"""Outputs on the grid, float32: `parts` [B, h, w, 5], logits of `PART_NAMES`; `vacuoles` [B, h, w, 1], logits;
`centers` [B, h, w, 1], logits; `offsets` [B, h, w, 2], y and x in units of `STEP` pixels of the output."""
