"""A small release with every defect that SMIDS has."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from sperm_tf.data.archives import SourceFile
from sperm_tf.data.catalog import EXCLUDED_FIELDS, NoImagesError, build_catalog, to_csv
from tests import image_files

LABEL_NAMES = {"Normal": "normal", "Abnormal": "abnormal"}


def texture(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, size=(10, 10, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((100, 100), Image.Resampling.BICUBIC)


def encode(image: Image.Image, image_format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def release():
    data = {f"{folder}/{i:02d}.bmp": texture(100 * n + i) for n, folder in enumerate(LABEL_NAMES) for i in range(10)}
    data = {name: encode(image, "BMP") for name, image in data.items()}
    data["Normal/copy.bmp"] = encode(texture(3), "PNG")
    data["Abnormal/conflict.bmp"] = encode(texture(4), "PNG")
    data["Abnormal/broken.bmp"] = b"broken"
    data["Normal/crop.bmp"] = encode(texture(5).crop((4, 4, 100, 98)), "BMP")
    files = sorted(SourceFile(name, name.split("/")[0], name) for name in data)
    return files, data


def build(release, *, clean):
    files, data = release
    return build_catalog(files, data.__getitem__, label_names=LABEL_NAMES, clean=clean)


@pytest.mark.slow
def test_clean_lists_everything_it_leaves_out(release):
    catalog = build(release, clean=True)
    assert (catalog.num_source_images, catalog.num_undecodable, len(catalog.images)) == (24, 1, 20)
    assert {(row["image_id"], row["reason"], row["related_image_id"]) for row in catalog.excluded} == {
        ("Abnormal/broken.bmp", "undecodable", ""),
        ("Normal/copy.bmp", "duplicate", "Normal/03.bmp"),
        ("Abnormal/conflict.bmp", "conflicting_labels", "Normal/04.bmp"),
        ("Normal/04.bmp", "conflicting_labels", "Abnormal/conflict.bmp"),
    }
    kept = {image.file.image_id for image in catalog.images}
    assert not kept & {row["image_id"] for row in catalog.excluded}
    assert [(row["image_id"], row["related_image_id"]) for row in catalog.near_duplicates] == [
        ("Normal/05.bmp", "Normal/crop.bmp")
    ]


def test_what_an_exported_model_refuses_is_excluded_with_reason_and_remedy(release):
    files, data = release
    refused = {
        "Normal/rle8.bmp": image_files.bad_files()["bmp_run_length"][0],
        "Normal/555.bmp": image_files.bad_files()["bmp_16_bit"][0],
        "Normal/os2.bmp": image_files.bmp_of_os2(np.asarray(texture(900))),
        "Normal/frame.gif": image_files.gif_with_smaller_frame(),
    }
    files = sorted([*files, *(SourceFile(name, "Normal", name) for name in refused)])
    catalog = build((files, {**data, **refused}), clean=False)
    assert catalog.num_undecodable == 5 and len(catalog.images) == 23
    details = {row["image_id"]: row["detail"] for row in catalog.excluded}
    for name, named in (("rle8", "8 bits a pixel, RLE8"), ("555", "16 bits a pixel"), ("os2", "the header of OS/2")):
        assert named in details[f"Normal/{name}.bmp"]
    assert "canvas of 60x60" in details["Normal/frame.gif"]
    assert all("Save it as PNG" in details[name] for name in refused)


def test_original_keeps_everything_decodable(release):
    catalog = build(release, clean=False)
    assert len(catalog.images) == 23
    assert [row["reason"] for row in catalog.excluded] == ["undecodable"]
    assert len(catalog.near_duplicates) == 3


@pytest.mark.slow
def test_an_image_is_in_the_same_fold_and_group_in_both(release):
    original = {image.file.image_id: image for image in build(release, clean=False).images}
    for image in build(release, clean=True).images:
        assert original[image.file.image_id] == image


def test_groups_stay_together(release):
    images = {image.file.image_id: image for image in build(release, clean=False).images}
    for first, second in (
        ("Normal/03.bmp", "Normal/copy.bmp"),
        ("Normal/04.bmp", "Abnormal/conflict.bmp"),
        ("Normal/05.bmp", "Normal/crop.bmp"),
    ):
        assert images[first].group_id == images[second].group_id
        assert images[first].fold == images[second].fold
    assert len({image.group_id for image in images.values()}) == 20


def test_images_of_one_origin_join_the_groups_of_their_near_duplicates(release):
    files, data = release
    origins = {"Normal/05.bmp": "P1", "Abnormal/07.bmp": "P1", "Normal/crop.bmp": "P2", "Abnormal/08.bmp": "P2"}
    catalog = build_catalog(files, data.__getitem__, label_names=LABEL_NAMES, clean=False, origins=origins)
    images = {image.file.image_id: image for image in catalog.images}
    joined = {images[name].group_id for name in origins}
    assert joined == {"Abnormal/07.bmp"}, "05 and its crop are of two origins"
    assert len({images[name].fold for name in origins}) == 1
    assert len({image.group_id for image in images.values()}) == 18


@pytest.mark.slow
def test_turned_and_mirrored_copies_are_treated_like_identical_images(release):
    data = dict(release[1])
    turned = texture(6).transpose(Image.Transpose.ROTATE_90)
    mirrored = texture(7).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    data |= {"Normal/turned.bmp": encode(turned, "PNG"), "Abnormal/mirrored.bmp": encode(mirrored, "BMP")}
    files = sorted(SourceFile(name, name.split("/")[0], name) for name in data)
    catalog = build((files, data), clean=True)
    excluded = {(row["image_id"], row["reason"], row["related_image_id"]): row["detail"] for row in catalog.excluded}
    assert excluded["Normal/turned.bmp", "duplicate", "Normal/06.bmp"].startswith(
        "identical pixels, turned or mirrored;"
    )
    detail = excluded["Abnormal/mirrored.bmp", "conflicting_labels", "Normal/07.bmp"]
    assert detail == "identical pixels, turned or mirrored, are also labelled normal; neither is kept"
    assert ("Normal/07.bmp", "conflicting_labels", "Abnormal/mirrored.bmp") in excluded
    images = {image.file.image_id: image for image in build((files, data), clean=False).images}
    assert images["Normal/turned.bmp"].group_id == images["Normal/06.bmp"].group_id
    assert images["Abnormal/mirrored.bmp"].fold == images["Normal/07.bmp"].fold


@pytest.mark.slow
def test_what_an_image_knows(release):
    image = next(image for image in build(release, clean=True).images if image.file.image_id == "Normal/crop.bmp")
    assert (image.label_name, image.source_format, image.width, image.height) == ("normal", "BMP", 96, 94)


def test_csv_reads_back(release):
    rows = build(release, clean=True).excluded
    assert list(csv.DictReader(io.StringIO(to_csv(EXCLUDED_FIELDS, rows)))) == [dict(row) for row in rows]


def test_a_release_without_a_single_image_names_the_first_file_and_the_remedy():
    files = [SourceFile(name, name.split("/")[0], name) for name in ("Abnormal/0.bmp", "Normal/0.bmp")]
    data = {"Abnormal/0.bmp": b"broken", "Normal/0.bmp": b""}
    with pytest.raises(NoImagesError, match=r"2 files, 2 of them .*Abnormal/0\.bmp: .+Download the release again"):
        build((files, data), clean=True)
