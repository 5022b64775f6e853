"""Shape factors of a head, as computer-assisted sperm morphometry (CASA-Morph) reports them.

The four ratios, with these names, are those of the Sperm Class Analyzer (Microptic) and of the papers that used it; a
review is Maroto-Morales et al. 2016 (Asian Journal of Andrology 18:863-870). 4 pi A / P^2 is elsewhere called
circularity or form factor (Cox 1927, Journal of Paleontology 1:179-183).
"""

from __future__ import annotations

import math


def ellipticity(length: float, width: float) -> float:
    """Length over width, the WHO manual's length-to-width ratio; 1 for a circle."""
    return length / width


def elongation(length: float, width: float) -> float:
    """(L - W) / (L + W), 0 for a circle, below 1."""
    return (length - width) / (length + width)


def rugosity(area: float, perimeter: float) -> float:
    """4 pi A / P^2, 1 for a circle; lower for long or rough outlines."""
    return 4 * math.pi * area / perimeter**2


def regularity(length: float, width: float, area: float) -> float:
    """Area of the ellipse with these axes over the head's own, pi L W / (4 A): 1 for an ellipse, more for a pear."""
    return math.pi * length * width / (4 * area)
