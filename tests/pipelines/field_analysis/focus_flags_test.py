"""Heads out of focus are judged beside all heads of the run."""

import pytest

from pipelines.field_analysis.focus_flags import flag_out_of_focus


def _field(widths, flags=""):
    return {"file": "a.png", "cells": [{"head_edge_width": width, "flags": flags} for width in widths]}


def _flagged(fields):
    return [[cell["flags"] for cell in field["cells"]] for field in fields]


def test_heads_with_wider_outlines_than_the_limit_are_flagged_and_counted():
    fields, limit = flag_out_of_focus([_field([0.1, 0.2], "touching"), _field([0.1, None, 0.3]), _field([])])
    assert limit == 0.15
    assert _flagged(fields) == [["touching", "touching|out_of_focus"], ["", "", "out_of_focus"], []]
    assert [field["num_out_of_focus"] for field in fields] == [1, 1, 0] and fields[0]["file"] == "a.png"


def test_a_coarse_microscope_is_judged_by_its_own_sharpest_heads_of_all_fields():
    fields, limit = flag_out_of_focus([_field([0.2] * 10), _field([0.2] * 10), _field([0.27, 0.29, 0.5])])
    assert limit == pytest.approx(0.28)
    assert _flagged(fields)[2] == ["", "out_of_focus", "out_of_focus"] and fields[0]["num_out_of_focus"] == 0


def test_sharp_heads_beside_blurred_ones_keep_the_limit_of_a_sharp_field():
    _, limit = flag_out_of_focus([_field([0.08] * 10), _field([0.3] * 40)])
    assert limit == 0.15
