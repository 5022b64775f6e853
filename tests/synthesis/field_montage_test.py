import zipfile

import numpy as np
import pytest
from PIL import Image

from sperm_tf.synthesis import field_montage


def test_the_command_shows_fields_and_masks(tmp_path):
    path = tmp_path / "images" / "fields.png"
    field_montage.main([f"--output={path}", "--rows=1", "--tile_width=160", "--first=1"])
    with Image.open(path) as sheet:
        assert sheet.size == (3 * 164 + 4, 128 + 8)
        pixels = np.asarray(sheet)
    assert (pixels[20:100, 350:480] == 0).all(axis=2).mean() > 0.3  # the mask's background


def test_real_fields_stand_beside_the_drawn_ones(tmp_path):
    colours = [(255, 0, 0), (0, 255, 0)]
    with zipfile.ZipFile(tmp_path / "fields.zip", "w") as archive:
        for number, colour in enumerate(colours):
            Image.new("RGB", (50, 40), colour).save(tmp_path / f"{number}.png")
            archive.write(tmp_path / f"{number}.png", f"fields/{number}.png")
    for source in (tmp_path, tmp_path / "fields.zip"):
        sheet = field_montage.build_field_montage(rows=1, tile_width=100, beside=source)
        assert [sheet.getpixel((4 + 104 * column + 50, 40)) for column in (2, 3)] == colours
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="beside must hold images"):
        field_montage.build_field_montage(rows=1, beside=tmp_path / "empty")
