"""Lengths and bends of lines of known course."""

import numpy as np
import pytest

from sperm_tf.morphometry.centerline import find_centerline
from tests.morphometry.drawn_masks import band_mask, path_length, round_band_mask, walk

STEPS = np.arange(0, 800, 0.25)


def measure(path, width):
    line = find_centerline(band_mask(path, width))
    return line, line.length_px / path_length(path) - 1


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_straight_line_of_100_pixels_is_100_long(width):
    mask = np.zeros((9, 120), bool)
    mask[4 : 4 + width, 7:107] = True
    for drawn in (mask, mask.T):
        assert find_centerline(drawn).length_px == pytest.approx(100, abs=0.3)


def test_a_line_from_border_to_border_is_as_long_as_the_image():
    mask = np.zeros((9, 100), bool)
    mask[3:6] = True
    assert find_centerline(mask).length_px == pytest.approx(100, abs=0.3)


@pytest.mark.parametrize("width", [1.5, 3, 5, 9, 12, 15])
@pytest.mark.parametrize("degrees", [0, 13, 30, 45, 71, 90])
def test_a_turned_line_is_as_long_as_a_level_one(width, degrees):
    path = walk(np.full(401, np.radians(degrees)))
    line, _ = measure(path, width)
    assert line.length_px == pytest.approx(100, abs=1 if width > 2 else 1.5)
    assert np.degrees(line.turning) < 30
    assert np.degrees(line.sharpest_bend(30)) < 25


@pytest.mark.parametrize("width", [3, 6, 12])
@pytest.mark.parametrize(
    ("headings", "turning"),
    [
        (0.8 * np.sin(STEPS / 90), 92),
        (STEPS / 300, 153),
        (np.radians(120) * (STEPS > 400), 120),
        (np.pi * np.clip((STEPS - 400) / 63, 0, 1), 180),
        (np.radians(270) * np.clip((STEPS - 250) / 250, 0, 1), 270),  # a loop that crosses its own tail
    ],
    ids=["waves", "arc", "kink", "hairpin", "loop"],
)
def test_curved_lines_have_their_length_and_turning(headings, turning, width):
    line, error = measure(walk(headings), width)
    assert abs(error) < 0.015
    assert len(line.curves) == 1
    assert np.degrees(line.turning) == pytest.approx(turning, abs=12)


def test_a_kink_is_a_sharp_bend_and_an_arc_is_none():
    kink, _ = measure(walk(np.radians(120) * (STEPS > 400)), 6)
    arc, _ = measure(walk(np.radians(120) * STEPS / 800), 6)
    assert np.degrees(kink.sharpest_bend(30)) == pytest.approx(120, abs=12)
    assert np.degrees(arc.sharpest_bend(30)) < 15


def test_a_coil_turns_more_than_once():
    spiral = walk(np.cumsum(0.25 / (12 + 0.06 * STEPS)))
    line, error = measure(spiral, 3)
    assert abs(error) < 0.02
    assert np.degrees(line.turning) > 3 * 360
    ring, _ = measure(walk(np.cumsum(np.full(len(STEPS), 0.25 / 40))), 6)  # windings on each other are one ring
    assert np.degrees(ring.turning) > 340
    assert ring.length_px == pytest.approx(2 * np.pi * 40, rel=0.02)


def test_a_crossing_does_not_shorten_and_pieces_add_up():
    first, second = walk(np.full(1200, 0.2)), walk(np.full(1200, 1.4))
    cross = np.concatenate([first - first[600], second - second[600]])
    line = find_centerline(round_band_mask(cross, 5))
    assert len(line.curves) == 2
    assert line.length_px == pytest.approx(2 * 300 + 4 * 2.5, abs=4)  # round ends
    assert np.degrees(line.turning) < 30
    pieces = np.zeros((30, 250), bool)
    pieces[10:13, 5:105], pieces[20:23, 120:220] = True, True
    line = find_centerline(pieces)
    assert len(line.curves) == 2
    assert line.length_px == pytest.approx(200, abs=0.6)


def test_dots_discs_and_nothing():
    mask = np.zeros((20, 20), bool)
    assert find_centerline(mask).curves == ()
    assert find_centerline(mask).length_px == 0
    assert find_centerline(mask).turning == 0
    mask[5, 5] = True
    assert find_centerline(mask).length_px == pytest.approx(1, abs=0.2)
    rows, columns = np.mgrid[:41, :41] - 20
    assert find_centerline(np.hypot(rows, columns) < 10.5).length_px == pytest.approx(21, abs=1.5)
