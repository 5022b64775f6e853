import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from sperm_tf.data.decode import encode_png
from sperm_tf.fields.annotations import AnnotatedFields
from sperm_tf.fields.field_check import file_looks_like_field, looks_like_field
from tests.fields.drawn_fields import draw_field
from tests.helpers import real_data_dir, sperm_parsing

HEADS = ((200, 200, 0.3), (600, 250, 1.2), (900, 700, 2.5), (300, 800, -0.7), (1100, 300, 0.0))


def test_a_field_is_told_from_a_crop_of_the_same_size():
    field, _ = draw_field(HEADS)
    assert looks_like_field(field)
    crop, _ = draw_field(((512, 512, 0.4),), size=(1024, 1024), head_px=277)
    assert not looks_like_field(crop)


def test_a_large_image_with_one_small_head_or_with_none_is_a_field():
    assert looks_like_field(draw_field(((640, 512, 0.4),))[0])
    assert looks_like_field(np.full((1024, 1280, 3), 220, np.uint8))


def test_a_round_cell_among_heads_does_not_make_it_a_crop():
    assert looks_like_field(draw_field(HEADS, round_cells=((640, 540, 200),))[0])


def test_small_images_are_crops_and_files_are_told_alike():
    field, _ = draw_field(HEADS)
    small = np.asarray(Image.fromarray(field).resize((400, 320)))
    assert not looks_like_field(small)
    assert file_looks_like_field(encode_png(field)) and not file_looks_like_field(encode_png(small))
    assert not file_looks_like_field(b"") and not file_looks_like_field(encode_png(field)[:-600])


@pytest.mark.integration
def test_fields_of_sperm_parsing_are_refused():
    fields = AnnotatedFields(sperm_parsing())
    records = list(fields)[::4]
    assert len(records) == 70
    assert [record.image for record in records if not file_looks_like_field(fields.read_image(record.image))] == []


@pytest.mark.integration
@pytest.mark.parametrize(("name", "count"), (("SMIDS", 3000), ("HuSHeM", 216)))
def test_no_crop_of_the_datasets_is_refused(name, count):
    with zipfile.ZipFile(real_data_dir() / f"{name}.zip") as archive:
        names = [entry for entry in archive.namelist() if entry.lower().endswith((".bmp", ".png", ".jpg"))]
        refused = [entry for entry in names if file_looks_like_field(archive.read(entry))]
    assert (len(names), refused) == (count, [])


@pytest.mark.integration
def test_few_crops_of_spermatozoa_are_refused_when_they_are_enlarged():
    with zipfile.ZipFile(real_data_dir() / "SMIDS.zip") as archive:
        names = [entry for entry in archive.namelist() if "Non-Sperm" not in entry and not entry.endswith("/")][::20]
        refused = 0
        for name in names:
            with Image.open(io.BytesIO(archive.read(name))) as image:
                factor = 500 / min(image.size)
                size = round(image.width * factor), round(image.height * factor)
                refused += looks_like_field(np.asarray(image.convert("RGB").resize(size)))
    assert refused <= 0.02 * len(names)
