"""The preprocessing without TensorFlow, held against that of the served graph."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest

from sperm_tf.data import array_preprocess
from tests import helpers, image_files

LOSSLESS, BAD = image_files.lossless_files(), image_files.bad_files()


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global preprocess_batch
    from sperm_tf.data.preprocess import preprocess_batch


def _both(contents, image_size):
    images, statuses = array_preprocess.preprocess_files(contents, image_size)
    served, served_statuses = preprocess_batch(contents, image_size)
    return (
        images.astype(int),
        statuses,
        served.numpy().astype(int),
        [status.decode() for status in served_statuses.numpy()],
    )


def test_every_file_gets_the_status_of_the_served_graph():
    files = {name: data for name, (data, _) in {**LOSSLESS, **BAD}.items()}
    images, statuses, served, served_statuses = _both(list(files.values()), 32)
    assert dict(zip(files, statuses, strict=True)) == dict(zip(files, served_statuses, strict=True))
    assert np.abs(images - served).max() <= 1
    assert (images == served).mean() > 0.999


@pytest.mark.parametrize("size", [(16, 16), (40, 50), (51, 40), (33, 200), (300, 17), (170, 190), (16, 3000)])
@pytest.mark.parametrize("image_size", [24, 128])
def test_every_shape_is_padded_and_resized_as_the_served_graph_does(size, image_size):
    images, _, served, _ = _both([image_files.encode(image_files.random_pixels(*size), "PNG")], image_size)
    assert np.abs(images - served).max() <= 1
    assert (images == served).mean() > 0.9999


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpegs_differ_by_a_grey_level_at_most(mode):
    image = image_files.Image.fromarray(image_files.random_pixels(64, 80)).convert(mode)
    images, _, served, _ = _both([image_files.encode(image, "JPEG")], 48)
    assert np.abs(images - served).max() <= 1


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.parametrize(("archive", "every"), [("SMIDS.zip", 10), ("HuSHeM.zip", 3)])
def test_real_crops_are_equal(archive, every):
    with zipfile.ZipFile(helpers.real_data_dir() / archive) as file:
        names = [name for name in sorted(file.namelist()) if name.lower().endswith((".bmp", ".png"))][::every]
        contents = [file.read(name) for name in names]
    images, statuses, served, _ = _both(contents, 128)
    assert set(statuses) == {"ok"}
    assert np.abs(images - served).max() <= 1
    assert (images == served).mean() > 0.9999


def test_it_imports_no_tensorflow_and_no_keras():
    code = "import sys, sperm_tf.data.array_preprocess; print({'tensorflow', 'keras'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=helpers.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
