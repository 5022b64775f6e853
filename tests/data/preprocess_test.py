import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests import helpers, image_files


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global inspect, preprocess, preprocess_batch, preprocessing, tf
    import tensorflow as tf

    from sperm_tf.data import preprocess as preprocessing
    from sperm_tf.data.preprocess import inspect, preprocess, preprocess_batch


BAD = image_files.bad_files()
LOSSLESS = image_files.lossless_files()


def reference(pixels, image_size):
    """The same preprocessing by NumPy and Pillow."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    before = [(side - height) // 2, (side - width) // 2]
    after = [side - height - before[0], side - width - before[1]]
    square = np.pad(pixels, [(before[0], after[0]), (before[1], after[1]), (0, 0)], mode="edge")
    return np.asarray(Image.fromarray(square).resize((image_size, image_size), Image.BILINEAR))


@pytest.mark.parametrize("image_size", [32, 97])
@pytest.mark.parametrize("size", [(40, 50), (51, 40), (64, 64), (16, 201), (300, 17), (33, 32)], ids=str)
def test_preprocess_equals_numpy_and_pillow(size, image_size):
    pixels = image_files.random_pixels(*size)
    result = preprocess(image_files.encode(pixels, "PNG"), image_size).numpy()
    assert result.shape == (image_size, image_size, 3) and result.dtype == np.uint8
    difference = np.abs(result.astype(int) - reference(pixels, image_size))
    assert difference.max() <= 2 and difference.mean() < 0.5


def test_preprocess_keeps_an_image_that_needs_nothing():
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    np.testing.assert_array_equal(preprocess(image_files.encode(pixels, "BMP"), 48), pixels)


def test_padding_repeats_the_edges_and_centres_the_image():
    pixels = np.full((17, 32, 3), 100, np.uint8)
    pixels[0], pixels[-1] = 7, 201
    rows = preprocess(image_files.encode(pixels, "PNG"), 32).numpy()[:, 5, 0].tolist()
    assert rows == [7] * 7 + [7] + [100] * 15 + [201] + [201] * 8


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused(name):
    data, status = BAD[name]
    header_status = inspect(data).numpy().decode()
    assert header_status == status or (header_status, status) == ("ok", "undecodable")
    with pytest.raises(tf.errors.InvalidArgumentError):
        preprocess(data, 32)


def test_the_error_names_the_status():
    with pytest.raises(tf.errors.InvalidArgumentError, match="too_large"):
        preprocess(BAD["too_large_png"][0], 32)


def test_limits_are_inclusive():
    largest, too_large = image_files.png_header(5000, 5000), image_files.png_header(5000, 5001)
    assert [inspect(file).numpy() for file in (largest, too_large)] == [b"ok", b"too_large"]
    smallest = image_files.encode(image_files.random_pixels(16, 16), "PNG")
    assert preprocess(smallest, 16).shape == (16, 16, 3)


@pytest.mark.slow
def test_good_rows_are_the_same_beside_bad_ones_and_alone():
    good = {name: data for name, (data, _) in LOSSLESS.items()}
    mixed = [file for pair in zip(good.values(), [data for data, _ in BAD.values()], strict=False) for file in pair]
    images, statuses = preprocess_batch(mixed, 32)
    for data, image in zip(good.values(), images[::2], strict=True):
        np.testing.assert_array_equal(image, preprocess(data, 32))
        np.testing.assert_array_equal(image, preprocess_batch([data], 32)[0][0])
    assert set(statuses[::2].numpy()) == {b"ok"}


def test_every_bad_row_has_its_status_and_blank_pixels():
    images, statuses = preprocess_batch([data for data, _ in BAD.values()], 24)
    assert dict(zip(BAD, (status.decode() for status in statuses.numpy()), strict=True)) == {
        name: status for name, (_, status) in BAD.items()
    }
    assert not images.numpy().any()


def test_an_empty_batch():
    images, statuses = preprocess_batch(tf.zeros([0], tf.string), 24)
    assert images.shape == (0, 24, 24, 3) and statuses.shape == (0,)


def test_tf_data_gives_the_same_bits():
    files = [data for data, _ in LOSSLESS.values()]
    mapped = tf.data.Dataset.from_tensor_slices(files).map(lambda file: preprocess(file, 40))
    for data, image in zip(files, mapped, strict=True):
        np.testing.assert_array_equal(image, preprocess(data, 40))


def test_preprocess_is_not_traced_anew_for_every_image():
    preprocess(LOSSLESS["gif"][0], 20)
    count = preprocessing._preprocess.experimental_get_tracing_count()
    preprocess(LOSSLESS["bmp_24_bit"][0], 20)
    assert preprocessing._preprocess.experimental_get_tracing_count() == count


@pytest.mark.parametrize("image_size", [0, -3, 2.0, None])
def test_image_size_is_checked(image_size):
    with pytest.raises(ValueError, match="image_size must be"):
        preprocess(LOSSLESS["gif"][0], image_size)


@pytest.mark.integration
def test_a_header_that_declares_too_much_costs_no_memory():
    code = (
        "import resource, tensorflow as tf\n"
        "from sperm_tf.data.preprocess import preprocess_batch\n"
        "from tests import image_files as f\n"
        "small = f.encode(f.random_pixels(), 'PNG')\n"
        "preprocess_batch([small] * 4, 32)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "size = (20_000, 20_000)\n"
        "files = [small, f.png_header(*size), f.jpeg_of_size(*size), f.gif_of_size(*size)]\n"
        "statuses = preprocess_batch(files, 32)[1].numpy().tolist()\n"
        "assert statuses == [b'ok'] + [b'too_large'] * 3, statuses\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=helpers.ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) < 100  # MB; the pixels of one such image are 1,200


def test_real_images_equal_numpy_and_pillow():
    folder = helpers.real_data_dir()
    with zipfile.ZipFile(folder / "SMIDS.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".bmp"))[::150]
        files = [archive.read(name) for name in names]
    images, statuses = preprocess_batch(files, 128)
    assert set(statuses.numpy()) == {b"ok"}
    for data, image in zip(files, images.numpy(), strict=True):
        difference = np.abs(image.astype(int) - reference(image_files.pillow_rgb(data), 128))
        assert difference.max() <= 2
